/*
 * The status of one run, in memory that the guard and the worker share. The worker
 * writes it, the guard reads it: for health and metrics while the run goes on, and
 * for the final word even if the worker has crashed. Because a plugin may scribble over anything in
 * its process, the reader trusts no text to be terminated and no number to be in range.
 */
#ifndef CORE_RUNTIME_STATUS_H
#define CORE_RUNTIME_STATUS_H

#include <base/cancel.h>

#include <run-core/error.h>

#include <stdatomic.h>
#include <stdint.h>

enum { CORE_STATUS_NAME = 64, CORE_STATUS_COUNTERS = 64 };

enum core_phase {
    CORE_PHASE_LOADING, /* the plugin and its configuration */
    CORE_PHASE_RUNNING, /* the plugin's action */
    CORE_PHASE_ENDED,   /* 'code' and 'error' say how */
};

struct core_counter {
    char name[CORE_STATUS_NAME];
    atomic_int_least64_t value;
};

struct core_status {
    struct core_cancel cancel; /* set by either side */
    atomic_int phase;
    char action[CORE_STATUS_NAME];

    atomic_int_least64_t progress_done, progress_total;
    char progress_unit[CORE_STATUS_NAME];

    atomic_size_t counter_count; /* rises after the counter's name is complete */
    struct core_counter counters[CORE_STATUS_COUNTERS];

    enum rc_code code;
    char reason[CORE_STATUS_NAME]; /* a word for programs, such as "locked" */
    struct rc_error error;
};

/* Shared with processes forked later; zeroed. Lives as long as the process. */
struct core_status *core_status_new(void);

/*
 * The same in the file at 'path', for processes that are no relatives; with 'make' it is made anew,
 * with room on the disk. NULL, with errno: EUCLEAN is a file of another version's.
 */
struct core_status *core_status_map(const char *path, bool make);
/* May be NULL. */
void core_status_unmap(struct core_status *status);

/* Adds to a counter, making it if needed. False: there is no room for another. Thread-safe. */
bool core_status_count(struct core_status *status, const char *name, int64_t delta);

/* Sets how far the run is; 'unit' may be NULL. Thread-safe. */
void core_status_progress(struct core_status *status, int64_t done, int64_t total,
                          const char *unit);

/* How many counters may be read. */
size_t core_status_counters(const struct core_status *status);

/* Ends every text in the status, so that it may be printed. For the reader. */
void core_status_seal(struct core_status *status);

#endif
