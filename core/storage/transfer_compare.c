/*
 * Whether an object and what is at its target have the same content, where neither sizes nor entity
 * tags have told: what lies on this machine is read, of anything else counts what its store says.
 */
#include <storage/transfer_internal.h>

#include <run-core/str.h>

#include <stdio.h>
#include <string.h>

enum { CHUNK = 1024 * 1024, MD5S_LIMIT = 1024 * 1024 };

/* What is known of a content. Empty: this is not. */
struct content {
    char md5_hex[CORE_DIGEST_HEX], crc32c[16];
    char joined[RC_ETAG_TEXT]; /* the tag of an upload in parts of the size below */
    int64_t part_bytes;
};

static void close_reader(struct rc_reader **reader)
{
    core_reader_close(*reader);
}

static void free_digest(struct core_running_digest **digest)
{
    core_running_digest_free(*digest);
}

/* ---- one side ----------------------------------------------------------------------------- */

static bool is_local(const struct core_resolved *where)
{
    return where->ops->capabilities & CORE_STORAGE_LOCAL;
}

static bool is_known(const struct content *content)
{
    return content->md5_hex[0] || content->crc32c[0] || content->joined[0];
}

static void take_text(char *out, size_t size, const char *text)
{
    (void)snprintf(out, size, "%s", text ? text : "");
}

/* By the tag if that tells, else by a request. */
static enum rc_code ask(const struct core_resolved *where, const char *etag, int64_t size_bytes,
                        struct content *out, struct rc_error *err)
{
    CORE_OBJECT_DETAIL_AUTO(detail);
    struct rc_stat stat;

    out->part_bytes = core_transfer_etag_part_bytes(etag, size_bytes);
    if (core_transfer_is_md5(etag))
        take_text(out->md5_hex, sizeof(out->md5_hex), etag);
    else if (out->part_bytes > 0)
        take_text(out->joined, sizeof(out->joined), etag);
    if (is_known(out))
        return RC_OK;
    if (where->ops->stat(&where->place, &stat, &detail, err))
        return err->code;
    take_text(out->md5_hex, sizeof(out->md5_hex), detail.md5_hex);
    take_text(out->crc32c, sizeof(out->crc32c), detail.crc32c);
    return RC_OK;
}

/* Of a file as it is read. */
struct sums {
    struct core_running_digest *md5; /* of all, or of a part */
    uint32_t crc32c;
    int64_t part_bytes, part_left; /* 0: it is taken as a whole */
    struct rc_buf md5s;            /* of the parts */
};

static void end_part(struct sums *sums)
{
    unsigned char digest[CORE_DIGEST_BYTES];

    core_running_digest_end(sums->md5, digest);
    rc_buf_add(&sums->md5s, digest, CORE_TRANSFER_MD5);
    sums->part_left = sums->part_bytes;
}

static void add(struct sums *sums, const char *data, size_t len)
{
    if (sums->part_bytes == 0) {
        core_running_digest_add(sums->md5, data, len);
        sums->crc32c = core_crc32c(sums->crc32c, data, len);
        return;
    }
    while (len > 0) {
        size_t taken = (int64_t)len < sums->part_left ? len : (size_t)sums->part_left;

        core_running_digest_add(sums->md5, data, taken);
        sums->part_left -= (int64_t)taken;
        if (sums->part_left == 0)
            end_part(sums);
        data += taken;
        len -= taken;
    }
}

static void end(struct sums *sums, struct content *out)
{
    unsigned char digest[CORE_DIGEST_BYTES];
    unsigned char crc32c[] = { (unsigned char)(sums->crc32c >> 24),
                               (unsigned char)(sums->crc32c >> 16),
                               (unsigned char)(sums->crc32c >> 8), (unsigned char)sums->crc32c };
    struct rc_buf hex = RC_BUF_INIT(CORE_DIGEST_HEX), base64 = RC_BUF_INIT(sizeof(out->crc32c));

    if (sums->part_bytes > 0) {
        if (sums->part_left < sums->part_bytes)
            end_part(sums);
        RC_STR_AUTO tag = core_transfer_etag_join((const void *)sums->md5s.data,
                                                  sums->md5s.len / CORE_TRANSFER_MD5);
        take_text(out->joined, sizeof(out->joined), tag);
        return;
    }
    core_running_digest_end(sums->md5, digest);
    core_add_hex(&hex, digest, CORE_TRANSFER_MD5);
    take_text(out->md5_hex, sizeof(out->md5_hex), hex.data);
    core_add_base64(&base64, crc32c, sizeof(crc32c));
    take_text(out->crc32c, sizeof(out->crc32c), base64.data);
    rc_buf_clear(&hex);
    rc_buf_clear(&base64);
}

