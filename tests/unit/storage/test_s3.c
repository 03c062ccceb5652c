/*
 * The S3 backend against a real server: the contract of all backends, and what only S3 has.
 */
#include "s3_fixture.h"
#include "storage_conformance.h"

#include <run-core/str.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct s3_world world;

static int open_world(void **state)
{
    (void)state;
    s3_world_open(&world, NULL);
    return 0;
}

static int close_world(void **state)
{
    (void)state;
    s3_world_close(&world);
    return 0;
}

/* What the server of the environment cannot do. */
static bool lacks(const char *what)
{
    const char *all = getenv("RUN_CORE_TEST_S3_LACKS");

    return all && strstr(all, what);
}

/* ---- contract -------------------------------------------------------------------------------- */

static void conforms(void **state)
{
    RC_STR_AUTO base = s3_uri(&world, "some/where");

    (void)state;
    if (lacks("conditions"))
        storage_conformance_without_conditions(world.storage, base);
    else
        storage_conformance(world.storage, base);
}

static void keeps_versions(void **state)
{
    if (lacks("conditions"))
        skip();
    RC_STR_AUTO base = s3_uri(&world, "versioned");

    (void)state;
    s3_world_tell(&world, "PUT", "&versioning",
                  "<VersioningConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
                  "<Status>Enabled</Status></VersioningConfiguration>");
    storage_conformance_versions(world.storage, base);
}

static void conforms_in_the_host_name(void **state)
{
    if (lacks("host names"))
        skip();
    RC_STR_AUTO endpoint = rc_strdup(world.store.endpoint);
    char *port = strrchr(endpoint, ':');
    RC_STR_AUTO named = rc_strf("http://localhost%s", port);
    struct core_store_settings store = world.store;
    struct core_storage *storage;

    (void)state;
    store.endpoint = named;
    store.addressing = CORE_ADDRESS_VIRTUAL;
    storage = core_storage_new(&store, 1, world.remote, NULL);
    RC_STR_AUTO base = s3_uri(&world, "virtual");
    storage_conformance(storage, base);
    core_storage_free(storage);
}

/* ---- writers --------------------------------------------------------------------------------- */

/* An error of before is none of the writer's. */
static void a_writer_forgets_what_failed_before(void **state)
{
    const struct rc_put_options options = { .struct_bytes = sizeof(options), .size_bytes = -1 };
    struct core_place_in_store place = s3_place(&world, "object");
    struct rc_error err = RC_ERROR_INIT;
    struct rc_writer *writer;

    (void)state;
    expect_ok(core_s3_create(&place, &options, &writer, &err));
    assert_int_equal(rc_fail(&err, RC_NOT_FOUND, "before"), RC_NOT_FOUND);
    expect_ok(writer->ops->write(writer, "x", 1, &err));
    expect_ok(writer->ops->commit(writer, &err));
    writer->ops->close(writer);
}

/* What is missing in the middle must not be passed over. */
static void a_writer_that_failed_commits_nothing(void **state)
{
    const struct rc_put_options options = { .struct_bytes = sizeof(options), .size_bytes = -1 };
    const size_t len = 20 << 20;
    RC_STR_AUTO data = rc_malloc(len);
    struct core_place_in_store place = s3_place(&world, "object");
    struct rc_error err = RC_ERROR_INIT;
    struct rc_writer *writer;
    struct rc_stat stat;

    (void)state;
    memset(data, 'x', len);
    expect_ok(core_s3_create(&place, &options, &writer, &err));
    s3_world_tell(&world, "DELETE", "", "");
    assert_int_equal(writer->ops->write(writer, data, len, &err), RC_NOT_FOUND);
    s3_world_tell(&world, "PUT", "", "");
    assert_int_equal(writer->ops->write(writer, data, 1, &err), RC_INVALID);
    assert_int_equal(writer->ops->commit(writer, &err), RC_INVALID);
    writer->ops->close(writer);
    assert_int_equal(core_s3_stat(&place, &stat, NULL, &err), RC_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(conforms, open_world, close_world),
        cmocka_unit_test_setup_teardown(keeps_versions, open_world, close_world),
        cmocka_unit_test_setup_teardown(conforms_in_the_host_name, open_world, close_world),
        cmocka_unit_test_setup_teardown(a_writer_forgets_what_failed_before, open_world,
                                        close_world),
        cmocka_unit_test_setup_teardown(a_writer_that_failed_commits_nothing, open_world,
                                        close_world),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
