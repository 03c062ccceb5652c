/*
 * Large objects by ranges: many workers each read one range of a source that is pinned by its
 * entity tag and put it as a part of the target. Nothing of the target is seen before all parts are
 * there and their content is what the source's store says of it.
 *
 * A checksum that can be joined (CRC-32C) lets ranges pass in any order, as streams. For one that
 * cannot (MD5) a range is read into memory and waits there for its turn to be hashed, or, where the
 * target takes parts in order only, to be put; ranges are given out in order and with their memory,
 * so that the one whose turn it is can always go on. An object that was uploaded in parts has a tag
 * of the MD5s of its parts, so there ranges are those parts. Their size is a guess: where the tag
 * is another, two reads that agree are believed.
 */
#include <storage/transfer_internal.h>

#include <run-core/str.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct transfer_large {
    struct transfer_large *next;
    struct core_transfer *t;
    struct transfer_item *item;
    struct core_resolved from, to;
    struct core_object_detail detail;
    struct rc_stat source;
    struct core_parts *parts;
    struct transfer_upload *upload; /* NULL: it cannot be gone on with */

    /* Under the transfer's lock. */
    int64_t next_bytes, done_bytes; /* given out; put */
    unsigned busy;                  /* ranges under way */
    enum rc_code code;              /* of the first range that failed */
    struct rc_error err;

    struct core_running_digest *md5;          /* NULL: not compared */
    int64_t turn_bytes;                       /* whose turn it is: the range that begins there */
    uint32_t *crcs;                           /* of each range; NULL: not compared */
    unsigned char (*md5s)[CORE_TRANSFER_MD5]; /* likewise */
    int64_t range_bytes;                      /* of each but the last */
};

/* Ranges of the source's parts are taken up to this size, above which too few would be one. */
enum { LARGEST_RANGE_BYTES = 128 * 1024 * 1024, CHUNK_BYTES = 128 * 1024 };

/* ---- the begin ---------------------------------------------------------------------------- */

static enum rc_code look(struct transfer_large *large, struct rc_error *err)
{
    struct transfer_item *item = large->item;
    struct core_object_detail *detail = &large->detail;
    bool is_local = large->from.ops->capabilities & CORE_STORAGE_LOCAL;

    if (large->from.ops->stat(&large->from.place, &large->source, is_local ? NULL : detail, err))
        return err->code;
    if (item->is_etag_given && !rc_str_eq(item->etag, large->source.etag))
        return rc_fail(err, RC_CONFLICT, "'%s' was replaced: its entity tag is %s, not %s",
                       item->source, large->source.etag, item->etag);
    free(item->etag);
    item->etag = rc_strdup(large->source.etag);
    item->size_bytes = large->source.size_bytes;
    return RC_OK;
}

static bool is_ordered(const struct transfer_large *large)
{
    return large->to.ops->capabilities & CORE_STORAGE_ORDERED_PARTS;
}

static size_t range_count(const struct transfer_large *large)
{
    return (size_t)((large->source.size_bytes + large->range_bytes - 1) / large->range_bytes);
}

/* What the content is compared by: what the source's store is sure of, the cheaper first. */
static enum rc_code prepare_checks(struct transfer_large *large, struct rc_error *err)
{
    int64_t part = core_transfer_etag_part_bytes(large->source.etag, large->source.size_bytes);

    if (core_digest_load(err))
        return err->code;
    large->range_bytes = large->parts->part_bytes;
    if (large->detail.crc32c) {
        large->crcs = rc_calloc(range_count(large), sizeof(*large->crcs));
        return RC_OK;
    }
    if (large->parts->takes_any_size && part > 0 && part <= LARGEST_RANGE_BYTES)
        large->range_bytes = part;
    if (part == large->range_bytes)
        large->md5s = rc_calloc(range_count(large), sizeof(*large->md5s));
    else if (large->detail.md5_hex && large->range_bytes <= large->t->memory_bytes)
        large->md5 = core_running_digest_new(CORE_MD5);
    return RC_OK;
}

static enum rc_code begin(struct transfer_large *large, struct rc_error *err)
{
    struct core_transfer *t = large->t;
    struct rc_put_options options = {
        .struct_bytes = sizeof(options),
        .if_match = core_transfer_condition(t),
    };

