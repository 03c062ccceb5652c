/*
 * The transfer on files: what is copied, moved, skipped and removed, how failures and resumption
 * count, and what is refused. Between other stores: test_s3_transfer.c.
 */
#include "file_fixture.h"

#include <storage/transfer_internal.h>

#include <os/file.h>
#include <run-core/str.h>

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* What a transfer tells, kept for a look; the reports in the order of their sources. */
struct told {
    struct rc_buf reports;
    char *token;
    int64_t progress, checkpoints;
    const char *unwanted;
    struct core_cancel *cancel;
    int compare; /* enum rc_transfer_compare */
};

static void tell_report(void *context, const struct rc_transfer_report *report)
{
    static const char *const acts[] = { "copy", "skip", "remove" };
    struct told *told = context;
    const char *named = report->item.source ? report->item.source : report->item.target;

    rc_buf_addf(&told->reports, "%s %s%s ", acts[report->act], strrchr(named, '/') + 1,
                report->err ? "!" : "");
    if (told->cancel)
        core_cancel_request(told->cancel, RC_CANCELLED);
}

static void tell_progress(void *context, const struct rc_transferred *so_far)
{
    struct told *told = context;

    assert_true(so_far->objects >= 0 && so_far->objects <= so_far->found);
    told->progress++;
}

static enum rc_code keep(void *context, const char *token, struct rc_error *err)
{
    struct told *told = context;

    (void)err;
    free(told->token);
    told->token = rc_strdup(token);
    told->checkpoints++;
    return RC_OK;
}

static bool is_wanted(void *context, const struct rc_object *object)
{
    const struct told *told = context;

    return !rc_str_eq(object->name, told->unwanted);
}

static void forget(struct told *told)
{
    rc_buf_clear(&told->reports);
    rc_str_free(&told->token);
}

#define TOLD_AUTO(name) RC_CLEANUP(forget) struct told name = { .reports = RC_BUF_INIT(1 << 20) }

/* A tree from "from/" to "to/" of the test's folder. */
static enum rc_code copy_tree(struct told *told, unsigned flags, enum rc_transfer_when when,
                              struct rc_transferred *out, struct rc_error *err)
{
    RC_STR_AUTO source = uri("from/");
    RC_STR_AUTO target = uri("to/");
    RC_STR_AUTO resume = rc_strdup(told->token);
    const struct rc_transfer transfer = {
        .struct_bytes = sizeof(transfer),
        .flags = flags,
        .source = source,
        .target = target,
        .when = when,
        .wants = told->unwanted ? is_wanted : NULL,
        .resume = resume,
        .report = tell_report,
        .progress = tell_progress,
        .checkpoint = keep,
        .context = told,
        .compare = told->compare,
    };

    return core_transfer_run(storage, &transfer, out, err);
}

static void put_ok(const char *name, const char *text)
{
    struct rc_error err = RC_ERROR_INIT;

    expect_ok(put(name, text, &err));
}

static void expect_file(const char *name, const char *text)
{
    RC_STR_AUTO where = uri(name);

    assert_content(where, text);
}

static void expect_names(const char *prefix, const char *expected)
{
    RC_STR_AUTO where = uri(prefix);

    assert_listing(storage, where, false, expected);
}

/* ---- trees -------------------------------------------------------------------------------- */

static void copies_a_tree(void **state)
{
    TOLD_AUTO(told);
    struct rc_error err = RC_ERROR_INIT;
    struct rc_transferred done;

    (void)state;
    put_ok("from/a", "1");
    put_ok("from/b/c", "22");
    put_ok("from/b/empty", "");
    put_ok("to/old", "stays");
    expect_ok(copy_tree(&told, 0, RC_TRANSFER_ALWAYS, &done, &err));
    assert_int_equal(done.objects, 3);
    assert_int_equal(done.bytes, 3);
    assert_int_equal(done.found, 3);
    assert_int_equal(done.found_bytes, 3);
    assert_int_equal(done.skipped + done.removed + done.failed, 0);
    expect_names("to/", "a b/c b/empty old ");
    expect_file("to/b/c", "22");
    expect_file("from/b/c", "22");
    assert_true(told.progress > 0);
    assert_int_equal(told.checkpoints, 1);
}

