/*
 * Finds Google's credentials and keeps the access token that they give. How one is fetched is in
 * google_fetch.c. Files are read anew for each token, so that a key that was changed is taken up.
 */
#include <cloud/google_credentials.h>

#include <cloud/google_fetch.h>
#include <config/secrets.h>
#include <os/clock.h>
#include <os/file.h>

#include <run-core/str.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    KEY_FILE_BYTES = 256 * 1024,
    EARLY_MS = 5 * 60 * 1000, /* before its end a token is renewed */
    LATE_MS = 10 * 1000,      /* before its end it is not used any more */
    PAUSE_MS = 30 * 1000,     /* after a renewal that failed while the old token still holds */
    POLL_MS = 100,            /* for cancellation, while another thread fetches */
};

struct core_google_credentials {
    bool anonymous;
    char *access_token, *file, *scope;
    struct core_http_client *http;

    pthread_mutex_t mutex;
    pthread_cond_t ended; /* a fetch has */
    bool fetching;
    uint64_t fetches;               /* that have ended */
    struct rc_error failure;        /* of the last, if it failed */
    struct core_google_token token; /* or none */
    int64_t wait_until_unix_ms;     /* until then the token is not renewed */
};

struct core_google_credentials *
core_google_credentials_new(const struct core_google_credentials_settings *settings)
{
    struct core_google_credentials *credentials = rc_malloc(sizeof(*credentials));
    pthread_condattr_t attributes;

    *credentials = (struct core_google_credentials){
        .anonymous = settings->anonymous,
        .access_token = rc_strdup(settings->access_token),
        .file = rc_strdup(settings->file),
        .scope = rc_strdup(settings->scope),
        .http = settings->http,
        .failure = RC_ERROR_INIT,
    };
    core_secret_add(settings->access_token);
    (void)pthread_mutex_init(&credentials->mutex, NULL);
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&credentials->ended, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    return credentials;
}

void core_google_credentials_free(struct core_google_credentials *credentials)
{
    if (!credentials)
        return;
    if (credentials->access_token)
        explicit_bzero(credentials->access_token, strlen(credentials->access_token));
    core_google_token_clear(&credentials->token);
    (void)pthread_cond_destroy(&credentials->ended);
    (void)pthread_mutex_destroy(&credentials->mutex);
    free(credentials->access_token);
    free(credentials->file);
    free(credentials->scope);
    free(credentials);
}

/* ---- the search ------------------------------------------------------------------------------ */

static enum rc_code read_key(const char *path, struct core_google_key *out, struct rc_error *err)
{
    RC_BUF_AUTO(text, KEY_FILE_BYTES);
    enum rc_code code = core_file_read(path, &text, err);

    if (!code)
        code = core_google_key_parse(text.data, text.len, out, err);
    explicit_bzero(text.data, text.len);
    return code ? rc_context(err, "Google credentials in '%s'", path) : RC_OK;
}

static enum rc_code fetch_by_file(const struct core_google_fetch *fetch, const char *path,
                                  struct core_google_token *out, struct rc_error *err)
{
    CORE_GOOGLE_KEY_AUTO(key);

    if (read_key(path, &key, err))
        return err->code;
    if (core_google_fetch_by_key(fetch, &key, out, err))
        return rc_context(err, "by the credentials in '%s'", path);
    return RC_OK;
}

/* Where gcloud keeps the credentials of "application-default login"; NULL: nowhere. */
static char *gcloud_file(void)
{
    const char *folder = getenv("CLOUDSDK_CONFIG");
    const char *home = getenv("HOME");

    if (folder && *folder)
        return rc_strf("%s/application_default_credentials.json", folder);
    if (home && *home)
        return rc_strf("%s/.config/gcloud/application_default_credentials.json", home);
    return NULL;
}

static bool is_machine_left_out(void)
{
    const char *text = getenv("NO_GCE_CHECK");
    bool out = false;

    return text && rc_parse_bool(text, &out) && out;
}

static const char *named_file(void)
{
    const char *named = getenv("GOOGLE_APPLICATION_CREDENTIALS");

    return named && *named ? named : NULL;
}

/* The order is that of Google's own libraries. NULL: there is none. */
static char *find_file(const struct core_google_credentials *credentials)
{
    char *gcloud;

    if (credentials->file || named_file())
        return rc_strdup(credentials->file ? credentials->file : named_file());
    gcloud = gcloud_file();
    if (gcloud && access(gcloud, F_OK) == 0)
        return gcloud;
    free(gcloud);
    return NULL;
}

static enum rc_code search(const struct core_google_credentials *credentials,
                           const struct core_google_fetch *fetch, struct core_google_token *out,
                           struct rc_error *err)
{
    RC_STR_AUTO file = find_file(credentials);
    RC_STR_AUTO gcloud = gcloud_file();

    if (file && fetch_by_file(fetch, file, out, err))
        return credentials->file || !named_file()
                   ? err->code
                   : rc_context(err, "GOOGLE_APPLICATION_CREDENTIALS");
    if (file)
        return RC_OK;
    if (!is_machine_left_out() && core_google_fetch_from_machine(fetch, out, err) != RC_NOT_FOUND)
        return out->text ? RC_OK : err->code;
    if (is_machine_left_out())
        (void)rc_fail(err, RC_NOT_FOUND, "it is left out by NO_GCE_CHECK");
    struct rc_error machine = *err;
    return rc_fail(err, RC_NOT_FOUND,
                   "no Google credentials: the store's settings name neither service_account_file "
                   "nor access_token, GOOGLE_APPLICATION_CREDENTIALS is not set, there is no '%s', "
                   "and of the metadata server: %s; give one of them, or set 'anonymous: true'",
                   gcloud ? gcloud : "$HOME", machine.cause);
}

