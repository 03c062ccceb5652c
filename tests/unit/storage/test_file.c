/*
 * The file backend: the contract of all backends, and what only files can get wrong.
 */
#include "file_fixture.h"

#include <os/clock.h>
#include <os/file.h>
#include <run-core/str.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
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
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- contract ----------------------------------------------------------------------------- */

static void conforms_on_files(void **state)
{
    RC_STR_AUTO base = uri("plain");

    (void)state;
    storage_conformance(storage, base);
}

static void conforms_in_a_mapped_bucket(void **state)
{
    RC_STR_AUTO url = uri("mapped/");
    const struct core_store_settings stores[] = {
        { .name = "lake", .bucket = "lake-bucket", .url = url },
    };
    struct core_storage *mapped = core_storage_new(stores, 1, NULL, NULL);

    (void)state;
    storage_conformance(mapped, "s3://lake-bucket");
    storage_conformance(mapped, "gs://lake-bucket/some/where");
    core_storage_free(mapped);
    /* The store's own folder stays, and nothing else. */
    assert_int_equal(entries("mapped"), 0);
}

/* ---- names and kinds ---------------------------------------------------------------------- */

static void refuses_names_that_no_file_can_have(void **state)
{
    RC_STR_AUTO longest = rc_calloc(256, 1);
    RC_STR_AUTO longer = rc_calloc(257, 1);
    struct rc_error err = RC_ERROR_INIT;
    struct rc_stat stat;

    (void)state;
    memset(longest, 'n', 255);
    memset(longer, 'n', 256);
    expect_ok(put(longest, "x", &err));
    assert_int_equal(put(longer, "x", &err), RC_INVALID);
    assert_non_null(strstr(err.cause, "256 bytes, the limit is 255"));
    RC_STR_AUTO where = uri(longer);
    assert_int_equal(core_storage_stat(storage, where, &stat, &err), RC_NOT_FOUND);
    expect_ok(drop(longer, &err));
    assert_int_equal(put("ends/with/slash/", "x", &err), RC_INVALID);
    assert_int_equal(put("a/../b", "x", &err), RC_INVALID);
    assert_int_equal(put(".rc-tmp.mine", "x", &err), RC_INVALID);
    assert_int_equal(put(".rc-tmp.mine/below", "x", &err), RC_INVALID);
    assert_int_equal(core_storage_put(storage, "file://relative", "", 0, NULL, &err), RC_INVALID);
    assert_int_equal(core_storage_put(storage, "no uri", "", 0, NULL, &err), RC_INVALID);
}

static void tells_directories_and_pipes_from_objects(void **state)
{
    RC_STR_AUTO pipe_path = path("pipe");
    RC_STR_AUTO pipe_uri = uri("pipe");
    RC_STR_AUTO base = uri("");
    RC_STR_AUTO empty = path("empty");
    RC_BUF_AUTO(body, 100);
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    expect_ok(put("dir/object", "x", &err));
    assert_int_equal(mkfifo(pipe_path, 0600), 0);
    assert_int_equal(mkdir(empty, 0700), 0);

    assert_int_equal(put("dir", "x", &err), RC_INVALID);
    assert_non_null(strstr(err.cause, "is a directory"));
    /* A person's folder is not taken away for an object, even while it is empty. */
    assert_int_equal(put("empty", "x", &err), RC_INVALID);
    assert_int_equal(put("dir/object/below", "x", &err), RC_INVALID);
    assert_int_equal(core_storage_get(storage, pipe_uri, &body, &err), RC_NOT_FOUND);
    assert_int_equal(put("pipe", "x", &err), RC_INVALID);
    expect_ok(drop("pipe", &err));
    expect_ok(drop("dir", &err));
    assert_true(exists("pipe") && exists("dir/object"));
    assert_listing(storage, base, /* shallow = */ false, "dir/object ");
    assert_listing(storage, base, /* shallow = */ true, "dir/ ");
}

