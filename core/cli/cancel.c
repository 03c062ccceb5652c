/*
 * 'run-core cancel': asks the daemon to stop a run.
 */
#include <cli/client.h>
#include <cli/output.h>

static int run_cancel(const struct core_arguments *arguments)
{
    CORE_CLIENT_AUTO(client);
    RC_BUF_AUTO(path, 4096);
    RC_BUF_AUTO(out, 4096);
    struct rc_error err = RC_ERROR_INIT;
    int status;

    if (core_client_open(arguments, &client, &err))
        return core_cli_complain(&err);
    core_client_add_path(&path, "runs", arguments->words[0], "cancel");
    status = core_client_ask(&client, "POST", path.data, NULL);
    if (status != CORE_EXIT_OK)
        return status;
    if (arguments->json)
        return core_client_print(&client, status);
    rc_buf_addf(&out, "run '%s' was asked to stop\n", arguments->words[0]);
    return core_cli_print(&out, status);
}

static void complete_active(const struct core_arguments *arguments, struct rc_buf *out)
{
    core_client_complete_runs(arguments, /* only_active = */ true, out);
}

const struct core_command core_command_cancel = {
    .name = "cancel",
    .operands = "RUN",
    .summary = "Has the daemon stop a run.",
    .details = "The run gets SIGTERM, and SIGKILL after the job's kill_after. A run that waits for "
               "its turn ends without having begun. No further attempt is made.",
    .flags = CORE_FLAG_CONFIG | CORE_FLAG_JSON,
    .min_words = 1,
    .max_words = 1,
    .run = run_cancel,
    .complete = complete_active,
};
