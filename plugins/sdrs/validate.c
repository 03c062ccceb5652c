/*
 * The action 'validate': finds out what became of each job that is pending, and of those whose
 * process has died; begins events that nobody has begun.
 */
#include "report.h"
#include "run.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>

struct validating {
    const struct sdrs_config *config;
    struct sdrs_records records;
    struct sdrs_report report;
    atomic_size_t next, done;
};

/* ---- jobs ------------------------------------------------------------------------------------ */

static size_t count_prefixes(const struct sdrs_record *record)
{
    size_t count = 0;

    for (const char *at = record->prefixes; at && *at; at++)
        count += *at == '\n';
    return count;
}

static void report(struct validating *validating, const struct sdrs_record *record)
{
    const struct sdrs_row row = sdrs_row_of(record, record->bucket, count_prefixes(record));

    sdrs_report_add(&validating->report, &row);
}

static enum rc_code settle_record(struct rc_job *job, struct validating *validating,
                                  struct sdrs_state *state, struct sdrs_record *record,
                                  struct rc_error *err)
{
    if (sdrs_settle_job(job, validating->config, state, record, err))
        return err->code;
    report(validating, record);
    return RC_OK;
}

/*
 * With the bucket's lock: whoever was at work on the job when it was listed is not any more, and
 * may have left it otherwise than it was then.
 */
static enum rc_code settle_again_read(struct rc_job *job, struct validating *validating,
                                      struct sdrs_state *state, struct sdrs_record *record,
                                      struct rc_error *err)
{
    struct sdrs_record now;
    enum rc_code code = sdrs_jobs_find(state, record->id, &now, err);

    if (code)
        return code == RC_NOT_FOUND ? RC_OK : code;
    sdrs_record_clear(record);
    *record = now;
    if (record->status != SDRS_JOB_RUNNING && record->status != SDRS_JOB_PENDING)
        return RC_OK;
    return settle_record(job, validating, state, record, err);
}

/* A job that is running is at work while its bucket is locked. */
static enum rc_code settle_if_free(struct rc_job *job, struct validating *validating,
                                   struct sdrs_state *state, struct sdrs_record *record,
                                   struct rc_error *err)
{
    struct rc_lock *lock;
    enum rc_code code = sdrs_bucket_lock(job, record->bucket, /* wait_ms = */ 0, &lock, err);

    if (code)
        return code == RC_CONFLICT ? RC_OK : code;
    code = settle_again_read(job, validating, state, record, err);
    rc_lock_release(job, lock);
    return code;
}

static enum rc_code settle_next(struct rc_job *job, struct validating *validating,
                                struct sdrs_state *state, size_t index, struct rc_error *err)
{
    struct sdrs_record *record = &validating->records.items[index];
    struct rc_error ignored = RC_ERROR_INIT;
    enum rc_code code = record->status == SDRS_JOB_RUNNING
                            ? settle_if_free(job, validating, state, record, err)
                            : settle_record(job, validating, state, record, err);

    /* What cannot be found out now is tried again by the next run. */
    if (code) {
        if (rc_job_check(job, &ignored))
            return err->code;
        RC_STR_AUTO text = rc_strf("%s%s%s", err->context, err->context[0] ? ": " : "", err->cause);
        struct sdrs_row row = sdrs_row_of(record, record->bucket, count_prefixes(record));

        row.state = SDRS_ROW_UNKNOWN;
        row.message = text;
        sdrs_report_add(&validating->report, &row);
        sdrs_batch_log(job, RC_LOG_ERROR, record->batch, "%s", text);
    }
    rc_job_progress(job, (int64_t)atomic_fetch_add(&validating->done, 1) + 1,
                    (int64_t)validating->records.count, "jobs");
    return RC_OK;
}

/* A thread, with a handle to the state of its own. */
static enum rc_code settle_some(struct rc_job *job, void *context, size_t index,
                                struct rc_error *err)
{
    struct validating *validating = context;
    struct sdrs_state state;
    enum rc_code code = sdrs_state_open(job, &state, err);
    size_t at;

