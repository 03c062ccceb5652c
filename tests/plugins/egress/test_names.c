/*
 * Names of tables as SQL reads them, patterns, and the names of folders and objects.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <run-core/fake_host.h>

#include <names.h>

#include <stdlib.h>

#define HOST_AUTO RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *
#define NAMES_AUTO RC_CLEANUP(egress_names_clear) struct egress_names

static enum rc_code read(const char *text, struct egress_names *out, struct rc_error *err)
{
    return egress_names_read(&(struct rc_strs){ 1, &text }, out, err);
}

/* ---- tables ---- */

static void test_names_are_read_as_sql_reads_them(void **state)
{
    (void)state;
    static const struct {
        const char *text, *schema, *table;
    } cases[] = {
        { "tally_snapshots", NULL, "tally_snapshots" },
        { "Public.HOSTS", "public", "hosts" },
        { "\"Odd name\"", NULL, "Odd name" },
        { "\"Odd.name\".\"with \"\"quotes\"\"\"", "Odd.name", "with \"quotes\"" },
        { "\"\"\"\"", NULL, "\"" },
        { "\"a*?\\\"", NULL, "a*?\\" },
        { "a$1", NULL, "a$1" },
        { "_1", NULL, "_1" },
        { "ÄRGER", NULL, "Ärger" },
        { "\"2020\"", NULL, "2020" },
        { "s.\"T\"", "s", "T" },
    };

    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        NAMES_AUTO names;
        struct rc_error err;

        assert_int_equal(read(cases[i].text, &names, &err), RC_OK);
        assert_int_equal(names.count, 1);
        assert_string_equal(names.items[0].text, cases[i].text);
        assert_false(names.items[0].is_pattern);
        assert_true(rc_str_eq(names.items[0].schema, cases[i].schema));
        assert_true(rc_str_eq(names.items[0].table, cases[i].table));
    }
}

static void test_blanks_divide_names_and_items_may_hold_several(void **state)
{
    (void)state;
    static const char *const items[] = { "  a\tb.c \r\n\"d e\"  ", "", " ", "f*" };
    NAMES_AUTO names;
    struct rc_error err;

    assert_int_equal(egress_names_read(&(struct rc_strs){ 4, items }, &names, &err), RC_OK);
    assert_int_equal(names.count, 4);
    assert_string_equal(names.items[0].table, "a");
    assert_string_equal(names.items[1].schema, "b");
    assert_string_equal(names.items[2].text, "\"d e\"");
    assert_true(names.items[3].is_pattern);
}

static void test_what_is_no_name_is_refused_with_its_place(void **state)
{
    (void)state;
    static const struct {
        const char *text, *words;
    } cases[] = {
        { "ok \"open", "character 4 ('\"open'): the quote is never closed" },
        { "a.b.c", "character 4 ('a.b.c'): a name has at most a schema and a table" },
        { "a.", "a name is missing behind the dot" },
        { "a. b", "a name is missing behind the dot" },
        { ".b", "a name is missing before the dot" },
        { "a..b", "character 3" },
        { "\"\"", "nothing between the quotes" },
        { "a,b", "divided by blanks" },
        { "a;", "divided by blanks" },
        { "größe my-table", "character 9 ('my-table'): such a character has to stand in double" },
        { "a'b", "double quotes" },
        { "2020", "has to stand in double quotes" },
        { "$a", "has to stand in double quotes" },
        { "\"A\"b", "a part of a name is in quotes" },
        { "a\"B\"", "a part of a name is in quotes" },
    };

    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        struct egress_names names;
        struct rc_error err;

        assert_int_equal(read(cases[i].text, &names, &err), RC_INVALID);
        if (!strstr(err.cause, cases[i].words))
            fail_msg("'%s' gives '%s', not '%s'", cases[i].text, err.cause, cases[i].words);
        assert_null(names.items);
    }
}

static void test_the_item_of_a_list_is_said(void **state)
{
    (void)state;
    static const char *const items[] = { "a", "b c d/e" };
    struct egress_names names;
    struct rc_error err;

    assert_int_equal(egress_names_read(&(struct rc_strs){ 2, items }, &names, &err), RC_INVALID);
    assert_non_null(strstr(err.cause, "item 2, character 6 ('d/e')"));
}

static void test_a_name_without_end_is_refused(void **state)
{
    (void)state;
    RC_STR_AUTO text = rc_malloc(100001);
    struct egress_names names;
    struct rc_error err;

    memset(text, 'a', 100000);
    text[100000] = '\0';
    assert_int_equal(read(text, &names, &err), RC_INVALID);
    assert_non_null(strstr(err.cause, "too long"));
}

