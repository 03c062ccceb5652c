/*
 * What may be asked of the supervisor: a run by hand, an end to one, pauses, a reload.
 */
#include <api/call.h>

#include <config/json.h>
#include <os/clock.h>
#include <runtime/binding.h>
#include <runtime/image.h>
#include <runtime/output.h>

#include <run-core/log.h>
#include <run-core/str.h>

#include <string.h>

const struct rc_option core_trigger_options[] = {
    { RC_MAP("set", struct core_trigger_body, set),
      .help = "Options of the plugin and parameters of the action, above those of the "
              "configuration. A string means what it means in --set." },
    { RC_BOOL("force", struct core_trigger_body, force), .def = "false",
      .help = "Runs although another run of the job is under way." },
    { 0 },
};

/* ---- a run by hand --------------------------------------------------------------------------- */

/*
 * Whether a run with these values would have a configuration, by the rules of 'check'; but the
 * plugin's own check() is code of the plugin's, and left to the run.
 */
static void check_values(const struct core_config *config, const struct core_job_settings *job,
                         const struct core_node *set, struct core_arena *arena,
                         struct core_problems *problems)
{
    RC_CLEANUP(core_image_close) struct core_image image = CORE_IMAGE_INIT;
    const struct core_binding_source source = {
        .config = config,
        .set = set,
        .job = job,
        .plugin = core_config_plugin(config, job->plugin),
    };
    struct rc_error err = RC_ERROR_INIT;
    struct core_binding binding;
    const struct core_action *action;
    struct core_plugin plugin;
    RC_STR_AUTO file = NULL;

    if (core_plugin_find(config, job->plugin, &file, &err) || core_image_open(file, &image, &err)) {
        core_problem_add(problems, &job->place, "%s", err.cause);
        return;
    }
    plugin = *image.plugin;
    plugin.check = NULL;
    plugin.check_engine = NULL;
    action = core_plugin_action(&plugin, job->action);
    if (!action)
        core_problem_add(problems, &job->place, "plugin '%s' has no action '%s'", plugin.name,
                         job->action);
    else if (!core_binding_make(&plugin, action, &source, arena, &binding, problems))
        RC_ASSERT(problems->count > 0);
}

/* Whoever may run a job need not be somebody who may have the daemon read files and URLs for it. */
static void refuse_sources(const struct core_node *values, struct core_problems *problems)
{
    static const char *const sources[] = { "config_file", "config_url" };

    for (size_t i = 0; i < RC_ARRAY_LEN(sources); i++) {
        const struct core_node *node = core_node_get(values, sources[i]);

        if (node)
            core_problem_add(problems, &node->place,
                             "'%s' is not taken from afar; write it into the configuration, or use "
                             "'run-core run'",
                             sources[i]);
    }
}

/* The JSON of the values; NULL: they were refused, and the client has been told. */
static const char *read_set(struct core_api_call *call, const struct core_job_settings *job,
                            struct rc_buf *text)
{
    const struct core_node *set = core_node_get(call->body_node, "set");
    CORE_PROBLEMS_AUTO(problems);
    struct core_node *values;

    if (!set || set->kind == CORE_NODE_NULL)
        rc_buf_adds(text, "{}");
    else
        core_json_add(text, set);
    values = core_json_read_set(&call->arena, text->data, text->len, &problems);
    if (values)
        refuse_sources(values, &problems);
    if (problems.count == 0)
        check_values(core_supervisor_config(call->api->supervisor), job, values, &call->arena,
                     &problems);
    if (problems.count == 0)
        return text->data;
    core_api_fail_problems(call, 422, "the run would not have a valid configuration", &problems);
    return NULL;
}

static void reply_to_trigger(struct core_api_call *call, enum rc_code code, const char *run,
                             const struct rc_error *err)
{
    RC_BUF_AUTO(out, CORE_API_REPLY_BYTES);
    RC_STR_AUTO location = rc_strf("/api/v1/runs/%s", run);

    core_http_add_header(call->exchange, "Location", location);
    rc_buf_addc(&out, '{');
    if (code == RC_SKIPPED) {
        core_json_text(&out, "error", err->cause);
        core_json_text(&out, "code", rc_code_name(code));
    }
    core_json_text(&out, "run", run);
    rc_buf_adds(&out, "}\n");
    core_http_reply(call->exchange,
                    code == RC_SKIPPED ? core_api_status_of(code) : call->route->status,
                    "application/json", &out);
}

