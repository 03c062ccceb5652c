/*
 * Where a transfer's items come from: the objects of a tree, compared with those at its target
 * where that is asked for, by running through both listings at once; or the caller's list. Memory
 * holds a page of each listing, however many there are.
 */
#include <storage/transfer_internal.h>

#include <run-core/str.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { URI_LIMIT = 64 * 1024 };

/* One of the two listings, and its present object. */
struct side {
    struct rc_listing *listing;
    const struct rc_object *object; /* NULL: no more */
    struct rc_buf before;           /* the name of the last */
    bool has_before;
};

struct transfer_feed {
    struct core_transfer *t;
    struct side source, target;
    bool joins; /* both are listed */
    bool needs_order;
    bool is_target_local;
    char *base;        /* of the target: names are put behind it */
    struct rc_buf uri; /* of the present target */
    struct core_resolved from, to;
    bool is_inside;        /* the source lies inside the target */
    bool has_given;        /* what is present was given already */
    bool only_extra;       /* of the target, and it begins at the begin */
    int64_t extra, wanted; /* seen so far: targets without a source, sources */
    int64_t skip;          /* items of a list that are done already */
};

/* ---- trees -------------------------------------------------------------------------------- */

static enum rc_code side_next(const struct transfer_feed *feed, struct side *side,
                              struct rc_error *err)
{
    const struct rc_object *object;

    side->object = NULL;
    if (core_listing_next(side->listing, &object, err))
        return err->code;
    if (!object)
        return RC_OK;
    if (feed->needs_order && side->has_before && strcmp(object->name, side->before.data) <= 0)
        return rc_fail(err, RC_UNSUPPORTED,
                       "the store lists '%s' behind '%s', not in the order of bytes, so it can "
                       "neither be compared nor be resumed",
                       object->name, side->before.data);
    rc_buf_reset(&side->before);
    rc_buf_adds(&side->before, object->name);
    side->has_before = true;
    side->object = object;
    return RC_OK;
}

static enum rc_code side_open(struct transfer_feed *feed, struct side *side, const char *prefix,
                              struct rc_error *err)
{
    const struct core_list_options options = {
        .plain.start_after = feed->only_extra ? NULL : feed->t->marks.name,
        .left_out = side == &feed->source && !feed->only_extra ? feed->t->storage.left_out : NULL,
    };

    if (core_storage_list_with(&feed->t->storage, prefix, &options, &side->listing, err))
        return err->code;
    return side_next(feed, side, err);
}

/*
 * What names of the tree stand behind at the target. Where the source is a folder, the target is
 * one too; any other prefix is taken as it is.
 */
static enum rc_code set_base(struct transfer_feed *feed, struct rc_error *err)
{
    const struct rc_transfer *request = &feed->t->request;
    struct rc_uri source, target;
    bool is_folder;

    if (rc_uri_split(request->source, &source, err))
        return rc_context(err, "source");
    if (rc_uri_split(request->target, &target, err))
        return rc_context(err, "target");
    is_folder = source.key[0] == '\0' || rc_str_ends(source.key, "/") || target.key[0] == '\0';
    feed->base = rc_strf("%s%s", request->target,
                         is_folder && !rc_str_ends(request->target, "/") ? "/" : "");
    return RC_OK;
}

/* A tree that grows into itself would never end, and one that is cleared into itself would go. */
static enum rc_code check_overlap(struct transfer_feed *feed, struct rc_error *err)
{
    const struct rc_transfer *request = &feed->t->request;
    const char *from, *to;

