/*
 * Uploads. A chunk whose answer is lost is not simply sent again: the session is asked what it has,
 * and goes on from there. That also tells an upload that has ended from one that has not.
 */
#include <storage/gcs_upload.h>

#include <config/json.h>
#include <os/clock.h>
#include <os/digest.h>

#include <run-core/str.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    METADATA_BYTES = 64 * 1024,
    RETRIES = 6, /* one after the other without progress */
    RESTARTS = 2,
    MAX_ASKED_MS = 20 * 1000, /* waited because the server asks for it */
    ABORT_MS = 5 * 1000,
};

/* ---- what both have in common ---------------------------------------------------------------- */

enum rc_code core_gcs_check_upload(const struct core_gcs_upload *upload, struct rc_error *err)
{
    const struct core_place_in_store *place = upload->place;

    if (place->version)
        return rc_fail(err, RC_INVALID, "'%s': a version that is there cannot be written",
                       place->uri);
    if (upload->attributes && upload->attributes->tags.len > 0)
        return rc_fail(err, RC_UNSUPPORTED,
                       "'%s': objects in Google Cloud Storage have no tags; use metadata instead",
                       place->uri);
    return core_gcs_check_object(place, err);
}

enum rc_code core_gcs_keep(struct core_gcs_upload *upload, struct core_object_detail *kept,
                           struct rc_error *err)
{
    struct rc_stat stat;
    enum rc_code code = core_gcs_stat(upload->place, &stat, kept, err);

    if (code == RC_NOT_FOUND || (!code && !rc_str_eq(stat.etag, upload->if_match)))
        return rc_fail(err, RC_CONFLICT, "write '%s': its generation is '%s', not '%s'",
                       upload->place->uri, code ? "" : stat.etag, upload->if_match);
    upload->attributes = &kept->attributes;
    upload->kept = kept;
    return code;
}

/* That of the settings, which want it of every object, or else of the object that is replaced. */
static const char *key_of(const struct core_gcs_upload *upload)
{
    const struct core_store_settings *settings = upload->place->settings;

    if (settings && settings->sse_kms_key)
        return settings->sse_kms_key;
    return upload->kept ? upload->kept->encryption_key : NULL;
}

/* Begins the request of an upload up to its query, and writes the object's JSON. */
static enum rc_code begin_insert(struct core_gcs_request *request,
                                 const struct core_gcs_upload *upload, const char *type,
                                 const char *crc32c, struct rc_buf *resource, struct rc_error *err)
{
    const struct core_store_settings *settings = upload->place->settings;

    if (core_gcs_begin_object(request, upload->place, "write", err))
        return err->code;
    core_gcs_set_path(request, "/upload/storage/v1");
    core_gcs_add_query(request, "uploadType", type);
    core_gcs_add_query(request, "kmsKeyName", key_of(upload));
    core_gcs_add_resource(resource, upload->place->key, upload->attributes,
                          settings ? settings->storage_class : NULL, crc32c,
                          upload->kept ? &upload->kept->others : NULL);
    if (rc_buf_check(resource, err))
        return rc_context(err, "the attributes of '%s'", upload->place->uri);
    return core_gcs_add_condition(request, "ifGenerationMatch", upload->if_match, err);
}

static const char *type_of(const struct core_gcs_upload *upload)
{
    const char *type = upload->attributes ? upload->attributes->content_type : NULL;

    return type && *type ? type : "application/octet-stream";
}

/* What the server says that it has written is held against what was sent. */
static enum rc_code read_written(const char *name, const struct core_http_answer *answer,
                                 const char *key, int64_t size_bytes, uint32_t crc,
                                 struct rc_stat *out, bool *is_wrong, struct rc_error *err)
{
    struct core_arena arena = CORE_ARENA_INIT;
    struct core_gcs_object object;
    RC_BUF_AUTO(expected, 16);
    enum rc_code code = RC_OK;

    core_gcs_add_crc32c(&expected, crc);
    *is_wrong = false;
    if (!core_gcs_read_object(core_json_read_reply(&arena, answer->body.data, answer->body.len),
                              &object)) {
        code = rc_fail(err, RC_CORRUPT, "%s: the reply is not that of an object", name);
    } else if (object.name && !rc_str_eq(object.name, key)) {
        code = rc_fail(err, RC_CORRUPT,
                       "%s: the server has stored it as '%s', so the request was garbled on its "
                       "way; remove that object, and use https",
                       name, object.name);
    } else {
        *out = object.stat;
        *is_wrong = object.stat.size_bytes != size_bytes ||
                    (object.crc32c && !rc_str_eq(object.crc32c, expected.data));
    }
    if (*is_wrong)
        code = rc_fail(err, RC_CORRUPT,
                       "%s: the server has %" PRId64
                       " bytes with the CRC-32C %s, sent were %" PRId64 " with %s",
                       name, object.stat.size_bytes, object.crc32c ? object.crc32c : "-",
                       size_bytes, expected.data);
    core_arena_clear(&arena);
    return code;
}

