/*
 * Writing S3 objects: at once, as a stream that becomes an upload in parts when it is long, and in
 * parts by many threads. A stream's parts are sent in the background while the next one fills, a
 * few at a time.
 */
#include <storage/s3.h>

#include <run-core/str.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
    IN_FLIGHT = 3,                    /* parts of a stream on their way at once ... */
    BUFFERED_LIMIT = 64 * 1024 * 1024 /* ... and fewer if they have more bytes than this */
};

/* ---- at once --------------------------------------------------------------------------------- */

enum rc_code core_s3_settle_options(const struct core_place_in_store *place,
                                    const struct rc_put_options *given, struct rc_put_options *out,
                                    struct core_object_detail *kept, struct rc_error *err)
{
    struct rc_stat stat;
    enum rc_code code;

    *out = *given;
    if (!given->keep_attributes)
        return RC_OK;
    code = core_s3_stat(place, &stat, kept, err);
    if (code == RC_NOT_FOUND || (!code && !rc_str_eq(stat.etag, given->if_match)))
        return rc_fail(err, RC_CONFLICT, "write '%s': its entity tag is '%s', not '%s'", place->uri,
                       code ? "" : stat.etag, given->if_match);
    if (code || (kept->has_tags && core_s3_tags(place, kept, err)))
        return err->code;
    /* Of the usual class nothing is said, but the settings may name another one. */
    if (!kept->attributes.storage_class)
        kept->attributes.storage_class =
            place->settings && place->settings->storage_class ? "STANDARD" : NULL;
    out->attributes = &kept->attributes;
    return RC_OK;
}

/* What is written at once. */
struct put {
    struct core_s3_condition condition;
    char mark[CORE_S3_MARK_TEXT]; /* with a condition */
    struct rc_put_options options;
    struct core_object_detail kept;
    const void *data;
    size_t len;
};

/* Of a write that was refused, or of which nothing was heard in the end: whether it is there. */
static enum rc_code find_put(struct put *put, const struct core_s3_request *request,
                             struct rc_stat *stat, bool *again, struct rc_error *err)
{
    const struct core_s3_made made = { NULL, put->mark, (int64_t)put->len, request->sends, false };
    const struct rc_error failure = *err;
    RC_STR_AUTO version = NULL;

    if (put->condition.is_sent) {
        /* An entity tag is wanted, and there is no object. */
        if (rc_str_eq(request->refusal.code, "NoSuchKey"))
            err->code = RC_CONFLICT;
        if (err->code != RC_CONFLICT)
            return err->code;
        if (core_s3_has_mark(put->condition.place, put->mark, stat, &version)) {
            *err = (struct rc_error)RC_ERROR_INIT;
            return RC_OK;
        }
        *again = !core_s3_condition_refused(&put->condition, request, err);
        return err->code;
    }
    if (!put->condition.if_match || (request->sends <= 1 && !rc_retryable(err->code)))
        return err->code;
    *err = (struct rc_error)RC_ERROR_INIT;
    if (!core_s3_condition_settle(&put->condition, &made, stat, err))
        return RC_OK;
    if (err->code != RC_CONFLICT)
        *err = failure;
    return err->code;
}

/* '*again': it was not written, and is to be sent without the condition. */
static enum rc_code put_once(struct put *put, struct rc_stat *stat, bool *again,
                             struct rc_error *err)
{
    const struct core_s3_condition *condition = &put->condition;
    CORE_S3_REQUEST_AUTO(request, condition->place, "write", "PUT");
    CORE_S3_ANSWER_AUTO(answer);

    *again = false;
    if (core_s3_add_attributes(&request, put->options.attributes, err))
        return err->code;
    core_s3_add_kept(&request, &put->kept);
    core_s3_add_condition(&request, condition->is_sent ? condition->if_match : NULL);
    if (condition->if_match)
        core_s3_add_mark(&request, put->mark);
    request.body = put->data;
    request.body_len = put->len;
    request.answers_etag = true;
    if (core_s3_send(&request, &answer, err))
        return find_put(put, &request, stat, again, err);

