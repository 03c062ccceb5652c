/*
 * The outbox: what a notification says, that it is made once, and that it is there until it is
 * delivered, by one at a time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "avro_json.h"
#include "state/jobs.h"
#include "state/outbox.h"
#include "state_world.h"

#include <run-core/str.h>

#include <stdio.h>
#include <stdlib.h>

#define MINUTE_MS INT64_C(60000)
#define HOUR_MS (60 * MINUTE_MS)

static void add(struct state_world *world, const struct sdrs_event *event)
{
    struct rc_error err = RC_ERROR_INIT;

    expect_ok(sdrs_outbox_add(&world->state, event, &err));
}

static void add_about(struct state_world *world, const char *directory, const char *once)
{
    add(world, &(struct sdrs_event){ .kind = SDRS_EVENT_INACTIVE,
                                     .batch = "batch",
                                     .project = "p",
                                     .bucket = "gs://b/",
                                     .directory = directory,
                                     .trigger = "batch",
                                     .at_unix_ms = 0,
                                     .once = once });
}

/* The id of the message that is taken, or 0. */
static int64_t take(struct state_world *world)
{
    struct rc_error err = RC_ERROR_INIT;
    struct sdrs_message message;
    int64_t id;

    expect_ok(sdrs_outbox_take(&world->state, &message, &err));
    id = message.id;
    sdrs_message_clear(&message);
    return id;
}

static int64_t waiting(struct state_world *world)
{
    struct rc_error err = RC_ERROR_INIT;
    int64_t count;

    expect_ok(sdrs_outbox_waiting(&world->state, &count, &err));
    return count;
}

/* ---- what it says ---------------------------------------------------------------------------- */

static const char *text_of(json_t *record, const char *name)
{
    return json_string_value(json_object_get(record, name));
}

/* The record of the only message, by its schema. */
static json_t *take_record(struct state_world *world, const char *name)
{
    struct rc_error err = RC_ERROR_INIT;
    json_t *schemas = avro_schemas("sdrs/events.json"), *record, *context;
    struct sdrs_message message;

    expect_ok(sdrs_outbox_take(&world->state, &message, &err));
    assert_true(message.id > 0);
    record = avro_expect_record(schemas, name, message.json);
    context = json_object_get(record, "context");
    assert_string_equal(text_of(context, "uuid"), message.uuid);
    assert_string_equal(text_of(context, "name"), name);
    assert_string_equal(text_of(context, "version"), "1.0");
    assert_string_equal(text_of(record, "version"), "1.0");
    assert_true(json_is_null(json_object_get(context, "group")));
    assert_true(json_is_null(json_object_get(context, "attributes")));
    assert_in_range(json_integer_value(json_object_get(context, "timestamp")),
                    world->job->now_unix_ms, world->job->now_unix_ms + HOUR_MS);
    json_decref(schemas);
    sdrs_message_clear(&message);
    return record;
}

static void test_an_inactive_dataset_is_told_as_ever(void **state)
{
    struct state_world *world = *state;
    json_t *record;

    add(world, &(struct sdrs_event){ .kind = SDRS_EVENT_INACTIVE,
                                     .batch = "a \"batch\"",
                                     .project = "p",
                                     .bucket = "gs://events/",
                                     .directory = "gs://events/clicks/2019/01/",
                                     .trigger = "a \"batch\"",
                                     .at_unix_ms = INT64_C(1552195800000) });
    record = take_record(world, "InactiveDatasetNotificationEvent");
    assert_string_equal(
        text_of(json_object_get(json_object_get(record, "context"), "correlationID"), "string"),
        "a \"batch\"");
    assert_string_equal(text_of(record, "projectId"), "p");
    assert_string_equal(text_of(record, "bucket"), "events");
    assert_string_equal(text_of(record, "directory"), "gs://events/clicks/2019/01/");
    assert_string_equal(text_of(record, "trigger"), "a \"batch\"");
    assert_string_equal(text_of(record, "inactiveAt"), "2019-03-10T05:30:00Z");
    json_decref(record);
}

