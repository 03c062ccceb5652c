/*
 * The rows of a statement, a page at a time: a value is read from the text of its page when its row
 * is wanted.
 */
#include <sql/trino_client.h>

#include <os/digest.h>

#include <run-core/str.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* One row may have this much text. */
static const size_t row_limit_bytes = (size_t)512 << 20;

struct rows {
    struct rc_rows base;
    struct core_trino_statement *statement;
    struct core_trino_json json; /* in the list of the page's rows */
    bool in_page;
    enum rc_code failure;
    size_t column_count;
    char **names;
    struct core_trino_cell *cells;
    struct rc_value *values;
    struct rc_buf texts; /* of the row, each with a NUL behind it */
};

/* ---- values ---------------------------------------------------------------------------------- */

static bool copy_number(struct core_trino_span span, char out[64])
{
    if (span.len >= 64)
        return false;
    memcpy(out, span.text, span.len);
    out[span.len] = '\0';
    return true;
}

/* What JSON has no number for comes as a text. */
static bool read_special(struct core_trino_span span, double *out)
{
    if (core_trino_span_is(span, "\"NaN\""))
        *out = NAN;
    else if (core_trino_span_is(span, "\"Infinity\""))
        *out = INFINITY;
    else if (core_trino_span_is(span, "\"-Infinity\""))
        *out = -INFINITY;
    else
        return false;
    return true;
}

static bool read_number(enum core_trino_kind kind, struct core_trino_span span,
                        const struct core_trino_cell *cell, struct rc_value *out)
{
    char text[64];
    int64_t integer;
    double number;

    if (kind == CORE_TRINO_STRING && cell->type == RC_VALUE_FLOAT && read_special(span, &number)) {
        *out = rc_value_float(number);
        return true;
    }
    if (kind != CORE_TRINO_NUMBER || !copy_number(span, text))
        return false;
    if (cell->type == RC_VALUE_INT) {
        if (!rc_parse_int(text, &integer))
            return false;
        *out = rc_value_int(integer);
        return true;
    }
    if (!rc_parse_float(text, &number))
        return false;
    /* The shortest text of a number of 32 bits stands for that, not for one of 64 beside it. */
    *out = rc_value_float(cell->is_single ? (double)(float)number : number);
    return true;
}

/* Texts move while the buffer grows: 'len' alone is right until all are there. */
static bool read_text(enum core_trino_kind kind, struct core_trino_span span,
                      const struct core_trino_cell *cell, struct rc_buf *texts,
                      struct rc_value *out)
{
    size_t begin = texts->len;

    if (kind != CORE_TRINO_STRING)
        rc_buf_add(texts, span.text, span.len);
    else if (!core_trino_span_add(texts, span))
        return false;
    if (cell->is_timestamp)
        rc_buf_truncate(texts,
                        begin + core_presto_timestamp_len(texts->data + begin, texts->len - begin));
    *out = (struct rc_value){ .type = RC_VALUE_TEXT, .len = texts->len - begin };
    rc_buf_addc(texts, '\0');
    return true;
}

static bool read_bytes(enum core_trino_kind kind, struct core_trino_span span, struct rc_buf *texts,
                       struct rc_value *out)
{
    size_t begin = texts->len;

    /* Nothing of base64 has to be escaped. */
    if (kind != CORE_TRINO_STRING || !core_add_decoded_base64(texts, span.text + 1, span.len - 2))
        return false;
    *out = (struct rc_value){ .type = RC_VALUE_BYTES, .len = texts->len - begin };
    rc_buf_addc(texts, '\0');
    return true;
}

static bool read_value(struct core_trino_json *json, const struct core_trino_cell *cell,
                       struct rc_buf *texts, struct rc_value *out)
{
    enum core_trino_kind kind = core_trino_json_kind(json);
    struct core_trino_span span;

    if (!core_trino_json_value(json, &span))
        return false;
    if (kind == CORE_TRINO_NULL) {
        *out = rc_value_null();
        return true;
    }
    switch (cell->type) {
    case RC_VALUE_BOOL:
        *out = rc_value_bool(kind == CORE_TRINO_TRUE);
        return kind == CORE_TRINO_TRUE || kind == CORE_TRINO_FALSE;
    case RC_VALUE_INT:
    case RC_VALUE_FLOAT:
        return read_number(kind, span, cell, out);
    case RC_VALUE_BYTES:
        return read_bytes(kind, span, texts, out);
    case RC_VALUE_TEXT:
    case RC_VALUE_NULL:
        break;
    }
    return read_text(kind, span, cell, texts, out);
}

