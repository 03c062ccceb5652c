/*
 * The conditions of writes and removals. Servers other than AWS's ignore some of them, so they are
 * also looked at before. In a bucket with versions Ceph refuses every If-Match of a PUT, though it
 * holds, and takes every If-None-Match: there it is the versions that tell, behind the write, what
 * it was made over, and one that was made over something else is taken back for ever. Whoever has
 * written in between is then current again, and nothing of anybody is lost.
 *
 * A process that dies between the write and the look leaves its own version standing; what is below
 * it is there as a version still.
 */
#include <storage/s3.h>

#include <cloud/xml.h>

#include <run-core/str.h>

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define MISJUDGES "misjudges" /* what is noted of a bucket whose versions make If-Match fail */

enum { ROWS = 20 }; /* of one page: mostly two are looked at */

/* ---- marks ----------------------------------------------------------------------------------- */

void core_s3_add_mark(struct core_s3_request *request, char mark[CORE_S3_MARK_TEXT])
{
    unsigned char random[CORE_S3_MARK_TEXT / 2];
    RC_BUF_AUTO(hex, CORE_S3_MARK_TEXT);

    if (mark[0] == '\0' && getrandom(random, sizeof(random), 0) == (ssize_t)sizeof(random)) {
        core_add_hex(&hex, random, sizeof(random));
        memcpy(mark, hex.data, hex.len + 1);
    }
    if (mark[0] != '\0') /* else only a conflict too many */
        core_s3_add_header(request, CORE_S3_MARK, mark);
}

/* '*version' is that of the object then, for the caller to free; NULL: it has none. */
static enum rc_code look_for_mark(const struct core_place_in_store *place, const char *mark,
                                  struct rc_stat *stat, char **version, bool *has_mark,
                                  struct rc_error *err)
{
    CORE_S3_REQUEST_AUTO(request, place, "look at", "HEAD");
    CORE_S3_ANSWER_AUTO(answer);

    *version = NULL;
    *has_mark = false;
    if (place->version)
        core_s3_add_query(&request.query, "versionId", place->version);
    if (core_s3_add_customer_key(&request, place->settings, "x-amz-", err) ||
        core_s3_send(&request, &answer, err))
        return err->code;
    *has_mark = core_s3_read_stat(&answer, stat) &&
                rc_str_eq(core_http_answer_header(&answer, CORE_S3_MARK), mark);
    if (*has_mark)
        *version = rc_strdup(core_http_answer_header(&answer, "x-amz-version-id"));
    return RC_OK;
}

bool core_s3_has_mark(const struct core_place_in_store *place, const char *mark,
                      struct rc_stat *stat, char **version)
{
    struct rc_error ignored = RC_ERROR_INIT;
    bool has_mark;

    *version = NULL;
    return *mark && !look_for_mark(place, mark, stat, version, &has_mark, &ignored) && has_mark;
}

/* ---- before ---------------------------------------------------------------------------------- */

static enum rc_code compare(const struct core_place_in_store *place, const char *if_match,
                            const char *etag, struct rc_error *err)
{
    if (rc_str_eq(etag, if_match))
        return RC_OK;
    if (*if_match == '\0')
        return rc_fail(err, RC_CONFLICT, "write '%s': there is one already", place->uri);
    return rc_fail(err, RC_CONFLICT, "write '%s': its entity tag is '%s', not '%s'", place->uri,
                   etag, if_match);
}

static enum rc_code look(const struct core_place_in_store *place, const char *if_match,
                         struct rc_error *err)
{
    struct rc_stat stat;
    enum rc_code code = core_s3_stat(place, &stat, NULL, err);

    if (code == RC_NOT_FOUND) {
        *err = (struct rc_error)RC_ERROR_INIT;
        return compare(place, if_match, "", err); /* a tag that only RC_IF_ABSENT is */
    }
    if (code)
        return code;
    /* Without a tag it is still no object that is absent. */
    if (*if_match == '\0')
        return rc_fail(err, RC_CONFLICT, "write '%s': there is one already", place->uri);
    return compare(place, if_match, stat.etag, err);
}

