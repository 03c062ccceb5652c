/*
 * The Google Cloud Storage backend against a stand-in that holds every request against Google's own
 * description: the contract of all backends, and what this one can do beside it.
 */
#include "gcs_fixture.h"
#include "storage_conformance.h"

#include <config/json.h>
#include <storage/gcs.h>

#include <run-core/str.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct gcs_world world;

static int open_world(void **state)
{
    (void)state;
    gcs_world_open(&world, NULL);
    return 0;
}

static int close_world(void **state)
{
    (void)state;
    gcs_world_close(&world);
    return 0;
}

static void put(const char *name, const char *text)
{
    RC_STR_AUTO where = gcs_uri(name);
    struct rc_error err = RC_ERROR_INIT;

    expect_ok(core_storage_put(world.storage, where, text, strlen(text), NULL, &err));
}

/* ---- contract -------------------------------------------------------------------------------- */

static void conforms(void **state)
{
    RC_STR_AUTO base = gcs_uri("base");

    (void)state;
    storage_conformance(world.storage, base);
}

static void conforms_in_small_pages_and_small_chunks(void **state)
{
    const struct core_store_settings small = { .part_bytes = 1 };
    RC_STR_AUTO base = gcs_uri("small");
    struct gcs_world tight;

    (void)state;
    gcs_control("{\"settings\": {\"page_limit\": 1, \"empty_pages\": true}}");
    gcs_world_open(&tight, &small);
    storage_conformance(tight.storage, base);
    gcs_world_close(&tight);
    gcs_control("{\"settings\": {\"page_limit\": 1000, \"empty_pages\": false}}");
}

static void keeps_versions(void **state)
{
    struct core_store_settings store = world.store;
    struct core_storage *storage;

    (void)state;
    gcs_control("{\"settings\": {\"check_auth\": false}}");
    gcs_post("/storage/v1/b?project=test",
             "{\"name\": \"history\", \"versioning\": {\"enabled\": true}}");
    store.bucket = "history";
    storage = core_storage_new(&store, 1, world.remote, NULL);
    storage_conformance_versions(storage, "gs://history/base");
    core_storage_free(storage);
}

/* ---- attributes ------------------------------------------------------------------------------ */

static const struct rc_pair metadata[] = { { "mtime", "1700000000.5" },
                                           { "who", "a \"b\" \xc3\xa4" } };
static const struct rc_attributes attributes = {
    .content_type = "text/csv; charset=utf-8",
    .content_encoding = "identity",
    .content_disposition = "attachment; filename=\"x.csv\"",
    .content_language = "cs",
    .cache_control = "no-store",
    .storage_class = "NEARLINE",
    .metadata = { .len = RC_ARRAY_LEN(metadata), .items = metadata },
};

static void expect_attributes(const struct rc_attributes *found)
{
    assert_string_equal(found->content_type, attributes.content_type);
    assert_string_equal(found->content_encoding, attributes.content_encoding);
    assert_string_equal(found->content_disposition, attributes.content_disposition);
    assert_string_equal(found->content_language, attributes.content_language);
    assert_string_equal(found->cache_control, attributes.cache_control);
    assert_string_equal(found->storage_class, attributes.storage_class);
    assert_int_equal(found->metadata.len, attributes.metadata.len);
    for (size_t i = 0; i < attributes.metadata.len; i++) {
        assert_string_equal(found->metadata.items[i].key, metadata[i].key);
        assert_string_equal(found->metadata.items[i].value, metadata[i].value);
    }
}

static void keeps_attributes(void **state)
{
    const struct rc_put_options options = {
        .struct_bytes = sizeof(options),
        .size_bytes = 5,
        .attributes = &attributes,
    };
    struct core_place_in_store place = gcs_place(&world, "attributed");
    CORE_OBJECT_DETAIL_AUTO(detail);
    struct rc_error err = RC_ERROR_INIT;
    struct rc_stat written, stat;

    (void)state;
    expect_ok(core_storage_gcs.put(&place, "a,b\r\n", 5, &options, &written, &err));
    expect_ok(core_storage_gcs.stat(&place, &stat, &detail, &err));
    assert_string_equal(stat.etag, written.etag);
    assert_int_equal(written.size_bytes, 5);
    assert_string_equal(detail.version, written.etag);
    assert_string_equal(detail.crc32c, "yUm7FQ==");
    assert_string_equal(detail.md5_hex, "8f457ad9d573db377e681164b7f5af35");
    expect_attributes(&detail.attributes);
}

