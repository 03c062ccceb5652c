/*
 * What happens to a run: claimed, started, ended, dropped, asked to stop. Every step is right also
 * when it is made a second time, and when somebody else has the run by now.
 */
#include <db/internal.h>
#include <db/ledger_internal.h>

#include <base/utf8.h>

#include <run-core/str.h>

#include <signal.h>
#include <stdlib.h>
#include <string.h>

/* ---- claim ---------------------------------------------------------------------------------- */

/* Whether a run in the foreground has the job's lock. */
static enum rc_code has_lock(struct core_ledger *ledger, const char *job, bool *out,
                             struct rc_error *err)
{
    RC_STR_AUTO name = rc_strf("job:%s", job);

    return core_lock_is_held(ledger->session, name, out, err);
}

/* Whether another run of the job has not ended: one of a daemon, or one in the foreground. */
static enum rc_code has_open(struct core_ledger *ledger, const struct core_claim *claim, bool *out,
                             struct rc_error *err)
{
    const struct rc_value params[] = { rc_value_text(claim->job), rc_value_text(claim->id) };
    RC_ROWS_AUTO(rows);
    const struct rc_value *row;
    bool is_lock;

    if (core_session_query(ledger->session,
                           "SELECT 0 FROM runs WHERE job = $1 AND " CORE_LEDGER_OPEN
                           " AND trigger <> 'foreground' AND id <> $2 UNION ALL "
                           "SELECT 1 FROM locks WHERE name = 'job:' || $1 AND holder IS NOT NULL "
                           "LIMIT 1",
                           params, RC_ARRAY_LEN(params), &rows, err) ||
        rc_rows_next(rows, &row, err))
        return err->code;
    *out = row != NULL;
    is_lock = row && row[0].integer == 1;
    rc_rows_close(&rows);
    return is_lock ? has_lock(ledger, claim->job, out, err) : RC_OK;
}

/* What is to become of the claim, and why if it is skipped. */
static enum rc_code decide(struct core_ledger *ledger, const struct core_claim *claim,
                           enum core_run_status *status, const char **reason, struct rc_error *err)
{
    bool open = false;

    *reason = claim->skip;
    *status = claim->may_start ? CORE_RUN_STARTED : CORE_RUN_DUE;
    if (claim->skip) {
        *status = CORE_RUN_SKIPPED;
        return RC_OK;
    }
    if (claim->force || claim->overlap == CORE_OVERLAP_ALLOW)
        return RC_OK;
    if (has_open(ledger, claim, &open, err))
        return err->code;
    if (open && claim->overlap == CORE_OVERLAP_FORBID) {
        *status = CORE_RUN_SKIPPED;
        *reason = "overlap";
    } else if (open) {
        *status = CORE_RUN_DUE;
    }
    return RC_OK;
}

static enum rc_code insert(struct core_ledger *ledger, const struct core_claim *claim,
                           enum core_run_status status, const char *reason, int64_t *inserted,
                           struct rc_error *err)
{
    bool starts = status == CORE_RUN_STARTED;
    const struct rc_value params[] = {
        rc_value_text(claim->id),
        rc_value_text(claim->job),
        rc_value_text(claim->plugin),
        rc_value_text(claim->action),
        rc_value_text(claim->trigger),
        claim->has_slot ? rc_value_int(claim->slot_unix_ms) : rc_value_null(),
        rc_value_int(claim->has_slot ? claim->slot_unix_ms : claim->now_unix_ms),
        rc_value_int(claim->now_unix_ms),
        rc_value_text(core_run_status_name(status)),
        rc_value_text(reason),
        rc_value_int(starts ? 1 : 0),
        rc_value_int(claim->attempts),
        rc_value_int(starts ? claim->now_unix_ms : 0),
        rc_value_int(status == CORE_RUN_SKIPPED ? claim->now_unix_ms : 0),
        rc_value_text(claim->set),
        rc_value_int(claim->force),
        rc_value_text(ledger->self.id),
        rc_value_text(starts ? ledger->self.process.host : NULL),
        rc_value_text(starts ? ledger->self.spool : NULL),
    };

