/*
 * SPARQL results in JSON. The outer structure is walked here, value by value; what a value is, a
 * row above all, is jansson's to say. So memory holds one row, and never the answer.
 */
#include "results.h"

#include "text.h"

#include <run-core/buf.h>

#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    WINDOW_BYTES = 16 * 1024,
    VALUE_BYTES = 1 << 20, /* a row, or another member */
    SHOWN_BYTES = 200,     /* of what is none of this, in a message */
    LOOK_BYTES = 2048,     /* read for that */
    END = -1,              /* of the answer, or of what could be read of it */
};

enum answer { NONE, ROWS, BOOLEAN };

struct sparql_results {
    sparql_read_fn *read;
    void *context;
    struct rc_error failed; /* the first that went wrong; nothing is read behind it */

    char window[WINDOW_BYTES];
    size_t at, len;
    int64_t before_bytes; /* the window */
    bool ended;

    enum answer answer;
    bool boolean, has_head;
    /* Whether a member of the answer, one of "results" and a row were there already. */
    bool outer_begun, inner_begun, rows_begun;
    bool done;

    struct rc_buf raw;
    json_t *row;
    struct sparql_term *terms;
};

/* ---- failures -------------------------------------------------------------------------------- */

/* Unless something has failed before, which is then the reason of this, too. */
static bool broken(struct sparql_results *results, const char *format, ...) RC_PRINTF(2, 3);

static bool broken(struct sparql_results *results, const char *format, ...)
{
    char what[SHOWN_BYTES];
    va_list arguments;

    if (results->failed.code)
        return false;
    va_start(arguments, format);
    (void)vsnprintf(what, sizeof(what), format, arguments);
    va_end(arguments);
    (void)rc_fail(&results->failed, RC_CORRUPT, "the answer is broken at byte %" PRId64 ": %s",
                  results->before_bytes + (int64_t)results->at, what);
    return false;
}

/* ---- bytes ----------------------------------------------------------------------------------- */

/* More of the answer, behind what the window holds. */
static void fill(struct sparql_results *results)
{
    size_t len = 0;

    if (results->ended || results->failed.code)
        return;
    if (results->read(results->context, results->window + results->len, WINDOW_BYTES - results->len,
                      &len, &results->failed))
        return;
    RC_ASSERT(len <= WINDOW_BYTES - results->len);
    results->failed = (struct rc_error)RC_ERROR_INIT; /* it means nothing after a success */
    results->len += len;
    results->ended = len == 0;
}

/* The next byte, which stays the next. */
static int peek(struct sparql_results *results)
{
    if (results->at == results->len) {
        results->before_bytes += (int64_t)results->len;
        results->at = results->len = 0;
        fill(results);
    }
    return results->at < results->len ? (unsigned char)results->window[results->at] : END;
}

