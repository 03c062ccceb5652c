/*
 * What an SQL engine elsewhere is asked about a shard's objects, and when its word is taken.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lookup.h"

#include "elsewhere_sql.h"
#include "users_file.h"

#include <stdio.h>
#include <string.h>

#define SHARD "s3://b/t/shard=7/"
#define DAY_1 SHARD "day=2024-10-01/"
#define DAY_2 SHARD "day=2024-10-02/"
#define DAY_3 SHARD "day=2024-10-03/"
#define T(...) ((const char *const[]){ __VA_ARGS__ })

enum { ROWS = 3 };

struct fixture {
    struct rc_fake_host *host;
    struct rc_job *job;
    struct dsr_config config;
    struct dsr_places places;
    struct dsr_engines *engines;
    struct dsr_users *users;
    struct dsr_objects objects;
    struct dsr_looked_up looked;
    struct rc_error err;
};

/* What the engine finds in an object, by the end of its URI. */
struct sight {
    const char *end;
    int64_t rows, users_rows;
};

static bool look(void *context, const char *uri, int64_t *rows, int64_t *users_rows)
{
    for (const struct sight *sight = context; sight && sight->end; sight++)
        if (rc_str_ends(uri, sight->end)) {
            *rows = sight->rows;
            *users_rows = sight->users_rows;
            return true;
        }
    return false;
}

static void begin(struct fixture *f, const char *const *more)
{
    static const char *const settings[] = {
        "markersBaseFolder=s3://b/markers",
        "markersArchiveFolder=s3://b/archive",
        "cleanupTables[0].piTable=events",
        "cleanupTables[0].sourceS3Folder=s3://b/t",
    };
    static struct rc_host base_host;
    static struct rc_job base = {
        .host = &base_host, .run_id = "look-1", .time_zone = "UTC", .log_level = RC_LOG_INFO
    };
    const char *all[16] = { NULL };
    size_t count = RC_ARRAY_LEN(settings);

    memset(f, 0, sizeof(*f));
    base_host.sql = elsewhere_sql_api();
    f->host = rc_fake_host_new(&base);
    f->job = rc_fake_host_job(f->host);
    elsewhere_begin(f->host);
    elsewhere.look = look;
    memcpy(all, settings, sizeof(settings));
    for (size_t i = 0; more[i]; i++)
        all[count++] = more[i];
    if (rc_fake_host_bind(f->host, dsr_options, &f->config, all, &f->err) ||
        dsr_places_make(&f->config, "/look", &f->places, &f->err) ||
        dsr_engines_new(f->job, &f->config, NULL, 4, &f->engines, &f->err))
        fail_msg("%s: %s", f->err.context, f->err.cause);
    f->users = dsr_users_new();
}

static void know(struct fixture *f, const char *const *ids)
{
    for (size_t i = 0; ids[i]; i++)
        assert_int_equal(dsr_users_add(f->users, ids[i], strlen(ids[i]), &f->err), RC_OK);
}

/* Looks through the three days. */
static enum rc_code look_up(struct fixture *f, const struct sight *sights)
{
    const int32_t first_day = 19997; /* 2024-10-01 */
    struct dsr_lookup lookup = {
        .engines = f->engines,
        .config = &f->config,
        .places = &f->places,
        .shard = 7,
        .users = f->users,
        .objects = &f->objects,
        .width = 2,
    };

    elsewhere.context = (void *)(uintptr_t)sights;
    assert_int_equal(dsr_users_freeze(f->users, &f->err), RC_OK);
    assert_int_equal(
        dsr_lake_list(f->job, &f->places, 0, 7, first_day, first_day + 2, &f->objects, &f->err),
        RC_OK);
    return dsr_lookup(f->job, &lookup, &f->looked, &f->err);
}

static void end(struct fixture *f)
{
    dsr_looked_clear(&f->looked);
    dsr_objects_clear(&f->objects);
    dsr_users_free(f->users);
    dsr_engines_free(f->engines);
    dsr_places_clear(&f->places);
    assert_int_equal(rc_fake_host_open_handles(f->host), 0);
    rc_fake_host_free(f->host);
}

