/*
 * Google Cloud Storage that fails: what is read and written is right, or the failure is clear.
 */
#include "gcs_fixture.h"

#include <os/clock.h>
#include <os/digest.h>

#include <run-core/str.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { LEN = 700001, CHUNK = 262144 };

static struct gcs_world world;
static char data[LEN];

static int open_world(void **state)
{
    static const struct core_store_settings small = { .part_bytes = CHUNK };
    uint32_t number = 7;

    (void)state;
    for (size_t i = 0; i < LEN; i++) {
        number = number * 1664525 + 1013904223;
        data[i] = (char)(number >> 24);
    }
    gcs_world_open(&world, &small);
    return 0;
}

static int close_world(void **state)
{
    (void)state;
    gcs_world_close(&world);
    return 0;
}

/* Replaces what was there of rules. */
static void let(const char *rules)
{
    gcs_control("{\"clear\": true}");
    gcs_control(rules);
}

static enum rc_code put(const char *name, size_t len, const char *if_match, struct rc_error *err)
{
    RC_STR_AUTO where = gcs_uri(name);

    return core_storage_put(world.storage, where, data, len, if_match, err);
}

/* By a writer, so in a session. */
static enum rc_code write_long(const char *name, const char *if_match, struct rc_error *err)
{
    RC_STR_AUTO where = gcs_uri(name);
    struct rc_writer *writer;
    enum rc_code code;

    if (core_storage_create(world.storage, where, if_match, &writer, err))
        return err->code;
    code = core_writer_write(writer, data, LEN, err);
    if (!code)
        code = core_writer_commit(writer, err);
    core_writer_close(writer);
    return code;
}

static enum rc_code get(const char *name, struct rc_buf *body, struct rc_error *err)
{
    RC_STR_AUTO where = gcs_uri(name);

    rc_buf_reset(body);
    return core_storage_get(world.storage, where, body, err);
}

static void expect_content(const char *name, size_t len)
{
    RC_BUF_AUTO(body, 1 << 20);
    struct rc_error err = RC_ERROR_INIT;

    expect_ok(get(name, &body, &err));
    assert_int_equal(body.len, len);
    assert_memory_equal(body.data, data, len);
}

static void expect_nothing(const char *name)
{
    RC_STR_AUTO where = gcs_uri(name);
    struct rc_error err = RC_ERROR_INIT;
    struct rc_stat stat;

    gcs_control("{\"clear\": true}");
    assert_int_equal(core_storage_stat(world.storage, where, &stat, &err), RC_NOT_FOUND);
}

static void expect_in(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("'%s' is not in '%s'", part, text);
}

/* ---- reading --------------------------------------------------------------------------------- */

static void reads_through_cuts(void **state)
{
    static const char *const rules[] = {
        "{\"rules\": [{\"target\": \"alt=media\", \"cut_reply_bytes\": 0, \"times\": 2}]}",
        "{\"rules\": [{\"target\": \"alt=media\", \"cut_reply_bytes\": 100}]}",
        "{\"rules\": [{\"target\": \"alt=media\", \"cut_reply_body_bytes\": 0}]}",
        "{\"rules\": [{\"target\": \"alt=media\", \"cut_reply_body_bytes\": 1}]}",
        "{\"rules\": [{\"target\": \"alt=media\", \"cut_reply_body_bytes\": 100000, \"times\": "
        "5}]}",
        "{\"rules\": [{\"target\": \"alt=media\", \"cut_reply_body_bytes\": 700000}]}",
        "{\"rules\": [{\"target\": \"alt=media\", \"cut_reply_body_bytes\": 300000, \"reset\": "
        "true, \"times\": 2}]}",
        "{\"rules\": [{\"target\": \"alt=media\", \"status\": 503, \"times\": 3}]}",
        "{\"rules\": [{\"target\": \"alt=media\", \"status\": 429, \"headers\": {\"Retry-After\": "
        "\"0\"}, \"times\": 2}]}",
        "{\"settings\": {\"expire_tokens\": true}}",
        "{\"rules\": [{\"target\": \"alt=media\", \"cut_reply_body_bytes\": 300000}, {\"target\": "
        "\"alt=media\", \"status\": 503, \"times\": 2}]}",
        "{\"rules\": [{\"target\": \"alt=media\", \"cut_reply_body_bytes\": 300000}], "
        "\"settings\": {\"expire_tokens\": true}}",
    };
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    expect_ok(put("cut", LEN, NULL, &err));
    for (size_t i = 0; i < RC_ARRAY_LEN(rules); i++) {
        let(rules[i]);
        expect_content("cut", LEN);
    }
}

