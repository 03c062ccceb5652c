/*
 * 'run-core storage ls': a listing as it comes from the store, a line for each, in constant memory.
 */
#include <cli/storage.h>

#include <cli/output.h>
#include <storage/backend.h>

#include <run-core/str.h>
#include <run-core/time.h>

#include <string.h>

/* What was listed, over all words. */
struct listing {
    struct core_storage_command *command;
    bool full_names; /* of several words, each name says where it lies */
    int64_t objects, folders, bytes;
};

static void close_listing(struct rc_listing **listing)
{
    core_listing_close(*listing);
}

/* ---- one line -------------------------------------------------------------------------------- */

static void add_json(const struct core_listed *found, struct rc_buf *out)
{
    const struct rc_object *object = &found->object;

    rc_buf_addc(out, '{');
    core_storage_add_text(out, "uri", object->uri);
    core_storage_add_text(out, "name", object->name);
    if (object->is_prefix) {
        rc_buf_adds(out, ",\"folder\":true}\n");
        return;
    }
    core_storage_add_number(out, "size", object->stat.size_bytes);
    core_storage_add_time(out, "modified", object->stat.modified_unix_ms);
    core_storage_add_text(out, "etag", object->stat.etag[0] ? object->stat.etag : NULL);
    core_storage_add_text(out, "storage_class", found->storage_class);
    if (found->version) {
        core_storage_add_text(out, "version", found->version);
        rc_buf_addf(out, ",\"latest\":%s,\"deleted\":%s", found->is_latest ? "true" : "false",
                    found->is_delete_marker ? "true" : "false");
    }
    rc_buf_adds(out, "}\n");
}

static void add_size(const struct listing *listing, const struct core_listed *found,
                     struct rc_buf *out)
{
    char size[RC_AMOUNT_TEXT] = "";

    if (found->is_delete_marker)
        rc_buf_addf(out, "%14s  ", "deleted");
    else if (found->object.is_prefix)
        rc_buf_addf(out, "%14s  ", "");
    else if (listing->command->arguments->human)
        rc_buf_addf(out, "%14s  ", rc_format_size(found->object.stat.size_bytes, size));
    else
        rc_buf_addf(out, "%14lld  ", (long long)found->object.stat.size_bytes);
}

/* The name from its folder on: that of the prefix, which may end in the middle of a name. */
static const char *shown_name(const struct listing *listing, const struct rc_object *object)
{
    const char *name = object->name;

    if (listing->full_names)
        return object->uri;
    while (name > object->uri && name[-1] != '/')
        name--;
    return name;
}

static void add_line(const struct listing *listing, const struct core_listed *found,
                     struct rc_buf *out)
{
    const struct rc_object *object = &found->object;
    int64_t modified_unix_ms = object->stat.modified_unix_ms;
    char when[RC_TIME_TEXT] = "";

    if (!object->is_prefix && modified_unix_ms > 0)
        rc_format_time(modified_unix_ms - modified_unix_ms % 1000, when);
    rc_buf_addf(out, "%-20s  ", when);
    add_size(listing, found, out);
    if (listing->command->arguments->versions)
        rc_buf_addf(out, "%-32s  ", found->version ? found->version : "");
    core_cli_add_printable(out, shown_name(listing, object));
    rc_buf_addc(out, '\n');
}

/* ---- one place ------------------------------------------------------------------------------- */

static enum rc_code list(struct listing *listing, const char *prefix, int64_t *found_count,
                         struct rc_error *err)
{
    struct core_storage_command *command = listing->command;
    const struct core_arguments *arguments = command->arguments;
    const struct core_list_options options = { .plain.shallow = !arguments->recursive,
                                               .versions = arguments->versions };
    RC_CLEANUP(close_listing) struct rc_listing *inner = NULL;
    const struct core_listed *found;

