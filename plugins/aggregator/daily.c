/*
 * The daily step: aggregates the events of one day by user, judges the rejected ones, and
 * publishes the result. The events are read once.
 */
#include "run.h"

#include <inttypes.h>
#include <stdlib.h>

enum { STATEMENT_LIMIT = 1 << 20 };

struct day_counts {
    int64_t users, rows, events, rejected;
};

static enum rc_code read_counts(struct agg_run *run, struct day_counts *out, struct rc_error *err)
{
    struct agg_sql sql = agg_run_sql(run);
    RC_BUF_AUTO(statement, STATEMENT_LIMIT);
    RC_ROWS_AUTO(rows);
    const struct rc_value *row = NULL;

    agg_sql_day_counts(&sql, &statement);
    if (rc_sql_query(run->job, run->sql, statement.data, NULL, 0, &rows, err) ||
        rc_rows_next(rows, &row, err))
        return rc_context(err, "count the day's rows");
    *out = (struct day_counts){ .users = 0 };
    if (row) {
        out->users = row[0].integer;
        out->rows = row[1].integer;
        out->events = row[2].integer;
        out->rejected = row[3].integer;
    }
    /* To its end: what is left before is a statement given up, to a server. */
    if (row && rc_rows_next(rows, &row, err))
        return rc_context(err, "count the day's rows");
    return RC_OK;
}

static enum rc_code read_samples(struct agg_run *run, int32_t day, struct rc_error *err)
{
    struct agg_sql sql = agg_run_sql(run);
    RC_BUF_AUTO(statement, STATEMENT_LIMIT);
    RC_ROWS_AUTO(rows);
    const struct rc_value *row = NULL;

    agg_sql_day_samples(&sql, &statement, AGG_REPORT_SAMPLES);
    if (rc_sql_query(run->job, run->sql, statement.data, NULL, 0, &rows, err) ||
        rc_rows_next(rows, &row, err))
        return rc_context(err, "sample the rejected events");
    while (row) {
        agg_report_sample(&run->report, day, row[0].text, row[1].integer, row[2].text);
        if (rc_rows_next(rows, &row, err))
            return rc_context(err, "sample the rejected events");
    }
    return RC_OK;
}

static enum rc_code judge(const struct agg_run *run, const struct day_counts *counts,
                          struct rc_error *err)
{
    const struct agg_limit *limit = &run->limit;
    double allowed = limit->is_share ? limit->amount / 100 * (double)counts->events : limit->amount;

    if (!limit->set || (double)counts->rejected <= allowed)
        return RC_OK;
    return rc_fail(err, RC_FAILED,
                   "%" PRId64 " of %" PRId64 " events '%s' are rejected, more than max_rejected "
                   "'%s' allows; nothing of the day is published. The report shows some of them: "
                   "correct the events, or raise max_rejected",
                   counts->rejected, counts->events, run->config->event_name,
                   run->config->max_rejected);
}

static enum rc_code aggregate(struct agg_run *run, int32_t day, struct day_counts *counts,
                              struct rc_error *err)
{
    RC_BUF_AUTO(query, STATEMENT_LIMIT);

    if (agg_source_attach(run, day, err))
        return rc_context(err, "aggregate the events");
    struct agg_sql sql = agg_run_sql(run);
    agg_sql_day(&sql, &query);
    if (rc_buf_check(&query, err) ||
        rc_sql_make(run->job, run->sql, AGG_DAY, query.data, NULL, 0, NULL, err))
        return rc_context(err, "aggregate the events");
    if (read_counts(run, counts, err))
        return err->code;
    if (counts->rejected > 0) {
        rc_warn(run->job, "%" PRId64 " of %" PRId64 " events are rejected", counts->rejected,
                counts->events);
        if (read_samples(run, day, err))
            return err->code;
    }
    return judge(run, counts, err);
}

static enum rc_code write_query(struct agg_run *run, const char *query, const char *location,
                                struct rc_error *err)
{
    static const char *const partition_by[] = { "partition" };
    const struct rc_sql_output output = {
        .query = query,
        .location = location,
        .format = "parquet",
        .partition_by = partition_by,
        .partition_count = 1,
    };
    struct rc_sql_written written = { .rows = 0 };

    if (rc_sql_write(run->job, run->sql, &output, &written, err))
        return rc_context(err, "write '%s'", location);
    rc_job_count(run->job, "rows_written", written.rows);
    rc_job_count(run->job, "bytes_written", written.bytes);
    return RC_OK;
}

