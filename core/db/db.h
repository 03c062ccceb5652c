/*
 * The state database: what survives between runs. One interface, behind it SQLite (WAL; one file
 * for the core, one beside it for each plugin) or PostgreSQL (one schema for the core, run_core,
 * and one for each plugin, run_core_NAME).
 *
 * A file of SQLite and its "-wal" belong together: the latter has the newest commits, also while
 * nobody has them open. What a plugin was told is committed survives a failure of power; the core's
 * own file, which has the locks, is sound after one, but may have lost its last moments, unless it
 * was opened durable.
 *
 * A core_db may be used by any thread. An rc_db belongs to one thread.
 */
#ifndef CORE_DB_DB_H
#define CORE_DB_DB_H

#include <base/cancel.h>

#include <run-core/db.h>
#include <run-core/lock.h>

#include <stdbool.h>

struct core_db;
struct core_session;

/* Whether a state can lie at 'url', as far as that can be told without looking there. */
RC_MUST_CHECK enum rc_code core_db_check(const char *url, struct rc_error *err);

/*
 * Opens, and makes if needed, the database at 'url': "sqlite:///path/state.db", a folder, which
 * then holds state.db, or "postgresql://user:password@host:port/database?options", as libpq takes
 * it. RC_UNSUPPORTED: another scheme. RC_CORRUPT: what is there is not a sound database of ours;
 * the message says how to set it aside. RC_UNAVAILABLE: the server does not answer now.
 */
RC_MUST_CHECK enum rc_code core_db_open(const char *url, struct core_db **out,
                                        struct rc_error *err);
/* The same, for whoever keeps the ledger: what is committed survives a failure of power. */
RC_MUST_CHECK enum rc_code core_db_open_durable(const char *url, struct core_db **out,
                                                struct rc_error *err);
/* The file that the state at 'url' is, or would be; NULL: it is on a server. Freed with free(). */
RC_MUST_CHECK enum rc_code core_db_file(const char *url, char **out, struct rc_error *err);
void core_db_close(struct core_db *db);
/*
 * For a forked child: frees 'db' but leaves the connection as it is, to the parent, which goes on
 * with it.
 */
void core_db_forget(struct core_db *db);

/*
 * The session on the core's own schema, for a process with one thread that takes no locks through
 * 'db', whose thread would use it as well. Belongs to 'db'.
 */
struct core_session *core_db_session(struct core_db *db);

/* The plugin's own schema, as rc_db_open(). 'cancel' may be NULL and outlives the handle. */
RC_MUST_CHECK enum rc_code core_db_open_plugin(struct core_db *db, const char *plugin,
                                               const struct rc_migration *migrations, size_t count,
                                               const struct core_cancel *cancel, struct rc_db **out,
                                               struct rc_error *err);
/* Keeps the session for whoever opens the same next, for a while. Before core_db_close(). */
void core_db_close_plugin(struct rc_db *db);

/*
 * A database for a dry run, in which core_db_open_plugin() finds the plugin's schema as it is at
 * 'url', or none if there is none yet, and migrates without anything being made at 'url'. SQLite:
 * a private copy in 'directory', as of now. PostgreSQL: the tables themselves, for reading only,
 * and private copies of them once migrations are to be run. There are no locks in it. Closed with
 * core_db_close().
 */
RC_MUST_CHECK enum rc_code core_db_copy_plugin(const char *url, const char *plugin,
                                               const char *directory, struct core_db **out,
                                               struct rc_error *err);
RC_MUST_CHECK enum rc_code core_db_exec(struct rc_db *db, const char *statement,
                                        const struct rc_value *params, size_t param_count,
                                        int64_t *changed, struct rc_error *err);
RC_MUST_CHECK enum rc_code core_db_query(struct rc_db *db, const char *statement,
                                         const struct rc_value *params, size_t param_count,
                                         struct rc_rows **out, struct rc_error *err);
RC_MUST_CHECK enum rc_code core_db_begin(struct rc_db *db, struct rc_error *err);
RC_MUST_CHECK enum rc_code core_db_commit(struct rc_db *db, struct rc_error *err);
void core_db_rollback(struct rc_db *db);
/* Whether the statement only reads. RC_INVALID where it does not parse. */
RC_MUST_CHECK enum rc_code core_db_is_read(struct rc_db *db, const char *statement, bool *reads,
                                           struct rc_error *err);

/*
 * Takes a lock as rc_lock_acquire(); 'holder' names the run for others to read. A thread renews
 * the lease; 'lost' (optional) is asked to cancel when the lease is lost.
 */
RC_MUST_CHECK enum rc_code core_lock_acquire(struct core_db *db, const char *name,
                                             const char *holder, int64_t wait_ms,
                                             const struct core_cancel *cancel,
                                             struct core_cancel *lost, struct rc_lock **out,
                                             struct rc_error *err);
RC_MUST_CHECK enum rc_code core_lock_check(struct rc_lock *lock, struct rc_error *err);
int64_t core_lock_token(const struct rc_lock *lock);
void core_lock_release(struct rc_lock *lock);

/*
 * Whether anybody has ever taken a lock of that name in this database, and whether somebody has it
 * now. It is not taken.
 */
RC_MUST_CHECK enum rc_code core_lock_look(struct core_db *db, const char *name, bool *known,
                                          bool *held, struct rc_error *err);
/*
 * Forgets locks whose names begin with 'prefix' and whose last lease ended so long ago: for names
 * that are used once.
 */
RC_MUST_CHECK enum rc_code core_lock_forget(struct core_db *db, const char *prefix, int64_t age_ms,
                                            struct rc_error *err);

#endif
