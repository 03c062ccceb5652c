/*
 * Settling by looking: every line of the table in README.md, unfinished uploads, and the originals
 * that were kept.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "journal_fixture.h"
#include "run.h"

#include <openssl/evp.h>

#include <stdio.h>
#include <stdlib.h>

#define X "s3://b/events/shard=7/day=2024-10-04/x"
#define BACKUP "s3://b/dsr-temp/backup/1"

static int set_up(void **state)
{
    *state = fixture_new(NULL, NULL);
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *at = *state;

    assert_int_equal(rc_fake_host_open_handles(at->host), 1);
    fixture_free(at);
    return 0;
}

static struct dsr_run run_of(struct fixture *at)
{
    return (struct dsr_run){ .job = at->job, .config = &at->config, .journal = at->journal };
}

static void put(struct fixture *at, const char *text)
{
    rc_fake_host_put(at->host, X, text, strlen(text));
}

static struct rc_stat look(struct fixture *at)
{
    struct rc_error err = RC_ERROR_INIT;
    struct rc_stat stat;

    expect_ok(rc_storage_stat(at->job, X, &stat, &err));
    return stat;
}

static void digest_of(const char *text, char out[DSR_HASH_TEXT])
{
    unsigned char bytes[EVP_MAX_MD_SIZE];
    unsigned len = 0;

    assert_int_equal(EVP_Digest(text, strlen(text), bytes, &len, EVP_sha256(), NULL), 1);
    for (size_t i = 0; i < len; i++)
        (void)snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}

/* An intent on what lies there now; NULL: to remove it. */
static struct dsr_intent intend(struct fixture *at, const char *made)
{
    struct rc_error err = RC_ERROR_INIT;
    struct dsr_intent intent = { .shard = 7, .table = "events", .uri = X, .old = look(at) };
    const struct dsr_erased erased = { .user = "00", .rows = 1 };

    intent.removes = !made;
    if (made) {
        intent.new_bytes = (int64_t)strlen(made);
        digest_of(made, intent.new_digest);
    }
    expect_ok(dsr_journal_intend(at->journal, &intent, &erased, 1, &err));
    return intent;
}

static enum dsr_outcome outcome_of(struct fixture *at, const struct dsr_intent *intent)
{
    struct rc_error err = RC_ERROR_INIT;
    struct dsr_run run = run_of(at);
    enum dsr_outcome outcome;

    expect_ok(dsr_recover_intent(&run, at->job, intent, &outcome, &err));
    return outcome;
}

static void recover(struct fixture *at)
{
    struct rc_error err = RC_ERROR_INIT;
    struct dsr_run run = run_of(at);

    expect_ok(dsr_recover_shard(&run, at->job, 7, &err));
}

/* ---- the table ---- */

static void test_a_replacement_is_settled_by_what_lies_there(void **state)
{
    struct fixture *at = *state;
    struct dsr_intent intent;

    put(at, "old one");
    intent = intend(at, "new");
    assert_int_equal(outcome_of(at, &intent), DSR_VOID);
    put(at, "new");
    assert_int_equal(outcome_of(at, &intent), DSR_DONE);
    put(at, "wen");
    assert_int_equal(outcome_of(at, &intent), DSR_SUPERSEDED);
    put(at, "another");
    assert_int_equal(outcome_of(at, &intent), DSR_SUPERSEDED);
    rc_fake_host_remove(at->host, X);
    assert_int_equal(outcome_of(at, &intent), DSR_SUPERSEDED);
}

static void test_a_removal_is_settled_by_what_lies_there(void **state)
{
    struct fixture *at = *state;
    struct dsr_intent intent;

    put(at, "old one");
    intent = intend(at, NULL);
    assert_int_equal(outcome_of(at, &intent), DSR_VOID);
    put(at, "");
    assert_int_equal(outcome_of(at, &intent), DSR_SUPERSEDED);
    rc_fake_host_remove(at->host, X);
    assert_int_equal(outcome_of(at, &intent), DSR_DONE);
}

static void put_new(void *context, struct rc_fake_host *host, int n, const char *service,
                    const char *subject)
{
    int *left = context;

    (void)n;
    (void)subject;
    if (strcmp(service, "storage.read") != 0 || *left == 0)
        return;
    --*left;
    rc_fake_host_put(host, X, "new", 3);
}

static void test_an_object_that_changes_under_the_look_is_looked_at_again(void **state)
{
    struct fixture *at = *state;
    struct rc_error err = RC_ERROR_INIT;
    struct dsr_run run = run_of(at);
    enum dsr_outcome outcome;
    struct dsr_intent intent;
    int times = 2;

    put(at, "old one");
    intent = intend(at, "new");
    put(at, "new");
    rc_fake_host_on_call(at->host, put_new, &times);
    assert_int_equal(outcome_of(at, &intent), DSR_DONE);
    assert_int_equal(times, 0);

    times = -1; /* without end */
    assert_int_equal(dsr_recover_intent(&run, at->job, &intent, &outcome, &err), RC_CONFLICT);
    assert_non_null(strstr(err.context, X));
    rc_fake_host_on_call(at->host, NULL, NULL);
}