/* A file of three rows of one value in each of its columns, which has to be one for its type. */
static void put_columns(struct fixture *f, const char *uri, const struct users_column *columns,
                        size_t count)
{
    struct maker maker;

    (void)users_file(&maker, columns, count, ROWS, ROWS);
    rc_fake_host_put(f->host, uri, maker.bytes.data, maker.bytes.len);
    maker_clear(&maker);
}

static void put(struct fixture *f, const char *uri, const char *path, enum pq_type type)
{
    const char *value = type == PQ_FIXED ? "000102030405060708090a0b0c0d0e0f" : "7";
    const char *const texts[ROWS] = { value, value, value };
    const struct users_column column = { .path = path, .type = type, .texts = texts };

    put_columns(f, uri, &column, 1);
}

static int64_t told(const struct fixture *f, const char *end_of_uri)
{
    for (size_t i = 0; i < f->objects.count; i++)
        if (rc_str_ends(f->objects.items[i].uri, end_of_uri))
            return dsr_looked_rows(&f->looked, i);
    fail_msg("'%s' is not listed", end_of_uri);
    return 0;
}

/* ---- what is asked -------------------------------------------------------------------------- */

static void test_the_days_that_have_data_are_searched(void **state)
{
    static const struct sight sights[] = { { "a", ROWS, 2 },
                                           { "b.parquet", ROWS, 0 },
                                           { .end = NULL } };
    struct fixture f;

    (void)state;
    begin(&f, T("cleanupTables[0].userIdColumn=id", NULL));
    know(&f, T("ada", "it's", "\xc5\xbe", NULL));
    put(&f, DAY_1 "a", "id", PQ_BYTE_ARRAY);
    put(&f, DAY_1 "deeper/b.parquet", "id", PQ_BYTE_ARRAY);
    rc_fake_host_put(f.host, DAY_1 "notes.txt", "not data at all", 15);
    rc_fake_host_put(f.host, DAY_2 "_SUCCESS", "", 0);
    put(&f, DAY_3 "c", "id", PQ_BYTE_ARRAY);
    assert_int_equal(look_up(&f, sights), RC_OK);
    assert_string_equal(elsewhere.asked.data,
                        "load dsr_users id:varchar number:bigint 616461/ 69742773/ c5be/\n"
                        "attach dsr_lake parquet id:varchar by day:date " DAY_1 " " DAY_3 "\n"
                        "search dsr_lake hex(\"id\") IN (SELECT u0.id FROM \"dsr_users\" AS u0 "
                        "WHERE u0.id IS NOT NULL) !" DAY_1 "notes.txt\n");
    assert_int_equal(told(&f, "a"), 2);
    assert_int_equal(told(&f, "b.parquet"), 0);
    assert_int_equal(told(&f, "c"), DSR_NOT_TOLD);
    assert_int_equal(told(&f, "notes.txt"), DSR_NOT_TOLD);
    assert_int_equal(f.looked.unseen, 1);
    assert_int_equal(elsewhere.sessions, 1);
    end(&f);
}

static void test_numbers_are_compared_as_such(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f, T("cleanupTables[0].userIdColumn=[a, b]", NULL));
    know(&f, T("-5", "007", "12", "9223372036854775807", "9223372036854775808", NULL));
    const char *const sevens[ROWS] = { "7", "7", "7" };
    const struct users_column columns[] = {
        { .path = "a", .type = PQ_INT32, .texts = sevens },
        { .path = "b", .type = PQ_INT64, .texts = sevens },
    };
    put_columns(&f, DAY_1 "a", columns, 2);
    assert_int_equal(look_up(&f, NULL), RC_OK);
    assert_string_equal(
        elsewhere.asked.data,
        "load dsr_users id:varchar number:bigint 2d35/-5 303037/ 3132/12 "
        "39323233333732303336383534373735383037/9223372036854775807 "
        "39323233333732303336383534373735383038/\n"
        "attach dsr_lake parquet a:integer b:bigint by day:date " DAY_1 "\n"
        "search dsr_lake CAST(\"a\" AS bigint) IN (SELECT u0.number FROM \"dsr_users\" AS u0 WHERE "
        "u0.number IS NOT NULL) OR CAST(\"b\" AS bigint) IN (SELECT u1.number FROM \"dsr_users\" "
        "AS u1 WHERE u1.number IS NOT NULL)\n");
    end(&f);
}

