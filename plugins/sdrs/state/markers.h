/*
 * The queue of delete markers: pending -> scheduled -> success, or retry -> ... -> fail.
 */
#ifndef SDRS_STATE_MARKERS_H
#define SDRS_STATE_MARKERS_H

#include "state.h"

enum sdrs_marker_status {
    SDRS_MARKER_PENDING,
    SDRS_MARKER_SCHEDULED, /* a job has it */
    SDRS_MARKER_SUCCESS,
    SDRS_MARKER_RETRY, /* its job failed */
    SDRS_MARKER_FAIL,  /* too often */
};
const char *sdrs_marker_status_name(enum sdrs_marker_status status);

/* Text is owned. */
struct sdrs_marker {
    int64_t id;
    char *project;
    char *target; /* the folder: "gs://bucket/dataset/2019/03" */
    char *bucket; /* as of sdrs_bucket_uri() */
    char *prefix; /* "dataset/2019/03/" */
    enum sdrs_marker_status status;
    int64_t retries, job; /* the job that has or had it; 0: none yet */
    char *execution, *batch, *user, *message;
    int64_t created_unix_ms, changed_unix_ms;
};
void sdrs_marker_clear(struct sdrs_marker *marker);

struct sdrs_markers {
    struct sdrs_marker *items;
    size_t count;
};
void sdrs_markers_clear(struct sdrs_markers *markers);

/* Pure: retries + min(4, hours waited / 6). */
int64_t sdrs_marker_priority(const struct sdrs_marker *marker, int64_t now_unix_ms);

/* Atomic. RC_CONFLICT: the same target of that project is pending, scheduled or to be retried. */
RC_MUST_CHECK enum rc_code sdrs_markers_add(struct sdrs_state *state, struct sdrs_marker *marker,
                                            struct rc_error *err);
/* Pending ones and those to be retried: by priority, then retries, the oldest first. */
RC_MUST_CHECK enum rc_code sdrs_markers_due(struct sdrs_state *state, int64_t now_unix_ms,
                                            struct sdrs_markers *out, struct rc_error *err);
/* All that a job has or had; with 'execution' (not NULL) those of that instead. */
RC_MUST_CHECK enum rc_code sdrs_markers_of(struct sdrs_state *state, int64_t job,
                                           const char *execution, struct sdrs_markers *out,
                                           struct rc_error *err);
/* All that are scheduled, whichever job has them. */
RC_MUST_CHECK enum rc_code sdrs_markers_scheduled(struct sdrs_state *state,
                                                  struct sdrs_markers *out, struct rc_error *err);
/*
 * Atomic. Gives them to a job: scheduled; one that was to be retried has one retry more.
 * RC_CONFLICT: one of them waits no longer.
 */
RC_MUST_CHECK enum rc_code sdrs_markers_schedule(struct sdrs_state *state,
                                                 const struct sdrs_markers *markers, int64_t job,
                                                 struct rc_error *err);
/*
 * Settles what a job had: success, or retry and, behind 'max_retries', fail with the message.
 */
RC_MUST_CHECK enum rc_code sdrs_markers_settle(struct sdrs_state *state, int64_t job, bool success,
                                               int64_t max_retries, const char *message,
                                               struct rc_error *err);
/* Fails one that was to be retried; its message stays. */
RC_MUST_CHECK enum rc_code sdrs_markers_give_up(struct sdrs_state *state, int64_t id,
                                                struct rc_error *err);
/* Settled ones that have not changed since: away. */
RC_MUST_CHECK enum rc_code sdrs_markers_forget(struct sdrs_state *state,
                                               int64_t changed_before_unix_ms, int64_t *forgotten,
                                               struct rc_error *err);

#endif
