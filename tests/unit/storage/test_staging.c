/*
 * Copies of remote objects. The remote store is a mapped bucket here: staging does not ask what is
 * behind a URI.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <os/file.h>
#include <storage/staging.h>

#include <run-core/str.h>

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct fixture {
    char folder[64];
    char *bucket_url, *parent;
    struct core_store_settings store;
    struct core_storage *storage;
    struct core_staging *staging;
    double progress;
};

static void note_progress(void *context, double fraction)
{
    ((struct fixture *)context)->progress = fraction;
}

static void open_staging(struct fixture *f, int64_t limit_bytes)
{
    const struct core_staging_settings settings = {
        .storage = f->storage,
        .parent = f->parent,
        .limit_bytes = limit_bytes,
        .limit_name = "the limit",
        .on_progress = note_progress,
        .progress_context = f,
    };
    struct rc_error err = RC_ERROR_INIT;

    core_staging_free(f->staging);
    if (core_staging_new(&settings, &f->staging, &err))
        fail_msg("%s: %s", err.context, err.cause);
}

static int set_up(void **state)
{
    struct fixture *f = rc_calloc(1, sizeof(*f));

    memcpy(f->folder, "/tmp/rc-staging-XXXXXX", sizeof("/tmp/rc-staging-XXXXXX"));
    assert_non_null(mkdtemp(f->folder));
    f->bucket_url = rc_strf("file://%s/bucket", f->folder);
    f->parent = rc_strf("%s/here", f->folder);
    f->store = (struct core_store_settings){ .name = "b", .bucket = "b", .url = f->bucket_url };
    f->storage = core_storage_new(&f->store, 1, NULL, NULL);
    open_staging(f, 0);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    struct rc_error err = RC_ERROR_INIT;

    core_staging_free(f->staging);
    core_storage_free(f->storage);
    assert_int_equal(core_tree_remove(f->folder, &err), RC_OK);
    free(f->bucket_url);
    free(f->parent);
    free(f);
    return 0;
}

static void put(struct fixture *f, const char *uri, const char *text)
{
    struct rc_error err = RC_ERROR_INIT;

    if (core_storage_put(f->storage, uri, text, strlen(text), NULL, &err))
        fail_msg("%s: %s", err.context, err.cause);
}

/* "NAME=CONTENT " for each object that begins with the prefix. */
static void add_objects(struct fixture *f, const char *prefix, struct rc_buf *out)
{
    struct rc_error err = RC_ERROR_INIT;
    const struct rc_object *object;
    struct rc_listing *listing;

    rc_buf_reset(out);
    assert_int_equal(core_storage_list(f->storage, prefix, NULL, &listing, &err), RC_OK);
    while (core_listing_next(listing, &object, &err) == RC_OK && object) {
        rc_buf_addf(out, "%s=", object->name);
        assert_int_equal(core_storage_get(f->storage, object->uri, out, &err), RC_OK);
        rc_buf_addc(out, ' ');
    }
    core_listing_close(listing);
}

static struct core_staged *fetch(struct fixture *f, const char *location,
                                 bool (*wants)(const char *name))
{
    struct rc_error err = RC_ERROR_INIT;
    struct core_staged *staged = NULL;

    if (core_staging_fetch(f->staging, &location, 1, wants, &staged, &err))
        fail_msg("%s: %s", err.context, err.cause);
    return staged;
}

static enum rc_code try_fetch(struct fixture *f, const char *location, struct rc_error *err)
{
    struct core_staged *staged;

    return core_staging_fetch(f->staging, &location, 1, NULL, &staged, err);
}

/* The contents of all copies, with a blank behind each. */
static void add_copies(const struct core_staged *staged, struct rc_buf *out)
{
    struct rc_error err = RC_ERROR_INIT;
    const char *path;

    rc_buf_reset(out);
    for (size_t i = 0; (path = core_staged_path(staged, i)) != NULL; i++) {
        assert_int_equal(core_file_read(path, out, &err), RC_OK);
        rc_buf_addc(out, ' ');
    }
}

static size_t count_entries(const char *folder)
{
    DIR *dir = opendir(folder);
    size_t count = 0;

    assert_non_null(dir);
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;)
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    (void)closedir(dir);
    return count;
}

/* ---- to read -------------------------------------------------------------------------------- */

