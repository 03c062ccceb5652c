/*
 * Prints what AWS credentials, region or endpoint are found where it is started, as a line of JSON;
 * of the secrets only their digest.
 *
 *     aws_probe get [NAME=VALUE]... [times=N]    names as in struct core_aws_credentials_settings
 *     aws_probe region [profile=NAME]
 *     aws_probe endpoint service=NAME [profile=NAME]
 */
#include <cloud/aws_credentials.h>
#include <config/secrets.h>
#include <os/digest.h>

#include <run-core/str.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_BYTES = 64 * 1024, BACKOFF_MS = 1, ATTEMPTS = 3 };

static const char *argument(char **words, const char *name)
{
    size_t len = strlen(name);

    for (; *words; words++)
        if (strncmp(*words, name, len) == 0 && (*words)[len] == '=')
            return *words + len + 1;
    return NULL;
}

static void add_member(struct rc_buf *out, const char *name, const char *value)
{
    rc_buf_adds(out, out->len == 0 ? "{" : ", ");
    rc_buf_add_json(out, name, strlen(name));
    rc_buf_adds(out, ": ");
    if (value)
        rc_buf_add_json(out, value, strlen(value));
    else
        rc_buf_adds(out, "null");
}

static int print_error(const struct rc_error *err)
{
    RC_BUF_AUTO(line, LINE_BYTES);
    RC_STR_AUTO message = rc_strf("%s%s%s", err->context, err->context[0] ? ": " : "", err->cause);

    core_secret_mask(message);
    add_member(&line, "error", rc_code_name(err->code));
    add_member(&line, "message", message);
    rc_buf_addc(&line, '}');
    puts(line.data);
    return 1;
}

static void print_keys(const struct core_aws_keys *keys)
{
    RC_STR_AUTO secrets = rc_strf("%s|%s", keys->secret_access_key ? keys->secret_access_key : "",
                                  keys->session_token ? keys->session_token : "");
    unsigned char digest[CORE_DIGEST_BYTES];
    RC_BUF_AUTO(line, LINE_BYTES);
    RC_BUF_AUTO(hex, CORE_DIGEST_HEX);

    core_digest(CORE_SHA256, secrets, strlen(secrets), digest);
    core_add_hex(&hex, digest, sizeof(digest));
    add_member(&line, "access_key", keys->access_key_id);
    add_member(&line, "secrets", hex.data);
    rc_buf_addf(&line, ", \"expires_unix_ms\": %lld}", (long long)keys->expires_unix_ms);
    puts(line.data);
}

static int get(char **words)
{
    const struct core_http_client_settings of_client = { .attempts = ATTEMPTS,
                                                         .backoff_ms = BACKOFF_MS };
    struct core_http_client *client = core_http_client_new(&of_client);
    const struct core_aws_credentials_settings settings = {
        .anonymous = argument(words, "anonymous") != NULL,
        .access_key_id = argument(words, "access_key_id"),
        .secret_access_key = argument(words, "secret_access_key"),
        .session_token = argument(words, "session_token"),
        .profile = argument(words, "profile"),
        .role_arn = argument(words, "role_arn"),
        .external_id = argument(words, "external_id"),
        .role_session_name = argument(words, "role_session_name"),
        .region = argument(words, "region"),
        .http = client,
    };
    struct core_aws_credentials *credentials = core_aws_credentials_new(&settings);
    const char *times_text = argument(words, "times");
    int64_t times = 1;
    int status = 0;

    if (times_text && !rc_parse_int(times_text, &times))
        times = 0;
    for (int64_t i = 0; i < times; i++) {
        CORE_AWS_KEYS_AUTO(keys);
        struct rc_error err = RC_ERROR_INIT;

        if (core_aws_credentials_get(credentials, /* cancel = */ NULL, &keys, &err))
            status = print_error(&err);
        else
            print_keys(&keys);
    }
    core_aws_credentials_free(credentials);
    core_http_client_free(client);
    return status;
}

static int print_setting(const char *what, char **words)
{
    const char *profile = argument(words, "profile"), *service = argument(words, "service");
    struct rc_error err = RC_ERROR_INIT;
    RC_BUF_AUTO(line, LINE_BYTES);
    RC_STR_AUTO found = NULL;
    enum rc_code code = strcmp(what, "region") == 0
                            ? core_aws_region(profile, &found, &err)
                            : core_aws_endpoint(profile, service ? service : "s3", &found, &err);

    if (code)
        return print_error(&err);
    add_member(&line, what, found);
    rc_buf_addc(&line, '}');
    puts(line.data);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: aws_probe get|region|endpoint [NAME=VALUE]...\n");
        return 2;
    }
    return strcmp(argv[1], "get") == 0 ? get(argv + 2) : print_setting(argv[1], argv + 2);
}
