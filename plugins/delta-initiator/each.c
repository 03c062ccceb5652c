/*
 * The streams in turn, for every action; and what an action says. What is done with one of them
 * is the action's.
 */
#include "run.h"

#include <run-core/buf.h>
#include <run-core/str.h>

#include <stdarg.h>
#include <stdio.h>

/* ---- what is said ---------------------------------------------------------------------------- */

void delta_say(struct delta_session *session, const struct delta_entry *entry, const char *format,
               ...)
{
    RC_BUF_AUTO(text, DELTA_TEXT_LIMIT);
    va_list arguments;

    if (*entry->name)
        rc_buf_addf(&text, "%s: ", entry->name);
    va_start(arguments, format);
    rc_buf_addv(&text, format, arguments);
    va_end(arguments);
    rc_job_say(session->job, text.data);
}

char *delta_created_text(enum delta_kind kind, const char *uri)
{
    static const char *const befores[] = { "Sync job started", "Healing job",
                                           "Dump publication graph job" };
    static const char *const behinds[] = { "", " triggered", " triggered" };

    return rc_strf("%s%s%s%s", befores[kind], uri ? " " : "", uri ? uri : "", behinds[kind]);
}

char *delta_cleaned_text(enum delta_kind kind, const struct delta_list *removed)
{
    RC_BUF_AUTO(text, DELTA_TEXT_LIMIT);

    if (kind == DELTA_HEALING)
        return rc_strdup("Healing job cleaned");
    if (kind == DELTA_DUMP)
        return rc_strdup("Dump publication graph job cleaned");
    rc_buf_adds(&text, "Sync job cleaned");
    for (size_t i = 0; i < removed->count; i++)
        rc_buf_addf(&text, "%s %s", i ? "," : "", removed->items[i].uri);
    return rc_buf_take(&text);
}

/* What the older system's configuration counted from 0 is another month now. */
void delta_warn_of_months(struct delta_session *session, const struct delta_entry *entry,
                          enum delta_kind kind)
{
    static const char *const options[] = { "", "cronPatternHealingJob", "cronPatternDumpJob" };

    if (entry->cron[kind] && delta_cron_numbers_months(entry->cron[kind]))
        rc_warn(session->job,
                "%s%s%s '%s' names months by number: they count from 1 here, and did from 0 in the "
                "older system; with names, such as JAN, there is no doubt",
                entry->name, *entry->name ? ": " : "", options[kind], entry->cron[kind]);
}

/* ---- one stream after the other -------------------------------------------------------------- */

/* How often it went how. */
struct tally {
    size_t tried, failed, skipped;
    enum rc_code code; /* of those that failed, if it is the same of all */
    char failure[RC_ERROR_TEXT], reason[RC_ERROR_TEXT]; /* why the first failed, was skipped */
};

static void text_of(const struct rc_error *err, struct rc_buf *out)
{
    rc_buf_addf(out, "%s%s%s", err->context, *err->context ? ": " : "", err->cause);
}

/* What ends the run itself, and not the work on one stream: a request may be out of time, too. */
static bool ends_run(struct rc_job *job, enum rc_code code)
{
    struct rc_error ignored = RC_ERROR_INIT;

    return code == RC_CANCELLED || (code == RC_TIMEOUT && rc_job_check(job, &ignored));
}

static void note(struct delta_session *session, const struct delta_entry *entry,
                 struct tally *tally, const struct rc_error *err)
{
    RC_BUF_AUTO(text, 2 * RC_ERROR_TEXT + 2);

    text_of(err, &text);
    if (err->code == RC_SKIPPED) {
        if (tally->skipped++ == 0)
            (void)snprintf(tally->reason, RC_ERROR_TEXT, "%s: %s", entry->name, text.data);
        delta_say(session, entry, "%s", text.data);
        return;
    }
    tally->code = tally->failed && tally->code != err->code ? RC_FAILED : err->code;
    if (tally->failed++ == 0)
        (void)snprintf(tally->failure, RC_ERROR_TEXT, "%s: %s", entry->name, text.data);
    rc_error(session->job, "%s: %s", entry->name, text.data);
}

static enum rc_code conclude(const struct tally *tally, struct rc_error *err)
{
    if (tally->failed)
        return rc_fail(err, tally->code == RC_INVALID ? RC_FAILED : tally->code,
                       "%zu of %zu streams failed%s%s", tally->failed, tally->tried,
                       tally->failed == 1 ? ": " : ", the first: ", tally->failure);
    if (tally->skipped)
        return rc_fail(err, RC_SKIPPED, "%zu of %zu streams skipped%s%s", tally->skipped,
                       tally->tried, tally->skipped == 1 ? ": " : ", the first: ", tally->reason);
    return RC_OK;
}

static enum rc_code do_all(struct delta_session *session, const struct delta_each *each,
                           struct rc_error *err)
{
    struct tally tally = { 0 };

    for (size_t i = 0; i < session->entries.count; i++) {
        const struct delta_entry *entry = &session->entries.items[i];
        enum rc_code code;

        if (each->wanted && !each->wanted(entry, each->context))
            continue;
        code = rc_job_check(session->job, err);
        if (!code)
            code = each->work(session, entry, each->context, err);
        if (ends_run(session->job, code))
            return rc_context(err, "the stream '%s'", entry->name);
        tally.tried++;
        if (code)
            note(session, entry, &tally, err);
        rc_job_progress(session->job, (int64_t)i + 1, (int64_t)session->entries.count, "streams");
    }
    if (tally.tried == 0) {
        RC_STR_AUTO text = rc_strf("nothing to do: %s", each->nothing);

        rc_job_say(session->job, text);
    }
    return conclude(&tally, err);
}

static enum rc_code do_streams(struct delta_session *session, const struct delta_each *each,
                               struct rc_error *err)
{
    const struct delta_entry *entry = &session->entries.items[0];

    if (each->name && *each->name) {
        if (delta_entries_find(&session->entries, each->name, &entry, err))
            return rc_context(err, "parameter 'entry'");
    } else if (session->entries.count > 1) {
        return do_all(session, each, err);
    }
    return each->work(session, entry, each->context, err);
}

enum rc_code delta_each(struct rc_job *job, const struct delta_config *config,
                        const struct delta_each *each, struct rc_error *err)
{
    struct delta_session session;
    enum rc_code code = delta_session_open(job, config, &session, err);

    if (code)
        return code;
    code = do_streams(&session, each, err);
    delta_session_close(&session);
    return code;
}
