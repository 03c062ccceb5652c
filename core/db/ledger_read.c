/*
 * Reading the ledger: runs and their attempts, page by page, so that neither memory nor the
 * database is held however long the history is.
 */
#include <db/internal.h>
#include <db/ledger_internal.h>

#include <run-core/str.h>

#include <stdlib.h>
#include <string.h>

enum { PAGE = 500, STATEMENT_LIMIT = 4096, PARAMS = 12 };

/* ---- rows to records ------------------------------------------------------------------------ */

static enum rc_code read_status(const struct rc_value *value, const char *id,
                                enum core_run_status *out, struct rc_error *err)
{
    if (core_run_status_parse(core_ledger_text(value), out))
        return RC_OK;
    return rc_fail(err, RC_CORRUPT, "the run '%s' has the status '%s', which is none", id,
                   core_ledger_text(value) ? core_ledger_text(value) : "");
}

/* By CORE_LEDGER_RUN_COLUMNS. */
static enum rc_code read_run(const struct rc_value *row, struct core_run_record *out,
                             struct rc_error *err)
{
    const char *job = core_ledger_text(&row[1]);

    *out = (struct core_run_record){
        .id = core_ledger_text(&row[0]),
        .job = job && *job ? job : NULL,
        .plugin = core_ledger_text(&row[2]),
        .action = core_ledger_text(&row[3]),
        .trigger = core_ledger_text(&row[4]),
        .has_slot = row[5].type != RC_VALUE_NULL,
        .slot_unix_ms = row[5].integer,
        .reason = core_ledger_text(&row[7]),
        .message = core_ledger_text(&row[8]),
        .attempt = row[9].integer,
        .attempts = row[10].integer,
        .due_unix_ms = row[11].integer,
        .not_before_unix_ms = row[12].integer,
        .started_unix_ms = row[13].integer,
        .finished_unix_ms = row[14].integer,
        .exit_status = row[15].integer,
        .counters = core_ledger_text(&row[16]),
        .set = core_ledger_text(&row[17]),
        .cancel = core_ledger_text(&row[18]),
        .force = row[19].integer != 0,
        .executor = core_ledger_text(&row[20]),
        .host = core_ledger_text(&row[21]),
        .spool = core_ledger_text(&row[22]),
    };
    return read_status(&row[6], out->id, &out->status, err);
}

enum rc_code core_ledger_each_run(struct core_ledger *ledger, const char *statement,
                                  const struct rc_value *params, size_t count,
                                  core_run_record_fn *fn, void *context, struct rc_error *err)
{
    struct core_run_record record;
    const struct rc_value *row;
    RC_ROWS_AUTO(rows);

    if (core_session_query(ledger->session, statement, params, count, &rows, err))
        return err->code;
    for (;;) {
        if (rc_rows_next(rows, &row, err))
            return err->code;
        if (!row)
            return RC_OK;
        if (read_run(row, &record, err))
            return err->code;
        fn(context, &record);
    }
}

/* ---- places --------------------------------------------------------------------------------- */

void core_run_place_clear(struct core_run_place *place)
{
    free(place->id);
    *place = (struct core_run_place){ 0 };
}

enum rc_code core_ledger_place(struct core_ledger *ledger, const char *id,
                               struct core_run_place *out, struct rc_error *err)
{
    const struct rc_value params[] = { rc_value_text(id) };
    RC_ROWS_AUTO(rows);
    const struct rc_value *row;

    if (core_session_query(ledger->session,
                           "SELECT due_unix_ms, nominal_unix_ms FROM runs WHERE id = $1", params,
                           RC_ARRAY_LEN(params), &rows, err) ||
        rc_rows_next(rows, &row, err))
        return err->code;
    if (!row)
        return rc_fail(err, RC_NOT_FOUND, "there is no run '%s'", id);
    *out = (struct core_run_place){ row[0].integer, row[1].integer, rc_strdup(id) };
    return RC_OK;
}

