/*
 * Results in JSON: what the W3C and Virtuoso write is read, row by row and in any pieces; nothing
 * else is, and no part of it is ever taken for the whole.
 */
#include "recorded.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sparql/results.h>

#include <run-core/buf.h>
#include <run-core/str.h>

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RESULTS_AUTO RC_CLEANUP(close_results) struct sparql_results *

static void close_results(struct sparql_results **results)
{
    sparql_results_close(*results);
}

/* ---- where answers come from ----------------------------------------------------------------- */

struct source {
    const char *text;
    size_t len, at;
    size_t piece;          /* read at most so many bytes at once; 0: as many as are wanted */
    size_t cut;            /* behind so many bytes ... */
    enum rc_code cut_code; /* ... it fails with this */
};

static enum rc_code read_source(void *context, void *data, size_t capacity, size_t *len,
                                struct rc_error *err)
{
    struct source *source = context;

    *len = source->len - source->at;
    if (source->cut_code && source->at + *len > source->cut)
        *len = source->cut - source->at;
    if (source->cut_code && *len == 0)
        return rc_fail(err, source->cut_code, "the connection broke");
    *len = *len < capacity ? *len : capacity;
    if (source->piece && *len > source->piece)
        *len = source->piece;
    if (*len > 0)
        memcpy(data, source->text + source->at, *len);
    source->at += *len;
    return RC_OK;
}

static void add_term(struct rc_buf *out, const struct sparql_term *term)
{
    switch (term->kind) {
    case SPARQL_UNBOUND:
        assert_null(term->value);
        rc_buf_adds(out, "-");
        return;
    case SPARQL_IRI:
        rc_buf_addf(out, "<%s>", term->value);
        return;
    case SPARQL_BLANK:
        rc_buf_addf(out, "_:%s", term->value);
        return;
    case SPARQL_LITERAL:
        rc_buf_add_json(out, term->value, term->value_len);
        if (term->lang)
            rc_buf_addf(out, "@%s", term->lang);
        if (term->datatype)
            rc_buf_addf(out, "^^%s", strrchr(term->datatype, '#') + 1);
        return;
    }
}

static const char *const spo[] = { "s", "p", "o" };

/* All rows, a line each. */
static enum rc_code read_rows(struct source *source, const char *const *columns, size_t count,
                              struct rc_buf *out, struct rc_error *err)
{
    RESULTS_AUTO results = NULL;
    const struct sparql_term *row;

    if (sparql_results_open(read_source, source, &results, err))
        return err->code;
    for (;;) {
        if (sparql_results_next(results, columns, count, &row, err)) {
            struct rc_error again = RC_ERROR_INIT;

            assert_null(row);
            assert_int_equal(sparql_results_next(results, columns, count, &row, &again), err->code);
            return err->code;
        }
        if (!row)
            break;
        for (size_t i = 0; i < count; i++) {
            add_term(out, &row[i]);
            rc_buf_addc(out, i + 1 < count ? ' ' : '\n');
        }
    }
    assert_int_equal(sparql_results_next(results, columns, count, &row, err), RC_OK);
    assert_null(row);
    return RC_OK;
}

static enum rc_code read_boolean(struct source *source, bool *out, struct rc_error *err)
{
    RESULTS_AUTO results = NULL;

    if (sparql_results_open(read_source, source, &results, err))
        return err->code;
    return sparql_results_boolean(results, out, err);
}

/* ---- what is read ---------------------------------------------------------------------------- */

