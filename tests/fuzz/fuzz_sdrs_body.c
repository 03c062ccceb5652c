/*
 * JSON bodies of sdrs: whatever a client sends as a rule or a transfer job, it is refused in the
 * words that there are for it, or every value that was read is one that the body has.
 */
#include <rest/request.h>

#include <run-core/str.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { MISTAKES_LIMIT = 1 << 20 };

static bool is_known_refusal(const struct rc_error *err)
{
    return err->code == RC_INVALID && !*err->context &&
           (rc_str_eq(err->cause, "Unable to read JSON input") ||
            rc_str_ends(err->cause, "' is not an expected object property") ||
            rc_str_ends(err->cause, "' doesn't match expected type") ||
            (rc_str_starts(err->cause, "Expected '") &&
             rc_str_ends(err->cause, "' to be one of [GLOBAL, DATASET, DEFAULT]")));
}

/* The member of that name as a text, or NULL. */
static const char *text_of(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

static void check_rule(json_t *body, const struct sdrs_config *config)
{
    struct sdrs_rule_request request = { 0 };
    struct rc_error err = RC_ERROR_INIT;
    RC_BUF_AUTO(mistakes, MISTAKES_LIMIT);
    RC_CLEANUP(sdrs_rule_clear) struct sdrs_rule rule = { 0 };

    if (sdrs_read_object(body, sdrs_rule_properties, &request, &err)) {
        RC_ASSERT(is_known_refusal(&err));
        return;
    }
    RC_ASSERT(rc_str_eq(request.type, text_of(body, "type")));
    RC_ASSERT(rc_str_eq(request.project, text_of(body, "projectId")));
    RC_ASSERT(rc_str_eq(request.storage, text_of(body, "dataStorageName")));
    RC_ASSERT(!request.type || strchr("GD", request.type[0]));
    sdrs_rule_mistakes(&request, config, &mistakes);
    if (sdrs_refuse(&mistakes, &err))
        return;
    RC_ASSERT(request.has_period && request.period >= 0 && request.period <= SDRS_MAX_DAYS);
    RC_ASSERT(sdrs_rule_make(&request, config, &rule, &err) == RC_OK);
    RC_ASSERT(rule.period == request.period && rule.storage && rule.project);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const roots[] = { "/srv/lake" };
    const struct sdrs_config config = { .file_roots = { RC_ARRAY_LEN(roots), roots },
                                        .default_project = "global-default",
                                        .default_storage = "gs://global" };
    json_t *body =
        json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
    char scratch[256] = ""; /* that has room for what any of the tables fills */
    struct rc_error err = RC_ERROR_INIT;

    if (!body)
        return 0;
    check_rule(body, &config);
    if (sdrs_read_object(body, sdrs_pool_properties, scratch, &err))
        RC_ASSERT(is_known_refusal(&err));
    json_decref(body);
    return 0;
}
