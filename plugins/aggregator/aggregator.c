/*
 * The plugin: its descriptor, and its actions as sequences of steps. What a step does is in the
 * file of its name, which steps are due in plan.c.
 */
#include "digest.h"
#include "run.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>

struct rebuild_params {
    int32_t from, to;
};

struct day_params {
    int32_t day;
};

/* ---- a run's beginning and end ---- */

static uint64_t daily_definition(const struct agg_model *model)
{
    uint64_t digest = agg_digest_text(AGG_DIGEST_INIT, model->event_name);

    for (size_t i = 0; i < model->measure_count; i++) {
        const struct agg_measure *measure = &model->measures[i];

        digest = agg_digest_text(digest, measure->path);
        digest = agg_digest_text(digest, measure->type.name);
        digest = agg_digest_text(digest, measure->column);
        digest = agg_digest_number(digest, (uint64_t)measure->aggregate);
    }
    for (size_t i = 0; i < model->key_count; i++) {
        digest = agg_digest_text(digest, model->keys[i].path);
        digest = agg_digest_text(digest, model->keys[i].column);
        digest = agg_digest_text(digest, model->keys[i].type.name);
    }
    for (size_t i = 0; i < model->config->filter.len; i++) {
        const struct agg_filter_option *filter =
            RC_OBJECT_AT(struct agg_filter_option, model->config->filter, i);

        digest = agg_digest_text(digest, filter->path);
        digest = agg_digest_text(digest, filter->type);
        digest = agg_digest_number(digest, (uint64_t)filter->operator);
        for (size_t j = 0; j < filter->values.len; j++)
            digest = agg_digest_text(digest, filter->values.items[j]);
    }
    return digest;
}

static void end_run(struct agg_run *run)
{
    rc_sql_close(run->job, run->sql);
    rc_lock_release(run->job, run->lock);
    agg_report_clear(&run->report);
    agg_history_clear(&run->history);
    agg_paths_clear(&run->paths);
    agg_columns_clear(&run->columns);
    agg_model_clear(&run->model);
}

static enum rc_code take_lock(struct agg_run *run, struct rc_error *err)
{
    RC_STR_AUTO name =
        rc_strf("aggregator:%016" PRIx64, agg_digest_text(AGG_DIGEST_INIT, run->paths.daily));
    enum rc_code code = rc_lock_acquire(run->job, name, 0, &run->lock, err);

    if (code == RC_CONFLICT)
        return rc_fail(err, RC_SKIPPED, "another run works on '%s': %s", run->paths.daily,
                       err->cause);
    return code ? rc_context(err, "take the lock of '%s'", run->paths.daily) : RC_OK;
}

/* Days that were aggregated by other rules are the user's to rebuild: their events may be gone. */
static void warn_of_other_definitions(const struct agg_run *run)
{
    int64_t count = 0;
    char first[RC_DAY_TEXT] = "", last[RC_DAY_TEXT] = "", *text = first;

    for (size_t i = 0; i < run->history.day_count; i++) {
        const struct agg_mark *mark = &run->history.daily[i];

        if (!mark->done || mark->adopted || mark->definition == run->daily_definition)
            continue;
        rc_format_day(run->history.first + (int32_t)i, text);
        text = last;
        count++;
    }
    if (count > 0)
        rc_warn(run->job,
                "%" PRId64 " days from '%s' on were aggregated by another configuration of event, "
                "value, keys or filter; rebuild them if they are to follow the present one",
                count, first);
}

/* Yesterday in the job's zone. */
static enum rc_code find_yesterday(struct agg_run *run, int32_t *day, struct rc_error *err)
{
    if (rc_job_day_of(run->job, run->job->now_unix_ms, day, err))
        return rc_context(err, "find the last day that is over");
    --*day;
    return RC_OK;
}

