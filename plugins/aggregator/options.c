/*
 * The option tables and the rules across options. The names in camel case are those of the seed's
 * JSON configuration, which is read unchanged; what is new is in snake case.
 */
#include "model.h"
#include "paths.h"

#include <string.h>

static const char *const aggregate_names[] = {
    "sum", "count", "min", "max", "avg", "distinct", NULL
};
static const char *const operator_names[] = { "equals", "not_equals", "at_least", "at_most", "in",
                                              "not_in", "present",    "missing",  NULL };

static const struct rc_option window_options[] = {
    { RC_INT("aggregationWindowDays", struct agg_window_option, days), .flags = RC_OPT_REQUIRED,
      .min = 1, .max = 1000000, .unit = "days",
      .help = "Days of the window, its own day included. Above 3650 it holds everything since "
              "historyStartDay." },
    { RC_STR("targetFolder", struct agg_window_option, folder), .flags = RC_OPT_REQUIRED,
      .help = "Folder of the window's files: a key in targetS3Bucket, a URI, or a local path." },
    { RC_STR("targetTable", struct agg_window_option, table),
      .help = "Table over the newest day of the window, left in the engine's catalogue if it has "
              "one." },
    { 0 },
};

static const struct rc_option value_options[] = {
    { RC_STR("column", struct agg_value_option, column), .flags = RC_OPT_REQUIRED,
      .help = "Column of the result." },
    { RC_ENUM("aggregate", struct agg_value_option, aggregate, aggregate_names), .def = "sum",
      .help = "What is taken of the values. An average also has its sum and count as columns." },
    { RC_STR("path", struct agg_value_option, path),
      .help = "JSON path of the value in the event; aggregatedValueJsonPath when absent." },
    { RC_STR("type", struct agg_value_option, type), .def = "bigint",
      .help = "bigint, integer, double, decimal(p,s), varchar, boolean, date or timestamp." },
    { 0 },
};

static const struct rc_option key_options[] = {
    { RC_STR("column", struct agg_key_option, column), .flags = RC_OPT_REQUIRED,
      .help = "Column of the key." },
    { RC_STR("path", struct agg_key_option, path), .flags = RC_OPT_REQUIRED,
      .help = "JSON path of the key in the event; NULL where it is missing." },
    { RC_STR("type", struct agg_key_option, type), .def = "varchar", .help = "Type of the key." },
    { 0 },
};

static const struct rc_option filter_options[] = {
    { RC_STR("path", struct agg_filter_option, path), .flags = RC_OPT_REQUIRED,
      .help = "JSON path in the event." },
    { RC_ENUM("operator", struct agg_filter_option, operator, operator_names), .def = "equals",
      .help = "How the value at the path is compared. A missing value satisfies only 'missing'." },
    { RC_LIST("values", struct agg_filter_option, values), .help = "What it is compared with." },
    { RC_STR("type", struct agg_filter_option, type), .def = "varchar",
      .help = "Type in which it is compared." },
    { 0 },
};

