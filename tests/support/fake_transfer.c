/*
 * The transfer of the fake host: on its storage, one object after the other, in the order of the
 * listing or of the list. The token of a resumption is how many items are behind it.
 */
#include "fake_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* Failures in a row after which it gives up, as the host does; never after fewer in some time. */
enum { IN_VAIN = 200 };

struct work {
    struct fake_job *job;
    const struct rc_transfer *request;
    struct rc_transferred done;
    int64_t extra;
    int64_t passed, skip; /* items, and those that an earlier transfer has passed */
    struct rc_error first;
    int row; /* failures since anything went well */
};

/* The source as it is now, if it is what the item says. */
static enum rc_code look(struct work *work, const struct rc_transfer_item *item,
                         struct rc_stat *stat, struct rc_error *err)
{
    if (!fake_storage_find(work->job->fake, item->source, stat))
        return rc_fail(err, RC_NOT_FOUND, "'%s' does not exist", item->source);
    if (item->etag && !rc_str_eq(item->etag, stat->etag))
        return rc_fail(err, RC_CONFLICT, "'%s' was replaced meanwhile", item->source);
    return RC_OK;
}

static bool is_different(struct work *work, const struct rc_transfer_item *item)
{
    struct rc_fake_host *fake = work->job->fake;
    struct rc_stat source, target;

    if (!fake_storage_find(fake, item->source, &source) ||
        !fake_storage_find(fake, item->target, &target) || source.size_bytes != target.size_bytes)
        return true;
    switch ((enum rc_transfer_compare)work->request->compare) {
    case RC_COMPARE_SIZE:
        return false;
    case RC_COMPARE_TIME:
        return target.modified_unix_ms < source.modified_unix_ms;
    case RC_COMPARE_AUTO:
    case RC_COMPARE_ETAG:
    case RC_COMPARE_CONTENT:
        break;
    }
    return !fake_storage_same(fake, item->source, item->target);
}

static bool is_wanted(struct work *work, const struct rc_transfer_item *item)
{
    struct rc_fake_host *fake = work->job->fake;

    switch (work->request->when) {
    case RC_TRANSFER_IF_ABSENT:
        return !fake_storage_find(fake, item->target, NULL);
    case RC_TRANSFER_IF_DIFFERENT:
        return is_different(work, item);
    case RC_TRANSFER_ALWAYS:
        break;
    }
    return true;
}

/* Whether the change is to be made, and not only counted. */
static bool is_made(struct work *work, const char *what, const char *uri)
{
    return !(work->request->flags & RC_TRANSFER_CHECK) && !fake_held_back(work->job, what, uri);
}

static enum rc_code copy(struct work *work, struct rc_transfer_report *report, struct rc_error *err)
{
    struct rc_fake_host *fake = work->job->fake;
    const struct rc_transfer_item *item = &report->item;
    bool moves = (work->request->flags & RC_TRANSFER_MOVE) != 0;
    struct rc_stat stat;

    if (fake_rule(fake, "transfer.copy", item->source, err) || look(work, item, &stat, err))
        return err->code;
    if (!is_wanted(work, item)) {
        report->act = RC_TRANSFER_SKIP;
        work->done.skipped++;
        return RC_OK;
    }
    work->row = 0;
    work->done.objects++;
    work->done.bytes += stat.size_bytes;
    report->written = stat;
    if (!is_made(work, moves ? "move" : "copy", item->source))
        return RC_OK;
    fake_storage_copy(fake, item->source, item->target, work->request->attributes);
    (void)fake_storage_find(fake, item->target, &report->written);
    if (moves && !rc_str_eq(item->source, item->target))
        fake_storage_drop(fake, item->source);
    return RC_OK;
}

static enum rc_code remove_one(struct work *work, const char *uri, struct rc_error *err)
{
    if (fake_rule(work->job->fake, "transfer.remove", uri, err))
        return err->code;
    work->row = 0;
    work->done.removed++;
    if (is_made(work, "remove", uri))
        fake_storage_drop(work->job->fake, uri);
    return RC_OK;
}

/* What goes on after a failure is the caller's wish. */
static enum rc_code judge(struct work *work, const struct rc_error *failure, struct rc_error *err)
{
    const struct rc_transfer *request = work->request;