static void test_what_was_deleted_is_told_as_ever(void **state)
{
    struct state_world *world = *state;
    json_t *record;

    add(world, &(struct sdrs_event){ .kind = SDRS_EVENT_DELETED,
                                     .project = "p",
                                     .bucket = "file:///srv/lake/events/",
                                     .directory = "file:///srv/lake/events/\xff\x01",
                                     .trigger = ".delete_this_folder",
                                     .at_unix_ms = INT64_C(1552195800007) });
    record = take_record(world, "SuccessDeleteNotificationEvent");
    assert_true(json_is_null(json_object_get(json_object_get(record, "context"), "correlationID")));
    assert_string_equal(text_of(record, "bucket"), "events");
    assert_string_equal(text_of(record, "directory"), "file:///srv/lake/events/\xef\xbf\xbd\x01");
    assert_string_equal(text_of(record, "trigger"), ".delete_this_folder");
    assert_string_equal(text_of(record, "deletedAt"), "2019-03-10T05:30:00.007Z");
    json_decref(record);
}

static void test_the_bucket_is_its_bare_name(void **state)
{
    static const struct {
        const char *given, *told;
    } buckets[] = { { "events", "events" },
                    { "s3://events/", "events" },
                    { "gs://e", "e" },
                    { "", "" },
                    { "/", "" },
                    { NULL, "" } };
    struct state_world *world = *state;
    struct rc_error err = RC_ERROR_INIT;

    for (size_t i = 0; i < RC_ARRAY_LEN(buckets); i++) {
        json_t *record;

        add(world, &(struct sdrs_event){ .kind = SDRS_EVENT_DELETED, .bucket = buckets[i].given });
        record = take_record(world, "SuccessDeleteNotificationEvent");
        assert_string_equal(text_of(record, "bucket"), buckets[i].told);
        json_decref(record);
        expect_ok(sdrs_outbox_delivered(&world->state, (int64_t)i + 1, &err));
    }
}

static void test_nobody_is_told_unless_somebody_listens(void **state)
{
    struct sdrs_config config = { 0 };

    (void)state;
    assert_false(sdrs_events_wanted(&config));
    config.topic = config.webhook_url = "";
    assert_false(sdrs_events_wanted(&config));
    config.topic = "projects/p/topics/t";
    assert_true(sdrs_events_wanted(&config));
    config = (struct sdrs_config){ .webhook_url = "http://127.0.0.1/" };
    assert_true(sdrs_events_wanted(&config));
}

/* ---- once ------------------------------------------------------------------------------------ */

static void test_an_event_of_a_key_is_made_once(void **state)
{
    struct state_world *world = *state;
    struct rc_error err = RC_ERROR_INIT;
    int64_t forgotten;

    add_about(world, "d/1/", "7 d/1/\xff");
    add_about(world, "d/1/", "7 d/1/\xff");
    assert_int_equal(waiting(world), 1);
    expect_ok(sdrs_outbox_delivered(&world->state, take(world), &err));
    add_about(world, "d/1/", "7 d/1/\xff");
    assert_int_equal(waiting(world), 0);
    add_about(world, "d/1/", NULL);
    add_about(world, "d/1/", NULL);
    add_about(world, "d/1/", "8 d/1/");
    assert_int_equal(waiting(world), 3);

    /* A key is kept as long as somebody asks for its event. */
    state_wait(world, HOUR_MS);
    add_about(world, "d/1/", "8 d/1/");
    expect_ok(sdrs_outbox_forget(&world->state, world->job->now_unix_ms, &forgotten, &err));
    assert_int_equal(forgotten, 1);
    add_about(world, "d/1/", "8 d/1/");
    assert_int_equal(waiting(world), 3);
    add_about(world, "d/1/", "7 d/1/\xff");
    assert_int_equal(waiting(world), 4);
}

static enum rc_code add_and_fail(struct sdrs_state *state, void *context, struct rc_error *err)
{
    const struct sdrs_event *event = context;

    if (sdrs_outbox_add(state, event, err))
        return err->code;
    return rc_fail(err, RC_FAILED, "no");
}

static void test_what_was_not_recorded_is_not_told(void **state)
{
    struct state_world *world = *state;
    struct rc_error err = RC_ERROR_INIT;
    struct sdrs_event event = { .directory = "d/", .once = "d/" };

    assert_int_equal(sdrs_state_transact(&world->state, add_and_fail, &event, &err), RC_FAILED);
    assert_int_equal(waiting(world), 0);
    add(world, &event);
    assert_int_equal(waiting(world), 1);
}

