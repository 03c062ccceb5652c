/*
 * Quoting into a buffer for SQL, URLs and JSON. Each function adds all of its result
 * or, where that does not fit, nothing.
 */
#include <run-core/buf.h>

#include <base/utf8.h>

#include <stdint.h>
#include <string.h>

static const char hex_digits[] = "0123456789ABCDEF";

/* Takes back what was added since 'start' if it did not all fit. */
static void all_or_nothing(struct rc_buf *buf, size_t start)
{
    if (buf->overflow)
        rc_buf_truncate(buf, start);
}

/* 'text' between two 'quote' characters, with those inside doubled. */
static void add_quoted(struct rc_buf *buf, const char *text, char quote)
{
    size_t start = buf->len;

    rc_buf_addc(buf, quote);
    for (const char *inner; (inner = strchr(text, quote)) != NULL; text = inner + 1) {
        rc_buf_add(buf, text, (size_t)(inner - text) + 1);
        rc_buf_addc(buf, quote);
    }
    rc_buf_adds(buf, text);
    rc_buf_addc(buf, quote);
    all_or_nothing(buf, start);
}

void rc_buf_add_ident(struct rc_buf *buf, const char *name)
{
    add_quoted(buf, name, '"');
}

void rc_buf_add_literal(struct rc_buf *buf, const char *text)
{
    if (text)
        add_quoted(buf, text, '\'');
    else
        rc_buf_adds(buf, "NULL");
}

static bool is_unreserved(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

void rc_buf_add_url(struct rc_buf *buf, const char *text, size_t len)
{
    size_t start = buf->len;

    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];

        if (is_unreserved(c)) {
            rc_buf_addc(buf, (char)c);
        } else {
            char encoded[3] = { '%', hex_digits[c >> 4], hex_digits[c & 15] };
            rc_buf_add(buf, encoded, sizeof(encoded));
        }
    }
    all_or_nothing(buf, start);
}

/* The escape of a byte that may not stand in a JSON string as it is. */
static void add_json_escape(struct rc_buf *buf, unsigned char c)
{
    static const char named[] = "\"\\\b\f\n\r\t";
    static const char letter[] = "\"\\bfnrt";
    const char *at = c != '\0' ? strchr(named, c) : NULL;

    rc_buf_addc(buf, '\\');
    if (at) {
        rc_buf_addc(buf, letter[at - named]);
    } else {
        char code[5] = { 'u', '0', '0', hex_digits[c >> 4], hex_digits[c & 15] };
        rc_buf_add(buf, code, sizeof(code));
    }
}

void rc_buf_add_json(struct rc_buf *buf, const char *text, size_t len)
{
    const unsigned char *bytes = (const unsigned char *)text;
    size_t start = buf->len;
    size_t plain = 0; /* where the run began that can be copied as it is */
    size_t at = 0;

    rc_buf_addc(buf, '"');
    while (at < len) {
        bool valid = true;
        size_t step = core_utf8_next(text + at, len - at, &valid);
        bool escape = bytes[at] < 0x20 || bytes[at] == '"' || bytes[at] == '\\';

        if (escape || !valid) {
            rc_buf_add(buf, bytes + plain, at - plain);
            if (escape)
                add_json_escape(buf, bytes[at]);
            else
                rc_buf_adds(buf, "\xEF\xBF\xBD");
            plain = at + step;
        }
        at += step;
    }
    if (len > plain)
        rc_buf_add(buf, bytes + plain, len - plain);
    rc_buf_addc(buf, '"');
    all_or_nothing(buf, start);
}
