/*
 * Creates a job in the right order: the four steps that jobs.h tells. What is in the way is the
 * rules' to say (rules.c), in which words it is asked is statements.c's.
 */
#include "reading.h"
#include "sparql/clock.h"
#include "statements.h"
#include "vocabulary.h"

#include <run-core/str.h>

#include <stdlib.h>

enum {
    ROUNDS = 4,
    PAUSE_MS = 250,   /* the longest one before the second round; it doubles with each */
    MOST_ERRORS = 10, /* that one blocked job leaves */
};

/* One delta_create(). */
struct work {
    struct delta_session *session;
    const struct delta_entry *entry;
    enum delta_kind kind;
    bool force;
    struct delta_rules rules;
    char job_uuid[DELTA_UUID_TEXT], task_uuid[DELTA_UUID_TEXT];
    char *job_uri, *task_uri;
    struct delta_outcome *out;
    bool is_settled;         /* 'out' holds */
    struct rc_error unknown; /* with a code: what became of the update is not known, since this */
};

static void clear_names(struct work *work)
{
    free(work->job_uri);
    free(work->task_uri);
    work->job_uri = work->task_uri = NULL;
}

static enum rc_code choose_names(struct work *work, struct rc_error *err)
{
    clear_names(work);
    if (delta_uuid(work->job_uuid, err) || delta_uuid(work->task_uuid, err))
        return err->code;
    work->job_uri = rc_strf(DELTA_JOB_PREFIX "%s", work->job_uuid);
    work->task_uri = rc_strf(DELTA_TASK_PREFIX "%s", work->task_uuid);
    return RC_OK;
}

/* A pause of up to 'longest_ms', so that those that got in each other's way do so no more. */
static enum rc_code pause_at_random(struct rc_job *job, int64_t longest_ms, struct rc_error *err)
{
    char uuid[DELTA_UUID_TEXT];

    if (delta_uuid(uuid, err))
        return err->code;
    return sparql_pause(
        job, 1 + (int64_t)(strtoul(uuid + 24, NULL, 16) % (unsigned long)longest_ms), err);
}

static enum rc_code send(struct work *work, const char *what, const struct rc_buf *update,
                         struct rc_error *err)
{
    if (rc_buf_check(update, err))
        return rc_context(err, "write down %s", what);
    return sparql_update(work->session->job, &work->session->store, what, update->data, err);
}

/* ---- jobs whose time is up ------------------------------------------------------------------- */

static enum rc_code fail_job(struct work *work, struct delta_job *job, int64_t now_unix_ms,
                             struct rc_error *err)
{
    struct rc_job *run = work->session->job;
    RC_STR_AUTO what = rc_strf("the failure of the job <%s>", job->uri);
    RC_BUF_AUTO(update, DELTA_STATEMENT_BYTES);
    char age[RC_AMOUNT_TEXT];

    delta_add_fail(&update, work->entry, job->uri,
                   delta_deadline_unix_ms(work->session->config, now_unix_ms), now_unix_ms);
    if (send(work, what, &update, err))
        return err->code;
    rc_warn(run, "the %s job <%s> has been %s for %s, so its time is up: %s as failed",
            delta_kind_text(job->kind), job->uri, delta_status_name(job->status),
            rc_format_duration((now_unix_ms - job->modified_unix_ms) / 1000 * 1000, age),
            run->dry_run ? "it would be marked" : "it is marked");
    if (!run->dry_run)
        rc_job_count(run, "jobs_failed_by_timeout", 1);
    job->status = DELTA_FAILED;
    job->modified_unix_ms = now_unix_ms;
    return RC_OK;
}

/* What it changes in the store it changes in 'jobs' as well. */
static enum rc_code fail_overdue(struct work *work, struct delta_list *jobs, int64_t now_unix_ms,
                                 struct rc_error *err)
{
    const struct delta_config *config = work->session->config;

