/*
 * Words of rules, and what is wrong with one that somebody asks for. Whether its bucket exists, and
 * another rule stands in its way, is not known here.
 */
#include "rule.h"

#include "storage_name.h"

#include <run-core/str.h>
#include <run-core/time.h>

#include <inttypes.h>
#include <stdlib.h>
#include <strings.h>

enum { MISTAKES_BYTES = 8 << 10 };

static const char *const type_names[SDRS_RULE_TYPES] = {
    [SDRS_DATASET] = "DATASET",
    [SDRS_DEFAULT] = "DEFAULT",
    [SDRS_GLOBAL] = "GLOBAL",
};
static const char *const unit_names[SDRS_UNITS] = {
    [SDRS_DAY] = "DAY",
    [SDRS_MONTH] = "MONTH",
    [SDRS_VERSION] = "VERSION",
};
static const int64_t longest[SDRS_UNITS] = {
    [SDRS_DAY] = SDRS_MAX_DAYS,
    [SDRS_MONTH] = SDRS_MAX_MONTHS,
    [SDRS_VERSION] = SDRS_MAX_VERSIONS,
};

/* The place of a word in a list, in any case; 'count' if it is in none. */
static int find_word(const char *text, const char *const *words, int count)
{
    int i = 0;

    while (i < count && strcasecmp(words[i], text) != 0)
        i++;
    return i;
}

const char *sdrs_rule_type_name(enum sdrs_rule_type type)
{
    return type_names[type];
}

bool sdrs_rule_type_parse(const char *text, enum sdrs_rule_type *out)
{
    int found = find_word(text, type_names, SDRS_RULE_TYPES);

    if (found == SDRS_RULE_TYPES)
        return false;
    *out = (enum sdrs_rule_type)found;
    return true;
}

const char *sdrs_unit_name(enum sdrs_unit unit)
{
    return unit_names[unit];
}

bool sdrs_unit_parse(const char *text, enum sdrs_unit *out)
{
    int found = find_word(text, unit_names, SDRS_UNITS);

    if (found == SDRS_UNITS)
        return false;
    *out = (enum sdrs_unit)found;
    return true;
}

void sdrs_rule_clear(struct sdrs_rule *rule)
{
    free(rule->project);
    free(rule->storage);
    free(rule->dataset);
    free(rule->user);
    *rule = (struct sdrs_rule){ .project = NULL };
}

void sdrs_rules_clear(struct sdrs_rules *rules)
{
    for (size_t i = 0; i < rules->count; i++)
        sdrs_rule_clear(&rules->items[i]);
    free(rules->items);
    *rules = (struct sdrs_rules){ .items = NULL };
}

/* ---- mistakes ---- */

static void RC_PRINTF(2, 3) add(struct rc_buf *out, const char *format, ...)
{
    va_list arguments;

    if (out->len > 0)
        rc_buf_adds(out, ", ");
    va_start(arguments, format);
    rc_buf_addv(out, format, arguments);
    va_end(arguments);
}

void sdrs_key_mistakes(const struct sdrs_rule_request *request, const struct sdrs_config *config,
                       struct rc_buf *out)
{
    struct rc_error err = RC_ERROR_INIT;
    struct sdrs_place place;
    enum sdrs_rule_type type;

    if (!request->type || !sdrs_rule_type_parse(request->type, &type)) {
        /* Letter by letter, blanks too, what clients of the older system know. */
        add(out, "type, one of [GLOBAL, DATASET, DEFAULT],  must be provided.");
        return;
    }
    if (type == SDRS_GLOBAL)
        return;
    if (sdrs_place_parse("dataStorageName", request->storage, &config->file_roots, &place, &err))
        add(out, "%s", err.cause);
    sdrs_place_clear(&place);
    if (!request->project || !request->project[0])
        add(out, "projectId must be provided if type is %s", sdrs_rule_type_name(type));
}

void sdrs_period_mistakes(const struct sdrs_rule_request *request, enum sdrs_unit unit,
                          struct rc_buf *out)
{
    bool is_unit = !request->unit || sdrs_unit_parse(request->unit, &unit);
    enum sdrs_rule_type type;

    if (!request->has_period)
        add(out, "retentionPeriod must be provided");
    else if (request->period < 0)
        add(out, "retentionPeriod must be at least 0");
    else if (is_unit && request->period > longest[unit])
        add(out, "retentionPeriod exceeds maximum value of retentionPeriodUnit %s of %" PRId64,
            sdrs_unit_name(unit), longest[unit]);
    if (!is_unit)
        add(out, "retentionPeriodUnit has to be one of [DAY, MONTH, VERSION]");
    /* What DEFAULT and GLOBAL are of is told by the time of each object alone. */
    else if (unit == SDRS_VERSION && request->type && sdrs_rule_type_parse(request->type, &type) &&
             type != SDRS_DATASET)
        add(out, "retentionPeriodUnit VERSION is for type DATASET only");
}

void sdrs_rule_mistakes(const struct sdrs_rule_request *request, const struct sdrs_config *config,
                        struct rc_buf *out)
{
    sdrs_key_mistakes(request, config, out);
    sdrs_period_mistakes(request, SDRS_DAY, out);
}

/* ---- rules ---- */

enum rc_code sdrs_rule_make(const struct sdrs_rule_request *request,
                            const struct sdrs_config *config, struct sdrs_rule *out,
                            struct rc_error *err)
{
    RC_BUF_AUTO(mistakes, MISTAKES_BYTES);
    RC_CLEANUP(sdrs_place_clear) struct sdrs_place place = { .root = NULL };
    struct sdrs_rule rule = { .is_active = true, .unit = SDRS_DAY };
    const char *storage = request->storage, *project = request->project;

    *out = (struct sdrs_rule){ .project = NULL };
    sdrs_rule_mistakes(request, config, &mistakes);
    if (mistakes.len > 0 || mistakes.overflow || !sdrs_rule_type_parse(request->type, &rule.type) ||
        (request->unit && !sdrs_unit_parse(request->unit, &rule.unit)))
        return rc_fail(err, RC_INVALID, "Invalid input: %s", mistakes.data);
    if (rule.type == SDRS_GLOBAL) {
        storage = config->default_storage;
        project = config->default_project;
    }
    if (sdrs_place_parse("dataStorageName", storage, &config->file_roots, &place, err))
        return err->code;
    if (rule.type == SDRS_DEFAULT)
        place.dataset[0] = '\0';
    rule.period = request->period;
    rule.project = rc_strdup(project);
    rule.storage = sdrs_place_name(&place);
    if (request->dataset && request->dataset[0])
        rule.dataset = rc_strdup(request->dataset);
    else
        rule.dataset = rc_strdup(place.dataset[0] ? place.dataset : place.bucket);
    *out = rule;
    return RC_OK;
}

int64_t sdrs_retention_ms(const struct sdrs_rule *rule)
{
    RC_ASSERT(rule->unit != SDRS_VERSION);
    return rule->period * (rule->unit == SDRS_MONTH ? SDRS_MONTH_DAYS : 1) * RC_DAY_MS;
}
