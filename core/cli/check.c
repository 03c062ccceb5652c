/*
 * 'run-core check': the check of a configuration (runtime/config_check.h), in a process of its own.
 */
#include <cli/arguments.h>
#include <cli/output.h>

#include <api/daemon.h>
#include <runtime/config_check.h>

#include <run-core/str.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* What a server gives at each run is not asked for here: a check needs no network. */
static void add_unread(const struct core_config *config, struct rc_buf *out)
{
    size_t count = 0;

    for (size_t i = 0; i < config->job_count; i++)
        count += config->jobs[i].config_url != NULL;
    for (size_t i = 0; i < config->plugin_count; i++)
        count += config->plugins[i].config_url != NULL;
    if (count > 0)
        rc_buf_addf(out,
                    "not looked at: what stands at %zu config_url%s, fetched and checked at each "
                    "run\n",
                    count, count == 1 ? "" : "s");
}

/* A job that is written down and does not exist would be missed. */
static void add_absent(const struct core_config *config, struct rc_buf *out)
{
    for (size_t i = 0; i < config->empty_list_count; i++)
        rc_buf_addf(out, "no job '%s': the list of its 'for_each' is empty\n",
                    config->empty_lists[i]);
}

/* The whole check, from reading the configuration to saying what was found. */
static int check_and_report(const char *path, char *current)
{
    CORE_PROBLEMS_AUTO(problems);
    RC_BUF_AUTO(out, CORE_CLI_OUTPUT_BYTES);
    struct core_config *config = core_config_load(path, &problems);
    size_t plugins = core_config_check(config, &problems, current);
    int status;

    core_api_check(config, &problems);
    status = core_cli_report(&problems);
    if (status == CORE_EXIT_OK) {
        rc_buf_addf(&out, "%s: no mistakes in %zu file%s, %zu plugin%s and %zu job%s\n", path,
                    config->file_count, config->file_count == 1 ? "" : "s", plugins,
                    plugins == 1 ? "" : "s", config->job_count, config->job_count == 1 ? "" : "s");
        add_absent(config, &out);
        add_unread(config, &out);
    }
    core_config_free(config);
    return core_cli_print(&out, status);
}

/* Waits for the child that checks, and says it if a plugin has ended that. */
static int wait_for_check(pid_t child, const char *current)
{
    struct rc_error err = RC_ERROR_INIT;
    int status = 0;

    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        continue;
    if (WIFEXITED(status) && current[0] == '\0')
        return WEXITSTATUS(status);
    if (WIFEXITED(status)) {
        (void)rc_fail(&err, RC_INVALID,
                      "the check ended with status %d in the plugin '%.*s', which ended the "
                      "process while it was loaded or checked its options",
                      WEXITSTATUS(status), CORE_CHECK_NAME - 1, current);
        return core_cli_complain(&err);
    }
    (void)rc_fail(&err, RC_FAILED,
                  "the check was ended by signal %d (%s) in the plugin '%.*s', which crashed while "
                  "it was loaded or checked its options",
                  WTERMSIG(status), strsignal(WTERMSIG(status)), CORE_CHECK_NAME - 1, current);
    (void)core_cli_complain(&err);
    return CORE_EXIT_SIGNAL + WTERMSIG(status);
}

static int run_check(const struct core_arguments *arguments)
{
    const char *path = core_arguments_config_path(arguments);
    struct rc_error err = RC_ERROR_INIT;
    char *current;
    pid_t child;

    if (!path) {
        (void)rc_fail(&err, RC_INVALID,
                      "there is no configuration to check; name it with --config FILE|DIR");
        return core_cli_complain(&err);
    }
    /* Plugins are loaded in a child: one that crashes shall not take the message with it. */
    current =
        mmap(NULL, CORE_CHECK_NAME, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    child = current == MAP_FAILED ? -1 : fork();
    if (child < 0) {
        (void)rc_fail_errno(&err, errno, "cannot start the check");
        (void)core_cli_complain(&err);
        return CORE_EXIT_FAILED;
    }
    if (child == 0)
        _exit(check_and_report(path, current));
    return wait_for_check(child, current);
}

const struct core_command core_command_check = {
    .name = "check",
    .summary = "Checks the configuration and reports every mistake in it.",
    .details = "Each mistake is a line FILE:LINE:COLUMN: MESSAGE on stderr, and the status is 2. "
               "No action runs.",
    .flags = CORE_FLAG_CONFIG,
    .run = run_check,
};
