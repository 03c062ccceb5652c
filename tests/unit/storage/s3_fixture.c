/*
 * The world of the tests of s3://.
 */
#include "s3_fixture.h"

#include <run-core/str.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static const char *need(const char *name)
{
    const char *value = getenv(name);

    if (!value) {
        print_message("%s is not set: run this with tests/support/with-ceph\n", name);
        exit(77);
    }
    return value;
}

struct core_place_in_store s3_place(struct s3_world *world, const char *name)
{
    return (struct core_place_in_store){
        .settings = &world->store,
        .remote = world->remote,
        .uri = "s3://the/place",
        .bucket = world->bucket,
        .key = name,
    };
}

char *s3_uri(const struct s3_world *world, const char *name)
{
    return rc_strf("s3://%s/%s", world->bucket, name);
}

void s3_world_tell(struct s3_world *world, const char *method, const char *query, const char *body)
{
    struct core_place_in_store place = s3_place(world, "");
    CORE_S3_REQUEST_AUTO(request, &place, "tell", method);
    CORE_S3_ANSWER_AUTO(answer);
    struct rc_error err = RC_ERROR_INIT;

    request.of_bucket = true;
    rc_buf_adds(&request.query, query);
    request.body = body;
    request.body_len = strlen(body);
    expect_ok(core_s3_send(&request, &answer, &err));
}

void s3_world_open(struct s3_world *world, const struct core_store_settings *store)
{
    static int count;
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    *world = (struct s3_world){ .store = store ? *store : (struct core_store_settings){ 0 } };
    (void)snprintf(world->bucket, sizeof(world->bucket), "unit-%lld-%ld-%d", (long long)now.tv_sec,
                   (long)getpid(), count++);
    world->settings.http.attempts = 5;
    world->settings.http.backoff_ms = 5;
    world->settings.http.max_backoff_ms = 50;
    world->store.name = "ceph";
    world->store.bucket = world->bucket;
    if (!world->store.endpoint)
        world->store.endpoint = need("RUN_CORE_TEST_S3_ENDPOINT");
    if (!world->store.region)
        world->store.region = need("RUN_CORE_TEST_S3_REGION");
    if (!world->store.access_key_id)
        world->store.access_key_id = need("RUN_CORE_TEST_S3_ACCESS_KEY");
    if (!world->store.secret_access_key)
        world->store.secret_access_key = need("RUN_CORE_TEST_S3_SECRET_KEY");
    world->remote = core_remote_new(&world->settings, NULL, NULL);
    world->storage = core_storage_new(&world->store, 1, world->remote, NULL);
    s3_world_tell(world, "PUT", "", "");
}

static enum rc_code count_pending(void *context, const struct core_s3_pending *pending,
                                  struct rc_error *err)
{
    size_t *count = context;

    (void)pending;
    (void)err;
    (*count)++;
    return RC_OK;
}

size_t s3_pending(struct s3_world *world)
{
    struct core_place_in_store all = s3_place(world, "");
    struct rc_error err = RC_ERROR_INIT;
    size_t count = 0;

    expect_ok(core_s3_each_pending(&all, false, count_pending, &count, &err));
    return count;
}

void s3_world_close(struct s3_world *world)
{
    const struct core_list_options options = { .versions = true };
    struct core_place_in_store all = s3_place(world, "");
    struct rc_error err = RC_ERROR_INIT;
    const struct core_listed *listed;
    struct rc_listing *listing;

    assert_int_equal(s3_pending(world), 0);
    expect_ok(core_s3_list(&all, &options, &listing, &err));
    for (;;) {
        expect_ok(listing->ops->next(listing, &listed, &err));
        if (!listed)
            break;
        struct core_place_in_store place = s3_place(world, listed->object.name);
        place.version = listed->version;
        expect_ok(core_s3_remove(&place, 1, NULL, &err));
    }
    listing->ops->close(listing);
    s3_world_tell(world, "DELETE", "", "");
    core_storage_free(world->storage);
    core_remote_free(world->remote);
}
