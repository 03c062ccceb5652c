/*
 * Removing S3 objects: a thousand in one request, or one by one where the server knows no other
 * way, or XML cannot hold a key.
 */
#include <storage/s3.h>

#include <base/utf8.h>
#include <cloud/xml.h>
#include <os/clock.h>

#include <run-core/str.h>

#include <stdlib.h>
#include <string.h>

#define ONE_BY_ONE "one by one" /* what is noted of a bucket whose server knows no other way */

enum {
    ROUNDS = 4,                /* for keys that a server could not remove just now */
    AT_ONCE = CORE_S3_AT_ONCE, /* single removals */
    LOOKED_AT = 64,            /* in one request, where the server does not compare by itself */
    XML_LIMIT = 8 << 20        /* of 1,000 keys of 1 KiB, all of characters that are escaped */
};

/* ---- one ------------------------------------------------------------------------------------- */

/* Where the server only marks removals, and does not compare: what was it that was removed? */
static enum rc_code settle_removal(const struct core_place_in_store *place,
                                   const struct core_s3_request *request,
                                   const struct core_http_answer *answer, struct rc_error *err)
{
    const struct core_s3_made made = {
        .version = core_http_answer_header(answer, "x-amz-version-id"),
        .sends = request->sends,
        .is_removal = true,
    };
    struct core_s3_condition condition = { place, place->remove_if_match, .is_sent = true };

    if (!place->remove_if_match || place->version ||
        !rc_str_eq(core_http_answer_header(answer, "x-amz-delete-marker"), "true"))
        return RC_OK;
    if (core_s3_honours(place, &condition.is_trusted, err))
        return err->code;
    return core_s3_condition_settle(&condition, &made, /* stat = */ NULL, err);
}

/* A condition may fail because the removal's own first attempt, whose answer was lost, was made. */
static bool is_absent(const struct core_place_in_store *place)
{
    struct rc_error ignored = RC_ERROR_INIT;
    struct rc_stat stat;

    return core_s3_stat(place, &stat, NULL, &ignored) == RC_NOT_FOUND;
}

static enum rc_code remove_one(const struct core_place_in_store *place, struct rc_error *err)
{
    CORE_S3_REQUEST_AUTO(request, place, "remove", "DELETE");
    CORE_S3_ANSWER_AUTO(answer);

    if (place->version)
        core_s3_add_query(&request.query, "versionId", place->version);
    core_s3_add_etag(&request, "if-match", place->remove_if_match);
    if (!core_s3_send(&request, &answer, err))
        return settle_removal(place, &request, &answer, err);
    if ((request.refusal.status != 404 || rc_str_eq(request.refusal.code, "NoSuchBucket")) &&
        !(request.refusal.status == 412 && is_absent(place)))
        return err->code;
    return RC_OK;
}

/* ---- many ------------------------------------------------------------------------------------ */

/* Some of a caller's places, of one bucket. */
struct batch {
    const struct core_place_in_store *places;
    size_t *indexes; /* into them, of those that are still to be removed */
    size_t count;
    struct rc_error **failures; /* one for each of 'places'; NULL: none */
    bool plain;                 /* entity tags are not said */
    bool looks;                 /* we compare them, just before each request */
};

/* Whether XML can hold the key: it has no way to write control characters. */
static bool fits_xml(const char *key)
{
    for (const char *at = key; *at; at++)
        if ((unsigned char)*at < ' ' || rc_str_starts(at, "\xef\xbf\xbe") ||
            rc_str_starts(at, "\xef\xbf\xbf"))
            return false;
    return core_utf8_is_valid(key);
}

static void add_batch(const struct batch *batch, struct rc_buf *xml)
{
    rc_buf_adds(xml, "<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
                     "<Quiet>true</Quiet>");
    for (size_t i = 0; i < batch->count; i++) {
        const struct core_place_in_store *place = &batch->places[batch->indexes[i]];

        rc_buf_adds(xml, "<Object>");
        core_s3_add_element(xml, "Key", place->key);
        core_s3_add_element(xml, "VersionId", place->version);
        core_s3_add_element(xml, "ETag", batch->plain ? NULL : place->remove_if_match);
        rc_buf_adds(xml, "</Object>");
    }
    rc_buf_adds(xml, "</Delete>");
}

/* A key that stays, as the answer tells of it. */
struct told {
    struct batch *batch;
    char *key, *version;
    struct core_s3_refusal refusal;
};

static void take_text(char **out, const char *text)
{
    free(*out);
    *out = rc_strdup(text);
}

static void fail_place(struct batch *batch, size_t index, const struct rc_error *err)
{
    if (!batch->failures[index])
        batch->failures[index] = rc_malloc(sizeof(*err));
    *batch->failures[index] = *err;
}

static enum rc_code settle_told(struct told *told, struct rc_error *unknown)
{
    const struct batch *batch = told->batch;
    struct rc_error err = RC_ERROR_INIT;
    bool is_known = false;

