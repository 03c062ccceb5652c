/*
 * What the options say of the source and the target: either a URI, or an endpoint, a path and keys,
 * as INPUT_... and OUTPUT_... of the environment do, which become a store of their own.
 */
#include "sides.h"

#include <stdlib.h>
#include <strings.h>

static const struct {
    const char *option, *variable, *store;
} words[] = {
    [EGRESS_SOURCE] = { "source", "INPUT", "input" },
    [EGRESS_TARGET] = { "target", "OUTPUT", "output" },
};

static const char *option_of(enum egress_which which)
{
    return words[which].option;
}

static const char *variable_of(enum egress_which which)
{
    return words[which].variable;
}

static const struct egress_side *side_of(const struct egress_config *config,
                                         enum egress_which which)
{
    return which == EGRESS_SOURCE ? &config->source : &config->target;
}

/* A variable of the environment that is empty says nothing. */
static const char *said(const char *text)
{
    return text && *text ? text : NULL;
}

static bool has_own_settings(const struct egress_side *side)
{
    return said(side->endpoint) || said(side->access_key_id) || said(side->secret_access_key) ||
           said(side->session_token) || said(side->region);
}

/* ---- rules ---- */

static bool is_scheme(const struct rc_uri *parts, const char *scheme)
{
    return parts->scheme_len == strlen(scheme) &&
           strncasecmp(parts->scheme, scheme, parts->scheme_len) == 0;
}

/* An endpoint may hold a password, so that no more of it is said than how it begins. */
enum rc_code egress_uri_check(const char *uri, struct rc_error *err)
{
    static const struct {
        const char *written, *meant;
    } schemes[] = {
        { "s3", "s3" },  { "gs", "gs" },  { "file", "file" }, { "store", "store" },
        { "s3a", "s3" }, { "s3n", "s3" }, { "gcs", "gs" },
    };
    struct rc_uri parts;

    if (rc_uri_split(uri, &parts, err))
        return err->code;
    for (size_t i = 0; i < RC_ARRAY_LEN(schemes); i++) {
        RC_STR_AUTO meant = rc_strf("%s%s", schemes[i].meant, uri + parts.scheme_len);

        if (is_scheme(&parts, schemes[i].written))
            return rc_str_eq(meant, uri)
                       ? RC_OK
                       : rc_fail(err, RC_INVALID, "there is no store '%s'; did you mean '%s'?", uri,
                                 meant);
    }
    if (is_scheme(&parts, "http") || is_scheme(&parts, "https"))
        return rc_fail(
            err, RC_INVALID,
            "it begins with '%.*s://', the address of a server; write s3://BUCKET/FOLDER "
            "and say apart from it which server, as the endpoint",
            (int)parts.scheme_len, parts.scheme);
    return rc_fail(err, RC_INVALID, "'%.*s://' is none of s3://, gs://, file:// and store://",
                   (int)parts.scheme_len, parts.scheme);
}

static enum rc_code check_endpoint(const char *endpoint, enum egress_which which,
                                   struct rc_error *err)
{
    if (!endpoint || rc_str_starts(endpoint, "https://") || rc_str_starts(endpoint, "http://"))
        return RC_OK;
    return rc_fail(err, RC_INVALID,
                   "'%s_url' (%s_URL) is '%s', which is no URL of a server; did you mean "
                   "'https://%s'?",
                   option_of(which), variable_of(which), endpoint, endpoint);
}

static enum rc_code check_path(const char *path, enum egress_which which, struct rc_error *err)
{
    if (!path)
        return RC_OK;
    if (rc_uri_has_scheme(path))
        return rc_fail(err, RC_INVALID,
                       "'%s_path' (%s_PATH) is '%s'; it is BUCKET or BUCKET/FOLDER, and a URI "
                       "belongs into '%s'",
                       option_of(which), variable_of(which), path, option_of(which));
    if (path[strspn(path, "/")] == '\0')
        return rc_fail(err, RC_INVALID, "'%s_path' (%s_PATH) is '%s', which names no bucket",
                       option_of(which), variable_of(which), path);
    return RC_OK;
}

static enum rc_code check_keys(const struct egress_side *side, enum egress_which which,
                               struct rc_error *err)
{
    const char *option = option_of(which), *variable = variable_of(which);
    bool has_id = said(side->access_key_id), has_secret = said(side->secret_access_key);

    if (has_id && !has_secret)
        return rc_fail(err, RC_INVALID,
                       "'%s_access_key_id' (%s_ACCESS_KEY_ID) is given without "
                       "'%s_secret_access_key' (%s_SECRET_ACCESS_KEY)",
                       option, variable, option, variable);
    if (has_secret && !has_id)
        return rc_fail(err, RC_INVALID,
                       "'%s_secret_access_key' (%s_SECRET_ACCESS_KEY) is given without "
                       "'%s_access_key_id' (%s_ACCESS_KEY_ID)",
                       option, variable, option, variable);
    if (said(side->session_token) && !has_id)
        return rc_fail(err, RC_INVALID,
                       "'%s_session_token' (%s_SESSION_TOKEN) is given without the key it belongs "
                       "to",
                       option, variable);
    return RC_OK;
}

static enum rc_code check_uri(const struct egress_side *side, enum egress_which which,
                              struct rc_error *err)
{
    if (egress_uri_check(side->uri, err))
        return rc_context(err, "'%s'", option_of(which));
    if (has_own_settings(side) && !rc_str_starts(side->uri, "s3://") &&
        !rc_str_starts(side->uri, "gs://"))
        return rc_fail(err, RC_INVALID,
                       "'%s' is '%s', to which neither an endpoint nor keys nor a region belong, "
                       "but '%s_url', '%s_region' or a key is given (%s_...)",
                       option_of(which), side->uri, option_of(which), option_of(which),
                       variable_of(which));
    return RC_OK;
}

