/*
 * Finding rows: in pages of every kind, past statistics, filters and dictionaries that say that
 * there is nothing, and in files of many writers.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "parquet/bloom.h"
#include "parquet/scan.h"
#include "parquet/statistics.h"
#include "parquet_maker.h"

#include <dirent.h>
#include <run-core/str.h>
#include <stdlib.h>
#include <string.h>

enum { LIMIT = 4 << 20, HITS = 1024 };

struct hit {
    int64_t row;
    size_t which;
};

struct setting {
    struct made made;
    const struct pq_column *column;
    struct pq_slice *wanted;
    size_t wanted_count;
    bool adds_all; /* whatever is asked for is wanted from then on */
    struct hit hits[HITS];
    size_t hit_count, fail_at; /* 0: never */
    struct pq_scanned scanned;
    int64_t skipped; /* of the scans for one value each */
};

static int set_up(void **state)
{
    struct setting *setting = calloc(1, sizeof(*setting));

    assert_non_null(setting);
    maker_init(&setting->made.maker);
    *state = setting;
    return 0;
}

static void forget_wanted(struct setting *setting)
{
    if (setting->adds_all)
        for (size_t i = 0; i < setting->wanted_count; i++)
            free((void *)(uintptr_t)setting->wanted[i].data);
    free(setting->wanted);
    setting->wanted = NULL;
    setting->wanted_count = 0;
}

static int tear_down(void **state)
{
    struct setting *setting = *state;

    forget_wanted(setting);
    pq_file_close(&setting->made.file);
    maker_clear(&setting->made.maker);
    free(setting);
    return 0;
}

/* ---- what is wanted -------------------------------------------------------------------------- */

static void want(struct setting *setting, const void *data, size_t len)
{
    setting->wanted =
        rc_realloc(setting->wanted, (setting->wanted_count + 1) * sizeof(*setting->wanted));
    setting->wanted[setting->wanted_count++] = (struct pq_slice){ data, (uint32_t)len };
}

static ptrdiff_t find(void *context, struct pq_slice value)
{
    struct setting *setting = context;

    for (size_t i = 0; i < setting->wanted_count; i++)
        if (setting->wanted[i].len == value.len &&
            memcmp(setting->wanted[i].data, value.data, value.len) == 0)
            return (ptrdiff_t)i;
    if (!setting->adds_all)
        return -1;
    uint8_t *copy = malloc(value.len + 1);
    assert_non_null(copy);
    memcpy(copy, value.data, value.len);
    want(setting, copy, value.len);
    return (ptrdiff_t)setting->wanted_count - 1;
}

static bool any_between(void *context, struct pq_slice least, struct pq_slice greatest)
{
    struct setting *setting = context;

    for (size_t i = 0; i < setting->wanted_count; i++)
        if (pq_compare(setting->column->order, least, setting->wanted[i]) <= 0 &&
            pq_compare(setting->column->order, setting->wanted[i], greatest) <= 0)
            return true;
    return false;
}

static bool each(void *context, size_t i, struct pq_slice *value)
{
    struct setting *setting = context;

    if (i >= setting->wanted_count)
        return false;
    *value = setting->wanted[i];
    return true;
}

static enum rc_code note_hit(void *context, int64_t row, size_t which, struct rc_error *err)
{
    struct setting *setting = context;

    assert_true(setting->hit_count < HITS);
    assert_true(which < setting->wanted_count);
    assert_true(setting->hit_count == 0 || setting->hits[setting->hit_count - 1].row < row);
    setting->hits[setting->hit_count++] = (struct hit){ row, which };
    return setting->hit_count == setting->fail_at ? rc_fail(err, RC_CANCELLED, "enough") : RC_OK;
}

static enum rc_code scan(struct setting *setting, size_t column, bool trusts, bool asks_all)
{
    const struct pq_wanted wanted = {
        .context = setting,
        .find = find,
        .any_between = asks_all ? any_between : NULL,
        .each = asks_all ? each : NULL,
    };
    const struct pq_scan_options options = { .trusts_statistics = trusts };

