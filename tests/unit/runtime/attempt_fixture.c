/*
 * What tests of attempts share: see attempt_fixture.h.
 */
#include "attempt_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <os/clock.h>
#include <os/file.h>

#include <run-core/str.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATIENCE_MS = 60000, LOG_LIMIT = 256 * 1024 * 1024 };

int fixture_setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    const char *build = getenv("RUN_CORE_BUILD");
    RC_STR_AUTO plugins = rc_strf("%s/test-plugins", build ? build : ".");

    setenv("RUN_CORE_PLUGIN_PATH", plugins, 1);
    snprintf(fixture->folder, sizeof(fixture->folder), "/tmp/run-core-attempt-XXXXXX");
    if (!mkdtemp(fixture->folder))
        return -1;
    setenv("RUN_CORE_STATE", fixture->folder, 1);
    fixture->arena = (struct core_arena)CORE_ARENA_INIT;
    core_problems_init(&fixture->problems);
    fixture->config = core_config_load(NULL, &fixture->problems);
    fixture->job = (struct core_job_settings){ .name = "job",
                                               .kill_after_ms = 200,
                                               .concurrency = CORE_ALLOW };
    fixture->request = (struct core_attempt_request){
        .request = { .config = fixture->config,
                     .job = &fixture->job,
                     .log_level = RC_LOG_INFO,
                     .now_unix_ms = 1774742400123 },
        .run_id = "20260329t000000-00000001",
        .folder = fixture->folder,
        .number = 1,
        .slot_unix_ms = 1774742400000,
    };
    *state = fixture;
    return 0;
}

int fixture_teardown(void **state)
{
    struct fixture *fixture = *state;
    struct rc_error err = RC_ERROR_INIT;

    int failed = core_tree_remove(fixture->folder, &err) != RC_OK;

    core_config_free(fixture->config);
    core_problems_clear(&fixture->problems);
    core_arena_clear(&fixture->arena);
    free(fixture);
    return failed;
}

void fixture_set(struct fixture *fixture, const char *word)
{
    fixture->request.request.set =
        core_config_parse_set(&fixture->arena, &word, 1, &fixture->problems);
    assert_int_equal(fixture->problems.count, 0);
}

void fixture_ask(struct fixture *fixture, const char *plugin, const char *action)
{
    fixture->job.plugin = plugin;
    fixture->request.request.plugin = plugin;
    fixture->request.request.action = action;
}

struct core_attempt fixture_start(struct fixture *fixture, const char *plugin, const char *action)
{
    struct core_attempt attempt;
    struct rc_error err = RC_ERROR_INIT;

    fixture_ask(fixture, plugin, action);
    if (core_attempt_start(&fixture->request, &attempt, &err))
        fail_msg("%s: %s", err.context, err.cause);
    return attempt;
}

const struct core_attempt_result *fixture_end(struct core_attempt *attempt)
{
    static struct core_attempt_result result;
    struct pollfd end = { .fd = attempt->pidfd, .events = POLLIN };

    core_attempt_result_clear(&result);
    assert_int_equal(poll(&end, 1, PATIENCE_MS), 1);
    core_attempt_result(attempt, &result);
    core_attempt_close(attempt, /* settled = */ true);
    return &result;
}

const struct core_attempt_result *fixture_run(struct fixture *fixture, const char *plugin,
                                              const char *action)
{
    struct core_attempt attempt = fixture_start(fixture, plugin, action);

    return fixture_end(&attempt);
}

const char *fixture_log(const struct fixture *fixture, bool older)
{
    static struct rc_buf text = RC_BUF_INIT(LOG_LIMIT);
    RC_BUF_AUTO(path, 4096);
    struct rc_error err = RC_ERROR_INIT;

    rc_buf_clear(&text);
    core_attempt_log_path(fixture->folder, fixture->request.number, older, &path);
    return core_file_read(path.data, &text, &err) == RC_OK ? text.data : "";
}

void fixture_wait_for(const struct fixture *fixture, const char *text)
{
    int64_t until_mono_ms = core_clock_mono_ms() + PATIENCE_MS;

    while (!strstr(fixture_log(fixture, false), text)) {
        assert_true(core_clock_mono_ms() < until_mono_ms);
        core_clock_sleep_ms(2);
    }
}

bool fixture_is_gone(pid_t pid)
{
    int64_t until_mono_ms = core_clock_mono_ms() + PATIENCE_MS;

    while (kill(pid, 0) == 0 || errno != ESRCH) {
        if (core_clock_mono_ms() >= until_mono_ms)
            return false;
        core_clock_sleep_ms(2);
    }
    return true;
}

void fixture_contains(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("'%s' does not say '%s'", text, part);
}
