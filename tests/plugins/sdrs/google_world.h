/*
 * Google's services for tests on the fake host: answers that are put up, and what was asked.
 */
#ifndef TESTS_SDRS_GOOGLE_WORLD_H
#define TESTS_SDRS_GOOGLE_WORLD_H

#include <run-core/fake_host.h>

#include "google/api.h"
#include "state/state.h"

#include "config.h"

struct google_world {
    struct rc_fake_host *host;
    struct rc_job *job;
    struct sdrs_config config;
    struct sdrs_state state;
};

/* For cmocka; '*state' is a struct google_world with the defaults of all options. */
int google_set_up(void **state);
int google_tear_down(void **state);
/* Other options, "key=value" texts that end with NULL. */
void google_configure(struct google_world *world, const char *const *settings);
/* The state as a new process opens it. */
void google_next_run(struct google_world *world);

/* Answers requests whose "METHOD URL" contains 'text'; see rc_fake_host_answer_http(). */
void google_answer(struct google_world *world, const char *text, int times, unsigned status,
                   const char *body);
/* The same with a refusal in the service's form. */
void google_refuse(struct google_world *world, const char *text, int times, unsigned status,
                   const char *word, const char *message);

size_t google_asked(const struct google_world *world);
/* "METHOD URL" of a request, and its body (owned; NULL: it has none). */
const char *google_asked_what(struct google_world *world, size_t index);
json_t *google_asked_body(struct google_world *world, size_t index);
/* How many requests there were whose "METHOD URL" contains 'text'. */
size_t google_count(struct google_world *world, const char *text);

/* That both are the same, whatever the order of members. Takes 'have' over. */
void expect_json(json_t *have, const char *want);

#define expect_ok(call)                                                                            \
    do {                                                                                           \
        if (call)                                                                                  \
            fail_msg("%s: %s: %s", #call, err.context, err.cause);                                 \
    } while (0)

/* That the text has the other one in it. */
void expect_in(const char *text, const char *part);

#endif
