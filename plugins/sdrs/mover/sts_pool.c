/*
 * The pool: daily transfer jobs of a bucket that were made beforehand. What is to be moved is added
 * to the one that runs next, and once it has run, it is replaced by what comes then.
 */
#include "sts.h"

#include "../run.h"
#include "../state/pool.h"

#include <run-core/str.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    LOCK_WAIT_MS = 30 * 1000,
    LOCK_NAME = 150, /* bytes of the bucket's name in it */
    DAY_S = 24 * 60 * 60,
    GENERATIONS = 100, /* of names, as those of deleted jobs stay taken */
};

/* Executions and 'validate' change the jobs of a pool, here and on other machines. */
static enum rc_code lock_pool(struct rc_job *job, const char *bucket, struct rc_lock **out,
                              struct rc_error *err)
{
    RC_STR_AUTO name = rc_strf("sdrs pool %.*s", LOCK_NAME, bucket);

    if (rc_lock_acquire(job, name, LOCK_WAIT_MS, out, err))
        return rc_context(err, "lock the pool of '%s'", bucket);
    return RC_OK;
}

/* The type of pool jobs for a record. */
static const char *type_of(const struct sdrs_record *record)
{
    if (record->rule == 0)
        return "user";
    return strcmp(record->type, "DATASET") == 0 ? "dataset" : "default";
}

/* ---- made on demand -------------------------------------------------------------------------- */

static uint32_t hash_of(const char *text)
{
    uint32_t hash = UINT32_C(2166136261); /* FNV-1a */

    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * UINT32_C(16777619);
    return hash;
}

/*
 * One job, whose name a run that was killed has made, too. A name that another job has, or a
 * deleted one, is left to it.
 */
static enum rc_code make_job(const struct sts_work *work, int64_t index, int start_seconds,
                             char **name, struct rc_error *err)
{
    const char *project = work->move->record->project;
    const struct sdrs_transfer_spec spec = { .source = work->source, .sink = work->sink };
    RC_STR_AUTO description =
        rc_strf("run-core sdrs: pool of gs://%s, delete markers", work->source);

    for (int generation = 1; generation <= GENERATIONS; generation++) {
        struct sdrs_transfer_job there = { .name = NULL };
        bool ours;

        free(*name);
        *name = rc_strf("transferJobs/sdrs-pool-%08" PRIx32 "-%" PRId64 "-%d",
                        hash_of(work->source), index, generation);
        if (!sdrs_transfer_create_daily(&work->google, project, *name, description, &spec,
                                        work->job->now_unix_ms, start_seconds, err))
            return RC_OK;
        if (err->code != RC_CONFLICT ||
            sdrs_transfer_get(&work->google, project, *name, &there, err))
            return err->code;
        ours = strcmp(there.status, "DELETED") != 0 && strcmp(there.source, work->source) == 0 &&
               there.start_seconds == start_seconds;
        sdrs_transfer_job_clear(&there);
        if (ours)
            return RC_OK;
    }
    return rc_fail(err, RC_CONFLICT, "all names for jobs of the pool of 'gs://%s' are taken",
                   work->source);
}

static enum rc_code describe_job(const struct sts_work *work, int64_t index, int start_seconds,
                                 struct sdrs_pool_job *out, struct rc_error *err)
{
    const char *project = work->move->record->project;

    if (make_job(work, index, start_seconds, &out->name, err))
        return err->code;
    out->project = rc_strdup(project);
    out->schedule = rc_strf("%02d:%02d:%02d", start_seconds / 3600, start_seconds / 60 % 60,
                            start_seconds % 60);
    out->type = rc_strdup("user");
    out->source_bucket = rc_strdup(work->source);
    out->source_project = rc_strdup(project);
    out->target_bucket = rc_strdup(work->sink);
    out->target_project = rc_strdup(project);
    out->status = rc_strdup("DISABLED");
    return RC_OK;
}

/* Evenly over the day, and those of other buckets at other times. */
static enum rc_code make_pool(struct sts_work *work, struct sdrs_pool *pool, struct rc_error *err)
{
    int64_t count = work->move->config->pool_on_demand, step_s = DAY_S / count;
    int64_t first_s = hash_of(work->source) % step_s;

