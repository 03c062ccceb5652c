/*
 * What the parts of the fake host share. fake_host.c has the job, the log and the faults,
 * fake_death.c the end of a process; each other part one or two of the services.
 */
#ifndef FAKE_INTERNAL_H
#define FAKE_INTERNAL_H

#include <run-core/fake_host.h>

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>

enum { FAKE_RULES = 16, FAKE_COUNTERS = 64, FAKE_TEXT_LIMIT = 64 << 20 };

struct fake_object {
    char *uri;
    char *data; /* followed by a NUL */
    size_t len;
    struct rc_stat stat;
    char *attributes; /* as rc_fake_host_attributes() gives them */
    int64_t number;   /* rises from one to the next */
    char version[40]; /* empty: none */
};

/* What an object was, or the mark of its removal. */
struct fake_version {
    struct fake_object object;
    bool is_removal;
};

struct fake_entry {
    char *uri, *version;
    int64_t number;
    bool is_prefix, is_current, is_removal;
    struct rc_stat stat;
};

/* Serves the fake itself or stands before one of the base. */
struct rc_listing {
    struct fake_job *job;
    struct rc_listing *base;
    struct fake_entry *entries;
    size_t count, next, prefix_len;
    struct rc_object object;
    struct rc_version version;
};

/* A store that the plugin defined, with its own texts. */
struct fake_store {
    struct rc_store is;
    char *name, *url, *endpoint, *region, *id, *secret, *token;
};

/* An upload that was begun and never finished. */
struct fake_upload {
    char *uri;
    int64_t begun_unix_ms;
};

struct fake_bucket {
    char *name;
    struct rc_bucket is;
};

struct fake_http_answer {
    char *text; /* NULL fits all */
    int times;
    unsigned status;
    struct rc_buf headers; /* as those of struct rc_http_answer */
    char *body;
    size_t body_len;
};

struct fake_http_request {
    char *name, *method, *url, *headers, *body, *user, *password, *credentials;
    size_t body_len;
    unsigned flags;
    int auth;
};

struct fake_answer {
    char *text;
    const char *const *columns;
    size_t column_count;
    const struct rc_value *cells;
    size_t row_count;
    int64_t count;
    enum rc_code code;
    char *cause;
};

struct fake_statement {
    const char *verb;
    char *text, *location;
};

struct fake_rule {
    char *service, *subject; /* NULL fits all */
    int times;
    enum rc_code code;
};

struct fake_counter {
    char name[64];
    int64_t sum;
};

struct fake_lock_name {
    char *name;
    int64_t token;
    bool held, by_other;
};

/* How the call that a job is in ends, once it has had its effect. */
enum fake_end { FAKE_GOES_ON, FAKE_DIES, FAKE_IS_LOST };

/* A job as the plugin sees it; the workers of a pool have one each. */
struct fake_job {
    struct rc_job job; /* first: a job that comes back is cast to this */
    struct rc_fake_host *fake;
    struct rc_job *base;     /* the job to forward with, or NULL */
    const atomic_bool *stop; /* of the pool, or NULL */
    enum fake_end end;
};

struct rc_fake_host {
    struct rc_host host;
    struct fake_job main;

    /* Guards all below; not held while a base or a plugin is called. */
    pthread_mutex_t mutex;
    int calls, fail_at, cancel_at;
    enum rc_code fail_code, lose_code;
    int die_at, lose_at;
    bool dies_after, is_dead;
    rc_fake_hook *hook;
    void *hook_context;
    int revivals;
    struct fake_rule rules[FAKE_RULES];
    size_t rule_count;
    bool cancelled;
    bool threads;
    int held_back, open_handles;
    int64_t remaining_ms;
    int offset_minutes;
    int64_t progress_done, progress_total;
    struct fake_counter counters[FAKE_COUNTERS];
    size_t counter_count;
    struct rc_buf log, said, shown, listed;
    char *temp_dir;

    struct fake_object *objects; /* sorted by URI */
    size_t object_count;
    int64_t writes;
    struct fake_version *history;
    size_t history_count;
    char **versioned; /* the prefixes below which versions are kept */
    size_t versioned_count;

