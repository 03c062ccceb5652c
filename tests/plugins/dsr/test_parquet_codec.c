/*
 * The codecs of pages: what is compressed comes back, the forms of LZ4 and GZIP that writers have
 * used are read, and data that is cut off, damaged or of another length is refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "parquet/codec.h"

#include <chance.h>

#include <libdeflate.h>
#include <lz4.h>
#include <lz4frame.h>
#include <stdlib.h>
#include <string.h>

enum { LIMIT = 64 << 20 };

static const enum pq_codec all_codecs[] = {
    PQ_UNCOMPRESSED, PQ_SNAPPY, PQ_GZIP, PQ_BROTLI, PQ_LZ4, PQ_ZSTD, PQ_LZ4_RAW,
};

static struct pq_coder *coder;

static int set_up(void **state)
{
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    return pq_coder_new(&coder, &err) ? -1 : 0;
}

static int tear_down(void **state)
{
    (void)state;
    pq_coder_free(coder);
    return 0;
}

/* Half of it repeats what was there before. */
static void add_text(struct rc_buf *out, size_t len, struct chance *chance)
{
    size_t end = out->len + len;

    while (out->len < end)
        if (chance_any(chance) & 1)
            rc_buf_addf(out, "user-%u,", (unsigned)chance_below(chance, 50));
        else
            rc_buf_addf(out, "%llx", (unsigned long long)chance_any(chance));
    rc_buf_truncate(out, end);
}

/* Into a block of exactly that size, so that the sanitizer sees a byte too many. */
static enum rc_code expand(enum pq_codec codec, const void *data, size_t len, size_t out_len,
                           uint8_t **out)
{
    struct rc_error err = RC_ERROR_INIT;
    uint8_t *exact = malloc(len ? len : 1);
    enum rc_code code;

    *out = malloc(out_len ? out_len : 1);
    assert_non_null(exact);
    assert_non_null(*out);
    if (len > 0)
        memcpy(exact, data, len);
    code = pq_decompress(coder, codec, exact, len, *out, out_len, &err);
    if (code)
        assert_true(err.cause[0] != '\0');
    free(exact);
    return code;
}

static void assert_expands(enum pq_codec codec, const void *data, size_t len, const void *expected,
                           size_t expected_len)
{
    uint8_t *out;

    assert_int_equal(expand(codec, data, len, expected_len, &out), RC_OK);
    assert_memory_equal(out, expected, expected_len);
    free(out);
}

static void assert_refused(enum pq_codec codec, const void *data, size_t len, size_t out_len)
{
    uint8_t *out;

    assert_int_equal(expand(codec, data, len, out_len, &out), RC_INVALID);
    free(out);
}

static void comes_back(void **state)
{
    static const size_t lens[] = { 1, 2, 7, 100, 65536, 131072, 131073, 300000, 2500000 };
    struct chance chance = chance_new(__func__);
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(all_codecs); i++)
        for (size_t k = 0; k < RC_ARRAY_LEN(lens); k++) {
            RC_BUF_AUTO(text, LIMIT);
            RC_BUF_AUTO(stored, LIMIT);

            add_text(&text, lens[k], &chance);
            rc_buf_adds(&stored, "before");
            assert_int_equal(
                pq_compress(coder, all_codecs[i], (uint8_t *)text.data, text.len, &stored, &err),
                RC_OK);
            assert_memory_equal(stored.data, "before", 6);
            assert_true(pq_decompressed_bound(all_codecs[i], stored.len - 6) >= text.len);
            assert_expands(all_codecs[i], stored.data + 6, stored.len - 6, text.data, text.len);
            assert_refused(all_codecs[i], stored.data + 6, stored.len - 6, text.len + 1);
            assert_refused(all_codecs[i], stored.data + 6, stored.len - 7, text.len);
            if (all_codecs[i] != PQ_GZIP && lens[k] > 1) /* may go on in another member */
                assert_refused(all_codecs[i], stored.data + 6, stored.len - 6, text.len - 1);
        }
}

