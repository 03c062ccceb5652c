/*
 * SQL engines: the embedded one by default, others by configuration.
 *
 * A plugin states what it wants through these verbs and never asks which engine is behind them: at
 * most what it can do (enum rc_sql_feature). Its statements keep to SQL that all engines know; what
 * differs between them is written by the expression helpers. Identifiers and literals come from
 * rc_buf_add_ident() and rc_buf_add_literal(), values from parameters ($1, $2, ...), and the tables
 * of a session from rc_sql_add_table(): on a server they have other names than here.
 *
 * A session belongs to one thread at a time. A statement ends with RC_CANCELLED or RC_TIMEOUT as
 * soon as the run is asked to stop. Under --dry-run only statements that read are run. Tables of
 * the session are then made where they are in its own memory, as those of the embedded engine;
 * elsewhere that is only told, and what reads them finds no rows.
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
    const char *name; /* one identifier; an older table of that name is replaced */
    /* URIs that end with '/', or of single objects, which only engines with RC_SQL_FILES take. */
    const char *const *locations;
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

/* What not every engine can do. Since 1.7. */
enum rc_sql_feature {
    RC_SQL_FILES = 1u << 0,     /* statements read files of this process by their paths */
    RC_SQL_ORDERED = 1u << 1,   /* a written file has its rows in the order of the query */
    RC_SQL_IN_PLACE = 1u << 2,  /* objects are read where they lie; nothing is copied here */
    RC_SQL_SEARCH = 1u << 3,    /* rc_sql_search() */
    RC_SQL_CATALOGUE = 1u << 4, /* has tables of its own: rc_sql_refer(), rc_sql_publish() */
    RC_SQL_CSV = 1u << 5,       /* rc_sql_attach() reads CSV */
};

/* An engine of the configuration, before a session is opened. Since 1.7. */
struct rc_sql_engine {
    const char *name; /* under 'sql'; for messages */
    const char *kind; /* "duckdb"; for messages */
    uint32_t features;
    /* Whether it can read and write what lies at the URI, as the configuration maps it. */
    bool (*reaches)(const struct rc_sql_engine *engine, const char *uri);
};

/*
 * What a session takes where the settings of its engine leave it out, such as what the
 * configuration of an older system says. Members may be NULL. Since 1.7.
 */
struct rc_sql_options {
    size_t size;        /* sizeof(struct rc_sql_options) */
    const char *engine; /* a name under 'sql', or else a kind: "duckdb", "athena", "trino" */
    const char *region, *catalog;
    const char *results; /* URI of a folder, or the name of a bucket: for what servers leave */
};

/* Rows that a caller supplies, one value a column. Since 1.7. */
struct rc_sql_rows {
    /* Until the following call; *row is NULL behind the last. */
    enum rc_code (*next)(void *context, const struct rc_value **row, struct rc_error *err);
    void *context;
};

/* A search over the files of a table that was attached. Since 1.7. */
struct rc_sql_lookup {
    size_t size; /* sizeof(struct rc_sql_lookup) */
    const char *table;
    const char *condition;     /* over its columns */
    const char *const *except; /* URIs of objects at its locations that are not looked at */
    size_t except_count;
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

    /* Since 1.7. */
    enum rc_code (*open_with)(struct rc_job *job, const struct rc_sql_options *options,
                              struct rc_sql **out, struct rc_error *err);
    uint32_t (*features)(struct rc_sql *sql);
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
};

#endif
