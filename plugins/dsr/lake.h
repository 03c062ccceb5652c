/*
 * The data: the objects of a table in a shard's days, and reading one of them at any place.
 */
#ifndef DSR_LAKE_H
#define DSR_LAKE_H

#include "places.h"

#include "parquet/file.h"

struct dsr_object {
    char *uri;
    int32_t day;
    struct rc_stat stat;
};

struct dsr_objects {
    struct dsr_object *items; /* in the order of their URIs */
    size_t count, capacity;
};

/* RC_NOT_FOUND: the table has no object at all, so that its folder is likely to be mistaken. */
RC_MUST_CHECK enum rc_code dsr_lake_check(struct rc_job *job, const struct dsr_places *places,
                                          size_t table, const char *table_name,
                                          struct rc_error *err);
/* Every object below shard=N/day=D/ for the days from first to last, whatever its name. */
RC_MUST_CHECK enum rc_code dsr_lake_list(struct rc_job *job, const struct dsr_places *places,
                                         size_t table, int32_t shard, int32_t first_day,
                                         int32_t last_day, struct dsr_objects *out,
                                         struct rc_error *err);
void dsr_objects_clear(struct dsr_objects *objects);
/* Warns of an object that is no data and left alone, if its name says that it should be some. */
void dsr_lake_leave(struct rc_job *job, const struct dsr_object *object);

/*
 * The object as it is now; '*is_gone': there is none. A store also says "not found" of a bucket
 * that is gone, or of credentials: only of one that lists the place is it believed.
 */
RC_MUST_CHECK enum rc_code dsr_lake_look(struct rc_job *job, const char *uri, struct rc_stat *out,
                                         bool *is_gone, struct rc_error *err);

/*
 * Bytes of one object, in ranges that are read ahead. RC_CONFLICT: it is another one by now, or
 * gone. With 'version' that one is read. The source points to the reader and lives as long. 'stat'
 * is copied.
 */
struct dsr_reader;
RC_MUST_CHECK enum rc_code dsr_reader_open(struct rc_job *job, const char *uri,
                                           const struct rc_stat *stat, const char *version,
                                           struct dsr_reader **out, struct rc_error *err);
const struct pq_source *dsr_reader_source(const struct dsr_reader *reader);
int64_t dsr_reader_bytes(const struct dsr_reader *reader); /* read so far */
void dsr_reader_close(struct dsr_reader *reader);

/* Of a footer, for pq_file_open(): thousands of row groups of hundreds of columns. */
#define DSR_FOOTER_LIMIT ((size_t)256 << 20)

/* Whether the object is data: begins and ends with the bytes PAR1. */
RC_MUST_CHECK enum rc_code dsr_reader_is_data(struct dsr_reader *reader, bool *is_data,
                                              struct rc_error *err);

#endif
