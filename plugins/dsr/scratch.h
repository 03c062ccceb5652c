/*
 * Files without a name: what is in them is gone with the process, however it ends. All of them
 * share one budget of disk space, for which threads wait.
 */
#ifndef DSR_SCRATCH_H
#define DSR_SCRATCH_H

#include "parquet/rewrite.h"

#include <run-core/plugin.h>

struct dsr_scratch; /* the budget; shared by threads */

RC_MUST_CHECK enum rc_code dsr_scratch_new(struct rc_job *job, int64_t limit_bytes,
                                           struct dsr_scratch **out, struct rc_error *err);
void dsr_scratch_free(struct dsr_scratch *scratch);
/*
 * Takes so much of the budget, and waits while it is used up. RC_TOO_LARGE: more than there is at
 * all; the message names the option. A thread takes what it needs at once, so that none waits for
 * another that waits.
 */
RC_MUST_CHECK enum rc_code dsr_scratch_take(struct rc_job *job, struct dsr_scratch *scratch,
                                            int64_t bytes, struct rc_error *err);
void dsr_scratch_give(struct dsr_scratch *scratch, int64_t bytes);

enum { DSR_SCRATCH_PATH = 40 };

struct dsr_scratch_file {
    int fd;
    int64_t bytes;
    char path[DSR_SCRATCH_PATH]; /* by which an engine in this process opens it */
};

RC_MUST_CHECK enum rc_code dsr_scratch_open(struct rc_job *job, const struct dsr_scratch *scratch,
                                            struct dsr_scratch_file *out, struct rc_error *err);
void dsr_scratch_close(struct dsr_scratch_file *file);
/* Writes at the end; reads anywhere. */
struct pq_sink dsr_scratch_sink(struct dsr_scratch_file *file);
struct pq_source dsr_scratch_source(struct dsr_scratch_file *file, const char *name);

#endif