    if (rc_str_eq(told->refusal.code, "NoSuchKey") ||
        rc_str_eq(told->refusal.code, "NoSuchVersion"))
        return RC_OK;
    for (size_t i = 0; i < batch->count; i++) {
        const struct core_place_in_store *place = &batch->places[batch->indexes[i]];

        if (!rc_str_eq(place->key, told->key) ||
            (place->version && told->version && !rc_str_eq(place->version, told->version)))
            continue;
        (void)core_s3_refusal_fail(&told->refusal, /* anonymous = */ false, 0, &err);
        (void)rc_context(&err, "remove '%s'", place->uri);
        fail_place(told->batch, batch->indexes[i], &err);
        is_known = true;
    }
    if (is_known)
        return RC_OK;
    /* One that stays, but which? Who passes over it calls all of them removed. */
    (void)core_s3_refusal_fail(&told->refusal, /* anonymous = */ false, 0, unknown);
    return rc_context(unknown, "remove '%s', which was not asked for",
                      told->key ? told->key : "an object without a name");
}

static enum rc_code on_element(void *context, const char *path, const char *text, size_t len,
                               struct rc_error *err)
{
    struct told *told = context;
    enum rc_code code = RC_OK;

    if (rc_str_eq(path, "DeleteResult/Error/Key")) {
        take_text(&told->key, text);
    } else if (rc_str_eq(path, "DeleteResult/Error/VersionId")) {
        take_text(&told->version, len > 0 ? text : NULL);
    } else if (rc_str_eq(path, "DeleteResult/Error/Code")) {
        core_s3_take_text(told->refusal.code, sizeof(told->refusal.code), text, len);
    } else if (rc_str_eq(path, "DeleteResult/Error/Message")) {
        core_s3_take_text(told->refusal.message, sizeof(told->refusal.message), text, len);
    } else if (rc_str_eq(path, "DeleteResult/Error")) {
        code = settle_told(told, err);
        take_text(&told->key, NULL);
        take_text(&told->version, NULL);
        told->refusal = (struct core_s3_refusal){ .status = 200 };
    }
    return code;
}

static enum rc_code read_result(struct batch *batch, const struct core_http_answer *answer,
                                struct rc_error *err)
{
    struct told told = { .batch = batch, .refusal = { .status = 200 } };
    const struct core_xml_events events = { .end = on_element, .context = &told };
    enum rc_code code = core_xml_read(answer->body.data, answer->body.len, &events, err);

    free(told.key);
    free(told.version);
    return code;
}

static enum rc_code send_batch(struct batch *batch, struct core_s3_refusal *refusal,
                               struct rc_error *err)
{
    const struct core_place_in_store *first = &batch->places[batch->indexes[0]];
    CORE_S3_REQUEST_AUTO(request, first, "remove", "POST");
    CORE_S3_ANSWER_AUTO(answer);
    RC_BUF_AUTO(xml, XML_LIMIT);
    enum rc_code code;

    add_batch(batch, &xml);
    if (rc_buf_check(&xml, err))
        return err->code;
    core_s3_add_query(&request.query, "delete", NULL);
    core_s3_add_header(&request, "content-type", "application/xml");
    request.of_bucket = true;
    request.body = xml.data;
    request.body_len = xml.len;
    request.answers_xml = true;
    request.root = "DeleteResult";
    request.repeats = !batch->looks;
    code = core_s3_send(&request, &answer, err);
    *refusal = request.refusal;
    if (!code)
        code = read_result(batch, &answer, err);
    return code ? rc_context(err, "with %zu others", batch->count - 1) : RC_OK;
}

static enum rc_code remove_numbered(void *context, size_t number, struct rc_error *err)
{
    struct batch *batch = context;
    size_t index = batch->indexes[number];

    if (!remove_one(&batch->places[index], err))
        return RC_OK;
    if (err->code == RC_CANCELLED)
        return err->code;
    fail_place(batch, index, err);
    return RC_OK;
}

/* Takes the keys out of the batch that XML cannot hold, and removes them one by one. */
static enum rc_code remove_misfits(struct batch *batch, struct rc_error *err)
{
    struct batch misfits = *batch;
    size_t kept = 0;
    enum rc_code code;

    misfits.indexes = rc_calloc(batch->count, sizeof(*misfits.indexes));
    misfits.count = 0;
    for (size_t i = 0; i < batch->count; i++) {
        if (fits_xml(batch->places[batch->indexes[i]].key))
            batch->indexes[kept++] = batch->indexes[i];
        else
            misfits.indexes[misfits.count++] = batch->indexes[i];
    }
    batch->count = kept;
    code = core_s3_each(misfits.count, AT_ONCE, remove_numbered, &misfits, err);
    free(misfits.indexes);
    return code;
}

/* Keeps in the batch what failed, but may not a second time. */
static void keep_passing(struct batch *batch)
{
    size_t kept = 0;

    for (size_t i = 0; i < batch->count; i++) {
        struct rc_error **failure = &batch->failures[batch->indexes[i]];

        if (*failure && rc_retryable((*failure)->code))
            batch->indexes[kept++] = batch->indexes[i];
    }
    batch->count = kept;
}

static void forget_failures(struct batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        free(batch->failures[batch->indexes[i]]);
        batch->failures[batch->indexes[i]] = NULL;
    }
}

