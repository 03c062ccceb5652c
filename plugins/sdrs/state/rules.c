/*
 * The table of rules and that of their versions. What a valid rule is says rule.h; how those of the
 * configuration get here, rules_configure.c.
 */
#include "rules_internal.h"

#include <run-core/str.h>

#include <inttypes.h>
#include <stdlib.h>

enum { QUERY_BYTES = 1024 };

#define SELECT_RULES "SELECT " SDRS_RULE_COLUMNS " FROM rules WHERE "

/* ---- rows ------------------------------------------------------------------------------------ */

static void take_rule(struct sdrs_rule *rule, const struct rc_value *row)
{
    rule->id = row[0].integer;
    rule->version = row[1].integer;
    if (!sdrs_rule_type_parse(row[2].text, &rule->type))
        rule->type = SDRS_DATASET;
    rule->project = sdrs_owned(&row[3]);
    rule->storage = sdrs_owned(&row[4]);
    rule->dataset = sdrs_owned(&row[5]);
    rule->period = row[6].integer;
    if (!sdrs_unit_parse(row[7].text, &rule->unit))
        rule->unit = SDRS_DAY;
    rule->is_active = row[8].integer != 0;
    rule->is_configured = row[9].integer != 0;
    rule->user = sdrs_owned(&row[10]);
    rule->created_unix_ms = row[11].integer;
    rule->changed_unix_ms = row[12].integer;
}

static struct sdrs_rule *add(struct sdrs_rules *rules)
{
    rules->items = sdrs_grown(rules->items, rules->count, sizeof(*rules->items));
    return &rules->items[rules->count++];
}

void sdrs_rules_take(void *context, const struct rc_value *row)
{
    take_rule(add(context), row);
}

static void take_only(void *context, const struct rc_value *row)
{
    sdrs_rule_clear(context);
    take_rule(context, row);
}

void sdrs_rule_copy(const struct sdrs_rule *rule, struct sdrs_rule *out)
{
    *out = *rule;
    out->project = rc_strdup(rule->project);
    out->storage = rc_strdup(rule->storage);
    out->dataset = rc_strdup(rule->dataset);
    out->user = rc_strdup(rule->user);
}

void sdrs_rules_append(struct sdrs_rules *rules, const struct sdrs_rule *rule)
{
    sdrs_rule_copy(rule, add(rules));
}

/* ---- writing --------------------------------------------------------------------------------- */

enum { RULE_VALUES = 13 };

static void fill(const struct sdrs_rule *rule, struct rc_value out[RULE_VALUES])
{
    const struct rc_value values[RULE_VALUES] = {
        rc_value_int(rule->id),
        rc_value_int(rule->version),
        rc_value_text(sdrs_rule_type_name(rule->type)),
        rc_value_text(rule->project),
        sdrs_bytes(rule->storage),
        sdrs_bytes(rule->dataset),
        rc_value_int(rule->period),
        rc_value_text(sdrs_unit_name(rule->unit)),
        rc_value_int(rule->is_active),
        rc_value_int(rule->is_configured),
        rc_value_text(rule->user),
        rc_value_int(rule->created_unix_ms),
        rc_value_int(rule->changed_unix_ms),
    };

    memcpy(out, values, sizeof(values));
}

#define RULE_PARAMETERS "($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)"

static enum rc_code add_version(struct sdrs_state *state, const struct rc_value *values,
                                struct rc_error *err)
{
    return sdrs_state_exec(
        state, "INSERT INTO rule_versions (" SDRS_RULE_COLUMNS ") VALUES " RULE_PARAMETERS, values,
        RULE_VALUES, NULL, err);
}

enum rc_code sdrs_rules_insert(struct sdrs_state *state, const struct sdrs_rule *rule,
                               struct rc_error *err)
{
    struct rc_value values[RULE_VALUES];

    fill(rule, values);
    if (sdrs_state_exec(state, "INSERT INTO rules (" SDRS_RULE_COLUMNS ") VALUES " RULE_PARAMETERS,
                        values, RULE_VALUES, NULL, err))
        return err->code;
    return add_version(state, values, err);
}

enum rc_code sdrs_rules_replace(struct sdrs_state *state, const struct sdrs_rule *rule,
                                struct rc_error *err)
{
    struct rc_value values[RULE_VALUES];