static void test_parts_of_an_id_are_put_together(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f, T("cleanupTables[0].userIdColumn=[realm, number, realm]",
                "cleanupTables[0].userIdSeparator=:'", NULL));
    know(&f, T("a:'7:'a", NULL));
    const char *const sevens[ROWS] = { "7", "7", "7" };
    const struct users_column columns[] = {
        { .path = "realm", .type = PQ_BYTE_ARRAY, .texts = sevens },
        { .path = "number", .type = PQ_INT64, .texts = sevens },
    };
    put_columns(&f, DAY_2 "a", columns, 2);
    assert_int_equal(look_up(&f, NULL), RC_OK);
    assert_non_null(strstr(elsewhere.asked.data,
                           "attach dsr_lake parquet realm:varchar number:bigint by day:date"));
    assert_non_null(strstr(elsewhere.asked.data,
                           "search dsr_lake (hex(\"realm\") || '3a27' || hex(CAST(\"number\" AS "
                           "varchar)) || '3a27' || hex(\"realm\")) IN (SELECT u0.id FROM "
                           "\"dsr_users\" AS u0 WHERE u0.id IS NOT NULL)\n"));
    end(&f);
}

static void test_a_million_users(void **state)
{
    enum { USERS = 1000000 };
    struct fixture f;

    (void)state;
    begin(&f, T("cleanupTables[0].userIdColumn=id", NULL));
    for (int i = 0; i < USERS; i++) {
        char id[16];
        int len = snprintf(id, sizeof(id), "user-%d", i);

        assert_int_equal(dsr_users_add(f.users, id, (size_t)len, &f.err), RC_OK);
    }
    put(&f, DAY_1 "a", "id", PQ_BYTE_ARRAY);
    assert_int_equal(look_up(&f, NULL), RC_OK);
    assert_non_null(strstr(elsewhere.asked.data, " (1000000)\n"));
    end(&f);
}

/* ---- what it is not asked about ------------------------------------------------------------- */

static void test_columns_that_it_is_no_judge_of(void **state)
{
    static const struct {
        const char *column, *path;
        enum pq_type type;
        const char *said;
    } cases[] = {
        { "user.id", "user.id", PQ_BYTE_ARRAY, "within a struct" },
        { "id", "id", PQ_FIXED, "neither text nor an integer with a sign" },
        { "id-2", "id-2", PQ_BYTE_ARRAY, "may mean another one" },
        { "Day", "day", PQ_BYTE_ARRAY, "may mean another one" },
    };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        RC_STR_AUTO column = rc_strf("cleanupTables[0].userIdColumn=%s", cases[i].column);
        struct fixture f;

        begin(&f, T(column, NULL));
        know(&f, T("7", NULL));
        put(&f, DAY_1 "a", cases[i].path, cases[i].type);
        assert_int_equal(look_up(&f, NULL), RC_OK);
        assert_string_equal(elsewhere.asked.data, "");
        assert_int_equal(told(&f, "a"), DSR_NOT_TOLD);
        assert_int_equal(f.looked.unseen, 1);
        assert_non_null(strstr(rc_fake_host_log(f.host), cases[i].said));
        assert_non_null(strstr(rc_fake_host_log(f.host), "such as '" DAY_1 "a'"));
        end(&f);
    }
}

static void test_names_that_differ_by_case_alone(void **state)
{
    const char *const sevens[ROWS] = { "7", "7", "7" };
    const struct users_column columns[] = {
        { .path = "ID", .type = PQ_BYTE_ARRAY, .texts = sevens },
        { .path = "id", .type = PQ_BYTE_ARRAY, .texts = sevens },
    };
    struct fixture f;

    (void)state;
    begin(&f, T("cleanupTables[0].userIdColumn=id", NULL));
    put_columns(&f, DAY_1 "both", columns, 2);
    put_columns(&f, DAY_1 "upper", columns, 1);
    assert_int_equal(look_up(&f, (const struct sight[]){ { "upper", ROWS, 1 }, { .end = NULL } }),
                     RC_OK);
    assert_int_equal(told(&f, "both"), DSR_NOT_TOLD);
    assert_int_equal(told(&f, "upper"), 1);
    assert_non_null(strstr(elsewhere.asked.data, " !" DAY_1 "both\n"));
    end(&f);
}

