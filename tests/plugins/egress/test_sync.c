/*
 * The sync on the host of the tests: what the options may say, what is copied, removed and told,
 * and what becomes of folders with a manifest. Real stores are for system/test_egress_sync.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <run-core/fake_host.h>

#include <egress.h>
#include <manifest.h>
#include <sides.h>

#include <stdio.h>
#include <stdlib.h>

#define HOST_AUTO RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *
#define PLAIN "source=s3://a", "target=s3://b/c"
#define STORES                                                                                     \
    "source_url=https://one.example", "source_path=/in/deep/", "source_access_key_id=id",          \
        "source_secret_access_key=secret", "target_url=http://two.example:9000",                   \
        "target_path=out", "target_access_key_id=other", "target_secret_access_key=hidden"

extern const struct rc_plugin *const rc_plugin_descriptor;

static void put_text(struct rc_fake_host *host, const char *uri, const char *text)
{
    rc_fake_host_put(host, uri, text, strlen(text));
}

static enum rc_code sync_with(struct rc_fake_host *host, const char *const *settings,
                              struct rc_error *err)
{
    *err = (struct rc_error)RC_ERROR_INIT;
    return rc_fake_host_run(host, rc_plugin_descriptor, "sync", settings, err);
}

static void expect_sync(struct rc_fake_host *host, const char *const *settings)
{
    struct rc_error err;

    if (sync_with(host, settings, &err))
        fail_msg("%s: %s", err.context, err.cause);
    assert_int_equal(rc_fake_host_open_handles(host), 0);
}

static void assert_has(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("'%s' does not have '%s'", text, part);
}

static void assert_has_not(const char *text, const char *part)
{
    if (strstr(text, part))
        fail_msg("'%s' has '%s'", text, part);
}

/* ---- what the options say ------------------------------------------------------------------- */

static void test_sides_refused(void **state)
{
    static const struct {
        const char *settings[8], *why;
    } wrong[] = {
        { { "target=s3://b" },
          "there is no source; set 'source' to a URI, or 'source_url' and "
          "'source_path' (INPUT_URL and INPUT_PATH)" },
        { { "source=s3://a" }, "there is no target; set 'target'" },
        { { "source=s3://a", "source_path=a" },
          "both 'source' and 'source_path' (INPUT_PATH) are given" },
        { { "source_path=a" }, "'source_path' (INPUT_PATH) is given without 'source_url'" },
        { { "source_url=https://h" }, "'source_url' (INPUT_URL) is given without 'source_path'" },
        { { "source_url=s3.example", "source_path=a" }, "did you mean 'https://s3.example'?" },
        { { "source_url=https://h", "source_path=s3://a" }, "a URI belongs into 'source'" },
        { { "source_url=https://h", "source_path=//" }, "which names no bucket" },
        { { "source=s3://a", "source_access_key_id=x" },
          "(INPUT_ACCESS_KEY_ID) is given without 'source_secret_access_key'" },
        { { "source=s3://a", "target=s3://b", "target_secret_access_key=hush" },
          "'target_secret_access_key' (OUTPUT_SECRET_ACCESS_KEY) is given without" },
        { { "source=s3://a", "source_session_token=x" }, "without the key it belongs to" },
        { { "source=file:///a", "source_region=x" }, "neither an endpoint nor keys nor a region" },
        { { "source=bucket/a" }, "is not a URI" },
        { { "source=s3://a", "target=https://h/b" }, "the address of a server" },
        { { "source=GS://a", "target=s3://b" }, "did you mean 'gs://a'?" },
        { { "source=s3://a", "target=s3://b", "wait_for_manifest=1s" }, "'require_manifest'" },
    };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(wrong); i++) {
        HOST_AUTO host = rc_fake_host_new(NULL);
        struct rc_error err;

        assert_int_equal(sync_with(host, wrong[i].settings, &err), RC_INVALID);
        assert_has(err.cause, wrong[i].why);
        assert_has_not(err.cause, "hush");
    }
}

static void test_stores_of_the_options(void **state)
{
    (void)state;
    HOST_AUTO host = rc_fake_host_new(NULL);
    const char *const settings[] = { STORES, "target_region=eu", NULL };
    const struct rc_store *store;

    put_text(host, "store://input/2026-01-15/t.csv.gz", "12345");
    expect_sync(host, settings);
    assert_has(rc_fake_host_said(host),
               "Added `input` successfully.\nAdded `output` successfully.\n"
               "`input/in/deep/2026-01-15/t.csv.gz` -> `output/out/2026-01-15/t.csv.gz`\n"
               "Total: 5 B, Transferred: 5 B, Speed: ");
    assert_string_equal(rc_fake_host_object(host, "store://output/2026-01-15/t.csv.gz", NULL),
                        "12345");
    store = rc_fake_host_store(host, "input");
    assert_string_equal(store->url, "s3://in/deep");
    assert_string_equal(store->endpoint, "https://one.example");
    assert_string_equal(store->secret_access_key, "secret");
    assert_null(store->region);
    store = rc_fake_host_store(host, "output");
    assert_string_equal(store->url, "s3://out");
    assert_string_equal(store->region, "eu");
    assert_int_equal(rc_fake_host_counter(host, "objects"), 1);
    assert_int_equal(rc_fake_host_counter(host, "bytes"), 5);
}

