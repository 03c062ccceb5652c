/*
 * The keys of the configuration's own sections, as option tables. Rules that need more
 * than one value, and paths, are left to config.c.
 */
#include <config/settings.h>

#include <config/option_value.h>

#include <run-core/log.h>
#include <run-core/str.h>

#include <ctype.h>
#include <stdint.h>
#include <string.h>

enum { MOST_PARTS = 5, MESSAGE_BYTES = 512, LONGEST_NAME = 63 };

#define SECONDS_MS(n) (INT64_C(1000) * (n))
#define DAYS_MS(n) (SECONDS_MS(86400) * (n))

/* ---- core --------------------------------------------------------------------------------- */

/* In the order of enum rc_log_level. */
static const char *const log_levels[] = { "error", "warn", "info", "debug", NULL };

static const struct rc_option core_options[] = {
    { RC_STR("state", struct core_settings, state),
      .help = "Where runs, slots and locks are kept: sqlite:///PATH, postgresql://… or a folder, "
              "which then holds state.db." },
    { RC_STR("listen", struct core_settings, listen),
      .help = "HOST:PORT of the API, the page and the health probes. On another address than "
              "loopback, tokens are required." },
    { RC_STR("socket", struct core_settings, socket),
      .help = "Unix socket over which the command line reaches the daemon; by default beside the "
              "state." },
    { RC_LIST("plugin_path", struct core_settings, plugin_path),
      .help = "Directories in which plugins are looked for, in this order." },
    { RC_ENUM("log_level", struct core_settings, log_level, log_levels), .def = "info",
      .help = "The least important messages that are logged." },
    { RC_STR("spool", struct core_settings, spool),
      .help = "Folder on this machine for the logs and results of the daemon's runs; by default "
              "beside the state." },
    { RC_INT("max_workers", struct core_settings, max_workers), .def = "256", .min = 1,
      .max = 100000,
      .help = "Most runs of the daemon at the same time; more wait for their turn." },
    { RC_MS("shutdown_grace", struct core_settings, shutdown_grace_ms), .def = "30s", .min = 0,
      .max = DAYS_MS(1),
      .help = "How long the daemon, asked to end, waits for running work before it stops it." },
    { RC_MS("lease", struct core_settings, lease_ms), .def = "60s", .min = SECONDS_MS(2),
      .max = SECONDS_MS(3600),
      .help = "Where several daemons share the state: how long one may be silent until the others "
              "take over its slots." },
    { 0 },
};

static const struct rc_option history_options[] = {
    { RC_MS("keep", struct core_settings, history.keep_ms), .def = "90d", .min = SECONDS_MS(60),
      .max = DAYS_MS(36500), .help = "How long ended runs and their logs are kept." },
    { RC_INT("runs", struct core_settings, history.runs), .def = "100000", .min = 1,
      .max = 1000000000, .help = "Most ended runs to keep of each job." },
    { RC_BYTES("log_size", struct core_settings, history.log_bytes), .def = "16MiB", .min = 4096,
      .max = INT64_C(1) << 40,
      .help = "Most of one attempt's log to keep; beyond it the oldest half goes." },
    { 0 },
};

static const struct rc_option auth_options[] = {
    { RC_STR("tokens_file", struct core_settings, tokens_file),
      .help = "File with a line 'NAME SCOPE SHA256HEX' for each token of the API." },
    { 0 },
};

static const struct rc_option http_options[] = {
    { RC_STR("ca_file", struct core_settings, http.ca_file),
      .help = "PEM file of the certificate authorities that are believed; by default the "
              "system's." },
    { RC_STR("proxy", struct core_settings, http.proxy), .flags = RC_OPT_SECRET,
      .help = "URL of the proxy that requests go through; by default as the variables "
              "http_proxy, https_proxy and no_proxy say." },
    { RC_MS("connect_timeout", struct core_settings, http.connect_ms), .def = "10s", .min = 100,
      .max = SECONDS_MS(3600), .help = "Longest wait for a connection, TLS included." },
    { RC_MS("idle_timeout", struct core_settings, http.idle_ms), .def = "60s", .min = 1000,
      .max = SECONDS_MS(3600), .help = "Longest silence of a server." },
    { RC_INT("attempts", struct core_settings, http.attempts), .def = "5", .min = 1, .max = 100,
      .help = "Attempts of one request, with the first, where it is safe to repeat it." },
    { RC_MS("backoff", struct core_settings, http.backoff_ms), .def = "100ms", .min = 1,
      .max = SECONDS_MS(3600),
      .help = "Pause before the second attempt, half of it by chance; it doubles with each further "
              "one." },
    { RC_MS("max_backoff", struct core_settings, http.max_backoff_ms), .def = "20s", .min = 1,
      .max = SECONDS_MS(3600),
      .help = "The longest pause, if the server itself does not ask for a longer one." },
    { 0 },
};

