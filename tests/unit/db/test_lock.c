/*
 * Named locks: one holder at a time whatever dies, and tokens that only rise.
 */
#include "places.h"

#include <db/internal.h>

#include <os/clock.h>
#include <os/file.h>
#include <run-core/str.h>

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { PATIENCE_MS = 60000 }; /* for what comes at once on a machine that is not busy */

static struct core_db *db;

static int on_sqlite(void **state)
{
    (void)state;
    return place_open(/* postgres = */ false, &db);
}

static int on_postgres(void **state)
{
    (void)state;
    return place_open(/* postgres = */ true, &db);
}

static int tear_down(void **state)
{
    (void)state;
    core_db_close(db);
    return place_clear();
}

static enum rc_code acquire(struct core_db *in, const char *holder, int64_t wait_ms,
                            struct rc_lock **out, struct rc_error *err)
{
    return core_lock_acquire(in, "the lock", holder, wait_ms, NULL, NULL, out, err);
}

static void one_holds_the_others_hear_who(void **state)
{
    RC_STR_AUTO longest = rc_calloc(201, 1);
    RC_STR_AUTO longer = rc_calloc(202, 1);
    struct rc_error err = RC_ERROR_INIT;
    struct rc_lock *lock, *second, *elsewhere;
    int64_t start_ms, token;

    (void)state;
    expect_ok(acquire(db, "run 42 of job 'nightly'", 0, &lock, &err));
    token = core_lock_token(lock);
    expect_ok(core_lock_check(lock, &err));
    assert_int_equal(acquire(db, "run 43", 0, &second, &err), RC_CONFLICT);
    assert_null(second);
    assert_non_null(strstr(err.cause, "held by run 42 of job 'nightly' since 20"));
    start_ms = core_clock_mono_ms();
    assert_int_equal(acquire(db, "run 43", 100, &second, &err), RC_CONFLICT);
    assert_true(core_clock_mono_ms() - start_ms >= 100);
    core_lock_release(lock);
    core_lock_release(NULL);

    expect_ok(acquire(db, "run 43", 0, &second, &err));
    assert_true(core_lock_token(second) > token); /* rises over releases */
    core_lock_release(second);
    memset(longest, 'n', 200);
    memset(longer, 'n', 201);
    expect_ok(core_lock_acquire(db, longest, "x", 0, NULL, NULL, &elsewhere, &err));
    assert_int_equal(core_lock_acquire(db, longer, "x", 0, NULL, NULL, &second, &err), RC_INVALID);
    assert_int_equal(core_lock_acquire(db, "", "x", 0, NULL, NULL, &second, &err), RC_INVALID);
    core_lock_release(elsewhere);
}

static void a_look_does_not_take_and_old_names_are_forgotten(void **state)
{
    struct rc_error err = RC_ERROR_INIT;
    bool known = true, held = true;
    struct rc_lock *lock;

    (void)state;
    expect_ok(core_lock_look(db, "sql:a", &known, &held, &err));
    assert_false(known || held);
    expect_ok(core_lock_acquire(db, "sql:a", "run 1", 0, NULL, NULL, &lock, &err));
    expect_ok(core_lock_look(db, "sql:a", &known, &held, &err));
    assert_true(known && held);
    core_lock_release(lock);
    expect_ok(core_lock_look(db, "sql:a", &known, &held, &err));
    assert_true(known && !held);

    /* Its lease would still go on, had it not been given back. */
    expect_ok(core_lock_forget(db, "sql:", 0, &err));
    expect_ok(core_lock_look(db, "sql:a", &known, &held, &err));
    assert_true(known);
    expect_ok(core_lock_forget(db, "other:", -3600 * 1000, &err));
    expect_ok(core_lock_look(db, "sql:a", &known, &held, &err));
    assert_true(known);
    expect_ok(core_lock_forget(db, "sql:", -3600 * 1000, &err));
    expect_ok(core_lock_look(db, "sql:a", &known, &held, &err));
    assert_false(known);
}

static void *release_later(void *lock)
{
    core_clock_sleep_ms(60);
    core_lock_release(lock);
    return NULL;
}

static void a_wait_ends_with_the_release_or_the_cancellation(void **state)
{
    struct core_cancel cancel = CORE_CANCEL_INIT;
    struct rc_error err = RC_ERROR_INIT;
    struct rc_lock *lock, *second;
    pthread_t thread;

    (void)state;
    expect_ok(acquire(db, "first", 0, &lock, &err));
    assert_int_equal(pthread_create(&thread, NULL, release_later, lock), 0);
    expect_ok(acquire(db, "second", 10000, &second, &err));
    assert_int_equal(pthread_join(thread, NULL), 0);
    core_cancel_request(&cancel, RC_CANCELLED);
    assert_int_equal(core_lock_acquire(db, "the lock", "third", 10000, &cancel, NULL, &lock, &err),
                     RC_CANCELLED);
    core_lock_release(second);
}

