/*
 * The journal: what is about to be done to an object, written before it is touched. The states,
 * what leads from one to the next and what always holds are in README.md, "The journal".
 *
 * It knows neither files nor stores. No user's id is ever in it, only their keyed hashes. A journal
 * may be used by many threads; each call is one transaction.
 */
#ifndef DSR_JOURNAL_H
#define DSR_JOURNAL_H

#include "digest.h"
#include "places.h"
#include "users.h"

enum { DSR_ID_TEXT = 33 };

struct dsr_journal;

RC_MUST_CHECK enum rc_code dsr_journal_open(struct rc_job *job, const struct dsr_config *config,
                                            const struct dsr_places *places,
                                            struct dsr_journal **out, struct rc_error *err);
void dsr_journal_close(struct dsr_journal *journal);

/* HMAC-SHA-256 of an id under the salt, in hex. */
void dsr_journal_hash(const struct dsr_journal *journal, struct pq_slice user,
                      char out[DSR_HASH_TEXT]);

/* What is to become of one object. All of it is borrowed. */
struct dsr_intent {
    char id[DSR_ID_TEXT]; /* made by dsr_journal_intend() */
    int32_t shard;
    const char *table, *uri;
    struct rc_stat old;
    bool removes; /* nothing remains; else a new object takes its place */
    int64_t new_bytes;
    char new_digest[DSR_HASH_TEXT]; /* SHA-256 of the new object */
    int64_t rows_before, rows_erased;
    int64_t intended_unix_ms; /* as 'id' */
    bool is_void;             /* somebody has looked already; of dsr_journal_unsettled() */
};

struct dsr_erased {
    char user[DSR_HASH_TEXT];
    int64_t rows;
};

/*
 * Only on RC_OK may the object be touched. After a failure the intent may be there or not, and is
 * settled by looking like any other.
 */
RC_MUST_CHECK enum rc_code dsr_journal_intend(struct dsr_journal *journal,
                                              struct dsr_intent *intent,
                                              const struct dsr_erased *users, size_t user_count,
                                              struct rc_error *err);

/*
 * Each knows more than the one before, and a settled intent is only ever settled again by one that
 * knows more: what was void when somebody looked may prove to be done after all. What a report has
 * named stays as it is. Of two intents that make the same of the same object only one is done, as
 * only one can have found the object as it was: the other is void.
 */
enum dsr_outcome {
    DSR_VOID = 1,   /* the old object is there: nothing has happened, so far */
    DSR_SUPERSEDED, /* somebody else's object is there; whether ours was, nobody can tell */
    DSR_DONE,       /* the object is the new one, or gone */
};
RC_MUST_CHECK enum rc_code dsr_journal_settle(struct dsr_journal *journal, const char *id,
                                              enum dsr_outcome outcome, struct rc_error *err);

/*
 * The intents of a shard that are to be settled by looking: those that are not settled, and those
 * that are void since the shard was last found clean. 'each' may use the journal.
 */
RC_MUST_CHECK enum rc_code dsr_journal_unsettled(
    struct dsr_journal *journal, int32_t shard,
    enum rc_code (*each)(void *context, const struct dsr_intent *intent, struct rc_error *err),
    void *context, struct rc_error *err);

/*
 * What a run has asked the store to do may still be done after it is dead, for an hour at most; and
 * whoever looks says what he saw within another. Until then what is void is not closed where
 * nothing was searched, and no copy of another run is forgotten.
 */
#define DSR_LATE_MS INT64_C(7200000)

/*
 * A copy of an original: noted before it is made, forgotten after it is removed. One of another run
 * that may still appear is kept in mind, and comes up again when it can no longer. The same name
 * may be noted by several runs.
 */
RC_MUST_CHECK enum rc_code dsr_journal_note_backup(struct dsr_journal *journal, int32_t shard,
                                                   const char *uri, const char *of,
                                                   struct rc_error *err);
RC_MUST_CHECK enum rc_code dsr_journal_forget_backup(struct dsr_journal *journal, const char *uri,
                                                     struct rc_error *err);
RC_MUST_CHECK enum rc_code dsr_journal_backups(struct dsr_journal *journal, int32_t shard,
                                               enum rc_code (*each)(void *context, const char *uri,
                                                                    const char *of,
                                                                    struct rc_error *err),
                                               void *context, struct rc_error *err);

/*
 * The shards that the journal has not done with: an intent, an erasure that is in no fulfilled
 * request yet, or a backup. Rising; freed with free().
 */
RC_MUST_CHECK enum rc_code dsr_journal_shards(struct dsr_journal *journal, int32_t **shards,
                                              size_t *count, struct rc_error *err);

/*
 * Whether it is known why nothing is in that folder any more: some object was removed, as all its
 * rows were erased, and none is known that was left. A folder that held others may as well be one
 * that is not mounted today.
 */
RC_MUST_CHECK enum rc_code dsr_journal_knows_folder(struct dsr_journal *journal, const char *uri,
                                                    bool *knows, struct rc_error *err);

/*
 * Requests that are fulfilled: their shard was found clean. Noted before the markers are archived;
 * again changes nothing. Without a request it still closes what was erased in the shard, for the
 * record. RC_CONFLICT: an intent of the shard is not settled.
 */
struct dsr_request {
    struct pq_slice user;
    int32_t day, requested;
};
RC_MUST_CHECK enum rc_code dsr_journal_fulfil(struct dsr_journal *journal, int32_t shard,
                                              int32_t first_day, int32_t last_day,
                                              const struct dsr_request *requests, size_t count,
                                              struct rc_error *err);

#endif
