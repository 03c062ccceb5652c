/*
 * Bounds of values: orders, what is written of them, and which of those in a file are trusted.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "parquet/statistics.h"
#include "parquet_maker.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BOUND_LIMIT = 4096 };

static struct pq_slice text(const char *bytes)
{
    return (struct pq_slice){ (const uint8_t *)bytes, (uint32_t)strlen(bytes) };
}

static struct pq_slice bytes(const void *data, size_t len)
{
    return (struct pq_slice){ data, (uint32_t)len };
}

/* Values borrowed from the caller. */
static struct pq_values fixed(void *data, int32_t width, size_t len)
{
    return (struct pq_values){ .width = width, .len = len, .fixed = data };
}

static struct pq_values slices(struct pq_slice *data, size_t len)
{
    return (struct pq_values){ .len = len, .slices = data };
}

static struct pq_column column(enum pq_type type, int32_t width, enum pq_order order)
{
    return (struct pq_column){
        .path = "c", .type = type, .width = width, .order = order, .has_order = true
    };
}

static void assert_slice(struct pq_slice slice, const void *data, size_t len)
{
    assert_int_equal(slice.len, len);
    assert_memory_equal(slice.data, data, len);
}

/* ---- orders ---------------------------------------------------------------------------------- */

static void assert_ordered(enum pq_order order, struct pq_slice less, struct pq_slice more)
{
    assert_true(pq_compare(order, less, more) < 0);
    assert_true(pq_compare(order, more, less) > 0);
    assert_int_equal(pq_compare(order, less, less), 0);
    assert_int_equal(pq_compare(order, more, more), 0);
}

static void orders_whole_numbers(void **state)
{
    static const int64_t numbers[] = { INT64_MIN, -256, -255, -1, 0, 1, 255, 256, INT64_MAX };
    static const int32_t small[] = { INT32_MIN, -256, -1, 0, 1, 255, 256, INT32_MAX };

    (void)state;
    for (size_t i = 0; i + 1 < RC_ARRAY_LEN(numbers); i++) {
        uint64_t shifted[2];

        assert_ordered(PQ_ORDER_SIGNED, bytes(&numbers[i], 8), bytes(&numbers[i + 1], 8));
        for (size_t j = 0; j < 2; j++)
            shifted[j] = (uint64_t)numbers[i + j] + ((uint64_t)1 << 63);
        assert_ordered(PQ_ORDER_UNSIGNED, bytes(&shifted[0], 8), bytes(&shifted[1], 8));
    }
    for (size_t i = 0; i + 1 < RC_ARRAY_LEN(small); i++)
        assert_ordered(PQ_ORDER_SIGNED, bytes(&small[i], 4), bytes(&small[i + 1], 4));
    assert_ordered(PQ_ORDER_UNSIGNED, bytes("\0", 1), bytes("\1", 1));
    assert_ordered(PQ_ORDER_UNSIGNED, bytes("\xff\xff\xff\x7f", 4), bytes("\0\0\0\x80", 4));
}

static void orders_floats(void **state)
{
    static const double numbers[] = { -1e300, -1.5, -1e-300, 0, 1e-300, 1.5, 1e300 };
    static const double negative_zero = -0.0, zero = 0.0;

    (void)state;
    for (size_t i = 0; i + 1 < RC_ARRAY_LEN(numbers); i++) {
        float less = (float)numbers[i], more = (float)numbers[i + 1];

        assert_ordered(PQ_ORDER_FLOAT, bytes(&numbers[i], 8), bytes(&numbers[i + 1], 8));
        if (less < more)
            assert_ordered(PQ_ORDER_FLOAT, bytes(&less, 4), bytes(&more, 4));
    }
    assert_int_equal(pq_compare(PQ_ORDER_FLOAT, bytes(&negative_zero, 8), bytes(&zero, 8)), 0);
    assert_ordered(PQ_ORDER_FLOAT16, bytes("\x00\xc0", 2), bytes("\x00\xbc", 2)); /* -2, -1 */
    assert_ordered(PQ_ORDER_FLOAT16, bytes("\x00\xbc", 2), bytes("\x01\x00", 2));
}

