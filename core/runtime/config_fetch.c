/*
 * Fetches configuration over HTTP. What is in it is read where files are (config/layers.c); a
 * server that cannot be asked is no mistake in the configuration but a failure of the run, so that
 * it may be tried again.
 */
#include <runtime/config_fetch.h>

#include <base/url.h>
#include <config/secrets.h>

#include <run-core/str.h>

enum { TOTAL_MS = 60 * 1000, REDIRECTS = 5 };

static enum rc_code judge(const struct core_http_answer *answer, struct rc_error *err)
{
    unsigned status = answer->status;

    if (status == 200)
        return RC_OK;
    if (status == 401 || status == 403)
        return rc_fail(err, RC_DENIED,
                       "the server denies it with status %u; give user and password in the URL, as "
                       "https://USER:PASSWORD@host/path",
                       status);
    if (status == 404 || status == 410)
        return rc_fail(err, RC_NOT_FOUND, "there is nothing (status %u); check the URL", status);
    if (status == 408 || status == 429 || status >= 500)
        return rc_fail(err, RC_UNAVAILABLE, "the server answers with status %u", status);
    return rc_fail(err, RC_FAILED, "the server answers with status %u, not with a configuration",
                   status);
}

static enum rc_code fetch(const char *url, struct core_http_client *client,
                          const struct core_cancel *cancel, struct rc_buf *body,
                          struct rc_error *err)
{
    static const struct core_http_header accept = {
        "Accept", "application/yaml, application/json, text/yaml, text/plain, */*"
    };
    RC_CLEANUP(core_http_answer_clear) struct core_http_answer answer;
    RC_STR_AUTO shown = core_url_public(url);
    RC_STR_AUTO name = rc_strf("fetch the configuration at '%s'", shown);
    const struct core_http_call call = {
        .name = name,
        .url = url,
        .headers = &accept,
        .header_count = 1,
        .total_ms = TOTAL_MS,
        .redirects = REDIRECTS,
        .cancel = cancel,
        .client = client,
    };

    core_secret_add_url(url);
    core_http_answer_init(&answer, CORE_YAML_MAX_BYTES);
    if (core_http_call(&call, &answer, err))
        return err->code;
    if (judge(&answer, err))
        return rc_context(err, "%s", name);
    *body = answer.body;
    rc_buf_init(&answer.body, 0);
    return RC_OK;
}

enum rc_code core_config_fetch(const struct core_binding_source *source,
                               struct core_http_client *client, const struct core_cancel *cancel,
                               struct core_fetched *out, struct rc_error *err)
{
    const char *urls[CORE_CONFIG_URLS];
    size_t count = core_config_urls(source->set, source->job, source->plugin, urls);

    out->texts.items = out->items;
    for (size_t i = 0; i < count; i++) {
        rc_buf_init(&out->bodies[i], CORE_YAML_MAX_BYTES);
        out->texts.count = i + 1;
        if (fetch(urls[i], client, cancel, &out->bodies[i], err))
            return err->code;
        out->items[i] = (struct core_config_text){ .url = urls[i],
                                                   .text = out->bodies[i].data,
                                                   .len = out->bodies[i].len };
    }
    return RC_OK;
}

void core_fetched_clear(struct core_fetched *fetched)
{
    for (size_t i = 0; i < fetched->texts.count; i++)
        rc_buf_clear(&fetched->bodies[i]);
    fetched->texts.count = 0;
}
