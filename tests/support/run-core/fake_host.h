/*
 * A host in memory, for tests of plugins: complete, offline, and able to fail at any call.
 *
 *     struct rc_fake_host *host = rc_fake_host_new(NULL);
 *     const char *settings[] = { "source=s3://a/b", "target=s3://a/c", NULL };
 *     rc_fake_host_put(host, "s3://a/b", "hello", 5);
 *     struct rc_error err = RC_ERROR_INIT;
 *     assert(rc_fake_host_run(host, &copy_plugin, "copy", settings, &err) == RC_OK);
 *     assert(rc_fake_host_object(host, "s3://a/c", NULL));
 *     rc_fake_host_free(host);
 *
 * Storage has the semantics of the real one: listings in the order of bytes, conditional
 * writes, writers of which nothing is seen before the commit. A transfer works on it, one object
 * after the other; buckets are what the test says of them. The state database is SQLite in memory.
 * SQL statements and HTTP requests are recorded and answered by what the test has put up. With a
 * base, each service that the base has is the base's instead, still counted and failed here.
 *
 * Results that are borrowed live until the host is freed or, for objects, replaced. The functions
 * below may be called from one thread at a time; the services, as ever, from any. What a
 * test itself gets wrong, such as an unknown index, is an assertion.
 */
#ifndef RUN_CORE_FAKE_HOST_H
#define RUN_CORE_FAKE_HOST_H

#include <run-core/plugin.h>

struct rc_fake_host;

RC_BEGIN_DECLS

/* 'base' is NULL, or a job of another host, whose tables (those not NULL) do the work; borrowed. */
struct rc_fake_host *rc_fake_host_new(struct rc_job *base);
void rc_fake_host_free(struct rc_fake_host *host);
/* For RC_CLEANUP. */
void rc_fake_host_clear(struct rc_fake_host **host);

/*
 * The job to hand to a plugin. A test may change its members before a run: dry_run, attempt,
 * now_unix_ms, slot_unix_ms, time_zone, params, ... It begins at 2026-01-15T12:00:00Z in UTC.
 */
struct rc_job *rc_fake_host_job(struct rc_fake_host *host);

/* ---- running a plugin ----------------------------------------------------------------------- */

/* Loads a plugin's .so for the rest of the process. RC_INVALID says what the loader found. */
RC_MUST_CHECK enum rc_code rc_fake_host_load(const char *path, const struct rc_plugin **out,
                                             struct rc_error *err);

/*
 * Fills 'out' (zeroed) by an option table from "key=value" texts, ending with NULL, then from
 * defaults. A list is a key given several times, or "[a, b]"; a map is "key.name=value" for each
 * name; an object of a list of objects is "key[0].name=value". What it allocates belongs to the
 * host. Environment aliases are not read. RC_INVALID: as the real configuration would refuse it.
 */
RC_MUST_CHECK enum rc_code rc_fake_host_bind(struct rc_fake_host *host,
                                             const struct rc_option *options, void *out,
                                             const char *const *settings, struct rc_error *err);

/*
 * Does what a worker does: binds the options and the action's parameters from 'settings' (may be
 * NULL), calls the plugin's check, then the action (NULL: the first), and returns its result.
 */
RC_MUST_CHECK enum rc_code rc_fake_host_run(struct rc_fake_host *host,
                                            const struct rc_plugin *plugin, const char *action,
                                            const char *const *settings, struct rc_error *err);

/*
 * Runs an action on a new host for n = 1, 2, ... with the n-th host call failing, until n is
 * past the last call. 'prepare' (may be NULL) fills each host. Each failed run has to return the
 * injected code, say in its context what it was doing and leave no handle open; RC_FAILED says
 * where one did not. Then the same with a cancellation from the n-th call on, which has to end
 * with RC_CANCELLED. Plugins that retry or ignore a failure need tests of their own. '*calls' is
 * the number of calls of a clean run.
 */
RC_MUST_CHECK enum rc_code rc_fake_host_torture(const struct rc_plugin *plugin, const char *action,
                                                const char *const *settings,
                                                void (*prepare)(struct rc_fake_host *host,
                                                                void *context),
                                                void *context, int *calls, struct rc_error *err);

