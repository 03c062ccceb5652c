/*
 * A bounded pool of threads inside a run.
 */
#ifndef RUN_CORE_PARALLEL_H
#define RUN_CORE_PARALLEL_H

#include <run-core/error.h>

#include <stddef.h>

struct rc_job;

/*
 * Does item 'index' of the work; runs in several threads at once. 'job' is that of the pool: what
 * an item opens with it, the item closes.
 */
typedef enum rc_code rc_parallel_fn(struct rc_job *job, void *context, size_t index,
                                    struct rc_error *err);

struct rc_parallel_api {
    enum rc_code (*run)(struct rc_job *job, size_t width, size_t count, rc_parallel_fn *work,
                        void *context, struct rc_error *err);
};

#endif
