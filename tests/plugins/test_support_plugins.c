/*
 * The plugins that other tests use do what they say; 'options' shows the binding of every type.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <run-core/fake_host.h>

#include <stdlib.h>

#define HOST_AUTO RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *

static const struct rc_plugin *load(const char *name)
{
    const struct rc_plugin *plugin = NULL;
    struct rc_error err;
    RC_STR_AUTO path = rc_strf("%s/test-plugins/%s.so", getenv("RUN_CORE_BUILD"), name);
    if (rc_fake_host_load(path, &plugin, &err))
        fail_msg("%s", err.cause);
    return plugin;
}

static void test_options_defaults(void **state)
{
    (void)state;
    HOST_AUTO host = rc_fake_host_new(NULL);
    const char *const settings[] = { "needed=x", NULL };
    struct rc_error err;
    assert_int_equal(rc_fake_host_run(host, load("options"), "show", settings, &err), RC_OK);
    assert_string_equal(rc_fake_host_said(host),
                        "text=hello\nneeded=x\npassword=none\nurl=none\nflag=0\ncount=3\n"
                        "share=0.5\nwait=30000\nsize=67108864\ncolour=green\nday=none\n"
                        "from=none\nto=none\nloud=0\n");
}

static void test_options_given(void **state)
{
    (void)state;
    HOST_AUTO host = rc_fake_host_new(NULL);
    const char *const settings[] = {
        "oldText=t=1",
        "needed=x",
        "password=p",
        "url=s3://a/b",
        "flag=yes",
        "count=10",
        "share=1",
        "wait=1m",
        "size=1KiB",
        "colour=blue",
        "day=2024-02-29",
        "list=[a, \"b c\"]",
        "list=d",
        "map.k=v",
        "map.other=w",
        "objects[0].name=n",
        "objects[1].days=9",
        "objects[1].name=m",
        "from=2024-01-01",
        "loud=true",
        NULL,
    };
    struct rc_error err;
    assert_int_equal(rc_fake_host_run(host, load("options"), NULL, settings, &err), RC_OK);
    assert_string_equal(rc_fake_host_said(host),
                        "text=t=1\nneeded=x\npassword=p\nurl=s3://a/b\nflag=1\ncount=10\n"
                        "share=1\nwait=60000\nsize=1024\ncolour=blue\nday=2024-02-29\n"
                        "list[0]=a\nlist[1]=b c\nlist[2]=d\nmap.k=v\nmap.other=w\n"
                        "objects[0]=n,7\nobjects[1]=m,9\nfrom=2024-01-01\nto=none\nloud=1\n");
}

static void test_options_refused(void **state)
{
    (void)state;
    static const char *const wrong[][3] = {
        { "needed=", "option 'needed' is required" },
        { "count=11", "option 'count' cannot be '11'" },
        { "share=1.5", "option 'share' cannot be '1.5'" },
        { "colour=pink", "option 'colour' cannot be 'pink'" },
        { "day=2023-02-29", "option 'day' cannot be '2023-02-29'" },
        { "url=nowhere", "option 'url' cannot be 'nowhere'" },
        { "flag=maybe", "option 'flag' cannot be 'maybe'" },
        { "objects[0].days=3", "option 'name' is required" },
        { "objects[0].size=3", "there is no option 'size'" },
    };
    for (size_t i = 0; i < RC_ARRAY_LEN(wrong); i++) {
        HOST_AUTO host = rc_fake_host_new(NULL);
        const char *const settings[] = { "needed=x", wrong[i][0], NULL };
        struct rc_error err;
        assert_int_equal(rc_fake_host_run(host, load("options"), NULL, settings, &err), RC_INVALID);
        assert_string_equal(err.cause, wrong[i][1]);
    }
}

static void seed(struct rc_fake_host *host, void *context)
{
    (void)context;
    rc_fake_host_put(host, "s3://b/seed", "seed", 4);
}

static void test_writer(void **state)
{
    (void)state;
    const char *const settings[] = { "base=s3://b/", NULL };
    const struct rc_plugin *writer = load("writer");
    struct rc_error err;
    int calls;
    if (rc_fake_host_torture(writer, NULL, settings, seed, NULL, &calls, &err))
        fail_msg("%s: %s", err.context, err.cause);

    HOST_AUTO host = rc_fake_host_new(NULL);
    seed(host, NULL);
    assert_int_equal(rc_fake_host_run(host, writer, NULL, settings, &err), RC_OK);
    assert_string_equal(rc_fake_host_objects(host, ""),
                        "s3://b/moved\ns3://b/put\ns3://b/sql/part-0.parquet\n"
                        "s3://b/streamed\n");
    assert_int_equal(rc_fake_host_counter(host, "runs_seen"), 1);

    HOST_AUTO dry = rc_fake_host_new(NULL);
    seed(dry, NULL);
    rc_fake_host_job(dry)->dry_run = true;
    assert_int_equal(rc_fake_host_run(dry, writer, NULL, settings, &err), RC_OK);
    assert_string_equal(rc_fake_host_objects(dry, ""), "s3://b/seed\n");
    assert_int_equal(rc_fake_host_counter(dry, "runs_seen"), 0);
}

static void test_counter(void **state)
{
    (void)state;
    HOST_AUTO host = rc_fake_host_new(NULL);
    struct rc_error err;
    assert_int_equal(rc_fake_host_run(host, load("counter"), NULL, NULL, &err), RC_OK);
    assert_int_equal(rc_fake_host_counter(host, "steps"), 10);
    assert_int_equal(rc_fake_host_counter(host, "odd_steps"), 5);
    assert_string_equal(rc_fake_host_said(host), "all steps taken\n");
}

static void test_codes(void **state)
{
    (void)state;
    HOST_AUTO host = rc_fake_host_new(NULL);
    struct rc_error err;
    const struct rc_plugin *fails = load("fail");
    for (int code = RC_OK; code <= RC_SKIPPED; code++) {
        RC_STR_AUTO setting = rc_strf("code=%s", code ? rc_code_name((enum rc_code)code) : "ok");
        const char *const settings[] = { setting, NULL };
        assert_int_equal(rc_fake_host_run(host, fails, NULL, settings, &err), code);
    }
    assert_int_equal(rc_fake_host_run(host, load("skip"), NULL, NULL, &err), RC_SKIPPED);
    rc_fake_host_set_remaining_ms(host, 0);
    assert_int_equal(rc_fake_host_run(host, load("hang"), "wait", NULL, &err), RC_TIMEOUT);
}

static void test_routes_on_the_fake_host(void **state)
{
    (void)state;
    HOST_AUTO host = rc_fake_host_new(NULL);
    const struct rc_plugin *routes = load("routes");
    const char *const headers[] = { "x-test: yes", NULL };
    const char *const settings[] = { "greeting=hi", NULL };
    const struct rc_fake_request echo = { .method = "POST",
                                          .path = "/echo/Ada%20L+1?q=a%20b+c&r",
                                          .headers = headers,
                                          .body = "x\"y",
                                          .body_len = 3,
                                          .settings = settings };
    const struct rc_fake_request plain = { .method = "HEAD", .path = "/echo/plain" };
    const struct rc_fake_request bad = { .method = "GET", .path = "/fail/x" };
    const struct rc_fake_request counted = { .method = "POST", .path = "/count/a" };
    struct rc_error err;

    assert_int_equal(rc_fake_host_request(host, routes, &echo, &err), RC_OK);
    assert_int_equal(rc_fake_host_reply_status(host), 200);
    assert_string_equal(rc_fake_host_reply(host, NULL),
                        "{\"method\":\"POST\",\"path\":\"/echo/Ada L+1\",\"name\":\"Ada L+1\","
                        "\"q\":\"a b c\",\"header\":\"yes\",\"forwarded\":null,"
                        "\"greeting\":\"hi\",\"body\":\"x\\\"y\"}\n");
    assert_string_equal(rc_fake_host_reply_headers(host),
                        "X-Echo: yes\nContent-Type: application/json\n");
    assert_int_equal(rc_fake_host_request(host, routes, &plain, &err), RC_OK);
    assert_string_equal(rc_fake_host_reply(host, NULL), "plain\n");
    assert_int_equal(rc_fake_host_request(host, routes, &bad, &err), RC_INVALID);
    assert_int_equal(rc_fake_host_reply_status(host), 0);
    assert_int_equal(rc_fake_host_request(host, routes, &counted, &err), RC_OK);
    rc_fake_host_fail_at(host, 1, RC_UNAVAILABLE);
    assert_int_equal(rc_fake_host_request(host, routes, &counted, &err), RC_UNAVAILABLE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options_defaults),
        cmocka_unit_test(test_options_given),
        cmocka_unit_test(test_options_refused),
        cmocka_unit_test(test_writer),
        cmocka_unit_test(test_counter),
        cmocka_unit_test(test_codes),
        cmocka_unit_test(test_routes_on_the_fake_host),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
