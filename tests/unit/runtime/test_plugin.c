/*
 * What the loader says about a descriptor: each fault has a message of its own, and nothing
 * behind a bad head is read.
 */
#include <runtime/plugin.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

struct config {
    int64_t size;
    const char *text;
};

static enum rc_code run(struct rc_job *job, const void *config, struct rc_error *err)
{
    (void)job, (void)config, (void)err;
    return RC_OK;
}

static const struct rc_option good_options[] = {
    { RC_INT("size", struct config, size), .def = "3", .min = 1, .max = 9, .help = "A size." },
    { 0 },
};

static const struct rc_action good_actions[] = {
    { .name = "go", .summary = "Goes.", .run = run },
    { .name = "come", .summary = "Comes.", .run = run },
    { 0 },
};

static struct rc_plugin good(void)
{
    return (struct rc_plugin){
        RC_PLUGIN_HEAD, /* magic, ABI and sizes */
        .name = "sample",
        .version = "1",
        .summary = "A sample.",
        .options = good_options,
        .config_size = sizeof(struct config),
        .actions = good_actions,
    };
}

static void refused(const struct rc_plugin *descriptor, const char *part)
{
    struct core_plugin *plugin = NULL;
    struct rc_error err = RC_ERROR_INIT;

    assert_int_equal(core_plugin_adopt("x.so", descriptor, &plugin, &err), RC_INVALID);
    if (!strstr(err.cause, part))
        fail_msg("'%s' does not say '%s'", err.cause, part);
    assert_non_null(strstr(err.cause, "x.so"));
}

static void takes_a_good_one(void **state)
{
    struct rc_plugin descriptor = good();
    struct core_plugin *plugin = NULL;
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    assert_int_equal(core_plugin_adopt("x.so", &descriptor, &plugin, &err), RC_OK);
    assert_int_equal(plugin->action_count, 2);
    assert_string_equal(core_plugin_action(plugin, NULL)->name, "go");
    assert_string_equal(core_plugin_action(plugin, "come")->name, "come");
    assert_null(core_plugin_action(plugin, "stay"));
    core_plugin_free(plugin);
}

static void judges_the_head_first(void **state)
{
    struct rc_plugin bad;

    (void)state;
    bad = good();
    bad.magic = 1;
    bad.name = (const char *)8; /* would crash whoever reads it */
    refused(&bad, "is not a run-core plugin");
    bad = good();
    bad.abi_major = RC_ABI_MAJOR + 1;
    bad.name = (const char *)8;
    refused(&bad, "upgrade run-core or rebuild the plugin");
    bad.abi_major = RC_ABI_MAJOR - 1;
    refused(&bad, "rebuild the plugin with the headers of this run-core");
    bad = good();
    bad.abi_minor = RC_ABI_MINOR + 1;
    bad.name = (const char *)8;
    refused(&bad, "needs plugin ABI");
    bad = good();
    bad.option_size += 8;
    bad.name = (const char *)8;
    refused(&bad, "sizes of its structs");
}

static void judges_names(void **state)
{
    static const char *const names[] = {
        "",      "Upper", "with space",
        "-dash", "9nine", "a_b",
        "../x",  NULL,    "a2345678901234567890123456789012345678901234567890123456789012345",
    };
    struct rc_plugin bad = good();

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(names); i++) {
        bad.name = names[i];
        refused(&bad, "declares the plugin name");
    }
    bad = good();
    bad.version = NULL;
    refused(&bad, "declares no version");
    bad = good();
    bad.summary = NULL;
    refused(&bad, "declares no summary");
}

static void judges_actions(void **state)
{
    static const struct rc_action none[] = { { 0 } };
    static const struct rc_action twice[] = {
        { .name = "go", .summary = "Goes.", .run = run },
        { .name = "go", .summary = "Goes.", .run = run },
        { 0 },
    };
    static const struct rc_action no_function[] = { { .name = "go", .summary = "Goes." }, { 0 } };
    static const struct rc_action no_summary[] = { { .name = "go", .run = run }, { 0 } };
    static const struct rc_action same_as_option[] = {
        { .name = "go",
          .summary = "Goes.",
          .run = run,
          .params = good_options,
          .params_size = sizeof(struct config) },
        { 0 },
    };
    struct rc_plugin bad = good();

    (void)state;
    bad.actions = NULL;
    refused(&bad, "declares no action");
    bad.actions = none;
    refused(&bad, "declares no action");
    bad.actions = twice;
    refused(&bad, "declares the action 'go' twice");
    bad.actions = no_function;
    refused(&bad, "no function");
    bad.actions = no_summary;
    refused(&bad, "no summary");
    bad.actions = same_as_option;
    refused(&bad, "both an option and a parameter");
}

static void judges_options(void **state)
{
    static const struct rc_option outside[] = {
        { .name = "far", .type = RC_OPT_INT, .offset = 4096, .help = "Far away." },
        { 0 },
    };
    static const struct rc_option default_out_of_range[] = {
        { RC_INT("size", struct config, size), .def = "10", .min = 1, .max = 9, .help = "A." },
        { 0 },
    };
    struct rc_plugin bad = good();

    (void)state;
    bad.options = outside;
    refused(&bad, "lies outside its struct");
    bad.options = default_out_of_range;
    refused(&bad, "size");
    bad = good();
    bad.config_size = 0;
    refused(&bad, "no config_size");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_a_good_one), cmocka_unit_test(judges_the_head_first),
        cmocka_unit_test(judges_names),     cmocka_unit_test(judges_actions),
        cmocka_unit_test(judges_options),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