    if (core_resolve(&t->storage, large->item->source, &large->from, err) ||
        core_resolve(&t->storage, large->item->target, &large->to, err) || look(large, err))
        return err->code;
    options.size_bytes = large->source.size_bytes;
    options.attributes = t->request.attributes;
    if (!options.attributes && !(large->to.ops->capabilities & CORE_STORAGE_LOCAL)) {
        if (core_place_translate(&large->from, &large->to, &large->detail, err))
            return err->code;
        large->item->has_lost_tags = large->detail.has_tags;
        options.attributes = &large->detail.attributes;
    }
    if (core_transfer_parts_open(t, large->item, &large->to, &options, &large->parts,
                                 &large->upload, err))
        return err->code;
    return prepare_checks(large, err);
}

static void large_free(struct transfer_large *large, bool is_left)
{
    core_transfer_parts_close(large->t, large->parts, large->upload, is_left);
    core_running_digest_free(large->md5);
    free(large->crcs);
    free(large->md5s);
    core_object_detail_clear(&large->detail);
    core_resolved_clear(&large->from);
    core_resolved_clear(&large->to);
    free(large);
}

/* With the lock held: no longer one of those whose ranges are given out. */
static void unlink_large(struct core_transfer *t, struct transfer_large *large)
{
    struct transfer_large **at = &t->large;

    while (*at && *at != large)
        at = &(*at)->next;
    if (*at)
        *at = large->next;
    t->large_count--;
    pthread_cond_broadcast(&t->work);
}

/* Of a tree: a source that is gone is looked at anew, like a small one. */
static bool was_there(struct core_transfer *t, struct transfer_item *item, enum rc_code code)
{
    if (code != RC_NOT_FOUND || t->request.next || ++item->attempt >= TRANSFER_ATTEMPTS)
        return false;
    rc_str_free(&item->etag);
    item->size_bytes = -1;
    return true;
}

/* Frees it, and ends its item or lets it begin anew. */
static void end(struct transfer_large *large)
{
    struct core_transfer *t = large->t;
    struct transfer_item *item = large->item;
    struct rc_error err = large->err;
    enum rc_code code = large->code;
    bool is_taken = core_transfer_is_taken(t, &large->to, code);
    bool had_begun = large->parts != NULL;

    if (!code)
        item->written = large->parts->stat;
    core_transfer_moving(t, -large->done_bytes);
    /* Its parts are given up before it is said that it ended, unless another attempt may do. */
    large_free(large, rc_retryable(code) || (code && core_cancel_code(&t->cancel)));
    /* Each range was tried several times, so all of it is only tried once more. */
    if (rc_retryable(code) && had_begun)
        item->attempt += TRANSFER_ATTEMPTS / 2;
    if (is_taken) {
        item->act = RC_TRANSFER_SKIP;
        core_transfer_finish(t, item, NULL);
    } else if (!code)
        core_transfer_copied(t, item);
    else if (core_transfer_again(t, item, &err) || was_there(t, item, code))
        core_transfer_queue(t, &t->ready, item);
    else
        core_transfer_finish(t, item, &err);
}

void core_transfer_large_begin(struct core_transfer *t, struct transfer_item *item)
{
    struct transfer_large *large = rc_malloc(sizeof(*large)), **at;

    *large = (struct transfer_large){
        .t = t,
        .item = item,
        .detail = CORE_OBJECT_DETAIL_INIT,
        .err = RC_ERROR_INIT,
    };
    large->code = begin(large, &large->err);

    pthread_mutex_lock(&t->lock);
    /* It may have become small meanwhile, which is for others. */
    if (!large->code && large->source.size_bytes == 0)
        large->code = rc_fail(&large->err, RC_CONFLICT, "'%s' is empty now", item->source);
    if (large->code) {
        unlink_large(t, large);
        pthread_mutex_unlock(&t->lock);
        end(large);
        return;
    }
    for (at = &t->large; *at;)
        at = &(*at)->next;
    *at = large;
    pthread_cond_broadcast(&t->work);
    pthread_mutex_unlock(&t->lock);
}

