/*
 * The journal on the fake host's database: what is noted is there again in the next run, in the
 * states that README.md names, and nothing in it tells who a user is.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "journal_fixture.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define X "s3://b/events/shard=7/day=2024-10-04/x.parquet"
#define DIGEST_1 "1111111111111111111111111111111111111111111111111111111111111111"
#define DIGEST_2 "2222222222222222222222222222222222222222222222222222222222222222"

static int set_up(void **state)
{
    *state = fixture_new(NULL, NULL);
    return 0;
}

static int tear_down(void **state)
{
    fixture_free(*state);
    return 0;
}

/* ---- what is not settled ---- */

struct seen {
    int count;
    struct dsr_intent last;
    char uri[200];
};

static enum rc_code see(void *context, const struct dsr_intent *intent, struct rc_error *err)
{
    struct seen *seen = context;

    (void)err;
    seen->count++;
    seen->last = *intent;
    (void)snprintf(seen->uri, sizeof(seen->uri), "%s", intent->uri);
    return RC_OK;
}

static struct seen unsettled(struct fixture *at, int32_t shard)
{
    struct rc_error err = RC_ERROR_INIT;
    struct seen seen = { 0 };

    expect_ok(dsr_journal_unsettled(at->journal, shard, see, &seen, &err));
    return seen;
}

static void settle(struct fixture *at, const struct dsr_intent *intent, enum dsr_outcome outcome)
{
    struct rc_error err = RC_ERROR_INIT;

    expect_ok(dsr_journal_settle(at->journal, intent->id, outcome, &err));
}

static int64_t state_of(struct fixture *at, const struct dsr_intent *intent)
{
    RC_STR_AUTO query = rc_strf("SELECT state FROM erasures WHERE id = '%s'", intent->id);

    return fixture_number(at, query);
}

static void test_an_intent_outlives_its_run(void **state)
{
    struct fixture *at = *state;
    struct dsr_intent intent = fixture_intend(at, 7, X "\xff", "e0", DIGEST_1, "u", 12);
    struct seen seen;

    assert_int_equal(strlen(intent.id), DSR_ID_TEXT - 1);
    fixture_next_run(at);
    assert_int_equal(unsettled(at, 8).count, 0);
    seen = unsettled(at, 7);
    assert_int_equal(seen.count, 1);
    assert_string_equal(seen.last.id, intent.id);
    assert_string_equal(seen.uri, X "\xff");
    assert_string_equal(seen.last.old.etag, "e0");
    assert_string_equal(seen.last.new_digest, DIGEST_1);
    assert_int_equal(seen.last.old.size_bytes, 1000);
    assert_int_equal(seen.last.old.modified_unix_ms, 7);
    assert_int_equal(seen.last.new_bytes, 900);
    assert_int_equal(seen.last.rows_before, 50);
    assert_int_equal(seen.last.rows_erased, 12);
    assert_int_equal(seen.last.intended_unix_ms, intent.intended_unix_ms);
    assert_false(seen.last.removes);
    assert_false(seen.last.is_void);
}

static void test_of_an_outcome_only_more_is_learnt(void **state)
{
    struct fixture *at = *state;
    struct dsr_intent intent = fixture_intend(at, 7, X, "e0", NULL, "u", 1);
    struct seen seen;

    assert_true(unsettled(at, 7).last.removes);
    settle(at, &intent, DSR_VOID);
    seen = unsettled(at, 7);
    assert_int_equal(seen.count, 1);
    assert_true(seen.last.is_void);
    settle(at, &intent, DSR_DONE);
    assert_int_equal(unsettled(at, 7).count, 0);
    settle(at, &intent, DSR_SUPERSEDED);
    assert_int_equal(state_of(at, &intent), DSR_DONE);

    intent = fixture_intend(at, 7, X, "e9", NULL, "u", 1);
    settle(at, &intent, DSR_SUPERSEDED);
    settle(at, &intent, DSR_VOID);
    assert_int_equal(state_of(at, &intent), DSR_SUPERSEDED);
    assert_int_equal(unsettled(at, 7).count, 0);
}

