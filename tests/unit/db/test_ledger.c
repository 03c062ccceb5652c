/*
 * The ledger step by step: what each function answers, also when it is called again, and what the
 * rows say then.
 */
#include <ledger_fixture.h>

#include <db/ledger_internal.h>
#include <db/sqlite.h>
#include <os/clock.h>
#include <os/process.h>
#include <run-core/str.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- claims --------------------------------------------------------------------------------- */

static void a_slot_has_one_row_and_a_claim_knows_its_own_again(void **state)
{
    struct core_ledger *ledger = ledger_join("d1", "daemon", 30000);
    struct core_claim mine = ledger_slot("r1", 500), other = ledger_slot("r2", 500);

    (void)state;
    assert_int_equal(ledger_claim(ledger, &mine), CORE_CLAIM_STARTED);
    assert_string_equal(ledger_row(ledger, "r1"), "started - 1 d1");
    assert_int_equal(ledger_claim(ledger, &mine), CORE_CLAIM_STARTED);
    assert_int_equal(ledger_claim(ledger, &other), CORE_CLAIM_TAKEN);
    assert_string_equal(ledger_row(ledger, "r2"), "not_found");
    assert_int_equal(ledger_finish(ledger, "r1", 1, CORE_RUN_SUCCEEDED, 0), RC_OK);
    assert_int_equal(ledger_claim(ledger, &mine), CORE_CLAIM_TAKEN);
    core_ledger_close(ledger);
}

static void two_runs_do_not_share_an_id(void **state)
{
    struct core_ledger *ledger = ledger_join("d1", "daemon", 30000);
    struct core_claim first = ledger_slot("r1", 500), second = ledger_slot("r1", 501);
    struct rc_error err = RC_ERROR_INIT;
    enum core_claimed claimed;

    (void)state;
    second.overlap = CORE_OVERLAP_ALLOW;
    assert_int_equal(ledger_claim(ledger, &first), CORE_CLAIM_STARTED);
    expect_ok(core_ledger_begin(ledger, &err));
    assert_int_equal(core_ledger_claim(ledger, &second, &claimed, &err), RC_CONFLICT);
    second.id = "r2";
    expect_ok(core_ledger_claim(ledger, &second, &claimed, &err));
    expect_ok(core_ledger_commit(ledger, &err));
    assert_int_equal(claimed, CORE_CLAIM_STARTED);
    core_ledger_close(ledger);
}

static void claims_obey_the_overlap_rule(void **state)
{
    static const struct {
        enum core_overlap_rule overlap;
        bool force;
        enum core_claimed expected;
        const char *row;
    } cases[] = {
        { CORE_OVERLAP_FORBID, false, CORE_CLAIM_SKIPPED, "skipped overlap 0 d1" },
        { CORE_OVERLAP_QUEUE, false, CORE_CLAIM_WAITS, "due - 0 d1" },
        { CORE_OVERLAP_ALLOW, false, CORE_CLAIM_STARTED, "started - 1 d1" },
        { CORE_OVERLAP_FORBID, true, CORE_CLAIM_STARTED, "started - 1 d1" },
        { CORE_OVERLAP_REPLACE, false, CORE_CLAIM_WAITS, "due - 0 d1" },
    };
    struct core_ledger *ledger = ledger_join("d1", "daemon", 30000);
    struct core_claim first = ledger_slot("r0", 0);

    (void)state;
    assert_int_equal(ledger_claim(ledger, &first), CORE_CLAIM_STARTED);
    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        RC_STR_AUTO id = rc_strf("r%zu", i + 1);
        struct core_claim claim = ledger_slot(id, (int64_t)i + 1);

        claim.overlap = cases[i].overlap;
        claim.force = cases[i].force;
        assert_int_equal(ledger_claim(ledger, &claim), cases[i].expected);
        assert_int_equal(ledger_claim(ledger, &claim), cases[i].expected);
        assert_string_equal(ledger_row(ledger, id), cases[i].row);
    }
    core_ledger_close(ledger);
}

static void what_may_not_start_waits_and_what_is_skipped_says_why(void **state)
{
    struct core_ledger *ledger = ledger_join("d1", "daemon", 30000);
    struct core_claim waits = ledger_slot("r1", 1), missed = ledger_slot("r2", 2);

    (void)state;
    waits.may_start = false;
    missed.skip = "misfire";
    assert_int_equal(ledger_claim(ledger, &waits), CORE_CLAIM_WAITS);
    assert_int_equal(ledger_claim(ledger, &missed), CORE_CLAIM_SKIPPED);
    assert_string_equal(ledger_row(ledger, "r2"), "skipped misfire 0 d1");
    assert_int_equal(ledger_start(ledger, "r1", CORE_OVERLAP_FORBID, 1), RC_OK);
    assert_int_equal(ledger_start(ledger, "r2", CORE_OVERLAP_FORBID, 1), RC_CONFLICT);
    assert_int_equal(ledger_start(ledger, "none", CORE_OVERLAP_FORBID, 1), RC_CONFLICT);
    core_ledger_close(ledger);
}