void core_transfer_large_abandon(struct core_transfer *t)
{
    while (t->large) {
        struct transfer_large *large = t->large;

        t->large = large->next;
        core_transfer_item_free(large->item);
        large_free(large, /* is_left = */ true);
    }
}

/* ---- ranges ------------------------------------------------------------------------------- */

/* Whether ranges wait in memory until those before them are hashed, or put. */
static bool needs_turns(const struct transfer_large *large)
{
    return large->md5 || is_ordered(large);
}

bool core_transfer_large_take(struct core_transfer *t, struct transfer_range *out)
{
    for (struct transfer_large *large = t->large; large; large = large->next) {
        int64_t left = large->source.size_bytes - large->next_bytes;
        int64_t len = left < large->range_bytes ? left : large->range_bytes;

        if (large->code || left <= 0)
            continue;
        /* One byte more than it has, so that the end is seen when it is read. */
        if (needs_turns(large) && !core_transfer_claim(t, (size_t)len + 1))
            continue;
        *out = (struct transfer_range){
            .large = large,
            .offset_bytes = large->next_bytes,
            .len_bytes = len,
            .is_buffered = needs_turns(large),
        };
        large->next_bytes += len;
        large->busy++;
        return true;
    }
    return false;
}

/* A range as the content of a part: read as it goes, or from memory. */
struct range_content {
    const struct transfer_range *range;
    struct rc_reader *reader;
    const char *buffer;
    int64_t done_bytes;
    uint32_t crc;
    struct core_running_digest *md5; /* NULL: not compared */
    bool needs_md5;
};

static enum rc_code open_range(struct range_content *content, struct rc_error *err)
{
    struct transfer_large *large = content->range->large;
    const struct core_range range = {
        .offset_bytes = content->range->offset_bytes,
        .len_bytes = content->range->len_bytes,
        .if_match = large->source.etag[0] != '\0' ? large->source.etag : NULL,
    };

    core_reader_close(content->reader);
    content->reader = NULL;
    content->done_bytes = 0;
    content->crc = 0;
    if (content->needs_md5) {
        core_running_digest_free(content->md5);
        content->md5 = core_running_digest_new(CORE_MD5);
    }
    return large->from.ops->open(&large->from.place, &range, &content->reader, err);
}

static enum rc_code read_on(struct range_content *content, char *data, size_t capacity, size_t *len,
                            struct rc_error *err)
{
    const struct transfer_range *range = content->range;
    struct transfer_large *large = range->large;

    if (core_reader_read(content->reader, data, capacity, len, err))
        return err->code;
    if (*len == 0 && content->done_bytes != range->len_bytes)
        return rc_fail(err, RC_UNAVAILABLE,
                       "of the %" PRId64 " bytes of '%s' from %" PRId64 " on %" PRId64 " came",
                       range->len_bytes, large->item->source, range->offset_bytes,
                       content->done_bytes);
    if (content->done_bytes + (int64_t)*len > range->len_bytes)
        return rc_fail(err, RC_CORRUPT,
                       "more came than the %" PRId64 " bytes of '%s' from %" PRId64 " on",
                       range->len_bytes, large->item->source, range->offset_bytes);
    if (large->crcs)
        content->crc = core_crc32c(content->crc, data, *len);
    if (content->needs_md5)
        core_running_digest_add(content->md5, data, *len);
    content->done_bytes += (int64_t)*len;
    return core_transfer_limit(large->t, *len, err);
}

/* As content of a part: again from its begin whenever the part is put again. */
static enum rc_code give(void *context, int64_t offset_bytes, char *data, size_t capacity,
                         size_t *len, struct rc_error *err)
{
    struct range_content *content = context;
    int64_t left = content->range->len_bytes - offset_bytes;

    if (content->buffer) {
        *len = (uint64_t)left < capacity ? (size_t)left : capacity;
        memcpy(data, content->buffer + offset_bytes, *len);
        return RC_OK;
    }
    if ((!content->reader || offset_bytes != content->done_bytes) && open_range(content, err))
        return err->code;
    return read_on(content, data, capacity, len, err);
}

