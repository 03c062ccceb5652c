/*
 * The ledger among several processes: who claims, who dies and who takes over. Processes here are
 * real ones, and die as they do in life.
 */
#include <ledger_fixture.h>

#include <db/ledger_internal.h>

#include <os/clock.h>
#include <os/process.h>
#include <run-core/str.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* Ends a child in which an assertion would run the parent's tests. */
#define child_ok(call)                                                                             \
    do {                                                                                           \
        if (call) {                                                                                \
            fprintf(stderr, "%s: %s: %s\n", #call, err.context, err.cause);                        \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)

/* How long a child lives that outlives who forked it, where the test ends before it kills it. */
enum { PATIENCE_S = 600 };

static int wait_for(pid_t pid)
{
    int status = -1;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static int64_t value(struct core_ledger *ledger, const char *statement)
{
    struct rc_error err = RC_ERROR_INIT;
    const struct rc_value *row;
    RC_ROWS_AUTO(rows);

    expect_ok(core_session_query(ledger->session, statement, NULL, 0, &rows, &err));
    expect_ok(rc_rows_next(rows, &row, &err));
    assert_non_null(row);
    assert_int_equal(row[0].type, RC_VALUE_INT);
    return row[0].integer;
}

/* ---- one daemon on a state of one machine --------------------------------------------------- */

/* Joins in a process of its own, says so, and waits to be killed; with a child that lives on. */
static pid_t other_daemon(bool with_guard, pid_t *guard)
{
    int ready[2];
    pid_t pid, got = 0;

    assert_int_equal(pipe(ready), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        struct core_ledger *ledger = ledger_join("other", "daemon", 30000);
        pid_t child = with_guard ? fork() : 0;

        if (with_guard && child == 0) {
            (void)alarm(PATIENCE_S);
            core_ledger_forget(ledger);
            for (;;)
                pause();
        }
        (void)!write(ready[1], &child, sizeof(child));
        for (;;)
            pause();
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &got, sizeof(got)), sizeof(got));
    close(ready[0]);
    if (guard)
        *guard = got;
    return pid;
}

static void a_state_of_one_machine_has_one_daemon(void **state)
{
    struct core_executor self = { .id = "second", .kind = "daemon", .lease_ms = 30000 };
    struct rc_error err = RC_ERROR_INIT;
    struct core_ledger *ledger;
    pid_t guard, daemon = other_daemon(/* with_guard = */ true, &guard);
    RC_STR_AUTO text = rc_strf("process %ld", (long)daemon);

    (void)state;
    core_process_self(&self.process);
    assert_int_equal(core_ledger_open(place_url, &self, &ledger, &err), RC_CONFLICT);
    assert_null(ledger);
    assert_non_null(strstr(err.cause, text));

    /* A run in the foreground and a reader are no daemons. */
    ledger = ledger_join("front", "foreground", 30000);
    core_ledger_close(ledger);
    expect_ok(core_ledger_open_reader(place_url, &ledger, &err));
    core_ledger_close(ledger);

    /* What the daemon forked does not hold the state for it. */
    kill(daemon, SIGKILL);
    (void)wait_for(daemon);
    ledger = ledger_join("second", "daemon", 30000);
    core_ledger_close(ledger);
    kill(guard, SIGKILL);
}

/*
 * A worker is forked, not started anew, and then opens the state for itself. It must not share with
 * its daemon what SQLite keeps for a process, or the locks it has are none.
 */
static void a_child_that_forgot_its_daemon_has_a_connection_like_any_other(void **state)
{
    int to[2], from[2];
    struct rc_error err = RC_ERROR_INIT;
    struct core_ledger *ledger;
    pid_t daemon;
    char word = 0;

    (void)state;
    assert_int_equal(pipe(to), 0);
    assert_int_equal(pipe(from), 0);
    daemon = fork();
    if (daemon == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(to[1]);
        close(from[0]);
        ledger = ledger_join("d1", "daemon", 30000);
        struct core_claim first = ledger_slot("r1", 1);

        (void)ledger_claim(ledger, &first);
        if (fork() == 0) {
            struct core_session *session;
            struct core_db *db;

            (void)alarm(PATIENCE_S);
            core_ledger_forget(ledger);
            child_ok(core_db_open(place_url, &db, &err));
            session = core_db_session(db);
            for (char i = 0; read(to[0], &word, 1) == 1; i++) {
                child_ok(core_session_begin(session, &err));
                child_ok(core_session_exec(session,
                                           "UPDATE numbers SET latest = latest + 1 "
                                           "WHERE name = 'notices'",
                                           NULL, 0, NULL, &err));
                child_ok(core_session_commit(session, &err));
                (void)!write(from[1], &i, 1);
            }
            core_db_close(db);
            _exit(0);
        }
        for (;;)
            pause();
    }
    close(to[0]);
    close(from[1]);
    /* Its connection is open before the daemon dies, and goes on being one afterwards. */
    assert_int_equal(write(to[1], "w", 1), 1);
    assert_int_equal(read(from[0], &word, 1), 1);
    kill(daemon, SIGKILL);
    (void)wait_for(daemon);
    ledger = ledger_join("d2", "daemon", 30000);
    for (int i = 0; i < 50; i++) {
        RC_STR_AUTO id = rc_strf("s%d", i);
        struct core_claim claim = ledger_slot(id, 10 + i);

        assert_int_equal(write(to[1], "w", 1), 1);
        claim.overlap = CORE_OVERLAP_ALLOW;
        assert_int_equal(ledger_claim(ledger, &claim), CORE_CLAIM_STARTED);
        assert_int_equal(read(from[0], &word, 1), 1);
        assert_int_equal(word, i + 1);
    }
    close(to[1]);
    assert_int_equal(read(from[0], &word, 1), 0);
    close(from[0]);
    assert_int_equal(value(ledger, "SELECT latest FROM numbers"), 51);
    assert_int_equal(value(ledger, "SELECT count(*) FROM runs"), 51);
    core_ledger_close(ledger);
}

/* ---- the dead and their work ---------------------------------------------------------------- */

/* A daemon that leaves r1 started, r2 waiting and r3 done, and dies without a word. */
static void die_with_work(const char *id)
{
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        struct core_ledger *ledger = ledger_join(id, "daemon", 200);
        struct core_claim first = ledger_slot("r1", 1), second = ledger_slot("r2", 2);
        struct core_claim third = ledger_slot("r3", 3);

        second.overlap = CORE_OVERLAP_QUEUE;
        third.force = true;
        _exit(ledger_claim(ledger, &first) != CORE_CLAIM_STARTED ||
              ledger_claim(ledger, &second) != CORE_CLAIM_WAITS ||
              ledger_claim(ledger, &third) != CORE_CLAIM_STARTED ||
              ledger_finish(ledger, "r3", 1, CORE_RUN_SUCCEEDED, 0));
    }
    assert_int_equal(wait_for(pid), 0);
}

static void the_work_of_a_dead_daemon_goes_to_the_next(void **state)
{
    struct core_ledger *ledger;
    char ids[64];

    (void)state;
    die_with_work("d1");
    ledger = ledger_join("d2", "daemon", 30000);
    assert_int_equal(ledger_take_over(ledger, ids, sizeof(ids)), 2);
    assert_string_equal(ids, "r1 r2");
    assert_string_equal(ledger_row(ledger, "r1"), "started - 1 d2");
    assert_string_equal(ledger_row(ledger, "r2"), "due - 0 d2");
    assert_string_equal(ledger_row(ledger, "r3"), "succeeded succeeded 1 d1");
    assert_int_equal(ledger_take_over(ledger, ids, sizeof(ids)), 0);
    assert_int_equal(ledger_finish(ledger, "r1", 1, CORE_RUN_LOST, 0), RC_OK);
    assert_int_equal(ledger_start(ledger, "r2", CORE_OVERLAP_QUEUE, 1), RC_OK);
    assert_int_equal(value(ledger, "SELECT count(*) FROM executors"), 1);
    core_ledger_close(ledger);
}

static void a_daemon_elsewhere_is_dead_when_its_lease_has_run_out(void **state)
{
    struct core_ledger *ledger;
    char ids[64];

    (void)state;
    die_with_work("d1");
    place_tamper("UPDATE executors SET host = 'another machine'");
    place_tamper("UPDATE executors SET expires_unix_ms = expires_unix_ms + 60000");
    ledger = ledger_join("d2", "daemon", 30000);
    assert_int_equal(ledger_take_over(ledger, ids, sizeof(ids)), 0);
    place_tamper("UPDATE executors SET expires_unix_ms = expires_unix_ms - 120000 WHERE id = 'd1'");
    assert_int_equal(ledger_take_over(ledger, ids, sizeof(ids)), 2);
    core_ledger_close(ledger);
}

static void rows_of_nobody_are_taken_over_too(void **state)
{
    struct core_ledger *ledger;
    char ids[64];

    (void)state;
    die_with_work("d1");
    place_tamper("DELETE FROM executors");
    ledger = ledger_join("d2", "daemon", 30000);
    assert_int_equal(ledger_take_over(ledger, ids, sizeof(ids)), 2);
    core_ledger_close(ledger);
}

static void lost_runs_of_the_foreground_are_settled_by_whoever_looks(void **state)
{
    struct rc_error err = RC_ERROR_INIT;
    struct core_ledger *ledger;
    pid_t pid = fork();
    char ids[64];

    (void)state;
    if (pid == 0) {
        ledger = ledger_join("front", "foreground", 30000);
        struct core_claim claim = ledger_slot("r1", 1);
        claim.trigger = "foreground";
        claim.has_slot = false;
        _exit(ledger_claim(ledger, &claim) != CORE_CLAIM_STARTED);
    }
    /* While it is a zombie its process counts as dead already. */
    assert_int_equal(wait_for(pid), 0);
    expect_ok(core_ledger_open_reader(place_url, &ledger, &err));
    assert_string_equal(ledger_row(ledger, "r1"), "started - 1 front");
    expect_ok(core_ledger_settle_foreground(ledger, T0 + 5, &err));
    assert_string_equal(ledger_row(ledger, "r1"), "lost lost 1 front");
    core_ledger_close(ledger);

    /* A living one is nobody's, and its row keeps no slot of the job from running. */
    struct core_ledger *front = ledger_join("front2", "foreground", 30000);
    struct core_claim claim = ledger_slot("r2", 1), slot = ledger_slot("r3", 3);
    bool found = true;
    claim.trigger = "foreground";
    claim.has_slot = false;
    assert_int_equal(ledger_claim(front, &claim), CORE_CLAIM_STARTED);
    pid = fork();
    if (pid == 0) {
        core_ledger_forget(front);
        ledger = ledger_join("d1", "daemon", 30000);
        _exit(ledger_take_over(ledger, ids, sizeof(ids)) != 0 ||
              ledger_claim(ledger, &slot) != CORE_CLAIM_STARTED);
    }
    assert_int_equal(wait_for(pid), 0);
    assert_string_equal(ledger_row(front, "r2"), "started - 1 front2");
    assert_int_equal(core_ledger_cancel(front, "r2", "cancelled", &found, &err), RC_UNSUPPORTED);
    assert_int_equal(ledger_finish(front, "r2", 1, CORE_RUN_SUCCEEDED, 0), RC_OK);
    core_ledger_close(front);
}

/* ---- daemons that come back, where several share a state ------------------------------------ */

static void one_that_was_taken_for_dead_writes_nothing_but_late_ends(void **state)
{
    struct core_ledger *first = ledger_join("d1", "daemon", 100), *second;
    struct core_claim claim = ledger_slot("r1", 1), again = ledger_slot("r2", 2);
    struct core_claim both = ledger_slot("r3", 3);
    struct rc_error err = RC_ERROR_INIT;
    char ids[64];

    (void)state;
    again.overlap = both.overlap = CORE_OVERLAP_ALLOW;
    assert_int_equal(ledger_claim(first, &claim), CORE_CLAIM_STARTED);
    assert_int_equal(ledger_claim(first, &again), CORE_CLAIM_STARTED);
    second = ledger_join("d2", "daemon", 30000);
    core_clock_sleep_ms(250);
    assert_int_equal(ledger_take_over(second, ids, sizeof(ids)), 2);

    assert_int_equal(core_ledger_begin(first, &err), RC_CONFLICT);
    assert_int_equal(core_ledger_renew(first, &err), RC_CONFLICT);
    expect_ok(core_ledger_rejoin(first, "d1b", &err));
    expect_ok(core_ledger_renew(first, &err));
    assert_int_equal(ledger_finish(first, "r1", 1, CORE_RUN_SUCCEEDED, 0), RC_CONFLICT);

    /* One is given up, the other is to be tried again; then both turn out to have succeeded. */
    assert_int_equal(ledger_finish(second, "r1", 1, CORE_RUN_LOST, 0), RC_OK);
    assert_int_equal(ledger_finish(second, "r2", 1, CORE_RUN_LOST, T0 + 99), RC_OK);
    assert_string_equal(ledger_row(second, "r2"), "due lost 1 d2");
    assert_int_equal(ledger_finish(first, "r1", 1, CORE_RUN_LOST, 0), RC_CONFLICT);
    assert_int_equal(ledger_finish(first, "r1", 1, CORE_RUN_SUCCEEDED, 0), RC_OK);
    assert_int_equal(ledger_finish(first, "r2", 1, CORE_RUN_SUCCEEDED, 0), RC_OK);
    assert_int_equal(ledger_finish(first, "r2", 1, CORE_RUN_SUCCEEDED, 0), RC_CONFLICT);
    assert_string_equal(ledger_row(second, "r1"), "succeeded succeeded 1 d2");
    assert_string_equal(ledger_row(second, "r2"), "succeeded succeeded 1 d2");
    assert_int_equal(ledger_start(second, "r2", CORE_OVERLAP_ALLOW, 2), RC_CONFLICT);
    assert_int_equal(value(second, "SELECT count(*) FROM attempts"), 0);

    /* Two living daemons see each other's runs, and neither touches them. */
    assert_int_equal(ledger_claim(first, &both), CORE_CLAIM_STARTED);
    both.id = "r4";
    assert_int_equal(ledger_claim(second, &both), CORE_CLAIM_TAKEN);
    assert_int_equal(ledger_finish(second, "r3", 1, CORE_RUN_FAILED, 0), RC_CONFLICT);
    assert_int_equal(ledger_start(second, "r3", CORE_OVERLAP_ALLOW, 2), RC_CONFLICT);
    both = ledger_slot("r5", 5);
    assert_int_equal(ledger_claim(second, &both), CORE_CLAIM_SKIPPED);
    core_ledger_close(second);
    core_ledger_close(first);
}

static void a_late_failure_waits_for_the_attempt_that_replaces_it(void **state)
{
    struct core_ledger *first = ledger_join("d1", "daemon", 100), *second;
    struct core_claim claim = ledger_slot("r1", 1);
    struct rc_error err = RC_ERROR_INIT;
    char ids[64];

    (void)state;
    assert_int_equal(ledger_claim(first, &claim), CORE_CLAIM_STARTED);
    second = ledger_join("d2", "daemon", 30000);
    core_clock_sleep_ms(250);
    assert_int_equal(ledger_take_over(second, ids, sizeof(ids)), 1);
    assert_int_equal(ledger_finish(second, "r1", 1, CORE_RUN_LOST, T0 + 99), RC_OK);
    expect_ok(core_ledger_rejoin(first, "d1b", &err));
    assert_int_equal(ledger_finish(first, "r1", 1, CORE_RUN_FAILED, T0 + 999), RC_OK);
    assert_string_equal(ledger_row(second, "r1"), "due failed 1 d2");
    assert_int_equal(ledger_start(second, "r1", CORE_OVERLAP_FORBID, 2), RC_OK);
    assert_int_equal(ledger_finish(first, "r1", 1, CORE_RUN_SUCCEEDED, 0), RC_CONFLICT);
    assert_int_equal(ledger_finish(second, "r1", 2, CORE_RUN_SUCCEEDED, 0), RC_OK);
    core_ledger_close(second);
    core_ledger_close(first);
}

/* ---- races ---------------------------------------------------------------------------------- */

enum { RACERS = 6, SLOTS = 150 };

/* Claims all slots as the others do; its exit status is how many it got. */
static void race(int number)
{
    struct rc_error err = RC_ERROR_INIT;
    RC_STR_AUTO self = rc_strf("racer-%d", number);
    /* Several daemons may only be there on a server. */
    struct core_ledger *ledger =
        ledger_join(self, place_is_postgres ? "daemon" : "foreground", 30000);
    int got = 0;

    for (int64_t slot = 0; slot < SLOTS; slot++) {
        RC_STR_AUTO id = rc_strf("r%03d-%d", (int)slot, number);
        struct core_claim claim = ledger_slot(id, slot);
        enum core_claimed claimed;

        claim.overlap = CORE_OVERLAP_ALLOW;
        child_ok(core_ledger_begin(ledger, &err));
        child_ok(core_ledger_claim(ledger, &claim, &claimed, &err));
        child_ok(core_ledger_commit(ledger, &err));
        got += claimed == CORE_CLAIM_STARTED;
    }
    _exit(got);
}

static void every_slot_goes_to_one_of_many(void **state)
{
    struct core_ledger *ledger = ledger_join("watcher", "foreground", 30000);
    pid_t pids[RACERS];
    int total = 0;

    (void)state;
    core_ledger_close(ledger);
    for (int i = 0; i < RACERS; i++) {
        pids[i] = fork();
        assert_true(pids[i] >= 0);
        if (pids[i] == 0)
            race(i);
    }
    for (int i = 0; i < RACERS; i++) {
        int status = wait_for(pids[i]);

        assert_true(WIFEXITED(status));
        total += WEXITSTATUS(status);
    }
    assert_int_equal(total, SLOTS);
    ledger = ledger_join("watcher", "foreground", 30000);
    assert_int_equal(value(ledger, "SELECT count(*) FROM runs"), SLOTS);
    assert_int_equal(value(ledger, "SELECT count(DISTINCT slot_unix_ms) FROM runs"), SLOTS);
    core_ledger_close(ledger);
}

/* ---- kill -9 -------------------------------------------------------------------------------- */

enum { KILLS = 200, SLOTS_LIMIT = 100000, LONGEST_LIFE_US = 2000000 };

/* What was forked, as far as the world outside the database knows: an append-only file. */
static int evidence_fd = -1;
static struct core_ledger *victim;

static void act(int64_t slot)
{
    RC_STR_AUTO line = rc_strf("%06lld\n", (long long)slot);

    if (write(evidence_fd, line, strlen(line)) != (ssize_t)strlen(line))
        _exit(1);
}

static bool acted(int64_t slot)
{
    RC_STR_AUTO wanted = rc_strf("%06lld\n", (long long)slot);
    char line[8];

    for (off_t at = 0; pread(evidence_fd, line, 7, at) == 7; at += 7)
        if (memcmp(line, wanted, 7) == 0)
            return true;
    return false;
}

struct inherited {
    struct core_texts ids;
    int64_t slots[64];
};

static void inherit(void *context, const struct core_run_record *record)
{
    struct inherited *inherited = context;

    if (inherited->ids.count == RC_ARRAY_LEN(inherited->slots))
        _exit(2);
    inherited->slots[inherited->ids.count] = record->slot_unix_ms;
    core_texts_add(&inherited->ids, record->id);
}

/* As a daemon does: what was begun and leaves no trace is begun now; all is brought to its end. */
static void settle_inheritance(void)
{
    const struct core_attempt_end end = { .status = CORE_RUN_SUCCEEDED, .finished_unix_ms = T0 };
    struct inherited inherited = { .ids = { 0 } };
    struct rc_error err = RC_ERROR_INIT;

    child_ok(core_ledger_begin(victim, &err));
    child_ok(core_ledger_take_over(victim, T0, inherit, &inherited, &err));
    child_ok(core_ledger_commit(victim, &err));
    for (size_t i = 0; i < inherited.ids.count; i++) {
        if (!acted(inherited.slots[i]))
            act(inherited.slots[i]);
        child_ok(core_ledger_begin(victim, &err));
        child_ok(core_ledger_finish(victim, inherited.ids.items[i], 1, &end, &err));
        child_ok(core_ledger_commit(victim, &err));
    }
    core_texts_clear(&inherited.ids);
}

/* Claims slots by threes, acts, ends; until it is killed. */
static void live(int generation)
{
    const struct core_attempt_end end = { .status = CORE_RUN_SUCCEEDED, .finished_unix_ms = T0 };
    struct rc_error err = RC_ERROR_INIT;
    RC_STR_AUTO self = rc_strf("d%d", generation);
    int64_t next;

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    victim = ledger_join(self, "daemon", 30000);
    settle_inheritance();
    next = value(victim, "SELECT coalesce(max(slot_unix_ms) + 1, 0) FROM runs");
    for (; next < SLOTS_LIMIT; next += 3) {
        for (int step = 0; step < 2; step++) {
            child_ok(core_ledger_begin(victim, &err));
            for (int64_t slot = next; slot < next + 3; slot++) {
                RC_STR_AUTO id = rc_strf("r%06lld-%d", (long long)slot, generation);
                struct core_claim claim = ledger_slot(id, slot);
                enum core_claimed claimed;

                claim.overlap = CORE_OVERLAP_ALLOW;
                if (step == 0)
                    child_ok(core_ledger_claim(victim, &claim, &claimed, &err));
                else
                    child_ok(core_ledger_finish(victim, id, 1, &end, &err));
            }
            child_ok(core_ledger_commit(victim, &err));
            for (int64_t slot = next; step == 0 && slot < next + 3; slot++)
                act(slot);
        }
    }
    _exit(3);
}

static void kill_9_at_any_moment_loses_nothing_and_repeats_nothing(void **state)
{
    RC_STR_AUTO path = rc_strf("%s/evidence", place_folder);
    int64_t lines = 0, slots;
    int kills = place_is_postgres ? KILLS / 2 : KILLS;
    long shortest_us = place_is_postgres ? 100000 : 25000, life_us = shortest_us;
    int idle_lives = 0; /* in a row */

    (void)state;
    evidence_fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    assert_true(evidence_fd >= 0);
    srandom(7);
    for (int i = 0; i < kills || lines <= kills / 4; i++) {
        int64_t before = lines;
        pid_t pid = fork();
        int status;

        assert_true(pid >= 0);
        if (pid == 0)
            live(i);
        (void)usleep((useconds_t)(random() % life_us));
        kill(pid, SIGKILL);
        status = wait_for(pid);
        assert_true(WIFSIGNALED(status));
        /* On a slow machine lives have to be longer, or none of them gets anywhere. */
        lines = lseek(evidence_fd, 0, SEEK_END) / 7;
        idle_lives = lines == before ? idle_lives + 1 : 0;
        if (idle_lives > 0 && idle_lives % 8 == 0 && life_us < LONGEST_LIFE_US)
            life_us *= 2;
        else if (idle_lives == 0 && life_us > shortest_us)
            life_us /= 2;
    }
    victim = ledger_join("last", "daemon", 30000);
    settle_inheritance();

    /* Each slot from the first to the last has one row, which succeeded, and was acted on once. */
    slots = value(victim, "SELECT count(*) FROM runs");
    assert_true(slots > kills / 4);
    assert_int_equal(value(victim, "SELECT max(slot_unix_ms) + 1 FROM runs"), slots);
    assert_int_equal(value(victim, "SELECT count(*) FROM runs WHERE status = 'succeeded'"), slots);
    assert_int_equal(value(victim, "SELECT count(*) FROM executors"), 1);
    lines = lseek(evidence_fd, 0, SEEK_END) / 7;
    assert_int_equal(lines, slots);
    for (int64_t slot = 0; slot < slots; slot++)
        assert_true(acted(slot));
    core_ledger_close(victim);
    close(evidence_fd);
}

/* ---- disks and former versions -------------------------------------------------------------- */

static void a_full_disk_leaves_nothing_half_written(void **state)
{
    struct core_ledger *ledger = ledger_join("d1", "daemon", 30000);
    struct rc_error err = RC_ERROR_INIT;
    enum core_claimed claimed;
    enum rc_code code = RC_OK;
    int64_t pages = value(ledger, "PRAGMA page_count");
    RC_STR_AUTO limit = rc_strf("PRAGMA max_page_count = %lld", (long long)pages + 4);

    (void)state;
    (void)value(ledger, limit);
    expect_ok(core_ledger_begin(ledger, &err));
    for (int i = 0; i < 1000 && code == RC_OK; i++) {
        RC_STR_AUTO id = rc_strf("r%d", i);
        struct core_claim claim = ledger_slot(id, i);

        claim.overlap = CORE_OVERLAP_ALLOW;
        code = core_ledger_claim(ledger, &claim, &claimed, &err);
    }
    assert_int_equal(code, RC_UNAVAILABLE);
    core_ledger_rollback(ledger);
    assert_int_equal(value(ledger, "SELECT count(*) FROM runs"), 0);
    (void)value(ledger, "PRAGMA max_page_count = 1000000");
    struct core_claim claim = ledger_slot("r0", 0);
    assert_int_equal(ledger_claim(ledger, &claim), CORE_CLAIM_STARTED);
    core_ledger_close(ledger);
}

static void a_state_that_had_only_locks_gets_a_ledger(void **state)
{
    static const char *const steps[] = {
        "DROP TABLE executors",
        "DROP TABLE jobs",
        "DROP TABLE runs",
        "DROP TABLE attempts",
        "DROP TABLE notices",
        "DROP TABLE numbers",
        "INSERT INTO locks (name, token) VALUES ('mine', 7)",
        "DELETE FROM run_core_schema WHERE number > 1",
    };
    struct core_ledger *ledger = ledger_join("d1", "daemon", 30000);
    struct rc_error err = RC_ERROR_INIT;
    struct core_claim claim = ledger_slot("r1", 1);

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(steps); i++)
        expect_ok(core_session_exec(ledger->session, steps[i], NULL, 0, NULL, &err));
    core_ledger_close(ledger);
    ledger = ledger_join("d2", "daemon", 30000);
    assert_int_equal(ledger_claim(ledger, &claim), CORE_CLAIM_STARTED);
    assert_int_equal(value(ledger, "SELECT token FROM locks WHERE name = 'mine'"), 7);
    core_ledger_close(ledger);
}

int main(void)
{
#define ON_SQLITE(test) cmocka_unit_test_setup_teardown(test, ledger_on_sqlite, ledger_tear_down)
#define ON_POSTGRES(test)                                                                          \
    cmocka_unit_test_setup_teardown(test, ledger_on_postgres, ledger_tear_down)
    const struct CMUnitTest tests[] = {
        ON_SQLITE(a_state_of_one_machine_has_one_daemon),
        ON_SQLITE(a_child_that_forgot_its_daemon_has_a_connection_like_any_other),
        LEDGER_TEST(the_work_of_a_dead_daemon_goes_to_the_next),
        ON_POSTGRES(a_daemon_elsewhere_is_dead_when_its_lease_has_run_out),
        LEDGER_TEST(rows_of_nobody_are_taken_over_too),
        LEDGER_TEST(lost_runs_of_the_foreground_are_settled_by_whoever_looks),
        ON_POSTGRES(one_that_was_taken_for_dead_writes_nothing_but_late_ends),
        ON_POSTGRES(a_late_failure_waits_for_the_attempt_that_replaces_it),
        LEDGER_TEST(every_slot_goes_to_one_of_many),
        LEDGER_TEST(kill_9_at_any_moment_loses_nothing_and_repeats_nothing),
        ON_SQLITE(a_full_disk_leaves_nothing_half_written),
        ON_SQLITE(a_state_that_had_only_locks_gets_a_ledger),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
