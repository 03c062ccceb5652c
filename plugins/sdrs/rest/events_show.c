/*
 * How an execution stands, over HTTP: itself, the jobs that it became, and its delete markers.
 */
#include "request.h"

#include "../prefixes.h"
#include "../state/markers.h"

#include <string.h>

/* ---- members --------------------------------------------------------------------------------- */

/* An id; 0 is none. */
static void set_id(json_t *json, const char *name, int64_t id)
{
    sdrs_set_json(json, name, id ? json_integer(id) : json_null());
}

static void set_prefixes(json_t *json, const char *name, const char *text)
{
    RC_CLEANUP(sdrs_prefixes_clear) struct sdrs_prefixes prefixes = { 0 };
    json_t *list = json_array();

    if (text)
        sdrs_prefixes_read(text, &prefixes);
    for (size_t i = 0; i < prefixes.count; i++)
        (void)json_array_append_new(list, sdrs_text_json(prefixes.items[i]));
    sdrs_set_json(json, name, list);
}

/* ---- parts ----------------------------------------------------------------------------------- */

static json_t *job_json(const struct sdrs_record *record)
{
    json_t *json = json_object();

    sdrs_set_number(json, "jobId", record->id);
    sdrs_set_text(json, "batchId", record->batch);
    sdrs_set_text(json, "type", record->type);
    set_id(json, "ruleId", record->rule);
    set_id(json, "ruleVersion", record->rule_version);
    sdrs_set_text(json, "projectId", record->project);
    sdrs_set_text(json, "sourceBucket", record->bucket);
    sdrs_set_text(json, "targetBucket", record->shadow);
    set_prefixes(json, "prefixes", record->prefixes);
    set_prefixes(json, "excludedPrefixes", record->excludes);
    sdrs_set_time(json, "modifiedBefore", record->modified_before_unix_ms);
    sdrs_set_text(json, "mover", sdrs_mover_name(record->mover));
    sdrs_set_text(json, "status", sdrs_job_status_name(record->status));
    sdrs_set_number(json, "objects", record->objects);
    sdrs_set_number(json, "bytes", record->bytes);
    sdrs_set_number(json, "failed", record->failed);
    sdrs_set_text(json, "message", record->message);
    sdrs_set_time(json, "createdAt", record->created_unix_ms);
    sdrs_set_time(json, "updatedAt", record->changed_unix_ms);
    return json;
}

static json_t *marker_json(const struct sdrs_marker *marker)
{
    json_t *json = json_object();

    sdrs_set_text(json, "target", marker->target);
    sdrs_set_text(json, "projectId", marker->project);
    sdrs_set_text(json, "status", sdrs_marker_status_name(marker->status));
    sdrs_set_number(json, "retries", marker->retries);
    set_id(json, "jobId", marker->job);
    sdrs_set_text(json, "message", marker->message);
    sdrs_set_time(json, "createdAt", marker->created_unix_ms);
    sdrs_set_time(json, "updatedAt", marker->changed_unix_ms);
    return json;
}

/* Its run has succeeded once all is handed to Google's service, which may be at it for long. */
static const char *status_of(const struct sdrs_execution *execution, bool has_pending)
{
    return execution->status == SDRS_EXECUTION_SUCCESS && has_pending
               ? sdrs_job_status_name(SDRS_JOB_PENDING)
               : sdrs_execution_status_name(execution->status);
}

static json_t *execution_json(const struct sdrs_execution *execution, bool has_pending)
{
    json_t *json = json_object();

    sdrs_set_text(json, "executionId", execution->id);
    sdrs_set_text(json, "batchId", execution->batch);
    sdrs_set_text(json, "type", execution->type);
    sdrs_set_text(json, "target", execution->target);
    sdrs_set_text(json, "projectId", execution->project);
    set_id(json, "ruleId", execution->rule);
    sdrs_set_text(json, "user", execution->user);
    sdrs_set_text(json, "runId", execution->run);
    sdrs_set_text(json, "status", status_of(execution, has_pending));
    sdrs_set_text(json, "message", execution->message);
    sdrs_set_time(json, "createdAt", execution->created_unix_ms);
    sdrs_set_time(json, "updatedAt", execution->changed_unix_ms);
    return json;
}

