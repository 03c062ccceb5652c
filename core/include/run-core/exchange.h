/*
 * An HTTP request that a plugin's route answers, and its reply. Routes stand in the plugin's
 * descriptor; 'run-core serve PLUGIN' serves them, alone or under the daemon.
 *
 * A handler is called in one of several threads, with a job of its own, and answers before it
 * returns. One that takes long looks at rc_job_check(), as an action does: it is cancelled when the
 * server has to end.
 *
 * What it returns without having answered becomes the reply: RC_OK 204, RC_INVALID 400, RC_DENIED
 * 403, RC_NOT_FOUND 404, RC_CONFLICT 409, RC_TOO_LARGE 413, RC_UNSUPPORTED 501, RC_UNAVAILABLE,
 * RC_SKIPPED and RC_CANCELLED 503, RC_TIMEOUT 504, any other 500, with the error's text as JSON
 * {"error": "..."} for all that the client can do something about; that of a 500 is only logged.
 */
#ifndef RUN_CORE_EXCHANGE_H
#define RUN_CORE_EXCHANGE_H

#include <run-core/error.h>

#include <stdbool.h>
#include <stddef.h>

struct rc_exchange;

/* All text is borrowed until the handler returns; NULL where there is none of that name. */
struct rc_exchange_api {
    const char *(*method)(const struct rc_exchange *exchange);
    const char *(*path)(const struct rc_exchange *exchange);
    const char *(*param)(const struct rc_exchange *exchange, const char *name);
    const char *(*query)(const struct rc_exchange *exchange, const char *name);
    const char *(*header)(const struct rc_exchange *exchange, const char *name);
    const char *(*body)(const struct rc_exchange *exchange, size_t *len_bytes);
    void (*add_header)(struct rc_exchange *exchange, const char *name, const char *value);
    void (*reply)(struct rc_exchange *exchange, unsigned status, const char *content_type,
                  const void *data, size_t len_bytes);

    /* Since 1.6. */
    bool (*is_local)(const struct rc_exchange *exchange);
};

#endif
