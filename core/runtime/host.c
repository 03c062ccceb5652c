/*
 * Puts the host API together, and holds the two things that all its tables share.
 */
#include <runtime/host.h>

#include <runtime/output.h>

#include <run-core/plugin.h>

#include <string.h>

const struct rc_host core_host = {
    .abi_major = RC_ABI_MAJOR,
    .abi_minor = RC_ABI_MINOR,
    .log = &core_host_log,
    .job = &core_host_job,
    .storage = &core_host_storage,
    .sql = &core_host_sql,
    .db = &core_host_db,
    .lock = &core_host_lock,
    .parallel = &core_host_parallel,
    .exchange = &core_host_exchange,
    .http = &core_host_http,
    .transfer = &core_host_transfer,
    .bucket = &core_host_bucket,
};

enum { WOULD_BYTES = 32 * 1024 };

static atomic_int open_handles;

void core_host_opened(void)
{
    atomic_fetch_add(&open_handles, 1);
}

void core_host_closed(void)
{
    atomic_fetch_sub(&open_handles, 1);
}

int core_host_open_handles(void)
{
    return atomic_load(&open_handles);
}

enum rc_code core_host_take(void *out, size_t size, const void *given, struct rc_error *err)
{
    size_t given_bytes;

    memcpy(&given_bytes, given, sizeof(given_bytes));
    if (given_bytes < sizeof(given_bytes))
        return rc_fail(err, RC_INVALID,
                       "the plugin did not set 'struct_bytes' of what it asks for, which is a "
                       "mistake in it");
    memset(out, 0, size);
    memcpy(out, given, given_bytes < size ? given_bytes : size);
    return RC_OK;
}

enum rc_code core_host_would(struct core_job *job, struct rc_error *err, const char *format, ...)
{
    RC_BUF_AUTO(text, WOULD_BYTES);
    va_list arguments;

    if (core_cancel_check(job->cancel, err))
        return err->code;
    va_start(arguments, format);
    rc_buf_addv(&text, format, arguments);
    va_end(arguments);
    if (text.overflow)
        rc_buf_adds(&text, "make a change that is too long to be shown");
    rc_info(&job->job, "dry run: would %s", text.data);
    core_status_count(job->run->status, "dry_run_changes", 1);
    return RC_OK;
}
