/*
 * Runs that a plugin begins, with this test in place of the program that they are: it is started as
 * 'submitted PLUGIN ACTION RUN', and does what the action's name says.
 */
#include <runtime/submit.h>

#include <os/file.h>
#include <runtime/exit.h>
#include <runtime/plugin.h>

#include <run-core/str.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* None of it is waited for unless something is wrong. */
enum { PATIENCE_S = 600, WAIT_MS = 60000 };

/* The variable that names a folder of the test. */
#define FOLDER "RUN_CORE_TEST_FOLDER"

/* ---- what is started ------------------------------------------------------------------------- */

/* The file is there only with the whole number in it. */
static void leave_number(const char *id)
{
    RC_STR_AUTO path = rc_strf("%s/%s", getenv(FOLDER), id);
    RC_STR_AUTO text = rc_strf("%ld", (long)getpid());
    struct rc_error err = RC_ERROR_INIT;

    if (core_file_write(path, text, strlen(text), 0600, &err))
        _exit(CORE_EXIT_FAILED);
}

static int be_submitted(const char *action, const char *id)
{
    struct core_arena arena = CORE_ARENA_INIT;
    struct core_submitted submitted;
    struct rc_error err = RC_ERROR_INIT;

    if (fork() > 0)
        _exit(CORE_EXIT_OK);
    (void)alarm(PATIENCE_S);
    if (strcmp(action, "vanish") == 0)
        _exit(CORE_EXIT_FAILED);
    if (strcmp(action, "stay") == 0 || strcmp(action, "hesitate") == 0)
        leave_number(id); /* only of those that do not end by themselves */
    if (strcmp(action, "hesitate") == 0)
        (void)pause();
    if (core_submitted_read(&arena, &submitted, &err) || strcmp(submitted.action, action) != 0 ||
        !rc_str_eq(core_node_text(submitted.params, "mark"), "a\nb") || submitted.log_level != 2)
        (void)rc_fail(&err, RC_CORRUPT, "the order is another one");
    else if (strcmp(action, "refuse") == 0)
        (void)rc_fail(&err, RC_DENIED, "not\nnow");
    (void)core_submitted_tell(err.code ? &err : NULL);
    core_arena_clear(&arena);
    if (!err.code)
        (void)pause();
    _exit(CORE_EXIT_OK);
}

/* ---- who starts it --------------------------------------------------------------------------- */

struct params {
    const char *mark;
};

static const struct rc_option params[] = {
    { RC_STR("mark", struct params, mark), .help = "A mark." },
    { 0 },
};

#define ACTION(text)                                                                               \
    {                                                                                              \
        .name = text, .summary = "One.", .params = CORE_OPTION_TABLE(params),                      \
        .params_size = sizeof(struct params)                                                       \
    }

static struct core_action actions[] = { ACTION("stay"), ACTION("vanish"), ACTION("hesitate"),
                                        ACTION("refuse") };

struct fixture {
    struct core_plugin plugin;
    struct core_request request;
    struct core_run run;
    struct core_cancel cancel;
    struct core_job job;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    f->plugin.name = "submit";
    f->plugin.actions = actions;
    f->plugin.action_count = RC_ARRAY_LEN(actions);
    f->request.plugin = "submit";
    f->request.log_level = 2;
    f->run.request = &f->request;
    f->run.plugin = &f->plugin;
    (void)pthread_mutex_init(&f->run.opening, NULL);
    f->job.run = &f->run;
    f->job.cancel = &f->cancel;
    f->job.job.plugin = "submit";
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    core_submits_clear(&f->run.submits);
    (void)pthread_mutex_destroy(&f->run.opening);
    free(f);
    return 0;
}

static enum rc_code submit(struct fixture *f, const char *action, char id[RC_RUN_ID_TEXT],
                           struct rc_error *err)
{
    static const struct rc_pair mark = { "mark", "a\nb" };

    return core_submit(&f->job, action, &mark, 1, id, err);
}

/* It has left its number before it said that it has begun. */
static void kill_run(const char *id)
{
    RC_STR_AUTO path = rc_strf("%s/%s", getenv(FOLDER), id);
    RC_BUF_AUTO(text, 64);
    struct rc_error err = RC_ERROR_INIT;
    int64_t pid;

    assert_int_equal(core_file_read(path, &text, &err), RC_OK);
    assert_true(rc_parse_int(text.data, &pid) && pid > 1);
    (void)kill((pid_t)pid, SIGKILL);
    (void)unlink(path); /* the number may be another's soon */
}

static void so_many_go_on_at_a_time(void **state)
{
    struct fixture *f = *state;
    static char ids[CORE_SUBMITS][RC_RUN_ID_TEXT];
    struct rc_error err = RC_ERROR_INIT;
    char id[RC_RUN_ID_TEXT];

    for (size_t i = 0; i < CORE_SUBMITS; i++)
        if (submit(f, "stay", ids[i], &err))
            fail_msg("%s: %s", err.context, err.cause);
    assert_int_equal(submit(f, "stay", id, &err), RC_UNAVAILABLE);
    assert_string_equal(id, "");
    assert_non_null(strstr(err.cause, "64 runs that were begun here go on"));
    /* Nobody here is its parent, so that there is nobody to reap. */
    assert_true(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD);

    kill_run(ids[7]);
    for (int waited_ms = 0; submit(f, "stay", id, &err); waited_ms += 10) {
        assert_true(waited_ms < WAIT_MS);
        (void)poll(NULL, 0, 10);
    }
    assert_int_equal(submit(f, "stay", ids[7], &err), RC_UNAVAILABLE);
    kill_run(id);
    for (size_t i = 0; i < CORE_SUBMITS; i++)
        if (i != 7)
            kill_run(ids[i]);
}

