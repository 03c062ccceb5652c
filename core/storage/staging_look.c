/*
 * What is at the locations of a fetch: they are looked at several at a time, as each takes a
 * request of its own and most of it is waiting. Each has a list of its own, so that nothing is
 * shared but who is next and what failed first.
 */
#include <storage/staging_internal.h>

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>

enum { LOOKERS = 16, STACK_BYTES = 512 * 1024 };

struct looking {
    struct core_storage storage; /* with the cancellation below */
    struct core_cancel stop;
    bool (*wants)(const char *name);
    struct core_staged **staged;
    size_t count;
    atomic_size_t next;

    pthread_mutex_t mutex; /* guards the following */
    enum rc_code code;     /* of the first failure */
    struct rc_error *err;
};

/*
 * Objects of other makers may be called what no file can be; a file of nearly that name would be
 * another object's.
 */
static enum rc_code check_key(const char *uri, struct rc_error *err)
{
    const char *segment = strstr(uri, "://");

    for (segment = segment ? segment + strlen("://") : uri; *segment;) {
        size_t len = strcspn(segment, "/");

        if (len == 0 || (len <= 2 && strspn(segment, ".") >= len))
            return rc_fail(err, RC_UNSUPPORTED,
                           "'%s' cannot be copied to a file: its key has a segment that is empty, "
                           "'.' or '..'",
                           uri);
        segment += len;
        segment += *segment == '/';
    }
    return RC_OK;
}

/* A name that ends with a slash is no data: people's tools make such objects for folders. */
static bool is_wanted(const struct looking *work, const char *name)
{
    return *name && !rc_str_ends(name, "/") && (!work->wants || work->wants(name));
}

static enum rc_code list_folder(struct looking *work, struct core_staged *staged,
                                struct rc_error *err)
{
    const struct rc_object *object = NULL;
    struct rc_listing *listing;
    enum rc_code code = core_storage_list(&work->storage, staged->location, NULL, &listing, err);

    if (code)
        return code;
    while ((code = core_listing_next(listing, &object, err)) == RC_OK && object) {
        if (!is_wanted(work, object->name))
            continue;
        code = check_key(object->uri, err);
        if (code)
            break;
        core_staged_add(staged, object->name, &object->stat);
    }
    core_listing_close(listing);
    return code;
}

static enum rc_code look(struct looking *work, struct core_staged *staged, struct rc_error *err)
{
    struct rc_stat stat;
    enum rc_code code;

    if (rc_str_ends(staged->location, "/"))
        return list_folder(work, staged, err);
    code = core_storage_stat(&work->storage, staged->location, &stat, err);
    if (code)
        return code == RC_NOT_FOUND ? RC_OK : code;
    if (check_key(staged->location, err))
        return err->code;
    core_staged_add(staged, "", &stat);
    return RC_OK;
}

/* ---- the threads --------------------------------------------------------------------------- */

static void note_failure(struct looking *work, const struct rc_error *err)
{
    pthread_mutex_lock(&work->mutex);
    if (!work->code) {
        work->code = err->code;
        *work->err = *err;
        core_cancel_request(&work->stop, RC_CANCELLED);
    }
    pthread_mutex_unlock(&work->mutex);
}

static void *look_on(void *argument)
{
    struct looking *work = argument;
    struct rc_error err = RC_ERROR_INIT;
    size_t index;

    while ((index = atomic_fetch_add(&work->next, 1)) < work->count) {
        if (core_cancel_check(&work->stop, &err) || look(work, work->staged[index], &err)) {
            note_failure(work, &err);
            break;
        }
    }
    return NULL;
}

/* As many as can be had: the calling thread is always there, so fewer is only slower. */
static size_t start(struct looking *work, pthread_t *threads, size_t wanted)
{
    pthread_attr_t attributes;
    sigset_t all, before;
    size_t started = 0;

    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    /* Signals are for the run's own threads. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (started < wanted && pthread_create(&threads[started], &attributes, look_on, work) == 0)
        started++;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return started;
}

enum rc_code core_staging_look(struct core_staging *staging, struct core_staged **staged,
                               size_t count, bool (*wants)(const char *name), struct rc_error *err)
{
    struct looking work = {
        .storage = staging->storage,
        .stop = { RC_OK, staging->storage.cancel },
        .wants = wants,
        .staged = staged,
        .count = count,
        .err = err,
    };
    pthread_t threads[LOOKERS];
    size_t started;

    work.storage.cancel = &work.stop;
    pthread_mutex_init(&work.mutex, NULL);
    started = start(&work, threads, count < LOOKERS ? count - 1 : LOOKERS - 1);
    look_on(&work);
    for (size_t i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    pthread_mutex_destroy(&work.mutex);
    for (size_t i = 0; i < count; i++)
        core_staged_enter(staging, staged[i]);
    return work.code;
}