static void ids_of_cancelled(void *context, const struct core_run_record *record)
{
    char *ids = context;
    size_t len = strlen(ids);

    (void)snprintf(ids + len, 256 - len, "%s:%s ", record->id, record->cancel);
}

static void a_replacing_run_asks_the_others_to_stop_unless_its_slot_is_taken(void **state)
{
    struct core_ledger *ledger = ledger_join("d1", "daemon", 30000);
    struct core_claim first = ledger_slot("r1", 1), second = ledger_slot("r2", 2);
    struct core_claim taken = ledger_slot("r3", 1);
    struct rc_error err = RC_ERROR_INIT;
    char ids[256] = "";
    bool found = false;

    (void)state;
    taken.overlap = second.overlap = CORE_OVERLAP_REPLACE;
    assert_int_equal(ledger_claim(ledger, &first), CORE_CLAIM_STARTED);
    assert_int_equal(ledger_claim(ledger, &taken), CORE_CLAIM_TAKEN);
    expect_ok(core_ledger_cancelled(ledger, ids_of_cancelled, ids, &err));
    assert_string_equal(ids, "");
    assert_int_equal(ledger_claim(ledger, &second), CORE_CLAIM_WAITS);
    expect_ok(core_ledger_cancelled(ledger, ids_of_cancelled, ids, &err));
    assert_string_equal(ids, "r1:replaced ");
    assert_int_equal(ledger_start(ledger, "r2", CORE_OVERLAP_REPLACE, 1), RC_SKIPPED);
    assert_int_equal(ledger_finish(ledger, "r1", 1, CORE_RUN_CANCELLED, 0), RC_OK);
    assert_int_equal(ledger_start(ledger, "r2", CORE_OVERLAP_REPLACE, 1), RC_OK);
    expect_ok(core_ledger_cancel(ledger, "r1", "cancelled", &found, &err));
    assert_false(found);
    core_ledger_close(ledger);
}

/* ---- attempts ------------------------------------------------------------------------------- */

static void add_attempt(void *context, const struct core_attempt_record *record)
{
    char *text = context;
    size_t len = strlen(text);

    (void)snprintf(text + len, 256 - len, "%lld:%s:%lld:%lld ", (long long)record->number,
                   core_run_status_name(record->status),
                   (long long)(record->started_unix_ms ? record->started_unix_ms - T0 : -1),
                   (long long)(record->finished_unix_ms ? record->finished_unix_ms - T0 : -1));
}

static const char *attempts(struct core_ledger *ledger, const char *id)
{
    static char text[256];
    struct rc_error err = RC_ERROR_INIT;

    text[0] = '\0';
    expect_ok(core_ledger_attempts(ledger, id, add_attempt, text, &err));
    return text;
}

static void attempts_are_numbered_and_each_is_told(void **state)
{
    struct core_ledger *ledger = ledger_join("d1", "daemon", 30000);
    struct core_claim claim = ledger_slot("r1", 1);

    (void)state;
    claim.may_start = false;
    assert_int_equal(ledger_claim(ledger, &claim), CORE_CLAIM_WAITS);
    assert_string_equal(attempts(ledger, "r1"), "");
    assert_int_equal(ledger_start(ledger, "r1", CORE_OVERLAP_FORBID, 2), RC_CONFLICT);
    assert_int_equal(ledger_start(ledger, "r1", CORE_OVERLAP_FORBID, 1), RC_OK);
    assert_int_equal(ledger_start(ledger, "r1", CORE_OVERLAP_FORBID, 1), RC_OK);
    assert_string_equal(attempts(ledger, "r1"), "1:started:10:-1 ");
    assert_int_equal(ledger_start(ledger, "r1", CORE_OVERLAP_FORBID, 2), RC_CONFLICT);
    assert_int_equal(ledger_finish(ledger, "r1", 2, CORE_RUN_FAILED, 0), RC_CONFLICT);
    assert_int_equal(ledger_finish(ledger, "r1", 1, CORE_RUN_FAILED, T0 + 99), RC_OK);
    assert_int_equal(ledger_finish(ledger, "r1", 1, CORE_RUN_FAILED, T0 + 99), RC_CONFLICT);
    assert_string_equal(ledger_row(ledger, "r1"), "due failed 1 d1");
    assert_int_equal(ledger_start(ledger, "r1", CORE_OVERLAP_FORBID, 1), RC_CONFLICT);
    assert_int_equal(ledger_start(ledger, "r1", CORE_OVERLAP_FORBID, 2), RC_OK);
    assert_string_equal(attempts(ledger, "r1"), "1:failed:10:15 2:started:20:-1 ");
    assert_int_equal(ledger_finish(ledger, "r1", 2, CORE_RUN_SUCCEEDED, 0), RC_OK);
    assert_int_equal(ledger_finish(ledger, "r1", 2, CORE_RUN_FAILED, 0), RC_CONFLICT);
    assert_string_equal(ledger_row(ledger, "r1"), "succeeded succeeded 2 d1");
    assert_string_equal(attempts(ledger, "r1"), "1:failed:10:15 2:succeeded:20:25 ");
    core_ledger_close(ledger);
}

