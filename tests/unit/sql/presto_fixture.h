/*
 * A session of the Presto family whose dialect is a script: statements are written down, and
 * answered as the test says; files are those of a directory of the test's own.
 */
#ifndef TESTS_UNIT_SQL_PRESTO_FIXTURE_H
#define TESTS_UNIT_SQL_PRESTO_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sql/presto.h>

enum { PRESTO_ANSWERS = 8 };

struct presto_fixture {
    struct core_presto session; /* first */
    char dir[64];
    struct core_engine_settings settings;
    struct core_cancel cancel;
    struct core_sql_context context;
    struct core_storage *store;
    struct core_presto_dialect dialect;
    struct rc_error err;
    bool is_open;

    struct rc_buf log;  /* statements, one a line, DIR in place of the directory */
    struct rc_buf said; /* to people, likewise */
    int statements;     /* so far */
    int fail_at;        /* the statement of that number fails; 0: none */
    enum rc_code fail_code;
    int cancel_at;   /* the run is asked to stop while that statement runs */
    int wish_at;     /* and that statement to end, by core_sql_cancel() */
    int expire_at;   /* the time for tidying up is over then, if there is a limit */
    int64_t updated; /* what statements say that they wrote */
    struct {
        const char *question; /* within the statement */
        const char *rows;     /* of one column: "text\n", numbers as such */
        int last;             /* the statement that is answered so at the latest; 0: all are */
    } answers[PRESTO_ANSWERS];
    const char *living; /* the session that is not over */
    const char *place;  /* what marks say of the server; NULL: nothing */
};

int presto_setup(void **state);    /* finds partitions, makes a schema */
int presto_teardown(void **state); /* nothing may be left in the work folder */

void presto_open(struct presto_fixture *f);
void presto_close(struct presto_fixture *f);

/* "file:///.../NAME", in one of some buffers. */
const char *presto_uri(struct presto_fixture *f, const char *name);
void presto_file(struct presto_fixture *f, const char *name, const char *content);
bool presto_has_file(struct presto_fixture *f, const char *name);
/* The files below a folder, one a line, DIR-relative. */
void presto_list(struct presto_fixture *f, const char *folder, struct rc_buf *out);

void presto_answer(struct presto_fixture *f, const char *question, const char *rows);
/* Up to the statement of that number; from then on there are no rows. */
void presto_answer_until(struct presto_fixture *f, int last, const char *question,
                         const char *rows);
/* What was logged since the last call. */
#define assert_log(f, expected) presto_assert_log(f, expected, __FILE__, __LINE__)
void presto_assert_log(struct presto_fixture *f, const char *expected, const char *file, int line);
#define assert_presto_error(f, code, words) presto_assert_error(f, code, words, __FILE__, __LINE__)
void presto_assert_error(struct presto_fixture *f, enum rc_code code, const char *words,
                         const char *file, int line);
/* How FROM names a table of the session, DIR in place of the directory. */
void presto_assert_from(struct presto_fixture *f, const char *table, const char *expected,
                        const char *file, int line);
#define assert_from(f, table, expected) presto_assert_from(f, table, expected, __FILE__, __LINE__)

#endif
