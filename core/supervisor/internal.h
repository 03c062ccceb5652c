/*
 * The supervisor's own state, and how its parts call each other. Private to core/supervisor.
 *
 * The order of things, on which everything else rests:
 *   1. What is to happen is written to the ledger, in one transaction a turn.
 *   2. Only when that is committed, memory follows and processes are forked.
 *   3. What processes did is in files until it is in the ledger.
 * So whenever the daemon dies, or the database goes away, what is in the ledger and in the spool
 * tells the next one (or this one, once the database is back) how to go on.
 */
#ifndef CORE_SUPERVISOR_INTERNAL_H
#define CORE_SUPERVISOR_INTERNAL_H

#include <supervisor/jobs.h>
#include <supervisor/missed.h>
#include <supervisor/notices.h>
#include <supervisor/runs.h>
#include <supervisor/servers.h>
#include <supervisor/supervisor.h>

#include <os/backoff.h>

#include <run-core/log.h>

#include <dirent.h>

/*
 * A turn has three steps: ends, starts of what waits, claims of what is due. This is what each
 * writes at most, and how long it takes for that, so that the loop is never held for long. Each has
 * it for itself: however much ends and waits, what is due is recorded.
 */
enum { CORE_STEP_ROWS = 1000, CORE_STEP_MS = 20 };
/* Waiting runs of one job beyond which none of its slots is claimed to wait as well. */
enum { CORE_JOB_WAITING_MAX = 1000 };

struct core_supervisor {
    struct core_supervisor_options options;
    struct core_loop *loop;
    struct core_config *config;
    struct core_jobs *jobs;
    struct core_runs runs;
    struct core_ledger *ledger;
    struct core_executor self;
    char *state_url, *spool, *runs_folder;
    /* What the configuration said of these when the daemon started: it holds until it ends. */
    struct {
        char *state, *spool, *socket, *listen;
    } as_started;

    uint64_t run_number; /* of the next run's id */

    /* The clock, as it was looked at last (clock.c). */
    int64_t started_unix_ms, awake_since_unix_ms;
    int64_t seen_unix_ms, seen_mono_ms;
    int64_t trusted_unix_ms; /* before it was set forward beyond all history; 0: it was not */
    /* When it was set forward beyond all history, and not back since; to 0: it was not. */
    struct {
        int64_t from_unix_ms, to_unix_ms;
    } leap;
    int64_t expected_unix_ms; /* for when the slot timer was set; 0: it was not */
    int64_t hold_mono_ms;     /* until then missed slots are left to other daemons; 0: not */
    /* Cursors from 'from' on went back to 'to', which the ledger does not know yet. */
    struct {
        bool is_unwritten;
        int64_t from_unix_ms, to_unix_ms;
    } rewind;

    /* Turns (turn.c). */
    struct core_timer slot_timer, turn_timer, fork_timer, hold_timer;
    int64_t fork_failures;      /* in a row: no guard can be forked */
    struct rc_error fork_error; /* why not */

    /* The database (database.c). */
    bool away;
    bool said_away; /* the last word of the log on it */
    struct rc_error away_error;
    int64_t away_failures; /* in a row */
    struct core_timer recover_timer;

    /* The heartbeat (heartbeat.c). */
    struct core_timer beat_timer;
    int64_t renewed_boot_ms; /* before the last renewal was sent */
    bool is_rejoining;       /* what others made of its runs is not known yet */
    int64_t pauses;          /* core_ledger_pauses() when those of all jobs were known; -1: never */

    /* Retention (retention.c). */
    struct core_timer retention_timer;
    DIR *orphans; /* the folder of runs, while it is gone through */

    bool due_first; /* alternates from turn to turn */
    /* That are to take effect, while all that is due by now is recorded (reload.c); else NULL. */
    const struct core_jobs *next_jobs;

    /* Stopping. */
    int stop_calls;
    struct core_timer grace_timer;
    void (*stopped)(void *context);
    void *stopped_context;

    struct core_notices *notices;
    struct core_servers *servers;    /* of plugins' routes */
    struct core_timer servers_timer; /* looks whether they have ended, while stopping */

    int64_t reloads, last_reload_unix_ms;
    char *last_reload_error;
    struct core_supervisor_totals totals;
};

/* ---- log.c ----------------------------------------------------------------------------------- */

/* A message of the daemon; 'active' adds its run and job, and may be NULL. */
void core_supervisor_log(const struct core_supervisor *supervisor, enum rc_log_level level,
                         const struct core_active *active, const char *format, ...) RC_PRINTF(4, 5);
/* "context: cause" of an error. */
const char *core_error_text(const struct rc_error *err, char *out, size_t bytes);

/* ---- clock.c --------------------------------------------------------------------------------- */

/* The wall clock's time. Notes on the way whether it was set, or the daemon was not awake. */
int64_t core_supervisor_look_at_clock(struct core_supervisor *supervisor);
/* The ledger is to be told, by the next turn, that cursors from 'from' on went back to 'to'. */
void core_supervisor_note_rewind(struct core_supervisor *supervisor, int64_t from_unix_ms,
                                 int64_t to_unix_ms);
