/*
 * 'run-core submitted PLUGIN ACTION RUN': a run that a plugin has begun, in a process of its own.
 * For run-core itself, which has written what is to be run where the standard input is; the words
 * are for those who look at a list of processes.
 */
#include <cli/cli.h>

#include <cli/output.h>
#include <runtime/submit.h>

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

static int run_submitted(const struct core_arguments *arguments)
{
    struct core_arena arena = CORE_ARENA_INIT;
    struct core_submitted submitted;
    struct rc_error err = RC_ERROR_INIT;
    pid_t child = fork();
    int status;

    (void)arguments;
    if (child > 0)
        _exit(CORE_EXIT_OK); /* who has started us waits for this alone */
    (void)signal(SIGPIPE, SIG_IGN);
    (void)prctl(PR_SET_NAME, "run-core");
    if (child < 0 || core_submitted_read(&arena, &submitted, &err)) {
        if (child < 0)
            (void)rc_fail_errno(&err, errno, "start a process for the run");
        (void)core_submitted_tell(&err);
        status = core_cli_complain(&err);
    } else {
        const struct core_run_request request = {
            .config_path = submitted.config_path,
            .plugin = submitted.plugin,
            .action = submitted.action,
            .log_level = submitted.log_level,
            .has_log_level = true,
            .submitted = &submitted,
        };

        status = core_cli_run(&request);
    }
    core_arena_clear(&arena);
    return status;
}

const struct core_command core_command_submitted = {
    .name = "submitted",
    .operands = "PLUGIN ACTION RUN",
    .summary = "Runs what a plugin has begun.",
    .hidden = true,
    .run = run_submitted,
};
