/*
 * Makes the rules of the configuration so. What was done for a configuration is kept as a digest of
 * it, so that all later runs only compare that; whoever changes such a rule by the API meanwhile
 * has the last word until the configuration changes again.
 *
 * A dry run, in which the state does not change, keeps the rules as they would be.
 */
#include "rules_internal.h"

#include <run-core/str.h>

#include <openssl/evp.h>
#include <stdlib.h>

enum { DIGEST_BYTES = 32, DIGEST_TEXT = 2 * DIGEST_BYTES + 1, TEXT_LIMIT = 16 << 20 };

static const char by[] = "configuration";

/* ---- the digest ------------------------------------------------------------------------------ */

static void add_text(struct rc_buf *out, const char *text)
{
    if (text)
        rc_buf_add_json(out, text, strlen(text));
    else
        rc_buf_adds(out, "null");
    rc_buf_addc(out, ',');
}

/* All that the rules of the configuration depend on. */
static enum rc_code make_digest(const struct sdrs_config *config, char out[DIGEST_TEXT],
                                struct rc_error *err)
{
    static const char digits[] = "0123456789abcdef";
    const struct sdrs_rule_entry *entries = config->rules.items;
    unsigned char digest[EVP_MAX_MD_SIZE];
    RC_BUF_AUTO(text, TEXT_LIMIT);

    add_text(&text, config->default_project);
    add_text(&text, config->default_storage);
    for (size_t i = 0; i < config->file_roots.len; i++)
        add_text(&text, config->file_roots.items[i]);
    for (size_t i = 0; i < config->rules.len; i++) {
        rc_buf_adds(&text, "\n");
        add_text(&text, entries[i].type);
        add_text(&text, entries[i].storage);
        add_text(&text, entries[i].project);
        add_text(&text, entries[i].unit);
        add_text(&text, entries[i].dataset);
        rc_buf_addf(&text, "%lld", (long long)entries[i].period);
    }
    if (rc_buf_check(&text, err))
        return err->code;
    if (EVP_Digest(text.data, text.len, digest, NULL, EVP_sha256(), NULL) != 1)
        return rc_fail(err, RC_FAILED, "SHA-256 is not to be had");
    for (size_t i = 0; i < DIGEST_BYTES; i++) {
        out[2 * i] = digits[digest[i] >> 4];
        out[2 * i + 1] = digits[digest[i] & 0xf];
    }
    out[DIGEST_TEXT - 1] = '\0';
    return RC_OK;
}

static void take_value(void *context, const struct rc_value *row)
{
    *(char **)context = sdrs_owned(&row[0]);
}

/* Whether this configuration was the last one that was made so; one without rules is at first. */
static enum rc_code is_made(struct sdrs_state *state, const char *digest, bool has_rules,
                            bool *made, struct rc_error *err)
{
    RC_STR_AUTO known = NULL;

    if (sdrs_state_rows(state, "SELECT value FROM settings WHERE name = 'rules'", NULL, 0,
                        take_value, &known, err))
        return err->code;
    *made = known ? strcmp(known, digest) == 0 : !has_rules;
    return RC_OK;
}

static enum rc_code keep_digest(struct sdrs_state *state, const char *digest, struct rc_error *err)
{
    const struct rc_value value = rc_value_text(digest);

    return sdrs_state_exec(state,
                           "INSERT INTO settings (name, value) VALUES ('rules', $1)"
                           " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                           &value, 1, NULL, err);
}

/* ---- what is wanted -------------------------------------------------------------------------- */

static bool is_same_rule(const struct sdrs_rule *a, const struct sdrs_rule *b)
{
    return a->type == b->type && rc_str_eq(a->project, b->project) &&
           rc_str_eq(a->storage, b->storage);
}

static struct sdrs_rule *find(const struct sdrs_rules *rules, const struct sdrs_rule *like)
{
    for (size_t i = 0; i < rules->count; i++)
        if (is_same_rule(&rules->items[i], like))
            return &rules->items[i];
    return NULL;
}

static enum rc_code want_one(const struct sdrs_config *config, size_t index,
                             struct sdrs_rules *wanted, struct rc_error *err)
{
    const struct sdrs_rule_entry *entry =
        &((const struct sdrs_rule_entry *)config->rules.items)[index];
    const struct sdrs_rule_request request = {
        .type = entry->type,
        .storage = entry->storage,
        .project = entry->project,
        .unit = entry->unit,
        .dataset = entry->dataset,
        .has_period = true,
        .period = entry->period,
    };
    RC_CLEANUP(sdrs_rule_clear) struct sdrs_rule rule = { 0 };
    const struct sdrs_rule *twin;

