/*
 * Reads how a stream stands, and says it to people and programs. Which jobs stand in the way of
 * which is judged by rules.c.
 */
#include "standing.h"
#include "reading.h"

#include <run-core/buf.h>
#include <run-core/str.h>

#include <inttypes.h>
#include <string.h>

enum { MINUTE_MS = 60000, REASON_LIMIT = 64 * 1024 };

bool delta_standing_has(const struct delta_entry *entry, enum delta_kind kind)
{
    return entry->job_operation[kind] && !entry->disabled[kind];
}

const char *delta_verdict_name(enum delta_verdict verdict)
{
    static const char *const names[] = {
        [DELTA_FREE] = "free",
        [DELTA_DONE] = "done",
        [DELTA_BLOCKED] = "blocked",
        [DELTA_TOO_EARLY] = "too early",
        [DELTA_FAILED_LATELY] = "failed lately",
        [DELTA_FAILED_FOR_GOOD] = "failed for good",
    };

    return names[verdict];
}

/* ---- reading --------------------------------------------------------------------------------- */

/* Whoever creates a job marks what is overdue as failed before he looks what is in the way. */
static void take_overdue_for_failed(struct delta_list *jobs, const struct delta_config *config,
                                    int64_t now_unix_ms)
{
    for (size_t i = 0; i < jobs->count; i++) {
        struct delta_job *job = &jobs->items[i];

        if (!delta_is_overdue(job, config, now_unix_ms) || !delta_job_is_named(job))
            continue;
        job->status = DELTA_FAILED;
        job->modified_unix_ms = now_unix_ms;
    }
}

static enum rc_code judge(struct delta_session *session, const struct delta_entry *entry,
                          enum delta_kind kind, const struct delta_list *jobs,
                          struct delta_standing *out, struct rc_error *err)
{
    struct delta_outcome *outcome = &out->now[kind];
    struct delta_rules rules;

    delta_rules_make(session->config, entry, kind, /* force = */ false, out->read_unix_ms, &rules);
    outcome->verdict = delta_rules_judge(&rules, kind, jobs->items, jobs->count);
    for (size_t i = 0; i < jobs->count; i++)
        if (delta_rules_names(&rules, outcome->verdict, kind, &jobs->items[i]) &&
            delta_list_add(&outcome->reasons, &jobs->items[i], err))
            return err->code;
    return RC_OK;
}

enum rc_code delta_standing_read(struct delta_session *session, const struct delta_entry *entry,
                                 struct delta_standing *out, struct rc_error *err)
{
    struct delta_list jobs = { 0 };
    enum rc_code code;

    *out = (struct delta_standing){ .read_unix_ms = delta_session_now_unix_ms(session) };
    if (delta_summarise(session, entry, out->summaries, err))
        return err->code;
    code = delta_read_jobs(session, entry, /* own_uri = */ NULL, &jobs, err);
    take_overdue_for_failed(&jobs, session->config, out->read_unix_ms);
    for (size_t kind = 0; kind < DELTA_KIND_COUNT && !code; kind++)
        code = judge(session, entry, (enum delta_kind)kind, &jobs, out, err);
    delta_list_clear(&jobs);
    if (code)
        delta_standing_clear(out);
    return code;
}

void delta_standing_clear(struct delta_standing *standing)
{
    for (size_t kind = 0; kind < DELTA_KIND_COUNT; kind++)
        delta_outcome_clear(&standing->now[kind]);
    delta_summaries_clear(standing->summaries);
}

/* ---- for people ------------------------------------------------------------------------------ */

/* Seconds do not matter once there are hours. */
static const char *duration(int64_t ms, char out[RC_AMOUNT_TEXT])
{
    int64_t step_ms = ms >= RC_DAY_MS ? 60 * MINUTE_MS : ms >= 60 * MINUTE_MS ? MINUTE_MS : 1000;

    return rc_format_duration(ms - ms % step_ms, out);
}

void delta_standing_state(const struct delta_standing *standing, const struct delta_config *config,
                          enum delta_kind kind, struct rc_buf *out)
{
    const struct delta_job *job = &standing->summaries[kind].newest;
    int64_t age_ms, left_ms;
    char text[RC_AMOUNT_TEXT];

    if (!job->uri)
        return;
    if (job->modified_unix_ms == DELTA_TIME_UNKNOWN) {
        rc_buf_addf(out, "%s, since when is not known", delta_status_name(job->status));
        return;
    }
    age_ms = standing->read_unix_ms - job->modified_unix_ms;
    duration(age_ms > 0 ? age_ms : 0, text);
    if (!delta_is_active(job->status)) {
        rc_buf_addf(out, "%s %s ago", delta_status_name(job->status), text);
        return;
    }
    rc_buf_addf(out, "%s for %s", delta_status_name(job->status), text);
    left_ms = config->job_timeout_min * MINUTE_MS - age_ms;
    if (config->job_timeout_min == 0)
        return;
    if (left_ms > 0)
        rc_buf_addf(out, ", times out in %s", duration(left_ms, text));
    else
        rc_buf_adds(out, ", timed out");
}

