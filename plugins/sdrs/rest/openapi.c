/*
 * Describes the API as an OpenAPI 3.1 document: the routes and the properties of bodies as they
 * are, what a route takes and answers beside as the table here has it.
 */
#include "request.h"

#include <stdlib.h>
#include <string.h>

/* ---- what is answered ------------------------------------------------------------------------ */

enum member_flag {
    LIST = 1u << 0, /* of what the type says */
    NULLABLE = 1u << 1,
    OPTIONAL = 1u << 2,
};

struct schema;

/* A member of a reply. */
struct member {
    const char *name;
    const char *type, *format;   /* of JSON schema; a type of NULL: an object */
    const struct schema *schema; /* of an object */
    unsigned flags;
    const char *help;
};

struct schema {
    const char *name, *help;
    const struct member *members; /* ends with a name of NULL */
    bool is_part;                 /* of another one; else it has requestUuid, too */
};

/* clang-format off */
#define RULE_MEMBERS                                                                               \
    { "ruleId", "integer", .help = "Stays the same in all versions." },                            \
    { "datasetName", "string", .help = "For people." },                                            \
    { "retentionPeriod", "integer", .help = "How long data stays, or how many versions." },        \
    { "retentionPeriodUnit", "string", .help = "DAY, MONTH or VERSION." },                         \
    { "dataStorageName", "string", .help = "What it is for." },                                    \
    { "projectId", "string", .help = "The project that the bucket is in." },                       \
    { "type", "string", .help = "DATASET, DEFAULT or GLOBAL." }
/* clang-format on */

static const struct schema rule = {
    .name = "RetentionRule",
    .help = "A rule.",
    .members = (const struct member[]){ RULE_MEMBERS, { 0 } },
};

static const struct schema version = {
    .name = "RetentionRuleVersion",
    .help = "A version of a rule.",
    .members =
        (const struct member[]){
            RULE_MEMBERS,
            { "version", "integer", .help = "From 1." },
            { "isActive", "boolean", .help = "False where this version is the deletion." },
            { "isConfigured", "boolean", .help = "Whether it is of the configuration." },
            { "user", "string", .flags = NULLABLE, .help = "Who made the version." },
            { "createdAt", "string", "date-time", .help = "When the rule was made." },
            { "updatedAt", "string", "date-time", .help = "When the version was made." },
            { 0 },
        },
    .is_part = true,
};

static const struct schema rule_page = {
    .name = "RetentionRulePage",
    .help = "Some of the active rules, in the order of their ids.",
    .members =
        (const struct member[]){
            { "rules", .schema = &version, .flags = LIST, .help = "The rules." },
            { "next", "integer", .flags = NULLABLE,
              .help = "'after' of the next page; null: this is the last." },
            { 0 },
        },
};

static const struct schema rule_id = {
    .name = "RetentionRuleId",
    .help = "The rule that was meant.",
    .members = (const struct member[]){ { "ruleId", "integer", .help = "Its id." }, { 0 } },
};

static const struct schema history = {
    .name = "RetentionRuleHistory",
    .help = "Every version of a rule.",
    .members =
        (const struct member[]){
            { "ruleId", "integer", .help = "Its id." },
            { "versions", .schema = &version, .flags = LIST, .help = "The newest first." },
            { 0 },
        },
};

static const struct schema event = {
    .name = "Event",
    .help = "An event that was received.",
    .members =
        (const struct member[]){
            { "message", "string", .help = "For people." },
            { "executionId", "string", .flags = OPTIONAL | NULLABLE, .help = "The execution." },
            { "runId", "string", .flags = OPTIONAL | NULLABLE, .help = "The run that has it." },
            { 0 },
        },
};

