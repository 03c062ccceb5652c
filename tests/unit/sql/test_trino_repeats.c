/*
 * What is asked again of a Trino that is busy, starts, or cuts its answers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <trino_world.h>

#include <os/clock.h>

#include <string.h>

static void asks_a_busy_server_again(void **state)
{
    const struct script_line lines[] = {
        { .status = 503 },
        { 429, "Retry-After: 0\r\n", NULL, 0, 0 },
        { .status = 200 },
        OK(QUEUED),
        { .status = 502, .body = "<html>" },
        { .status = 504 },
        { .status = 200 },
        { .status = 0 },
        OK(LAST("[[1,\"x\"]]")),
    };
    struct world w = { .said = "" };

    (void)state;
    begin(&w, lines, RC_ARRAY_LEN(lines));
    asks_and_gets(&w, "1|x;");
    assert_int_equal(heard(&w), RC_ARRAY_LEN(lines));
    for (size_t i = 0; i < 4; i++)
        assert_true(scripted_asks(&w.server, i, "POST /v1/statement HTTP"));
    end(&w);
}

/* Each byte of a page may be the last that comes; the page is asked for again, and each row comes
 * once. */
static void survives_an_answer_that_is_cut(void **state)
{
    static const char page[] = PAGE(2, "[[1,\"x\"],[2,\"y\"]]");

    (void)state;
    for (size_t cut = 1; cut < sizeof(page) + 100; cut += cut < 60 || cut > sizeof(page) ? 1 : 7) {
        const struct script_line lines[] = {
            OK(QUEUED),
            { 200, NULL, page, cut, 0 },
            OK(page),
            OK(LAST("[[3,\"z\"]]")),
            OK(LAST("[[3,\"z\"]]")),
        };
        struct world w = { .said = "" };
        RC_BUF_AUTO(got, 1024);

        begin(&w, lines, RC_ARRAY_LEN(lines));
        if (ask(&w, "SELECT 1", &got))
            fail_msg("cut at %zu: %s", cut, w.err.cause);
        /* Beyond its end the page was whole, and the script is one answer ahead. */
        if (strcmp(got.data, "1|x;2|y;3|z;") != 0 &&
            (heard(&w) != 4 || strcmp(got.data, "1|x;2|y;1|x;2|y;3|z;") != 0))
            fail_msg("cut at %zu: %s", cut, got.data);
        end(&w);
    }
}

/* The server begins with a statement when it is asked what came of it; a lost one never is. */
static void says_a_statement_again_whose_answer_is_lost(void **state)
{
    const struct script_line lines[] = {
        { .status = 0 },
        { 200, NULL, QUEUED, 80, 0 },
        OK(QUEUED),
        OK(LAST("[[1,\"x\"]]")),
    };
    struct world w = { .said = "" };

    (void)state;
    begin(&w, lines, RC_ARRAY_LEN(lines));
    asks_and_gets(&w, "1|x;");
    assert_int_equal(heard(&w), RC_ARRAY_LEN(lines));
    for (size_t i = 0; i < 3; i++)
        assert_true(scripted_asks(&w.server, i, "POST /v1/statement HTTP"));
    end(&w);
}

static void loses_patience(void **state)
{
    const struct script_line lines[] = { OK(QUEUED), { .status = 503, .body = "overloaded" } };
    struct script_line many[200];
    struct world w = { .limits = { .patience_ms = 100 } };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(many); i++)
        many[i] = lines[i > 0];
    begin(&w, many, RC_ARRAY_LEN(many));
    asks_and_fails(&w, RC_UNAVAILABLE, "HTTP 503: overloaded");
    assert_true(heard(&w) > 3);
    /* The last word is that nobody wants the result any more. */
    assert_true(scripted_asks(&w.server, heard(&w) - 1, "DELETE /v1/statement/executing/q1/y/1"));
    assert_string_equal(w.err.context + strlen(w.err.context) - 1, ")");
    end(&w);
}

/* It takes statements already, and fails each. */
static void waits_for_a_server_that_starts(void **state)
{
#define STARTING FAILED("SERVER_STARTING_UP", "INTERNAL_ERROR", "Trino is still initializing")
    const struct script_line lines[] = {
        OK(STARTING), { .status = 0 }, OK(STARTING), OK(LAST("[[1,\"x\"]]"))
    };
    struct script_line many[200];
    struct world w = { .said = "" };

    (void)state;
    begin(&w, lines, RC_ARRAY_LEN(lines));
    asks_and_gets(&w, "1|x;");
    assert_int_equal(heard(&w), RC_ARRAY_LEN(lines));
    end(&w);

    w = (struct world){ .limits = { .patience_ms = 100 } };
    for (size_t i = 0; i < RC_ARRAY_LEN(many); i++)
        many[i] = lines[0];
    begin(&w, many, RC_ARRAY_LEN(many));
    asks_and_fails(&w, RC_UNAVAILABLE, "SERVER_STARTING_UP: Trino is still initializing");
    assert_true(heard(&w) > 3);
    end(&w);
#undef STARTING
}

static void waits_as_long_as_it_is_asked_to(void **state)
{
    const struct script_line lines[] = { { 503, "Retry-After: 1\r\n", NULL, 0, 0 },
                                         OK(LAST("[]")) };
    const struct script_line longer[] = { { 503, "Retry-After: 100\r\n", "later", 0, 0 } };
    struct world w = { .said = "" };
    int64_t began_mono_ms = core_clock_mono_ms();

    (void)state;
    begin(&w, lines, RC_ARRAY_LEN(lines));
    asks_and_gets(&w, "");
    assert_true(core_clock_mono_ms() - began_mono_ms >= 900);
    end(&w);

    w = (struct world){ .said = "" };
    begin(&w, longer, RC_ARRAY_LEN(longer));
    asks_and_fails(&w, RC_UNAVAILABLE, "HTTP 503: later");
    end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(asks_a_busy_server_again),
        cmocka_unit_test(survives_an_answer_that_is_cut),
        cmocka_unit_test(says_a_statement_again_whose_answer_is_lost),
        cmocka_unit_test(loses_patience),
        cmocka_unit_test(waits_for_a_server_that_starts),
        cmocka_unit_test(waits_as_long_as_it_is_asked_to),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
