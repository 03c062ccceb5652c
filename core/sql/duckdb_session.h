/*
 * What the files of the DuckDB engine share: the session, and running statements in it.
 */
#ifndef CORE_SQL_DUCKDB_SESSION_H
#define CORE_SQL_DUCKDB_SESSION_H

#include <sql/duckdb_api.h>
#include <sql/engine.h>

#include <os/file.h>
#include <storage/staging.h>

#include <pthread.h>

/* Statements and the texts that they are made of; lists of files are the long ones. */
#define CORE_DUCKDB_STATEMENT_LIMIT ((size_t)256 << 20)

/* Connections beside the session's own, at most. */
#define CORE_DUCKDB_HELPERS 31

/*
 * What read_csv() is told about RFC 4180. On several threads DuckDB may take a line break inside
 * quotes for the end of a row and fail on a sound file; files beside each other are still read at
 * the same time. A row may be as long as the buffer, which by itself has this size.
 */
#define CORE_DUCKDB_CSV                                                                            \
    ", delim = ',', quote = '\"', escape = '\"', parallel = false, max_line_size = 32000000, "     \
    "buffer_size = 32000000"

struct core_duckdb_rows;
struct core_duckdb_staged;

struct core_duckdb_session {
    struct rc_sql base;
    struct core_sql_context context;
    const struct core_duckdb_api *api;
    struct duckdb_database *database;
    struct duckdb_connection *connection;
    struct core_temp_dir spill;        /* what does not fit into memory */
    struct core_staging *staging;      /* copies of remote objects; NULL: none were needed yet */
    struct core_duckdb_staged *staged; /* whose they are */
    struct core_duckdb_rows *rows;     /* of the query that is still being read, or NULL */
    int threads;
    struct core_cancel stop; /* the run's, or of the statement by core_sql_cancel() */

    /*
     * The watcher interrupts a statement that should stop, or writes more than there is room for,
     * and reports its progress.
     */
    pthread_t watcher;
    pthread_mutex_t mutex; /* guards the following */
    pthread_cond_t changed;
    bool closing;
    bool running;         /* a statement is */
    bool uncancellable;   /* it tidies up, and so goes on when the run stops */
    const char *written;  /* where the statement writes what is to be uploaded; or NULL */
    struct rc_error full; /* there is no room for that; RC_OK: there is */
    struct duckdb_connection *helpers[CORE_DUCKDB_HELPERS]; /* interrupted like the session's own */
    size_t helper_count;
};

/* A table that is copied into folders; everything in the words of SQL. */
struct core_duckdb_copy {
    const char *table;
    const char *partitions; /* "a", "b" */
    const char *path;       /* as it is */
    const char *options;    /* of COPY, from the parenthesis on and without the closing one */
};

/*
 * Announces a statement to the watcher, until core_duckdb_end(). Fails if the run should stop, or
 * if rows of an earlier query are still open.
 */
RC_MUST_CHECK enum rc_code core_duckdb_begin(struct core_duckdb_session *session,
                                             struct rc_error *err);
void core_duckdb_end(struct core_duckdb_session *session);
/* Whether the statement that has begun should go on: RC_CANCELLED or RC_TIMEOUT if not. */
RC_MUST_CHECK enum rc_code core_duckdb_check(struct core_duckdb_session *session,
                                             struct rc_error *err);

/*
 * Prepares the only statement in 'text'; the session has begun. *out is to be destroyed in any
 * case.
 */
RC_MUST_CHECK enum rc_code core_duckdb_prepare(struct core_duckdb_session *session,
                                               const char *text, struct duckdb_prepared **out,
                                               struct rc_error *err);
RC_MUST_CHECK enum rc_code core_duckdb_bind(struct core_duckdb_session *session,
                                            struct duckdb_prepared *prepared,
                                            const struct rc_value *params, size_t count,
                                            struct rc_error *err);

/* The whole of it: one statement, its result dropped. 'changed' may be NULL. */
RC_MUST_CHECK enum rc_code core_duckdb_run(struct core_duckdb_session *session, const char *text,
                                           const struct rc_value *params, size_t count,
                                           int64_t *changed, struct rc_error *err);
/*
 * The same in the way of tidying up: it is run although the run should stop, and its failure is of
 * no interest.
 */
void core_duckdb_run_always(struct core_duckdb_session *session, const char *text);

/* One statement on a connection of a session that has begun; several may run, each on its own. */
RC_MUST_CHECK enum rc_code core_duckdb_run_on(struct core_duckdb_session *session,
                                              struct duckdb_connection *connection,
                                              const char *text, struct rc_error *err);
/*
 * What the watcher interrupts too, until the helpers are forgotten: they must be before they are
 * closed.
 */
void core_duckdb_add_helper(struct core_duckdb_session *session,
                            struct duckdb_connection *connection);
void core_duckdb_forget_helpers(struct core_duckdb_session *session);
/*
 * Copies the table if the rows of each folder stand together in it; else *done is false, and
 * nothing was written. The table must be visible to every connection.
 */
RC_MUST_CHECK enum rc_code core_duckdb_copy_folders(struct core_duckdb_session *session,
                                                    const struct core_duckdb_copy *copy, bool *done,
                                                    struct rc_error *err);

