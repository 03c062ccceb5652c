/*
 * Writes the table of routes as an OpenAPI 3.1 document and as Markdown.
 */
#include <api/openapi.h>

#include <api/call.h>

#include <run-core/str.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_SCHEMAS = 64 };

/* ---- schemas --------------------------------------------------------------------------------- */

static void add_ref(const struct core_schema *schema, struct rc_buf *out)
{
    rc_buf_addf(out, "{\"$ref\":\"#/components/schemas/%s\"}", schema->name);
}

static void add_choices(const char *const *choices, bool nullable, struct rc_buf *out)
{
    core_json_key(out, "enum");
    rc_buf_addc(out, '[');
    for (; *choices; choices++) {
        core_json_comma(out);
        rc_buf_add_json(out, *choices, strlen(*choices));
    }
    rc_buf_adds(out, nullable ? ",null]" : "]");
}

/* Of one value; behind it the caller may add members. */
static void add_type(const struct core_field *field, bool nullable, struct rc_buf *out)
{
    static const char *const types[] = {
        [CORE_FIELD_TEXT] = "string",     [CORE_FIELD_TIME] = "string",
        [CORE_FIELD_INTEGER] = "integer", [CORE_FIELD_BOOLEAN] = "boolean",
        [CORE_FIELD_COUNTERS] = "object", [CORE_FIELD_VALUES] = "object",
    };

    if (field->type == CORE_FIELD_OBJECT) {
        core_json_key(out, nullable ? "anyOf" : "allOf");
        rc_buf_addc(out, '[');
        add_ref(field->schema, out);
        rc_buf_adds(out, nullable ? ",{\"type\":\"null\"}]" : "]");
        return;
    }
    core_json_key(out, "type");
    rc_buf_addf(out, nullable ? "[\"%s\",\"null\"]" : "\"%s\"", types[field->type]);
    if (field->type == CORE_FIELD_TIME)
        core_json_text(out, "format", "date-time");
    if (field->type == CORE_FIELD_INTEGER)
        core_json_text(out, "format", "int64");
    if (field->type == CORE_FIELD_COUNTERS) {
        core_json_key(out, "additionalProperties");
        rc_buf_adds(out, "{\"type\":\"integer\"}");
    }
    if (field->choices)
        add_choices(field->choices, nullable, out);
}

static void add_field(const struct core_field *field, struct rc_buf *out)
{
    bool nullable = (field->flags & CORE_FIELD_NULLABLE) != 0;

    core_json_key(out, field->name);
    rc_buf_addc(out, '{');
    core_json_text(out, "description", field->help);
    if (field->flags & CORE_FIELD_LIST) {
        core_json_key(out, "type");
        rc_buf_adds(out, nullable ? "[\"array\",\"null\"]" : "\"array\"");
        core_json_key(out, "items");
        rc_buf_addc(out, '{');
        add_type(field, false, out);
        rc_buf_addc(out, '}');
    } else {
        add_type(field, nullable, out);
    }
    rc_buf_addc(out, '}');
}

static void add_schema(const struct core_schema *schema, struct rc_buf *out)
{
    core_json_key(out, schema->name);
    rc_buf_adds(out, "{\"type\":\"object\"");
    core_json_text(out, "description", schema->summary);
    core_json_key(out, "required");
    rc_buf_addc(out, '[');
    for (const struct core_field *field = schema->fields; field->name; field++)
        if (!(field->flags & CORE_FIELD_OPTIONAL)) {
            core_json_comma(out);
            rc_buf_addf(out, "\"%s\"", field->name);
        }
    rc_buf_addc(out, ']');
    core_json_key(out, "properties");
    rc_buf_addc(out, '{');
    for (const struct core_field *field = schema->fields; field->name; field++)
        add_field(field, out);
    rc_buf_adds(out, "}}");
}

struct schemas {
    const struct core_schema *items[MOST_SCHEMAS];
    size_t count;
};

