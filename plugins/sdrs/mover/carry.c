/*
 * Objects from one bucket to another under their keys: a list for the host's transfer, and then a
 * look at what the transfer has left, which is little: what an earlier run was killed over, and
 * what others have changed meanwhile.
 */
#include "carry.h"

#include "../run.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>

enum {
    SETTLE_AT = 1000, /* left objects */
    SETTLE_WIDTH = 16,
    COMPARE_BYTES = 64 << 10,
    LOGGED = 20, /* failures; the others are counted */
};

struct carrying {
    const struct sdrs_carry *carry;
    char *source, *target; /* of the present item */
    bool is_fed;           /* the list came to its end */
    struct rc_error list;  /* why it did not */

    pthread_mutex_t mutex; /* of all below */
    struct sdrs_carried done;
    char **left; /* keys of objects that the transfer passed over, or did not find */
    size_t left_count, left_capacity;
};

/* ---- counting ------------------------------------------------------------------------------- */

/* With the mutex held. */
static void count_failure(struct carrying *c, const char *key, const struct rc_error *err)
{
    struct sdrs_carried *done = &c->done;

    done->failed++;
    if (done->failed <= LOGGED)
        sdrs_batch_log(c->carry->job, RC_LOG_WARN, c->carry->batch, "'%s%s' stays: %s",
                       c->carry->from, key, err->cause);
    if (done->failed == LOGGED + 1)
        sdrs_batch_log(c->carry->job, RC_LOG_WARN, c->carry->batch,
                       "more objects of '%s' stay: they are only counted", c->carry->from);
    if (done->first.code)
        return;
    done->first = *err;
    (void)rc_context(&done->first, "move '%s%s'", c->carry->from, key);
}

static void count_moved(struct carrying *c, int64_t size_bytes)
{
    c->done.objects++;
    c->done.bytes += size_bytes;
}

static void leave(struct carrying *c, const char *key)
{
    if (c->left_count == c->left_capacity) {
        c->left_capacity = c->left_capacity ? 2 * c->left_capacity : 64;
        c->left = rc_realloc(c->left, c->left_capacity * sizeof(*c->left));
    }
    c->left[c->left_count++] = rc_strdup(key);
}

static void told(void *context, const struct rc_transfer_report *report)
{
    struct carrying *c = context;
    const char *key = report->item.source + strlen(c->carry->from);
    int64_t moved;

    (void)pthread_mutex_lock(&c->mutex);
    if (report->act == RC_TRANSFER_SKIP || (report->err && report->err->code == RC_NOT_FOUND)) {
        leave(c, key);
    } else if (report->err) {
        count_failure(c, key, report->err);
    } else {
        count_moved(c, report->item.size_bytes >= 0 ? report->item.size_bytes
                                                    : report->written.size_bytes);
    }
    moved = c->done.objects;
    (void)pthread_mutex_unlock(&c->mutex);
    if (c->carry->progress)
        c->carry->progress(c->carry->context, moved);
}

/* ---- what the transfer has left ------------------------------------------------------------- */

static enum rc_code look(struct rc_job *job, const char *uri, struct rc_stat *stat, bool *is_there,
                         struct rc_error *err)
{
    enum rc_code code = rc_storage_stat(job, uri, stat, err);

    *is_there = code == RC_OK;
    return code == RC_NOT_FOUND ? RC_OK : code;
}

/* One of two objects that are compared. */
struct side {
    struct rc_job *job;
    struct rc_reader *reader;
    char data[COMPARE_BYTES];
    size_t len;
};

static void side_free(struct side **side)
{
    if (*side)
        rc_storage_read_close((*side)->job, (*side)->reader);
    free(*side);
}

static enum rc_code side_open(struct rc_job *job, const char *uri, const struct rc_stat *stat,
                              struct side **out, struct rc_error *err)
{
    const struct rc_get_options options = { .struct_bytes = sizeof(options),
                                            .len_bytes = -1,
                                            .if_match = stat->etag };

    *out = rc_malloc(sizeof(**out));
    (*out)->job = job;
    (*out)->reader = NULL;
    if (rc_storage_open_with(job, uri, &options, &(*out)->reader, err))
        return rc_context(err, "read '%s' to compare it", uri);
    return RC_OK;
}

