/*
 * One run of a plugin's action: what it was asked to do, and the job that the
 * plugin sees of it.
 */
#ifndef CORE_RUNTIME_RUN_H
#define CORE_RUNTIME_RUN_H

#include <config/config.h>
#include <db/db.h>
#include <runtime/status.h>
#include <schedule/time_zone.h>
#include <storage/remote.h>
#include <storage/storage.h>

#include <run-core/host.h>

#include <pthread.h>

enum { CORE_RUN_ID_TEXT = 40 };

struct core_plugin;

/* Of a run that a plugin has begun: see submit.h. */
struct core_submission {
    const struct core_job_settings *like; /* whose option values it has, without being of it */
    const struct core_node *params;       /* the action's parameters, which are given here alone */
};

/* What is asked for. Borrowed by everything below, and unchanged during the run. */
struct core_request {
    const struct core_config *config;
    const struct core_job_settings *job;      /* or NULL */
    const char *plugin;                       /* its name */
    const char *action;                       /* or NULL: the default */
    const struct core_node *set;              /* map of --set, or NULL */
    const struct core_submission *submission; /* NULL: no plugin has begun it */
    int64_t now_unix_ms;
    int64_t slot_unix_ms; /* the nominal time; as 'now' in the foreground */
    int64_t attempt;      /* from 1 */
    bool supervised;      /* by the daemon, which decides by itself which of its runs overlap */
    bool dry_run, json, force;
    int log_level;
};

/* Runs that this process has begun, and that go on; at most so many at a time. */
enum { CORE_SUBMITS = 64 };

struct core_submits {
    int worker_fd; /* by which a worker asks its guard; 0: this process starts them itself */
    int alive[CORE_SUBMITS]; /* a pipe of each, which ends with it */
    size_t count, pending;
};

/* The services of a run, shared by all its jobs. Everything that costs is opened on first use. */
struct core_run {
    const struct core_request *request;
    struct core_status *status;
    char id[CORE_RUN_ID_TEXT];
    int64_t deadline_mono_ms;         /* 0: none */
    int result_fd;                    /* where results go */
    atomic_int result_errno;          /* why they could not be written there; 0: they could */
    atomic_bool has_results;          /* something went there */
    const struct core_plugin *plugin; /* once it is loaded */

    pthread_mutex_t opening; /* held while one of the following is made */
    struct core_time_zone *zone;
    struct core_db *db;
    struct core_remote *remote; /* from the beginning */
    char *temp_dir;
    struct core_submits submits;
};

/*
 * What the plugin sees, and what belongs to one scope of cancellation: the run, or a parallel
 * group in it.
 */
struct core_job {
    struct rc_job job; /* the first member: a struct rc_job * is one of these */
    struct core_run *run;
    struct core_cancel *cancel;
    struct core_storage *storage;
};

static inline struct core_job *core_job_of(struct rc_job *job)
{
    return (struct core_job *)(void *)job;
}

/* Fills a run's id: its start in UTC and eight random digits. */
void core_run_make_id(char id[CORE_RUN_ID_TEXT], int64_t unix_ms);

/*
 * A storage for one scope of cancellation; freed by core_storage_free(). What all of them share,
 * run->remote, has to be there.
 */
struct core_storage *core_run_storage(struct core_run *run, const struct core_cancel *cancel);

/* The opened state database, made on first use. */
RC_MUST_CHECK enum rc_code core_run_db(struct core_run *run, struct core_db **out,
                                       struct rc_error *err);

/* The URL or folder of the state: core.state, RUN_CORE_STATE, /var/lib/run-core if it can be
 * written, else $XDG_STATE_HOME/run-core. Freed with free(). RC_INVALID: none of them. */
RC_MUST_CHECK enum rc_code core_state_url(const struct core_config *config, char **out,
                                          struct rc_error *err);

/* The folder of this machine by the end of that rule, whatever was named. Freed with free(). */
RC_MUST_CHECK enum rc_code core_state_folder(char **out, struct rc_error *err);

#endif