static enum rc_code read_range(struct range_content *content, char *buffer, struct rc_error *err)
{
    size_t len;

    if (open_range(content, err))
        return err->code;
    do {
        size_t done = (size_t)content->done_bytes;

        if (read_on(content, buffer + done, (size_t)content->range->len_bytes + 1 - done, &len,
                    err))
            return err->code;
    } while (len > 0);
    core_reader_close(content->reader);
    content->reader = NULL;
    return RC_OK;
}

static enum rc_code wait_for_turn(const struct transfer_range *range, struct rc_error *err)
{
    struct transfer_large *large = range->large;
    struct core_transfer *t = large->t;
    bool is_turn;

    pthread_mutex_lock(&t->lock);
    while (!(is_turn = large->turn_bytes == range->offset_bytes) && !large->code && !t->stopping)
        pthread_cond_wait(&t->room, &t->lock);
    pthread_mutex_unlock(&t->lock);
    return is_turn ? RC_OK : rc_fail(err, RC_CANCELLED, "another range has failed");
}

static void pass_turn(const struct transfer_range *range)
{
    struct core_transfer *t = range->large->t;

    pthread_mutex_lock(&t->lock);
    range->large->turn_bytes += range->len_bytes;
    pthread_cond_broadcast(&t->room);
    pthread_mutex_unlock(&t->lock);
}

/* What was read of the range, for the check of the whole. */
static void keep_sums(struct range_content *content, unsigned char md5[CORE_TRANSFER_MD5])
{
    struct transfer_large *large = content->range->large;
    size_t index = (size_t)(content->range->offset_bytes / large->range_bytes);
    unsigned char digest[CORE_DIGEST_BYTES];

    if (large->crcs)
        large->crcs[index] = content->crc;
    if (!content->needs_md5)
        return;
    core_running_digest_end(content->md5, digest);
    memcpy(md5, digest, CORE_TRANSFER_MD5);
    if (large->md5s)
        memcpy(large->md5s[index], digest, CORE_TRANSFER_MD5);
}

static enum rc_code put_range(struct range_content *content, struct rc_error *err)
{
    const struct transfer_range *range = content->range;
    struct transfer_large *large = range->large;
    unsigned char md5[CORE_TRANSFER_MD5];
    const struct core_http_content part = {
        .len_bytes = range->len_bytes,
        .read = give,
        .context = content,
    };

    if (large->parts->ops->put(large->parts, range->offset_bytes, &part, err))
        return err->code;
    if (!content->buffer)
        keep_sums(content, md5);
    return RC_OK;
}

/* Reads what the target has already, which costs less than to send it. */
static enum rc_code read_through(struct range_content *content, struct rc_error *err)
{
    RC_STR_AUTO chunk = rc_malloc(CHUNK_BYTES);
    size_t len;

    if (open_range(content, err))
        return err->code;
    do {
        if (core_cancel_check(&content->range->large->t->cancel, err) ||
            read_on(content, chunk, CHUNK_BYTES, &len, err))
            return err->code;
    } while (len > 0);
    return RC_OK;
}

/*
 * Of an upload that is gone on with: whether the target has the range, so that it need not be put.
 * The store's word on its part is compared with the source's: as a part of the tag of the whole, if
 * that is one of parts, else by reading the source.
 */
static enum rc_code is_there(struct range_content *content, bool *out, struct rc_error *err)
{
    const struct transfer_range *range = content->range;
    struct transfer_large *large = range->large;
    struct core_parts *parts = large->parts;
    unsigned char found[CORE_TRANSFER_MD5], md5[CORE_TRANSFER_MD5];
    enum rc_code code = RC_OK;

    *out = false;
    if (!parts->ops->has || !parts->ops->has(parts, range->offset_bytes, range->len_bytes, found))
        return RC_OK;
    if (large->md5s) {
        memcpy(large->md5s[range->offset_bytes / large->range_bytes], found, sizeof(found));
        *out = true;
        return RC_OK;
    }
    if (content->buffer) {
        unsigned char digest[CORE_DIGEST_BYTES];

        core_digest(CORE_MD5, content->buffer, (size_t)range->len_bytes, digest);
        memcpy(md5, digest, sizeof(md5));
    } else {
        content->needs_md5 = true;
        code = read_through(content, err);
        if (!code)
            keep_sums(content, md5);
        content->needs_md5 = false;
    }
    *out = !code && memcmp(found, md5, sizeof(md5)) == 0;
    return code;
}

