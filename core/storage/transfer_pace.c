/*
 * How many workers go at once, and how many bytes a second. The number climbs while more of them
 * bring more, goes back when they do not, and is halved by trouble; later it tries again, for what
 * a store can take changes.
 */
#include <storage/transfer_internal.h>

#include <os/clock.h>

#include <time.h>

enum {
    FIRST = 8,
    WINDOW_MS = 300,
    HOLD_AFTER_LOSS = 10, /* windows */
    HOLD_AFTER_TROUBLE = 6,
    OBJECT_BYTES = 256 * 1024, /* an object costs as much as so many bytes */
};

void core_transfer_pace_init(struct transfer_pace *pace, unsigned width, int64_t now_mono_ms)
{
    *pace = (struct transfer_pace){
        .allowed = width < FIRST ? width : FIRST,
        .width = width,
        .window_mono_ms = now_mono_ms,
    };
    pace->before = pace->allowed;
}

void core_transfer_pace_add(struct transfer_pace *pace, int64_t objects, int64_t bytes)
{
    pace->units += (double)objects + (double)bytes / OBJECT_BYTES;
}

static void climb(struct transfer_pace *pace, double rate)
{
    unsigned more = pace->allowed + pace->allowed / 2 + 1;

    pace->before = pace->allowed;
    pace->rate = rate;
    pace->allowed = more < pace->width ? more : pace->width;
}

static void judge(struct transfer_pace *pace, double rate)
{
    if (pace->trouble) {
        pace->allowed = pace->allowed > 1 ? pace->allowed / 2 : 1;
        pace->before = pace->allowed;
        pace->rate = 0;
        pace->hold = HOLD_AFTER_TROUBLE;
    } else if (pace->hold > 0) {
        pace->hold--;
        if (pace->hold == 0)
            pace->rate = 0;
    } else if (rate > pace->rate * 1.05) {
        climb(pace, rate);
    } else if (pace->allowed > pace->before) {
        pace->allowed = pace->before;
        pace->hold = HOLD_AFTER_LOSS;
    } else {
        pace->hold = HOLD_AFTER_LOSS;
    }
}

bool core_transfer_pace_turn(struct transfer_pace *pace, int64_t now_mono_ms)
{
    int64_t passed_ms = now_mono_ms - pace->window_mono_ms;
    unsigned before = pace->allowed;

    if (passed_ms < WINDOW_MS)
        return false;
    /* Where there was too little to do the rate says nothing of the number. */
    if (pace->trouble || pace->was_busy)
        judge(pace, pace->units * 1000 / (double)passed_ms);
    pace->units = 0;
    pace->trouble = false;
    pace->was_busy = true;
    pace->window_mono_ms = now_mono_ms;
    return pace->allowed != before;
}

static int64_t now_us(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/*
 * Each takes its slice of time behind the last one's and waits for its begin, so that all of them
 * together keep the rate.
 */
enum rc_code core_transfer_limit(struct core_transfer *t, size_t bytes, struct rc_error *err)
{
    int64_t now, begin, limit = t->request.bytes_per_s;

    if (limit <= 0)
        return RC_OK;
    now = now_us();
    pthread_mutex_lock(&t->lock);
    begin = t->bytes_free_mono_us > now ? t->bytes_free_mono_us : now;
    t->bytes_free_mono_us = begin + (int64_t)((double)bytes * 1e6 / (double)limit);
    pthread_mutex_unlock(&t->lock);
    for (; now < begin; now = now_us()) {
        int64_t wait_ms = (begin - now + 999) / 1000;

        if (core_cancel_check(&t->cancel, err))
            return err->code;
        core_clock_sleep_ms(wait_ms < 100 ? wait_ms : 100);
    }
    return RC_OK;
}
