/*
 * How far a transfer is done in the order of its items, which end in any order, and the token from
 * which a later transfer of the same things goes on. Neighbours that are done become one mark, so
 * that memory follows the items under way; a failure is where the counting stops for good.
 */
#include <storage/transfer_internal.h>

#include <run-core/str.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Room for the longest name and the most uploads, all as base64. */
enum { TOKEN_LIMIT = 256 * 1024 };

static void unlink_mark(struct transfer_marks *marks, struct transfer_mark *mark)
{
    *(mark->before ? &mark->before->behind : &marks->first) = mark->behind;
    *(mark->behind ? &mark->behind->before : &marks->last) = mark->before;
    free(mark->name);
    free(mark);
}

struct transfer_mark *core_transfer_mark_add(struct transfer_marks *marks, const char *name)
{
    struct transfer_mark *mark = rc_malloc(sizeof(*mark));

    *mark = (struct transfer_mark){
        .before = marks->last,
        .items = 1,
        .name = rc_strdup(name),
    };
    *(marks->last ? &marks->last->behind : &marks->first) = mark;
    marks->last = mark;
    return mark;
}

/* Whether two neighbours have ended, and the first says enough for both. */
static bool are_one(const struct transfer_mark *mark, const struct transfer_mark *behind)
{
    if (!mark || !behind || mark->state == MARK_OPEN || behind->state == MARK_OPEN)
        return false;
    return mark->state == MARK_FAILED || behind->state == MARK_DONE;
}

static void join_behind(struct transfer_marks *marks, struct transfer_mark *mark)
{
    while (mark && are_one(mark, mark->behind)) {
        struct transfer_mark *behind = mark->behind;

        if (mark->state == MARK_DONE) {
            char *name = mark->name;

            mark->items += behind->items;
            mark->name = behind->name;
            behind->name = name;
        }
        unlink_mark(marks, behind);
    }
}

void core_transfer_mark_end(struct transfer_marks *marks, struct transfer_mark *mark,
                            enum transfer_mark_state state)
{
    struct transfer_mark *before = mark->before;

    mark->state = state;
    join_behind(marks, mark);
    join_behind(marks, before);
    if (!marks->first || marks->first->state != MARK_DONE)
        return;
    marks->done += marks->first->items;
    free(marks->name);
    marks->name = marks->first->name;
    marks->first->name = NULL;
    unlink_mark(marks, marks->first);
}

void core_transfer_marks_clear(struct transfer_marks *marks)
{
    while (marks->first)
        unlink_mark(marks, marks->first);
    rc_str_free(&marks->name);
}

/* ---- tokens ------------------------------------------------------------------------------- */

/* FNV-1a with the end of each text in it: tells transfers apart that a person could mix up. */
static uint64_t hash_text(uint64_t hash, const char *text)
{
    for (const char *c = text ? text : "\xff";; c++) {
        hash = (hash ^ (unsigned char)*c) * UINT64_C(0x100000001b3);
        if (!*c)
            return hash;
    }
}

/* As in the first version, in which there was but one other comparison, which was a flag. */
static uint64_t hash_request(const struct rc_transfer *request)
{
    unsigned flags = request->flags &
                     (RC_TRANSFER_MOVE | RC_TRANSFER_REMOVE_EXTRA | RC_TRANSFER_COMPARE_CONTENT);
    int compare = request->compare;

    if (compare == RC_COMPARE_CONTENT) {
        flags |= RC_TRANSFER_COMPARE_CONTENT;
        compare = RC_COMPARE_AUTO;
    }
    RC_STR_AUTO which = compare == RC_COMPARE_AUTO ? NULL : rc_strf(" %d", compare);
    RC_STR_AUTO numbers =
        rc_strf("%u %d %d%s", flags, (int)request->when, request->next != NULL, which ? which : "");
    uint64_t hash = hash_text(UINT64_C(0xcbf29ce484222325), numbers);

    if (request->next)
        return hash;
    return hash_text(hash_text(hash, request->source), request->target);
}

/* ",target,etag,size,begun,part,id": texts as base64, an id that is not known as nothing. */
static void add_upload(struct rc_buf *token, const struct transfer_upload *upload)
{
    rc_buf_adds(token, ",");
    core_add_base64(token, upload->target, strlen(upload->target));
    rc_buf_adds(token, ",");
    core_add_base64(token, upload->etag, strlen(upload->etag));
    rc_buf_addf(token, ",%" PRId64 ",%" PRId64 ",%" PRId64 ",", upload->size_bytes,
                upload->begun_unix_ms, upload->part_bytes);
    if (upload->id)
        core_add_base64(token, upload->id, strlen(upload->id));
}

