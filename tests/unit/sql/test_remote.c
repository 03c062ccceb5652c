/*
 * What the embedded engine reads from and writes to an object store, as far as no server has to
 * answer: the one here takes connections and is silent.
 */
#include "sql_fixture.h"

#include <os/clock.h>
#include <os/file.h>
#include <storage/remote.h>

#include <run-core/str.h>

#include <arpa/inet.h>
#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct world {
    struct fixture *f;
    int listener;
    char endpoint[64];
    struct core_store_settings store;
    struct core_remote *remote;
};

static int open_world(void **state)
{
    struct world *world = rc_calloc(1, sizeof(*world));
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t len = sizeof(address);

    assert_int_equal(fixture_setup((void **)&world->f), 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    world->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(world->listener, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(world->listener, 16), 0);
    assert_int_equal(getsockname(world->listener, (struct sockaddr *)&address, &len), 0);
    snprintf(world->endpoint, sizeof(world->endpoint), "http://127.0.0.1:%d",
             ntohs(address.sin_port));
    world->store = (struct core_store_settings){ .name = "b",
                                                 .bucket = "b",
                                                 .endpoint = world->endpoint,
                                                 .region = "us-east-1",
                                                 .access_key_id = "key",
                                                 .secret_access_key = "secret",
                                                 .connections = 4 };
    world->remote = core_remote_new(NULL, NULL, NULL);
    core_storage_free(world->f->storage);
    world->f->storage = core_storage_new(&world->store, 1, world->remote, NULL);
    world->f->context.storage = world->f->storage;
    fixture_reopen(world->f);
    *state = world;
    return 0;
}

static int close_world(void **state)
{
    struct world *world = *state;
    struct fixture *f = world->f;

    assert_int_equal(fixture_teardown((void **)&f), 0);
    core_remote_free(world->remote);
    close(world->listener);
    free(world);
    return 0;
}

/* What lies in the directory of the session's copies. */
static size_t count_copies(const struct world *world)
{
    DIR *temp = opendir(world->f->temp);
    size_t count = 0;

    assert_non_null(temp);
    for (const struct dirent *entry; (entry = readdir(temp)) != NULL;) {
        RC_STR_AUTO path = rc_strf("%s/%s", world->f->temp, entry->d_name);
        DIR *copies = rc_str_starts(entry->d_name, "run-core-copies.") ? opendir(path) : NULL;

        for (const struct dirent *copy; copies && (copy = readdir(copies)) != NULL;)
            count += copy->d_name[0] != '.';
        if (copies)
            (void)closedir(copies);
    }
    (void)closedir(temp);
    return count;
}

static enum rc_code attach(struct world *world)
{
    static const char *const locations[] = { "s3://b/in/day=1/", "s3://b/in/day=2/" };
    const struct rc_sql_table table = { .name = "t",
                                        .locations = locations,
                                        .location_count = RC_ARRAY_LEN(locations) };

    return world->f->sql->ops->attach(world->f->sql, &table, &world->f->err);
}

static enum rc_code write_rows(struct world *world, const char *query, const char *location,
                               const char *const *partitions)
{
    const struct rc_sql_output output = { .query = query,
                                          .location = location,
                                          .format = strstr(location, ".csv") ? "csv" : "parquet",
                                          .partition_by = partitions,
                                          .partition_count = partitions ? 1 : 0 };
    struct rc_sql_written written;

    return world->f->sql->ops->write(world->f->sql, &output, &written, &world->f->err);
}

/* ---- stopping ------------------------------------------------------------------------------- */

/* Once the server has been asked. */
static void *cancel_later(void *argument)
{
    struct world *world = argument;
    int connection = accept(world->listener, NULL, NULL);
    char byte;

    assert_int_equal(recv(connection, &byte, 1, 0), 1);
    world->f->sql->ops->cancel(world->f->sql);
    while (recv(connection, &byte, 1, 0) > 0)
        ;
    close(connection);
    return NULL;
}

static void a_fetch_is_cancelled(void **state)
{
    struct world *world = *state;
    int64_t began_mono_ms = core_clock_mono_ms();
    pthread_t thread;

    pthread_create(&thread, NULL, cancel_later, world);
    assert_int_equal(attach(world), RC_CANCELLED);
    pthread_join(thread, NULL);
    assert_error(world->f, RC_CANCELLED, "the statement was cancelled");
    assert_non_null(strstr(world->f->err.context, "attach table 't'"));
    assert_true(core_clock_mono_ms() - began_mono_ms < 10000);
    assert_rows(world->f, "SELECT 'usable'", "'usable'\n");
}

static void a_publication_is_cancelled(void **state)
{
    struct world *world = *state;
    pthread_t thread;

    pthread_create(&thread, NULL, cancel_later, world);
    assert_int_equal(write_rows(world, "SELECT 1 AS i", "s3://b/out/", NULL), RC_CANCELLED);
    pthread_join(thread, NULL);
    assert_error(world->f, RC_CANCELLED, "the statement was cancelled");
    assert_non_null(strstr(world->f->err.context, "publish 's3://b/out/'"));
    assert_int_equal(count_copies(world), 0);
}

static void a_run_that_stops_says_so(void **state)
{
    struct world *world = *state;

    core_cancel_request(&world->f->cancel, RC_TIMEOUT);
    assert_int_equal(attach(world), RC_TIMEOUT);
    assert_error(world->f, RC_TIMEOUT, "the run's time is up");
    world->f->cancel = (struct core_cancel)CORE_CANCEL_INIT;
}

/* ---- the budget ----------------------------------------------------------------------------- */

static void what_is_written_counts(void **state)
{
    static const char *const partitions[] = { "p" };
    static const char query[] =
        "SELECT i // 20000 AS p, md5(i::varchar) AS h FROM range(200000) t(i)";
    struct world *world = *state;

    world->f->settings.staging_limit_bytes = 1024 * 1024;
    fixture_reopen(world->f);
    assert_int_equal(write_rows(world, query, "s3://b/out/", partitions), RC_TOO_LARGE);
    assert_error(world->f, RC_TOO_LARGE, "have been written by now");
    assert_error(world->f, RC_TOO_LARGE, "raise staging_limit of the SQL engine 'test'");
    assert_non_null(strstr(world->f->err.context, "write 's3://b/out/'"));
    assert_int_equal(write_rows(world, query, "s3://b/out.parquet", NULL), RC_TOO_LARGE);
    assert_int_equal(count_copies(world), 0);
    assert_rows(world->f, "SELECT 'usable'", "'usable'\n");
}

/* Long before all is written that would be: some 70 MiB, in seconds. */
static void too_much_is_noticed_on_the_way(void **state)
{
    struct world *world = *state;
    char amount[16] = "";

    world->f->settings.staging_limit_bytes = 1024 * 1024;
    fixture_reopen(world->f);
    assert_int_equal(write_rows(world, "SELECT i, hash(i) AS h FROM range(3000000) t(i)",
                                "s3://b/out.csv.gz", NULL),
                     RC_TOO_LARGE);
    assert_int_equal(sscanf(world->f->err.cause, "%15s MiB have been written by now", amount), 1);
    print_message("%s\n", world->f->err.cause);
    assert_true(strtod(amount, NULL) < 30);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_fetch_is_cancelled),           TEST(a_publication_is_cancelled),
        TEST(a_run_that_stops_says_so),       TEST(what_is_written_counts),
        TEST(too_much_is_noticed_on_the_way),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
