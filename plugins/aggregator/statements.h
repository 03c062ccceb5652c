/*
 * The SQL of every step, as text. Statements keep to SQL that all engines know; what differs
 * between engines is written by the host's expression helpers, and so are the names of tables: they
 * are known once a table is there, so a statement is built after its tables.
 *
 * Where files are in the order of their query, it is by all keys, so that the same rows give the
 * same bytes; elsewhere it would be work for nothing. The CSV file is always in order.
 */
#ifndef AGGREGATOR_STATEMENTS_H
#define AGGREGATOR_STATEMENTS_H

#include "model.h"

/* Tables that exist only in the session. */
#define AGG_EVENTS "aggregator_events"   /* the day's raw events, as files */
#define AGG_DAY "aggregator_day"         /* the day's aggregate, before it is published */
#define AGG_DAILIES "aggregator_dailies" /* what a window is made of */
#define AGG_VALUES "aggregator_values"   /* the distinct values of its days */
#define AGG_PART "aggregator_part_"      /* an input of the CSV file; its number follows */

/* For building statements: the helpers of the session write what differs between engines. */
struct agg_sql {
    struct rc_job *job;
    struct rc_sql *session;
    const struct agg_model *model;
    const struct agg_columns *columns;
    const char *day; /* of the events, where AGG_EVENTS holds those of other days too; else NULL */
    bool ordered;    /* files get their rows in the order of the query */
};

/* One row: in how many partitions there are events of the day. */
void agg_sql_partitions(const struct agg_sql *sql, struct rc_buf *out);
/* What AGG_DAY is made of: the events by row, with the number of rejected ones and a sample. */
void agg_sql_day(const struct agg_sql *sql, struct rc_buf *out);
/* One row: users, rows, events, rejected events of AGG_DAY. */
void agg_sql_day_counts(const struct agg_sql *sql, struct rc_buf *out);
/* Up to 'limit' rejected events of AGG_DAY: userid, the number, one event's text. */
void agg_sql_day_samples(const struct agg_sql *sql, struct rc_buf *out, int limit);
/* The daily files' content. */
void agg_sql_day_output(const struct agg_sql *sql, struct rc_buf *out);
/* The distinct values of the day, from the events. */
void agg_sql_day_values(const struct agg_sql *sql, struct rc_buf *out);

/* The window's files' content, from AGG_DAILIES (and AGG_VALUES). */
void agg_sql_window(const struct agg_sql *sql, struct rc_buf *out);

/*
 * The CSV file's content from the parts 0 (the daily) and 1 .. window count; 'names' has a
 * suffix for each.
 */
void agg_sql_csv(const struct agg_sql *sql, const char *const *suffixes, size_t part_count,
                 struct rc_buf *out);

#endif
