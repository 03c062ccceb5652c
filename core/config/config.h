/*
 * The configuration: all files of conf.d merged, checked and typed.
 *
 * The sections core, storage, sql and jobs are themselves bound through option
 * tables (settings.c), so one grammar and one set of messages serves everything. What a
 * plugin's own options are only the plugin knows: those stay nodes here.
 *
 * Paths are relative to the directory of the file in which they stand. Top-level keys that begin
 * with "x-" are the user's own, for anchors that other places refer to.
 */
#ifndef CORE_CONFIG_CONFIG_H
#define CORE_CONFIG_CONFIG_H

#include <config/options.h>
#include <config/problems.h>
#include <config/yaml.h>

#include <stdint.h>

struct core_settings {
    const char *state; /* URL or folder; NULL: by the rule of the command line */
    struct core_place state_place;
    const char *listen;         /* host:port, or NULL */
    const char *socket;         /* of the daemon, or NULL */
    struct rc_strs plugin_path; /* absolute directories */
    const char *tokens_file;    /* of auth, or NULL */
    int log_level;              /* enum rc_log_level */

    /* Of the daemon. */
    const char *spool;         /* folder; NULL: by the rule of the command line */
    int64_t max_workers;       /* at once */
    int64_t shutdown_grace_ms; /* how long running work is waited for */
    int64_t lease_ms;          /* of a daemon, where several share the state */
    struct {
        int64_t keep_ms, runs, log_bytes; /* age; rows a job; of one attempt's log */
    } history;

    /* Of every HTTP request that goes out. */
    struct {
        const char *ca_file, *proxy; /* NULL: the system's; the environment's */
        int64_t connect_ms, idle_ms;
        int64_t attempts, backoff_ms, max_backoff_ms;
    } http;
};

enum core_addressing_setting { CORE_ADDRESS_AUTO, CORE_ADDRESS_PATH, CORE_ADDRESS_VIRTUAL };
enum core_sse_setting { CORE_SSE_NONE, CORE_SSE_AES256, CORE_SSE_KMS, CORE_SSE_CUSTOMER };

/* A NULL or 0 has no say; see the help of each in settings.c. */
struct core_store_settings {
    const char *name;
    struct core_place place;
    const char *bucket; /* the bucket that it stands for; the name by default */
    const char *url;    /* where that bucket lies; NULL: where its scheme says */
    const char *region, *endpoint;
    int addressing; /* enum core_addressing_setting */

    /* Credentials; with none of them the vendor's own search. */
    bool anonymous;
    const char *access_key_id, *secret_access_key, *session_token;    /* AWS */
    const char *profile, *role_arn, *external_id, *role_session_name; /* AWS */
    const char *service_account_file, *access_token, *user_project;   /* Google */

    /* Of requests and connections. */
    const char *ca_file, *proxy;
    int64_t connections; /* at once */
    double requests_per_s;
    int64_t part_bytes; /* of uploads in parts; 0: by the object's size */
    bool request_payer;

    /* Of objects that are written. */
    const char *storage_class;
    int sse; /* enum core_sse_setting */
    const char *sse_kms_key, *sse_customer_key;
};

struct core_engine_settings {
    const char *name;
    struct core_place place;
    const char *engine;          /* "duckdb" */
    const char *library;         /* libduckdb.so; NULL: by the rule of the command line */
    int64_t memory_limit_bytes;  /* 0: the engine's default */
    int64_t threads;             /* 0: one a core */
    const char *temp_dir;        /* for what does not fit into memory; NULL: the run's own */
    int64_t temp_limit_bytes;    /* 0: no limit */
    const char *staging_dir;     /* for copies of remote objects; NULL: the run's own */
    int64_t staging_limit_bytes; /* of them; 0: no limit */

    /* Of engines elsewhere. */
    const char *work; /* URI of a folder for what sessions leave for a while; NULL: not said */
    const char *catalog, *database;
    const char *work_catalog;
    int64_t query_timeout_ms; /* of one statement; 0: the server's own */
    const char *ca_file, *proxy;