/* From now on slots are punctual; those before that have no row yet were missed. */
void core_supervisor_wake_up(struct core_supervisor *supervisor, int64_t now_unix_ms);
/* What the job's slots are judged by. */
struct core_slot_rule core_supervisor_slot_rule(const struct core_supervisor *supervisor,
                                                const struct core_job_state *job);
/* Whether the job's slots are left for later, as so many of its runs wait that further ones would
 * only fill the memory. */
bool core_supervisor_is_full(const struct core_supervisor *supervisor,
                             const struct core_job_state *job, int64_t waiting);
/* Puts the job into the heap by when it is to be looked at next. */
void core_supervisor_schedule_job(struct core_supervisor *supervisor, struct core_job_state *job);
void core_supervisor_schedule_all(struct core_supervisor *supervisor);

/* ---- turn.c ---------------------------------------------------------------------------------- */

/* Takes a turn soon: as soon as all that has happened already was heard. */
void core_supervisor_arm(struct core_supervisor *supervisor);
/* Takes one now. */
void core_supervisor_turn(struct core_supervisor *supervisor);

struct core_plan;
typedef enum rc_code core_plan_fn(struct core_supervisor *supervisor, struct core_plan *plan,
                                  void *context, struct rc_error *err);

/*
 * One transaction with what follows from it: calls 'fn' in it, then lets the plan come true. Any
 * failure is one of the database, which is away from then on: RC_UNAVAILABLE.
 */
RC_MUST_CHECK enum rc_code core_supervisor_write(struct core_supervisor *supervisor,
                                                 core_plan_fn *fn, void *context,
                                                 struct rc_error *err);

/* ---- claim.c --------------------------------------------------------------------------------- */

/* A job whose cursor moved, as it was before. */
struct core_touched {
    struct core_job_state *job;
    int64_t cursor_unix_ms, next_unix_ms;
    int64_t skipped; /* rows written as skipped */
    bool startup_due;
};

/* What becomes true in memory when the turn's transaction is committed. */
struct core_plan {
    int64_t now_unix_ms, began_mono_ms;
    struct core_active *first, **last;
    struct core_touched *touched;
    size_t touched_count, touched_capacity;
    int64_t starting, may_fork; /* runs that begin with it, and how many may (pace.h) */
    bool at_pace;               /* claims wait for room, too, instead of being recorded to wait */
    struct {
        int64_t began_mono_ms, rows;
    } step;           /* of the present step */
    bool has_notices; /* something was put into the outbox */
};

/*
 * Fills the id of a run: its time, and twelve digits that no other run of this daemon has and, as
 * they begin at random, hardly one of another.
 */
void core_supervisor_make_run_id(struct core_supervisor *supervisor, char id[CORE_RUN_ID_TEXT],
                                 int64_t unix_ms);

/* The turn's next step begins. */
void core_plan_begin_step(struct core_plan *plan);
/* Whether the step may write more; it writes something in any case. */
bool core_plan_has_room(const struct core_plan *plan);
void core_plan_add(struct core_plan *plan, struct core_active *active, enum core_planned what);
/* Whether one more run may begin with it. */
bool core_plan_may_fork(const struct core_plan *plan);

/* In a transaction: claims what is due, within a step's measure. */
RC_MUST_CHECK enum rc_code core_supervisor_claim_due(struct core_supervisor *supervisor,
                                                     struct core_plan *plan, struct rc_error *err);
/* In a transaction: claims the slots of one job up to now. */
RC_MUST_CHECK enum rc_code core_supervisor_claim_job(struct core_supervisor *supervisor,
                                                     struct core_plan *plan,
                                                     struct core_job_state *job,
                                                     struct rc_error *err);
/* In a transaction: claims a run by hand. */
RC_MUST_CHECK enum rc_code
core_supervisor_claim_trigger(struct core_supervisor *supervisor, struct core_plan *plan,
                              struct core_job_state *job, const struct core_trigger *trigger,
                              const char *id, enum core_claimed *claimed, struct rc_error *err);
/* Whether one more run may begin. */
bool core_supervisor_may_start(const struct core_supervisor *supervisor,
                               const struct core_plan *plan);
enum core_overlap_rule core_overlap_of(const struct core_job_settings *job);

/* In a transaction: a run of the job has its final status, of which somebody may want to hear. */
RC_MUST_CHECK enum rc_code core_plan_notice(struct core_supervisor *supervisor,
                                            struct core_plan *plan, struct core_ended_run *ended,
                                            struct rc_error *err);

/* ---- running.c ------------------------------------------------------------------------------- */

/* Forks the guards of runs that the ledger has as started, until that fails. */
void core_supervisor_fork(struct core_supervisor *supervisor, struct core_active *active);
/* Nothing can be forked or watched now: says so once, and tries again later. */
void core_supervisor_put_off(struct core_supervisor *supervisor, const struct core_active *active,
                             const struct rc_error *err);
