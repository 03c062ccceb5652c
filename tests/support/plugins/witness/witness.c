/*
 * Bears witness: writes a line into a file when an attempt begins and when it is done, so that a
 * test need not believe what the daemon recorded. Can take its time, and fail now and then.
 */
#include <run-core/plugin.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct config {
    const char *file, *until;
    int64_t take_ms, fail_of_1000;
};

static const struct rc_option options[] = {
    { RC_STR("file", struct config, file), .flags = RC_OPT_REQUIRED, .help = "Where to write." },
    { RC_MS("take", struct config, take_ms), .def = "0", .max = 600000,
      .help = "How long it takes." },
    { RC_STR("until", struct config, until), .help = "A file that it waits for." },
    { RC_INT("fail_of_1000", struct config, fail_of_1000), .def = "0", .min = 0, .max = 1000,
      .help = "How many of a thousand attempts fail." },
    { 0 },
};

/* One write of one line to a file that is appended to: lines of several processes never mix. */
static enum rc_code write_line(struct rc_job *job, const char *path, const char *what,
                               struct rc_error *err)
{
    RC_BUF_AUTO(line, 4096);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    ssize_t written;

    rc_buf_addf(&line, "%s %s %d %s %lld\n", what, job->run_id, (int)job->attempt,
                job->name ? job->name : "-", (long long)job->slot_unix_ms);
    written = fd < 0 ? -1 : write(fd, line.data, line.len);
    if (fd >= 0)
        close(fd);
    return written == (ssize_t)line.len ? RC_OK : rc_fail(err, RC_FAILED, "cannot bear witness");
}

static int64_t number_of(const struct rc_job *job)
{
    uint32_t hash = 2166136261u;

    for (const char *at = job->run_id; *at; at++)
        hash = (hash ^ (unsigned char)*at) * 16777619u;
    return (int64_t)((hash + (uint32_t)job->attempt * 2654435761u) >> 8) % 1000;
}

static bool is_missing(const char *file)
{
    return file && access(file, F_OK) != 0;
}

static enum rc_code witness(struct rc_job *job, const void *config, struct rc_error *err)
{
    const struct config *cfg = config;

    if (write_line(job, cfg->file, "begin", err))
        return rc_context(err, "begin");
    for (int64_t left_ms = cfg->take_ms; left_ms > 0 || is_missing(cfg->until); left_ms -= 20) {
        if (rc_job_check(job, err))
            return rc_context(err, "take time");
        usleep((useconds_t)(0 < left_ms && left_ms < 20 ? left_ms : 20) * 1000);
    }
    if (number_of(job) < cfg->fail_of_1000)
        return rc_fail(err, RC_FAILED, "this attempt was chosen to fail");
    return write_line(job, cfg->file, "done", err);
}

static const struct rc_action actions[] = {
    { .name = "witness", .summary = "Writes that it began and was done.", .run = witness },
    { 0 },
};

static const struct rc_plugin plugin = {
    RC_PLUGIN_HEAD, /* magic, ABI and sizes */
    .name = "witness",
    .version = "1.0",
    .summary = "Bears witness, for tests.",
    .options = options,
    .config_size = sizeof(struct config),
    .actions = actions,
};
RC_PLUGIN_EXPORT(plugin)
