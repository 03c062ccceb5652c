/*
 * 'run-core trigger': has the daemon run a job now, and may wait for its end.
 */
#include <cli/arguments.h>
#include <cli/client.h>
#include <cli/log_view.h>
#include <cli/output.h>

#include <os/clock.h>

#include <run-core/str.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PATH_BYTES = 4096, LOOK_EVERY_MS = 500, PATIENCE_MS = 30000 };

/* ---- the end of a run ------------------------------------------------------------------------ */

static int status_of(const struct core_client *client)
{
    static const struct {
        const char *status;
        int exit_status;
    } ends[] = {
        { "succeeded", CORE_EXIT_OK },      { "failed", CORE_EXIT_FAILED },
        { "timed_out", CORE_EXIT_TIMEOUT }, { "cancelled", CORE_EXIT_FAILED },
        { "lost", CORE_EXIT_FAILED },       { "skipped", CORE_EXIT_SKIPPED },
    };
    const char *status = core_client_text(client, "status");
    int64_t exit_status = 0;

    for (size_t i = 0; status && i < RC_ARRAY_LEN(ends); i++) {
        if (strcmp(ends[i].status, status) != 0)
            continue;
        /* That of the process says more, such as 2 for a configuration. */
        if (ends[i].exit_status == CORE_EXIT_FAILED && core_client_text(client, "exit_status") &&
            rc_parse_int(core_client_text(client, "exit_status"), &exit_status) &&
            exit_status > 0 && exit_status < 256)
            return (int)exit_status;
        return ends[i].exit_status;
    }
    return -1;
}

/* Asks until the run has ended; a daemon that is started anew meanwhile is waited for. */
static int wait_for_end(struct core_client *client, const char *run)
{
    RC_BUF_AUTO(path, PATH_BYTES);
    int64_t heard_mono_ms = core_clock_mono_ms();
    struct rc_error err = RC_ERROR_INIT;

    core_client_add_path(&path, "runs", run, NULL);
    for (;;) {
        enum rc_code code = core_client_call(client, "GET", path.data, NULL, &err);

        if (code == RC_OK && client->answer.status == 200) {
            heard_mono_ms = core_clock_mono_ms();
            if (status_of(client) >= 0)
                return CORE_EXIT_OK;
        } else if (code == RC_OK && client->answer.status != 503) {
            return core_client_complain(client);
        } else if (core_clock_mono_ms() - heard_mono_ms > PATIENCE_MS) {
            if (code == RC_OK)
                return core_client_complain(client);
            (void)core_cli_complain(&err);
            (void)fprintf(stderr, "run-core: run '%s' may still go on\n", run);
            return CORE_EXIT_FAILED;
        }
        core_clock_sleep_ms(LOOK_EVERY_MS);
    }
}

int core_client_wait(struct core_client *client, const char *run, bool json)
{
    RC_BUF_AUTO(path, PATH_BYTES);
    struct rc_error err = RC_ERROR_INIT;
    struct core_log_view view;
    int status;

    core_client_add_path(&path, "runs", run, "log?follow=true");
    core_log_view_init(&view, STDERR_FILENO);
    /* The log is for people: where it cannot be had, the end still can. */
    if (core_client_stream(client, path.data, core_log_view_add, &view, &err))
        (void)core_cli_complain(&err);
    core_log_view_end(&view);
    status = wait_for_end(client, run);
    if (status != CORE_EXIT_OK)
        return status;
    status = status_of(client);
    if (json)
        return core_client_print(client, status);
    if (status != CORE_EXIT_OK)
        (void)fprintf(
            stderr, "run-core: run '%s' %s%s%s\n", run, core_client_text(client, "status"),
            core_client_text(client, "message") ? ": " : "",
            core_client_text(client, "message") ? core_client_text(client, "message") : "");
    return status;
}

/* ---- the command ----------------------------------------------------------------------------- */

static int run_trigger(const struct core_arguments *arguments)
{
    CORE_CLIENT_AUTO(client);
    CORE_PROBLEMS_AUTO(problems);
    RC_BUF_AUTO(path, PATH_BYTES);
    RC_BUF_AUTO(body, CORE_CLI_OUTPUT_BYTES);
    RC_BUF_AUTO(out, PATH_BYTES);
    struct rc_error err = RC_ERROR_INIT;
    const struct core_node *set;
    const char *run;
    int status;

    if (core_client_open(arguments, &client, &err))
        return core_cli_complain(&err);
    set = core_config_parse_set(&client.arena, arguments->set.items, arguments->set.len, &problems);
    if (problems.count)
        return core_cli_report(&problems);
    rc_buf_adds(&body, "{\"set\":");
    core_json_add(&body, set);
    rc_buf_addf(&body, ",\"force\":%s}", arguments->force ? "true" : "false");
    core_client_add_path(&path, "jobs", arguments->words[0], "trigger");
    status = core_client_ask(&client, "POST", path.data, body.data);
    if (status != CORE_EXIT_OK)
        return status;
    run = core_client_text(&client, "run");
    if (arguments->wait)
        return core_client_wait(&client, run, arguments->json);
    if (arguments->json)
        return core_client_print(&client, status);
    rc_buf_addf(&out, "%s\n", run);
    return core_cli_print(&out, status);
}

const struct core_command core_command_trigger = {
    .name = "trigger",
    .operands = "JOB",
    .summary = "Has the daemon run a job now, and writes the run's id.",
    .details = "The daemon checks the values of --set before it starts anything. If another run of "
               "the job goes on, the job's rule for that holds, unless with --force; a run that is "
               "skipped for it gives the exit status 3. With --wait the log goes to stderr, and "
               "the exit status is the run's; a command that is interrupted leaves the run alone.",
    .flags = CORE_FLAG_CONFIG | CORE_FLAG_SET | CORE_FLAG_FORCE | CORE_FLAG_WAIT | CORE_FLAG_JSON,
    .min_words = 1,
    .max_words = 1,
    .run = run_trigger,
    .complete = core_client_complete_jobs,
};