/* ---- patterns ---- */

static void test_patterns_fit(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *schema, *table;
        bool fits;
    } cases[] = {
        { "*", "public", "any thing", true },
        { "audit_*", "any", "audit_", true },
        { "audit_*", "any", "audit", false },
        { "Audit_*", "any", "audit_x", true },
        { "\"Audit\"_*", "any", "Audit_x", true },
        { "\"Audit\"_*", "any", "audit_x", false },
        { "s?.t*", "s1", "t", true },
        { "s?.t*", "s", "t", false },
        { "public.*", "public", "t", true },
        { "public.*", "other", "t", false },
        { "*.t", "other", "t", true },
        { "*a*b*c", "s", "xxaxxbxxbxxc", true },
        { "*a*b*c", "s", "xxaxxbxxbxx", false },
        { "?", "s", "ä", true }, /* a character, not a byte */
        { "??", "s", "ä", false },
        { "*ä", "s", "ää", true },
        { "s*.\"a*\"", "s", "a*", true }, /* what is in quotes is not wild */
        { "s*.\"a*\"", "s", "ab", false },
        { "s*.\"a\\\"", "s", "a\\", true },
        { "s*.\"a?\"", "s", "ab", false },
        { "*\"x\"", "s", "wx", true },
        { "2020*", "s", "2020_q1", true },
        { "t", "s", "t", true }, /* plain names, too */
        { "t", "s", "tt", false },
        { "r.t", "s", "t", false },
        { "\"t*\"", "s", "t*", true },
        { "\"t*\"", "s", "tt", false },
    };

    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        NAMES_AUTO names;
        struct rc_error err;

        assert_int_equal(read(cases[i].pattern, &names, &err), RC_OK);
        if (egress_name_fits(&names.items[0], cases[i].schema, cases[i].table) != cases[i].fits)
            fail_msg("'%s' on '%s'.'%s'", cases[i].pattern, cases[i].schema, cases[i].table);
    }
}

static void test_a_nasty_pattern_ends_soon(void **state)
{
    (void)state;
    RC_STR_AUTO table = rc_malloc(20001);
    NAMES_AUTO names;
    struct rc_error err;

    memset(table, 'a', 20000);
    table[20000] = '\0';
    assert_int_equal(read("*a*a*a*a*a*a*a*a*a*a*a*b", &names, &err), RC_OK);
    assert_false(egress_name_fits(&names.items[0], "s", table));
}

/* ---- layout ---- */

static void test_a_layout_is_divided_at_the_table(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        size_t folder_len;
    } cases[] = {
        { "{date}/{table}", 7 },
        { "{table}", 0 },
        { "x-{table}-y", 0 },
        { "db/{year}/{month}/{day}/{hour}/t={table}/data", 31 },
        { "{date}/{table}/{table}", 7 },
    };

    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        struct egress_layout layout;
        struct rc_error err;

        assert_int_equal(egress_layout_read(cases[i].path, &layout, &err), RC_OK);
        assert_int_equal(layout.folder_len, cases[i].folder_len);
        assert_ptr_equal(layout.path, cases[i].path);
    }
}

static void test_a_layout_without_sense_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *path, *words;
    } cases[] = {
        { "{date}/x", "no {table}" },
        { "", "slash" },
        { "/{table}", "slash" },
        { "{date}//{table}", "slash" },
        { "{date}/{table}/", "slash" },
        { "../{table}", "segment '..'" },
        { "a/./{table}", "segment '.'" },
        { "{week}/{table}", "the field '{week}'; there are {date}" },
        { "{date/{table}", "the field '{date/{table}'" },
        { "{date", "without its other half" },
        { "a}/{table}", "without its other half" },
        { "{table}/{date}", "'{date}' beside or behind {table}" },
        { "{hour}-{table}", "'{hour}' beside or behind {table}" },
        { "a\n/{table}", "control character" },
    };

    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        struct egress_layout layout;
        struct rc_error err;

        assert_int_equal(egress_layout_read(cases[i].path, &layout, &err), RC_INVALID);
        if (!strstr(err.cause, cases[i].words))
            fail_msg("'%s' gives '%s'", cases[i].path, err.cause);
    }
}

