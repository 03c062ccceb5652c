/*
 * Transfer: many objects copied, moved or removed at once, between any two stores.
 *
 * Memory and connections are bounded; how many objects go at a time follows what the stores can
 * take. Small objects are copied many at a time, large ones by ranges; inside one store the store
 * copies. What was written is verified against what was read. Under --dry-run every change is
 * logged and counted, not made.
 *
 * A transfer that was killed goes on from its last token: what is done is not done again, and the
 * parts of a large object that had arrived are kept (since 1.3) where the store can say which: in
 * S3, unless a key encrypts it, and in Google Cloud Storage, not on this machine. They are held
 * against the source before they count. For that, a transfer with 'checkpoint' that does not come
 * to its end leaves them in the store, until its token is used or rc_storage_sweep() takes them
 * away; Google forgets them after a week.
 */
#ifndef RUN_CORE_TRANSFER_H
#define RUN_CORE_TRANSFER_H

#include <run-core/storage.h>

enum rc_transfer_flag {
    RC_TRANSFER_MOVE = 1u << 0, /* remove each source once its copy is verified */
    /* Of a tree: targets that have no source, found by a second look at both sides after the last
       copy. If a copy or a listing failed, nothing is removed (since 1.3). */
    RC_TRANSFER_REMOVE_EXTRA = 1u << 1,
    RC_TRANSFER_KEEP_GOING = 1u << 2, /* after a failure; the first is the error in the end */
    RC_TRANSFER_CHECK = 1u << 3,      /* change nothing, only find what would be done */
    /* With IF_DIFFERENT, not of a move: times tell nothing. Where sizes are equal and tags do not
       tell, files are read and compared with what the stores know (since 1.2). */
    RC_TRANSFER_COMPARE_CONTENT = 1u << 4,
    /* With REMOVE_EXTRA: a source without any wanted object is RC_CONFLICT, and nothing is removed
       (since 1.3). */
    RC_TRANSFER_NOT_FROM_EMPTY = 1u << 5,
    /* With KEEP_GOING: stops all the same where a store seems to take nothing any more, as its disk
       is full: after 200 failures in a row that may be the store's, or 10 in 20 s. What was not
       tried by then has not failed (since 1.8). */
    RC_TRANSFER_GIVE_UP = 1u << 6,
};

/* With IF_DIFFERENT, not of a move: what makes two objects of one size different (since 1.3). */
enum rc_transfer_compare {
    RC_COMPARE_AUTO,    /* the entity tag; where it cannot be compared, the time */
    RC_COMPARE_SIZE,    /* nothing does */
    RC_COMPARE_ETAG,    /* the entity tag; where it cannot be compared, they are copied again */
    RC_COMPARE_TIME,    /* the target is older than the source */
    RC_COMPARE_CONTENT, /* as with the flag: files are read where tags do not tell */
};

/* Which objects are copied. A list knows only the first two. */
enum rc_transfer_when {
    RC_TRANSFER_ALWAYS,
    RC_TRANSFER_IF_ABSENT,    /* there is none of that name, up to the moment of the copy */
    RC_TRANSFER_IF_DIFFERENT, /* none, or one of another size or content; where the content cannot
                                 be compared, an older one: a source of the same size that has gone
                                 back to an older time is missed without COMPARE_CONTENT */
};

enum rc_transfer_act { RC_TRANSFER_COPY, RC_TRANSFER_SKIP, RC_TRANSFER_REMOVE };

struct rc_transfer_item {
    const char *source; /* NULL: 'target' is removed */
    const char *target; /* NULL: 'source' is removed */
    int64_t size_bytes; /* of the source; -1: unknown */
    const char *etag;   /* of the source; another one is RC_CONFLICT for this item; or NULL */
};

/* What became of one item. Valid during the call. */
struct rc_transfer_report {
    enum rc_transfer_act act;
    struct rc_transfer_item item;
    struct rc_stat written;     /* of a copy */
    const struct rc_error *err; /* NULL: it went well */
    const char *lost;           /* of the source, since the target's store has no such thing, as
                                   "tags"; NULL: nothing. A file has no attributes at all. */
};

/* Numbers so far. */
struct rc_transferred {
    int64_t objects, bytes; /* copied */
    int64_t skipped, removed, failed;
    int64_t found, found_bytes; /* of the source, as yet */
};

struct rc_transfer {
    size_t struct_bytes; /* sizeof(struct rc_transfer): it may grow */
    unsigned flags;

    /* What: a tree, all objects whose URI begins with 'source', named alike behind 'target' ... */
    const char *source, *target;
    enum rc_transfer_when when;
    /* Of the source, and with REMOVE_EXTRA of the target: what is not wanted is left alone. NULL:
       all is. It may be asked twice of one object. */
    bool (*wants)(void *context, const struct rc_object *object);

    /* ... or a list: gives items until *more is false. Borrowed until the next call. */
    enum rc_code (*next)(void *context, struct rc_transfer_item *item, bool *more,
                         struct rc_error *err);

    /* How. What is 0 or NULL is left to the host. */
    unsigned width;                         /* most objects and ranges at once */
    int64_t memory_bytes;                   /* most for buffers */
    int64_t bytes_per_s;                    /* most over all */
    int64_t max_failures;                   /* with KEEP_GOING; then it stops */
    const struct rc_attributes *attributes; /* of the copies; NULL: those of the sources */
    const char *resume; /* the token of an earlier transfer of the same tree or list */

    /*
     * Told in one thread at a time, which may be any: also while 'wants' or 'next' is called, which
     * the calling thread does.
     */
    void (*report)(void *context, const struct rc_transfer_report *report);
    void (*progress)(void *context, const struct rc_transferred *so_far);
    /*
     * Every few seconds, as large objects begin, and at the end: with this token a later transfer
     * begins where this one was. It may hold the right to write an object, so it is for nobody
     * else. A failure ends the transfer.
     */
    enum rc_code (*checkpoint)(void *context, const char *token, struct rc_error *err);
    void *context;

    /* Since 1.3. */
    int compare; /* enum rc_transfer_compare */
    /* With REMOVE_EXTRA: more extra targets than this are RC_CONFLICT, and none of them is removed;
       of those that come while they are counted at most so many are. 0: no limit. */
    int64_t max_removed;
};

struct rc_transfer_api {
    enum rc_code (*run)(struct rc_job *job, const struct rc_transfer *transfer,
                        struct rc_transferred *out, struct rc_error *err);
};

#endif
