/*
 * What a catalogue that makes up partitions is told of the values of a key.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sql/presto_folders.h>

#include <run-core/str.h>
#include <run-core/time.h>

#include <stdlib.h>
#include <string.h>

enum { MOST = 8192 };

static struct core_presto_partition describe(const char *type, const char *const *items, size_t len)
{
    const struct rc_sql_column column = { "k", type };
    struct core_presto_partition found;

    core_presto_key_describe(
        &column, (struct rc_strs){ .items = (const char **)(uintptr_t)items, .len = len }, &found);
    assert_string_equal(found.name, "k");
    assert_int_equal(found.values.len, len);
    assert_false(found.grows);
    return found;
}

static void expect(const char *type, const char *const *items, size_t len, int range, int64_t least,
                   int64_t greatest, int64_t step)
{
    const struct core_presto_partition found = describe(type, items, len);

    assert_int_equal(found.range, range);
    assert_true(found.least == least && found.greatest == greatest);
    assert_int_equal(found.step, step);
}

#define EXPECT(type, range, least, greatest, step, ...)                                            \
    do {                                                                                           \
        const char *const values_[] = { __VA_ARGS__ };                                             \
        expect(type, values_, RC_ARRAY_LEN(values_), CORE_PARTITION_##range, least, greatest,      \
               step);                                                                              \
    } while (0)

static void numbers_that_are_near_are_a_range(void **state)
{
    (void)state;
    EXPECT("integer", NUMBERS, 7, 7, 0, "7");
    EXPECT("integer", NUMBERS, -1, 3, 0, "-1", "0", "1", "3");
    EXPECT("bigint", NUMBERS, 1, 99, 0, "1", "99");
    EXPECT("bigint", NUMBERS, 1700000000, 1700000000, 0, "1700000000");
    EXPECT("integer", VALUES, 0, 0, 0, "1", "x");
    EXPECT("integer", VALUES, 0, 0, 0, "01");
    EXPECT("double", VALUES, 0, 0, 0, "1", "2");
}

static void numbers_far_apart_have_a_step(void **state)
{
    (void)state;
    EXPECT("bigint", NUMBERS, 1700000000, 1700010800, 3600, "1700000000", "1700003600",
           "1700010800");
    /* In whatever order they come. */
    EXPECT("bigint", NUMBERS, 1000, 4000, 1000, "3000", "1000", "4000");
    EXPECT("bigint", NUMBERS, INT64_MIN, INT64_MIN + ((int64_t)1 << 62), (int64_t)1 << 62,
           "-9223372036854775808", "-4611686018427387904");
}

static void numbers_without_an_order_are_listed(void **state)
{
    (void)state;
    EXPECT("bigint", VALUES, 0, 0, 0, "1", "1000", "1700000001");
    EXPECT("bigint", VALUES, 0, 0, 0, "-9223372036854775808", "0", "9223372036854775807");
    EXPECT("bigint", VALUES, 0, 0, 0, "-9223372036854775808", "9223372036854775807");
}

/* There is a limit to statements, too. */
static void a_list_has_an_end(void **state)
{
    char **items = rc_calloc(MOST, sizeof(*items));
    struct core_presto_partition found;

    (void)state;
    for (int64_t i = 0; i < MOST; i++)
        items[i] = rc_strf("%lld", (long long)(1000000000 + i * i * i));
    found = describe("bigint", (const char *const *)items, MOST);
    assert_int_equal(found.range, CORE_PARTITION_NUMBERS);
    assert_int_equal(found.least, 1000000000);
    assert_int_equal(found.step, 1);
    found = describe("bigint", (const char *const *)items, MOST / 2);
    assert_int_equal(found.range, CORE_PARTITION_VALUES);
    for (int64_t i = 0; i < MOST; i++)
        free(items[i]);
    free(items);
}

static void days_are_a_range(void **state)
{
    int64_t day = rc_day_from_date(2026, 1, 1);

    (void)state;
    EXPECT("varchar", DAYS, day, day + 1, 0, "2026-01-01", "2026-01-02");
    EXPECT("date", DAYS, rc_day_from_date(1999, 1, 1), day, 0, "1999-01-01", "2026-01-01");
    EXPECT("varchar", VALUES, 0, 0, 0, "2026-01-01", "later");
    /* The end of time is not reached day by day. */
    EXPECT("varchar", VALUES, 0, 0, 0, "2026-01-01", "9999-12-31");
    EXPECT("date", DAYS, day, rc_day_from_date(9999, 12, 31), 0, "2026-01-01", "9999-12-31");
}

static void find_partitions(const struct core_presto *session, const char *database,
                            const char *table, struct rc_buf *out)
{
    (void)session, (void)database, (void)table, (void)out;
}

/* Who makes up folders from a list of values is told none that would not come back from it. */
static void values_that_can_be_listed(void **state)
{
    static const struct core_presto_dialect lists = { .timestamp = "" };
    static const struct core_presto_dialect finds = { .add_find_partitions = find_partitions };
    static const struct rc_sql_column column = { "k", "varchar" };
    static const char *const plain[] = { "x", "a b", "2026-01-01", "-" };
    static const char *const odd[] = { " x", "x ", " ", "a,b", "it's", "a%2Fb", "${k}" };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(plain); i++) {
        const struct core_presto_key_value value = { plain[i], strlen(plain[i]) };

        assert_true(core_presto_key_is_plain(&lists, &column, &value));
        assert_true(core_presto_key_is_plain(&finds, &column, &value));
    }
    for (size_t i = 0; i < RC_ARRAY_LEN(odd); i++) {
        const struct core_presto_key_value value = { odd[i], strlen(odd[i]) };

        assert_false(core_presto_key_is_plain(&lists, &column, &value));
        assert_true(core_presto_key_is_plain(&finds, &column, &value));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_that_are_near_are_a_range),
        cmocka_unit_test(numbers_far_apart_have_a_step),
        cmocka_unit_test(numbers_without_an_order_are_listed),
        cmocka_unit_test(a_list_has_an_end),
        cmocka_unit_test(days_are_a_range),
        cmocka_unit_test(values_that_can_be_listed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
