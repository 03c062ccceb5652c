/*
 * Markers: what is one, what is none and told, what is nobody's; a million of them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <run-core/fake_host.h>

#include <markers.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

/* A sanitizer keeps memory that was given back. */
#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED true
#elif defined(__has_feature)
#define SANITIZED (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#elif defined(__SANITIZE_THREAD__)
#define SANITIZED true
#else
#define SANITIZED false
#endif

static const struct dsr_places places = { .markers = (char *)(uintptr_t) "s3://b/m/",
                                          .archive = (char *)(uintptr_t) "s3://b/a/",
                                          .archived_from = sizeof("s3://b/m/") - 1 };
static const struct dsr_places local = { .markers = (char *)(uintptr_t) "file:///m/" };

static int32_t day_of(const char *text)
{
    int32_t day;

    assert_true(rc_parse_day(text, &day));
    return day;
}

static void test_names(void **state)
{
    (void)state;
    static const struct {
        const char *name, *user; /* NULL: no marker */
    } cases[] = {
        { "day=2021-06-01/_user_u1_day_2021-06-09", "u1" },
        { "day=2021-06-01/_user__day__day_2021-06-09", "_day_" },
        { "day=2021-06-01/_user__user_x_day_2021-01-01_day_2021-06-09", "_user_x_day_2021-01-01" },
        { "day=2021-06-01/_user_'; DROP TABLE \"x\n_day_2021-06-09", "'; DROP TABLE \"x\n" },
        { "day=2021-06-01/_user_\xff\xfe\x01_day_2021-06-09", "\xff\xfe\x01" },
        { "day=2021-06-01/_user_../../x_day_2021-06-09", "../../x" },
        { "day=2021-06-01/_user_._day_2021-06-09", "." },
        { "day=2021-06-01/_user__day_2021-06-09", NULL },
        { "day=2021-06-01/_user_u1_day_2021-06-31", NULL },
        { "day=2021-06-01/_user_u1_day_2021-6-3", NULL },
        { "day=2021-06-01/_user_u1_day_2021-06-09x", NULL },
        { "day=2021-06-01/_user_u1_day_2021-06-09/x", NULL },
        { "day=2021-06-01/_user_u1", NULL },
        { "day=2021-06-01/user_u1_day_2021-06-09", NULL },
        { "day=2021-06-01/x/_user_u1_day_2021-06-09", NULL },
        { "day=2021-06-01/_user_x/_user_u1_day_2021-06-09", NULL },
        { "day=2021-02-29/_user_u1_day_2021-06-09", NULL },
        { "day=2021-6-1/_user_u1_day_2021-06-09", NULL },
        { "day=/_user_u1_day_2021-06-09", NULL },
        { "_user_u1_day_2021-06-09", NULL },
        { "", NULL },
        { "/", NULL },
        { "day=2021-06-01/", NULL },
        { "day=2021-06-01", NULL },
    };

    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        struct rc_error err = RC_ERROR_INIT;
        struct pq_slice user;
        int32_t day, requested;
        enum rc_code code = dsr_marker_parse(cases[i].name, &user, &day, &requested, &err);

        if (!cases[i].user) {
            assert_int_equal(code, RC_INVALID);
            assert_true(err.cause[0] != '\0');
            continue;
        }
        assert_int_equal(code, RC_OK);
        assert_int_equal(user.len, strlen(cases[i].user));
        assert_memory_equal(user.data, cases[i].user, user.len);
        assert_int_equal(day, day_of("2021-06-01"));
        assert_int_equal(requested, day_of("2021-06-09"));
    }
}

static void put(struct rc_fake_host *host, const char *uri)
{
    rc_fake_host_put(host, uri, "", 0);
}

