/*
 * The action 'purge': removes for ever what has been in shadow buckets for longer than some days.
 *
 * Since when an object is there its time tells in an object store; a file that was renamed keeps
 * the time that it had. So what a manifest of the last days lists has come since, whatever its time
 * is. Memory holds a part of the listing; of each part the younger manifests are read once.
 */
#include "mover/carry.h"
#include "mover/manifest.h"
#include "run.h"
#include "shadows.h"

#include <inttypes.h>
#include <stdlib.h>

enum {
    PART = 100000,         /* objects */
    PART_BYTES = 12 << 20, /* of their keys and tags */
    PART_LIMIT = 2 * PART_BYTES,
    LOCK_WAIT_MS = 60000,
    COLUMNS = 5,
};

/* An object that may go; its texts stand in the part's buffer. */
struct victim {
    size_t uri, etag;
    int64_t size_bytes;
    bool is_young; /* it came to the shadow after all that */
};

struct purge {
    struct rc_job *job;
    const struct sdrs_config *config;
    const struct sdrs_shadow *at;
    struct rc_lock *lock;       /* of the bucket */
    struct sdrs_prefixes holds; /* what nobody removes */
    int64_t limit_unix_ms;

    /* The present part, in the order of the keys. */
    struct victim *victims;
    size_t count, next;
    struct rc_buf texts;
    bool is_listed;

    struct rc_listing *manifests; /* while those are removed; else NULL */
    char *manifest;               /* the present one */
    struct rc_error list;         /* why a list did not come to its end */

    /* Of this shadow. */
    int64_t objects, bytes;
    int64_t kept; /* under a hold, or replaced meanwhile */
    int64_t held; /* of those under a hold, what lists may name */
    int64_t failed;
    struct rc_error first;
};

/* ---- which ---------------------------------------------------------------------------------- */

static size_t keep_text(struct purge *purge, const char *text)
{
    size_t at = purge->texts.len;

    rc_buf_add(&purge->texts, text, strlen(text) + 1);
    return at;
}

static void consider(struct purge *purge, const struct rc_object *object)
{
    const char *key = object->uri + strlen(purge->at->shadow);

    if (object->stat.modified_unix_ms >= purge->limit_unix_ms || rc_str_starts(key, SDRS_MANIFESTS))
        return;
    if (sdrs_prefixes_cover(&purge->holds, key)) {
        purge->kept++;
        purge->held += !rc_str_starts(key, ".run-core/");
        return;
    }
    purge->victims[purge->count++] = (struct victim){
        .uri = keep_text(purge, object->uri),
        .etag = keep_text(purge, object->stat.etag),
        .size_bytes = object->stat.size_bytes,
    };
}

static enum rc_code list_part(struct purge *purge, struct rc_listing *listing, struct rc_error *err)
{
    const struct rc_object *object;

    purge->count = purge->next = 0;
    rc_buf_reset(&purge->texts);
    while (purge->count < PART && purge->texts.len < PART_BYTES) {
        if (rc_storage_list_next(purge->job, listing, &object, err))
            return rc_context(err, "list '%s'", purge->at->shadow);
        purge->is_listed = object == NULL;
        if (!object)
            break;
        consider(purge, object);
    }
    return rc_buf_check(&purge->texts, err);
}

static struct victim *find(struct purge *purge, const char *key)
{
    const size_t shadow_len = strlen(purge->at->shadow);
    size_t low = 0, high = purge->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        struct victim *victim = &purge->victims[middle];
        int order = strcmp(key, purge->texts.data + victim->uri + shadow_len);

        if (order == 0)
            return victim;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

/* What the manifests of the last days list is younger than its time says. */
static enum rc_code spare_young(struct purge *purge, struct rc_error *err)
{
    const struct sdrs_manifest_query query = { .written_from_unix_ms = purge->limit_unix_ms };
    struct sdrs_manifest_reader *reader = NULL;
    const char *key = NULL;
    int64_t size_bytes;
    enum rc_code code;

