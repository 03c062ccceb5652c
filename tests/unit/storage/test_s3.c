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

/* ---- contract -------------------------------------------------------------------------------- */

static void conforms(void **state)
{
    RC_STR_AUTO base = s3_uri(&world, "some/where");

    (void)state;
    storage_conformance(world.storage, base);
}

static void conforms_in_the_host_name(void **state)
{
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(conforms, open_world, close_world),
        cmocka_unit_test_setup_teardown(conforms_in_the_host_name, open_world, close_world),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