static void test_of_twins_one_is_done(void **state)
{
    struct fixture *at = *state;
    struct dsr_intent first = fixture_intend(at, 7, X, "e0", DIGEST_1, "u", 1), second, other;

    settle(at, &first, DSR_VOID);
    second = fixture_intend(at, 7, X, "e0", DIGEST_1, "u", 1);
    other = fixture_intend(at, 7, X, "e0", DIGEST_2, "u", 1);
    settle(at, &second, DSR_DONE);
    settle(at, &first, DSR_DONE);
    assert_int_equal(state_of(at, &second), DSR_DONE);
    assert_int_equal(state_of(at, &first), DSR_VOID);
    /* What makes another object of it is no twin. */
    settle(at, &other, DSR_DONE);
    assert_int_equal(state_of(at, &other), DSR_DONE);

    /* One that was not void before becomes it. */
    first = fixture_intend(at, 7, X "2", "e0", DIGEST_1, "u", 1);
    second = fixture_intend(at, 7, X "2", "e0", DIGEST_1, "u", 1);
    settle(at, &first, DSR_DONE);
    settle(at, &second, DSR_DONE);
    assert_int_equal(state_of(at, &second), DSR_VOID);

    /* Somebody put the old object back after the first was done: both are. */
    fixture_change(at, "UPDATE erasures SET settled_unix_ms = settled_unix_ms - 10000");
    second = fixture_intend(at, 7, X "2", "e0", DIGEST_1, "u", 1);
    settle(at, &second, DSR_DONE);
    assert_int_equal(state_of(at, &second), DSR_DONE);
}

/* ---- requests ---- */

static void test_nothing_is_fulfilled_while_an_intent_is_unsettled(void **state)
{
    struct fixture *at = *state;
    struct dsr_intent intent = fixture_intend(at, 7, X, "e0", DIGEST_1, "u", 1);
    const struct dsr_request request = { fixture_slice("u"), 1, 2 };
    struct rc_error err = RC_ERROR_INIT;

    assert_int_equal(dsr_journal_fulfil(at->journal, 7, 1, 1, &request, 1, &err), RC_CONFLICT);
    assert_int_equal(fixture_number(at, "SELECT count(*) FROM requests"), 0);
    expect_ok(dsr_journal_fulfil(at->journal, 8, 1, 1, &request, 1, &err));
    settle(at, &intent, DSR_VOID);
    expect_ok(dsr_journal_fulfil(at->journal, 7, 1, 1, &request, 1, &err));
    assert_int_equal(fixture_number(at, "SELECT count(*) FROM requests"), 2);
    assert_int_equal(unsettled(at, 7).count, 0);
    /* Its owner, who was only slow, knows better. */
    settle(at, &intent, DSR_DONE);
    assert_int_equal(state_of(at, &intent), DSR_DONE);
}

static void test_fulfilled_again_changes_nothing(void **state)
{
    struct fixture *at = *state;

    fixture_fulfil(at, 7, "u");
    fixture_change(at, "UPDATE requests SET report = 'r', fulfilled_unix_ms = 5");
    fixture_fulfil(at, 7, "u");
    fixture_fulfil(at, 7, "v");
    assert_int_equal(fixture_number(at, "SELECT count(*) FROM requests"), 2);
    assert_int_equal(
        fixture_number(at, "SELECT fulfilled_unix_ms FROM requests WHERE report = 'r'"), 5);
    assert_int_equal(fixture_number(at, "SELECT count(*) FROM requests WHERE day = 20000"
                                        " AND requested = 20005 AND first_day = 20000"
                                        " AND last_day = 20003 AND shard = 7"),
                     2);
}

enum { MANY = 5000 };

static void test_many_requests_are_one_transaction(void **state)
{
    struct fixture *at = *state;
    struct dsr_request *requests = rc_calloc(MANY, sizeof(*requests));
    char(*names)[24] = rc_calloc(MANY, sizeof(*names));
    struct rc_error err = RC_ERROR_INIT;
    int64_t count;

    for (size_t i = 0; i < MANY; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "user%zu", i);
        requests[i] = (struct dsr_request){ fixture_slice(names[i]), 1, 2 };
    }
    rc_fake_host_fail_on(at->host, "db.commit", NULL, 1, RC_UNAVAILABLE);
    assert_int_equal(dsr_journal_fulfil(at->journal, 7, 1, 1, requests, MANY, &err),
                     RC_UNAVAILABLE);
    assert_int_equal(fixture_number(at, "SELECT count(*) FROM requests"), 0);
    expect_ok(dsr_journal_fulfil(at->journal, 7, 1, 1, requests, MANY, &err));
    expect_ok(dsr_journal_fulfil(at->journal, 7, 1, 1, requests, MANY, &err));
    count = fixture_number(at, "SELECT count(DISTINCT user_hash) FROM requests");
    free(names);
    free(requests);
    assert_int_equal(count, MANY);
}

/* ---- backups and shards ---- */

