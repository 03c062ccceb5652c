/*
 * Reads a token and checks what it claims. Nothing of its payload is looked at before its signature
 * has been verified; where keys are (jku, x5u, jwk) a token is never asked.
 */
#include "token.h"

#include "base64url.h"

#include <run-core/str.h>

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { MS = 1000 };

static enum rc_code refuse(struct rc_error *err, const char *why)
{
    return rc_fail(err, RC_DENIED, "the token is refused: %s", why);
}

/* A JSON object in which no member is named twice, and no text has a NUL; NULL: it is none. */
static json_t *read_object(const struct rc_buf *text)
{
    json_t *object = json_loadb(text->data, text->len, JSON_REJECT_DUPLICATES, NULL);

    if (json_is_object(object))
        return object;
    json_decref(object);
    return NULL;
}

/* ---- the header ------------------------------------------------------------------------------ */

/* RFC 8725, section 3.11: a token that was made to be something else is no proof of who asks. */
static bool is_wanted_type(const json_t *header)
{
    static const char application[] = "application/";
    const json_t *member = json_object_get(header, "typ");
    const char *type = json_string_value(member);

    if (!member)
        return true;
    if (!type)
        return false;
    if (strncasecmp(type, application, sizeof(application) - 1) == 0)
        type += sizeof(application) - 1;
    return strcasecmp(type, "JWT") == 0 || strcasecmp(type, "at+jwt") == 0;
}

static enum rc_code read_header(const json_t *header, char **kid, struct rc_error *err)
{
    const json_t *alg = json_object_get(header, "alg"), *name = json_object_get(header, "kid");

    if (!json_is_string(alg) || strcmp(json_string_value(alg), "RS256") != 0)
        return refuse(err, "its 'alg' is not RS256");
    if (!is_wanted_type(header))
        return refuse(err, "its 'typ' is neither JWT nor at+jwt");
    if (json_object_get(header, "crit"))
        return refuse(err, "it has a 'crit', and no extension is known here");
    if (name && !json_is_string(name))
        return refuse(err, "its 'kid' is no text");
    *kid = rc_strdup(name ? json_string_value(name) : "");
    return RC_OK;
}

/* ---- the parts ------------------------------------------------------------------------------- */

static bool take_part(const char **at, char end, struct rc_buf *out)
{
    size_t len = strcspn(*at, ".");
    bool good = len > 0 && (*at)[len] == end && sdrs_base64url_decode(*at, len, out);

    *at += len + (end != '\0');
    return good;
}

enum rc_code sdrs_token_open(const char *text, struct sdrs_token *out, struct rc_error *err)
{
    RC_BUF_AUTO(header_text, SDRS_TOKEN_BYTES);
    const char *at = text;
    json_t *header;
    enum rc_code code;

    *out = (struct sdrs_token){ .text = text,
                                .payload = RC_BUF_INIT(SDRS_TOKEN_BYTES),
                                .signature = RC_BUF_INIT(SDRS_TOKEN_BYTES) };
    if (strnlen(text, SDRS_TOKEN_BYTES + 1) > SDRS_TOKEN_BYTES)
        return refuse(err, "it is too long");
    if (!take_part(&at, '.', &header_text) || !take_part(&at, '.', &out->payload))
        return refuse(err, "it is no JSON web token in the compact form");
    out->signed_len = (size_t)(at - text) - 1;
    if (!take_part(&at, '\0', &out->signature))
        return refuse(err, "it is no signed JSON web token in the compact form");
    header = read_object(&header_text);
    if (!header)
        return refuse(err, "its header is no JSON object, or names a member twice");
    code = read_header(header, &out->kid, err);
    json_decref(header);
    return code;
}

void sdrs_token_clear(struct sdrs_token *token)
{
    free(token->kid);
    token->kid = NULL;
    rc_buf_clear(&token->payload);
    rc_buf_clear(&token->signature);
}

/* ---- claims ---------------------------------------------------------------------------------- */

