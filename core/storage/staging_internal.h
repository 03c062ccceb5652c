/*
 * What the two halves of staging share: the directory, and transfers with progress.
 */
#ifndef CORE_STORAGE_STAGING_INTERNAL_H
#define CORE_STORAGE_STAGING_INTERNAL_H

#include <os/file.h>
#include <storage/resolve.h>
#include <storage/staging.h>
#include <storage/transfer.h>

#include <run-core/str.h>

struct staged_file {
    char *name; /* behind the location; empty for that of a single object */
    char *path;
    int64_t size_bytes;
    char etag[RC_ETAG_TEXT];
    bool is_here;
};

struct core_staged {
    struct core_staged *next;
    char *location;
    bool unused;               /* released: kept for as long as there is room */
    char *root;                /* DIR/NUMBER; below it SCHEME/BUCKET/KEY */
    struct staged_file *files; /* sorted by their names */
    size_t count;
};

struct core_staging {
    struct core_storage *storage;
    int64_t limit_bytes;
    char *limit_name;
    void (*on_progress)(void *context, double fraction);
    void *progress_context;
    char *dir;
    int lock;
    unsigned numbers; /* given to folders */
    int64_t used_bytes;
    struct core_staged *staged; /* what was fetched or released last is first */
};

/* A directory below 'parent', with the descriptor that holds its lock. */
RC_MUST_CHECK enum rc_code core_staging_dir_open(const char *parent, char **path, int *fd,
                                                 struct rc_error *err);
/* Removes it. */
void core_staging_dir_close(const char *path, int *fd);

/* One copy of a list. The texts live until the next one is asked for. */
struct staging_item {
    char *source, *target;
    int64_t size_bytes;
    const char *etag;
};

/*
 * Transfers what 'next' gives: *more is false behind the last. 'total_bytes' is for the progress.
 */
RC_MUST_CHECK enum rc_code
core_staging_transfer(struct core_staging *staging, int64_t total_bytes,
                      void (*next)(void *context, struct staging_item *item, bool *more),
                      void *context, struct rc_error *err);

/* All objects that begin with 'prefix', into an array that grows. */
struct staging_names {
    char **items; /* behind the prefix, in the order of bytes */
    int64_t *sizes;
    size_t count;
};
RC_MUST_CHECK enum rc_code core_staging_list(struct core_storage *storage, const char *prefix,
                                             struct staging_names *out, struct rc_error *err);
void core_staging_names_clear(struct staging_names *names);

#endif
