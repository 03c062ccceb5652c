/*
 * Retention rules over HTTP. What is a valid rule is up to rule.c, which may stand beside which up
 * to the state.
 */
#include "request.h"

#include "../storage_name.h"

#include <inttypes.h>
#include <stdlib.h>

enum { MISTAKES_LIMIT = 64 << 10, PAGE = 100, MAX_PAGE = 1000 };

static const char *const type_names[] = { "GLOBAL", "DATASET", "DEFAULT", NULL };

/* The pages of the older system write dataSetName, its code datasetName. */
const struct sdrs_property sdrs_rule_properties[] = {
    { SDRS_CHOICE_OF("type", struct sdrs_rule_request, type, type_names), .is_required = true,
      .help = "DATASET for the data below a path, DEFAULT for the rest of a bucket, GLOBAL for the "
              "rest of every bucket that other rules name." },
    { SDRS_TEXT_OF("dataStorageName", struct sdrs_rule_request, storage),
      .help = "What it is for, as gs://bucket/dataset; not of GLOBAL." },
    { SDRS_TEXT_OF("projectId", struct sdrs_rule_request, project),
      .help = "The project that the bucket is in; not of GLOBAL." },
    { SDRS_INTEGER_OF("retentionPeriod", struct sdrs_rule_request, period, has_period),
      .is_required = true,
      .help = "How long data stays, or how many versions: at most 1095 days, 84 months or 30 "
              "versions." },
    { SDRS_TEXT_OF("retentionPeriodUnit", struct sdrs_rule_request, unit),
      .help = "DAY, which is the default, MONTH (30 days) or VERSION." },
    { SDRS_TEXT_OF("datasetName", struct sdrs_rule_request, dataset),
      .help = "A name for people; by default the path." },
    { SDRS_TEXT_OF("dataSetName", struct sdrs_rule_request, dataset),
      .help = "The same as datasetName." },
    { 0 },
};

const struct sdrs_property sdrs_update_properties[] = {
    { SDRS_INTEGER_OF("retentionPeriod", struct sdrs_rule_request, period, has_period),
      .is_required = true, .help = "As of a new rule." },
    { SDRS_TEXT_OF("retentionPeriodUnit", struct sdrs_rule_request, unit),
      .help = "By default the one that the rule has." },
    { 0 },
};

/* ---- JSON ------------------------------------------------------------------------------------ */

/* The members that the older system had, and no others: its clients may refuse them. */
static json_t *rule_json(const struct sdrs_rule *rule)
{
    json_t *json = json_object();

    sdrs_set_number(json, "ruleId", rule->id);
    sdrs_set_text(json, "datasetName", rule->dataset);
    sdrs_set_number(json, "retentionPeriod", rule->period);
    sdrs_set_text(json, "retentionPeriodUnit", sdrs_unit_name(rule->unit));
    sdrs_set_text(json, "dataStorageName", rule->storage);
    sdrs_set_text(json, "projectId", rule->project);
    sdrs_set_text(json, "type", sdrs_rule_type_name(rule->type));
    return json;
}

/* With what is known of this version beside. */
static json_t *version_json(const struct sdrs_rule *rule)
{
    json_t *json = rule_json(rule);

    sdrs_set_number(json, "version", rule->version);
    sdrs_set_json(json, "isActive", json_boolean(rule->is_active));
    sdrs_set_json(json, "isConfigured", json_boolean(rule->is_configured));
    sdrs_set_text(json, "user", rule->user);
    sdrs_set_time(json, "createdAt", rule->created_unix_ms);
    sdrs_set_time(json, "updatedAt", rule->changed_unix_ms);
    return json;
}

static enum rc_code reply_id(struct sdrs_request *request, int64_t id, struct rc_error *err)
{
    json_t *json = json_object();

    sdrs_set_number(json, "ruleId", id);
    return sdrs_reply(request, json, err);
}

/* ---- POST ------------------------------------------------------------------------------------ */

/* The bucket of a rule has to be there; GLOBAL has none. */
static enum rc_code check_bucket(struct sdrs_request *request, const struct sdrs_rule *rule,
                                 struct rc_error *err)
{
    RC_CLEANUP(sdrs_place_clear) struct sdrs_place place = { 0 };
    struct rc_bucket bucket;
    enum rc_code code;

    if (rule->type == SDRS_GLOBAL)
        return RC_OK;
    if (sdrs_place_parse("dataStorageName", rule->storage, &request->config->file_roots, &place,
                         err))
        return err->code;
    RC_STR_AUTO uri = sdrs_bucket_uri(&place);
    code = rc_bucket_look(request->job, uri, &bucket, err);
    if (!code && bucket.exists == RC_ANSWER_NO)
        return rc_fail(err, RC_INVALID, "Bucket %s does not exist for project %s", place.bucket,
                       rule->project);
    if (code == RC_DENIED || code == RC_INVALID || code == RC_NOT_FOUND)
        return rc_fail(err, RC_INVALID, "Bucket %s of project %s cannot be looked at: %s",
                       place.bucket, rule->project, sdrs_bucket_trouble(request, uri, err));
    return code ? rc_context(err, "look for bucket '%s'", uri) : RC_OK;
}