static void test_columns_of_the_configuration_that_differ_by_case_alone(void **state)
{
    const char *const sevens[ROWS] = { "7", "7", "7" };
    const struct users_column columns[] = {
        { .path = "ID", .type = PQ_BYTE_ARRAY, .texts = sevens },
    };
    struct fixture f;

    (void)state;
    begin(&f, T("cleanupTables[0].userIdColumn=[id, Id]", NULL));
    put_columns(&f, DAY_1 "a", columns, 1);
    assert_int_equal(look_up(&f, NULL), RC_OK);
    assert_string_equal(elsewhere.asked.data, "");
    assert_int_equal(f.looked.unseen, 1);
    end(&f);
}

static void test_questions_that_it_is_no_judge_of(void **state)
{
    /* A byte alone, an overlong letter, a surrogate, beyond the last letter, one cut off. */
    const char *const no_text[] = { "\xff", "a\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80",
                                    "\xc5" };
    struct fixture f;

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(no_text); i++) {
        begin(&f, T("cleanupTables[0].userIdColumn=id", NULL));
        know(&f, T("ada", no_text[i], NULL));
        put(&f, DAY_1 "a", "id", PQ_BYTE_ARRAY);
        assert_int_equal(look_up(&f, NULL), RC_OK);
        assert_string_equal(elsewhere.asked.data, "");
        assert_int_equal(f.looked.unseen, 1);
        assert_non_null(strstr(rc_fake_host_log(f.host), "is not UTF-8"));
        end(&f);
    }
    begin(&f, T("cleanupTables[0].userIdColumn=id", NULL));
    know(&f, T("\x7f", "\xc2\x80", "\xe2\x82\xac", "\xf4\x8f\xbf\xbf", NULL));
    put(&f, DAY_1 "a", "id", PQ_BYTE_ARRAY);
    assert_int_equal(look_up(&f, NULL), RC_OK);
    assert_non_null(strstr(elsewhere.asked.data, "search"));
    end(&f);
}

static void test_a_separator_of_nothing(void **state)
{
    const char *const sevens[ROWS] = { "7", "7", "7" };
    const struct users_column columns[] = {
        { .path = "a", .type = PQ_BYTE_ARRAY, .texts = sevens },
        { .path = "b", .type = PQ_BYTE_ARRAY, .texts = sevens },
    };
    struct fixture f;

    (void)state;
    begin(&f, T("cleanupTables[0].userIdColumn=[a, b]", "cleanupTables[0].userIdSeparator=", NULL));
    know(&f, T("77", NULL));
    put_columns(&f, DAY_1 "a", columns, 2);
    assert_int_equal(look_up(&f, NULL), RC_OK);
    assert_string_equal(elsewhere.asked.data, "");
    assert_int_equal(f.looked.unseen, 1);
    end(&f);
}

/* Most are texts: it is asked about those. */
static void test_files_of_several_types(void **state)
{
    static const struct sight sights[] = { { "a", ROWS, 1 }, { "c", ROWS, 0 }, { .end = NULL } };
    struct fixture f;

    (void)state;
    begin(&f, T("cleanupTables[0].userIdColumn=id", NULL));
    put(&f, DAY_1 "number", "id", PQ_INT64);
    put(&f, DAY_2 "a", "id", PQ_BYTE_ARRAY);
    put(&f, DAY_2 "b", "id", PQ_INT64);
    put(&f, DAY_2 "c", "id", PQ_BYTE_ARRAY);
    put(&f, DAY_2 "d", "id", PQ_BYTE_ARRAY);
    put(&f, DAY_3 "none", "other", PQ_BYTE_ARRAY);
    assert_int_equal(look_up(&f, sights), RC_OK);
    assert_non_null(strstr(elsewhere.asked.data, "id:varchar by day:date " DAY_2 "\n"));
    assert_non_null(strstr(elsewhere.asked.data, " !" DAY_2 "b\n"));
    assert_int_equal(told(&f, "2/a"), 1);
    assert_int_equal(told(&f, "2/c"), 0);
    assert_int_equal(told(&f, "2/d"), DSR_NOT_TOLD);
    assert_int_equal(told(&f, "none"), DSR_NOT_TOLD); /* who searches it finds out why */
    assert_int_equal(f.looked.unseen, 3);
    assert_non_null(strstr(rc_fake_host_log(f.host), "another type than those of most"));
    end(&f);
}