    setting->column = &setting->made.file.columns[column];
    setting->hit_count = 0;
    return pq_scan(&setting->made.file, column, &wanted, &options, note_hit, setting,
                   &setting->scanned, &setting->made.err);
}

static void assert_scans(struct setting *setting, bool trusts, const struct hit *hits, size_t len)
{
    enum rc_code code = scan(setting, 0, trusts, true);

    if (code != RC_OK)
        fail_msg("%s: %s", setting->made.err.context, setting->made.err.cause);
    assert_int_equal(setting->hit_count, len);
    for (size_t i = 0; i < len; i++) {
        assert_int_equal(setting->hits[i].row, hits[i].row);
        assert_int_equal(setting->hits[i].which, hits[i].which);
    }
}

/* ---- made files ------------------------------------------------------------------------------ */

static void open_made(struct setting *setting)
{
    struct pq_source source = maker_finish(&setting->made.maker);

    if (pq_file_open(&setting->made.file, &source, LIMIT, &setting->made.err))
        fail_msg("%s: %s", setting->made.err.context, setting->made.err.cause);
    setting->made.maker.reads = 0;
    setting->made.maker.read_bytes = 0;
}

static void make_column(struct setting *setting, enum pq_type type, int repetition)
{
    maker_element(&setting->made.maker, "schema", MAKER_GROUP, MAKER_REQUIRED, 1);
    maker_element(&setting->made.maker, "id", (int)type, repetition, 0);
    maker_struct(&setting->made.maker,
                 maker_append(&setting->made.maker, &setting->made.maker.root, 7), 1);
}

static void set_bounds(struct setting *setting, struct pq_node *chunk, const void *least,
                       const void *greatest, size_t len)
{
    struct pq_node *record = maker_struct(&setting->made.maker, maker_meta(chunk), 12);

    maker_text(&setting->made.maker, record, 5, greatest, len);
    maker_text(&setting->made.maker, record, 6, least, len);
}

/* Two groups, of two pages and of one: 10 20 | 30 40 50, 60 70. */
static void make_numbers(struct setting *setting)
{
    static const int64_t numbers[] = { 10, 20, 30, 40, 50, 60, 70 };
    RC_BUF_AUTO(pages, LIMIT);

    make_column(setting, PQ_INT64, MAKER_REQUIRED);
    maker_group(&setting->made.maker, 5);
    maker_page(&pages, PQ_PLAIN, 2, numbers, 16);
    maker_page(&pages, PQ_PLAIN, 3, numbers + 2, 24);
    set_bounds(setting, maker_chunk(&setting->made.maker, PQ_INT64, 5, &pages, 0), numbers,
               numbers + 4, 8);
    rc_buf_reset(&pages);
    maker_group(&setting->made.maker, 2);
    maker_page(&pages, PQ_PLAIN, 2, numbers + 5, 16);
    set_bounds(setting, maker_chunk(&setting->made.maker, PQ_INT64, 2, &pages, 0), numbers + 5,
               numbers + 6, 8);
    open_made(setting);
}

static void finds_rows_of_all_groups_and_pages(void **state)
{
    static const int64_t ids[] = { 70, 10, 40, 99 };
    static const struct hit hits[] = { { 0, 1 }, { 3, 2 }, { 6, 0 } };
    struct setting *setting = *state;

    make_numbers(setting);
    for (size_t i = 0; i < RC_ARRAY_LEN(ids); i++)
        want(setting, &ids[i], 8);
    assert_scans(setting, true, hits, 3);
    assert_int_equal(setting->scanned.groups_read, 2);
    assert_int_equal(setting->scanned.groups_skipped, 0);
    assert_int_equal(setting->scanned.bytes_read, setting->made.maker.read_bytes);
    assert_true(setting->scanned.bytes_read > 0);
    assert_scans(setting, false, hits, 3);
}