/* ---- lists ---------------------------------------------------------------------------------- */

/* A page under way: passes records on and keeps the place of the last. */
struct page {
    core_run_record_fn *fn;
    void *context;
    int64_t count;
    struct core_run_place last;
};

static void pass_on(void *context, const struct core_run_record *record)
{
    struct page *page = context;

    page->count++;
    core_run_place_clear(&page->last);
    page->last = (struct core_run_place){
        .due_unix_ms = record->due_unix_ms,
        .nominal_unix_ms = record->has_slot ? record->slot_unix_ms : record->due_unix_ms,
        .id = rc_strdup(record->id),
    };
    page->fn(page->context, record);
}

/* A statement that grows by conditions. */
struct query {
    struct rc_buf text;
    struct rc_value params[PARAMS];
    size_t count;
};

/* 'condition' ends with "$", to which the number is added. */
static void add_condition(struct query *query, const char *condition, struct rc_value value)
{
    RC_ASSERT(query->count < PARAMS);
    query->params[query->count++] = value;
    rc_buf_addf(&query->text, " AND %s%zu", condition, query->count);
}

/*
 * Without these words a partial index is no use. A job has its runs in order, too, and may have
 * fewer than there are of a status.
 */
static void add_class(struct query *query, unsigned statuses, bool of_job)
{
    const unsigned open = 1u << CORE_RUN_DUE | 1u << CORE_RUN_STARTED;

    if ((statuses & ~open) == 0)
        rc_buf_adds(&query->text, " AND " CORE_LEDGER_OPEN);
    else if ((statuses & (open | 1u << CORE_RUN_SUCCEEDED)) == 0 && !of_job)
        rc_buf_adds(&query->text, " AND " CORE_LEDGER_UNSUCCESSFUL);
}

static void add_statuses(struct query *query, unsigned statuses, bool of_job)
{
    const char *separator = " AND status IN (";

    if (statuses == 0)
        return;
    add_class(query, statuses, of_job);
    for (int i = 0; i < CORE_RUN_STATUS_COUNT; i++)
        if (statuses & (1u << i)) {
            rc_buf_adds(&query->text, separator);
            rc_buf_add_literal(&query->text, core_run_status_name((enum core_run_status)i));
            separator = ", ";
        }
    rc_buf_addc(&query->text, ')');
}

static void add_behind(struct query *query, const struct core_run_place *place)
{
    size_t at = query->count;

    if (!place->id)
        return;
    RC_ASSERT(at + 3 <= PARAMS);
    query->params[query->count++] = rc_value_int(place->due_unix_ms);
    query->params[query->count++] = rc_value_int(place->nominal_unix_ms);
    query->params[query->count++] = rc_value_text(place->id);
    rc_buf_addf(&query->text, " AND (due_unix_ms, nominal_unix_ms, id) < ($%zu, $%zu, $%zu)",
                at + 1, at + 2, at + 3);
}

static enum rc_code read_page(struct core_ledger *ledger, const struct core_run_filter *filter,
                              int64_t limit, struct page *page, struct rc_error *err)
{
    struct query query = { .text = RC_BUF_INIT(STATEMENT_LIMIT) };
    /* The page's own place moves while its rows are read. */
    struct core_run_place behind = page->last;
    enum rc_code code;

    page->last = (struct core_run_place){ 0 };
    rc_buf_adds(&query.text, "SELECT " CORE_LEDGER_RUN_COLUMNS " FROM runs WHERE 1 = 1");
    if (filter->job)
        add_condition(&query, "job = $", rc_value_text(filter->job));
    if (filter->plugin)
        add_condition(&query, "plugin = $", rc_value_text(filter->plugin));
    if (filter->since_unix_ms)
        add_condition(&query, "due_unix_ms >= $", rc_value_int(filter->since_unix_ms));
    if (filter->until_unix_ms)
        add_condition(&query, "due_unix_ms < $", rc_value_int(filter->until_unix_ms));
    add_statuses(&query, filter->statuses, filter->job != NULL);
    add_behind(&query, &behind);
    query.params[query.count++] = rc_value_int(limit);
    rc_buf_addf(&query.text, " ORDER BY due_unix_ms DESC, nominal_unix_ms DESC, id DESC LIMIT $%zu",
                query.count);
    code = rc_buf_check(&query.text, err);
    if (code == RC_OK)
        code = core_ledger_each_run(ledger, query.text.data, query.params, query.count, pass_on,
                                    page, err);
    core_run_place_clear(&behind);
    rc_buf_clear(&query.text);
    return code;
}

