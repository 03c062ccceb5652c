/*
 * Users: any bytes, each once; and what their ids are as the values of a column.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <run-core/fake_host.h>

#include <set.h>
#include <users.h>

#include <chance.h>

#include <string.h>

static struct pq_slice slice(const char *text)
{
    return (struct pq_slice){ (const uint8_t *)text, (uint32_t)strlen(text) };
}

static struct dsr_users *make_users(const char *const *ids, size_t count)
{
    struct dsr_users *users = dsr_users_new();
    struct rc_error err = RC_ERROR_INIT;

    for (size_t i = 0; i < count; i++)
        assert_int_equal(dsr_users_add(users, ids[i], strlen(ids[i]), &err), RC_OK);
    assert_int_equal(dsr_users_freeze(users, &err), RC_OK);
    return users;
}

static void test_a_sorted_set(void **state)
{
    (void)state;
    const char *ids[] = { "b", "", "ab", "b", "a", "\xff", "ab" };
    const char *sorted[] = { "", "a", "ab", "b", "\xff" };
    struct dsr_users *users = make_users(ids, RC_ARRAY_LEN(ids));

    assert_int_equal(dsr_users_count(users), RC_ARRAY_LEN(sorted));
    for (size_t i = 0; i < RC_ARRAY_LEN(sorted); i++) {
        struct pq_slice id = dsr_users_at(users, i);

        assert_int_equal(id.len, strlen(sorted[i]));
        assert_memory_equal(id.data, sorted[i], id.len);
        assert_int_equal(dsr_users_find(users, slice(sorted[i])), i);
    }
    assert_int_equal(dsr_users_find(users, slice("c")), -1);
    assert_int_equal(dsr_users_find(users, slice("abc")), -1);
    dsr_users_free(users);
    users = make_users(NULL, 0);
    assert_int_equal(dsr_users_count(users), 0);
    assert_int_equal(dsr_users_find(users, slice("")), -1);
    dsr_users_free(users);
}

/* Against a plain array. */
static void test_a_set_of_chance(void **state)
{
    (void)state;
    enum { COUNT = 400 };
    struct chance chance = chance_new(__func__);
    struct dsr_set set;
    struct rc_error err = RC_ERROR_INIT;
    uint16_t values[COUNT];
    size_t count = 0;

    dsr_set_init(&set, SIZE_MAX);
    for (size_t i = 0; i < COUNT; i++) {
        uint16_t value = (uint16_t)chance_below(&chance, 600);
        uint32_t number;
        size_t at = 0;

        while (at < count && values[at] != value)
            at++;
        assert_int_equal(
            dsr_set_add(&set, (struct pq_slice){ (uint8_t *)&value, 2 }, &number, &err), RC_OK);
        assert_int_equal(number, at);
        values[at] = value;
        count += at == count;
    }
    uint32_t *numbers;
    dsr_set_sort(&set, dsr_order_bytes, NULL, &numbers);
    assert_int_equal(set.count, count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(dsr_set_find(&set, (struct pq_slice){ (uint8_t *)&values[i], 2 }),
                         numbers[i]);
        if (i > 0)
            assert_true(dsr_order_bytes(NULL, dsr_set_at(&set, i - 1), dsr_set_at(&set, i)) < 0);
    }
    for (int i = 0; i < 1000; i++) {
        uint8_t a[2] = { (uint8_t)chance_any(&chance), (uint8_t)chance_below(&chance, 3) };
        uint8_t b[2] = { (uint8_t)chance_any(&chance), (uint8_t)chance_below(&chance, 3) };
        bool any = false;

        for (size_t j = 0; j < count; j++)
            any |= memcmp(&values[j], a, 2) >= 0 && memcmp(&values[j], b, 2) <= 0;
        assert_int_equal(dsr_set_any_between(&set, dsr_order_bytes, NULL, (struct pq_slice){ a, 2 },
                                             (struct pq_slice){ b, 2 }),
                         any);
    }
    free(numbers);
    dsr_set_clear(&set);
}

static void test_a_set_has_a_limit(void **state)
{
    (void)state;
    struct dsr_set set;
    struct rc_error err = RC_ERROR_INIT;
    uint32_t number;

    dsr_set_init(&set, 4);
    assert_int_equal(dsr_set_add(&set, slice("abc"), &number, &err), RC_OK);
    assert_int_equal(dsr_set_add(&set, slice("abc"), &number, &err), RC_OK);
    assert_int_equal(dsr_set_add(&set, slice("de"), &number, &err), RC_TOO_LARGE);
    dsr_set_clear(&set);
}

/* ---- columns ---- */

static struct dsr_wanted *want(const struct dsr_users *users, const struct pq_column *column)
{
    struct dsr_wanted *wanted;
    struct rc_error err = RC_ERROR_INIT;

