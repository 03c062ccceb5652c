/*
 * Members by libdeflate and frames by zstd, each complete in itself; read back by zlib and by
 * zstd's stream decoder. How blocks come and where members go is the pipeline's.
 */
#define ZLIB_CONST /* zlib does not write to what it is given */
#include "compress.h"

#include <run-core/str.h>

#include <libdeflate.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

/*
 * libdeflate's level 5 is the fastest whose members of a mebibyte of CSV are together no larger
 * than what gzip -6 makes of the whole (nor gzip -9, on what was measured), at about three times
 * its rate.
 */
static const struct codec {
    const char *name, *extension, *content_type;
    int min_level, max_level, level; /* level: where none is given; max_level 0: has none */
    int high_level;                  /* from here on a compressor takes more memory */
    size_t own_bytes, high_own_bytes;
} codecs[] = {
    [EGRESS_CODEC_NONE] = { .name = "none", .extension = "", .content_type = "text/csv" },
    [EGRESS_CODEC_GZIP] = { .name = "gzip",
                            .extension = ".gz",
                            .content_type = "application/gzip",
                            .min_level = 1,
                            .max_level = 12,
                            .level = 5,
                            .high_level = 10,
                            .own_bytes = 1 << 20,
                            .high_own_bytes = 9 << 20 },
    [EGRESS_CODEC_ZSTD] = { .name = "zstd",
                            .extension = ".zst",
                            .content_type = "application/zstd",
                            .min_level = 1,
                            .max_level = 19,
                            .level = 3,
                            .high_level = 7,
                            .own_bytes = 4 << 20,
                            .high_own_bytes = 18 << 20 },
};

/* ---- names ---------------------------------------------------------------------------------- */

static bool read_level(const struct codec *codec, const char *text, int *out)
{
    int64_t level;

    if (!rc_parse_int(text, &level) || level < codec->min_level || level > codec->max_level)
        return false;
    *out = (int)level;
    return true;
}

enum rc_code egress_compression_read(const char *text, struct egress_compression *out,
                                     struct rc_error *err)
{
    size_t name_len = strcspn(text, ":");

    for (size_t i = 0; i < RC_ARRAY_LEN(codecs); i++) {
        const struct codec *codec = &codecs[i];
        struct egress_compression found = { .codec = (enum egress_codec)i, .level = codec->level };

        if (strlen(codec->name) != name_len || memcmp(codec->name, text, name_len) != 0)
            continue;
        if (text[name_len] == '\0' || read_level(codec, text + name_len + 1, &found.level)) {
            *out = found;
            return RC_OK;
        }
        if (codec->max_level == 0)
            return rc_fail(err, RC_INVALID, "compression '%s': '%s' has no levels", text,
                           codec->name);
        return rc_fail(err, RC_INVALID, "compression '%s': the levels of %s are %d to %d", text,
                       codec->name, codec->min_level, codec->max_level);
    }
    return rc_fail(err, RC_INVALID,
                   "compression '%s' is not known; there are gzip, gzip:1 to gzip:12, zstd, zstd:1 "
                   "to zstd:19 and none",
                   text);
}

const char *egress_compression_extension(const struct egress_compression *compression)
{
    return codecs[compression->codec].extension;
}

const char *egress_compression_name(const struct egress_compression *compression)
{
    return codecs[compression->codec].name;
}

const char *egress_content_type(const struct egress_compression *compression)
{
    return codecs[compression->codec].content_type;
}

/* ---- compressing ---------------------------------------------------------------------------- */

struct egress_compressor {
    enum egress_codec codec;
    struct libdeflate_compressor *gzip; /* of this codec only, as the next */
    ZSTD_CCtx *zstd;
};

/*
 * Frames carry a checksum, as those of the zstd program do: damage is found by whoever reads them.
 */