static enum rc_code put_unless_there(struct range_content *content, struct rc_error *err)
{
    bool is_put;

    if (is_there(content, &is_put, err))
        return err->code;
    return is_put ? RC_OK : put_range(content, err);
}

/* Reads the range into memory, and hashes it in its turn. */
static enum rc_code buffer_range(struct range_content *content, char *buffer, struct rc_error *err)
{
    const struct transfer_range *range = content->range;
    struct transfer_large *large = range->large;
    struct transfer_item tries = { .is_etag_given = true };
    unsigned char md5[CORE_TRANSFER_MD5];
    enum rc_code code;

    do
        code = read_range(content, buffer, err);
    while (code && core_transfer_again(large->t, &tries, err));
    if (code || wait_for_turn(range, err))
        return err->code;
    content->buffer = buffer;
    keep_sums(content, md5);
    if (large->md5)
        core_running_digest_add(large->md5, buffer, (size_t)range->len_bytes);
    if (!is_ordered(large))
        pass_turn(range);
    return RC_OK;
}

static enum rc_code copy_range(const struct transfer_range *range, char *buffer,
                               struct rc_error *err)
{
    struct range_content content = {
        .range = range,
        .needs_md5 = range->large->md5s != NULL,
    };
    struct transfer_item tries = { .is_etag_given = true };
    struct core_transfer *t = range->large->t;
    enum rc_code code = buffer ? buffer_range(&content, buffer, err) : RC_OK;

    if (!code) {
        do
            code = put_unless_there(&content, err);
        while (code && core_transfer_again(t, &tries, err));
    }
    if (!code && is_ordered(range->large))
        pass_turn(range);
    core_reader_close(content.reader);
    core_running_digest_free(content.md5);
    return code;
}

/* ---- the end ------------------------------------------------------------------------------ */

static enum rc_code differs(const struct transfer_large *large, const char *kind, const char *found,
                            const char *expected, struct rc_error *err)
{
    return rc_fail(err, RC_CORRUPT, "what was read of '%s' has %s %s, its store says %s",
                   large->item->source, kind, found, expected);
}

static enum rc_code check_md5(struct transfer_large *large, struct rc_error *err)
{
    unsigned char digest[CORE_DIGEST_BYTES];
    RC_BUF_AUTO(hex, CORE_DIGEST_HEX);

    core_running_digest_end(large->md5, digest);
    core_add_hex(&hex, digest, core_digest_len(CORE_MD5));
    if (strcasecmp(hex.data, large->detail.md5_hex) == 0)
        return RC_OK;
    return differs(large, "the MD5", hex.data, large->detail.md5_hex, err);
}

static enum rc_code check_crc(const struct transfer_large *large, struct rc_error *err)
{
    int64_t part = large->range_bytes, size = large->source.size_bytes;
    RC_BUF_AUTO(text, 16);
    unsigned char bytes[4];
    uint32_t crc = 0;

    for (int64_t at = 0; at < size; at += part)
        crc = core_transfer_crc_join(crc, large->crcs[at / part],
                                     size - at < part ? size - at : part);
    for (int i = 0; i < 4; i++)
        bytes[i] = (unsigned char)(crc >> (24 - 8 * i));
    core_add_base64(&text, bytes, sizeof(bytes));
    if (rc_str_eq(text.data, large->detail.crc32c))
        return RC_OK;
    return differs(large, "the CRC-32C", text.data, large->detail.crc32c, err);
}

/* The tag is of another size of parts, perhaps: then it would differ from reading to reading. */
static enum rc_code check_etag(struct transfer_large *large, struct rc_error *err)
{
    RC_STR_AUTO etag = core_transfer_etag_join(large->md5s, range_count(large));
    char **derived = &large->item->derived;
    bool agrees = strcasecmp(etag, large->source.etag) == 0 || rc_str_eq(etag, *derived);

