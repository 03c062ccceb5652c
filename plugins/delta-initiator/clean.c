/*
 * The action 'clean': removes the jobs of a kind, and says which it had to leave.
 */
#include "run.h"

#include <run-core/str.h>

static enum rc_code clean(struct delta_session *session, const struct delta_entry *entry,
                          void *context, struct rc_error *err)
{
    const struct delta_clean_params *params = context;
    enum delta_kind kind = (enum delta_kind)params->kind;
    struct delta_list removed = { 0 }, kept = { 0 };
    enum rc_code code = delta_clean(session, entry, kind, params->force, &removed, &kept, err);

    if (!code) {
        RC_STR_AUTO text = delta_cleaned_text(kind, &removed);

        for (size_t i = 0; i < removed.count; i++)
            delta_say(session, entry, "%s <%s>, which was %s",
                      session->job->dry_run ? "would remove" : "removed", removed.items[i].uri,
                      delta_status_name(removed.items[i].status));
        for (size_t i = 0; i < kept.count; i++)
            delta_say(session, entry, "kept <%s>, which is %s; --set force=true removes it, too",
                      kept.items[i].uri, delta_status_name(kept.items[i].status));
        if (removed.count == 0)
            delta_say(session, entry, "nothing to remove");
        else if (!session->job->dry_run)
            delta_say(session, entry, "%s", text);
    }
    delta_list_clear(&removed);
    delta_list_clear(&kept);
    return code;
}

static bool is_wanted(const struct delta_entry *entry, const void *context)
{
    const struct delta_clean_params *params = context;

    return entry->job_operation[params->kind];
}

enum rc_code delta_clean_jobs(struct rc_job *job, const void *config, struct rc_error *err)
{
    struct delta_clean_params params = *(const struct delta_clean_params *)job->params;
    const struct delta_each each = {
        .name = params.entry,
        .wanted = is_wanted,
        .nothing = "no stream has an operation for such jobs",
        .work = clean,
        .context = &params,
    };

    return delta_each(job, config, &each, err);
}
