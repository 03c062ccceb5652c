/*
 * What the parts of staging share.
 *
 *   staging.c          the life of copies: the directory, what is kept, the budget
 *   staging_look.c     what is at the locations
 *   staging_fetch.c    what of it is here already, the fetch of the rest
 *   staging_publish.c  what was written
 *   staging_dir.c      the directory itself
 */
#ifndef CORE_STORAGE_STAGING_INTERNAL_H
#define CORE_STORAGE_STAGING_INTERNAL_H

#include <os/file.h>
#include <storage/resolve.h>
#include <storage/staging.h>
#include <storage/transfer.h>

#include <run-core/str.h>

enum {
    STAGING_FOLDER_MODE = 0700,
    STAGING_SLOTS = 8192, /* chains of copies by the names of their objects */
};

enum staged_state {
    STAGED_LISTED,
    STAGED_COMING, /* in the transfer that is under way */
    STAGED_HERE,
};

struct staged_file {
    struct staged_file *next_slot; /* in a chain */
    char *uri, *path;
    int64_t size_bytes;
    char etag[RC_ETAG_TEXT];
    enum staged_state state;
};

struct core_staged {
    struct core_staged *next;
    char *location;
    bool unused;                /* released: kept for as long as there is room */
    char *root;                 /* DIR/NUMBER; below it SCHEME/BUCKET/KEY */
    struct staged_file **files; /* in the order of their names */
    size_t count;
};

struct core_staging {
    struct core_storage storage; /* that of the settings, with their cancellation */
    int64_t limit_bytes;
    char *limit_name;
    void (*on_progress)(void *context, double fraction);
    void *progress_context;
    char *dir;
    int lock;
    unsigned numbers; /* given to folders */
    int64_t used_bytes, written_bytes;
    struct core_staged *staged; /* what was fetched or released last is first */
    struct staged_file *slots[STAGING_SLOTS];
};

/* A directory below 'parent', with the descriptor that holds its lock. */
RC_MUST_CHECK enum rc_code core_staging_dir_open(const char *parent, char **path, int *fd,
                                                 struct rc_error *err);
/* Removes it. */
void core_staging_dir_close(const char *path, int *fd);
/* Makes a directory that need not outlive the machine's next start, and those above it. */
RC_MUST_CHECK enum rc_code core_staging_folder_make(const char *path, struct rc_error *err);

/* ---- copies ---------------------------------------------------------------------------------- */

struct core_staged *core_staged_new(struct core_staging *staging, const char *location);
/* Adds an object, which is not here yet. Others do not find it before it is entered. */
void core_staged_add(struct core_staged *staged, const char *name, const struct rc_stat *stat);
void core_staged_enter(struct core_staging *staging, struct core_staged *staged);
/* Lists the objects of all these, each into its own. */
RC_MUST_CHECK enum rc_code core_staging_look(struct core_staging *staging,
                                             struct core_staged **staged, size_t count,
                                             bool (*wants)(const char *name), struct rc_error *err);
/* Another file of the same object with the same content, in that state; or NULL. */
const struct staged_file *core_staging_find(const struct core_staging *staging,
                                            const struct staged_file *like,
                                            enum staged_state state);
/* The file that lies, or is to lie, at a path; NULL: there is none. */
struct staged_file *core_staging_find_path(struct core_staging *staging, const char *uri,
                                           const char *path);
/* What was released at the same location before is of no use any more. */
void core_staged_replace(struct core_staging *staging, const struct core_staged *newer);

enum staging_room { STAGING_ENOUGH, STAGING_OVER_LIMIT, STAGING_DISK_FULL };

/* Makes room for so many bytes more by removing what is not in use. */
enum staging_room core_staging_make_room(struct core_staging *staging, int64_t bytes);
/* RC_TOO_LARGE. 'purpose' is a clause: "to read 'URI', 3 MiB have to be copied to ...". */
enum rc_code core_staging_no_room(const struct core_staging *staging, enum staging_room room,
                                  const char *purpose, struct rc_error *err);

/* ---- transfers ------------------------------------------------------------------------------- */

/* One copy of a list. The texts live until the next one is asked for. */
struct staging_item {
    char *source, *target;
    int64_t size_bytes;
    const char *etag;
};

struct staging_transfer {
    struct core_staging *staging;
    struct core_storage *storage;
    int64_t total_bytes; /* for the progress */
    /* Gives the items; *more is false behind the last. */
    void (*next)(void *context, struct staging_item *item, bool *more);
    /* Optional: this one was copied. From any thread, one at a time. */
    void (*copied)(void *context, const struct rc_transfer_item *item);
    void *context;
};

RC_MUST_CHECK enum rc_code core_staging_transfer(const struct staging_transfer *transfer,
                                                 struct rc_error *err);

#endif
