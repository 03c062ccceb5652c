/*
 * A folder, a configuration and a job for tests of attempts, which run the test plugins.
 */
#ifndef TESTS_UNIT_RUNTIME_ATTEMPT_FIXTURE_H
#define TESTS_UNIT_RUNTIME_ATTEMPT_FIXTURE_H

#include <runtime/attempt.h>

#include <run-core/buf.h>

struct fixture {
    char folder[64]; /* of the run */
    struct core_config *config;
    struct core_problems problems;
    struct core_arena arena;
    struct core_job_settings job;
    struct core_attempt_request request;
};

/* For cmocka's setup and teardown. */
int fixture_setup(void **state);
int fixture_teardown(void **state);

/* Sets an option of the run. */
void fixture_set(struct fixture *fixture, const char *word);

/* Asks for an action of a plugin. */
void fixture_ask(struct fixture *fixture, const char *plugin, const char *action);
/* The same, and starts it; the test fails where that cannot be. */
struct core_attempt fixture_start(struct fixture *fixture, const char *plugin, const char *action);
/* Waits for its end, reads the result and lets go of it; valid until the next call. */
const struct core_attempt_result *fixture_end(struct core_attempt *attempt);
const struct core_attempt_result *fixture_run(struct fixture *fixture, const char *plugin,
                                              const char *action);

/* The log, or its older part; valid until the next call. */
const char *fixture_log(const struct fixture *fixture, bool older);
/* Waits until the log has the text. */
void fixture_wait_for(const struct fixture *fixture, const char *text);
/* Waits until no process has the number. */
bool fixture_is_gone(pid_t pid);

void fixture_contains(const char *text, const char *part);

#endif
