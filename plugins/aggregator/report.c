/*
 * Collects what the steps have done and shows it once, at the end of the run, also of a failed one.
 */
#include "report.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { DAY_COLUMNS = 5, SAMPLE_COLUMNS = 4, OUTPUT_COLUMNS = 4 };

void agg_table_add(struct agg_table *table, size_t count, char *const *cells)
{
    table->cells = rc_realloc(table->cells, (table->count + count) * sizeof(*table->cells));
    memcpy(table->cells + table->count, cells, count * sizeof(*cells));
    table->count += count;
}

static char *number(int64_t value)
{
    return rc_strf("%" PRId64, value);
}

static char *day_text(int32_t day)
{
    char text[RC_DAY_TEXT];

    return rc_strdup(rc_format_day(day, text));
}

void agg_report_day(struct agg_report *report, int32_t day, int64_t events, int64_t rejected,
                    int64_t users, int64_t rows)
{
    char *const cells[DAY_COLUMNS] = { day_text(day), number(events), number(rejected),
                                       number(users), number(rows) };

    agg_table_add(&report->days, DAY_COLUMNS, cells);
}

void agg_report_sample(struct agg_report *report, int32_t day, const char *userid, int64_t rejected,
                       const char *event)
{
    char *const cells[SAMPLE_COLUMNS] = { day_text(day), rc_strdup(userid), number(rejected),
                                          rc_strdup(event) };

    if (report->samples.count < AGG_REPORT_SAMPLES * SAMPLE_COLUMNS)
        agg_table_add(&report->samples, SAMPLE_COLUMNS, cells);
    else
        for (size_t i = 0; i < SAMPLE_COLUMNS; i++)
            free(cells[i]);
}

void agg_report_output(struct agg_report *report, const char *what, int32_t day, int64_t rows,
                       const char *location)
{
    struct agg_table *table = &report->outputs;
    char *const cells[OUTPUT_COLUMNS] = { rc_strdup(what), day_text(day), number(rows),
                                          rc_strdup(location) };

    /* Of each output only the newest day is shown. */
    for (size_t row = 0; row < table->count; row += OUTPUT_COLUMNS) {
        if (!rc_str_eq(table->cells[row], what))
            continue;
        for (size_t i = 0; i < OUTPUT_COLUMNS; i++) {
            free(table->cells[row + i]);
            table->cells[row + i] = cells[i];
        }
        return;
    }
    agg_table_add(table, OUTPUT_COLUMNS, cells);
}

/* Shows the last 'limit' rows. */
static void show(struct rc_job *job, const struct agg_table *cells, const char *title,
                 const char *const *columns, size_t column_count, size_t limit)
{
    size_t rows = cells->count / column_count;
    size_t skipped = rows > limit ? rows - limit : 0;
    RC_STR_AUTO cut = skipped ? rc_strf("%s, the last %zu of %zu", title, limit, rows) : NULL;
    struct rc_table table = {
        .title = cut ? cut : title,
        .columns = columns,
        .column_count = column_count,
        .cells = (const char *const *)cells->cells + skipped * column_count,
        .row_count = rows - skipped,
    };

    if (rows > 0)
        rc_job_show(job, &table);
}

void agg_report_show(struct rc_job *job, const struct agg_report *report)
{
    static const char *const days[DAY_COLUMNS] = { "day", ">events", ">rejected", ">users",
                                                   ">rows" };
    static const char *const samples[SAMPLE_COLUMNS] = { "day", "user", ">rejected", "an event" };
    static const char *const outputs[OUTPUT_COLUMNS] = { "output", "day", ">rows", "location" };

    show(job, &report->days, "Days aggregated", days, DAY_COLUMNS, AGG_REPORT_DAYS);
    show(job, &report->samples, "Rejected events (samples)", samples, SAMPLE_COLUMNS,
         AGG_REPORT_SAMPLES);
    show(job, &report->outputs, "Outputs", outputs, OUTPUT_COLUMNS, SIZE_MAX);
}

static void clear(struct agg_table *table)
{
    for (size_t i = 0; i < table->count; i++)
        free(table->cells[i]);
    free(table->cells);
    *table = (struct agg_table){ .cells = NULL };
}

void agg_report_clear(struct agg_report *report)
{
    clear(&report->days);
    clear(&report->samples);
    clear(&report->outputs);
}