    /* Of Trino. */
    const char *url, *user, *password, *token;
    const char *source;
    struct rc_map session; /* session properties */
    struct rc_map roles;   /* of catalogs */
    struct rc_map extra_credentials;
    struct rc_strs client_tags;
    bool shares_files; /* the server reads file:// as this machine does */

    /* Of Athena. */
    const char *region, *endpoint, *work_group;
    const char *results; /* URI of the folder of results; NULL: the work group's, or below work */
    int results_encryption; /* enum core_results_encryption */
    const char *results_kms_key, *results_owner;
    const char *access_key_id, *secret_access_key, *session_token;
    const char *profile, *role_arn, *external_id, *role_session_name;
    double starts_per_s, reads_per_s; /* of statements, and of looks at them */
    int64_t ddl_at_once, queries_at_once;
    double price_per_tib; /* of what is scanned, in US dollars */
};

enum core_results_encryption {
    CORE_RESULTS_PLAIN,
    CORE_RESULTS_SSE_S3,
    CORE_RESULTS_SSE_KMS,
    CORE_RESULTS_CSE_KMS,
};

enum core_plugin_auth { CORE_AUTH_TOKENS, CORE_AUTH_PLUGIN };

struct core_plugin_settings {
    const char *name;
    struct core_place place;
    const char *file;               /* NULL: NAME.so on the plugin path */
    const struct core_node *config; /* map or NULL */
    const char *config_file;        /* absolute, or NULL */
    const char *config_file_shown;  /* as messages name it: beside the file that names it */
    const char *config_url;
    struct core_place config_file_place, config_url_place;
    bool serve;        /* its routes, in the daemon */
    int auth;          /* enum core_plugin_auth: who judges those who ask for them */
    const char *mount; /* where; NULL: /plugins/NAME */
};

enum core_concurrency { CORE_FORBID, CORE_ALLOW, CORE_REPLACE, CORE_QUEUE };
enum core_misfire { CORE_MISFIRE_SKIP, CORE_MISFIRE_LATEST, CORE_MISFIRE_ALL };
/* AUTO follows the schedule's expression: an interval or a fixed time. */
enum core_dst_gap { CORE_DST_GAP_AUTO, CORE_DST_GAP_RUN_AFTER, CORE_DST_GAP_SKIP };
enum core_dst_overlap { CORE_DST_OVERLAP_AUTO, CORE_DST_OVERLAP_FIRST, CORE_DST_OVERLAP_BOTH };

/* An item of a job's notify list. */
struct core_notify_settings {
    struct rc_strs on; /* "failure", "recovery", "missed", "success" */
    const char *url;
};

struct core_job_settings {
    const char *name;
    struct core_place place;
    const char *plugin;
    const char *action;   /* NULL: the plugin's first */
    const char *schedule; /* NULL: on demand only */
    const char *time_zone;
    struct core_place schedule_place, time_zone_place; /* the job's own where not given */
    bool schedule_unknown; /* it has one that only the other machine knows: load_elsewhere() */
    int64_t timeout_ms, kill_after_ms; /* timeout 0: none */
    struct {
        int64_t attempts, backoff_ms, max_backoff_ms;
        bool skipped; /* by the action, which says that a precondition does not hold */
    } retry;
    struct {
        int64_t memory_bytes;        /* of all its processes, by a control group */
        int64_t address_space_bytes; /* setrlimit(2): RLIMIT_AS */
        int64_t cpu_ms;              /* RLIMIT_CPU */
        int64_t file_bytes;          /* RLIMIT_FSIZE */
        int64_t nice;                /* 0 to 19 */
    } limits;                        /* 0: none */
    int concurrency, misfire;
    int64_t catchup_window_ms;
    int dst_gap, dst_overlap;
    struct rc_objects notify; /* of struct core_notify_settings */
    const struct core_node *config;
    const char *config_file, *config_file_shown;
    const char *config_url;
    struct core_place config_file_place, config_url_place;
};