static void orders_bytes_and_decimals(void **state)
{
    (void)state;
    assert_ordered(PQ_ORDER_BYTES, text(""), text("a"));
    assert_ordered(PQ_ORDER_BYTES, text("a"), text("aa"));
    assert_ordered(PQ_ORDER_BYTES, text("ab"), text("b"));
    assert_ordered(PQ_ORDER_BYTES, text("z"), text("\xc3\xa9"));
    assert_ordered(PQ_ORDER_BYTES, bytes("a\0", 2), bytes("a\0b", 3));

    assert_ordered(PQ_ORDER_DECIMAL, bytes("\xff\x00", 2), bytes("\xff", 1)); /* -256, -1 */
    assert_ordered(PQ_ORDER_DECIMAL, bytes("\xff\xff\xff", 3), bytes("\x00", 1));
    assert_ordered(PQ_ORDER_DECIMAL, bytes("\x7f", 1), bytes("\x00\x80", 2));
    assert_ordered(PQ_ORDER_DECIMAL, bytes("\x80", 1), bytes("\xff\x81", 2)); /* -128, -127 */
    assert_ordered(PQ_ORDER_DECIMAL, bytes("\x80", 1), bytes("\x00", 1));
    assert_int_equal(pq_compare(PQ_ORDER_DECIMAL, bytes("\x05", 1), bytes("\x00\x00\x05", 3)), 0);
    assert_int_equal(pq_compare(PQ_ORDER_DECIMAL, bytes("\xfe", 1), bytes("\xff\xfe", 2)), 0);
    assert_int_equal(pq_compare(PQ_ORDER_DECIMAL, bytes("", 0), bytes("\x00", 1)), 0);
}

/* ---- gathering ------------------------------------------------------------------------------- */

static void gathers_numbers(void **state)
{
    int64_t first[] = { 5, -7, 12 }, second[] = { 8, 30, -7 }, expected[] = { -7, 30 };
    struct pq_column numbers = column(PQ_INT64, 8, PQ_ORDER_SIGNED);
    struct pq_statistics statistics;
    struct pq_bounds bounds;
    struct pq_values values = fixed(first, 8, 3);

    (void)state;
    pq_statistics_init(&statistics, &numbers);
    assert_false(pq_statistics_bounds(&statistics, &bounds));
    pq_statistics_add_nulls(&statistics, 4);
    assert_false(pq_statistics_bounds(&statistics, &bounds));
    pq_statistics_add(&statistics, &values);
    memset(first, 0x7f, sizeof(first)); /* was copied */
    values = fixed(second, 8, 3);
    pq_statistics_add(&statistics, &values);
    assert_true(pq_statistics_bounds(&statistics, &bounds));
    assert_slice(bounds.least, &expected[0], 8);
    assert_slice(bounds.greatest, &expected[1], 8);
    assert_true(bounds.least_is_exact && bounds.greatest_is_exact);
    assert_int_equal(statistics.null_count, 4);
    assert_int_equal(statistics.value_count, 6);

    pq_statistics_reset(&statistics);
    assert_false(pq_statistics_bounds(&statistics, &bounds));
    assert_int_equal(statistics.null_count + statistics.value_count, 0);
    pq_statistics_clear(&statistics);
}

