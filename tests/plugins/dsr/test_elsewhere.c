/*
 * The whole plugin with an SQL engine that searches the lake where it lies: what it says decides
 * what is fetched, and never alone what is archived.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "crash_world.h"
#include "elsewhere_sql.h"
#include "run.h"

#define FILE_C LAKE "shard=7/day=2024-10-02/c.parquet"

extern const struct rc_plugin *const rc_plugin_descriptor;

/* What it says otherwise of one object, in one of its searches (0: in all of them). */
struct lie {
    bool (*truth)(void *context, const char *uri, int64_t *rows, int64_t *users_rows);
    const char *uri;
    int search;
    bool passes_over;
    int64_t more_users;
};

static bool lying(void *context, const char *uri, int64_t *rows, int64_t *users_rows)
{
    const struct lie *lie = context;
    bool is_seen = lie->truth(NULL, uri, rows, users_rows);

    if (!rc_str_eq(uri, lie->uri) || (lie->search > 0 && lie->search != elsewhere.searches))
        return is_seen;
    *users_rows += lie->more_users;
    return is_seen && !lie->passes_over;
}

static struct rc_fake_host *begin(struct lie *lie)
{
    struct rc_fake_host *host = new_world(ELSEWHERE);

    lie->truth = elsewhere.look;
    elsewhere.look = lying;
    elsewhere.context = lie;
    rc_fake_host_on_call(host, only_follow, NULL);
    return host;
}

/* A run that leaves the markers of shard 7 alone, and the next one, which is told no lies. */
static void fail_and_finish(struct rc_fake_host *host, const char *said)
{
    struct rc_error err = RC_ERROR_INIT;

    assert_int_equal(clean(host, ELSEWHERE, &err), RC_FAILED);
    assert_int_equal(rc_fake_host_open_handles(host), 0);
    if (!strstr(rc_fake_host_log(host), said))
        fail_msg("not told: '%s', but:\n%s", said, rc_fake_host_log(host));
    assert_non_null(strstr(rc_fake_host_objects(host, MARKERS), "shard=7/day=2024-10-01"));
    assert_null(strstr(rc_fake_host_objects(host, ARCHIVE), "shard=7"));
    assert_sound(host);
    elsewhere.context = &(struct lie){ .truth = ((struct lie *)elsewhere.context)->truth };
    elsewhere.cannot = RC_OK;
    elsewhere.later = NULL;
    elsewhere.lost_ids = 0;
    finish(host, ELSEWHERE);
    assert_clean(host);
    assert_record(host);
}

static void test_one_search_before_and_one_behind(void **state)
{
    struct lie none = { .uri = NULL };
    RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *host = begin(&none);
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    assert_int_equal(clean(host, ELSEWHERE, &err), RC_OK);
    assert_int_equal(elsewhere.searches, 4); /* of one table in two shards */
    assert_int_equal(elsewhere.sessions, 1);
    assert_int_equal(rc_fake_host_counter(host, "files_scanned"), 4);
    assert_int_equal(rc_fake_host_counter(host, "files_not_seen_by_engine"), 0);
    assert_int_equal(rc_fake_host_counter(host, "rows_deleted"), 7);
    assert_clean(host);
    assert_record(host);
}

static void test_it_sees_more_or_fewer_rows_of_users(void **state)
{
    (void)state;
    for (int64_t more = -1; more <= 1; more += 2) {
        struct lie lie = { .uri = FILE_A, .search = 1, .more_users = more };
        RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *host = begin(&lie);

        fail_and_finish(host, "one of the two is wrong, and nothing is erased");
    }
}

/* What it does not find, nobody looks for; but behind the erasure it has to be of the same mind. */
static void test_it_sees_rows_behind_the_erasure(void **state)
{
    struct lie lie = { .uri = FILE_C, .search = 2, .more_users = 2 };
    RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *host = begin(&lie);

    (void)state;
    fail_and_finish(host, "2 rows of the users are still in 1 file, such as '" FILE_C "'");
}

/* It would find nothing of them, before or behind, and nobody else would look. */
static void test_it_has_not_got_all_ids(void **state)
{
    struct lie none = { .uri = NULL };
    RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *host = begin(&none);

    (void)state;
    elsewhere.lost_ids = 1;
    fail_and_finish(host, "the SQL engine knows");
}

static void test_it_sees_an_object_that_nobody_listed(void **state)
{
    struct lie none = { .uri = NULL };
    RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *host = begin(&none);

    (void)state;
    elsewhere.later = LAKE "shard=7/day=2024-10-02/new.parquet";
    fail_and_finish(host, "such as '" LAKE "shard=7/day=2024-10-02/new.parquet'");
}

static int count_texts(const char *text, const char *what)
{
    int count = 0;

    for (const char *at = text; (at = strstr(at, what)); at++)
        count++;
    return count;
}

static void test_it_passes_over_an_object(void **state)
{
    struct lie lie = { .uri = FILE_A, .passes_over = true };
    RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *host = begin(&lie);
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    assert_int_equal(clean(host, ELSEWHERE, &err), RC_OK);
    assert_int_equal(rc_fake_host_counter(host, "files_not_seen_by_engine"), 1);
    assert_int_equal(count_texts(rc_fake_host_log(host), "warn: table 'events'"), 1);
    assert_clean(host);
    assert_record(host);
}