/* Takes away, and only that, what the server has made of an upload instead of what was sent. */
static void remove_wrong(const struct core_place_in_store *place, const struct rc_stat *wrong)
{
    struct core_place_in_store at = *place;
    struct rc_error ignored = RC_ERROR_INIT;

    at.version = wrong->etag;
    (void)core_gcs_remove(&at, 1, NULL, &ignored);
}

/* ---- in one request -------------------------------------------------------------------------- */

/* A body of three pieces, of which the middle one is large and stays where it is. */
struct pieces {
    const char *data[3];
    size_t len[3];
};

static enum rc_code read_pieces(void *context, int64_t offset_bytes, char *data, size_t capacity,
                                size_t *len, struct rc_error *err)
{
    const struct pieces *pieces = context;
    size_t offset = (size_t)offset_bytes;

    (void)err;
    *len = 0;
    for (size_t i = 0; i < RC_ARRAY_LEN(pieces->len) && *len < capacity; i++) {
        size_t part;

        if (offset >= pieces->len[i]) {
            offset -= pieces->len[i];
            continue;
        }
        part = pieces->len[i] - offset;
        if (part > capacity - *len)
            part = capacity - *len;
        memcpy(data + *len, pieces->data[i] + offset, part);
        *len += part;
        offset = 0;
    }
    return RC_OK;
}

/* A text that is not in the content, but by a chance that is none. */
static void write_boundary(char out[40], const void *data, size_t len, uint32_t crc)
{
    static const char hex[] = "0123456789abcdef";
    uint64_t state = crc ^ (uint64_t)core_clock_mono_ms() << 20;

    do {
        memcpy(out, "run-core-", 9);
        for (size_t i = 9; i < 39; i++) {
            state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            out[i] = hex[state >> 60];
        }
        out[39] = '\0';
    } while (memmem(data, len, out, 39));
}

static enum rc_code upload_at_once(const struct core_gcs_upload *upload, const void *data,
                                   size_t len, uint32_t crc, struct rc_stat *written,
                                   struct rc_error *err)
{
    CORE_GCS_REQUEST_AUTO(request);
    RC_BUF_AUTO(resource, METADATA_BYTES);
    RC_BUF_AUTO(head, 2 * METADATA_BYTES);
    RC_BUF_AUTO(tail, 64);
    RC_BUF_AUTO(crc32c, 16);
    struct core_http_answer answer;
    char boundary[40];
    bool is_wrong = false;
    enum rc_code code;

    core_gcs_add_crc32c(&crc32c, crc);
    if (begin_insert(&request, upload, "multipart", crc32c.data, &resource, err))
        return err->code;
    core_gcs_add_query(&request, "fields", CORE_GCS_OBJECT_FIELDS);
    write_boundary(boundary, data, len, crc);
    rc_buf_addf(&head,
                "--%s\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n%s\r\n--%s\r\n",
                boundary, resource.data, boundary);
    rc_buf_addf(&head, "Content-Type: %s\r\n\r\n", type_of(upload));
    rc_buf_addf(&tail, "\r\n--%s--\r\n", boundary);
    struct pieces pieces = { { head.data, data, tail.data }, { head.len, len, tail.len } };
    const struct core_http_content content = {
        .len_bytes = (int64_t)(head.len + len + tail.len),
        .read = read_pieces,
        .context = &pieces,
    };
    core_gcs_take_header(&request, "Content-Type",
                         rc_strf("multipart/related; boundary=%s", boundary));
    if (core_gcs_complete(&request, err) || rc_buf_check(&head, err))
        return err->code;
    request.call.method = "POST";
    request.call.content = &content;
    request.call.repeat = CORE_HTTP_REPEAT_SAFE;

    core_http_answer_init(&answer, CORE_GCS_REPLY_BYTES);
    code = core_gcs_call(&request, 0, &answer, err);
    if (!code)
        code = read_written(request.name, &answer, upload->place->key, (int64_t)len, crc, written,
                            &is_wrong, err);
    core_http_answer_clear(&answer);
    if (is_wrong)
        remove_wrong(upload->place, written);
    return code;
}

