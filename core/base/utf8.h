/*
 * UTF-8 in bytes from outside, which need not be that.
 */
#ifndef CORE_BASE_UTF8_H
#define CORE_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/*
 * The number of bytes at 'text', of which there is at least one, that are one character; or, with
 * *valid false, that one U+FFFD stands for: the longest beginning of a character, as Unicode
 * recommends.
 */
size_t core_utf8_next(const char *text, size_t len, bool *valid);

bool core_utf8_is_valid(const char *text);
/* Of so many bytes, which may have a NUL among them. */
bool core_utf8_are_valid(const char *bytes, size_t len);

#endif
