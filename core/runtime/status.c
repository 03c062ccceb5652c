/*
 * The shared status page: see status.h for who writes and who reads.
 */
#include <runtime/status.h>

#include <os/path.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

/* Held while a text in the status changes; counting in existing counters needs no lock. */
static pthread_mutex_t naming = PTHREAD_MUTEX_INITIALIZER;

struct core_status *core_status_new(void)
{
    void *page = mmap(NULL, sizeof(struct core_status), PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (page == MAP_FAILED)
        rc_out_of_memory(sizeof(struct core_status));
    return page;
}

/* Without room for all of it, to write to the page would end the process with SIGBUS. */
static bool has_size(int fd, bool make)
{
    const off_t size = sizeof(struct core_status);
    struct stat info;

    if (make)
        errno = posix_fallocate(fd, 0, size);
    else if (fstat(fd, &info) == 0)
        errno = info.st_size == size ? 0 : EUCLEAN;
    return errno == 0;
}

struct core_status *core_status_map(const char *path, bool make)
{
    int fd = core_fd_open(path, O_RDWR | (make ? O_CREAT | O_TRUNC : 0), 0600);
    void *page = MAP_FAILED;

    if (fd >= 0 && has_size(fd, make))
        page = mmap(NULL, sizeof(struct core_status), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    core_fd_close(&fd);
    return page == MAP_FAILED ? NULL : page;
}

void core_status_unmap(struct core_status *status)
{
    if (status)
        munmap(status, sizeof(*status));
}

static struct core_counter *find_counter(struct core_status *status, const char *name)
{
    size_t count = core_status_counters(status);

    for (size_t i = 0; i < count; i++) {
        if (strncmp(status->counters[i].name, name, CORE_STATUS_NAME - 1) == 0)
            return &status->counters[i];
    }
    return NULL;
}

bool core_status_count(struct core_status *status, const char *name, int64_t delta)
{
    struct core_counter *counter = find_counter(status, name);

    if (!counter) {
        pthread_mutex_lock(&naming);
        size_t count = core_status_counters(status);
        counter = find_counter(status, name);
        if (!counter && count < CORE_STATUS_COUNTERS) {
            counter = &status->counters[count];
            snprintf(counter->name, sizeof(counter->name), "%s", name);
            atomic_store(&status->counter_count, count + 1);
        }
        pthread_mutex_unlock(&naming);
    }
    if (counter)
        atomic_fetch_add(&counter->value, delta);
    return counter != NULL;
}

void core_status_progress(struct core_status *status, int64_t done, int64_t total, const char *unit)
{
    pthread_mutex_lock(&naming);
    if (strncmp(status->progress_unit, unit ? unit : "", CORE_STATUS_NAME - 1) != 0)
        snprintf(status->progress_unit, CORE_STATUS_NAME, "%s", unit ? unit : "");
    atomic_store(&status->progress_done, done);
    atomic_store(&status->progress_total, total);
    pthread_mutex_unlock(&naming);
}

size_t core_status_counters(const struct core_status *status)
{
    size_t count = atomic_load(&status->counter_count);

    return count < CORE_STATUS_COUNTERS ? count : CORE_STATUS_COUNTERS;
}

static void end_text(char *text, size_t size)
{
    text[size - 1] = '\0';
}

void core_status_seal(struct core_status *status)
{
    size_t count = core_status_counters(status);

    end_text(status->action, sizeof(status->action));
    end_text(status->progress_unit, sizeof(status->progress_unit));
    end_text(status->reason, sizeof(status->reason));
    end_text(status->error.cause, sizeof(status->error.cause));
    end_text(status->error.context, sizeof(status->error.context));
    for (size_t i = 0; i < count; i++)
        end_text(status->counters[i].name, sizeof(status->counters[i].name));
}
