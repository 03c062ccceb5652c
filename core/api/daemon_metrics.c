/*
 * The metrics of the daemon, family by family, written while they are sent: a daemon may have
 * 100,000 jobs, whose metrics as a whole would be some megabytes.
 */
#include <api/call.h>
#include <api/exposition.h>

#include <os/clock.h>

#include <stdlib.h>
#include <string.h>

enum { PIECE_BYTES = 64 * 1024, LIMIT_BYTES = 64 * 1024 * 1024, LABEL_BYTES = 4096 };

struct stream {
    struct core_api *api;
    struct core_supervisor_health health; /* as it began; its texts are not used later */
    size_t family, job;
    bool begun; /* the family's head is written */
    struct rc_buf piece;
    size_t sent; /* of the piece */
};

/* ---- families of the daemon as a whole ------------------------------------------------------- */

static void add_build(struct stream *stream, const char *name, struct rc_buf *out)
{
    rc_buf_adds(out, name);
    core_metric_label(out, '{', "version", stream->api->version);
    rc_buf_addc(out, '}');
    core_metric_int(out, 1);
}

#define LATENESS(function, member)                                                                 \
    static void function(struct stream *stream, const char *name, struct rc_buf *out)              \
    {                                                                                              \
        const struct core_lateness *lateness =                                                     \
            &core_supervisor_totals(stream->api->supervisor)->member;                              \
        core_metric_histogram(out, name, "", core_lateness_bucket_s, lateness->counts,             \
                              CORE_LATENESS_BUCKETS, lateness->sum_s);                             \
    }

LATENESS(add_slot_lateness, of_slots)
LATENESS(add_claim_lateness, of_claims)

#define HEALTH(function, member)                                                                   \
    static void function(struct stream *stream, const char *name, struct rc_buf *out)              \
    {                                                                                              \
        rc_buf_adds(out, name);                                                                    \
        core_metric_int(out, (int64_t)(stream->health.member));                                    \
    }

HEALTH(add_ready, ready && !stream->health.stopping)
HEALTH(add_job_count, jobs)
HEALTH(add_workers, workers)
HEALTH(add_waiting, waiting)
HEALTH(add_reloads, reloads)
HEALTH(add_reload_success, last_reload_error == NULL)

#define TOTAL(function, member)                                                                    \
    static void function(struct stream *stream, const char *name, struct rc_buf *out)              \
    {                                                                                              \
        rc_buf_adds(out, name);                                                                    \
        core_metric_int(out, core_supervisor_totals(stream->api->supervisor)->member);             \
    }

TOTAL(add_database_failures, database_failures)
TOTAL(add_clock_jumps, clock_jumps)
TOTAL(add_adopted, adopted)
TOTAL(add_taken_over, taken_over)
TOTAL(add_notices_sent, notices_sent)
TOTAL(add_notices_failed, notices_failed)

static void add_start(struct stream *stream, const char *name, struct rc_buf *out)
{
    rc_buf_adds(out, name);
    core_metric_time(out, stream->health.started_unix_ms);
}

static void add_reload_time(struct stream *stream, const char *name, struct rc_buf *out)
{
    if (stream->health.last_reload_unix_ms == 0)
        return;
    rc_buf_adds(out, name);
    core_metric_time(out, stream->health.last_reload_unix_ms);
}

/* ---- families of each job -------------------------------------------------------------------- */

struct job {
    struct core_job_view view;
    const struct core_job_counts *counts; /* or NULL: nothing has happened yet */
};

static void add_job_labels(const struct job *job, const char *name, struct rc_buf *out)
{
    rc_buf_adds(out, name);
    core_metric_label(out, '{', "job", job->view.settings->name);
}

static void add_ends(const struct job *job, const char *name, struct rc_buf *out)
{
    for (int status = CORE_RUN_SUCCEEDED; job->counts && status < CORE_RUN_STATUS_COUNT; status++) {
        if (job->counts->ended[status] == 0 && status > CORE_RUN_FAILED)
            continue; /* the usual two are always there, so that rates have a beginning */
        add_job_labels(job, name, out);
        core_metric_label(out, ',', "status", core_run_status_name((enum core_run_status)status));
        rc_buf_addc(out, '}');
        core_metric_int(out, job->counts->ended[status]);
    }
}

static void add_durations(const struct job *job, const char *name, struct rc_buf *out)
{
    RC_BUF_AUTO(labels, LABEL_BYTES);

    if (!job->counts)
        return;
    core_metric_label(&labels, ' ', "job", job->view.settings->name);
    core_metric_histogram(out, name, labels.data + 1, core_duration_bucket_s,
                          job->counts->durations, CORE_DURATION_BUCKETS,
                          job->counts->duration_sum_s);
}