enum rc_code sdrs_rules_post(struct sdrs_request *request, struct rc_error *err)
{
    RC_CLEANUP(json_decrefp) json_t *held = NULL;
    RC_CLEANUP(sdrs_rule_clear) struct sdrs_rule rule = { 0 };
    struct sdrs_rule_request asked = { 0 };
    RC_BUF_AUTO(mistakes, MISTAKES_LIMIT);

    if (sdrs_read_body(request, sdrs_rule_properties, &asked, &held, err))
        return err->code;
    sdrs_rule_mistakes(&asked, request->config, &mistakes);
    if (sdrs_refuse(&mistakes, err) || sdrs_rule_make(&asked, request->config, &rule, err) ||
        check_bucket(request, &rule, err))
        return err->code;
    free(rule.user);
    rule.user = rc_strdup(request->user.email);
    if (sdrs_rules_create(&request->state, &rule, err))
        return err->code;
    sdrs_request_log(request, RC_LOG_INFO,
                     "rule %" PRId64 ", version %" PRId64 ": %s '%s' of project '%s' keeps %" PRId64
                     " %s",
                     rule.id, rule.version, sdrs_rule_type_name(rule.type), rule.storage,
                     rule.project, rule.period, sdrs_unit_name(rule.unit));
    return reply_id(request, rule.id, err);
}

/* ---- GET and DELETE by what names a rule ----------------------------------------------------- */

/*
 * A rule that is there has the name that it was made with, whatever names are refused by now, such
 * as those below a directory that is configured no more. RC_INVALID, as it was: there is none.
 */
static enum rc_code find_as_said(struct sdrs_request *request, const struct sdrs_rule_request *key,
                                 struct sdrs_rule *out, struct rc_error *err)
{
    struct rc_error other = RC_ERROR_INIT;
    enum sdrs_rule_type type;
    enum rc_code code;

    if (!key->type || !key->project || !key->storage || !sdrs_rule_type_parse(key->type, &type))
        return err->code;
    code = sdrs_rules_find(&request->state, type, key->project, key->storage, out, &other);
    if (code && code != RC_NOT_FOUND)
        *err = other;
    return code ? err->code : RC_OK;
}

/*
 * The rule that would have this key: its type, project and name as the state has them. No period is
 * asked for, so it has any.
 */
static enum rc_code read_key(struct sdrs_request *request, struct sdrs_rule *out,
                             struct rc_error *err)
{
    struct sdrs_rule_request key = { 0 };
    RC_BUF_AUTO(mistakes, MISTAKES_LIMIT);

    if (sdrs_query(request, "type", &key.type, err) ||
        sdrs_query(request, "projectId", &key.project, err) ||
        sdrs_query(request, "dataStorageName", &key.storage, err))
        return err->code;
    sdrs_key_mistakes(&key, request->config, &mistakes);
    if (sdrs_refuse(&mistakes, err))
        return find_as_said(request, &key, out, err);
    key.has_period = true;
    return sdrs_rule_make(&key, request->config, out, err);
}

static enum rc_code read_number(struct sdrs_request *request, const char *name, int64_t least,
                                int64_t most, int64_t *out, struct rc_error *err)
{
    const char *text;

    if (sdrs_query(request, name, &text, err))
        return err->code;
    if (text && (!rc_parse_int(text, out) || *out < least || *out > most))
        return rc_fail(err, RC_INVALID,
                       "Invalid input: %s has to be a number from %" PRId64 " to %" PRId64, name,
                       least, most);
    return RC_OK;
}

/* One rule more than a page has says whether there is another page. */
static enum rc_code list(struct sdrs_request *request, struct rc_error *err)
{
    RC_CLEANUP(sdrs_rules_clear) struct sdrs_rules rules = { 0 };
    int64_t after = 0, limit = PAGE;
    json_t *items, *json;
    bool more;

    if (read_number(request, "after", 0, INT64_MAX, &after, err) ||
        read_number(request, "limit", 1, MAX_PAGE, &limit, err) ||
        sdrs_rules_list(&request->state, after, (size_t)limit + 1, &rules, err))
        return err->code;
    more = rules.count > (size_t)limit;
    items = json_array();
    for (size_t i = 0; i < rules.count - more; i++)
        (void)json_array_append_new(items, version_json(&rules.items[i]));
    json = json_object();
    sdrs_set_json(json, "rules", items);
    sdrs_set_json(json, "next", more ? json_integer(rules.items[limit - 1].id) : json_null());
    return sdrs_reply(request, json, err);
}

/* Whether the query names a rule, if only by an empty text. */
static bool has_key(struct sdrs_request *request)
{
    static const char *const names[] = { "type", "projectId", "dataStorageName" };

    for (size_t i = 0; i < RC_ARRAY_LEN(names); i++)
        if (rc_exchange_query(request->job, request->exchange, names[i]))
            return true;
    return false;
}