/* ---- a shard ---- */

static int64_t state_of(struct fixture *at, const struct dsr_intent *intent)
{
    RC_STR_AUTO query = rc_strf("SELECT state FROM erasures WHERE id = '%s'", intent->id);

    return fixture_number(at, query);
}

static void test_all_that_a_dead_run_left_is_settled(void **state)
{
    struct fixture *at = *state;
    struct dsr_intent done, replaced, not_yet;

    put(at, "old one");
    done = intend(at, "new");
    put(at, "new");
    fixture_next_run(at);
    recover(at);
    assert_int_equal(state_of(at, &done), DSR_DONE);
    assert_non_null(
        strstr(rc_fake_host_log(at->host), "changed: 1, not yet: 0, replaced by somebody else: 0"));

    replaced = intend(at, "newer");
    put(at, "somebody's");
    not_yet = intend(at, "n");
    fixture_next_run(at);
    recover(at);
    assert_int_equal(state_of(at, &replaced), DSR_SUPERSEDED);
    assert_int_equal(state_of(at, &not_yet), DSR_VOID);
    assert_non_null(
        strstr(rc_fake_host_log(at->host), "changed: 0, not yet: 1, replaced by somebody else: 1"));
}

/* A request of a dead run is carried out after the next one has looked. */
static void test_a_late_effect_is_found(void **state)
{
    struct fixture *at = *state;
    struct dsr_intent intent;

    put(at, "old one");
    intent = intend(at, "new");
    recover(at);
    assert_int_equal(state_of(at, &intent), DSR_VOID);
    put(at, "somebody's");
    recover(at);
    assert_int_equal(state_of(at, &intent), DSR_VOID); /* that says nothing of ours */
    put(at, "new");
    recover(at);
    assert_int_equal(state_of(at, &intent), DSR_DONE);
}

static void test_only_uploads_of_the_dead_run_are_given_up(void **state)
{
    struct fixture *at = *state;
    struct dsr_intent intent;
    int64_t then;

    put(at, "old one");
    intent = intend(at, "new");
    then = intent.intended_unix_ms;
    rc_fake_host_pend(at->host, X, then - 1);
    rc_fake_host_pend(at->host, X, then);
    rc_fake_host_pend(at->host, X, then + 60000);
    rc_fake_host_pend(at->host, X, then + 24 * 3600000);
    rc_fake_host_pend(at->host, X "2", then + 1);
    recover(at);
    assert_string_equal(rc_fake_host_pending(at->host), X "\n" X "\n" X "2\n");
    assert_non_null(strstr(rc_fake_host_log(at->host), "uploads given up: 2"));
}

static void test_uploads_that_the_store_keeps_stop_nothing(void **state)
{
    struct fixture *at = *state;
    struct dsr_intent intent;

    put(at, "old one");
    intent = intend(at, "new");
    rc_fake_host_fail_on(at->host, "storage.sweep_object", NULL, 1, RC_DENIED);
    recover(at);
    assert_int_equal(state_of(at, &intent), DSR_VOID);
    assert_non_null(strstr(rc_fake_host_log(at->host), "warn: ignoring that unfinished uploads"));
}

/* A bucket or credentials that are gone answer as an object that is gone would. */
static void test_a_store_that_does_not_list_settles_nothing(void **state)
{
    struct fixture *at = *state;
    struct dsr_run run = run_of(at);
    struct dsr_intent intent;
    struct rc_error err = RC_ERROR_INIT;

    put(at, "old one");
    intent = intend(at, "new");
    rc_fake_host_fail_on(at->host, "storage.stat", X, -1, RC_NOT_FOUND);
    assert_int_equal(dsr_recover_shard(&run, at->job, 7, &err), RC_CONFLICT);
    assert_non_null(strstr(err.cause, "is listed"));
    rc_fake_host_remove(at->host, X);
    rc_fake_host_fail_on(at->host, "storage.list", X, -1, RC_NOT_FOUND);
    assert_int_equal(dsr_recover_shard(&run, at->job, 7, &err), RC_NOT_FOUND);
    assert_int_equal(state_of(at, &intent), DSR_INTENDED);
}

static void test_a_store_that_fails_leaves_the_intent(void **state)
{
    struct fixture *at = *state;
    struct dsr_run run = run_of(at);
    struct dsr_intent intent;

    put(at, "old one");
    intent = intend(at, "new");
    put(at, "new");
    for (int n = 1;; n++) {
        struct rc_error err = RC_ERROR_INIT;

        rc_fake_host_fail_at(at->host, n, RC_UNAVAILABLE);
        if (dsr_recover_shard(&run, at->job, 7, &err) == RC_OK) {
            assert_true(n > 6);
            break;
        }
        rc_fake_host_fail_at(at->host, 0, RC_OK);
        assert_int_equal(err.code, RC_UNAVAILABLE);
        assert_non_null(strstr(err.context, "shard 7"));
        assert_int_equal(state_of(at, &intent), DSR_INTENDED);
    }
    rc_fake_host_fail_at(at->host, 0, RC_OK);
    assert_int_equal(state_of(at, &intent), DSR_DONE);
}