static void moves_a_tree(void **state)
{
    TOLD_AUTO(told);
    struct rc_error err = RC_ERROR_INIT;
    struct rc_transferred done;

    (void)state;
    put_ok("from/a", "1");
    put_ok("from/b/c", "22");
    expect_ok(copy_tree(&told, RC_TRANSFER_MOVE, RC_TRANSFER_ALWAYS, &done, &err));
    assert_int_equal(done.objects, 2);
    expect_names("from/", "");
    expect_names("to/", "a b/c ");
    expect_file("to/b/c", "22");
}

static void copies_what_is_absent_or_different(void **state)
{
    TOLD_AUTO(told);
    TOLD_AUTO(again);
    struct rc_error err = RC_ERROR_INIT;
    struct rc_transferred done;

    (void)state;
    put_ok("to/older", "yyy");
    put_ok("from/absent", "a");
    put_ok("from/longer", "long");
    put_ok("from/older", "xxx");
    put_ok("from/same", "sss");
    put_ok("to/longer", "lo");
    put_ok("to/same", "sss");
    expect_ok(copy_tree(&told, 0, RC_TRANSFER_IF_ABSENT, &done, &err));
    assert_int_equal(done.objects, 1);
    assert_int_equal(done.skipped, 3);
    expect_file("to/longer", "lo");
    rc_str_free(&told.token);
    expect_ok(copy_tree(&told, 0, RC_TRANSFER_IF_DIFFERENT, &done, &err));
    assert_int_equal(done.objects, 2);
    expect_file("to/longer", "long");
    expect_file("to/older", "xxx");
    expect_ok(copy_tree(&again, 0, RC_TRANSFER_IF_DIFFERENT, &done, &err));
    assert_int_equal(done.objects, 0);
    assert_int_equal(done.skipped, 4);
}

static void set_time(const char *name, time_t unix_s)
{
    RC_STR_AUTO where = path(name);
    const struct timespec times[2] = { { .tv_sec = unix_s }, { .tv_sec = unix_s } };

    assert_int_equal(utimensat(AT_FDCWD, where, times, 0), 0);
}

static void compares_as_asked(void **state)
{
    /* What is copied of: the same, another with an older copy, another with a newer copy. */
    static const struct {
        int compare;
        const char *copied;
    } cases[] = {
        { RC_COMPARE_AUTO, "copy older " },
        { RC_COMPARE_SIZE, "" },
        { RC_COMPARE_TIME, "copy older " },
        { RC_COMPARE_ETAG, "copy newer copy older copy same " }, /* files have none to compare */
        { RC_COMPARE_CONTENT, "copy newer copy older " },
    };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        TOLD_AUTO(told);
        struct rc_error err = RC_ERROR_INIT;
        struct rc_transferred done;
        char copied[200] = "";

        put_ok("from/newer", "xxx");
        put_ok("from/older", "xxx");
        put_ok("from/same", "xxx");
        put_ok("to/newer", "yyy");
        put_ok("to/older", "yyy");
        put_ok("to/same", "xxx");
        set_time("from/older", 2000000000);
        told.compare = cases[i].compare;
        expect_ok(copy_tree(&told, RC_TRANSFER_CHECK, RC_TRANSFER_IF_DIFFERENT, &done, &err));
        for (const char *name = "newer\0older\0same\0"; *name; name += strlen(name) + 1) {
            RC_STR_AUTO copy = rc_strf("copy %s ", name);

            if (strstr(told.reports.data, copy))
                memcpy(copied + strlen(copied), copy, strlen(copy) + 1);
        }
        assert_string_equal(copied, cases[i].copied);
        /* Another size is always different. */
        put_ok("to/same", "longer");
        set_time("to/same", 2000000001);
        expect_ok(copy_tree(&told, 0, RC_TRANSFER_IF_DIFFERENT, &done, &err));
        expect_file("to/same", "xxx");
    }
}

