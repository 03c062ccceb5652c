/*
 * The references ${...} in a value: ${env:NAME}, ${file:PATH} and ${each:KEY}, of which the first
 * and the last may end with ":-" and a default, that may hold further ones. "$${" is no reference
 * but the text "${". They are resolved while a document is read; here they are looked at without
 * that, as they stand.
 */
#ifndef CORE_CONFIG_INTERPOLATE_H
#define CORE_CONFIG_INTERPOLATE_H

#include <stdbool.h>
#include <stddef.h>

enum core_reference_kind {
    CORE_REFERENCE_ENV,
    CORE_REFERENCE_FILE,
    CORE_REFERENCE_EACH,
    CORE_REFERENCE_UNKNOWN /* a mistake */
};

struct core_reference {
    enum core_reference_kind kind;
    const char *name; /* within the text: of the variable, the file or the key */
    size_t name_len;
    bool has_default;
    bool is_nested; /* it stands in the default of another */
};

/* Where a walk over the references of a text is. Begins as { TEXT, 0 }. */
struct core_references {
    const char *at;
    int depth;
};

/* The next one, those in a default behind the one that it belongs to. False: there are no more. */
bool core_references_next(struct core_references *walk, struct core_reference *out);

#endif
