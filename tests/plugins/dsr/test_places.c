/*
 * Where everything of dsr lies: slashes never matter, the archive keeps what it is told to, and
 * folders that would be taken for one another are refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <run-core/fake_host.h>

#include <places.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A configuration of one table. */
struct given {
    struct dsr_config config;
    struct dsr_table table;
};

static void give(struct given *given, const char *markers, const char *archive,
                 const char *archived_after, const char *temp, const char *folder)
{
    *given = (struct given){
        .table = { .name = "users", .folder = folder, .bucket = "lake" },
        .config = { .markers_folder = markers,
                    .archive_folder = archive,
                    .archived_after = archived_after,
                    .temp_folder = temp },
    };
    given->config.tables = (struct rc_objects){ 1, &given->table };
}

static void assert_text(char *text, const char *wanted)
{
    assert_string_equal(text, wanted);
    free(text);
}

static void test_the_seeds_configuration(void **state)
{
    (void)state;
    struct given given;
    struct dsr_places places;
    struct rc_error err = RC_ERROR_INIT;
    const char *marker = "file:///usr/src/app/data/lake/userDeletionRequests/DbDumps/HelloWorld/"
                         "shard=7/day=2021-06-01/_user_u1_day_2021-06-09";

    give(&given, "/usr/src/app/data/lake/userDeletionRequests/DbDumps/HelloWorld/",
         "/usr/src/app/data/lake/userDeletionRequests/DbDumps/processed/HelloWorld/", "HelloWorld/",
         "dsr-temp/HelloWorld/", "usersdb/users_pi/HelloWorld/");
    given.config.target_bucket = "lake-pi";
    assert_int_equal(dsr_check_config(&given.config, &err), RC_OK);
    assert_int_equal(dsr_places_make(&given.config, "/w", &places, &err), RC_OK);
    assert_string_equal(places.tables[0], "s3://lake/usersdb/users_pi/HelloWorld/");
    assert_string_equal(places.temps[0], "s3://lake-pi/dsr-temp/HelloWorld/");
    assert_int_equal(strlen(places.scope), 16);
    assert_text(dsr_place_shard(places.markers, 7),
                "file:///usr/src/app/data/lake/userDeletionRequests/DbDumps/HelloWorld/shard=7/");
    assert_text(dsr_place_archived(&places, marker),
                "file:///usr/src/app/data/lake/userDeletionRequests/DbDumps/processed/HelloWorld/"
                "shard=7/day=2021-06-01/_user_u1_day_2021-06-09");
    assert_text(dsr_place_backup(&places, 0, "ab"), "s3://lake-pi/dsr-temp/HelloWorld/backup/ab");
    assert_text(dsr_place_report(&places, "r.jsonl"),
                "file:///usr/src/app/data/lake/userDeletionRequests/DbDumps/processed/HelloWorld/"
                "dsr-report/r.jsonl");
    dsr_places_clear(&places);
}

static void test_slashes_never_matter(void **state)
{
    (void)state;
    static const char *const markers[] = { "/m/x", "/m/x/", "//m//x//", "file:///m/x",
                                           "file:///m//x//" };
    static const char *const keys[] = { "users",     "/users",          "users/",
                                        "//users//", "s3://lake/users", "s3://lake//users//" };
    static const char *const parts[] = { "m", "/m", "m/", "//m//" };
    char scope[17] = "";

    for (size_t i = 0; i < RC_ARRAY_LEN(markers); i++)
        for (size_t j = 0; j < RC_ARRAY_LEN(keys); j++)
            for (size_t k = 0; k < RC_ARRAY_LEN(parts); k++) {
                struct given given;
                struct dsr_places places;
                struct rc_error err = RC_ERROR_INIT;

                give(&given, markers[i], "/a", parts[k], "/dsr-temp//x/", keys[j]);
                assert_int_equal(dsr_places_make(&given.config, "/w", &places, &err), RC_OK);
                assert_string_equal(places.markers, "file:///m/x/");
                assert_string_equal(places.archive, "file:///a/");
                assert_string_equal(places.tables[0], "s3://lake/users/");
                /* The table's own bucket. */
                assert_string_equal(places.temps[0], "s3://lake/dsr-temp/x/");
                assert_text(dsr_place_archived(&places, "file:///m/x/y"), "file:///a/x/y");
                if (scope[0] == '\0')
                    memcpy(scope, places.scope, sizeof(scope));
                assert_string_equal(places.scope, scope);
                dsr_places_clear(&places);
            }
}

