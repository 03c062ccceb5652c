/*
 * One run of the plugin: what its parts share, and the steps.
 *
 * Each step computes, then removes its marker, writes its output (the engine replaces what was
 * there in one move), reads the output back for its manifest, and writes the marker last. A run
 * that dies anywhere leaves a step that is either done or due.
 */
#ifndef AGGREGATOR_RUN_H
#define AGGREGATOR_RUN_H

#include "marker.h"
#include "model.h"
#include "paths.h"
#include "plan.h"
#include "report.h"
#include "statements.h"

struct agg_run {
    struct rc_job *job;
    const struct agg_config *config;
    struct agg_limit limit;
    struct agg_model model;
    struct agg_columns columns;
    struct agg_paths paths;
    struct agg_history history;
    uint64_t daily_definition;
    struct rc_lock *lock;
    struct rc_sql *sql;
    char events_day[RC_DAY_TEXT]; /* that the step asks a table of the catalogue for; else empty */
    struct agg_report report;
    int64_t steps_done, steps_total;
    bool rebuilds;    /* windows are made anew even if they would be the same */
    bool said_sql[5]; /* by kind of step: a dry run has shown its statement */
};

static inline struct agg_sql agg_run_sql(const struct agg_run *run)
{
    return (struct agg_sql){
        .job = run->job,
        .session = run->sql,
        .model = &run->model,
        .columns = &run->columns,
        .day = run->events_day[0] ? run->events_day : NULL,
        .ordered = (rc_sql_features(run->job, run->sql) & RC_SQL_ORDERED) != 0,
    };
}

/* state.c: what the markers say of every day up to 'last'. */
RC_MUST_CHECK enum rc_code agg_state_load(struct agg_run *run, int32_t last, struct rc_error *err);
/* Whether an output is what its marker says, byte for byte. A step of this very run is believed. */
RC_MUST_CHECK enum rc_code agg_state_prove(struct agg_run *run, struct agg_mark *mark,
                                           const char *folder, int32_t day, bool *proven,
                                           struct rc_error *err);
/*
 * Reads a marker of one of ours; *found is false if there is none. On RC_OK and found to be
 * cleared.
 */
RC_MUST_CHECK enum rc_code agg_state_read(struct agg_run *run, const char *uri,
                                          struct agg_marker *out, bool *found,
                                          struct rc_error *err);
/*
 * Removes a marker before its output is touched, and puts one behind it; both make sure of the
 * lock.
 */
RC_MUST_CHECK enum rc_code agg_state_open_step(struct agg_run *run, const char *marker_uri,
                                               struct rc_error *err);
RC_MUST_CHECK enum rc_code agg_state_close_step(struct agg_run *run, const char *marker_uri,
                                                const struct agg_marker *marker,
                                                struct rc_error *err);

/* source.c */
/* Whether a day has all its partitions; '*found' of them. */
RC_MUST_CHECK enum rc_code agg_source_complete(struct agg_run *run, int32_t day, int64_t *found,
                                               bool *complete, struct rc_error *err);
/* Makes the day's events the table AGG_EVENTS, for statements that are built afterwards. */
RC_MUST_CHECK enum rc_code agg_source_attach(struct agg_run *run, int32_t day,
                                             struct rc_error *err);
/* Where the events of a day lie, for messages; to be freed. */
char *agg_source_name(const struct agg_run *run, int32_t day);

/* The steps. */
RC_MUST_CHECK enum rc_code agg_daily(struct agg_run *run, int32_t day, struct rc_error *err);
RC_MUST_CHECK enum rc_code agg_window(struct agg_run *run, size_t window, int32_t day,
                                      struct rc_error *err);
/* Of the tables that the configuration names, where 'newest' is the newest whole day. */
RC_MUST_CHECK enum rc_code agg_tables(struct agg_run *run, int32_t newest, struct rc_error *err);
RC_MUST_CHECK enum rc_code agg_csv(struct agg_run *run, int32_t day, struct rc_error *err);
RC_MUST_CHECK enum rc_code agg_import(struct agg_run *run, int32_t day, struct rc_error *err);

/* Whether the tables are there as they should be, as far as there are any. */
RC_MUST_CHECK enum rc_code agg_tables_current(struct agg_run *run, int32_t newest, bool *current,
                                              struct rc_error *err);
/* Whether the CSV file, or its hand-off, of a day is done and of the windows as they are now. */
RC_MUST_CHECK enum rc_code agg_csv_current(struct agg_run *run, int32_t day, bool *current,
                                           struct rc_error *err);
RC_MUST_CHECK enum rc_code agg_import_current(struct agg_run *run, int32_t day, bool *current,
                                              struct rc_error *err);

/* csv.c: tells each column of the day's CSV file but the user's, in order. */
void agg_csv_columns(const struct agg_run *run, int32_t day,
                     void (*add)(void *context, const char *name), void *context);

/* window.c: makes a table of daily or window files at the given places. */
RC_MUST_CHECK enum rc_code agg_attach_output(struct agg_run *run, const char *name,
                                             const char *const *locations, size_t count,
                                             struct rc_error *err);

/* In a dry run: says what a step would do, and its statement the first time. */
void agg_say_step(struct agg_run *run, enum agg_step_kind kind, const char *statement,
                  const char *format, ...) RC_PRINTF(4, 5);

#endif
