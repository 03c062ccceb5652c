/*
 * Where AWS credentials come from, in the order of the AWS tools: given ones, environment,
 * assumed role or web identity, profile files with the cache of SSO, credential process,
 * container, instance metadata (IMDSv2). They are fetched when first wanted, kept, and renewed
 * before they run out, once for all threads. Thread-safe.
 */
#ifndef CORE_CLOUD_AWS_CREDENTIALS_H
#define CORE_CLOUD_AWS_CREDENTIALS_H

#include <cloud/aws_keys.h>

struct core_aws_credentials;

/* NULL has no say. The texts are copied, the client is borrowed. */
struct core_aws_credentials_settings {
    bool anonymous;
    const char *access_key_id, *secret_access_key, *session_token;
    const char *profile;
    const char *role_arn, *external_id, *role_session_name;
    const char *region; /* of the token service */
    struct core_http_client *http;
};

struct core_aws_credentials *
core_aws_credentials_new(const struct core_aws_credentials_settings *settings);
void core_aws_credentials_free(struct core_aws_credentials *credentials);

/*
 * RC_NOT_FOUND: none anywhere; the error names every place that was looked at. RC_DENIED: a source
 * has refused, or has only what has ended. RC_INVALID: a file or variable that makes no sense, with
 * its place. RC_CORRUPT: so does a source's reply. RC_UNAVAILABLE, RC_TIMEOUT: a source does not
 * answer; that is remembered for a second, so that many threads do not ask all at once.
 */
RC_MUST_CHECK enum rc_code core_aws_credentials_get(struct core_aws_credentials *credentials,
                                                    const struct core_cancel *cancel,
                                                    struct core_aws_keys *out,
                                                    struct rc_error *err);
/*
 * A server has refused these as expired or unknown: the next get fetches others, unless that has
 * happened already. False: there is nothing to fetch, they are given ones.
 */
bool core_aws_credentials_refuse(struct core_aws_credentials *credentials,
                                 const struct core_aws_keys *keys);

/*
 * The region that the environment (AWS_REGION, AWS_DEFAULT_REGION) or the profile names; NULL:
 * none. The caller frees it. RC_INVALID as above.
 */
RC_MUST_CHECK enum rc_code core_aws_region(const char *profile, char **out, struct rc_error *err);
/*
 * The endpoint for a service such as "s3": AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, endpoint_url of
 * the profile and its services section; unless AWS_IGNORE_CONFIGURED_ENDPOINT_URLS. As above.
 */
RC_MUST_CHECK enum rc_code core_aws_endpoint(const char *profile, const char *service, char **out,
                                             struct rc_error *err);

#endif
