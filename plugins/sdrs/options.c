/*
 * The option tables. Names with dots and in camel case are those of the older system's
 * configuration file, with its defaults; what is new is in snake case.
 */
#include "config.h"
#include "rule.h"

static const char *const mover_names[] = { "auto", "direct", "sts", NULL };
static const char *const collision_names[] = { "overwrite", "keep", NULL };
static const char *const time_units[] = { "SECONDS", "MINUTES", "HOURS", "DAYS", NULL };

static const struct rc_option rule_options[] = {
    { RC_STR("type", struct sdrs_rule_entry, type), .flags = RC_OPT_REQUIRED,
      .help = "DATASET for the data below a path, DEFAULT for the rest of a bucket, GLOBAL for the "
              "rest of every bucket that other rules name." },
    { RC_STR("dataStorageName", struct sdrs_rule_entry, storage),
      .help = "What it is for, as gs://bucket/dataset; not of GLOBAL." },
    { RC_STR("projectId", struct sdrs_rule_entry, project),
      .help = "The project that the bucket is in; not of GLOBAL." },
    { RC_STR("retentionPeriodUnit", struct sdrs_rule_entry, unit), .def = "DAY",
      .help = "DAY, MONTH (30 days) or VERSION (the newest directories right below the dataset)." },
    { RC_STR("datasetName", struct sdrs_rule_entry, dataset),
      .help = "A name for people; by default the path." },
    { RC_INT("retentionPeriod", struct sdrs_rule_entry, period), .flags = RC_OPT_REQUIRED, .min = 0,
      .max = SDRS_MAX_DAYS,
      .help = "How long data stays, or how many versions; at most 1095 days, 84 months or 30 "
              "versions." },
    { 0 },
};

#define SEED_PACE(prefix, m, first, every, in)                                                     \
    { RC_INT(prefix ".initialDelay", struct sdrs_config, m.delay), .def = first, .min = 0,         \
      .max = INT32_MAX,                                                                            \
      .help = "Accepted and without effect: the 'schedule' of a job says when it begins." },       \
        { RC_INT(prefix ".frequency", struct sdrs_config, m.period), .def = every, .min = 1,       \
          .max = INT32_MAX,                                                                        \
          .help = "Accepted and without effect: the 'schedule' of a job says how often." },        \
    {                                                                                              \
        RC_ENUM(prefix ".timeUnit", struct sdrs_config, m.unit, time_units), .def = in,            \
                                                                             .help = "Of the two." \
    }

