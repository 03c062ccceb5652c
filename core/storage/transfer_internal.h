/*
 * The mover's parts. The calling thread feeds items from the listings or the caller's list into a
 * queue and tells how far it is; workers take from it whole items, ranges of large objects, and
 * batches of removals. How many workers go at once follows the throughput.
 *
 *   transfer.c         the request, the threads, the ends of items
 *   transfer_feed.c    items, from listings or a list
 *   transfer_marks.c   how far all is done, and the token that says so
 *   transfer_work.c    what a worker does next; memory
 *   transfer_copy.c    an item as a whole
 *   transfer_large.c   a large object by ranges
 *   transfer_uploads.c those of them that a later transfer can go on with
 *   transfer_remove.c  removals by batches
 *   transfer_extra.c   whether what has no source is removed, after all copies
 *   transfer_compare.c whether the content at the target is the same
 *   transfer_etag.c    the entity tags of objects that were uploaded in parts
 *   transfer_pace.c    how many workers, how many bytes a second
 */
#ifndef CORE_STORAGE_TRANSFER_INTERNAL_H
#define CORE_STORAGE_TRANSFER_INTERNAL_H

#include <os/digest.h>
#include <storage/resolve.h>
#include <storage/transfer.h>

#include <pthread.h>

enum {
    TRANSFER_SMALL_BYTES = 8 * 1024 * 1024, /* copied through one buffer */
    TRANSFER_OUTSTANDING = 3000,            /* items fed and not finished */
    TRANSFER_LARGE = 4,                     /* objects that are copied by ranges, at once */
    TRANSFER_BATCH = 1000,                  /* removals at once */
    TRANSFER_ATTEMPTS = 4,                  /* of an item, on top of those of each request */
    TRANSFER_WIDTH = 64,
    TRANSFER_TARGETS = 1024, /* chains of targets under way */
    TRANSFER_UPLOADS = 8, /* that a token says, which has to stay small; those begun come on top */
    TRANSFER_UPLOAD_TEXT = 4096, /* bytes of each of their texts */
    TRANSFER_IN_VAIN = 200,      /* failures in a row, or fewer in so long, after which it stops */
    TRANSFER_IN_VAIN_FEWER = 10,
    TRANSFER_IN_VAIN_MS = 20000,
};

/* ---- marks ----------------------------------------------------------------------------------- */

enum transfer_mark_state { MARK_OPEN, MARK_DONE, MARK_FAILED };

/* An item in the order in which it was fed, or a run of neighbours that are done. */
struct transfer_mark {
    struct transfer_mark *before, *behind;
    enum transfer_mark_state state;
    int64_t items;
    char *name; /* the last of them; NULL in a list */
};

/* How far everything is done, however the items end. Memory follows those that are open. */
struct transfer_marks {
    struct transfer_mark *first, *last;
    int64_t done; /* items at the begin of all */
    char *name;   /* the last of those; NULL: none yet, or a list */
};

struct transfer_mark *core_transfer_mark_add(struct transfer_marks *marks, const char *name);
void core_transfer_mark_end(struct transfer_marks *marks, struct transfer_mark *mark,
                            enum transfer_mark_state state);
void core_transfer_marks_clear(struct transfer_marks *marks);

/* ---- uploads --------------------------------------------------------------------------------- */

/* A large object on its way: what has to be known to go on with it, or to give it up. */
struct transfer_upload {
    struct transfer_upload *next;
    bool is_taken;      /* by an object that is under way; else it is left */
    char *target;       /* a URI */
    char *etag;         /* of the source */
    int64_t size_bytes; /* likewise */
    int64_t begun_unix_ms, part_bytes;
    char *id; /* as of struct core_left_parts */
};

/* All of them, in no order. */
struct transfer_uploads {
    struct transfer_upload *first;
    uint64_t changes; /* of anything of them that a token says */
};

/* The new one is the first, and taken. */
struct transfer_upload *core_transfer_upload_add(struct transfer_uploads *uploads,
                                                 const char *target, const char *etag,
                                                 int64_t size_bytes, int64_t begun_unix_ms);
void core_transfer_upload_drop(struct transfer_uploads *uploads, struct transfer_upload *upload);
void core_transfer_uploads_clear(struct transfer_uploads *uploads);

/*
 * The text of a token, and back. RC_INVALID: it is of another transfer, or none. Who can write one
 * gets nothing by it but what the transfer itself may do.
 */
char *core_transfer_token(const struct rc_transfer *request, const struct transfer_marks *marks,
                          const struct transfer_uploads *uploads);
RC_MUST_CHECK enum rc_code core_transfer_token_read(const struct rc_transfer *request,
                                                    struct transfer_marks *marks,
                                                    struct transfer_uploads *uploads,
                                                    struct rc_error *err);

/* ---- items ----------------------------------------------------------------------------------- */