/* ---- backups ---- */

static void drop_backups(struct fixture *at)
{
    struct rc_error err = RC_ERROR_INIT;
    struct dsr_run run = run_of(at);

    expect_ok(dsr_recover_drop_backups(&run, at->job, 7, &err));
}

static void keep(struct fixture *at)
{
    struct rc_error err = RC_ERROR_INIT;

    expect_ok(dsr_journal_note_backup(at->journal, 7, BACKUP, X, &err));
    rc_fake_host_put(at->host, BACKUP, "old one", 7);
}

static void test_backups_are_removed_and_forgotten(void **state)
{
    struct fixture *at = *state;

    keep(at);
    rc_fake_host_put(at->host, BACKUP "2", "not ours", 8);
    rc_fake_host_pend(at->host, BACKUP, 1);
    rc_fake_host_pend(at->host, BACKUP "2", 1);
    drop_backups(at);
    assert_string_equal(rc_fake_host_objects(at->host, "s3://b/dsr-temp/"), BACKUP "2\n");
    assert_string_equal(rc_fake_host_pending(at->host), BACKUP "2\n");
    assert_int_equal(fixture_number(at, "SELECT count(*) FROM backups"), 0);

    /* One that was noted and never made. */
    keep(at);
    rc_fake_host_remove(at->host, BACKUP);
    drop_backups(at);
    assert_int_equal(fixture_number(at, "SELECT count(*) FROM backups"), 0);
}

static void test_no_version_of_a_backup_stays(void **state)
{
    struct fixture *at = *state;

    rc_fake_host_version_bucket(at->host, "s3://b/");
    keep(at);
    keep(at);
    rc_fake_host_put(at->host, BACKUP "2", "not ours", 8);
    drop_backups(at);
    assert_null(strstr(rc_fake_host_versions(at->host, "s3://b/dsr-temp/"), BACKUP " "));
    assert_non_null(strstr(rc_fake_host_versions(at->host, "s3://b/dsr-temp/"), BACKUP "2 "));
}

static void test_who_may_see_no_versions_removes_what_is_there(void **state)
{
    struct fixture *at = *state;

    keep(at);
    rc_fake_host_fail_on(at->host, "storage.versions", NULL, 1, RC_DENIED);
    drop_backups(at);
    assert_string_equal(rc_fake_host_objects(at->host, "s3://b/dsr-temp/"), "");
    assert_non_null(strstr(rc_fake_host_log(at->host), "warn: ignoring versions"));
}

static void test_a_backup_is_forgotten_only_once_it_is_gone(void **state)
{
    struct fixture *at = *state;
    struct dsr_run run = run_of(at);

    keep(at);
    for (int n = 1;; n++) {
        struct rc_error err = RC_ERROR_INIT;
        enum rc_code code;

        rc_fake_host_fail_at(at->host, n, RC_UNAVAILABLE);
        code = dsr_recover_drop_backups(&run, at->job, 7, &err);
        rc_fake_host_fail_at(at->host, 0, RC_OK);
        if (code == RC_OK) {
            assert_true(n > 6);
            break;
        }
        assert_int_equal(code, RC_UNAVAILABLE);
        assert_int_equal(fixture_number(at, "SELECT count(*) FROM backups"), 1);
    }
    assert_null(rc_fake_host_object(at->host, BACKUP, NULL));
    assert_int_equal(fixture_number(at, "SELECT count(*) FROM backups"), 0);
}

#define IN_FIXTURE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FIXTURE(test_a_replacement_is_settled_by_what_lies_there),
        IN_FIXTURE(test_a_removal_is_settled_by_what_lies_there),
        IN_FIXTURE(test_an_object_that_changes_under_the_look_is_looked_at_again),
        IN_FIXTURE(test_all_that_a_dead_run_left_is_settled),
        IN_FIXTURE(test_a_late_effect_is_found),
        IN_FIXTURE(test_only_uploads_of_the_dead_run_are_given_up),
        IN_FIXTURE(test_uploads_that_the_store_keeps_stop_nothing),
        IN_FIXTURE(test_a_store_that_fails_leaves_the_intent),
        IN_FIXTURE(test_a_store_that_does_not_list_settles_nothing),
        IN_FIXTURE(test_backups_are_removed_and_forgotten),
        IN_FIXTURE(test_no_version_of_a_backup_stays),
        IN_FIXTURE(test_who_may_see_no_versions_removes_what_is_there),
        IN_FIXTURE(test_a_backup_is_forgotten_only_once_it_is_gone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