    for (size_t i = 0; i < jobs->count && config->job_timeout_min > 0; i++) {
        struct delta_job *job = &jobs->items[i];

        if (!delta_is_active(job->status))
            continue;
        if (job->modified_unix_ms == DELTA_TIME_UNKNOWN || !delta_job_is_named(job))
            rc_warn(work->session->job,
                    "the %s job <%s> is %s and has no %s, so its time is never up; remove it if "
                    "nobody works on it",
                    delta_kind_text(job->kind), job->uri, delta_status_name(job->status),
                    delta_job_is_named(job) ? "dct:modified that can be read" : "IRI");
        else if (delta_is_overdue(job, config, now_unix_ms) &&
                 fail_job(work, job, now_unix_ms, err))
            return err->code;
    }
    return RC_OK;
}

/* ---- blocked --------------------------------------------------------------------------------- */

static enum rc_code store_error(struct work *work, const struct delta_job *blocking,
                                const char *message, struct rc_error *err)
{
    struct delta_session *session = work->session;
    int64_t now_unix_ms = delta_session_now_unix_ms(session);
    const char *blocking_uri = blocking ? blocking->uri : NULL;
    RC_BUF_AUTO(text, DELTA_STATEMENT_BYTES);
    char uuid[DELTA_UUID_TEXT];
    bool is_there;

    delta_error_uuid(work->entry, work->kind, blocking_uri, now_unix_ms, uuid);
    delta_add_ask_error(&text, work->entry, uuid);
    if (rc_buf_check(&text, err) ||
        sparql_ask(session->job, &session->store, "whether the error is there", text.data,
                   &is_there, err))
        return err->code;
    if (is_there)
        return RC_OK;
    rc_buf_reset(&text);
    delta_add_error(&text, work->entry, blocking_uri, message, uuid, now_unix_ms);
    if (send(work, "the error of a blocked job", &text, err))
        return err->code;
    if (!session->job->dry_run)
        rc_job_count(session->job, "errors_stored", 1);
    return RC_OK;
}

/* That it was blocked stands, whether it can be recorded or not. */
static void record(struct work *work, const struct delta_job *blocking, const char *message)
{
    struct rc_error err = RC_ERROR_INIT;

    if (store_error(work, blocking, message, &err))
        rc_warn(work->session->job, "cannot record that the %s was blocked, going on: %s%s%s",
                delta_kind_text(work->kind), err.context, *err.context ? ": " : "", err.cause);
}

static void record_reasons(struct work *work)
{
    const char *kind = delta_kind_text(work->kind);
    const char *operation = work->entry->job_operation[work->kind];
    size_t recorded = 0;

    if (work->out->verdict == DELTA_TOO_EARLY && work->out->reasons.count == 0) {
        RC_STR_AUTO message = rc_strf(
            "No %s job (%s) was created, since no initial sync has succeeded yet", kind, operation);

        record(work, NULL, message);
        return;
    }
    for (size_t i = 0; i < work->out->reasons.count && recorded < MOST_ERRORS; i++) {
        const struct delta_job *job = &work->out->reasons.items[i];

        if (!delta_job_is_named(job))
            continue;
        RC_STR_AUTO message =
            rc_strf("No %s job (%s) was created, since the %s job %s is %s", kind, operation,
                    delta_kind_text(job->kind), job->uri, delta_status_name(job->status));

        record(work, job, message);
        recorded++;
    }
}

/* ---- verdicts -------------------------------------------------------------------------------- */

/* There is no job. */
static enum rc_code settle(struct work *work, enum delta_verdict verdict,
                           const struct delta_list *jobs, struct rc_error *err)
{
    struct delta_outcome *out = work->out;

    out->verdict = verdict;
    for (size_t i = 0; i < jobs->count; i++)
        if (delta_rules_names(&work->rules, verdict, work->kind, &jobs->items[i]) &&
            delta_list_add(&out->reasons, &jobs->items[i], err))
            return err->code;
    work->is_settled = true;
    if (verdict != DELTA_FREE && verdict != DELTA_DONE)
        rc_job_count(work->session->job, "jobs_blocked", 1);
    if (verdict == DELTA_BLOCKED || verdict == DELTA_TOO_EARLY)
        record_reasons(work);
    return RC_OK;
}

