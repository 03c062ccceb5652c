/*
 * Finding the rows of users: by one column, by any of several, by several that make up the id; and
 * what cannot be searched is an error, never a file without users.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <run-core/fake_host.h>

#include <find.h>

#include "users_file.h"

#include <chance.h>

#include <string.h>

enum { FOOTER_LIMIT = 1 << 20 };

struct fixture {
    struct maker maker;
    struct pq_file file;
    struct dsr_users *users;
    struct dsr_found found;
    struct rc_error err;
};

static void begin(struct fixture *fixture, const struct users_column *columns, size_t column_count,
                  size_t row_count, size_t group_rows, const char *const *ids)
{
    struct pq_source source;

    memset(fixture, 0, sizeof(*fixture));
    source = users_file(&fixture->maker, columns, column_count, row_count, group_rows);
    if (pq_file_open(&fixture->file, &source, FOOTER_LIMIT, &fixture->err))
        fail_msg("%s", fixture->err.cause);
    fixture->users = dsr_users_new();
    for (size_t i = 0; ids[i]; i++)
        assert_int_equal(dsr_users_add(fixture->users, ids[i], strlen(ids[i]), &fixture->err),
                         RC_OK);
    assert_int_equal(dsr_users_freeze(fixture->users, &fixture->err), RC_OK);
}

static void end(struct fixture *fixture)
{
    dsr_found_clear(&fixture->found);
    dsr_users_free(fixture->users);
    pq_file_close(&fixture->file);
    maker_clear(&fixture->maker);
}

static enum rc_code find(struct fixture *fixture, const char *const *columns, size_t count,
                         const char *separator)
{
    const struct dsr_table table = { .name = "users",
                                     .id_columns = { count, columns },
                                     .id_separator = separator };

    return dsr_find(&fixture->file, &table, fixture->users, true, &fixture->found, &fixture->err);
}

/* "1 4 | 0:2 3:1": the rows, and the users with how many rows they have. */
static void assert_found(struct fixture *fixture, const char *wanted)
{
    RC_BUF_AUTO(text, 4096);

    for (size_t i = 0; i < fixture->found.count; i++)
        rc_buf_addf(&text, "%lld ", (long long)fixture->found.rows[i]);
    rc_buf_adds(&text, "|");
    for (size_t i = 0; i < fixture->found.user_count; i++)
        rc_buf_addf(&text, " %u:%lld", fixture->found.users[i].user,
                    (long long)fixture->found.users[i].rows);
    assert_string_equal(text.data, wanted);
}

static void test_one_column(void **state)
{
    (void)state;
    const char *texts[] = { "b", NULL, "x", "a", "b", "", NULL, "bb" };
    const struct users_column column = { "id", PQ_BYTE_ARRAY, false, texts };
    const char *ids[] = { "a", "b", "c", NULL }, *names[] = { "id" };

    for (size_t group_rows = 1; group_rows < 10; group_rows++) {
        struct fixture fixture;

        begin(&fixture, &column, 1, RC_ARRAY_LEN(texts), group_rows, ids);
        assert_int_equal(find(&fixture, names, 1, NULL), RC_OK);
        assert_found(&fixture, "0 3 4 | 0:1 1:2");
        assert_int_equal(fixture.found.row_count, RC_ARRAY_LEN(texts));
        assert_false(fixture.found.is_summary);
        end(&fixture);
    }
}

static void test_an_empty_id_is_no_null(void **state)
{
    (void)state;
    const char *texts[] = { "", NULL, "x" };
    const struct users_column column = { "id", PQ_BYTE_ARRAY, false, texts };
    const char *ids[] = { "", "NULL", NULL }, *names[] = { "id" };
    struct fixture fixture;

    begin(&fixture, &column, 1, 3, 3, ids);
    assert_int_equal(find(&fixture, names, 1, NULL), RC_OK);
    assert_found(&fixture, "0 | 0:1");
    end(&fixture);
}

