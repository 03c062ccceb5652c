/*
 * The record: what a line says, that each erasure is in one report and in one only, and that a
 * report which a run left half written is written again, byte for byte the same.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "journal_fixture.h"
#include "report.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#define X "s3://b/events/shard=7/day=2024-10-04/x"
#define FOLDER "s3://b/archive/dsr-report/"
#define DIGEST_1 "1111111111111111111111111111111111111111111111111111111111111111"

static const char *const labels[] = { "environment=PROD", "product=Hello \"World\"",
                                      "report_salt=Jefe", NULL };

static int set_up(void **state)
{
    *state = fixture_new(NULL, labels);
    return 0;
}

static int tear_down(void **state)
{
    fixture_free(*state);
    return 0;
}

static void settle(struct fixture *at, const struct dsr_intent *intent, enum dsr_outcome outcome)
{
    struct rc_error err = RC_ERROR_INIT;

    expect_ok(dsr_journal_settle(at->journal, intent->id, outcome, &err));
}

static void erase(struct fixture *at, int32_t shard, const char *uri, const char *user,
                  int64_t rows, enum dsr_outcome outcome)
{
    struct dsr_intent intent = fixture_intend(at, shard, uri, "e0", DIGEST_1, user, rows);

    settle(at, &intent, outcome);
}

static enum rc_code try_to_write(struct fixture *at, struct rc_error *err)
{
    return dsr_report_write(at->job, at->journal, &at->config, &at->places, err);
}

static void write_all(struct fixture *at)
{
    struct rc_error err = RC_ERROR_INIT;

    expect_ok(try_to_write(at, &err));
}

static int64_t report_count(struct fixture *at)
{
    const char *names = rc_fake_host_objects(at->host, FOLDER);
    int64_t count = 0;

    for (const char *c = names; *c; c++)
        count += *c == '\n';
    return count;
}

/* The text of the report that sorts last. */
static const char *last_report(struct fixture *at)
{
    const char *names = rc_fake_host_objects(at->host, FOLDER), *end = names + strlen(names) - 1;
    const char *begin = end;

    assert_int_equal(*end, '\n');
    while (begin > names && begin[-1] != '\n')
        begin--;
    RC_STR_AUTO uri = rc_strndup(begin, (size_t)(end - begin));
    assert_true(rc_str_ends(uri, ".jsonl"));
    return rc_fake_host_object(at->host, uri, NULL);
}

/* The line of a user in a text of lines; the caller gives it back by json_decref(). */
static json_t *line_of(struct fixture *at, const char *text, const char *user, int shard)
{
    char hash[DSR_HASH_TEXT];
    json_t *found = NULL;

    dsr_journal_hash(at->journal, fixture_slice(user), hash);
    for (const char *end; *text; text = end + 1) {
        json_error_t why;

        end = strchr(text, '\n');
        assert_non_null(end);
        json_t *line = json_loadb(text, (size_t)(end - text), JSON_REJECT_DUPLICATES, &why);
        assert_non_null(line);
        const char *id = json_string_value(json_object_get(line, "user"));
        assert_true(rc_str_starts(id, "hmac-sha256:"));
        if (!rc_str_ends(id, hash) || json_integer_value(json_object_get(line, "shard")) != shard) {
            json_decref(line);
            continue;
        }
        assert_null(found);
        found = line;
    }
    assert_non_null(found);
    return found;
}

static void assert_json(json_t *line, const char *expected)
{
    json_t *wanted = json_loads(expected, 0, NULL);
    const char *key;
    json_t *value;

    assert_non_null(wanted);
    json_object_foreach(wanted, key, value)
    {
        char *is = json_dumps(json_object_get(line, key), JSON_ENCODE_ANY | JSON_COMPACT);
        char *should = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);

        if (!rc_str_eq(is, should))
            fail_msg("'%s' is %s, not %s", key, is, should);
        free(is);
        free(should);
    }
    json_decref(wanted);
    json_decref(line);
}

/* ---- what a line says ---- */