static void test_uri_with_keys(void **state)
{
    (void)state;
    HOST_AUTO host = rc_fake_host_new(NULL);
    const char *const settings[] = { "source=gs://a/b",
                                     "source_access_key_id=id",
                                     "source_secret_access_key=secret",
                                     "target_url=https://storage.googleapis.com",
                                     "target_path=c",
                                     NULL };

    put_text(host, "store://input/x", "1");
    expect_sync(host, settings);
    assert_string_equal(rc_fake_host_store(host, "input")->url, "gs://a/b");
    /* Google's own address is Google's language. */
    assert_string_equal(rc_fake_host_store(host, "output")->url, "gs://c");
    assert_has(rc_fake_host_said(host), "`gs://a/b/x` -> `output/c/x`\n");
}

/* A server of one's own may be called as Google's name begins. */
static void test_which_server_is_googles(void **state)
{
    static const struct {
        const char *endpoint, *url;
    } cases[] = {
        { "https://storage.googleapis.com", "gs://c" },
        { "https://storage.googleapis.com/", "gs://c" },
        { "https://storage.googleapis.com:443", "gs://c" },
        { "https://storage.googleapis.com.example", "s3://c" },
        { "http://storage:9000", "s3://c" },
        { "http://s", "s3://c" },
    };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        HOST_AUTO host = rc_fake_host_new(NULL);
        RC_STR_AUTO endpoint = rc_strf("target_url=%s", cases[i].endpoint);

        put_text(host, "s3://a/x", "1");
        expect_sync(host,
                    (const char *const[]){ "source=s3://a", endpoint, "target_path=c", NULL });
        assert_string_equal(rc_fake_host_store(host, "output")->url, cases[i].url);
    }
}

static void test_an_empty_source_is_told(void **state)
{
    (void)state;
    HOST_AUTO host = rc_fake_host_new(NULL);

    expect_sync(host, (const char *const[]){ PLAIN, NULL });
    assert_has(rc_fake_host_log(host), "warn: there is nothing in the source 's3://a/'");
    put_text(host, "s3://a/x", "1");
    RC_STR_AUTO before = rc_strdup(rc_fake_host_log(host));
    expect_sync(host, (const char *const[]){ PLAIN, NULL });
    assert_has_not(rc_fake_host_log(host) + strlen(before), "there is nothing");
}

static void test_a_side_that_is_denied(void **state)
{
    (void)state;
    HOST_AUTO host = rc_fake_host_new(NULL);
    const char *const settings[] = { STORES, NULL };
    struct rc_error err;

    rc_fake_host_fail_on(host, "storage.list_next", NULL, 1, RC_DENIED);
    assert_int_equal(sync_with(host, settings, &err), RC_DENIED);
    assert_has(err.context, "list the source 'input/in/deep/'");
    rc_fake_host_fail_on(host, "storage.list", "store://output/", 1, RC_NOT_FOUND);
    assert_int_equal(sync_with(host, settings, &err), RC_NOT_FOUND);
    assert_has(err.context, "list the target 'output/out/'");
    rc_fake_host_fail_on(host, "transfer.run", NULL, 1, RC_DENIED);
    assert_int_equal(sync_with(host, settings, &err), RC_DENIED);
    assert_has_not(rc_fake_host_said(host), "Total: ");
    assert_int_equal(rc_fake_host_open_handles(host), 0);
}

/* ---- what is copied ------------------------------------------------------------------------- */

static void test_only_what_differs(void **state)
{
    (void)state;
    HOST_AUTO host = rc_fake_host_new(NULL);
    const char *const settings[] = { PLAIN, NULL };

    put_text(host, "s3://a/1", "1");
    put_text(host, "s3://a/2/3", "22");
    put_text(host, "s3://ab/no", "x");
    put_text(host, "s3://b/c/extra", "stays");
    expect_sync(host, settings);
    expect_sync(host, settings);
    assert_string_equal(rc_fake_host_objects(host, "s3://b/"),
                        "s3://b/c/1\ns3://b/c/2/3\ns3://b/c/extra\n");
    assert_int_equal(rc_fake_host_counter(host, "objects"), 2);
    assert_int_equal(rc_fake_host_counter(host, "skipped"), 2);
    assert_int_equal(rc_fake_host_counter(host, "removed"), 0);
    put_text(host, "s3://a/1", "x");
    expect_sync(host, settings);
    assert_string_equal(rc_fake_host_object(host, "s3://b/c/1", NULL), "x");
    put_text(host, "s3://a/1", "y");
    expect_sync(host, (const char *const[]){ PLAIN, "compare=size", NULL });
    assert_string_equal(rc_fake_host_object(host, "s3://b/c/1", NULL), "x");
}

