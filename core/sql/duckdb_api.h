/*
 * The part of DuckDB's C API that the engine uses. The library is loaded at run time, and
 * its packages bring no header, so these are declarations of our own: opaque handles, the
 * structures that cross the border by value, and a table of the functions.
 */
#ifndef CORE_SQL_DUCKDB_API_H
#define CORE_SQL_DUCKDB_API_H

#include <run-core/error.h>

#include <stdbool.h>
#include <stdint.h>

struct duckdb_database;
struct duckdb_connection;
struct duckdb_config;
struct duckdb_extracted;
struct duckdb_prepared;
struct duckdb_pending;
struct duckdb_chunk;
struct duckdb_vector;
struct duckdb_appender;

/* Passed by value in places, so its size matters; all but the last member is the library's past. */
struct duckdb_result {
    uint64_t past_counts[3];
    void *past_pointers[2];
    void *internal;
};

struct duckdb_progress {
    double percentage; /* below 0 while unknown */
    uint64_t rows_processed;
    uint64_t rows_total;
};

/*
 * A text or blob in a vector. Up to 12 bytes stand in it; of longer ones 4, and then a pointer to
 * all.
 */
struct duckdb_string {
    uint32_t len;
    char inlined[12];
};

struct duckdb_wide {
    uint64_t lower;
    uint64_t upper; /* the sign bit counts for hugeint, not for uhugeint */
};

/* The types that rows are made of; all others are cast to text before they get here. */
enum duckdb_type {
    DUCKDB_INVALID = 0,
    DUCKDB_BOOLEAN = 1,
    DUCKDB_TINYINT = 2,
    DUCKDB_SMALLINT = 3,
    DUCKDB_INTEGER = 4,
    DUCKDB_BIGINT = 5,
    DUCKDB_UTINYINT = 6,
    DUCKDB_USMALLINT = 7,
    DUCKDB_UINTEGER = 8,
    DUCKDB_UBIGINT = 9,
    DUCKDB_FLOAT = 10,
    DUCKDB_DOUBLE = 11,
    DUCKDB_HUGEINT = 16,
    DUCKDB_VARCHAR = 17,
    DUCKDB_BLOB = 18,
    DUCKDB_UHUGEINT = 32,
    DUCKDB_ANY = 34,
    DUCKDB_SQLNULL = 36,
};

enum duckdb_statement {
    DUCKDB_STATEMENT_SELECT = 1,
    DUCKDB_STATEMENT_EXPLAIN = 4,
};

