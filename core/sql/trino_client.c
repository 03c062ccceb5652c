/*
 * The statement protocol of Trino: a statement is sent, then its pages are fetched one after the
 * other from where the last one points to, and it is deleted there when nobody wants more of it.
 * What pages and headers mean is the work of trino_messages.c and trino_headers.c.
 */
#include <sql/trino_client.h>
#include <sql/trino_text.h>

#include <base/url.h>
#include <os/clock.h>

#include <run-core/str.h>

#include <stdlib.h>
#include <string.h>

enum {
    PATIENCE_MS = 2 * 60 * 1000,
    SILENCE_MS = 60 * 1000, /* the server says something every second */
    END_MS = 2 * 1000,      /* of each attempt: a run that is to stop has not much time */
    END_ATTEMPTS = 3,
    HEADERS_BYTES = 256 * 1024,
    URL_BYTES = 16 * 1024,
};

/* A server aims at 1 MiB, and at one row where that is longer. */
static const size_t page_bytes = (size_t)256 << 20;

struct core_trino_client {
    struct core_presto *session;
    struct core_http_client *http;
    struct core_trino_headers headers;
    char *url;  /* of statements */
    char *name; /* for errors */
    struct core_trino_limits limits;
    bool direct; /* a proxy is another machine, which plain credentials do not go to */
};

/* ---- opening --------------------------------------------------------------------------------- */

static bool is_secret(const struct core_engine_settings *settings)
{
    return settings->password || settings->token || settings->extra_credentials.len > 0;
}

const char *core_trino_settings_fault(const struct core_engine_settings *settings)
{
    bool is_loopback;

    if (!settings->url)
        return "'url' is missing: the address of the coordinator, such as "
               "https://trino.example.org:8443";
    if (!rc_str_starts(settings->url, "http://") && !rc_str_starts(settings->url, "https://"))
        return "'url' is no http or https URL";
    if (strpbrk(settings->url, "?#@"))
        return "'url' is without user, query and fragment; give 'user' and 'password' apart";
    if (settings->password && settings->token)
        return "both 'password' and 'token' are given, and one of them proves the user";
    if (is_secret(settings) && !core_url_is_private(settings->url, &is_loopback))
        return "credentials are sent by https alone, or to this machine itself; use an https 'url'";
    return core_trino_headers_fault(settings);
}

enum rc_code core_trino_client_new(struct core_presto *session,
                                   const struct core_trino_limits *limits,
                                   struct core_trino_client **out, struct rc_error *err)
{
    const struct core_engine_settings *settings = session->context.settings;
    const char *fault = core_trino_settings_fault(settings);
    struct core_trino_client *client;
    bool is_loopback;
    size_t len;

    if (fault)
        return rc_fail(err, RC_INVALID, "%s", fault);
    len = strlen(settings->url);
    while (len > 0 && settings->url[len - 1] == '/')
        len--;
    RC_STR_AUTO shown = core_url_public(settings->url);
    client = rc_calloc(1, sizeof(*client));
    client->session = session;
    if (limits)
        client->limits = *limits;
    if (!client->limits.patience_ms)
        client->limits.patience_ms = PATIENCE_MS;
    if (!client->limits.page_bytes)
        client->limits.page_bytes = page_bytes;
    client->url = rc_strf("%.*s/v1/statement", (int)len, settings->url);
    client->name = rc_strf("Trino at '%s'", shown);
    client->direct =
        is_secret(settings) && core_url_is_private(settings->url, &is_loopback) && is_loopback;
    client->http = core_http_client_new(&(const struct core_http_client_settings){
        .ca_file = settings->ca_file,
        .proxy = settings->proxy,
        .backoff_ms = client->limits.backoff_ms,
        .record = session->context.record,
        .record_context = session->context.record_context,
    });
    core_trino_headers_init(&client->headers, settings, session->context.session);
    *out = client;
    return RC_OK;
}

void core_trino_client_free(struct core_trino_client *client)
{
    if (!client)
        return;
    core_trino_headers_clear(&client->headers);
    core_http_client_free(client->http);
    free(client->url);
    free(client->name);
    free(client);
}

