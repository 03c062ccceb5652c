/*
 * 'run-core storage cat' and 'stat': the content of objects, and all that a store says of them.
 */
#include <cli/storage.h>

#include <cli/output.h>
#include <cli/storage_stream.h>
#include <storage/backend.h>

#include <run-core/str.h>
#include <run-core/time.h>

#include <stdlib.h>
#include <string.h>

/* ---- cat ------------------------------------------------------------------------------------- */

static bool parse_number(const char *text, size_t len, int64_t *out)
{
    RC_STR_AUTO digits = rc_strndup(text, len);

    return len > 0 && strspn(digits, "0123456789") == len && rc_parse_int(digits, out);
}

/* "A-B", "A-" or "-N", as in a request for a range. */
static enum rc_code parse_range(const char *text, struct core_storage_part *out,
                                struct rc_error *err)
{
    const char *dash = text ? strchr(text, '-') : NULL;
    int64_t last = -1;
    bool ok = dash != NULL;

    *out = (struct core_storage_part){ .len_bytes = -1 };
    if (!text)
        return RC_OK;
    if (ok && dash == text) {
        ok = parse_number(dash + 1, strlen(dash + 1), &out->last_bytes) && out->last_bytes > 0;
    } else if (ok) {
        ok = parse_number(text, (size_t)(dash - text), &out->offset_bytes) &&
             (!dash[1] || (parse_number(dash + 1, strlen(dash + 1), &last) && last < INT64_MAX &&
                           last >= out->offset_bytes));
        if (ok && last >= 0)
            out->len_bytes = last - out->offset_bytes + 1;
    }
    return ok ? RC_OK
              : rc_fail(err, RC_INVALID,
                        "'--range %s': a range is A-B, with A not above B, A- or -N, in bytes",
                        text);
}

static enum rc_code check_version(const struct core_storage_command *command, struct rc_error *err)
{
    if (command->arguments->version_id && command->uri_count > 1)
        return rc_fail(err, RC_INVALID, "'--version-id' is of one object, not of several");
    return RC_OK;
}

static bool reads_stdin(const struct core_storage_command *command)
{
    for (size_t i = 0; i < command->uri_count; i++)
        if (strcmp(command->uris[i], "-") == 0)
            return true;
    return false;
}

static enum rc_code cat_all(struct core_storage_command *command, struct rc_error *err)
{
    struct core_storage_part part;

    if (parse_range(command->arguments->range, &part, err) || check_version(command, err))
        return err->code;
    if (reads_stdin(command) && (command->arguments->range || command->arguments->version_id))
        return rc_fail(err, RC_INVALID,
                       "'--range' and '--version-id' are of objects, not of stdin");
    for (size_t i = 0; i < command->uri_count; i++)
        if (core_storage_to_stdout(command, command->uris[i], &part, err) &&
            core_storage_one_failed(command, err))
            return err->code;
    return RC_OK;
}

static int run_cat(const struct core_arguments *arguments)
{
    return core_storage_command_run(arguments, /* changes = */ false, cat_all);
}

const struct core_command core_command_storage_cat = {
    .name = "storage cat",
    .operands = "OBJECT...",
    .summary = "Writes objects to stdout, one after the other.",
    .details = "A range is taken of each. Content goes out as it comes in, so that objects of any "
               "size can be piped; one that is replaced meanwhile is an error, not a mixture.",
    .flags = CORE_FLAGS_STORAGE | CORE_FLAG_RANGE | CORE_FLAG_VERSION_ID,
    .min_words = 1,
    .max_words = SIZE_MAX,
    .run = run_cat,
};

/* ---- stat ------------------------------------------------------------------------------------ */

/* All there is to tell of one object. */
struct told {
    const char *uri;
    struct rc_stat stat;
    struct core_object_detail *detail;
};

struct text {
    const char *name, *value;
};

enum { TEXTS = 11 };

static void collect(const struct told *told, struct text texts[TEXTS])
{
    const struct core_object_detail *detail = told->detail;
    const struct rc_attributes *attributes = &detail->attributes;
    const struct text all[TEXTS] = {
        { "etag", told->stat.etag[0] ? told->stat.etag : NULL },
        { "version", detail->version },
        { "storage_class", attributes->storage_class },
        { "content_type", attributes->content_type },
        { "content_encoding", attributes->content_encoding },
        { "content_disposition", attributes->content_disposition },
        { "content_language", attributes->content_language },
        { "cache_control", attributes->cache_control },
        { "md5", detail->md5_hex },
        { "crc32c", detail->crc32c },
        { "checksum", detail->checksum },
    };

    memcpy(texts, all, sizeof(all));
}

