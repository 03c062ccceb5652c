/*
 * The routes of the API, as a table: from it follow dispatch, what a request may say, the OpenAPI
 * document and the reference in the documentation.
 *
 * What a query or a body may hold stands in option tables, so it is checked by the rules, and with
 * the messages, of the configuration.
 */
#ifndef CORE_API_ROUTE_H
#define CORE_API_ROUTE_H

#include <run-core/attr.h>
#include <run-core/option.h>

#include <stdbool.h>
#include <stddef.h>

struct core_api_call;

/* Each includes those before it. */
enum core_scope { CORE_SCOPE_NONE, CORE_SCOPE_READ, CORE_SCOPE_RUN, CORE_SCOPE_ADMIN };

/* "read"; a constant. */
const char *core_scope_name(enum core_scope scope);
/* False: none of read, run and admin. */
bool core_scope_parse(const char *name, size_t len, enum core_scope *out);

/* ---- replies --------------------------------------------------------------------------------- */

enum core_field_type {
    CORE_FIELD_TEXT,
    CORE_FIELD_TIME, /* RFC 3339 in UTC */
    CORE_FIELD_INTEGER,
    CORE_FIELD_BOOLEAN,
    CORE_FIELD_COUNTERS, /* object of integers */
    CORE_FIELD_VALUES,   /* object of anything */
    CORE_FIELD_OBJECT,   /* of 'schema' */
};

enum {
    CORE_FIELD_NULLABLE = 1u << 0,
    CORE_FIELD_OPTIONAL = 1u << 1, /* may be absent */
    CORE_FIELD_LIST = 1u << 2,     /* of the type */
};

struct core_schema;

struct core_field {
    const char *name;
    enum core_field_type type;
    unsigned flags;
    const char *help;
    const struct core_schema *schema;
    const char *const *choices; /* of a text; ends with NULL */
};

struct core_schema {
    const char *name, *summary;
    const struct core_field *fields; /* ends with { 0 } */
};

extern const struct core_schema core_schema_error;

/* ---- routes ---------------------------------------------------------------------------------- */

enum { CORE_ROUTE_SEGMENTS = 2 };

struct core_route {
    const char *method;
    const char *path; /* with {name} for a segment that is a value */
    enum core_scope scope;
    const char *name;              /* operationId */
    const char *summary, *details; /* a sentence; more of them, or NULL */
    const struct rc_option *query; /* ends with { 0 }; or NULL: none */
    size_t query_size;             /* of the struct that it fills */
    const struct rc_option *body;  /* of a JSON object; or NULL: no body is read */
    size_t body_size;
    unsigned status;                 /* of success */
    const struct core_schema *reply; /* NULL: 'content_type' */
    const char *content_type;
    const char *errors; /* statuses beyond 400, 401, 403 and 405: "404 409 503" */
    void (*answer)(struct core_api_call *call);
};

/* In the order of the documentation; ends with an entry without a method. */
extern const struct core_route core_routes[];

struct core_route_match {
    const struct core_route *route; /* NULL: see 'allow' */
    char segments[CORE_ROUTE_SEGMENTS][256];
    char allow[64]; /* the methods of the path; "": there is no such path */
};

/* HEAD is answered by what answers GET. */
void core_route_find(const char *method, const char *path, struct core_route_match *out);

#endif
