/*
 * Names of data: what is one, in which words another one is refused, what is made of it; datasets
 * that nest; delete markers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <storage_name.h>

#include <run-core/str.h>

#include <stdlib.h>
#include <string.h>

static const char *const root_items[] = { "/srv/lake", "/data//x/" };
static const struct rc_strs roots = { RC_ARRAY_LEN(root_items), root_items };
static const char *const all_items[] = { "/" };
static const struct rc_strs all = { 1, all_items };

#define SCHEMES "x must start with 'gs://' or 's3://' or 'file:///'"
#define BUCKET "x must include a bucket name"
#define DOTS "x must not have '.' or '..' in its path"
#define CONTROL "x must not have control characters"

static void test_names(void **state)
{
    (void)state;
    static const struct {
        const char *text, *root, *bucket, *dataset, *name;
    } cases[] = {
        { "gs://b", "gs://", "b", "", "gs://b" },
        { "gs://b/", "gs://", "b", "", "gs://b" },
        { "gs://b/d", "gs://", "b", "d", "gs://b/d" },
        { "gs://b//d///e//", "gs://", "b", "d/e", "gs://b/d/e" },
        { "s3://my.bucket-1/a b/\xc3\xa9", "s3://", "my.bucket-1", "a b/\xc3\xa9",
          "s3://my.bucket-1/a b/\xc3\xa9" },
        { "gs://b/...", "gs://", "b", "...", "gs://b/..." },
        { "gs://b/.a/..b", "gs://", "b", ".a/..b", "gs://b/.a/..b" },
        { "file:///srv/lake/b", "file:///srv/lake/", "b", "", "file:///srv/lake/b" },
        { "file:////srv//lake//b/d/e/", "file:///srv/lake/", "b", "d/e", "file:///srv/lake/b/d/e" },
        { "file:///data/x/b/d", "file:///data/x/", "b", "d", "file:///data/x/b/d" },
    };

    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        RC_CLEANUP(sdrs_place_clear) struct sdrs_place place;
        struct rc_error err = RC_ERROR_INIT;

        if (sdrs_place_parse("x", cases[i].text, &roots, &place, &err))
            fail_msg("%s: %s", cases[i].text, err.cause);
        RC_STR_AUTO name = sdrs_place_name(&place);
        assert_string_equal(place.root, cases[i].root);
        assert_string_equal(place.bucket, cases[i].bucket);
        assert_string_equal(place.dataset, cases[i].dataset);
        assert_string_equal(name, cases[i].name);
    }
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *why;
    } cases[] = {
        { NULL, "x must be provided" },
        { "", SCHEMES },
        { "b/d", SCHEMES },
        { "GS://b/d", SCHEMES },
        { "gs:/b", SCHEMES },
        { "http://b/d", SCHEMES },
        { "file://srv/lake/b", SCHEMES },
        { "file:/srv/lake/b", SCHEMES },
        { "gs://", BUCKET },
        { "gs:///d", BUCKET },
        { "s3:////", BUCKET },
        { "file:///srv/lake", BUCKET },
        { "file:///srv/lake//", BUCKET },
        { "gs://b/./d", DOTS },
        { "gs://b/d/..", DOTS },
        { "gs://..", DOTS },
        { "gs://./d", DOTS },
        { "file:///srv/lake/../etc/b", DOTS },
        { "gs://b/d\n", CONTROL },
        { "gs://b\x7f/d", CONTROL },
        { "file:///srv/\tlake/b", CONTROL },
        { "file:///srv/lakes/b",
          "x has a path, /srv/lakes/b, that is below none of the directories in 'file_roots': add "
          "the one whose folders are buckets" },
        { "file:///",
          "x has a path, /, that is below none of the directories in 'file_roots': add the one "
          "whose folders are buckets" },
    };

    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        struct sdrs_place place;
        struct rc_error err = RC_ERROR_INIT;

        assert_int_equal(sdrs_place_parse("x", cases[i].text, &roots, &place, &err), RC_INVALID);
        assert_string_equal(err.cause, cases[i].why);
        assert_null(place.root);
    }
}

static void test_long(void **state)
{
    (void)state;
    char text[6000] = "gs://b/";
    struct sdrs_place place;
    struct rc_error err = RC_ERROR_INIT;

    memset(text + strlen("gs://b/"), 'd', 1024);
    assert_int_equal(sdrs_place_parse("x", text, NULL, &place, &err), RC_INVALID);
    assert_string_equal(err.cause, "x has more than 1023 bytes behind the bucket");
    text[strlen(text) - 1] = '\0';
    assert_int_equal(sdrs_place_parse("x", text, NULL, &place, &err), RC_OK);
    sdrs_place_clear(&place);
    memset(text + strlen("gs://b/"), 'd', 5000);
    assert_int_equal(sdrs_place_parse("x", text, NULL, &place, &err), RC_INVALID);
    assert_string_equal(err.cause, "x is longer than 4096 bytes");
}

static void test_made(void **state)
{
    (void)state;
    static const struct {
        const char *text, *bucket, *behind, *before, *prefix;
    } cases[] = {
        { "gs://b", "gs://b/", "gs://bshadow/", "gs://shadowb/", "" },
        { "s3://b/d/e", "s3://b/", "s3://bshadow/", "s3://shadowb/", "d/e/" },
        { "file:///srv/lake/b/d", "file:///srv/lake/b/", "file:///srv/lake/bshadow/",
          "file:///srv/lake/shadowb/", "d/" },
    };

    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        RC_CLEANUP(sdrs_place_clear) struct sdrs_place place;
        struct rc_error err = RC_ERROR_INIT;

        assert_int_equal(sdrs_place_parse("x", cases[i].text, &roots, &place, &err), RC_OK);
        RC_STR_AUTO bucket = sdrs_bucket_uri(&place);
        RC_STR_AUTO behind = sdrs_shadow_uri(&place, "shadow", /* before = */ false);
        RC_STR_AUTO before = sdrs_shadow_uri(&place, "shadow", /* before = */ true);
        RC_STR_AUTO prefix = sdrs_dataset_prefix(&place);
        assert_string_equal(bucket, cases[i].bucket);
        assert_string_equal(behind, cases[i].behind);
        assert_string_equal(before, cases[i].before);
        assert_string_equal(prefix, cases[i].prefix);
    }
}