char *core_transfer_token(const struct rc_transfer *request, const struct transfer_marks *marks,
                          const struct transfer_uploads *uploads)
{
    struct rc_buf token = RC_BUF_INIT(TOKEN_LIMIT);

    rc_buf_addf(&token, "2.%016" PRIx64 ".%" PRId64 ".", hash_request(request), marks->done);
    if (marks->name)
        core_add_base64(&token, marks->name, strlen(marks->name));
    for (const struct transfer_upload *upload = uploads->first; upload; upload = upload->next)
        add_upload(&token, upload);
    return rc_buf_take(&token);
}

/* Takes what comes up to the next comma; false: there is nothing more. */
static bool next_field(const char **rest, const char **field, size_t *len)
{
    *field = *rest;
    if (!*rest)
        return false;
    *len = strcspn(*rest, ",");
    *rest = (*rest)[*len] ? *rest + *len + 1 : NULL;
    return true;
}

/* An owned text, NULL where there is none; false: it is no base64 of a text. */
static bool next_text(const char **rest, char **out)
{
    RC_BUF_AUTO(text, TOKEN_LIMIT);
    const char *field;
    size_t len;

    if (!next_field(rest, &field, &len) || !core_add_decoded_base64(&text, field, len) ||
        memchr(text.data, '\0', text.len))
        return false;
    *out = text.len > 0 ? rc_buf_take(&text) : NULL;
    return true;
}

static bool next_number(const char **rest, int64_t *out)
{
    const char *field;
    size_t len;

    if (!next_field(rest, &field, &len))
        return false;
    RC_STR_AUTO text = rc_strndup(field, len);
    return rc_parse_int(text, out) && *out >= 0;
}

static bool is_short(const char *text)
{
    return !text || strlen(text) <= TRANSFER_UPLOAD_TEXT;
}

static bool read_upload(const struct rc_transfer *request, const char **rest,
                        struct transfer_uploads *uploads)
{
    struct transfer_upload *upload;
    RC_STR_AUTO target = NULL;
    RC_STR_AUTO etag = NULL;
    int64_t size, begun;

    if (!next_text(rest, &target) || !next_text(rest, &etag) || !next_number(rest, &size) ||
        !next_number(rest, &begun) || !target || !is_short(target) || !is_short(etag))
        return false;
    /* Of a tree it is known where they may be. */
    if (request->target && !rc_str_starts(target, request->target))
        return false;
    upload = core_transfer_upload_add(uploads, target, etag ? etag : "", size, begun);
    upload->is_taken = false;
    return next_number(rest, &upload->part_bytes) && next_text(rest, &upload->id) &&
           is_short(upload->id);
}

/* The first version knew nothing of uploads. */
static bool read_token(const struct rc_transfer *request, uint64_t *hash,
                       struct transfer_marks *marks, struct transfer_uploads *uploads)
{
    const char *token = request->resume, *rest;
    size_t left = TRANSFER_UPLOADS + TRANSFER_LARGE;
    int version, at = 0;
    bool is_read =
        sscanf(token, "%1d.%16" SCNx64 ".%" SCNd64 ".%n", &version, hash, &marks->done, &at) == 3 &&
        at > 0 && (version == 1 || version == 2) && marks->done >= 0 &&
        marks->done <= INT64_MAX / 2; /* it is counted on */

    if (!is_read)
        return false;
    rest = token + at;
    is_read = next_text(&rest, &marks->name);
    while (is_read && rest)
        is_read = version > 1 && left-- > 0 && read_upload(request, &rest, uploads);
    return is_read;
}

enum rc_code core_transfer_token_read(const struct rc_transfer *request,
                                      struct transfer_marks *marks,
                                      struct transfer_uploads *uploads, struct rc_error *err)
{
    uint64_t hash = 0;

    if (!request->resume)
        return RC_OK;
    if (!read_token(request, &hash, marks, uploads))
        return rc_fail(err, RC_INVALID, "'%.40s' is no token to resume a transfer with",
                       request->resume);
    if (hash != hash_request(request))
        return rc_fail(err, RC_INVALID,
                       "the token is of another transfer; begin this one without a token");
    return RC_OK;
}

enum rc_code core_transfer_check_token(const struct rc_transfer *transfer, struct rc_error *err)
{
    struct transfer_marks marks = { .first = NULL };
    struct transfer_uploads uploads = { .first = NULL };
    enum rc_code code = core_transfer_token_read(transfer, &marks, &uploads, err);

    core_transfer_marks_clear(&marks);
    core_transfer_uploads_clear(&uploads);
    return code;
}