static enum rc_code begin_run(struct agg_run *run, struct rc_job *job,
                              const struct agg_config *config, int32_t *yesterday,
                              struct rc_error *err)
{
    *run = (struct agg_run){ .job = job, .config = config };
    if (!agg_limit_parse(config->max_rejected, &run->limit))
        return rc_fail(err, RC_INVALID, "max_rejected '%s'", config->max_rejected);
    if (agg_model_make(config, &run->model, err))
        return err->code;
    agg_model_columns(&run->model, &run->columns);
    agg_paths_make(config, job->working_dir, &run->paths);
    run->daily_definition = daily_definition(&run->model);
    if (find_yesterday(run, yesterday, err) || take_lock(run, err) ||
        agg_state_load(run, *yesterday, err))
        return err->code;
    warn_of_other_definitions(run);
    const struct rc_sql_options engine = {
        .size = sizeof(engine),
        .engine = config->engine,
        .region = config->athena_region,
        .catalog = config->athena_catalog,
        .results = config->athena_results,
    };
    if (rc_sql_open_with(job, &engine, &run->sql, err))
        return rc_context(err, "open the SQL engine");
    return RC_OK;
}

void agg_say_step(struct agg_run *run, enum agg_step_kind kind, const char *statement,
                  const char *format, ...)
{
    RC_BUF_AUTO(text, 4 << 20);
    va_list arguments;

    va_start(arguments, format);
    rc_buf_adds(&text, "would do ");
    rc_buf_addv(&text, format, arguments);
    va_end(arguments);
    rc_job_say(run->job, text.data);
    if (statement && !run->said_sql[kind]) {
        rc_job_say(run->job, statement);
        run->said_sql[kind] = true;
    }
}

/* ---- the steps in their order ---- */

static void step_done(struct agg_run *run)
{
    rc_job_count(run->job, "steps", 1);
    rc_job_progress(run->job, ++run->steps_done, run->steps_total, "steps");
}

static enum rc_code do_step(struct agg_run *run, const struct agg_step *step, struct rc_error *err)
{
    static const char *const names[] = { "daily", "window", "tables", "csv", "import" };
    char day[RC_DAY_TEXT];
    enum rc_code code = rc_job_check(run->job, err);

    if (code)
        return rc_context(err, "before the %s step of %s", names[step->kind],
                          rc_format_day(step->day, day));
    switch (step->kind) {
    case AGG_STEP_DAILY:
        code = agg_daily(run, step->day, err);
        break;
    case AGG_STEP_WINDOW:
        code = agg_window(run, step->window, step->day, err);
        break;
    case AGG_STEP_TABLES:
        code = agg_tables(run, step->day, err);
        break;
    case AGG_STEP_CSV:
        code = agg_csv(run, step->day, err);
        break;
    case AGG_STEP_IMPORT:
        code = agg_import(run, step->day, err);
        break;
    }
    if (!code)
        step_done(run);
    return code;
}

/* A day that was aggregated once more, to the same result, leaves its windows as they are. */
static bool is_spared(const struct agg_run *run, const struct agg_step *step)
{
    return !run->rebuilds && step->kind == AGG_STEP_WINDOW &&
           agg_window_current(&run->history, step->window, step->day);
}

static enum rc_code do_plan(struct agg_run *run, const struct agg_plan *plan, struct rc_error *err)
{
    enum rc_code code = RC_OK;

    run->steps_total = (int64_t)plan->count;
    rc_job_progress(run->job, 0, run->steps_total, "steps");
    for (size_t i = 0; i < plan->count && !code; i++) {
        if (is_spared(run, &plan->steps[i]))
            rc_job_progress(run->job, run->steps_done, --run->steps_total, "steps");
        else
            code = do_step(run, &plan->steps[i], err);
    }
    return code;
}

static enum rc_code do_tables(struct agg_run *run, int32_t newest, struct rc_error *err)
{
    const struct agg_step step = { .kind = AGG_STEP_TABLES, .day = newest };
    bool current;

    if (agg_tables_current(run, newest, &current, err))
        return err->code;
    if (current)
        return RC_OK;
    run->steps_total++;
    return do_step(run, &step, err);
}

