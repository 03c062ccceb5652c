/*
 * The chronology. Knows no store: what jobs there are is handed in.
 */
#include "rules.h"

enum { MINUTE_MS = 60000 };

bool delta_is_active(enum delta_status status)
{
    return status == DELTA_SCHEDULED || status == DELTA_BUSY;
}

int64_t delta_deadline_unix_ms(const struct delta_config *config, int64_t now_unix_ms)
{
    return now_unix_ms - config->job_timeout_min * MINUTE_MS;
}

bool delta_is_overdue(const struct delta_job *job, const struct delta_config *config,
                      int64_t now_unix_ms)
{
    return config->job_timeout_min > 0 && delta_is_active(job->status) &&
           job->modified_unix_ms != DELTA_TIME_UNKNOWN &&
           job->modified_unix_ms <= delta_deadline_unix_ms(config, now_unix_ms);
}

const char *delta_status_name(enum delta_status status)
{
    static const char *const names[] = {
        [DELTA_SCHEDULED] = "scheduled", [DELTA_BUSY] = "busy",
        [DELTA_SUCCESS] = "success",     [DELTA_FAILED] = "failed",
        [DELTA_CANCELED] = "canceled",   [DELTA_OTHER_STATUS] = "other",
    };

    return names[status];
}

static int64_t retry_failed_before(const struct delta_config *config, bool force,
                                   int64_t now_unix_ms)
{
    if (force)
        return INT64_MAX;
    if (!config->retry_failed_initial_sync)
        return INT64_MIN;
    if (config->initial_sync_retry_after_ms == 0)
        return INT64_MAX;
    return now_unix_ms - config->initial_sync_retry_after_ms;
}

void delta_rules_make(const struct delta_config *config, const struct delta_entry *entry,
                      enum delta_kind kind, bool force, int64_t now_unix_ms,
                      struct delta_rules *out)
{
    bool is_initial_sync = kind == DELTA_INITIAL_SYNC;

    *out = (struct delta_rules){
        .needs_initial_sync = kind == DELTA_HEALING && !entry->heal_without_initial_sync && !force,
        .once = is_initial_sync,
    };
    if (is_initial_sync)
        out->failed_before_unix_ms = retry_failed_before(config, force, now_unix_ms);
    /* That of an initial sync by another one is the matter of 'once', which is not lifted. */
    for (int other = 0; other < DELTA_KIND_COUNT && !force; other++)
        out->blocked_by[other] =
            is_initial_sync ? other != DELTA_INITIAL_SYNC && !entry->disabled[other] : true;
}

/* It is one of those of which there is to be one only, and did not fail. */
static bool makes_needless(const struct delta_rules *rules, enum delta_kind kind,
                           const struct delta_job *job)
{
    return rules->once && job->kind == kind && job->status != DELTA_FAILED;
}

/* It is one of those, and failed so lately that it is too soon for another one. */
static bool holds_up(const struct delta_rules *rules, enum delta_kind kind,
                     const struct delta_job *job)
{
    return rules->once && job->kind == kind && job->status == DELTA_FAILED &&
           job->modified_unix_ms >= rules->failed_before_unix_ms;
}

static bool blocks(const struct delta_rules *rules, const struct delta_job *job)
{
    return rules->blocked_by[job->kind] && delta_is_active(job->status);
}

bool delta_rules_names(const struct delta_rules *rules, enum delta_verdict verdict,
                       enum delta_kind kind, const struct delta_job *job)
{
    switch (verdict) {
    case DELTA_DONE:
        return makes_needless(rules, kind, job);
    case DELTA_FAILED_FOR_GOOD:
    case DELTA_FAILED_LATELY:
        return holds_up(rules, kind, job);
    case DELTA_TOO_EARLY:
        return job->kind == DELTA_INITIAL_SYNC && delta_is_active(job->status);
    case DELTA_BLOCKED:
        return blocks(rules, job);
    case DELTA_FREE:
        break;
    }
    return false;
}

enum delta_verdict delta_rules_judge(const struct delta_rules *rules, enum delta_kind kind,
                                     const struct delta_job *jobs, size_t count)
{
    bool is_needless = false, is_held_up = false, is_blocked = false, is_synced = false;

    for (size_t i = 0; i < count; i++) {
        is_needless |= makes_needless(rules, kind, &jobs[i]);
        is_held_up |= holds_up(rules, kind, &jobs[i]);
        is_blocked |= blocks(rules, &jobs[i]);
        is_synced |= jobs[i].kind == DELTA_INITIAL_SYNC && jobs[i].status == DELTA_SUCCESS;
    }
    if (is_needless)
        return DELTA_DONE;
    if (is_held_up)
        return rules->failed_before_unix_ms == INT64_MIN ? DELTA_FAILED_FOR_GOOD
                                                         : DELTA_FAILED_LATELY;
    if (rules->needs_initial_sync && !is_synced)
        return DELTA_TOO_EARLY;
    return is_blocked ? DELTA_BLOCKED : DELTA_FREE;
}