/* ---- sessions -------------------------------------------------------------------------------- */

struct core_gcs_session {
    struct core_gcs_upload upload;
    char *name;           /* "write 'gs://bucket/key'" */
    char *url;            /* holding it is the right to write */
    int64_t offset_bytes; /* of the chunk in hand; the server has all before it */
    int64_t known_bytes;  /* it has so many, perhaps from an earlier process */
    uint32_t crc;
    bool is_named; /* somebody knows the URL, so that it has to stay what it is */
    bool is_done;
};

/* A chunk that is on its way. */
struct chunk {
    const char *data;
    size_t len;
    int64_t total_bytes; /* -1: it is not the last */
    size_t sent;         /* bytes of it that the server has */
    unsigned failures;   /* since it last had more */
    unsigned restarts;
    bool is_unsure; /* the last answer was lost: the session is asked what it has */
    bool is_done;   /* the last, and the object is there */
};

static enum rc_code begin_session(struct core_gcs_session *session, struct rc_error *err)
{
    CORE_GCS_REQUEST_AUTO(request);
    RC_BUF_AUTO(resource, METADATA_BYTES);
    struct core_http_answer answer;
    const char *url;
    enum rc_code code;

    if (begin_insert(&request, &session->upload, "resumable", NULL, &resource, err))
        return err->code;
    core_gcs_add_header(&request, "Content-Type", "application/json; charset=UTF-8");
    core_gcs_add_header(&request, "X-Upload-Content-Type", type_of(&session->upload));
    if (core_gcs_complete(&request, err))
        return err->code;
    request.call.method = "POST";
    request.call.body = resource.data;
    request.call.body_len = resource.len;
    request.call.repeat = CORE_HTTP_REPEAT_SAFE; /* a session that is not used does nothing */

    core_http_answer_init(&answer, CORE_GCS_REPLY_BYTES);
    code = core_gcs_call(&request, 0, &answer, err);
    url = core_http_answer_header(&answer, "location");
    if (!code && (!url || (!rc_str_starts(url, "http://") && !rc_str_starts(url, "https://"))))
        code = rc_fail(err, RC_CORRUPT, "%s: the server names no place to upload to", request.name);
    if (!code) {
        free(session->url);
        session->url = rc_strdup(url);
    }
    core_http_answer_clear(&answer);
    return code;
}

enum rc_code core_gcs_session_begin(const struct core_gcs_upload *upload,
                                    struct core_gcs_session **out, struct rc_error *err)
{
    struct core_gcs_session *session = rc_malloc(sizeof(*session));

    *session = (struct core_gcs_session){
        .upload = *upload,
        .name = rc_strf("write '%s'", upload->place->uri),
    };
    if (begin_session(session, err)) {
        core_gcs_session_free(session);
        return err->code;
    }
    *out = session;
    return RC_OK;
}

const char *core_gcs_session_name(struct core_gcs_session *session)
{
    session->is_named = true;
    return session->url;
}

/* Begins a request to the session itself, for which its URL is all that is needed. */
static enum rc_code begin_step(const struct core_gcs_session *session,
                               struct core_gcs_request *request, const char *method,
                               struct rc_error *err)
{
    if (core_gcs_begin_object(request, session->upload.place, "write", err) ||
        core_gcs_complete(request, err))
        return err->code;
    request->credentials = NULL;
    request->call.url = session->url;
    request->call.secret_url = true;
    request->call.method = method;
    return RC_OK;
}

static char *total_text(int64_t total_bytes)
{
    return total_bytes < 0 ? rc_strdup("*") : rc_strf("%" PRId64, total_bytes);
}

/* Asks what the session has, once. */
static enum rc_code ask(const struct core_gcs_session *session, const struct chunk *chunk,
                        struct core_http_answer *answer, struct rc_error *err)
{
    CORE_GCS_REQUEST_AUTO(request);
    RC_STR_AUTO total = total_text(chunk->total_bytes);

    if (begin_step(session, &request, "PUT", err))
        return err->code;
    core_gcs_take_header(&request, "Content-Range", rc_strf("bytes */%s", total));
    request.call.header_count = request.header_count;
    request.call.attempts = 1; /* who waits for the answer asks again */
    return core_http_call(&request.call, answer, err);
}

