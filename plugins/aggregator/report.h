/*
 * What the run tells at its end: a table of the days, a table of rejected events.
 */
#ifndef AGGREGATOR_REPORT_H
#define AGGREGATOR_REPORT_H

#include <run-core/plugin.h>

enum { AGG_REPORT_SAMPLES = 5, AGG_REPORT_DAYS = 10 };

/* A table that grows row by row; owns its cells. */
struct agg_table {
    char **cells;
    size_t count;
};

struct agg_report {
    struct agg_table days, samples, outputs;
};

/* Takes the texts, which were made with malloc. */
void agg_table_add(struct agg_table *table, size_t count, char *const *cells);

void agg_report_day(struct agg_report *report, int32_t day, int64_t events, int64_t rejected,
                    int64_t users, int64_t rows);
void agg_report_sample(struct agg_report *report, int32_t day, const char *userid, int64_t rejected,
                       const char *event);
/* What stands at a place now. */
void agg_report_output(struct agg_report *report, const char *what, int32_t day, int64_t rows,
                       const char *location);
void agg_report_show(struct rc_job *job, const struct agg_report *report);
void agg_report_clear(struct agg_report *report);

#endif
