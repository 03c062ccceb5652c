/*
 * Removes jobs. What was removed is what a later read finds no more, since neither an answer that
 * was lost nor a store that drops what a user may not write says so by itself.
 */
#include "reading.h"
#include "statements.h"

#include <run-core/str.h>

static enum rc_code read_kind(struct delta_session *session, const struct delta_entry *entry,
                              enum delta_kind kind, struct delta_list *out, struct rc_error *err)
{
    RC_STR_AUTO what =
        rc_strf("the %s jobs of the graph <%s>", delta_kind_text(kind), entry->jobs_graph);
    RC_BUF_AUTO(query, DELTA_STATEMENT_BYTES);

    delta_add_jobs_of(&query, entry, kind);
    return delta_read(session, entry, what, &query, out, err);
}

static bool is_to_go(const struct delta_job *job, bool force)
{
    return delta_job_is_named(job) && (force || !delta_is_active(job->status));
}

static enum rc_code remove_job(struct delta_session *session, const struct delta_entry *entry,
                               const struct delta_job *job, bool force, struct rc_error *err)
{
    RC_STR_AUTO what = rc_strf("the removal of the job <%s>", job->uri);
    RC_BUF_AUTO(update, DELTA_STATEMENT_BYTES);

    delta_add_remove(&update, entry, job->uri, force);
    if (rc_buf_check(&update, err))
        return rc_context(err, "write down %s", what);
    return sparql_update(session->job, &session->store, what, update.data, err);
}

/* Takes out of 'removed' what is there all the same: since it has become active, or for good. */
static enum rc_code check_removed(const struct delta_entry *entry, const struct delta_list *jobs,
                                  bool force, struct delta_list *removed, struct rc_error *err)
{
    for (size_t i = removed->count; i-- > 0;) {
        const struct delta_job *job = delta_list_find(jobs, removed->items[i].uri);

        if (job && is_to_go(job, force))
            return rc_fail(err, RC_DENIED,
                           "the store took the removal of the job <%s>, and it is still there; "
                           "may this user write to the graph <%s>?",
                           job->uri, entry->jobs_graph);
        if (job)
            delta_list_remove(removed, i);
    }
    return RC_OK;
}

/* '*count': how many were removed. */
static enum rc_code remove_jobs(struct delta_session *session, const struct delta_entry *entry,
                                bool force, const struct delta_list *jobs,
                                struct delta_list *removed, size_t *count, struct rc_error *err)
{
    *count = 0;
    for (size_t i = 0; i < jobs->count; i++) {
        if (!is_to_go(&jobs->items[i], force))
            continue;
        if (remove_job(session, entry, &jobs->items[i], force, err) ||
            delta_list_add(removed, &jobs->items[i], err))
            return err->code;
        ++*count;
        rc_job_progress(session->job, (int64_t)removed->count, 0, "jobs");
    }
    return RC_OK;
}

static enum rc_code keep(const struct delta_list *jobs, bool force, struct delta_list *kept,
                         struct rc_error *err)
{
    for (size_t i = 0; i < jobs->count; i++)
        if (!is_to_go(&jobs->items[i], force) && delta_list_add(kept, &jobs->items[i], err))
            return err->code;
    return RC_OK;
}

/* '*is_done': nothing was left to remove. */
static enum rc_code clean_once(struct delta_session *session, const struct delta_entry *entry,
                               enum delta_kind kind, bool force, struct delta_list *removed,
                               struct delta_list *kept, bool *is_done, struct rc_error *err)
{
    struct delta_list jobs = { 0 };
    size_t count = 0;
    enum rc_code code = read_kind(session, entry, kind, &jobs, err);

    if (code == RC_OK)
        code = check_removed(entry, &jobs, force, removed, err);
    if (code == RC_OK)
        code = remove_jobs(session, entry, force, &jobs, removed, &count, err);
    *is_done = count == 0 || session->job->dry_run;
    if (code == RC_OK && *is_done)
        code = keep(&jobs, force, kept, err);
    delta_list_clear(&jobs);
    return code;
}

enum rc_code delta_clean(struct delta_session *session, const struct delta_entry *entry,
                         enum delta_kind kind, bool force, struct delta_list *removed,
                         struct delta_list *kept, struct rc_error *err)
{
    bool is_done = false;

    *removed = *kept = (struct delta_list){ 0 };
    if (delta_entry_has(entry, kind, err))
        return err->code;
    /* Again, since a store may give only so many rows at once. */
    while (!is_done)
        if (clean_once(session, entry, kind, force, removed, kept, &is_done, err)) {
            delta_list_clear(removed);
            delta_list_clear(kept);
            return rc_context(err, "remove jobs of <%s>", entry->job_operation[kind]);
        }
    if (!session->job->dry_run)
        rc_job_count(session->job, "jobs_removed", (int64_t)removed->count);
    return RC_OK;
}