static void skips_groups_by_their_bounds(void **state)
{
    static const int64_t ids[] = { 60, 9, 51 };
    static const struct hit hits[] = { { 5, 0 } };
    struct setting *setting = *state;

    make_numbers(setting);
    for (size_t i = 0; i < RC_ARRAY_LEN(ids); i++)
        want(setting, &ids[i], 8);
    assert_scans(setting, true, hits, 1);
    assert_int_equal(setting->scanned.groups_read, 1);
    assert_int_equal(setting->scanned.groups_skipped, 1);

    assert_scans(setting, false, hits, 1);
    assert_int_equal(setting->scanned.groups_read, 2);
    /* Who does not tell what lies between has everything looked at. */
    assert_int_equal(scan(setting, 0, true, false), RC_OK);
    assert_int_equal(setting->scanned.groups_read, 2);
    assert_int_equal(setting->hit_count, 1);
}

static void reads_nothing_where_nothing_can_be(void **state)
{
    static const int64_t id = 55;
    struct setting *setting = *state;

    make_numbers(setting);
    want(setting, &id, 8);
    assert_scans(setting, true, NULL, 0);
    assert_int_equal(setting->made.maker.reads, 0);
    assert_int_equal(setting->scanned.bytes_read, 0);
    assert_int_equal(setting->scanned.groups_skipped, 2);
}

static void passes_on_what_stops_it(void **state)
{
    static const int64_t ids[] = { 10, 20 };
    struct setting *setting = *state;

    make_numbers(setting);
    want(setting, &ids[0], 8);
    want(setting, &ids[1], 8);
    setting->fail_at = 1;
    assert_int_equal(scan(setting, 0, true, true), RC_CANCELLED);
    assert_string_equal(setting->made.err.cause, "enough");
    assert_non_null(strstr(setting->made.err.context, "row group 0 of 'made.parquet'"));
}

/* Texts of which two are null and one is empty: "", null, "ab", null, "". */
static struct pq_node *make_nulls(struct setting *setting)
{
    static const uint8_t body[] = { 2, 0, 0, 0, 0x03, 0x15, /* levels 1 0 1 0 1 */
                                    0, 0, 0, 0, 2,    0,    0, 0, 'a', 'b', 0, 0, 0, 0 };
    RC_BUF_AUTO(pages, LIMIT);

    make_column(setting, PQ_BYTE_ARRAY, MAKER_OPTIONAL);
    maker_group(&setting->made.maker, 5);
    maker_page(&pages, PQ_PLAIN, 5, body, sizeof(body));
    return maker_chunk(&setting->made.maker, PQ_BYTE_ARRAY, 5, &pages, 0);
}

static void null_is_no_hit(void **state)
{
    static const struct hit hits[] = { { 0, 0 }, { 2, 1 }, { 4, 0 } };
    struct setting *setting = *state;

    make_nulls(setting);
    open_made(setting);
    want(setting, "", 0);
    want(setting, "ab", 2);
    assert_scans(setting, true, hits, 3);
    assert_scans(setting, false, hits, 3);
}

static void looks_at_all_if_statistics_are_not_trusted(void **state)
{
    static const struct hit hits[] = { { 2, 0 } };
    struct setting *setting = *state;
    struct pq_node *chunk = make_nulls(setting);

    /* They lie. */
    set_bounds(setting, chunk, "x", "y", 1);
    maker_int(&setting->made.maker, pq_field(maker_meta(chunk), 12, PQ_KIND_STRUCT), 3, PQ_KIND_I64,
              5);
    open_made(setting);
    want(setting, "ab", 2);
    assert_scans(setting, true, NULL, 0);
    assert_int_equal(setting->scanned.groups_skipped, 1);
    assert_scans(setting, false, hits, 1);
}

