/*
 * The delta streams of a configuration, whichever of its forms gives them, with every default
 * filled in. All of them are judged before any is used.
 */
#ifndef DELTA_ENTRIES_H
#define DELTA_ENTRIES_H

#include "config.h"

struct delta_entry {
    const char *name; /* "" for the only one, which has none */
    const char *jobs_graph, *error_creator;
    const char *job_operation[DELTA_KIND_COUNT]; /* NULL: not given, so there is no such job */
    const char *task_operation[DELTA_KIND_COUNT];
    const char *cron[DELTA_KIND_COUNT]; /* of healing and dump */
    bool disabled[DELTA_KIND_COUNT];    /* of healing and dump */
    bool start_initial_sync, heal_without_initial_sync;
};

struct delta_entries {
    struct delta_entry *items; /* texts of the configuration, or of 'texts' */
    size_t count;
    char **texts;
    size_t text_count;
};

/*
 * RC_INVALID: an IRI that is none, a name that stands twice or cannot be part of a URL's path, two
 * streams with the same operation in the same graph; the message names the stream and the option.
 */
RC_MUST_CHECK enum rc_code delta_entries_make(const struct delta_config *config,
                                              struct delta_entries *out, struct rc_error *err);
void delta_entries_clear(struct delta_entries *entries);

/* RC_INVALID: there is none of that name; the message lists those that there are. */
RC_MUST_CHECK enum rc_code delta_entries_find(const struct delta_entries *entries, const char *name,
                                              const struct delta_entry **out, struct rc_error *err);

/* RC_INVALID: the stream has no operation for such jobs; the message names the option. */
RC_MUST_CHECK enum rc_code delta_entry_has(const struct delta_entry *entry, enum delta_kind kind,
                                           struct rc_error *err);

/*
 * Whether a cron expression names months by number: the older system counted them from 0, so that
 * it now means another month.
 */
bool delta_cron_numbers_months(const char *expression);

/*
 * "initial sync", "healing", "dump"; and as the action and 'kind' are called: "initial-sync", ...
 */
const char *delta_kind_text(enum delta_kind kind);
const char *delta_kind_name(enum delta_kind kind);

#endif
