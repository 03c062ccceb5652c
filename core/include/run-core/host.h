/*
 * The host: every service that a plugin may use, as tables of function pointers.
 *
 * Plugins call the inline functions below. The tables exist so that a plugin links nothing of the
 * core and runs, complete and offline, against a host made for a test. Each table grows only at
 * its end and the host's own list of them likewise.
 *
 * Thread rule: services may be called from the thread that runs the action and from the workers
 * of rc_parallel(); a handle (reader, writer, session, ...) belongs to one thread at a time.
 */
#ifndef RUN_CORE_HOST_H
#define RUN_CORE_HOST_H

#include <run-core/bucket.h>
#include <run-core/db.h>
#include <run-core/exchange.h>
#include <run-core/http.h>
#include <run-core/job.h>
#include <run-core/lock.h>
#include <run-core/log.h>
#include <run-core/parallel.h>
#include <run-core/sql.h>
#include <run-core/storage.h>
#include <run-core/transfer.h>

#include <string.h>

struct rc_host {
    uint32_t abi_major, abi_minor;
    const struct rc_log_api *log;
    const struct rc_job_api *job;
    const struct rc_storage_api *storage;
    const struct rc_sql_api *sql;
    const struct rc_db_api *db;
    const struct rc_lock_api *lock;
    const struct rc_parallel_api *parallel;
    const struct rc_exchange_api *exchange; /* since 1.1 */
    const struct rc_http_api *http;         /* since 1.2 */
    const struct rc_transfer_api *transfer; /* since 1.2 */
    const struct rc_bucket_api *bucket;     /* since 1.3 */
};

/* ---- job ---------------------------------------------------------------------------------- */

/*
 * RC_CANCELLED when the run was asked to stop, RC_TIMEOUT when its time is up, else RC_OK.
 * A loop that makes no host call asks here at every safe point; host calls ask by themselves.
 */
static inline RC_MUST_CHECK enum rc_code rc_job_check(struct rc_job *job, struct rc_error *err)
{
    return job->host->job->check(job, err);
}

/* Time left until the run's timeout, 0 when it has passed, INT64_MAX without one. */
static inline int64_t rc_job_remaining_ms(struct rc_job *job)
{
    return job->host->job->remaining_ms(job);
}

/* How far the run is. 'total' is 0 while unknown; 'unit' is a plural such as "days". Cheap. */
static inline void rc_job_progress(struct rc_job *job, int64_t done, int64_t total,
                                   const char *unit)
{
    job->host->job->progress(job, done, total, unit);
}

/*
 * Adds to a counter of the run, shown at its end, in its record and as a metric. Names are lower-
 * case with '_', at most 63 characters; at most 64 of them, further ones are ignored with a
 * warning.
 */
static inline void rc_job_count(struct rc_job *job, const char *name, int64_t delta)
{
    job->host->job->count(job, name, delta);
}

/* A line of the result, to stdout; under --json it goes into the final object. */
static inline void rc_job_say(struct rc_job *job, const char *text)
{
    job->host->job->say(job, text);
}

/* A table of the result, to stdout; under --json it goes into the final object. */
static inline void rc_job_show(struct rc_job *job, const struct rc_table *table)
{
    job->host->job->show(job, table);
}

/* A directory of this run alone, removed when it ends, however it ends. Borrowed. */
static inline RC_MUST_CHECK enum rc_code rc_job_temp_dir(struct rc_job *job, const char **path,
                                                         struct rc_error *err)
{
    return job->host->job->temp_dir(job, path, err);
}

/* The calendar day at a point in time, in the job's time zone. RC_INVALID: no such zone. */
static inline RC_MUST_CHECK enum rc_code rc_job_day_of(struct rc_job *job, int64_t unix_ms,
                                                       int32_t *day, struct rc_error *err)
{
    return job->host->job->day_of(job, unix_ms, day, err);
}

/* The first instant of a calendar day in the job's time zone. RC_INVALID: no such zone. */
static inline RC_MUST_CHECK enum rc_code rc_job_day_start(struct rc_job *job, int32_t day,
                                                          int64_t *unix_ms, struct rc_error *err)
{
    return job->host->job->day_start(job, day, unix_ms, err);
}

