/*
 * A sync and a setup of which any host call fails: whatever was done by then is right, and the next
 * run ends as one that never failed. That failures are told and nothing stays open is tested beside
 * each action; dumps are in test_postgres_faults.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <run-core/fake_host.h>

#include <egress.h>
#include <manifest.h>

#include <openssl/sha.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOST_AUTO RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *

enum { CONTENTS_LIMIT = 1 << 20, MOST_CALLS = 1000 };

extern const struct rc_plugin *const rc_plugin_descriptor;

/* ---- folders -------------------------------------------------------------------------------- */

static void put(struct rc_fake_host *host, const char *folder, const char *key, const char *text)
{
    RC_STR_AUTO uri = rc_strf("%s%s", folder, key);

    rc_fake_host_put(host, uri, text, strlen(text));
}

static char *digest_of(const char *text)
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    char *out = rc_malloc(2 * sizeof(digest) + 1);

    (void)SHA256((const unsigned char *)text, strlen(text), digest);
    for (size_t i = 0; i < sizeof(digest); i++)
        (void)snprintf(out + 2 * i, 3, "%02x", digest[i]);
    return out;
}

/* A complete dump of two objects whose content is 'text'. */
static void put_dump(struct rc_fake_host *host, const char *folder, const char *run,
                     const char *text)
{
    static const char *const keys[] = { "a.csv", "b.csv" };
    struct egress_manifest manifest = { .complete = true,
                                        .run_id = rc_strdup(run),
                                        .format = rc_strdup("csv"),
                                        .compression = rc_strdup("none"),
                                        .delimiter = rc_strdup(",") };
    RC_BUF_AUTO(printed, CONTENTS_LIMIT);
    struct rc_error err;

    manifest.tables = rc_calloc(1, sizeof(*manifest.tables));
    manifest.table_count = 1;
    manifest.tables[0].name = rc_strdup("t");
    manifest.tables[0].objects =
        rc_calloc(RC_ARRAY_LEN(keys), sizeof(struct egress_manifest_object));
    for (size_t i = 0; i < RC_ARRAY_LEN(keys); i++) {
        put(host, folder, keys[i], text);
        manifest.tables[0].objects[manifest.tables[0].object_count++] =
            (struct egress_manifest_object){ .key = rc_strdup(keys[i]),
                                             .rows = 1,
                                             .bytes = (int64_t)strlen(text),
                                             .stored_bytes = (int64_t)strlen(text),
                                             .sha256 = digest_of(text) };
    }
    assert_int_equal(egress_manifest_print(&manifest, &printed, &err), RC_OK);
    put(host, folder, "_manifest.json", printed.data);
    egress_manifest_clear(&manifest);
}

/* A new dump and one that was dumped again; the target has the older one of the latter. */
static struct rc_fake_host *host_with_dumps(void)
{
    struct rc_fake_host *host = rc_fake_host_new(NULL);

    put_dump(host, "s3://in/2026-01-14/", "second", "1,again\n");
    put_dump(host, "s3://in/2026-01-15/", "third", "1,new\n");
    put_dump(host, "s3://out/2026-01-14/", "first", "1,older and longer\n");
    put(host, "s3://out/2026-01-14/", "gone.csv", "removed");
    return host;
}

static void add_objects(struct rc_fake_host *host, const char *folder, struct rc_buf *out)
{
    RC_STR_AUTO uris = rc_strdup(rc_fake_host_objects(host, folder));

    for (char *uri = uris, *end; (end = strchr(uri, '\n')) != NULL; uri = end + 1) {
        *end = '\0';
        rc_buf_addf(out, "%s\n%s\n", uri + strlen(folder), rc_fake_host_object(host, uri, NULL));
    }
}

static void expect_same(struct rc_fake_host *host)
{
    RC_BUF_AUTO(source, CONTENTS_LIMIT);
    RC_BUF_AUTO(target, CONTENTS_LIMIT);

    add_objects(host, "s3://in/", &source);
    add_objects(host, "s3://out/", &target);
    assert_string_equal(target.data, source.data);
}

static enum rc_code run(struct rc_fake_host *host, const char *action, const char *const *settings,
                        struct rc_error *err)
{
    *err = (struct rc_error)RC_ERROR_INIT;
    return rc_fake_host_run(host, rc_plugin_descriptor, action, settings, err);
}

/* ---- sync ----------------------------------------------------------------------------------- */

/* Who finds a manifest finds what it lists. */
static void expect_truth(struct rc_fake_host *host, const char *folder)
{
    RC_STR_AUTO manifest = rc_strf("%s_manifest.json", folder);
    RC_STR_AUTO setting = rc_strf("folder=%s", folder);
    const char *const settings[] = { "output=s3://out", setting, NULL };
    struct rc_error err;

    if (!rc_fake_host_object(host, manifest, NULL))
        return;
    if (run(host, "verify", settings, &err))
        fail_msg("%s: %s: %s", folder, err.context, err.cause);
}

