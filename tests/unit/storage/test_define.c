/*
 * Stores by their name, store://NAME/KEY: those of the configuration and those that a plugin
 * defines. Where objects lie behind an endpoint is for test_s3.
 */
#include "file_fixture.h"

#include <config/secrets.h>
#include <run-core/str.h>
#include <storage/remote.h>
#include <storage/resolve.h>
#include <storage/transfer.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct core_remote *remote;
static struct core_storage *in;

static void open_cancelled_by(const struct core_cancel *cancel,
                              const struct core_store_settings *stores, size_t count)
{
    remote = core_remote_new(NULL, NULL, NULL);
    in = core_storage_new(stores, count, remote, cancel);
}

static void open_with(const struct core_store_settings *stores, size_t count)
{
    open_cancelled_by(NULL, stores, count);
}

static void close_all(void)
{
    core_storage_free(in);
    core_remote_free(remote);
}

static struct rc_store store_of(const char *name, const char *url)
{
    return (struct rc_store){ .struct_bytes = sizeof(struct rc_store), .name = name, .url = url };
}

static void assert_refused(const struct rc_store *store, enum rc_code code, const char *why)
{
    struct rc_error err = RC_ERROR_INIT;

    assert_int_equal(core_storage_define(in, store, &err), code);
    if (!strstr(err.cause, why))
        fail_msg("'%s' does not say '%s'", err.cause, why);
}

static void assert_place(const char *where, const char *uri_there, const char *scheme,
                         const char *endpoint)
{
    CORE_RESOLVED_AUTO(at);
    struct rc_error err = RC_ERROR_INIT;

    expect_ok(core_resolve(in, where, &at, &err));
    assert_string_equal(at.uri, uri_there);
    assert_string_equal(at.ops->scheme, scheme);
    assert_non_null(at.place.settings);
    if (endpoint)
        assert_string_equal(at.place.settings->endpoint, endpoint);
    else
        assert_null(at.place.settings->endpoint);
}

static void conforms_in_a_defined_store(void **state)
{
    RC_STR_AUTO url = uri("defined");
    const struct rc_store store = store_of("input", url);
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    open_with(NULL, 0);
    expect_ok(core_storage_define(in, &store, &err));
    storage_conformance(in, "store://input");
    storage_conformance(in, "store://input/some/where");
    assert_int_equal(entries("defined"), 0);
    close_all();
}

static void finds_configured_stores_by_name(void **state)
{
    static const struct core_store_settings stores[] = {
        { .name = "lake", .bucket = "b", .url = "file:///srv/lake" },
        { .name = "here", .bucket = "reports", .endpoint = "http://here" },
        { .name = "there", .bucket = "reports", .endpoint = "http://there" },
        { .name = "google", .bucket = "g", .access_token = "token" },
        { .name = "moved", .bucket = "m", .url = "s3://reports/moved" },
        { .name = "again", .bucket = "a", .url = "store://there/again" },
        { .name = "own", .bucket = "own", .url = "s3://own/folder" },
    };
    CORE_RESOLVED_AUTO(at);
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    open_with(stores, RC_ARRAY_LEN(stores));
    assert_place("store://lake/x", "file:///srv/lake/x", "file", NULL);
    assert_place("store://lake", "file:///srv/lake/", "file", NULL);
    assert_place("store://here/x", "s3://reports/x", "s3", "http://here");
    assert_place("store://there/x/../y", "s3://reports/x/../y", "s3", "http://there");
    assert_place("store://google/x", "gs://g/x", "gs", NULL);
    assert_place("store://moved/x", "s3://reports/moved/x", "s3", "http://here");
    assert_place("store://again/x", "s3://reports/again/x", "s3", "http://there");
    assert_place("store://own/x", "s3://own/folder/x", "s3", NULL);
    assert_int_equal(core_resolve(in, "store://lake/../x", &at, &err), RC_INVALID);
    assert_int_equal(core_resolve(in, "store://laek/x", &at, &err), RC_INVALID);
    assert_non_null(strstr(err.cause, "did you mean 'lake'?"));
    close_all();
}

static void a_defined_store_is_where_its_url_says(void **state)
{
    static const struct core_store_settings stores[] = {
        { .name = "b", .bucket = "b", .url = "file:///elsewhere", .endpoint = "http://other" },
    };
    struct rc_store store = store_of("input", "s3://b/folder/");
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    open_with(stores, RC_ARRAY_LEN(stores));
    store.endpoint = "http://mine";
    store.access_key_id = "id";
    store.secret_access_key = "secret-of-mine";
    expect_ok(core_storage_define(in, &store, &err));
    assert_place("store://input/x", "s3://b/folder/x", "s3", "http://mine");
    assert_place("s3://b/x", "file:///elsewhere/x", "file", "http://other");

    /* With an HMAC key Google is spoken to as Amazon is. */
    store.name = "output";
    store.url = "gs://b";
    store.endpoint = NULL;
    expect_ok(core_storage_define(in, &store, &err));
    assert_place("store://output/x", "gs://b/x", "s3", NULL);
    close_all();
}