enum rc_code core_ledger_runs(struct core_ledger *ledger, const struct core_run_filter *filter,
                              core_run_record_fn *fn, void *context, struct rc_error *err)
{
    struct page page = { .fn = fn, .context = context };
    enum rc_code code = RC_OK;
    int64_t wanted;

    if (filter->before && core_ledger_place(ledger, filter->before, &page.last, err))
        return err->code;
    for (int64_t done = 0;; done += page.count) {
        wanted = filter->limit > 0 && filter->limit - done < PAGE ? filter->limit - done : PAGE;
        page.count = 0;
        if (wanted > 0)
            code = read_page(ledger, filter, wanted, &page, err);
        if (code || page.count < wanted || wanted == 0)
            break;
    }
    core_run_place_clear(&page.last);
    return code ? rc_context(err, "list runs") : RC_OK;
}

static void count_run(void *context, const struct core_run_record *record)
{
    struct page *page = context;

    page->count++;
    page->fn(page->context, record);
}

enum rc_code core_ledger_run(struct core_ledger *ledger, const char *id, core_run_record_fn *fn,
                             void *context, struct rc_error *err)
{
    const struct rc_value params[] = { rc_value_text(id) };
    struct page page = { .fn = fn, .context = context };

    if (core_ledger_each_run(ledger, "SELECT " CORE_LEDGER_RUN_COLUMNS " FROM runs WHERE id = $1",
                             params, RC_ARRAY_LEN(params), count_run, &page, err))
        return rc_context(err, "read the run '%s'", id);
    return page.count > 0 ? RC_OK : rc_fail(err, RC_NOT_FOUND, "there is no run '%s'", id);
}

/* The latest attempt is in the run's own row, unless the run went on or was dropped after it. */
static const char attempts_statement[] =
    "SELECT number, status, reason, message, started_unix_ms, finished_unix_ms, exit_status "
    "FROM attempts WHERE run = $1 "
    "UNION ALL "
    "SELECT attempt, status, reason, message, started_unix_ms, finished_unix_ms, exit_status "
    "FROM runs WHERE id = $1 AND attempt > 0 AND NOT EXISTS "
    "(SELECT 1 FROM attempts WHERE attempts.run = runs.id AND attempts.number = runs.attempt) "
    "ORDER BY 1";

enum rc_code core_ledger_attempts(struct core_ledger *ledger, const char *id,
                                  core_attempt_record_fn *fn, void *context, struct rc_error *err)
{
    const struct rc_value params[] = { rc_value_text(id) };
    RC_ROWS_AUTO(rows);
    const struct rc_value *row;

    if (core_session_query(ledger->session, attempts_statement, params, RC_ARRAY_LEN(params), &rows,
                           err))
        return rc_context(err, "read the attempts of the run '%s'", id);
    for (;;) {
        struct core_attempt_record record;

        if (rc_rows_next(rows, &row, err))
            return rc_context(err, "read the attempts of the run '%s'", id);
        if (!row)
            return RC_OK;
        record = (struct core_attempt_record){
            .number = row[0].integer,
            .reason = core_ledger_text(&row[2]),
            .message = core_ledger_text(&row[3]),
            .started_unix_ms = row[4].integer,
            .finished_unix_ms = row[5].integer,
            .exit_status = row[6].integer,
        };
        if (read_status(&row[1], id, &record.status, err))
            return err->code;
        fn(context, &record);
    }
}