static ZSTD_CCtx *new_zstd(int level)
{
    ZSTD_CCtx *zstd = ZSTD_createCCtx();

    if (!zstd)
        rc_out_of_memory(sizeof(void *));
    RC_ASSERT(!ZSTD_isError(ZSTD_CCtx_setParameter(zstd, ZSTD_c_compressionLevel, level)));
    RC_ASSERT(!ZSTD_isError(ZSTD_CCtx_setParameter(zstd, ZSTD_c_checksumFlag, 1)));
    return zstd;
}

struct egress_compressor *egress_compressor_new(const struct egress_compression *compression)
{
    struct egress_compressor *compressor = rc_calloc(1, sizeof(*compressor));

    compressor->codec = compression->codec;
    if (compression->codec == EGRESS_CODEC_GZIP) {
        compressor->gzip = libdeflate_alloc_compressor(compression->level);
        if (!compressor->gzip)
            rc_out_of_memory(sizeof(void *));
    } else if (compression->codec == EGRESS_CODEC_ZSTD) {
        compressor->zstd = new_zstd(compression->level);
    }
    return compressor;
}

void egress_compressor_free(struct egress_compressor *compressor)
{
    if (!compressor)
        return;
    libdeflate_free_compressor(compressor->gzip);
    ZSTD_freeCCtx(compressor->zstd);
    free(compressor);
}

size_t egress_compressor_bytes(const struct egress_compression *compression)
{
    const struct codec *codec = &codecs[compression->codec];

    return compression->level < codec->high_level ? codec->own_bytes : codec->high_own_bytes;
}

size_t egress_compressor_bound(const struct egress_compressor *compressor, size_t len)
{
    switch (compressor->codec) {
    case EGRESS_CODEC_GZIP:
        return libdeflate_gzip_compress_bound(compressor->gzip, len);
    case EGRESS_CODEC_ZSTD:
        return ZSTD_compressBound(len);
    case EGRESS_CODEC_NONE:
        break;
    }
    return len;
}

enum rc_code egress_compress(struct egress_compressor *compressor, const void *data, size_t len,
                             void *out, size_t capacity, size_t *out_len, struct rc_error *err)
{
    RC_ASSERT(capacity >= egress_compressor_bound(compressor, len));
    switch (compressor->codec) {
    case EGRESS_CODEC_GZIP:
        *out_len = libdeflate_gzip_compress(compressor->gzip, data, len, out, capacity);
        RC_ASSERT(*out_len > 0); /* 0 means that it did not fit */
        return RC_OK;
    case EGRESS_CODEC_ZSTD:
        *out_len = ZSTD_compress2(compressor->zstd, out, capacity, data, len);
        if (ZSTD_isError(*out_len))
            return rc_fail(err, RC_FAILED, "zstd cannot compress %zu bytes: %s", len,
                           ZSTD_getErrorName(*out_len));
        return RC_OK;
    case EGRESS_CODEC_NONE:
        break;
    }
    if (len > 0)
        memcpy(out, data, len);
    *out_len = len;
    return RC_OK;
}

/* ---- expanding ------------------------------------------------------------------------------ */

struct egress_expander {
    enum egress_codec codec;
    z_stream gzip; /* of this codec only, as the next */
    ZSTD_DStream *zstd;
    bool is_inside; /* a member or frame that has begun and not ended */
    bool has_begun; /* any of them */
};

/* To zlib: windows of any size, with the header and trailer of gzip. */
enum { GZIP_WINDOW_BITS = 15 + 16 };

struct egress_expander *egress_expander_new(enum egress_codec codec)
{
    struct egress_expander *expander = rc_calloc(1, sizeof(*expander));

    expander->codec = codec;
    if (codec == EGRESS_CODEC_GZIP && inflateInit2(&expander->gzip, GZIP_WINDOW_BITS) != Z_OK)
        rc_out_of_memory(sizeof(expander->gzip));
    if (codec == EGRESS_CODEC_ZSTD) {
        expander->zstd = ZSTD_createDStream();
        if (!expander->zstd)
            rc_out_of_memory(sizeof(void *));
    }
    return expander;
}