static void says_that_there_are_no_tags(void **state)
{
    const struct rc_pair tag = { "a", "b" };
    const struct rc_attributes tagged = { .tags = { .len = 1, .items = &tag } };
    const struct rc_put_options options = { .size_bytes = -1, .attributes = &tagged };
    struct core_place_in_store place = gcs_place(&world, "tagged");
    struct rc_error err = RC_ERROR_INIT;
    struct rc_writer *writer;

    (void)state;
    assert_int_equal(core_storage_gcs.create(&place, &options, &writer, &err), RC_UNSUPPORTED);
    assert_non_null(strstr(err.cause, "no tags"));
    assert_int_equal(core_storage_gcs.put(&place, "", 0, &options, NULL, &err), RC_UNSUPPORTED);
}

/* ---- settings -------------------------------------------------------------------------------- */

/* Every operation once. */
static void do_all(struct core_storage *storage)
{
    RC_STR_AUTO one = gcs_uri("all/one");
    RC_STR_AUTO two = gcs_uri("all/two");
    RC_STR_AUTO prefix = gcs_uri("all/");
    RC_BUF_AUTO(body, 100);
    struct rc_error err = RC_ERROR_INIT;
    const struct rc_object *object;
    struct rc_listing *listing;
    struct rc_stat stat;

    expect_ok(core_storage_put(storage, one, "text", 4, NULL, &err));
    expect_ok(core_storage_stat(storage, one, &stat, &err));
    expect_ok(core_storage_put(storage, one, "more", 4, stat.etag, &err));
    expect_ok(core_storage_copy(storage, one, two, &err));
    expect_ok(core_storage_get(storage, two, &body, &err));
    assert_string_equal(body.data, "more");
    expect_ok(core_storage_list(storage, prefix, NULL, &listing, &err));
    expect_ok(core_listing_next(listing, &object, &err));
    assert_non_null(object);
    core_listing_close(listing);
    expect_ok(core_storage_remove(storage, (const char *const[]){ one, two }, 2, &err));
    expect_ok(core_storage_remove(storage, (const char *const[]){ one }, 1, &err));
}

static void bills_a_project(void **state)
{
    const struct core_store_settings billed = { .user_project = "bill-me" };

    (void)state;
    gcs_world_close(&world);
    gcs_world_open(&world, &billed);
    gcs_control("{\"clear\": true}");
    do_all(world.storage);
    /* All but those to a session, whose URL is the server's, and to where tokens come from. */
    assert_int_equal(gcs_calls("GET", "userProject=bill-me"), gcs_calls("GET", "/storage/v1/"));
    assert_int_equal(gcs_calls("DELETE", "userProject=bill-me"), 1);
    assert_int_equal(gcs_calls("POST", "/upload/"), 2);
    assert_int_equal(gcs_calls("POST", "userProject=bill-me"), 3);
}

static void encrypts_with_given_keys(void **state)
{
    const struct core_store_settings own = {
        .sse = CORE_SSE_CUSTOMER,
        .sse_customer_key = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
    };
    const struct core_store_settings wrong = { .sse_customer_key = "dG9vIHNob3J0" };
    const struct core_store_settings managed = {
        .sse = CORE_SSE_KMS,
        .sse_kms_key = "projects/p/locations/l/keyRings/r/cryptoKeys/k",
    };
    RC_STR_AUTO where = gcs_uri("short");
    struct rc_error err = RC_ERROR_INIT;
    struct rc_stat stat;

    (void)state;
    gcs_world_close(&world);
    gcs_world_open(&world, &own);
    gcs_control("{\"clear\": true}");
    do_all(world.storage);
    /* Two puts (one in a session, of two requests), a look, a read, a copy with its two keys. */
    assert_int_equal(
        gcs_headers("x-goog-encryption-key-sha256", "hhAJ7E1Zn6sfQKvHbm+JiAz/WDPHnFSMmfkEXxkc2Qs="),
        6);
    assert_int_equal(gcs_headers("x-goog-copy-source-encryption-algorithm", "AES256"), 1);

    gcs_world_close(&world);
    gcs_world_open(&world, &wrong);
    assert_int_equal(core_storage_stat(world.storage, where, &stat, &err), RC_INVALID);
    assert_non_null(strstr(err.cause, "not base64 of 32 bytes"));

    gcs_world_close(&world);
    gcs_world_open(&world, &managed);
    gcs_control("{\"clear\": true}");
    do_all(world.storage);
    assert_int_equal(gcs_calls("POST", "&kmsKeyName=projects%2Fp%2F"), 2);
    assert_int_equal(gcs_calls("POST", "destinationKmsKeyName=projects%2Fp%2F"), 1);
}