static void test_a_line_tells_all_of_a_user(void **state)
{
    struct fixture *at = *state;
    struct dsr_intent other = fixture_intend(at, 7, X "4", "e0", DIGEST_1, "u", 1);

    settle(at, &other, DSR_VOID);
    fixture_change(at, "UPDATE erasures SET table_name = 'cohorts'");
    erase(at, 7, X, "u", 9, DSR_DONE);
    erase(at, 7, X "2", "u", 2, DSR_DONE);
    erase(at, 7, X "3", "u", 5, DSR_SUPERSEDED);
    fixture_next_run(at);
    other = fixture_intend(at, 7, X "5", "e0", DIGEST_1, "u", 3);
    settle(at, &other, DSR_DONE);
    fixture_change(at, "UPDATE erasures SET table_name = 'a \"table\"' WHERE rows_erased = 3");
    fixture_fulfil(at, 7, "u");
    fixture_fulfil(at, 7, "nobody");
    write_all(at);
    assert_int_equal(report_count(at), 1);

    assert_json(line_of(at, last_report(at), "u", 7),
                "{\"first_day\":\"2024-10-04\",\"last_day\":\"2024-10-07\","
                "\"requested\":[\"2024-10-09\"],\"rows\":14,"
                "\"tables\":[{\"table\":\"a \\\"table\\\"\",\"files\":1,\"rows\":3,"
                "\"unconfirmed_files\":0},{\"table\":\"events\",\"files\":2,\"rows\":11,"
                "\"unconfirmed_files\":1}],\"runs\":[\"fake-1\",\"fake-2\"],"
                "\"environment\":\"PROD\",\"product\":\"Hello \\\"World\\\"\","
                "\"deployment\":null}");
    assert_json(line_of(at, last_report(at), "nobody", 7), "{\"rows\":0,\"tables\":[],"
                                                           "\"requested\":[\"2024-10-09\"],"
                                                           "\"runs\":[\"fake-2\"]}");
}

static void test_a_shard_that_is_not_clean_waits(void **state)
{
    struct fixture *at = *state;

    erase(at, 7, X, "u", 9, DSR_DONE);
    write_all(at);
    assert_int_equal(report_count(at), 0);
    fixture_fulfil(at, 8, "u");
    write_all(at);
    assert_json(line_of(at, last_report(at), "u", 8), "{\"rows\":0}");
    assert_null(strstr(last_report(at), "\"shard\":7"));
    fixture_next_run(at);
    fixture_fulfil(at, 7, "u");
    write_all(at);
    assert_int_equal(report_count(at), 2);
    assert_json(line_of(at, last_report(at), "u", 7), "{\"rows\":9}");
    assert_null(strstr(last_report(at), "\"shard\":8"));
    write_all(at);
    assert_int_equal(report_count(at), 2);
}

/* The same marker once more, when the request has been reported: what was found is, too. */
static void test_what_is_found_later_names_the_earlier_request(void **state)
{
    struct fixture *at = *state;

    fixture_fulfil(at, 7, "u");
    write_all(at);
    fixture_next_run(at);
    erase(at, 7, X, "u", 4, DSR_DONE);
    fixture_fulfil(at, 7, "u");
    write_all(at);
    assert_int_equal(report_count(at), 2);
    assert_json(line_of(at, last_report(at), "u", 7),
                "{\"rows\":4,\"requested\":[\"2024-10-09\"],\"first_day\":\"2024-10-04\"}");
}

/* ---- written again ---- */

static void erase_some(struct fixture *at)
{
    char user[16];

    for (int i = 0; i < 20; i++) {
        (void)snprintf(user, sizeof(user), "user%d", i);
        RC_STR_AUTO uri = rc_strf(X "%d", i);
        erase(at, i % 3, uri, user, i + 1, DSR_DONE);
    }
    for (int i = 0; i < 3; i++)
        fixture_fulfil(at, i, "nobody");
}

static void test_a_run_that_dies_leaves_a_report_that_the_next_one_finishes(void **state)
{
    (void)state;
    for (int n = 1, before = 0;; n++) {
        struct fixture *at = fixture_new(NULL, labels);
        struct rc_error err = RC_ERROR_INIT;
        bool died;

        erase_some(at);
        rc_fake_host_die_at(at->host, (n + 1) / 2, n % 2 == 0);
        died = try_to_write(at, &err) != RC_OK;
        fixture_next_run(at);
        /* What was named is what it says, whatever the configuration has become. */
        before += report_count(at) == 1 && fixture_number(at, "SELECT count(*) FROM reports");
        if (fixture_number(at, "SELECT count(*) FROM reports") == 1)
            at->config.environment = "TEST";
        write_all(at);
        assert_int_equal(report_count(at), 1);
        assert_int_equal(
            fixture_number(at, "SELECT count(*) FROM reports WHERE written_unix_ms IS NULL"), 0);
        assert_json(line_of(at, last_report(at), "user19", 1),
                    "{\"rows\":20,\"environment\":\"PROD\"}");
        RC_STR_AUTO text = rc_strdup(last_report(at));
        fixture_change(at, "UPDATE reports SET written_unix_ms = NULL");
        write_all(at);
        assert_string_equal(last_report(at), text);
        fixture_free(at);
        if (!died) {
            assert_true(n > 12 && before > 0);
            return;
        }
    }
}

