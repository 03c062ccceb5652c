/*
 * The supervisor: keeps the schedule, runs what is due, and always can say what happened and why.
 * It lives in one thread, on an event loop, and never runs plugin code.
 *
 * What it may be asked for (trigger, cancel, pause, ...) is the same for the API, the command line
 * and signals. Functions that write answer RC_UNAVAILABLE while the state database is away.
 */
#ifndef CORE_SUPERVISOR_SUPERVISOR_H
#define CORE_SUPERVISOR_SUPERVISOR_H

#include <config/config.h>
#include <db/ledger.h>
#include <os/loop.h>
#include <runtime/attempt.h>

struct core_supervisor;

struct core_supervisor_options {
    struct core_loop *loop;
    const char *config_path;    /* read again at each reload; NULL: no configuration */
    struct core_config *config; /* as loaded and checked; taken over by what is open then */
    bool has_log_level;         /* of the command line, which is stronger than the configuration */
    int log_level;              /* enum rc_log_level */
    /*
     * What layers above would refuse of a configuration at the start, and so at a reload; without
     * 'context'. NULL: nothing.
     */
    void (*check)(const struct core_config *config, struct core_problems *problems);
    /* Called in each forked child, to close what is not the supervisor's, such as sockets. */
    void (*forget)(void *context);
    void *context;
};

/*
 * Joins the ledger, adopts or settles what an earlier daemon left, and begins to watch the clock.
 * RC_CONFLICT: another daemon keeps this state. RC_UNAVAILABLE: the database cannot be reached.
 */
RC_MUST_CHECK enum rc_code core_supervisor_open(const struct core_supervisor_options *options,
                                                struct core_supervisor **out, struct rc_error *err);
/*
 * Starts nothing more; waits up to core.shutdown_grace for what runs, then stops it, and calls
 * back when nothing is left. A second call waits no longer; a third kills.
 */
void core_supervisor_stop(struct core_supervisor *supervisor, void (*done)(void *context),
                          void *context);
void core_supervisor_close(struct core_supervisor *supervisor);
void core_supervisor_forget(struct core_supervisor *supervisor);

/* The configuration in effect, until the next reload. */
const struct core_config *core_supervisor_config(const struct core_supervisor *supervisor);
/* For reading runs. */
struct core_ledger *core_supervisor_ledger(struct core_supervisor *supervisor);
/* The folder of runs: <spool>/runs. */
const char *core_supervisor_runs_folder(const struct core_supervisor *supervisor);

/* ---- what is --------------------------------------------------------------------------------- */

struct core_supervisor_health {
    bool ready;          /* the database answers, and what is due can be started */
    const char *why_not; /* else */
    bool stopping;
    int64_t started_unix_ms, jobs, workers, waiting, reloads, last_reload_unix_ms;
    const char *last_reload_error; /* NULL: it was taken */
};

void core_supervisor_health(const struct core_supervisor *supervisor,
                            struct core_supervisor_health *out);

struct core_job_view {
    const struct core_job_settings *settings;
    bool has_next;
    int64_t next_unix_ms;
    int64_t paused_unix_ms; /* 0: not paused */
    const char *paused_by;
    int64_t workers, waiting; /* its runs of this daemon */
};

size_t core_supervisor_job_count(const struct core_supervisor *supervisor);
/* In the order of the configuration. */
void core_supervisor_job(const struct core_supervisor *supervisor, size_t index,
                         struct core_job_view *out);
bool core_supervisor_find_job(const struct core_supervisor *supervisor, const char *name,
                              struct core_job_view *out);
/* RC_NOT_FOUND: "there is no job ...", with the nearest name. */
enum rc_code core_supervisor_no_job(const struct core_supervisor *supervisor, const char *name,
                                    struct rc_error *err);
/* The next slots of a job, at most 'count'; returns how many. */
size_t core_supervisor_next(const struct core_supervisor *supervisor, const char *job,
                            int64_t *slots_unix_ms, size_t count);