static bool is_csv(const char *name)
{
    return rc_str_ends(name, ".csv");
}

static void a_folder_is_fetched(void **state)
{
    struct fixture *f = *state;
    RC_BUF_AUTO(copies, 4096);

    put(f, "s3://b/in/p=1/b.csv", "two");
    put(f, "s3://b/in/a.csv", "one");
    put(f, "s3://b/in/skipped.txt", "no");
    put(f, "s3://b/inner.csv", "no");
    struct core_staged *staged = fetch(f, "s3://b/in/", is_csv);
    add_copies(staged, &copies);
    assert_string_equal(copies.data, "one two ");
    assert_true(rc_str_ends(core_staged_path(staged, 1), "/s3/b/in/p=1/b.csv"));
    assert_true(f->progress > 0.99);
    add_copies(fetch(f, "s3://b/none/", NULL), &copies);
    assert_string_equal(copies.data, "");
}

static void a_single_object_is_fetched(void **state)
{
    struct fixture *f = *state;
    RC_BUF_AUTO(copies, 4096);

    put(f, "s3://b/a", "one");
    put(f, "s3://b/ab", "two");
    add_copies(fetch(f, "s3://b/a", NULL), &copies);
    assert_string_equal(copies.data, "one ");
    add_copies(fetch(f, "s3://b/none", NULL), &copies);
    assert_string_equal(copies.data, "");
}

static void locations_are_fetched_together(void **state)
{
    static const char *const locations[] = { "s3://b/x/", "s3://b/none/", "s3://b/y/2",
                                             "s3://b/x/1" };
    static const char *const wanted[] = { "12345 1234 ", "", "12 ", "12345 " };
    struct core_staged *staged[RC_ARRAY_LEN(locations)];
    struct fixture *f = *state;
    struct rc_error err = RC_ERROR_INIT;
    RC_BUF_AUTO(copies, 4096);

    put(f, "s3://b/x/1", "12345");
    put(f, "s3://b/x/2", "1234");
    put(f, "s3://b/y/2", "12");
    open_staging(f, 10);
    assert_int_equal(core_staging_fetch(f->staging, locations, 4, NULL, staged, &err),
                     RC_TOO_LARGE);
    assert_non_null(strstr(err.cause, "to read 's3://b/x/' and 3 other locations, 11 B have to"));
    /* Nothing was fetched, and nothing of it counts. */
    open_staging(f, 11);
    assert_int_equal(try_fetch(f, "s3://b/x/", &err), RC_OK);
    open_staging(f, 11);
    assert_int_equal(core_staging_fetch(f->staging, locations, 4, NULL, staged, &err), RC_OK);
    for (size_t i = 0; i < RC_ARRAY_LEN(locations); i++) {
        add_copies(staged[i], &copies);
        assert_string_equal(copies.data, wanted[i]);
    }
    assert_int_equal(core_staging_fetch(f->staging, locations, 4, NULL, staged, &err), RC_OK);
}

static void copies_stay_as_they_were(void **state)
{
    struct fixture *f = *state;
    RC_BUF_AUTO(copies, 4096);

    put(f, "s3://b/in/a", "one");
    put(f, "s3://b/in/b", "same");
    struct core_staged *before = fetch(f, "s3://b/in/", NULL);
    put(f, "s3://b/in/a", "two");
    struct core_staged *after = fetch(f, "s3://b/in/", NULL);
    add_copies(before, &copies);
    assert_string_equal(copies.data, "one same ");
    add_copies(after, &copies);
    assert_string_equal(copies.data, "two same ");
    core_staged_release(f->staging, before);
    add_copies(after, &copies);
    assert_string_equal(copies.data, "two same ");
}

static void the_budget_counts_each_object_once(void **state)
{
    struct fixture *f = *state;
    struct rc_error err = RC_ERROR_INIT;
    struct core_staged *staged;

    open_staging(f, 10);
    put(f, "s3://b/x/1", "12345");
    put(f, "s3://b/x/2", "1234");
    put(f, "s3://b/y/1", "12");
    staged = fetch(f, "s3://b/x/", NULL);
    struct core_staged *again = fetch(f, "s3://b/x/", NULL);
    (void)fetch(f, "s3://b/x/1", NULL);
    assert_int_equal(try_fetch(f, "s3://b/y/", &err), RC_TOO_LARGE);
    assert_non_null(strstr(err.cause, "to read 's3://b/y/', 2 B have to be copied"));
    assert_non_null(strstr(err.cause, "9 B of 10 B are in use"));
    assert_non_null(strstr(err.cause, "raise the limit"));
    core_staged_release(f->staging, staged);
    assert_int_equal(try_fetch(f, "s3://b/y/", &err), RC_TOO_LARGE);
    core_staged_release(f->staging, again);
    core_staged_release(f->staging, fetch(f, "s3://b/y/", NULL));
}

