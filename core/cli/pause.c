/*
 * 'run-core pause' and 'run-core resume': slots of a job pass without a run until it is resumed.
 */
#include <cli/client.h>
#include <cli/output.h>

#include <run-core/str.h>

static int ask(const struct core_arguments *arguments, const char *verb, const char *done,
               const char *was)
{
    CORE_CLIENT_AUTO(client);
    RC_BUF_AUTO(path, 4096);
    RC_BUF_AUTO(out, 4096);
    struct rc_error err = RC_ERROR_INIT;
    int status;

    if (core_client_open(arguments, &client, &err))
        return core_cli_complain(&err);
    core_client_add_path(&path, "jobs", arguments->words[0], verb);
    status = core_client_ask(&client, "POST", path.data, NULL);
    if (status != CORE_EXIT_OK)
        return status;
    if (arguments->json)
        return core_client_print(&client, status);
    rc_buf_addf(&out, "job '%s' %s\n", arguments->words[0],
                rc_str_eq(core_client_text(&client, "changed"), "true") ? done : was);
    return core_cli_print(&out, status);
}

static int run_pause(const struct core_arguments *arguments)
{
    return ask(arguments, "pause", "is paused", "was paused already");
}

static int run_resume(const struct core_arguments *arguments)
{
    return ask(arguments, "resume", "goes on", "was not paused");
}

const struct core_command core_command_pause = {
    .name = "pause",
    .operands = "JOB",
    .summary = "Has the daemon let the slots of a job pass until it is resumed.",
    .details = "The slots are recorded as skipped. A run that goes on is left alone; 'trigger' "
               "still works. A pause outlives the daemon.",
    .flags = CORE_FLAG_CONFIG | CORE_FLAG_JSON,
    .min_words = 1,
    .max_words = 1,
    .run = run_pause,
    .complete = core_client_complete_jobs,
};

const struct core_command core_command_resume = {
    .name = "resume",
    .operands = "JOB",
    .summary = "Ends the pause of a job; it runs from its next slot on.",
    .flags = CORE_FLAG_CONFIG | CORE_FLAG_JSON,
    .min_words = 1,
    .max_words = 1,
    .run = run_resume,
    .complete = core_client_complete_jobs,
};