static const struct core_subsection core_parts[] = {
    { .key = "auth", .table = CORE_OPTION_TABLE(auth_options) },
    { .key = "history", .table = CORE_OPTION_TABLE(history_options) },
    { .key = "http", .table = CORE_OPTION_TABLE(http_options) },
    { 0 },
};

/* ---- storage and sql ---------------------------------------------------------------------- */

static const char *const addressings[] = { "auto", "path", "virtual", NULL };
static const char *const encryptions[] = { "none", "AES256", "aws:kms", "customer", NULL };

static const struct rc_option storage_options[] = {
    { RC_STR("bucket", struct core_store_settings, bucket),
      .help = "The bucket that these settings are for; by default the name of the entry." },
    { RC_URL("url", struct core_store_settings, url),
      .help = "Where that bucket really lies, such as file:///srv/lake or s3://other-bucket." },
    { RC_STR("region", struct core_store_settings, region), .help = "Region of the bucket." },
    { RC_URL("endpoint", struct core_store_settings, endpoint),
      .help = "The object store's HTTP address, where it is not the vendor's own." },
    { RC_ENUM("addressing", struct core_store_settings, addressing, addressings), .def = "auto",
      .help = "Whether the bucket stands in the path or in the host name of requests; auto is the "
              "host name at AWS and the path elsewhere." },
    { RC_BOOL("anonymous", struct core_store_settings, anonymous), .def = "false",
      .help = "Send requests without credentials, as for public buckets." },
    { RC_STR("access_key_id", struct core_store_settings, access_key_id),
      .help = "AWS access key, or the access id of a Google HMAC key; by default they are searched "
              "for as the AWS tools do." },
    { RC_STR("secret_access_key", struct core_store_settings, secret_access_key),
      .flags = RC_OPT_SECRET, .help = "The secret that belongs to it." },
    { RC_STR("session_token", struct core_store_settings, session_token), .flags = RC_OPT_SECRET,
      .help = "The session token of temporary AWS credentials." },
    { RC_STR("profile", struct core_store_settings, profile),
      .help = "Profile of the AWS configuration files; by default AWS_PROFILE, else 'default'." },
    { RC_STR("role_arn", struct core_store_settings, role_arn),
      .help = "AWS role to take on with the credentials that were found." },
    { RC_STR("external_id", struct core_store_settings, external_id),
      .help = "External id that the role asks for." },
    { RC_STR("role_session_name", struct core_store_settings, role_session_name),
      .help = "Name under which the role's use is recorded; by default run-core." },
    { RC_STR("service_account_file", struct core_store_settings, service_account_file),
      .help = "JSON key file of a Google service account, or of an authorised user; by default "
              "GOOGLE_APPLICATION_CREDENTIALS, the file of gcloud, or the metadata server." },
    { RC_STR("access_token", struct core_store_settings, access_token), .flags = RC_OPT_SECRET,
      .help = "A Google access token to use as it is." },
    { RC_STR("user_project", struct core_store_settings, user_project),
      .help = "Google project that is billed for the requests." },
    { RC_STR("ca_file", struct core_store_settings, ca_file),
      .help = "PEM file of the certificate authorities that are believed; by default that of "
              "'core.http'." },
    { RC_STR("proxy", struct core_store_settings, proxy), .flags = RC_OPT_SECRET,
      .help = "URL of the proxy; by default that of 'core.http'." },
    { RC_INT("connections", struct core_store_settings, connections), .def = "64", .min = 1,
      .max = 1024, .help = "Most requests at once." },
    { RC_FLOAT("requests_per_second", struct core_store_settings, requests_per_s), .def = "0",
      .min = 0, .max = 1000000, .help = "Most requests in a second; 0 is no limit." },
    { RC_BYTES("part_size", struct core_store_settings, part_bytes), .def = "0", .min = 0,
      .max = INT64_C(5) << 30,
      .help = "Size of the parts of large uploads, 5 MiB at least; 0 grows it with the object." },
    { RC_BOOL("request_payer", struct core_store_settings, request_payer), .def = "false",
      .help = "Agree to pay for requests to an AWS bucket whose owner asks for that." },
    { RC_STR("storage_class", struct core_store_settings, storage_class),
      .help = "Storage class of objects that are written." },
    { RC_ENUM("encryption", struct core_store_settings, sse, encryptions), .def = "none",
      .help = "Encryption by the server of objects that are written to S3: none leaves it to the "
              "bucket, customer sends 'encryption_key' with each request." },
    { RC_STR("kms_key", struct core_store_settings, sse_kms_key),
      .help = "Key of AWS KMS or Cloud KMS to encrypt with." },
    { RC_STR("encryption_key", struct core_store_settings, sse_customer_key),
      .flags = RC_OPT_SECRET, .help = "Base64 of the 32 bytes of the customer's own key." },
    { 0 },
};