    assert_int_equal(dsr_wanted_new(users, column, NULL, 0, 1, &wanted, &err), RC_OK);
    return wanted;
}

/* Whether the value is wanted, and as which user; asked in all three ways. */
static ptrdiff_t user_of(const struct dsr_wanted *wanted, struct pq_slice value)
{
    const struct pq_wanted *ask = dsr_wanted_ask(wanted);
    ptrdiff_t which = ask->find(ask->context, value);
    struct pq_slice other;
    bool listed = false;
    size_t count;

    for (size_t i = 0; ask->each(ask->context, i, &other); i++)
        listed |= dsr_order_bytes(NULL, other, value) == 0;
    assert_int_equal(listed, which >= 0);
    if (ask->any_between)
        assert_int_equal(ask->any_between(ask->context, value, value), which >= 0);
    if (which < 0)
        return -1;
    const uint32_t *users = dsr_wanted_ways(wanted, (size_t)which, &count);
    assert_true(count > 0);
    return dsr_wanted_user(wanted, users[0]);
}

static void test_text(void **state)
{
    (void)state;
    const char *ids[] = { "007", "7", "x'y" };
    struct dsr_users *users = make_users(ids, RC_ARRAY_LEN(ids));
    const struct pq_column text = { .meaning = PQ_MEANS_BYTES, .order = PQ_ORDER_BYTES };
    const struct pq_column fixed = { .meaning = PQ_MEANS_BYTES, .width = 3 };
    struct dsr_wanted *wanted = want(users, &text);

    assert_int_equal(user_of(wanted, slice("007")), 0);
    assert_int_equal(user_of(wanted, slice("7")), 1);
    assert_int_equal(user_of(wanted, slice("07")), -1);
    dsr_wanted_free(wanted);
    wanted = want(users, &fixed);
    assert_null(dsr_wanted_ask(wanted)->any_between);
    assert_int_equal(user_of(wanted, slice("x'y")), 2);
    dsr_wanted_free(wanted);
    dsr_users_free(users);
}

static ptrdiff_t user_of_integer(const struct dsr_wanted *wanted, int64_t value, uint32_t width)
{
    uint8_t bytes[8];

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)((uint64_t)value >> (8 * i));
    return user_of(wanted, (struct pq_slice){ bytes, width });
}

static void test_integers(void **state)
{
    (void)state;
    const char *ids[] = { "7",
                          "007",
                          "-7",
                          "-0",
                          "0",
                          "+7",
                          " 7",
                          "1x",
                          "",
                          "-",
                          "7 ",
                          "2147483647",
                          "2147483648",
                          "-2147483648",
                          "-2147483649",
                          "4294967295",
                          "4294967296",
                          "9223372036854775807",
                          "9223372036854775808",
                          "-9223372036854775808",
                          "-9223372036854775809",
                          "18446744073709551615",
                          "18446744073709551616",
                          "99999999999999999999" };
    struct dsr_users *users = make_users(ids, RC_ARRAY_LEN(ids));
    struct pq_column column = { .type = PQ_INT32,
                                .meaning = PQ_MEANS_INTEGER,
                                .order = PQ_ORDER_SIGNED,
                                .width = 4,
                                .is_signed = true };
    struct dsr_wanted *wanted = want(users, &column);

    /* 7, -7, 0 and the extremes: five. */
    assert_int_equal(user_of_integer(wanted, 7, 4), dsr_users_find(users, slice("7")));
    assert_int_equal(user_of_integer(wanted, -7, 4), dsr_users_find(users, slice("-7")));
    assert_int_equal(user_of_integer(wanted, INT32_MIN, 4),
                     dsr_users_find(users, slice("-2147483648")));
    assert_int_equal(user_of_integer(wanted, -1, 4), -1);
    struct pq_slice value;
    const struct pq_wanted *ask = dsr_wanted_ask(wanted);
    assert_true(ask->each(ask->context, 4, &value));
    assert_false(ask->each(ask->context, 5, &value));
    dsr_wanted_free(wanted);

    column.width = 8;
    wanted = want(users, &column);
    assert_int_equal(user_of_integer(wanted, INT64_MIN, 8),
                     dsr_users_find(users, slice("-9223372036854775808")));
    assert_int_equal(user_of_integer(wanted, INT64_MAX, 8),
                     dsr_users_find(users, slice("9223372036854775807")));
    assert_int_equal(user_of_integer(wanted, INT32_MAX + INT64_C(1), 8),
                     dsr_users_find(users, slice("2147483648")));
    dsr_wanted_free(wanted);

    column.is_signed = false;
    column.order = PQ_ORDER_UNSIGNED;
    wanted = want(users, &column);
    assert_int_equal(user_of_integer(wanted, -1, 8),
                     dsr_users_find(users, slice("18446744073709551615")));
    assert_int_equal(user_of_integer(wanted, -7, 8), -1);
    dsr_wanted_free(wanted);

    column.width = 4;
    wanted = want(users, &column);
    assert_int_equal(user_of_integer(wanted, -1, 4), dsr_users_find(users, slice("4294967295")));
    assert_int_equal(user_of_integer(wanted, 7, 4), dsr_users_find(users, slice("7")));
    dsr_wanted_free(wanted);
    dsr_users_free(users);
}

