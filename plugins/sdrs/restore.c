/*
 * The action 'restore': brings back from shadow buckets what a rule, an execution or a prefix had
 * lost to them. What 'direct' has moved is known by its manifests, what the transfer service has
 * moved by the prefixes and times of its jobs. How objects get back is of carry.c; a run that was
 * stopped is made again.
 */
#include "mover/carry.h"
#include "mover/manifest.h"
#include "run.h"
#include "shadows.h"

#include <inttypes.h>
#include <stdlib.h>

enum {
    LOCK_WAIT_MS = 60000,
    CLOCKS_MS = 300000, /* by which the clocks of others may be off, and more */
    COLUMNS = 7,
};

/* What is brought back of one bucket: one of many. Text is owned. */
struct source {
    struct sdrs_shadow at;
    char *batch;    /* with a manifest: of this batch ... */
    int64_t job;    /* ... and this job; 0: of all its jobs */
    bool has_moved; /* the job has: there were objects to be listed */

    /* Without: what the shadow holds. Where it is known, also with one: what that may list. */
    struct sdrs_prefixes includes, excludes;
    char *exact; /* the one include names an object or a folder; its last part is whole */
    int64_t from_unix_ms, until_unix_ms; /* when it came there */
};

struct sources {
    struct source *items;
    size_t count;
};

struct restore {
    struct rc_job *job;
    const struct sdrs_config *config;
    const struct sdrs_restore_params *params;
    struct sdrs_state state;
    struct sources sources;
    char batch[SDRS_UUID_TEXT];
    int64_t objects; /* of the buckets before */

    /* Of the present bucket. */
    struct rc_lock *lock;
    int64_t unlisted; /* jobs that have moved objects, but have no list of them any more */
    int64_t listed;   /* jobs that have one */

    char **cells;
    size_t row_count;
    struct rc_error first; /* failure */
};

static void sources_clear(struct sources *sources)
{
    for (size_t i = 0; i < sources->count; i++) {
        struct source *source = &sources->items[i];

        sdrs_shadow_clear(&source->at);
        free(source->batch);
        free(source->exact);
        sdrs_prefixes_clear(&source->includes);
        sdrs_prefixes_clear(&source->excludes);
    }
    free(sources->items);
}

static struct source *add_source(struct sources *sources)
{
    struct source *source;

    sources->items = rc_realloc(sources->items, (sources->count + 1) * sizeof(*sources->items));
    source = &sources->items[sources->count++];
    *source = (struct source){ .until_unix_ms = INT64_MAX };
    return source;
}

/* ---- what is brought back ------------------------------------------------------------------- */

static enum rc_code check_params(const struct sdrs_restore_params *params, struct rc_error *err)
{
    int given = (params->rule > 0) + (params->prefix != NULL) + (params->batch != NULL);

    if (given == 1)
        return RC_OK;
    return rc_fail(err, RC_INVALID,
                   "%s: set one of 'rule', 'prefix' and 'batch' to say what is brought back",
                   given == 0 ? "nothing is named" : "more than one thing is named");
}

static enum rc_code add_prefix(struct restore *restore, struct rc_error *err)
{
    const char *text = restore->params->prefix;
    struct source *source = add_source(&restore->sources);
    RC_STR_AUTO prefix = NULL;

    if (sdrs_shadow_of(restore->config, "prefix", text, &source->at, &prefix, err))
        return err->code;
    /* "gs://b/d/2019/0" is no part of "gs://b/d/2019/03", but may be an object. */
    if (!rc_str_ends(text, "/") && prefix[0] != '\0') {
        prefix[strlen(prefix) - 1] = '\0';
        source->exact = rc_strdup(prefix);
    }
    sdrs_prefixes_add(&source->includes, prefix);
    return RC_OK;
}