static enum rc_code count_backup(void *context, const char *uri, const char *of,
                                 struct rc_error *err)
{
    int *count = context;

    (void)err;
    assert_string_equal(uri, "s3://b/temp/1");
    assert_string_equal(of, X);
    (*count)++;
    return RC_OK;
}

static int backups(struct fixture *at, int32_t shard)
{
    struct rc_error err = RC_ERROR_INIT;
    int count = 0;

    expect_ok(dsr_journal_backups(at->journal, shard, count_backup, &count, &err));
    return count;
}

static void test_a_backup_is_known_until_it_is_removed(void **state)
{
    struct fixture *at = *state;
    struct rc_error err = RC_ERROR_INIT;

    expect_ok(dsr_journal_note_backup(at->journal, 7, "s3://b/temp/1", X, &err));
    assert_int_equal(backups(at, 7), 1);
    assert_int_equal(backups(at, 8), 0);
    expect_ok(dsr_journal_forget_backup(at->journal, "s3://b/temp/1", &err));
    assert_int_equal(backups(at, 7), 0);
    assert_int_equal(fixture_number(at, "SELECT count(*) FROM backups"), 0);
}

static void test_a_copy_that_may_still_appear_is_remembered(void **state)
{
    struct fixture *at = *state;
    struct rc_error err = RC_ERROR_INIT;
    int32_t *shards;
    size_t count;

    expect_ok(dsr_journal_note_backup(at->journal, 7, "s3://b/temp/1", X, &err));
    fixture_next_run(at);
    expect_ok(dsr_journal_forget_backup(at->journal, "s3://b/temp/1", &err));
    assert_int_equal(backups(at, 7), 0);
    assert_int_equal(fixture_number(at, "SELECT count(*) FROM backups"), 1);
    expect_ok(dsr_journal_shards(at->journal, &shards, &count, &err));
    free(shards);
    assert_int_equal(count, 0);

    fixture_change(at, "UPDATE backups SET noted_unix_ms = noted_unix_ms - 7300000");
    expect_ok(dsr_journal_shards(at->journal, &shards, &count, &err));
    assert_int_equal(count, 1);
    assert_int_equal(shards[0], 7);
    free(shards);
    assert_int_equal(backups(at, 7), 1);
    expect_ok(dsr_journal_forget_backup(at->journal, "s3://b/temp/1", &err));
    assert_int_equal(fixture_number(at, "SELECT count(*) FROM backups"), 0);
}

/* Two runs have noted the same name; the copy of the first may appear after the second is done. */
static void test_a_copy_that_two_runs_make_is_remembered(void **state)
{
    struct fixture *at = *state;
    struct rc_error err = RC_ERROR_INIT;

    expect_ok(dsr_journal_note_backup(at->journal, 7, "s3://b/temp/1", X, &err));
    fixture_next_run(at);
    expect_ok(dsr_journal_note_backup(at->journal, 7, "s3://b/temp/1", X, &err));
    expect_ok(dsr_journal_note_backup(at->journal, 7, "s3://b/temp/1", X, &err));
    assert_int_equal(backups(at, 7), 1);
    expect_ok(dsr_journal_forget_backup(at->journal, "s3://b/temp/1", &err));
    assert_int_equal(backups(at, 7), 0);
    assert_int_equal(fixture_number(at, "SELECT count(*) FROM backups"), 1);
}

/* What a run that died has asked for may still be done, and nobody has searched the shard. */
static void test_without_a_request_what_is_void_stays_open(void **state)
{
    struct fixture *at = *state;
    struct rc_error err = RC_ERROR_INIT;
    struct dsr_intent intent = fixture_intend(at, 7, X, "e0", DIGEST_1, "u", 1);

    settle(at, &intent, DSR_VOID);
    expect_ok(dsr_journal_fulfil(at->journal, 7, 0, 0, NULL, 0, &err));
    assert_int_equal(unsettled(at, 7).count, 1);
    fixture_change(at, "UPDATE erasures SET intended_unix_ms = intended_unix_ms - 7300000");
    expect_ok(dsr_journal_fulfil(at->journal, 7, 0, 0, NULL, 0, &err));
    assert_int_equal(unsettled(at, 7).count, 0);
}

