/*
 * The table of jobs: made from a configuration, found by name, ordered by the next slot.
 */
#include <supervisor/jobs.h>

#include <runtime/job_schedule.h>
#include <supervisor/runs.h>

#include <run-core/str.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FNV_BASIS UINT64_C(14695981039346656037)
#define FNV_PRIME UINT64_C(1099511628211)

/* FNV-1a, with the end of the text. */
static uint64_t hash(uint64_t value, const char *text)
{
    for (const char *at = text ? text : "";; at++) {
        value = (value ^ (unsigned char)*at) * FNV_PRIME;
        if (!*at)
            return value;
    }
}

/*
 * What decides which slots there are and what becomes of those that were missed. A job in which any
 * of it changed starts anew: what was edited never fires the past.
 */
static uint64_t fingerprint(const struct core_job_settings *job)
{
    char numbers[64];

    (void)snprintf(numbers, sizeof(numbers), "%d %d %d %" PRId64, job->dst_gap, job->dst_overlap,
                   job->misfire, job->catchup_window_ms);
    return hash(hash(hash(FNV_BASIS, job->schedule), job->time_zone), numbers);
}

/* ---- schedules ----------------------------------------------------------------------------- */

/* Of many jobs, most have one of few schedules: those are found here by the words for them. */
struct shared {
    uint32_t *first; /* by their hash: place of the first job that has it, from 1; 0: none */
    size_t mask;
};

static bool is_scheduled_alike(const struct core_job_settings *a, const struct core_job_settings *b)
{
    return rc_str_eq(a->schedule, b->schedule) && rc_str_eq(a->time_zone, b->time_zone) &&
           a->dst_gap == b->dst_gap && a->dst_overlap == b->dst_overlap;
}

/* Where the first job stands that is scheduled like that one, or where it would. */
static uint32_t *find_shared(const struct shared *shared, const struct core_jobs *jobs,
                             const struct core_job_settings *job)
{
    size_t slot = hash(hash(FNV_BASIS, job->schedule), job->time_zone) & shared->mask;

    while (shared->first[slot] &&
           !is_scheduled_alike(jobs->items[shared->first[slot] - 1].settings, job))
        slot = (slot + 1) & shared->mask;
    return &shared->first[slot];
}

static void keep_schedule(struct core_jobs *jobs, struct core_schedule *schedule)
{
    if (jobs->schedule_count == jobs->schedule_capacity) {
        jobs->schedule_capacity = jobs->schedule_capacity ? 2 * jobs->schedule_capacity : 16;
        jobs->schedules =
            rc_realloc(jobs->schedules, jobs->schedule_capacity * sizeof(struct core_schedule *));
    }
    jobs->schedules[jobs->schedule_count++] = schedule;
}

static enum rc_code schedule_job(struct core_jobs *jobs, struct core_job_state *job,
                                 const struct shared *shared, struct rc_error *err)
{
    uint32_t *first = find_shared(shared, jobs, job->settings);
    struct core_schedule *schedule = NULL;

    if (*first) {
        job->schedule = jobs->items[*first - 1].schedule;
        return RC_OK;
    }
    if (core_job_schedule_make(job->settings, jobs->zones, &schedule, err))
        return rc_context(err, "schedule the job '%s'", job->settings->name);
    if (!schedule)
        return RC_OK;
    keep_schedule(jobs, schedule);
    job->schedule = schedule;
    if (!core_schedule_is_of_name(schedule))
        *first = (uint32_t)(job - jobs->items) + 1;
    return RC_OK;
}

/* ---- the table ----------------------------------------------------------------------------- */

static void add_to_index(struct core_jobs *jobs, size_t place)
{
    size_t slot = hash(FNV_BASIS, jobs->items[place].settings->name) & jobs->index_mask;

    while (jobs->index[slot])
        slot = (slot + 1) & jobs->index_mask;
    jobs->index[slot] = (uint32_t)place + 1;
}

struct core_job_state *core_jobs_find(const struct core_jobs *jobs, const char *name)
{
    size_t slot = hash(FNV_BASIS, name) & jobs->index_mask;

    for (; jobs->index[slot]; slot = (slot + 1) & jobs->index_mask) {
        struct core_job_state *job = &jobs->items[jobs->index[slot] - 1];
        if (strcmp(job->settings->name, name) == 0)
            return job;
    }
    return NULL;
}