const struct rc_option agg_options[] = {
    { RC_STR("aggregation", struct agg_config, aggregation), .env = "AIRLYTICS_AGGREGATION",
      .help = "Name of the aggregation, such as LTV. Names the import." },
    { RC_STR("environment", struct agg_config, environment), .env = "AIRLYTICS_ENVIRONMENT",
      .help = "Environment, such as PROD. Names the import." },
    { RC_STR("product", struct agg_config, product), .env = "AIRLYTICS_PRODUCT",
      .help = "Product. Names the import." },
    { RC_STR("deployment", struct agg_config, deployment), .env = "AIRLYTICS_DEPLOYMENT",
      .help = "Deployment; accepted for the seed's sake, nothing depends on it." },
    { RC_STR("airlock_key", struct agg_config, airlock_key), .flags = RC_OPT_SECRET,
      .env = "AIRLOCK_KEY", .help = "Key for Airlock. Both this and the password, or neither." },
    { RC_STR("airlock_password", struct agg_config, airlock_password), .flags = RC_OPT_SECRET,
      .env = "AIRLOCK_PASSWORD", .help = "Password of the key for Airlock." },

    { RC_STR("sourceEventsTable", struct agg_config, source_table), .flags = RC_OPT_REQUIRED,
      .help = "Table of the raw events: a name in 'tables', or its location itself; else a table "
              "of the engine's catalogue, in sourceAthenaDb." },
    { RC_MAP("tables", struct agg_config, tables),
      .help = "Locations of tables by name: URIs or local paths that hold "
              "day=YYYY-MM-DD/partition=N/ folders of Parquet, JSON lines or, on the embedded "
              "engine, CSV." },
    { RC_STR("eventName", struct agg_config, event_name), .def = "ad-impression",
      .help = "Only events of this name are aggregated." },
    { RC_OBJECTS("filter", struct agg_config, filter, struct agg_filter_option, filter_options),
      .help = "Conditions on the event that all have to hold." },

    { RC_STR("aggregatedValueJsonPath", struct agg_config, value_path),
      .def = "$.attributes.revenue", .help = "JSON path of the value in the event." },
    { RC_STR("aggregatedValueType", struct agg_config, value_type), .def = "bigint",
      .help = "Type of the value: bigint, integer, double or decimal(p,s)." },
    { RC_STR("targetColumn", struct agg_config, target_column), .def = "revenue",
      .help = "Column of the sum." },
    { RC_OBJECTS("values", struct agg_config, values, struct agg_value_option, value_options),
      .help = "Several values or other aggregates, in place of the three options above." },
    { RC_OBJECTS("group_by", struct agg_config, group_by, struct agg_key_option, key_options),
      .help = "Keys beside the user by which is grouped." },

    { RC_STR("targetS3Bucket", struct agg_config, target_bucket),
      .help = "Bucket of all aggregations: a name, meaning s3://NAME, or a URI. Absent: paths are "
              "local." },
    { RC_STR("dailyAggregationsS3Path", struct agg_config, daily_path), .flags = RC_OPT_REQUIRED,
      .help = "Folder of the daily files and of all markers that are not a window's." },
    { RC_STR("dailyAggregationsTable", struct agg_config, daily_table),
      .help = "Table over all daily files, left in the engine's catalogue if it has one." },
    { RC_OBJECTS("secondaryAggregations", struct agg_config, windows, struct agg_window_option,
                 window_options),
      .help = "Windows of days that end at each day." },
    { RC_DAY("historyStartDay", struct agg_config, history_start), .def = "2021-01-01",
      .help = "First day. Nothing before it is read or written." },
    { RC_DAY("windows_from", struct agg_config, windows_from),
      .help = "First day whose windows are written; all days when absent. After a migration it "
              "saves the windows of days that the former system has aggregated." },

    { RC_BOOL("checkDataForLastDay", struct agg_config, check_last_day), .def = "true",
      .help = "Yesterday is aggregated only when its events are complete." },
    { RC_INT("expected_partitions", struct agg_config, expected_partitions), .def = "100", .min = 1,
      .max = 1000000, .unit = "partitions",
      .help = "Partitions with data that make a day complete." },
    { RC_MS("lateness", struct agg_config, lateness_ms), .def = "6h",
      .help = "Time after midnight in the job's zone when an incomplete yesterday is aggregated "
              "all the same, with a warning." },
    { RC_STR("max_rejected", struct agg_config, max_rejected),
      .help = "Rejected events that a day may have: a number of events, or a share such as 1%. "
              "More of them fail the day before anything of it is published. Absent: no limit." },

    { RC_BOOL("exportToCsv", struct agg_config, export_csv), .def = "true",
      .help = "Writes one CSV file a run, for the last day. Needs a window above 3650 days." },
    { RC_BOOL("forceExportToCsv", struct agg_config, force_export), .def = "false",
      .help = "Writes the CSV file, and hands it over, in every run." },
    { RC_STR("csvOutputBucket", struct agg_config, csv_bucket),
      .help = "Bucket of the CSV files: a name or a URI. Absent: csvOutputFolder is local." },
    { RC_STR("csvOutputFolder", struct agg_config, csv_folder),
      .help = "Folder of the CSV files." },
    { RC_STR("csvTablePrefix", struct agg_config, csv_prefix),
      .help = "Beginning of the names of the CSV's folder and file; the day follows." },

    { RC_BOOL("importToUserDb", struct agg_config, import), .def = "true",
      .help = "Hands the CSV file over to Airlock's data import." },
    { RC_STR("importTargetTable", struct agg_config, import_table),
      .help = "Table that the import fills." },
    { RC_STR("airlockApiBaseUrl", struct agg_config, airlock_url),
      .help = "Base URL of the Airlock admin API." },
    { RC_STR("airlockProductId", struct agg_config, airlock_product_id),
      .help = "Product in Airlock." },
    { RC_BOOL("devUsers", struct agg_config, dev_users), .def = "false",
      .help = "Imports to the schema of the development users." },

    { RC_STR("engine", struct agg_config, engine), .flags = RC_OPT_ENGINE,
      .help = "SQL engine: a name of the section 'sql', or duckdb, athena or trino; the only one, "
              "or the embedded one, when absent." },
    { RC_STR("athenaRegion", struct agg_config, athena_region),
      .help = "Region of Athena, where the engine's own settings name none." },
    { RC_STR("athenaCatalog", struct agg_config, athena_catalog),
      .help = "Catalogue of the tables, where the engine's own settings name none." },
    { RC_STR("athenaResultsOutputBucket", struct agg_config, athena_results),
      .help = "Bucket, or URI of a folder, for what Athena leaves for a while, where the engine's "
              "own settings name none." },
    { RC_STR("sourceAthenaDb", struct agg_config, source_db),
      .help = "Database of the catalogue that has sourceEventsTable, if 'tables' does not; the "
              "engine's own when absent." },
    { RC_STR("destAthenaDb", struct agg_config, target_db),
      .help = "Database of the catalogue in which the tables are made; the engine's own when "
              "absent." },
    { 0 },
};

