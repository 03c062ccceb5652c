/*
 * The CSV step: one row for every user of the total, with the day and each window beside it.
 */
#include "digest.h"
#include "run.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { STATEMENT_LIMIT = 1 << 20 };

/* The inputs of the file, in the order of its columns: the day, the windows, the total last. */
struct parts {
    char **locations;
    char **suffixes;
    size_t count;
};

static void add_part(struct parts *parts, const char *folder, int32_t day, char *suffix)
{
    parts->locations[parts->count] = agg_day_folder(folder, day);
    parts->suffixes[parts->count++] = suffix;
}

static void parts_make(const struct agg_run *run, int32_t day, struct parts *out)
{
    const struct rc_objects *windows = &run->config->windows;
    size_t total = agg_total_window(run->config);

    out->locations = rc_calloc(windows->len + 1, sizeof(*out->locations));
    out->suffixes = rc_calloc(windows->len + 1, sizeof(*out->suffixes));
    out->count = 0;
    add_part(out, run->paths.daily, day, rc_strdup("_d1"));
    for (size_t i = 0; i < windows->len; i++)
        if (i != total)
            add_part(
                out, run->paths.windows[i], day,
                rc_strf("_d%" PRId64, RC_OBJECT_AT(struct agg_window_option, *windows, i)->days));
    if (total < windows->len)
        add_part(out, run->paths.windows[total], day, rc_strdup("_total"));
}

static void parts_clear(struct parts *parts)
{
    for (size_t i = 0; i < parts->count; i++) {
        free(parts->locations[i]);
        free(parts->suffixes[i]);
    }
    free(parts->locations);
    free(parts->suffixes);
}

void agg_csv_columns(const struct agg_run *run, int32_t day,
                     void (*add)(void *context, const char *name), void *context)
{
    struct parts parts;

    parts_make(run, day, &parts);
    add(context, "shard");
    for (size_t i = 0; i < run->model.key_count; i++)
        add(context, run->model.keys[i].column);
    for (size_t part = 0; part < parts.count; part++) {
        for (size_t i = 0; i < run->model.measure_count; i++) {
            RC_STR_AUTO name = rc_strf("%s%s", run->model.measures[i].column, parts.suffixes[part]);

            add(context, name);
        }
        RC_STR_AUTO count = rc_strf("cnt%s", parts.suffixes[part]);

        add(context, count);
    }
    parts_clear(&parts);
}

/*
 * Digest of what the file is made of: its name, its columns, the day and the windows as they
 * are now.
 */
static uint64_t csv_inputs(const struct agg_run *run, int32_t day)
{
    const struct agg_history *history = &run->history;
    uint64_t digest = agg_digest_text(AGG_DIGEST_INIT, run->config->csv_prefix);

    digest = agg_digest_number(digest, agg_history_daily(history, day)->output);
    for (size_t i = 0; i < history->span_count; i++)
        digest = agg_digest_number(digest, agg_window_inputs(history, i, day));
    return digest;
}

enum rc_code agg_csv_current(struct agg_run *run, int32_t day, bool *current, struct rc_error *err)
{
    RC_STR_AUTO marker_uri = agg_marker_uri(run->paths.daily, AGG_CSV, day);
    RC_STR_AUTO uri = agg_csv_uri(&run->paths, run->config, day);
    struct agg_marker marker;
    struct rc_stat stat;

    if (agg_state_read(run, marker_uri, &marker, current, err))
        return err->code;
    if (!*current)
        return RC_OK;
    bool same = marker.inputs == csv_inputs(run, day) && marker.manifest.count == 1;
    int64_t size_bytes = same ? marker.manifest.files[0].size_bytes : 0;
    agg_marker_clear(&marker);
    *current = false;
    if (!same)
        return RC_OK;
    /* The file may have been taken away, or the folder configured elsewhere since. */
    enum rc_code code = rc_storage_stat(run->job, uri, &stat, err);
    if (code && code != RC_NOT_FOUND)
        return rc_context(err, "look for '%s'", uri);
    *current = !code && stat.size_bytes == size_bytes;
    return RC_OK;
}

static enum rc_code attach_parts(struct agg_run *run, const struct parts *parts,
                                 struct rc_error *err)
{
    for (size_t i = 0; i < parts->count; i++) {
        RC_STR_AUTO name = rc_strf(AGG_PART "%zu", i);
        const char *location = parts->locations[i];

        if (agg_attach_output(run, name, &location, 1, err))
            return err->code;
    }
    return RC_OK;
}

static enum rc_code write_csv(struct agg_run *run, const char *query, const char *uri,
                              struct agg_marker *marker, struct rc_error *err)
{
    const struct rc_sql_output output = {
        .query = query, .location = uri, .format = "csv", .compression = "gzip"
    };
    struct rc_sql_written written = { .rows = 0 };

    if (rc_sql_write(run->job, run->sql, &output, &written, err))
        return rc_context(err, "write '%s'", uri);
    marker->rows = written.rows;
    rc_job_count(run->job, "rows_written", written.rows);
    rc_job_count(run->job, "bytes_written", written.bytes);
    return agg_manifest_add(run->job, uri, "", &marker->manifest, err);
}

enum rc_code agg_csv(struct agg_run *run, int32_t day, struct rc_error *err)
{
    struct agg_sql sql = agg_run_sql(run);
    RC_STR_AUTO marker_uri = agg_marker_uri(run->paths.daily, AGG_CSV, day);
    RC_STR_AUTO uri = agg_csv_uri(&run->paths, run->config, day);
    RC_BUF_AUTO(query, STATEMENT_LIMIT);
    struct agg_marker marker = { .step = "csv", .day = day, .inputs = csv_inputs(run, day) };
    enum rc_code code = RC_OK;
    struct parts parts;

    parts_make(run, day, &parts);
    if (!run->job->dry_run)
        code = attach_parts(run, &parts, err);
    agg_sql_csv(&sql, (const char *const *)parts.suffixes, parts.count, &query);
    parts_clear(&parts);
    if (!code)
        code = rc_buf_check(&query, err);
    if (!code && run->job->dry_run) {
        agg_say_step(run, AGG_STEP_CSV, query.data, "csv: '%s'", uri);
        return RC_OK;
    }
    if (!code)
        code = agg_state_open_step(run, marker_uri, err);
    if (!code)
        code = write_csv(run, query.data, uri, &marker, err);
    if (!code)
        code = agg_state_close_step(run, marker_uri, &marker, err);
    if (!code) {
        agg_report_output(&run->report, "csv", day, marker.rows, uri);
        rc_info(run->job, "wrote %" PRId64 " rows to '%s'", marker.rows, uri);
    }
    agg_marker_clear(&marker);
    return code ? rc_context(err, "export to CSV") : RC_OK;
}