static void note_replaced(void *context, size_t index, const struct rc_error *err)
{
    fail_place(context, index, err);
}

/* Leaves out what was replaced, where nobody else compares. */
static enum rc_code look(struct batch *batch, struct rc_error *err)
{
    const struct core_remove_report replaced = { .failed = note_replaced, .context = batch };

    return batch->looks ? core_s3_leave_replaced(batch->places, batch->indexes, &batch->count,
                                                 &replaced, err)
                        : RC_OK;
}

static bool lacks_batches(const struct core_s3_refusal *refusal)
{
    return refusal->status == 405 || refusal->status == 501 ||
           rc_str_eq(refusal->code, "NotImplemented");
}

static enum rc_code remove_batch(struct batch *batch, struct rc_error *err)
{
    const struct core_place_in_store *first = batch->places;
    const char *endpoint = first->settings ? first->settings->endpoint : NULL;
    RC_STR_AUTO note_of = rc_strf("%s ?delete", first->bucket);
    RC_STR_AUTO noted = core_remote_recall(first->remote, endpoint ? endpoint : "", note_of);
    struct core_s3_refusal refusal;

    if (noted || batch->count == 1)
        return core_s3_each(batch->count, AT_ONCE, remove_numbered, batch, err);
    if (remove_misfits(batch, err))
        return err->code;
    for (int round = 0; round < ROUNDS && batch->count > 0; round++) {
        if (round > 0) {
            forget_failures(batch);
            core_clock_sleep_ms(100 << round);
            if (look(batch, err))
                return err->code;
            if (batch->count == 0)
                break;
        }
        if (send_batch(batch, &refusal, err)) {
            if (batch->looks && rc_retryable(err->code) && round + 1 < ROUNDS)
                continue;
            if (rc_str_eq(refusal.code, "MalformedXML") && !batch->plain) {
                batch->plain = true; /* one that does not know of entity tags there */
                continue;
            }
            if (lacks_batches(&refusal))
                core_remote_note(first->remote, endpoint ? endpoint : "", note_of, ONE_BY_ONE);
            else if (refusal.status != 400)
                return err->code;
            return core_s3_each(batch->count, AT_ONCE, remove_numbered, batch, err);
        }
        keep_passing(batch);
    }
    return RC_OK;
}

/* Tells the failures, of which the first is the error where there is nobody to tell. */
static enum rc_code report_failures(const struct batch *batch, size_t count, size_t offset,
                                    const struct core_remove_report *report, struct rc_error *err)
{
    for (size_t i = 0; i < count; i++) {
        if (!batch->failures[i])
            continue;
        if (!report) {
            *err = *batch->failures[i];
            return err->code;
        }
        report->failed(report->context, offset + i, batch->failures[i]);
    }
    return RC_OK;
}

/* Those from 'offset' on, of one bucket. */
static enum rc_code remove_run(const struct core_place_in_store *places, size_t offset,
                               size_t count, bool looks, const struct core_remove_report *report,
                               struct rc_error *err)
{
    struct batch batch = {
        .places = places + offset,
        .indexes = rc_calloc(count, sizeof(*batch.indexes)),
        .count = count,
        .failures = rc_calloc(count, sizeof(*batch.failures)),
        .looks = looks,
    };
    enum rc_code code;

    for (size_t i = 0; i < count; i++)
        batch.indexes[i] = i;
    code = look(&batch, err);
    if (!code && batch.count > 0)
        code = remove_batch(&batch, err);
    if (code && report && code != RC_CANCELLED) {
        for (size_t i = 0; i < batch.count; i++)
            fail_place(&batch, batch.indexes[i], err);
        code = RC_OK;
    }
    if (!code)
        code = report_failures(&batch, count, offset, report, err);
    for (size_t i = 0; i < count; i++)
        free(batch.failures[i]);
    free(batch.failures);
    free(batch.indexes);
    return code;
}

/* Whether an entity tag is said that somebody has to compare. */
static bool has_condition(const struct core_place_in_store *place)
{
    return place->remove_if_match && !place->version;
}

/* How many from the first on go into one run. */
static size_t count_run(const struct core_place_in_store *places, size_t count, bool honours)
{
    bool looks = !honours && has_condition(places);
    /* The fewer there are, the shorter each waits between our look and its removal. */
    size_t run = 1, most = looks ? LOOKED_AT : CORE_S3_PAGE;

    while (run < most && run < count && places[run].settings == places->settings &&
           rc_str_eq(places[run].bucket, places->bucket) &&
           (honours || has_condition(&places[run]) == looks))
        run++;
    return run;
}

enum rc_code core_s3_remove(const struct core_place_in_store *places, size_t count,
                            const struct core_remove_report *report, struct rc_error *err)
{
    for (size_t done = 0, run; done < count; done += run) {
        const struct core_place_in_store *first = &places[done];
        bool honours;

        if (core_cancel_check(first->cancel, err) || core_s3_honours(first, &honours, err))
            return err->code;
        run = count_run(first, count - done, honours);
        if (remove_run(places, done, run, !honours && has_condition(first), report, err))
            return err->code;
    }
    return RC_OK;
}