static void a_run_between_two_attempts_holds_up_first_attempts_only(void **state)
{
    struct core_ledger *ledger = ledger_join("d1", "daemon", 30000);
    struct core_claim first = ledger_slot("r1", 1), second = ledger_slot("r2", 2);
    struct core_claim forced = ledger_slot("r3", 3);

    (void)state;
    second.overlap = CORE_OVERLAP_QUEUE;
    forced.force = true;
    assert_int_equal(ledger_claim(ledger, &first), CORE_CLAIM_STARTED);
    assert_int_equal(ledger_claim(ledger, &second), CORE_CLAIM_WAITS);
    assert_int_equal(ledger_finish(ledger, "r1", 1, CORE_RUN_FAILED, T0 + 99), RC_OK);
    assert_int_equal(ledger_start(ledger, "r2", CORE_OVERLAP_QUEUE, 1), RC_SKIPPED);
    assert_int_equal(ledger_claim(ledger, &forced), CORE_CLAIM_STARTED);
    assert_int_equal(ledger_start(ledger, "r1", CORE_OVERLAP_QUEUE, 2), RC_SKIPPED);
    assert_int_equal(ledger_finish(ledger, "r3", 1, CORE_RUN_SUCCEEDED, 0), RC_OK);
    assert_int_equal(ledger_start(ledger, "r1", CORE_OVERLAP_QUEUE, 2), RC_OK);
    assert_int_equal(ledger_start(ledger, "r2", CORE_OVERLAP_ALLOW, 1), RC_OK);
    core_ledger_close(ledger);
}

static void a_waiting_run_that_was_asked_to_stop_is_dropped(void **state)
{
    struct core_ledger *ledger = ledger_join("d1", "daemon", 30000);
    struct core_claim claim = ledger_slot("r1", 1);
    struct rc_error err = RC_ERROR_INIT;
    char ids[256] = "";
    bool found = false;

    (void)state;
    assert_int_equal(ledger_claim(ledger, &claim), CORE_CLAIM_STARTED);
    assert_int_equal(ledger_finish(ledger, "r1", 1, CORE_RUN_FAILED, T0 + 99), RC_OK);
    expect_ok(core_ledger_cancel(ledger, "r1", "cancelled", &found, &err));
    assert_true(found);
    expect_ok(core_ledger_cancelled(ledger, ids_of_cancelled, ids, &err));
    assert_string_equal(ids, "r1:cancelled ");
    assert_int_equal(ledger_start(ledger, "r1", CORE_OVERLAP_FORBID, 2), RC_CANCELLED);
    expect_ok(core_ledger_begin(ledger, &err));
    expect_ok(core_ledger_drop(ledger, "r1", CORE_RUN_CANCELLED, "cancelled", T0 + 50, &err));
    assert_int_equal(core_ledger_drop(ledger, "r1", CORE_RUN_CANCELLED, "x", T0 + 50, &err),
                     RC_CONFLICT);
    expect_ok(core_ledger_commit(ledger, &err));
    assert_string_equal(ledger_row(ledger, "r1"), "cancelled cancelled 1 d1");
    assert_string_equal(attempts(ledger, "r1"), "1:failed:0:15 ");
    core_ledger_close(ledger);
}

static void what_a_worker_says_need_not_be_text(void **state)
{
    const struct core_attempt_end end = {
        .status = CORE_RUN_FAILED,
        .action = "oth\xff",
        .reason = "crashed",
        .message = "caf\xc3\xa9 \xff\xfe.",
        .exit_status = 139,
        .finished_unix_ms = T0 + 1,
    };
    struct core_ledger *ledger = ledger_join("d1", "daemon", 30000);
    struct core_claim claim = ledger_slot("r1", 1);
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    assert_int_equal(ledger_claim(ledger, &claim), CORE_CLAIM_STARTED);
    expect_ok(core_ledger_begin(ledger, &err));
    expect_ok(core_ledger_finish(ledger, "r1", 1, &end, &err));
    expect_ok(core_ledger_commit(ledger, &err));
    assert_string_equal(ledger_row(ledger, "r1"), "failed crashed 1 d1");
    core_ledger_close(ledger);
}