    pool->items = rc_calloc((size_t)count, sizeof(*pool->items));
    for (int64_t i = 0; i < count; i++) {
        struct sdrs_pool_job *job = &pool->items[pool->count++];

        if (describe_job(work, i, (int)(first_s + i * step_s), job, err))
            return err->code;
    }
    if (sdrs_pool_add(work->move->state, work->source, work->move->record->project, pool, err)) {
        work->state_failed = err->code != RC_CONFLICT;
        return rc_context(err, "keep the pool of 'gs://%s'", work->source);
    }
    sdrs_batch_log(work->job, RC_LOG_INFO, work->move->record->batch,
                   "made %" PRId64 " daily transfer jobs for delete markers in 'gs://%s'", count,
                   work->source);
    return RC_OK;
}

static enum rc_code find_pool(struct sts_work *work, struct sdrs_pool *pool, struct rc_error *err)
{
    const struct sdrs_record *record = work->move->record;

    if (sdrs_pool_find(work->move->state, work->source, record->project, type_of(record), pool,
                       err)) {
        work->state_failed = true;
        return rc_context(err, "look for the pool of 'gs://%s'", work->source);
    }
    if (pool->count > 0 || record->rule != 0 || work->move->config->pool_on_demand == 0)
        return RC_OK;
    return make_pool(work, pool, err);
}

/* ---- one job --------------------------------------------------------------------------------- */

/* What a job of the pool is to move, old and new. */
struct load {
    struct sdrs_prefixes includes, excludes;
};

static void load_clear(struct load *load)
{
    sdrs_prefixes_clear(&load->includes);
    sdrs_prefixes_clear(&load->excludes);
}

static void add_all(struct sdrs_prefixes *out, const struct sdrs_prefixes *prefixes)
{
    for (size_t i = 0; i < prefixes->count; i++)
        sdrs_prefixes_add(out, prefixes->items[i]);
}

/* An exclude of earlier that meets an include of now: what holds there, the excludes of now say. */
static bool is_outdated(const char *exclude, const struct sdrs_prefixes *includes)
{
    if (sdrs_prefixes_cover(includes, exclude))
        return true;
    for (size_t i = 0; i < includes->count; i++)
        if (rc_str_starts(includes->items[i], exclude))
            return true;
    return false;
}

/* The load with the next 'count' includes; whether a job takes it. 'old' is NULL if it has run. */
static bool try_load(const struct sts_work *work, const struct sdrs_transfer_job *old, size_t count,
                     struct load *out)
{
    const struct sdrs_prefixes *all = work->move->includes;
    const struct sdrs_prefixes fresh = { .items = all->items + work->placed, .count = count };

    load_clear(out);
    if (!work->is_whole)
        add_all(&out->includes, &fresh);
    sts_excludes_within(work, &fresh, &out->excludes);
    if (old) {
        add_all(&out->includes, &old->includes);
        for (size_t i = 0; i < old->excludes.count; i++)
            if (!is_outdated(old->excludes.items[i], &fresh))
                sdrs_prefixes_add(&out->excludes, old->excludes.items[i]);
    }
    sdrs_prefixes_merge(&out->includes);
    sdrs_prefixes_merge(&out->excludes);
    return out->includes.count <= (size_t)work->move->config->max_prefixes &&
           out->excludes.count <= SDRS_TRANSFER_PREFIXES;
}

/* As many of the includes as there is room for. Returns their number. */
static size_t fill_load(const struct sts_work *work, const struct sdrs_transfer_job *old,
                        struct load *out)
{
    size_t least = 0, most = work->move->includes->count - work->placed;

    if (try_load(work, old, most, out))
        return most;
    while (most - least > 1) { /* 'least' fit, 'most' do not */
        size_t middle = least + (most - least) / 2;

        if (try_load(work, old, middle, out))
            least = middle;
        else
            most = middle;
    }
    if (least > 0)
        (void)try_load(work, old, least, out);
    return least;
}

/*
 * Whether what a job moves is still to be moved: it has not run since it was told. '*ran_unix_ms'
 * is when it last began, 0 for never.
 */
static enum rc_code look_whether_waits(const struct sdrs_google *google,
                                       const struct sdrs_transfer_job *there, bool *waits,
                                       int64_t *ran_unix_ms, struct rc_error *err)
{
    struct sdrs_operation last = { .name = NULL };
    bool has_run = false;

    *ran_unix_ms = 0;
    if (*there->latest_operation) {
        if (sdrs_operation_get(google, there->latest_operation, &last, err))
            return err->code;
        *ran_unix_ms = last.begin_unix_ms;
        has_run = last.begin_unix_ms >= there->changed_unix_ms &&
                  sdrs_transfer_covers(&last.includes, &there->includes);
        sdrs_operation_clear(&last);
    }
    *waits = strcmp(there->status, "ENABLED") == 0 && !has_run;
    return RC_OK;
}