/* RFC 7519, section 2: seconds, of which there may be parts. Beyond the bounds it is no time. */
static bool read_time(const json_t *claim, int64_t *out_unix_ms)
{
    static const double latest_s = 253402300800.0; /* the year 10000 */
    double value = json_number_value(claim);

    if (!json_is_number(claim) || !(value >= 0) || value > latest_s)
        return false;
    *out_unix_ms = (int64_t)(value * MS);
    return true;
}

static enum rc_code check_times(const json_t *claims, const struct sdrs_expectation *expected,
                                struct rc_error *err)
{
    const json_t *exp = json_object_get(claims, "exp"), *nbf = json_object_get(claims, "nbf"),
                 *iat = json_object_get(claims, "iat");
    int64_t now_ms = expected->now_unix_ms, skew_ms = expected->skew_ms, at_ms;

    if (!exp)
        return refuse(err, "it has no 'exp', and would never expire");
    if (!read_time(exp, &at_ms))
        return refuse(err, "its 'exp' is no time");
    if (now_ms - skew_ms >= at_ms)
        return refuse(err, "it has expired");
    if (nbf && !read_time(nbf, &at_ms))
        return refuse(err, "its 'nbf' is no time");
    if (nbf && now_ms + skew_ms < at_ms)
        return refuse(err, "it is not valid yet");
    if (iat && !read_time(iat, &at_ms))
        return refuse(err, "its 'iat' is no time");
    if (iat && now_ms + skew_ms < at_ms)
        return refuse(err, "it was issued in the future");
    return RC_OK;
}

static bool is_text(const json_t *claim, const char *wanted)
{
    return json_is_string(claim) && strcmp(json_string_value(claim), wanted) == 0;
}

/* RFC 7519, section 4.1.3: a text or a list of them. */
static bool is_audience(const json_t *claim, const char *wanted)
{
    const json_t *one;
    bool found = false;
    size_t i;

    if (!json_is_array(claim))
        return is_text(claim, wanted);
    json_array_foreach(claim, i, one)
    {
        if (!json_is_string(one))
            return false;
        found = found || is_text(one, wanted);
    }
    return found;
}

static bool is_printable(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            return false;
    return true;
}

/* An issuer that says of itself that it has not verified the address vouches for nobody. */
static bool is_vouched_for(const json_t *claims)
{
    const json_t *verified = json_object_get(claims, "email_verified");

    return !verified || json_is_true(verified) || is_text(verified, "true"); /* some send a text */
}

static void take_email(const json_t *claims, struct sdrs_claims *out)
{
    const json_t *claim = json_object_get(claims, "email");
    const char *email = json_string_value(claim);

    if (!email || !*email || json_string_length(claim) >= sizeof(out->email) ||
        !is_printable(email) || !is_vouched_for(claims))
        email = "unknown";
    (void)snprintf(out->email, sizeof(out->email), "%s", email);
}

static enum rc_code check_claims(const json_t *claims, const struct sdrs_expectation *expected,
                                 struct rc_error *err)
{
    if (check_times(claims, expected, err))
        return err->code;
    if (expected->issuer && !is_text(json_object_get(claims, "iss"), expected->issuer))
        return refuse(err, "its 'iss' is not the issuer that is believed here");
    if (expected->audience && !is_audience(json_object_get(claims, "aud"), expected->audience))
        return refuse(err, "its 'aud' does not name this service");
    return RC_OK;
}

enum rc_code sdrs_token_check(const struct sdrs_token *token, const struct sdrs_jwks *keys,
                              const struct sdrs_expectation *expected, struct sdrs_claims *out,
                              struct rc_error *err)
{
    json_t *claims;
    enum rc_code code;

    if (!sdrs_jwks_has(keys, token->kid))
        return refuse(err, *token->kid ? "its 'kid' names no key that is known here"
                                       : "it has no 'kid', and there are several keys");
    if (!sdrs_jwks_verifies(keys, token->kid, token->text, token->signed_len,
                            (const unsigned char *)token->signature.data, token->signature.len))
        return refuse(err, "its signature is not by a key that is known here");
    claims = read_object(&token->payload);
    if (!claims)
        return refuse(err, "its payload is no JSON object, or names a member twice");
    code = check_claims(claims, expected, err);
    if (!code)
        take_email(claims, out);
    json_decref(claims);
    return code;
}
