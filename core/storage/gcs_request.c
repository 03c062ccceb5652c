/*
 * Requests to Google Cloud Storage: where to, with which credentials, and what its failures mean to
 * a user. What is asked is of the other files.
 */
#include <storage/gcs.h>
#include <storage/resolve.h>
#include <storage/storage.h>

#include <base/utf8.h>
#include <os/digest.h>

#include <run-core/str.h>

#include <stdlib.h>
#include <string.h>

#define ENDPOINT "https://storage.googleapis.com"

enum {
    NAME_BYTES = 1024, /* of an object */
    KEY_BYTES = 32,    /* of a customer's own encryption key */
};

/* ---- where and who --------------------------------------------------------------------------- */

static const char *emulator(void)
{
    const char *host = getenv("STORAGE_EMULATOR_HOST");

    return host && *host ? host : NULL;
}

char *core_gcs_endpoint(const struct core_store_settings *settings)
{
    const char *given = settings && settings->endpoint ? settings->endpoint : emulator();
    char *endpoint;
    size_t len;

    if (!given)
        return rc_strdup(ENDPOINT);
    endpoint = strstr(given, "://") ? rc_strdup(given) : rc_strf("http://%s", given);
    len = strlen(endpoint);
    while (len > 0 && endpoint[len - 1] == '/')
        endpoint[--len] = '\0';
    return endpoint;
}

/* An emulator is sent credentials only where the store's settings name some. */
static bool sends_credentials(const struct core_store_settings *settings)
{
    if (settings && (settings->access_token || settings->service_account_file))
        return true;
    if (settings && settings->anonymous)
        return false;
    return (settings && settings->endpoint) || !emulator();
}

struct core_google_credentials *core_gcs_credentials(const struct core_place_in_store *place)
{
    return sends_credentials(place->settings) ? core_remote_google(place->remote, place->settings)
                                              : NULL;
}

enum rc_code core_storage_google(struct core_storage *storage, const char *uri,
                                 struct core_google_credentials **out, struct rc_error *err)
{
    CORE_RESOLVED_AUTO(at);

    *out = NULL;
    if (core_resolve(storage, uri, &at, err))
        return err->code;
    if (at.ops != &core_storage_gcs)
        return rc_fail(err, RC_INVALID, "'%s' lies at '%s', not in Google Cloud Storage", uri,
                       at.place.uri);
    *out = core_gcs_credentials(&at.place);
    return RC_OK;
}

static enum rc_code prepare(void *context, struct core_http_draft *draft, struct rc_error *err)
{
    static const char name[] = "Authorization";
    struct core_gcs_request *request = context;

    rc_buf_reset(&request->authorization);
    if (!request->credentials)
        return RC_OK;
    if (core_google_credentials_get(request->credentials, request->place->cancel,
                                    &request->authorization, err))
        return err->code;
    if (request->authorization.len == 0)
        return RC_OK;
    rc_buf_add(&draft->headers, name, sizeof(name));
    rc_buf_add(&draft->headers, request->authorization.data, request->authorization.len + 1);
    return RC_OK;
}

/* A server that found its copy of the content damaged; what was sent was not. */
static bool is_damaged_on_the_way(const struct core_http_answer *answer)
{
    return answer->status == 400 && (strstr(answer->body.data, "doesn't match calculated") ||
                                     strstr(answer->body.data, "does not match calculated"));
}

static enum core_http_verdict judge(void *context, const struct core_http_answer *answer)
{
    struct core_gcs_request *request = context;

    if (answer->status == 401 && request->credentials && request->authorization.len > 0)
        return core_google_credentials_refuse(request->credentials, request->authorization.data)
                   ? CORE_HTTP_PREPARE
                   : CORE_HTTP_ACCEPT;
    if (is_damaged_on_the_way(answer))
        return CORE_HTTP_AGAIN;
    return core_google_judge(answer->status, answer->body.data, answer->body.len);
}

/* ---- building -------------------------------------------------------------------------------- */

void core_gcs_request_clear(struct core_gcs_request *request)
{
    if (request->authorization.len > 0)
        explicit_bzero(request->authorization.data, request->authorization.len);
    for (size_t i = 0; i < request->text_count; i++)
        free(request->texts[i]);
    free(request->name);
    rc_buf_clear(&request->authorization);
    rc_buf_clear(&request->url);
}

