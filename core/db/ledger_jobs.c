/*
 * The ledger's rows of jobs: up to where each schedule is settled, pauses, and latest ends.
 */
#include <db/ledger_internal.h>

enum rc_code core_ledger_jobs(struct core_ledger *ledger, core_job_record_fn *fn, void *context,
                              struct rc_error *err)
{
    RC_ROWS_AUTO(rows);
    const struct rc_value *row;

    if (core_session_query(ledger->session,
                           "SELECT name, fingerprint, settled_unix_ms, paused_unix_ms, paused_by "
                           "FROM jobs",
                           NULL, 0, &rows, err))
        return err->code;
    for (;;) {
        if (rc_rows_next(rows, &row, err))
            return err->code;
        if (!row)
            return RC_OK;

        const struct core_job_record record = {
            .name = core_ledger_text(&row[0]),
            .fingerprint = core_ledger_text(&row[1]),
            .settled_unix_ms = row[2].integer,
            .paused_unix_ms = row[3].integer,
            .paused_by = core_ledger_text(&row[4]),
        };
        fn(context, &record);
    }
}

enum rc_code core_ledger_put_job(struct core_ledger *ledger, const char *name,
                                 const char *fingerprint, int64_t settled_unix_ms,
                                 struct rc_error *err)
{
    const struct rc_value params[] = {
        rc_value_text(name),
        rc_value_text(fingerprint),
        rc_value_int(settled_unix_ms),
    };

    return core_ledger_exec(ledger,
                            "INSERT INTO jobs (name, fingerprint, settled_unix_ms) "
                            "VALUES ($1, $2, $3) ON CONFLICT (name) DO UPDATE SET "
                            "fingerprint = excluded.fingerprint, "
                            "settled_unix_ms = excluded.settled_unix_ms",
                            params, RC_ARRAY_LEN(params), NULL, err);
}

enum rc_code core_ledger_settle(struct core_ledger *ledger, const char *job,
                                int64_t settled_unix_ms, struct rc_error *err)
{
    const struct rc_value params[] = { rc_value_text(job), rc_value_int(settled_unix_ms) };

    return core_ledger_exec(ledger,
                            "UPDATE jobs SET settled_unix_ms = $2 "
                            "WHERE name = $1 AND settled_unix_ms < $2",
                            params, RC_ARRAY_LEN(params), NULL, err);
}

enum rc_code core_ledger_rewind(struct core_ledger *ledger, int64_t from_unix_ms,
                                int64_t to_unix_ms, struct rc_error *err)
{
    const struct rc_value params[] = { rc_value_int(from_unix_ms), rc_value_int(to_unix_ms) };

    if (core_ledger_exec(ledger, "UPDATE jobs SET settled_unix_ms = $2 WHERE settled_unix_ms >= $1",
                         params, RC_ARRAY_LEN(params), NULL, err))
        return rc_context(err, "record that the clock was set back");
    return RC_OK;
}

/* ---- pauses --------------------------------------------------------------------------------- */

int64_t core_ledger_pauses(const struct core_ledger *ledger)
{
    return ledger->pauses;
}

/* So that other daemons see it in their next transaction, without a look at each job. */
static enum rc_code count_pause(struct core_ledger *ledger, struct rc_error *err)
{
    if (!core_ledger_is_shared(ledger))
        return RC_OK;
    ledger->pauses++;
    return core_ledger_exec(ledger,
                            "INSERT INTO numbers (name, latest) VALUES ('pauses', 1) "
                            "ON CONFLICT (name) DO UPDATE SET latest = numbers.latest + 1",
                            NULL, 0, NULL, err);
}