/* The copies of remote objects, whose directory is made when it is first needed. */
RC_MUST_CHECK enum rc_code core_duckdb_staging(struct core_duckdb_session *session,
                                               struct core_staging **out, struct rc_error *err);
/* As core_staging_fetch(), for a table that is being made. */
RC_MUST_CHECK enum rc_code core_duckdb_fetch(struct core_duckdb_session *session,
                                             const char *const *locations, size_t count,
                                             bool (*wants)(const char *name),
                                             struct core_staged **out, struct rc_error *err);
/*
 * What the statements from now on write to 'path' is to be uploaded: they end with RC_TOO_LARGE
 * when there is no room for it. NULL: no longer.
 */
void core_duckdb_watch_room(struct core_duckdb_session *session, const char *path);
/* As core_staging_publish(). */
RC_MUST_CHECK enum rc_code core_duckdb_publish(struct core_duckdb_session *session,
                                               const char *path, const char *location,
                                               struct rc_error *err);
/* The table has been made: what was fetched for it is its own from now on. */
void core_duckdb_keep(struct core_duckdb_session *session, const char *table);
/* The table has gone; NULL: one could not be made. */
void core_duckdb_release(struct core_duckdb_session *session, const char *table);
void core_duckdb_staging_close(struct core_duckdb_session *session);
/* Puts the URIs of objects in place of their copies' paths in what an error says. */
void core_duckdb_name_objects(const struct core_duckdb_session *session, struct rc_error *err);

/* One row of integers, NULL counting as 0. */
RC_MUST_CHECK enum rc_code core_duckdb_numbers(struct core_duckdb_session *session,
                                               const char *text, int64_t *out, size_t count,
                                               struct rc_error *err);

/* Turns what the library says into an error; the code follows from the text's kind. */
enum rc_code core_duckdb_fail(struct core_duckdb_session *session, const char *message,
                              struct rc_error *err);
/* The code that a message of the library stands for. */
enum rc_code core_duckdb_error_code(const char *message);
/*
 * The message as one line for people: without its kind, the excerpt of the statement, and control
 * characters.
 */
void core_duckdb_error_text(const char *message, struct rc_buf *out);

enum rc_code core_duckdb_query(struct rc_sql *sql, const char *statement,
                               const struct rc_value *params, size_t param_count,
                               struct rc_rows **out, struct rc_error *err);
enum rc_code core_duckdb_attach(struct rc_sql *sql, const struct rc_sql_table *table,
                                struct rc_error *err);
enum rc_code core_duckdb_write(struct rc_sql *sql, const struct rc_sql_output *output,
                               struct rc_sql_written *written, struct rc_error *err);
enum rc_code core_duckdb_drop(struct rc_sql *sql, const char *table, struct rc_error *err);

enum rc_code core_duckdb_make(struct rc_sql *sql, const char *table, const char *query,
                              const struct rc_value *params, size_t param_count, int64_t *rows,
                              struct rc_error *err);
enum rc_code core_duckdb_load_rows(struct rc_sql *sql, const char *table,
                                   const struct rc_sql_column *columns, size_t column_count,
                                   const struct rc_sql_rows *rows, struct rc_error *err);
enum rc_code core_duckdb_refer(struct rc_sql *sql, const char *table, const char *database,
                               const char *name, struct rc_error *err);
enum rc_code core_duckdb_publish_table(struct rc_sql *sql, const char *database,
                                       const struct rc_sql_table *table, struct rc_error *err);
enum rc_code core_duckdb_search(struct rc_sql *sql, const struct rc_sql_lookup *search,
                                struct rc_rows **out, struct rc_error *err);
void core_duckdb_add_table(struct rc_sql *sql, struct rc_buf *out, const char *table);
void core_duckdb_add_hex(struct rc_sql *sql, struct rc_buf *out, const char *expression);
void core_duckdb_add_sum(struct rc_sql *sql, struct rc_buf *out, const char *expression,
                         const char *order);

void core_duckdb_add_json_text(struct rc_sql *sql, struct rc_buf *out, const char *json,
                               const char *path);
void core_duckdb_add_json_valid(struct rc_sql *sql, struct rc_buf *out, const char *json);
void core_duckdb_add_try_cast(struct rc_sql *sql, struct rc_buf *out, const char *expression,
                              const char *type);

/*
 * The header of a CSV file, freed by the caller; NULL where the first line is data, or there is
 * none.
 */
RC_MUST_CHECK enum rc_code core_duckdb_csv_header(struct core_duckdb_session *session,
                                                  const struct rc_sql_table *table,
                                                  const char *path, char **out,
                                                  struct rc_error *err);
/* One field of a CSV line; *at moves behind it and its comma. False: there is none. */
bool core_duckdb_csv_field(const char **at, struct rc_buf *out);

/* The length of the first statement in 'text', without the semicolon and what follows it. */
size_t core_duckdb_statement_length(const char *text);
/* Whether 'type' is one of rc_sql_column; only such are written into statements. */
bool core_duckdb_is_type(const char *type);
/*
 * A path in a list of files, in which DuckDB would take * ? and [ for patterns, as a quoted
 * literal.
 */
void core_duckdb_add_file(struct rc_buf *out, const char *path);

#endif