static void refuses_comparisons_that_make_no_sense(void **state)
{
    TOLD_AUTO(told);
    struct rc_error err = RC_ERROR_INIT;
    struct rc_transferred done;

    (void)state;
    put_ok("from/a", "1");
    told.compare = RC_COMPARE_SIZE;
    assert_int_equal(copy_tree(&told, 0, RC_TRANSFER_ALWAYS, &done, &err), RC_INVALID);
    assert_int_equal(copy_tree(&told, RC_TRANSFER_MOVE, RC_TRANSFER_IF_DIFFERENT, &done, &err),
                     RC_INVALID);
    assert_int_equal(
        copy_tree(&told, RC_TRANSFER_COMPARE_CONTENT, RC_TRANSFER_IF_DIFFERENT, &done, &err),
        RC_INVALID);
    told.compare = 17;
    assert_int_equal(copy_tree(&told, 0, RC_TRANSFER_IF_DIFFERENT, &done, &err), RC_INVALID);
    told.compare = RC_COMPARE_AUTO;
    assert_int_equal(copy_tree(&told, RC_TRANSFER_NOT_FROM_EMPTY, RC_TRANSFER_ALWAYS, &done, &err),
                     RC_INVALID);
    /* A token is of its comparison; the flag and its later name are one. */
    told.compare = RC_COMPARE_CONTENT;
    expect_ok(copy_tree(&told, 0, RC_TRANSFER_IF_DIFFERENT, &done, &err));
    told.compare = RC_COMPARE_AUTO;
    expect_ok(copy_tree(&told, RC_TRANSFER_COMPARE_CONTENT, RC_TRANSFER_IF_DIFFERENT, &done, &err));
    told.compare = RC_COMPARE_SIZE;
    assert_int_equal(copy_tree(&told, 0, RC_TRANSFER_IF_DIFFERENT, &done, &err), RC_INVALID);
    assert_non_null(strstr(err.cause, "another transfer"));
}

static void removes_what_is_extra(void **state)
{
    TOLD_AUTO(told);
    struct rc_error err = RC_ERROR_INIT;
    struct rc_transferred done;

    (void)state;
    put_ok("from/b", "1");
    put_ok("from/kept", "2");
    put_ok("to/a", "x");
    put_ok("to/b", "old");
    put_ok("to/kept", "other");
    put_ok("to/z/z", "x");
    told.unwanted = "kept"; /* not copied, but not extra either */
    expect_ok(copy_tree(&told, RC_TRANSFER_REMOVE_EXTRA | RC_TRANSFER_CHECK, RC_TRANSFER_ALWAYS,
                        &done, &err));
    assert_int_equal(done.removed, 2);
    assert_int_equal(done.objects, 1);
    assert_string_equal(told.reports.data, "remove a copy b remove z ");
    expect_names("to/", "a b kept z/z ");
    assert_int_equal(told.checkpoints, 0);
    expect_ok(copy_tree(&told, RC_TRANSFER_REMOVE_EXTRA, RC_TRANSFER_ALWAYS, &done, &err));
    assert_int_equal(done.removed, 2);
    expect_names("to/", "b kept ");
    expect_file("to/b", "1");
    expect_file("to/kept", "other");
}

/* ---- lists -------------------------------------------------------------------------------- */

struct list {
    struct told told;
    struct rc_transfer_item items[8];
    size_t count, next;
};

static enum rc_code next_item(void *context, struct rc_transfer_item *item, bool *more,
                              struct rc_error *err)
{
    struct list *list = context;

    (void)err;
    *more = list->next < list->count;
    if (*more)
        *item = list->items[list->next++];
    return RC_OK;
}