static void gives_up_where_no_byte_comes(void **state)
{
    RC_BUF_AUTO(body, 1 << 20);
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    expect_ok(put("dead", LEN, NULL, &err));
    let("{\"rules\": [{\"target\": \"alt=media\", \"cut_reply_body_bytes\": 0, \"times\": null}]}");
    assert_int_equal(get("dead", &body, &err), RC_UNAVAILABLE);
    assert_int_equal(body.len, 0);
}

static void reads_one_object_and_not_two_halves(void **state)
{
    RC_STR_AUTO where = gcs_uri("swapped");
    RC_STR_AUTO piece = rc_malloc(LEN);
    struct rc_error err = RC_ERROR_INIT;
    struct rc_reader *reader;
    enum rc_code code = RC_OK;
    size_t got, total = 0;

    (void)state;
    expect_ok(put("swapped", LEN, NULL, &err));
    let("{\"rules\": [{\"target\": \"alt=media\", \"cut_reply_body_bytes\": 300000}]}");
    expect_ok(core_storage_open(world.storage, where, 0, -1, &reader, &err));
    data[LEN - 1] ^= 1;
    expect_ok(put("swapped", LEN, NULL, &err));
    do {
        code = core_reader_read(reader, piece, LEN, &got, &err);
        total += code ? 0 : got;
    } while (!code && got > 0);
    assert_int_equal(code, RC_CONFLICT);
    assert_true(total <= 300000);
    expect_in(err.cause, "replaced or removed while it was read");
    /* And it stays that way. */
    assert_int_equal(core_reader_read(reader, piece, LEN, &got, &err), RC_FAILED);
    core_reader_close(reader);
}

static void hands_over_no_damaged_object(void **state)
{
    static const char *const rules[] = {
        "{\"rules\": [{\"target\": \"alt=media\", \"flip_reply_byte\": 0}]}",
        "{\"rules\": [{\"target\": \"alt=media\", \"flip_reply_byte\": 700000}]}",
        ("{\"rules\": [{\"target\": \"alt=media\", \"set_headers\": {\"X-Goog-Hash\": "
         "\"crc32c=AAAAAA==\"}}]}"),
    };
    RC_BUF_AUTO(body, 1 << 20);
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    expect_ok(put("flipped", LEN, NULL, &err));
    for (size_t i = 0; i < RC_ARRAY_LEN(rules); i++) {
        let(rules[i]);
        assert_int_equal(get("flipped", &body, &err), RC_CORRUPT);
        expect_in(err.cause, "CRC-32C");
        assert_int_equal(body.len, 0);
    }
    let("{\"rules\": [{\"target\": \"alt=media\", \"drop_headers\": [\"X-Goog-Generation\"]}]}");
    assert_int_equal(get("flipped", &body, &err), RC_CORRUPT);
}

/* ---- writing in one request ------------------------------------------------------------------ */