/* The timer of those that could not be forked. */
void core_supervisor_fork_again(void *supervisor);
/* Goes on with an attempt that was found alive or ended; it is in the table as claimed. */
void core_supervisor_take_attempt(struct core_supervisor *supervisor, struct core_active *active,
                                  const struct core_attempt *attempt, bool alive);
/* Asks a run to end, whatever it is doing. 'reason' is a constant. */
void core_supervisor_stop_run(struct core_supervisor *supervisor, struct core_active *active,
                              const char *reason);
/* In a transaction: writes how runs ended, within a step's measure. */
RC_MUST_CHECK enum rc_code core_supervisor_write_ends(struct core_supervisor *supervisor,
                                                      struct core_plan *plan, struct rc_error *err);
/* In a transaction: lets those begin whose turn it is, within a step's measure. */
RC_MUST_CHECK enum rc_code core_supervisor_start_waiting(struct core_supervisor *supervisor,
                                                         struct core_plan *plan,
                                                         struct rc_error *err);
/* After the commit: the end is written; forgets the run, or lets it wait for its next attempt. */
void core_supervisor_apply_end(struct core_supervisor *supervisor, struct core_active *active,
                               int64_t now_unix_ms);

/* ---- adopt.c --------------------------------------------------------------------------------- */

/* A row that is started, with 'unsure_folder': finds out what became of its attempt. */
void core_supervisor_look_at_attempt(struct core_supervisor *supervisor,
                                     struct core_active *active);

/* Takes over what dead daemons left, in a transaction of its own. */
RC_MUST_CHECK enum rc_code core_supervisor_take_over(struct core_supervisor *supervisor,
                                                     struct rc_error *err);
/* After a loss of the database: brings memory and ledger together. */
RC_MUST_CHECK enum rc_code core_supervisor_resync(struct core_supervisor *supervisor,
                                                  struct rc_error *err);

/* ---- the rest -------------------------------------------------------------------------------- */

/* database.c: begins a transaction; joins again where others have taken over. */
RC_MUST_CHECK enum rc_code core_supervisor_begin(struct core_supervisor *supervisor,
                                                 struct rc_error *err);
/* The database failed; nothing is written until it is back. */
void core_supervisor_lost_database(struct core_supervisor *supervisor, const struct rc_error *err);
/* RC_UNAVAILABLE while the database is away. */
RC_MUST_CHECK enum rc_code core_supervisor_check_database(const struct core_supervisor *supervisor,
                                                          struct rc_error *err);
void core_supervisor_recover(void *supervisor);

/* heartbeat.c */
void core_supervisor_start_beating(struct core_supervisor *supervisor);
/* Where the state is shared: until when a guard may go on; else 0. */
int64_t core_supervisor_lease_end_boot_ms(const struct core_supervisor *supervisor);
RC_MUST_CHECK enum rc_code core_supervisor_renew(struct core_supervisor *supervisor,
                                                 struct rc_error *err);
/* Only when it is old enough. */
RC_MUST_CHECK enum rc_code core_supervisor_renew_if_due(struct core_supervisor *supervisor,
                                                        struct rc_error *err);
/* Others took this daemon for dead: it goes on under a new name. */
RC_MUST_CHECK enum rc_code core_supervisor_rejoin(struct core_supervisor *supervisor,
                                                  struct rc_error *err);
/* What is left of that where the database went away in the middle of it. */
RC_MUST_CHECK enum rc_code core_supervisor_finish_rejoin(struct core_supervisor *supervisor,
                                                         struct rc_error *err);
/* In a transaction: what others paused or resumed meanwhile holds for all that is in it. */
RC_MUST_CHECK enum rc_code core_supervisor_hear_of_pauses(struct core_supervisor *supervisor,
                                                          struct rc_error *err);
/* On a shared state: lets daemons that were awake claim first what this one has missed. */
void core_supervisor_hold(struct core_supervisor *supervisor);
void core_supervisor_end_hold(void *supervisor);
void core_supervisor_beat(void *supervisor);
/* Why somebody asked, by the ledger, for the run to be stopped: a constant; NULL: nobody did. */
const char *core_supervisor_wish_of(const struct core_run_record *record);
void core_supervisor_make_id(struct core_executor *self);

/* retention.c */
void core_supervisor_retain(void *supervisor);
void core_supervisor_start_retention(struct core_supervisor *supervisor);

/* reload.c: reads what the ledger knows of the jobs, and tells it of new ones. */
RC_MUST_CHECK enum rc_code core_supervisor_settle_jobs(struct core_supervisor *supervisor,
                                                       struct rc_error *err);

/* counts.c */
void core_count_end(struct core_supervisor *supervisor, struct core_job_state *job,
                    enum core_run_status status, const struct core_attempt_result *result,
                    bool retried);
/* A process was forked for it. */
void core_count_start(struct core_supervisor *supervisor, const struct core_active *active);
RC_MUST_CHECK enum rc_code core_count_from_ledger(struct core_supervisor *supervisor,
                                                  struct rc_error *err);

/* supervisor.c */
/* After every change that could leave nothing to wait for: ends the stop. */
void core_supervisor_look_at_stop(struct core_supervisor *supervisor);

#endif
