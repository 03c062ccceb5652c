/*
 * The action 'dm-batch': the delete markers that wait, by their buckets, several at once, each
 * apart from the others. Of one bucket those go first that have waited longest and failed most.
 */
#include "report.h"
#include "run.h"

#include "state/markers.h"
#include "storage_name.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { PREFIXES_BYTES = 16 << 20 };

/* The markers of a bucket in their order; borrowed. */
struct group {
    const char *bucket;
    struct sdrs_markers markers;
};

struct batching {
    const struct sdrs_config *config;
    struct group *groups;
    size_t count;
    struct sdrs_report report;
    atomic_size_t done;
};

/* One bucket at work. */
struct at_bucket {
    struct rc_job *job;
    struct batching *batching;
    const struct group *group;
    struct sdrs_prefixes holds, under_way;
    struct sdrs_state state;
    struct rc_lock *lock;
};

/* ---- by bucket ------------------------------------------------------------------------------- */

static void append(struct sdrs_markers *markers, const struct sdrs_marker *marker)
{
    markers->items = rc_realloc(markers->items, (markers->count + 1) * sizeof(*markers->items));
    markers->items[markers->count++] = *marker;
}

static int compare_groups(const void *a, const void *b)
{
    return strcmp(((const struct group *)a)->bucket, ((const struct group *)b)->bucket);
}

/* A group for each bucket, then each marker into its own. */
static void make_groups(struct batching *batching, const struct sdrs_markers *due)
{
    struct group *groups = rc_calloc(due->count + 1, sizeof(*groups));
    size_t count = 0;

    for (size_t i = 0; i < due->count; i++)
        groups[i].bucket = due->items[i].bucket;
    if (due->count > 1)
        qsort(groups, due->count, sizeof(*groups), compare_groups);
    for (size_t i = 0; i < due->count; i++)
        if (i == 0 || strcmp(groups[i].bucket, groups[count - 1].bucket) != 0)
            groups[count++].bucket = groups[i].bucket;
    for (size_t i = 0; i < due->count; i++) {
        const struct group key = { .bucket = due->items[i].bucket };
        struct group *group = bsearch(&key, groups, count, sizeof(*groups), compare_groups);

        append(&group->markers, &due->items[i]);
    }
    batching->groups = groups;
    batching->count = count;
}

static void free_groups(struct batching *batching)
{
    for (size_t i = 0; i < batching->count; i++)
        free(batching->groups[i].markers.items);
    free(batching->groups);
}

/* ---- a job ----------------------------------------------------------------------------------- */

/* Markers of one project that a job takes, and what they come to. */
struct taken {
    struct sdrs_markers markers; /* borrowed */
    struct sdrs_prefixes includes, excludes, datasets;
    struct sdrs_record record;
};

static void clear_taken(struct taken *taken)
{
    free(taken->markers.items);
    sdrs_prefixes_clear(&taken->includes);
    sdrs_prefixes_clear(&taken->excludes);
    sdrs_record_clear(&taken->record);
}

/* The batch or execution of all of them, where it is the same. */
static const char *common(const struct sdrs_markers *markers, bool of_batch)
{
    const struct sdrs_marker *first = &markers->items[0];
    const char *text = of_batch ? first->batch : first->execution;

    for (size_t i = 1; i < markers->count; i++)
        if (!rc_str_eq(of_batch ? markers->items[i].batch : markers->items[i].execution, text))
            return NULL;
    return text;
}

static enum rc_code write_prefixes(const struct sdrs_prefixes *prefixes, char **out,
                                   struct rc_error *err)
{
    RC_BUF_AUTO(text, PREFIXES_BYTES);

    sdrs_prefixes_write(prefixes, &text);
    if (rc_buf_check(&text, err))
        return err->code;
    *out = rc_buf_take(&text);
    return RC_OK;
}

static enum rc_code fill_record(const struct at_bucket *at, struct taken *taken,
                                struct rc_error *err)
{
    const struct sdrs_config *config = at->batching->config;
    const struct sdrs_marker *first = &taken->markers.items[0];
    const char *batch = common(&taken->markers, /* of_batch = */ true);
    char made[SDRS_UUID_TEXT];
    RC_CLEANUP(sdrs_place_clear) struct sdrs_place place = { 0 };