static void skips_chunks_of_nulls(void **state)
{
    struct setting *setting = *state;
    struct pq_node *chunk = make_nulls(setting);
    struct pq_node *record = maker_struct(&setting->made.maker, maker_meta(chunk), 12);

    maker_int(&setting->made.maker, record, 3, PQ_KIND_I64, 5);
    open_made(setting);
    want(setting, "ab", 2);
    assert_int_equal(scan(setting, 0, true, false), RC_OK);
    assert_int_equal(setting->scanned.groups_skipped, 1);
    assert_int_equal(setting->made.maker.reads, 0);
}

/* ---- dictionaries ---------------------------------------------------------------------------- */

enum { TOLD_BY_COUNTS, TOLD_BY_LIST, NOT_TOLD };

/* Entries 100 200 300; a page 1 0 1 of indices and one more, damaged or in PLAIN. */
static void make_dictionary(struct setting *setting, int told, bool is_plain)
{
    static const int64_t entries[] = { 100, 200, 300 }, others[] = { 700, 200 };
    static const uint8_t indices[] = { 2, 0x03, 0x11, 0x00 }, damaged[] = { 2, 0x03 };
    RC_BUF_AUTO(pages, LIMIT);

    make_column(setting, PQ_INT64, MAKER_REQUIRED);
    maker_group(&setting->made.maker, 5);
    maker_dictionary(&pages, 3, entries, sizeof(entries));
    size_t dictionary_len = pages.len;
    maker_page(&pages, PQ_PLAIN_DICTIONARY, 3, indices, sizeof(indices));
    if (is_plain)
        maker_page(&pages, PQ_PLAIN, 2, others, 16);
    else
        maker_page(&pages, PQ_PLAIN_DICTIONARY, 2, damaged, sizeof(damaged));

    struct pq_node *meta =
        maker_meta(maker_chunk(&setting->made.maker, PQ_INT64, 5, &pages, dictionary_len));
    for (int i = 0; told == TOLD_BY_COUNTS && i < 2 + is_plain; i++) {
        struct pq_node *stat = maker_append(&setting->made.maker, meta, 13);

        maker_int(&setting->made.maker, stat, 1, PQ_KIND_I32, i == 0 ? 2 : 0);
        maker_int(&setting->made.maker, stat, 2, PQ_KIND_I32,
                  i == 1 ? PQ_PLAIN_DICTIONARY : PQ_PLAIN);
        maker_int(&setting->made.maker, stat, 3, PQ_KIND_I32, 1);
    }
    for (int i = 0; told == TOLD_BY_LIST && i < 2 + is_plain; i++) {
        static const enum pq_encoding list[] = { PQ_PLAIN_DICTIONARY, PQ_RLE, PQ_PLAIN };
        struct pq_node *item = maker_append(&setting->made.maker, meta, 2);

        *item = (struct pq_node){ .kind = PQ_KIND_I32, .integer = list[i] };
        pq_field(meta, 2, PQ_KIND_LIST)->value_kind = PQ_KIND_I32;
    }
    open_made(setting);
}

static void is_done_where_the_dictionary_has_none(void **state)
{
    static const int64_t id = 150;

    for (int told = TOLD_BY_COUNTS; told <= NOT_TOLD; told++) {
        assert_int_equal(set_up(state), 0);
        struct setting *setting = *state;

        make_dictionary(setting, told, false);
        want(setting, &id, 8);
        /* Whoever reads on comes to the damaged page. */
        assert_int_equal(scan(setting, 0, true, true), told == NOT_TOLD ? RC_INVALID : RC_OK);
        assert_int_equal(setting->hit_count, 0);
        assert_int_equal(scan(setting, 0, false, true), RC_INVALID);
        assert_int_equal(tear_down(state), 0);
    }
}

