/*
 * Queries and their rows, streamed a chunk at a time. Booleans, numbers, texts and blobs are
 * read as they lie in memory; DuckDB itself writes all other types as text, in a
 * query around the query, so that they look as users know them.
 */
#include <sql/duckdb_session.h>

#include <run-core/str.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct core_duckdb_rows {
    struct rc_rows base;
    struct core_duckdb_session *session;
    struct duckdb_result result;
    struct duckdb_chunk *chunk;
    uint64_t row, chunk_rows;
    bool ended;           /* there is nothing to fetch any more */
    enum rc_code failure; /* why not, if not because all rows were read */
    size_t column_count;
    int *types;
    char **names;
    void **data; /* of each column in the chunk */
    uint64_t **validity;
    struct rc_value *values;
    size_t *offsets;     /* of the texts in the buffer */
    struct rc_buf texts; /* of the row, each with a NUL behind it */
};

/* What a query returns, before it is run. */
struct duckdb_columns {
    char **names;
    bool *native; /* else it has to be cast to text */
    size_t count, casts;
};

/* One row may have this much text. */
static const size_t row_limit_bytes = (size_t)1 << 30;

static bool is_native(int type)
{
    return (type >= DUCKDB_BOOLEAN && type <= DUCKDB_DOUBLE) || type == DUCKDB_HUGEINT ||
           type == DUCKDB_UHUGEINT || type == DUCKDB_VARCHAR || type == DUCKDB_BLOB ||
           type == DUCKDB_SQLNULL;
}

/*
 * Before its parameters are bound a query may not know its types: DuckDB then calls them none, or
 * any.
 */
static bool is_native_or_open(int type)
{
    return is_native(type) || type == DUCKDB_INVALID || type == DUCKDB_ANY;
}

/* Writes a 128-bit number, which no printf() knows. */
static void add_wide(struct rc_buf *out, struct duckdb_wide wide, bool negative)
{
    char digits[40];
    size_t count = 0;
    __extension__ unsigned __int128 rest = wide.upper;

    rest = rest << 64 | wide.lower;
    if (negative)
        rest = -rest;
    do {
        digits[count++] = (char)('0' + (int)(rest % 10));
        rest /= 10;
    } while (rest);
    if (negative)
        rc_buf_addc(out, '-');
    while (count)
        rc_buf_addc(out, digits[--count]);
}

static void read_wide(struct core_duckdb_rows *rows, size_t column, struct duckdb_wide wide,
                      bool has_sign)
{
    struct rc_value *value = &rows->values[column];
    bool negative = has_sign && (int64_t)wide.upper < 0;

    if ((wide.upper == 0 && wide.lower <= INT64_MAX) ||
        (negative && wide.upper == UINT64_MAX && (int64_t)wide.lower < 0)) {
        *value = rc_value_int((int64_t)wide.lower);
        return;
    }
    value->type = RC_VALUE_TEXT;
    rows->offsets[column] = rows->texts.len;
    add_wide(&rows->texts, wide, negative);
    value->len = rows->texts.len - rows->offsets[column];
    rc_buf_addc(&rows->texts, '\0');
}

static void read_text(struct core_duckdb_rows *rows, size_t column,
                      const struct duckdb_string *text, enum rc_value_type type)
{
    const char *data = text->inlined;

    if (text->len > sizeof(text->inlined))
        memcpy(&data, text->inlined + 4, sizeof(data));
    rows->values[column].type = type;
    rows->values[column].len = text->len;
    rows->offsets[column] = rows->texts.len;
    rc_buf_add(&rows->texts, data, text->len);
    rc_buf_addc(&rows->texts, '\0');
}

#define ITEM(type) (((const type *)rows->data[column])[rows->row])

static void read_value(struct core_duckdb_rows *rows, size_t column)
{
    struct rc_value *value = &rows->values[column];
    const uint64_t *validity = rows->validity[column];

    *value = rc_value_null();
    if (validity && !(validity[rows->row / 64] >> (rows->row % 64) & 1))
        return;
    switch (rows->types[column]) {
    case DUCKDB_BOOLEAN:
        *value = rc_value_bool(ITEM(uint8_t) != 0);
        break;
    case DUCKDB_TINYINT:
        *value = rc_value_int(ITEM(int8_t));
        break;
    case DUCKDB_SMALLINT:
        *value = rc_value_int(ITEM(int16_t));
        break;
    case DUCKDB_INTEGER:
        *value = rc_value_int(ITEM(int32_t));
        break;
    case DUCKDB_BIGINT:
        *value = rc_value_int(ITEM(int64_t));
        break;
    case DUCKDB_UTINYINT:
        *value = rc_value_int(ITEM(uint8_t));
        break;
    case DUCKDB_USMALLINT:
        *value = rc_value_int(ITEM(uint16_t));
        break;
    case DUCKDB_UINTEGER:
        *value = rc_value_int(ITEM(uint32_t));
        break;
    case DUCKDB_UBIGINT:
        read_wide(rows, column, (struct duckdb_wide){ .lower = ITEM(uint64_t) }, false);
        break;
    case DUCKDB_HUGEINT:
        read_wide(rows, column, ITEM(struct duckdb_wide), true);
        break;
    case DUCKDB_UHUGEINT:
        read_wide(rows, column, ITEM(struct duckdb_wide), false);
        break;
    case DUCKDB_FLOAT:
        *value = rc_value_float((double)ITEM(float));
        break;
    case DUCKDB_DOUBLE:
        *value = rc_value_float(ITEM(double));
        break;
    case DUCKDB_VARCHAR:
        read_text(rows, column, &ITEM(struct duckdb_string), RC_VALUE_TEXT);
        break;
    case DUCKDB_BLOB:
        read_text(rows, column, &ITEM(struct duckdb_string), RC_VALUE_BYTES);
        break;
    default: /* the type of a bare NULL */
        break;
    }
}

