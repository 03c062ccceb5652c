/*
 * The markers as they lie in storage: reads them all at the run's beginning, removes and writes
 * single ones around a step. What is due follows in plan.c.
 */
#include "digest.h"
#include "run.h"

#include <stdlib.h>

enum { READERS = 16 };

/* Markers to read; each fills its mark. */
struct loading {
    struct marked {
        char *uri;
        struct agg_mark *mark;
    } * items;
    size_t count;
};

static void loading_clear(struct loading *loading)
{
    for (size_t i = 0; i < loading->count; i++)
        free(loading->items[i].uri);
    free(loading->items);
}

static enum rc_code find_markers(struct agg_run *run, const char *folder, struct agg_mark *marks,
                                 struct loading *out, struct rc_error *err)
{
    const struct agg_history *history = &run->history;
    const struct rc_list_options shallow = { .shallow = true };
    RC_STR_AUTO prefix = rc_strf("%s" AGG_DONE, folder);
    const struct rc_object *object = NULL;
    struct rc_listing *listing;
    int32_t day;
    enum rc_code code = rc_storage_list(run->job, prefix, &shallow, &listing, err);

    if (code)
        return rc_context(err, "list the markers '%s*'", prefix);
    while ((code = rc_storage_list_next(run->job, listing, &object, err)) == RC_OK && object) {
        if (object->is_prefix || !rc_parse_day(object->name, &day) || day < history->first ||
            (size_t)(day - history->first) >= history->day_count)
            continue;
        out->items[out->count++] =
            (struct marked){ .uri = rc_strdup(object->uri), .mark = &marks[day - history->first] };
    }
    rc_storage_list_close(run->job, listing);
    return code ? rc_context(err, "list the markers '%s*'", prefix) : RC_OK;
}

static enum rc_code load_marker(struct rc_job *job, void *context, size_t index,
                                struct rc_error *err)
{
    const struct marked *item = &((struct loading *)context)->items[index];
    struct agg_mark *mark = item->mark;
    struct agg_marker marker;
    RC_BUF_AUTO(text, AGG_MARKER_LIMIT);

    if (rc_storage_get(job, item->uri, &text, err))
        return rc_context(err, "read the marker '%s'", item->uri);
    mark->done = true;
    if (!agg_marker_parse(text.data, text.len, &marker)) {
        mark->adopted = true;
        mark->output = agg_marker_output(NULL, text.data, text.len);
        return RC_OK;
    }
    mark->output = agg_marker_output(&marker, NULL, 0);
    mark->inputs = marker.inputs;
    mark->definition = marker.definition;
    mark->rows = marker.rows;
    mark->events = marker.events;
    mark->rejected = marker.rejected;
    agg_marker_clear(&marker);
    return RC_OK;
}

/* What decides a window's content beside its dailies. */
static uint64_t window_definition(const struct agg_run *run, int64_t days)
{
    uint64_t digest = agg_digest_number(AGG_DIGEST_INIT, (uint64_t)days);

    for (size_t i = 0; i < run->columns.count; i++) {
        digest = agg_digest_text(digest, run->columns.items[i].name);
        digest = agg_digest_text(digest, run->columns.items[i].type);
    }
    for (size_t i = 0; i < run->model.measure_count; i++)
        digest = agg_digest_number(digest, (uint64_t)run->model.measures[i].aggregate);
    return digest;
}

static void make_history(struct agg_run *run, int32_t last)
{
    const struct rc_objects *windows = &run->config->windows;
    struct agg_window_span *spans = rc_calloc(windows->len + 1, sizeof(*spans));

    for (size_t i = 0; i < windows->len; i++) {
        int64_t days = RC_OBJECT_AT(struct agg_window_option, *windows, i)->days;

        /* Every total is the same window, however its user wrote "everything". */
        if (agg_is_total(days))
            days = INT32_MAX;
        spans[i] = (struct agg_window_span){ days, window_definition(run, days) };
    }
    agg_history_make(&run->history, run->config->history_start, last, spans, windows->len);
    free(spans);
}

enum rc_code agg_state_load(struct agg_run *run, int32_t last, struct rc_error *err)
{
    struct agg_history *history = &run->history;
    struct loading loading = { .items = NULL };
    enum rc_code code;

    make_history(run, last);
    loading.items =
        rc_calloc(history->day_count * (history->span_count + 1) + 1, sizeof(*loading.items));
    code = find_markers(run, run->paths.daily, history->daily, &loading, err);
    for (size_t i = 0; i < history->span_count && !code; i++)
        code = find_markers(run, run->paths.windows[i], history->windows + i * history->day_count,
                            &loading, err);
    if (!code && loading.count > 0)
        code = rc_parallel(run->job, READERS, loading.count, load_marker, &loading, err);
    loading_clear(&loading);

    /*
     * Only a daily step may be taken over from the seed: of a window it is not known what is in
     * it.
     */
    for (size_t i = 0; !code && i < history->day_count * history->span_count; i++)
        if (history->windows[i].adopted)
            history->windows[i].done = false;
    return code;
}

enum rc_code agg_state_read(struct agg_run *run, const char *uri, struct agg_marker *out,
                            bool *found, struct rc_error *err)
{
    RC_BUF_AUTO(text, AGG_MARKER_LIMIT);
    enum rc_code code = rc_storage_get(run->job, uri, &text, err);

    *found = false;
    if (code == RC_NOT_FOUND)
        return RC_OK;
    if (code)
        return rc_context(err, "read the marker '%s'", uri);
    *found = agg_marker_parse(text.data, text.len, out);
    return RC_OK;
}

enum rc_code agg_state_prove(struct agg_run *run, struct agg_mark *mark, const char *folder,
                             int32_t day, bool *proven, struct rc_error *err)
{
    RC_STR_AUTO location = agg_day_folder(folder, day);
    struct agg_manifest manifest = { .files = NULL };

    *proven = mark->done && mark->proven;
    if (!mark->done || mark->proven || mark->adopted)
        return RC_OK;
    enum rc_code code = agg_manifest_add(run->job, location, "", &manifest, err);
    /* A file that vanished between listing and reading proves nothing, and is no failure. */
    if (code == RC_OK)
        mark->proven = agg_manifest_digest(&manifest) == mark->output;
    agg_manifest_clear(&manifest);
    *proven = mark->proven;
    if (code && code != RC_NOT_FOUND)
        return rc_context(err, "check '%s'", location);
    return RC_OK;
}

static enum rc_code check_lock(struct agg_run *run, struct rc_error *err)
{
    if (rc_lock_check(run->job, run->lock, err))
        return rc_context(err, "make sure that no other run has taken over");
    return RC_OK;
}

enum rc_code agg_state_open_step(struct agg_run *run, const char *marker_uri, struct rc_error *err)
{
    if (check_lock(run, err))
        return err->code;
    if (rc_storage_remove(run->job, &marker_uri, 1, err))
        return rc_context(err, "remove the marker '%s'", marker_uri);
    return RC_OK;
}

enum rc_code agg_state_close_step(struct agg_run *run, const char *marker_uri,
                                  const struct agg_marker *marker, struct rc_error *err)
{
    RC_BUF_AUTO(text, AGG_MARKER_LIMIT);

    agg_marker_format(marker, &text);
    if (rc_buf_check(&text, err) || check_lock(run, err) ||
        rc_storage_put(run->job, marker_uri, text.data, text.len, NULL, err))
        return rc_context(err, "write the marker '%s'", marker_uri);
    return RC_OK;
}