static void writes_at_once_through_failures(void **state)
{
    static const char *const rules[] = {
        "{\"rules\": [{\"target\": \"uploadType=multipart\", \"status\": 503, \"times\": 3}]}",
        "{\"rules\": [{\"target\": \"uploadType=multipart\", \"status\": 429, \"times\": 2}]}",
        "{\"rules\": [{\"target\": \"uploadType=multipart\", \"status\": 403, \"times\": 2, "
        "\"body\": \"{\\\"error\\\":{\\\"errors\\\":[{\\\"reason\\\":\\\"rateLimitExceeded\\\"}]}}"
        "\"}]}",
        "{\"rules\": [{\"target\": \"uploadType=multipart\", \"cut_request_body_bytes\": 10}]}",
        "{\"rules\": [{\"target\": \"uploadType=multipart\", \"cut_request_body_bytes\": 100000}]}",
        "{\"rules\": [{\"target\": \"uploadType=multipart\", \"cut_reply_bytes\": 0}]}",
        "{\"rules\": [{\"target\": \"uploadType=multipart\", \"cut_reply_body_bytes\": 20}]}",
        /* Damaged on the way there: the server refuses, and gets it once more. */
        "{\"rules\": [{\"target\": \"uploadType=multipart\", \"flip_request_byte\": 1000}]}",
        "{\"settings\": {\"expire_tokens\": true}}",
    };
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(rules); i++) {
        RC_STR_AUTO name = rc_strf("once%zu", i);

        let(rules[i]);
        expect_ok(put(name, CHUNK, NULL, &err));
        expect_content(name, CHUNK);
    }
}

static void leaves_no_object_that_is_not_what_was_sent(void **state)
{
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    let("{\"rules\": [{\"target\": \"uploadType=multipart\", \"flip_request_byte\": 1000, "
        "\"times\": null}]}");
    assert_int_equal(put("wrong", CHUNK, NULL, &err), RC_CORRUPT);
    expect_nothing("wrong");

    /* A server that has something else than it was sent, and does not notice. */
    let("{\"rules\": [{\"target\": \"uploadType=multipart\", \"replace\": "
        "[[\"\\\"crc32c\\\":\\\"[^\\\"]*\\\"\", \"\\\"crc32c\\\":\\\"AAAAAA==\\\"\"]]}]}");
    assert_int_equal(put("wrong", CHUNK, NULL, &err), RC_CORRUPT);
    expect_in(err.cause, "CRC-32C");
    expect_nothing("wrong");
    let("{\"rules\": [{\"target\": \"upload_id=\", \"skip\": 2, \"replace\": "
        "[[\"\\\"size\\\":\\\"[^\\\"]*\\\"\", \"\\\"size\\\":\\\"5\\\"\"]]}]}");
    assert_int_equal(write_long("wrong", NULL, &err), RC_CORRUPT);
    expect_nothing("wrong");
}

static void says_what_a_refusal_says(void **state)
{
    RC_STR_AUTO where = gcs_uri("denied");
    struct rc_error err = RC_ERROR_INIT;
    struct rc_stat stat;

    (void)state;
    let("{\"rules\": [{\"target\": \"denied\", \"status\": 403, \"headers\": "
        "{\"X-GUploader-UploadID\": \"ABC123\"}, \"body\": \"{\\\"error\\\":{\\\"code\\\":403,"
        "\\\"message\\\":\\\"x@y does not have storage.objects.get access\\\",\\\"errors\\\":"
        "[{\\\"reason\\\":\\\"forbidden\\\"}]}}\"}]}");
    assert_int_equal(core_storage_stat(world.storage, where, &stat, &err), RC_DENIED);
    expect_in(err.cause, "HTTP 403 forbidden: x@y does not have storage.objects.get access "
                         "(request ABC123); grant the account a role");
    expect_in(err.context, "look at 'gs://");
    expect_in(err.context, "denied'");
}

/* ---- sessions -------------------------------------------------------------------------------- */