static enum rc_code copy_list(struct list *list, unsigned flags, struct rc_transferred *out,
                              struct rc_error *err)
{
    const struct rc_transfer transfer = {
        .struct_bytes = sizeof(transfer),
        .flags = flags,
        .next = next_item,
        .resume = list->told.token,
        .report = tell_report,
        .context = list,
    };

    list->next = 0;
    return core_transfer_run(storage, &transfer, out, err);
}

static void takes_a_list(void **state)
{
    RC_STR_AUTO a = uri("a");
    RC_STR_AUTO b = uri("b");
    RC_STR_AUTO c = uri("c");
    RC_STR_AUTO copied = uri("to/a");
    struct rc_error err = RC_ERROR_INIT;
    struct rc_transferred done;
    struct rc_stat stat;
    struct list list = {
        .told.reports = RC_BUF_INIT(1000),
        .items = { { a, copied, -1, NULL }, { b, NULL, -1, NULL }, { NULL, c, 1, NULL } },
        .count = 3,
    };

    (void)state;
    put_ok("a", "1");
    put_ok("b", "1");
    put_ok("c", "1");
    expect_ok(copy_list(&list, 0, &done, &err));
    assert_int_equal(done.objects, 1);
    assert_int_equal(done.removed, 2);
    expect_names("", "a to/a ");

    /* An item's tag is a condition; without one it may be replaced meanwhile. */
    expect_ok(core_storage_stat(storage, a, &stat, &err));
    put_ok("a", "replaced");
    list.items[0].etag = stat.etag;
    list.count = 1;
    assert_int_equal(copy_list(&list, 0, &done, &err), RC_CONFLICT);
    assert_int_equal(done.failed, 1);
    expect_file("to/a", "1");
    assert_int_equal(copy_list(&list, RC_TRANSFER_MOVE, &done, &err), RC_CONFLICT);
    expect_file("a", "replaced");
    rc_buf_clear(&list.told.reports);
}

static void keeps_going_or_stops_at_a_failure(void **state)
{
    RC_STR_AUTO missing = uri("missing");
    RC_STR_AUTO a = uri("a");
    RC_STR_AUTO x = uri("x");
    RC_STR_AUTO y = uri("y");
    struct rc_error err = RC_ERROR_INIT;
    struct rc_transferred done;
    struct list list = {
        .told.reports = RC_BUF_INIT(1000),
        .items = { { missing, x, -1, NULL }, { a, y, -1, NULL } },
        .count = 2,
    };

    (void)state;
    put_ok("a", "1");
    assert_int_equal(copy_list(&list, RC_TRANSFER_KEEP_GOING, &done, &err), RC_NOT_FOUND);
    assert_int_equal(done.objects, 1);
    assert_int_equal(done.failed, 1);
    assert_non_null(strstr(err.context, "copy 'file://"));
    assert_non_null(strstr(err.context, "/missing' to 'file://"));
    expect_file("y", "1");
    assert_int_equal(copy_list(&list, 0, &done, &err), RC_NOT_FOUND);
    assert_int_equal(done.failed, 1);
    rc_buf_clear(&list.told.reports);
}

/* ---- large objects ------------------------------------------------------------------------ */

static void copies_a_large_object(void **state)
{
    RC_STR_AUTO where = uri("from/large");
    RC_STR_AUTO to = path("to/large");
    RC_STR_AUTO from = path("from/large");
    RC_STR_AUTO compare = rc_strf("cmp '%s' '%s'", from, to);
    TOLD_AUTO(told);
    struct rc_error err = RC_ERROR_INIT;
    struct rc_transferred done;
    struct rc_writer *writer;

    (void)state;
    expect_ok(core_storage_create(storage, where, NULL, &writer, &err));
    for (int i = 0; i < 20 * 1024; i++) {
        char piece[1024];

        memset(piece, i, sizeof(piece));
        expect_ok(core_writer_write(writer, piece, sizeof(piece), &err));
    }
    expect_ok(core_writer_write(writer, "end", 3, &err));
    expect_ok(core_writer_commit(writer, &err));
    core_writer_close(writer);
    expect_ok(copy_tree(&told, 0, RC_TRANSFER_ALWAYS, &done, &err));
    assert_int_equal(done.bytes, 20 * 1024 * 1024 + 3);
    assert_int_equal(system(compare), 0);
}