void core_api_trigger(struct core_api_call *call)
{
    const struct core_trigger_body *body = call->body;
    RC_BUF_AUTO(set, CORE_API_REPLY_BYTES);
    struct rc_error err = RC_ERROR_INIT;
    char run[CORE_RUN_ID_TEXT] = "";
    struct core_job_view view;
    struct core_trigger trigger = { .force = body->force, .by = call->by };
    enum rc_code code;

    if (!core_supervisor_find_job(call->api->supervisor, call->segments[0], &view)) {
        (void)core_supervisor_no_job(call->api->supervisor, call->segments[0], &err);
        core_api_fail(call, &err);
        return;
    }
    trigger.job = view.settings->name;
    trigger.set = read_set(call, view.settings, &set);
    if (!trigger.set)
        return;
    if (strcmp(trigger.set, "{}") == 0)
        trigger.set = NULL;
    code = core_supervisor_trigger(call->api->supervisor, &trigger, run, &err);
    if (code == RC_OK || (code == RC_SKIPPED && run[0]))
        reply_to_trigger(call, code, run, &err);
    else
        core_api_fail(call, &err);
}

void core_api_cancel(struct core_api_call *call)
{
    RC_BUF_AUTO(out, CORE_API_REPLY_BYTES);
    struct rc_error err = RC_ERROR_INIT;

    if (core_supervisor_cancel(call->api->supervisor, call->segments[0], call->by, &err)) {
        core_api_fail(call, &err);
        return;
    }
    rc_buf_addc(&out, '{');
    core_json_text(&out, "run", call->segments[0]);
    rc_buf_addc(&out, '}');
    core_api_reply(call, &out);
}

/* ---- pauses ---------------------------------------------------------------------------------- */

static void reply_to_pause(struct core_api_call *call, bool paused, bool changed)
{
    RC_BUF_AUTO(out, CORE_API_REPLY_BYTES);

    rc_buf_addc(&out, '{');
    core_json_text(&out, "job", call->segments[0]);
    core_json_bool(&out, "paused", paused);
    core_json_bool(&out, "changed", changed);
    rc_buf_addc(&out, '}');
    core_api_reply(call, &out);
}

void core_api_pause(struct core_api_call *call)
{
    struct rc_error err = RC_ERROR_INIT;
    bool changed = false;

    if (core_supervisor_pause(call->api->supervisor, call->segments[0], call->by, &changed, &err))
        core_api_fail(call, &err);
    else
        reply_to_pause(call, true, changed);
}

void core_api_resume(struct core_api_call *call)
{
    struct rc_error err = RC_ERROR_INIT;
    bool changed = false;

    if (core_supervisor_resume(call->api->supervisor, call->segments[0], call->by, &changed, &err))
        core_api_fail(call, &err);
    else
        reply_to_pause(call, false, changed);
}

/* ---- reload ---------------------------------------------------------------------------------- */

void core_api_reload(struct core_api_call *call)
{
    struct core_supervisor *supervisor = call->api->supervisor;
    RC_BUF_AUTO(out, CORE_API_REPLY_BYTES);
    struct core_supervisor_health health;
    struct rc_error err = RC_ERROR_INIT;
    CORE_PROBLEMS_AUTO(problems);

    /* With the tokens, which core_api_check() judges. */
    if (core_supervisor_reload(supervisor, call->by, &problems, &err)) {
        if (problems.count)
            core_api_fail_problems(
                call, 422, "the configuration has mistakes, so it stays as it was", &problems);
        else
            core_api_fail(call, &err);
        return;
    }
    core_api_refresh_tokens(call->api);
    core_supervisor_health(supervisor, &health);
    rc_buf_addc(&out, '{');
    core_json_int(&out, "jobs", health.jobs);
    core_json_int(&out, "reloads", health.reloads);
    rc_buf_addc(&out, '}');
    core_api_reply(call, &out);
}
