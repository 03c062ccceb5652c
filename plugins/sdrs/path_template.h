/*
 * Where a path says its time: "{yyyy}/{mm}/{dd}/{hh}", "dt={yyyy}-{mm}-{dd}",
 * "year={yyyy}/month={mm}". What it says is in UTC.
 *
 * Pure.
 */
#ifndef SDRS_PATH_TEMPLATE_H
#define SDRS_PATH_TEMPLATE_H

#include <run-core/buf.h>

#include <stdbool.h>
#include <stdint.h>

enum sdrs_level { SDRS_YEAR, SDRS_MON, SDRS_MDAY, SDRS_HOUR, SDRS_LEVELS };

struct sdrs_template {
    const char *text;          /* borrowed */
    enum sdrs_level finest;    /* the last that it has */
    size_t begin[SDRS_LEVELS]; /* of "{...}" in the text */
    size_t end[SDRS_LEVELS]; /* of the prefix of that level: behind the literal that follows, up to
                                its last slash; of the finest behind all */
};

/*
 * RC_INVALID: a level that is missing, twice, or before a coarser one; an unknown {name}; a leading
 * slash; a folder before the year, since that is part of the dataset; a control character.
 */
RC_MUST_CHECK enum rc_code sdrs_template_parse(const char *text, struct sdrs_template *out,
                                               struct rc_error *err);

struct sdrs_hour {
    int year, month, day, hour; /* 1-9999, 1-12, 1-31, 0-23 */
};

/* Cut to the hour; before year 1 and after 9999 the first and the last hour of all. */
struct sdrs_hour sdrs_hour_of(int64_t unix_ms);
int64_t sdrs_hour_unix_ms(const struct sdrs_hour *hour);
/* Its number of that level, to be read or changed. */
int *sdrs_hour_part(struct sdrs_hour *hour, enum sdrs_level level);

/*
 * Adds the prefix of the year, month, day or hour: "2019/02/" for SDRS_MON. The finest ends in '/'.
 */
void sdrs_template_add(const struct sdrs_template *template, enum sdrs_level level,
                       const struct sdrs_hour *at, struct rc_buf *out);

/*
 * The time that a path (what stands behind the dataset's prefix) says: when the hour (or day, or
 * month: the finest that the template has) it is of ends. False: it says none, and no such hour
 * exists as February 30.
 */
bool sdrs_template_end_of(const struct sdrs_template *template, const char *path,
                          int64_t *end_unix_ms);

/* The year that a name right below the dataset's prefix says, as of a shallow listing. */
bool sdrs_template_year_of(const struct sdrs_template *template, const char *path, int *year);

#endif
