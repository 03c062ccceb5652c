/*
 * A file that replaces another one on a condition takes over what it has beside its content, and
 * never lets in whom the old one did not.
 */
#include "file_fixture.h"

#include <run-core/str.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

enum { NOBODY = 65534, SOME_USER = 12345, SOME_GROUP = 23456 };

/* The kernel's form of an access control list: owner, a user, the group, the mask, all others. */
struct list_entry {
    uint16_t tag, permissions;
    uint32_t id;
};
struct access_list {
    uint32_t version;
    struct list_entry entries[5];
};
enum { OWNER = 0x01, USER = 0x02, GROUP = 0x04, MASK = 0x10, OTHER = 0x20, NO_ID = -1 };

static const struct access_list for_a_user = {
    .version = 2,
    .entries = { { OWNER, 6, (uint32_t)NO_ID },
                 { USER, 4, SOME_USER },
                 { GROUP, 0, (uint32_t)NO_ID },
                 { MASK, 4, (uint32_t)NO_ID },
                 { OTHER, 0, (uint32_t)NO_ID } },
};

static enum rc_code replace(const char *name, const char *text, bool keep, struct rc_error *err)
{
    RC_STR_AUTO where = uri(name);
    struct rc_stat stat;
    struct rc_put_options options = {
        .struct_bytes = sizeof(options),
        .if_match = stat.etag,
        .size_bytes = -1,
        .keep_attributes = keep,
    };

    if (core_storage_stat(storage, where, &stat, err))
        return err->code;
    return core_storage_put_with(storage, where, text, strlen(text), &options, NULL, err);
}

static void make(const char *name, mode_t mode)
{
    RC_STR_AUTO file = path(name);
    struct rc_error err = RC_ERROR_INIT;

    expect_ok(put(name, "old", &err));
    assert_int_equal(chmod(file, mode), 0);
}

static struct stat look(const char *name)
{
    RC_STR_AUTO file = path(name);
    struct stat st;

    assert_int_equal(stat(file, &st), 0);
    return st;
}

static void expect_mode(const char *name, mode_t mode)
{
    assert_int_equal(look(name).st_mode & 07777, mode);
}

/* ---- mode and owner -------------------------------------------------------------------------- */

static void keeps_the_mode(void **state)
{
    static const mode_t modes[] = { 0600, 0640, 0664, 0666, 0444, 0755, 02755 };
    mode_t umask_before = umask(022);
    struct rc_error err = RC_ERROR_INIT;
    RC_STR_AUTO where = uri("file");

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(modes); i++) {
        make("file", modes[i]);
        expect_ok(replace("file", "new", /* keep = */ true, &err));
        expect_mode("file", modes[i]);
        assert_content(where, "new");
    }
    make("file", 0600);
    expect_ok(replace("file", "new", /* keep = */ false, &err));
    expect_mode("file", 0644);
    (void)umask(umask_before);
}

static void keeps_owner_and_group(void **state)
{
    RC_STR_AUTO file = path("file");
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    if (geteuid() != 0)
        skip();
    make("file", 0600);
    assert_int_equal(chown(file, SOME_USER, SOME_GROUP), 0);
    assert_int_equal(chmod(file, 04750), 0);
    expect_ok(replace("file", "new", /* keep = */ true, &err));
    assert_int_equal(look("file").st_uid, SOME_USER);
    assert_int_equal(look("file").st_gid, SOME_GROUP);
    expect_mode("file", 04750);
}

/* What another user may not give away is taken from those who had no right to it. */
static int as_nobody(void)
{
    struct rc_error err = RC_ERROR_INIT;

    if (setresgid(NOBODY, NOBODY, NOBODY) != 0 || setresuid(NOBODY, NOBODY, NOBODY) != 0)
        return 1;
    if (replace("wide", "new", /* keep = */ true, &err) ||
        replace("narrow", "new", /* keep = */ true, &err))
        return 2;
    return 0;
}

static void gives_no_right_to_another_group(void **state)
{
    RC_STR_AUTO wide = path("wide");
    RC_STR_AUTO narrow = path("narrow");
    int status;

    (void)state;
    if (geteuid() != 0)
        skip();
    make("wide", 0600);
    make("narrow", 0600);
    assert_int_equal(chmod(folder, 0777), 0);
    assert_int_equal(chown(wide, SOME_USER, SOME_GROUP), 0);
    assert_int_equal(chown(narrow, NOBODY, SOME_GROUP), 0);
    assert_int_equal(chmod(wide, 06774), 0);
    assert_int_equal(chmod(narrow, 0640), 0);
    pid_t child = fork();
    if (child == 0)
        _exit(as_nobody());
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(WIFEXITED(status) ? WEXITSTATUS(status) : -1, 0);
    assert_int_equal(look("wide").st_uid, NOBODY);
    assert_int_equal(look("wide").st_gid, NOBODY);
    expect_mode("wide", 0744);
    expect_mode("narrow", 0600);
}

/* ---- extended attributes --------------------------------------------------------------------- */

static bool can_have(const char *file, const char *name, const void *value, size_t len)
{
    if (setxattr(file, name, value, len, 0) == 0)
        return true;
    assert_true(errno == ENOTSUP || errno == EPERM);
    return false;
}

static void keeps_extended_attributes(void **state)
{
    RC_STR_AUTO file = path("file");
    struct rc_error err = RC_ERROR_INIT;
    char value[300] = { 0 }, found[400];

    (void)state;
    memset(value, 'v', sizeof(value));
    value[7] = '\0';
    make("file", 0640);
    if (!can_have(file, "user.origin", value, sizeof(value)) ||
        !can_have(file, "user.empty", "", 0))
        skip();
    expect_ok(replace("file", "new", /* keep = */ true, &err));
    assert_int_equal(getxattr(file, "user.origin", found, sizeof(found)), sizeof(value));
    assert_memory_equal(found, value, sizeof(value));
    assert_int_equal(getxattr(file, "user.empty", found, sizeof(found)), 0);
}

static void keeps_the_access_list(void **state)
{
    RC_STR_AUTO file = path("file");
    struct access_list found;
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    make("file", 0600);
    if (!can_have(file, "system.posix_acl_access", &for_a_user, sizeof(for_a_user)))
        skip();
    expect_mode("file", 0640); /* which is the mask's, not the group's */
    expect_ok(replace("file", "new", /* keep = */ true, &err));
    assert_int_equal(getxattr(file, "system.posix_acl_access", &found, sizeof(found)),
                     sizeof(found));
    assert_memory_equal(&found, &for_a_user, sizeof(found));
    expect_mode("file", 0640);
}

/* A list that the folder gives to each new file is not the old file's. */
static void takes_no_access_list_from_the_folder(void **state)
{
    RC_STR_AUTO file = path("file");
    struct rc_error err = RC_ERROR_INIT;
    char found[400];

    (void)state;
    make("file", 0640);
    if (!can_have(folder, "system.posix_acl_default", &for_a_user, sizeof(for_a_user)))
        skip();
    expect_ok(replace("file", "new", /* keep = */ true, &err));
    assert_int_equal(getxattr(file, "system.posix_acl_access", found, sizeof(found)), -1);
    expect_mode("file", 0640);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(keeps_the_mode),
        TEST(keeps_owner_and_group),
        TEST(gives_no_right_to_another_group),
        TEST(keeps_extended_attributes),
        TEST(keeps_the_access_list),
        TEST(takes_no_access_list_from_the_folder),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