/* The key and what no attribute has a name for, of an object that somebody else has written. */
static void keeps_the_key_of_what_is_replaced(void **state)
{
    static const char *const key = "projects/p/locations/l/keyRings/r/cryptoKeys/of-the-object";
    const struct core_store_settings managed = { .sse = CORE_SSE_KMS, .sse_kms_key = key };
    struct core_place_in_store place = gcs_place(&world, "encrypted");
    struct gcs_world with_key;
    struct rc_put_options options = { .struct_bytes = sizeof(options), .keep_attributes = true };
    CORE_OBJECT_DETAIL_AUTO(detail);
    struct rc_error err = RC_ERROR_INIT;
    struct rc_writer *writer;
    struct rc_stat stat;

    (void)state;
    gcs_world_open(&with_key, &managed);
    RC_STR_AUTO where = gcs_uri("encrypted");
    expect_ok(core_storage_put(with_key.storage, where, "1", 1, NULL, &err));
    expect_ok(core_storage_gcs.stat(&place, &stat, NULL, &err));
    options.if_match = stat.etag;
    expect_ok(core_storage_gcs.put(&place, "2", 1, &options, &stat, &err));
    options.size_bytes = -1;
    expect_ok(core_storage_gcs.create(&place, &options, &writer, &err));
    expect_ok(writer->ops->write(writer, "3", 1, &err));
    expect_ok(writer->ops->commit(writer, &err));
    writer->ops->close(writer);
    expect_ok(core_storage_gcs.stat(&place, &stat, &detail, &err));
    assert_string_equal(detail.encryption_key, key);
    gcs_world_close(&with_key);
}

static void takes_over_what_it_has_no_name_for(void **state)
{
    static const char time[] = "2026-01-02T03:04:05.000Z";
    struct rc_pair pair = { "customTime", time };
    const struct rc_map others = { .len = 1, .items = &pair };
    struct core_arena arena = CORE_ARENA_INIT;
    CORE_OBJECT_DETAIL_AUTO(detail);
    RC_BUF_AUTO(json, 1000);

    (void)state;
    core_gcs_add_resource(&json, "name", NULL, NULL, NULL, &others);
    core_gcs_read_detail(core_json_read_reply(&arena, json.data, json.len), &detail);
    assert_int_equal(detail.others.len, 1);
    assert_string_equal(detail.others.items[0].key, "customTime");
    assert_string_equal(detail.others.items[0].value, time);
    core_arena_clear(&arena);
}

static void finds_an_emulator(void **state)
{
    struct core_remote *remote = core_remote_new(&world.settings, NULL, NULL);
    struct core_storage *storage = core_storage_new(NULL, 0, remote, NULL);
    const char *host = strstr(world.endpoint, "://") + 3;

    (void)state;
    (void)setenv("STORAGE_EMULATOR_HOST", host, 1);
    gcs_control("{\"settings\": {\"check_auth\": false}}");
    do_all(storage); /* without credentials, which nobody has given */
    gcs_control("{\"settings\": {\"check_auth\": true}}");
    (void)unsetenv("STORAGE_EMULATOR_HOST");
    core_storage_free(storage);
    core_remote_free(remote);
}