/* The next chunk that has rows; none is left behind the last, and after an error. */
static enum rc_code fetch(struct core_duckdb_rows *rows, struct rc_error *err)
{
    const struct core_duckdb_api *api = rows->session->api;
    const char *message;

    do {
        api->destroy_data_chunk(&rows->chunk);
        if (core_duckdb_check(rows->session, err))
            return err->code;
        rows->chunk = api->fetch_chunk(rows->result);
        if (!rows->chunk) {
            rows->ended = true;
            message = api->result_error(&rows->result);
            return message && *message ? core_duckdb_fail(rows->session, message, err) : RC_OK;
        }
        rows->chunk_rows = api->data_chunk_get_size(rows->chunk);
    } while (rows->chunk_rows == 0);

    rows->row = 0;
    for (size_t i = 0; i < rows->column_count; i++) {
        struct duckdb_vector *vector = api->data_chunk_get_vector(rows->chunk, i);
        rows->data[i] = api->vector_get_data(vector);
        rows->validity[i] = api->vector_get_validity(vector);
    }
    return RC_OK;
}

static enum rc_code rows_next(struct rc_rows *base, const struct rc_value **row,
                              struct rc_error *err)
{
    struct core_duckdb_rows *rows = (struct core_duckdb_rows *)base;

    *row = NULL;
    if (rows->ended)
        return rows->failure ? rc_fail(err, rows->failure, "the query has failed before") : RC_OK;
    if (rows->chunk)
        rows->row++;
    if (!rows->chunk || rows->row == rows->chunk_rows) {
        rows->failure = fetch(rows, err);
        if (rows->failure) {
            rows->ended = true;
            return rows->failure;
        }
        if (!rows->chunk)
            return RC_OK;
    }

    rc_buf_reset(&rows->texts);
    for (size_t i = 0; i < rows->column_count; i++)
        read_value(rows, i);
    if (rc_buf_check(&rows->texts, err))
        return rc_context(err, "read a row");
    for (size_t i = 0; i < rows->column_count; i++)
        if (rows->values[i].type == RC_VALUE_TEXT || rows->values[i].type == RC_VALUE_BYTES)
            rows->values[i].text = rows->texts.data + rows->offsets[i];
    *row = rows->values;
    return RC_OK;
}

static size_t rows_columns(const struct rc_rows *base, const char *const **names)
{
    const struct core_duckdb_rows *rows = (const struct core_duckdb_rows *)base;

    if (names)
        *names = (const char *const *)rows->names;
    return rows->column_count;
}

static void rows_close(struct rc_rows *base)
{
    struct core_duckdb_rows *rows = (struct core_duckdb_rows *)base;
    const struct core_duckdb_api *api = rows->session->api;

    api->destroy_data_chunk(&rows->chunk);
    api->destroy_result(&rows->result);
    core_duckdb_end(rows->session);
    rows->session->rows = NULL;
    for (size_t i = 0; i < rows->column_count; i++)
        free(rows->names[i]);
    free(rows->types);
    free(rows->names);
    free(rows->data);
    free(rows->validity);
    free(rows->values);
    free(rows->offsets);
    rc_buf_clear(&rows->texts);
    free(rows);
}

static const struct rc_rows_api rows_api = {
    .next = rows_next,
    .columns = rows_columns,
    .close = rows_close,
};

static struct core_duckdb_rows *rows_new(struct core_duckdb_session *session)
{
    struct core_duckdb_rows *rows = rc_calloc(1, sizeof(*rows));

    rows->base.api = &rows_api;
    rows->session = session;
    rc_buf_init(&rows->texts, row_limit_bytes);
    session->rows = rows;
    return rows;
}

/*
 * The result's columns; their names as the caller wrote them, where the query was put into
 * another.
 */
static enum rc_code describe(struct core_duckdb_rows *rows, const struct duckdb_columns *written,
                             struct rc_error *err)
{
    const struct core_duckdb_api *api = rows->session->api;
    size_t count = (size_t)api->column_count(&rows->result);

