/*
 * Makes, fills and removes the folder of a test.
 */
#include "folder.h"

#include <os/file.h>

#include <run-core/str.h>

#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

bool folder_make(char path[FOLDER_PATH])
{
    static const char template[] = "/tmp/run-core-test-XXXXXX";

    memcpy(path, template, sizeof(template));
    return mkdtemp(path) != NULL;
}

void folder_write(const char *path, const char *name, const char *text)
{
    RC_STR_AUTO file = rc_strf("%s/%s", path, name);
    RC_STR_AUTO parent = rc_strdup(file);
    struct rc_error err = RC_ERROR_INIT;

    *strrchr(parent, '/') = '\0';
    assert_int_equal(core_dir_make(parent, 0755, &err), RC_OK);
    assert_int_equal(core_file_write(file, text, strlen(text), 0644, &err), RC_OK);
}

void folder_remove(const char *path)
{
    struct rc_error err = RC_ERROR_INIT;

    assert_int_equal(core_tree_remove(path, &err), RC_OK);
}
