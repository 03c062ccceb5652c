/*
 * Rules in the state: made, changed, deleted and made again, each version kept; what is in whose
 * way; and the rules of the configuration.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "state/rules.h"
#include "state_world.h"

#include <run-core/str.h>

#include <inttypes.h>
#include <stdio.h>

enum { A_DAY_MS = 24 * 3600 * 1000 };

static struct sdrs_rule rule_of(enum sdrs_rule_type type, const char *project, const char *storage,
                                int64_t period)
{
    return (struct sdrs_rule){
        .type = type,
        .project = rc_strdup(project),
        .storage = rc_strdup(storage),
        .dataset = rc_strdup("a label"),
        .period = period,
        .unit = SDRS_DAY,
        .user = rc_strdup("ann@example.com"),
    };
}

/* Makes a rule and returns its id; 0: it was refused, see 'err'. */
static int64_t create(struct state_world *world, enum sdrs_rule_type type, const char *project,
                      const char *storage, int64_t period, struct rc_error *err)
{
    RC_CLEANUP(sdrs_rule_clear)
    struct sdrs_rule rule = rule_of(type, project, storage, period);

    return sdrs_rules_create(&world->state, &rule, err) ? 0 : rule.id;
}

static int64_t must_create(struct state_world *world, const char *storage)
{
    struct rc_error err = RC_ERROR_INIT;
    int64_t id = create(world, SDRS_DATASET, "p", storage, 30, &err);

    if (id == 0)
        fail_msg("%s: %s", err.context, err.cause);
    return id;
}

static void delete_rule(struct state_world *world, const char *storage)
{
    struct rc_error err = RC_ERROR_INIT;
    int64_t id;

    expect_ok(sdrs_rules_delete(&world->state, SDRS_DATASET, "p", storage, "bob", &id, &err));
}

/* "id:storage " of each active rule above 'after'. */
static const char *listed(struct state_world *world, int64_t after, size_t limit)
{
    static char text[2000];
    struct rc_error err = RC_ERROR_INIT;
    RC_CLEANUP(sdrs_rules_clear) struct sdrs_rules rules = { 0 };
    size_t len = 0;

    expect_ok(sdrs_rules_list(&world->state, after, limit, &rules, &err));
    text[0] = '\0';
    for (size_t i = 0; i < rules.count; i++)
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%" PRId64 ":%s=%" PRId64 " ",
                                rules.items[i].id, rules.items[i].storage, rules.items[i].period);
    return text;
}

/* ---- one rule -------------------------------------------------------------------------------- */

static void test_a_rule_is_found_as_it_was_made(void **state)
{
    struct state_world *world = *state;
    struct rc_error err = RC_ERROR_INIT;
    RC_CLEANUP(sdrs_rule_clear)
    struct sdrs_rule made = rule_of(SDRS_DATASET, "p", "gs://b/d\xff\n'", 30);
    RC_CLEANUP(sdrs_rule_clear) struct sdrs_rule found = { 0 };

    made.unit = SDRS_VERSION;
    made.is_configured = true;
    expect_ok(sdrs_rules_create(&world->state, &made, &err));
    assert_int_equal(made.id, 1);
    assert_int_equal(made.version, 1);
    expect_ok(sdrs_rules_find(&world->state, SDRS_DATASET, "p", "gs://b/d\xff\n'", &found, &err));
    assert_int_equal(found.id, 1);
    assert_int_equal(found.version, 1);
    assert_int_equal(found.type, SDRS_DATASET);
    assert_string_equal(found.project, "p");
    assert_string_equal(found.storage, "gs://b/d\xff\n'");
    assert_string_equal(found.dataset, "a label");
    assert_int_equal(found.period, 30);
    assert_int_equal(found.unit, SDRS_VERSION);
    assert_true(found.is_active);
    assert_true(found.is_configured);
    assert_string_equal(found.user, "ann@example.com");
    assert_in_range(found.created_unix_ms, world->job->now_unix_ms,
                    world->job->now_unix_ms + A_DAY_MS);
    assert_int_equal(found.changed_unix_ms, found.created_unix_ms);

    sdrs_rule_clear(&found);
    expect_ok(sdrs_rules_by_id(&world->state, 1, &found, &err));
    assert_string_equal(found.storage, "gs://b/d\xff\n'");
    state_next_run(world, world->job->now_unix_ms + 1);
    assert_string_equal(listed(world, 0, 0), "1:gs://b/d\xff\n'=30 ");
}