static void follows_links_without_going_round(void **state)
{
    RC_STR_AUTO base = uri("tree/");
    RC_STR_AUTO file = uri("tree/file");
    RC_STR_AUTO by_link = uri("tree/link");
    RC_STR_AUTO by_folder = uri("tree/loop/file");
    RC_STR_AUTO moved = uri("tree/sub/moved");
    struct rc_error err = RC_ERROR_INIT;
    static const char *const links[][2] = { { "file", "tree/link" },
                                            { ".", "tree/loop" },
                                            { "nowhere", "tree/dangling" } };

    (void)state;
    expect_ok(put("tree/file", "content", &err));
    for (size_t i = 0; i < RC_ARRAY_LEN(links); i++) {
        RC_STR_AUTO at = path(links[i][1]);
        assert_int_equal(symlink(links[i][0], at), 0);
    }
    assert_listing(storage, base, false, "file link ");
    assert_content(by_link, "content");
    assert_content(by_folder, "content");

    /* A link that leads nowhere is no object, and gives way to one. */
    expect_ok(put("tree/dangling", "now", &err));
    assert_listing(storage, base, false, "dangling file link ");
    /* A relative link would lead nowhere from another folder: its content moves. */
    expect_ok(core_storage_move(storage, by_link, moved, &err));
    assert_content(moved, "content");
    assert_content(file, "content");
    assert_false(exists("tree/link"));
    /* Two names of one file, whichever way: the content stays. */
    RC_STR_AUTO link_path = path("tree/link");
    assert_int_equal(symlink("file", link_path), 0);
    expect_ok(core_storage_move(storage, file, by_link, &err));
    assert_content(by_link, "content");
    assert_false(exists("tree/file"));
    RC_STR_AUTO file_path = path("tree/file");
    assert_int_equal(symlink("link", file_path), 0);
    expect_ok(core_storage_move(storage, file, by_link, &err));
    assert_content(by_link, "content");
    assert_int_equal(link(link_path, file_path), 0);
    expect_ok(core_storage_move(storage, file, by_link, &err));
    assert_content(by_link, "content");
    assert_false(exists("tree/file"));
    RC_STR_AUTO twice = uri("tree//link");
    expect_ok(core_storage_move(storage, twice, by_link, &err));
    assert_content(by_link, "content");
}

static void hides_what_is_unfinished_and_cleans_up(void **state)
{
    RC_STR_AUTO target = uri("dir/target");
    RC_STR_AUTO base = uri("");
    RC_STR_AUTO stale = path("dir/.rc-tmp.target.0");
    RC_STR_AUTO beside = path("dir/target");
    struct core_temp_file temp = CORE_TEMP_FILE_INIT;
    struct rc_error err = RC_ERROR_INIT;
    struct rc_writer *writer;

    (void)state;
    expect_ok(core_storage_create(storage, target, NULL, &writer, &err));
    expect_ok(core_temp_file_open_named(&temp, beside, 0600, &err));
    assert_true(entries("dir") >= 1); /* the first has no name where the file system can do that */
    assert_listing(storage, base, false, "");
    assert_listing(storage, base, true, "");
    core_writer_close(writer);
    core_temp_file_close(&temp);
    assert_int_equal(entries("dir"), 0);
    assert_int_equal(close(open(stale, O_CREAT | O_WRONLY, 0600)), 0); /* of a dead writer */
    expect_ok(put("dir/target", "x", &err));
    assert_int_equal(entries("dir"), 1);
}

/* ---- resolution --------------------------------------------------------------------------- */

static void assert_path(struct core_storage *in, const char *from, const char *expected)
{
    RC_BUF_AUTO(found, 1000);
    struct rc_error err = RC_ERROR_INIT;

    expect_ok(core_storage_local_path(in, from, &found, &err));
    assert_string_equal(found.data, expected);
}