    work->done.failed++;
    if (work->first.code == RC_OK)
        work->first = *failure;
    if (request->flags & RC_TRANSFER_GIVE_UP &&
        (rc_retryable(failure->code) || failure->code == RC_FAILED))
        work->row++;
    if (work->row == IN_VAIN)
        (void)rc_context(&work->first, "gave up after %d failures in a row", work->row);
    else if ((request->flags & RC_TRANSFER_KEEP_GOING) && failure->code != RC_CANCELLED &&
             (request->max_failures == 0 || work->done.failed < request->max_failures))
        return RC_OK;
    *err = work->first;
    return err->code;
}

static enum rc_code tell(struct work *work, const struct rc_transfer_report *report,
                         struct rc_error *err)
{
    const struct rc_transfer *request = work->request;
    char token[32];

    work->passed++;
    if (request->report)
        request->report(request->context, report);
    if (request->progress)
        request->progress(request->context, &work->done);
    if (report->err && judge(work, report->err, err))
        return err->code;
    (void)snprintf(token, sizeof token, "%" PRId64, work->passed);
    if (request->checkpoint && request->checkpoint(request->context, token, err))
        return err->code;
    return RC_OK;
}

static enum rc_code do_item(struct work *work, const struct rc_transfer_item *item,
                            struct rc_error *err)
{
    struct rc_transfer_report report = { .act = RC_TRANSFER_COPY, .item = *item };
    struct rc_error failure = RC_ERROR_INIT;
    enum rc_code code;

    if (work->passed < work->skip) {
        work->passed++;
        return RC_OK;
    }
    if (item->source && item->target) {
        code = copy(work, &report, &failure);
    } else {
        report.act = RC_TRANSFER_REMOVE;
        code = remove_one(work, item->source ? item->source : item->target, &failure);
    }
    report.err = code ? &failure : NULL;
    return tell(work, &report, err);
}

/* ---- the two ways to say what ---------------------------------------------------------------- */

static enum rc_code do_list(struct work *work, struct rc_error *err)
{
    for (;;) {
        struct rc_transfer_item item = { .size_bytes = -1 };
        bool more = false;

        if (work->request->next(work->request->context, &item, &more, err))
            return err->code;
        if (!more)
            return RC_OK;
        work->done.found++;
        if (do_item(work, &item, err))
            return err->code;
    }
}

static enum rc_code do_source(struct work *work, const char *uri, struct rc_error *err)
{
    const struct rc_transfer *request = work->request;
    const char *name = uri + strlen(request->source);
    RC_STR_AUTO target = rc_strf("%s%s", request->target, name);
    struct rc_object object = { .uri = uri, .name = name };

    /* One that has gone since the listing was never there. */
    if (!fake_storage_find(work->job->fake, uri, &object.stat) ||
        (request->wants && !request->wants(request->context, &object)))
        return RC_OK;
    work->done.found++;
    work->done.found_bytes += object.stat.size_bytes;
    const struct rc_transfer_item item = { .source = uri,
                                           .target = target,
                                           .size_bytes = object.stat.size_bytes,
                                           .etag = object.stat.etag };
    return do_item(work, &item, err);
}

static bool is_extra(struct work *work, const char *uri)
{
    const struct rc_transfer *request = work->request;
    RC_STR_AUTO source = rc_strf("%s%s", request->source, uri + strlen(request->target));
    struct rc_object object = { .uri = uri, .name = uri + strlen(request->target) };

    return !fake_storage_find(work->job->fake, source, NULL) &&
           fake_storage_find(work->job->fake, uri, &object.stat) &&
           (!request->wants || request->wants(request->context, &object));
}

static enum rc_code count_extra(struct work *work, const char *uri, struct rc_error *err)
{
    (void)err;
    work->extra += is_extra(work, uri);
    return RC_OK;
}

static enum rc_code do_extra(struct work *work, const char *uri, struct rc_error *err)
{
    const struct rc_transfer_item item = { .target = uri, .size_bytes = -1 };

    return is_extra(work, uri) ? do_item(work, &item, err) : RC_OK;
}

static enum rc_code do_each(struct work *work, const char *prefix,
                            enum rc_code (*act)(struct work *, const char *, struct rc_error *),
                            struct rc_error *err)
{
    size_t count;
    char **uris = fake_storage_uris(work->job->fake, prefix, &count);
    enum rc_code code = RC_OK;