static void finds_what_a_given_up_dictionary_has_not(void **state)
{
    static const int64_t ids[] = { 700, 200 };

    for (int told = TOLD_BY_COUNTS; told <= NOT_TOLD; told++) {
        static const struct hit hits[] = { { 0, 1 }, { 2, 1 }, { 3, 0 }, { 4, 1 } };
        assert_int_equal(set_up(state), 0);
        struct setting *setting = *state;

        make_dictionary(setting, told, true);
        want(setting, &ids[0], 8);
        assert_scans(setting, true, &hits[2], 1);
        want(setting, &ids[1], 8);
        assert_scans(setting, true, hits, 4);
        assert_int_equal(tear_down(state), 0);
    }
}

static void reads_on_if_pages_have_values_of_their_own(void **state)
{
    static const int64_t entries[] = { 100 }, id = 900;
    static const struct hit hits[] = { { 1, 0 } };
    struct setting *setting = *state;
    RC_BUF_AUTO(pages, LIMIT);

    make_column(setting, PQ_INT64, MAKER_REQUIRED);
    maker_group(&setting->made.maker, 2);
    maker_dictionary(&pages, 1, entries, 8);
    size_t dictionary_len = pages.len;
    maker_page(&pages, PQ_RLE_DICTIONARY, 1, "\x01\x02\x00", 3);
    maker_page(&pages, PQ_PLAIN, 1, &id, 8);
    maker_chunk(&setting->made.maker, PQ_INT64, 2, &pages, dictionary_len);
    open_made(setting);
    want(setting, &id, 8);
    assert_scans(setting, true, hits, 1);
    assert_scans(setting, false, hits, 1);
}

static void pages_of_nulls_need_no_dictionary(void **state)
{
    static const uint8_t body[] = { 2, 0, 0, 0, 0x06, 0x00, 1 };
    struct setting *setting = *state;
    RC_BUF_AUTO(pages, LIMIT);

    make_column(setting, PQ_INT64, MAKER_OPTIONAL);
    maker_group(&setting->made.maker, 3);
    maker_page(&pages, PQ_RLE_DICTIONARY, 3, body, sizeof(body));
    maker_chunk(&setting->made.maker, PQ_INT64, 3, &pages, 0);
    open_made(setting);
    want(setting, "12345678", 8);
    assert_scans(setting, true, NULL, 0);
    assert_scans(setting, false, NULL, 0);
}

/* ---- what is not scanned --------------------------------------------------------------------- */

static void refuses_columns_it_cannot_read(void **state)
{
    enum { IN_LIST, ENCRYPTED, ELSEWHERE, CASES };
    static const char *const causes[] = { "within a list", "encrypted", "another file" };
    static const int64_t id = 1;

    for (int i = 0; i < CASES; i++) {
        assert_int_equal(set_up(state), 0);
        struct setting *setting = *state;
        RC_BUF_AUTO(pages, LIMIT);

        make_column(setting, PQ_INT64, i == IN_LIST ? MAKER_REPEATED : MAKER_REQUIRED);
        maker_group(&setting->made.maker, 1);
        maker_page(&pages, PQ_PLAIN, 1, &id, 8);
        struct pq_node *chunk = maker_chunk(&setting->made.maker, PQ_INT64, 1, &pages, 0);
        if (i == ENCRYPTED)
            maker_text(&setting->made.maker, chunk, 9, "x", 1);
        if (i == ELSEWHERE)
            maker_text(&setting->made.maker, chunk, 1, "other", 5);
        open_made(setting);
        want(setting, &id, 8);
        assert_int_equal(scan(setting, 0, true, true), RC_UNSUPPORTED);
        assert_non_null(strstr(setting->made.err.cause, causes[i]));
        assert_int_equal(tear_down(state), 0);
    }
}

/* ---- files of other writers ------------------------------------------------------------------ */