static void resolves_named_stores(void **state)
{
    const struct core_store_settings stores[] = {
        { .name = "a", .bucket = "a", .url = "file:///data/a//" },
        { .name = "b", .bucket = "b", .url = "s3://a/below" },
        { .name = "c", .bucket = "c", .url = "gs://b" },
        { .name = "x", .bucket = "x", .url = "s3://y" },
        { .name = "y", .bucket = "y", .url = "s3://x" },
        { .name = "self", .bucket = "self", .url = "s3://self/prefix" },
        { .name = "plain", .bucket = "plain" },
        { .name = "root", .bucket = "root", .url = "file:///" },
    };
    struct core_storage *in = core_storage_new(stores, RC_ARRAY_LEN(stores), NULL, NULL);
    RC_BUF_AUTO(out, 1000);
    struct rc_error err = RC_ERROR_INIT;
    static const char *const climbing[] = { "s3://a/../x", "s3://a/x/..", "s3://a/./x", "s3://a/..",
                                            "s3://b/x/../../y" };

    (void)state;
    assert_path(in, "s3://a/k/ey/", "/data/a/k/ey/");
    assert_path(in, "gs://a", "/data/a/");
    assert_path(in, "s3://b/key", "/data/a/below/key");
    assert_path(in, "s3://root/key", "/key");
    assert_path(in, "file:///any/where", "/any/where");
    for (size_t i = 0; i < RC_ARRAY_LEN(climbing); i++)
        assert_int_equal(core_storage_local_path(in, climbing[i], &out, &err), RC_INVALID);
    assert_int_equal(core_storage_local_path(in, "s3://x/k", &out, &err), RC_INVALID);
    assert_non_null(strstr(err.cause, "circle"));
    assert_int_equal(core_storage_local_path(in, "s3://c/k", &out, &err), RC_INVALID);
    assert_int_equal(core_storage_local_path(in, "s3://self/k", &out, &err), RC_UNSUPPORTED);
    assert_int_equal(core_storage_local_path(in, "s3://plain/k", &out, &err), RC_UNSUPPORTED);
    assert_non_null(strstr(err.cause, "map the bucket 'plain' to another place under 'storage:' "
                                      "(bucket, url)"));
    assert_int_equal(core_storage_local_path(in, "ftp://h/k", &out, &err), RC_UNSUPPORTED);
    assert_non_null(strstr(err.cause, "no backend for 'ftp'"));
    assert_int_equal(core_storage_local_path(in, "GCS://h/k", &out, &err), RC_UNSUPPORTED);
    assert_non_null(strstr(err.cause, "did you mean 'gs://h/k'?"));
    assert_int_equal(core_storage_local_path(in, "S3://h/k", &out, &err), RC_UNSUPPORTED);
    assert_non_null(strstr(err.cause, "did you mean 's3://h/k'?"));
    assert_int_equal(core_storage_local_path(in, "https://h/k", &out, &err), RC_UNSUPPORTED);
    assert_non_null(strstr(err.cause, "did you mean s3://"));
    core_storage_free(in);
}

static void lists_under_the_names_that_the_caller_used(void **state)
{
    RC_STR_AUTO url = uri("lake");
    const struct core_store_settings stores[] = { { .name = "l", .bucket = "l", .url = url } };
    struct core_storage *in = core_storage_new(stores, 1, NULL, NULL);
    struct rc_error err = RC_ERROR_INIT;
    struct rc_listing *listing;
    const struct rc_object *object;

    (void)state;
    expect_ok(put("lake/day=1/x", "x", &err));
    expect_ok(core_storage_list(in, "s3://l", NULL, &listing, &err));
    expect_ok(core_listing_next(listing, &object, &err));
    assert_string_equal(object->uri, "s3://l/day=1/x");
    assert_string_equal(object->name, "day=1/x");
    core_listing_close(listing);
    core_storage_free(in);
}

/* ---- cancellation and faults -------------------------------------------------------------- */

static void every_operation_sees_a_cancellation(void **state)
{
    struct core_cancel cancel = CORE_CANCEL_INIT;
    struct core_storage *in = core_storage_new(NULL, 0, NULL, &cancel);
    RC_STR_AUTO where = uri("object");
    RC_STR_AUTO other = uri("other");
    RC_BUF_AUTO(body, 100);
    struct rc_error err = RC_ERROR_INIT;
    struct rc_writer *writer;
    struct rc_reader *reader;
    struct rc_listing *listing;
    const struct rc_object *object;
    struct rc_stat stat;
    size_t len;
    char byte;

    (void)state;
    expect_ok(put("object", "x", &err));
    expect_ok(core_storage_create(in, other, NULL, &writer, &err));
    expect_ok(core_storage_open(in, where, 0, -1, &reader, &err));
    expect_ok(core_storage_list(in, where, NULL, &listing, &err));
    core_cancel_request(&cancel, RC_TIMEOUT);
    assert_int_equal(core_writer_write(writer, "x", 1, &err), RC_TIMEOUT);
    assert_int_equal(core_writer_commit(writer, &err), RC_TIMEOUT);
    assert_int_equal(core_reader_read(reader, &byte, 1, &len, &err), RC_TIMEOUT);
    assert_int_equal(core_listing_next(listing, &object, &err), RC_TIMEOUT);
    core_writer_close(writer);
    core_reader_close(reader);
    core_listing_close(listing);
    assert_int_equal(core_storage_stat(in, where, &stat, &err), RC_TIMEOUT);
    assert_int_equal(core_storage_get(in, where, &body, &err), RC_TIMEOUT);
    assert_int_equal(core_storage_put(in, where, "", 0, NULL, &err), RC_TIMEOUT);
    assert_int_equal(core_storage_copy(in, where, other, &err), RC_TIMEOUT);
    assert_int_equal(core_storage_move(in, where, other, &err), RC_TIMEOUT);
    assert_int_equal(core_storage_remove(in, (const char *const[]){ where }, 1, &err), RC_TIMEOUT);
    core_storage_free(in);
    assert_true(exists("object"));
    assert_false(exists("other"));
}

