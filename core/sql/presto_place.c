/*
 * Putting files in place that a server has written into the session's folder. On this machine a
 * folder is replaced in one step; in an object store the new objects are put beside the old ones,
 * under names of their own, before those are removed.
 */
#include <sql/format.h>
#include <sql/presto.h>

#include <os/file.h>
#include <os/path.h>
#include <storage/transfer.h>

#include <run-core/str.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK_BYTES = 256 * 1024 };

/* ---- the files of a folder ------------------------------------------------------------------ */

static void add_file(struct core_presto_files *files, const struct rc_object *object)
{
    /* Grown by doubling, where the count is a power of two. */
    if ((files->count & (files->count - 1)) == 0)
        files->items =
            rc_realloc(files->items, (files->count ? 2 * files->count : 1) * sizeof(*files->items));
    files->items[files->count++] = (struct core_presto_file){
        .source = rc_strdup(object->name),
        .size_bytes = object->stat.size_bytes,
    };
}

static enum rc_code list(struct core_storage *storage, const char *folder,
                         bool (*wants)(const char *name), struct core_presto_files *out,
                         struct rc_error *err)
{
    const struct rc_object *object = NULL;
    struct rc_listing *listing = NULL;
    enum rc_code code = core_storage_list(storage, folder, NULL, &listing, err);

    if (code)
        return code;
    while (!(code = core_listing_next(listing, &object, err)) && object)
        if (!wants || wants(object->name))
            add_file(out, object);
    core_listing_close(listing);
    return code;
}

static int compare_files(const void *a, const void *b)
{
    return strcmp(((const struct core_presto_file *)a)->source,
                  ((const struct core_presto_file *)b)->source);
}

enum rc_code core_presto_list_files(struct core_presto *session, const char *folder,
                                    struct core_presto_files *out, struct rc_error *err)
{
    enum rc_code code = list(&session->storage, folder, core_format_is_data, out, err);

    if (out->count > 0)
        qsort(out->items, out->count, sizeof(*out->items), compare_files);
    return code ? rc_context(err, "list '%s'", folder) : RC_OK;
}

struct core_presto_file *core_presto_find_file(const struct core_presto_files *files,
                                               const char *source)
{
    RC_STR_AUTO name = rc_strdup(source);
    const struct core_presto_file wanted = { .source = name };

    return files->count
               ? bsearch(&wanted, files->items, files->count, sizeof(wanted), compare_files)
               : NULL;
}

void core_presto_files_clear(struct core_presto_files *files)
{
    for (size_t i = 0; i < files->count; i++) {
        free(files->items[i].source);
        free(files->items[i].target);
    }
    free(files->items);
    *files = (struct core_presto_files){ .count = 0 };
}

/* ---- a folder of this machine --------------------------------------------------------------- */

static void close_reader(struct rc_reader **reader)
{
    if (*reader)
        core_reader_close(*reader);
}

/* No object of the storage's, which knows nothing of folders that are not finished. */
static enum rc_code fetch_file(struct core_presto *session, const char *source, const char *path,
                               struct rc_error *err)
{
    RC_CLEANUP(close_reader) struct rc_reader *reader = NULL;
    RC_CLEANUP(core_fd_close) int fd = -1;
    RC_STR_AUTO parent = core_path_directory(path);
    RC_STR_AUTO chunk = rc_malloc(CHUNK_BYTES);
    size_t len;
    int failed;

    if (core_dir_make(parent, 0777, err) ||
        core_storage_open(&session->storage, source, 0, -1, &reader, err))
        return err->code;
    fd = core_fd_open(path, O_WRONLY | O_CREAT | O_EXCL, 0666);
    if (fd < 0)
        return rc_fail_errno(err, errno, "make '%s'", path);
    do {
        if (core_presto_check(session, err) ||
            core_reader_read(reader, chunk, CHUNK_BYTES, &len, err))
            return err->code;
        failed = core_fd_write(fd, chunk, len);
        if (failed)
            return rc_fail_errno(err, failed, "write '%s'", path);
    } while (len > 0);
    return RC_OK;
}

static enum rc_code fetch_files(struct core_presto *session, const char *folder,
                                const struct core_presto_files *files, const char *path,
                                struct rc_error *err)
{
    for (size_t i = 0; i < files->count; i++) {
        const struct core_presto_file *file = &files->items[i];
        RC_STR_AUTO source = rc_strf("%s%s", folder, file->source);
        RC_STR_AUTO target = rc_strf("%s/%s", path, file->target ? file->target : "");

        if (file->target && fetch_file(session, source, target, err))
            return rc_context(err, "copy '%s' to '%s'", source, target);
    }
    return RC_OK;
}

