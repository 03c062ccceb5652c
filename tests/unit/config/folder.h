/*
 * A folder of its own for a test that reads configurations from files.
 */
#ifndef TESTS_UNIT_CONFIG_FOLDER_H
#define TESTS_UNIT_CONFIG_FOLDER_H

#include <stdbool.h>

enum { FOLDER_PATH = 64 };

/* Makes an empty one and puts its path into 'path'; false: there is none to be had. */
bool folder_make(char path[FOLDER_PATH]);
/* Writes a file below it, with the folders on the way; ends the test where that fails. */
void folder_write(const char *path, const char *name, const char *text);
void folder_remove(const char *path);

#endif
