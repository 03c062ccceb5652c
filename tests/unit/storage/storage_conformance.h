/*
 * What every storage backend has to do alike, as one test that runs over any place.
 */
#ifndef STORAGE_CONFORMANCE_H
#define STORAGE_CONFORMANCE_H

#include <storage/storage.h>

/*
 * Checks the whole contract below 'base', a URI without a slash at its end that holds nothing
 * yet, and leaves nothing behind. Fails as a cmocka test does.
 */
void storage_conformance(struct core_storage *storage, const char *base);
/* The same of a store that refuses writes on a condition: RC_UNSUPPORTED, nothing is changed. */
void storage_conformance_without_conditions(struct core_storage *storage, const char *base);

/*
 * What acts on one certain object: conditional removals, versions of a place that keeps none, and
 * attributes that a new object takes over. A part of the above.
 */
void storage_conformance_exact(struct core_storage *storage, const char *base);
/* The versions of a bucket that keeps them, in which nothing else is done meanwhile. */
void storage_conformance_versions(struct core_storage *storage, const char *base);

#endif