static void gathers_by_index_and_by_page(void **state)
{
    struct pq_slice entries[] = { text("mia"), text("zoe"), text("abe"), text("lou") };
    static const uint32_t first[] = { 0, 3, 3 }, second[] = { 1, 3 };
    struct pq_column names = column(PQ_BYTE_ARRAY, 0, PQ_ORDER_BYTES);
    struct pq_values dictionary = slices(entries, 4);
    struct pq_statistics page, chunk;
    struct pq_bounds bounds;

    (void)state;
    pq_statistics_init(&page, &names);
    pq_statistics_init(&chunk, &names);
    pq_statistics_add_indexed(&page, &dictionary, first, 3);
    pq_statistics_add_nulls(&page, 2);
    assert_true(pq_statistics_bounds(&page, &bounds));
    assert_slice(bounds.least, "lou", 3);
    assert_slice(bounds.greatest, "mia", 3);
    pq_statistics_merge(&chunk, &page);
    pq_statistics_reset(&page);
    pq_statistics_merge(&chunk, &page); /* of nothing */
    pq_statistics_add_indexed(&page, &dictionary, NULL, 0);
    pq_statistics_add_indexed(&page, &dictionary, second, 2);
    pq_statistics_merge(&chunk, &page);
    assert_true(pq_statistics_bounds(&chunk, &bounds));
    assert_slice(bounds.least, "lou", 3);
    assert_slice(bounds.greatest, "zoe", 3);
    assert_int_equal(chunk.null_count, 2);
    assert_int_equal(chunk.value_count, 5);
    pq_statistics_clear(&page);
    pq_statistics_clear(&chunk);
}

static void leaves_out_nan_and_signs_zeros(void **state)
{
    double nans[] = { (double)NAN, 0, 0 };
    double numbers[3], zero = 0, negative_zero = -0.0;
    struct pq_column floats = column(PQ_DOUBLE, 8, PQ_ORDER_FLOAT);
    struct pq_statistics statistics;
    struct pq_bounds bounds;
    struct pq_values values = fixed(nans, 8, 1);

    (void)state;
    pq_statistics_init(&statistics, &floats);
    pq_statistics_add(&statistics, &values);
    assert_int_equal(statistics.nan_count, 1);
    assert_false(pq_statistics_bounds(&statistics, &bounds));

    numbers[0] = zero;
    numbers[1] = nans[0];
    numbers[2] = negative_zero;
    values = fixed(numbers, 8, 3);
    pq_statistics_add(&statistics, &values);
    assert_true(pq_statistics_bounds(&statistics, &bounds));
    assert_slice(bounds.least, &negative_zero, 8);
    assert_slice(bounds.greatest, &zero, 8);
    assert_int_equal(statistics.nan_count, 2);

    numbers[0] = -3;
    numbers[2] = 4;
    pq_statistics_add(&statistics, &values);
    assert_true(pq_statistics_bounds(&statistics, &bounds));
    assert_slice(bounds.least, &numbers[0], 8);
    assert_slice(bounds.greatest, &numbers[2], 8);
    pq_statistics_clear(&statistics);
}

static void has_no_bounds_without_an_order(void **state)
{
    struct pq_column moments = column(PQ_INT96, 12, PQ_ORDER_NONE);
    uint8_t data[24] = { 0 };
    struct pq_values values = fixed(data, 12, 2);
    struct pq_statistics statistics;
    struct pq_bounds bounds;

    (void)state;
    pq_statistics_init(&statistics, &moments);
    pq_statistics_add(&statistics, &values);
    assert_int_equal(statistics.value_count, 2);
    assert_false(pq_statistics_bounds(&statistics, &bounds));
    pq_statistics_clear(&statistics);
}

/* ---- long values ----------------------------------------------------------------------------- */

/* A text of 'len' bytes that begins with copies of 'unit' and ends with 'end'. */
static char *long_text(const char *unit, size_t len, const char *end)
{
    char *out = calloc(1, len + 1);
    size_t unit_len = strlen(unit), end_len = strlen(end);

    assert_non_null(out);
    for (size_t at = 0; at < len; at++)
        out[at] = unit[at % unit_len];
    memcpy(out + len - end_len, end, end_len);
    return out;
}