    const struct core_s3_made made = {
        .version = core_http_answer_header(&answer, "x-amz-version-id"),
        .mark = put->mark,
        .size_bytes = stat->size_bytes,
        .sends = request.sends,
    };
    stat->modified_unix_ms = core_http_answer_time_unix_ms(&answer, "date");
    core_s3_set_etag(stat, core_http_answer_header(&answer, "etag"));
    return core_s3_condition_settle(condition, &made, /* stat = */ NULL, err);
}

enum rc_code core_s3_put(const struct core_place_in_store *place, const void *data, size_t len,
                         const struct rc_put_options *options, struct rc_stat *written,
                         struct rc_error *err)
{
    struct put put = { .kept = CORE_OBJECT_DETAIL_INIT, .data = data, .len = len };
    struct rc_stat stat = { .size_bytes = (int64_t)len };
    bool again = true;
    enum rc_code code = core_s3_settle_options(place, options, &put.options, &put.kept, err);

    if (!code)
        code = core_s3_condition_begin(&put.condition, place, options->if_match, err);
    while (!code && again)
        code = put_once(&put, &stat, &again, err);
    core_object_detail_clear(&put.kept);
    if (!code && written)
        *written = stat;
    return code;
}

/* ---- the size of parts ----------------------------------------------------------------------- */

int64_t core_s3_part_bytes(int64_t least_bytes, int64_t size_bytes, int64_t offset_bytes)
{
    enum { DEFAULT_MIB = 8, LEAST_MIB = 5, GROWTH = 1250 };
    int64_t least = least_bytes > 0 ? least_bytes : DEFAULT_MIB * CORE_S3_MIB;
    /* With a known size all are alike. Else, and behind the end of what was announced, a part is
       1/1250 of what went before: 5 TiB then take 1250 * (1 + ln(5 TiB / 10 GiB)), some 9,100. */
    int64_t needed = size_bytes >= offset_bytes
                         ? size_bytes / CORE_S3_PARTS + (size_bytes % CORE_S3_PARTS != 0)
                         : offset_bytes / GROWTH;

    if (needed > CORE_S3_MAX_PUT)
        needed = CORE_S3_MAX_PUT;
    needed = (needed + CORE_S3_MIB - 1) / CORE_S3_MIB * CORE_S3_MIB;
    if (least < LEAST_MIB * CORE_S3_MIB)
        least = LEAST_MIB * CORE_S3_MIB;
    if (needed < least)
        needed = least;
    return needed < CORE_S3_MAX_PUT ? needed : CORE_S3_MAX_PUT;
}

/* ---- a stream -------------------------------------------------------------------------------- */

/*
 * The memory of a part, which the next one takes over. It is the kernel's: what some threads
 * allocate and others free, in such sizes, stays in the allocator's arenas, in a multiple of what
 * is needed.
 */
struct room {
    struct room *next;
    size_t capacity;
    char data[];
};

static struct room *room_new(size_t capacity)
{
    struct room *room = mmap(NULL, sizeof(*room) + capacity, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (room == MAP_FAILED)
        return NULL;
    room->capacity = capacity;
    return room;
}

static void room_free(struct room *room)
{
    if (room)
        (void)munmap(room, sizeof(*room) + room->capacity);
}

struct s3_writer {
    struct rc_writer base;
    struct core_s3_place place;
    struct rc_put_options options; /* with texts of its own */
    struct rc_attributes attributes;
    struct core_arena arena;
    struct core_cancel stop; /* ends what is on its way */
    bool is_committed, has_failed;

    struct room *room;  /* of the part that fills; NULL: none has begun */
    size_t len;         /* of it */
    int64_t sent_bytes; /* in the parts before */
    int number;         /* of the last of them */
    struct core_s3_upload *upload;

