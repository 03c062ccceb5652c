/*
 * The death of a run on the fake host, and the life of the next one: what a kill at any host call
 * leaves behind is what the storage and the database then hold.
 */
#include "fake_internal.h"

#include <stdlib.h>

/* Calls that change what outlives the run, so that it matters whether they die before or after. */
static bool has_effect(const char *service)
{
    static const char *const services[] = {
        "storage.put",         "storage.commit", "storage.copy",  "storage.copy_with",
        "storage.move",        "storage.remove", "storage.sweep", "storage.sweep_object",
        "storage.remove_with", "sql.write",      "db.open",       "db.exec",
        "db.commit",           "rows.next",      "transfer.run",  "job.submit",
    };

    for (size_t i = 0; i < RC_ARRAY_LEN(services); i++)
        if (strcmp(services[i], service) == 0)
            return true;
    return false;
}

static enum rc_code fail_dead(struct rc_error *err)
{
    return rc_fail(err, RC_UNAVAILABLE, "the process is dead");
}

static enum rc_code fail_lost(enum rc_code code, struct rc_error *err)
{
    return rc_fail(err, code, "injected fault: the answer was lost");
}

enum rc_code fake_death(struct fake_job *job, const char *service, int call, struct rc_error *err)
{
    struct rc_fake_host *fake = job->fake;
    bool changes = has_effect(service);

    /* The last call was to die after its effect, and ended before it had any. */
    if (job->end == FAKE_DIES)
        fake->is_dead = true;
    job->end = FAKE_GOES_ON;
    if (!fake->is_dead && fake->die_at != 0 && call >= fake->die_at) {
        if (fake->dies_after && changes && call == fake->die_at)
            job->end = FAKE_DIES;
        else
            fake->is_dead = true;
    }
    if (fake->is_dead)
        return fail_dead(err);
    if (fake->lose_at == 0 || call != fake->lose_at)
        return RC_OK;
    if (!changes)
        return fail_lost(fake->lose_code, err);
    job->end = FAKE_IS_LOST;
    return RC_OK;
}

enum rc_code fake_end(struct fake_job *job, enum rc_code code, struct rc_error *err)
{
    struct rc_fake_host *fake = job->fake;
    enum fake_end end;

    /* Workers that begin meanwhile copy the job of their pool. */
    pthread_mutex_lock(&fake->mutex);
    end = job->end;
    job->end = FAKE_GOES_ON;
    if (end == FAKE_DIES)
        fake->is_dead = true;
    pthread_mutex_unlock(&fake->mutex);
    if (end == FAKE_DIES)
        return fail_dead(err);
    return end == FAKE_IS_LOST && !code ? fail_lost(fake->lose_code, err) : code;
}

void rc_fake_host_die_at(struct rc_fake_host *host, int n, bool after)
{
    host->die_at = n ? host->calls + n : 0;
    host->dies_after = after;
}

void rc_fake_host_lose_at(struct rc_fake_host *host, int n, enum rc_code code)
{
    RC_ASSERT(n == 0 || code != RC_OK);
    host->lose_at = n ? host->calls + n : 0;
    host->lose_code = code;
}

void rc_fake_host_on_call(struct rc_fake_host *host, rc_fake_hook *hook, void *context)
{
    host->hook = hook;
    host->hook_context = context;
}

bool rc_fake_host_is_dead(const struct rc_fake_host *host)
{
    return host->is_dead;
}

static void forget_faults(struct rc_fake_host *host)
{
    host->is_dead = host->cancelled = host->dies_after = false;
    host->die_at = host->lose_at = host->fail_at = host->cancel_at = host->calls = 0;
    host->remaining_ms = INT64_MAX;
    fake_rules_clear(host);
    rc_fake_host_on_call(host, NULL, NULL);
}

static void forget_results(struct rc_fake_host *host)
{
    host->held_back = host->open_handles = 0;
    host->counter_count = 0;
    memset(host->counters, 0, sizeof host->counters);
    host->progress_done = host->progress_total = 0;
    rc_buf_reset(&host->log);
    rc_buf_reset(&host->said);
    rc_buf_reset(&host->shown);
}

void rc_fake_host_revive(struct rc_fake_host *host)
{
    forget_faults(host);
    forget_results(host);
    fake_db_rollback(host);
    fake_locks_free(host);
    fake_statements_clear(host);
    fake_stores_forget(host);
    fake_temp_dir_clear(host);
    host->main.end = FAKE_GOES_ON;
    host->main.job.run_id = fake_own(host, rc_strf("fake-%d", ++host->revivals + 1));
}
