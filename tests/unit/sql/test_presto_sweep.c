/*
 * What dead sessions have left on an engine elsewhere: what of it is removed, and what is left for
 * others.
 */
#include "presto_fixture.h"

#include <run-core/str.h>

#include <stdlib.h>
#include <string.h>

static const struct core_engine_ops *ops(struct presto_fixture *f)
{
    return f->session.base.ops;
}

#define must(f, call)                                                                              \
    do {                                                                                           \
        if (call)                                                                                  \
            fail_msg("%s: %s", (f)->err.context, (f)->err.cause);                                  \
    } while (0)

static void test_sweep(void **state)
{
    struct presto_fixture *f = *state;

    presto_file(f, "work/rc_dead_1/_session", "");
    presto_file(f, "work/rc_dead_1/t_1/part", "x");
    presto_file(f, "work/rc_dead_1/t_2/deeper/part", "x");
    presto_file(f, "work/rc_dead_2/_session", "");
    presto_file(f, "work/rc_dead_3/t/without-mark", "");
    presto_file(f, "work/rc_living_1/_session", "");
    presto_file(f, "work/somebody/file", "x");
    presto_file(f, "work/rc_NOT-a-session/file", "x");
    presto_file(f, "work/rc_file", "x");
    f->living = "rc_living_1";
    must(f, ops(f)->make(&f->session.base, "t", "SELECT 1", NULL, 0, NULL, &f->err));
    assert_log(f, "ddl END rc_dead_1\nddl END rc_dead_2\nddl END rc_dead_3\nddl BEGIN\n"
                  "dml MAKE <rc_me_1.t_1> parquet snappy IN file://DIR/work/rc_me_1/t_1/ AS SELECT "
                  "1\n");
    assert_false(presto_has_file(f, "work/rc_dead_1/_session"));
    assert_false(presto_has_file(f, "work/rc_dead_1/t_2/deeper/part"));
    assert_false(presto_has_file(f, "work/rc_dead_3/t/without-mark"));
    assert_true(presto_has_file(f, "work/rc_living_1/_session"));
    assert_true(presto_has_file(f, "work/somebody/file"));
    assert_true(presto_has_file(f, "work/rc_NOT-a-session/file"));
    assert_true(presto_has_file(f, "work/rc_file"));
    assert_non_null(strstr(f->said.data, "removed what the session 'rc_dead_2' had left"));

    /* Once in a session. */
    presto_file(f, "work/rc_dead_1/_session", "");
    rc_buf_reset(&f->log);
    must(f, ops(f)->drop(&f->session.base, "t", &f->err));
    must(f, ops(f)->make(&f->session.base, "t", "SELECT 1", NULL, 0, NULL, &f->err));
    assert_null(strstr(f->log.data, "END"));
    presto_close(f);
    assert_int_equal(
        core_storage_remove(f->store,
                            (const char *const[]){ presto_uri(f, "work/rc_dead_1/_session"),
                                                   presto_uri(f, "work/rc_living_1/_session"),
                                                   presto_uri(f, "work/somebody/file"),
                                                   presto_uri(f, "work/rc_NOT-a-session/file"),
                                                   presto_uri(f, "work/rc_file") },
                            5, &f->err),
        RC_OK);
}

/* What fails is told, stays with its mark, and does not end the work. */
static void test_sweep_fails(void **state)
{
    struct presto_fixture *f = *state;

    presto_file(f, "work/rc_dead_1/_session", "");
    presto_file(f, "work/rc_dead_1/t/part", "");
    presto_file(f, "work/rc_dead_2/_session", "");
    f->fail_at = 1;
    must(f, ops(f)->make(&f->session.base, "t", "SELECT 1", NULL, 0, NULL, &f->err));
    assert_true(presto_has_file(f, "work/rc_dead_1/_session"));
    assert_true(presto_has_file(f, "work/rc_dead_1/t/part"));
    assert_false(presto_has_file(f, "work/rc_dead_2/_session"));
    assert_non_null(strstr(f->said.data, "1 what the session 'rc_dead_1' has left in "
                                         "'file://DIR/work/' stays for now: the server says no"));
    presto_close(f);

    /* The run is to stop while it is looked for. */
    f->fail_at = 0;
    f->statements = 0;
    f->cancel_at = 1;
    presto_open(f);
    assert_int_equal(ops(f)->make(&f->session.base, "t", "SELECT 1", NULL, 0, NULL, &f->err),
                     RC_CANCELLED);
    assert_true(presto_has_file(f, "work/rc_dead_1/t/part"));
    presto_close(f);

    f->cancel_at = 0;
    atomic_store(&f->cancel.code, RC_OK);
    presto_open(f);
    must(f, ops(f)->make(&f->session.base, "t", "SELECT 1", NULL, 0, NULL, &f->err));
    assert_false(presto_has_file(f, "work/rc_dead_1/t/part"));
}

