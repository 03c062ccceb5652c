/*
 * The buckets that rules name, each with its shadow: where 'restore' and 'purge' look.
 */
#ifndef SDRS_SHADOWS_H
#define SDRS_SHADOWS_H

#include "config.h"
#include "state/state.h"

/* Owned; as of sdrs_bucket_uri() and sdrs_shadow_uri(). */
struct sdrs_shadow {
    char *bucket, *shadow;
};
void sdrs_shadow_clear(struct sdrs_shadow *shadow);

struct sdrs_shadows {
    struct sdrs_shadow *items;
    size_t count;
};
void sdrs_shadows_clear(struct sdrs_shadows *shadows);

/* Of one storage name, for a parameter 'field'; '*prefix' (may be NULL) is the dataset's prefix and
   the caller's. */
RC_MUST_CHECK enum rc_code sdrs_shadow_of(const struct sdrs_config *config, const char *field,
                                          const char *storage, struct sdrs_shadow *out,
                                          char **prefix, struct rc_error *err);

/* Of all active rules, each bucket once. A name that can be none any more is left out with a
   warning. */
RC_MUST_CHECK enum rc_code sdrs_shadows_of_rules(struct sdrs_state *state,
                                                 const struct sdrs_config *config,
                                                 struct sdrs_shadows *out, struct rc_error *err);

#endif
