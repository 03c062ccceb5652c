/*
 * Bloom filters: of another writer, made anew, and damaged. apache_bloom.parquet is
 * data_index_bloom_encoding_stats.parquet of github.com/apache/parquet-testing (Apache-2.0), and
 * apache_bloom_with_length.parquet its data_index_bloom_encoding_with_length.parquet.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "parquet/bloom.h"
#include "parquet_maker.h"

#include <run-core/str.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FOOTER_LIMIT = 1 << 20, BLOCK = 32, HEADER = 17 };

/* In both files, as other readers give it. */
static const char *const texts[] = { "Hello",   "This is", "a",        "test",      "How",
                                     "are you", "doing ",  "today",    "the quick", "brown fox",
                                     "jumps",   "over",    "the lazy", "dog" };

struct setting {
    struct maker maker; /* its bytes are those of the file */
    struct pq_file file;
    struct rc_error err;
};

static int set_up(void **state)
{
    struct setting *setting = calloc(1, sizeof(*setting));

    assert_non_null(setting);
    maker_init(&setting->maker);
    *state = setting;
    return 0;
}

static int tear_down(void **state)
{
    struct setting *setting = *state;

    pq_file_close(&setting->file);
    maker_clear(&setting->maker);
    free(setting);
    return 0;
}

static struct pq_slice slice(const char *text)
{
    return (struct pq_slice){ (const uint8_t *)text, (uint32_t)strlen(text) };
}

/* The file's own footer in place of one that is made. */
static void open_file(struct setting *setting, const char *name)
{
    RC_STR_AUTO path = rc_strf("%s/tests/data/parquet/%s", getenv("RUN_CORE_SOURCE"), name);
    struct pq_source source = maker_finish(&setting->maker);
    FILE *file = fopen(path, "rb");
    char data[8192];

    assert_non_null(file);
    size_t len = fread(data, 1, sizeof(data), file);
    fclose(file);
    rc_buf_reset(&setting->maker.bytes);
    rc_buf_add(&setting->maker.bytes, data, len);
    source.size_bytes = (int64_t)len;
    setting->maker.reads = 0;
    assert_int_equal(pq_file_open(&setting->file, &source, FOOTER_LIMIT, &setting->err), RC_OK);
}

static void assert_holds_texts(const struct pq_bloom *bloom, bool is_empty)
{
    int others = 0;

    for (size_t i = 0; i < RC_ARRAY_LEN(texts); i++)
        assert_int_equal(pq_bloom_may_hold(bloom, slice(texts[i])), !is_empty);
    for (int i = 0; i < 1000; i++) {
        char other[32];

        snprintf(other, sizeof(other), "another %d", i);
        others += pq_bloom_may_hold(bloom, slice(other));
    }
    assert_true(others < 20);
}

static void knows_what_another_writer_added(void **state)
{
    static const char *const names[] = { "apache_bloom.parquet",
                                         "apache_bloom_with_length.parquet" };

    for (size_t i = 0; i < RC_ARRAY_LEN(names); i++) {
        assert_int_equal(set_up(state), 0);
        struct setting *setting = *state;
        struct pq_bloom bloom;

        open_file(setting, names[i]);
        const struct pq_chunk *chunk = setting->file.groups[0].chunks;
        assert_int_equal(chunk->bloom_len == -1, i == 0);
        setting->maker.reads = 0;
        assert_int_equal(pq_bloom_read(&bloom, &setting->file, chunk, FOOTER_LIMIT, &setting->err),
                         RC_OK);
        assert_int_equal(setting->maker.reads, i == 0 ? 2 : 1);
        assert_int_equal(bloom.len % BLOCK, 0);
        assert_holds_texts(&bloom, false);
        pq_bloom_clear(&bloom);
        assert_int_equal(tear_down(state), 0);
    }
}

/* The judge is the filter that is there: of the same values the same bits. */
static void makes_the_same_bits(void **state)
{
    struct setting *setting = *state;
    RC_BUF_AUTO(written, FOOTER_LIMIT);
    struct pq_bloom bloom;

    open_file(setting, "apache_bloom_with_length.parquet");
    const struct pq_chunk *chunk = setting->file.groups[0].chunks;
    assert_int_equal(pq_bloom_read(&bloom, &setting->file, chunk, FOOTER_LIMIT, &setting->err),
                     RC_OK);
    pq_bloom_empty(&bloom);
    assert_holds_texts(&bloom, true);
    for (size_t i = 0; i < RC_ARRAY_LEN(texts); i++)
        pq_bloom_add(&bloom, slice(texts[i]));
    pq_bloom_write(&bloom, &written);
    assert_int_equal(written.len, chunk->bloom_len);
    assert_memory_equal(written.data, setting->maker.bytes.data + chunk->bloom_offset, written.len);
    pq_bloom_clear(&bloom);
}

