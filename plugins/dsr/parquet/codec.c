/*
 * Codecs by their libraries: one page, one call. The frames that Hadoop puts around blocks of LZ4
 * are taken apart and made here. How large a page may be at all is page.c's.
 */
#include "codec.h"

#include <brotli/decode.h>
#include <brotli/encode.h>
#include <endian.h>
#include <libdeflate.h>
#include <limits.h>
#include <lz4.h>
#include <lz4frame.h>
#include <snappy-c.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

enum {
    GZIP_LEVEL = 6,
    ZSTD_LEVEL = 3,
    BROTLI_QUALITY = 4,
    /* Hadoop's own reader has room for 256 KiB at a time, less what LZ4 may add to it. */
    LZ4_BLOCK_BYTES = 128 << 10,
    BOUND_SLACK_BYTES = 64 << 10,
};

/* What each library needs between two calls; made when it is first needed. */
struct pq_coder {
    struct libdeflate_compressor *deflate;
    struct libdeflate_decompressor *inflate;
    ZSTD_CCtx *zstd;
    ZSTD_DCtx *unzstd;
    LZ4F_dctx *lz4_frame;
    struct rc_buf rooms[PQ_ROOMS];
};

static const struct {
    const char *name;
    size_t ratio; /* bytes that one byte can become, by the format; 0: any number */
} codecs[] = {
    [PQ_UNCOMPRESSED] = { "UNCOMPRESSED", 1 },
    [PQ_SNAPPY] = { "SNAPPY", 64 }, /* 64 bytes by a copy of 3 */
    [PQ_GZIP] = { "GZIP", 1100 },   /* 258 bytes by 2 bits */
    [PQ_LZO] = { "LZO", 0 },
    [PQ_BROTLI] = { "BROTLI", 0 },
    [PQ_LZ4] = { "LZ4", 256 },
    [PQ_ZSTD] = { "ZSTD", 33000 }, /* 128 KiB by a block of 4 */
    [PQ_LZ4_RAW] = { "LZ4_RAW", 256 },
};

enum rc_code pq_coder_new(struct pq_coder **out, struct rc_error *err)
{
    (void)err; /* the libraries' memory is made when it is needed */
    *out = rc_calloc(1, sizeof(**out));
    for (size_t i = 0; i < PQ_ROOMS; i++)
        rc_buf_init(&(*out)->rooms[i], INT32_MAX);
    return RC_OK;
}

void pq_coder_free(struct pq_coder *coder)
{
    if (!coder)
        return;
    libdeflate_free_compressor(coder->deflate);
    libdeflate_free_decompressor(coder->inflate);
    ZSTD_freeCCtx(coder->zstd);
    ZSTD_freeDCtx(coder->unzstd);
    LZ4F_freeDecompressionContext(coder->lz4_frame);
    for (size_t i = 0; i < PQ_ROOMS; i++)
        rc_buf_clear(&coder->rooms[i]);
    free(coder);
}

struct rc_buf *pq_coder_room(struct pq_coder *coder, size_t room)
{
    return &coder->rooms[room];
}

const char *pq_codec_name(enum pq_codec codec)
{
    return (size_t)codec < RC_ARRAY_LEN(codecs) ? codecs[codec].name : "an unknown codec";
}

enum rc_code pq_codec_check(int64_t codec, struct rc_error *err)
{
    if (codec < 0 || codec >= (int64_t)RC_ARRAY_LEN(codecs))
        return rc_fail(err, RC_UNSUPPORTED, "codec number %lld is not known here",
                       (long long)codec);
    if (codec == PQ_LZO)
        return rc_fail(err, RC_UNSUPPORTED, "the codec LZO is not read here");
    return RC_OK;
}

size_t pq_decompressed_bound(enum pq_codec codec, size_t len)
{
    size_t ratio = codecs[codec].ratio;

    if (ratio == 0 || len > (SIZE_MAX - BOUND_SLACK_BYTES) / ratio)
        return SIZE_MAX;
    return codec == PQ_UNCOMPRESSED ? len : len * ratio + BOUND_SLACK_BYTES;
}

static enum rc_code damaged(enum pq_codec codec, size_t len, size_t out_len, struct rc_error *err)
{
    return rc_fail(err, RC_INVALID, "%zu bytes of %s do not give the %zu bytes that they should",
                   len, pq_codec_name(codec), out_len);
}

/* ---- decompressing -------------------------------------------------------------------------- */

/* Members one behind the other; what follows when all bytes are there is nobody's. */
static bool inflate_members(struct pq_coder *coder, const uint8_t *data, size_t len, uint8_t *out,
                            size_t out_len)
{
    if (!coder->inflate && !(coder->inflate = libdeflate_alloc_decompressor()))
        rc_out_of_memory(sizeof(void *));

    while (out_len > 0) {
        bool is_gzip = len >= 2 && data[0] == 0x1f && data[1] == 0x8b;
        size_t used = 0, written = 0;
        enum libdeflate_result result =
            is_gzip ? libdeflate_gzip_decompress_ex(coder->inflate, data, len, out, out_len, &used,
                                                    &written)
                    : libdeflate_zlib_decompress_ex(coder->inflate, data, len, out, out_len, &used,
                                                    &written);
        if (result != LIBDEFLATE_SUCCESS)
            return false;
        data += used;
        len -= used;
        out += written;
        out_len -= written;
    }
    return true;
}

