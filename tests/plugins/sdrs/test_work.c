/*
 * Which rules a scope chooses, and which buckets they are for.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "run_world.h"

#include <stdlib.h>
#include <string.h>

enum { TEXT_LIMIT = 1 << 16 };

static const char *const no_holds[] = { NULL };

struct chooser {
    struct run_world world;
    struct sdrs_state state;
    struct sdrs_config config;
    struct sdrs_work work;
    struct rc_error err;
};

static const char *const roots[] = { "/lake" };

static void chooser_init(struct chooser *c)
{
    run_world_init(&c->world);
    c->err = (struct rc_error)RC_ERROR_INIT;
    c->work = (struct sdrs_work){ 0 };
    c->config = (struct sdrs_config){
        .file_roots = { 1, roots },
        .legal_holds = { 0, no_holds },
        .shadow_extension = "shadow",
        .default_project = "global-default",
        .default_storage = "gs://global",
    };
    assert_int_equal(sdrs_state_open(c->world.job, &c->state, &c->err), RC_OK);
}

static void chooser_clear(struct chooser *c)
{
    sdrs_work_clear(&c->work);
    sdrs_state_close(&c->state);
    run_world_clear(&c->world);
}

#define CHOOSER_AUTO(name)                                                                         \
    RC_CLEANUP(chooser_clear) struct chooser name;                                                 \
    chooser_init(&name)

/* Its id. */
static int64_t add_rule(struct chooser *c, const char *type, const char *storage,
                        const char *project)
{
    const struct sdrs_rule_request request = {
        .type = type, .storage = storage, .project = project, .has_period = true, .period = 30
    };
    struct sdrs_rule rule = { 0 };
    int64_t id;

    if (sdrs_rule_make(&request, &c->config, &rule, &c->err) ||
        sdrs_rules_create(&c->state, &rule, &c->err))
        fail_msg("%s: %s", c->err.context, c->err.cause);
    id = rule.id;
    sdrs_rule_clear(&rule);
    return id;
}

/* "gs://a/ p: 1 DATASET, 2 DEFAULT\n" for each bucket. */
static const char *choose(struct chooser *c, const struct sdrs_scope_params *scope,
                          struct rc_buf *out)
{
    sdrs_work_clear(&c->work);
    if (sdrs_work_choose(&c->state, &c->config, scope, &c->work, &c->err))
        fail_msg("%s: %s", c->err.context, c->err.cause);
    rc_buf_reset(out);
    for (size_t i = 0; i < c->work.count; i++) {
        const struct sdrs_bucket_work *bucket = &c->work.buckets[i];

        rc_buf_addf(out, "%s %s:", bucket->bucket, bucket->project);
        for (size_t k = 0; k < bucket->rules.count; k++)
            rc_buf_addf(out, " %s %d", sdrs_rule_type_name(bucket->rules.items[k].type),
                        (int)bucket->rules.items[k].id);
        rc_buf_addc(out, '\n');
    }
    return out->data;
}

#define choose_by(c, out, ...) choose(c, &(struct sdrs_scope_params){ __VA_ARGS__ }, out)

/* 1 and 2 in the bucket a of p, 3 in b of q, 4 DEFAULT of a, 5 GLOBAL. */
static void add_rules(struct chooser *c)
{
    add_rule(c, "DATASET", "gs://a/x", "p");
    add_rule(c, "DATASET", "gs://a/y", "p");
    add_rule(c, "DATASET", "gs://b/x", "q");
    add_rule(c, "DEFAULT", "gs://a", "p");
    add_rule(c, "GLOBAL", NULL, NULL);
}

static void test_all_rules_by_bucket(void **unused)
{
    (void)unused;
    CHOOSER_AUTO(c);
    RC_BUF_AUTO(out, TEXT_LIMIT);

    assert_string_equal(choose_by(&c, &out, .rule = 0), "");
    add_rules(&c);
    assert_string_equal(choose_by(&c, &out, .rule = 0), "gs://a/ p: DATASET 1 DATASET 2 DEFAULT 4\n"
                                                        "gs://b/ q: DATASET 3 GLOBAL 5\n");
    assert_string_equal(c.work.buckets[0].shadow, "gs://ashadow/");
}

/* What lies in a shadow was moved there: it is not the rest of a bucket. */
static void test_global_leaves_shadows_alone(void **unused)
{
    (void)unused;
    CHOOSER_AUTO(c);
    RC_BUF_AUTO(out, TEXT_LIMIT);

    add_rule(&c, "DATASET", "gs://a/x", "p");
    add_rule(&c, "DATASET", "gs://ashadow/y", "p");
    add_rule(&c, "GLOBAL", NULL, NULL);
    assert_string_equal(choose_by(&c, &out, .rule = 0), "gs://a/ p: DATASET 1 GLOBAL 3\n"
                                                        "gs://ashadow/ p: DATASET 2\n");
}

