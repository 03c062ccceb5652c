/*
 * The jobs of the configuration: what they are, when they are due, and how they fare.
 */
#include <api/call.h>

#include <os/clock.h>
#include <runtime/job_schedule.h>

#include <run-core/str.h>
#include <run-core/time.h>

#include <string.h>

enum ternary { ANY, YES, NO };

static const char *const ternary[] = { "any", "true", "false", NULL };

const struct rc_option core_jobs_options[] = {
    { RC_STR("plugin", struct core_jobs_query, plugin), .help = "Only jobs of that plugin." },
    { RC_STR("match", struct core_jobs_query, match),
      .help = "Only jobs whose name has this text in it." },
    { RC_ENUM("paused", struct core_jobs_query, paused, ternary), .def = "any",
      .help = "Only jobs that are paused, or that are not." },
    { RC_INT("limit", struct core_jobs_query, limit), .def = "100", .min = 1, .max = 1000,
      .help = "Most jobs in the reply." },
    { RC_INT("offset", struct core_jobs_query, offset), .def = "0", .min = 0, .max = 1000000000,
      .help = "How many to pass over first." },
    { 0 },
};

const struct rc_option core_job_options[] = {
    { RC_INT("slots", struct core_job_query, slots), .def = "5", .min = 0, .max = 1000,
      .help = "How many of its next slots to show." },
    { RC_INT("runs", struct core_job_query, runs), .def = "10", .min = 0, .max = 100,
      .help = "How many of its latest runs to show." },
    { 0 },
};

/* ---- one job --------------------------------------------------------------------------------- */

static const char *const concurrencies[] = {
    [CORE_FORBID] = "forbid",
    [CORE_ALLOW] = "allow",
    [CORE_REPLACE] = "replace",
    [CORE_QUEUE] = "queue",
};

static const char *const misfires[] = {
    [CORE_MISFIRE_SKIP] = "skip",
    [CORE_MISFIRE_LATEST] = "latest",
    [CORE_MISFIRE_ALL] = "all",
};

/* Without the closing brace. */
static void add_job(const struct core_job_view *view, struct rc_buf *out)
{
    const struct core_job_settings *job = view->settings;

    core_json_comma(out);
    rc_buf_addc(out, '{');
    core_json_text(out, "name", job->name);
    core_json_text(out, "plugin", job->plugin);
    core_json_text(out, "action", job->action);
    core_json_text(out, "schedule", job->schedule);
    core_json_text(out, "time_zone", job->time_zone);
    core_json_time(out, "next", view->has_next ? view->next_unix_ms : 0);
    core_json_time(out, "paused", view->paused_unix_ms);
    core_json_text(out, "paused_by", view->paused_unix_ms ? view->paused_by : NULL);
    core_json_int(out, "running", view->workers);
    core_json_int(out, "waiting", view->waiting);
}

static void add_settings(const struct core_job_settings *job, struct rc_buf *out)
{
    core_json_text(out, "concurrency", concurrencies[job->concurrency]);
    core_json_text(out, "misfire", misfires[job->misfire]);
    core_json_int(out, "catchup_window_ms", job->catchup_window_ms);
    core_json_int(out, "timeout_ms", job->timeout_ms);
    core_json_int(out, "kill_after_ms", job->kill_after_ms);
    core_json_int(out, "max_attempts", job->retry.attempts);
}

static void add_slots(struct core_api_call *call, const struct core_job_settings *job,
                      struct rc_buf *out)
{
    const struct core_job_query *query = call->query;
    int64_t *slots = core_arena_alloc(&call->arena, (size_t)query->slots * sizeof(*slots));
    size_t count =
        core_supervisor_next(call->api->supervisor, job->name, slots, (size_t)query->slots);
    char text[RC_TIME_TEXT];

