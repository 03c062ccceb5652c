/*
 * The service 'storage' of the host.
 */
#include <runtime/host.h>

#include <storage/backend.h>

#include <run-core/str.h>

#include <stdlib.h>

static struct core_storage *storage_of(struct rc_job *job)
{
    return core_job_of(job)->storage;
}

static enum rc_code opened(enum rc_code code)
{
    if (code == RC_OK)
        core_host_opened();
    return code;
}

static enum rc_code storage_list(struct rc_job *job, const char *prefix,
                                 const struct rc_list_options *options, struct rc_listing **out,
                                 struct rc_error *err)
{
    return opened(core_storage_list(storage_of(job), prefix, options, out, err));
}

static void storage_list_close(struct rc_listing *listing)
{
    core_listing_close(listing);
    core_host_closed();
}

static enum rc_code storage_versions(struct rc_job *job, const char *prefix,
                                     struct rc_listing **out, struct rc_error *err)
{
    return opened(core_storage_versions(storage_of(job), prefix, out, err));
}

static enum rc_code storage_stat(struct rc_job *job, const char *uri, struct rc_stat *out,
                                 struct rc_error *err)
{
    return core_storage_stat(storage_of(job), uri, out, err);
}

static enum rc_code storage_get(struct rc_job *job, const char *uri, struct rc_buf *body,
                                struct rc_error *err)
{
    return core_storage_get(storage_of(job), uri, body, err);
}

static enum rc_code storage_open(struct rc_job *job, const char *uri, int64_t offset_bytes,
                                 int64_t len_bytes, struct rc_reader **out, struct rc_error *err)
{
    return opened(core_storage_open(storage_of(job), uri, offset_bytes, len_bytes, out, err));
}

static enum rc_code storage_open_with(struct rc_job *job, const char *uri,
                                      const struct rc_get_options *given, struct rc_reader **out,
                                      struct rc_error *err)
{
    struct rc_get_options options;

    *out = NULL;
    if (core_host_take(&options, sizeof(options), given, err))
        return err->code;
    const struct core_range range = {
        .offset_bytes = options.offset_bytes,
        .len_bytes = options.len_bytes,
        .if_match = options.if_match,
    };
    return opened(core_storage_open_with(storage_of(job), uri, options.version, &range, out, err));
}

static void storage_read_close(struct rc_reader *reader)
{
    core_reader_close(reader);
    core_host_closed();
}

static enum rc_code storage_put(struct rc_job *job, const char *uri, const void *data, size_t len,
                                const char *if_match, struct rc_error *err)
{
    if (job->dry_run)
        return core_host_would(core_job_of(job), err, "write %zu bytes to '%s'", len, uri);
    return core_storage_put(storage_of(job), uri, data, len, if_match, err);
}

/* ---- a writer that only counts, for the dry run ------------------------------------------- */

struct dry_writer {
    struct rc_writer writer;
    struct core_job *job;
    char *uri;
    int64_t bytes;
};

static enum rc_code dry_write(struct rc_writer *writer, const void *data, size_t len,
                              struct rc_error *err)
{
    struct dry_writer *dry = (struct dry_writer *)writer;

    (void)data;
    dry->bytes += (int64_t)len;
    return core_cancel_check(dry->job->cancel, err);
}

static enum rc_code dry_commit(struct rc_writer *writer, struct rc_error *err)
{
    struct dry_writer *dry = (struct dry_writer *)writer;

    return core_host_would(dry->job, err, "write %lld bytes to '%s'", (long long)dry->bytes,
                           dry->uri);
}

static void dry_close(struct rc_writer *writer)
{
    struct dry_writer *dry = (struct dry_writer *)writer;

    free(dry->uri);
    free(dry);
}

static const struct core_writer_ops dry_writer_ops = { .write = dry_write,
                                                       .commit = dry_commit,
                                                       .close = dry_close };

static struct rc_writer *dry_writer_new(struct core_job *job, const char *uri)
{
    struct dry_writer *dry = rc_calloc(1, sizeof(*dry));

    *dry = (struct dry_writer){ .writer = { .ops = &dry_writer_ops },
                                .job = job,
                                .uri = rc_strdup(uri) };
    return &dry->writer;
}

static enum rc_code storage_create(struct rc_job *job, const char *uri, const char *if_match,
                                   struct rc_writer **out, struct rc_error *err)
{
    if (job->dry_run) {
        *out = dry_writer_new(core_job_of(job), uri);
        return opened(RC_OK);
    }
    return opened(core_storage_create(storage_of(job), uri, if_match, out, err));
}

static enum rc_code storage_create_with(struct rc_job *job, const char *uri,
                                        const struct rc_put_options *given, struct rc_writer **out,
                                        struct rc_error *err)
{
    struct rc_put_options options;

    *out = NULL;
    if (core_host_take(&options, sizeof(options), given, err))
        return err->code;
    if (job->dry_run) {
        *out = dry_writer_new(core_job_of(job), uri);
        return opened(RC_OK);
    }
    return opened(core_storage_create_with(storage_of(job), uri, &options, out, err));
}

static void storage_write_close(struct rc_writer *writer)
{
    core_writer_close(writer);
    core_host_closed();
}

