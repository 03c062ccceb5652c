/*
 * Writes the row of a run in the foreground: when it begins, and when it has ended. In between the
 * process is the row's executor, which tells later readers whether the run still goes on.
 */
#include <runtime/history.h>

#include <db/ledger.h>
#include <os/clock.h>
#include <os/file.h>
#include <runtime/output.h>
#include <runtime/spool.h>

#include <run-core/str.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COUNTERS_LIMIT = 64 * 1024, MARGIN_MS = 60000, PRUNED_ROWS = 100 };

/* Where nobody sees the process, a run without a timeout counts as lost after that. If it ends
 * later, its record becomes what it should be. */
#define LONGEST_MS (7 * RC_DAY_MS)

static void warn(const struct core_run *run, const char *what, const struct rc_error *err)
{
    if (run->request->log_level >= RC_LOG_WARN)
        core_output_log(RC_LOG_WARN, NULL, 0, "%s: %s%s%s", what, err->context,
                        err->context[0] ? ": " : "", err->cause);
}

static enum rc_code open_ledger(const struct core_history *history, const struct core_run *run,
                                struct core_ledger **out, struct rc_error *err)
{
    const struct core_job_settings *job = run->request->job;
    bool ends = job && job->timeout_ms > 0;
    struct core_executor self = {
        .kind = "foreground",
        .spool = history->spool,
        .lease_ms = ends ? job->timeout_ms + job->kill_after_ms + MARGIN_MS : LONGEST_MS,
    };

    (void)snprintf(self.id, sizeof(self.id), "%s", run->id);
    core_process_self(&self.process);
    return core_ledger_open(history->state, &self, out, err);
}

/* ---- begin ---------------------------------------------------------------------------------- */

static enum rc_code claim(struct core_ledger *ledger, const struct core_run *run,
                          struct rc_error *err)
{
    const struct core_request *request = run->request;
    const struct core_job_settings *job = request->job;
    const struct core_claim claim = {
        .id = run->id,
        .job = job ? job->name : "", /* no job can have that name */
        .plugin = request->plugin,
        .action = request->action ? request->action
                  : job           ? job->action
                                  : NULL,
        .trigger = request->submission ? "plugin" : "foreground",
        .now_unix_ms = core_clock_now_unix_ms(),
        .may_start = true,
        .force = request->force,
        .overlap = CORE_OVERLAP_ALLOW, /* the job's lock decides, in the worker */
        .attempts = 1,
    };
    enum core_claimed claimed;

    if (core_ledger_settle_foreground(ledger, claim.now_unix_ms, err) ||
        core_ledger_begin(ledger, err))
        return err->code;
    if (core_ledger_claim(ledger, &claim, &claimed, err)) {
        core_ledger_rollback(ledger);
        return err->code;
    }
    return core_ledger_commit(ledger, err);
}

/* Without a place for it, there is to be no record. */
static enum rc_code find_places(struct core_history *history, const struct core_run *run,
                                struct rc_error *err)
{
    const struct core_request *request = run->request;

    if ((!request->job && !request->submission) || request->dry_run)
        return RC_OK;
    if (core_state_url(request->config, &history->state, err) ||
        (request->submission && core_spool_folder(request->config, &history->spool, err)))
        return err->code;
    return RC_OK;
}

static void clear(struct core_history *history)
{
    core_ledger_close(history->ledger);
    free(history->state);
    free(history->spool);
    *history = (struct core_history){ .state = NULL };
}

void core_history_begin(struct core_history *history, const struct core_run *run)
{
    struct rc_error err = RC_ERROR_INIT;
    bool good = find_places(history, run, &err) == RC_OK;

    if (good && !history->state)
        return;
    if (!good || open_ledger(history, run, &history->ledger, &err) ||
        claim(history->ledger, run, &err)) {
        warn(run, "the history will not have this run", &err);
        clear(history);
    } else if (core_ledger_is_shared(history->ledger)) {
        core_ledger_close(history->ledger);
        history->ledger = NULL;
    }
}

void core_history_forget(struct core_history *history)
{
    core_ledger_forget(history->ledger);
    history->ledger = NULL;
}

/* ---- end ------------------------------------------------------------------------------------ */

static void add_counters(const struct core_status *status, struct rc_buf *out)
{
    size_t count = core_status_counters(status);

    rc_buf_addc(out, '{');
    for (size_t i = 0; i < count; i++) {
        const struct core_counter *counter = &status->counters[i];

        rc_buf_adds(out, i > 0 ? "," : "");
        rc_buf_add_json(out, counter->name, strlen(counter->name));
        rc_buf_addf(out, ":%lld", (long long)atomic_load(&counter->value));
    }
    rc_buf_addc(out, '}');
}

static enum rc_code finish(struct core_ledger *ledger, const struct core_run *run,
                           const struct core_outcome *outcome, struct rc_error *err)
{
    RC_BUF_AUTO(counters, COUNTERS_LIMIT);
    struct core_attempt_end end = {
        .status = CORE_RUN_FAILED,
        .action = run->status->action[0] ? run->status->action : NULL,
        .reason = outcome->reason[0] ? outcome->reason : NULL,
        .message = outcome->message[0] ? outcome->message : NULL,
        .exit_status = outcome->exit_status,
        .finished_unix_ms = core_clock_now_unix_ms(),
    };

    (void)core_run_status_parse(outcome->status, &end.status);
    add_counters(run->status, &counters);
    end.counters = counters.overflow ? NULL : counters.data;
    if (core_ledger_begin(ledger, err))
        return err->code;
    if (core_ledger_finish(ledger, run->id, /* attempt = */ 1, &end, err)) {
        core_ledger_rollback(ledger);
        return err->code;
    }
    return core_ledger_commit(ledger, err);
}

/* ---- what is too old ------------------------------------------------------------------------- */

struct pruning {
    const struct core_run *run; /* that removes them */
    const char *spool;
};

static void remove_files(void *context, const struct core_run_record *record)
{
    const struct pruning *pruning = context;
    RC_STR_AUTO folder = NULL;
    struct rc_error err = RC_ERROR_INIT;

    if (!rc_str_eq(record->spool, pruning->spool))
        return;
    folder = rc_strf("%s/runs/%s", pruning->spool, record->id);
    if (core_tree_remove(folder, &err))
        warn(pruning->run, "the files of an old run stay", &err);
}

/*
 * Where no daemon sees to it, as beside a server of routes that stands alone, each run that a
 * plugin has begun takes with it some of those that 'core.history' keeps no longer.
 */
static void remove_old(struct core_history *history, const struct core_run *run)
{
    const struct core_config *config = run->request->config;
    struct pruning pruning = { .run = run, .spool = history->spool };
    struct rc_error err = RC_ERROR_INIT;
    bool more;

    if (run->request->submission && config &&
        core_ledger_prune(
            history->ledger, core_clock_now_unix_ms() - config->settings.history.keep_ms,
            config->settings.history.runs, PRUNED_ROWS, remove_files, &pruning, &more, &err))
        warn(run, "old runs were not removed", &err);
}

void core_history_end(struct core_history *history, const struct core_run *run,
                      const struct core_outcome *outcome)
{
    struct rc_error err = RC_ERROR_INIT;

    if (!history->state)
        return;
    if ((!history->ledger && open_ledger(history, run, &history->ledger, &err)) ||
        finish(history->ledger, run, outcome, &err))
        warn(run, "the history will not have the end of this run", &err);
    else
        remove_old(history, run);
    clear(history);
}