static bool is_blank(int c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* The next byte that is no blank. */
static int peek_token(struct sparql_results *results)
{
    int c;

    while (is_blank(c = peek(results)))
        results->at++;
    return c;
}

static bool take(struct sparql_results *results, int wanted, const char *missing)
{
    int c = peek_token(results);

    if (c != wanted)
        return broken(results, "%s", c == END ? "it ends too early" : missing);
    results->at++;
    return true;
}

/* ---- values ---------------------------------------------------------------------------------- */

/* How far a value has been scanned; only so as to see where it ends. */
struct scan {
    size_t depth;
    bool in_string, escaped, in_word, ended;
};

/* False: the byte is no longer of the value. */
static bool scan_byte(struct scan *scan, char c)
{
    if (scan->in_string) {
        if (scan->escaped)
            scan->escaped = false;
        else if (c == '\\')
            scan->escaped = true;
        else if (c == '"')
            scan->in_string = false;
    } else if (scan->in_word) {
        scan->ended = is_blank(c) || c == ',' || c == ']' || c == '}';
        return !scan->ended;
    } else if (c == '"') {
        scan->in_string = true;
    } else if (c == '{' || c == '[') {
        scan->depth++;
    } else if (c == '}' || c == ']') {
        scan->depth--;
    } else if (scan->depth == 0) {
        scan->in_word = true;
    }
    scan->ended = scan->depth == 0 && !scan->in_string && !scan->in_word;
    return true;
}

/* Reads the value that is next into 'raw'. */
static bool collect(struct sparql_results *results)
{
    struct scan scan = { .depth = 0 };
    int c = peek_token(results);
    size_t begin;

    if (c == '}' || c == ']' || c == ',' || c == ':')
        return broken(results, "a value is missing");
    rc_buf_reset(&results->raw);
    while (!scan.ended) {
        if (peek(results) == END)
            return broken(results, "it ends too early");
        begin = results->at;
        while (results->at < results->len && !scan.ended &&
               scan_byte(&scan, results->window[results->at]))
            results->at++;
        rc_buf_add(&results->raw, results->window + begin, results->at - begin);
        if (results->raw.overflow) {
            (void)rc_fail(&results->failed, RC_TOO_LARGE,
                          "the answer holds a row or a member of more than %d bytes", VALUE_BYTES);
            return false;
        }
    }
    return true;
}

/* The value that is next; the caller releases it. NULL: it has failed. */
static json_t *take_value(struct sparql_results *results)
{
    json_error_t error;
    json_t *value;

    if (!collect(results))
        return NULL;
    value = json_loadb(results->raw.data, results->raw.len,
                       JSON_DECODE_ANY | JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    if (!value)
        (void)broken(results, "%s", error.text);
    return value;
}

/*
 * The name of the next member, behind which the colon has been taken. NULL: there is none, and the
 * brace has been taken, or it has failed.
 */
static json_t *next_name(struct sparql_results *results, bool *begun)
{
    json_t *name;

    if (peek_token(results) == '}') {
        results->at++;
        return NULL;
    }
    if (*begun && !take(results, ',', "a comma is missing"))
        return NULL;
    *begun = true;
    if (peek_token(results) != '"') {
        (void)take(results, '"', "a member's name is missing");
        return NULL;
    }
    name = take_value(results);
    if (name && !take(results, ':', "a colon is missing")) {
        json_decref(name);
        return NULL;
    }
    return name;
}

static bool name_is(json_t *name, const char *text)
{
    return strcmp(json_string_value(name), text) == 0;
}

/* ---- members --------------------------------------------------------------------------------- */

static bool skip_value(struct sparql_results *results)
{
    json_t *value = take_value(results);

    json_decref(value);
    return value != NULL;
}

static bool read_head(struct sparql_results *results)
{
    json_t *head, *vars, *name;
    size_t i;
    bool sound;

    if (results->has_head)
        return broken(results, "\"head\" stands there twice");
    results->has_head = true;
    head = take_value(results);
    if (!head)
        return false;
    vars = json_object_get(head, "vars");
    sound = json_is_object(head) && (!vars || json_is_array(vars));
    json_array_foreach(vars, i, name) sound = sound && json_is_string(name);
    json_decref(head);
    return sound || broken(results, "\"head\" is no list of variables");
}

static bool read_boolean(struct sparql_results *results)
{
    json_t *value;
    bool sound;

    if (results->answer != NONE)
        return broken(results, "there is a second answer in it");
    results->answer = BOOLEAN;
    value = take_value(results);
    if (!value)
        return false;
    sound = json_is_boolean(value);
    results->boolean = json_is_true(value);
    json_decref(value);
    return sound || broken(results, "\"boolean\" is neither true nor false");
}

/* The members of "results", up to the first row or, behind the last, to the end. */
static bool read_inner(struct sparql_results *results)
{
    json_t *name;

    while ((name = next_name(results, &results->inner_begun)) != NULL) {
        bool bindings = name_is(name, "bindings");

        json_decref(name);
        if (bindings && results->answer != NONE)
            return broken(results, "\"bindings\" stands there twice");
        if (bindings) {
            results->answer = ROWS;
            return take(results, '[', "\"bindings\" is no list");
        }
        if (!skip_value(results))
            return false;
    }
    if (results->answer == NONE)
        return broken(results, "\"results\" has no \"bindings\"");
    return !results->failed.code;
}

static bool read_end(struct sparql_results *results)
{
    if (peek_token(results) != END)
        return broken(results, "something follows it");
    if (!results->failed.code && results->answer == NONE)
        return broken(results, "it has neither \"results\" nor \"boolean\"");
    if (!results->failed.code && !results->has_head)
        return broken(results, "it has no \"head\"");
    results->done = !results->failed.code;
    return results->done;
}

/* The members of the answer, up to the first row or to the end. */
static bool read_outer(struct sparql_results *results)
{
    json_t *name;

    while ((name = next_name(results, &results->outer_begun)) != NULL) {
        bool head = name_is(name, "head"), boolean = name_is(name, "boolean");
        bool rows = name_is(name, "results");

        json_decref(name);
        if (rows) {
            if (results->answer != NONE)
                return broken(results, "there is a second answer in it");
            return take(results, '{', "\"results\" is no object") && read_inner(results);
        }
        if (!(head ? read_head : boolean ? read_boolean : skip_value)(results))
            return false;
    }
    return !results->failed.code && read_end(results);
}

/* ---- terms ----------------------------------------------------------------------------------- */

static bool read_kind(const char *type, enum sparql_kind *out)
{
    static const struct {
        const char *type;
        enum sparql_kind kind;
    } kinds[] = {
        { "uri", SPARQL_IRI },
        { "bnode", SPARQL_BLANK },
        { "literal", SPARQL_LITERAL },
        { "typed-literal", SPARQL_LITERAL },
    };

    for (size_t i = 0; type && i < RC_ARRAY_LEN(kinds); i++) {
        if (strcmp(type, kinds[i].type) == 0) {
            *out = kinds[i].kind;
            return true;
        }
    }
    return false;
}

/* A member that may be absent, and holds no NUL. */
static bool read_text(json_t *object, const char *key, const char **out)
{
    json_t *value = json_object_get(object, key);

    *out = json_string_value(value);
    return !value || (*out && strlen(*out) == json_string_length(value));
}

static bool read_term(json_t *object, struct sparql_term *out)
{
    const char *type;
    json_t *value = json_object_get(object, "value");

    if (!read_text(object, "type", &type) || !read_kind(type, &out->kind) ||
        !json_is_string(value) || !read_text(object, "datatype", &out->datatype) ||
        !read_text(object, "xml:lang", &out->lang))
        return false;
    out->value = json_string_value(value);
    out->value_len = json_string_length(value);
    if (out->kind == SPARQL_BLANK && strncmp(out->value, "_:", 2) == 0) {
        out->value += 2;
        out->value_len -= 2;
    }
    return out->kind == SPARQL_LITERAL || strlen(out->value) == out->value_len;
}

static bool read_row(struct sparql_results *results, const char *const *columns,
                     size_t column_count)
{
    results->row = take_value(results);
    if (!results->row)
        return false;
    results->terms = rc_realloc(results->terms, (column_count + 1) * sizeof(*results->terms));
    for (size_t i = 0; i < column_count; i++) {
        json_t *object = json_object_get(results->row, columns[i]);

        results->terms[i] = (struct sparql_term){ .kind = SPARQL_UNBOUND };
        if (object && !read_term(object, &results->terms[i]))
            return broken(results, "?%s of the row before it is no term", columns[i]);
    }
    return true;
}

/* ---- for the reader -------------------------------------------------------------------------- */

/* What came is not even an object: a page of HTML, a sentence, or nothing. */
static void refuse(struct sparql_results *results)
{
    RC_BUF_AUTO(shown, SHOWN_BYTES + 4);

    while (!results->ended && !results->failed.code && results->len < LOOK_BYTES)
        fill(results);
    results->failed = (struct rc_error)RC_ERROR_INIT; /* a cut page is none either */
    sparql_text_show(&shown, results->window, results->len, SHOWN_BYTES);
    if (shown.len == 0)
        (void)rc_fail(&results->failed, RC_CORRUPT, "the answer is empty");
    else
        (void)rc_fail(&results->failed, RC_CORRUPT, "the answer is no SPARQL results but: %s",
                      shown.data);
}

enum rc_code sparql_results_open(sparql_read_fn *read, void *context, struct sparql_results **out,
                                 struct rc_error *err)
{
    struct sparql_results *results = rc_calloc(1, sizeof(*results));
    int c;

    *out = results;
    results->read = read;
    results->context = context;
    rc_buf_init(&results->raw, VALUE_BYTES);
    c = peek_token(results);
    if (c != '{' && !results->failed.code)
        refuse(results);
    else if (c == '{')
        results->at++;
    if (!results->failed.code && read_outer(results))
        return RC_OK;
    *err = results->failed;
    sparql_results_close(results);
    *out = NULL;
    return err->code;
}

static bool next_row(struct sparql_results *results, const char *const *columns,
                     size_t column_count)
{
    json_decref(results->row);
    results->row = NULL;
    if (results->failed.code || results->done)
        return false;
    if (peek_token(results) == ']') {
        results->at++;
        (void)(read_inner(results) && read_outer(results));
        return false;
    }
    if (results->rows_begun && !take(results, ',', "a comma is missing"))
        return false;
    results->rows_begun = true;
    if (peek_token(results) != '{')
        return take(results, '{', "a row is no object");
    return read_row(results, columns, column_count);
}

enum rc_code sparql_results_next(struct sparql_results *results, const char *const *columns,
                                 size_t column_count, const struct sparql_term **row,
                                 struct rc_error *err)
{
    *row = NULL;
    if (results->answer == BOOLEAN)
        (void)broken(results, "it is true or false, where rows are asked for");
    if (next_row(results, columns, column_count))
        *row = results->terms;
    if (results->failed.code)
        *err = results->failed;
    return results->failed.code;
}

enum rc_code sparql_results_boolean(struct sparql_results *results, bool *out, struct rc_error *err)
{
    if (results->answer != BOOLEAN)
        (void)broken(results, "it has rows, where true or false is asked for");
    *out = results->boolean;
    if (results->failed.code)
        *err = results->failed;
    return results->failed.code;
}

void sparql_results_close(struct sparql_results *results)
{
    if (!results)
        return;
    json_decref(results->row);
    rc_buf_clear(&results->raw);
    free(results->terms);
    free(results);
}
