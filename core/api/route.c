/*
 * Finds the route of a request. What the routes are stands in routes.c.
 */
#include <api/route.h>

#include <base/path_template.h>

#include <run-core/str.h>

#include <stdio.h>
#include <string.h>

static const char *const scope_names[] = { "none", "read", "run", "admin" };

const char *core_scope_name(enum core_scope scope)
{
    return scope_names[scope];
}

bool core_scope_parse(const char *name, size_t len, enum core_scope *out)
{
    for (size_t i = CORE_SCOPE_READ; i < RC_ARRAY_LEN(scope_names); i++)
        if (strlen(scope_names[i]) == len && strncmp(scope_names[i], name, len) == 0) {
            *out = (enum core_scope)i;
            return true;
        }
    return false;
}

/* Whether 'path' is one of 'template'; its values go to 'segments'. */
static bool
fits(const char *template, const char *path,
     char segments[CORE_ROUTE_SEGMENTS][sizeof(((struct core_route_match *)0)->segments[0])])
{
    struct core_path_values values;

    if (!core_path_match(template, path, &values))
        return false;
    RC_ASSERT(values.count <= CORE_ROUTE_SEGMENTS);
    for (size_t i = 0; i < values.count; i++) {
        const struct core_path_value *item = &values.items[i];

        if (item->value_len >= sizeof(segments[0]))
            return false;
        memcpy(segments[i], item->value, item->value_len);
        segments[i][item->value_len] = '\0';
    }
    return true;
}

static void allow(struct core_route_match *match, const char *method)
{
    size_t used = strlen(match->allow);

    (void)snprintf(match->allow + used, sizeof(match->allow) - used, "%s%s%s", used ? ", " : "",
                   method, strcmp(method, "GET") == 0 ? ", HEAD" : "");
}

void core_route_find(const char *method, const char *path, struct core_route_match *out)
{
    const char *wanted = strcmp(method, "HEAD") == 0 ? "GET" : method;

    *out = (struct core_route_match){ .route = NULL };
    for (const struct core_route *route = core_routes; route->method; route++) {
        if (!fits(route->path, path, out->segments))
            continue;
        if (strcmp(route->method, wanted) == 0) {
            out->route = route;
            return;
        }
        allow(out, route->method);
    }
}
