/*
 * The shared part of remote storage: one HTTP client and one set of credentials for each named
 * store. What requests look like is the backends' business.
 */
#include <storage/remote.h>

#include <base/arena.h>
#include <base/url.h>
#include <os/backoff.h>

#include <run-core/str.h>

#include <pthread.h>
#include <stdlib.h>

/* Of one named store, or of all others. Its members are made when they are first wanted. */
struct member {
    struct member *next;
    const struct core_store_settings *store;
    struct core_http_client *http;
    struct core_aws_credentials *aws;
    struct core_google_credentials *google;
    struct core_remote_s3 s3;
    bool has_s3;
};

/* A store that was defined, and its texts. */
struct defined {
    struct defined *next;
    struct core_arena arena;
    struct core_store_settings settings;
};

struct note {
    struct note *next;
    char *endpoint, *bucket, *text;
};

struct core_remote {
    const struct core_settings *settings;
    void (*record)(void *context, const struct core_http_record *record);
    void *record_context;
    pthread_mutex_t mutex; /* over all that follows */
    struct member *members;
    struct note *notes;
    struct defined *defined;
};

struct core_remote *core_remote_new(const struct core_settings *settings,
                                    void (*record)(void *context,
                                                   const struct core_http_record *record),
                                    void *record_context)
{
    struct core_remote *remote = rc_malloc(sizeof(*remote));

    *remote = (struct core_remote){
        .settings = settings,
        .record = record,
        .record_context = record_context,
    };
    (void)pthread_mutex_init(&remote->mutex, NULL);
    return remote;
}

static void free_member(struct member *member)
{
    core_aws_credentials_free(member->aws);
    core_google_credentials_free(member->google);
    core_http_client_free(member->http);
    free(member->s3.endpoint);
    free(member->s3.region);
    free(member->s3.name);
    free(member);
}

static void free_note(struct note *note)
{
    free(note->endpoint);
    free(note->bucket);
    free(note->text);
    free(note);
}

void core_remote_free(struct core_remote *remote)
{
    if (!remote)
        return;
    for (struct member *member = remote->members, *next; member; member = next) {
        next = member->next;
        free_member(member);
    }
    for (struct note *note = remote->notes, *next; note; note = next) {
        next = note->next;
        free_note(note);
    }
    for (struct defined *defined = remote->defined, *next; defined; defined = next) {
        next = defined->next;
        core_arena_clear(&defined->arena);
        free(defined);
    }
    (void)pthread_mutex_destroy(&remote->mutex);
    free(remote);
}

int64_t core_remote_pause_ms(const struct core_remote *remote, int64_t failures)
{
    const struct core_settings *settings = remote ? remote->settings : NULL;
    struct core_backoff backoff = core_backoff_near;

    if (settings)
        backoff = (struct core_backoff){ .first_ms = settings->http.backoff_ms,
                                         .longest_ms = settings->http.max_backoff_ms };
    return core_backoff_ms(&backoff, failures);
}

static void lock(struct core_remote *remote)
{
    (void)pthread_mutex_lock(&remote->mutex);
}

static void unlock(struct core_remote *remote)
{
    (void)pthread_mutex_unlock(&remote->mutex);
}

/* ---- the members of a store, under the lock -------------------------------------------------- */

static struct member *find_member(struct core_remote *remote,
                                  const struct core_store_settings *store)
{
    struct member *member = remote->members;

    while (member && member->store != store)
        member = member->next;
    if (!member) {
        member = rc_calloc(1, sizeof(*member));
        member->store = store;
        member->next = remote->members;
        remote->members = member;
    }
    return member;
}

static struct core_http_client *http_of(struct core_remote *remote, struct member *member)
{
    const struct core_settings *settings = remote->settings;
    const struct core_store_settings *store = member->store;
    struct core_http_client_settings http = {
        .record = remote->record,
        .record_context = remote->record_context,
    };