    if (purge->count == 0)
        return RC_OK;
    if (sdrs_manifest_open(purge->job, purge->at->shadow, &query, &reader, err))
        return err->code;
    while (!(code = sdrs_manifest_next(reader, &key, &size_bytes, err)) && key) {
        struct victim *victim = find(purge, key);

        if (victim)
            victim->is_young = true;
    }
    sdrs_manifest_close(reader);
    return code;
}

/* ---- removing ------------------------------------------------------------------------------- */

/* Once it is lost, others may move into the shadow. */
static enum rc_code check_lock(struct purge *purge, struct rc_error *err)
{
    if (!rc_lock_check(purge->job, purge->lock, err))
        return RC_OK;
    purge->list = *err;
    return err->code;
}

static enum rc_code next_victim(void *context, struct rc_transfer_item *item, bool *more,
                                struct rc_error *err)
{
    struct purge *purge = context;
    const struct victim *victim;

    if (check_lock(purge, err))
        return err->code;
    while (purge->next < purge->count && purge->victims[purge->next].is_young)
        purge->next++;
    *more = purge->next < purge->count;
    if (!*more)
        return RC_OK;
    victim = &purge->victims[purge->next++];
    *item = (struct rc_transfer_item){
        .source = purge->texts.data + victim->uri,
        .etag = purge->texts.data + victim->etag,
        .size_bytes = victim->size_bytes,
    };
    return RC_OK;
}

/* What was replaced meanwhile is new, and stays. */
static void told_removed(void *context, const struct rc_transfer_report *report)
{
    struct purge *purge = context;

    if (!report->err) {
        purge->objects += purge->manifests == NULL;
        purge->bytes += purge->manifests ? 0 : report->item.size_bytes;
    } else if (report->err->code == RC_CONFLICT) {
        purge->kept++;
    } else {
        purge->failed++;
        if (purge->first.code == RC_OK)
            purge->first = *report->err;
    }
}

/* Removes a list; single failures are counted. */
static enum rc_code remove_list(struct purge *purge,
                                enum rc_code (*next)(void *context, struct rc_transfer_item *item,
                                                     bool *more, struct rc_error *err),
                                struct rc_error *err)
{
    const struct rc_transfer request = {
        .struct_bytes = sizeof(request),
        .flags = RC_TRANSFER_KEEP_GOING,
        .next = next,
        .width = (unsigned)purge->config->width,
        .report = told_removed,
        .context = purge,
    };
    struct rc_transferred sum = { .objects = 0 };
    struct rc_error stop = RC_ERROR_INIT;
    enum rc_code code = rc_transfer_run(purge->job, &request, &sum, err);

    if (rc_job_check(purge->job, &stop)) {
        *err = stop;
        return err->code;
    }
    if (purge->list.code) {
        *err = purge->list;
        return err->code;
    }
    if (!code || (sum.failed > 0 && sum.found == sum.removed + sum.failed))
        return RC_OK;
    return rc_context(err, "remove objects of '%s'", purge->at->shadow);
}

static enum rc_code purge_objects(struct purge *purge, struct rc_error *err)
{
    struct rc_listing *listing = NULL;
    enum rc_code code = rc_storage_list(purge->job, purge->at->shadow, NULL, &listing, err);

    if (code)
        return rc_context(err, "list '%s'", purge->at->shadow);
    while (!code && !purge->is_listed) {
        code = list_part(purge, listing, err);
        if (!code)
            code = spare_young(purge, err);
        if (!code)
            code = remove_list(purge, next_victim, err);
        rc_job_progress(purge->job, purge->objects, 0, "objects");
    }
    rc_storage_list_close(purge->job, listing);
    return code;
}

/* They were written before what they list was moved: by a day less for those of a long job. */
static enum rc_code next_manifest(void *context, struct rc_transfer_item *item, bool *more,
                                  struct rc_error *err)
{
    struct purge *purge = context;
    const struct rc_object *object;

