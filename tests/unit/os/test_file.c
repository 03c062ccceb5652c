/*
 * Whole reads, directories, trees, and whether a file may be trusted.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "scratch.h"

#include <os/file.h>
#include <run-core/str.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void reads_up_to_the_limit(void **state)
{
    RC_STR_AUTO path = scratch_path(*state, "f");
    struct rc_error err = RC_ERROR_INIT;

    scratch_put(path, "0123456789");
    for (size_t limit = 0; limit < 14; limit++) {
        RC_BUF_AUTO(buf, limit);

        rc_buf_adds(&buf, limit > 1 ? ">" : "");
        size_t start = buf.len;
        enum rc_code code = core_file_read(path, &buf, &err);
        assert_int_equal(code, limit < start + 10 ? RC_TOO_LARGE : RC_OK);
        if (code) {
            assert_non_null(strstr(err.cause, path));
            assert_int_equal(buf.len, start);
        } else {
            assert_string_equal(buf.data, ">0123456789");
        }
    }
}

static void reads_what_has_no_size(void **state)
{
    RC_BUF_AUTO(buf, 1 << 20);
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    assert_int_equal(core_file_read("/proc/self/status", &buf, &err), RC_OK);
    assert_non_null(strstr(buf.data, "Pid:"));
    rc_buf_reset(&buf);
    assert_int_equal(core_file_read("/dev/null", &buf, &err), RC_OK);
    assert_int_equal(buf.len, 0);
}

static void reads_large_files_whole(void **state)
{
    RC_STR_AUTO path = scratch_path(*state, "large");
    RC_BUF_AUTO(wrote, 1 << 20);
    RC_BUF_AUTO(got, 1 << 20);
    struct rc_error err = RC_ERROR_INIT;

    for (int i = 0; wrote.len < 300000; i++)
        rc_buf_addf(&wrote, "%d ", i);
    assert_int_equal(core_file_write(path, wrote.data, wrote.len, 0600, &err), RC_OK);
    assert_int_equal(core_file_read(path, &got, &err), RC_OK);
    assert_int_equal(got.len, wrote.len);
    assert_memory_equal(got.data, wrote.data, wrote.len);
}

static void read_errors_name_the_path(void **state)
{
    RC_STR_AUTO path = scratch_path(*state, "missing");
    RC_BUF_AUTO(buf, 100);
    struct rc_error err = RC_ERROR_INIT;

    assert_int_equal(core_file_read(path, &buf, &err), RC_NOT_FOUND);
    assert_non_null(strstr(err.cause, path));
    assert_int_equal(core_file_read(*state, &buf, &err), RC_INVALID);
    assert_non_null(strstr(err.cause, *state));
}

static void makes_directories_with_their_parents(void **state)
{
    RC_STR_AUTO deep = scratch_path(*state, "a//b/c/");
    RC_STR_AUTO file = scratch_path(*state, "file");
    RC_STR_AUTO below = scratch_path(*state, "file/sub");
    struct rc_error err = RC_ERROR_INIT;
    struct stat info;

    assert_int_equal(core_dir_make(deep, 0750, &err), RC_OK);
    assert_int_equal(core_dir_make(deep, 0750, &err), RC_OK);
    assert_int_equal(stat(deep, &info), 0);
    assert_true(S_ISDIR(info.st_mode));
    assert_int_equal(info.st_mode & 0777, 0750);
    assert_int_equal(core_dir_make("/", 0755, &err), RC_OK);
    assert_int_equal(core_dir_make(".", 0755, &err), RC_OK);
    assert_int_equal(core_dir_make("", 0755, &err), RC_INVALID);

    scratch_put(file, "");
    assert_int_equal(core_dir_make(file, 0755, &err), RC_INVALID);
    assert_int_equal(core_dir_make(below, 0755, &err), RC_INVALID);
    assert_non_null(strstr(err.cause, file));
}

static void removes_trees_but_follows_no_link(void **state)
{
    RC_STR_AUTO tree = scratch_path(*state, "tree");
    RC_STR_AUTO sub = scratch_path(*state, "tree/x/y/z");
    RC_STR_AUTO kept = scratch_path(*state, "kept");
    RC_STR_AUTO kept_file = scratch_path(*state, "kept/file");
    RC_STR_AUTO link_inside = scratch_path(*state, "tree/x/link");
    RC_STR_AUTO dangling = scratch_path(*state, "tree/dangling");
    RC_STR_AUTO link_itself = scratch_path(*state, "link");
    RC_STR_AUTO link_slash = scratch_path(*state, "link/");
    struct rc_error err = RC_ERROR_INIT;

    assert_int_equal(core_dir_make(sub, 0700, &err), RC_OK);
    assert_int_equal(core_dir_make(kept, 0700, &err), RC_OK);
    scratch_put(kept_file, "precious");
    assert_int_equal(symlink(kept, link_inside), 0);
    assert_int_equal(symlink("nowhere", dangling), 0);
    assert_int_equal(core_tree_remove(tree, &err), RC_OK);
    assert_false(scratch_exists(tree));
    assert_int_equal(core_tree_remove(tree, &err), RC_OK);

    /* A link is removed as a link, even where a slash asks to go through it. */
    assert_int_equal(symlink(kept, link_itself), 0);
    assert_int_equal(core_tree_remove(link_slash, &err), RC_OK);
    assert_false(scratch_exists(link_itself));
    assert_string_equal(scratch_get(kept_file), "precious");

    assert_int_equal(core_tree_remove(kept_file, &err), RC_OK);
    assert_int_equal(scratch_count(kept), 0);
    assert_int_equal(core_tree_remove("/", &err), RC_INVALID);
    assert_int_equal(core_tree_remove("", &err), RC_INVALID);
}