    if (core_resolve(&feed->t->storage, request->source, &feed->from, err) ||
        core_resolve(&feed->t->storage, feed->base, &feed->to, err))
        return err->code;
    feed->is_target_local = feed->to.ops->capabilities & CORE_STORAGE_LOCAL;
    if (!core_place_is_same_server(&feed->from, &feed->to) ||
        !rc_str_eq(feed->from.place.bucket, feed->to.place.bucket))
        return RC_OK;
    from = feed->from.place.key;
    to = feed->to.place.key;
    if (rc_str_eq(to, from))
        return rc_fail(err, RC_INVALID, "the source and the target are the same place, '%s'",
                       feed->to.uri);
    if (rc_str_starts(to, from) && (!*from || rc_str_ends(from, "/")))
        return rc_fail(err, RC_INVALID,
                       "the target '%s' is a part of the source '%s'; choose a target outside it",
                       feed->to.uri, feed->from.uri);
    if (rc_str_starts(to, from))
        return rc_fail(
            err, RC_INVALID,
            "the target '%s' begins with the source '%s', so it is a part of it; end the "
            "source with a slash, or choose another target",
            feed->to.uri, feed->from.uri);
    feed->is_inside = rc_str_starts(from, to);
    if (feed->is_inside && request->flags & RC_TRANSFER_REMOVE_EXTRA)
        return rc_fail(err, RC_INVALID,
                       "the source '%s' is a part of the target '%s', so it would be removed as "
                       "extra; choose another target",
                       feed->from.uri, feed->to.uri);
    return RC_OK;
}

static enum rc_code open_tree(struct transfer_feed *feed, struct rc_error *err)
{
    const struct rc_transfer *request = &feed->t->request;

    if (set_base(feed, err) || check_overlap(feed, err))
        return err->code;
    feed->joins = request->when != RC_TRANSFER_ALWAYS || request->flags & RC_TRANSFER_REMOVE_EXTRA;
    feed->needs_order = feed->joins || request->resume || request->checkpoint;
    if (side_open(feed, &feed->source, request->source, err))
        return rc_context(err, "list '%s'", request->source);
    if (feed->joins && side_open(feed, &feed->target, feed->base, err))
        return rc_context(err, "list '%s'", feed->base);
    if (feed->only_extra && !feed->source.object && request->flags & RC_TRANSFER_NOT_FROM_EMPTY)
        return core_transfer_fail_empty(request, err);
    return RC_OK;
}

/* How sure it is that what is at the target is what the source has. */
enum likeness { DIFFERENT, LIKELY_SAME, SAME };

/*
 * Entity tags tell if both are MD5, or alike; else the times do: a copy is never older than what it
 * was made of.
 */
static enum likeness compare(const struct rc_stat *source, const struct rc_stat *target)
{
    if (source->size_bytes != target->size_bytes)
        return DIFFERENT;
    if (source->etag[0] != '\0' && rc_str_eq(source->etag, target->etag))
        return SAME;
    if (core_transfer_is_md5(source->etag) && core_transfer_is_md5(target->etag))
        return DIFFERENT;
    return target->modified_unix_ms >= source->modified_unix_ms ? LIKELY_SAME : DIFFERENT;
}

/* Whether only the content can tell, which a worker looks at. */
static bool needs_look(const struct rc_stat *source, const struct rc_stat *target)
{
    return source->size_bytes == target->size_bytes &&
           !(core_transfer_is_md5(source->etag) && core_transfer_is_md5(target->etag));
}

/* Whether what is at the target may stay. */
static bool is_like(const struct rc_transfer *request, const struct rc_stat *source,
                    const struct rc_stat *target)
{
    enum likeness likeness = compare(source, target);

    if (source->size_bytes != target->size_bytes)
        return false;
    switch ((enum rc_transfer_compare)request->compare) {
    case RC_COMPARE_SIZE:
        return true;
    case RC_COMPARE_TIME:
        return target->modified_unix_ms >= source->modified_unix_ms;
    case RC_COMPARE_ETAG:
        return likeness == SAME;
    case RC_COMPARE_AUTO:
    case RC_COMPARE_CONTENT:
        break;
    }
    return likeness != DIFFERENT;
}

