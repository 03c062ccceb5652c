/*
 * Manifests: what is written is read again, whatever keys and batches are called; only what is
 * asked for; and damage is told.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <run-core/fake_host.h>

#include <mover/manifest.h>

#define HOST_AUTO RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *
#define SHADOW "gs://eventsshadow/"

enum { TEXT_LIMIT = 1 << 20, PARTS = 3 };

static const char *const odd_keys[] = {
    "a",
    "d/2019/02/08/04/x \"quoted\" \\ \n\t.csv",
    "d/percent %41%00 + &",
    "d/\xc3\xa4\xf0\x9f\x98\x80",
    "d/not utf-8 \xff\xfe%",
    "d/" /* of a key as long as keys get */
    "012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012"
    "3",
};

static struct sdrs_manifest *begin(struct rc_job *job, const char *batch, int64_t record)
{
    struct sdrs_manifest *manifest = NULL;
    struct rc_error err = RC_ERROR_INIT;

    if (sdrs_manifest_new(job, SHADOW, batch, record, &manifest, &err))
        fail_msg("%s: %s", err.context, err.cause);
    return manifest;
}

static void add(struct sdrs_manifest *manifest, const char *key, int64_t size_bytes)
{
    const struct rc_stat stat = { .size_bytes = size_bytes, .etag = "t\"ag" };

    sdrs_manifest_add(manifest, key, &stat);
}

static void end(struct sdrs_manifest *manifest)
{
    struct rc_error err = RC_ERROR_INIT;

    if (sdrs_manifest_write(manifest, &err))
        fail_msg("%s: %s", err.context, err.cause);
    sdrs_manifest_free(manifest);
}

/* A manifest of one object. */
static void put_one(struct rc_job *job, const char *batch, int64_t record, const char *key)
{
    struct sdrs_manifest *manifest = begin(job, batch, record);

    add(manifest, key, 1);
    end(manifest);
}

/* "KEY SIZE\n" of each entry. */
static enum rc_code read_all(struct rc_job *job, const struct sdrs_manifest_query *query,
                             struct rc_buf *out, struct rc_error *err)
{
    struct sdrs_manifest_reader *reader = NULL;
    const char *key = NULL;
    int64_t size_bytes;
    enum rc_code code = sdrs_manifest_open(job, SHADOW, query, &reader, err);

    while (!code && !(code = sdrs_manifest_next(reader, &key, &size_bytes, err)) && key)
        rc_buf_addf(out, "%s %lld\n", key, (long long)size_bytes);
    sdrs_manifest_close(reader);
    return code;
}

static void check(struct rc_fake_host *host, const struct sdrs_manifest_query *query,
                  const char *want)
{
    RC_BUF_AUTO(have, TEXT_LIMIT);
    struct rc_error err = RC_ERROR_INIT;

    if (read_all(rc_fake_host_job(host), query, &have, &err))
        fail_msg("%s: %s", err.context, err.cause);
    assert_string_equal(have.data, want);
    assert_int_equal(rc_fake_host_open_handles(host), 0);
}

static void test_written_and_read(void **state)
{
    (void)state;
    HOST_AUTO host = rc_fake_host_new(NULL);
    struct sdrs_manifest *manifest = begin(rc_fake_host_job(host), "batch", 7);
    RC_BUF_AUTO(want, TEXT_LIMIT);

    for (size_t part = 0; part < PARTS; part++) {
        struct rc_error err = RC_ERROR_INIT;

        for (size_t i = 0; i < RC_ARRAY_LEN(odd_keys); i++) {
            add(manifest, odd_keys[i], (int64_t)(1 + part * 1000000000000));
            rc_buf_addf(&want, "%s %lld\n", odd_keys[i], (long long)(1 + part * 1000000000000));
        }
        assert_int_equal(sdrs_manifest_write(manifest, &err), RC_OK);
        /* Nothing was added, so nothing is written. */
        assert_int_equal(sdrs_manifest_write(manifest, &err), RC_OK);
    }
    sdrs_manifest_free(manifest);
    assert_string_equal(rc_fake_host_objects(host, SHADOW), SHADOW
                        ".run-core/sdrs/batch/7/000000\n" SHADOW
                        ".run-core/sdrs/batch/7/000001\n" SHADOW ".run-core/sdrs/batch/7/000002\n");
    check(host, &(struct sdrs_manifest_query){ .batch = "batch", .record = 7 }, want.data);
    check(host, &(struct sdrs_manifest_query){ .batch = "batch" }, want.data);
    check(host, &(struct sdrs_manifest_query){ .batch = NULL }, want.data);
}

static void test_form(void **state)
{
    (void)state;
    HOST_AUTO host = rc_fake_host_new(NULL);
    struct sdrs_manifest *manifest = begin(rc_fake_host_job(host), "b", 1);

    add(manifest, "d/x", 5);
    add(manifest, "d/\xff", 0);
    end(manifest);
    assert_string_equal(rc_fake_host_object(host, SHADOW ".run-core/sdrs/b/1/000000", NULL),
                        "{\"key\":\"d/x\",\"size\":5,\"etag\":\"t\\\"ag\"}\n"
                        "{\"key_url\":\"d%2F%FF\",\"size\":0,\"etag\":\"t\\\"ag\"}\n");
}