static void set_texts(const struct rc_buf *texts, struct rc_value *values, size_t count)
{
    const char *at = texts->data;

    for (size_t i = 0; i < count; i++) {
        if (values[i].type != RC_VALUE_TEXT && values[i].type != RC_VALUE_BYTES)
            continue;
        values[i].text = at;
        at += values[i].len + 1;
    }
}

enum rc_code core_trino_row_read(struct core_trino_json *json, const struct core_trino_cell *cells,
                                 size_t count, struct rc_buf *texts, struct rc_value *values,
                                 bool *row, struct rc_error *err)
{
    size_t read = 0;

    rc_buf_reset(texts);
    *row = core_trino_json_item(json);
    if (*row && core_trino_json_enter(json, CORE_TRINO_LIST)) {
        while (core_trino_json_item(json)) {
            if (read == count || !read_value(json, &cells[read], texts, &values[read]))
                return rc_fail(err, RC_CORRUPT, "a row's column %zu is not what its type says",
                               read + 1);
            read++;
        }
    }
    if (json->bad || (*row && read != count))
        return rc_fail(err, RC_CORRUPT, "a row is cut short after column %zu of %zu", read, count);
    if (rc_buf_check(texts, err))
        return rc_context(err, "read a row");
    set_texts(texts, values, *row ? count : 0);
    return RC_OK;
}

/* ---- rows ------------------------------------------------------------------------------------ */

static void enter_page(struct rows *rows)
{
    struct core_trino_span data = rows->statement->page.data;

    core_trino_json_init(&rows->json, data.text, data.len);
    rows->in_page = data.len > 0 && core_trino_json_enter(&rows->json, CORE_TRINO_LIST);
}

static enum rc_code advance(struct rows *rows, bool *row, struct rc_error *err)
{
    struct core_trino_statement *statement = rows->statement;

    for (;;) {
        if (rows->in_page && core_trino_row_read(&rows->json, rows->cells, rows->column_count,
                                                 &rows->texts, rows->values, row, err))
            return rc_context(err, "query %s", statement->id);
        if (rows->in_page && *row)
            return RC_OK;
        rows->in_page = false;
        *row = false;
        if (!statement->next_uri)
            return RC_OK;
        if (core_trino_next(statement, err))
            return err->code;
        enter_page(rows);
    }
}

static enum rc_code rows_next(struct rc_rows *base, const struct rc_value **row,
                              struct rc_error *err)
{
    struct rows *rows = (struct rows *)base;
    bool has_row = false;

    *row = NULL;
    if (rows->failure)
        return rc_fail(err, rows->failure, "the query has failed before");
    rows->failure = advance(rows, &has_row, err);
    if (has_row && !rows->failure)
        *row = rows->values;
    return rows->failure;
}

static size_t rows_columns(const struct rc_rows *base, const char *const **names)
{
    const struct rows *rows = (const struct rows *)base;

    if (names)
        *names = (const char *const *)rows->names;
    return rows->column_count;
}

static void rows_close(struct rc_rows *base)
{
    struct rows *rows = (struct rows *)base;

    core_trino_end(rows->statement);
    for (size_t i = 0; i < rows->column_count; i++)
        free(rows->names[i]);
    free(rows->names);
    free(rows->cells);
    free(rows->values);
    rc_buf_clear(&rows->texts);
    free(rows);
}

static const struct rc_rows_api rows_api = {
    .next = rows_next,
    .columns = rows_columns,
    .close = rows_close,
};

static void describe(struct rows *rows, const struct core_trino_page *page)
{
    size_t count = page->column_count;

    rows->names = rc_calloc(count + 1, sizeof(*rows->names));
    rows->cells = rc_calloc(count + 1, sizeof(*rows->cells));
    rows->values = rc_calloc(count + 1, sizeof(*rows->values));
    rows->column_count = count;
    for (size_t i = 0; i < count; i++) {
        rows->names[i] = rc_strdup(page->columns[i].name);
        rows->cells[i] = (struct core_trino_cell){
            .type = core_presto_value_type(page->columns[i].type),
            .is_single = strcmp(page->columns[i].type, "real") == 0,
            .is_timestamp = core_presto_is_timestamp(page->columns[i].type),
        };
    }
}

enum rc_code core_trino_rows(struct core_trino_statement *statement, struct rc_rows **out,
                             struct rc_error *err)
{
    struct rows *rows;

    *out = NULL;
    while (!statement->page.has_columns && statement->next_uri)
        if (core_trino_next(statement, err)) {
            core_trino_end(statement);
            return err->code;
        }
    rows = rc_calloc(1, sizeof(*rows));
    rows->base.api = &rows_api;
    rows->statement = statement;
    rc_buf_init(&rows->texts, row_limit_bytes);
    describe(rows, &statement->page);
    enter_page(rows);
    *out = &rows->base;
    return RC_OK;
}