/* Zeros are where each codec gains the most: the bound is above it. */
static void nothing_becomes_more_than_the_bound(void **state)
{
    enum { LEN = 16 << 20 };
    struct rc_error err = RC_ERROR_INIT;
    uint8_t *zeros = calloc(LEN, 1);

    (void)state;
    assert_non_null(zeros);
    for (size_t i = 0; i < RC_ARRAY_LEN(all_codecs); i++) {
        RC_BUF_AUTO(stored, LIMIT);

        assert_int_equal(pq_compress(coder, all_codecs[i], zeros, LEN, &stored, &err), RC_OK);
        assert_true(pq_decompressed_bound(all_codecs[i], stored.len) >= LEN);
        assert_expands(all_codecs[i], stored.data, stored.len, zeros, LEN);
    }
    free(zeros);
    assert_int_equal(pq_decompressed_bound(PQ_UNCOMPRESSED, 5), 5);
    assert_true(pq_decompressed_bound(PQ_SNAPPY, 100) < 1 << 20);
    assert_int_equal(pq_decompressed_bound(PQ_SNAPPY, SIZE_MAX), SIZE_MAX);
}

static void nothing_is_written_and_read(void **state)
{
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(all_codecs); i++) {
        RC_BUF_AUTO(stored, LIMIT);
        uint8_t *out;

        assert_int_equal(pq_compress(coder, all_codecs[i], NULL, 0, &stored, &err), RC_OK);
        assert_true((stored.len > 0) == (all_codecs[i] != PQ_UNCOMPRESSED));
        assert_int_equal(expand(all_codecs[i], stored.data, stored.len, 0, &out), RC_OK);
        free(out);
        assert_int_equal(expand(all_codecs[i], "", 0, 0, &out), RC_OK);
        free(out);
        assert_refused(all_codecs[i], "", 0, 1);
    }
}

static void damage_is_refused_or_harmless(void **state)
{
    struct chance chance = chance_new(__func__);
    struct rc_error err = RC_ERROR_INIT;
    RC_BUF_AUTO(text, LIMIT);

    (void)state;
    add_text(&text, 3000, &chance);
    for (size_t i = 0; i < RC_ARRAY_LEN(all_codecs); i++)
        for (size_t round = 0; round < 500; round++) {
            RC_BUF_AUTO(stored, LIMIT);
            uint8_t *out;

            assert_int_equal(
                pq_compress(coder, all_codecs[i], (uint8_t *)text.data, text.len, &stored, &err),
                RC_OK);
            for (size_t k = 0; k <= round % 5; k++)
                stored.data[chance_below(&chance, stored.len)] ^=
                    (char)(1 << chance_below(&chance, 8));
            (void)expand(all_codecs[i], stored.data, stored.len, text.len, &out);
            free(out);
        }
}

/* ---- gzip ----------------------------------------------------------------------------------- */

static void gzip_members_are_read(void **state)
{
    struct rc_error err = RC_ERROR_INIT;
    RC_BUF_AUTO(stored, LIMIT);

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        const char *texts[] = { "one, ", "", "and another" };

        assert_int_equal(
            pq_compress(coder, PQ_GZIP, (const uint8_t *)texts[i], strlen(texts[i]), &stored, &err),
            RC_OK);
    }
    assert_expands(PQ_GZIP, stored.data, stored.len, "one, and another", 16);
    assert_refused(PQ_GZIP, stored.data, stored.len, 17);
    assert_refused(PQ_GZIP, stored.data, stored.len, 15);
}

static void zlib_is_read_as_gzip(void **state)
{
    struct libdeflate_compressor *zlib = libdeflate_alloc_compressor(6);
    char stored[100];
    size_t len = libdeflate_zlib_compress(zlib, "a page, a page", 14, stored, sizeof(stored));

    (void)state;
    assert_true(len > 0);
    assert_expands(PQ_GZIP, stored, len, "a page, a page", 14);
    libdeflate_free_compressor(zlib);
}

/* ---- LZ4 ------------------------------------------------------------------------------------ */

/* The first dictionary page of hadoop_lz4_compressed.parquet in apache/parquet-testing. */
static const uint8_t hadoop_page[] = {
    0x00, 0x00, 0x00, 0x10, 0x00, 0x00, 0x00, 0x12, 0xf0, 0x01, 0xc0, 0x7a, 0xfc,
    0x5e, 0x00, 0x00, 0x00, 0x00, 0xc1, 0x7a, 0xfc, 0x5e, 0x00, 0x00, 0x00, 0x00,
};
/* The same page without frames, as in non_hadoop_lz4_compressed.parquet there. */
static const uint8_t *bare_page = hadoop_page + 8;
enum { BARE_LEN = sizeof(hadoop_page) - 8, PLAIN_LEN = 16 };
static const uint8_t *plain_page = hadoop_page + 10;

