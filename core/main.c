/*
 * run-core: a plugin-based job runner. Here stands what it can do; each command has a file of
 * its own below cli/.
 */
#include <cli/cli.h>

#include <cli/output.h>
#include <os/clock.h>
#include <os/init.h>

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* clang-format off */
static const struct core_command *const commands[] = {
    &core_command_run,
    &core_command_daemon,
    &core_command_serve,
    &core_command_trigger,
    &core_command_cancel,
    &core_command_logs,
    &core_command_pause,
    &core_command_resume,
    &core_command_reload,
    &core_command_token,
    &core_command_storage,
    &core_command_check,
    &core_command_list,
    &core_command_next,
    &core_command_runs,
    &core_command_describe,
    &core_command_export,
    &core_command_new_plugin,
    &core_command_check_plugin,
    &core_command_help,
    &core_command_version,
    /* For programs. */
    &core_command_complete,
    &core_command_manual,
    &core_command_submitted,
    NULL,
};
/* clang-format on */

/*
 * Whoever started us may have closed some of the descriptors 0 to 2. The next file to be opened
 * would get that number, and messages would be written into it. Opened the wrong way round, they
 * still fail where they are used.
 */
static void hold_standard_descriptors(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
            (void)open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

int main(int argc, char **argv)
{
    struct rc_error err = RC_ERROR_INIT;

    hold_standard_descriptors();
    core_init_if_first();
    if (core_clock_init(&err))
        return core_cli_complain(&err);
    return core_cli_main(commands, argc, argv);
}
