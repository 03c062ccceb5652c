/*
 * Runs that a plugin begins on the fake host: judged as the real host would, recorded, and left to
 * the test.
 */
#include "fake_internal.h"

#include <stdlib.h>

static const struct rc_action *find_action(const struct rc_plugin *plugin, const char *name)
{
    for (const struct rc_action *action = plugin->actions; action && action->name; action++)
        if (strcmp(action->name, name) == 0)
            return action;
    return NULL;
}

/* Fills a struct of the action's parameters, which nobody needs. */
static enum rc_code try_params(struct rc_fake_host *fake, const struct rc_action *action,
                               const struct rc_pair *params, size_t count, struct rc_error *err)
{
    static const struct rc_option none[] = { { 0 } };
    const char **settings = fake_own(fake, rc_calloc(count + 1, sizeof *settings));
    void *out = fake_own(fake, rc_calloc(1, action->params_size + 1));

    for (size_t i = 0; i < count; i++)
        settings[i] = fake_own(fake, rc_strf("%s=%s", params[i].key, params[i].value));
    return rc_fake_host_bind(fake, action->params ? action->params : none, out, settings, err);
}

static enum rc_code judge(struct rc_fake_host *fake, const char *name, const struct rc_pair *params,
                          size_t count, struct rc_error *err)
{
    const struct rc_action *action;

    if (!fake->plugin)
        return RC_OK;
    action = find_action(fake->plugin, name);
    if (!action)
        return rc_fail(err, RC_INVALID, "the plugin '%s' has no action '%s'", fake->plugin->name,
                       name);
    return try_params(fake, action, params, count, err);
}

static void record(struct rc_fake_host *fake, const char *action, const struct rc_pair *params,
                   size_t count, char run_id[RC_RUN_ID_TEXT])
{
    struct rc_pair *copies = fake_own(fake, rc_calloc(count + 1, sizeof *copies));
    char *name = fake_own(fake, rc_strdup(action)), *id;

    for (size_t i = 0; i < count; i++)
        copies[i] = (struct rc_pair){ .key = fake_own(fake, rc_strdup(params[i].key)),
                                      .value = fake_own(fake, rc_strdup(params[i].value)) };
    pthread_mutex_lock(&fake->mutex);
    fake->submits = fake_grow(fake->submits, &fake->submit_count, sizeof *fake->submits);
    id = rc_strf("20260115t120000-%08zx", fake->submit_count);
    fake->submits[fake->submit_count - 1] = (struct rc_fake_submitted){
        .run_id = id, .action = name, .params = copies, .param_count = count
    };
    pthread_mutex_unlock(&fake->mutex);
    fake_own(fake, id);
    memcpy(run_id, id, strlen(id) + 1);
}

enum rc_code fake_submit(struct rc_job *job, const char *action, const struct rc_pair *params,
                         size_t param_count, char run_id[RC_RUN_ID_TEXT], struct rc_error *err)
{
    struct fake_job *self = fake_job_of(job);

    run_id[0] = '\0';
    if (fake_call(self, "job.submit", action, err))
        return err->code;
    if (FAKE_BASE(self, job))
        return self->base->host->job->submit(self->base, action, params, param_count, run_id, err);
    if (judge(self->fake, action, params, param_count, err) != RC_OK)
        return rc_context(err, "begin a run of '%s'", action);
    if (fake_held_back(self, "begin a run of", action))
        return RC_OK;
    record(self->fake, action, params, param_count, run_id);
    return fake_end(self, RC_OK, err);
}

size_t rc_fake_host_submits(const struct rc_fake_host *host)
{
    return host->submit_count;
}

struct rc_fake_submitted rc_fake_host_submitted(const struct rc_fake_host *host, size_t index)
{
    RC_ASSERT(index < host->submit_count);
    return host->submits[index];
}

void fake_submit_clear(struct rc_fake_host *fake)
{
    free(fake->submits);
}