static void test_filters(void **state)
{
    static const struct {
        const char *settings[6], *copied;
    } cases[] = {
        { { PLAIN, "include=*.csv" }, "s3://b/c/d/x.csv\ns3://b/c/x.csv\n" },
        { { PLAIN, "include=*.csv", "exclude=d/*" }, "s3://b/c/x.csv\n" },
        { { PLAIN, "exclude=[*.csv, ?]" }, "s3://b/c/long\n" },
        { { PLAIN, "min_size=2", "max_size=4" }, "s3://b/c/d/x.csv\n" },
        { { PLAIN, "older_than=1s" }, "" },
        { { PLAIN, "newer_than=1s", "include=y" }, "s3://b/c/y\n" },
    };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        HOST_AUTO host = rc_fake_host_new(NULL);

        put_text(host, "s3://a/d/x.csv", "22");
        put_text(host, "s3://a/x.csv", "1");
        put_text(host, "s3://a/y", "1");
        put_text(host, "s3://a/long", "12345");
        expect_sync(host, cases[i].settings);
        assert_string_equal(rc_fake_host_objects(host, "s3://b/"), cases[i].copied);
    }
}

static void test_removal(void **state)
{
    (void)state;
    HOST_AUTO host = rc_fake_host_new(NULL);
    struct rc_error err;

    put_text(host, "s3://b/c/1", "1");
    put_text(host, "s3://b/c/2", "2");
    /* An empty source, which may be a slip, empties nothing. */
    assert_int_equal(sync_with(host, (const char *const[]){ PLAIN, "delete=true", NULL }, &err),
                     RC_CONFLICT);
    assert_has(err.context, "'delete'");
    put_text(host, "s3://a/3", "3");
    assert_int_equal(
        sync_with(host, (const char *const[]){ PLAIN, "delete=true", "max_delete=1", NULL }, &err),
        RC_CONFLICT);
    assert_string_equal(rc_fake_host_objects(host, "s3://b/"),
                        "s3://b/c/1\ns3://b/c/2\ns3://b/c/3\n");
    expect_sync(host, (const char *const[]){ PLAIN, "delete=true", "exclude=2", NULL });
    assert_string_equal(rc_fake_host_objects(host, "s3://b/"), "s3://b/c/2\ns3://b/c/3\n");
    assert_has(rc_fake_host_said(host), "Removed `s3://b/c/1`.\n");
    assert_int_equal(rc_fake_host_counter(host, "removed"), 1);
}

static void test_failures_are_listed(void **state)
{
    (void)state;
    HOST_AUTO host = rc_fake_host_new(NULL);
    const char *const settings[] = { PLAIN, "delete=true", NULL };
    struct rc_error err;

    for (int i = 0; i < 5; i++) {
        RC_STR_AUTO uri = rc_strf("s3://a/%d", i);
        put_text(host, uri, "x");
    }
    put_text(host, "s3://b/c/extra", "x");
    rc_fake_host_fail_on(host, "transfer.copy", "s3://a/1", 1, RC_DENIED);
    rc_fake_host_fail_on(host, "transfer.copy", "s3://a/3", 1, RC_UNAVAILABLE);
    assert_int_equal(sync_with(host, settings, &err), RC_FAILED);
    assert_has(err.cause, "2 of 5 objects failed; first: `s3://a/1`: injected fault");
    assert_has(rc_fake_host_log(host), "error: `s3://a/1` was not copied: injected fault");
    assert_has(rc_fake_host_log(host), "error: `s3://a/3` was not copied: injected fault");
    assert_non_null(rc_fake_host_object(host, "s3://b/c/4", NULL));
    assert_non_null(rc_fake_host_object(host, "s3://b/c/extra", NULL));
    assert_has(rc_fake_host_said(host), "Total: 5 B, Transferred: 3 B, ");
    assert_int_equal(rc_fake_host_counter(host, "failed"), 2);
    expect_sync(host, settings);
    assert_null(rc_fake_host_object(host, "s3://b/c/extra", NULL));

    put_text(host, "s3://a/1", "again");
    put_text(host, "s3://a/2", "again");
    rc_fake_host_fail_on(host, "transfer.copy", NULL, -1, RC_DENIED);
    assert_int_equal(sync_with(host, (const char *const[]){ PLAIN, "max_failures=1", NULL }, &err),
                     RC_FAILED);
    assert_has(err.cause, ", which ended it ('max_failures')");
}