static void test_shards_that_are_not_done_with(void **state)
{
    struct fixture *at = *state;
    struct rc_error err = RC_ERROR_INIT;
    struct dsr_intent intent = fixture_intend(at, 11, X, "e0", DIGEST_1, "u", 1);
    int32_t *shards;
    size_t count;

    expect_ok(dsr_journal_note_backup(at->journal, 3, "s3://b/temp/1", X, &err));
    settle(at, &intent, DSR_DONE);
    expect_ok(dsr_journal_shards(at->journal, &shards, &count, &err));
    assert_int_equal(count, 2);
    assert_int_equal(shards[0], 3);
    assert_int_equal(shards[1], 11);
    free(shards);

    /* Its marker may have been taken back; what was erased is in the record all the same. */
    expect_ok(dsr_journal_fulfil(at->journal, 11, 0, 0, NULL, 0, &err));
    expect_ok(dsr_journal_forget_backup(at->journal, "s3://b/temp/1", &err));
    expect_ok(dsr_journal_shards(at->journal, &shards, &count, &err));
    assert_int_equal(count, 0);
    free(shards);
}

/* ---- privacy, and other configurations ---- */

static void test_no_id_is_in_the_journal(void **state)
{
    static const char *const queries[] = {
        "SELECT count(*) FROM requests WHERE user_hash LIKE '%secret%'",
        "SELECT count(*) FROM erased_users WHERE user_hash LIKE '%secret%'",
        "SELECT count(*) FROM settings WHERE value LIKE '%secret%'",
    };
    struct fixture *at = *state;
    char hash[DSR_HASH_TEXT], again[DSR_HASH_TEXT];

    (void)fixture_intend(at, 7, X, "e0", DIGEST_1, "secret", 1);
    fixture_fulfil(at, 8, "secret");
    for (size_t i = 0; i < RC_ARRAY_LEN(queries); i++)
        assert_int_equal(fixture_number(at, queries[i]), 0);
    dsr_journal_hash(at->journal, fixture_slice("secret"), hash);
    assert_int_equal(fixture_number(at, "SELECT count(*) FROM requests r, erased_users u"
                                        " WHERE r.user_hash = u.user_hash"),
                     1);

    /* The salt that was made up stays. */
    fixture_next_run(at);
    dsr_journal_hash(at->journal, fixture_slice("secret"), again);
    assert_string_equal(hash, again);
    dsr_journal_hash(at->journal, fixture_slice("other"), again);
    assert_string_not_equal(hash, again);
}