static void take_why(void *context, const struct core_run_record *run)
{
    bool *is_bare = context;

    *is_bare = !run->reason && !run->message;
}

static void an_empty_text_of_an_end_is_none(void **state)
{
    const struct core_attempt_end end = {
        .status = CORE_RUN_SUCCEEDED,
        .reason = "",
        .message = "",
        .finished_unix_ms = T0 + 1,
    };
    struct core_ledger *ledger = ledger_join("d1", "daemon", 30000);
    struct core_claim claim = ledger_slot("r1", 1);
    struct rc_error err = RC_ERROR_INIT;
    bool is_bare = false;

    (void)state;
    assert_int_equal(ledger_claim(ledger, &claim), CORE_CLAIM_STARTED);
    expect_ok(core_ledger_begin(ledger, &err));
    expect_ok(core_ledger_finish(ledger, "r1", 1, &end, &err));
    expect_ok(core_ledger_commit(ledger, &err));
    expect_ok(core_ledger_run(ledger, "r1", take_why, &is_bare, &err));
    assert_true(is_bare);
    core_ledger_close(ledger);
}

/* ---- jobs ----------------------------------------------------------------------------------- */

static void add_job(void *context, const struct core_job_record *record)
{
    char *text = context;
    size_t len = strlen(text);

    (void)snprintf(text + len, 256 - len, "%s:%s:%lld:%lld:%s ", record->name, record->fingerprint,
                   (long long)record->settled_unix_ms, (long long)record->paused_unix_ms,
                   record->paused_by ? record->paused_by : "-");
}

static const char *jobs(struct core_ledger *ledger)
{
    static char text[256];
    struct rc_error err = RC_ERROR_INIT;

    text[0] = '\0';
    expect_ok(core_ledger_jobs(ledger, add_job, text, &err));
    return text;
}

static void jobs_are_settled_and_paused(void **state)
{
    struct core_ledger *ledger = ledger_join("d1", "daemon", 30000);
    struct rc_error err = RC_ERROR_INIT;
    bool changed = false;

    (void)state;
    expect_ok(core_ledger_begin(ledger, &err));
    expect_ok(core_ledger_put_job(ledger, "a", "f1", 100, &err));
    expect_ok(core_ledger_settle(ledger, "a", 90, &err));
    expect_ok(core_ledger_commit(ledger, &err));
    assert_string_equal(jobs(ledger), "a:f1:100:0:- ");
    expect_ok(core_ledger_settle(ledger, "a", 110, &err));
    expect_ok(core_ledger_pause(ledger, "a", 120, "me", &changed, &err));
    assert_true(changed);
    expect_ok(core_ledger_pause(ledger, "a", 130, "you", &changed, &err));
    assert_false(changed);
    assert_string_equal(jobs(ledger), "a:f1:110:120:me ");
    expect_ok(core_ledger_rewind(ledger, 111, 105, &err));
    assert_string_equal(jobs(ledger), "a:f1:110:120:me ");
    expect_ok(core_ledger_rewind(ledger, 110, 105, &err));
    assert_string_equal(jobs(ledger), "a:f1:105:120:me ");
    expect_ok(core_ledger_put_job(ledger, "a", "f2", 50, &err));
    assert_string_equal(jobs(ledger), "a:f2:50:120:me ");
    expect_ok(core_ledger_resume(ledger, "a", &changed, &err));
    assert_true(changed);
    expect_ok(core_ledger_resume(ledger, "a", &changed, &err));
    assert_false(changed);
    place_tamper("DELETE FROM jobs");
    expect_ok(core_ledger_pause(ledger, "b", 140, "me", NULL, &err));
    assert_string_equal(jobs(ledger), "b::140:140:me ");
    core_ledger_close(ledger);
}

static int64_t pauses(struct core_ledger *ledger)
{
    struct rc_error err = RC_ERROR_INIT;

    expect_ok(core_ledger_begin(ledger, &err));
    core_ledger_rollback(ledger);
    return core_ledger_pauses(ledger);
}

