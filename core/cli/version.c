/*
 * 'run-core version'.
 */
#include <cli/output.h>

#include <cli/cli.h>

#include <run-core/plugin.h>

static int run_version(const struct core_arguments *arguments)
{
    RC_BUF_AUTO(out, CORE_CLI_OUTPUT_BYTES);

    if (arguments->json)
        rc_buf_addf(&out, "{\"version\":\"%s\",\"abi\":\"%u.%u\"}\n", RUN_CORE_VERSION,
                    RC_ABI_MAJOR, RC_ABI_MINOR);
    else
        rc_buf_addf(&out, "run-core %s, plugin ABI %u.%u\n", RUN_CORE_VERSION, RC_ABI_MAJOR,
                    RC_ABI_MINOR);
    return core_cli_print(&out, CORE_EXIT_OK);
}

const struct core_command core_command_version = {
    .name = "version",
    .summary = "Shows the version of run-core and of its plugin ABI.",
    .flags = CORE_FLAG_JSON,
    .run = run_version,
};
