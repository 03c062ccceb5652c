/*
 * Targets of requests: what they decode to, what is refused, and which requests a page of another
 * site made.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <http/uri.h>

#include <run-core/attr.h>

static void decodes_a_path(void **state)
{
    static const struct {
        const char *target, *path;
    } cases[] = {
        { "/", "/" },
        { "/api/v1/jobs", "/api/v1/jobs" },
        { "/a%20b", "/a b" },
        { "/%C4%8Daj", "/\xC4\x8D"
                       "aj" },
        { "/a+b", "/a+b" },
        { "/...", "/..." },
        { "/.hidden/..x/x..", "/.hidden/..x/x.." },
        { "//a//", "//a//" },
        { "/%2525", "/%25" },
        { "http://host:80/path", "/path" },
        { "HTTPS://host", "/" },
    };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        struct core_http_uri uri;

        assert_null(core_http_uri_parse(cases[i].target, &uri));
        assert_string_equal(uri.path, cases[i].path);
        core_http_uri_clear(&uri);
    }
}

static void refuses_what_means_two_things(void **state)
{
    static const char *const targets[] = {
        "",        "*",           "a",         "a/b",        "/%",     "/%2",
        "/%zz",    "/%00",        "/a%00b",    "/..",        "/../a",  "/a/..",
        "/a/./b",  "/%2e%2e/a",   "/a/%2E.",   "/.%2e/etc",  "/a%2fb", "/a%2Fb",
        "/%0a",    "/%7f",        "/%ff",      "/%C4",       "/a b",   "/a#b",
        "/?a=%",   "/?%00=1",     "/?a=%0",    "/\x01",      "/?\x01", "/?a=%00",
        "http://", "http://h/..", "ftp://h/a", "/%ed%a0%80", "/?a#b",  "/a/.",
    };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(targets); i++) {
        struct core_http_uri uri;
        const char *wrong = core_http_uri_parse(targets[i], &uri);

        if (!wrong)
            fail_msg("'%s' was taken", targets[i]);
        core_http_uri_clear(&uri);
    }
}

static void takes_parameters_apart(void **state)
{
    struct core_http_uri uri;

    (void)state;
    assert_null(core_http_uri_parse("/x?a=1&b=two+words%26more&&c&=d&a=2&e=f=g", &uri));
    assert_string_equal(uri.query, "a=1&b=two+words%26more&&c&=d&a=2&e=f=g");
    assert_int_equal(uri.parameter_count, 6);
    assert_string_equal(uri.parameters[1].name, "b");
    assert_string_equal(uri.parameters[1].value, "two words&more");
    assert_string_equal(uri.parameters[2].name, "c");
    assert_string_equal(uri.parameters[2].value, "");
    assert_string_equal(uri.parameters[3].name, "");
    assert_string_equal(uri.parameters[4].value, "2");
    assert_string_equal(uri.parameters[5].value, "f=g");
    core_http_uri_clear(&uri);
    assert_null(core_http_uri_parse("http://h:1?a=b", &uri));
    assert_string_equal(uri.path, "/");
    assert_string_equal(uri.host, "h:1");
    assert_string_equal(uri.parameters[0].value, "b");
    core_http_uri_clear(&uri);
}

static void knows_pages_of_other_sites(void **state)
{
    static const char *const hosts[] = { "jobs.example", NULL };
    static const struct {
        const char *host, *origin;
        bool on_loopback, foreign;
    } cases[] = {
        { "localhost:8081", NULL, true, false },
        { "LocalHost", NULL, true, false },
        { "127.0.0.1:8081", NULL, true, false },
        { "127.9.9.9", NULL, true, false },
        { "[::1]:8081", NULL, true, false },
        { "run.localhost:1", NULL, true, false },
        { "jobs.example:8081", NULL, true, false },
        { NULL, NULL, true, false },
        { "evil.example:8081", NULL, true, true },
        { "127.0.0.1.evil.example", NULL, true, true },
        { "128.0.0.1", NULL, true, true },
        { "notlocalhost", NULL, true, true },
        { ".localhost", NULL, true, true },
        { "[::1", NULL, true, true },
        { "", NULL, true, true },
        { "jobs.example.evil", NULL, true, true },
        { "evil.example", NULL, false, false }, /* its name is for its owner to know */
        { "localhost:8081", "http://localhost:8081", true, false },
        { "localhost:8081", "http://LOCALHOST:8081", true, false },
        { "localhost:8081", "http://localhost:8082", true, true },
        { "localhost:8081", "http://localhost", true, true },
        { "localhost:8081", "http://evil.example", true, true },
        { "localhost:8081", "null", true, true },
        { "localhost:8081", "", true, true },
        { "localhost:8081", "file://", true, true },
        { "jobs.example", "https://jobs.example", false, false },
        { "jobs.example:443", "https://jobs.example", false, false },
        { "jobs.example", "http://jobs.example:80", false, false },
        { "jobs.example", "https://jobs.example.evil", false, true },
        { NULL, "http://localhost", false, true },
    };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        const char *why =
            core_http_uri_foreign(cases[i].host, cases[i].origin, cases[i].on_loopback, hosts);

        if ((why != NULL) != cases[i].foreign)
            fail_msg("case %zu: %s", i, why ? why : "let through");
    }
}

static void knows_for_whom_a_proxy_asks(void **state)
{
    static const struct {
        const char *header, *value;
        bool locally;
    } cases[] = {
        { "X-Forwarded-For", "127.0.0.1", true },
        { "x-forwarded-for", " ::1 ,unix,\t127.9.9.9", true },
        { "X-Forwarded-For", "192.0.2.7", false },
        { "X-Forwarded-For", "192.0.2.7, 127.0.0.1", false },
        { "X-Forwarded-For", "127.0.0.1, 192.0.2.7", false },
        { "X-Forwarded-For", "", false },
        { "X-Forwarded-For", "127.0.0.1,", false },
        { "X-Forwarded-For", "unknown", false },
        { "X-Forwarded-For", "127.0.0.1.example.org", false },
        { "X-Real-IP", "::1", true },
        { "X-Real-IP", "2001:db8::1", false },
        { "Forwarded", "for=127.0.0.1", false },
        { "via", "1.1 gateway", false },
        { "X-Forwarded-Host", "example.org", true },
        { "Accept", "*/*", true },
    };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++)
        if (core_http_uri_asks_locally(cases[i].header, cases[i].value) != cases[i].locally)
            fail_msg("%s: %s", cases[i].header, cases[i].value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decodes_a_path),
        cmocka_unit_test(refuses_what_means_two_things),
        cmocka_unit_test(takes_parameters_apart),
        cmocka_unit_test(knows_pages_of_other_sites),
        cmocka_unit_test(knows_for_whom_a_proxy_asks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
