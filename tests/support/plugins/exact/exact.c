/*
 * Acts on one certain object, or tells of its versions, as 'do' says; 'etag' may be "current".
 */
#include <run-core/plugin.h>

struct config {
    const char *uri, *target, *etag, *version, *text;
    int act;
    bool old;
};

enum act { READ, REPLACE, COPY, REMOVE, VERSIONS };
static const char *const acts[] = { "read", "replace", "copy", "remove", "versions", NULL };

static const struct rc_option options[] = {
    { RC_ENUM("do", struct config, act, acts), .def = "read", .help = "What is done." },
    { RC_STR("uri", struct config, uri), .help = "The object, or a prefix." },
    { RC_STR("target", struct config, target), .help = "Of a copy." },
    { RC_STR("etag", struct config, etag), .help = "Which object it has to be." },
    { RC_STR("version", struct config, version), .help = "Which version." },
    { RC_STR("text", struct config, text), .def = "new", .help = "The new content." },
    { RC_BOOL("old", struct config, old), .def = "false", .help = "Knows of no attributes." },
    { 0 },
};

static enum rc_code read_object(struct rc_job *job, const struct config *cfg, const char *etag,
                                struct rc_error *err)
{
    const struct rc_get_options one = {
        .struct_bytes = sizeof(one),
        .offset_bytes = 1,
        .len_bytes = 100,
        .if_match = etag,
        .version = cfg->version,
    };
    struct rc_reader *reader;
    char text[101] = "";
    size_t len = 0;

    if (rc_storage_open_with(job, cfg->uri, &one, &reader, err))
        return err->code;
    if (!rc_storage_read(job, reader, text, 100, &len, err))
        rc_job_say(job, text);
    rc_storage_read_close(job, reader);
    return err->code;
}

static enum rc_code replace(struct rc_job *job, const struct config *cfg, const char *etag,
                            struct rc_error *err)
{
    const struct rc_put_options keeping = {
        .struct_bytes =
            cfg->old ? offsetof(struct rc_put_options, keep_attributes) : sizeof(keeping),
        .if_match = etag,
        .size_bytes = -1,
        .keep_attributes = true,
    };
    struct rc_writer *writer;

    if (rc_storage_create_with(job, cfg->uri, &keeping, &writer, err))
        return err->code;
    if (!rc_storage_write(job, writer, cfg->text, strlen(cfg->text), err))
        (void)!rc_storage_commit(job, writer, err);
    rc_storage_write_close(job, writer);
    return err->code;
}

static enum rc_code remove_one(struct rc_job *job, const struct config *cfg, const char *etag,
                               struct rc_error *err)
{
    const struct rc_remove_options one = {
        .struct_bytes = sizeof(one),
        .if_match = etag,
        .version = cfg->version,
    };

    return rc_storage_remove_with(job, cfg->uri, &one, err);
}

static enum rc_code tell_versions(struct rc_job *job, const char *prefix, struct rc_error *err)
{
    const struct rc_version *version;
    struct rc_listing *listing;

    if (rc_storage_versions(job, prefix, &listing, err))
        return err->code;
    while (!rc_storage_version_next(job, listing, &version, err) && version) {
        RC_STR_AUTO line =
            rc_strf("%s %s%s%s", version->name, version->version ? version->version : "-",
                    version->is_current ? " current" : "", version->is_removal ? " removal" : "");

        rc_job_say(job, line);
    }
    rc_storage_list_close(job, listing);
    return err->code;
}

static enum rc_code run(struct rc_job *job, const void *config, struct rc_error *err)
{
    const struct config *cfg = config;
    const char *etag = cfg->etag;
    struct rc_stat stat;

    if (etag && strcmp(etag, "current") == 0) {
        if (rc_storage_stat(job, cfg->uri, &stat, err))
            return err->code;
        etag = stat.etag;
    }
    switch ((enum act)cfg->act) {
    case READ:
        return read_object(job, cfg, etag, err);
    case REPLACE:
        return replace(job, cfg, etag, err);
    case COPY:
        return rc_storage_copy_with(job, cfg->uri, etag, cfg->target, err);
    case REMOVE:
        return remove_one(job, cfg, etag, err);
    case VERSIONS:
        break;
    }
    return tell_versions(job, cfg->uri, err);
}

static const struct rc_action actions[] = {
    { .name = "run", .summary = "Does it.", .run = run },
    { 0 },
};

static const struct rc_plugin exact = {
    RC_PLUGIN_HEAD,     .name = "exact",
    .version = "1.0",   .summary = "Acts on one object.",
    .options = options, .config_size = sizeof(struct config),
    .actions = actions,
};
RC_PLUGIN_EXPORT(exact)
