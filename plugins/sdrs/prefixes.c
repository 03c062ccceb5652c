/*
 * Makes prefixes of a rule, and works on sets of them as text. Who lists or moves what they cover
 * is elsewhere.
 */
#include "prefixes.h"

#include <run-core/str.h>

#include <stdlib.h>
#include <string.h>

/* ---- sets ---- */

/* Grown by doubling, where the count is a power of two. */
static void append(struct sdrs_prefixes *prefixes, char *text)
{
    if ((prefixes->count & (prefixes->count - 1)) == 0)
        prefixes->items = rc_realloc(prefixes->items, (prefixes->count ? 2 * prefixes->count : 1) *
                                                          sizeof(*prefixes->items));
    prefixes->items[prefixes->count++] = text;
}

void sdrs_prefixes_add(struct sdrs_prefixes *prefixes, const char *text)
{
    append(prefixes, rc_strdup(text));
}

void sdrs_prefixes_clear(struct sdrs_prefixes *prefixes)
{
    for (size_t i = 0; i < prefixes->count; i++)
        free(prefixes->items[i]);
    free(prefixes->items);
    *prefixes = (struct sdrs_prefixes){ .items = NULL };
}

static int compare_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void sdrs_prefixes_merge(struct sdrs_prefixes *prefixes)
{
    size_t kept = 0;

    if (prefixes->count == 0)
        return;
    qsort(prefixes->items, prefixes->count, sizeof(*prefixes->items), compare_bytes);
    /* What one covers stands right behind it. */
    for (size_t i = 1; i < prefixes->count; i++) {
        if (rc_str_starts(prefixes->items[i], prefixes->items[kept]))
            free(prefixes->items[i]);
        else
            prefixes->items[++kept] = prefixes->items[i];
    }
    prefixes->count = kept + 1;
}

/* How many of the sorted prefixes are not greater than the key. */
static size_t count_up_to(const struct sdrs_prefixes *prefixes, const char *key)
{
    size_t first = 0, last = prefixes->count;

    while (first < last) {
        size_t middle = first + (last - first) / 2;

        if (strcmp(prefixes->items[middle], key) <= 0)
            first = middle + 1;
        else
            last = middle;
    }
    return first;
}

bool sdrs_prefixes_cover(const struct sdrs_prefixes *prefixes, const char *key)
{
    /* The only one that may is the last that is not greater than the key: what stands between a
     * prefix and what it covers is covered, too, and would have been merged. */
    size_t count = count_up_to(prefixes, key);

    return count > 0 && rc_str_starts(key, prefixes->items[count - 1]);
}

bool sdrs_prefixes_meet(const struct sdrs_prefixes *prefixes, const char *prefix)
{
    /* What it covers stands right behind it. */
    size_t count = count_up_to(prefixes, prefix);

    return sdrs_prefixes_cover(prefixes, prefix) ||
           (count < prefixes->count && rc_str_starts(prefixes->items[count], prefix));
}

typedef bool test_fn(const struct sdrs_prefixes *prefixes, const char *prefix);

static size_t leave(struct sdrs_prefixes *prefixes, const struct sdrs_prefixes *others,
                    test_fn *is_left)
{
    size_t all = prefixes->count, kept = 0;

    for (size_t i = 0; i < all; i++) {
        if (is_left(others, prefixes->items[i]))
            free(prefixes->items[i]);
        else
            prefixes->items[kept++] = prefixes->items[i];
    }
    prefixes->count = kept;
    return all - kept;
}

size_t sdrs_prefixes_leave(struct sdrs_prefixes *prefixes, const struct sdrs_prefixes *others)
{
    return leave(prefixes, others, sdrs_prefixes_cover);
}

size_t sdrs_prefixes_leave_met(struct sdrs_prefixes *prefixes, const struct sdrs_prefixes *others)
{
    return leave(prefixes, others, sdrs_prefixes_meet);
}

