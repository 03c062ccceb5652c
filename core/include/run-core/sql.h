/*
 * SQL engines: the embedded one by default, others by configuration.
 *
 * A plugin states what it wants through these verbs and never asks which engine is behind them.
 * Its statements keep to SQL that all engines know; what differs between them is written by the
 * expression helpers. Identifiers and literals come from rc_buf_add_ident() and
 * rc_buf_add_literal(), values from parameters ($1, $2, ...).
 *
 * A session belongs to one thread at a time. A statement ends with RC_CANCELLED or RC_TIMEOUT as
 * soon as the run is asked to stop. Under --dry-run only statements that read are run.
 */
#ifndef RUN_CORE_SQL_H
#define RUN_CORE_SQL_H

#include <run-core/buf.h>
#include <run-core/option.h>
#include <run-core/value.h>

struct rc_job;
struct rc_sql;

struct rc_sql_column {
    const char *name;
    const char *type; /* varchar, bigint, integer, double, boolean, date, timestamp, decimal(p,s) */
};

/*
 * An external table: the files below some locations, read where they lie, or as copies where the
 * engine cannot reach them.
 */
struct rc_sql_table {
    const char *name;             /* one identifier; an older table of that name is replaced */
    const char *const *locations; /* URIs that end with '/', or of single objects */
    size_t location_count;
    const char *format;                  /* parquet, json or csv; NULL: by the names of the files */
    const struct rc_sql_column *columns; /* of the files; a location without files gives no rows */
    size_t column_count;
    const struct rc_sql_column *partitions; /* key=value folders on the way to the files */
    size_t partition_count;
};

/* The files that a query writes. */
struct rc_sql_output {
    const char *query;
    const struct rc_value *params;
    size_t param_count;
    const char *location;    /* a URI: ending with '/', a folder; else a single object */
    const char *format;      /* parquet or csv */
    const char *compression; /* zstd, snappy, gzip or none; NULL: zstd for parquet, gzip for csv */
    const char *const *partition_by; /* columns that become key=value folders, not file content */
    size_t partition_count;
    bool header; /* of csv */
};

struct rc_sql_written {
    int64_t rows, files, bytes;
};

struct rc_sql_api {
    enum rc_code (*open)(struct rc_job *job, const char *engine, struct rc_sql **out,
                         struct rc_error *err);
    void (*close)(struct rc_sql *sql);

    enum rc_code (*exec)(struct rc_sql *sql, const char *statement, const struct rc_value *params,
                         size_t param_count, int64_t *changed, struct rc_error *err);
    enum rc_code (*query)(struct rc_sql *sql, const char *statement, const struct rc_value *params,
                          size_t param_count, struct rc_rows **out, struct rc_error *err);

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

#endif