/*
 * Begins another run, of an action of the same plugin with the same configuration, and does not
 * wait for it: its id is as that of every run, and 'run-core runs' shows it. It outlives the
 * caller. What is to be done has to be recorded before, as a run may be killed at any time.
 *
 * RC_INVALID: the plugin has no such action, or the action no such parameter. RC_UNAVAILABLE: 64
 * that this process has begun go on already, or the machine has no room for one more. RC_FAILED:
 * the configuration has been broken meanwhile. Under --dry-run nothing is begun, and the id is
 * empty. Since 1.6.
 */
static inline RC_MUST_CHECK enum rc_code
rc_job_submit(struct rc_job *job, const char *action, const struct rc_pair *params,
              size_t param_count, char run_id[RC_RUN_ID_TEXT], struct rc_error *err)
{
    return job->host->job->submit(job, action, params, param_count, run_id, err);
}

/* ---- storage ------------------------------------------------------------------------------ */

/*
 * Lists the objects whose URI begins with 'prefix', as plain text: "s3://b/ab" finds
 * "s3://b/abc". A prefix that matches nothing gives an empty listing. 'options' may be NULL.
 */
static inline RC_MUST_CHECK enum rc_code rc_storage_list(struct rc_job *job, const char *prefix,
                                                         const struct rc_list_options *options,
                                                         struct rc_listing **out,
                                                         struct rc_error *err)
{
    return job->host->storage->list(job, prefix, options, out, err);
}

/* The next object, valid until the following call; *object is NULL behind the last. */
static inline RC_MUST_CHECK enum rc_code rc_storage_list_next(struct rc_job *job,
                                                              struct rc_listing *listing,
                                                              const struct rc_object **object,
                                                              struct rc_error *err)
{
    return job->host->storage->list_next(listing, object, err);
}

static inline void rc_storage_list_close(struct rc_job *job, struct rc_listing *listing)
{
    if (listing)
        job->host->storage->list_close(listing);
}

/*
 * Lists every version of the objects below a prefix, those of one object together and the newest
 * first, in the order of the keys. A store that keeps one content only (file://, a bucket without
 * versions) lists that. Closed by rc_storage_list_close(). Since 1.4.
 */
static inline RC_MUST_CHECK enum rc_code rc_storage_versions(struct rc_job *job, const char *prefix,
                                                             struct rc_listing **out,
                                                             struct rc_error *err)
{
    return job->host->storage->versions(job, prefix, out, err);
}

/* The next one, valid until the following call; *version is NULL behind the last. Since 1.4. */
static inline RC_MUST_CHECK enum rc_code rc_storage_version_next(struct rc_job *job,
                                                                 struct rc_listing *listing,
                                                                 const struct rc_version **version,
                                                                 struct rc_error *err)
{
    return job->host->storage->version_next(listing, version, err);
}

static inline RC_MUST_CHECK enum rc_code rc_storage_stat(struct rc_job *job, const char *uri,
                                                         struct rc_stat *out, struct rc_error *err)
{
    return job->host->storage->stat(job, uri, out, err);
}

/* Appends the whole object to 'body'. RC_TOO_LARGE: it is longer than the buffer's limit allows. */
static inline RC_MUST_CHECK enum rc_code rc_storage_get(struct rc_job *job, const char *uri,
                                                        struct rc_buf *body, struct rc_error *err)
{
    return job->host->storage->get(job, uri, body, err);
}

/* Opens a range for reading; 'len_bytes' of -1 means to the end. */
static inline RC_MUST_CHECK enum rc_code rc_storage_open(struct rc_job *job, const char *uri,
                                                         int64_t offset_bytes, int64_t len_bytes,
                                                         struct rc_reader **out,
                                                         struct rc_error *err)
{
    return job->host->storage->open(job, uri, offset_bytes, len_bytes, out, err);
}

/*
 * The same of one certain object. RC_CONFLICT: it is another one now; that can also be the answer
 * of a later read. RC_NOT_FOUND: there is none, or no such version. Since 1.4.
 */
static inline RC_MUST_CHECK enum rc_code rc_storage_open_with(struct rc_job *job, const char *uri,
                                                              const struct rc_get_options *options,
                                                              struct rc_reader **out,
                                                              struct rc_error *err)
{
    return job->host->storage->open_with(job, uri, options, out, err);
}