/* Result, name without "duckdb_", arguments. States are 0 for success. */
#define CORE_DUCKDB_FUNCTIONS(F)                                                                   \
    F(const char *, library_version, (void))                                                       \
    F(void, free, (void *))                                                                        \
    F(int, create_config, (struct duckdb_config **))                                               \
    F(int, set_config, (struct duckdb_config *, const char *name, const char *value))              \
    F(void, destroy_config, (struct duckdb_config **))                                             \
    F(int, open_ext,                                                                               \
      (const char *path, struct duckdb_database **, struct duckdb_config *, char **error))         \
    F(void, close, (struct duckdb_database **))                                                    \
    F(int, connect, (struct duckdb_database *, struct duckdb_connection **))                       \
    F(void, disconnect, (struct duckdb_connection **))                                             \
    F(void, interrupt, (struct duckdb_connection *))                                               \
    F(struct duckdb_progress, query_progress, (struct duckdb_connection *))                        \
    F(uint64_t, extract_statements,                                                                \
      (struct duckdb_connection *, const char *text, struct duckdb_extracted **))                  \
    F(const char *, extract_statements_error, (struct duckdb_extracted *))                         \
    F(void, destroy_extracted, (struct duckdb_extracted **))                                       \
    F(int, prepare_extracted_statement,                                                            \
      (struct duckdb_connection *, struct duckdb_extracted *, uint64_t index,                      \
       struct duckdb_prepared **))                                                                 \
    F(const char *, prepare_error, (struct duckdb_prepared *))                                     \
    F(void, destroy_prepare, (struct duckdb_prepared **))                                          \
    F(int, prepared_statement_type, (struct duckdb_prepared *))                                    \
    F(uint64_t, prepared_statement_column_count, (struct duckdb_prepared *))                       \
    F(int, prepared_statement_column_type, (struct duckdb_prepared *, uint64_t))                   \
    F(const char *, prepared_statement_column_name, (struct duckdb_prepared *, uint64_t))          \
    F(uint64_t, nparams, (struct duckdb_prepared *))                                               \
    F(int, bind_null, (struct duckdb_prepared *, uint64_t))                                        \
    F(int, bind_boolean, (struct duckdb_prepared *, uint64_t, bool))                               \
    F(int, bind_int64, (struct duckdb_prepared *, uint64_t, int64_t))                              \
    F(int, bind_double, (struct duckdb_prepared *, uint64_t, double))                              \
    F(int, bind_varchar_length, (struct duckdb_prepared *, uint64_t, const char *, uint64_t))      \
    F(int, bind_blob, (struct duckdb_prepared *, uint64_t, const void *, uint64_t))                \
    F(int, execute_prepared, (struct duckdb_prepared *, struct duckdb_result *))                   \
    F(int, pending_prepared_streaming, (struct duckdb_prepared *, struct duckdb_pending **))       \
    F(const char *, pending_error, (struct duckdb_pending *))                                      \
    F(int, execute_pending, (struct duckdb_pending *, struct duckdb_result *))                     \
    F(void, destroy_pending, (struct duckdb_pending **))                                           \
    F(const char *, result_error, (struct duckdb_result *))                                        \
    F(void, destroy_result, (struct duckdb_result *))                                              \
    F(uint64_t, rows_changed, (struct duckdb_result *))                                            \
    F(uint64_t, column_count, (struct duckdb_result *))                                            \
    F(const char *, column_name, (struct duckdb_result *, uint64_t))                               \
    F(int, column_type, (struct duckdb_result *, uint64_t))                                        \
    F(struct duckdb_chunk *, fetch_chunk, (struct duckdb_result))                                  \
    F(void, destroy_data_chunk, (struct duckdb_chunk **))                                          \
    F(uint64_t, data_chunk_get_size, (struct duckdb_chunk *))                                      \
    F(struct duckdb_vector *, data_chunk_get_vector, (struct duckdb_chunk *, uint64_t))            \
    F(void *, vector_get_data, (struct duckdb_vector *))                                           \
    F(uint64_t *, vector_get_validity, (struct duckdb_vector *))                                   \
    F(int, appender_create_ext,                                                                    \
      (struct duckdb_connection *, const char *catalog, const char *schema, const char *table,     \
       struct duckdb_appender **))                                                                 \
    F(const char *, appender_error, (struct duckdb_appender *))                                    \
    F(int, appender_close, (struct duckdb_appender *))                                             \
    F(int, appender_destroy, (struct duckdb_appender **))                                          \
    F(int, appender_end_row, (struct duckdb_appender *))                                           \
    F(int, append_null, (struct duckdb_appender *))                                                \
    F(int, append_bool, (struct duckdb_appender *, bool))                                          \
    F(int, append_int64, (struct duckdb_appender *, int64_t))                                      \
    F(int, append_double, (struct duckdb_appender *, double))                                      \
    F(int, append_varchar_length, (struct duckdb_appender *, const char *, uint64_t))

#define CORE_DUCKDB_MEMBER(result, name, arguments) result(*name) arguments;

struct core_duckdb_api {
    CORE_DUCKDB_FUNCTIONS(CORE_DUCKDB_MEMBER)
};

/*
 * The functions of the library, which is loaded by the first call of the process and stays.
 * 'configured' is the file that the settings name, or NULL. RC_NOT_FOUND: there is no library; a
 * later call tries again. RC_UNSUPPORTED: it is too old. Thread-safe.
 */
RC_MUST_CHECK enum rc_code
core_duckdb_load(const char *configured, const struct core_duckdb_api **out, struct rc_error *err);

#endif
