/*
 * Notifications on their way: kept from the moment that what they tell is recorded, until they are
 * delivered.
 */
#ifndef SDRS_STATE_OUTBOX_H
#define SDRS_STATE_OUTBOX_H

#include "../config.h"
#include "state.h"

enum sdrs_event_kind { SDRS_EVENT_INACTIVE, SDRS_EVENT_DELETED };

/* Whether anybody is to be told. Otherwise no event is to be made: it would lie there for ever. */
bool sdrs_events_wanted(const struct sdrs_config *config);

/* Borrowed. */
struct sdrs_event {
    enum sdrs_event_kind kind;
    const char *batch; /* or NULL */
    const char *project;
    const char *bucket;    /* its name, or as of sdrs_bucket_uri() */
    const char *directory; /* the whole name: "gs://events/clicks/2019/01/" */
    const char *trigger;
    int64_t at_unix_ms;
    /* One event of a key is made, as "once per prefix, when it is scheduled", as long as the key is
       not forgotten; NULL: always. */
    const char *once;
};

/* Atomic. Adds it, with its JSON and a UUID, which are made here. */
RC_MUST_CHECK enum rc_code sdrs_outbox_add(struct sdrs_state *state, const struct sdrs_event *event,
                                           struct rc_error *err);

/* Text is owned. */
struct sdrs_message {
    int64_t id;
    char *uuid, *json;
    int64_t attempts;
};
void sdrs_message_clear(struct sdrs_message *message);

/* The oldest that is due and nobody else delivers now; none: id 0. It is the caller's for a minute.
   In a dry run there is none. */
RC_MUST_CHECK enum rc_code sdrs_outbox_take(struct sdrs_state *state, struct sdrs_message *out,
                                            struct rc_error *err);
RC_MUST_CHECK enum rc_code sdrs_outbox_delivered(struct sdrs_state *state, int64_t id,
                                                 struct rc_error *err);
/* Atomic. It is due again after a pause that grows up to an hour. */
RC_MUST_CHECK enum rc_code sdrs_outbox_failed(struct sdrs_state *state, int64_t id,
                                              const char *message, struct rc_error *err);
RC_MUST_CHECK enum rc_code sdrs_outbox_waiting(struct sdrs_state *state, int64_t *count,
                                               struct rc_error *err);
/* The event of that key, if it was made, may be asked for again: it is not to be forgotten. */
RC_MUST_CHECK enum rc_code sdrs_outbox_remember(struct sdrs_state *state, const char *key,
                                                struct rc_error *err);
/*
 * Keys of events that nobody has asked for since: away. Says how many; such an event would be made
 * again.
 */
RC_MUST_CHECK enum rc_code sdrs_outbox_forget(struct sdrs_state *state,
                                              int64_t asked_before_unix_ms, int64_t *forgotten,
                                              struct rc_error *err);

#endif