static enum rc_code add_jobs(struct core_jobs *jobs, const struct core_config *config,
                             const struct shared *shared, struct rc_error *err)
{
    for (; jobs->count < config->job_count; jobs->count++) {
        struct core_job_state *job = &jobs->items[jobs->count];

        job->settings = &config->jobs[jobs->count];
        job->next_unix_ms = CORE_NEVER_UNIX_MS;
        job->fingerprint = fingerprint(job->settings);
        add_to_index(jobs, jobs->count);
        if (schedule_job(jobs, job, shared, err))
            return err->code;
    }
    return RC_OK;
}

enum rc_code core_jobs_make(const struct core_config *config, struct core_jobs **out,
                            struct rc_error *err)
{
    struct core_jobs *jobs = rc_calloc(1, sizeof(*jobs));
    struct shared shared;
    size_t slots = 16;

    while (slots < 2 * config->job_count)
        slots *= 2;
    jobs->items = rc_calloc(config->job_count + 1, sizeof(*jobs->items));
    jobs->index = rc_calloc(slots, sizeof(*jobs->index));
    jobs->index_mask = slots - 1;
    jobs->zones = core_time_zones_new();
    shared = (struct shared){ rc_calloc(slots, sizeof(*shared.first)), slots - 1 };
    if (add_jobs(jobs, config, &shared, err)) {
        core_jobs_free(jobs);
        jobs = NULL;
    }
    free(shared.first);
    *out = jobs;
    return jobs ? RC_OK : err->code;
}

void core_jobs_free(struct core_jobs *jobs)
{
    if (!jobs)
        return;
    core_heap_clear(&jobs->due);
    for (size_t i = 0; i < jobs->count; i++) {
        free(jobs->items[i].pause);
        free(jobs->items[i].counts);
    }
    for (size_t i = 0; i < jobs->schedule_count; i++)
        core_schedule_free(jobs->schedules[i]);
    free(jobs->schedules);
    free(jobs->items);
    free(jobs->index);
    core_time_zones_free(jobs->zones);
    free(jobs);
}

const char *core_job_fingerprint(const struct core_job_state *job, char out[CORE_FINGERPRINT_TEXT])
{
    (void)snprintf(out, CORE_FINGERPRINT_TEXT, "%016" PRIx64, job->fingerprint);
    return out;
}

bool core_jobs_keep(const struct core_jobs *jobs, const struct core_job_state *job)
{
    const struct core_job_state *same = core_jobs_find(jobs, job->settings->name);

    return same && same->fingerprint == job->fingerprint;
}

int64_t core_job_slot_after(const struct core_job_state *job, int64_t after_unix_ms)
{
    int64_t slot_unix_ms;

    if (!job->schedule || !core_schedule_next(job->schedule, after_unix_ms, &slot_unix_ms))
        return CORE_NEVER_UNIX_MS;
    return slot_unix_ms;
}

void core_job_set_cursor(struct core_job_state *job, int64_t cursor_unix_ms)
{
    job->cursor_unix_ms = cursor_unix_ms;
    job->next_unix_ms = core_job_slot_after(job, cursor_unix_ms);
}

void core_job_set_pause(struct core_job_state *job, int64_t since_unix_ms, const char *by)
{
    size_t len = strlen(by ? by : "");

    free(job->pause);
    job->pause = NULL;
    if (!since_unix_ms)
        return;
    job->pause = rc_calloc(1, sizeof(*job->pause) + len + 1);
    job->pause->since_unix_ms = since_unix_ms;
    if (len)
        memcpy(job->pause->by, by, len);
}

struct core_job_counts *core_job_counts_of(struct core_job_state *job)
{
    if (!job->counts)
        job->counts = rc_calloc(1, sizeof(*job->counts));
    return job->counts;
}

void core_job_inherit(struct core_job_state *job, struct core_job_state *former)
{
    free(job->pause);
    job->pause = former->pause;
    job->counts = former->counts;
    job->first = former->first;
    job->last = former->last;
    job->busy = former->busy;
    job->waiting = former->waiting;
    former->pause = NULL;
    former->counts = NULL;
    former->first = former->last = NULL;
    for (struct core_active *active = job->first; active; active = active->later)
        active->job = job;
    if (job->fingerprint == former->fingerprint)
        core_job_set_cursor(job, former->cursor_unix_ms);
}
