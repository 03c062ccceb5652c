/*
 * The ids of a file, apart from all else in it: what the SQL engine is given to look for users in.
 */
#ifndef DSR_IDS_H
#define DSR_IDS_H

#include "engine.h"

/* The columns of the ids in a file, in its order, each once. */
struct dsr_ids {
    size_t *columns;
    size_t count;
    int64_t bytes; /* that a file of them alone takes, but for its footer */
};

/* Errors as of dsr_find_columns(). On RC_OK to be cleared. */
RC_MUST_CHECK enum rc_code dsr_ids_of(const struct pq_file *file, const struct dsr_table *table,
                                      struct dsr_ids *out, struct rc_error *err);
void dsr_ids_clear(struct dsr_ids *ids);

/* Makes a scratch file of them, without statistics. On RC_OK to be closed. */
RC_MUST_CHECK enum rc_code dsr_ids_write(struct rc_job *job, const struct dsr_scratch *scratch,
                                         const struct pq_file *file, const struct dsr_ids *ids,
                                         struct dsr_scratch_file *out, struct rc_error *err);

/*
 * Has the engine count the rows of its users in such files, which are of one table and have the
 * same columns as 'file'. RC_UNSUPPORTED: it cannot read them.
 */
RC_MUST_CHECK enum rc_code dsr_ids_count(struct dsr_engine *engine, const struct pq_file *file,
                                         const struct dsr_table *table, const char *const *paths,
                                         size_t path_count, int64_t *rows, struct rc_error *err);
/* Likewise of one, which is that of 'file'; and how many of them are the rows that it was named. */
RC_MUST_CHECK enum rc_code dsr_ids_match(struct dsr_engine *engine, const struct pq_file *file,
                                         const struct dsr_table *table, const char *path,
                                         int64_t *rows, int64_t *matching, struct rc_error *err);

#endif