static enum rc_code check_side(const struct egress_side *side, enum egress_which which,
                               struct rc_error *err)
{
    const char *option = option_of(which), *variable = variable_of(which);
    const char *uri = said(side->uri), *endpoint = said(side->endpoint), *path = said(side->path);

    if (uri && path)
        return rc_fail(err, RC_INVALID,
                       "both '%s' and '%s_path' (%s_PATH) are given; only one of them can say "
                       "where the %s lies",
                       option, option, variable, option);
    if (path && !endpoint)
        return rc_fail(err, RC_INVALID,
                       "'%s_path' (%s_PATH) is given without '%s_url' (%s_URL), the server that it "
                       "is on, such as https://s3.amazonaws.com",
                       option, variable, option, variable);
    if (endpoint && !path && !uri)
        return rc_fail(err, RC_INVALID,
                       "'%s_url' (%s_URL) is given without '%s_path' (%s_PATH), the BUCKET or "
                       "BUCKET/FOLDER there",
                       option, variable, option, variable);
    if (check_endpoint(endpoint, which, err) || check_path(path, which, err) ||
        check_keys(side, which, err))
        return err->code;
    return uri ? check_uri(side, which, err) : RC_OK;
}

enum rc_code egress_sides_check(const struct egress_config *config, struct rc_error *err)
{
    if (check_side(&config->source, EGRESS_SOURCE, err) ||
        check_side(&config->target, EGRESS_TARGET, err))
        return err->code;
    if (config->wait_for_manifest_ms > 0 && !config->require_manifest)
        return rc_fail(err, RC_INVALID,
                       "'wait_for_manifest' waits for what only 'require_manifest' asks for; set "
                       "that too, or 'wait_for_manifest' to 0");
    return RC_OK;
}

/* ---- places ---- */

static char *as_folder(const char *text)
{
    return rc_strf("%s%s", text, rc_str_ends(text, "/") ? "" : "/");
}

/* "bucket/folder" of "/bucket/folder/". */
static char *bare_path(const char *path)
{
    size_t len;

    path += strspn(path, "/");
    len = strlen(path);
    while (path[len - 1] == '/')
        len--;
    return rc_strndup(path, len);
}

/* Google's server speaks S3 with HMAC keys, though not all of it, and has a language of its own. */
static bool is_google(const char *endpoint)
{
    static const char google[] = "storage.googleapis.com";
    const char *host = strstr(endpoint, "://") + strlen("://");
    size_t len = strcspn(host, ":/");

    return len == strlen(google) && strncmp(host, google, len) == 0;
}

static enum rc_code define(struct rc_job *job, const struct egress_side *side,
                           struct egress_place *out, const char *url, struct rc_error *err)
{
    const struct rc_store store = {
        .struct_bytes = sizeof(store),
        .name = words[out->which].store,
        .url = url,
        .endpoint = said(side->endpoint),
        .region = said(side->region),
        .access_key_id = said(side->access_key_id),
        .secret_access_key = said(side->secret_access_key),
        .session_token = said(side->session_token),
    };

    out->is_defined = true;
    out->uri = rc_strf("store://%s/", store.name);
    out->identity = rc_strf("%s %s/", store.endpoint ? store.endpoint : "", url);
    if (rc_storage_define(job, &store, err))
        return rc_context(err, "make the store '%s' of the options '%s_...' (%s_...) known",
                          store.name, option_of(out->which), variable_of(out->which));
    return RC_OK;
}

static enum rc_code open_path(struct rc_job *job, const struct egress_side *side,
                              struct egress_place *out, struct rc_error *err)
{
    RC_STR_AUTO path = bare_path(side->path);
    RC_STR_AUTO url = rc_strf("%s://%s", is_google(side->endpoint) ? "gs" : "s3", path);

    out->shown = rc_strf("%s/%s/", words[out->which].store, path);
    return define(job, side, out, url, err);
}

static enum rc_code open_uri(struct rc_job *job, const struct egress_side *side,
                             struct egress_place *out, struct rc_error *err)
{
    out->shown = as_folder(side->uri);
    if (has_own_settings(side)) {
        RC_STR_AUTO url = rc_strndup(out->shown, strlen(out->shown) - 1);

        return define(job, side, out, url, err);
    }
    out->uri = rc_strdup(out->shown);
    out->identity = rc_strdup(out->shown);
    return RC_OK;
}

enum rc_code egress_place_open(struct rc_job *job, const struct egress_config *config,
                               enum egress_which which, struct egress_place *out,
                               struct rc_error *err)
{
    const struct egress_side *side = side_of(config, which);
    const char *option = option_of(which), *variable = variable_of(which);

    *out = (struct egress_place){ .which = which };
    if (said(side->uri))
        return open_uri(job, side, out, err);
    if (said(side->path))
        return open_path(job, side, out, err);
    return rc_fail(err, RC_INVALID,
                   "there is no %s; set '%s' to a URI, or '%s_url' and '%s_path' (%s_URL and "
                   "%s_PATH)",
                   option, option, option, option, variable, variable);
}

void egress_place_clear(struct egress_place *place)
{
    rc_str_free(&place->uri);
    rc_str_free(&place->shown);
    rc_str_free(&place->identity);
}

char *egress_place_show(const struct egress_place *place, const char *uri)
{
    return rc_strf("%s%s", place->shown,
                   rc_str_starts(uri, place->uri) ? uri + strlen(place->uri) : uri);
}
