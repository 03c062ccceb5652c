/*
 * Reads strict JSON (RFC 8259). libyaml takes most JSON for YAML, but not that of
 * real tools: surrogate pairs, a ':' on the next line, keys of more than 1024 characters.
 * Documents with YAML's own liberties are left to yaml.c.
 */
#include <config/reader.h>

#include <run-core/buf.h>

#include <stdint.h>
#include <string.h>

struct json {
    const struct core_reader *reader;
    const char *at, *end;
    const char *mark; /* up to here lines and columns are counted */
    size_t line, column;
    const char *reason; /* why it is no JSON; NULL: it still is */
    struct core_place where;
    struct rc_buf text; /* of the string being read */
};

/* The place of 'at', which never lies before an earlier one. */
static struct core_place place_of(struct json *json, const char *at)
{
    for (; json->mark < at; json->mark++) {
        unsigned char byte = (unsigned char)*json->mark;

        if (byte == '\n' ||
            (byte == '\r' && !(json->mark + 1 < json->end && json->mark[1] == '\n'))) {
            json->line++;
            json->column = 1;
        } else if ((byte & 0xC0) != 0x80) {
            json->column++;
        }
    }
    return core_reader_place(json->reader, json->line, json->column);
}

static void *fail(struct json *json, const char *reason)
{
    if (!json->reason) {
        json->reason = reason;
        json->where = place_of(json, json->at);
    }
    return NULL;
}

static void skip_blanks(struct json *json)
{
    while (json->at < json->end &&
           (*json->at == ' ' || *json->at == '\t' || *json->at == '\n' || *json->at == '\r'))
        json->at++;
}

static bool take(struct json *json, char c)
{
    skip_blanks(json);
    if (json->at == json->end || *json->at != c)
        return false;
    json->at++;
    return true;
}

/* Four hexadecimal digits behind "\u". */
static bool read_unit(struct json *json, uint32_t *unit)
{
    *unit = 0;
    for (int i = 0; i < 4; i++, json->at++) {
        char c = json->at < json->end ? *json->at : '\0';
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;

        if (digit < 0)
            return fail(json, "four hexadecimal digits are expected after '\\u'") != NULL;
        *unit = *unit << 4 | (uint32_t)digit;
    }
    return true;
}

static void add_utf8(struct rc_buf *out, uint32_t c)
{
    if (c < 0x80) {
        rc_buf_addc(out, (char)c);
        return;
    }
    if (c < 0x800) {
        rc_buf_addc(out, (char)(0xC0 | c >> 6));
    } else {
        if (c < 0x10000) {
            rc_buf_addc(out, (char)(0xE0 | c >> 12));
        } else {
            rc_buf_addc(out, (char)(0xF0 | c >> 18));
            rc_buf_addc(out, (char)(0x80 | (c >> 12 & 0x3F)));
        }
        rc_buf_addc(out, (char)(0x80 | (c >> 6 & 0x3F)));
    }
    rc_buf_addc(out, (char)(0x80 | (c & 0x3F)));
}

/* Behind "\u". A character beyond U+FFFF comes as two units, a surrogate pair. */
static bool read_unicode(struct json *json)
{
    uint32_t unit, low;

    if (!read_unit(json, &unit))
        return false;
    if (unit >= 0xD800 && unit < 0xDC00) {
        if (json->end - json->at < 2 || json->at[0] != '\\' || json->at[1] != 'u')
            return fail(json, "half of a surrogate pair: '\\uDC00' to '\\uDFFF' must follow") !=
                   NULL;
        json->at += 2;
        if (!read_unit(json, &low))
            return false;
        if (low < 0xDC00 || low > 0xDFFF)
            return fail(json, "half of a surrogate pair: '\\uDC00' to '\\uDFFF' must follow") !=
                   NULL;
        unit = 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
    } else if (unit >= 0xDC00 && unit <= 0xDFFF) {
        return fail(json, "half of a surrogate pair: '\\uD800' to '\\uDBFF' must precede") != NULL;
    }
    add_utf8(&json->text, unit);
    return true;
}

static bool read_escape(struct json *json)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    char c = json->at < json->end ? *json->at : '\0';
    const char *found = c ? strchr(from, c) : NULL;

    if (c == 'u') {
        json->at++;
        return read_unicode(json);
    }
    if (!found)
        return fail(json,
                    "unknown escape; JSON has \\\" \\\\ \\/ \\b \\f \\n \\r \\t and \\uXXXX") !=
               NULL;
    rc_buf_addc(&json->text, to[found - from]);
    json->at++;
    return true;
}

/* A string, whose opening quote comes next, into json->text. */
static bool read_string(struct json *json)
{
    const char *open = json->at++;

    rc_buf_reset(&json->text);
    for (;;) {
        const char *plain = json->at;

        while (json->at < json->end && *json->at != '"' && *json->at != '\\' &&
               (unsigned char)*json->at >= 0x20)
            json->at++;
        rc_buf_add(&json->text, plain, (size_t)(json->at - plain));
        if (json->at == json->end) {
            json->at = open; /* the place that helps */
            return fail(json, "the quote that opens here is never closed") != NULL;
        }
        if (*json->at == '"')
            break;
        if (*json->at != '\\')
            return fail(json, "a string cannot hold a line break, tab or other control character; "
                              "write it as an escape such as \\n") != NULL;
        json->at++;
        if (!read_escape(json))
            return false;
    }
    json->at++;
    return true;
}