static void test_what_is_not_there(void **state)
{
    static const char nothing[] =
        "No rule found matching projectId: 'p' and dataStorageName: 'gs://b/d'";
    struct state_world *world = *state;
    struct rc_error err = RC_ERROR_INIT;
    struct sdrs_rule rule = { 0 };
    struct sdrs_rules history = { 0 };
    struct sdrs_state *at = &world->state;
    int64_t id;

    for (int i = 0; i < 2; i++) {
        expect_failure(sdrs_rules_find(at, SDRS_DATASET, "p", "gs://b/d", &rule, &err),
                       RC_NOT_FOUND, nothing);
        expect_failure(sdrs_rules_delete(at, SDRS_DATASET, "p", "gs://b/d", "u", &id, &err),
                       RC_NOT_FOUND, nothing);
        assert_string_equal(err.context, "");
        expect_failure(sdrs_rules_by_id(at, 1, &rule, &err), RC_NOT_FOUND,
                       "No rule exists with ID: 1");
        expect_failure(sdrs_rules_update(at, 1, 5, SDRS_DAY, "u", &rule, &err), RC_NOT_FOUND,
                       "No rule exists with ID: 1");
        assert_string_equal(listed(world, 0, 0), "");
        assert_null(rule.storage);
        if (i == 0) { /* the same of one that is deleted */
            expect_failure(sdrs_rules_history(at, 1, &history, &err), RC_NOT_FOUND,
                           "No rule exists with ID: 1");
            must_create(world, "gs://b/d");
            delete_rule(world, "gs://b/d");
        }
    }
    /* Every part of the name counts. */
    must_create(world, "gs://b/d");
    expect_failure(sdrs_rules_find(at, SDRS_DEFAULT, "p", "gs://b/d", &rule, &err), RC_NOT_FOUND,
                   nothing);
    assert_int_equal(sdrs_rules_find(at, SDRS_DATASET, "P", "gs://b/d", &rule, &err), RC_NOT_FOUND);
    assert_int_equal(sdrs_rules_find(at, SDRS_DATASET, "p", "gs://b/D", &rule, &err), RC_NOT_FOUND);
}

static void test_every_version_is_kept(void **state)
{
    struct state_world *world = *state;
    struct rc_error err = RC_ERROR_INIT;
    RC_CLEANUP(sdrs_rule_clear) struct sdrs_rule rule = { 0 };
    RC_CLEANUP(sdrs_rules_clear) struct sdrs_rules history = { 0 };
    int64_t id = must_create(world, "gs://b/d"), created_unix_ms, deleted = 0;

    must_create(world, "gs://b/other");
    state_wait(world, A_DAY_MS);
    expect_ok(sdrs_rules_update(&world->state, id, 7, SDRS_MONTH, "bob", &rule, &err));
    created_unix_ms = rule.created_unix_ms;
    assert_int_equal(rule.version, 2);
    assert_int_equal(rule.period, 7);
    assert_int_equal(rule.unit, SDRS_MONTH);
    assert_true(rule.changed_unix_ms >= world->job->now_unix_ms);
    sdrs_rule_clear(&rule);

    expect_ok(
        sdrs_rules_delete(&world->state, SDRS_DATASET, "p", "gs://b/d", "eve", &deleted, &err));
    assert_int_equal(deleted, id);
    /* Made again: the same rule, with the next version. */
    assert_int_equal(create(world, SDRS_DATASET, "p", "gs://b/d", 9, &err), id);
    expect_ok(sdrs_rules_by_id(&world->state, id, &rule, &err));
    assert_int_equal(rule.version, 4);
    assert_int_equal(rule.period, 9);
    assert_int_equal(rule.unit, SDRS_DAY);
    assert_int_equal(rule.created_unix_ms, created_unix_ms);

    expect_ok(sdrs_rules_history(&world->state, id, &history, &err));
    assert_int_equal(history.count, 4);
    static const struct {
        int64_t period;
        const char *user;
        bool is_active;
    } versions[] = { { 9, "ann@example.com", true },
                     { 7, "eve", false },
                     { 7, "bob", true },
                     { 30, "ann@example.com", true } };
    for (size_t i = 0; i < history.count; i++) {
        assert_int_equal(history.items[i].id, id);
        assert_int_equal(history.items[i].version, 4 - (int64_t)i);
        assert_int_equal(history.items[i].period, versions[i].period);
        assert_string_equal(history.items[i].user, versions[i].user);
        assert_int_equal(history.items[i].is_active, versions[i].is_active);
    }
}

