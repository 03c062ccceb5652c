/*
 * Any bytes as a file of the AWS tools: sections with their values, or a mistake with its line and
 * nothing of what stands there. What splits into words is put together and splits alike.
 */
#include <cloud/aws_profiles.h>

#include <run-core/str.h>

#include <stdint.h>
#include <string.h>

enum { TEXT_LIMIT = 1 << 24 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void split(const char *text)
{
    struct core_arena arena = CORE_ARENA_INIT;
    const char *wrong = NULL;
    size_t count = 0, again = 0;
    char **words = core_aws_split_words(&arena, text, &count, &wrong);
    RC_BUF_AUTO(quoted, TEXT_LIMIT);

    RC_ASSERT(words || wrong);
    for (size_t i = 0; words && i < count; i++) {
        rc_buf_addc(&quoted, '"');
        for (const char *c = words[i]; *c; c++) {
            rc_buf_adds(&quoted, *c == '"' || *c == '\\' ? "\\" : "");
            rc_buf_addc(&quoted, *c);
        }
        rc_buf_adds(&quoted, "\"\t");
    }
    char **same = words ? core_aws_split_words(&arena, quoted.data, &again, &wrong) : NULL;
    RC_ASSERT(!words || (same && again == count));
    for (size_t i = 0; words && i < count; i++)
        RC_ASSERT(strcmp(words[i], same[i]) == 0);
    core_arena_clear(&arena);
}

static void read_as(enum core_aws_file file, const char *text, size_t len)
{
    static const char *const names[] = { "default", "p", "my own" };
    static const char *const keys[] = { "aws_access_key_id", "region", "role_arn", "s3" };
    CORE_AWS_PROFILES_AUTO(profiles);
    struct rc_error err = RC_ERROR_INIT;

    if (core_aws_profiles_parse(&profiles, file, "file", text, len, &err)) {
        RC_ASSERT(err.code == RC_INVALID);
        RC_ASSERT(rc_str_starts(err.cause, "file:"));
    }
    for (size_t name = 0; name < RC_ARRAY_LEN(names); name++)
        for (size_t key = 0; key < RC_ARRAY_LEN(keys); key++) {
            const struct core_aws_value *value =
                core_aws_profiles_get(&profiles, CORE_AWS_PROFILE, names[name], keys[key]);

            RC_ASSERT(!value || (*value->text && value->line > 0));
            RC_ASSERT(!value || core_aws_profiles_has(&profiles, CORE_AWS_PROFILE, names[name]));
            value = core_aws_profiles_nested(&profiles, CORE_AWS_SERVICES, names[name], keys[key],
                                             "endpoint_url");
            RC_ASSERT(!value || core_aws_profiles_has(&profiles, CORE_AWS_SERVICES, names[name]));
        }
    RC_ASSERT(core_aws_profiles_fail_missing(&profiles, CORE_AWS_PROFILE, "defalt", "a test",
                                             &err) == RC_INVALID);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    RC_BUF_AUTO(text, TEXT_LIMIT);

    if (size >= TEXT_LIMIT / 4)
        return 0;
    rc_buf_add(&text, data, size);
    split(text.data);
    read_as(CORE_AWS_CONFIG, (const char *)data, size);
    read_as(CORE_AWS_CREDENTIALS, (const char *)data, size);
    return 0;
}
