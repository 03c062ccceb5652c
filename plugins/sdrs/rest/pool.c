/*
 * The pool of transfer jobs over HTTP, as the older system's provisioning script fills it. That the
 * jobs are there is asked of the service; which may be added is up to the state.
 */
#include "request.h"

#include "../google/transfer.h"
#include "../state/pool.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { MISTAKES_LIMIT = 64 << 10, MAX_JOBS = 1000, MAX_SHOWN = 10 };

/* A job as a body has it. Borrowed. */
struct job_request {
    const char *name, *project, *schedule, *type;
    const char *source_bucket, *source_project, *target_bucket, *target_project;
    const char *status;
};

const struct sdrs_property sdrs_pool_properties[] = {
    { SDRS_TEXT_OF("name", struct job_request, name), .is_required = true,
      .help = "Name of the transfer job, as transferJobs/123." },
    { SDRS_TEXT_OF("projectId", struct job_request, project), .is_required = true,
      .help = "The project that the transfer job is in." },
    { SDRS_TEXT_OF("schedule", struct job_request, schedule), .is_required = true,
      .help = "When it runs every day, as HH:MM:SS in UTC." },
    { SDRS_TEXT_OF("type", struct job_request, type), .is_required = true,
      .help = "What it is for: dataset, default or user." },
    { SDRS_TEXT_OF("sourceBucket", struct job_request, source_bucket),
      .help = "The bucket of the pool." },
    { SDRS_TEXT_OF("sourceProject", struct job_request, source_project),
      .help = "The project of the pool." },
    { SDRS_TEXT_OF("targetBucket", struct job_request, target_bucket),
      .help = "The shadow bucket." },
    { SDRS_TEXT_OF("targetProject", struct job_request, target_project),
      .help = "The project that the shadow bucket is in." },
    { SDRS_TEXT_OF("status", struct job_request, status),
      .help = "The transfer job's status when it was made." },
    { 0 },
};

/* ---- what is asked --------------------------------------------------------------------------- */

/* The pool that the query is of. */
struct pool_key {
    const char *bucket, *project;
};

static void mistake(struct rc_buf *out, const char *format, ...) RC_PRINTF(2, 3);

static void mistake(struct rc_buf *out, const char *format, ...)
{
    va_list arguments;

    rc_buf_adds(out, out->len ? ", " : "");
    va_start(arguments, format);
    rc_buf_addv(out, format, arguments);
    va_end(arguments);
}

static enum rc_code read_key(struct sdrs_request *request, struct pool_key *out,
                             struct rc_error *err)
{
    RC_BUF_AUTO(mistakes, MISTAKES_LIMIT);

    if (sdrs_query(request, "sourceBucket", &out->bucket, err) ||
        sdrs_query(request, "sourceProject", &out->project, err))
        return err->code;
    if (!out->bucket)
        mistake(&mistakes, "sourceBucket must be provided");
    if (!out->project)
        mistake(&mistakes, "sourceProject must be provided");
    return sdrs_refuse(&mistakes, err);
}

static bool is_time_of_day(const char *text)
{
    static const char form[] = "dd:dd:dd";

    for (size_t i = 0; i < sizeof(form); i++)
        if (form[i] == 'd' ? text[i] < '0' || text[i] > '9' : text[i] != form[i])
            return false;
    return strncmp(text, "24", 2) < 0 && text[3] < '6' && text[6] < '6';
}

/* It becomes part of an address: nothing in it may mean more than a name. */
static bool is_job_name(const char *text)
{
    static const char prefix[] = "transferJobs/";
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "0123456789-_";
    const char *id = rc_str_starts(text, prefix) ? text + sizeof(prefix) - 1 : "";

    return *id && id[strspn(id, letters)] == '\0';
}

static bool is_pool_type(const char *text)
{
    return strcasecmp(text, "dataset") == 0 || strcasecmp(text, "default") == 0 ||
           strcasecmp(text, "user") == 0;
}

static void check_given(size_t place, const char *name, const char *text, struct rc_buf *mistakes)
{
    if (!text || !*text)
        mistake(mistakes, "[%zu].%s must be provided", place, name);
}

/* A job of another pool would be out of reach in this one. */
static void check_same(size_t place, const char *name, const char *text, const char *wanted,
                       struct rc_buf *mistakes)
{
    if (text && strcmp(text, wanted) != 0)
        mistake(mistakes, "[%zu].%s has to be '%s', as of the pool", place, name, wanted);
}

static void check_job(size_t place, const struct job_request *job, const struct pool_key *key,
                      struct rc_buf *mistakes)
{
    if (!job->name || !is_job_name(job->name))
        mistake(mistakes, "[%zu].name has to be that of a transfer job, as transferJobs/123",
                place);
    check_given(place, "projectId", job->project, mistakes);
    if (!job->schedule || !is_time_of_day(job->schedule))
        mistake(mistakes, "[%zu].schedule has to be a time as HH:MM:SS", place);
    if (!job->type || !is_pool_type(job->type))
        mistake(mistakes, "[%zu].type has to be one of [dataset, default, user]", place);
    check_same(place, "sourceBucket", job->source_bucket, key->bucket, mistakes);
    check_same(place, "sourceProject", job->source_project, key->project, mistakes);
}

static void fill_job(const struct job_request *from, const struct pool_key *key,
                     struct sdrs_pool_job *out)
{
    *out = (struct sdrs_pool_job){ .name = rc_strdup(from->name),
                                   .project = rc_strdup(from->project),
                                   .schedule = rc_strdup(from->schedule),
                                   .type = rc_strdup(from->type),
                                   .source_bucket = rc_strdup(key->bucket),
                                   .source_project = rc_strdup(key->project),
                                   .target_bucket = rc_strdup(from->target_bucket),
                                   .target_project = rc_strdup(from->target_project),
                                   .status = rc_strdup(from->status) };
}