    fill(rule, values);
    if (sdrs_state_exec(state,
                        "UPDATE rules SET version = $2, type = $3, project = $4, storage = $5,"
                        " dataset = $6, period = $7, unit = $8, is_active = $9,"
                        " is_configured = $10, user_name = $11, created_unix_ms = $12,"
                        " changed_unix_ms = $13 WHERE id = $1",
                        values, RULE_VALUES, NULL, err))
        return err->code;
    return add_version(state, values, err);
}

void sdrs_rule_advance(struct sdrs_state *state, struct sdrs_rule *rule, const char *user)
{
    rule->version++;
    rule->changed_unix_ms = sdrs_now_unix_ms(state->job);
    sdrs_set(&rule->user, user);
}

/* ---- reading --------------------------------------------------------------------------------- */

enum rc_code sdrs_rules_look(struct sdrs_state *state, enum sdrs_rule_type type,
                             const char *project, const char *storage, struct sdrs_rule *out,
                             struct rc_error *err)
{
    const struct rc_value values[] = {
        rc_value_text(sdrs_rule_type_name(type)),
        rc_value_text(project),
        sdrs_bytes(storage),
    };

    return sdrs_state_rows(state, SELECT_RULES "type = $1 AND project = $2 AND storage = $3",
                           values, RC_ARRAY_LEN(values), take_only, out, err);
}

static const struct sdrs_rule *find_rehearsed(const struct sdrs_rules *rules,
                                              enum sdrs_rule_type type, const char *project,
                                              const char *storage)
{
    for (size_t i = 0; i < rules->count; i++) {
        const struct sdrs_rule *rule = &rules->items[i];

        if (rule->type == type && rc_str_eq(rule->project, project) &&
            rc_str_eq(rule->storage, storage))
            return rule;
    }
    return NULL;
}

static enum rc_code fail_no_rule(struct sdrs_state *state, const char *project, const char *storage,
                                 struct rc_error *err)
{
    return sdrs_state_refuse(state, err, RC_NOT_FOUND,
                             "No rule found matching projectId: '%s' and dataStorageName: '%s'",
                             project, storage);
}

static enum rc_code fail_no_id(struct sdrs_state *state, int64_t id, struct rc_error *err)
{
    return sdrs_state_refuse(state, err, RC_NOT_FOUND, "No rule exists with ID: %" PRId64, id);
}

enum rc_code sdrs_rules_find(struct sdrs_state *state, enum sdrs_rule_type type,
                             const char *project, const char *storage, struct sdrs_rule *out,
                             struct rc_error *err)
{
    *out = (struct sdrs_rule){ 0 };
    if (state->rehearsed) {
        const struct sdrs_rule *found = find_rehearsed(state->rehearsed, type, project, storage);

        if (found)
            sdrs_rule_copy(found, out);
    } else if (sdrs_rules_look(state, type, project, storage, out, err)) {
        return rc_context(err, "read the rule of '%s'", storage);
    }
    if (out->is_active)
        return RC_OK;
    sdrs_rule_clear(out);
    return fail_no_rule(state, project, storage, err);
}

/* Also one that is deleted; id 0: there is none. */
static enum rc_code look_by_id(struct sdrs_state *state, int64_t id, struct sdrs_rule *out,
                               struct rc_error *err)
{
    const struct rc_value value = rc_value_int(id);

    return sdrs_state_rows(state, SELECT_RULES "id = $1", &value, 1, take_only, out, err);
}

enum rc_code sdrs_rules_by_id(struct sdrs_state *state, int64_t id, struct sdrs_rule *out,
                              struct rc_error *err)
{
    *out = (struct sdrs_rule){ 0 };
    for (size_t i = 0; state->rehearsed && i < state->rehearsed->count; i++)
        if (state->rehearsed->items[i].id == id)
            sdrs_rule_copy(&state->rehearsed->items[i], out);
    if (!state->rehearsed && look_by_id(state, id, out, err))
        return rc_context(err, "read the rule %" PRId64, id);
    if (out->is_active)
        return RC_OK;
    sdrs_rule_clear(out);
    return fail_no_id(state, id, err);
}

enum rc_code sdrs_rules_list(struct sdrs_state *state, int64_t after, size_t limit,
                             struct sdrs_rules *out, struct rc_error *err)
{
    const struct rc_value value = rc_value_int(after);
    RC_BUF_AUTO(sql, QUERY_BYTES);

