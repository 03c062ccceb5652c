/*
 * Loading a configuration: every key of every section, merging, paths, layers, and the order of
 * problems.
 */
#include "folder.h"
#include "sample.h"

#include <os/file.h>

#include <run-core/log.h>
#include <run-core/str.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct fixture {
    char folder[FOLDER_PATH];
    struct core_arena arena;
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
    core_arena_clear(&f->arena);
    core_problems_clear(&f->problems);
    folder_remove(f->folder);
    free(f);
    return 0;
}

static void load(struct fixture *f, const char *name)
{
    RC_STR_AUTO path = rc_strf("%s%s%s", f->folder, *name ? "/" : "", name);

    f->config = core_config_load(path, &f->problems);
    for (const struct core_problem *p = f->problems.first; p; p = p->next)
        print_error("%s\n", core_problem_text(&f->problems, p));
    assert_int_equal(f->problems.count, 0);
}

static void check_path(const struct fixture *f, const char *path, const char *name)
{
    RC_STR_AUTO expected = rc_strf("%s/%s", f->folder, name);

    assert_string_equal(path, expected);
}

static void every_key_of_every_section_is_understood(void **state)
{
    struct fixture *f = *state;
    const struct core_job_settings *job;
    const struct core_notify_settings *notify;

    folder_write(
        f->folder, "all.yaml",
        "core:\n  state: sqlite:///var/lib/run-core/state.db\n  listen: '[::1]:8081'\n"
        "  socket: run/core.sock\n  plugin_path: [/usr/lib/run-core/plugins, ./plugins]\n"
        "  auth: {tokens_file: tokens}\n  log_level: debug\n"
        "storage:\n  datalake: {bucket: prod, url: \"file:///srv/lake\", region: eu-west-1,\n"
        "    endpoint: \"https://s3.example\", addressing: path}\n  plain: {}\n"
        "sql:\n  lake: {engine: duckdb, library: lib/libduckdb.so, memory_limit: 1GiB,\n"
        "    threads: 2, temp_dir: /tmp/x, temp_limit: 10GB}\n"
        "plugins:\n  egress: {file: ./egress.so, config: {a: 1}, config_file: e.json}\n"
        "  dsr: {file: dsr.so}\n  sdrs:\n"
        "jobs:\n  nightly-dump:\n    plugin: egress\n    action: dump\n"
        "    schedule: \"0 2 * * *\"\n    time_zone: Europe/Prague\n    timeout: 2h\n"
        "    kill_after: 20s\n    retry: {attempts: 3, backoff: 1m, max_backoff: 20m}\n"
        "    concurrency: replace\n    misfire: all\n    catchup_window: 2d\n"
        "    dst_gap: skip\n    dst_overlap: both\n"
        "    notify: [{on: [failure, missed], url: \"https://ops.example\"}]\n"
        "    config: {database: x}\n    config_file: n.yaml\n"
        "  Plain_1.x: {plugin: dsr}\nx-mine: [anything]\n");
    load(f, "all.yaml");
    assert_string_equal(f->config->settings.state, "sqlite:///var/lib/run-core/state.db");
    assert_string_equal(f->config->settings.listen, "[::1]:8081");
    check_path(f, f->config->settings.socket, "run/core.sock");
    assert_string_equal(f->config->settings.plugin_path.items[0], "/usr/lib/run-core/plugins");
    check_path(f, f->config->settings.plugin_path.items[1], "plugins");
    check_path(f, f->config->settings.tokens_file, "tokens");
    assert_int_equal(f->config->settings.log_level, RC_LOG_DEBUG);
    assert_int_equal(f->config->store_count, 2);
    assert_string_equal(f->config->stores[0].bucket, "prod");
    assert_string_equal(f->config->stores[0].url, "file:///srv/lake");
    assert_int_equal(f->config->stores[0].addressing, CORE_ADDRESS_PATH);
    assert_string_equal(f->config->stores[1].bucket, "plain");
    check_path(f, f->config->engines[0].library, "lib/libduckdb.so");
    assert_int_equal(f->config->engines[0].memory_limit_bytes, INT64_C(1) << 30);
    assert_int_equal(f->config->engines[0].temp_limit_bytes, INT64_C(10000000000));
    check_path(f, core_config_plugin(f->config, "egress")->file, "egress.so");
    check_path(f, core_config_plugin(f->config, "egress")->config_file, "e.json");
    assert_string_equal(core_config_plugin(f->config, "dsr")->file, "dsr.so");
    assert_null(core_config_plugin(f->config, "sdrs")->file);
    assert_null(core_config_plugin(f->config, "nobody"));
    job = core_config_job(f->config, "nightly-dump");
    assert_int_equal(job->timeout_ms, 7200000);
    assert_int_equal(job->kill_after_ms, 20000);
    assert_int_equal(job->retry.attempts, 3);
    assert_int_equal(job->retry.backoff_ms, 60000);
    assert_int_equal(job->retry.max_backoff_ms, 1200000);
    assert_int_equal(job->concurrency, CORE_REPLACE);
    assert_int_equal(job->misfire, CORE_MISFIRE_ALL);
    assert_int_equal(job->catchup_window_ms, INT64_C(2) * 86400000);
    assert_int_equal(job->dst_gap, CORE_DST_GAP_SKIP);
    assert_int_equal(job->dst_overlap, CORE_DST_OVERLAP_BOTH);
    assert_int_equal(job->place.line, 20);
    assert_int_equal(job->place.column, 3);
    notify = RC_OBJECT_AT(struct core_notify_settings, job->notify, 0);
    assert_int_equal(notify->on.len, 2);
    assert_string_equal(notify->url, "https://ops.example");
    check_path(f, job->config_file, "n.yaml");
    job = core_config_job(f->config, "Plain_1.x");
    assert_int_equal(job->timeout_ms, 0);
    assert_int_equal(job->retry.attempts, 1);
    assert_int_equal(job->concurrency, CORE_FORBID);
    assert_int_equal(job->misfire, CORE_MISFIRE_LATEST);
    assert_string_equal(job->time_zone, "UTC");
    assert_null(job->schedule);
    assert_null(job->config);
    assert_null(core_config_job(f->config, "nobody"));
}

