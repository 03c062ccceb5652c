/*
 * The worker: the process that loads one plugin, runs one action and ends.
 */
#ifndef CORE_RUNTIME_WORKER_H
#define CORE_RUNTIME_WORKER_H

#include <runtime/run.h>

/* Does the run and leaves its result in the status. Returns the process's exit status. */
int core_worker_main(struct core_run *run);

#endif
