/*
 * The lake: which objects are data of a shard's days, and reading one of them, which stays the one
 * that it is.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <run-core/fake_host.h>

#include <lake.h>

#include <chance.h>

#include <stdlib.h>
#include <string.h>

static char *tables[] = { (char *)(uintptr_t) "s3://lake/users/" };
static const struct dsr_places places = { .tables = tables, .table_count = 1 };

static int32_t day_of(const char *text)
{
    int32_t day;

    assert_true(rc_parse_day(text, &day));
    return day;
}

static void put(struct rc_fake_host *host, const char *uri)
{
    rc_fake_host_put(host, uri, "x", 1);
}

static void test_the_objects_of_a_shard(void **state)
{
    (void)state;
    RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *host = rc_fake_host_new(NULL);
    struct dsr_objects objects;
    struct rc_error err = RC_ERROR_INIT;
    const char *wanted[] = { "s3://lake/users/shard=7/day=2021-06-01/.hidden",
                             "s3://lake/users/shard=7/day=2021-06-01/a.parquet",
                             "s3://lake/users/shard=7/day=2021-06-01/x/y/b",
                             "s3://lake/users/shard=7/day=2021-06-03/c" };

    for (size_t i = 0; i < RC_ARRAY_LEN(wanted); i++)
        put(host, wanted[i]);
    put(host, "s3://lake/users/shard=7/day=2021-05-31/a");
    put(host, "s3://lake/users/shard=7/day=2021-06-04/a");
    put(host, "s3://lake/users/shard=7/day=2021-6-2/a");
    put(host, "s3://lake/users/shard=7/day=2021-06-02");
    put(host, "s3://lake/users/shard=7/day=2021-06-02x/a");
    put(host, "s3://lake/users/shard=7/day=2021-06-03.x/a");
    put(host, "s3://lake/users/shard=7/day=2021-06-030/a");
    put(host, "s3://lake/users/shard=7/day=2021-06-31/a");
    put(host, "s3://lake/users/shard=7/_log/a");
    put(host, "s3://lake/users/shard=7/a");
    put(host, "s3://lake/users/shard=77/day=2021-06-01/a");
    put(host, "s3://lake/users/shard=07/day=2021-06-01/a");
    assert_int_equal(dsr_lake_list(rc_fake_host_job(host), &places, 0, 7, day_of("2021-06-01"),
                                   day_of("2021-06-03"), &objects, &err),
                     RC_OK);
    assert_int_equal(objects.count, RC_ARRAY_LEN(wanted));
    for (size_t i = 0; i < objects.count; i++)
        assert_string_equal(objects.items[i].uri, wanted[i]);
    assert_int_equal(objects.items[2].day, day_of("2021-06-01"));
    assert_int_equal(objects.items[3].day, day_of("2021-06-03"));
    assert_int_equal(objects.items[3].stat.size_bytes, 1);
    assert_non_null(strstr(rc_fake_host_log(host), "day=2021-6-2/' is no day"));
    dsr_objects_clear(&objects);
    assert_int_equal(
        dsr_lake_list(rc_fake_host_job(host), &places, 0, 8, 0, 100000, &objects, &err), RC_OK);
    assert_int_equal(objects.count, 0);
    dsr_objects_clear(&objects);
    assert_int_equal(rc_fake_host_open_handles(host), 0);
}

struct counting {
    int requests;
};

static void count_lists(void *context, struct rc_fake_host *host, int n, const char *service,
                        const char *subject)
{
    struct counting *counting = context;

    (void)host;
    (void)n;
    (void)subject;
    counting->requests += rc_str_eq(service, "storage.list");
}

/* Days are many: a listing of each would be many requests to an object store. */
static void test_days_take_few_listings(void **state)
{
    (void)state;
    enum { DAYS = 400 };
    RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *host = rc_fake_host_new(NULL);
    struct counting counting = { 0 };
    struct dsr_objects objects;
    struct rc_error err = RC_ERROR_INIT;
    int32_t first = day_of("2020-12-25");

    for (int32_t i = 0; i < DAYS; i++) {
        char text[RC_DAY_TEXT];
        RC_STR_AUTO uri =
            rc_strf("s3://lake/users/shard=7/day=%s/a", rc_format_day(first + i, text));

        put(host, uri);
    }
    rc_fake_host_on_call(host, count_lists, &counting);
    assert_int_equal(dsr_lake_list(rc_fake_host_job(host), &places, 0, 7, first + 1,
                                   first + DAYS - 2, &objects, &err),
                     RC_OK);
    assert_int_equal(objects.count, DAYS - 2);
    for (size_t i = 0; i < objects.count; i++)
        assert_int_equal(objects.items[i].day, first + 1 + (int32_t)i);
    assert_int_equal(counting.requests, 2);
    dsr_objects_clear(&objects);
}

