/*
 * The endpoints, at the paths and with the words of the older system: of the only stream at the
 * root, of one that has a name below it. Beside its words an answer has URIs, for programs.
 */
#include "run.h"
#include "standing.h"

#include <run-core/buf.h>
#include <run-core/str.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { ANSWER_LIMIT = 16 << 20, SECONDS_TEXT = 24, ROUTE_ATTEMPTS = 2 };

/* ---- a request ------------------------------------------------------------------------------- */

/* What every handler works with. */
struct request {
    struct rc_job *job;
    struct rc_exchange *exchange;
    struct delta_config config;
    struct delta_entries entries;
    const struct delta_entry *entry; /* that the path is of */
    bool force;
    struct delta_session session;
};

static enum rc_code read_force(struct request *request, struct rc_error *err)
{
    const char *text = rc_exchange_query(request->job, request->exchange, "force");

    request->force = text && !*text; /* ?force */
    if (text && *text && !rc_parse_bool(text, &request->force))
        return rc_fail(err, RC_INVALID, "'force' is '%s'; it is true or false", text);
    return RC_OK;
}

/* The stream that the path names, or the only one. */
static enum rc_code find_stream(struct request *request, struct rc_error *err)
{
    const struct delta_entries *entries = &request->entries;
    const char *name = rc_exchange_param(request->job, request->exchange, "name");

    if (!delta_entries_find(entries, name ? name : "", &request->entry, err))
        return RC_OK;
    if (name)
        return rc_fail(err, RC_NOT_FOUND, "%s", err->cause);
    return rc_fail(err, RC_NOT_FOUND, "the endpoints of a stream are below its name, as in /%s%s",
                   entries->items[0].name, rc_exchange_path(request->job, request->exchange));
}

/* Without the store, so that a wrong path is told even if that is away. */
static enum rc_code open_request(struct request *request, struct rc_job *job, const void *config,
                                 struct rc_exchange *exchange, struct rc_error *err)
{
    *request = (struct request){ .job = job, .exchange = exchange };
    request->config = *(const struct delta_config *)config;
    /* Whoever asks may ask again, and holds one of few threads meanwhile. */
    if (request->config.attempts > ROUTE_ATTEMPTS)
        request->config.attempts = ROUTE_ATTEMPTS;
    if (read_force(request, err))
        return err->code;
    return delta_entries_make(&request->config, &request->entries, err);
}

/* RC_NOT_FOUND: the stream has no such jobs. */
static enum rc_code check_kind(const struct request *request, enum delta_kind kind,
                               struct rc_error *err)
{
    return delta_entry_has(request->entry, kind, err) ? rc_fail(err, RC_NOT_FOUND, "%s", err->cause)
                                                      : RC_OK;
}

static void close_request(struct request *request)
{
    delta_session_close(&request->session);
    delta_entries_clear(&request->entries);
}

/* ---- answers --------------------------------------------------------------------------------- */

static void add_uris(struct rc_buf *out, const struct delta_list *jobs)
{
    rc_buf_addc(out, '[');
    for (size_t i = 0; i < jobs->count; i++) {
        rc_buf_adds(out, i ? "," : "");
        rc_buf_add_json(out, jobs->items[i].uri, strlen(jobs->items[i].uri));
    }
    rc_buf_addc(out, ']');
}

static void add_text(struct rc_buf *out, const char *text)
{
    if (text)
        rc_buf_add_json(out, text, strlen(text));
    else
        rc_buf_adds(out, "null");
}

static enum rc_code reply(struct request *request, unsigned status, struct rc_buf *body,
                          struct rc_error *err)
{
    rc_buf_addc(body, '\n');
    if (rc_buf_check(body, err))
        return err->code;
    rc_exchange_reply(request->job, request->exchange, status, "application/json", body->data,
                      body->len);
    return RC_OK;
}

static enum rc_code reply_conflict(struct request *request, const char *why,
                                   const struct delta_list *blocking, struct rc_error *err)
{
    RC_BUF_AUTO(body, ANSWER_LIMIT);

    rc_buf_adds(&body, "{\"error\":");
    add_text(&body, why);
    rc_buf_adds(&body, ",\"blocking\":");
    add_uris(&body, blocking);
    rc_buf_addc(&body, '}');
    return reply(request, 409, &body, err);
}

/*
 * What the store refused is no fault of whoever asked, and no secret to him: 502. What may pass is
 * 503 or 504, as of any plugin.
 */
static enum rc_code answer_failure(struct request *request, struct rc_error *err)
{
    enum rc_code code = err->code;
    struct rc_error ignored = RC_ERROR_INIT;
    RC_BUF_AUTO(text, 2 * RC_ERROR_TEXT + 8);
    RC_BUF_AUTO(body, ANSWER_LIMIT);
    char seconds[SECONDS_TEXT];

