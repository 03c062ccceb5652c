/*
 * Fetched copies: what is listed, what of it is here already, whether the rest fits, and the
 * folders in which it lies. The copying itself is the mover's; publication is in
 * staging_publish.c.
 */
#include <storage/staging_internal.h>

#include <os/path.h>

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { ATTEMPTS = 4, FOLDER_MODE = 0700 };

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
        .storage = settings->storage,
        .limit_bytes = settings->limit_bytes,
        .limit_name = rc_strdup(settings->limit_name),
        .on_progress = settings->on_progress,
        .progress_context = settings->progress_context,
        .dir = dir,
        .lock = lock,
    };
    *out = staging;
    return RC_OK;
}

static void staged_free(struct core_staged *staged)
{
    for (size_t i = 0; i < staged->count; i++) {
        free(staged->files[i].name);
        free(staged->files[i].path);
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

enum rc_code core_staging_place(struct core_staging *staging, const char *location,
                                struct rc_buf *path, struct rc_error *err)
{
    (void)location;
    rc_buf_addf(path, "%s/out%u", staging->dir, ++staging->numbers);
    return rc_buf_check(path, err);
}

void core_staging_discard(struct core_staging *staging, const char *path)
{
    struct rc_error ignored = RC_ERROR_INIT;

    (void)staging;
    /* What cannot be removed now is removed with the whole directory. */
    if (core_tree_remove(path, &ignored))
        return;
}

/* ---- what the mover is asked for ----------------------------------------------------------- */

struct feed {
    struct core_staging *staging;
    int64_t total_bytes;
    void (*next)(void *context, struct staging_item *item, bool *more);
    void *context;
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
    feed->next(feed->context, &feed->item, more);
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
    const struct feed *feed = context;

    if (feed->total_bytes > 0)
        feed->staging->on_progress(feed->staging->progress_context,
                                   (double)so_far->bytes / (double)feed->total_bytes);
}

enum rc_code core_staging_transfer(struct core_staging *staging, int64_t total_bytes,
                                   void (*next)(void *context, struct staging_item *item,
                                                bool *more),
                                   void *context, struct rc_error *err)
{
    struct feed feed = {
        .staging = staging, .total_bytes = total_bytes, .next = next, .context = context
    };
    const struct rc_transfer request = {
        .struct_bytes = sizeof(request),
        .next = feed_next,
        .progress = staging->on_progress ? show_progress : NULL,
        .context = &feed,
    };
    struct rc_transferred done;
    enum rc_code code = core_transfer_run(staging->storage, &request, &done, err);

    free(feed.item.source);
    free(feed.item.target);
    return code;
}

/* ---- listing ------------------------------------------------------------------------------- */

/* Grown by doubling, where the count is a power of two. */
static void *grow(void *array, size_t count, size_t size)
{
    return (count & (count - 1)) == 0 ? rc_realloc(array, (count ? 2 * count : 1) * size) : array;
}

static enum rc_code each_object(struct core_storage *storage, const char *prefix,
                                enum rc_code (*take)(void *context, const struct rc_object *object,
                                                     struct rc_error *err),
                                void *context, struct rc_error *err)
{
    const struct rc_object *object = NULL;
    struct rc_listing *listing;
    enum rc_code code = core_storage_list(storage, prefix, NULL, &listing, err);

    if (code)
        return code;
    while ((code = core_listing_next(listing, &object, err)) == RC_OK && object)
        if ((code = take(context, object, err)) != RC_OK)
            break;
    core_listing_close(listing);
    return code;
}

static enum rc_code take_name(void *context, const struct rc_object *object, struct rc_error *err)
{
    struct staging_names *names = context;

    (void)err;
    names->items = grow(names->items, names->count, sizeof(*names->items));
    names->sizes = grow(names->sizes, names->count, sizeof(*names->sizes));
    names->items[names->count] = rc_strdup(object->name);
    names->sizes[names->count++] = object->stat.size_bytes;
    return RC_OK;
}

enum rc_code core_staging_list(struct core_storage *storage, const char *prefix,
                               struct staging_names *out, struct rc_error *err)
{
    return each_object(storage, prefix, take_name, out, err);
}

void core_staging_names_clear(struct staging_names *names)
{
    for (size_t i = 0; i < names->count; i++)
        free(names->items[i]);
    free(names->items);
    free(names->sizes);
}

/*
 * Objects of other makers may be called what no file can be; a file of nearly that name would be
 * another object's.
 */
static enum rc_code check_key(const char *uri, struct rc_error *err)
{
    const char *segment = strstr(uri, "://");

    for (segment = segment ? segment + strlen("://") : uri; *segment;) {
        size_t len = strcspn(segment, "/");

        if (len == 0 || (len <= 2 && strspn(segment, ".") >= len))
            return rc_fail(err, RC_UNSUPPORTED,
                           "'%s' cannot be copied to a file: its key has a segment that is empty, "
                           "'.' or '..'",
                           uri);
        segment += len;
        segment += *segment == '/';
    }
    return RC_OK;
}

/* ROOT/SCHEME/BUCKET/KEY of SCHEME://BUCKET/KEY. */
static char *path_of(const struct core_staged *staged, const char *name)
{
    const char *rest = strstr(staged->location, "://");

    return rc_strf("%s/%.*s/%s%s", staged->root, (int)(rest - staged->location), staged->location,
                   rest + strlen("://"), name);
}

static enum rc_code add_file(struct core_staged *staged, const char *name,
                             const struct rc_stat *stat, struct rc_error *err)
{
    RC_STR_AUTO uri = rc_strf("%s%s", staged->location, name);
    struct staged_file *file;

    if (check_key(uri, err))
        return err->code;
    staged->files = grow(staged->files, staged->count, sizeof(*staged->files));
    file = &staged->files[staged->count++];
    *file = (struct staged_file){ .name = rc_strdup(name),
                                  .path = path_of(staged, name),
                                  .size_bytes = stat->size_bytes };
    memcpy(file->etag, stat->etag, sizeof(file->etag));
    return RC_OK;
}

struct taking {
    struct core_staged *staged;
    bool (*wants)(const char *name);
};

static enum rc_code take_file(void *context, const struct rc_object *object, struct rc_error *err)
{
    struct taking *taking = context;
    size_t len = strlen(object->name);

    /* A name that ends with a slash is no data: people's tools make such objects for folders. */
    if (len == 0 || object->name[len - 1] == '/' || (taking->wants && !taking->wants(object->name)))
        return RC_OK;
    return add_file(taking->staged, object->name, &object->stat, err);
}

static enum rc_code look(struct core_staging *staging, struct core_staged *staged,
                         bool (*wants)(const char *name), struct rc_error *err)
{
    struct taking taking = { .staged = staged, .wants = wants };
    struct rc_stat stat;
    enum rc_code code;

    if (rc_str_ends(staged->location, "/"))
        return each_object(staging->storage, staged->location, take_file, &taking, err);
    code = core_storage_stat(staging->storage, staged->location, &stat, err);
    if (code == RC_OK)
        return add_file(staged, "", &stat, err);
    return code == RC_NOT_FOUND ? RC_OK : code;
}

/* ---- what is here already ------------------------------------------------------------------- */

static int compare_names(const void *name, const void *file)
{
    return strcmp(name, ((const struct staged_file *)file)->name);
}

/* A copy of the same object with the same content, but in 'except'; or NULL. */
static const struct staged_file *find_equal(const struct core_staging *staging,
                                            const struct core_staged *except, const char *uri,
                                            const struct staged_file *wanted)
{
    for (const struct core_staged *staged = staging->staged; staged; staged = staged->next) {
        const struct staged_file *file = NULL;

        if (staged != except && staged->count > 0 && rc_str_starts(uri, staged->location))
            file = bsearch(uri + strlen(staged->location), staged->files, staged->count,
                           sizeof(*staged->files), compare_names);
        if (file && file->is_here && file->size_bytes == wanted->size_bytes && wanted->etag[0] &&
            strcmp(file->etag, wanted->etag) == 0)
            return file;
    }
    return NULL;
}

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

/* Removes the copies, of which others may still be further names. */
static void drop(struct core_staging *staging, struct core_staged *staged)
{
    take_out(staging, staged);
    for (size_t i = 0; i < staged->count; i++) {
        const struct staged_file *file = &staged->files[i];
        RC_STR_AUTO uri = rc_strf("%s%s", staged->location, file->name);

        if (file->is_here && !find_equal(staging, NULL, uri, file))
            staging->used_bytes -= file->size_bytes;
    }
    core_staging_discard(staging, staged->root);
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

/* An older state of a location is of no use once there is a newer one. */
static void drop_older(struct core_staging *staging, const struct core_staged *newer)
{
    for (struct core_staged *staged = staging->staged, *next; staged; staged = next) {
        next = staged->next;
        if (staged->unused && rc_str_eq(staged->location, newer->location))
            drop(staging, staged);
    }
}

static enum rc_code link_file(const char *from, const char *to, struct rc_error *err)
{
    RC_STR_AUTO parent = core_path_directory(to);

    if (core_dir_make(parent, FOLDER_MODE, err))
        return err->code;
    if (link(from, to) != 0)
        return rc_fail_errno(err, errno, "give '%s' a further name", from);
    return RC_OK;
}

/* Finds the copies that are here, and how much is still to be fetched. */
static enum rc_code link_equals(struct core_staging *staging, struct core_staged *staged,
                                int64_t *missing_bytes, struct rc_error *err)
{
    *missing_bytes = 0;
    for (size_t i = 0; i < staged->count; i++) {
        struct staged_file *file = &staged->files[i];
        RC_STR_AUTO uri = rc_strf("%s%s", staged->location, file->name);
        const struct staged_file *equal = find_equal(staging, staged, uri, file);

        if (equal && link_file(equal->path, file->path, err))
            return err->code;
        file->is_here = equal != NULL;
        if (!equal)
            *missing_bytes += file->size_bytes;
    }
    return RC_OK;
}

/* ---- fetching ------------------------------------------------------------------------------- */

static bool has_room(const struct core_staging *staging, int64_t missing_bytes)
{
    return staging->limit_bytes <= 0 || missing_bytes <= staging->limit_bytes - staging->used_bytes;
}

static int64_t free_bytes_of(const struct core_staging *staging)
{
    struct statvfs disk;

    if (statvfs(staging->dir, &disk) != 0)
        return INT64_MAX; /* then it is found when it is written */
    return (int64_t)disk.f_bavail * (int64_t)disk.f_frsize;
}

static enum rc_code make_room(struct core_staging *staging, const char *location,
                              int64_t missing_bytes, struct rc_error *err)
{
    char needed[RC_AMOUNT_TEXT], limit[RC_AMOUNT_TEXT], used[RC_AMOUNT_TEXT];

    while (!has_room(staging, missing_bytes) || missing_bytes > free_bytes_of(staging))
        if (!drop_unused(staging))
            break;
    rc_format_size(missing_bytes, needed);
    if (!has_room(staging, missing_bytes))
        return rc_fail(err, RC_TOO_LARGE,
                       "to read '%s', %s have to be copied to this machine; %s of %s are in use "
                       "for such copies: raise %s, or read less at a time",
                       location, needed, rc_format_size(staging->used_bytes, used),
                       rc_format_size(staging->limit_bytes, limit), staging->limit_name);
    if (missing_bytes <= free_bytes_of(staging))
        return RC_OK;
    return rc_fail(err, RC_TOO_LARGE,
                   "to read '%s', %s have to be copied to this machine; the disk of '%s' has only "
                   "%s left: set staging_dir of the engine to a place with more room",
                   location, needed, staging->dir, rc_format_size(free_bytes_of(staging), limit));
}

struct fetching {
    const struct core_staged *staged;
    size_t next;
};

static void next_missing(void *context, struct staging_item *item, bool *more)
{
    struct fetching *fetching = context;
    const struct core_staged *staged = fetching->staged;
    const struct staged_file *file;

    while (fetching->next < staged->count && staged->files[fetching->next].is_here)
        fetching->next++;
    *more = fetching->next < staged->count;
    if (!*more)
        return;
    file = &staged->files[fetching->next++];
    *item = (struct staging_item){
        .source = rc_strf("%s%s", staged->location, file->name),
        .target = rc_strf("file://%s", file->path),
        .size_bytes = file->size_bytes,
        .etag = file->etag[0] ? file->etag : NULL,
    };
}

/* *changed: an object that was listed is another now, or gone. */
static enum rc_code fetch_once(struct core_staging *staging, struct core_staged *staged,
                               bool (*wants)(const char *name), bool *changed, struct rc_error *err)
{
    struct fetching fetching = { .staged = staged };
    int64_t missing_bytes;
    enum rc_code code;

    *changed = false;
    if (look(staging, staged, wants, err) || link_equals(staging, staged, &missing_bytes, err) ||
        make_room(staging, staged->location, missing_bytes, err))
        return err->code;
    if (missing_bytes == 0 && staged->count == 0)
        return RC_OK;
    code = core_staging_transfer(staging, missing_bytes, next_missing, &fetching, err);
    *changed = code == RC_CONFLICT || code == RC_NOT_FOUND;
    if (code)
        return code;
    staging->used_bytes += missing_bytes;
    for (size_t i = 0; i < staged->count; i++)
        staged->files[i].is_here = true;
    return RC_OK;
}

enum rc_code core_staging_fetch(struct core_staging *staging, const char *location,
                                bool (*wants)(const char *name), struct core_staged **out,
                                struct rc_error *err)
{
    enum rc_code code = RC_OK;
    bool changed = true;

    if (!rc_uri_has_scheme(location))
        return rc_fail(err, RC_INVALID, "'%s' is not a URI", location);
    for (int attempt = 0; attempt < ATTEMPTS && changed; attempt++) {
        struct core_staged *staged = rc_calloc(1, sizeof(*staged));

        staged->location = rc_strdup(location);
        staged->root = rc_strf("%s/%u", staging->dir, ++staging->numbers);
        put_first(staging, staged);
        code = fetch_once(staging, staged, wants, &changed, err);
        if (code == RC_OK) {
            drop_older(staging, staged);
            *out = staged;
            return RC_OK;
        }
        drop(staging, staged);
    }
    return rc_context(err, "copy '%s' to this machine", location);
}

const char *core_staged_path(const struct core_staged *staged, size_t index)
{
    return index < staged->count ? staged->files[index].path : NULL;
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
