/*
 * The servers that the tests of the state database run on: SQLite in a folder that is made for each
 * test, and the PostgreSQL server of support/with-postgres, emptied for each.
 */
#ifndef TESTS_DB_PLACES_H
#define TESTS_DB_PLACES_H

#include <db/db.h>

/* Of the present test: where the state is, and a folder for whatever else. */
extern char place_url[256];
extern char place_folder[64];
extern bool place_is_postgres;

/* For cmocka's fixtures; 0 is success. The second one opens the state there, too. */
int place_make(bool postgres);
int place_open(bool postgres, struct core_db **db);
int place_clear(void);

/* Runs one statement in the state, behind everybody's back, as another machine would. */
void place_tamper(const char *statement);

/* Stops, kills or starts the PostgreSQL server. */
void place_control(const char *verb);

#define expect_ok(call)                                                                            \
    do {                                                                                           \
        if (call)                                                                                  \
            fail_msg("%s: %s: %s", #call, err.context, err.cause);                                 \
    } while (0)

/* A test on both servers; 'on_sqlite' and 'on_postgres' are its set-ups. */
#define BOTH(test)                                                                                 \
    { #test " on SQLite", test, on_sqlite, tear_down, NULL },                                      \
    {                                                                                              \
#test " on PostgreSQL", test, on_postgres, tear_down, NULL                                 \
    }

#endif
