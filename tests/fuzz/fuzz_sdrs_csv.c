/*
 * CSV of the older system: in whatever pieces a text comes, its rows, or what is wrong with it, are
 * the same; and rows that are written out again with every field in quotes are those rows.
 */
#include <csv.h>

#include <run-core/str.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_LIMIT = 8 << 20 };

struct seen {
    struct rc_buf text; /* with the lines on which rows begin */
    struct rc_buf quoted;
};

static enum rc_code see(void *context, size_t line, const struct rc_strs *fields,
                        struct rc_error *err)
{
    struct seen *seen = context;

    (void)err;
    RC_ASSERT(fields->len > 0 && line > 0);
    rc_buf_addf(&seen->text, "%zu", line);
    for (size_t i = 0; i < fields->len; i++) {
        rc_buf_addc(&seen->text, '\x1f');
        rc_buf_adds(&seen->text, fields->items[i]);
        if (i > 0)
            rc_buf_addc(&seen->quoted, ',');
        rc_buf_add_ident(&seen->quoted, fields->items[i]); /* in quotes, doubled within */
    }
    rc_buf_addc(&seen->text, '\x1e');
    rc_buf_addc(&seen->quoted, '\n');
    return RC_OK;
}

static enum rc_code read_all(const char *text, size_t len, size_t piece, struct seen *seen,
                             struct rc_error *err)
{
    struct sdrs_csv csv;
    enum rc_code code = RC_OK;

    rc_buf_init(&seen->text, TEXT_LIMIT);
    rc_buf_init(&seen->quoted, TEXT_LIMIT);
    sdrs_csv_init(&csv, see, seen);
    for (size_t i = 0; i < len && !code; i += piece)
        code = sdrs_csv_read(&csv, text + i, len - i < piece ? len - i : piece, err);
    if (!code)
        code = sdrs_csv_end(&csv, err);
    sdrs_csv_clear(&csv);
    return code;
}

static void seen_clear(struct seen *seen)
{
    rc_buf_clear(&seen->text);
    rc_buf_clear(&seen->quoted);
}

/* Without the numbers of the lines, which quotes move. */
static bool same_fields(const char *a, const char *b)
{
    while (*a && *b) {
        size_t a_len, b_len;

        a += strcspn(a, "\x1f");
        b += strcspn(b, "\x1f");
        a_len = strcspn(a, "\x1e");
        b_len = strcspn(b, "\x1e");
        if (a_len != b_len || memcmp(a, b, a_len) != 0)
            return false;
        a += a_len + (a[a_len] != '\0');
        b += b_len + (b[b_len] != '\0');
    }
    return *a == *b;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    struct seen whole, pieces, again;
    struct rc_error err = RC_ERROR_INIT, other = RC_ERROR_INIT;
    enum rc_code code = read_all(text, size, size > 0 ? size : 1, &whole, &err);

    RC_ASSERT(read_all(text, size, 1 + size % 7, &pieces, &other) == code);
    RC_ASSERT(strcmp(whole.text.data, pieces.text.data) == 0);
    if (code) {
        RC_ASSERT(code == RC_INVALID || code == RC_TOO_LARGE);
        RC_ASSERT(rc_str_starts(err.cause, "line ") && strcmp(err.cause, other.cause) == 0);
    } else if (!memchr(text, 0x1e, size) && !memchr(text, 0x1f, size)) {
        RC_ASSERT(read_all(whole.quoted.data, whole.quoted.len, 64, &again, &other) == RC_OK);
        RC_ASSERT(same_fields(whole.text.data, again.text.data));
        seen_clear(&again);
    }
    seen_clear(&whole);
    seen_clear(&pieces);
    return 0;
}
