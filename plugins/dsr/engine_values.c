/*
 * Ids and row numbers as lines of text that an engine reads: none of them is ever part of a
 * statement. What an id is as a number or a UUID is told here apart from users.c, so that the
 * engine's opinion is its own.
 */
#include "digest.h"
#include "engine_internal.h"

#include <ctype.h>
#include <inttypes.h>

enum { PIECE_BYTES = 64 << 10, LINES_LIMIT = 64 << 20, UUID_TEXT = 36, NUMBER_DIGITS = 20 };

/* Text on its way to a sink, in pieces. */
struct lines {
    const struct pq_sink *sink;
    struct rc_buf text;
};

static enum rc_code flush(struct lines *lines, size_t keep_below, struct rc_error *err)
{
    if (rc_buf_check(&lines->text, err))
        return err->code;
    if (lines->text.len == 0 || lines->text.len < keep_below)
        return RC_OK;
    if (lines->sink->write(lines->sink->context, lines->text.data, lines->text.len, err))
        return err->code;
    rc_buf_reset(&lines->text);
    return RC_OK;
}

static void add_hex(struct rc_buf *out, const uint8_t *data, size_t len)
{
    char *at = rc_buf_reserve(out, len * 2 + 1);

    if (!at)
        return;
    dsr_hex(at, data, len);
    rc_buf_added(out, len * 2);
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

bool dsr_engine_is_number(struct pq_slice id)
{
    uint32_t sign = id.len > 0 && id.data[0] == '-';
    uint32_t digits = id.len - sign;

    if (digits == 0 || digits > NUMBER_DIGITS)
        return false;
    for (uint32_t i = sign; i < id.len; i++)
        if (!is_digit(id.data[i]))
            return false;
    return id.data[sign] != '0' || (digits == 1 && !sign);
}

static bool is_hex(uint8_t c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool begins_with_uuid(struct pq_slice id)
{
    if (id.len < UUID_TEXT)
        return false;
    for (uint32_t i = 0; i < UUID_TEXT; i++) {
        bool is_dash = i == 8 || i == 13 || i == 18 || i == 23;

        if (is_dash ? id.data[i] != '-' : !is_hex(id.data[i]))
            return false;
    }
    return true;
}

/* The id with its UUIDs in lower case, as the engine writes those; nothing: it is that already. */
static void add_lowered(struct rc_buf *out, struct pq_slice id)
{
    size_t begin = out->len;
    bool differs = false;

    for (uint32_t at = 0; at < id.len;) {
        const struct pq_slice rest = { id.data + at, id.len - at };
        uint32_t end = at + (begins_with_uuid(rest) ? UUID_TEXT : 1);

        for (bool lowers = end - at == UUID_TEXT; at < end; at++) {
            uint8_t c = id.data[at], lower = lowers ? (uint8_t)tolower(c) : c;

            differs = differs || lower != c;
            add_hex(out, &lower, 1);
        }
    }
    if (!differs)
        rc_buf_truncate(out, begin);
}

static void add_user(struct rc_buf *out, struct pq_slice id)
{
    add_hex(out, id.data, id.len);
    rc_buf_addc(out, ',');
    if (dsr_engine_is_number(id))
        rc_buf_add(out, id.data, id.len);
    rc_buf_addc(out, ',');
    for (uint32_t i = 0; id.len == UUID_TEXT && begins_with_uuid(id) && i < id.len; i++)
        if (id.data[i] != '-')
            rc_buf_addc(out, (char)id.data[i]);
    rc_buf_addc(out, ',');
    add_lowered(out, id);
    rc_buf_addc(out, '\n');
}

enum rc_code dsr_engine_write_users(const struct dsr_users *users, const struct pq_sink *sink,
                                    struct rc_error *err)
{
    struct lines lines = { .sink = sink };
    enum rc_code code = RC_OK;

    rc_buf_init(&lines.text, LINES_LIMIT);
    for (size_t i = 0; !code && i < dsr_users_count(users); i++) {
        add_user(&lines.text, dsr_users_at(users, i));
        code = flush(&lines, PIECE_BYTES, err);
    }
    if (!code)
        code = flush(&lines, 0, err);
    rc_buf_clear(&lines.text);
    return code;
}

enum rc_code dsr_engine_write_rows(const struct pq_rows *rows, const struct pq_sink *sink,
                                   struct rc_error *err)
{
    struct lines lines = { .sink = sink };
    enum rc_code code = RC_OK;

    rc_buf_init(&lines.text, LINES_LIMIT);
    for (size_t i = 0; !code && i < rows->len; i++) {
        rc_buf_addf(&lines.text, "%" PRId64 "\n", rows->rows[i]);
        code = flush(&lines, PIECE_BYTES, err);
    }
    if (!code)
        code = flush(&lines, 0, err);
    rc_buf_clear(&lines.text);
    return code;
}
