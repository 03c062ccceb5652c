/*
 * The action 'execute': the rules of a scope, bucket by bucket, several at once, each apart from
 * the others. How objects get to the shadow is the movers' business.
 *
 * An event of the API is carried out under a lock of its own. Whoever gets the lock and finds it
 * begun takes over from a process that has died.
 */
#include "report.h"
#include "run.h"

#include "state/outbox.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* How long an event waits for a bucket in which another run is at work. */
enum { EVENT_WAIT_MS = 10 * 60 * 1000 };

struct executing {
    const struct sdrs_config *config;
    bool confirm;
    int64_t wait_ms;       /* for each bucket */
    const char *execution; /* or NULL */
    const char *batch;
    struct sdrs_work work;
    struct sdrs_report report;
    size_t rules; /* in all */
    atomic_size_t done;
};

/* One bucket at work. */
struct at_bucket {
    struct rc_job *job;
    struct executing *executing;
    const struct sdrs_bucket_work *bucket;
    struct sdrs_state state;
    struct rc_lock *lock;
};

/* ---- a rule ---------------------------------------------------------------------------------- */

static void set_text(char **text, const char *value)
{
    free(*text);
    *text = rc_strdup(value);
}

static char *error_text(const struct rc_error *err)
{
    return rc_strf("%s%s%s", err->context, err->context[0] ? ": " : "", err->cause);
}

/* GLOBAL is reported by the bucket, as it is for many. */
static const char *name_of(const struct sdrs_bucket_work *bucket, const struct sdrs_rule *rule)
{
    return rule->type == SDRS_GLOBAL ? bucket->bucket : rule->storage;
}

static void note_done(struct at_bucket *at, const struct sdrs_row *row)
{
    struct executing *executing = at->executing;
    size_t done = atomic_fetch_add(&executing->done, 1) + 1;

    sdrs_report_add(&executing->report, row);
    rc_job_progress(at->job, (int64_t)done, (int64_t)executing->rules, "rules");
}

/* A rule that got no job. */
static void note_rule(struct at_bucket *at, const struct sdrs_rule *rule, enum sdrs_row_state state,
                      const char *message)
{
    const struct sdrs_row row = {
        .state = state,
        .status = SDRS_JOB_ERROR,
        .rule = rule->id,
        .type = sdrs_rule_type_name(rule->type),
        .name = name_of(at->bucket, rule),
        .message = message,
    };

    note_done(at, &row);
}

struct scheduling {
    struct at_bucket *at;
    const struct sdrs_rule_move *kept;
    struct sdrs_record *record;
};

static enum rc_code tell_inactive(struct sdrs_state *state, const struct scheduling *scheduling,
                                  const char *prefix, struct rc_error *err)
{
    const struct sdrs_record *record = scheduling->record;
    RC_STR_AUTO bucket = sdrs_bucket_name(record->bucket);
    RC_STR_AUTO directory = rc_strf("%s%s", record->bucket, prefix);
    RC_STR_AUTO once = rc_strf("inactive %s", directory);
    const struct sdrs_event event = {
        .kind = SDRS_EVENT_INACTIVE,
        .batch = record->batch,
        .project = record->project,
        .bucket = bucket,
        .directory = directory,
        .trigger = record->batch,
        .at_unix_ms = sdrs_now_unix_ms(state->job),
        .once = once,
    };

    return sdrs_outbox_add(state, &event, err);
}

/* Each prefix of a dataset is told once, however often its rule comes by it. */
static enum rc_code schedule(struct sdrs_state *state, void *context, struct rc_error *err)
{
    const struct scheduling *scheduling = context;
    struct sdrs_record *record = scheduling->record;
    const struct sdrs_prefixes *includes = &scheduling->kept->includes;

    if (sdrs_jobs_add(state, record, err))
        return err->code;
    if (record->status == SDRS_JOB_ERROR ||
        strcmp(record->type, sdrs_rule_type_name(SDRS_DATASET)) != 0 ||
        !sdrs_events_wanted(scheduling->at->executing->config))
        return RC_OK;
    for (size_t i = 0; i < includes->count; i++)
        if (tell_inactive(state, scheduling, includes->items[i], err))
            return err->code;
    return RC_OK;
}

