/*
 * A store in memory that takes the place of S3 in the one program that includes it. It cuts,
 * garbles and refuses as a test wants, replaces objects under their readers, and knows what was
 * begun and never ended. Each bucket is a store of its own.
 */
#ifndef MEMORY_STORE_H
#define MEMORY_STORE_H

#include <os/clock.h>
#include <storage/backend.h>
#include <storage/transfer_internal.h>

#include <run-core/str.h>

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { PART = 3 * 1024 * 1024, LARGE = 20 * 1024 * 1024 + 77, UPLOADS = 16 };

/* ---- a store in memory -------------------------------------------------------------------- */

struct object {
    char *name; /* "bucket/key" */
    char *data;
    size_t len;
    char etag[RC_ETAG_TEXT];
    char crc32c[16];
    struct rc_attributes attributes;
};

/* An upload that was left. */
struct left_upload {
    char *id, *name, *data; /* without an id: there is none */
    size_t len;
    bool has[64]; /* of its parts */
};

/* How often each goes wrong from now on, and what was seen. */
static struct {
    pthread_mutex_t lock;
    struct object objects[4000];
    size_t count;

    int cut_reads, garbled_reads, refused_puts, refused_commits, replaced_reads;
    /* Of removals: the call, or one of its objects, is refused for now; the call says that it is
       not as it was; an object is replaced just before. */
    int refused_removals, refused_keys, conflicting_removals, replaced_removals;
    int64_t cut_at;
    bool says_crc, says_md5;
    int64_t part_bytes; /* of objects that are stored from now on; 0: stored whole */
    int busy, most_busy, open_uploads, put_pause_ms, puts;
    int takes_one_of;      /* puts, and fails at the others for good; 0: it takes all */
    int offered;           /* of those */
    bool keeps_uploads;    /* so that they can be left */
    bool takes_plain_puts; /* not only of transfers, which say what goes with an object */
    struct left_upload left[UPLOADS];
    int begun_uploads, given_up, refused_resumes;
    int refused_parts_from;         /* all behind so many are refused; 0: none is */
    bool has_tags;                  /* all objects have one */
    int tagged;                     /* what was written with it */
    int listings;                   /* that were opened */
    void (*at_listing)(int number); /* as each is opened; or NULL */
} memory = { .lock = PTHREAD_MUTEX_INITIALIZER };

static bool happens(int *left)
{
    bool does;

    pthread_mutex_lock(&memory.lock);
    does = *left > 0;
    if (does)
        --*left;
    pthread_mutex_unlock(&memory.lock);
    return does;
}

static char *name_of(const struct core_place_in_store *place)
{
    return rc_strf("%s/%s", place->bucket, place->key);
}