static void assert_folder(const char *path, int offset_minutes, const char *time,
                          const char *expected)
{
    HOST_AUTO host = rc_fake_host_new(NULL);
    RC_BUF_AUTO(folder, 4096);
    struct egress_layout layout;
    struct rc_error err;
    int64_t unix_ms;

    rc_fake_host_set_zone(host, "Test/Zone", offset_minutes);
    assert_true(rc_parse_time(time, &unix_ms));
    assert_int_equal(egress_layout_read(path, &layout, &err), RC_OK);
    assert_int_equal(egress_layout_folder(rc_fake_host_job(host), &layout, unix_ms, &folder, &err),
                     RC_OK);
    assert_string_equal(folder.data, expected);
}

static void test_folders_have_the_time_of_the_jobs_zone(void **state)
{
    (void)state;
    assert_folder("{date}/{table}", 0, "2026-11-21T23:59:59Z", "2026-11-21/");
    assert_folder("{date}/{table}", 0, "2026-11-22T00:00:00Z", "2026-11-22/");
    assert_folder("a/{year}/{month}/{day}/{hour}/{table}", 0, "2026-01-02T03:04:05Z",
                  "a/2026/01/02/03/");
    assert_folder("{date}/{hour}/{table}", 330, "2026-11-21T18:30:00Z", "2026-11-22/00/");
    assert_folder("{date}/{hour}/{table}", -60, "2026-11-22T00:59:59Z", "2026-11-21/23/");
    assert_folder("{table}", 0, "2026-01-02T03:04:05Z", "");
    assert_folder("x{date}y{date}z/q/{table}.x", 0, "2026-01-02T03:04:05Z",
                  "x2026-01-02y2026-01-02z/q/");
}

static void test_a_folder_needs_a_zone(void **state)
{
    (void)state;
    HOST_AUTO host = rc_fake_host_new(NULL);
    RC_BUF_AUTO(folder, 4096);
    struct egress_layout layout;
    struct rc_error err = RC_ERROR_INIT;

    assert_int_equal(egress_layout_read("{date}/{table}", &layout, &err), RC_OK);
    rc_fake_host_fail_at(host, 1, RC_UNAVAILABLE);
    assert_int_equal(egress_layout_folder(rc_fake_host_job(host), &layout, 0, &folder, &err),
                     RC_UNAVAILABLE);
    assert_non_null(strstr(err.context, "name the folder of the run"));
}

static void test_the_folder_is_a_uri_below_the_output(void **state)
{
    (void)state;
    static const struct {
        const char *output, *path, *uri;
    } cases[] = {
        { "s3://bucket", "{date}/{table}", "s3://bucket/2026-01-15/" },
        { "s3://bucket/folder//", "{date}/{table}", "s3://bucket/folder/2026-01-15/" },
        { "s3://bucket/", "{table}", "s3://bucket/" },
        { "file:///", "{date}/{table}", "file:///2026-01-15/" },
        { "store://lake/a", "{year}/{month}/{table}", "store://lake/a/2026/01/" },
        { "/var/dumps", "{date}/{table}", "file:///var/dumps/2026-01-15/" },
        { "dumps", "{table}", "file:///srv/dumps/" },
    };

    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        HOST_AUTO host = rc_fake_host_new(NULL);
        struct rc_job *job = rc_fake_host_job(host);
        const struct egress_config config = { .output = cases[i].output, .path = cases[i].path };
        RC_STR_AUTO uri = NULL;
        struct rc_error err;

        job->working_dir = "/srv";
        assert_int_equal(egress_folder_uri(job, &config, job->slot_unix_ms, &uri, &err), RC_OK);
        assert_string_equal(uri, cases[i].uri);
    }
}

static void test_without_an_output_there_is_no_folder(void **state)
{
    (void)state;
    HOST_AUTO host = rc_fake_host_new(NULL);
    struct egress_config config = { .path = "{table}" };
    RC_STR_AUTO uri = NULL;
    struct rc_error err;

    assert_int_equal(egress_folder_uri(rc_fake_host_job(host), &config, 0, &uri, &err), RC_INVALID);
    assert_non_null(strstr(err.cause, "S3_OUTPUT"));
    config = (struct egress_config){ .path = "{date}", .output = "s3://b" };
    assert_int_equal(egress_folder_uri(rc_fake_host_job(host), &config, 0, &uri, &err), RC_INVALID);
    assert_non_null(strstr(err.context, "'path'"));
}