static const struct {
    const char *name, *rows;
    bool answer;
} files[] = {
    { .name = "json-res/jsonres01.srj",
      .rows = "<http://example.org/s1> <http://example.org/p1> <http://example.org/s2>\n"
              "<http://example.org/s2> <http://example.org/p2> \"foo\"\n"
              "<http://example.org/s3> <http://example.org/p2> \"bar\"\n"
              "<http://example.org/s4> <http://example.org/p4> \"4\"^^integer\n"
              "<http://example.org/s5> <http://example.org/p5> \"5\"^^decimal\n"
              "<http://example.org/s6> <http://example.org/p6> _:b0\n" },
    { .name = "json-res/jsonres02.srj",
      .rows = "<http://example.org/s1> <http://example.org/p1> <http://example.org/s2>\n"
              "<http://example.org/s2> <http://example.org/p2> \"foo\"\n"
              "<http://example.org/s3> <http://example.org/p2> \"bar\"\n"
              "<http://example.org/s4> <http://example.org/p4> \"4\"^^integer\n"
              "<http://example.org/s5> <http://example.org/p5> \"5\"^^decimal\n"
              "<http://example.org/s6> <http://example.org/p6> _:b0\n" },
    { .name = "json-res/jsonres03.srj", .answer = true },
    { .name = "json-res/jsonres04.srj", .answer = false },
    { .name = "virtuoso/select.json",
      .rows = "<http://e/a> <http://e/bn> _:nodeID://b10000\n"
              "<http://e/a> <http://e/bool> \"1\"^^boolean\n"
              "<http://e/a> <http://e/dbl> \"1500.0\"^^double\n"
              "<http://e/a> <http://e/dt> \"2026-01-31T23:59:59.250Z\"^^dateTime\n"
              "<http://e/a> <http://e/esc> "
              "\"a\\\"b\\\\c\\nd\\te\\bf\\fg\\rh'i\\u0001\x7F\u00E9\u20AC\U0001F600\U0001F600\"\n"
              "<http://e/a> <http://e/int> \"1\"^^integer\n"
              "<http://e/a> <http://e/lang> \"x\"@en\n"
              "<http://e/a> <http://e/str> \"s\"^^string\n" },
    { .name = "virtuoso/empty.json", .rows = "" },
    { .name = "virtuoso/optional.json", .rows = "<http://e/a> - \"1\"^^integer\n" },
    { .name = "virtuoso/ask.json", .answer = true },
    { .name = "virtuoso/ask_false.json", .answer = false },
};

static void check_file(size_t index, struct source source)
{
    struct rc_error err = RC_ERROR_INIT;
    RC_BUF_AUTO(rows, 1 << 16);
    bool answer = !files[index].answer;

    if (files[index].rows) {
        assert_int_equal(read_rows(&source, spo, RC_ARRAY_LEN(spo), &rows, &err), RC_OK);
        assert_string_equal(rows.data, files[index].rows);
    } else {
        assert_int_equal(read_boolean(&source, &answer, &err), RC_OK);
        assert_int_equal(answer, files[index].answer);
    }
    assert_int_equal(source.at, source.len);
}

static void test_what_stores_write_is_read_in_any_pieces(void **state)
{
    static const size_t pieces[] = { 0, 1, 2, 7, 100 };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(files); i++) {
        RC_BUF_AUTO(text, 1 << 20);

        recorded_load(files[i].name, &text);
        for (size_t j = 0; j < RC_ARRAY_LEN(pieces); j++)
            check_file(i,
                       (struct source){ .text = text.data, .len = text.len, .piece = pieces[j] });
    }
}

static void test_an_update_of_virtuoso_answers_with_a_row(void **state)
{
    static const char *const columns[] = { "callret-0" };
    struct rc_error err = RC_ERROR_INIT;
    RC_BUF_AUTO(text, 1 << 20);
    RC_BUF_AUTO(rows, 1 << 16);

    (void)state;
    recorded_load("virtuoso/insert.json", &text);
    struct source source = { .text = text.data, .len = text.len };
    assert_int_equal(read_rows(&source, columns, 1, &rows, &err), RC_OK);
    assert_true(
        rc_str_starts(rows.data, "\"Insert into <http://e/x>, 1 (or less) triples -- done"));
}

/* Blanks of JSON behind the end are no part of it. */
static size_t whole_len(const struct rc_buf *text)
{
    size_t len = text->len;

    while (len > 0 && text->data[len - 1] != '}')
        len--;
    return len;
}

