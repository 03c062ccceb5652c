/*
 * Credentials that come with the place where this process runs: of a container (ECS, EKS Pod
 * Identity), and of a machine (EC2, by its metadata service). What they ask is near by, so they do
 * not use the client of the stores, whose patience is for a network, nor any proxy: it would learn
 * the authorization, and would fetch the credentials of its own machine.
 */
#include <cloud/aws_reply.h>
#include <cloud/aws_source.h>

#include <config/problems.h>
#include <config/secrets.h>
#include <os/clock.h>
#include <os/file.h>

#include <run-core/str.h>

#include <string.h>
#include <strings.h>
#include <sys/random.h>

#define CONTAINER_HOST "http://169.254.170.2"
#define MACHINE_URL "http://169.254.169.254"
#define MACHINE_URL_IPV6 "http://[fd00:ec2::254]"
#define ROLES_PATH "/latest/meta-data/iam/security-credentials/"
#define TOKEN_LIFETIME_S "21600"

enum {
    REPLY_BYTES = 256 * 1024,
    TOKEN_BYTES = 64 * 1024,
    CONTAINER_MS = 2000, /* of an attempt */
    CONTAINER_ATTEMPTS = 3,
    PAUSE_MS = 500,
    PAUSE_STEP_MS = 50,
    MOST_SECONDS = 3600,
    MOST_ATTEMPTS = 100,
    EXTENSION_MS = 15 * 60 * 1000,
    JITTER_BASE_MS = 2 * 60 * 1000,
    JITTER_MS = 8 * 60 * 1000,
};

/* Makes one attempt. Whether there is another is for those who ask. */
static enum rc_code ask_nearby(struct core_http_call call, struct core_http_answer *answer,
                               struct rc_error *err)
{
    const struct core_http_client_settings direct = { .proxy = "" };
    struct core_http_client *client = core_http_client_new(&direct);
    enum rc_code code;

    call.client = client;
    call.repeat = CORE_HTTP_REPEAT_NEVER;
    code = core_http_call(&call, answer, err);
    core_http_client_free(client);
    return code;
}

/* ---- a container ----------------------------------------------------------------------------- */

static bool is_loopback(const char *host, size_t len)
{
    if ((len == 9 && strncasecmp(host, "localhost", len) == 0) ||
        (len == 5 && strncmp(host, "[::1]", len) == 0))
        return true;
    return len > 4 && strncmp(host, "127.", 4) == 0 && strspn(host, "0123456789.") == len;
}

const char *core_aws_container_url_wrong(const char *url)
{
    static const char *const hosts[] = { "169.254.170.2", "169.254.170.23", "[fd00:ec2::23]" };
    const char *host;
    size_t len;

    if (strncasecmp(url, "https://", 8) == 0)
        return NULL;
    if (strncasecmp(url, "http://", 7) != 0)
        return "it is no URL with http or https";
    host = url + 7;
    if (memchr(host, '@', strcspn(host, "/?#")))
        return "it has a user name";
    len = host[0] == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":/?#");
    if (host[0] == '[' && (!strchr(host, ']') || !strchr(":/?#", host[len])))
        return "its host is none";
    if (is_loopback(host, len))
        return NULL;
    for (size_t i = 0; i < RC_ARRAY_LEN(hosts); i++)
        if (len == strlen(hosts[i]) && strncasecmp(host, hosts[i], len) == 0)
            return NULL;
    return "without https only this machine, 169.254.170.2, 169.254.170.23 and [fd00:ec2::23] may "
           "be asked";
}