    struct fake_store *stores;
    size_t store_count;
    struct fake_upload *uploads;
    size_t upload_count;
    struct fake_bucket *buckets;
    size_t bucket_count;

    struct fake_answer *answers;
    size_t answer_count;
    struct fake_statement *statements;
    size_t statement_count;
    uint32_t engine_features;

    struct fake_http_answer *http_answers;
    size_t http_answer_count;
    struct fake_http_request *http_requests;
    size_t http_request_count;

    const struct rc_plugin *plugin; /* the one that runs; NULL: not known */
    struct rc_fake_submitted *submits;
    size_t submit_count;

    sqlite3 *db;

    struct fake_lock_name *locks;
    size_t lock_count;
    int lock_losses;

    unsigned reply_status; /* of the last request to a route; 0: no reply */
    struct rc_buf reply_body, reply_headers;

    void **owned; /* what bound configurations live in */
    size_t owned_count;
};

static inline struct fake_job *fake_job_of(struct rc_job *job)
{
    return (struct fake_job *)job;
}

/* The base's table of a service ("storage"), or NULL when the fake does the work itself. */
#define FAKE_BASE(fake_job, service) ((fake_job)->base ? (fake_job)->base->host->service : NULL)

/* What every call that can fail begins with: counts it, and injects the fault that is due. */
RC_MUST_CHECK enum rc_code fake_call(struct fake_job *job, const char *service, const char *subject,
                                     struct rc_error *err);

/*
 * What a call that changes something ends with: 'code', unless it is the one whose answer is lost,
 * or after which the process dies.
 */
RC_MUST_CHECK enum rc_code fake_end(struct fake_job *job, enum rc_code code, struct rc_error *err);
/* Whether the process dies here, or has died. The caller holds the mutex. */
RC_MUST_CHECK enum rc_code fake_death(struct fake_job *job, const char *service, int call,
                                      struct rc_error *err);

/* The fault that a rule wants here, where no host call begins; or that of a wish to stop. */
RC_MUST_CHECK enum rc_code fake_rule(struct rc_fake_host *fake, const char *service,
                                     const char *subject, struct rc_error *err);

/* Whether --dry-run holds the change back, which is then logged and counted. */
bool fake_held_back(struct fake_job *job, const char *what, const char *subject);

/* Appends room for one element to an array; returns the new element, zeroed. */
void *fake_grow(void *array, size_t *count, size_t size);

void fake_opened(struct rc_fake_host *fake);
void fake_closed(struct rc_fake_host *fake);

/* Memory that lives as long as the host. */
void *fake_own(struct rc_fake_host *fake, void *memory);

extern const struct rc_storage_api fake_storage_api;
extern const struct rc_sql_api fake_sql_api;
extern const struct rc_db_api fake_db_api;
extern const struct rc_lock_api fake_lock_api;
extern const struct rc_parallel_api fake_parallel_api;
extern const struct rc_exchange_api fake_exchange_api;
extern const struct rc_http_api fake_http_api;
extern const struct rc_transfer_api fake_transfer_api;
extern const struct rc_bucket_api fake_bucket_api;

RC_MUST_CHECK enum rc_code fake_submit(struct rc_job *job, const char *action,
                                       const struct rc_pair *params, size_t param_count,
                                       char run_id[RC_RUN_ID_TEXT], struct rc_error *err);

void fake_storage_clear(struct rc_fake_host *fake);
void fake_store_clear(struct rc_fake_host *fake);
void fake_bucket_clear(struct rc_fake_host *fake);
void fake_sql_clear(struct rc_fake_host *fake);
void fake_http_clear(struct rc_fake_host *fake);
void fake_submit_clear(struct rc_fake_host *fake);
void fake_db_clear(struct rc_fake_host *fake);
void fake_lock_clear(struct rc_fake_host *fake);
void fake_versions_clear(struct rc_fake_host *fake);
void fake_rules_clear(struct rc_fake_host *fake);
void fake_statements_clear(struct rc_fake_host *fake);
void fake_temp_dir_clear(struct rc_fake_host *fake);
/* What the end of a process does. */
void fake_db_rollback(struct rc_fake_host *fake);
void fake_locks_free(struct rc_fake_host *fake);
void fake_stores_forget(struct rc_fake_host *fake);

