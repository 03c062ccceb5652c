/*
 * Configurations: the defaults are right, and each mistake is told by its option and its place.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <config.h>

#include <run-core/str.h>

#include <string.h>

static const char *const root_items[] = { "/srv/lake" };

/* What the tables give where nobody says anything, and a root. */
static struct sdrs_config usual(void)
{
    return (struct sdrs_config){
        .path_template = "{yyyy}/{mm}/{dd}/{hh}",
        .file_roots = { 1, root_items },
        .shadow_extension = "shadow",
        .default_project = "global-default",
        .default_storage = "gs://global",
        .marker_pattern = "\\.delete_this_folder",
        .sts_endpoint = "https://storagetransfer.googleapis.com",
        .pubsub_endpoint = "https://pubsub.googleapis.com",
        .google_credentials = "gs://default",
    };
}

static void check(const struct sdrs_config *config, const char *want)
{
    struct rc_error err = RC_ERROR_INIT;
    enum rc_code code = sdrs_check_config(config, &err);
    RC_STR_AUTO have = rc_strf("%s%s%s", err.context, err.context[0] ? ": " : "", err.cause);

    if (!want) {
        if (code)
            fail_msg("%s", have);
        return;
    }
    assert_int_equal(code, RC_INVALID);
    if (!rc_str_starts(have, want))
        fail_msg("'%s', not '%s'", have, want);
}

/* One option is other than usual. */
#define WITH(member, ...)                                                                          \
    do {                                                                                           \
        struct sdrs_config config_ = usual();                                                      \
        config_.member;                                                                            \
        check(&config_, __VA_ARGS__);                                                              \
    } while (0)

static struct rc_strs one(const char *const *item)
{
    return (struct rc_strs){ 1, item };
}

static void test_texts(void **state)
{
    (void)state;
    WITH(mover = SDRS_MOVER_STS, NULL);
    WITH(path_template = "dt={yyyy}-{mm}-{dd}", NULL);
    WITH(path_template = "{mm}", "path_template: the template '{mm}' has {mm} without {yyyy}");
    WITH(path_template = NULL, "path_template: the template '' has no {yyyy}");
    WITH(shadow_extension = "-old", NULL);
    WITH(shadow_extension = "a/b", "'sts.shadowBucketExtension' has 'a/b', which is no part");
    WITH(shadow_extension = "", "'sts.shadowBucketExtension' has ''");
    WITH(marker_pattern = ".delete_this_folder", NULL);
    WITH(marker_pattern = "(", "scheduler.task.dmBatchProcessing.dmRegexPattern: '(' is no POSIX");
    WITH(marker_pattern = "", "scheduler.task.dmBatchProcessing.dmRegexPattern: '' would make");
    WITH(default_excludes = "a/;b;; c/d/ ; ", NULL);
    WITH(default_excludes = "a/; /b/", "'sts.defaultRuleExcludePrefixList' has '/b/'");
    WITH(default_excludes = "a/;//b/",
         "'sts.defaultRuleExcludePrefixList' has '//b/': keys of objects begin without a slash, so "
         "write 'b/'");
    WITH(default_excludes = "gs://b/d/", "'sts.defaultRuleExcludePrefixList' has 'gs://b/d/': ");
    WITH(default_excludes = "a;b\n", "'sts.defaultRuleExcludePrefixList' has a control character");
    WITH(file_roots = one((const char *const[]){ "srv" }), "'file_roots' has 'srv', which is no ");
    WITH(legal_holds = one((const char *const[]){ "gs://b/d/2019/03/" }), NULL);
    WITH(legal_holds = one((const char *const[]){ "b/d" }),
         "legal_holds[0] must start with 'gs://'");
}

static void test_servers(void **state)
{
    (void)state;
    WITH(topic = "projects/example.com:p/topics/t-1", NULL);
    WITH(topic = "t", "'pubsub.topic' has 't'; write projects/PROJECT/topics/TOPIC");
    WITH(topic = "projects//topics/t", "'pubsub.topic' has");
    WITH(topic = "projects/p/topics/", "'pubsub.topic' has");
    WITH(topic = "projects/p/topics/t/", "'pubsub.topic' has");
    WITH(topic = "projects/p/topics/t t", "'pubsub.topic' has");
    WITH(topic = "projects/p/subscriptions/t", "'pubsub.topic' has");
    WITH(webhook_url = "https://h/x", NULL);
    WITH(webhook_url = "ftp://h/x", "'webhook_url' has to begin with http");
    WITH(webhook_token = "secret", "'webhook_token' is set without 'webhook_url'");
    WITH(sts_endpoint = "gs://x", "'sts_endpoint' has to begin with http");
    WITH(pubsub_endpoint = "gs://x", "'pubsub_endpoint' has to begin with http");
    WITH(google_credentials = "s3://x", "'google_credentials' has 's3://x', which is no bucket");
    WITH(google_credentials = "gs://", "'google_credentials' has 'gs://', which is no bucket");
    WITH(jwks = "keys.json", NULL);
    WITH(public_key_file = "key.pem", NULL);
    WITH(issuer = "i", "'jwt_issuer' is set without 'jwt_jwks' or 'jwt_public_key_file'");
    WITH(audience = "a", "'jwt_audience' is set without 'jwt_jwks' or 'jwt_public_key_file'");
}