/* The last request says what the whole has to be, so that the server refuses what is not. */
static char *hash_header(uint32_t crc)
{
    RC_BUF_AUTO(text, 32);

    rc_buf_adds(&text, "crc32c=");
    core_gcs_add_crc32c(&text, crc);
    return rc_buf_take(&text);
}

/* Sends what the server does not have of the chunk, once. */
static enum rc_code send(const struct core_gcs_session *session, const struct chunk *chunk,
                         struct core_http_answer *answer, struct rc_error *err)
{
    CORE_GCS_REQUEST_AUTO(request);
    RC_STR_AUTO total = total_text(chunk->total_bytes);
    int64_t from = session->offset_bytes + (int64_t)chunk->sent;
    int64_t end = session->offset_bytes + (int64_t)chunk->len;

    if (begin_step(session, &request, "PUT", err))
        return err->code;
    core_gcs_add_header(&request, "Content-Type", type_of(&session->upload));
    if (end > from)
        core_gcs_take_header(&request, "Content-Range",
                             rc_strf("bytes %" PRId64 "-%" PRId64 "/%s", from, end - 1, total));
    else
        core_gcs_take_header(&request, "Content-Range", rc_strf("bytes */%s", total));
    if (chunk->total_bytes >= 0)
        core_gcs_take_header(&request, "X-Goog-Hash", hash_header(session->crc));
    request.call.header_count = request.header_count;
    request.call.body = chunk->data + chunk->sent;
    request.call.body_len = (size_t)(end - from);
    request.call.repeat = CORE_HTTP_REPEAT_NEVER;
    request.call.attempts = 1;
    return core_http_call(&request.call, answer, err);
}

/* The session has the bytes up to 'have'. */
static enum rc_code go_on(struct core_gcs_session *session, struct chunk *chunk, int64_t have,
                          struct rc_error *err)
{
    size_t before = chunk->sent;

    if (have < session->offset_bytes)
        return rc_fail(err, RC_UNAVAILABLE,
                       "%s: the server has lost %" PRId64
                       " bytes of the upload that it had; upload it anew",
                       session->name, session->offset_bytes - have);
    if (have > session->offset_bytes + (int64_t)chunk->len)
        return rc_fail(err, RC_CORRUPT,
                       "%s: the server has more bytes of the upload than were sent", session->name);
    chunk->sent = (size_t)(have - session->offset_bytes);
    if (chunk->sent > before)
        chunk->failures = 0;
    else
        chunk->failures++;
    return RC_OK;
}

/* The session is gone: what the chunk does not hold is lost, and with it the upload. */
static enum rc_code restart(struct core_gcs_session *session, struct chunk *chunk,
                            struct rc_error *err)
{
    if (session->offset_bytes > 0 || session->upload.if_match || session->is_named ||
        chunk->restarts == RESTARTS)
        return rc_fail(err, RC_UNAVAILABLE,
                       "%s: the server has lost the upload after %" PRId64 " bytes; upload it anew",
                       session->name, session->offset_bytes + (int64_t)chunk->sent);
    chunk->restarts++;
    chunk->sent = 0;
    return begin_session(session, err);
}

/* What an answer means for the chunk. */
static enum rc_code take_answer(struct core_gcs_session *session, struct chunk *chunk,
                                const struct core_http_answer *answer, struct rc_error *err)
{
    const struct core_gcs_request request = {
        .place = session->upload.place,
        .name = session->name,
    };
    int64_t have;

    chunk->is_unsure = false;
    if (answer->status / 100 == 2) {
        chunk->is_done = true;
        return RC_OK;
    }
    if (answer->status == 308) {
        have = core_gcs_received_bytes(core_http_answer_header(answer, "range"));
        if (have < 0)
            return rc_fail(err, RC_CORRUPT, "%s: the server's Range makes no sense", session->name);
        return go_on(session, chunk, have, err);
    }
    if (answer->status == 404 || answer->status == 410)
        return restart(session, chunk, err);
    if (core_google_judge(answer->status, answer->body.data, answer->body.len) ==
        CORE_HTTP_ACCEPT) {
        (void)core_gcs_fail(&request, answer, err);
        return err->code;
    }
    (void)core_gcs_fail(&request, answer, err);
    chunk->is_unsure = true;
    chunk->failures++;
    return RC_OK;
}

