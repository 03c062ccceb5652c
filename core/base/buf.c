/*
 * The growing buffer: memory, limit and sticky overflow. Quoting is in quote.c.
 */
#include <run-core/buf.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What 'data' points at while nothing is allocated. Never written to. */
char rc_buf_empty[1];

enum { FIRST_CAPACITY = 64 };

void rc_buf_init(struct rc_buf *buf, size_t limit_bytes)
{
    *buf = (struct rc_buf)RC_BUF_INIT(limit_bytes);
}

void rc_buf_clear(struct rc_buf *buf)
{
    if (buf->capacity > 0)
        free(buf->data);
    rc_buf_init(buf, buf->limit);
}

void rc_buf_reset(struct rc_buf *buf)
{
    buf->overflow = false;
    rc_buf_truncate(buf, 0);
}

void rc_buf_truncate(struct rc_buf *buf, size_t len)
{
    RC_ASSERT(len <= buf->len);
    buf->len = len;
    if (buf->capacity > 0)
        buf->data[len] = '\0';
}

/*
 * Makes room for 'len' more bytes and the NUL. After an overflow nothing is added any more,
 * so that what the buffer holds is the beginning of what was to be said, without a hole.
 */
static bool make_room(struct rc_buf *buf, size_t len)
{
    if (buf->overflow || buf->len > buf->limit || len > buf->limit - buf->len ||
        len >= SIZE_MAX - buf->len) {
        buf->overflow = true;
        return false;
    }

    size_t needed = buf->len + len + 1;
    if (needed <= buf->capacity)
        return true;

    size_t capacity = buf->capacity > 0 ? buf->capacity : FIRST_CAPACITY;
    while (capacity < needed)
        capacity = capacity > SIZE_MAX / 2 ? needed : capacity * 2;
    if (buf->limit < SIZE_MAX && capacity > buf->limit + 1)
        capacity = buf->limit + 1;

    buf->data = rc_realloc(buf->capacity > 0 ? buf->data : NULL, capacity);
    buf->capacity = capacity;
    buf->data[buf->len] = '\0';
    return true;
}

char *rc_buf_reserve(struct rc_buf *buf, size_t len)
{
    return make_room(buf, len) ? buf->data + buf->len : NULL;
}

void rc_buf_added(struct rc_buf *buf, size_t len)
{
    if (len == 0)
        return;
    RC_ASSERT(buf->capacity > 0 && len <= buf->capacity - 1 - buf->len);
    buf->len += len;
    buf->data[buf->len] = '\0';
}

void rc_buf_add(struct rc_buf *buf, const void *data, size_t len)
{
    if (len == 0 || !make_room(buf, len))
        return;
    memcpy(buf->data + buf->len, data, len);
    rc_buf_added(buf, len);
}

void rc_buf_adds(struct rc_buf *buf, const char *text)
{
    rc_buf_add(buf, text, strlen(text));
}

void rc_buf_addc(struct rc_buf *buf, char c)
{
    rc_buf_add(buf, &c, 1);
}

void rc_buf_addf(struct rc_buf *buf, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    rc_buf_addv(buf, format, arguments);
    va_end(arguments);
}

void rc_buf_addv(struct rc_buf *buf, const char *format, va_list arguments)
{
    if (buf->overflow)
        return;

    /* Most texts fit into the memory that is there; the others are measured by the attempt. */
    size_t room = buf->capacity > 0 ? buf->capacity - buf->len : 0;
    va_list again;
    va_copy(again, arguments);
    int needed = vsnprintf(room > 0 ? buf->data + buf->len : NULL, room, format, arguments);
    bool fits = needed >= 0 && (size_t)needed < room;

    if (!fits && room > 0)
        buf->data[buf->len] = '\0';
    if (needed < 0)
        buf->overflow = true;
    else if (make_room(buf, (size_t)needed)) {
        if (!fits)
            vsnprintf(buf->data + buf->len, (size_t)needed + 1, format, again);
        buf->len += (size_t)needed;
    } else if (room > 0) {
        buf->data[buf->len] = '\0';
    }
    va_end(again);
}

enum rc_code rc_buf_check(const struct rc_buf *buf, struct rc_error *err)
{
    if (buf->overflow)
        return rc_fail(err, RC_TOO_LARGE, "more than the limit of %zu bytes", buf->limit);
    return RC_OK;
}

char *rc_buf_take(struct rc_buf *buf)
{
    char *data = buf->capacity > 0 ? buf->data : rc_calloc(1, 1);

    rc_buf_init(buf, buf->limit);
    return data;
}
