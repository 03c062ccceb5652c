/*
 * Publishes to an object store what an engine has written to files. A folder cannot be replaced in
 * one step there, so that new objects never have the names of old ones: a reader of an old one
 * reads it to its end, and after a failure the old set is whole.
 */
#include <storage/staging_internal.h>

#include <os/digest.h>
#include <os/path.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CHUNK_BYTES = 256 * 1024, NAME_DIGEST_BYTES = 10 };

struct names {
    char **items; /* behind a prefix, in the order of bytes */
    int64_t *sizes;
    size_t count;
};

struct publishing {
    struct core_staging *staging;
    const char *path, *location;
    struct names files;  /* what was written */
    struct names before; /* what is at the location */
    char **names;        /* of the files, there */
    int64_t bytes;
    size_t next;
};

/* ---- names ---------------------------------------------------------------------------------- */

static void add_name(struct names *names, const struct rc_object *object)
{
    /* Grown by doubling, where the count is a power of two. */
    if ((names->count & (names->count - 1)) == 0) {
        size_t room = names->count ? 2 * names->count : 1;

        names->items = rc_realloc(names->items, room * sizeof(*names->items));
        names->sizes = rc_realloc(names->sizes, room * sizeof(*names->sizes));
    }
    names->items[names->count] = rc_strdup(object->name);
    names->sizes[names->count++] = object->stat.size_bytes;
}

static void names_clear(struct names *names)
{
    for (size_t i = 0; i < names->count; i++)
        free(names->items[i]);
    free(names->items);
    free(names->sizes);
}

/* All objects that begin with the prefix. */
static enum rc_code list(struct core_storage *storage, const char *prefix, struct names *out,
                         struct rc_error *err)
{
    const struct rc_object *object = NULL;
    struct rc_listing *listing;
    enum rc_code code = core_storage_list(storage, prefix, NULL, &listing, err);

    if (code)
        return code;
    while ((code = core_listing_next(listing, &object, err)) == RC_OK && object)
        add_name(out, object);
    core_listing_close(listing);
    return code;
}

static enum rc_code digest_file(const char *path, unsigned char out[CORE_DIGEST_BYTES],
                                struct rc_error *err)
{
    RC_CLEANUP(core_fd_close) int fd = core_fd_open(path, O_RDONLY, 0);
    RC_STR_AUTO chunk = rc_malloc(CHUNK_BYTES);
    struct core_running_digest *digest;
    ssize_t len;

    if (fd < 0)
        return rc_fail_errno(err, errno, "open '%s'", path);
    digest = core_running_digest_new(CORE_SHA256);
    do {
        len = read(fd, chunk, CHUNK_BYTES);
        if (len > 0)
            core_running_digest_add(digest, chunk, (size_t)len);
    } while (len > 0 || (len < 0 && errno == EINTR));
    if (len < 0)
        (void)rc_fail_errno(err, errno, "read '%s'", path);
    core_running_digest_end(digest, out);
    core_running_digest_free(digest);
    return len < 0 ? err->code : RC_OK;
}

/*
 * "p=1/data_0-DIGEST.parquet" for "p=1/data_0.parquet": of another content it has another name, of
 * the same the same, so that what is written again is recognised.
 */
static enum rc_code name_file(const struct publishing *work, const char *name, char **out,
                              struct rc_error *err)
{
    RC_STR_AUTO path = rc_strf("%s/%s", work->path, name);
    const char *slash = strrchr(name, '/');
    size_t stem = slash ? (size_t)(slash - name) + 1 : 0;
    unsigned char digest[CORE_DIGEST_BYTES];
    RC_BUF_AUTO(hex, CORE_DIGEST_HEX);

    if (digest_file(path, digest, err))
        return err->code;
    core_add_hex(&hex, digest, NAME_DIGEST_BYTES);
    stem += strcspn(name + stem, ".");
    *out = rc_strf("%.*s-%s%s", (int)stem, name, hex.data, name + stem);
    return RC_OK;
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Its place among 'count' sorted texts; -1: it is not there. */
static ssize_t find(char *const *texts, size_t count, const char *text)
{
    char *const *found = count ? bsearch(&text, texts, count, sizeof(*texts), compare_texts) : NULL;

    return found ? found - texts : -1;
}

/* ---- uploading ------------------------------------------------------------------------------ */

/* The same name means the same content, once it has the same size. */
static bool is_there(const struct publishing *work, size_t index)
{
    ssize_t at = find(work->before.items, work->before.count, work->names[index]);

    return at >= 0 && work->before.sizes[at] == work->files.sizes[index];
}

static void next_upload(void *context, struct staging_item *item, bool *more)
{
    struct publishing *work = context;

    while (work->next < work->files.count && is_there(work, work->next))
        work->next++;
    *more = work->next < work->files.count;
    if (!*more)
        return;
    *item = (struct staging_item){
        .source = rc_strf("file://%s/%s", work->path, work->files.items[work->next]),
        .target = rc_strf("%s%s", work->location, work->names[work->next]),
        .size_bytes = work->files.sizes[work->next],
    };
    work->next++;
}

static enum rc_code upload(struct publishing *work,
                           void (*next)(void *context, struct staging_item *item, bool *more),
                           struct rc_error *err)
{
    const struct staging_transfer files = {
        .staging = work->staging,
        .storage = &work->staging->storage,
        .total_bytes = work->bytes,
        .next = next,
        .context = work,
    };

