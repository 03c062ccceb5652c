/*
 * The world of the tests of gs://.
 */
#include "gcs_fixture.h"

#include <http/client.h>

#include <run-core/str.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *need(const char *name)
{
    const char *value = getenv(name);

    if (!value) {
        print_message("%s is not set: run this with tests/support/with-gcs\n", name);
        exit(77);
    }
    return value;
}

void gcs_world_open(struct gcs_world *world, const struct core_store_settings *store)
{
    const char *endpoint = need("RUN_CORE_TEST_GCS_ENDPOINT");
    const char *bucket = need("RUN_CORE_TEST_GCS_BUCKET");

    *world = (struct gcs_world){ .endpoint = endpoint };
    if (store)
        world->store = *store;
    world->settings.http.attempts = 5;
    world->settings.http.backoff_ms = 5;
    world->settings.http.max_backoff_ms = 50;
    world->settings.http.connect_ms = 5000;
    world->settings.http.idle_ms = 3000;
    world->store.name = "google";
    world->store.bucket = bucket;
    world->store.connections = 64;
    if (!world->store.endpoint)
        world->store.endpoint = endpoint;
    if (!world->store.access_token && !world->store.service_account_file && !world->store.anonymous)
        world->store.service_account_file = need("RUN_CORE_TEST_GCS_CREDENTIALS");
    world->remote = core_remote_new(&world->settings, NULL, NULL);
    world->storage = core_storage_new(&world->store, 1, world->remote, NULL);
}

void gcs_world_close(struct gcs_world *world)
{
    static const struct core_storage_ops *const gcs = &core_storage_gcs;
    const struct core_list_options options = { .versions = true };
    struct core_place_in_store all = gcs_place(world, "");
    struct rc_error err = RC_ERROR_INIT;
    const struct core_listed *listed;
    struct rc_listing *listing;

    gcs_control("{\"clear\": true, \"settings\": {\"check_auth\": false}}");
    expect_ok(gcs->list(&all, &options, &listing, &err));
    for (;;) {
        expect_ok(listing->ops->next(listing, &listed, &err));
        if (!listed)
            break;
        struct core_place_in_store place = gcs_place(world, listed->object.name);
        place.version = listed->version;
        expect_ok(gcs->remove(&place, 1, NULL, &err));
    }
    listing->ops->close(listing);
    gcs_control("{\"clear\": true, \"settings\": {\"check_auth\": true}}");
    core_storage_free(world->storage);
    core_remote_free(world->remote);
}

static void call(const char *method, const char *path, const char *body,
                 struct core_http_answer *answer)
{
    RC_STR_AUTO url = rc_strf("%s%s", need("RUN_CORE_TEST_GCS_ENDPOINT"), path);
    const struct core_http_header json = { "Content-Type", "application/json" };
    struct rc_error err = RC_ERROR_INIT;

    expect_ok(core_http_call(
        &(const struct core_http_call){
            .name = "the stand-in's control",
            .method = method,
            .url = url,
            .headers = &json,
            .header_count = body ? 1 : 0,
            .body = body,
            .body_len = body ? strlen(body) : 0,
        },
        answer, &err));
    if (answer->status / 100 != 2)
        fail_msg("%s %s: %s", method, path, answer->body.data);
}

void gcs_post(const char *path, const char *json)
{
    struct core_http_answer answer;

    core_http_answer_init(&answer, 1 << 20);
    call("POST", path, json, &answer);
    core_http_answer_clear(&answer);
}

void gcs_control(const char *json)
{
    gcs_post("/_control", json);
}

size_t gcs_calls(const char *method, const char *part)
{
    RC_STR_AUTO wanted = rc_strf("\"method\":\"%s\",\"target\":\"", method);
    struct core_http_answer answer;
    size_t count = 0;

    core_http_answer_init(&answer, 64 << 20);
    call("GET", "/_calls", NULL, &answer);
    for (const char *at = answer.body.data; (at = strstr(at, wanted)) != NULL;) {
        RC_STR_AUTO target = NULL;

        at += strlen(wanted);
        target = rc_strndup(at, strcspn(at, "\""));
        count += strstr(target, part) != NULL;
    }
    core_http_answer_clear(&answer);
    return count;
}

size_t gcs_headers(const char *name, const char *value)
{
    RC_STR_AUTO wanted = rc_strf("\"%s\":\"%s\"", name, value);
    struct core_http_answer answer;
    size_t count = 0;

    core_http_answer_init(&answer, 64 << 20);
    call("GET", "/_calls", NULL, &answer);
    for (const char *at = answer.body.data; (at = strstr(at, wanted)) != NULL; at++)
        count++;
    core_http_answer_clear(&answer);
    return count;
}

char *gcs_uri(const char *name)
{
    return rc_strf("gs://%s/%s", need("RUN_CORE_TEST_GCS_BUCKET"), name);
}

struct core_place_in_store gcs_place(struct gcs_world *world, const char *name)
{
    static char uri[4096], key[4096];

    (void)snprintf(uri, sizeof(uri), "gs://%s/%s", world->store.bucket, name);
    (void)snprintf(key, sizeof(key), "%s", name);
    return (struct core_place_in_store){
        .settings = &world->store,
        .remote = world->remote,
        .uri = uri,
        .bucket = world->store.bucket,
        .key = key,
    };
}
