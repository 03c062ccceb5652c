/*
 * Lists a table's objects by its folders shard=N/day=D/, and reads ranges of one object. What is in
 * them is Parquet's business.
 */
#include "lake.h"

#include <run-core/plugin.h>

#include <stdlib.h>
#include <string.h>

enum {
    MAGIC = 4,
    LEAST_FILE = 12,        /* the magic twice, and the length of a footer */
    TAIL_BYTES = 64 << 10,  /* holds the footers of most files, so that one request gets them */
    LEAST_AHEAD = 64 << 10, /* is read beyond what is asked for, and doubled while ... */
    MOST_AHEAD = 1 << 20,   /* ... one read begins where the last one ended */
};

/* ---- listing ---- */

/* The day of a folder "day=D/". */
static bool day_of(const char *name, int32_t *day)
{
    size_t len = strlen(name);

    if (!rc_str_starts(name, "day=") || name[len - 1] != '/')
        return false;
    RC_STR_AUTO text = rc_strndup(name + strlen("day="), len - strlen("day=") - 1);
    return rc_parse_day(text, day);
}

static bool is_shard(const char *name)
{
    const char *digits = name + strlen("shard=");

    return rc_str_starts(name, "shard=") && digits[strspn(digits, "0123456789")] == '/' &&
           digits[0] != '/' && (digits[0] != '0' || digits[1] == '/');
}

enum rc_code dsr_lake_check(struct rc_job *job, const struct dsr_places *places, size_t table,
                            const char *table_name, struct rc_error *err)
{
    const struct rc_list_options shallow = { .shallow = true };
    const char *folder = places->tables[table];
    struct rc_listing *listing;
    const struct rc_object *object = NULL;
    bool found = false;
    enum rc_code code = rc_storage_list(job, folder, &shallow, &listing, err);

    if (code)
        return rc_context(err, "list the table '%s' in '%s'", table_name, folder);
    while ((code = rc_storage_list_next(job, listing, &object, err)) == RC_OK && object) {
        if (object->is_prefix && is_shard(object->name))
            found = true;
        else if (object->is_prefix && rc_str_starts(object->name, "shard="))
            rc_warn(job,
                    "'%s' is no shard that markers can name, such as shard=7; nothing in it is "
                    "searched",
                    object->uri);
    }
    rc_storage_list_close(job, listing);
    if (code)
        return rc_context(err, "list the table '%s' in '%s'", table_name, folder);
    if (!found)
        return rc_fail(err, RC_NOT_FOUND,
                       "the table '%s' has no data: there is no folder shard=N in '%s'; correct "
                       "its sourceS3Folder and sourceS3Bucket, or take it out of cleanupTables",
                       table_name, folder);
    return RC_OK;
}

static void add_object(struct dsr_objects *out, const struct rc_object *object, int32_t day)
{
    if (out->count == out->capacity) {
        out->capacity = out->capacity ? 2 * out->capacity : 16;
        out->items = rc_realloc(out->items, out->capacity * sizeof(*out->items));
    }
    out->items[out->count++] =
        (struct dsr_object){ .uri = rc_strdup(object->uri), .day = day, .stat = object->stat };
}

/* Whether there is a folder of any of the days; warns of those that are named like none. */
static enum rc_code look_for_days(struct rc_job *job, const char *folder, int32_t first_day,
                                  int32_t last_day, bool *found, struct rc_error *err)
{
    const struct rc_list_options shallow = { .shallow = true };
    struct rc_listing *listing;
    const struct rc_object *object = NULL;
    int32_t day;
    enum rc_code code = rc_storage_list(job, folder, &shallow, &listing, err);

    *found = false;
    if (code)
        return code;
    while ((code = rc_storage_list_next(job, listing, &object, err)) == RC_OK && object) {
        if (!object->is_prefix)
            continue;
        if (day_of(object->name, &day))
            *found |= day >= first_day && day <= last_day;
        else if (rc_str_starts(object->name, "day="))
            rc_warn(job, "'%s' is no day, written as YYYY-MM-DD; nothing in it is searched",
                    object->uri);
    }
    rc_storage_list_close(job, listing);
    return code;
}

/*
 * All the days in one listing, as a request for each would be many times more in an object store:
 * days that are written so are in the order of their bytes.
 */