static void test_shards(void **state)
{
    (void)state;
    RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *host = rc_fake_host_new(NULL);
    struct rc_job *job = rc_fake_host_job(host);
    struct dsr_malformed_log log = { .job = job };
    const struct dsr_malformed malformed = { dsr_malformed_warn, &log };
    struct rc_error err = RC_ERROR_INIT;
    int32_t *shards;
    size_t count;

    put(host, "s3://b/m/"); /* a folder's own object */
    put(host, "s3://b/m/shard=10/day=2021-06-01/_user_a_day_2021-06-01");
    put(host, "s3://b/m/shard=9/day=2021-06-01/_user_a_day_2021-06-01");
    put(host, "s3://b/m/shard=2147483647/x");
    put(host, "s3://b/m/shard=0/x");
    put(host, "s3://b/m/.hidden/x");
    put(host, "s3://b/m/.DS_Store");
    put(host, "s3://b/m/shard=07/day=2021-06-01/_user_a_day_2021-06-01");
    put(host, "s3://b/m/shard=07/day=2021-06-01/_user_b_day_2021-06-01");
    put(host, "s3://b/m/shard=07/day=2021-06-01/.x");
    put(host, "s3://b/m/shard=2147483648/x");
    put(host, "s3://b/m/shard=/x");
    put(host, "s3://b/m/shard=-1/x");
    put(host, "s3://b/m/shard=1x/x");
    put(host, "s3://b/m/other/x");
    put(host, "s3://b/m/shard=5");
    put(host, "s3://b/mm/shard=6/x");
    assert_int_equal(dsr_markers_shards(job, &places, &malformed, &shards, &count, &err), RC_OK);
    assert_int_equal(count, 4);
    assert_int_equal(shards[0], 0);
    assert_int_equal(shards[1], 9);
    assert_int_equal(shards[2], 10);
    assert_int_equal(shards[3], INT32_MAX);
    free(shards);
    assert_int_equal(log.count, 8);
    dsr_malformed_end(&log);
    assert_int_equal(rc_fake_host_counter(host, "markers_malformed"), 8);
    assert_non_null(strstr(rc_fake_host_log(host), "'s3://b/m/shard=5'"));
    assert_int_equal(rc_fake_host_open_handles(host), 0);
}

static void test_the_markers_of_a_shard(void **state)
{
    (void)state;
    RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *host = rc_fake_host_new(NULL);
    struct rc_job *job = rc_fake_host_job(host);
    struct dsr_malformed_log log = { .job = job };
    const struct dsr_malformed malformed = { dsr_malformed_warn, &log };
    struct dsr_shard_markers markers;
    struct rc_error err = RC_ERROR_INIT;

    put(host, "s3://b/m/shard=7/day=2021-06-03/_user_b_day_2021-06-09");
    put(host, "s3://b/m/shard=7/day=2021-06-01/_user_c/.x_day_2021-06-09"); /* an id, not hidden */
    rc_fake_host_put(host, "s3://b/m/shard=7/day=2021-06-02/_user_a_day_2021-06-08", "full", 4);
    put(host, "s3://b/m/shard=7/day=2021-06-02/_user_b_day_2021-06-10");
    put(host, "s3://b/m/shard=7/day=2021-07-02/_user_b");
    put(host, "s3://b/m/shard=7/day=2021-06-02/.x");
    put(host, "s3://b/m/shard=7/.x/_user_b_day_2021-06-09");
    put(host, "s3://b/m/shard=7/day=2021-06-02/");
    put(host, "s3://b/m/shard=7/");
    put(host, "s3://b/m/shard=77/day=2020-06-01/_user_z_day_2021-06-09");
    assert_int_equal(dsr_markers_load(job, &places, 7, &malformed, &markers, &err), RC_OK);
    assert_int_equal(markers.count, 4);
    assert_int_equal(markers.first_day, day_of("2021-06-01"));
    assert_int_equal(markers.last_day, day_of("2021-06-03"));
    assert_int_equal(dsr_users_count(markers.users), 3);
    assert_memory_equal(dsr_users_at(markers.users, 0).data, "a", 1);
    assert_string_equal(markers.markers[3].uri,
                        "s3://b/m/shard=7/day=2021-06-03/_user_b_day_2021-06-09");
    assert_int_equal(markers.markers[3].user, 1);
    assert_int_equal(markers.markers[2].user, 1);
    assert_int_equal(markers.markers[2].requested, day_of("2021-06-10"));
    assert_int_equal(log.count, 1);
    assert_non_null(strstr(rc_fake_host_log(host), "1 of the markers"));
    dsr_markers_clear(&markers);

    /* None, and none there at all. */
    assert_int_equal(dsr_markers_load(job, &places, 8, &malformed, &markers, &err), RC_OK);
    assert_int_equal(markers.count, 0);
    assert_int_equal(dsr_users_count(markers.users), 0);
    dsr_markers_clear(&markers);
    assert_int_equal(rc_fake_host_open_handles(host), 0);
}