static const char *const engines[] = { "duckdb", "athena", "trino", NULL };

static const struct rc_option sql_options[] = {
    { RC_STR("engine", struct core_engine_settings, engine), .def = "duckdb", .choices = engines,
      .help = "The engine behind the name." },
    { 0 },
};

static const struct rc_option duckdb_options[] = {
    { RC_STR("library", struct core_engine_settings, library),
      .help = "The file libduckdb.so; by default it is searched for." },
    { RC_BYTES("memory_limit", struct core_engine_settings, memory_limit_bytes), .def = "0",
      .min = 0, .max = INT64_MAX,
      .help = "Most memory that the engine may take; 0 leaves it to "
              "the engine." },
    { RC_INT("threads", struct core_engine_settings, threads), .def = "0", .min = 0, .max = 1024,
      .help = "Threads of the engine; 0 is one for each processor." },
    { RC_STR("temp_dir", struct core_engine_settings, temp_dir),
      .help = "Directory for what does not fit into memory; by default that of the run." },
    { RC_BYTES("temp_limit", struct core_engine_settings, temp_limit_bytes), .def = "0", .min = 0,
      .max = INT64_MAX, .help = "Most space to take there; 0 is no limit." },
    { RC_STR("staging_dir", struct core_engine_settings, staging_dir),
      .help = "Directory for copies of what lies in object stores, which the embedded engine reads "
              "and writes as files; by default that of the run." },
    { RC_BYTES("staging_limit", struct core_engine_settings, staging_limit_bytes), .def = "0",
      .min = 0, .max = INT64_MAX,
      .help = "Most space for copies to read and files to upload at the same time; 0 is no "
              "limit." },
    { 0 },
};

/* Of both engines that are servers. */
static const struct rc_option elsewhere_options[] = {
    { RC_URL("work", struct core_engine_settings, work),
      .help =
          "Folder, such as s3://bucket/sessions/, that this machine and the engine both reach: for "
          "tables and files that a session leaves there until it ends. By default below "
          "'results', of athena." },
    { RC_STR("catalog", struct core_engine_settings, catalog),
      .help = "Catalogue of the tables; by default AwsDataCatalog of athena, hive of trino." },
    { RC_STR("database", struct core_engine_settings, database),
      .help = "Database of tables that are named without one; by default 'default'. Athena keeps "
              "the tables of sessions there, too; in trino each session makes a schema of its "
              "own." },
    { RC_MS("query_timeout", struct core_engine_settings, query_timeout_ms), .def = "0", .min = 0,
      .max = DAYS_MS(7), .help = "Longest time for one statement; 0 leaves it to the server." },
    { RC_STR("ca_file", struct core_engine_settings, ca_file),
      .help = "PEM file of the certificate authorities that are believed; by default that of "
              "'core.http'." },
    { RC_STR("proxy", struct core_engine_settings, proxy), .flags = RC_OPT_SECRET,
      .help = "URL of the proxy; by default that of 'core.http'." },
    { 0 },
};

/* In the order of enum core_results_encryption. */
static const char *const results_encryptions[] = { "none", "SSE_S3", "SSE_KMS", "CSE_KMS", NULL };

