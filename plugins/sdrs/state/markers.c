/*
 * The queue of delete markers. Which of them go into one job is decided in dm_batch.c.
 */
#include "markers.h"

#include "internal.h"

#include <run-core/str.h>

#include <inttypes.h>
#include <stdlib.h>

enum { HOUR_MS = 3600 * 1000, HOURS_A_STEP = 6, MOST_STEPS = 4 };

#define WAITING "status IN ('pending', 'retry')"
#define OPEN "status IN ('pending', 'scheduled', 'retry')" /* as of the index markers_target */
#define SELECT_MARKERS                                                                             \
    "SELECT id, project, target, bucket, prefix, status, retries, job, execution, batch,"          \
    " user_name, message, created_unix_ms, changed_unix_ms FROM markers WHERE "

static const char *const status_names[] = {
    [SDRS_MARKER_PENDING] = "pending", [SDRS_MARKER_SCHEDULED] = "scheduled",
    [SDRS_MARKER_SUCCESS] = "success", [SDRS_MARKER_RETRY] = "retry",
    [SDRS_MARKER_FAIL] = "fail",
};

const char *sdrs_marker_status_name(enum sdrs_marker_status status)
{
    return status_names[status];
}

void sdrs_marker_clear(struct sdrs_marker *marker)
{
    free(marker->project);
    free(marker->target);
    free(marker->bucket);
    free(marker->prefix);
    free(marker->execution);
    free(marker->batch);
    free(marker->user);
    free(marker->message);
    *marker = (struct sdrs_marker){ 0 };
}

void sdrs_markers_clear(struct sdrs_markers *markers)
{
    for (size_t i = 0; i < markers->count; i++)
        sdrs_marker_clear(&markers->items[i]);
    free(markers->items);
    *markers = (struct sdrs_markers){ 0 };
}

int64_t sdrs_marker_priority(const struct sdrs_marker *marker, int64_t now_unix_ms)
{
    int64_t steps = (now_unix_ms - marker->created_unix_ms) / ((int64_t)HOURS_A_STEP * HOUR_MS);

    if (steps < 0) /* by the clock of another machine */
        steps = 0;
    return marker->retries + (steps < MOST_STEPS ? steps : MOST_STEPS);
}

/* ---- adding ---------------------------------------------------------------------------------- */

static enum rc_code insert(struct sdrs_state *state, struct sdrs_marker *marker,
                           struct rc_error *err)
{
    const struct rc_value values[] = {
        rc_value_int(marker->id),         rc_value_text(marker->project),
        sdrs_bytes(marker->target),       sdrs_bytes(marker->bucket),
        sdrs_bytes(marker->prefix),       rc_value_text(status_names[marker->status]),
        rc_value_text(marker->execution), rc_value_text(marker->batch),
        rc_value_text(marker->user),      rc_value_int(marker->created_unix_ms),
    };

    return sdrs_state_exec(state,
                           "INSERT INTO markers (id, project, target, bucket, prefix, status,"
                           " retries, job, execution, batch, user_name, created_unix_ms,"
                           " changed_unix_ms) VALUES ($1, $2, $3, $4, $5, $6, 0, 0, $7, $8, $9,"
                           " $10, $10)",
                           values, RC_ARRAY_LEN(values), NULL, err);
}

static enum rc_code add(struct sdrs_state *state, void *context, struct rc_error *err)
{
    struct sdrs_marker *marker = context;
    const struct rc_value values[] = { rc_value_text(marker->project), sdrs_bytes(marker->target) };
    int64_t count;

    if (sdrs_state_count(
            state, "SELECT count(*) FROM markers WHERE project = $1 AND target = $2 AND " OPEN,
            values, RC_ARRAY_LEN(values), &count, err))
        return err->code;
    if (count > 0)
        return sdrs_state_refuse(state, err, RC_CONFLICT,
                                 "The target %s for project %s already exist.", marker->target,
                                 marker->project);
    if (sdrs_state_number(state, "markers", &marker->id, err))
        return err->code;
    marker->status = SDRS_MARKER_PENDING;
    marker->retries = 0;
    marker->job = 0;
    marker->created_unix_ms = marker->changed_unix_ms = sdrs_now_unix_ms(state->job);
    return insert(state, marker, err);
}