/* BloomFilter.md of the format gives the share of false positives by bits a value. */
static void errs_as_seldom_as_the_format_says(void **state)
{
    enum { BLOCKS = 1024, VALUES = 26214, ASKED = 100000 };
    RC_CLEANUP(rc_buf_clear) struct rc_buf bits = RC_BUF_INIT(BLOCKS * BLOCK);
    struct pq_bloom bloom = { .len = BLOCKS * BLOCK };
    int wrong = 0;

    (void)state;
    bloom.bits = (uint8_t *)rc_buf_reserve(&bits, bloom.len);
    pq_bloom_empty(&bloom);
    for (uint64_t i = 0; i < VALUES + ASKED; i++) {
        struct pq_slice value = { (const uint8_t *)&i, sizeof(i) };

        if (i < VALUES)
            pq_bloom_add(&bloom, value);
        else
            wrong += pq_bloom_may_hold(&bloom, value);
    }
    for (uint64_t i = 0; i < VALUES; i++)
        assert_true(pq_bloom_may_hold(&bloom, (struct pq_slice){ (const uint8_t *)&i, 8 }));
    assert_true(wrong > ASKED / 100 && wrong < ASKED * 16 / 1000); /* 1.26 % */
}

/* ---- damaged ones ---------------------------------------------------------------------------- */

/* A file with a filter whose header says these. */
static const struct pq_chunk *make_filter(struct setting *setting, int64_t len, int16_t algorithm,
                                          int16_t hash, size_t bytes)
{
    struct maker *maker = &setting->maker;
    struct pq_node header = { .kind = PQ_KIND_STRUCT };
    RC_BUF_AUTO(pages, 1);
    uint8_t bits[4096] = { 0 };

    maker_element(maker, "schema", MAKER_GROUP, MAKER_REQUIRED, 1);
    maker_element(maker, "id", PQ_INT64, MAKER_OPTIONAL, 0);
    maker_group(maker, 0);
    struct pq_node *meta = maker_meta(maker_chunk(maker, PQ_INT64, 0, &pages, 0));
    maker_int(maker, meta, 14, PQ_KIND_I64, (int64_t)maker->bytes.len);

    maker_int(maker, &header, 1, PQ_KIND_I32, len);
    maker_struct(maker, maker_struct(maker, &header, 2), algorithm);
    maker_struct(maker, maker_struct(maker, &header, 3), hash);
    maker_struct(maker, maker_struct(maker, &header, 4), 1);
    maker_text(maker, &header, 9, "added since", 11);
    pq_thrift_write(&maker->bytes, &header);
    rc_buf_add(&maker->bytes, bits, bytes);

    struct pq_source source = maker_finish(maker);
    assert_int_equal(pq_file_open(&setting->file, &source, FOOTER_LIMIT, &setting->err), RC_OK);
    return setting->file.groups[0].chunks;
}

static void refuses_filters(void **state)
{
    static const struct {
        int64_t len;
        int16_t algorithm, hash;
        size_t bytes;
        enum rc_code code;
    } cases[] = {
        { 64, 1, 1, 64, RC_OK },
        { 1024, 1, 1, 1024, RC_OK },
        { 64, 2, 1, 64, RC_UNSUPPORTED },
        { 64, 1, 2, 64, RC_UNSUPPORTED },
        { 0, 1, 1, 64, RC_INVALID },
        { -32, 1, 1, 64, RC_INVALID },
        { 48, 1, 1, 64, RC_INVALID },
        { 64, 1, 1, 63, RC_INVALID },
        { INT32_MAX / 32 * 32, 1, 1, 64, RC_INVALID },
        { 2048, 1, 1, 2048, RC_TOO_LARGE },
    };

    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        assert_int_equal(set_up(state), 0);
        struct setting *setting = *state;
        const struct pq_chunk *chunk =
            make_filter(setting, cases[i].len, cases[i].algorithm, cases[i].hash, cases[i].bytes);
        struct pq_bloom bloom;

        assert_int_equal(pq_bloom_read(&bloom, &setting->file, chunk, 1024, &setting->err),
                         cases[i].code);
        if (cases[i].code == RC_OK)
            assert_false(pq_bloom_may_hold(&bloom, slice("any")));
        else
            assert_non_null(strstr(setting->err.context, "bloom filter at byte 4 of"));
        pq_bloom_clear(&bloom);
        assert_int_equal(tear_down(state), 0);
    }
}

static void refuses_what_is_no_header(void **state)
{
    struct setting *setting = *state;
    const struct pq_chunk *chunk = make_filter(setting, 64, 1, 1, 64);
    struct pq_bloom bloom;

    memset(setting->maker.bytes.data + chunk->bloom_offset, 0xff, HEADER);
    assert_int_equal(pq_bloom_read(&bloom, &setting->file, chunk, FOOTER_LIMIT, &setting->err),
                     RC_INVALID);
    setting->maker.bytes.len = 20;
    assert_int_equal(pq_bloom_read(&bloom, &setting->file, chunk, FOOTER_LIMIT, &setting->err),
                     RC_FAILED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_what_another_writer_added),
        cmocka_unit_test_setup_teardown(makes_the_same_bits, set_up, tear_down),
        cmocka_unit_test(errs_as_seldom_as_the_format_says),
        cmocka_unit_test(refuses_filters),
        cmocka_unit_test_setup_teardown(refuses_what_is_no_header, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
