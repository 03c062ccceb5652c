/*
 * What metrics are made of.
 */
#include <supervisor/internal.h>

#include <os/clock.h>

#include <run-core/str.h>

const double core_duration_bucket_s[CORE_DURATION_BUCKETS] = { 0.1, 0.5, 1,   5,    10,    30,
                                                               60,  300, 900, 3600, 14400, 86400 };
const double core_lateness_bucket_s[CORE_LATENESS_BUCKETS] = { 0.001, 0.0025, 0.005, 0.01,
                                                               0.025, 0.05,   0.1,   0.25,
                                                               0.5,   1,      5,     30 };

static size_t bucket_of(const double *bounds, size_t count, double value)
{
    size_t bucket = 0;

    while (bucket < count && value > bounds[bucket])
        bucket++;
    return bucket;
}

static void count_duration(struct core_job_counts *counts, const struct core_attempt_result *result)
{
    double seconds = (double)(result->finished_unix_ms - result->started_unix_ms) / 1000.0;

    if (result->started_unix_ms == 0 || seconds < 0) /* unknown, or the clock was set back */
        return;
    counts->durations[bucket_of(core_duration_bucket_s, CORE_DURATION_BUCKETS, seconds)]++;
    counts->duration_sum_s += seconds;
}

void core_count_end(struct core_supervisor *supervisor, struct core_job_state *job,
                    enum core_run_status status, const struct core_attempt_result *result,
                    bool retried)
{
    struct core_job_counts *counts;

    (void)supervisor;
    if (!job)
        return;
    counts = core_job_counts_of(job);
    counts->ended[status]++;
    counts->retries += retried;
    if (!result)
        return;
    count_duration(counts, result);
    if (status == CORE_RUN_SUCCEEDED)
        counts->last_success_unix_ms = result->finished_unix_ms;
    else if (status == CORE_RUN_FAILED || status == CORE_RUN_TIMED_OUT || status == CORE_RUN_LOST)
        counts->last_failure_unix_ms = result->finished_unix_ms;
}

static void add_lateness(struct core_lateness *lateness, int64_t late_ms)
{
    double seconds = (double)late_ms / 1000.0;

    lateness->counts[bucket_of(core_lateness_bucket_s, CORE_LATENESS_BUCKETS, seconds)]++;
    lateness->sum_s += seconds;
}

void core_count_start(struct core_supervisor *supervisor, const struct core_active *active)
{
    struct core_supervisor_totals *totals = &supervisor->totals;

    if (active->claimed_mono_ms)
        add_lateness(&totals->of_claims, core_clock_mono_ms() - active->claimed_mono_ms);
    /* What a misfire rule made up for is late by its nature. */
    if (active->has_slot && !active->made_up && active->attempt == 1)
        add_lateness(&totals->of_slots, core_clock_now_unix_ms() - active->slot_unix_ms);
}

static void keep_success(void *context, const char *name, int64_t finished_unix_ms)
{
    struct core_supervisor *supervisor = context;
    struct core_job_state *job = core_jobs_find(supervisor->jobs, name);

    if (job)
        core_job_counts_of(job)->last_success_unix_ms = finished_unix_ms;
}

static void keep_failure(void *context, const char *name, int64_t finished_unix_ms)
{
    struct core_supervisor *supervisor = context;
    struct core_job_state *job = core_jobs_find(supervisor->jobs, name);

    if (job)
        core_job_counts_of(job)->last_failure_unix_ms = finished_unix_ms;
}

enum rc_code core_count_from_ledger(struct core_supervisor *supervisor, struct rc_error *err)
{
    if (core_ledger_last_ends(supervisor->ledger, CORE_RUN_SUCCEEDED, keep_success, supervisor,
                              err) ||
        core_ledger_last_ends(supervisor->ledger, CORE_RUN_FAILED, keep_failure, supervisor, err))
        return rc_context(err, "read when the jobs ended last");
    return RC_OK;
}
