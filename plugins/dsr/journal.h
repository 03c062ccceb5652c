/*
 * The journal: what is about to be done to an object, written before it is touched. The states,
 * what leads from one to the next and what always holds are in README.md, "The journal".
 *
 * It knows neither files nor stores. No user's id is ever in it, only their keyed hashes. A journal
 * may be used by many threads; each call is one transaction.
 */
#ifndef DSR_JOURNAL_H
#define DSR_JOURNAL_H

#include "places.h"
#include "users.h"

enum { DSR_ID_TEXT = 33, DSR_HASH_TEXT = 65 };

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
};

struct dsr_erased {
    char user[DSR_HASH_TEXT];
    int64_t rows;
};

RC_MUST_CHECK enum rc_code dsr_journal_intend(struct dsr_journal *journal,
                                              struct dsr_intent *intent,
                                              const struct dsr_erased *users, size_t user_count,
                                              struct rc_error *err);

enum dsr_outcome {
    DSR_DONE,       /* the object is the new one, or gone */
    DSR_VOID,       /* it never was: the intent is forgotten */
    DSR_SUPERSEDED, /* somebody else's object is there; whether ours was, nobody can tell */
};
RC_MUST_CHECK enum rc_code dsr_journal_settle(struct dsr_journal *journal, const char *id,
                                              enum dsr_outcome outcome, struct rc_error *err);

/* The intents of a shard that are not settled: what a run that died has left. */
RC_MUST_CHECK enum rc_code dsr_journal_unsettled(
    struct dsr_journal *journal, int32_t shard,
    enum rc_code (*each)(void *context, const struct dsr_intent *intent, struct rc_error *err),
    void *context, struct rc_error *err);

/* A copy of an original: noted before it is made, forgotten after it is removed. */
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

/* The shards that have something unsettled or a backup, rising; freed with free(). */
RC_MUST_CHECK enum rc_code dsr_journal_shards(struct dsr_journal *journal, int32_t **shards,
                                              size_t *count, struct rc_error *err);

/*
 * A request that is fulfilled: its shard was found clean. Noted before its marker is archived;
 * again changes nothing. Of one run, many at once.
 */
struct dsr_request {
    const char *marker; /* the path below the markers' folder; only its hash is kept */
    struct pq_slice user;
    int32_t day, requested;
};
RC_MUST_CHECK enum rc_code dsr_journal_fulfil(struct dsr_journal *journal, int32_t shard,
                                              int32_t first_day, int32_t last_day,
                                              const struct dsr_request *requests, size_t count,
                                              struct rc_error *err);

#endif
