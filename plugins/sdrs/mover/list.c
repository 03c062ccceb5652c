/*
 * Which objects a job is to move, by the listing of its bucket, and by whom.
 */
#include "walk.h"

#include <stdlib.h>

enum {
    SKIP_AFTER = 2000, /* objects of an excluded prefix, before the listing goes on behind it */
};

/* Behind all keys of a prefix that anybody has: the last character that there is. */
#define BEHIND "\xf4\x8f\xbf\xbf"

int sdrs_mover_of(const struct sdrs_config *config, const char *bucket)
{
    if (config->mover != SDRS_MOVER_AUTO)
        return config->mover;
    return rc_str_starts(bucket, "gs://") ? SDRS_MOVER_STS : SDRS_MOVER_DIRECT;
}

/* ---- which ---------------------------------------------------------------------------------- */

/* What says whether its time has passed: its path, in the dataset that it is of. */
static bool has_passed(const struct sdrs_move *move, const char *key)
{
    for (size_t i = 0; i < move->datasets->count; i++) {
        const char *dataset = move->datasets->items[i];
        int64_t end_unix_ms;

        if (rc_str_starts(key, dataset))
            return sdrs_template_end_of(move->template, key + strlen(dataset), &end_unix_ms) &&
                   end_unix_ms <= move->limit_unix_ms;
    }
    return false;
}

bool sdrs_move_wants(const struct sdrs_move *move, const char *key, int64_t modified_unix_ms)
{
    int64_t before_unix_ms = move->record->modified_before_unix_ms;

    if (before_unix_ms > 0 && modified_unix_ms >= before_unix_ms)
        return false;
    if (!sdrs_prefixes_cover(move->includes, key) || sdrs_prefixes_cover(move->excludes, key))
        return false;
    /* The service is told prefixes alone. */
    return !move->template || move->record->mover == SDRS_MOVER_STS || has_passed(move, key);
}

/* ---- the walk ------------------------------------------------------------------------------- */

struct sdrs_walk {
    struct rc_job *job;
    const struct sdrs_move *move;
    size_t include; /* the next one */
    char *prefix;   /* of the present listing */
    struct rc_listing *listing;
    const char *skipped; /* the excluded prefix that the listing is in */
    size_t skipped_count;
};

struct sdrs_walk *sdrs_walk_new(struct rc_job *job, const struct sdrs_move *move)
{
    struct sdrs_walk *walk = rc_calloc(1, sizeof(*walk));

    walk->job = job;
    walk->move = move;
    return walk;
}

static enum rc_code list_from(struct sdrs_walk *walk, const char *start_after, struct rc_error *err)
{
    const struct rc_list_options options = { .start_after = start_after };

    rc_storage_list_close(walk->job, walk->listing);
    walk->listing = NULL;
    walk->skipped = NULL;
    if (rc_storage_list(walk->job, walk->prefix, &options, &walk->listing, err))
        return rc_context(err, "list '%s'", walk->prefix);
    return RC_OK;
}

static enum rc_code begin_include(struct sdrs_walk *walk, struct rc_error *err)
{
    const struct sdrs_move *move = walk->move;

    rc_str_free(&walk->prefix);
    walk->prefix = rc_strf("%s%s", move->record->bucket, move->includes->items[walk->include++]);
    return list_from(walk, /* start_after = */ NULL, err);
}

static const char *exclude_of(const struct sdrs_move *move, const char *key)
{
    for (size_t i = 0; i < move->excludes->count; i++)
        if (rc_str_starts(key, move->excludes->items[i]))
            return move->excludes->items[i];
    return NULL;
}

/* Goes on behind an excluded prefix once it has turned out to be long; never back to where it is
   behind that already, as with keys that are no text. */
static enum rc_code pass_excluded(struct sdrs_walk *walk, const char *key, struct rc_error *err)
{
    const struct sdrs_move *move = walk->move;

    if (!walk->skipped || !rc_str_starts(key, walk->skipped)) {
        if (!sdrs_prefixes_cover(move->excludes, key))
            return RC_OK;
        walk->skipped = exclude_of(move, key);
        walk->skipped_count = 0;
    }
    if (++walk->skipped_count != SKIP_AFTER)
        return RC_OK;
    RC_STR_AUTO behind = rc_strf("%s%s" BEHIND, move->record->bucket, walk->skipped);
    if (!rc_str_starts(behind, walk->prefix) ||
        strcmp(behind + strlen(move->record->bucket), key) <= 0)
        return RC_OK;
    return list_from(walk, behind + strlen(walk->prefix), err);
}

enum rc_code sdrs_walk_next(struct sdrs_walk *walk, const char **key, const struct rc_stat **stat,
                            struct rc_error *err)
{
    const struct sdrs_move *move = walk->move;
    const size_t bucket_len = strlen(move->record->bucket);
    const struct rc_object *object;

    *key = NULL;
    for (;;) {
        if (!walk->listing && walk->include == move->includes->count)
            return RC_OK;
        if (!walk->listing && begin_include(walk, err))
            return err->code;
        if (rc_storage_list_next(walk->job, walk->listing, &object, err))
            return rc_context(err, "list '%s'", walk->prefix);
        if (!object) {
            rc_storage_list_close(walk->job, walk->listing);
            walk->listing = NULL;
            continue;
        }
        if (sdrs_move_wants(move, object->uri + bucket_len, object->stat.modified_unix_ms)) {
            *key = object->uri + bucket_len;
            *stat = &object->stat;
            return RC_OK;
        }
        if (pass_excluded(walk, object->uri + bucket_len, err))
            return err->code;
    }
}

void sdrs_walk_free(struct sdrs_walk *walk)
{
    if (!walk)
        return;
    rc_storage_list_close(walk->job, walk->listing);
    free(walk->prefix);
    free(walk);
}

enum rc_code sdrs_move_list(struct rc_job *job, const struct sdrs_move *move, sdrs_found_fn *found,
                            void *context, struct rc_error *err)
{
    struct sdrs_walk *walk = sdrs_walk_new(job, move);
    const struct rc_stat *stat;
    const char *key;
    enum rc_code code;

    do {
        code = sdrs_walk_next(walk, &key, &stat, err);
        if (!code && key)
            code = found(context, key, stat, err);
    } while (!code && key);
    sdrs_walk_free(walk);
    return code;
}