static void a_dead_holder_on_this_machine_holds_nothing(void **state)
{
    struct rc_error err = RC_ERROR_INIT;
    struct rc_lock *lock;
    int status;
    pid_t pid = fork();

    (void)state;
    assert_true(pid >= 0);
    if (pid == 0) {
        struct core_db *own;

        _exit(core_db_open(place_url, &own, &err) || acquire(own, "the dead", 0, &lock, &err));
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    expect_ok(acquire(db, "the living", 0, &lock, &err));
    core_lock_release(lock);
}

static void a_holder_elsewhere_counts_until_its_lease_ends(void **state)
{
    struct rc_error err = RC_ERROR_INIT;
    struct rc_lock *lock;
    int64_t end_ms;

    (void)state;
    expect_ok(acquire(db, "x", 0, &lock, &err));
    core_lock_release(lock);
    place_tamper("UPDATE locks SET holder = 'run 7', host = 'another machine', pid = 1, "
                 "start_ticks = 1, expires_unix_ms = expires_unix_ms + 3600000");
    assert_int_equal(acquire(db, "x", 0, &lock, &err), RC_CONFLICT);
    assert_non_null(strstr(err.cause, "run 7"));
    end_ms = core_clock_now_unix_ms() + 300;
    RC_STR_AUTO sooner = rc_strf("UPDATE locks SET expires_unix_ms = %lld", (long long)end_ms);
    place_tamper(sooner);
    expect_ok(acquire(db, "x", PATIENCE_MS, &lock, &err));
    assert_true(core_clock_now_unix_ms() >= end_ms);
    core_lock_release(lock);
}

/* Where /proc is not mounted a process cannot say who it is; its locks hold all the same. */
static void a_holder_without_identity_counts_until_its_lease_ends(void **state)
{
    struct rc_error err = RC_ERROR_INIT;
    struct rc_lock *lock;

    (void)state;
    expect_ok(acquire(db, "l", 0, &lock, &err));
    place_tamper("UPDATE locks SET host = ''");
    struct rc_lock *second = NULL;
    assert_int_equal(acquire(db, "l", 0, &second, &err), RC_CONFLICT);
    place_tamper("UPDATE locks SET expires_unix_ms = 0");
    expect_ok(acquire(db, "l", 0, &second, &err));
    core_lock_release(second);
    core_lock_release(lock);
}

static void leases_are_renewed_and_their_loss_is_told(void **state)
{
    struct core_cancel lost = CORE_CANCEL_INIT;
    struct rc_error err = RC_ERROR_INIT;
    struct rc_lock *lock;

    (void)state;
    db->lease_ms = 400;
    db->renew_ms = 50;
    expect_ok(core_lock_acquire(db, "the lock", "x", 0, NULL, &lost, &lock, &err));
    core_clock_sleep_ms(900);
    assert_int_equal(core_cancel_code(&lost), RC_OK);
    expect_ok(core_lock_check(lock, &err));
    place_tamper("UPDATE locks SET token = token + 1, holder = 'a thief'");
    for (int waited = 0; waited < PATIENCE_MS && !core_cancel_code(&lost); waited += 20)
        core_clock_sleep_ms(20);
    assert_int_equal(core_cancel_code(&lost), RC_CANCELLED);
    assert_int_equal(core_lock_check(lock, &err), RC_CONFLICT);
    core_lock_release(lock);
    /* The release of what was lost does not free what another holds. */
    place_tamper(
        "UPDATE locks SET host = 'another machine', expires_unix_ms = expires_unix_ms + 60000");
    assert_int_equal(acquire(db, "x", 0, &lock, &err), RC_CONFLICT);
}

static void a_late_check_keeps_what_nobody_took(void **state)
{
    struct rc_error err = RC_ERROR_INIT;
    struct rc_lock *lock;

    (void)state;
    db->lease_ms = 1; /* over at once, as after the machine was suspended */
    expect_ok(acquire(db, "x", 0, &lock, &err));
    core_clock_sleep_ms(20);
    expect_ok(core_lock_check(lock, &err));
    place_tamper("UPDATE locks SET token = token + 1");
    core_clock_sleep_ms(20);
    assert_int_equal(core_lock_check(lock, &err), RC_CONFLICT);
    core_lock_release(lock);
}

static void tokens_rise_even_in_a_new_database(void **state)
{
    struct rc_error err = RC_ERROR_INIT;
    struct rc_lock *lock;
    int64_t token;

    (void)state;
    expect_ok(acquire(db, "x", 0, &lock, &err));
    token = core_lock_token(lock);
    core_lock_release(lock);
    core_clock_sleep_ms(5);
    core_db_close(db);
    assert_int_equal(place_clear(), 0);
    assert_int_equal(place_make(place_is_postgres), 0);
    expect_ok(core_db_open(place_url, &db, &err));
    expect_ok(acquire(db, "x", 0, &lock, &err));
    assert_true(core_lock_token(lock) > token);
    core_lock_release(lock);
    /* A clock that was set back does not turn them round. */
    place_tamper("UPDATE locks SET token = token + 1000000000");
    token = token + 1000000000;
    expect_ok(acquire(db, "x", 0, &lock, &err));
    assert_true(core_lock_token(lock) > token);
    core_lock_release(lock);
}

/* ---- many at once ------------------------------------------------------------------------- */

static void *hammer(void *context)
{
    atomic_int *inside = context;
    struct rc_error err = RC_ERROR_INIT;
    struct rc_lock *lock;
    intptr_t wrong = 0;
    int64_t last = 0;

    for (int i = 0; i < 25; i++) {
        if (acquire(db, "thread", 60000, &lock, &err))
            return (void *)(intptr_t)1000;
        wrong += atomic_fetch_add(inside, 1) != 0;
        wrong += core_lock_token(lock) <= last;
        last = core_lock_token(lock);
        wrong += core_lock_check(lock, &err) != RC_OK;
        atomic_fetch_sub(inside, 1);
        core_lock_release(lock);
    }
    return (void *)wrong;
}

static void threads_exclude_each_other(void **state)
{
    enum { THREADS = 6 };
    pthread_t threads[THREADS];
    atomic_int inside = 0;

    (void)state;
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, hammer, &inside), 0);
    for (int i = 0; i < THREADS; i++) {
        void *wrong;

        assert_int_equal(pthread_join(threads[i], &wrong), 0);
        assert_null(wrong);
    }
}

