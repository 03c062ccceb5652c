/*
 * The rules in the state, each version of them.
 */
#ifndef SDRS_STATE_RULES_H
#define SDRS_STATE_RULES_H

#include "../rule.h"
#include "state.h"

/*
 * A dataset nests with another one of any project; there is one GLOBAL rule, whatever its name.
 *
 * Atomic. Makes the rule, or revives the deleted one of its type, project and name under its old id
 * with the next version; fills id, version and times. RC_CONFLICT in the seed's words: there is an
 * active one, or a dataset that nests.
 */
RC_MUST_CHECK enum rc_code sdrs_rules_create(struct sdrs_state *state, struct sdrs_rule *rule,
                                             struct rc_error *err);

/* Atomic. The next version. RC_NOT_FOUND: "No rule exists with ID: 7". */
RC_MUST_CHECK enum rc_code sdrs_rules_update(struct sdrs_state *state, int64_t id, int64_t period,
                                             enum sdrs_unit unit, const char *user,
                                             struct sdrs_rule *out, struct rc_error *err);

/* Atomic. Makes the active one inactive, as its next version. RC_NOT_FOUND in the seed's words. */
RC_MUST_CHECK enum rc_code sdrs_rules_delete(struct sdrs_state *state, enum sdrs_rule_type type,
                                             const char *project, const char *storage,
                                             const char *user, int64_t *id, struct rc_error *err);

/* Active ones only. RC_NOT_FOUND: "No rule found matching projectId: '…' and dataStorageName: '…'".
 */
RC_MUST_CHECK enum rc_code sdrs_rules_find(struct sdrs_state *state, enum sdrs_rule_type type,
                                           const char *project, const char *storage,
                                           struct sdrs_rule *out, struct rc_error *err);
/* RC_NOT_FOUND: "No rule exists with ID: 7", also for one that is deleted. */
RC_MUST_CHECK enum rc_code sdrs_rules_by_id(struct sdrs_state *state, int64_t id,
                                            struct sdrs_rule *out, struct rc_error *err);

/* Active ones whose id is above 'after', in their order; at most 'limit' (0: all). */
RC_MUST_CHECK enum rc_code sdrs_rules_list(struct sdrs_state *state, int64_t after, size_t limit,
                                           struct sdrs_rules *out, struct rc_error *err);

/* Every version of a rule, the newest first, also of a deleted one. RC_NOT_FOUND: no such id. */
RC_MUST_CHECK enum rc_code sdrs_rules_history(struct sdrs_state *state, int64_t id,
                                              struct sdrs_rules *out, struct rc_error *err);

/*
 * Atomic. Makes the rules of the configuration so: creates, changes those that differ, deletes
 * those that came from the configuration and are no longer in it; a rule that is there already as
 * the configuration has it is the configuration's from then on. One query alone when nothing in the
 * configuration changed since the last time: so what the API makes of such a rule stays until then.
 * In a dry run the functions above tell of the rules as they would be, from then on.
 *
 * RC_INVALID, RC_CONFLICT: the context names the entry, the cause its mistake.
 */
RC_MUST_CHECK enum rc_code sdrs_rules_configure(struct sdrs_state *state,
                                                const struct sdrs_config *config,
                                                struct rc_error *err);

/*
 * In a transaction. Takes over a rule of another system with its version, user and times, active or
 * deleted, and under its id if that is free. One that is here in the same or a later version (0: it
 * has none), or says the same, is kept. RC_CONFLICT as of sdrs_rules_create().
 */
enum sdrs_import { SDRS_IMPORT_MADE, SDRS_IMPORT_CHANGED, SDRS_IMPORT_KEPT, SDRS_IMPORTS };
RC_MUST_CHECK enum rc_code sdrs_rules_import(struct sdrs_state *state, const struct sdrs_rule *rule,
                                             enum sdrs_import *out, struct rc_error *err);

#endif
