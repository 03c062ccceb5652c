/*
 * What the user configures, as the option table in options.c fills it. The members stand in the
 * order of the table.
 */
#ifndef AGGREGATOR_CONFIG_H
#define AGGREGATOR_CONFIG_H

#include <run-core/option.h>
#include <run-core/plugin.h>

/* A window of more days than this holds everything since the history's start. */
enum { AGG_TOTAL_ABOVE_DAYS = 3650 };

enum agg_aggregate { AGG_SUM, AGG_COUNT, AGG_MIN, AGG_MAX, AGG_AVG, AGG_DISTINCT };

enum agg_operator {
    AGG_EQUALS,
    AGG_NOT_EQUALS,
    AGG_AT_LEAST,
    AGG_AT_MOST,
    AGG_IN,
    AGG_NOT_IN,
    AGG_PRESENT,
    AGG_MISSING,
};

struct agg_window_option {
    int64_t days;
    const char *folder, *table;
};

struct agg_value_option {
    const char *path, *type, *column;
    int aggregate; /* enum agg_aggregate */
};

struct agg_key_option {
    const char *path, *type, *column;
};

struct agg_filter_option {
    const char *path, *type;
    int operator; /* enum agg_operator */
    struct rc_strs values;
};

struct agg_config {
    /* The names of this aggregation; the seed's environment variables. */
    const char *aggregation, *environment, *product, *deployment;
    const char *airlock_key, *airlock_password;

    const char *source_table;
    struct rc_map tables;
    const char *event_name;
    struct rc_objects filter;

    const char *value_path, *value_type, *target_column;
    struct rc_objects values;
    struct rc_objects group_by;

    const char *target_bucket, *daily_path, *daily_table;
    struct rc_objects windows;
    int32_t history_start, windows_from;

    bool check_last_day;
    int64_t expected_partitions, lateness_ms;
    const char *max_rejected;

    bool export_csv, force_export;
    const char *csv_bucket, *csv_folder, *csv_prefix;

    bool import;
    const char *import_table, *airlock_url, *airlock_product_id;
    bool dev_users;

    const char *engine;
    const char *athena_region, *athena_catalog, *athena_results, *source_db, *target_db;
};

/* How many events of a day may be rejected. */
struct agg_limit {
    bool set, is_share;
    double amount; /* events, or per cent of the day's events */
};

/* "250" or "1.5%"; NULL or "" sets no limit. False: it is neither. */
bool agg_limit_parse(const char *text, struct agg_limit *out);

static inline bool agg_is_total(int64_t window_days)
{
    return window_days > AGG_TOTAL_ABOVE_DAYS;
}

/* The position of the window that holds everything, or the number of windows if there is none. */
size_t agg_total_window(const struct agg_config *config);

extern const struct rc_option agg_options[];

enum rc_code agg_check(const void *config, struct rc_error *err);
/* Whether the engine gets at what is configured. */
enum rc_code agg_check_engine(const void *config, const struct rc_sql_engine *engine,
                              struct rc_error *err);

#endif
