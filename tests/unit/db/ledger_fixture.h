/*
 * What the tests of the ledger share: short ways to write and read rows.
 */
#ifndef TESTS_UNIT_DB_LEDGER_FIXTURE_H
#define TESTS_UNIT_DB_LEDGER_FIXTURE_H

#include "places.h"

#include <db/ledger.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { T0 = 1000000 }; /* when the tests happen */

/* A fresh state on either server, for cmocka's fixtures; see places.h. */
int ledger_on_sqlite(void **state);
int ledger_on_postgres(void **state);
int ledger_tear_down(void **state);

/* A test on both. */
#define LEDGER_TEST(test)                                                                          \
    { #test " on SQLite", test, ledger_on_sqlite, ledger_tear_down, NULL },                        \
    {                                                                                              \
#test " on PostgreSQL", test, ledger_on_postgres, ledger_tear_down, NULL                   \
    }

/* Joins as an executor of that id, with this process. */
struct core_ledger *ledger_join(const char *id, const char *kind, int64_t lease_ms);

/* A claim of a slot of "job", with a run id of its own, may start, once, FORBID. */
struct core_claim ledger_slot(const char *id, int64_t slot_unix_ms);
/* Each in a transaction of its own. */
enum core_claimed ledger_claim(struct core_ledger *ledger, const struct core_claim *claim);
enum rc_code ledger_start(struct core_ledger *ledger, const char *id,
                          enum core_overlap_rule overlap, int64_t attempt);
enum rc_code ledger_finish(struct core_ledger *ledger, const char *id, int64_t attempt,
                           enum core_run_status status, int64_t retry_unix_ms);
/* Calls take_over; returns how many rows were called back, and their ids joined by blanks. */
int ledger_take_over(struct core_ledger *ledger, char *ids, size_t size);

/* "status reason attempt executor", with "-" for NULL; a buffer of this function. */
const char *ledger_row(struct core_ledger *ledger, const char *id);
int64_t ledger_count(struct core_ledger *ledger, const struct core_run_filter *filter);

#endif
