/*
 * The event loop: order, ends within callbacks, signals, processes, and clocks that jump.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <os/clock.h>
#include <os/loop.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MANY = 100000 };

/* ---- a kernel that tells of jumps ------------------------------------------------------------ */

static bool jump_at_read, jump_at_set;

/* In the place of the C library's: nobody can set the machine's clock for a test. */
ssize_t read(int fd, void *data, size_t len)
{
    ssize_t got = syscall(SYS_read, fd, data, len);

    if (jump_at_read && got == 8) {
        jump_at_read = false;
        errno = ECANCELED;
        return -1;
    }
    return got;
}

int timerfd_settime(int fd, int flags, const struct itimerspec *new, struct itimerspec *old)
{
    int result = (int)syscall(SYS_timerfd_settime, fd, flags, new, old);

    if (jump_at_set) {
        jump_at_set = false;
        errno = ECANCELED;
        return -1;
    }
    return result;
}

/* ---- helpers --------------------------------------------------------------------------------- */

struct step {
    struct core_loop *loop;
    struct core_timer timer, other;
    struct core_watch *watch, *victim;
    int fd, times, stop_after;
    int64_t fired_ms;
};

static char journal[64];

static struct core_loop *new_loop(void)
{
    struct rc_error err = RC_ERROR_INIT;
    struct core_loop *loop = NULL;

    journal[0] = '\0';
    assert_int_equal(core_loop_new(&loop, &err), RC_OK);
    return loop;
}

static void note(const char *word)
{
    strncat(journal, word, sizeof(journal) - strlen(journal) - 1);
}

static void stop(void *context)
{
    core_loop_stop(context);
}

static void note_a_and_stop(void *context)
{
    note("a");
    core_loop_stop(context);
}

static void note_c_and_stop(void *context)
{
    note("c");
    core_loop_stop(context);
}

/* Runs the loop for some real time. */
static void run_for(struct core_loop *loop, int64_t ms)
{
    struct core_timer end = { .clock = CORE_TIMER_MONO, .fn = stop, .context = loop };

    core_timer_set(loop, &end, core_clock_mono_ms() + ms);
    core_loop_run(loop);
}

