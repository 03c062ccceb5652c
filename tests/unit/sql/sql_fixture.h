/*
 * A session on the real library in a directory of its own, for the tests of the SQL engines.
 */
#ifndef TESTS_SQL_FIXTURE_H
#define TESTS_SQL_FIXTURE_H

#include <sql/engine.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct fixture {
    char dir[64]; /* empty at first, removed at the end */
    char temp[80];
    struct core_engine_settings settings;
    struct core_storage *storage;
    struct core_cancel cancel;
    struct core_sql_context context;
    struct rc_sql *sql;
    struct rc_error err;
};

/* For cmocka. They fail, and say what to set, where RUN_CORE_DUCKDB names no library. */
int fixture_setup(void **state);
int fixture_teardown(void **state);

/* Closes the session and opens another with the present settings. */
void fixture_reopen(struct fixture *f);

/* "DIR/<rest>" and "file://DIR/<rest>"; in one of eight buffers that take turns. */
const char *fixture_path(struct fixture *f, const char *format, ...) RC_PRINTF(2, 3);
const char *fixture_uri(struct fixture *f, const char *format, ...) RC_PRINTF(2, 3);

/* Runs a statement that has to succeed. */
void fixture_exec(struct fixture *f, const char *format, ...) RC_PRINTF(2, 3);
/*
 * Compares all rows of a query with 'expected': values parted by '|', rows ended by '\n', NULL as
 * '-', floats as %.17g, blobs as x'..'.
 */
#define assert_rows(f, query, expected) fixture_assert_rows(f, query, expected, __FILE__, __LINE__)
void fixture_assert_rows(struct fixture *f, const char *query, const char *expected,
                         const char *file, int line);
/* A statement that has to fail with 'code' and 'words' in its cause. */
#define assert_fails(f, statement, code, words)                                                    \
    fixture_assert_fails(f, statement, code, words, __FILE__, __LINE__)
void fixture_assert_fails(struct fixture *f, const char *statement, enum rc_code code,
                          const char *words, const char *file, int line);
/* The error of the last call has this code, and the words in its cause. */
#define assert_error(f, expected_code, words)                                                      \
    do {                                                                                           \
        assert_string_equal(rc_code_name((f)->err.code), rc_code_name(expected_code));             \
        if (!strstr((f)->err.cause, words))                                                        \
            fail_msg("'%s' is not in: %s", words, (f)->err.cause);                                 \
    } while (0)

/* A file with the given text; missing folders are made. */
void fixture_file(struct fixture *f, const char *name, const char *text);
/*
 * Hash over the names and contents of all files below a path; an error of the test if there is
 * none.
 */
uint64_t fixture_hash_tree(const char *path, size_t *files);
int64_t fixture_now_ms(void);

#endif
