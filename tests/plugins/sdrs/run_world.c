/*
 * Runs actions of sdrs in tests, and looks at what became of it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "run_world.h"

#include <state/outbox.h>

#include <stdlib.h>
#include <string.h>

enum { SETTINGS = 64 };

extern const struct rc_plugin *const rc_plugin_descriptor;

void run_bucket(struct run_world *w, const char *name, bool has_shadow)
{
    RC_STR_AUTO bucket = rc_strf(LAKE "%s/", name);
    RC_STR_AUTO shadow = rc_strf(LAKE "%sshadow/", name);

    rc_fake_host_bucket(w->host, bucket)->exists = RC_ANSWER_YES;
    if (has_shadow)
        rc_fake_host_bucket(w->host, shadow)->exists = RC_ANSWER_YES;
}

void run_world_init(struct run_world *w)
{
    *w = (struct run_world){ .host = rc_fake_host_new(NULL) };
    w->job = rc_fake_host_job(w->host);
    assert_true(rc_parse_time("2019-03-10T05:30:00Z", &w->job->now_unix_ms));
    run_bucket(w, "events", /* has_shadow = */ true);
    run_bucket(w, "logs", /* has_shadow = */ true);
}

void run_world_clear(struct run_world *w)
{
    rc_fake_host_free(w->host);
}

void run_put(struct run_world *w, const char *path)
{
    RC_STR_AUTO uri = rc_strf(LAKE "%s", path);

    rc_fake_host_put(w->host, uri, path, strlen(path));
}

void run_put_at(struct run_world *w, const char *path, const char *time)
{
    int64_t now_unix_ms = w->job->now_unix_ms;

    assert_true(rc_parse_time(time, &w->job->now_unix_ms));
    run_put(w, path);
    w->job->now_unix_ms = now_unix_ms;
}

const char *run_objects(struct run_world *w, const char *bucket, struct rc_buf *out)
{
    RC_STR_AUTO prefix = rc_strf(LAKE "%s/", bucket);
    const char *line = rc_fake_host_objects(w->host, prefix);

    rc_buf_reset(out);
    for (const char *end; *line; line = end + 1) {
        end = strchr(line, '\n');
        line += strlen(prefix);
        if (!rc_str_starts(line, ".run-core/"))
            rc_buf_add(out, line, (size_t)(end + 1 - line));
    }
    return out->data;
}

enum rc_code run_action(struct run_world *w, const char *action, const char *const *settings)
{
    const char *all[SETTINGS] = { "file_roots=/lake" };
    size_t count = 1;

    for (; *settings; settings++) {
        assert_true(count + 1 < SETTINGS);
        all[count++] = *settings;
    }
    w->err = (struct rc_error)RC_ERROR_INIT;
    return rc_fake_host_run(w->host, rc_plugin_descriptor, action, all, &w->err);
}

static void open_state(struct run_world *w, struct sdrs_state *state)
{
    if (sdrs_state_open(w->job, state, &w->err))
        fail_msg("%s: %s", w->err.context, w->err.cause);
}

struct sdrs_records run_jobs(struct run_world *w)
{
    const struct sdrs_jobs_query query = { .after = 0 };
    struct sdrs_records records = { 0 };
    struct sdrs_state state;

    open_state(w, &state);
    assert_int_equal(sdrs_jobs_list(&state, &query, &records, &w->err), RC_OK);
    sdrs_state_close(&state);
    return records;
}

int64_t run_waiting(struct run_world *w)
{
    struct sdrs_state state;
    int64_t count;

    open_state(w, &state);
    assert_int_equal(sdrs_outbox_waiting(&state, &count, &w->err), RC_OK);
    sdrs_state_close(&state);
    return count;
}

void assert_has(const char *text, const char *part)
{
    if (!text || !strstr(text, part))
        fail_msg("'%s' does not have '%s'", text, part);
}