/* ---- resumption --------------------------------------------------------------------------- */

static void goes_on_from_a_token(void **state)
{
    TOLD_AUTO(told);
    struct rc_error err = RC_ERROR_INIT;
    struct rc_transferred done;

    (void)state;
    put_ok("from/a", "1");
    put_ok("from/b", "2");
    expect_ok(copy_tree(&told, 0, RC_TRANSFER_ALWAYS, &done, &err));
    put_ok("from/c", "3");
    expect_ok(copy_tree(&told, 0, RC_TRANSFER_ALWAYS, &done, &err));
    assert_int_equal(done.objects, 1);
    expect_names("to/", "a b c ");
    assert_int_equal(copy_tree(&told, RC_TRANSFER_MOVE, RC_TRANSFER_ALWAYS, &done, &err),
                     RC_INVALID);
    assert_non_null(strstr(err.cause, "another transfer"));
    free(told.token);
    told.token = rc_strdup("1.nonsense");
    assert_int_equal(copy_tree(&told, 0, RC_TRANSFER_ALWAYS, &done, &err), RC_INVALID);
    assert_non_null(strstr(err.cause, "is no token"));
}

static void marks_tell_how_far_all_is_done(void **state)
{
    static const char *const names[] = { "a", "b", "c", "d", "e" };
    struct transfer_mark *marks[5];
    struct transfer_marks all = { 0 };

    (void)state;
    for (size_t i = 0; i < 5; i++)
        marks[i] = core_transfer_mark_add(&all, names[i]);
    core_transfer_mark_end(&all, marks[1], MARK_DONE);
    core_transfer_mark_end(&all, marks[2], MARK_DONE);
    assert_int_equal(all.done, 0);
    assert_null(all.name);
    core_transfer_mark_end(&all, marks[0], MARK_DONE);
    assert_int_equal(all.done, 3);
    assert_string_equal(all.name, "c");
    core_transfer_mark_end(&all, marks[4], MARK_DONE);
    core_transfer_mark_end(&all, marks[3], MARK_FAILED);
    assert_int_equal(all.done, 3);
    assert_ptr_equal(all.first, all.last);
    /* However failures come, they leave one mark. */
    for (size_t i = 0; i < 5; i++)
        marks[i] = core_transfer_mark_add(&all, names[i]);
    for (size_t i = 0; i < 5; i += 2)
        core_transfer_mark_end(&all, marks[i], MARK_FAILED);
    core_transfer_mark_end(&all, marks[1], MARK_DONE);
    core_transfer_mark_end(&all, marks[3], MARK_DONE);
    assert_ptr_equal(all.first, all.last);
    core_transfer_mark_end(&all, core_transfer_mark_add(&all, "f"), MARK_DONE);
    core_transfer_mark_end(&all, core_transfer_mark_add(&all, "g"), MARK_FAILED);
    assert_ptr_equal(all.first, all.last);
    assert_string_equal(all.name, "c");
    core_transfer_marks_clear(&all);
}

static void sees_a_cancellation(void **state)
{
    struct core_cancel cancel = CORE_CANCEL_INIT;
    struct core_storage *all = storage;
    TOLD_AUTO(told);
    struct rc_error err = RC_ERROR_INIT;
    struct rc_transferred done;

    (void)state;
    for (int i = 0; i < 100; i++) {
        RC_STR_AUTO name = rc_strf("from/%03d", i);

        put_ok(name, "x");
    }
    told.cancel = &cancel;
    storage = core_storage_new(NULL, 0, NULL, &cancel);
    assert_int_equal(copy_tree(&told, 0, RC_TRANSFER_ALWAYS, &done, &err), RC_CANCELLED);
    assert_int_equal(done.failed, 0);
    assert_true(done.objects > 0 && done.objects < 100);
    core_storage_free(storage);
    storage = all;

    /* What was told as done is not done again. */
    told.cancel = NULL;
    int64_t before = done.objects;
    expect_ok(copy_tree(&told, 0, RC_TRANSFER_ALWAYS, &done, &err));
    assert_true(done.objects <= 100 && done.objects >= 100 - before);
    rc_str_free(&told.token);
    expect_ok(copy_tree(&told, 0, RC_TRANSFER_IF_ABSENT, &done, &err));
    assert_int_equal(done.skipped, 100);
}

