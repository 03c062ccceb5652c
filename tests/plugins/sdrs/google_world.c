/*
 * Puts answers up, and takes requests apart.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "google_world.h"

#include <run-core/str.h>

#include <stdlib.h>
#include <string.h>

enum { SUBJECT_BYTES = 64 << 10 };

static char subject[SUBJECT_BYTES];

void google_configure(struct google_world *world, const char *const *settings)
{
    struct rc_error err = RC_ERROR_INIT;

    world->config = (struct sdrs_config){ .path_template = NULL };
    expect_ok(rc_fake_host_bind(world->host, sdrs_options, &world->config, settings, &err));
}

static void open_state(struct google_world *world)
{
    struct rc_error err = RC_ERROR_INIT;

    world->state = (struct sdrs_state){ .job = NULL };
    expect_ok(sdrs_state_open(world->job, &world->state, &err));
}

int google_set_up(void **state)
{
    static const char *const none[] = { NULL };
    struct google_world *world = rc_calloc(1, sizeof(*world));

    world->host = rc_fake_host_new(NULL);
    world->job = rc_fake_host_job(world->host);
    google_configure(world, none);
    open_state(world);
    *state = world;
    return 0;
}

int google_tear_down(void **state)
{
    struct google_world *world = *state;

    sdrs_state_close(&world->state);
    assert_int_equal(rc_fake_host_open_handles(world->host), 0);
    rc_fake_host_free(world->host);
    free(world);
    return 0;
}

void google_next_run(struct google_world *world)
{
    sdrs_state_close(&world->state);
    rc_fake_host_revive(world->host);
    open_state(world);
}

void google_answer(struct google_world *world, const char *text, int times, unsigned status,
                   const char *body)
{
    rc_fake_host_answer_http(world->host, text, times,
                             &(struct rc_fake_http_answer){ .status = status, .body = body });
}

void google_refuse(struct google_world *world, const char *text, int times, unsigned status,
                   const char *word, const char *message)
{
    SDRS_JSON_AUTO body = json_pack("{s:{s:i, s:s, s:s}}", "error", "code", (int)status, "status",
                                    word, "message", message);
    RC_STR_AUTO body_text = json_dumps(body, 0);

    google_answer(world, text, times, status, body_text);
}

size_t google_asked(const struct google_world *world)
{
    return rc_fake_host_http_requests(world->host);
}

const char *google_asked_what(struct google_world *world, size_t index)
{
    struct rc_fake_http_request request = rc_fake_host_http_request(world->host, index);

    (void)snprintf(subject, sizeof(subject), "%s %s", request.method, request.url);
    return subject;
}

json_t *google_asked_body(struct google_world *world, size_t index)
{
    struct rc_fake_http_request request = rc_fake_host_http_request(world->host, index);

    return json_loadb(request.body, request.body_len, 0, NULL);
}

size_t google_count(struct google_world *world, const char *text)
{
    size_t count = 0;

    for (size_t i = 0; i < google_asked(world); i++)
        count += strstr(google_asked_what(world, i), text) != NULL;
    return count;
}

void expect_json(json_t *have, const char *want)
{
    SDRS_JSON_AUTO mine = have;
    SDRS_JSON_AUTO other = json_loads(want, JSON_DECODE_ANY, NULL);
    RC_STR_AUTO text =
        have ? json_dumps(have, JSON_SORT_KEYS | JSON_ENCODE_ANY) : rc_strdup("nothing");

    assert_non_null(other);
    if (!json_equal(mine, other))
        fail_msg("%s, not %s", text, want);
}

void expect_in(const char *text, const char *part)
{
    if (!text || !strstr(text, part))
        fail_msg("'%s' has no '%s'", text ? text : "(null)", part);
}
