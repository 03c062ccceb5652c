/*
 * Gathers what became of the jobs of a run, shows it and says what it comes to.
 */
#include "report.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { COLUMNS = 9 };

void sdrs_report_init(struct sdrs_report *report)
{
    *report = (struct sdrs_report){ 0 };
    (void)pthread_mutex_init(&report->mutex, NULL);
}

void sdrs_report_clear(struct sdrs_report *report)
{
    for (size_t i = 0; i < report->count; i++) {
        free((char *)(uintptr_t)report->rows[i].type);
        free((char *)(uintptr_t)report->rows[i].name);
        free((char *)(uintptr_t)report->rows[i].message);
    }
    free(report->rows);
    (void)pthread_mutex_destroy(&report->mutex);
}

void sdrs_report_add(struct sdrs_report *report, const struct sdrs_row *row)
{
    struct sdrs_row *copy;

    (void)pthread_mutex_lock(&report->mutex);
    report->rows = rc_realloc(report->rows, (report->count + 1) * sizeof(*report->rows));
    copy = &report->rows[report->count++];
    *copy = *row;
    copy->type = rc_strdup(row->type);
    copy->name = rc_strdup(row->name);
    copy->message = rc_strdup(row->message);
    (void)pthread_mutex_unlock(&report->mutex);
}

struct sdrs_row sdrs_row_of(const struct sdrs_record *record, const char *name, size_t prefix_count)
{
    return (struct sdrs_row){
        .state = SDRS_ROW_JOB,
        .status = record->status,
        .job = record->id,
        .rule = record->rule,
        .type = record->type,
        .name = name,
        .message = record->message,
        .prefixes = prefix_count,
        .objects = record->objects,
        .bytes = record->bytes,
        .failed = record->failed,
    };
}

/* ---- showing --------------------------------------------------------------------------------- */

static int compare_rows(const void *a, const void *b)
{
    const struct sdrs_row *one = a, *other = b;
    int order = strcmp(one->name, other->name);

    if (order)
        return order;
    if (one->rule != other->rule)
        return one->rule < other->rule ? -1 : 1;
    return (one->job > other->job) - (one->job < other->job);
}

static const char *status_of(const struct sdrs_row *row)
{
    static const char *const others[] = {
        [SDRS_ROW_BUSY] = "busy",
        [SDRS_ROW_PLANNED] = "planned",
        [SDRS_ROW_UNKNOWN] = "unknown",
    };

    return row->state == SDRS_ROW_JOB ? sdrs_job_status_name(row->status) : others[row->state];
}

static char *number(int64_t value)
{
    return rc_strf("%" PRId64, value);
}

static char *id_text(int64_t id)
{
    return id > 0 ? number(id) : NULL;
}

static void show_rows(struct rc_job *job, const struct sdrs_report *report, const char *title)
{
    static const char *const columns[COLUMNS] = { "storage", ">rule",     "type",
                                                  ">job",    ">prefixes", ">objects",
                                                  ">bytes",  "status",    "message" };
    char **cells = rc_calloc(report->count * COLUMNS + 1, sizeof(*cells)), **next = cells;
    const struct rc_table table = {
        .title = title,
        .columns = columns,
        .column_count = COLUMNS,
        .cells = (const char *const *)cells,
        .row_count = report->count,
    };

    for (size_t i = 0; i < report->count; i++) {
        const struct sdrs_row *row = &report->rows[i];

        *next++ = rc_strdup(row->name);
        *next++ = id_text(row->rule);
        *next++ = rc_strdup(row->type);
        *next++ = id_text(row->job);
        *next++ = number((int64_t)row->prefixes);
        *next++ = number(row->objects);
        *next++ = number(row->bytes);
        *next++ = rc_strdup(status_of(row));
        *next++ = rc_strdup(row->message);
    }
    rc_job_show(job, &table);
    for (size_t i = 0; i < report->count * COLUMNS; i++)
        free(cells[i]);
    free(cells);
}

/* ---- sums ------------------------------------------------------------------------------------ */

struct sum {
    size_t busy, planned, success, pending, failed;
    int64_t objects, bytes, left;
    const struct sdrs_row *first; /* that failed */
};

static struct sum sum_up(const struct sdrs_report *report)
{
    struct sum sum = { 0 };

    for (size_t i = 0; i < report->count; i++) {
        const struct sdrs_row *row = &report->rows[i];
        bool is_job = row->state == SDRS_ROW_JOB;
        bool failed = row->state == SDRS_ROW_UNKNOWN || (is_job && row->status == SDRS_JOB_ERROR);

        sum.busy += row->state == SDRS_ROW_BUSY;
        sum.planned += row->state == SDRS_ROW_PLANNED;
        sum.success += is_job && row->status == SDRS_JOB_SUCCESS;
        sum.pending += is_job && !failed && row->status != SDRS_JOB_SUCCESS;
        sum.failed += failed;
        sum.objects += is_job ? row->objects : 0;
        sum.bytes += is_job ? row->bytes : 0;
        sum.left += is_job ? row->failed : 0;
        if (failed && !sum.first)
            sum.first = row;
    }
    return sum;
}

static void count_sum(struct rc_job *job, const struct sum *sum)
{
    rc_job_count(job, "objects_moved", sum->objects);
    rc_job_count(job, "bytes_moved", sum->bytes);
    rc_job_count(job, "objects_failed", sum->left);
    rc_job_count(job, "jobs_succeeded", (int64_t)sum->success);
    rc_job_count(job, "jobs_pending", (int64_t)sum->pending);
    rc_job_count(job, "jobs_failed", (int64_t)sum->failed);
    rc_job_count(job, "jobs_busy", (int64_t)sum->busy);
}

void sdrs_report_show(struct rc_job *job, struct sdrs_report *report, const char *title)
{
    struct sum sum;

    if (report->count > 1)
        qsort(report->rows, report->count, sizeof(*report->rows), compare_rows);
    sum = sum_up(report);
    show_rows(job, report, title);
    if (sum.planned == 0)
        count_sum(job, &sum);
}

enum rc_code sdrs_report_conclude(const struct sdrs_report *report, const char *what,
                                  struct rc_error *err)
{
    struct sum sum = sum_up(report);

    if (sum.failed > 0)
        return rc_fail(err, RC_FAILED, "%zu of %zu %s failed; the first, of '%s': %s", sum.failed,
                       report->count, what, sum.first->name,
                       sum.first->message ? sum.first->message : "without a message");
    if (sum.busy > 0)
        return rc_fail(err, RC_SKIPPED,
                       "%zu of %zu %s are left to the next run, since another one is at work in "
                       "their buckets; all others are done",
                       sum.busy, report->count, what);
    return RC_OK;
}