/* Whether its load can be added to: the conditions of both hold for all of a job. */
static bool is_addable(const struct sts_work *work, const struct sdrs_transfer_job *there)
{
    return !work->is_whole && there->includes.count > 0 &&
           there->modified_before_unix_ms == work->move->record->modified_before_unix_ms;
}

static enum rc_code change_job(struct sts_work *work, const struct sdrs_pool_job *job,
                               const struct load *load, size_t count, int64_t since_unix_ms,
                               struct rc_error *err)
{
    const struct sdrs_transfer_spec spec = {
        .source = work->source,
        .sink = work->sink,
        .includes = &load->includes,
        .excludes = &load->excludes,
        .modified_before_unix_ms = work->move->record->modified_before_unix_ms,
        .keep_existing = work->move->config->collision == SDRS_COLLISION_KEEP,
    };
    RC_STR_AUTO description = sts_description(work->move->record);
    struct sts_part *part = sts_parts_add(&work->parts);

    part->name = rc_strdup(job->name);
    part->project = rc_strdup(job->project);
    part->since_unix_ms = since_unix_ms;
    part->first = work->placed;
    part->count = count;
    if (sts_keep(work, err) || sdrs_transfer_change(&work->google, job->project, job->name,
                                                    description, &spec, &part->since_unix_ms, err))
        return err->code;
    work->placed += count;
    return RC_OK;
}

static enum rc_code fill_job(struct sts_work *work, const struct sdrs_pool_job *job,
                             const struct sdrs_transfer_job *there, struct rc_error *err)
{
    RC_CLEANUP(load_clear) struct load load = { .includes = { .items = NULL } };
    int64_t ran_unix_ms, since_unix_ms;
    size_t count;
    bool waits;

    if (look_whether_waits(&work->google, there, &waits, &ran_unix_ms, err))
        return err->code;
    count = fill_load(work, waits && is_addable(work, there) ? there : NULL, &load);
    if (count == 0)
        return RC_OK;
    since_unix_ms =
        ran_unix_ms >= there->changed_unix_ms ? ran_unix_ms + 1 : there->changed_unix_ms;
    return change_job(work, job, &load, count, since_unix_ms, err);
}

/* What somebody has deleted or turned to another bucket is no use; the others still are. */
static enum rc_code use_job(struct sts_work *work, const struct sdrs_pool_job *job,
                            struct rc_error *err)
{
    RC_CLEANUP(sdrs_transfer_job_clear) struct sdrs_transfer_job there = { .name = NULL };
    const char *batch = work->move->record->batch;
    enum rc_code code = sdrs_transfer_get(&work->google, job->project, job->name, &there, err);

    if (code && code != RC_NOT_FOUND)
        return code;
    if (code || strcmp(there.status, "DELETED") == 0) {
        sdrs_batch_log(work->job, RC_LOG_WARN, batch,
                       "ignoring the transfer job '%s' of the pool of 'gs://%s': it is deleted",
                       job->name, work->source);
        return RC_OK;
    }
    if (strcmp(there.source, work->source) != 0 || strcmp(there.sink, work->sink) != 0) {
        sdrs_batch_log(work->job, RC_LOG_WARN, batch,
                       "ignoring the transfer job '%s' of the pool of 'gs://%s': it moves from "
                       "'gs://%s' to 'gs://%s'",
                       job->name, work->source, there.source, there.sink);
        return RC_OK;
    }
    return fill_job(work, job, &there, err);
}

static enum rc_code use_jobs(struct sts_work *work, const struct sdrs_pool *pool,
                             struct rc_error *err)
{
    size_t next = sdrs_pool_next(pool, sdrs_now_unix_ms(work->job));

    for (size_t i = 0; i < pool->count && work->placed < work->move->includes->count; i++)
        if (use_job(work, &pool->items[(next + i) % pool->count], err))
            return err->code;
    return RC_OK;
}

enum rc_code sts_use_pool(struct sts_work *work, struct rc_error *err)
{
    struct sdrs_pool pool = { .items = NULL };
    struct rc_lock *lock = NULL;
    enum rc_code code;

    if (lock_pool(work->job, work->move->record->bucket, &lock, err))
        return err->code;
    code = find_pool(work, &pool, err);
    if (!code)
        code = use_jobs(work, &pool, err);
    sdrs_pool_clear(&pool);
    rc_lock_release(work->job, lock);
    return code;
}

/* ---- what is held since a job was told ------------------------------------------------------- */

static bool is_same(const struct sdrs_prefixes *a, const struct sdrs_prefixes *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (strcmp(a->items[i], b->items[i]) != 0)
            return false;
    return true;
}