static enum rc_code add_record(struct at_bucket *at, struct sdrs_rule_move *kept,
                               struct rc_error *err)
{
    struct scheduling scheduling = { .at = at, .kept = kept, .record = &kept->record };

    set_text(&kept->record.execution, at->executing->execution);
    set_text(&kept->record.batch, at->executing->batch);
    if (sdrs_state_transact(&at->state, schedule, &scheduling, err))
        return rc_context(err, "record the job");
    return RC_OK;
}

/* Two transfer jobs for the same objects would get into each other's way. */
static enum rc_code leave_under_way(struct at_bucket *at, const struct sdrs_rule *rule,
                                    struct sdrs_rule_move *kept, struct rc_error *err)
{
    RC_CLEANUP(sdrs_prefixes_clear) struct sdrs_prefixes under_way = { 0 };

    if (sdrs_under_way(&at->state, at->bucket->bucket, rule->id, &under_way, err))
        return err->code;
    return sdrs_rule_move_leave(kept, &under_way, err);
}

/* What a rule would move is known before any of it is; a mistake in it is the rule's. */
static enum rc_code prepare(struct at_bucket *at, const struct sdrs_rule *rule,
                            struct sdrs_rule_move *kept, struct sdrs_move *move,
                            struct rc_error *err)
{
    const struct sdrs_config *config = at->executing->config;
    struct sdrs_weight weight;

    if (sdrs_rule_move_make(at->job, config, at->bucket, rule, at->job->now_unix_ms, kept, move,
                            err) ||
        leave_under_way(at, rule, kept, err))
        return err->code;
    move->state = &at->state;
    move->lock = at->lock;
    if (kept->includes.count == 0 || at->executing->confirm ||
        (config->max_delete_objects == 0 && config->max_delete_share <= 0))
        return RC_OK;
    if (sdrs_weigh(at->job, move, kept->scope, &weight, err))
        return err->code;
    return sdrs_weight_check(config, &weight, err);
}

static enum rc_code execute_move(struct at_bucket *at, struct sdrs_rule_move *kept,
                                 const struct sdrs_move *move, struct rc_error *err)
{
    if (kept->includes.count == 0) {
        kept->record.status = SDRS_JOB_SUCCESS;
        if (!kept->record.message)
            set_text(&kept->record.message, kept->is_held ? "all of it is held or of other rules"
                                                          : "nothing is older than the rule keeps");
    }
    if (add_record(at, kept, err))
        return err->code;
    if (kept->record.status != SDRS_JOB_RUNNING)
        return RC_OK;
    return sdrs_move(at->job, move, err);
}

/* An error is what keeps the bucket's other rules from being executed, too. */
static enum rc_code execute_rule(struct at_bucket *at, const struct sdrs_rule *rule,
                                 struct sdrs_rule_move *kept, struct rc_error *err)
{
    struct rc_error ignored = RC_ERROR_INIT;
    struct sdrs_move move;
    struct sdrs_row row;
    enum rc_code code;

    if (rc_lock_check(at->job, at->lock, err))
        return err->code;
    code = prepare(at, rule, kept, &move, err);
    if (code && rc_job_check(at->job, &ignored))
        return code;
    if (code) {
        RC_STR_AUTO text = error_text(err);

        kept->record.status = SDRS_JOB_ERROR;
        set_text(&kept->record.message, text);
        code = add_record(at, kept, err);
    } else {
        code = execute_move(at, kept, &move, err);
    }
    if (code)
        return code;
    row = sdrs_row_of(&kept->record, name_of(at->bucket, rule), kept->includes.count);
    note_done(at, &row);
    if (kept->record.status == SDRS_JOB_ERROR)
        sdrs_batch_log(at->job, RC_LOG_ERROR, at->executing->batch, "'%s': %s", row.name,
                       row.message);
    return RC_OK;
}

/* ---- a bucket -------------------------------------------------------------------------------- */