static void test_relative_paths(void **state)
{
    (void)state;
    struct given given;
    struct dsr_places places;
    struct rc_error err = RC_ERROR_INIT;

    /* The directory that they are relative to may hold the same word. */
    give(&given, "requests/app", "done", "app", "temp", "users");
    given.table.bucket = NULL;
    assert_int_equal(dsr_places_make(&given.config, "/srv/app", &places, &err), RC_OK);
    assert_string_equal(places.markers, "file:///srv/app/requests/app/");
    assert_string_equal(places.tables[0], "file:///srv/app/users/");
    assert_string_equal(places.temps[0], "file:///srv/app/temp/");
    assert_text(dsr_place_archived(&places, "file:///srv/app/requests/app/y"),
                "file:///srv/app/done/y");
    dsr_places_clear(&places);
    give(&given, "requests", "done", "app", "temp", "users");
    assert_int_equal(dsr_places_make(&given.config, "/srv/app", &places, &err), RC_INVALID);
    assert_int_equal(dsr_check_config(&given.config, &err), RC_INVALID);
}

/* What the archive keeps of "/d/ab/b/ab/shard=1/x". */
static void test_the_archived_part(void **state)
{
    (void)state;
    static const struct {
        const char *after, *archived; /* NULL: refused */
    } cases[] = {
        { NULL, "shard=1/x" },
        { "", "shard=1/x" },
        { "/", "shard=1/x" },
        { "d", "ab/b/ab/shard=1/x" },
        { "ab", "b/ab/shard=1/x" }, /* where it first occurs */
        { "b", "ab/shard=1/x" },
        { "b/ab", "shard=1/x" },
        { "b//ab/", "shard=1/x" },
        { "a", NULL },
        { "d/b", NULL },
        { "ab/b/ab/shard=1", NULL },
        { "shard=1", NULL },
    };

    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        struct given given;
        struct dsr_places places;
        struct rc_error err = RC_ERROR_INIT;

        give(&given, "/d/ab/b/ab", "/z", cases[i].after, "t", "users");
        if (!cases[i].archived) {
            assert_int_equal(dsr_places_make(&given.config, "/w", &places, &err), RC_INVALID);
            assert_non_null(strstr(err.cause, "archivedPartAfter"));
            continue;
        }
        assert_int_equal(dsr_places_make(&given.config, "/w", &places, &err), RC_OK);
        RC_STR_AUTO wanted = rc_strf("file:///z/%s", cases[i].archived);
        assert_text(dsr_place_archived(&places, "file:///d/ab/b/ab/shard=1/x"), wanted);
        dsr_places_clear(&places);
    }
}

static void test_folders_in_one_another(void **state)
{
    (void)state;
    static const struct {
        const char *markers, *archive, *after, *temp, *folder;
        bool fits;
    } cases[] = {
        { "/m", "/a", NULL, "/t", "/u", true },
        { "/m", "/m", NULL, "/t", "/u", false },      /* the archive is the markers' folder, */
        { "/m", "/m/done", NULL, "/t", "/u", false }, /* lies in it, */
        { "/m", "/m/.done", NULL, "/t", "/u", true }, /* but is not looked at, */
        { "/d/m", "/d", "d", "/t", "/u", false },     /* leads back to it, */
        { "/d/m", "/d", NULL, "/t", "/u", true },     /* or does not */
        { "/a/dsr-report", "/a", NULL, "/t", "/u", false },
        { "/m", "/mm", NULL, "/t", "/u", true }, /* a name that only begins alike */
        { "/m", "/a", NULL, "/m/t", "/u", false },
        { "/m", "/a", NULL, "/m/.t", "/u", true },
        { "/m", "/a", NULL, "/a/t", "/u", true },
        { "/m", "/a", NULL, "/u/t", "/u", false },
        { "/m", "/a", NULL, "/u/.t", "/u", false }, /* others may well read what is hidden */
        { "/m", "/a", NULL, "/u", "/u", false },
        { "/m", "/a", NULL, "/t", "/t/backup", false },
        { "/m", "/a", NULL, "/t", "/t/u", true },
        { "/m", "/u/a", NULL, "/t", "/u", false },
        { "/m", "/u", NULL, "/t", "/u", false },
        { "/m", "/a", NULL, "/t", "/a/u", true },
        { "/x/m", "/a", "x", "/t", "/a/m", false },
        { "/m", "/a", NULL, "/t", "/a/dsr-report", false },
        { "/m", "/a", NULL, "/t", "/m", false },
        { "/m", "/a", NULL, "/t", "/m/u", false },
        { "/u/m", "/a", NULL, "/t", "/u", true },
    };

    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        struct given given;
        struct dsr_places places;
        struct rc_error err = RC_ERROR_INIT;

        give(&given, cases[i].markers, cases[i].archive, cases[i].after, cases[i].temp,
             cases[i].folder);
        given.table.bucket = NULL;
        if (dsr_check_config(&given.config, &err) != (cases[i].fits ? RC_OK : RC_INVALID))
            fail_msg("case %zu: %s", i, err.cause);
        if (dsr_places_make(&given.config, "/w", &places, &err) == RC_OK)
            dsr_places_clear(&places);
        else
            assert_false(cases[i].fits);
    }
}