static bool is_same_file(const char *a, const char *b)
{
    struct stat one, other;

    return stat(a, &one) == 0 && stat(b, &other) == 0 && one.st_ino == other.st_ino;
}

static void copies_are_kept_while_there_is_room(void **state)
{
    struct fixture *f = *state;
    struct core_staged *staged;

    open_staging(f, 10);
    put(f, "s3://b/x/1", "12345");
    put(f, "s3://b/y/1", "1234");
    put(f, "s3://b/z/1", "12");
    RC_STR_AUTO x = rc_strf("%s", core_staged_path(staged = fetch(f, "s3://b/x/", NULL), 0));
    core_staged_release(f->staging, staged);
    RC_STR_AUTO y = rc_strf("%s", core_staged_path(staged = fetch(f, "s3://b/y/", NULL), 0));
    core_staged_release(f->staging, staged);
    assert_int_equal(access(x, F_OK), 0);

    /* The same again is another name of what was kept, whose own name is not needed then. */
    RC_STR_AUTO kept = rc_strf("%s/kept", f->folder);
    assert_int_equal(link(x, kept), 0);
    staged = fetch(f, "s3://b/x/1", NULL);
    assert_true(is_same_file(core_staged_path(staged, 0), kept));
    core_staged_release(f->staging, staged);

    /* Room is made by what was released longest ago. */
    core_staged_release(f->staging, fetch(f, "s3://b/z/", NULL));
    assert_int_equal(access(core_staged_path(fetch(f, "s3://b/x/1", NULL), 0), F_OK), 0);
    assert_int_equal(access(y, F_OK), -1);
}

static void what_cannot_be_a_file_is_said(void **state)
{
    struct fixture *f = *state;
    struct rc_error err = RC_ERROR_INIT;

    put(f, "s3://b/in/a", "x");
    assert_int_equal(try_fetch(f, "s3://b//in/a", &err), RC_UNSUPPORTED);
    assert_int_equal(try_fetch(f, "in/a", &err), RC_INVALID);

    /* Among others, too, and then again without it. */
    static const char *const locations[] = { "s3://b/in/", "s3://b//in/a", "s3://b/in/a" };
    struct core_staged *staged[RC_ARRAY_LEN(locations)];
    assert_int_equal(core_staging_fetch(f->staging, locations, 3, NULL, staged, &err),
                     RC_UNSUPPORTED);
    assert_non_null(strstr(err.cause, "s3://b//in/a"));
    assert_int_equal(core_staging_fetch(f->staging, locations, 1, NULL, staged, &err), RC_OK);
}

static void nothing_remains(void **state)
{
    struct fixture *f = *state;

    put(f, "s3://b/in/a", "x");
    (void)fetch(f, "s3://b/in/", NULL);
    assert_int_equal(count_entries(f->parent), 1);
    core_staging_free(f->staging);
    f->staging = NULL;
    assert_int_equal(count_entries(f->parent), 0);
}

/* What a killed process has left holds no lock. */
static void what_was_left_is_removed(void **state)
{
    struct fixture *f = *state;
    RC_STR_AUTO left = rc_strf("%s/run-core-copies.abc123/1", f->parent);
    RC_STR_AUTO other = rc_strf("%s/mine", f->parent);
    struct core_staging *second = NULL;
    struct rc_error err = RC_ERROR_INIT;

    assert_int_equal(core_dir_make(left, 0700, &err), RC_OK);
    assert_int_equal(core_dir_make(other, 0700, &err), RC_OK);
    assert_int_equal(count_entries(f->parent), 3);
    const struct core_staging_settings settings = { .storage = f->storage,
                                                    .parent = f->parent,
                                                    .limit_name = "" };
    assert_int_equal(core_staging_new(&settings, &second, &err), RC_OK);
    assert_int_equal(count_entries(f->parent), 3); /* both live ones, and what is not ours */
    assert_int_equal(access(left, F_OK), -1);
    core_staging_free(second);
}

