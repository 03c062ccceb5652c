/*
 * Keeps the keys of a process: reads them from a file or by HTTP, one thread at a time, while the
 * others go on with those that there are.
 */
#include "keys.h"

#include <run-core/plugin.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    DOCUMENT_BYTES = 1 << 20,
    CONNECT_MS = 5 * 1000,
    REQUEST_MS = 10 * 1000, /* for so long the handlers that wait are held */
    HTTP_OK = 200,
};

/* ---- reading --------------------------------------------------------------------------------- */

static bool is_http(const char *place)
{
    return rc_str_starts(place, "http://") || rc_str_starts(place, "https://");
}

/* Whether others than this machine may have had a hand in what comes from there. */
static bool is_open(const char *place)
{
    static const char *const near[] = { "localhost", "127.0.0.1", "[::1]" };
    static const char scheme[] = "http://";

    if (!rc_str_starts(place, scheme))
        return false;
    place += sizeof(scheme) - 1;
    if (strchr(place, '@')) /* where the name of the host begins is not looked for */
        return true;
    for (size_t i = 0; i < RC_ARRAY_LEN(near); i++)
        if (rc_str_starts(place, near[i]) && strchr(":/", place[strlen(near[i])]))
            return false; /* strchr() finds the end, too */
    return true;
}

static enum rc_code read_http(struct rc_job *job, const char *url, struct rc_buf *out,
                              struct rc_error *err)
{
    const struct rc_http_header headers[] = {
        { "Accept", "application/jwk-set+json, application/json" },
    };
    const struct rc_http_request request = {
        .struct_bytes = sizeof(request),
        .name = "the JWKS document",
        .url = url,
        .headers = headers,
        .header_count = RC_ARRAY_LEN(headers),
        .attempts = 1,
        .connect_ms = CONNECT_MS,
        .total_ms = REQUEST_MS,
    };
    RC_HTTP_ANSWER_AUTO(answer, DOCUMENT_BYTES);

    if (rc_http_call(job, &request, &answer, err))
        return err->code;
    if (answer.status != HTTP_OK)
        return rc_fail(err, RC_UNAVAILABLE, "the answer has the status %u, not 200", answer.status);
    rc_buf_add(out, answer.body.data, answer.body.len);
    return rc_buf_check(out, err);
}

static enum rc_code read_file(struct rc_job *job, const char *path, struct rc_buf *out,
                              struct rc_error *err)
{
    RC_BUF_AUTO(uri, DOCUMENT_BYTES);

    rc_uri_place(&uri, NULL, path, job->working_dir);
    if (rc_buf_check(&uri, err))
        return err->code;
    return rc_storage_get(job, uri.data, out, err);
}

static const char *source_of(const struct sdrs_config *config)
{
    return config->jwks ? config->jwks : config->public_key_file;
}

static enum rc_code read_keys(struct rc_job *job, const struct sdrs_config *config,
                              struct sdrs_jwks **out, struct rc_error *err)
{
    const char *place = source_of(config);
    RC_BUF_AUTO(text, DOCUMENT_BYTES);
    enum rc_code code =
        is_http(place) ? read_http(job, place, &text, err) : read_file(job, place, &text, err);

    if (!code)
        code = config->jwks ? sdrs_jwks_parse(text.data, text.len, out, err)
                            : sdrs_jwks_from_pem(text.data, text.len, out, err);
    return code ? rc_context(err, "read the keys of tokens from '%s'", place) : RC_OK;
}

/* ---- keeping --------------------------------------------------------------------------------- */

/* What is to be done for a token, as things are. */
enum need { ENOUGH, OLD, MISSED };

static bool is_past(int64_t since_mono_ms, int64_t now_mono_ms, int64_t pause_ms)
{
    return now_mono_ms - since_mono_ms >= pause_ms;
}

/* With the mutex held. Another source than before: its keys are not believed any more. */
static void choose_source(struct sdrs_keys *keys, const char *source)
{
    if (rc_str_eq(keys->source, source))
        return;
    free(keys->source);
    keys->source = rc_strdup(source);
    sdrs_jwks_free(keys->current);
    keys->current = NULL;
    keys->was_tried = false;
}