static void add_record(struct restore *restore, const struct sdrs_record *record)
{
    struct source *source;
    bool is_settled = record->status == SDRS_JOB_SUCCESS || record->status == SDRS_JOB_ERROR;

    if (rc_str_eq(record->type, SDRS_TYPE_RESTORE))
        return;
    source = add_source(&restore->sources);
    source->at = (struct sdrs_shadow){ .bucket = rc_strdup(record->bucket),
                                       .shadow = rc_strdup(record->shadow) };
    sdrs_prefixes_read(record->prefixes ? record->prefixes : "", &source->includes);
    sdrs_prefixes_read(record->excludes ? record->excludes : "", &source->excludes);
    if (record->mover == SDRS_MOVER_DIRECT) {
        source->batch = rc_strdup(record->batch);
        source->job = record->id;
        source->has_moved = record->objects > 0;
        return;
    }
    source->from_unix_ms = record->created_unix_ms - CLOCKS_MS;
    if (is_settled)
        source->until_unix_ms = record->changed_unix_ms + CLOCKS_MS;
}

/* Jobs are forgotten some day; their manifests stay as long as what they list. */
static enum rc_code add_manifests(struct restore *restore, struct rc_error *err)
{
    RC_CLEANUP(sdrs_shadows_clear) struct sdrs_shadows named = { 0 };
    const struct sdrs_manifest_query query = { .batch = restore->params->batch };

    if (sdrs_shadows_of_rules(&restore->state, restore->config, &named, err))
        return err->code;
    for (size_t i = 0; i < named.count; i++) {
        struct sdrs_manifest_reader *reader = NULL;
        struct source *source;
        const char *key = NULL;
        int64_t size_bytes;
        enum rc_code code =
            sdrs_manifest_open(restore->job, named.items[i].shadow, &query, &reader, err);

        if (!code)
            code = sdrs_manifest_next(reader, &key, &size_bytes, err);
        sdrs_manifest_close(reader);
        if (code == RC_NOT_FOUND)
            continue; /* there is no such bucket */
        if (code)
            return code;
        if (!key)
            continue;
        source = add_source(&restore->sources);
        source->at = named.items[i];
        named.items[i] = (struct sdrs_shadow){ 0 };
        source->batch = rc_strdup(query.batch);
    }
    return RC_OK;
}

static enum rc_code add_jobs(struct restore *restore, struct rc_error *err)
{
    const struct sdrs_restore_params *params = restore->params;
    const struct sdrs_jobs_query query = { .rule = params->rule, .batch = params->batch };
    struct sdrs_records records = { 0 };

    if (sdrs_jobs_list(&restore->state, &query, &records, err))
        return rc_context(err, "look what was moved");
    for (size_t i = 0; i < records.count; i++)
        add_record(restore, &records.items[i]);
    sdrs_records_clear(&records);
    if (restore->sources.count == 0 && params->batch && add_manifests(restore, err))
        return err->code;
    if (restore->sources.count > 0)
        return RC_OK;
    if (params->batch)
        return rc_fail(err, RC_NOT_FOUND,
                       "nothing is known of a batch '%s': neither a job nor a manifest in a shadow "
                       "bucket; restore by prefix",
                       params->batch);
    return rc_fail(err, RC_NOT_FOUND, "no job of the rule %" PRId64 " is known; restore by prefix",
                   params->rule);
}

/* Those of one bucket together, in the order of their jobs. */
static int compare_sources(const void *a, const void *b)
{
    const struct source *first = a, *second = b;
    int order = strcmp(first->at.bucket, second->at.bucket);

    if (order == 0)
        order = strcmp(first->at.shadow, second->at.shadow);
    return order != 0 ? order : (first->job > second->job) - (first->job < second->job);
}

static enum rc_code choose(struct restore *restore, struct rc_error *err)
{
    struct sources *sources = &restore->sources;

    if (restore->params->prefix ? add_prefix(restore, err) : add_jobs(restore, err))
        return err->code;
    qsort(sources->items, sources->count, sizeof(*sources->items), compare_sources);
    return RC_OK;
}

/* ---- the objects of a source ---------------------------------------------------------------- */

struct feed {
    struct restore *restore;
    const struct source *source;
    struct sdrs_manifest_reader *manifest;
    bool has_listed;
    size_t include; /* the next one */
    struct rc_listing *listing;
    char *prefix; /* that is listed */
};

static void feed_close(struct feed *feed)
{
    sdrs_manifest_close(feed->manifest);
    rc_storage_list_close(feed->restore->job, feed->listing);
    free(feed->prefix);
}