static void messages_name_objects(void **state)
{
    struct fixture *f = *state;
    RC_BUF_AUTO(text, 4096);
    RC_BUF_AUTO(place, 4096);
    struct rc_error err = RC_ERROR_INIT;

    put(f, "s3://b/in/p=1/a", "x");
    struct core_staged *staged = fetch(f, "s3://b/in/", NULL);
    RC_STR_AUTO said = rc_strf("file '%s' is bad, so is %s", core_staged_path(staged, 0),
                               core_staged_path(staged, 0));
    core_staging_add_text(f->staging, said, &text);
    assert_string_equal(text.data, "file 's3://b/in/p=1/a' is bad, so is s3://b/in/p=1/a");
    rc_buf_reset(&text);
    assert_int_equal(core_staging_place(f->staging, "s3://b/out/", &place, &err), RC_OK);
    core_staging_add_text(f->staging, place.data, &text);
    assert_string_equal(text.data, place.data);
}

/* ---- to write ------------------------------------------------------------------------------- */

/* Writes "NAME" with content "CONTENT" at the place for the location. */
static void write_file(const char *place, const char *name, const char *content)
{
    RC_STR_AUTO path = rc_strf("%s/%s", place, name);
    struct rc_error err = RC_ERROR_INIT;
    RC_STR_AUTO folder = rc_strdup(path);

    *strrchr(folder, '/') = '\0';
    assert_int_equal(core_dir_make(folder, 0700, &err), RC_OK);
    assert_int_equal(core_file_write(path, content, strlen(content), 0600, &err), RC_OK);
}

static enum rc_code publish(struct fixture *f, const char *location, const char *const *files,
                            struct rc_error *err)
{
    RC_BUF_AUTO(place, 4096);
    enum rc_code code;

    assert_int_equal(core_staging_place(f->staging, location, &place, err), RC_OK);
    assert_int_equal(core_dir_make(place.data, 0700, err), RC_OK);
    for (; files[0]; files += 2)
        write_file(place.data, files[0], files[1]);
    code = core_staging_publish(f->staging, place.data, location, err);
    core_staging_discard(f->staging, place.data);
    assert_int_equal(access(place.data, F_OK), -1);
    return code;
}

static void a_folder_is_replaced(void **state)
{
    static const char *const first[] = { "p=1/data_0.csv.gz", "one", "p=2/data_0.csv.gz", "two",
                                         NULL };
    static const char *const second[] = { "p=1/data_0.csv.gz", "one", "p=3/data_0.csv.gz", "three",
                                          NULL };
    static const char *const none[] = { NULL };
    struct fixture *f = *state;
    struct rc_error err = RC_ERROR_INIT;
    RC_BUF_AUTO(objects, 4096);
    struct rc_stat before, after;

    put(f, "s3://b/out/older", "old");
    put(f, "s3://b/outer", "stays");
    assert_int_equal(publish(f, "s3://b/out/", first, &err), RC_OK);
    add_objects(f, "s3://b/", &objects);
    /* The names have the first digits of SHA-256 of the content. */
    assert_string_equal(objects.data, "out/p=1/data_0-7692c3ad3540bb803c02.csv.gz=one "
                                      "out/p=2/data_0-3fc4ccfe745870e2c0d9.csv.gz=two "
                                      "outer=stays ");
    assert_int_equal(core_storage_stat(f->storage,
                                       "s3://b/out/p=1/data_0-7692c3ad3540bb803c02.csv.gz", &before,
                                       &err),
                     RC_OK);

    assert_int_equal(publish(f, "s3://b/out/", second, &err), RC_OK);
    add_objects(f, "s3://b/out/", &objects);
    assert_string_equal(objects.data, "p=1/data_0-7692c3ad3540bb803c02.csv.gz=one "
                                      "p=3/data_0-8b5b9db0c13db24256c8.csv.gz=three ");
    assert_int_equal(core_storage_stat(f->storage,
                                       "s3://b/out/p=1/data_0-7692c3ad3540bb803c02.csv.gz", &after,
                                       &err),
                     RC_OK);
    assert_string_equal(before.etag, after.etag); /* it was not written again */

    assert_int_equal(publish(f, "s3://b/out/", none, &err), RC_OK);
    add_objects(f, "s3://b/out/", &objects);
    assert_string_equal(objects.data, "");
}