    pthread_mutex_t mutex; /* over what follows */
    pthread_cond_t ended;
    int running;
    struct room *spares;
    struct rc_error err; /* the first of a part; RC_OK: none */
};

struct sent_part {
    struct s3_writer *writer;
    int number;
    struct room *room;
    size_t len;
};

static void *send_in_background(void *context)
{
    struct sent_part *part = context;
    struct s3_writer *writer = part->writer;
    struct rc_error err = RC_ERROR_INIT;
    enum rc_code code =
        core_s3_upload_put_data(writer->upload, part->number, part->room->data, part->len, &err);

    (void)pthread_mutex_lock(&writer->mutex);
    part->room->next = writer->spares;
    writer->spares = part->room;
    free(part);
    if (code && !writer->err.code) {
        writer->err = err;
        core_cancel_request(&writer->stop, RC_CANCELLED);
    }
    writer->running--;
    (void)pthread_cond_signal(&writer->ended);
    (void)pthread_mutex_unlock(&writer->mutex);
    return NULL;
}

/* Waits until fewer than 'limit' parts are on their way. */
static enum rc_code wait_for_parts(struct s3_writer *writer, int limit, struct rc_error *err)
{
    (void)pthread_mutex_lock(&writer->mutex);
    while (writer->running >= limit)
        (void)pthread_cond_wait(&writer->ended, &writer->mutex);
    *err = writer->err;
    (void)pthread_mutex_unlock(&writer->mutex);
    return err->code;
}

/* NULL: there is none. Of an object whose parts grow the smaller ones are of no use any more. */
static struct room *take_spare(struct s3_writer *writer, size_t capacity)
{
    struct room *room;

    (void)pthread_mutex_lock(&writer->mutex);
    while ((room = writer->spares) != NULL) {
        writer->spares = room->next;
        if (room->capacity >= capacity)
            break;
        room_free(room);
    }
    (void)pthread_mutex_unlock(&writer->mutex);
    return room;
}

static enum rc_code begin_data(struct s3_writer *writer, struct rc_error *err)
{
    const struct core_store_settings *settings = writer->place.at.settings;
    int64_t bytes = core_s3_part_bytes(settings ? settings->part_bytes : 0,
                                       writer->options.size_bytes, writer->sent_bytes);

    writer->len = 0;
    writer->room = take_spare(writer, (size_t)bytes);
    if (!writer->room)
        writer->room = room_new((size_t)bytes);
    if (!writer->room)
        return rc_fail(err, RC_FAILED,
                       "write '%s': there is no memory for a part of %zu MiB: say the size of the "
                       "object beforehand, or write several",
                       writer->place.uri, (size_t)bytes >> 20);
    return RC_OK;
}

static enum rc_code send_data(struct s3_writer *writer, struct rc_error *err)
{
    size_t in_flight = IN_FLIGHT * writer->room->capacity <= BUFFERED_LIMIT ? IN_FLIGHT : 1;
    struct sent_part *part;
    pthread_attr_t attributes;
    pthread_t thread;
    int failure;

    if (!writer->upload &&
        core_s3_upload_begin(&writer->place.at, &writer->options, &writer->upload, err))
        return err->code;
    if (wait_for_parts(writer, (int)in_flight, err))
        return err->code;
    part = rc_malloc(sizeof(*part));
    *part = (struct sent_part){ writer, ++writer->number, writer->room, writer->len };
    writer->sent_bytes += (int64_t)writer->len;
    writer->room = NULL;
    (void)pthread_mutex_lock(&writer->mutex);
    writer->running++;
    (void)pthread_mutex_unlock(&writer->mutex);
    (void)pthread_attr_init(&attributes);
    (void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    failure = pthread_create(&thread, &attributes, send_in_background, part);
    (void)pthread_attr_destroy(&attributes);
    if (failure)
        (void)send_in_background(part);
    return RC_OK;
}

static enum rc_code check_writer(const struct s3_writer *writer, struct rc_error *err)
{
    if (writer->is_committed)
        return rc_fail(err, RC_INVALID, "write '%s': it is committed already", writer->place.uri);
    /* Some of it is missing, so what there is must not become an object. */
    if (writer->has_failed)
        return rc_fail(err, RC_INVALID, "write '%s': writing it has failed before",
                       writer->place.uri);
    return RC_OK;
}

static enum rc_code take_data(struct s3_writer *writer, const char *from, size_t len,
                              struct rc_error *err)
{
    while (len > 0) {
        size_t piece;

        /* A full part waits for a byte behind it: one that is all of the object is no part. */
        if (writer->room && writer->len == writer->room->capacity && send_data(writer, err))
            return err->code;
        if (!writer->room && begin_data(writer, err))
            return err->code;
        piece = writer->room->capacity - writer->len;
        piece = piece < len ? piece : len;
        memcpy(writer->room->data + writer->len, from, piece);
        writer->len += piece;
        from += piece;
        len -= piece;
    }
    return RC_OK;
}

static enum rc_code writer_write(struct rc_writer *base, const void *data, size_t len,
                                 struct rc_error *err)
{
    struct s3_writer *writer = (struct s3_writer *)base;
    enum rc_code code = check_writer(writer, err);

