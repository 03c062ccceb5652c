/*
 * Reads JSON without building a tree of it: a page of a result has megabytes of values that are
 * wanted once, in their order.
 */
#include <sql/trino_json.h>

#include <base/utf8.h>
#include <os/digest.h>

#include <string.h>

enum { DEPTH = 200, REPLACEMENT = 0xFFFD };

void core_trino_json_init(struct core_trino_json *json, const char *text, size_t len)
{
    *json = (struct core_trino_json){ .at = text, .end = text + len, .first = true };
}

static bool fail(struct core_trino_json *json)
{
    json->bad = true;
    json->at = json->end;
    return false;
}

static void skip_blanks(struct core_trino_json *json)
{
    while (json->at < json->end &&
           (*json->at == ' ' || *json->at == '\t' || *json->at == '\n' || *json->at == '\r'))
        json->at++;
}

static bool take(struct core_trino_json *json, char c)
{
    if (json->at == json->end || *json->at != c)
        return false;
    json->at++;
    return true;
}

enum core_trino_kind core_trino_json_kind(struct core_trino_json *json)
{
    skip_blanks(json);
    if (json->at == json->end)
        return CORE_TRINO_NONE;
    switch (*json->at) {
    case 'n':
        return CORE_TRINO_NULL;
    case 't':
        return CORE_TRINO_TRUE;
    case 'f':
        return CORE_TRINO_FALSE;
    case '"':
        return CORE_TRINO_STRING;
    case '[':
        return CORE_TRINO_LIST;
    case '{':
        return CORE_TRINO_MAP;
    default:
        return *json->at == '-' || (*json->at >= '0' && *json->at <= '9') ? CORE_TRINO_NUMBER
                                                                          : CORE_TRINO_NONE;
    }
}

/* ---- scalars --------------------------------------------------------------------------------- */

static bool skip_word(struct core_trino_json *json, const char *word)
{
    size_t len = strlen(word);

    if ((size_t)(json->end - json->at) < len || memcmp(json->at, word, len) != 0)
        return fail(json);
    json->at += len;
    return true;
}

static size_t skip_digits(struct core_trino_json *json)
{
    const char *begin = json->at;

    while (json->at < json->end && *json->at >= '0' && *json->at <= '9')
        json->at++;
    return (size_t)(json->at - begin);
}

static bool skip_number(struct core_trino_json *json)
{
    (void)take(json, '-');
    if (!take(json, '0') && skip_digits(json) == 0)
        return fail(json);
    if (take(json, '.') && skip_digits(json) == 0)
        return fail(json);
    if (take(json, 'e') || take(json, 'E')) {
        if (!take(json, '+'))
            (void)take(json, '-');
        if (skip_digits(json) == 0)
            return fail(json);
    }
    return true;
}

static bool skip_escape(struct core_trino_json *json)
{
    char c = '\0';

    if (json->at < json->end)
        c = *json->at++;
    if (c != 'u')
        return (c && strchr("\"\\/bfnrt", c)) || fail(json);
    for (int i = 0; i < 4; i++)
        if (json->at == json->end || core_hex_value(*json->at++) < 0)
            return fail(json);
    return true;
}

static bool skip_string(struct core_trino_json *json)
{
    json->at++;
    while (json->at < json->end) {
        unsigned char c = (unsigned char)*json->at++;

        if (c == '"')
            return true;
        if (c < 0x20 || (c == '\\' && !skip_escape(json)))
            break;
    }
    return fail(json);
}

/* ---- structure ------------------------------------------------------------------------------- */

bool core_trino_json_enter(struct core_trino_json *json, enum core_trino_kind kind)
{
    if (core_trino_json_kind(json) != kind || json->depth == DEPTH)
        return fail(json);
    json->at++;
    json->depth++;
    json->first = true;
    return true;
}

/* Whether a value follows in what 'close' ends. */
static bool go_on(struct core_trino_json *json, char close)
{
    bool first = json->first;

    skip_blanks(json);
    json->first = false;
    if (json->bad)
        return false;
    if (take(json, close)) {
        json->depth--;
        return false;
    }
    return first || take(json, ',') || fail(json);
}

bool core_trino_json_item(struct core_trino_json *json)
{
    return go_on(json, ']') && (core_trino_json_kind(json) != CORE_TRINO_NONE || fail(json));
}

bool core_trino_json_member(struct core_trino_json *json, struct core_trino_span *key)
{
    struct core_trino_span string;

    if (!go_on(json, '}'))
        return false;
    if (core_trino_json_kind(json) != CORE_TRINO_STRING)
        return fail(json);
    if (!core_trino_json_value(json, &string))
        return false;
    skip_blanks(json);
    *key = (struct core_trino_span){ string.text + 1, string.len - 2 };
    return take(json, ':') || fail(json);
}

static void skip_list(struct core_trino_json *json)
{
    struct core_trino_span item;

    (void)core_trino_json_enter(json, CORE_TRINO_LIST);
    while (core_trino_json_item(json) && core_trino_json_value(json, &item))
        continue;
}

