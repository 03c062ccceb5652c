/*
 * Keeps a set of AWS credentials fresh for many threads. Where they come from is in aws_chain.c.
 *
 * Each has a time from which one thread fetches others while the rest go on with the old ones, and
 * a later one from which all wait for them. They are those of the AWS tools, 15 and 10 minutes
 * before the end, but never more than a half and a third of the lifetime: or short-lived ones would
 * be fetched for each request.
 */
#include <cloud/aws_source.h>

#include <os/clock.h>
#include <os/digest.h>

#include <run-core/str.h>
#include <run-core/time.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    EARLY_MS = 15 * 60 * 1000,
    LATE_MS = 10 * 60 * 1000,
    FAILURE_MS = 1000,            /* as long as that nobody asks again, where all need it */
    EARLY_FAILURE_MS = 15 * 1000, /* and where the old ones still do */
    SAME_MS = 30 * 1000,          /* the same as were refused: no better ones are expected */
    WAIT_MS = 100,                /* between two looks for a wish to stop */
};

struct core_aws_credentials {
    struct core_aws_credentials_settings settings; /* the texts are its own */
    pthread_mutex_t mutex;                         /* of all below */
    pthread_cond_t done;                           /* a fetch has ended */
    bool fetching;

    struct core_aws_keys keys;
    bool have, refused;
    int64_t early_unix_ms, late_unix_ms;
    int64_t same_mono_ms; /* when refused ones came again; else very long ago */

    struct rc_error failure; /* of the last fetch; RC_OK: it went well */
    int64_t failure_mono_ms;
};

static const size_t texts[] = {
    offsetof(struct core_aws_credentials_settings, access_key_id),
    offsetof(struct core_aws_credentials_settings, secret_access_key),
    offsetof(struct core_aws_credentials_settings, session_token),
    offsetof(struct core_aws_credentials_settings, profile),
    offsetof(struct core_aws_credentials_settings, role_arn),
    offsetof(struct core_aws_credentials_settings, external_id),
    offsetof(struct core_aws_credentials_settings, role_session_name),
    offsetof(struct core_aws_credentials_settings, region),
};

static char **text_at(struct core_aws_credentials *credentials, size_t i)
{
    return (char **)((char *)&credentials->settings + texts[i]);
}

struct core_aws_credentials *
core_aws_credentials_new(const struct core_aws_credentials_settings *settings)
{
    struct core_aws_credentials *credentials = rc_calloc(1, sizeof(*credentials));
    pthread_condattr_t attributes;

    credentials->settings = *settings;
    credentials->keys = (struct core_aws_keys)CORE_AWS_KEYS_INIT;
    credentials->same_mono_ms = INT64_MIN / 2;
    for (size_t i = 0; i < RC_ARRAY_LEN(texts); i++) {
        char **text = text_at(credentials, i);

        *text = rc_strdup(*text);
    }
    (void)pthread_mutex_init(&credentials->mutex, NULL);
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&credentials->done, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    return credentials;
}

void core_aws_credentials_free(struct core_aws_credentials *credentials)
{
    if (!credentials)
        return;
    for (size_t i = 0; i < RC_ARRAY_LEN(texts); i++) {
        char *text = *text_at(credentials, i);

        if (text)
            explicit_bzero(text, strlen(text));
        free(text);
    }
    core_aws_keys_clear(&credentials->keys);
    (void)pthread_cond_destroy(&credentials->done);
    (void)pthread_mutex_destroy(&credentials->mutex);
    free(credentials);
}

static bool are_equal(const struct core_aws_keys *a, const struct core_aws_keys *b)
{
    return rc_str_eq(a->access_key_id, b->access_key_id) &&
           rc_str_eq(a->secret_access_key, b->secret_access_key) &&
           rc_str_eq(a->session_token, b->session_token);
}

/* ---- fetching -------------------------------------------------------------------------------- */

/* Under the mutex. */
static void keep(struct core_aws_credentials *credentials, const struct core_aws_keys *fresh,
                 int64_t now_unix_ms)
{
    int64_t end = fresh->expires_unix_ms, life_ms = end - now_unix_ms;

    if (credentials->refused && are_equal(&credentials->keys, fresh))
        credentials->same_mono_ms = core_clock_mono_ms();
    core_aws_keys_clear(&credentials->keys);
    core_aws_keys_copy(&credentials->keys, fresh);
    credentials->have = true;
    credentials->refused = false;
    credentials->early_unix_ms = end - (life_ms / 2 < EARLY_MS ? life_ms / 2 : EARLY_MS);
    credentials->late_unix_ms = end - (life_ms / 3 < LATE_MS ? life_ms / 3 : LATE_MS);
}

