/*
 * Which objects of a table hold users, by an SQL engine that searches them where they lie, so that
 * only those have to be fetched. It is believed of an object only if it has seen as many rows there
 * as the object's footer tells of; all others are left to the plugin's own reader.
 */
#ifndef DSR_LOOKUP_H
#define DSR_LOOKUP_H

#include "engine.h"
#include "lake.h"

/* What is looked through, and for whom. All of it is borrowed. */
struct dsr_lookup {
    struct dsr_engines *engines; /* NULL, or of this machine: nothing is asked */
    const struct dsr_config *config;
    const struct dsr_places *places;
    size_t table;
    int32_t shard;
    const struct dsr_users *users;
    const struct dsr_objects *objects; /* of the shard's days */
    size_t width;                      /* footers to read at once */
};

/* What the engine says of an object, as it was listed. */
struct dsr_looked {
    bool is_judged; /* else the plugin's own reader has to search it */
    int64_t rows;   /* of the users */
    int64_t row_count;
};

struct dsr_looked_up {
    struct dsr_looked *items; /* of each object; NULL: nothing was asked */
    size_t unseen;            /* objects with rows that the engine is no judge of */
    int64_t later_rows;       /* of the users, in objects that were not listed, such as */
    char *later;
};

/*
 * An engine that cannot read an object of the shard is judge of none of them; that is no error. An
 * object that cannot be read here is left to who searches it, who will find out why. On RC_OK to be
 * cleared.
 */
RC_MUST_CHECK enum rc_code dsr_lookup(struct rc_job *job, const struct dsr_lookup *lookup,
                                      struct dsr_looked_up *out, struct rc_error *err);
void dsr_looked_clear(struct dsr_looked_up *looked);

/* What is known of an object by its index: rows of the users, or DSR_NOT_TOLD. */
enum { DSR_NOT_TOLD = -1 };
int64_t dsr_looked_rows(const struct dsr_looked_up *looked, size_t index);
/*
 * RC_FAILED: the engine was told of an object's rows, and the plugin's own reader has found another
 * number of them.
 */
RC_MUST_CHECK enum rc_code dsr_looked_agree(int64_t told, size_t found, struct rc_error *err);

#endif