static const struct schema job = {
    .name = "Job",
    .help = "What a rule, or delete markers, moved in one bucket.",
    .members =
        (const struct member[]){
            { "jobId", "integer", .help = "Its number." },
            { "batchId", "string", .flags = NULLABLE, .help = "By which it can be brought back." },
            { "type", "string", .help = "DATASET, DEFAULT, GLOBAL or USER." },
            { "ruleId", "integer", .flags = NULLABLE, .help = "null: of delete markers." },
            { "ruleVersion", "integer", .flags = NULLABLE, .help = "The rule as it was." },
            { "projectId", "string", .flags = NULLABLE, .help = "That the bucket is in." },
            { "sourceBucket", "string", .flags = NULLABLE, .help = "The bucket." },
            { "targetBucket", "string", .flags = NULLABLE, .help = "Its shadow." },
            { "prefixes", "string", .flags = LIST, .help = "What goes." },
            { "excludedPrefixes", "string", .flags = LIST, .help = "What of that stays." },
            { "modifiedBefore", "string", "date-time", .flags = NULLABLE,
              .help = "Only what was not changed since then goes; null: all." },
            { "mover", "string", .help = "direct or sts." },
            { "status", "string", .help = "running, pending, success or error." },
            { "objects", "integer", "int64", .help = "How many objects were moved." },
            { "bytes", "integer", "int64", .help = "How many bytes they have." },
            { "failed", "integer", "int64", .help = "How many objects could not be moved." },
            { "message", "string", .flags = NULLABLE, .help = "What went wrong." },
            { "createdAt", "string", "date-time", .flags = NULLABLE, .help = "When it began." },
            { "updatedAt", "string", "date-time", .flags = NULLABLE, .help = "Its last change." },
            { 0 },
        },
    .is_part = true,
};

static const struct schema marker = {
    .name = "DeleteMarker",
    .help = "A folder that is to go.",
    .members =
        (const struct member[]){
            { "target", "string", .flags = NULLABLE, .help = "The marker's name." },
            { "projectId", "string", .flags = NULLABLE, .help = "That the bucket is in." },
            { "status", "string", .help = "pending, scheduled, retry, success or fail." },
            { "retries", "integer", .help = "How often it was tried again." },
            { "jobId", "integer", .flags = NULLABLE, .help = "The job that has it." },
            { "message", "string", .flags = NULLABLE, .help = "What went wrong." },
            { "createdAt", "string", "date-time", .flags = NULLABLE, .help = "When it came." },
            { "updatedAt", "string", "date-time", .flags = NULLABLE, .help = "Its last change." },
            { 0 },
        },
    .is_part = true,
};

static const struct schema execution = {
    .name = "Execution",
    .help = "How an execution stands.",
    .members =
        (const struct member[]){
            { "executionId", "string", .help = "Names it." },
            { "batchId", "string", .flags = NULLABLE, .help = "The request's correlation-uuid." },
            { "type", "string", .help = "POLICY or USER." },
            { "target", "string", .flags = NULLABLE, .help = "As it was asked for." },
            { "projectId", "string", .flags = NULLABLE, .help = "As it was asked for." },
            { "ruleId", "integer", .flags = NULLABLE, .help = "The only rule that it is of." },
            { "user", "string", .flags = NULLABLE, .help = "Who asked for it." },
            { "runId", "string", .flags = NULLABLE, .help = "The run that has it." },
            { "status", "string", .help = "received, running, pending, success or error." },
            { "message", "string", .flags = NULLABLE, .help = "Why it failed." },
            { "createdAt", "string", "date-time", .flags = NULLABLE, .help = "When it came." },
            { "updatedAt", "string", "date-time", .flags = NULLABLE, .help = "Its last change." },
            { "objects", "integer", "int64", .help = "Of all its jobs." },
            { "bytes", "integer", "int64", .help = "Of all its jobs." },
            { "failed", "integer", "int64", .help = "Of all its jobs." },
            { "jobs", .schema = &job, .flags = LIST, .help = "What it became." },
            { "markers", .schema = &marker, .flags = LIST, .help = "Its delete marker." },
            { 0 },
        },
};

static const struct schema pool_job = {
    .name = "PooledJob",
    .help = "A transfer job of a pool.",
    .members =
        (const struct member[]){
            { "id", "integer", .help = "Its number here." },
            { "name", "string", .help = "Name of the transfer job." },
            { "projectId", "string", .help = "The project that the transfer job is in." },
            { "schedule", "string", .help = "When it runs every day, as HH:MM:SS in UTC." },
            { "type", "string", .help = "What it is for: dataset, default or user." },
            { "sourceBucket", "string", .help = "The bucket of the pool." },
            { "sourceProject", "string", .help = "The project of the pool." },
            { "targetBucket", "string", .flags = NULLABLE, .help = "The shadow bucket." },
            { "targetProject", "string", .flags = NULLABLE, .help = "The shadow's project." },
            { "createdAt", "integer", "int64", .help = "In milliseconds since 1970." },
            { "updatedAt", "integer", "int64", .help = "In milliseconds since 1970." },
            { "status", "string", .flags = NULLABLE, .help = "As it was given." },
            { 0 },
        },
};

static const struct schema success = {
    .name = "Success",
    .help = "It is done.",
    .members = (const struct member[]){ { "success", "boolean", .help = "True." }, { 0 } },
};