bool agg_limit_parse(const char *text, struct agg_limit *out)
{
    struct agg_limit limit = { .set = true };
    RC_STR_AUTO number = NULL;
    int64_t count;

    if (!text || !*text) {
        *out = (struct agg_limit){ .set = false };
        return true;
    }
    if (rc_str_ends(text, "%")) {
        number = rc_strndup(text, strlen(text) - 1);
        limit.is_share = true;
        if (!rc_parse_float(number, &limit.amount) || limit.amount < 0 || limit.amount > 100)
            return false;
    } else {
        if (!rc_parse_int(text, &count) || count < 0)
            return false;
        limit.amount = (double)count;
    }
    *out = limit;
    return true;
}

size_t agg_total_window(const struct agg_config *config)
{
    size_t i = 0;

    while (i < config->windows.len &&
           !agg_is_total(RC_OBJECT_AT(struct agg_window_option, config->windows, i)->days))
        i++;
    return i;
}

static enum rc_code check_windows(const struct agg_config *config, struct rc_error *err)
{
    RC_BUF_AUTO(one, 8192);
    RC_BUF_AUTO(other, 8192);

    for (size_t i = 0; i < config->windows.len; i++) {
        const struct agg_window_option *window =
            RC_OBJECT_AT(struct agg_window_option, config->windows, i);

        rc_buf_reset(&one);
        agg_place_folder(&one, config->target_bucket, window->folder, "/");
        rc_buf_reset(&other);
        agg_place_folder(&other, config->target_bucket, config->daily_path, "/");
        if (rc_str_eq(one.data, other.data))
            return rc_fail(err, RC_INVALID, "the targetFolder '%s' is dailyAggregationsS3Path too",
                           window->folder);
        for (size_t j = 0; j < i; j++) {
            const struct agg_window_option *earlier =
                RC_OBJECT_AT(struct agg_window_option, config->windows, j);

            rc_buf_reset(&other);
            agg_place_folder(&other, config->target_bucket, earlier->folder, "/");
            if (rc_str_eq(one.data, other.data))
                return rc_fail(err, RC_INVALID, "two windows have the targetFolder '%s'",
                               window->folder);
            if (earlier->days == window->days ||
                (agg_is_total(earlier->days) && agg_is_total(window->days)))
                return rc_fail(err, RC_INVALID, "two windows have %s",
                               agg_is_total(window->days)
                                   ? "more than 3650 days: both hold everything"
                                   : "the same aggregationWindowDays");
        }
    }
    return RC_OK;
}

