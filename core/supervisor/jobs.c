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

enum rc_code core_jobs_make(const struct core_config *config, struct core_jobs **out,
                            struct rc_error *err)
{
    struct core_jobs *jobs = rc_calloc(1, sizeof(*jobs));
    size_t slots = 16;

    while (slots < 2 * config->job_count)
        slots *= 2;
    jobs->items = rc_calloc(config->job_count + 1, sizeof(*jobs->items));
    jobs->index = rc_calloc(slots, sizeof(*jobs->index));
    jobs->index_mask = slots - 1;
    jobs->zones = core_time_zones_new();
    for (; jobs->count < config->job_count; jobs->count++) {
        struct core_job_state *job = &jobs->items[jobs->count];

        job->settings = &config->jobs[jobs->count];
        job->next_unix_ms = CORE_NEVER_UNIX_MS;
        job->fingerprint = fingerprint(job->settings);
        add_to_index(jobs, jobs->count);
        if (core_job_schedule_make(job->settings, jobs->zones, &job->schedule, err)) {
            (void)rc_context(err, "schedule the job '%s'", job->settings->name);
            core_jobs_free(jobs);
            return err->code;
        }
    }
    *out = jobs;
    return RC_OK;
}

void core_jobs_free(struct core_jobs *jobs)
{
    if (!jobs)
        return;
    core_heap_clear(&jobs->due);
    for (size_t i = 0; i <= jobs->count; i++) { /* the one behind too: it may be half made */
        core_schedule_free(jobs->items[i].schedule);
        free(jobs->items[i].pause);
        free(jobs->items[i].counts);
    }
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