static const struct schema error = {
    .name = "Error",
    .help = "Why it is not done.",
    .members = (const struct member[]){ { "message", "string", .help = "For people." }, { 0 } },
};

/* ---- what is asked --------------------------------------------------------------------------- */

struct parameter {
    const char *name, *type, *help;
    bool is_required;
};

/* clang-format off */
#define RULE_KEY(is_needed)                                                                        \
    { "type", "string", "DATASET, DEFAULT or GLOBAL.", is_needed },                                \
    { "projectId", "string", "Its project; not of GLOBAL.", false },                               \
    { "dataStorageName", "string", "What it is for, as gs://bucket/dataset; not of GLOBAL.",       \
      false }
/* clang-format on */

static const struct parameter rule_key[] = { RULE_KEY(true), { 0 } };

static const struct parameter rule_or_page[] = {
    RULE_KEY(false),
    { "after", "integer", "Of all rules: those whose id is above this one.", false },
    { "limit", "integer", "Of all rules: at most so many, up to 1000; by default 100.", false },
    { 0 },
};

static const struct parameter pool_key[] = {
    { "sourceBucket", "string", "The bucket.", true },
    { "sourceProject", "string", "Its project.", true },
    { 0 },
};

/* What a route takes and answers, found by the route's method and path. */
struct operation {
    const char *method, *path, *id;
    const struct parameter *query;
    const struct sdrs_property *body;
    const char *body_name; /* of its schema */
    const struct schema *reply, *other_reply;
    bool takes_list, answers_list, may_miss;
    const char *media_type; /* in place of JSON with a schema */
};

static const struct operation operations[] = {
    { "GET", "/status", "getStatus", .media_type = "text/plain" },
    { "GET", "/openapi.json", "getDescription", .media_type = "application/json" },
    { "POST", "/retentionrules", "createRule", .body = sdrs_rule_properties,
      .body_name = "NewRetentionRule", .reply = &rule_id },
    { "GET", "/retentionrules", "getRule", .query = rule_or_page, .reply = &rule,
      .other_reply = &rule_page, .may_miss = true },
    { "DELETE", "/retentionrules", "deleteRule", .query = rule_key, .reply = &rule_id,
      .may_miss = true },
    { "PUT", "/retentionrules/{id}", "updateRule", .body = sdrs_update_properties,
      .body_name = "RetentionRuleUpdate", .reply = &rule },
    { "GET", "/retentionrules/{id}/history", "getRuleHistory", .reply = &history,
      .may_miss = true },
    { "POST", "/events/execution", "execute", .body = sdrs_execution_properties,
      .body_name = "ExecutionEvent", .reply = &event, .may_miss = true },
    { "GET", "/events/execution/{id}", "getExecution", .reply = &execution, .may_miss = true },
    { "POST", "/events/validation", "validate", .reply = &event },
    { "POST", "/events/notification", "notify", .body = sdrs_notification_properties,
      .body_name = "NotificationEvent", .reply = &event },
    { "POST", "/stsjobpool", "createPool", .query = pool_key, .body = sdrs_pool_properties,
      .body_name = "NewPooledJob", .takes_list = true, .reply = &success },
    { "GET", "/stsjobpool", "getPool", .query = pool_key, .reply = &pool_job,
      .answers_list = true },
    { "DELETE", "/stsjobpool", "deletePool", .query = pool_key, .reply = &success },
};