    if (!batch && sdrs_uuid_make(made, err))
        return err->code;
    taken->record = (struct sdrs_record){
        .execution = rc_strdup(common(&taken->markers, /* of_batch = */ false)),
        .batch = rc_strdup(batch ? batch : made),
        .type = rc_strdup(SDRS_USER),
        .project = rc_strdup(first->project),
        .bucket = rc_strdup(at->group->bucket),
        .mover = sdrs_mover_of(config, at->group->bucket),
        .status = SDRS_JOB_RUNNING,
    };
    if (sdrs_place_parse("target", first->target, &config->file_roots, &place, err))
        return err->code;
    taken->record.shadow = sdrs_shadow_uri(&place, config->shadow_extension, config->shadow_prefix);
    if (write_prefixes(&taken->includes, &taken->record.prefixes, err) ||
        write_prefixes(&taken->excludes, &taken->record.excludes, err))
        return err->code;
    return RC_OK;
}

static enum rc_code schedule(struct sdrs_state *state, void *context, struct rc_error *err)
{
    struct taken *taken = context;

    if (sdrs_jobs_add(state, &taken->record, err) ||
        sdrs_markers_schedule(state, &taken->markers, taken->record.id, err))
        return err->code;
    for (size_t i = 0; i < taken->markers.count; i++) {
        struct sdrs_marker scheduled = taken->markers.items[i];

        scheduled.status = SDRS_MARKER_SCHEDULED;
        if (sdrs_marker_conclude(state, &scheduled, state->job->run_id, err))
            return err->code;
    }
    return RC_OK;
}

static void report(struct at_bucket *at, const struct taken *taken)
{
    struct sdrs_row row = sdrs_row_of(&taken->record, at->group->bucket, taken->includes.count);

    if (at->job->dry_run)
        row.state = SDRS_ROW_PLANNED;
    sdrs_report_add(&at->batching->report, &row);
    if (taken->record.status == SDRS_JOB_ERROR)
        sdrs_batch_log(at->job, RC_LOG_ERROR, taken->record.batch, "'%s': %s", row.name,
                       row.message);
}

static enum rc_code weigh_object(void *context, const char *key, const struct rc_stat *stat,
                                 struct rc_error *err)
{
    struct sdrs_record *record = context;

    (void)key;
    (void)err;
    record->objects++;
    record->bytes += stat->size_bytes;
    return RC_OK;
}

/* What is wrong with the job itself, such as its names, fails it as the mover would. */
static enum rc_code run_job(struct at_bucket *at, struct taken *taken, const char *mistake,
                            struct rc_error *err)
{
    struct sdrs_move move = {
        .state = &at->state,
        .config = at->batching->config,
        .lock = at->lock,
        .includes = &taken->includes,
        .excludes = &taken->excludes,
        .datasets = &taken->datasets,
        .record = &taken->record,
    };

    if (at->job->dry_run)
        return mistake ? RC_OK : sdrs_move_list(at->job, &move, weigh_object, &taken->record, err);
    if (rc_lock_check(at->job, at->lock, err) ||
        sdrs_state_transact(&at->state, schedule, taken, err))
        return err->code;
    if (!mistake)
        return sdrs_move(at->job, &move, err);
    taken->record.status = SDRS_JOB_ERROR;
    taken->record.message = rc_strdup(mistake);
    return sdrs_settle(&at->state, at->batching->config, &taken->record, err);
}

/* For the jobs of this run that follow. */
static void add_under_way(struct at_bucket *at, const struct sdrs_prefixes *includes)
{
    for (size_t i = 0; i < includes->count; i++)
        sdrs_prefixes_add(&at->under_way, includes->items[i]);
    sdrs_prefixes_merge(&at->under_way);
}

static enum rc_code make_job(struct at_bucket *at, struct taken *taken, const char *mistake,
                             struct rc_error *err)
{
    struct rc_error wrong = RC_ERROR_INIT;
    enum rc_code code;

    sdrs_prefixes_merge(&taken->includes);
    sdrs_prefixes_hold(&taken->includes, &at->holds, &taken->excludes);
    if (fill_record(at, taken, &wrong) && !mistake)
        mistake = wrong.cause;
    code = run_job(at, taken, mistake, err);
    if (code)
        return code;
    if (taken->record.status == SDRS_JOB_PENDING)
        add_under_way(at, &taken->includes);
    report(at, taken);
    return RC_OK;
}

/* ---- a bucket -------------------------------------------------------------------------------- */

static bool is_held(const struct at_bucket *at, const struct sdrs_marker *marker)
{
    return sdrs_prefixes_cover(&at->holds, marker->prefix);
}

/* Fails those that a hold covers as a whole, at once and all of one project. */
static enum rc_code fail_held(struct at_bucket *at, const struct sdrs_markers *markers,
                              struct rc_error *err)
{
    RC_CLEANUP(clear_taken) struct taken taken = { 0 };

