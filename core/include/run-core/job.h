/*
 * The job: what a run is told, and what it tells its host.
 *
 * A job belongs to the thread that runs the action; every service of the host may
 * also be called from the workers that rc_parallel() starts.
 */
#ifndef RUN_CORE_JOB_H
#define RUN_CORE_JOB_H

#include <run-core/error.h>
#include <run-core/time.h>

#include <stddef.h>
#include <stdint.h>

struct rc_host;
struct rc_pair;

/* Filled by the host, read-only to the plugin. Grows only at its end. */
struct rc_job {
    const struct rc_host *host;
    int log_level;      /* messages above it are not formatted; see log.h */
    bool dry_run;       /* the host makes no change; a plugin may say more of its plan */
    int32_t attempt;    /* 1 for the first */
    const char *run_id; /* unique among all runs; letters, digits and '-' */
    const char *plugin, *action;
    const char *name;        /* of the job in the configuration; NULL for a run without one */
    const void *params;      /* the action's filled parameter struct, or NULL */
    int64_t now_unix_ms;     /* when the run began, or what --now said; does not move */
    int64_t slot_unix_ms;    /* the nominal time of the slot; now_unix_ms in a manual run */
    const char *time_zone;   /* the job's IANA zone, "UTC" by default */
    const char *working_dir; /* absolute; what local paths in the configuration are relative to */
    bool by_daemon; /* the daemon started it: what is away may be waited for, as long as the run's
                       timeout lets it. Since 1.5 */
};

/* A small table of results, for people and, under --json, for programs. All text is borrowed. */
struct rc_table {
    const char *title;
    const char *const *columns; /* a heading that begins with '>' aligns its column right */
    size_t column_count;
    const char *const *cells; /* row by row; NULL is shown as nothing */
    size_t row_count;
};

enum { RC_RUN_ID_TEXT = 64 };

struct rc_job_api {
    enum rc_code (*check)(struct rc_job *job, struct rc_error *err);
    int64_t (*remaining_ms)(struct rc_job *job);
    void (*progress)(struct rc_job *job, int64_t done, int64_t total, const char *unit);
    void (*count)(struct rc_job *job, const char *name, int64_t delta);
    void (*say)(struct rc_job *job, const char *text);
    void (*show)(struct rc_job *job, const struct rc_table *table);
    enum rc_code (*temp_dir)(struct rc_job *job, const char **path, struct rc_error *err);
    enum rc_code (*day_of)(struct rc_job *job, int64_t unix_ms, int32_t *day, struct rc_error *err);
    enum rc_code (*day_start)(struct rc_job *job, int32_t day, int64_t *unix_ms,
                              struct rc_error *err);

    /* Since 1.6. */
    enum rc_code (*submit)(struct rc_job *job, const char *action, const struct rc_pair *params,
                           size_t param_count, char run_id[RC_RUN_ID_TEXT], struct rc_error *err);
};

#endif
