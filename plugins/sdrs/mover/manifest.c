/*
 * Manifests, written in parts and read line by line, so that memory holds one part or one line,
 * however many objects there are. What is moved, and when, is decided elsewhere.
 */
#include "manifest.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>

enum {
    PART_LIMIT = 64 << 20,
    LINE_LIMIT = 64 << 10, /* a key of 4 KiB, every byte of it escaped */
    PATH_LIMIT = 16 << 10,
    READ_BYTES = 64 << 10,
};

/* "gs://eventsshadow/.run-core/sdrs/BATCH/", or of all batches. Any header may be a batch. */
static void add_folder(struct rc_buf *out, const char *shadow, const char *batch)
{
    rc_buf_addf(out, "%s" SDRS_MANIFESTS, shadow);
    if (!batch)
        return;
    if (batch[0] == '.') {
        rc_buf_adds(out, "%2E");
        batch++;
    }
    rc_buf_add_url(out, batch, strlen(batch));
    rc_buf_addc(out, '/');
}

/* ---- writing -------------------------------------------------------------------------------- */

struct sdrs_manifest {
    struct rc_job *job;
    char *folder;
    int64_t part;
    struct rc_buf lines;
};

enum rc_code sdrs_manifest_new(struct rc_job *job, const char *shadow, const char *batch,
                               int64_t record, struct sdrs_manifest **out, struct rc_error *err)
{
    RC_BUF_AUTO(folder, PATH_LIMIT);

    add_folder(&folder, shadow, batch);
    rc_buf_addf(&folder, "%" PRId64 "/", record);
    if (rc_buf_check(&folder, err))
        return rc_context(err, "name the manifest of the job %" PRId64, record);
    *out = rc_calloc(1, sizeof(**out));
    (*out)->job = job;
    (*out)->folder = rc_buf_take(&folder);
    rc_buf_init(&(*out)->lines, PART_LIMIT);
    return RC_OK;
}

static void add_key(struct rc_buf *line, const char *key)
{
    json_t *text = json_string(key); /* NULL: it is no UTF-8 */

    rc_buf_adds(line, text ? "{\"key\":" : "{\"key_url\":\"");
    if (text) {
        rc_buf_add_json(line, key, strlen(key));
    } else {
        rc_buf_add_url(line, key, strlen(key));
        rc_buf_addc(line, '"');
    }
    json_decref(text);
}

void sdrs_manifest_add(struct sdrs_manifest *manifest, const char *key, const struct rc_stat *stat)
{
    struct rc_buf *lines = &manifest->lines;

    add_key(lines, key);
    rc_buf_addf(lines, ",\"size\":%" PRId64 ",\"etag\":", stat->size_bytes);
    rc_buf_add_json(lines, stat->etag, strlen(stat->etag));
    rc_buf_adds(lines, "}\n");
}

enum rc_code sdrs_manifest_write(struct sdrs_manifest *manifest, struct rc_error *err)
{
    RC_STR_AUTO uri = rc_strf("%s%06" PRId64, manifest->folder, manifest->part);

    if (manifest->lines.len == 0)
        return RC_OK;
    if (rc_buf_check(&manifest->lines, err) ||
        rc_storage_put(manifest->job, uri, manifest->lines.data, manifest->lines.len,
                       /* if_match = */ NULL, err))
        return rc_context(err, "write the manifest '%s'", uri);
    manifest->part++;
    rc_buf_reset(&manifest->lines);
    return RC_OK;
}

void sdrs_manifest_free(struct sdrs_manifest *manifest)
{
    if (!manifest)
        return;
    rc_buf_clear(&manifest->lines);
    free(manifest->folder);
    free(manifest);
}

/* ---- reading -------------------------------------------------------------------------------- */

struct sdrs_manifest_reader {
    struct rc_job *job;
    int64_t written_from_unix_ms;
    struct rc_listing *parts;

    /* The present part. */
    char *uri;
    struct rc_reader *part;
    int64_t line_number;
    char *data; /* that was read of it, READ_BYTES at a time */
    size_t at, len;
    struct rc_buf line;

    char *key;
};

enum rc_code sdrs_manifest_open(struct rc_job *job, const char *shadow,
                                const struct sdrs_manifest_query *query,
                                struct sdrs_manifest_reader **out, struct rc_error *err)
{
    RC_BUF_AUTO(folder, PATH_LIMIT);
    struct rc_listing *parts = NULL;

    add_folder(&folder, shadow, query->batch);
    if (query->record > 0)
        rc_buf_addf(&folder, "%" PRId64 "/", query->record);
    if (rc_buf_check(&folder, err) || rc_storage_list(job, folder.data, NULL, &parts, err))
        return rc_context(err, "list the manifests in '%s'", folder.data);
    *out = rc_calloc(1, sizeof(**out));
    **out = (struct sdrs_manifest_reader){
        .job = job,
        .written_from_unix_ms = query->written_from_unix_ms,
        .parts = parts,
        .data = rc_malloc(READ_BYTES),
        .line = RC_BUF_INIT(LINE_LIMIT),
    };
    return RC_OK;
}