    (void)index;
    if (code)
        return code;
    while (!code && (at = atomic_fetch_add(&validating->next, 1)) < validating->records.count)
        code = settle_next(job, validating, &state, at, err);
    sdrs_state_close(&state);
    return code;
}

static enum rc_code settle_all(struct rc_job *job, struct validating *validating,
                               struct sdrs_state *state, struct rc_error *err)
{
    const struct sdrs_jobs_query query = { .statuses = "running,pending" };
    size_t width = (size_t)validating->config->threads;

    if (sdrs_jobs_list(state, &query, &validating->records, err))
        return err->code;
    if (validating->records.count == 0) {
        rc_job_say(job, "no job is pending");
        return RC_OK;
    }
    if (width > validating->records.count)
        width = validating->records.count;
    if (rc_parallel(job, width, width, settle_some, validating, err))
        return err->code;
    sdrs_report_show(job, &validating->report, "Jobs");
    return RC_OK;
}

/* ---- events that were lost ------------------------------------------------------------------- */

/* The run that is begun takes the lock again: if another one is first, it has nothing to do. */
static enum rc_code begin_lost(struct rc_job *job, const char *id, struct rc_error *err)
{
    RC_STR_AUTO name = sdrs_execution_lock(id);
    const struct rc_pair param = { "execution", id };
    struct rc_lock *lock;
    char run[RC_RUN_ID_TEXT];
    enum rc_code code = rc_lock_acquire(job, name, /* wait_ms = */ 0, &lock, err);

    if (code)
        return code == RC_CONFLICT ? RC_OK : code;
    rc_lock_release(job, lock);
    if (rc_job_submit(job, "execute", &param, 1, run, err))
        return rc_context(err, "begin the execution '%s' again", id);
    rc_info(job, "the execution '%s', which no run was at, is begun by the run '%s'", id, run);
    rc_job_count(job, "executions_begun", 1);
    return RC_OK;
}

static enum rc_code begin_all_lost(struct rc_job *job, struct sdrs_state *state,
                                   struct rc_error *err)
{
    size_t count;
    char **ids;
    enum rc_code code =
        sdrs_executions_lost(state, sdrs_now_unix_ms(job) - SDRS_LOST_AFTER_MS, &ids, &count, err);

    for (size_t i = 0; i < count; i++) {
        if (!code)
            code = begin_lost(job, ids[i], err);
        free(ids[i]);
    }
    free(ids);
    return code;
}

/* ---- the run --------------------------------------------------------------------------------- */

static enum rc_code validate(struct rc_job *job, const struct sdrs_config *config,
                             struct sdrs_state *state, struct rc_error *err)
{
    struct validating validating = { .config = config };
    struct rc_error other = RC_ERROR_INIT;
    enum rc_code code, lost = RC_OK;

    sdrs_report_init(&validating.report);
    code = settle_all(job, &validating, state, err);
    if (!code) {
        lost = begin_all_lost(job, state, &other);
        sdrs_deliver(job, config, state);
        code = sdrs_report_conclude(&validating.report, "jobs", err);
    }
    if (!code && lost) {
        *err = other;
        code = lost;
    }
    sdrs_records_clear(&validating.records);
    sdrs_report_clear(&validating.report);
    return code;
}

/* One at a time: what two would find out is the same. */
enum rc_code sdrs_validate(struct rc_job *job, const void *options, struct rc_error *err)
{
    const struct sdrs_config *config = options;
    struct sdrs_state state;
    struct rc_lock *lock;
    enum rc_code code;

    if (sdrs_open(job, config, &state, err))
        return err->code;
    code = rc_lock_acquire(job, "sdrs validate", /* wait_ms = */ 0, &lock, err);
    if (code == RC_CONFLICT)
        code = rc_fail(err, RC_SKIPPED, "another run validates already: %s", err->cause);
    if (!code) {
        code = validate(job, config, &state, err);
        rc_lock_release(job, lock);
    }
    sdrs_state_close(&state);
    return code;
}
