/*
 * Jobs of Storage Transfer Service: made, looked at, changed. Their runs are operations.c's; which
 * jobs are wanted is mover/sts.c's to know.
 */
#include "transfer.h"

#include "internal.h"

#include <run-core/str.h>

#include <stdlib.h>
#include <string.h>

enum {
    /* More patience than with other services, as its quotas are by the minute. */
    ATTEMPTS = 10,
    MINUTE_S = 60,
    HOUR_S = 60 * MINUTE_S,
};

/* The one thing that a job moves that waits in the pool: nothing has such a name. */
#define NOTHING ".run-core/nothing-yet/"

struct sdrs_google sdrs_transfer_service(struct rc_job *job, const struct sdrs_config *config)
{
    return (struct sdrs_google){
        .job = job,
        .endpoint = config->sts_endpoint,
        .credentials = config->google_credentials,
        .name = "Storage Transfer Service",
        .attempts = ATTEMPTS,
    };
}

/* ---- what is sent ---------------------------------------------------------------------------- */

/* NULL where there are none: the service takes no empty lists for "all". */
static json_t *prefixes_json(const struct sdrs_prefixes *prefixes)
{
    json_t *list = NULL;

    for (size_t i = 0; i < prefixes->count; i++) {
        if (!list)
            list = json_array();
        (void)json_array_append_new(list, json_string(prefixes->items[i]));
    }
    return list;
}

static json_t *spec_json(const struct sdrs_transfer_spec *spec)
{
    char before[RC_TIME_TEXT];

    /* "o*" leaves a member out whose value is NULL. */
    return json_pack("{s:{s:s}, s:{s:s}, s:{s:o*, s:o*, s:o*}, s:{s:b, s:s}}", "gcsDataSource",
                     "bucketName", spec->source, "gcsDataSink", "bucketName", spec->sink,
                     "objectConditions", "includePrefixes", prefixes_json(spec->includes),
                     "excludePrefixes", prefixes_json(spec->excludes), "lastModifiedBefore",
                     spec->modified_before_unix_ms
                         ? json_string(rc_format_time(spec->modified_before_unix_ms, before))
                         : NULL,
                     "transferOptions", "deleteObjectsFromSourceAfterTransfer", 1, "overwriteWhen",
                     spec->keep_existing ? "NEVER" : "ALWAYS");
}

static json_t *date_json(int64_t unix_ms)
{
    int year, month, day;

    rc_day_to_date((int32_t)(unix_ms / RC_DAY_MS), &year, &month, &day);
    return json_pack("{s:i, s:i, s:i}", "year", year, "month", month, "day", day);
}

/*
 * From yesterday on: a job for one day without a time of day runs at once then, whatever the clocks
 * of both sides say near midnight.
 */
static json_t *once_json(int64_t now_unix_ms)
{
    return json_pack("{s:o, s:o}", "scheduleStartDate", date_json(now_unix_ms - RC_DAY_MS),
                     "scheduleEndDate", date_json(now_unix_ms - RC_DAY_MS));
}

static json_t *daily_json(int64_t now_unix_ms, int start_seconds)
{
    return json_pack("{s:o, s:{s:i, s:i, s:i}}", "scheduleStartDate",
                     date_json(now_unix_ms - RC_DAY_MS), "startTimeOfDay", "hours",
                     start_seconds / HOUR_S, "minutes", start_seconds % HOUR_S / MINUTE_S,
                     "seconds", start_seconds % MINUTE_S);
}

/* ---- what refusals ask for ------------------------------------------------------------------- */

/* The account by which the service itself reads and writes; "" if that cannot be learnt. */
static char *account_of(const struct sdrs_google *google, const char *project)
{
    struct rc_error ignored = RC_ERROR_INIT;
    RC_BUF_AUTO(path, SIZE_MAX);
    SDRS_JSON_AUTO reply = NULL;

    rc_buf_adds(&path, "v1/googleServiceAccounts/");
    rc_buf_add_url(&path, project, strlen(project));
    if (sdrs_google_call(google, "GET", path.data, NULL, /* repeatable = */ true, &reply, &ignored))
        return rc_strdup("");
    return rc_strdup(sdrs_json_text(reply, "accountEmail"));
}

