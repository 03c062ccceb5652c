/*
 * The action 'status': the jobs of each stream as a table, and what would keep another one from
 * being created now. Changes nothing.
 */
#include "run.h"
#include "standing.h"

#include <run-core/buf.h>
#include <run-core/str.h>

#include <inttypes.h>
#include <stdlib.h>

enum { COLUMNS = 10 };

static const char *const columns[COLUMNS] = {
    "stream",  "job",    "schedule", ">active", ">succeeded",
    ">failed", ">other", "newest",   "state",   "another one now",
};

/* Rows of owned texts, and the lines that explain them, which come below the table. */
struct view {
    char **cells;
    size_t row_count, capacity; /* in rows */
    char **lines;               /* one for each row, or NULL */
};

static char **add_row(struct view *view)
{
    if (view->row_count == view->capacity) {
        view->capacity = view->capacity ? 2 * view->capacity : 16;
        view->cells = rc_realloc(view->cells, view->capacity * COLUMNS * sizeof(*view->cells));
        view->lines = rc_realloc(view->lines, view->capacity * sizeof(*view->lines));
    }
    view->lines[view->row_count] = NULL;
    return &view->cells[view->row_count++ * COLUMNS];
}

static void clear_view(struct view *view)
{
    for (size_t i = 0; i < view->row_count * COLUMNS; i++)
        free(view->cells[i]);
    for (size_t i = 0; i < view->row_count; i++)
        free(view->lines[i]);
    free(view->cells);
    free(view->lines);
}

static char *number(int64_t count)
{
    return rc_strf("%" PRId64, count);
}

static const char *schedule_of(const struct delta_entry *entry, enum delta_kind kind)
{
    if (!entry->job_operation[kind])
        return "no operation";
    if (entry->disabled[kind])
        return "disabled";
    if (kind == DELTA_INITIAL_SYNC)
        return entry->start_initial_sync ? "at the start" : "by hand";
    return entry->cron[kind];
}

static void add_kind(struct view *view, struct delta_session *session,
                     const struct delta_entry *entry, const struct delta_standing *standing,
                     enum delta_kind kind)
{
    const struct delta_summary *summary = &standing->summaries[kind];
    RC_BUF_AUTO(state, DELTA_TEXT_LIMIT);
    char **row = add_row(view);

    delta_standing_state(standing, session->config, kind, &state);
    row[0] = rc_strdup(entry->name);
    row[1] = rc_strdup(delta_kind_text(kind));
    row[2] = rc_strdup(schedule_of(entry, kind));
    row[3] = number(summary->count[DELTA_SCHEDULED] + summary->count[DELTA_BUSY]);
    row[4] = number(summary->count[DELTA_SUCCESS]);
    row[5] = number(summary->count[DELTA_FAILED]);
    row[6] = number(summary->count[DELTA_CANCELED] + summary->count[DELTA_OTHER_STATUS]);
    row[7] = rc_strdup(summary->newest.uri);
    row[8] = rc_buf_take(&state);
    row[9] = delta_standing_has(entry, kind)
                 ? rc_strdup(delta_verdict_name(standing->now[kind].verdict))
                 : NULL;
}

/* What the last column says in a word; NULL where there is nothing to explain. */
static char *explanation(const struct delta_entry *entry, const struct delta_standing *standing,
                         enum delta_kind kind)
{
    const struct delta_outcome *outcome = &standing->now[kind];
    RC_BUF_AUTO(why, DELTA_TEXT_LIMIT);

    if (!delta_standing_has(entry, kind) || outcome->verdict == DELTA_FREE ||
        outcome->verdict == DELTA_DONE)
        return NULL;
    delta_outcome_explain(outcome, kind, standing->read_unix_ms, &why);
    return rc_strf("%s%sno %s now: %s", entry->name, *entry->name ? ": " : "",
                   delta_kind_text(kind), why.data);
}

/* Such as of variables that are misspelt, which nobody else tells of. */
static void warn_of_nothing(struct delta_session *session, const struct delta_entry *entry)
{
    for (size_t kind = 0; kind < DELTA_KIND_COUNT; kind++)
        if (entry->job_operation[kind])
            return;
    rc_warn(session->job,
            "%s%sthere is no operation for any kind of jobs, so none is ever created: give "
            "healingJobOperation%s and the like",
            entry->name, *entry->name ? ": " : "",
            *entry->name ? "" : " (or HEALING_JOB_OPERATION)");
}

static enum rc_code look(struct delta_session *session, const struct delta_entry *entry,
                         void *context, struct rc_error *err)
{
    struct view *view = context;
    struct delta_standing standing;

    if (delta_standing_read(session, entry, &standing, err))
        return err->code;
    warn_of_nothing(session, entry);
    for (size_t kind = 0; kind < DELTA_KIND_COUNT; kind++) {
        if (delta_standing_has(entry, (enum delta_kind)kind))
            delta_warn_of_months(session, entry, (enum delta_kind)kind);
        add_kind(view, session, entry, &standing, (enum delta_kind)kind);
        view->lines[view->row_count - 1] = explanation(entry, &standing, (enum delta_kind)kind);
    }
    delta_standing_clear(&standing);
    return RC_OK;
}

/* The first column is there only where streams have names. */
static void show(struct rc_job *job, const struct view *view)
{
    size_t skipped = view->row_count && !*view->cells[0] ? 1 : 0, width = COLUMNS - skipped;
    const char **cells = rc_calloc(view->row_count * width + 1, sizeof(*cells));

    for (size_t row = 0; row < view->row_count; row++)
        for (size_t column = 0; column < width; column++)
            cells[row * width + column] = view->cells[row * COLUMNS + column + skipped];
    const struct rc_table table = {
        .title = "Jobs",
        .columns = columns + skipped,
        .column_count = width,
        .cells = cells,
        .row_count = view->row_count,
    };
    rc_job_show(job, &table);
    free(cells);
    for (size_t row = 0; row < view->row_count; row++)
        if (view->lines[row])
            rc_job_say(job, view->lines[row]);
}

enum rc_code delta_status(struct rc_job *job, const void *config, struct rc_error *err)
{
    const struct delta_status_params *params = job->params;
    struct view view = { 0 };
    const struct delta_each each = { .name = params->entry, .work = look, .context = &view };
    enum rc_code code = delta_each(job, config, &each, err);

    if (view.row_count)
        show(job, &view);
    clear_view(&view);
    return code;
}
