/*
 * A plugin with HTTP routes: echoes, fails in all ways, counts in the state database, crashes.
 */
#include <run-core/plugin.h>

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

struct routes_config {
    const char *greeting;
};

static const struct rc_option routes_options[] = {
    { RC_STR("greeting", struct routes_config, greeting), .def = "hello",
      .help = "What the greeting says." },
    { 0 },
};

static void add_text(struct rc_buf *out, const char *key, const char *text)
{
    rc_buf_addf(out, "%s\"%s\":", out->len > 1 ? "," : "", key);
    if (text)
        rc_buf_add_json(out, text, strlen(text));
    else
        rc_buf_adds(out, "null");
}

static enum rc_code echo(struct rc_job *job, const void *config, struct rc_exchange *exchange,
                         struct rc_error *err)
{
    const struct routes_config *cfg = config;
    RC_BUF_AUTO(out, 2 << 20);
    size_t len;
    const char *body = rc_exchange_body(job, exchange, &len);

    rc_buf_addc(&out, '{');
    add_text(&out, "method", rc_exchange_method(job, exchange));
    add_text(&out, "path", rc_exchange_path(job, exchange));
    add_text(&out, "name", rc_exchange_param(job, exchange, "name"));
    add_text(&out, "q", rc_exchange_query(job, exchange, "q"));
    add_text(&out, "header", rc_exchange_header(job, exchange, "X-Test"));
    add_text(&out, "forwarded", rc_exchange_header(job, exchange, "X-Forwarded-Prefix"));
    add_text(&out, "greeting", cfg->greeting);
    rc_buf_addf(&out, ",\"body\":");
    rc_buf_add_json(&out, body, len);
    rc_buf_adds(&out, "}\n");
    if (rc_buf_check(&out, err))
        return err->code;
    rc_exchange_add_header(job, exchange, "X-Echo", "yes");
    rc_exchange_reply(job, exchange, 200, "application/json", out.data, out.len);
    return RC_OK;
}

/* The plainer of two paths that fit. */
static enum rc_code plain(struct rc_job *job, const void *config, struct rc_exchange *exchange,
                          struct rc_error *err)
{
    (void)config;
    (void)err;
    rc_exchange_reply(job, exchange, 200, "text/plain", "plain\n", 6);
    return RC_OK;
}

static enum rc_code fail(struct rc_job *job, const void *config, struct rc_exchange *exchange,
                         struct rc_error *err)
{
    int64_t code = 0;

    (void)config;
    if (!rc_parse_int(rc_exchange_param(job, exchange, "code"), &code) || code < 0 ||
        code > RC_SKIPPED)
        return rc_fail(err, RC_INVALID, "'%s' is no code",
                       rc_exchange_param(job, exchange, "code"));
    if (code == RC_OK)
        return RC_OK;
    return rc_fail(err, (enum rc_code)code, "asked to fail");
}

static enum rc_code count(struct rc_job *job, const void *config, struct rc_exchange *exchange,
                          struct rc_error *err)
{
    static const struct rc_migration migrations[] = {
        { 1, "CREATE TABLE visits (name TEXT PRIMARY KEY, visits BIGINT NOT NULL)" },
    };
    const struct rc_value params[] = {
        rc_value_text(rc_exchange_param(job, exchange, "name")),
    };
    struct rc_db *db;
    enum rc_code code;

    (void)config;
    if (rc_db_open(job, migrations, 1, &db, err))
        return rc_context(err, "open the state");
    code = rc_db_exec(job, db,
                      "INSERT INTO visits VALUES ($1, 1) "
                      "ON CONFLICT (name) DO UPDATE SET visits = visits.visits + 1",
                      params, 1, NULL, err);
    rc_db_close(job, db);
    return code;
}

static enum rc_code crash(struct rc_job *job, const void *config, struct rc_exchange *exchange,
                          struct rc_error *err)
{
    (void)job;
    (void)config;
    (void)exchange;
    (void)err;
    raise(SIGKILL);
    return RC_OK;
}

/* Until the request is cancelled. */
static enum rc_code wait(struct rc_job *job, const void *config, struct rc_exchange *exchange,
                         struct rc_error *err)
{
    const char *path; /* by which a test sees that it has begun */

    (void)config;
    (void)exchange;
    if (rc_job_temp_dir(job, &path, err))
        return err->code;
    while (rc_job_check(job, err) == RC_OK)
        (void)poll(NULL, 0, 10);
    return err->code;
}

/* Never looks whether it is cancelled. */
static enum rc_code hang(struct rc_job *job, const void *config, struct rc_exchange *exchange,
                         struct rc_error *err)
{
    const char *path;

    (void)config;
    (void)exchange;
    if (rc_job_temp_dir(job, &path, err))
        return err->code;
    for (;;)
        (void)pause();
}

static enum rc_code starter(struct rc_job *job, const void *config, struct rc_exchange *exchange,
                            struct rc_error *err)
{
    const char *text = job->by_daemon ? "daemon" : "request";

    (void)config;
    (void)err;
    rc_exchange_reply(job, exchange, 200, "text/plain", text, strlen(text));
    return RC_OK;
}

static enum rc_code idle(struct rc_job *job, const void *config, struct rc_error *err)
{
    (void)config;
    rc_job_count(job, "by_daemon", job->by_daemon);
    return rc_job_check(job, err);
}

static const struct rc_action routes_actions[] = {
    { .name = "idle", .summary = "Does nothing.", .run = idle },
    { 0 },
};

static const struct rc_route routes_routes[] = {
    { "GET", "/echo/{name}", "Says what it was asked.", echo },
    { "POST", "/echo/{name}", "Says what it was asked, with the body.", echo },
    { "GET", "/echo/plain", "Is found before the name.", plain },
    { "GET", "/fail/{code}", "Returns that code.", fail },
    { "POST", "/count/{name}", "Counts in the state database.", count },
    { "GET", "/wait", "Waits until it is cancelled.", wait },
    { "GET", "/hang", "Never ends.", hang },
    { "POST", "/crash", "Ends its process.", crash },
    { "GET", "/starter", "Says who has started this.", starter },
    { 0 },
};

static const struct rc_plugin routes_plugin = {
    RC_PLUGIN_HEAD,
    .name = "routes",
    .version = "1.0",
    .summary = "Has HTTP routes.",
    .options = routes_options,
    .config_size = sizeof(struct routes_config),
    .actions = routes_actions,
    .routes = routes_routes,
};
RC_PLUGIN_EXPORT(routes_plugin)