static enum rc_code list_days(struct rc_job *job, const char *folder, int32_t first_day,
                              int32_t last_day, struct dsr_objects *out, struct rc_error *err)
{
    char first[RC_DAY_TEXT], last[RC_DAY_TEXT];
    RC_STR_AUTO start = rc_strf("day=%s", rc_format_day(first_day, first));
    RC_STR_AUTO end = rc_strf("day=%s0", rc_format_day(last_day, last)); /* '0' comes behind '/' */
    const struct rc_list_options options = { .start_after = start };
    struct rc_listing *listing;
    const struct rc_object *object = NULL;
    enum rc_code code = rc_storage_list(job, folder, &options, &listing, err);

    if (code)
        return code;
    while ((code = rc_storage_list_next(job, listing, &object, err)) == RC_OK && object) {
        RC_STR_AUTO name = rc_strndup(object->name, strcspn(object->name, "/") + 1);
        int32_t day;

        if (strcmp(object->name, end) >= 0)
            break;
        if (day_of(name, &day))
            add_object(out, object, day);
    }
    rc_storage_list_close(job, listing);
    return code;
}

enum rc_code dsr_lake_list(struct rc_job *job, const struct dsr_places *places, size_t table,
                           int32_t shard, int32_t first_day, int32_t last_day,
                           struct dsr_objects *out, struct rc_error *err)
{
    RC_STR_AUTO folder = dsr_place_shard(places->tables[table], shard);
    bool found;

    *out = (struct dsr_objects){ .items = NULL };
    if (look_for_days(job, folder, first_day, last_day, &found, err) ||
        (found && list_days(job, folder, first_day, last_day, out, err))) {
        dsr_objects_clear(out);
        return rc_context(err, "list '%s'", folder);
    }
    return RC_OK;
}

void dsr_objects_clear(struct dsr_objects *objects)
{
    for (size_t i = 0; i < objects->count; i++)
        free(objects->items[i].uri);
    free(objects->items);
    *objects = (struct dsr_objects){ .items = NULL };
}

/* Of an object that was not found: whether the store can say so, as it lists the place. */
static enum rc_code make_sure(struct rc_job *job, const char *uri, struct rc_error *err)
{
    const struct rc_object *object;
    struct rc_listing *listing;
    enum rc_code code;

    if (rc_storage_list(job, uri, NULL, &listing, err))
        return err->code;
    code = rc_storage_list_next(job, listing, &object, err);
    if (!code && object && rc_str_eq(object->uri, uri))
        code = rc_fail(err, RC_CONFLICT, "'%s' is listed, and was not found a moment ago", uri);
    rc_storage_list_close(job, listing);
    return code;
}

enum rc_code dsr_lake_look(struct rc_job *job, const char *uri, struct rc_stat *out, bool *is_gone,
                           struct rc_error *err)
{
    enum rc_code code = rc_storage_stat(job, uri, out, err);

    *is_gone = code == RC_NOT_FOUND;
    return *is_gone ? make_sure(job, uri, err) : code;
}

void dsr_lake_leave(struct rc_job *job, const struct dsr_object *object)
{
    if (object->stat.size_bytes > 0 &&
        (rc_str_ends(object->uri, ".parquet") || rc_str_ends(object->uri, ".parquet.encrypted")))
        rc_warn(job,
                "'%s' does not begin and end as a Parquet file whose footer can be read; it is "
                "left alone",
                object->uri);
}

/* ---- reading ---- */

/* Bytes of the object that are in memory. */
struct window {
    char *data;
    int64_t offset, len;
};

struct dsr_reader {
    struct rc_job *job;
    char *uri, *version;
    struct rc_stat stat;
    struct pq_source source;
    struct window tail, ahead;
    int64_t next; /* behind what was last fetched into 'ahead' */
    int64_t ahead_bytes;
    int64_t read_bytes;
};

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static enum rc_code read_all(struct dsr_reader *reader, struct rc_reader *from, int64_t offset,
                             char *data, int64_t len, struct rc_error *err)
{
    while (len > 0) {
        size_t got;

        if (rc_storage_read(reader->job, from, data, (size_t)len, &got, err))
            return err->code;
        if (got == 0)
            return rc_fail(err, RC_CORRUPT, "it ends at %lld bytes of %lld", (long long)offset,
                           (long long)reader->stat.size_bytes);
        data += got;
        offset += (int64_t)got;
        len -= (int64_t)got;
        reader->read_bytes += (int64_t)got;
    }
    return RC_OK;
}

/* One request. */
static enum rc_code fetch(struct dsr_reader *reader, int64_t offset, char *data, int64_t len,
                          struct rc_error *err)
{
    const struct rc_get_options options = {
        .struct_bytes = sizeof(options),
        .offset_bytes = offset,
        .len_bytes = len,
        .if_match = reader->version ? NULL : reader->stat.etag,
        .version = reader->version,
    };
    struct rc_reader *from;
    enum rc_code code = rc_storage_open_with(reader->job, reader->uri, &options, &from, err);

    if (!code) {
        code = read_all(reader, from, offset, data, len, err);
        rc_storage_read_close(reader->job, from);
    }
    if (code == RC_NOT_FOUND)
        code = rc_fail(err, RC_CONFLICT, "it is gone");
    return code ? rc_context(err, "read '%s'", reader->uri) : RC_OK;
}