    if (agrees)
        return RC_OK;
    free(*derived);
    *derived = rc_strdup(etag);
    return differs(large, "the entity tag", etag, large->source.etag, err);
}

/*
 * Where entity tags cannot be compared, the times of the two tell later what has to be copied. Of a
 * source that was replaced while its last parts were put, the copy would be the younger one.
 */
static enum rc_code check_source(const struct transfer_large *large, struct rc_error *err)
{
    const char *etag = large->source.etag;
    struct rc_stat now;
    enum rc_code code;

    if (etag[0] == '\0' || rc_str_eq(etag, large->parts->stat.etag))
        return RC_OK;
    code = large->from.ops->stat(&large->from.place, &now, NULL, err);
    if (code)
        return code == RC_NOT_FOUND ? RC_OK : code;
    if (rc_str_eq(etag, now.etag))
        return RC_OK;
    return rc_fail(err, RC_CONFLICT, "'%s' was replaced while it was copied", large->item->source);
}

static enum rc_code complete(struct transfer_large *large, struct rc_error *err)
{
    const struct rc_stat *written = &large->parts->stat;

    if ((large->md5 && check_md5(large, err)) || (large->crcs && check_crc(large, err)) ||
        (large->md5s && check_etag(large, err)) || large->parts->ops->commit(large->parts, err))
        return err->code;
    if (written->size_bytes == large->source.size_bytes)
        return check_source(large, err);
    return rc_fail(err, RC_CORRUPT, "'%s' has %" PRId64 " bytes after it was written, not %" PRId64,
                   large->item->target, written->size_bytes, large->source.size_bytes);
}

void core_transfer_large_copy(struct core_transfer *t, const struct transfer_range *range)
{
    struct transfer_large *large = range->large;
    struct rc_error err = RC_ERROR_INIT;
    size_t capacity = (size_t)range->len_bytes + 1;
    char *buffer = range->is_buffered ? core_transfer_map(capacity) : NULL;
    enum rc_code code = copy_range(range, buffer, &err);
    bool is_last;

    if (buffer)
        core_transfer_buffer_free(t, buffer, capacity);
    if (!code)
        core_transfer_moving(t, range->len_bytes);
    pthread_mutex_lock(&t->lock);
    large->busy--;
    if (code && (!large->code || large->code == RC_CANCELLED)) {
        large->code = code;
        large->err = err;
        pthread_cond_broadcast(&t->room); /* for those who wait for their turn in it */
    }
    if (!code) {
        large->done_bytes += range->len_bytes;
        t->row = 0;
    }
    is_last = large->busy == 0 && (large->code || large->done_bytes == large->source.size_bytes);
    if (is_last)
        unlink_large(t, large);
    pthread_mutex_unlock(&t->lock);
    if (!is_last)
        return;
    if (!large->code)
        large->code = complete(large, &large->err);
    end(large);
}

/* ---- joining checksums -------------------------------------------------------------------- */

/*
 * A CRC followed by n zero bytes is a linear map of its 32 bits; such maps are made for one bit,
 * and squared for twice as many. A map is kept as what it makes of each single bit.
 */
static uint32_t apply(const uint32_t map[32], uint32_t bits)
{
    uint32_t sum = 0;

    for (int i = 0; bits; i++, bits >>= 1)
        if (bits & 1)
            sum ^= map[i];
    return sum;
}

static void square(uint32_t map[32])
{
    uint32_t twice[32];

    for (int i = 0; i < 32; i++)
        twice[i] = apply(map, map[i]);
    memcpy(map, twice, sizeof(twice));
}

uint32_t core_transfer_crc_join(uint32_t first, uint32_t second, int64_t second_len)
{
    uint32_t map[32] = { UINT32_C(0x82f63b78) }; /* one zero bit: the polynomial, or a shift */

    for (int i = 1; i < 32; i++)
        map[i] = UINT32_C(1) << (i - 1);
    for (int i = 0; i < 3; i++)
        square(map);
    for (uint64_t len = (uint64_t)second_len; len; len >>= 1) {
        if (len & 1)
            first = apply(map, first);
        square(map);
    }
    return first ^ second;
}