static void definitions_outlive_their_texts_and_hide_secrets(void **state)
{
    char secret[] = "a-secret-of-the-store", name[] = "input";
    RC_STR_AUTO text = rc_strdup("it is a-secret-of-the-store, and hunter2");
    struct rc_store store = store_of(name, "s3://b");
    const struct core_store_settings *kept;
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    open_with(NULL, 0);
    store.endpoint = "https://me:hunter2@h/";
    store.access_key_id = "id";
    store.secret_access_key = secret;
    expect_ok(core_storage_define(in, &store, &err));
    memset(secret, 'x', strlen(secret));
    memset(name, 'x', strlen(name));
    kept = core_remote_defined(remote, "input");
    assert_non_null(kept);
    assert_string_equal(kept->secret_access_key, "a-secret-of-the-store");
    core_secret_mask(text);
    assert_string_equal(text, "it is " CORE_SECRET_MASK ", and *******");
    close_all();
}

static void refuses_what_is_no_store(void **state)
{
    static const struct core_store_settings stores[] = { { .name = "lake", .bucket = "b" } };
    struct rc_store store = store_of("input", "s3://b");
    struct core_storage *local;
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    open_with(stores, 1);
    assert_refused(&(struct rc_store){ .name = "Input", .url = "s3://b" }, RC_INVALID, "'Input'");
    assert_refused(&(struct rc_store){ .name = "", .url = "s3://b" }, RC_INVALID, "lower-case");
    assert_refused(&(struct rc_store){ .name = "input" }, RC_INVALID, "has no url");
    assert_refused(&(struct rc_store){ .name = "input", .url = "b/c" }, RC_INVALID, "not a URI");
    assert_refused(&(struct rc_store){ .name = "input", .url = "store://lake" }, RC_INVALID,
                   "is no s3://");
    assert_refused(&(struct rc_store){ .name = "input", .url = "s3://b", .endpoint = "h:80" },
                   RC_INVALID, "'h:80'");
    assert_refused(&(struct rc_store){ .name = "lake", .url = "s3://b" }, RC_CONFLICT, "'lake'");
    /* Half a key would be completed by whatever else the vendor's search comes upon. */
    assert_refused(&(struct rc_store){ .name = "input", .url = "s3://b", .access_key_id = "id" },
                   RC_INVALID, "secret_access_key");
    assert_refused(
        &(struct rc_store){ .name = "input", .url = "s3://b", .secret_access_key = "half-a-key" },
        RC_INVALID, "access_key_id");
    assert_refused(&(struct rc_store){ .name = "input", .url = "s3://b", .session_token = "a-tok" },
                   RC_INVALID, "access_key_id");

    /* The same again is no mistake; another of its name is. */
    expect_ok(core_storage_define(in, &store, &err));
    expect_ok(core_storage_define(in, &store, &err));
    store.region = "eu-west-1";
    assert_refused(&store, RC_CONFLICT, "another store 'input'");

    local = core_storage_new(NULL, 0, NULL, NULL);
    assert_int_equal(core_storage_define(local, &store, &err), RC_UNSUPPORTED);
    core_storage_free(local);
    close_all();
}

/* Keys make no other place of it: what is removed from the target would be the source. */
static void a_side_inside_the_other_is_found_whoever_asks(void **state)
{
    static const struct {
        const char *source, *source_at, *target, *target_at;
        bool is_refused;
    } cases[] = {
        { "s3://b/dumps", "http://h.invalid/", "s3://b", "http://h.invalid", true },
        { "s3://b", "http://h.invalid", "s3://b/dumps", "http://h.invalid", true },
        { "s3://b/a", "http://h.invalid", "s3://b/a/", "http://h.invalid", true },
        { "s3://b/a", "https://s3.eu-west-1.amazonaws.com", "s3://b", NULL, true },
        { "gs://b/a", NULL, "gs://b", NULL, true },
        { "s3://b/a", "http://h.invalid", "s3://b/ab", "http://h.invalid", false },
        { "s3://b/a", "http://h.invalid", "s3://b", "http://i.invalid", false },
    };
    const struct rc_transfer transfer = {
        .struct_bytes = sizeof(transfer),
        .flags = RC_TRANSFER_REMOVE_EXTRA,
        .source = "store://input/",
        .target = "store://output/",
    };

    struct core_cancel cancel = CORE_CANCEL_INIT;

    (void)state;
    core_cancel_request(&cancel, RC_CANCELLED); /* no server is asked */
    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        struct rc_store source = store_of("input", cases[i].source);
        struct rc_store target = store_of("output", cases[i].target);
        struct rc_error err = RC_ERROR_INIT;
        struct rc_transferred done;

        source.endpoint = cases[i].source_at;
        target.endpoint = cases[i].target_at;
        source.access_key_id = "reader";
        target.access_key_id = "writer";
        source.secret_access_key = target.secret_access_key = "a-secret-of-the-store";
        open_cancelled_by(&cancel, NULL, 0);
        expect_ok(core_storage_define(in, &source, &err));
        expect_ok(core_storage_define(in, &target, &err));
        if (core_transfer_run(in, &transfer, &done, &err) !=
            (cases[i].is_refused ? RC_INVALID : RC_CANCELLED))
            fail_msg("'%s' to '%s': %s", cases[i].source, cases[i].target, err.cause);
        close_all();
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(conforms_in_a_defined_store),
        TEST(finds_configured_stores_by_name),
        TEST(a_defined_store_is_where_its_url_says),
        TEST(definitions_outlive_their_texts_and_hide_secrets),
        TEST(refuses_what_is_no_store),
        TEST(a_side_inside_the_other_is_found_whoever_asks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
