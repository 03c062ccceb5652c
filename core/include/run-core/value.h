/*
 * Typed values of SQL parameters and result rows, and the iterator over rows. Both
 * the SQL engines (sql.h) and the state database (db.h) speak them.
 */
#ifndef RUN_CORE_VALUE_H
#define RUN_CORE_VALUE_H

#include <run-core/error.h>

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum rc_value_type {
    RC_VALUE_NULL = 0,
    RC_VALUE_BOOL,
    RC_VALUE_INT, /* every integer that fits into 64 bits with sign */
    RC_VALUE_FLOAT,
    RC_VALUE_TEXT, /* UTF-8; also what has no type here, as the engine writes it: decimals, dates */
    RC_VALUE_BYTES,
};

struct rc_value {
    enum rc_value_type type;
    bool boolean;
    int64_t integer;
    double number;
    const char
        *text; /* of TEXT and BYTES, followed by a NUL that 'len' does not count; else NULL */
    size_t len;
};

struct rc_rows;

struct rc_rows_api {
    enum rc_code (*next)(struct rc_rows *rows, const struct rc_value **row, struct rc_error *err);
    size_t (*columns)(const struct rc_rows *rows, const char *const **names);
    void (*close)(struct rc_rows *rows);
};

/* Every implementation of rows begins with this. */
struct rc_rows {
    const struct rc_rows_api *api;
};

/*
 * The next row, one value a column, valid until the following call; *row is NULL behind the last.
 */
static inline RC_MUST_CHECK enum rc_code
rc_rows_next(struct rc_rows *rows, const struct rc_value **row, struct rc_error *err)
{
    return rows->api->next(rows, row, err);
}

/*
 * The number of columns, and their names if 'names' is not NULL; valid until the rows are closed.
 */
static inline size_t rc_rows_columns(const struct rc_rows *rows, const char *const **names)
{
    return rows->api->columns(rows, names);
}

/* Ends the statement, also before the last row. For RC_CLEANUP; *rows may be NULL. */
static inline void rc_rows_close(struct rc_rows **rows)
{
    if (*rows)
        (*rows)->api->close(*rows);
    *rows = NULL;
}

#define RC_ROWS_AUTO(name) RC_CLEANUP(rc_rows_close) struct rc_rows *name = NULL

static inline struct rc_value rc_value_null(void)
{
    struct rc_value value = { RC_VALUE_NULL, false, 0, 0.0, NULL, 0 };
    return value;
}

static inline struct rc_value rc_value_bool(bool boolean)
{
    struct rc_value value = { RC_VALUE_BOOL, boolean, 0, 0.0, NULL, 0 };
    return value;
}

static inline struct rc_value rc_value_int(int64_t integer)
{
    struct rc_value value = { RC_VALUE_INT, false, integer, 0.0, NULL, 0 };
    return value;
}

static inline struct rc_value rc_value_float(double number)
{
    struct rc_value value = { RC_VALUE_FLOAT, false, 0, number, NULL, 0 };
    return value;
}

/* Borrows 'text'; NULL gives the SQL NULL. */
static inline struct rc_value rc_value_text(const char *text)
{
    struct rc_value value = {
        text ? RC_VALUE_TEXT : RC_VALUE_NULL, false, 0, 0.0, text, text ? strlen(text) : 0
    };
    return value;
}

/* Borrows 'data'. */
static inline struct rc_value rc_value_bytes(const void *data, size_t len)
{
    struct rc_value value = { RC_VALUE_BYTES, false, 0, 0.0, (const char *)data, len };
    return value;
}

#endif
