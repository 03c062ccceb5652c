/*
 * A directory for one test, and shorthands to look into it.
 */
#ifndef TESTS_UNIT_OS_SCRATCH_H
#define TESTS_UNIT_OS_SCRATCH_H

#include <stdbool.h>
#include <stddef.h>

/* For cmocka's setup and teardown: *state becomes the path of a new directory. */
int scratch_setup(void **state);
int scratch_teardown(void **state);

/* The path of 'name' in the directory; freed with free(). */
char *scratch_path(const char *directory, const char *name);

/* Writes a file in the plainest way. */
void scratch_put(const char *path, const char *text);
/* The content of a file, or "" where there is none; valid until the next call. */
const char *scratch_get(const char *path);
bool scratch_exists(const char *path);
/* The number of entries of a directory. */
size_t scratch_count(const char *directory);

#endif