static void test_dry_run(void **state)
{
    (void)state;
    HOST_AUTO host = rc_fake_host_new(NULL);

    put_text(host, "s3://a/1", "1");
    put_text(host, "s3://a/2", "22");
    put_text(host, "s3://b/c/2", "22");
    put_text(host, "s3://b/c/extra", "x");
    rc_fake_host_job(host)->dry_run = true;
    expect_sync(host, (const char *const[]){ PLAIN, "delete=true", NULL });
    assert_string_equal(rc_fake_host_objects(host, "s3://b/"), "s3://b/c/2\ns3://b/c/extra\n");
    assert_string_equal(rc_fake_host_said(host), "Total: 3 B, Would transfer: 1 B (objects: 1), "
                                                 "Would remove objects: 1\n");
    assert_int_equal(rc_fake_host_held_back(host), 2);
    assert_int_equal(rc_fake_host_counter(host, "objects"), 0);
    assert_int_equal(rc_fake_host_counter(host, "dry_run_objects"), 1);
}

/* ---- two runs ------------------------------------------------------------------------------- */

static void test_one_run_at_a_time(void **state)
{
    (void)state;
    HOST_AUTO host = rc_fake_host_new(NULL);
    const char *const settings[] = { PLAIN, NULL };
    struct rc_error err;

    put_text(host, "s3://a/1", "1");
    rc_fake_host_fail_on(host, "lock.acquire", "egress:sync:", 1, RC_CONFLICT);
    assert_int_equal(sync_with(host, settings, &err), RC_SKIPPED);
    assert_has(err.cause, "another run copies to 's3://b/c/'");
    rc_fake_host_fail_on(host, "lock.check", NULL, 1, RC_CONFLICT);
    assert_int_equal(sync_with(host, (const char *const[]){ PLAIN, "delete=true", NULL }, &err),
                     RC_CONFLICT);
    assert_has(err.context, "make sure that no other run has taken over");
    assert_has_not(err.context, "'max_delete'");
}

static void test_goes_on_where_it_was_stopped(void **state)
{
    (void)state;
    HOST_AUTO host = rc_fake_host_new(NULL);
    const char *const settings[] = { PLAIN, NULL };
    struct rc_error err;

    for (int i = 0; i < 4; i++) {
        RC_STR_AUTO uri = rc_strf("s3://a/%d", i);
        put_text(host, uri, "x");
    }
    /* Two objects, each with a look at the lock and a token. */
    rc_fake_host_fail_on(host, "transfer.copy", "s3://a/2", 1, RC_CANCELLED);
    assert_int_equal(sync_with(host, settings, &err), RC_CANCELLED);
    assert_string_equal(rc_fake_host_objects(host, "s3://b/"), "s3://b/c/0\ns3://b/c/1\n");

    /* What lies before the token has changed since, and is not forgotten. */
    put_text(host, "s3://a/0", "new");
    expect_sync(host, settings);
    assert_has(rc_fake_host_log(host), "going on where an earlier run was stopped");
    assert_string_equal(rc_fake_host_object(host, "s3://b/c/0", NULL), "new");
    assert_non_null(rc_fake_host_object(host, "s3://b/c/3", NULL));
    assert_int_equal(rc_fake_host_counter(host, "objects"), 2 + 3);

    /* What is removed is counted over all, once. */
    put_text(host, "s3://b/c/extra-1", "x");
    put_text(host, "s3://b/c/extra-2", "x");
    put_text(host, "s3://a/4", "x");
    put_text(host, "s3://a/5", "x");
    const char *const removing[] = { PLAIN, "delete=true", "max_delete=2", NULL };
    rc_fake_host_fail_on(host, "transfer.copy", "s3://a/5", 1, RC_CANCELLED);
    assert_int_equal(sync_with(host, removing, &err), RC_CANCELLED);
    expect_sync(host, removing);
    assert_int_equal(rc_fake_host_counter(host, "removed"), 2);

    /* And at its end there is nothing to go on with. */
    RC_STR_AUTO before = rc_strdup(rc_fake_host_log(host));
    expect_sync(host, settings);
    assert_has_not(rc_fake_host_log(host) + strlen(before), "going on");
}

static int calls_of(const char *const *settings, void (*prepare)(struct rc_fake_host *, void *))
{
    HOST_AUTO host = rc_fake_host_new(NULL);

    prepare(host, NULL);
    expect_sync(host, settings);
    return rc_fake_host_calls(host);
}

static void prepare_few(struct rc_fake_host *host, void *context)
{
    (void)context;
    put_text(host, "s3://a/1", "1");
    put_text(host, "s3://a/2", "2");
    put_text(host, "s3://b/c/3", "3");
}

static void torture(const char *const *settings, void (*prepare)(struct rc_fake_host *, void *))
{
    struct rc_error err = RC_ERROR_INIT;
    int calls = 0;

    if (rc_fake_host_torture(rc_plugin_descriptor, "sync", settings, prepare, NULL, &calls, &err))
        fail_msg("%s: %s", err.context, err.cause);
    assert_int_equal(calls, calls_of(settings, prepare));
}

