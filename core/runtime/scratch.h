/*
 * The directories of runs, for what is needed only while they last. They stand under
 * $TMPDIR/run-core-UID, one a run, each locked while its run lives; what dead runs
 * left there is removed by the next run that needs one.
 */
#ifndef CORE_RUNTIME_SCRATCH_H
#define CORE_RUNTIME_SCRATCH_H

#include <run-core/error.h>

/* Makes the run's directory; *path is freed with free(). The lock lasts as long as the process. */
RC_MUST_CHECK enum rc_code core_scratch_make(const char *run_id, char **path, struct rc_error *err);

/* Removes the directory of a run that has ended; nothing if it made none. */
void core_scratch_remove(const char *run_id);

#endif
