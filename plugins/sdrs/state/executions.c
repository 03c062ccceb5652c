/*
 * The table of executions. Who begins one and what it does is in execute.c.
 */
#include "executions.h"

#include "internal.h"

#include <stdlib.h>

static const char *const status_names[] = {
    [SDRS_EXECUTION_RECEIVED] = "received",
    [SDRS_EXECUTION_RUNNING] = "running",
    [SDRS_EXECUTION_SUCCESS] = "success",
    [SDRS_EXECUTION_ERROR] = "error",
};

const char *sdrs_execution_status_name(enum sdrs_execution_status status)
{
    return status_names[status];
}

void sdrs_execution_clear(struct sdrs_execution *execution)
{
    free(execution->id);
    free(execution->batch);
    free(execution->type);
    free(execution->target);
    free(execution->project);
    free(execution->user);
    free(execution->run);
    free(execution->message);
    *execution = (struct sdrs_execution){ 0 };
}

enum rc_code sdrs_executions_add(struct sdrs_state *state, struct sdrs_execution *execution,
                                 struct rc_error *err)
{
    int64_t now_unix_ms = sdrs_now_unix_ms(state->job);
    char id[SDRS_UUID_TEXT];

    if (sdrs_uuid_make(id, err))
        return err->code;
    const struct rc_value values[] = {
        rc_value_text(id),
        rc_value_text(execution->batch),
        rc_value_text(execution->type),
        sdrs_bytes(execution->target),
        rc_value_text(execution->project),
        rc_value_int(execution->rule),
        rc_value_text(execution->user),
        rc_value_text(execution->run),
        rc_value_text(status_names[SDRS_EXECUTION_RECEIVED]),
        sdrs_bytes(execution->message),
        rc_value_int(now_unix_ms),
    };

    if (sdrs_state_exec(state,
                        "INSERT INTO executions (id, batch, type, target, project, rule, user_name,"
                        " run, status, message, created_unix_ms, changed_unix_ms)"
                        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11)",
                        values, RC_ARRAY_LEN(values), NULL, err))
        return rc_context(err, "record the execution that was asked for");
    sdrs_set(&execution->id, id);
    execution->status = SDRS_EXECUTION_RECEIVED;
    execution->created_unix_ms = now_unix_ms;
    execution->changed_unix_ms = now_unix_ms;
    return RC_OK;
}

static void take_execution(void *context, const struct rc_value *row)
{
    struct sdrs_execution *execution = context;

    execution->id = sdrs_owned(&row[0]);
    execution->batch = sdrs_owned(&row[1]);
    execution->type = sdrs_owned(&row[2]);
    execution->target = sdrs_owned(&row[3]);
    execution->project = sdrs_owned(&row[4]);
    execution->rule = row[5].integer;
    execution->user = sdrs_owned(&row[6]);
    execution->run = sdrs_owned(&row[7]);
    execution->status = (enum sdrs_execution_status)sdrs_place_of(
        status_names, RC_ARRAY_LEN(status_names), row[8].text);
    execution->message = sdrs_owned(&row[9]);
    execution->created_unix_ms = row[10].integer;
    execution->changed_unix_ms = row[11].integer;
}

enum rc_code sdrs_executions_find(struct sdrs_state *state, const char *id,
                                  struct sdrs_execution *out, struct rc_error *err)
{
    const struct rc_value value = rc_value_text(id);

    *out = (struct sdrs_execution){ 0 };
    if (sdrs_state_rows(state,
                        "SELECT id, batch, type, target, project, rule, user_name, run, status,"
                        " message, created_unix_ms, changed_unix_ms FROM executions WHERE id = $1",
                        &value, 1, take_execution, out, err)) {
        sdrs_execution_clear(out);
        return rc_context(err, "read the execution '%s'", id);
    }
    return out->id ? RC_OK : rc_fail(err, RC_NOT_FOUND, "No execution exists with ID: %s", id);
}

enum rc_code sdrs_executions_set(struct sdrs_state *state, const char *id,
                                 enum sdrs_execution_status status, const char *run,
                                 const char *message, struct rc_error *err)
{
    const struct rc_value values[] = {
        rc_value_text(id),   rc_value_text(status_names[status]),        rc_value_text(run),
        sdrs_bytes(message), rc_value_int(sdrs_now_unix_ms(state->job)),
    };
    int64_t changed = 0;

    if (sdrs_state_exec(state,
                        "UPDATE executions SET status = $2, run = coalesce($3, run),"
                        " message = coalesce($4, message), changed_unix_ms = $5 WHERE id = $1",
                        values, RC_ARRAY_LEN(values), &changed, err))
        return rc_context(err, "note that the execution '%s' is '%s'", id, status_names[status]);
    if (changed == 0 && !state->job->dry_run)
        return rc_fail(err, RC_NOT_FOUND, "No execution exists with ID: %s", id);
    return RC_OK;
}

enum rc_code sdrs_executions_begin(struct sdrs_state *state, const char *id, const char *run,
                                   bool *ours, struct rc_error *err)
{
    const struct rc_value values[] = {
        rc_value_text(id),
        rc_value_text(run),
        rc_value_int(sdrs_now_unix_ms(state->job)),
    };
    int64_t changed = 0;

    if (sdrs_state_exec(state,
                        "UPDATE executions SET status = 'running', run = $2, changed_unix_ms = $3"
                        " WHERE id = $1 AND status = 'received'",
                        values, RC_ARRAY_LEN(values), &changed, err))
        return rc_context(err, "begin the execution '%s'", id);
    *ours = changed > 0;
    return RC_OK;
}

/* ---- those that nobody begins ---------------------------------------------------------------- */

struct ids {
    char **items;
    size_t count;
};

static void take_id(void *context, const struct rc_value *row)
{
    struct ids *ids = context;

    ids->items = sdrs_grown(ids->items, ids->count, sizeof(*ids->items));
    ids->items[ids->count++] = sdrs_owned(&row[0]);
}

enum rc_code sdrs_executions_lost(struct sdrs_state *state, int64_t before_unix_ms, char ***out,
                                  size_t *count, struct rc_error *err)
{
    const struct rc_value value = rc_value_int(before_unix_ms);
    struct ids ids = { 0 };

    *out = NULL;
    *count = 0;
    if (sdrs_state_rows(state,
                        "SELECT id FROM executions WHERE type = 'POLICY'"
                        " AND (status = 'received' AND created_unix_ms < $1"
                        " OR status = 'running' AND changed_unix_ms < $1)"
                        " ORDER BY created_unix_ms, id",
                        &value, 1, take_id, &ids, err)) {
        for (size_t i = 0; i < ids.count; i++)
            free(ids.items[i]);
        free(ids.items);
        return rc_context(err, "look for executions that nobody has begun");
    }
    *out = ids.items;
    *count = ids.count;
    return RC_OK;
}

enum rc_code sdrs_executions_forget(struct sdrs_state *state, int64_t ended_before_unix_ms,
                                    int64_t *forgotten, struct rc_error *err)
{
    const struct rc_value value = rc_value_int(ended_before_unix_ms);

    *forgotten = 0;
    if (sdrs_state_exec(state,
                        "DELETE FROM executions WHERE status IN ('success', 'error')"
                        " AND changed_unix_ms < $1",
                        &value, 1, forgotten, err))
        return rc_context(err, "forget old executions");
    return RC_OK;
}
