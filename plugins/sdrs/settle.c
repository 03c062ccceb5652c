/*
 * What follows once it is known what became of a job: for its delete markers, for the execution
 * that it is of, and for those who are told.
 */
#include "run.h"

#include "state/markers.h"
#include "state/outbox.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct settling {
    const struct sdrs_config *config;
    const struct sdrs_record *record;
};

static bool is_final(const struct sdrs_record *record)
{
    return record->status == SDRS_JOB_SUCCESS || record->status == SDRS_JOB_ERROR;
}

/* ---- who is told ----------------------------------------------------------------------------- */

static enum rc_code tell_deleted(struct sdrs_state *state, const struct settling *settling,
                                 const char *directory, const char *once, struct rc_error *err)
{
    const struct sdrs_record *record = settling->record;
    RC_STR_AUTO bucket = sdrs_bucket_name(record->bucket);
    const struct sdrs_event event = {
        .kind = SDRS_EVENT_DELETED,
        .batch = record->batch,
        .project = record->project,
        .bucket = bucket,
        .directory = directory,
        .trigger = record->batch,
        .at_unix_ms = sdrs_now_unix_ms(state->job),
        .once = once,
    };

    return sdrs_events_wanted(settling->config) ? sdrs_outbox_add(state, &event, err) : RC_OK;
}

/*
 * Of a dataset each prefix is told once, as it is moved again and again, which is remembered as
 * long as its rule comes by; of DEFAULT and GLOBAL no folder is gone as a whole.
 */
static enum rc_code tell_dataset(struct sdrs_state *state, const struct settling *settling,
                                 struct rc_error *err)
{
    const struct sdrs_record *record = settling->record;
    RC_CLEANUP(sdrs_prefixes_clear) struct sdrs_prefixes prefixes = { 0 };

    if (!rc_str_eq(record->type, sdrs_rule_type_name(SDRS_DATASET)) ||
        !sdrs_events_wanted(settling->config))
        return RC_OK;
    sdrs_prefixes_read(record->prefixes, &prefixes);
    for (size_t i = 0; i < prefixes.count; i++) {
        RC_STR_AUTO directory = rc_strf("%s%s", record->bucket, prefixes.items[i]);
        RC_STR_AUTO once = rc_strf("deleted %s", directory);

        if (record->objects > 0 ? tell_deleted(state, settling, directory, once, err)
                                : sdrs_outbox_remember(state, once, err))
            return err->code;
    }
    return RC_OK;
}

/* ---- delete markers -------------------------------------------------------------------------- */

enum rc_code sdrs_marker_conclude(struct sdrs_state *state, const struct sdrs_marker *marker,
                                  const char *run, struct rc_error *err)
{
    static const enum sdrs_execution_status becomes[] = {
        [SDRS_MARKER_PENDING] = SDRS_EXECUTION_RUNNING,
        [SDRS_MARKER_SCHEDULED] = SDRS_EXECUTION_RUNNING,
        [SDRS_MARKER_SUCCESS] = SDRS_EXECUTION_SUCCESS,
        [SDRS_MARKER_RETRY] = SDRS_EXECUTION_RUNNING,
        [SDRS_MARKER_FAIL] = SDRS_EXECUTION_ERROR,
    };
    struct rc_error other = RC_ERROR_INIT;
    const char *message = marker->message;

    if (!marker->execution)
        return RC_OK;
    /* What was wrong at first is no longer. */
    if (marker->status == SDRS_MARKER_SUCCESS && marker->retries > 0)
        message = "";
    /* It may be forgotten meanwhile. */
    if (sdrs_executions_set(state, marker->execution, becomes[marker->status], run, message,
                            &other) &&
        other.code != RC_NOT_FOUND) {
        *err = other;
        return err->code;
    }
    return RC_OK;
}

static enum rc_code settle_markers(struct sdrs_state *state, const struct settling *settling,
                                   struct sdrs_markers *markers, struct rc_error *err)
{
    const struct sdrs_record *record = settling->record;
    bool success = record->status == SDRS_JOB_SUCCESS;

    if (sdrs_markers_settle(state, record->id, success, settling->config->marker_retries,
                            record->message, err) ||
        sdrs_markers_of(state, record->id, /* execution = */ NULL, markers, err))
        return err->code;
    for (size_t i = 0; i < markers->count; i++) {
        const struct sdrs_marker *marker = &markers->items[i];
        RC_STR_AUTO once = rc_strf("deleted %" PRId64 " %s", record->id, marker->target);

        if (sdrs_marker_conclude(state, marker, /* run = */ NULL, err) ||
            (success && tell_deleted(state, settling, marker->target, once, err)))
            return err->code;
    }
    return RC_OK;
}

/* ---- all of it ------------------------------------------------------------------------------- */

/* One that had all its jobs scheduled ends with the first of them that fails. */
static enum rc_code fail_execution(struct sdrs_state *state, const struct sdrs_record *record,
                                   struct rc_error *err)
{
    struct sdrs_execution execution = { 0 };
    enum rc_code code;

