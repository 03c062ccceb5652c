/*
 * Bloom filters: of other writers, made anew, and damaged.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "parquet/bloom.h"
#include "parquet/page.h"
#include "parquet_maker.h"

#include <stdio.h>
#include <string.h>

enum { FOOTER_LIMIT = 1 << 20, BLOCK = 32, HEADER = 17 };

static struct pq_slice slice(const char *text)
{
    return (struct pq_slice){ (const uint8_t *)text, (uint32_t)strlen(text) };
}

/* Puts every value of the chunk into 'made', having asked 'read' for it. */
static void add_values(struct made *setting, size_t group, size_t column,
                       const struct pq_bloom *read, struct pq_bloom *made)
{
    const struct pq_page *page;
    struct pq_pages *pages;

    assert_int_equal(pq_pages_open(&setting->file, group, column, &pages, &setting->err), RC_OK);
    for (;;) {
        assert_int_equal(pq_pages_next(pages, &page, &setting->err), RC_OK);
        if (!page)
            break;
        for (size_t i = 0; i < page->value_count; i++) {
            struct pq_slice value = page->has_indices
                                        ? pq_value_at(pq_pages_dictionary(pages), page->indices[i])
                                        : pq_value_at(&page->values, i);

            assert_true(pq_bloom_may_hold(read, value));
            pq_bloom_add(made, value);
        }
    }
    pq_pages_close(pages);
}

static void check_filter(struct made *setting, size_t group, size_t column)
{
    const struct pq_chunk *chunk = &setting->file.groups[group].chunks[column];
    RC_BUF_AUTO(written, FOOTER_LIMIT);
    struct pq_bloom read, made;
    int others = 0;

    setting->maker.reads = 0;
    assert_int_equal(pq_bloom_read(&read, &setting->file, chunk, FOOTER_LIMIT, &setting->err),
                     RC_OK);
    assert_true(setting->maker.reads <= (chunk->bloom_len == -1 ? 2 : 1));
    assert_true(read.len > 0 && read.len % BLOCK == 0);
    for (int i = 0; i < 1000; i++) {
        char other[32];

        snprintf(other, sizeof(other), "another %d", i);
        others += pq_bloom_may_hold(&read, slice(other));
    }
    assert_true(others < 500);

    assert_int_equal(pq_bloom_read(&made, &setting->file, chunk, FOOTER_LIMIT, &setting->err),
                     RC_OK);
    pq_bloom_empty(&made);
    assert_false(pq_bloom_may_hold(&made, slice("another")));
    add_values(setting, group, column, &read, &made);
    pq_bloom_write(&made, &written);
    if (chunk->bloom_len != -1)
        assert_int_equal(written.len, chunk->bloom_len);
    assert_memory_equal(written.data, setting->maker.bytes.data + chunk->bloom_offset, written.len);
    pq_bloom_clear(&read);
    pq_bloom_clear(&made);
}

/* The judge is the filter that is there: of the same values the same bits. */
static void makes_the_same_bits_as_other_writers(void **state)
{
    /* Of parquet-mr, which does not tell the filter's length, and of Arrow, which does. */
    static const struct {
        const char *name;
        bool tells_len;
    } cases[] = { { "spark_users_v2.parquet", false }, { "arrow_users_indexed.parquet", true } };

    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        int filters = 0;

        assert_int_equal(made_set_up(state), 0);
        struct made *setting = *state;
        made_open_data(setting, cases[i].name);
        for (size_t group = 0; group < setting->file.group_count; group++) {
            for (size_t column = 0; column < setting->file.column_count; column++) {
                const struct pq_chunk *chunk = &setting->file.groups[group].chunks[column];

                if (chunk->bloom_offset == -1)
                    continue;
                assert_int_equal(chunk->bloom_len != -1, cases[i].tells_len);
                check_filter(setting, group, column);
                filters++;
            }
        }
        assert_true(filters >= 4);
        assert_int_equal(made_tear_down(state), 0);
    }
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
static const struct pq_chunk *make_filter(struct made *setting, int64_t len, int16_t algorithm,
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
        assert_int_equal(made_set_up(state), 0);
        struct made *setting = *state;
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
        assert_int_equal(made_tear_down(state), 0);
    }
}

static void refuses_what_is_no_header(void **state)
{
    struct made *setting = *state;
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
        cmocka_unit_test(makes_the_same_bits_as_other_writers),
        cmocka_unit_test(errs_as_seldom_as_the_format_says),
        cmocka_unit_test(refuses_filters),
        IN_MADE(refuses_what_is_no_header),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