static void reaches_nothing_where_only_this_machine_is_reached(void **state)
{
    struct core_storage *storage = core_storage_new(NULL, 0, NULL, NULL);
    struct rc_error err = RC_ERROR_INIT;
    struct rc_stat stat;

    (void)state;
    assert_int_equal(core_storage_stat(storage, "gs://a/b", &stat, &err), RC_UNSUPPORTED);
    core_storage_free(storage);
}

/* ---- versions -------------------------------------------------------------------------------- */

static void lists_versions_newest_first(void **state)
{
    static const char *const names[] = { "a", "b", "a", "c", "a", "c" };
    const struct core_list_options options = { .versions = true };
    struct core_place_in_store place = gcs_place(&world, "");
    struct rc_put_options plain = { .size_bytes = -1 };
    struct rc_error err = RC_ERROR_INIT;
    char etags[6][RC_ETAG_TEXT];

    (void)state;
    gcs_control("{\"settings\": {\"check_auth\": false}}");
    gcs_post("/storage/v1/b?project=p",
             "{\"name\": \"versioned\", \"versioning\": {\"enabled\": true}}");
    place.bucket = "versioned";
    for (size_t i = 0; i < 6; i++) {
        struct rc_stat written;

        place.key = names[i];
        expect_ok(core_storage_gcs.put(&place, names[i], 1, &plain, &written, &err));
        memcpy(etags[i], written.etag, sizeof(etags[i]));
    }
    place.key = "b";
    expect_ok(core_storage_gcs.remove(&place, 1, NULL, &err)); /* its version stays */

    for (int page = 1; page <= 7; page++) {
        RC_STR_AUTO limit = rc_strf("{\"settings\": {\"page_limit\": %d}}", page);
        static const size_t order[] = { 4, 2, 0, 1, 5, 3 };
        const struct core_listed *listed;
        struct rc_listing *listing;

        gcs_control(limit);
        place.key = "";
        expect_ok(core_storage_gcs.list(&place, &options, &listing, &err));
        for (size_t i = 0; i < 6; i++) {
            expect_ok(listing->ops->next(listing, &listed, &err));
            assert_non_null(listed);
            assert_string_equal(listed->object.name, names[order[i]]);
            assert_string_equal(listed->version, etags[order[i]]);
            assert_string_equal(listed->object.stat.etag, etags[order[i]]);
            assert_int_equal(listed->is_latest, i == 0 || i == 4);
            assert_string_equal(listed->storage_class, "STANDARD");
            assert_false(listed->is_delete_marker);
        }
        expect_ok(listing->ops->next(listing, &listed, &err));
        assert_null(listed);
        listing->ops->close(listing);
    }
    gcs_control("{\"settings\": {\"page_limit\": 1000}}");

    /* Each can be looked at, copied and removed by itself. */
    struct core_place_in_store target = gcs_place(&world, "restored");
    const struct core_copy_options copy = { .size_bytes = -1 };
    struct rc_stat stat;
    place.key = "b";
    assert_int_equal(core_storage_gcs.stat(&place, &stat, NULL, &err), RC_NOT_FOUND);
    place.version = etags[1];
    expect_ok(core_storage_gcs.stat(&place, &stat, NULL, &err));
    assert_string_equal(stat.etag, etags[1]);
    expect_ok(core_storage_gcs.copy(&place, &target, &copy, NULL, &err));
    expect_ok(core_storage_gcs.remove(&place, 1, NULL, &err));
    assert_int_equal(core_storage_gcs.stat(&place, &stat, NULL, &err), RC_NOT_FOUND);
    place.version = "latest";
    assert_int_equal(core_storage_gcs.stat(&place, &stat, NULL, &err), RC_NOT_FOUND);
    assert_non_null(strstr(err.cause, "a version is a generation"));
    gcs_control("{\"settings\": {\"check_auth\": true}}");
}

/* ---- uploads --------------------------------------------------------------------------------- */

static void fill(char *data, size_t len)
{
    uint32_t state = 1;

    for (size_t i = 0; i < len; i++) {
        state = state * 1664525 + 1013904223;
        data[i] = (char)(state >> 24);
    }
}

/* Writes 'len' bytes in pieces and reads them back. */
static enum rc_code write_and_read(const char *name, size_t len, struct rc_error *err)
{
    RC_STR_AUTO where = gcs_uri(name);
    RC_STR_AUTO data = rc_malloc(len + 1);
    RC_BUF_AUTO(body, len);
    struct rc_writer *writer;
    enum rc_code code = RC_OK;