static enum rc_code next_listed(struct feed *feed, struct sdrs_carry_item *item, bool *more,
                                struct rc_error *err)
{
    const char *key;
    int64_t size_bytes;

    if (sdrs_manifest_next(feed->manifest, &key, &size_bytes, err))
        return err->code;
    *more = key != NULL;
    feed->has_listed = feed->has_listed || *more;
    *item = (struct sdrs_carry_item){ .key = key, .size_bytes = -1 };
    return RC_OK;
}

static bool is_of(const struct source *source, const char *key, const struct rc_stat *stat)
{
    if (source->exact && !rc_str_eq(key, source->exact) && key[strlen(source->exact)] != '/')
        return false;
    return !rc_str_starts(key, SDRS_MANIFESTS) && !sdrs_prefixes_cover(&source->excludes, key) &&
           stat->modified_unix_ms >= source->from_unix_ms &&
           stat->modified_unix_ms <= source->until_unix_ms;
}

static enum rc_code next_object(struct feed *feed, struct sdrs_carry_item *item, bool *more,
                                struct rc_error *err)
{
    struct rc_job *job = feed->restore->job;
    const struct source *source = feed->source;
    const struct rc_object *object = NULL;
    const char *key = NULL;

    do {
        if (!feed->listing) {
            *more = feed->include < source->includes.count;
            if (!*more)
                return RC_OK;
            rc_str_free(&feed->prefix);
            feed->prefix =
                rc_strf("%s%s", source->at.shadow, source->includes.items[feed->include++]);
            if (rc_storage_list(job, feed->prefix, NULL, &feed->listing, err))
                return rc_context(err, "list '%s'", feed->prefix);
        }
        if (rc_storage_list_next(job, feed->listing, &object, err))
            return rc_context(err, "list '%s'", feed->prefix);
        if (!object) {
            rc_storage_list_close(job, feed->listing);
            feed->listing = NULL;
            continue;
        }
        key = object->uri + strlen(source->at.shadow);
    } while (!object || !is_of(source, key, &object->stat));
    *more = true;
    *item = (struct sdrs_carry_item){ .key = key,
                                      .size_bytes = object->stat.size_bytes,
                                      .etag = object->stat.etag };
    return RC_OK;
}

static enum rc_code next(void *context, struct sdrs_carry_item *item, bool *more,
                         struct rc_error *err)
{
    struct feed *feed = context;

    return feed->manifest ? next_listed(feed, item, more, err) : next_object(feed, item, more, err);
}

static void progressed(void *context, int64_t objects)
{
    struct feed *feed = context;

    rc_job_progress(feed->restore->job, feed->restore->objects + objects, 0, "objects");
}

/* ---- one bucket ----------------------------------------------------------------------------- */

static enum rc_code restore_source(struct restore *restore, const struct source *source,
                                   struct sdrs_carried *out, struct rc_error *err)
{
    struct feed feed = { .restore = restore, .source = source };
    const struct sdrs_manifest_query query = { .batch = source->batch, .record = source->job };
    const struct sdrs_carry carry = {
        .job = restore->job,
        .batch = restore->batch,
        .lock = restore->lock,
        .from = source->at.shadow,
        .to = source->at.bucket,
        .replaces = restore->params->overwrite,
        .width = (unsigned)restore->config->width,
        .next = next,
        .progress = progressed,
        .context = &feed,
    };
    enum rc_code code = RC_OK;

    if (source->batch)
        code = sdrs_manifest_open(restore->job, source->at.shadow, &query, &feed.manifest, err);
    if (!code)
        code = sdrs_carry_run(&carry, out, err);
    if (!code && feed.has_listed)
        restore->listed++;
    else if (!code && source->has_moved)
        restore->unlisted++;
    feed_close(&feed);
    return code;
}

static void add_up(struct sdrs_carried *sum, const struct sdrs_carried *done)
{
    sum->objects += done->objects;
    sum->bytes += done->bytes;
    sum->there += done->there;
    sum->missing += done->missing;
    sum->failed += done->failed;
    if (sum->first.code == RC_OK)
        sum->first = done->first;
}

