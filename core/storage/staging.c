/*
 * The life of copies: the directory in which they lie, what of them is kept, and how much all of it
 * may be. What to fetch is found out in staging_look.c and staging_fetch.c, publication is in
 * staging_publish.c; the copying itself is the mover's.
 */
#include <storage/staging_internal.h>

#include <ctype.h>
#include <errno.h>
#include <fts.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

/* Where there is no limit: copies are kept that nobody needs while all have no more than this. */
#define KEPT_BYTES (INT64_C(1) << 30)

/* ---- the directory ------------------------------------------------------------------------ */

enum rc_code core_staging_new(const struct core_staging_settings *settings,
                              struct core_staging **out, struct rc_error *err)
{
    struct core_staging *staging;
    char *dir;
    int lock;

    if (core_staging_dir_open(settings->parent, &dir, &lock, err))
        return rc_context(err, "make a directory for copies of remote objects");
    staging = rc_malloc(sizeof(*staging));
    *staging = (struct core_staging){
        .storage = *settings->storage,
        .limit_bytes = settings->limit_bytes,
        .limit_name = rc_strdup(settings->limit_name),
        .on_progress = settings->on_progress,
        .progress_context = settings->progress_context,
        .dir = dir,
        .lock = lock,
    };
    if (settings->cancel)
        staging->storage.cancel = settings->cancel;
    *out = staging;
    return RC_OK;
}

static void staged_free(struct core_staged *staged)
{
    for (size_t i = 0; i < staged->count; i++) {
        free(staged->files[i]->uri);
        free(staged->files[i]->path);
        free(staged->files[i]);
    }
    free(staged->files);
    free(staged->root);
    free(staged->location);
    free(staged);
}

void core_staging_free(struct core_staging *staging)
{
    if (!staging)
        return;
    for (struct core_staged *staged = staging->staged, *next; staged; staged = next) {
        next = staged->next;
        staged_free(staged);
    }
    core_staging_dir_close(staging->dir, &staging->lock);
    free(staging->dir);
    free(staging->limit_name);
    free(staging);
}

static void remove_tree(const char *path)
{
    struct rc_error ignored = RC_ERROR_INIT;

    /* What cannot be removed now is removed with the whole directory. */
    if (core_tree_remove(path, &ignored))
        return;
}

/* ---- copies by the names of their objects -------------------------------------------------- */

static struct staged_file **slot_of(struct core_staging *staging, const char *uri)
{
    size_t hash = 5381;

    for (const char *c = uri; *c; c++)
        hash = hash * 33 + (unsigned char)*c;
    return &staging->slots[hash % STAGING_SLOTS];
}

void core_staged_add(struct core_staged *staged, const char *name, const struct rc_stat *stat)
{
    struct staged_file *file = rc_malloc(sizeof(*file));
    const char *rest = strstr(staged->location, "://");

    *file = (struct staged_file){
        .uri = rc_strf("%s%s", staged->location, name),
        /* ROOT/SCHEME/BUCKET/KEY of SCHEME://BUCKET/KEY */
        .path = rc_strf("%s/%.*s/%s%s", staged->root, (int)(rest - staged->location),
                        staged->location, rest + strlen("://"), name),
        .size_bytes = stat->size_bytes,
    };
    memcpy(file->etag, stat->etag, sizeof(file->etag));
    /* Grown by doubling, where the count is a power of two. */
    if ((staged->count & (staged->count - 1)) == 0)
        staged->files = rc_realloc(staged->files, (staged->count ? 2 * staged->count : 1) *
                                                      sizeof(struct staged_file *));
    staged->files[staged->count++] = file;
}

void core_staged_enter(struct core_staging *staging, struct core_staged *staged)
{
    for (size_t i = 0; i < staged->count; i++) {
        struct staged_file **slot = slot_of(staging, staged->files[i]->uri);

        staged->files[i]->next_slot = *slot;
        *slot = staged->files[i];
    }
}

static void forget(struct core_staging *staging, struct staged_file *file)
{
    struct staged_file **at = slot_of(staging, file->uri);

    while (*at != file)
        at = &(*at)->next_slot;
    *at = file->next_slot;
}

const struct staged_file *core_staging_find(const struct core_staging *staging,
                                            const struct staged_file *like, enum staged_state state)
{
    const struct staged_file *file = *slot_of((struct core_staging *)staging, like->uri);

    while (file && !(file != like && file->state == state && rc_str_eq(file->uri, like->uri) &&
                     file->size_bytes == like->size_bytes && like->etag[0] &&
                     strcmp(file->etag, like->etag) == 0))
        file = file->next_slot;
    return file;
}

