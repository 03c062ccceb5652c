/*
 * The actions, and what they have in common.
 */
#ifndef SDRS_RUN_H
#define SDRS_RUN_H

#include "config.h"
#include "mover/mover.h"
#include "rule.h"
#include "state/executions.h"
#include "state/rules.h"

enum { SDRS_TEXT_LIMIT = 1 << 20 };

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

/*
 * The rules of one bucket that an execution is of, and what of them is to be moved.
 */
struct sdrs_bucket_work {
    char *bucket, *shadow;
    char *project;
    struct sdrs_rules datasets; /* chosen by the scope */
    struct sdrs_rule *fallback; /* the DEFAULT or GLOBAL rule that holds for the rest; or NULL */
    struct sdrs_prefixes all_datasets; /* prefixes of every active dataset rule of the bucket */
    struct sdrs_prefixes holds;        /* legal holds in it */
};

struct sdrs_work {
    struct sdrs_bucket_work *buckets;
    size_t count;
};
/* RC_NOT_FOUND: the scope names a rule, project or name that no active rule has. */
RC_MUST_CHECK enum rc_code sdrs_work_choose(struct sdrs_state *state,
                                            const struct sdrs_config *config,
                                            const struct sdrs_scope_params *scope,
                                            struct sdrs_work *out, struct rc_error *err);
void sdrs_work_clear(struct sdrs_work *work);

/*
 * What one rule of a bucket moves at a time: fills includes, excludes, limit, template, datasets of
 * 'move' from the rule; 'kept' owns them. Lists the store only for the oldest year and for
 * versions.
 */
struct sdrs_rule_move {
    struct sdrs_template template;
    struct sdrs_prefixes includes, excludes, datasets;
};
RC_MUST_CHECK enum rc_code sdrs_rule_move_make(struct rc_job *job, const struct sdrs_config *config,
                                               const struct sdrs_bucket_work *bucket,
                                               const struct sdrs_rule *rule, int64_t now_unix_ms,
                                               struct sdrs_rule_move *kept, struct sdrs_move *move,
                                               struct rc_error *err);
void sdrs_rule_move_clear(struct sdrs_rule_move *kept);

/* The lock that whoever moves something out of a bucket or back holds. */
RC_MUST_CHECK enum rc_code sdrs_bucket_lock(struct rc_job *job, const char *bucket, int64_t wait_ms,
                                            struct rc_lock **out, struct rc_error *err);

/* Delivers what is due of the outbox. A failure is a warning: the message stays. */
void sdrs_deliver(struct rc_job *job, const struct sdrs_config *config, struct sdrs_state *state);

#endif