    for (size_t i = 0; i < markers->count; i++)
        if (is_held(at, &markers->items[i]))
            append(&taken.markers, &markers->items[i]);
    if (taken.markers.count == 0)
        return RC_OK;
    return make_job(at, &taken, "the target is under a legal hold, or the host's own", err);
}

/* One of whose folder the service has something waits: no two jobs move the same objects. */
static bool is_under_way(const struct at_bucket *at, const struct sdrs_marker *marker)
{
    if (!sdrs_prefixes_meet(&at->under_way, marker->prefix))
        return false;
    sdrs_batch_log(at->job, RC_LOG_INFO, marker->batch,
                   "'%s' waits: the transfer service moves it already, or a part, and 'validate' "
                   "has not found it done",
                   marker->target);
    return true;
}

/*
 * As many of the markers from 'begin' on as one job takes: nested ones count once.
 */
static size_t take(const struct at_bucket *at, const struct sdrs_markers *markers, size_t begin,
                   struct taken *taken)
{
    size_t most = (size_t)at->batching->config->max_prefixes, i = begin;

    while (i < markers->count && taken->includes.count < most) {
        size_t room = most - taken->includes.count;

        for (; i < markers->count && room > 0; i++) {
            if (is_held(at, &markers->items[i]) || is_under_way(at, &markers->items[i]))
                continue;
            append(&taken->markers, &markers->items[i]);
            sdrs_prefixes_add(&taken->includes, markers->items[i].prefix);
            room--;
        }
        sdrs_prefixes_merge(&taken->includes);
    }
    return i;
}

static enum rc_code process_project(struct at_bucket *at, const struct sdrs_markers *markers,
                                    struct rc_error *err)
{
    if (fail_held(at, markers, err))
        return err->code;
    for (size_t i = 0; i < markers->count;) {
        RC_CLEANUP(clear_taken) struct taken taken = { 0 };

        i = take(at, markers, i, &taken);
        if (taken.markers.count > 0 && make_job(at, &taken, /* mistake = */ NULL, err))
            return err->code;
    }
    return RC_OK;
}

/* Jobs are of one project each; the project of the first marker goes first. */
static enum rc_code process_markers(struct at_bucket *at, struct rc_error *err)
{
    const struct sdrs_markers *all = &at->group->markers;
    bool *done = rc_calloc(all->count + 1, sizeof(*done));
    enum rc_code code = RC_OK;

    for (size_t i = 0; !code && i < all->count; i++) {
        struct sdrs_markers markers = { 0 };

        if (done[i])
            continue;
        for (size_t k = i; k < all->count; k++) {
            if (done[k] || !rc_str_eq(all->items[k].project, all->items[i].project))
                continue;
            append(&markers, &all->items[k]);
            done[k] = true;
        }
        code = process_project(at, &markers, err);
        free(markers.items);
    }
    free(done);
    return code;
}

static enum rc_code process_locked(struct at_bucket *at, struct rc_error *err)
{
    const struct sdrs_config *config = at->batching->config;
    enum rc_code code = sdrs_state_open(at->job, &at->state, err);

    if (!code)
        code = sdrs_holds_of(config, at->group->bucket, &at->holds, err);
    if (!code && !at->job->dry_run)
        code = sdrs_settle_bucket(at->job, config, &at->state, at->group->bucket, err);
    if (!code)
        code = sdrs_under_way(&at->state, at->group->bucket, /* rule = */ 0, &at->under_way, err);
    if (!code)
        code = process_markers(at, err);
    sdrs_prefixes_clear(&at->holds);
    sdrs_prefixes_clear(&at->under_way);
    sdrs_state_close(&at->state);
    return code;
}

static void report_undone(struct at_bucket *at, bool is_busy, const struct rc_error *err)
{
    RC_STR_AUTO text = rc_strf("%s%s%s", err->context, err->context[0] ? ": " : "", err->cause);
    const struct sdrs_row row = {
        .state = is_busy ? SDRS_ROW_BUSY : SDRS_ROW_JOB,
        .status = SDRS_JOB_ERROR,
        .type = SDRS_USER,
        .name = at->group->bucket,
        .message = text,
    };

    if (is_busy)
        rc_info(at->job, "'%s' is left to the next run: %s", row.name, text);
    else
        rc_error(at->job, "'%s': %s", row.name, text);
    sdrs_report_add(&at->batching->report, &row);
}

/* What fails is of this bucket alone, unless the run is to stop. */
static enum rc_code process_bucket(struct rc_job *job, void *context, size_t index,
                                   struct rc_error *err)
{
    struct batching *batching = context;
    struct at_bucket at = { .job = job, .batching = batching, .group = &batching->groups[index] };
    struct rc_error ignored = RC_ERROR_INIT;
    enum rc_code code = RC_OK;

