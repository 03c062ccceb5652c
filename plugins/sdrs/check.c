/*
 * What the option tables cannot say of a configuration: whether its texts are what they are to be,
 * and fit each other. Nothing is asked of any server.
 */
#include "config.h"
#include "path_template.h"
#include "rule.h"
#include "storage_name.h"

#include <run-core/str.h>
#include <run-core/uri.h>

#include <stdlib.h>
#include <string.h>

static const char *or_empty(const char *text)
{
    return text ? text : "";
}

static bool has_control(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            return true;
    return false;
}

/* ---- paths ----------------------------------------------------------------------------------- */

static enum rc_code check_template(const struct sdrs_config *config, struct rc_error *err)
{
    struct sdrs_template template;

    if (sdrs_template_parse(or_empty(config->path_template), &template, err))
        return rc_context(err, "path_template");
    return RC_OK;
}

static enum rc_code check_shadow(const struct sdrs_config *config, struct rc_error *err)
{
    const char *extension = or_empty(config->shadow_extension);

    /* Without any the shadow would be the bucket itself. */
    if (extension[0] == '\0' || strchr(extension, '/') || has_control(extension, strlen(extension)))
        return rc_fail(err, RC_INVALID,
                       "'sts.shadowBucketExtension' has '%s', which is no part of a bucket's name",
                       extension);
    return RC_OK;
}

static enum rc_code check_holds(const struct sdrs_config *config, struct rc_error *err)
{
    for (size_t i = 0; i < config->legal_holds.len; i++) {
        RC_STR_AUTO field = rc_strf("legal_holds[%zu]", i);
        struct sdrs_place place;

        if (sdrs_place_parse(field, config->legal_holds.items[i], &config->file_roots, &place, err))
            return err->code;
        sdrs_place_clear(&place);
    }
    return RC_OK;
}

/* Prefixes of keys, in each bucket. */
static enum rc_code check_excludes(const struct sdrs_config *config, struct rc_error *err)
{
    static const char option[] = "sts.defaultRuleExcludePrefixList";
    const char *at = or_empty(config->default_excludes);

    while (*(at += strspn(at, "; \t"))) {
        size_t len = strcspn(at, ";");
        RC_STR_AUTO entry = rc_strndup(at, len);

        if (entry[0] == '/')
            return rc_fail(err, RC_INVALID,
                           "'%s' has '%s': keys of objects begin without a slash, so write '%s'",
                           option, entry, entry + strspn(entry, "/"));
        if (rc_uri_has_scheme(entry))
            return rc_fail(err, RC_INVALID,
                           "'%s' has '%s': such a prefix is one in every bucket, without its name; "
                           "'legal_holds' has those of one bucket",
                           option, entry);
        if (has_control(entry, len))
            return rc_fail(err, RC_INVALID, "'%s' has a control character", option);
        at += len;
    }
    return RC_OK;
}

/* ---- rules ----------------------------------------------------------------------------------- */

/* A rule of the configuration. Its key, "DATASET gs://b/d/", begins with that of one around it. */
struct entry {
    size_t index;
    struct sdrs_rule rule;
    char *key;
};

struct entries {
    struct entry *items;
    size_t count;
};

static void entries_clear(struct entries *entries)
{
    for (size_t i = 0; i < entries->count; i++) {
        sdrs_rule_clear(&entries->items[i].rule);
        free(entries->items[i].key);
    }
    free(entries->items);
}

static enum rc_code read_entry(const struct sdrs_config *config, size_t index, struct entry *out,
                               struct rc_error *err)
{
    const struct sdrs_rule_entry *entry =
        RC_OBJECT_AT(struct sdrs_rule_entry, config->rules, index);
    const struct sdrs_rule_request request = {
        .type = entry->type,
        .storage = entry->storage,
        .project = entry->project,
        .unit = entry->unit,
        .dataset = entry->dataset,
        .has_period = true,
        .period = entry->period,
    };
    struct sdrs_rule *rule = &out->rule;

    *out = (struct entry){ .index = index };
    if (sdrs_rule_make(&request, config, rule, err))
        return rc_context(err, "rules[%zu]", index);
    out->key = rc_strf("%s %s/", sdrs_rule_type_name(rule->type), rule->storage);
    return RC_OK;
}

static int compare_entries(const void *a, const void *b)
{
    const struct entry *first = a, *second = b;
    int order = strcmp(first->key, second->key);

    if (order == 0)
        order = strcmp(first->rule.project, second->rule.project);
    return order != 0 ? order : first->index < second->index ? -1 : 1;
}

/* Of the same name there may be one for each project. */
static bool is_in_way(const struct entry *outer, const struct entry *inner)
{
    return rc_str_starts(inner->key, outer->key) &&
           (!rc_str_eq(inner->key, outer->key) ||
            rc_str_eq(inner->rule.project, outer->rule.project));
}

static enum rc_code fail_pair(const struct entry *outer, const struct entry *inner,
                              struct rc_error *err)
{
    if (inner->rule.type == SDRS_GLOBAL)
        return rc_fail(err, RC_INVALID,
                       "rules[%zu] and rules[%zu] are both GLOBAL: there is only one", outer->index,
                       inner->index);
    return rc_fail(err, RC_INVALID,
                   "rules[%zu] is for '%s' and rules[%zu] for '%s': no two of type %s may be for "
                   "the same, or one within the other",
                   outer->index, outer->rule.storage, inner->index, inner->rule.storage,
                   sdrs_rule_type_name(inner->rule.type));
}