/* ---- the whole ------------------------------------------------------------------------------- */

/* What is shown, and the sums over its jobs. */
struct view {
    json_t *jobs, *markers;
    int64_t objects, bytes, failed;
    bool has_pending;
};

static bool is_shown(const struct view *view, int64_t job)
{
    const json_t *one;
    size_t i;

    json_array_foreach(view->jobs, i, one)
    {
        if (json_integer_value(json_object_get(one, "jobId")) == job)
            return true;
    }
    return false;
}

static void add_job(struct view *view, const struct sdrs_record *record)
{
    (void)json_array_append_new(view->jobs, job_json(record));
    view->objects += record->objects;
    view->bytes += record->bytes;
    view->failed += record->failed;
    view->has_pending = view->has_pending || record->status == SDRS_JOB_PENDING;
}

static enum rc_code read_jobs(struct sdrs_state *state, const char *execution, struct view *view,
                              struct rc_error *err)
{
    const struct sdrs_jobs_query query = { .execution = execution };
    RC_CLEANUP(sdrs_records_clear) struct sdrs_records records = { 0 };

    if (sdrs_jobs_list(state, &query, &records, err))
        return err->code;
    for (size_t i = 0; i < records.count; i++)
        add_job(view, &records.items[i]);
    return RC_OK;
}

/* One that is forgotten is not shown. */
static enum rc_code read_job(struct sdrs_state *state, int64_t id, struct view *view,
                             struct rc_error *err)
{
    RC_CLEANUP(sdrs_record_clear) struct sdrs_record record = { 0 };
    enum rc_code code = sdrs_jobs_find(state, id, &record, err);

    if (code)
        return code == RC_NOT_FOUND ? RC_OK : code;
    add_job(view, &record);
    return RC_OK;
}

/* A marker's job has other markers, too, and need not be of this execution. */
static enum rc_code read_markers(struct sdrs_state *state, const char *execution, struct view *view,
                                 struct rc_error *err)
{
    struct sdrs_markers markers = { 0 };
    enum rc_code code = sdrs_markers_of(state, 0, execution, &markers, err);

    for (size_t i = 0; i < markers.count && !code; i++) {
        const struct sdrs_marker *marker = &markers.items[i];

        (void)json_array_append_new(view->markers, marker_json(marker));
        if (marker->job && !is_shown(view, marker->job))
            code = read_job(state, marker->job, view, err);
    }
    sdrs_markers_clear(&markers);
    return code;
}

static enum rc_code read_view(struct sdrs_state *state, const struct sdrs_execution *execution,
                              struct view *view, struct rc_error *err)
{
    if (read_jobs(state, execution->id, view, err) || read_markers(state, execution->id, view, err))
        return rc_context(err, "read the jobs of execution %s", execution->id);
    return RC_OK;
}

/* Anything else is the id of none, and need not be asked for. */
static bool is_uuid(const char *text)
{
    size_t len = strlen(text);

    return len == SDRS_UUID_TEXT - 1 && strspn(text, "0123456789abcdef-") == len;
}

enum rc_code sdrs_events_show(struct sdrs_request *request, struct rc_error *err)
{
    RC_CLEANUP(sdrs_execution_clear) struct sdrs_execution execution = { 0 };
    const char *id = rc_exchange_param(request->job, request->exchange, "id");
    struct view view = { .jobs = json_array(), .markers = json_array() };
    json_t *json;
    enum rc_code code = is_uuid(id)
                            ? sdrs_executions_find(&request->state, id, &execution, err)
                            : rc_fail(err, RC_NOT_FOUND, "No execution exists with ID: %s", id);

    if (!code)
        code = read_view(&request->state, &execution, &view, err);
    if (code) {
        json_decref(view.jobs);
        json_decref(view.markers);
        return code;
    }
    json = execution_json(&execution, view.has_pending);
    sdrs_set_number(json, "objects", view.objects);
    sdrs_set_number(json, "bytes", view.bytes);
    sdrs_set_number(json, "failed", view.failed);
    sdrs_set_json(json, "jobs", view.jobs);
    sdrs_set_json(json, "markers", view.markers);
    return sdrs_reply(request, json, err);
}