    if (member->http)
        return member->http;
    if (settings) {
        http.ca_file = settings->http.ca_file;
        http.proxy = settings->http.proxy;
        http.connect_ms = settings->http.connect_ms;
        http.idle_ms = settings->http.idle_ms;
        http.attempts = (unsigned)settings->http.attempts;
        http.backoff_ms = settings->http.backoff_ms;
        http.max_backoff_ms = settings->http.max_backoff_ms;
    }
    if (store) {
        http.ca_file = store->ca_file ? store->ca_file : http.ca_file;
        http.proxy = store->proxy ? store->proxy : http.proxy;
        http.connections = (unsigned)store->connections;
        http.requests_per_s = store->requests_per_s;
    }
    member->http = core_http_client_new(&http);
    return member->http;
}

static struct core_aws_credentials *aws_of(struct core_remote *remote, struct member *member)
{
    const struct core_store_settings *store = member->store;
    struct core_aws_credentials_settings aws = { .http = http_of(remote, member) };

    if (member->aws)
        return member->aws;
    if (store) {
        aws.anonymous = store->anonymous;
        aws.access_key_id = store->access_key_id;
        aws.secret_access_key = store->secret_access_key;
        aws.session_token = store->session_token;
        aws.profile = store->profile;
        aws.role_arn = store->role_arn;
        aws.external_id = store->external_id;
        aws.role_session_name = store->role_session_name;
        aws.region = store->region;
    }
    member->aws = core_aws_credentials_new(&aws);
    return member->aws;
}

static struct core_google_credentials *google_of(struct core_remote *remote, struct member *member)
{
    const struct core_store_settings *store = member->store;
    struct core_google_credentials_settings google = { .http = http_of(remote, member) };

    if (member->google)
        return member->google;
    if (store) {
        google.anonymous = store->anonymous;
        google.access_token = store->access_token;
        google.file = store->service_account_file;
    }
    member->google = core_google_credentials_new(&google);
    return member->google;
}

static enum rc_code find_s3(struct member *member, struct rc_error *err)
{
    const struct core_store_settings *store = member->store;
    const char *profile = store ? store->profile : NULL;
    const char *endpoint;

    if (member->has_s3)
        return RC_OK;
    if (!store || !store->endpoint) {
        free(member->s3.endpoint);
        member->s3.endpoint = NULL;
        if (core_aws_endpoint(profile, "s3", &member->s3.endpoint, err))
            return rc_context(err, "find the S3 endpoint");
    }
    if (store && store->region)
        member->s3.region = rc_strdup(store->region);
    else if (core_aws_region(profile, &member->s3.region, err))
        return rc_context(err, "find the region");
    endpoint = store && store->endpoint ? store->endpoint : member->s3.endpoint;
    RC_STR_AUTO shown = endpoint ? core_url_public(endpoint) : NULL;
    member->s3.name =
        shown ? rc_strf("the S3 server '%s'", shown) : rc_strdup("the S3 server of AWS");
    member->has_s3 = true;
    return RC_OK;
}

/* ---- what others see ------------------------------------------------------------------------- */

struct core_http_client *core_remote_http(struct core_remote *remote,
                                          const struct core_store_settings *store)
{
    struct core_http_client *http;

    lock(remote);
    http = http_of(remote, find_member(remote, store));
    unlock(remote);
    return http;
}

struct core_aws_credentials *core_remote_aws(struct core_remote *remote,
                                             const struct core_store_settings *store)
{
    struct core_aws_credentials *aws;

    lock(remote);
    aws = aws_of(remote, find_member(remote, store));
    unlock(remote);
    return aws;
}

struct core_google_credentials *core_remote_google(struct core_remote *remote,
                                                   const struct core_store_settings *store)
{
    struct core_google_credentials *google;

    lock(remote);
    google = google_of(remote, find_member(remote, store));
    unlock(remote);
    return google;
}

