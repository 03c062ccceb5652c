/*
 * The actions, and what they have in common.
 */
#ifndef SDRS_RUN_H
#define SDRS_RUN_H

#include "config.h"
#include "mover/mover.h"
#include "rule.h"
#include "state/executions.h"
#include "state/markers.h"
#include "state/rules.h"

enum { SDRS_TEXT_LIMIT = 1 << 20 };

/* The type of jobs and executions that are of delete markers. */
#define SDRS_USER "USER"

/* A line of the log that names the batch that it is of. */
#define sdrs_batch_log(job, level, batch_id, ...)                                                  \
    do {                                                                                           \
        const struct rc_log_field sdrs_batch_field = { "batch", batch_id };                        \
        rc_log_with(job, level, &sdrs_batch_field, 1, __VA_ARGS__);                                \
    } while (0)

/* Actions; see rc_action.run. */
enum rc_code sdrs_execute(struct rc_job *job, const void *config, struct rc_error *err);
enum rc_code sdrs_validate(struct rc_job *job, const void *config, struct rc_error *err);
enum rc_code sdrs_dm_batch(struct rc_job *job, const void *config, struct rc_error *err);
enum rc_code sdrs_dm_cleanup(struct rc_job *job, const void *config, struct rc_error *err);
enum rc_code sdrs_plan(struct rc_job *job, const void *config, struct rc_error *err);
enum rc_code sdrs_restore(struct rc_job *job, const void *config, struct rc_error *err);
enum rc_code sdrs_purge(struct rc_job *job, const void *config, struct rc_error *err);
enum rc_code sdrs_import_rules(struct rc_job *job, const void *config, struct rc_error *err);

/* Opens the state and makes the rules of the configuration so. */
RC_MUST_CHECK enum rc_code sdrs_open(struct rc_job *job, const struct sdrs_config *config,
                                     struct sdrs_state *out, struct rc_error *err);

/* The lock that whoever moves something out of a bucket or back holds. RC_CONFLICT: see
   rc_lock_acquire(). */
RC_MUST_CHECK enum rc_code sdrs_bucket_lock(struct rc_job *job, const char *bucket, int64_t wait_ms,
                                            struct rc_lock **out, struct rc_error *err);

/*
 * RC_NOT_FOUND: there is no such bucket, whose empty listing would pass for one that has nothing.
 * Where nobody may ask, what is done with it has to tell.
 */
RC_MUST_CHECK enum rc_code sdrs_source_check(struct rc_job *job, const char *bucket,
                                             struct rc_error *err);

/*
 * Opens the state, does the work under the lock of delete markers, and delivers what is due then.
 * RC_SKIPPED: another run has the lock. Not locked in a dry run.
 */
typedef enum rc_code sdrs_markers_fn(struct rc_job *job, const struct sdrs_config *config,
                                     struct sdrs_state *state, struct rc_error *err);
RC_MUST_CHECK enum rc_code sdrs_with_markers(struct rc_job *job, const struct sdrs_config *config,
                                             sdrs_markers_fn *work, struct rc_error *err);

/*
 * The name of the lock under which an event is carried out; the caller frees it. An event that was
 * received or begun so long ago, and whose lock is free, has been lost by its process.
 */
char *sdrs_execution_lock(const char *id);
enum { SDRS_LOST_AFTER_MS = 60000 };

/* ---- what is to be done: work.c ------------------------------------------------------------- */

/* The rules of one bucket that an execution is of. */
struct sdrs_bucket_work {
    char *bucket, *shadow; /* as of sdrs_bucket_uri() */
    char *project;         /* that the bucket is in: of the first rule that names it */
    char
        *mistake; /* why its name cannot be one, as of a root that is configured no more; or NULL */
    struct sdrs_rules rules;           /* chosen by the scope: datasets, then DEFAULT or GLOBAL */
    struct sdrs_prefixes all_datasets; /* of every active dataset rule of the bucket; merged */
    struct sdrs_prefixes
        holds; /* what no rule moves: legal holds, and what is the host's; merged */
};

struct sdrs_work {
    struct sdrs_bucket_work *buckets; /* in the order of their URIs */
    size_t count;
};
/*
 * Each active rule that the scope names, by its bucket. A project names GLOBAL, too, for the
 * buckets that its rules name; GLOBAL is for no bucket with a DEFAULT rule, and for no shadow.
 * Under --dry-run the rules of the configuration count as they would become.
 *
 * RC_NOT_FOUND: the scope names a rule, project or name that no active rule has.
 */
RC_MUST_CHECK enum rc_code sdrs_work_choose(struct sdrs_state *state,
                                            const struct sdrs_config *config,
                                            const struct sdrs_scope_params *scope,
                                            struct sdrs_work *out, struct rc_error *err);
void sdrs_work_clear(struct sdrs_work *work);

/*
 * What nothing moves of a bucket, merged: the legal holds in it, by the text that keys begin with,
 * and the folder that the host keeps for itself.
 */
RC_MUST_CHECK enum rc_code sdrs_holds_of(const struct sdrs_config *config, const char *bucket,
                                         struct sdrs_prefixes *out, struct rc_error *err);

/* ---- what a rule moves: rule_move.c --------------------------------------------------------- */