enum rc_code sdrs_markers_add(struct sdrs_state *state, struct sdrs_marker *marker,
                              struct rc_error *err)
{
    if (sdrs_state_transact(state, add, marker, err))
        return sdrs_state_failed(state, err, "put '%s' into the queue of delete markers",
                                 marker->target);
    return RC_OK;
}

/* ---- reading --------------------------------------------------------------------------------- */

static void take_marker(void *context, const struct rc_value *row)
{
    struct sdrs_markers *markers = context;
    struct sdrs_marker *marker;

    markers->items = sdrs_grown(markers->items, markers->count, sizeof(*markers->items));
    marker = &markers->items[markers->count++];
    marker->id = row[0].integer;
    marker->project = sdrs_owned(&row[1]);
    marker->target = sdrs_owned(&row[2]);
    marker->bucket = sdrs_owned(&row[3]);
    marker->prefix = sdrs_owned(&row[4]);
    marker->status = (enum sdrs_marker_status)sdrs_place_of(
        status_names, RC_ARRAY_LEN(status_names), row[5].text);
    marker->retries = row[6].integer;
    marker->job = row[7].integer;
    marker->execution = sdrs_owned(&row[8]);
    marker->batch = sdrs_owned(&row[9]);
    marker->user = sdrs_owned(&row[10]);
    marker->message = sdrs_owned(&row[11]);
    marker->created_unix_ms = row[12].integer;
    marker->changed_unix_ms = row[13].integer;
}

struct ranked {
    struct sdrs_marker marker;
    int64_t priority;
};

static int by_rank(const void *a, const void *b)
{
    const struct ranked *one = a, *other = b;

    if (one->priority != other->priority)
        return one->priority > other->priority ? -1 : 1;
    if (one->marker.retries != other->marker.retries)
        return one->marker.retries > other->marker.retries ? -1 : 1;
    if (one->marker.created_unix_ms != other->marker.created_unix_ms)
        return one->marker.created_unix_ms < other->marker.created_unix_ms ? -1 : 1;
    return one->marker.id < other->marker.id ? -1 : 1;
}

static void rank(struct sdrs_markers *markers, int64_t now_unix_ms)
{
    struct ranked *ranked = rc_calloc(markers->count + 1, sizeof(*ranked));

    for (size_t i = 0; i < markers->count; i++) {
        ranked[i].marker = markers->items[i];
        ranked[i].priority = sdrs_marker_priority(&markers->items[i], now_unix_ms);
    }
    qsort(ranked, markers->count, sizeof(*ranked), by_rank);
    for (size_t i = 0; i < markers->count; i++)
        markers->items[i] = ranked[i].marker;
    free(ranked);
}

enum rc_code sdrs_markers_due(struct sdrs_state *state, int64_t now_unix_ms,
                              struct sdrs_markers *out, struct rc_error *err)
{
    *out = (struct sdrs_markers){ 0 };
    if (sdrs_state_rows(state, SELECT_MARKERS WAITING " ORDER BY id", NULL, 0, take_marker, out,
                        err)) {
        sdrs_markers_clear(out);
        return rc_context(err, "read the queue of delete markers");
    }
    rank(out, now_unix_ms);
    return RC_OK;
}

enum rc_code sdrs_markers_of(struct sdrs_state *state, int64_t job, const char *execution,
                             struct sdrs_markers *out, struct rc_error *err)
{
    struct rc_value value = execution ? rc_value_text(execution) : rc_value_int(job);

    *out = (struct sdrs_markers){ 0 };
    if (sdrs_state_rows(state,
                        execution ? SELECT_MARKERS "execution = $1 ORDER BY id"
                                  : SELECT_MARKERS "job = $1 ORDER BY id",
                        &value, 1, take_marker, out, err)) {
        sdrs_markers_clear(out);
        return rc_context(err, "read the delete markers of a job");
    }
    return RC_OK;
}

