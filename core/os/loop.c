/*
 * The event loop: one epoll instance, two heaps of timers, and one timerfd that stands for the
 * wall clock. What is to be done when something happens is the callers' business.
 *
 * Monotonic timers need no descriptor, since epoll_wait(2) waits by that clock. Wall timers do:
 * only a timerfd with an absolute time fires when a clock that is set meanwhile shows it, and only
 * it tells that the clock was set, or the machine suspended (TFD_TIMER_CANCEL_ON_SET).
 */
#include <os/loop.h>

#include <os/clock.h>

#include <run-core/attr.h>

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum {
    BATCH_EVENTS = 64,
    BATCH_TIMERS = 64,   /* fired before descriptors are looked at again */
    LOOK_EVERY_MS = 10,  /* at the file of a clock that follows one */
    SIGNALS = 65,        /* Linux has 1 to 64 */
    FIRST_CAPACITY = 16, /* of a heap */
};

/* The clock of a timerfd that is only to tell of jumps: the year 2255, within what ktime holds. */
#define FAR_UNIX_MS INT64_C(9000000000000)
#define NOT_ARMED INT64_MIN

enum kind { DESCRIPTOR, PROCESS, SIGNAL };

struct core_watch {
    struct core_loop *loop;
    enum kind kind;
    int fd, number; /* of a descriptor or process, -1 when it waits no more; of a signal */
    bool ended;     /* and is freed after the batch of events in which that happened */
    core_watch_fn *fn;
    void *context;
    struct core_watch *next, *previous;
};

/* Timers of one clock, the earliest first; among equal times, the one that was set first. */
struct entry {
    int64_t at_ms;
    uint64_t order;
    struct core_timer *timer;
};

struct heap {
    struct entry *entries;
    size_t count, capacity;
};

struct core_loop {
    int epoll_fd, signal_fd, wall_fd;
    sigset_t signals, blocked_before; /* that it takes; those of them that were blocked anyway */
    struct core_watch *by_signal[SIGNALS];
    struct core_watch *watches, *ended;

    struct heap heaps[2]; /* by enum core_timer_clock */
    uint64_t order;       /* of the next timer that is set */
    int64_t armed_ms;     /* the real time at which wall_fd fires */
    int64_t offset_ms;    /* of a clock that follows a file, as last seen */

    core_watch_fn *on_clock;
    void *clock_context;
    uint64_t turns;
    bool running, stopped;
};

/* ---- heaps ----------------------------------------------------------------------------------- */

static bool is_before(const struct entry *a, const struct entry *b)
{
    return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->order < b->order;
}

static void put(struct heap *heap, size_t place, struct entry entry)
{
    heap->entries[place] = entry;
    entry.timer->place = place;
}

/* Finds the place for 'entry' from the hole at 'place' upwards, else downwards. */
static void settle(struct heap *heap, size_t place, struct entry entry)
{
    while (place > 0 && is_before(&entry, &heap->entries[(place - 1) / 2])) {
        put(heap, place, heap->entries[(place - 1) / 2]);
        place = (place - 1) / 2;
    }
    for (size_t child; (child = 2 * place + 1) < heap->count; place = child) {
        if (child + 1 < heap->count && is_before(&heap->entries[child + 1], &heap->entries[child]))
            child++;
        if (!is_before(&heap->entries[child], &entry))
            break;
        put(heap, place, heap->entries[child]);
    }
    put(heap, place, entry);
}

static void heap_add(struct heap *heap, struct entry entry)
{
    if (heap->count == heap->capacity) {
        heap->capacity = heap->capacity ? 2 * heap->capacity : FIRST_CAPACITY;
        heap->entries = rc_realloc(heap->entries, heap->capacity * sizeof(*heap->entries));
    }
    heap->count++;
    settle(heap, heap->count - 1, entry);
}

static void heap_remove(struct heap *heap, size_t place)
{
    heap->count--;
    if (place < heap->count)
        settle(heap, place, heap->entries[heap->count]);
}

void core_timer_set(struct core_loop *loop, struct core_timer *timer, int64_t at_ms)
{
    struct entry entry = { .at_ms = at_ms, .order = loop->order++, .timer = timer };

    RC_ASSERT(timer->fn && (!timer->loop || timer->loop == loop));
    timer->at_ms = at_ms;
    if (timer->loop) {
        settle(&loop->heaps[timer->clock], timer->place, entry);
    } else {
        timer->loop = loop;
        heap_add(&loop->heaps[timer->clock], entry);
    }
}

