/*
 * The actions of sdrs on the host of the tests, over buckets below file:///lake/: "events" and
 * "logs", each with its shadow.
 */
#ifndef TESTS_SDRS_RUN_WORLD_H
#define TESTS_SDRS_RUN_WORLD_H

#include <run-core/fake_host.h>

#include <run.h>

#define LAKE "file:///lake/"
/* Nobody answers there: so notifications wait in the outbox. */
#define WEBHOOK "webhook_url=http://127.0.0.1:1/"

struct run_world {
    struct rc_fake_host *host;
    struct rc_job *job;
    struct rc_error err; /* of the last run */
};

/* It is 2019-03-10T05:30:00Z. */
void run_world_init(struct run_world *w);
void run_world_clear(struct run_world *w);

#define RUN_WORLD_AUTO(name)                                                                       \
    RC_CLEANUP(run_world_clear) struct run_world name;                                             \
    run_world_init(&name)

/* A bucket with its shadow, or without. */
void run_bucket(struct run_world *w, const char *name, bool has_shadow);
/* An object "events/clicks/..." with its own name as content. */
void run_put(struct run_world *w, const char *path);
/* The same, changed at a time such as "2018-01-01T00:00:00Z". */
void run_put_at(struct run_world *w, const char *path, const char *time);
/* The paths of all objects of a bucket, a line each; manifests are left out. Borrowed. */
const char *run_objects(struct run_world *w, const char *bucket, struct rc_buf *out);

/* Runs an action; 'settings' are "key=value" texts, ending with NULL, beside file_roots. */
enum rc_code run_action(struct run_world *w, const char *action, const char *const *settings);

#define run_with(w, action, ...) run_action(w, action, (const char *const[]){ __VA_ARGS__, NULL })

/* Fails the test unless the last run went well. */
#define run_must(w, action, ...)                                                                   \
    do {                                                                                           \
        if (run_with(w, action, __VA_ARGS__))                                                      \
            fail_msg("%s: %s: %s", action, (w)->err.context, (w)->err.cause);                      \
    } while (0)

/* A rule of 30 days of the given type, as a setting of the option 'rules'; the test frees it. */
#define RULE(index, type, path)                                                                    \
    "rules[" #index "].type=" type, "rules[" #index "].dataStorageName=" LAKE path,                \
        "rules[" #index "].projectId=p", "rules[" #index "].retentionPeriod=30"

/* All jobs, the newest last; the test clears them. */
struct sdrs_records run_jobs(struct run_world *w);
/* How many notifications wait. */
int64_t run_waiting(struct run_world *w);

void assert_has(const char *text, const char *part);

#endif