/* Gathers a schema and those that it refers to, each once. */
static void gather(struct schemas *all, const struct core_schema *schema)
{
    if (!schema)
        return;
    for (size_t i = 0; i < all->count; i++)
        if (all->items[i] == schema)
            return;
    RC_ASSERT(all->count < MOST_SCHEMAS);
    all->items[all->count++] = schema;
    for (const struct core_field *field = schema->fields; field->name; field++)
        gather(all, field->schema);
}

static void add_schemas(struct rc_buf *out)
{
    struct schemas all = { .count = 0 };

    gather(&all, &core_schema_error);
    for (const struct core_route *route = core_routes; route->method; route++)
        gather(&all, route->reply);
    core_json_key(out, "schemas");
    rc_buf_addc(out, '{');
    for (size_t i = 0; i < all.count; i++)
        add_schema(all.items[i], out);
    rc_buf_addc(out, '}');
}

/* ---- what may be asked ----------------------------------------------------------------------- */

static void add_option_schema(const struct rc_option *option, struct rc_buf *out)
{
    bool is_number = option->type == RC_OPT_INT;

    core_json_key(out, "schema");
    rc_buf_addc(out, '{');
    if (option->type == RC_OPT_LIST) {
        core_json_text(out, "type", "array");
        core_json_key(out, "items");
        rc_buf_adds(out, "{\"type\":\"string\"");
        if (option->choices)
            add_choices(option->choices, false, out);
        rc_buf_addc(out, '}');
    } else {
        core_json_text(out, "type",
                       is_number                     ? "integer"
                       : option->type == RC_OPT_BOOL ? "boolean"
                       : option->type == RC_OPT_MAP  ? "object"
                                                     : "string");
        if (option->choices)
            add_choices(option->choices, false, out);
    }
    if (is_number && (option->min || option->max)) {
        core_json_int(out, "minimum", option->min);
        if (option->max != INT64_MAX)
            core_json_int(out, "maximum", option->max);
    }
    if (option->def) {
        core_json_key(out, "default");
        if (is_number || option->type == RC_OPT_BOOL)
            rc_buf_adds(out, option->def);
        else
            rc_buf_add_json(out, option->def, strlen(option->def));
    }
    rc_buf_addc(out, '}');
}

static void add_path_parameters(const char *path, struct rc_buf *out)
{
    while ((path = strchr(path, '{')) != NULL) {
        size_t len = strcspn(++path, "}");

        core_json_comma(out);
        rc_buf_adds(out, "{\"name\":");
        rc_buf_add_json(out, path, len);
        rc_buf_adds(out, ",\"in\":\"path\",\"required\":true,\"schema\":{\"type\":\"string\"}}");
    }
}

static void add_parameters(const struct core_route *route, struct rc_buf *out)
{
    core_json_key(out, "parameters");
    rc_buf_addc(out, '[');
    add_path_parameters(route->path, out);
    for (const struct rc_option *option = route->query; option && option->name; option++) {
        core_json_comma(out);
        rc_buf_addc(out, '{');
        core_json_text(out, "name", option->name);
        core_json_text(out, "in", "query");
        core_json_text(out, "description", option->help);
        if (option->type == RC_OPT_LIST) {
            core_json_text(out, "style", "form");
            core_json_bool(out, "explode", false);
        }
        add_option_schema(option, out);
        rc_buf_addc(out, '}');
    }
    rc_buf_addc(out, ']');
}

static void add_request_body(const struct core_route *route, struct rc_buf *out)
{
    if (!route->body)
        return;
    core_json_key(out, "requestBody");
    rc_buf_adds(out, "{\"required\":false,\"content\":{\"application/json\":{\"schema\":"
                     "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{");
    for (const struct rc_option *option = route->body; option->name; option++) {
        core_json_key(out, option->name);
        rc_buf_adds(out, "{\"allOf\":[{");
        rc_buf_adds(out, "\"description\":");
        rc_buf_add_json(out, option->help, strlen(option->help));
        rc_buf_adds(out, ",\"type\":");
        rc_buf_adds(out, option->type == RC_OPT_MAP ? "\"object\"" : "\"boolean\"");
        rc_buf_adds(out, "}]}");
    }
    rc_buf_adds(out, "}}}}}");
}

