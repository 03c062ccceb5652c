/*
 * Pub/Sub: publishing.
 *
 * https://cloud.google.com/pubsub/docs/reference/rest/v1/projects.topics/publish
 */
#ifndef SDRS_GOOGLE_PUBSUB_H
#define SDRS_GOOGLE_PUBSUB_H

#include "api.h"

/* 'topic' is "projects/P/topics/T"; the UUID becomes the attribute "uuid". */
RC_MUST_CHECK enum rc_code sdrs_pubsub_publish(const struct sdrs_google *google, const char *topic,
                                               const char *uuid, const char *json,
                                               struct rc_error *err);
/* Whether the topic can be reached: RC_OK, RC_NOT_FOUND, RC_DENIED, RC_UNAVAILABLE. */
RC_MUST_CHECK enum rc_code sdrs_pubsub_look(const struct sdrs_google *google, const char *topic,
                                            struct rc_error *err);

#endif