static int open_descriptors(void)
{
    int count = 0;

    for (int fd = 0; fd < 256; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

/* ---- timers ---------------------------------------------------------------------------------- */

static void note_a(void *context)
{
    (void)context;
    note("a");
}

static void note_b(void *context)
{
    (void)context;
    note("b");
}

static void note_c(void *context)
{
    (void)context;
    note("c");
}

static void timers_fire_in_order(void **state)
{
    struct core_loop *loop = new_loop();
    int64_t now_ms = core_clock_mono_ms();
    struct core_timer a = { .fn = note_a }, b = { .fn = note_b }, c = { .fn = note_c };
    struct core_timer gone = { .fn = note_a };

    (void)state;
    core_timer_set(loop, &c, now_ms + 20);
    core_timer_set(loop, &a, now_ms + 10);
    core_timer_set(loop, &b, now_ms + 10); /* of equal times, the first that was set */
    core_timer_set(loop, &gone, now_ms + 1);
    core_timer_cancel(&gone);
    core_timer_cancel(&gone);
    run_for(loop, 40);
    assert_string_equal(journal, "abc");
    assert_null(a.loop);

    /* Set anew: earlier, later and back in the past. */
    journal[0] = '\0';
    now_ms = core_clock_mono_ms();
    core_timer_set(loop, &a, now_ms + 5);
    core_timer_set(loop, &b, now_ms + 10);
    core_timer_set(loop, &a, now_ms + 20);
    core_timer_set(loop, &c, now_ms + 3600000);
    core_timer_set(loop, &c, -5);
    run_for(loop, 40);
    assert_string_equal(journal, "cba");
    core_timer_set(loop, &a, INT64_MAX);
    core_timer_set(loop, &b, INT64_MIN);
    core_loop_free(loop);
    assert_null(a.loop); /* whoever cancels it after the loop's end may */
    core_timer_cancel(&a);
}

struct many {
    struct core_loop *loop;
    int64_t last_ms, fired;
    bool ordered;
};

static struct many many;
static struct core_timer *timers;

static void fire_one(void *context)
{
    const struct core_timer *timer = context;

    many.ordered = many.ordered && timer->at_ms >= many.last_ms;
    many.last_ms = timer->at_ms;
    if (++many.fired == MANY / 2)
        core_loop_stop(many.loop);
}

static void a_hundred_thousand_timers(void **state)
{
    uint32_t random = 1;
    int64_t now_ms = core_clock_mono_ms();

    (void)state;
    timers = calloc(MANY, sizeof(*timers));
    many = (struct many){ .loop = new_loop(), .ordered = true, .last_ms = INT64_MIN };
    for (int i = 0; i < MANY; i++) {
        random = random * 1664525u + 1013904223u;
        timers[i] = (struct core_timer){ .fn = fire_one, .context = &timers[i] };
        core_timer_set(many.loop, &timers[i], now_ms - 1 - (int64_t)(random % 1000000));
    }
    for (int i = 0; i < MANY; i += 2) /* half of them are set anew, the other half cancelled */
        core_timer_set(many.loop, &timers[i], timers[i].at_ms - 77);
    for (int i = 1; i < MANY; i += 2)
        core_timer_cancel(&timers[i]);
    core_loop_run(many.loop);
    assert_int_equal(many.fired, MANY / 2);
    assert_true(many.ordered);
    core_loop_free(many.loop);
    free(timers);
}

static void again_at_once(void *context)
{
    struct step *step = context;

    step->times++;
    core_timer_set(step->loop, &step->timer, 0);
}

static void read_and_stop(void *context)
{
    struct step *step = context;
    char byte;

    assert_int_equal(read(step->fd, &byte, 1), 1);
    core_loop_stop(step->loop);
}

static void a_timer_always_due_starves_nobody(void **state)
{
    struct rc_error err = RC_ERROR_INIT;
    struct step step = { .loop = new_loop(), .timer = { .fn = again_at_once } };
    int ends[2];

    (void)state;
    step.timer.context = &step;
    assert_int_equal(pipe(ends), 0);
    step.fd = ends[0];
    assert_int_equal(core_loop_watch(step.loop, ends[0], read_and_stop, &step, &step.watch, &err),
                     RC_OK);
    core_timer_set(step.loop, &step.timer, 0);
    assert_int_equal(write(ends[1], "x", 1), 1);
    core_loop_run(step.loop);
    assert_in_range(step.times, 0, 2);
    core_loop_free(step.loop);
    close(ends[0]);
    close(ends[1]);
}

static void cancel_other(void *context)
{
    struct step *step = context;

    step->times++;
    core_timer_cancel(&step->other);
}

static void callbacks_cancel_timers_of_the_same_moment(void **state)
{
    struct step step = { .loop = new_loop(),
                         .timer = { .fn = cancel_other },
                         .other = { .fn = note_a } };

    (void)state;
    step.timer.context = &step;
    core_timer_set(step.loop, &step.timer, 0);
    core_timer_set(step.loop, &step.other, 0);
    run_for(step.loop, 10);
    assert_int_equal(step.times, 1);
    assert_string_equal(journal, "");
    core_loop_free(step.loop);
}

/* ---- descriptors, signals, processes --------------------------------------------------------- */

static void an_idle_loop_sleeps(void **state)
{
    struct core_loop *loop = new_loop();
    struct core_timer far = { .clock = CORE_TIMER_WALL, .fn = note_a };
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    core_timer_set(loop, &far, core_clock_now_unix_ms() + 3600000);
    assert_int_equal(core_loop_watch_clock(loop, note_b, NULL, &err), RC_OK);
    run_for(loop, 300);
    assert_in_range(core_loop_turns(loop), 1, 2); /* the second: for the timer that stops it */
    assert_string_equal(journal, "");
    core_loop_free(loop);
}

static void end_both(void *context)
{
    struct step *step = context;

    step->times++;
    core_watch_end(step->victim);
    core_watch_end(step->watch);
}

static void a_watch_that_was_ended_is_not_called(void **state)
{
    struct rc_error err = RC_ERROR_INIT;
    struct core_loop *loop = new_loop();
    struct step first = { .loop = loop }, second = { .loop = loop };
    int before = open_descriptors();
    int a[2], b[2];

    (void)state;
    assert_int_equal(pipe(a), 0);
    assert_int_equal(pipe(b), 0);
    assert_int_equal(core_loop_watch(loop, a[0], end_both, &first, &first.watch, &err), RC_OK);
    assert_int_equal(core_loop_watch(loop, b[0], end_both, &second, &second.watch, &err), RC_OK);
    first.victim = second.watch;
    second.victim = first.watch;
    assert_int_equal(write(a[1], "x", 1), 1); /* both become readable: one batch of events */
    assert_int_equal(write(b[1], "x", 1), 1);
    run_for(loop, 20);
    assert_int_equal(first.times + second.times, 1);
    core_watch_end(NULL);

    /* The other end's going is an event too. */
    assert_int_equal(core_loop_watch(loop, b[0], end_both, &second, &second.watch, &err), RC_OK);
    second.victim = NULL;
    second.times = 0;
    assert_int_equal(read(b[0], journal, 1), 1);
    close(b[1]);
    run_for(loop, 10);
    assert_int_equal(second.times, 1);

    assert_int_not_equal(core_loop_watch(loop, -1, note_a, NULL, &first.watch, &err), RC_OK);
    close(a[0]);
    close(a[1]);
    close(b[0]);
    core_loop_free(loop);
    assert_int_equal(open_descriptors(), before - 3);
}

static void count_and_stop(void *context)
{
    struct step *step = context;

    step->times++;
    core_loop_stop(step->loop);
}

static void signals_arrive(void **state)
{
    struct rc_error err = RC_ERROR_INIT;
    struct step step = { .loop = new_loop() };
    sigset_t blocked;

    (void)state;
    assert_int_equal(
        core_loop_watch_signal(step.loop, SIGUSR1, count_and_stop, &step, &step.watch, &err),
        RC_OK);
    assert_int_equal(
        core_loop_watch_signal(step.loop, SIGUSR2, end_both, &step, &step.victim, &err), RC_OK);
    kill(getpid(), SIGUSR1);
    core_loop_run(step.loop);
    assert_int_equal(step.times, 1);
    kill(getpid(), SIGUSR1);
    core_loop_run(step.loop);
    assert_int_equal(step.times, 2);

    kill(getpid(), SIGUSR2); /* ends both watches within a callback */
    run_for(step.loop, 10);
    assert_int_equal(step.times, 3);
    sigprocmask(SIG_BLOCK, NULL, &blocked);
    assert_false(sigismember(&blocked, SIGUSR1)); /* given back */
    assert_false(sigismember(&blocked, SIGUSR2));
    core_loop_free(step.loop);
}

static void arrive_again(void *context)
{
    struct step *step = context;

    step->times++;
    kill(getpid(), SIGUSR1);
}

/* SIGUSR1 has the lower number of the two, and is read first. */
static void a_signal_that_keeps_arriving_starves_nobody(void **state)
{
    struct rc_error err = RC_ERROR_INIT;
    struct step step = { .loop = new_loop() };
    struct step other = { .loop = step.loop };

    (void)state;
    alarm(60);
    assert_int_equal(
        core_loop_watch_signal(step.loop, SIGUSR1, arrive_again, &step, &step.watch, &err), RC_OK);
    assert_int_equal(
        core_loop_watch_signal(step.loop, SIGUSR2, count_and_stop, &other, &other.watch, &err),
        RC_OK);
    kill(getpid(), SIGUSR1);
    do
        run_for(step.loop, 20); /* a timer fires beside it */
    while (step.times < 2);
    kill(getpid(), SIGUSR2); /* and so does a signal that comes later */
    core_loop_run(step.loop);
    assert_int_equal(other.times, 1);
    signal(SIGUSR1, SIG_IGN); /* the one still pending */
    core_loop_free(step.loop);
    signal(SIGUSR1, SIG_DFL);
    alarm(0);
}

static void the_end_of_a_process_is_told_once(void **state)
{
    struct rc_error err = RC_ERROR_INIT;
    struct step step = { .loop = new_loop() };
    pid_t child = fork();
    int pidfd;

    (void)state;
    if (child == 0) {
        usleep(20000);
        _exit(0);
    }
    pidfd = (int)syscall(SYS_pidfd_open, child, 0);
    assert_true(pidfd >= 0);
    assert_int_equal(
        core_loop_watch_process(step.loop, pidfd, count_and_stop, &step, &step.watch, &err), RC_OK);
    core_loop_run(step.loop);
    run_for(step.loop, 20); /* it is a zombie still, and the descriptor readable */
    assert_int_equal(step.times, 1);
    core_watch_end(step.watch);
    waitpid(child, NULL, 0);
    close(pidfd);
    core_loop_free(step.loop);
}

static void a_child_forgets_the_loop(void **state)
{
    struct core_loop *loop = new_loop();
    int before = open_descriptors();
    int status = -1;
    pid_t child = fork();

    (void)state;
    if (child == 0) {
        core_loop_forget(loop);
        _exit(open_descriptors() == before - 3 ? 0 : 1);
    }
    waitpid(child, &status, 0);
    assert_int_equal(status, 0);
    core_loop_free(loop);
}

/* ---- the wall clock -------------------------------------------------------------------------- */

static void wall_timers_fire(void **state)
{
    struct core_loop *loop = new_loop();
    struct core_timer a = { .clock = CORE_TIMER_WALL, .fn = note_a };
    struct core_timer b = { .clock = CORE_TIMER_WALL, .fn = note_b };
    struct core_timer c = { .clock = CORE_TIMER_WALL, .fn = stop, .context = loop };
    int64_t now_ms = core_clock_now_unix_ms();

    (void)state;
    core_timer_set(loop, &c, now_ms + 30);
    core_timer_set(loop, &b, now_ms + 20);
    core_timer_set(loop, &a, now_ms - 3600000);
    core_loop_run(loop);
    assert_string_equal(journal, "ab");
    assert_true(core_clock_now_unix_ms() >= now_ms + 30); /* never early */
    core_loop_free(loop);
}

static void a_clock_that_was_set_is_told(void **state)
{
    struct rc_error err = RC_ERROR_INIT;
    struct core_loop *loop = new_loop();
    struct core_timer a = { .clock = CORE_TIMER_WALL, .fn = note_a_and_stop, .context = loop };

    (void)state;
    assert_int_equal(core_loop_watch_clock(loop, note_b, NULL, &err), RC_OK);
    core_timer_set(loop, &a, core_clock_now_unix_ms() + 20);
    jump_at_read = true;
    core_loop_run(loop);
    assert_false(jump_at_read);
    assert_string_equal(journal, "ba"); /* before a timer that it makes due */

    jump_at_set = true;
    core_timer_set(loop, &a, core_clock_now_unix_ms() + 20);
    core_loop_run(loop);
    assert_false(jump_at_set);
    assert_string_equal(journal, "baba");
    core_loop_free(loop);
}

/* From here on the wall clock follows a file. */
static atomic_llong *offset_ms;

static int follow_file(void **state)
{
    char path[] = "/tmp/run-core-clock-XXXXXX";
    char words[64];
    struct rc_error err = RC_ERROR_INIT;
    int fd = mkstemp(path);

    (void)state;
    if (fd < 0 || ftruncate(fd, sizeof(*offset_ms)))
        return -1;
    offset_ms = mmap(NULL, sizeof(*offset_ms), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    snprintf(words, sizeof(words), "@%s", path);
    setenv("RUN_CORE_CLOCK", words, 1);
    if (offset_ms == MAP_FAILED || core_clock_init(&err))
        return -1;
    return unlink(path);
}

static void jump_an_hour(void *context)
{
    (void)context;
    note("j");
    atomic_store(offset_ms, 3600000);
}

static void jump_back(void *context)
{
    (void)context;
    note("j");
    atomic_store(offset_ms, -7200000);
}

static void wall_timers_follow_jumps(void **state)
{
    struct rc_error err = RC_ERROR_INIT;
    struct core_loop *loop = new_loop();
    struct core_timer a = { .clock = CORE_TIMER_WALL, .fn = note_a_and_stop, .context = loop };
    struct core_timer jump = { .fn = jump_an_hour };

    (void)state;
    assert_int_equal(core_loop_watch_clock(loop, note_c_and_stop, loop, &err), RC_OK);
    core_timer_set(loop, &a, core_clock_now_unix_ms() + 1800000);
    core_timer_set(loop, &jump, core_clock_mono_ms() + 30);
    core_loop_run(loop); /* until told of the jump, before what it made due */
    assert_string_equal(journal, "jc");
    core_loop_run(loop);
    assert_string_equal(journal, "jca");

    /* Backwards: what was near is far. */
    core_timer_set(loop, &a, core_clock_now_unix_ms() + 50);
    jump.fn = jump_back;
    core_timer_set(loop, &jump, 0);
    core_loop_run(loop);
    assert_string_equal(journal, "jcajc");
    run_for(loop, 100);
    assert_string_equal(journal, "jcajc");
    atomic_store(offset_ms, 3600000);
    core_loop_run(loop);
    core_loop_run(loop);
    assert_string_equal(journal, "jcajcca");
    core_loop_free(loop);
}

/* ---- a fast clock ---------------------------------------------------------------------------- */

/* In a process of its own, since a clock is set only once. */
static void a_fast_clock(void **state)
{
    int status = -1;
    pid_t child = fork();

    (void)state;
    if (child == 0) {
        struct rc_error err = RC_ERROR_INIT;
        struct core_loop *loop = new_loop();
        struct core_timer end = { .clock = CORE_TIMER_WALL, .fn = stop, .context = loop };
        int64_t began_ms = core_clock_mono_ms();
        int64_t at_ms = INT64_C(1774742400000) + 60000;

        setenv("RUN_CORE_CLOCK", "2026-03-29T00:00:00Z*600", 1);
        if (core_clock_init(&err) || core_clock_now_unix_ms() >= at_ms)
            _exit(2);
        core_timer_set(loop, &end, at_ms);
        core_loop_run(loop);
        _exit(core_clock_now_unix_ms() >= at_ms && core_clock_mono_ms() - began_ms < 50000 &&
                      core_loop_turns(loop) < 4
                  ? 0
                  : 1);
    }
    waitpid(child, &status, 0);
    assert_int_equal(status, 0);
}

/* Read at its first look, it would end the process. */
static void a_file_too_short_for_an_offset_is_refused(void **state)
{
    pid_t child = fork();
    int status;

    (void)state;
    if (child == 0) {
        struct rc_error err = RC_ERROR_INIT;

        setenv("RUN_CORE_CLOCK", "@/dev/null", 1);
        if (core_clock_init(&err) == RC_OK)
            _exit(1);
        char path[] = "/tmp/clock-test.XXXXXX", words[64];
        int fd = mkstemp(path);
        snprintf(words, sizeof(words), "@%s", path);
        setenv("RUN_CORE_CLOCK", words, 1);
        enum rc_code code = core_clock_init(&err);
        close(fd);
        unlink(path);
        _exit(code == RC_INVALID ? 0 : 2);
    }
    waitpid(child, &status, 0);
    assert_int_equal(status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timers_fire_in_order),
        cmocka_unit_test(a_hundred_thousand_timers),
        cmocka_unit_test(a_timer_always_due_starves_nobody),
        cmocka_unit_test(callbacks_cancel_timers_of_the_same_moment),
        cmocka_unit_test(an_idle_loop_sleeps),
        cmocka_unit_test(a_watch_that_was_ended_is_not_called),
        cmocka_unit_test(signals_arrive),
        cmocka_unit_test(a_signal_that_keeps_arriving_starves_nobody),
        cmocka_unit_test(the_end_of_a_process_is_told_once),
        cmocka_unit_test(a_child_forgets_the_loop),
        cmocka_unit_test(wall_timers_fire),
        cmocka_unit_test(a_clock_that_was_set_is_told),
        cmocka_unit_test(a_fast_clock),
        cmocka_unit_test_setup(wall_timers_follow_jumps, follow_file),
        cmocka_unit_test(a_file_too_short_for_an_offset_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
