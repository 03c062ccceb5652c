/*
 * The pieces of metrics, by the byte.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <api/exposition.h>

#include <run-core/attr.h>

enum { TEXT_BYTES = 4096 };

static void escapes_labels(void **state)
{
    RC_BUF_AUTO(out, TEXT_BYTES);

    (void)state;
    core_metric_label(&out, '{', "a", "q\" b\\ n\n t\t \xc3\xa9 bad\xff!");
    core_metric_label(&out, ',', "b", NULL);
    assert_string_equal(out.data, "{a=\"q\\\" b\\\\ n\\n t\t \xc3\xa9 bad\xef\xbf\xbd!\",b=\"\"");
}

static void writes_values(void **state)
{
    RC_BUF_AUTO(out, TEXT_BYTES);

    (void)state;
    core_metric_int(&out, INT64_MIN);
    core_metric_time(&out, 1769904000005);
    core_metric_time(&out, -1);
    core_metric_float(&out, 0.25);
    assert_string_equal(out.data, " -9223372036854775808\n 1769904000.005\n -0.001\n 0.25\n");
}

static void cumulates_histograms(void **state)
{
    static const double bounds[] = { 0.5, 10 };
    static const int64_t counts[] = { 1, 2, 4 };
    RC_BUF_AUTO(out, TEXT_BYTES);

    (void)state;
    core_metric_histogram(&out, "h", "", bounds, counts, 2, 1.5);
    core_metric_histogram(&out, "h", "job=\"x\"", bounds, counts, 2, 1.5);
    assert_string_equal(out.data, "h_bucket{le=\"0.5\"} 1\n"
                                  "h_bucket{le=\"10\"} 3\n"
                                  "h_bucket{le=\"+Inf\"} 7\n"
                                  "h_sum 1.5\n"
                                  "h_count 7\n"
                                  "h_bucket{job=\"x\",le=\"0.5\"} 1\n"
                                  "h_bucket{job=\"x\",le=\"10\"} 3\n"
                                  "h_bucket{job=\"x\",le=\"+Inf\"} 7\n"
                                  "h_sum{job=\"x\"} 1.5\n"
                                  "h_count{job=\"x\"} 7\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(escapes_labels),
        cmocka_unit_test(writes_values),
        cmocka_unit_test(cumulates_histograms),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