/* Where one daemon has the state, it knows them all. */
static void others_know_that_a_job_was_paused_or_resumed(void **state)
{
    struct core_ledger *ledger = ledger_join("d1", "daemon", 30000);
    bool is_shared = core_ledger_is_shared(ledger);
    struct core_ledger *other = is_shared ? ledger_join("d2", "daemon", 30000) : ledger;
    struct rc_error err = RC_ERROR_INIT;
    bool is_paused = false;

    (void)state;
    for (int i = 0; i < 4; i++) { /* each twice, of which the second changes nothing */
        int64_t before = pauses(other);
        bool changed;

        assert_int_equal(pauses(ledger), before);
        expect_ok(core_ledger_begin(ledger, &err));
        if (i < 2)
            expect_ok(core_ledger_pause(ledger, "a", 100, "me", &changed, &err));
        else
            expect_ok(core_ledger_resume(ledger, "a", &changed, &err));
        expect_ok(core_ledger_commit(ledger, &err));
        assert_int_equal(changed, is_paused != (i < 2));
        is_paused = i < 2;
        assert_int_equal(core_ledger_pauses(ledger), before + (is_shared && changed));
        assert_int_equal(pauses(other), core_ledger_pauses(ledger));
    }
    if (is_shared)
        core_ledger_close(other);
    core_ledger_close(ledger);
}

static void add_end(void *context, const char *job, int64_t finished_unix_ms)
{
    char *text = context;
    size_t len = strlen(text);

    (void)snprintf(text + len, 256 - len, "%s:%lld ", job, (long long)(finished_unix_ms - T0));
}

static void latest_ends_outlive_the_runs(void **state)
{
    struct core_ledger *ledger = ledger_join("d1", "daemon", 30000);
    struct core_claim first = ledger_slot("r1", 1), second = ledger_slot("r2", 2);
    struct rc_error err = RC_ERROR_INIT;
    char text[256] = "";
    bool failing = true;

    (void)state;
    assert_int_equal(ledger_claim(ledger, &first), CORE_CLAIM_STARTED);
    expect_ok(core_ledger_was_failing(ledger, "job", "r1", &failing, &err));
    assert_false(failing);
    assert_int_equal(ledger_finish(ledger, "r1", 1, CORE_RUN_TIMED_OUT, 0), RC_OK);
    assert_int_equal(ledger_claim(ledger, &second), CORE_CLAIM_STARTED);
    expect_ok(core_ledger_was_failing(ledger, "job", "r2", &failing, &err));
    assert_true(failing);
    assert_int_equal(ledger_finish(ledger, "r2", 1, CORE_RUN_SUCCEEDED, 0), RC_OK);
    place_tamper("DELETE FROM runs");
    expect_ok(core_ledger_last_ends(ledger, CORE_RUN_SUCCEEDED, add_end, text, &err));
    expect_ok(core_ledger_last_ends(ledger, CORE_RUN_FAILED, add_end, text, &err));
    assert_string_equal(text, "job:15 job:15 ");
    core_ledger_close(ledger);
}

/* ---- notices -------------------------------------------------------------------------------- */

static void add_notice(void *context, const struct core_notice *notice)
{
    char *text = context;
    size_t len = strlen(text);

    (void)snprintf(text + len, 256 - len, "%s/%s/%lld/%lld ", notice->run, notice->event,
                   (long long)notice->item, (long long)notice->attempts);
}

static void keep_id(void *context, const struct core_notice *notice)
{
    *(int64_t *)context = notice->id;
}

static const char *notices(struct core_ledger *ledger, int64_t now_unix_ms)
{
    static char text[256];
    struct rc_error err = RC_ERROR_INIT;

    text[0] = '\0';
    expect_ok(core_ledger_notices(ledger, now_unix_ms, 10, add_notice, text, &err));
    return text;
}

