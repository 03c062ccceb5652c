/*
 * SQL engines: one session type, several engines behind it. The semantics are those of <run-
 * core/sql.h> and <run-core/host.h>. A session belongs to one thread at a time, core_sql_cancel()
 * alone may come from any.
 */
#ifndef CORE_SQL_ENGINE_H
#define CORE_SQL_ENGINE_H

#include <base/cancel.h>
#include <config/config.h>
#include <storage/storage.h>

#include <run-core/sql.h>

/* What a session needs of its run. All of it is borrowed and outlives the session. */
struct core_sql_context {
    const struct core_engine_settings *settings; /* never NULL */
    struct core_storage *storage;
    const struct core_cancel *cancel; /* may be NULL */
    const char *temp_dir;             /* exists; for what does not fit into memory */
    /* Optional: how far the running statement is, 0 to 1; a few times a second, from any thread. */
    void (*on_progress)(void *context, double fraction);
    void *progress_context;
};

struct core_engine_ops {
    const char *name; /* as in the configuration: "duckdb" */
    enum rc_code (*open)(const struct core_sql_context *context, struct rc_sql **out,
                         struct rc_error *err);
    void (*close)(struct rc_sql *sql);
    enum rc_code (*exec)(struct rc_sql *sql, const char *statement, const struct rc_value *params,
                         size_t param_count, int64_t *changed, struct rc_error *err);
    enum rc_code (*query)(struct rc_sql *sql, const char *statement, const struct rc_value *params,
                          size_t param_count, struct rc_rows **out, struct rc_error *err);
    /* Whether the statement only reads; RC_INVALID where it does not parse. */
    enum rc_code (*is_read)(struct rc_sql *sql, const char *statement, bool *reads,
                            struct rc_error *err);
    enum rc_code (*attach)(struct rc_sql *sql, const struct rc_sql_table *table,
                           struct rc_error *err);
    enum rc_code (*write)(struct rc_sql *sql, const struct rc_sql_output *output,
                          struct rc_sql_written *written, struct rc_error *err);
    enum rc_code (*drop)(struct rc_sql *sql, const char *table, struct rc_error *err);
    void (*cancel)(struct rc_sql *sql);
    void (*add_json_text)(struct rc_sql *sql, struct rc_buf *out, const char *json,
                          const char *path);
    void (*add_json_valid)(struct rc_sql *sql, struct rc_buf *out, const char *json);
    void (*add_try_cast)(struct rc_sql *sql, struct rc_buf *out, const char *expression,
                         const char *type);
};

/* Every engine's session begins with this; callers use sql->ops->verb(sql, ...). */
struct rc_sql {
    const struct core_engine_ops *ops;
};

extern const struct core_engine_ops core_engine_duckdb;

/* The engine of that name, or NULL. */
const struct core_engine_ops *core_engine_find(const char *name);

/* Opens a session on the engine that the settings name. RC_INVALID: there is none of that name. */
RC_MUST_CHECK enum rc_code core_sql_open(const struct core_sql_context *context,
                                         struct rc_sql **out, struct rc_error *err);

#endif
