/*
 * The mover: takes a request, feeds its items to workers, and tells how it goes. What becomes of an
 * item, and what its end means for the whole, is decided here; how it is copied is not.
 */
#include <storage/transfer_internal.h>

#include <os/clock.h>
#include <storage/remote.h>

#include <run-core/str.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    DEFAULT_MEMORY_BYTES = 32 * 1024 * 1024,
    STACK_BYTES = 512 * 1024,
    TICK_MS = 100,
    PROGRESS_MS = 250,
    CHECKPOINT_MS = 5000,
};

/* ---- items -------------------------------------------------------------------------------- */

void core_transfer_item_free(struct transfer_item *item)
{
    free(item->source);
    free(item->target);
    free(item->etag);
    free(item->target_etag);
    free(item->derived);
    free(item);
}

static struct transfer_item **target_slot(struct core_transfer *t, const char *target)
{
    size_t hash = 5381;

    for (const char *c = target; *c; c++)
        hash = hash * 33 + (unsigned char)*c;
    return &t->targets[hash % TRANSFER_TARGETS];
}

static void forget_target(struct core_transfer *t, struct transfer_item *item)
{
    struct transfer_item **at = target_slot(t, item->target);

    while (*at && *at != item)
        at = &(*at)->same_target;
    if (*at)
        *at = item->same_target;
}

/* Two items with one target would race, and of a move one content would be lost. */
static bool remember_target(struct core_transfer *t, struct transfer_item *item)
{
    struct transfer_item **at = target_slot(t, item->target);

    for (const struct transfer_item *other = *at; other; other = other->same_target)
        if (rc_str_eq(other->target, item->target))
            return false;
    item->same_target = *at;
    *at = item;
    return true;
}

static void stop(struct core_transfer *t)
{
    t->stopping = true;
    core_cancel_request(&t->cancel, RC_CANCELLED);
    pthread_cond_broadcast(&t->work);
    pthread_cond_broadcast(&t->rest);
    pthread_cond_broadcast(&t->room);
    pthread_cond_broadcast(&t->calm);
}

/*
 * With the lock held: whether it seems that all else would fail as well, each item after some
 * seconds of attempts. What was replaced, or is denied, says nothing of the store.
 */
static bool is_in_vain(struct core_transfer *t, enum rc_code code)
{
    if (!(t->request.flags & RC_TRANSFER_GIVE_UP) || (!rc_retryable(code) && code != RC_FAILED))
        return false;
    if (t->row++ == 0)
        t->row_mono_ms = core_clock_mono_ms();
    return t->row >= TRANSFER_IN_VAIN ||
           (t->row >= TRANSFER_IN_VAIN_FEWER &&
            core_clock_mono_ms() - t->row_mono_ms >= TRANSFER_IN_VAIN_MS);
}

/* With the lock held: what a failed item means for the whole. */
static void fail(struct core_transfer *t, const struct rc_error *err)
{
    int64_t most = t->request.max_failures;

    t->counts.failed++;
    if (!t->code) {
        t->code = err->code;
        t->err = *err;
    }
    if (t->stopping)
        return;
    if (!(t->request.flags & RC_TRANSFER_KEEP_GOING) || (most > 0 && t->counts.failed >= most)) {
        stop(t);
    } else if (is_in_vain(t, err->code)) {
        (void)rc_context(&t->err, "gave up after %" PRId64 " failures in a row", t->row);
        stop(t);
    }
}

static void count(struct core_transfer *t, const struct transfer_item *item)
{
    if (item->act != RC_TRANSFER_SKIP)
        t->row = 0;
    switch (item->act) {
    case RC_TRANSFER_COPY:
        t->counts.objects++;
        t->counts.bytes += item->size_bytes > 0 ? item->size_bytes : 0;
        /* Of larger ones the bytes counted as they went. */
        core_transfer_pace_add(&t->pace, 1,
                               item->size_bytes <= TRANSFER_SMALL_BYTES ? item->size_bytes : 0);
        break;
    case RC_TRANSFER_SKIP:
        t->counts.skipped++;
        break;
    case RC_TRANSFER_REMOVE:
        t->counts.removed++;
        core_transfer_pace_add(&t->pace, 1, 0);
        break;
    }
}