/* Publishes the day, and takes its manifest. */
static enum rc_code publish(struct agg_run *run, int32_t day, struct agg_manifest *manifest,
                            struct rc_error *err)
{
    struct agg_sql sql = agg_run_sql(run);
    RC_STR_AUTO location = agg_day_folder(run->paths.daily, day);
    RC_STR_AUTO values = agg_day_folder(run->paths.values, day);
    RC_BUF_AUTO(query, STATEMENT_LIMIT);

    agg_sql_day_output(&sql, &query);
    if (rc_buf_check(&query, err) || write_query(run, query.data, location, err) ||
        agg_manifest_add(run->job, location, "", manifest, err))
        return err->code;
    if (!run->model.has_distinct)
        return RC_OK;
    rc_buf_reset(&query);
    agg_sql_day_values(&sql, &query);
    if (rc_buf_check(&query, err) || write_query(run, query.data, values, err) ||
        agg_manifest_add(run->job, values, "values/", manifest, err))
        return err->code;
    return RC_OK;
}

static enum rc_code finish(struct agg_run *run, int32_t day, const struct day_counts *counts,
                           struct rc_error *err)
{
    RC_STR_AUTO uri = agg_marker_uri(run->paths.daily, AGG_DONE, day);
    struct agg_mark *mark = agg_history_daily(&run->history, day);
    struct agg_marker marker = { .step = "daily",
                                 .day = day,
                                 .rows = counts->rows,
                                 .definition = run->daily_definition,
                                 .events = counts->events,
                                 .rejected = counts->rejected };
    enum rc_code code = agg_state_open_step(run, uri, err);

    mark->done = false;
    if (!code)
        code = publish(run, day, &marker.manifest, err);
    if (!code)
        code = agg_state_close_step(run, uri, &marker, err);
    if (!code)
        *mark = (struct agg_mark){ .done = true,
                                   .proven = true,
                                   .rows = counts->rows,
                                   .output = agg_marker_output(&marker, NULL, 0),
                                   .definition = marker.definition,
                                   .events = counts->events,
                                   .rejected = counts->rejected };
    agg_marker_clear(&marker);
    return code;
}

static enum rc_code plan_daily(struct agg_run *run, int32_t day, struct rc_error *err)
{
    RC_STR_AUTO source = agg_source_name(run, day);
    RC_STR_AUTO location = agg_day_folder(run->paths.daily, day);
    RC_BUF_AUTO(statement, STATEMENT_LIMIT);

    /* To refer to a table changes nothing, to make one of a location may. */
    if (!run->paths.source && agg_source_attach(run, day, err))
        return err->code;
    struct agg_sql sql = agg_run_sql(run);
    rc_buf_adds(&statement, "CREATE TABLE " AGG_DAY " AS ");
    agg_sql_day(&sql, &statement);
    rc_buf_adds(&statement, ";\n");
    agg_sql_day_output(&sql, &statement);
    agg_say_step(run, AGG_STEP_DAILY, statement.data, "daily: '%s' into '%s'", source, location);
    return RC_OK;
}

enum rc_code agg_daily(struct agg_run *run, int32_t day, struct rc_error *err)
{
    RC_STR_AUTO location = agg_day_folder(run->paths.daily, day);
    struct day_counts counts = { .users = 0 };
    char text[RC_DAY_TEXT];

    rc_format_day(day, text);
    if (run->job->dry_run)
        return plan_daily(run, day, err) ? rc_context(err, "daily aggregation of %s", text) : RC_OK;
    enum rc_code code = aggregate(run, day, &counts, err);
    rc_job_count(run->job, "events", counts.events);
    rc_job_count(run->job, "rejected", counts.rejected);
    if (code || finish(run, day, &counts, err) || rc_sql_drop(run->job, run->sql, AGG_DAY, err))
        return rc_context(err, "daily aggregation of %s", text);
    rc_job_count(run->job, "days", 1);
    agg_report_day(&run->report, day, counts.events, counts.rejected, counts.users, counts.rows);
    agg_report_output(&run->report, "daily", day, counts.rows, location);
    rc_info(run->job, "aggregated %s: %" PRId64 " events of %" PRId64 " users", text, counts.events,
            counts.users);
    return RC_OK;
}
