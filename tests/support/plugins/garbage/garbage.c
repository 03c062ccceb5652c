/*
 * Writes bytes that are no text to stdout, stderr, the log and the results.
 */
#include <run-core/plugin.h>

#include <unistd.h>

static const unsigned char noise[] = { 0x00, 0xff, 0xfe, 0x80, 0x1b, '[',  '3',  '1', 'm', 0xc0,
                                       0xaf, 0xed, 0xa0, 0x80, 0x07, '\r', '\n', '{', '"' };

static enum rc_code garbage(struct rc_job *job, const void *config, struct rc_error *err)
{
    (void)config;
    if (write(STDOUT_FILENO, noise, sizeof noise) < 0 ||
        write(STDERR_FILENO, noise, sizeof noise) < 0)
        return rc_fail(err, RC_FAILED, "cannot write");
    const struct rc_log_field field = { .key = "bad\xffkey", .value = "\xc3\x28" };
    rc_log_with(job, RC_LOG_WARN, &field, 1, "a log message of \xff\xfe\x80 and \x1b[31m");
    rc_job_say(job, "said \xff\xfe, a \"quote\" and a \\ backslash");
    rc_job_count(job, "not a \xff name", 1);
    return rc_fail(err, RC_FAILED, "an error of \xff\xfe\x80");
}

static const struct rc_action actions[] = {
    { .name = "garbage", .summary = "Writes bytes that are no text, then fails.", .run = garbage },
    { 0 },
};

static const struct rc_plugin plugin = {
    RC_PLUGIN_HEAD, /* magic, ABI and sizes */
    .name = "garbage",  .version = "1.0", .summary = "Writes garbage, for tests.",
    .actions = actions,
};
RC_PLUGIN_EXPORT(plugin)