/* HMAC-SHA-256 of RFC 4231, test case 2. */
static void test_the_hash_is_that_of_the_standard(void **state)
{
    static const char *const settings[] = { "report_salt=Jefe", NULL };
    struct fixture *at = fixture_new(NULL, settings);
    char hash[DSR_HASH_TEXT];

    (void)state;
    dsr_journal_hash(at->journal, fixture_slice("what do ya want for nothing?"), hash);
    fixture_free(at);
    assert_string_equal(hash, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

static void test_another_configuration_has_another_journal(void **state)
{
    struct fixture *at = *state;
    struct rc_error err = RC_ERROR_INIT;
    struct dsr_intent intent = fixture_intend(at, 7, X, "e0", DIGEST_1, "u", 1);
    int32_t *shards;
    size_t count;

    (void)intent;
    dsr_journal_close(at->journal);
    memcpy(at->places.scope, "0123456789abcdef", sizeof(at->places.scope));
    expect_ok(dsr_journal_open(at->job, &at->config, &at->places, &at->journal, &err));
    assert_int_equal(unsettled(at, 7).count, 0);
    expect_ok(dsr_journal_shards(at->journal, &shards, &count, &err));
    free(shards);
    assert_int_equal(count, 0);
}

/* ---- faults and threads ---- */

static void test_others_in_the_way_are_waited_for(void **state)
{
    struct fixture *at = *state;

    rc_fake_host_fail_on(at->host, "db.exec", "INSERT INTO erased_users", 1, RC_CONFLICT);
    rc_fake_host_fail_on(at->host, "db.commit", NULL, 2, RC_CONFLICT);
    (void)fixture_intend(at, 7, X, "e0", DIGEST_1, "u", 1);
    assert_int_equal(fixture_number(at, "SELECT count(*) FROM erasures"), 1);
    assert_int_equal(fixture_number(at, "SELECT count(*) FROM erased_users"), 1);
}

/* One of each call; the journal is whole or as before, whichever call of the host fails. */
static enum rc_code use_all(struct fixture *at, struct rc_error *err)
{
    struct dsr_intent intent = { .shard = 7, .table = "t", .uri = X, .old = { .etag = "e" } };
    const struct dsr_erased erased = { .user = DIGEST_1, .rows = 1 };
    const struct dsr_request request = { fixture_slice("u"), 1, 2 };
    struct seen seen = { 0 };
    int32_t *shards = NULL;
    size_t count;
    int backup = 0;

    if (dsr_journal_intend(at->journal, &intent, &erased, 1, err) ||
        dsr_journal_unsettled(at->journal, 7, see, &seen, err) ||
        dsr_journal_settle(at->journal, intent.id, DSR_DONE, err) ||
        dsr_journal_note_backup(at->journal, 7, "s3://b/temp/1", X, err) ||
        dsr_journal_shards(at->journal, &shards, &count, err))
        return err->code;
    free(shards);
    if (dsr_journal_backups(at->journal, 7, count_backup, &backup, err) ||
        dsr_journal_fulfil(at->journal, 7, 1, 1, &request, 1, err))
        return err->code;
    return dsr_journal_forget_backup(at->journal, "s3://b/temp/1", err);
}

static void test_each_call_may_fail(void **state)
{
    (void)state;
    for (int n = 1;; n++) {
        struct fixture *at = fixture_new(NULL, NULL);
        struct rc_error err = RC_ERROR_INIT;
        enum rc_code code;

        rc_fake_host_fail_at(at->host, n, RC_UNAVAILABLE);
        code = use_all(at, &err);
        rc_fake_host_fail_at(at->host, 0, RC_OK);
        if (code) {
            assert_int_equal(code, RC_UNAVAILABLE);
            assert_string_not_equal(err.context, "");
            assert_int_equal(rc_fake_host_open_handles(at->host), 1);
            assert_int_equal(fixture_number(at, "SELECT count(*) FROM erasures e WHERE NOT EXISTS"
                                                " (SELECT 1 FROM erased_users u"
                                                "  WHERE u.erasure = e.id)"),
                             0);
            assert_int_equal(fixture_number(at, "SELECT count(*) FROM requests WHERE EXISTS"
                                                " (SELECT 1 FROM erasures"
                                                "  WHERE closed_unix_ms IS NULL)"),
                             0);
        }
        fixture_free(at);
        if (code == RC_OK) {
            assert_true(n > 20);
            return;
        }
    }
}

enum { THREADS = 4, EACH = 50 };

static void *work(void *context)
{
    struct fixture *at = context;
    struct rc_error err = RC_ERROR_INIT;
    const struct dsr_erased erased = { .user = DIGEST_1, .rows = 1 };

    for (int i = 0; i < EACH; i++) {
        struct dsr_intent intent = { .shard = 7, .table = "t", .uri = X };

        (void)snprintf(intent.old.etag, sizeof(intent.old.etag), "%p-%d", (void *)&intent, i);
        if (dsr_journal_intend(at->journal, &intent, &erased, 1, &err) ||
            dsr_journal_settle(at->journal, intent.id, DSR_DONE, &err))
            return at;
    }
    return NULL;
}

static void test_threads_share_a_journal(void **state)
{
    struct fixture *at = *state;
    pthread_t threads[THREADS];

    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, work, at), 0);
    for (size_t i = 0; i < THREADS; i++) {
        void *failed;

        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    assert_int_equal(fixture_number(at, "SELECT count(*) FROM erasures WHERE state = 3"),
                     THREADS * EACH);
}

#define IN_FIXTURE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FIXTURE(test_an_intent_outlives_its_run),
        IN_FIXTURE(test_of_an_outcome_only_more_is_learnt),
        IN_FIXTURE(test_of_twins_one_is_done),
        IN_FIXTURE(test_nothing_is_fulfilled_while_an_intent_is_unsettled),
        IN_FIXTURE(test_fulfilled_again_changes_nothing),
        IN_FIXTURE(test_many_requests_are_one_transaction),
        IN_FIXTURE(test_a_backup_is_known_until_it_is_removed),
        IN_FIXTURE(test_a_copy_that_may_still_appear_is_remembered),
        IN_FIXTURE(test_a_copy_that_two_runs_make_is_remembered),
        IN_FIXTURE(test_without_a_request_what_is_void_stays_open),
        IN_FIXTURE(test_shards_that_are_not_done_with),
        IN_FIXTURE(test_no_id_is_in_the_journal),
        cmocka_unit_test(test_the_hash_is_that_of_the_standard),
        IN_FIXTURE(test_another_configuration_has_another_journal),
        IN_FIXTURE(test_others_in_the_way_are_waited_for),
        cmocka_unit_test(test_each_call_may_fail),
        IN_FIXTURE(test_threads_share_a_journal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