/* ---- what is answered ------------------------------------------------------------------------ */

static const struct {
    unsigned status;
    const char *meaning;
} meanings[] = {
    { 200, "Done." },
    { 202, "Accepted." },
    { 400, "The request is not understood." },
    { 401, "There is no token, or one that is not known." },
    { 403, "The scope is not enough, or the request comes from the page of another site." },
    { 404, "There is no such thing." },
    { 405, "The path does not answer that method." },
    { 409, "It is not in the state for that." },
    { 413, "The body is too large." },
    { 415, "The body is not JSON." },
    { 416, "There is no such range." },
    { 422, "The values or the configuration have mistakes." },
    { 503, "Not now, such as while the state database is away." },
};

static const char *meaning_of(unsigned status)
{
    for (size_t i = 0; i < RC_ARRAY_LEN(meanings); i++)
        if (meanings[i].status == status)
            return meanings[i].meaning;
    return "";
}

static void add_response(unsigned status, const char *type, const struct core_schema *schema,
                         struct rc_buf *out)
{
    core_json_comma(out);
    rc_buf_addf(out, "\"%u\":{\"description\":\"%s\",\"content\":{", status, meaning_of(status));
    rc_buf_add_json(out, type, strcspn(type, ";"));
    rc_buf_adds(out, ":{\"schema\":");
    if (schema)
        add_ref(schema, out);
    else
        rc_buf_adds(out, strncmp(type, "text/", 5) == 0 ? "{\"type\":\"string\"}"
                                                        : "{\"type\":\"object\"}");
    rc_buf_adds(out, "}}}");
}

static void add_responses(const struct core_route *route, struct rc_buf *out)
{
    static const char json[] = "application/json";
    const char *errors = route->errors ? route->errors : "";
    bool is_probe = route->reply == &core_schema_health;

    core_json_key(out, "responses");
    rc_buf_addc(out, '{');
    add_response(route->status, route->reply ? json : route->content_type, route->reply, out);
    if (strstr(errors, "416")) {
        rc_buf_adds(out, ",\"206\":{\"description\":\"A part of the log.\",\"content\":"
                         "{\"text/plain\":{\"schema\":{\"type\":\"string\"}}}}");
    }
    add_response(400, json, &core_schema_error, out);
    if (route->scope != CORE_SCOPE_NONE)
        add_response(401, json, &core_schema_error, out);
    add_response(403, json, &core_schema_error, out);
    while (*errors) {
        unsigned status = (unsigned)strtoul(errors, NULL, 10);

        add_response(status, json, is_probe ? &core_schema_health : &core_schema_error, out);
        errors += strcspn(errors, " ");
        errors += strspn(errors, " ");
    }
    rc_buf_addc(out, '}');
}

/* ---- the document ---------------------------------------------------------------------------- */

static void add_tag(const struct core_route *route, struct rc_buf *out)
{
    static const char api[] = "/api/v1/";
    const char *tag = rc_str_starts(route->path, api) ? route->path + strlen(api) : "";
    size_t len = strcspn(tag, "/");

    if (strncmp(tag, "jobs", len) != 0 && strncmp(tag, "runs", len) != 0 &&
        strncmp(tag, "plugins", len) != 0)
        len = 0;
    core_json_key(out, "tags");
    rc_buf_addc(out, '[');
    if (len)
        rc_buf_add_json(out, tag, len);
    else
        rc_buf_adds(out, "\"daemon\"");
    rc_buf_addc(out, ']');
}

static void add_operation(const struct core_route *route, struct rc_buf *out)
{
    core_json_key(out, strcmp(route->method, "POST") == 0 ? "post" : "get");
    rc_buf_addc(out, '{');
    core_json_text(out, "operationId", route->name);
    core_json_text(out, "summary", route->summary);
    if (route->details)
        core_json_text(out, "description", route->details);
    add_tag(route, out);
    core_json_text(out, "x-scope", core_scope_name(route->scope));
    core_json_key(out, "security");
    rc_buf_adds(out, route->scope == CORE_SCOPE_NONE ? "[]" : "[{\"token\":[]}]");
    add_parameters(route, out);
    add_request_body(route, out);
    add_responses(route, out);
    rc_buf_addc(out, '}');
}

