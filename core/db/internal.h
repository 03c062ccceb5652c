/*
 * What the parts of the state database share: the servers it may lie on, the open database, and the
 * locks that it holds.
 */
#ifndef CORE_DB_INTERNAL_H
#define CORE_DB_INTERNAL_H

#include <db/db.h>
#include <db/session.h>

#include <os/process.h>

#include <pthread.h>
#include <time.h>

/* Where a state can lie. */
struct core_db_server {
    /* The first is there in every state; more are in db.c. */
    const struct rc_migration *first;

    bool (*knows)(const char *url);
    /* Whether the URL means something; opens nothing. */
    enum rc_code (*check)(const char *url, struct rc_error *err);
    /* A session on the core's own schema; nothing is migrated yet. */
    enum rc_code (*open)(const char *url, bool durable, struct core_session **out,
                         struct rc_error *err);
    /*
     * A walled session on a plugin's schema, whose name was checked. With 'rehearsal' nothing that
     * others see is changed, also by migrations.
     */
    enum rc_code (*open_plugin)(const char *url, const char *plugin, bool rehearsal,
                                const struct core_cancel *cancel, struct core_session **out,
                                struct rc_error *err);
    /* See core_db_copy_plugin(). *out is the URL of the copy. */
    enum rc_code (*copy_plugin)(const char *url, const char *plugin, const char *directory,
                                char **out, struct rc_error *err);
};

extern const struct core_db_server core_db_on_sqlite;
extern const struct core_db_server core_db_on_postgres;

extern const char core_ledger_schema[];              /* the second migration, on every server */
extern const char core_ledger_schema_unsuccessful[]; /* the third */

/*
 * Sessions of plugins that wait for their next owner (pool.c): those of the process that put them
 * here, the latest first.
 */
struct core_pool {
    pthread_mutex_t mutex; /* guards all below */
    struct rc_db *first;
    size_t count;
    pid_t pid;           /* whose they are; a forked child only inherits them */
    int64_t idle_ms;     /* after which one is closed; shorter in tests */
    pthread_t sweeper;   /* while 'sweeping': closes them */
    pthread_cond_t wake; /* for the sweeper */
    bool sweeping, asleep, stopping;
};

struct core_db {
    const struct core_db_server *server;
    char *url;
    bool rehearsal; /* opened for a dry run, with plugins' schemas only: 'core' is NULL */
    struct core_process_id self;
    int64_t lease_ms, renew_ms; /* shorter in tests */
    struct core_pool pool;

    pthread_mutex_t mutex; /* guards all below, and is held over every use of 'core' */
    struct core_session *core;
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
    int64_t expires_boot_ms; /* on this machine's clock; the row has it on the database's */
    bool is_unanswered;      /* the latest renewal failed */
    bool is_lost;
    bool is_released; /* giving it back failed, and is tried again */
    struct rc_lock *next;
};

/* A session on a plugin's schema, which its migrations have been compared with. */
struct rc_db {
    struct core_db *owner;
    struct core_session *session;
    bool is_doubtful; /* a statement met an error that may have to do with the connection */

    /* What it can be used for again. */
    char *plugin;
    struct rc_migration *migrations;
    size_t count;
    int64_t since_mono_ms; /* in the pool */
    struct rc_db *next;
};

/* Of a session that is neither in use nor in the pool. */
void core_db_free_plugin(struct rc_db *db);

void core_pool_init(struct core_pool *pool);
/* A session on the plugin's schema with just these migrations, as new; or NULL. */
struct rc_db *core_pool_take(struct core_pool *pool, const char *plugin,
                             const struct rc_migration *migrations, size_t count,
                             const struct core_cancel *cancel);
/* Keeps the session for another time, or closes it. */
void core_pool_give(struct core_pool *pool, struct rc_db *db);
/* Closes what waits. */
void core_pool_clear(struct core_pool *pool);

/* Starts a thread that gets no signals: they belong to the threads that expect them. */
bool core_db_start_thread(pthread_t *thread, void *(*work)(void *), void *context);
/* A condition that is waited for on the clock of core_clock_mono_ms(), and a point on that. */
void core_db_init_condition(pthread_cond_t *condition);
struct timespec core_db_after_ms(int64_t ms);

/*
 * With the mutex held: makes a broken connection anew, waiting for it for a few seconds at most.
 */
RC_MUST_CHECK enum rc_code core_db_mend(struct core_db *db, struct rc_error *err);

/* The thread that renews leases (lease.c). */
void core_lease_start(struct core_db *db); /* with the mutex held; may be called again */
void core_lease_stop(struct core_db *db);

/* With the mutex held: renews one lease now; a lock that is no longer ours becomes lost. */
void core_lease_renew(struct rc_lock *lock);
/* With the mutex held: gives the lock back. False: the database does not answer. */
bool core_lease_return(struct rc_lock *lock);
/* With the mutex held: takes it off the list and frees it. */
void core_lease_forget(struct rc_lock *lock);

/*
 * Whether somebody who lives has the lock, in a transaction that writes: the row of one who has
 * died is cleared.
 */
RC_MUST_CHECK enum rc_code core_lock_is_held(struct core_session *session, const char *name,
                                             bool *held, struct rc_error *err);

#endif