static enum rc_code advise(const struct sdrs_google *google, const char *project,
                           const struct sdrs_transfer_spec *spec, struct rc_error *err)
{
    RC_STR_AUTO account = NULL;

    if (!sdrs_google_has_refused(google, err))
        return err->code;
    switch (err->code) {
    case RC_DENIED:
        return rc_fail(err, RC_DENIED,
                       "%s; grant roles/storagetransfer.user in the project '%s' to the account of "
                       "'google_credentials', and enable storagetransfer.googleapis.com there",
                       err->cause, project);
    case RC_NOT_FOUND:
        return rc_fail(err, RC_NOT_FOUND, "%s; both gs://%s and gs://%s have to be there",
                       err->cause, spec->source, spec->sink);
    case RC_FAILED:
        account = account_of(google, project);
        return rc_fail(err, RC_FAILED,
                       "%s; grant roles/storage.objectViewer and roles/storage.legacyBucketWriter "
                       "on gs://%s and gs://%s to %s",
                       err->cause, spec->source, spec->sink,
                       *account ? account : "the service account of Storage Transfer Service");
    default:
        return err->code;
    }
}

/* ---- making and changing --------------------------------------------------------------------- */

static enum rc_code create(const struct sdrs_google *google, const char *project, const char *name,
                           const char *description, const struct sdrs_transfer_spec *spec,
                           const char *status, json_t *schedule, struct rc_error *err)
{
    SDRS_JSON_AUTO body = json_pack("{s:s, s:s, s:s, s:s, s:o, s:o}", "name", name, "projectId",
                                    project, "description", description, "status", status,
                                    "transferSpec", spec_json(spec), "schedule", schedule);
    SDRS_JSON_AUTO reply = NULL;

    if (!sdrs_google_call(google, "POST", "v1/transferJobs", body, /* repeatable = */ true, &reply,
                          err))
        return RC_OK;
    if (err->code != RC_CONFLICT)
        (void)advise(google, project, spec, err);
    return rc_context(err, "make the transfer job '%s' in the project '%s'", name, project);
}

enum rc_code sdrs_transfer_create(const struct sdrs_google *google, const char *project,
                                  const char *name, const char *description,
                                  const struct sdrs_transfer_spec *spec, int64_t now_unix_ms,
                                  struct rc_error *err)
{
    return create(google, project, name, description, spec, "ENABLED", once_json(now_unix_ms), err);
}

enum rc_code sdrs_transfer_create_daily(const struct sdrs_google *google, const char *project,
                                        const char *name, const char *description,
                                        const struct sdrs_transfer_spec *spec, int64_t now_unix_ms,
                                        int start_seconds, struct rc_error *err)
{
    struct sdrs_transfer_spec idle = *spec;
    struct sdrs_prefixes nothing = { .items = NULL }, none = { .items = NULL };
    enum rc_code code;

    /* Whoever enables it by hand would move the whole bucket otherwise. */
    sdrs_prefixes_add(&nothing, NOTHING);
    idle.includes = &nothing;
    idle.excludes = &none;
    idle.modified_before_unix_ms = 0;
    code = create(google, project, name, description, &idle, "DISABLED",
                  daily_json(now_unix_ms, start_seconds), err);
    sdrs_prefixes_clear(&nothing);
    return code;
}

static enum rc_code patch(const struct sdrs_google *google, const char *project, const char *name,
                          json_t *fields, const char *mask, json_t **reply, struct rc_error *err)
{
    RC_BUF_AUTO(path, SIZE_MAX);
    SDRS_JSON_AUTO body = json_pack("{s:s, s:o, s:s}", "projectId", project, "transferJob", fields,
                                    "updateTransferJobFieldMask", mask);

    sdrs_google_path(&path, name);
    return sdrs_google_call(google, "PATCH", path.data, body, /* repeatable = */ true, reply, err);
}

