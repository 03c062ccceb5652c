/*
 * Jobs that are removed, faults at every request of one that is created, and the session, on
 * scripted answers of a store.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "jobs_world.h"
#include "statements.h"
#include "vocabulary.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- removing -------------------------------------------------------------------------------- */

static enum rc_code clean(struct world *world, bool force, struct delta_list *removed,
                          struct delta_list *kept)
{
    return delta_clean(&world->session, &world->entry, DELTA_DUMP, force, removed, kept,
                       &world->err);
}

static void test_jobs_are_removed_but_for_active_ones(void **state)
{
    struct delta_list removed, kept;
    WORLD_AUTO(world);

    (void)state;
    world.steps[0] =
        "dump success a 1\ndump busy b 1\ndump failed c 1\ndump - d 1\ndump failed _:e 1";
    world.steps[1] = "dump busy b 1\ndump failed _:e 1";
    assert_int_equal(clean(&world, false, &removed, &kept), RC_OK);
    world_expect_trace(&world, "jobs remove remove remove jobs");
    assert_int_equal(removed.count, 3);
    assert_string_equal(removed.items[2].uri, "http://example.org/d");
    assert_int_equal(kept.count, 2);
    assert_int_equal(rc_fake_host_counter(world.host, "jobs_removed"), 3);
    delta_list_clear(&removed);
    delta_list_clear(&kept);
}

static void test_force_removes_active_jobs_too(void **state)
{
    struct delta_list removed, kept;
    WORLD_AUTO(world);

    (void)state;
    world.steps[0] = "dump success a 1\ndump busy b 1";
    world.steps[1] = "";
    assert_int_equal(clean(&world, true, &removed, &kept), RC_OK);
    assert_int_equal(removed.count, 2);
    assert_int_equal(kept.count, 0);
    delta_list_clear(&removed);
}

/* What has become active in between is kept; what came in between goes, too. */
static void test_jobs_that_change_while_they_are_removed(void **state)
{
    struct delta_list removed, kept;
    WORLD_AUTO(world);

    (void)state;
    world.steps[0] = "dump success a 1\ndump failed b 1";
    world.steps[1] = "dump busy b 0\ndump success c 0";
    world.steps[2] = "dump busy b 0";
    assert_int_equal(clean(&world, false, &removed, &kept), RC_OK);
    world_expect_trace(&world, "jobs remove remove jobs remove jobs");
    assert_int_equal(removed.count, 2);
    assert_string_equal(removed.items[1].uri, "http://example.org/c");
    assert_int_equal(kept.count, 1);
    assert_string_equal(kept.items[0].uri, "http://example.org/b");
    delta_list_clear(&removed);
    delta_list_clear(&kept);
}

/* Each page is that behind the last job of the one before. */
static void test_more_jobs_than_a_store_gives_at_once(void **state)
{
    struct delta_list removed, kept;
    WORLD_AUTO(world);
    RC_BUF_AUTO(page, TEXT_LIMIT);
    const char *behind = "%3E%20%22http%3A%2F%2Fexample.org%2Fj1499%22";

    (void)state;
    for (int i = 0; i < DELTA_PAGE_ROWS; i++)
        rc_buf_addf(&page, "%sdump %s j%d 1", i ? "\n" : "", i == 7 ? "busy" : "failed", 1000 + i);
    world.session.job->dry_run = true;
    world.steps[0] = page.data;
    world.steps[1] = "dump failed k 1";
    assert_int_equal(clean(&world, false, &removed, &kept), RC_OK);
    world_expect_trace(&world, "jobs jobs");
    assert_null(strstr(rc_fake_host_http_request(world.host, 0).body, "%3E%20%22"));
    assert_non_null(strstr(rc_fake_host_http_request(world.host, 1).body, behind));
    assert_int_equal(removed.count, DELTA_PAGE_ROWS);
    assert_int_equal(kept.count, 1);
    delta_list_clear(&removed);
    delta_list_clear(&kept);
}

/* It would give the same page again and again. */
static void test_a_store_that_knows_no_pages(void **state)
{
    struct delta_list removed, kept;
    WORLD_AUTO(world);
    RC_BUF_AUTO(page, TEXT_LIMIT);

    (void)state;
    for (int i = 0; i < DELTA_PAGE_ROWS; i++)
        rc_buf_addf(&page, "%sdump busy j%d 1", i ? "\n" : "", 1000 + i);
    world.steps[0] = page.data;
    assert_int_equal(clean(&world, false, &removed, &kept), RC_OK);
    world_expect_trace(&world, "jobs jobs");
    assert_int_equal(removed.count, 0);
    delta_list_clear(&kept);
}

static void test_jobs_that_stay(void **state)
{
    struct delta_list removed, kept;
    WORLD_AUTO(world);

    (void)state;
    world.steps[0] = "dump success a 1";
    assert_int_equal(clean(&world, false, &removed, &kept), RC_DENIED);
    assert_non_null(strstr(world.err.cause, "<http://example.org/jobs>"));
    assert_int_equal(removed.count + kept.count, 0);
}

static void test_a_dry_run_removes_nothing(void **state)
{
    struct delta_list removed, kept;
    WORLD_AUTO(world);

    (void)state;
    world.session.job->dry_run = true;
    world.steps[0] = "dump success a 1\ndump busy b 1";
    assert_int_equal(clean(&world, false, &removed, &kept), RC_OK);
    world_expect_trace(&world, "jobs");
    assert_int_equal(removed.count, 1);
    assert_int_equal(kept.count, 1);
    assert_int_equal(rc_fake_host_held_back(world.host), 1);
    assert_int_equal(rc_fake_host_counter(world.host, "jobs_removed"), 0);
    delta_list_clear(&removed);
    delta_list_clear(&kept);
}