const struct rc_option sdrs_options[] = {
    { RC_OBJECTS("rules", struct sdrs_config, rules, struct sdrs_rule_entry, rule_options),
      .help = "Rules that are to be there, beside those that the API makes. One that is taken out "
              "here is deleted." },
    { RC_LIST("legal_holds", struct sdrs_config, legal_holds),
      .help = "Prefixes that nothing moves, as gs://bucket/dataset/2019/03/." },
    { RC_STR("path_template", struct sdrs_config, path_template), .def = "{yyyy}/{mm}/{dd}/{hh}",
      .help = "Where the path behind the dataset says its time, in UTC; also such as "
              "dt={yyyy}-{mm}-{dd} or year={yyyy}/month={mm}." },
    { RC_INT("sts.maxLookBackInDays", struct sdrs_config, max_look_back_days), .def = "0", .min = 0,
      .max = 36500, .unit = "days",
      .help =
          "How far back from the limit prefixes are made; 0: to the oldest year that there is." },
    { RC_STR("sts.defaultRuleExcludePrefixList", struct sdrs_config, default_excludes),
      .also = "sts.defaultRuleExlcudePrefixList",
      .help = "Prefixes in each bucket that DEFAULT and GLOBAL rules leave alone, separated by "
              "';'." },

    { RC_LIST("file_roots", struct sdrs_config, file_roots),
      .help =
          "Directories whose folders are buckets: with /srv/lake, file:///srv/lake/events/clicks "
          "is the dataset clicks in the bucket events." },
    { RC_STR("sts.shadowBucketExtension", struct sdrs_config, shadow_extension), .def = "shadow",
      .help = "What the name of the shadow bucket has more than that of the bucket." },
    { RC_BOOL("sts.shadowBucketExtensionPrefix", struct sdrs_config, shadow_prefix), .def = "false",
      .help = "Whether it stands before the name, not behind it." },
    { RC_STR("sts.defaultProjectId", struct sdrs_config, default_project), .def = "global-default",
      .help = "Project under which the GLOBAL rule is kept." },
    { RC_STR("sts.defaultStorageName", struct sdrs_config, default_storage), .def = "gs://global",
      .help = "Name under which the GLOBAL rule is kept." },

    { RC_ENUM("mover", struct sdrs_config, mover, mover_names), .def = "auto",
      .help = "Who moves: 'sts' is Google's Storage Transfer Service, for gs:// alone, 'direct' "
              "copies inside the store, verifies and removes; auto is sts for gs:// and direct for "
              "all else." },
    { RC_ENUM("collision", struct sdrs_config, collision, collision_names), .def = "overwrite",
      .help = "What happens to another object of the same name in the shadow bucket: 'overwrite' "
              "replaces it, 'keep' leaves both where they are and fails." },
    { RC_INT("width", struct sdrs_config, width), .def = "0", .min = 0, .max = 1024,
      .help = "Most objects that 'direct' moves at once in a bucket; 0: as many as the store "
              "takes." },
    { RC_INT("max_delete_objects", struct sdrs_config, max_delete_objects), .def = "0", .min = 0,
      .max = INT64_MAX, .unit = "objects",
      .help = "A rule that would move more in a bucket is refused until it is confirmed; 0: no "
              "limit." },
    { RC_FLOAT("max_delete_share", struct sdrs_config, max_delete_share), .def = "0", .min = 0,
      .max = 1,
      .help = "The same of the share of the dataset's or bucket's objects; 0: no limit." },
    { RC_INT("sts.maxPrefixCount", struct sdrs_config, max_prefixes), .def = "1000", .min = 1,
      .max = 1000, .help = "Most prefixes in one job of the transfer service." },
    { RC_BOOL("sts.jobPoolOnly", struct sdrs_config, pool_only), .def = "false",
      .help = "Whether only jobs of the pool are used; a bucket without any is then an error." },
    { RC_INT("sts.jobPoolOnDemand.user", struct sdrs_config, pool_on_demand), .def = "0", .min = 0,
      .max = 96,
      .help = "How many daily jobs for delete markers are made for a bucket that has none, evenly "
              "over the day; a multiple of 4 is best. 0: none." },
    { RC_INT("jobManager.threadPoolSize", struct sdrs_config, threads), .def = "7", .min = 1,
      .max = 256, .help = "Most buckets at once." },
    { RC_INT("keep_days", struct sdrs_config, keep_days), .def = "365", .min = 0, .max = 36500,
      .unit = "days",
      .help =
          "How long ended jobs, executions and delete markers are remembered, and what was told "
          "of a prefix that no execution asks for any more; 0: for ever." },

    { RC_STR("scheduler.task.dmBatchProcessing.dmRegexPattern", struct sdrs_config, marker_pattern),
      .def = "\\.delete_this_folder",
      .help =
          "POSIX extended regular expression of delete markers: the whole last part of a target "
          "has to match." },
    { RC_INT("scheduler.task.dmBatchProcessing.maxRetry", struct sdrs_config, marker_retries),
      .def = "5", .min = 0, .max = 1000,
      .help = "How often a failed delete marker is tried again." },
    { RC_STR("lock.dm.id", struct sdrs_config, marker_lock), .def = "dm-batch",
      .help = "Name of the lock under which delete markers are processed." },
    { RC_INT("lock.dm.timeout", struct sdrs_config, marker_lock_wait_ms), .def = "60000", .min = 0,
      .max = 86400000, .unit = "milliseconds",
      .help = "How long 'dm-batch' waits for that lock. A lock is held as long as its holder "
              "lives." },

    { RC_URL("sts_endpoint", struct sdrs_config, sts_endpoint),
      .def = "https://storagetransfer.googleapis.com",
      .help = "Where Storage Transfer Service answers." },
    { RC_URL("pubsub_endpoint", struct sdrs_config, pubsub_endpoint),
      .def = "https://pubsub.googleapis.com", .help = "Where Pub/Sub answers." },
    { RC_STR("google_credentials", struct sdrs_config, google_credentials), .def = "gs://default",
      .help = "A gs:// bucket: both are asked with the credentials by which the host reaches it." },
    { RC_STR("pubsub.topic", struct sdrs_config, topic), .env = "SDRS_PUBSUB_TOPIC_NAME",
      .help =
          "Topic of notifications, as projects/P/topics/T; without it and without 'webhook_url' "
          "nobody is told." },
    { RC_URL("webhook_url", struct sdrs_config, webhook_url), .flags = RC_OPT_SECRET,
      .help = "Gets each notification by POST, in place of a topic." },
    { RC_STR("webhook_token", struct sdrs_config, webhook_token), .flags = RC_OPT_SECRET,
      .help = "Sent along as Authorization: Bearer." },

    { RC_STR("jwt_jwks", struct sdrs_config, jwks),
      .help =
          "JWKS document of those who sign tokens, or certificates by the names of their keys, as "
          "Google has them: a file, file:// or http(s)://. With it every request but GET /status "
          "needs a valid token." },
    { RC_STR("jwt_public_key_file", struct sdrs_config, public_key_file),
      .help = "PEM file with the one public key or certificate, in place of 'jwt_jwks'." },
    { RC_STR("jwt_issuer", struct sdrs_config, issuer), .help = "'iss' that tokens need to have." },
    { RC_STR("jwt_audience", struct sdrs_config, audience),
      .help = "'aud' that tokens need to have." },
    { RC_MS("jwt_refresh", struct sdrs_config, jwks_refresh_ms), .def = "10m", .min = 1000,
      .max = 86400000, .help = "After that long the JWKS document is read again." },
    { RC_MS("jwt_clock_skew", struct sdrs_config, clock_skew_ms), .def = "30s", .min = 0,
      .max = 600000, .help = "How far clocks of others may be off." },

    { RC_INT("jobManager.shutdownSleepMinutes", struct sdrs_config, shutdown_sleep_min), .def = "5",
      .min = 0, .max = INT32_MAX, .unit = "minutes",
      .help = "Accepted and without effect: executions are runs of their own and outlive the "
              "server; 'kill_after' of a job says how long it may take to end." },
    SEED_PACE("jobManager.monitor", monitor, "0", "30", "SECONDS"),
    { RC_INT("scheduler.threadPoolSize", struct sdrs_config, scheduler_threads), .def = "7",
      .min = 1, .max = INT32_MAX,
      .help = "Accepted and without effect: the daemon runs jobs as they are due." },
    { RC_INT("scheduler.shutdownWait", struct sdrs_config, scheduler_wait), .def = "30", .min = 0,
      .max = INT32_MAX, .help = "Accepted and without effect: see 'kill_after' of jobs." },
    { RC_ENUM("scheduler.shutdownTimeUnit", struct sdrs_config, scheduler_unit, time_units),
      .def = "SECONDS", .help = "Of the one before." },
    SEED_PACE("scheduler.task.dmBatchProcessing", marker_batch, "0", "60", "MINUTES"),
    SEED_PACE("scheduler.task.dmQueueCleanup", marker_cleanup, "0", "240", "MINUTES"),
    { 0 },
};