struct core_config {
    struct core_arena arena;
    const char *path; /* that it was loaded from, as it was named; or NULL */
    struct core_settings settings;
    struct core_store_settings *stores;
    struct core_engine_settings *engines;
    struct core_plugin_settings *plugins;
    struct core_job_settings *jobs;
    size_t store_count, engine_count, plugin_count, job_count;
    const char *const *files; /* that were read, in order */
    size_t file_count;
    const char **empty_lists; /* names that have no job, as the list of 'for_each' is empty */
    size_t empty_list_count;
};

/*
 * Reads 'path': a file, or a directory whose *.yaml, *.yml and *.json are taken in lexical order;
 * NULL gives an empty configuration. Never NULL: with mistakes, which go to 'problems', what
 * could be understood is there. A name defined twice is a mistake that names both places. Jobs
 * that have 'for_each' or 'for_each_file' stand here as the jobs that come of them.
 */
struct core_config *core_config_load(const char *path, struct core_problems *problems);
/*
 * The same where the configuration is another machine's, as for an export: of ${...} only the
 * defaults are taken. A value with any other counts as not given; neither environment nor
 * secrets are read. The files of 'for_each_file' are, as there are no jobs without them.
 */
struct core_config *core_config_load_elsewhere(const char *path, struct core_problems *problems);
void core_config_free(struct core_config *config);

/* NULL: no such name. */
const struct core_job_settings *core_config_job(const struct core_config *config, const char *name);
const struct core_plugin_settings *core_config_plugin(const struct core_config *config,
                                                      const char *name);

/*
 * The table of a section's own keys: "core", "core.auth", "storage", "sql", "sql.athena",
 * "plugins", "jobs", "jobs.for_each", "jobs.retry", "jobs.notify", ...; NULL: there is no such
 * section. For describing the configuration.
 */
const struct core_option_table *core_settings_table(const char *section);

/*
 * The settings of an engine of which nothing is said but its kind, which there has to be. It is
 * also its name.
 */
void core_settings_engine(const char *kind, struct core_arena *arena,
                          struct core_engine_settings *out);

/* What stands at a config_url, fetched by a layer that can. */
struct core_config_text {
    const char *url;
    const char *text;
    size_t len;
};
struct core_config_texts {
    const struct core_config_text *items;
    size_t count;
};

enum { CORE_CONFIG_URLS = 3 };

/* The config_urls of a run, the strongest first; how many. Arguments as of core_config_layers(). */
size_t core_config_urls(const struct core_node *set, const struct core_job_settings *job,
                        const struct core_plugin_settings *plugin,
                        const char *out[CORE_CONFIG_URLS]);

/* What a plugin's options for one run are bound from, the strongest first. */
struct core_layers {
    const struct core_node *nodes[10]; /* a broken one stands for a source that could not be read */
    size_t count;
};

/*
 * The layers for a run: 'set' (a map from core_config_parse_set(), or NULL), then config,
 * config_file and config_url of the job, and those of the plugin; 'job' and 'plugin' may be NULL.
 * config_file and config_url given in 'set' come in too, behind it, and are taken out of the layer
 * that 'set' becomes. A file or URL that holds a list in place of a map gives the option 'whole',
 * where that is not NULL. A config_url that is not among 'texts' (may be NULL) becomes a broken
 * layer, which is no mistake.
 */
void core_config_layers(struct core_arena *arena, const struct core_node *set,
                        const struct core_job_settings *job,
                        const struct core_plugin_settings *plugin,
                        const struct core_config_texts *texts, const char *whole,
                        struct core_layers *out, struct core_problems *problems);

/*
 * Makes a map of the KEY=VALUE words of --set. A value is text as it stands, ${...} too; only
 * where its option takes a list or a map, and it begins with [ or {, is it read as YAML. The
 * place of each is "--set KEY".
 */
struct core_node *core_config_parse_set(struct core_arena *arena, const char *const *words,
                                        size_t count, struct core_problems *problems);

#endif
