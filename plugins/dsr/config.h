/*
 * What the user configures, as the option table in options.c fills it. The members stand in the
 * order of the table.
 */
#ifndef DSR_CONFIG_H
#define DSR_CONFIG_H

#include <run-core/option.h>
#include <run-core/plugin.h>

/* A table of the data that users are erased from. */
struct dsr_table {
    const char *name;
    struct rc_strs id_columns;
    const char *id_separator; /* NULL: any of the columns is the id; else all of them joined */
    const char *folder, *bucket;
    const char *athena_db;
};

enum dsr_verify { DSR_VERIFY_AUTO, DSR_VERIFY_VALUES, DSR_VERIFY_ENGINE };

struct dsr_config {
    /* Labels. */
    const char *environment, *product, *deployment;

    /* Where. */
    const char *markers_folder, *archive_folder, *archived_after;
    const char *target_bucket, *temp_folder;
    struct rc_objects tables; /* struct dsr_table */

    /* How. */
    bool backup_original, delete_old_versions;
    bool trust_statistics;
    int verify; /* enum dsr_verify */
    const char *engine;
    int64_t memory_bytes, scratch_bytes;
    int64_t width, attempts;
    int64_t lock_wait_ms;

    /* The record. */
    const char *report_salt;

    /* Of the seed's engine. */
    const char *athena_region, *athena_results_bucket, *athena_catalog;
};

extern const struct rc_option dsr_options[];

/* Of 'cleanup' and 'plan'. */
struct dsr_params {
    struct rc_strs shards; /* numbers; none: all */
};
extern const struct rc_option dsr_cleanup_params[];

/* RC_INVALID: one of them is neither a number nor a range of numbers, such as 7 or 0-99. */
RC_MUST_CHECK enum rc_code dsr_shards_check(const struct rc_strs *shards, struct rc_error *err);
/* Whether the shard is among them, once they are checked; it is where none is named. */
bool dsr_shards_have(const struct rc_strs *shards, int32_t shard);

/* Of 'report'. */
struct dsr_report_params {
    const char *user;
    int32_t since;
};
extern const struct rc_option dsr_report_params[];

/* Files to work on at once: as configured, or as many as there are processors. */
size_t dsr_width(const struct dsr_config *config);

/* The descriptor's: rules across options, and what the engine is asked for that it cannot do. */
enum rc_code dsr_check_config(const void *config, struct rc_error *err);
enum rc_code dsr_check_engine(const void *config, const struct rc_sql_engine *engine,
                              struct rc_error *err);

#endif
