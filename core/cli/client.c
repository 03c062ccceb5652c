/*
 * Calls of the daemon's API by commands, and what they say where it refuses. What the API can do
 * is its own matter.
 */
#include <cli/client.h>

#include <cli/arguments.h>
#include <cli/output.h>
#include <runtime/spool.h>

#include <run-core/str.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ANSWER_BYTES = 32 * 1024 * 1024, PATH_BYTES = 4096, COMPLETE_MS = 1000 };

enum rc_code core_client_open(const struct core_arguments *arguments, struct core_client *out,
                              struct rc_error *err)
{
    CORE_PROBLEMS_AUTO(ignored); /* the daemon may have a configuration that has mistakes by now */

    *out = (struct core_client){ .arena = CORE_ARENA_INIT };
    core_http_answer_init(&out->answer, ANSWER_BYTES);
    out->config = core_config_load(core_arguments_config_path(arguments), &ignored);
    if (core_spool_socket(out->config, &out->socket_path, err))
        return rc_context(err, "find the daemon's socket");
    return RC_OK;
}

void core_client_close(struct core_client *client)
{
    free(client->socket_path);
    core_config_free(client->config);
    core_arena_clear(&client->arena);
    core_http_answer_clear(&client->answer);
}

/* ---- calls ----------------------------------------------------------------------------------- */

static enum rc_code explain(const struct core_client *client, struct rc_error *err)
{
    if (err->code == RC_UNAVAILABLE && client->answer.status)
        return rc_fail(err, RC_UNAVAILABLE,
                       "the daemon at '%s' broke off in the middle of its answer; it may have been "
                       "killed",
                       client->socket_path);
    if (err->code == RC_UNAVAILABLE)
        return rc_fail(err, RC_UNAVAILABLE,
                       "no daemon answers at '%s'; start it with 'run-core daemon', or name its "
                       "configuration with --config",
                       client->socket_path);
    if (err->code == RC_DENIED)
        return rc_fail(err, RC_DENIED,
                       "the daemon's socket '%s' may be used only by root and by the user of the "
                       "daemon",
                       client->socket_path);
    return err->code;
}

static enum rc_code call(struct core_client *client, struct core_http_call *call,
                         struct rc_error *err)
{
    static const struct core_http_header json = { "Content-Type", "application/json" };

    core_http_answer_clear(&client->answer);
    core_http_answer_init(&client->answer, ANSWER_BYTES);
    client->reply = NULL;
    call->name = "the daemon";
    call->socket_path = client->socket_path;
    call->headers = call->body ? &json : NULL;
    call->header_count = call->body ? 1 : 0;
    return core_http_call(call, &client->answer, err);
}

static void read_reply(struct core_client *client)
{
    const char *type = core_http_answer_header(&client->answer, "Content-Type");
    CORE_PROBLEMS_AUTO(ignored);

    if (type && rc_str_starts(type, "application/json"))
        client->reply = core_json_read(&client->arena, "reply", client->answer.body.data,
                                       client->answer.body.len, &ignored);
}

enum rc_code core_client_call(struct core_client *client, const char *method, const char *path,
                              const char *body, struct rc_error *err)
{
    RC_STR_AUTO url = rc_strf("http://localhost%s", path);
    struct core_http_call asked = {
        .method = method,
        .url = url,
        .body = body,
        .body_len = body ? strlen(body) : 0,
    };

    if (call(client, &asked, err))
        return explain(client, err);
    read_reply(client);
    return RC_OK;
}

/* A refusal is no stream: its body is kept, to be complained of. */
struct stream {
    struct core_client *client;
    enum rc_code (*on_body)(void *context, const char *data, size_t len, struct rc_error *err);
    void *context;
    bool ended_here; /* on_body would not go on, which is no failure of the daemon */
};

static enum rc_code take(void *context, const char *data, size_t len, struct rc_error *err)
{
    struct stream *stream = context;

    if (stream->client->answer.status < 300) {
        enum rc_code code = stream->on_body(stream->context, data, len, err);

        stream->ended_here = code != RC_OK;
        return code;
    }
    rc_buf_add(&stream->client->answer.body, data, len);
    return RC_OK;
}

