/*
 * The section 'sql': every key of every kind of engine, and keys of another kind.
 */
#include "folder.h"

#include <config/config.h>
#include <config/secrets.h>

#include <run-core/str.h>

#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct fixture {
    char folder[FOLDER_PATH];
    struct core_problems problems;
    struct core_config *config;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    if (!folder_make(f->folder))
        return -1;
    core_problems_init(&f->problems);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    core_config_free(f->config);
    core_problems_clear(&f->problems);
    folder_remove(f->folder);
    free(f);
    return 0;
}

static const struct core_engine_settings *load(struct fixture *f, const char *text)
{
    RC_STR_AUTO path = rc_strf("%s/sql.yaml", f->folder);

    folder_write(f->folder, "sql.yaml", text);
    f->config = core_config_load(path, &f->problems);
    return f->config->engine_count ? &f->config->engines[0] : NULL;
}

/* The only problem, without the folder before it. */
static void assert_problem(struct fixture *f, const char *expected)
{
    const char *text;

    assert_int_equal(f->problems.count, 1);
    text = core_problem_text(&f->problems, f->problems.first);
    assert_true(rc_str_starts(text, f->folder));
    assert_string_equal(text + strlen(f->folder) + 1, expected);
}

static void every_key_of_athena_is_understood(void **state)
{
    struct fixture *f = *state;
    const struct core_engine_settings *engine = load(
        f, "sql:\n  lake:\n    engine: athena\n    region: eu-central-1\n"
           "    endpoint: https://athena.example.org\n    catalog: Other\n    database: events\n"
           "    work_group: jobs\n    work: s3://work/rc/\n    results: s3://results/rc/\n"
           "    results_encryption: SSE_KMS\n    results_kms_key: key\n"
           "    results_owner: '012345678901'\n    access_key_id: AK\n"
           "    secret_access_key: hush-one\n    session_token: hush-two\n    profile: p\n"
           "    role_arn: r\n    external_id: e\n    role_session_name: s\n"
           "    starts_per_second: 2.5\n    reads_per_second: 0\n    ddl_at_once: 3\n"
           "    queries_at_once: 4\n    price_per_tib: 6.25\n    query_timeout: 90m\n"
           "    ca_file: ca.pem\n    proxy: http://proxy:3128\n");
    RC_STR_AUTO ca_file = rc_strf("%s/ca.pem", f->folder);

    assert_int_equal(f->problems.count, 0);
    assert_string_equal(engine->engine, "athena");
    assert_string_equal(engine->region, "eu-central-1");
    assert_string_equal(engine->endpoint, "https://athena.example.org");
    assert_string_equal(engine->catalog, "Other");
    assert_string_equal(engine->database, "events");
    assert_string_equal(engine->work_group, "jobs");
    assert_string_equal(engine->work, "s3://work/rc/");
    assert_string_equal(engine->results, "s3://results/rc/");
    assert_int_equal(engine->results_encryption, CORE_RESULTS_SSE_KMS);
    assert_string_equal(engine->results_kms_key, "key");
    assert_string_equal(engine->results_owner, "012345678901");
    assert_string_equal(engine->access_key_id, "AK");
    assert_string_equal(engine->secret_access_key, "hush-one");
    assert_string_equal(engine->session_token, "hush-two");
    assert_string_equal(engine->profile, "p");
    assert_string_equal(engine->role_arn, "r");
    assert_string_equal(engine->external_id, "e");
    assert_string_equal(engine->role_session_name, "s");
    assert_true(engine->starts_per_s > 2.4 && engine->starts_per_s < 2.6);
    assert_true(engine->reads_per_s <= 0);
    assert_int_equal(engine->ddl_at_once, 3);
    assert_int_equal(engine->queries_at_once, 4);
    assert_true(engine->price_per_tib > 6.2 && engine->price_per_tib < 6.3);
    assert_int_equal(engine->query_timeout_ms, INT64_C(90) * 60000);
    assert_string_equal(engine->ca_file, ca_file);
    assert_string_equal(engine->proxy, "http://proxy:3128");
}

