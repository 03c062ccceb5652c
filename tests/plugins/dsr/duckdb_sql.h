/*
 * The service 'sql' over the real library and nothing else: for tests of what is asked of it. Only
 * what dsr asks for is there: whole numbers, texts and NULL.
 */
#ifndef TESTS_DSR_DUCKDB_SQL_H
#define TESTS_DSR_DUCKDB_SQL_H

#include <run-core/host.h>

/* NULL: RUN_CORE_DUCKDB does not name a library. */
const struct rc_sql_api *duckdb_sql_api(void);

#endif
