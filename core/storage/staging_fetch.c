/*
 * The fetch: has all locations listed, finds what of them is here already and whether the rest
 * fits, and has the rest copied in one transfer. What came before something was replaced under way
 * is kept, so that the next attempt only needs what has changed.
 */
#include <storage/staging_internal.h>

#include <os/path.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ATTEMPTS = 4 };

struct fetching {
    struct core_staging *staging;
    const char *const *locations;
    struct core_staged **staged; /* of each location */
    size_t count;
    int64_t missing_bytes;

    /* What is fed to the transfer next, and the last directory that was made for it. */
    size_t at, file;
    char *folder;
};

/* ---- what is here already ------------------------------------------------------------------- */

static enum rc_code link_file(const struct staged_file *from, struct staged_file *to,
                              struct rc_error *err)
{
    RC_STR_AUTO folder = core_path_directory(to->path);

    if (core_staging_folder_make(folder, err))
        return err->code;
    if (link(from->path, to->path) != 0)
        return rc_fail_errno(err, errno, "give '%s' a further name", from->path);
    to->state = STAGED_HERE;
    return RC_OK;
}

/* Links what is here; what else is there comes, once if several locations have it. */
static enum rc_code plan(struct fetching *work, struct core_staged *staged, struct rc_error *err)
{
    for (size_t i = 0; i < staged->count; i++) {
        struct staged_file *file = staged->files[i];
        const struct staged_file *here = core_staging_find(work->staging, file, STAGED_HERE);

        if (here && link_file(here, file, err))
            return err->code;
        if (here || core_staging_find(work->staging, file, STAGED_COMING))
            continue;
        file->state = STAGED_COMING;
        work->missing_bytes += file->size_bytes;
    }
    return RC_OK;
}

static enum rc_code make_room(const struct fetching *work, struct rc_error *err)
{
    enum staging_room room = core_staging_make_room(work->staging, work->missing_bytes);
    RC_BUF_AUTO(purpose, 4096);
    char missing[RC_AMOUNT_TEXT];

    if (room == STAGING_ENOUGH)
        return RC_OK;
    rc_buf_addf(&purpose, "to read '%s'", work->locations[0]);
    if (work->count > 1)
        rc_buf_addf(&purpose, " and %zu other location%s", work->count - 1,
                    work->count > 2 ? "s" : "");
    rc_buf_addf(&purpose, ", %s have to be copied to this machine",
                rc_format_size(work->missing_bytes, missing));
    return core_staging_no_room(work->staging, room, purpose.data, err);
}

/* ---- the transfer --------------------------------------------------------------------------- */

/*
 * The directory is made here, as the file backend would flush each. One that cannot be made is the
 * backend's to tell.
 */
static void make_folder(struct fetching *work, const char *path)
{
    struct rc_error ignored = RC_ERROR_INIT;
    RC_STR_AUTO folder = core_path_directory(path);

    if (rc_str_eq(folder, work->folder))
        return;
    if (core_staging_folder_make(folder, &ignored))
        ignored.code = RC_OK;
    free(work->folder);
    work->folder = folder;
    folder = NULL;
}

static struct staged_file *next_coming(struct fetching *work)
{
    for (; work->at < work->count; work->at++, work->file = 0) {
        const struct core_staged *staged = work->staged[work->at];

        while (work->file < staged->count)
            if (staged->files[work->file++]->state == STAGED_COMING)
                return staged->files[work->file - 1];
    }
    return NULL;
}

static void next_missing(void *context, struct staging_item *item, bool *more)
{
    struct fetching *work = context;
    const struct staged_file *file = next_coming(work);

    *more = file != NULL;
    if (!file)
        return;
    make_folder(work, file->path);
    *item = (struct staging_item){
        .source = rc_strdup(file->uri),
        .target = rc_strf("file://%s", file->path),
        .size_bytes = file->size_bytes,
        .etag = file->etag[0] ? file->etag : NULL,
    };
}

static void note_copied(void *context, const struct rc_transfer_item *item)
{
    struct fetching *work = context;
    struct staged_file *file =
        core_staging_find_path(work->staging, item->source, item->target + strlen("file://"));

    file->state = STAGED_HERE;
    work->staging->used_bytes += file->size_bytes;
}

static enum rc_code transfer(struct fetching *work, struct rc_error *err)
{
    struct core_storage storage = work->staging->storage;
    const struct staging_transfer missing = {
        .staging = work->staging,
        .storage = &storage,
        .total_bytes = work->missing_bytes,
        .next = next_missing,
        .copied = note_copied,
        .context = work,
    };
    enum rc_code code;

    storage.is_temporary = true;
    code = core_staging_transfer(&missing, err);
    rc_str_free(&work->folder);
    return code;
}

/* What several locations have was fetched for one of them. */
static enum rc_code link_others(struct fetching *work, struct core_staged *staged,
                                struct rc_error *err)
{
    for (size_t i = 0; i < staged->count; i++) {
        struct staged_file *file = staged->files[i];
        const struct staged_file *here;

        if (file->state == STAGED_HERE)
            continue;
        here = core_staging_find(work->staging, file, STAGED_HERE);
        RC_ASSERT(here);
        if (link_file(here, file, err))
            return err->code;
    }
    return RC_OK;
}

/* *changed: an object that was listed is another now, or gone. */
static enum rc_code fetch_once(struct fetching *work, bool (*wants)(const char *name),
                               bool *changed, struct rc_error *err)
{
    enum rc_code code;

    *changed = false;
    work->missing_bytes = 0;
    work->at = work->file = 0;
    if (core_staging_look(work->staging, work->staged, work->count, wants, err))
        return err->code;
    for (size_t i = 0; i < work->count; i++)
        if (plan(work, work->staged[i], err))
            return err->code;
    if (make_room(work, err))
        return err->code;
    code = transfer(work, err);
    *changed = code == RC_CONFLICT || code == RC_NOT_FOUND;
    for (size_t i = 0; !code && i < work->count; i++)
        code = link_others(work, work->staged[i], err);
    return code;
}

/* What has come is kept while there is room. */
static void give_up(struct core_staging *staging, struct core_staged *staged)
{
    for (size_t i = 0; i < staged->count; i++)
        if (staged->files[i]->state == STAGED_COMING)
            staged->files[i]->state = STAGED_LISTED;
    core_staged_release(staging, staged);
}

static enum rc_code check_locations(const char *const *locations, size_t count,
                                    struct rc_error *err)
{
    for (size_t i = 0; i < count; i++)
        if (!rc_uri_has_scheme(locations[i]))
            return rc_fail(err, RC_INVALID, "'%s' is not a URI", locations[i]);
    return RC_OK;
}

enum rc_code core_staging_fetch(struct core_staging *staging, const char *const *locations,
                                size_t count, bool (*wants)(const char *name),
                                struct core_staged **out, struct rc_error *err)
{
    struct fetching work = {
        .staging = staging, .locations = locations, .staged = out, .count = count
    };
    enum rc_code code = check_locations(locations, count, err);
    bool changed = true;

    if (code || count == 0)
        return code;
    for (int attempt = 0; attempt < ATTEMPTS && changed; attempt++) {
        for (size_t i = 0; i < count; i++)
            out[i] = core_staged_new(staging, locations[i]);
        code = fetch_once(&work, wants, &changed, err);
        for (size_t i = 0; i < count; i++) {
            if (code)
                give_up(staging, out[i]);
            else
                core_staged_replace(staging, out[i]);
        }
        if (code == RC_OK)
            return RC_OK;
    }
    return rc_context(err, "copy '%s'%s to this machine", locations[0],
                      count > 1 ? " and others" : "");
}