static void skip_map(struct core_trino_json *json)
{
    struct core_trino_span key, value;

    (void)core_trino_json_enter(json, CORE_TRINO_MAP);
    while (core_trino_json_member(json, &key) && core_trino_json_value(json, &value))
        continue;
}

bool core_trino_json_value(struct core_trino_json *json, struct core_trino_span *out)
{
    enum core_trino_kind kind = core_trino_json_kind(json);

    out->text = json->at;
    switch (kind) {
    case CORE_TRINO_NONE:
        return fail(json);
    case CORE_TRINO_NULL:
        (void)skip_word(json, "null");
        break;
    case CORE_TRINO_TRUE:
        (void)skip_word(json, "true");
        break;
    case CORE_TRINO_FALSE:
        (void)skip_word(json, "false");
        break;
    case CORE_TRINO_NUMBER:
        (void)skip_number(json);
        break;
    case CORE_TRINO_STRING:
        (void)skip_string(json);
        break;
    case CORE_TRINO_LIST:
        skip_list(json);
        break;
    case CORE_TRINO_MAP:
        skip_map(json);
        break;
    }
    json->first = false;
    out->len = (size_t)(json->at - out->text);
    return !json->bad;
}

bool core_trino_json_is_over(struct core_trino_json *json)
{
    skip_blanks(json);
    return !json->bad && json->at == json->end;
}

/* ---- strings --------------------------------------------------------------------------------- */

bool core_trino_span_is(struct core_trino_span span, const char *text)
{
    return span.len == strlen(text) && memcmp(span.text, text, span.len) == 0;
}

static unsigned unit_at(const char *text)
{
    unsigned unit = 0;

    for (int i = 0; i < 4; i++)
        unit = unit * 16 + (unsigned)core_hex_value(text[i]);
    return unit;
}

static void add_character(struct rc_buf *out, unsigned c)
{
    if (c < 0x80) {
        rc_buf_addc(out, (char)c);
    } else if (c < 0x800) {
        rc_buf_addc(out, (char)(0xC0 | c >> 6));
        rc_buf_addc(out, (char)(0x80 | (c & 0x3F)));
    } else if (c < 0x10000) {
        rc_buf_addc(out, (char)(0xE0 | c >> 12));
        rc_buf_addc(out, (char)(0x80 | (c >> 6 & 0x3F)));
        rc_buf_addc(out, (char)(0x80 | (c & 0x3F)));
    } else {
        rc_buf_addc(out, (char)(0xF0 | c >> 18));
        rc_buf_addc(out, (char)(0x80 | (c >> 12 & 0x3F)));
        rc_buf_addc(out, (char)(0x80 | (c >> 6 & 0x3F)));
        rc_buf_addc(out, (char)(0x80 | (c & 0x3F)));
    }
}

/* "uXXXX" at 'at', of a string that is well-formed; returns how much of it was read. */
static size_t add_unit(struct rc_buf *out, const char *at, const char *end)
{
    unsigned unit = unit_at(at + 1), low = 0;

    if (unit >= 0xD800 && unit < 0xDC00 && end - at >= 11 && at[5] == '\\' && at[6] == 'u')
        low = unit_at(at + 7);
    if (low >= 0xDC00 && low < 0xE000) {
        add_character(out, 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00));
        return 11;
    }
    add_character(out, unit >= 0xD800 && unit < 0xE000 ? REPLACEMENT : unit);
    return 5;
}

static size_t add_escape(struct rc_buf *out, const char *at, const char *end)
{
    static const char names[] = "bfnrt", meanings[] = "\b\f\n\r\t";
    const char *name;

    if (*at == 'u')
        return add_unit(out, at, end);
    name = strchr(names, *at);
    rc_buf_addc(out, name ? meanings[name - names] : *at);
    return 1;
}

/* The bytes at 'at' that stand for themselves; behind them are '*broken' that stand for none. */
static size_t plain_len(const char *at, const char *end, size_t *broken)
{
    const char *begin = at;

    *broken = 0;
    while (at < end && *at != '\\') {
        bool valid = true;
        size_t len = (unsigned char)*at < 0x80 ? 1 : core_utf8_next(at, (size_t)(end - at), &valid);

        if (!valid) {
            *broken = len;
            break;
        }
        at += len;
    }
    return (size_t)(at - begin);
}

bool core_trino_span_add(struct rc_buf *out, struct core_trino_span string)
{
    const char *at = string.text + 1, *end = string.text + string.len - 1;

    if (string.len < 2 || *string.text != '"')
        return false;
    while (at < end) {
        size_t broken, plain = plain_len(at, end, &broken);

        rc_buf_add(out, at, plain);
        at += plain;
        if (broken > 0) {
            add_character(out, REPLACEMENT);
            at += broken;
        } else if (at < end) {
            at++;
            at += add_escape(out, at, end);
        }
    }
    return true;
}