static void removal_has_a_depth(void **state)
{
    RC_BUF_AUTO(path, 4096);
    struct rc_error err = RC_ERROR_INIT;

    rc_buf_adds(&path, *state);
    for (int i = 0; i < 400; i++)
        rc_buf_adds(&path, "/d");
    assert_int_equal(core_dir_make(path.data, 0700, &err), RC_OK);
    for (int i = 0; i < 200; i++)
        rc_buf_adds(&path, "/d");
    assert_int_equal(core_dir_make(path.data, 0700, &err), RC_OK);

    RC_STR_AUTO root = scratch_path(*state, "d");
    assert_int_equal(core_tree_remove(root, &err), RC_UNSUPPORTED);
    RC_STR_AUTO half = rc_strndup(path.data, strlen(*state) + 400);
    assert_int_equal(core_tree_remove(half, &err), RC_OK);
    assert_int_equal(core_tree_remove(root, &err), RC_OK);
}

static void syncs_small_and_large_trees(void **state)
{
    RC_STR_AUTO missing = scratch_path(*state, "missing");
    struct rc_error err = RC_ERROR_INIT;

    for (int i = 0; i < 200; i++) {
        RC_STR_AUTO path = rc_strf("%s/%d", (char *)*state, i);

        scratch_put(path, "x");
        if (i % 90 == 0)
            assert_int_equal(core_tree_sync(*state, &err), RC_OK);
        if (i == 0)
            assert_int_equal(core_tree_sync(path, &err), RC_OK);
    }
    assert_int_equal(core_tree_sync(*state, &err), RC_OK);
    assert_int_equal(core_dir_sync(*state, &err), RC_OK);
    assert_int_equal(core_tree_sync(missing, &err), RC_NOT_FOUND);
    assert_int_equal(core_dir_sync(missing, &err), RC_NOT_FOUND);
}

static void check_denied(const char *path, const char *remedy)
{
    struct rc_error err = RC_ERROR_INIT;

    assert_int_equal(core_file_check_trusted(path, &err), RC_DENIED);
    if (!strstr(err.cause, remedy))
        fail_msg("'%s' does not say '%s'", err.cause, remedy);
}

static void trusts_only_what_others_cannot_write(void **state)
{
    RC_STR_AUTO dir = scratch_path(*state, "dir");
    RC_STR_AUTO file = scratch_path(*state, "dir/file");
    RC_STR_AUTO open_dir = scratch_path(*state, "open");
    RC_STR_AUTO link_path = scratch_path(*state, "open/link");
    struct rc_error err = RC_ERROR_INIT;

    mkdir(dir, 0755);
    scratch_put(file, "");
    chmod(file, 0644);
    chmod(dir, 0755);
    assert_int_equal(core_file_check_trusted(file, &err), RC_OK);

    chmod(file, 0664);
    check_denied(file, "run: chmod g-w '");
    chmod(file, 0646);
    check_denied(file, "run: chmod o-w '");
    chmod(file, 0666);
    check_denied(file, "run: chmod go-w '");
    chmod(file, 0644);

    chmod(dir, 0777);
    check_denied(file, "directory '");
    chmod(dir, 01777);
    assert_int_equal(core_file_check_trusted(file, &err), RC_OK);
    chmod(dir, 0755);

    /* Who can write beside a link can point it elsewhere. */
    mkdir(open_dir, 0700);
    assert_int_equal(symlink(file, link_path), 0);
    assert_int_equal(core_file_check_trusted(link_path, &err), RC_OK);
    chmod(open_dir, 0777);
    check_denied(link_path, "directory '");

    check_denied(dir, "not a regular file");
    unlink(file);
    assert_int_equal(core_file_check_trusted(file, &err), RC_NOT_FOUND);
    assert_int_equal(core_file_check_trusted(link_path, &err), RC_NOT_FOUND);
}

static void trusts_only_root_and_oneself(void **state)
{
    RC_STR_AUTO file = scratch_path(*state, "file");

    if (geteuid() != 0)
        skip(); /* only root can give files away */
    scratch_put(file, "");
    chmod(file, 0644);
    assert_int_equal(chown(file, 12345, (gid_t)-1), 0);
    check_denied(file, "belongs to user 12345");
    check_denied(file, "run: chown 0 '");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(reads_up_to_the_limit),
        TEST(reads_what_has_no_size),
        TEST(reads_large_files_whole),
        TEST(read_errors_name_the_path),
        TEST(makes_directories_with_their_parents),
        TEST(removes_trees_but_follows_no_link),
        TEST(removal_has_a_depth),
        TEST(syncs_small_and_large_trees),
        TEST(trusts_only_what_others_cannot_write),
        TEST(trusts_only_root_and_oneself),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