    if (code == RC_UNAVAILABLE) {
        (void)snprintf(seconds, sizeof(seconds), "%" PRId64, request->config.ping_interval_s);
        rc_exchange_add_header(request->job, request->exchange, "Retry-After", seconds);
    }
    if (rc_retryable(code) || code == RC_CANCELLED)
        return code;
    rc_buf_addf(&text, "%s%s%s", err->context, *err->context ? ": " : "", err->cause);
    rc_buf_adds(&body, "{\"error\":");
    add_text(&body, text.data);
    rc_buf_addc(&body, '}');
    (void)reply(request, 502, &body, &ignored);
    return code;
}

/* What a request has changed is in the log, too; whoever asked may not have waited for it. */
static void note(struct request *request, const char *text)
{
    const char *name = request->entry->name;

    if (!request->job->dry_run)
        rc_info(request->job, "%s%s%s", name, *name ? ": " : "", text);
}

/* ---- POST: a job is created ------------------------------------------------------------------ */

static enum rc_code answer_outcome(struct request *request, enum delta_kind kind,
                                   const struct delta_outcome *outcome, struct rc_error *err)
{
    RC_BUF_AUTO(body, ANSWER_LIMIT);

    if (outcome->verdict != DELTA_FREE) {
        delta_outcome_explain(outcome, kind, delta_session_now_unix_ms(&request->session), &body);
        RC_STR_AUTO why = rc_strf("no %s: %s", delta_kind_text(kind), body.data);
        return reply_conflict(request, why, &outcome->reasons, err);
    }
    RC_STR_AUTO text = delta_created_text(kind, outcome->job_uri);
    note(request, text);
    rc_buf_adds(&body, "{\"msg\":");
    add_text(&body, text);
    rc_buf_adds(&body, ",\"job\":");
    add_text(&body, outcome->job_uri);
    rc_buf_adds(&body, ",\"task\":");
    add_text(&body, outcome->task_uri);
    rc_buf_addc(&body, '}');
    return reply(request, 200, &body, err);
}

static enum rc_code create(struct request *request, enum delta_kind kind, struct rc_error *err)
{
    static const struct delta_list none;
    struct delta_outcome outcome = { 0 };
    enum rc_code code;

    if (check_kind(request, kind, err))
        return err->code;
    if (delta_session_open(request->job, &request->config, &request->session, err))
        return answer_failure(request, err);
    code = delta_create(&request->session, request->entry, kind, request->force, &outcome, err);
    if (code == RC_SKIPPED) {
        RC_STR_AUTO why = rc_strdup(err->cause);
        return reply_conflict(request, why, &none, err);
    }
    if (code)
        return answer_failure(request, err);
    code = answer_outcome(request, kind, &outcome, err);
    delta_outcome_clear(&outcome);
    return code;
}

/* ---- DELETE: jobs are removed ---------------------------------------------------------------- */

static enum rc_code answer_removed(struct request *request, enum delta_kind kind,
                                   const struct delta_list *removed, const struct delta_list *kept,
                                   struct rc_error *err)
{
    RC_BUF_AUTO(body, ANSWER_LIMIT);
    RC_STR_AUTO text = delta_cleaned_text(kind, removed);

    for (size_t i = 0; i < removed->count; i++) {
        RC_STR_AUTO line = rc_strf("removed <%s>, which was %s", removed->items[i].uri,
                                   delta_status_name(removed->items[i].status));

        note(request, line);
    }
    rc_buf_adds(&body, "{\"msg\":");
    add_text(&body, text);
    rc_buf_adds(&body, ",\"removed\":");
    add_uris(&body, removed);
    rc_buf_adds(&body, ",\"kept\":");
    add_uris(&body, kept);
    rc_buf_addc(&body, '}');
    return reply(request, 200, &body, err);
}

static enum rc_code clean(struct request *request, enum delta_kind kind, struct rc_error *err)
{
    struct delta_list removed = { 0 }, kept = { 0 };
    enum rc_code code;

    if (check_kind(request, kind, err))
        return err->code;
    if (delta_session_open(request->job, &request->config, &request->session, err))
        return answer_failure(request, err);
    code =
        delta_clean(&request->session, request->entry, kind, request->force, &removed, &kept, err);
    code =
        code ? answer_failure(request, err) : answer_removed(request, kind, &removed, &kept, err);
    delta_list_clear(&removed);
    delta_list_clear(&kept);
    return code;
}

/* ---- GET: how the streams stand -------------------------------------------------------------- */

static enum rc_code add_standing(struct request *request, const struct delta_entry *entry,
                                 struct rc_buf *body, struct rc_error *err)
{
    struct delta_standing standing;

    if (delta_standing_read(&request->session, entry, &standing, err))
        return err->code;
    delta_standing_json(&standing, entry, body);
    delta_standing_clear(&standing);
    return RC_OK;
}