static void test_every_call_may_fail(void **state)
{
    (void)state;
    torture((const char *const[]){ PLAIN, "delete=true", NULL }, prepare_few);
}

/* ---- folders with a manifest ---------------------------------------------------------------- */

/* Writes a manifest that lists objects of five bytes: "a b" and so on. */
static void put_manifest(struct rc_fake_host *host, const char *folder, bool complete,
                         const char *run, const char *keys)
{
    struct egress_manifest_object objects[4];
    struct egress_manifest_column column = { .name = (char *)"c", .type = (char *)"text" };
    struct egress_manifest_table table = {
        .name = (char *)"t",
        .columns = &column,
        .column_count = 1,
        .objects = objects,
        .query = (char *)"SELECT 1",
    };
    struct egress_manifest_table failed = { .name = (char *)"u",
                                            .error = (char *)"it was locked",
                                            .query = (char *)"SELECT 2" };
    struct egress_manifest_table tables[] = { table, failed };
    RC_STR_AUTO copy = rc_strdup(keys);
    RC_STR_AUTO uri = rc_strf("%s_manifest.json", folder);
    RC_BUF_AUTO(text, 65536);
    struct rc_error err = RC_ERROR_INIT;
    char *rest = copy;

    for (char *key; (key = strsep(&rest, " "));)
        objects[tables[0].object_count++] = (struct egress_manifest_object){
            .key = key,
            .rows = 1,
            .bytes = 5,
            .stored_bytes = 5,
            .sha256 = (char *)"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        };
    const struct egress_manifest manifest = {
        .version = 1,
        .complete = complete,
        .run_id = (char *)run,
        .server_version = (char *)"15.4",
        .database = (char *)"app",
        .system_identifier = (char *)"7304822361245013011",
        .snapshot = (char *)"00000003-0000001B-1",
        .lsn = (char *)"0/16B3748",
        .xmin = (char *)"750",
        .xmax = (char *)"752",
        .format = (char *)"csv",
        .compression = (char *)"gzip",
        .delimiter = (char *)",",
        .null_string = (char *)"",
        .encoding = (char *)"UTF8",
        .tables = tables,
        .table_count = complete ? 1 : 2,
    };

    if (egress_manifest_print(&manifest, &text, &err))
        fail_msg("%s", err.cause);
    rc_fake_host_put(host, uri, text.data, text.len);
}

#define COMPLETE PLAIN, "require_manifest=true"

static void prepare_folders(struct rc_fake_host *host, void *context)
{
    (void)context;
    put_text(host, "s3://a/2026-01-14/t.csv.gz", "11111");
    put_text(host, "s3://a/2026-01-14/unlisted", "11111");
    put_manifest(host, "s3://a/2026-01-14/", true, "r-14", "t.csv.gz");
    put_text(host, "s3://a/2026-01-15/t/part-00000.csv.gz", "22222");
    put_text(host, "s3://a/2026-01-15/z.csv.gz", "22222");
    put_manifest(host, "s3://a/2026-01-15/", true, "r-15", "t/part-00000.csv.gz z.csv.gz");
    put_text(host, "s3://a/2026-01-16/t.csv.gz", "33333");
    put_manifest(host, "s3://a/2026-01-16/", false, "r-16", "t.csv.gz");
    put_text(host, "s3://a/2026-01-17/t.csv.gz", "44444");
    put_text(host, "s3://a/2026-01-18/_manifest.json", "{broken");
}

static void test_only_complete_folders(void **state)
{
    (void)state;
    HOST_AUTO host = rc_fake_host_new(NULL);
    const char *const settings[] = { COMPLETE, NULL };

    prepare_folders(host, NULL);
    expect_sync(host, settings);
    assert_string_equal(rc_fake_host_objects(host, "s3://b/"),
                        "s3://b/c/2026-01-14/_manifest.json\n"
                        "s3://b/c/2026-01-14/t.csv.gz\n"
                        "s3://b/c/2026-01-15/_manifest.json\n"
                        "s3://b/c/2026-01-15/t/part-00000.csv.gz\n"
                        "s3://b/c/2026-01-15/z.csv.gz\n");
    assert_has(rc_fake_host_log(host),
               "warn: leaving out 's3://a/2026-01-16/': its manifest says that it is not complete: "
               "1 of 2 tables failed\n");
    assert_has(rc_fake_host_log(host), "warn: leaving out 's3://a/2026-01-18/': it is not JSON");
    /* Manifests are the last. */
    assert_true(strstr(rc_fake_host_said(host), "2026-01-14/_manifest.json") >
                strstr(rc_fake_host_said(host), "2026-01-15/z.csv.gz"));

    int64_t objects = rc_fake_host_counter(host, "objects");
    expect_sync(host, settings);
    assert_int_equal(rc_fake_host_counter(host, "objects"), objects);

    put_manifest(host, "s3://a/2026-01-16/", true, "r-16", "t.csv.gz");
    expect_sync(host, settings);
    assert_non_null(rc_fake_host_object(host, "s3://b/c/2026-01-16/_manifest.json", NULL));
}

static void test_a_manifest_waits_for_its_objects(void **state)
{
    (void)state;
    HOST_AUTO host = rc_fake_host_new(NULL);
    const char *const settings[] = { COMPLETE, NULL };
    struct rc_error err;

    prepare_folders(host, NULL);
    rc_fake_host_fail_on(host, "transfer.copy", "2026-01-15/z", 1, RC_UNAVAILABLE);
    assert_int_equal(sync_with(host, settings, &err), RC_FAILED);
    assert_has(err.cause, "1 of 4 objects failed; first: `s3://a/2026-01-15/z.csv.gz`");
    assert_non_null(rc_fake_host_object(host, "s3://b/c/2026-01-14/_manifest.json", NULL));
    assert_null(rc_fake_host_object(host, "s3://b/c/2026-01-15/_manifest.json", NULL));
    assert_has(rc_fake_host_log(host), "its object 'z.csv.gz' did not arrive");
    expect_sync(host, settings);
    assert_non_null(rc_fake_host_object(host, "s3://b/c/2026-01-15/_manifest.json", NULL));

    /* One that is not as it is listed keeps the manifest back, and is not copied. */
    put_text(host, "s3://a/2026-01-14/t.csv.gz", "replaced");
    put_manifest(host, "s3://a/2026-01-14/", true, "again", "t.csv.gz");
    expect_sync(host, settings);
    assert_null(rc_fake_host_object(host, "s3://b/c/2026-01-14/_manifest.json", NULL));
    assert_string_equal(rc_fake_host_object(host, "s3://b/c/2026-01-14/t.csv.gz", NULL), "11111");
    assert_has(rc_fake_host_log(host), "'t.csv.gz' has 8 bytes, not 5 as its manifest says");
}

static void test_an_object_that_is_listed_and_not_there_is_a_failure(void **state)
{
    (void)state;
    HOST_AUTO host = rc_fake_host_new(NULL);
    const char *const settings[] = { COMPLETE, NULL };
    struct rc_error err;

    prepare_folders(host, NULL);
    expect_sync(host, settings);
    put_manifest(host, "s3://a/2026-01-14/", true, "again", "gone.csv.gz lost.csv.gz t.csv.gz");
    assert_int_equal(sync_with(host, settings, &err), RC_FAILED);
    assert_has(err.cause, "2 of 5 objects failed; first: `s3://a/2026-01-14/gone.csv.gz`: ");
    assert_has(rc_fake_host_log(host), "error: `s3://a/2026-01-14/lost.csv.gz` was not copied: it "
                                       "is not there, though the manifest of its folder lists it");
    assert_int_equal(rc_fake_host_counter(host, "failed"), 2);
    assert_null(rc_fake_host_object(host, "s3://b/c/2026-01-14/_manifest.json", NULL));
}

/* What the source removes by and by is at the target: there is nothing to be done. */
static void test_a_folder_that_expires_at_the_source_is_no_failure(void **state)
{
    (void)state;
    HOST_AUTO host = rc_fake_host_new(NULL);
    const char *const settings[] = { COMPLETE, NULL };

    put_text(host, "s3://b/c/2026-01-15/z.csv.gz", "22222");
    put_manifest(host, "s3://a/2026-01-15/", true, "r-15", "z.csv.gz");
    put_manifest(host, "s3://b/c/2026-01-15/", true, "r-15", "z.csv.gz");
    expect_sync(host, settings);
    assert_has(rc_fake_host_log(host), "info: 's3://a/2026-01-15/' no longer has 'z.csv.gz'");
    assert_has_not(rc_fake_host_log(host), "warn: ");
    assert_non_null(rc_fake_host_object(host, "s3://b/c/2026-01-15/z.csv.gz", NULL));
}

/* Whose manifest went before its objects. */
static void test_a_folder_that_is_being_dumped_again_is_no_failure(void **state)
{
    (void)state;
    HOST_AUTO host = rc_fake_host_new(NULL);
    const char *const settings[] = { COMPLETE, NULL };
    struct rc_error err;

    put_text(host, "s3://a/2026-01-14/t.csv.gz", "11111");
    put_manifest(host, "s3://a/2026-01-14/", true, "r-14", "gone.csv.gz t.csv.gz");
    rc_fake_host_fail_on(host, "storage.stat", "2026-01-14/_manifest.json", 1, RC_NOT_FOUND);
    expect_sync(host, settings);
    assert_has(rc_fake_host_log(host), "its object 'gone.csv.gz' is not there");
    assert_null(rc_fake_host_object(host, "s3://b/c/2026-01-14/_manifest.json", NULL));

    rc_fake_host_fail_on(host, "storage.stat", "2026-01-14/_manifest.json", 1, RC_DENIED);
    assert_int_equal(sync_with(host, settings, &err), RC_DENIED);
    assert_has(err.context, "look at the manifest 's3://a/2026-01-14/_manifest.json' again");
    assert_int_equal(sync_with(host, settings, &err), RC_FAILED);
}

/* What was not come to is not missing. */
static void test_nothing_is_missing_of_a_source_that_was_not_listed_to_its_end(void **state)
{
    (void)state;
    HOST_AUTO host = rc_fake_host_new(NULL);
    const char *const settings[] = { COMPLETE, "max_failures=1", "width=1", NULL };
    struct rc_error err;

    prepare_folders(host, NULL);
    rc_fake_host_fail_on(host, "transfer.copy", "2026-01-14/t", 1, RC_UNAVAILABLE);
    assert_int_equal(sync_with(host, settings, &err), RC_FAILED);
    assert_int_equal(rc_fake_host_counter(host, "failed"), 1);
    assert_has_not(rc_fake_host_log(host), "is not there");
}

static void test_an_old_manifest_goes_first(void **state)
{
    (void)state;
    HOST_AUTO host = rc_fake_host_new(NULL);
    const char *const settings[] = { COMPLETE, NULL };
    struct rc_error err;

    prepare_folders(host, NULL);
    expect_sync(host, settings);
    put_text(host, "s3://a/2026-01-14/t.csv.gz", "xxxxx");
    put_manifest(host, "s3://a/2026-01-14/", true, "second", "t.csv.gz");
    rc_fake_host_fail_on(host, "transfer.copy", "2026-01-14/t", 1, RC_CANCELLED);
    assert_int_equal(sync_with(host, settings, &err), RC_CANCELLED);
    assert_null(rc_fake_host_object(host, "s3://b/c/2026-01-14/_manifest.json", NULL));
    assert_non_null(rc_fake_host_object(host, "s3://b/c/2026-01-15/_manifest.json", NULL));
    expect_sync(host, settings);
    assert_has(rc_fake_host_object(host, "s3://b/c/2026-01-14/_manifest.json", NULL), "second");
}

static void test_removal_in_complete_folders_only(void **state)
{
    (void)state;
    HOST_AUTO host = rc_fake_host_new(NULL);

    prepare_folders(host, NULL);
    put_text(host, "s3://b/c/2026-01-01/t.csv.gz", "kept, though the source has none");
    put_text(host, "s3://b/c/2026-01-14/t/part-00001.csv.gz", "of an earlier dump");
    put_text(host, "s3://b/c/2026-01-16/t/part-00001.csv.gz", "not known");
    put_manifest(host, "s3://b/c/", true, "of something else", "2026-01-01/t.csv.gz");
    expect_sync(host, (const char *const[]){ COMPLETE, "delete=true", NULL });
    assert_string_equal(rc_fake_host_objects(host, "s3://b/c/2026"),
                        "s3://b/c/2026-01-01/t.csv.gz\n"
                        "s3://b/c/2026-01-14/_manifest.json\n"
                        "s3://b/c/2026-01-14/t.csv.gz\n"
                        "s3://b/c/2026-01-15/_manifest.json\n"
                        "s3://b/c/2026-01-15/t/part-00000.csv.gz\n"
                        "s3://b/c/2026-01-15/z.csv.gz\n"
                        "s3://b/c/2026-01-16/t/part-00001.csv.gz\n");
}

/* A folder in a folder: its own manifest, though only at the target, is what speaks for it. */
static void test_folders_that_only_the_target_has(void **state)
{
    (void)state;
    HOST_AUTO host = rc_fake_host_new(NULL);

    put_text(host, "s3://a/t.csv.gz", "11111");
    put_manifest(host, "s3://a/", true, "all", "t.csv.gz");
    put_text(host, "s3://b/c/extra", "goes");
    put_text(host, "s3://b/c/old/u/part-00000.csv.gz", "22222");
    put_manifest(host, "s3://b/c/old/", true, "old", "u/part-00000.csv.gz");
    put_text(host, "s3://b/c/old-not", "goes");
    expect_sync(host, (const char *const[]){ COMPLETE, "delete=true", NULL });
    assert_string_equal(rc_fake_host_objects(host, "s3://b/"), "s3://b/c/_manifest.json\n"
                                                               "s3://b/c/old/_manifest.json\n"
                                                               "s3://b/c/old/u/part-00000.csv.gz\n"
                                                               "s3://b/c/t.csv.gz\n");
}

static void test_filters_keep_manifests_back(void **state)
{
    (void)state;
    HOST_AUTO host = rc_fake_host_new(NULL);

    prepare_folders(host, NULL);
    expect_sync(host, (const char *const[]){ COMPLETE, "exclude=*/z.*", NULL });
    assert_non_null(rc_fake_host_object(host, "s3://b/c/2026-01-14/_manifest.json", NULL));
    assert_null(rc_fake_host_object(host, "s3://b/c/2026-01-15/_manifest.json", NULL));
    assert_has(rc_fake_host_log(host), "filters leave out 1 of its objects");
    /* The second look, for what is to be removed, counts nothing twice. */
    RC_STR_AUTO before = rc_strdup(rc_fake_host_log(host));
    expect_sync(host, (const char *const[]){ COMPLETE, "exclude=*/z.*", "delete=true", NULL });
    assert_has(rc_fake_host_log(host) + strlen(before), "filters leave out 1 of its objects");
}

static void test_nested_folders(void **state)
{
    (void)state;
    HOST_AUTO host = rc_fake_host_new(NULL);

    put_text(host, "s3://a/x/t.csv.gz", "11111");
    put_text(host, "s3://a/x/y/t.csv.gz", "11111");
    put_manifest(host, "s3://a/", true, "all", "x/t.csv.gz x/y/t.csv.gz");
    put_manifest(host, "s3://a/x/y/", false, "part", "t.csv.gz");
    expect_sync(host, (const char *const[]){ COMPLETE, NULL });
    /* The inner one says that it is not complete, so the outer one is not either. */
    assert_string_equal(rc_fake_host_objects(host, "s3://b/"), "s3://b/c/x/t.csv.gz\n");
    put_manifest(host, "s3://a/x/y/", true, "part", "t.csv.gz");
    expect_sync(host, (const char *const[]){ COMPLETE, NULL });
    assert_non_null(rc_fake_host_object(host, "s3://b/c/x/y/_manifest.json", NULL));
}

static void test_waiting_has_an_end(void **state)
{
    (void)state;
    HOST_AUTO host = rc_fake_host_new(NULL);
    const char *const settings[] = { COMPLETE, "wait_for_manifest=20ms", NULL };
    struct rc_error err;

    prepare_folders(host, NULL);
    expect_sync(host, settings); /* the run's date is the 15th */
    rc_fake_host_job(host)->slot_unix_ms += RC_DAY_MS;
    assert_int_equal(sync_with(host, settings, &err), RC_SKIPPED);
    assert_has(err.cause, "'s3://a/2026-01-16/' is not complete after 20ms: its manifest says");
    rc_fake_host_job(host)->slot_unix_ms += RC_DAY_MS;
    assert_int_equal(sync_with(host, settings, &err), RC_SKIPPED);
    assert_has(err.cause, "'s3://a/2026-01-17/' is not complete after 20ms: it has no manifest");
    assert_has(err.cause, "the source has to be what 'output' is for dump");
    rc_fake_host_cancel_at(host, 8);
    assert_int_equal(
        sync_with(host, (const char *const[]){ COMPLETE, "wait_for_manifest=1h", NULL }, &err),
        RC_CANCELLED);
}

static void test_every_call_of_a_sync_of_folders_may_fail(void **state)
{
    (void)state;
    torture((const char *const[]){ COMPLETE, "wait_for_manifest=1s", "delete=true", NULL },
            prepare_folders);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sides_refused),
        cmocka_unit_test(test_stores_of_the_options),
        cmocka_unit_test(test_uri_with_keys),
        cmocka_unit_test(test_which_server_is_googles),
        cmocka_unit_test(test_an_empty_source_is_told),
        cmocka_unit_test(test_a_side_that_is_denied),
        cmocka_unit_test(test_only_what_differs),
        cmocka_unit_test(test_filters),
        cmocka_unit_test(test_removal),
        cmocka_unit_test(test_failures_are_listed),
        cmocka_unit_test(test_dry_run),
        cmocka_unit_test(test_one_run_at_a_time),
        cmocka_unit_test(test_goes_on_where_it_was_stopped),
        cmocka_unit_test(test_every_call_may_fail),
        cmocka_unit_test(test_only_complete_folders),
        cmocka_unit_test(test_a_manifest_waits_for_its_objects),
        cmocka_unit_test(test_an_object_that_is_listed_and_not_there_is_a_failure),
        cmocka_unit_test(test_a_folder_that_expires_at_the_source_is_no_failure),
        cmocka_unit_test(test_a_folder_that_is_being_dumped_again_is_no_failure),
        cmocka_unit_test(test_nothing_is_missing_of_a_source_that_was_not_listed_to_its_end),
        cmocka_unit_test(test_an_old_manifest_goes_first),
        cmocka_unit_test(test_removal_in_complete_folders_only),
        cmocka_unit_test(test_folders_that_only_the_target_has),
        cmocka_unit_test(test_filters_keep_manifests_back),
        cmocka_unit_test(test_nested_folders),
        cmocka_unit_test(test_waiting_has_an_end),
        cmocka_unit_test(test_every_call_of_a_sync_of_folders_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
