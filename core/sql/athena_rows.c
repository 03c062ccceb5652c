/*
 * The results of queries, fetched a page at a time when their rows are wanted.
 */
#include <sql/athena.h>

#include <run-core/str.h>

#include <stdlib.h>

enum {
    BODY_BYTES = 8192,
    CELL_BYTES = 32 << 20, /* of a row, at Athena */
    SMALLER = 10,
};

struct rows {
    struct rc_rows base;
    struct core_athena *athena;
    const struct core_cancel *cancel;
    struct core_athena_done done;
    int page_rows; /* that are asked for at once */
    struct core_arena arena;
    struct core_athena_page page;
    size_t row;
    enum rc_code failure;

    size_t column_count;
    char **names, **types;
    struct rc_value *values;
    struct rc_buf *bytes; /* of each column */
};

/* ---- pages ----------------------------------------------------------------------------------- */

static enum rc_code fetch(struct core_athena *athena, const char *id, const char *token,
                          int max_rows, const struct core_cancel *cancel, struct core_arena *arena,
                          struct core_athena_page *out, struct rc_error *err)
{
    RC_BUF_AUTO(body, BODY_BYTES);
    struct core_http_answer answer;
    struct core_athena_call call = {
        .operation = "GetQueryResults",
        .body = &body,
        .flow = CORE_ATHENA_READS,
        .cancel = cancel,
    };
    enum rc_code code;

    core_athena_add_page(id, token, max_rows, &body);
    core_http_answer_init(&answer, CORE_ATHENA_REPLY_BYTES);
    code = core_athena_send(athena, &call, &answer, err);
    if (!code)
        code = core_athena_read_page(arena, answer.body.data, answer.body.len, out, err);
    core_http_answer_clear(&answer);
    if (code)
        return rc_context(err, "read the result of the query %s", id);
    return RC_OK;
}

/* The page behind 'token'. Of rows that are very long fewer are asked for, from then on. */
static enum rc_code fetch_page(struct rows *rows, const char *token, struct rc_error *err)
{
    for (;;) {
        struct core_arena arena = CORE_ARENA_INIT;
        struct core_athena_page page;
        enum rc_code code = fetch(rows->athena, rows->done.id, token, rows->page_rows, rows->cancel,
                                  &arena, &page, err);

        if (!code && token && rc_str_eq(token, page.next_token))
            code = rc_fail(err, RC_CORRUPT,
                           "the result of the query %s goes on with the page that it has just "
                           "given",
                           rows->done.id);
        if (!code) {
            /* 'token' is in the old one. */
            core_arena_clear(&rows->arena);
            rows->arena = arena;
            rows->page = page;
            rows->row = 0;
            return RC_OK;
        }
        core_arena_clear(&arena);
        if (code != RC_TOO_LARGE || rows->page_rows == 1)
            return code;
        rows->page_rows = rows->page_rows > SMALLER ? rows->page_rows / SMALLER : 1;
    }
}

/* Keeps what all pages have in common. */
static void take_columns(struct rows *rows)
{
    size_t count = rows->page.column_count;

    rows->column_count = count;
    rows->names = rc_calloc(count + 1, sizeof(*rows->names));
    rows->types = rc_calloc(count + 1, sizeof(*rows->types));
    rows->values = rc_calloc(count + 1, sizeof(*rows->values));
    rows->bytes = rc_calloc(count + 1, sizeof(*rows->bytes));
    for (size_t i = 0; i < count; i++) {
        rows->names[i] = rc_strdup(rows->page.columns[i].name);
        rows->types[i] = rc_strdup(rows->page.columns[i].type);
        rc_buf_init(&rows->bytes[i], CELL_BYTES);
    }
}

