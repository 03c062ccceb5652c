/*
 * The identity of processes.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <errno.h>
#include <os/clock.h>
#include <os/process.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* Starts a child that tells who it is and then runs 'body'. */
static pid_t start_child(struct core_process_id *id, void (*body)(void))
{
    int channel[2];

    assert_int_equal(pipe(channel), 0);
    pid_t child = fork();
    if (child == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        core_process_self(id);
        if (write(channel[1], id, sizeof(*id)) == sizeof(*id))
            body();
        _exit(0);
    }
    close(channel[1]);
    assert_int_equal(read(channel[0], id, sizeof(*id)), sizeof(*id));
    close(channel[0]);
    return child;
}

static void wait_for_ever(void)
{
    for (;;)
        pause();
}

static void end_at_once(void)
{
}

static void *thread_body(void *unused)
{
    wait_for_ever();
    return unused;
}

static void end_first_thread(void)
{
    pthread_t thread;

    pthread_create(&thread, NULL, thread_body, NULL);
    pthread_exit(NULL);
}

static void awkward_name(void)
{
    prctl(PR_SET_NAME, ") Z 1 (");
    wait_for_ever();
}

static void settle(void)
{
    core_clock_sleep_ms(100);
}

static void oneself_is_alive(void **state)
{
    struct core_process_id self;

    (void)state;
    core_process_self(&self);
    assert_int_equal(self.pid, getpid());
    assert_true(self.start_ticks > 0);
    assert_true(strlen(self.host) > 36);
    assert_int_equal(core_process_look(&self), CORE_PROCESS_ALIVE);
}

static void a_child_lives_becomes_a_zombie_and_is_gone(void **state)
{
    struct core_process_id id;
    siginfo_t info;

    (void)state;
    pid_t child = start_child(&id, wait_for_ever);
    assert_int_equal(id.pid, child);
    assert_int_equal(core_process_look(&id), CORE_PROCESS_ALIVE);

    kill(child, SIGKILL);
    assert_int_equal(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT), 0);
    assert_int_equal(core_process_look(&id), CORE_PROCESS_DEAD); /* a zombie */
    waitpid(child, NULL, 0);
    assert_int_equal(core_process_look(&id), CORE_PROCESS_DEAD);

    child = start_child(&id, end_at_once);
    waitpid(child, NULL, 0);
    assert_int_equal(core_process_look(&id), CORE_PROCESS_DEAD);
}

static void a_used_again_number_is_another_process(void **state)
{
    struct core_process_id self;

    (void)state;
    core_process_self(&self);
    self.start_ticks--;
    assert_int_equal(core_process_look(&self), CORE_PROCESS_DEAD);
    self.pid = 0;
    assert_int_equal(core_process_look(&self), CORE_PROCESS_DEAD);
    self.pid = -1;
    assert_int_equal(core_process_look(&self), CORE_PROCESS_DEAD);
}

static void elsewhere_nobody_can_tell(void **state)
{
    struct core_process_id self;

    (void)state;
    core_process_self(&self);
    self.host[0] = self.host[0] == 'a' ? 'b' : 'a';
    assert_int_equal(core_process_look(&self), CORE_PROCESS_ELSEWHERE);
    memset(self.host, 'x', sizeof(self.host)); /* not even terminated */
    assert_int_equal(core_process_look(&self), CORE_PROCESS_ELSEWHERE);
    self.host[0] = '\0';
    assert_int_equal(core_process_look(&self), CORE_PROCESS_ELSEWHERE);
}

static void names_do_not_confuse(void **state)
{
    struct core_process_id id;

    (void)state;
    pid_t child = start_child(&id, awkward_name);
    settle();
    assert_int_equal(core_process_look(&id), CORE_PROCESS_ALIVE);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}