struct staged_file *core_staging_find_path(struct core_staging *staging, const char *uri,
                                           const char *path)
{
    struct staged_file *file = *slot_of(staging, uri);

    while (file && !rc_str_eq(file->path, path))
        file = file->next_slot;
    return file;
}

/* ---- what is kept -------------------------------------------------------------------------- */

static void take_out(struct core_staging *staging, struct core_staged *staged)
{
    struct core_staged **at = &staging->staged;

    while (*at != staged)
        at = &(*at)->next;
    *at = staged->next;
}

static void put_first(struct core_staging *staging, struct core_staged *staged)
{
    staged->next = staging->staged;
    staging->staged = staged;
}

struct core_staged *core_staged_new(struct core_staging *staging, const char *location)
{
    struct core_staged *staged = rc_calloc(1, sizeof(*staged));

    staged->location = rc_strdup(location);
    staged->root = rc_strf("%s/%u", staging->dir, ++staging->numbers);
    put_first(staging, staged);
    return staged;
}

/* Removes the copies, of which others may still be further names. */
static void drop(struct core_staging *staging, struct core_staged *staged)
{
    take_out(staging, staged);
    for (size_t i = 0; i < staged->count; i++) {
        struct staged_file *file = staged->files[i];

        if (file->state == STAGED_HERE && !core_staging_find(staging, file, STAGED_HERE))
            staging->used_bytes -= file->size_bytes;
        forget(staging, file);
    }
    remove_tree(staged->root);
    staged_free(staged);
}

/* What was released longest ago goes first. False: nothing is left that could go. */
static bool drop_unused(struct core_staging *staging)
{
    struct core_staged *found = NULL;

    for (struct core_staged *staged = staging->staged; staged; staged = staged->next)
        if (staged->unused)
            found = staged;
    if (found)
        drop(staging, found);
    return found != NULL;
}

void core_staged_replace(struct core_staging *staging, const struct core_staged *newer)
{
    for (struct core_staged *staged = staging->staged, *next; staged; staged = next) {
        next = staged->next;
        if (staged->unused && rc_str_eq(staged->location, newer->location))
            drop(staging, staged);
    }
}

const char *core_staged_path(const struct core_staged *staged, size_t index)
{
    return index < staged->count ? staged->files[index]->path : NULL;
}

void core_staged_release(struct core_staging *staging, struct core_staged *staged)
{
    if (!staged)
        return;
    take_out(staging, staged);
    put_first(staging, staged);
    staged->unused = true;
    while (staging->limit_bytes <= 0 && staging->used_bytes > KEPT_BYTES)
        if (!drop_unused(staging))
            break;
}

/* ---- the budget ---------------------------------------------------------------------------- */

static int64_t free_bytes_of(const struct core_staging *staging)
{
    struct statvfs disk;

    if (statvfs(staging->dir, &disk) != 0)
        return INT64_MAX; /* then it is found when it is written */
    return (int64_t)disk.f_bavail * (int64_t)disk.f_frsize;
}

static enum staging_room look_for_room(const struct core_staging *staging, int64_t bytes)
{
    if (staging->limit_bytes > 0 &&
        bytes > staging->limit_bytes - staging->used_bytes - staging->written_bytes)
        return STAGING_OVER_LIMIT;
    return bytes > free_bytes_of(staging) ? STAGING_DISK_FULL : STAGING_ENOUGH;
}

enum staging_room core_staging_make_room(struct core_staging *staging, int64_t bytes)
{
    enum staging_room room;

    while ((room = look_for_room(staging, bytes)) != STAGING_ENOUGH)
        if (!drop_unused(staging))
            break;
    return room;
}

enum rc_code core_staging_no_room(const struct core_staging *staging, enum staging_room room,
                                  const char *purpose, struct rc_error *err)
{
    char left[RC_AMOUNT_TEXT], limit[RC_AMOUNT_TEXT], used[RC_AMOUNT_TEXT];

    if (room == STAGING_OVER_LIMIT)
        return rc_fail(err, RC_TOO_LARGE,
                       "%s; %s of %s are in use for what was copied before: raise %s, or read and "
                       "write less at a time",
                       purpose, rc_format_size(staging->used_bytes, used),
                       rc_format_size(staging->limit_bytes, limit), staging->limit_name);
    return rc_fail(err, RC_TOO_LARGE,
                   "%s; the disk of '%s' has only %s left: set staging_dir of the engine to a "
                   "place with more room",
                   purpose, staging->dir, rc_format_size(free_bytes_of(staging), left));
}

