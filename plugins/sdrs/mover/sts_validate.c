/*
 * What became of the transfer jobs of a record: by the first operation of each since it was asked
 * for.
 */
#include "sts.h"

#include "../run.h"

#include <run-core/str.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { MESSAGE_BYTES = 16 << 10 };

/* A record that is looked at. */
struct looking {
    struct rc_job *job;
    const struct sdrs_config *config;
    const struct sdrs_google *google;
    const struct sdrs_record *record;
    struct sdrs_prefixes prefixes; /* of the record */
    struct sdrs_prefixes held;     /* by now, merged */
};

static void looking_clear(struct looking *looking)
{
    sdrs_prefixes_clear(&looking->prefixes);
    sdrs_prefixes_clear(&looking->held);
}

/* Of all parts of a record. */
struct outcome {
    size_t succeeded, pending, failed_parts;
    int64_t objects, bytes, failed;
    struct rc_buf message;
};

static void outcome_clear(struct outcome *outcome)
{
    rc_buf_clear(&outcome->message);
}

static void RC_PRINTF(2, 3) tell(struct outcome *outcome, const char *format, ...)
{
    va_list arguments;

    if (outcome->message.len > 0)
        rc_buf_adds(&outcome->message, "; ");
    va_start(arguments, format);
    rc_buf_addv(&outcome->message, format, arguments);
    va_end(arguments);
}

/* ---- a part ---------------------------------------------------------------------------------- */

static void count_operation(const struct sdrs_operation *operation, const struct sts_part *part,
                            struct outcome *out)
{
    out->objects += operation->objects;
    out->bytes += operation->bytes;
    out->failed += operation->failed;
    if (operation->includes.count > part->count)
        tell(
            out,
            "the counts are those of the whole operation '%s', which moved prefixes of other jobs, "
            "too",
            operation->name);
}

static void take_operation(const struct sdrs_operation *operation, const struct sts_part *part,
                           struct outcome *out)
{
    switch (operation->state) {
    case SDRS_OPERATION_RUNS:
        out->pending++;
        tell(out, "the operation '%s' runs", operation->name);
        break;
    case SDRS_OPERATION_SUCCEEDED:
        out->succeeded++;
        count_operation(operation, part, out);
        break;
    case SDRS_OPERATION_FAILED:
        out->failed_parts++;
        tell(out, "the operation '%s' failed: %s", operation->name, operation->message);
        count_operation(operation, part, out);
        break;
    }
}

/* There is no operation yet: it may still come, if the job is as it was left. */
static void take_job(const struct sdrs_transfer_job *there, const struct sts_part *part,
                     const struct sdrs_prefixes *includes, struct outcome *out)
{
    if (strcmp(there->status, "ENABLED") != 0) {
        out->failed_parts++;
        tell(out, "the transfer job '%s' is %s and has not run", part->name, there->status);
    } else if (!sdrs_transfer_covers(&there->includes, includes)) {
        out->failed_parts++;
        tell(out, "the transfer job '%s' was changed before it ran", part->name);
    } else {
        out->pending++;
        tell(out, "the transfer job '%s' has not begun to run", part->name);
    }
}

/* The listing may be behind: the job itself knows its last operation. */
static enum rc_code look_at_latest(const struct sdrs_google *google,
                                   const struct sdrs_transfer_job *there,
                                   const struct sts_part *part,
                                   const struct sdrs_prefixes *includes, struct outcome *out,
                                   struct rc_error *err)
{
    RC_CLEANUP(sdrs_operation_clear) struct sdrs_operation latest = { .name = NULL };

    if (*there->latest_operation) {
        if (sdrs_operation_get(google, there->latest_operation, &latest, err))
            return err->code;
        if (latest.begin_unix_ms >= part->since_unix_ms &&
            sdrs_transfer_covers(&latest.includes, includes)) {
            take_operation(&latest, part, out);
            return RC_OK;
        }
    }
    take_job(there, part, includes, out);
    return RC_OK;
}

static enum rc_code look_at_job(const struct sdrs_google *google, const struct sts_part *part,
                                const struct sdrs_prefixes *includes, struct outcome *out,
                                struct rc_error *err)
{
    RC_CLEANUP(sdrs_transfer_job_clear) struct sdrs_transfer_job there = { .name = NULL };
    enum rc_code code = sdrs_transfer_get(google, part->project, part->name, &there, err);

    if (code == RC_NOT_FOUND) {
        out->failed_parts++;
        tell(out, "the transfer job '%s' was never made, or is gone", part->name);
        return RC_OK;
    }
    return code ? code : look_at_latest(google, &there, part, includes, out, err);
}

/* The first operation since that moves all of the includes, or else the job itself. */
static enum rc_code look_for(const struct sdrs_google *google, const struct sts_part *part,
                             const struct sdrs_prefixes *includes, struct outcome *out,
                             struct rc_error *err)
{
    RC_CLEANUP(sdrs_operation_clear) struct sdrs_operation operation = { .name = NULL };
    bool found;

