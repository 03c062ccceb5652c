/*
 * Any bytes as a literal: both ways in which stores read it, code points before strings or within
 * them, give the bytes back, with U+FFFD where they are not UTF-8. As an IRI: what is taken holds
 * nothing that ends it. As somebody's words: one line of UTF-8.
 */
#include <sparql/term.h>
#include <sparql/text.h>

#include <run-core/str.h>

#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void add_character(struct rc_buf *out, uint32_t c)
{
    char bytes[4];
    size_t len = 0;

    RC_ASSERT(c < 0x110000 && (c < 0xD800 || c > 0xDFFF));
    if (c < 0x80) {
        bytes[len++] = (char)c;
    } else if (c < 0x800) {
        bytes[len++] = (char)(0xC0 | c >> 6);
    } else if (c < 0x10000) {
        bytes[len++] = (char)(0xE0 | c >> 12);
        bytes[len++] = (char)(0x80 | (c >> 6 & 0x3F));
    } else {
        bytes[len++] = (char)(0xF0 | c >> 18);
        bytes[len++] = (char)(0x80 | (c >> 12 & 0x3F));
        bytes[len++] = (char)(0x80 | (c >> 6 & 0x3F));
    }
    if (c >= 0x80)
        bytes[len++] = (char)(0x80 | (c & 0x3F));
    rc_buf_add(out, bytes, len);
}

/* A code point escape at 'at', which is a backslash: its length, or 0. */
static size_t code_point(const char *at, size_t len, uint32_t *c)
{
    size_t digits = len < 2 ? 0 : at[1] == 'u' ? 4 : at[1] == 'U' ? 8 : 0;

    *c = 0;
    if (digits == 0 || len < 2 + digits)
        return 0;
    for (size_t i = 2; i < 2 + digits; i++) {
        const char *digit = strchr("0123456789ABCDEF", at[i]);

        if (!digit || at[i] == '\0')
            return 0;
        *c = *c * 16 + (uint32_t)(digit - "0123456789ABCDEF");
    }
    return 2 + digits;
}

/* Section 19.2: code points are resolved in the whole request, before all else. */
static void resolve_code_points(const char *text, size_t len, struct rc_buf *out)
{
    for (size_t at = 0, step; at < len; at += step) {
        uint32_t c;

        step = text[at] == '\\' ? code_point(text + at, len - at, &c) : 0;
        if (step)
            add_character(out, c);
        else
            rc_buf_addc(out, text[at]);
        step = step ? step : 1;
    }
}

/* STRING_LITERAL2; within it code points only if they are resolved here. */
static void read_literal(const char *text, size_t len, bool code_points, struct rc_buf *out)
{
    static const char letters[] = "tbnrf\\\"'", meant[] = "\t\b\n\r\f\\\"'";

    RC_ASSERT(len >= 2 && text[0] == '"' && text[len - 1] == '"');
    for (size_t at = 1, step; at < len - 1; at += step) {
        char c = text[at];
        const char *letter;
        uint32_t point;

        step = 1;
        RC_ASSERT(c != '"' && c != '\n' && c != '\r');
        if (c != '\\') {
            rc_buf_addc(out, c);
            continue;
        }
        step = code_points ? code_point(text + at, len - 1 - at, &point) : 0;
        if (step) {
            add_character(out, point);
            continue;
        }
        step = 2;
        RC_ASSERT(at + 1 < len - 1 && text[at + 1] != '\0');
        letter = strchr(letters, text[at + 1]);
        RC_ASSERT(letter != NULL);
        rc_buf_addc(out, meant[letter - letters]);
    }
}

/* What the literal is to mean: by jansson's way of seeing what UTF-8 is. */
static void add_sound(struct rc_buf *out, const char *text, size_t len)
{
    json_t *whole = json_stringn(text, len);

    if (whole) {
        rc_buf_add(out, text, len);
    } else {
        RC_BUF_AUTO(quoted, SIZE_MAX);

        rc_buf_add_json(&quoted, text, len);
        whole = json_loadb(quoted.data, quoted.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        rc_buf_add(out, json_string_value(whole), json_string_length(whole));
    }
    json_decref(whole);
}

static void check_string(const char *text, size_t len)
{
    RC_BUF_AUTO(literal, SIZE_MAX);
    RC_BUF_AUTO(resolved, SIZE_MAX);
    RC_BUF_AUTO(before, SIZE_MAX);
    RC_BUF_AUTO(within, SIZE_MAX);
    RC_BUF_AUTO(expected, SIZE_MAX);

    sparql_add_string(&literal, text, len);
    add_sound(&expected, text, len);
    resolve_code_points(literal.data, literal.len, &resolved);
    read_literal(resolved.data, resolved.len, /* code_points = */ false, &before);
    read_literal(literal.data, literal.len, /* code_points = */ true, &within);
    RC_ASSERT(before.len == expected.len && memcmp(before.data, expected.data, before.len) == 0);
    RC_ASSERT(within.len == expected.len && memcmp(within.data, expected.data, within.len) == 0);
}

static void check_iri(const char *text)
{
    struct rc_error err = RC_ERROR_INIT;
    RC_BUF_AUTO(out, SIZE_MAX);
    json_t *sound = json_string(text);

    if (sparql_iri_check(text, &err)) {
        RC_ASSERT(err.code == RC_INVALID && err.cause[0] != '\0');
    } else {
        sparql_add_iri(&out, text);
        RC_ASSERT(sound && strchr(text, ':') > text);
        RC_ASSERT(strcspn(out.data + 1, "<>\"{}|^`\\") == out.len - 2);
        for (size_t i = 0; i < out.len; i++)
            RC_ASSERT((unsigned char)out.data[i] > ' ');
    }
    json_decref(sound);
}

static void check_shown(const char *text, size_t len)
{
    for (size_t most = 0; most < 40; most += 13) {
        RC_BUF_AUTO(out, SIZE_MAX);

        sparql_text_show(&out, text, len, most);
        json_t *sound = json_stringn(out.data, out.len);
        RC_ASSERT(sound && out.len <= most + 3);
        for (size_t i = 0; i < out.len; i++)
            RC_ASSERT((unsigned char)out.data[i] >= ' ' && out.data[i] != 0x7F);
        json_decref(sound);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    RC_STR_AUTO text = rc_malloc(size + 1);

    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    check_string(text, size);
    check_iri(text);
    check_shown(text, size);
    return 0;
}