static enum rc_code execute_rules(struct at_bucket *at, size_t *executed, struct rc_error *err)
{
    const struct sdrs_bucket_work *bucket = at->bucket;
    enum rc_code code;

    code = sdrs_settle_bucket(at->job, at->executing->config, &at->state, bucket->bucket, err);
    for (size_t i = 0; !code && i < bucket->rules.count; i++) {
        struct sdrs_rule_move kept = { 0 };

        code = execute_rule(at, &bucket->rules.items[i], &kept, err);
        sdrs_rule_move_clear(&kept);
        *executed += !code;
    }
    return code;
}

static enum rc_code execute_locked(struct at_bucket *at, size_t *executed, struct rc_error *err)
{
    enum rc_code code;

    if (at->bucket->mistake)
        return rc_fail(err, RC_INVALID, "%s", at->bucket->mistake);
    code = sdrs_bucket_lock(at->job, at->bucket->bucket, at->executing->wait_ms, &at->lock, err);
    if (code)
        return code;
    code = sdrs_source_check(at->job, at->bucket->bucket, err);
    if (!code)
        code = sdrs_state_open(at->job, &at->state, err);
    if (!code)
        code = execute_rules(at, executed, err);
    sdrs_state_close(&at->state);
    rc_lock_release(at->job, at->lock);
    return code;
}

/* What fails is of this bucket alone, unless the run is to stop. */
static enum rc_code execute_bucket(struct rc_job *job, void *context, size_t index,
                                   struct rc_error *err)
{
    struct executing *executing = context;
    struct at_bucket at = { .job = job,
                            .executing = executing,
                            .bucket = &executing->work.buckets[index] };
    struct rc_error ignored = RC_ERROR_INIT;
    size_t executed = 0;
    enum rc_code code = execute_locked(&at, &executed, err);
    bool is_busy = code == RC_CONFLICT && !at.lock;

    if (!code)
        return RC_OK;
    if (rc_job_check(job, &ignored))
        return code;
    RC_STR_AUTO text = error_text(err);
    if (is_busy)
        sdrs_batch_log(job, RC_LOG_INFO, executing->batch, "'%s' is left to the next run: %s",
                       at.bucket->bucket, text);
    else
        sdrs_batch_log(job, RC_LOG_ERROR, executing->batch, "'%s': %s", at.bucket->bucket, text);
    for (size_t i = executed; i < at.bucket->rules.count; i++)
        note_rule(&at, &at.bucket->rules.items[i], is_busy ? SDRS_ROW_BUSY : SDRS_ROW_JOB, text);
    return RC_OK;
}

/* ---- a scope --------------------------------------------------------------------------------- */

static enum rc_code execute_work(struct rc_job *job, struct executing *executing,
                                 struct rc_error *err)
{
    RC_STR_AUTO title = rc_strf("Batch %s", executing->batch);
    const struct sdrs_work *work = &executing->work;

    for (size_t i = 0; i < work->count; i++)
        executing->rules += work->buckets[i].rules.count;
    if (executing->rules == 0) {
        rc_job_say(job, "no rule names a bucket: nothing to move");
        return RC_OK;
    }
    sdrs_batch_log(job, RC_LOG_INFO, executing->batch, "executing %zu rules in %zu bucket%s",
                   executing->rules, work->count, work->count == 1 ? "" : "s");
    if (rc_parallel(job, (size_t)executing->config->threads, work->count, execute_bucket, executing,
                    err))
        return err->code;
    sdrs_report_show(job, &executing->report, title);
    return sdrs_report_conclude(&executing->report, "rules", err);
}

static enum rc_code execute_scope(struct rc_job *job, const struct sdrs_config *config,
                                  struct sdrs_state *state, const struct sdrs_scope_params *scope,
                                  const char *batch, int64_t wait_ms, struct rc_error *err)
{
    struct executing executing = {
        .config = config,
        .confirm = scope->confirm,
        .wait_ms = wait_ms,
        .execution = scope->execution,
        .batch = batch,
    };
    enum rc_code code;

    sdrs_report_init(&executing.report);
    code = sdrs_work_choose(state, config, scope, &executing.work, err);
    if (!code)
        code = execute_work(job, &executing, err);
    sdrs_work_clear(&executing.work);
    sdrs_report_clear(&executing.report);
    return code;
}