/* ---- what makes no sense ------------------------------------------------------------------- */

static enum rc_code try(const char *from, const char *to, unsigned flags, struct rc_error *err)
{
    RC_STR_AUTO source = uri(from);
    RC_STR_AUTO target = uri(to);
    struct rc_transferred done;
    const struct rc_transfer transfer = {
        .struct_bytes = sizeof(transfer),
        .flags = flags,
        .source = source,
        .target = target,
    };

    return core_transfer_run(storage, &transfer, &done, err);
}

static void refuses_what_makes_no_sense(void **state)
{
    struct rc_error err = RC_ERROR_INIT;
    struct rc_transferred done;
    const struct rc_transfer none = { .struct_bytes = sizeof(none) };
    const struct rc_transfer half = { .struct_bytes = sizeof(half), .source = "file:///tmp/x/" };

    (void)state;
    put_ok("a/x", "1");
    put_ok("a/b/y", "2");
    assert_int_equal(core_transfer_run(storage, &none, &done, &err), RC_INVALID);
    assert_int_equal(core_transfer_run(storage, &half, &done, &err), RC_INVALID);
    assert_int_equal(try("a/", "a/copy/", 0, &err), RC_INVALID);
    assert_non_null(strstr(err.cause, "choose a target outside it"));
    assert_int_equal(try("a", "ab/", 0, &err), RC_INVALID);
    assert_non_null(strstr(err.cause, "end the source with a slash"));
    assert_int_equal(try("a/", "a/", 0, &err), RC_INVALID);
    assert_non_null(strstr(err.cause, "the same place"));
    assert_int_equal(try("a/b/", "a/", RC_TRANSFER_REMOVE_EXTRA, &err), RC_INVALID);
    assert_int_equal(try("a/", "b/", RC_TRANSFER_REMOVE_EXTRA | RC_TRANSFER_MOVE, &err),
                     RC_INVALID);
    expect_names("", "a/b/y a/x ");
    expect_ok(try("a/b/", "a/", 0, &err));
    expect_names("", "a/b/y a/x a/y ");
    put_ok("a/b/b/z", "3");
    assert_int_equal(try("a/b/", "a/", 0, &err), RC_INVALID);
    assert_non_null(strstr(err.cause, "itself a part of the source"));
}

static void joins_checksums(void **state)
{
    static const char text[] = "the quick brown fox jumps over the lazy dog, again and again";
    size_t len = sizeof(text) - 1;

    (void)state;
    for (size_t cut = 0; cut <= len; cut++)
        assert_int_equal(core_transfer_crc_join(core_crc32c(0, text, cut),
                                                core_crc32c(0, text + cut, len - cut),
                                                (int64_t)(len - cut)),
                         core_crc32c(0, text, len));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(copies_a_tree),
        TEST(moves_a_tree),
        TEST(copies_what_is_absent_or_different),
        TEST(compares_as_asked),
        TEST(refuses_comparisons_that_make_no_sense),
        TEST(removes_what_is_extra),
        TEST(takes_a_list),
        TEST(keeps_going_or_stops_at_a_failure),
        TEST(copies_a_large_object),
        TEST(goes_on_from_a_token),
        TEST(marks_tell_how_far_all_is_done),
        TEST(sees_a_cancellation),
        TEST(refuses_what_makes_no_sense),
        TEST(joins_checksums),
    };

    return cmocka_run_group_tests_name("transfer", tests, NULL, NULL);
}
