/*
 * Any bytes as what a store answers: however they come in pieces, the same rows are read or the
 * same thing is wrong; and what is read to its end is what jansson finds in the whole text.
 */
#include <sparql/results.h>

#include <run-core/buf.h>

#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct source {
    const char *text;
    size_t len, at, piece;
};

static enum rc_code read_source(void *context, void *data, size_t capacity, size_t *len,
                                struct rc_error *err)
{
    struct source *source = context;

    (void)err;
    *len = source->len - source->at;
    *len = *len < capacity ? *len : capacity;
    *len = *len < source->piece ? *len : source->piece;
    if (*len > 0)
        memcpy(data, source->text + source->at, *len);
    source->at += *len;
    return RC_OK;
}

static void add_term(struct rc_buf *out, const struct sparql_term *term)
{
    rc_buf_addf(out, "%d %s %s ", (int)term->kind, term->datatype ? term->datatype : "-",
                term->lang ? term->lang : "-");
    RC_ASSERT((term->kind == SPARQL_UNBOUND) == (term->value == NULL));
    if (!term->value)
        return;
    RC_ASSERT(term->value[term->value_len] == '\0');
    RC_ASSERT(term->kind == SPARQL_LITERAL || strlen(term->value) == term->value_len);
    rc_buf_add_json(out, term->value, term->value_len);
}

/* What was read, as text; *rows is -1 unless all rows were. */
static void read_all(const char *text, size_t len, size_t piece, struct rc_buf *out, int64_t *rows)
{
    static const char *const columns[] = { "s", "o" };
    struct source source = { .text = text, .len = len, .piece = piece };
    struct rc_error err = RC_ERROR_INIT;
    struct sparql_results *results;
    const struct sparql_term *row = NULL;
    bool boolean;

    *rows = -1;
    if (sparql_results_open(read_source, &source, &results, &err)) {
        RC_ASSERT(err.code == RC_CORRUPT || err.code == RC_TOO_LARGE);
        rc_buf_addf(out, "%s", err.cause);
        return;
    }
    for (int64_t count = 0;; count++) {
        if (sparql_results_next(results, columns, RC_ARRAY_LEN(columns), &row, &err)) {
            RC_ASSERT(!row && err.cause[0] != '\0');
            rc_buf_addf(out, "%s", err.cause);
            break;
        }
        if (!row) {
            *rows = count;
            break;
        }
        for (size_t i = 0; i < RC_ARRAY_LEN(columns); i++)
            add_term(out, &row[i]);
    }
    RC_ASSERT(*rows < 0 || sparql_results_boolean(results, &boolean, &err) == RC_CORRUPT);
    sparql_results_close(results);
}

static void check_boolean(const char *text, size_t len, const json_t *whole)
{
    struct source source = { .text = text, .len = len, .piece = len + 1 };
    struct rc_error err = RC_ERROR_INIT;
    struct sparql_results *results;
    bool boolean;

    if (sparql_results_open(read_source, &source, &results, &err))
        return;
    if (sparql_results_boolean(results, &boolean, &err) == RC_OK && whole)
        RC_ASSERT(json_is_true(json_object_get(whole, "boolean")) == boolean);
    sparql_results_close(results);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t pieces[] = { 1, 5, SIZE_MAX };
    const char *text = (const char *)data;
    json_t *whole =
        json_loadb(text, size, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
    RC_BUF_AUTO(first, SIZE_MAX);
    int64_t rows, first_rows;

    read_all(text, size, pieces[0], &first, &first_rows);
    for (size_t i = 1; i < RC_ARRAY_LEN(pieces); i++) {
        RC_BUF_AUTO(other, SIZE_MAX);

        read_all(text, size, pieces[i], &other, &rows);
        RC_ASSERT(rows == first_rows && strcmp(first.data, other.data) == 0);
    }
    /* Members that the format does not know may stand there twice, which jansson refuses. */
    if (first_rows >= 0 && whole)
        RC_ASSERT((int64_t)json_array_size(json_object_get(json_object_get(whole, "results"),
                                                           "bindings")) == first_rows);
    check_boolean(text, size, whole);
    json_decref(whole);
    return 0;
}
