/*
 * What a worker does next: removals that are due, a range of a large object, an item. And the
 * memory for what they copy through, which is bounded for all of them together.
 */
#include <storage/transfer_internal.h>

#include <os/clock.h>

#include <stdlib.h>
#include <sys/mman.h>

enum { MAP_FROM_BYTES = 256 * 1024 };

/* ---- queues ------------------------------------------------------------------------------- */

void core_transfer_push(struct transfer_queue *queue, struct transfer_item *item)
{
    item->next = NULL;
    if (queue->count++ == 0)
        queue->end = &queue->first;
    *queue->end = item;
    queue->end = &item->next;
}

struct transfer_item *core_transfer_pop(struct transfer_queue *queue)
{
    struct transfer_item *item = queue->first;

    if (!item)
        return NULL;
    queue->first = item->next;
    queue->count--;
    item->next = NULL;
    return item;
}

/* ---- memory ------------------------------------------------------------------------------- */

/* One that is larger than all there is may still have it, alone. */
bool core_transfer_claim(struct core_transfer *t, size_t bytes)
{
    if (t->memory_used_bytes > 0 && t->memory_used_bytes + (int64_t)bytes > t->memory_bytes)
        return false;
    t->memory_used_bytes += (int64_t)bytes;
    return true;
}

/*
 * Large buffers come from the system and go back to it: an allocator with an arena for each of many
 * threads would keep many times the budget.
 */
void *core_transfer_map(size_t bytes)
{
    void *memory;

    if (bytes < MAP_FROM_BYTES)
        return rc_malloc(bytes);
    memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        rc_out_of_memory(bytes);
    return memory;
}

char *core_transfer_buffer(struct core_transfer *t, size_t bytes)
{
    bool claimed;

    pthread_mutex_lock(&t->lock);
    while (!(claimed = core_transfer_claim(t, bytes)) && !t->stopping)
        pthread_cond_wait(&t->room, &t->lock);
    pthread_mutex_unlock(&t->lock);
    return claimed ? core_transfer_map(bytes) : NULL;
}

void core_transfer_buffer_free(struct core_transfer *t, char *buffer, size_t bytes)
{
    if (buffer && bytes >= MAP_FROM_BYTES)
        (void)munmap(buffer, bytes);
    else
        free(buffer);
    pthread_mutex_lock(&t->lock);
    t->memory_used_bytes -= (int64_t)bytes;
    pthread_cond_broadcast(&t->room);
    if (t->large)
        pthread_cond_signal(&t->work);
    pthread_mutex_unlock(&t->lock);
}

/* ---- work --------------------------------------------------------------------------------- */

struct work {
    struct transfer_item *removals, *item;
    bool is_large; /* the item is to be begun by ranges */
    struct transfer_range range;
};

/*
 * With the lock held. Half of the workers look for ranges first, the others for items, so that
 * neither many small objects hold up a large one nor the reverse.
 */
static bool find_work(struct core_transfer *t, unsigned index, struct work *out)
{
    *out = (struct work){ .removals = NULL };
    if (core_transfer_removals_due(t, core_clock_mono_ms())) {
        out->removals = core_transfer_removals_take(t);
        return true;
    }
    if (index % 2 == 0 && core_transfer_large_take(t, &out->range))
        return true;
    if (t->parked.first && t->large_count < TRANSFER_LARGE) {
        out->item = core_transfer_pop(&t->parked);
        out->is_large = true;
        t->large_count++;
        return true;
    }
    out->item = core_transfer_pop(&t->ready);
    return out->item || core_transfer_large_take(t, &out->range);
}

/* False: there is nothing more, for good. */
static bool next_work(struct core_transfer *t, unsigned index, struct work *out)
{
    bool found = false;

    pthread_mutex_lock(&t->lock);
    while (!t->stopping && !(t->fed && t->outstanding == 0)) {
        if (index >= t->pace.allowed) {
            /* It may have been woken for work that another has to do now. */
            pthread_cond_signal(&t->work);
            pthread_cond_wait(&t->rest, &t->lock);
            continue;
        }
        found = find_work(t, index, out);
        if (found)
            break;
        t->pace.was_busy = false;
        pthread_cond_wait(&t->work, &t->lock);
    }
    pthread_mutex_unlock(&t->lock);
    return found;
}

void *core_transfer_worker(void *argument)
{
    const struct transfer_worker *worker = argument;
    struct core_transfer *t = worker->transfer;
    struct work work;

    while (next_work(t, worker->index, &work)) {
        if (work.removals)
            core_transfer_remove(t, work.removals);
        else if (work.range.large)
            core_transfer_large_copy(t, &work.range);
        else if (work.is_large)
            core_transfer_large_begin(t, work.item);
        else
            core_transfer_copy(t, work.item);
    }
    return NULL;
}