enum rc_code core_s3_check_condition(const struct core_place_in_store *place, const char *if_match,
                                     struct rc_error *err)
{
    bool honours;

    if (!if_match)
        return RC_OK;
    if (core_s3_honours(place, &honours, err))
        return err->code;
    return honours ? RC_OK : look(place, if_match, err);
}

/* ---- buckets with versions ------------------------------------------------------------------- */

static enum rc_code on_status(void *context, const char *path, const char *text, size_t len,
                              struct rc_error *err)
{
    bool *keeps = context;

    (void)len;
    (void)err;
    if (rc_str_eq(path, "VersioningConfiguration/Status"))
        *keeps = rc_str_eq(text, "Enabled");
    return RC_OK;
}

/*
 * Whether every write to the bucket makes a version. Asked each time: where it is suspended a write
 * takes the place of another one, and that would be lost.
 */
static enum rc_code ask_versions(const struct core_place_in_store *place, bool *keeps,
                                 struct rc_error *err)
{
    CORE_S3_REQUEST_AUTO(request, place, "ask for versions of", "GET");
    CORE_S3_ANSWER_AUTO(answer);
    const struct core_xml_events events = { .end = on_status, .context = keeps };

    *keeps = false;
    core_s3_add_query(&request.query, "versioning", NULL);
    request.of_bucket = true;
    request.answers_xml = true;
    if (core_s3_send(&request, &answer, err))
        return err->code == RC_UNSUPPORTED ? RC_OK : err->code;
    return core_xml_read(answer.body.data, answer.body.len, &events, err);
}

/* All versions of exactly that key are the first rows of it: those of longer keys come later. */
static enum rc_code list_versions(const struct core_place_in_store *place, struct rc_listing **out,
                                  struct rc_error *err)
{
    const struct core_list_options options = { .versions = true, .at_most = ROWS };

    return core_s3_list(place, &options, out, err);
}

/* NULL at the end. */
static enum rc_code next_version(struct rc_listing *listing, const struct core_listed **row,
                                 struct rc_error *err)
{
    enum rc_code code = listing->ops->next(listing, row, err);

    if (!code && *row && (*row)->object.name[0] != '\0')
        *row = NULL;
    return code;
}

/* As look(), but it shows that the versions can be looked at behind the write, too. */
static enum rc_code look_by_versions(const struct core_place_in_store *place, const char *if_match,
                                     struct rc_error *err)
{
    const struct core_listed *row = NULL;
    struct rc_listing *listing;
    enum rc_code code = list_versions(place, &listing, err);

    if (code)
        return code;
    code = next_version(listing, &row, err);
    if (!code)
        code = compare(place, if_match, row && !row->is_delete_marker ? row->object.stat.etag : "",
                       err);
    listing->ops->close(listing);
    return code;
}

static char *note_of(const struct core_place_in_store *place)
{
    return rc_strf("%s ?if-match", place->bucket);
}

static const char *endpoint_of(const struct core_place_in_store *place)
{
    return place->settings && place->settings->endpoint ? place->settings->endpoint : "";
}

static bool is_noted(const struct core_place_in_store *place)
{
    RC_STR_AUTO name = note_of(place);
    RC_STR_AUTO noted = core_remote_recall(place->remote, endpoint_of(place), name);

    return noted != NULL;
}

/* Whether the versions can do what If-Match does not; the condition holds then, as far as seen. */
static enum rc_code try_versions(const struct core_place_in_store *place, const char *if_match,
                                 bool *can, struct rc_error *err)
{
    enum rc_code code = ask_versions(place, can, err);

    if (!code && *can)
        code = look_by_versions(place, if_match, err);
    if (code && code != RC_CONFLICT)
        return rc_context(err,
                          "replace '%s' where the server refuses If-Match, which takes "
                          "s3:GetBucketVersioning and s3:ListBucketVersions",
                          place->uri);
    return code;
}

enum rc_code core_s3_condition_begin(struct core_s3_condition *condition,
                                     const struct core_place_in_store *place, const char *if_match,
                                     struct rc_error *err)
{
    bool can = false;