enum rc_code core_ledger_pause(struct core_ledger *ledger, const char *job, int64_t now_unix_ms,
                               const char *by, bool *changed, struct rc_error *err)
{
    const struct rc_value params[] = {
        rc_value_text(job),
        rc_value_int(now_unix_ms),
        rc_value_text(by),
    };
    int64_t rows = 0;

    if (core_ledger_exec(ledger,
                         "INSERT INTO jobs (name, fingerprint, settled_unix_ms, paused_unix_ms, "
                         "paused_by) VALUES ($1, '', $2, $2, $3) ON CONFLICT (name) DO UPDATE SET "
                         "paused_unix_ms = excluded.paused_unix_ms, "
                         "paused_by = excluded.paused_by WHERE jobs.paused_unix_ms = 0",
                         params, RC_ARRAY_LEN(params), &rows, err) ||
        (rows > 0 && count_pause(ledger, err)))
        return rc_context(err, "pause the job '%s'", job);
    if (changed)
        *changed = rows > 0;
    return RC_OK;
}

enum rc_code core_ledger_resume(struct core_ledger *ledger, const char *job, bool *changed,
                                struct rc_error *err)
{
    const struct rc_value params[] = { rc_value_text(job) };
    int64_t rows = 0;

    if (core_ledger_exec(ledger,
                         "UPDATE jobs SET paused_unix_ms = 0, paused_by = NULL "
                         "WHERE name = $1 AND paused_unix_ms <> 0",
                         params, RC_ARRAY_LEN(params), &rows, err) ||
        (rows > 0 && count_pause(ledger, err)))
        return rc_context(err, "resume the job '%s'", job);
    if (changed)
        *changed = rows > 0;
    return RC_OK;
}

/* ---- latest ends ---------------------------------------------------------------------------- */

static const char success_statement[] =
    "INSERT INTO jobs (name, fingerprint, settled_unix_ms, last_success_unix_ms) "
    "VALUES ($1, '', 0, $2) ON CONFLICT (name) DO UPDATE SET "
    "last_success_unix_ms = excluded.last_success_unix_ms "
    "WHERE jobs.last_success_unix_ms < excluded.last_success_unix_ms";

static const char failure_statement[] =
    "INSERT INTO jobs (name, fingerprint, settled_unix_ms, last_failure_unix_ms) "
    "VALUES ($1, '', 0, $2) ON CONFLICT (name) DO UPDATE SET "
    "last_failure_unix_ms = excluded.last_failure_unix_ms "
    "WHERE jobs.last_failure_unix_ms < excluded.last_failure_unix_ms";

enum rc_code core_ledger_note_end(struct core_ledger *ledger, const char *job,
                                  enum core_run_status status, int64_t finished_unix_ms,
                                  struct rc_error *err)
{
    const struct rc_value params[] = { rc_value_text(job), rc_value_int(finished_unix_ms) };

    switch (status) {
    case CORE_RUN_SUCCEEDED:
        return core_ledger_exec(ledger, success_statement, params, RC_ARRAY_LEN(params), NULL, err);
    case CORE_RUN_FAILED:
    case CORE_RUN_TIMED_OUT:
    case CORE_RUN_LOST:
        return core_ledger_exec(ledger, failure_statement, params, RC_ARRAY_LEN(params), NULL, err);
    default:
        return RC_OK;
    }
}

enum rc_code core_ledger_last_ends(struct core_ledger *ledger, enum core_run_status status,
                                   core_last_end_fn *fn, void *context, struct rc_error *err)
{
    RC_ROWS_AUTO(rows);
    const struct rc_value *row;

    RC_ASSERT(status == CORE_RUN_SUCCEEDED || status == CORE_RUN_FAILED);
    if (core_session_query(ledger->session,
                           status == CORE_RUN_SUCCEEDED
                               ? "SELECT name, last_success_unix_ms FROM jobs "
                                 "WHERE last_success_unix_ms > 0"
                               : "SELECT name, last_failure_unix_ms FROM jobs "
                                 "WHERE last_failure_unix_ms > 0",
                           NULL, 0, &rows, err))
        return err->code;
    for (;;) {
        if (rc_rows_next(rows, &row, err))
            return err->code;
        if (!row)
            return RC_OK;
        fn(context, core_ledger_text(&row[0]), row[1].integer);
    }
}