    if (sdrs_rule_make(&request, config, &rule, err))
        return err->code;
    twin = find(wanted, &rule);
    if (twin)
        return rc_fail(err, RC_INVALID,
                       "it is of the same type, project and name as rules[%zu]; take one out",
                       (size_t)(twin - wanted->items));
    rule.is_active = rule.is_configured = true;
    sdrs_set(&rule.user, by);
    sdrs_rules_append(wanted, &rule);
    return RC_OK;
}

static enum rc_code want_all(const struct sdrs_config *config, struct sdrs_rules *wanted,
                             struct rc_error *err)
{
    for (size_t i = 0; i < config->rules.len; i++)
        if (want_one(config, i, wanted, err))
            return rc_context(err, "rules[%zu]", i);
    return RC_OK;
}

/* What a rule has beside its name, as the configuration says it. */
static bool differs(const struct sdrs_rule *present, const struct sdrs_rule *wanted)
{
    return present->period != wanted->period || present->unit != wanted->unit ||
           !rc_str_eq(present->dataset, wanted->dataset);
}

static void adapt(struct sdrs_rule *present, const struct sdrs_rule *wanted)
{
    present->period = wanted->period;
    present->unit = wanted->unit;
    present->is_configured = true;
    sdrs_set(&present->dataset, wanted->dataset);
}

/* ---- making it so ---------------------------------------------------------------------------- */

struct configuring {
    const struct sdrs_rules *wanted;
    const char *digest;
};

static enum rc_code adopt(struct sdrs_state *state, int64_t id, struct rc_error *err)
{
    const struct rc_value value = rc_value_int(id);

    return sdrs_state_exec(state, "UPDATE rules SET is_configured = 1 WHERE id = $1", &value, 1,
                           NULL, err);
}

static enum rc_code make_so(struct sdrs_state *state, struct sdrs_rule *present,
                            const struct sdrs_rule *wanted, struct rc_error *err)
{
    RC_CLEANUP(sdrs_rule_clear) struct sdrs_rule made = { 0 };

    if (present && !differs(present, wanted))
        return present->is_configured ? RC_OK : adopt(state, present->id, err);
    if (!present) {
        sdrs_rule_copy(wanted, &made);
        return sdrs_rules_create(state, &made, err);
    }
    adapt(present, wanted);
    sdrs_rule_advance(state, present, by);
    return sdrs_rules_replace(state, present, err);
}

/* Those that are to go go first: one that is to come may nest with them. */
static enum rc_code configure(struct sdrs_state *state, void *context, struct rc_error *err)
{
    const struct configuring *configuring = context;
    const struct sdrs_rules *wanted = configuring->wanted;
    RC_CLEANUP(sdrs_rules_clear) struct sdrs_rules present = { 0 };
    int64_t id;

    if (sdrs_rules_list(state, 0, 0, &present, err))
        return err->code;
    for (size_t i = 0; i < present.count; i++) {
        const struct sdrs_rule *rule = &present.items[i];

        if (rule->is_configured && !find(wanted, rule) &&
            sdrs_rules_delete(state, rule->type, rule->project, rule->storage, by, &id, err))
            return err->code;
    }
    for (size_t i = 0; i < wanted->count; i++)
        if (make_so(state, find(&present, &wanted->items[i]), &wanted->items[i], err))
            return rc_context(err, "rules[%zu]", i);
    return keep_digest(state, configuring->digest, err);
}

/* ---- a dry run ------------------------------------------------------------------------------- */

/* New ones get the ids behind those that there are, as they would if none was ever deleted. */
static enum rc_code rehearse(struct sdrs_state *state, const struct sdrs_rules *wanted,
                             struct rc_error *err)
{
    RC_CLEANUP(sdrs_rules_clear) struct sdrs_rules present = { 0 };
    struct sdrs_rules *would;
    int64_t id;

    if (sdrs_rules_list(state, 0, 0, &present, err))
        return err->code;
    would = rc_calloc(1, sizeof(*would));
    for (size_t i = 0; i < present.count; i++) {
        const struct sdrs_rule *rule = find(wanted, &present.items[i]);

        if (!rule && present.items[i].is_configured)
            continue;
        if (rule)
            adapt(&present.items[i], rule);
        sdrs_rules_append(would, &present.items[i]);
    }
    id = present.count > 0 ? present.items[present.count - 1].id : 0;
    for (size_t i = 0; i < wanted->count; i++) {
        if (find(would, &wanted->items[i]))
            continue;
        sdrs_rules_append(would, &wanted->items[i]);
        would->items[would->count - 1].id = ++id;
        would->items[would->count - 1].version = 1;
    }
    state->rehearsed = would;
    return RC_OK;
}

/* ---- all of it ------------------------------------------------------------------------------- */

enum rc_code sdrs_rules_configure(struct sdrs_state *state, const struct sdrs_config *config,
                                  struct rc_error *err)
{
    RC_CLEANUP(sdrs_rules_clear) struct sdrs_rules wanted = { 0 };
    char digest[DIGEST_TEXT];
    struct configuring context = { &wanted, digest };
    bool made = false;

    if (make_digest(config, digest, err) ||
        is_made(state, digest, config->rules.len > 0, &made, err))
        return rc_context(err, "compare the rules of the configuration with the last ones");
    if (made)
        return RC_OK;
    if (want_all(config, &wanted, err))
        return err->code;
    if (state->job->dry_run ? rehearse(state, &wanted, err)
                            : sdrs_state_transact(state, configure, &context, err))
        return rc_context(err, "make the rules of the configuration");
    return RC_OK;
}