void core_gcs_add_header(struct core_gcs_request *request, const char *name, const char *value)
{
    RC_ASSERT(request->header_count < CORE_GCS_FIELDS);
    request->headers[request->header_count++] =
        (struct core_http_header){ .name = name, .value = value };
}

void core_gcs_take_header(struct core_gcs_request *request, const char *name, char *value)
{
    RC_ASSERT(request->text_count < CORE_GCS_FIELDS);
    request->texts[request->text_count++] = value;
    core_gcs_add_header(request, name, value);
}

enum rc_code core_gcs_begin(struct core_gcs_request *request,
                            const struct core_place_in_store *place, const char *verb,
                            struct rc_error *err)
{
    request->place = place;
    request->name = rc_strf("%s '%s'", verb, place->uri);
    if (!place->remote)
        return rc_fail(err, RC_UNSUPPORTED,
                       "'%s' lies in a remote store, and only this machine is reached here",
                       place->uri);
    if (!core_utf8_is_valid(place->key) || strlen(place->key) > NAME_BYTES)
        return rc_fail(err, RC_INVALID,
                       "'%s': Google Cloud Storage names objects in UTF-8 of at most %d bytes",
                       place->uri, NAME_BYTES);
    request->credentials = core_gcs_credentials(place);
    request->call = (struct core_http_call){
        .name = request->name,
        .cancel = place->cancel,
        .client = core_remote_http(place->remote, place->settings),
        .prepare = prepare,
        .judge = judge,
    };
    return RC_OK;
}

/* The key with which Google encrypts one object, given with each request that touches it. */
static enum rc_code add_customer_key(struct core_gcs_request *request, struct rc_error *err)
{
    const struct core_store_settings *settings = request->place->settings;
    RC_BUF_AUTO(key, 2 * KEY_BYTES);
    RC_BUF_AUTO(text, 2 * CORE_DIGEST_HEX);
    unsigned char digest[CORE_DIGEST_BYTES];
    bool good;

    if (!settings || !settings->sse_customer_key)
        return RC_OK;
    if (core_digest_load(err))
        return err->code;
    good = core_add_decoded_base64(&key, settings->sse_customer_key,
                                   strlen(settings->sse_customer_key)) &&
           key.len == KEY_BYTES;
    if (!good)
        return rc_fail(err, RC_INVALID,
                       "'encryption_key' of the store '%s' is not base64 of %d bytes",
                       settings->name, KEY_BYTES);
    core_digest(CORE_SHA256, key.data, key.len, digest);
    explicit_bzero(key.data, key.len);
    core_add_base64(&text, digest, sizeof(digest));
    core_gcs_add_header(request, "x-goog-encryption-algorithm", "AES256");
    core_gcs_add_header(request, "x-goog-encryption-key", settings->sse_customer_key);
    core_gcs_take_header(request, "x-goog-encryption-key-sha256", rc_buf_take(&text));
    return RC_OK;
}

enum rc_code core_gcs_check_object(const struct core_place_in_store *place, struct rc_error *err)
{
    if (place->key[0] == '\0')
        return rc_fail(err, RC_INVALID, "'%s' names a bucket, not an object in it", place->uri);
    if (place->version && !core_gcs_is_generation(place->version))
        return rc_fail(err, RC_NOT_FOUND,
                       "'%s' has no version '%s': here a version is a generation, a number",
                       place->uri, place->version);
    return RC_OK;
}

enum rc_code core_gcs_begin_object(struct core_gcs_request *request,
                                   const struct core_place_in_store *place, const char *verb,
                                   struct rc_error *err)
{
    if (core_gcs_begin(request, place, verb, err) || core_gcs_check_object(place, err) ||
        add_customer_key(request, err))
        return rc_context(err, "%s", verb);
    core_gcs_set_path(request, "/storage/v1");
    core_gcs_add_path(request, place->key);
    core_gcs_add_query(request, "generation", place->version);
    return RC_OK;
}

static void set_base(struct core_gcs_request *request, const char *path)
{
    RC_STR_AUTO endpoint = core_gcs_endpoint(request->place->settings);

    rc_buf_reset(&request->url);
    rc_buf_addf(&request->url, "%s%s/b", endpoint, path);
    request->has_query = false;
}

void core_gcs_set_path(struct core_gcs_request *request, const char *path)
{
    set_base(request, path);
    core_gcs_add_path(request, request->place->bucket);
    rc_buf_adds(&request->url, "/o");
}

