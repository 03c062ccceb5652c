/*
 * The host API: one table for each service, put together in host.c. Each table checks for
 * cancellation, keeps the dry run's promise and counts open handles; the work is done in the
 * layers below.
 */
#ifndef CORE_RUNTIME_HOST_H
#define CORE_RUNTIME_HOST_H

#include <http/client.h>
#include <runtime/run.h>

extern const struct rc_host core_host;

extern const struct rc_log_api core_host_log;
extern const struct rc_job_api core_host_job;
extern const struct rc_storage_api core_host_storage;
extern const struct rc_sql_api core_host_sql;
extern const struct rc_db_api core_host_db;
extern const struct rc_lock_api core_host_lock;
extern const struct rc_parallel_api core_host_parallel;
extern const struct rc_exchange_api core_host_exchange;
extern const struct rc_http_api core_host_http;
extern const struct rc_transfer_api core_host_transfer;
extern const struct rc_bucket_api core_host_bucket;

/*
 * Handles that the plugin was given and has not closed: a process has one run, so one
 * count serves. What is still open when the action ends is a leak, and reported.
 */
void core_host_opened(void);
void core_host_closed(void);
int core_host_open_handles(void);

/*
 * Counts a change that a dry run does not make, and logs it: "would ...". RC_CANCELLED, RC_TIMEOUT:
 * not even that, the run is to stop.
 */
RC_MUST_CHECK enum rc_code core_host_would(struct core_job *job, struct rc_error *err,
                                           const char *format, ...) RC_PRINTF(3, 4);

/*
 * Copies as much of a struct as the plugin knows of, into one of 'size' bytes; the rest is zero.
 * Such a struct begins with its own size.
 */
RC_MUST_CHECK enum rc_code core_host_take(void *out, size_t size, const void *given,
                                          struct rc_error *err);

/* What the requests and the object stores of a run share; they log and count what they do. */
struct core_remote *core_host_remote_new(struct core_run *run);

/* Logs and counts a request that a service has made; the context is the run. */
void core_host_record(void *context, const struct core_http_record *attempt);

/* The run's temporary directory, made on first use. */
RC_MUST_CHECK enum rc_code core_host_temp_dir(struct core_run *run, const char **path,
                                              struct rc_error *err);

#endif