static void assert_cut(const char *unit, size_t len, size_t least_len, const char *greatest_end,
                       size_t greatest_len)
{
    struct pq_column texts = column(PQ_BYTE_ARRAY, 0, PQ_ORDER_BYTES);
    char *value = long_text(unit, len, "");
    struct pq_slice slice = text(value);
    struct pq_values values = slices(&slice, 1);
    struct pq_statistics statistics;
    struct pq_bounds bounds;

    pq_statistics_init(&statistics, &texts);
    pq_statistics_add(&statistics, &values);
    bool has_bounds = pq_statistics_bounds(&statistics, &bounds);
    assert_int_equal(has_bounds, greatest_end != NULL);
    if (has_bounds) {
        size_t end_len = strlen(greatest_end);

        assert_int_equal(bounds.least_is_exact, len <= BOUND_LIMIT);
        assert_int_equal(bounds.greatest_is_exact, len <= BOUND_LIMIT);
        assert_slice(bounds.least, value, least_len);
        assert_int_equal(bounds.greatest.len, greatest_len);
        assert_memory_equal(bounds.greatest.data, value, greatest_len - end_len);
        assert_memory_equal(bounds.greatest.data + greatest_len - end_len, greatest_end, end_len);
    }
    pq_statistics_clear(&statistics);
    free(value);
}

static void cuts_long_texts(void **state)
{
    (void)state;
    assert_cut("a", BOUND_LIMIT, BOUND_LIMIT, "", BOUND_LIMIT);
    assert_cut("a", BOUND_LIMIT + 1, BOUND_LIMIT, "b", BOUND_LIMIT);
    assert_cut("\x7f", BOUND_LIMIT + 1, BOUND_LIMIT, "\xc2\x80", BOUND_LIMIT + 1);
    assert_cut("\xc3\xa9", 2 * BOUND_LIMIT, BOUND_LIMIT, "\xc3\xaa", BOUND_LIMIT);
    /* Characters of three bytes do not end at the limit. */
    assert_cut("\xe2\x82\xac", 2 * BOUND_LIMIT, BOUND_LIMIT - 1, "\xe2\x82\xad", BOUND_LIMIT - 1);
    assert_cut("\xed\x9f\xbf", 2 * BOUND_LIMIT, BOUND_LIMIT - 1, "\xee\x80\x80", BOUND_LIMIT - 1);
    assert_cut("\xef\xbf\xbf", 2 * BOUND_LIMIT, BOUND_LIMIT - 1, "\xf0\x90\x80\x80", BOUND_LIMIT);
    assert_cut("a\xf4\x8f\xbf\xbf", 2 * BOUND_LIMIT, BOUND_LIMIT, "\xf4\x8f\xbf\xbf\x62",
               BOUND_LIMIT);
    /* Nothing is above these. */
    assert_cut("\xf4\x8f\xbf\xbf", 2 * BOUND_LIMIT, 0, NULL, 0);
    assert_cut("\xff", 2 * BOUND_LIMIT, 0, NULL, 0);
    /* Bytes that are no text. */
    assert_cut("\xfe", 2 * BOUND_LIMIT, BOUND_LIMIT, "\xff", BOUND_LIMIT);
}

/* A writer that cuts bounds keeps footers small; 64 bytes are small enough whatever it had. */
static void cuts_bounds_as_the_file_did(void **state)
{
    static const struct {
        size_t longest, least_len;
    } cases[] = { { 0, 64 }, { 64, 64 }, { 99, 99 }, { 5000, BOUND_LIMIT } };
    struct pq_column texts = column(PQ_BYTE_ARRAY, 0, PQ_ORDER_BYTES);
    struct pq_column decimals = column(PQ_BYTE_ARRAY, 0, PQ_ORDER_DECIMAL);
    char *value = long_text("a", 5001, "");
    struct pq_slice slice = text(value), number = bytes(value, 100);
    struct pq_values values = slices(&slice, 1), numbers = slices(&number, 1);
    struct pq_statistics statistics;
    struct pq_bounds bounds;

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        pq_statistics_init(&statistics, &texts);
        pq_statistics_limit(&statistics, cases[i].longest);
        pq_statistics_add(&statistics, &values);
        assert_true(pq_statistics_bounds(&statistics, &bounds));
        assert_slice(bounds.least, value, cases[i].least_len);
        assert_int_equal(bounds.greatest.len, cases[i].least_len);
        assert_int_equal(bounds.greatest.data[bounds.greatest.len - 1], 'b');
        assert_false(bounds.least_is_exact || bounds.greatest_is_exact);
        pq_statistics_clear(&statistics);
    }
    pq_statistics_init(&statistics, &decimals);
    pq_statistics_limit(&statistics, 0);
    pq_statistics_add(&statistics, &numbers);
    assert_true(pq_statistics_bounds(&statistics, &bounds));
    assert_slice(bounds.least, value, 100);
    assert_true(bounds.least_is_exact && bounds.greatest_is_exact);
    pq_statistics_clear(&statistics);
    free(value);
}

