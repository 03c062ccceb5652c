/*
 * The action 'plan', and a dry run of 'cleanup': searches as a cleanup does, changes nothing, and
 * takes no lock.
 */
#include "plan.h"
#include "lookup.h"
#include "run.h"

#include "parquet/rewrite.h"

#include <stdlib.h>
#include <time.h>

struct planning {
    const struct dsr_config *config;
    const struct dsr_places *places;
    struct dsr_engines *engines; /* that search the lake; NULL: the plugin's own reader does */
    struct dsr_malformed malformed;
    struct dsr_plan *plan;
    const int32_t *shards;
    size_t width;
};

/* A table's objects in a shard. */
struct searching {
    struct planning *planning;
    const struct dsr_shard_markers *markers;
    size_t table;
    struct dsr_objects objects;
    struct dsr_looked_up looked;
};

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Tells of an error that is of one file or shard alone; what ends the run is passed on. */
static enum rc_code tell_failed(struct rc_job *job, struct planning *planning, enum rc_code code,
                                const char *what, struct rc_error *err)
{
    struct rc_error stop = RC_ERROR_INIT;

    if (code == RC_CANCELLED)
        return code;
    if (rc_job_check(job, &stop)) {
        *err = stop;
        return err->code;
    }
    rc_context(err, "search %s", what);
    rc_error(job, "%s: %s", err->context, err->cause);
    pthread_mutex_lock(&planning->plan->mutex);
    planning->plan->failed++;
    pthread_mutex_unlock(&planning->plan->mutex);
    return RC_OK;
}

/* ---- a file ---- */

static enum rc_code write_nothing(void *context, const void *data, size_t len, struct rc_error *err)
{
    (void)context;
    (void)data;
    (void)len;
    (void)err;
    return RC_OK;
}

/*
 * Does what a cleanup does to a file, to see how long it takes: the new file goes nowhere, and the
 * old one is compared four times, as both are by the plugin and by the engine.
 */
static enum rc_code try_rewrite(struct dsr_plan *plan, const struct pq_file *file,
                                const struct dsr_found *found, struct rc_error *err)
{
    const struct pq_sink nowhere = { .write = write_nothing };
    const struct pq_rows without = { found->rows, found->count };
    struct pq_rewritten rewritten;
    int64_t begin_ns, rewritten_ns, end_ns;
    RC_BUF_AUTO(digest, (file->column_count + 1) * PQ_DIGEST);

    begin_ns = now_ns();
    if (pq_rewrite(file, &without, &nowhere, NULL, &rewritten, err))
        return rc_context(err, "rewrite it for trial");
    rewritten_ns = now_ns();
    if (pq_digest(file, &without, &digest, err))
        return rc_context(err, "compare it for trial");
    end_ns = now_ns();
    pthread_mutex_lock(&plan->mutex);
    plan->trial_ns += (rewritten_ns - begin_ns) + 4 * (end_ns - rewritten_ns);
    plan->trying_ns += end_ns - begin_ns;
    pthread_mutex_unlock(&plan->mutex);
    return RC_OK;
}

/* What was found in a file, if anything. */
static void add_file(const struct searching *searching, const struct dsr_object *object,
                     int64_t rows, int64_t row_count)
{
    dsr_plan_add(searching->planning->plan, &(struct dsr_plan_file){
                                                .shard = searching->markers->shard,
                                                .day = object->day,
                                                .table = searching->table,
                                                .uri = object->uri,
                                                .rows = rows,
                                                .row_count = row_count,
                                                .size_bytes = object->stat.size_bytes,
                                            });
}

/* 'told': rows, of dsr_looked_rows(). */
static enum rc_code search_file(struct rc_job *job, const struct searching *searching,
                                const struct dsr_object *object, const struct pq_file *file,
                                int64_t told, struct rc_error *err)
{
    const struct planning *planning = searching->planning;
    const struct dsr_table *table =
        RC_OBJECT_AT(struct dsr_table, planning->config->tables, searching->table);
    struct dsr_found found;
    enum rc_code code;

    if (dsr_find(file, table, searching->markers->users, planning->config->trust_statistics, &found,
                 err))
        return err->code;
    if (found.is_summary)
        rc_warn(job, "'%s' describes other files and has no rows of its own; it is not searched",
                object->uri);
    code = dsr_looked_agree(told, found.count, err);
    if (!code && found.count > 0 && (int64_t)found.count < found.row_count &&
        dsr_plan_wants_trial(planning->plan, object->stat.size_bytes))
        code = try_rewrite(planning->plan, file, &found, err);
    if (!code)
        add_file(searching, object, (int64_t)found.count, found.row_count);
    dsr_found_clear(&found);
    return code;
}