static void test_only_what_is_asked_for(void **state)
{
    (void)state;
    HOST_AUTO host = rc_fake_host_new(NULL);
    struct rc_job *job = rc_fake_host_job(host);
    int64_t now_unix_ms = job->now_unix_ms;

    put_one(job, "one", 1, "old");
    job->now_unix_ms += RC_DAY_MS;
    put_one(job, "one", 12, "young");
    put_one(job, "one2", 1, "other");
    check(host, &(struct sdrs_manifest_query){ .batch = "one", .record = 1 }, "old 1\n");
    check(host, &(struct sdrs_manifest_query){ .batch = "one" }, "old 1\nyoung 1\n");
    check(host, &(struct sdrs_manifest_query){ .batch = NULL }, "old 1\nyoung 1\nother 1\n");
    check(host, &(struct sdrs_manifest_query){ .written_from_unix_ms = now_unix_ms + RC_DAY_MS },
          "young 1\nother 1\n");
    check(host, &(struct sdrs_manifest_query){ .batch = "none" }, "");
}

/* A batch is what a header of a request says. */
static void test_odd_batches(void **state)
{
    static const char *const batches[] = { "..", ".", "a/../../b", "a b%2F", "/", "\xff" };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(batches); i++) {
        HOST_AUTO host = rc_fake_host_new(NULL);
        const char *at;

        put_one(rc_fake_host_job(host), batches[i], 3, "key");
        put_one(rc_fake_host_job(host), "zzz", 3, "other");
        check(host, &(struct sdrs_manifest_query){ .batch = batches[i] }, "key 1\n");
        at = rc_fake_host_objects(host, SHADOW);
        assert_ptr_equal(strstr(at, SHADOW ".run-core/sdrs/"), at);
        assert_null(strstr(at, "/../"));
        assert_null(strstr(at, "/./"));
    }
}

static void test_damage_is_told(void **state)
{
    static const char *const broken[] = {
        "{\"key\":\"a\",\"size\":1,\"etag\":\"\"",
        "{\"key\":\"a\",\"size\":-1}",
        "{\"key\":\"a\",\"size\":\"1\"}",
        "{\"key\":\"a\"}",
        "{\"size\":1}",
        "{\"key\":\"\",\"size\":1}",
        "{\"key\":\"a\",\"key_url\":\"a\",\"size\":1}",
        "{\"key_url\":\"a%4\",\"size\":1}",
        "{\"key_url\":\"a%00\",\"size\":1}",
        "{\"key_url\":\"a%zz\",\"size\":1}",
        "{\"key\":\"a\",\"key\":\"b\",\"size\":1}",
        "[]",
        "",
    };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(broken); i++) {
        HOST_AUTO host = rc_fake_host_new(NULL);
        RC_STR_AUTO text = rc_strf("{\"key\":\"ok\",\"size\":1}\n%s\n", broken[i]);
        RC_BUF_AUTO(have, TEXT_LIMIT);
        struct rc_error err = RC_ERROR_INIT;

        rc_fake_host_put(host, SHADOW ".run-core/sdrs/b/1/000000", text, strlen(text));
        assert_int_equal(read_all(rc_fake_host_job(host),
                                  &(struct sdrs_manifest_query){ .batch = "b" }, &have, &err),
                         RC_CORRUPT);
        assert_string_equal(have.data, "ok 1\n");
        assert_non_null(
            strstr(err.cause, "line 2 of the manifest '" SHADOW ".run-core/sdrs/b/1/000000'"));
        assert_int_equal(rc_fake_host_open_handles(host), 0);
    }
}

/* A line that never ends does not fill the memory; one without a line feed is the last. */
static void test_long_lines(void **state)
{
    (void)state;
    HOST_AUTO host = rc_fake_host_new(NULL);
    RC_BUF_AUTO(line, TEXT_LIMIT);
    RC_BUF_AUTO(have, TEXT_LIMIT);
    struct rc_error err = RC_ERROR_INIT;
    const struct sdrs_manifest_query query = { .batch = "b" };

    rc_fake_host_put(host, SHADOW ".run-core/sdrs/b/1/000000", "{\"key\":\"x\",\"size\":2}", 20);
    check(host, &query, "x 2\n");
    while (line.len < 300000)
        rc_buf_adds(&line, "0123456789");
    rc_fake_host_put(host, SHADOW ".run-core/sdrs/b/1/000001", line.data, line.len);
    assert_int_equal(read_all(rc_fake_host_job(host), &query, &have, &err), RC_CORRUPT);
    assert_int_equal(rc_fake_host_open_handles(host), 0);
}

static void test_faults(void **state)
{
    (void)state;
    for (int n = 1;; n++) {
        HOST_AUTO host = rc_fake_host_new(NULL);
        struct rc_job *job = rc_fake_host_job(host);
        struct rc_error err = RC_ERROR_INIT;
        RC_BUF_AUTO(have, TEXT_LIMIT);
        enum rc_code code;

        put_one(job, "b", 1, "a");
        put_one(job, "b", 2, "b");
        rc_fake_host_fail_at(host, n, RC_DENIED);
        code = read_all(job, &(struct sdrs_manifest_query){ .batch = "b" }, &have, &err);
        assert_int_equal(rc_fake_host_open_handles(host), 0);
        if (!code) {
            assert_string_equal(have.data, "a 1\nb 1\n");
            assert_true(n > 5);
            break;
        }
        assert_int_equal(code, RC_DENIED);
        assert_string_not_equal(err.context, "");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_written_and_read),
        cmocka_unit_test(test_form),
        cmocka_unit_test(test_only_what_is_asked_for),
        cmocka_unit_test(test_odd_batches),
        cmocka_unit_test(test_damage_is_told),
        cmocka_unit_test(test_long_lines),
        cmocka_unit_test(test_faults),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