static void add_map_json(struct rc_buf *out, const char *name, const struct rc_map *map)
{
    if (map->len == 0)
        return;
    rc_buf_addf(out, ",\"%s\":{", name);
    for (size_t i = 0; i < map->len; i++)
        core_storage_add_text(out, map->items[i].key, map->items[i].value);
    rc_buf_addc(out, '}');
}

static void add_json(const struct told *told, struct rc_buf *out)
{
    const struct core_object_detail *detail = told->detail;
    struct text texts[TEXTS];

    collect(told, texts);
    rc_buf_addc(out, '{');
    core_storage_add_text(out, "uri", told->uri);
    core_storage_add_number(out, "size", told->stat.size_bytes);
    core_storage_add_time(out, "modified", told->stat.modified_unix_ms);
    for (size_t i = 0; i < TEXTS; i++)
        core_storage_add_text(out, texts[i].name, texts[i].value);
    add_map_json(out, "metadata", &detail->attributes.metadata);
    add_map_json(out, "tags", &detail->attributes.tags);
    if (detail->has_tags)
        rc_buf_adds(out, ",\"has_tags\":true");
    rc_buf_adds(out, "}\n");
}

static void add_pair(struct rc_buf *out, const char *name, const char *key, const char *value)
{
    rc_buf_addf(out, "  %s%s%s: ", name, key ? " " : "", key ? key : "");
    core_cli_add_printable(out, value);
    rc_buf_addc(out, '\n');
}

static void add_map_text(struct rc_buf *out, const char *name, const struct rc_map *map)
{
    for (size_t i = 0; i < map->len; i++)
        add_pair(out, name, map->items[i].key, map->items[i].value);
}

static void add_lines(const struct told *told, struct rc_buf *out)
{
    const struct core_object_detail *detail = told->detail;
    struct text texts[TEXTS];
    char text[RC_TIME_TEXT];

    collect(told, texts);
    core_cli_add_printable(out, told->uri);
    rc_buf_addf(out, "\n  size: %lld bytes\n", (long long)told->stat.size_bytes);
    if (told->stat.modified_unix_ms > 0)
        add_pair(out, "modified", NULL, rc_format_time(told->stat.modified_unix_ms, text));
    for (size_t i = 0; i < TEXTS; i++)
        if (texts[i].value)
            add_pair(out, texts[i].name, NULL, texts[i].value);
    add_map_text(out, "metadata", &detail->attributes.metadata);
    add_map_text(out, "tag", &detail->attributes.tags);
    if (detail->has_tags && detail->attributes.tags.len == 0)
        add_pair(out, "tags", NULL, "there are some");
}

static enum rc_code stat_one(struct core_storage_command *command, const char *uri,
                             struct rc_error *err)
{
    CORE_OBJECT_DETAIL_AUTO(detail);
    struct told told = { .uri = uri, .detail = &detail };
    struct rc_error ignored = RC_ERROR_INIT;

    if (core_storage_stat_with(command->storage, uri, command->arguments->version_id, &told.stat,
                               &detail, err))
        return err->code;
    /* Who may look at an object may not look at its tags; that there are some is told then. */
    if (detail.has_tags)
        (void)!core_storage_tags(command->storage, uri, command->arguments->version_id, &detail,
                                 &ignored);
    (command->arguments->json ? add_json : add_lines)(&told, &command->out);
    return core_storage_out(command, err);
}

static enum rc_code stat_all(struct core_storage_command *command, struct rc_error *err)
{
    if (check_version(command, err))
        return err->code;
    for (size_t i = 0; i < command->uri_count; i++)
        if (stat_one(command, command->uris[i], err) && core_storage_one_failed(command, err))
            return err->code;
    return RC_OK;
}

static int run_stat(const struct core_arguments *arguments)
{
    return core_storage_command_run(arguments, /* changes = */ false, stat_all);
}

const struct core_command core_command_storage_stat = {
    .name = "storage stat",
    .operands = "OBJECT...",
    .summary = "Shows all that the store says of an object.",
    .details =
        "Size, time, entity tag, version, storage class, type, metadata, tags and checksums, "
        "as far as there are any. --json writes an object a line.",
    .flags = CORE_FLAGS_STORAGE | CORE_FLAG_VERSION_ID | CORE_FLAG_JSON,
    .min_words = 1,
    .max_words = SIZE_MAX,
    .run = run_stat,
};
