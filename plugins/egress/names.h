/*
 * Names: of what is dumped, as the configuration writes them, and of the objects that it becomes.
 * Pure.
 */
#ifndef EGRESS_NAMES_H
#define EGRESS_NAMES_H

#include "config.h"

/* ---- of tables ---- */

/* A table, or a pattern of tables, as SQL reads it: what is not in quotes is in lower case. */
struct egress_name {
    char *text;           /* as it was written */
    char *schema, *table; /* schema NULL: by the search path; in a pattern '*' and '?' are wild,
                             unless a backslash stands before them */
    bool is_pattern;      /* a '*' or '?' outside of quotes */
};

struct egress_names {
    struct egress_name *items;
    size_t count;
};

/*
 * Reads the items of a list, each of which may hold several names divided by blanks, as TABLES
 * does:
 *     tally_snapshots  public.hosts  "Odd name"."with ""quotes"""  audit_*
 * RC_INVALID names the item and the place in it.
 */
RC_MUST_CHECK enum rc_code egress_names_read(const struct rc_strs *list, struct egress_names *out,
                                             struct rc_error *err);
void egress_names_clear(struct egress_names *names);

/* Whether a pattern (or a plain name) fits a table; a pattern without schema fits any schema. */
bool egress_name_fits(const struct egress_name *name, const char *schema, const char *table);

/* ---- of objects ---- */

/* The parts of 'path': "{date}/{table}". All that is before the segment with {table} is the folder
 * of the run, which holds the manifest. */
struct egress_layout {
    const char *path;  /* borrowed */
    size_t folder_len; /* of 'path' that makes the folder */
};

/* RC_INVALID: no {table}, an unknown field, or a field of time in or behind the segment with the
 * table. */
RC_MUST_CHECK enum rc_code egress_layout_read(const char *path, struct egress_layout *out,
                                              struct rc_error *err);

/*
 * The folder of the run of a point in time, in the job's time zone: "2026-11-21/", or "" if the
 * path has none. Fields: {date} {year} {month} {day} {hour}, the last counted since the day
 * began.
 */
RC_MUST_CHECK enum rc_code egress_layout_folder(struct rc_job *job,
                                                const struct egress_layout *layout,
                                                int64_t nominal_unix_ms, struct rc_buf *out,
                                                struct rc_error *err);

/*
 * The same as a URI below 'output', which may be a local path, too; ends with '/'. The caller frees
 * *out. RC_INVALID: no output is configured, or 'path' is no layout.
 */
RC_MUST_CHECK enum rc_code egress_folder_uri(struct rc_job *job, const struct egress_config *config,
                                             int64_t nominal_unix_ms, char **out,
                                             struct rc_error *err);
/* The same below any other URI. */
RC_MUST_CHECK enum rc_code egress_folder_below(struct rc_job *job,
                                               const struct egress_config *config,
                                               const char *place, int64_t nominal_unix_ms,
                                               char **out, struct rc_error *err);

/*
 * Whether what lies directly below 'output' can be of this layout: a folder (its name then ends
 * with '/'), or an object. Of the names of tables anything is believed.
 */
bool egress_layout_fits(const struct egress_layout *layout, const char *name);

/*
 * The key of an object inside that folder: "tally_snapshots.csv.gz", or with a part (0 and more)
 * "tally_snapshots/part-00000.csv.gz". What a name must not bring into a key is percent-encoded: a
 * slash, a percent sign, control characters, and the first byte of what would be ".", ".." or the
 * name of the manifest. 'extension': ".csv.gz".
 */
void egress_layout_key(const struct egress_layout *layout, const char *table, int part,
                       const char *extension, struct rc_buf *out);

#define EGRESS_MANIFEST "_manifest.json"

#endif