static void test_what_was_reported_stays_as_it_is(void **state)
{
    struct fixture *at = *state;
    struct dsr_intent intent = fixture_intend(at, 7, X, "e0", DIGEST_1, "u", 9);

    settle(at, &intent, DSR_SUPERSEDED);
    fixture_fulfil(at, 7, "u");
    write_all(at);
    RC_STR_AUTO text = rc_strdup(last_report(at));
    settle(at, &intent, DSR_DONE);
    fixture_change(at, "UPDATE reports SET written_unix_ms = NULL");
    write_all(at);
    assert_string_equal(last_report(at), text);
}

/* ---- the action ---- */

static enum rc_code never(struct rc_job *job, const void *config, struct rc_error *err)
{
    (void)job;
    (void)config;
    return rc_fail(err, RC_FAILED, "not this one");
}

static const struct rc_action actions[] = {
    { .name = "cleanup", .summary = "Erases.", .run = never },
    { .name = "report",
      .summary = "Prints.",
      .params = dsr_report_params,
      .params_size = sizeof(struct dsr_report_params),
      .run = dsr_report_run },
    { 0 },
};

static const struct rc_plugin plugin = {
    RC_PLUGIN_HEAD,       .name = "dsr",          .version = "1",
    .summary = "Erases.", .options = dsr_options, .config_size = sizeof(struct dsr_config),
    .actions = actions,
};

static const char *said(struct fixture *at, const char *setting)
{
    const char *settings[] = {
        "markersBaseFolder=s3://b/markers",
        "markersArchiveFolder=s3://b/archive",
        "cleanupTables[0].piTable=events",
        "cleanupTables[0].userIdColumn=id",
        "cleanupTables[0].sourceS3Folder=s3://b/events",
        "environment=PROD",
        "report_salt=Jefe",
        setting,
        NULL,
    };
    struct rc_error err = RC_ERROR_INIT;

    rc_fake_host_revive(at->host);
    expect_ok(rc_fake_host_run(at->host, &plugin, "report", settings, &err));
    return rc_fake_host_said(at->host);
}

static void test_the_action_prints_the_record(void **state)
{
    struct fixture *at = *state;

    assert_string_equal(said(at, NULL), "nothing was erased yet\n");
    erase(at, 7, X, "u", 9, DSR_DONE);
    fixture_fulfil(at, 7, "u");
    fixture_fulfil(at, 7, "v");
    write_all(at);
    erase(at, 8, X, "u", 3, DSR_DONE);
    fixture_fulfil(at, 8, "u");

    const char *all = said(at, NULL);
    assert_json(line_of(at, all, "u", 7), "{\"rows\":9,\"environment\":\"PROD\"}");
    assert_json(line_of(at, all, "v", 7), "{\"rows\":0}");
    assert_json(line_of(at, all, "u", 8), "{\"rows\":3,\"environment\":\"PROD\"}");
    assert_null(strstr(all, "\"user\":\"u\""));

    all = said(at, "user=v");
    assert_json(line_of(at, all, "v", 7), "{\"rows\":0}");
    assert_ptr_equal(strchr(all, '\n'), all + strlen(all) - 1);
    assert_string_equal(said(at, "user=w"), "nothing was erased of this user\n");
    assert_string_equal(said(at, "since=2999-01-01"), "nothing was erased since 2999-01-01\n");
    all = said(at, "since=2001-01-01");
    assert_json(line_of(at, all, "v", 7), "{\"rows\":0}");
}

#define IN_FIXTURE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FIXTURE(test_a_line_tells_all_of_a_user),
        IN_FIXTURE(test_a_shard_that_is_not_clean_waits),
        IN_FIXTURE(test_what_is_found_later_names_the_earlier_request),
        cmocka_unit_test(test_a_run_that_dies_leaves_a_report_that_the_next_one_finishes),
        IN_FIXTURE(test_what_was_reported_stays_as_it_is),
        IN_FIXTURE(test_the_action_prints_the_record),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