static void a_failure_leaves_the_old_set(void **state)
{
    static const char *const files[] = {
        "a/data_0.csv", "new", "blocked/data_0.csv", "new", "z/data_0.csv", "new", NULL
    };
    struct fixture *f = *state;
    struct rc_error err = RC_ERROR_INIT;
    RC_BUF_AUTO(objects, 4096);

    put(f, "s3://b/out/a/data_0-old.csv", "old");
    put(f, "s3://b/out/blocked", "an object where a folder is needed");
    assert_int_not_equal(publish(f, "s3://b/out/", files, &err), RC_OK);
    assert_non_null(strstr(err.context, "publish 's3://b/out/'"));
    add_objects(f, "s3://b/out/", &objects);
    assert_string_equal(objects.data,
                        "a/data_0-old.csv=old blocked=an object where a folder is needed ");
}

static void a_single_object_is_replaced(void **state)
{
    struct fixture *f = *state;
    struct rc_error err = RC_ERROR_INIT;
    RC_BUF_AUTO(place, 4096);
    RC_BUF_AUTO(objects, 4096);

    put(f, "s3://b/out.csv", "old");
    assert_int_equal(core_staging_place(f->staging, "s3://b/out.csv", &place, &err), RC_OK);
    assert_int_equal(core_file_write(place.data, "new", 3, 0600, &err), RC_OK);
    assert_int_equal(core_staging_publish(f->staging, place.data, "s3://b/out.csv", &err), RC_OK);
    core_staging_discard(f->staging, place.data);
    add_objects(f, "s3://b/", &objects);
    assert_string_equal(objects.data, "out.csv=new ");
}

/* What is written counts with what was fetched, of which only what nobody needs makes room. */
static void what_is_written_counts(void **state)
{
    struct fixture *f = *state;
    struct rc_error err = RC_ERROR_INIT;
    RC_BUF_AUTO(place, 4096);
    struct core_staged *needed;

    put(f, "s3://b/x", "12345");
    put(f, "s3://b/y", "1234");
    open_staging(f, 10);
    (void)fetch(f, "s3://b/x", NULL);
    (void)fetch(f, "s3://b/y", NULL);
    assert_int_equal(core_staging_place(f->staging, "s3://b/out/", &place, &err), RC_OK);
    write_file(place.data, "p=1/a", "12");
    assert_int_equal(core_staging_check_room(f->staging, place.data, &err), RC_TOO_LARGE);
    assert_non_null(strstr(err.cause, "2 B have been written by now"));
    assert_non_null(strstr(err.cause, "9 B of 10 B are in use"));
    assert_non_null(strstr(err.cause, "raise the limit"));
    core_staging_discard(f->staging, place.data);
    assert_int_equal(core_staging_check_room(f->staging, place.data, &err), RC_OK);

    open_staging(f, 10);
    needed = fetch(f, "s3://b/x", NULL);
    core_staged_release(f->staging, fetch(f, "s3://b/y", NULL));
    rc_buf_reset(&place);
    assert_int_equal(core_staging_place(f->staging, "s3://b/out/", &place, &err), RC_OK);
    write_file(place.data, "p=1/a", "12345");
    assert_int_equal(core_staging_check_room(f->staging, place.data, &err), RC_OK);
    assert_int_equal(access(core_staged_path(needed, 0), F_OK), 0);
    assert_int_equal(try_fetch(f, "s3://b/y", &err), RC_TOO_LARGE);
    core_staging_discard(f->staging, place.data);
    assert_int_equal(try_fetch(f, "s3://b/y", &err), RC_OK);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_folder_is_fetched),
        TEST(a_single_object_is_fetched),
        TEST(locations_are_fetched_together),
        TEST(copies_stay_as_they_were),
        TEST(the_budget_counts_each_object_once),
        TEST(copies_are_kept_while_there_is_room),
        TEST(what_cannot_be_a_file_is_said),
        TEST(nothing_remains),
        TEST(what_was_left_is_removed),
        TEST(messages_name_objects),
        TEST(a_folder_is_replaced),
        TEST(a_failure_leaves_the_old_set),
        TEST(a_single_object_is_replaced),
        TEST(what_is_written_counts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