/* False: there was no such call. */
static bool break_sync(int n, enum rc_code code, const char *const *settings)
{
    HOST_AUTO host = host_with_dumps();
    struct rc_error err;
    enum rc_code result;
    bool is_broken;

    if (code == RC_CANCELLED)
        rc_fake_host_cancel_at(host, n);
    else
        rc_fake_host_fail_at(host, n, code);
    result = run(host, "sync", settings, &err);
    is_broken = rc_fake_host_calls(host) >= n;
    rc_fake_host_cancel_at(host, 0);
    rc_fake_host_fail_at(host, 0, code);
    assert_int_equal(result, is_broken ? code : RC_OK);
    expect_truth(host, "s3://out/2026-01-14/");
    expect_truth(host, "s3://out/2026-01-15/");
    if (is_broken && run(host, "sync", settings, &err))
        fail_msg("the run after a fault at call %d: %s: %s", n, err.context, err.cause);
    expect_same(host);
    return is_broken;
}

static void test_the_next_sync_heals_every_failure(void **state)
{
    static const char *const settings[] = { "source=s3://in", "target=s3://out", "delete=true",
                                            "require_manifest=true", NULL };
    static const enum rc_code codes[] = { RC_UNAVAILABLE, RC_DENIED, RC_CANCELLED };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(codes); i++) {
        int n = 1;

        while (break_sync(n, codes[i], settings))
            assert_true(++n < MOST_CALLS);
        assert_true(n > 20);
    }
}

/* An object that fails keeps its folder's manifest back, and no other's. */
static void test_any_object_of_a_sync_may_fail(void **state)
{
    static const char *const settings[] = { "source=s3://in", "target=s3://out",
                                            "require_manifest=true", NULL };
    static const char *const failing[] = { "14/a.csv", "14/b.csv", "15/a.csv",
                                           "15/_manifest.json" };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(failing); i++) {
        HOST_AUTO host = host_with_dumps();
        const char *whole = rc_str_starts(failing[i], "14") ? "s3://out/2026-01-15/_manifest.json"
                                                            : "s3://out/2026-01-14/_manifest.json";
        const char *broken = rc_str_starts(failing[i], "14") ? "s3://out/2026-01-14/_manifest.json"
                                                             : "s3://out/2026-01-15/_manifest.json";
        struct rc_error err;

        rc_fake_host_fail_on(host, "transfer.copy", failing[i], 1, RC_UNAVAILABLE);
        assert_int_equal(run(host, "sync", settings, &err), RC_FAILED);
        assert_non_null(rc_fake_host_object(host, whole, NULL));
        assert_null(rc_fake_host_object(host, broken, NULL));
        expect_truth(host, "s3://out/2026-01-14/");
        expect_truth(host, "s3://out/2026-01-15/");
        assert_int_equal(run(host, "sync", settings, &err), RC_OK);
        expect_truth(host, "s3://out/2026-01-14/");
        assert_non_null(rc_fake_host_object(host, broken, NULL));
    }
}

/*
 * Between the look at a manifest and at the objects the folder may be dumped again: what comes of
 * that would lie beside the manifest that the target has.
 */
static void test_a_folder_that_is_dumped_again_meanwhile(void **state)
{
    static const char *const settings[] = { "source=s3://in", "target=s3://out",
                                            "require_manifest=true", NULL };

    (void)state;
    HOST_AUTO host = rc_fake_host_new(NULL);
    struct rc_error err;

    put_dump(host, "s3://in/", "first", "1,one\n");
    assert_int_equal(run(host, "sync", settings, &err), RC_OK);
    put(host, "s3://in/", "a.csv", "1,two\n");
    assert_int_equal(run(host, "sync", settings, &err), RC_OK);
    expect_truth(host, "s3://out/");
    assert_non_null(strstr(rc_fake_host_log(host), "does not follow: 'a.csv' is newer than it"));
    put_dump(host, "s3://in/", "second", "1,two\n");
    assert_int_equal(run(host, "sync", settings, &err), RC_OK);
    expect_same(host);

    /* What the target has lost comes back all the same. */
    put(host, "s3://out/", "a.csv", "lost");
    assert_int_equal(run(host, "sync", settings, &err), RC_OK);
    expect_same(host);
}

/* ---- setup ---------------------------------------------------------------------------------- */

static void test_the_next_setup_heals_every_failure(void **state)
{
    static const char *const settings[] = { "output=s3://out/dumps", NULL };
    bool is_broken = true;

    (void)state;
    for (int n = 1; is_broken; n++) {
        HOST_AUTO host = rc_fake_host_new(NULL);
        const struct rc_bucket *bucket;
        struct rc_error err;

        rc_fake_host_fail_at(host, n, RC_UNAVAILABLE);
        is_broken = run(host, "setup", settings, &err) != RC_OK;
        rc_fake_host_fail_at(host, 0, RC_UNAVAILABLE);
        assert_int_equal(is_broken, rc_fake_host_calls(host) >= n);
        if (is_broken && run(host, "setup", settings, &err))
            fail_msg("the run after a fault at call %d: %s: %s", n, err.context, err.cause);
        bucket = rc_fake_host_bucket(host, "s3://out");
        assert_int_equal(bucket->exists, RC_ANSWER_YES);
        assert_int_equal(bucket->encrypted, RC_ANSWER_YES);
        assert_int_equal(bucket->expires, RC_ANSWER_YES);
        assert_int_equal(bucket->expire_days, 14);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_next_sync_heals_every_failure),
        cmocka_unit_test(test_any_object_of_a_sync_may_fail),
        cmocka_unit_test(test_a_folder_that_is_dumped_again_meanwhile),
        cmocka_unit_test(test_the_next_setup_heals_every_failure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