/* ---- what it says --------------------------------------------------------------------------- */

static void test_an_object_is_judged_only_if_all_its_rows_were_seen(void **state)
{
    static const struct sight sights[] = {
        { "few", ROWS - 1, 0 }, { "many", ROWS + 1, 4 }, { "right", ROWS, 3 }, { .end = NULL }
    };
    struct fixture f;

    (void)state;
    begin(&f, T("cleanupTables[0].userIdColumn=id", NULL));
    for (size_t i = 0; i < 3; i++) {
        RC_STR_AUTO uri = rc_strf(DAY_1 "%s", sights[i].end);

        put(&f, uri, "id", PQ_BYTE_ARRAY);
    }
    assert_int_equal(look_up(&f, sights), RC_OK);
    assert_int_equal(told(&f, "few"), DSR_NOT_TOLD);
    assert_int_equal(told(&f, "many"), DSR_NOT_TOLD);
    assert_int_equal(told(&f, "right"), 3);
    assert_int_equal(f.looked.unseen, 2);
    assert_non_null(strstr(rc_fake_host_log(f.host), "warn: table 'events'"));
    end(&f);
}

static void test_objects_that_came_later(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f, T("cleanupTables[0].userIdColumn=id", NULL));
    put(&f, DAY_1 "a", "id", PQ_BYTE_ARRAY);
    elsewhere.later = DAY_1 "z";
    assert_int_equal(look_up(&f, (const struct sight[]){ { "a", ROWS, 0 }, { .end = NULL } }),
                     RC_OK);
    assert_int_equal(told(&f, "a"), 0);
    assert_int_equal(f.looked.later_rows, 1);
    assert_string_equal(f.looked.later, DAY_1 "z");
    end(&f);
}

static void test_an_engine_that_cannot_read_them(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f, T("cleanupTables[0].userIdColumn=id", NULL));
    put(&f, DAY_1 "a", "id", PQ_BYTE_ARRAY);
    put(&f, DAY_1 "b", "id", PQ_BYTE_ARRAY);
    elsewhere.cannot = RC_UNSUPPORTED;
    elsewhere.why = "bad data: \"ada\" in a file";
    assert_int_equal(look_up(&f, NULL), RC_OK);
    assert_int_equal(told(&f, "a"), DSR_NOT_TOLD);
    assert_int_equal(f.looked.unseen, 2);
    assert_non_null(strstr(rc_fake_host_log(f.host),
                           "search for the users: query 7: bad data: \"\" in a file"));
    end(&f);
}

static void test_an_engine_that_fails(void **state)
{
    static const enum rc_code codes[] = { RC_UNAVAILABLE, RC_DENIED, RC_FAILED, RC_CANCELLED };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(codes); i++) {
        struct fixture f;

        begin(&f, T("cleanupTables[0].userIdColumn=id", NULL));
        put(&f, DAY_1 "a", "id", PQ_BYTE_ARRAY);
        elsewhere.cannot = codes[i];
        elsewhere.why = "no";
        assert_int_equal(look_up(&f, NULL), codes[i]);
        assert_null(f.looked.items);
        assert_non_null(strstr(f.err.context, "search for the users"));
        end(&f);
    }
}

static void test_nothing_is_there(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f, T("cleanupTables[0].userIdColumn=id", NULL));
    assert_int_equal(look_up(&f, NULL), RC_OK);
    assert_string_equal(elsewhere.asked.data, "");
    assert_int_equal(f.looked.unseen, 0);
    end(&f);
}

static void test_both_have_to_agree(void **state)
{
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    assert_int_equal(dsr_looked_agree(DSR_NOT_TOLD, 7, &err), RC_OK);
    assert_int_equal(dsr_looked_agree(7, 7, &err), RC_OK);
    assert_int_equal(dsr_looked_agree(7, 6, &err), RC_FAILED);
    assert_int_equal(dsr_looked_agree(6, 7, &err), RC_FAILED);
}

/* ---- engines -------------------------------------------------------------------------------- */

