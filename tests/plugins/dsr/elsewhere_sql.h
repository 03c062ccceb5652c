/*
 * The service 'sql' of an engine that is elsewhere and searches the lake as it lies there, which is
 * that of a fake host. It understands no SQL: what it finds in an object, the test says; what it is
 * asked, it notes.
 */
#ifndef TESTS_DSR_ELSEWHERE_SQL_H
#define TESTS_DSR_ELSEWHERE_SQL_H

#include <run-core/fake_host.h>
#include <run-core/host.h>

struct elsewhere {
    struct rc_fake_host *host; /* whose objects it sees */
    /*
     * What it finds in an object below the folders that were attached, but for those that it was
     * not to look at; false: it passes over it.
     */
    bool (*look)(void *context, const char *uri, int64_t *rows, int64_t *users_rows);
    void *context;
    uint32_t features;
    enum rc_code cannot; /* what searches end with, unless RC_OK, saying 'why' */
    const char *why;
    int64_t lost_ids;  /* of those that it was handed */
    const char *later; /* an object that it sees and that nobody has listed, of one row of a user */

    /* What was asked, a line each, to be cleared by the test. */
    struct rc_buf asked;
    int searches, sessions;
    struct rc_sql_options opened; /* the last one; borrowed of the plugin */
};
extern struct elsewhere elsewhere;

/* Forgets all that was set and noted. */
void elsewhere_begin(struct rc_fake_host *host);
const struct rc_sql_api *elsewhere_sql_api(void);

#endif