/*
 * Reads up to 'capacity' bytes; *len is 0 only at the end. RC_CONFLICT: the object was replaced
 * meanwhile.
 */
static inline RC_MUST_CHECK enum rc_code rc_storage_read(struct rc_job *job,
                                                         struct rc_reader *reader, void *data,
                                                         size_t capacity, size_t *len,
                                                         struct rc_error *err)
{
    return job->host->storage->read(reader, data, capacity, len, err);
}

static inline void rc_storage_read_close(struct rc_job *job, struct rc_reader *reader)
{
    if (reader)
        job->host->storage->read_close(reader);
}

/*
 * Replaces the object at 'uri' with 'len' bytes of 'data'. With 'if_match' the write
 * happens only while the object still has that entity tag, with RC_IF_ABSENT only if there
 * is none; NULL writes regardless.
 *
 * RC_CONFLICT: the condition does not hold; read again and decide.
 */
static inline RC_MUST_CHECK enum rc_code rc_storage_put(struct rc_job *job, const char *uri,
                                                        const void *data, size_t len,
                                                        const char *if_match, struct rc_error *err)
{
    return job->host->storage->put(job, uri, data, len, if_match, err);
}

/* Begins an object of unknown length. Nothing is visible until rc_storage_commit(). */
static inline RC_MUST_CHECK enum rc_code rc_storage_create(struct rc_job *job, const char *uri,
                                                           const char *if_match,
                                                           struct rc_writer **out,
                                                           struct rc_error *err)
{
    return job->host->storage->create(job, uri, if_match, out, err);
}

/*
 * The same with content type, metadata and the like. A size that is given has to be the one that
 * is written: RC_INVALID otherwise. RC_UNSUPPORTED: the store cannot keep one of the attributes.
 * To keep those of the object that is replaced takes its entity tag (RC_INVALID without), and
 * RC_CONFLICT may then come at once instead of from the commit.
 */
static inline RC_MUST_CHECK enum rc_code
rc_storage_create_with(struct rc_job *job, const char *uri, const struct rc_put_options *options,
                       struct rc_writer **out, struct rc_error *err)
{
    return job->host->storage->create_with(job, uri, options, out, err);
}

/*
 * Makes a store known to this run, before anything else uses its name; the same again changes
 * nothing. RC_CONFLICT: there is another one of that name. RC_INVALID: no such url, half a key.
 */
static inline RC_MUST_CHECK enum rc_code
rc_storage_define(struct rc_job *job, const struct rc_store *store, struct rc_error *err)
{
    return job->host->storage->define(job, store, err);
}

/*
 * Gives up uploads to names that begin with 'prefix', by whomever, that were begun before a time
 * (INT64_MAX: all of them) and never finished: what a killed run has left. For a prefix that is the
 * caller's alone. 'swept' (may be NULL): how many.
 */
static inline RC_MUST_CHECK enum rc_code rc_storage_sweep(struct rc_job *job, const char *prefix,
                                                          int64_t begun_before_unix_ms,
                                                          int64_t *swept, struct rc_error *err)
{
    return job->host->storage->sweep(job, prefix, begun_before_unix_ms, swept, err);
}

/*
 * The same of exactly one object, whoever else's names begin like it: uploads that were begun at or
 * after one time and before another, give or take what the store's clock differs. Since 1.4.
 */
static inline RC_MUST_CHECK enum rc_code
rc_storage_sweep_object(struct rc_job *job, const char *uri, int64_t begun_from_unix_ms,
                        int64_t begun_before_unix_ms, int64_t *swept, struct rc_error *err)
{
    return job->host->storage->sweep_object(job, uri, begun_from_unix_ms, begun_before_unix_ms,
                                            swept, err);
}

static inline RC_MUST_CHECK enum rc_code rc_storage_write(struct rc_job *job,
                                                          struct rc_writer *writer,
                                                          const void *data, size_t len,
                                                          struct rc_error *err)
{
    return job->host->storage->write(writer, data, len, err);
}

/* Publishes what was written; as rc_storage_put() otherwise. The writer is still to be closed. */
static inline RC_MUST_CHECK enum rc_code
rc_storage_commit(struct rc_job *job, struct rc_writer *writer, struct rc_error *err)
{
    return job->host->storage->commit(writer, err);
}