static void test_what_a_layout_can_have_made(void **state)
{
    (void)state;
    static const struct {
        const char *path, *name;
        bool fits;
    } cases[] = {
        { "{date}/{table}", "2026-11-21/", true },
        { "{date}/{table}", "2026-11-21", false }, /* an object */
        { "{date}/{table}", "2026-11-2/", false },
        { "{date}/{table}", "2026-11-211/", false },
        { "{date}/{table}", "web/", false },
        { "{date}/{table}", "", false },
        { "db/{date}/{table}", "db/", true },
        { "db/{date}/{table}", "db2/", false },
        { "y{year}m{month}-{day}{hour}x/{table}", "y2026m11-2103x/", true },
        { "y{year}m{month}-{day}{hour}x/{table}", "y2026m11-210x/", false },
        { "{table}", "anything", true },
        { "{table}", "anything/", true },
    };

    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        struct egress_layout layout;
        struct rc_error err;

        assert_int_equal(egress_layout_read(cases[i].path, &layout, &err), RC_OK);
        if (egress_layout_fits(&layout, cases[i].name) != cases[i].fits)
            fail_msg("'%s' in '%s'", cases[i].name, cases[i].path);
    }
}

/* ---- keys ---- */

static void test_keys_hold_what_a_name_may_bring(void **state)
{
    (void)state;
    static const struct {
        const char *path, *table;
        int part;
        const char *key;
    } cases[] = {
        { "{date}/{table}", "tally_snapshots", -1, "tally_snapshots.csv.gz" },
        { "{date}/{table}", "tally_snapshots", 0, "tally_snapshots/part-00000.csv.gz" },
        { "{date}/{table}", "t", 123456, "t/part-123456.csv.gz" },
        { "{date}/{table}", "public.hosts", -1, "public.hosts.csv.gz" },
        { "{date}/{table}", "with \"quotes\" ä", -1, "with \"quotes\" ä.csv.gz" },
        { "{date}/{table}", "a/b%c\n\x7f", -1, "a%2Fb%25c%0A%7F.csv.gz" },
        { "{date}/{table}", "_private", -1, "_private.csv.gz" },
        { "{date}/{table}", ".hidden", -1, ".hidden.csv.gz" },
        { "{date}/{table}", "a_._b", -1, "a_._b.csv.gz" },
        /* What would lead elsewhere, or be in the way of the manifest. */
        { "{date}/{table}", "..", -1, "%2E..csv.gz" },
        { "{date}/{table}", "..", 0, "%2E./part-00000.csv.gz" },
        { "{date}/{table}", ".", 0, "%2E/part-00000.csv.gz" },
        { "{date}/.{table}/data", ".", -1, "%2E./data.csv.gz" },
        { "{date}/{table}/{table}", ".", -1, "%2E/%2E.csv.gz" },
        { "{date}/{table}", "_manifest", -1, "_manifest.csv.gz" },
        { "{date}/{table}", "_manifest.json", 0, "%5Fmanifest.json/part-00000.csv.gz" },
        { "{date}/{table}", "%5Fmanifest.json", 0, "%255Fmanifest.json/part-00000.csv.gz" },
        { "{date}/_{table}/x", "manifest.json", 0, "%5Fmanifest.json/x/part-00000.csv.gz" },
        { "{date}/{table}", "ä\xe4", -1, "%C3%A4%E4.csv.gz" }, /* is not UTF-8 */
        { "t={table}/{table}/data", "x", 7, "t=x/x/data/part-00007.csv.gz" },
    };

    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        RC_BUF_AUTO(key, 4096);
        struct egress_layout layout;
        struct rc_error err;

        assert_int_equal(egress_layout_read(cases[i].path, &layout, &err), RC_OK);
        egress_layout_key(&layout, cases[i].table, cases[i].part, ".csv.gz", &key);
        assert_string_equal(key.data, cases[i].key);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_are_read_as_sql_reads_them),
        cmocka_unit_test(test_blanks_divide_names_and_items_may_hold_several),
        cmocka_unit_test(test_what_is_no_name_is_refused_with_its_place),
        cmocka_unit_test(test_the_item_of_a_list_is_said),
        cmocka_unit_test(test_a_name_without_end_is_refused),
        cmocka_unit_test(test_patterns_fit),
        cmocka_unit_test(test_a_nasty_pattern_ends_soon),
        cmocka_unit_test(test_a_layout_is_divided_at_the_table),
        cmocka_unit_test(test_a_layout_without_sense_is_refused),
        cmocka_unit_test(test_folders_have_the_time_of_the_jobs_zone),
        cmocka_unit_test(test_a_folder_needs_a_zone),
        cmocka_unit_test(test_the_folder_is_a_uri_below_the_output),
        cmocka_unit_test(test_without_an_output_there_is_no_folder),
        cmocka_unit_test(test_what_a_layout_can_have_made),
        cmocka_unit_test(test_keys_hold_what_a_name_may_bring),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
