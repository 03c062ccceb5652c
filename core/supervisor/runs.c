/*
 * The table of runs that have not ended.
 */
#include <supervisor/runs.h>

#include <run-core/str.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { INDEX_START = 256 };

void core_runs_init(struct core_runs *runs)
{
    *runs = (struct core_runs){
        .index = rc_calloc(INDEX_START, sizeof(struct core_active *)),
        .index_size = INDEX_START,
    };
    runs->to_write_last = &runs->to_write;
    core_pace_init(&runs->pace);
}

void core_runs_clear(struct core_runs *runs)
{
    for (size_t i = 0; i < runs->index_size; i++) {
        while (runs->index[i]) {
            struct core_active *active = runs->index[i];
            runs->index[i] = active->next_in_index;
            core_active_free(active);
        }
    }
    free(runs->index);
    core_heap_clear(&runs->ready);
    core_heap_clear(&runs->later);
}

struct core_active *core_active_new(const char *id, const char *job_name)
{
    struct core_active *active = rc_calloc(1, sizeof(*active));

    (void)snprintf(active->id, sizeof(active->id), "%s", id);
    active->job_name = rc_strdup(job_name ? job_name : "");
    active->tried.pidfd = -1;
    return active;
}

void core_active_free(struct core_active *active)
{
    if (!active)
        return;
    core_heap_take(&active->place);
    core_watch_end(active->watch);
    if (active->state >= CORE_ACTIVE_RUNS)
        core_attempt_close(&active->tried, /* settled = */ false);
    core_attempt_result_clear(&active->result);
    free(active->job_name);
    free(active->trigger);
    free(active->set);
    free(active->unsure_folder);
    free(active);
}

/* ---- by id -------------------------------------------------------------------------------- */

static struct core_active **slot_of(const struct core_runs *runs, const char *id)
{
    uint64_t value = UINT64_C(14695981039346656037);

    for (; *id; id++)
        value = (value ^ (unsigned char)*id) * UINT64_C(1099511628211);
    return &runs->index[value & (runs->index_size - 1)];
}

static void grow(struct core_runs *runs)
{
    struct core_active **former = runs->index;
    size_t former_size = runs->index_size;

    runs->index_size *= 2;
    runs->index = rc_calloc(runs->index_size, sizeof(struct core_active *));
    for (size_t i = 0; i < former_size; i++) {
        while (former[i]) {
            struct core_active *active = former[i];
            struct core_active **slot = slot_of(runs, active->id);

            former[i] = active->next_in_index;
            active->next_in_index = *slot;
            *slot = active;
        }
    }
    free(former);
}

struct core_active *core_runs_find(const struct core_runs *runs, const char *id)
{
    struct core_active *active = *slot_of(runs, id);

    while (active && strcmp(active->id, id) != 0)
        active = active->next_in_index;
    return active;
}

void core_runs_each(const struct core_runs *runs, void (*fn)(void *, struct core_active *),
                    void *context)
{
    for (size_t i = 0; i < runs->index_size; i++)
        for (struct core_active *active = runs->index[i]; active; active = active->next_in_index)
            fn(context, active);
}

/* ---- by job ------------------------------------------------------------------------------- */

/* What is older comes first: by the nominal time, or that of the trigger. */
static int64_t order_of(const struct core_active *active)
{
    return active->has_slot ? active->slot_unix_ms : active->due_unix_ms;
}

static void link_to_job(struct core_job_state *job, struct core_active *active)
{
    struct core_active *before = job->last;

    while (before && order_of(before) > order_of(active))
        before = before->earlier;
    active->job = job;
    active->earlier = before;
    active->later = before ? before->later : job->first;
    *(active->earlier ? &active->earlier->later : &job->first) = active;
    *(active->later ? &active->later->earlier : &job->last) = active;
}

static void unlink_from_job(struct core_active *active)
{
    struct core_job_state *job = active->job;

    if (!job)
        return;
    *(active->earlier ? &active->earlier->later : &job->first) = active->later;
    *(active->later ? &active->later->earlier : &job->last) = active->earlier;
    active->earlier = active->later = NULL;
}

