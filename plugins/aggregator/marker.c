/*
 * Formats and parses markers, and takes the manifest of an output. When a marker is
 * written or removed is decided by the steps.
 */
#include "marker.h"
#include "digest.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

enum { FORMAT = 1, READERS = 8, CHUNK_BYTES = 256 << 10 };

void agg_manifest_clear(struct agg_manifest *manifest)
{
    for (size_t i = 0; i < manifest->count; i++)
        free(manifest->files[i].name);
    free(manifest->files);
    *manifest = (struct agg_manifest){ .files = NULL };
}

uint64_t agg_manifest_digest(const struct agg_manifest *manifest)
{
    uint64_t digest = AGG_DIGEST_INIT;

    for (size_t i = 0; i < manifest->count; i++) {
        digest = agg_digest_text(digest, manifest->files[i].name);
        digest = agg_digest_number(digest, (uint64_t)manifest->files[i].size_bytes);
        digest = agg_digest_number(digest, manifest->files[i].digest);
    }
    return digest;
}

/* ---- taking a manifest ---- */

static void add_file(struct agg_manifest *out, const char *prefix, const char *name,
                     int64_t size_bytes)
{
    /* Grown by doubling, where the count is a power of two. */
    if ((out->count & (out->count - 1)) == 0)
        out->files =
            rc_realloc(out->files, (out->count ? 2 * out->count : 1) * sizeof(*out->files));
    out->files[out->count++] =
        (struct agg_file){ .name = rc_strf("%s%s", prefix, name), .size_bytes = size_bytes };
}

static enum rc_code list_files(struct rc_job *job, const char *location, const char *prefix,
                               struct agg_manifest *out, struct rc_error *err)
{
    struct rc_listing *listing;
    const struct rc_object *object = NULL;
    enum rc_code code = rc_storage_list(job, location, NULL, &listing, err);

    if (code)
        return code;
    while ((code = rc_storage_list_next(job, listing, &object, err)) == RC_OK && object)
        if (!object->is_prefix)
            add_file(out, prefix, object->name, object->stat.size_bytes);
    rc_storage_list_close(job, listing);
    return code;
}

struct reading {
    const char *location;
    size_t prefix_len;
    struct agg_file *files;
};

static enum rc_code read_file(struct rc_job *job, void *context, size_t index, struct rc_error *err)
{
    const struct reading *reading = context;
    struct agg_file *file = &reading->files[index];
    RC_STR_AUTO uri = rc_strf("%s%s", reading->location, file->name + reading->prefix_len);
    RC_STR_AUTO chunk = rc_malloc(CHUNK_BYTES);
    struct rc_reader *reader;
    uint64_t digest = AGG_DIGEST_INIT;
    int64_t size_bytes = 0;
    size_t len = 0;
    enum rc_code code = rc_storage_open(job, uri, 0, -1, &reader, err);

    if (code)
        return rc_context(err, "read back '%s'", uri);
    while ((code = rc_storage_read(job, reader, chunk, CHUNK_BYTES, &len, err)) == RC_OK &&
           len > 0) {
        digest = agg_digest(digest, chunk, len);
        size_bytes += (int64_t)len;
    }
    rc_storage_read_close(job, reader);
    if (code)
        return rc_context(err, "read back '%s'", uri);
    file->digest = digest;
    file->size_bytes = size_bytes;
    return RC_OK;
}

enum rc_code agg_manifest_add(struct rc_job *job, const char *location, const char *prefix,
                              struct agg_manifest *out, struct rc_error *err)
{
    size_t before = out->count;

    if (rc_str_ends(location, "/")) {
        if (list_files(job, location, prefix, out, err))
            return rc_context(err, "list '%s'", location);
    } else {
        add_file(out, prefix, "", 0);
    }
    struct reading reading = { .location = location,
                               .prefix_len = strlen(prefix),
                               .files = out->files ? out->files + before : NULL };
    return rc_parallel(job, READERS, out->count - before, read_file, &reading, err);
}

/* ---- JSON ---- */

static json_t *hex(uint64_t number)
{
    char text[17];

    snprintf(text, sizeof(text), "%016" PRIx64, number);
    return json_string(text);
}