/* What vanishes meanwhile has no size. */
static int64_t measure(const char *path)
{
    RC_STR_AUTO root = rc_strdup(path);
    char *const roots[] = { root, NULL };
    FTS *tree = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    int64_t bytes = 0;

    for (const FTSENT *entry; tree && (entry = fts_read(tree)) != NULL;)
        if (entry->fts_info == FTS_F)
            bytes += entry->fts_statp->st_size;
    if (tree)
        (void)fts_close(tree);
    return bytes;
}

enum rc_code core_staging_check_room(struct core_staging *staging, const char *path,
                                     struct rc_error *err)
{
    RC_BUF_AUTO(purpose, 1024);
    char written[RC_AMOUNT_TEXT];
    enum staging_room room;

    if (staging->limit_bytes <= 0)
        return RC_OK;
    staging->written_bytes = measure(path);
    room = core_staging_make_room(staging, 0);
    if (room != STAGING_OVER_LIMIT)
        return RC_OK; /* whether the disk is full is known to who writes to it */
    rc_buf_addf(&purpose,
                "%s have been written by now, and lie on this machine until they are "
                "uploaded",
                rc_format_size(staging->written_bytes, written));
    return core_staging_no_room(staging, room, purpose.data, err);
}

/* ---- to write ------------------------------------------------------------------------------ */

enum rc_code core_staging_place(struct core_staging *staging, const char *location,
                                struct rc_buf *path, struct rc_error *err)
{
    (void)location;
    rc_buf_addf(path, "%s/out%u", staging->dir, ++staging->numbers);
    return rc_buf_check(path, err);
}

void core_staging_discard(struct core_staging *staging, const char *path)
{
    remove_tree(path);
    staging->written_bytes = 0;
}

/* ---- transfers ----------------------------------------------------------------------------- */

struct feed {
    const struct staging_transfer *transfer;
    struct staging_item item;
};

static enum rc_code feed_next(void *context, struct rc_transfer_item *item, bool *more,
                              struct rc_error *err)
{
    struct feed *feed = context;

    (void)err;
    free(feed->item.source);
    free(feed->item.target);
    feed->item = (struct staging_item){ .source = NULL };
    feed->transfer->next(feed->transfer->context, &feed->item, more);
    *item = (struct rc_transfer_item){
        .source = feed->item.source,
        .target = feed->item.target,
        .size_bytes = feed->item.size_bytes,
        .etag = feed->item.etag,
    };
    return RC_OK;
}

static void show_progress(void *context, const struct rc_transferred *so_far)
{
    const struct staging_transfer *transfer = ((const struct feed *)context)->transfer;

    if (transfer->total_bytes > 0)
        transfer->staging->on_progress(transfer->staging->progress_context,
                                       (double)so_far->bytes / (double)transfer->total_bytes);
}

static void report(void *context, const struct rc_transfer_report *told)
{
    const struct staging_transfer *transfer = ((const struct feed *)context)->transfer;

    if (!told->err)
        transfer->copied(transfer->context, &told->item);
}

enum rc_code core_staging_transfer(const struct staging_transfer *transfer, struct rc_error *err)
{
    struct feed feed = { .transfer = transfer };
    const struct rc_transfer request = {
        .struct_bytes = sizeof(request),
        .next = feed_next,
        .report = transfer->copied ? report : NULL,
        .progress = transfer->staging->on_progress ? show_progress : NULL,
        .context = &feed,
    };
    struct rc_transferred done;
    enum rc_code code = core_transfer_run(transfer->storage, &request, &done, err);

    free(feed.item.source);
    free(feed.item.target);
    return code;
}

/* ---- messages ------------------------------------------------------------------------------- */
/* The length of "/NUMBER/SCHEME/", and of the part up to the scheme; 0: it is none. */
static size_t copy_prefix(const char *text, size_t *scheme_at, size_t *scheme_len)
{
    size_t at = 1;

    if (text[0] != '/' || !isdigit((unsigned char)text[1]))
        return 0;
    while (isdigit((unsigned char)text[at]))
        at++;
    if (text[at++] != '/')
        return 0;
    *scheme_at = at;
    *scheme_len = strcspn(text + at, "/");
    return text[at + *scheme_len] == '/' ? at + *scheme_len + 1 : 0;
}

void core_staging_add_text(const struct core_staging *staging, const char *text, struct rc_buf *out)
{
    const char *found;
    size_t scheme_at = 0, scheme_len = 0;

    while ((found = strstr(text, staging->dir)) != NULL) {
        const char *behind = found + strlen(staging->dir);
        size_t len = copy_prefix(behind, &scheme_at, &scheme_len);

        rc_buf_add(out, text, (size_t)((len ? found : behind) - text));
        if (len)
            rc_buf_addf(out, "%.*s://", (int)scheme_len, behind + scheme_at);
        text = behind + len;
    }
    rc_buf_adds(out, text);
}