    rows->types = rc_calloc(count + 1, sizeof(*rows->types));
    rows->names = rc_calloc(count + 1, sizeof(*rows->names));
    rows->data = rc_calloc(count + 1, sizeof(*rows->data));
    rows->validity = rc_calloc(count + 1, sizeof(*rows->validity));
    rows->values = rc_calloc(count + 1, sizeof(*rows->values));
    rows->offsets = rc_calloc(count + 1, sizeof(*rows->offsets));
    rows->column_count = count;
    for (size_t i = 0; i < count; i++) {
        rows->types[i] = api->column_type(&rows->result, i);
        rows->names[i] =
            rc_strdup(i < written->count ? written->names[i] : api->column_name(&rows->result, i));
    }
    for (size_t i = 0; i < count; i++)
        if (!is_native(rows->types[i]))
            return rc_fail(err, RC_UNSUPPORTED,
                           "column '%s' has a type that this statement cannot return; cast it to "
                           "varchar",
                           rows->names[i]);
    return RC_OK;
}

static enum rc_code start(struct core_duckdb_rows *rows, struct duckdb_prepared *prepared,
                          struct rc_error *err)
{
    const struct core_duckdb_api *api = rows->session->api;
    struct duckdb_pending *pending = NULL;
    enum rc_code code = RC_OK;

    if (api->pending_prepared_streaming(prepared, &pending))
        code = core_duckdb_fail(rows->session, api->pending_error(pending), err);
    else if (api->execute_pending(pending, &rows->result))
        code = core_duckdb_fail(rows->session, api->result_error(&rows->result), err);
    api->destroy_pending(&pending);
    return code;
}

static void columns_read(const struct core_duckdb_api *api, struct duckdb_prepared *prepared,
                         struct duckdb_columns *out)
{
    if (api->prepared_statement_type(prepared) != DUCKDB_STATEMENT_SELECT)
        return;
    out->count = (size_t)api->prepared_statement_column_count(prepared);
    out->names = rc_calloc(out->count + 1, sizeof(*out->names));
    out->native = rc_calloc(out->count + 1, sizeof(*out->native));
    for (size_t i = 0; i < out->count; i++) {
        char *name = (char *)api->prepared_statement_column_name(prepared, i);
        out->names[i] = rc_strdup(name ? name : "");
        out->native[i] = is_native_or_open(api->prepared_statement_column_type(prepared, i));
        out->casts += !out->native[i];
        api->free(name);
    }
}

static void columns_clear(struct duckdb_columns *columns)
{
    for (size_t i = 0; i < columns->count; i++)
        free(columns->names[i]);
    free(columns->names);
    free(columns->native);
}

/* The query within one that casts to text; by position, as names need not be unique. */
static void wrap(const struct duckdb_columns *columns, const char *statement, struct rc_buf *out)
{
    rc_buf_adds(out, "SELECT ");
    for (size_t i = 0; i < columns->count; i++) {
        rc_buf_adds(out, i ? ", " : "");
        rc_buf_addf(out, columns->native[i] ? "c%zu" : "CAST(c%zu AS VARCHAR)", i);
    }
    rc_buf_adds(out, " FROM (");
    rc_buf_add(out, statement, core_duckdb_statement_length(statement));
    rc_buf_adds(out, "\n) AS t(");
    for (size_t i = 0; i < columns->count; i++)
        rc_buf_addf(out, "%sc%zu", i ? ", " : "", i);
    rc_buf_addc(out, ')');
}

static enum rc_code prepare(struct core_duckdb_session *session, const char *statement,
                            struct duckdb_columns *columns, struct duckdb_prepared **prepared,
                            struct rc_error *err)
{
    RC_BUF_AUTO(wrapped, CORE_DUCKDB_STATEMENT_LIMIT);

    if (core_duckdb_prepare(session, statement, prepared, err))
        return err->code;
    columns_read(session->api, *prepared, columns);
    if (columns->casts == 0)
        return RC_OK;
    wrap(columns, statement, &wrapped);
    if (rc_buf_check(&wrapped, err))
        return err->code;
    session->api->destroy_prepare(prepared);
    return core_duckdb_prepare(session, wrapped.data, prepared, err);
}

enum rc_code core_duckdb_query(struct rc_sql *sql, const char *statement,
                               const struct rc_value *params, size_t param_count,
                               struct rc_rows **out, struct rc_error *err)
{
    struct core_duckdb_session *session = (struct core_duckdb_session *)sql;
    struct duckdb_prepared *prepared = NULL;
    RC_CLEANUP(columns_clear) struct duckdb_columns columns = { 0 };
    struct core_duckdb_rows *rows;
    enum rc_code code;

    if (core_duckdb_begin(session, err))
        return err->code;
    rows = rows_new(session);
    code = prepare(session, statement, &columns, &prepared, err);
    if (!code)
        code = core_duckdb_bind(session, prepared, params, param_count, err);
    if (!code)
        code = start(rows, prepared, err);
    if (!code)
        code = describe(rows, &columns, err);
    session->api->destroy_prepare(&prepared);
    if (code) {
        rows_close(&rows->base);
        return code;
    }
    *out = &rows->base;
    return RC_OK;
}