static void test_scopes(void **unused)
{
    (void)unused;
    CHOOSER_AUTO(c);
    RC_BUF_AUTO(out, TEXT_LIMIT);

    add_rules(&c);
    assert_string_equal(choose_by(&c, &out, .rule = 2), "gs://a/ p: DATASET 2\n");
    assert_string_equal(choose_by(&c, &out, .rule = 4), "gs://a/ p: DEFAULT 4\n");
    assert_string_equal(choose_by(&c, &out, .rule = 5), "gs://b/ q: GLOBAL 5\n");
    assert_string_equal(choose_by(&c, &out, .project = "p"),
                        "gs://a/ p: DATASET 1 DATASET 2 DEFAULT 4\n");
    assert_string_equal(choose_by(&c, &out, .project = "q"), "gs://b/ q: DATASET 3 GLOBAL 5\n");
    assert_string_equal(choose_by(&c, &out, .project = "global-default"), "gs://b/ q: GLOBAL 5\n");
    assert_string_equal(choose_by(&c, &out, .storage = "gs://a//y/"), "gs://a/ p: DATASET 2\n");
    assert_string_equal(choose_by(&c, &out, .storage = "gs://a/"), "gs://a/ p: DEFAULT 4\n");
    assert_string_equal(choose_by(&c, &out, .storage = "gs://global"), "gs://b/ q: GLOBAL 5\n");
    assert_string_equal(choose_by(&c, &out, .storage = "gs://b/x", .project = "q"),
                        "gs://b/ q: DATASET 3\n");
}

static void expect_none(struct chooser *c, const struct sdrs_scope_params *scope,
                        const char *message)
{
    struct sdrs_work work;

    assert_int_equal(sdrs_work_choose(&c->state, &c->config, scope, &work, &c->err), RC_NOT_FOUND);
    assert_string_equal(c->err.cause, message);
    assert_int_equal(work.count, 0);
}

static void test_a_scope_that_no_rule_has(void **unused)
{
    (void)unused;
    CHOOSER_AUTO(c);
    struct sdrs_work work;

    add_rules(&c);
    expect_none(&c, &(struct sdrs_scope_params){ .rule = 6 }, "there is no active rule with id 6");
    expect_none(&c, &(struct sdrs_scope_params){ .project = "r" },
                "there is no active rule of projectId 'r'");
    expect_none(&c, &(struct sdrs_scope_params){ .storage = "gs://a/x", .project = "q" },
                "there is no active rule of projectId 'q' of dataStorageName 'gs://a/x'");
    assert_int_equal(sdrs_work_choose(&c.state, &c.config,
                                      &(struct sdrs_scope_params){ .storage = "ftp://a" }, &work,
                                      &c.err),
                     RC_INVALID);
}

/* What lies in any dataset is not the rest's, whichever rules a scope names. */
static void test_other_rules_datasets_are_known(void **unused)
{
    (void)unused;
    CHOOSER_AUTO(c);
    RC_BUF_AUTO(out, TEXT_LIMIT);

    add_rules(&c);
    add_rule(&c, "DATASET", "gs://a/of-another", "q");
    assert_string_equal(choose_by(&c, &out, .rule = 4), "gs://a/ p: DEFAULT 4\n");
    rc_buf_reset(&out);
    sdrs_prefixes_write(&c.work.buckets[0].all_datasets, &out);
    assert_string_equal(out.data, "of-another/\nx/\ny/\n");
    /* A bucket that two projects name is, for the scope of one, in that. */
    assert_string_equal(choose_by(&c, &out, .project = "q"), "gs://a/ q: DATASET 6\n"
                                                             "gs://b/ q: DATASET 3 GLOBAL 5\n");
}

static void test_holds_are_text(void **unused)
{
    (void)unused;
    CHOOSER_AUTO(c);
    RC_BUF_AUTO(out, TEXT_LIMIT);
    const char *const holds[] = { "gs://a/x/2019", "gs://a/y/", "gs://b", "gs://ab/z" };
    struct sdrs_prefixes of_a = { 0 }, of_b = { 0 };

    c.config.legal_holds = (struct rc_strs){ 4, holds };
    assert_int_equal(sdrs_holds_of(&c.config, "gs://a/", &of_a, &c.err), RC_OK);
    sdrs_prefixes_write(&of_a, &out);
    assert_string_equal(out.data, ".run-core/\nx/2019\ny/\n");
    assert_int_equal(sdrs_holds_of(&c.config, "gs://b/", &of_b, &c.err), RC_OK);
    assert_true(sdrs_prefixes_cover(&of_b, "anything"));
    sdrs_prefixes_clear(&of_a);
    sdrs_prefixes_clear(&of_b);
}

/* As after a root was taken out of the configuration. */
static void test_a_name_that_is_none_any_more(void **unused)
{
    (void)unused;
    CHOOSER_AUTO(c);
    RC_BUF_AUTO(out, TEXT_LIMIT);

    add_rule(&c, "DATASET", "file:///lake/events/x", "p");
    add_rule(&c, "DATASET", "gs://b/x", "p");
    add_rule(&c, "GLOBAL", NULL, NULL);
    c.config.file_roots.len = 0;
    assert_string_equal(choose_by(&c, &out, .rule = 0), "file:///lake/events/x p: DATASET 1\n"
                                                        "gs://b/ p: DATASET 2 GLOBAL 3\n");
    assert_has(c.work.buckets[0].mistake, "cannot be one any more");
    assert_null(c.work.buckets[1].mistake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_rules_by_bucket),
        cmocka_unit_test(test_global_leaves_shadows_alone),
        cmocka_unit_test(test_scopes),
        cmocka_unit_test(test_a_scope_that_no_rule_has),
        cmocka_unit_test(test_other_rules_datasets_are_known),
        cmocka_unit_test(test_holds_are_text),
        cmocka_unit_test(test_a_name_that_is_none_any_more),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
