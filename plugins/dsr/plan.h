/*
 * What a run would do, as it is gathered: sums, and the first of the files. Threads share a plan.
 */
#ifndef DSR_PLAN_H
#define DSR_PLAN_H

#include "config.h"

#include <run-core/plugin.h>

#include <pthread.h>

enum { DSR_PLAN_FILES = 1000 }; /* that are named; the others are summed */

/* A file that holds a user. */
struct dsr_plan_file {
    int32_t shard, day;
    size_t table;
    const char *uri; /* copied by dsr_plan_add() */
    int64_t rows, row_count, size_bytes;
};

struct dsr_plan_table {
    int64_t searched, rewritten, removed, rows, bytes; /* 'bytes' of the files to rewrite */
};

struct dsr_plan {
    pthread_mutex_t mutex;
    struct dsr_plan_file *files; /* the first of all, by shard, table and URI */
    size_t file_count;
    struct dsr_plan_table *tables; /* as many as the configuration has */
    size_t table_count;
    int64_t shards, users, markers, malformed, failed;
    int64_t listed, done;             /* files */
    int64_t trial_bytes, trial_files; /* that were rewritten to see how long it takes */
    int64_t trial_ns;                 /* that a cleanup would take for them */
    int64_t trying_ns;                /* that the trials took of the search */
};

void dsr_plan_init(struct dsr_plan *plan, size_t table_count);
void dsr_plan_clear(struct dsr_plan *plan);
/* A file was searched: 'rows' of it are users', which may be none. */
void dsr_plan_add(struct dsr_plan *plan, const struct dsr_plan_file *file);
/* Whether this file should be rewritten for trial: few are. */
bool dsr_plan_wants_trial(struct dsr_plan *plan, int64_t size_bytes);

/* 'search_ns' is what the whole search took, 'width' how many files are worked on at once. */
void dsr_plan_show(struct rc_job *job, const struct dsr_plan *plan, const struct dsr_config *config,
                   int64_t search_ns, size_t width);

#endif