/* With the lock: where the name is, or would be. */
static size_t position(const char *name, bool *found)
{
    size_t low = 0, high = memory.count;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (strcmp(memory.objects[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *found = low < memory.count && rc_str_eq(memory.objects[low].name, name);
    return low;
}

static void free_object(struct object *object)
{
    free(object->name);
    free(object->data);
}

static void describe(struct object *object)
{
    unsigned char digest[CORE_DIGEST_BYTES];
    RC_BUF_AUTO(text, 100);
    uint32_t crc = core_crc32c(0, object->data, object->len);

    core_digest(CORE_MD5, object->data, object->len, digest);
    core_add_hex(&text, digest, core_digest_len(CORE_MD5));
    memcpy(object->etag, text.data, text.len + 1);
    for (int i = 0; i < 4; i++)
        digest[i] = (unsigned char)(crc >> (24 - 8 * i));
    rc_buf_reset(&text);
    core_add_base64(&text, digest, 4);
    memcpy(object->crc32c, text.data, text.len + 1);
}

/* The tag that S3 gives to what was uploaded in parts of this size. */
static void describe_parts(struct object *object, size_t part)
{
    unsigned char md5s[64][CORE_TRANSFER_MD5], digest[CORE_DIGEST_BYTES];
    size_t count = 0;

    for (size_t at = 0; at < object->len; at += part) {
        size_t len = object->len - at < part ? object->len - at : part;

        core_digest(CORE_MD5, object->data + at, len, digest);
        memcpy(md5s[count++], digest, CORE_TRANSFER_MD5);
    }
    RC_STR_AUTO etag =
        core_transfer_etag_join((const unsigned char(*)[CORE_TRANSFER_MD5])md5s, count);
    memcpy(object->etag, etag, strlen(etag) + 1);
}

/* Takes 'data'. */
static void store(const char *name, char *data, size_t len, struct rc_stat *written)
{
    struct object object = { .name = rc_strdup(name), .data = data, .len = len };
    bool found;
    size_t at;

    describe(&object);
    if (memory.part_bytes > 0 && len > (size_t)memory.part_bytes)
        describe_parts(&object, (size_t)memory.part_bytes);
    pthread_mutex_lock(&memory.lock);
    at = position(name, &found);
    if (found) {
        free_object(&memory.objects[at]);
    } else {
        assert_true(memory.count < RC_ARRAY_LEN(memory.objects));
        memmove(&memory.objects[at + 1], &memory.objects[at],
                (memory.count++ - at) * sizeof(object));
    }
    memory.objects[at] = object;
    pthread_mutex_unlock(&memory.lock);
    if (written) {
        *written = (struct rc_stat){ .size_bytes = (int64_t)len };
        memcpy(written->etag, object.etag, sizeof(object.etag));
    }
}

static void keep(const char *name, const char *text)
{
    store(name, rc_strdup(text), strlen(text), NULL);
}

/* A copy of the object, for the caller to free; false: there is none. */
static bool take_copy(const char *name, struct object *out)
{
    bool found;
    size_t at;

    pthread_mutex_lock(&memory.lock);
    at = position(name, &found);
    if (found) {
        *out = memory.objects[at];
        out->name = rc_strdup(name);
        out->data = rc_malloc(out->len + 1);
        memcpy(out->data, memory.objects[at].data, out->len);
        out->data[out->len] = '\0';
    }
    pthread_mutex_unlock(&memory.lock);
    return found;
}

static void drop(const char *name)
{
    bool found;
    size_t at;

    pthread_mutex_lock(&memory.lock);
    at = position(name, &found);
    if (found) {
        free_object(&memory.objects[at]);
        memmove(&memory.objects[at], &memory.objects[at + 1],
                (--memory.count - at) * sizeof(memory.objects[0]));
    }
    pthread_mutex_unlock(&memory.lock);
}

static enum rc_code missing(const char *name, struct rc_error *err)
{
    return rc_fail(err, RC_NOT_FOUND, "there is no '%s'", name);
}

static struct rc_stat stat_of(const struct object *object)
{
    struct rc_stat stat = { .size_bytes = (int64_t)object->len, .modified_unix_ms = 1 };

    memcpy(stat.etag, object->etag, sizeof(stat.etag));
    return stat;
}

static enum rc_code memory_stat(const struct core_place_in_store *place, struct rc_stat *out,
                                struct core_object_detail *detail, struct rc_error *err)
{
    RC_STR_AUTO name = name_of(place);
    struct object object;

    if (!take_copy(name, &object))
        return missing(name, err);
    *out = stat_of(&object);
    if (detail && memory.says_md5)
        detail->md5_hex = core_arena_strdup(&detail->arena, object.etag);
    if (detail && memory.says_crc)
        detail->crc32c = core_arena_strdup(&detail->arena, object.crc32c);
    if (detail)
        detail->has_tags = memory.has_tags;
    free_object(&object);
    return RC_OK;
}

static enum rc_code memory_tags(const struct core_place_in_store *place,
                                struct core_object_detail *detail, struct rc_error *err)
{
    static const struct rc_pair tags[] = { { "color", "green" } };

    (void)place;
    (void)err;
    detail->attributes.tags = (struct rc_map){ .len = 1, .items = tags };
    detail->has_tags = false;
    return RC_OK;
}

static void note_tags(const struct rc_attributes *attributes)
{
    pthread_mutex_lock(&memory.lock);
    memory.tagged += attributes->tags.len == 1;
    pthread_mutex_unlock(&memory.lock);
}

/* ---- listing */

struct memory_listing {
    struct rc_listing base;
    char *prefix, *last;
    struct core_listed listed;
};

static enum rc_code listing_next(struct rc_listing *base, const struct core_listed **out,
                                 struct rc_error *err)
{
    struct memory_listing *listing = (struct memory_listing *)base;
    bool found;
    size_t at;

    (void)err;
    *out = NULL;
    pthread_mutex_lock(&memory.lock);
    at = position(listing->last ? listing->last : listing->prefix, &found);
    if (listing->last && found)
        at++;
    if (at < memory.count && rc_str_starts(memory.objects[at].name, listing->prefix)) {
        free(listing->last);
        listing->last = rc_strdup(memory.objects[at].name);
        listing->listed.object = (struct rc_object){
            .name = listing->last + strlen(listing->prefix),
            .stat = stat_of(&memory.objects[at]),
        };
        *out = &listing->listed;
    }
    pthread_mutex_unlock(&memory.lock);
    return RC_OK;
}

static void listing_close(struct rc_listing *base)
{
    struct memory_listing *listing = (struct memory_listing *)base;

    free(listing->prefix);
    free(listing->last);
    free(listing);
}

static const struct core_listing_ops listing_ops = { .next = listing_next, .close = listing_close };

static enum rc_code memory_list(const struct core_place_in_store *prefix,
                                const struct core_list_options *options, struct rc_listing **out,
                                struct rc_error *err)
{
    struct memory_listing *listing = rc_calloc(1, sizeof(*listing));
    const char *after = options->plain.start_after;

    (void)err;
    memory.listings++;
    if (memory.at_listing)
        memory.at_listing(memory.listings);
    listing->base.ops = &listing_ops;
    listing->prefix = name_of(prefix);
    if (after)
        listing->last = rc_strf("%s%s", listing->prefix, after);
    *out = &listing->base;
    return RC_OK;
}

/* ---- reading */

struct memory_reader {
    struct rc_reader base;
    struct object object;
    int64_t at, end, cut_at;
    bool is_garbled;
};

static enum rc_code reader_read(struct rc_reader *base, void *data, size_t capacity, size_t *len,
                                struct rc_error *err)
{
    struct memory_reader *reader = (struct memory_reader *)base;
    int64_t left = reader->end - reader->at;

    *len = 0;
    if (reader->cut_at >= 0 && reader->at >= reader->cut_at)
        return rc_fail(err, RC_UNAVAILABLE, "the connection broke");
    if (left > 100000)
        left = 100000;
    *len = left < (int64_t)capacity ? (size_t)left : capacity;
    memcpy(data, reader->object.data + reader->at, *len);
    if (reader->is_garbled && *len > 0) {
        *(char *)data ^= 1;
        reader->is_garbled = false;
    }
    reader->at += (int64_t)*len;
    return RC_OK;
}

static void reader_close(struct rc_reader *base)
{
    struct memory_reader *reader = (struct memory_reader *)base;

    free_object(&reader->object);
    free(reader);
}

static enum rc_code reader_detail(struct rc_reader *base, struct core_object_detail *detail,
                                  struct rc_error *err)
{
    (void)base;
    (void)err;
    detail->attributes.content_type = core_arena_strdup(&detail->arena, "text/odd");
    detail->has_tags = memory.has_tags;
    return RC_OK;
}

static const struct core_reader_ops reader_ops = {
    .read = reader_read,
    .close = reader_close,
    .detail = reader_detail,
};

static enum rc_code memory_open(const struct core_place_in_store *place,
                                const struct core_range *range, struct rc_reader **out,
                                struct rc_error *err)
{
    RC_STR_AUTO name = name_of(place);
    struct memory_reader *reader;
    struct object object;
    int64_t left;

    if (happens(&memory.replaced_reads)) {
        char *other = rc_malloc(LARGE);

        memset(other, 'R', LARGE);
        store(name, other, LARGE, NULL);
    }
    if (!take_copy(name, &object))
        return missing(name, err);
    if (range->if_match && !rc_str_eq(range->if_match, object.etag)) {
        free_object(&object);
        return rc_fail(err, RC_CONFLICT, "'%s' was replaced", name);
    }
    reader = rc_calloc(1, sizeof(*reader));
    left = (int64_t)object.len - range->offset_bytes;
    *reader = (struct memory_reader){
        .base = { .ops = &reader_ops, .stat = stat_of(&object) },
        .object = object,
        .at = range->offset_bytes,
        .end = range->offset_bytes +
               (range->len_bytes < 0 || range->len_bytes > left ? left : range->len_bytes),
        .cut_at = happens(&memory.cut_reads) ? range->offset_bytes + memory.cut_at : -1,
        .is_garbled = happens(&memory.garbled_reads),
    };
    *out = &reader->base;
    return RC_OK;
}

/* ---- writing */

static void enter(void)
{
    pthread_mutex_lock(&memory.lock);
    memory.puts++;
    memory.busy++;
    if (memory.busy > memory.most_busy)
        memory.most_busy = memory.busy;
    pthread_mutex_unlock(&memory.lock);
    if (memory.put_pause_ms > 0)
        core_clock_sleep_ms(memory.put_pause_ms);
}

static void leave(void)
{
    pthread_mutex_lock(&memory.lock);
    memory.busy--;
    pthread_mutex_unlock(&memory.lock);
}

static bool is_taken(void)
{
    bool taken;

    pthread_mutex_lock(&memory.lock);
    taken = memory.takes_one_of == 0 || ++memory.offered % memory.takes_one_of == 0;
    pthread_mutex_unlock(&memory.lock);
    return taken;
}

static enum rc_code memory_put(const struct core_place_in_store *place, const void *data,
                               size_t len, const struct rc_put_options *options,
                               struct rc_stat *written, struct rc_error *err)
{
    RC_STR_AUTO name = name_of(place);
    char *copy;

    if (happens(&memory.refused_puts))
        return rc_fail(err, RC_UNAVAILABLE, "503 SlowDown");
    if (!is_taken())
        return rc_fail(err, RC_FAILED, "418 I am a teapot");
    assert_int_equal(options->size_bytes, len);
    assert_true(options->attributes || memory.takes_plain_puts);
    if (options->attributes)
        note_tags(options->attributes);
    enter();
    copy = rc_malloc(len + 1);
    memcpy(copy, data, len);
    store(name, copy, len, written);
    leave();
    return RC_OK;
}

struct memory_parts {
    struct core_parts base;
    char *name, *data;
    size_t len;
    char id[16];
    bool has[64], had[64]; /* put now; or before it was left */
};

static enum rc_code parts_put(struct core_parts *base, int64_t offset_bytes,
                              const struct core_http_content *content, struct rc_error *err)
{
    struct memory_parts *parts = (struct memory_parts *)base;
    int64_t done = 0;
    size_t len;
    bool again = happens(&memory.refused_puts);

    if (memory.refused_parts_from > 0 && memory.puts >= memory.refused_parts_from)
        return rc_fail(err, RC_UNAVAILABLE, "503 for a part");
    enter();
    do {
        if (content->read(content->context, done, parts->data + offset_bytes + done, 70000, &len,
                          err)) {
            leave();
            return err->code;
        }
        done += (int64_t)len;
        if (again && done > 100000) { /* what a client does that was cut: all from the begin */
            done = 0;
            again = false;
        }
    } while (len > 0);
    leave();
    assert_int_equal(done, content->len_bytes);
    parts->has[offset_bytes / PART] = true;
    return RC_OK;
}

static enum rc_code parts_commit(struct core_parts *base, struct rc_error *err)
{
    struct memory_parts *parts = (struct memory_parts *)base;

    if (happens(&memory.refused_commits))
        return rc_fail(err, RC_UNAVAILABLE, "503 at the end");
    store(parts->name, parts->data, parts->len, &base->stat);
    parts->data = NULL;
    return RC_OK;
}

static bool parts_has(struct core_parts *base, int64_t offset_bytes, int64_t len_bytes,
                      unsigned char md5[16])
{
    struct memory_parts *parts = (struct memory_parts *)base;
    unsigned char digest[CORE_DIGEST_BYTES];

    if (!parts->had[offset_bytes / PART])
        return false;
    core_digest(CORE_MD5, parts->data + offset_bytes, (size_t)len_bytes, digest);
    memcpy(md5, digest, 16);
    return true;
}

static void parts_close(struct core_parts *base)
{
    struct memory_parts *parts = (struct memory_parts *)base;

    pthread_mutex_lock(&memory.lock);
    memory.open_uploads--;
    pthread_mutex_unlock(&memory.lock);
    free(parts->name);
    free(parts->data);
    free(parts);
}

/* With the lock held: the upload of that id; NULL: an empty place. */
static struct left_upload *find_left(const char *id)
{
    for (int i = 0; i < UPLOADS; i++)
        if (rc_str_eq(memory.left[i].id, id))
            return &memory.left[i];
    return NULL;
}

static void parts_leave(struct core_parts *base)
{
    struct memory_parts *parts = (struct memory_parts *)base;
    struct left_upload *left;

    pthread_mutex_lock(&memory.lock);
    left = find_left(NULL);
    assert_non_null(left);
    *left = (struct left_upload){
        .id = rc_strdup(parts->id),
        .name = rc_strdup(parts->name),
        .data = parts->data,
        .len = parts->len,
    };
    for (size_t i = 0; i < RC_ARRAY_LEN(left->has); i++)
        left->has[i] = parts->has[i] || parts->had[i];
    pthread_mutex_unlock(&memory.lock);
    parts->data = NULL;
    parts_close(base);
}

static const struct core_parts_ops parts_ops = {
    .put = parts_put,
    .commit = parts_commit,
    .close = parts_close,
    .has = parts_has,
    .leave = parts_leave,
};

static enum rc_code memory_begin_parts(const struct core_place_in_store *place,
                                       const struct rc_put_options *options,
                                       struct core_parts **out, struct rc_error *err)
{
    struct memory_parts *parts = rc_calloc(1, sizeof(*parts));

    (void)err;
    note_tags(options->attributes);
    *parts = (struct memory_parts){
        .base = { .ops = &parts_ops, .part_bytes = PART },
        .name = name_of(place),
        .data = rc_calloc(1, (size_t)options->size_bytes + 70000),
        .len = (size_t)options->size_bytes,
    };
    pthread_mutex_lock(&memory.lock);
    memory.open_uploads++;
    (void)snprintf(parts->id, sizeof(parts->id), "id%d", memory.begun_uploads++);
    pthread_mutex_unlock(&memory.lock);
    if (memory.keeps_uploads)
        parts->base.id = parts->id;
    *out = &parts->base;
    return RC_OK;
}

static void free_left(struct left_upload *left)
{
    free(left->id);
    free(left->name);
    free(left->data);
    *left = (struct left_upload){ .id = NULL };
}

static enum rc_code memory_resume_parts(const struct core_place_in_store *place,
                                        const struct rc_put_options *options,
                                        const struct core_left_parts *wanted,
                                        struct core_parts **out, struct rc_error *err)
{
    RC_STR_AUTO name = name_of(place);
    struct memory_parts *parts;
    struct left_upload *left;

    if (happens(&memory.refused_resumes))
        return rc_fail(err, RC_UNAVAILABLE, "503 for a list of parts");
    assert_int_equal(wanted->part_bytes, PART);
    pthread_mutex_lock(&memory.lock);
    left = find_left(wanted->id);
    pthread_mutex_unlock(&memory.lock);
    if (!left)
        return rc_fail(err, RC_NOT_FOUND, "there is no upload '%s'", wanted->id);
    assert_string_equal(left->name, name);
    assert_int_equal(left->len, options->size_bytes);
    if (memory_begin_parts(place, options, out, err))
        return err->code;
    parts = (struct memory_parts *)*out;
    free(parts->data);
    parts->data = left->data;
    left->data = NULL;
    memcpy(parts->had, left->has, sizeof(parts->had));
    memcpy(parts->id, left->id, strlen(left->id) + 1);
    memory.begun_uploads--;
    free_left(left);
    return RC_OK;
}

static enum rc_code memory_give_up_parts(const struct core_place_in_store *place,
                                         const struct core_left_parts *wanted, struct rc_error *err)
{
    RC_STR_AUTO name = name_of(place);

    (void)err;
    pthread_mutex_lock(&memory.lock);
    for (int i = 0; i < UPLOADS; i++) {
        const struct left_upload *left = &memory.left[i];

        if (wanted->id ? !rc_str_eq(left->id, wanted->id) : !rc_str_eq(left->name, name))
            continue;
        free_left(&memory.left[i]);
        memory.given_up++;
    }
    pthread_mutex_unlock(&memory.lock);
    return RC_OK;
}

static enum rc_code memory_create(const struct core_place_in_store *place,
                                  const struct rc_put_options *options, struct rc_writer **out,
                                  struct rc_error *err)
{
    (void)options;
    (void)out;
    return rc_fail(err, RC_UNSUPPORTED, "'%s': no streams here", place->key);
}

static enum rc_code remove_one(const struct core_place_in_store *place, const char *name,
                               struct rc_error *err)
{
    struct object object;
    enum rc_code code = RC_OK;

    if (happens(&memory.replaced_removals))
        keep(name, "replaced");
    if (!take_copy(name, &object))
        return RC_OK;
    if (place->remove_if_match && !rc_str_eq(place->remove_if_match, object.etag))
        code = rc_fail(err, RC_CONFLICT, "'%s' was replaced", name);
    else if (happens(&memory.refused_keys))
        code = rc_fail(err, RC_UNAVAILABLE, "503 for '%s'", name);
    else
        drop(name);
    free_object(&object);
    return code;
}

static enum rc_code memory_remove(const struct core_place_in_store *places, size_t count,
                                  const struct core_remove_report *report, struct rc_error *err)
{
    for (size_t i = 0; i < count; i++) {
        RC_STR_AUTO name = name_of(&places[i]);
        struct rc_error one = RC_ERROR_INIT;

        if (happens(&memory.refused_removals))
            return rc_fail(err, RC_UNAVAILABLE, "503 for a removal");
        if (happens(&memory.conflicting_removals))
            return rc_fail(err, RC_CONFLICT, "412 for a removal");
        if (remove_one(&places[i], name, &one))
            report->failed(report->context, i, &one);
    }
    return RC_OK;
}

static bool is_same_store(const struct core_place_in_store *source,
                          const struct core_place_in_store *target)
{
    return rc_str_eq(source->bucket, target->bucket);
}

const struct core_storage_ops core_storage_s3 = {
    .scheme = "s3",
    .list = memory_list,
    .stat = memory_stat,
    .tags = memory_tags,
    .open = memory_open,
    .create = memory_create,
    .remove = memory_remove,
    .put = memory_put,
    .begin_parts = memory_begin_parts,
    .resume_parts = memory_resume_parts,
    .give_up_parts = memory_give_up_parts,
    .is_same_store = is_same_store,
};

#endif