enum rc_code core_remote_s3(struct core_remote *remote, const struct core_store_settings *store,
                            struct core_remote_s3 **out, struct rc_error *err)
{
    struct member *member;
    enum rc_code code;

    lock(remote);
    member = find_member(remote, store);
    code = find_s3(member, err);
    *out = code ? NULL : &member->s3;
    unlock(remote);
    return code;
}

/* ---- stores that were defined ---------------------------------------------------------------- */

static struct defined *find_defined(struct core_remote *remote, const char *name)
{
    struct defined *defined = remote->defined;

    while (defined && !rc_str_eq(defined->settings.name, name))
        defined = defined->next;
    return defined;
}

/* In what may be said of a store that is defined. */
static bool is_same(const struct core_store_settings *a, const struct core_store_settings *b)
{
    return rc_str_eq(a->url, b->url) && rc_str_eq(a->endpoint, b->endpoint) &&
           rc_str_eq(a->region, b->region) && rc_str_eq(a->access_key_id, b->access_key_id) &&
           rc_str_eq(a->secret_access_key, b->secret_access_key) &&
           rc_str_eq(a->session_token, b->session_token);
}

static struct defined *keep(const struct core_store_settings *store)
{
    struct defined *defined = rc_calloc(1, sizeof(*defined));
    struct core_arena *arena = &defined->arena;

    defined->settings = (struct core_store_settings){
        .name = core_arena_strdup(arena, store->name),
        .bucket = core_arena_strdup(arena, store->bucket),
        .url = core_arena_strdup(arena, store->url),
        .region = core_arena_strdup(arena, store->region),
        .endpoint = core_arena_strdup(arena, store->endpoint),
        .access_key_id = core_arena_strdup(arena, store->access_key_id),
        .secret_access_key = core_arena_strdup(arena, store->secret_access_key),
        .session_token = core_arena_strdup(arena, store->session_token),
    };
    return defined;
}

enum rc_code core_remote_define(struct core_remote *remote, const struct core_store_settings *store,
                                struct rc_error *err)
{
    const struct defined *other;
    bool is_other;

    lock(remote);
    other = find_defined(remote, store->name);
    is_other = other && !is_same(&other->settings, store);
    if (!other) {
        struct defined *defined = keep(store);

        defined->next = remote->defined;
        remote->defined = defined;
    }
    unlock(remote);
    if (is_other)
        return rc_fail(err, RC_CONFLICT, "this run has another store '%s' already", store->name);
    return RC_OK;
}

const struct core_store_settings *core_remote_defined(struct core_remote *remote, const char *name)
{
    const struct defined *defined;

    lock(remote);
    defined = find_defined(remote, name);
    unlock(remote);
    return defined ? &defined->settings : NULL;
}

/* ---- notes ----------------------------------------------------------------------------------- */

static struct note *find_note(struct core_remote *remote, const char *endpoint, const char *bucket)
{
    struct note *note = remote->notes;

    while (note && !(rc_str_eq(note->endpoint, endpoint) && rc_str_eq(note->bucket, bucket)))
        note = note->next;
    return note;
}

char *core_remote_recall(struct core_remote *remote, const char *endpoint, const char *bucket)
{
    struct note *note;
    char *text;

    lock(remote);
    note = find_note(remote, endpoint, bucket);
    text = note ? rc_strdup(note->text) : NULL;
    unlock(remote);
    return text;
}

void core_remote_note(struct core_remote *remote, const char *endpoint, const char *bucket,
                      const char *text)
{
    struct note *note;

    lock(remote);
    note = find_note(remote, endpoint, bucket);
    if (!note) {
        note = rc_calloc(1, sizeof(*note));
        note->endpoint = rc_strdup(endpoint);
        note->bucket = rc_strdup(bucket);
        note->next = remote->notes;
        remote->notes = note;
    }
    free(note->text);
    note->text = rc_strdup(text);
    unlock(remote);
}