/* Everything is below the root of all, whose folders are then buckets. */
static void test_root_of_all(void **state)
{
    (void)state;
    RC_CLEANUP(sdrs_place_clear) struct sdrs_place place;
    struct rc_error err = RC_ERROR_INIT;

    assert_int_equal(sdrs_place_parse("x", "file:///", &all, &place, &err), RC_INVALID);
    assert_string_equal(err.cause, BUCKET);
    assert_int_equal(sdrs_place_parse("x", "file:///b/d", &all, &place, &err), RC_OK);
    RC_STR_AUTO uri = sdrs_bucket_uri(&place);
    RC_STR_AUTO name = sdrs_place_name(&place);
    assert_string_equal(uri, "file:///b/");
    assert_string_equal(name, "file:///b/d");
}

static void test_roots(void **state)
{
    (void)state;
    static const struct {
        const char *items[2];
        bool is_right;
    } cases[] = {
        { { "/srv/lake", "/srv/lakes/" }, true },
        { { "/srv/a", "/srv/b" }, true },
        { { "/srv", "/srv/lake" }, false },
        { { "/srv/lake", "/srv//" }, false },
        { { "/srv/lake", "/srv//lake/" }, false },
        { { "/", "/srv" }, false },
        { { "/srv/../etc", "/a" }, false },
        { { "/a", "srv" }, false },
        { { "/a", "" }, false },
        { { "/a", "file:///srv" }, false },
        { { "/a", "/b\n" }, false },
    };

    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        struct rc_error err = RC_ERROR_INIT;
        const struct rc_strs list = { 2, cases[i].items };
        enum rc_code code = sdrs_file_roots_check(&list, &err);

        assert_int_equal(code, cases[i].is_right ? RC_OK : RC_INVALID);
        if (code)
            assert_true(rc_str_starts(err.cause, "'file_roots' has '"));
    }
}

static void test_nest(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        bool nest;
    } cases[] = {
        { "data", "data2", false }, { "data/x", "data", true },
        { "data", "data", true },   { "", "data", true },
        { "", "", true },           { "a/b/c", "a/b/d", false },
        { "a/b", "a/bc", false },   { "x/data", "data", false },
    };

    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        assert_int_equal(sdrs_datasets_nest(cases[i].a, cases[i].b), cases[i].nest);
        assert_int_equal(sdrs_datasets_nest(cases[i].b, cases[i].a), cases[i].nest);
    }
}

