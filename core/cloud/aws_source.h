/*
 * The places that AWS credentials come from, for aws_chain.c, which asks them in order.
 *
 * A source that has credentials fills 'out'. RC_OK without an access key means that it has none;
 * then it has said why by core_aws_tried(). Any other code ends the search: this source was meant
 * and has failed.
 */
#ifndef CORE_CLOUD_AWS_SOURCE_H
#define CORE_CLOUD_AWS_SOURCE_H

#include <cloud/aws_credentials.h>
#include <cloud/aws_profiles.h>

/* One search. */
struct core_aws_lookup {
    const struct core_aws_credentials_settings *settings;
    const struct core_cancel *cancel;
    struct core_aws_profiles profiles;
    const char *profile; /* its name, "default" at least */
    bool loaded;         /* the profiles are there */
    struct rc_buf tried; /* what the sources say that have none */
};

/* ---- aws_chain.c ----------------------------------------------------------------------------- */

/* 'out' is empty before. RC_NOT_FOUND: no source has any. */
RC_MUST_CHECK enum rc_code
core_aws_find_credentials(const struct core_aws_credentials_settings *settings,
                          const struct core_cancel *cancel, struct core_aws_keys *out,
                          struct rc_error *err);

void core_aws_tried(struct core_aws_lookup *lookup, const char *format, ...) RC_PRINTF(2, 3);

/* ---- aws_settings.c: what is set for any source ---------------------------------------------- */

/* Reads the profiles if that was not done. */
RC_MUST_CHECK enum rc_code core_aws_need_profiles(struct core_aws_lookup *lookup,
                                                  struct rc_error *err);
/* Of the environment variable or the profile's key; NULL: neither. 'variable' may be NULL. */
const char *core_aws_setting(const struct core_aws_lookup *lookup, const char *variable,
                             const char *key);
bool core_aws_setting_is_true(const struct core_aws_lookup *lookup, const char *variable,
                              const char *key);
/* For the token service; NULL: none is set anywhere. */
const char *core_aws_lookup_region(const struct core_aws_lookup *lookup);
/* The URL of a service, configured or else "https://PREFIX.REGION.amazonaws.com". Freed by the
 * caller. */
char *core_aws_service_url(const struct core_aws_lookup *lookup, const char *service,
                           const char *prefix, const char *region);

/* ---- aws_sts.c ------------------------------------------------------------------------------- */

/* NULL has no say. */
struct core_aws_role {
    const char *arn, *session_name, *external_id, *duration_s;
};

RC_MUST_CHECK enum rc_code core_aws_assume_role(struct core_aws_lookup *lookup,
                                                const struct core_aws_role *role,
                                                const struct core_aws_keys *source,
                                                struct core_aws_keys *out, struct rc_error *err);
/* The file is read now, as whoever keeps it renews it. */
RC_MUST_CHECK enum rc_code core_aws_assume_role_with_token(struct core_aws_lookup *lookup,
                                                           const struct core_aws_role *role,
                                                           const char *token_file,
                                                           struct core_aws_keys *out,
                                                           struct rc_error *err);

/* ---- aws_sso.c, aws_process.c ---------------------------------------------------------------- */

RC_MUST_CHECK enum rc_code core_aws_from_sso(struct core_aws_lookup *lookup, const char *profile,
                                             struct core_aws_keys *out, struct rc_error *err);
RC_MUST_CHECK enum rc_code core_aws_from_process(struct core_aws_lookup *lookup,
                                                 const struct core_aws_value *command,
                                                 struct core_aws_keys *out, struct rc_error *err);

/* ---- aws_metadata.c -------------------------------------------------------------------------- */

RC_MUST_CHECK enum rc_code core_aws_from_container(struct core_aws_lookup *lookup,
                                                   struct core_aws_keys *out, struct rc_error *err);
/* Whatever happens there means that the machine has none, but for a cancellation. */
RC_MUST_CHECK enum rc_code core_aws_from_machine(struct core_aws_lookup *lookup,
                                                 struct core_aws_keys *out, struct rc_error *err);
/* NULL, or why credentials may not be asked for at that URL, as they would cross a network. */
const char *core_aws_container_url_wrong(const char *url);

#endif