static void writes_a_session_through_failures(void **state)
{
    static const char *const rules[] = {
        "{\"rules\": [{\"target\": \"uploadType=resumable$\", \"status\": 503, \"times\": 2}]}",
        "{\"rules\": [{\"target\": \"uploadType=resumable&fields\", \"cut_reply_bytes\": 0}]}",
        "{\"rules\": [{\"target\": \"upload_id=\", \"status\": 503, \"times\": 2}]}",
        "{\"rules\": [{\"target\": \"upload_id=\", \"skip\": 1, \"status\": 429, \"times\": 2}]}",
        "{\"rules\": [{\"target\": \"upload_id=\", \"cut_request_body_bytes\": 0}]}",
        "{\"rules\": [{\"target\": \"upload_id=\", \"cut_request_body_bytes\": 1000}]}",
        "{\"rules\": [{\"target\": \"upload_id=\", \"skip\": 1, \"cut_request_body_bytes\": "
        "262143}]}",
        "{\"rules\": [{\"target\": \"upload_id=\", \"cut_reply_bytes\": 0, \"times\": 3}]}",
        /* The answer to the last chunk is lost, and then that to the question. */
        "{\"rules\": [{\"target\": \"upload_id=\", \"skip\": 2, \"cut_reply_bytes\": 0}]}",
        "{\"rules\": [{\"target\": \"upload_id=\", \"skip\": 2, \"cut_reply_bytes\": 0, \"times\": "
        "3}]}",
        "{\"rules\": [{\"target\": \"upload_id=\", \"skip\": 2, \"cut_reply_body_bytes\": 9}]}",
        "{\"rules\": [{\"target\": \"upload_id=\", \"skip\": 2, \"cut_request_body_bytes\": 77}]}",
        "{\"settings\": {\"lost_sessions\": 1}}", /* nothing was sent yet */
        "{\"settings\": {\"expire_tokens\": true}}",
    };
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(rules); i++) {
        RC_STR_AUTO name = rc_strf("session%zu", i);

        let(rules[i]);
        expect_ok(write_long(name, NULL, &err));
        expect_content(name, LEN);
    }
}

static void says_so_where_a_session_is_lost(void **state)
{
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    let("{\"rules\": [{\"target\": \"upload_id=\", \"skip\": 2, \"status\": 410}]}");
    assert_int_equal(write_long("lost", NULL, &err), RC_UNAVAILABLE);
    expect_in(err.cause, "has lost the upload after 524288 bytes");
    expect_nothing("lost");

    /* The server forgets bytes that it had. */
    let("{\"rules\": [{\"target\": \"upload_id=\", \"skip\": 1, \"status\": 308, \"headers\": "
        "{\"Range\": \"bytes=0-99\"}}]}");
    assert_int_equal(write_long("lost", NULL, &err), RC_UNAVAILABLE);
    expect_in(err.cause, "has lost 262044 bytes");
    let("{\"rules\": [{\"target\": \"upload_id=\", \"status\": 308, \"headers\": "
        "{\"Range\": \"bytes=0-9999999\"}}]}");
    assert_int_equal(write_long("lost", NULL, &err), RC_CORRUPT);
    let("{\"rules\": [{\"target\": \"upload_id=\", \"status\": 308, \"headers\": "
        "{\"Range\": \"bytes=x\"}}]}");
    assert_int_equal(write_long("lost", NULL, &err), RC_CORRUPT);
    let("{\"rules\": [{\"target\": \"uploadType=resumable&fields\", \"drop_headers\": "
        "[\"Location\"]}, {\"target\": \"uploadType=resumable\", \"drop_headers\": "
        "[\"Location\"]}]}");
    assert_int_equal(write_long("lost", NULL, &err), RC_CORRUPT);
    expect_nothing("lost");
}

static void refuses_a_session_whose_content_was_damaged(void **state)
{
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    let("{\"rules\": [{\"target\": \"upload_id=\", \"skip\": 1, \"flip_request_byte\": 5}]}");
    assert_int_equal(write_long("damaged", NULL, &err), RC_CORRUPT);
    expect_nothing("damaged");
}