/* ---- an event of the API --------------------------------------------------------------------- */

/* Whose event it is. */
enum whose { LOST, OURS };

/*
 * What others were in the way of all the time is to be done yet: the event is received as before,
 * for the next run that looks for lost ones.
 */
static enum sdrs_execution_status status_after(enum rc_code code)
{
    if (!code)
        return SDRS_EXECUTION_SUCCESS;
    return code == RC_SKIPPED ? SDRS_EXECUTION_RECEIVED : SDRS_EXECUTION_ERROR;
}

/* How this run leaves an event. */
struct leaving {
    const struct sdrs_execution *execution;
    int64_t last_before; /* job of an attempt that was taken over; 0: none */
    enum sdrs_execution_status status;
    const char *run, *message;
};

/* A job that was handed over may have failed since: it can end before the run does. */
static enum rc_code leave(struct sdrs_state *state, void *context, struct rc_error *err)
{
    const struct leaving *leaving = context;
    const char *id = leaving->execution->id;
    const struct sdrs_jobs_query query = {
        .execution = id, .statuses = "error", .after = leaving->last_before, .limit = 1
    };
    RC_CLEANUP(sdrs_records_clear) struct sdrs_records failed = { 0 };

    if (leaving->status == SDRS_EXECUTION_SUCCESS && sdrs_jobs_list(state, &query, &failed, err))
        return err->code;
    if (failed.count > 0)
        return sdrs_executions_set(state, id, SDRS_EXECUTION_ERROR, leaving->run,
                                   failed.items[0].message, err);
    return sdrs_executions_set(state, id, leaving->status, leaving->run, leaving->message, err);
}

/* The last job that attempts before this one made; 0: none. What they left is done anew. */
static enum rc_code find_last_before(struct sdrs_state *state, const char *execution, int64_t *out,
                                     struct rc_error *err)
{
    const struct sdrs_jobs_query query = { .execution = execution };
    RC_CLEANUP(sdrs_records_clear) struct sdrs_records before = { 0 };

    *out = 0;
    if (sdrs_jobs_list(state, &query, &before, err))
        return err->code;
    if (before.count > 0)
        *out = before.items[before.count - 1].id;
    return RC_OK;
}

static enum rc_code carry_out_begun(struct rc_job *job, const struct sdrs_config *config,
                                    struct sdrs_state *state,
                                    const struct sdrs_execution *execution, enum whose whose,
                                    struct rc_error *err)
{
    const struct sdrs_scope_params *asked = job->params;
    const struct sdrs_scope_params scope = {
        .execution = execution->id,
        .project = execution->project,
        .storage = execution->target,
        .rule = execution->rule,
        .confirm = whose == OURS && asked->confirm,
    };
    int64_t wait_ms = whose == OURS ? EVENT_WAIT_MS : 0;
    struct leaving leaving = { .execution = execution, .run = job->run_id };
    struct rc_error ignored = RC_ERROR_INIT, other = RC_ERROR_INIT;
    enum rc_code code;

    if (find_last_before(state, execution->id, &leaving.last_before, err))
        return err->code;
    code = execute_scope(job, config, state, &scope, execution->batch, wait_ms, err);
    /* One that is stopped is taken over by the next run. */
    if (code && rc_job_check(job, &ignored))
        return code;
    /* What was in the way at first is no longer. */
    RC_STR_AUTO text = code ? error_text(err) : rc_strdup(execution->message ? "" : NULL);
    leaving.status = status_after(code);
    leaving.message = text;
    if (sdrs_state_transact(state, leave, &leaving, &other) && !code) {
        *err = other;
        return err->code;
    }
    return code;
}