    return core_ledger_exec(
        ledger,
        "INSERT INTO runs (id, job, plugin, action, trigger, slot_unix_ms, nominal_unix_ms, "
        "due_unix_ms, status, reason, attempt, attempts, not_before_unix_ms, started_unix_ms, "
        "finished_unix_ms, exit_status, parameters, force, executor, host, spool) VALUES ($1, $2, "
        "$3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 0, $13, $14, -1, $15, $16, $17, $18, $19) "
        "ON CONFLICT DO NOTHING",
        params, RC_ARRAY_LEN(params), inserted, err);
}

/* There is a row already: ours of before, by its id, or somebody's. */
static enum rc_code recognise(struct core_ledger *ledger, const struct core_claim *claim,
                              enum core_claimed *out, struct rc_error *err)
{
    const struct rc_value params[] = { rc_value_text(claim->id) };
    RC_ROWS_AUTO(rows);
    const struct rc_value *row;
    enum core_run_status status;

    *out = CORE_CLAIM_TAKEN;
    if (core_session_query(ledger->session,
                           "SELECT status, attempt, executor, job, slot_unix_ms FROM runs "
                           "WHERE id = $1",
                           params, RC_ARRAY_LEN(params), &rows, err) ||
        rc_rows_next(rows, &row, err))
        return err->code;
    if (!row)
        return RC_OK;
    if (!rc_str_eq(core_ledger_text(&row[3]), claim->job) ||
        claim->has_slot != (row[4].type != RC_VALUE_NULL) ||
        (claim->has_slot && claim->slot_unix_ms != row[4].integer))
        return rc_fail(err, RC_CONFLICT,
                       "the id '%s' belongs to another run; claim it with another one", claim->id);
    if (!rc_str_eq(core_ledger_text(&row[2]), ledger->self.id) ||
        !core_run_status_parse(core_ledger_text(&row[0]), &status))
        return RC_OK;
    if (status == CORE_RUN_STARTED && row[1].integer == 1)
        *out = CORE_CLAIM_STARTED;
    else if (status == CORE_RUN_DUE && row[1].integer == 0)
        *out = CORE_CLAIM_WAITS;
    else if (status == CORE_RUN_SKIPPED)
        *out = CORE_CLAIM_SKIPPED;
    return RC_OK;
}

static enum rc_code replace_others(struct core_ledger *ledger, const struct core_claim *claim,
                                   struct rc_error *err)
{
    const struct rc_value params[] = { rc_value_text(claim->job), rc_value_text(claim->id) };

    return core_ledger_exec(ledger,
                            "UPDATE runs SET cancel = 'replaced' WHERE job = $1 AND " //
                            CORE_LEDGER_OPEN " AND trigger <> 'foreground' AND id <> $2 "
                            "AND cancel IS NULL",
                            params, RC_ARRAY_LEN(params), NULL, err);
}

enum rc_code core_ledger_claim(struct core_ledger *ledger, const struct core_claim *claim,
                               enum core_claimed *out, struct rc_error *err)
{
    enum core_run_status status;
    const char *reason;
    int64_t inserted = 0;

    if (decide(ledger, claim, &status, &reason, err) ||
        insert(ledger, claim, status, reason, &inserted, err))
        return rc_context(err, "claim a run of the job '%s'", claim->job);
    if (inserted == 0)
        return recognise(ledger, claim, out, err);
    *out = status == CORE_RUN_STARTED ? CORE_CLAIM_STARTED
           : status == CORE_RUN_DUE   ? CORE_CLAIM_WAITS
                                      : CORE_CLAIM_SKIPPED;
    /* Only now: a slot that is another's must not stop that other's very run. */
    if (claim->overlap == CORE_OVERLAP_REPLACE && !claim->force && status == CORE_RUN_DUE)
        return replace_others(ledger, claim, err);
    return RC_OK;
}

/* ---- a row as it is ------------------------------------------------------------------------- */

struct found {
    bool is_there;
    bool is_ours;
    enum core_run_status status;
    int64_t attempt;
    bool is_cancelled, is_foreground, is_of_plugin;
    char *job;
};

static void clear_found(struct found *found)
{
    free(found->job);
}

#define FOUND_AUTO(name) RC_CLEANUP(clear_found) struct found name = { .is_there = false }