/* The value of the header Authorization, if there is to be one. */
static enum rc_code read_authorization(struct rc_buf *out, struct rc_error *err)
{
    const char *file = core_aws_environment("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
    const char *given = core_aws_environment("AWS_CONTAINER_AUTHORIZATION_TOKEN");

    if (file) {
        enum rc_code code = core_file_read(file, out, err);

        if (code) {
            (void)rc_context(err, "read what AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE names");
            return err->code = code == RC_NOT_FOUND ? RC_INVALID : code;
        }
        while (out->len > 0 && strchr("\r\n", out->data[out->len - 1]))
            rc_buf_truncate(out, out->len - 1);
    } else if (given) {
        rc_buf_adds(out, given);
    }
    if (rc_buf_check(out, err))
        return rc_context(err, "read the authorization for the container's credentials");
    if (strlen(out->data) != out->len || strpbrk(out->data, "\r\n"))
        return rc_fail(err, RC_INVALID,
                       "the authorization for the container's credentials, %s, has a line break "
                       "in it",
                       file ? "in AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"
                            : "AWS_CONTAINER_AUTHORIZATION_TOKEN");
    core_secret_add(out->data);
    return RC_OK;
}

/* Sleeps, but not through a wish to stop. */
static enum rc_code pause_for(const struct core_cancel *cancel, int64_t pause_ms,
                              struct rc_error *err)
{
    int64_t end_mono_ms = core_clock_mono_ms() + pause_ms;

    while (core_clock_mono_ms() < end_mono_ms) {
        if (core_cancel_check(cancel, err))
            return err->code;
        core_clock_sleep_ms(PAUSE_STEP_MS);
    }
    return core_cancel_check(cancel, err);
}

static enum rc_code ask_container(struct core_aws_lookup *lookup, const char *url,
                                  const char *authorization, struct core_aws_keys *out,
                                  struct rc_error *err)
{
    const struct core_http_header headers[] = { { .name = "accept", .value = "application/json" },
                                                { .name = "authorization",
                                                  .value = authorization } };
    const struct core_http_call call = {
        .name = "the container's credentials",
        .url = url,
        .headers = headers,
        .header_count = *authorization ? 2 : 1,
        .connect_ms = CONTAINER_MS,
        .idle_ms = CONTAINER_MS,
        .total_ms = CONTAINER_MS,
        .cancel = lookup->cancel,
    };
    struct core_http_answer answer;
    enum rc_code code;

    core_http_answer_init(&answer, REPLY_BYTES);
    code = ask_nearby(call, &answer, err);
    if (code == RC_OK && answer.status != 200)
        code = core_aws_fail(&answer, core_clock_real_unix_ms(), err);
    else if (code == RC_OK)
        code = core_aws_keys_from_json(CORE_AWS_REPLY_METADATA, answer.body.data, answer.body.len,
                                       out, err);
    if (answer.body.len > 0)
        explicit_bzero(answer.body.data, answer.body.len);
    core_http_answer_clear(&answer);
    return code;
}

enum rc_code core_aws_from_container(struct core_aws_lookup *lookup, struct core_aws_keys *out,
                                     struct rc_error *err)
{
    const char *relative = core_aws_environment("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
    const char *full = core_aws_environment("AWS_CONTAINER_CREDENTIALS_FULL_URI"), *wrong;
    RC_STR_AUTO url =
        relative ? rc_strf("%s%s", CONTAINER_HOST, relative) : rc_strdup(full ? full : "");
    RC_BUF_AUTO(authorization, TOKEN_BYTES);
    char shown[CORE_SHOWN_TEXT];
    enum rc_code code;

    if (!relative && !full) {
        core_aws_tried(lookup, "container: AWS_CONTAINER_CREDENTIALS_FULL_URI and _RELATIVE_URI "
                               "are not set");
        return RC_OK;
    }
    wrong = relative && relative[0] != '/' ? "it does not begin with '/'"
                                           : core_aws_container_url_wrong(url);
    if (wrong)
        return rc_fail(err, RC_INVALID, "AWS_CONTAINER_CREDENTIALS_%s_URI is '%s': %s",
                       relative ? "RELATIVE" : "FULL",
                       core_shown(relative ? relative : full, shown), wrong);
    if (read_authorization(&authorization, err))
        return err->code;
    code = ask_container(lookup, url, authorization.data, out, err);
    for (int attempt = 1; attempt < CONTAINER_ATTEMPTS && rc_retryable(code); attempt++) {
        if (pause_for(lookup->cancel, PAUSE_MS, err))
            return err->code;
        code = ask_container(lookup, url, authorization.data, out, err);
    }
    if (authorization.len > 0)
        explicit_bzero(authorization.data, authorization.len);
    return code ? rc_context(err, "ask for the container's credentials at '%s'",
                             core_shown(url, shown))
                : RC_OK;
}

/* ---- a machine ------------------------------------------------------------------------------- */

struct machine {
    struct core_aws_lookup *lookup;
    const char *url;
    int64_t timeout_ms, attempts;
    bool without_token; /* version 1 of the service is allowed */
    struct rc_buf token;
    struct core_http_answer answer;
    struct rc_error why; /* the service has nothing */
};

static int64_t number(const struct core_aws_lookup *lookup, const char *variable, const char *key,
                      int64_t fallback, int64_t most)
{
    const char *text = core_aws_setting(lookup, variable, key);
    int64_t value;

    if (!text || !rc_parse_int(text, &value) || value < 1)
        return fallback;
    return value < most ? value : most;
}

/*
 * One request. RC_OK: the answer is there, whatever its status, but none of those that may pass;
 * else it is 'why'.
 */
static enum rc_code ask_machine(struct machine *machine, const char *method, const char *path)
{
    const struct core_http_header lifetime = { .name = "x-aws-ec2-metadata-token-ttl-seconds",
                                               .value = TOKEN_LIFETIME_S };
    const struct core_http_header token = { .name = "x-aws-ec2-metadata-token",
                                            .value = machine->token.data };
    RC_STR_AUTO url = rc_strf("%s%s", machine->url, path);
    bool for_token = strcmp(method, "PUT") == 0;
    const struct core_http_call call = {
        .name = "the machine's metadata",
        .method = method,
        .url = url,
        .headers = for_token ? &lifetime : &token,
        .header_count = for_token || machine->token.len > 0 ? 1 : 0,
        .connect_ms = machine->timeout_ms,
        .idle_ms = machine->timeout_ms,
        .total_ms = machine->timeout_ms,
        .cancel = machine->lookup->cancel,
    };
    enum rc_code code = RC_UNAVAILABLE;

