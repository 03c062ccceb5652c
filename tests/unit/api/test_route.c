/*
 * The table of routes: what it finds, and that it is a sound one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <api/openapi.h>
#include <api/route.h>
#include <config/json.h>
#include <config/options.h>

#include <run-core/str.h>

#include <string.h>

enum { TEXT_BYTES = 1024 * 1024 };

static void finds_a_route_and_its_values(void **state)
{
    struct core_route_match match;

    (void)state;
    core_route_find("GET", "/api/v1/jobs", &match);
    assert_string_equal(match.route->name, "listJobs");
    core_route_find("HEAD", "/api/v1/jobs/nightly", &match);
    assert_string_equal(match.route->name, "getJob");
    assert_string_equal(match.segments[0], "nightly");
    core_route_find("POST", "/api/v1/jobs/a b/trigger", &match);
    assert_string_equal(match.route->name, "triggerJob");
    assert_string_equal(match.segments[0], "a b");
}

static void tells_what_a_path_allows(void **state)
{
    struct core_route_match match;

    (void)state;
    core_route_find("PUT", "/api/v1/jobs", &match);
    assert_null(match.route);
    assert_string_equal(match.allow, "GET, HEAD");
    core_route_find("GET", "/api/v1/jobs/x/trigger", &match);
    assert_null(match.route);
    assert_string_equal(match.allow, "POST");
}

static void knows_nothing_of_other_paths(void **state)
{
    static const char *const paths[] = {
        "/",
        "/api/v1/jobs/",
        "/api/v1/jobs//trigger",
        "/api/v1/jobs/x/",
        "/api/v1/job",
        "/api/v1/jobs/x/y",
        "/api/v1/jobs/x/trigger/",
        "/API/v1/jobs",
        "",
    };
    struct core_route_match match;
    char longest[400] = "/api/v1/jobs/";

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(paths); i++) {
        core_route_find("GET", paths[i], &match);
        assert_null(match.route);
        assert_string_equal(match.allow, "");
    }
    memset(longest + strlen(longest), 'x', sizeof(longest) - strlen(longest) - 1);
    core_route_find("GET", longest, &match);
    assert_null(match.route);
}

static void has_sound_routes(void **state)
{
    CORE_PROBLEMS_AUTO(problems);

    (void)state;
    for (const struct core_route *route = core_routes; route->method; route++) {
        const struct core_option_table query = CORE_OPTION_TABLE(route->query);
        const struct core_option_table body = CORE_OPTION_TABLE(route->body);

        assert_non_null(route->answer);
        assert_true(rc_str_ends(route->summary, "."));
        assert_true((route->reply != NULL) != (route->content_type != NULL));
        assert_true(!route->query == !route->query_size);
        assert_true(!route->body == !route->body_size);
        /* Whatever changes something needs more than to look. */
        if (strcmp(route->method, "GET") != 0)
            assert_true(route->scope >= CORE_SCOPE_RUN);
        core_options_check_table(&query, route->name, &problems);
        core_options_check_table(&body, route->name, &problems);
        for (const struct core_route *other = core_routes; other != route; other++) {
            assert_string_not_equal(route->name, other->name);
            assert_false(strcmp(route->path, other->path) == 0 &&
                         strcmp(route->method, other->method) == 0);
        }
    }
    if (problems.count)
        fail_msg("%s", core_problem_text(&problems, problems.first));
}

static void writes_a_document_of_all_routes(void **state)
{
    RC_BUF_AUTO(json, TEXT_BYTES);
    RC_BUF_AUTO(markdown, TEXT_BYTES);
    RC_BUF_AUTO(text, TEXT_BYTES);
    struct core_arena arena = CORE_ARENA_INIT;
    CORE_PROBLEMS_AUTO(problems);
    const struct core_node *document, *paths, *path;

    (void)state;
    core_openapi_add_json("1.2.3", &json);
    core_openapi_add_markdown(&markdown);
    core_openapi_add_text(&text);
    document = core_json_read(&arena, "openapi", json.data, json.len, &problems);
    assert_int_equal(problems.count, 0); /* no key stands twice, either */
    paths = core_node_get(document, "paths");
    for (const struct core_route *route = core_routes; route->method; route++) {
        RC_STR_AUTO method = rc_strdup(route->method);

        for (char *c = method; *c; c++)
            *c = (char)(*c - 'A' + 'a');
        path = core_node_get(paths, route->path);
        assert_string_equal(core_node_get(core_node_get(path, method), "operationId")->text,
                            route->name);
        assert_non_null(strstr(markdown.data, route->path));
        assert_non_null(strstr(text.data, route->path));
    }
    core_arena_clear(&arena);
}

static void orders_scopes(void **state)
{
    enum core_scope scope = CORE_SCOPE_NONE;

    (void)state;
    assert_true(core_scope_parse("read", 4, &scope) && scope == CORE_SCOPE_READ);
    assert_true(core_scope_parse("admin", 5, &scope) && scope > CORE_SCOPE_RUN);
    assert_false(core_scope_parse("none", 4, &scope));
    assert_false(core_scope_parse("reader", 6, &scope));
    assert_false(core_scope_parse("", 0, &scope));
    assert_string_equal(core_scope_name(CORE_SCOPE_RUN), "run");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_a_route_and_its_values),
        cmocka_unit_test(tells_what_a_path_allows),
        cmocka_unit_test(knows_nothing_of_other_paths),
        cmocka_unit_test(has_sound_routes),
        cmocka_unit_test(writes_a_document_of_all_routes),
        cmocka_unit_test(orders_scopes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