/* The live status of a run that goes on here, or NULL: progress and counters. Sealed. */
struct core_status *core_supervisor_status(struct core_supervisor *supervisor, const char *run);

typedef void core_supervisor_run_fn(void *context, const char *run, const char *job,
                                    struct core_status *status);
/* Calls back for each run that goes on here. The status is sealed. */
void core_supervisor_each_run(struct core_supervisor *supervisor, core_supervisor_run_fn *fn,
                              void *context);

/* Since the daemon started; for metrics. */
enum { CORE_DURATION_BUCKETS = 12, CORE_LATENESS_BUCKETS = 12 };
extern const double core_duration_bucket_s[CORE_DURATION_BUCKETS]; /* upper bounds */
extern const double core_lateness_bucket_s[CORE_LATENESS_BUCKETS];

struct core_lateness {
    int64_t counts[CORE_LATENESS_BUCKETS + 1];
    double sum_s;
};

struct core_job_counts {
    int64_t ended[CORE_RUN_STATUS_COUNT]; /* attempts by how they ended; and skipped slots */
    int64_t durations[CORE_DURATION_BUCKETS + 1];
    double duration_sum_s;
    int64_t retries;
    int64_t last_success_unix_ms, last_failure_unix_ms; /* also of before this daemon; 0: never */
};

/* NULL: nothing happened to the job yet. */
const struct core_job_counts *core_supervisor_counts(const struct core_supervisor *supervisor,
                                                     size_t index);

struct core_supervisor_totals {
    struct core_lateness of_slots;  /* from the nominal time to the fork */
    struct core_lateness of_claims; /* from the beginning of the claim to the fork */
    int64_t database_failures, clock_jumps, adopted, taken_over, notices_sent, notices_failed;
};

const struct core_supervisor_totals *
core_supervisor_totals(const struct core_supervisor *supervisor);

/* ---- what may be asked ----------------------------------------------------------------------- */

struct core_trigger {
    const char *job;
    const char *set; /* option values of this run as a JSON object, kept in the ledger; or NULL */
    bool force;      /* obeys no overlap rule */
    const char *by;  /* who asks, for the log */
};

/*
 * Starts a run of a job by hand, or lets it wait as the job's overlap rule says. RC_NOT_FOUND: no
 * such job. RC_SKIPPED: another run of it goes on; the record of the skip has the id too.
 */
RC_MUST_CHECK enum rc_code core_supervisor_trigger(struct core_supervisor *supervisor,
                                                   const struct core_trigger *trigger,
                                                   char run_id[CORE_RUN_ID_TEXT],
                                                   struct rc_error *err);
/* RC_NOT_FOUND: no such run. RC_CONFLICT: it has ended. */
RC_MUST_CHECK enum rc_code core_supervisor_cancel(struct core_supervisor *supervisor,
                                                  const char *run, const char *by,
                                                  struct rc_error *err);
/* *changed: it was not so already. */
RC_MUST_CHECK enum rc_code core_supervisor_pause(struct core_supervisor *supervisor,
                                                 const char *job, const char *by, bool *changed,
                                                 struct rc_error *err);
RC_MUST_CHECK enum rc_code core_supervisor_resume(struct core_supervisor *supervisor,
                                                  const char *job, const char *by, bool *changed,
                                                  struct rc_error *err);
/*
 * Reads the configuration anew: all of it takes effect, or with any mistake, which go to
 * 'problems', nothing. Running work is untouched, and what was edited never fires the past.
 * RC_INVALID: there were mistakes. RC_UNAVAILABLE: not now, for the state database is away or the
 * daemon is ending.
 */
RC_MUST_CHECK enum rc_code core_supervisor_reload(struct core_supervisor *supervisor,
                                                  const char *by, struct core_problems *problems,
                                                  struct rc_error *err);

/*
 * The Unix socket of the worker that serves the plugin's routes, or NULL with the reason: it is not
 * served, or is not up now.
 */
const char *core_supervisor_serve_socket(const struct core_supervisor *supervisor,
                                         const char *plugin, const char **why_not);

#endif