    do {
        if (rc_storage_list_next(purge->job, purge->manifests, &object, err)) {
            (void)rc_context(err, "list the manifests of '%s'", purge->at->shadow);
            purge->list = *err;
            return err->code;
        }
    } while (object && object->stat.modified_unix_ms >= purge->limit_unix_ms - RC_DAY_MS);
    if (check_lock(purge, err))
        return err->code;
    *more = object != NULL;
    if (!object)
        return RC_OK;
    rc_str_free(&purge->manifest);
    purge->manifest = rc_strdup(object->uri);
    *item = (struct rc_transfer_item){
        .source = purge->manifest,
        .size_bytes = object->stat.size_bytes,
    };
    return RC_OK;
}

/* After the objects: what a manifest lists can be brought back as long as it is there. */
static enum rc_code purge_manifests(struct purge *purge, struct rc_error *err)
{
    RC_STR_AUTO folder = rc_strf("%s" SDRS_MANIFESTS, purge->at->shadow);
    enum rc_code code;

    if (purge->failed > 0 || purge->held > 0)
        return RC_OK;
    if (rc_storage_list(purge->job, folder, NULL, &purge->manifests, err))
        return rc_context(err, "list '%s'", folder);
    code = remove_list(purge, next_manifest, err);
    rc_storage_list_close(purge->job, purge->manifests);
    purge->manifests = NULL;
    return code;
}

/* With the bucket's lock: nobody moves anything into its shadow meanwhile. */
static enum rc_code purge_shadow(struct purge *purge, struct rc_error *err)
{
    enum rc_code code;

    if (sdrs_holds_of(purge->config, purge->at->bucket, &purge->holds, err) ||
        sdrs_bucket_check(purge->job, purge->at->shadow, "there is nothing to be removed", err) ||
        sdrs_bucket_lock(purge->job, purge->at->bucket, LOCK_WAIT_MS, &purge->lock, err))
        return err->code;
    purge->victims = rc_calloc(PART, sizeof(*purge->victims));
    rc_buf_init(&purge->texts, PART_LIMIT);
    code = purge_objects(purge, err);
    if (!code)
        code = purge_manifests(purge, err);
    rc_lock_release(purge->job, purge->lock);
    rc_buf_clear(&purge->texts);
    free(purge->victims);
    free(purge->manifest);
    return code;
}

/* ---- the action ----------------------------------------------------------------------------- */

/* A dataset is refused: whoever means it does not mean all else that is in the shadow. */
static enum rc_code read_name(const struct sdrs_config *config, const char *storage,
                              struct sdrs_shadow *out, struct rc_error *err)
{
    char *prefix = NULL;
    enum rc_code code = sdrs_shadow_of(config, "storage", storage, out, &prefix, err);

    if (!code && *prefix)
        code =
            rc_fail(err, RC_INVALID,
                    "'storage' has '%s': a shadow is purged as a whole, so name the bucket, '%s'",
                    storage, out->bucket);
    free(prefix);
    return code;
}

static enum rc_code choose(struct sdrs_state *state, const struct sdrs_config *config,
                           const struct sdrs_purge_params *params, struct sdrs_shadows *named,
                           struct sdrs_shadows *out, struct rc_error *err)
{
    if (sdrs_shadows_of_rules(state, config, named, err))
        return err->code;
    if (!params->storage)
        return RC_OK;
    out->items = rc_calloc(1, sizeof(*out->items));
    out->count = 1;
    return read_name(config, params->storage, &out->items[0], err);
}

/* A bucket with data of its own is nobody's to be purged, even if it is named like a shadow. */
static enum rc_code check_shadow(const struct sdrs_shadows *named, const struct sdrs_shadow *at,
                                 struct rc_error *err)
{
    bool is_source = rc_str_eq(at->bucket, at->shadow);

