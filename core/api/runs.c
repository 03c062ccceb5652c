/*
 * Runs as the ledger has them, with the live values of those that go on here.
 */
#include <api/call.h>

#include <config/json.h>
#include <config/secrets.h>
#include <runtime/image.h>

#include <run-core/str.h>
#include <run-core/time.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char *const statuses[] = { "due",       "started", "succeeded", "failed", "timed_out",
                                        "cancelled", "lost",    "skipped",   NULL };

const struct rc_option core_runs_options[] = {
    { RC_STR("job", struct core_runs_query, job), .help = "Only runs of that job." },
    { RC_STR("plugin", struct core_runs_query, plugin), .help = "Only runs of that plugin." },
    { RC_LIST("status", struct core_runs_query, status), .choices = statuses,
      .help = "Only runs that have one of these, separated by commas." },
    { RC_STR("since", struct core_runs_query, since),
      .help = "Only runs that were due then or later (RFC 3339)." },
    { RC_STR("until", struct core_runs_query, until),
      .help = "Only runs that were due before then (RFC 3339)." },
    { RC_STR("before", struct core_runs_query, before),
      .help = "Only runs behind that one: the 'next' of the page before." },
    { RC_INT("limit", struct core_runs_query, limit), .def = "100", .min = 1, .max = 1000,
      .help = "Most runs in the reply." },
    { 0 },
};

/* ---- one run --------------------------------------------------------------------------------- */

static void add_live_counters(const struct core_status *status, struct rc_buf *out)
{
    size_t count = core_status_counters(status);

    core_json_key(out, "counters");
    rc_buf_addc(out, '{');
    for (size_t i = 0; i < count; i++) {
        core_json_comma(out);
        rc_buf_add_json(out, status->counters[i].name, strlen(status->counters[i].name));
        rc_buf_addf(out, ":%" PRId64, (int64_t)atomic_load(&status->counters[i].value));
    }
    rc_buf_addc(out, '}');
}

/* What is empty says nothing. */
static void add_word(struct rc_buf *out, const char *key, const char *text)
{
    core_json_text(out, key, text && *text ? text : NULL);
}

static void add_times(const struct core_run_record *record, struct rc_buf *out)
{
    if (record->has_slot) {
        char text[RC_TIME_TEXT];

        core_json_text(out, "slot", rc_format_time(record->slot_unix_ms, text));
    } else {
        core_json_text(out, "slot", NULL);
    }
    core_json_time(out, "due", record->due_unix_ms);
    core_json_time(out, "not_before", record->not_before_unix_ms);
    core_json_time(out, "started", record->started_unix_ms);
    core_json_time(out, "finished", record->finished_unix_ms);
}

void core_api_add_run(struct core_api *api, const struct core_run_record *record,
                      struct rc_buf *out)
{
    const struct core_status *live = record->status == CORE_RUN_STARTED
                                         ? core_supervisor_status(api->supervisor, record->id)
                                         : NULL;

    core_json_comma(out);
    rc_buf_addc(out, '{');
    core_json_text(out, "id", record->id);
    core_json_text(out, "job", record->job);
    core_json_text(out, "plugin", record->plugin);
    core_json_text(out, "action", record->action);
    core_json_text(out, "trigger", record->trigger);
    core_json_text(out, "status", core_run_status_name(record->status));
    add_word(out, "reason", record->reason);
    add_word(out, "message", record->message);
    add_times(record, out);
    core_json_int(out, "attempt", record->attempt);
    core_json_int(out, "max_attempts", record->attempts);
    core_json_key(out, "exit_status");
    if (record->exit_status >= 0)
        rc_buf_addf(out, "%" PRId64, record->exit_status);
    else
        rc_buf_adds(out, "null");
    core_json_bool(out, "force", record->force);
    if (live) {
        add_live_counters(live, out);
    } else {
        core_json_key(out, "counters");
        rc_buf_adds(out, record->counters && *record->counters ? record->counters : "{}");
    }
}

static void add_progress(const struct core_status *live, struct rc_buf *out)
{
    int64_t total;

    core_json_key(out, "progress");
    if (!live) {
        rc_buf_adds(out, "null");
        return;
    }
    total = atomic_load(&live->progress_total);
    rc_buf_addc(out, '{');
    core_json_int(out, "done", atomic_load(&live->progress_done));
    core_json_key(out, "total");
    if (total > 0)
        rc_buf_addf(out, "%" PRId64, total);
    else
        rc_buf_adds(out, "null");
    core_json_text(out, "unit", live->progress_unit[0] ? live->progress_unit : NULL);
    rc_buf_addc(out, '}');
}

/* ---- the values it was triggered with -------------------------------------------------------- */

static bool is_secret(const struct core_option_table *table, const char *key)
{
    struct rc_option option;

    for (size_t i = 0; core_option_at(table, i, &option); i++)
        if (rc_str_eq(option.name, key) || (option.also && rc_str_eq(option.also, key)))
            return (option.flags & RC_OPT_SECRET) != 0 || option.type == RC_OPT_OBJECTS;
    return false;
}

/* Without the plugin's table nobody knows what is secret, so everything is. */
static bool may_show(const struct core_plugin *plugin, const char *key)
{
    if (!plugin || is_secret(&plugin->options, key))
        return false;
    for (size_t i = 0; i < plugin->action_count; i++)
        if (is_secret(&plugin->actions[i].params, key))
            return false;
    return true;
}