/* All sources of a bucket, with its lock; *end is behind them. */
static enum rc_code restore_sources(struct restore *restore, size_t begin, size_t end,
                                    struct sdrs_carried *sum, struct rc_error *err)
{
    const struct sdrs_shadow *at = &restore->sources.items[begin].at;

    if (sdrs_bucket_check(restore->job, at->bucket, "make it first", err) ||
        sdrs_bucket_check(restore->job, at->shadow, "there is nothing to be brought back", err))
        return err->code;
    for (size_t i = begin; i < end; i++)
        if (sdrs_under_way_check(&restore->state, at->bucket, &restore->sources.items[i].includes,
                                 err))
            return err->code;
    for (size_t i = begin; i < end; i++) {
        struct sdrs_carried done = { .objects = 0 };
        enum rc_code code = restore_source(restore, &restore->sources.items[i], &done, err);

        add_up(sum, &done);
        if (code)
            return code;
        restore->objects += done.objects;
    }
    return RC_OK;
}

/* The error that objects which were not brought back are. */
static enum rc_code judge(const struct restore *restore, const struct sdrs_carried *sum,
                          struct rc_error *err)
{
    RC_BUF_AUTO(text, 1000);

    if (sum->failed > 0) {
        *err = sum->first;
        return rc_context(err, "%" PRId64 " objects were not brought back, the first", sum->failed);
    }
    if (sum->missing > 0)
        return rc_fail(err, RC_NOT_FOUND,
                       "%" PRId64 " objects are neither in the shadow bucket nor at their old "
                       "place: they were purged, or removed by others",
                       sum->missing);
    if (restore->unlisted == 0)
        return RC_OK;
    rc_buf_addf(&text,
                "the lists of %" PRId64 " job%s were purged, or removed by others; restore by "
                "prefix what the shadow bucket still has",
                restore->unlisted, restore->unlisted == 1 ? "" : "s");
    /* Of a rule old lists go in time. */
    if (restore->params->batch || restore->listed == 0)
        return rc_fail(err, RC_NOT_FOUND, "%s", text.data);
    rc_warn(restore->job, "%s", text.data);
    return RC_OK;
}

static void add_row(struct restore *restore, const struct sdrs_shadow *at,
                    const struct sdrs_carried *sum, bool is_good)
{
    char **row;

    restore->cells =
        rc_realloc(restore->cells, (restore->row_count + 1) * COLUMNS * sizeof(*restore->cells));
    row = &restore->cells[restore->row_count++ * COLUMNS];
    row[0] = rc_strdup(at->bucket);
    row[1] = rc_strf("%" PRId64, sum->objects);
    row[2] = rc_strf("%" PRId64, sum->bytes);
    row[3] = rc_strf("%" PRId64, sum->there);
    row[4] = rc_strf("%" PRId64, sum->missing);
    row[5] = rc_strf("%" PRId64, sum->failed);
    row[6] = rc_strdup(is_good ? "success" : "error");
}

/* What the record of the bucket's job says before, and after. */
static enum rc_code begin_record(struct restore *restore, const struct sdrs_shadow *at,
                                 struct sdrs_record *record, struct rc_error *err)
{
    *record = (struct sdrs_record){
        .batch = rc_strdup(restore->batch),
        .type = rc_strdup(SDRS_TYPE_RESTORE),
        .rule = restore->params->rule,
        .bucket = rc_strdup(at->bucket),
        .shadow = rc_strdup(at->shadow),
        .mover = SDRS_MOVER_DIRECT,
        .status = SDRS_JOB_RUNNING,
    };
    return sdrs_jobs_add(&restore->state, record, err);
}

static enum rc_code end_record(struct restore *restore, struct sdrs_record *record,
                               const struct sdrs_carried *sum, const struct rc_error *failure,
                               struct rc_error *err)
{
    record->status = failure->code ? SDRS_JOB_ERROR : SDRS_JOB_SUCCESS;
    record->objects = sum->objects;
    record->bytes = sum->bytes;
    record->failed = sum->failed + sum->missing;
    if (failure->code)
        record->message = rc_strf("%s: %s", failure->context, failure->cause);
    return sdrs_jobs_keep(&restore->state, record, err);
}