enum rc_code sdrs_transfer_change(const struct sdrs_google *google, const char *project,
                                  const char *name, const char *description,
                                  const struct sdrs_transfer_spec *spec, int64_t *changed_unix_ms,
                                  struct rc_error *err)
{
    SDRS_JSON_AUTO reply = NULL;
    json_t *fields = json_pack("{s:s, s:s, s:o}", "description", description, "status", "ENABLED",
                               "transferSpec", spec_json(spec));

    if (patch(google, project, name, fields, "description,status,transferSpec", &reply, err)) {
        (void)advise(google, project, spec, err);
        return rc_context(err, "change the transfer job '%s' in the project '%s'", name, project);
    }
    if (*sdrs_json_text(reply, "lastModificationTime"))
        *changed_unix_ms = sdrs_json_time(reply, "lastModificationTime");
    return RC_OK;
}

enum rc_code sdrs_transfer_disable(const struct sdrs_google *google, const char *project,
                                   const char *name, struct rc_error *err)
{
    SDRS_JSON_AUTO reply = NULL;

    if (patch(google, project, name, json_pack("{s:s}", "status", "DISABLED"), "status", &reply,
              err))
        return rc_context(err, "disable the transfer job '%s' in the project '%s'", name, project);
    return RC_OK;
}

/* ---- looking --------------------------------------------------------------------------------- */

void sdrs_transfer_job_clear(struct sdrs_transfer_job *job)
{
    free(job->name);
    free(job->latest_operation);
    free(job->status);
    free(job->source);
    free(job->sink);
    sdrs_prefixes_clear(&job->includes);
    sdrs_prefixes_clear(&job->excludes);
    *job = (struct sdrs_transfer_job){ .name = NULL };
}

void sdrs_transfer_read_prefixes(const json_t *conditions, const char *name,
                                 struct sdrs_prefixes *out)
{
    const json_t *list = json_object_get(conditions, name), *prefix;
    size_t i;

    json_array_foreach(list, i, prefix)
    {
        if (json_is_string(prefix))
            sdrs_prefixes_add(out, json_string_value(prefix));
    }
    sdrs_prefixes_merge(out);
}

static void read_job(const json_t *reply, struct sdrs_transfer_job *out)
{
    const json_t *spec = json_object_get(reply, "transferSpec");
    const json_t *conditions = json_object_get(spec, "objectConditions");
    const json_t *time = json_object_get(json_object_get(reply, "schedule"), "startTimeOfDay");

    *out = (struct sdrs_transfer_job){
        .name = rc_strdup(sdrs_json_text(reply, "name")),
        .latest_operation = rc_strdup(sdrs_json_text(reply, "latestOperationName")),
        .status = rc_strdup(sdrs_json_text(reply, "status")),
        .source = rc_strdup(sdrs_json_text(json_object_get(spec, "gcsDataSource"), "bucketName")),
        .sink = rc_strdup(sdrs_json_text(json_object_get(spec, "gcsDataSink"), "bucketName")),
        .changed_unix_ms = sdrs_json_time(reply, "lastModificationTime"),
        .start_seconds =
            (int)(sdrs_json_int(time, "hours") * HOUR_S +
                  sdrs_json_int(time, "minutes") * MINUTE_S + sdrs_json_int(time, "seconds")),
        .modified_before_unix_ms = sdrs_json_time(conditions, "lastModifiedBefore"),
    };
    sdrs_transfer_read_prefixes(conditions, "includePrefixes", &out->includes);
    sdrs_transfer_read_prefixes(conditions, "excludePrefixes", &out->excludes);
}

enum rc_code sdrs_transfer_get(const struct sdrs_google *google, const char *project,
                               const char *name, struct sdrs_transfer_job *out,
                               struct rc_error *err)
{
    RC_BUF_AUTO(path, SIZE_MAX);
    SDRS_JSON_AUTO reply = NULL;

    sdrs_google_path(&path, name);
    rc_buf_adds(&path, "?projectId=");
    rc_buf_add_url(&path, project, strlen(project));
    if (sdrs_google_call(google, "GET", path.data, NULL, /* repeatable = */ true, &reply, err))
        return rc_context(err, "look at the transfer job '%s' in the project '%s'", name, project);
    read_job(reply, out);
    return RC_OK;
}