static void check_cut(size_t index, struct source source, enum rc_code code)
{
    struct rc_error err = RC_ERROR_INIT;
    RC_BUF_AUTO(rows, 1 << 16);
    bool answer;

    if (files[index].rows)
        assert_int_equal(read_rows(&source, spo, RC_ARRAY_LEN(spo), &rows, &err), code);
    else
        assert_int_equal(read_boolean(&source, &answer, &err), code);
    assert_true(err.cause[0] != '\0');
}

static void test_a_part_is_never_taken_for_the_whole(void **state)
{
    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(files); i++) {
        RC_BUF_AUTO(text, 1 << 20);

        recorded_load(files[i].name, &text);
        for (size_t len = 0; len < whole_len(&text); len++) {
            /* Of the exact size, so that a byte read too much is seen. */
            char *part = rc_malloc(len + 1);

            memcpy(part, text.data, len);
            check_cut(i, (struct source){ .text = part, .len = len }, RC_CORRUPT);
            free(part);
            check_cut(
                i,
                (struct source){
                    .text = text.data, .len = text.len, .cut = len, .cut_code = RC_UNAVAILABLE },
                RC_UNAVAILABLE);
        }
    }
}

/* ---- what is refused ------------------------------------------------------------------------- */

#define HEAD "\"head\":{\"vars\":[\"s\"]}"
#define RESULTS "\"results\":{\"bindings\":[]}"
#define ROW(term) "{" HEAD ",\"results\":{\"bindings\":[{\"s\":" term "}]}}"

static const struct {
    const char *text, *says;
} broken[] = {
    { "", "empty" },
    { " \n", "empty" },
    { "[]", "no SPARQL results but: []" },
    { "true", "no SPARQL results but: true" },
    { "\xEF\xBB\xBF{}", "no SPARQL results" },
    { "no such thing\nhere\x01\x02 \xFF!", "but: no such thing here \xEF\xBF\xBD!" },
    { "<html><head><title>Sign in</title></head>\n<body>to the <b>network</b></body></html>",
      "but: Sign in to the network" },
    { "{}", "neither \"results\" nor \"boolean\"" },
    { "{" HEAD "}", "neither" },
    { "{" RESULTS "}", "no \"head\"" },
    { "{\"boolean\":true}", "no \"head\"" },
    { "{\"error\":\"no\"}", "neither" },
    { "{" HEAD ",\"results\":{}}", "no \"bindings\"" },
    { "{" HEAD ",\"results\":[]}", "no object" },
    { "{" HEAD ",\"results\":null}", "no object" },
    { "{" HEAD ",\"results\":{\"bindings\":{}}}", "no list" },
    { "{" HEAD ",\"results\":{\"bindings\":null}}", "no list" },
    { "{" HEAD ",\"results\":{\"bindings\":[],\"bindings\":[]}}", "twice" },
    { "{" HEAD "," HEAD "," RESULTS "}", "twice" },
    { "{" HEAD "," RESULTS "," RESULTS "}", "second answer" },
    { "{" HEAD "," RESULTS ",\"boolean\":true}", "second answer" },
    { "{" HEAD ",\"boolean\":true," RESULTS "}", "second answer" },
    { "{\"head\":[]," RESULTS "}", "\"head\"" },
    { "{\"head\":{\"vars\":\"s\"}," RESULTS "}", "\"head\"" },
    { "{\"head\":{\"vars\":[1]}," RESULTS "}", "\"head\"" },
    { "{" HEAD ",\"boolean\":1}", "neither true nor false" },
    { "{" HEAD ",\"boolean\":\"true\"}", "neither true nor false" },
    { "{" HEAD "," RESULTS "}x", "something follows" },
    { "{" HEAD "," RESULTS "}{}", "something follows" },
    { "{" HEAD "," RESULTS "},", "something follows" },
    { "{" HEAD "," RESULTS ",}", "name is missing" },
    { "{," HEAD "," RESULTS "}", "name is missing" },
    { "{" HEAD " " RESULTS "}", "comma is missing" },
    { "{\"head\" {}," RESULTS "}", "colon is missing" },
    { "{\"head\":," RESULTS "}", "value is missing" },
    { "{\"head\":}", "value is missing" },
    { "{" HEAD ",\"x\":tru," RESULTS "}", "broken at byte" },
    { "{" HEAD ",\"x\":{\"a\":1,\"a\":2}," RESULTS "}", "duplicate" },
    { "{" HEAD ",\"x\":[1}," RESULTS "}", "broken at byte" },
    { "{" HEAD ",1:2," RESULTS "}", "name is missing" },
    { "{" HEAD ",\"results\":{\"bindings\":[1]}}", "no object" },
    { "{" HEAD ",\"results\":{\"bindings\":[[]]}}", "no object" },
    { "{" HEAD ",\"results\":{\"bindings\":[{},]}}", "no object" },
    { "{" HEAD ",\"results\":{\"bindings\":[,{}]}}", "no object" },
    { "{" HEAD ",\"results\":{\"bindings\":[{} {}]}}", "comma is missing" },
    { "{" HEAD ",\"results\":{\"bindings\":[{}}}}", "comma is missing" },
    { ROW("1"), "?s" },
    { ROW("null"), "?s" },
    { ROW("{}"), "?s" },
    { ROW("{\"type\":\"uri\"}"), "?s" },
    { ROW("{\"value\":\"x\"}"), "?s" },
    { ROW("{\"type\":\"uri\",\"value\":1}"), "?s" },
    { ROW("{\"type\":\"iri\",\"value\":\"x\"}"), "?s" },
    { ROW("{\"type\":\"uri\",\"value\":\"a\\u0000b\"}"), "?s" },
    { ROW("{\"type\":\"bnode\",\"value\":\"a\\u0000b\"}"), "?s" },
    { ROW("{\"type\":\"literal\",\"value\":\"x\",\"datatype\":1}"), "?s" },
    { ROW("{\"type\":\"literal\",\"value\":\"x\",\"xml:lang\":\"e\\u0000\"}"), "?s" },
    { ROW("{\"type\":\"uri\",\"value\":\"x\",\"value\":\"x\"}"), "duplicate" },
    { ROW("{\"type\":\"uri\",\"value\":\"\xC3\"}"), "broken at byte" },
    { ROW("{\"type\":\"uri\",\"value\":\"\\ud800\"}"), "broken at byte" },
    { ROW("{\"type\":\"uri\",\"value\":\"\n\"}"), "broken at byte" },
};