static void test_pairs(void **state)
{
    (void)state;
    struct sdrs_config config = usual();

    config.topic = "projects/p/topics/t";
    config.webhook_url = "https://h/x";
    check(&config, "'pubsub.topic' and 'webhook_url' are both set");
    config.topic = NULL;
    config.webhook_token = "secret";
    check(&config, NULL);
    config.jwks = "https://h/keys";
    config.public_key_file = "key.pem";
    check(&config, "'jwt_jwks' and 'jwt_public_key_file' are both set");
    config.public_key_file = NULL;
    config.issuer = config.audience = "x";
    check(&config, NULL);
}

enum { MOST = 4 };

static void test_rules(void **state)
{
    (void)state;
    static const struct {
        struct sdrs_rule_entry rules[MOST];
        const char *want;
        int mover;
    } cases[] = {
        { { { "DATASET", "gs://b/d", "p", "DAY", NULL, 30 },
            { "DATASET", "gs://b/d2", "p", "VERSION", NULL, 3 },
            { "DEFAULT", "gs://b", "p", "MONTH", NULL, 3 },
            { "GLOBAL", NULL, NULL, "DAY", NULL, 365 } },
          NULL,
          SDRS_MOVER_STS },
        { { { "GLOBAL", NULL, NULL, "DAY", NULL, 365 },
            { "DATASET", "b/d", NULL, "WEEK", NULL, 3 } },
          "rules[1]: Invalid input: dataStorageName must start with 'gs://' or 's3://' or "
          "'file:///', projectId must be provided if type is DATASET, "
          "retentionPeriodUnit has to be one of [DAY, MONTH, VERSION]",
          SDRS_MOVER_AUTO },
        { { { "DATASETS", "gs://b/d", "p", "DAY", NULL, 3 } },
          "rules[0]: Invalid input: type, one of [GLOBAL, DATASET, DEFAULT],  must be provided.",
          SDRS_MOVER_AUTO },
        { { { "DATASET", "gs://b/d", "p", "MONTH", NULL, 85 } },
          "rules[0]: Invalid input: retentionPeriod exceeds maximum value of retentionPeriodUnit "
          "MONTH of 84",
          SDRS_MOVER_AUTO },
        { { { "DATASET", "file:///etc/d", "p", "DAY", NULL, 3 } },
          "rules[0]: Invalid input: dataStorageName has a path, /etc/d, that is below none of",
          SDRS_MOVER_AUTO },
        { { { "GLOBAL", NULL, NULL, "DAY", NULL, 3 },
            { "DATASET", "gs://b/d", "p", "DAY", NULL, 3 },
            { "GLOBAL", NULL, NULL, "DAY", NULL, 4 } },
          "rules[0] and rules[2] are both GLOBAL: there is only one",
          SDRS_MOVER_AUTO },
        /* Datasets nest by segments, whatever stands between them, whoever's they are. */
        { { { "DATASET", "gs://b/data/x", "p", "DAY", NULL, 3 },
            { "DATASET", "gs://b/data-2", "p", "DAY", NULL, 3 },
            { "DATASET", "gs://b/data", "q", "DAY", NULL, 3 } },
          "rules[2] is for 'gs://b/data' and rules[0] for 'gs://b/data/x': no two of type DATASET "
          "may be for the same, or one within the other",
          SDRS_MOVER_AUTO },
        { { { "DATASET", "gs://b", "p", "DAY", NULL, 3 },
            { "DATASET", "gs://b/d", "p", "DAY", NULL, 3 } },
          "rules[0] is for 'gs://b' and rules[1]",
          SDRS_MOVER_AUTO },
        { { { "DEFAULT", "gs://b", "p", "DAY", NULL, 3 },
            { "DEFAULT", "gs://b/x", "p", "DAY", NULL, 3 } },
          "rules[",
          SDRS_MOVER_AUTO },
        { { { "DEFAULT", "gs://b", "p", "DAY", NULL, 3 },
            { "DEFAULT", "gs://b", "p2", "DAY", NULL, 3 },
            { "DEFAULT", "gs://bb", "p", "DAY", NULL, 3 } },
          NULL,
          SDRS_MOVER_AUTO },
        { { { "DATASET", "gs://b/d", "p", "DAY", NULL, 3 },
            { "DATASET", "s3://b/d", "p", "DAY", NULL, 3 } },
          NULL,
          SDRS_MOVER_AUTO },
        { { { "DATASET", "gs://b/d", "p", "DAY", NULL, 3 },
            { "DATASET", "s3://b/d", "p", "DAY", NULL, 3 } },
          "rules[1] is for 's3://b/d', which the mover 'sts' cannot move",
          SDRS_MOVER_STS },
    };

    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        struct sdrs_config config = usual();

        config.mover = cases[i].mover;
        config.rules.items = cases[i].rules;
        while (config.rules.len < MOST && cases[i].rules[config.rules.len].type)
            config.rules.len++;
        check(&config, cases[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_servers),
        cmocka_unit_test(test_pairs),
        cmocka_unit_test(test_rules),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