static enum rc_code stand(struct request *request, enum delta_kind kind, struct rc_error *err)
{
    RC_BUF_AUTO(body, ANSWER_LIMIT);

    (void)kind;
    if (delta_session_open(request->job, &request->config, &request->session, err) ||
        add_standing(request, request->entry, &body, err))
        return answer_failure(request, err);
    return reply(request, 200, &body, err);
}

static enum rc_code stand_all(struct request *request, struct rc_error *err)
{
    RC_BUF_AUTO(body, ANSWER_LIMIT);

    if (delta_session_open(request->job, &request->config, &request->session, err))
        return answer_failure(request, err);
    rc_buf_adds(&body, "{\"streams\":[");
    for (size_t i = 0; i < request->entries.count; i++) {
        rc_buf_adds(&body, i ? "," : "");
        if (add_standing(request, &request->entries.items[i], &body, err))
            return answer_failure(request, err);
    }
    rc_buf_adds(&body, "]}");
    return reply(request, 200, &body, err);
}

/* ---- handlers -------------------------------------------------------------------------------- */

typedef enum rc_code request_fn(struct request *request, enum delta_kind kind,
                                struct rc_error *err);

/* Does something to the stream that the path is of. */
static enum rc_code handle(struct rc_job *job, const void *config, struct rc_exchange *exchange,
                           request_fn *work, enum delta_kind kind, struct rc_error *err)
{
    struct request request;
    enum rc_code code = open_request(&request, job, config, exchange, err);

    if (!code)
        code = find_stream(&request, err);
    if (!code)
        code = work(&request, kind, err);
    close_request(&request);
    return code;
}

#define HANDLER(name, work, kind)                                                                  \
    static enum rc_code name(struct rc_job *job, const void *config, struct rc_exchange *exchange, \
                             struct rc_error *err)                                                 \
    {                                                                                              \
        return handle(job, config, exchange, work, kind, err);                                     \
    }

HANDLER(create_initial_sync, create, DELTA_INITIAL_SYNC)
HANDLER(create_healing, create, DELTA_HEALING)
HANDLER(create_dump, create, DELTA_DUMP)
HANDLER(clean_initial_syncs, clean, DELTA_INITIAL_SYNC)
HANDLER(clean_healings, clean, DELTA_HEALING)
HANDLER(clean_dumps, clean, DELTA_DUMP)
HANDLER(status_of_one, stand, DELTA_KIND_COUNT)

static enum rc_code status_of_all(struct rc_job *job, const void *config,
                                  struct rc_exchange *exchange, struct rc_error *err)
{
    struct request request;
    enum rc_code code = open_request(&request, job, config, exchange, err);

    if (!code)
        code = stand_all(&request, err);
    close_request(&request);
    return code;
}

static enum rc_code greet(struct rc_job *job, const void *config, struct rc_exchange *exchange,
                          struct rc_error *err)
{
    static const char greeting[] = "Hello from delta-producer-background-jobs-initiator :)\n";

    (void)config;
    (void)err;
    rc_exchange_reply(job, exchange, 200, "text/plain; charset=utf-8", greeting,
                      sizeof(greeting) - 1);
    return RC_OK;
}

#define DUMPS "/dump-publication-graph-jobs"
#define HEALINGS "/healing-jobs"
#define INITIAL_SYNCS "/initial-sync-jobs"

/* clang-format off */
const struct rc_route delta_routes[] = {
    { "GET", "/", "Greets.", greet },
    { "GET", "/status", "How every stream stands.", status_of_all },
    { "GET", "/{name}/status", "How a stream stands.", status_of_one },
    { "POST", DUMPS, "Creates a dump; ?force=true in spite of active jobs.", create_dump },
    { "POST", HEALINGS, "Creates a healing; ?force=true in spite of active jobs.", create_healing },
    { "POST", INITIAL_SYNCS, "Creates the initial sync, once.", create_initial_sync },
    { "POST", "/{name}" DUMPS, "The same of a stream that has a name.", create_dump },
    { "POST", "/{name}" HEALINGS, "The same of a stream that has a name.", create_healing },
    { "POST", "/{name}" INITIAL_SYNCS, "The same of a stream that has a name.",
      create_initial_sync },
    { "DELETE", DUMPS, "Removes dumps; ?force=true active ones, too.", clean_dumps },
    { "DELETE", HEALINGS, "Removes healings; ?force=true active ones, too.", clean_healings },
    { "DELETE", INITIAL_SYNCS, "Removes initial syncs; ?force=true active ones, too.",
      clean_initial_syncs },
    { "DELETE", "/{name}" DUMPS, "The same of a stream that has a name.", clean_dumps },
    { "DELETE", "/{name}" HEALINGS, "The same of a stream that has a name.", clean_healings },
    { "DELETE", "/{name}" INITIAL_SYNCS, "The same of a stream that has a name.",
      clean_initial_syncs },
    { 0 },
};
/* clang-format on */