static void add_paths(struct rc_buf *out)
{
    const char *path = "";

    core_json_key(out, "paths");
    rc_buf_addc(out, '{');
    for (const struct core_route *route = core_routes; route->method; route++) {
        bool is_new = strcmp(route->path, path) != 0;

        if (is_new) {
            rc_buf_adds(out, *path ? "}" : "");
            path = route->path;
            core_json_key(out, path);
            rc_buf_addc(out, '{');
        }
        add_operation(route, out);
    }
    rc_buf_adds(out, "}}");
}

void core_openapi_add_json(const char *version, struct rc_buf *out)
{
    rc_buf_adds(out, "{\"openapi\":\"3.1.0\",\"info\":{");
    core_json_text(out, "title", "run-core");
    core_json_text(out, "version", version);
    core_json_text(out, "description",
                   "The daemon of run-core. Times are RFC 3339 in UTC. Every error is an object "
                   "with 'error'. A token is sent as 'Authorization: Bearer TOKEN'; its scope, "
                   "read, run or admin, includes those before it. Over the daemon's Unix socket "
                   "root and the daemon's user need none and may do everything; on loopback "
                   "without tokens, all but what needs admin is open to this machine.");
    rc_buf_addc(out, '}');
    core_json_key(out, "servers");
    rc_buf_adds(out, "[{\"url\":\"/\"}]");
    core_json_key(out, "tags");
    rc_buf_adds(out, "[{\"name\":\"daemon\"},{\"name\":\"jobs\"},{\"name\":\"runs\"},"
                     "{\"name\":\"plugins\"}]");
    add_paths(out);
    core_json_key(out, "components");
    rc_buf_addc(out, '{');
    add_schemas(out);
    core_json_key(out, "securitySchemes");
    rc_buf_adds(out, "{\"token\":{\"type\":\"http\",\"scheme\":\"bearer\"}}}}");
}

void core_api_openapi(struct core_api_call *call)
{
    RC_BUF_AUTO(out, CORE_API_REPLY_BYTES);

    core_openapi_add_json(call->api->version, &out);
    core_api_reply(call, &out);
}

/* ---- for people ------------------------------------------------------------------------------ */

static void add_markdown_table(const char *title, const struct rc_option *options,
                               struct rc_buf *out)
{
    const struct core_option_table table = CORE_OPTION_TABLE(options);

    if (!options)
        return;
    rc_buf_addf(out, "\n%s:\n\n", title);
    core_options_to_markdown(&table, out);
}

void core_openapi_add_markdown(struct rc_buf *out)
{
    rc_buf_adds(out, "| request | scope | what it does |\n|---|---|---|\n");
    for (const struct core_route *route = core_routes; route->method; route++)
        rc_buf_addf(out, "| `%s %s` | %s | %s |\n", route->method, route->path,
                    core_scope_name(route->scope), route->summary);
    for (const struct core_route *route = core_routes; route->method; route++) {
        if (!route->query && !route->body && !route->details)
            continue;
        rc_buf_addf(out, "\n#### `%s %s`\n\n%s%s%s\n", route->method, route->path, route->summary,
                    route->details ? " " : "", route->details ? route->details : "");
        add_markdown_table("Query", route->query, out);
        add_markdown_table("Body", route->body, out);
    }
}

static void add_text_table(const struct rc_option *options, struct rc_buf *out)
{
    const struct core_option_table table = CORE_OPTION_TABLE(options);

    if (options)
        core_options_to_text(&table, out);
}

void core_openapi_add_text(struct rc_buf *out)
{
    for (const struct core_route *route = core_routes; route->method; route++) {
        rc_buf_addf(out, "%s%s %s (%s)\n  %s\n", route == core_routes ? "" : "\n", route->method,
                    route->path, core_scope_name(route->scope), route->summary);
        add_text_table(route->query, out);
        add_text_table(route->body, out);
    }
}
