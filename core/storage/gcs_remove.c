/*
 * Removals from Google Cloud Storage: one by one, or up to a hundred in one request, of which each
 * has its own reply. An object that is not there counts as removed.
 */
#include <storage/gcs.h>

#include <run-core/str.h>

#include <stdlib.h>
#include <string.h>

#define BOUNDARY "run-core-batch"

enum {
    BATCH_BYTES = 1024 * 1024, /* of a request; a URL is at most a few KiB */
    ROUNDS = 6,                /* of what is refused for now */
};

/* The removal of one place: what is left to do, and what became of it. */
struct removal {
    const struct core_place_in_store *place;
    size_t index; /* among the places of the caller */
    bool is_open; /* still to be made */
};

struct job {
    const struct core_remove_report *report;
    struct removal *removals;
    size_t count;
};

/* ---- outcomes -------------------------------------------------------------------------------- */

/* Goes on after a failure that can be told; a wish to stop is not one. */
static enum rc_code tell(const struct core_remove_report *report, size_t index,
                         struct rc_error *err)
{
    if (!report || err->code == RC_CANCELLED)
        return err->code;
    report->failed(report->context, index, err);
    *err = (struct rc_error)RC_ERROR_INIT;
    return RC_OK;
}

/*
 * Not there is as good as removed, unless it is the bucket that is not there. Of what is removed
 * there is nothing to say: a page that comes with a 200 is from something on the way.
 */
static bool is_gone(unsigned status, const char *body, size_t len)
{
    struct core_arena arena = CORE_ARENA_INIT;
    struct core_google_failure failure;
    bool gone;

    if (status / 100 == 2)
        return status == 204 || len == 0;
    if (status != 404)
        return false;
    core_google_read_failure(&arena, body, len, &failure);
    gone = !failure.message || !strstr(failure.message, "bucket does not exist");
    core_arena_clear(&arena);
    return gone;
}

/* A condition may fail because the removal's own first attempt, whose answer was lost, was made. */
static bool is_absent(const struct core_place_in_store *place)
{
    struct rc_error err = RC_ERROR_INIT;
    struct rc_stat stat;

    return core_gcs_stat(place, &stat, NULL, &err) == RC_NOT_FOUND;
}

static enum rc_code begin(struct core_gcs_request *request, const struct core_place_in_store *place,
                          struct rc_error *err)
{
    if (core_gcs_begin_object(request, place, "remove", err))
        return err->code;
    if (place->remove_if_match && place->remove_if_match[0] == '\0')
        return rc_fail(err, RC_INVALID, "'%s' cannot be removed only if it is absent", place->uri);
    if (core_gcs_add_condition(request, "ifGenerationMatch", place->remove_if_match, err))
        return err->code;
    request->header_count = 0; /* a customer's key has no part in a removal */
    return core_gcs_complete(request, err);
}

/* ---- one ------------------------------------------------------------------------------------- */

static enum rc_code remove_one(const struct core_place_in_store *place, struct rc_error *err)
{
    CORE_GCS_REQUEST_AUTO(request);
    struct core_http_answer answer;
    enum rc_code code;

    if (begin(&request, place, err))
        return err->code;
    request.call.method = "DELETE";
    core_http_answer_init(&answer, CORE_GCS_REPLY_BYTES);
    code = core_http_call(&request.call, &answer, err);
    if (!code && !is_gone(answer.status, answer.body.data, answer.body.len) &&
        !(answer.status == 412 && is_absent(place)))
        code = core_gcs_fail(&request, &answer, err);
    core_http_answer_clear(&answer);
    return code;
}

/* ---- many ------------------------------------------------------------------------------------ */

/*
 * The path and query of a URL below the endpoint. A batch has one set of credentials for all of its
 * calls.
 */
static const char *target_of(const char *url)
{
    const char *host = strstr(url, "://");
    const char *path = strchr(host ? host + 3 : url, '/');

    return path ? path : "/";
}

/* Adds a call to the body; those that cannot be made are told at once. */
static enum rc_code add_call(struct rc_buf *body, struct job *job, size_t at, size_t *calls,
                             struct rc_error *err)
{
    struct removal *removal = &job->removals[at];
    CORE_GCS_REQUEST_AUTO(request);

    if (begin(&request, removal->place, err)) {
        removal->is_open = false;
        return tell(job->report, removal->index, err);
    }
    rc_buf_addf(body,
                "--" BOUNDARY "\r\nContent-Type: application/http\r\nContent-ID: <%zu>\r\n\r\n"
                "DELETE %s HTTP/1.1\r\n\r\n\r\n",
                at, target_of(request.url.data));
    ++*calls;
    return RC_OK;
}

static enum rc_code send_batch(struct core_gcs_request *request, const struct rc_buf *body,
                               struct core_http_answer *answer, struct rc_error *err)
{
    RC_STR_AUTO endpoint = core_gcs_endpoint(request->place->settings);

    rc_buf_addf(&request->url, "%s/batch/storage/v1", endpoint);
    core_gcs_add_header(request, "Content-Type", "multipart/mixed; boundary=" BOUNDARY);
    if (core_gcs_seal(request, err)) /* a user's project stands in each call's own query */
        return err->code;
    request->call.method = "POST";
    request->call.body = body->data;
    request->call.body_len = body->len;
    request->call.repeat = CORE_HTTP_REPEAT_SAFE; /* what is gone stays gone */
    return core_gcs_call(request, 0, answer, err);
}