static void notices_wait_until_they_are_delivered(void **state)
{
    const struct core_notice notice = {
        .job = "job",
        .run = "r1",
        .event = "failure",
        .item = 2,
        .body = "{}",
        .not_before_unix_ms = T0,
    };
    struct core_ledger *ledger = ledger_join("d1", "daemon", 30000), *next;
    struct rc_error err = RC_ERROR_INIT;
    int64_t id = 0, later = 0;

    (void)state;
    for (int i = 0; i < 2; i++) {
        expect_ok(core_ledger_begin(ledger, &err));
        expect_ok(core_ledger_add_notice(ledger, &notice, &err));
        expect_ok(core_ledger_commit(ledger, &err));
    }
    assert_string_equal(notices(ledger, T0 - 1), "");
    assert_string_equal(notices(ledger, T0), "r1/failure/2/0 ");
    expect_ok(core_ledger_notices(ledger, T0, 10, keep_id, &id, &err));
    expect_ok(core_ledger_put_off_notice(ledger, id, T0 + 5, &err));
    assert_string_equal(notices(ledger, T0), "");
    assert_string_equal(notices(ledger, T0 + 5), "r1/failure/2/1 ");

    /* Its daemon goes, and leaves it to the next. */
    core_ledger_close(ledger);
    next = ledger_join("d2", "daemon", 30000);
    place_tamper("UPDATE executors SET expires_unix_ms = 0 WHERE id = 'd1'");
    char ids[64];
    assert_int_equal(ledger_take_over(next, ids, sizeof(ids)), 0);
    assert_string_equal(notices(next, T0 + 5), "r1/failure/2/1 ");
    expect_ok(core_ledger_put_off_notice(next, id, 0, &err));
    assert_string_equal(notices(next, T0 + 5), "");
    expect_ok(core_ledger_begin(next, &err));
    expect_ok(core_ledger_add_notice(next, &notice, &err));
    expect_ok(core_ledger_commit(next, &err));
    expect_ok(core_ledger_notices(next, T0, 10, keep_id, &later, &err));
    assert_true(later > id); /* no number comes back */
    core_ledger_close(next);
}

/* ---- lists and retention -------------------------------------------------------------------- */

static void fill(struct core_ledger *ledger, int count)
{
    struct rc_error err = RC_ERROR_INIT;
    enum core_claimed claimed;

    expect_ok(core_ledger_begin(ledger, &err));
    for (int i = 0; i < count; i++) {
        char id[32], job[32];
        struct core_claim claim = ledger_slot(id, i);

        (void)snprintf(id, sizeof(id), "run-%06d", (i * 7919) % count);
        (void)snprintf(job, sizeof(job), "job-%d", i % 10);
        claim.job = job;
        claim.now_unix_ms = T0 + i / 3;
        claim.skip = i % 2 ? "misfire" : NULL;
        claim.overlap = CORE_OVERLAP_ALLOW;
        expect_ok(core_ledger_claim(ledger, &claim, &claimed, &err));
        if (i % 2 == 0) {
            const struct core_attempt_end end = { .status = CORE_RUN_SUCCEEDED,
                                                  .finished_unix_ms = T0 + i / 3 };
            expect_ok(core_ledger_finish(ledger, id, 1, &end, &err));
        }
    }
    expect_ok(core_ledger_commit(ledger, &err));
}

struct order {
    int64_t rows, last_slot;
    char last[32];
};

static void check_order(void *context, const struct core_run_record *record)
{
    struct order *order = context;

    assert_true(order->rows == 0 || record->slot_unix_ms < order->last_slot);
    order->rows++;
    order->last_slot = record->slot_unix_ms;
    (void)snprintf(order->last, sizeof(order->last), "%s", record->id);
}

static void long_histories_are_listed_in_pages(void **state)
{
    enum { ROWS = 20000, PAGES = 7 };
    struct core_ledger *ledger = ledger_join("d1", "daemon", 30000);
    struct core_run_filter filter = { .limit = 0 };
    struct rc_error err = RC_ERROR_INIT;
    struct order order = { 0 };

    (void)state;
    fill(ledger, ROWS);
    expect_ok(core_ledger_runs(ledger, &filter, check_order, &order, &err));
    assert_int_equal(order.rows, ROWS);

    order = (struct order){ 0 };
    filter.limit = ROWS / PAGES + 1;
    for (int i = 0; i < PAGES; i++) {
        expect_ok(core_ledger_runs(ledger, &filter, check_order, &order, &err));
        filter.before = order.last;
    }
    assert_int_equal(order.rows, ROWS);

    filter = (struct core_run_filter){ .job = "job-3" };
    assert_int_equal(ledger_count(ledger, &filter), ROWS / 10);
    filter = (struct core_run_filter){ .statuses = 1u << CORE_RUN_SUCCEEDED, .job = "job-3" };
    assert_int_equal(ledger_count(ledger, &filter), 0);
    filter = (struct core_run_filter){ .statuses = 1u << CORE_RUN_SUCCEEDED };
    assert_int_equal(ledger_count(ledger, &filter), ROWS / 2);
    filter = (struct core_run_filter){ .statuses = 1u << CORE_RUN_LOST | 1u << CORE_RUN_SKIPPED };
    order = (struct order){ 0 };
    expect_ok(core_ledger_runs(ledger, &filter, check_order, &order, &err));
    assert_int_equal(order.rows, ROWS / 2);
    filter.job = "job-3";
    assert_int_equal(ledger_count(ledger, &filter), ROWS / 10);
    filter = (struct core_run_filter){ .plugin = "none" };
    assert_int_equal(ledger_count(ledger, &filter), 0);
    filter = (struct core_run_filter){ .since_unix_ms = T0 + 10, .until_unix_ms = T0 + 20 };
    assert_int_equal(ledger_count(ledger, &filter), 30);
    filter = (struct core_run_filter){ .before = "none" };
    assert_int_equal(core_ledger_runs(ledger, &filter, check_order, &order, &err), RC_NOT_FOUND);
    core_ledger_close(ledger);
}

