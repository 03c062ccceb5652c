/*
 * Forgetting old runs, in bites: each looks without holding anybody up, and then deletes a bounded
 * number of rows.
 */
#include <db/ledger_internal.h>

#include <run-core/str.h>

#include <stdlib.h>

/* How many rows of other runs one call counts its way past. */
enum { WALK_LIMIT = 50000 };

/* Runs that are to go, with what the caller is told of them. */
struct candidates {
    struct core_texts ids, jobs, hosts, spools; /* an empty text: NULL */
};

static void clear(struct candidates *candidates)
{
    core_texts_clear(&candidates->ids);
    core_texts_clear(&candidates->jobs);
    core_texts_clear(&candidates->hosts);
    core_texts_clear(&candidates->spools);
}

static enum rc_code find(struct core_ledger *ledger, const char *statement,
                         const struct rc_value *params, size_t count, struct candidates *out,
                         struct rc_error *err)
{
    RC_ROWS_AUTO(rows);
    const struct rc_value *row;

    if (core_session_query(ledger->session, statement, params, count, &rows, err))
        return err->code;
    for (;;) {
        if (rc_rows_next(rows, &row, err))
            return err->code;
        if (!row)
            return RC_OK;
        core_texts_add(&out->ids, row[0].text);
        core_texts_add(&out->jobs, row[1].text);
        core_texts_add(&out->hosts, core_ledger_text(&row[2]) ? row[2].text : "");
        core_texts_add(&out->spools, core_ledger_text(&row[3]) ? row[3].text : "");
    }
}

/* A run is due before it is finished, so that the index by age finds all that finished early. */
static enum rc_code find_old(struct core_ledger *ledger, int64_t before_unix_ms, int64_t limit,
                             struct candidates *out, struct rc_error *err)
{
    const struct rc_value params[] = { rc_value_int(before_unix_ms), rc_value_int(limit) };

    return find(ledger,
                "SELECT id, job, host, spool FROM runs WHERE due_unix_ms < $1 "
                "AND finished_unix_ms < $1 AND status NOT IN ('due', 'started') "
                "ORDER BY due_unix_ms, nominal_unix_ms, id LIMIT $2",
                params, RC_ARRAY_LEN(params), out, err);
}

/*
 * *job: the one behind it in the order of names, or NULL behind the last. The first one may be the
 * empty name, of what plugins have begun.
 */
static enum rc_code next_job(struct core_ledger *ledger, char **job, struct rc_error *err)
{
    const struct rc_value params[] = { rc_value_text(*job ? *job : "") };
    RC_ROWS_AUTO(rows);
    const struct rc_value *row;

    if (core_session_query(ledger->session,
                           *job ? "SELECT min(job) FROM runs WHERE job > $1"
                                : "SELECT min(job) FROM runs WHERE job >= $1",
                           params, RC_ARRAY_LEN(params), &rows, err) ||
        rc_rows_next(rows, &row, err))
        return err->code;
    free(*job);
    *job = row ? rc_strdup(core_ledger_text(&row[0])) : NULL;
    return RC_OK;
}

/* The newest run of the job that is not among its 'runs' newest ones; it may not be there. */
static enum rc_code find_boundary(struct core_ledger *ledger, const char *job, int64_t runs,
                                  struct core_run_place *out, struct rc_error *err)
{
    const struct rc_value params[] = { rc_value_text(job), rc_value_int(runs) };
    RC_ROWS_AUTO(rows);
    const struct rc_value *row;

    if (core_session_query(ledger->session,
                           "SELECT due_unix_ms, nominal_unix_ms, id FROM runs WHERE job = $1 "
                           "ORDER BY due_unix_ms DESC, nominal_unix_ms DESC, id DESC "
                           "LIMIT 1 OFFSET $2",
                           params, RC_ARRAY_LEN(params), &rows, err) ||
        rc_rows_next(rows, &row, err))
        return err->code;
    if (row)
        *out = (struct core_run_place){ row[0].integer, row[1].integer, rc_strdup(row[2].text) };
    return RC_OK;
}