/* What a job moves without what is held; false: nothing of it is. */
static bool make_held_load(const struct sdrs_transfer_job *there, const struct sdrs_prefixes *held,
                           struct load *out)
{
    size_t count;

    add_all(&out->includes, &there->includes);
    if (there->includes.count == 0)
        sdrs_prefixes_add(&out->includes, ""); /* the whole bucket */
    add_all(&out->excludes, &there->excludes);
    count = out->includes.count;
    sdrs_prefixes_hold(&out->includes, held, &out->excludes);
    sdrs_prefixes_merge(&out->excludes);
    return out->includes.count != count || !is_same(&out->excludes, &there->excludes);
}

/* One with nothing left to move is disabled: without includes it would move the whole bucket. So is
   one that has run, which is only told anew. */
static enum rc_code hold(const struct sdrs_config *config, const struct sdrs_google *google,
                         const struct sdrs_record *record, const struct sts_part *part,
                         const struct sdrs_prefixes *held, struct rc_error *err)
{
    RC_CLEANUP(sdrs_transfer_job_clear) struct sdrs_transfer_job there = { .name = NULL };
    RC_CLEANUP(load_clear) struct load load = { .includes = { .items = NULL } };
    const struct sdrs_prefixes all = { .items = NULL };
    RC_STR_AUTO description = sts_description(record);
    int64_t ran_unix_ms, changed_unix_ms = 0;
    bool waits;

    if (sdrs_transfer_get(google, part->project, part->name, &there, err))
        return err->code == RC_NOT_FOUND ? RC_OK : err->code;
    if (strcmp(there.status, "ENABLED") != 0 || !make_held_load(&there, held, &load))
        return RC_OK;
    if (look_whether_waits(google, &there, &waits, &ran_unix_ms, err))
        return err->code;
    if (!waits || load.includes.count == 0 || load.excludes.count > SDRS_TRANSFER_PREFIXES)
        return sdrs_transfer_disable(google, part->project, part->name, err);
    return sdrs_transfer_change(google, part->project, part->name, description,
                                &(struct sdrs_transfer_spec){
                                    .source = there.source,
                                    .sink = there.sink,
                                    .includes = there.includes.count > 0 ? &load.includes : &all,
                                    .excludes = &load.excludes,
                                    .modified_before_unix_ms = there.modified_before_unix_ms,
                                    .keep_existing = config->collision == SDRS_COLLISION_KEEP,
                                },
                                &changed_unix_ms, err);
}

enum rc_code sts_hold_pool_job(struct rc_job *job, const struct sdrs_config *config,
                               const struct sdrs_google *google, const struct sdrs_record *record,
                               const struct sts_part *part, const struct sdrs_prefixes *held,
                               struct rc_error *err)
{
    struct rc_lock *lock = NULL;
    enum rc_code code = lock_pool(job, record->bucket, &lock, err);

    if (code)
        return code;
    code = hold(config, google, record, part, held, err);
    rc_lock_release(job, lock);
    return code ? rc_context(err, "take out of the transfer job '%s' what is held", part->name)
                : RC_OK;
}

/* ---- a job that has run ---------------------------------------------------------------------- */

static enum rc_code rest(const struct sdrs_google *google, const struct sts_part *part,
                         struct rc_error *err)
{
    RC_CLEANUP(sdrs_transfer_job_clear) struct sdrs_transfer_job there = { .name = NULL };
    int64_t ran_unix_ms;
    bool waits;

    if (sdrs_transfer_get(google, part->project, part->name, &there, err) ||
        look_whether_waits(google, &there, &waits, &ran_unix_ms, err))
        return err->code;
    if (waits || strcmp(there.status, "ENABLED") != 0)
        return RC_OK;
    return sdrs_transfer_disable(google, part->project, part->name, err);
}

void sts_rest_pool_job(struct rc_job *job, const struct sdrs_google *google,
                       const struct sdrs_record *record, const struct sts_part *part)
{
    struct rc_error err = RC_ERROR_INIT;
    struct rc_lock *lock = NULL;
    enum rc_code code = lock_pool(job, record->bucket, &lock, &err);

    if (!code)
        code = rest(google, part, &err);
    rc_lock_release(job, lock);
    if (code)
        sdrs_batch_log(job, RC_LOG_WARN, record->batch,
                       "the transfer job '%s' of the pool of '%s' will run again tomorrow, as it "
                       "cannot be disabled: %s",
                       part->name, record->bucket, err.cause);
}