static void test_what_is_none_is_refused_and_said_why(void **state)
{
    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(broken); i++) {
        struct rc_error err = RC_ERROR_INIT;
        struct source source = { .text = broken[i].text, .len = strlen(broken[i].text) };
        RC_BUF_AUTO(rows, 1 << 16);
        enum rc_code code = read_rows(&source, spo, RC_ARRAY_LEN(spo), &rows, &err);

        if (code != RC_CORRUPT || !strstr(err.cause, broken[i].says))
            fail_msg("%s: %d, %s", broken[i].text, (int)code, code ? err.cause : "");
    }
}

static void test_a_page_is_shown_from_its_begin(void **state)
{
    struct rc_error err = RC_ERROR_INIT;
    RC_BUF_AUTO(page, 1 << 20);
    bool answer;

    (void)state;
    rc_buf_adds(&page, "<p>Gateway");
    for (int i = 0; i < 5000; i++)
        rc_buf_adds(&page, " \xC3\xA4rgerlich");
    for (size_t piece = 0; piece < 3; piece++) {
        struct source source = { .text = page.data, .len = page.len, .piece = piece };

        assert_int_equal(read_boolean(&source, &answer, &err), RC_CORRUPT);
        assert_non_null(strstr(err.cause, "but: Gateway \xC3\xA4rgerlich"));
        assert_true(rc_str_ends(err.cause, "..."));
        assert_true(strlen(err.cause) < 300 && source.at < 40000);
    }
}