static enum rc_code place_here(struct core_presto *session, const char *folder,
                               const struct core_presto_files *files, const char *path,
                               struct rc_error *err)
{
    struct core_temp_dir dir = CORE_TEMP_DIR_INIT;
    RC_STR_AUTO parent = core_path_directory(path);
    enum rc_code code = core_dir_make(parent, 0777, err);

    if (!code)
        code = core_temp_dir_open(&dir, path, 0777, err);
    if (!code)
        code = fetch_files(session, folder, files, dir.path, err);
    if (!code)
        code = core_temp_dir_publish(&dir, err);
    core_temp_dir_close(&dir);
    return code;
}

/* ---- a folder of an object store ------------------------------------------------------------ */

struct copying {
    const char *folder, *location;
    const struct core_presto_files *files;
    size_t at;
    char *source, *target; /* of the item that was given last */
};

static enum rc_code next_copy(void *context, struct rc_transfer_item *item, bool *more,
                              struct rc_error *err)
{
    struct copying *work = context;

    (void)err;
    rc_str_free(&work->source);
    rc_str_free(&work->target);
    while (work->at < work->files->count && !work->files->items[work->at].target)
        work->at++;
    *more = work->at < work->files->count;
    if (*more) {
        const struct core_presto_file *file = &work->files->items[work->at++];

        work->source = rc_strf("%s%s", work->folder, file->source);
        work->target = rc_strf("%s%s", work->location, file->target);
        *item = (struct rc_transfer_item){
            .source = work->source,
            .target = work->target,
            .size_bytes = file->size_bytes,
        };
    }
    return RC_OK;
}

static enum rc_code copy_files(struct core_presto *session, const char *folder,
                               const struct core_presto_files *files, const char *location,
                               struct rc_error *err)
{
    struct copying work = { .folder = folder, .location = location, .files = files };
    const struct rc_transfer request = {
        .struct_bytes = sizeof(request),
        .next = next_copy,
        .context = &work,
    };
    struct rc_transferred done;
    enum rc_code code = core_transfer_run(&session->storage, &request, &done, err);

    free(work.source);
    free(work.target);
    return code;
}

/* What has been begun is brought to its end, or taken back, though the run is to stop. */
static enum rc_code remove_all(struct core_presto *session, const char *location,
                               const struct core_presto_files *files, bool targets,
                               struct rc_error *err)
{
    char **uris = rc_calloc(files->count + 1, sizeof(*uris));
    struct core_presto_tidying before;
    enum rc_code code = RC_OK;
    size_t count = 0;

    for (size_t i = 0; i < files->count; i++) {
        const char *name = targets ? files->items[i].target : files->items[i].source;

        if (name)
            uris[count++] = rc_strf("%s%s", location, name);
    }
    core_presto_tidy(session, &before);
    if (count > 0)
        code = core_storage_remove(&session->storage, (const char *const *)uris, count, err);
    core_presto_tidied(session, &before);
    for (size_t i = 0; i < count; i++)
        free(uris[i]);
    free(uris);
    return code;
}

static enum rc_code replace(struct core_presto *session, const char *folder,
                            const struct core_presto_files *files,
                            const struct core_presto_files *before, const char *location,
                            struct rc_error *err)
{
    struct rc_error ignored = RC_ERROR_INIT;

    if (copy_files(session, folder, files, location, err)) {
        if (remove_all(session, location, files, /* targets = */ true, &ignored))
            ignored.code = RC_OK; /* the next write removes them */
        return err->code;
    }
    if (remove_all(session, location, before, /* targets = */ false, err))
        return rc_context(err, "the new objects are there; remove the old ones (the next write "
                               "does it, and until then readers find both)");
    return RC_OK;
}

static enum rc_code place_there(struct core_presto *session, const char *folder,
                                const struct core_presto_files *files, const char *location,
                                struct rc_error *err)
{
    struct core_presto_files before = { .count = 0 };
    enum rc_code code = list(&session->storage, location, /* wants = */ NULL, &before, err);

    if (!code)
        code = replace(session, folder, files, &before, location, err);
    core_presto_files_clear(&before);
    return code;
}

enum rc_code core_presto_place(struct core_presto *session, const char *folder,
                               const struct core_presto_files *files, const char *location,
                               struct rc_error *err)
{
    RC_BUF_AUTO(path, 64 * 1024);
    enum rc_code code = core_storage_local_path(&session->storage, location, &path, err);

    if (code && code != RC_UNSUPPORTED)
        return code;
    while (!code && path.len > 1 && path.data[path.len - 1] == '/')
        rc_buf_truncate(&path, path.len - 1);
    code = code ? place_there(session, folder, files, location, err)
                : place_here(session, folder, files, path.data, err);
    return code ? rc_context(err, "put the files in place") : RC_OK;
}