    for (size_t i = 0; i < count && !code; i++)
        code = act(work, uris[i], err);
    for (size_t i = 0; i < count; i++)
        free(uris[i]);
    free(uris);
    return code;
}

/* What has no source goes once everything was copied, if no more of it is there than may be. */
static enum rc_code remove_extra(struct work *work, struct rc_error *err)
{
    const struct rc_transfer *request = work->request;

    if (work->done.failed > 0)
        return RC_OK;
    if ((request->flags & RC_TRANSFER_NOT_FROM_EMPTY) && work->done.found == 0)
        return rc_fail(err, RC_CONFLICT, "'%s' has nothing: nothing was removed", request->source);
    if (request->max_removed > 0 && do_each(work, request->target, count_extra, err))
        return err->code;
    if (request->max_removed > 0 && work->extra > request->max_removed)
        return rc_fail(err, RC_CONFLICT,
                       "%lld objects of '%s' have no source, at most %lld are removed: none was",
                       (long long)work->extra, request->target, (long long)request->max_removed);
    return do_each(work, request->target, do_extra, err);
}

static enum rc_code do_tree(struct work *work, struct rc_error *err)
{
    if (do_each(work, work->request->source, do_source, err))
        return err->code;
    return work->request->flags & RC_TRANSFER_REMOVE_EXTRA ? remove_extra(work, err) : RC_OK;
}

static enum rc_code check(const struct rc_transfer *request, struct rc_error *err)
{
    if (request->next ? request->source || request->target : !request->source || !request->target)
        return rc_fail(err, RC_INVALID, "a transfer has a source and a target, or a list");
    if (request->next && (request->when == RC_TRANSFER_IF_DIFFERENT || request->wants ||
                          (request->flags & RC_TRANSFER_REMOVE_EXTRA)))
        return rc_fail(err, RC_INVALID, "IF_DIFFERENT, 'wants' and REMOVE_EXTRA are of a tree");
    if ((request->flags & RC_TRANSFER_MOVE) && (request->flags & RC_TRANSFER_REMOVE_EXTRA))
        return rc_fail(err, RC_INVALID, "after a move everything at the target would be extra");
    if (!(request->flags & RC_TRANSFER_REMOVE_EXTRA) &&
        (request->max_removed || (request->flags & RC_TRANSFER_NOT_FROM_EMPTY)))
        return rc_fail(err, RC_INVALID, "'max_removed' and NOT_FROM_EMPTY are of REMOVE_EXTRA");
    if (request->compare && request->when != RC_TRANSFER_IF_DIFFERENT)
        return rc_fail(err, RC_INVALID, "'compare' is of IF_DIFFERENT");
    return RC_OK;
}

static enum rc_code run_request(struct fake_job *self, const struct rc_transfer *given,
                                struct rc_transferred *out, struct rc_error *err)
{
    struct rc_transfer known = { .struct_bytes = 0 };
    const struct rc_transfer *request = &known;
    struct work work = { .job = self, .request = request, .first = RC_ERROR_INIT };
    const char *subject;
    enum rc_code code;

    RC_ASSERT(given->struct_bytes > 0 && given->struct_bytes <= sizeof known);
    memcpy(&known, given, given->struct_bytes);
    subject = request->source ? request->source : "";
    if (out)
        *out = work.done;
    if (fake_call(self, "transfer.run", subject, err))
        return err->code;
    if (FAKE_BASE(self, transfer))
        return self->base->host->transfer->run(self->base, request, out, err);
    if (check(request, err))
        return err->code;
    if (!request->next && (fake_storage_check(self->fake, request->source, err) ||
                           fake_storage_check(self->fake, request->target, err)))
        return err->code;
    if (request->resume)
        work.skip = strtoll(request->resume, NULL, 10);
    code = request->next ? do_list(&work, err) : do_tree(&work, err);
    if (!code && work.first.code) {
        *err = work.first;
        code = err->code;
    }
    if (out)
        *out = work.done;
    return code;
}

static enum rc_code run(struct rc_job *job, const struct rc_transfer *given,
                        struct rc_transferred *out, struct rc_error *err)
{
    struct fake_job *self = fake_job_of(job);

    return fake_end(self, run_request(self, given, out, err), err);
}

const struct rc_transfer_api fake_transfer_api = { .run = run };
