/*
 * What became of a job to be created, in words.
 */
#include "jobs.h"

#include <run-core/str.h>

#include <stdlib.h>

enum { MOST_NAMED = 5, SECOND_MS = 1000, MINUTE_MS = 60 * SECOND_MS, HOUR_MS = 60 * MINUTE_MS };

void delta_outcome_clear(struct delta_outcome *outcome)
{
    free(outcome->job_uri);
    free(outcome->task_uri);
    delta_list_clear(&outcome->reasons);
    *outcome = (struct delta_outcome){ 0 };
}

/* " for 2h5m", or " 2h5m ago" if nothing goes on; finer than a reader wants it is cut. */
static void add_age(const struct delta_job *job, int64_t now_unix_ms, struct rc_buf *out)
{
    char text[RC_AMOUNT_TEXT];
    int64_t age_ms;

    if (job->modified_unix_ms == DELTA_TIME_UNKNOWN)
        return;
    age_ms = now_unix_ms - job->modified_unix_ms;
    if (age_ms < 0) /* clocks differ */
        age_ms = 0;
    age_ms -= age_ms % (age_ms < HOUR_MS ? SECOND_MS : MINUTE_MS);
    rc_format_duration(age_ms, text);
    rc_buf_addf(out, delta_is_active(job->status) ? " for %s" : " %s ago", text);
}

static void add_job(const struct delta_job *job, int64_t now_unix_ms, struct rc_buf *out)
{
    rc_buf_addf(out, "the %s job <%s>, %s", delta_kind_text(job->kind), job->uri,
                delta_status_name(job->status));
    add_age(job, now_unix_ms, out);
}

static void add_reasons(const struct delta_outcome *outcome, const char *before,
                        int64_t now_unix_ms, struct rc_buf *out)
{
    size_t named = outcome->reasons.count < MOST_NAMED ? outcome->reasons.count : MOST_NAMED;

    for (size_t i = 0; i < named; i++) {
        rc_buf_adds(out, i == 0 ? before : "; ");
        add_job(&outcome->reasons.items[i], now_unix_ms, out);
    }
    if (named < outcome->reasons.count)
        rc_buf_addf(out, "; and %zu more", outcome->reasons.count - named);
}

void delta_outcome_explain(const struct delta_outcome *outcome, enum delta_kind kind,
                           int64_t now_unix_ms, struct rc_buf *out)
{
    const char *text = delta_kind_text(kind), *reasons = ": ";

    switch (outcome->verdict) {
    case DELTA_FREE:
        rc_buf_adds(out, "nothing stands in its way");
        return;
    case DELTA_DONE:
        rc_buf_addf(out, "an %s is made once, and there is one", text);
        break;
    case DELTA_BLOCKED:
        rc_buf_adds(out, "blocked");
        reasons = " by ";
        break;
    case DELTA_TOO_EARLY:
        rc_buf_addf(out, "a %s waits for an initial sync, and none has succeeded yet", text);
        break;
    case DELTA_FAILED_LATELY:
        rc_buf_addf(out, "the last %s failed, and it is too soon to try again", text);
        break;
    case DELTA_FAILED_FOR_GOOD:
        rc_buf_addf(out, "an %s failed, and is tried again only by force", text);
        break;
    }
    add_reasons(outcome, reasons, now_unix_ms, out);
}