    for (int64_t attempt = 0; attempt < machine->attempts && rc_retryable(code); attempt++) {
        core_http_answer_clear(&machine->answer);
        core_http_answer_init(&machine->answer, REPLY_BYTES);
        code = ask_nearby(call, &machine->answer, &machine->why);
        if (code == RC_OK && machine->answer.status >= 500)
            code = rc_fail(&machine->why, RC_UNAVAILABLE, "it answers HTTP %u",
                           machine->answer.status);
    }
    return code;
}

static enum rc_code refuse(struct machine *machine, const char *what)
{
    return rc_fail(&machine->why, RC_NOT_FOUND, "it answers HTTP %u for %s", machine->answer.status,
                   what);
}

/* Leaves no token where the service is of version 1, or may be. */
static enum rc_code fetch_token(struct machine *machine)
{
    enum rc_code code = ask_machine(machine, "PUT", "/latest/api/token");
    unsigned status = machine->answer.status;

    rc_buf_reset(&machine->token);
    if (code == RC_OK && status == 200) {
        rc_buf_add(&machine->token, machine->answer.body.data, machine->answer.body.len);
        if (strpbrk(machine->token.data, "\r\n"))
            return rc_fail(&machine->why, RC_NOT_FOUND, "its token has a line break");
        core_secret_add(machine->token.data);
        return RC_OK;
    }
    if (code == RC_OK && status != 403 && status != 404 && status != 405)
        return refuse(machine, "a token");
    /* Without an answer, not even a refused connection: the reply may not reach a container. */
    if (code != RC_OK && code != RC_TIMEOUT && code != RC_UNAVAILABLE)
        return code;
    if (!machine->without_token)
        return code ? code : refuse(machine, "a token, and version 1 is not allowed");
    return code == RC_UNAVAILABLE && status == 0 ? code : RC_OK;
}

/* Reads a path with the token; with a new one if that has run out. */
static enum rc_code read_metadata(struct machine *machine, const char *path, const char *what)
{
    enum rc_code code = ask_machine(machine, "GET", path);