    if (sdrs_operation_since(google, part->project, part->name, part->since_unix_ms, includes,
                             &found, &operation, err))
        return err->code;
    if (!found)
        return look_at_job(google, part, includes, out, err);
    take_operation(&operation, part, out);
    return RC_OK;
}

/*
 * What is held since the job was told is taken out before it runs, and then asked for no more. Of
 * one that ran with it, or runs, that is known all the same.
 */
static enum rc_code look_with_holds(const struct looking *looking, const struct sts_part *part,
                                    const struct sdrs_prefixes *includes, struct outcome *out,
                                    struct rc_error *err)
{
    RC_CLEANUP(sdrs_operation_clear) struct sdrs_operation operation = { .name = NULL };
    RC_CLEANUP(sdrs_prefixes_clear) struct sdrs_prefixes free_ones = { .items = NULL };
    bool found;

    for (size_t i = 0; i < includes->count; i++)
        sdrs_prefixes_add(&free_ones, includes->items[i]);
    if (sdrs_operation_since(looking->google, part->project, part->name, part->since_unix_ms,
                             includes, &found, &operation, err))
        return err->code;
    if (found) {
        take_operation(&operation, part, out);
        return RC_OK;
    }
    if (sts_hold_pool_job(looking->job, looking->config, looking->google, looking->record, part,
                          &looking->held, err))
        return err->code;
    if (sdrs_prefixes_leave(&free_ones, &looking->held) > 0 && free_ones.count == 0) {
        out->succeeded++;
        tell(out, "all that the transfer job '%s' was to move is held by now", part->name);
        return RC_OK;
    }
    return look_for(looking->google, part, &free_ones, out, err);
}

static enum rc_code look_at_part(const struct looking *looking, const struct sts_part *part,
                                 struct outcome *out, struct rc_error *err)
{
    const struct sdrs_prefixes *prefixes = &looking->prefixes;
    struct sdrs_prefixes includes;

    if (part->first > prefixes->count || part->count > prefixes->count - part->first)
        return rc_fail(err, RC_CORRUPT, "the transfer job '%s' has %zu prefixes from %zu on of %zu",
                       part->name, part->count, part->first, prefixes->count);
    includes =
        (struct sdrs_prefixes){ .items = prefixes->items + part->first, .count = part->count };
    if (looking->held.count > 0 && part->since_unix_ms > 0)
        return look_with_holds(looking, part, &includes, out, err);
    return look_for(looking->google, part, &includes, out, err);
}

/* ---- a record -------------------------------------------------------------------------------- */

static void settle(struct sdrs_record *record, struct outcome *outcome)
{
    record->status = outcome->pending > 0        ? SDRS_JOB_PENDING
                     : outcome->failed_parts > 0 ? SDRS_JOB_ERROR
                                                 : SDRS_JOB_SUCCESS;
    record->objects = outcome->objects;
    record->bytes = outcome->bytes;
    record->failed = outcome->failed;
    free(record->message);
    record->message = outcome->message.len > 0 ? rc_buf_take(&outcome->message) : NULL;
}

static enum rc_code look_at_parts(const struct looking *looking, struct sdrs_record *record,
                                  const struct sts_parts *parts, struct rc_error *err)
{
    RC_CLEANUP(outcome_clear)
    struct outcome outcome = { .message = RC_BUF_INIT(MESSAGE_BYTES) };

    for (size_t i = 0; i < parts->count; i++)
        if (look_at_part(looking, &parts->items[i], &outcome, err))
            return err->code;
    if (parts->count == 0) {
        outcome.failed_parts++;
        tell(&outcome, "the run ended before it asked for a transfer job");
    }
    settle(record, &outcome);
    for (size_t i = 0; i < parts->count && record->status != SDRS_JOB_PENDING; i++)
        if (parts->items[i].since_unix_ms > 0)
            sts_rest_pool_job(looking->job, looking->google, record, &parts->items[i]);
    return RC_OK;
}

enum rc_code sdrs_validate_sts(struct rc_job *job, const struct sdrs_config *config,
                               struct sdrs_state *state, struct sdrs_record *record,
                               struct rc_error *err)
{
    const struct sdrs_google google = sdrs_transfer_service(job, config);
    RC_CLEANUP(sts_parts_clear) struct sts_parts parts = { .items = NULL };
    RC_CLEANUP(looking_clear)
    struct looking looking = { .job = job, .config = config, .google = &google, .record = record };

    (void)state;
    sdrs_prefixes_read(record->prefixes ? record->prefixes : "", &looking.prefixes);
    /* Without legal holds only the host's own folder is held, which no job was ever told. */
    if (config->legal_holds.len > 0 && sdrs_holds_of(config, record->bucket, &looking.held, err))
        return err->code;
    if (sts_parts_read(record->transfers ? record->transfers : "", &parts, err) ||
        look_at_parts(&looking, record, &parts, err))
        return rc_context(err, "validate the job %" PRId64 " of '%s'", record->id, record->bucket);
    return RC_OK;
}
