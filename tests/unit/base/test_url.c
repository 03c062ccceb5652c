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

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_public) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
