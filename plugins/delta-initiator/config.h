/*
 * The configuration of delta-initiator, as its option tables fill it. It has two forms: one delta
 * stream, with its options at the top, as the environment variables of the older system give
 * them; or a list of streams ('entries'), which is the JSON file of the newer one. entries.h
 * makes one of both.
 */
#ifndef DELTA_CONFIG_H
#define DELTA_CONFIG_H

#include <run-core/host.h>
#include <run-core/option.h>

/* When healings and dumps are due, unless the configuration says otherwise. */
#define DELTA_CRON "0 0 0 * * *"

enum delta_kind { DELTA_INITIAL_SYNC, DELTA_HEALING, DELTA_DUMP, DELTA_KIND_COUNT };

/* The options of a stream. Texts that are NULL or empty are not given. */
struct delta_stream {
    const char *name, *jobs_graph;
    const char *job_operation[DELTA_KIND_COUNT]; /* IRIs */
    const char *cron_dump, *cron_healing;
    bool start_initial_sync;
    bool dump_disabled, healing_disabled;
    bool heal_without_initial_sync;
    const char *error_creator;
};

struct delta_config {
    /* The store. */
    const char *sparql_endpoint, *update_endpoint;
    const char *username, *password;
    int authentication; /* enum rc_http_auth */
    struct rc_map headers;
    int64_t request_timeout_ms, attempts, store_timeout_ms, ping_interval_s;

    /* Of all streams. */
    const char *task_operation[DELTA_KIND_COUNT]; /* IRIs */
    int64_t job_timeout_min;                      /* 0: none */
    bool retry_failed_initial_sync;
    int64_t initial_sync_retry_after_ms;

    struct delta_stream stream;                         /* the only one, unless there are entries */
    bool dump_enabled, healing_enabled, heal_must_wait; /* of it, in the older system's words */
    struct rc_objects entries;                          /* of struct delta_stream */
};

extern const struct rc_option delta_options[];

struct delta_create_params {
    const char *entry; /* the name of a stream; all when absent */
    bool force;
    bool at_start; /* of initial-sync alone */
};

struct delta_clean_params {
    const char *entry;
    int kind; /* enum delta_kind */
    bool force;
};

struct delta_status_params {
    const char *entry;
};

extern const struct rc_option delta_create_options[], delta_initial_sync_options[];
extern const struct rc_option delta_clean_options[], delta_status_options[];

/* The rules across options; see rc_plugin.check. */
enum rc_code delta_check_config(const void *config, struct rc_error *err);

#endif
