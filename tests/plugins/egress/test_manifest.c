/*
 * Manifests: what is printed is parsed again, and what cannot be relied on is refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <run-core/fake_host.h>

#include <manifest.h>

#include <stdlib.h>

#define HOST_AUTO RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *
#define MANIFEST_AUTO RC_CLEANUP(egress_manifest_clear) struct egress_manifest

#define SUM "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static const char whole[] =
    "{\n"
    " \"version\": 1,\n"
    " \"complete\": false,\n"
    " \"run_id\": \"20261121-000003-7f3a\",\n"
    " \"job\": \"nightly\",\n"
    " \"nominal\": \"2026-11-21T00:00:00Z\",\n"
    " \"started\": \"2026-11-21T00:00:03.250Z\",\n"
    " \"finished\": \"2026-11-21T00:01:09Z\",\n"
    " \"server_version\": \"15.4\",\n"
    " \"database\": \"app\",\n"
    " \"system_identifier\": \"7304822361245013011\",\n"
    " \"snapshot\": { \"id\": \"00000003-0000001B-1\", \"time\": \"2026-11-21T00:00:03.312Z\", "
    "\"lsn\": \"0/16B3748\", \"xmin\": \"750\", \"xmax\": \"752\" },\n"
    " \"format\": \"csv\",\n"
    " \"compression\": \"gzip\",\n"
    " \"csv\": { \"header\": true, \"delimiter\": \",\", \"null_string\": \"\", "
    "\"encoding\": \"UTF8\" },\n"
    " \"tables\": [\n"
    "  {\n"
    "   \"name\": \"hosts\",\n"
    "   \"schema\": \"public\",\n"
    "   \"relation\": \"hosts\",\n"
    "   \"rows\": 5,\n"
    "   \"bytes\": 70,\n"
    "   \"stored_bytes\": 60,\n"
    "   \"columns\": [\n"
    "    { \"name\": \"id\", \"type\": \"bigint\" },\n"
    "    { \"name\": \"größe \\\"x\\\"\", \"type\": \"numeric(10,2)\" }\n"
    "   ],\n"
    "   \"objects\": [\n"
    "    { \"key\": \"hosts/part-00000.csv.gz\", \"rows\": 2, \"bytes\": 30, \"stored_bytes\": 25, "
    "\"sha256\": \"" SUM "\" },\n"
    "    { \"key\": \"hosts/part-00001.csv.gz\", \"rows\": 3, \"bytes\": 40, \"stored_bytes\": 35, "
    "\"sha256\": \"" SUM "\" }\n"
    "   ]\n"
    "  },\n"
    "  {\n"
    "   \"name\": \"gone\",\n"
    "   \"query\": \"SELECT 1\",\n"
    "   \"error\": \"it is not there\",\n"
    "   \"rows\": 0,\n"
    "   \"bytes\": 0,\n"
    "   \"stored_bytes\": 0,\n"
    "   \"columns\": [\n"
    "   ],\n"
    "   \"objects\": [\n"
    "   ]\n"
    "  }\n"
    " ]\n"
    "}\n";

static void test_what_is_printed_is_parsed_again(void **state)
{
    (void)state;
    MANIFEST_AUTO manifest;
    RC_BUF_AUTO(printed, 1 << 20);
    struct rc_error err = RC_ERROR_INIT;

    assert_int_equal(egress_manifest_parse(whole, strlen(whole), &manifest, &err), RC_OK);
    assert_int_equal(manifest.version, 1);
    assert_false(manifest.complete);
    assert_string_equal(manifest.run_id, "20261121-000003-7f3a");
    assert_int_equal(manifest.finished_unix_ms - manifest.started_unix_ms, 65750);
    assert_string_equal(manifest.snapshot, "00000003-0000001B-1");
    assert_string_equal(manifest.xmax, "752");
    assert_true(manifest.header);
    assert_string_equal(manifest.null_string, "");
    assert_int_equal(manifest.table_count, 2);
    assert_string_equal(manifest.tables[0].columns[1].name, "größe \"x\"");
    assert_int_equal(manifest.tables[0].objects[1].stored_bytes, 35);
    assert_null(manifest.tables[0].error);
    assert_string_equal(manifest.tables[1].query, "SELECT 1");
    assert_int_equal(egress_manifest_print(&manifest, &printed, &err), RC_OK);
    assert_string_equal(printed.data, whole);
}

static void test_bytes_that_are_no_text_do_not_spoil_it(void **state)
{
    (void)state;
    struct egress_manifest_table table = { .name = (char[]){ "a\xff" } };
    struct egress_manifest manifest = { .format = (char[]){ "parquet" },
                                        .compression = (char[]){ "none" },
                                        .complete = true,
                                        .tables = &table,
                                        .table_count = 1 };
    MANIFEST_AUTO back;
    RC_BUF_AUTO(printed, 1 << 20);
    struct rc_error err = RC_ERROR_INIT;

    assert_int_equal(egress_manifest_print(&manifest, &printed, &err), RC_OK);
    assert_null(strstr(printed.data, "\"csv\""));
    assert_int_equal(egress_manifest_parse(printed.data, printed.len, &back, &err), RC_OK);
    assert_string_equal(back.tables[0].name, "a\xef\xbf\xbd");
    assert_true(back.complete);
}

static void test_a_manifest_without_end_is_not_printed(void **state)
{
    (void)state;
    struct egress_manifest manifest = { .format = (char[]){ "csv" } };
    RC_BUF_AUTO(printed, 100);
    struct rc_error err = RC_ERROR_INIT;

    assert_int_equal(egress_manifest_print(&manifest, &printed, &err), RC_TOO_LARGE);
}

/* ---- what is refused ---- */

