/*
 * Makes a request as it is told to, and says what came back.
 */
#include <run-core/plugin.h>

struct config {
    const char *url, *method, *body, *secret, *type, *user, *password, *credentials;
    int64_t limit_bytes, count, redirects;
    int auth;
    bool repeat, secret_url, reads_only;
};

static const char *const ways[] = { "any", "basic", "digest", "google", NULL };

static const struct rc_option options[] = {
    { RC_STR("url", struct config, url), .flags = RC_OPT_REQUIRED, .help = "What is asked for." },
    { RC_STR("method", struct config, method), .help = "How." },
    { RC_STR("body", struct config, body), .help = "What is sent." },
    { RC_STR("secret", struct config, secret), .flags = RC_OPT_SECRET,
      .help = "Sent in the header X-Secret." },
    { RC_STR("type", struct config, type), .help = "Content-Type." },
    { RC_STR("user", struct config, user), .help = "Who asks." },
    { RC_STR("password", struct config, password), .help = "No secret to the option table." },
    { RC_ENUM("auth", struct config, auth, ways), .def = "any", .help = "How he proves it." },
    { RC_STR("credentials", struct config, credentials), .help = "Whose token is sent." },
    { RC_BYTES("limit", struct config, limit_bytes), .def = "1MiB", .help = "Longest answer." },
    { RC_INT("count", struct config, count), .def = "1", .help = "How often." },
    { RC_INT("redirects", struct config, redirects), .def = "0", .help = "At most." },
    { RC_BOOL("repeat", struct config, repeat), .def = "false", .help = "Safe to repeat." },
    { RC_BOOL("secret_url", struct config, secret_url), .def = "false", .help = "Hide the path." },
    { RC_BOOL("reads_only", struct config, reads_only), .def = "false",
      .help = "Changes nothing." },
    { 0 },
};

enum { HEADERS = 2 };

static struct rc_http_request request_of(const struct config *cfg,
                                         struct rc_http_header headers[HEADERS])
{
    size_t count = 0;

    if (cfg->type)
        headers[count++] = (struct rc_http_header){ "Content-Type", cfg->type };
    if (cfg->secret)
        headers[count++] = (struct rc_http_header){ "X-Secret", cfg->secret };
    return (struct rc_http_request){
        .struct_bytes = sizeof(struct rc_http_request),
        .name = "the test's request",
        .method = cfg->method,
        .url = cfg->url,
        .headers = headers,
        .header_count = count,
        .body = cfg->body,
        .body_len = cfg->body ? strlen(cfg->body) : 0,
        .redirects = (unsigned)cfg->redirects,
        .user = cfg->user,
        .password = cfg->password,
        .auth = cfg->auth,
        .credentials = cfg->credentials,
        .flags = (cfg->repeat ? RC_HTTP_SAFE_TO_REPEAT : 0u) |
                 (cfg->secret_url ? RC_HTTP_SECRET_URL : 0u) |
                 (cfg->reads_only ? RC_HTTP_READS_ONLY : 0u),
    };
}

static void say(struct rc_job *job, const struct rc_http_answer *answer)
{
    const char *type = rc_http_answer_header(answer, "content-type");
    RC_STR_AUTO text =
        rc_strf("status=%u attempts=%u type=%s length=%zu body=%.100s", answer->status,
                answer->attempts, type ? type : "none", answer->body.len, answer->body.data);

    rc_job_say(job, text);
}

static enum rc_code call_once(struct rc_job *job, void *context, size_t index, struct rc_error *err)
{
    const struct config *cfg = context;
    struct rc_http_header headers[HEADERS];
    const struct rc_http_request request = request_of(cfg, headers);
    RC_HTTP_ANSWER_AUTO(answer, (size_t)cfg->limit_bytes);

    (void)index;
    if (rc_http_call(job, &request, &answer, err))
        return rc_context(err, "ask");
    say(job, &answer);
    return RC_OK;
}

static enum rc_code call(struct rc_job *job, const void *config, struct rc_error *err)
{
    struct config cfg = *(const struct config *)config;

    return rc_parallel(job, 4, (size_t)cfg.count, call_once, &cfg, err);
}

static enum rc_code read_all(struct rc_job *job, struct rc_http_stream *stream,
                             struct rc_error *err)
{
    char data[5000];
    int64_t bytes = 0;
    size_t len;

    do {
        if (rc_http_read(job, stream, data, sizeof(data), &len, err))
            return rc_context(err, "read on after %lld bytes", (long long)bytes);
        bytes += (int64_t)len;
    } while (len > 0);
    RC_STR_AUTO text = rc_strf("streamed=%lld", (long long)bytes);
    rc_job_say(job, text);
    return RC_OK;
}

static enum rc_code open_stream(struct rc_job *job, const struct config *cfg,
                                struct rc_http_stream **out, struct rc_error *err)
{
    struct rc_http_header headers[HEADERS];
    const struct rc_http_request request = request_of(cfg, headers);
    RC_HTTP_ANSWER_AUTO(answer, (size_t)cfg->limit_bytes);

    if (rc_http_open(job, &request, &answer, out, err))
        return rc_context(err, "ask");
    say(job, &answer);
    return RC_OK;
}

static enum rc_code stream(struct rc_job *job, const void *config, struct rc_error *err)
{
    struct rc_http_stream *opened = NULL;
    enum rc_code code = open_stream(job, config, &opened, err);

    if (!code && opened)
        code = read_all(job, opened, err);
    rc_http_close(job, opened);
    return code;
}

static enum rc_code leak(struct rc_job *job, const void *config, struct rc_error *err)
{
    static struct rc_http_stream *opened;

    return open_stream(job, config, &opened, err);
}

static enum rc_code careless(struct rc_job *job, const void *config, struct rc_error *err)
{
    const struct rc_http_request request = { .url = ((const struct config *)config)->url };
    RC_HTTP_ANSWER_AUTO(answer, 100);

    return rc_http_call(job, &request, &answer, err);
}

/* As built with ABI 1.4, to which the request ended here: what lies behind it is no user. */
static enum rc_code older(struct rc_job *job, const void *config, struct rc_error *err)
{
    const struct config *cfg = config;
    struct rc_http_header headers[HEADERS];
    struct rc_http_request request = request_of(cfg, headers);
    RC_HTTP_ANSWER_AUTO(answer, (size_t)cfg->limit_bytes);

    request.struct_bytes = offsetof(struct rc_http_request, user);
    memset((char *)&request + request.struct_bytes, 0xa5, sizeof(request) - request.struct_bytes);
    if (rc_http_call(job, &request, &answer, err))
        return rc_context(err, "ask");
    say(job, &answer);
    return RC_OK;
}

static const struct rc_action actions[] = {
    { .name = "call", .summary = "Asks, and says the answer.", .run = call },
    { .name = "stream", .summary = "The same, reading piece by piece.", .run = stream },
    { .name = "leak", .summary = "Forgets to close the stream.", .run = leak },
    { .name = "older", .summary = "Asks with an older request.", .run = older },
    { .name = "careless", .summary = "Forgets the size of its request.", .run = careless },
    { 0 },
};

static const struct rc_plugin web = {
    RC_PLUGIN_HEAD,     .name = "web",
    .version = "1.0",   .summary = "Makes a request.",
    .options = options, .config_size = sizeof(struct config),
    .actions = actions,
};
RC_PLUGIN_EXPORT(web)
