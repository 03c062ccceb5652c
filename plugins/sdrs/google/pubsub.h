/*
 * Pub/Sub: publishing.
 *
 * https://cloud.google.com/pubsub/docs/reference/rest/v1/projects.topics/publish
 */
#ifndef SDRS_GOOGLE_PUBSUB_H
#define SDRS_GOOGLE_PUBSUB_H

#include "../config.h"
#include "api.h"

struct sdrs_google sdrs_pubsub(struct rc_job *job, const struct sdrs_config *config);

/* Borrowed. */
struct sdrs_pubsub_message {
    const char *uuid; /* becomes the attribute "uuid" */
    const char *json;
};

/* Publishes all or none, at least once. 'topic' is "projects/P/topics/T". */
RC_MUST_CHECK enum rc_code sdrs_pubsub_publish(const struct sdrs_google *google, const char *topic,
                                               const struct sdrs_pubsub_message *messages,
                                               size_t count, struct rc_error *err);
/*
 * Whether the topic can be reached: RC_OK, RC_NOT_FOUND, RC_DENIED, RC_UNAVAILABLE. Asks once and
 * waits for some seconds at most.
 */
RC_MUST_CHECK enum rc_code sdrs_pubsub_look(const struct sdrs_google *google, const char *topic,
                                            struct rc_error *err);

#endif