    *out = (struct sdrs_rules){ 0 };
    if (state->rehearsed) {
        for (size_t i = 0; i < state->rehearsed->count; i++)
            if (state->rehearsed->items[i].id > after && (limit == 0 || out->count < limit))
                sdrs_rules_append(out, &state->rehearsed->items[i]);
        return RC_OK;
    }
    rc_buf_adds(&sql, SELECT_RULES "id > $1 AND is_active = 1 ORDER BY id");
    if (limit > 0)
        rc_buf_addf(&sql, " LIMIT %zu", limit);
    if (rc_buf_check(&sql, err) ||
        sdrs_state_rows(state, sql.data, &value, 1, sdrs_rules_take, out, err)) {
        sdrs_rules_clear(out);
        return rc_context(err, "read the rules");
    }
    return RC_OK;
}

enum rc_code sdrs_rules_history(struct sdrs_state *state, int64_t id, struct sdrs_rules *out,
                                struct rc_error *err)
{
    const struct rc_value value = rc_value_int(id);

    *out = (struct sdrs_rules){ 0 };
    if (sdrs_state_rows(state,
                        "SELECT " SDRS_RULE_COLUMNS
                        " FROM rule_versions WHERE id = $1 ORDER BY version DESC",
                        &value, 1, sdrs_rules_take, out, err)) {
        sdrs_rules_clear(out);
        return rc_context(err, "read the history of the rule %" PRId64, id);
    }
    return out->count > 0 ? RC_OK : fail_no_id(state, id, err);
}

/* ---- what is in a new rule's way ------------------------------------------------------------- */

/*
 * Names that lie within 'storage' are those between "storage/" and "storage0", as '0' is what
 * follows '/' in the order of bytes; those that it lies within are its own beginnings.
 */
static enum rc_code find_within(struct sdrs_state *state, const char *storage,
                                struct sdrs_rules *out, struct rc_error *err)
{
    RC_STR_AUTO first = rc_strf("%s/", storage);
    RC_STR_AUTO behind = rc_strf("%s0", storage);
    const struct rc_value values[] = { sdrs_bytes(first), sdrs_bytes(behind) };

    return sdrs_state_rows(state,
                           SELECT_RULES "storage >= $1 AND storage < $2 AND type = 'DATASET'"
                                        " AND is_active = 1 ORDER BY storage LIMIT 1",
                           values, RC_ARRAY_LEN(values), sdrs_rules_take, out, err);
}

static enum rc_code find_around(struct sdrs_state *state, const char *storage,
                                struct sdrs_rules *out, struct rc_error *err)
{
    RC_STR_AUTO name = rc_strdup(storage);
    char *slash;

    while (out->count == 0 && (slash = strrchr(name, '/'))) {
        struct rc_value value;

        *slash = '\0';
        value = sdrs_bytes(name);
        if (sdrs_state_rows(state,
                            SELECT_RULES "storage = $1 AND type = 'DATASET' AND is_active = 1"
                                         " LIMIT 1",
                            &value, 1, sdrs_rules_take, out, err))
            return err->code;
    }
    return RC_OK;
}

/* A dataset within another one's would be moved by both, whichever projects they are of. */
static enum rc_code check_nesting(struct sdrs_state *state, const struct sdrs_rule *rule,
                                  struct rc_error *err)
{
    RC_CLEANUP(sdrs_rules_clear) struct sdrs_rules found = { 0 };

    if (rule->type != SDRS_DATASET)
        return RC_OK;
    if (find_within(state, rule->storage, &found, err) ||
        (found.count == 0 && find_around(state, rule->storage, &found, err)))
        return err->code;
    if (found.count == 0)
        return RC_OK;
    return sdrs_state_refuse(state, err, RC_CONFLICT,
                             "A %s rule for %s already exists with project id: %s. The request for "
                             "%s is not allowed for violating non-nesting rule",
                             sdrs_rule_type_name(rule->type), found.items[0].storage,
                             found.items[0].project, rule->storage);
}

/* There is one GLOBAL rule, also where the name it is kept under was configured anew. */
static enum rc_code check_only(struct sdrs_state *state, const struct sdrs_rule *rule,
                               const struct sdrs_rule *same, struct rc_error *err)
{
    RC_CLEANUP(sdrs_rule_clear) struct sdrs_rule other = { 0 };
    const struct sdrs_rule *taken = same;

    if (!same->is_active && rule->type == SDRS_GLOBAL) {
        if (sdrs_state_rows(state, SELECT_RULES "type = 'GLOBAL' AND is_active = 1", NULL, 0,
                            take_only, &other, err))
            return err->code;
        taken = &other;
    }
    if (!taken->is_active)
        return RC_OK;
    return sdrs_state_refuse(state, err, RC_CONFLICT,
                             "A %s rule already exists with project id: %s, data storage name: %s",
                             sdrs_rule_type_name(taken->type), taken->project, taken->storage);
}