static enum rc_code begin(struct rows *rows, struct rc_error *err)
{
    if (fetch_page(rows, /* token = */ NULL, err))
        return err->code;
    take_columns(rows);
    /* Of a query the names come as a row before the others; of other statements they do not. */
    if (rows->done.type != CORE_ATHENA_DDL && rows->done.type != CORE_ATHENA_UTILITY &&
        core_athena_has_header(&rows->page))
        rows->row = 1;
    return RC_OK;
}

/* ---- rows ------------------------------------------------------------------------------------ */

static enum rc_code read_row(struct rows *rows, struct rc_error *err)
{
    size_t len = core_athena_row_len(&rows->page, rows->row);

    if (rows->page.column_count != rows->column_count ||
        (len != rows->column_count && rows->done.type == CORE_ATHENA_DML))
        return rc_fail(err, RC_CORRUPT, "a row of the query %s has %zu cells, not %zu",
                       rows->done.id, len, rows->column_count);
    for (size_t i = 0; i < rows->column_count; i++)
        if (core_athena_read_value(rows->types[i], core_athena_cell(&rows->page, rows->row, i),
                                   &rows->bytes[i], &rows->values[i], err))
            return rc_context(err, "read the column '%s' of the query %s", rows->names[i],
                              rows->done.id);
    return RC_OK;
}

static enum rc_code step(struct rows *rows, bool *has_row, struct rc_error *err)
{
    /* A page may be empty and not the last. */
    while (rows->row == rows->page.row_count) {
        *has_row = false;
        if (!rows->page.next_token)
            return RC_OK;
        if (fetch_page(rows, rows->page.next_token, err))
            return err->code;
    }
    *has_row = true;
    if (read_row(rows, err))
        return err->code;
    rows->row++;
    return RC_OK;
}

static enum rc_code rows_next(struct rc_rows *base, const struct rc_value **row,
                              struct rc_error *err)
{
    struct rows *rows = (struct rows *)base;
    bool has_row = false;

    *row = NULL;
    if (rows->failure)
        return rc_fail(err, rows->failure, "reading the result of the query %s has failed before",
                       rows->done.id);
    if (core_cancel_check(rows->cancel, err) || step(rows, &has_row, err)) {
        rows->failure = err->code;
        return err->code;
    }
    if (has_row)
        *row = rows->values;
    return RC_OK;
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

    for (size_t i = 0; i < rows->column_count; i++) {
        free(rows->names[i]);
        free(rows->types[i]);
        rc_buf_clear(&rows->bytes[i]);
    }
    free(rows->names);
    free(rows->types);
    free(rows->values);
    free(rows->bytes);
    core_arena_clear(&rows->arena);
    free(rows);
}

static const struct rc_rows_api rows_api = {
    .next = rows_next,
    .columns = rows_columns,
    .close = rows_close,
};

enum rc_code core_athena_rows_open(struct core_athena *athena, const struct core_athena_done *done,
                                   const struct core_cancel *cancel, struct rc_rows **out,
                                   struct rc_error *err)
{
    struct rows *rows = rc_calloc(1, sizeof(*rows));

    *rows = (struct rows){
        .base.api = &rows_api,
        .athena = athena,
        .cancel = cancel,
        .done = *done,
        .page_rows = CORE_ATHENA_PAGE_ROWS,
    };
    *out = NULL;
    if (begin(rows, err)) {
        rows_close(&rows->base);
        return err->code;
    }
    *out = &rows->base;
    return RC_OK;
}

enum rc_code core_athena_updated(struct core_athena *athena, const struct core_athena_done *done,
                                 const struct core_cancel *cancel, int64_t *out,
                                 struct rc_error *err)
{
    RC_CLEANUP(core_arena_clear) struct core_arena arena = CORE_ARENA_INIT;
    struct core_athena_page page;

    *out = -1;
    if (fetch(athena, done->id, /* token = */ NULL, 1, cancel, &arena, &page, err))
        return err->code == RC_INVALID ? RC_OK : err->code; /* it has none */
    /* Older versions say 0 of whatever they have written. */
    if (page.updated > 0)
        *out = page.updated;
    return RC_OK;
}