static bool unsnap(const uint8_t *data, size_t len, uint8_t *out, size_t out_len)
{
    size_t written = out_len;

    /* The length first: the library would write as much as the data says. */
    return snappy_uncompressed_length((const char *)data, len, &written) == SNAPPY_OK &&
           written == out_len &&
           snappy_uncompress((const char *)data, len, (char *)out, &written) == SNAPPY_OK &&
           written == out_len;
}

static bool unzstd(struct pq_coder *coder, const uint8_t *data, size_t len, uint8_t *out,
                   size_t out_len)
{
    if (!coder->unzstd && !(coder->unzstd = ZSTD_createDCtx()))
        rc_out_of_memory(sizeof(void *));
    return ZSTD_decompressDCtx(coder->unzstd, out, out_len, data, len) == out_len;
}

static bool unbrotli(const uint8_t *data, size_t len, uint8_t *out, size_t out_len)
{
    size_t written = out_len;

    return BrotliDecoderDecompress(len, data, &written, out) == BROTLI_DECODER_RESULT_SUCCESS &&
           written == out_len;
}

/* A bare block of at most 'room' bytes; 0: it is none. */
static size_t unlz4_block(const uint8_t *data, size_t len, uint8_t *out, size_t room)
{
    int written;

    if (len > INT_MAX || room > INT_MAX)
        return 0;
    written = LZ4_decompress_safe((const char *)data, (char *)out, (int)len, (int)room);
    return written > 0 ? (size_t)written : 0;
}

static uint32_t load_big(const uint8_t *data)
{
    uint32_t value;

    memcpy(&value, data, sizeof(value));
    return be32toh(value);
}

/*
 * Hadoop's: the length of what a frame holds, then blocks with their own lengths in front, until
 * they have given it; big-endian all of them. Writers have cut a page into frames or into blocks.
 */
static bool unlz4_hadoop(const uint8_t *data, size_t len, uint8_t *out, size_t out_len)
{
    while (len >= 4) {
        size_t frame_len = load_big(data);

        data += 4;
        len -= 4;
        if (frame_len > out_len)
            return false;
        out_len -= frame_len;
        while (frame_len > 0) {
            size_t block_len = len >= 4 ? load_big(data) : 0, written;

            if (block_len == 0 || block_len > len - 4)
                return false;
            written = unlz4_block(data + 4, block_len, out, frame_len);
            if (written == 0)
                return false;
            data += 4 + block_len;
            len -= 4 + block_len;
            out += written;
            frame_len -= written;
        }
    }
    return len == 0 && out_len == 0;
}

/* LZ4's own frames, which some tools have written under the name of this codec. */
static bool unlz4_frames(struct pq_coder *coder, const uint8_t *data, size_t len, uint8_t *out,
                         size_t out_len)
{
    if (!coder->lz4_frame &&
        LZ4F_isError(LZ4F_createDecompressionContext(&coder->lz4_frame, LZ4F_VERSION)))
        rc_out_of_memory(sizeof(void *));
    LZ4F_resetDecompressionContext(coder->lz4_frame);

    while (len > 0 && out_len > 0) {
        size_t used = len, written = out_len;

        if (LZ4F_isError(LZ4F_decompress(coder->lz4_frame, out, &written, data, &used,
                                         /* options = */ NULL)))
            return false;
        if (used == 0 && written == 0)
            return false;
        data += used;
        len -= used;
        out += written;
        out_len -= written;
    }
    return out_len == 0;
}

static bool unlz4(struct pq_coder *coder, const uint8_t *data, size_t len, uint8_t *out,
                  size_t out_len)
{
    static const uint8_t magic[] = { 0x04, 0x22, 0x4d, 0x18 };

    if (unlz4_hadoop(data, len, out, out_len))
        return true;
    if (len >= sizeof(magic) && memcmp(data, magic, sizeof(magic)) == 0 &&
        unlz4_frames(coder, data, len, out, out_len))
        return true;
    return unlz4_block(data, len, out, out_len) == out_len;
}

enum rc_code pq_decompress(struct pq_coder *coder, enum pq_codec codec, const uint8_t *data,
                           size_t len, uint8_t *out, size_t out_len, struct rc_error *err)
{
    bool is_whole = false;

    if (out_len == 0)
        return RC_OK;
    switch (codec) {
    case PQ_UNCOMPRESSED:
        is_whole = len == out_len;
        if (is_whole)
            memcpy(out, data, len);
        break;
    case PQ_SNAPPY:
        is_whole = unsnap(data, len, out, out_len);
        break;
    case PQ_GZIP:
        is_whole = inflate_members(coder, data, len, out, out_len);
        break;
    case PQ_BROTLI:
        is_whole = unbrotli(data, len, out, out_len);
        break;
    case PQ_LZ4:
        is_whole = unlz4(coder, data, len, out, out_len);
        break;
    case PQ_ZSTD:
        is_whole = unzstd(coder, data, len, out, out_len);
        break;
    case PQ_LZ4_RAW:
        is_whole = unlz4_block(data, len, out, out_len) == out_len;
        break;
    case PQ_LZO:
        return pq_codec_check(codec, err);
    }
    return is_whole ? RC_OK : damaged(codec, len, out_len, err);
}