/*
 * CSV and hand-off of the newest day, as far as they are configured and due; 'forced' does them
 * again.
 */
static enum rc_code do_export(struct agg_run *run, int32_t day, bool forced, struct rc_error *err)
{
    const struct agg_config *config = run->config;
    struct agg_step step = { .kind = AGG_STEP_CSV, .day = day };
    bool current = false;

    if (!config->export_csv && !config->force_export)
        return RC_OK;
    if (!forced && agg_csv_current(run, day, &current, err))
        return err->code;
    if (!current) {
        run->steps_total++;
        if (do_step(run, &step, err))
            return err->code;
    }
    if (!config->import)
        return RC_OK;
    current = false;
    if (!forced && agg_import_current(run, day, &current, err))
        return err->code;
    if (current)
        return RC_OK;
    step.kind = AGG_STEP_IMPORT;
    run->steps_total++;
    return do_step(run, &step, err);
}

/* The newest whole day; in a dry run the day that would be it. */
static int32_t newest_day(const struct agg_run *run, const struct agg_plan *plan, int32_t last)
{
    int32_t newest = agg_history_newest(&run->history, last);

    if (run->job->dry_run)
        for (size_t i = 0; i < plan->count; i++)
            if (newest == RC_DAY_NONE || plan->steps[i].day > newest)
                newest = plan->steps[i].day;
    return newest;
}

static void say_result(struct agg_run *run, int32_t last)
{
    char first_text[RC_DAY_TEXT], last_text[RC_DAY_TEXT];

    rc_format_day(run->history.first, first_text);
    rc_format_day(last, last_text);
    RC_STR_AUTO text =
        run->steps_done > 0 ? rc_strf("%s %" PRId64 " steps; every day from %s to %s is aggregated",
                                      run->job->dry_run ? "would do" : "done:", run->steps_done,
                                      first_text, last_text)
        : last < run->history.first
            ? rc_strf("nothing to do: the history starts at %s, which is not over yet", first_text)
            : rc_strf("nothing to do: every day from %s to %s is aggregated", first_text,
                      last_text);
    rc_job_say(run->job, text);
}

/* Does the daily and window steps, then what follows from them for the newest day. */
static enum rc_code do_days(struct agg_run *run, const struct agg_plan_request *request,
                            struct rc_error *err)
{
    struct agg_plan plan;
    enum rc_code code;

    run->rebuilds = request->rebuild_from != RC_DAY_NONE;
    agg_plan_make(&run->history, request, &plan);
    code = do_plan(run, &plan, err);
    int32_t newest = code ? RC_DAY_NONE : newest_day(run, &plan, request->last);
    if (!code && newest != RC_DAY_NONE) {
        code = do_tables(run, newest, err);
        if (!code)
            code = do_export(run, newest, run->config->force_export, err);
    }
    agg_plan_clear(&plan);
    return code;
}

/* ---- actions ---- */

/*
 * Steps back from yesterday if its events are not complete: '*reason' then says why, for the
 * run's end, and is to be freed. Past the limit of lateness an incomplete day is good enough.
 */
static enum rc_code judge_last_day(struct agg_run *run, int32_t *last, char **reason,
                                   struct rc_error *err)
{
    const struct agg_config *config = run->config;
    int64_t found = 0, midnight_unix_ms;
    bool complete = true;
    char day[RC_DAY_TEXT], wait[RC_AMOUNT_TEXT];

    *reason = NULL;
    if (!config->check_last_day || *last < run->history.first ||
        agg_history_daily(&run->history, *last)->done)
        return RC_OK;
    rc_format_day(*last, day);
    if (agg_source_complete(run, *last, &found, &complete, err) ||
        rc_job_day_start(run->job, *last + 1, &midnight_unix_ms, err))
        return rc_context(err, "see whether the events of %s are complete", day);
    if (complete)
        return RC_OK;
    int64_t late_ms = midnight_unix_ms + config->lateness_ms - run->job->now_unix_ms;
    if (late_ms <= 0) {
        rc_warn(run->job,
                "the events of %s have %" PRId64 " of %" PRId64
                " partitions; aggregating them all the same, as the limit of lateness is over",
                day, found, config->expected_partitions);
        return RC_OK;
    }
    *reason = rc_strf("the events of %s are not complete: %" PRId64 " of %" PRId64
                      " partitions are there; run again later, or in %s at any rate",
                      day, found, config->expected_partitions, rc_format_duration(late_ms, wait));
    --*last;
    return RC_OK;
}