/* What begins a session has no checksum, so a name that was garbled is seen at the end. */
static void tells_an_object_under_another_name(void **state)
{
    static const char name[] = "rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrr";
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    let("{\"rules\": [{\"target\": \"uploadType=resumable\", \"flip_request_byte\": 24}]}");
    assert_int_equal(write_long(name, NULL, &err), RC_CORRUPT);
    assert_non_null(strstr(err.cause, "the server has stored it as 'r"));
    expect_nothing(name);
}

/* ---- conditions ------------------------------------------------------------------------------ */

/* Whatever answer is lost, who was first is known for sure. */
static void is_first_only_once(void **state)
{
    static const char *const rules[] = {
        "{\"rules\": []}",
        "{\"rules\": [{\"target\": \"uploadType=resumable\", \"cut_reply_bytes\": 0}]}",
        "{\"rules\": [{\"target\": \"upload_id=\", \"cut_reply_bytes\": 0}]}",
        "{\"rules\": [{\"target\": \"upload_id=\", \"cut_reply_bytes\": 0, \"times\": 3}]}",
        "{\"rules\": [{\"target\": \"upload_id=\", \"status\": 503, \"times\": 2}]}",
        "{\"rules\": [{\"target\": \"upload_id=\", \"cut_request_body_bytes\": 3}]}",
    };
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(rules); i++) {
        RC_STR_AUTO name = rc_strf("first%zu", i);

        let(rules[i]);
        expect_ok(put(name, 100, RC_IF_ABSENT, &err));
        let(rules[i]);
        assert_int_equal(put(name, 100, RC_IF_ABSENT, &err), RC_CONFLICT);
        let(rules[i]);
        assert_int_equal(write_long(name, RC_IF_ABSENT, &err), RC_CONFLICT);
        expect_content(name, 100);
    }
    /* A session that is lost with its condition may have ended: nobody can tell. */
    let("{\"rules\": [{\"target\": \"upload_id=\", \"status\": 410}]}");
    assert_int_equal(put("unsure", 100, RC_IF_ABSENT, &err), RC_UNAVAILABLE);
}

/* ---- listings and copies --------------------------------------------------------------------- */

static void takes_no_listing_that_makes_no_sense(void **state)
{
    static const char *const rules[] = {
        "{\"rules\": [{\"target\": \"/o\\\\?maxResults\", \"status\": 200, \"body\": \"{\"}]}",
        "{\"rules\": [{\"target\": \"/o\\\\?maxResults\", \"status\": 200, \"body\": \"[]\"}]}",
        "{\"rules\": [{\"target\": \"/o\\\\?maxResults\", \"status\": 200, \"body\": "
        "\"{\\\"items\\\":[{}]}\"}]}",
        "{\"rules\": [{\"target\": \"/o\\\\?maxResults\", \"status\": 200, \"body\": "
        "\"{\\\"prefixes\\\":[[]]}\"}]}",
        /* The same page for ever. */
        "{\"rules\": [{\"target\": \"/o\\\\?maxResults\", \"status\": 200, \"times\": null, "
        "\"body\": \"{\\\"nextPageToken\\\":\\\"x\\\"}\"}]}",
        /* Not what was asked for; out of order; twice. */
        "{\"rules\": [{\"target\": \"/o\\\\?maxResults\", \"replace\": [[\"l/b\", \"m/b\"]]}]}",
        "{\"rules\": [{\"target\": \"/o\\\\?maxResults\", \"replace\": [[\"l/b\", \"l/0\"]]}]}",
        "{\"rules\": [{\"target\": \"/o\\\\?maxResults\", \"replace\": [[\"l/b\", \"l/a\"]]}]}",
    };
    RC_STR_AUTO prefix = gcs_uri("l/");
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    expect_ok(put("l/a", 1, NULL, &err));
    expect_ok(put("l/b", 1, NULL, &err));
    for (size_t i = 0; i < RC_ARRAY_LEN(rules); i++) {
        const struct rc_object *object = NULL;
        struct rc_listing *listing;
        enum rc_code code;

        let(rules[i]);
        code = core_storage_list(world.storage, prefix, NULL, &listing, &err);
        if (code) {
            assert_int_equal(code, RC_CORRUPT);
            expect_in(err.cause, "list 'gs://");
            continue;
        }
        do
            code = core_listing_next(listing, &object, &err);
        while (!code && object);
        assert_int_equal(code, RC_CORRUPT);
        expect_in(err.cause, "list 'gs://");
        assert_int_equal(core_listing_next(listing, &object, &err), RC_FAILED);
        core_listing_close(listing);
    }
}