struct core_trino_headers *core_trino_client_headers(struct core_trino_client *client)
{
    return &client->headers;
}

/* ---- one request ----------------------------------------------------------------------------- */

static enum rc_code prepare(void *context, struct core_http_draft *draft, struct rc_error *err)
{
    const struct rc_buf *headers = context;

    (void)err;
    rc_buf_add(&draft->headers, headers->data, headers->len);
    return RC_OK;
}

/* All answers are judged here, once the request is over. */
static enum core_http_verdict accept(void *context, const struct core_http_answer *answer)
{
    (void)context;
    (void)answer;
    return CORE_HTTP_ACCEPT;
}

/* An answer that asks to come back later; one without a page comes from a server that starts. */
static bool is_busy(const struct core_http_answer *answer)
{
    return answer->status == 429 || answer->status == 502 || answer->status == 503 ||
           answer->status == 504 || (answer->status == 200 && answer->body.len == 0);
}

/* The headers are all there, or nothing is sent. */
static enum rc_code check_headers(const struct rc_buf *headers, struct rc_error *err)
{
    if (rc_buf_check(headers, err))
        return rc_context(err, "tell Trino 'token', 'session', 'roles', 'client_tags' and what "
                               "was prepared, which is more than a server takes");
    return RC_OK;
}

/* What is left of the time for the statement; 0: there is no limit. */
static enum rc_code remaining(const struct core_trino_statement *statement, int64_t *out,
                              struct rc_error *err)
{
    int64_t limit_ms = statement->client->session->context.settings->query_timeout_ms;
    char text[RC_AMOUNT_TEXT];

    *out = limit_ms > 0 ? limit_ms - statement->waited_ms : 0;
    if (limit_ms > 0 && *out <= 0)
        return rc_fail(err, RC_TIMEOUT, "the statement was not done within %s, its 'query_timeout'",
                       rc_format_duration(limit_ms, text));
    return RC_OK;
}

/* Of one attempt, while what tidies up has a limit, too; 0: there is none. */
static int64_t attempt_ms(const struct core_presto *session, int64_t left_ms)
{
    int64_t tidy_ms = session->until_mono_ms - core_clock_mono_ms();

    if (!session->until_mono_ms || (left_ms && left_ms < tidy_ms))
        return left_ms;
    return tidy_ms > 1 ? tidy_ms : 1;
}

/*
 * Makes the call once, of which an answer that was lost is RC_UNAVAILABLE or RC_TIMEOUT. A request
 * of which the server has seen nothing is made again at once.
 */
static enum rc_code try_once(struct core_trino_statement *statement, struct core_http_call *call,
                             struct rc_error *err)
{
    struct core_presto *session = statement->client->session;
    int64_t left_ms, began_mono_ms = core_clock_mono_ms();
    enum rc_code code;

    if (core_presto_check(session, err) || remaining(statement, &left_ms, err))
        return err->code;
    call->total_ms = attempt_ms(session, left_ms);
    rc_buf_reset(&statement->answer.body);
    rc_buf_reset(&statement->answer.headers);
    code = core_http_call(call, &statement->answer, err);
    statement->waited_ms += core_clock_mono_ms() - began_mono_ms;
    return code;
}

/* Whether it makes sense to make the call again, after an error or an answer. */
static bool may_pass(struct core_trino_statement *statement, enum rc_code code)
{
    struct rc_error ignored = RC_ERROR_INIT;
    int64_t left_ms;

    if (core_presto_check(statement->client->session, &ignored) ||
        remaining(statement, &left_ms, &ignored))
        return false;
    if (code)
        return code == RC_UNAVAILABLE || code == RC_TIMEOUT;
    return is_busy(&statement->answer);
}

/* What ends a statement is told in its own words, not in those of a request. */
static enum rc_code explain(struct core_trino_statement *statement, struct rc_error *err)
{
    struct core_trino_client *client = statement->client;
    struct rc_error end = RC_ERROR_INIT;
    char size[RC_AMOUNT_TEXT];
    int64_t left_ms;

