/*
 * 'run-core logs': what a run printed, from the daemon; or, where none answers, from its spool.
 */
#include <cli/arguments.h>
#include <cli/client.h>
#include <cli/log_view.h>
#include <cli/output.h>

#include <os/path.h>
#include <runtime/attempt.h>
#include <runtime/spool.h>

#include <run-core/str.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

enum { PATH_BYTES = 4096, BLOCK_BYTES = 64 * 1024 };

struct wanted {
    const char *run;
    int64_t attempt, tail; /* 0: the latest; all */
};

/* ---- without a daemon ------------------------------------------------------------------------ */

/* The highest N of the files N.log, or 0. */
static int64_t latest_attempt(const char *folder)
{
    DIR *dir = opendir(folder);
    struct dirent *entry;
    int64_t latest = 0, number;

    while (dir && (entry = readdir(dir)) != NULL) {
        RC_STR_AUTO name = rc_strdup(entry->d_name);

        if (!rc_str_ends(name, ".log"))
            continue;
        name[strlen(name) - strlen(".log")] = '\0';
        if (rc_parse_int(name, &number) && number > latest)
            latest = number;
    }
    if (dir)
        (void)closedir(dir);
    return latest;
}

static enum rc_code print_file(const char *folder, int64_t attempt, bool older,
                               struct core_log_view *view, struct rc_error *err)
{
    RC_BUF_AUTO(path, PATH_BYTES);
    RC_CLEANUP(core_fd_close) int fd = -1;
    char block[BLOCK_BYTES];
    ssize_t got;

    core_attempt_log_path(folder, attempt, older, &path);
    fd = core_fd_open(path.data, O_RDONLY, 0);
    if (fd < 0 && older && errno == ENOENT)
        return RC_OK;
    if (fd < 0)
        return rc_fail_errno(err, errno, "open '%s'", path.data);
    while ((got = read(fd, block, sizeof(block))) != 0) {
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return rc_fail_errno(err, errno, "read '%s'", path.data);
        if (core_log_view_add(view, block, (size_t)got, err))
            return err->code;
    }
    return RC_OK;
}

/* An id has no slash, so it names no other folder. */
static int print_from_spool(const struct core_client *client, const struct wanted *wanted,
                            struct core_log_view *view)
{
    RC_STR_AUTO spool = NULL;
    RC_STR_AUTO folder = NULL;
    struct rc_error err = RC_ERROR_INIT;
    int64_t attempt = wanted->attempt;

    if (core_spool_folder(client->config, &spool, &err))
        return core_cli_complain(&err);
    folder = rc_strf("%s/runs/%s", spool, wanted->run);
    if (attempt == 0 && !strchr(wanted->run, '/'))
        attempt = latest_attempt(folder);
    if (attempt == 0 || strchr(wanted->run, '/')) {
        (void)rc_fail(&err, RC_NOT_FOUND,
                      "no daemon answers at '%s', and there is no log of a run '%s' in '%s/runs'",
                      client->socket_path, wanted->run, spool);
        return core_cli_complain(&err);
    }
    if (print_file(folder, attempt, /* older = */ true, view, &err) ||
        print_file(folder, attempt, /* older = */ false, view, &err)) {
        (void)core_cli_complain(&err);
        return CORE_EXIT_FAILED;
    }
    return CORE_EXIT_OK;
}

/* ---- the command ----------------------------------------------------------------------------- */

static enum rc_code read_number(const char *flag, const char *text, int64_t *out,
                                struct rc_error *err)
{
    *out = 0;
    if (text && (!rc_parse_int(text, out) || *out < 1))
        return rc_fail(err, RC_INVALID, "'--%s %s': a whole number from 1 on is wanted", flag,
                       text);
    return RC_OK;
}

static int run_logs(const struct core_arguments *arguments)
{
    CORE_CLIENT_AUTO(client);
    RC_BUF_AUTO(path, PATH_BYTES);
    RC_CLEANUP(core_log_view_end) struct core_log_view view;
    struct wanted wanted = { .run = arguments->words[0] };
    struct rc_error err = RC_ERROR_INIT;
    enum rc_code code;

    core_log_view_init(&view, STDOUT_FILENO);
    if (read_number("attempt", arguments->attempt, &wanted.attempt, &err) ||
        read_number("tail", arguments->tail, &wanted.tail, &err) ||
        core_client_open(arguments, &client, &err))
        return core_cli_complain(&err);
    core_client_add_path(&path, "runs", wanted.run, "log");
    rc_buf_addf(&path, "?follow=%s&attempt=%" PRId64 "&tail=%" PRId64,
                arguments->follow ? "true" : "false", wanted.attempt, wanted.tail);
    code = core_client_stream(&client, path.data, core_log_view_add, &view, &err);
    if (view.failed == EPIPE)
        return CORE_EXIT_OK; /* a reader that goes has read enough */
    if (code == RC_UNAVAILABLE && client.answer.status == 0 && !arguments->follow && !wanted.tail)
        return print_from_spool(&client, &wanted, &view);
    if (code) {
        (void)core_cli_complain(&err);
        return CORE_EXIT_FAILED;
    }
    return client.answer.status < 300 ? CORE_EXIT_OK : core_client_complain(&client);
}

static void complete_runs(const struct core_arguments *arguments, struct rc_buf *out)
{
    core_client_complete_runs(arguments, /* only_active = */ false, out);
}

const struct core_command core_command_logs = {
    .name = "logs",
    .operands = "RUN",
    .summary = "Writes what a run of the daemon printed.",
    .details = "With -f it goes on as the log grows, through further attempts, until the run has "
               "ended. On a terminal the messages are made readable; elsewhere they are the JSON "
               "lines that they are. Where no daemon answers, the log is read from the daemon's "
               "folder, without "
               "-f and --tail.",
    .flags = CORE_FLAG_CONFIG | CORE_FLAG_FOLLOW | CORE_FLAG_ATTEMPT | CORE_FLAG_TAIL,
    .min_words = 1,
    .max_words = 1,
    .run = run_logs,
    .complete = complete_runs,
};