enum rc_code core_google_credentials_project(const struct core_google_credentials *credentials,
                                             char **out, struct rc_error *err)
{
    const char *named = getenv("GOOGLE_CLOUD_PROJECT");
    RC_STR_AUTO file = NULL;
    CORE_GOOGLE_KEY_AUTO(key);

    *out = NULL;
    if (named && *named) {
        *out = rc_strdup(named);
        return RC_OK;
    }
    if (!credentials->access_token && !credentials->anonymous)
        file = find_file(credentials);
    if (file && read_key(file, &key, err))
        return err->code;
    *out = rc_strdup(key.project);
    return RC_OK;
}

/* ---- keeping --------------------------------------------------------------------------------- */

static bool holds(const struct core_google_credentials *credentials, int64_t before_end_ms)
{
    return credentials->token.text &&
           credentials->token.expires_unix_ms - before_end_ms > core_clock_real_unix_ms();
}

/* Whether the token in hand will do: it is fresh, or somebody sees to a new one. */
static bool is_good(const struct core_google_credentials *credentials)
{
    if (holds(credentials, EARLY_MS))
        return true;
    return holds(credentials, LATE_MS) &&
           (credentials->fetching || credentials->wait_until_unix_ms > core_clock_real_unix_ms());
}

static void end_fetch(struct core_google_credentials *credentials,
                      const struct core_google_token *fresh, enum rc_code code,
                      const struct core_cancel *cancel, const struct rc_error *err)
{
    credentials->fetching = false;
    credentials->fetches++;
    credentials->failure.code = RC_OK;
    if (!code) {
        core_secret_add(fresh->text);
        core_google_token_clear(&credentials->token);
        credentials->token = *fresh;
        /* One that comes with a short life, as from a cache, is not renewed at every request. */
        credentials->wait_until_unix_ms = core_clock_real_unix_ms() + PAUSE_MS;
    } else if (holds(credentials, LATE_MS)) {
        credentials->wait_until_unix_ms = core_clock_real_unix_ms() + PAUSE_MS;
    } else if (core_cancel_code(cancel) == RC_OK) {
        credentials->failure = *err; /* of all who wait; a wish to stop is one thread's own */
    }
    (void)pthread_cond_broadcast(&credentials->ended);
}

/* Locked before and after. */
static enum rc_code fetch_now(struct core_google_credentials *credentials,
                              const struct core_cancel *cancel, struct rc_error *err)
{
    const struct core_google_fetch fetch = {
        .scope = credentials->scope,
        .http = credentials->http,
        .cancel = cancel,
    };
    struct core_google_token fresh = { .text = NULL };
    enum rc_code code;

    credentials->fetching = true;
    (void)pthread_mutex_unlock(&credentials->mutex);
    code = search(credentials, &fetch, &fresh, err);
    (void)pthread_mutex_lock(&credentials->mutex);
    end_fetch(credentials, &fresh, code, cancel, err);
    return code && holds(credentials, LATE_MS) ? RC_OK : code;
}

/* Locked before and after. Waits for the end of another thread's fetch, which may have failed. */
static enum rc_code wait_for_fetch(struct core_google_credentials *credentials,
                                   const struct core_cancel *cancel, struct rc_error *err)
{
    uint64_t before = credentials->fetches;

    while (credentials->fetching && credentials->fetches == before) {
        struct timespec until;

        if (core_cancel_check(cancel, err))
            return err->code;
        (void)clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += POLL_MS * 1000000L;
        until.tv_sec += until.tv_nsec / 1000000000L;
        until.tv_nsec %= 1000000000L;
        (void)pthread_cond_timedwait(&credentials->ended, &credentials->mutex, &until);
    }
    if (credentials->failure.code && !holds(credentials, LATE_MS)) {
        *err = credentials->failure;
        return err->code;
    }
    return RC_OK;
}

enum rc_code core_google_credentials_get(struct core_google_credentials *credentials,
                                         const struct core_cancel *cancel, struct rc_buf *out,
                                         struct rc_error *err)
{
    enum rc_code code = RC_OK;

    if (credentials->access_token) {
        rc_buf_addf(out, "Bearer %s", credentials->access_token);
        return rc_buf_check(out, err);
    }
    if (credentials->anonymous)
        return RC_OK;

    (void)pthread_mutex_lock(&credentials->mutex);
    while (!code && !is_good(credentials)) {
        if (credentials->fetching) {
            code = wait_for_fetch(credentials, cancel, err);
        } else {
            code = fetch_now(credentials, cancel, err);
            break; /* what was just fetched is used, however short its life */
        }
    }
    if (!code)
        rc_buf_addf(out, "Bearer %s", credentials->token.text);
    (void)pthread_mutex_unlock(&credentials->mutex);
    return code ? code : rc_buf_check(out, err);
}

bool core_google_credentials_refuse(struct core_google_credentials *credentials,
                                    const char *authorization)
{
    if (credentials->access_token || credentials->anonymous)
        return false;
    (void)pthread_mutex_lock(&credentials->mutex);
    if (credentials->token.text && rc_str_starts(authorization, "Bearer ") &&
        rc_str_eq(credentials->token.text, authorization + strlen("Bearer ")))
        core_google_token_clear(&credentials->token);
    (void)pthread_mutex_unlock(&credentials->mutex);
    return true;
}