/* As much as fits, or to the end. */
static enum rc_code side_fill(struct side *side, struct rc_error *err)
{
    size_t len = 1;

    for (side->len = 0; len > 0 && side->len < COMPARE_BYTES; side->len += len)
        if (rc_storage_read(side->job, side->reader, side->data + side->len,
                            COMPARE_BYTES - side->len, &len, err))
            return rc_context(err, "compare with what is at the target");
    return RC_OK;
}

struct pair {
    const char *source, *target;
    struct rc_stat at_source, at_target;
};

static enum rc_code compare(struct rc_job *job, const struct pair *pair, bool *is_same,
                            struct rc_error *err)
{
    RC_CLEANUP(side_free) struct side *a = NULL;
    RC_CLEANUP(side_free) struct side *b = NULL;

    *is_same = pair->at_source.size_bytes == pair->at_target.size_bytes;
    if (!*is_same ||
        (pair->at_source.etag[0] && strcmp(pair->at_source.etag, pair->at_target.etag) == 0))
        return RC_OK;
    if (side_open(job, pair->source, &pair->at_source, &a, err) ||
        side_open(job, pair->target, &pair->at_target, &b, err))
        return err->code;
    do {
        if (side_fill(a, err) || side_fill(b, err))
            return err->code;
        *is_same = a->len == b->len && memcmp(a->data, b->data, a->len) == 0;
    } while (*is_same && a->len > 0);
    return RC_OK;
}

enum fate { THERE, MISSING, MOVED };

/* What is in both with the same content only has to go from the first. */
static enum rc_code decide(struct rc_job *job, struct pair *pair, enum fate *fate,
                           struct rc_error *err)
{
    struct rc_remove_options options = { .struct_bytes = sizeof(options) };
    bool in_source, in_target, is_same;

    if (look(job, pair->source, &pair->at_source, &in_source, err) ||
        look(job, pair->target, &pair->at_target, &in_target, err))
        return err->code;
    if (!in_source) {
        *fate = in_target ? THERE : MISSING;
        return RC_OK;
    }
    if (!in_target)
        return rc_fail(err, RC_CONFLICT,
                       "it came back while it was moved: it stays for the next run");
    if (compare(job, pair, &is_same, err))
        return err->code;
    *fate = MOVED;
    if (!is_same)
        return rc_fail(err, RC_CONFLICT, "another object is at '%s': both stay", pair->target);
    options.if_match = pair->at_source.etag;
    return rc_storage_remove_with(job, pair->source, &options, err);
}

static void free_left(char **left, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(left[i]);
    free(left);
}

/* What was left until now; the transfer may go on meanwhile and leave more. */
struct batch {
    struct carrying *c;
    char **left;
    size_t count;
};

/* Fails by a cancellation alone: all else is counted. */
static enum rc_code settle_one(struct rc_job *job, void *context, size_t index,
                               struct rc_error *err)
{
    const struct batch *batch = context;
    struct carrying *c = batch->c;
    const char *key = batch->left[index];
    RC_STR_AUTO source = rc_strf("%s%s", c->carry->from, key);
    RC_STR_AUTO target = rc_strf("%s%s", c->carry->to, key);
    struct pair pair = { .source = source, .target = target };
    struct rc_error failure = RC_ERROR_INIT;
    enum fate fate = MISSING;
    enum rc_code code = decide(job, &pair, &fate, &failure);

    if (code && rc_job_check(job, err))
        return err->code;
    (void)pthread_mutex_lock(&c->mutex);
    if (code) {
        count_failure(c, key, &failure);
    } else if (fate == MOVED) {
        count_moved(c, pair.at_source.size_bytes);
    } else {
        c->done.there += fate == THERE;
        c->done.missing += fate == MISSING;
    }
    (void)pthread_mutex_unlock(&c->mutex);
    return RC_OK;
}

/* Another run may be at the bucket by now. */
static enum rc_code check_lock(const struct sdrs_carry *carry, struct rc_error *err)
{
    return carry->lock ? rc_lock_check(carry->job, carry->lock, err) : RC_OK;
}

static enum rc_code settle(struct carrying *c, struct rc_error *err)
{
    struct batch batch = { .c = c };
    enum rc_code code = check_lock(c->carry, err);