void core_timer_cancel(struct core_timer *timer)
{
    if (!timer->loop)
        return;
    heap_remove(&timer->loop->heaps[timer->clock], timer->place);
    timer->loop = NULL;
}

/* ---- the loop's own life --------------------------------------------------------------------- */

static enum rc_code add_to_epoll(struct core_loop *loop, int fd, void *data, struct rc_error *err)
{
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = data };

    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event))
        return rc_fail_errno(err, errno, "cannot wait for descriptor %d", fd);
    return RC_OK;
}

enum rc_code core_loop_new(struct core_loop **out, struct rc_error *err)
{
    struct core_loop *loop = rc_calloc(1, sizeof(*loop));
    enum rc_code code = RC_OK;

    sigemptyset(&loop->signals);
    sigemptyset(&loop->blocked_before);
    loop->armed_ms = NOT_ARMED;
    loop->offset_ms = core_clock_offset_ms();
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    loop->signal_fd = signalfd(-1, &loop->signals, SFD_CLOEXEC | SFD_NONBLOCK);
    loop->wall_fd = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    if (loop->epoll_fd < 0 || loop->signal_fd < 0 || loop->wall_fd < 0)
        code = rc_fail_errno(err, errno, "cannot make an event loop");
    if (code == RC_OK)
        code = add_to_epoll(loop, loop->signal_fd, &loop->signal_fd, err);
    if (code == RC_OK)
        code = add_to_epoll(loop, loop->wall_fd, &loop->wall_fd, err);
    if (code == RC_OK)
        *out = loop;
    else
        core_loop_free(loop);
    return code;
}

static void bury(struct core_loop *loop)
{
    while (loop->ended) {
        struct core_watch *watch = loop->ended;
        loop->ended = watch->next;
        free(watch);
    }
}

void core_loop_forget(struct core_loop *loop)
{
    int *fds[] = { &loop->epoll_fd, &loop->signal_fd, &loop->wall_fd };

    for (size_t i = 0; i < RC_ARRAY_LEN(fds); i++) {
        if (*fds[i] >= 0)
            close(*fds[i]);
        *fds[i] = -1;
    }
}

void core_loop_free(struct core_loop *loop)
{
    if (!loop)
        return;
    while (loop->watches)
        core_watch_end(loop->watches);
    for (size_t i = 0; i < RC_ARRAY_LEN(loop->heaps); i++) {
        for (size_t place = 0; place < loop->heaps[i].count; place++)
            loop->heaps[i].entries[place].timer->loop = NULL;
        free(loop->heaps[i].entries);
    }
    bury(loop);
    core_loop_forget(loop);
    free(loop);
}

/* ---- watches --------------------------------------------------------------------------------- */

static struct core_watch *make_watch(struct core_loop *loop, enum kind kind, core_watch_fn *fn,
                                     void *context)
{
    struct core_watch *watch = rc_calloc(1, sizeof(*watch));

    *watch = (struct core_watch){
        .loop = loop,
        .kind = kind,
        .fd = -1,
        .fn = fn,
        .context = context,
        .next = loop->watches,
    };
    if (watch->next)
        watch->next->previous = watch;
    loop->watches = watch;
    return watch;
}

static enum rc_code watch_fd(struct core_loop *loop, enum kind kind, int fd, core_watch_fn *fn,
                             void *context, struct core_watch **out, struct rc_error *err)
{
    struct core_watch *watch = make_watch(loop, kind, fn, context);

    if (add_to_epoll(loop, fd, watch, err)) {
        core_watch_end(watch);
        return err->code;
    }
    watch->fd = fd;
    *out = watch;
    return RC_OK;
}

enum rc_code core_loop_watch(struct core_loop *loop, int fd, core_watch_fn *fn, void *context,
                             struct core_watch **out, struct rc_error *err)
{
    return watch_fd(loop, DESCRIPTOR, fd, fn, context, out, err);
}

enum rc_code core_loop_watch_process(struct core_loop *loop, int pidfd, core_watch_fn *fn,
                                     void *context, struct core_watch **out, struct rc_error *err)
{
    return watch_fd(loop, PROCESS, pidfd, fn, context, out, err);
}

