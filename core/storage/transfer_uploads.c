/*
 * Large objects whose upload outlives the process: each is told in a token before it begins and
 * again with its id before its parts count, so that whatever ends the transfer, the next one goes
 * on with the parts that are there or gives them up. What the parts hold is checked by who puts
 * them.
 */
#include <storage/transfer_internal.h>

#include <os/clock.h>

#include <run-core/str.h>

#include <stdlib.h>
#include <string.h>

enum { KEPT_FROM_BYTES = 16 * 1024 * 1024 }; /* a smaller one is sent again, not told twice */

/* ---- the list ----------------------------------------------------------------------------- */

struct transfer_upload *core_transfer_upload_add(struct transfer_uploads *uploads,
                                                 const char *target, const char *etag,
                                                 int64_t size_bytes, int64_t begun_unix_ms)
{
    struct transfer_upload *upload = rc_malloc(sizeof(*upload));

    *upload = (struct transfer_upload){
        .next = uploads->first,
        .is_taken = true,
        .target = rc_strdup(target),
        .etag = rc_strdup(etag),
        .size_bytes = size_bytes,
        .begun_unix_ms = begun_unix_ms,
    };
    uploads->first = upload;
    uploads->changes++;
    return upload;
}

static void free_upload(struct transfer_upload *upload)
{
    free(upload->target);
    free(upload->etag);
    free(upload->id);
    free(upload);
}

void core_transfer_upload_drop(struct transfer_uploads *uploads, struct transfer_upload *upload)
{
    struct transfer_upload **at = &uploads->first;

    while (*at != upload)
        at = &(*at)->next;
    *at = upload->next;
    uploads->changes++;
    free_upload(upload);
}

void core_transfer_uploads_clear(struct transfer_uploads *uploads)
{
    while (uploads->first)
        core_transfer_upload_drop(uploads, uploads->first);
}

/* One that was left, now taken: that of the target, or with NULL any. */
static struct transfer_upload *take(struct core_transfer *t, const char *target)
{
    struct transfer_upload *upload;

    pthread_mutex_lock(&t->lock);
    upload = t->uploads.first;
    while (upload && (upload->is_taken || (target && !rc_str_eq(upload->target, target))))
        upload = upload->next;
    if (upload)
        upload->is_taken = true;
    pthread_mutex_unlock(&t->lock);
    return upload;
}

static void put_back(struct core_transfer *t, struct transfer_upload *upload)
{
    pthread_mutex_lock(&t->lock);
    upload->is_taken = false;
    pthread_mutex_unlock(&t->lock);
}

static void drop(struct core_transfer *t, struct transfer_upload *upload)
{
    pthread_mutex_lock(&t->lock);
    core_transfer_upload_drop(&t->uploads, upload);
    pthread_mutex_unlock(&t->lock);
}

/* ---- going on ----------------------------------------------------------------------------- */

static struct core_left_parts left_of(const struct transfer_upload *upload)
{
    return (struct core_left_parts){
        .id = upload->id,
        .part_bytes = upload->part_bytes,
        .begun_unix_ms = upload->begun_unix_ms,
    };
}

/* What may pass, or ended the attempt, says nothing of the upload. */
static bool is_undecided(const struct core_transfer *t, enum rc_code code)
{
    return rc_retryable(code) || (code && core_cancel_code(&t->cancel));
}

/* The parts that were left, if they are of this very source. RC_NOT_FOUND: there are none. */
static enum rc_code go_on(struct core_transfer *t, const struct transfer_item *item,
                          const struct core_resolved *to, const struct rc_put_options *options,
                          const struct transfer_upload *upload, struct core_parts **out,
                          struct rc_error *err)
{
    const struct core_left_parts left = left_of(upload);
    bool is_same =
        upload->id && rc_str_eq(upload->etag, item->etag) && upload->size_bytes == item->size_bytes;
    enum rc_code code = RC_NOT_FOUND;

    if (is_same)
        code = to->ops->resume_parts(&to->place, options, &left, out, err);
    if (!code || is_undecided(t, code))
        return code;
    if (code != RC_NOT_FOUND || !is_same)
        code = to->ops->give_up_parts(&to->place, &left, err);
    /* Who may not look for it or give it up leaves it to a sweep by somebody who may. */
    return is_undecided(t, code) ? code : RC_NOT_FOUND;
}

/* ---- beginning ---------------------------------------------------------------------------- */

