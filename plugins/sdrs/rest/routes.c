/*
 * The endpoints, at the paths of the older system and some more. What each takes and answers is in
 * openapi.c.
 */
#include "request.h"

#include <string.h>

enum { ALLOWED_BYTES = 256 };

#define HANDLER(name, around, work)                                                                \
    static enum rc_code name(struct rc_job *job, const void *config, struct rc_exchange *exchange, \
                             struct rc_error *err)                                                 \
    {                                                                                              \
        return around(job, config, exchange, work, err);                                           \
    }

HANDLER(status, sdrs_handle_open, sdrs_status_get)
HANDLER(openapi, sdrs_handle_stateless, sdrs_openapi_get)
HANDLER(rules_post, sdrs_handle, sdrs_rules_post)
HANDLER(rules_get, sdrs_handle, sdrs_rules_get)
HANDLER(rules_put, sdrs_handle, sdrs_rules_put)
HANDLER(rules_remove, sdrs_handle, sdrs_rules_remove)
HANDLER(rules_versions, sdrs_handle, sdrs_rules_versions)
HANDLER(events_execute, sdrs_handle, sdrs_events_execute)
HANDLER(events_show, sdrs_handle, sdrs_events_show)
HANDLER(events_validate, sdrs_handle, sdrs_events_validate)
HANDLER(events_notify, sdrs_handle, sdrs_events_notify)
HANDLER(pool_post, sdrs_handle, sdrs_pool_post)
HANDLER(pool_get, sdrs_handle, sdrs_pool_get)
HANDLER(pool_remove, sdrs_handle, sdrs_pool_remove)

static sdrs_request_fn refuse_unknown;
HANDLER(unknown, sdrs_handle_open, refuse_unknown)

#define RULES "/retentionrules"

/* clang-format off */
const struct rc_route sdrs_routes[] = {
    { "GET", "/status", "Whether the server, the database and Pub/Sub are up.", status },
    { "GET", "/openapi.json", "Describes these routes, as OpenAPI 3.1.", openapi },
    { "POST", RULES, "Makes a rule.", rules_post },
    { "GET", RULES, "The rule of a type, project and name; without them all rules.", rules_get },
    { "DELETE", RULES, "Deletes the rule of a type, project and name.", rules_remove },
    { "PUT", RULES "/{id}", "Changes the retention of a rule.", rules_put },
    { "GET", RULES "/{id}/history", "Every version of a rule.", rules_versions },
    { "POST", "/events/execution", "Executes rules, or deletes a folder.", events_execute },
    { "GET", "/events/execution/{id}", "How an execution stands.", events_show },
    { "POST", "/events/validation", "Looks what became of executions.", events_validate },
    { "POST", "/events/notification", "Tells of a deletion that others made.", events_notify },
    { "POST", "/stsjobpool", "Gives a bucket its pool of transfer jobs.", pool_post },
    { "GET", "/stsjobpool", "The pool of a bucket.", pool_get },
    { "DELETE", "/stsjobpool", "Takes the pool of a bucket away.", pool_remove },
    { "*", "/{path*}", "Says what is wrong with any other request.", unknown },
    { 0 },
};
/* clang-format on */

/* Whether a path is that of a route, in which an {id} is any part but an empty one. */
static bool fits(const char *route, const char *path)
{
    while (*route && *path) {
        if (*route == '{') {
            size_t len = strcspn(path, "/");

            if (len == 0)
                return false;
            route += strcspn(route, "/");
            path += len;
        } else if (*route++ != *path++) {
            return false;
        }
    }
    return *route == '\0' && *path == '\0';
}

/* What the core would answer itself, but for the UUID that each reply of this API has. */
static enum rc_code refuse_unknown(struct sdrs_request *request, struct rc_error *err)
{
    const char *path = rc_exchange_path(request->job, request->exchange);
    RC_BUF_AUTO(allowed, ALLOWED_BYTES);

    for (const struct rc_route *route = sdrs_routes; route->method; route++)
        if (route->handle != unknown && fits(route->path, path))
            rc_buf_addf(&allowed, "%s%s", allowed.len ? ", " : "",
                        rc_str_eq(route->method, "GET") ? "GET, HEAD" : route->method);
    if (allowed.len == 0)
        return rc_fail(err, RC_NOT_FOUND, "There is nothing at '%s'", path);
    rc_exchange_add_header(request->job, request->exchange, "Allow", allowed.data);
    request->status = 405;
    return rc_fail(err, RC_UNSUPPORTED, "Here only %s is answered", allowed.data);
}
