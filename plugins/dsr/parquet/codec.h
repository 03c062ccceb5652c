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

const char *pq_codec_name(enum pq_codec codec);
/* RC_UNSUPPORTED: LZO, and codecs invented since. */
RC_MUST_CHECK enum rc_code pq_codec_check(int64_t codec, struct rc_error *err);

/* RC_INVALID: the data is damaged, or does not give exactly 'out_len' bytes. */
RC_MUST_CHECK enum rc_code pq_decompress(struct pq_coder *coder, enum pq_codec codec,
                                         const uint8_t *data, size_t len, uint8_t *out,
                                         size_t out_len, struct rc_error *err);
/*
 * Appends to 'out'. LZ4 is written in Hadoop's frames. Levels are the libraries' own defaults
 * (gzip 6, zstd 3, brotli 4): a file does not say with which it was written.
 */
RC_MUST_CHECK enum rc_code pq_compress(struct pq_coder *coder, enum pq_codec codec,
                                       const uint8_t *data, size_t len, struct rc_buf *out,
                                       struct rc_error *err);

#endif