/* As far as can be done: what stays is left to a sweep. */
static void give_up(struct core_transfer *t, struct transfer_upload *upload)
{
    CORE_RESOLVED_AUTO(at);
    const struct core_left_parts left = left_of(upload);
    struct rc_error ignored = RC_ERROR_INIT;

    if (core_resolve(&t->storage, upload->target, &at, &ignored) || !at.ops->give_up_parts)
        return;
    (void)!at.ops->give_up_parts(&at.place, &left, &ignored);
}

/* Those of earlier transfers have not been met again, perhaps because they never will be. */
static void make_room(struct core_transfer *t)
{
    struct transfer_upload *upload;
    size_t count = 0;

    pthread_mutex_lock(&t->lock);
    for (upload = t->uploads.first; upload; upload = upload->next)
        count++;
    pthread_mutex_unlock(&t->lock);
    if (count < TRANSFER_UPLOADS || !(upload = take(t, NULL)))
        return;
    give_up(t, upload);
    drop(t, upload);
}

static enum rc_code tell(struct core_transfer *t, struct rc_error *err)
{
    return core_transfer_checkpoint(t, err)
               ? rc_fail(err, RC_CANCELLED,
                         "the transfer ends, for it cannot be told how far it is")
               : RC_OK;
}

static enum rc_code begin_told(struct core_transfer *t, const struct core_resolved *to,
                               const struct rc_put_options *options, struct core_parts **out,
                               struct transfer_upload *upload, struct rc_error *err)
{
    if (tell(t, err) || to->ops->begin_parts(&to->place, options, out, err))
        return err->code;
    if (!(*out)->id || strlen((*out)->id) > TRANSFER_UPLOAD_TEXT)
        return RC_OK;
    pthread_mutex_lock(&t->lock);
    upload->id = rc_strdup((*out)->id);
    upload->part_bytes = (*out)->part_bytes;
    t->uploads.changes++;
    pthread_mutex_unlock(&t->lock);
    return upload->size_bytes < KEPT_FROM_BYTES ? RC_OK : tell(t, err);
}

static enum rc_code begin_anew(struct core_transfer *t, const struct transfer_item *item,
                               const struct core_resolved *to, const struct rc_put_options *options,
                               struct core_parts **out, struct transfer_upload **upload,
                               struct rc_error *err)
{
    if (!t->request.checkpoint || !to->ops->resume_parts ||
        strlen(item->target) > TRANSFER_UPLOAD_TEXT)
        return to->ops->begin_parts(&to->place, options, out, err);
    make_room(t);
    pthread_mutex_lock(&t->lock);
    *upload = core_transfer_upload_add(&t->uploads, item->target, item->etag, item->size_bytes,
                                       core_clock_real_unix_ms());
    pthread_mutex_unlock(&t->lock);
    return begin_told(t, to, options, out, *upload, err);
}

enum rc_code core_transfer_parts_open(struct core_transfer *t, const struct transfer_item *item,
                                      const struct core_resolved *to,
                                      const struct rc_put_options *options, struct core_parts **out,
                                      struct transfer_upload **upload, struct rc_error *err)
{
    struct transfer_upload *left = to->ops->resume_parts ? take(t, item->target) : NULL;
    enum rc_code code = RC_NOT_FOUND;

    *out = NULL;
    *upload = NULL;
    if (left) {
        code = go_on(t, item, to, options, left, out, err);
        if (code == RC_NOT_FOUND)
            drop(t, left);
        else if (code)
            put_back(t, left);
        else
            *upload = left;
    }
    return code == RC_NOT_FOUND ? begin_anew(t, item, to, options, out, upload, err) : code;
}

/* ---- the end ------------------------------------------------------------------------------ */

void core_transfer_parts_close(struct core_transfer *t, struct core_parts *parts,
                               struct transfer_upload *upload, bool is_left)
{
    is_left = is_left && upload && upload->id;
    if (parts && is_left)
        parts->ops->leave(parts);
    else if (parts)
        parts->ops->close(parts);
    if (upload && is_left)
        put_back(t, upload);
    else if (upload)
        drop(t, upload);
}

void core_transfer_uploads_give_up(struct core_transfer *t)
{
    struct transfer_upload *upload;

    while ((upload = take(t, NULL)) != NULL) {
        give_up(t, upload);
        drop(t, upload);
    }
}