    if (core_storage_list_with(command->storage, prefix, &options, &inner, err))
        return err->code;
    for (;;) {
        if (core_listing_next_listed(inner, &found, err))
            return err->code;
        if (!found)
            return RC_OK;
        (*found_count)++;
        if (!core_storage_is_wanted(arguments, found->object.name))
            continue;
        listing->folders += found->object.is_prefix;
        listing->objects += !found->object.is_prefix && !found->is_delete_marker;
        listing->bytes += found->object.stat.size_bytes;
        if (arguments->json)
            add_json(found, &command->out);
        else
            add_line(listing, found, &command->out);
        if (core_storage_out(command, err))
            return err->code;
    }
}

static enum rc_code list_place(struct listing *listing, const char *uri, struct rc_error *err)
{
    struct core_storage_command *command = listing->command;
    bool is_folder = core_storage_is_folder_by_name(uri);
    const char *prefix = uri;
    int64_t count = 0;

    if (!is_folder && core_storage_is_folder(command, uri, &is_folder, err))
        return err->code;
    if (is_folder)
        prefix = core_storage_as_folder(&command->arena, uri);
    if (list(listing, prefix, &count, err))
        return err->code;
    if (count > 0)
        return RC_OK;
    /* A bucket and a local folder may be empty; else what was meant is not there. */
    if (core_storage_is_folder(command, uri, &is_folder, err))
        return err->code;
    return is_folder ? RC_OK : rc_fail(err, RC_NOT_FOUND, "nothing begins with '%s'", prefix);
}

static void add_summary(const struct listing *listing, struct rc_buf *out)
{
    char size[RC_AMOUNT_TEXT];

    if (listing->command->arguments->json) {
        rc_buf_addc(out, '{');
        core_storage_add_number(out, "objects", listing->objects);
        core_storage_add_number(out, "folders", listing->folders);
        core_storage_add_number(out, "bytes", listing->bytes);
        rc_buf_adds(out, "}\n");
        return;
    }
    rc_buf_addf(out, "%lld object%s", (long long)listing->objects,
                listing->objects == 1 ? "" : "s");
    if (listing->folders > 0)
        rc_buf_addf(out, ", %lld folder%s", (long long)listing->folders,
                    listing->folders == 1 ? "" : "s");
    if (listing->command->arguments->human)
        rc_buf_addf(out, ", %s\n", rc_format_size(listing->bytes, size));
    else
        rc_buf_addf(out, ", %lld bytes\n", (long long)listing->bytes);
}

static enum rc_code list_all(struct core_storage_command *command, struct rc_error *err)
{
    struct listing listing = { .command = command, .full_names = command->uri_count > 1 };

    for (size_t i = 0; i < command->uri_count; i++)
        if (list_place(&listing, command->uris[i], err) && core_storage_one_failed(command, err))
            return err->code;
    if (command->arguments->summary)
        add_summary(&listing, &command->out);
    return RC_OK;
}

static int run_ls(const struct core_arguments *arguments)
{
    return core_storage_command_run(arguments, /* changes = */ false, list_all);
}

const struct core_command core_command_storage_ls = {
    .name = "storage ls",
    .operands = "PLACE...",
    .summary = "Lists objects with their times and sizes, and folders.",
    .details =
        "Of a folder, what lies directly in it is shown, and with --recursive all that lies below. "
        "Any other place is the begin of names: s3://bucket/2026- lists what begins so. With "
        "several places the names are whole URIs. --json writes an object a line: {uri, name, "
        "size, modified, etag, storage_class}, of a version also {version, latest, deleted}, of a "
        "folder {uri, name, folder}; --summary adds {objects, folders, bytes}. Patterns are held "
        "against the name behind the place. A place where nothing is gives the exit status 1, an "
        "empty bucket does not.",
    .flags = CORE_FLAGS_STORAGE | CORE_FLAG_RECURSIVE | CORE_FLAG_INCLUDE | CORE_FLAG_EXCLUDE |
             CORE_FLAG_VERSIONS | CORE_FLAG_SUMMARY | CORE_FLAG_HUMAN | CORE_FLAG_JSON,
    .min_words = 1,
    .max_words = SIZE_MAX,
    .run = run_ls,
};