static enum rc_code look(struct core_ledger *ledger, const char *id, struct found *out,
                         struct rc_error *err)
{
    const struct rc_value params[] = { rc_value_text(id) };
    RC_ROWS_AUTO(rows);
    const struct rc_value *row;

    if (core_session_query(ledger->session,
                           "SELECT status, executor, attempt, cancel, trigger, job FROM runs "
                           "WHERE id = $1",
                           params, RC_ARRAY_LEN(params), &rows, err) ||
        rc_rows_next(rows, &row, err))
        return err->code;
    if (!row)
        return RC_OK;
    if (!core_run_status_parse(core_ledger_text(&row[0]), &out->status))
        return rc_fail(err, RC_CORRUPT, "the run '%s' has a status that is none in the ledger", id);
    out->is_there = true;
    out->is_ours = rc_str_eq(core_ledger_text(&row[1]), ledger->self.id);
    out->attempt = row[2].integer;
    out->is_cancelled = core_ledger_text(&row[3]) != NULL;
    out->is_foreground = rc_str_eq(core_ledger_text(&row[4]), "foreground");
    out->is_of_plugin = rc_str_eq(core_ledger_text(&row[4]), "plugin");
    out->job = rc_strdup(core_ledger_text(&row[5]));
    return RC_OK;
}

/* It is not what the caller takes it for. */
static enum rc_code refuse(const char *id, const struct found *found, struct rc_error *err)
{
    if (!found->is_there)
        return rc_fail(err, RC_CONFLICT, "there is no run '%s' any more", id);
    if (!found->is_ours)
        return rc_fail(err, RC_CONFLICT, "the run '%s' belongs to another daemon by now", id);
    return rc_fail(err, RC_CONFLICT, "the run '%s' is '%s' by now, with attempt %lld", id,
                   core_run_status_name(found->status), (long long)found->attempt);
}

/* ---- start ---------------------------------------------------------------------------------- */

static const char start_statement[] =
    "UPDATE runs SET status = 'started', attempt = $2, started_unix_ms = $3, finished_unix_ms = 0, "
    "not_before_unix_ms = 0, exit_status = -1, reason = NULL, message = NULL, counters = NULL, "
    "host = $4, spool = $5 "
    "WHERE id = $1 AND executor = $6 AND status = 'due' AND attempt + 1 = $2 AND cancel IS NULL "
    "AND ($7 = 1 OR force = 1 OR NOT EXISTS (SELECT 1 FROM runs other WHERE other.job = runs.job "
    "AND other.id <> runs.id AND other.status IN ('due', 'started') "
    "AND other.trigger <> 'foreground' "
    "AND (other.status = 'started' OR (other.attempt > 0 AND $2 = 1))) "
    "AND NOT EXISTS (SELECT 1 FROM locks WHERE name = 'job:' || runs.job "
    "AND holder IS NOT NULL))";

enum rc_code core_ledger_start(struct core_ledger *ledger, const char *id,
                               enum core_overlap_rule overlap, int64_t attempt, int64_t now_unix_ms,
                               struct rc_error *err)
{
    const struct rc_value params[] = {
        rc_value_text(id),
        rc_value_int(attempt),
        rc_value_int(now_unix_ms),
        rc_value_text(ledger->self.process.host),
        rc_value_text(ledger->self.spool),
        rc_value_text(ledger->self.id),
        rc_value_int(overlap == CORE_OVERLAP_ALLOW),
    };
    FOUND_AUTO(found);
    int64_t changed = 0;
    bool held = true;

    if (core_ledger_exec(ledger, start_statement, params, RC_ARRAY_LEN(params), &changed, err))
        return rc_context(err, "start the run '%s'", id);
    if (changed > 0)
        return RC_OK;
    if (look(ledger, id, &found, err))
        return err->code;
    /* The lock of one who has died is no hindrance; to know it is dead takes a closer look. */
    if (found.is_ours && found.status == CORE_RUN_DUE) {
        if (has_lock(ledger, found.job, &held, err) ||
            (!held && core_ledger_exec(ledger, start_statement, params, RC_ARRAY_LEN(params),
                                       &changed, err)))
            return rc_context(err, "start the run '%s'", id);
        if (changed > 0)
            return RC_OK;
    }
    if (found.is_ours && found.status == CORE_RUN_STARTED && found.attempt == attempt)
        return RC_OK; /* by this very call, whose commit had no answer */
    if (!found.is_ours || found.status != CORE_RUN_DUE || found.attempt + 1 != attempt)
        return refuse(id, &found, err);
    if (found.is_cancelled)
        return rc_fail(err, RC_CANCELLED, "the run '%s' was asked to stop before it began", id);
    return rc_fail(err, RC_SKIPPED, "another run of the job '%s' is under way", found.job);
}