/* Opens the next part; '*more' is false if there is none. */
static enum rc_code next_part(struct sdrs_manifest_reader *reader, bool *more, struct rc_error *err)
{
    const struct rc_object *object;

    do {
        if (rc_storage_list_next(reader->job, reader->parts, &object, err))
            return rc_context(err, "list manifests");
    } while (object && object->stat.modified_unix_ms < reader->written_from_unix_ms);
    *more = object != NULL;
    if (!object)
        return RC_OK;
    rc_str_free(&reader->uri);
    reader->uri = rc_strdup(object->uri);
    reader->line_number = 0;
    if (rc_storage_open(reader->job, reader->uri, 0, -1, &reader->part, err))
        return rc_context(err, "read the manifest '%s'", reader->uri);
    return RC_OK;
}

static void close_part(struct sdrs_manifest_reader *reader)
{
    rc_storage_read_close(reader->job, reader->part);
    reader->part = NULL;
    reader->at = reader->len = 0;
}

/* The next line of the present part, without its line feed; '*more' is false at its end. */
static enum rc_code next_line(struct sdrs_manifest_reader *reader, bool *more, struct rc_error *err)
{
    const char *end = NULL;

    rc_buf_reset(&reader->line);
    reader->line_number++;
    while (!end) {
        const char *begin = reader->data + reader->at;
        size_t rest = reader->len - reader->at;

        end = rest > 0 ? memchr(begin, '\n', rest) : NULL;
        rc_buf_add(&reader->line, begin, end ? (size_t)(end - begin) : rest);
        reader->at += end ? (size_t)(end - begin) + 1 : rest;
        if (end)
            break;
        reader->at = 0;
        if (rc_storage_read(reader->job, reader->part, reader->data, READ_BYTES, &reader->len, err))
            return rc_context(err, "read the manifest '%s'", reader->uri);
        if (reader->len == 0)
            break;
    }
    *more = end || reader->line.len > 0;
    return RC_OK;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Undoes rc_buf_add_url(), in place; false: it is none of its texts. */
static bool decode_url(char *text)
{
    char *out = text;

    for (const char *at = text; *at; at++) {
        int high, low;

        if (*at != '%') {
            *out++ = *at;
            continue;
        }
        high = hex_digit(at[1]);
        low = high >= 0 ? hex_digit(at[2]) : -1;
        if (low < 0 || (high == 0 && low == 0))
            return false;
        *out++ = (char)(high << 4 | low);
        at += 2;
    }
    *out = '\0';
    return true;
}

static bool parse_line(struct sdrs_manifest_reader *reader, int64_t *size_bytes)
{
    json_t *line = json_loadb(reader->line.data, reader->line.len, JSON_REJECT_DUPLICATES, NULL);
    const char *key = json_string_value(json_object_get(line, "key"));
    const char *url = json_string_value(json_object_get(line, "key_url"));
    const json_t *size = json_object_get(line, "size");
    bool is_good = (!key != !url) && json_is_integer(size) && json_integer_value(size) >= 0;

    rc_str_free(&reader->key);
    if (is_good) {
        reader->key = rc_strdup(key ? key : url);
        *size_bytes = json_integer_value(size);
        is_good = key || decode_url(reader->key);
    }
    json_decref(line);
    return is_good && reader->key[0] != '\0';
}

enum rc_code sdrs_manifest_next(struct sdrs_manifest_reader *reader, const char **key,
                                int64_t *size_bytes, struct rc_error *err)
{
    bool more = true;

    *key = NULL;
    while (more) {
        if (!reader->part && next_part(reader, &more, err))
            return err->code;
        if (!more)
            return RC_OK;
        if (next_line(reader, &more, err))
            return err->code;
        if (more)
            break;
        close_part(reader);
        more = true;
    }
    if (rc_buf_check(&reader->line, err) || !parse_line(reader, size_bytes))
        return rc_fail(err, RC_CORRUPT,
                       "line %" PRId64 " of the manifest '%s' is no entry of a manifest: the "
                       "object was changed or damaged; restore by prefix instead",
                       reader->line_number, reader->uri);
    *key = reader->key;
    return RC_OK;
}

void sdrs_manifest_close(struct sdrs_manifest_reader *reader)
{
    if (!reader)
        return;
    close_part(reader);
    rc_storage_list_close(reader->job, reader->parts);
    rc_buf_clear(&reader->line);
    free(reader->data);
    free(reader->uri);
    free(reader->key);
    free(reader);
}