static void report(struct core_transfer *t, const struct transfer_item *item,
                   const struct rc_error *err)
{
    const struct rc_transfer_report told = {
        .act = item->act,
        .item = {
            .source = item->source,
            .target = item->target,
            .size_bytes = item->size_bytes,
            .etag = item->etag,
        },
        .written = item->written,
        .err = err,
        .lost = item->has_lost_tags ? "tags" : NULL,
    };

    if (!t->request.report)
        return;
    pthread_mutex_lock(&t->telling);
    t->request.report(t->request.context, &told);
    pthread_mutex_unlock(&t->telling);
}

static void name_failed(const struct transfer_item *item, struct rc_error *err)
{
    if (item->act == RC_TRANSFER_REMOVE)
        rc_context(err, "remove '%s'", item->source ? item->source : item->target);
    else
        rc_context(err, "copy '%s' to '%s'", item->source, item->target);
}

void core_transfer_finish(struct core_transfer *t, struct transfer_item *item,
                          const struct rc_error *err)
{
    /* What was under way when it had to stop neither ended well nor failed. */
    enum rc_code wish = core_cancel_code(&t->cancel);
    bool is_cut = err && wish && (err->code == RC_CANCELLED || err->code == wish);
    struct rc_error named;

    if (err && !is_cut) {
        named = *err;
        name_failed(item, &named);
    }
    if (!is_cut)
        report(t, item, err ? &named : NULL);

    pthread_mutex_lock(&t->lock);
    if (!err)
        count(t, item);
    else if (!is_cut)
        fail(t, &named);
    if (item->mark)
        core_transfer_mark_end(&t->marks, item->mark, err ? MARK_FAILED : MARK_DONE);
    if (item->target)
        forget_target(t, item);
    t->outstanding--;
    /* Once, not at each end: to wake the feeding thread costs as much as a small object. */
    if (t->outstanding == (t->fed ? 0 : TRANSFER_OUTSTANDING / 2))
        pthread_cond_signal(&t->calm);
    if (t->fed && t->outstanding == t->doomed.count)
        pthread_cond_broadcast(&t->work);
    if (t->fed && t->outstanding == 0)
        pthread_cond_broadcast(&t->rest);
    pthread_mutex_unlock(&t->lock);
    core_transfer_item_free(item);
}

void core_transfer_queue(struct core_transfer *t, struct transfer_queue *queue,
                         struct transfer_item *item)
{
    pthread_mutex_lock(&t->lock);
    if (queue == &t->doomed && queue->count == 0)
        t->doomed_since_mono_ms = core_clock_mono_ms();
    core_transfer_push(queue, item);
    if (queue != &t->doomed || core_transfer_removals_due(t, 0))
        pthread_cond_signal(&t->work);
    pthread_mutex_unlock(&t->lock);
}

void core_transfer_copied(struct core_transfer *t, struct transfer_item *item)
{
    pthread_mutex_lock(&t->lock);
    t->row = 0; /* of a move, too, whose end comes with that of many removals */
    pthread_mutex_unlock(&t->lock);
    if (t->request.flags & RC_TRANSFER_MOVE)
        core_transfer_queue(t, &t->doomed, item);
    else
        core_transfer_finish(t, item, NULL);
}

void core_transfer_moving(struct core_transfer *t, int64_t bytes)
{
    pthread_mutex_lock(&t->lock);
    t->moving_bytes += bytes;
    if (bytes > 0)
        core_transfer_pace_add(&t->pace, 0, bytes);
    pthread_mutex_unlock(&t->lock);
}

static void pause_ms(struct core_transfer *t, int64_t ms)
{
    for (; ms > 0 && !core_cancel_code(&t->cancel); ms -= TICK_MS)
        core_clock_sleep_ms(ms < TICK_MS ? ms : TICK_MS);
}