static enum rc_code search_object(struct rc_job *job, const struct searching *searching,
                                  const struct dsr_object *object, int64_t told,
                                  struct rc_error *err)
{
    struct dsr_reader *reader;
    struct pq_file file;
    bool is_data;
    enum rc_code code;

    if (dsr_reader_open(job, object->uri, &object->stat, /* version = */ NULL, &reader, err))
        return err->code;
    code = dsr_reader_is_data(reader, &is_data, err);
    if (!code && !is_data)
        dsr_lake_leave(job, object);
    if (!code && is_data) {
        code = pq_file_open(&file, dsr_reader_source(reader), DSR_FOOTER_LIMIT, err);
        if (!code) {
            code = search_file(job, searching, object, &file, told, err);
            pq_file_close(&file);
        }
    }
    dsr_reader_close(reader);
    return code;
}

static void tell_progress(struct rc_job *job, struct dsr_plan *plan, size_t listed, size_t done)
{
    int64_t all, sum;

    pthread_mutex_lock(&plan->mutex);
    all = plan->listed += (int64_t)listed;
    sum = plan->done += (int64_t)done;
    pthread_mutex_unlock(&plan->mutex);
    rc_job_progress(job, sum, all, "files");
}

/* Somebody else may replace the object meanwhile: then it is searched anew, if it is there. */
static enum rc_code search_one(struct rc_job *job, void *context, size_t index,
                               struct rc_error *err)
{
    const struct searching *searching = context;
    struct planning *planning = searching->planning;
    struct dsr_object object = searching->objects.items[index];
    RC_STR_AUTO what = rc_strf("'%s'", object.uri);
    int64_t told = dsr_looked_rows(&searching->looked, index);
    enum rc_code code = RC_OK;

    if (told == 0)
        add_file(searching, &object, 0, searching->looked.items[index].row_count);
    for (int64_t attempt = 1; told != 0; attempt++) {
        code = search_object(job, searching, &object, told, err);
        if (code != RC_CONFLICT || attempt >= planning->config->attempts)
            break;
        told = DSR_NOT_TOLD;
        code = rc_storage_stat(job, object.uri, &object.stat, err);
        if (code) {
            code = code == RC_NOT_FOUND ? RC_OK : code;
            break;
        }
    }
    tell_progress(job, planning->plan, /* listed = */ 0, /* done = */ 1);
    return code ? tell_failed(job, planning, code, what, err) : RC_OK;
}

/* ---- a shard ---- */

static enum rc_code look_up(struct rc_job *job, struct searching *searching, size_t width,
                            struct rc_error *err)
{
    const struct planning *planning = searching->planning;
    const struct dsr_lookup lookup = {
        .engines = planning->engines,
        .config = planning->config,
        .places = planning->places,
        .table = searching->table,
        .shard = searching->markers->shard,
        .users = searching->markers->users,
        .objects = &searching->objects,
        .width = width,
    };

    return dsr_lookup(job, &lookup, &searching->looked, err);
}

static enum rc_code plan_table(struct rc_job *job, struct planning *planning,
                               const struct dsr_shard_markers *markers, size_t table, size_t width,
                               struct rc_error *err)
{
    struct searching searching = { .planning = planning, .markers = markers, .table = table };
    enum rc_code code =
        dsr_lake_list(job, planning->places, table, markers->shard, markers->first_day,
                      markers->last_day, &searching.objects, err);

    if (code)
        return code;
    tell_progress(job, planning->plan, searching.objects.count, /* done = */ 0);
    code = look_up(job, &searching, width, err);
    if (!code)
        code = rc_parallel(job, width, searching.objects.count, search_one, &searching, err);
    dsr_looked_clear(&searching.looked);
    dsr_objects_clear(&searching.objects);
    return code;
}

static enum rc_code plan_markers(struct rc_job *job, struct planning *planning,
                                 const struct dsr_shard_markers *markers, size_t width,
                                 struct rc_error *err)
{
    struct dsr_plan *plan = planning->plan;

    pthread_mutex_lock(&plan->mutex);
    plan->shards++;
    plan->markers += (int64_t)markers->count;
    plan->users += (int64_t)dsr_users_count(markers->users);
    pthread_mutex_unlock(&plan->mutex);
    for (size_t i = 0; i < plan->table_count; i++)
        if (plan_table(job, planning, markers, i, width, err))
            return err->code;
    return RC_OK;
}