static const struct rc_option athena_options[] = {
    { RC_STR("region", struct core_engine_settings, region),
      .help = "AWS region of Athena; by default AWS_REGION, AWS_DEFAULT_REGION or that of the "
              "profile." },
    { RC_URL("endpoint", struct core_engine_settings, endpoint),
      .help = "Athena's HTTP address, where it is not the region's own." },
    { RC_STR("work_group", struct core_engine_settings, work_group),
      .help = "Work group of the queries; by default 'primary'." },
    { RC_URL("results", struct core_engine_settings, results),
      .help =
          "Folder, such as s3://bucket/results/, for the results of queries; they stay there if "
          "'work' is said, too. By default that of the work group, or below 'work'." },
    { RC_ENUM("results_encryption", struct core_engine_settings, results_encryption,
              results_encryptions),
      .def = "none", .help = "How Athena encrypts them; none leaves it to work group and bucket." },
    { RC_STR("results_kms_key", struct core_engine_settings, results_kms_key),
      .help = "Key of AWS KMS for that." },
    { RC_STR("results_owner", struct core_engine_settings, results_owner),
      .help = "Number of the AWS account that the bucket of the results has to belong to." },
    { RC_STR("access_key_id", struct core_engine_settings, access_key_id),
      .help = "AWS access key; by default it is searched for as the AWS tools do." },
    { RC_STR("secret_access_key", struct core_engine_settings, secret_access_key),
      .flags = RC_OPT_SECRET, .help = "The secret that belongs to it." },
    { RC_STR("session_token", struct core_engine_settings, session_token), .flags = RC_OPT_SECRET,
      .help = "The session token of temporary AWS credentials." },
    { RC_STR("profile", struct core_engine_settings, profile),
      .help = "Profile of the AWS configuration files; by default AWS_PROFILE, else 'default'." },
    { RC_STR("role_arn", struct core_engine_settings, role_arn),
      .help = "AWS role to take on with the credentials that were found." },
    { RC_STR("external_id", struct core_engine_settings, external_id),
      .help = "External id that the role asks for." },
    { RC_STR("role_session_name", struct core_engine_settings, role_session_name),
      .help = "Name under which the role's use is recorded; by default run-core." },
    { RC_FLOAT("starts_per_second", struct core_engine_settings, starts_per_s), .def = "1",
      .min = 0, .max = 1000,
      .help = "Most statements that a run begins in a second; 0 is no limit." },
    { RC_FLOAT("reads_per_second", struct core_engine_settings, reads_per_s), .def = "20", .min = 0,
      .max = 1000,
      .help = "Most looks of a run at its statements, and pages of results, in a second; 0 is no "
              "limit." },
    { RC_INT("ddl_at_once", struct core_engine_settings, ddl_at_once), .def = "20", .min = 1,
      .max = 1000, .help = "Most statements of a run at once that change the catalogue." },
    { RC_INT("queries_at_once", struct core_engine_settings, queries_at_once), .def = "20",
      .min = 1, .max = 1000, .help = "Most other statements of a run at once." },
    { RC_FLOAT("price_per_tib", struct core_engine_settings, price_per_tib), .def = "5", .min = 0,
      .max = 1000, .help = "Price of a TiB that is scanned, for the cost of a run.",
      .unit = "US dollars" },
    { 0 },
};

static const struct rc_option trino_options[] = {
    { RC_URL("url", struct core_engine_settings, url),
      .help = "Address of the coordinator, such as https://trino.example.org:8443." },
    { RC_STR("work_catalog", struct core_engine_settings, work_catalog),
      .help = "Catalogue of the Hive connector, for tables over files: those of sessions, and what "
              "jobs leave there; where 'catalog' is of another kind, such as Iceberg. By default "
              "that." },
    { RC_STR("user", struct core_engine_settings, user),
      .help = "User whose the statements are, with 'password' the one who proves it; by default "
              "run-core." },
    { RC_STR("password", struct core_engine_settings, password), .flags = RC_OPT_SECRET,
      .help = "Password of the user." },
    { RC_STR("token", struct core_engine_settings, token), .flags = RC_OPT_SECRET,
      .help = "Bearer token (JWT) in place of a password." },
    { RC_STR("source", struct core_engine_settings, source), .def = "run-core",
      .help = "Whence the statements come, for resource groups and the server's records." },
    { RC_MAP("session", struct core_engine_settings, session),
      .help = "Session properties, such as query_max_run_time: 2h." },
    { RC_MAP("roles", struct core_engine_settings, roles),
      .help = "Roles to take on, by the names of catalogues: ROLE, all or none." },
    { RC_MAP("extra_credentials", struct core_engine_settings, extra_credentials),
      .flags = RC_OPT_SECRET, .help = "Further credentials that a connector asks for, by name." },
    { RC_LIST("client_tags", struct core_engine_settings, client_tags),
      .help = "Tags of the statements, for resource groups." },
    { RC_BOOL("shares_files", struct core_engine_settings, shares_files), .def = "false",
      .help = "Whether the server reads and writes file:// where this machine does." },
    { 0 },
};

