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

enum { TOKEN_LIMIT = 64 * 1024 };

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

static uint64_t hash_request(const struct rc_transfer *request)
{
    unsigned flags = request->flags &
                     (RC_TRANSFER_MOVE | RC_TRANSFER_REMOVE_EXTRA | RC_TRANSFER_COMPARE_CONTENT);
    RC_STR_AUTO numbers = rc_strf("%u %d %d", flags, (int)request->when, request->next != NULL);
    uint64_t hash = hash_text(UINT64_C(0xcbf29ce484222325), numbers);

    if (request->next)
        return hash;
    return hash_text(hash_text(hash, request->source), request->target);
}

char *core_transfer_token(const struct rc_transfer *request, const struct transfer_marks *marks)
{
    struct rc_buf token = RC_BUF_INIT(TOKEN_LIMIT);

    rc_buf_addf(&token, "1.%016" PRIx64 ".%" PRId64 ".", hash_request(request), marks->done);
    if (marks->name)
        core_add_base64(&token, marks->name, strlen(marks->name));
    return rc_buf_take(&token);
}

enum rc_code core_transfer_token_read(const struct rc_transfer *request,
                                      struct transfer_marks *marks, struct rc_error *err)
{
    RC_BUF_AUTO(name, TOKEN_LIMIT);
    uint64_t hash;
    int64_t done;
    int at = 0;

    if (!request->resume)
        return RC_OK;
    if (sscanf(request->resume, "1.%16" SCNx64 ".%" SCNd64 ".%n", &hash, &done, &at) != 2 ||
        at == 0 || done < 0 ||
        !core_add_decoded_base64(&name, request->resume + at, strlen(request->resume + at)) ||
        memchr(name.data, '\0', name.len))
        return rc_fail(err, RC_INVALID, "'%.40s' is no token to resume a transfer with",
                       request->resume);
    if (hash != hash_request(request))
        return rc_fail(err, RC_INVALID,
                       "the token is of another transfer; begin this one without a token");
    marks->done = done;
    if (name.len > 0)
        marks->name = rc_buf_take(&name);
    return RC_OK;
}

enum rc_code core_transfer_check_token(const struct rc_transfer *transfer, struct rc_error *err)
{
    struct transfer_marks marks = { .first = NULL };
    enum rc_code code = core_transfer_token_read(transfer, &marks, err);

    core_transfer_marks_clear(&marks);
    return code;
}
