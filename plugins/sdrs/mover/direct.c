/*
 * The mover 'direct': the host copies inside the store, verifies and removes, as the listing goes
 * on. What is moved is written to a manifest first, in parts. A run that is killed needs no more
 * than to be made again: what was moved is no longer listed.
 */
#include "carry.h"
#include "manifest.h"
#include "walk.h"

#include "../run.h"
#include "../storage_name.h"

#include <inttypes.h>
#include <stdlib.h>

enum {
    FIRST_PART = 1000, /* objects: the first begin to move soon */
    PART = 10000,
    PART_BYTES = 4 << 20, /* of keys and tags */
};

/* ---- parts ---------------------------------------------------------------------------------- */

/* An object of a part; its texts stand in the part's buffer. */
struct entry {
    size_t key, etag;
    int64_t size_bytes;
};

struct direct {
    struct sdrs_walk *walk;
    struct sdrs_manifest *manifest;
    struct entry *entries;
    size_t count, next;
    size_t most; /* of the present part */
    bool is_listed;
    struct rc_buf texts;
};

static size_t keep_text(struct direct *direct, const char *text)
{
    size_t at = direct->texts.len;

    rc_buf_add(&direct->texts, text, strlen(text) + 1);
    return at;
}

/* The next objects, whose manifest is in the store before the first of them moves. */
static enum rc_code fill_part(struct direct *direct, struct rc_error *err)
{
    const struct rc_stat *stat;
    const char *key;

    direct->most = direct->most == 0 ? FIRST_PART : PART;
    direct->count = direct->next = 0;
    rc_buf_reset(&direct->texts);
    while (direct->count < direct->most && direct->texts.len < PART_BYTES) {
        if (sdrs_walk_next(direct->walk, &key, &stat, err))
            return err->code;
        direct->is_listed = key == NULL;
        if (!key)
            break;
        sdrs_manifest_add(direct->manifest, key, stat);
        direct->entries[direct->count++] = (struct entry){
            .key = keep_text(direct, key),
            .etag = keep_text(direct, stat->etag),
            .size_bytes = stat->size_bytes,
        };
    }
    if (rc_buf_check(&direct->texts, err))
        return rc_context(err, "list what is to be moved");
    return sdrs_manifest_write(direct->manifest, err);
}

static enum rc_code next(void *context, struct sdrs_carry_item *item, bool *more,
                         struct rc_error *err)
{
    struct direct *direct = context;
    const struct entry *entry;

    if (direct->next == direct->count && !direct->is_listed && fill_part(direct, err))
        return err->code;
    *more = direct->next < direct->count;
    if (!*more)
        return RC_OK;
    entry = &direct->entries[direct->next++];
    *item = (struct sdrs_carry_item){
        .key = direct->texts.data + entry->key,
        .size_bytes = entry->size_bytes,
        .etag = direct->texts.data + entry->etag,
    };
    return RC_OK;
}

/* ---- moving --------------------------------------------------------------------------------- */

/* Before anything is touched. */
static enum rc_code check_buckets(struct rc_job *job, const struct sdrs_record *record,
                                  struct rc_error *err)
{
    if (rc_str_eq(record->bucket, record->shadow))
        return rc_fail(err, RC_INVALID, "the bucket '%s' would be its own shadow", record->bucket);
    if (sdrs_bucket_check(job, record->bucket, "correct the rule, or delete it", err))
        return err->code;
    return sdrs_bucket_check(job, record->shadow,
                             "a shadow bucket has to be made before anything is moved into it; see "
                             "'sts.shadowBucketExtension'",
                             err);
}

static enum rc_code carry(struct rc_job *job, const struct sdrs_move *move,
                          struct sdrs_carried *carried, struct rc_error *err)
{
    const struct sdrs_record *record = move->record;
    struct direct direct = { .texts = RC_BUF_INIT(2 * PART_BYTES) };
    const struct sdrs_carry request = {
        .job = job,
        .batch = record->batch,
        .lock = move->lock,
        .from = record->bucket,
        .to = record->shadow,
        .replaces = move->config->collision == SDRS_COLLISION_OVERWRITE,
        .width = (unsigned)move->config->width,
        .next = next,
        .context = &direct,
    };
    enum rc_code code;