/* 0 1000 2000 3000 again and again, with a filter of 64 bytes: many rows make it worth asking. */
static void make_bloom(struct setting *setting, int64_t rows, bool is_damaged)
{
    enum { MOST_ROWS = 64, BITS = 64 };
    struct pq_node header = { .kind = PQ_KIND_STRUCT };
    int64_t numbers[MOST_ROWS];
    const int64_t beyond_bounds = 5000; /* which only the filter has */
    uint8_t bits[BITS] = { 0 };
    struct pq_bloom bloom = { .bits = bits, .len = BITS };
    RC_BUF_AUTO(pages, LIMIT);

    make_column(setting, PQ_INT64, MAKER_REQUIRED);
    maker_group(&setting->made.maker, rows);
    for (int64_t i = 0; i < rows; i++) {
        numbers[i] = i % 4 * 1000;
        pq_bloom_add(&bloom, (struct pq_slice){ (const uint8_t *)&numbers[i], 8 });
    }
    pq_bloom_add(&bloom, (struct pq_slice){ (const uint8_t *)&beyond_bounds, 8 });
    maker_page(&pages, PQ_PLAIN, rows, numbers, 8 * (size_t)rows);
    struct pq_node *chunk = maker_chunk(&setting->made.maker, PQ_INT64, rows, &pages, 0);
    set_bounds(setting, chunk, &numbers[0], &numbers[3], 8);
    maker_int(&setting->made.maker, maker_meta(chunk), 14, PQ_KIND_I64,
              (int64_t)setting->made.maker.bytes.len);

    maker_int(&setting->made.maker, &header, 1, PQ_KIND_I32, is_damaged ? 63 : BITS);
    for (int16_t id = 2; id <= 4; id++)
        maker_struct(&setting->made.maker, maker_struct(&setting->made.maker, &header, id), 1);
    pq_thrift_write(&setting->made.maker.bytes, &header);
    rc_buf_add(&setting->made.maker.bytes, bits, BITS);
    open_made(setting);
}

static void skips_groups_by_their_filters(void **state)
{
    static const int64_t ids[] = { 1001, 2003, 3000, 5000 };
    struct setting *setting = *state;

    make_bloom(setting, 64, false);
    want(setting, &ids[0], 8);
    want(setting, &ids[1], 8);
    want(setting, &ids[3], 8); /* not even asked for */
    assert_scans(setting, true, NULL, 0);
    assert_int_equal(setting->scanned.groups_skipped, 1);
    assert_scans(setting, false, NULL, 0);
    assert_int_equal(setting->scanned.groups_read, 1);
    want(setting, &ids[2], 8);
    assert_int_equal(scan(setting, 0, true, true), RC_OK);
    assert_int_equal(setting->hit_count, 16);
}

static void leaves_a_filter_alone_that_is_larger_than_the_chunk(void **state)
{
    static const int64_t ids[] = { 1001, 3000 };
    static const struct hit hits[] = { { 3, 1 } };
    struct setting *setting = *state;

    make_bloom(setting, 4, false);
    assert_true(setting->made.file.groups[0].chunks[0].len < 64);
    want(setting, &ids[0], 8);
    assert_scans(setting, true, NULL, 0);
    assert_int_equal(setting->scanned.groups_read, 1);
    want(setting, &ids[1], 8);
    assert_scans(setting, true, hits, 1);
}

static void does_without_a_damaged_filter(void **state)
{
    static const int64_t id = 3000;
    struct setting *setting = *state;

    make_bloom(setting, 64, true);
    want(setting, &id, 8);
    assert_int_equal(scan(setting, 0, true, true), RC_OK);
    assert_int_equal(setting->hit_count, 16);
}