    *condition = (struct core_s3_condition){ place, if_match, .is_sent = if_match != NULL };
    if (!if_match)
        return RC_OK;
    if (core_s3_honours(place, &condition->is_trusted, err))
        return err->code;
    if (condition->is_trusted)
        return RC_OK;
    if (*if_match == '\0' || !is_noted(place))
        return look(place, if_match, err);
    if (try_versions(place, if_match, &can, err))
        return err->code;
    condition->is_sent = !can;
    return can ? RC_OK : look(place, if_match, err);
}

enum rc_code core_s3_condition_refused(struct core_s3_condition *condition,
                                       const struct core_s3_request *request, struct rc_error *err)
{
    const struct core_place_in_store *place = condition->place;
    const struct rc_error refusal = *err;
    bool can;

    if (!condition->is_sent || condition->is_trusted || *condition->if_match == '\0' ||
        request->refusal.status != 412)
        return err->code;
    *err = (struct rc_error)RC_ERROR_INIT;
    if (look(place, condition->if_match, err) ||
        try_versions(place, condition->if_match, &can, err))
        return err->code;
    if (!can) {
        *err = refusal;
        return err->code;
    }
    RC_STR_AUTO name = note_of(place);
    core_remote_note(place->remote, endpoint_of(place), name, MISJUDGES);
    condition->is_sent = false;
    return RC_OK;
}

/* ---- behind ---------------------------------------------------------------------------------- */

/* Who made which versions, from the newest on. */
struct behind {
    const struct core_s3_condition *condition;
    const struct core_s3_made *made;
    struct core_place_in_store place; /* of the object, for requests that nobody cancels */
    char **ours;                      /* versions; the last is the oldest */
    size_t count;
    struct rc_stat stat; /* of that */
    bool was_ours;       /* the row before */
    bool has_between;    /* rows of others between ours */
    bool is_null;        /* one that is ours has taken the place of another one */
    bool is_right;       /* what is right below the oldest of ours is what was to be replaced */
};

static bool is_wanted(const struct behind *behind, const struct core_listed *row)
{
    const char *if_match = behind->condition->if_match;

    if (row->is_delete_marker || *if_match == '\0')
        return row->is_delete_marker && *if_match == '\0';
    return rc_str_eq(row->object.stat.etag, if_match);
}

/* The answer has named one; a request that was sent again may have made others before. */
static enum rc_code is_ours(const struct behind *behind, const struct core_listed *row, bool *ours,
                            struct rc_error *err)
{
    const struct core_s3_made *made = behind->made;
    struct core_place_in_store place = behind->place;
    RC_STR_AUTO unused = NULL;
    struct rc_stat stat;

    *ours = rc_str_eq(row->version, made->version);
    if (*ours || (made->version && made->sends <= 1) || !made->mark || *made->mark == '\0' ||
        row->is_delete_marker || row->object.stat.size_bytes != made->size_bytes)
        return RC_OK;
    place.version = row->version;
    if (look_for_mark(&place, made->mark, &stat, &unused, ours, err) && err->code != RC_NOT_FOUND)
        return err->code;
    return RC_OK;
}

/* 'is_last': no row below this one matters any more. */
static enum rc_code take_row(struct behind *behind, const struct core_listed *row, bool *is_last,
                             struct rc_error *err)
{
    bool ours;

    *is_last = false;
    if (is_ours(behind, row, &ours, err))
        return err->code;
    if (ours) {
        behind->ours = rc_realloc(behind->ours, (behind->count + 1) * sizeof(*behind->ours));
        behind->ours[behind->count++] = rc_strdup(row->version);
        behind->stat = row->object.stat;
        behind->is_null |= rc_str_eq(row->version, "null");
        behind->has_between |= behind->count > 1 && !behind->was_ours;
        behind->is_right = *behind->condition->if_match == '\0'; /* should nothing be below it */
        behind->was_ours = true;
        return RC_OK;
    }
    /* A removal that was sent again, or was done by two, marks it twice. */
    if (behind->made->is_removal && behind->was_ours && row->is_delete_marker)
        return RC_OK;
    if (behind->was_ours)
        behind->is_right = is_wanted(behind, row);
    behind->was_ours = false;
    *is_last = behind->count > 0 ? is_wanted(behind, row) || behind->made->sends <= 1
                                 : !behind->made->version && is_wanted(behind, row);
    return RC_OK;
}

