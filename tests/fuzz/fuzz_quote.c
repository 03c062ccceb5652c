/*
 * Quoting of arbitrary bytes. A JSON string that is read back by a library is the bytes that went
 * in, where these are UTF-8; an SQL literal and a URL give them back when they are taken apart; and
 * a buffer that is too small holds either all of it or nothing.
 */
#include <run-core/buf.h>
#include <run-core/str.h>

#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static void check_json(const char *bytes, size_t len)
{
    RC_BUF_AUTO(quoted, SIZE_MAX);

    rc_buf_add_json(&quoted, bytes, len);
    json_t *read = json_loadb(quoted.data, quoted.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    RC_ASSERT(read && json_is_string(read));
    json_t *sound = json_stringn(bytes, len); /* NULL where the bytes are not UTF-8 */
    RC_ASSERT(sound ? json_equal(read, sound) : strstr(quoted.data, "\xEF\xBF\xBD") != NULL);
    json_decref(sound);
    json_decref(read);

    /* Half of the room is too little, and then there is no half of a string. */
    RC_BUF_AUTO(small, quoted.len / 2);
    rc_buf_add_json(&small, bytes, len);
    RC_ASSERT(small.overflow && small.len == 0);
}

static void check_sql(const char *text, char quote, void (*add)(struct rc_buf *, const char *))
{
    RC_BUF_AUTO(quoted, SIZE_MAX);
    RC_BUF_AUTO(plain, SIZE_MAX);

    add(&quoted, text);
    RC_ASSERT(quoted.len >= 2 && quoted.data[0] == quote && quoted.data[quoted.len - 1] == quote);
    for (size_t i = 1; i + 1 < quoted.len; i++) {
        if (quoted.data[i] == quote) {
            i++;
            RC_ASSERT(i + 1 < quoted.len && quoted.data[i] == quote);
        }
        rc_buf_addc(&plain, quoted.data[i]);
    }
    RC_ASSERT(strcmp(plain.data, text) == 0);
}

static int hex_value(char c)
{
    RC_ASSERT((c >= '0' && c <= '9') || (c >= 'A' && c <= 'F'));
    return c <= '9' ? c - '0' : c - 'A' + 10;
}

static void check_url(const char *bytes, size_t len)
{
    RC_BUF_AUTO(quoted, SIZE_MAX);
    RC_BUF_AUTO(plain, SIZE_MAX);

    rc_buf_add_url(&quoted, bytes, len);
    for (const char *at = quoted.data; *at != '\0'; at++) {
        if (*at == '%') {
            rc_buf_addc(&plain, (char)(hex_value(at[1]) << 4 | hex_value(at[2])));
            at += 2;
        } else {
            rc_buf_addc(&plain, *at);
        }
    }
    RC_ASSERT(plain.len == len && (len == 0 || memcmp(plain.data, bytes, len) == 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    RC_STR_AUTO text = rc_strndup((const char *)data, size);

    check_json(text, size);
    check_url(text, size);
    check_sql(text, '\'', rc_buf_add_literal);
    check_sql(text, '"', rc_buf_add_ident);
    return 0;
}
