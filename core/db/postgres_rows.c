/*
 * Rows of PostgreSQL. Those of a plugin's SELECT come one by one, as they are asked for; when
 * another statement is run meanwhile, as SQLite allows it, the rest is taken into memory.
 */
#include <db/postgres_rows.h>

#include <run-core/str.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Types of columns, from the server's catalogue pg_type. */
enum {
    BOOL = 16,
    BYTEA = 17,
    INT8 = 20,
    INT2 = 21,
    INT4 = 23,
    OID = 26,
    FLOAT4 = 700,
    FLOAT8 = 701
};

enum {
    MEMORY_LIMIT = 256 * 1024 * 1024, /* of rows that are gathered */
    DISCARDED_ROWS = 1000,            /* that are read to their end rather than cancelled */
};

struct core_postgres_rows {
    struct rc_rows base;
    struct core_postgres *db;
    PGresult **results; /* gathered; NULL for those that are read */
    size_t count, capacity, at;
    int row; /* the next in results[at] */
    size_t columns;
    char **names;
    Oid *types;
    struct rc_value *values;
    char **bytes;            /* of the values that are bytes */
    struct rc_error failure; /* that came while gathering; told behind the last row */
};

/* ---- values ------------------------------------------------------------------------------- */

static double parse_float(const char *text)
{
    double number = 0;

    if (rc_parse_float(text, &number))
        return number;
    if (rc_str_eq(text, "Infinity"))
        return INFINITY;
    return rc_str_eq(text, "-Infinity") ? -INFINITY : NAN;
}

static unsigned digit_of(char c)
{
    return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
}

/* From "\x00ff", the form that is asked for when connecting. */
static struct rc_value bytes_value(struct core_postgres_rows *rows, size_t column, const char *text)
{
    size_t len = (strlen(text) - 2) / 2;
    char *bytes = rc_malloc(len + 1);

    text += 2;
    for (size_t i = 0; i < len; i++)
        bytes[i] = (char)(digit_of(text[2 * i]) << 4 | digit_of(text[2 * i + 1]));
    bytes[len] = '\0';
    rows->bytes[column] = bytes;
    return rc_value_bytes(bytes, len);
}

static struct rc_value value_of(struct core_postgres_rows *rows, const PGresult *result,
                                size_t column)
{
    const struct core_libpq *pq = rows->db->pq;
    const char *text = pq->getvalue(result, rows->row, (int)column);
    int64_t integer = 0;

    if (pq->getisnull(result, rows->row, (int)column))
        return rc_value_null();
    switch (rows->types[column]) {
    case BOOL:
        return rc_value_bool(text[0] == 't');
    case INT2:
    case INT4:
    case INT8:
    case OID:
        (void)rc_parse_int(text, &integer);
        return rc_value_int(integer);
    case FLOAT4:
    case FLOAT8:
        return rc_value_float(parse_float(text));
    case BYTEA:
        return bytes_value(rows, column, text);
    default:
        return (struct rc_value){ .type = RC_VALUE_TEXT,
                                  .text = text,
                                  .len = (size_t)pq->getlength(result, rows->row, (int)column) };
    }
}

static void clear_bytes(struct core_postgres_rows *rows)
{
    for (size_t i = 0; i < rows->columns; i++) {
        free(rows->bytes[i]);
        rows->bytes[i] = NULL;
    }
}

/* ---- results ------------------------------------------------------------------------------ */

static void add_result(struct core_postgres_rows *rows, PGresult *result)
{
    if (rows->count == rows->capacity) {
        rows->capacity = rows->capacity ? rows->capacity * 2 : 1;
        rows->results = rc_realloc(rows->results, rows->capacity * sizeof(PGresult *));
    }
    rows->results[rows->count++] = result;
}

/* The next result from the connection; none, and it is free for others, behind the last. */
static enum rc_code fetch(struct core_postgres_rows *rows, struct rc_error *err)
{
    struct core_postgres *db = rows->db;
    PGresult *result;
    ExecStatusType status;

    if (core_postgres_result(db, &result, err))
        return err->code;
    if (!result) {
        db->open = NULL;
        return RC_OK;
    }
    status = db->pq->resultStatus(result);
    if (status == PGRES_SINGLE_TUPLE || status == PGRES_TUPLES_OK) {
        add_result(rows, result);
        return RC_OK;
    }
    if (core_cancel_check(db->session.cancel, err) == RC_OK)
        (void)core_postgres_fail(db, result, err);
    db->pq->clear(result);
    /* Nothing but the end follows. */
    if (db->open) {
        struct rc_error ignored;

        while (core_postgres_result(db, &result, &ignored) == RC_OK && result)
            db->pq->clear(result);
        db->open = NULL;
    }
    return err->code;
}

static bool is_open(const struct core_postgres_rows *rows)
{
    return rows->db->open == rows;
}