/* In a file system there is no name with a slash: what lies deeper is none of a marker's. */
static void test_slashes_in_files(void **state)
{
    (void)state;
    RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *host = rc_fake_host_new(NULL);
    struct dsr_malformed_log log = { .job = rc_fake_host_job(host) };
    const struct dsr_malformed malformed = { dsr_malformed_warn, &log };
    struct dsr_shard_markers markers;
    struct rc_error err = RC_ERROR_INIT;

    put(host, "file:///m/shard=7/day=2021-06-01/_user_c/x_day_2021-06-09");
    put(host, "file:///m/shard=7/day=2021-06-01/_user_d_day_2021-06-09");
    assert_int_equal(
        dsr_markers_load(rc_fake_host_job(host), &local, 7, &malformed, &markers, &err), RC_OK);
    assert_int_equal(markers.count, 1);
    assert_int_equal(log.count, 1);
    dsr_markers_clear(&markers);
}

static void test_many_malformed_ones_are_counted(void **state)
{
    (void)state;
    RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *host = rc_fake_host_new(NULL);
    struct dsr_malformed_log log = { .job = rc_fake_host_job(host) };
    size_t lines = 0;

    for (int i = 0; i < 10000; i++)
        dsr_malformed_warn(&log, "s3://b/m/x", "it is none");
    dsr_malformed_end(&log);
    assert_int_equal(rc_fake_host_counter(host, "markers_malformed"), 10000);
    for (const char *at = rc_fake_host_log(host); *at != '\0'; at++)
        lines += *at == '\n';
    assert_int_equal(lines, 21);
    assert_non_null(strstr(rc_fake_host_log(host), "9980 more"));
}

static void test_archiving(void **state)
{
    (void)state;
    RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *host = rc_fake_host_new(NULL);
    struct rc_job *job = rc_fake_host_job(host);
    struct dsr_malformed_log log = { .job = job };
    const struct dsr_malformed malformed = { dsr_malformed_warn, &log };
    const char *gone[] = { "s3://b/m/shard=7/day=2021-06-01/_user_b_day_2021-06-09" };
    struct dsr_shard_markers markers;
    struct rc_error err = RC_ERROR_INIT;

    put(host, "s3://b/m/shard=7/day=2021-06-01/_user_a_day_2021-06-09");
    put(host, gone[0]);
    put(host, "s3://b/m/shard=7/day=2021-06-01/_user_c");
    assert_int_equal(dsr_markers_load(job, &places, 7, &malformed, &markers, &err), RC_OK);
    assert_int_equal(rc_storage_remove(job, gone, 1, &err), RC_OK);
    assert_int_equal(dsr_markers_archive(job, &places, NULL, &markers, 2, &err), RC_OK);
    assert_string_equal(rc_fake_host_objects(host, "s3://b/"),
                        "s3://b/a/shard=7/day=2021-06-01/_user_a_day_2021-06-09\n"
                        "s3://b/m/shard=7/day=2021-06-01/_user_c\n");
    rc_fake_host_fail_on(host, "storage.move", NULL, 1, RC_UNAVAILABLE);
    assert_int_equal(dsr_markers_archive(job, &places, NULL, &markers, 2, &err), RC_UNAVAILABLE);
    assert_non_null(strstr(err.context, "in 's3://b/m/shard=7/day=2021-06-01'"));
    /* What is not found is the marker only if it is not there. */
    put(host, "s3://b/m/shard=7/day=2021-06-01/_user_a_day_2021-06-09");
    rc_fake_host_fail_on(host, "storage.move", NULL, -1, RC_NOT_FOUND);
    assert_int_equal(dsr_markers_archive(job, &places, NULL, &markers, 2, &err), RC_NOT_FOUND);
    assert_null(strstr(err.context, "_user_"));
    dsr_markers_clear(&markers);
}

static void assert_hidden(const char *text, const char *expected)
{
    char copy[256];

    (void)snprintf(copy, sizeof(copy), "%s", text);
    dsr_marker_hide(copy);
    assert_string_equal(copy, expected);
}

