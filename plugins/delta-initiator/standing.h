/*
 * How a stream stands: its jobs of each kind, and what would become of another one now.
 */
#ifndef DELTA_STANDING_H
#define DELTA_STANDING_H

#include "jobs.h"

struct delta_standing {
    struct delta_summary summaries[DELTA_KIND_COUNT];
    struct delta_outcome now[DELTA_KIND_COUNT]; /* nothing is created: there are no URIs */
    int64_t read_unix_ms;
};

/* Queries alone: jobs whose time is up are taken for failed, and not marked so. */
RC_MUST_CHECK enum rc_code delta_standing_read(struct delta_session *session,
                                               const struct delta_entry *entry,
                                               struct delta_standing *out, struct rc_error *err);
void delta_standing_clear(struct delta_standing *standing);

/* Whether the stream has such jobs: it has an operation for them, and they are not disabled. */
bool delta_standing_has(const struct delta_entry *entry, enum delta_kind kind);

/* "free", "done", "blocked", "too early", "failed lately", "failed for good". */
const char *delta_verdict_name(enum delta_verdict verdict);

/* "busy for 2h5m, times out in 1h55m"; for people. */
void delta_standing_state(const struct delta_standing *standing, const struct delta_config *config,
                          enum delta_kind kind, struct rc_buf *out);

/* All of it as one JSON object; for programs. */
void delta_standing_json(const struct delta_standing *standing, const struct delta_entry *entry,
                         struct rc_buf *out);

#endif
