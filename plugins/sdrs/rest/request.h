/*
 * What every request to the REST API has: its UUIDs, its user, and the seed's words for what goes
 * wrong.
 */
#ifndef SDRS_REQUEST_H
#define SDRS_REQUEST_H

#include "../auth/jwt.h"
#include "../run.h"

#include <jansson.h>

enum { SDRS_CORRELATION_TEXT = 129 };

struct sdrs_request {
    struct rc_job *job;
    const struct sdrs_config *config;
    struct rc_exchange *exchange;
    char uuid[SDRS_UUID_TEXT];
    char correlation[SDRS_CORRELATION_TEXT]; /* of the header, or made; echoed */
    struct sdrs_claims user;
    struct sdrs_state state; /* open */
    unsigned status;         /* of a refusal that no code stands for; 0: as the error says */
};

/*
 * A handler: answers by sdrs_reply(), or returns what is wrong with the request, as an error
 * without a context: RC_INVALID, RC_CONFLICT 400, RC_DENIED 403, RC_NOT_FOUND 404, RC_TOO_LARGE
 * 413, RC_UNSUPPORTED 415, each with its cause as the message beside the requestUuid. An error that
 * has a context, or another code, is none of the client's: it is logged and told in constant words,
 * as 503 if it may pass, else as 500 "Internal server error".
 */
typedef enum rc_code sdrs_request_fn(struct sdrs_request *request, struct rc_error *err);

/* Does all around it: UUIDs, token, state, errors; each line that is logged has the batch's UUID.
 */
enum rc_code sdrs_handle(struct rc_job *job, const void *config, struct rc_exchange *exchange,
                         sdrs_request_fn *work, struct rc_error *err);
/* The same without the state, which stays closed. */
enum rc_code sdrs_handle_stateless(struct rc_job *job, const void *config,
                                   struct rc_exchange *exchange, sdrs_request_fn *work,
                                   struct rc_error *err);
/* The same for whoever asks. */
enum rc_code sdrs_handle_open(struct rc_job *job, const void *config, struct rc_exchange *exchange,
                              sdrs_request_fn *work, struct rc_error *err);

/* Logs a line that has the request's UUIDs and user. The arguments are evaluated if it is on. */
#define sdrs_request_log(request, level, ...)                                                      \
    do {                                                                                           \
        if ((request)->job->log_level >= (int)(level))                                             \
            sdrs_request_write((request), (level), __VA_ARGS__);                                   \
    } while (0)
void sdrs_request_write(const struct sdrs_request *request, enum rc_log_level level,
                        const char *format, ...) RC_PRINTF(3, 4);

/* 200 with the members of 'body' (taken over) and requestUuid. */
enum rc_code sdrs_reply(struct sdrs_request *request, json_t *body, struct rc_error *err);
/* The same of a list of objects, each of which gets it. */
enum rc_code sdrs_reply_list(struct sdrs_request *request, json_t *list, struct rc_error *err);

/*
 * Members of a reply. A text of NULL is null, and what is no UTF-8 in it, as a key may have, is
 * replaced; a time is RFC 3339 in UTC, 0 is null.
 */
void sdrs_set_json(json_t *object, const char *name, json_t *value); /* taken over */
void sdrs_set_text(json_t *object, const char *name, const char *text);
void sdrs_set_number(json_t *object, const char *name, int64_t number);
void sdrs_set_time(json_t *object, const char *name, int64_t unix_ms);
json_t *sdrs_text_json(const char *text);

/*
 * A parameter of the query; NULL: it is not given, or empty. RC_INVALID: it is no UTF-8, which no
 * database takes.
 */
RC_MUST_CHECK enum rc_code sdrs_query(struct sdrs_request *request, const char *name,
                                      const char **out, struct rc_error *err);

/* "Invalid input: a, b" of messages that are separated by ", "; RC_OK where there are none. */
RC_MUST_CHECK enum rc_code sdrs_refuse(const struct rc_buf *mistakes, struct rc_error *err);

/*
 * What a client is told of a bucket that could not be looked at, as 'err' has it. What the server
 * tried with its own credentials is for those who run it: that is in the log alone.
 */
const char *sdrs_bucket_trouble(struct sdrs_request *request, const char *uri,
                                const struct rc_error *err);

/* ---- bodies --------------------------------------------------------------------------------- */

enum sdrs_property_type { SDRS_TEXT, SDRS_INTEGER, SDRS_CHOICE };

/* A property of a JSON body, into a member of a struct: SDRS_TEXT_OF("x", struct s, x). */
struct sdrs_property {
    const char *name;
    enum sdrs_property_type type;
    size_t offset;              /* const char * (NULL: not given), or int64_t */
    size_t given_offset;        /* of SDRS_INTEGER: bool, whether it was */
    const char *const *choices; /* of SDRS_CHOICE, ends with NULL */
    bool is_required;           /* for people: whether it is there is up to the handler */
    const char *help;           /* a whole sentence */
};

#define SDRS_TEXT_OF(key, S, m)                                                                    \
    .name = key, .type = SDRS_TEXT, .offset = RC_FIELD(S, m, const char *)
#define SDRS_INTEGER_OF(key, S, m, given)                                                          \
    .name = key, .type = SDRS_INTEGER, .offset = RC_FIELD(S, m, int64_t),                          \
    .given_offset = RC_FIELD(S, given, bool)
#define SDRS_CHOICE_OF(key, S, m, names)                                                           \
    .name = key, .type = SDRS_CHOICE, .offset = RC_FIELD(S, m, const char *), .choices = names

/*
 * Reads the body, an object of these properties (ends with a name of NULL), into 'out'; *held owns
 * the text until json_decref(). null is the same as nothing; a number may be given as text.
 * RC_INVALID in the seed's words: "Unable to read JSON input", "'x' is not an expected object
 * property", "Expected 'v' to be one of [A, B]", "'v' doesn't match expected type".
 */
RC_MUST_CHECK enum rc_code sdrs_read_body(struct sdrs_request *request,
                                          const struct sdrs_property *properties, void *out,
                                          json_t **held, struct rc_error *err);
/* The same of an object that is already parsed, as of a list. */
RC_MUST_CHECK enum rc_code sdrs_read_object(json_t *object, const struct sdrs_property *properties,
                                            void *out, struct rc_error *err);
/* The body as JSON of that type. */
RC_MUST_CHECK enum rc_code sdrs_read_json(struct sdrs_request *request, json_type type,
                                          json_t **out, struct rc_error *err);

/* What bodies have; also for openapi.c. */
extern const struct sdrs_property sdrs_rule_properties[], sdrs_update_properties[],
    sdrs_pool_properties[], sdrs_execution_properties[], sdrs_notification_properties[];

/* Handlers; see routes.c for their paths. */
sdrs_request_fn sdrs_rules_post, sdrs_rules_get, sdrs_rules_put, sdrs_rules_remove,
    sdrs_rules_versions;
sdrs_request_fn sdrs_events_execute, sdrs_events_show, sdrs_events_validate, sdrs_events_notify;
sdrs_request_fn sdrs_pool_post, sdrs_pool_get, sdrs_pool_remove;
sdrs_request_fn sdrs_status_get, sdrs_openapi_get;

extern const struct rc_route sdrs_routes[];

#endif