/* ---- end ------------------------------------------------------------------------------------ */

/* Whether the run waits for another attempt because this one was lost. */
static enum rc_code was_lost(struct core_ledger *ledger, const char *id, int64_t attempt, bool *out,
                             struct rc_error *err)
{
    const struct rc_value params[] = { rc_value_text(id), rc_value_int(attempt) };
    RC_ROWS_AUTO(rows);
    const struct rc_value *row;

    if (core_session_query(ledger->session,
                           "SELECT 1 FROM attempts WHERE run = $1 AND number = $2 AND "
                           "status = 'lost'",
                           params, RC_ARRAY_LEN(params), &rows, err) ||
        rc_rows_next(rows, &row, err))
        return err->code;
    *out = row != NULL;
    return RC_OK;
}

/* Whether this is the true end of an attempt that was given up as lost. */
static enum rc_code is_late(struct core_ledger *ledger, const char *id, const struct found *found,
                            int64_t attempt, const struct core_attempt_end *end, bool *out,
                            struct rc_error *err)
{
    *out = false;
    if (!found->is_there || found->attempt != attempt || end->status == CORE_RUN_LOST)
        return RC_OK;
    if (found->status == CORE_RUN_DUE)
        return was_lost(ledger, id, attempt, out, err);
    *out = found->status == CORE_RUN_LOST;
    return RC_OK;
}

/*
 * A text that the plugin may have had a hand in: a server refuses bytes that are not UTF-8, and
 * with them the whole transaction. An empty one says nothing, and is none.
 */
static char *clean(const char *text)
{
    RC_BUF_AUTO(out, text ? 3 * strlen(text) : 0);
    size_t left = text ? strlen(text) : 0, len;
    bool valid;

    for (; left > 0; text += len, left -= len) {
        len = core_utf8_next(text, left, &valid);
        rc_buf_add(&out, valid ? text : "\xef\xbf\xbd", valid ? len : 3);
    }
    return out.len > 0 ? rc_buf_take(&out) : NULL;
}

static enum rc_code write_end(struct core_ledger *ledger, const char *id, bool goes_on,
                              const struct core_attempt_end *end, struct rc_error *err)
{
    RC_STR_AUTO action = clean(end->action);
    RC_STR_AUTO reason = clean(end->reason);
    RC_STR_AUTO message = clean(end->message);
    RC_STR_AUTO counters = clean(end->counters);
    const struct rc_value params[] = {
        rc_value_text(id),
        rc_value_text(core_run_status_name(goes_on ? CORE_RUN_DUE : end->status)),
        rc_value_text(action),
        rc_value_text(reason),
        rc_value_text(message),
        rc_value_text(counters),
        rc_value_int(end->exit_status),
        rc_value_int(end->started_unix_ms),
        rc_value_int(end->finished_unix_ms),
        rc_value_int(goes_on ? end->retry_unix_ms : 0),
    };

    return core_ledger_exec(ledger,
                            "UPDATE runs SET status = $2, action = coalesce($3, action), "
                            "reason = $4, message = $5, counters = $6, exit_status = $7, "
                            "started_unix_ms = CASE WHEN $8 = 0 THEN started_unix_ms ELSE $8 END, "
                            "finished_unix_ms = $9, not_before_unix_ms = $10 WHERE id = $1",
                            params, RC_ARRAY_LEN(params), NULL, err);
}

/* The latest attempt, which did not end the run, gets a row of its own. */
static enum rc_code keep_attempt(struct core_ledger *ledger, const char *id,
                                 enum core_run_status status, struct rc_error *err)
{
    const struct rc_value params[] = {
        rc_value_text(id),
        rc_value_text(core_run_status_name(status)),
    };