/* Under the mutex, which it gives up while it asks. */
static enum rc_code fetch(struct core_aws_credentials *credentials,
                          const struct core_cancel *cancel, struct rc_error *err)
{
    CORE_AWS_KEYS_AUTO(fresh);
    struct rc_error unused = RC_ERROR_INIT;
    char end[RC_TIME_TEXT];
    int64_t now_unix_ms;
    enum rc_code code;

    credentials->fetching = true;
    (void)pthread_mutex_unlock(&credentials->mutex);
    code = core_aws_find_credentials(&credentials->settings, cancel, &fresh, err);
    now_unix_ms = core_clock_real_unix_ms();
    if (code == RC_OK && fresh.expires_unix_ms <= now_unix_ms)
        code = rc_fail(err, RC_DENIED,
                       "the AWS credentials that were found have ended at %s; renew them, or set "
                       "this machine's clock",
                       rc_format_time(fresh.expires_unix_ms, end));
    (void)pthread_mutex_lock(&credentials->mutex);

    credentials->fetching = false;
    credentials->failure.code = RC_OK;
    if (code == RC_OK) {
        keep(credentials, &fresh, now_unix_ms);
    } else if (core_cancel_check(cancel, &unused) == RC_OK) {
        /* Whoever was asked to stop has learnt nothing about the sources. */
        credentials->failure = *err;
        credentials->failure_mono_ms = core_clock_mono_ms();
    }
    (void)pthread_cond_broadcast(&credentials->done);
    return code;
}

static bool failed_lately(const struct core_aws_credentials *credentials, int64_t within_ms)
{
    return credentials->failure.code &&
           core_clock_mono_ms() - credentials->failure_mono_ms < within_ms;
}

static bool are_usable(const struct core_aws_credentials *credentials)
{
    return credentials->have && !credentials->refused &&
           credentials->keys.expires_unix_ms > core_clock_real_unix_ms();
}

static enum rc_code wait_for_fetch(struct core_aws_credentials *credentials,
                                   const struct core_cancel *cancel, struct rc_error *err)
{
    struct timespec until;

    if (core_cancel_check(cancel, err))
        return rc_context(err, "wait for AWS credentials");
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += WAIT_MS * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_nsec -= 1000000000L;
        until.tv_sec++;
    }
    (void)pthread_cond_timedwait(&credentials->done, &credentials->mutex, &until);
    return RC_OK;
}

/* Under the mutex. RC_OK: the keys are the best there are. */
static enum rc_code refresh(struct core_aws_credentials *credentials,
                            const struct core_cancel *cancel, struct rc_error *err)
{
    for (;;) {
        int64_t now_unix_ms = core_clock_real_unix_ms();
        bool usable = are_usable(credentials);

        if (usable && now_unix_ms < credentials->early_unix_ms)
            return RC_OK;
        if (usable && now_unix_ms < credentials->late_unix_ms) {
            struct rc_error unused = RC_ERROR_INIT;

            /* Whether that goes well or not: the old ones do for some time. */
            if (!credentials->fetching && !failed_lately(credentials, EARLY_FAILURE_MS))
                (void)!fetch(credentials, cancel, &unused);
            return RC_OK;
        }
        if (credentials->fetching) {
            if (wait_for_fetch(credentials, cancel, err))
                return err->code;
            continue;
        }
        if (failed_lately(credentials, usable ? EARLY_FAILURE_MS : FAILURE_MS))
            *err = credentials->failure;
        else if (fetch(credentials, cancel, err) == RC_OK)
            return RC_OK;
        return are_usable(credentials) ? RC_OK : err->code;
    }
}

enum rc_code core_aws_credentials_get(struct core_aws_credentials *credentials,
                                      const struct core_cancel *cancel, struct core_aws_keys *out,
                                      struct rc_error *err)
{
    enum rc_code code = core_digest_load(err);

    *out = (struct core_aws_keys)CORE_AWS_KEYS_INIT;
    if (code || credentials->settings.anonymous)
        return code;
    (void)pthread_mutex_lock(&credentials->mutex);
    code = refresh(credentials, cancel, err);
    if (code == RC_OK)
        core_aws_keys_copy(out, &credentials->keys);
    (void)pthread_mutex_unlock(&credentials->mutex);
    return code;
}

bool core_aws_credentials_refuse(struct core_aws_credentials *credentials,
                                 const struct core_aws_keys *keys)
{
    const struct core_aws_credentials_settings *settings = &credentials->settings;
    bool hope = true;

    if (settings->anonymous || (settings->access_key_id && !settings->role_arn))
        return false;
    (void)pthread_mutex_lock(&credentials->mutex);
    if (credentials->have && are_equal(&credentials->keys, keys)) {
        hope = core_clock_mono_ms() - credentials->same_mono_ms >= SAME_MS;
        credentials->refused = hope;
    }
    (void)pthread_mutex_unlock(&credentials->mutex);
    return hope;
}
