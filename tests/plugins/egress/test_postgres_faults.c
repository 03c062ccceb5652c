/*
 * Dumps of a real server on a host of which every call fails once: the run says what it was doing
 * and leaves nothing open, what lies in its folder is whole, and the next run ends as one that
 * never failed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "postgres.h"

#include <run-core/fake_host.h>

#include <stdlib.h>
#include <string.h>

#define HOST_AUTO RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *
#define FOLDER "s3://dumps/2026-01-15/"
#define MANIFEST FOLDER "_manifest.json"
#define OLD "an object of an earlier run"

enum { CONTENTS_LIMIT = 1 << 20, MOST_CALLS = 1000 };

extern const struct rc_plugin *const rc_plugin_descriptor;

static char *database; /* a setting */

static int make_tables(void **state)
{
    (void)state;
    admin("CREATE TABLE alpha AS SELECT g AS id, 'row ' || g AS name FROM "
          "generate_series(1, 500) g");
    admin("CREATE TABLE beta (id integer, name text)");
    admin("ANALYZE alpha, beta");
    database = rc_strf("database=%s", admin_url());
    return 0;
}

static int drop_tables(void **state)
{
    (void)state;
    admin("DROP TABLE alpha, beta");
    admin_close();
    rc_str_free(&database);
    return 0;
}

/* A folder with what an earlier run left, of which the manifest no longer holds. */
static struct rc_fake_host *host_with_leftovers(void)
{
    struct rc_fake_host *host = rc_fake_host_new(NULL);

    rc_fake_host_put(host, FOLDER "alpha.csv.gz", OLD, strlen(OLD));
    rc_fake_host_put(host, FOLDER "alpha/part-00001.csv.gz", OLD, strlen(OLD));
    rc_fake_host_put(host, FOLDER "somebody's.csv.gz", OLD, strlen(OLD));
    rc_fake_host_put(host, MANIFEST, "{}", 2);
    rc_fake_host_pend(host, FOLDER "beta.csv.gz", 1);
    rc_fake_host_bucket(host, "s3://dumps")->exists = RC_ANSWER_YES;
    return host;
}

static enum rc_code run(struct rc_fake_host *host, const char *action, const char *attempts,
                        struct rc_error *err)
{
    const char *const settings[] = { "output=s3://dumps",
                                     "tables=alpha",
                                     "tables=beta",
                                     "connections=1",
                                     attempts,
                                     database,
                                     NULL };

    *err = (struct rc_error)RC_ERROR_INIT;
    return rc_fake_host_run(host, rc_plugin_descriptor, action, settings, err);
}

/* Names and contents of all objects, if wanted but the manifest, which holds times. */
static void add_objects(struct rc_fake_host *host, bool with_manifest, struct rc_buf *out)
{
    RC_STR_AUTO uris = rc_strdup(rc_fake_host_objects(host, "s3://"));

    for (char *uri = uris, *end; (end = strchr(uri, '\n')) != NULL; uri = end + 1) {
        size_t len;

        *end = '\0';
        const char *data = rc_fake_host_object(host, uri, &len);

        if (!with_manifest && strcmp(uri, MANIFEST) == 0)
            continue;
        rc_buf_addf(out, "%s\n", uri);
        rc_buf_add(out, data, len);
    }
}

static void expect_clean(struct rc_fake_host *host, const struct rc_buf *clean)
{
    RC_BUF_AUTO(found, CONTENTS_LIMIT);
    struct rc_error err;

    expect_ok(run(host, "verify", "attempts=1", &err), err);
    add_objects(host, /* with_manifest = */ false, &found);
    assert_int_equal(found.len, clean->len);
    assert_memory_equal(found.data, clean->data, clean->len);
    assert_string_equal(rc_fake_host_pending(host), "");
}

static void dump_cleanly(struct rc_buf *clean)
{
    HOST_AUTO host = host_with_leftovers();
    struct rc_error err;
    int64_t done, total;

    expect_ok(run(host, "dump", "attempts=1", &err), err);
    rc_fake_host_progress(host, &done, &total);
    assert_int_equal(done, 500);
    assert_int_equal(total, 500); /* by the server's estimate */
    assert_int_equal(rc_fake_host_open_handles(host), 0);
    add_objects(host, /* with_manifest = */ false, clean);
    expect_clean(host, clean);
}

/* What lies there is of this run or of an earlier one, and only what is whole is called so. */
static void expect_truth(struct rc_fake_host *host, enum rc_code code)
{
    const char *manifest = rc_fake_host_object(host, MANIFEST, NULL);
    struct rc_error err;

    assert_int_equal(rc_fake_host_open_handles(host), 0);
    if (manifest && strcmp(manifest, "{}") != 0)
        assert_int_equal(run(host, "verify", "attempts=1", &err) == RC_OK,
                         strstr(manifest, "\"complete\": true") != NULL);
    if (code == RC_OK)
        assert_non_null(strstr(manifest, "\"complete\": true"));
}

/* ---- every call ----------------------------------------------------------------------------- */

enum fault { FAILS, STOPS };

/*
 * Breaks the n-th call, looks at what came of it, and runs again. False: there was no such call.
 */