static bool holds(const struct window *window, int64_t offset, int64_t len)
{
    return offset >= window->offset && offset + len <= window->offset + window->len;
}

static enum rc_code fill(struct dsr_reader *reader, struct window *window, int64_t offset,
                         int64_t len, struct rc_error *err)
{
    window->len = 0;
    window->data = rc_realloc(window->data, (size_t)len + 1);
    if (fetch(reader, offset, window->data, len, err))
        return err->code;
    window->offset = offset;
    window->len = len;
    return RC_OK;
}

/* What is neither at the end nor read ahead: more of it, the longer it goes on in one piece. */
static enum rc_code read_ahead(struct dsr_reader *reader, int64_t offset, char *data, int64_t len,
                               struct rc_error *err)
{
    const struct window *ahead = &reader->ahead;
    int64_t rest = reader->stat.size_bytes - offset;

    /* The part of it that is there already. */
    if (offset >= ahead->offset && offset < ahead->offset + ahead->len) {
        int64_t there = ahead->offset + ahead->len - offset;

        memcpy(data, ahead->data + (offset - ahead->offset), (size_t)there);
        offset += there;
        data += there;
        len -= there;
        rest -= there;
    }
    reader->ahead_bytes =
        offset == reader->next ? least(2 * reader->ahead_bytes, MOST_AHEAD) : LEAST_AHEAD;
    reader->next = offset + len;
    if (len >= reader->ahead_bytes)
        return fetch(reader, offset, data, len, err);
    if (fill(reader, &reader->ahead, offset, least(reader->ahead_bytes, rest), err))
        return err->code;
    reader->next = offset + ahead->len;
    memcpy(data, ahead->data, (size_t)len);
    return RC_OK;
}

static enum rc_code source_read(void *context, int64_t offset_bytes, void *data, size_t len,
                                struct rc_error *err)
{
    struct dsr_reader *reader = context;
    const struct window *window = &reader->tail;
    int64_t size = reader->stat.size_bytes, tail = size - least(TAIL_BYTES, size);

    RC_ASSERT(offset_bytes >= 0);
    if (offset_bytes > size || (int64_t)len > size - offset_bytes)
        return rc_fail(err, RC_INVALID, "'%s' has %lld bytes, and %zu were wanted from %lld on",
                       reader->uri, (long long)size, len, (long long)offset_bytes);
    if (offset_bytes >= tail && !window->data && len > 0 &&
        fill(reader, &reader->tail, tail, size - tail, err))
        return err->code;
    if (!holds(window, offset_bytes, (int64_t)len))
        window = &reader->ahead;
    if (!holds(window, offset_bytes, (int64_t)len))
        return read_ahead(reader, offset_bytes, data, (int64_t)len, err);
    if (len > 0)
        memcpy(data, window->data + (offset_bytes - window->offset), len);
    return RC_OK;
}

enum rc_code dsr_reader_open(struct rc_job *job, const char *uri, const struct rc_stat *stat,
                             const char *version, struct dsr_reader **out, struct rc_error *err)
{
    struct dsr_reader *reader;

    if (stat->size_bytes < 0)
        return rc_fail(err, RC_INVALID, "the size of '%s' is not known", uri);
    reader = rc_malloc(sizeof(*reader));
    *reader = (struct dsr_reader){
        .job = job,
        .uri = rc_strdup(uri),
        .version = rc_strdup(version),
        .stat = *stat,
        .ahead_bytes = LEAST_AHEAD,
        .next = -1,
    };
    reader->source = (struct pq_source){
        .read = source_read,
        .context = reader,
        .size_bytes = stat->size_bytes,
        .name = reader->uri,
    };
    *out = reader;
    return RC_OK;
}

const struct pq_source *dsr_reader_source(const struct dsr_reader *reader)
{
    return &reader->source;
}

int64_t dsr_reader_bytes(const struct dsr_reader *reader)
{
    return reader->read_bytes;
}

void dsr_reader_close(struct dsr_reader *reader)
{
    if (!reader)
        return;
    free(reader->tail.data);
    free(reader->ahead.data);
    free(reader->uri);
    free(reader->version);
    free(reader);
}

enum rc_code dsr_reader_is_data(struct dsr_reader *reader, bool *is_data, struct rc_error *err)
{
    int64_t size = reader->stat.size_bytes;
    uint8_t head[MAGIC] = { 0 }, tail[MAGIC];

    *is_data = false;
    if (size < LEAST_FILE)
        return RC_OK;
    if (source_read(reader, size - MAGIC, tail, MAGIC, err))
        return err->code;
    /* What does not end as data does is not asked for its beginning. */
    if (!pq_is_parquet(tail, tail))
        return RC_OK;
    if (source_read(reader, 0, head, MAGIC, err))
        return err->code;
    *is_data = pq_is_parquet(head, tail);
    return RC_OK;
}