bool core_transfer_again(struct core_transfer *t, struct transfer_item *item,
                         const struct rc_error *err)
{
    bool is_replaced = err->code == RC_CONFLICT && !item->is_etag_given;
    bool passes = rc_retryable(err->code) || err->code == RC_CORRUPT || is_replaced;

    if (rc_retryable(err->code)) {
        pthread_mutex_lock(&t->lock);
        t->pace.trouble = true;
        pthread_mutex_unlock(&t->lock);
    }
    if (!passes || ++item->attempt >= TRANSFER_ATTEMPTS || core_cancel_code(&t->cancel))
        return false;
    if (is_replaced) {
        rc_str_free(&item->etag);
        item->size_bytes = -1;
    } else if (err->code != RC_CORRUPT) {
        pause_ms(t, core_remote_pause_ms(t->storage.remote, 2 * item->attempt - 1));
    }
    return !core_cancel_code(&t->cancel);
}

/* ---- feeding ------------------------------------------------------------------------------ */

static struct transfer_item *item_new(const struct transfer_fed *fed)
{
    struct transfer_item *item = rc_malloc(sizeof(*item));

    *item = (struct transfer_item){
        .act = fed->act,
        .source = rc_strdup(fed->source),
        .target = rc_strdup(fed->target),
        .etag = rc_strdup(fed->etag),
        .is_etag_given = fed->is_etag_given,
        .target_etag = rc_strdup(fed->target_etag),
        .size_bytes = fed->size_bytes,
    };
    return item;
}

static void take(struct core_transfer *t, const struct transfer_fed *fed)
{
    struct transfer_item *item = item_new(fed);
    bool only_looks = t->request.flags & RC_TRANSFER_CHECK;
    struct rc_error err = RC_ERROR_INIT;
    bool is_single;

    pthread_mutex_lock(&t->lock);
    /* What is removed in the end is found again by looking. */
    if (!t->is_clearing)
        item->mark = core_transfer_mark_add(&t->marks, fed->name);
    t->outstanding++;
    is_single = !item->target || remember_target(t, item);
    if (fed->source) {
        t->counts.found++;
        t->counts.found_bytes += fed->size_bytes > 0 ? fed->size_bytes : 0;
    }
    pthread_mutex_unlock(&t->lock);

    if (!is_single) {
        rc_fail(&err, RC_INVALID, "another item that is under way has the same target");
        core_transfer_finish(t, item, &err);
    } else if (item->act == RC_TRANSFER_SKIP || (only_looks && !item->target_etag)) {
        core_transfer_finish(t, item, NULL);
    } else {
        bool is_removal = item->act == RC_TRANSFER_REMOVE || fed->is_there;

        core_transfer_queue(t, is_removal ? &t->doomed : &t->ready, item);
    }
}

/* ---- telling ------------------------------------------------------------------------------ */

struct ticker {
    int64_t progress_mono_ms, checkpoint_mono_ms;
};

static void tell_progress(struct core_transfer *t)
{
    struct rc_transferred so_far;

    if (!t->request.progress)
        return;
    pthread_mutex_lock(&t->lock);
    so_far = t->counts;
    so_far.bytes += t->moving_bytes;
    pthread_mutex_unlock(&t->lock);
    pthread_mutex_lock(&t->telling);
    t->request.progress(t->request.context, &so_far);
    pthread_mutex_unlock(&t->telling);
}

/* With the lock held: the token, if it says anything new. */
static char *new_token(struct core_transfer *t)
{
    if (t->told_done == t->marks.done && t->told_changes == t->uploads.changes)
        return NULL;
    t->told_done = t->marks.done;
    t->told_changes = t->uploads.changes;
    return core_transfer_token(&t->request, &t->marks, &t->uploads);
}

/* A transfer of which nobody knows how far it is must not go on. */
enum rc_code core_transfer_checkpoint(struct core_transfer *t, struct rc_error *err)
{
    RC_STR_AUTO token = NULL;
    enum rc_code code = RC_OK;

