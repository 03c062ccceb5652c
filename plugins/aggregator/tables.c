/*
 * The tables step: leaves the tables that the configuration names in the engine's catalogue, over
 * all daily files and over the newest day of each window. An engine without a catalogue has no such
 * step, nor has a configuration without names.
 */
#include "digest.h"
#include "run.h"

#include <inttypes.h>
#include <stdlib.h>

static const char *window_table(const struct agg_config *config, size_t window)
{
    return RC_OBJECT_AT(struct agg_window_option, config->windows, window)->table;
}

static int64_t count_tables(const struct agg_config *config)
{
    int64_t count = config->daily_table != NULL;

    for (size_t i = 0; i < config->windows.len; i++)
        count += window_table(config, i) != NULL;
    return count;
}

/*
 * Digest of what the tables are: their names, columns and places, and the files there, as an engine
 * may have to be told of new folders.
 */
static uint64_t tables_inputs(const struct agg_run *run, int32_t newest)
{
    const struct agg_config *config = run->config;
    const struct agg_history *history = &run->history;
    uint64_t digest = agg_digest_text(AGG_DIGEST_INIT, config->engine);

    digest = agg_digest_text(digest, config->athena_catalog);
    digest = agg_digest_text(digest, config->target_db);
    for (size_t i = 0; i < run->columns.count; i++) {
        digest = agg_digest_text(digest, run->columns.items[i].name);
        digest = agg_digest_text(digest, run->columns.items[i].type);
    }
    if (config->daily_table) {
        digest = agg_digest_text(digest, config->daily_table);
        for (int32_t day = history->first; day <= newest; day++)
            digest = agg_digest_number(digest, agg_history_daily(history, day)->output);
    }
    for (size_t i = 0; i < config->windows.len; i++) {
        if (!window_table(config, i))
            continue;
        digest = agg_digest_text(digest, window_table(config, i));
        digest = agg_digest_text(digest, run->paths.windows[i]);
        digest = agg_digest_number(digest, agg_history_window(history, i, newest)->output);
    }
    return agg_digest_number(digest, (uint64_t)newest);
}

static char *marker_uri(const struct agg_run *run)
{
    return rc_strf("%s" AGG_TABLES, run->paths.daily);
}

enum rc_code agg_tables_current(struct agg_run *run, int32_t newest, bool *current,
                                struct rc_error *err)
{
    RC_STR_AUTO uri = marker_uri(run);
    struct agg_marker marker;

    *current =
        !(rc_sql_features(run->job, run->sql) & RC_SQL_CATALOGUE) || count_tables(run->config) == 0;
    if (*current)
        return RC_OK;
    if (agg_state_read(run, uri, &marker, current, err))
        return err->code;
    if (*current) {
        *current = marker.inputs == tables_inputs(run, newest);
        agg_marker_clear(&marker);
    }
    return RC_OK;
}

/* A table over all days has them as a column; that over one day is of that day. */
static enum rc_code publish(struct agg_run *run, const char *name, const char *location,
                            bool has_days, struct rc_error *err)
{
    static const struct rc_sql_column partitions[] = { { "day", "varchar" },
                                                       { "partition", "integer" } };
    struct rc_sql_column *columns = agg_columns_of_table(&run->columns);
    const struct rc_sql_table table = {
        .name = name,
        .locations = &location,
        .location_count = 1,
        .format = "parquet",
        .columns = columns,
        .column_count = run->columns.count,
        .partitions = has_days ? partitions : partitions + 1,
        .partition_count = has_days ? 2 : 1,
    };
    enum rc_code code = rc_sql_publish(run->job, run->sql, run->config->target_db, &table, err);

    free(columns);
    return code ? rc_context(err, "make the table '%s' over '%s'", name, location) : RC_OK;
}

static enum rc_code publish_all(struct agg_run *run, int32_t newest, struct rc_error *err)
{
    const struct agg_config *config = run->config;

    if (config->daily_table && publish(run, config->daily_table, run->paths.daily, true, err))
        return err->code;
    for (size_t i = 0; i < config->windows.len; i++) {
        RC_STR_AUTO location = agg_day_folder(run->paths.windows[i], newest);

        if (window_table(config, i) && publish(run, window_table(config, i), location, false, err))
            return err->code;
    }
    return RC_OK;
}

enum rc_code agg_tables(struct agg_run *run, int32_t newest, struct rc_error *err)
{
    const char *database = run->config->target_db;
    RC_STR_AUTO uri = marker_uri(run);
    struct agg_marker marker = { .step = "tables",
                                 .day = newest,
                                 .inputs = tables_inputs(run, newest),
                                 .rows = count_tables(run->config) };

    if (run->job->dry_run) {
        agg_say_step(run, AGG_STEP_TABLES, NULL, "tables: %" PRId64 " in %s%s%s", marker.rows,
                     database ? "'" : "", database ? database : "the engine's database",
                     database ? "'" : "");
        return RC_OK;
    }
    if (agg_state_open_step(run, uri, err) || publish_all(run, newest, err) ||
        agg_state_close_step(run, uri, &marker, err))
        return rc_context(err, "tables of the configuration");
    rc_job_count(run->job, "tables", marker.rows);
    return RC_OK;
}
