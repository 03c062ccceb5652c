/*
 * Begins further runs of itself, from an action and from a route, and says who asks.
 */
#include <run-core/plugin.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct settings {
    const char *greeting, *folder, *password;
    int64_t depth;
};

static const struct rc_option options[] = {
    { RC_STR("greeting", struct settings, greeting), .def = "hello", .help = "A word." },
    { RC_STR("folder", struct settings, folder), .help = "Where 'work' leaves its file." },
    { RC_STR("password", struct settings, password), .flags = RC_OPT_SECRET, .help = "A secret." },
    { RC_INT("nested.depth", struct settings, depth), .def = "1", .help = "A number." },
    { 0 },
};

/* ---- the work -------------------------------------------------------------------------------- */

struct work_params {
    const char *mark, *until;
    int64_t wait_ms;
    bool fails, crashes;
};

static const struct rc_option work_params[] = {
    { RC_STR("mark", struct work_params, mark), .def = "none", .help = "Goes into the file." },
    { RC_MS("wait", struct work_params, wait_ms), .def = "0", .min = 0, .max = 60000,
      .help = "How long it takes." },
    { RC_STR("until", struct work_params, until), .help = "A file that it waits for." },
    { RC_BOOL("fails", struct work_params, fails), .def = "false", .help = "Whether it fails." },
    { RC_BOOL("crashes", struct work_params, crashes), .def = "false",
      .help = "Whether it crashes." },
    { 0 },
};

static enum rc_code wait_for(struct rc_job *job, int64_t ms, const char *file, struct rc_error *err)
{
    const struct timespec pause = { .tv_nsec = 10 * 1000000 };

    for (; ms > 0 || (file && access(file, F_OK)); ms -= 10) {
        if (rc_job_check(job, err))
            return err->code;
        nanosleep(&pause, NULL);
    }
    return RC_OK;
}

static enum rc_code work(struct rc_job *job, const void *config, struct rc_error *err)
{
    const struct settings *settings = config;
    const struct work_params *params = job->params;
    RC_BUF_AUTO(uri, 4096);
    RC_BUF_AUTO(text, 4096);

    rc_info(job, "at work on '%s'", params->mark);
    rc_job_say(job, "some work is done");
    rc_job_count(job, "worked", 1);
    rc_buf_addf(&uri, "file://%s/%s", settings->folder, job->run_id);
    rc_buf_addf(&text, "%s %s %s %" PRId64 " %s\n", settings->greeting, params->mark,
                settings->password ? settings->password : "-", settings->depth,
                job->name ? job->name : "-");
    if (rc_storage_put(job, uri.data, text.data, text.len, NULL, err) ||
        wait_for(job, params->wait_ms, params->until, err))
        return err->code;
    if (params->crashes)
        __builtin_trap();
    return params->fails ? rc_fail(err, RC_FAILED, "as it was told to") : RC_OK;
}

/* ---- beginning it ---------------------------------------------------------------------------- */

struct begin_params {
    const char *action, *mark, *until;
    int64_t wait_ms, count;
};

static const struct rc_option begin_params[] = {
    { RC_STR("what", struct begin_params, action), .def = "work", .help = "The action." },
    { RC_STR("with", struct begin_params, mark), .def = "begun", .help = "Its mark." },
    { RC_MS("takes", struct begin_params, wait_ms), .def = "0", .min = 0, .max = 60000,
      .help = "How long each takes." },
    { RC_STR("until", struct begin_params, until), .help = "A file that each waits for." },
    { RC_INT("count", struct begin_params, count), .def = "1", .min = 1, .max = 100,
      .help = "How many." },
    { 0 },
};

static enum rc_code begin(struct rc_job *job, const void *config, struct rc_error *err)
{
    const struct begin_params *params = job->params;
    char wait[32];
    const struct rc_pair pairs[] = { { "mark", params->mark },
                                     { "wait", wait },
                                     { "until", params->until } };

    (void)config;
    (void)snprintf(wait, sizeof(wait), "%" PRId64 "ms", params->wait_ms);
    for (int64_t i = 0; i < params->count; i++) {
        char run_id[RC_RUN_ID_TEXT];

        if (rc_job_submit(job, params->action, pairs, params->until ? 3 : 2, run_id, err))
            return err->code;
        rc_job_say(job, *run_id ? run_id : "none");
    }
    return RC_OK;
}

static const struct rc_action actions[] = {
    { .name = "work",
      .summary = "Leaves a file.",
      .params = work_params,
      .params_size = sizeof(struct work_params),
      .run = work },
    { .name = "begin",
      .summary = "Begins further runs.",
      .params = begin_params,
      .params_size = sizeof(struct begin_params),
      .run = begin },
    { 0 },
};

/* ---- routes ---------------------------------------------------------------------------------- */

/* The query "ACTION" is the last of the path; each "name" of a few is a parameter. */
static enum rc_code begin_for(struct rc_job *job, const void *config, struct rc_exchange *exchange,
                              struct rc_error *err)
{
    static const char *const names[] = { "mark", "wait", "until", "fails", "crashes", "other" };
    struct rc_pair pairs[RC_ARRAY_LEN(names)];
    char run_id[RC_RUN_ID_TEXT];
    size_t count = 0;

    (void)config;
    for (size_t i = 0; i < RC_ARRAY_LEN(names); i++) {
        const char *value = rc_exchange_query(job, exchange, names[i]);

        if (value)
            pairs[count++] = (struct rc_pair){ names[i], value };
    }
    if (rc_job_submit(job, rc_exchange_param(job, exchange, "action"), pairs, count, run_id, err))
        return err->code;
    rc_exchange_reply(job, exchange, 200, "text/plain", run_id, strlen(run_id));
    return RC_OK;
}

static enum rc_code who(struct rc_job *job, const void *config, struct rc_exchange *exchange,
                        struct rc_error *err)
{
    const char *token = rc_exchange_header(job, exchange, "Authorization");
    RC_BUF_AUTO(text, 4096);

    (void)config;
    rc_buf_addf(&text, "%s %s", rc_exchange_is_local(job, exchange) ? "local" : "elsewhere",
                token ? token : "-");
    rc_exchange_reply(job, exchange, 200, "text/plain", text.data, text.len);
    return rc_buf_check(&text, err);
}

static const struct rc_route routes[] = {
    { .method = "POST",
      .path = "/begin/{action}",
      .summary = "Begins a run.",
      .handle = begin_for },
    { .method = "GET", .path = "/who", .summary = "Says who asks.", .handle = who },
    { 0 },
};

static const struct rc_plugin plugin = {
    RC_PLUGIN_HEAD,     .name = "submit",
    .version = "1.0",   .summary = "Begins runs, for tests.",
    .options = options, .config_size = sizeof(struct settings),
    .actions = actions, .routes = routes,
};
RC_PLUGIN_EXPORT(plugin)
