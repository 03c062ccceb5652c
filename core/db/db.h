/*
 * The state database: what survives between runs. One interface, SQLite behind it (WAL; one file
 * for the core, one beside it for each plugin).
 *
 * A file and its "-wal" belong together: the latter has the newest commits, also while nobody has
 * them open. What a plugin was told is committed survives a failure of power; the core's own file,
 * which has the locks, is sound after one, but may have lost its last moments.
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

/*
 * Opens, and makes if needed, the database at 'url': "sqlite:///path/state.db", or a folder,
 * which then holds state.db. RC_UNSUPPORTED: another scheme. RC_CORRUPT: the file is not a sound
 * database of ours; the message says how to set it aside.
 */
RC_MUST_CHECK enum rc_code core_db_open(const char *url, struct core_db **out,
                                        struct rc_error *err);
void core_db_close(struct core_db *db);

/* The plugin's own schema, as rc_db_open(). 'cancel' may be NULL and outlives the handle. */
RC_MUST_CHECK enum rc_code core_db_open_plugin(struct core_db *db, const char *plugin,
                                               const struct rc_migration *migrations, size_t count,
                                               const struct core_cancel *cancel, struct rc_db **out,
                                               struct rc_error *err);
void core_db_close_plugin(struct rc_db *db);

/*
 * A database in 'directory' with a private copy of the plugin's schema and rows as they are now in
 * the database at 'url', or without them if there are none yet: what a dry run works on. Nothing
 * is made at 'url'. Closed with core_db_close().
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

#endif