/* ---- faults --------------------------------------------------------------------------------- */

/* The n-th host call that can fail, from now on and counted from 1, fails with 'code'. 0: none. */
void rc_fake_host_fail_at(struct rc_fake_host *host, int n, enum rc_code code);
/*
 * The next 'times' calls of a service such as "storage.put" whose subject (URI, statement, name)
 * contains 'subject' fail. NULL fits all. -1 times: always. Calls may be told apart up to 16 rules.
 * Of a transfer, "transfer.run" fails as a whole; "transfer.copy" and "transfer.remove" are one
 * object of it, and not among the calls that are counted.
 */
void rc_fake_host_fail_on(struct rc_fake_host *host, const char *service, const char *subject,
                          int times, enum rc_code code);
/* Asks the run to stop at the n-th call from now on; 0: not. */
void rc_fake_host_cancel_at(struct rc_fake_host *host, int n);
/*
 * The answer of the n-th call from now on is lost: it has its effect, if it is one that changes
 * something, and fails with 'code' all the same. 0: none.
 */
void rc_fake_host_lose_at(struct rc_fake_host *host, int n, enum rc_code code);
/*
 * The process dies at the n-th call from now on, as by kill -9: that call and each one after it
 * fails with RC_UNAVAILABLE and changes nothing. With 'after' the n-th has had its effect. 0: it
 * lives. What the plugin does as it returns changes nothing either: open transactions are rolled
 * back, writers that were not committed leave no object (but in an S3 bucket, or a store that the
 * plugin defined, an unfinished upload, as rc_fake_host_pend() makes one).
 */
void rc_fake_host_die_at(struct rc_fake_host *host, int n, bool after);
bool rc_fake_host_is_dead(const struct rc_fake_host *host);
/*
 * The next run: objects, versions, unfinished uploads, buckets, the database and what the test has
 * put up as answers stay; locks of the run before are free. Calls, faults, the hook, the log,
 * counters, statements, handles, the stores it defined and the temporary directory are those of a
 * new process. The job's other members stay. After a run that ended by itself too.
 */
void rc_fake_host_revive(struct rc_fake_host *host);
/*
 * Is called before each host call that can fail, in its thread, with the call's number and its
 * subject (URI, statement, name): so a test acts in between as another program would, by
 * rc_fake_host_put(). It makes no host call itself. NULL: no more.
 */
typedef void rc_fake_hook(void *context, struct rc_fake_host *host, int n, const char *service,
                          const char *subject);
void rc_fake_host_on_call(struct rc_fake_host *host, rc_fake_hook *hook, void *context);
/* What rc_job_remaining_ms() says; at 0 the run's time is up. INT64_MAX at first. */
void rc_fake_host_set_remaining_ms(struct rc_fake_host *host, int64_t remaining_ms);
/* The job's zone, with a fixed offset from UTC. */
void rc_fake_host_set_zone(struct rc_fake_host *host, const char *name, int offset_minutes);
/* Runs rc_parallel() in threads; without, one item after the other in the calling thread. */
void rc_fake_host_set_threads(struct rc_fake_host *host, bool threads);

/* The host calls that can fail, made so far. */
int rc_fake_host_calls(const struct rc_fake_host *host);
/* The run's directory; NULL: it has not asked for one. */
const char *rc_fake_host_temp_dir(const struct rc_fake_host *host);

/* ---- what the run did ----------------------------------------------------------------------- */

/* Changes that --dry-run held back. */
int rc_fake_host_held_back(const struct rc_fake_host *host);
/* The log, a line "level: text key=value" each. */
const char *rc_fake_host_log(const struct rc_fake_host *host);
/* What was said, a line each. */
const char *rc_fake_host_said(const struct rc_fake_host *host);
/* Tables shown: title, headings and rows, a line each, cells apart by tabs. */
const char *rc_fake_host_shown(const struct rc_fake_host *host);
/* A counter's sum, 0 if it was never touched. */
int64_t rc_fake_host_counter(const struct rc_fake_host *host, const char *name);
/* The last progress reported. */
void rc_fake_host_progress(const struct rc_fake_host *host, int64_t *done, int64_t *total);

