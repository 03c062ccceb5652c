/*
 * The text of the metrics, which monitors parse by the byte.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <api/health.h>
#include <api/metrics.h>

#include <string.h>

static const struct core_run_counter counters[] = { { "rows", 7 }, { "bad_rows", -1 } };

static const struct core_run_view view = {
    .run_id = "r-1",
    .plugin = "copy",
    .action = "all",
    .job = "a \"b\" \\ c\nd",
    .version = "0.1.0",
    .state = "running",
    .ready = true,
    .started_unix_ms = 1769904000250,
    .progress_done = 3,
    .progress_total = 10,
    .progress_unit = "days",
    .counters = counters,
    .counter_count = 2,
};

static void writes_every_family_with_its_type(void **state)
{
    RC_BUF_AUTO(out, 64 * 1024);

    (void)state;
    core_api_add_metrics(&view, &out);
#define LABELS "{plugin=\"copy\",action=\"all\",job=\"a \\\"b\\\" \\\\ c\\nd\""
    assert_non_null(strstr(out.data, "# TYPE run_core_run_info gauge\nrun_core_run_info" LABELS
                                     ",run=\"r-1\",version=\"0.1.0\",dry_run=\"false\"} 1\n"));
    assert_non_null(
        strstr(out.data, "\nrun_core_run_start_time_seconds" LABELS "} 1769904000.250\n"));
    assert_non_null(strstr(out.data, "\nrun_core_run_state" LABELS ",state=\"running\"} 1\n"));
    assert_non_null(strstr(out.data, "\nrun_core_run_progress_done" LABELS "} 3\n"));
    assert_non_null(strstr(out.data, "\nrun_core_run_progress_total" LABELS "} 10\n"));
    assert_non_null(strstr(out.data, "\nrun_core_run_counter" LABELS ",counter=\"rows\"} 7\n"));
    assert_non_null(
        strstr(out.data, "\nrun_core_run_counter" LABELS ",counter=\"bad_rows\"} -1\n"));
#undef LABELS
    assert_int_equal(out.data[out.len - 1], '\n');
}

static void leaves_out_what_is_not_known(void **state)
{
    struct core_run_view early = view;
    RC_BUF_AUTO(out, 64 * 1024);

    (void)state;
    early.progress_total = 0;
    early.counter_count = 0;
    early.job = NULL;
    core_api_add_metrics(&early, &out);
    assert_null(strstr(out.data, "progress_total"));
    assert_null(strstr(out.data, "run_core_run_counter"));
    assert_non_null(strstr(out.data, ",job=\"\"}"));
}

static void is_ready_only_while_the_action_runs(void **state)
{
    struct core_http_reply reply = { .status = 200, .body = RC_BUF_INIT(4096) };
    struct core_run_view loading = view;

    (void)state;
    core_api_is_ready(&view, &reply);
    assert_int_equal(reply.status, 200);
    rc_buf_reset(&reply.body);
    loading.ready = false;
    loading.state = "loading";
    core_api_is_ready(&loading, &reply);
    assert_int_equal(reply.status, 503);
    assert_string_equal(reply.body.data,
                        "{\"status\":\"not ready\",\"run\":\"r-1\",\"state\":\"loading\"}\n");
    rc_buf_reset(&reply.body);
    core_api_is_alive(&loading, &reply);
    assert_int_equal(reply.status, 200);
    rc_buf_clear(&reply.body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_every_family_with_its_type),
        cmocka_unit_test(leaves_out_what_is_not_known),
        cmocka_unit_test(is_ready_only_while_the_action_runs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