    return core_ledger_exec(ledger,
                            "INSERT INTO attempts (run, number, status, reason, message, "
                            "started_unix_ms, finished_unix_ms, exit_status) "
                            "SELECT id, attempt, CAST($2 AS TEXT), reason, message, "
                            "started_unix_ms, finished_unix_ms, exit_status FROM runs "
                            "WHERE id = $1",
                            params, RC_ARRAY_LEN(params), NULL, err);
}

/* 'goes_on': the run is due again afterwards. */
static enum rc_code end_attempt(struct core_ledger *ledger, const char *id, const char *job,
                                bool goes_on, const struct core_attempt_end *end,
                                struct rc_error *err)
{
    if (write_end(ledger, id, goes_on, end, err))
        return err->code;
    if (goes_on)
        return keep_attempt(ledger, id, end->status, err);
    return core_ledger_note_end(ledger, job, end->status, end->finished_unix_ms, err);
}

static enum rc_code end_late(struct core_ledger *ledger, const char *id, const struct found *found,
                             const struct core_attempt_end *end, struct rc_error *err)
{
    const struct rc_value params[] = { rc_value_text(id), rc_value_int(found->attempt) };
    bool goes_on = found->status == CORE_RUN_DUE && end->retry_unix_ms != 0;

    if (core_ledger_exec(ledger, "DELETE FROM attempts WHERE run = $1 AND number = $2", params,
                         RC_ARRAY_LEN(params), NULL, err))
        return err->code;
    return end_attempt(ledger, id, found->job, goes_on, end, err);
}

enum rc_code core_ledger_finish(struct core_ledger *ledger, const char *id, int64_t attempt,
                                const struct core_attempt_end *end, struct rc_error *err)
{
    FOUND_AUTO(found);
    bool late = false;
    enum rc_code code;

    RC_ASSERT(end->status != CORE_RUN_DUE && end->status != CORE_RUN_STARTED);
    if (look(ledger, id, &found, err))
        return rc_context(err, "record the end of the run '%s'", id);
    if (found.is_there && found.is_ours && found.status == CORE_RUN_STARTED &&
        found.attempt == attempt)
        code = end_attempt(ledger, id, found.job, end->retry_unix_ms != 0, end, err);
    else if (is_late(ledger, id, &found, attempt, end, &late, err))
        code = err->code;
    else
        code = late ? end_late(ledger, id, &found, end, err) : refuse(id, &found, err);
    return code ? rc_context(err, "record the end of the run '%s'", id) : RC_OK;
}

enum rc_code core_ledger_drop(struct core_ledger *ledger, const char *id,
                              enum core_run_status status, const char *reason, int64_t now_unix_ms,
                              struct rc_error *err)
{
    const struct rc_value params[] = {
        rc_value_text(id),
        rc_value_text(core_run_status_name(status)),
        rc_value_text(reason),
        rc_value_int(now_unix_ms),
        rc_value_text(ledger->self.id),
    };
    FOUND_AUTO(found);
    int64_t changed = 0;

    RC_ASSERT(status != CORE_RUN_DUE && status != CORE_RUN_STARTED);
    if (core_ledger_exec(ledger,
                         "UPDATE runs SET status = $2, reason = $3, message = NULL, "
                         "finished_unix_ms = $4, not_before_unix_ms = 0 "
                         "WHERE id = $1 AND executor = $5 AND status = 'due'",
                         params, RC_ARRAY_LEN(params), &changed, err))
        return rc_context(err, "drop the run '%s'", id);
    if (changed == 0 && look(ledger, id, &found, err) == RC_OK)
        (void)refuse(id, &found, err);
    if (changed == 0)
        return rc_context(err, "drop the run '%s'", id);
    return look(ledger, id, &found, err) ||
                   core_ledger_note_end(ledger, found.job, status, now_unix_ms, err)
               ? err->code
               : RC_OK;
}