static void draws_bounds_that_hold(void **state)
{
    enum { ROUNDS = 400, VALUES = 12, LONGEST = BOUND_LIMIT + 6 };
    static const char *const ends[] = { "", "z", "\xff", "\xf4\x8f\xbf\xbf", "\xe2\x82\xac", "a" };
    struct pq_column texts = column(PQ_BYTE_ARRAY, 0, PQ_ORDER_BYTES);
    struct pq_statistics page, chunk;

    (void)state;
    srand(20240607);
    pq_statistics_init(&page, &texts);
    pq_statistics_init(&chunk, &texts);
    for (int round = 0; round < ROUNDS; round++) {
        struct pq_slice values[VALUES];
        char *owned[VALUES];
        struct pq_bounds bounds;

        pq_statistics_reset(&chunk);
        for (size_t i = 0; i < VALUES; i++) {
            const char *unit = rand() % 4 ? "a" : "\xc3\xa9";
            size_t len = BOUND_LIMIT - 6 + (size_t)rand() % 12;

            owned[i] = long_text(unit, len, ends[(size_t)rand() % RC_ARRAY_LEN(ends)]);
            values[i] = text(owned[i]);
            struct pq_values one = slices(&values[i], 1);

            pq_statistics_reset(&page);
            pq_statistics_add(&page, &one);
            pq_statistics_merge(&chunk, &page);
        }
        bool is_least = false, is_greatest = false;
        if (pq_statistics_bounds(&chunk, &bounds)) {
            for (size_t i = 0; i < VALUES; i++) {
                int above = pq_compare(PQ_ORDER_BYTES, bounds.least, values[i]);
                int below = pq_compare(PQ_ORDER_BYTES, values[i], bounds.greatest);

                assert_true(above <= 0 && below <= 0);
                is_least |= above == 0;
                is_greatest |= below == 0;
            }
            assert_false(bounds.least_is_exact && !is_least);
            assert_false(bounds.greatest_is_exact && !is_greatest);
        }
        for (size_t i = 0; i < VALUES; i++)
            free(owned[i]);
    }
    pq_statistics_clear(&page);
    pq_statistics_clear(&chunk);
}

static void leaves_out_what_cannot_be_cut(void **state)
{
    struct pq_column wide = column(PQ_FIXED, BOUND_LIMIT + 1, PQ_ORDER_BYTES);
    struct pq_column decimal = column(PQ_BYTE_ARRAY, 0, PQ_ORDER_DECIMAL);
    char *value = long_text("a", BOUND_LIMIT + 1, "");
    struct pq_slice slice = text(value), small = text("\x01");
    struct pq_statistics statistics, chunk;
    struct pq_bounds bounds;
    struct pq_values values = fixed(value, BOUND_LIMIT + 1, 1);

    (void)state;
    pq_statistics_init(&statistics, &wide);
    pq_statistics_add(&statistics, &values);
    assert_false(pq_statistics_bounds(&statistics, &bounds));
    pq_statistics_clear(&statistics);

    pq_statistics_init(&statistics, &decimal);
    values = slices(&slice, 1);
    pq_statistics_add(&statistics, &values);
    values = slices(&small, 1);
    pq_statistics_add(&statistics, &values);
    assert_false(pq_statistics_bounds(&statistics, &bounds));
    pq_statistics_init(&chunk, &decimal);
    pq_statistics_add(&chunk, &values);
    pq_statistics_merge(&chunk, &statistics);
    assert_false(pq_statistics_bounds(&chunk, &bounds));
    pq_statistics_clear(&chunk);
    pq_statistics_reset(&statistics);
    pq_statistics_add(&statistics, &values);
    assert_true(pq_statistics_bounds(&statistics, &bounds));
    pq_statistics_clear(&statistics);
    free(value);
}

