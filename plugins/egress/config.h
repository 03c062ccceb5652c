/*
 * What the user configures, as the option table in options.c fills it. The members stand in the
 * order of the table.
 */
#ifndef EGRESS_CONFIG_H
#define EGRESS_CONFIG_H

#include <run-core/option.h>
#include <run-core/plugin.h>

enum egress_format { EGRESS_CSV, EGRESS_PARQUET };

/* A side of the sync. */
struct egress_side {
    const char *uri; /* of any store; or what follows */
    const char *endpoint, *path, *access_key_id, *secret_access_key, *session_token, *region;
};

struct egress_config {
    /* The database: what 'database' leaves open the others say. */
    const char *database, *host;
    int64_t port;
    const char *user, *password, *dbname;
    int64_t connect_timeout_ms, connect_for_ms, statement_timeout_ms, lock_timeout_ms;
    bool row_security;

    /* dump: what. */
    struct rc_strs tables, include, exclude;
    struct rc_map queries;

    /* dump: where to, and as what. */
    const char *output, *path;
    int format; /* enum egress_format */
    const char *compression;
    bool header;
    const char *delimiter, *null_string;
    bool force_quote;
    const char *encoding;
    bool split_objects;

    /* dump: how. */
    int64_t connections, compressors, memory_bytes, attempts;
    bool require_compliant_bucket;
    int64_t expire_days; /* of setup, too */

    /* sync. */
    struct egress_side source, target;
    int compare; /* enum rc_transfer_compare */
    bool remove_extra;
    int64_t max_delete;
    int64_t newer_than_ms, older_than_ms, min_bytes, max_bytes;
    int64_t bytes_per_s, width, max_failures;
    bool require_manifest;
    int64_t wait_for_manifest_ms;
};

extern const struct rc_option egress_options[];

enum rc_code egress_check_config(const void *config, struct rc_error *err);

#endif