static void test_members_come_in_any_order_and_others_are_passed_over(void **state)
{
    static const char *const texts[] = {
        "{\"x\":-1.5e3,\"results\":{\"distinct\":false,\"bindings\":[{\"s\":{\"value\":\"1\","
        "\"type\":\"literal\"},\"other\":null}],\"ordered\":true},\"y\":null ," HEAD
        ",\"z\":\"}]\\\"{\"}",
        "\r\n{ \"head\" : { \"link\" : [ ] , \"vars\" : [ ] } , \"results\" : { \"bindings\" : "
        "[\t{ "
        "\"s\" : { \"type\" : \"literal\" , \"value\" : \"1\" } } ] , \"a\" : [ { } ] } , \"b\" : "
        "1 "
        "} \n",
    };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(texts); i++) {
        struct rc_error err = RC_ERROR_INIT;
        struct source source = { .text = texts[i], .len = strlen(texts[i]) };
        RC_BUF_AUTO(rows, 1 << 16);

        assert_int_equal(read_rows(&source, spo, RC_ARRAY_LEN(spo), &rows, &err), RC_OK);
        assert_string_equal(rows.data, "\"1\" - -\n");
    }
}

static void test_rows_are_no_boolean_and_a_boolean_no_rows(void **state)
{
    static const char rows_text[] = "{" HEAD "," RESULTS "}";
    static const char boolean_text[] = "{\"head\":{},\"boolean\":true}";
    struct source rows = { .text = rows_text, .len = strlen(rows_text) };
    struct source boolean = { .text = boolean_text, .len = strlen(boolean_text) };
    struct rc_error err = RC_ERROR_INIT;
    RC_BUF_AUTO(out, 1 << 10);
    bool answer;

    (void)state;
    assert_int_equal(read_boolean(&rows, &answer, &err), RC_CORRUPT);
    assert_non_null(strstr(err.cause, "has rows"));
    assert_int_equal(read_rows(&boolean, spo, RC_ARRAY_LEN(spo), &out, &err), RC_CORRUPT);
    assert_non_null(strstr(err.cause, "rows are asked for"));
}

static void test_a_literal_may_hold_nul_and_a_label_loses_its_mark(void **state)
{
    static const char text[] = ROW("{\"type\":\"literal\",\"value\":\"a\\u0000b\"}");
    static const char label[] = ROW("{\"type\":\"bnode\",\"value\":\"_:b1\"}");
    struct source source = { .text = text, .len = strlen(text) };
    struct source blank = { .text = label, .len = strlen(label) };
    struct rc_error err = RC_ERROR_INIT;
    RC_BUF_AUTO(rows, 1 << 10);

    (void)state;
    assert_int_equal(read_rows(&source, spo, 1, &rows, &err), RC_OK);
    assert_int_equal(read_rows(&blank, spo, 1, &rows, &err), RC_OK);
    assert_string_equal(rows.data, "\"a\\u0000b\"\n_:b1\n");
}

/* ---- sizes ----------------------------------------------------------------------------------- */

static enum rc_code read_padded(size_t padding, struct rc_error *err)
{
    static const char begin[] = "{" HEAD ",\"results\":{\"bindings\":[{\"s\":"
                                "{\"type\":\"literal\",\"value\":\"";
    RC_BUF_AUTO(text, 4 << 20);
    RC_BUF_AUTO(rows, 4 << 20);

    rc_buf_adds(&text, begin);
    memset(rc_buf_reserve(&text, padding), 'x', padding);
    rc_buf_added(&text, padding);
    rc_buf_adds(&text, "\"}}]}}");
    struct source source = { .text = text.data, .len = text.len };
    return read_rows(&source, spo, 1, &rows, err);
}

static void test_a_row_has_at_most_a_mebibyte(void **state)
{
    struct rc_error err = RC_ERROR_INIT;
    size_t frame = strlen("{\"s\":{\"type\":\"literal\",\"value\":\"\"}}");

    (void)state;
    assert_int_equal(read_padded((1 << 20) - frame, &err), RC_OK);
    assert_int_equal(read_padded((1 << 20) - frame + 1, &err), RC_TOO_LARGE);
    assert_int_equal(read_padded(3 << 20, &err), RC_TOO_LARGE);
}