static void test_rules_are_listed_in_pages(void **state)
{
    struct state_world *world = *state;

    for (int i = 0; i < 20; i++) {
        RC_STR_AUTO name = rc_strf("gs://b/%d", i);

        assert_int_equal(must_create(world, name), i + 1);
    }
    for (int i = 3; i < 20; i++) {
        RC_STR_AUTO name = rc_strf("gs://b/%d", i);

        delete_rule(world, name);
    }
    assert_string_equal(listed(world, 0, 0), "1:gs://b/0=30 2:gs://b/1=30 3:gs://b/2=30 ");
    assert_string_equal(listed(world, 0, 2), "1:gs://b/0=30 2:gs://b/1=30 ");
    assert_string_equal(listed(world, 2, 2), "3:gs://b/2=30 ");
    assert_string_equal(listed(world, 3, 2), "");
}

/* ---- what is in the way ---------------------------------------------------------------------- */

static void test_there_is_one_active_rule_of_a_name(void **state)
{
    struct state_world *world = *state;
    struct rc_error err = RC_ERROR_INIT;

    must_create(world, "gs://b/d");
    assert_int_equal(create(world, SDRS_DATASET, "p", "gs://b/d", 5, &err), 0);
    assert_int_equal(err.code, RC_CONFLICT);
    assert_string_equal(err.cause, "A DATASET rule already exists with project id: p, data storage "
                                   "name: gs://b/d");
    assert_string_equal(err.context, "");
    assert_int_equal(create(world, SDRS_DATASET, "q", "gs://b/d", 5, &err), 2);
    assert_int_equal(create(world, SDRS_DEFAULT, "p", "gs://b", 5, &err), 3);
    assert_int_equal(create(world, SDRS_DEFAULT, "p", "gs://b", 5, &err), 0);
    assert_string_equal(err.cause,
                        "A DEFAULT rule already exists with project id: p, data storage name: "
                        "gs://b");
    assert_string_equal(listed(world, 0, 0), "1:gs://b/d=30 2:gs://b/d=5 3:gs://b=5 ");
    assert_int_equal(state_number(world, "SELECT count(*) FROM rule_versions"), 3);
}

static void test_there_is_one_global_rule(void **state)
{
    struct state_world *world = *state;
    struct rc_error err = RC_ERROR_INIT;
    int64_t id;

    assert_int_equal(create(world, SDRS_GLOBAL, "g", "gs://global", 5, &err), 1);
    assert_int_equal(create(world, SDRS_GLOBAL, "h", "gs://other", 5, &err), 0);
    assert_int_equal(err.code, RC_CONFLICT);
    assert_string_equal(err.cause, "A GLOBAL rule already exists with project id: g, data storage "
                                   "name: gs://global");
    expect_ok(sdrs_rules_delete(&world->state, SDRS_GLOBAL, "g", "gs://global", "u", &id, &err));
    assert_int_equal(create(world, SDRS_GLOBAL, "h", "gs://other", 5, &err), 2);
    assert_int_equal(create(world, SDRS_GLOBAL, "g", "gs://global", 5, &err), 0);
}

static void test_datasets_do_not_nest(void **state)
{
    static const struct {
        const char *name;
        bool is_free;
    } beside_ab[] = {
        { "gs://b/a", false },       { "gs://b", false },      { "gs://b/a/b/c", false },
        { "gs://b/a/b/c/d", false }, { "gs://b/a/b2", true },  { "gs://b/a/b.", true },
        { "gs://b/a/b-c/d", true },  { "gs://b/a/b0", true },  { "gs://b/a/b\xff", true },
        { "gs://b/a2", true },       { "gs://b2/a/b", true },  { "gs://c/a/b/c", true },
        { "s3://b/a/b/c", true },    { "gs://b/A/b/c", true }, { "gs://b/b/a", true },
        { "gs://b/a/c/b", true },
    };
    struct state_world *world = *state;
    struct rc_error err = RC_ERROR_INIT;

    for (size_t i = 0; i < RC_ARRAY_LEN(beside_ab); i++) {
        const char *name = beside_ab[i].name;
        int64_t id;

        must_create(world, "gs://b/a/b");
        id = create(world, SDRS_DATASET, "other", name, 5, &err);
        if ((id != 0) != beside_ab[i].is_free)
            fail_msg("%s: %s", name, id ? "made" : err.cause);
        if (id == 0) {
            RC_STR_AUTO text = rc_strf("A DATASET rule for gs://b/a/b already exists with project "
                                       "id: p. The request for %s is not allowed for violating "
                                       "non-nesting rule",
                                       name);

            assert_int_equal(err.code, RC_CONFLICT);
            assert_string_equal(err.cause, text);
        }
        /* A DEFAULT rule is beside the datasets, and a rule that is deleted in nobody's way. */
        if (i == 0)
            assert_true(create(world, SDRS_DEFAULT, "p", "gs://b", 5, &err) > 0);
        state_change(world, "UPDATE rules SET is_active = 0 WHERE type = 'DATASET'");
    }
}