/* ---- storage -------------------------------------------------------------------------------- */

/* Puts an object there, past all faults; takes one away. */
void rc_fake_host_put(struct rc_fake_host *host, const char *uri, const void *data, size_t len);
void rc_fake_host_remove(struct rc_fake_host *host, const char *uri);
/* The same with attributes, which may be NULL. */
void rc_fake_host_put_with(struct rc_fake_host *host, const char *uri, const void *data, size_t len,
                           const struct rc_attributes *attributes);
/* The content, ending with a NUL that 'len' (may be NULL) does not count. NULL: no such object. */
const char *rc_fake_host_object(const struct rc_fake_host *host, const char *uri, size_t *len);
/* The URIs of all objects that begin with 'prefix', a line each in the order of bytes. */
const char *rc_fake_host_objects(struct rc_fake_host *host, const char *prefix);
/*
 * What the object was written with beside its content: a line "content-type: text/plain" each,
 * then "metadata NAME: value" and "tag NAME: value". "": nothing. NULL: no such object.
 */
const char *rc_fake_host_attributes(const struct rc_fake_host *host, const char *uri);
/* From now on objects whose URI begins with 'prefix' keep what they were, as in such a bucket. */
void rc_fake_host_version_bucket(struct rc_fake_host *host, const char *prefix);
/*
 * All versions below 'prefix', those of one object together and the newest first: a line
 * "URI VERSION", then " current" and " removal" where it is that. "-": an object without versions.
 */
const char *rc_fake_host_versions(struct rc_fake_host *host, const char *prefix);
/* As rc_fake_host_object(), of a version; NULL: the current one. */
const char *rc_fake_host_version(const struct rc_fake_host *host, const char *uri,
                                 const char *version, size_t *len);
/*
 * The store of that name as the plugin has defined it; NULL: it has not. Its objects are those
 * whose URI begins with store://NAME/, wherever its url leads.
 */
const struct rc_store *rc_fake_host_store(const struct rc_fake_host *host, const char *name);
/* Somebody has begun an upload and not finished it. */
void rc_fake_host_pend(struct rc_fake_host *host, const char *uri, int64_t begun_unix_ms);
/* The URIs of such uploads that nobody has given up, a line each. */
const char *rc_fake_host_pending(struct rc_fake_host *host);
/*
 * What is known of the bucket that the URI leads into, and what the plugin made of it; to be
 * changed at will, until another one is named. At first it does not exist, and every answer is NO.
 */
struct rc_bucket *rc_fake_host_bucket(struct rc_fake_host *host, const char *uri);
/* Handles (listings, readers, writers, sessions, rows, locks, streams) not closed yet. */
int rc_fake_host_open_handles(const struct rc_fake_host *host);

/* ---- sql ------------------------------------------------------------------------------------ */

/*
 * Statements that contain 'text' give these rows: 'row_count' times 'column_count' cells, which are
 * borrowed. The answer added last is asked first. A statement that none fits succeeds without rows.
 * Answers are put up before the run.
 */
void rc_fake_host_answer_rows(struct rc_fake_host *host, const char *text,
                              const char *const *columns, size_t column_count,
                              const struct rc_value *cells, size_t row_count);
/* Statements that contain 'text' change or write so many rows. */
void rc_fake_host_answer_count(struct rc_fake_host *host, const char *text, int64_t rows);
/* Statements that contain 'text' fail. */
void rc_fake_host_answer_error(struct rc_fake_host *host, const char *text, enum rc_code code,
                               const char *cause);

/*
 * What the engine of later sessions can do: bits of enum rc_sql_feature. At first those of the
 * embedded engine. With a base, it is what that says.
 */
void rc_fake_host_set_engine_features(struct rc_fake_host *host, uint32_t features);

/*
 * A statement that was run: exec, query, attach, write, drop, make, load, refer, publish or search.
 * Rows of a search are put up for its condition.
 */
