/*
 * "Did you mean": the valid name that is nearest to a wrong one.
 */
#ifndef CORE_BASE_NEAREST_H
#define CORE_BASE_NEAREST_H

#include <stddef.h>

/*
 * The candidate with the smallest edit distance (insertions, deletions, substitutions, swaps of
 * neighbours; upper and lower case are equal), or NULL where none is near enough to be meant:
 * more than a third of the word's length, at least 1. The first of equals. NULL candidates are
 * passed over.
 */
const char *core_nearest(const char *word, const char *const *candidates, size_t count);

#endif