static void lives_on_without_its_first_thread(void **state)
{
    struct core_process_id id;

    (void)state;
    pid_t child = start_child(&id, end_first_thread);
    settle();
    assert_int_equal(core_process_look(&id), CORE_PROCESS_ALIVE);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    assert_int_equal(core_process_look(&id), CORE_PROCESS_DEAD);
}

static void be_traced(void)
{
    ptrace(PTRACE_TRACEME, 0, NULL, NULL);
    raise(SIGSTOP);
    wait_for_ever();
}

/*
 * A process that a debugger holds on its way out stands for one that the kernel is not done with.
 */
static void one_that_was_killed_is_ending_until_it_is_gone(void **state)
{
    struct core_process_id id;
    int status;

    (void)state;
    pid_t child = start_child(&id, be_traced);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSTOPPED(status));
    assert_int_equal(core_process_look(&id), CORE_PROCESS_ALIVE);
    assert_int_equal(ptrace(PTRACE_SETOPTIONS, child, NULL, PTRACE_O_TRACEEXIT), 0);
    assert_int_equal(ptrace(PTRACE_CONT, child, NULL, SIGTERM), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status >> 8, SIGTRAP | (PTRACE_EVENT_EXIT << 8));
    assert_int_equal(core_process_look(&id), CORE_PROCESS_ENDING);
    assert_int_equal(ptrace(PTRACE_CONT, child, NULL, 0), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(core_process_look(&id), CORE_PROCESS_DEAD);
}

static void children_are_listed(void **state)
{
    struct core_process_id id;
    pid_t found[4] = { 0 };
    pid_t first = start_child(&id, wait_for_ever);
    pid_t second = start_child(&id, end_at_once);

    (void)state;
    assert_int_equal(core_process_children(found, 4), 2); /* also one that has ended */
    assert_true(found[0] == first || found[1] == first);
    assert_true(found[0] == second || found[1] == second);
    assert_int_equal(core_process_children(found, 1), 1);
    kill(first, SIGKILL);
    waitpid(first, NULL, 0);
    waitpid(second, NULL, 0);
    assert_int_equal(core_process_children(found, 4), 0);
}

static void descriptors_are_raised_and_restored(void **state)
{
    struct rlimit before, now;

    (void)state;
    getrlimit(RLIMIT_NOFILE, &before);
    before.rlim_cur = before.rlim_max > 200 ? 200 : before.rlim_max;
    setrlimit(RLIMIT_NOFILE, &before);
    core_process_restore_descriptors(); /* nothing was raised */
    core_process_raise_descriptors();
    core_process_raise_descriptors();
    getrlimit(RLIMIT_NOFILE, &now);
    assert_int_equal(now.rlim_cur, before.rlim_max);
    core_process_restore_descriptors();
    getrlimit(RLIMIT_NOFILE, &now);
    assert_int_equal(now.rlim_cur, before.rlim_cur);
}

static void memory_is_the_same_in_huge_pages(void **state)
{
    enum { BYTES = 8 * 1024 * 1024 };
    unsigned char *memory = malloc(BYTES);

    (void)state;
    for (size_t i = 0; i < BYTES; i++)
        memory[i] = (unsigned char)(i % 251);
    core_process_join_pages();
    for (size_t i = 0; i < BYTES; i++)
        if (memory[i] != i % 251)
            fail();
    free(memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(oneself_is_alive),
        cmocka_unit_test(a_child_lives_becomes_a_zombie_and_is_gone),
        cmocka_unit_test(a_used_again_number_is_another_process),
        cmocka_unit_test(elsewhere_nobody_can_tell),
        cmocka_unit_test(names_do_not_confuse),
        cmocka_unit_test(lives_on_without_its_first_thread),
        cmocka_unit_test(one_that_was_killed_is_ending_until_it_is_gone),
        cmocka_unit_test(children_are_listed),
        cmocka_unit_test(descriptors_are_raised_and_restored),
        cmocka_unit_test(memory_is_the_same_in_huge_pages),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