/* ---- in the metadata ------------------------------------------------------------------------- */

struct setting {
    struct maker maker;
    struct pq_node record; /* a Statistics with all its fields, and one of a later format */
};

static int set_up(void **state)
{
    struct setting *setting = calloc(1, sizeof(*setting));

    assert_non_null(setting);
    maker_init(&setting->maker);
    setting->record.kind = PQ_KIND_STRUCT;
    for (int16_t id = 1; id <= 9; id++) {
        if (id == 3 || id == 4 || id == 9)
            maker_int(&setting->maker, &setting->record, id, PQ_KIND_I64, 77);
        else if (id == 7 || id == 8)
            assert_non_null(pq_set(&setting->maker.tree, &setting->record, id, PQ_KIND_TRUE));
        else
            maker_text(&setting->maker, &setting->record, id, "erased", 6);
    }
    maker_text(&setting->maker, &setting->record, 20, "erased", 6);
    *state = setting;
    return 0;
}

static int tear_down(void **state)
{
    struct setting *setting = *state;

    maker_clear(&setting->maker);
    free(setting);
    return 0;
}

static void write_numbers(struct setting *setting, struct pq_column *numbers)
{
    int32_t data[] = { 3, 9 };
    struct pq_values values = fixed(data, 4, 2);
    struct pq_statistics statistics;

    pq_statistics_init(&statistics, numbers);
    pq_statistics_add(&statistics, &values);
    pq_statistics_add_nulls(&statistics, 5);
    assert_int_equal(pq_statistics_write(&statistics, &setting->maker.tree, &setting->record,
                                         &setting->maker.err),
                     RC_OK);
    pq_statistics_clear(&statistics);
}

static void assert_fields(const struct pq_node *record, const char *ids)
{
    char found[64] = "";
    size_t len = 0;

    for (size_t i = 0; i < record->list.len; i++)
        found[len++] = (char)('0' + record->list.items[i].id);
    assert_string_equal(found, ids);
}

static void writes_what_was_there(void **state)
{
    struct setting *setting = *state;
    struct pq_column numbers = column(PQ_INT32, 4, PQ_ORDER_SIGNED);

    write_numbers(setting, &numbers);
    assert_fields(&setting->record, "1235678");
    assert_int_equal(pq_field_int(&setting->record, 3, 0), 5);
    assert_memory_equal(pq_field(&setting->record, 2, PQ_KIND_BINARY)->bytes.data, "\3\0\0", 4);
    assert_memory_equal(pq_field(&setting->record, 1, PQ_KIND_BINARY)->bytes.data, "\x9\0\0", 4);
    assert_memory_equal(pq_field(&setting->record, 6, PQ_KIND_BINARY)->bytes.data, "\3\0\0", 4);
    assert_memory_equal(pq_field(&setting->record, 5, PQ_KIND_BINARY)->bytes.data, "\x9\0\0", 4);
}

static void writes_no_more_than_was_there(void **state)
{
    struct setting *setting = *state;
    struct pq_column numbers = column(PQ_INT32, 4, PQ_ORDER_SIGNED);
    struct pq_node *record = &setting->record;

    pq_drop(record, 1);
    pq_drop(record, 2);
    pq_drop(record, 7);
    pq_drop(record, 8);
    write_numbers(setting, &numbers);
    assert_fields(record, "356");
    pq_drop(record, 3);
    write_numbers(setting, &numbers);
    assert_fields(record, "56");
    pq_drop(record, 5);
    pq_drop(record, 6);
    write_numbers(setting, &numbers);
    assert_fields(record, "");
}

