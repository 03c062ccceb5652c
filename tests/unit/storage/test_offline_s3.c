/*
 * What the S3 backend works out without a server: addresses, sizes of parts, the meaning of
 * refusals, and pages of listings.
 */
#include <storage/s3.h>
#include <storage/s3_page.h>

#include <run-core/str.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- addresses ------------------------------------------------------------------------------- */

static void aims(void **state)
{
    static const struct {
        const char *endpoint;
        int addressing;
        const char *bucket, *key, *query;
        const char *url, *host, *path;
    } cases[] = {
        { "https://s3.eu-west-1.amazonaws.com", CORE_ADDRESS_AUTO, "b-1", "k", "",
          "https://b-1.s3.eu-west-1.amazonaws.com/k", "b-1.s3.eu-west-1.amazonaws.com", "/k" },
        { "https://s3.eu-west-1.amazonaws.com", CORE_ADDRESS_AUTO, "b.dots", "k", "",
          "https://s3.eu-west-1.amazonaws.com/b.dots/k", "s3.eu-west-1.amazonaws.com",
          "/b.dots/k" },
        { "https://s3.eu-west-1.amazonaws.com", CORE_ADDRESS_AUTO, "Upper", "k", "",
          "https://s3.eu-west-1.amazonaws.com/Upper/k", "s3.eu-west-1.amazonaws.com", "/Upper/k" },
        { "https://s3.eu-west-1.amazonaws.com", CORE_ADDRESS_PATH, "bkt", NULL, "list-type=2",
          "https://s3.eu-west-1.amazonaws.com/bkt?list-type=2", "s3.eu-west-1.amazonaws.com",
          "/bkt" },
        { "https://s3.eu-west-1.amazonaws.com", CORE_ADDRESS_AUTO, "bkt", NULL, "delete",
          "https://bkt.s3.eu-west-1.amazonaws.com/?delete", "bkt.s3.eu-west-1.amazonaws.com", "/" },
        { "http://127.0.0.1:9000", CORE_ADDRESS_AUTO, "bkt", "a b/\xc3\xa4+%?#", "",
          "http://127.0.0.1:9000/bkt/a%20b/%C3%A4%2B%25%3F%23", "127.0.0.1:9000",
          "/bkt/a%20b/%C3%A4%2B%25%3F%23" },
        { "http://127.0.0.1:9000", CORE_ADDRESS_AUTO, "bkt", "/a//b/../.", "",
          "http://127.0.0.1:9000/bkt//a//b/../.", "127.0.0.1:9000", "/bkt//a//b/../." },
        { "https://example.org:443/base//", CORE_ADDRESS_AUTO, "bkt", "k", "",
          "https://example.org/base/bkt/k", "example.org", "/base/bkt/k" },
        { "http://example.org:80/", CORE_ADDRESS_VIRTUAL, "bkt", "k", "",
          "http://bkt.example.org/k", "bkt.example.org", "/k" },
        { "http://[::1]:9000", CORE_ADDRESS_AUTO, "bkt", "k", "", "http://[::1]:9000/bkt/k",
          "[::1]:9000", "/bkt/k" },
    };
    struct rc_error err = RC_ERROR_INIT;
    struct core_s3_target target;

    (void)state;
    core_s3_target_init(&target);
    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        assert_int_equal(core_s3_aim(&target, cases[i].endpoint, cases[i].addressing,
                                     cases[i].bucket, cases[i].key, cases[i].query, &err),
                         RC_OK);
        assert_string_equal(target.url.data, cases[i].url);
        assert_string_equal(target.host.data, cases[i].host);
        assert_string_equal(target.path.data, cases[i].path);
    }
    static const char *const wrong[] = {
        "",           "example.org",          "ftp://x",        "https://",
        "https:///x", "https://user:pw@host", "https://host/?x"
    };
    for (size_t i = 0; i < RC_ARRAY_LEN(wrong); i++)
        assert_int_equal(core_s3_aim(&target, wrong[i], CORE_ADDRESS_AUTO, "b", "k", "", &err),
                         RC_INVALID);
    core_s3_target_clear(&target);
}

