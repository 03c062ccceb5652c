/*
 * The state of sdrs for tests: on the fake host alone, or on the host's own state database, on
 * SQLite in a folder and on the PostgreSQL server of support/with-postgres, emptied for each test.
 */
#ifndef TESTS_SDRS_STATE_WORLD_H
#define TESTS_SDRS_STATE_WORLD_H

#include <run-core/fake_host.h>

#include "state/state.h"

#include "config.h"

struct state_world {
    struct rc_fake_host *host;
    struct rc_job *job;
    struct sdrs_state state;
};

/* Set-ups for cmocka, and their end; '*state' is a struct state_world. */
int state_in_memory(void **state);
int state_on_sqlite(void **state);
int state_on_postgres(void **state);
int state_tear_down(void **state);

/* Another run: a handle of its own, at a time. The host's other things stay. */
void state_next_run(struct state_world *world, int64_t now_unix_ms);
/* Closes the state and takes its tables away, with all that is in them. Not in memory. */
void state_begin_anew(struct state_world *world);
/* Moves the present time of the run that is under way. */
void state_wait(struct state_world *world, int64_t ms);

/* The first cell of a query as a number. */
int64_t state_number(struct state_world *world, const char *query);
void state_change(struct state_world *world, const char *statement);

/* Options of the plugin, of "key=value" texts that end with NULL; valid as long as the host. */
struct sdrs_config *state_config(struct state_world *world, const char *const *settings);

/*
 * Calls 'work' in so many processes at once, each with a state of its own, and returns how many of
 * them returned true. Not in memory.
 */
typedef bool state_work(struct state_world *world, int index);
int state_race(int processes, state_work *work);

#define expect_ok(call)                                                                            \
    do {                                                                                           \
        if (call)                                                                                  \
            fail_msg("%s: %s: %s", #call, err.context, err.cause);                                 \
    } while (0)

#define expect_failure(call, expected, text)                                                       \
    do {                                                                                           \
        assert_int_equal(call, expected);                                                          \
        assert_string_equal(err.cause, text);                                                      \
    } while (0)

/* A test at each place. */
#define EACH(test)                                                                                 \
    { #test " in memory", test, state_in_memory, state_tear_down, NULL },                          \
        { #test " on SQLite", test, state_on_sqlite, state_tear_down, NULL },                      \
    {                                                                                              \
#test " on PostgreSQL", test, state_on_postgres, state_tear_down, NULL                     \
    }

/* A test for several processes. */
#define EACH_SHARED(test)                                                                          \
    { #test " on SQLite", test, state_on_sqlite, state_tear_down, NULL },                          \
    {                                                                                              \
#test " on PostgreSQL", test, state_on_postgres, state_tear_down, NULL                     \
    }

#endif
