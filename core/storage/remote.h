/*
 * What the object stores of a run share: for each named store an HTTP client and credentials,
 * and what was learnt of buckets on the way; and the stores that no configuration names. Made when
 * first wanted; thread-safe.
 */
#ifndef CORE_STORAGE_REMOTE_H
#define CORE_STORAGE_REMOTE_H

#include <cloud/aws_credentials.h>
#include <cloud/google_credentials.h>
#include <config/config.h>

#include <stdatomic.h>

struct core_remote;

/* 'settings' (may be NULL) and 'record' (as that of an HTTP client) outlive it. */
struct core_remote *core_remote_new(const struct core_settings *settings,
                                    void (*record)(void *context,
                                                   const struct core_http_record *record),
                                    void *record_context);
void core_remote_free(struct core_remote *remote);

/*
 * The pause after so many failures, see core_backoff_ms(), as core.http.backoff and max_backoff
 * say. 'remote' may be NULL.
 */
int64_t core_remote_pause_ms(const struct core_remote *remote, int64_t failures);

/*
 * Those of a named store, or of all that are not named (NULL). They belong to 'remote'. A store is
 * known by its address, so its settings must not move.
 */
struct core_http_client *core_remote_http(struct core_remote *remote,
                                          const struct core_store_settings *store);
struct core_aws_credentials *core_remote_aws(struct core_remote *remote,
                                             const struct core_store_settings *store);
struct core_google_credentials *core_remote_google(struct core_remote *remote,
                                                   const struct core_store_settings *store);

/*
 * A store beside the configured ones. Its settings and their texts are copied and stay as long as
 * the remote. The same again changes nothing; RC_CONFLICT: there is another one of that name.
 */
RC_MUST_CHECK enum rc_code core_remote_define(struct core_remote *remote,
                                              const struct core_store_settings *store,
                                              struct rc_error *err);
/* NULL: none of that name was defined. */
const struct core_store_settings *core_remote_defined(struct core_remote *remote, const char *name);

/* Where the S3 requests of a store go. */
struct core_remote_s3 {
    char *endpoint; /* as the environment and the profile say; NULL: AWS's own */
    char *region;   /* as the settings, the environment and the profile say; NULL: none does */
    char *name;     /* for errors */
    _Atomic int64_t clock_ahead_ms; /* of the server's clock, as far as known */
};

/* RC_INVALID: a profile file makes no sense. */
RC_MUST_CHECK enum rc_code core_remote_s3(struct core_remote *remote,
                                          const struct core_store_settings *store,
                                          struct core_remote_s3 **out, struct rc_error *err);

/* A short text about a bucket, such as its region. The caller frees it; NULL: not known yet. */
char *core_remote_recall(struct core_remote *remote, const char *endpoint, const char *bucket);
void core_remote_note(struct core_remote *remote, const char *endpoint, const char *bucket,
                      const char *text);

#endif
