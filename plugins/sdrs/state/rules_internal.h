/*
 * What the files about rules share: a rule as a row, and the one that is looked for.
 */
#ifndef SDRS_STATE_RULES_INTERNAL_H
#define SDRS_STATE_RULES_INTERNAL_H

#include "internal.h"
#include "rules.h"

#define SDRS_RULE_COLUMNS                                                                          \
    "id, version, type, project, storage, dataset, period, unit, is_active, is_configured,"        \
    " user_name, created_unix_ms, changed_unix_ms"

/* For sdrs_state_rows(): adds the row to a struct sdrs_rules. */
void sdrs_rules_take(void *context, const struct rc_value *row);
/* A copy of a rule; the caller clears it. */
void sdrs_rule_copy(const struct sdrs_rule *rule, struct sdrs_rule *out);
/* Adds a copy. */
void sdrs_rules_append(struct sdrs_rules *rules, const struct sdrs_rule *rule);

/* The rule of that type, project and name, active or not; id 0: there is none. */
RC_MUST_CHECK enum rc_code sdrs_rules_look(struct sdrs_state *state, enum sdrs_rule_type type,
                                           const char *project, const char *storage,
                                           struct sdrs_rule *out, struct rc_error *err);
/* RC_CONFLICT in the seed's words: 'same', the one of its type, project and name, is active, or
 * another one stands in the way. */
RC_MUST_CHECK enum rc_code sdrs_rules_admit(struct sdrs_state *state, const struct sdrs_rule *rule,
                                            const struct sdrs_rule *same, struct rc_error *err);
/* Inserts the rule, or writes it over its last version, and adds it to the versions. */
RC_MUST_CHECK enum rc_code sdrs_rules_insert(struct sdrs_state *state, const struct sdrs_rule *rule,
                                             struct rc_error *err);
RC_MUST_CHECK enum rc_code sdrs_rules_replace(struct sdrs_state *state,
                                              const struct sdrs_rule *rule, struct rc_error *err);
/* Makes 'rule' the next version of what it is, by 'user' and at the present time. */
void sdrs_rule_advance(struct sdrs_state *state, struct sdrs_rule *rule, const char *user);

#endif