enum rc_code sdrs_rules_get(struct sdrs_request *request, struct rc_error *err)
{
    RC_CLEANUP(sdrs_rule_clear) struct sdrs_rule key = { 0 };
    RC_CLEANUP(sdrs_rule_clear) struct sdrs_rule rule = { 0 };

    if (!has_key(request))
        return list(request, err);
    if (read_key(request, &key, err) ||
        sdrs_rules_find(&request->state, key.type, key.project, key.storage, &rule, err))
        return err->code;
    return sdrs_reply(request, rule_json(&rule), err);
}

enum rc_code sdrs_rules_remove(struct sdrs_request *request, struct rc_error *err)
{
    RC_CLEANUP(sdrs_rule_clear) struct sdrs_rule key = { 0 };
    int64_t id;

    if (read_key(request, &key, err) ||
        sdrs_rules_delete(&request->state, key.type, key.project, key.storage, request->user.email,
                          &id, err))
        return err->code;
    sdrs_request_log(request, RC_LOG_INFO, "rule %" PRId64 " is deleted: %s '%s' of project '%s'",
                     id, sdrs_rule_type_name(key.type), key.storage, key.project);
    return reply_id(request, id, err);
}

/* ---- by id ----------------------------------------------------------------------------------- */

static enum rc_code read_id(struct sdrs_request *request, enum rc_code code, int64_t *out,
                            struct rc_error *err)
{
    const char *text = rc_exchange_param(request->job, request->exchange, "id");

    if (rc_parse_int(text, out) && *out > 0)
        return RC_OK;
    return rc_fail(err, code, "No rule exists with ID: %s", text);
}

struct update {
    struct sdrs_rule_request asked;
    int64_t id;
    const char *user;
    struct sdrs_rule rule; /* as it became */
};

/* In a transaction, so that a unit that is not given is still the rule's. */
static enum rc_code update(struct sdrs_state *state, void *context, struct rc_error *err)
{
    struct update *work = context;
    RC_CLEANUP(sdrs_rule_clear) struct sdrs_rule before = { 0 };
    RC_BUF_AUTO(mistakes, MISTAKES_LIMIT);
    enum sdrs_unit unit;

    sdrs_rule_clear(&work->rule);
    work->rule = (struct sdrs_rule){ 0 };
    if (sdrs_rules_by_id(state, work->id, &before, err))
        return err->code;
    if (!before.is_active)
        return rc_fail(err, RC_NOT_FOUND, "No rule exists with ID: %" PRId64, work->id);
    unit = before.unit;
    work->asked.type = sdrs_rule_type_name(before.type);
    if (work->asked.unit)
        (void)sdrs_unit_parse(work->asked.unit, &unit); /* else it is among the mistakes */
    sdrs_period_mistakes(&work->asked, unit, &mistakes);
    if (sdrs_refuse(&mistakes, err))
        return err->code;
    return sdrs_rules_update(state, work->id, work->asked.period, unit, work->user, &work->rule,
                             err);
}

/* As in the older system an unknown rule is a mistake in the request: 400. */
enum rc_code sdrs_rules_put(struct sdrs_request *request, struct rc_error *err)
{
    RC_CLEANUP(json_decrefp) json_t *held = NULL;
    struct update work = { .user = request->user.email };
    enum rc_code code;

    if (sdrs_read_body(request, sdrs_update_properties, &work.asked, &held, err) ||
        read_id(request, RC_INVALID, &work.id, err))
        return err->code;
    code = sdrs_state_transact(&request->state, update, &work, err);
    if (code == RC_NOT_FOUND)
        code = rc_fail(err, RC_INVALID, "%s", err->cause);
    else if (code && code != RC_INVALID)
        code = rc_context(err, "change rule %" PRId64, work.id);
    if (!code) {
        sdrs_request_log(
            request, RC_LOG_INFO, "rule %" PRId64 ", version %" PRId64 ": keeps %" PRId64 " %s",
            work.rule.id, work.rule.version, work.rule.period, sdrs_unit_name(work.rule.unit));
        code = sdrs_reply(request, rule_json(&work.rule), err);
    }
    sdrs_rule_clear(&work.rule);
    return code;
}

enum rc_code sdrs_rules_versions(struct sdrs_request *request, struct rc_error *err)
{
    RC_CLEANUP(sdrs_rules_clear) struct sdrs_rules versions = { 0 };
    json_t *items, *json;
    int64_t id;

    if (read_id(request, RC_NOT_FOUND, &id, err) ||
        sdrs_rules_history(&request->state, id, &versions, err))
        return err->code;
    items = json_array();
    for (size_t i = 0; i < versions.count; i++)
        (void)json_array_append_new(items, version_json(&versions.items[i]));
    json = json_object();
    sdrs_set_number(json, "ruleId", id);
    sdrs_set_json(json, "versions", items);
    return sdrs_reply(request, json, err);
}
