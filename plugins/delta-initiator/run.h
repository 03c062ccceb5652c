/*
 * The actions and routes: what they are called by, and what they have in common.
 */
#ifndef DELTA_RUN_H
#define DELTA_RUN_H

#include "jobs.h"

#include <run-core/plugin.h>

enum { DELTA_TEXT_LIMIT = 64 * 1024 };

/* Actions; see rc_action.run. */
enum rc_code delta_initial_sync(struct rc_job *job, const void *config, struct rc_error *err);
enum rc_code delta_healing(struct rc_job *job, const void *config, struct rc_error *err);
enum rc_code delta_dump(struct rc_job *job, const void *config, struct rc_error *err);
enum rc_code delta_clean_jobs(struct rc_job *job, const void *config, struct rc_error *err);
enum rc_code delta_status(struct rc_job *job, const void *config, struct rc_error *err);

extern const struct rc_route delta_routes[];

/*
 * Does something to a stream. RC_SKIPPED: a precondition does not hold. 'context' is what was
 * handed to delta_each().
 */
typedef enum rc_code delta_stream_fn(struct delta_session *session, const struct delta_entry *entry,
                                     void *context, struct rc_error *err);

/*
 * Opens a session and calls 'work' for the stream 'name' or, where that is NULL or empty, for each
 * of them in turn: what fails or is skipped in one keeps no other from its turn. With several, each
 * failure is logged as it happens, each reason why one is skipped is said, and the result is
 * RC_FAILED if one failed, else RC_SKIPPED if one was skipped. 'wanted' (may be NULL) chooses those
 * of several that it concerns; if there are none, 'nothing' is said to be why, and that is all.
 */
struct delta_each {
    const char *name;
    bool (*wanted)(const struct delta_entry *entry, const void *context);
    const char *nothing;
    delta_stream_fn *work;
    void *context;
};

RC_MUST_CHECK enum rc_code delta_each(struct rc_job *job, const struct delta_config *config,
                                      const struct delta_each *each, struct rc_error *err);

/* A line of the result, with the stream's name in front if it has one. */
void delta_say(struct delta_session *session, const struct delta_entry *entry, const char *format,
               ...) RC_PRINTF(3, 4);

/* Warns where the schedule of that kind meant something else in the older system. */
void delta_warn_of_months(struct delta_session *session, const struct delta_entry *entry,
                          enum delta_kind kind);

/*
 * The words of the older system for what was done: "Healing job <uri> triggered". 'uri' is NULL
 * where there is none, as under --dry-run.
 */
char *delta_created_text(enum delta_kind kind, const char *uri);
char *delta_cleaned_text(enum delta_kind kind, const struct delta_list *removed);

#endif