struct transfer_item {
    struct transfer_item *next;        /* in a queue */
    struct transfer_item *same_target; /* in a chain */
    enum rc_transfer_act act;
    char *source, *target; /* as in struct rc_transfer_item */
    char *etag;            /* of the source, or NULL */
    bool is_etag_given;    /* by the caller, so that another one is final */
    bool has_lost_tags;    /* the store of the target knows none */
    int64_t size_bytes;    /* of the source; -1: unknown */
    unsigned attempt;
    char *target_etag; /* of what is there and may be the same, so that it is compared; or NULL */
    char *derived;     /* the tag that its content gave, where that was not the store's; or NULL */
    struct rc_stat written;
    struct transfer_mark *mark; /* NULL: it counts for no token */
};

/* A queue, first in, first out. */
struct transfer_queue {
    struct transfer_item *first, **end;
    size_t count;
};

void core_transfer_push(struct transfer_queue *queue, struct transfer_item *item);
struct transfer_item *core_transfer_pop(struct transfer_queue *queue);

/* ---- pace ------------------------------------------------------------------------------------ */

/* How many workers are allowed: more while that brings more, fewer after trouble. */
struct transfer_pace {
    unsigned allowed, width, before; /* the last before the present number */
    double rate;                     /* that it had */
    double units;                    /* done in this window: objects, and bytes as such */
    int64_t window_mono_ms;
    unsigned hold; /* windows before the next try */
    bool trouble, was_busy;
};

void core_transfer_pace_init(struct transfer_pace *pace, unsigned width, int64_t now_mono_ms);
/* Counts what was done. */
void core_transfer_pace_add(struct transfer_pace *pace, int64_t objects, int64_t bytes);
/* Looks at the window if it is over; whether the allowed number changed. */
bool core_transfer_pace_turn(struct transfer_pace *pace, int64_t now_mono_ms);

/* ---- the whole ------------------------------------------------------------------------------- */

struct transfer_feed;
struct transfer_large;

struct core_transfer {
    struct rc_transfer request;
    struct core_storage storage; /* that of the caller, with the cancellation below */
    struct core_cancel cancel;
    struct transfer_feed *feed;

    pthread_mutex_t lock; /* of all below, but for what is told */
    pthread_cond_t work;  /* for workers: there may be something to do */
    pthread_cond_t rest;  /* for those above the allowed number */
    pthread_cond_t room;  /* for who waits for memory, or for a turn in a large object */
    pthread_cond_t calm;  /* for the calling thread */
    struct transfer_queue ready, parked; /* parked: large, until fewer are under way */
    struct transfer_queue doomed;        /* to be removed */
    int64_t doomed_since_mono_ms;
    struct transfer_large *large;
    unsigned large_count;
    struct transfer_item *targets[TRANSFER_TARGETS];
    size_t outstanding;
    bool fed, stopping;
    bool is_clearing; /* all copies are there; what has no source goes */
    int64_t memory_bytes, memory_used_bytes;
    struct transfer_pace pace;
    struct transfer_marks marks;
    struct transfer_uploads uploads;
    struct rc_transferred counts;
    int64_t moving_bytes; /* of objects that are not whole yet */
    enum rc_code code;    /* of the first failure */
    struct rc_error err;
    int64_t row, row_mono_ms;   /* failures since anything arrived; when the first of them came */
    int64_t bytes_free_mono_us; /* when the limit of bytes lets the next go */

    pthread_mutex_t telling; /* taken before the lock; of what is below */
    int64_t told_done;       /* in the last token; -1: none was told */
    uint64_t told_changes;

    pthread_t *threads;
    unsigned thread_count;
};

/* The end of an item; frees it. 'err' is NULL if all went well. Without the lock. */
void core_transfer_finish(struct core_transfer *t, struct transfer_item *item,
                          const struct rc_error *err);
/* After a copy: the end, or of a move the removal of the source. */
void core_transfer_copied(struct core_transfer *t, struct transfer_item *item);
/* Puts an item into one of the queues. Without the lock. */
void core_transfer_queue(struct core_transfer *t, struct transfer_queue *queue,
                         struct transfer_item *item);
void core_transfer_item_free(struct transfer_item *item);
/*
 * After a failed attempt: whether to try again, after a pause that has passed then. Notes trouble.
 */
bool core_transfer_again(struct core_transfer *t, struct transfer_item *item,
                         const struct rc_error *err);
/* What went of an object that is not whole yet; taken back when it is, or failed. */
void core_transfer_moving(struct core_transfer *t, int64_t bytes);
/* Tells the present token, unless nothing has changed since the last. Without the lock. */
RC_MUST_CHECK enum rc_code core_transfer_checkpoint(struct core_transfer *t, struct rc_error *err);
/* Waits until so many bytes may go. */
RC_MUST_CHECK enum rc_code core_transfer_limit(struct core_transfer *t, size_t bytes,
                                               struct rc_error *err);

/* Memory for a buffer, within the budget; waits for it. NULL: the transfer stops. */
char *core_transfer_buffer(struct core_transfer *t, size_t bytes);
void core_transfer_buffer_free(struct core_transfer *t, char *buffer, size_t bytes);
/* With the lock held: claims memory if it is there. */
bool core_transfer_claim(struct core_transfer *t, size_t bytes);
void *core_transfer_map(size_t bytes);

