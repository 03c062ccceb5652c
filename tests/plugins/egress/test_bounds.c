/*
 * The order of partitions by the text of their bounds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <bounds.h>

#include <run-core/attr.h>

static int sign(int n)
{
    return (n > 0) - (n < 0);
}

/* Each list is in its order; what stands in it in one line is equal. */
static void test_order(void **state)
{
    (void)state;
    static const char *const lists[][6] = {
        { "FOR VALUES FROM (MINVALUE) TO (-5)", "FOR VALUES FROM ('-5') TO (9)",
          "FOR VALUES FROM (9) TO (10)", "FOR VALUES FROM (10) TO ('10000000000')",
          "FOR VALUES FROM ('10000000000') TO (MAXVALUE)", "DEFAULT" },
        { "FOR VALUES FROM ('2025-12-01') TO ('2026-01-01')",
          "FOR VALUES FROM ('2026-01-01', MINVALUE) TO ('2026-02-01', 3)",
          "FOR VALUES FROM ('2026-01-01', 3) TO ('2026-02-01', 20)",
          "FOR VALUES FROM ('2026-01-01', 20) TO ('2026-02-01', MAXVALUE)",
          "FOR VALUES FROM ('2026-01-01', MAXVALUE) TO ('2026-02-01', MAXVALUE)", "DEFAULT" },
        { "FOR VALUES IN ('a'')', 'z')", "FOR VALUES IN ('a''b', 'z')", "FOR VALUES IN ('b')",
          "FOR VALUES IN ('b', 'c')", "FOR VALUES IN (NULL)", "DEFAULT" },
        { "FOR VALUES WITH (modulus 12, remainder 0)", "FOR VALUES WITH (modulus 12, remainder 1)",
          "FOR VALUES WITH (modulus 12, remainder 2)", "FOR VALUES WITH (modulus 12, remainder 9)",
          "FOR VALUES WITH (modulus 12, remainder 10)", "" },
        { "FOR VALUES IN ('MINVALUE'::text)", "FOR VALUES IN ('NULL')", "FOR VALUES IN (false)",
          "FOR VALUES IN ('remainder 0, WITH (modulus ')", "FOR VALUES IN (true)", "" },
    };

    for (size_t list = 0; list < RC_ARRAY_LEN(lists); list++)
        for (int i = 0; i < 6; i++)
            for (int j = 0; j < 6; j++) {
                int order = sign(egress_bounds_compare(lists[list][i], lists[list][j]));

                if (order != sign(i - j))
                    fail_msg("%s | %s: %d", lists[list][i], lists[list][j], order);
            }
}

/* What is not there or not understood is behind all else, and ends. */
static void test_anything(void **state)
{
    (void)state;
    static const char *const odd[] = { "(",
                                       "('",
                                       "FOR VALUES IN ('x",
                                       "FOR VALUES FROM (1",
                                       "remainder",
                                       "WITH (modulus remainder " };

    assert_int_equal(egress_bounds_compare(NULL, NULL), 0);
    assert_true(egress_bounds_compare(NULL, "FOR VALUES IN (1)") > 0);
    for (size_t i = 0; i < RC_ARRAY_LEN(odd); i++)
        assert_int_equal(egress_bounds_compare(odd[i], odd[i]), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_anything),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