void egress_expander_free(struct egress_expander *expander)
{
    if (!expander)
        return;
    if (expander->codec == EGRESS_CODEC_GZIP)
        inflateEnd(&expander->gzip);
    ZSTD_freeDStream(expander->zstd);
    free(expander);
}

static enum rc_code expand_gzip(struct egress_expander *expander, const char **data, size_t *len,
                                void *out, size_t capacity, size_t *out_len, struct rc_error *err)
{
    z_stream *gzip = &expander->gzip;
    uInt given = *len < UINT_MAX ? (uInt)*len : UINT_MAX;
    uInt room = capacity < UINT_MAX ? (uInt)capacity : UINT_MAX;
    int result;

    gzip->next_in = (const Bytef *)*data;
    gzip->avail_in = given;
    gzip->next_out = out;
    gzip->avail_out = room;
    result = inflate(gzip, Z_NO_FLUSH);
    *data += given - gzip->avail_in;
    *len -= given - gzip->avail_in;
    *out_len = room - gzip->avail_out;

    if (given > gzip->avail_in)
        expander->is_inside = expander->has_begun = true;
    if (result == Z_STREAM_END) {
        expander->is_inside = false;
        inflateReset(gzip);
        return RC_OK;
    }
    if (result == Z_MEM_ERROR)
        rc_out_of_memory(room);
    if (result != Z_OK && result != Z_BUF_ERROR)
        return rc_fail(err, RC_CORRUPT, "this is not what gzip writes: %s",
                       gzip->msg ? gzip->msg : zError(result));
    return RC_OK;
}

static enum rc_code expand_zstd(struct egress_expander *expander, const char **data, size_t *len,
                                void *out, size_t capacity, size_t *out_len, struct rc_error *err)
{
    ZSTD_inBuffer from = { .src = *data, .size = *len };
    ZSTD_outBuffer to = { .dst = out, .size = capacity };
    size_t left = ZSTD_decompressStream(expander->zstd, &to, &from);

    if (ZSTD_isError(left))
        return rc_fail(err, RC_CORRUPT, "this is not what zstd writes: %s",
                       ZSTD_getErrorName(left));
    *data += from.pos;
    *len -= from.pos;
    *out_len = to.pos;
    /* Between frames, a call that has nothing to do names what the next one's header would take. */
    if (from.pos > 0 || to.pos > 0) {
        expander->is_inside = left > 0;
        expander->has_begun = true;
    }
    return RC_OK;
}

static void copy_out(const char **data, size_t *len, void *out, size_t capacity, size_t *out_len)
{
    *out_len = *len < capacity ? *len : capacity;
    if (*out_len > 0)
        memcpy(out, *data, *out_len);
    *data += *out_len;
    *len -= *out_len;
}

enum rc_code egress_expand(struct egress_expander *expander, const char **data, size_t *len,
                           void *out, size_t capacity, size_t *out_len, struct rc_error *err)
{
    *out_len = 0;
    if (expander->codec == EGRESS_CODEC_NONE) {
        copy_out(data, len, out, capacity, out_len);
        return RC_OK;
    }
    /* What ends a member gives no text, nor does what lies between two blocks of it. */
    do {
        size_t before = *len;
        enum rc_code code = expander->codec == EGRESS_CODEC_GZIP
                                ? expand_gzip(expander, data, len, out, capacity, out_len, err)
                                : expand_zstd(expander, data, len, out, capacity, out_len, err);

        if (code)
            return code;
        RC_ASSERT(*out_len > 0 || *len == 0 || *len < before);
    } while (*out_len == 0 && *len > 0);
    return RC_OK;
}

enum rc_code egress_expander_end(struct egress_expander *expander, struct rc_error *err)
{
    const char *name = codecs[expander->codec].name;

    if (expander->codec == EGRESS_CODEC_NONE)
        return RC_OK;
    if (!expander->has_begun)
        return rc_fail(err, RC_CORRUPT, "nothing is there, not even what %s makes of nothing",
                       name);
    if (expander->is_inside)
        return rc_fail(err, RC_CORRUPT, "the data of %s ends before its end: it was cut off", name);
    return RC_OK;
}
