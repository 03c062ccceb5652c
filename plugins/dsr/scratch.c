/*
 * Files without a name, and the budget that they share. What needs how much of it, the caller says
 * before it writes.
 */
#include "scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LOOK_MS = 100 }; /* at whether the run is asked to stop, while a thread waits */

struct dsr_scratch {
    char *folder;
    int64_t limit_bytes, used_bytes;
    pthread_mutex_t mutex;
    pthread_cond_t given;
};

/* ---- the budget ---- */

enum rc_code dsr_scratch_new(struct rc_job *job, int64_t limit_bytes, struct dsr_scratch **out,
                             struct rc_error *err)
{
    pthread_condattr_t attributes;
    struct dsr_scratch *scratch;
    const char *folder;

    if (rc_job_temp_dir(job, &folder, err))
        return rc_context(err, "find a place for scratch files");
    scratch = rc_calloc(1, sizeof(*scratch));
    scratch->folder = rc_strdup(folder);
    scratch->limit_bytes = limit_bytes;
    pthread_mutex_init(&scratch->mutex, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&scratch->given, &attributes);
    pthread_condattr_destroy(&attributes);
    *out = scratch;
    return RC_OK;
}

void dsr_scratch_free(struct dsr_scratch *scratch)
{
    if (!scratch)
        return;
    RC_ASSERT(scratch->used_bytes == 0);
    pthread_cond_destroy(&scratch->given);
    pthread_mutex_destroy(&scratch->mutex);
    free(scratch->folder);
    free(scratch);
}

static struct timespec soon(void)
{
    struct timespec at;

    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_nsec += LOOK_MS * 1000000L;
    if (at.tv_nsec >= 1000000000L) {
        at.tv_nsec -= 1000000000L;
        at.tv_sec++;
    }
    return at;
}

enum rc_code dsr_scratch_take(struct rc_job *job, struct dsr_scratch *scratch, int64_t bytes,
                              struct rc_error *err)
{
    enum rc_code code = RC_OK;
    bool taken = false;

    RC_ASSERT(bytes >= 0);
    if (bytes > scratch->limit_bytes) {
        char needed[RC_AMOUNT_TEXT], limit[RC_AMOUNT_TEXT];

        return rc_fail(err, RC_TOO_LARGE,
                       "this takes %s of scratch space, and scratch_limit allows %s; raise it",
                       rc_format_size(bytes, needed), rc_format_size(scratch->limit_bytes, limit));
    }
    while (!taken && !code) {
        pthread_mutex_lock(&scratch->mutex);
        if (bytes > scratch->limit_bytes - scratch->used_bytes) {
            struct timespec until = soon();

            pthread_cond_timedwait(&scratch->given, &scratch->mutex, &until);
        }
        taken = bytes <= scratch->limit_bytes - scratch->used_bytes;
        if (taken)
            scratch->used_bytes += bytes;
        pthread_mutex_unlock(&scratch->mutex);
        if (!taken)
            code = rc_job_check(job, err);
    }
    return code ? rc_context(err, "wait for scratch space") : RC_OK;
}

void dsr_scratch_give(struct dsr_scratch *scratch, int64_t bytes)
{
    pthread_mutex_lock(&scratch->mutex);
    RC_ASSERT(bytes >= 0 && bytes <= scratch->used_bytes);
    scratch->used_bytes -= bytes;
    pthread_cond_broadcast(&scratch->given);
    pthread_mutex_unlock(&scratch->mutex);
}

/* ---- files ---- */

/* Where a file system has no files without a name, one whose name is gone at once. */
static int open_unlinked(const char *folder)
{
    RC_STR_AUTO path = rc_strf("%s/scratch-XXXXXX", folder);
    int fd = mkostemp(path, O_CLOEXEC);

    if (fd >= 0 && unlink(path) != 0) {
        int number = errno;

        close(fd);
        errno = number;
        return -1;
    }
    return fd;
}

enum rc_code dsr_scratch_open(struct rc_job *job, const struct dsr_scratch *scratch,
                              struct dsr_scratch_file *out, struct rc_error *err)
{
    int fd;

    if (rc_job_check(job, err))
        return err->code;
    fd = open(scratch->folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL))
        fd = open_unlinked(scratch->folder);
    if (fd < 0)
        return rc_fail_errno(err, errno, "cannot make a scratch file in '%s'", scratch->folder);
    *out = (struct dsr_scratch_file){ .fd = fd };
    snprintf(out->path, sizeof(out->path), "/proc/self/fd/%d", fd);
    return RC_OK;
}

void dsr_scratch_close(struct dsr_scratch_file *file)
{
    if (file->fd >= 0)
        close(file->fd);
    *file = (struct dsr_scratch_file){ .fd = -1 };
}

static enum rc_code write_end(void *context, const void *data, size_t len, struct rc_error *err)
{
    struct dsr_scratch_file *file = context;
    const char *from = data;

    while (len > 0) {
        ssize_t written = pwrite(file->fd, from, len, (off_t)file->bytes);

        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return rc_fail_errno(err, written < 0 ? errno : EIO, "cannot write a scratch file");
        from += written;
        len -= (size_t)written;
        file->bytes += written;
    }
    return RC_OK;
}

struct pq_sink dsr_scratch_sink(struct dsr_scratch_file *file)
{
    return (struct pq_sink){ .write = write_end, .context = file };
}

static enum rc_code read_at(void *context, int64_t offset_bytes, void *data, size_t len,
                            struct rc_error *err)
{
    const struct dsr_scratch_file *file = context;
    char *to = data;

    while (len > 0) {
        ssize_t got = pread(file->fd, to, len, (off_t)offset_bytes);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return rc_fail_errno(err, errno, "cannot read a scratch file");
        if (got == 0)
            return rc_fail(err, RC_CORRUPT, "a scratch file ends at %lld bytes",
                           (long long)offset_bytes);
        to += got;
        len -= (size_t)got;
        offset_bytes += got;
    }
    return RC_OK;
}

struct pq_source dsr_scratch_source(struct dsr_scratch_file *file, const char *name)
{
    return (struct pq_source){
        .read = read_at, .context = file, .size_bytes = file->bytes, .name = name
    };
}
