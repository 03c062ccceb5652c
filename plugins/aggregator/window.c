/*
 * The window step: the sum over daily files, in one statement. Where nothing leaves the window, it
 * may be made of the same window of the day before and of this day, but only if both are proven
 * to be what their markers say; the statement and the result are the same.
 */
#include "run.h"

#include <inttypes.h>
#include <stdlib.h>

enum { STATEMENT_LIMIT = 1 << 20 };

struct places {
    char **items;
    size_t count;
};

static void places_clear(struct places *places)
{
    for (size_t i = 0; i < places->count; i++)
        free(places->items[i]);
    free(places->items);
}

static enum rc_code attach(struct agg_run *run, const char *name, const char *const *locations,
                           size_t count, const struct rc_sql_column *columns, size_t column_count,
                           struct rc_error *err)
{
    static const struct rc_sql_column partitions[] = { { "day", "varchar" },
                                                       { "partition", "integer" } };
    const struct rc_sql_table table = {
        .name = name,
        .locations = locations,
        .location_count = count,
        .format = "parquet",
        .columns = columns,
        .column_count = column_count,
        .partitions = partitions,
        .partition_count = RC_ARRAY_LEN(partitions),
    };

    if (rc_sql_attach(run->job, run->sql, &table, err))
        return rc_context(err, "read '%s'%s", count ? locations[0] : "", count > 1 ? " ..." : "");
    return RC_OK;
}

enum rc_code agg_attach_output(struct agg_run *run, const char *name, const char *const *locations,
                               size_t count, struct rc_error *err)
{
    struct rc_sql_column *columns = agg_columns_of_table(&run->columns);
    enum rc_code code = attach(run, name, locations, count, columns, run->columns.count, err);
    free(columns);
    return code;
}

static enum rc_code attach_values(struct agg_run *run, int32_t first, int32_t last,
                                  struct rc_error *err)
{
    const struct agg_model *model = &run->model;
    size_t count = 0;
    struct rc_sql_column *columns = rc_calloc(model->key_count + 4, sizeof(*columns));
    struct places places = { .items =
                                 rc_calloc((size_t)(last - first) + 1, sizeof(*places.items)) };

    columns[count++] = (struct rc_sql_column){ "userid", "varchar" };
    columns[count++] = (struct rc_sql_column){ "shard", "integer" };
    for (size_t i = 0; i < model->key_count; i++)
        columns[count++] =
            (struct rc_sql_column){ model->keys[i].column, model->keys[i].type.name };
    columns[count++] = (struct rc_sql_column){ "agg_measure", "varchar" };
    columns[count++] = (struct rc_sql_column){ "agg_value", "varchar" };
    for (int32_t day = first; day <= last; day++)
        places.items[places.count++] = agg_day_folder(run->paths.values, day);
    enum rc_code code = attach(run, AGG_VALUES, (const char *const *)places.items, places.count,
                               columns, count, err);
    free(columns);
    places_clear(&places);
    return code;
}

/* Whether the window may be made of its own day before. */
static enum rc_code may_grow(struct agg_run *run, size_t window, int32_t day, bool *out,
                             struct rc_error *err)
{
    const struct agg_history *history = &run->history;
    bool proven = false;

    *out = false;
    if (!run->model.mergeable || !agg_window_only_grows(history, window, day) ||
        !agg_window_current(history, window, day - 1))
        return RC_OK;
    if (agg_state_prove(run, agg_history_daily(history, day), run->paths.daily, day, &proven, err))
        return err->code;
    if (!proven)
        return RC_OK;
    return agg_state_prove(run, agg_history_window(history, window, day - 1),
                           run->paths.windows[window], day - 1, out, err);
}

/* Where the window's rows come from. */
static void find_places(const struct agg_run *run, size_t window, int32_t day, bool grow,
                        struct places *out)
{
    int32_t first = grow ? day : agg_window_first(&run->history, window, day);

    out->items = rc_calloc((size_t)(day - first) + 2, sizeof(*out->items));
    out->count = 0;
    if (grow)
        out->items[out->count++] = agg_day_folder(run->paths.windows[window], day - 1);
    for (int32_t d = first; d <= day; d++)
        out->items[out->count++] = agg_day_folder(run->paths.daily, d);
}

static enum rc_code attach_inputs(struct agg_run *run, size_t window, int32_t day, bool grow,
                                  struct rc_error *err)
{
    struct places places;