static enum rc_code aggregate_days(struct agg_run *run, int32_t last, struct rc_error *err)
{
    RC_STR_AUTO reason = NULL;

    if (judge_last_day(run, &last, &reason, err))
        return err->code;
    const struct agg_plan_request request = {
        .last = last,
        .windows_from = run->config->windows_from,
        .rebuild_from = RC_DAY_NONE,
    };
    if (do_days(run, &request, err))
        return err->code;
    if (reason)
        return rc_fail(err, RC_SKIPPED, "%s", reason);
    say_result(run, last);
    return RC_OK;
}

/* Ends a run: the report is shown whether it failed or not. */
static enum rc_code finish_run(struct agg_run *run, enum rc_code code)
{
    agg_report_show(run->job, &run->report);
    end_run(run);
    return code;
}

static enum rc_code run_aggregate(struct rc_job *job, const void *config, struct rc_error *err)
{
    struct agg_run run;
    int32_t yesterday;
    enum rc_code code = begin_run(&run, job, config, &yesterday, err);

    if (!code)
        code = aggregate_days(&run, yesterday, err);
    return finish_run(&run, code);
}

static enum rc_code check_range(const struct agg_run *run, const struct rebuild_params *range,
                                int32_t yesterday, struct rc_error *err)
{
    char first[RC_DAY_TEXT], last[RC_DAY_TEXT];

    if (range->from > range->to)
        return rc_fail(err, RC_INVALID, "'from' (%s) is after 'to' (%s)",
                       rc_format_day(range->from, first), rc_format_day(range->to, last));
    if (range->from < run->history.first || range->to > yesterday)
        return rc_fail(err, RC_INVALID,
                       "'from' and 'to' have to lie within the history, from %s (historyStartDay) "
                       "to %s (yesterday)",
                       rc_format_day(run->history.first, first), rc_format_day(yesterday, last));
    return RC_OK;
}

static enum rc_code run_rebuild(struct rc_job *job, const void *config, struct rc_error *err)
{
    const struct rebuild_params *params = job->params;
    struct agg_run run;
    int32_t yesterday;
    enum rc_code code = begin_run(&run, job, config, &yesterday, err);

    if (!code)
        code = check_range(&run, params, yesterday, err);
    if (!code) {
        const struct agg_plan_request request = {
            .last = yesterday,
            .windows_from = run.config->windows_from,
            .rebuild_from = params->from,
            .rebuild_to = params->to,
        };
        code = do_days(&run, &request, err);
    }
    if (!code) {
        RC_STR_AUTO text =
            rc_strf("%s %" PRId64 " steps", job->dry_run ? "would do" : "done:", run.steps_done);
        rc_job_say(job, text);
    }
    return finish_run(&run, code);
}

/*
 * The day that an action on one day means: the given one, which has to be whole, or the newest
 * whole one.
 */
static enum rc_code choose_day(const struct agg_run *run, int32_t wanted, int32_t yesterday,
                               int32_t *day, struct rc_error *err)
{
    char text[RC_DAY_TEXT];

    *day = RC_DAY_NONE;
    if (wanted == RC_DAY_NONE)
        *day = agg_history_newest(&run->history, yesterday);
    else if (wanted >= run->history.first && wanted <= yesterday &&
             agg_history_newest(&run->history, wanted) == wanted)
        *day = wanted;
    if (*day != RC_DAY_NONE)
        return RC_OK;
    if (wanted == RC_DAY_NONE)
        return rc_fail(err, RC_INVALID,
                       "no day is aggregated with all its windows yet; run the "
                       "action 'aggregate' first");
    return rc_fail(err, RC_INVALID,
                   "%s is not aggregated with all its windows; run the action "
                   "'aggregate' first",
                   rc_format_day(wanted, text));
}