    fill(data, len);
    if (core_storage_create(world.storage, where, NULL, &writer, err))
        return err->code;
    for (size_t done = 0, part; done < len && !code; done += part) {
        part = len - done < 100000 ? len - done : 100000;
        code = core_writer_write(writer, data + done, part, err);
    }
    if (!code)
        code = core_writer_commit(writer, err);
    if (!code)
        assert_int_equal(writer->stat.size_bytes, len);
    core_writer_close(writer);
    if (code)
        return code;
    if (core_storage_get(world.storage, where, &body, err))
        return err->code;
    assert_int_equal(body.len, len);
    assert_memory_equal(body.data, data, len);
    return RC_OK;
}

static void writes_any_size(void **state)
{
    static const size_t sizes[] = { 0,      1,      262143, 262144, 262145,
                                    524287, 524288, 524289, 786432, 1000000 };
    const struct core_store_settings small = { .part_bytes = 262144 };
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    gcs_world_close(&world);
    gcs_world_open(&world, &small);
    for (size_t i = 0; i < RC_ARRAY_LEN(sizes); i++)
        expect_ok(write_and_read("sized", sizes[i], &err));
}

static void goes_on_where_the_server_kept_less(void **state)
{
    const struct core_store_settings chunks = { .part_bytes = 1 << 20 };
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    gcs_world_close(&world);
    gcs_world_open(&world, &chunks);
    gcs_control("{\"settings\": {\"chunk_keeps_bytes\": 262144}}");
    expect_ok(write_and_read("kept", 3000001, &err));
    gcs_control("{\"settings\": {\"chunk_keeps_bytes\": null}}");
}

static void leaves_no_session_of_what_is_not_committed(void **state)
{
    const struct core_store_settings small = { .part_bytes = 262144 };
    RC_STR_AUTO where = gcs_uri("aborted");
    RC_STR_AUTO data = rc_calloc(1 << 20, 1);
    struct rc_error err = RC_ERROR_INIT;
    struct rc_writer *writer;
    struct rc_stat stat;

    (void)state;
    gcs_world_close(&world);
    gcs_world_open(&world, &small);
    expect_ok(core_storage_create(world.storage, where, NULL, &writer, &err));
    expect_ok(core_writer_write(writer, data, 1 << 20, &err));
    core_writer_close(writer);
    assert_int_equal(gcs_calls("DELETE", "upload_id="), 1);
    assert_int_equal(core_storage_stat(world.storage, where, &stat, &err), RC_NOT_FOUND);
}

/* A token may say anything; what is sent must go to the bucket, whatever it says. */
static void goes_on_with_no_session_elsewhere(void **state)
{
    const struct core_store_settings small = { .part_bytes = 262144 };
    const struct rc_put_options options = { .size_bytes = 1 << 20 };
    struct core_left_parts left = { .part_bytes = 262144 };
    const struct core_storage_ops *gcs = &core_storage_gcs;
    struct rc_error err = RC_ERROR_INIT;
    struct core_place_in_store place;
    struct core_parts *parts;
    size_t asked;

    (void)state;
    gcs_world_close(&world);
    gcs_world_open(&world, &small);
    place = gcs_place(&world, "left");
    expect_ok(gcs->begin_parts(&place, &options, &parts, &err));
    RC_STR_AUTO id = rc_strdup(parts->id);
    parts->ops->leave(parts);
    asked = gcs_calls("PUT", "");

    RC_STR_AUTO path = rc_strdup(strstr(id, "/upload/"));
    RC_STR_AUTO host = rc_strf("http://localhost:1%s", path);
    RC_STR_AUTO user = rc_strf("%s@localhost:1%s", world.endpoint, path);
    RC_STR_AUTO bucket = rc_strf("%s/upload/storage/v1/b/other/o?upload_id=1", world.endpoint);
    RC_STR_AUTO longer = rc_strf("%s1%s", world.endpoint, path);
    const char *const elsewhere[] = { host, user, bucket, longer, "x", "file:///etc/passwd" };
    for (size_t i = 0; i < RC_ARRAY_LEN(elsewhere); i++) {
        left.id = elsewhere[i];
        assert_int_equal(gcs->resume_parts(&place, &options, &left, &parts, &err), RC_NOT_FOUND);
        expect_ok(gcs->give_up_parts(&place, &left, &err));
    }
    assert_int_equal(gcs_calls("PUT", ""), asked);
    assert_int_equal(gcs_calls("DELETE", "upload_id="), 0);
    left.id = id;
    expect_ok(gcs->resume_parts(&place, &options, &left, &parts, &err));
    assert_int_equal(gcs_calls("PUT", ""), asked + 1);
    parts->ops->close(parts);
    assert_int_equal(gcs_calls("DELETE", "upload_id="), 1);
}

