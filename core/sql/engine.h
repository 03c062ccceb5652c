/*
 * SQL engines: one session type, several engines behind it. The semantics are those of <run-
 * core/sql.h> and <run-core/host.h>. A session belongs to one thread at a time, core_sql_cancel()
 * alone may come from any.
 */
#ifndef CORE_SQL_ENGINE_H
#define CORE_SQL_ENGINE_H

#include <base/cancel.h>
#include <config/config.h>
#include <http/client.h>
#include <storage/storage.h>

#include <run-core/log.h>
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

    /*
     * Of engines elsewhere. What a session leaves on a server for a while is named after it, so
     * that a later one can remove what a killed run has left.
     */
    const char
        *session; /* lower-case letters, digits and '_', no other session's ever; at most 48 */
    /* Whether that session has ended, as far as is known. NULL: nobody knows. */
    bool (*is_over)(void *context, const char *session);
    void *is_over_context;
    /*
     * Optional: what a statement has read on the server when it ends, and costs, in millionths of a
     * US dollar, where something is charged. From any thread.
     */
    void (*on_scanned)(void *context, int64_t bytes, int64_t cost_micros);
    void *scanned_context;
    void (*record)(void *context, const struct core_http_record *record); /* may be NULL */
    void *record_context;
    /* Optional: what is told to people, such as the query's page on the server. */
    void (*say)(void *context, enum rc_log_level level, const char *text);
    void *say_context;
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
    enum rc_code (*make)(struct rc_sql *sql, const char *table, const char *query,
                         const struct rc_value *params, size_t param_count, int64_t *rows,
                         struct rc_error *err);
    enum rc_code (*load)(struct rc_sql *sql, const char *table, const struct rc_sql_column *columns,
                         size_t column_count, const struct rc_sql_rows *rows, struct rc_error *err);
    enum rc_code (*refer)(struct rc_sql *sql, const char *table, const char *database,
                          const char *name, struct rc_error *err);
    enum rc_code (*publish)(struct rc_sql *sql, const char *database,
                            const struct rc_sql_table *table, struct rc_error *err);
    enum rc_code (*search)(struct rc_sql *sql, const struct rc_sql_lookup *search,
                           struct rc_rows **out, struct rc_error *err);
    void (*add_table)(struct rc_sql *sql, struct rc_buf *out, const char *table);
    void (*add_hex)(struct rc_sql *sql, struct rc_buf *out, const char *expression);
    void (*add_sum)(struct rc_sql *sql, struct rc_buf *out, const char *expression,
                    const char *order);

    /* Of the engine, without a session: bits of enum rc_sql_feature. */
    uint32_t features;
    /* Whether attaching a table changes the engine's catalogue, which a dry run must not. */
    bool attach_is_change;
    /* Whether it reaches what lies at a URI that is mapped already: "s3://bucket/key". */
    bool (*reaches)(const struct core_engine_settings *settings, const char *uri);
    /*
     * Rules across the settings of an engine of this kind, without I/O. May be NULL. RC_INVALID.
     */
    enum rc_code (*check)(const struct core_engine_settings *settings, struct rc_error *err);
};

/* Every engine's session begins with this; callers use sql->ops->verb(sql, ...). */
struct rc_sql {
    const struct core_engine_ops *ops;
};

extern const struct core_engine_ops core_engine_duckdb;
extern const struct core_engine_ops core_engine_athena;
extern const struct core_engine_ops core_engine_trino;

/* The engine of that kind, or NULL. */
const struct core_engine_ops *core_engine_find(const char *name);
/* All of them, one by one; NULL behind the last. */
const struct core_engine_ops *core_engine_at(size_t index);

/* A feature as people read of it; the only place where the texts stand. NULL behind the last. */
struct core_feature {
    enum rc_sql_feature feature;
    const char *text; /* "reads CSV" */
};
extern const struct core_feature core_engine_features[];

/*
 * Whether the settings go together, and the engine reaches the folders that they name; without I/O,
 * 'storage' only maps the URIs. RC_INVALID.
 */
RC_MUST_CHECK enum rc_code core_engine_check(const struct core_engine_settings *settings,
                                             struct core_storage *storage, struct rc_error *err);

/*
 * What is told of an engine before a session is opened. Everything is borrowed; 'storage' maps the
 * URIs that are asked about and needs to reach nothing.
 */
struct core_engine_view {
    struct rc_sql_engine engine; /* first: it is what a plugin is handed */
    const struct core_engine_settings *settings;
    struct core_storage *storage;
};
RC_MUST_CHECK enum rc_code core_engine_look(const struct core_engine_settings *settings,
                                            struct core_storage *storage,
                                            struct core_engine_view *out, struct rc_error *err);

/* Opens a session on the engine that the settings name. RC_INVALID: there is none of that name. */
RC_MUST_CHECK enum rc_code core_sql_open(const struct core_sql_context *context,
                                         struct rc_sql **out, struct rc_error *err);

#endif