static enum rc_code check_can_export(const struct agg_run *run, struct rc_error *err)
{
    if (agg_total_window(run->config) == run->config->windows.len || !run->paths.csv)
        return rc_fail(err, RC_INVALID,
                       "a CSV file needs csvOutputFolder, csvTablePrefix and a "
                       "window of more than %d days",
                       AGG_TOTAL_ABOVE_DAYS);
    return RC_OK;
}

static enum rc_code run_on_day(struct rc_job *job, const void *config, enum agg_step_kind kind,
                               struct rc_error *err)
{
    const struct day_params *params = job->params;
    struct agg_step step = { .kind = kind };
    struct agg_run run;
    int32_t yesterday;
    bool current = false;
    enum rc_code code = begin_run(&run, job, config, &yesterday, err);

    if (!code)
        code = check_can_export(&run, err);
    if (!code)
        code = choose_day(&run, params->day, yesterday, &step.day, err);
    if (!code && kind == AGG_STEP_IMPORT) {
        code = agg_csv_current(&run, step.day, &current, err);
        if (!code && !current && !job->dry_run)
            code = rc_fail(err, RC_INVALID,
                           "there is no CSV file of that day; run the action "
                           "'export' first");
        if (!code)
            code = agg_import_current(&run, step.day, &current, err);
        if (!code && current)
            rc_job_say(job, "nothing to do: the file has been handed over");
    }
    if (!code && !current) {
        run.steps_total = 1;
        code = do_step(&run, &step, err);
    }
    return finish_run(&run, code);
}

static enum rc_code run_export(struct rc_job *job, const void *config, struct rc_error *err)
{
    return run_on_day(job, config, AGG_STEP_CSV, err);
}

static enum rc_code run_import(struct rc_job *job, const void *config, struct rc_error *err)
{
    return run_on_day(job, config, AGG_STEP_IMPORT, err);
}

/* ---- descriptor ---- */

static const struct rc_option rebuild_params[] = {
    { RC_DAY("from", struct rebuild_params, from), .flags = RC_OPT_REQUIRED,
      .help = "First day to aggregate anew." },
    { RC_DAY("to", struct rebuild_params, to), .flags = RC_OPT_REQUIRED,
      .help = "Last day to aggregate anew." },
    { 0 },
};

static const struct rc_option day_params[] = {
    { RC_DAY("day", struct day_params, day),
      .help = "Day of the file; the newest that is aggregated when absent." },
    { 0 },
};

static const struct rc_action actions[] = {
    { .name = "aggregate",
      .summary = "Does every step that is due, up to yesterday.",
      .run = run_aggregate },
    { .name = "rebuild",
      .summary = "Aggregates a range of days anew, with every window they touch.",
      .params = rebuild_params,
      .params_size = sizeof(struct rebuild_params),
      .run = run_rebuild },
    { .name = "export",
      .summary = "Writes the CSV file of one day.",
      .params = day_params,
      .params_size = sizeof(struct day_params),
      .run = run_export },
    { .name = "import",
      .summary = "Hands the CSV file of one day over to Airlock's data import.",
      .params = day_params,
      .params_size = sizeof(struct day_params),
      .run = run_import },
    { 0 },
};

static const struct rc_plugin aggregator = {
    RC_PLUGIN_HEAD,
    .name = "aggregator",
    .version = "1.0",
    .summary = "Aggregates raw events by user, daily and over windows of days.",
    .options = agg_options,
    .config_size = sizeof(struct agg_config),
    .actions = actions,
    .check = agg_check,
    .check_engine = agg_check_engine,
    .engine_features = RC_SQL_IN_PLACE | RC_SQL_ORDERED | RC_SQL_CATALOGUE | RC_SQL_CSV,
};
RC_PLUGIN_EXPORT(aggregator)