static void test_what_the_seed_says_of_athena(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f, T("cleanupTables[0].userIdColumn=id", "engine=athena", "athenaRegion=eu-west-1",
                "athenaCatalog=AwsDataCatalog", "athenaResultsOutputBucket=aws-results", NULL));
    assert_string_equal(elsewhere.opened.engine, "athena");
    assert_string_equal(elsewhere.opened.region, "eu-west-1");
    assert_string_equal(elsewhere.opened.catalog, "AwsDataCatalog");
    assert_string_equal(elsewhere.opened.results, "aws-results");
    assert_int_equal(elsewhere.opened.size, sizeof(struct rc_sql_options));
    assert_false(dsr_engines_read_files(f.engines));
    end(&f);
}

static void test_an_engine_of_no_use(void **state)
{
    struct fixture f;
    struct dsr_engines *engines;

    (void)state;
    begin(&f, T("cleanupTables[0].userIdColumn=id", NULL));
    elsewhere.features = RC_SQL_CATALOGUE;
    assert_int_equal(dsr_engines_new(f.job, &f.config, NULL, 4, &engines, &f.err), RC_INVALID);
    end(&f);
}

static bool reaches_buckets(const struct rc_sql_engine *engine, const char *uri)
{
    (void)engine;
    return rc_str_starts(uri, "s3://");
}

static void test_what_is_asked_of_an_engine(void **state)
{
    static const struct {
        uint32_t features;
        const char *verify, *folder;
        const char *said; /* NULL: nothing */
    } cases[] = {
        { RC_SQL_FILES, "verify=engine", "/lake/t", NULL },
        { RC_SQL_SEARCH, "verify=auto", "s3://lake/t", NULL },
        { RC_SQL_SEARCH, "verify=values", "s3://lake/t", NULL },
        { RC_SQL_SEARCH, "verify=engine", "s3://lake/t", "'verify' is 'engine'" },
        { RC_SQL_SEARCH, "verify=auto", "/lake/t", "does not reach 'file:///lake/t/'" },
        { RC_SQL_CATALOGUE, "verify=auto", "s3://lake/t", "in which files" },
    };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        const struct rc_sql_engine engine = {
            .name = "big", .kind = "some", .features = cases[i].features, .reaches = reaches_buckets
        };
        RC_STR_AUTO folder = rc_strf("cleanupTables[1].sourceS3Folder=%s", cases[i].folder);
        struct fixture f;
        enum rc_code code;

        begin(&f, T("cleanupTables[0].userIdColumn=id", "cleanupTables[1].piTable=second",
                    "cleanupTables[1].userIdColumn=id", folder, cases[i].verify, NULL));
        code = dsr_check_engine(&f.config, &engine, &f.err);
        assert_int_equal(code, cases[i].said ? RC_INVALID : RC_OK);
        if (cases[i].said) {
            assert_non_null(strstr(f.err.cause, cases[i].said));
            assert_non_null(strstr(f.err.cause, "'big' (some)"));
        }
        end(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_days_that_have_data_are_searched),
        cmocka_unit_test(test_numbers_are_compared_as_such),
        cmocka_unit_test(test_parts_of_an_id_are_put_together),
        cmocka_unit_test(test_a_million_users),
        cmocka_unit_test(test_columns_that_it_is_no_judge_of),
        cmocka_unit_test(test_names_that_differ_by_case_alone),
        cmocka_unit_test(test_columns_of_the_configuration_that_differ_by_case_alone),
        cmocka_unit_test(test_questions_that_it_is_no_judge_of),
        cmocka_unit_test(test_a_separator_of_nothing),
        cmocka_unit_test(test_files_of_several_types),
        cmocka_unit_test(test_an_object_is_judged_only_if_all_its_rows_were_seen),
        cmocka_unit_test(test_objects_that_came_later),
        cmocka_unit_test(test_an_engine_that_cannot_read_them),
        cmocka_unit_test(test_an_engine_that_fails),
        cmocka_unit_test(test_nothing_is_there),
        cmocka_unit_test(test_both_have_to_agree),
        cmocka_unit_test(test_what_the_seed_says_of_athena),
        cmocka_unit_test(test_an_engine_of_no_use),
        cmocka_unit_test(test_what_is_asked_of_an_engine),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