/* Values between others, by sign: -1 is less than 1, though its bytes are not. */
static void test_integers_between(void **state)
{
    (void)state;
    const char *ids[] = { "-5", "300" };
    struct dsr_users *users = make_users(ids, RC_ARRAY_LEN(ids));
    const struct pq_column column = {
        .meaning = PQ_MEANS_INTEGER, .order = PQ_ORDER_SIGNED, .width = 8, .is_signed = true
    };
    struct dsr_wanted *wanted = want(users, &column);
    const struct pq_wanted *ask = dsr_wanted_ask(wanted);

    for (int64_t least = -400; least < 400; least += 5)
        for (int64_t greatest = least; greatest < 400; greatest += 5) {
            uint8_t a[8], b[8];

            for (size_t i = 0; i < 8; i++) {
                a[i] = (uint8_t)((uint64_t)least >> (8 * i));
                b[i] = (uint8_t)((uint64_t)greatest >> (8 * i));
            }
            assert_int_equal(ask->any_between(ask->context, (struct pq_slice){ a, 8 },
                                              (struct pq_slice){ b, 8 }),
                             (least <= -5 && greatest >= -5) || (least <= 300 && greatest >= 300));
        }
    dsr_wanted_free(wanted);
    dsr_users_free(users);
}

static void test_uuids(void **state)
{
    (void)state;
    const char *ids[] = { "01234567-89ab-cdef-0123-456789ABCDEF",
                          "01234567-89ab-cdef-0123-456789abcdef",
                          "0123456789abcdef0123456789abcdef",
                          "01234567-89ab-cdef-0123-456789abcdeg",
                          "01234567089ab-cdef-0123-456789abcdef" };
    const uint8_t value[16] = { 0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef,
                                0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef };
    struct dsr_users *users = make_users(ids, RC_ARRAY_LEN(ids));
    const struct pq_column column = { .meaning = PQ_MEANS_UUID,
                                      .order = PQ_ORDER_BYTES,
                                      .width = 16 };
    struct dsr_wanted *wanted = want(users, &column);
    const struct pq_wanted *ask = dsr_wanted_ask(wanted);
    struct pq_slice other;
    size_t count;

    assert_int_equal(ask->find(ask->context, (struct pq_slice){ value, 16 }), 0);
    assert_false(ask->each(ask->context, 1, &other));
    /* Two users who are one in this column: both are told. */
    const uint32_t *both = dsr_wanted_ways(wanted, 0, &count);
    assert_int_equal(count, 2);
    assert_true(both[0] < both[1]);
    dsr_wanted_free(wanted);
    dsr_users_free(users);
}

static void test_other_columns(void **state)
{
    (void)state;
    const char *ids[] = { "1" };
    struct dsr_users *users = make_users(ids, 1);
    const struct pq_column column = { .path = "price", .meaning = PQ_MEANS_OTHER, .width = 8 };
    struct dsr_wanted *wanted;
    struct rc_error err = RC_ERROR_INIT;

    assert_int_equal(dsr_wanted_new(users, &column, NULL, 0, 1, &wanted, &err), RC_UNSUPPORTED);
    assert_non_null(strstr(err.cause, "'price'"));
    dsr_users_free(users);
}

/* ---- pieces ---- */

/* The user of a row with these values, -1: nobody's. */
static ptrdiff_t owner(struct dsr_wanted *const *wanted, const char *const *values, size_t parts)
{
    ptrdiff_t which[4];
    size_t count;

    for (size_t i = 0; i < parts; i++) {
        const struct pq_wanted *ask = dsr_wanted_ask(wanted[i]);

        which[i] = ask->find(ask->context, slice(values[i]));
        if (which[i] < 0)
            return -1;
    }
    const uint32_t *ways = dsr_wanted_ways(wanted[0], (size_t)which[0], &count);
    for (size_t w = 0; w < count; w++) {
        size_t has = 1;

        for (size_t i = 1; i < parts; i++) {
            size_t other_count;
            const uint32_t *others = dsr_wanted_ways(wanted[i], (size_t)which[i], &other_count);

            for (size_t j = 0; j < other_count; j++)
                has += others[j] == ways[w];
        }
        if (has == parts)
            return dsr_wanted_user(wanted[0], ways[w]);
    }
    return -1;
}