/* A worker: works until there is nothing more. */
void *core_transfer_worker(void *worker);
struct transfer_worker {
    struct core_transfer *transfer;
    unsigned index;
};

void core_transfer_copy(struct core_transfer *t, struct transfer_item *item);
/* The condition of what is written, as rc_storage_put() takes it. */
const char *core_transfer_condition(const struct core_transfer *t);
/* After a conflict: whether the reason is that the target is there meanwhile, so that it stays. */
bool core_transfer_is_taken(const struct core_transfer *t, const struct core_resolved *to,
                            enum rc_code code);

/* Begins a large object: its ranges are to be had then, or the item ended. Takes 'item'. */
void core_transfer_large_begin(struct core_transfer *t, struct transfer_item *item);
/* With the lock held: a range to copy, its memory claimed; false: there is none now. */
struct transfer_range {
    struct transfer_large *large;
    int64_t offset_bytes, len_bytes;
    bool is_buffered;
};
bool core_transfer_large_take(struct core_transfer *t, struct transfer_range *out);
void core_transfer_large_copy(struct core_transfer *t, const struct transfer_range *range);
/* What was begun and has no worker any more. */
void core_transfer_large_abandon(struct core_transfer *t);

/*
 * The parts in which 'item' is written: those that were left of it, or new ones, which are in a
 * token before their first byte counts. *upload is NULL where they cannot be left.
 */
RC_MUST_CHECK enum rc_code
core_transfer_parts_open(struct core_transfer *t, const struct transfer_item *item,
                         const struct core_resolved *to, const struct rc_put_options *options,
                         struct core_parts **out, struct transfer_upload **upload,
                         struct rc_error *err);
/* Their end: with 'is_left' they stay for a later attempt, else what is not committed is gone. */
void core_transfer_parts_close(struct core_transfer *t, struct core_parts *parts,
                               struct transfer_upload *upload, bool is_left);
/* After all went well: gives up what was left and is not among what was transferred any more. */
void core_transfer_uploads_give_up(struct core_transfer *t);

/* With the lock held: whether removals are due, and then those of one batch. */
bool core_transfer_removals_due(const struct core_transfer *t, int64_t now_mono_ms);
struct transfer_item *core_transfer_removals_take(struct core_transfer *t);
void core_transfer_remove(struct core_transfer *t, struct transfer_item *batch);

/*
 * After the last copy: whether what has no source is to be removed now. RC_CONFLICT: it is too
 * much, or there is no source at all.
 */
RC_MUST_CHECK enum rc_code core_transfer_extra_due(struct core_transfer *t, bool *is_due,
                                                   struct rc_error *err);
/* RC_CONFLICT, for there is no source. */
enum rc_code core_transfer_fail_empty(const struct rc_transfer *request, struct rc_error *err);

/* ---- the feed -------------------------------------------------------------------------------- */

/* What comes next. Borrowed until the next call. */
struct transfer_fed {
    enum rc_transfer_act act;
    const char *source, *target, *etag;
    const char *name;
    int64_t size_bytes;
    bool is_etag_given;
    bool is_there;           /* of a move: the copy, so that only the source is to go */
    const char *target_etag; /* of what is there and may be the same; NULL: nothing, or it is not */
};

/* With 'only_extra' from the begin, whatever a token says: only targets that have no source. */
RC_MUST_CHECK enum rc_code core_transfer_feed_open(struct core_transfer *t, bool only_extra,
                                                   struct transfer_feed **out,
                                                   struct rc_error *err);
/* So far: wanted targets that have no source, and wanted sources. */
void core_transfer_feed_seen(const struct transfer_feed *feed, int64_t *extra, int64_t *wanted);
RC_MUST_CHECK enum rc_code core_transfer_feed_next(struct transfer_feed *feed,
                                                   struct transfer_fed *out, bool *more,
                                                   struct rc_error *err);
void core_transfer_feed_close(struct transfer_feed *feed);

/* ---- content --------------------------------------------------------------------------------- */

enum { CORE_TRANSFER_MD5 = 16 };

/*
 * Of an item with a 'target_etag': whether the content is the same. Unknown counts as different.
 */
RC_MUST_CHECK enum rc_code core_transfer_compare(struct core_transfer *t,
                                                 const struct transfer_item *item,
                                                 const struct core_resolved *from,
                                                 const struct core_resolved *to, bool *same,
                                                 struct rc_error *err);
/* Whether an entity tag is the MD5 of the content, by its looks. */
bool core_transfer_is_md5(const char *etag);
/* The likely size of the parts in which an object with this tag was uploaded; 0: not to be told. */
int64_t core_transfer_etag_part_bytes(const char *etag, int64_t size_bytes);
/* The tag of an object whose parts have these MD5s. */
char *core_transfer_etag_join(const unsigned char (*md5s)[CORE_TRANSFER_MD5], size_t parts);
/* CRC-32C of two texts one after the other, from those of each. */
uint32_t core_transfer_crc_join(uint32_t first, uint32_t second, int64_t second_len);

#endif
