/*
 * Moves of files on conditions, while others write: here, whenever something goes to the disk,
 * which is what takes a move its time.
 */
#include "file_fixture.h"

#include <storage/transfer.h>

#include <run-core/str.h>

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

/* Another program, whose turn comes at one of the flushes: the last for which it waits. */
static struct {
    const char *name; /* what it writes */
    int flushes;
} other;

static void write_anew(const char *name)
{
    RC_STR_AUTO where = path(name);
    RC_STR_AUTO temporary = path("other");
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL, 0666);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, "theirs", 6), 6);
    assert_int_equal(close(fd), 0);
    assert_int_equal(rename(temporary, where), 0);
}

/* Instead of the one of the C library. */
int fsync(int fd)
{
    if (other.flushes > 0 && --other.flushes == 0)
        write_anew(other.name);
    return (int)syscall(SYS_fsync, fd);
}

struct list {
    struct rc_transfer_item item;
    bool is_given;
};

static enum rc_code next_item(void *context, struct rc_transfer_item *item, bool *more,
                              struct rc_error *err)
{
    struct list *list = context;

    (void)err;
    *more = !list->is_given;
    *item = list->item;
    list->is_given = true;
    return RC_OK;
}

/* Moves "from" to "to", while another writes 'name' at that flush. */
static enum rc_code move_while_written(const char *name, int flush, enum rc_transfer_when when,
                                       const char *etag, struct rc_transferred *done)
{
    RC_STR_AUTO from = uri("from");
    RC_STR_AUTO to = uri("to");
    struct list list = { .item = { .source = from, .target = to, .size_bytes = -1, .etag = etag } };
    struct rc_error err = RC_ERROR_INIT;
    const struct rc_transfer request = {
        .struct_bytes = sizeof(request),
        .flags = RC_TRANSFER_MOVE | RC_TRANSFER_KEEP_GOING,
        .when = when,
        .next = next_item,
        .context = &list,
    };
    enum rc_code code;

    other.name = name;
    other.flushes = flush;
    code = core_transfer_run(storage, &request, done, &err);
    assert_int_equal(other.flushes, 0);
    return code;
}

static void expect_file(const char *name, const char *text)
{
    RC_STR_AUTO where = uri(name);

    assert_content(where, text);
}

static void make_source(struct rc_stat *stat)
{
    RC_STR_AUTO from = uri("from");
    struct rc_error err = RC_ERROR_INIT;

    expect_ok(put("from", "ours", &err));
    expect_ok(core_storage_stat(storage, from, stat, &err));
}

/* One that is a link is copied and removed, as between two file systems. */
static void make_linked_source(struct rc_stat *stat)
{
    RC_STR_AUTO from = path("from");
    RC_STR_AUTO content = path("content");

    make_source(stat);
    assert_int_equal(rename(from, content), 0);
    assert_int_equal(symlink(content, from), 0);
}

static void a_target_that_comes_meanwhile_stays(void **state)
{
    struct rc_transferred done;
    struct rc_stat stat;

    (void)state;
    make_source(&stat);
    assert_int_equal(move_while_written("to", 1, RC_TRANSFER_IF_ABSENT, NULL, &done), RC_OK);
    assert_int_equal(done.skipped, 1);
    expect_file("to", "theirs");
    expect_file("from", "ours");

    /* Where it may be replaced it is. */
    assert_int_equal(move_while_written("to", 1, RC_TRANSFER_ALWAYS, NULL, &done), RC_OK);
    expect_file("to", "ours");
    assert_false(exists("from"));
    assert_int_equal(done.bytes, strlen("ours"));
}

static void a_target_that_comes_during_a_copy_stays(void **state)
{
    struct rc_transferred done;
    struct rc_stat stat;

    (void)state;
    make_linked_source(&stat);
    assert_int_equal(move_while_written("to", 2, RC_TRANSFER_IF_ABSENT, NULL, &done), RC_OK);
    assert_int_equal(done.skipped, 1);
    expect_file("to", "theirs");
    expect_file("from", "ours");
}

static void a_source_that_is_replaced_meanwhile_stays(void **state)
{
    struct rc_transferred done;
    struct rc_stat stat;

    (void)state;
    make_source(&stat);
    assert_int_equal(move_while_written("from", 1, RC_TRANSFER_ALWAYS, stat.etag, &done),
                     RC_CONFLICT);
    expect_file("from", "theirs");
    assert_false(exists("to"));
}

static void a_source_that_is_replaced_before_its_copy_stays(void **state)
{
    struct rc_transferred done;
    struct rc_stat stat;

    (void)state;
    make_linked_source(&stat);
    assert_int_equal(move_while_written("content", 1, RC_TRANSFER_ALWAYS, stat.etag, &done),
                     RC_CONFLICT);
    expect_file("from", "theirs");
    assert_false(exists("to"));
}

/* Nothing is there to be read, but neither is the name free. */
static void a_link_that_leads_nowhere_is_in_the_way(void **state)
{
    RC_STR_AUTO to = path("to");
    struct rc_transferred done;
    struct rc_stat stat;

    (void)state;
    make_source(&stat);
    assert_int_equal(symlink("nowhere", to), 0);
    assert_int_equal(move_while_written("unrelated", 1, RC_TRANSFER_IF_ABSENT, stat.etag, &done),
                     RC_CONFLICT);
    expect_file("from", "ours");
    assert_int_equal(move_while_written("unrelated", 1, RC_TRANSFER_ALWAYS, stat.etag, &done),
                     RC_OK);
    expect_file("to", "ours");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_target_that_comes_meanwhile_stays),
        TEST(a_target_that_comes_during_a_copy_stays),
        TEST(a_source_that_is_replaced_meanwhile_stays),
        TEST(a_source_that_is_replaced_before_its_copy_stays),
        TEST(a_link_that_leads_nowhere_is_in_the_way),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