static void knows_the_regions_of_hosts(void **state)
{
    static const struct {
        const char *url, *region;
        bool is_aws;
    } cases[] = {
        { "https://s3.eu-west-1.amazonaws.com", "eu-west-1", true },
        { "https://s3-eu-west-1.amazonaws.com/", "eu-west-1", true },
        { "https://s3.dualstack.us-west-2.amazonaws.com:443", "us-west-2", true },
        { "https://s3.cn-north-1.amazonaws.com.cn", "cn-north-1", true },
        { "https://s3.amazonaws.com", NULL, true },
        { "https://bucket.s3.eu-central-1.amazonaws.com/key", "eu-central-1", false },
        { "https://a.b.s3-ap-south-1.amazonaws.com", "ap-south-1", false },
        { "https://vpce-1.s3.us-east-1.vpce.amazonaws.com", NULL, false },
        { "https://s3.example.org", NULL, false },
        { "https://s3.eu-west-1.amazonaws.com.evil.org", NULL, false },
        { "http://localhost:9000", NULL, false },
    };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        RC_STR_AUTO region = core_s3_region_of(cases[i].url);

        assert_true(rc_str_eq(region, cases[i].region));
        assert_int_equal(core_s3_is_aws(cases[i].url), cases[i].is_aws);
    }
    assert_true(core_s3_is_region("eu-west-1"));
    assert_false(core_s3_is_region(""));
    assert_false(core_s3_is_region("x.evil.org/"));
}

/* What is left out of a request in silence is missing from the object. */
static void refuses_more_headers_than_it_can_send(void **state)
{
    const struct core_store_settings store = {
        .name = "none", .bucket = "bkt", .endpoint = "http://127.0.0.1:1", .anonymous = true
    };
    struct core_remote *remote = core_remote_new(NULL, NULL, NULL);
    const struct core_place_in_store place = {
        .settings = &store, .remote = remote, .uri = "s3://bkt/k", .bucket = "bkt", .key = "k"
    };
    struct rc_pair pairs[200];
    const struct rc_attributes attributes = { .metadata = { RC_ARRAY_LEN(pairs), pairs } };
    const struct rc_put_options options = { .struct_bytes = sizeof(options),
                                            .attributes = &attributes };
    char names[RC_ARRAY_LEN(pairs)][8];
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(pairs); i++) {
        (void)snprintf(names[i], sizeof(names[i]), "n%zu", i);
        pairs[i] = (struct rc_pair){ names[i], "v" };
    }
    assert_int_equal(core_s3_put(&place, "x", 1, &options, NULL, &err), RC_INVALID);
    assert_non_null(strstr(err.cause, "120 headers"));
    core_remote_free(remote);
}

/* ---- sizes of parts -------------------------------------------------------------------------- */

static void parts_of_a_known_size_are_alike_and_enough(void **state)
{
    static const struct {
        int64_t least, size, part;
    } cases[] = {
        { 0, 0, 8 * CORE_S3_MIB },
        { 0, 1, 8 * CORE_S3_MIB },
        { 0, 80000 * CORE_S3_MIB, 8 * CORE_S3_MIB },
        { 0, 80000 * CORE_S3_MIB + 1, 9 * CORE_S3_MIB },
        { 1, 1, 5 * CORE_S3_MIB },
        { 64 * CORE_S3_MIB, 1, 64 * CORE_S3_MIB },
        { 0, INT64_C(5) << 40, 525 * CORE_S3_MIB },
        { 0, INT64_C(50000) << 30, 5120 * CORE_S3_MIB },
    };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        int64_t part = core_s3_part_bytes(cases[i].least, cases[i].size, 0);

        assert_int_equal(part, cases[i].part);
        assert_true((cases[i].size + part - 1) / part <= CORE_S3_PARTS);
    }
}

/* How many parts a stream takes up to 5 TiB, of which 'said' is announced and more comes. */
static int count_parts(int64_t least, int64_t said, int64_t *largest)
{
    int64_t usual = least > 8 * CORE_S3_MIB ? least : 8 * CORE_S3_MIB;
    int64_t offset = 0;
    int count = 0;

    for (*largest = 0; offset < INT64_C(5) << 40; count++) {
        int64_t part = core_s3_part_bytes(least, said, offset);

        assert_true(part >= *largest && part >= 5 * CORE_S3_MIB && part <= CORE_S3_MAX_PUT);
        /* Nobody pays in memory for what is not long yet. */
        assert_true(part <= usual || part <= CORE_S3_MIB + offset / 1250);
        *largest = part;
        offset += part;
    }
    return count;
}

