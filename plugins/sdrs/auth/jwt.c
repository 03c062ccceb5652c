/*
 * Believes a request's Authorization header, or not: token.c on the process's keys and clocks.
 */
#include "jwt.h"

#include "keys.h"

#include <string.h>
#include <strings.h>
#include <time.h>

static struct sdrs_keys process_keys = SDRS_KEYS_INIT;

bool sdrs_jwt_needed(const struct sdrs_config *config)
{
    return config->jwks || config->public_key_file;
}

/* A token expires by the clock, whatever --now a run may have. */
static int64_t clock_ms(clockid_t clock)
{
    struct timespec now;

    (void)clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* RFC 6750, section 2.1; NULL: it is something else. */
static const char *token_of(const char *authorization)
{
    static const char scheme[] = "Bearer";
    const char *at;

    if (!authorization || strncasecmp(authorization, scheme, sizeof(scheme) - 1) != 0)
        return NULL;
    at = authorization + sizeof(scheme) - 1;
    if (*at != ' ')
        return NULL;
    at += strspn(at, " ");
    return *at ? at : NULL;
}

static enum rc_code verify(struct rc_job *job, const struct sdrs_config *config,
                           const struct sdrs_token *token, struct sdrs_claims *out,
                           struct rc_error *err)
{
    const struct sdrs_expectation expected = {
        .issuer = config->issuer,
        .audience = config->audience,
        .now_unix_ms = clock_ms(CLOCK_REALTIME),
        .skew_ms = config->clock_skew_ms,
    };
    struct sdrs_jwks *keys;
    enum rc_code code;

    if (sdrs_keys_get(&process_keys, job, config, token->kid, clock_ms(CLOCK_MONOTONIC), &keys,
                      err))
        return err->code;
    code = sdrs_token_check(token, keys, &expected, out, err);
    sdrs_jwks_free(keys);
    return code;
}

enum rc_code sdrs_jwt_verify(struct rc_job *job, const struct sdrs_config *config,
                             const char *authorization, struct sdrs_claims *out,
                             struct rc_error *err)
{
    const char *text = token_of(authorization);
    struct sdrs_token token;
    enum rc_code code;

    if (!text)
        return rc_fail(err, RC_DENIED,
                       "a token is needed: send the header 'Authorization: Bearer TOKEN'");
    code = sdrs_token_open(text, &token, err);
    if (!code)
        code = verify(job, config, &token, out, err);
    sdrs_token_clear(&token);
    return code;
}

const char *sdrs_jwt_challenge(const char *authorization)
{
    return token_of(authorization) ? "Bearer realm=\"sdrs\", error=\"invalid_token\""
                                   : "Bearer realm=\"sdrs\"";
}
