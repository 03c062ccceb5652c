/*
 * Shared libraries that are loaded only when something needs them, so that a run
 * that does not need them starts without them.
 */
#ifndef CORE_OS_LIBRARY_H
#define CORE_OS_LIBRARY_H

#include <run-core/error.h>

#include <stddef.h>

struct core_library_symbol {
    const char *name;
    size_t offset; /* of the function pointer in the table that is filled */
};

/*
 * Loads 'path' (a file, or a name for the loader's search) and fills the function pointers of
 * 'table'. The library stays loaded until the process ends. RC_NOT_FOUND: no such file or
 * library. RC_UNSUPPORTED: it lacks a symbol, which the message names.
 */
RC_MUST_CHECK enum rc_code core_library_load(const char *path,
                                             const struct core_library_symbol *symbols,
                                             size_t count, void *table, struct rc_error *err);

#endif
