/*
 * Jobs on scripted answers of a store, for tests of what is done with them: delta_create() and the
 * like with a session on the fake host, what they sent, in words, and what they are answered.
 */
#ifndef JOBS_WORLD_H
#define JOBS_WORLD_H

#include <run-core/fake_host.h>

#include "jobs.h"

#define HOUR_MS INT64_C(3600000)
#define NOW_UNIX_MS INT64_C(1768478400000) /* at which the fake host begins */
#define QUERY_URL "http://store.example.org/query"
#define UPDATE_URL "http://store.example.org/update"

enum { TEXT_LIMIT = 1 << 20, MOST_STEPS = 12 };

extern const char *const world_operations[DELTA_KIND_COUNT];

struct world {
    struct rc_fake_host *host;
    struct delta_config config;
    struct delta_entry entry;
    struct delta_session session;
    struct delta_outcome outcome;
    struct rc_error err;
    /*
     * The answers to queries, in their order; the last one is that of all others. An answer is
     * "true" or "false", or lines "KIND STATUS IRI HOURS", of a job that was modified so long ago;
     * the IRI "own" is that of the last job to be created, IRIs else are completed.
     */
    const char *steps[MOST_STEPS];
    size_t next_step;
    /* Instead: the first until an update is made, the second until one creates, then the third. */
    bool by_updates;
};

/* For RC_CLEANUP. */
void world_clear(struct world *world);
void world_init(struct world *world);

#define WORLD_AUTO(name)                                                                           \
    RC_CLEANUP(world_clear) struct world name;                                                     \
    world_init(&name)

/* The requests, a word each: "jobs create jobs". */
void world_add_trace(const struct world *world, struct rc_buf *out);
void world_expect_trace(const struct world *world, const char *expected);
int world_count_sent(const struct world *world, const char *verb);
/* The UUID behind "/id/KIND/" in the last request of the verb; "" if there was none. */
void world_find_uuid(const struct world *world, const char *verb, const char *kind, char out[37]);

/* Creates a job; leaves nothing open. */
enum rc_code world_create(struct world *world, enum delta_kind kind, bool force);
/* The same, with what has to come of it. */
void world_expect(struct world *world, enum delta_kind kind, bool force, enum delta_verdict verdict,
                  const char *trace);

#endif