static enum rc_code look_behind(struct behind *behind, struct rc_error *err)
{
    const struct core_listed *row;
    struct rc_listing *listing;
    bool is_last = false;
    enum rc_code code = list_versions(&behind->place, &listing, err);

    if (code)
        return code;
    while (!code && !is_last) {
        code = next_version(listing, &row, err);
        if (code || !row)
            break;
        code = take_row(behind, row, &is_last, err);
    }
    listing->ops->close(listing);
    return code;
}

/* Removes the first so many of ours for ever. */
static enum rc_code take_back(const struct behind *behind, size_t count, struct rc_error *err)
{
    struct core_place_in_store place = behind->place;

    place.remove_if_match = NULL;
    for (size_t i = 0; i < count; i++) {
        place.version = behind->ours[i];
        if (core_s3_remove(&place, 1, NULL, err))
            return rc_context(err,
                              "take back version '%s' of '%s', which stands over one of somebody "
                              "else",
                              place.version, place.uri);
    }
    return RC_OK;
}

static enum rc_code judge(const struct behind *behind, struct rc_error *err)
{
    struct rc_error ignored = RC_ERROR_INIT;

    if (behind->count == 0 && !behind->made->version && behind->condition->is_sent)
        return RC_OK; /* somebody else has removed it for ever */
    if (behind->count == 0 && !behind->made->version)
        return rc_fail(err, RC_NOT_FOUND, "no version of '%s' is ours", behind->place.uri);
    /* Versions were suspended just now. What ours has replaced is not below it, but was seen. */
    if (behind->is_null)
        return RC_OK;
    if (behind->is_right && behind->has_between)
        return take_back(behind, behind->count - 1, err);
    if (behind->is_right) {
        (void)!take_back(behind, behind->count - 1, &ignored); /* all of one content */
        return RC_OK;
    }
    if (take_back(behind, behind->count, err))
        return err->code;
    return rc_fail(err, RC_CONFLICT, "%s '%s': somebody else has written it meanwhile",
                   behind->made->is_removal ? "remove" : "write", behind->place.uri);
}

/*
 * Whether there is a version to look behind. Ceph names none as it is asked to complete an upload
 * once more, which it has completed.
 */
static enum rc_code has_version(const struct behind *behind, bool *out, struct rc_error *err)
{
    const struct core_s3_made *made = behind->made;

    *out = made->version ? !rc_str_eq(made->version, "null") : !behind->condition->is_sent;
    if (made->version || *out || made->sends <= 1 || !made->mark || *made->mark == '\0')
        return RC_OK;
    return ask_versions(&behind->place, out, err);
}

/* Of a write that the server has taken with its condition: who may not look has its word. */
static enum rc_code believe(enum rc_code code, struct rc_error *err)
{
    if (rc_retryable(code))
        return code;
    *err = (struct rc_error)RC_ERROR_INIT;
    return RC_OK;
}

enum rc_code core_s3_condition_settle(const struct core_s3_condition *condition,
                                      const struct core_s3_made *made, struct rc_stat *stat,
                                      struct rc_error *err)
{
    struct behind behind = { .condition = condition, .made = made };
    bool is_there;
    enum rc_code code;

    if (!condition->if_match || condition->is_trusted)
        return RC_OK;
    behind.place = *condition->place;
    behind.place.cancel = NULL; /* what was begun is brought to an end */
    code = has_version(&behind, &is_there, err);
    if (!code && !is_there)
        return RC_OK;
    if (!code)
        code = look_behind(&behind, err);
    if (code)
        code = rc_context(err, "it is not known what version '%s' of '%s' was written over",
                          made->version ? made->version : "", behind.place.uri);
    if (condition->is_sent && code)
        code = believe(code, err);
    else if (!code)
        code = judge(&behind, err);
    if (!code && stat && behind.count > 0)
        *stat = behind.stat;
    for (size_t i = 0; i < behind.count; i++)
        free(behind.ours[i]);
    free(behind.ours);
    return code;
}