#define HEAD                                                                                       \
    "{\"version\": 1, \"complete\": true, \"format\": \"parquet\", \"compression\": \"none\""
#define OBJECT(key, rows, sum)                                                                     \
    "{\"key\": \"" key "\", \"rows\": " rows                                                       \
    ", \"bytes\": 1, \"stored_bytes\": 1, \"sha256\": \"" sum "\"}"
#define TABLE(objects) HEAD ", \"tables\": [{\"name\": \"t\", \"objects\": [" objects "]}]}"

static void assert_refused(const char *text, const char *words)
{
    struct egress_manifest manifest;
    struct rc_error err = RC_ERROR_INIT;

    if (egress_manifest_parse(text, strlen(text), &manifest, &err) != RC_CORRUPT)
        fail_msg("'%s' is not refused", text);
    if (!strstr(err.cause, words) && !strstr(err.context, words))
        fail_msg("'%s' gives '%s: %s'", text, err.context, err.cause);
    assert_null(manifest.tables);
}

static void test_what_is_no_manifest_is_refused(void **state)
{
    (void)state;
    assert_refused("", "not JSON");
    assert_refused("\x1f\x8b\x08", "not JSON");
    assert_refused("[]", "no JSON object");
    assert_refused("{\"version\": 1, \"version\": 1}", "duplicate");
    assert_refused("{}", "'version' is missing");
    assert_refused("{\"version\": \"1\"}", "'version' is missing, or is not a whole number");
    assert_refused("{\"version\": 2}", "version 2");
    assert_refused("{\"version\": 1}", "'complete'");
    assert_refused("{\"version\": 1, \"complete\": 1}", "'complete'");
    assert_refused("{\"version\": 1, \"complete\": true}", "'format'");
    assert_refused("{\"version\": 1, \"complete\": true, \"format\": \"csv\"}", "'compression'");
    assert_refused("{\"version\": 1, \"complete\": true, \"format\": \"csv\", "
                   "\"compression\": \"gzip\"}",
                   "'header'");
    assert_refused(HEAD "}", "'tables'");
    assert_refused(HEAD ", \"started\": \"today\", \"tables\": []}", "'started'");
    assert_refused(HEAD ", \"started\": \"9999-12-31T23:59:59-23:59\", \"tables\": []}",
                   "'started'");
    assert_refused(HEAD ", \"run_id\": 7, \"tables\": []}", "'run_id'");
    assert_refused(HEAD ", \"run_id\": \"a\\u0000b\", \"tables\": []}", "not JSON");
    assert_refused(HEAD ", \"tables\": {}}", "'tables'");
    assert_refused(HEAD ", \"tables\": [7]}", "tables[0]");
    assert_refused(HEAD ", \"tables\": [{\"name\": \"t\"}]}", "'objects'");
    assert_refused(HEAD ", \"tables\": [{\"name\": \"t\", \"objects\": [], \"columns\": [{}]}]}",
                   "columns[0]");
    assert_refused(HEAD ", \"tables\": [{\"name\": \"t\", \"objects\": [], \"error\": \"no\"}]}",
                   "said to be complete");
}

static void test_objects_that_cannot_be_are_refused(void **state)
{
    (void)state;
    static const char *const keys[] = { "../x", "/x", "a/../b", "a//b",     "./a",           "a/",
                                        "..",   ".",  "a\\nb",  "a\\u007f", "_manifest.json" };

    assert_refused(TABLE("7"), "objects[0]");
    assert_refused(TABLE(OBJECT("", "1", SUM)), "'key'");
    assert_refused(TABLE(OBJECT("a", "-1", SUM)), "'rows'");
    assert_refused(TABLE(OBJECT("a", "1.5", SUM)), "'rows'");
    assert_refused(TABLE(OBJECT("a", "1", "00")), "'sha256'");
    assert_refused(TABLE(OBJECT("a", "1",
                                "0X23456789abcdef0123456789abcdef"
                                "0123456789abcdef0123456789abcdef")),
                   "'sha256'");
    assert_refused(TABLE(OBJECT("a", "1", SUM) "," OBJECT("a", "1", SUM)), "'a' is listed twice");
    assert_refused(TABLE(OBJECT("a", "9223372036854775807", SUM) "," OBJECT("b", "1", SUM)),
                   "adds up to more");
    assert_refused(TABLE(OBJECT("a", "9223372036854775808", SUM)), "not JSON");
    for (size_t i = 0; i < RC_ARRAY_LEN(keys); i++) {
        RC_STR_AUTO text = rc_strf(HEAD ", \"tables\": [{\"name\": \"t\", \"objects\": [{"
                                        "\"key\": \"%s\", \"rows\": 1, \"bytes\": 1, "
                                        "\"stored_bytes\": 1, \"sha256\": \"" SUM "\"}]}]}",
                                   keys[i]);

        assert_refused(text, "is no key");
    }
}