enum rc_code core_client_stream(struct core_client *client, const char *path,
                                enum rc_code (*on_body)(void *context, const char *data, size_t len,
                                                        struct rc_error *err),
                                void *context, struct rc_error *err)
{
    RC_STR_AUTO url = rc_strf("http://localhost%s", path);
    struct stream stream = { .client = client, .on_body = on_body, .context = context };
    struct core_http_call asked = {
        .method = "GET",
        .url = url,
        .idle_ms = -1, /* a run may be silent for hours */
        .on_body = take,
        .context = &stream,
    };

    if (call(client, &asked, err))
        return stream.ended_here ? err->code : explain(client, err);
    read_reply(client);
    return RC_OK;
}

/* ---- answers --------------------------------------------------------------------------------- */

const char *core_client_text(const struct core_client *client, const char *key)
{
    return core_node_text(client->reply, key);
}

static int exit_status_of(const struct core_client *client)
{
    const char *code = core_client_text(client, "code");

    if (code && strcmp(code, rc_code_name(RC_SKIPPED)) == 0)
        return CORE_EXIT_SKIPPED;
    switch (client->answer.status) {
    case 400:
    case 404:
    case 422:
        return CORE_EXIT_USAGE;
    default:
        return CORE_EXIT_FAILED;
    }
}

/* The mistakes that the daemon found, each as 'check' writes it. */
static void print_problems(const struct core_node *problems)
{
    for (size_t i = 0; i < problems->len; i++) {
        const struct core_node *problem = problems->items[i];
        const char *file = core_node_text(problem, "file"), *line = core_node_text(problem, "line");
        const char *column = core_node_text(problem, "column"),
                   *message = core_node_text(problem, "message");

        if (line && column)
            (void)fprintf(stderr, "%s:%s:%s: %s\n", file ? file : "", line, column,
                          message ? message : "");
        else
            (void)fprintf(stderr, "%s: %s\n", file ? file : "", message ? message : "");
    }
}

int core_client_complain(const struct core_client *client)
{
    const struct core_node *problems = core_node_get(client->reply, "problems");
    const char *error = core_client_text(client, "error");
    struct rc_error err = RC_ERROR_INIT;

    if (problems && problems->kind == CORE_NODE_LIST && problems->len)
        print_problems(problems);
    if (error)
        (void)rc_fail(&err, RC_FAILED, "%s", error);
    else
        (void)rc_fail(&err, RC_FAILED, "the daemon answered with the status %u",
                      client->answer.status);
    (void)core_cli_complain(&err);
    return exit_status_of(client);
}

int core_client_ask(struct core_client *client, const char *method, const char *path,
                    const char *body)
{
    struct rc_error err = RC_ERROR_INIT;

    if (core_client_call(client, method, path, body, &err)) {
        (void)core_cli_complain(&err);
        return CORE_EXIT_FAILED;
    }
    return client->answer.status < 300 ? CORE_EXIT_OK : core_client_complain(client);
}

void core_client_add_path(struct rc_buf *out, const char *collection, const char *name,
                          const char *last)
{
    rc_buf_addf(out, "/api/v1/%s/", collection);
    rc_buf_add_url(out, name, strlen(name));
    if (last)
        rc_buf_addf(out, "/%s", last);
}

int core_client_print(const struct core_client *client, int status)
{
    return core_cli_print(&client->answer.body, status);
}

/* ---- completion ------------------------------------------------------------------------------ */

void core_client_complete_jobs(const struct core_arguments *arguments, struct rc_buf *out)
{
    core_command_run.complete(arguments, out);
}

void core_client_complete_runs(const struct core_arguments *arguments, bool only_active,
                               struct rc_buf *out)
{
    CORE_CLIENT_AUTO(client);
    struct rc_error err = RC_ERROR_INIT;
    struct core_http_call asked = {
        .url = only_active ? "http://localhost/api/v1/runs?limit=50&status=due,started"
                           : "http://localhost/api/v1/runs?limit=50",
        .connect_ms = COMPLETE_MS,
        .total_ms = COMPLETE_MS,
    };
    const struct core_node *runs;

    /* Where no daemon answers there is nothing to offer. */
    if (arguments->word_count > 0 || core_client_open(arguments, &client, &err) ||
        call(&client, &asked, &err))
        return;
    read_reply(&client);
    runs = core_node_get(client.reply, "runs");
    for (size_t i = 0; runs && runs->kind == CORE_NODE_LIST && i < runs->len; i++)
        rc_buf_addf(out, "%s\n", core_node_text(runs->items[i], "id"));
}
