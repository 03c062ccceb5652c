/*
 * Any bytes as a key file of Google's, and as a reply of its token servers or of a service that
 * fails: something or an error, and neither is what it cannot be.
 */
#include <cloud/google_key.h>
#include <cloud/google_reply.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_key(const struct core_google_key *key)
{
    switch (key->kind) {
    case CORE_GOOGLE_SERVICE_ACCOUNT:
        RC_ASSERT(key->client_email && key->private_key && key->token_url);
        return;
    case CORE_GOOGLE_AUTHORIZED_USER:
        RC_ASSERT(key->client_id && key->client_secret && key->refresh_token && key->token_url);
        return;
    case CORE_GOOGLE_EXTERNAL_ACCOUNT:
        RC_ASSERT(key->token_url && !key->subject.file == !!key->subject.url);
        for (size_t i = 0; i < key->subject.header_count; i++)
            RC_ASSERT(key->subject.headers[i].name[0] && key->subject.headers[i].value);
        return;
    case CORE_GOOGLE_IMPERSONATED:
        RC_ASSERT(key->impersonation_url && key->source);
        check_key(key->source);
        return;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    CORE_GOOGLE_KEY_AUTO(key);
    CORE_GOOGLE_TOKEN_AUTO(token);
    struct rc_error err = RC_ERROR_INIT;

    if (core_google_key_parse(text, size, &key, &err))
        RC_ASSERT(err.cause[0]);
    else
        check_key(&key);
    if (core_google_token_parse(text, size, 0, &token, &err))
        RC_ASSERT(!token.text && err.code == RC_CORRUPT);
    else
        RC_ASSERT(token.text[0] && !strpbrk(token.text, "\r\n \t"));
    RC_ASSERT(core_google_fail_with(403, text, size, NULL, &err) == RC_DENIED);
    RC_ASSERT(!strpbrk(err.cause, "\r\n"));
    (void)core_google_judge(403, text, size);
    return 0;
}