/* Of one value: the rows that reading all has shown, and no other. */
static void assert_finds(struct setting *all, size_t column, size_t which, bool is_there)
{
    struct setting *one = calloc(1, sizeof(*one));
    uint8_t *value = calloc(1, all->wanted[which].len + 2);

    assert_non_null(one);
    assert_non_null(value);
    memcpy(value, all->wanted[which].data, all->wanted[which].len);
    want(one, value, all->wanted[which].len);
    if (!is_there) /* nearly it; a length more where there can be */
        value[one->wanted[0].len - (all->column->width ? 1 : 0)] ^= 0x55;
    if (!is_there && !all->column->width)
        one->wanted[0].len++;
    bool is_other = find(all, one->wanted[0]) >= 0;
    one->made.file = all->made.file;
    if (scan(one, column, true, true))
        fail_msg("%s: %s", one->made.err.context, one->made.err.cause);
    size_t at = 0;
    for (size_t i = 0; i < all->hit_count && (is_there || !is_other); i++)
        if (is_there && all->hits[i].which == which)
            assert_int_equal(one->hits[at++].row, all->hits[i].row);
    if (is_there || !is_other)
        assert_int_equal(one->hit_count, at);
    all->skipped += one->scanned.groups_skipped;
    free(one->wanted);
    free(value);
    free(one);
}

static void scan_column(struct setting *setting, const char *name, size_t column)
{
    setting->adds_all = true;
    if (scan(setting, column, false, false))
        fail_msg("%s: %s: %s", name, setting->made.err.context, setting->made.err.cause);
    setting->adds_all = false;

    size_t count = setting->wanted_count;
    for (size_t i = 0; i < count; i += 1 + count / 8) {
        assert_finds(setting, column, i, true);
        if (setting->wanted[i].len > 0 && setting->column->type != PQ_BOOLEAN)
            assert_finds(setting, column, i, false);
    }
    setting->adds_all = true;
    forget_wanted(setting);
}

/* Trusting what other writers say finds what looking at everything does. */
static void agrees_with_itself_on_files_of_many_writers(void **state)
{
    RC_STR_AUTO folder = rc_strf("%s/tests/data/parquet", getenv("RUN_CORE_SOURCE"));
    struct dirent **entries;
    int count = scandir(folder, &entries, NULL, alphasort), files = 0;
    int64_t skipped = 0;

    assert_true(count > 0);
    for (int i = 0; i < count; i++) {
        if (rc_str_ends(entries[i]->d_name, ".parquet")) {
            assert_int_equal(set_up(state), 0);
            struct setting *setting = *state;

            made_open_data(&setting->made, entries[i]->d_name);
            for (size_t j = 0; j < setting->made.file.column_count; j++)
                if (setting->made.file.columns[j].max_repetition == 0)
                    scan_column(setting, entries[i]->d_name, j);
            skipped += setting->skipped;
            assert_int_equal(tear_down(state), 0);
            files++;
        }
        free(entries[i]);
    }
    free(entries);
    assert_true(files > 20);
    assert_true(skipped > 1000); /* much was left unread */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(finds_rows_of_all_groups_and_pages, set_up, tear_down),
        cmocka_unit_test_setup_teardown(skips_groups_by_their_bounds, set_up, tear_down),
        cmocka_unit_test_setup_teardown(reads_nothing_where_nothing_can_be, set_up, tear_down),
        cmocka_unit_test_setup_teardown(passes_on_what_stops_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(null_is_no_hit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(looks_at_all_if_statistics_are_not_trusted, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(skips_chunks_of_nulls, set_up, tear_down),
        cmocka_unit_test(is_done_where_the_dictionary_has_none),
        cmocka_unit_test(finds_what_a_given_up_dictionary_has_not),
        cmocka_unit_test_setup_teardown(reads_on_if_pages_have_values_of_their_own, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(pages_of_nulls_need_no_dictionary, set_up, tear_down),
        cmocka_unit_test(refuses_columns_it_cannot_read),
        cmocka_unit_test_setup_teardown(leaves_a_filter_alone_that_is_larger_than_the_chunk, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(skips_groups_by_their_filters, set_up, tear_down),
        cmocka_unit_test_setup_teardown(leaves_a_filter_alone_that_is_larger_than_the_chunk, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(does_without_a_damaged_filter, set_up, tear_down),
        cmocka_unit_test(agrees_with_itself_on_files_of_many_writers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