/* Members to come are passed over; what a reader does not need may be missing. */
static void test_the_least_and_the_unknown_are_accepted(void **state)
{
    (void)state;
    static const char text[] = HEAD ", \"tables\": [{\"name\": \"t\", \"later\": [[]], \"query\": "
                                    "null, \"objects\": [" OBJECT("..a/b..c", "0", SUM) "]}]}";
    MANIFEST_AUTO manifest;
    struct rc_error err = RC_ERROR_INIT;

    assert_int_equal(egress_manifest_parse(text, strlen(text), &manifest, &err), RC_OK);
    assert_null(manifest.run_id);
    assert_string_equal(manifest.tables[0].objects[0].key, "..a/b..c");
}

/* Whatever is cut off or changed, nothing is read that is not there, and nothing leaks. */
static void test_damage_never_harms(void **state)
{
    (void)state;
    size_t len = strlen(whole);

    for (size_t at = 0; at < len; at++) {
        RC_STR_AUTO cut = rc_malloc(at + 1);
        RC_STR_AUTO changed = rc_strdup(whole);
        struct egress_manifest manifest;
        struct rc_error err = RC_ERROR_INIT;

        /* Without its end, and without a NUL behind it. */
        memcpy(cut, whole, at);
        if (egress_manifest_parse(cut, at, &manifest, &err) == RC_OK) {
            assert_int_equal(at, len - 1); /* only the last line's end is missing */
            egress_manifest_clear(&manifest);
        }
        changed[at] = (char)(changed[at] ^ (1 << at % 8));
        if (egress_manifest_parse(changed, len, &manifest, &err) == RC_OK)
            egress_manifest_clear(&manifest);
    }
}

/* ---- in the store ---- */

static void test_a_manifest_is_kept_in_its_folder(void **state)
{
    (void)state;
    HOST_AUTO host = rc_fake_host_new(NULL);
    struct rc_job *job = rc_fake_host_job(host);
    MANIFEST_AUTO manifest, back;
    struct rc_error err = RC_ERROR_INIT;

    assert_int_equal(egress_manifest_load(job, "s3://b/2026/", &back, &err), RC_NOT_FOUND);
    assert_non_null(strstr(err.context, "read the manifest 's3://b/2026/_manifest.json'"));
    assert_int_equal(egress_manifest_parse(whole, strlen(whole), &manifest, &err), RC_OK);
    assert_int_equal(egress_manifest_save(job, "s3://b/2026/", &manifest, &err), RC_OK);
    assert_string_equal(rc_fake_host_object(host, "s3://b/2026/_manifest.json", NULL), whole);
    assert_string_equal(rc_fake_host_attributes(host, "s3://b/2026/_manifest.json"),
                        "content-type: application/json\n");
    assert_int_equal(egress_manifest_load(job, "s3://b/2026/", &back, &err), RC_OK);
    assert_int_equal(back.table_count, 2);
    assert_int_equal(rc_fake_host_open_handles(host), 0);
}

static void test_a_store_that_fails_is_told(void **state)
{
    (void)state;
    MANIFEST_AUTO manifest;
    struct rc_error err = RC_ERROR_INIT;
    int failures = 0;

    assert_int_equal(egress_manifest_parse(whole, strlen(whole), &manifest, &err), RC_OK);
    for (int n = 1;; n++, failures++) {
        HOST_AUTO host = rc_fake_host_new(NULL);

        rc_fake_host_fail_at(host, n, RC_UNAVAILABLE);
        if (egress_manifest_save(rc_fake_host_job(host), "s3://b/", &manifest, &err) == RC_OK)
            break;
        assert_int_equal(err.code, RC_UNAVAILABLE);
        assert_non_null(strstr(err.context, "write the manifest 's3://b/_manifest.json'"));
        assert_null(rc_fake_host_object(host, "s3://b/_manifest.json", NULL));
        assert_int_equal(rc_fake_host_open_handles(host), 0);
    }
    assert_int_equal(failures, 3); /* create, write, commit */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_printed_is_parsed_again),
        cmocka_unit_test(test_bytes_that_are_no_text_do_not_spoil_it),
        cmocka_unit_test(test_a_manifest_without_end_is_not_printed),
        cmocka_unit_test(test_what_is_no_manifest_is_refused),
        cmocka_unit_test(test_objects_that_cannot_be_are_refused),
        cmocka_unit_test(test_the_least_and_the_unknown_are_accepted),
        cmocka_unit_test(test_damage_never_harms),
        cmocka_unit_test(test_a_manifest_is_kept_in_its_folder),
        cmocka_unit_test(test_a_store_that_fails_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