void core_gcs_set_bucket_path(struct core_gcs_request *request, const char *rest)
{
    set_base(request, "/storage/v1");
    core_gcs_add_path(request, request->place->bucket);
    rc_buf_adds(&request->url, rest);
}

void core_gcs_set_buckets_path(struct core_gcs_request *request)
{
    set_base(request, "/storage/v1");
}

void core_gcs_add_path(struct core_gcs_request *request, const char *part)
{
    rc_buf_addc(&request->url, '/');
    rc_buf_add_url(&request->url, part, strlen(part));
}

void core_gcs_add_query(struct core_gcs_request *request, const char *name, const char *value)
{
    if (!value)
        return;
    rc_buf_addf(&request->url, "%c%s=", request->has_query ? '&' : '?', name);
    rc_buf_add_url(&request->url, value, strlen(value));
    request->has_query = true;
}

enum rc_code core_gcs_add_condition(struct core_gcs_request *request, const char *name,
                                    const char *if_match, struct rc_error *err)
{
    if (!if_match)
        return RC_OK;
    if (if_match[0] != '\0' && !core_gcs_is_generation(if_match))
        return rc_fail(err, RC_CONFLICT,
                       "%s: the entity tag '%.40s' is of no object in Google Cloud Storage",
                       request->name, if_match);
    core_gcs_add_query(request, name, if_match[0] == '\0' ? "0" : if_match);
    return RC_OK;
}

enum rc_code core_gcs_seal(struct core_gcs_request *request, struct rc_error *err)
{
    if (rc_buf_check(&request->url, err))
        return rc_context(err, "the URL of '%s'", request->place->uri);
    request->call.url = request->url.data;
    request->call.headers = request->headers;
    request->call.header_count = request->header_count;
    request->call.context = request;
    return RC_OK;
}

enum rc_code core_gcs_complete(struct core_gcs_request *request, struct rc_error *err)
{
    const struct core_store_settings *settings = request->place->settings;

    core_gcs_add_query(request, "userProject", settings ? settings->user_project : NULL);
    return core_gcs_seal(request, err);
}

/* ---- calling --------------------------------------------------------------------------------- */

/* What a user can do about a refusal; NULL: what the server says is all there is to say. */
static const char *advice(const struct core_gcs_request *request, unsigned status, const char *said)
{
    const struct core_store_settings *settings = request->place->settings;

    if (status == 404 && strstr(said, "bucket does not exist"))
        return "create the bucket, or correct its name";
    if (status == 401 && request->authorization.len == 0)
        return "give credentials: service_account_file or access_token of the store, or "
               "GOOGLE_APPLICATION_CREDENTIALS";
    if (status == 401 && settings && settings->access_token)
        return "the store's access_token is expired or wrong: give a new one";
    if (status == 401)
        return "the credentials are not taken: see whether their account was disabled";
    if (status == 403 && strstr(said, "does not have storage.buckets."))
        return "grant the account a role that allows it, such as roles/storage.admin";
    if (status == 403 && strstr(said, "does not have storage"))
        return "grant the account a role that allows it, such as roles/storage.objectUser";
    if (status == 400 && strstr(said, "requester pays"))
        return "set 'user_project' of the store to the project that pays";
    return NULL;
}

enum rc_code core_gcs_fail(const struct core_gcs_request *request,
                           const struct core_http_answer *answer, struct rc_error *err)
{
    const char *what;

    (void)core_google_fail(answer, err);
    if (is_damaged_on_the_way(answer))
        err->code = RC_CORRUPT;
    what = advice(request, answer->status, err->cause);
    if (what)
        (void)rc_fail(err, err->code, "%s; %s", err->cause, what);
    if (err->code == RC_DENIED && request->place->settings && request->place->settings->name)
        (void)rc_fail(err, err->code, "%s (storage: %s)", err->cause,
                      request->place->settings->name);
    return rc_context(err, "%s", request->name);
}

enum rc_code core_gcs_call(struct core_gcs_request *request, unsigned also,
                           struct core_http_answer *answer, struct rc_error *err)
{
    if (core_http_call(&request->call, answer, err))
        return err->code;
    if (answer->status / 100 == 2 || answer->status == also)
        return RC_OK;
    return core_gcs_fail(request, answer, err);
}

enum rc_code core_gcs_pause(const struct core_place_in_store *place, int64_t failures,
                            int64_t at_least_ms, struct rc_error *err)
{
    return core_http_back_off(core_remote_http(place->remote, place->settings), failures,
                              at_least_ms, place->cancel, err);
}
