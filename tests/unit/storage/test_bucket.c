/*
 * Buckets as a whole where no server is needed: folders, and stores that know nothing of the kind.
 */
#include "file_fixture.h"

#include <run-core/bucket.h>
#include <run-core/str.h>
#include <storage/backend.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static struct rc_bucket look(const char *name)
{
    struct rc_error err = RC_ERROR_INIT;
    struct rc_bucket bucket;
    RC_STR_AUTO at = uri(name);

    expect_ok(core_storage_bucket_look(storage, at, &bucket, &err));
    return bucket;
}

static void set_mode(const char *name, mode_t mode)
{
    RC_STR_AUTO at = path(name);

    assert_int_equal(chmod(at, mode), 0);
}

static void makes_a_folder_that_only_its_owner_enters(void **state)
{
    RC_STR_AUTO at = uri("new/folder/");
    RC_STR_AUTO where = path("new/folder");
    struct rc_error err = RC_ERROR_INIT;
    struct rc_bucket bucket = look("new/folder");
    struct stat st;

    (void)state;
    assert_string_equal(bucket.name, where);
    assert_int_equal(bucket.exists, RC_ANSWER_NO);
    assert_int_equal(bucket.is_public, RC_ANSWER_UNKNOWN);
    for (int i = 0; i < 2; i++)
        expect_ok(core_storage_bucket_create(storage, at, &err));
    assert_int_equal(stat(where, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    bucket = look("new/folder//");
    assert_string_equal(bucket.name, where);
    assert_int_equal(bucket.exists, RC_ANSWER_YES);
    assert_int_equal(bucket.is_public, RC_ANSWER_NO);
    assert_int_equal(bucket.encrypted, RC_ANSWER_UNKNOWN);
    assert_int_equal(bucket.expires, RC_ANSWER_UNKNOWN);
    assert_string_not_equal(bucket.encrypted_note, "");
    assert_string_not_equal(bucket.expires_note, "");
}

static void removes_a_folder_that_is_empty(void **state)
{
    RC_STR_AUTO at = uri("full/");
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    expect_ok(put("full/file", "text", &err));
    assert_int_equal(core_storage_bucket_remove(storage, at, &err), RC_CONFLICT);
    assert_true(exists("full/file"));
    expect_ok(drop("full/file", &err));
    expect_ok(core_storage_bucket_remove(storage, at, &err));
    assert_false(exists("full"));
    assert_int_equal(core_storage_bucket_remove(storage, at, &err), RC_NOT_FOUND);
}

static void knows_who_gets_at_a_folder(void **state)
{
    RC_STR_AUTO at = uri("out/in");
    struct rc_error err = RC_ERROR_INIT;
    struct rc_bucket bucket;

    (void)state;
    assert_int_equal(chmod(folder, 0755), 0);
    expect_ok(core_storage_bucket_create(storage, at, &err));
    set_mode("out", 0711);
    set_mode("out/in", 0750);
    assert_int_equal(look("out/in").is_public, RC_ANSWER_NO);
    set_mode("out/in", 0755);
    bucket = look("out/in");
    assert_int_equal(bucket.is_public, RC_ANSWER_YES);
    assert_string_equal(bucket.public_note, "its mode is 0755");
    set_mode("out/in", 0701);
    assert_int_equal(look("out/in").is_public, RC_ANSWER_YES);
    /* Nobody comes by. */
    set_mode("out", 0710);
    set_mode("out/in", 0755);
    bucket = look("out/in");
    assert_int_equal(bucket.is_public, RC_ANSWER_NO);
    assert_string_equal(bucket.public_note, "");
    /* A link is as open as the way behind it. */
    RC_STR_AUTO link = path("link");
    RC_STR_AUTO target = path("out/in");
    assert_int_equal(symlink(target, link), 0);
    assert_int_equal(look("link").is_public, RC_ANSWER_NO);
    set_mode("out", 0711);
    assert_int_equal(look("link").is_public, RC_ANSWER_YES);
}

static void what_is_no_folder_is_no_bucket(void **state)
{
    struct rc_error err = RC_ERROR_INIT;
    struct rc_bucket bucket;
    RC_STR_AUTO file = uri("file");
    RC_STR_AUTO below = uri("file/below");

    (void)state;
    expect_ok(put("file", "text", &err));
    assert_int_equal(core_storage_bucket_look(storage, file, &bucket, &err), RC_INVALID);
    assert_non_null(strstr(err.cause, "not a folder"));
    assert_int_equal(look("file/below").exists, RC_ANSWER_NO);
    assert_int_not_equal(core_storage_bucket_create(storage, below, &err), RC_OK);
}

static void a_mapped_bucket_is_the_folder_that_it_is_mapped_to(void **state)
{
    RC_STR_AUTO where = path("mapped/here");
    RC_STR_AUTO url = uri("mapped/here");
    const struct core_store_settings store = { .name = "x", .bucket = "bkt", .url = url };
    struct core_storage *mapped = core_storage_new(&store, 1, NULL, NULL);
    struct rc_error err = RC_ERROR_INIT;
    struct rc_bucket bucket;

    (void)state;
    expect_ok(core_storage_bucket_create(mapped, "s3://bkt/some/object", &err));
    expect_ok(core_storage_bucket_look(mapped, "s3://bkt/other", &bucket, &err));
    assert_string_equal(bucket.name, where);
    assert_int_equal(bucket.exists, RC_ANSWER_YES);
    assert_false(exists("mapped/here/some"));
    core_storage_free(mapped);
}

static void what_a_folder_cannot_is_unsupported(void **state)
{
    struct rc_error err = RC_ERROR_INIT;
    RC_STR_AUTO at = uri("");

    (void)state;
    assert_int_equal(core_storage_bucket_encrypt(storage, at, &err), RC_UNSUPPORTED);
    assert_non_null(strstr(err.cause, "encrypt the bucket of 'file://"));
    assert_int_equal(core_storage_bucket_expire(storage, at, 14, &err), RC_UNSUPPORTED);
}

static void a_uri_that_is_none_has_no_bucket(void **state)
{
    struct rc_error err = RC_ERROR_INIT;
    struct rc_bucket bucket = { .exists = RC_ANSWER_YES };

    (void)state;
    assert_int_equal(core_storage_bucket_look(storage, "nothing", &bucket, &err), RC_INVALID);
    assert_int_equal(bucket.exists, RC_ANSWER_UNKNOWN);
    assert_int_equal(core_storage_bucket_create(storage, "s3://bkt/", &err), RC_UNSUPPORTED);
    assert_int_equal(core_storage_bucket_encrypt(storage, "ftp://x/", &err), RC_UNSUPPORTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(makes_a_folder_that_only_its_owner_enters, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(removes_a_folder_that_is_empty, set_up, tear_down),
        cmocka_unit_test_setup_teardown(knows_who_gets_at_a_folder, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_no_folder_is_no_bucket, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_mapped_bucket_is_the_folder_that_it_is_mapped_to, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_a_folder_cannot_is_unsupported, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_uri_that_is_none_has_no_bucket, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