    core_json_key(out, "slots");
    rc_buf_addc(out, '[');
    for (size_t i = 0; i < count; i++) {
        core_json_comma(out);
        rc_buf_addf(out, "\"%s\"", rc_format_time(slots[i], text));
    }
    rc_buf_addc(out, ']');
}

static void add_explanation(const struct core_job_settings *job, struct rc_buf *out)
{
    struct core_time_zones *zones = core_time_zones_new();
    struct core_schedule *schedule = NULL;
    struct rc_error err = RC_ERROR_INIT;
    RC_BUF_AUTO(text, 64 * 1024);

    /* A schedule in effect was understood when it was loaded; if its zone's file has gone since,
     * there is no explanation. */
    if (core_job_schedule_make(job, zones, &schedule, &err) == RC_OK && schedule)
        core_schedule_explain(schedule, &text);
    core_json_text(out, "explanation", text.len ? text.data : NULL);
    core_schedule_free(schedule);
    core_time_zones_free(zones);
}

struct runs {
    struct core_api *api;
    struct rc_buf *out;
};

static void add_run(void *context, const struct core_run_record *record)
{
    struct runs *runs = context;

    core_api_add_run(runs->api, record, runs->out);
    rc_buf_addc(runs->out, '}');
}

static enum rc_code add_runs(struct core_api_call *call, const char *job, struct rc_buf *out,
                             struct rc_error *err)
{
    const struct core_job_query *query = call->query;
    const struct core_run_filter filter = { .job = job, .limit = query->runs };
    struct runs runs = { call->api, out };
    enum rc_code code = RC_OK;

    core_json_key(out, "runs");
    rc_buf_addc(out, '[');
    if (query->runs)
        code = core_ledger_runs(core_supervisor_ledger(call->api->supervisor), &filter, add_run,
                                &runs, err);
    rc_buf_addc(out, ']');
    return code;
}

void core_api_job(struct core_api_call *call)
{
    RC_BUF_AUTO(out, CORE_API_REPLY_BYTES);
    struct rc_error err = RC_ERROR_INIT;
    struct core_job_view view;

    if (!core_supervisor_find_job(call->api->supervisor, call->segments[0], &view)) {
        (void)core_supervisor_no_job(call->api->supervisor, call->segments[0], &err);
        core_api_fail(call, &err);
        return;
    }
    add_job(&view, &out);
    add_settings(view.settings, &out);
    add_slots(call, view.settings, &out);
    add_explanation(view.settings, &out);
    if (add_runs(call, view.settings->name, &out, &err)) {
        core_api_fail(call, &err);
        return;
    }
    rc_buf_addc(&out, '}');
    core_api_reply(call, &out);
}

/* ---- all of them ----------------------------------------------------------------------------- */

static bool matches(const struct core_jobs_query *query, const struct core_job_view *view)
{
    const struct core_job_settings *job = view->settings;

    return (!query->plugin || rc_str_eq(query->plugin, job->plugin)) &&
           (!query->match || strstr(job->name, query->match)) &&
           (query->paused == ANY || (view->paused_unix_ms != 0) == (query->paused == YES));
}

void core_api_jobs(struct core_api_call *call)
{
    const struct core_jobs_query *query = call->query;
    const struct core_supervisor *supervisor = call->api->supervisor;
    size_t count = core_supervisor_job_count(supervisor);
    RC_BUF_AUTO(out, CORE_API_REPLY_BYTES);
    int64_t total = 0;

    rc_buf_adds(&out, "{\"jobs\":[");
    for (size_t i = 0; i < count; i++) {
        struct core_job_view view;

        core_supervisor_job(supervisor, i, &view);
        if (!matches(query, &view))
            continue;
        if (total >= query->offset && total < query->offset + query->limit) {
            add_job(&view, &out);
            rc_buf_addc(&out, '}');
        }
        total++;
    }
    rc_buf_addc(&out, ']');
    core_json_int(&out, "total", total);
    rc_buf_addc(&out, '}');
    core_api_reply(call, &out);
}
