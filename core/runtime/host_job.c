/*
 * The services 'log' and 'job' of the host: messages, cancellation, progress, counters, results,
 * the run's directory and the calendar of the job's time zone.
 */
#include <runtime/host.h>

#include <os/clock.h>
#include <os/path.h>
#include <runtime/output.h>
#include <runtime/scratch.h>
#include <runtime/submit.h>

#include <config/secrets.h>

#include <errno.h>
#include <string.h>

enum { RESULT_LIMIT = 16 * 1024 * 1024, COUNTER_NAME = 63 };

static void log_write(struct rc_job *job, enum rc_log_level level,
                      const struct rc_log_field *fields, size_t count, const char *format, ...)
    RC_PRINTF(5, 6);

static void log_write(struct rc_job *job, enum rc_log_level level,
                      const struct rc_log_field *fields, size_t count, const char *format, ...)
{
    va_list arguments;

    if ((int)level < 0 || level > RC_LOG_DEBUG || (int)level > job->log_level)
        return;
    va_start(arguments, format);
    core_output_logv(level, fields, count, format, arguments);
    va_end(arguments);
}

const struct rc_log_api core_host_log = { .write = log_write };

static enum rc_code job_check(struct rc_job *job, struct rc_error *err)
{
    return core_cancel_check(core_job_of(job)->cancel, err);
}

static int64_t job_remaining_ms(struct rc_job *job)
{
    int64_t deadline_ms = core_job_of(job)->run->deadline_mono_ms;
    int64_t left_ms = deadline_ms - core_clock_mono_ms();

    return deadline_ms == 0 ? INT64_MAX : left_ms > 0 ? left_ms : 0;
}

static void job_progress(struct rc_job *job, int64_t done, int64_t total, const char *unit)
{
    core_status_progress(core_job_of(job)->run->status, done, total, unit);
    core_output_progress(done, total, unit, 0.0);
}

static bool is_counter_name(const char *name)
{
    size_t len = strlen(name);

    return len > 0 && len <= COUNTER_NAME &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == len &&
           !(name[0] >= '0' && name[0] <= '9');
}

static void job_count(struct rc_job *job, const char *name, int64_t delta)
{
    if (!is_counter_name(name))
        rc_warn(job,
                "ignoring the counter '%s': a name has lower-case letters, digits and '_' "
                "only, at most %d",
                name, COUNTER_NAME);
    else if (!core_status_count(core_job_of(job)->run->status, name, delta))
        rc_warn(job, "ignoring the counter '%s': a run has at most %d", name, CORE_STATUS_COUNTERS);
}

/* Results may hold secrets that a plugin was careless with: they are masked like all else. */
static void put_result(struct rc_job *job, const struct rc_buf *text)
{
    struct core_run *run = core_job_of(job)->run;
    RC_BUF_AUTO(masked, RESULT_LIMIT);
    int failed;

    core_secret_add_masked(&masked, text->data, text->len);
    if (text->overflow || masked.overflow) {
        rc_warn(job, "a result of more than %d bytes is not shown", RESULT_LIMIT);
        return;
    }
    atomic_store(&run->has_results, true);
    failed = core_output_result(run->result_fd, masked.data, masked.len);
    if (failed && failed != EPIPE) /* a reader that goes has read enough */
        atomic_store(&run->result_errno, failed);
}

static void job_say(struct rc_job *job, const char *text)
{
    RC_BUF_AUTO(out, RESULT_LIMIT);

    if (core_job_of(job)->run->request->json) {
        rc_buf_adds(&out, "{\"text\":");
        rc_buf_add_json(&out, text, strlen(text));
        rc_buf_adds(&out, "}\n");
    } else {
        core_output_add_text(&out, text);
        rc_buf_addc(&out, '\n');
    }
    put_result(job, &out);
}

static void job_show(struct rc_job *job, const struct rc_table *table)
{
    RC_BUF_AUTO(out, RESULT_LIMIT);

    if (core_job_of(job)->run->request->json) {
        core_output_table_json(&out, table);
        rc_buf_addc(&out, '\n');
    } else {
        /* A title stands apart from what is above it. */
        if (table->title && atomic_load(&core_job_of(job)->run->has_results))
            rc_buf_addc(&out, '\n');
        core_output_table_text(&out, table);
    }
    put_result(job, &out);
}

enum rc_code core_host_temp_dir(struct core_run *run, const char **path, struct rc_error *err)
{
    enum rc_code code = RC_OK;

    pthread_mutex_lock(&run->opening);
    if (!run->temp_dir)
        code = core_scratch_make(run->id, &run->temp_dir, err);
    *path = run->temp_dir;
    pthread_mutex_unlock(&run->opening);
    return code;
}

static enum rc_code job_temp_dir(struct rc_job *job, const char **path, struct rc_error *err)
{
    return core_host_temp_dir(core_job_of(job)->run, path, err);
}

static enum rc_code zone_of(struct rc_job *job, const struct core_time_zone **out,
                            struct rc_error *err)
{
    struct core_run *run = core_job_of(job)->run;
    enum rc_code code = RC_OK;

    pthread_mutex_lock(&run->opening);
    if (!run->zone)
        code = core_time_zone_load(job->time_zone, &run->zone, err);
    *out = run->zone;
    pthread_mutex_unlock(&run->opening);
    return code;
}

static int64_t floor_seconds(int64_t unix_ms)
{
    return unix_ms / 1000 - (unix_ms % 1000 < 0);
}

static enum rc_code job_day_of(struct rc_job *job, int64_t unix_ms, int32_t *day,
                               struct rc_error *err)
{
    const struct core_time_zone *zone;

    if (zone_of(job, &zone, err))
        return err->code;
    *day = core_time_zone_day_of(zone, floor_seconds(unix_ms));
    return RC_OK;
}

static enum rc_code job_day_start(struct rc_job *job, int32_t day, int64_t *unix_ms,
                                  struct rc_error *err)
{
    const struct core_time_zone *zone;

    if (zone_of(job, &zone, err))
        return err->code;
    *unix_ms = core_time_zone_day_start_s(zone, day) * 1000;
    return RC_OK;
}

static enum rc_code job_submit(struct rc_job *job, const char *action, const struct rc_pair *params,
                               size_t param_count, char run_id[RC_RUN_ID_TEXT],
                               struct rc_error *err)
{
    return core_submit(core_job_of(job), action, params, param_count, run_id, err);
}

const struct rc_job_api core_host_job = {
    .check = job_check,
    .remaining_ms = job_remaining_ms,
    .progress = job_progress,
    .count = job_count,
    .say = job_say,
    .show = job_show,
    .temp_dir = job_temp_dir,
    .day_of = job_day_of,
    .day_start = job_day_start,
    .submit = job_submit,
};