static void lists_through_failures(void **state)
{
    static const char *const rules[] = {
        "{\"rules\": [{\"target\": \"maxResults\", \"status\": 503, \"times\": 3}]}",
        "{\"rules\": [{\"target\": \"pageToken\", \"cut_reply_body_bytes\": 30, \"times\": 2}]}",
        "{\"rules\": [{\"target\": \"pageToken\", \"cut_reply_bytes\": 0, \"times\": 2}]}",
        "{\"settings\": {\"expire_tokens\": true}}",
    };
    RC_STR_AUTO prefix = gcs_uri("many/");
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    for (int i = 0; i < 9; i++) {
        RC_STR_AUTO name = rc_strf("many/%d", i);
        expect_ok(put(name, 1, NULL, &err));
    }
    gcs_control("{\"settings\": {\"page_limit\": 2}}");
    for (size_t i = 0; i < RC_ARRAY_LEN(rules); i++) {
        const struct rc_object *object = NULL;
        struct rc_listing *listing;
        size_t count = 0;

        let(rules[i]);
        expect_ok(core_storage_list(world.storage, prefix, NULL, &listing, &err));
        for (;; count++) {
            expect_ok(core_listing_next(listing, &object, &err));
            if (!object)
                break;
        }
        core_listing_close(listing);
        assert_int_equal(count, 9);
    }
    gcs_control("{\"settings\": {\"page_limit\": 1000}}");
}

static void copies_through_failures(void **state)
{
    static const char *const rules[] = {
        "{\"rules\": [{\"target\": \"rewriteTo\", \"status\": 503, \"times\": 2}]}",
        "{\"rules\": [{\"target\": \"rewriteTo\", \"cut_reply_bytes\": 0, \"times\": 2}]}",
        "{\"rules\": [{\"target\": \"rewriteTo\", \"cut_reply_body_bytes\": 7, \"times\": 2}]}",
        "{\"settings\": {\"expire_tokens\": true}}",
    };
    RC_STR_AUTO from = gcs_uri("copy/from");
    const struct core_copy_options absent = { .if_match = RC_IF_ABSENT, .size_bytes = -1 };
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    expect_ok(put("copy/from", LEN, NULL, &err));
    for (size_t i = 0; i < RC_ARRAY_LEN(rules); i++) {
        RC_STR_AUTO name = rc_strf("copy/to%zu", i);
        RC_STR_AUTO to = gcs_uri(name);

        let(rules[i]);
        /* A first attempt may have made it; then the condition fails at the second by that. */
        expect_ok(core_storage_copy_with(world.storage, from, NULL, to, &absent, NULL, &err));
        expect_content(name, LEN);
        let(rules[i]);
        expect_ok(core_storage_copy(world.storage, from, to, &err));
    }
    let("{\"rules\": [{\"target\": \"rewriteTo\", \"status\": 200, \"body\": \"{}\"}]}");
    RC_STR_AUTO to = gcs_uri("copy/never");
    assert_int_equal(core_storage_copy(world.storage, from, to, &err), RC_CORRUPT);
    expect_nothing("copy/never");
}