static enum rc_code read_through(const struct core_resolved *where, const char *if_match,
                                 struct sums *sums, char *chunk, struct rc_error *err)
{
    const struct core_range whole = { .len_bytes = -1, .if_match = if_match };
    RC_CLEANUP(close_reader) struct rc_reader *reader = NULL;
    size_t len;

    if (where->ops->open(&where->place, &whole, &reader, err))
        return err->code;
    do {
        if (core_cancel_check(where->place.cancel, err) ||
            core_reader_read(reader, chunk, CHUNK, &len, err))
            return err->code;
        add(sums, chunk, len);
    } while (len > 0);
    return rc_buf_check(&sums->md5s, err);
}

/* With 'part_bytes' as if it had been uploaded in such parts. */
static enum rc_code read_all(struct core_transfer *t, const struct core_resolved *where,
                             const char *if_match, int64_t part_bytes, struct content *out,
                             struct rc_error *err)
{
    RC_CLEANUP(free_digest) struct core_running_digest *md5 = NULL;
    struct sums sums = {
        .part_bytes = part_bytes,
        .part_left = part_bytes,
        .md5s = RC_BUF_INIT(MD5S_LIMIT),
    };
    enum rc_code code;
    char *chunk;

    if (core_digest_load(err))
        return err->code;
    chunk = core_transfer_buffer(t, CHUNK);
    if (!chunk)
        return rc_fail(err, RC_CANCELLED, "the transfer has ended");
    md5 = sums.md5 = core_running_digest_new(CORE_MD5);
    code = read_through(where, if_match, &sums, chunk, err);
    if (!code)
        end(&sums, out);
    core_transfer_buffer_free(t, chunk, CHUNK);
    rc_buf_clear(&sums.md5s);
    return code;
}

/* ---- both --------------------------------------------------------------------------------- */

static bool are_equal(const struct content *a, const struct content *b)
{
    if (a->md5_hex[0] && b->md5_hex[0])
        return rc_str_eq(a->md5_hex, b->md5_hex);
    if (a->crc32c[0] && b->crc32c[0])
        return rc_str_eq(a->crc32c, b->crc32c);
    return a->joined[0] && rc_str_eq(a->joined, b->joined);
}

enum rc_code core_transfer_compare(struct core_transfer *t, const struct transfer_item *item,
                                   const struct core_resolved *from, const struct core_resolved *to,
                                   bool *same, struct rc_error *err)
{
    const char *etag = item->etag ? item->etag : "";
    struct content source = { .part_bytes = 0 }, target = { .part_bytes = 0 };
    enum rc_code code;

    *same = false;
    /* First what costs least: where a store knows nothing, no file needs to be read. */
    if (!is_local(from) && ask(from, etag, item->size_bytes, &source, err))
        return err->code;
    code = is_local(to) ? RC_OK : ask(to, item->target_etag, item->size_bytes, &target, err);
    if (code)
        return code == RC_NOT_FOUND ? RC_OK : code;
    if ((!is_local(from) && !is_known(&source)) || (!is_local(to) && !is_known(&target)))
        return RC_OK;
    if (is_local(from) && read_all(t, from, item->etag, target.part_bytes, &source, err))
        return err->code;
    code = is_local(to) ? read_all(t, to, NULL, source.part_bytes, &target, err) : RC_OK;
    if (code)
        return code == RC_NOT_FOUND ? RC_OK : code;
    *same = are_equal(&source, &target);
    return RC_OK;
}