/* ---- what came before ----------------------------------------------------------------------- */

enum rc_code core_ledger_was_failing(struct core_ledger *ledger, const char *job, const char *run,
                                     bool *out, struct rc_error *err)
{
    CORE_RUN_PLACE_AUTO(place);
    RC_ROWS_AUTO(rows);
    const struct rc_value *row;

    if (core_ledger_place(ledger, run, &place, err))
        return err->code;

    const struct rc_value params[] = {
        rc_value_text(job),
        rc_value_int(place.due_unix_ms),
        rc_value_int(place.nominal_unix_ms),
        rc_value_text(place.id),
    };
    if (core_session_query(ledger->session,
                           "SELECT status FROM runs WHERE job = $1 "
                           "AND (due_unix_ms, nominal_unix_ms, id) < ($2, $3, $4) "
                           "AND status IN ('succeeded', 'failed', 'timed_out', 'lost') "
                           "ORDER BY due_unix_ms DESC, nominal_unix_ms DESC, id DESC LIMIT 1",
                           params, RC_ARRAY_LEN(params), &rows, err) ||
        rc_rows_next(rows, &row, err))
        return rc_context(err, "look at the last end of the job '%s'", job);
    *out = row && !rc_str_eq(core_ledger_text(&row[0]), "succeeded");
    return RC_OK;
}

/* ---- for runs in the foreground -------------------------------------------------------------- */

/* Of a row: id, attempt, spool, and the executor's host, pid, start_ticks, expires_unix_ms. */
static void tell_started(const struct rc_value *row, int64_t now_unix_ms, core_started_run_fn *fn,
                         void *context)
{
    struct core_process_id daemon = {
        .pid = (pid_t)row[4].integer,
        .start_ticks = (uint64_t)row[5].integer,
    };
    struct core_started_run run = {
        .id = core_ledger_text(&row[0]),
        .attempt = row[1].integer,
        .spool = core_ledger_text(&row[2]),
        .daemon = CORE_PROCESS_DEAD, /* it has left: what it had is another's soon */
        .is_leased = row[6].type != RC_VALUE_NULL && row[6].integer > now_unix_ms,
    };

    if (row[3].len > 0 && row[3].len < sizeof(daemon.host)) {
        memcpy(daemon.host, row[3].text, row[3].len + 1);
        run.daemon = core_process_look(&daemon);
    }
    fn(context, &run);
}

enum rc_code core_ledger_started_runs(struct core_db *db, const char *job, core_started_run_fn *fn,
                                      void *context, struct rc_error *err)
{
    const struct rc_value params[] = { rc_value_text(job) };
    RC_ROWS_AUTO(rows);
    const struct rc_value *row = NULL;
    int64_t now_unix_ms = 0;
    enum rc_code code;

    (void)pthread_mutex_lock(&db->mutex);
    code = core_session_now_unix_ms(db->core, &now_unix_ms, err);
    if (code == RC_OK)
        code = core_session_query(db->core,
                                  "SELECT runs.id, runs.attempt, runs.spool, executors.host, "
                                  "executors.pid, executors.start_ticks, executors.expires_unix_ms "
                                  "FROM runs LEFT JOIN executors ON executors.id = runs.executor "
                                  "WHERE runs.job = $1 AND runs.status IN ('due', 'started') "
                                  "AND runs.status = 'started' AND runs.trigger <> 'foreground'",
                                  params, RC_ARRAY_LEN(params), &rows, err);
    while (code == RC_OK && (code = rc_rows_next(rows, &row, err)) == RC_OK && row)
        tell_started(row, now_unix_ms, fn, context);
    rc_rows_close(&rows);
    (void)pthread_mutex_unlock(&db->mutex);
    return code;
}