/* ---- the configuration ----------------------------------------------------------------------- */

#define RULE(n, storage, period)                                                                   \
    "rules[" #n "].type=DATASET", "rules[" #n "].projectId=p",                                     \
        "rules[" #n "].dataStorageName=" storage, "rules[" #n "].retentionPeriod=" period

static void configure(struct state_world *world, const char *const *settings)
{
    struct rc_error err = RC_ERROR_INIT;

    expect_ok(sdrs_rules_configure(&world->state, state_config(world, settings), &err));
}

static void test_the_configuration_is_made_so(void **state)
{
    static const char *const first[] = { RULE(0, "gs://b/a", "1"), RULE(1, "gs://b/c", "2"),
                                         "rules[2].type=GLOBAL", "rules[2].retentionPeriod=9",
                                         NULL };
    static const char *const second[] = { RULE(0, "gs://b/c", "3"), RULE(1, "gs://b/a/x", "4"),
                                          NULL };
    static const char *const none[] = { NULL };
    struct state_world *world = *state;
    struct rc_error err = RC_ERROR_INIT;
    RC_CLEANUP(sdrs_rule_clear) struct sdrs_rule rule = { 0 };

    must_create(world, "gs://b/own");
    configure(world, first);
    assert_string_equal(listed(world, 0, 0), "1:gs://b/own=30 2:gs://b/a=1 3:gs://b/c=2 "
                                             "4:gs://global=9 ");
    expect_ok(sdrs_rules_by_id(&world->state, 2, &rule, &err));
    assert_string_equal(rule.user, "configuration");
    assert_true(rule.is_configured);
    configure(world, first);
    assert_int_equal(state_number(world, "SELECT count(*) FROM rule_versions"), 4);

    /* What is in the way of a new one goes before that comes. */
    configure(world, second);
    assert_string_equal(listed(world, 0, 0), "1:gs://b/own=30 3:gs://b/c=3 5:gs://b/a/x=4 ");
    configure(world, none);
    assert_string_equal(listed(world, 0, 0), "1:gs://b/own=30 ");
    configure(world, first);
    assert_string_equal(listed(world, 0, 0), "1:gs://b/own=30 2:gs://b/a=1 3:gs://b/c=2 "
                                             "4:gs://global=9 ");
    assert_int_equal(
        state_number(world, "SELECT count(*) FROM rules WHERE is_active = 1 AND is_configured = 1"),
        3);
}

static void test_who_changed_a_rule_last_has_the_word(void **state)
{
    static const char *const two[] = { RULE(0, "gs://b/a", "1"), RULE(1, "gs://b/c", "2"), NULL };
    static const char *const other[] = { RULE(0, "gs://b/a", "1"), RULE(1, "gs://b/c", "3"), NULL };
    struct state_world *world = *state;
    struct rc_error err = RC_ERROR_INIT;
    struct sdrs_rule rule = { 0 };

    configure(world, two);
    expect_ok(sdrs_rules_update(&world->state, 1, 77, SDRS_DAY, "u", &rule, &err));
    sdrs_rule_clear(&rule);
    delete_rule(world, "gs://b/c");
    configure(world, two);
    assert_string_equal(listed(world, 0, 0), "1:gs://b/a=77 ");
    configure(world, other);
    assert_string_equal(listed(world, 0, 0), "1:gs://b/a=1 2:gs://b/c=3 ");
}

static void test_a_rule_that_is_there_already_is_taken_over(void **state)
{
    static const char *const settings[] = { RULE(0, "gs://b/a", "30"), NULL };
    static const char *const none[] = { NULL };
    struct state_world *world = *state;

    must_create(world, "gs://b/a");
    state_change(world, "UPDATE rules SET dataset = CAST('a' AS BYTEA)");
    configure(world, settings);
    assert_string_equal(listed(world, 0, 0), "1:gs://b/a=30 ");
    configure(world, none);
    assert_string_equal(listed(world, 0, 0), "");
}

static int queries;

static void count_call(void *context, struct rc_fake_host *host, int n, const char *service,
                       const char *subject)
{
    (void)context;
    (void)host;
    (void)n;
    (void)subject;
    queries += strcmp(service, "db.query") == 0 || strcmp(service, "db.exec") == 0 ||
               strcmp(service, "db.begin") == 0;
}

