/*
 * Events over HTTP: somebody asks for an execution or a validation, puts a delete marker into the
 * queue, or tells of a deletion that was made elsewhere. What is asked is recorded, and then done
 * by runs of their own.
 */
#include "request.h"

#include "../state/markers.h"
#include "../state/outbox.h"
#include "../storage_name.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MISTAKES_LIMIT = 64 << 10 };

/* ---- bodies ---------------------------------------------------------------------------------- */

/* Borrowed, as everything of a body. */
struct execution_request {
    const char *type, *target, *project;
};

struct notification_request {
    const char *object, *project, *deleted_at;
};

static const char *const type_names[] = { "POLICY", "USER", NULL };

const struct sdrs_property sdrs_execution_properties[] = {
    { SDRS_CHOICE_OF("type", struct execution_request, type, type_names), .is_required = true,
      .help = "POLICY executes rules, USER deletes the folder of a delete marker." },
    { SDRS_TEXT_OF("target", struct execution_request, target),
      .help = "Of POLICY the name of the one rule that is meant; of USER a delete marker, as "
              "gs://bucket/dataset/.delete_this_folder." },
    { SDRS_TEXT_OF("projectId", struct execution_request, project),
      .help = "Of POLICY the project whose rules are meant, by default all; of USER the one that "
              "the bucket is in." },
    { 0 },
};