/* ---- copies ---------------------------------------------------------------------------------- */

static void copies_in_several_calls(void **state)
{
    struct rc_put_options options = { .size_bytes = -1, .attributes = &attributes };
    struct core_copy_options copy = { .size_bytes = -1 };
    RC_STR_AUTO data = rc_malloc(5 << 20);
    struct core_place_in_store place;
    CORE_OBJECT_DETAIL_AUTO(detail);
    CORE_OBJECT_DETAIL_AUTO(changed);
    struct rc_error err = RC_ERROR_INIT;
    struct rc_stat first, written, stat;
    RC_STR_AUTO source_uri = gcs_uri("from here");
    struct core_place_in_store source = gcs_place(&world, "from here");

    (void)state;
    source.uri = source_uri;
    source.key = "from here";
    fill(data, 5 << 20);
    expect_ok(core_storage_gcs.put(&source, data, 5 << 20, &options, &first, &err));
    gcs_control("{\"settings\": {\"rewrite_bytes_per_call\": 1048576}}");
    place = gcs_place(&world, "to/there");
    expect_ok(core_storage_gcs.copy(&source, &place, &copy, &written, &err));
    assert_int_equal(gcs_calls("POST", "/rewriteTo/"), 5);
    gcs_control("{\"settings\": {\"rewrite_bytes_per_call\": null}}");
    expect_ok(core_storage_gcs.stat(&place, &stat, &detail, &err));
    assert_string_equal(stat.etag, written.etag);
    assert_int_equal(stat.size_bytes, 5 << 20);
    assert_string_equal(detail.attributes.content_type, attributes.content_type);
    assert_int_equal(detail.attributes.metadata.len, 2);

    /* With conditions, of both ends. */
    copy.source_if_match = first.etag;
    copy.if_match = RC_IF_ABSENT;
    assert_int_equal(core_storage_gcs.copy(&source, &place, &copy, NULL, &err), RC_CONFLICT);
    copy.if_match = written.etag;
    copy.attributes = &(const struct rc_attributes){ .content_type = "a/b" };
    expect_ok(core_storage_gcs.copy(&source, &place, &copy, &stat, &err));
    expect_ok(core_storage_gcs.stat(&place, &stat, &changed, &err));
    assert_string_equal(changed.attributes.content_type, "a/b");
    assert_int_equal(changed.attributes.metadata.len, 0);
    copy.if_match = NULL;
    copy.source_if_match = stat.etag;
    assert_int_equal(core_storage_gcs.copy(&source, &place, &copy, NULL, &err), RC_CONFLICT);
}

static void copies_into_the_store_s_storage_class(void **state)
{
    const struct core_store_settings cold = { .storage_class = "COLDLINE" };
    const struct rc_put_options options = { .size_bytes = -1, .attributes = &attributes };
    const struct core_copy_options copy = { .size_bytes = -1 };
    struct core_place_in_store place;
    CORE_OBJECT_DETAIL_AUTO(detail);
    struct rc_error err = RC_ERROR_INIT;
    struct rc_stat stat;

    (void)state;
    gcs_world_close(&world);
    gcs_world_open(&world, &cold);
    place = gcs_place(&world, "classed");
    expect_ok(core_storage_gcs.put(&place, "x", 1, &options, NULL, &err));
    expect_ok(core_storage_gcs.copy(&place, &place, &copy, NULL, &err));
    expect_ok(core_storage_gcs.stat(&place, &stat, &detail, &err));
    assert_string_equal(detail.attributes.storage_class, "COLDLINE");
    assert_string_equal(detail.attributes.content_language, "cs");
    assert_int_equal(detail.attributes.metadata.len, 2);
}

