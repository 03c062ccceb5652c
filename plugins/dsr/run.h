/*
 * One run of the plugin: what its parts share, and the order of things.
 *
 * For each shard, under its lock: what an earlier run left unfinished is settled (recover.c), the
 * markers are read, each file of the range is searched and, if it holds a user, replaced
 * (replace.c), the whole range is searched again (postcheck.c), old versions are seen to
 * (versions.c), the markers are archived, and what was kept until then is removed. A shard that
 * fails keeps its markers and does not stop the others.
 */
#ifndef DSR_RUN_H
#define DSR_RUN_H

#include "engine.h"
#include "journal.h"
#include "lake.h"
#include "markers.h"
#include "report.h"

#include <stdatomic.h>

struct dsr_run {
    struct rc_job *job;
    const struct dsr_config *config;
    struct dsr_places places;
    struct dsr_journal *journal; /* NULL: only a plan is made */
    struct dsr_scratch *scratch;
    struct dsr_engines *engines; /* NULL likewise */
    atomic_size_t shards_left;   /* which share the width */
};

/* cleanup.c: the files that one of the shards that are left may work on at once from now on. */
size_t dsr_share(struct dsr_run *run);

/* What became of a shard. */
enum dsr_shard_state { DSR_SHARD_CLEAN, DSR_SHARD_LOCKED, DSR_SHARD_FAILED };

struct dsr_shard_result {
    int32_t shard;
    enum dsr_shard_state state;
    int64_t markers, users, malformed;
    int64_t tables; /* that lost a row */
    int64_t files_scanned, files_rewritten, files_removed, rows_deleted, bytes_rewritten;
    int64_t old_versions,
        old_objects;     /* versions that remain and hold a user, of so many objects */
    bool hides_versions; /* of some table: whether such versions remain, nobody knows */
};

/*
 * shard.c: an error is of the shard alone, unless the run is to stop. Waits so long for the
 * shard's lock. '*out' says what was done either way.
 */
RC_MUST_CHECK enum rc_code dsr_shard_clean(struct dsr_run *run, struct rc_job *job, int32_t shard,
                                           int64_t lock_wait_ms, struct dsr_shard_result *out,
                                           struct rc_error *err);

/*
 * replace.c: erases what was found in one object; see README.md, "The journal". RC_CONFLICT: the
 * lock was lost.
 */
struct dsr_replaced {
    bool conflict; /* nothing was done, as far as is known: to be searched anew */
    bool removed;
    int64_t rows, bytes;
};
RC_MUST_CHECK enum rc_code dsr_replace(struct dsr_run *run, struct rc_job *job,
                                       struct rc_lock *lock, int32_t shard, size_t table,
                                       const struct dsr_object *object,
                                       const struct dsr_users *users, const struct dsr_found *found,
                                       struct dsr_replaced *out, struct rc_error *err);

/* recover.c: settles an intent by what lies there now; and all that a shard was left with. */
RC_MUST_CHECK enum rc_code dsr_recover_intent(struct dsr_run *run, struct rc_job *job,
                                              const struct dsr_intent *intent,
                                              enum dsr_outcome *outcome, struct rc_error *err);
RC_MUST_CHECK enum rc_code dsr_recover_shard(struct dsr_run *run, struct rc_job *job, int32_t shard,
                                             struct rc_error *err);
/* Removes the originals that were kept of a shard; called only once it is verified. */
RC_MUST_CHECK enum rc_code dsr_recover_drop_backups(struct dsr_run *run, struct rc_job *job,
                                                    int32_t shard, struct rc_error *err);

/* postcheck.c: RC_FAILED: the engine finds rows of the users in some table; it says where. */
RC_MUST_CHECK enum rc_code dsr_postcheck(struct dsr_run *run, struct rc_job *job,
                                         const struct dsr_shard_markers *markers,
                                         struct rc_error *err);

/*
 * versions.c: older versions that hold a user: removed, or counted in 'out'. Where they may not be
 * seen, that is an error only if they are to be removed.
 */
RC_MUST_CHECK enum rc_code dsr_versions_clean(struct dsr_run *run, struct rc_job *job,
                                              const struct dsr_shard_markers *markers,
                                              struct dsr_shard_result *out, struct rc_error *err);

/*
 * cleanup.c: RC_NOT_FOUND: a table has no data, so that its folder is likely to be mistaken. That
 * all of it was erased is no mistake: the journal knows, which is opened for it where it is NULL.
 */
RC_MUST_CHECK enum rc_code dsr_check_tables(struct rc_job *job, const struct dsr_config *config,
                                            const struct dsr_places *places,
                                            struct dsr_journal *journal, struct rc_error *err);

/* The actions. */
enum rc_code dsr_cleanup_run(struct rc_job *job, const void *config, struct rc_error *err);
enum rc_code dsr_plan_run(struct rc_job *job, const void *config, struct rc_error *err);

#endif