static bool get_hex(const json_t *object, const char *key, uint64_t *out)
{
    const char *text = json_string_value(json_object_get(object, key));
    char *end;

    if (!text || strlen(text) != 16)
        return false;
    *out = strtoull(text, &end, 16);
    return *end == '\0';
}

static bool get_int(const json_t *object, const char *key, int64_t *out)
{
    const json_t *value = json_object_get(object, key);

    *out = json_integer_value(value);
    return json_is_integer(value);
}

void agg_marker_format(const struct agg_marker *marker, struct rc_buf *out)
{
    char day[RC_DAY_TEXT];
    json_t *root = json_object();
    json_t *files = json_array();

    json_object_set_new(root, "format", json_integer(FORMAT));
    json_object_set_new(root, "step", json_string(marker->step));
    json_object_set_new(root, "day", json_string(rc_format_day(marker->day, day)));
    json_object_set_new(root, "definition", hex(marker->definition));
    json_object_set_new(root, "inputs", hex(marker->inputs));
    json_object_set_new(root, "rows", json_integer(marker->rows));
    json_object_set_new(root, "events", json_integer(marker->events));
    json_object_set_new(root, "rejected", json_integer(marker->rejected));
    for (size_t i = 0; i < marker->manifest.count; i++) {
        const struct agg_file *file = &marker->manifest.files[i];
        json_t *item = json_object();

        json_object_set_new(item, "name", json_string(file->name));
        json_object_set_new(item, "size", json_integer(file->size_bytes));
        json_object_set_new(item, "digest", hex(file->digest));
        json_array_append_new(files, item);
    }
    json_object_set_new(root, "files", files);
    char *text = json_dumps(root, JSON_INDENT(1));
    json_decref(root);
    if (!text)
        rc_out_of_memory(0);
    rc_buf_adds(out, text);
    rc_buf_addc(out, '\n');
    free(text);
}

static const char *step_name(const char *name)
{
    static const char *const names[] = { "daily", "window",         "tables",
                                         "csv",   AGG_IMPORT_BEGUN, AGG_IMPORT_DONE };

    for (size_t i = 0; i < RC_ARRAY_LEN(names); i++)
        if (rc_str_eq(names[i], name))
            return names[i];
    return NULL;
}

static bool parse_files(const json_t *files, struct agg_manifest *out)
{
    size_t index;
    const json_t *item;

    if (!json_is_array(files))
        return false;
    json_array_foreach(files, index, item)
    {
        const char *name = json_string_value(json_object_get(item, "name"));
        int64_t size_bytes;
        uint64_t digest;

        if (!name || !get_int(item, "size", &size_bytes) || !get_hex(item, "digest", &digest))
            return false;
        add_file(out, "", name, size_bytes);
        out->files[out->count - 1].digest = digest;
    }
    return true;
}

bool agg_marker_parse(const char *text, size_t len, struct agg_marker *out)
{
    json_t *root = json_loadb(text, len, 0, NULL);
    struct agg_marker marker = { .step = NULL };
    int64_t format = 0;
    const char *day = json_string_value(json_object_get(root, "day"));

    marker.step = step_name(json_string_value(json_object_get(root, "step")));
    bool ok = root && get_int(root, "format", &format) && format == FORMAT && marker.step && day &&
              rc_parse_day(day, &marker.day) && get_hex(root, "definition", &marker.definition) &&
              get_hex(root, "inputs", &marker.inputs) && get_int(root, "rows", &marker.rows) &&
              get_int(root, "events", &marker.events) &&
              get_int(root, "rejected", &marker.rejected) &&
              parse_files(json_object_get(root, "files"), &marker.manifest);
    json_decref(root);
    if (!ok) {
        agg_marker_clear(&marker);
        return false;
    }
    *out = marker;
    return true;
}

void agg_marker_clear(struct agg_marker *marker)
{
    agg_manifest_clear(&marker->manifest);
    *marker = (struct agg_marker){ .step = NULL };
}

uint64_t agg_marker_output(const struct agg_marker *marker, const char *text, size_t len)
{
    return marker ? agg_manifest_digest(&marker->manifest) : agg_digest(AGG_DIGEST_INIT, text, len);
}