static bool break_call(int n, enum fault fault, enum rc_code code, const struct rc_buf *clean)
{
    HOST_AUTO host = host_with_leftovers();
    struct rc_error err;
    enum rc_code result;
    int calls;

    if (fault == FAILS)
        rc_fake_host_fail_at(host, n, code);
    else
        rc_fake_host_cancel_at(host, n);
    result = run(host, "dump", "attempts=1", &err);
    calls = rc_fake_host_calls(host);
    rc_fake_host_fail_at(host, 0, code);
    rc_fake_host_cancel_at(host, 0);
    if (calls < n) {
        assert_int_equal(result, RC_OK);
        return false;
    }
    if (fault == STOPS)
        assert_int_equal(result, RC_CANCELLED);
    else if (result != RC_OK && !strstr(err.cause, "injected fault"))
        expect_text(rc_fake_host_log(host), "injected fault"); /* of a table */
    if (result != RC_OK && result != RC_FAILED && !err.context[0])
        fail_msg("call %d: nothing says what was done: %s", n, err.cause);
    expect_truth(host, result);

    result = run(host, "dump", "attempts=1", &err);
    if (result != RC_OK)
        fail_msg("the run after a fault at call %d: %s: %s", n, err.context, err.cause);
    expect_clean(host, clean);
    return true;
}

static void break_every_call(enum fault fault, enum rc_code code)
{
    RC_BUF_AUTO(clean, CONTENTS_LIMIT);
    int n = 1;

    dump_cleanly(&clean);
    while (break_call(n, fault, code, &clean))
        assert_true(++n < MOST_CALLS);
    assert_true(n > 40);
}

static void test_every_call_may_be_refused(void **state)
{
    (void)state;
    break_every_call(FAILS, RC_DENIED);
}

static void test_every_call_may_be_the_last(void **state)
{
    (void)state;
    break_every_call(STOPS, RC_OK);
}

/* ---- another attempt ------------------------------------------------------------------------ */

static void test_a_store_that_fails_for_a_while(void **state)
{
    static const char *const calls[] = { "storage.create", "storage.write", "storage.commit" };

    (void)state;
    RC_BUF_AUTO(clean, CONTENTS_LIMIT);
    dump_cleanly(&clean);
    for (size_t i = 0; i < RC_ARRAY_LEN(calls); i++) {
        HOST_AUTO host = host_with_leftovers();
        struct rc_error err;

        rc_fake_host_fail_on(host, calls[i], FOLDER "alpha", 1, RC_UNAVAILABLE);
        expect_ok(run(host, "dump", "attempts=2", &err), err);
        expect_text(rc_fake_host_log(host), "it is tried again");
        expect_clean(host, &clean);
    }
}

/* ---- the lease ------------------------------------------------------------------------------ */

/* What there was when the lease was lost. */
static struct {
    struct rc_fake_host *host;
    const struct rc_lock_api *real;
    int checks_left;
    bool is_lost;
    struct rc_buf objects;
} lease;

static enum rc_code check_lease(struct rc_lock *lock, struct rc_error *err)
{
    if (lease.checks_left-- > 0)
        return lease.real->check(lock, err);
    if (!lease.is_lost)
        add_objects(lease.host, /* with_manifest = */ true, &lease.objects);
    lease.is_lost = true;
    return rc_fail(err, RC_CONFLICT, "another run has it");
}

/* Whoever has taken the folder over may be through with it by then: nothing more is touched. */
static void test_a_run_that_has_lost_its_lease_ends(void **state)
{
    int checks = -1;

    (void)state;
    do {
        HOST_AUTO host = host_with_leftovers();
        RC_BUF_AUTO(after, CONTENTS_LIMIT);
        struct rc_host table = *rc_fake_host_job(host)->host;
        struct rc_lock_api locks = *table.lock;
        struct rc_error err;
        enum rc_code code;

        lease.host = host;
        lease.real = table.lock;
        lease.checks_left = ++checks;
        lease.is_lost = false;
        rc_buf_init(&lease.objects, CONTENTS_LIMIT);
        locks.check = check_lease;
        table.lock = &locks;
        rc_fake_host_job(host)->host = &table;
        code = run(host, "dump", "attempts=3", &err);
        add_objects(host, /* with_manifest = */ true, &after);
        assert_int_equal(code, lease.is_lost ? RC_CONFLICT : RC_OK);
        assert_int_equal(rc_fake_host_open_handles(host), 0);
        if (lease.is_lost) {
            expect_text(err.cause, "another run has it");
            assert_int_equal(after.len, lease.objects.len);
            assert_memory_equal(after.data, lease.objects.data, after.len);
        }
        if (checks == 0)
            assert_string_equal(rc_fake_host_pending(host), FOLDER "beta.csv.gz\n");
        rc_buf_clear(&lease.objects);
    } while (lease.is_lost);
    assert_true(checks >= 5); /* before all, for each object, behind them, and for the manifest */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_call_may_be_refused),
        cmocka_unit_test(test_every_call_may_be_the_last),
        cmocka_unit_test(test_a_store_that_fails_for_a_while),
        cmocka_unit_test(test_a_run_that_has_lost_its_lease_ends),
    };
    return cmocka_run_group_tests(tests, make_tables, drop_tables);
}
