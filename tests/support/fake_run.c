/*
 * Runs a plugin's action on the fake host as a worker would, once or with every host call
 * failing in turn.
 */
#include "fake_internal.h"

#include <dlfcn.h>
#include <stdlib.h>

static const struct rc_option no_options[] = { { 0 } };

enum rc_code rc_fake_host_load(const char *path, const struct rc_plugin **out, struct rc_error *err)
{
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!handle)
        return rc_fail(err, RC_INVALID, "%s", dlerror());
    const struct rc_plugin *const *symbol = dlsym(handle, RC_PLUGIN_SYMBOL);
    if (!symbol || !*symbol || (*symbol)->magic != RC_PLUGIN_MAGIC)
        return rc_fail(err, RC_INVALID, "'%s' is not a run-core plugin", path);
    *out = *symbol;
    return RC_OK;
}

static const struct rc_action *find_action(const struct rc_plugin *plugin, const char *name)
{
    for (const struct rc_action *action = plugin->actions; action->name; action++)
        if (!name || strcmp(action->name, name) == 0)
            return action;
    return NULL;
}

/* Whether a setting is of an option of that name, or of something below it. */
static bool is_of(const char *setting, const char *name)
{
    size_t len = strlen(name);
    return strncmp(setting, name, len) == 0 && setting[len] && strchr("=.[", setting[len]);
}

static bool belongs_to(const struct rc_option *options, const char *setting)
{
    for (const struct rc_option *option = options; option->name; option++)
        if (is_of(setting, option->name) || (option->also && is_of(setting, option->also)))
            return true;
    return false;
}

/* Binds the settings that name a parameter of the action, or all the others. */
static enum rc_code bind_some(struct rc_fake_host *host, const struct rc_option *options,
                              const struct rc_option *params, bool want_params,
                              const char *const *settings, void *out, struct rc_error *err)
{
    const char **some = NULL;
    size_t count = 0;
    for (size_t i = 0; settings && settings[i]; i++)
        if (belongs_to(params, settings[i]) == want_params) {
            some = fake_grow(some, &count, sizeof *some);
            some[count - 1] = settings[i];
        }
    some = fake_grow(some, &count, sizeof *some); /* the NULL at the end */
    enum rc_code code = rc_fake_host_bind(host, options, out, some, err);
    free(some);
    return code;
}

static bool reaches_all(const struct rc_sql_engine *engine, const char *uri)
{
    (void)engine;
    (void)uri;
    return true;
}

/* What the engine of a base can do is not known before a session is opened. */
static enum rc_code check_engine(const struct rc_fake_host *host, const struct rc_plugin *plugin,
                                 const void *config, struct rc_error *err)
{
    const struct rc_sql_engine engine = {
        .name = "fake",
        .kind = "fake",
        .features = host->engine_features,
        .reaches = reaches_all,
    };
    if (!plugin->check_engine || host->main.base)
        return RC_OK;
    return plugin->check_engine(config, &engine, err);
}

enum rc_code rc_fake_host_run(struct rc_fake_host *host, const struct rc_plugin *plugin,
                              const char *action_name, const char *const *settings,
                              struct rc_error *err)
{
    const struct rc_action *action = find_action(plugin, action_name);
    RC_ASSERT(action != NULL);
    const struct rc_option *options = plugin->options ? plugin->options : no_options;
    const struct rc_option *params = action->params ? action->params : no_options;
    void *config = fake_own(host, rc_calloc(1, plugin->config_size + 1));
    void *params_struct = fake_own(host, rc_calloc(1, action->params_size + 1));

    enum rc_code code = bind_some(host, options, params, false, settings, config, err);
    if (!code)
        code = bind_some(host, params, params, true, settings, params_struct, err);
    if (!code && plugin->check)
        code = plugin->check(config, err);
    if (!code)
        code = check_engine(host, plugin, config, err);
    if (code)
        return code;

    struct rc_job *job = rc_fake_host_job(host);
    host->plugin = plugin;
    job->plugin = plugin->name;
    job->action = action->name;
    job->params = action->params ? params_struct : NULL;
    return action->run(job, config, err);
}

/* What both rounds of the torture share. */
struct torture {
    const struct rc_plugin *plugin;
    const char *action;
    const char *const *settings;
    void (*prepare)(struct rc_fake_host *host, void *context);
    void *context;
};

/* Judges one run. '*done' when it got through because 'n' is past its last call. */
static enum rc_code judge(struct rc_fake_host *host, int n, enum rc_code code, enum rc_code wanted,
                          const struct rc_error *run_err, bool *done, struct rc_error *err)
{
    int calls = rc_fake_host_calls(host);
    if (rc_fake_host_open_handles(host))
        return rc_fail(err, RC_FAILED, "call %d failed: %d handles were left open", n,
                       rc_fake_host_open_handles(host));
    if (!code && calls < n) {
        *done = true;
        return RC_OK;
    }
    if (!code)
        return rc_fail(err, RC_FAILED, "call %d failed, but the run reported success", n);
    if (code != wanted || run_err->code != code)
        return rc_fail(err, RC_FAILED, "call %d failed with %s, but the run returned %s: %s: %s", n,
                       rc_code_name(wanted), rc_code_name(code), run_err->context, run_err->cause);
    /* That the run was asked to stop needs no further word. */
    if (wanted != RC_CANCELLED && run_err->context[0] == '\0')
        return rc_fail(err, RC_FAILED, "call %d failed, without context: %s", n, run_err->cause);
    return RC_OK;
}

static enum rc_code torture_round(const struct torture *torture, bool cancel, int *calls,
                                  struct rc_error *err)
{
    enum { MOST_CALLS = 100000 };
    for (int n = 1; n <= MOST_CALLS; n++) {
        RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *host = rc_fake_host_new(NULL);
        struct rc_error run_err = RC_ERROR_INIT;
        bool done = false;
        if (torture->prepare)
            torture->prepare(host, torture->context);
        if (cancel)
            rc_fake_host_cancel_at(host, n);
        else
            rc_fake_host_fail_at(host, n, RC_UNAVAILABLE);
        enum rc_code code =
            rc_fake_host_run(host, torture->plugin, torture->action, torture->settings, &run_err);
        if (judge(host, n, code, cancel ? RC_CANCELLED : RC_UNAVAILABLE, &run_err, &done, err))
            return rc_context(err, cancel ? "cancelled" : "failing");
        if (done) {
            *calls = rc_fake_host_calls(host);
            return RC_OK;
        }
    }
    return rc_fail(err, RC_FAILED, "the run makes more than %d host calls", MOST_CALLS);
}

enum rc_code rc_fake_host_torture(const struct rc_plugin *plugin, const char *action,
                                  const char *const *settings,
                                  void (*prepare)(struct rc_fake_host *host, void *context),
                                  void *context, int *calls, struct rc_error *err)
{
    struct torture torture = {
        .plugin = plugin,
        .action = action,
        .settings = settings,
        .prepare = prepare,
        .context = context,
    };
    enum rc_code code = torture_round(&torture, /* cancel = */ false, calls, err);
    return code ? code : torture_round(&torture, /* cancel = */ true, calls, err);
}
