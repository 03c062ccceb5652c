/*
 * What the target has and the source has not goes after the last copy, and only if none has failed:
 * then both sides are looked through once more, so that nothing has to be remembered, and nothing
 * goes whose source has come meanwhile. Whether it may go at all is decided here, before the first
 * of it does, and once more as it goes: a source may vanish as a whole between the two looks.
 */
#include <storage/transfer_internal.h>

#include <inttypes.h>

/* Of what is there now. A transfer that was resumed has seen only the end of it. */
static enum rc_code count(struct core_transfer *t, int64_t *extra, int64_t *wanted,
                          struct rc_error *err)
{
    struct transfer_feed *feed = NULL;
    struct transfer_fed fed;
    bool more = true;
    enum rc_code code;

    if (!t->request.resume) {
        core_transfer_feed_seen(t->feed, extra, wanted);
        return RC_OK;
    }
    code = core_transfer_feed_open(t, /* only_extra = */ true, &feed, err);
    while (!code && more) {
        code = core_cancel_check(&t->cancel, err);
        if (!code)
            code = core_transfer_feed_next(feed, &fed, &more, err);
    }
    if (!code)
        core_transfer_feed_seen(feed, extra, wanted);
    core_transfer_feed_close(feed);
    return code;
}

enum rc_code core_transfer_fail_empty(const struct rc_transfer *request, struct rc_error *err)
{
    return rc_fail(err, RC_CONFLICT, "'%s' has no object: nothing was removed from '%s'",
                   request->source, request->target);
}

enum rc_code core_transfer_extra_due(struct core_transfer *t, bool *is_due, struct rc_error *err)
{
    const struct rc_transfer *request = &t->request;
    int64_t extra, wanted;

    *is_due = false;
    if (!(request->flags & RC_TRANSFER_REMOVE_EXTRA) || t->counts.failed > 0)
        return RC_OK;
    if (count(t, &extra, &wanted, err))
        return err->code;
    if (wanted == 0 && request->flags & RC_TRANSFER_NOT_FROM_EMPTY)
        return core_transfer_fail_empty(request, err);
    if (request->max_removed > 0 && extra > request->max_removed)
        return rc_fail(err, RC_CONFLICT,
                       "%" PRId64 " objects of '%s' have no source, at most %" PRId64
                       " may be removed: nothing was",
                       extra, request->target, request->max_removed);
    *is_due = extra > 0 && !(request->flags & RC_TRANSFER_CHECK);
    return RC_OK;
}
