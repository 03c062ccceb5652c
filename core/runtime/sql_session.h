/*
 * What the run knows of a session on an SQL engine elsewhere: its name, by which others tell what
 * it has left from what is still used, and what its statements read and cost.
 */
#ifndef CORE_RUNTIME_SQL_SESSION_H
#define CORE_RUNTIME_SQL_SESSION_H

#include <runtime/host.h>
#include <sql/engine.h>

#include <stdatomic.h>

enum { CORE_SQL_SESSION_NAME = 49 };

struct core_sql_session {
    struct core_job *job;
    char name[CORE_SQL_SESSION_NAME];
    struct rc_lock *lock; /* held while the session lives; NULL in a dry run */
    atomic_int_least64_t statements, scanned_bytes, cost_micros;
};

/*
 * Gives the session its name and, except in a dry run, the lock by which it is known to live; and
 * tells the context of it. Ended by core_sql_session_end(), also where it could not begin.
 */
RC_MUST_CHECK enum rc_code core_sql_session_begin(struct core_sql_session *session,
                                                  struct core_job *job,
                                                  struct core_sql_context *context,
                                                  struct rc_error *err);
/* Logs what was read and paid for, if that is known. */
void core_sql_session_end(struct core_sql_session *session);

/*
 * Whether the session of that name, at that time, is over because it is as old as none gets. For
 * those of which no more is known. False: it is no such name.
 */
bool core_sql_session_is_old(const char *name, int64_t now_unix_ms);

#endif