static void what_it_says_is_the_answer(void **state)
{
    struct fixture *f = *state;
    struct rc_error err = RC_ERROR_INIT;
    char id[RC_RUN_ID_TEXT];

    assert_int_equal(submit(f, "refuse", id, &err), RC_DENIED);
    assert_string_equal(err.cause, "not now");
    assert_string_equal(err.context, "begin a run of 'refuse'");
    assert_int_equal(submit(f, "vanish", id, &err), RC_UNAVAILABLE);
    assert_non_null(strstr(err.cause, "ended before the run began"));
    assert_int_equal(submit(f, "unknown", id, &err), RC_INVALID);
    assert_int_equal(f->run.submits.count, 0);
    assert_int_equal(f->run.submits.pending, 0);
}

/* How many have left their numbers; kills them, where that is wanted. */
static int count_runs(bool kills)
{
    DIR *folder = opendir(getenv(FOLDER));
    const struct dirent *entry;
    int count = 0;

    while (folder && (entry = readdir(folder)))
        if (entry->d_name[0] != '.') {
            if (kills)
                kill_run(entry->d_name);
            count++;
        }
    if (folder)
        (void)closedir(folder);
    return count;
}

/* One that was cancelled before it was started would not be there at all. */
static void *cancel_what_is_there(void *context)
{
    for (int waited_ms = 0; count_runs(/* kills = */ false) == 0 && waited_ms < WAIT_MS;
         waited_ms += 10)
        (void)poll(NULL, 0, 10);
    core_cancel_request(context, RC_CANCELLED);
    return NULL;
}

static void who_is_cancelled_waits_no_longer(void **state)
{
    struct fixture *f = *state;
    struct rc_error err = RC_ERROR_INIT;
    char id[RC_RUN_ID_TEXT];
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, cancel_what_is_there, &f->cancel), 0);
    assert_int_equal(submit(f, "hesitate", id, &err), RC_CANCELLED);
    (void)pthread_join(thread, NULL);
    assert_int_equal(f->run.submits.count + f->run.submits.pending, 0);
    assert_int_equal(count_runs(/* kills = */ true), 1);
}

/* ---- the word and the way -------------------------------------------------------------------- */

static void a_word_is_a_line(void **state)
{
    static const struct {
        const char *text;
        enum rc_code code;
        const char *cause;
    } cases[] = {
        { "0\n", RC_OK, "" },
        { "2 it is wrong\n", RC_INVALID, "it is wrong" },
        { "1\n", RC_FAILED, "it cannot begin" },
        { "", RC_UNAVAILABLE, NULL },
        { "\n", RC_UNAVAILABLE, NULL },
        { "99 what\n", RC_UNAVAILABLE, NULL },
        { "-1 what\n", RC_UNAVAILABLE, NULL },
        { "no number\n", RC_UNAVAILABLE, NULL },
    };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        struct rc_error err = RC_ERROR_INIT;

        assert_int_equal(core_submitted_told(cases[i].text, strlen(cases[i].text), &err),
                         cases[i].code);
        if (cases[i].code && cases[i].cause)
            assert_string_equal(err.cause, cases[i].cause);
    }
}

/* What comes by the socket is the worker's, which runs a plugin: it may be anything. */
static void a_guard_believes_no_worker(void **state)
{
    static const char *const words[3] = { "submit", "refuse", "id" };
    int guard_fd, worker_fd, nothing = open("/dev/null", O_RDWR | O_CLOEXEC);

    (void)state;
    assert_true(core_submit_channel(&guard_fd, &worker_fd));
    assert_true(core_submit_serve(guard_fd)); /* there is nothing yet */
    assert_int_equal(send(worker_fd, "x", 1, 0), 1);
    assert_true(core_submit_serve(guard_fd));
    assert_int_equal(send(worker_fd, "a\0b\0c", 5, 0), 5); /* without descriptors */
    assert_true(core_submit_serve(guard_fd));
    assert_true(core_submit_ask(worker_fd, words, nothing, nothing));
    assert_true(core_submit_serve(guard_fd)); /* with an order that is none */
    (void)close(worker_fd);
    assert_false(core_submit_serve(guard_fd));
    (void)close(guard_fd);
    (void)close(nothing);
}

static int make_folder(void **state)
{
    static char folder[] = "/tmp/run-core-submit-XXXXXX";

    (void)state;
    return mkdtemp(folder) && setenv(FOLDER, folder, 1) == 0 ? 0 : -1;
}

static int remove_folder(void **state)
{
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    (void)count_runs(/* kills = */ true);
    return core_tree_remove(getenv(FOLDER), &err) == RC_OK ? 0 : -1;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(so_many_go_on_at_a_time),
        TEST(what_it_says_is_the_answer),
        TEST(who_is_cancelled_waits_no_longer),
        cmocka_unit_test(a_word_is_a_line),
        cmocka_unit_test(a_guard_believes_no_worker),
    };

    if (argc > 4 && strcmp(argv[1], "submitted") == 0)
        return be_submitted(argv[3], argv[4]);
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
