/*
 * The file backend with many readers, writers and removers at once, some of them killed.
 */
#include "file_fixture.h"

#include <os/clock.h>
#include <os/file.h>
#include <run-core/str.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- many at once ------------------------------------------------------------------------- */

enum { OBJECT = 150000, ROUNDS = 40 };

static atomic_bool writing;

static void *read_on(void *context)
{
    RC_STR_AUTO where = uri("shared");
    struct rc_error err = RC_ERROR_INIT;
    int *torn = context;

    while (atomic_load(&writing)) {
        RC_BUF_AUTO(body, OBJECT);

        if (core_storage_get(storage, where, &body, &err) || body.len != OBJECT ||
            body.data[0] != body.data[OBJECT - 1])
            (*torn)++;
    }
    return NULL;
}

static void readers_see_the_old_or_the_new(void **state)
{
    enum { READERS = 4 };
    RC_STR_AUTO where = uri("shared");
    RC_STR_AUTO content = rc_calloc(OBJECT, 1);
    struct rc_error err = RC_ERROR_INIT;
    pthread_t readers[READERS];
    int torn[READERS] = { 0 };

    (void)state;
    expect_ok(core_storage_put(storage, where, content, OBJECT, NULL, &err));
    atomic_store(&writing, true);
    for (int i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&readers[i], NULL, read_on, &torn[i]), 0);
    for (int i = 0; i < ROUNDS; i++) {
        memset(content, i, OBJECT);
        expect_ok(core_storage_put(storage, where, content, OBJECT, NULL, &err));
    }
    atomic_store(&writing, false);
    for (int i = 0; i < READERS; i++) {
        assert_int_equal(pthread_join(readers[i], NULL), 0);
        assert_int_equal(torn[i], 0);
    }
}

struct racer {
    pthread_t thread;
    char etag[RC_ETAG_TEXT];
    enum rc_code code;
    int number;
};

static void *race(void *context)
{
    RC_STR_AUTO where = uri("prize");
    struct racer *racer = context;
    struct rc_error err = RC_ERROR_INIT;
    RC_STR_AUTO text = rc_strf("racer %d", racer->number);

    racer->code = core_storage_put(storage, where, text, strlen(text), racer->etag, &err);
    return NULL;
}

static void of_many_conditional_puts_one_wins(void **state)
{
    enum { RACERS = 20 };
    RC_STR_AUTO where = uri("prize");
    struct racer racers[RACERS];
    struct rc_error err = RC_ERROR_INIT;
    struct rc_stat stat = { .etag = RC_IF_ABSENT };

    (void)state;
    for (int round = 0; round < 10; round++) {
        int winner = -1;

        for (int i = 0; i < RACERS; i++) {
            racers[i] = (struct racer){ .number = i };
            memcpy(racers[i].etag, stat.etag, sizeof(stat.etag));
            assert_int_equal(pthread_create(&racers[i].thread, NULL, race, &racers[i]), 0);
        }
        for (int i = 0; i < RACERS; i++) {
            assert_int_equal(pthread_join(racers[i].thread, NULL), 0);
            assert_true(racers[i].code == RC_OK || racers[i].code == RC_CONFLICT);
            if (racers[i].code == RC_OK) {
                assert_int_equal(winner, -1);
                winner = i;
            }
        }
        RC_STR_AUTO text = rc_strf("racer %d", winner);
        assert_content(where, text);
        expect_ok(core_storage_stat(storage, where, &stat, &err));
    }
}

/*
 * Counts up in an object by reading it and putting it back on the condition that it is unchanged.
 */
static int count_up(void)
{
    RC_STR_AUTO where = uri("counter");
    struct rc_error err = RC_ERROR_INIT;

    for (int done = 0; done < 25;) {
        RC_BUF_AUTO(body, 100);
        struct rc_stat stat;
        int64_t value;

        if (core_storage_stat(storage, where, &stat, &err) ||
            core_storage_get(storage, where, &body, &err) || !rc_parse_int(body.data, &value))
            return 1;
        RC_STR_AUTO next = rc_strf("%lld", (long long)value + 1);
        enum rc_code code = core_storage_put(storage, where, next, strlen(next), stat.etag, &err);
        if (code && code != RC_CONFLICT)
            return 2;
        done += code == RC_OK;
    }
    return 0;
}

static void no_conditional_put_is_lost_between_processes(void **state)
{
    enum { CHILDREN = 6 };
    RC_STR_AUTO where = uri("counter");
    struct rc_error err = RC_ERROR_INIT;
    pid_t children[CHILDREN];
    int status;

    (void)state;
    expect_ok(put("counter", "0", &err));
    for (int i = 0; i < CHILDREN; i++) {
        children[i] = fork();
        assert_true(children[i] >= 0);
        if (children[i] == 0)
            _exit(count_up());
    }
    for (int i = 0; i < CHILDREN; i++) {
        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_int_equal(status, 0);
    }
    assert_content(where, "150");
}

