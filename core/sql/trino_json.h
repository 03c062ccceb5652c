/*
 * A way through a JSON text, value by value, for texts of which most is rows: nothing is built, and
 * what is not asked for is only looked at. Strict (RFC 8259). Pure.
 *
 * After the first fault 'bad' is set, and all that is asked is answered as if there were no more.
 */
#ifndef CORE_SQL_TRINO_JSON_H
#define CORE_SQL_TRINO_JSON_H

#include <run-core/buf.h>

#include <stdint.h>

struct core_trino_json {
    const char *at, *end;
    unsigned depth;
    bool first; /* no value of the innermost list or map was read */
    bool bad;
};

/* A part of the text. */
struct core_trino_span {
    const char *text;
    size_t len;
};

enum core_trino_kind {
    CORE_TRINO_NONE, /* no value begins here */
    CORE_TRINO_NULL,
    CORE_TRINO_TRUE,
    CORE_TRINO_FALSE,
    CORE_TRINO_NUMBER,
    CORE_TRINO_STRING,
    CORE_TRINO_LIST,
    CORE_TRINO_MAP,
};

void core_trino_json_init(struct core_trino_json *json, const char *text, size_t len);

/* What the next value is; nothing is read. */
enum core_trino_kind core_trino_json_kind(struct core_trino_json *json);

/* Reads a value of any kind; 'out' gets all of it. False: it is none. */
bool core_trino_json_value(struct core_trino_json *json, struct core_trino_span *out);

/*
 * Goes into a list or a map, and then from value to value, each of which has to be read: true, one
 * follows; false, that was the end of it, behind which it goes on. The key is as it is written.
 */
bool core_trino_json_enter(struct core_trino_json *json, enum core_trino_kind kind);
bool core_trino_json_item(struct core_trino_json *json);
bool core_trino_json_member(struct core_trino_json *json, struct core_trino_span *key);

/* Whether nothing follows but blanks, and nothing was bad. */
bool core_trino_json_is_over(struct core_trino_json *json);

/*
 * Adds what a string that was read as a value stands for, in UTF-8. Half a character becomes
 * U+FFFD, and so do bytes that are none: some servers send what lies in a file as it is. False: it
 * is no string.
 */
bool core_trino_span_add(struct rc_buf *out, struct core_trino_span string);
bool core_trino_span_is(struct core_trino_span span, const char *text);

#endif
