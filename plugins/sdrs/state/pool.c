/*
 * The table of the pool. That its jobs exist at the service is looked up in rest/pool.c.
 */
#include "pool.h"

#include "internal.h"

#include <run-core/str.h>
#include <run-core/time.h>

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

enum { CLOCK_TEXT = 16 };

void sdrs_pool_job_clear(struct sdrs_pool_job *job)
{
    free(job->name);
    free(job->project);
    free(job->schedule);
    free(job->type);
    free(job->source_bucket);
    free(job->source_project);
    free(job->target_bucket);
    free(job->target_project);
    free(job->status);
    *job = (struct sdrs_pool_job){ 0 };
}

void sdrs_pool_clear(struct sdrs_pool *pool)
{
    for (size_t i = 0; i < pool->count; i++)
        sdrs_pool_job_clear(&pool->items[i]);
    free(pool->items);
    *pool = (struct sdrs_pool){ 0 };
}

/* ---- adding ---------------------------------------------------------------------------------- */

struct adding {
    const char *bucket, *project;
    struct sdrs_pool *pool;
};

static enum rc_code refuse(struct sdrs_state *state, struct rc_error *err)
{
    return sdrs_state_refuse(state, err, RC_CONFLICT, "Job pool already exists or jobs in use");
}

static enum rc_code check_name(struct sdrs_state *state, const struct sdrs_pool_job *job,
                               struct rc_error *err)
{
    const struct rc_value values[] = { rc_value_text(job->project), rc_value_text(job->name) };
    int64_t count;

    if (sdrs_state_count(state, "SELECT count(*) FROM pool WHERE project = $1 AND name = $2",
                         values, RC_ARRAY_LEN(values), &count, err))
        return err->code;
    return count > 0 ? refuse(state, err) : RC_OK;
}

static enum rc_code insert(struct sdrs_state *state, const struct adding *adding,
                           struct sdrs_pool_job *job, struct rc_error *err)
{
    job->created_unix_ms = job->changed_unix_ms = sdrs_now_unix_ms(state->job);
    if (sdrs_state_number(state, "pool", &job->id, err))
        return err->code;
    const struct rc_value values[] = {
        rc_value_int(job->id),
        rc_value_text(job->name),
        rc_value_text(job->project),
        rc_value_text(job->schedule),
        rc_value_text(job->type),
        rc_value_text(job->source_bucket ? job->source_bucket : adding->bucket),
        rc_value_text(job->source_project ? job->source_project : adding->project),
        rc_value_text(job->target_bucket),
        rc_value_text(job->target_project),
        rc_value_text(job->status),
        rc_value_int(job->created_unix_ms),
    };

    return sdrs_state_exec(state,
                           "INSERT INTO pool (id, name, project, schedule, type, source_bucket,"
                           " source_project, target_bucket, target_project, status,"
                           " created_unix_ms, changed_unix_ms) VALUES ($1, $2, $3, $4, $5, $6, $7,"
                           " $8, $9, $10, $11, $11)",
                           values, RC_ARRAY_LEN(values), NULL, err);
}

/* A pool has parts for each type, which come one after the other: that for 'user' on demand. */
static bool share_a_type(const struct sdrs_pool *a, const struct sdrs_pool *b)
{
    for (size_t i = 0; i < a->count; i++)
        for (size_t k = 0; k < b->count; k++)
            if (strcasecmp(a->items[i].type, b->items[k].type) == 0)
                return true;
    return false;
}

static enum rc_code add(struct sdrs_state *state, void *context, struct rc_error *err)
{
    const struct adding *adding = context;
    struct sdrs_pool there;
    bool is_there;

    if (sdrs_pool_find(state, adding->bucket, adding->project, NULL, &there, err))
        return err->code;
    is_there = share_a_type(&there, adding->pool);
    sdrs_pool_clear(&there);
    if (is_there)
        return refuse(state, err);
    /* Each looks at those before it as well, so that a list with a name twice is refused. */
    for (size_t i = 0; i < adding->pool->count; i++)
        if (check_name(state, &adding->pool->items[i], err) ||
            insert(state, adding, &adding->pool->items[i], err))
            return err->code;
    return RC_OK;
}