static enum rc_code storage_copy(struct rc_job *job, const char *source, const char *target,
                                 struct rc_error *err)
{
    if (job->dry_run)
        return core_host_would(core_job_of(job), err, "copy '%s' to '%s'", source, target);
    return core_storage_copy(storage_of(job), source, target, err);
}

static enum rc_code storage_copy_with(struct rc_job *job, const char *source,
                                      const char *source_if_match, const char *target,
                                      struct rc_error *err)
{
    const struct core_copy_options options = {
        .source_if_match = source_if_match,
        .size_bytes = -1,
    };

    if (job->dry_run)
        return core_host_would(core_job_of(job), err, "copy '%s' to '%s'", source, target);
    return core_storage_copy_with(storage_of(job), source, NULL, target, &options, NULL, err);
}

static enum rc_code storage_move(struct rc_job *job, const char *source, const char *target,
                                 struct rc_error *err)
{
    if (job->dry_run)
        return core_host_would(core_job_of(job), err, "move '%s' to '%s'", source, target);
    return core_storage_move(storage_of(job), source, target, err);
}

static enum rc_code storage_remove(struct rc_job *job, const char *const *uris, size_t count,
                                   struct rc_error *err)
{
    if (job->dry_run) {
        for (size_t i = 0; i < count; i++)
            if (core_host_would(core_job_of(job), err, "remove '%s'", uris[i]))
                return err->code;
        return RC_OK;
    }
    return core_storage_remove(storage_of(job), uris, count, err);
}

static enum rc_code storage_remove_with(struct rc_job *job, const char *uri,
                                        const struct rc_remove_options *given, struct rc_error *err)
{
    struct rc_remove_options options;

    if (core_host_take(&options, sizeof(options), given, err))
        return err->code;
    if (job->dry_run && options.version)
        return core_host_would(core_job_of(job), err, "remove the version '%s' of '%s'",
                               options.version, uri);
    if (job->dry_run)
        return core_host_would(core_job_of(job), err, "remove '%s'", uri);
    return core_storage_remove_one(storage_of(job), uri, &options, err);
}

/* A dry run defines, too: what it looks at may lie there. */
static enum rc_code storage_define(struct rc_job *job, const struct rc_store *given,
                                   struct rc_error *err)
{
    struct rc_store store;

    if (core_host_take(&store, sizeof(store), given, err))
        return err->code;
    return core_storage_define(storage_of(job), &store, err);
}

/* ---- unfinished uploads ------------------------------------------------------------------- */

/* Says of each upload what the dry run does not do; the first failure to is the result. */
struct dry_sweep {
    struct core_job *job;
    const char *prefix;
    struct rc_error *err;
};

static void dry_tell(void *context, const char *name, int64_t begun_unix_ms)
{
    struct dry_sweep *dry = context;

    (void)begun_unix_ms;
    if (dry->err->code == RC_OK)
        (void)!core_host_would(dry->job, dry->err, "give up the unfinished upload of '%s%s'",
                               dry->prefix, name);
}

static enum rc_code sweep_as(struct rc_job *job, const char *prefix, struct core_sweep sweep,
                             int64_t *swept, struct rc_error *err)
{
    struct rc_error stopped = RC_ERROR_INIT;
    struct dry_sweep dry = { .job = core_job_of(job), .prefix = prefix, .err = &stopped };
    int64_t count = 0;
    enum rc_code code;

    sweep.only_looks = job->dry_run;
    sweep.tell = job->dry_run ? dry_tell : NULL;
    sweep.context = &dry;
    code = core_storage_sweep(storage_of(job), prefix, &sweep, &count, err);

    if (swept)
        *swept = count;
    if (code == RC_OK && stopped.code) {
        *err = stopped;
        code = stopped.code;
    }
    return code;
}

static enum rc_code storage_sweep(struct rc_job *job, const char *prefix,
                                  int64_t begun_before_unix_ms, int64_t *swept,
                                  struct rc_error *err)
{
    return sweep_as(job, prefix, (struct core_sweep){ .before_unix_ms = begun_before_unix_ms },
                    swept, err);
}

static enum rc_code storage_sweep_object(struct rc_job *job, const char *uri,
                                         int64_t begun_from_unix_ms, int64_t begun_before_unix_ms,
                                         int64_t *swept, struct rc_error *err)
{
    const struct core_sweep sweep = {
        .from_unix_ms = begun_from_unix_ms,
        .before_unix_ms = begun_before_unix_ms,
        .is_exact = true,
    };

    return sweep_as(job, uri, sweep, swept, err);
}

const struct rc_storage_api core_host_storage = {
    .list = storage_list,
    .list_next = core_listing_next,
    .list_close = storage_list_close,
    .stat = storage_stat,
    .get = storage_get,
    .open = storage_open,
    .read = core_reader_read,
    .read_close = storage_read_close,
    .put = storage_put,
    .create = storage_create,
    .write = core_writer_write,
    .commit = core_writer_commit,
    .write_close = storage_write_close,
    .copy = storage_copy,
    .move = storage_move,
    .remove = storage_remove,
    .create_with = storage_create_with,
    .define = storage_define,
    .sweep = storage_sweep,
    .open_with = storage_open_with,
    .remove_with = storage_remove_with,
    .copy_with = storage_copy_with,
    .versions = storage_versions,
    .version_next = core_listing_next_version,
    .sweep_object = storage_sweep_object,
};