/* What one reply means for its removal. */
static enum rc_code settle(struct core_gcs_request *request, struct job *job,
                           const struct core_gcs_part *part, struct rc_error *err)
{
    struct removal *removal = &job->removals[part->index];

    if (is_gone(part->status, part->body, part->body_len) ||
        (part->status == 412 && is_absent(removal->place))) {
        removal->is_open = false;
        return RC_OK;
    }
    (void)core_google_fail_with(part->status, part->body, part->body_len, NULL, err);
    (void)rc_context(err, "remove '%s'", removal->place->uri);
    if (part->status == 401 && request->credentials && request->authorization.len > 0 &&
        core_google_credentials_refuse(request->credentials, request->authorization.data))
        return RC_OK; /* again in the next round, with other credentials */
    if (core_google_judge(part->status, part->body, part->body_len) != CORE_HTTP_ACCEPT)
        return RC_OK; /* again in the next round */
    removal->is_open = false;
    return tell(job->report, removal->index, err);
}

static enum rc_code read_batch(struct core_gcs_request *request, struct job *job,
                               const struct core_http_answer *answer, struct rc_error *err)
{
    const char *type = core_http_answer_header(answer, "content-type");
    struct core_gcs_part part;
    size_t at = 0;

    while (core_gcs_next_part(type, answer->body.data, answer->body.len, &at, &part)) {
        if (part.index >= job->count || !job->removals[part.index].is_open)
            continue; /* an answer to nothing that was asked */
        if (settle(request, job, &part, err))
            return err->code;
    }
    if (at < answer->body.len)
        (void)rc_fail(err, RC_CORRUPT, "%s: the reply is not that of a batch", request->name);
    return RC_OK; /* what was not answered is asked again */
}

/* One request for all that are open; *left tells how many still are. */
static enum rc_code make_round(struct job *job, size_t *left, struct rc_error *err)
{
    CORE_GCS_REQUEST_AUTO(request);
    RC_BUF_AUTO(body, BATCH_BYTES);
    struct core_http_answer answer;
    size_t calls = 0;
    enum rc_code code;

    for (size_t i = 0; i < job->count; i++)
        if (job->removals[i].is_open && add_call(&body, job, i, &calls, err))
            return err->code;
    *left = 0;
    if (calls == 0)
        return RC_OK;
    rc_buf_adds(&body, "--" BOUNDARY "--\r\n");
    if (rc_buf_check(&body, err) ||
        core_gcs_begin(&request, job->removals[0].place, "remove objects near", err))
        return err->code;

    core_http_answer_init(&answer, CORE_GCS_REPLY_BYTES);
    code = send_batch(&request, &body, &answer, err);
    if (!code)
        code = read_batch(&request, job, &answer, err);
    core_http_answer_clear(&answer);
    for (size_t i = 0; i < job->count; i++)
        *left += job->removals[i].is_open;
    return code;
}

/* What is still open cannot be made: each is told 'err'. */
static enum rc_code give_up(struct job *job, struct rc_error *err)
{
    struct rc_error last;

    if (!err->code)
        (void)rc_fail(err, RC_CORRUPT, "the server does not say what became of it");
    last = *err;
    for (size_t i = 0; i < job->count; i++) {
        if (!job->removals[i].is_open)
            continue;
        job->removals[i].is_open = false;
        *err = last;
        if (tell(job->report, job->removals[i].index, err))
            return err->code;
    }
    return RC_OK;
}

static enum rc_code remove_batch(struct job *job, struct rc_error *err)
{
    size_t left = job->count;

    for (unsigned round = 0; left > 0; round++) {
        size_t before = left;

        *err = (struct rc_error)RC_ERROR_INIT;
        if (round > 0 && core_gcs_pause(job->removals[0].place, round, 0, err))
            return err->code;
        if (make_round(job, &left, err))
            return job->report ? give_up(job, err) : err->code;
        if (round == ROUNDS)
            return give_up(job, err);
        if (left < before)
            round = 0;
    }
    return RC_OK;
}

/* ---- all ------------------------------------------------------------------------------------- */

/* Those that one request can remove: of one endpoint and one set of credentials. */
static size_t run_of(const struct core_place_in_store *places, size_t count)
{
    size_t len = 1;

    while (len < count && len < CORE_GCS_BATCH && places[len].settings == places[0].settings &&
           places[len].remote == places[0].remote)
        len++;
    return len;
}

static enum rc_code remove_run(const struct core_place_in_store *places, size_t first, size_t count,
                               const struct core_remove_report *report, struct rc_error *err)
{
    struct removal removals[CORE_GCS_BATCH];
    struct job job = { .report = report, .removals = removals, .count = count };

    if (count == 1)
        return remove_one(&places[first], err) ? tell(report, first, err) : RC_OK;
    for (size_t i = 0; i < count; i++)
        removals[i] = (struct removal){
            .place = &places[first + i],
            .index = first + i,
            .is_open = true,
        };
    return remove_batch(&job, err);
}

enum rc_code core_gcs_remove(const struct core_place_in_store *places, size_t count,
                             const struct core_remove_report *report, struct rc_error *err)
{
    for (size_t done = 0, run; done < count; done += run) {
        if (core_cancel_check(places[done].cancel, err))
            return err->code;
        run = run_of(places + done, count - done);
        if (remove_run(places, done, run, report, err))
            return err->code;
    }
    return RC_OK;
}
