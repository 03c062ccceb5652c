/*
 * Work of which a few requests go on at a time, each in a thread.
 */
#include <storage/s3.h>

#include <pthread.h>
#include <stdatomic.h>

struct each {
    enum rc_code (*work)(void *context, size_t index, struct rc_error *err);
    void *context;
    size_t count;
    atomic_size_t next;
    pthread_mutex_t mutex;
    struct rc_error *err; /* the first; its code is RC_OK until then */
};

static void *work_on(void *context)
{
    struct each *each = context;
    size_t index;

    while ((index = atomic_fetch_add(&each->next, 1)) < each->count) {
        struct rc_error err = RC_ERROR_INIT;

        if (!each->work(each->context, index, &err))
            continue;
        (void)pthread_mutex_lock(&each->mutex);
        if (!each->err->code)
            *each->err = err;
        (void)pthread_mutex_unlock(&each->mutex);
        atomic_store(&each->next, each->count);
    }
    return NULL;
}

enum rc_code core_s3_each(size_t count, size_t width,
                          enum rc_code (*work)(void *context, size_t index, struct rc_error *err),
                          void *context, struct rc_error *err)
{
    struct each each = { .work = work, .context = context, .count = count, .err = err };
    pthread_t threads[CORE_S3_AT_ONCE];
    size_t running = 0;

    *err = (struct rc_error)RC_ERROR_INIT;
    (void)pthread_mutex_init(&each.mutex, NULL);
    while (running < CORE_S3_AT_ONCE && running + 1 < width && running + 1 < count &&
           pthread_create(&threads[running], NULL, work_on, &each) == 0)
        running++;
    (void)work_on(&each);
    while (running > 0)
        (void)pthread_join(threads[--running], NULL);
    (void)pthread_mutex_destroy(&each.mutex);
    return err->code;
}