    if (!t->request.checkpoint || t->request.flags & RC_TRANSFER_CHECK)
        return RC_OK;
    pthread_mutex_lock(&t->telling);
    pthread_mutex_lock(&t->lock);
    token = new_token(t);
    pthread_mutex_unlock(&t->lock);
    if (token)
        code = t->request.checkpoint(t->request.context, token, err);
    pthread_mutex_unlock(&t->telling);
    if (!code)
        return RC_OK;
    (void)rc_context(err, "keep how far the transfer is");
    pthread_mutex_lock(&t->lock);
    if (!t->code) {
        t->code = code;
        t->err = *err;
    }
    stop(t);
    pthread_mutex_unlock(&t->lock);
    return code;
}

/* What is due now and then, from the calling thread. */
static enum rc_code tick(struct core_transfer *t, struct ticker *ticker, struct rc_error *err)
{
    int64_t now = core_clock_mono_ms();

    if (core_cancel_check(t->cancel.parent, err))
        return err->code;
    pthread_mutex_lock(&t->lock);
    if (core_transfer_pace_turn(&t->pace, now))
        pthread_cond_broadcast(&t->rest);
    if (core_transfer_removals_due(t, now))
        pthread_cond_signal(&t->work);
    pthread_mutex_unlock(&t->lock);
    if (now - ticker->progress_mono_ms >= PROGRESS_MS) {
        ticker->progress_mono_ms = now;
        tell_progress(t);
    }
    if (now - ticker->checkpoint_mono_ms < CHECKPOINT_MS)
        return RC_OK;
    ticker->checkpoint_mono_ms = now;
    return core_transfer_checkpoint(t, err);
}

/* ---- threads ------------------------------------------------------------------------------ */

/* With the lock held: until something happens, or the next tick is due. */
static void wait_a_tick(struct core_transfer *t)
{
    struct timespec until;

    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += TICK_MS * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_nsec -= 1000000000L;
        until.tv_sec++;
    }
    (void)pthread_cond_timedwait(&t->calm, &t->lock, &until);
}

/* As many as are allowed now and can be had; without any it is an error. */
static enum rc_code start_workers(struct core_transfer *t, struct transfer_worker *workers,
                                  struct rc_error *err)
{
    pthread_attr_t attributes;
    int failed = 0;
    unsigned wanted;

    pthread_mutex_lock(&t->lock);
    wanted = t->outstanding < t->pace.allowed ? (unsigned)t->outstanding : t->pace.allowed;
    if (t->large)
        wanted = t->pace.allowed;
    pthread_mutex_unlock(&t->lock);
    if (wanted <= t->thread_count)
        return RC_OK;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    while (t->thread_count < wanted && failed == 0) {
        unsigned i = t->thread_count;

        workers[i] = (struct transfer_worker){ .transfer = t, .index = i };
        failed = pthread_create(&t->threads[i], &attributes, core_transfer_worker, &workers[i]);
        t->thread_count += failed == 0;
    }
    pthread_attr_destroy(&attributes);
    if (t->thread_count == 0)
        return rc_fail_errno(err, failed, "start a thread for the transfer");
    return RC_OK;
}

static enum rc_code feed_one(struct core_transfer *t, struct rc_error *err)
{
    struct transfer_fed fed;
    bool more;

    if (core_transfer_feed_next(t->feed, &fed, &more, err))
        return err->code;
    if (more) {
        take(t, &fed);
        return RC_OK;
    }
    pthread_mutex_lock(&t->lock);
    t->fed = true;
    pthread_cond_broadcast(&t->work);
    pthread_cond_broadcast(&t->rest);
    pthread_mutex_unlock(&t->lock);
    return RC_OK;
}

/* Feeds, or waits where there is enough; until all is done or the transfer stops. */
static enum rc_code drive(struct core_transfer *t, struct ticker *ticker,
                          struct transfer_worker *workers, struct rc_error *err)
{
    bool is_full, is_over = false;