static const char *const of_duckdb[] = { "duckdb", NULL };
static const char *const of_servers[] = { "athena", "trino", NULL };
static const char *const of_athena[] = { "athena", NULL };
static const char *const of_trino[] = { "trino", NULL };

static const struct core_subsection sql_parts[] = {
    { .key = "duckdb", .table = CORE_OPTION_TABLE(duckdb_options), .kinds = of_duckdb },
    { .key = "elsewhere", .table = CORE_OPTION_TABLE(elsewhere_options), .kinds = of_servers },
    { .key = "athena", .table = CORE_OPTION_TABLE(athena_options), .kinds = of_athena },
    { .key = "trino", .table = CORE_OPTION_TABLE(trino_options), .kinds = of_trino },
    { 0 },
};

/* Of an engine that only another machine knows, or nobody, there is no telling. */
static const char *kind_of_engine(const struct core_node *map, const void *entry)
{
    const struct core_engine_settings *engine = entry;
    const struct core_node *given = core_node_get(map, "engine");
    bool is_bound = !given || given->kind == CORE_NODE_NULL ||
                    (!given->broken && rc_str_eq(given->text, engine->engine));

    return is_bound ? engine->engine : NULL;
}

/* ---- plugins and jobs --------------------------------------------------------------------- */

/* In the order of enum core_plugin_auth. */
static const char *const auths[] = { "tokens", "plugin", NULL };

static const struct rc_option plugin_options[] = {
    { RC_STR("file", struct core_plugin_settings, file),
      .help = "The plugin's file; by default NAME.so on the plugin path." },
    { RC_STR("config_file", struct core_plugin_settings, config_file),
      .help =
          "YAML or JSON file of option values, for all jobs of the plugin; weaker than 'config'." },
    { RC_URL("config_url", struct core_plugin_settings, config_url),
      .help = "The same, fetched over HTTP at each run." },
    { RC_BOOL("serve", struct core_plugin_settings, serve), .def = "false",
      .help = "Whether the daemon serves the plugin's HTTP routes." },
    { RC_STR("mount", struct core_plugin_settings, mount),
      .help = "The path below which they are served; by default /plugins/NAME." },
    { RC_ENUM("auth", struct core_plugin_settings, auth, auths), .def = "tokens",
      .help = "Who judges those who ask for them: 'tokens' are those of core.auth, as everywhere; "
              "with 'plugin' the daemon asks for none and hands Authorization on, for plugins that "
              "ask for a proof themselves." },
    { 0 },
};

static const char *const plugin_free_keys[] = { "config", NULL };
static const char *const job_free_keys[] = { "config", "for_each", "for_each_file", NULL };
static const char *const concurrencies[] = { "forbid", "allow", "replace", "queue", NULL };
static const char *const misfires[] = { "skip", "latest", "all", NULL };
static const char *const dst_gaps[] = { "auto", "run_after", "skip", NULL };
static const char *const dst_overlaps[] = { "auto", "first", "both", NULL };
static const char *const events[] = { "failure", "recovery", "missed", "success", NULL };

static const struct rc_option notify_options[] = {
    { RC_LIST("on", struct core_notify_settings, on), .flags = RC_OPT_REQUIRED, .choices = events,
      .help = "What to tell of." },
    { RC_URL("url", struct core_notify_settings, url), .flags = RC_OPT_REQUIRED | RC_OPT_SECRET,
      .help = "Where a JSON object that says what happened is posted to." },
    { 0 },
};

