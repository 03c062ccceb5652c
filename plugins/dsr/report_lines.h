/*
 * The lines of the record: one for each user and shard of each report, made of what the journal
 * has noted of it, one after the other in constant memory.
 */
#ifndef DSR_REPORT_LINES_H
#define DSR_REPORT_LINES_H

#include "journal_internal.h"

/* Instead of a report's name: what no report has yet. Sorts behind all names. */
#define DSR_UNREPORTED "unreported"

/* Which lines. All of them where nothing is said. */
struct dsr_report_choice {
    const char *report;    /* only of this one; NULL: of all, and those of none */
    const char *user_hash; /* NULL: of all users */
    int64_t since_unix_ms; /* only what was fulfilled then or later; INT64_MIN: all */
};

/* 'each' gets a line without its end. It must not use the journal. */
RC_MUST_CHECK enum rc_code dsr_report_lines(
    struct dsr_journal *journal, const struct dsr_report_choice *choice,
    const struct dsr_config *config,
    enum rc_code (*each)(void *context, const struct rc_buf *line, struct rc_error *err),
    void *context, struct rc_error *err);

#endif
