/*
 * Path templates of HTTP routes: "/rules/{id}", in which each {name} stands for one part between
 * slashes, never an empty one; a {name*} at the end for all that is left, also for nothing.
 */
#ifndef CORE_BASE_PATH_TEMPLATE_H
#define CORE_BASE_PATH_TEMPLATE_H

#include <stdbool.h>
#include <stddef.h>

enum { CORE_PATH_VALUES = 8 };

struct core_path_value {
    const char *name, *value; /* not terminated: they lie in the template and the path */
    size_t name_len, value_len;
};

struct core_path_values {
    struct core_path_value items[CORE_PATH_VALUES];
    size_t count;
};

/* Begins with '/', has whole {names} only, each once, and at most CORE_PATH_VALUES of them. */
bool core_path_template_is_good(const char *path_template);

/* Whether the path fits the template, and what its names stand for. */
bool core_path_match(const char *path_template, const char *path, struct core_path_values *out);

/*
 * Whether 'a' goes before 'b' where a path fits both: the one that is plain where the other has a
 * name first.
 */
bool core_path_goes_before(const char *a, const char *b);

#endif
