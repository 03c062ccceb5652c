/*
 * What of a URL is shown.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <base/url.h>

#include <run-core/attr.h>
#include <run-core/str.h>

static void test_public(void **state)
{
    static const struct {
        const char *url, *shown;
    } cases[] = {
        { "https://host.example/a/b", "https://host.example/a/b" },
        { "https://u:p@host.example:8443/a", "https://host.example:8443/a" },
        { "https://u:p@ss@host.example/a@b", "https://host.example/a@b" },
        { "https://host.example?token=x", "https://host.example?..." },
        { "https://host.example/a?x=u@v", "https://host.example/a?..." },
        { "https://host.example/a#secret", "https://host.example/a?..." },
        { "https://u:p@[::1]:80/", "https://[::1]:80/" },
        { "u:p@host/x", "host/x" },
        { "", "" },
        { "https://", "https://" },
    };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        RC_STR_AUTO shown = core_url_public(cases[i].url);

        assert_string_equal(shown, cases[i].shown);
    }
}

static void test_private(void **state)
{
    static const struct {
        const char *url;
        bool is_private, loopback;
    } cases[] = {
        { "https://storagetransfer.googleapis.com", true, false },
        { "HTTPS://host.example:8443/a?b", true, false },
        { "https://localhost/", true, true },
        { "http://localhost:4443/v1", true, true },
        { "http://127.0.0.1:1", true, true },
        { "http://127.255.0.9/x@y", true, true },
        { "http://[::1]:80/", true, true },
        { "http://host.example/", false, false },
        { "http://10.0.0.1/", false, false },
        { "http://127.0.0.1.host.example/", false, false },
        { "http://127.1/", false, false },
        { "http://127.0.0.256/", false, false },
        { "http://127.0.0./", false, false },
        { "http://127.0.0.1@host.example/", false, false },
        { "http://localhost:80@host.example/", false, false },
        { "https://u:p@host.example/", false, false },
        { "http://localhost\\@host.example/", false, false },
        { "http://localhost.host.example/", false, false },
        { "http://localhost%2ehost.example/", false, false },
        { "http://[::1].host.example/", false, false },
        { "http://[::1", false, false },
        { "http://[::2]/", false, false },
        { "http:///x", false, false },
        { "ftp://localhost/", false, false },
        { "localhost", false, false },
        { "", false, false },
    };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        bool loopback, is_private = core_url_is_private(cases[i].url, &loopback);

        if (is_private != cases[i].is_private || loopback != cases[i].loopback)
            fail_msg("%s", cases[i].url);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_public),
                                        cmocka_unit_test(test_private) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
