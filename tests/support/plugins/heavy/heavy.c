/*
 * Takes more of the machine than it should: each action tries one of the limits that its guard
 * keeps.
 */
#include <run-core/plugin.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BLOCK_BYTES = 1024 * 1024 };

struct config {
    const char *path;
    int64_t lines;
};

static const struct rc_option options[] = {
    { RC_STR("path", struct config, path), .help = "A file to write, or a FIFO to wait for." },
    { RC_INT("lines", struct config, lines), .def = "10", .min = 0, .max = 100000000,
      .help = "How many lines to print." },
    { 0 },
};

static enum rc_code tell(struct rc_job *job, const void *config, struct rc_error *err)
{
    (void)config;
    (void)err;
    rc_info(job, "attempt %d of slot %lld at %lld", (int)job->attempt, (long long)job->slot_unix_ms,
            (long long)job->now_unix_ms);
    rc_job_say(job, "a result");
    rc_job_count(job, "told", 3);
    printf("raw, and without an end");
    return RC_OK;
}

/* Until somebody else has opened the FIFO. */
static void wait_for_fifo(struct rc_job *job, const char *path)
{
    rc_info(job, "waiting for '%s'", path);
    close(open(path, O_RDONLY | O_CLOEXEC));
}

/* As a library would that knows nothing of its host. */
static enum rc_code print(struct rc_job *job, const void *config, struct rc_error *err)
{
    const struct config *cfg = config;

    (void)err;
    if (cfg->path)
        wait_for_fifo(job, cfg->path);
    for (int64_t i = 0; i < cfg->lines; i++)
        printf("line %08lld of what a plugin prints by itself\n", (long long)i);
    return RC_OK;
}

static enum rc_code flood(struct rc_job *job, const void *config, struct rc_error *err)
{
    static char block[BLOCK_BYTES];

    (void)config;
    memset(block, 'x', sizeof(block));
    for (size_t i = 99; i < sizeof(block); i += 100)
        block[i] = '\n';
    while (!rc_job_check(job, err))
        if (write(STDERR_FILENO, block, sizeof(block)) < 0 && errno != EINTR)
            return rc_fail_errno(err, errno, "flood");
    return rc_context(err, "flood");
}

static enum rc_code spin(struct rc_job *job, const void *config, struct rc_error *err)
{
    static volatile uint64_t turns;

    (void)config;
    (void)err;
    rc_info(job, "spinning");
    while (turns < UINT64_MAX)
        turns++;
    return RC_OK;
}

static enum rc_code fill(struct rc_job *job, const void *config, struct rc_error *err)
{
    static const char block[BLOCK_BYTES];
    const struct config *cfg = config;
    int fd = open(cfg->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    rc_info(job, "filling '%s'", cfg->path);
    for (int i = 0; i < 64; i++)
        if (write(fd, block, sizeof(block)) < 0)
            return rc_fail(err, RC_FAILED, "cannot write");
    close(fd);
    return RC_OK;
}

static enum rc_code allocate(struct rc_job *job, const void *config, struct rc_error *err)
{
    (void)config;
    (void)err;
    rc_info(job, "allocating");
    for (int i = 0; i < 4096; i++)
        memset(rc_malloc(BLOCK_BYTES), i, BLOCK_BYTES);
    return RC_OK;
}

static enum rc_code tell_nice(struct rc_job *job, const void *config, struct rc_error *err)
{
    (void)config;
    (void)err;
    rc_info(job, "nice %d", nice(0));
    return RC_OK;
}

/* Leaves a process in a session of its own, whose parent has ended. */
static enum rc_code escape(struct rc_job *job, const void *config, struct rc_error *err)
{
    const struct config *cfg = config;
    int ready[2];
    char byte;

    if (pipe(ready))
        return rc_fail(err, RC_FAILED, "no pipe");
    if (fork() == 0) {
        setsid();
        if (fork() == 0) {
            FILE *file = fopen(cfg->path, "w");
            fprintf(file, "%ld", (long)getpid());
            fclose(file);
            if (write(ready[1], "x", 1) == 1)
                pause();
        }
        _exit(0);
    }
    if (read(ready[0], &byte, 1) != 1)
        return rc_fail(err, RC_FAILED, "no child");
    rc_info(job, "left a process");
    return RC_OK;
}

static const struct rc_action actions[] = {
    { .name = "tell", .summary = "Tells what it was given.", .run = tell },
    { .name = "print", .summary = "Prints lines.", .run = print },
    { .name = "flood", .summary = "Prints until it is stopped.", .run = flood },
    { .name = "spin", .summary = "Uses the processor.", .run = spin },
    { .name = "fill", .summary = "Writes 64 MiB to a file.", .run = fill },
    { .name = "allocate", .summary = "Takes 4 GiB of memory.", .run = allocate },
    { .name = "nice", .summary = "Tells its nice value.", .run = tell_nice },
    { .name = "escape", .summary = "Leaves a daemon behind.", .run = escape },
    { 0 },
};

static const struct rc_plugin plugin = {
    RC_PLUGIN_HEAD, /* magic, ABI and sizes */
    .name = "heavy",
    .version = "1.0",
    .summary = "Takes too much, for tests.",
    .options = options,
    .config_size = sizeof(struct config),
    .actions = actions,
};
RC_PLUGIN_EXPORT(plugin)