    return core_staging_transfer(&files, err);
}

/*
 * Removes the objects at the location that are in the one list and not in the other. A run that is
 * to stop does that too: it is the end of what has been begun, or takes it back.
 */
static enum rc_code remove_others(const struct publishing *work, char *const *names, size_t count,
                                  char *const *kept, size_t kept_count, struct rc_error *err)
{
    struct core_storage storage = work->staging->storage;
    char **uris = rc_calloc(count + 1, sizeof(*uris));
    size_t found = 0;
    enum rc_code code = RC_OK;

    storage.cancel = NULL;
    for (size_t i = 0; i < count; i++)
        if (find(kept, kept_count, names[i]) < 0)
            uris[found++] = rc_strf("%s%s", work->location, names[i]);
    if (found > 0)
        code = core_storage_remove(&storage, (const char *const *)uris, found, err);
    for (size_t i = 0; i < found; i++)
        free(uris[i]);
    free(uris);
    return code;
}

static void take_back(const struct publishing *work)
{
    struct rc_error ignored = RC_ERROR_INIT;

    if (remove_others(work, work->names, work->files.count, work->before.items, work->before.count,
                      &ignored))
        ignored.code = RC_OK; /* the next write removes them */
}

static enum rc_code publish_names(struct publishing *work, struct rc_error *err)
{
    enum rc_code code = upload(work, next_upload, err);

    if (code) {
        take_back(work);
        return code;
    }
    qsort(work->names, work->files.count, sizeof(*work->names), compare_texts);
    if (remove_others(work, work->before.items, work->before.count, work->names, work->files.count,
                      err))
        return rc_context(err, "the new objects are there; remove the old ones (the next write "
                               "does it, and until then readers find both)");
    return RC_OK;
}

static enum rc_code publish_folder(struct publishing *work, struct rc_error *err)
{
    RC_STR_AUTO prefix = rc_strf("file://%s/", work->path);
    struct core_storage *storage = &work->staging->storage;

    if (core_digest_load(err) || list(storage, prefix, &work->files, err) ||
        list(storage, work->location, &work->before, err))
        return err->code;
    work->names = rc_calloc(work->files.count + 1, sizeof(*work->names));
    for (size_t i = 0; i < work->files.count; i++) {
        if (core_cancel_check(storage->cancel, err) ||
            name_file(work, work->files.items[i], &work->names[i], err))
            return err->code;
        work->bytes += work->files.sizes[i];
    }
    return publish_names(work, err);
}

/* ---- a single object ------------------------------------------------------------------------ */

static void next_single(void *context, struct staging_item *item, bool *more)
{
    struct publishing *work = context;

    *more = work->next++ == 0;
    if (*more)
        *item = (struct staging_item){
            .source = rc_strf("file://%s", work->path),
            .target = rc_strdup(work->location),
            .size_bytes = work->bytes,
        };
}

static enum rc_code publish_file(struct publishing *work, struct rc_error *err)
{
    struct stat info;

    if (stat(work->path, &info) != 0)
        return rc_fail_errno(err, errno, "look at '%s'", work->path);
    work->bytes = info.st_size;
    return upload(work, next_single, err);
}

enum rc_code core_staging_publish(struct core_staging *staging, const char *path,
                                  const char *location, struct rc_error *err)
{
    struct publishing work = { .staging = staging, .path = path, .location = location };
    enum rc_code code;

    code = rc_str_ends(location, "/") ? publish_folder(&work, err) : publish_file(&work, err);
    for (size_t i = 0; work.names && i < work.files.count; i++)
        free(work.names[i]);
    free(work.names);
    names_clear(&work.files);
    names_clear(&work.before);
    return code ? rc_context(err, "publish '%s'", location) : RC_OK;
}