    if (code == RC_OK && machine->answer.status == 401 && machine->token.len > 0) {
        code = fetch_token(machine);
        if (code == RC_OK)
            code = ask_machine(machine, "GET", path);
    }
    if (code == RC_OK && (machine->answer.status != 200 || machine->answer.body.len == 0))
        code = refuse(machine, what);
    return code;
}

/*
 * A service that hands out what is about to end has trouble behind it, and Amazon takes such keys
 * for longer than they say.
 */
static void extend(struct core_aws_keys *keys)
{
    uint32_t random = 0;
    int64_t now_unix_ms = core_clock_real_unix_ms(), extension_ms;

    /* Without a random number all machines come at one time, which is still right. */
    (void)!getrandom(&random, sizeof(random), 0);
    extension_ms = EXTENSION_MS + JITTER_BASE_MS + (int64_t)(random % JITTER_MS);
    if (keys->expires_unix_ms - extension_ms <= now_unix_ms)
        keys->expires_unix_ms = now_unix_ms + extension_ms;
}

static enum rc_code fetch_from_machine(struct machine *machine, struct core_aws_keys *out)
{
    RC_STR_AUTO path = NULL;
    size_t len;

    if (fetch_token(machine) || read_metadata(machine, ROLES_PATH, "the name of its role"))
        return machine->why.code;
    len = strcspn(machine->answer.body.data, "\r\n"); /* of several, the first */
    path = rc_strf("%s%.*s", ROLES_PATH, (int)len, machine->answer.body.data);
    if (strpbrk(path, " \t?#"))
        return rc_fail(&machine->why, RC_NOT_FOUND, "the name of its role is none");
    if (read_metadata(machine, path, "the credentials of its role") ||
        core_aws_keys_from_json(CORE_AWS_REPLY_METADATA, machine->answer.body.data,
                                machine->answer.body.len, out, &machine->why))
        return machine->why.code;
    extend(out);
    return RC_OK;
}

static const char *url_of(const struct core_aws_lookup *lookup)
{
    const char *url = core_aws_setting(lookup, "AWS_EC2_METADATA_SERVICE_ENDPOINT",
                                       "ec2_metadata_service_endpoint");
    const char *mode = core_aws_setting(lookup, "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE",
                                        "ec2_metadata_service_endpoint_mode");

    if (url)
        return url;
    return mode && strcasecmp(mode, "ipv6") == 0 ? MACHINE_URL_IPV6 : MACHINE_URL;
}

static void find_in_machine(struct machine *machine, struct core_aws_keys *out)
{
    struct core_aws_lookup *lookup = machine->lookup;
    RC_STR_AUTO url = rc_strdup(url_of(lookup));
    char shown[CORE_SHOWN_TEXT];

    while (rc_str_ends(url, "/"))
        url[strlen(url) - 1] = '\0';
    machine->url = url;
    machine->timeout_ms = 1000 * number(lookup, "AWS_METADATA_SERVICE_TIMEOUT",
                                        "metadata_service_timeout", 1, MOST_SECONDS);
    machine->attempts = number(lookup, "AWS_METADATA_SERVICE_NUM_ATTEMPTS",
                               "metadata_service_num_attempts", 1, MOST_ATTEMPTS);
    machine->without_token = !core_aws_setting_is_true(lookup, "AWS_EC2_METADATA_V1_DISABLED",
                                                       "ec2_metadata_v1_disabled");
    if (fetch_from_machine(machine, out)) {
        core_aws_keys_clear(out);
        core_aws_tried(lookup, "machine: '%s': %s", core_shown(url, shown), machine->why.cause);
    }
}

enum rc_code core_aws_from_machine(struct core_aws_lookup *lookup, struct core_aws_keys *out,
                                   struct rc_error *err)
{
    const char *disabled = core_aws_environment("AWS_EC2_METADATA_DISABLED");
    struct machine machine = { .lookup = lookup,
                               .token = RC_BUF_INIT(TOKEN_BYTES),
                               .why = RC_ERROR_INIT };

    if (disabled && strcasecmp(disabled, "true") == 0) {
        core_aws_tried(lookup, "machine: AWS_EC2_METADATA_DISABLED is set");
        return RC_OK;
    }
    core_http_answer_init(&machine.answer, REPLY_BYTES);
    find_in_machine(&machine, out);
    if (machine.answer.body.len > 0)
        explicit_bzero(machine.answer.body.data, machine.answer.body.len);
    core_http_answer_clear(&machine.answer);
    rc_buf_clear(&machine.token);
    /* No answer for want of time means nothing; being asked to stop does. */
    return out->access_key_id ? RC_OK : core_cancel_check(lookup->cancel, err);
}