static void every_key_of_trino_is_understood(void **state)
{
    struct fixture *f = *state;
    const struct core_engine_settings *engine = load(
        f, "sql:\n  lake:\n    engine: trino\n    url: https://trino.example.org:8443\n"
           "    user: jobs\n    password: hush-three\n    token: hush-four\n    source: nightly\n"
           "    session: {query_max_run_time: 2h, 'hive.x': 'true'}\n"
           "    roles: {hive: admin}\n    extra_credentials: {key: hush-five}\n"
           "    client_tags: [a, b]\n    shares_files: true\n    catalog: lake\n"
           "    work: file:///srv/work/\n");

    assert_int_equal(f->problems.count, 0);
    assert_string_equal(engine->url, "https://trino.example.org:8443");
    assert_string_equal(engine->user, "jobs");
    assert_string_equal(engine->password, "hush-three");
    assert_string_equal(engine->token, "hush-four");
    assert_string_equal(engine->source, "nightly");
    assert_int_equal(engine->session.len, 2);
    assert_string_equal(engine->session.items[1].key, "hive.x");
    assert_string_equal(engine->session.items[1].value, "true");
    assert_int_equal(engine->roles.len, 1);
    assert_int_equal(engine->extra_credentials.len, 1);
    assert_string_equal(engine->extra_credentials.items[0].value, "hush-five");
    assert_int_equal(engine->client_tags.len, 2);
    assert_true(engine->shares_files);
    assert_string_equal(engine->catalog, "lake");
    assert_string_equal(engine->work, "file:///srv/work/");
}

static void what_is_secret_is_masked_wherever_text_goes_out(void **state)
{
    static const char *const secrets[] = { "hush-one",  "hush-two",  "hush-three",
                                           "hush-four", "hush-five", NULL };
    struct fixture *f = *state;

    (void)load(f, "sql:\n  a: {engine: athena, access_key_id: A, secret_access_key: hush-one,\n"
                  "      session_token: hush-two}\n"
                  "  b: {engine: trino, password: hush-three, token: hush-four,\n"
                  "      extra_credentials: {key: hush-five}}\n");
    assert_int_equal(f->problems.count, 0);
    for (size_t i = 0; secrets[i]; i++) {
        RC_STR_AUTO text = rc_strf("it is %s, really", secrets[i]);

        core_secret_mask(text);
        assert_null(strstr(text, "hush"));
    }
}

static void a_key_of_another_kind_of_engine_is_a_mistake(void **state)
{
    struct fixture *f = *state;

    (void)load(f, "sql:\n  lake:\n    engine: athena\n    library: x.so\n");
    assert_problem(f,
                   "sql.yaml:4:5: 'library' is a setting of duckdb; the engine 'lake' is athena");
}

static void a_key_of_servers_is_none_of_the_embedded_engine(void **state)
{
    struct fixture *f = *state;

    (void)load(f, "sql:\n  lake: {work: s3://b/work/}\n");
    assert_problem(
        f, "sql.yaml:2:10: 'work' is a setting of athena and trino; the engine 'lake' is duckdb");
}

static void an_unknown_key_is_told_with_the_nearest_of_all_kinds(void **state)
{
    struct fixture *f = *state;

    (void)load(f, "sql:\n  lake: {engine: athena, work_groop: x}\n");
    assert_int_equal(f->problems.count, 1);
    assert_non_null(strstr(f->problems.first->message, "did you mean 'work_group'?"));
}

static void of_an_unknown_engine_only_its_kind_is_a_mistake(void **state)
{
    struct fixture *f = *state;

    (void)load(f, "sql:\n  lake: {engine: sqlite, work_group: x, library: y}\n");
    assert_int_equal(f->problems.count, 1);
    assert_non_null(strstr(f->problems.first->message, "it must be one of: duckdb, athena, trino"));
}

static void what_another_machine_knows_is_no_mistake(void **state)
{
    struct fixture *f = *state;
    RC_STR_AUTO path = rc_strf("%s/sql.yaml", f->folder);

    folder_write(f->folder, "sql.yaml", "sql:\n  lake: {engine: '${env:KIND}', work_group: x}\n");
    f->config = core_config_load_elsewhere(path, &f->problems);
    assert_int_equal(f->problems.count, 0);
}

static void a_kind_alone_has_its_defaults(void **state)
{
    struct core_arena arena = CORE_ARENA_INIT;
    struct core_engine_settings engine;

    (void)state;
    core_settings_engine("athena", &arena, &engine);
    assert_string_equal(engine.name, "athena");
    assert_string_equal(engine.engine, "athena");
    assert_int_equal(engine.ddl_at_once, 20);
    assert_int_equal(engine.queries_at_once, 20);
    assert_null(engine.source);
    core_settings_engine("trino", &arena, &engine);
    assert_string_equal(engine.source, "run-core");
    assert_int_equal(engine.ddl_at_once, 0);
    core_settings_engine("duckdb", &arena, &engine);
    assert_string_equal(engine.engine, "duckdb");
    core_arena_clear(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_key_of_athena_is_understood, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_key_of_trino_is_understood, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_secret_is_masked_wherever_text_goes_out, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_key_of_another_kind_of_engine_is_a_mistake, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_key_of_servers_is_none_of_the_embedded_engine, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(an_unknown_key_is_told_with_the_nearest_of_all_kinds,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(of_an_unknown_engine_only_its_kind_is_a_mistake, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_another_machine_knows_is_no_mistake, set_up,
                                        tear_down),
        cmocka_unit_test(a_kind_alone_has_its_defaults),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