enum rc_code core_loop_watch_signal(struct core_loop *loop, int number, core_watch_fn *fn,
                                    void *context, struct core_watch **out, struct rc_error *err)
{
    sigset_t one, before;

    RC_ASSERT(number > 0 && number < SIGNALS && !loop->by_signal[number]);
    sigaddset(&loop->signals, number);
    if (signalfd(loop->signal_fd, &loop->signals, 0) < 0) {
        sigdelset(&loop->signals, number);
        return rc_fail_errno(err, errno, "cannot wait for signal %d", number);
    }
    sigemptyset(&one);
    sigaddset(&one, number);
    sigprocmask(SIG_BLOCK, &one, &before);
    if (sigismember(&before, number))
        sigaddset(&loop->blocked_before, number);
    loop->by_signal[number] = make_watch(loop, SIGNAL, fn, context);
    loop->by_signal[number]->number = number;
    *out = loop->by_signal[number];
    return RC_OK;
}

/* Gives the signal back to the process. */
static void release_signal(struct core_loop *loop, int number)
{
    sigset_t one;

    sigdelset(&loop->signals, number);
    (void)signalfd(loop->signal_fd, &loop->signals, 0); /* of fewer signals: cannot fail */
    loop->by_signal[number] = NULL;
    sigemptyset(&one);
    sigaddset(&one, number);
    if (!sigismember(&loop->blocked_before, number))
        sigprocmask(SIG_UNBLOCK, &one, NULL);
    sigdelset(&loop->blocked_before, number);
}

enum rc_code core_loop_watch_clock(struct core_loop *loop, core_watch_fn *fn, void *context,
                                   struct rc_error *err)
{
    (void)err;
    RC_ASSERT(!loop->on_clock);
    loop->on_clock = fn;
    loop->clock_context = context;
    return RC_OK;
}