    if (core_presto_check(client->session, &end) || remaining(statement, &left_ms, &end))
        *err = end;
    else if (err->code == RC_TOO_LARGE)
        return rc_fail(
            err, RC_TOO_LARGE,
            "%s: a part of the result has more than %s, as has a single row; select less",
            client->name, rc_format_size((int64_t)client->limits.page_bytes, size));
    return err->code;
}

/* Until there is an answer that is none of a busy server, or patience ends. */
static enum rc_code request(struct core_trino_statement *statement, struct core_http_call *call,
                            struct rc_error *err)
{
    struct core_trino_client *client = statement->client;
    int64_t until_mono_ms = core_clock_mono_ms() + client->limits.patience_ms, pause_ms;
    const struct core_presto *session = client->session;
    enum rc_code code;

    if (session->until_mono_ms && session->until_mono_ms < until_mono_ms)
        until_mono_ms = session->until_mono_ms;

    for (int64_t failures = 1;; failures++) {
        code = try_once(statement, call, err);
        if (!may_pass(statement, code) || core_clock_mono_ms() >= until_mono_ms)
            break;
        pause_ms =
            code ? -1 : core_http_answer_retry_ms(&statement->answer, core_clock_real_unix_ms());
        if (core_clock_mono_ms() + pause_ms > until_mono_ms)
            break;
        if (core_http_back_off(client->http, failures, pause_ms, call->cancel, err)) {
            code = err->code;
            break;
        }
    }
    return code ? explain(statement, err) : RC_OK;
}

/* ---- answers --------------------------------------------------------------------------------- */

static void note_headers(struct core_trino_client *client, const struct core_http_answer *answer)
{
    const char *at = answer->headers.data, *end = at + answer->headers.len;

    while (at < end) {
        const char *value = at + strlen(at) + 1;

        core_trino_headers_note(&client->headers, at, value);
        at = value + strlen(value) + 1;
    }
}

/* An answer that has no page. */
static enum rc_code refuse(struct core_trino_statement *statement, struct rc_error *err)
{
    const struct core_http_answer *answer = &statement->answer;
    const char *location = core_http_answer_header(answer, "location");
    const char *name = statement->client->name;
    unsigned status = answer->status;
    RC_BUF_AUTO(said, 2048);

    core_trino_add_shown(&said, answer->body.data, answer->body.len);
    if (status / 100 == 3 && location) {
        RC_STR_AUTO shown = core_url_public(location);
        return rc_fail(err, RC_INVALID,
                       "%s: HTTP %u: it redirects to '%s', where credentials are not sent; if that "
                       "is the server, make it the engine's 'url'",
                       name, status, shown);
    }
    if (status == 401 || status == 403)
        return rc_fail(err, RC_DENIED, "%s: HTTP %u: %s; look at 'user', 'password' and 'token'",
                       name, status, said.len ? said.data : "the user is not let in");
    if (is_busy(answer))
        return rc_fail(err, RC_UNAVAILABLE, "%s: HTTP %u: %s", name, status,
                       said.len ? said.data : "the answer is empty");
    if (statement->id && (status == 404 || status == 410))
        return rc_fail(err, RC_UNAVAILABLE,
                       "%s: HTTP %u: it does not know the statement any more; the server may have "
                       "started anew",
                       name, status);
    if (status == 404 || status == 405)
        return rc_fail(err, RC_INVALID,
                       "%s: HTTP %u: it takes no statements; is 'url' that of a coordinator?", name,
                       status);
    return rc_fail(err, status >= 500 ? RC_UNAVAILABLE : RC_INVALID, "%s: HTTP %u: %s", name,
                   status, said.len ? said.data : "it says nothing more");
}

/* Where the next page is has to be the same server: credentials go there. */
static enum rc_code check_next(const struct core_trino_client *client, const char *uri,
                               struct rc_error *err)
{
    const char *host = strstr(uri, "://");
    size_t host_len = host ? strcspn(host + strlen("://"), "/?#") : 0;