    if (sdrs_manifest_new(job, record->shadow, record->batch, record->id, &direct.manifest, err))
        return err->code;
    direct.walk = sdrs_walk_new(job, move);
    direct.entries = rc_calloc(PART, sizeof(*direct.entries));
    code = sdrs_carry_run(&request, carried, err);
    sdrs_walk_free(direct.walk);
    sdrs_manifest_free(direct.manifest);
    rc_buf_clear(&direct.texts);
    free(direct.entries);
    return code;
}

static void fail_record(struct sdrs_record *record, const struct rc_error *err)
{
    record->status = SDRS_JOB_ERROR;
    free(record->message);
    record->message =
        err->context[0] ? rc_strf("%s: %s", err->context, err->cause) : rc_strdup(err->cause);
}

/* What to say of objects that stayed. */
static void fail_stayed(struct sdrs_record *record, const struct sdrs_carried *carried)
{
    record->status = SDRS_JOB_ERROR;
    free(record->message);
    record->message = rc_strf("%" PRId64 " %s where %s, the first: %s: %s", carried->failed,
                              carried->failed == 1 ? "object stayed" : "objects stayed",
                              carried->failed == 1 ? "it was" : "they were", carried->first.context,
                              carried->first.cause);
}

enum rc_code sdrs_move_direct(struct rc_job *job, const struct sdrs_move *move,
                              struct rc_error *err)
{
    struct sdrs_record *record = move->record;
    struct sdrs_carried carried = { .objects = 0 };
    struct rc_error failure = RC_ERROR_INIT;
    enum rc_code code = check_buckets(job, record, &failure);

    if (!code)
        code = carry(job, move, &carried, &failure);
    record->objects = carried.objects;
    record->bytes = carried.bytes;
    record->failed = carried.failed;
    if (code && rc_job_check(job, err))
        return err->code;
    if (code)
        fail_record(record, &failure);
    else if (carried.failed > 0)
        fail_stayed(record, &carried);
    else
        record->status = SDRS_JOB_SUCCESS;
    return RC_OK;
}

/* ---- afterwards ----------------------------------------------------------------------------- */

/* What the manifest of a job lists. */
struct listed {
    int64_t objects, bytes;
    char *last; /* key */
};

static enum rc_code read_manifest(struct rc_job *job, const struct sdrs_record *record,
                                  struct listed *out, struct rc_error *err)
{
    const struct sdrs_manifest_query query = { .batch = record->batch, .record = record->id };
    struct sdrs_manifest_reader *reader = NULL;
    const char *key = NULL;
    int64_t size_bytes;
    enum rc_code code;

    if (sdrs_manifest_open(job, record->shadow, &query, &reader, err))
        return err->code;
    while (!(code = sdrs_manifest_next(reader, &key, &size_bytes, err)) && key) {
        out->objects++;
        out->bytes += size_bytes;
        free(out->last);
        out->last = rc_strdup(key);
    }
    sdrs_manifest_close(reader);
    return code;
}

/* What of a job is still in its bucket. */
struct remains {
    const struct listed *listed;
    int64_t objects;
    int64_t listed_objects, listed_bytes; /* of them those that its manifest lists */
    int64_t until_unix_ms;
};

static enum rc_code count_left(void *context, const char *key, const struct rc_stat *stat,
                               struct rc_error *err)
{
    struct remains *remains = context;

    (void)err;
    if (stat->modified_unix_ms > remains->until_unix_ms)
        return RC_OK;
    remains->objects++;
    /* The manifest follows the listing: what is behind its last key is not in it. */
    if (remains->listed->last && strcmp(key, remains->listed->last) <= 0) {
        remains->listed_objects++;
        remains->listed_bytes += stat->size_bytes;
    }
    return RC_OK;
}

/* The version of the rule by which a job was made; 'out' stays empty where there is none. */
static enum rc_code find_rule(struct sdrs_state *state, const struct sdrs_record *record,
                              struct sdrs_rule *out, struct rc_error *err)
{
    struct sdrs_rules versions = { 0 };
    enum rc_code code = sdrs_rules_history(state, record->rule, &versions, err);