static void what_a_store_cannot_be_is_a_mistake(void **state)
{
    static const struct {
        const char *keys, *says;
    } cases[] = {
        { "access_key_id: A", "has an 'access_key_id', but no 'secret_access_key'" },
        { "access_key_id: A, secret_access_key: ''", "its 'secret_access_key' is empty" },
        { "secret_access_key: hidden", "has a 'secret_access_key', but no 'access_key_id'" },
        { "endpoint: 'ftp://host'", "'endpoint' of store 'lake' is no address of HTTP" },
        { "access_key_id: A, secret_access_key: hidden, endpoint: 'http://host'", NULL },
        { "endpoint: 'https://host:1'", NULL },
    };
    struct fixture *f = *state;
    RC_STR_AUTO path = rc_strf("%s/store.yaml", f->folder);

    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        RC_STR_AUTO text = rc_strf("storage:\n  lake: {%s}\n", cases[i].keys);
        struct core_problems problems = { 0 };

        folder_write(f->folder, "store.yaml", text);
        core_config_free(core_config_load(path, &problems));
        assert_int_equal(problems.count, cases[i].says ? 1 : 0);
        if (cases[i].says) {
            const char *said = core_problem_text(&problems, problems.first);

            assert_non_null(strstr(said, "store.yaml:2:"));
            assert_non_null(strstr(said, cases[i].says));
            assert_null(strstr(said, "hidden"));
        }
        core_problems_clear(&problems);
    }
}

static void the_files_of_a_folder_are_merged_in_order(void **state)
{
    struct fixture *f = *state;

    folder_write(f->folder, "20-b.json",
                 "{\"jobs\": {\"b\": {\"plugin\": \"y\"}}, \"core\": {\"state\": \"s\"}}");
    folder_write(f->folder, "10-a.yml", "core: {log_level: warn}\njobs:\n  a: {plugin: x}\n");
    folder_write(f->folder, "30-c.yaml", "");
    folder_write(f->folder, "notes.txt", "not: [yaml");
    folder_write(f->folder, ".hidden.yaml", "not: [yaml");
    load(f, "");
    assert_int_equal(f->config->file_count, 3);
    check_path(f, f->config->files[0], "10-a.yml");
    check_path(f, f->config->files[2], "30-c.yaml");
    assert_int_equal(f->config->job_count, 2);
    assert_string_equal(f->config->jobs[0].name, "a");
    assert_string_equal(f->config->jobs[1].name, "b");
    assert_int_equal(f->config->settings.log_level, RC_LOG_WARN);
    check_path(f, f->config->settings.state, "s");
}