    if (host && core_http_same_origin(uri, client->url) && strlen(uri) < URL_BYTES &&
        !memchr(host + strlen("://"), '@', host_len) && !strchr(uri, '\\'))
        return RC_OK;
    RC_STR_AUTO shown = core_url_public(uri);
    return rc_fail(
        err, RC_INVALID,
        "%s: the result is said to go on at '%.200s', which is another server; let 'url' "
        "be the server's name for itself, or have it heed the headers of the proxy in "
        "front of it (http-server.process-forwarded)",
        client->name, shown);
}

static void replace(char **text, const char *value)
{
    free(*text);
    *text = rc_strdup(value);
}

static void tell_begin(struct core_trino_statement *statement)
{
    if (statement->was_told || !statement->id)
        return;
    statement->was_told = true;
    core_presto_say(statement->client->session, RC_LOG_DEBUG, "Trino runs query %s: %s",
                    statement->id, statement->info_uri ? statement->info_uri : "no page of it");
}

static void tell(struct core_trino_statement *statement)
{
    const struct core_trino_page *page = &statement->page;
    const struct core_sql_context *context = &statement->client->session->context;

    tell_begin(statement);
    if (page->processed_bytes > statement->processed_bytes)
        statement->processed_bytes = page->processed_bytes;
    if (context->on_progress && page->progress >= 0)
        context->on_progress(context->progress_context, page->progress);
    for (size_t i = 0; !page->next_uri && i < page->warning_count; i++)
        core_presto_say(statement->client->session, RC_LOG_WARN, "Trino: %s", page->warnings[i]);
}

/* Reads the page that came. */
static enum rc_code take_page(struct core_trino_statement *statement, struct rc_error *err)
{
    struct core_trino_page *page = &statement->page;
    const struct rc_buf *body = &statement->answer.body;

    core_arena_clear(&statement->arena);
    *page = (struct core_trino_page){ .id = NULL };
    if (statement->answer.status != 200 || body->len == 0)
        return refuse(statement, err);
    if (core_trino_page_read(&statement->arena, body->data, body->len, page, err))
        return rc_context(err, "%s", statement->client->name);
    replace(&statement->id, page->id);
    if (page->info_uri)
        replace(&statement->info_uri, page->info_uri);
    note_headers(statement->client, &statement->answer);
    tell(statement);
    if (page->failed) {
        replace(&statement->next_uri, NULL);
        return core_trino_fail(&page->failure, statement->client->session->context.settings, err);
    }
    if (page->next_uri && check_next(statement->client, page->next_uri, err))
        return err->code;
    replace(&statement->next_uri, page->next_uri);
    return RC_OK;
}

/* ---- statements ------------------------------------------------------------------------------ */

static enum rc_code in_query(const struct core_trino_statement *statement, struct rc_error *err)
{
    if (!statement->id)
        return err->code;
    if (!statement->info_uri)
        return rc_context(err, "query %s", statement->id);
    return rc_context(err, "query %s (%s)", statement->id, statement->info_uri);
}

static struct core_http_call call_of(const struct core_trino_client *client, const char *method,
                                     const char *url, struct rc_buf *headers)
{
    return (struct core_http_call){
        .name = client->name,
        .method = method,
        .url = url,
        .idle_ms = SILENCE_MS,
        .direct = client->direct,
        .cancel = &client->session->stop,
        .client = client->http,
        .attempts = 1,
        .prepare = prepare,
        .judge = accept,
        .context = headers,
    };
}

static struct core_trino_statement *statement_new(struct core_trino_client *client)
{
    struct core_trino_statement *statement = rc_calloc(1, sizeof(*statement));

    statement->client = client;
    core_http_answer_init(&statement->answer, client->limits.page_bytes);
    return statement;
}

/* A server that starts takes statements, to fail them at once. */
static bool is_starting(const struct core_trino_statement *statement)
{
    const struct core_trino_page *page = &statement->page;

    return page->failed && rc_str_eq(page->failure.name, "SERVER_STARTING_UP");
}

/* Sends the statement and reads its first page, again as long as the server starts. */
static enum rc_code begin(struct core_trino_statement *statement, struct core_http_call *call,
                          struct rc_error *err)
{
    struct core_trino_client *client = statement->client;
    int64_t until_mono_ms = core_clock_mono_ms() + client->limits.patience_ms;