enum rc_code sdrs_markers_scheduled(struct sdrs_state *state, struct sdrs_markers *out,
                                    struct rc_error *err)
{
    *out = (struct sdrs_markers){ 0 };
    if (sdrs_state_rows(state, SELECT_MARKERS "status = 'scheduled' ORDER BY id", NULL, 0,
                        take_marker, out, err)) {
        sdrs_markers_clear(out);
        return rc_context(err, "read the delete markers that are scheduled");
    }
    return RC_OK;
}

/* ---- what becomes of them -------------------------------------------------------------------- */

struct schedule {
    const struct sdrs_markers *markers;
    int64_t job;
};

static enum rc_code schedule(struct sdrs_state *state, void *context, struct rc_error *err)
{
    const struct schedule *schedule = context;
    int64_t now_unix_ms = sdrs_now_unix_ms(state->job);

    for (size_t i = 0; i < schedule->markers->count; i++) {
        const struct sdrs_marker *marker = &schedule->markers->items[i];
        const struct rc_value values[] = {
            rc_value_int(marker->id),
            rc_value_int(schedule->job),
            rc_value_int(now_unix_ms),
        };
        int64_t changed = 0;

        if (sdrs_state_exec(state,
                            "UPDATE markers SET retries = retries"
                            " + CASE WHEN status = 'retry' THEN 1 ELSE 0 END,"
                            " status = 'scheduled', job = $2, changed_unix_ms = $3"
                            " WHERE id = $1 AND " WAITING,
                            values, RC_ARRAY_LEN(values), &changed, err))
            return err->code;
        if (changed == 0 && !state->job->dry_run)
            return sdrs_state_refuse(state, err, RC_CONFLICT,
                                     "the delete marker of '%s' waits no longer: another run took "
                                     "it",
                                     marker->target);
    }
    return RC_OK;
}

enum rc_code sdrs_markers_schedule(struct sdrs_state *state, const struct sdrs_markers *markers,
                                   int64_t job, struct rc_error *err)
{
    struct schedule context = { markers, job };

    if (sdrs_state_transact(state, schedule, &context, err))
        return sdrs_state_failed(state, err, "give delete markers to the job %" PRId64, job);
    return RC_OK;
}

enum rc_code sdrs_markers_settle(struct sdrs_state *state, int64_t job, bool success,
                                 int64_t max_retries, const char *message, struct rc_error *err)
{
    const struct rc_value values[] = {
        rc_value_int(job),
        sdrs_bytes(success ? NULL : message),
        rc_value_int(sdrs_now_unix_ms(state->job)),
        rc_value_int(max_retries),
    };
    static const char succeed[] = "UPDATE markers SET status = 'success', message = $2,"
                                  " changed_unix_ms = $3 WHERE job = $1 AND status = 'scheduled'";
    static const char fail[] = "UPDATE markers SET message = $2, changed_unix_ms = $3,"
                               " status = CASE WHEN retries < $4 THEN 'retry' ELSE 'fail' END"
                               " WHERE job = $1 AND status = 'scheduled'";

    if (sdrs_state_exec(state, success ? succeed : fail, values, success ? 3 : 4, NULL, err))
        return rc_context(err, "settle the delete markers of the job %" PRId64, job);
    return RC_OK;
}

enum rc_code sdrs_markers_give_up(struct sdrs_state *state, int64_t id, struct rc_error *err)
{
    const struct rc_value values[] = {
        rc_value_int(id),
        rc_value_int(sdrs_now_unix_ms(state->job)),
    };

    if (sdrs_state_exec(state,
                        "UPDATE markers SET status = 'fail', changed_unix_ms = $2"
                        " WHERE id = $1 AND status = 'retry'",
                        values, RC_ARRAY_LEN(values), NULL, err))
        return rc_context(err, "give up a delete marker");
    return RC_OK;
}

enum rc_code sdrs_markers_forget(struct sdrs_state *state, int64_t changed_before_unix_ms,
                                 int64_t *forgotten, struct rc_error *err)
{
    const struct rc_value value = rc_value_int(changed_before_unix_ms);

    *forgotten = 0;
    if (sdrs_state_exec(state,
                        "DELETE FROM markers WHERE status IN ('success', 'fail')"
                        " AND changed_unix_ms < $1",
                        &value, 1, forgotten, err))
        return rc_context(err, "forget old delete markers");
    return RC_OK;
}