    for (size_t i = 0; i < versions.count && !out->storage; i++) {
        if (versions.items[i].version != record->rule_version)
            continue;
        *out = versions.items[i];
        versions.items[i] = (struct sdrs_rule){ 0 };
    }
    sdrs_rules_clear(&versions);
    return code == RC_NOT_FOUND ? RC_OK : code;
}

/* What the move of a record was, as far as the record and its rule tell. */
struct past {
    struct sdrs_rule rule;
    struct sdrs_template template;
    struct sdrs_prefixes includes, excludes, datasets;
};

static void past_clear(struct past *past)
{
    sdrs_rule_clear(&past->rule);
    sdrs_prefixes_clear(&past->includes);
    sdrs_prefixes_clear(&past->excludes);
    sdrs_prefixes_clear(&past->datasets);
}

static enum rc_code make_past(const struct sdrs_config *config, struct sdrs_state *state,
                              struct sdrs_record *record, struct past *past, struct sdrs_move *move,
                              struct rc_error *err)
{
    struct sdrs_place place = { 0 };
    RC_STR_AUTO prefix = NULL;

    *move = (struct sdrs_move){
        .state = state,
        .config = config,
        .limit_unix_ms = record->created_unix_ms,
        .includes = &past->includes,
        .excludes = &past->excludes,
        .datasets = &past->datasets,
        .record = record,
    };
    sdrs_prefixes_read(record->prefixes ? record->prefixes : "", &past->includes);
    sdrs_prefixes_read(record->excludes ? record->excludes : "", &past->excludes);
    if (!rc_str_eq(record->type, sdrs_rule_type_name(SDRS_DATASET)))
        return RC_OK;
    if (find_rule(state, record, &past->rule, err))
        return err->code;
    if (!past->rule.storage || past->rule.unit == SDRS_VERSION)
        return RC_OK;
    if (sdrs_template_parse(config->path_template, &past->template, err) ||
        sdrs_place_parse("dataStorageName", past->rule.storage, &config->file_roots, &place, err))
        return err->code;
    prefix = sdrs_dataset_prefix(&place);
    sdrs_place_clear(&place);
    sdrs_prefixes_add(&past->datasets, prefix);
    move->template = &past->template;
    return RC_OK;
}

static void settle(struct sdrs_record *record, const struct listed *listed,
                   const struct remains *remains)
{
    record->objects = listed->objects - remains->listed_objects;
    record->bytes = listed->bytes - remains->listed_bytes;
    record->failed = remains->objects;
    record->status = remains->objects > 0 ? SDRS_JOB_ERROR : SDRS_JOB_SUCCESS;
    free(record->message);
    record->message =
        remains->objects > 0
            ? rc_strf("the run that moved them was stopped; of what it was to move "
                      "%" PRId64 " %s still in '%s', and will be moved by the next",
                      remains->objects, remains->objects == 1 ? "is" : "are", record->bucket)
            : NULL;
}

enum rc_code sdrs_validate_direct(struct rc_job *job, const struct sdrs_config *config,
                                  struct sdrs_state *state, struct sdrs_record *record,
                                  struct rc_error *err)
{
    RC_CLEANUP(past_clear) struct past past = { .rule = { .id = 0 } };
    struct rc_error failure = RC_ERROR_INIT;
    struct listed listed = { .objects = 0 };
    struct remains remains = { .listed = &listed, .until_unix_ms = record->created_unix_ms };
    struct sdrs_move move;
    enum rc_code code;

    if (rc_str_eq(record->type, SDRS_TYPE_RESTORE)) {
        (void)rc_fail(&failure, RC_UNAVAILABLE,
                      "the run that restored was stopped; restore again: it goes on");
        fail_record(record, &failure);
        return RC_OK;
    }
    code = make_past(config, state, record, &past, &move, &failure);
    if (!code)
        code = read_manifest(job, record, &listed, &failure);
    if (!code)
        code = sdrs_move_list(job, &move, count_left, &remains, &failure);
    free(listed.last);
    if (code && rc_job_check(job, err))
        return err->code;
    /* What is away for a while knows better later. */
    if (rc_retryable(code)) {
        *err = failure;
        return code;
    }
    if (code)
        fail_record(record, &failure);
    else
        settle(record, &listed, &remains);
    return RC_OK;
}