/* What is to be done about an object of the source. */
static void decide(const struct transfer_feed *feed, const struct rc_object *source,
                   const struct rc_object *target, struct transfer_fed *out)
{
    const struct rc_transfer *request = &feed->t->request;
    enum likeness likeness;

    out->act = RC_TRANSFER_COPY;
    if (!target || request->when == RC_TRANSFER_ALWAYS)
        return;
    likeness = compare(&source->stat, &target->stat);
    /* A source is removed for a copy that is surely one, not for what may be. */
    if (request->when == RC_TRANSFER_IF_DIFFERENT && request->flags & RC_TRANSFER_MOVE)
        out->is_there = likeness == SAME;
    else if (request->compare == RC_COMPARE_CONTENT && likeness != SAME &&
             needs_look(&source->stat, &target->stat))
        out->target_etag = target->stat.etag;
    else if (request->when == RC_TRANSFER_IF_ABSENT ||
             is_like(request, &source->stat, &target->stat))
        out->act = RC_TRANSFER_SKIP;
}

/* Some tools mark a folder by an empty object whose name ends with a slash; no file can be that. */
static bool is_folder_mark(const struct transfer_feed *feed, const struct rc_object *object)
{
    return feed->is_target_local && object->stat.size_bytes == 0 &&
           (object->name[0] == '\0' || rc_str_ends(object->name, "/"));
}

/* The present object of the source, whose equal at the target may be there (or NULL). */
static enum rc_code give_source(struct transfer_feed *feed, const struct rc_object *at_target,
                                struct transfer_fed *out, struct rc_error *err)
{
    const struct rc_object *object = feed->source.object;

    rc_buf_reset(&feed->uri);
    rc_buf_adds(&feed->uri, feed->base);
    rc_buf_adds(&feed->uri, object->name);
    if (rc_buf_check(&feed->uri, err))
        return rc_context(err, "the name of a target");
    *out = (struct transfer_fed){
        .source = object->uri,
        .target = feed->uri.data,
        .etag = object->stat.etag[0] != '\0' ? object->stat.etag : NULL,
        .name = object->name,
        .size_bytes = object->stat.size_bytes,
    };
    decide(feed, object, at_target, out);
    if (is_folder_mark(feed, object))
        out->act = RC_TRANSFER_SKIP;
    if (!feed->is_inside ||
        !rc_str_starts(object->name, feed->from.place.key + strlen(feed->to.place.key)))
        return RC_OK;
    return rc_fail(err, RC_INVALID,
                   "'%s' would be copied to '%s', which is itself a part of the source",
                   out->source, out->target);
}

/* Leaves what is present: the lesser of the two, or both if they are equal. */
static enum rc_code step(struct transfer_feed *feed, struct rc_error *err)
{
    const struct rc_object *source = feed->source.object, *target = feed->target.object;
    int order = !source ? 1 : !target ? -1 : strcmp(source->name, target->name);

    if (order <= 0 && side_next(feed, &feed->source, err))
        return rc_context(err, "list '%s'", feed->t->request.source);
    if (order >= 0 && target && side_next(feed, &feed->target, err))
        return rc_context(err, "list '%s'", feed->base);
    return RC_OK;
}

static bool is_wanted(const struct transfer_feed *feed, const struct rc_object *object)
{
    const struct rc_transfer *request = &feed->t->request;

    return !request->wants || request->wants(request->context, object);
}

/*
 * What has no source is only counted while sources are given: it goes when all copies are there.
 * Where nothing is changed it can be told at once.
 */
static bool gives_extra(const struct transfer_feed *feed)
{
    return feed->only_extra || feed->t->request.flags & RC_TRANSFER_CHECK;
}

/* What came since it was counted is more than may go. */
static enum rc_code check_extra(const struct transfer_feed *feed, struct rc_error *err)
{
    const struct rc_transfer *request = &feed->t->request;

    if (!feed->t->is_clearing || request->max_removed == 0 || feed->extra <= request->max_removed)
        return RC_OK;
    return rc_fail(err, RC_CONFLICT,
                   "more than %" PRId64 " objects of '%s' have no source now: no more are removed",
                   request->max_removed, request->target);
}

