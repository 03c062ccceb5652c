/*
 * The aggregator's markers and paths: what is written is read back, what is not ours is recognised,
 * slashes never matter.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <run-core/fake_host.h>

#include <marker.h>
#include <paths.h>

#include <stdlib.h>

static const char text[] = "{\n"
                           " \"format\": 1,\n"
                           " \"step\": \"window\",\n"
                           " \"day\": \"2021-06-01\",\n"
                           " \"definition\": \"0000000000000001\",\n"
                           " \"inputs\": \"ffffffffffffffff\",\n"
                           " \"rows\": 3,\n"
                           " \"events\": 4,\n"
                           " \"rejected\": 5,\n"
                           " \"files\": [\n"
                           "  {\n"
                           "   \"name\": \"partition=0/data_0.parquet\",\n"
                           "   \"size\": 6,\n"
                           "   \"digest\": \"0000000000000007\"\n"
                           "  }\n"
                           " ]\n"
                           "}\n";

static bool equal(const struct agg_manifest *a, const struct agg_manifest *b)
{
    return a->count == b->count && agg_manifest_digest(a) == agg_manifest_digest(b);
}

static void test_a_marker_is_read_back(void **state)
{
    (void)state;
    struct agg_file file = { "partition=0/data_0.parquet", 6, 7 };
    struct agg_marker marker = { .step = "window",
                                 .definition = 1,
                                 .inputs = UINT64_MAX,
                                 .rows = 3,
                                 .events = 4,
                                 .rejected = 5,
                                 .manifest = { &file, 1 } };
    struct agg_marker back;
    RC_BUF_AUTO(out, 4096);

    assert_true(rc_parse_day("2021-06-01", &marker.day));
    agg_marker_format(&marker, &out);
    assert_string_equal(out.data, text);
    assert_true(agg_marker_parse(out.data, out.len, &back));
    assert_string_equal(back.step, "window");
    assert_int_equal(back.day, marker.day);
    assert_true(back.inputs == UINT64_MAX && back.definition == 1);
    assert_int_equal(back.rows + back.events + back.rejected, 12);
    assert_true(equal(&back.manifest, &marker.manifest));
    agg_marker_clear(&back);
}

static void test_what_is_no_marker_of_ours_is_refused(void **state)
{
    (void)state;
    struct agg_marker marker;
    RC_STR_AUTO other = rc_strdup(text);

    assert_false(agg_marker_parse("", 0, &marker));
    assert_false(agg_marker_parse("{}", 2, &marker));
    assert_false(agg_marker_parse("[1]", 3, &marker));
    /* Any cut and any character changed into a brace: refused or read, never a crash or a leak. */
    for (size_t i = 0; i < sizeof(text) - 1; i++) {
        assert_false(agg_marker_parse(text, i < sizeof(text) - 2 ? i : 0, &marker));
        char was = other[i];
        other[i] = '{';
        if (agg_marker_parse(other, sizeof(text) - 1, &marker))
            agg_marker_clear(&marker);
        other[i] = was;
    }
}

static void test_a_manifest_notices_every_change(void **state)
{
    (void)state;
    RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *host = rc_fake_host_new(NULL);
    struct agg_manifest before = { NULL, 0 }, after = { NULL, 0 };
    struct rc_error err = RC_ERROR_INIT;

    rc_fake_host_put(host, "s3://a/d/1", "one", 3);
    rc_fake_host_put(host, "s3://a/d/2", "two", 3);
    rc_fake_host_put(host, "s3://a/e", "other", 5);
    assert_int_equal(agg_manifest_add(rc_fake_host_job(host), "s3://a/d/", "", &before, &err), 0);
    assert_int_equal(before.count, 2);
    assert_string_equal(before.files[1].name, "2");
    rc_fake_host_put(host, "s3://a/d/2", "twO", 3);
    assert_int_equal(agg_manifest_add(rc_fake_host_job(host), "s3://a/d/", "", &after, &err), 0);
    assert_false(equal(&before, &after));
    agg_manifest_clear(&after);
    rc_fake_host_put(host, "s3://a/d/2", "two", 3);
    assert_int_equal(agg_manifest_add(rc_fake_host_job(host), "s3://a/d/", "", &after, &err), 0);
    assert_true(equal(&before, &after));
    agg_manifest_clear(&after);
    agg_manifest_clear(&before);
}

static void test_slashes_never_matter(void **state)
{
    (void)state;
    static const char *const spellings[] = { "/aggregations/ltv/1d/", "aggregations/ltv/1d",
                                             "//aggregations//ltv/1d//", "aggregations/ltv/1d/" };

    for (size_t i = 0; i < RC_ARRAY_LEN(spellings); i++) {
        RC_BUF_AUTO(out, 4096);

        agg_place_folder(&out, "lake", spellings[i], "/w");
        assert_string_equal(out.data, "s3://lake/aggregations/ltv/1d/");
        rc_buf_reset(&out);
        agg_place_folder(&out, "file:///data/lake/", spellings[i], "/w");
        assert_string_equal(out.data, "file:///data/lake/aggregations/ltv/1d/");
    }
}

static void test_names_are_those_of_the_seed(void **state)
{
    (void)state;
    const struct agg_config config = { .csv_prefix = "ads" };
    const struct agg_paths paths = { .csv = "s3://c/x/" };
    int32_t day;

    assert_true(rc_parse_day("2021-06-09", &day));
    RC_STR_AUTO marker = agg_marker_uri("s3://lake/1d/", AGG_DONE, day);
    RC_STR_AUTO folder = agg_day_folder("s3://lake/1d/", day);
    RC_STR_AUTO csv = agg_csv_uri(&paths, &config, day);
    assert_string_equal(marker, "s3://lake/1d/_SUCCESS_2021-06-09");
    assert_string_equal(folder, "s3://lake/1d/day=2021-06-09/");
    assert_string_equal(csv, "s3://c/x/ads_20210609/ads_20210609.csv.gz");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_marker_is_read_back),
        cmocka_unit_test(test_what_is_no_marker_of_ours_is_refused),
        cmocka_unit_test(test_a_manifest_notices_every_change),
        cmocka_unit_test(test_slashes_never_matter),
        cmocka_unit_test(test_names_are_those_of_the_seed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
