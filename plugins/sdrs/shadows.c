/*
 * The buckets that active rules name, and their shadows.
 */
#include "shadows.h"

#include "state/rules.h"
#include "storage_name.h"

#include <inttypes.h>
#include <stdlib.h>

void sdrs_shadow_clear(struct sdrs_shadow *shadow)
{
    free(shadow->bucket);
    free(shadow->shadow);
    *shadow = (struct sdrs_shadow){ 0 };
}

void sdrs_shadows_clear(struct sdrs_shadows *shadows)
{
    for (size_t i = 0; i < shadows->count; i++)
        sdrs_shadow_clear(&shadows->items[i]);
    free(shadows->items);
    *shadows = (struct sdrs_shadows){ 0 };
}

enum rc_code sdrs_shadow_of(const struct sdrs_config *config, const char *field,
                            const char *storage, struct sdrs_shadow *out, char **prefix,
                            struct rc_error *err)
{
    RC_CLEANUP(sdrs_place_clear) struct sdrs_place place = { 0 };

    if (sdrs_place_parse(field, storage, &config->file_roots, &place, err))
        return err->code;
    *out = (struct sdrs_shadow){
        .bucket = sdrs_bucket_uri(&place),
        .shadow = sdrs_shadow_uri(&place, config->shadow_extension, config->shadow_prefix),
    };
    if (prefix)
        *prefix = sdrs_dataset_prefix(&place);
    return RC_OK;
}

static bool is_known(const struct sdrs_shadows *shadows, const struct sdrs_shadow *shadow)
{
    for (size_t i = 0; i < shadows->count; i++)
        if (strcmp(shadows->items[i].bucket, shadow->bucket) == 0)
            return true;
    return false;
}

static void add_rule(struct rc_job *job, const struct sdrs_config *config,
                     const struct sdrs_rule *rule, struct sdrs_shadows *out)
{
    struct rc_error err = RC_ERROR_INIT;
    struct sdrs_shadow shadow = { 0 };

    if (rule->type == SDRS_GLOBAL)
        return;
    if (sdrs_shadow_of(config, "dataStorageName", rule->storage, &shadow, NULL, &err)) {
        rc_warn(job, "leaving out the rule %" PRId64 " of '%s': %s", rule->id, rule->storage,
                err.cause);
        return;
    }
    if (is_known(out, &shadow)) {
        sdrs_shadow_clear(&shadow);
        return;
    }
    out->items = rc_realloc(out->items, (out->count + 1) * sizeof(*out->items));
    out->items[out->count++] = shadow;
}

enum rc_code sdrs_shadows_of_rules(struct sdrs_state *state, const struct sdrs_config *config,
                                   struct sdrs_shadows *out, struct rc_error *err)
{
    RC_CLEANUP(sdrs_rules_clear) struct sdrs_rules rules = { 0 };

    if (sdrs_rules_list(state, /* after = */ 0, /* limit = */ 0, &rules, err))
        return rc_context(err, "list the rules");
    for (size_t i = 0; i < rules.count; i++)
        add_rule(state->job, config, &rules.items[i], out);
    return RC_OK;
}