/* ---- removals -------------------------------------------------------------------------------- */

enum { MANY = 250 };

static struct {
    size_t count, index;
    struct rc_error err;
} failures;

static void note_failure(void *context, size_t index, const struct rc_error *err)
{
    (void)context;
    failures.count++;
    failures.index = index;
    failures.err = *err;
}

static const struct core_remove_report report = { .failed = note_failure };

static void make_places(struct core_place_in_store *places, char **texts)
{
    for (size_t i = 0; i < MANY; i++) {
        texts[i] = rc_strf("gs://%s/many/o \xc3\xa4 %zu", world.store.bucket, i);
        places[i] = (struct core_place_in_store){
            .settings = &world.store,
            .remote = world.remote,
            .uri = texts[i],
            .bucket = world.store.bucket,
            .key = strstr(texts[i], "many/"),
        };
    }
}

static void removes_many_at_once(void **state)
{
    static const char *const rules[] = {
        "{\"rules\": []}",
        /* Some of a batch are refused for now; whole batches; and what was asked for is cut. */
        "{\"rules\": [{\"method\": \"DELETE\", \"status\": 503, \"times\": 30}]}",
        "{\"rules\": [{\"method\": \"DELETE\", \"status\": 429, \"times\": 130}]}",
        "{\"rules\": [{\"method\": \"POST\", \"target\": \"/batch/\", \"status\": 502, \"times\": "
        "2}]}",
        "{\"rules\": [{\"method\": \"POST\", \"target\": \"/batch/\", \"cut_reply_body_bytes\": "
        "3000, "
        "\"times\": 2}]}",
        "{\"settings\": {\"expire_tokens\": true}}",
    };
    struct core_place_in_store places[MANY];
    char *texts[MANY];

    (void)state;
    make_places(places, texts);
    for (size_t i = 0; i < RC_ARRAY_LEN(rules); i++) {
        const struct rc_put_options plain = { .size_bytes = -1 };
        struct core_place_in_store all = gcs_place(&world, "");
        struct rc_error err = RC_ERROR_INIT;
        const struct core_listed *listed;
        struct rc_listing *listing;

        for (size_t j = 0; j < MANY; j += i == 0 ? 1 : 40)
            expect_ok(core_storage_gcs.put(&places[j], "x", 1, &plain, NULL, &err));
        gcs_control("{\"clear\": true}");
        gcs_control(rules[i]);
        expect_ok(core_storage_gcs.remove(places, MANY, NULL, &err));
        if (i == 0)
            assert_int_equal(gcs_calls("POST", "/batch/storage/v1"), 3);
        gcs_control("{\"clear\": true}");
        expect_ok(core_storage_gcs.list(
            &all, &(const struct core_list_options){ .versions = false }, &listing, &err));
        expect_ok(listing->ops->next(listing, &listed, &err));
        assert_null(listed);
        listing->ops->close(listing);
    }
    for (size_t i = 0; i < MANY; i++)
        free(texts[i]);
}

static void tells_what_stays(void **state)
{
    struct core_place_in_store places[MANY];
    char *texts[MANY];
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    make_places(places, texts);
    failures.count = 0;
    gcs_control("{\"rules\": [{\"method\": \"DELETE\", \"target\": \"%20123$\", \"status\": 403, "
                "\"times\": null, "
                "\"body\": \"{\\\"error\\\":{\\\"message\\\":\\\"no, no\\\"}}\"}]}");
    expect_ok(core_storage_gcs.remove(places, MANY, &report, &err));
    assert_int_equal(failures.count, 1);
    assert_int_equal(failures.index, 123);
    assert_int_equal(failures.err.code, RC_DENIED);
    assert_non_null(strstr(failures.err.cause, "HTTP 403: no, no"));
    assert_non_null(strstr(failures.err.context, texts[123]));
    assert_int_equal(core_storage_gcs.remove(places, MANY, NULL, &err), RC_DENIED);

    /* None of a batch that is never taken. */
    failures.count = 0;
    gcs_control("{\"clear\": true}");
    gcs_control("{\"rules\": [{\"method\": \"POST\", \"target\": \"/batch/\", \"status\": 503, "
                "\"times\": null}]}");
    expect_ok(core_storage_gcs.remove(places, 7, &report, &err));
    assert_int_equal(failures.count, 7);
    assert_int_equal(failures.err.code, RC_UNAVAILABLE);
    for (size_t i = 0; i < MANY; i++)
        free(texts[i]);
}