static const char *skip_digits(const char *at, const char *end)
{
    while (at < end && *at >= '0' && *at <= '9')
        at++;
    return at;
}

/* The end of the number at json->at, or NULL. */
static const char *number_end(const struct json *json)
{
    const char *at = json->at, *digits;

    if (at < json->end && *at == '-')
        at++;
    digits = at;
    at = skip_digits(at, json->end);
    if (at == digits || (*digits == '0' && at > digits + 1))
        return NULL;
    if (at < json->end && *at == '.') {
        digits = ++at;
        at = skip_digits(at, json->end);
        if (at == digits)
            return NULL;
    }
    if (at < json->end && (*at == 'e' || *at == 'E')) {
        at++;
        if (at < json->end && (*at == '+' || *at == '-'))
            at++;
        digits = at;
        at = skip_digits(at, json->end);
        if (at == digits)
            return NULL;
    }
    return at;
}

static bool take_word(struct json *json, const char *word)
{
    size_t len = strlen(word);

    if ((size_t)(json->end - json->at) < len || memcmp(json->at, word, len) != 0)
        return false;
    json->at += len;
    return true;
}

/* Anything but an object, an array or a string. */
static struct core_node *read_word(struct json *json)
{
    struct core_place place = place_of(json, json->at);
    const char *begin = json->at, *end;

    if (take_word(json, "null"))
        return core_reader_node(json->reader, CORE_NODE_NULL, &place);
    if (!take_word(json, "true") && !take_word(json, "false")) {
        end = number_end(json);
        if (!end)
            return fail(json, "a value is expected here: a \"string\", a number, true, false, "
                              "null, { or [");
        json->at = end;
    }
    return core_reader_scalar(json->reader, &place, begin, (size_t)(json->at - begin), false);
}

static struct core_node *read_value(struct json *json, int depth);

static bool read_member(struct json *json, int depth, struct core_entry *entry)
{
    skip_blanks(json);
    if (json->at == json->end || *json->at != '"')
        return fail(json, "a key in double quotes is expected here") != NULL;
    entry->place = place_of(json, json->at);
    if (!read_string(json))
        return false;
    entry->key = core_arena_strndup(json->reader->arena, json->text.data, json->text.len);
    if (strlen(entry->key) != json->text.len)
        return fail(json, "a key cannot hold the character NUL") != NULL;
    if (!take(json, ':'))
        return fail(json, "':' is expected after the key") != NULL;
    entry->value = read_value(json, depth);
    return entry->value != NULL;
}

static struct core_node *read_container(struct json *json, int depth)
{
    RC_CLEANUP(core_children_clear) struct core_children children = { 0 };
    bool is_map = *json->at == '{';
    char close = is_map ? '}' : ']';
    struct core_place place = place_of(json, json->at);
    struct core_node *node =
        core_reader_node(json->reader, is_map ? CORE_NODE_MAP : CORE_NODE_LIST, &place);
    struct core_entry entry = { 0 };

    if (depth >= CORE_YAML_MAX_DEPTH)
        return fail(json, "the values are nested too deeply; 100 levels are the most");
    json->at++;
    if (take(json, close)) {
        core_reader_end(json->reader, node, &children);
        return node;
    }
    do {
        if (is_map ? !read_member(json, depth + 1, &entry)
                   : !(entry.value = read_value(json, depth + 1)))
            return NULL;
        core_children_add(&children, &entry);
    } while (take(json, ','));
    if (!take(json, close))
        return fail(json, is_map ? "',' or '}' is expected here" : "',' or ']' is expected here");
    core_reader_end(json->reader, node, &children);
    return node;
}

static struct core_node *read_value(struct json *json, int depth)
{
    struct core_place place;

    skip_blanks(json);
    if (json->at == json->end)
        return fail(json, "the file ends where a value is expected");
    if (*json->at == '{' || *json->at == '[')
        return read_container(json, depth);
    if (*json->at != '"')
        return read_word(json);
    place = place_of(json, json->at);
    if (!read_string(json))
        return NULL;
    return core_reader_scalar(json->reader, &place, json->text.data, json->text.len, true);
}

struct core_node *core_json_parse(const struct core_reader *reader, const char *text, size_t len,
                                  struct core_place *place, const char **reason)
{
    struct json json = { .reader = reader,
                         .at = text,
                         .end = text + len,
                         .mark = text,
                         .line = 1,
                         .column = 1,
                         .text = RC_BUF_INIT(len + 1) };
    struct core_node *node = read_value(&json, 0);

    if (node) {
        skip_blanks(&json);
        if (json.at < json.end)
            node = fail(&json, "nothing may follow the end of the document");
    }
    rc_buf_clear(&json.text);
    *place = json.where;
    *reason = json.reason;
    return node;
}
