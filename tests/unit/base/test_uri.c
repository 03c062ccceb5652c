/*
 * Storage URIs: split, join and place.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <run-core/uri.h>
#include <string.h>

static void splits(void **state)
{
    static const struct {
        const char *text, *scheme, *bucket, *key;
    } table[] = {
        { "s3://bucket/a/b.csv", "s3", "bucket", "a/b.csv" },
        { "s3://bucket", "s3", "bucket", "" },
        { "s3://bucket/", "s3", "bucket", "" },
        { "s3://bucket//a", "s3", "bucket", "/a" },
        { "gs://b/a b%20c?d#e", "gs", "b", "a b%20c?d#e" },
        { "s3://b/../.", "s3", "b", "../." },
        { "file:///", "file", "", "/" },
        { "file:///a/b", "file", "", "/a/b" },
        { "file:///a//b/", "file", "", "/a//b/" },
        { "file:///.a/..b/c..", "file", "", "/.a/..b/c.." },
        { "file:///...", "file", "", "/..." },
        { "git+ssh-2.0://h/p", "git+ssh-2.0", "h", "p" },
        { "s3://b/\xC3\xA9", "s3", "b", "\xC3\xA9" },
        { "s3://b/a\nb\x7F", "s3", "b", "a\nb\x7F" },
        { "file:///a\tb", "file", "", "/a\tb" },
    };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(table); i++) {
        struct rc_uri uri;
        struct rc_error err = RC_ERROR_INIT;

        assert_int_equal(rc_uri_split(table[i].text, &uri, &err), RC_OK);
        assert_int_equal(uri.scheme_len, strlen(table[i].scheme));
        assert_memory_equal(uri.scheme, table[i].scheme, uri.scheme_len);
        assert_int_equal(uri.bucket_len, strlen(table[i].bucket));
        assert_memory_equal(uri.bucket, table[i].bucket, uri.bucket_len);
        assert_string_equal(uri.key, table[i].key);
        assert_true(rc_uri_has_scheme(table[i].text));
    }
}

static void refuses(void **state)
{
    static const char *const bad[] = {
        "",           "bucket/key",  "/a/b",           "s3:/b/k",         "s3:b",
        "://b/k",     "3s://b/k",    "s_3://b/k",      "s3://",           "s3:///k",
        "gs:///",     "file://",     "file://a/b",     "file://./a",      "file:///./a",
        "file:///..", "file:///a/.", "file:///a/../b", "file:///a/..//b", "s3://b\x7F",
        "s3://b\n",   "s3://b\t/k",
    };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(bad); i++) {
        struct rc_uri uri;
        struct rc_error err = RC_ERROR_INIT;

        if (rc_uri_split(bad[i], &uri, &err) != RC_INVALID)
            fail_msg("'%s' was accepted", bad[i]);
        assert_string_not_equal(err.cause, "");
    }
    assert_false(rc_uri_has_scheme("a/s3://b"));
    assert_false(rc_uri_has_scheme("C:/a"));
    assert_false(rc_uri_has_scheme("://"));
}

static void joins(void **state)
{
    static const struct {
        const char *base, *path, *joined;
    } table[] = {
        { "s3://b", "k", "s3://b/k" },
        { "s3://b/", "k", "s3://b/k" },
        { "s3://b//", "//k", "s3://b/k" },
        { "s3://b/p", "/k/", "s3://b/p/k/" },
        { "s3://b/p", "a//b///c//", "s3://b/p/a/b/c/" },
        { "s3://b/a//b", "c", "s3://b/a//b/c" },
        { "s3://b", "", "s3://b/" },
        { "file:///", "a", "file:///a" },
        { "file:///", "/a", "file:///a" },
        { "file://", "/a", "file:///a" },
        { "file:///d/", "a", "file:///d/a" },
        { "/", "a", "/a" },
        { "d", "a", "d/a" },
        { "", "a//b", "a/b" },
        { "", "//a", "/a" },
        { "", "", "" },
    };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(table); i++) {
        RC_BUF_AUTO(out, 100);

        rc_uri_join(&out, table[i].base, table[i].path);
        assert_string_equal(out.data, table[i].joined);
    }
}

static void places(void **state)
{
    static const struct {
        const char *bucket, *path, *placed;
    } table[] = {
        { NULL, "s3://b/k", "s3://b/k" },
        { "other", "gs://b//k", "gs://b//k" },
        { "bucket", "a/b", "s3://bucket/a/b" },
        { "bucket", "/a/b", "s3://bucket/a/b" },
        { "bucket", "", "s3://bucket/" },
        { "gs://bucket/p", "a", "gs://bucket/p/a" },
        { "file:///lake", "a/", "file:///lake/a/" },
        { NULL, "/abs/file", "file:///abs/file" },
        { "", "/abs/file", "file:///abs/file" },
        { NULL, "rel/file", "file:///srv/dir/rel/file" },
        { NULL, "./rel", "file:///srv/dir/rel" },
        { NULL, "../up", "file:///srv/up" },
        { NULL, "../../../up", "file:///up" },
        { NULL, "../..", "file:///" },
        { NULL, "", "file:///srv/dir" },
        { NULL, ".", "file:///srv/dir" },
        { NULL, "a/./b/../c//d/", "file:///srv/dir/a/c/d/" },
        { NULL, "/", "file:///" },
        { NULL, "/..", "file:///" },
        { NULL, "/a/../", "file:///" },
        { NULL, ".hidden/..x", "file:///srv/dir/.hidden/..x" },
    };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(table); i++) {
        RC_BUF_AUTO(out, 100);
        struct rc_uri uri;
        struct rc_error err = RC_ERROR_INIT;

        rc_uri_place(&out, table[i].bucket, table[i].path, "/srv/x/../dir/");
        assert_string_equal(out.data, table[i].placed);
        assert_int_equal(rc_uri_split(out.data, &uri, &err), RC_OK);
    }
}

/* What a buffer held before is no part of the path that ".." walks up. */
static void places_behind_other_text(void **state)
{
    RC_BUF_AUTO(out, 100);

    (void)state;
    rc_buf_adds(&out, "x/y/");
    rc_uri_place(&out, NULL, "../../../a", "/d");
    assert_string_equal(out.data, "x/y/file:///a");
}

static void overflows_like_any_addition(void **state)
{
    (void)state;
    for (size_t limit = 0; limit < 20; limit++) {
        RC_BUF_AUTO(out, limit);

        rc_uri_place(&out, NULL, "../a/./../bcd/", "/e/f");
        assert_int_equal(out.overflow, limit < strlen("file:///e/bcd/"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(splits),
        cmocka_unit_test(refuses),
        cmocka_unit_test(joins),
        cmocka_unit_test(places),
        cmocka_unit_test(places_behind_other_text),
        cmocka_unit_test(overflows_like_any_addition),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
