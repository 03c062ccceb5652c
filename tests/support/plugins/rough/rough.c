/*
 * Behaves as badly as plugins do: each action is a mistake that its host has to bear.
 */
#include <run-core/plugin.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct config {
    const char *secret;
    int64_t padding, leave;
    bool stall;
};

static const struct rc_option options[] = {
    { RC_STR("secret", struct config, secret), .flags = RC_OPT_SECRET, .help = "Is never shown." },
    { RC_INT("padding", struct config, padding), .def = "0", .max = 1000,
      .help = "How many characters stand before the secret in the error." },
    { RC_INT("leave", struct config, leave), .def = "-1", .min = -1, .max = 255,
      .help = "The status with which the check of the options ends its process." },
    { RC_BOOL("stall", struct config, stall), .def = "false",
      .help = "Whether the check of the options never ends." },
    { 0 },
};

/* The error's text ends in the middle of the secret. */
static enum rc_code cut(struct rc_job *job, const void *config, struct rc_error *err)
{
    const struct config *cfg = config;
    RC_BUF_AUTO(padding, 1000);

    (void)job;
    for (int64_t i = 0; i < cfg->padding; i++)
        rc_buf_addc(&padding, '-');
    return rc_fail(err, RC_FAILED, "%s%s refused", padding.data, cfg->secret);
}

static enum rc_code fail_silently(struct rc_job *job, void *context, size_t index,
                                  struct rc_error *err)
{
    (void)job;
    (void)context;
    (void)err;
    return index == 3 ? RC_FAILED : RC_OK;
}

static enum rc_code silent(struct rc_job *job, const void *config, struct rc_error *err)
{
    (void)config;
    return rc_parallel(job, 4, 8, fail_silently, NULL, err);
}

/* Stops when it is asked to, but calls it by another name. */
static enum rc_code misname(struct rc_job *job, const void *config, struct rc_error *err)
{
    struct rc_error asked;

    (void)config;
    rc_info(job, "waiting");
    while (!rc_job_check(job, &asked))
        usleep(5000);
    return rc_fail(err, RC_UNAVAILABLE, "the connection was interrupted");
}

/* Leaves a process behind. */
static enum rc_code linger(struct rc_job *job, const void *config, struct rc_error *err)
{
    pid_t child = fork();

    (void)config;
    (void)err;
    while (child == 0)
        pause();
    rc_info(job, "left process %ld", (long)child);
    return RC_OK;
}

/* Crashes below a progress line. */
static enum rc_code interrupt(struct rc_job *job, const void *config, struct rc_error *err)
{
    (void)config;
    (void)err;
    rc_job_progress(job, 1, 2, "steps");
    abort();
}

enum { LINES = 200, LINE_BYTES = 10000 };

static enum rc_code say_long(struct rc_job *job, void *context, size_t index, struct rc_error *err)
{
    char line[LINE_BYTES + 1];

    (void)context;
    (void)err;
    memset(line, 'a' + (int)(index % 26), LINE_BYTES);
    line[LINE_BYTES] = '\0';
    rc_job_say(job, line);
    return RC_OK;
}

/* Says much, from many threads at once. */
static enum rc_code chatter(struct rc_job *job, const void *config, struct rc_error *err)
{
    (void)config;
    rc_info(job, "chattering");
    return rc_parallel(job, 8, LINES, say_long, NULL, err);
}

/* Takes the process with it. */
static enum rc_code check(const void *config, struct rc_error *err)
{
    const struct config *cfg = config;

    (void)err;
    if (cfg->leave >= 0)
        _exit((int)cfg->leave);
    while (cfg->stall)
        pause();
    return RC_OK;
}

static const struct rc_action actions[] = {
    { .name = "cut", .summary = "Fails with half a secret.", .run = cut },
    { .name = "silent", .summary = "Fails without an error.", .run = silent },
    { .name = "misname", .summary = "Fails when asked to stop.", .run = misname },
    { .name = "linger", .summary = "Leaves a process behind.", .run = linger },
    { .name = "interrupt", .summary = "Crashes below a progress line.", .run = interrupt },
    { .name = "chatter", .summary = "Says much at once.", .run = chatter },
    { 0 },
};

static const struct rc_plugin plugin = {
    RC_PLUGIN_HEAD, /* magic, ABI and sizes */
    .name = "rough",
    .version = "1.0",
    .summary = "Behaves badly, for tests.",
    .options = options,
    .config_size = sizeof(struct config),
    .actions = actions,
    .check = check,
};
RC_PLUGIN_EXPORT(plugin)