    if (code)
        return code;
    code = take_data(writer, data, len, err);
    writer->has_failed = code != RC_OK;
    return code;
}

static enum rc_code writer_commit(struct rc_writer *base, struct rc_error *err)
{
    struct s3_writer *writer = (struct s3_writer *)base;

    if (check_writer(writer, err))
        return err->code;
    writer->is_committed = true;
    if (!writer->upload)
        return core_s3_put(&writer->place.at, writer->room ? writer->room->data : "", writer->len,
                           &writer->options, &base->stat, err);
    if ((writer->room && send_data(writer, err)) || wait_for_parts(writer, 1, err))
        return err->code;
    return core_s3_upload_complete(writer->upload, &base->stat, err);
}

static void writer_close(struct rc_writer *base)
{
    struct s3_writer *writer = (struct s3_writer *)base;
    struct rc_error ignored = RC_ERROR_INIT;

    core_cancel_request(&writer->stop, RC_CANCELLED);
    (void)!wait_for_parts(writer, 1, &ignored);
    core_s3_upload_free(writer->upload);
    room_free(writer->room);
    for (struct room *room = writer->spares, *next; room; room = next) {
        next = room->next;
        room_free(room);
    }
    core_arena_clear(&writer->arena);
    core_s3_place_clear(&writer->place);
    (void)pthread_cond_destroy(&writer->ended);
    (void)pthread_mutex_destroy(&writer->mutex);
    free(writer);
}

static const struct core_writer_ops writer_ops = {
    .write = writer_write,
    .commit = writer_commit,
    .close = writer_close,
};

/* Before anything is sent: what no request can say, and a name that no object has. */
static enum rc_code check_options(const struct core_place_in_store *place,
                                  const struct rc_put_options *options, struct rc_error *err)
{
    CORE_S3_REQUEST_AUTO(request, place, "write", "PUT");

    if (place->key[0] == '\0')
        return rc_fail(err, RC_INVALID, "write '%s': the URI names a bucket, not an object in it",
                       place->uri);
    return core_s3_add_attributes(&request, options->attributes, err);
}

enum rc_code core_s3_create(const struct core_place_in_store *place,
                            const struct rc_put_options *options, struct rc_writer **out,
                            struct rc_error *err)
{
    struct s3_writer *writer;

    *out = NULL;
    if (check_options(place, options, err))
        return err->code;
    writer = rc_malloc(sizeof(*writer));
    *writer = (struct s3_writer){
        .base = { .ops = &writer_ops },
        .arena = CORE_ARENA_INIT,
        .stop = { .parent = place->cancel },
        .err = RC_ERROR_INIT,
    };
    core_s3_place_copy(&writer->place, place);
    writer->place.at.cancel = &writer->stop;
    writer->options = (struct rc_put_options){
        .struct_bytes = sizeof(writer->options),
        .if_match = core_arena_strdup(&writer->arena, options->if_match),
        .size_bytes = options->size_bytes,
        .keep_attributes = options->keep_attributes,
    };
    if (options->attributes) {
        writer->attributes = core_attributes_copy(&writer->arena, options->attributes);
        writer->options.attributes = &writer->attributes;
    }
    (void)pthread_mutex_init(&writer->mutex, NULL);
    (void)pthread_cond_init(&writer->ended, NULL);
    *out = &writer->base;
    return RC_OK;
}

/* ---- by many threads ------------------------------------------------------------------------- */

struct s3_parts {
    struct core_parts base;
    struct core_s3_upload *upload;
};

static enum rc_code number_of(const struct core_parts *parts, int64_t offset_bytes, int *out,
                              struct rc_error *err)
{
    int64_t index = offset_bytes / parts->part_bytes;