    while (!is_over) {
        if (tick(t, ticker, err) || start_workers(t, workers, err))
            return err->code;
        pthread_mutex_lock(&t->lock);
        is_full = t->fed || t->outstanding >= TRANSFER_OUTSTANDING;
        is_over = t->stopping || (t->fed && t->outstanding == 0);
        if (is_full && !is_over)
            wait_a_tick(t);
        pthread_mutex_unlock(&t->lock);
        if (!is_full && !is_over && feed_one(t, err))
            return err->code;
    }
    return RC_OK;
}

/* ---- the whole ---------------------------------------------------------------------------- */

static enum rc_code check_request(const struct rc_transfer *request, struct rc_error *err)
{
    bool is_tree = request->source || request->target;

    if (is_tree == (request->next != NULL))
        return rc_fail(err, RC_INVALID,
                       "a transfer is of a tree or of a list: give 'source' and "
                       "'target', or 'next'");
    if (is_tree && (!request->source || !request->target))
        return rc_fail(err, RC_INVALID, "the transfer of a tree needs 'source' and 'target'");
    if (request->next && (request->when == RC_TRANSFER_IF_DIFFERENT || request->wants ||
                          request->flags & RC_TRANSFER_REMOVE_EXTRA))
        return rc_fail(err, RC_INVALID,
                       "IF_DIFFERENT, 'wants' and REMOVE_EXTRA are of a tree, not of a list");
    if (request->compare < RC_COMPARE_AUTO || request->compare > RC_COMPARE_CONTENT ||
        (request->flags & RC_TRANSFER_COMPARE_CONTENT && request->compare != RC_COMPARE_CONTENT))
        return rc_fail(err, RC_INVALID, "there is no such comparison, or there are two of them");
    if (request->compare != RC_COMPARE_AUTO &&
        (request->when != RC_TRANSFER_IF_DIFFERENT || request->flags & RC_TRANSFER_MOVE))
        return rc_fail(err, RC_INVALID, "'compare' needs IF_DIFFERENT, and is not of a move");
    if (!(request->flags & RC_TRANSFER_REMOVE_EXTRA) &&
        (request->max_removed != 0 || request->flags & RC_TRANSFER_NOT_FROM_EMPTY))
        return rc_fail(err, RC_INVALID, "'max_removed' and NOT_FROM_EMPTY need REMOVE_EXTRA");
    if (request->max_removed < 0)
        return rc_fail(err, RC_INVALID, "'max_removed' is negative");
    if (request->flags & RC_TRANSFER_MOVE && request->flags & RC_TRANSFER_REMOVE_EXTRA)
        return rc_fail(err, RC_INVALID,
                       "a move leaves no source, so that everything at the target would be extra");
    return RC_OK;
}

/* Of the stores that may take part: the caller's limit, or the most that one of them allows. */
static unsigned width_of(const struct core_transfer *t)
{
    int64_t width = t->request.width;

    for (size_t i = 0; width == 0 && i < t->storage.store_count; i++)
        if (t->storage.stores[i].connections > TRANSFER_WIDTH)
            return (unsigned)t->storage.stores[i].connections;
    return width > 0 ? (unsigned)width : TRANSFER_WIDTH;
}

static void init(struct core_transfer *t, const struct core_storage *storage,
                 const struct rc_transfer *request)
{
    size_t known = request->struct_bytes;
    pthread_condattr_t monotonic;

    *t = (struct core_transfer){
        .storage = *storage,
        .cancel = { RC_OK, storage->cancel },
        .err = RC_ERROR_INIT,
        .told_done = -1,
    };
    memcpy(&t->request, request, known < sizeof(t->request) ? known : sizeof(t->request));
    if (t->request.flags & RC_TRANSFER_COMPARE_CONTENT && t->request.compare == RC_COMPARE_AUTO)
        t->request.compare = RC_COMPARE_CONTENT;
    t->storage.cancel = &t->cancel;
    t->memory_bytes = t->request.memory_bytes > 0 ? t->request.memory_bytes : DEFAULT_MEMORY_BYTES;
    core_transfer_pace_init(&t->pace, width_of(t), core_clock_mono_ms());
    t->threads = rc_calloc(t->pace.width, sizeof(*t->threads));
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&t->calm, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_cond_init(&t->work, NULL);
    pthread_cond_init(&t->rest, NULL);
    pthread_cond_init(&t->room, NULL);
    pthread_mutex_init(&t->lock, NULL);
    pthread_mutex_init(&t->telling, NULL);
}