static void stop_waiting(struct core_watch *watch)
{
    if (watch->fd >= 0)
        (void)epoll_ctl(watch->loop->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
    watch->fd = -1;
}

void core_watch_end(struct core_watch *watch)
{
    if (!watch || watch->ended)
        return;

    struct core_loop *loop = watch->loop;
    if (watch->kind == SIGNAL)
        release_signal(loop, watch->number);
    stop_waiting(watch);
    if (watch->next)
        watch->next->previous = watch->previous;
    if (watch->previous)
        watch->previous->next = watch->next;
    else
        loop->watches = watch->next;

    /* The rest of a batch of events may still point to it. */
    watch->ended = true;
    watch->next = loop->ended;
    loop->ended = watch;
    if (!loop->running)
        bury(loop);
}

/* ---- the wall clock -------------------------------------------------------------------------- */

/*
 * Whether the clock was set, or the machine slept, since the last call. Reading the timerfd also
 * makes it wait again.
 */
static bool has_jumped(struct core_loop *loop)
{
    uint64_t times;
    ssize_t got = read(loop->wall_fd, &times, sizeof(times));
    bool jumped = got < 0 && errno == ECANCELED;
    int64_t offset_ms = core_clock_offset_ms();

    if (got > 0)
        loop->armed_ms = NOT_ARMED;
    if (offset_ms != loop->offset_ms)
        jumped = true;
    loop->offset_ms = offset_ms;
    return jumped;
}

static void tell_of_jump(struct core_loop *loop)
{
    loop->armed_ms = NOT_ARMED;
    if (loop->on_clock)
        loop->on_clock(loop->clock_context);
}

static void look_at_clock(struct core_loop *loop)
{
    if (has_jumped(loop))
        tell_of_jump(loop);
}

/*
 * Lets the timerfd fire when the earliest wall timer is due, or else only tell of jumps. False: the
 * clock was set just now.
 */
static bool arm_wall(struct core_loop *loop)
{
    const struct heap *heap = &loop->heaps[CORE_TIMER_WALL];
    int64_t at_ms = FAR_UNIX_MS;
    struct itimerspec when = { 0 };

    if (heap->count > 0)
        at_ms = core_clock_real_at_ms(heap->entries[0].at_ms);
    else if (!loop->on_clock)
        return true;
    at_ms = at_ms > FAR_UNIX_MS ? FAR_UNIX_MS : at_ms < 1 ? 1 : at_ms;
    if (at_ms == loop->armed_ms)
        return true;
    when.it_value.tv_sec = (time_t)(at_ms / 1000);
    when.it_value.tv_nsec = (long)(at_ms % 1000) * 1000000;
    loop->armed_ms = at_ms;
    return timerfd_settime(loop->wall_fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &when,
                           NULL) == 0 ||
           errno != ECANCELED;
}

/* ---- turns ----------------------------------------------------------------------------------- */

static int64_t now_ms(enum core_timer_clock clock)
{
    return clock == CORE_TIMER_WALL ? core_clock_now_unix_ms() : core_clock_mono_ms();
}

/* Whether the earliest timer is due at 'time_ms', and was set before 'order'. */
static bool is_due(const struct heap *heap, int64_t time_ms, uint64_t order)
{
    return heap->count > 0 && heap->entries[0].at_ms <= time_ms && heap->entries[0].order < order;
}

/*
 * Fires what is due. A timer set by a callback waits for the next turn, so that one which is always
 * due does not keep the loop from its descriptors.
 */
static void fire(struct core_loop *loop, enum core_timer_clock clock)
{
    struct heap *heap = &loop->heaps[clock];
    uint64_t order = loop->order;
    int64_t time_ms = now_ms(clock);

    if (clock == CORE_TIMER_WALL && is_due(heap, time_ms, order)) {
        look_at_clock(loop); /* who watches the clock learns of a jump before its timers fire */
        time_ms = now_ms(clock);
    }
    for (int i = 0; i < BATCH_TIMERS && !loop->stopped && is_due(heap, time_ms, order); i++) {
        struct core_timer *timer = heap->entries[0].timer;

        core_timer_cancel(timer);
        timer->fn(timer->context);
    }
}

/* Milliseconds until something is due without an event; -1: never. */
static int wait_ms(const struct core_loop *loop)
{
    const struct heap *mono = &loop->heaps[CORE_TIMER_MONO];
    const struct heap *wall = &loop->heaps[CORE_TIMER_WALL];
    int64_t left_ms = INT64_MAX;

    if (wall->count > 0 && wall->entries[0].at_ms <= core_clock_now_unix_ms())
        return 0;
    if (mono->count > 0) {
        int64_t time_ms = core_clock_mono_ms();
        int64_t at_ms = mono->entries[0].at_ms;
        left_ms = at_ms > time_ms ? at_ms - time_ms : 0;
    }
    if (core_clock_follows_file() && left_ms > LOOK_EVERY_MS)
        left_ms = LOOK_EVERY_MS;
    if (left_ms == INT64_MAX)
        return -1;
    return left_ms > INT_MAX ? INT_MAX : (int)left_ms;
}

/*
 * What has arrived by now. What arrives meanwhile is for the next turn: the kernel hands out the
 * lowest number first, so one signal in a row would otherwise keep all else waiting.
 */
static void read_signals(struct core_loop *loop)
{
    struct signalfd_siginfo arrived[SIGNALS];
    ssize_t len = read(loop->signal_fd, arrived, sizeof(arrived));

    for (ssize_t i = 0; i < len / (ssize_t)sizeof(*arrived) && !loop->stopped; i++) {
        struct core_watch *watch = loop->by_signal[arrived[i].ssi_signo % SIGNALS];
        if (watch)
            watch->fn(watch->context);
    }
}

static void dispatch(struct core_loop *loop, void *data)
{
    struct core_watch *watch = data;

    if (data == &loop->wall_fd) {
        look_at_clock(loop);
    } else if (data == &loop->signal_fd) {
        read_signals(loop);
    } else if (!watch->ended) {
        if (watch->kind == PROCESS)
            stop_waiting(watch); /* its descriptor stays readable for ever */
        watch->fn(watch->context);
    }
}

void core_loop_run(struct core_loop *loop)
{
    struct epoll_event events[BATCH_EVENTS];

    RC_ASSERT(!loop->running);
    loop->running = true;
    while (!loop->stopped) {
        while (!arm_wall(loop))
            tell_of_jump(loop);
        if (loop->stopped)
            break;
        int count = epoll_wait(loop->epoll_fd, events, BATCH_EVENTS, wait_ms(loop));
        loop->turns++;
        for (int i = 0; i < count && !loop->stopped; i++)
            dispatch(loop, events[i].data.ptr);
        if (core_clock_follows_file() && !loop->stopped)
            look_at_clock(loop);
        fire(loop, CORE_TIMER_MONO);
        fire(loop, CORE_TIMER_WALL);
        bury(loop);
    }
    loop->running = false;
    loop->stopped = false;
}

void core_loop_stop(struct core_loop *loop)
{
    loop->stopped = true;
}

uint64_t core_loop_turns(const struct core_loop *loop)
{
    return loop->turns;
}