    *out = 0;
    if (offset_bytes < 0 || offset_bytes % parts->part_bytes != 0 || index >= CORE_S3_PARTS)
        return rc_fail(err, RC_INVALID, "there is no part at byte %lld, with parts of %lld",
                       (long long)offset_bytes, (long long)parts->part_bytes);
    *out = (int)index + 1;
    return RC_OK;
}

static enum rc_code parts_put(struct core_parts *base, int64_t offset_bytes,
                              const struct core_http_content *content, struct rc_error *err)
{
    struct s3_parts *parts = (struct s3_parts *)base;
    int number;

    if (number_of(base, offset_bytes, &number, err))
        return err->code;
    return core_s3_upload_put(parts->upload, number, content, err);
}

static enum rc_code parts_copy(struct core_parts *base, int64_t offset_bytes,
                               const struct core_place_in_store *source,
                               const char *source_if_match, int64_t len_bytes, struct rc_error *err)
{
    struct s3_parts *parts = (struct s3_parts *)base;
    int number;

    if (number_of(base, offset_bytes, &number, err))
        return err->code;
    return core_s3_upload_copy(parts->upload, number, source, source_if_match, offset_bytes,
                               len_bytes, err);
}

static enum rc_code parts_commit(struct core_parts *base, struct rc_error *err)
{
    struct s3_parts *parts = (struct s3_parts *)base;

    return core_s3_upload_complete(parts->upload, &base->stat, err);
}

static void parts_close(struct core_parts *base)
{
    struct s3_parts *parts = (struct s3_parts *)base;

    core_s3_upload_free(parts->upload);
    free(parts);
}

static bool parts_has(struct core_parts *base, int64_t offset_bytes, int64_t len_bytes,
                      unsigned char md5[16])
{
    struct s3_parts *parts = (struct s3_parts *)base;

    return core_s3_upload_has(parts->upload, (int)(offset_bytes / base->part_bytes) + 1, len_bytes,
                              md5);
}

static void parts_leave(struct core_parts *base)
{
    struct s3_parts *parts = (struct s3_parts *)base;

    core_s3_upload_leave(parts->upload);
    free(parts);
}

static const struct core_parts_ops parts_ops = {
    .put = parts_put,
    .copy = parts_copy,
    .commit = parts_commit,
    .close = parts_close,
    .has = parts_has,
    .leave = parts_leave,
};

static struct core_parts *parts_new(struct core_s3_upload *upload, int64_t part_bytes)
{
    struct s3_parts *parts = rc_malloc(sizeof(*parts));

    *parts = (struct s3_parts){
        .base = { .ops = &parts_ops, .part_bytes = part_bytes, .id = core_s3_upload_id(upload) },
        .upload = upload,
    };
    return &parts->base;
}

enum rc_code core_s3_begin_parts(const struct core_place_in_store *place,
                                 const struct rc_put_options *options, struct core_parts **out,
                                 struct rc_error *err)
{
    const struct core_store_settings *settings = place->settings;
    struct core_s3_upload *upload;

    *out = NULL;
    if (core_s3_upload_begin(place, options, &upload, err))
        return err->code;
    *out =
        parts_new(upload, core_s3_part_bytes(settings ? settings->part_bytes : 0,
                                             options->size_bytes > 0 ? options->size_bytes : 0, 0));
    return RC_OK;
}

enum rc_code core_s3_resume_parts(const struct core_place_in_store *place,
                                  const struct rc_put_options *options,
                                  const struct core_left_parts *left, struct core_parts **out,
                                  struct rc_error *err)
{
    struct core_s3_upload *upload;

    *out = NULL;
    if (left->part_bytes < CORE_S3_MIB || left->part_bytes > CORE_S3_MAX_PUT)
        return rc_fail(err, RC_NOT_FOUND, "no upload has parts of %lld bytes",
                       (long long)left->part_bytes);
    if (core_s3_upload_resume(place, options, left, &upload, err))
        return err->code;
    *out = parts_new(upload, left->part_bytes);
    return RC_OK;
}