static void parts_of_an_unknown_size_grow_to_5_tib(void **state)
{
    static const struct {
        int64_t least, said;
    } cases[] = {
        { 0, -1 },
        { 1, -1 },
        { 5 * CORE_S3_MIB, -1 },
        { 64 * CORE_S3_MIB, -1 },
        { 1024 * CORE_S3_MIB, -1 },
        { INT64_MAX, -1 },
        { 0, 0 },
        { 0, 1 },
        { 0, INT64_C(1) << 30 },
    };
    int64_t largest;

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++)
        assert_in_range(count_parts(cases[i].least, cases[i].said, &largest), 1, CORE_S3_PARTS);
    assert_in_range(count_parts(0, -1, &largest), 9000, 9100);
    assert_in_range(largest, INT64_C(4) << 30, CORE_S3_MAX_PUT);
    for (int64_t offset = 0; offset <= INT64_C(9) << 30; offset += 8 * CORE_S3_MIB)
        assert_int_equal(core_s3_part_bytes(0, -1, offset), 8 * CORE_S3_MIB);
    assert_int_equal(core_s3_part_bytes(0, INT64_MAX, 0), CORE_S3_MAX_PUT);
    assert_int_equal(core_s3_part_bytes(0, -1, INT64_MAX), CORE_S3_MAX_PUT);
}

/* ---- refusals -------------------------------------------------------------------------------- */

static void refusals_have_a_code_and_words(void **state)
{
    static const struct {
        unsigned status;
        const char *name;
        enum rc_code code;
        enum core_http_verdict verdict;
        const char *words;
    } cases[] = {
        { 404, "NoSuchBucket", RC_NOT_FOUND, CORE_HTTP_ACCEPT, "create it" },
        { 404, "NoSuchKey", RC_NOT_FOUND, CORE_HTTP_ACCEPT, "HTTP 404 NoSuchKey: words" },
        { 403, "AccessDenied", RC_DENIED, CORE_HTTP_ACCEPT, "do not allow it" },
        { 403, "InvalidAccessKeyId", RC_DENIED, CORE_HTTP_ACCEPT, "check 'access_key_id'" },
        { 403, "SignatureDoesNotMatch", RC_DENIED, CORE_HTTP_ACCEPT, "'secret_access_key'" },
        { 403, "RequestTimeTooSkewed", RC_DENIED, CORE_HTTP_ACCEPT, "this clock is 20m behind" },
        { 400, "ExpiredToken", RC_DENIED, CORE_HTTP_ACCEPT, "renew" },
        { 301, "PermanentRedirect", RC_INVALID, CORE_HTTP_ACCEPT, "'region'" },
        { 400, "InvalidBucketName", RC_INVALID, CORE_HTTP_ACCEPT, "lower-case" },
        { 400, "InvalidStorageClass", RC_INVALID, CORE_HTTP_ACCEPT, "'storage_class'" },
        { 403, "InvalidObjectState", RC_DENIED, CORE_HTTP_ACCEPT, "restore it" },
        { 404, "NoSuchUpload", RC_CONFLICT, CORE_HTTP_ACCEPT, "aborted" },
        { 400, "EntityTooLarge", RC_FAILED, CORE_HTTP_ACCEPT, "'part_size'" },
        { 503, "SlowDown", RC_UNAVAILABLE, CORE_HTTP_SLOWER, "'connections'" },
        { 403, "QuotaExceeded", RC_FAILED, CORE_HTTP_ACCEPT, "quota" },
        { 400, "RequestTimeout", RC_UNAVAILABLE, CORE_HTTP_AGAIN, "HTTP 400" },
        { 200, "InternalError", RC_UNAVAILABLE, CORE_HTTP_AGAIN, "HTTP 200 InternalError" },
        { 412, "PreconditionFailed", RC_CONFLICT, CORE_HTTP_ACCEPT, "HTTP 412" },
        { 409, "BucketNotEmpty", RC_CONFLICT, CORE_HTTP_ACCEPT, "HTTP 409" },
        { 400, "SomethingElse", RC_INVALID, CORE_HTTP_ACCEPT, "SomethingElse: words (request r)" },
        { 500, "", RC_UNAVAILABLE, CORE_HTTP_AGAIN, "HTTP 500" },
        { 403, "", RC_DENIED, CORE_HTTP_ACCEPT, "not known or do not allow" },
        { 501, "", RC_UNSUPPORTED, CORE_HTTP_ACCEPT, "HTTP 501" },
    };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        struct core_s3_refusal refusal = { .status = cases[i].status,
                                           .message = "words",
                                           .request_id = "r" };
        struct rc_error err = RC_ERROR_INIT;

        memcpy(refusal.code, cases[i].name, strlen(cases[i].name) + 1);
        assert_int_equal(core_s3_refusal_fail(&refusal, false, 1200 * 1000, &err), cases[i].code);
        if (!strstr(err.cause, cases[i].words))
            fail_msg("'%s' lacks '%s'", err.cause, cases[i].words);
        assert_int_equal(core_s3_refusal_judge(&refusal), cases[i].verdict);
    }
}

