/*
 * The service 'parallel' of the host: a pool of threads that lives for one call. Its threads work
 * on a job of their own, whose cancellation ends the group without ending the run.
 */
#include <runtime/host.h>

#include <stdlib.h>

enum { MAX_WIDTH = 64, STACK_BYTES = 1024 * 1024 };

struct group {
    struct core_job job;
    struct core_cancel cancel;
    atomic_size_t next;
    size_t count;
    rc_parallel_fn *work;
    void *context;

    pthread_mutex_t failing;
    enum rc_code code; /* of the first error */
    struct rc_error *err;
};

/* 'code' is what the item returned; 'err' may say less, if the item is careless. */
static void fail(struct group *group, enum rc_code code, struct rc_error *err)
{
    if (err->code != code)
        rc_fail(err, code, "an item of the work returned '%s' without saying why",
                rc_code_name(code));
    pthread_mutex_lock(&group->failing);
    if (group->code == RC_OK) {
        group->code = code;
        *group->err = *err;
        core_cancel_request(&group->cancel, RC_CANCELLED);
    }
    pthread_mutex_unlock(&group->failing);
}

static void *work(void *argument)
{
    struct group *group = argument;
    size_t index;

    while ((index = atomic_fetch_add(&group->next, 1)) < group->count) {
        struct rc_error err = RC_ERROR_INIT;
        enum rc_code code = core_cancel_check(&group->cancel, &err);

        if (code == RC_OK)
            code = group->work(&group->job.job, group->context, index, &err);
        if (code != RC_OK) {
            fail(group, code, &err);
            break;
        }
    }
    return NULL;
}

/* As many threads as can be had: the calling one is always there, so fewer is only slower. */
static size_t start(struct group *group, pthread_t *threads, size_t wanted)
{
    pthread_attr_t attributes;
    size_t started = 0;

    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    while (started < wanted && pthread_create(&threads[started], &attributes, work, group) == 0)
        started++;
    pthread_attr_destroy(&attributes);
    return started;
}

static enum rc_code parallel_run(struct rc_job *job, size_t width, size_t count,
                                 rc_parallel_fn *function, void *context, struct rc_error *err)
{
    struct core_job *parent = core_job_of(job);
    pthread_t threads[MAX_WIDTH];
    size_t started;
    struct group group = {
        .job = *parent,
        .count = count,
        .work = function,
        .context = context,
        .err = err,
        .cancel = { .parent = parent->cancel },
        .failing = PTHREAD_MUTEX_INITIALIZER,
    };

    if (count == 0)
        return core_cancel_check(parent->cancel, err);
    width = width == 0 ? 1 : width > MAX_WIDTH ? MAX_WIDTH : width;
    width = width > count ? count : width;

    group.job.cancel = &group.cancel;
    group.job.storage = core_run_storage(parent->run, &group.cancel);
    started = start(&group, threads, width - 1);
    work(&group);
    for (size_t i = 0; i < started; i++)
        pthread_join(threads[i], NULL);

    core_storage_free(group.job.storage);
    pthread_mutex_destroy(&group.failing);
    return group.code;
}

const struct rc_parallel_api core_host_parallel = { .run = parallel_run };
