/*
 * Takes over a rule of another system, as it stands there. Where it was read and what it has to be
 * is the caller's business.
 */
#include "rules_internal.h"

#include <run-core/str.h>

#include <inttypes.h>

/* That id if it is free, and later ones above it; else the next one of ours. */
static enum rc_code choose_id(struct sdrs_state *state, int64_t wanted, int64_t *id,
                              struct rc_error *err)
{
    const struct rc_value value = rc_value_int(wanted);
    int64_t taken;

    if (sdrs_state_count(state, "SELECT COUNT(*) FROM rules WHERE id = $1", &value, 1, &taken, err))
        return err->code;
    if (wanted < 1 || taken > 0)
        return sdrs_state_number(state, "rules", id, err);
    *id = wanted;
    return sdrs_state_exec(state,
                           "INSERT INTO series (name, value) VALUES ('rules', $1)"
                           " ON CONFLICT (name) DO UPDATE SET value = excluded.value"
                           " WHERE series.value < excluded.value",
                           &value, 1, NULL, err);
}

static bool is_same(const struct sdrs_rule *a, const struct sdrs_rule *b)
{
    return a->is_active == b->is_active && a->period == b->period && a->unit == b->unit &&
           rc_str_eq(a->dataset, b->dataset);
}

static enum rc_code take_over(struct sdrs_state *state, const struct sdrs_rule *rule,
                              const struct sdrs_rule *present, enum sdrs_import *out,
                              struct rc_error *err)
{
    struct sdrs_rule next = *rule; /* borrows its text */

    if (rule->is_active && !present->is_active && sdrs_rules_admit(state, rule, present, err))
        return err->code;
    if (!present->id) {
        *out = SDRS_IMPORT_MADE;
        next.version = rule->version > 0 ? rule->version : 1;
        if (choose_id(state, rule->id, &next.id, err))
            return err->code;
        return sdrs_rules_insert(state, &next, err);
    }
    *out = SDRS_IMPORT_CHANGED;
    next.id = present->id;
    next.version = present->version + 1;
    if (next.version < rule->version)
        next.version = rule->version;
    next.is_configured = present->is_configured;
    next.created_unix_ms = present->created_unix_ms;
    return sdrs_rules_replace(state, &next, err);
}

enum rc_code sdrs_rules_import(struct sdrs_state *state, const struct sdrs_rule *rule,
                               enum sdrs_import *out, struct rc_error *err)
{
    RC_CLEANUP(sdrs_rule_clear) struct sdrs_rule present = { 0 };

    if (sdrs_rules_look(state, rule->type, rule->project, rule->storage, &present, err))
        return err->code;
    *out = SDRS_IMPORT_KEPT;
    if (present.id &&
        (is_same(&present, rule) || (rule->version > 0 && present.version >= rule->version)))
        return RC_OK;
    return take_over(state, rule, &present, out, err);
}
