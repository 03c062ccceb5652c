/*
 * A growing byte buffer with a limit.
 *
 * 'data' is never NULL and always ends with a NUL that 'len' does not count. Every
 * buffer has a limit; adding beyond it changes nothing but sets 'overflow', which
 * sticks, so that a chain of additions needs only one rc_buf_check() at its end.
 * A buffer belongs to one thread.
 */
#ifndef RUN_CORE_BUF_H
#define RUN_CORE_BUF_H

#include <run-core/error.h>

#include <stdarg.h>
#include <stddef.h>

struct rc_buf {
    char *data;
    size_t len;
    size_t capacity; /* 0 while 'data' is the shared empty string */
    size_t limit;    /* bytes that 'len' may reach */
    bool overflow;
};

RC_BEGIN_DECLS

extern char rc_buf_empty[1];

/* clang-format off */
#define RC_BUF_INIT(limit_bytes) { rc_buf_empty, 0, 0, (limit_bytes), false }
/* clang-format on */

/* A local buffer that frees itself. */
#define RC_BUF_AUTO(name, limit_bytes)                                                             \
    RC_CLEANUP(rc_buf_clear) struct rc_buf name = RC_BUF_INIT(limit_bytes)

void rc_buf_init(struct rc_buf *buf, size_t limit_bytes);
/* Frees the memory; the buffer is empty and usable, with the same limit. */
void rc_buf_clear(struct rc_buf *buf);
/* Empties the buffer, forgets an overflow and keeps the memory. */
void rc_buf_reset(struct rc_buf *buf);
/* Cuts to 'len' bytes; 'len' is not above the present length. */
void rc_buf_truncate(struct rc_buf *buf, size_t len);

void rc_buf_add(struct rc_buf *buf, const void *data, size_t len);
void rc_buf_adds(struct rc_buf *buf, const char *text);
void rc_buf_addc(struct rc_buf *buf, char c);
void rc_buf_addf(struct rc_buf *buf, const char *format, ...) RC_PRINTF(2, 3);
void rc_buf_addv(struct rc_buf *buf, const char *format, va_list arguments) RC_PRINTF(2, 0);

/*
 * Makes room for 'len' more bytes and returns where to write them, or NULL on overflow.
 * rc_buf_added() then says how many were written.
 */
char *rc_buf_reserve(struct rc_buf *buf, size_t len);
void rc_buf_added(struct rc_buf *buf, size_t len);

/* Quoting. Values reach SQL, URLs, JSON and CSV only through these. */

/* A quoted SQL identifier: "name", inner quotes doubled. */
void rc_buf_add_ident(struct rc_buf *buf, const char *name);
/* A quoted SQL text literal: 'text', inner quotes doubled. NULL gives the word NULL. */
void rc_buf_add_literal(struct rc_buf *buf, const char *text);
/* Percent-encodes all but the unreserved characters of RFC 3986, section 2.3. */
void rc_buf_add_url(struct rc_buf *buf, const char *text, size_t len);
/* A JSON string with its quotes (RFC 8259). Bytes that are not UTF-8 become U+FFFD. */
void rc_buf_add_json(struct rc_buf *buf, const char *text, size_t len);

/* RC_TOO_LARGE if anything added since the last reset did not fit. */
RC_MUST_CHECK enum rc_code rc_buf_check(const struct rc_buf *buf, struct rc_error *err);

/* Hands the bytes to the caller, who frees them with free(); the buffer is empty again. */
char *rc_buf_take(struct rc_buf *buf);

RC_END_DECLS
#endif
