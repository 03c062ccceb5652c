/*
 * PLAIN, one value behind the other as it is, and BYTE_STREAM_SPLIT, the same bytes in another
 * order: all first ones, then all second ones...
 */
#include "bits.h"
#include "encoding_internal.h"

static enum rc_code cut_off(size_t len, size_t count, struct rc_error *err)
{
    return rc_fail(err, RC_INVALID, "%zu bytes are not the %zu values that should be there", len,
                   count);
}

/* ---- booleans ------------------------------------------------------------------------------- */

enum rc_code pq_plain_booleans(const uint8_t *data, size_t len, size_t count, struct pq_values *out,
                               struct rc_error *err)
{
    if (len < (count + 7) / 8)
        return cut_off(len, count, err);
    for (size_t i = 0; i < count; i++)
        out->fixed[i] = data[i / 8] >> i % 8 & 1;
    return RC_OK;
}

void pq_plain_booleans_write(const struct pq_values *values, struct rc_buf *out)
{
    size_t len = (values->len + 7) / 8;
    uint8_t *room = (uint8_t *)rc_buf_reserve(out, len);

    if (!room)
        return;
    memset(room, 0, len);
    for (size_t i = 0; i < values->len; i++)
        room[i / 8] = (uint8_t)(room[i / 8] | (values->fixed[i] & 1) << i % 8);
    rc_buf_added(out, len);
}

/* ---- of one width --------------------------------------------------------------------------- */

enum rc_code pq_plain_fixed(const uint8_t *data, size_t len, size_t count, struct pq_values *out,
                            struct rc_error *err)
{
    size_t wanted = count * (size_t)out->width;

    if (len < wanted)
        return cut_off(len, count, err);
    memcpy(out->fixed, data, wanted);
    return RC_OK;
}

void pq_plain_fixed_write(const struct pq_values *values, struct rc_buf *out)
{
    rc_buf_add(out, values->fixed, values->len * (size_t)values->width);
}

/* ---- of any length -------------------------------------------------------------------------- */

enum rc_code pq_plain_bytes(const uint8_t *data, size_t len, size_t count, struct pq_values *out,
                            struct rc_error *err)
{
    const uint8_t *at = data, *end = data + len;

    for (size_t i = 0; i < count; i++) {
        size_t left = (size_t)(end - at);
        uint32_t value_len = left >= 4 ? pq_load32(at) : 0;

        if (left < 4 || value_len > left - 4)
            return rc_fail(err, RC_INVALID, "value %zu of %zu is cut off: %zu bytes are left", i,
                           count, left);
        out->slices[i] = (struct pq_slice){ at + 4, value_len };
        at += 4 + (size_t)value_len;
    }
    return RC_OK;
}

void pq_plain_bytes_write(const struct pq_values *values, struct rc_buf *out)
{
    size_t len = 4 * values->len;
    uint8_t *room;

    for (size_t i = 0; i < values->len; i++)
        len += values->slices[i].len;
    room = (uint8_t *)rc_buf_reserve(out, len);
    if (!room)
        return;
    for (size_t i = 0; i < values->len; i++) {
        const struct pq_slice *value = &values->slices[i];

        pq_store32(room, value->len);
        if (value->len > 0)
            memcpy(room + 4, value->data, value->len);
        room += 4 + (size_t)value->len;
    }
    rc_buf_added(out, len);
}

/* ---- split ---------------------------------------------------------------------------------- */

/* Inlined with 'width' a constant where that is worth it. */
static inline void gather(const uint8_t *data, size_t width, size_t count, uint8_t *out)
{
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < width; k++)
            out[i * width + k] = data[k * count + i];
}

static inline void scatter(const uint8_t *data, size_t width, size_t count, uint8_t *out)
{
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < width; k++)
            out[k * count + i] = data[i * width + k];
}

enum rc_code pq_stream_split(const uint8_t *data, size_t len, size_t count, struct pq_values *out,
                             struct rc_error *err)
{
    size_t width = (size_t)out->width;

    /* No byte more, either: where the second ones begin follows from the length. */
    if (len != count * width)
        return cut_off(len, count, err);
    if (width == 4)
        gather(data, 4, count, out->fixed);
    else if (width == 8)
        gather(data, 8, count, out->fixed);
    else
        gather(data, width, count, out->fixed);
    return RC_OK;
}

void pq_stream_split_write(const struct pq_values *values, struct rc_buf *out)
{
    size_t width = (size_t)values->width, len = values->len * width;
    uint8_t *room = (uint8_t *)rc_buf_reserve(out, len);

    if (!room)
        return;
    if (width == 4)
        scatter(values->fixed, 4, values->len, room);
    else if (width == 8)
        scatter(values->fixed, 8, values->len, room);
    else
        scatter(values->fixed, width, values->len, room);
    rc_buf_added(out, len);
}