/* ---- compressing ---------------------------------------------------------------------------- */

static size_t compress_bound(struct pq_coder *coder, enum pq_codec codec, size_t len)
{
    switch (codec) {
    case PQ_SNAPPY:
        return snappy_max_compressed_length(len);
    case PQ_GZIP:
        if (!coder->deflate && !(coder->deflate = libdeflate_alloc_compressor(GZIP_LEVEL)))
            rc_out_of_memory(sizeof(void *));
        return libdeflate_gzip_compress_bound(coder->deflate, len);
    case PQ_BROTLI:
        return BrotliEncoderMaxCompressedSize(len);
    case PQ_ZSTD:
        return ZSTD_compressBound(len);
    case PQ_LZ4_RAW:
        return (size_t)LZ4_compressBound((int)len);
    case PQ_LZ4:
        return (len / LZ4_BLOCK_BYTES + 1) * (8 + (size_t)LZ4_compressBound(LZ4_BLOCK_BYTES));
    case PQ_UNCOMPRESSED:
    case PQ_LZO:
        break;
    }
    return len;
}

static size_t lz4_block(const uint8_t *data, size_t len, uint8_t *out, size_t room)
{
    int written = LZ4_compress_default((const char *)data, (char *)out, (int)len, (int)room);

    RC_ASSERT(written > 0); /* 0 means that it did not fit */
    return (size_t)written;
}

/* A frame around each block, which is what every one of the readers understands. */
static size_t lz4_hadoop(const uint8_t *data, size_t len, uint8_t *out, size_t room)
{
    size_t used = 0;

    do {
        size_t block_len = len < LZ4_BLOCK_BYTES ? len : LZ4_BLOCK_BYTES;
        size_t written = lz4_block(data, block_len, out + used + 8, room - used - 8);
        uint32_t lens[2] = { htobe32((uint32_t)block_len), htobe32((uint32_t)written) };

        memcpy(out + used, lens, sizeof(lens));
        used += sizeof(lens) + written;
        data += block_len;
        len -= block_len;
    } while (len > 0);
    return used;
}

static size_t zstd(struct pq_coder *coder, const uint8_t *data, size_t len, uint8_t *out,
                   size_t room)
{
    size_t written;

    if (!coder->zstd && !(coder->zstd = ZSTD_createCCtx()))
        rc_out_of_memory(sizeof(void *));
    written = ZSTD_compressCCtx(coder->zstd, out, room, data, len, ZSTD_LEVEL);
    return ZSTD_isError(written) ? 0 : written;
}

/* Bytes written, of which there is always one at least; 0: the library could not. */
static size_t compress_into(struct pq_coder *coder, enum pq_codec codec, const uint8_t *data,
                            size_t len, uint8_t *out, size_t room)
{
    size_t written = room;

    switch (codec) {
    case PQ_SNAPPY:
        return snappy_compress((const char *)data, len, (char *)out, &written) == SNAPPY_OK
                   ? written
                   : 0;
    case PQ_GZIP:
        return libdeflate_gzip_compress(coder->deflate, data, len, out, room);
    case PQ_BROTLI:
        return BrotliEncoderCompress(BROTLI_QUALITY, BROTLI_DEFAULT_WINDOW, BROTLI_MODE_GENERIC,
                                     len, data, &written, out)
                   ? written
                   : 0;
    case PQ_ZSTD:
        return zstd(coder, data, len, out, room);
    case PQ_LZ4_RAW:
        return lz4_block(data, len, out, room);
    case PQ_LZ4:
        return lz4_hadoop(data, len, out, room);
    case PQ_UNCOMPRESSED:
    case PQ_LZO:
        break;
    }
    return 0;
}

enum rc_code pq_compress(struct pq_coder *coder, enum pq_codec codec, const uint8_t *data,
                         size_t len, struct rc_buf *out, struct rc_error *err)
{
    static const uint8_t nothing[1];
    size_t bound, written;
    uint8_t *room;

    if (codec == PQ_LZO)
        return pq_codec_check(codec, err);
    if (len > LZ4_MAX_INPUT_SIZE) /* no library takes less */
        return rc_fail(err, RC_TOO_LARGE, "%zu bytes to be compressed at once", len);
    if (codec == PQ_UNCOMPRESSED) {
        rc_buf_add(out, data, len);
        return rc_buf_check(out, err);
    }
    bound = compress_bound(coder, codec, len);
    room = (uint8_t *)rc_buf_reserve(out, bound);
    if (!room)
        return rc_buf_check(out, err);
    written = compress_into(coder, codec, len > 0 ? data : nothing, len, room, bound);
    if (written == 0)
        return rc_fail(err, RC_FAILED, "%s cannot compress %zu bytes", pq_codec_name(codec), len);
    rc_buf_added(out, written);
    return RC_OK;
}