/* Deep nesting is refused and no reason to run out of stack. */
static void test_depth_has_an_end(void **state)
{
    struct rc_error err = RC_ERROR_INIT;
    RC_BUF_AUTO(text, 1 << 20);
    RC_BUF_AUTO(rows, 1 << 10);

    (void)state;
    rc_buf_adds(&text, "{\"x\":");
    for (int i = 0; i < 200000; i++)
        rc_buf_addc(&text, '[');
    for (int i = 0; i < 200000; i++)
        rc_buf_addc(&text, ']');
    rc_buf_adds(&text, "," HEAD "," RESULTS "}");
    struct source source = { .text = text.data, .len = text.len };
    assert_int_equal(read_rows(&source, spo, 1, &rows, &err), RC_CORRUPT);
}

enum { MANY_ROWS = 1000000, LOOK_EACH = 1000, MOST_BYTES = 256 * 1024 };

/* Of the sanitizer's allocator, where there is one. */
size_t __sanitizer_get_current_allocated_bytes(void) __attribute__((weak));

static size_t allocated_bytes(void)
{
    if (__sanitizer_get_current_allocated_bytes)
        return __sanitizer_get_current_allocated_bytes();
    return mallinfo2().uordblks;
}

struct generator {
    int64_t rows;
    char text[128];
    size_t len, at;
};

/* An answer of MANY_ROWS that is nowhere in memory. */
static enum rc_code generate(void *context, void *data, size_t capacity, size_t *len,
                             struct rc_error *err)
{
    struct generator *generator = context;

    (void)err;
    if (generator->at == generator->len && generator->rows <= MANY_ROWS) {
        int64_t row = generator->rows++;
        int written =
            row == 0 ? snprintf(generator->text, sizeof(generator->text),
                                "{" HEAD ",\"results\":{\"bindings\":[")
            : row < MANY_ROWS
                ? snprintf(generator->text, sizeof(generator->text),
                           "{\"s\":{\"type\":\"literal\",\"value\":\"%d\"}},", (int)row)
                : snprintf(generator->text, sizeof(generator->text),
                           "{\"s\":{\"type\":\"literal\",\"value\":\"%d\"}}]}}", (int)row);

        generator->at = 0;
        generator->len = (size_t)written;
    }
    *len = generator->len - generator->at;
    *len = *len < capacity ? *len : capacity;
    memcpy(data, generator->text + generator->at, *len);
    generator->at += *len;
    return RC_OK;
}

static void test_a_million_rows_need_the_memory_of_one(void **state)
{
    struct generator generator = { .rows = 0 };
    struct rc_error err = RC_ERROR_INIT;
    size_t before = allocated_bytes();
    RESULTS_AUTO results = NULL;
    const struct sparql_term *row;
    int64_t rows = 0;

    (void)state;
    assert_int_equal(sparql_results_open(generate, &generator, &results, &err), RC_OK);
    for (;;) {
        assert_int_equal(sparql_results_next(results, spo, 1, &row, &err), RC_OK);
        if (!row)
            break;
        rows++;
        if (rows % LOOK_EACH == 0)
            assert_true(allocated_bytes() < before + MOST_BYTES);
    }
    assert_int_equal(rows, MANY_ROWS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_stores_write_is_read_in_any_pieces),
        cmocka_unit_test(test_an_update_of_virtuoso_answers_with_a_row),
        cmocka_unit_test(test_a_part_is_never_taken_for_the_whole),
        cmocka_unit_test(test_what_is_none_is_refused_and_said_why),
        cmocka_unit_test(test_a_page_is_shown_from_its_begin),
        cmocka_unit_test(test_members_come_in_any_order_and_others_are_passed_over),
        cmocka_unit_test(test_rows_are_no_boolean_and_a_boolean_no_rows),
        cmocka_unit_test(test_a_literal_may_hold_nul_and_a_label_loses_its_mark),
        cmocka_unit_test(test_a_row_has_at_most_a_mebibyte),
        cmocka_unit_test(test_depth_has_an_end),
        cmocka_unit_test(test_a_million_rows_need_the_memory_of_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
