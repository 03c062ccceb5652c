/*
 * Bears witness: a line into a file when a run begins and when it ends, whole or not at all, so
 * that a test can tell what really ran, whatever the ledger says.
 *
 *     begin JOB SLOT RUN ATTEMPT PID MONOTONIC_MS
 *     end   JOB SLOT RUN ATTEMPT PID MONOTONIC_MS
 */
#include <run-core/plugin.h>

#include <errno.h>
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

struct config {
    const char *file;
    int64_t length_ms, fail_each;
};

static const struct rc_option options[] = {
    { RC_STR("file", struct config, file), .flags = RC_OPT_REQUIRED, .help = "Where to write." },
    { RC_MS("length", struct config, length_ms), .def = "0", .max = 3600000,
      .help = "How long a run takes." },
    { RC_INT("fail_each", struct config, fail_each), .def = "0", .max = 1000000,
      .help = "Of so many runs, by their process numbers, one fails; 0: none." },
    { 0 },
};

static int64_t monotonic_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static enum rc_code write_line(struct rc_job *job, const char *path, const char *what,
                               struct rc_error *err)
{
    RC_STR_AUTO line = rc_strf("%s %s %lld %s %d %d %lld\n", what, job->name ? job->name : "-",
                               (long long)job->slot_unix_ms, job->run_id, (int)job->attempt,
                               (int)getpid(), (long long)monotonic_ms());
    size_t len = strlen(line);
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    ssize_t written = fd < 0 ? -1 : write(fd, line, len);
    int error_number = errno;

    if (fd >= 0)
        close(fd);
    if (written != (ssize_t)len)
        return rc_fail_errno(err, error_number, "write to '%s'", path);
    return RC_OK;
}

static enum rc_code witness(struct rc_job *job, const void *config, struct rc_error *err)
{
    const struct config *cfg = config;
    int64_t until_ms = monotonic_ms() + cfg->length_ms;

    if (write_line(job, cfg->file, "begin", err))
        return err->code;
    while (monotonic_ms() < until_ms) {
        if (rc_job_check(job, err))
            return rc_context(err, "wait");
        usleep(10000);
    }
    if (cfg->fail_each > 0 && getpid() % cfg->fail_each == 0)
        return rc_fail(err, RC_FAILED, "it is this run's turn to fail");
    return write_line(job, cfg->file, "end", err);
}

static const struct rc_action actions[] = {
    { .name = "witness", .summary = "Says that it ran.", .run = witness },
    { 0 },
};

static const struct rc_plugin plugin = {
    RC_PLUGIN_HEAD,     .name = "witness",
    .version = "1.0",   .summary = "Bears witness of its runs, for tests.",
    .options = options, .config_size = sizeof(struct config),
    .actions = actions,
};
RC_PLUGIN_EXPORT(plugin)
