/*
 * What is done with jobs in the store: created in the right order, failed when their time is up,
 * listed, removed. Replicas may do so at once and share nothing but the store.
 *
 * Creating one goes so:
 *   1. where it matters, one read before all: jobs whose time is up are marked as failed, and that
 *      is said; an initial sync is not begun where one has failed too lately;
 *   2. one conditional update makes the job and its task, or nothing;
 *   3. one read says which. The job is there and no other that the rules forbid: it is made. It is
 *      there beside such another one, which a store that does not run updates one after the other
 *      may let happen: it is withdrawn, and after a random pause all begins again. Both may
 *      withdraw; never do both stay, since whoever reads later sees the other. It is not there: the
 *      rules, on what was read, say why. So says the read, too, what an update did whose answer was
 *      lost;
 *   4. a job that was blocked leaves an error in the store, one for each blocking job and day.
 *
 * A process that dies in between leaves a whole job or none. Under --dry-run nothing is written,
 * and what was read decides.
 */
#ifndef DELTA_JOBS_H
#define DELTA_JOBS_H

#include "rules.h"
#include "sparql/client.h"

struct delta_list {
    struct delta_job *items;
    size_t count, capacity;
    size_t row_count; /* of the answer that it was read from; a job may have several */
};

void delta_list_clear(struct delta_list *list);

/* What an action works with; filled by delta_session_open(). */
struct delta_session {
    struct rc_job *job;
    const struct delta_config *config;
    struct sparql_store store;
    struct delta_entries entries;
    struct rc_http_header *headers; /* of 'store' */
    int64_t opened_mono_ms;
};

RC_MUST_CHECK enum rc_code delta_session_open(struct rc_job *job, const struct delta_config *config,
                                              struct delta_session *out, struct rc_error *err);
void delta_session_close(struct delta_session *session);

/*
 * The time of the run, which --now and the daemon's clock may have set, and what has passed
 * since.
 */
int64_t delta_session_now_unix_ms(const struct delta_session *session);

struct delta_outcome {
    enum delta_verdict verdict; /* DELTA_FREE: it was created, or would be under --dry-run */
    char *job_uri, *task_uri;   /* of what was created */
    struct delta_list reasons;  /* the jobs that are in the way, or that made it needless */
};

void delta_outcome_clear(struct delta_outcome *outcome);

/* "blocked by the healing job <...>, busy for 2h": why there is no job. For people. */
void delta_outcome_explain(const struct delta_outcome *outcome, enum delta_kind kind,
                           int64_t now_unix_ms, struct rc_buf *out);

/*
 * RC_OK: 'out' says what became of it. RC_SKIPPED: jobs of that kind are disabled. RC_INVALID:
 * the stream has no operation for them. RC_UNAVAILABLE: the store, or it let others in between
 * again and again.
 */
RC_MUST_CHECK enum rc_code delta_create(struct delta_session *session,
                                        const struct delta_entry *entry, enum delta_kind kind,
                                        bool force, struct delta_outcome *out,
                                        struct rc_error *err);

/* Removes the jobs of a kind, those that are active only if forced; they stay in 'kept'. */
RC_MUST_CHECK enum rc_code delta_clean(struct delta_session *session,
                                       const struct delta_entry *entry, enum delta_kind kind,
                                       bool force, struct delta_list *removed,
                                       struct delta_list *kept, struct rc_error *err);

/* Of one kind: how many there are with each status, and the newest. */
struct delta_summary {
    int64_t count[DELTA_STATUS_COUNT + 1];
    struct delta_job newest; /* uri NULL: none */
};

/* Read in constant memory. The caller clears with delta_summaries_clear(). */
RC_MUST_CHECK enum rc_code delta_summarise(struct delta_session *session,
                                           const struct delta_entry *entry,
                                           struct delta_summary out[DELTA_KIND_COUNT],
                                           struct rc_error *err);
void delta_summaries_clear(struct delta_summary summaries[DELTA_KIND_COUNT]);

#endif