static void test_types(void **state)
{
    (void)state;
    const char *numbers[] = { "7", "-7", NULL, "70", "7" };
    const char *uuids[] = { "0123456789abcdef0123456789abcdef", NULL,
                            "0123456789abcdef0123456789abcdee", NULL,
                            "0123456789abcdef0123456789abcdef" };
    const struct users_column columns[] = { { "n32", PQ_INT32, false, numbers },
                                            { "n64", PQ_INT64, false, numbers },
                                            { "uuid", PQ_FIXED, false, uuids },
                                            { "user.id", PQ_INT64, false, numbers } };
    const char *ids[] = { "-7", "007", "01234567-89AB-cdef-0123-456789abcdef", "7", NULL };
    const char *names[] = { "n32", "n64", "uuid", "user.id" };
    const char *wanted[] = { "0 1 4 | 0:1 3:2", "0 1 4 | 0:1 3:2", "0 4 | 2:2", "0 1 4 | 0:1 3:2" };

    for (size_t i = 0; i < RC_ARRAY_LEN(names); i++) {
        struct fixture fixture;

        begin(&fixture, columns, RC_ARRAY_LEN(columns), 5, 3, ids);
        assert_int_equal(find(&fixture, &names[i], 1, NULL), RC_OK);
        assert_found(&fixture, wanted[i]);
        end(&fixture);
    }
}

/* A row that is a user's by two columns is there once, one of two users' once for each. */
static void test_any_of_several_columns(void **state)
{
    (void)state;
    const char *from[] = { "a", "b", "x", "a", NULL, "a" };
    const char *to[] = { "a", "x", "b", "b", "b", NULL };
    const struct users_column columns[] = { { "from", PQ_BYTE_ARRAY, false, from },
                                            { "to", PQ_BYTE_ARRAY, false, to } };
    const char *ids[] = { "a", "b", NULL }, *names[] = { "from", "to" };
    struct fixture fixture;

    begin(&fixture, columns, 2, RC_ARRAY_LEN(from), 4, ids);
    assert_int_equal(find(&fixture, names, 2, NULL), RC_OK);
    assert_found(&fixture, "0 1 2 3 4 5 | 0:3 1:4");
    end(&fixture);
}

static void test_an_id_of_several_columns(void **state)
{
    (void)state;
    const char *tenants[] = { "a", "a", "b", "a_b", "a", NULL, "a", "" };
    const char *numbers[] = { "1", "2", "1", "1", NULL, "1", "1", "1" };
    const struct users_column columns[] = { { "tenant", PQ_BYTE_ARRAY, false, tenants },
                                            { "number", PQ_INT32, false, numbers } };
    const char *ids[] = { "a_1", "a_b_1", "b_01", "_1", "1", NULL };
    const char *names[] = { "tenant", "number" }, *swapped[] = { "number", "tenant" };
    struct fixture fixture;

    begin(&fixture, columns, 2, RC_ARRAY_LEN(tenants), 3, ids);
    assert_int_equal(find(&fixture, names, 2, "_"), RC_OK);
    assert_found(&fixture, "0 3 6 7 | 1:1 2:2 3:1");
    end(&fixture);
    begin(&fixture, columns, 2, RC_ARRAY_LEN(tenants), 3, ids);
    assert_int_equal(find(&fixture, swapped, 2, "_"), RC_OK);
    assert_found(&fixture, "|");
    end(&fixture);
    /* One column: the separator separates nothing. */
    begin(&fixture, columns, 2, RC_ARRAY_LEN(tenants), 3, ids);
    assert_int_equal(find(&fixture, names + 1, 1, "_"), RC_OK);
    assert_found(&fixture, "0 2 3 5 6 7 | 0:6");
    end(&fixture);
}

