/*
 * What the files of the engines share: a session, and the table that each kind of engine fills.
 */
#ifndef DSR_ENGINE_INTERNAL_H
#define DSR_ENGINE_INTERNAL_H

#include "engine.h"

struct dsr_engine_ops {
    /* Prepares a session that was just opened. */
    enum rc_code (*prepare)(struct dsr_engine *engine, int64_t memory_bytes, struct rc_error *err);
    enum rc_code (*users)(struct dsr_engine *engine, const struct dsr_users *users,
                          struct rc_error *err);

    /* Of one that reads files. */
    enum rc_code (*count)(struct dsr_engine *engine, const char *const *paths, size_t path_count,
                          const struct dsr_engine_columns *columns, int64_t *rows,
                          struct rc_error *err);
    enum rc_code (*rows)(struct dsr_engine *engine, const struct pq_rows *rows,
                         struct rc_error *err);
    enum rc_code (*match)(struct dsr_engine *engine, const char *path,
                          const struct dsr_engine_columns *columns, int64_t *rows,
                          int64_t *matching, struct rc_error *err);
    enum rc_code (*compare)(struct dsr_engine *engine, const char *old_path, const char *new_path,
                            struct rc_error *err);

    /* Of one that is elsewhere. */
    enum rc_code (*search)(struct dsr_engine *engine, const struct dsr_engine_lake *lake,
                           dsr_engine_tell *tell, void *context, struct rc_error *err);
};

struct dsr_engine {
    const struct dsr_engine_ops *ops;
    struct dsr_engines *engines;
    struct rc_job *job; /* the run's: a session outlives the threads that borrow it */
    struct rc_sql *sql;
    const struct dsr_scratch *scratch;
    uint64_t users; /* which it knows, by their number; 0: none */
    bool is_lent;
};

extern const struct dsr_engine_ops dsr_engine_duckdb, dsr_engine_elsewhere;

/*
 * Makes of an error that is of the file alone one that says so, RC_UNSUPPORTED or what else is
 * given: the engine is no judge of what it cannot read. Those of the run, and such as may pass,
 * stay what they are.
 */
enum rc_code dsr_engine_cannot(struct rc_job *job, enum rc_code code, const char *what,
                               struct rc_error *err);

/* Whether the id is a whole number as one is written: no zeros in front, no plus, no -0. */
bool dsr_engine_is_number(struct pq_slice id);

/*
 * Writes the ids as lines of four fields: the id's bytes in hex; the whole number that it is in
 * decimal, or nothing; the bytes of the UUID that it is in hex, or nothing; the id's bytes with
 * each UUID in it in lower case, in hex, or nothing if they are the same.
 */
RC_MUST_CHECK enum rc_code dsr_engine_write_users(const struct dsr_users *users,
                                                  const struct pq_sink *sink, struct rc_error *err);
/* Writes numbers, a line each. */
RC_MUST_CHECK enum rc_code dsr_engine_write_rows(const struct pq_rows *rows,
                                                 const struct pq_sink *sink, struct rc_error *err);

#endif