    if (code)
        return code;
    (void)pthread_mutex_lock(&c->mutex);
    batch.left = c->left;
    batch.count = c->left_count;
    c->left = NULL;
    c->left_count = c->left_capacity = 0;
    (void)pthread_mutex_unlock(&c->mutex);
    if (batch.count == 0)
        return RC_OK;
    code = rc_parallel(c->carry->job, SETTLE_WIDTH, batch.count, settle_one, &batch, err);
    free_left(batch.left, batch.count);
    return code;
}

/* ---- the list ------------------------------------------------------------------------------- */

static enum rc_code give(struct carrying *c, struct rc_transfer_item *item, bool *more,
                         struct rc_error *err)
{
    const struct sdrs_carry *carry = c->carry;
    struct sdrs_carry_item next = { .size_bytes = -1 };
    bool is_due;

    (void)pthread_mutex_lock(&c->mutex);
    is_due = c->left_count >= SETTLE_AT;
    (void)pthread_mutex_unlock(&c->mutex);
    /* The lock last, as the next object may have been long in coming. */
    if ((is_due && settle(c, err)) || carry->next(carry->context, &next, more, err) ||
        check_lock(carry, err))
        return err->code;
    rc_str_free(&c->source);
    rc_str_free(&c->target);
    c->is_fed = !*more;
    if (!*more)
        return RC_OK;
    c->source = rc_strf("%s%s", carry->from, next.key);
    c->target = rc_strf("%s%s", carry->to, next.key);
    *item = (struct rc_transfer_item){
        .source = c->source,
        .target = c->target,
        .size_bytes = next.size_bytes,
        .etag = next.etag,
    };
    return RC_OK;
}

static enum rc_code next_item(void *context, struct rc_transfer_item *item, bool *more,
                              struct rc_error *err)
{
    struct carrying *c = context;
    enum rc_code code = give(c, item, more, err);

    if (code)
        c->list = *err;
    return code;
}

/* ---- the whole ------------------------------------------------------------------------------ */

/* A failure of single objects is counted; what is of the whole is an error. */
static enum rc_code transfer(struct carrying *c, struct rc_error *err)
{
    const struct sdrs_carry *carry = c->carry;
    const struct rc_transfer request = {
        .struct_bytes = sizeof(request),
        .flags = RC_TRANSFER_MOVE | RC_TRANSFER_KEEP_GOING | RC_TRANSFER_GIVE_UP,
        .when = carry->replaces ? RC_TRANSFER_ALWAYS : RC_TRANSFER_IF_ABSENT,
        .next = next_item,
        .width = carry->width,
        .report = told,
        .context = c,
    };
    struct rc_transferred sum = { .objects = 0 };
    enum rc_code code = rc_transfer_run(carry->job, &request, &sum, err);

    struct rc_error stop = RC_ERROR_INIT;

    if (c->list.code) {
        *err = c->list;
        return err->code;
    }
    if (rc_job_check(carry->job, &stop)) {
        *err = stop;
        return err->code;
    }
    if (!code || (c->is_fed && sum.found == sum.objects + sum.skipped + sum.failed))
        return RC_OK;
    return rc_context(err, "move objects of '%s'", carry->from);
}

enum rc_code sdrs_bucket_check(struct rc_job *job, const char *bucket, const char *otherwise,
                               struct rc_error *err)
{
    struct rc_bucket found;

    if (rc_bucket_look(job, bucket, &found, err))
        return rc_context(err, "look for the bucket '%s'", bucket);
    if (found.exists == RC_ANSWER_NO)
        return rc_fail(err, RC_NOT_FOUND, "the bucket '%s' does not exist: %s", bucket, otherwise);
    return RC_OK;
}

enum rc_code sdrs_carry_run(const struct sdrs_carry *carry, struct sdrs_carried *out,
                            struct rc_error *err)
{
    struct carrying c = { .carry = carry, .mutex = PTHREAD_MUTEX_INITIALIZER };
    enum rc_code code = transfer(&c, err);

    if (!code)
        code = settle(&c, err);
    *out = c.done;
    free_left(c.left, c.left_count);
    rc_str_free(&c.source);
    rc_str_free(&c.target);
    return code;
}