static void clear(struct core_transfer *t)
{
    struct transfer_queue *const queues[] = { &t->ready, &t->parked, &t->doomed };
    struct transfer_item *item;

    core_transfer_large_abandon(t);
    for (size_t i = 0; i < RC_ARRAY_LEN(queues); i++)
        while ((item = core_transfer_pop(queues[i])) != NULL)
            core_transfer_item_free(item);
    core_transfer_feed_close(t->feed);
    core_transfer_marks_clear(&t->marks);
    core_transfer_uploads_clear(&t->uploads);
    free(t->threads);
    pthread_cond_destroy(&t->work);
    pthread_cond_destroy(&t->rest);
    pthread_cond_destroy(&t->room);
    pthread_cond_destroy(&t->calm);
    pthread_mutex_destroy(&t->lock);
    pthread_mutex_destroy(&t->telling);
}

/* Feeds and works until the end; then nobody works any more, however it ended. */
static enum rc_code work(struct core_transfer *t, struct ticker *ticker, struct rc_error *err)
{
    struct transfer_worker *workers = rc_calloc(t->pace.width, sizeof(*workers));
    enum rc_code code = drive(t, ticker, workers, err);

    pthread_mutex_lock(&t->lock);
    if (code)
        stop(t);
    pthread_mutex_unlock(&t->lock);
    for (unsigned i = 0; i < t->thread_count; i++)
        pthread_join(t->threads[i], NULL);
    t->thread_count = 0;
    free(workers);
    return code;
}

/* After the last copy. */
static enum rc_code clear_extra(struct core_transfer *t, struct ticker *ticker,
                                struct rc_error *err)
{
    bool is_due;

    if (core_transfer_extra_due(t, &is_due, err))
        return err->code;
    if (!is_due)
        return RC_OK;
    core_transfer_feed_close(t->feed);
    t->feed = NULL;
    if (core_transfer_feed_open(t, /* only_extra = */ true, &t->feed, err))
        return err->code;
    t->is_clearing = true;
    t->fed = false;
    return work(t, ticker, err);
}

static enum rc_code run(struct core_transfer *t, struct rc_error *err)
{
    struct ticker ticker = { .progress_mono_ms = 0 };
    struct rc_error late = RC_ERROR_INIT;
    enum rc_code code;

    if (core_transfer_token_read(&t->request, &t->marks, &t->uploads, err) ||
        core_transfer_feed_open(t, /* only_extra = */ false, &t->feed, err))
        return err->code;
    ticker.checkpoint_mono_ms = core_clock_mono_ms();
    code = work(t, &ticker, err);
    if (!code && !t->code) {
        core_transfer_uploads_give_up(t);
        code = clear_extra(t, &ticker, err);
    }
    /* A failed item comes before what the end of the feed made of it. */
    if (t->code && (!code || code == RC_CANCELLED) && !core_cancel_code(t->cancel.parent)) {
        *err = t->err;
        code = t->code;
    }
    tell_progress(t);
    if (core_transfer_checkpoint(t, &late) && !code) {
        *err = late;
        code = late.code;
    }
    return code;
}

enum rc_code core_transfer_run(struct core_storage *storage, const struct rc_transfer *transfer,
                               struct rc_transferred *out, struct rc_error *err)
{
    struct core_transfer t;
    enum rc_code code;

    *out = (struct rc_transferred){ 0 };
    init(&t, storage, transfer);
    code = check_request(&t.request, err);
    if (!code)
        code = run(&t, err);
    *out = t.counts;
    clear(&t);
    return code;
}