static enum rc_code find_many(struct core_ledger *ledger, const char *job, int64_t runs,
                              int64_t limit, struct candidates *out, struct rc_error *err)
{
    CORE_RUN_PLACE_AUTO(place);

    if (find_boundary(ledger, job, runs, &place, err))
        return err->code;
    if (!place.id)
        return RC_OK;

    const struct rc_value params[] = {
        rc_value_text(job),
        rc_value_int(place.due_unix_ms),
        rc_value_int(place.nominal_unix_ms),
        rc_value_text(place.id),
        rc_value_int(limit),
    };
    return find(ledger,
                "SELECT id, job, host, spool FROM runs WHERE job = $1 "
                "AND (due_unix_ms, nominal_unix_ms, id) <= ($2, $3, $4) "
                "AND status NOT IN ('due', 'started') "
                "ORDER BY due_unix_ms, nominal_unix_ms, id LIMIT $5",
                params, RC_ARRAY_LEN(params), out, err);
}

/* Goes on with the jobs behind the last one looked at; *more: it did not come to the end. */
static enum rc_code find_beyond_limits(struct core_ledger *ledger, int64_t runs, int64_t limit,
                                       struct candidates *out, bool *more, struct rc_error *err)
{
    for (int64_t walked = 0;; walked += runs + 1) {
        int64_t left = limit - (int64_t)out->ids.count;
        size_t before = out->ids.count;
        RC_STR_AUTO job = rc_strdup(ledger->pruned_job);

        *more = true;
        if (left <= 0 || walked >= WALK_LIMIT)
            return RC_OK;
        if (next_job(ledger, &job, err))
            return err->code;
        if (job && find_many(ledger, job, runs, left, out, err))
            return err->code;
        /* A job of which not all could be taken is looked at again. */
        if (job && (int64_t)(out->ids.count - before) == left)
            return RC_OK;
        free(ledger->pruned_job);
        ledger->pruned_job = job;
        job = NULL;
        *more = ledger->pruned_job != NULL;
        if (!*more)
            return RC_OK;
    }
}

static enum rc_code remove_run(struct core_ledger *ledger, const char *id, struct rc_error *err)
{
    const struct rc_value params[] = { rc_value_text(id) };

    if (core_ledger_exec(ledger, "DELETE FROM attempts WHERE run = $1", params,
                         RC_ARRAY_LEN(params), NULL, err))
        return err->code;
    return core_ledger_exec(ledger,
                            "DELETE FROM runs WHERE id = $1 AND status NOT IN ('due', 'started')",
                            params, RC_ARRAY_LEN(params), NULL, err);
}

static enum rc_code remove_all(struct core_ledger *ledger, const struct core_texts *ids,
                               struct rc_error *err)
{
    if (ids->count == 0)
        return RC_OK;
    if (core_ledger_begin(ledger, err))
        return err->code;
    for (size_t i = 0; i < ids->count; i++)
        if (remove_run(ledger, ids->items[i], err)) {
            core_ledger_rollback(ledger);
            return err->code;
        }
    return core_ledger_commit(ledger, err);
}

static const char *or_null(const char *text)
{
    return text[0] ? text : NULL;
}

static void tell(const struct candidates *gone, core_run_record_fn *fn, void *context)
{
    for (size_t i = 0; i < gone->ids.count; i++) {
        const struct core_run_record record = {
            .id = gone->ids.items[i],
            .job = gone->jobs.items[i],
            .host = or_null(gone->hosts.items[i]),
            .spool = or_null(gone->spools.items[i]),
        };

        fn(context, &record);
    }
}

enum rc_code core_ledger_prune(struct core_ledger *ledger, int64_t before_unix_ms, int64_t runs,
                               int64_t limit, core_run_record_fn *fn, void *context, bool *more,
                               struct rc_error *err)
{
    RC_CLEANUP(clear) struct candidates gone = { .ids = { 0 } };

    *more = false;
    if (find_old(ledger, before_unix_ms, limit, &gone, err))
        return rc_context(err, "forget old runs");
    if ((int64_t)gone.ids.count == limit)
        *more = true;
    else if (runs > 0 && find_beyond_limits(ledger, runs, limit, &gone, more, err))
        return rc_context(err, "forget old runs");
    if (remove_all(ledger, &gone.ids, err))
        return rc_context(err, "forget old runs");
    tell(&gone, fn, context);
    return RC_OK;
}
