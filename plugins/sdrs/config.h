/*
 * What the user configures, as the option tables in options.c fill it. The members stand in the
 * order of the tables.
 */
#ifndef SDRS_CONFIG_H
#define SDRS_CONFIG_H

#include <run-core/option.h>
#include <run-core/plugin.h>

/* Of 'rules': a rule as the REST API takes it, with the names that it has there. */
struct sdrs_rule_entry {
    const char *type, *storage, *project, *unit, *dataset;
    int64_t period;
};

enum sdrs_mover_choice { SDRS_MOVER_AUTO, SDRS_MOVER_DIRECT, SDRS_MOVER_STS };
enum sdrs_collision { SDRS_COLLISION_OVERWRITE, SDRS_COLLISION_KEEP };
enum sdrs_time_unit { SDRS_SECONDS, SDRS_MINUTES, SDRS_HOURS, SDRS_DAYS };

/* A delay, a period and their unit, as the seed's own scheduler had them. */
struct sdrs_pace {
    int64_t delay, period;
    int unit; /* enum sdrs_time_unit */
};

struct sdrs_config {
    /* What. */
    struct rc_objects rules; /* struct sdrs_rule_entry */
    struct rc_strs legal_holds;
    const char *path_template;
    int64_t max_look_back_days;
    const char *default_excludes; /* separated by ';' */

    /* Where. */
    struct rc_strs file_roots;
    const char *shadow_extension;
    bool shadow_prefix;
    const char *default_project, *default_storage;

    /* How. */
    int mover;     /* enum sdrs_mover_choice */
    int collision; /* enum sdrs_collision */
    int64_t width;
    int64_t max_delete_objects;
    double max_delete_share;
    int64_t max_prefixes;
    bool pool_only;
    int64_t pool_on_demand;
    int64_t threads;
    int64_t keep_days;

    /* Delete markers. */
    const char *marker_pattern;
    int64_t marker_retries;
    const char *marker_lock;
    int64_t marker_lock_wait_ms;

    /* Google, and who is told. */
    const char *sts_endpoint, *pubsub_endpoint, *google_credentials;
    const char *topic;
    const char *webhook_url, *webhook_token;

    /* Who may ask. */
    const char *jwks, *public_key_file, *issuer, *audience;
    int64_t jwks_refresh_ms, clock_skew_ms;

    /* Accepted for the seed's sake: schedules of jobs take their place. */
    int64_t shutdown_sleep_min;
    struct sdrs_pace monitor;
    int64_t scheduler_threads, scheduler_wait;
    int scheduler_unit; /* enum sdrs_time_unit */
    struct sdrs_pace marker_batch, marker_cleanup;
};

extern const struct rc_option sdrs_options[];
/* See rc_plugin.check. */
enum rc_code sdrs_check_config(const void *config, struct rc_error *err);

/* Of 'execute' and 'plan': which rules. What is NULL or 0 narrows nothing. */
struct sdrs_scope_params {
    const char *execution; /* the id of an event that was received before; 'execute' alone */
    const char *project, *storage;
    int64_t rule;
    bool confirm; /* 'execute' alone */
};
extern const struct rc_option sdrs_execute_params[], sdrs_plan_params[];

/* Of 'restore': exactly one of them. */
struct sdrs_restore_params {
    int64_t rule;
    const char *prefix; /* a storage name with whatever of the path */
    const char *batch;
    bool overwrite;
};
extern const struct rc_option sdrs_restore_options[];

/* Of 'purge'. */
struct sdrs_purge_params {
    int64_t days;
    const char *storage; /* of one bucket; NULL: of all that rules name */
};
extern const struct rc_option sdrs_purge_params[];

/* Of 'import-rules'. */
struct sdrs_import_params {
    const char *file;
};
extern const struct rc_option sdrs_import_params[];

#endif