/* Against joining: a row is a user's if its values with the separator between them are the id. */
static void check_pieces(const char *separator, size_t parts, const char *const *ids, size_t count,
                         const char *const *values, size_t value_count)
{
    struct dsr_users *users = make_users(ids, count);
    const struct pq_column text = { .meaning = PQ_MEANS_BYTES, .order = PQ_ORDER_BYTES };
    struct dsr_wanted *wanted[4];
    struct rc_error err = RC_ERROR_INIT;
    size_t rows = 1;

    for (size_t i = 0; i < parts; i++) {
        assert_int_equal(dsr_wanted_new(users, &text, separator, i, parts, &wanted[i], &err),
                         RC_OK);
        rows *= value_count;
    }
    for (size_t row = 0; row < rows; row++) {
        RC_BUF_AUTO(joined, 256);
        const char *of[4];
        size_t rest = row;

        for (size_t i = 0; i < parts; i++, rest /= value_count) {
            of[i] = values[rest % value_count];
            rc_buf_addf(&joined, "%s%s", i ? separator : "", of[i]);
        }
        assert_int_equal(owner(wanted, of, parts), dsr_users_find(users, slice(joined.data)));
    }
    for (size_t i = 0; i < parts; i++)
        dsr_wanted_free(wanted[i]);
    dsr_users_free(users);
}

static void test_pieces(void **state)
{
    (void)state;
    const char *ids[] = { "a_b", "a_b_c", "a__b", "_", "__", "_a", "a_", "a", "", "___", "b_b" };
    const char *values[] = { "", "a", "b", "c", "_", "a_b", "b_c", "__", "_a" };
    const char *overlapping[] = { "aa", "aaa", "aaaa", "a", "baab" };
    const char *letters[] = { "", "a", "b", "aa" };

    check_pieces("_", 2, ids, RC_ARRAY_LEN(ids), values, RC_ARRAY_LEN(values));
    check_pieces("_", 3, ids, RC_ARRAY_LEN(ids), values, RC_ARRAY_LEN(values));
    check_pieces("__", 2, ids, RC_ARRAY_LEN(ids), values, RC_ARRAY_LEN(values));
    check_pieces("aa", 2, overlapping, RC_ARRAY_LEN(overlapping), letters, RC_ARRAY_LEN(letters));
    check_pieces("", 2, overlapping, RC_ARRAY_LEN(overlapping), letters, RC_ARRAY_LEN(letters));
    check_pieces("", 3, ids, RC_ARRAY_LEN(ids), letters, RC_ARRAY_LEN(letters));
}

/* A piece may be a number: then it is one as an id alone is. */
static void test_pieces_of_types(void **state)
{
    (void)state;
    const char *ids[] = { "acme:7", "acme:07", "x:y:8" };
    struct dsr_users *users = make_users(ids, RC_ARRAY_LEN(ids));
    const struct pq_column column = {
        .meaning = PQ_MEANS_INTEGER, .order = PQ_ORDER_SIGNED, .width = 4, .is_signed = true
    };
    struct dsr_wanted *wanted;
    struct rc_error err = RC_ERROR_INIT;
    const uint8_t seven[4] = { 7 }, eight[4] = { 8 };
    size_t count;

    assert_int_equal(dsr_wanted_new(users, &column, ":", 1, 2, &wanted, &err), RC_OK);
    const struct pq_wanted *ask = dsr_wanted_ask(wanted);
    ptrdiff_t which = ask->find(ask->context, (struct pq_slice){ seven, 4 });
    assert_true(which >= 0);
    const uint32_t *ways = dsr_wanted_ways(wanted, (size_t)which, &count);
    assert_int_equal(count, 1);
    assert_int_equal(dsr_wanted_user(wanted, ways[0]), dsr_users_find(users, slice("acme:7")));
    assert_true(ask->find(ask->context, (struct pq_slice){ eight, 4 }) >= 0);
    dsr_wanted_free(wanted);
    dsr_users_free(users);
}

static void test_too_many_pieces(void **state)
{
    (void)state;
    char id[] = "________________________________________________________________________________"
                "________________________________________________________________________________";
    const char *ids[] = { id };
    struct dsr_users *users = make_users(ids, 1);
    const struct pq_column text = { .meaning = PQ_MEANS_BYTES };
    struct dsr_wanted *wanted;
    struct rc_error err = RC_ERROR_INIT;

    assert_int_equal(dsr_wanted_new(users, &text, "_", 0, 5, &wanted, &err), RC_TOO_LARGE);
    dsr_users_free(users);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_sorted_set),
        cmocka_unit_test(test_a_set_of_chance),
        cmocka_unit_test(test_a_set_has_a_limit),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_integers),
        cmocka_unit_test(test_integers_between),
        cmocka_unit_test(test_uuids),
        cmocka_unit_test(test_other_columns),
        cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_pieces_of_types),
        cmocka_unit_test(test_too_many_pieces),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