/* With the mutex held. */
static enum need need_of(const struct sdrs_keys *keys, const struct sdrs_config *config,
                         const char *kid, int64_t now_mono_ms)
{
    if (keys->was_tried && !is_past(keys->tried_mono_ms, now_mono_ms, SDRS_KEYS_PAUSE_MS))
        return ENOUGH;
    if (!keys->current || !sdrs_jwks_has(keys->current, kid))
        return MISSED;
    return is_past(keys->read_mono_ms, now_mono_ms, config->jwks_refresh_ms) ? OLD : ENOUGH;
}

static enum need look(struct sdrs_keys *keys, const struct sdrs_config *config, const char *kid,
                      int64_t now_mono_ms)
{
    enum need need;

    (void)pthread_mutex_lock(&keys->mutex);
    choose_source(keys, source_of(config));
    need = need_of(keys, config, kid, now_mono_ms);
    (void)pthread_mutex_unlock(&keys->mutex);
    return need;
}

/* Says once for each set of keys what they are believed for, and why there are none. */
static void tell(struct rc_job *job, const struct sdrs_config *config,
                 const struct sdrs_jwks *fresh, bool had_some, const struct rc_error *why)
{
    if (!fresh) {
        rc_warn(job, "%s: %s; %s", why->context, why->cause,
                had_some ? "the keys from before stay" : "every token is refused until then");
        return;
    }
    if (!had_some)
        rc_info(job, "tokens are verified by %zu key%s from '%s'", sdrs_jwks_count(fresh),
                sdrs_jwks_count(fresh) == 1 ? "" : "s", source_of(config));
    if (!had_some && is_open(source_of(config)))
        rc_warn(job,
                "whoever is on the way to '%s' can put keys of their own there: let 'jwt_jwks' "
                "begin with https://",
                source_of(config));
    if (!had_some && !config->audience)
        rc_warn(job, "tokens are believed whomever they were made for: set 'jwt_audience'");
}

static int64_t clock_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/*
 * With 'reading' held, and without the mutex while it takes its time. The pause begins at the end:
 * of a server that hangs, whoever sends tokens with names of no keys could hold every handler.
 */
static void renew(struct sdrs_keys *keys, struct rc_job *job, const struct sdrs_config *config,
                  int64_t now_mono_ms)
{
    int64_t begun_ms = clock_ms(), ended_mono_ms;
    struct rc_error why = RC_ERROR_INIT;
    struct sdrs_jwks *fresh = NULL, *old;
    bool had_some;

    if (read_keys(job, config, &fresh, &why))
        fresh = NULL;
    ended_mono_ms = now_mono_ms + clock_ms() - begun_ms;
    (void)pthread_mutex_lock(&keys->mutex);
    old = keys->current;
    had_some = old != NULL;
    keys->was_tried = true;
    keys->tried_mono_ms = ended_mono_ms;
    if (fresh) {
        keys->current = sdrs_jwks_share(fresh);
        keys->read_mono_ms = now_mono_ms;
        sdrs_jwks_free(old);
    }
    (void)pthread_mutex_unlock(&keys->mutex);
    tell(job, config, fresh, had_some, &why);
    sdrs_jwks_free(fresh);
}

enum rc_code sdrs_keys_get(struct sdrs_keys *keys, struct rc_job *job,
                           const struct sdrs_config *config, const char *kid, int64_t now_mono_ms,
                           struct sdrs_jwks **out, struct rc_error *err)
{
    enum need need = look(keys, config, kid, now_mono_ms);

    /* Old keys are good while another thread reads them anew; missed ones are waited for. */
    if (need == MISSED)
        (void)pthread_mutex_lock(&keys->reading);
    else if (need == OLD && pthread_mutex_trylock(&keys->reading) != 0)
        need = ENOUGH;
    if (need != ENOUGH) {
        if (look(keys, config, kid, now_mono_ms) != ENOUGH)
            renew(keys, job, config, now_mono_ms);
        (void)pthread_mutex_unlock(&keys->reading);
    }

    (void)pthread_mutex_lock(&keys->mutex);
    *out = keys->current ? sdrs_jwks_share(keys->current) : NULL;
    (void)pthread_mutex_unlock(&keys->mutex);
    if (!*out)
        return rc_fail(err, RC_UNAVAILABLE,
                       "the keys that tokens are verified by cannot be read; the log of the server "
                       "says why");
    return RC_OK;
}

void sdrs_keys_clear(struct sdrs_keys *keys)
{
    free(keys->source);
    keys->source = NULL;
    sdrs_jwks_free(keys->current);
    keys->current = NULL;
    keys->was_tried = false;
}