static const struct operation *find_operation(const struct rc_route *route)
{
    for (size_t i = 0; i < RC_ARRAY_LEN(operations); i++)
        if (strcmp(operations[i].method, route->method) == 0 &&
            strcmp(operations[i].path, route->path) == 0)
            return &operations[i];
    return NULL;
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static void append_text(json_t *list, const char *text)
{
    (void)json_array_append_new(list, json_string(text));
}

static json_t *reference(const char *schema)
{
    return json_pack("{s:o}", "$ref", json_sprintf("#/components/schemas/%s", schema));
}

static json_t *list_of(json_t *items)
{
    return json_pack("{s:s, s:o}", "type", "array", "items", items);
}

/* ---- schemas --------------------------------------------------------------------------------- */

static json_t *member_type(const struct member *member)
{
    json_t *type;

    if (!member->type)
        return reference(member->schema->name);
    type = json_object();
    if (member->flags & NULLABLE)
        sdrs_set_json(type, "type", json_pack("[ss]", member->type, "null"));
    else
        sdrs_set_text(type, "type", member->type);
    if (member->format)
        sdrs_set_text(type, "format", member->format);
    return type;
}

static void add_schema(json_t *schemas, const struct schema *schema);

static json_t *schema_json(json_t *schemas, const struct schema *schema)
{
    json_t *properties = json_object(), *required = json_array();

    for (const struct member *member = schema->members; member->name; member++) {
        json_t *type = member_type(member);

        if (member->flags & LIST)
            type = list_of(type);
        sdrs_set_text(type, "description", member->help);
        sdrs_set_json(properties, member->name, type);
        if (!(member->flags & OPTIONAL))
            append_text(required, member->name);
        if (member->schema)
            add_schema(schemas, member->schema);
    }
    if (!schema->is_part) {
        sdrs_set_json(
            properties, "requestUuid",
            json_pack("{s:s, s:s}", "type", "string", "description", "Names the request."));
        append_text(required, "requestUuid");
    }
    return json_pack("{s:s, s:s, s:o, s:o}", "type", "object", "description", schema->help,
                     "properties", properties, "required", required);
}

/* With those that it refers to, each once. */
static void add_schema(json_t *schemas, const struct schema *schema)
{
    if (!json_object_get(schemas, schema->name))
        sdrs_set_json(schemas, schema->name, schema_json(schemas, schema));
}

static json_t *property_json(const struct sdrs_property *property)
{
    json_t *json = json_object();

    if (property->type == SDRS_INTEGER) {
        sdrs_set_json(json, "type", json_pack("[ss]", "integer", "null"));
        sdrs_set_text(json, "format", "int64");
    } else {
        sdrs_set_json(json, "type", json_pack("[ss]", "string", "null"));
    }
    if (property->is_required)
        sdrs_set_text(json, "type", property->type == SDRS_INTEGER ? "integer" : "string");
    if (property->type == SDRS_CHOICE) {
        json_t *choices = json_array();

        for (const char *const *choice = property->choices; *choice; choice++)
            append_text(choices, *choice);
        if (!property->is_required)
            (void)json_array_append_new(choices, json_null());
        sdrs_set_json(json, "enum", choices);
    }
    sdrs_set_text(json, "description", property->help);
    return json;
}

static json_t *body_schema(const struct sdrs_property *properties)
{
    json_t *members = json_object(), *required = json_array();

    for (; properties->name; properties++) {
        sdrs_set_json(members, properties->name, property_json(properties));
        if (properties->is_required)
            append_text(required, properties->name);
    }
    return json_pack("{s:s, s:b, s:o, s:o}", "type", "object", "additionalProperties", 0,
                     "properties", members, "required", required);
}

/* ---- operations ------------------------------------------------------------------------------ */

static json_t *parameter_json(const char *name, const char *where, const char *type,
                              const char *help, bool is_required)
{
    return json_pack("{s:s, s:s, s:s, s:b, s:{s:s}}", "name", name, "in", where, "description",
                     help, "required", is_required, "schema", "type", type);
}

static json_t *parameters(const struct operation *operation)
{
    json_t *list = json_array();
    /* Rules are numbered, executions have UUIDs. */
    const char *id_type = rc_str_starts(operation->path, "/retentionrules/") ? "integer" : "string";

    if (strstr(operation->path, "{id}"))
        (void)json_array_append_new(
            list, parameter_json("id", "path", id_type, "The one that is meant.", true));
    for (const struct parameter *one = operation->query; one && one->name; one++)
        (void)json_array_append_new(
            list, parameter_json(one->name, "query", one->type, one->help, one->is_required));
    (void)json_array_append_new(
        list,
        parameter_json("correlation-uuid", "header", "string",
                       "Names the batch in logs and records; made where there is none.", false));
    return list;
}

static json_t *response(const char *help, const char *media_type, json_t *schema)
{
    return json_pack("{s:s, s:{s:{s:{s:s}}}, s:{s:{s:o}}}", "description", help, "headers",
                     "correlation-uuid", "schema", "type", "string", "content", media_type,
                     "schema", schema);
}

static json_t *good_reply(const struct operation *operation)
{
    json_t *schema;

    if (operation->media_type)
        return response(
            "Done.", operation->media_type,
            json_pack("{s:s}", "type",
                      strcmp(operation->media_type, "text/plain") == 0 ? "string" : "object"));
    schema = reference(operation->reply->name);
    if (operation->other_reply)
        schema = json_pack("{s:[o, o]}", "anyOf", schema, reference(operation->other_reply->name));
    if (operation->answers_list)
        schema = list_of(schema);
    return response("Done.", "application/json", schema);
}

static json_t *responses(const struct operation *operation)
{
    static const char json[] = "application/json";
    json_t *all = json_object();
    bool is_open = operation->media_type && strcmp(operation->media_type, "text/plain") == 0;

    sdrs_set_json(all, "200", good_reply(operation));
    if (is_open) {
        sdrs_set_json(all, "503",
                      response("The database is down.", operation->media_type,
                               json_pack("{s:s}", "type", "string")));
        return all;
    }
    sdrs_set_json(all, "400", response("The request has a mistake.", json, reference("Error")));
    sdrs_set_json(all, "401", response("There is no valid token.", json, reference("Error")));
    sdrs_set_json(all, "403", response("The client is not served.", json, reference("Error")));
    if (operation->may_miss)
        sdrs_set_json(all, "404", response("There is no such thing.", json, reference("Error")));
    if (operation->body) {
        sdrs_set_json(all, "413", response("The body is too large.", json, reference("Error")));
        sdrs_set_json(all, "415", response("The body is not JSON.", json, reference("Error")));
    }
    sdrs_set_json(all, "500",
                  response("The server failed; its log says why.", json, reference("Error")));
    sdrs_set_json(all, "503", response("Not now; try again later.", json, reference("Error")));
    return all;
}

static json_t *operation_json(const struct rc_route *route, const struct operation *operation)
{
    bool is_open = strcmp(route->path, "/status") == 0;
    json_t *json = json_object();
    json_t *body;

    sdrs_set_text(json, "operationId", operation->id);
    sdrs_set_text(json, "summary", route->summary);
    sdrs_set_json(json, "security", is_open ? json_array() : json_pack("[{s:[]}, {}]", "token"));
    sdrs_set_json(json, "parameters", parameters(operation));
    if (operation->body) {
        body = reference(operation->body_name);
        if (operation->takes_list)
            body = list_of(body);
        sdrs_set_json(json, "requestBody",
                      json_pack("{s:b, s:{s:{s:o}}}", "required", 1, "content", "application/json",
                                "schema", body));
    }
    sdrs_set_json(json, "responses", responses(operation));
    return json;
}

/* ---- the document ---------------------------------------------------------------------------- */

static void add_operation(json_t *paths, json_t *schemas, const struct rc_route *route,
                          const struct operation *operation)
{
    static const char *const methods[][2] = {
        { "GET", "get" }, { "POST", "post" }, { "PUT", "put" }, { "DELETE", "delete" }
    };
    json_t *item = json_object_get(paths, route->path);

    if (!item) {
        item = json_object();
        sdrs_set_json(paths, route->path, item);
    }
    for (size_t i = 0; i < RC_ARRAY_LEN(methods); i++)
        if (strcmp(methods[i][0], route->method) == 0)
            sdrs_set_json(item, methods[i][1], operation_json(route, operation));
    if (operation->body && !json_object_get(schemas, operation->body_name))
        sdrs_set_json(schemas, operation->body_name, body_schema(operation->body));
    if (operation->reply)
        add_schema(schemas, operation->reply);
    if (operation->other_reply)
        add_schema(schemas, operation->other_reply);
}

enum rc_code sdrs_openapi_get(struct sdrs_request *request, struct rc_error *err)
{
    RC_CLEANUP(json_decrefp) json_t *document = NULL;
    json_t *paths = json_object(), *schemas = json_object();
    char *text;

    add_schema(schemas, &error);
    for (const struct rc_route *route = sdrs_routes; route->method; route++) {
        const struct operation *operation = find_operation(route);

        if (rc_str_eq(route->method, "*"))
            continue;
        RC_ASSERT(operation != NULL);
        add_operation(paths, schemas, route, operation);
    }
    document = json_pack("{s:s, s:{s:s, s:s, s:s}, s:o, s:{s:o, s:{s:{s:s, s:s, s:s}}}}", "openapi",
                         "3.1.0", "info", "title", "run-core sdrs", "version", "1.0", "description",
                         "Rules of retention, executions and delete markers.", "paths", paths,
                         "components", "schemas", schemas, "securitySchemes", "token", "type",
                         "http", "scheme", "bearer", "bearerFormat", "JWT");
    text = json_dumps(document, JSON_COMPACT);
    if (!text)
        return rc_fail(err, RC_FAILED, "the description cannot be written as JSON");
    rc_exchange_reply(request->job, request->exchange, 200, "application/json", text, strlen(text));
    free(text);
    return RC_OK;
}