static uint32_t *job_count_of(const struct core_active *active)
{
    return active->state == CORE_ACTIVE_WAITS ? &active->job->waiting : &active->job->busy;
}

/* Adds 'step' to what is counted of its state. */
static void count(struct core_runs *runs, struct core_active *active, int step)
{
    bool waits = active->state == CORE_ACTIVE_WAITS;

    *(waits                                  ? &runs->waiting
      : active->state == CORE_ACTIVE_CLAIMED ? &runs->claimed
                                             : &runs->workers) += step;
    if (active->job)
        *job_count_of(active) += (uint32_t)step;
}

void core_runs_add(struct core_runs *runs, struct core_job_state *job, struct core_active *active)
{
    struct core_active **slot;

    if (runs->count++ >= runs->index_size)
        grow(runs);
    slot = slot_of(runs, active->id);
    active->next_in_index = *slot;
    *slot = active;
    if (job)
        link_to_job(job, active);
    count(runs, active, +1);
}

void core_runs_join(struct core_job_state *job, struct core_active *active)
{
    link_to_job(job, active);
    ++*job_count_of(active);
}

void core_runs_remove(struct core_runs *runs, struct core_active *active)
{
    struct core_active **slot = slot_of(runs, active->id);

    while (*slot != active)
        slot = &(*slot)->next_in_index;
    *slot = active->next_in_index;
    runs->count--;
    count(runs, active, -1);
    core_pace_drop(&runs->pace, active);
    unlink_from_job(active);
    if (active->is_listed) {
        struct core_active **at = &runs->to_write;
        while (*at != active)
            at = &(*at)->next_listed;
        *at = active->next_listed;
        if (!*at)
            runs->to_write_last = at;
    }
    core_active_free(active);
}

void core_runs_set_state(struct core_runs *runs, struct core_active *active,
                         enum core_active_state state)
{
    core_heap_take(&active->place);
    count(runs, active, -1);
    active->state = state;
    count(runs, active, +1);
}

/* ---- whose turn it is --------------------------------------------------------------------- */

/* Whose turn is next: of a run between two attempts, else of the oldest. */
static struct core_active *next_in_turn(const struct core_job_state *job)
{
    struct core_active *oldest = NULL;

    for (struct core_active *active = job->first; active; active = active->later) {
        if (active->state != CORE_ACTIVE_WAITS || active->force || active->stop)
            continue;
        if (active->attempt > 0)
            return active;
        if (!oldest)
            oldest = active;
    }
    return oldest;
}

static bool has_its_turn(const struct core_active *active)
{
    const struct core_job_state *job = active->job;

    if (active->force || active->overlap == CORE_OVERLAP_ALLOW)
        return true;
    return job && job->busy == 0 && next_in_turn(job) == active;
}

void core_runs_place(struct core_runs *runs, struct core_active *active, int64_t now_unix_ms)
{
    core_heap_take(&active->place);
    if (active->state != CORE_ACTIVE_WAITS || active->stop)
        return;
    if (active->not_before_unix_ms > now_unix_ms)
        core_heap_put(&runs->later, &active->place, active->not_before_unix_ms);
    else if (has_its_turn(active))
        core_heap_put(&runs->ready, &active->place, order_of(active));
}

void core_runs_wake(struct core_runs *runs, struct core_job_state *job, int64_t now_unix_ms)
{
    struct core_active *active = job ? next_in_turn(job) : NULL;

    if (active)
        core_runs_place(runs, active, now_unix_ms);
}

/* ---- what is to be written ---------------------------------------------------------------- */

void core_runs_list(struct core_runs *runs, struct core_active *active)
{
    if (active->is_listed)
        return;
    active->is_listed = true;
    active->next_listed = NULL;
    *runs->to_write_last = active;
    runs->to_write_last = &active->next_listed;
}

struct core_active *core_runs_unlist(struct core_runs *runs)
{
    struct core_active *active = runs->to_write;

    if (!active)
        return NULL;
    runs->to_write = active->next_listed;
    if (!runs->to_write)
        runs->to_write_last = &runs->to_write;
    active->is_listed = false;
    active->next_listed = NULL;
    return active;
}
