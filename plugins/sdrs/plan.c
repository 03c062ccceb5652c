/*
 * The action 'plan', and a dry run of 'execute': lists what each rule would move and changes
 * nothing. It takes no lock, so what another run moves meanwhile may be in it.
 *
 * Each rule is listed once, several at a time; memory is that of the rows.
 */
#include "plan.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct planning {
    const struct sdrs_config *config;
    bool confirm;
    struct sdrs_plan plan;
    atomic_size_t done;
};

static const char *const held_text = "all of it is held or of other rules";
static const char *const nothing_text = "nothing is older than the rule keeps";

static enum rc_code weigh_rule(struct rc_job *job, const struct planning *planning,
                               struct sdrs_plan_row *row, struct sdrs_rule_move *kept,
                               struct rc_error *err)
{
    struct rc_error refusal = RC_ERROR_INIT;
    struct sdrs_move move;

    if (row->bucket->mistake)
        return rc_fail(err, RC_INVALID, "%s", row->bucket->mistake);
    if (sdrs_rule_move_make(job, planning->config, row->bucket, row->rule, job->now_unix_ms, kept,
                            &move, err))
        return err->code;
    row->prefixes = kept->includes.count;
    row->has_level = move.template != NULL;
    if (row->has_level)
        row->level = move.template->finest;
    if (row->prefixes == 0) {
        row->message = rc_strdup(kept->is_held ? held_text : nothing_text);
        return sdrs_source_check(job, row->bucket->bucket, err);
    }
    if (sdrs_weigh(job, &move, kept->scope, &row->weight, err))
        return err->code;
    if (row->weight.all_objects == 0 && sdrs_source_check(job, row->bucket->bucket, err))
        return err->code;
    row->is_weighed = true;
    if (!planning->confirm && sdrs_weight_check(planning->config, &row->weight, &refusal))
        row->message = rc_strdup(refusal.cause);
    return RC_OK;
}

/* What fails is of this rule alone, unless the run is to stop. */
static enum rc_code plan_rule(struct rc_job *job, void *context, size_t index, struct rc_error *err)
{
    struct planning *planning = context;
    struct sdrs_plan_row *row = &planning->plan.rows[index];
    struct rc_error ignored = RC_ERROR_INIT;
    struct sdrs_rule_move kept = { 0 };
    enum rc_code code = weigh_rule(job, planning, row, &kept, err);

    sdrs_rule_move_clear(&kept);
    if (code && rc_job_check(job, &ignored))
        return code;
    if (code) {
        row->failed = true;
        free(row->message);
        row->message = rc_strf("%s%s%s", err->context, err->context[0] ? ": " : "", err->cause);
        rc_error(job, "'%s': %s", row->bucket->bucket, row->message);
    }
    rc_job_progress(job, (int64_t)atomic_fetch_add(&planning->done, 1) + 1,
                    (int64_t)planning->plan.count, "rules");
    return RC_OK;
}

static void make_rows(struct sdrs_plan *plan, const struct sdrs_work *work)
{
    for (size_t i = 0; i < work->count; i++)
        plan->count += work->buckets[i].rules.count;
    plan->buckets = work->count;
    plan->rows = rc_calloc(plan->count + 1, sizeof(*plan->rows));
    for (size_t i = 0, at = 0; i < work->count; i++)
        for (size_t k = 0; k < work->buckets[i].rules.count; k++)
            plan->rows[at++] = (struct sdrs_plan_row){ .bucket = &work->buckets[i],
                                                       .rule = &work->buckets[i].rules.items[k] };
}

static enum rc_code conclude(const struct sdrs_plan *plan, struct rc_error *err)
{
    const struct sdrs_plan_row *first = NULL;
    size_t failed = 0;

    for (size_t i = 0; i < plan->count; i++) {
        failed += plan->rows[i].failed;
        if (plan->rows[i].failed && !first)
            first = &plan->rows[i];
    }
    if (first)
        return rc_fail(err, RC_FAILED, "%zu of %zu rules cannot be planned; the first, of '%s': %s",
                       failed, plan->count, first->bucket->bucket, first->message);
    return RC_OK;
}

static enum rc_code plan_work(struct rc_job *job, const struct sdrs_config *config,
                              const struct sdrs_work *work, bool confirm, struct rc_error *err)
{
    struct planning planning = { .config = config, .confirm = confirm };
    struct sdrs_plan *plan = &planning.plan;
    enum rc_code code;

    make_rows(plan, work);
    code = rc_parallel(job, (size_t)config->threads, plan->count, plan_rule, &planning, err);
    if (!code) {
        sdrs_plan_show(job, plan);
        code = conclude(plan, err);
    }
    for (size_t i = 0; i < plan->count; i++)
        free(plan->rows[i].message);
    free(plan->rows);
    return code;
}

static enum rc_code plan_scope(struct rc_job *job, const struct sdrs_config *config,
                               struct sdrs_state *state, const struct sdrs_scope_params *scope,
                               struct rc_error *err)
{
    struct sdrs_work work;
    enum rc_code code;

    if (sdrs_work_choose(state, config, scope, &work, err))
        return err->code;
    code = plan_work(job, config, &work, scope->confirm, err);
    sdrs_work_clear(&work);
    return code;
}

/* Of a dry run that is of an event the scope is the event's. */
static enum rc_code plan_event(struct rc_job *job, const struct sdrs_config *config,
                               struct sdrs_state *state, const struct sdrs_scope_params *params,
                               struct rc_error *err)
{
    struct sdrs_execution execution = { 0 };
    struct sdrs_scope_params scope;
    enum rc_code code;

    if (sdrs_executions_find(state, params->execution, &execution, err))
        return err->code;
    scope = (struct sdrs_scope_params){
        .project = execution.project,
        .storage = execution.target,
        .rule = execution.rule,
        .confirm = params->confirm,
    };
    code = plan_scope(job, config, state, &scope, err);
    sdrs_execution_clear(&execution);
    return code;
}

enum rc_code sdrs_plan(struct rc_job *job, const void *options, struct rc_error *err)
{
    const struct sdrs_config *config = options;
    const struct sdrs_scope_params *scope = job->params;
    struct sdrs_state state;
    enum rc_code code;

    if (sdrs_open(job, config, &state, err))
        return err->code;
    code = scope->execution ? plan_event(job, config, &state, scope, err)
                            : plan_scope(job, config, &state, scope, err);
    sdrs_state_close(&state);
    return code;
}