    if (!record->execution || record->status != SDRS_JOB_ERROR)
        return RC_OK;
    code = sdrs_executions_find(state, record->execution, &execution, err);
    if (!code && execution.status == SDRS_EXECUTION_SUCCESS)
        code = sdrs_executions_set(state, record->execution, SDRS_EXECUTION_ERROR,
                                   /* run = */ NULL, record->message, err);
    sdrs_execution_clear(&execution);
    return code == RC_NOT_FOUND ? RC_OK : code;
}

static enum rc_code settle(struct sdrs_state *state, void *context, struct rc_error *err)
{
    const struct settling *settling = context;
    const struct sdrs_record *record = settling->record;
    struct sdrs_markers markers = { 0 };
    enum rc_code code = sdrs_jobs_keep(state, record, err);

    if (code || !is_final(record))
        return code;
    if (record->rule > 0 && record->status == SDRS_JOB_SUCCESS)
        code = tell_dataset(state, settling, err);
    if (!code && rc_str_eq(record->type, SDRS_USER)) {
        code = settle_markers(state, settling, &markers, err);
        sdrs_markers_clear(&markers);
    } else if (!code) {
        code = fail_execution(state, record, err);
    }
    return code;
}

enum rc_code sdrs_settle(struct sdrs_state *state, const struct sdrs_config *config,
                         const struct sdrs_record *record, struct rc_error *err)
{
    struct settling settling = { .config = config, .record = record };

    if (sdrs_state_transact(state, settle, &settling, err))
        return rc_context(err, "keep what became of job %" PRId64, record->id);
    return RC_OK;
}

/* ---- jobs that are gone ---------------------------------------------------------------------- */

static enum rc_code settle_gone(struct sdrs_state *state, void *context, struct rc_error *err)
{
    struct sdrs_markers markers = { 0 };
    enum rc_code code = settle_markers(state, context, &markers, err);

    sdrs_markers_clear(&markers);
    return code;
}

enum rc_code sdrs_settle_gone(struct sdrs_state *state, const struct sdrs_config *config,
                              int64_t id, struct rc_error *err)
{
    char message[] = "the job that had it is not known any more";
    const struct sdrs_record record = { .id = id, .status = SDRS_JOB_ERROR, .message = message };
    struct settling settling = { .config = config, .record = &record };

    return sdrs_state_transact(state, settle_gone, &settling, err);
}

/* ---- by the movers --------------------------------------------------------------------------- */

enum rc_code sdrs_settle_job(struct rc_job *job, const struct sdrs_config *config,
                             struct sdrs_state *state, struct sdrs_record *record,
                             struct rc_error *err)
{
    enum rc_code code = record->mover == SDRS_MOVER_STS
                            ? sdrs_validate_sts(job, config, state, record, err)
                            : sdrs_validate_direct(job, config, state, record, err);

    if (code)
        return rc_context(err, "look at job %" PRId64 " of '%s'", record->id, record->bucket);
    return sdrs_settle(state, config, record, err);
}

enum rc_code sdrs_move(struct rc_job *job, const struct sdrs_move *move, struct rc_error *err)
{
    enum rc_code code = move->record->mover == SDRS_MOVER_STS ? sdrs_move_sts(job, move, err)
                                                              : sdrs_move_direct(job, move, err);

    return code ? code : sdrs_settle(move->state, move->config, move->record, err);
}

/* What cannot be settled now waits for the next run: the bucket's other jobs do not wait for it. */
static enum rc_code settle_one(struct rc_job *job, const struct sdrs_config *config,
                               struct sdrs_state *state, struct sdrs_record *record,
                               struct rc_error *err)
{
    enum sdrs_job_status before = record->status;
    struct rc_error failure = RC_ERROR_INIT;

    if (sdrs_settle_job(job, config, state, record, &failure)) {
        if (rc_job_check(job, err))
            return err->code;
        sdrs_batch_log(job, RC_LOG_WARN, record->batch, "%s: %s; the next run tries again",
                       failure.context, failure.cause);
    } else if (record->status != before) {
        sdrs_batch_log(job, RC_LOG_INFO, record->batch, "job %" PRId64 " of '%s'%s is now '%s'",
                       record->id, record->bucket,
                       before == SDRS_JOB_RUNNING ? ", whose process has died," : "",
                       sdrs_job_status_name(record->status));
    }
    return RC_OK;
}

enum rc_code sdrs_settle_bucket(struct rc_job *job, const struct sdrs_config *config,
                                struct sdrs_state *state, const char *bucket, struct rc_error *err)
{
    const struct sdrs_jobs_query query = { .bucket = bucket, .statuses = "running,pending" };
    struct sdrs_records left = { 0 };
    enum rc_code code = sdrs_jobs_list(state, &query, &left, err);

    for (size_t i = 0; !code && i < left.count; i++)
        code = settle_one(job, config, state, &left.items[i], err);
    sdrs_records_clear(&left);
    return code;
}

char *sdrs_bucket_name(const char *bucket)
{
    size_t end = strlen(bucket), begin;

    while (end > 0 && bucket[end - 1] == '/')
        end--;
    for (begin = end; begin > 0 && bucket[begin - 1] != '/';)
        begin--;
    return rc_strndup(bucket + begin, end - begin);
}
