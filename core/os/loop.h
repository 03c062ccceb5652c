/*
 * An event loop on epoll: descriptors, timers, signals, ends of processes, and jumps of the wall
 * clock. A loop belongs to one thread; callbacks run in core_loop_run() and may watch, change and
 * end anything, themselves included.
 *
 * An idle loop makes no wake-ups: it sleeps until a descriptor, a signal or the earliest timer.
 */
#ifndef CORE_OS_LOOP_H
#define CORE_OS_LOOP_H

#include <run-core/error.h>

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct core_loop;

RC_MUST_CHECK enum rc_code core_loop_new(struct core_loop **out, struct rc_error *err);
/* Ends every watch that is left. May be NULL. */
void core_loop_free(struct core_loop *loop);

/* Calls back until core_loop_stop(). */
void core_loop_run(struct core_loop *loop);
void core_loop_stop(struct core_loop *loop);

/* How often it has woken up; a loop with nothing to do does not. */
uint64_t core_loop_turns(const struct core_loop *loop);

/* For a forked child: closes the loop's descriptors; nothing else of it may be used after. */
void core_loop_forget(struct core_loop *loop);

/* ---- descriptors, signals and processes ------------------------------------------------------ */

struct core_watch;

typedef void core_watch_fn(void *context);

/*
 * Calls back while 'fd' is readable, or its other end has gone. The descriptor stays the caller's,
 * who ends the watch before closing it.
 */
RC_MUST_CHECK enum rc_code core_loop_watch(struct core_loop *loop, int fd, core_watch_fn *fn,
                                           void *context, struct core_watch **out,
                                           struct rc_error *err);
/* Calls back once, when the process behind the descriptor of pidfd_open(2) has ended. */
RC_MUST_CHECK enum rc_code core_loop_watch_process(struct core_loop *loop, int pidfd,
                                                   core_watch_fn *fn, void *context,
                                                   struct core_watch **out, struct rc_error *err);
/*
 * Takes the signal from the process (signalfd(2)) and calls back for each arrival. What arrives
 * meanwhile is for the next turn of the loop, so that a signal in a row keeps nothing waiting. At
 * most one watch for each signal.
 */
RC_MUST_CHECK enum rc_code core_loop_watch_signal(struct core_loop *loop, int number,
                                                  core_watch_fn *fn, void *context,
                                                  struct core_watch **out, struct rc_error *err);
/* Calls back when the wall clock was set or the machine woke up. At most one per loop. */
RC_MUST_CHECK enum rc_code core_loop_watch_clock(struct core_loop *loop, core_watch_fn *fn,
                                                 void *context, struct rc_error *err);
/* Also within its own callback. May be NULL. */
void core_watch_end(struct core_watch *watch);

/* ---- timers ---------------------------------------------------------------------------------- */

enum core_timer_clock {
    CORE_TIMER_MONO, /* milliseconds of core_clock_mono_ms() */
    CORE_TIMER_WALL, /* of core_clock_now_unix_ms(); fires when the wall clock shows it */
};

/* Embedded where it is used; zeroed but for the first three. */
struct core_timer {
    enum core_timer_clock clock;
    void (*fn)(void *context);
    void *context;

    struct core_loop *loop; /* while set; the rest is the loop's */
    int64_t at_ms;
    size_t place;
};

/*
 * Fires once at 'at_ms'; sets it anew if it was set. A time that has passed fires at once, though
 * not before the callback returns that sets it. Timers of the same time fire in the order in which
 * they were set.
 */
void core_timer_set(struct core_loop *loop, struct core_timer *timer, int64_t at_ms);
void core_timer_cancel(struct core_timer *timer);

#endif