static void add_int(const struct job *job, const char *name, int64_t value, struct rc_buf *out)
{
    add_job_labels(job, name, out);
    rc_buf_addc(out, '}');
    core_metric_int(out, value);
}

static void add_time(const struct job *job, const char *name, int64_t unix_ms, struct rc_buf *out)
{
    if (unix_ms == 0)
        return;
    add_job_labels(job, name, out);
    rc_buf_addc(out, '}');
    core_metric_time(out, unix_ms);
}

static void add_retries(const struct job *job, const char *name, struct rc_buf *out)
{
    if (job->counts)
        add_int(job, name, job->counts->retries, out);
}

static void add_success(const struct job *job, const char *name, struct rc_buf *out)
{
    add_time(job, name, job->counts ? job->counts->last_success_unix_ms : 0, out);
}

static void add_failure(const struct job *job, const char *name, struct rc_buf *out)
{
    add_time(job, name, job->counts ? job->counts->last_failure_unix_ms : 0, out);
}

static void add_next(const struct job *job, const char *name, struct rc_buf *out)
{
    add_time(job, name, job->view.has_next ? job->view.next_unix_ms : 0, out);
}

static void add_paused(const struct job *job, const char *name, struct rc_buf *out)
{
    add_int(job, name, job->view.paused_unix_ms != 0, out);
}

static void add_running(const struct job *job, const char *name, struct rc_buf *out)
{
    if (job->counts || job->view.workers)
        add_int(job, name, job->view.workers, out);
}

static void add_job_waiting(const struct job *job, const char *name, struct rc_buf *out)
{
    if (job->counts || job->view.waiting)
        add_int(job, name, job->view.waiting, out);
}

/* ---- families of each run that goes on ------------------------------------------------------- */

struct live {
    const char *name;
    struct rc_buf *out;
};

static void add_run_labels(const struct live *live, const char *run, const char *job)
{
    rc_buf_adds(live->out, live->name);
    core_metric_label(live->out, '{', "job", job);
    core_metric_label(live->out, ',', "run", run);
}

static void add_run_done(void *context, const char *run, const char *job,
                         struct core_status *status)
{
    const struct live *live = context;

    add_run_labels(live, run, job);
    rc_buf_addc(live->out, '}');
    core_metric_int(live->out, atomic_load(&status->progress_done));
}

static void add_run_total(void *context, const char *run, const char *job,
                          struct core_status *status)
{
    const struct live *live = context;
    int64_t total = atomic_load(&status->progress_total);

    if (total <= 0)
        return;
    add_run_labels(live, run, job);
    rc_buf_addc(live->out, '}');
    core_metric_int(live->out, total);
}

static void add_run_counters(void *context, const char *run, const char *job,
                             struct core_status *status)
{
    const struct live *live = context;
    size_t count = core_status_counters(status);

    for (size_t i = 0; i < count; i++) {
        add_run_labels(live, run, job);
        core_metric_label(live->out, ',', "counter", status->counters[i].name);
        rc_buf_addc(live->out, '}');
        core_metric_int(live->out, atomic_load(&status->counters[i].value));
    }
}

/* ---- all families ---------------------------------------------------------------------------- */