static const struct rc_option job_options[] = {
    { RC_STR("plugin", struct core_job_settings, plugin), .flags = RC_OPT_REQUIRED,
      .help = "The plugin whose action the job runs." },
    { RC_STR("action", struct core_job_settings, action),
      .help = "The action; by default the plugin's first." },
    { RC_STR("schedule", struct core_job_settings, schedule),
      .help = "Cron expression with 5 or 6 fields, @daily and the like, @every DURATION or "
              "@startup; without it the job runs on demand only." },
    { RC_STR("time_zone", struct core_job_settings, time_zone), .def = "UTC",
      .help = "IANA time zone of the schedule." },
    { RC_MS("timeout", struct core_job_settings, timeout_ms), .def = "0", .min = 0,
      .max = DAYS_MS(365), .help = "Longest time for one attempt; 0 is no limit." },
    { RC_MS("kill_after", struct core_job_settings, kill_after_ms), .def = "10s", .min = 0,
      .max = SECONDS_MS(3600), .help = "Time between asking a run to stop and killing it." },
    { RC_ENUM("concurrency", struct core_job_settings, concurrency, concurrencies), .def = "forbid",
      .help = "What happens when a run is due while another is under way." },
    { RC_ENUM("misfire", struct core_job_settings, misfire, misfires), .def = "latest",
      .help = "Which of the slots that were missed are made up for." },
    { RC_MS("catchup_window", struct core_job_settings, catchup_window_ms), .def = "1d", .min = 0,
      .max = DAYS_MS(3650), .help = "How far back missed slots are made up for." },
    { RC_ENUM("dst_gap", struct core_job_settings, dst_gap, dst_gaps), .def = "auto",
      .help = "What becomes of a local time that daylight saving skips." },
    { RC_ENUM("dst_overlap", struct core_job_settings, dst_overlap, dst_overlaps), .def = "auto",
      .help = "What becomes of a local time that daylight saving repeats." },
    { RC_OBJECTS("notify", struct core_job_settings, notify, struct core_notify_settings,
                 notify_options),
      .help = "Whom to tell of what becomes of the job." },
    { RC_STR("config_file", struct core_job_settings, config_file),
      .help = "YAML or JSON file of option values; weaker than 'config'." },
    { RC_URL("config_url", struct core_job_settings, config_url),
      .help = "The same, fetched over HTTP at each run." },
    { 0 },
};

static const struct rc_option retry_options[] = {
    { RC_INT("attempts", struct core_job_settings, retry.attempts), .def = "1", .min = 1,
      .max = 1000, .help = "Attempts in all, with the first." },
    { RC_MS("backoff", struct core_job_settings, retry.backoff_ms), .def = "30s", .min = 0,
      .max = DAYS_MS(7),
      .help = "Pause before the second attempt, half of it by chance; it doubles with each further "
              "one." },
    { RC_MS("max_backoff", struct core_job_settings, retry.max_backoff_ms), .def = "10m", .min = 0,
      .max = DAYS_MS(7), .help = "The longest pause." },
    { RC_BOOL("skipped", struct core_job_settings, retry.skipped), .def = "false",
      .help = "Tries again, too, what the action skipped as a precondition did not hold." },
    { 0 },
};

static const struct rc_option limits_options[] = {
    { RC_BYTES("memory", struct core_job_settings, limits.memory_bytes), .def = "0", .min = 0,
      .max = INT64_MAX,
      .help = "Most memory of all processes of a run, by a control group, where run-core may make "
              "one; 0 is no limit." },
    { RC_BYTES("address_space", struct core_job_settings, limits.address_space_bytes), .def = "0",
      .min = 0, .max = INT64_MAX,
      .help = "Largest address space of the worker (RLIMIT_AS); 0 is no limit." },
    { RC_MS("cpu_time", struct core_job_settings, limits.cpu_ms), .def = "0", .min = 0,
      .max = DAYS_MS(365),
      .help = "Most processor time of the worker, in whole seconds; 0 is no "
              "limit." },
    { RC_BYTES("file_size", struct core_job_settings, limits.file_bytes), .def = "0", .min = 0,
      .max = INT64_MAX, .help = "Largest file that the worker may write; 0 is no limit." },
    { RC_INT("nice", struct core_job_settings, limits.nice), .def = "0", .min = 0, .max = 19,
      .help = "How far the worker steps back behind other processes; see nice(1)." },
    { 0 },
};

/* The keys of an item are the user's own. */
static const struct rc_option item_options[] = { { 0 } };