static void no_path_is_an_empty_configuration(void **state)
{
    struct fixture *f = *state;

    f->config = core_config_load(NULL, &f->problems);
    assert_int_equal(f->problems.count, 0);
    assert_int_equal(f->config->job_count + f->config->plugin_count + f->config->file_count, 0);
    assert_int_equal(f->config->settings.log_level, RC_LOG_INFO);
    assert_null(f->config->settings.state);
    core_config_free(NULL);
}

static void an_empty_folder_is_an_empty_configuration(void **state)
{
    load(*state, "");
}

static void a_missing_path_is_a_mistake(void **state)
{
    struct fixture *f = *state;

    f->config = core_config_load("/no/such/conf.d", &f->problems);
    assert_int_equal(f->problems.count, 1);
    assert_string_equal(core_problem_text(&f->problems, f->problems.first),
                        "/no/such/conf.d: there is no such file or directory");
}

static void jobs_share_settings_through_anchors(void **state)
{
    struct fixture *f = *state;

    folder_write(f->folder, "a.yaml",
                 "x-base: &base {plugin: egress, timeout: 1h}\njobs:\n"
                 "  a: {<<: *base, action: dump}\n  b: {<<: *base, timeout: 2h}\n");
    load(f, "a.yaml");
    assert_int_equal(f->config->jobs[0].timeout_ms, 3600000);
    assert_string_equal(f->config->jobs[0].action, "dump");
    assert_int_equal(f->config->jobs[1].timeout_ms, 7200000);
}

static void layers_come_in_the_order_of_precedence(void **state)
{
    static const char *const words[] = { "note=set", NULL };
    struct fixture *f = *state;
    RC_STR_AUTO file_word = rc_strf("config_file=%s/set.yaml", f->folder);
    const char *set_words[] = { words[0], file_word };
    struct core_layers layers;
    const struct core_node *set;
    static const char *const notes[] = { "set",      "set-file", "job",
                                         "job-file", "plugin",   "plugin-file" };

    folder_write(f->folder, "set.yaml", "note: set-file\n");
    folder_write(f->folder, "sub/a.yaml",
                 "plugins:\n  sample: {config: {note: plugin}, config_file: values/p.json}\n"
                 "jobs:\n  j: {plugin: sample, config: {note: job}, config_file: "
                 "../j.yaml}\n");
    folder_write(f->folder, "sub/values/p.json", "{\"note\": \"plugin-file\"}");
    folder_write(f->folder, "j.yaml", "note: job-file\n");
    load(f, "sub");
    set = core_config_parse_set(&f->arena, set_words, 2, &f->problems);
    core_config_layers(&f->arena, set, &f->config->jobs[0], &f->config->plugins[0], NULL, NULL,
                       &layers, &f->problems);
    assert_int_equal(f->problems.count, 0);
    assert_int_equal(layers.count, RC_ARRAY_LEN(notes));
    for (size_t i = 0; i < layers.count; i++) {
        assert_string_equal(core_node_get(layers.nodes[i], "note")->text, notes[i]);
        assert_null(core_node_get(layers.nodes[i], "config_file"));
    }
    core_config_layers(&f->arena, NULL, NULL, NULL, NULL, NULL, &layers, &f->problems);
    assert_int_equal(layers.count, 0);
}