static void test_a_table_without_data(void **state)
{
    (void)state;
    RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *host = rc_fake_host_new(NULL);
    struct rc_job *job = rc_fake_host_job(host);
    struct rc_error err = RC_ERROR_INIT;

    assert_int_equal(dsr_lake_check(job, &places, 0, "users", &err), RC_NOT_FOUND);
    put(host, "s3://lake/users/a.parquet");
    put(host, "s3://lake/users/shard=07/a.parquet");
    assert_int_equal(dsr_lake_check(job, &places, 0, "users", &err), RC_NOT_FOUND);
    assert_non_null(strstr(err.cause, "sourceS3Folder"));
    assert_non_null(strstr(rc_fake_host_log(host), "shard=07/"));
    put(host, "s3://lake/users/shard=0/a.parquet");
    assert_int_equal(dsr_lake_check(job, &places, 0, "users", &err), RC_OK);
    rc_fake_host_fail_on(host, "storage.list", NULL, 1, RC_UNAVAILABLE);
    assert_int_equal(dsr_lake_check(job, &places, 0, "users", &err), RC_UNAVAILABLE);
}

/* ---- reading ---- */

enum { BIG = 5 << 20 };

static void open_reader(struct rc_fake_host *host, const char *uri, struct dsr_reader **out)
{
    struct rc_stat stat;
    struct rc_error err = RC_ERROR_INIT;

    assert_int_equal(rc_storage_stat(rc_fake_host_job(host), uri, &stat, &err), RC_OK);
    assert_int_equal(dsr_reader_open(rc_fake_host_job(host), uri, &stat, NULL, out, &err), RC_OK);
}

/* Any reads, in any order, give the object's bytes. */
static void test_ranges_by_chance(void **state)
{
    (void)state;
    RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *host = rc_fake_host_new(NULL);
    struct chance chance = chance_new(__func__);
    static const size_t sizes[] = { 1, 12, 65536, 65537, 200000, BIG };
    struct rc_error err = RC_ERROR_INIT;

    for (size_t s = 0; s < RC_ARRAY_LEN(sizes); s++) {
        size_t size = sizes[s];
        RC_STR_AUTO data = rc_malloc(size + 1);
        RC_STR_AUTO back = rc_malloc(size + 1);
        struct dsr_reader *reader;
        size_t at = 0;

        for (size_t i = 0; i < size; i++)
            data[i] = (char)chance_any(&chance);
        rc_fake_host_put(host, "s3://lake/x", data, size);
        open_reader(host, "s3://lake/x", &reader);
        const struct pq_source *source = dsr_reader_source(reader);
        assert_int_equal(source->size_bytes, size);
        assert_string_equal(source->name, "s3://lake/x");
        for (int i = 0; i < 300; i++) {
            size_t len;

            /* Half of them go on where the last one ended. */
            if (chance_below(&chance, 2) || at == size)
                at = chance_below(&chance, size);
            len = chance_below(&chance, chance_below(&chance, 20) ? 30000 : BIG);
            len = len > size - at ? size - at : len;
            assert_int_equal(source->read(source->context, (int64_t)at, back, len, &err), RC_OK);
            assert_memory_equal(back, data + at, len);
            at += len;
        }
        assert_int_equal(source->read(source->context, 0, back, size + 1, &err), RC_INVALID);
        assert_int_equal(source->read(source->context, (int64_t)size + 1, back, 0, &err),
                         RC_INVALID);
        dsr_reader_close(reader);
    }
    assert_int_equal(rc_fake_host_open_handles(host), 0);
}

static void count_requests(void *context, struct rc_fake_host *host, int n, const char *service,
                           const char *subject)
{
    struct counting *counting = context;

    (void)host;
    (void)n;
    (void)subject;
    counting->requests += rc_str_starts(service, "storage.open");
}

/* The footer of most files takes one request; a file that is read through takes few. */
static void test_few_requests(void **state)
{
    (void)state;
    RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *host = rc_fake_host_new(NULL);
    RC_STR_AUTO data = rc_calloc(1, BIG);
    RC_STR_AUTO back = rc_malloc(BIG);
    struct counting counting = { 0 };
    struct rc_error err = RC_ERROR_INIT;
    struct dsr_reader *reader;

    rc_fake_host_put(host, "s3://lake/x", data, BIG);
    rc_fake_host_on_call(host, count_requests, &counting);
    open_reader(host, "s3://lake/x", &reader);
    const struct pq_source *source = dsr_reader_source(reader);
    assert_int_equal(source->read(source->context, BIG - 8, back, 8, &err), RC_OK);
    assert_int_equal(source->read(source->context, BIG - 60000, back, 59992, &err), RC_OK);
    assert_int_equal(counting.requests, 1);
    for (int64_t at = 0; at < BIG; at += 1 << 10)
        assert_int_equal(source->read(source->context, at, back, 1 << 10, &err), RC_OK);
    assert_true(counting.requests < 14);
    assert_true(dsr_reader_bytes(reader) < BIG + (1 << 20));
    dsr_reader_close(reader);
}

