/*
 * Removes jobs, page by page, since a store gives only so many rows at once. What was removed is
 * what a later read finds no more: neither an answer that was lost nor a store that drops what a
 * user may not write says so by itself.
 */
#include "reading.h"
#include "statements.h"

#include <run-core/str.h>

#include <stdlib.h>
#include <string.h>

/* One delta_clean(). */
struct work {
    struct delta_session *session;
    const struct delta_entry *entry;
    enum delta_kind kind;
    bool force;
    struct delta_list *removed, *kept;
    bool has_removed; /* since the first page */
};

static enum rc_code read_page(const struct work *work, const char *behind, struct delta_list *out,
                              struct rc_error *err)
{
    RC_STR_AUTO what = rc_strf("the %s jobs of the graph <%s>", delta_kind_text(work->kind),
                               work->entry->jobs_graph);
    RC_BUF_AUTO(query, DELTA_STATEMENT_BYTES);

    delta_add_jobs_of(&query, work->entry, work->kind, behind);
    return delta_read(work->session, work->entry, what, &query, out, err);
}

static bool is_to_go(const struct work *work, const struct delta_job *job)
{
    return delta_job_is_named(job) && (work->force || !delta_is_active(job->status));
}

static enum rc_code remove_job(const struct work *work, const struct delta_job *job,
                               struct rc_error *err)
{
    RC_STR_AUTO what = rc_strf("the removal of the job <%s>", job->uri);
    RC_BUF_AUTO(update, DELTA_STATEMENT_BYTES);

    delta_add_remove(&update, work->entry, job->uri, work->force);
    if (rc_buf_check(&update, err))
        return rc_context(err, "write down %s", what);
    return sparql_update(work->session->job, &work->session->store, what, update.data, err);
}

/* Takes out of 'removed' what is there all the same: since it has become active, or for good. */
static enum rc_code check_removed(const struct work *work, const struct delta_list *jobs,
                                  struct rc_error *err)
{
    for (size_t i = work->removed->count; i-- > 0;) {
        const struct delta_job *job = delta_list_find(jobs, work->removed->items[i].uri);

        if (job && is_to_go(work, job))
            return rc_fail(err, RC_DENIED,
                           "the store took the removal of the job <%s>, and it is still there; "
                           "may this user write to the graph <%s>?",
                           job->uri, work->entry->jobs_graph);
        if (job)
            delta_list_remove(work->removed, i);
    }
    return RC_OK;
}

static enum rc_code clean_jobs(struct work *work, const struct delta_list *jobs,
                               struct rc_error *err)
{
    for (size_t i = 0; i < jobs->count; i++) {
        const struct delta_job *job = &jobs->items[i];
        bool goes = is_to_go(work, job);

        if ((goes && remove_job(work, job, err)) ||
            delta_list_add(goes ? work->removed : work->kept, job, err))
            return err->code;
        work->has_removed |= goes;
        rc_job_progress(work->session->job, (int64_t)work->removed->count, 0, "jobs");
    }
    return RC_OK;
}

/* '*behind': the page's last job, or NULL if no other page follows. */
static enum rc_code clean_page(struct work *work, char **behind, struct rc_error *err)
{
    struct delta_list jobs = { 0 };
    char *last = NULL;
    enum rc_code code = read_page(work, *behind, &jobs, err);

    if (code == RC_OK)
        code = check_removed(work, &jobs, err);
    if (code == RC_OK)
        code = clean_jobs(work, &jobs, err);
    /* A store with another order of its own than that of code points ends here. */
    if (jobs.row_count >= DELTA_PAGE_ROWS &&
        (!*behind || strcmp(jobs.items[jobs.count - 1].uri, *behind) > 0))
        last = rc_strdup(jobs.items[jobs.count - 1].uri);
    free(*behind);
    *behind = last;
    delta_list_clear(&jobs);
    return code;
}

static enum rc_code clean_pages(struct work *work, struct rc_error *err)
{
    char *behind = NULL;
    enum rc_code code;

    work->has_removed = false;
    delta_list_clear(work->kept);
    do
        code = clean_page(work, &behind, err);
    while (code == RC_OK && behind);
    free(behind);
    return code;
}

/* Until nothing is left that goes: what came in between does so, too. */
static enum rc_code clean_all(struct work *work, struct rc_error *err)
{
    do
        if (clean_pages(work, err))
            return err->code;
    while (work->has_removed && !work->session->job->dry_run);
    return RC_OK;
}

enum rc_code delta_clean(struct delta_session *session, const struct delta_entry *entry,
                         enum delta_kind kind, bool force, struct delta_list *removed,
                         struct delta_list *kept, struct rc_error *err)
{
    struct work work = {
        .session = session,
        .entry = entry,
        .kind = kind,
        .force = force,
        .removed = removed,
        .kept = kept,
    };

    *removed = *kept = (struct delta_list){ 0 };
    if (delta_entry_has(entry, kind, err))
        return err->code;
    if (clean_all(&work, err)) {
        delta_list_clear(removed);
        delta_list_clear(kept);
        return rc_context(err, "remove jobs of <%s>", entry->job_operation[kind]);
    }
    if (!session->job->dry_run)
        rc_job_count(session->job, "jobs_removed", (int64_t)removed->count);
    return RC_OK;
}