/* ---- faults ---------------------------------------------------------------------------------- */

/*
 * Any call may fail, be the last before the run is to stop, or have its answer lost: then there was
 * no request that changes anything but those of the steps, in their order, and who is told that a
 * job was created finds it.
 */
static void check_fault(int n, int how, enum rc_code code, bool *reached)
{
    WORLD_AUTO(world);
    RC_BUF_AUTO(trace, TEXT_LIMIT);
    const char *created, *failed;
    enum rc_code result;

    world.config.job_timeout_min = 60;
    world.by_updates = true;
    world.steps[0] = "healing busy a 2";
    world.steps[1] = "healing failed a 0";
    world.steps[2] = "dump busy own 0";
    if (how == 0)
        rc_fake_host_fail_at(world.host, n, code);
    else if (how == 1)
        rc_fake_host_lose_at(world.host, n, code);
    else
        rc_fake_host_cancel_at(world.host, n);
    result = world_create(&world, DELTA_DUMP, false);
    *reached = rc_fake_host_calls(world.host) >= n;

    world_add_trace(&world, &trace);
    created = strstr(trace.data, "create");
    failed = strstr(trace.data, "fail");
    assert_true(!created || (failed && failed < created));
    assert_int_equal(world_count_sent(&world, "remove") + world_count_sent(&world, "error"), 0);
    if (result == RC_OK) {
        assert_non_null(world.outcome.job_uri);
        assert_non_null(strstr(created, "jobs"));
    } else {
        assert_int_equal(result, how == 2 ? RC_CANCELLED : code);
        assert_true(world.err.context[0] != '\0');
        assert_null(world.outcome.job_uri);
    }
}

static void test_every_call_may_fail(void **state)
{
    static const enum rc_code codes[] = { RC_UNAVAILABLE, RC_DENIED };

    (void)state;
    for (int how = 0; how < 3; how++)
        for (size_t i = 0; i < (how < 2 ? RC_ARRAY_LEN(codes) : 1); i++) {
            bool reached = true;
            int n = 1;

            for (; reached; n++)
                check_fault(n, how, codes[i], &reached);
            assert_true(n > 8);
        }
}

/* ---- the session ----------------------------------------------------------------------------- */

static enum rc_code open_session(struct world *world)
{
    enum rc_code code;

    world->config.sparql_endpoint = QUERY_URL;
    world->config.request_timeout_ms = 1000;
    world->config.attempts = 1;
    world->config.ping_interval_s = 1;
    for (int kind = 0; kind < DELTA_KIND_COUNT; kind++) {
        world->config.stream.job_operation[kind] = world_operations[kind];
        world->config.task_operation[kind] = world->entry.task_operation[kind];
    }
    world->config.stream.jobs_graph = world->entry.jobs_graph;
    world->config.dump_enabled = world->config.healing_enabled = true;
    world->config.heal_must_wait = true;
    code = delta_session_open(rc_fake_host_job(world->host), &world->config, &world->session,
                              &world->err);
    if (code == RC_OK)
        delta_session_close(&world->session);
    return code;
}

static void test_every_request_has_the_headers(void **state)
{
    static const struct rc_pair more[] = { { "X-Tenant", "north" }, { "MU-AUTH-SUDO", "false" } };
    WORLD_AUTO(world);

    (void)state;
    world.steps[0] = "";
    world.config.headers = (struct rc_map){ .len = RC_ARRAY_LEN(more), .items = more };
    if (open_session(&world))
        fail_msg("%s: %s", world.err.context, world.err.cause);
    assert_int_equal(rc_fake_host_http_requests(world.host), 1);
    assert_non_null(strstr(rc_fake_host_http_request(world.host, 0).headers,
                           "mu-auth-sudo: true\nX-Tenant: north\n"));
    assert_null(strstr(rc_fake_host_http_request(world.host, 0).headers, "false"));
}

static void test_who_waits_for_the_store(void **state)
{
    WORLD_AUTO(daemon);
    WORLD_AUTO(route);

    (void)state;
    daemon.steps[0] = route.steps[0] = "";
    rc_fake_host_fail_on(daemon.host, "http.open", NULL, 1, RC_UNAVAILABLE);
    rc_fake_host_job(daemon.host)->by_daemon = true;
    assert_int_equal(open_session(&daemon), RC_OK);

    rc_fake_host_fail_on(route.host, "http.open", NULL, 1, RC_UNAVAILABLE);
    rc_fake_host_job(route.host)->by_daemon = true;
    rc_fake_host_job(route.host)->action = "serve";
    assert_int_equal(open_session(&route), RC_UNAVAILABLE);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_jobs_are_removed_but_for_active_ones),
        cmocka_unit_test(test_force_removes_active_jobs_too),
        cmocka_unit_test(test_jobs_that_change_while_they_are_removed),
        cmocka_unit_test(test_more_jobs_than_a_store_gives_at_once),
        cmocka_unit_test(test_a_store_that_knows_no_pages),
        cmocka_unit_test(test_jobs_that_stay),
        cmocka_unit_test(test_a_dry_run_removes_nothing),
        cmocka_unit_test(test_every_call_may_fail),
        cmocka_unit_test(test_every_request_has_the_headers),
        cmocka_unit_test(test_who_waits_for_the_store),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