/* ---- parameters ----------------------------------------------------------------------------- */

#define SCOPE_PARAMS                                                                               \
    { RC_STR("project", struct sdrs_scope_params, project),                                        \
      .help = "Only rules of this project." },                                                     \
        { RC_STR("storage", struct sdrs_scope_params, storage),                                    \
          .help = "Only the rules of this name, as gs://bucket/dataset." },                        \
    {                                                                                              \
        RC_INT("rule", struct sdrs_scope_params, rule), .def = "0", .min = 0, .max = INT64_MAX,    \
                                                        .help = "Only the rule with this id."      \
    }

const struct rc_option sdrs_execute_params[] = {
    SCOPE_PARAMS,
    { RC_BOOL("confirm", struct sdrs_scope_params, confirm), .def = "false",
      .help = "Moves even more than 'max_delete_objects' and 'max_delete_share' allow." },
    { RC_STR("execution", struct sdrs_scope_params, execution),
      .help = "The event of the API that is carried out; set by the server." },
    { 0 },
};

const struct rc_option sdrs_plan_params[] = {
    SCOPE_PARAMS,
    { 0 },
};

const struct rc_option sdrs_restore_options[] = {
    { RC_INT("rule", struct sdrs_restore_params, rule), .def = "0", .min = 0, .max = INT64_MAX,
      .help = "Brings back what this rule has moved." },
    { RC_STR("prefix", struct sdrs_restore_params, prefix),
      .help = "Brings back what lies below this name, as gs://bucket/dataset/2019/03/." },
    { RC_STR("batch", struct sdrs_restore_params, batch),
      .help = "Brings back what this execution has moved." },
    { RC_BOOL("overwrite", struct sdrs_restore_params, overwrite), .def = "false",
      .help = "Replaces what has come to the old place meanwhile." },
    { 0 },
};

const struct rc_option sdrs_purge_params[] = {
    { RC_INT("days", struct sdrs_purge_params, days), .flags = RC_OPT_REQUIRED, .min = 0,
      .max = 36500, .unit = "days",
      .help = "What has been in the shadow bucket for longer is removed for ever." },
    { RC_STR("storage", struct sdrs_purge_params, storage),
      .help =
          "Only the shadow of this bucket, as gs://bucket; by default of all that rules name." },
    { 0 },
};

const struct rc_option sdrs_import_params[] = {
    { RC_STR("file", struct sdrs_import_params, file), .flags = RC_OPT_REQUIRED,
      .help = "CSV file of the older system's table retention_rule, with a line of column names." },
    { 0 },
};