static void test_an_unchanged_configuration_costs_one_query(void **state)
{
    static const char *const settings[] = { RULE(0, "gs://b/a", "1"), NULL };
    static const char *const none[] = { NULL };
    struct state_world *world = *state;

    rc_fake_host_on_call(world->host, count_call, NULL);
    queries = 0;
    configure(world, none);
    assert_int_equal(queries, 1);
    configure(world, settings);
    assert_true(queries > 2);
    queries = 0;
    configure(world, settings);
    assert_int_equal(queries, 1);
}

static void test_mistakes_of_the_configuration_are_named(void **state)
{
    static const char *const wrong[] = { RULE(0, "gs://b/a", "1"), RULE(1, "gs://", "1"), NULL };
    static const char *const twice[] = { RULE(0, "gs://b/a", "1"), RULE(1, "gs://b/a/", "2"),
                                         NULL };
    static const char *const nested[] = { RULE(0, "gs://b/a", "1"), RULE(1, "gs://b/a/x", "2"),
                                          NULL };
    struct state_world *world = *state;
    struct rc_error err = RC_ERROR_INIT;

    assert_int_equal(sdrs_rules_configure(&world->state, state_config(world, wrong), &err),
                     RC_INVALID);
    assert_string_equal(err.context, "rules[1]");
    assert_non_null(strstr(err.cause, "dataStorageName must include a bucket name"));
    assert_int_equal(sdrs_rules_configure(&world->state, state_config(world, twice), &err),
                     RC_INVALID);
    assert_string_equal(err.context, "rules[1]");
    assert_string_equal(err.cause,
                        "it is of the same type, project and name as rules[0]; take one out");
    assert_int_equal(sdrs_rules_configure(&world->state, state_config(world, nested), &err),
                     RC_CONFLICT);
    assert_string_equal(err.context, "make the rules of the configuration: rules[1]");
    assert_string_equal(listed(world, 0, 0), "");
    assert_int_equal(state_number(world, "SELECT count(*) FROM settings"), 0);
}

static void test_a_dry_run_sees_what_would_be(void **state)
{
    static const char *const first[] = { RULE(0, "gs://b/a", "1"), RULE(1, "gs://b/c", "2"), NULL };
    static const char *const second[] = { RULE(0, "gs://b/c", "3"), RULE(1, "gs://b/e", "4"),
                                          RULE(2, "gs://b/f", "5"), NULL };
    struct state_world *world = *state;
    struct rc_error err = RC_ERROR_INIT;
    RC_CLEANUP(sdrs_rule_clear) struct sdrs_rule rule = { 0 };

    must_create(world, "gs://b/own");
    configure(world, first);
    world->job->dry_run = true;
    configure(world, second);
    assert_string_equal(listed(world, 0, 0), "1:gs://b/own=30 3:gs://b/c=3 4:gs://b/e=4 "
                                             "5:gs://b/f=5 ");
    assert_string_equal(listed(world, 1, 2), "3:gs://b/c=3 4:gs://b/e=4 ");
    expect_ok(sdrs_rules_find(&world->state, SDRS_DATASET, "p", "gs://b/e", &rule, &err));
    assert_int_equal(rule.id, 4);
    assert_int_equal(rule.version, 1);
    sdrs_rule_clear(&rule);
    expect_ok(sdrs_rules_by_id(&world->state, 3, &rule, &err));
    assert_int_equal(rule.period, 3);
    sdrs_rule_clear(&rule);
    assert_int_equal(sdrs_rules_find(&world->state, SDRS_DATASET, "p", "gs://b/a", &rule, &err),
                     RC_NOT_FOUND);
    assert_int_equal(sdrs_rules_by_id(&world->state, 2, &rule, &err), RC_NOT_FOUND);

    world->job->dry_run = false;
    state_next_run(world, world->job->now_unix_ms);
    assert_string_equal(listed(world, 0, 0), "1:gs://b/own=30 2:gs://b/a=1 3:gs://b/c=2 ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(test_a_rule_is_found_as_it_was_made),
        EACH(test_what_is_not_there),
        EACH(test_every_version_is_kept),
        EACH(test_rules_are_listed_in_pages),
        EACH(test_there_is_one_active_rule_of_a_name),
        EACH(test_there_is_one_global_rule),
        EACH(test_datasets_do_not_nest),
        EACH(test_the_configuration_is_made_so),
        EACH(test_who_changed_a_rule_last_has_the_word),
        EACH(test_a_rule_that_is_there_already_is_taken_over),
        EACH(test_an_unchanged_configuration_costs_one_query),
        EACH(test_mistakes_of_the_configuration_are_named),
        { "a dry run sees what would be", test_a_dry_run_sees_what_would_be, state_in_memory,
          state_tear_down, NULL },
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