/* What the processes share: who is inside, and the tokens in the order of entry. */
struct shared {
    atomic_int owner; /* pid of who is inside; stays when that one is killed */
    atomic_llong last_token;
    atomic_int entries, wrong;
};

/* Enters and leaves for ever. Whoever is named as inside must be dead when another enters. */
static void enter_for_ever(struct shared *shared)
{
    struct rc_error err = RC_ERROR_INIT;
    struct core_db *own;
    struct rc_lock *lock;

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (core_db_open(place_url, &own, &err))
        _exit(1);
    for (;;) {
        int before;

        if (acquire(own, "process", 60000, &lock, &err)) {
            atomic_fetch_add(&shared->wrong, 1000);
            _exit(2);
        }
        before = atomic_exchange(&shared->owner, (int)getpid());
        /* A child that was killed is a zombie until the test has waited for it. */
        if (before != 0) {
            RC_STR_AUTO where = rc_strf("/proc/%d/stat", before);
            RC_BUF_AUTO(text, 4096);
            const char *state = NULL;

            if (core_file_read(where, &text, &err) == RC_OK)
                state = strrchr(text.data, ')');
            if (state && state[2] != 'Z' && state[2] != 'X')
                atomic_fetch_add(&shared->wrong, 1);
        }
        if (core_lock_token(lock) <= atomic_exchange(&shared->last_token, core_lock_token(lock)))
            atomic_fetch_add(&shared->wrong, 1);
        atomic_fetch_add(&shared->entries, 1);
        if (atomic_load(&shared->owner) != (int)getpid())
            atomic_fetch_add(&shared->wrong, 1);
        atomic_store(&shared->owner, 0);
        core_lock_release(lock);
    }
}

static pid_t start(struct shared *shared)
{
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0)
        enter_for_ever(shared);
    return pid;
}

static void processes_exclude_each_other_though_many_are_killed(void **state)
{
    enum { PROCESSES = 8, KILLS = 120 };
    struct shared *shared =
        mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t processes[PROCESSES];
    unsigned seed = 3;
    int status;

    (void)state;
    assert_ptr_not_equal(shared, MAP_FAILED);
    for (int i = 0; i < PROCESSES; i++)
        processes[i] = start(shared);
    for (int i = 0; i < KILLS; i++) {
        int victim = rand_r(&seed) % PROCESSES;

        (void)usleep((useconds_t)(rand_r(&seed) % 20000));
        (void)kill(processes[victim], SIGKILL);
        assert_int_equal(waitpid(processes[victim], &status, 0), processes[victim]);
        assert_true(WIFSIGNALED(status));
        processes[victim] = start(shared);
    }
    for (int i = 0; i < PROCESSES; i++) {
        (void)kill(processes[i], SIGKILL);
        assert_int_equal(waitpid(processes[i], &status, 0), processes[i]);
    }
    assert_int_equal(atomic_load(&shared->wrong), 0);
    assert_true(atomic_load(&shared->entries) > KILLS);
    (void)munmap(shared, sizeof(*shared));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(one_holds_the_others_hear_who),
        BOTH(a_look_does_not_take_and_old_names_are_forgotten),
        BOTH(a_wait_ends_with_the_release_or_the_cancellation),
        BOTH(a_dead_holder_on_this_machine_holds_nothing),
        BOTH(a_holder_without_identity_counts_until_its_lease_ends),
        BOTH(a_holder_elsewhere_counts_until_its_lease_ends),
        BOTH(leases_are_renewed_and_their_loss_is_told),
        BOTH(a_late_check_keeps_what_nobody_took),
        BOTH(tokens_rise_even_in_a_new_database),
        BOTH(threads_exclude_each_other),
        BOTH(processes_exclude_each_other_though_many_are_killed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
