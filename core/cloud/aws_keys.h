/*
 * A set of AWS credentials, and the signature that is made with them: Signature Version 4
 * (docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html). Pure functions, thread-safe.
 * Signing needs core_digest_load() to be OK, which core_aws_credentials_get() sees to.
 */
#ifndef CORE_CLOUD_AWS_KEYS_H
#define CORE_CLOUD_AWS_KEYS_H

#include <http/client.h>

struct core_aws_keys {
    char *access_key_id; /* NULL: anonymous */
    char *secret_access_key;
    char *session_token;     /* or NULL */
    int64_t expires_unix_ms; /* INT64_MAX: never */
};

#define CORE_AWS_KEYS_INIT                                                                         \
    {                                                                                              \
        .expires_unix_ms = INT64_MAX                                                               \
    }
#define CORE_AWS_KEYS_AUTO(name)                                                                   \
    RC_CLEANUP(core_aws_keys_clear) struct core_aws_keys name = CORE_AWS_KEYS_INIT

/* Overwrites the secrets before it frees them. */
void core_aws_keys_clear(struct core_aws_keys *keys);
void core_aws_keys_copy(struct core_aws_keys *out, const struct core_aws_keys *keys);

#define CORE_SIGV4_UNSIGNED "UNSIGNED-PAYLOAD"
#define CORE_SIGV4_EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

struct core_sigv4 {
    const char *service, *region;
    int64_t now_unix_ms; /* of the server's clock, as far as known */
    const char *method;
    const char *host;  /* with the port, where it is not the scheme's own */
    const char *path;  /* percent-encoded once, as it stands in the request line; "/" at least */
    const char *query; /* percent-encoded, without "?"; or NULL */
    const struct core_http_header *headers; /* to sign beside host and x-amz-... */
    size_t header_count;
    const char *payload; /* SHA-256 in hex, or CORE_SIGV4_UNSIGNED */
    bool plain_path;     /* S3: the path is neither normalised nor encoded a second time */
    bool add_payload;    /* S3: send x-amz-content-sha256 */
};

/*
 * Adds what the request has to send in addition: x-amz-date, x-amz-security-token, x-amz-content-
 * sha256 and authorization, as "name\0value\0". Anonymous keys add nothing.
 */
void core_sigv4_sign(const struct core_sigv4 *request, const struct core_aws_keys *keys,
                     struct rc_buf *headers);
/* Adds a query, with that of the request, which holds for 'lifetime_s' seconds by itself. */
void core_sigv4_presign(const struct core_sigv4 *request, const struct core_aws_keys *keys,
                        int64_t lifetime_s, struct rc_buf *query);

/* The steps between, for the published vectors. */
void core_sigv4_canonical_request(const struct core_sigv4 *request,
                                  const struct core_aws_keys *keys, struct rc_buf *out);
void core_sigv4_string_to_sign(const struct core_sigv4 *request, const char *canonical_request,
                               struct rc_buf *out);

#endif