const struct sdrs_property sdrs_notification_properties[] = {
    { SDRS_TEXT_OF("deletedObject", struct notification_request, object), .is_required = true,
      .help = "What was deleted: the directory, a slash, and the object that asked for it." },
    { SDRS_TEXT_OF("projectId", struct notification_request, project), .is_required = true,
      .help = "The project that the bucket is in." },
    { SDRS_TEXT_OF("deletedAt", struct notification_request, deleted_at), .is_required = true,
      .help = "When, in ISO 8601." },
    { 0 },
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

/* What is given and empty is not given. */
static const char *given(const char *text)
{
    return text && *text ? text : NULL;
}

/* ---- replies and runs ------------------------------------------------------------------------ */

static enum rc_code reply_event(struct sdrs_request *request, const char *message,
                                const char *execution, const char *run, struct rc_error *err)
{
    json_t *json = json_object();

    (void)json_object_set_new(json, "message", json_string(message));
    if (execution)
        (void)json_object_set_new(json, "executionId", json_string(execution));
    if (run && *run) /* under --dry-run none is begun */
        (void)json_object_set_new(json, "runId", json_string(run));
    return sdrs_reply(request, json, err);
}

static enum rc_code reply_execution(struct sdrs_request *request, const char *execution,
                                    const char *run, struct rc_error *err)
{
    return reply_event(request, "Execution event received and being processed", execution, run,
                       err);
}

/*
 * Begins the run of an execution that is recorded. One that cannot be begun is over: the client is
 * told to try again, and then it is another one.
 */
static enum rc_code begin(struct sdrs_request *request, const char *execution,
                          char run[RC_RUN_ID_TEXT], struct rc_error *err)
{
    const struct rc_pair params[] = { { "execution", execution } };
    struct rc_error second = RC_ERROR_INIT;

    if (!rc_job_submit(request->job, "execute", params, RC_ARRAY_LEN(params), run, err))
        return RC_OK;
    RC_STR_AUTO why = rc_strf("its run could not be begun: %s", err->cause);
    if (sdrs_executions_set(&request->state, execution, SDRS_EXECUTION_ERROR, NULL, why, &second))
        sdrs_request_log(request, RC_LOG_WARN,
                         "execution %s could not be recorded as failed: %s: %s", execution,
                         second.context, second.cause);
    return rc_context(err, "begin the run of execution %s", execution);
}

/* ---- POLICY ---------------------------------------------------------------------------------- */

/* The rule that target and project name: of a dataset, or of a bucket as a whole. */
static enum rc_code find_rule(struct sdrs_request *request, const struct execution_request *asked,
                              struct sdrs_execution *execution, struct rc_error *err)
{
    RC_CLEANUP(sdrs_place_clear) struct sdrs_place place = { 0 };
    RC_CLEANUP(sdrs_rule_clear) struct sdrs_rule rule = { 0 };
    RC_BUF_AUTO(mistakes, MISTAKES_LIMIT);
    enum rc_code code;

    if (sdrs_place_parse("target", asked->target, &request->config->file_roots, &place, err)) {
        mistake(&mistakes, "%s", err->cause);
        return sdrs_refuse(&mistakes, err);
    }
    RC_STR_AUTO name = sdrs_place_name(&place);
    code = sdrs_rules_find(&request->state, SDRS_DATASET, asked->project, name, &rule, err);
    if (code == RC_NOT_FOUND && !*place.dataset)
        code = sdrs_rules_find(&request->state, SDRS_DEFAULT, asked->project, name, &rule, err);
    if (code)
        return code;
    execution->rule = rule.id;
    execution->target = rc_strdup(name);
    return RC_OK;
}

static enum rc_code execute_policy(struct sdrs_request *request,
                                   const struct execution_request *asked, struct rc_error *err)
{
    RC_CLEANUP(sdrs_execution_clear)
    struct sdrs_execution execution = {
        .batch = rc_strdup(request->correlation),
        .type = rc_strdup(asked->type),
        .project = rc_strdup(asked->project),
        .user = rc_strdup(request->user.email),
    };
    RC_BUF_AUTO(mistakes, MISTAKES_LIMIT);
    char run[RC_RUN_ID_TEXT] = "";

    if (asked->target && !asked->project)
        mistake(&mistakes, "projectId must be provided if target is; for all rules give neither");
    if (sdrs_refuse(&mistakes, err) ||
        (asked->target && find_rule(request, asked, &execution, err)) ||
        sdrs_executions_add(&request->state, &execution, err) ||
        begin(request, execution.id, run, err))
        return err->code;
    sdrs_request_log(request, RC_LOG_INFO, "execution %s of %s%s%s%s, as run %s", execution.id,
                     asked->target    ? execution.target
                     : asked->project ? "the rules"
                                      : "all rules",
                     asked->project ? " of project '" : "", asked->project ? asked->project : "",
                     asked->project ? "'" : "", *run ? run : "none");
    return reply_execution(request, execution.id, run, err);
}

/* ---- USER ------------------------------------------------------------------------------------ */

/* A marker that is to go into the queue. */
struct marking {
    struct sdrs_request *request;
    const struct execution_request *asked;
    struct sdrs_place folder;
    char execution[SDRS_UUID_TEXT]; /* filled */
    bool is_taken;                  /* the same one is in the queue */
};

static enum rc_code check_bucket(const struct marking *marking, struct rc_buf *mistakes,
                                 struct rc_error *err)
{
    RC_STR_AUTO uri = sdrs_bucket_uri(&marking->folder);
    const char *project = marking->asked->project, *name = marking->folder.bucket;
    struct rc_bucket bucket;
    enum rc_code code = rc_bucket_look(marking->request->job, uri, &bucket, err);

    if (!code && bucket.exists == RC_ANSWER_NO)
        mistake(mistakes, "The bucket %s/%s does not exist", project, name);
    if (code == RC_DENIED || code == RC_INVALID || code == RC_NOT_FOUND)
        mistake(mistakes, "The bucket %s/%s cannot be looked at: %s", project, name,
                sdrs_bucket_trouble(marking->request, uri, err));
    else if (code)
        return rc_context(err, "look for bucket '%s'", uri);
    return RC_OK;
}

/* In the order of the older system's checks, each of which needs the one before. */
static enum rc_code check_marking(struct marking *marking, struct rc_error *err)
{
    const struct execution_request *asked = marking->asked;
    const struct sdrs_config *config = marking->request->config;
    RC_BUF_AUTO(mistakes, MISTAKES_LIMIT);

    if (sdrs_marker_split(asked->target, config->marker_pattern, &config->file_roots,
                          &marking->folder, err))
        mistake(&mistakes, "%s", err->cause);
    else if (asked->project && check_bucket(marking, &mistakes, err))
        return err->code;
    if (!asked->project)
        mistake(&mistakes, "projectId must be provided if type is USER");
    return sdrs_refuse(&mistakes, err);
}

/* One event and one marker, or neither; who reads the bucket is told at once. */
static enum rc_code add_marking(struct sdrs_state *state, void *context, struct rc_error *err)
{
    struct marking *marking = context;
    struct sdrs_request *request = marking->request;
    RC_CLEANUP(sdrs_execution_clear)
    struct sdrs_execution execution = {
        .batch = rc_strdup(request->correlation),
        .type = rc_strdup(marking->asked->type),
        .project = rc_strdup(marking->asked->project),
        .target = rc_strdup(marking->asked->target),
        .user = rc_strdup(request->user.email),
    };
    if (sdrs_executions_add(state, &execution, err))
        return err->code;
    RC_CLEANUP(sdrs_marker_clear)
    struct sdrs_marker marker = {
        .project = rc_strdup(marking->asked->project),
        .target = sdrs_place_name(&marking->folder),
        .bucket = sdrs_bucket_uri(&marking->folder),
        .prefix = sdrs_dataset_prefix(&marking->folder),
        .execution = rc_strdup(execution.id),
        .batch = rc_strdup(request->correlation),
        .user = rc_strdup(request->user.email),
    };
    const struct sdrs_event inactive = {
        .kind = SDRS_EVENT_INACTIVE,
        .batch = request->correlation,
        .project = marker.project,
        .bucket = marker.bucket,
        .directory = marker.target,
        .trigger = request->correlation,
        .at_unix_ms = sdrs_now_unix_ms(request->job),
    };

    (void)snprintf(marking->execution, sizeof(marking->execution), "%s", execution.id);
    enum rc_code code = sdrs_markers_add(state, &marker, err);
    marking->is_taken = code == RC_CONFLICT && !*err->context; /* else a race was lost */
    if (code)
        return code;
    return sdrs_events_wanted(request->config) ? sdrs_outbox_add(state, &inactive, err) : RC_OK;
}

static enum rc_code mark(struct marking *marking, struct rc_error *err)
{
    struct sdrs_request *request = marking->request;
    enum rc_code code = sdrs_state_transact(&request->state, add_marking, marking, err);

    /* The older system names the marker there, not its folder. */
    if (code == RC_CONFLICT && marking->is_taken)
        return rc_fail(err, RC_INVALID,
                       "Invalid input: The target %s for project %s already exist.",
                       marking->asked->target, marking->asked->project);
    if (code)
        return rc_context(err, "put a delete marker into the queue");
    sdrs_request_log(request, RC_LOG_INFO,
                     "execution %s: '%s' of project '%s' waits for being deleted",
                     marking->execution, marking->asked->target, marking->asked->project);
    return reply_execution(request, marking->execution, NULL, err);
}

static enum rc_code execute_user(struct sdrs_request *request,
                                 const struct execution_request *asked, struct rc_error *err)
{
    struct marking marking = { .request = request, .asked = asked };
    enum rc_code code = check_marking(&marking, err);

    if (!code)
        code = mark(&marking, err);
    sdrs_place_clear(&marking.folder);
    return code;
}

enum rc_code sdrs_events_execute(struct sdrs_request *request, struct rc_error *err)
{
    RC_CLEANUP(json_decrefp) json_t *held = NULL;
    struct execution_request asked = { 0 };
    RC_BUF_AUTO(mistakes, MISTAKES_LIMIT);

    if (sdrs_read_body(request, sdrs_execution_properties, &asked, &held, err))
        return err->code;
    asked.target = given(asked.target);
    asked.project = given(asked.project);
    if (!asked.type) {
        mistake(&mistakes, "type must be provided");
        return sdrs_refuse(&mistakes, err);
    }
    return strcmp(asked.type, SDRS_USER) == 0 ? execute_user(request, &asked, err)
                                              : execute_policy(request, &asked, err);
}

/* ---- validation ------------------------------------------------------------------------------ */

enum rc_code sdrs_events_validate(struct sdrs_request *request, struct rc_error *err)
{
    char run[RC_RUN_ID_TEXT] = "";

    if (rc_job_submit(request->job, "validate", NULL, 0, run, err))
        return rc_context(err, "begin the run of a validation");
    sdrs_request_log(request, RC_LOG_INFO, "a validation, as run %s", *run ? run : "none");
    return reply_event(request, "Validation event received and being processed", NULL, run, err);
}

/* ---- notification ---------------------------------------------------------------------------- */

static enum rc_code check_notification(struct sdrs_request *request,
                                       const struct notification_request *asked,
                                       struct sdrs_place *object, int64_t *deleted_unix_ms,
                                       struct rc_error *err)
{
    RC_BUF_AUTO(mistakes, MISTAKES_LIMIT);

    if (sdrs_place_parse("deletedObject", asked->object, &request->config->file_roots, object, err))
        mistake(&mistakes, "%s", err->cause);
    else if (!*object->dataset)
        mistake(&mistakes, "deletedObject must include an object in the bucket");
    if (!asked->project)
        mistake(&mistakes, "projectId must be provided.");
    if (!asked->deleted_at)
        mistake(&mistakes, "deletedAt must be provided.");
    else if (!rc_parse_time(asked->deleted_at, deleted_unix_ms))
        mistake(&mistakes, "deletedAt is not ISO 8601 format.");
    return sdrs_refuse(&mistakes, err);
}

/* The last part of the object is what asked for the deletion, the directory is what was deleted. */
static enum rc_code add_notification(struct sdrs_request *request,
                                     const struct notification_request *asked,
                                     const struct sdrs_place *object, int64_t deleted_unix_ms,
                                     struct rc_error *err)
{
    RC_STR_AUTO directory = sdrs_place_name(object);
    RC_STR_AUTO bucket = sdrs_bucket_uri(object);
    const char *trigger = strrchr(asked->object, '/') + 1;
    const struct sdrs_event deleted = {
        .kind = SDRS_EVENT_DELETED,
        .batch = request->correlation,
        .project = asked->project,
        .bucket = bucket,
        .directory = directory,
        .trigger = trigger,
        .at_unix_ms = deleted_unix_ms,
    };

    if (*trigger) /* of one that ends with a slash all is the directory */
        *strrchr(directory, '/') = '\0';
    return sdrs_events_wanted(request->config) ? sdrs_outbox_add(&request->state, &deleted, err)
                                               : RC_OK;
}

enum rc_code sdrs_events_notify(struct sdrs_request *request, struct rc_error *err)
{
    RC_CLEANUP(json_decrefp) json_t *held = NULL;
    RC_CLEANUP(sdrs_place_clear) struct sdrs_place object = { 0 };
    struct notification_request asked = { 0 };
    int64_t deleted_unix_ms = 0;

    if (sdrs_read_body(request, sdrs_notification_properties, &asked, &held, err))
        return err->code;
    asked.project = given(asked.project);
    if (check_notification(request, &asked, &object, &deleted_unix_ms, err) ||
        add_notification(request, &asked, &object, deleted_unix_ms, err))
        return err->code;
    return reply_event(request, "Delete notification event received and being processed", NULL,
                       NULL, err);
}