/* Runs 'work' in a child and gives what it returned. */
static int in_child(int (*work)(void))
{
    pid_t pid = fork();
    int status;

    assert_true(pid >= 0);
    if (pid == 0)
        _exit(work());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int write_beyond_the_limit(void)
{
    const struct rlimit limit = { 1 << 20, 1 << 20 };
    RC_STR_AUTO where = uri("object");
    RC_STR_AUTO big = rc_calloc(2 << 20, 1);
    struct rc_error err = RC_ERROR_INIT;

    if (signal(SIGXFSZ, SIG_IGN) == SIG_ERR || setrlimit(RLIMIT_FSIZE, &limit) != 0)
        return 100;
    return (int)core_storage_put(storage, where, big, 2 << 20, NULL, &err);
}

static void a_write_that_fails_leaves_the_old_object(void **state)
{
    RC_STR_AUTO where = uri("object");
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    expect_ok(put("object", "old", &err));
    assert_int_not_equal(in_child(write_beyond_the_limit), RC_OK);
    assert_content(where, "old");
    RC_STR_AUTO base = uri("");
    assert_listing(storage, base, false, "object ");
}

/* A disk of its own, as small as can be; 77 where the test may not have one. */
static int write_to_a_full_disk(void)
{
    RC_STR_AUTO disk = path("disk");
    RC_STR_AUTO where = uri("disk/object");
    RC_STR_AUTO big = rc_calloc(1 << 20, 1);
    RC_BUF_AUTO(body, 100);
    struct rc_error err = RC_ERROR_INIT;

    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mkdir(disk, 0700) != 0 || mount("tmpfs", disk, "tmpfs", 0, "size=64k") != 0)
        return 77;
    if (put("disk/object", "old", &err))
        return 1;
    if (core_storage_put(storage, where, big, 1 << 20, NULL, &err) != RC_UNAVAILABLE)
        return 2;
    if (core_storage_get(storage, where, &body, &err) || strcmp(body.data, "old") != 0)
        return 3;
    return entries("disk") == 1 ? 0 : 4;
}

static void a_full_disk_is_a_passing_fault(void **state)
{
    int result = in_child(write_to_a_full_disk);

    (void)state;
    if (result == 77)
        skip();
    assert_int_equal(result, 0);
}

static int write_as_nobody(void)
{
    RC_STR_AUTO secret = uri("closed/secret");
    RC_STR_AUTO base = uri("");
    RC_BUF_AUTO(body, 100);
    struct rc_error err = RC_ERROR_INIT;
    struct rc_listing *listing;
    const struct rc_object *object;
    enum rc_code code;

    if (geteuid() == 0 && seteuid(65534) != 0)
        return 100;
    if (put("closed/new", "x", &err) != RC_DENIED || drop("closed/secret", &err) != RC_DENIED)
        return 1;
    if (core_storage_get(storage, secret, &body, &err) != RC_DENIED)
        return 2;
    /* A folder that cannot be read is an error, not an empty one. */
    if (core_storage_list(storage, base, NULL, &listing, &err))
        return 3;
    code = core_listing_next(listing, &object, &err);
    core_listing_close(listing);
    return code == RC_DENIED ? 0 : 4;
}

static void permissions_are_reported(void **state)
{
    RC_STR_AUTO closed = path("closed");
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    assert_int_equal(chmod(folder, 0755), 0);
    expect_ok(put("closed/secret", "x", &err));
    assert_int_equal(chmod(closed, geteuid() == 0 ? 0700 : 0), 0);
    assert_int_equal(in_child(write_as_nobody), 0);
    assert_int_equal(chmod(closed, 0700), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(conforms_on_files),
        TEST(conforms_in_a_mapped_bucket),
        TEST(refuses_names_that_no_file_can_have),
        TEST(tells_directories_and_pipes_from_objects),
        TEST(follows_links_without_going_round),
        TEST(hides_what_is_unfinished_and_cleans_up),
        TEST(resolves_named_stores),
        TEST(lists_under_the_names_that_the_caller_used),
        TEST(every_operation_sees_a_cancellation),
        TEST(a_write_that_fails_leaves_the_old_object),
        TEST(a_full_disk_is_a_passing_fault),
        TEST(permissions_are_reported),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
