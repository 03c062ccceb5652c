/*
 * Large objects in a store in memory that are gone on with, and what is removed in the end.
 */
#include "memory_store.h"

#include <storage/remote.h>
#include <storage/transfer.h>

#define expect_ok(call)                                                                            \
    do {                                                                                           \
        if (call)                                                                                  \
            fail_msg("%s: %s: %s", #call, err.context, err.cause);                                 \
    } while (0)

static struct core_remote *remote;
static struct core_storage *storage;
static const struct core_store_settings no_stores[1];

/* What the caller of a transfer keeps, and how it makes it fail. */
static struct kept {
    char *token;      /* the last */
    char *first_with; /* the first that names an upload */
    int told, fails_at;
} kept;

/* Faults are many, and nobody's machine rests meanwhile. */
static const struct core_settings hasty = { .http = { .backoff_ms = 1, .max_backoff_ms = 4 } };

static int set_up(void **state)
{
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    if (core_digest_load(&err))
        return -1;
    remote = core_remote_new(&hasty, NULL, NULL);
    storage = core_storage_new(no_stores, 0, remote, NULL);
    memory.keeps_uploads = true;
    memory.begun_uploads = memory.given_up = 0;
    return 0;
}

static int tear_down(void **state)
{
    int left = 0;

    (void)state;
    core_storage_free(storage);
    core_remote_free(remote);
    while (memory.count > 0)
        free_object(&memory.objects[--memory.count]);
    for (int i = 0; i < UPLOADS; i++) {
        left += memory.left[i].id != NULL;
        free_left(&memory.left[i]);
    }
    free(kept.token);
    free(kept.first_with);
    kept = (struct kept){ .token = NULL };
    memory.refused_puts = memory.refused_resumes = memory.cut_reads = 0;
    memory.garbled_reads = memory.refused_commits = memory.refused_removals = 0;
    memory.says_md5 = memory.says_crc = false;
    memory.part_bytes = 0;
    memory.puts = memory.listings = 0;
    memory.at_listing = NULL;
    return memory.open_uploads == 0 && left == 0 ? 0 : -1;
}

static enum rc_code keep_token(void *context, const char *token, struct rc_error *err)
{
    (void)context;
    if (++kept.told == kept.fails_at)
        return rc_fail(err, RC_UNAVAILABLE, "no room for tokens");
    free(kept.token);
    kept.token = rc_strdup(token);
    if (!kept.first_with && strchr(token, ','))
        kept.first_with = rc_strdup(token);
    return RC_OK;
}

static struct rc_transfer request_of(unsigned flags)
{
    return (struct rc_transfer){
        .struct_bytes = sizeof(struct rc_transfer),
        .flags = flags,
        .source = "s3://one/",
        .target = "s3://two/",
        .width = 1,
        .checkpoint = keep_token,
    };
}

static enum rc_code go(unsigned flags, struct rc_transferred *done, struct rc_error *err)
{
    RC_STR_AUTO resume = rc_strdup(kept.token);
    struct rc_transfer transfer = request_of(flags);

    transfer.resume = resume;
    return core_transfer_run(storage, &transfer, done, err);
}

static void keep_large(const char *name, int seed)
{
    char *data = rc_malloc(LARGE);

    for (size_t i = 0; i < LARGE; i++)
        data[i] = (char)(i * 31 + i / 4096 + (size_t)seed);
    store(name, data, LARGE, NULL);
}

static void expect_equal(const char *a, const char *b)
{
    struct object first, second;

    assert_true(take_copy(a, &first));
    assert_true(take_copy(b, &second));
    assert_int_equal(first.len, second.len);
    assert_memory_equal(first.data, second.data, first.len);
    free_object(&first);
    free_object(&second);
}

static bool is_there(const char *name)
{
    struct object object;

    if (!take_copy(name, &object))
        return false;
    free_object(&object);
    return true;
}

/* ---- large objects ------------------------------------------------------------------------ */

enum { PARTS = LARGE / PART + 1, KNOWN = 3 };

/* Lets a transfer fail for good when some parts are there. */
static void stop_within(void)
{
    struct rc_error err = RC_ERROR_INIT;
    struct rc_transferred done;

    memory.refused_parts_from = KNOWN;
    memory.puts = 0;
    assert_int_equal(go(0, &done, &err), RC_UNAVAILABLE);
    memory.refused_parts_from = 0;
    assert_int_equal(memory.puts, KNOWN);
    assert_non_null(kept.first_with);
    assert_false(is_there("two/large"));
    memory.puts = 0;
}

static void sends_only_what_is_missing(void)
{
    struct rc_error err = RC_ERROR_INIT;
    struct rc_transferred done;

    keep_large("one/large", 0);
    stop_within();
    expect_ok(go(0, &done, &err));
    assert_int_equal(memory.puts, PARTS - KNOWN);
    assert_int_equal(memory.begun_uploads, 1);
    assert_int_equal(done.objects, 1);
    assert_int_equal(done.bytes, LARGE);
    expect_equal("one/large", "two/large");
}

static void goes_on_by_reading_the_source(void **state)
{
    (void)state;
    sends_only_what_is_missing();
}

static void goes_on_with_a_crc(void **state)
{
    (void)state;
    memory.says_crc = true;
    sends_only_what_is_missing();
}

static void goes_on_with_an_md5(void **state)
{
    (void)state;
    memory.says_md5 = true;
    sends_only_what_is_missing();
}

static void goes_on_with_a_tag_of_parts(void **state)
{
    struct object object;

    (void)state;
    memory.part_bytes = PART;
    sends_only_what_is_missing();
    assert_true(take_copy("two/large", &object));
    free_object(&object);
}

/* What lies at the target is not believed: one of its parts is another there. */
static void puts_again_what_is_another(void **state)
{
    struct rc_error err = RC_ERROR_INIT;
    struct rc_transferred done;

    (void)state;
    keep_large("one/large", 0);
    stop_within();
    for (int i = 0; i < UPLOADS; i++)
        if (memory.left[i].data)
            memory.left[i].data[PART + 5] ^= 1;
    expect_ok(go(0, &done, &err));
    assert_int_equal(memory.puts, PARTS - KNOWN + 1);
    expect_equal("one/large", "two/large");

    /* By the tag of the whole it is seen in the end, and all of it sent again. */
    memory.part_bytes = PART;
    keep_large("one/large", 1);
    drop("two/large");
    rc_str_free(&kept.token);
    rc_str_free(&kept.first_with);
    stop_within();
    for (int i = 0; i < UPLOADS; i++)
        if (memory.left[i].data)
            memory.left[i].data[PART + 5] ^= 1;
    expect_ok(go(0, &done, &err));
    assert_int_equal(memory.puts, PARTS - KNOWN + PARTS);
    expect_equal("one/large", "two/large");
}

static void begins_anew_what_was_replaced(void **state)
{
    struct rc_error err = RC_ERROR_INIT;
    struct rc_transferred done;

    (void)state;
    keep_large("one/large", 0);
    stop_within();
    keep_large("one/large", 1);
    expect_ok(go(0, &done, &err));
    assert_int_equal(memory.puts, PARTS);
    assert_int_equal(memory.given_up, 1);
    expect_equal("one/large", "two/large");
}

static void begins_anew_what_nobody_knows(void **state)
{
    struct rc_error err = RC_ERROR_INIT;
    struct rc_transferred done;

    (void)state;
    keep_large("one/large", 0);
    stop_within();
    for (int i = 0; i < UPLOADS; i++)
        free_left(&memory.left[i]);
    expect_ok(go(0, &done, &err));
    assert_int_equal(memory.puts, PARTS);
    expect_equal("one/large", "two/large");
}

static void gives_up_what_is_not_wanted_any_more(void **state)
{
    struct rc_error err = RC_ERROR_INIT;
    struct rc_transferred done;

    (void)state;
    keep_large("one/large", 0);
    stop_within();
    drop("one/large");
    keep("one/x", "x");
    expect_ok(go(0, &done, &err));
    assert_int_equal(memory.given_up, 1);
    assert_null(strchr(kept.token, ','));
}

static void goes_on_through_faults(void **state)
{
    struct rc_error err = RC_ERROR_INIT;
    struct rc_transferred done;

    (void)state;
    keep_large("one/large", 0);
    stop_within();
    memory.refused_resumes = 3;
    expect_ok(go(0, &done, &err));
    assert_int_equal(memory.puts, PARTS - KNOWN);
    drop("two/large");
    rc_str_free(&kept.token);
    rc_str_free(&kept.first_with);
    stop_within();
    memory.cut_reads = 2;
    memory.refused_commits = 1;
    expect_ok(go(0, &done, &err));
    /* Not even after a commit that failed was anything sent again. */
    assert_int_equal(memory.puts, PARTS - KNOWN);
    assert_int_equal(memory.begun_uploads, 2);
    expect_equal("one/large", "two/large");
}

static void garbled_content_is_never_left(void **state)
{
    struct rc_error err = RC_ERROR_INIT;
    struct rc_transferred done;

    (void)state;
    memory.says_crc = true;
    keep_large("one/large", 0);
    stop_within();
    memory.garbled_reads = 1;
    expect_ok(go(0, &done, &err));
    expect_equal("one/large", "two/large");
}

static void ends_where_nothing_can_be_kept(void **state)
{
    struct rc_error err = RC_ERROR_INIT;
    struct rc_transferred done;

    (void)state;
    for (int at = 1; at <= 2; at++) {
        keep_large("one/large", 0);
        kept.told = 0;
        kept.fails_at = at;
        assert_int_equal(go(RC_TRANSFER_KEEP_GOING, &done, &err), RC_UNAVAILABLE);
        assert_non_null(strstr(err.context, "keep how far the transfer is"));
        assert_int_equal(done.failed, 0);
        assert_false(is_there("two/large"));
    }
    /* The second could not be told, but its intent was. */
    kept.fails_at = 0;
    expect_ok(go(0, &done, &err));
    expect_equal("one/large", "two/large");
}

/* ---- tokens ------------------------------------------------------------------------------- */

static void reads_tokens_of_both_versions(void **state)
{
    const struct rc_transfer request = request_of(0);
    struct transfer_marks marks = { .done = 7, .name = rc_strdup("b") };
    struct transfer_uploads uploads = { .first = NULL };
    struct transfer_uploads read_uploads = { .first = NULL };
    struct transfer_marks read_marks = { .first = NULL };
    struct rc_error err = RC_ERROR_INIT;
    struct transfer_upload *upload;
    struct rc_transfer resumed = request;

    (void)state;
    (void)core_transfer_upload_add(&uploads, "s3://two/x,y", "", 5, 6);
    upload = core_transfer_upload_add(&uploads, "s3://two/c", "tag", 1, 2);
    upload->id = rc_strdup("id");
    upload->part_bytes = 3;
    RC_STR_AUTO token = core_transfer_token(&request, &marks, &uploads);
    resumed.resume = token;
    expect_ok(core_transfer_token_read(&resumed, &read_marks, &read_uploads, &err));
    assert_int_equal(read_marks.done, 7);
    assert_string_equal(read_marks.name, "b");
    assert_string_equal(read_uploads.first->target, "s3://two/x,y");
    assert_null(read_uploads.first->id);
    assert_int_equal(read_uploads.first->begun_unix_ms, 6);
    upload = read_uploads.first->next;
    assert_string_equal(upload->id, "id");
    assert_string_equal(upload->etag, "tag");
    assert_int_equal(upload->part_bytes, 3);
    assert_false(upload->is_taken);
    assert_null(upload->next);
    core_transfer_marks_clear(&read_marks);
    core_transfer_uploads_clear(&read_uploads);

    /* Each text that is cut off somewhere is none, or says less. */
    for (size_t len = strlen(token); len > 0; len--) {
        RC_STR_AUTO cut = rc_strndup(token, len - 1);

        resumed.resume = cut;
        (void)!core_transfer_check_token(&resumed, &err);
    }
    *strchr(token, ',') = '\0';
    token[0] = '1';
    resumed.resume = token;
    expect_ok(core_transfer_check_token(&resumed, &err));
    RC_STR_AUTO odd = rc_strf("%s,AAAA", token);
    resumed.resume = odd;
    assert_int_equal(core_transfer_check_token(&resumed, &err), RC_INVALID);
    core_transfer_marks_clear(&marks);
    core_transfer_uploads_clear(&uploads);
}

/* Whoever can write it must not have uploads given up that are no part of the transfer. */
static void believes_no_token_that_was_made_up(void **state)
{
    struct rc_transfer request = request_of(0);
    struct transfer_marks marks = { .done = INT64_MAX };
    struct transfer_uploads uploads = { .first = NULL };
    struct rc_error err = RC_ERROR_INIT;
    RC_STR_AUTO endless = core_transfer_token(&request, &marks, &uploads);

    (void)state;
    request.resume = endless;
    assert_int_equal(core_transfer_check_token(&request, &err), RC_INVALID);
    marks.done = 0;

    for (int i = 0; i < 12; i++)
        (void)core_transfer_upload_add(&uploads, "s3://two/x", "", 5, 6);
    RC_STR_AUTO most = core_transfer_token(&request, &marks, &uploads);
    request.resume = most;
    expect_ok(core_transfer_check_token(&request, &err));
    (void)core_transfer_upload_add(&uploads, "s3://two/x", "", 5, 6);
    RC_STR_AUTO many = core_transfer_token(&request, &marks, &uploads);
    request.resume = many;
    assert_int_equal(core_transfer_check_token(&request, &err), RC_INVALID);
    core_transfer_uploads_clear(&uploads);

    (void)core_transfer_upload_add(&uploads, "s3://three/x", "", 5, 6);
    RC_STR_AUTO elsewhere = core_transfer_token(&request, &marks, &uploads);
    request.resume = elsewhere;
    assert_int_equal(core_transfer_check_token(&request, &err), RC_INVALID);
    core_transfer_uploads_clear(&uploads);
}

/* The longest that there can be is a token all the same. */
static void the_largest_token_is_one(void **state)
{
    const struct rc_transfer request = request_of(0);
    struct transfer_uploads uploads = { .first = NULL };
    struct transfer_marks marks = { .name = rc_malloc(65536) };
    struct rc_transfer resumed = request;
    struct rc_error err = RC_ERROR_INIT;
    char text[4097];

    (void)state;
    memset(marks.name, 'n', 65535);
    marks.name[65535] = '\0';
    memset(text, 'x', 4096);
    text[4096] = '\0';
    memcpy(text, request.target, strlen(request.target));
    for (int i = 0; i < 12; i++) {
        struct transfer_upload *upload = core_transfer_upload_add(
            &uploads, text, "0123456789abcdef0123456789abcdef-10000", INT64_MAX, INT64_MAX);

        upload->id = rc_strdup(text);
        upload->part_bytes = INT64_MAX;
    }
    RC_STR_AUTO token = core_transfer_token(&request, &marks, &uploads);
    resumed.resume = token;
    expect_ok(core_transfer_check_token(&resumed, &err));
    assert_true(strlen(token) < 256 * 1024); /* what keepers of tokens have room for */
    core_transfer_marks_clear(&marks);
    core_transfer_uploads_clear(&uploads);
}

/* ---- removals ----------------------------------------------------------------------------- */

static void removes_nothing_if_a_copy_failed(void **state)
{
    struct rc_error err = RC_ERROR_INIT;
    struct rc_transferred done;

    (void)state;
    keep("one/a", "1");
    keep("two/extra", "x");
    memory.cut_reads = 1000;
    memory.cut_at = 0;
    assert_int_equal(go(RC_TRANSFER_REMOVE_EXTRA | RC_TRANSFER_KEEP_GOING, &done, &err),
                     RC_UNAVAILABLE);
    assert_int_equal(done.removed, 0);
    assert_true(is_there("two/extra"));
    memory.cut_reads = 0;
    memory.cut_at = 10;
    expect_ok(go(RC_TRANSFER_REMOVE_EXTRA, &done, &err));
    assert_int_equal(done.removed, 1);
    assert_false(is_there("two/extra"));
}

static enum rc_code go_with_most(int64_t most, unsigned flags, struct rc_transferred *done,
                                 struct rc_error *err)
{
    RC_STR_AUTO resume = rc_strdup(kept.token);
    struct rc_transfer transfer = request_of(RC_TRANSFER_REMOVE_EXTRA | flags);

    transfer.max_removed = most;
    transfer.resume = resume;
    return core_transfer_run(storage, &transfer, done, err);
}

static void removes_at_most_so_many(void **state)
{
    struct rc_error err = RC_ERROR_INIT;
    struct rc_transferred done;

    (void)state;
    keep("one/m", "1");
    keep("two/a", "x");
    keep("two/b", "x");
    keep("two/y", "x");
    expect_ok(go_with_most(3, RC_TRANSFER_CHECK, &done, &err));
    assert_int_equal(done.removed, 3);
    assert_int_equal(go_with_most(2, RC_TRANSFER_CHECK, &done, &err), RC_CONFLICT);
    /* The second goes on behind the last source, and still sees all that has none. */
    for (int resumed = 0; resumed < 2; resumed++) {
        assert_int_equal(go_with_most(2, 0, &done, &err), RC_CONFLICT);
        assert_non_null(strstr(err.cause, "3 objects of 's3://two/' have no source"));
        assert_int_equal(done.objects, resumed ? 0 : 1);
        assert_true(is_there("two/a") && is_there("two/b") && is_there("two/y"));
    }
    expect_ok(go_with_most(3, 0, &done, &err));
    assert_int_equal(done.removed, 3);
    assert_false(is_there("two/a") || is_there("two/b") || is_there("two/y"));
    assert_true(is_there("two/m"));
}

static void an_empty_source_removes_nothing(void **state)
{
    struct rc_error err = RC_ERROR_INIT;
    struct rc_transferred done;
    unsigned flags = RC_TRANSFER_REMOVE_EXTRA | RC_TRANSFER_NOT_FROM_EMPTY;

    (void)state;
    keep("two/a", "x");
    assert_int_equal(go(flags, &done, &err), RC_CONFLICT);
    assert_non_null(strstr(err.cause, "'s3://one/' has no object"));
    keep("one/a", "x");
    expect_ok(go(flags, &done, &err));
    drop("one/a");
    assert_int_equal(go(flags, &done, &err), RC_CONFLICT); /* resumed, too */
    assert_true(is_there("two/a"));
    expect_ok(go(RC_TRANSFER_REMOVE_EXTRA, &done, &err));
    assert_false(is_there("two/a"));
}

/* Between the two looks: the third listing is that of the source, again. */
static void empty_the_source(int number)
{
    if (number == 3)
        drop("one/a");
}

static void add_extra(int number)
{
    if (number != 3)
        return;
    keep("two/b", "x");
    keep("two/c", "x");
}

static void what_holds_for_the_first_look_holds_for_the_second(void **state)
{
    struct rc_error err = RC_ERROR_INIT;
    struct rc_transferred done;

    (void)state;
    keep("one/a", "x");
    keep("two/a", "x");
    keep("two/z", "x");
    memory.at_listing = empty_the_source;
    assert_int_equal(
        go(RC_TRANSFER_REMOVE_EXTRA | RC_TRANSFER_NOT_FROM_EMPTY | RC_TRANSFER_KEEP_GOING, &done,
           &err),
        RC_CONFLICT);
    assert_int_equal(done.removed, 0);
    assert_true(is_there("two/a") && is_there("two/z"));

    keep("one/a", "x");
    rc_str_free(&kept.token);
    memory.listings = 0;
    memory.at_listing = add_extra;
    assert_int_equal(go_with_most(2, 0, &done, &err), RC_CONFLICT);
    assert_non_null(strstr(err.cause, "more than 2 objects of 's3://two/'"));
    assert_true(done.removed <= 2);
    assert_true(is_there("two/z"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(goes_on_by_reading_the_source),
        TEST(goes_on_with_a_crc),
        TEST(goes_on_with_an_md5),
        TEST(goes_on_with_a_tag_of_parts),
        TEST(puts_again_what_is_another),
        TEST(begins_anew_what_was_replaced),
        TEST(begins_anew_what_nobody_knows),
        TEST(gives_up_what_is_not_wanted_any_more),
        TEST(goes_on_through_faults),
        TEST(garbled_content_is_never_left),
        TEST(ends_where_nothing_can_be_kept),
        TEST(reads_tokens_of_both_versions),
        TEST(believes_no_token_that_was_made_up),
        TEST(the_largest_token_is_one),
        TEST(removes_nothing_if_a_copy_failed),
        TEST(removes_at_most_so_many),
        TEST(an_empty_source_removes_nothing),
        TEST(what_holds_for_the_first_look_holds_for_the_second),
    };

    return cmocka_run_group_tests_name("transfer_resume", tests, NULL, NULL);
}