/* RC_SKIPPED: it is no longer to be done. */
static enum rc_code take_over(struct rc_job *job, struct sdrs_state *state,
                              const struct sdrs_execution *execution, struct rc_error *err)
{
    bool ours;

    if (!rc_str_eq(execution->type, "POLICY"))
        return rc_fail(err, RC_INVALID,
                       "the execution '%s' is of type %s, which is not for "
                       "'execute'",
                       execution->id, execution->type);
    if (execution->status == SDRS_EXECUTION_RUNNING)
        return sdrs_executions_set(state, execution->id, SDRS_EXECUTION_RUNNING, job->run_id,
                                   /* message = */ NULL, err);
    if (sdrs_executions_begin(state, execution->id, job->run_id, &ours, err))
        return err->code;
    if (!ours)
        return rc_fail(err, RC_SKIPPED, "the execution '%s' is '%s' already", execution->id,
                       sdrs_execution_status_name(execution->status));
    return RC_OK;
}

static enum rc_code carry_out(struct rc_job *job, const struct sdrs_config *config,
                              struct sdrs_state *state, const char *id, enum whose whose,
                              struct rc_error *err)
{
    RC_STR_AUTO name = sdrs_execution_lock(id);
    struct sdrs_execution execution = { 0 };
    struct rc_lock *lock;
    enum rc_code code = rc_lock_acquire(job, name, /* wait_ms = */ 0, &lock, err);

    if (code == RC_CONFLICT)
        return rc_fail(err, RC_SKIPPED, "the execution '%s' is being carried out: %s", id,
                       err->cause);
    if (code)
        return code;
    code = sdrs_executions_find(state, id, &execution, err);
    if (!code)
        code = take_over(job, state, &execution, err);
    if (!code)
        code = carry_out_begun(job, config, state, &execution, whose, err);
    sdrs_execution_clear(&execution);
    rc_lock_release(job, lock);
    return code;
}

/* Those that nobody begins, or whose process has died. What is wrong with one is told. */
static enum rc_code carry_out_lost(struct rc_job *job, const struct sdrs_config *config,
                                   struct sdrs_state *state, struct rc_error *err)
{
    struct rc_error first = RC_ERROR_INIT, ignored = RC_ERROR_INIT;
    size_t count;
    char **ids;
    enum rc_code code =
        sdrs_executions_lost(state, sdrs_now_unix_ms(job) - SDRS_LOST_AFTER_MS, &ids, &count, err);

    for (size_t i = 0; i < count; i++) {
        if (!code && carry_out(job, config, state, ids[i], LOST, err)) {
            if (rc_job_check(job, &ignored))
                code = err->code;
            else if (err->code != RC_SKIPPED && !first.code)
                first = *err;
        }
        free(ids[i]);
    }
    free(ids);
    if (!code && first.code) {
        *err = first;
        return err->code;
    }
    return code;
}

/* ---- the run --------------------------------------------------------------------------------- */

static enum rc_code execute_asked(struct rc_job *job, const struct sdrs_config *config,
                                  struct sdrs_state *state, struct rc_error *err)
{
    const struct sdrs_scope_params *scope = job->params;
    char batch[SDRS_UUID_TEXT];

    if (scope->execution)
        return carry_out(job, config, state, scope->execution, OURS, err);
    if (sdrs_uuid_make(batch, err))
        return err->code;
    return execute_scope(job, config, state, scope, batch, /* wait_ms = */ 0, err);
}

/* What is asked for comes first, and its result is the run's. */
enum rc_code sdrs_execute(struct rc_job *job, const void *options, struct rc_error *err)
{
    const struct sdrs_config *config = options;
    struct rc_error ignored = RC_ERROR_INIT, lost = RC_ERROR_INIT;
    struct sdrs_state state;
    enum rc_code code;

    if (job->dry_run)
        return sdrs_plan(job, config, err);
    if (sdrs_open(job, config, &state, err))
        return err->code;
    code = execute_asked(job, config, &state, err);
    if (!code || !rc_job_check(job, &ignored)) {
        if (carry_out_lost(job, config, &state, &lost) && (!code || code == RC_SKIPPED)) {
            *err = lost;
            code = lost.code;
        }
        sdrs_deliver(job, config, &state);
    }
    sdrs_state_close(&state);
    return code;
}
