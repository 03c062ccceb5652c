/*
 * The actions that create a job: initial-sync, healing and dump, which differ in the kind alone.
 * What a job is, and what may stand in its way, is in jobs.c and rules.c.
 */
#include "run.h"

#include <run-core/buf.h>
#include <run-core/str.h>

struct creating {
    enum delta_kind kind;
    const struct delta_create_params *params;
};

static enum rc_code tell(struct delta_session *session, const struct delta_entry *entry,
                         enum delta_kind kind, const struct delta_outcome *outcome,
                         struct rc_error *err)
{
    RC_BUF_AUTO(why, DELTA_TEXT_LIMIT);

    if (outcome->verdict == DELTA_FREE) {
        RC_STR_AUTO text = delta_created_text(kind, outcome->job_uri);

        if (session->job->dry_run)
            delta_say(session, entry, "would create a job: %s", delta_kind_text(kind));
        else
            delta_say(session, entry, "%s", text);
        return RC_OK;
    }
    delta_outcome_explain(outcome, kind, delta_session_now_unix_ms(session), &why);
    if (outcome->verdict != DELTA_DONE)
        return rc_fail(err, RC_SKIPPED, "no %s: %s", delta_kind_text(kind), why.data);
    delta_say(session, entry, "nothing to do: %s", why.data);
    return RC_OK;
}

/* What the configuration does not want is not put off either: no later attempt would do it. */
static bool is_asked_for(struct delta_session *session, const struct delta_entry *entry,
                         const struct creating *creating)
{
    if (creating->params->at_start && !entry->start_initial_sync) {
        delta_say(session, entry,
                  "nothing to do: no initial sync is begun at the start, as startInitialSync "
                  "(START_INITIAL_SYNC) is false");
        return false;
    }
    if (entry->disabled[creating->kind]) {
        delta_say(session, entry, "nothing to do: %ss are disabled",
                  delta_kind_text(creating->kind));
        return false;
    }
    return true;
}

static enum rc_code create(struct delta_session *session, const struct delta_entry *entry,
                           void *context, struct rc_error *err)
{
    const struct creating *creating = context;
    struct delta_outcome outcome = { 0 };
    enum rc_code code;

    if (!is_asked_for(session, entry, creating))
        return RC_OK;
    delta_warn_of_months(session, entry, creating->kind);
    code = delta_create(session, entry, creating->kind, creating->params->force, &outcome, err);
    if (code)
        return code;
    code = tell(session, entry, creating->kind, &outcome, err);
    delta_outcome_clear(&outcome);
    return code;
}

/* Among several streams, one that never has such jobs is not told of each time. */
static bool is_wanted(const struct delta_entry *entry, const void *context)
{
    const struct creating *creating = context;

    return entry->job_operation[creating->kind] && !entry->disabled[creating->kind] &&
           (!creating->params->at_start || entry->start_initial_sync);
}

static enum rc_code run(struct rc_job *job, const void *config, enum delta_kind kind,
                        struct rc_error *err)
{
    struct creating creating = { .kind = kind, .params = job->params };
    const struct delta_each each = {
        .name = creating.params->entry,
        .wanted = is_wanted,
        .nothing = creating.params->at_start
                       ? "no stream begins an initial sync at the start (startInitialSync)"
                       : "no stream has such jobs: each is without an operation for them, or has "
                         "them disabled",
        .work = create,
        .context = &creating,
    };

    return delta_each(job, config, &each, err);
}

enum rc_code delta_initial_sync(struct rc_job *job, const void *config, struct rc_error *err)
{
    return run(job, config, DELTA_INITIAL_SYNC, err);
}

enum rc_code delta_healing(struct rc_job *job, const void *config, struct rc_error *err)
{
    return run(job, config, DELTA_HEALING, err);
}

enum rc_code delta_dump(struct rc_job *job, const void *config, struct rc_error *err)
{
    return run(job, config, DELTA_DUMP, err);
}
