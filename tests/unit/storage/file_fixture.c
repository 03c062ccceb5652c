/*
 * The folder of a test, made and removed.
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

char folder[64];
struct core_storage *storage;

int set_up(void **state)
{
    (void)state;
    (void)umask(022);
    (void)snprintf(folder, sizeof(folder), "/tmp/storage-test.XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    storage = core_storage_new(NULL, 0, NULL, NULL);
    return 0;
}

int tear_down(void **state)
{
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    core_storage_free(storage);
    return core_tree_remove(folder, &err) == RC_OK ? 0 : -1;
}

char *path(const char *name)
{
    return rc_strf("%s/%s", folder, name);
}

char *uri(const char *name)
{
    return rc_strf("file://%s/%s", folder, name);
}

enum rc_code put(const char *name, const char *text, struct rc_error *err)
{
    RC_STR_AUTO where = uri(name);

    return core_storage_put(storage, where, text, strlen(text), NULL, err);
}

enum rc_code drop(const char *name, struct rc_error *err)
{
    RC_STR_AUTO where = uri(name);

    return core_storage_remove(storage, (const char *const[]){ where }, 1, err);
}

bool exists(const char *name)
{
    RC_STR_AUTO where = path(name);
    struct stat st;

    return lstat(where, &st) == 0;
}

int entries(const char *name)
{
    RC_STR_AUTO where = path(name);
    DIR *dir = opendir(where);
    int count = -2; /* "." and ".." */

    assert_non_null(dir);
    while (readdir(dir))
        count++;
    (void)closedir(dir);
    return count;
}

void assert_content(const char *where, const char *text)
{
    RC_BUF_AUTO(body, 1 << 20);
    struct rc_error err = RC_ERROR_INIT;

    expect_ok(core_storage_get(storage, where, &body, &err));
    assert_string_equal(body.data, text);
}

void assert_listing(struct core_storage *in, const char *prefix, bool shallow, const char *expected)
{
    const struct rc_list_options options = { .shallow = shallow };
    RC_BUF_AUTO(names, 1 << 20);
    struct rc_error err = RC_ERROR_INIT;
    struct rc_listing *listing;
    const struct rc_object *object;

    expect_ok(core_storage_list(in, prefix, &options, &listing, &err));
    for (;;) {
        expect_ok(core_listing_next(listing, &object, &err));
        if (!object)
            break;
        rc_buf_addf(&names, "%s ", object->name);
    }
    core_listing_close(listing);
    assert_string_equal(names.data, expected);
}