/* What SQLite's virtual machine did for the statements of the session since it was last asked. */
static int64_t steps(const struct core_ledger *ledger)
{
    sqlite3 *handle = ((const struct core_sqlite *)(const void *)ledger->session)->handle;
    int64_t sum = 0;

    for (sqlite3_stmt *at = sqlite3_next_stmt(handle, NULL); at; at = sqlite3_next_stmt(handle, at))
        sum += sqlite3_stmt_status(at, SQLITE_STMTSTATUS_VM_STEP, /* reset = */ 1);
    return sum;
}

static void what_did_not_succeed_is_found_without_looking_at_all(void **state)
{
    enum { ROWS = 2000 };
    struct core_ledger *ledger = ledger_join("d1", "daemon", 30000);
    struct core_run_filter filter = { .statuses = 1u << CORE_RUN_FAILED };

    (void)state;
    fill(ledger, ROWS);
    (void)steps(ledger);
    assert_int_equal(ledger_count(ledger, &filter), 0);
    assert_in_range(steps(ledger), 1, ROWS / 10);
    filter.statuses |= 1u << CORE_RUN_TIMED_OUT | 1u << CORE_RUN_LOST;
    assert_int_equal(ledger_count(ledger, &filter), 0);
    assert_in_range(steps(ledger), 1, ROWS / 10);
    filter.job = "job-3"; /* whose own rows are fewer than those of a status may be */
    assert_int_equal(ledger_count(ledger, &filter), 0);
    assert_in_range(steps(ledger), ROWS / 10, ROWS);
    core_ledger_close(ledger);
}

/* As an older version left it. */
static void a_state_of_an_older_version_is_brought_up_to_date(void **state)
{
    struct core_run_filter filter = { .statuses = 1u << CORE_RUN_SKIPPED };
    struct core_ledger *ledger = ledger_join("d1", "daemon", 30000);

    (void)state;
    fill(ledger, 10);
    core_ledger_close(ledger);
    place_tamper("DROP INDEX runs_unsuccessful");
    place_tamper("DELETE FROM run_core_schema WHERE number = 3");
    ledger = ledger_join("d1", "daemon", 30000);
    assert_int_equal(ledger_count(ledger, &filter), 5);
    core_ledger_close(ledger);
    place_tamper("DROP INDEX runs_unsuccessful"); /* it was there */
}

static void count_run(void *context, const struct core_run_record *record)
{
    assert_non_null(record->id);
    ++*(int64_t *)context;
}

/* How many rows go, in bites of 'limit'. */
static int64_t prune(struct core_ledger *ledger, int64_t before, int64_t runs, int64_t limit)
{
    struct rc_error err = RC_ERROR_INIT;
    int64_t gone = 0, last;
    bool more = true;

    while (more) {
        last = gone;
        expect_ok(core_ledger_prune(ledger, before, runs, limit, count_run, &gone, &more, &err));
        assert_true(gone - last <= limit);
    }
    return gone;
}

static void old_runs_are_forgotten_by_age_and_by_number(void **state)
{
    struct core_ledger *ledger = ledger_join("d1", "daemon", 30000);
    struct core_run_filter all = { .limit = 0 }, of_job = { .job = "job-4" };
    struct core_claim open = ledger_slot("open", 5);

    (void)state;
    open.now_unix_ms = T0 - 1000; /* it goes on for long */
    assert_int_equal(ledger_claim(ledger, &open), CORE_CLAIM_STARTED);
    fill(ledger, 3000);
    assert_int_equal(prune(ledger, T0, 0, 100), 0);
    assert_int_equal(prune(ledger, T0 + 100, 0, 70), 300);
    assert_int_equal(ledger_count(ledger, &all), 2701);
    assert_int_equal(prune(ledger, T0, 50, 33), 2200);
    assert_int_equal(ledger_count(ledger, &all), 501);
    assert_int_equal(ledger_count(ledger, &of_job), 50);
    assert_int_equal(prune(ledger, T0, 50, 33), 0);
    assert_int_equal(prune(ledger, INT64_MAX, 50, 1000), 500);
    assert_string_equal(ledger_row(ledger, "open"), "started - 1 d1");
    core_ledger_close(ledger);
}

struct started {
    int count;
    enum core_process_state daemon;
    char id[64];
};

