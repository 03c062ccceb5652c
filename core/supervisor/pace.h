/*
 * The pace of starts: what was forked is to be at work before more is. A machine that is busy is so
 * given no more than it takes up: a claim is hardly before its process, ends and requests are heard
 * in between, and of several daemons that share a burst each takes what its machine can begin.
 *
 * For the thread of the loop.
 */
#ifndef CORE_SUPERVISOR_PACE_H
#define CORE_SUPERVISOR_PACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct core_active;

enum {
    CORE_PACE_MOST = 64,
    CORE_PACE_AWAIT_MS = 20, /* after which an attempt counts as being at work */
    CORE_PACE_LOOK_MS = 1,   /* how soon to look again whether there is room */
    CORE_PACE_BEFORE = 16,   /* runs that wait; with more than these, what is due joins them */
};

struct core_pace {
    struct {
        struct core_active *active;
        int64_t until_mono_ms;
    } begun[CORE_PACE_MOST]; /* not seen at work yet; the first 'count' */
    size_t count;
    size_t most; /* that may be begun at a time */
};

/* As many at a time as there are processors for this process, but at least two. */
void core_pace_init(struct core_pace *pace);
/* Forgets those that are at work, and returns how many may be forked now. */
int64_t core_pace_left(struct core_pace *pace);
/* Whether so many may be forked that a transaction for them pays: half of the most. */
bool core_pace_has_room(struct core_pace *pace);
/* It was forked just now. */
void core_pace_add(struct core_pace *pace, struct core_active *active);
/* It is about to be freed. */
void core_pace_drop(struct core_pace *pace, const struct core_active *active);

#endif