static const struct rc_option list_options[] = {
    { RC_OBJECTS("for_each", struct core_job_list, items, char, item_options),
      .help = "Items, for each of which there is a job, in whose values ${each:KEY} is the item's. "
              "Its name has that of the item behind it ('name'), or its number." },
    { RC_STR("for_each_file", struct core_job_list, file),
      .help = "YAML or JSON file with such a list; when empty, there is just the one job." },
    { 0 },
};

static const struct core_subsection job_parts[] = {
    { .key = "retry", .table = CORE_OPTION_TABLE(retry_options) },
    { .key = "limits", .table = CORE_OPTION_TABLE(limits_options) },
    { 0 },
};

const struct core_section core_sections[CORE_SECTION_COUNT] = {
    [CORE_SECTION_CORE] = { .key = "core",
                            .what = "core",
                            .table = CORE_OPTION_TABLE(core_options),
                            .parts = core_parts },
    [CORE_SECTION_STORAGE] = { .key = "storage",
                               .what = "store",
                               .table = CORE_OPTION_TABLE(storage_options) },
    [CORE_SECTION_SQL] = { .key = "sql",
                           .what = "engine",
                           .table = CORE_OPTION_TABLE(sql_options),
                           .parts = sql_parts,
                           .kind = kind_of_engine },
    [CORE_SECTION_PLUGINS] = { .key = "plugins",
                               .what = "plugin",
                               .table = CORE_OPTION_TABLE(plugin_options),
                               .free = plugin_free_keys },
    [CORE_SECTION_JOBS] = { .key = "jobs",
                            .what = "job",
                            .table = CORE_OPTION_TABLE(job_options),
                            .parts = job_parts,
                            .free = job_free_keys },
};

/* ---- use ---------------------------------------------------------------------------------- */

const struct core_option_table *core_settings_table(const char *section)
{
    static const struct core_option_table notify = CORE_OPTION_TABLE(notify_options);
    static const struct core_option_table list = CORE_OPTION_TABLE(list_options);

    if (strcmp(section, "jobs.notify") == 0)
        return &notify;
    if (strcmp(section, "jobs.for_each") == 0)
        return &list;
    for (size_t i = 0; i < CORE_SECTION_COUNT; i++) {
        const struct core_section *s = &core_sections[i];
        size_t len = strlen(s->key);

        if (strcmp(section, s->key) == 0)
            return &s->table;
        if (strncmp(section, s->key, len) != 0 || section[len] != '.')
            continue;
        for (const struct core_subsection *part = s->parts; part && part->key; part++)
            if (strcmp(section + len + 1, part->key) == 0)
                return &part->table;
    }
    return NULL;
}

/* Names go into URLs, file names and metrics. A plugin's is that of its file, and stricter. */
static bool is_good_name(const char *name, bool is_plugin)
{
    size_t len = strlen(name);

    if (len == 0 || len > LONGEST_NAME || !isalnum((unsigned char)name[0]))
        return false;
    for (; *name; name++) {
        unsigned char c = (unsigned char)*name;

        if (is_plugin ? !(c == '-' || (c < 0x80 && (islower(c) || isdigit(c))))
                      : !(c < 0x80 && (isalnum(c) || strchr("-_.", c))))
            return false;
    }
    return true;
}

bool core_section_check_name(enum core_section_id id, const char *name,
                             const struct core_place *place, struct core_problems *problems)
{
    bool is_plugin = id == CORE_SECTION_PLUGINS;
    const char *what = core_sections[id].what;
    char shown[CORE_SHOWN_TEXT];

    if (is_good_name(name, is_plugin))
        return true;
    core_problem_add(problems, place,
                     "'%s' cannot be the name of %s %s: use %s, and at most %d of them",
                     core_shown(name, shown), strchr("aeiou", what[0]) ? "an" : "a", what,
                     is_plugin ? "lower-case letters, digits and '-'"
                               : "letters, digits, '-', '_' and '.', a letter or digit first",
                     LONGEST_NAME);
    return false;
}

static void bind_part(const struct core_subsection *part, const struct core_node *map,
                      const char *what, const struct core_place *place, void *out,
                      struct core_arena *arena, struct core_problems *problems)
{
    const struct core_node *layer = core_node_get(map, part->key);
    RC_STR_AUTO whose = NULL;