/* ---- pages ----------------------------------------------------------------------------------- */

static enum rc_code read_page(enum core_s3_dialect asked, const char *inside,
                              struct core_s3_page *page, struct rc_error *err)
{
    RC_BUF_AUTO(body, 1 << 16);

    rc_buf_addf(&body, "<ListBucketResult>%s</ListBucketResult>", inside);
    return core_s3_page_read("p/", asked, &body, page, err);
}

static void pages_are_put_in_order(void **state)
{
    struct core_s3_page page = { .arena = CORE_ARENA_INIT };
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    assert_int_equal(
        read_page(CORE_S3_BY_TOKEN,
                  "<CommonPrefixes><Prefix>p%2Fb%2F</Prefix></CommonPrefixes>"
                  "<Contents><Key>p%2Fa+%2B</Key><Size>5</Size><ETag>\"tag\"</ETag></Contents>"
                  "<Contents><Key>p%2Fc</Key><Size>0</Size></Contents>"
                  "<EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>"
                  "<NextContinuationToken>t+/=</NextContinuationToken><KeyCount>3</KeyCount>",
                  &page, &err),
        RC_OK);
    assert_int_equal(page.count, 3);
    assert_string_equal(page.items[0].object.name, "a +");
    assert_int_equal(page.items[0].object.stat.size_bytes, 5);
    assert_string_equal(page.items[0].object.stat.etag, "tag");
    assert_string_equal(page.items[1].object.name, "b/");
    assert_true(page.items[1].object.is_prefix);
    assert_string_equal(page.items[2].object.name, "c");
    assert_string_equal(page.next.token, "t+/=");
    core_s3_page_clear(&page);
}

static void pages_that_contradict_themselves_are_refused(void **state)
{
    static const struct {
        const char *inside;
        enum rc_code code;
    } cases[] = {
        { "", RC_CORRUPT },
        { "<IsTruncated>true</IsTruncated>", RC_CORRUPT },
        { "<IsTruncated>false</IsTruncated><KeyCount>1</KeyCount>", RC_CORRUPT },
        { "<IsTruncated>false</IsTruncated><Contents><Key>other</Key><Size>1</Size></Contents>",
          RC_CORRUPT },
        { "<IsTruncated>false</IsTruncated><Contents><Key>p/a</Key></Contents>", RC_CORRUPT },
        { "<IsTruncated>false</IsTruncated><Contents><Key>p/b</Key><Size>1</Size></Contents>"
          "<Contents><Key>p/a</Key><Size>1</Size></Contents>",
          RC_UNSUPPORTED },
        { "<IsTruncated>false</IsTruncated><EncodingType>url</EncodingType>"
          "<Contents><Key>p/%</Key><Size>1</Size></Contents>",
          RC_CORRUPT },
    };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        struct core_s3_page page = { .arena = CORE_ARENA_INIT };
        struct rc_error err = RC_ERROR_INIT;

        assert_int_equal(read_page(CORE_S3_BY_TOKEN, cases[i].inside, &page, &err), cases[i].code);
        core_s3_page_clear(&page);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(aims),
        cmocka_unit_test(knows_the_regions_of_hosts),
        cmocka_unit_test(refuses_more_headers_than_it_can_send),
        cmocka_unit_test(parts_of_a_known_size_are_alike_and_enough),
        cmocka_unit_test(parts_of_an_unknown_size_grow_to_5_tib),
        cmocka_unit_test(refusals_have_a_code_and_words),
        cmocka_unit_test(pages_are_put_in_order),
        cmocka_unit_test(pages_that_contradict_themselves_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