static void writes_deprecated_bounds_of_signed_numbers_alone(void **state)
{
    struct setting *setting = *state;
    struct pq_column numbers = column(PQ_INT32, 4, PQ_ORDER_UNSIGNED);

    write_numbers(setting, &numbers);
    assert_fields(&setting->record, "35678");
}

static void writes_no_bounds_in_an_untold_order(void **state)
{
    struct setting *setting = *state;
    struct pq_column numbers = column(PQ_INT32, 4, PQ_ORDER_UNSIGNED);

    numbers.has_order = false;
    write_numbers(setting, &numbers);
    assert_fields(&setting->record, "3");
}

static void writes_counts_where_nothing_is_left(void **state)
{
    struct setting *setting = *state;
    struct pq_column floats = column(PQ_FLOAT, 4, PQ_ORDER_FLOAT);
    struct pq_statistics statistics;

    pq_statistics_init(&statistics, &floats);
    assert_int_equal(pq_statistics_write(&statistics, &setting->maker.tree, &setting->record,
                                         &setting->maker.err),
                     RC_OK);
    assert_fields(&setting->record, "39");
    assert_int_equal(pq_field_int(&setting->record, 3, -1), 0);
    assert_int_equal(pq_field_int(&setting->record, 9, -1), 0);
    pq_statistics_clear(&statistics);
}

static void says_which_bounds_are_cut(void **state)
{
    struct setting *setting = *state;
    struct pq_column texts = column(PQ_BYTE_ARRAY, 0, PQ_ORDER_BYTES);
    char *value = long_text("b", BOUND_LIMIT + 1, "");
    struct pq_slice data[] = { text(value), text("a") };
    struct pq_values values = slices(data, 2);
    struct pq_statistics statistics;

    pq_drop(&setting->record, 7);
    pq_drop(&setting->record, 8);
    pq_statistics_init(&statistics, &texts);
    pq_statistics_add(&statistics, &values);
    assert_int_equal(pq_statistics_write(&statistics, &setting->maker.tree, &setting->record,
                                         &setting->maker.err),
                     RC_OK);
    assert_fields(&setting->record, "35678");
    assert_false(pq_field_bool(&setting->record, 7, true));
    assert_true(pq_field_bool(&setting->record, 8, false));
    assert_int_equal(pq_field(&setting->record, 5, PQ_KIND_BINARY)->bytes.len, BOUND_LIMIT);
    pq_statistics_clear(&statistics);
    free(value);
}

/* ---- what is trusted ------------------------------------------------------------------------- */

struct given {
    const char *min, *max, *min_value, *max_value; /* NULL: not there */
    size_t len;
};

static bool bounds_of(const struct pq_column *of, const struct given *given, struct pq_bounds *out)
{
    struct maker maker;
    struct pq_node meta = { .kind = PQ_KIND_STRUCT };
    struct pq_chunk chunk = { .meta = &meta };

    maker_init(&maker);
    struct pq_node *record = maker_struct(&maker, &meta, 12);
    if (given->max)
        maker_text(&maker, record, 1, given->max, given->len);
    if (given->min)
        maker_text(&maker, record, 2, given->min, given->len);
    if (given->max_value)
        maker_text(&maker, record, 5, given->max_value, given->len);
    if (given->min_value)
        maker_text(&maker, record, 6, given->min_value, given->len);
    bool is_trusted = pq_chunk_bounds(of, &chunk, out);
    maker_clear(&maker);
    return is_trusted;
}