static void stops_when_it_is_told(void **state)
{
    struct core_cancel cancel = CORE_CANCEL_INIT;
    struct core_place_in_store place = gcs_place(&world, "stopped");
    const struct rc_put_options options = { .size_bytes = -1 };
    struct rc_error err = RC_ERROR_INIT;
    struct rc_writer *writer;

    (void)state;
    place.cancel = &cancel;
    expect_ok(core_storage_gcs.create(&place, &options, &writer, &err));
    expect_ok(core_writer_write(writer, data, LEN, &err));
    core_cancel_request(&cancel, RC_CANCELLED);
    assert_int_equal(core_writer_commit(writer, &err), RC_CANCELLED);
    core_writer_close(writer);
    assert_int_equal(gcs_calls("DELETE", "upload_id="), 1); /* nothing is left behind */
    assert_int_equal(core_storage_gcs.put(&place, data, 5, &options, NULL, &err), RC_CANCELLED);
}

/* A removal whose answer was lost is none that finds nothing. */
static void a_lost_answer_to_a_conditional_removal(void **state)
{
    struct rc_remove_options options = { .struct_bytes = sizeof(options) };
    RC_STR_AUTO where = gcs_uri("removed");
    struct rc_error err = RC_ERROR_INIT;
    struct rc_stat stat;

    (void)state;
    expect_ok(core_storage_put(world.storage, where, "1", 1, NULL, &err));
    expect_ok(core_storage_stat(world.storage, where, &stat, &err));
    options.if_match = stat.etag;
    gcs_control("{\"rules\": [{\"method\": \"DELETE\", \"cut_reply_bytes\": 0}]}");
    expect_ok(core_storage_remove_one(world.storage, where, &options, &err));
    assert_int_equal(core_storage_stat(world.storage, where, &stat, &err), RC_NOT_FOUND);
    assert_int_equal(core_storage_remove_one(world.storage, where, &options, &err), RC_CONFLICT);
    expect_ok(core_storage_put(world.storage, where, "2", 1, NULL, &err));
    expect_ok(core_storage_stat(world.storage, where, &stat, &err));
    gcs_control("{\"rules\": [{\"method\": \"DELETE\", \"status\": 503, \"times\": 99}]}");
    assert_int_equal(core_storage_remove_one(world.storage, where, &options, &err), RC_UNAVAILABLE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(reads_through_cuts, open_world, close_world),
        cmocka_unit_test_setup_teardown(gives_up_where_no_byte_comes, open_world, close_world),
        cmocka_unit_test_setup_teardown(reads_one_object_and_not_two_halves, open_world,
                                        close_world),
        cmocka_unit_test_setup_teardown(hands_over_no_damaged_object, open_world, close_world),
        cmocka_unit_test_setup_teardown(writes_at_once_through_failures, open_world, close_world),
        cmocka_unit_test_setup_teardown(leaves_no_object_that_is_not_what_was_sent, open_world,
                                        close_world),
        cmocka_unit_test_setup_teardown(says_what_a_refusal_says, open_world, close_world),
        cmocka_unit_test_setup_teardown(writes_a_session_through_failures, open_world, close_world),
        cmocka_unit_test_setup_teardown(says_so_where_a_session_is_lost, open_world, close_world),
        cmocka_unit_test_setup_teardown(tells_an_object_under_another_name, open_world,
                                        close_world),
        cmocka_unit_test_setup_teardown(refuses_a_session_whose_content_was_damaged, open_world,
                                        close_world),
        cmocka_unit_test_setup_teardown(is_first_only_once, open_world, close_world),
        cmocka_unit_test_setup_teardown(takes_no_listing_that_makes_no_sense, open_world,
                                        close_world),
        cmocka_unit_test_setup_teardown(lists_through_failures, open_world, close_world),
        cmocka_unit_test_setup_teardown(copies_through_failures, open_world, close_world),
        cmocka_unit_test_setup_teardown(stops_when_it_is_told, open_world, close_world),
        cmocka_unit_test_setup_teardown(a_lost_answer_to_a_conditional_removal, open_world,
                                        close_world),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
