/*
 * Events, on the fake host: whatever call fails or is the last one, an event is recorded as a whole
 * or not at all, and who sent it is told so.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <run-core/fake_host.h>

#include <rest/request.h>
#include <state/executions.h>
#include <state/markers.h>
#include <state/outbox.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

extern const struct rc_plugin *const rc_plugin_descriptor;

#define HOST_AUTO RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *

static const char *const settings[] = { "webhook_url=https://hook.example/", NULL };
static const char marker_body[] = "{\"type\":\"USER\",\"projectId\":\"p\","
                                  "\"target\":\"gs://events/clicks/.delete_this_folder\"}";

static struct rc_fake_host *new_host(void)
{
    struct rc_fake_host *host = rc_fake_host_new(NULL);

    rc_fake_host_bucket(host, "gs://events/")->exists = RC_ANSWER_YES;
    return host;
}

/* The status. */
static unsigned ask(struct rc_fake_host *host, const char *method, const char *path,
                    const char *body)
{
    const struct rc_fake_request request = {
        .method = method, .path = path, .body = body, .body_len = strlen(body), .settings = settings
    };
    struct rc_error err = RC_ERROR_INIT;

    if (rc_fake_host_request(host, rc_plugin_descriptor, &request, &err))
        return 0;
    return rc_fake_host_reply_status(host);
}

/* A text member of the last reply; freed by the caller. */
static char *member(struct rc_fake_host *host, const char *name)
{
    size_t len;
    const char *text = rc_fake_host_reply(host, &len);
    json_t *json = json_loadb(text, len, 0, NULL);
    char *value = rc_strdup(json_string_value(json_object_get(json, name)));

    json_decref(json);
    return value;
}

/* How many markers wait; each has its execution and its notification, and there are no others. */
static size_t count_markers(struct rc_fake_host *host)
{
    struct rc_job *job = rc_fake_host_job(host);
    struct sdrs_state state = { 0 };
    struct sdrs_markers markers = { 0 };
    struct rc_error err = RC_ERROR_INIT;
    char **lost;
    size_t executions = 0, count;
    int64_t waiting = 0;

    assert_int_equal(sdrs_state_open(job, &state, &err), RC_OK);
    assert_int_equal(sdrs_markers_due(&state, INT64_MAX / 2, &markers, &err), RC_OK);
    count = markers.count;
    for (size_t i = 0; i < count; i++) {
        RC_CLEANUP(sdrs_execution_clear) struct sdrs_execution execution = { 0 };

        assert_string_equal(markers.items[i].prefix, "clicks/");
        assert_int_equal(sdrs_executions_find(&state, markers.items[i].execution, &execution, &err),
                         RC_OK);
        assert_int_equal(execution.status, SDRS_EXECUTION_RECEIVED);
    }
    assert_int_equal(sdrs_outbox_waiting(&state, &waiting, &err), RC_OK);
    assert_int_equal(waiting, count);
    /* None that somebody would take for one of rules that was lost. */
    assert_int_equal(sdrs_executions_lost(&state, INT64_MAX / 2, &lost, &executions, &err), RC_OK);
    assert_int_equal(executions, 0);
    sdrs_markers_clear(&markers);
    sdrs_state_close(&state);
    return count;
}

static void test_a_marker_whatever_call_fails(void **state)
{
    unsigned status = 0;
    int refused = 0;

    (void)state;
    for (int n = 1; status != 200; n++) {
        HOST_AUTO host = new_host();

        rc_fake_host_fail_at(host, n, RC_UNAVAILABLE);
        status = ask(host, "POST", "/events/execution", marker_body);
        rc_fake_host_fail_at(host, 0, RC_OK);
        assert_true(status == 200 || status == 503);
        refused += status == 503;
        assert_int_equal(count_markers(host), status == 200);
        assert_int_equal(rc_fake_host_open_handles(host), 0);
        if (status == 503) { /* and again, as the client is told to */
            assert_int_equal(ask(host, "POST", "/events/execution", marker_body), 200);
            assert_int_equal(count_markers(host), 1);
        }
    }
    assert_true(refused > 3);
}