static bool absent(const char *text)
{
    return !text || !*text;
}

static enum rc_code check_export(const struct agg_config *config, struct rc_error *err)
{
    if (!config->export_csv && !config->force_export)
        return RC_OK;
    if (agg_total_window(config) == config->windows.len)
        return rc_fail(
            err, RC_INVALID,
            "exportToCsv needs a window over everything: add one of more than %d "
            "aggregationWindowDays to secondaryAggregations, or set exportToCsv to false",
            AGG_TOTAL_ABOVE_DAYS);
    if (absent(config->csv_folder) || absent(config->csv_prefix))
        return rc_fail(err, RC_INVALID, "exportToCsv needs %s, or set exportToCsv to false",
                       absent(config->csv_folder) ? "csvOutputFolder" : "csvTablePrefix");
    if (strchr(config->csv_prefix, '/'))
        return rc_fail(err, RC_INVALID, "csvTablePrefix '%s' is a part of a name and holds no '/'",
                       config->csv_prefix);
    if (!config->import)
        return RC_OK;
    if (absent(config->airlock_url) || absent(config->airlock_product_id) ||
        absent(config->import_table))
        return rc_fail(err, RC_INVALID, "importToUserDb needs %s, or set importToUserDb to false",
                       absent(config->airlock_url)          ? "airlockApiBaseUrl"
                       : absent(config->airlock_product_id) ? "airlockProductId"
                                                            : "importTargetTable");
    if (absent(config->airlock_key) != absent(config->airlock_password))
        return rc_fail(err, RC_INVALID,
                       "airlock_key and airlock_password (AIRLOCK_KEY and "
                       "AIRLOCK_PASSWORD) are given both or neither");
    return RC_OK;
}

enum rc_code agg_check(const void *filled, struct rc_error *err)
{
    const struct agg_config *config = filled;
    struct agg_limit limit;
    struct agg_model model;

    if (!agg_limit_parse(config->max_rejected, &limit))
        return rc_fail(err, RC_INVALID,
                       "max_rejected '%s' is neither a number of events nor a share such as 1%%",
                       config->max_rejected);
    if (config->windows_from != RC_DAY_NONE && config->windows_from < config->history_start)
        return rc_fail(err, RC_INVALID, "windows_from lies before historyStartDay");
    if (check_windows(config, err) || check_export(config, err))
        return err->code;
    if (agg_model_make(config, &model, err))
        return err->code;
    agg_model_clear(&model);
    return RC_OK;
}

/* A place that statements read or write, by the option that says where it is. */
static enum rc_code check_place(const struct rc_sql_engine *engine, const char *option,
                                const char *bucket, const char *path, struct rc_error *err)
{
    RC_BUF_AUTO(uri, 8192);

    agg_place_folder(&uri, bucket, path, "/");
    if (rc_buf_check(&uri, err))
        return rc_context(err, "%s", option);
    if (engine->reaches(engine, uri.data))
        return RC_OK;
    return rc_fail(err, RC_INVALID,
                   "the engine '%s' (%s) does not reach '%s', where %s lies: name a place that it "
                   "reaches, or another engine",
                   engine->name, engine->kind, uri.data, option);
}

enum rc_code agg_check_engine(const void *filled, const struct rc_sql_engine *engine,
                              struct rc_error *err)
{
    const struct agg_config *config = filled;
    const char *source = agg_source_location(config);

    if (!source && !(engine->features & RC_SQL_CATALOGUE))
        return rc_fail(err, RC_INVALID,
                       "the sourceEventsTable '%s' has no location: name it in 'tables', as the "
                       "engine '%s' (%s) has no catalogue of tables",
                       config->source_table, engine->name, engine->kind);
    if ((source && check_place(engine, "sourceEventsTable", NULL, source, err)) ||
        check_place(engine, "dailyAggregationsS3Path", config->target_bucket, config->daily_path,
                    err))
        return err->code;
    for (size_t i = 0; i < config->windows.len; i++) {
        const char *path = RC_OBJECT_AT(struct agg_window_option, config->windows, i)->folder;

        if (check_place(engine, "targetFolder", config->target_bucket, path, err))
            return rc_context(err, "secondaryAggregations[%zu]", i);
    }
    return RC_OK;
}
