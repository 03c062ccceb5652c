/*
 * The table of jobs: what the daemon knows of each between two looks, and which is due next. Small,
 * as there may be 100,000 of them, and pure: it neither reads a clock nor the ledger.
 *
 * The cursor of a job stands where its schedule is settled: every slot up to there has its row, or
 * never will. What is due is the first slot behind it.
 */
#ifndef CORE_SUPERVISOR_JOBS_H
#define CORE_SUPERVISOR_JOBS_H

#include <config/config.h>
#include <schedule/schedule.h>
#include <schedule/time_zones.h>
#include <supervisor/heap.h>
#include <supervisor/supervisor.h>

#define CORE_NEVER_UNIX_MS INT64_MAX

struct core_active; /* runs.h */

/* Why its slots do not run. */
struct core_pause {
    int64_t since_unix_ms;
    char by[]; /* who asked */
};

struct core_job_state {
    const struct core_job_settings *settings;
    const struct core_schedule *schedule; /* NULL: by hand only */
    int64_t cursor_unix_ms, next_unix_ms;
    struct core_heap_item due;        /* in the table's heap, by when it is to be looked at */
    struct core_pause *pause;         /* NULL: it is not paused */
    struct core_job_counts *counts;   /* NULL: nothing happened yet */
    struct core_active *first, *last; /* its runs, the oldest first */
    uint64_t fingerprint;             /* of what decides its slots */
    uint32_t busy, waiting;           /* its runs that were begun, and those that wait */
    bool startup_due;                 /* @startup: the slot of this start has no row yet */
};

struct core_jobs {
    struct core_job_state *items; /* in the order of the configuration */
    size_t count;
    uint32_t *index; /* by the hash of the name: place from 1; 0: none */
    size_t index_mask;
    struct core_heap due;
    struct core_time_zones *zones;
    struct core_schedule **schedules; /* each once, of however many jobs it is */
    size_t schedule_count, schedule_capacity;
};

/* Without cursors. RC_INVALID: a schedule is none, which is known beforehand from
 * core_job_schedule_check(). */
RC_MUST_CHECK enum rc_code core_jobs_make(const struct core_config *config, struct core_jobs **out,
                                          struct rc_error *err);
void core_jobs_free(struct core_jobs *jobs);

/* NULL: no such job. */
struct core_job_state *core_jobs_find(const struct core_jobs *jobs, const char *name);

enum { CORE_FINGERPRINT_TEXT = 17 };
/* As the ledger keeps it. Returns 'out'. */
const char *core_job_fingerprint(const struct core_job_state *job, char out[CORE_FINGERPRINT_TEXT]);

/* Whether the table has the job too, with nothing changed that decides its slots. */
bool core_jobs_keep(const struct core_jobs *jobs, const struct core_job_state *job);

/* Sets the cursor and works out the slot behind it. */
void core_job_set_cursor(struct core_job_state *job, int64_t cursor_unix_ms);
/* The slot behind 'after', or CORE_NEVER_UNIX_MS. */
int64_t core_job_slot_after(const struct core_job_state *job, int64_t after_unix_ms);

/* 'by' is copied; since 0: it is not paused. */
void core_job_set_pause(struct core_job_state *job, int64_t since_unix_ms, const char *by);

/* Its counts, made if there are none. */
struct core_job_counts *core_job_counts_of(struct core_job_state *job);

/*
 * Moves what is known of a job of the same name in the table before a reload: its pause, its counts
 * and its runs; and its cursor, where nothing changed that decides its slots.
 */
void core_job_inherit(struct core_job_state *job, struct core_job_state *former);

#endif