/* ---- for programs ---------------------------------------------------------------------------- */

static void add_member(struct rc_buf *out, const char *key, const char *value)
{
    rc_buf_addf(out, "\"%s\":", key);
    if (value)
        rc_buf_add_json(out, value, strlen(value));
    else
        rc_buf_adds(out, "null");
}

static const char *time_or_null(int64_t unix_ms, char out[RC_TIME_TEXT])
{
    return unix_ms == DELTA_TIME_UNKNOWN ? NULL : rc_format_time(unix_ms, out);
}

static void add_newest(struct rc_buf *out, const struct delta_job *job)
{
    char created[RC_TIME_TEXT], modified[RC_TIME_TEXT];

    if (!job->uri) {
        rc_buf_adds(out, "null");
        return;
    }
    rc_buf_addc(out, '{');
    add_member(out, "uri", job->uri);
    rc_buf_addc(out, ',');
    add_member(out, "status", delta_status_name(job->status));
    rc_buf_addc(out, ',');
    add_member(out, "created", time_or_null(job->created_unix_ms, created));
    rc_buf_addc(out, ',');
    add_member(out, "modified", time_or_null(job->modified_unix_ms, modified));
    rc_buf_addc(out, '}');
}

static void add_now(struct rc_buf *out, const struct delta_standing *standing, enum delta_kind kind)
{
    const struct delta_outcome *outcome = &standing->now[kind];
    RC_BUF_AUTO(why, REASON_LIMIT);

    if (outcome->verdict != DELTA_FREE)
        delta_outcome_explain(outcome, kind, standing->read_unix_ms, &why);
    rc_buf_addc(out, '{');
    add_member(out, "verdict", delta_verdict_name(outcome->verdict));
    rc_buf_addc(out, ',');
    add_member(out, "reason", why.len ? why.data : NULL);
    rc_buf_adds(out, ",\"blocking\":[");
    for (size_t i = 0; i < outcome->reasons.count; i++) {
        const char *uri = outcome->reasons.items[i].uri;

        rc_buf_adds(out, i ? "," : "");
        rc_buf_add_json(out, uri, strlen(uri));
    }
    rc_buf_adds(out, "]}");
}

static void add_kind(struct rc_buf *out, const struct delta_standing *standing,
                     const struct delta_entry *entry, enum delta_kind kind)
{
    const struct delta_summary *summary = &standing->summaries[kind];
    bool enabled = delta_standing_has(entry, kind);

    rc_buf_addf(out, "\"%s\":{", delta_kind_name(kind));
    add_member(out, "operation", entry->job_operation[kind]);
    rc_buf_addf(out, ",\"enabled\":%s,", enabled ? "true" : "false");
    add_member(out, "schedule", entry->cron[kind]);
    rc_buf_adds(out, ",\"count\":{");
    for (size_t status = 0; status <= DELTA_STATUS_COUNT; status++)
        rc_buf_addf(out, "%s\"%s\":%" PRId64, status ? "," : "",
                    delta_status_name((enum delta_status)status), summary->count[status]);
    rc_buf_adds(out, "},\"newest\":");
    add_newest(out, &summary->newest);
    rc_buf_adds(out, ",\"now\":");
    if (enabled)
        add_now(out, standing, kind);
    else
        rc_buf_adds(out, "null");
    rc_buf_addc(out, '}');
}

void delta_standing_json(const struct delta_standing *standing, const struct delta_entry *entry,
                         struct rc_buf *out)
{
    char time[RC_TIME_TEXT];

    rc_buf_addc(out, '{');
    add_member(out, "name", *entry->name ? entry->name : NULL);
    rc_buf_addc(out, ',');
    add_member(out, "jobsGraph", entry->jobs_graph);
    rc_buf_addc(out, ',');
    add_member(out, "time", rc_format_time(standing->read_unix_ms, time));
    rc_buf_addf(out, ",\"startInitialSync\":%s,\"jobs\":{",
                entry->start_initial_sync ? "true" : "false");
    for (size_t kind = 0; kind < DELTA_KIND_COUNT; kind++) {
        rc_buf_adds(out, kind ? "," : "");
        add_kind(out, standing, entry, (enum delta_kind)kind);
    }
    rc_buf_adds(out, "}}");
}