static void note_started(void *context, const struct core_started_run *run)
{
    struct started *started = context;

    started->count++;
    started->daemon = run->daemon;
    snprintf(started->id, sizeof(started->id), "%s", run->id);
}

/* Takes the job's lock and dies with it. Before this process has threads, which fork(2) ends. */
static void lock_and_die(void)
{
    pid_t child = fork();
    int status;

    if (child == 0) {
        struct core_cancel cancel = CORE_CANCEL_INIT;
        struct rc_error err = RC_ERROR_INIT;
        struct core_db *db;
        struct rc_lock *lock;

        if (core_db_open(place_url, &db, &err) ||
            core_lock_acquire(db, "job:job", "child", 0, &cancel, &cancel, &lock, &err))
            _exit(1);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

/* A lock that a living process holds keeps daemons off, one of a dead process does not. */
static void a_run_in_the_foreground_keeps_daemons_off(void **state)
{
    struct core_claim dead = ledger_slot("z", 500);
    struct core_claim first = ledger_slot("a", 1000), second = ledger_slot("b", 2000);
    struct core_cancel cancel = CORE_CANCEL_INIT;
    struct started started = { .count = 0 };
    struct rc_error err = RC_ERROR_INIT;
    struct core_ledger *ledger;
    struct core_db *db;
    struct rc_lock *lock;

    (void)state;
    lock_and_die();
    ledger = ledger_join("d1", "daemon", 60000);
    assert_int_equal(ledger_claim(ledger, &dead), CORE_CLAIM_STARTED);
    assert_int_equal(ledger_finish(ledger, "z", 1, CORE_RUN_SUCCEEDED, 0), RC_OK);

    assert_int_equal(core_db_open(place_url, &db, &err), RC_OK);
    assert_int_equal(core_lock_acquire(db, "job:job", "someone", 0, &cancel, &cancel, &lock, &err),
                     RC_OK);
    second.overlap = CORE_OVERLAP_QUEUE;
    assert_int_equal(ledger_claim(ledger, &first), CORE_CLAIM_SKIPPED);
    assert_string_equal(ledger_row(ledger, "a"), "skipped overlap 0 d1");
    assert_int_equal(ledger_claim(ledger, &second), CORE_CLAIM_WAITS);
    assert_int_equal(ledger_start(ledger, "b", CORE_OVERLAP_QUEUE, 1), RC_SKIPPED);
    assert_int_equal(core_ledger_started_runs(db, "job", note_started, &started, &err), RC_OK);
    assert_int_equal(started.count, 0);
    core_lock_release(lock);

    assert_int_equal(ledger_start(ledger, "b", CORE_OVERLAP_QUEUE, 1), RC_OK);
    assert_int_equal(core_ledger_started_runs(db, "job", note_started, &started, &err), RC_OK);
    assert_int_equal(started.count, 1);
    assert_int_equal(started.daemon, CORE_PROCESS_ALIVE);
    assert_string_equal(started.id, "b");
    core_db_close(db);
    core_ledger_close(ledger);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LEDGER_TEST(a_slot_has_one_row_and_a_claim_knows_its_own_again),
        LEDGER_TEST(two_runs_do_not_share_an_id),
        LEDGER_TEST(claims_obey_the_overlap_rule),
        LEDGER_TEST(a_run_in_the_foreground_keeps_daemons_off),
        LEDGER_TEST(what_may_not_start_waits_and_what_is_skipped_says_why),
        LEDGER_TEST(a_replacing_run_asks_the_others_to_stop_unless_its_slot_is_taken),
        LEDGER_TEST(attempts_are_numbered_and_each_is_told),
        LEDGER_TEST(a_run_between_two_attempts_holds_up_first_attempts_only),
        LEDGER_TEST(a_waiting_run_that_was_asked_to_stop_is_dropped),
        LEDGER_TEST(what_a_worker_says_need_not_be_text),
        LEDGER_TEST(an_empty_text_of_an_end_is_none),
        LEDGER_TEST(jobs_are_settled_and_paused),
        LEDGER_TEST(others_know_that_a_job_was_paused_or_resumed),
        LEDGER_TEST(latest_ends_outlive_the_runs),
        LEDGER_TEST(notices_wait_until_they_are_delivered),
        LEDGER_TEST(long_histories_are_listed_in_pages),
        cmocka_unit_test_setup_teardown(what_did_not_succeed_is_found_without_looking_at_all,
                                        ledger_on_sqlite, ledger_tear_down),
        LEDGER_TEST(a_state_of_an_older_version_is_brought_up_to_date),
        LEDGER_TEST(old_runs_are_forgotten_by_age_and_by_number),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
