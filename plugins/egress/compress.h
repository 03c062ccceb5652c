/*
 * Compression by blocks: each block becomes a gzip member or a zstd frame of its own, so that
 * blocks are compressed by any number of threads, and any gunzip or zstd reads their sequence as
 * one.
 */
#ifndef EGRESS_COMPRESS_H
#define EGRESS_COMPRESS_H

#include <run-core/plugin.h>

enum egress_codec { EGRESS_CODEC_NONE, EGRESS_CODEC_GZIP, EGRESS_CODEC_ZSTD };

struct egress_compression {
    enum egress_codec codec;
    int level;
};

/* "gzip", "gzip:1" to "gzip:12", "zstd", "zstd:1" to "zstd:19", "none". RC_INVALID. */
RC_MUST_CHECK enum rc_code egress_compression_read(const char *text, struct egress_compression *out,
                                                   struct rc_error *err);
const char *egress_compression_extension(const struct egress_compression *compression); /* ".gz" */
const char *egress_compression_name(const struct egress_compression *compression);      /* "gzip" */
const char *egress_content_type(const struct egress_compression *compression);

/* Of one thread. */
struct egress_compressor;

struct egress_compressor *egress_compressor_new(const struct egress_compression *compression);
void egress_compressor_free(struct egress_compressor *compressor);
/* About the most memory that one takes for itself. */
size_t egress_compressor_bytes(const struct egress_compression *compression);
/* The most that a block of 'len' bytes becomes. */
size_t egress_compressor_bound(const struct egress_compressor *compressor, size_t len);
/* 'out' has room for the bound. */
RC_MUST_CHECK enum rc_code egress_compress(struct egress_compressor *compressor, const void *data,
                                           size_t len, void *out, size_t capacity, size_t *out_len,
                                           struct rc_error *err);

/* A stream that undoes it, of any gzip or zstd file; with a library that did not write it. */
struct egress_expander;

struct egress_expander *egress_expander_new(enum egress_codec codec);
void egress_expander_free(struct egress_expander *expander);
/*
 * Takes from *data (advanced) and gives to 'out'; *out_len 0 and *len 0: give more. RC_CORRUPT.
 */
RC_MUST_CHECK enum rc_code egress_expand(struct egress_expander *expander, const char **data,
                                         size_t *len, void *out, size_t capacity, size_t *out_len,
                                         struct rc_error *err);
/* RC_CORRUPT: the file ends within a member or frame. */
RC_MUST_CHECK enum rc_code egress_expander_end(struct egress_expander *expander,
                                               struct rc_error *err);

#endif
