/*
 * What the parts of the state database share: the open database, and the locks that it holds.
 */
#ifndef CORE_DB_INTERNAL_H
#define CORE_DB_INTERNAL_H

#include <db/db.h>
#include <db/sqlite.h>

#include <os/process.h>

#include <run-core/buf.h>

#include <pthread.h>

struct core_db {
    char *folder; /* of the database's file */
    struct core_process_id self;
    int64_t lease_ms, renew_ms; /* shorter in tests */

    pthread_mutex_t mutex; /* guards all below, and is held over every use of 'core' */
    struct core_sqlite core;
    struct rc_lock *locks; /* held, or to be given back */
    pthread_t renewer;     /* while 'renewing' */
    pthread_cond_t wake;
    bool renewing, stopping;
};

struct rc_lock {
    struct core_db *db;
    char *name, *holder;
    int64_t token;
    struct core_cancel *lost; /* may be NULL */

    /* Guarded by the mutex of 'db'. */
    int64_t expires_unix_ms;
    bool is_lost;
    bool is_released; /* giving it back failed, and is tried again */
    struct rc_lock *next;
};

/* Adds the path of the database's file (db.c). */
RC_MUST_CHECK enum rc_code core_db_find_file(const char *url, struct rc_buf *out,
                                             struct rc_error *err);

/* The thread that renews leases (lease.c). */
void core_lease_start(struct core_db *db); /* with the mutex held; may be called again */
void core_lease_stop(struct core_db *db);

/* With the mutex held: renews one lease now; a lock that is no longer ours becomes lost. */
void core_lease_renew(struct rc_lock *lock);
/* With the mutex held: gives the lock back. False: the database does not answer. */
bool core_lease_return(struct rc_lock *lock);
/* With the mutex held: takes it off the list and frees it. */
void core_lease_forget(struct rc_lock *lock);

#endif