void sdrs_prefixes_hold(struct sdrs_prefixes *prefixes, const struct sdrs_prefixes *held,
                        struct sdrs_prefixes *excluded)
{
    (void)sdrs_prefixes_leave(prefixes, held);
    for (size_t i = 0; i < held->count; i++)
        if (sdrs_prefixes_cover(prefixes, held->items[i]))
            sdrs_prefixes_add(excluded, held->items[i]);
}

void sdrs_prefixes_write(const struct sdrs_prefixes *prefixes, struct rc_buf *out)
{
    for (size_t i = 0; i < prefixes->count; i++) {
        rc_buf_adds(out, prefixes->items[i]);
        rc_buf_addc(out, '\n');
    }
}

void sdrs_prefixes_read(const char *text, struct sdrs_prefixes *out)
{
    while (*text) {
        size_t len = strcspn(text, "\n");

        append(out, rc_strndup(text, len));
        text += len + (text[len] == '\n');
    }
}

/* ---- by time ---- */

void sdrs_time_prefixes(const struct sdrs_template *template, const char *dataset_prefix,
                        int64_t limit_unix_ms, int64_t oldest_unix_ms, struct sdrs_prefixes *out)
{
    /* A prefix that is cut would cover more: this is enough for any. */
    RC_BUF_AUTO(text, strlen(dataset_prefix) + strlen(template->text) + SDRS_PREFIX_BYTES);
    struct sdrs_hour at = sdrs_hour_of(limit_unix_ms);

    for (int i = SDRS_HOUR; i >= SDRS_YEAR; i--) {
        enum sdrs_level level = (enum sdrs_level)i;
        int *number = sdrs_hour_part(&at, level), first = level == SDRS_HOUR ? 0 : 1;

        if (level > template->finest)
            *number = first;
        while (*number > first && sdrs_hour_unix_ms(&at) > oldest_unix_ms) {
            --*number;
            rc_buf_reset(&text);
            rc_buf_adds(&text, dataset_prefix);
            sdrs_template_add(template, level, &at, &text);
            sdrs_prefixes_add(out, text.data);
        }
    }
}

/* ---- by version ---- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Compares the numbers that both texts begin with, and goes behind them. */
static int compare_numbers(const char **a, const char **b)
{
    size_t a_len, b_len;
    int order;

    *a += strspn(*a, "0");
    *b += strspn(*b, "0");
    a_len = strspn(*a, "0123456789");
    b_len = strspn(*b, "0123456789");
    if (a_len != b_len)
        return a_len < b_len ? -1 : 1;
    order = memcmp(*a, *b, a_len);
    *a += a_len;
    *b += b_len;
    return order;
}

/* A name's end, and the slash there, is before all else: "v1/" is older than "v1.1/". */
static int rank(const char *at)
{
    return at[0] == '\0' || (at[0] == '/' && at[1] == '\0') ? -1 : (unsigned char)*at;
}

static int compare_versions(const void *first, const void *second)
{
    const char *a = *(char *const *)first, *b = *(char *const *)second;
    int order;

    while (rank(a) >= 0 || rank(b) >= 0) {
        if (is_digit(*a) && is_digit(*b))
            order = compare_numbers(&a, &b);
        else
            order = rank(a++) - rank(b++);
        if (order != 0)
            return order;
    }
    return compare_bytes(first, second); /* "v01/" and "v1/" */
}

void sdrs_version_prefixes(const char *dataset_prefix, const struct sdrs_prefixes *directories,
                           int64_t keep, struct sdrs_prefixes *out)
{
    char **sorted = rc_calloc(directories->count + 1, sizeof(*sorted));
    size_t count = 0;

    for (size_t i = 0; i < directories->count; i++)
        if (!strchr(directories->items[i], '\n'))
            sorted[count++] = directories->items[i];
    qsort(sorted, count, sizeof(*sorted), compare_versions);
    for (size_t i = 0; i < count && (int64_t)(count - i) > keep; i++)
        append(out, rc_strf("%s%s", dataset_prefix, sorted[i]));
    free(sorted);
}