static enum rc_code pause_behind(const struct core_gcs_session *session, const struct chunk *chunk,
                                 const struct core_http_answer *answer, struct rc_error *err)
{
    int64_t asked_ms = core_http_answer_retry_ms(answer, core_clock_real_unix_ms());

    return core_gcs_pause(session->upload.place, chunk->failures + 1,
                          asked_ms < MAX_ASKED_MS ? asked_ms : MAX_ASKED_MS, err);
}

/* One question or one sending. A failure that may pass is none, but leaves its words in 'err'. */
static enum rc_code step(struct core_gcs_session *session, struct chunk *chunk,
                         struct core_http_answer *answer, struct rc_error *err)
{
    const struct core_cancel *cancel = session->upload.place->cancel;
    unsigned failures = chunk->failures;
    enum rc_code code;

    core_http_answer_clear(answer);
    core_http_answer_init(answer, CORE_GCS_REPLY_BYTES);
    if (chunk->is_unsure)
        code = ask(session, chunk, answer, err);
    else
        code = send(session, chunk, answer, err);
    if (!code) {
        code = take_answer(session, chunk, answer, err);
    } else if (rc_retryable(code) && !core_cancel_code(cancel)) {
        chunk->is_unsure = true;
        chunk->failures++;
        code = RC_OK;
    }
    if (!code && chunk->failures > RETRIES)
        return rc_retryable(err->code)
                   ? err->code
                   : rc_fail(err, RC_UNAVAILABLE, "%s: the server takes no more of it",
                             session->name);
    if (!code && chunk->failures > failures)
        return pause_behind(session, chunk, answer, err);
    return code;
}

/* Of a session that is gone on with: what the server has is not sent. */
static void skip_known(const struct core_gcs_session *session, struct chunk *chunk)
{
    int64_t known = session->known_bytes - session->offset_bytes;

    if (known > 0)
        chunk->sent = known < (int64_t)chunk->len ? (size_t)known : chunk->len;
}

static bool is_settled(const struct chunk *chunk)
{
    if (chunk->total_bytes >= 0)
        return chunk->is_done;
    return !chunk->is_unsure && chunk->sent == chunk->len;
}

static enum rc_code send_chunk(struct core_gcs_session *session, struct chunk *chunk,
                               struct core_http_answer *answer, struct rc_error *err)
{
    err->code = RC_OK; /* it keeps the failures that passed, for the one that does not */
    session->crc = core_crc32c(session->crc, chunk->data, chunk->len);
    skip_known(session, chunk);
    while (!is_settled(chunk)) {
        if (step(session, chunk, answer, err))
            return err->code;
        if (chunk->is_done && chunk->total_bytes < 0)
            return rc_fail(err, RC_CORRUPT, "%s: the server ends the upload by itself",
                           session->name);
    }
    return RC_OK;
}

enum rc_code core_gcs_session_add(struct core_gcs_session *session, const void *data, size_t len,
                                  struct rc_error *err)
{
    struct chunk chunk = { .data = data, .len = len, .total_bytes = -1 };
    struct core_http_answer answer;
    enum rc_code code;

    RC_ASSERT(len > 0 && len % CORE_GCS_QUANTUM == 0);
    core_http_answer_init(&answer, CORE_GCS_REPLY_BYTES);
    code = send_chunk(session, &chunk, &answer, err);
    core_http_answer_clear(&answer);
    session->offset_bytes += (int64_t)len;
    return code;
}

enum rc_code core_gcs_session_end(struct core_gcs_session *session, const void *data, size_t len,
                                  struct rc_stat *written, struct rc_error *err)
{
    int64_t total_bytes = session->offset_bytes + (int64_t)len;
    struct chunk chunk = { .data = data, .len = len, .total_bytes = total_bytes };
    struct core_http_answer answer;
    bool is_wrong = false;
    enum rc_code code;

    core_http_answer_init(&answer, CORE_GCS_REPLY_BYTES);
    code = send_chunk(session, &chunk, &answer, err);
    session->is_done = chunk.is_done;
    if (!code)
        code = read_written(session->name, &answer, session->upload.place->key, total_bytes,
                            session->crc, written, &is_wrong, err);
    core_http_answer_clear(&answer);
    if (is_wrong)
        remove_wrong(session->upload.place, written);
    return code;
}

/*
 * Whether a URL that was kept is of a session to this bucket of this server: whoever could write
 * where it was kept would else be sent the content.
 */