static enum rc_code next_of_tree(struct transfer_feed *feed, struct transfer_fed *out, bool *more,
                                 struct rc_error *err)
{
    bool removes = feed->t->request.flags & RC_TRANSFER_REMOVE_EXTRA;

    for (;;) {
        const struct rc_object *source = feed->source.object, *target = feed->target.object;
        int order = !source ? 1 : !target ? -1 : strcmp(source->name, target->name);

        *more = source || target;
        if (!*more)
            return RC_OK;
        if (order > 0 && removes && is_wanted(feed, target)) {
            feed->extra++;
            *out = (struct transfer_fed){
                .act = RC_TRANSFER_REMOVE,
                .target = target->uri,
                .etag = target->stat.etag,
                .name = target->name,
                .size_bytes = target->stat.size_bytes,
            };
            if (gives_extra(feed))
                return check_extra(feed, err);
        }
        if (order <= 0 && is_wanted(feed, source)) {
            feed->wanted++;
            if (!feed->only_extra)
                return give_source(feed, order == 0 ? target : NULL, out, err);
        }
        if (step(feed, err))
            return err->code;
    }
}

/* ---- lists -------------------------------------------------------------------------------- */

static enum rc_code next_of_list(struct transfer_feed *feed, struct transfer_fed *out, bool *more,
                                 struct rc_error *err)
{
    const struct rc_transfer *request = &feed->t->request;
    struct rc_transfer_item item;

    do {
        item = (struct rc_transfer_item){ .size_bytes = -1 };
        *more = false;
        if (request->next(request->context, &item, more, err))
            return rc_context(err, "the list of what to transfer");
        if (!*more)
            return RC_OK;
    } while (feed->skip > 0 && feed->skip--);
    if (!item.source && !item.target)
        return rc_fail(err, RC_INVALID, "an item of the list names neither source nor target");
    *out = (struct transfer_fed){
        .act = item.source && item.target ? RC_TRANSFER_COPY : RC_TRANSFER_REMOVE,
        .source = item.source,
        .target = item.target,
        .etag = item.etag,
        .size_bytes = item.size_bytes,
        .is_etag_given = item.etag != NULL,
    };
    return RC_OK;
}

/* ---- both --------------------------------------------------------------------------------- */

enum rc_code core_transfer_feed_open(struct core_transfer *t, bool only_extra,
                                     struct transfer_feed **out, struct rc_error *err)
{
    struct transfer_feed *feed = rc_calloc(1, sizeof(*feed));

    *feed = (struct transfer_feed){
        .t = t,
        .source.before = RC_BUF_INIT(URI_LIMIT),
        .target.before = RC_BUF_INIT(URI_LIMIT),
        .uri = RC_BUF_INIT(URI_LIMIT),
        .skip = t->request.next ? t->marks.done : 0,
        .only_extra = only_extra,
    };
    *out = feed;
    return t->request.next ? RC_OK : open_tree(feed, err);
}

enum rc_code core_transfer_feed_next(struct transfer_feed *feed, struct transfer_fed *out,
                                     bool *more, struct rc_error *err)
{
    if (feed->t->request.next)
        return next_of_list(feed, out, more, err);
    /* What was given last is borrowed until now. */
    if (feed->has_given && step(feed, err))
        return err->code;
    feed->has_given = true;
    return next_of_tree(feed, out, more, err);
}

void core_transfer_feed_seen(const struct transfer_feed *feed, int64_t *extra, int64_t *wanted)
{
    *extra = feed->extra;
    *wanted = feed->wanted;
}

void core_transfer_feed_close(struct transfer_feed *feed)
{
    if (!feed)
        return;
    core_listing_close(feed->source.listing);
    core_listing_close(feed->target.listing);
    rc_buf_clear(&feed->source.before);
    rc_buf_clear(&feed->target.before);
    rc_buf_clear(&feed->uri);
    core_resolved_clear(&feed->from);
    core_resolved_clear(&feed->to);
    free(feed->base);
    free(feed);
}