/* Frees the writer. Without a commit before, nothing of it remains. */
static inline void rc_storage_write_close(struct rc_job *job, struct rc_writer *writer)
{
    if (writer)
        job->host->storage->write_close(writer);
}

/* Copies an object, inside the store where it can. */
static inline RC_MUST_CHECK enum rc_code rc_storage_copy(struct rc_job *job, const char *source,
                                                         const char *target, struct rc_error *err)
{
    return job->host->storage->copy(job, source, target, err);
}

/*
 * The same of a source that has that entity tag (NULL: any). RC_CONFLICT: it is another one now.
 * Since 1.4.
 */
static inline RC_MUST_CHECK enum rc_code
rc_storage_copy_with(struct rc_job *job, const char *source, const char *source_if_match,
                     const char *target, struct rc_error *err)
{
    return job->host->storage->copy_with(job, source, source_if_match, target, err);
}

/* Copies, then removes the source. After a failure there may be both, never neither. */
static inline RC_MUST_CHECK enum rc_code rc_storage_move(struct rc_job *job, const char *source,
                                                         const char *target, struct rc_error *err)
{
    return job->host->storage->move(job, source, target, err);
}

/*
 * Removes objects; one that is not there counts as removed. After a failure some may be gone. In a
 * bucket with versions each is only marked as removed: what it held remains, as a version.
 */
static inline RC_MUST_CHECK enum rc_code
rc_storage_remove(struct rc_job *job, const char *const *uris, size_t count, struct rc_error *err)
{
    return job->host->storage->remove(job, uris, count, err);
}

/*
 * Removes one object. With 'if_match' RC_CONFLICT: it is another one now, or there was none when
 * the call began. With 'version' that one is gone for ever, be it the current one or the mark of a
 * removal; it counts as removed if it is not there. RC_INVALID: both. Since 1.4.
 */
static inline RC_MUST_CHECK enum rc_code
rc_storage_remove_with(struct rc_job *job, const char *uri, const struct rc_remove_options *options,
                       struct rc_error *err)
{
    return job->host->storage->remove_with(job, uri, options, err);
}

/* ---- http --------------------------------------------------------------------------------- */

/*
 * Makes a request and waits for its answer. RC_OK: one came, whatever its status says. The request
 * is borrowed for the call; what the answer held before is dropped.
 *
 * RC_UNAVAILABLE: no connection, or it broke, at each attempt. RC_TIMEOUT: a limit of time was
 * reached; of a request that changes something it is then not known whether it did. RC_INVALID: the
 * URL, or a certificate that does not prove the server. RC_TOO_LARGE: the answer. Messages name the
 * request by its name, never by its URL.
 */
static inline RC_MUST_CHECK enum rc_code rc_http_call(struct rc_job *job,
                                                      const struct rc_http_request *request,
                                                      struct rc_http_answer *answer,
                                                      struct rc_error *err)
{
    return job->host->http->call(job, request, answer, err);
}

/*
 * The same up to the head of the answer. A body that comes with a status of 2xx is then read from
 * *out, at the reader's pace; with another status, and under --dry-run of a request that is not
 * made, *out is NULL and what body there is is in the answer.
 */
static inline RC_MUST_CHECK enum rc_code
rc_http_open(struct rc_job *job, const struct rc_http_request *request,
             struct rc_http_answer *answer, struct rc_http_stream **out, struct rc_error *err)
{
    return job->host->http->open(job, request, answer, out, err);
}

/*
 * *len is 0 only at the end. RC_UNAVAILABLE: the body was cut short, and what came before was read;
 * it is not asked for again.
 */
static inline RC_MUST_CHECK enum rc_code rc_http_read(struct rc_job *job,
                                                      struct rc_http_stream *stream, void *data,
                                                      size_t capacity, size_t *len,
                                                      struct rc_error *err)
{
    return job->host->http->read(stream, data, capacity, len, err);
}

static inline void rc_http_close(struct rc_job *job, struct rc_http_stream *stream)
{
    if (stream)
        job->host->http->close(stream);
}

/* The first header of that name, which is in lower case; NULL: there is none. Borrowed. */
static inline const char *rc_http_answer_header(const struct rc_http_answer *answer,
                                                const char *name)
{
    const char *at = answer->headers.data, *end = at + answer->headers.len;

    while (at < end) {
        const char *value = at + strlen(at) + 1;

        if (strcmp(at, name) == 0)
            return value;
        at = value + strlen(value) + 1;
    }
    return NULL;
}

