/*
 * Pub/Sub: publishing. What is published, and what becomes of it, is deliver.c's to know.
 */
#include "pubsub.h"

#include <openssl/evp.h>

#include <stdlib.h>
#include <string.h>

enum { LOOK_MS = 5 * 1000 };

struct sdrs_google sdrs_pubsub(struct rc_job *job, const struct sdrs_config *config)
{
    return (struct sdrs_google){
        .job = job,
        .endpoint = config->pubsub_endpoint,
        .credentials = config->google_credentials,
        .name = "Pub/Sub",
    };
}

/* In base64, as JSON has no bytes. */
static json_t *data_of(const char *text)
{
    size_t len = strlen(text);
    char *encoded = rc_malloc((len + 2) / 3 * 4 + 1);
    json_t *data;

    (void)EVP_EncodeBlock((unsigned char *)encoded, (const unsigned char *)text, (int)len);
    data = json_string(encoded);
    free(encoded);
    return data;
}

/* What a refusal asks the user to do. */
static enum rc_code advise(const struct sdrs_google *google, const char *topic,
                           struct rc_error *err)
{
    bool refused = sdrs_google_has_refused(google, err);

    if (refused && err->code == RC_DENIED)
        (void)rc_fail(err, RC_DENIED,
                      "%s; the account of 'google_credentials' needs roles/pubsub.publisher on the "
                      "topic, and to be looked at roles/pubsub.viewer",
                      err->cause);
    else if (refused && err->code == RC_NOT_FOUND)
        (void)rc_fail(err, RC_NOT_FOUND, "%s; make the topic, or correct 'pubsub.topic'",
                      err->cause);
    return rc_context(err, "reach the topic '%s'", topic);
}

enum rc_code sdrs_pubsub_publish(const struct sdrs_google *google, const char *topic,
                                 const struct sdrs_pubsub_message *messages, size_t count,
                                 struct rc_error *err)
{
    RC_BUF_AUTO(path, SIZE_MAX);
    SDRS_JSON_AUTO reply = NULL;
    SDRS_JSON_AUTO body = NULL;
    json_t *list = json_array();
    size_t published;

    sdrs_google_path(&path, topic);
    rc_buf_adds(&path, ":publish");
    for (size_t i = 0; i < count; i++)
        (void)json_array_append_new(list,
                                    json_pack("{s:o, s:{s:s}}", "data", data_of(messages[i].json),
                                              "attributes", "uuid", messages[i].uuid));
    body = json_pack("{s:o}", "messages", list);
    if (sdrs_google_call(google, "POST", path.data, body, /* repeatable = */ true, &reply, err))
        return advise(google, topic, err);
    published = json_array_size(json_object_get(reply, "messageIds"));
    if (published != count && !google->job->dry_run)
        return rc_fail(err, RC_CORRUPT, "%s took %zu of %zu messages by its own words",
                       google->name, published, count);
    return RC_OK;
}

enum rc_code sdrs_pubsub_look(const struct sdrs_google *google, const char *topic,
                              struct rc_error *err)
{
    struct sdrs_google once = *google;
    RC_BUF_AUTO(path, SIZE_MAX);
    SDRS_JSON_AUTO reply = NULL;

    sdrs_google_path(&path, topic);
    once.attempts = 1;
    once.total_ms = LOOK_MS;
    if (sdrs_google_call(&once, "GET", path.data, NULL, /* repeatable = */ true, &reply, err))
        return advise(google, topic, err);
    return RC_OK;
}
