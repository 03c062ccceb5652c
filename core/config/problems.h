/*
 * The mistakes that were found in a configuration, each with its place. Collected,
 * so that one run of 'run-core check' reports them all.
 */
#ifndef CORE_CONFIG_PROBLEMS_H
#define CORE_CONFIG_PROBLEMS_H

#include <run-core/attr.h>

#include <base/arena.h>

#include <stddef.h>

/* A place in a file; or outside any, with line 0: "--set KEY", "environment variable NAME". */
struct core_place {
    const char *file;
    int line, column; /* from 1; columns count characters */
};

struct core_problem {
    struct core_place place;
    const char *message;
    struct core_problem *next;
};

/* Mistakes beyond this number are not kept: one that says so takes their place. */
enum { CORE_PROBLEMS_MAX = 1000 };

struct core_problems {
    struct core_arena arena;
    struct core_problem *first, **last; /* 'last' is NULL before the first */
    size_t count;
};

/* A local collection that clears itself. */
#define CORE_PROBLEMS_AUTO(name)                                                                   \
    RC_CLEANUP(core_problems_clear) struct core_problems name = { .arena = CORE_ARENA_INIT }

void core_problems_init(struct core_problems *problems);
void core_problems_clear(struct core_problems *problems);

/*
 * Keeps a mistake; the place's file name is copied, secret values in the text are masked. A
 * second one at the same place with the same text is dropped.
 */
void core_problem_add(struct core_problems *problems, const struct core_place *place,
                      const char *format, ...) RC_PRINTF(3, 4);

/* Sorts by file, line and column. Those without a line come last, in the order of their coming. */
void core_problems_sort(struct core_problems *problems);

/* "FILE:LINE:COLUMN: message", or "PLACE: message" without a line. Valid as long as 'problems'. */
const char *core_problem_text(struct core_problems *problems, const struct core_problem *problem);

enum { CORE_SHOWN_TEXT = 96 };

/*
 * What a message shows of a text from outside: secret values masked, on one line, control
 * characters as '?', cut with "..." where it is long. Returns 'out'.
 */
const char *core_shown(const char *text, char out[CORE_SHOWN_TEXT]);

/* "FILE:LINE:COLUMN" or, without a line, the file alone. */
const char *core_place_text(const struct core_place *place, struct core_arena *arena);

#endif