static void test_an_object_that_is_replaced(void **state)
{
    (void)state;
    RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *host = rc_fake_host_new(NULL);
    RC_STR_AUTO data = rc_calloc(1, BIG);
    struct dsr_reader *reader;
    struct rc_error err = RC_ERROR_INIT;
    char back[4];

    for (int is_gone = 0; is_gone < 2; is_gone++) {
        rc_fake_host_put(host, "s3://lake/x", data, BIG);
        open_reader(host, "s3://lake/x", &reader);
        const struct pq_source *source = dsr_reader_source(reader);
        assert_int_equal(source->read(source->context, BIG - 4, back, 4, &err), RC_OK);
        if (is_gone)
            rc_fake_host_remove(host, "s3://lake/x");
        else
            rc_fake_host_put(host, "s3://lake/x", data, BIG);
        assert_int_equal(source->read(source->context, BIG - 4, back, 4, &err), RC_OK);
        assert_int_equal(source->read(source->context, 0, back, 4, &err), RC_CONFLICT);
        assert_non_null(strstr(err.context, "s3://lake/x"));
        dsr_reader_close(reader);
    }
}

static void test_a_version(void **state)
{
    (void)state;
    RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *host = rc_fake_host_new(NULL);
    struct rc_job *job = rc_fake_host_job(host);
    struct rc_listing *listing;
    const struct rc_version *version;
    struct rc_error err = RC_ERROR_INIT;
    struct dsr_reader *reader;
    char back[4] = "";

    rc_fake_host_version_bucket(host, "s3://lake/");
    rc_fake_host_put(host, "s3://lake/x", "old", 3);
    rc_fake_host_put(host, "s3://lake/x", "new", 3);
    assert_int_equal(rc_storage_versions(job, "s3://lake/", &listing, &err), RC_OK);
    assert_int_equal(rc_storage_version_next(job, listing, &version, &err), RC_OK);
    assert_int_equal(rc_storage_version_next(job, listing, &version, &err), RC_OK);
    assert_int_equal(
        dsr_reader_open(job, version->uri, &version->stat, version->version, &reader, &err), RC_OK);
    rc_storage_list_close(job, listing);
    const struct pq_source *source = dsr_reader_source(reader);
    assert_int_equal(source->read(source->context, 0, back, 3, &err), RC_OK);
    assert_string_equal(back, "old");
    dsr_reader_close(reader);
}

static void test_what_is_data(void **state)
{
    (void)state;
    RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *host = rc_fake_host_new(NULL);
    static const struct {
        const char *text;
        bool is_data;
    } cases[] = {
        { "PAR1....PAR1", true },  { "PAR1PAR1", false },
        { "PAR1", false },         { "", false },
        { "PAR1....PAR2", false }, { "PAR2....PAR1", false },
        { "PARE....PARE", true },  { "PAR1.............PAR1", true },
        { "PARE....PAR1", false },
    };
    struct rc_error err = RC_ERROR_INIT;

    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        struct dsr_reader *reader;
        bool is_data;

        rc_fake_host_put(host, "s3://lake/x", cases[i].text, strlen(cases[i].text));
        open_reader(host, "s3://lake/x", &reader);
        assert_int_equal(dsr_reader_is_data(reader, &is_data, &err), RC_OK);
        assert_int_equal(is_data, cases[i].is_data);
        dsr_reader_close(reader);
    }
}

static void test_what_is_left_alone_is_told(void **state)
{
    (void)state;
    RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *host = rc_fake_host_new(NULL);
    struct dsr_object object = { .uri = (char *)(uintptr_t) "s3://lake/a.parquet",
                                 .stat = { .size_bytes = 5 } };

    dsr_lake_leave(rc_fake_host_job(host), &object);
    assert_non_null(strstr(rc_fake_host_log(host), "'s3://lake/a.parquet'"));
    object.uri = (char *)(uintptr_t) "s3://lake/_SUCCESS";
    dsr_lake_leave(rc_fake_host_job(host), &object);
    assert_null(strstr(rc_fake_host_log(host), "_SUCCESS"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_objects_of_a_shard),
        cmocka_unit_test(test_days_take_few_listings),
        cmocka_unit_test(test_a_table_without_data),
        cmocka_unit_test(test_ranges_by_chance),
        cmocka_unit_test(test_few_requests),
        cmocka_unit_test(test_an_object_that_is_replaced),
        cmocka_unit_test(test_a_version),
        cmocka_unit_test(test_what_is_data),
        cmocka_unit_test(test_what_is_left_alone_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