static void test_ids_are_in_no_message(void **state)
{
    (void)state;
    RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *host = rc_fake_host_new(NULL);
    struct dsr_malformed_log log = { .job = rc_fake_host_job(host) };

    assert_hidden("'/m/_user_ada_day_2021-06-09' is busy", "'/m/_user_*_day_2021-06-09' is busy");
    assert_hidden("'/m/_user_a_day_2021-06-09' to '/a/_user_a_day_2021-06-09': no",
                  "'/m/_user_*_day_2021-06-09': no");
    assert_hidden("'/m/_user_it's_day_2021-06-09' to '/a/_user_it...", "'/m/_user_*");
    assert_hidden("/m/_user_ada_day_2021-06-0...", "/m/_user_*");
    assert_hidden("/m/_user_ada_day_of_kim", "/m/_user_*");
    assert_hidden("/m/_user_x", "/m/_user_*");
    assert_hidden("/m/_user_", "/m/_user_");
    assert_hidden("permission denied", "permission denied");

    log.folder = "s3://b/_user_folders/";
    dsr_malformed_warn(&log, "s3://b/_user_folders/day=2021-06-01/_user_ada", "it has no _day_");
    assert_null(strstr(rc_fake_host_log(host), "ada"));
    assert_non_null(
        strstr(rc_fake_host_log(host), "'s3://b/_user_folders/day=2021-06-01/_user_*'"));
}

/* ---- a listing that is made up as it is read, as long as one likes ---- */

struct rc_listing {
    int64_t next, count;
    char uri[96];
    struct rc_object object;
};

static int64_t listed_count;

static enum rc_code long_list(struct rc_job *job, const char *prefix,
                              const struct rc_list_options *options, struct rc_listing **out,
                              struct rc_error *err)
{
    (void)job;
    (void)options;
    (void)err;
    assert_string_equal(prefix, "s3://b/m/shard=7/");
    *out = rc_calloc(1, sizeof(**out));
    (*out)->count = listed_count;
    return RC_OK;
}

static enum rc_code long_next(struct rc_listing *listing, const struct rc_object **object,
                              struct rc_error *err)
{
    (void)err;
    *object = NULL;
    if (listing->next == listing->count)
        return RC_OK;
    snprintf(listing->uri, sizeof(listing->uri),
             "s3://b/m/shard=7/day=2021-06-01/_user_%08lld-1234-1234-1234-123456789abc"
             "_day_2021-06-09",
             (long long)listing->next++);
    listing->object.uri = listing->uri;
    listing->object.name = listing->uri + strlen("s3://b/m/shard=7/");
    *object = &listing->object;
    return RC_OK;
}

static void long_close(struct rc_listing *listing)
{
    free(listing);
}

static void test_a_million_markers(void **state)
{
    (void)state;
    const struct rc_storage_api storage = { .list = long_list,
                                            .list_next = long_next,
                                            .list_close = long_close };
    const struct rc_host plain = { .storage = &storage };
    struct rc_job job = { .host = &plain };
    struct dsr_malformed_log log = { .job = &job };
    const struct dsr_malformed malformed = { dsr_malformed_warn, &log };
    struct dsr_shard_markers markers;
    struct rc_error err = RC_ERROR_INIT;
    struct rusage before, after;

    listed_count = 1000000;
    getrusage(RUSAGE_SELF, &before);
    assert_int_equal(dsr_markers_load(&job, &places, 7, &malformed, &markers, &err), RC_OK);
    getrusage(RUSAGE_SELF, &after);
    assert_int_equal(markers.count, listed_count);
    assert_int_equal(dsr_users_count(markers.users), listed_count);
    for (size_t i = 0; i < markers.count; i += 1013) {
        struct pq_slice id = dsr_users_at(markers.users, markers.markers[i].user);

        assert_memory_equal(id.data, strstr(markers.markers[i].uri, "_user_") + 6, id.len);
    }
    dsr_markers_clear(&markers);
    if (!SANITIZED)
        assert_true(after.ru_maxrss - before.ru_maxrss < 400 << 10); /* KiB */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_shards),
        cmocka_unit_test(test_the_markers_of_a_shard),
        cmocka_unit_test(test_slashes_in_files),
        cmocka_unit_test(test_many_malformed_ones_are_counted),
        cmocka_unit_test(test_archiving),
        cmocka_unit_test(test_ids_are_in_no_message),
        cmocka_unit_test(test_a_million_markers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