static void test_markers(void **state)
{
    (void)state;
    static const char usual[] = "\\.delete_this_folder", seeds[] = ".delete_this_folder";
    static const struct {
        const char *target, *pattern, *folder; /* or NULL, and */
        const char *why;                       /* how the message begins */
    } cases[] = {
        { "gs://b/d/.delete_this_folder", usual, "gs://b/d", NULL },
        { "gs://b/d/e//.delete_this_folder", usual, "gs://b/d/e", NULL },
        { "file:///srv/lake/b/d/.delete_this_folder", usual, "file:///srv/lake/b/d", NULL },
        { "gs://b/d/.delete_this_folder", seeds, "gs://b/d", NULL },
        { "gs://b/d/Xdelete_this_folder", seeds, NULL,
          "The target gs://b/d/Xdelete_this_folder "
          "does not have a valid delete marker." },
        { "gs://b/d/Xdelete_this_folder", usual, NULL, "The target gs://b/d/X" },
        { "gs://b/d/.delete_this_folderX", usual, NULL, "The target gs://b/d/" },
        { "gs://b/d/X.delete_this_folder", usual, NULL, "The target gs://b/d/" },
        { "gs://b/d/.delete_this_folder/", usual, NULL, "The target gs://b/d/" },
        { "gs://b/d/", ".*", NULL,
          "The target gs://b/d/ does not have a valid delete marker. The "
          "delete marker needs to match the pattern .*" },
        { "gs://b/.delete_this_folder/x", usual, NULL, "The target gs://b/" },
        /* A bucket never goes whole. */
        { "gs://b/.delete_this_folder", usual, NULL,
          "The target gs://b/.delete_this_folder is intended to delete a bucket. Can not delete a "
          "bucket" },
        { "gs://b//.delete_this_folder", usual, NULL,
          "The target gs://b//.delete_this_folder is " },
        { "gs://.delete_this_folder", usual, NULL, "The target gs://.delete_this_folder is " },
        { "file:///srv/lake/b/.delete_this_folder", usual, NULL, "The target file:///srv/lake/b/" },
        /* Any of two, whole: no half of an alternative is enough. */
        { "gs://b/d/_DELETE", "x|xx|_DELETE", "gs://b/d", NULL },
        { "gs://b/d/xx", "x|xx|_DELETE", "gs://b/d", NULL },
        { "gs://b/d/xxx", "x|xx|_DELETE", NULL, "The target gs://b/d/xxx does not " },
        { "gs://b/d/y_DELETE", "x|xx|_DELETE", NULL, "The target gs://b/d/y_DELETE does not " },
        { "gs://b/d/x", "(", NULL, "'(' is no POSIX extended regular expression" },
        { NULL, usual, NULL, "target must be provided" },
        { "b/d/.delete_this_folder", usual, NULL, "target must start with 'gs://'" },
        { "gs:///.delete_this_folder", usual, NULL, "target must include a bucket name" },
        { "gs://b/../.delete_this_folder", usual, NULL, "target must not have '.'" },
    };

    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        RC_CLEANUP(sdrs_place_clear) struct sdrs_place place;
        struct rc_error err = RC_ERROR_INIT;
        enum rc_code code =
            sdrs_marker_split(cases[i].target, cases[i].pattern, &roots, &place, &err);

        if (!cases[i].folder) {
            assert_int_equal(code, RC_INVALID);
            if (!rc_str_starts(err.cause, cases[i].why))
                fail_msg("'%s', not '%s'", err.cause, cases[i].why);
            assert_null(place.root);
            continue;
        }
        if (code)
            fail_msg("%s: %s", cases[i].target, err.cause);
        RC_STR_AUTO name = sdrs_place_name(&place);
        assert_string_equal(name, cases[i].folder);
    }
}

static void test_patterns(void **state)
{
    (void)state;
    struct rc_error err = RC_ERROR_INIT;

    assert_int_equal(sdrs_marker_pattern_check("\\.delete_this_folder", &err), RC_OK);
    assert_int_equal(sdrs_marker_pattern_check("_(DELETE|DROP)[0-9]*", &err), RC_OK);
    assert_int_equal(sdrs_marker_pattern_check("_(DELETE", &err), RC_INVALID);
    assert_non_null(strstr(err.cause, "'_(DELETE' is no POSIX"));
    assert_int_equal(sdrs_marker_pattern_check("x*", &err), RC_INVALID);
    assert_non_null(strstr(err.cause, "empty name"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),       cmocka_unit_test(test_refused),
        cmocka_unit_test(test_long),        cmocka_unit_test(test_made),
        cmocka_unit_test(test_root_of_all), cmocka_unit_test(test_roots),
        cmocka_unit_test(test_nest),        cmocka_unit_test(test_markers),
        cmocka_unit_test(test_patterns),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