/* Whose tables another engine knows, and whose statements it alone can end. */
static void test_sweep_leaves_what_is_of_others(void **state)
{
    struct presto_fixture *f = *state;
    RC_BUF_AUTO(left, 4096);

    presto_file(f, "work/rc_dead_1/_session", "run-core\nengine: fake\nserver: here\n");
    presto_file(f, "work/rc_dead_2/_session", "run-core\nengine: fake\nserver: there\n");
    presto_file(f, "work/rc_dead_2/t_1/part", "x");
    presto_file(f, "work/rc_dead_3/_session", "run-core\nengine: other\nserver: here\n");
    presto_file(f, "work/rc_dead_4/_session", "run-core\n"); /* of an earlier release */
    f->place = "server: here\n";
    must(f, ops(f)->make(&f->session.base, "t", "SELECT 1", NULL, 0, NULL, &f->err));
    assert_log(f, "ddl END rc_dead_1\nddl END rc_dead_4\nddl BEGIN\n"
                  "dml MAKE <rc_me_1.t_1> parquet snappy IN file://DIR/work/rc_me_1/t_1/ AS SELECT "
                  "1\n");
    assert_non_null(strstr(f->said.data, "'rc_dead_2' has left in 'file://DIR/work/' is for an "
                                         "engine of its own server and catalogue to remove"));
    assert_null(strstr(f->said.data, "removed what the session 'rc_dead_2'"));
    if (core_storage_get(f->store, presto_uri(f, "work/rc_me_1/_session"), &left, &f->err))
        fail_msg("%s", f->err.cause);
    assert_string_equal(left.data, "run-core\nengine: fake\nserver: here\n");
    presto_close(f);
    rc_buf_reset(&left);
    presto_list(f, "work/", &left);
    assert_string_equal(left.data, "work/rc_dead_2/_session\nwork/rc_dead_2/t_1/part\n"
                                   "work/rc_dead_3/_session\n");

    /* The next of theirs removes it. */
    f->place = "server: there\n";
    presto_open(f);
    must(f, ops(f)->make(&f->session.base, "t", "SELECT 1", NULL, 0, NULL, &f->err));
    assert_false(presto_has_file(f, "work/rc_dead_2/_session"));
    assert_false(presto_has_file(f, "work/rc_dead_2/t_1/part"));
    presto_close(f);
    assert_int_equal(
        core_storage_remove(f->store,
                            (const char *const[]){ presto_uri(f, "work/rc_dead_3/_session") }, 1,
                            &f->err),
        RC_OK);
}

/* A mark that cannot be read may be another's. */
static void test_sweep_leaves_what_it_cannot_read(void **state)
{
    struct presto_fixture *f = *state;

    char *endless = rc_calloc(1, 100 * 1024);

    memset(endless, 'x', 100 * 1024 - 1);
    presto_file(f, "work/rc_dead_1/_session", endless);
    free(endless);
    must(f, ops(f)->make(&f->session.base, "t", "SELECT 1", NULL, 0, NULL, &f->err));
    assert_null(strstr(f->log.data, "END"));
    assert_true(presto_has_file(f, "work/rc_dead_1/_session"));
    assert_non_null(
        strstr(f->said.data, "stays for now: read 'file://DIR/work/rc_dead_1/_session"));
    presto_close(f);
    assert_int_equal(
        core_storage_remove(f->store,
                            (const char *const[]){ presto_uri(f, "work/rc_dead_1/_session") }, 1,
                            &f->err),
        RC_OK);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, presto_setup, presto_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_sweep),
        TEST(test_sweep_fails),
        TEST(test_sweep_leaves_what_is_of_others),
        TEST(test_sweep_leaves_what_it_cannot_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