enum rc_code core_ledger_lose_runs(struct core_ledger *ledger, const char *executor,
                                   int64_t now_unix_ms, struct rc_error *err)
{
    const struct core_attempt_end end = {
        .status = CORE_RUN_LOST,
        .reason = "lost",
        .message = "the process in the foreground was killed, or its machine stopped, before it "
                   "could record how the run ended",
        .exit_status = -1,
        .finished_unix_ms = now_unix_ms,
    };
    const struct rc_value params[] = { rc_value_text(executor) };
    CORE_TEXTS_AUTO(ids);

    if (core_ledger_query_texts(ledger,
                                "SELECT id FROM runs WHERE executor = $1 AND " CORE_LEDGER_OPEN,
                                params, RC_ARRAY_LEN(params), &ids, err))
        return err->code;
    for (size_t i = 0; i < ids.count; i++) {
        FOUND_AUTO(found);

        if (look(ledger, ids.items[i], &found, err) ||
            end_attempt(ledger, ids.items[i], found.job, /* goes_on = */ false, &end, err))
            return err->code;
    }
    return RC_OK;
}

/* ---- requests to stop ----------------------------------------------------------------------- */

/* Of a run without a daemon, the process that is its executor. */
static enum rc_code find_process(struct core_ledger *ledger, const char *id,
                                 struct core_process_id *out, struct rc_error *err)
{
    const struct rc_value params[] = { rc_value_text(id) };
    RC_ROWS_AUTO(rows);
    const struct rc_value *row;

    memset(out, 0, sizeof(*out));
    if (core_session_query(ledger->session,
                           "SELECT host, pid, start_ticks FROM executors WHERE id = "
                           "(SELECT executor FROM runs WHERE id = $1)",
                           params, RC_ARRAY_LEN(params), &rows, err) ||
        rc_rows_next(rows, &row, err))
        return err->code;
    if (!row || row[0].len >= sizeof(out->host))
        return RC_OK;
    memcpy(out->host, row[0].text, row[0].len);
    out->pid = (pid_t)row[1].integer;
    out->start_ticks = (uint64_t)row[2].integer;
    return RC_OK;
}

/* Nobody looks at its row, so that its process is told. */
static enum rc_code stop_process(struct core_ledger *ledger, const char *id, bool *found,
                                 struct rc_error *err)
{
    struct core_process_id process;

    if (find_process(ledger, id, &process, err))
        return rc_context(err, "ask the run '%s' to stop", id);
    switch (core_process_signal(&process, SIGTERM)) {
    case CORE_PROCESS_ALIVE:
        *found = true;
        return RC_OK;
    case CORE_PROCESS_ELSEWHERE:
        return rc_fail(err, RC_UNSUPPORTED,
                       "the run '%s' is a process of another machine; cancel it there", id);
    default:
        return RC_OK; /* it has ended, or is about to */
    }
}

enum rc_code core_ledger_cancel(struct core_ledger *ledger, const char *id, const char *reason,
                                bool *found, struct rc_error *err)
{
    const struct rc_value params[] = { rc_value_text(id), rc_value_text(reason) };
    FOUND_AUTO(row);
    int64_t changed = 0;

    if (core_ledger_exec(ledger,
                         "UPDATE runs SET cancel = coalesce(cancel, $2) WHERE id = $1 AND " //
                         CORE_LEDGER_OPEN " AND trigger NOT IN ('foreground', 'plugin')",
                         params, RC_ARRAY_LEN(params), &changed, err))
        return rc_context(err, "ask the run '%s' to stop", id);
    *found = changed > 0;
    if (*found)
        return RC_OK;
    if (look(ledger, id, &row, err))
        return err->code;
    if (row.is_there && row.is_foreground && row.status == CORE_RUN_STARTED)
        return rc_fail(err, RC_UNSUPPORTED,
                       "the run '%s' is in the foreground of somebody's terminal; stop it there, "
                       "with Ctrl-C",
                       id);
    if (row.is_there && row.is_of_plugin && row.status == CORE_RUN_STARTED)
        return stop_process(ledger, id, found, err);
    return RC_OK;
}

enum rc_code core_ledger_cancelled(struct core_ledger *ledger, core_run_record_fn *fn,
                                   void *context, struct rc_error *err)
{
    const struct rc_value params[] = { rc_value_text(ledger->self.id) };

    return core_ledger_each_run(ledger,
                                "SELECT " CORE_LEDGER_RUN_COLUMNS " FROM runs "
                                "WHERE executor = $1 AND " CORE_LEDGER_OPEN
                                " AND cancel IS NOT NULL",
                                params, RC_ARRAY_LEN(params), fn, context, err);
}