/* A failure is noted, and the next bucket's turn comes; an error ends the run. */
static enum rc_code restore_bucket(struct restore *restore, size_t begin, size_t end,
                                   struct rc_error *err)
{
    const struct sdrs_shadow *at = &restore->sources.items[begin].at;
    RC_CLEANUP(sdrs_record_clear) struct sdrs_record record = { 0 };
    struct sdrs_carried sum = { .objects = 0 };
    struct rc_error failure = RC_ERROR_INIT;
    enum rc_code code;

    restore->lock = NULL;
    restore->unlisted = restore->listed = 0;
    code = sdrs_bucket_lock(restore->job, at->bucket, LOCK_WAIT_MS, &restore->lock, &failure);
    if (!code && !restore->job->dry_run)
        code = sdrs_settle_bucket(restore->job, restore->config, &restore->state, at->bucket,
                                  &failure);
    /* Not before: whoever has the lock takes a job that is running for one whose process died. */
    if (begin_record(restore, at, &record, err)) {
        rc_lock_release(restore->job, restore->lock);
        return rc_context(err, "record that '%s' is restored", at->bucket);
    }
    if (!code)
        code = restore_sources(restore, begin, end, &sum, &failure);
    if (!code)
        code = judge(restore, &sum, &failure);
    rc_lock_release(restore->job, restore->lock);
    rc_job_count(restore->job, "objects_restored", sum.objects);
    rc_job_count(restore->job, "bytes_restored", sum.bytes);
    if (code && rc_job_check(restore->job, err))
        return err->code;
    if (code)
        (void)rc_context(&failure, "restore '%s'", at->bucket);
    else
        failure.code = RC_OK;
    add_row(restore, at, &sum, code == RC_OK);
    if (code && restore->first.code)
        rc_error(restore->job, "%s: %s", failure.context, failure.cause);
    else if (code)
        restore->first = failure;
    return end_record(restore, &record, &sum, &failure, err);
}

/* ---- the action ----------------------------------------------------------------------------- */

static enum rc_code restore_all(struct restore *restore, struct rc_error *err)
{
    const struct sources *sources = &restore->sources;
    size_t end;

    for (size_t begin = 0; begin < sources->count; begin = end) {
        const struct sdrs_shadow *at = &sources->items[begin].at;

        for (end = begin; end < sources->count &&
                          rc_str_eq(sources->items[end].at.bucket, at->bucket) &&
                          rc_str_eq(sources->items[end].at.shadow, at->shadow);)
            end++;
        if (restore_bucket(restore, begin, end, err))
            return err->code;
    }
    return RC_OK;
}

static void show(const struct restore *restore)
{
    static const char *const columns[COLUMNS] = { "bucket",   ">objects", ">bytes", ">were there",
                                                  ">missing", ">failed",  "status" };
    const struct rc_table table = {
        .title = restore->job->dry_run ? "What would be brought back" : "What was brought back",
        .columns = columns,
        .column_count = COLUMNS,
        .cells = (const char *const *)restore->cells,
        .row_count = restore->row_count,
    };

    rc_job_show(restore->job, &table);
}

static void restore_clear(struct restore *restore)
{
    for (size_t i = 0; i < restore->row_count * COLUMNS; i++)
        free(restore->cells[i]);
    free(restore->cells);
    sources_clear(&restore->sources);
    sdrs_state_close(&restore->state);
}

enum rc_code sdrs_restore(struct rc_job *job, const void *config, struct rc_error *err)
{
    RC_CLEANUP(restore_clear)
    struct restore restore = {
        .job = job, .config = config, .params = job->params, .first = RC_ERROR_INIT
    };

    if (check_params(restore.params, err) || sdrs_open(job, config, &restore.state, err) ||
        sdrs_uuid_make(restore.batch, err) || choose(&restore, err))
        return err->code;
    if (restore_all(&restore, err))
        return err->code;
    show(&restore);
    if (restore.first.code == RC_OK)
        return RC_OK;
    *err = restore.first;
    return err->code;
}