    if (!job->dry_run)
        code = sdrs_bucket_lock(job, at.group->bucket, /* wait_ms = */ 0, &at.lock, err);
    if (!code)
        code = process_locked(&at, err);
    rc_lock_release(job, at.lock);
    if (code && rc_job_check(job, &ignored))
        return code;
    if (code)
        report_undone(&at, code == RC_CONFLICT && !at.lock, err);
    rc_job_progress(job, (int64_t)atomic_fetch_add(&batching->done, 1) + 1,
                    (int64_t)batching->count, "buckets");
    return RC_OK;
}

/* ---- the run --------------------------------------------------------------------------------- */

static enum rc_code process(struct rc_job *job, const struct sdrs_config *config,
                            const struct sdrs_markers *due, struct rc_error *err)
{
    struct batching batching = { .config = config };
    enum rc_code code;

    if (due->count == 0) {
        rc_job_say(job, "no delete markers wait");
        return RC_OK;
    }
    sdrs_report_init(&batching.report);
    make_groups(&batching, due);
    rc_job_count(job, "markers", (int64_t)due->count);
    code =
        rc_parallel(job, (size_t)config->threads, batching.count, process_bucket, &batching, err);
    if (!code) {
        RC_STR_AUTO title = rc_strf("%zu delete marker%s", due->count, due->count == 1 ? "" : "s");

        sdrs_report_show(job, &batching.report, title);
        code = sdrs_report_conclude(&batching.report, "jobs", err);
    }
    free_groups(&batching);
    sdrs_report_clear(&batching.report);
    return code;
}

/* Markers of a job whose process has died wait again at once, if its bucket is free. */
static enum rc_code settle_left(struct rc_job *job, const struct sdrs_config *config,
                                struct sdrs_state *state, struct rc_error *err)
{
    const struct sdrs_jobs_query query = { .statuses = "running" };
    struct sdrs_records running = { 0 };
    enum rc_code code = sdrs_jobs_list(state, &query, &running, err);

    for (size_t i = 0; !code && i < running.count; i++) {
        const struct sdrs_record *record = &running.items[i];
        struct rc_lock *lock;

        if (!rc_str_eq(record->type, SDRS_USER))
            continue;
        code = sdrs_bucket_lock(job, record->bucket, /* wait_ms = */ 0, &lock, err);
        if (code == RC_CONFLICT) {
            code = RC_OK;
        } else if (!code) {
            code = sdrs_settle_bucket(job, config, state, record->bucket, err);
            rc_lock_release(job, lock);
        }
    }
    sdrs_records_clear(&running);
    return code;
}

static enum rc_code process_queue(struct rc_job *job, const struct sdrs_config *config,
                                  struct sdrs_state *state, struct rc_error *err)
{
    struct sdrs_markers due = { 0 };
    enum rc_code code = job->dry_run ? RC_OK : settle_left(job, config, state, err);

    if (!code)
        code = sdrs_markers_due(state, sdrs_now_unix_ms(job), &due, err);
    if (!code)
        code = process(job, config, &due, err);
    sdrs_markers_clear(&due);
    return code;
}

/* A dry run changes nothing, and so is in nobody's way. */
static enum rc_code take_lock(struct rc_job *job, const struct sdrs_config *config,
                              struct rc_lock **out, struct rc_error *err)
{
    enum rc_code code;

    *out = NULL;
    if (job->dry_run)
        return RC_OK;
    code = rc_lock_acquire(job, config->marker_lock, config->marker_lock_wait_ms, out, err);
    if (code == RC_CONFLICT)
        return rc_fail(err, RC_SKIPPED, "delete markers are being processed: %s", err->cause);
    return code;
}

enum rc_code sdrs_with_markers(struct rc_job *job, const struct sdrs_config *config,
                               sdrs_markers_fn *work, struct rc_error *err)
{
    struct rc_error ignored = RC_ERROR_INIT;
    struct sdrs_state state;
    struct rc_lock *lock;
    enum rc_code code;

    if (sdrs_open(job, config, &state, err))
        return err->code;
    code = take_lock(job, config, &lock, err);
    if (!code) {
        code = work(job, config, &state, err);
        rc_lock_release(job, lock);
        if (!rc_job_check(job, &ignored))
            sdrs_deliver(job, config, &state);
    }
    sdrs_state_close(&state);
    return code;
}

enum rc_code sdrs_dm_batch(struct rc_job *job, const void *options, struct rc_error *err)
{
    return sdrs_with_markers(job, options, process_queue, err);
}