static void test_names_twice(void **state)
{
    (void)state;
    struct dsr_table tables[2] = { { .name = "a", .folder = "/x" },
                                   { .name = "a", .folder = "/y" } };
    struct dsr_config config = {
        .markers_folder = "/m", .archive_folder = "/a", .temp_folder = "/t", .tables = { 2, tables }
    };
    struct rc_error err = RC_ERROR_INIT;

    assert_int_equal(dsr_check_config(&config, &err), RC_INVALID);
    assert_non_null(strstr(err.cause, "twice"));
}

/* 'at' is given, and whether it is right; what is said of it names 'option'. */
static void check_given(struct given *given, const char **at, const char *text, bool fits,
                        const char *option)
{
    const char *before = *at;
    struct rc_error err = RC_ERROR_INIT;

    *at = text;
    if (dsr_check_config(&given->config, &err) != (fits ? RC_OK : RC_INVALID))
        fail_msg("%s '%s': %s", option, text, err.cause);
    if (!fits && (!strstr(err.cause, option) || !strstr(err.cause, text)))
        fail_msg("%s '%s': %s", option, text, err.cause);
    *at = before;
}

static void test_buckets(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool fits;
    } cases[] = {
        { "", true },
        { "lake", true },
        { "My_lake.2-a", true },
        { "tenant:lake", true },
        { "lake/below", true },
        { "s3://lake", true },
        { "gs://lake/x", true },
        { "lake/year=2026, a b", true },
        { "s3://lake/k\xc3\xa4se+1", true },
        { "s3://a b/x", false },
        { "file:///srv/a b", true },
        { "a b", false },
        { " lake", false },
        { "lake\n", false },
        { "lake?x", false },
        { "s3://a b", false },
        { "l\xc3\xa4ke", false },
        { "${BUCKET}", false },
    };

    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        struct given given;

        give(&given, "/m", "/a", NULL, "t", "users");
        check_given(&given, &given.config.target_bucket, cases[i].name, cases[i].fits,
                    "targetS3Bucket");
        check_given(&given, &given.table.bucket, cases[i].name, cases[i].fits, "sourceS3Bucket");
    }
}

static void test_columns(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool fits;
    } cases[] = {
        { "id", true },      { "account.id", true }, { "a.b.c", true },
        { "user id", true }, { "a..b", false },      { ".a", false },
        { "a.", false },     { ".", false },         { "", false },
    };
    struct given given;

    give(&given, "/m", "/a", NULL, "t", "users");
    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        const char *columns[] = { "first", cases[i].name };

        given.table.id_columns = (struct rc_strs){ 2, columns };
        check_given(&given, &columns[1], cases[i].name, cases[i].fits, "userIdColumn");
    }
}

static void test_shards(void **state)
{
    (void)state;
    const char *items[] = { "7", "0-2", "40-40" },
               *bad[] = { "", "-1", "x", "7-", "9-8", "1-2-3", "99999999999", "+7", " 7" };
    const struct rc_strs shards = { RC_ARRAY_LEN(items), items }, none = { 0, NULL };
    struct rc_error err = RC_ERROR_INIT;

    assert_int_equal(dsr_shards_check(&shards, &err), RC_OK);
    assert_true(dsr_shards_have(&shards, 7) && dsr_shards_have(&shards, 0) &&
                dsr_shards_have(&shards, 2) && dsr_shards_have(&shards, 40));
    assert_false(dsr_shards_have(&shards, 3) || dsr_shards_have(&shards, 8) ||
                 dsr_shards_have(&shards, 41));
    assert_true(dsr_shards_have(&none, 5));
    for (size_t i = 0; i < RC_ARRAY_LEN(bad); i++)
        assert_int_equal(dsr_shards_check(&(struct rc_strs){ 1, &bad[i] }, &err), RC_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_seeds_configuration),
        cmocka_unit_test(test_slashes_never_matter),
        cmocka_unit_test(test_relative_paths),
        cmocka_unit_test(test_the_archived_part),
        cmocka_unit_test(test_folders_in_one_another),
        cmocka_unit_test(test_names_twice),
        cmocka_unit_test(test_buckets),
        cmocka_unit_test(test_columns),
        cmocka_unit_test(test_shards),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
