/*
 * Any bytes as what somebody hands out for AWS credentials: keys that can stand in a header, or an
 * error; and as what a server says of a failure: words on one line.
 */
#include <cloud/aws_reply.h>

#include <run-core/str.h>

#include <stdint.h>
#include <string.h>

enum { BODY_LIMIT = 1 << 22 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool can_be_sent(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text <= ' ' || (unsigned char)*text >= 0x7f)
            return false;
    return true;
}

static void check_keys(enum rc_code code, const struct core_aws_keys *keys,
                       const struct rc_error *err)
{
    if (code) {
        RC_ASSERT(code == RC_CORRUPT && err->cause[0] && !keys->access_key_id);
        return;
    }
    RC_ASSERT(*keys->access_key_id && can_be_sent(keys->access_key_id));
    RC_ASSERT(*keys->secret_access_key);
    RC_ASSERT(!keys->session_token || can_be_sent(keys->session_token));
}

static void check_words(const char *text)
{
    RC_ASSERT(!strpbrk(text, "\r\n\t"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum core_aws_reply kinds[] = { CORE_AWS_REPLY_METADATA, CORE_AWS_REPLY_PROCESS,
                                                 CORE_AWS_REPLY_SSO };
    const char *text = (const char *)data;
    struct core_http_answer answer;
    struct core_aws_failure failure;
    struct rc_error err = RC_ERROR_INIT;

    if (size >= BODY_LIMIT)
        return 0;
    for (size_t i = 0; i < RC_ARRAY_LEN(kinds); i++) {
        CORE_AWS_KEYS_AUTO(keys);

        check_keys(core_aws_keys_from_json(kinds[i], text, size, &keys, &err), &keys, &err);
    }
    {
        CORE_AWS_KEYS_AUTO(keys);

        check_keys(core_aws_keys_from_xml(text, size, &keys, &err), &keys, &err);
    }
    core_http_answer_init(&answer, BODY_LIMIT);
    answer.status = 400;
    rc_buf_add(&answer.body, data, size);
    core_aws_read_failure(&answer, &failure);
    check_words(failure.code);
    check_words(failure.message);
    check_words(failure.request_id);
    RC_ASSERT(core_aws_fail(&answer, 0, &err) != RC_OK);
    core_http_answer_clear(&answer);
    return 0;
}