static void *put_and_drop(void *context)
{
    RC_STR_AUTO where = rc_strf("s3://b/deep/er/%d", *(const int *)context);
    RC_STR_AUTO url = uri("bucket");
    const struct core_store_settings stores[] = { { .name = "b", .bucket = "b", .url = url } };
    struct core_storage *in = core_storage_new(stores, 1, NULL, NULL);
    struct rc_error err = RC_ERROR_INIT;
    struct rc_stat stat;
    char *failure = NULL;

    for (int i = 0; i < 150 && !failure; i++)
        if (core_storage_put(in, where, "x", 1, i % 2 ? RC_IF_ABSENT : NULL, &err) ||
            core_storage_stat(in, where, &stat, &err) ||
            core_storage_remove(in, (const char *const[]){ where }, 1, &err))
            failure = rc_strf("round %d: %s: %s", i, err.context, err.cause);
    core_storage_free(in);
    return failure;
}

/* The folders of a mapped bucket come and go with their objects; no put may suffer from that. */
static void removal_of_folders_loses_no_put(void **state)
{
    enum { THREADS = 6 };
    pthread_t threads[THREADS];
    int numbers[THREADS];

    (void)state;
    for (int i = 0; i < THREADS; i++) {
        numbers[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, put_and_drop, &numbers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        void *failure;

        assert_int_equal(pthread_join(threads[i], &failure), 0);
        if (failure)
            fail_msg("%s", (char *)failure);
    }
    assert_int_equal(entries("bucket"), 0);
}

static void *make_and_remove(void *context)
{
    RC_STR_AUTO inner = path("outer/inner");

    (void)context;
    while (atomic_load(&writing)) {
        (void)mkdir(inner, 0777);
        (void)rmdir(inner);
    }
    return NULL;
}

static void folders_that_vanish_are_made_again(void **state)
{
    enum { THREADS = 3 };
    RC_STR_AUTO inner = path("outer/inner");
    struct rc_error err = RC_ERROR_INIT;
    pthread_t threads[THREADS];

    (void)state;
    expect_ok(core_dir_make(inner, 0777, &err));
    atomic_store(&writing, true);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, make_and_remove, NULL), 0);
    for (int i = 0; i < 20000; i++)
        expect_ok(core_dir_make(inner, 0777, &err));
    atomic_store(&writing, false);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
}

static void *move_about(void *context)
{
    const bool forth = *(const bool *)context;
    RC_STR_AUTO a = uri("ping");
    RC_STR_AUTO b = uri("pong");
    struct rc_error err = RC_ERROR_INIT;
    intptr_t wrong = 0;

    for (int i = 0; i < 200; i++) {
        enum rc_code code =
            forth ? core_storage_move(storage, a, b, &err) : core_storage_move(storage, b, a, &err);
        wrong += code != RC_OK && code != RC_NOT_FOUND;
    }
    return (void *)wrong;
}