static void removes_only_what_was_not_replaced(void **state)
{
    struct core_place_in_store place = gcs_place(&world, "replaced");
    struct rc_error err = RC_ERROR_INIT;
    struct rc_stat first, second;

    (void)state;
    put("replaced", "1");
    expect_ok(core_storage_gcs.stat(&place, &first, NULL, &err));
    put("replaced", "2");
    expect_ok(core_storage_gcs.stat(&place, &second, NULL, &err));
    place.remove_if_match = first.etag;
    assert_int_equal(core_storage_gcs.remove(&place, 1, NULL, &err), RC_CONFLICT);
    place.remove_if_match = second.etag;
    expect_ok(core_storage_gcs.remove(&place, 1, NULL, &err));
    expect_ok(core_storage_gcs.remove(&place, 1, NULL, &err)); /* gone is as wanted */
}

static void tells_a_missing_bucket_from_a_missing_object(void **state)
{
    struct core_place_in_store place = gcs_place(&world, "x");
    struct rc_error err = RC_ERROR_INIT;
    struct rc_listing *listing;

    (void)state;
    place.bucket = "no-such-bucket";
    assert_int_equal(core_storage_gcs.remove(&place, 1, NULL, &err), RC_NOT_FOUND);
    assert_non_null(strstr(err.cause, "create the bucket"));
    assert_int_equal(core_storage_gcs.list(&place,
                                           &(const struct core_list_options){ .versions = false },
                                           &listing, &err),
                     RC_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(conforms, open_world, close_world),
        cmocka_unit_test_setup_teardown(keeps_the_key_of_what_is_replaced, open_world, close_world),
        cmocka_unit_test_setup_teardown(takes_over_what_it_has_no_name_for, open_world,
                                        close_world),
        cmocka_unit_test_setup_teardown(keeps_versions, open_world, close_world),
        cmocka_unit_test_setup_teardown(conforms_in_small_pages_and_small_chunks, open_world,
                                        close_world),
        cmocka_unit_test_setup_teardown(keeps_attributes, open_world, close_world),
        cmocka_unit_test_setup_teardown(says_that_there_are_no_tags, open_world, close_world),
        cmocka_unit_test_setup_teardown(bills_a_project, open_world, close_world),
        cmocka_unit_test_setup_teardown(encrypts_with_given_keys, open_world, close_world),
        cmocka_unit_test_setup_teardown(finds_an_emulator, open_world, close_world),
        cmocka_unit_test(reaches_nothing_where_only_this_machine_is_reached),
        cmocka_unit_test_setup_teardown(lists_versions_newest_first, open_world, close_world),
        cmocka_unit_test_setup_teardown(writes_any_size, open_world, close_world),
        cmocka_unit_test_setup_teardown(goes_on_where_the_server_kept_less, open_world,
                                        close_world),
        cmocka_unit_test_setup_teardown(leaves_no_session_of_what_is_not_committed, open_world,
                                        close_world),
        cmocka_unit_test_setup_teardown(goes_on_with_no_session_elsewhere, open_world, close_world),
        cmocka_unit_test_setup_teardown(copies_in_several_calls, open_world, close_world),
        cmocka_unit_test_setup_teardown(copies_into_the_store_s_storage_class, open_world,
                                        close_world),
        cmocka_unit_test_setup_teardown(removes_many_at_once, open_world, close_world),
        cmocka_unit_test_setup_teardown(tells_what_stays, open_world, close_world),
        cmocka_unit_test_setup_teardown(removes_only_what_was_not_replaced, open_world,
                                        close_world),
        cmocka_unit_test_setup_teardown(tells_a_missing_bucket_from_a_missing_object, open_world,
                                        close_world),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