/* Behind the file of the same level, as what stands there changes most by itself. */
static void urls_give_layers_once_they_are_fetched(void **state)
{
    static const char *const words[] = { "config_url=https://a.example/set" };
    static const char *const notes[] = { "set", "job", "plugin" };
    static const char yaml[] = "note: set\n", json[] = "{\"note\": \"job\"}", empty[] = "";
    const struct core_config_text items[] = {
        { "https://a.example/set", yaml, strlen(yaml) },
        { "http://u:word@a.example/job?key=1", json, strlen(json) },
        { "https://a.example/plugin", empty, 0 },
    };
    const struct core_config_texts all = { items, 3 }, some = { items, 2 };
    struct fixture *f = *state;
    const char *urls[CORE_CONFIG_URLS];
    const struct core_node *set;
    struct core_layers layers;

    folder_write(f->folder, "a.yaml",
                 "plugins:\n  sample: {config: {note: plugin}, config_url: "
                 "'https://a.example/plugin'}\n"
                 "jobs:\n  j: {plugin: sample, config_url: 'http://u:word@a.example/job?key=1'}\n");
    load(f, "a.yaml");
    set = core_config_parse_set(&f->arena, words, 1, &f->problems);
    assert_int_equal(core_config_urls(set, &f->config->jobs[0], &f->config->plugins[0], urls), 3);
    for (size_t i = 0; i < RC_ARRAY_LEN(items); i++)
        assert_string_equal(urls[i], items[i].url);
    assert_int_equal(core_config_urls(NULL, NULL, NULL, urls), 0);

    core_config_layers(&f->arena, set, &f->config->jobs[0], &f->config->plugins[0], &all, NULL,
                       &layers, &f->problems);
    assert_int_equal(layers.count, 4); /* the first is what is left of --set */
    for (size_t i = 0; i < RC_ARRAY_LEN(notes); i++)
        assert_string_equal(core_node_get(layers.nodes[i + 1], "note")->text, notes[i]);
    assert_string_equal(core_node_get(layers.nodes[2], "note")->place.file,
                        "http://a.example/job?...");

    core_config_layers(&f->arena, set, &f->config->jobs[0], &f->config->plugins[0], &some, NULL,
                       &layers, &f->problems);
    assert_int_equal(layers.count, 5);
    assert_true(layers.nodes[4]->broken);
    assert_int_equal(f->problems.count, 0);
}

static void a_file_or_url_with_a_list_gives_the_one_option(void **state)
{
    static const char list[] = "[{\"targetFolder\": \"at the URL\"}]";
    const struct core_config_text item = { "https://a.example/list", list, strlen(list) };
    const struct core_config_texts texts = { &item, 1 };
    struct fixture *f = *state;
    const struct core_node *windows;
    struct core_layers layers;

    folder_write(f->folder, "a.yaml",
                 "plugins:\n  sample: {config_url: 'https://a.example/list'}\n"
                 "jobs:\n  j: {plugin: sample, config: {note: x}, config_file: list.yaml}\n");
    folder_write(f->folder, "list.yaml", "# of windows\n- targetFolder: in the file\n");
    load(f, "a.yaml");
    core_config_layers(&f->arena, NULL, &f->config->jobs[0], &f->config->plugins[0], &texts,
                       "windows", &layers, &f->problems);
    assert_int_equal(f->problems.count, 0);
    assert_int_equal(layers.count, 3);
    assert_null(core_node_get(layers.nodes[0], "windows"));
    windows = core_node_get(layers.nodes[1], "windows");
    assert_string_equal(core_node_get(windows->items[0], "targetFolder")->text, "in the file");
    assert_int_equal(windows->place.line, 2);
    assert_int_equal(layers.nodes[1]->entries[0].place.line, 2);
    windows = core_node_get(layers.nodes[2], "windows");
    assert_string_equal(core_node_get(windows->items[0], "targetFolder")->text, "at the URL");

    core_config_layers(&f->arena, NULL, &f->config->jobs[0], &f->config->plugins[0], &texts, NULL,
                       &layers, &f->problems);
    assert_int_equal(f->problems.count, 2);
    assert_non_null(strstr(f->problems.first->message, "put the list under the key of the option"));
    assert_true(layers.nodes[1]->broken && layers.nodes[2]->broken);
}

static void a_seeds_json_stands_as_it_is(void **state)
{
    struct fixture *f = *state;
    struct sample sample;

    folder_write(f->folder, "a.yaml", "jobs:\n  j: {plugin: sample, config_file: seed.json}\n");
    folder_write(
        f->folder, "seed.json",
        "\xEF\xBB\xBF{\r\n\t\"table\": \"caf\\u00e9\",\r\n\t\"exportToCsv\": true,\r\n"
        "\t\"historyStartDay\": \"2021-06-01\",\r\n\t\"engine\": null,\r\n\t\"windows\": [\r\n"
        "\t\t{\"targetFolder\": \"\\/7d\\/\", \"aggregationWindowDays\": \"7\"}\r\n\t]\r\n}\r\n");
    {
        RC_STR_AUTO path = rc_strf("%s/a.yaml", f->folder);

        sample_load(path, &sample, &f->arena, &f->problems);
    }
    assert_int_equal(f->problems.count, 0);
    assert_string_equal(sample.table, "café");
    assert_true(sample.csv);
    assert_null(sample.engine);
    assert_string_equal(RC_OBJECT_AT(struct sample_window, sample.windows, 0)->folder, "/7d/");
}