/* Against joining the values of each row. */
static void test_composite_ids_by_chance(void **state)
{
    (void)state;
    enum { ROWS = 60, PARTS = 3 };
    static const char *const values[] = { "", "a", "b", "-", "a-b", "b-", "--", NULL };
    static const char *const names[] = { "x", "y", "z" };
    struct chance chance = chance_new(__func__);

    for (int round = 0; round < 50; round++) {
        const char *texts[PARTS][ROWS], *ids[ROWS + 1] = { NULL };
        struct users_column columns[PARTS];
        struct fixture fixture;
        char joined[ROWS][64];
        bool is_null[ROWS];
        size_t id_count = 0, at = 0;

        for (size_t row = 0; row < ROWS; row++) {
            joined[row][0] = '\0';
            is_null[row] = false;
            for (size_t i = 0; i < PARTS; i++) {
                const char *value = values[chance_below(&chance, RC_ARRAY_LEN(values))];
                size_t len = strlen(joined[row]);

                texts[i][row] = value;
                is_null[row] |= !value;
                snprintf(joined[row] + len, sizeof(joined[row]) - len, "%s%s", i ? "-" : "",
                         value ? value : "");
            }
            if (chance_below(&chance, 4) == 0)
                ids[id_count++] = joined[row];
        }
        for (size_t i = 0; i < PARTS; i++)
            columns[i] = (struct users_column){ names[i], PQ_BYTE_ARRAY, false, texts[i] };
        begin(&fixture, columns, PARTS, ROWS, 25, ids);
        assert_int_equal(find(&fixture, names, PARTS, "-"), RC_OK);
        for (size_t row = 0; row < ROWS; row++) {
            const struct pq_slice id = { (const uint8_t *)joined[row],
                                         (uint32_t)strlen(joined[row]) };
            bool is_found = at < fixture.found.count && fixture.found.rows[at] == (int64_t)row;

            at += is_found;
            assert_int_equal(is_found, !is_null[row] && dsr_users_find(fixture.users, id) >= 0);
        }
        assert_int_equal(at, fixture.found.count);
        end(&fixture);
    }
}

static void test_what_cannot_be_searched(void **state)
{
    (void)state;
    const char *texts[] = { "1", "2" };
    const struct users_column columns[] = { { "user_id", PQ_BYTE_ARRAY, false, texts },
                                            { "price", PQ_DOUBLE, false, texts },
                                            { "friends", PQ_INT64, true, texts },
                                            { "other", PQ_INT64, false, texts },
                                            { "OTHER", PQ_INT64, false, texts } };
    const char *ids[] = { "1", NULL };
    const struct {
        const char *name;
        enum rc_code code;
        const char *says;
    } cases[] = {
        { "userid", RC_NOT_FOUND, "'user_id'" },
        { "ID", RC_NOT_FOUND, "'made.parquet' has no column 'ID'" },
        { "Other", RC_UNSUPPORTED, "more than one" },
        { "price", RC_UNSUPPORTED, "'price'" },
        { "friends", RC_UNSUPPORTED, "within a list" },
    };

    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        struct fixture fixture;

        begin(&fixture, columns, RC_ARRAY_LEN(columns), 2, 2, ids);
        assert_int_equal(find(&fixture, &cases[i].name, 1, NULL), cases[i].code);
        assert_non_null(strstr(fixture.err.cause, cases[i].says));
        end(&fixture);
    }
}

/* A file that describes others has no rows to be erased. */
static void test_a_summary(void **state)
{
    (void)state;
    const char *texts[] = { "1", "2" };
    const struct users_column column = { "id", PQ_BYTE_ARRAY, false, texts };
    const char *ids[] = { "1", NULL }, *names[] = { "id" };
    struct fixture fixture;

    begin(&fixture, &column, 1, 2, 2, ids);
    fixture.file.groups[0].chunks[0].lies_elsewhere = true;
    assert_int_equal(find(&fixture, names, 1, NULL), RC_OK);
    assert_found(&fixture, "|");
    assert_true(fixture.found.is_summary);
    end(&fixture);
    begin(&fixture, &column, 1, 2, 1, ids);
    fixture.file.groups[0].chunks[0].lies_elsewhere = true;
    assert_int_equal(find(&fixture, names, 1, NULL), RC_UNSUPPORTED);
    end(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_column),
        cmocka_unit_test(test_an_empty_id_is_no_null),
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_any_of_several_columns),
        cmocka_unit_test(test_an_id_of_several_columns),
        cmocka_unit_test(test_composite_ids_by_chance),
        cmocka_unit_test(test_what_cannot_be_searched),
        cmocka_unit_test(test_a_summary),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