static bool is_of_bucket(const struct core_place_in_store *place, const char *url)
{
    RC_STR_AUTO endpoint = core_gcs_endpoint(place->settings);
    RC_BUF_AUTO(sessions, 8192);

    rc_buf_addf(&sessions, "%s/upload/storage/v1/b/", endpoint);
    rc_buf_add_url(&sessions, place->bucket, strlen(place->bucket));
    rc_buf_adds(&sessions, "/o?");
    return !sessions.overflow && rc_str_starts(url, sessions.data);
}

/* What the session has, by the server's word. RC_NOT_FOUND: it is gone, or has ended. */
static enum rc_code find_known(struct core_gcs_session *session, struct rc_error *err)
{
    CORE_GCS_REQUEST_AUTO(request);
    struct core_http_answer answer;
    enum rc_code code;

    if (begin_step(session, &request, "PUT", err))
        return err->code;
    core_gcs_add_header(&request, "Content-Range", "bytes */*");
    request.call.header_count = request.header_count;
    request.call.repeat = CORE_HTTP_REPEAT_SAFE;
    core_http_answer_init(&answer, CORE_GCS_REPLY_BYTES);
    code = core_http_call(&request.call, &answer, err);
    if (!code && answer.status == 308)
        session->known_bytes = core_gcs_received_bytes(core_http_answer_header(&answer, "range"));
    else if (!code && (answer.status / 100 == 2 || answer.status == 404 || answer.status == 410))
        code = rc_fail(err, RC_NOT_FOUND, "%s: there is no such upload any more", session->name);
    else if (!code)
        code = core_gcs_fail(&request, &answer, err);
    core_http_answer_clear(&answer);
    if (!code && session->known_bytes < 0)
        code = rc_fail(err, RC_CORRUPT, "%s: the server's Range makes no sense", session->name);
    return code;
}

enum rc_code core_gcs_session_resume(const struct core_gcs_upload *upload, const char *name,
                                     struct core_gcs_session **out, struct rc_error *err)
{
    struct core_gcs_session *session;

    if (!is_of_bucket(upload->place, name))
        return rc_fail(err, RC_NOT_FOUND, "write '%s': it has no such upload", upload->place->uri);
    session = rc_malloc(sizeof(*session));
    *session = (struct core_gcs_session){
        .upload = *upload,
        .name = rc_strf("write '%s'", upload->place->uri),
        .url = rc_strdup(name),
        .is_named = true,
    };
    if (find_known(session, err)) {
        core_gcs_session_leave(session);
        return err->code;
    }
    *out = session;
    return RC_OK;
}

/* Tells the server to forget the upload; if it does not hear, it will by itself in a week. */
static void abort_session(struct core_gcs_session *session)
{
    CORE_GCS_REQUEST_AUTO(request);
    struct core_http_answer answer;
    struct rc_error ignored = RC_ERROR_INIT;

    if (begin_step(session, &request, "DELETE", &ignored))
        return;
    request.call.cancel = NULL; /* also of a run that was told to stop */
    request.call.attempts = 1;
    request.call.total_ms = ABORT_MS;
    core_http_answer_init(&answer, CORE_GCS_REPLY_BYTES);
    enum rc_code code = core_http_call(&request.call, &answer, &ignored);
    (void)code;
    core_http_answer_clear(&answer);
}

void core_gcs_session_free(struct core_gcs_session *session)
{
    if (!session)
        return;
    if (session->url && !session->is_done)
        abort_session(session);
    free(session->name);
    free(session->url);
    free(session);
}

void core_gcs_session_leave(struct core_gcs_session *session)
{
    session->is_done = true;
    core_gcs_session_free(session);
}

void core_gcs_session_give_up(const struct core_place_in_store *place, const char *name)
{
    const struct core_gcs_upload upload = { .place = place };
    struct core_gcs_session *session;

    if (!is_of_bucket(place, name))
        return;
    session = rc_malloc(sizeof(*session));
    *session = (struct core_gcs_session){ .upload = upload, .url = rc_strdup(name) };
    core_gcs_session_free(session);
}

static void free_session(struct core_gcs_session **session)
{
    core_gcs_session_free(*session);
}

enum rc_code core_gcs_upload_whole(const struct core_gcs_upload *upload, const void *data,
                                   size_t len, struct rc_stat *written, struct rc_error *err)
{
    RC_CLEANUP(free_session) struct core_gcs_session *session = NULL;

    if (!upload->if_match)
        return upload_at_once(upload, data, len, core_crc32c(0, data, len), written, err);
    if (core_gcs_session_begin(upload, &session, err))
        return err->code;
    return core_gcs_session_end(session, data, len, written, err);
}