/* ---- transfer ----------------------------------------------------------------------------- */

/*
 * Copies, moves or removes many objects, as the request says; *out (may be NULL) counts what was
 * done either way. The first failure is the error, and with RC_TRANSFER_KEEP_GOING it comes once
 * all else is done.
 *
 * RC_INVALID: the request makes no sense. RC_CONFLICT: a source was replaced meanwhile.
 */
static inline RC_MUST_CHECK enum rc_code rc_transfer_run(struct rc_job *job,
                                                         const struct rc_transfer *transfer,
                                                         struct rc_transferred *out,
                                                         struct rc_error *err)
{
    return job->host->transfer->run(job, transfer, out, err);
}

/* ---- buckets ------------------------------------------------------------------------------ */

/*
 * What is known of the bucket that 'uri' leads into. One that is not there is RC_OK, with 'exists'
 * NO; RC_DENIED: not even that may be asked.
 */
static inline RC_MUST_CHECK enum rc_code rc_bucket_look(struct rc_job *job, const char *uri,
                                                        struct rc_bucket *out, struct rc_error *err)
{
    return job->host->bucket->look(job, uri, out, err);
}

/* RC_OK if it is there already and ours; RC_CONFLICT: it belongs to somebody else. */
static inline RC_MUST_CHECK enum rc_code rc_bucket_create(struct rc_job *job, const char *uri,
                                                          struct rc_error *err)
{
    return job->host->bucket->create(job, uri, err);
}

/* From now on what is written is encrypted by the store with keys of its own (AES-256). */
static inline RC_MUST_CHECK enum rc_code rc_bucket_encrypt(struct rc_job *job, const char *uri,
                                                           struct rc_error *err)
{
    return job->host->bucket->encrypt(job, uri, err);
}

/*
 * From now on the store removes every object 'days' (1 and more) after it was written, and gives up
 * unfinished uploads likewise. Other rules that the bucket has stay as they are. RC_CONFLICT:
 * somebody else changed the rules at the same time. RC_INVALID: a store has 'uri' in a folder of a
 * bucket, so that the other folders would be emptied as well.
 */
static inline RC_MUST_CHECK enum rc_code rc_bucket_expire(struct rc_job *job, const char *uri,
                                                          int64_t days, struct rc_error *err)
{
    return job->host->bucket->expire(job, uri, days, err);
}

/* ---- db ----------------------------------------------------------------------------------- */

/*
 * Opens the plugin's schema and brings it up to the last migration. RC_INVALID: it is newer than
 * that.
 */
static inline RC_MUST_CHECK enum rc_code rc_db_open(struct rc_job *job,
                                                    const struct rc_migration *migrations,
                                                    size_t count, struct rc_db **out,
                                                    struct rc_error *err)
{
    return job->host->db->open(job, migrations, count, out, err);
}

/* An open transaction is rolled back. */
static inline void rc_db_close(struct rc_job *job, struct rc_db *db)
{
    if (db)
        job->host->db->close(db);
}

/*
 * RC_CONFLICT: a constraint does not hold, or a transaction of another lost the race: retry the
 * transaction.
 */
static inline RC_MUST_CHECK enum rc_code rc_db_exec(struct rc_job *job, struct rc_db *db,
                                                    const char *statement,
                                                    const struct rc_value *params,
                                                    size_t param_count, int64_t *changed,
                                                    struct rc_error *err)
{
    return job->host->db->exec(db, statement, params, param_count, changed, err);
}

static inline RC_MUST_CHECK enum rc_code rc_db_query(struct rc_job *job, struct rc_db *db,
                                                     const char *statement,
                                                     const struct rc_value *params,
                                                     size_t param_count, struct rc_rows **out,
                                                     struct rc_error *err)
{
    return job->host->db->query(db, statement, params, param_count, out, err);
}

/* Transactions do not nest. */
static inline RC_MUST_CHECK enum rc_code rc_db_begin(struct rc_job *job, struct rc_db *db,
                                                     struct rc_error *err)
{
    return job->host->db->begin(db, err);
}

static inline RC_MUST_CHECK enum rc_code rc_db_commit(struct rc_job *job, struct rc_db *db,
                                                      struct rc_error *err)
{
    return job->host->db->commit(db, err);
}

