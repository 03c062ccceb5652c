/*
 * 'run-core reload': has the daemon read its configuration anew.
 */
#include <cli/client.h>
#include <cli/output.h>

static int run_reload(const struct core_arguments *arguments)
{
    CORE_CLIENT_AUTO(client);
    RC_BUF_AUTO(out, 4096);
    struct rc_error err = RC_ERROR_INIT;
    int status;

    if (core_client_open(arguments, &client, &err))
        return core_cli_complain(&err);
    status = core_client_ask(&client, "POST", "/api/v1/reload", NULL);
    if (status != CORE_EXIT_OK)
        return status;
    if (arguments->json)
        return core_client_print(&client, status);
    rc_buf_addf(&out, "the configuration was read anew and has %s jobs\n",
                core_client_text(&client, "jobs"));
    return core_cli_print(&out, status);
}

const struct core_command core_command_reload = {
    .name = "reload",
    .summary = "Has the daemon read its configuration anew.",
    .details = "All of it takes effect or, with any mistake, nothing: then every mistake is "
               "written to stderr as 'check' does, and the exit status is 2. Runs that go on are "
               "left alone, and a job that was edited never fires the past.",
    .flags = CORE_FLAG_CONFIG | CORE_FLAG_JSON,
    .run = run_reload,
};