static void trusts_bounds_in_a_known_order(void **state)
{
    struct pq_column texts = column(PQ_BYTE_ARRAY, 0, PQ_ORDER_BYTES);
    struct pq_column numbers = column(PQ_INT32, 4, PQ_ORDER_SIGNED);
    struct pq_column floats = column(PQ_FLOAT, 4, PQ_ORDER_FLOAT);
    struct given both = { .min_value = "aaaa", .max_value = "bbbb", .len = 4 };
    struct given old = { .min = "aaaa", .max = "bbbb", .len = 4 };
    struct given one = { .min_value = "aaaa", .len = 4 };
    struct given swapped = { .min_value = "bbbb", .max_value = "aaaa", .len = 4 };
    struct given empty = { .min_value = "", .max_value = "", .len = 0 };
    struct given narrow = { .min_value = "aaa", .max_value = "bbb", .len = 3 };
    struct pq_bounds bounds;

    (void)state;
    assert_true(bounds_of(&texts, &both, &bounds));
    assert_true(bounds_of(&numbers, &both, &bounds));
    assert_false(bounds.least_is_exact || bounds.greatest_is_exact);
    assert_false(bounds_of(&floats, &both, &bounds));
    assert_true(bounds_of(&numbers, &old, &bounds));
    assert_false(bounds_of(&texts, &old, &bounds)); /* of signed bytes, by many writers */
    assert_false(bounds_of(&texts, &one, &bounds));
    assert_false(bounds_of(&texts, &swapped, &bounds));
    assert_false(bounds_of(&numbers, &swapped, &bounds));
    assert_false(bounds_of(&texts, &empty, &bounds));
    assert_true(bounds_of(&texts, &narrow, &bounds));
    assert_false(bounds_of(&numbers, &narrow, &bounds));

    texts.has_order = numbers.has_order = false;
    assert_false(bounds_of(&texts, &both, &bounds));
    assert_true(bounds_of(&numbers, &both, &bounds));
    numbers.order = PQ_ORDER_UNSIGNED;
    assert_false(bounds_of(&numbers, &both, &bounds));
    assert_false(bounds_of(&numbers, &old, &bounds));
    numbers.order = PQ_ORDER_NONE;
    assert_false(bounds_of(&numbers, &both, &bounds));
    assert_false(pq_chunk_bounds(&texts, &(struct pq_chunk){ 0 }, &bounds));
}

static void knows_chunks_of_nulls(void **state)
{
    struct maker maker;
    struct pq_node meta = { .kind = PQ_KIND_STRUCT };
    struct pq_chunk chunk = { .meta = &meta, .value_count = 10 };

    (void)state;
    maker_init(&maker);
    assert_false(pq_chunk_is_null(&(struct pq_chunk){ 0 }));
    assert_false(pq_chunk_is_null(&chunk));
    struct pq_node *record = maker_struct(&maker, &meta, 12);
    assert_false(pq_chunk_is_null(&chunk));
    maker_int(&maker, record, 3, PQ_KIND_I64, 9);
    assert_false(pq_chunk_is_null(&chunk));
    maker_int(&maker, record, 3, PQ_KIND_I64, 10);
    assert_true(pq_chunk_is_null(&chunk));
    maker_clear(&maker);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(orders_whole_numbers),
        cmocka_unit_test(orders_floats),
        cmocka_unit_test(orders_bytes_and_decimals),
        cmocka_unit_test(gathers_numbers),
        cmocka_unit_test(gathers_by_index_and_by_page),
        cmocka_unit_test(leaves_out_nan_and_signs_zeros),
        cmocka_unit_test(has_no_bounds_without_an_order),
        cmocka_unit_test(cuts_long_texts),
        cmocka_unit_test(cuts_bounds_as_the_file_did),
        cmocka_unit_test(draws_bounds_that_hold),
        cmocka_unit_test(leaves_out_what_cannot_be_cut),
        cmocka_unit_test_setup_teardown(writes_what_was_there, set_up, tear_down),
        cmocka_unit_test_setup_teardown(writes_no_more_than_was_there, set_up, tear_down),
        cmocka_unit_test_setup_teardown(writes_deprecated_bounds_of_signed_numbers_alone, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(writes_no_bounds_in_an_untold_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(writes_counts_where_nothing_is_left, set_up, tear_down),
        cmocka_unit_test_setup_teardown(says_which_bounds_are_cut, set_up, tear_down),
        cmocka_unit_test(trusts_bounds_in_a_known_order),
        cmocka_unit_test(knows_chunks_of_nulls),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