static void settle_created(struct work *work)
{
    work->out->verdict = DELTA_FREE;
    work->out->job_uri = work->job_uri;
    work->out->task_uri = work->task_uri;
    work->job_uri = work->task_uri = NULL;
    work->is_settled = true;
    rc_job_count(work->session->job, "jobs_created", 1);
}

/* The store has let another one in at the same time. */
static enum rc_code withdraw(struct work *work, struct rc_error *err)
{
    struct rc_job *run = work->session->job;
    RC_STR_AUTO what = rc_strf("the withdrawal of the job <%s>", work->job_uri);
    RC_BUF_AUTO(update, DELTA_STATEMENT_BYTES);

    delta_add_remove(&update, work->entry, work->job_uri, /* force = */ true);
    if (send(work, what, &update, err))
        return rc_context(err, "the job <%s> was created beside another one and stays there",
                          work->job_uri);
    rc_info(run, "withdrew the job <%s>: another one was created at the same time", work->job_uri);
    rc_job_count(run, "withdrawn", 1);
    return choose_names(work, err);
}

/* ---- steps ----------------------------------------------------------------------------------- */

/*
 * What has to be known before the update, if anything: which jobs' time is up; how long ago one
 * failed, of which the update says nothing; and under --dry-run all.
 */
static enum rc_code look_ahead(struct work *work, int64_t now_unix_ms, struct rc_error *err)
{
    struct delta_list jobs = { 0 };
    enum delta_verdict verdict;
    enum rc_code code;

    if (work->session->config->job_timeout_min == 0 && !work->rules.once &&
        !work->session->job->dry_run)
        return RC_OK;
    code = delta_read_jobs(work->session, work->entry, /* own_uri = */ NULL, &jobs, err);
    if (code == RC_OK)
        code = fail_overdue(work, &jobs, now_unix_ms, err);
    if (code == RC_OK) {
        verdict = delta_rules_judge(&work->rules, work->kind, jobs.items, jobs.count);
        if (verdict != DELTA_FREE)
            code = settle(work, verdict, &jobs, err);
    }
    delta_list_clear(&jobs);
    return code;
}

/* Whether an update that failed with this may have been done, or may be done yet. */
static bool is_unknown(enum rc_code code)
{
    return code == RC_UNAVAILABLE || code == RC_TIMEOUT || code == RC_CORRUPT || code == RC_FAILED;
}

static enum rc_code insert(struct work *work, int64_t now_unix_ms, struct rc_error *err)
{
    struct delta_creation creation = {
        .entry = work->entry,
        .kind = work->kind,
        .rules = &work->rules,
        .job_uuid = work->job_uuid,
        .task_uuid = work->task_uuid,
        .now_unix_ms = now_unix_ms,
    };
    RC_STR_AUTO what = rc_strf("the new %s job <%s>", delta_kind_text(work->kind), work->job_uri);
    RC_BUF_AUTO(update, DELTA_STATEMENT_BYTES);

    delta_add_create(&update, &creation);
    work->unknown = (struct rc_error)RC_ERROR_INIT;
    if (send(work, what, &update, err) == RC_OK)
        return RC_OK;
    if (!is_unknown(err->code))
        return err->code;
    work->unknown = *err;
    return RC_OK;
}

/*
 * Only a job that excludes ours by being active, or by being the one of which there is to be one
 * only, is another's that got in at the same time.
 */
static bool is_excluded(enum delta_verdict verdict)
{
    return verdict == DELTA_DONE || verdict == DELTA_BLOCKED;
}