enum rc_code core_postgres_rows_gather(struct core_postgres *db, struct rc_error *err)
{
    struct core_postgres_rows *rows = db->open;
    size_t bytes = 0, seen;

    if (!rows)
        return RC_OK;
    while (is_open(rows)) {
        seen = rows->count;
        if (fetch(rows, &rows->failure))
            return RC_OK; /* which is the concern of those who read the rows */
        if (rows->count > seen)
            bytes += db->pq->resultMemorySize(rows->results[seen]);
        if (bytes > MEMORY_LIMIT)
            return rc_fail(err, RC_TOO_LARGE,
                           "a statement cannot be run while more than %d MiB of the rows of "
                           "another are still to come; close those first",
                           MEMORY_LIMIT / (1024 * 1024));
    }
    return RC_OK;
}

/* The result that has the next row; NULL behind the last. */
static enum rc_code find_row(struct core_postgres_rows *rows, PGresult **out, struct rc_error *err)
{
    const struct core_libpq *pq = rows->db->pq;

    for (;;) {
        *out = NULL;
        if (rows->at < rows->count) {
            *out = rows->results[rows->at];
            if (rows->row < pq->ntuples(*out))
                return RC_OK;
            pq->clear(*out);
            rows->results[rows->at++] = NULL;
            rows->row = 0;
            continue;
        }
        rows->at = rows->count = 0;
        if (rows->failure.code) {
            *err = rows->failure;
            return err->code;
        }
        if (!is_open(rows))
            return RC_OK;
        if (fetch(rows, err)) {
            rows->failure = *err;
            return err->code;
        }
    }
}

/* ---- the iterator ------------------------------------------------------------------------- */

static enum rc_code rows_next(struct rc_rows *base, const struct rc_value **row,
                              struct rc_error *err)
{
    struct core_postgres_rows *rows = (struct core_postgres_rows *)base;
    PGresult *result;

    *row = NULL;
    clear_bytes(rows);
    if (core_cancel_check(rows->db->session.cancel, err) || find_row(rows, &result, err))
        return err->code;
    if (!result)
        return RC_OK;
    for (size_t i = 0; i < rows->columns; i++)
        rows->values[i] = value_of(rows, result, i);
    rows->row++;
    *row = rows->values;
    return RC_OK;
}

static size_t rows_columns(const struct rc_rows *base, const char *const **names)
{
    const struct core_postgres_rows *rows = (const struct core_postgres_rows *)base;

    if (names)
        *names = (const char *const *)rows->names;
    return rows->columns;
}

/* Reads what is left; where that is much, the server is asked to stop, unless that would end a
 * transaction. */
static void discard(struct core_postgres_rows *rows)
{
    struct core_postgres *db = rows->db;
    struct rc_error ignored;
    PGresult *result;
    int count = 0;

    while (is_open(rows)) {
        if (core_postgres_result(db, &result, &ignored))
            return;
        if (!result)
            db->open = NULL;
        db->pq->clear(result);
        if (++count == DISCARDED_ROWS && !db->in_transaction && !core_postgres_ask_to_cancel(db)) {
            core_postgres_break(db);
            return;
        }
    }
}

static void rows_close(struct rc_rows *base)
{
    struct core_postgres_rows *rows = (struct core_postgres_rows *)base;

    discard(rows);
    clear_bytes(rows);
    for (size_t i = rows->at; i < rows->count; i++)
        rows->db->pq->clear(rows->results[i]);
    for (size_t i = 0; i < rows->columns; i++)
        free(rows->names[i]);
    free(rows->results);
    free(rows->names);
    free(rows->types);
    free(rows->values);
    free(rows->bytes);
    core_postgres_release(rows->db);
    free(rows);
}

static const struct rc_rows_api rows_api = {
    .next = rows_next,
    .columns = rows_columns,
    .close = rows_close,
};

struct rc_rows *core_postgres_rows_new(struct core_postgres *db, PGresult *first, bool open)
{
    struct core_postgres_rows *rows = rc_malloc(sizeof(*rows));
    size_t columns = (size_t)db->pq->nfields(first);

    *rows = (struct core_postgres_rows){
        .base = { .api = &rows_api },
        .db = db,
        .columns = columns,
        .names = rc_calloc(columns + 1, sizeof(*rows->names)),
        .types = rc_calloc(columns + 1, sizeof(*rows->types)),
        .values = rc_calloc(columns + 1, sizeof(*rows->values)),
        .bytes = rc_calloc(columns + 1, sizeof(*rows->bytes)),
    };
    for (size_t i = 0; i < columns; i++) {
        rows->names[i] = rc_strdup(db->pq->fname(first, (int)i));
        rows->types[i] = db->pq->ftype(first, (int)i);
    }
    add_result(rows, first);
    db->references++;
    if (open)
        db->open = rows;
    return &rows->base;
}