static void test_it_cannot_read_the_lake(void **state)
{
    struct lie none = { .uri = NULL };
    RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *host = begin(&none);
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    elsewhere.cannot = RC_UNSUPPORTED;
    elsewhere.why = "bad data";
    assert_int_equal(clean(host, ELSEWHERE, &err), RC_OK);
    assert_int_equal(rc_fake_host_counter(host, "files_not_seen_by_engine"), 4);
    assert_int_equal(count_texts(rc_fake_host_log(host), "warn: table 'events'"), 1);
    assert_clean(host);
    assert_record(host);
}

static void test_it_fails(void **state)
{
    struct lie none = { .uri = NULL };
    RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *host = begin(&none);

    (void)state;
    elsewhere.cannot = RC_DENIED;
    elsewhere.why = "you may not";
    fail_and_finish(host, "search for the users: query 7: you may not");
}

/* For ThreadSanitizer. */
static void test_several_files_at_once(void **state)
{
    struct lie none = { .uri = NULL };
    RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *host = begin(&none);
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    assert_int_equal(clean(host, ELSEWHERE | THREADS, &err), RC_OK);
    assert_int_equal(rc_fake_host_counter(host, "rows_deleted"), 6);
    finish(host, ELSEWHERE);
    assert_clean(host);
    assert_record(host);
}

/* ---- plans ---------------------------------------------------------------------------------- */

static enum rc_code plan(struct rc_fake_host *host, struct rc_error *err)
{
    const char *const settings[] = {
        "markersBaseFolder=s3://b/markers",
        "markersArchiveFolder=s3://b/archive",
        "cleanupTables[0].piTable=events",
        "cleanupTables[0].userIdColumn=id",
        "cleanupTables[0].sourceS3Folder=s3://b/events",
        NULL,
    };

    return rc_fake_host_run(host, rc_plugin_descriptor, "plan", settings, err);
}

static void test_a_plan_asks_it_too(void **state)
{
    struct lie none = { .uri = NULL };
    RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *host = begin(&none);
    RC_STR_AUTO before = rc_strdup(rc_fake_host_objects(host, "s3://"));
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    assert_int_equal(plan(host, &err), RC_OK);
    assert_int_equal(elsewhere.searches, 2);
    assert_int_equal(rc_fake_host_counter(host, "rows_to_delete"), 7);
    assert_int_equal(rc_fake_host_counter(host, "files_scanned"), 4);
    assert_string_equal(rc_fake_host_objects(host, "s3://"), before);
    assert_int_equal(rc_fake_host_open_handles(host), 0);
}

static void test_a_plan_that_it_disagrees_with(void **state)
{
    struct lie lie = { .uri = FILE_A, .more_users = 1 };
    RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *host = begin(&lie);
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    assert_int_equal(plan(host, &err), RC_FAILED);
    assert_non_null(strstr(rc_fake_host_log(host), "one of the two is wrong"));
    assert_int_equal(rc_fake_host_open_handles(host), 0);
}

/* A dry run makes no tables. */
static void test_a_dry_run_does_without(void **state)
{
    struct lie none = { .uri = NULL };
    RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *host = begin(&none);
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    rc_fake_host_job(host)->dry_run = true;
    assert_int_equal(plan(host, &err), RC_OK);
    assert_int_equal(elsewhere.sessions, 0);
    assert_int_equal(rc_fake_host_counter(host, "rows_to_delete"), 7);
}

/* Only a cleanup needs one. */
static void test_a_plan_without_any_engine(void **state)
{
    struct lie none = { .uri = NULL };
    RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *host = begin(&none);
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    rc_fake_host_fail_on(host, "sql.open", NULL, 1, RC_INVALID);
    assert_int_equal(plan(host, &err), RC_OK);
    assert_non_null(strstr(rc_fake_host_log(host), "a cleanup could not begin"));
    assert_int_equal(rc_fake_host_counter(host, "rows_to_delete"), 7);
    rc_fake_host_fail_on(host, "sql.open", NULL, 1, RC_UNAVAILABLE);
    assert_int_equal(plan(host, &err), RC_UNAVAILABLE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_search_before_and_one_behind),
        cmocka_unit_test(test_it_sees_more_or_fewer_rows_of_users),
        cmocka_unit_test(test_it_sees_rows_behind_the_erasure),
        cmocka_unit_test(test_it_has_not_got_all_ids),
        cmocka_unit_test(test_it_sees_an_object_that_nobody_listed),
        cmocka_unit_test(test_it_passes_over_an_object),
        cmocka_unit_test(test_it_cannot_read_the_lake),
        cmocka_unit_test(test_it_fails),
        cmocka_unit_test(test_several_files_at_once),
        cmocka_unit_test(test_a_plan_asks_it_too),
        cmocka_unit_test(test_a_plan_that_it_disagrees_with),
        cmocka_unit_test(test_a_dry_run_does_without),
        cmocka_unit_test(test_a_plan_without_any_engine),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