/* One read says what became of it. Leaves it unsettled where all begins again. */
static enum rc_code look_back(struct work *work, struct rc_error *err)
{
    struct delta_list jobs = { 0 };
    const struct delta_job *own;
    enum delta_verdict verdict;
    enum delta_status status = DELTA_OTHER_STATUS;
    bool is_there;
    enum rc_code code = delta_read_jobs(work->session, work->entry, work->job_uri, &jobs, err);

    if (code)
        goto out;
    own = delta_list_find(&jobs, work->job_uri);
    is_there = own != NULL;
    if (own) {
        status = own->status;
        delta_list_remove(&jobs, (size_t)(own - jobs.items));
    }
    verdict = delta_rules_judge(&work->rules, work->kind, jobs.items, jobs.count);
    if (!is_there && verdict != DELTA_FREE)
        code = settle(work, verdict, &jobs, err);
    else if (is_there && delta_is_active(status) && is_excluded(verdict))
        code = withdraw(work, err);
    else if (is_there)
        settle_created(work); /* also if somebody has worked it off by now */
out:
    delta_list_clear(&jobs);
    return code;
}

static enum rc_code run_round(struct work *work, struct rc_error *err)
{
    int64_t now_unix_ms = delta_session_now_unix_ms(work->session);

    delta_rules_make(work->session->config, work->entry, work->kind, work->force, now_unix_ms,
                     &work->rules);
    if (look_ahead(work, now_unix_ms, err))
        return err->code;
    if (work->is_settled)
        return RC_OK;
    if (insert(work, now_unix_ms, err))
        return err->code;
    if (work->session->job->dry_run) {
        work->out->verdict = DELTA_FREE;
        work->is_settled = true;
        return RC_OK;
    }
    if (look_back(work, err)) {
        if (work->unknown.code)
            return rc_context(err, "see whether it was created, which is not known since: %s",
                              work->unknown.cause);
        return rc_context(err, "see whether it was created");
    }
    return RC_OK;
}

static enum rc_code give_up(const struct work *work, struct rc_error *err)
{
    if (work->unknown.code) {
        *err = work->unknown;
        return err->code;
    }
    return rc_fail(err, RC_UNAVAILABLE,
                   "%d times nothing stood in its way, and yet it is not to be seen: others come "
                   "and go, or this user may not read what he writes to the graph <%s>, or the "
                   "store drops it",
                   (int)ROUNDS, work->entry->jobs_graph);
}

static enum rc_code run_rounds(struct work *work, struct rc_error *err)
{
    int64_t longest_ms = PAUSE_MS;

    if (choose_names(work, err))
        return err->code;
    for (int round = 1;; round++, longest_ms *= 2) {
        if (run_round(work, err))
            return err->code;
        if (work->is_settled)
            return RC_OK;
        if (round == ROUNDS || (work->unknown.code && !rc_retryable(work->unknown.code)))
            return give_up(work, err);
        if (pause_at_random(work->session->job, longest_ms, err))
            return err->code;
    }
}

enum rc_code delta_create(struct delta_session *session, const struct delta_entry *entry,
                          enum delta_kind kind, bool force, struct delta_outcome *out,
                          struct rc_error *err)
{
    struct work work = {
        .session = session,
        .entry = entry,
        .kind = kind,
        .force = force,
        .out = out,
        .unknown = RC_ERROR_INIT,
    };
    enum rc_code code;

    *out = (struct delta_outcome){ 0 };
    if (delta_entry_has(entry, kind, err))
        return err->code;
    if (entry->disabled[kind])
        return rc_fail(err, RC_SKIPPED, "%s jobs are disabled", delta_kind_text(kind));
    code = run_rounds(&work, err);
    clear_names(&work);
    if (code == RC_OK)
        return RC_OK;
    delta_outcome_clear(out);
    return rc_context(err, "create a job of <%s>", entry->job_operation[kind]);
}
