/*
 * Airlock's admin API, as far as a hand-off needs it: a session, the list of imports, a new one.
 */
#ifndef AGGREGATOR_AIRLOCK_H
#define AGGREGATOR_AIRLOCK_H

#include "config.h"

struct agg_airlock {
    struct rc_job *job;
    const struct agg_config *config;
    char *token; /* of the session; NULL: none was begun, or none is needed */
};

void agg_airlock_clear(struct agg_airlock *airlock);

/*
 * Asks for an import by the JSON text 'body'. 'key' tells a server that knows of such keys that a
 * repeated request is the same one. RC_DENIED, RC_NOT_FOUND, RC_FAILED: Airlock refuses it, and the
 * error says in which words. RC_UNAVAILABLE, RC_TIMEOUT: whether it has begun is not known.
 */
RC_MUST_CHECK enum rc_code agg_airlock_import(struct agg_airlock *airlock, const char *body,
                                              size_t len, const char *key, struct rc_error *err);

/*
 * Whether an import is listed whose description contains 'text'. A server that gives no list has
 * none.
 */
RC_MUST_CHECK enum rc_code agg_airlock_lists(struct agg_airlock *airlock, const char *text,
                                             bool *found, struct rc_error *err);

#endif