    for (size_t i = 0; i < named->count; i++)
        is_source = is_source || rc_str_eq(named->items[i].bucket, at->shadow);
    if (is_source)
        return rc_fail(err, RC_INVALID,
                       "'%s' is not purged: it would be the shadow of '%s', but rules are for what "
                       "lies in it",
                       at->shadow, at->bucket);
    return RC_OK;
}

struct result {
    char *cells[COLUMNS];
};

static void result_of(const struct purge *purge, struct result *out)
{
    out->cells[0] = rc_strdup(purge->at->shadow);
    out->cells[1] = rc_strf("%" PRId64, purge->objects);
    out->cells[2] = rc_strf("%" PRId64, purge->bytes);
    out->cells[3] = rc_strf("%" PRId64, purge->kept);
    out->cells[4] = rc_strf("%" PRId64, purge->failed);
}

static void show(struct rc_job *job, const struct result *results, size_t count)
{
    static const char *const columns[COLUMNS] = { "shadow", ">objects", ">bytes", ">kept",
                                                  ">failed" };
    const struct rc_table table = {
        .title = job->dry_run ? "What would be removed for ever" : "What was removed for ever",
        .columns = columns,
        .column_count = COLUMNS,
        .cells = (const char *const *)results,
        .row_count = count,
    };

    rc_job_show(job, &table);
}

/* One shadow; a failure is logged, so that the others go on. */
static enum rc_code purge_one(struct purge *purge, const struct sdrs_shadows *named,
                              struct result *result, struct rc_error *err)
{
    struct rc_job *job = purge->job;
    struct rc_error stop = RC_ERROR_INIT;
    enum rc_code code = check_shadow(named, purge->at, err);

    if (!code)
        code = purge_shadow(purge, err);
    sdrs_prefixes_clear(&purge->holds);
    result_of(purge, result);
    rc_job_count(job, "objects_purged", purge->objects);
    rc_job_count(job, "bytes_purged", purge->bytes);
    if (code && rc_job_check(job, &stop)) {
        *err = stop;
        return err->code;
    }
    if (!code && purge->failed > 0) {
        *err = purge->first;
        code = rc_context(err, "remove from '%s', of which %" PRId64 " failed", purge->at->shadow,
                          purge->failed);
    }
    return code;
}

static enum rc_code purge_all(struct rc_job *job, const struct sdrs_config *config,
                              const struct sdrs_shadows *named, const struct sdrs_shadows *chosen,
                              struct result *results, struct rc_error *err)
{
    const struct sdrs_purge_params *params = job->params;
    struct rc_error first = RC_ERROR_INIT;

    for (size_t i = 0; i < chosen->count; i++) {
        struct rc_error failure = RC_ERROR_INIT;
        struct purge purge = {
            .job = job,
            .config = config,
            .at = &chosen->items[i],
            .limit_unix_ms = job->now_unix_ms - params->days * RC_DAY_MS,
            .list = RC_ERROR_INIT,
            .first = RC_ERROR_INIT,
        };
        enum rc_code code = purge_one(&purge, named, &results[i], &failure);

        if (code == RC_CANCELLED || code == RC_TIMEOUT) {
            *err = failure;
            return code;
        }
        if (code && first.code)
            rc_error(job, "'%s' was not purged: %s: %s", purge.at->shadow, failure.context,
                     failure.cause);
        else if (code)
            first = failure;
    }
    if (first.code == RC_OK)
        return RC_OK;
    *err = first;
    return rc_context(err, "purge");
}

enum rc_code sdrs_purge(struct rc_job *job, const void *config, struct rc_error *err)
{
    RC_CLEANUP(sdrs_state_close) struct sdrs_state state = { 0 };
    RC_CLEANUP(sdrs_shadows_clear) struct sdrs_shadows named = { 0 };
    RC_CLEANUP(sdrs_shadows_clear) struct sdrs_shadows one = { 0 };
    const struct sdrs_shadows *chosen;
    struct result *results;
    enum rc_code code;

    if (sdrs_open(job, config, &state, err) ||
        choose(&state, config, job->params, &named, &one, err))
        return err->code;
    chosen = one.count > 0 ? &one : &named;
    results = rc_calloc(chosen->count + 1, sizeof(*results));
    code = purge_all(job, config, &named, chosen, results, err);
    if (code != RC_CANCELLED && code != RC_TIMEOUT)
        show(job, results, chosen->count);
    for (size_t i = 0; i < chosen->count; i++)
        for (size_t j = 0; j < COLUMNS; j++)
            free(results[i].cells[j]);
    free(results);
    return code;
}