/* ---- delivering ------------------------------------------------------------------------------ */

static void test_a_message_has_one_deliverer(void **state)
{
    struct state_world *world = *state;
    struct rc_error err = RC_ERROR_INIT;
    struct sdrs_message message;

    assert_int_equal(take(world), 0);
    add_about(world, "1", NULL);
    add_about(world, "2", NULL);
    assert_int_equal(take(world), 1);
    assert_int_equal(take(world), 2);
    assert_int_equal(take(world), 0);
    expect_ok(sdrs_outbox_delivered(&world->state, 2, &err));
    assert_int_equal(waiting(world), 1);
    /* Who has it may have died: after a minute it is the next one's. */
    state_wait(world, 2 * MINUTE_MS);
    expect_ok(sdrs_outbox_take(&world->state, &message, &err));
    assert_int_equal(message.id, 1);
    assert_int_equal(message.attempts, 2);
    sdrs_message_clear(&message);
    expect_ok(sdrs_outbox_delivered(&world->state, 1, &err));
    expect_ok(sdrs_outbox_delivered(&world->state, 1, &err)); /* by the one that was slow */
    assert_int_equal(waiting(world), 0);
    add_about(world, "3", NULL);
    assert_int_equal(take(world), 3);
}

static void test_a_failure_is_put_off_for_longer_and_longer(void **state)
{
    static const int64_t pauses_s[] = { 30, 60, 120, 240, 480, 960, 1920, 3600, 3600 };
    struct state_world *world = *state;
    struct rc_error err = RC_ERROR_INIT;

    add_about(world, "1", NULL);
    for (size_t i = 0; i < RC_ARRAY_LEN(pauses_s); i++) {
        assert_int_equal(take(world), 1);
        expect_ok(sdrs_outbox_failed(&world->state, 1, "no \xff", &err));
        state_wait(world, pauses_s[i] * 1000 - 10000);
        assert_int_equal(take(world), 0);
        state_wait(world, 20000);
    }
    assert_int_equal(state_number(world, "SELECT count(*) FROM outbox WHERE message IS NOT NULL"),
                     1);
    /* One that fails does not keep the others. */
    add_about(world, "2", NULL);
    assert_int_equal(take(world), 1);
    expect_ok(sdrs_outbox_failed(&world->state, 1, "no", &err));
    assert_int_equal(take(world), 2);
    expect_ok(sdrs_outbox_failed(&world->state, 99, "nothing is there", &err));
}

static void test_no_message_waits_for_a_clock_that_was_wrong(void **state)
{
    struct state_world *world = *state;
    int64_t now_unix_ms = world->job->now_unix_ms;

    world->job->now_unix_ms += 10000 * HOUR_MS;
    add_about(world, "1", NULL);
    assert_int_equal(take(world), 1);
    world->job->now_unix_ms = now_unix_ms;
    assert_int_equal(take(world), 1);
    assert_int_equal(take(world), 0);
}

static void test_a_dry_run_delivers_nothing(void **state)
{
    struct state_world *world = *state;

    add_about(world, "1", NULL);
    world->job->dry_run = true;
    assert_int_equal(take(world), 0);
    add_about(world, "2", "key");
    world->job->dry_run = false;
    assert_int_equal(waiting(world), 1);
    assert_int_equal(take(world), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(test_an_inactive_dataset_is_told_as_ever),
        EACH(test_what_was_deleted_is_told_as_ever),
        EACH(test_the_bucket_is_its_bare_name),
        cmocka_unit_test(test_nobody_is_told_unless_somebody_listens),
        EACH(test_an_event_of_a_key_is_made_once),
        EACH(test_what_was_not_recorded_is_not_told),
        EACH(test_a_message_has_one_deliverer),
        EACH(test_a_failure_is_put_off_for_longer_and_longer),
        EACH(test_no_message_waits_for_a_clock_that_was_wrong),
        { "a dry run delivers nothing", test_a_dry_run_delivers_nothing, state_in_memory,
          state_tear_down, NULL },
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
