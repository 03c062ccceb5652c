/*
 * Which prefixes a rule moves.
 *
 * Pure.
 */
#ifndef SDRS_PREFIXES_H
#define SDRS_PREFIXES_H

#include "path_template.h"

#include <run-core/option.h>

enum { SDRS_PREFIX_BYTES = 1024 };

/* Prefixes of keys in one bucket, owned. What makes some adds them to what is there. */
struct sdrs_prefixes {
    char **items;
    size_t count;
};

void sdrs_prefixes_add(struct sdrs_prefixes *prefixes, const char *text);
void sdrs_prefixes_clear(struct sdrs_prefixes *prefixes);

/*
 * All hours of a dataset that have wholly passed at 'limit_unix_ms' (cut to the hour), as the
 * fewest prefixes: backwards the hours of its day, the days of its month, the months of its year,
 * the years before, until 'oldest_unix_ms' is reached: what is older may go with its day, month or
 * year. A template that ends with the day, month or year gives only those that have wholly passed.
 *
 *     limit 2019-02-08T05:30Z, dataset "d/" ->
 *     d/2019/02/08/04/ ... d/2019/02/08/00/, d/2019/02/07/ ... d/2019/02/01/, d/2019/01/, d/2018/
 */
void sdrs_time_prefixes(const struct sdrs_template *template, const char *dataset_prefix,
                        int64_t limit_unix_ms, int64_t oldest_unix_ms, struct sdrs_prefixes *out);

/*
 * Of the directories right below a dataset ("v1/", "2019-03-10/"; without the dataset's prefix) all
 * but the newest 'keep', the oldest first. Newer is what compares greater, runs of digits by their
 * number. A name with a line feed is no version.
 */
void sdrs_version_prefixes(const char *dataset_prefix, const struct sdrs_prefixes *directories,
                           int64_t keep, struct sdrs_prefixes *out);

/* Sorts, and leaves out what another one covers, or is there twice. */
void sdrs_prefixes_merge(struct sdrs_prefixes *prefixes);

/* Whether 'key' begins with one of them; they are merged. By binary search. */
bool sdrs_prefixes_cover(const struct sdrs_prefixes *prefixes, const char *key);

/* Whether some key may begin both with 'prefix' and with one of them; they are merged. */
bool sdrs_prefixes_meet(const struct sdrs_prefixes *prefixes, const char *prefix);

/* Takes out those that one of 'others' covers, which are merged. Returns how many. */
size_t sdrs_prefixes_leave(struct sdrs_prefixes *prefixes, const struct sdrs_prefixes *others);
/* The same of those that one of 'others' covers, or lies within. */
size_t sdrs_prefixes_leave_met(struct sdrs_prefixes *prefixes, const struct sdrs_prefixes *others);

/*
 * Of merged prefixes the part of 'held' that lies within one of them; and 'prefixes' without those
 * that lie within one of 'held', which is merged, too: what is to be excluded, and what remains to
 * be included.
 */
void sdrs_prefixes_hold(struct sdrs_prefixes *prefixes, const struct sdrs_prefixes *held,
                        struct sdrs_prefixes *excluded);

/* "a/\nb/\n" and back: as the state keeps them. No prefix has a line feed. */
void sdrs_prefixes_write(const struct sdrs_prefixes *prefixes, struct rc_buf *out);
void sdrs_prefixes_read(const char *text, struct sdrs_prefixes *out);

#endif