static enum rc_code plan_shard(struct rc_job *job, void *context, size_t index,
                               struct rc_error *err)
{
    struct planning *planning = context;
    int32_t shard = planning->shards[index];
    RC_STR_AUTO what = rc_strf("shard %d", (int)shard);
    struct dsr_shard_markers markers;
    enum rc_code code =
        dsr_markers_load(job, planning->places, shard, &planning->malformed, &markers, err);

    if (!code) {
        if (markers.count > 0)
            code = plan_markers(job, planning, &markers, planning->width, err);
        dsr_markers_clear(&markers);
    }
    return code ? tell_failed(job, planning, code, what, err) : RC_OK;
}

/* ---- the run ---- */

static size_t choose_shards(const struct dsr_params *params, int32_t *shards, size_t count)
{
    size_t kept = 0;

    for (size_t i = 0; i < count; i++)
        if (!params || dsr_shards_have(&params->shards, shards[i]))
            shards[kept++] = shards[i];
    return kept;
}

/*
 * An engine that is elsewhere is asked as by a cleanup; one of this machine would be no more than a
 * second opinion. One that is not there keeps a cleanup from beginning, but not a plan.
 */
static enum rc_code open_engines(struct rc_job *job, struct planning *planning,
                                 struct rc_error *err)
{
    struct rc_error why = RC_ERROR_INIT;

    if (job->dry_run)
        return RC_OK;
    if (dsr_engines_new(job, planning->config, /* scratch = */ NULL, planning->width,
                        &planning->engines, &why)) {
        if (rc_job_check(job, err))
            return err->code;
        if (why.code == RC_CANCELLED || rc_retryable(why.code)) {
            *err = why;
            return rc_context(err, "open the SQL engine");
        }
        rc_warn(job,
                "a cleanup could not begin, as there is no SQL engine; the plan is made by "
                "the plugin's own reader: %s%s%s",
                why.context, why.context[0] ? ": " : "", why.cause);
        return RC_OK;
    }
    if (dsr_engines_read_files(planning->engines)) {
        dsr_engines_free(planning->engines);
        planning->engines = NULL;
    }
    return RC_OK;
}

static enum rc_code search(struct rc_job *job, struct planning *planning, struct rc_error *err)
{
    size_t width = dsr_width(planning->config), count, outer;
    int32_t *shards;
    enum rc_code code;

    if (dsr_check_tables(job, planning->config, planning->places, /* journal = */ NULL, err) ||
        dsr_markers_shards(job, planning->places, &planning->malformed, &shards, &count, err))
        return err->code;
    count = choose_shards(job->params, shards, count);
    outer = count < width ? (count > 0 ? count : 1) : width;
    planning->shards = shards;
    planning->width = width / outer;
    code = count > 0 ? open_engines(job, planning, err) : RC_OK;
    if (!code)
        code = rc_parallel(job, outer, count, plan_shard, planning, err);
    dsr_engines_free(planning->engines);
    free(shards);
    return code;
}

static enum rc_code make_plan(struct rc_job *job, const struct dsr_config *config,
                              const struct dsr_places *places, struct rc_error *err)
{
    struct dsr_malformed_log malformed = { .job = job, .folder = places->markers };
    struct dsr_plan plan;
    struct planning planning = {
        .config = config,
        .places = places,
        .malformed = { .tell = dsr_malformed_warn, .context = &malformed },
        .plan = &plan,
    };
    int64_t begin_ns = now_ns();
    enum rc_code code;

    dsr_plan_init(&plan, config->tables.len);
    code = search(job, &planning, err);
    dsr_malformed_end(&malformed);
    plan.malformed = malformed.count;
    if (!code)
        dsr_plan_show(job, &plan, config, now_ns() - begin_ns, dsr_width(config));
    if (!code && plan.failed > 0)
        code = rc_fail(err, RC_FAILED,
                       "%lld files or shards could not be searched; a cleanup would leave the "
                       "markers of their shards where they are, see the errors above",
                       (long long)plan.failed);
    dsr_plan_clear(&plan);
    return code;
}

enum rc_code dsr_plan_run(struct rc_job *job, const void *config, struct rc_error *err)
{
    const struct dsr_params *params = job->params;
    struct dsr_places places;
    enum rc_code code;

    if (params && dsr_shards_check(&params->shards, err))
        return err->code;
    if (dsr_places_make(config, job->working_dir, &places, err))
        return err->code;
    code = make_plan(job, config, &places, err);
    dsr_places_clear(&places);
    return code;
}