    for (int64_t failures = 1;; failures++) {
        statement->page = (struct core_trino_page){ .id = NULL };
        if (!request(statement, call, err) && !take_page(statement, err))
            return RC_OK;
        if (!is_starting(statement) || !may_pass(statement, err->code) ||
            core_clock_mono_ms() >= until_mono_ms)
            return err->code;
        replace(&statement->id, NULL);
        replace(&statement->info_uri, NULL);
        if (core_http_back_off(client->http, failures, -1, call->cancel, err))
            return err->code;
    }
}

enum rc_code core_trino_start(struct core_trino_client *client, const char *text,
                              struct core_trino_statement **out, struct rc_error *err)
{
    static const char type[] = "Content-Type\0text/plain; charset=utf-8";
    struct core_trino_statement *statement = statement_new(client);
    RC_BUF_AUTO(headers, HEADERS_BYTES);
    struct core_http_call call = call_of(client, "POST", client->url, &headers);

    *out = NULL;
    core_trino_headers_add(&client->headers, &headers);
    rc_buf_add(&headers, type, sizeof(type));
    call.body = text;
    call.body_len = strlen(text);
    call.attempts = 0; /* of what the server has seen nothing of */
    if (check_headers(&headers, err) || begin(statement, &call, err)) {
        (void)in_query(statement, err);
        core_trino_end(statement);
        explicit_bzero(headers.data, headers.len);
        return err->code;
    }
    explicit_bzero(headers.data, headers.len);
    *out = statement;
    return RC_OK;
}

enum rc_code core_trino_next(struct core_trino_statement *statement, struct rc_error *err)
{
    RC_BUF_AUTO(headers, HEADERS_BYTES);
    struct core_http_call call = call_of(statement->client, "GET", statement->next_uri, &headers);
    enum rc_code code;

    RC_ASSERT(statement->next_uri);
    core_trino_headers_add_short(&statement->client->headers, &headers);
    code = request(statement, &call, err);
    explicit_bzero(headers.data, headers.len);
    if (code || take_page(statement, err))
        return in_query(statement, err);
    return RC_OK;
}

/* The wish to stop does not end this, which is what came of it; a limit of time does. */
static void give_up(struct core_trino_statement *statement)
{
    RC_BUF_AUTO(headers, HEADERS_BYTES);
    struct core_http_call call =
        call_of(statement->client, "DELETE", statement->next_uri, &headers);
    struct rc_error err = RC_ERROR_INIT;
    unsigned status;
    enum rc_code code;

    core_trino_headers_add_short(&statement->client->headers, &headers);
    call.cancel = NULL;
    call.total_ms = END_MS;
    call.idle_ms = END_MS;
    call.connect_ms = END_MS;
    call.attempts = END_ATTEMPTS;
    call.judge = NULL;
    rc_buf_reset(&statement->answer.body);
    rc_buf_reset(&statement->answer.headers);
    code = core_http_call(&call, &statement->answer, &err);
    status = statement->answer.status;
    /* One that is not known any more has ended by itself. */
    if (!code && status / 100 != 2 && status != 404 && status != 410)
        code = rc_fail(&err, RC_UNAVAILABLE, "HTTP %u", status);
    if (code)
        core_presto_say(statement->client->session, RC_LOG_WARN,
                        "the query %s may go on for some minutes, as it could not be ended: %s",
                        statement->id, err.cause);
    explicit_bzero(headers.data, headers.len);
}

void core_trino_end(struct core_trino_statement *statement)
{
    const struct core_sql_context *context;

    if (!statement)
        return;
    context = &statement->client->session->context;
    if (statement->next_uri)
        give_up(statement);
    if (context->on_scanned && statement->id)
        context->on_scanned(context->scanned_context, statement->processed_bytes, 0);
    core_http_answer_clear(&statement->answer);
    core_arena_clear(&statement->arena);
    free(statement->id);
    free(statement->info_uri);
    free(statement->next_uri);
    free(statement);
}