static enum rc_code check_rules(const struct sdrs_config *config, struct rc_error *err)
{
    RC_CLEANUP(entries_clear) struct entries entries = { .items = NULL };
    size_t outer = 0;

    if (config->rules.len == 0)
        return RC_OK;
    entries.items = rc_calloc(config->rules.len, sizeof(*entries.items));
    for (; entries.count < config->rules.len; entries.count++)
        if (read_entry(config, entries.count, &entries.items[entries.count], err))
            return err->code;
    qsort(entries.items, entries.count, sizeof(*entries.items), compare_entries);
    for (size_t i = 1; i < entries.count; i++) {
        if (is_in_way(&entries.items[outer], &entries.items[i]))
            return fail_pair(&entries.items[outer], &entries.items[i], err);
        outer = i;
    }
    return RC_OK;
}

/* ---- movers and markers ---------------------------------------------------------------------- */

static enum rc_code check_mover(const struct sdrs_config *config, struct rc_error *err)
{
    if (config->mover != SDRS_MOVER_STS)
        return RC_OK;
    for (size_t i = 0; i < config->rules.len; i++) {
        const struct sdrs_rule_entry *entry =
            RC_OBJECT_AT(struct sdrs_rule_entry, config->rules, i);
        enum sdrs_rule_type type;

        if (sdrs_rule_type_parse(entry->type, &type) && type != SDRS_GLOBAL &&
            !rc_str_starts(entry->storage, "gs://"))
            return rc_fail(err, RC_INVALID,
                           "rules[%zu] is for '%s', which the mover 'sts' cannot move; with 'auto' "
                           "it moves what is in gs:// alone",
                           i, entry->storage);
    }
    return RC_OK;
}

static enum rc_code check_marker(const struct sdrs_config *config, struct rc_error *err)
{
    if (sdrs_marker_pattern_check(or_empty(config->marker_pattern), err))
        return rc_context(err, "scheduler.task.dmBatchProcessing.dmRegexPattern");
    return RC_OK;
}

/* ---- servers --------------------------------------------------------------------------------- */

static bool is_http(const char *url)
{
    return rc_str_starts(url, "http://") || rc_str_starts(url, "https://");
}

static enum rc_code check_url(const char *option, const char *url, struct rc_error *err)
{
    if (url && !is_http(url))
        return rc_fail(err, RC_INVALID, "'%s' has to begin with http:// or https://", option);
    return RC_OK;
}

static enum rc_code check_google(const struct sdrs_config *config, struct rc_error *err)
{
    const char *credentials = or_empty(config->google_credentials);
    struct sdrs_place place;

    if (check_url("sts_endpoint", config->sts_endpoint, err) ||
        check_url("pubsub_endpoint", config->pubsub_endpoint, err))
        return err->code;
    if (!rc_str_starts(credentials, "gs://") ||
        sdrs_place_parse("google_credentials", credentials, NULL, &place, err))
        return rc_fail(err, RC_INVALID,
                       "'google_credentials' has '%s', which is no bucket such as gs://default",
                       credentials);
    sdrs_place_clear(&place);
    return RC_OK;
}

/* Goes behind a part of a topic's name; false: that is empty. */
static bool skip_part(const char **at, const char *before)
{
    size_t len;

    if (!rc_str_starts(*at, before))
        return false;
    *at += strlen(before);
    len = strcspn(*at, "/");
    if (len == 0 || has_control(*at, len) || memchr(*at, ' ', len))
        return false;
    *at += len;
    return true;
}

static enum rc_code check_told(const struct sdrs_config *config, struct rc_error *err)
{
    const char *topic = config->topic;

    if (topic && config->webhook_url)
        return rc_fail(err, RC_INVALID,
                       "'pubsub.topic' and 'webhook_url' are both set: notifications go to one of "
                       "the two");
    if (topic && !(skip_part(&topic, "projects/") && skip_part(&topic, "/topics/") && !*topic))
        return rc_fail(err, RC_INVALID,
                       "'pubsub.topic' has '%s'; write projects/PROJECT/topics/TOPIC",
                       config->topic);
    if (config->webhook_token && !config->webhook_url)
        return rc_fail(err, RC_INVALID, "'webhook_token' is set without 'webhook_url'");
    return check_url("webhook_url", config->webhook_url, err);
}

/* ---- tokens ---------------------------------------------------------------------------------- */

static enum rc_code check_tokens(const struct sdrs_config *config, struct rc_error *err)
{
    const char *lone = config->issuer ? "jwt_issuer" : config->audience ? "jwt_audience" : NULL;

    if (config->jwks && config->public_key_file)
        return rc_fail(err, RC_INVALID,
                       "'jwt_jwks' and 'jwt_public_key_file' are both set: the keys of tokens come "
                       "from one of the two");
    /* It would look as if tokens were asked for. */
    if (lone && !config->jwks && !config->public_key_file)
        return rc_fail(
            err, RC_INVALID,
            "'%s' is set without 'jwt_jwks' or 'jwt_public_key_file': no token is looked "
            "at without keys",
            lone);
    return RC_OK;
}

enum rc_code sdrs_check_config(const void *config, struct rc_error *err)
{
    static enum rc_code (*const checks[])(const struct sdrs_config *config,
                                          struct rc_error *err) = {
        check_template, check_shadow, check_rules,  check_holds, check_excludes,
        check_mover,    check_marker, check_google, check_told,  check_tokens,
    };
    const struct sdrs_config *given = config;

    if (sdrs_file_roots_check(&given->file_roots, err))
        return err->code;
    for (size_t i = 0; i < RC_ARRAY_LEN(checks); i++)
        if (checks[i](given, err))
            return err->code;
    return RC_OK;
}