static void the_tables_of_all_sections_are_sound(void **state)
{
    static const char *const sections[] = { "core",       "core.auth",  "storage",
                                            "sql",        "sql.duckdb", "sql.elsewhere",
                                            "sql.athena", "sql.trino",  "plugins",
                                            "jobs",       "jobs.retry", "jobs.notify" };
    struct fixture *f = *state;

    for (size_t i = 0; i < RC_ARRAY_LEN(sections); i++) {
        const struct core_option_table *table = core_settings_table(sections[i]);
        size_t before = f->problems.count;

        assert_non_null(table);
        core_options_check_table(table, sections[i], &f->problems);
        /* config_file is kept for exactly these two. */
        assert_int_equal(
            f->problems.count - before,
            strcmp(sections[i], "plugins") == 0 || strcmp(sections[i], "jobs") == 0 ? 2 : 0);
    }
    assert_null(core_settings_table("nothing"));
    assert_null(core_settings_table("jobs.nothing"));
    assert_null(core_settings_table("job"));
}

static void problems_are_sorted_told_once_and_limited(void **state)
{
    struct core_problems problems;
    const struct core_place a = { "a.yaml", 2, 1 }, b = { "a.yaml", 10, 1 }, c = { "b.yaml", 1, 1 },
                            set = { "--set x", 0, 0 };

    (void)state;
    core_problems_init(&problems);
    core_problem_add(&problems, &set, "s1");
    core_problem_add(&problems, &c, "c");
    core_problem_add(&problems, &b, "b");
    core_problem_add(&problems, &a, "a%d", 2);
    core_problem_add(&problems, &a, "a%d", 1);
    core_problem_add(&problems, &b, "b");
    core_problems_sort(&problems);
    assert_int_equal(problems.count, 5);
    assert_string_equal(core_problem_text(&problems, problems.first), "a.yaml:2:1: a2");
    assert_string_equal(problems.first->next->message, "a1");
    assert_string_equal(problems.first->next->next->message, "b");
    assert_string_equal(problems.first->next->next->next->message, "c");
    assert_string_equal(core_problem_text(&problems, problems.first->next->next->next->next),
                        "--set x: s1");
    for (int i = 0; i < 3000; i++)
        core_problem_add(&problems, &a, "more %d", i);
    assert_int_equal(problems.count, CORE_PROBLEMS_MAX + 1);
    core_problems_clear(&problems);
    assert_int_equal(problems.count, 0);
}

static void long_text_is_cut_at_a_character(void **state)
{
    char text[400] = "";
    char out[CORE_SHOWN_TEXT];

    (void)state;
    assert_string_equal(core_shown("a\n\tb\x7f", out), "a??b?");
    for (int len = 80; len < 110;
         len++) { /* every length around the limit, in 'é's behind an 'x' */
        memset(text, 0, sizeof(text));
        text[0] = 'x';
        for (int i = 1; i + 1 < len; i += 2)
            memcpy(text + i, "é", 2);
        core_shown(text, out);
        if (strlen(text) < CORE_SHOWN_TEXT)
            assert_string_equal(out, text);
        else
            assert_int_equal(strlen(out), CORE_SHOWN_TEXT - 2);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_key_of_every_section_is_understood),
        TEST(what_a_store_cannot_be_is_a_mistake),
        TEST(the_files_of_a_folder_are_merged_in_order),
        TEST(no_path_is_an_empty_configuration),
        TEST(an_empty_folder_is_an_empty_configuration),
        TEST(a_missing_path_is_a_mistake),
        TEST(jobs_share_settings_through_anchors),
        TEST(layers_come_in_the_order_of_precedence),
        TEST(urls_give_layers_once_they_are_fetched),
        TEST(a_file_or_url_with_a_list_gives_the_one_option),
        TEST(a_seeds_json_stands_as_it_is),
        TEST(the_tables_of_all_sections_are_sound),
        cmocka_unit_test(problems_are_sorted_told_once_and_limited),
        cmocka_unit_test(long_text_is_cut_at_a_character),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