static const struct family {
    const char *name, *type, *help;
    /* One of these. */
    void (*once)(struct stream *stream, const char *name, struct rc_buf *out);
    void (*job)(const struct job *job, const char *name, struct rc_buf *out);
    core_supervisor_run_fn *run;
} families[] = {
    { "run_core_build_info", "gauge", "The version of run-core; the value is 1.",
      .once = add_build },
    { "run_core_start_time_seconds", "gauge", "When the daemon began, in seconds since 1970.",
      .once = add_start },
    { "run_core_ready", "gauge", "1 if the database answers and the schedule is kept.",
      .once = add_ready },
    { "run_core_jobs", "gauge", "Jobs of the configuration.", .once = add_job_count },
    { "run_core_workers", "gauge", "Runs that go on.", .once = add_workers },
    { "run_core_waiting_runs", "gauge",
      "Runs that wait for their turn or next attempt, and jobs with a due slot not yet claimed.",
      .once = add_waiting },
    { "run_core_reloads_total", "counter", "Reloads that took effect.", .once = add_reloads },
    { "run_core_last_reload_successful", "gauge", "0 if the last reload was refused.",
      .once = add_reload_success },
    { "run_core_last_reload_time_seconds", "gauge", "When the last reload was asked for.",
      .once = add_reload_time },
    { "run_core_lateness_seconds", "histogram",
      "Time from a slot's nominal time to the start of its process.", .once = add_slot_lateness },
    { "run_core_claim_to_start_seconds", "histogram",
      "Time from the claim of an attempt to the start of its process.",
      .once = add_claim_lateness },
    { "run_core_database_failures_total", "counter", "Times that the state database was lost.",
      .once = add_database_failures },
    { "run_core_clock_jumps_total", "counter", "Jumps of the wall clock, suspends included.",
      .once = add_clock_jumps },
    { "run_core_adopted_runs_total", "counter", "Runs of an earlier daemon that were adopted.",
      .once = add_adopted },
    { "run_core_taken_over_runs_total", "counter", "Runs that were taken over from dead daemons.",
      .once = add_taken_over },
    { "run_core_notices_sent_total", "counter", "Notifications that were delivered.",
      .once = add_notices_sent },
    { "run_core_notices_failed_total", "counter", "Notifications that were given up.",
      .once = add_notices_failed },
    { "run_core_job_attempts_total", "counter",
      "Attempts of the job by how they ended, and slots that were skipped.", .job = add_ends },
    { "run_core_job_duration_seconds", "histogram", "How long the job's attempts took.",
      .job = add_durations },
    { "run_core_job_retries_total", "counter", "Further attempts after one that failed.",
      .job = add_retries },
    { "run_core_job_last_success_time_seconds", "gauge", "When the job last succeeded.",
      .job = add_success },
    { "run_core_job_last_failure_time_seconds", "gauge", "When the job last failed.",
      .job = add_failure },
    { "run_core_job_next_slot_time_seconds", "gauge", "When the job is due next.",
      .job = add_next },
    { "run_core_job_paused", "gauge", "1 if the job is paused.", .job = add_paused },
    { "run_core_job_running", "gauge", "Runs of the job that go on.", .job = add_running },
    { "run_core_job_waiting", "gauge", "Runs of the job that wait.", .job = add_job_waiting },
    { "run_core_run_progress_done", "gauge", "How much of its work the run has done.",
      .run = add_run_done },
    { "run_core_run_progress_total", "gauge", "How much work the run has.", .run = add_run_total },
    { "run_core_run_counter", "gauge", "The counters that the plugin keeps of the run.",
      .run = add_run_counters },
};

static void add_jobs(struct stream *stream, const struct family *family)
{
    const struct core_supervisor *supervisor = stream->api->supervisor;
    size_t count = core_supervisor_job_count(supervisor);

    for (; stream->job < count && stream->piece.len < PIECE_BYTES; stream->job++) {
        struct job job = { .counts = core_supervisor_counts(supervisor, stream->job) };

        core_supervisor_job(supervisor, stream->job, &job.view);
        family->job(&job, family->name, &stream->piece);
    }
    if (stream->job == count) {
        stream->job = 0;
        stream->family++;
        stream->begun = false;
    }
}

static void add_more(struct stream *stream)
{
    const struct family *family = &families[stream->family];
    struct live live = { family->name, &stream->piece };

    if (!stream->begun)
        core_metric_family(&stream->piece, family->name, family->type, family->help);
    stream->begun = true;
    if (family->job) {
        add_jobs(stream, family);
        return;
    }
    if (family->once)
        family->once(stream, family->name, &stream->piece);
    else
        core_supervisor_each_run(stream->api->supervisor, family->run, &live);
    stream->family++;
    stream->begun = false;
}

/* ---- sending --------------------------------------------------------------------------------- */

static ssize_t read_metrics(void *context, char *data, size_t capacity)
{
    struct stream *stream = context;
    struct core_supervisor_health health;
    size_t len;

    if (stream->sent == stream->piece.len) {
        core_supervisor_health(stream->api->supervisor, &health);
        /* The jobs may have other places by now, so one might be told of twice. */
        if (health.reloads != stream->health.reloads && stream->job > 0)
            return CORE_HTTP_BREAK;
        rc_buf_reset(&stream->piece);
        stream->sent = 0;
        while (stream->piece.len < PIECE_BYTES && stream->family < RC_ARRAY_LEN(families))
            add_more(stream);
        if (stream->piece.overflow)
            return CORE_HTTP_BREAK;
    }
    len = stream->piece.len - stream->sent;
    if (len == 0)
        return CORE_HTTP_END;
    if (len > capacity)
        len = capacity;
    memcpy(data, stream->piece.data + stream->sent, len);
    stream->sent += len;
    return (ssize_t)len;
}

static void end_metrics(void *context)
{
    struct stream *stream = context;

    rc_buf_clear(&stream->piece);
    free(stream);
}

void core_api_metrics(struct core_api_call *call)
{
    struct stream *stream = rc_calloc(1, sizeof(*stream));

    *stream = (struct stream){ .api = call->api, .piece = RC_BUF_INIT(LIMIT_BYTES) };
    core_supervisor_health(call->api->supervisor, &stream->health);
    core_http_reply_stream(call->exchange, 200, CORE_API_METRICS_TYPE,
                           &(struct core_http_source){
                               .context = stream, .read = read_metrics, .closed = end_metrics });
}
