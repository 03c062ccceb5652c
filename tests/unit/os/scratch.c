/*
 * A directory for one test, and shorthands to look into it.
 */
#include "scratch.h"

#include <dirent.h>
#include <os/file.h>
#include <run-core/str.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int scratch_setup(void **state)
{
    const char *parent = getenv("TMPDIR");
    char *path = rc_strf("%s/rc-unit-XXXXXX", parent ? parent : "/tmp");

    *state = path;
    return mkdtemp(path) ? 0 : -1;
}

int scratch_teardown(void **state)
{
    struct rc_error err = RC_ERROR_INIT;
    enum rc_code code = core_tree_remove(*state, &err);

    if (code)
        fprintf(stderr, "%s\n", err.cause);
    free(*state);
    return code ? -1 : 0;
}

char *scratch_path(const char *directory, const char *name)
{
    return rc_strf("%s/%s", directory, name);
}

void scratch_put(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    RC_ASSERT(file);
    fputs(text, file);
    fclose(file);
}

const char *scratch_get(const char *path)
{
    static char text[4096];
    FILE *file = fopen(path, "r");
    size_t len = file ? fread(text, 1, sizeof(text) - 1, file) : 0;

    text[len] = '\0';
    if (file)
        fclose(file);
    return text;
}

bool scratch_exists(const char *path)
{
    struct stat info;

    return lstat(path, &info) == 0;
}

size_t scratch_count(const char *directory)
{
    DIR *dir = opendir(directory);
    size_t count = 0;

    RC_ASSERT(dir);
    while (readdir(dir))
        count++;
    closedir(dir);
    return count - 2;
}