static void lz4_is_read_with_and_without_frames(void **state)
{
    char frame[200];
    size_t len =
        LZ4F_compressFrame(frame, sizeof(frame), plain_page, PLAIN_LEN, /* preferences = */ NULL);

    (void)state;
    assert_expands(PQ_LZ4, hadoop_page, sizeof(hadoop_page), plain_page, PLAIN_LEN);
    assert_expands(PQ_LZ4, bare_page, BARE_LEN, plain_page, PLAIN_LEN);
    assert_expands(PQ_LZ4_RAW, bare_page, BARE_LEN, plain_page, PLAIN_LEN);
    assert_false(LZ4F_isError(len));
    assert_expands(PQ_LZ4, frame, len, plain_page, PLAIN_LEN);
    assert_refused(PQ_LZ4, frame, len - 12, PLAIN_LEN);
    assert_refused(PQ_LZ4, frame, len, PLAIN_LEN + 1);
    assert_refused(PQ_LZ4_RAW, hadoop_page, sizeof(hadoop_page), PLAIN_LEN);
}

static void add_big(struct rc_buf *out, uint32_t value)
{
    for (int shift = 24; shift >= 0; shift -= 8)
        rc_buf_addc(out, (char)(value >> shift));
}

static void add_block(struct rc_buf *out, const char *text)
{
    char block[200];
    int len = LZ4_compress_default(text, block, (int)strlen(text), sizeof(block));

    assert_true(len > 0);
    add_big(out, (uint32_t)len);
    rc_buf_add(out, block, (size_t)len);
}

static void frames_of_several_blocks_and_several_frames_are_read(void **state)
{
    RC_BUF_AUTO(stored, LIMIT);

    (void)state;
    add_big(&stored, 11);
    add_block(&stored, "hello");
    add_block(&stored, " world");
    add_big(&stored, 0);
    add_big(&stored, 1);
    add_block(&stored, "!");
    assert_expands(PQ_LZ4, stored.data, stored.len, "hello world!", 12);
    assert_refused(PQ_LZ4, stored.data, stored.len, 13);
    assert_refused(PQ_LZ4, stored.data, stored.len, 11);
    for (size_t len = 0; len < stored.len; len++)
        assert_refused(PQ_LZ4, stored.data, len, 12);
}

/* ---- others --------------------------------------------------------------------------------- */

static void unknown_codecs_are_named(void **state)
{
    struct rc_error err = RC_ERROR_INIT;
    RC_BUF_AUTO(out, LIMIT);

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(all_codecs); i++)
        assert_int_equal(pq_codec_check(all_codecs[i], &err), RC_OK);
    assert_string_equal(pq_codec_name(PQ_LZ4_RAW), "LZ4_RAW");
    assert_int_equal(pq_codec_check(PQ_LZO, &err), RC_UNSUPPORTED);
    assert_non_null(strstr(err.cause, "LZO"));
    assert_int_equal(pq_codec_check(-1, &err), RC_UNSUPPORTED);
    assert_int_equal(pq_codec_check(8, &err), RC_UNSUPPORTED);
    assert_non_null(strstr(err.cause, "8"));
    assert_int_equal(pq_compress(coder, PQ_LZO, (const uint8_t *)"x", 1, &out, &err),
                     RC_UNSUPPORTED);
    assert_int_equal(
        pq_decompress(coder, PQ_LZO, (const uint8_t *)"x", 1, (uint8_t[1]){ 0 }, 1, &err),
        RC_UNSUPPORTED);
}

static void a_full_buffer_is_an_error(void **state)
{
    struct rc_error err = RC_ERROR_INIT;
    uint8_t data[1000] = { 0 };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(all_codecs); i++) {
        RC_BUF_AUTO(out, 5);

        assert_int_equal(pq_compress(coder, all_codecs[i], data, sizeof(data), &out, &err),
                         RC_TOO_LARGE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comes_back),
        cmocka_unit_test(nothing_becomes_more_than_the_bound),
        cmocka_unit_test(nothing_is_written_and_read),
        cmocka_unit_test(damage_is_refused_or_harmless),
        cmocka_unit_test(gzip_members_are_read),
        cmocka_unit_test(zlib_is_read_as_gzip),
        cmocka_unit_test(lz4_is_read_with_and_without_frames),
        cmocka_unit_test(frames_of_several_blocks_and_several_frames_are_read),
        cmocka_unit_test(unknown_codecs_are_named),
        cmocka_unit_test(a_full_buffer_is_an_error),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
