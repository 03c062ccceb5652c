/*
 * Markers: the requests to erase, one empty file each. What is no marker and should be one is told
 * and left where it is; what begins with a dot is nobody's.
 */
#ifndef DSR_MARKERS_H
#define DSR_MARKERS_H

#include "places.h"
#include "users.h"

#include <stdatomic.h>

struct dsr_marker {
    const char *uri;
    size_t user; /* of the shard's users */
    int32_t day, requested;
};

/* The markers of one shard. */
struct dsr_shard_markers {
    int32_t shard;
    struct dsr_users *users;
    struct dsr_marker *markers; /* in the order of their URIs */
    size_t count;
    int32_t first_day, last_day; /* of activity: all the users are erased from all of these */
    struct rc_buf texts;
};

/* Told, from any thread, of each object that should be a marker and is none. */
struct dsr_malformed {
    void (*tell)(void *context, const char *uri, const char *why);
    void *context;
};

/* How they are told of: the first are warned of, all are counted ('markers_malformed'). */
struct dsr_malformed_log {
    struct rc_job *job;
    const char *folder; /* the markers', in which no id is; NULL: none that is known */
    _Atomic int64_t count;
};
/* A 'tell' whose context is such a log. */
void dsr_malformed_warn(void *log, const char *uri, const char *why);
/* Once, behind the last: says how many were not warned of. */
void dsr_malformed_end(struct dsr_malformed_log *log);

/*
 * The name behind the shard's folder, as in day=D/_user_ID_day_D. The id is what stands between the
 * '_user_' at the beginning and the last '_day_', whatever bytes it is; in an object's key it may
 * hold a slash, but none with '_user_' behind it. Pure. RC_INVALID: no marker; the cause says why.
 */
RC_MUST_CHECK enum rc_code dsr_marker_parse(const char *name, struct pq_slice *user, int32_t *day,
                                            int32_t *requested, struct rc_error *err);

/*
 * Leaves out of a text, such as an error that names a marker, what may be a user's id: all behind
 * the first '_user_', but for what follows a last '_day_' with its day. No id is in a log.
 */
void dsr_marker_hide(char *text);
void dsr_marker_hide_in(struct rc_error *err);

/* The numbers of the shards that have a folder below the markers', rising; freed with free(). */
RC_MUST_CHECK enum rc_code dsr_markers_shards(struct rc_job *job, const struct dsr_places *places,
                                              const struct dsr_malformed *malformed,
                                              int32_t **shards, size_t *count,
                                              struct rc_error *err);
/* On RC_OK to be cleared. A shard may have no marker (any more). */
RC_MUST_CHECK enum rc_code dsr_markers_load(struct rc_job *job, const struct dsr_places *places,
                                            int32_t shard, const struct dsr_malformed *malformed,
                                            struct dsr_shard_markers *out, struct rc_error *err);
void dsr_markers_clear(struct dsr_shard_markers *markers);

/*
 * Moves all of them to the archive, in many threads. One that is gone already counts as moved. An
 * error names the folder and the beginning of the user's hash in the journal (NULL: no hash).
 */
struct dsr_journal;
RC_MUST_CHECK enum rc_code dsr_markers_archive(struct rc_job *job, const struct dsr_places *places,
                                               const struct dsr_journal *journal,
                                               const struct dsr_shard_markers *markers,
                                               size_t width, struct rc_error *err);

#endif
