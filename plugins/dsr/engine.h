/*
 * The second opinion: an SQL engine that nobody here wrote looks for the users as well, and has to
 * agree before anything is replaced or archived.
 *
 * There are two ways to ask it. One that reads files of this process is handed what the plugin's
 * own reader and writer made of a file. One that is elsewhere is asked about the lake as it lies
 * there: which of its objects have rows of the users, and how many.
 *
 * An engine is one session: it belongs to one thread at a time, which borrows it from those of
 * the run.
 */
#ifndef DSR_ENGINE_H
#define DSR_ENGINE_H

#include "config.h"
#include "find.h"
#include "scratch.h"

#include <run-core/sql.h>

struct dsr_engine;
struct dsr_engines;

/*
 * So many sessions as threads may want at once, each with its share of the memory; of an engine
 * elsewhere a few. The first is opened now, so that a run without an engine ends before it has
 * begun. 'job' and 'scratch' outlive them. RC_INVALID: it can be asked in neither way.
 */
RC_MUST_CHECK enum rc_code dsr_engines_new(struct rc_job *job, const struct dsr_config *config,
                                           const struct dsr_scratch *scratch, size_t threads,
                                           struct dsr_engines **out, struct rc_error *err);
void dsr_engines_free(struct dsr_engines *engines);
/* Whether it reads files of this process; else it searches the lake. */
bool dsr_engines_read_files(const struct dsr_engines *engines);
/* Whether this is the first time of this table: what is true of all its shards is told once. */
bool dsr_engines_first_of(struct dsr_engines *engines, size_t table);
/*
 * One that knows these users, whose ids it looks for until it is given back. Waits while all of
 * them are lent; 'job' is the thread's own.
 */
RC_MUST_CHECK enum rc_code dsr_engines_borrow(struct rc_job *job, struct dsr_engines *engines,
                                              const struct dsr_users *users,
                                              struct dsr_engine **out, struct rc_error *err);
void dsr_engines_give_back(struct dsr_engine *engine);
/* For RC_CLEANUP. */
void dsr_engines_drop(struct dsr_engine **engine);

/* ---- of one that reads files ----------------------------------------------------------------- */

/* The columns of the ids in a file, all of the one file, as pq_project() has left them. */
struct dsr_engine_columns {
    const struct pq_column *const *columns;
    size_t count;
    const char *separator; /* as of the table */
};

/*
 * Rows of the users in files of the id columns alone, all of the same columns. No statistics are
 * believed. RC_UNSUPPORTED: the engine cannot read them.
 */
RC_MUST_CHECK enum rc_code dsr_engine_count(struct dsr_engine *engine, const char *const *paths,
                                            size_t path_count,
                                            const struct dsr_engine_columns *columns, int64_t *rows,
                                            struct rc_error *err);

/* The rows of a file, by their numbers, that the next two are about, until others are named. */
RC_MUST_CHECK enum rc_code dsr_engine_rows(struct dsr_engine *engine, const struct pq_rows *rows,
                                           struct rc_error *err);
/* Like dsr_engine_count() of one file; and how many of the users' rows are among those named. */
RC_MUST_CHECK enum rc_code dsr_engine_match(struct dsr_engine *engine, const char *path,
                                            const struct dsr_engine_columns *columns, int64_t *rows,
                                            int64_t *matching, struct rc_error *err);
/*
 * Compares the old file but for the rows that were named with the new one: the columns and their
 * types, and every value of every row, in order. RC_FAILED: they differ, and the message says in
 * what; RC_UNSUPPORTED: the engine cannot read the old file at all.
 */
RC_MUST_CHECK enum rc_code dsr_engine_compare(struct dsr_engine *engine, const char *old_path,
                                              const char *new_path, struct rc_error *err);

/* ---- of one that is elsewhere ---------------------------------------------------------------- */

/* What is to be searched: the objects below some folders, by columns that they all have. */
struct dsr_engine_lake {
    const char *const *folders; /* of days */
    size_t folder_count;
    const struct rc_sql_column *ids; /* in the order of userIdColumn: varchar, integer or bigint */
    size_t id_count;
    const char *separator;     /* as of the table */
    const char *const *except; /* objects that are not looked at */
    size_t except_count;
};

/*
 * Tells of each object that has rows: how many, and how many of them are the users'. What the
 * engine passes over is not among them. RC_UNSUPPORTED: it cannot read some of them.
 */
typedef void dsr_engine_tell(void *context, const char *uri, int64_t rows, int64_t users_rows);
RC_MUST_CHECK enum rc_code dsr_engine_search(struct dsr_engine *engine,
                                             const struct dsr_engine_lake *lake,
                                             dsr_engine_tell *tell, void *context,
                                             struct rc_error *err);

/* ---- of both --------------------------------------------------------------------------------- */

/* Warns that the plugin's own reader has to do alone, since the engine cannot read the object. */
void dsr_engine_is_no_judge(struct rc_job *job, const char *uri, const struct rc_error *why);

#endif