static inline void rc_db_rollback(struct rc_job *job, struct rc_db *db)
{
    job->host->db->rollback(db);
}

/* ---- lock --------------------------------------------------------------------------------- */

/*
 * Takes the lock 'name' (any text up to 200 bytes), waiting at most 'wait_ms'.
 * RC_CONFLICT: another run holds it; the message names that run.
 */
static inline RC_MUST_CHECK enum rc_code rc_lock_acquire(struct rc_job *job, const char *name,
                                                         int64_t wait_ms, struct rc_lock **out,
                                                         struct rc_error *err)
{
    return job->host->lock->acquire(job, name, wait_ms, out, err);
}

/* RC_CONFLICT: the lease was lost; stop changing what it protects. */
static inline RC_MUST_CHECK enum rc_code rc_lock_check(struct rc_job *job, struct rc_lock *lock,
                                                       struct rc_error *err)
{
    return job->host->lock->check(lock, err);
}

/* Rises with every acquisition of that name: lets a store refuse writes of an older holder. */
static inline int64_t rc_lock_token(struct rc_job *job, const struct rc_lock *lock)
{
    return job->host->lock->token(lock);
}

static inline void rc_lock_release(struct rc_job *job, struct rc_lock *lock)
{
    if (lock)
        job->host->lock->release(lock);
}

/* ---- parallel ----------------------------------------------------------------------------- */

/*
 * Calls 'work' for each index below 'count' in at most 'width' threads and waits for all. The first
 * error is returned and starts no further item; those under way see it as a cancellation.
 */
static inline RC_MUST_CHECK enum rc_code rc_parallel(struct rc_job *job, size_t width, size_t count,
                                                     rc_parallel_fn *work, void *context,
                                                     struct rc_error *err)
{
    return job->host->parallel->run(job, width, count, work, context, err);
}

/* ---- exchange ----------------------------------------------------------------------------- */

/* "GET", "POST", ... */
static inline const char *rc_exchange_method(struct rc_job *job, const struct rc_exchange *exchange)
{
    return job->host->exchange->method(exchange);
}

/* The path as asked for, decoded, without the query. */
static inline const char *rc_exchange_path(struct rc_job *job, const struct rc_exchange *exchange)
{
    return job->host->exchange->path(exchange);
}

/* What stands in place of {name} in the route's path, decoded. */
static inline const char *rc_exchange_param(struct rc_job *job, const struct rc_exchange *exchange,
                                            const char *name)
{
    return job->host->exchange->param(exchange, name);
}

/* The first parameter of that name in the query, decoded; "" where it has no value. */
static inline const char *rc_exchange_query(struct rc_job *job, const struct rc_exchange *exchange,
                                            const char *name)
{
    return job->host->exchange->query(exchange, name);
}

/* The value of a header of the request; the case of its name does not matter. */
static inline const char *rc_exchange_header(struct rc_job *job, const struct rc_exchange *exchange,
                                             const char *name)
{
    return job->host->exchange->header(exchange, name);
}

/* The whole body, followed by a NUL that '*len_bytes' does not count; never NULL. */
static inline const char *rc_exchange_body(struct rc_job *job, const struct rc_exchange *exchange,
                                           size_t *len_bytes)
{
    return job->host->exchange->body(exchange, len_bytes);
}

/*
 * Whether the client is on this machine, or the daemon has let it in. What answers nobody else
 * needs no further proof of who asks. Since 1.6.
 */
static inline bool rc_exchange_is_local(struct rc_job *job, const struct rc_exchange *exchange)
{
    return job->host->exchange->is_local(exchange);
}

/* Adds a header to the reply to come. A name or value that is none in HTTP is left out. */
static inline void rc_exchange_add_header(struct rc_job *job, struct rc_exchange *exchange,
                                          const char *name, const char *value)
{
    job->host->exchange->add_header(exchange, name, value);
}

/* Answers, once: a second reply is ignored with a warning. Copies 'data'. */
static inline void rc_exchange_reply(struct rc_job *job, struct rc_exchange *exchange,
                                     unsigned status, const char *content_type, const void *data,
                                     size_t len_bytes)
{
    job->host->exchange->reply(exchange, status, content_type, data, len_bytes);
}

#include <run-core/host_sql.h>

#endif
