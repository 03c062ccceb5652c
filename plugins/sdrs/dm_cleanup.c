/*
 * The action 'dm-cleanup': delete markers whose job has ended without them, those that have failed
 * too often, and whatever has ended so long ago that nobody asks for it.
 */
#include "run.h"

#include "state/markers.h"
#include "state/outbox.h"

#include <inttypes.h>
#include <stdlib.h>

/* What was done, for people. */
struct cleaned {
    int64_t settled, failed, markers, jobs, executions;
};

/* ---- scheduled ones -------------------------------------------------------------------------- */

/* Of a job that is at work, or that the transfer service has, 'validate' hears. */
static enum rc_code settle_of_job(struct sdrs_state *state, const struct sdrs_config *config,
                                  int64_t id, bool *settled, struct rc_error *err)
{
    struct sdrs_record record;
    enum rc_code code = sdrs_jobs_find(state, id, &record, err);

    *settled = true;
    if (code == RC_NOT_FOUND)
        code = sdrs_settle_gone(state, config, id, err);
    else if (!code && (record.status == SDRS_JOB_SUCCESS || record.status == SDRS_JOB_ERROR))
        code = sdrs_settle(state, config, &record, err);
    else
        *settled = false;
    sdrs_record_clear(&record);
    return code;
}

static int compare_jobs(const void *a, const void *b)
{
    int64_t one = ((const struct sdrs_marker *)a)->job,
            other = ((const struct sdrs_marker *)b)->job;

    return (one > other) - (one < other);
}

static enum rc_code settle_scheduled(struct sdrs_state *state, const struct sdrs_config *config,
                                     struct cleaned *cleaned, struct rc_error *err)
{
    struct sdrs_markers markers = { 0 };
    enum rc_code code = sdrs_markers_scheduled(state, &markers, err);
    bool settled;

    if (!code && markers.count > 1)
        qsort(markers.items, markers.count, sizeof(*markers.items), compare_jobs);
    for (size_t i = 0; !code && i < markers.count; i++) {
        if (i > 0 && markers.items[i].job == markers.items[i - 1].job)
            continue;
        code = settle_of_job(state, config, markers.items[i].job, &settled, err);
        cleaned->settled += !code && settled;
    }
    sdrs_markers_clear(&markers);
    return code;
}

/* ---- those that failed too often ------------------------------------------------------------- */

static enum rc_code give_up(struct sdrs_state *state, void *context, struct rc_error *err)
{
    struct sdrs_marker failed = *(const struct sdrs_marker *)context;

    failed.status = SDRS_MARKER_FAIL;
    if (sdrs_markers_give_up(state, failed.id, err))
        return err->code;
    return sdrs_marker_conclude(state, &failed, /* run = */ NULL, err);
}

/* As when fewer retries are configured than there were. */
static enum rc_code give_up_all(struct sdrs_state *state, const struct sdrs_config *config,
                                struct cleaned *cleaned, struct rc_error *err)
{
    struct sdrs_markers due = { 0 };
    enum rc_code code = sdrs_markers_due(state, sdrs_now_unix_ms(state->job), &due, err);

    for (size_t i = 0; !code && i < due.count; i++) {
        struct sdrs_marker *marker = &due.items[i];

        if (marker->status != SDRS_MARKER_RETRY || marker->retries < config->marker_retries)
            continue;
        code = sdrs_state_transact(state, give_up, marker, err);
        cleaned->failed += !code;
    }
    sdrs_markers_clear(&due);
    return code;
}

/* ---- what is forgotten ----------------------------------------------------------------------- */

static enum rc_code forget(struct sdrs_state *state, const struct sdrs_config *config,
                           struct cleaned *cleaned, struct rc_error *err)
{
    int64_t before_unix_ms = sdrs_now_unix_ms(state->job) - config->keep_days * RC_DAY_MS;
    int64_t told;

    if (config->keep_days == 0)
        return RC_OK;
    if (sdrs_markers_forget(state, before_unix_ms, &cleaned->markers, err) ||
        sdrs_jobs_forget(state, before_unix_ms, &cleaned->jobs, err) ||
        sdrs_executions_forget(state, before_unix_ms, &cleaned->executions, err) ||
        sdrs_outbox_forget(state, before_unix_ms, &told, err))
        return err->code;
    return RC_OK;
}

/* ---- the run --------------------------------------------------------------------------------- */

static void tell(struct rc_job *job, const struct cleaned *cleaned)
{
    RC_STR_AUTO text = rc_strf(
        "settled the delete markers of %" PRId64 " jobs, gave up %" PRId64 "; forgot %" PRId64
        " delete markers, %" PRId64 " jobs and %" PRId64 " executions",
        cleaned->settled, cleaned->failed, cleaned->markers, cleaned->jobs, cleaned->executions);

    rc_job_say(job, text);
    rc_job_count(job, "jobs_settled", cleaned->settled);
    rc_job_count(job, "markers_failed", cleaned->failed);
    rc_job_count(job, "markers_forgotten", cleaned->markers);
    rc_job_count(job, "jobs_forgotten", cleaned->jobs);
    rc_job_count(job, "executions_forgotten", cleaned->executions);
}

static enum rc_code clean(struct rc_job *job, const struct sdrs_config *config,
                          struct sdrs_state *state, struct rc_error *err)
{
    struct cleaned cleaned = { 0 };

    if (settle_scheduled(state, config, &cleaned, err) ||
        give_up_all(state, config, &cleaned, err) || forget(state, config, &cleaned, err))
        return err->code;
    tell(job, &cleaned);
    return RC_OK;
}

enum rc_code sdrs_dm_cleanup(struct rc_job *job, const void *options, struct rc_error *err)
{
    return sdrs_with_markers(job, options, clean, err);
}