    find_places(run, window, day, grow, &places);
    enum rc_code code =
        agg_attach_output(run, AGG_DAILIES, (const char *const *)places.items, places.count, err);
    places_clear(&places);
    if (!code && run->model.has_distinct)
        code = attach_values(run, agg_window_first(&run->history, window, day), day, err);
    return code;
}

static enum rc_code write_window(struct agg_run *run, const char *location, struct agg_marker *out,
                                 struct rc_error *err)
{
    static const char *const partition_by[] = { "partition" };
    struct agg_sql sql = agg_run_sql(run);
    RC_BUF_AUTO(query, STATEMENT_LIMIT);
    struct rc_sql_written written = { .rows = 0 };
    struct rc_sql_output output = { .location = location,
                                    .format = "parquet",
                                    .partition_by = partition_by,
                                    .partition_count = 1 };

    agg_sql_window(&sql, &query);
    output.query = query.data;
    if (rc_buf_check(&query, err) || rc_sql_write(run->job, run->sql, &output, &written, err))
        return rc_context(err, "write '%s'", location);
    rc_job_count(run->job, "rows_written", written.rows);
    rc_job_count(run->job, "bytes_written", written.bytes);
    out->rows = written.rows;
    return agg_manifest_add(run->job, location, "", &out->manifest, err);
}

static enum rc_code make_window(struct agg_run *run, size_t window, int32_t day, bool grow,
                                struct rc_error *err)
{
    const char *folder = run->paths.windows[window];
    RC_STR_AUTO location = agg_day_folder(folder, day);
    RC_STR_AUTO uri = agg_marker_uri(folder, AGG_DONE, day);
    struct agg_mark *mark = agg_history_window(&run->history, window, day);
    struct agg_marker marker = { .step = "window",
                                 .day = day,
                                 .definition = run->history.spans[window].definition,
                                 .inputs = agg_window_inputs(&run->history, window, day) };
    enum rc_code code = attach_inputs(run, window, day, grow, err);

    if (!code)
        code = agg_state_open_step(run, uri, err);
    if (!code) {
        mark->done = false;
        code = write_window(run, location, &marker, err);
    }
    if (!code)
        code = agg_state_close_step(run, uri, &marker, err);
    if (!code)
        *mark = (struct agg_mark){ .done = true,
                                   .proven = true,
                                   .inputs = marker.inputs,
                                   .output = agg_marker_output(&marker, NULL, 0),
                                   .definition = marker.definition,
                                   .rows = marker.rows };
    agg_marker_clear(&marker);
    return code;
}

static void plan_window(struct agg_run *run, size_t window, int32_t day)
{
    struct agg_sql sql = agg_run_sql(run);
    char first[RC_DAY_TEXT], last[RC_DAY_TEXT];
    RC_STR_AUTO location = agg_day_folder(run->paths.windows[window], day);
    RC_BUF_AUTO(statement, STATEMENT_LIMIT);

    agg_sql_window(&sql, &statement);
    rc_format_day(agg_window_first(&run->history, window, day), first);
    agg_say_step(run, AGG_STEP_WINDOW, statement.data, "window: days %s to %s into '%s'", first,
                 rc_format_day(day, last), location);
}

enum rc_code agg_window(struct agg_run *run, size_t window, int32_t day, struct rc_error *err)
{
    const struct agg_window_option *option =
        RC_OBJECT_AT(struct agg_window_option, run->config->windows, window);
    RC_STR_AUTO location = agg_day_folder(run->paths.windows[window], day);
    RC_STR_AUTO what =
        agg_is_total(option->days) ? rc_strdup("total") : rc_strf("%" PRId64 " days", option->days);
    char text[RC_DAY_TEXT];
    bool grow;

    if (run->job->dry_run) {
        plan_window(run, window, day);
        return RC_OK;
    }
    if (may_grow(run, window, day, &grow, err) || make_window(run, window, day, grow, err))
        return rc_context(err, "window of %s that ends at %s", what, rc_format_day(day, text));
    rc_job_count(run->job, "windows", 1);
    if (grow)
        rc_job_count(run->job, "windows_grown", 1);
    agg_report_output(&run->report, what, day, agg_history_window(&run->history, window, day)->rows,
                      location);
    return RC_OK;
}
