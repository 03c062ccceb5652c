/*
 * The clocks of this machine, and the wall clock that tests and rehearsals move.
 */
#include <os/clock.h>

#include <run-core/str.h>
#include <run-core/time.h>

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* How the wall clock is moved; set once at start. */
static struct {
    const atomic_llong *offset_ms; /* in a file that others change; or NULL */
    int64_t real_start_ms, shown_start_ms;
    int64_t speed; /* 0: the clock is real, or has the offset above */
} moved;

static int64_t read_ms(clockid_t clock)
{
    struct timespec now = { 0 };

    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static enum rc_code map_offset(const char *path, struct rc_error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    void *page = MAP_FAILED;
    int error_number = errno;
    struct stat status;

    if (fd >= 0 && fstat(fd, &status) == 0 && status.st_size < (off_t)sizeof(*moved.offset_ms)) {
        (void)close(fd); /* to look behind its end would end the process */
        return rc_fail(err, RC_INVALID, "the clock's offset file '%s' has fewer than %zu bytes",
                       path, sizeof(*moved.offset_ms));
    }
    if (fd >= 0) {
        page = mmap(NULL, sizeof(*moved.offset_ms), PROT_READ, MAP_SHARED, fd, 0);
        error_number = errno;
        (void)close(fd);
    }
    if (page == MAP_FAILED)
        return rc_fail_errno(err, error_number, "read the clock's offset from '%s'", path);
    moved.offset_ms = page;
    return RC_OK;
}

enum rc_code core_clock_init(struct rc_error *err)
{
    const char *text = getenv("RUN_CORE_CLOCK");
    const char *times;
    RC_STR_AUTO start = NULL;
    int64_t speed = 1;

    if (!text || !text[0])
        return RC_OK;
    if (text[0] == '@')
        return map_offset(text + 1, err);
    times = strchr(text, '*');
    start = times ? rc_strndup(text, (size_t)(times - text)) : rc_strdup(text);
    if (!rc_parse_time(start, &moved.shown_start_ms) ||
        (times && (!rc_parse_int(times + 1, &speed) || speed < 1 || speed > 1000000)))
        return rc_fail(
            err, RC_INVALID,
            "RUN_CORE_CLOCK is '%s'; write a time such as 2026-03-29T00:00:00Z, the same "
            "with a speed behind it (*600), or @FILE",
            text);
    moved.real_start_ms = read_ms(CLOCK_REALTIME);
    moved.speed = speed;
    return RC_OK;
}

bool core_clock_is_moved(void)
{
    return moved.offset_ms || moved.speed;
}

int64_t core_clock_speed(void)
{
    return moved.speed ? moved.speed : 1;
}

bool core_clock_follows_file(void)
{
    return moved.offset_ms != NULL;
}

int64_t core_clock_offset_ms(void)
{
    return moved.offset_ms ? atomic_load(moved.offset_ms) : 0;
}

int64_t core_clock_real_at_ms(int64_t unix_ms)
{
    int64_t shown_ms = moved.speed ? moved.shown_start_ms : core_clock_offset_ms();
    int64_t left_ms;

    if (__builtin_sub_overflow(unix_ms, shown_ms, &left_ms))
        return unix_ms; /* farther than any clock goes */
    if (!moved.speed)
        return left_ms;
    return moved.real_start_ms + left_ms / moved.speed + (left_ms % moved.speed > 0);
}

int64_t core_clock_real_unix_ms(void)
{
    return read_ms(CLOCK_REALTIME);
}

int64_t core_clock_now_unix_ms(void)
{
    int64_t real_ms = read_ms(CLOCK_REALTIME);

    if (moved.offset_ms)
        return real_ms + atomic_load(moved.offset_ms);
    if (moved.speed)
        return moved.shown_start_ms + (real_ms - moved.real_start_ms) * moved.speed;
    return real_ms;
}

int64_t core_clock_boot_ms(void)
{
    return read_ms(CLOCK_BOOTTIME);
}

int64_t core_clock_mono_ms(void)
{
    return read_ms(CLOCK_MONOTONIC);
}

void core_clock_sleep_ms(int64_t ms)
{
    if (ms <= 0)
        return;

    struct timespec pause = {
        .tv_sec = (time_t)(ms / 1000),
        .tv_nsec = (long)(ms % 1000) * 1000000,
    };
    nanosleep(&pause, NULL);
}