static void add_set(struct core_api *api, const struct core_run_record *record, struct rc_buf *out)
{
    RC_CLEANUP(core_image_close) struct core_image image = CORE_IMAGE_INIT;
    struct core_arena arena = CORE_ARENA_INIT;
    struct rc_error err = RC_ERROR_INIT;
    RC_STR_AUTO file = NULL;
    CORE_PROBLEMS_AUTO(ignored);
    struct core_node *set = NULL;

    if (record->set)
        set = core_json_read(&arena, "set", record->set, strlen(record->set), &ignored);
    if (set &&
        (core_plugin_find(core_supervisor_config(api->supervisor), record->plugin, &file, &err) ||
         core_image_open(file, &image, &err)))
        image = (struct core_image)CORE_IMAGE_INIT;
    core_json_key(out, "set");
    rc_buf_addc(out, '{');
    for (size_t i = 0; set && set->kind == CORE_NODE_MAP && i < set->len; i++) {
        core_json_comma(out);
        rc_buf_add_json(out, set->entries[i].key, strlen(set->entries[i].key));
        rc_buf_addc(out, ':');
        if (may_show(image.plugin, set->entries[i].key))
            core_json_add(out, set->entries[i].value);
        else
            rc_buf_adds(out, "\"" CORE_SECRET_MASK "\"");
    }
    rc_buf_addc(out, '}');
    core_arena_clear(&arena);
}

/* ---- one, with its attempts ------------------------------------------------------------------ */

struct detail {
    struct core_api *api;
    struct rc_buf *out;
};

static void add_detail(void *context, const struct core_run_record *record)
{
    struct detail *detail = context;

    core_api_add_run(detail->api, record, detail->out);
    add_progress(record->status == CORE_RUN_STARTED
                     ? core_supervisor_status(detail->api->supervisor, record->id)
                     : NULL,
                 detail->out);
    add_set(detail->api, record, detail->out);
}

static void add_attempt(void *context, const struct core_attempt_record *record)
{
    struct rc_buf *out = context;

    core_json_comma(out);
    rc_buf_addc(out, '{');
    core_json_int(out, "number", record->number);
    core_json_text(out, "status", core_run_status_name(record->status));
    add_word(out, "reason", record->reason);
    add_word(out, "message", record->message);
    core_json_time(out, "started", record->started_unix_ms);
    core_json_time(out, "finished", record->finished_unix_ms);
    core_json_key(out, "exit_status");
    if (record->exit_status >= 0)
        rc_buf_addf(out, "%" PRId64, record->exit_status);
    else
        rc_buf_adds(out, "null");
    rc_buf_addc(out, '}');
}

void core_api_run(struct core_api_call *call)
{
    struct core_ledger *ledger = core_supervisor_ledger(call->api->supervisor);
    RC_BUF_AUTO(out, CORE_API_REPLY_BYTES);
    struct rc_error err = RC_ERROR_INIT;
    struct detail detail = { call->api, &out };

    if (core_ledger_run(ledger, call->segments[0], add_detail, &detail, &err)) {
        core_api_fail(call, &err);
        return;
    }
    core_json_key(&out, "attempts");
    rc_buf_addc(&out, '[');
    if (core_ledger_attempts(ledger, call->segments[0], add_attempt, &out, &err)) {
        core_api_fail(call, &err);
        return;
    }
    rc_buf_adds(&out, "]}");
    core_api_reply(call, &out);
}

/* ---- many ------------------------------------------------------------------------------------ */

struct page {
    struct core_api *api;
    struct rc_buf *out;
    int64_t count, limit;
    char last[CORE_RUN_ID_TEXT];
    bool more;
};

static void add_to_page(void *context, const struct core_run_record *record)
{
    struct page *page = context;

    if (page->count == page->limit) {
        page->more = true;
        return;
    }
    core_api_add_run(page->api, record, page->out);
    rc_buf_addc(page->out, '}');
    (void)snprintf(page->last, sizeof(page->last), "%s", record->id);
    page->count++;
}

static bool read_time(struct core_api_call *call, const char *name, const char *text, int64_t *out)
{
    char shown[CORE_SHOWN_TEXT];

    *out = 0;
    if (!text || rc_parse_time(text, out))
        return true;
    core_api_refuse(call, RC_INVALID,
                    "query: '%s' is '%s'; a time is written as in RFC 3339, such as "
                    "2026-01-31T02:00:00Z",
                    name, core_shown(text, shown));
    return false;
}

void core_api_runs(struct core_api_call *call)
{
    const struct core_runs_query *query = call->query;
    RC_BUF_AUTO(out, CORE_API_REPLY_BYTES);
    struct rc_error err = RC_ERROR_INIT;
    struct page page = { .api = call->api, .out = &out, .limit = query->limit };
    struct core_run_filter filter = {
        .job = query->job,
        .plugin = query->plugin,
        .before = query->before,
        .limit = query->limit + 1, /* one more says whether there is a next page */
    };
    enum core_run_status status;

    if (!read_time(call, "since", query->since, &filter.since_unix_ms) ||
        !read_time(call, "until", query->until, &filter.until_unix_ms))
        return;
    for (size_t i = 0; i < query->status.len; i++)
        if (core_run_status_parse(query->status.items[i], &status))
            filter.statuses |= 1u << status;
    rc_buf_adds(&out, "{\"runs\":[");
    if (core_ledger_runs(core_supervisor_ledger(call->api->supervisor), &filter, add_to_page, &page,
                         &err)) {
        core_api_fail(call, &err);
        return;
    }
    rc_buf_addc(&out, ']');
    core_json_text(&out, "next", page.more ? page.last : NULL);
    rc_buf_addc(&out, '}');
    core_api_reply(call, &out);
}