struct rc_fake_statement {
    const char *verb;
    /*
     * The statement or query, of search the condition; of attach, drop, load and refer the table's
     * name, of publish DATABASE.TABLE.
     */
    const char *text;
    /*
     * Of write, and the first one of attach and publish; of make and search the table's name, of
     * refer DATABASE.NAME, of load its rows: values parted by '|', each row ended by '\n', NULL
     * as '-'. Else NULL.
     */
    const char *location;
};
size_t rc_fake_host_statements(const struct rc_fake_host *host);
struct rc_fake_statement rc_fake_host_statement(const struct rc_fake_host *host, size_t index);

/* ---- http ----------------------------------------------------------------------------------- */

/* Texts are copied. */
struct rc_fake_http_answer {
    unsigned status;
    const char *const *headers; /* "Name: value", ending with NULL; or NULL */
    const char *body;           /* or NULL */
    size_t body_len;            /* 0: the length of the text */
};

/*
 * Answers the next 'times' (-1: all) requests whose "METHOD URL" contains 'text' (NULL fits all),
 * as the host would after its own retries. What is put up first is given first, so that a series
 * of answers is put up in its order; a request that none is left for is RC_UNAVAILABLE. Requests
 * that fail are those of rc_fake_host_fail_on(): "http.call", "http.open" and "http.read" with
 * "METHOD URL" as their subject.
 */
void rc_fake_host_answer_http(struct rc_fake_host *host, const char *text, int times,
                              const struct rc_fake_http_answer *answer);

/* A request that was made. */
struct rc_fake_http_request {
    const char *name, *method, *url;
    const char *headers; /* "Name: value", a line each */
    const char *body;    /* ends with a NUL that 'body_len' does not count */
    size_t body_len;
    unsigned flags;
    const char *user, *password;
    int auth;
    const char *credentials;
};
size_t rc_fake_host_http_requests(const struct rc_fake_host *host);
struct rc_fake_http_request rc_fake_host_http_request(const struct rc_fake_host *host,
                                                      size_t index);

/* ---- routes --------------------------------------------------------------------------------- */

/* What a route is asked. Texts are borrowed; NULL or 0 where there is none. */
struct rc_fake_request {
    const char *method, *path;  /* the path decoded, with its query as it is sent: "/rules?a=b" */
    const char *const *headers; /* "Name: value", ending with NULL */
    const char *body;
    size_t body_len;
    const char *const *settings; /* of the plugin's options, as for rc_fake_host_run() */
    bool from_elsewhere;         /* rc_exchange_is_local() says no */
};

/*
 * Calls the handler of the route for the request, which there has to be, and returns what it
 * returned.
 */
RC_MUST_CHECK enum rc_code rc_fake_host_request(struct rc_fake_host *host,
                                                const struct rc_plugin *plugin,
                                                const struct rc_fake_request *request,
                                                struct rc_error *err);
/* The reply that it gave: 0 for none; the body; "Name: value" a line each. */
unsigned rc_fake_host_reply_status(const struct rc_fake_host *host);
const char *rc_fake_host_reply(const struct rc_fake_host *host, size_t *len);
const char *rc_fake_host_reply_headers(const struct rc_fake_host *host);

/* ---- runs that the plugin begins ------------------------------------------------------------ */

/*
 * A run that rc_job_submit() was asked for; "job.submit" among the calls, with the action as its
 * subject. It does not take place: a test that wants it calls rc_fake_host_run(). Where the host
 * knows the plugin, from rc_fake_host_run() or rc_fake_host_request(), an action or a parameter
 * that it does not have is RC_INVALID. These stay when the host is revived.
 */
struct rc_fake_submitted {
    const char *run_id; /* "20260115t120000-00000001" is the first one's */
    const char *action;
    const struct rc_pair *params;
    size_t param_count;
};
size_t rc_fake_host_submits(const struct rc_fake_host *host);
struct rc_fake_submitted rc_fake_host_submitted(const struct rc_fake_host *host, size_t index);

/* ---- locks ---------------------------------------------------------------------------------- */

/* Another run takes a lock, or gives it back. */
void rc_fake_host_hold_lock(struct rc_fake_host *host, const char *name, bool held);
/* The leases held by the plugin are lost: rc_lock_check() says so from now on. */
void rc_fake_host_lose_locks(struct rc_fake_host *host);

RC_END_DECLS
#endif
