/*
 * Ends its process in every way that a broken plugin can.
 */
#include <run-core/plugin.h>

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

/* Signals are raised, not provoked: a sanitizer would stop a bad access before it is one. */
static enum rc_code crash_segv(struct rc_job *job, const void *config, struct rc_error *err)
{
    (void)config;
    (void)err;
    rc_info(job, "about to crash");
    raise(SIGSEGV);
    return RC_OK;
}

static enum rc_code crash_abort(struct rc_job *job, const void *config, struct rc_error *err)
{
    (void)job;
    (void)config;
    (void)err;
    abort();
}

static int recurse(volatile int *above);
/* Called through a volatile pointer, so that the compiler sees no endless recursion. */
static int (*volatile next)(volatile int *above) = recurse;

static int recurse(volatile int *above)
{
    volatile int frame[1024];
    frame[0] = *above + 1;
    return next(frame) + frame[0];
}

static enum rc_code crash_overflow(struct rc_job *job, const void *config, struct rc_error *err)
{
    (void)config;
    (void)err;
    volatile int start = 0;
    rc_info(job, "depth %d", recurse(&start));
    return RC_OK;
}

static enum rc_code crash_fpe(struct rc_job *job, const void *config, struct rc_error *err)
{
    (void)job;
    (void)config;
    (void)err;
    raise(SIGFPE);
    return RC_OK;
}

static enum rc_code crash_exit(struct rc_job *job, const void *config, struct rc_error *err)
{
    (void)job;
    (void)config;
    (void)err;
    _exit(0);
}

static const struct rc_action actions[] = {
    { .name = "segv", .summary = "Ends by SIGSEGV.", .run = crash_segv },
    { .name = "abort", .summary = "Ends by SIGABRT.", .run = crash_abort },
    { .name = "overflow", .summary = "Overflows the stack.", .run = crash_overflow },
    { .name = "fpe", .summary = "Ends by SIGFPE.", .run = crash_fpe },
    { .name = "exit", .summary = "Leaves the process with status 0.", .run = crash_exit },
    { 0 },
};

static const struct rc_plugin plugin = {
    RC_PLUGIN_HEAD, /* magic, ABI and sizes */
    .name = "crash", .version = "1.0", .summary = "Crashes, for tests.", .actions = actions,
};
RC_PLUGIN_EXPORT(plugin)