static enum rc_code read_jobs(json_t *list, const struct pool_key *key, struct sdrs_pool *out,
                              struct rc_error *err)
{
    RC_BUF_AUTO(mistakes, MISTAKES_LIMIT);
    json_t *item;
    size_t i;

    if (json_array_size(list) == 0 || json_array_size(list) > MAX_JOBS)
        return rc_fail(err, RC_INVALID, "Invalid input: a pool has from 1 to %d jobs", MAX_JOBS);
    out->items = rc_calloc(json_array_size(list), sizeof(*out->items));
    json_array_foreach(list, i, item)
    {
        struct job_request job = { 0 };
        size_t before = mistakes.len;

        if (sdrs_read_object(item, sdrs_pool_properties, &job, err))
            return err->code;
        if (i < MAX_SHOWN || !before)
            check_job(i, &job, key, &mistakes);
        fill_job(&job, key, &out->items[out->count++]);
    }
    return sdrs_refuse(&mistakes, err);
}

/* ---- the service ----------------------------------------------------------------------------- */

/* Each job has to be one that the service knows. */
static enum rc_code check_jobs(struct sdrs_request *request, const struct sdrs_pool *pool,
                               struct rc_error *err)
{
    const struct sdrs_google google = sdrs_transfer_service(request->job, request->config);

    for (size_t i = 0; i < pool->count; i++) {
        const struct sdrs_pool_job *asked = &pool->items[i];
        RC_CLEANUP(sdrs_transfer_job_clear) struct sdrs_transfer_job job = { 0 };
        enum rc_code code = sdrs_transfer_get(&google, asked->project, asked->name, &job, err);

        if (code == RC_NOT_FOUND)
            return rc_fail(err, RC_INVALID, "Transfer job %s does not exist in project %s",
                           asked->name, asked->project);
        if (code == RC_INVALID || code == RC_DENIED)
            return rc_fail(err, RC_INVALID, "Transfer job %s of project %s cannot be looked at: %s",
                           asked->name, asked->project, err->cause);
        if (code)
            return rc_context(err, "look for '%s' of project '%s'", asked->name, asked->project);
    }
    return RC_OK;
}

/* ---- handlers -------------------------------------------------------------------------------- */

static enum rc_code reply_success(struct sdrs_request *request, struct rc_error *err)
{
    json_t *json = json_object();

    sdrs_set_json(json, "success", json_true());
    return sdrs_reply(request, json, err);
}

enum rc_code sdrs_pool_post(struct sdrs_request *request, struct rc_error *err)
{
    RC_CLEANUP(json_decrefp) json_t *list = NULL;
    RC_CLEANUP(sdrs_pool_clear) struct sdrs_pool pool = { 0 };
    struct pool_key key;

    if (sdrs_read_json(request, JSON_ARRAY, &list, err) || read_key(request, &key, err) ||
        read_jobs(list, &key, &pool, err) || check_jobs(request, &pool, err) ||
        sdrs_pool_add(&request->state, key.bucket, key.project, &pool, err))
        return err->code;
    sdrs_request_log(request, RC_LOG_INFO, "bucket '%s' of project '%s' has a pool of %zu jobs",
                     key.bucket, key.project, pool.count);
    return reply_success(request, err);
}

/* Times are numbers, as the older system wrote them. */
static json_t *job_json(const struct sdrs_pool_job *job)
{
    json_t *json = json_object();

    sdrs_set_number(json, "id", job->id);
    sdrs_set_text(json, "name", job->name);
    sdrs_set_text(json, "projectId", job->project);
    sdrs_set_text(json, "schedule", job->schedule);
    sdrs_set_text(json, "type", job->type);
    sdrs_set_text(json, "sourceBucket", job->source_bucket);
    sdrs_set_text(json, "sourceProject", job->source_project);
    sdrs_set_text(json, "targetBucket", job->target_bucket);
    sdrs_set_text(json, "targetProject", job->target_project);
    sdrs_set_number(json, "createdAt", job->created_unix_ms);
    sdrs_set_number(json, "updatedAt", job->changed_unix_ms);
    sdrs_set_text(json, "status", job->status);
    return json;
}

enum rc_code sdrs_pool_get(struct sdrs_request *request, struct rc_error *err)
{
    RC_CLEANUP(sdrs_pool_clear) struct sdrs_pool pool = { 0 };
    struct pool_key key;
    json_t *list;

    if (read_key(request, &key, err) ||
        sdrs_pool_find(&request->state, key.bucket, key.project, /* type = */ NULL, &pool, err))
        return err->code;
    list = json_array();
    for (size_t i = 0; i < pool.count; i++)
        (void)json_array_append_new(list, job_json(&pool.items[i]));
    return sdrs_reply_list(request, list, err);
}

/* A bucket without a pool is none afterwards, too. */
enum rc_code sdrs_pool_remove(struct sdrs_request *request, struct rc_error *err)
{
    struct pool_key key;
    int64_t deleted;

    if (read_key(request, &key, err) ||
        sdrs_pool_delete(&request->state, key.bucket, key.project, &deleted, err))
        return err->code;
    sdrs_request_log(request, RC_LOG_INFO, "the pool of bucket '%s' of project '%s' is gone",
                     key.bucket, key.project);
    return reply_success(request, err);
}
