/*
 * The codecs of pages, each by its own library.
 */
#ifndef DSR_PARQUET_CODEC_H
#define DSR_PARQUET_CODEC_H

#include "file.h"

/* Reused from page to page; belongs to one thread. */
struct pq_coder;

RC_MUST_CHECK enum rc_code pq_coder_new(struct pq_coder **out, struct rc_error *err);
void pq_coder_free(struct pq_coder *coder);

/* A number that is no codec's has a name too. */
const char *pq_codec_name(enum pq_codec codec);
/* RC_UNSUPPORTED: LZO, and codecs invented since. */
RC_MUST_CHECK enum rc_code pq_codec_check(int64_t codec, struct rc_error *err);

/*
 * The most that so many bytes can become, so that nobody makes room for what a damaged header
 * says. Brotli knows no such bound.
 */
size_t pq_decompressed_bound(enum pq_codec codec, size_t len);

/*
 * RC_INVALID: the data is damaged, or does not give exactly 'out_len' bytes. Where that is 0 the
 * data is not looked at: writers differ in what they make of nothing. GZIP is read with any number
 * of members and in zlib's wrapping too, LZ4 in each of the forms that writers have given it.
 */
RC_MUST_CHECK enum rc_code pq_decompress(struct pq_coder *coder, enum pq_codec codec,
                                         const uint8_t *data, size_t len, uint8_t *out,
                                         size_t out_len, struct rc_error *err);
/*
 * Appends to 'out'. LZ4 is written in Hadoop's frames. Levels are what writers of Parquet mostly
 * use (gzip 6, zstd 3, brotli 4): a file does not say with which it was written.
 */
RC_MUST_CHECK enum rc_code pq_compress(struct pq_coder *coder, enum pq_codec codec,
                                       const uint8_t *data, size_t len, struct rc_buf *out,
                                       struct rc_error *err);

/*
 * Buffers that whoever puts pages together needs for each of them: the page's body, and the same
 * compressed. Reset them before use; their limit is that of a page's size in its header.
 */
enum { PQ_ROOM_BODY, PQ_ROOM_COMPRESSED, PQ_ROOMS };
struct rc_buf *pq_coder_room(struct pq_coder *coder, size_t room);

#endif