enum rc_code sdrs_rules_admit(struct sdrs_state *state, const struct sdrs_rule *rule,
                              const struct sdrs_rule *same, struct rc_error *err)
{
    if (check_only(state, rule, same, err) || check_nesting(state, rule, err))
        return err->code;
    return RC_OK;
}

/* ---- changes --------------------------------------------------------------------------------- */

/* A rule that was deleted goes on under its id, from its last version. */
static enum rc_code create(struct sdrs_state *state, void *context, struct rc_error *err)
{
    struct sdrs_rule *rule = context;
    RC_CLEANUP(sdrs_rule_clear) struct sdrs_rule same = { 0 };

    if (sdrs_rules_look(state, rule->type, rule->project, rule->storage, &same, err) ||
        sdrs_rules_admit(state, rule, &same, err))
        return err->code;
    rule->is_active = true;
    rule->changed_unix_ms = sdrs_now_unix_ms(state->job);
    rule->created_unix_ms = same.id ? same.created_unix_ms : rule->changed_unix_ms;
    rule->version = same.version + 1;
    rule->id = same.id;
    if (same.id)
        return sdrs_rules_replace(state, rule, err);
    if (sdrs_state_number(state, "rules", &rule->id, err))
        return err->code;
    return sdrs_rules_insert(state, rule, err);
}

enum rc_code sdrs_rules_create(struct sdrs_state *state, struct sdrs_rule *rule,
                               struct rc_error *err)
{
    if (sdrs_state_transact(state, create, rule, err))
        return sdrs_state_failed(state, err, "make the rule of '%s'", rule->storage);
    return RC_OK;
}

struct update {
    int64_t id, period;
    enum sdrs_unit unit;
    const char *user;
    struct sdrs_rule *out;
};

static enum rc_code update(struct sdrs_state *state, void *context, struct rc_error *err)
{
    const struct update *update = context;
    struct sdrs_rule *rule = update->out;

    sdrs_rule_clear(rule);
    if (look_by_id(state, update->id, rule, err))
        return err->code;
    if (!rule->is_active)
        return fail_no_id(state, update->id, err);
    rule->period = update->period;
    rule->unit = update->unit;
    sdrs_rule_advance(state, rule, update->user);
    return sdrs_rules_replace(state, rule, err);
}

enum rc_code sdrs_rules_update(struct sdrs_state *state, int64_t id, int64_t period,
                               enum sdrs_unit unit, const char *user, struct sdrs_rule *out,
                               struct rc_error *err)
{
    struct update context = { id, period, unit, user, out };

    *out = (struct sdrs_rule){ 0 };
    if (sdrs_state_transact(state, update, &context, err)) {
        sdrs_rule_clear(out);
        return sdrs_state_failed(state, err, "change the rule %" PRId64, id);
    }
    return RC_OK;
}

struct removal {
    enum sdrs_rule_type type;
    const char *project, *storage, *user;
    int64_t *id;
};

static enum rc_code delete_rule(struct sdrs_state *state, void *context, struct rc_error *err)
{
    const struct removal *removal = context;
    RC_CLEANUP(sdrs_rule_clear) struct sdrs_rule rule = { 0 };

    if (sdrs_rules_look(state, removal->type, removal->project, removal->storage, &rule, err))
        return err->code;
    if (!rule.is_active)
        return fail_no_rule(state, removal->project, removal->storage, err);
    rule.is_active = false;
    *removal->id = rule.id;
    sdrs_rule_advance(state, &rule, removal->user);
    return sdrs_rules_replace(state, &rule, err);
}

enum rc_code sdrs_rules_delete(struct sdrs_state *state, enum sdrs_rule_type type,
                               const char *project, const char *storage, const char *user,
                               int64_t *id, struct rc_error *err)
{
    struct removal context = { type, project, storage, user, id };

    if (sdrs_state_transact(state, delete_rule, &context, err))
        return sdrs_state_failed(state, err, "delete the rule of '%s'", storage);
    return RC_OK;
}