/* Puts the base's rows behind fault injection. Takes 'rows'. */
struct rc_rows *fake_rows_wrap(struct fake_job *job, struct rc_rows *rows);

/* ---- storage and versions; callers hold the mutex ------------------------------------------- */

struct fake_object *fake_lookup(const struct rc_fake_host *fake, const char *uri);
/* The arguments may belong to the object that is replaced. */
void fake_object_store(struct rc_fake_host *fake, const char *uri, const char *data, size_t len,
                       const char *attributes);
void fake_object_drop(struct rc_fake_host *fake, const char *uri);
/* For ever. What was there before it is the current one then, unless that is a mark. */
void fake_object_drop_version(struct rc_fake_host *fake, const char *uri, const char *version);
/* As rc_fake_host_attributes() gives them; freed with free(). NULL for NULL. */
char *fake_describe(const struct rc_attributes *attributes);

bool fake_is_versioned(const struct rc_fake_host *fake, const char *uri);
/* Takes the object. */
void fake_history_add(struct rc_fake_host *fake, struct fake_object object, bool is_removal);
/* 'version' NULL: the newest of that name. NULL: there is none. */
const struct fake_version *fake_history_find(const struct rc_fake_host *fake, const char *uri,
                                             const char *version);
bool fake_history_take(struct rc_fake_host *fake, const char *uri, const char *version,
                       struct fake_version *out);
void fake_object_clear(struct fake_object *object);
void fake_list_versions(struct rc_fake_host *fake, const char *prefix, struct rc_listing *listing);
void fake_entries_clear(struct rc_listing *listing);
/* 'version' NULL: the current one. NULL: no such object, or the mark of a removal. */
const struct fake_object *fake_storage_lookup(const struct rc_fake_host *fake, const char *uri,
                                              const char *version);

/* ---- storage, for other services ------------------------------------------------------------ */

/* Whether there is an object of that name; 'out' (may be NULL) then says what is known of it. */
bool fake_storage_find(struct rc_fake_host *fake, const char *uri, struct rc_stat *out);
/* Of one that is there. With 'attributes' (may be NULL) in place of the source's. */
void fake_storage_copy(struct rc_fake_host *fake, const char *source, const char *target,
                       const struct rc_attributes *attributes);
bool fake_storage_same(struct rc_fake_host *fake, const char *a, const char *b);
/* RC_INVALID: no URI, or one of a store that was not defined. */
RC_MUST_CHECK enum rc_code fake_storage_check(struct rc_fake_host *fake, const char *uri,
                                              struct rc_error *err);
RC_MUST_CHECK enum rc_code fake_storage_define(struct rc_job *job, const struct rc_store *store,
                                               struct rc_error *err);
RC_MUST_CHECK enum rc_code fake_storage_sweep(struct rc_job *job, const char *prefix,
                                              int64_t begun_before_unix_ms, int64_t *swept,
                                              struct rc_error *err);
RC_MUST_CHECK enum rc_code fake_storage_sweep_object(struct rc_job *job, const char *uri,
                                                     int64_t begun_from_unix_ms,
                                                     int64_t begun_before_unix_ms, int64_t *swept,
                                                     struct rc_error *err);
void fake_storage_drop(struct rc_fake_host *fake, const char *uri);
/* The URIs that begin with 'prefix', in the order of bytes; the texts and the array are freed. */
char **fake_storage_uris(struct rc_fake_host *fake, const char *prefix, size_t *count);

/* Removes all objects that begin with 'prefix', and puts one; for written SQL results. */
void fake_storage_replace(struct rc_fake_host *fake, const char *prefix, const char *uri,
                          const char *data, size_t len);

#endif