static void test_a_marker_whenever_the_server_dies(void **state)
{
    bool alive = false;

    (void)state;
    for (int n = 1; !alive; n++) {
        for (int after = 0; after < 2; after++) {
            HOST_AUTO host = new_host();

            rc_fake_host_die_at(host, n, after != 0);
            (void)ask(host, "POST", "/events/execution", marker_body);
            alive = !rc_fake_host_is_dead(host);
            rc_fake_host_revive(host);
            size_t before = count_markers(host);
            assert_true(before <= 1);
            assert_int_equal(ask(host, "POST", "/events/execution", marker_body),
                             before == 1 ? 400 : 200);
            assert_int_equal(count_markers(host), 1);
        }
    }
}

static void test_an_execution_begins_a_run(void **state)
{
    HOST_AUTO host = new_host();

    (void)state;
    assert_int_equal(ask(host, "POST", "/events/execution", "{\"type\":\"POLICY\"}"), 200);
    RC_STR_AUTO id = member(host, "executionId");
    assert_int_equal(rc_fake_host_submits(host), 1);
    struct rc_fake_submitted submitted = rc_fake_host_submitted(host, 0);
    assert_string_equal(submitted.action, "execute");
    assert_int_equal(submitted.param_count, 1);
    assert_string_equal(submitted.params[0].key, "execution");
    assert_string_equal(submitted.params[0].value, id);
    RC_STR_AUTO run = member(host, "runId");
    assert_string_equal(run, submitted.run_id);
    assert_int_equal(ask(host, "POST", "/events/validation", ""), 200);
    assert_int_equal(rc_fake_host_submits(host), 2);
    assert_string_equal(rc_fake_host_submitted(host, 1).action, "validate");
}

/* It is over, so that nobody begins it later, when the client has asked again. */
static void test_an_execution_whose_run_cannot_begin(void **state)
{
    HOST_AUTO host = new_host();

    (void)state;
    rc_fake_host_fail_on(host, "job.submit", NULL, 2, RC_UNAVAILABLE);
    assert_int_equal(ask(host, "POST", "/events/execution", "{\"type\":\"POLICY\"}"), 503);
    assert_non_null(strstr(rc_fake_host_log(host), "begin the run of execution "));
    const char *at = strstr(rc_fake_host_log(host), "begin the run of execution ");
    RC_STR_AUTO path =
        rc_strf("/events/execution/%.36s", at + strlen("begin the run of execution "));
    assert_int_equal(ask(host, "GET", path, ""), 200);
    RC_STR_AUTO status = member(host, "status");
    RC_STR_AUTO message = member(host, "message");
    assert_string_equal(status, "error");
    assert_non_null(strstr(message, "its run could not be begun"));
    assert_int_equal(ask(host, "POST", "/events/validation", ""), 503);
    assert_int_equal(ask(host, "POST", "/events/execution", "{\"type\":\"POLICY\"}"), 200);
}

static void test_a_bucket_that_we_may_not_see(void **state)
{
    HOST_AUTO host = new_host();

    (void)state;
    rc_fake_host_fail_on(host, "bucket.look", "gs://events/", 1, RC_DENIED);
    assert_int_equal(ask(host, "POST", "/events/execution", marker_body), 400);
    RC_STR_AUTO message = member(host, "message");
    assert_string_equal(message,
                        "Invalid input: The bucket p/events cannot be looked at: the server "
                        "has no access to it, and its log says why");
    assert_non_null(strstr(rc_fake_host_log(host), "look for bucket 'gs://events/': "));
    assert_int_equal(count_markers(host), 0);
    rc_fake_host_bucket(host, "gs://events/")->exists = RC_ANSWER_NO;
    assert_int_equal(ask(host, "POST", "/events/execution", marker_body), 400);
    RC_STR_AUTO missing = member(host, "message");
    assert_string_equal(missing, "Invalid input: The bucket p/events does not exist");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_marker_whatever_call_fails),
        cmocka_unit_test(test_a_marker_whenever_the_server_dies),
        cmocka_unit_test(test_a_bucket_that_we_may_not_see),
        cmocka_unit_test(test_an_execution_begins_a_run),
        cmocka_unit_test(test_an_execution_whose_run_cannot_begin),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