enum rc_code sdrs_pool_add(struct sdrs_state *state, const char *bucket, const char *project,
                           struct sdrs_pool *pool, struct rc_error *err)
{
    struct adding context = { bucket, project, pool };

    if (sdrs_state_transact(state, add, &context, err))
        return sdrs_state_failed(state, err, "add a pool of transfer jobs for '%s'", bucket);
    return RC_OK;
}

/* ---- reading --------------------------------------------------------------------------------- */

struct finding {
    const char *type;
    struct sdrs_pool *pool;
};

static void take_job(void *context, const struct rc_value *row)
{
    const struct finding *finding = context;
    struct sdrs_pool *pool = finding->pool;
    struct sdrs_pool_job *job;

    if (finding->type && strcasecmp(row[4].text, finding->type) != 0)
        return;
    pool->items = sdrs_grown(pool->items, pool->count, sizeof(*pool->items));
    job = &pool->items[pool->count++];
    job->id = row[0].integer;
    job->name = sdrs_owned(&row[1]);
    job->project = sdrs_owned(&row[2]);
    job->schedule = sdrs_owned(&row[3]);
    job->type = sdrs_owned(&row[4]);
    job->source_bucket = sdrs_owned(&row[5]);
    job->source_project = sdrs_owned(&row[6]);
    job->target_bucket = sdrs_owned(&row[7]);
    job->target_project = sdrs_owned(&row[8]);
    job->status = sdrs_owned(&row[9]);
    job->created_unix_ms = row[10].integer;
    job->changed_unix_ms = row[11].integer;
}

enum rc_code sdrs_pool_find(struct sdrs_state *state, const char *bucket, const char *project,
                            const char *type, struct sdrs_pool *out, struct rc_error *err)
{
    const struct rc_value source[] = { rc_value_text(bucket), rc_value_text(project) };
    struct finding context = { type, out };

    *out = (struct sdrs_pool){ 0 };
    if (sdrs_state_rows(state,
                        "SELECT id, name, project, schedule, type, source_bucket, source_project,"
                        " target_bucket, target_project, status, created_unix_ms, changed_unix_ms"
                        " FROM pool WHERE source_bucket = $1 AND source_project = $2"
                        " ORDER BY schedule, id",
                        source, RC_ARRAY_LEN(source), take_job, &context, err)) {
        sdrs_pool_clear(out);
        return rc_context(err, "read the pool of transfer jobs for '%s'", bucket);
    }
    return RC_OK;
}

enum rc_code sdrs_pool_delete(struct sdrs_state *state, const char *bucket, const char *project,
                              int64_t *deleted, struct rc_error *err)
{
    const struct rc_value source[] = { rc_value_text(bucket), rc_value_text(project) };

    *deleted = 0;
    if (sdrs_state_exec(state, "DELETE FROM pool WHERE source_bucket = $1 AND source_project = $2",
                        source, RC_ARRAY_LEN(source), deleted, err))
        return rc_context(err, "delete the pool of transfer jobs for '%s'", bucket);
    return RC_OK;
}

/* ---- the next one ---------------------------------------------------------------------------- */

size_t sdrs_pool_next(const struct sdrs_pool *pool, int64_t now_unix_ms)
{
    int64_t second = (now_unix_ms % RC_DAY_MS + RC_DAY_MS) % RC_DAY_MS / 1000;
    char now[CLOCK_TEXT];

    (void)snprintf(now, sizeof(now), "%02d:%02d:%02d", (int)(second / 3600),
                   (int)(second / 60 % 60), (int)(second % 60));
    for (size_t i = 0; i < pool->count; i++)
        if (strcmp(pool->items[i].schedule, now) > 0)
            return i;
    return pool->count > 0 ? 0 : SIZE_MAX;
}