static void moves_in_both_directions_do_not_wait_for_each_other(void **state)
{
    enum { THREADS = 4 };
    pthread_t threads[THREADS];
    bool forth[THREADS];
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    expect_ok(put("ping", "ball", &err));
    for (int i = 0; i < THREADS; i++) {
        forth[i] = i % 2 == 0;
        assert_int_equal(pthread_create(&threads[i], NULL, move_about, &forth[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        void *wrong;

        assert_int_equal(pthread_join(threads[i], &wrong), 0);
        assert_null(wrong);
    }
    assert_true(exists("ping") != exists("pong"));
}

/* Whether this process has something open below 'where', though it may have no name yet. */
static bool is_writing_to(const char *where)
{
    DIR *dir = opendir("/proc/self/fd");
    struct dirent *entry;
    bool found = false;

    assert_non_null(dir);
    while (!found && (entry = readdir(dir)) != NULL) {
        char target[PATH_MAX];
        ssize_t len = readlinkat(dirfd(dir), entry->d_name, target, sizeof(target) - 1);

        target[len > 0 ? len : 0] = '\0';
        found = rc_str_starts(target, where);
    }
    (void)closedir(dir);
    return found;
}

static atomic_bool is_moved;

/* Replaces the source of a move once its copy has begun, unless it comes too late. */
static void *replace_late(void *context)
{
    RC_STR_AUTO source = path("source");
    RC_STR_AUTO other = path("other");
    RC_STR_AUTO target = path("to/");

    (void)context;
    while (!atomic_load(&is_moved)) {
        if (is_writing_to(target))
            return (void *)(intptr_t)rename(other, source);
        sched_yield();
    }
    return NULL;
}

/* The content behind a link has to be copied to be moved, which takes a while. */
static void moves_that_copy_lose_nothing(void **state)
{
    enum { LARGE = 64 * 1024 * 1024, TRIES = 20 };
    RC_STR_AUTO source = path("source");
    RC_STR_AUTO content = path("content");
    RC_STR_AUTO from = uri("source");
    RC_STR_AUTO to = uri("to/target");
    RC_STR_AUTO target = path("to");
    struct rc_error err = RC_ERROR_INIT;
    enum rc_code code = RC_OK;
    pthread_t thread;
    void *failed;

    (void)state;
    expect_ok(put("content", "x", &err));
    assert_int_equal(truncate(content, LARGE), 0);
    assert_int_equal(mkdir(target, 0777), 0);
    /* Where the thread gets no turn during the copy, the move succeeds. */
    for (int i = 0; i < TRIES && code == RC_OK; i++) {
        (void)unlink(source);
        assert_int_equal(symlink(content, source), 0);
        expect_ok(put("other", "new", &err));
        atomic_store(&is_moved, false);
        assert_int_equal(pthread_create(&thread, NULL, replace_late, NULL), 0);
        code = core_storage_move(storage, from, to, &err);
        atomic_store(&is_moved, true);
        assert_int_equal(pthread_join(thread, &failed), 0);
        assert_null(failed);
    }
    assert_int_equal(code, RC_CONFLICT);
    assert_content(from, "new");
}

static void *churn(void *context)
{
    struct rc_error err = RC_ERROR_INIT;

    (void)context;
    for (int i = 0; atomic_load(&writing); i++) {
        RC_STR_AUTO name = rc_strf("churn/%d/%d/object", i % 5, i % 7);
        RC_STR_AUTO above = path("churn/3");

        if (put(name, "x", &err) || (i % 11 == 0 && core_tree_remove(above, &err)))
            continue; /* the two get in each other's way, as they should here */
    }
    return NULL;
}

static void listings_bear_folders_that_vanish(void **state)
{
    RC_STR_AUTO base = uri("churn/");
    struct rc_error err = RC_ERROR_INIT;
    pthread_t thread;

    (void)state;
    expect_ok(put("churn/9", "x", &err));
    atomic_store(&writing, true);
    assert_int_equal(pthread_create(&thread, NULL, churn, NULL), 0);
    for (int i = 0; i < 200; i++) {
        const struct rc_list_options options = { .shallow = i % 2 };
        RC_STR_AUTO last = rc_strdup("");
        struct rc_listing *listing;
        const struct rc_object *object;

        expect_ok(core_storage_list(storage, base, &options, &listing, &err));
        for (;;) {
            expect_ok(core_listing_next(listing, &object, &err));
            if (!object)
                break;
            assert_true(strcmp(last, object->name) < 0);
            rc_str_free(&last);
            last = rc_strdup(object->name);
        }
        core_listing_close(listing);
        assert_string_equal(last, "9"); /* what was there all the time is always seen */
    }
    atomic_store(&writing, false);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

/* ---- kill -9 ------------------------------------------------------------------------------ */

static void put_for_ever(void)
{
    RC_STR_AUTO where = uri("victim");
    RC_STR_AUTO content = rc_calloc(OBJECT, 1);
    struct rc_error err;

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (int i = 1;; i++) {
        memset(content, i, OBJECT);
        if (core_storage_put(storage, where, content, OBJECT, NULL, &err))
            _exit(1);
    }
}

static void a_killed_writer_leaves_the_old_or_the_new(void **state)
{
    RC_STR_AUTO where = uri("victim");
    RC_STR_AUTO content = rc_calloc(OBJECT, 1);
    struct rc_error err = RC_ERROR_INIT;
    unsigned seed = 1;

    (void)state;
    expect_ok(core_storage_put(storage, where, content, OBJECT, NULL, &err));
    for (int round = 0; round < 60; round++) {
        RC_BUF_AUTO(body, OBJECT);
        int status;
        pid_t pid = fork();

        assert_true(pid >= 0);
        if (pid == 0)
            put_for_ever();
        (void)usleep((useconds_t)(rand_r(&seed) % 15000));
        (void)kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));

        expect_ok(core_storage_get(storage, where, &body, &err));
        assert_int_equal(body.len, OBJECT);
        for (size_t i = 1; i < OBJECT; i++)
            assert_int_equal(body.data[i], body.data[0]);
    }
    /* The next write of the object removes what the dead left. */
    expect_ok(core_storage_put(storage, where, "x", 1, NULL, &err));
    assert_int_equal(entries(""), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(readers_see_the_old_or_the_new),
        TEST(of_many_conditional_puts_one_wins),
        TEST(no_conditional_put_is_lost_between_processes),
        TEST(removal_of_folders_loses_no_put),
        TEST(folders_that_vanish_are_made_again),
        TEST(moves_in_both_directions_do_not_wait_for_each_other),
        TEST(moves_that_copy_lose_nothing),
        TEST(listings_bear_folders_that_vanish),
        TEST(a_killed_writer_leaves_the_old_or_the_new),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