    if (layer && layer->kind != CORE_NODE_MAP) {
        if (layer->kind != CORE_NODE_NULL)
            core_problem_add(problems, &layer->place, "'%s' must be a map, not %s", part->key,
                             core_node_kind_text(layer));
        layer = NULL;
    }
    core_options_bind(&part->table, &layer, layer ? 1 : 0, layer ? &layer->place : place, out,
                      arena, problems);
    if (!layer)
        return;
    whose = rc_strf("'%s' of %s", part->key, what);
    core_options_check_keys(layer, &part->table, 1, whose, problems);
}

static bool has_kind(const struct core_subsection *part, const char *kind)
{
    for (const char *const *of = part->kinds; *of; of++)
        if (rc_str_eq(*of, kind))
            return true;
    return false;
}

/* Reports the keys of the part in an entry of another kind. */
static void refuse_part(const struct core_subsection *part, const struct core_node *map,
                        const char *what, const char *kind, struct core_problems *problems)
{
    for (size_t i = 0; map && i < map->len; i++) {
        RC_BUF_AUTO(kinds, MESSAGE_BYTES);
        struct rc_option option;

        if (!core_option_find(&part->table, map->entries[i].key, &option))
            continue;
        for (const char *const *of = part->kinds; *of; of++)
            rc_buf_addf(&kinds, "%s%s", of > part->kinds ? " and " : "", *of);
        core_problem_add(problems, &map->entries[i].place, "'%s' is a setting of %s; the %s is %s",
                         map->entries[i].key, kinds.data, what, kind);
    }
}

/* Adds the tables of the parts that an entry of the kind has, or of those that it has not. */
static size_t add_tables(const struct core_section *section, const char *kind, bool has,
                         struct core_option_table *tables, size_t count)
{
    for (const struct core_subsection *part = section->parts; part && part->key; part++) {
        RC_ASSERT(count <= MOST_PARTS);
        if (part->kinds && (!kind || has_kind(part, kind)) == has)
            tables[count++] = part->table;
    }
    return count;
}

/* The keys of the entry itself, its parts' too, that nobody knows. */
static void check_keys(const struct core_section *section, const struct core_node *map,
                       const char *what, const char *kind, struct core_problems *problems)
{
    struct core_option_table tables[1 + MOST_PARTS] = { section->table };
    const char *more[MOST_PARTS];
    size_t named_count = add_tables(section, kind, true, tables, 1), count = 0;
    size_t table_count = add_tables(section, kind, false, tables, named_count);

    for (const struct core_subsection *part = section->parts; part && part->key; part++) {
        RC_ASSERT(count < MOST_PARTS);
        if (!part->kinds)
            more[count++] = part->key;
    }
    for (const char *const *key = section->free; key && *key; key++) {
        RC_ASSERT(count < MOST_PARTS);
        more[count++] = *key;
    }
    core_options_check_keys_and(map, tables, table_count, named_count, more, count, what, problems);
}

void core_section_bind(const struct core_section *section, const struct core_node *map,
                       const char *what, const struct core_place *place, void *out,
                       struct core_arena *arena, struct core_problems *problems)
{
    const char *kind;

    core_options_bind(&section->table, &map, map ? 1 : 0, place, out, arena, problems);
    kind = section->kind ? section->kind(map, out) : NULL;
    check_keys(section, map, what, kind, problems);
    for (const struct core_subsection *part = section->parts; part && part->key; part++) {
        if (!part->kinds)
            bind_part(part, map, what, place, out, arena, problems);
        else if (kind && !has_kind(part, kind))
            refuse_part(part, map, what, kind, problems);
        else
            core_options_bind(&part->table, &map, map ? 1 : 0, place, out, arena, problems);
    }
}

void core_settings_engine(const char *kind, struct core_arena *arena,
                          struct core_engine_settings *out)
{
    CORE_PROBLEMS_AUTO(none);
    const struct core_place nowhere = { .file = kind };
    struct core_node value = { .kind = CORE_NODE_SCALAR, .place = nowhere, .text = kind };
    struct core_entry entry = { .key = "engine", .place = nowhere, .value = &value };
    const struct core_node map = {
        .kind = CORE_NODE_MAP, .place = nowhere, .entries = &entry, .len = 1
    };

    *out = (struct core_engine_settings){ .name = kind };
    core_section_bind(&core_sections[CORE_SECTION_SQL], &map, kind, &nowhere, out, arena, &none);
    RC_ASSERT(none.count == 0);
}