/* What a move borrows. */
struct sdrs_rule_move {
    struct sdrs_template template;
    struct sdrs_prefixes includes, excludes, datasets;
    char *scope;  /* the prefix that the rule is for; "" is the whole bucket */
    bool is_held; /* nothing is included only because of a hold or another rule */
    struct sdrs_record record;
};
/*
 * What one rule of a bucket moves at a time: fills 'move' but for its state, with a record of
 * 'kept' that is not in the state yet. Nothing included: there is nothing to move. Lists the store
 * only for the oldest year and for versions.
 *
 * RC_INVALID: the rule makes no sense.
 */
RC_MUST_CHECK enum rc_code sdrs_rule_move_make(struct rc_job *job, const struct sdrs_config *config,
                                               const struct sdrs_bucket_work *bucket,
                                               const struct sdrs_rule *rule, int64_t now_unix_ms,
                                               struct sdrs_rule_move *kept, struct sdrs_move *move,
                                               struct rc_error *err);
void sdrs_rule_move_clear(struct sdrs_rule_move *kept);

/*
 * Takes out what the transfer service has already, merged, and says so in the record, which is not
 * in the state yet.
 */
RC_MUST_CHECK enum rc_code sdrs_rule_move_leave(struct sdrs_rule_move *kept,
                                                const struct sdrs_prefixes *under_way,
                                                struct rc_error *err);

/* How much a move is of what is there. Times are those of the paths where they tell, else of the
   last change; 0: nothing is to be moved. */
struct sdrs_weight {
    int64_t objects, bytes; /* to be moved */
    int64_t all_objects;    /* below the scope */
    int64_t oldest_unix_ms, newest_unix_ms;
};
/* Lists what is below 'scope', a prefix in the bucket ("": all), once. */
RC_MUST_CHECK enum rc_code sdrs_weigh(struct rc_job *job, const struct sdrs_move *move,
                                      const char *scope, struct sdrs_weight *out,
                                      struct rc_error *err);
/*
 * Whether it is more than 'max_delete_objects' or 'max_delete_share' allow: RC_FAILED says which,
 * and how to confirm.
 */
RC_MUST_CHECK enum rc_code sdrs_weight_check(const struct sdrs_config *config,
                                             const struct sdrs_weight *weight,
                                             struct rc_error *err);

/* ---- what the transfer service still has: under_way.c --------------------------------------- */

/*
 * Adds, merged, what jobs of the bucket that are pending move as a whole, and what those of 'rule'
 * do: it is not asked for again until it is known what became of them. 0: of no rule.
 */
RC_MUST_CHECK enum rc_code sdrs_under_way(struct sdrs_state *state, const char *bucket,
                                          int64_t rule, struct sdrs_prefixes *out,
                                          struct rc_error *err);
/* RC_CONFLICT: a job of the bucket that is pending moves something below one of the includes. */
RC_MUST_CHECK enum rc_code sdrs_under_way_check(struct sdrs_state *state, const char *bucket,
                                                const struct sdrs_prefixes *includes,
                                                struct rc_error *err);

/* ---- what follows: settle.c, deliver.c ------------------------------------------------------ */

/*
 * Keeps a record whose status is final, or pending, with all that follows from it in one
 * transaction: its delete markers are settled, what was moved is told, an execution that it is of
 * fails with it. The same again changes nothing.
 */
RC_MUST_CHECK enum rc_code sdrs_settle(struct sdrs_state *state, const struct sdrs_config *config,
                                       const struct sdrs_record *record, struct rc_error *err);

/* The same of delete markers whose job is not known any more: it has failed them. */
RC_MUST_CHECK enum rc_code sdrs_settle_gone(struct sdrs_state *state,
                                            const struct sdrs_config *config, int64_t id,
                                            struct rc_error *err);
/* Sets the execution that a delete marker is of, as the marker stands; 'run' may be NULL. */
RC_MUST_CHECK enum rc_code sdrs_marker_conclude(struct sdrs_state *state,
                                                const struct sdrs_marker *marker, const char *run,
                                                struct rc_error *err);

/* Moves by the record's mover, and settles the record; see sdrs_move_direct(). */
RC_MUST_CHECK enum rc_code sdrs_move(struct rc_job *job, const struct sdrs_move *move,
                                     struct rc_error *err);

/* Asks the mover what became of a job that is pending or running, and settles it. */
RC_MUST_CHECK enum rc_code sdrs_settle_job(struct rc_job *job, const struct sdrs_config *config,
                                           struct sdrs_state *state, struct sdrs_record *record,
                                           struct rc_error *err);

/*
 * Settles what a process that died has left of a bucket as running, and what the transfer service
 * has ended meanwhile. The caller has the bucket's lock.
 */
RC_MUST_CHECK enum rc_code sdrs_settle_bucket(struct rc_job *job, const struct sdrs_config *config,
                                              struct sdrs_state *state, const char *bucket,
                                              struct rc_error *err);

/* "events" of "gs://events/"; the caller frees it. */
char *sdrs_bucket_name(const char *bucket);

/* Delivers what is due of the outbox. A failure is a warning: the message stays. */
void sdrs_deliver(struct rc_job *job, const struct sdrs_config *config, struct sdrs_state *state);

#endif
