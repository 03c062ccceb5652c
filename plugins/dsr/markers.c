/*
 * Finds the requests: which shards have any, and all of one shard. Moving them is archive.c's.
 */
#include "markers.h"

#include <run-core/plugin.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { WARNINGS = 20 };

#define TEXTS_LIMIT ((size_t)4 << 30)   /* of the markers' URIs of a shard */
#define MARKERS_LIMIT ((size_t)2 << 30) /* of their array */

static const char user_mark[] = "_user_", day_mark[] = "_day_";
enum { USER_MARK = sizeof(user_mark) - 1, DAY_MARK = sizeof(day_mark) - 1, DAY_LEN = 10 };

/* ---- names ---- */

/* The number behind "shard=" in a name of that length, if it is written as we write it; else -1. */
static int32_t shard_of(const char *name, size_t len)
{
    const char *digits = name + strlen("shard=");
    int64_t number;

    if (!rc_str_starts(name, "shard=") || len <= strlen("shard="))
        return -1;
    RC_STR_AUTO text = rc_strndup(digits, len - strlen("shard="));
    if (strspn(text, "0123456789") != strlen(text) || (text[0] == '0' && text[1] != '\0') ||
        !rc_parse_int(text, &number) || number > INT32_MAX)
        return -1;
    return (int32_t)number;
}

/* Whether anything on the way, or the name itself, begins with a dot. */
static bool is_hidden(const char *name)
{
    return name[0] == '.' || strstr(name, "/.") != NULL;
}

/* What some tools put there for a folder. */
static bool is_folder_mark(const struct rc_object *object)
{
    return object->stat.size_bytes == 0 &&
           (object->name[0] == '\0' || rc_str_ends(object->name, "/"));
}

static bool read_day(const char *text, size_t len, int32_t *day)
{
    char copy[DAY_LEN + 1];

    if (len != DAY_LEN)
        return false;
    memcpy(copy, text, DAY_LEN);
    copy[DAY_LEN] = '\0';
    return rc_parse_day(copy, day);
}

/* The last place of the mark in the text; NULL: there is none. */
static const char *last_mark(const char *text)
{
    const char *found = NULL;

    for (const char *at = strstr(text, day_mark); at; at = strstr(at + 1, day_mark))
        found = at;
    return found;
}

enum rc_code dsr_marker_parse(const char *name, struct pq_slice *user, int32_t *day,
                              int32_t *requested, struct rc_error *err)
{
    size_t folder = strcspn(name, "/");
    const char *id = name + folder + 1 + USER_MARK, *end;

    if (name[folder] == '\0')
        return rc_fail(err, RC_INVALID, "it lies in no folder day=YYYY-MM-DD");
    if (!rc_str_starts(name, "day=") ||
        !read_day(name + strlen("day="), folder - strlen("day="), day))
        return rc_fail(err, RC_INVALID,
                       "its folder is not named day=YYYY-MM-DD with a day that is");
    if (!rc_str_starts(name + folder + 1, user_mark))
        return rc_fail(err, RC_INVALID, "its name does not begin with %s", user_mark);
    end = last_mark(id);
    if (!end)
        return rc_fail(err, RC_INVALID, "its name has no %s behind the user", day_mark);
    if (!read_day(end + DAY_MARK, strlen(end + DAY_MARK), requested))
        return rc_fail(err, RC_INVALID, "its name does not end with %sYYYY-MM-DD and a day that is",
                       day_mark);
    if (end == id)
        return rc_fail(err, RC_INVALID, "its name has no user");
    for (const char *slash = strchr(id, '/'); slash && slash < end; slash = strchr(slash + 1, '/'))
        if (rc_str_starts(slash + 1, user_mark))
            return rc_fail(err, RC_INVALID, "it lies in a folder that is named like a marker");
    *user = (struct pq_slice){ (const uint8_t *)id, (uint32_t)(end - id) };
    return RC_OK;
}

/* ---- what is not told ---- */

/* What may be told again behind an id: "_day_", a day, and what follows if it is no other id. */
static const char *behind_id(const char *text)
{
    const char *end = last_mark(text);
    int32_t day;

    if (!end || strlen(end) < DAY_MARK + DAY_LEN || !read_day(end + DAY_MARK, DAY_LEN, &day) ||
        strstr(end, user_mark))
        return "";
    return end;
}

void dsr_marker_hide(char *text)
{
    char *name = strstr(text, "/_user_"), *id = strstr(name ? name : text, user_mark);
    const char *rest;

    if (!id || id[USER_MARK] == '\0')
        return;
    id += USER_MARK;
    rest = behind_id(id + 1);
    *id = '*';
    memmove(id + 1, rest, strlen(rest) + 1);
}

void dsr_marker_hide_in(struct rc_error *err)
{
    dsr_marker_hide(err->cause);
    dsr_marker_hide(err->context);
}

/* ---- what is no marker ---- */

/* Where the id ends in it nobody knows: all behind the mark is left out. */
void dsr_malformed_warn(void *log, const char *uri, const char *why)
{
    struct dsr_malformed_log *malformed = log;
    const char *folder = malformed->folder ? malformed->folder : "";
    const char *id = strstr(uri + (rc_str_starts(uri, folder) ? strlen(folder) : 0), user_mark);
    int len = id ? (int)(id - uri) + USER_MARK : (int)strlen(uri);

    if (atomic_fetch_add(&malformed->count, 1) < WARNINGS)
        rc_warn(malformed->job, "ignoring '%.*s%s', which is no marker: %s", len, uri,
                id ? "*" : "", why);
}

void dsr_malformed_end(struct dsr_malformed_log *log)
{
    int64_t count = atomic_load(&log->count);

    if (count > WARNINGS)
        rc_warn(log->job, "ignoring %" PRId64 " more that are no markers", count - WARNINGS);
    rc_job_count(log->job, "markers_malformed", count);
}

/* Tells of everything below a folder that is none of ours. */
static enum rc_code tell_all(struct rc_job *job, const char *prefix,
                             const struct dsr_malformed *malformed, const char *why,
                             struct rc_error *err)
{
    struct rc_listing *listing;
    const struct rc_object *object = NULL;
    enum rc_code code = rc_storage_list(job, prefix, NULL, &listing, err);

    if (code)
        return code;
    while ((code = rc_storage_list_next(job, listing, &object, err)) == RC_OK && object)
        if (!is_hidden(object->name) && !is_folder_mark(object))
            malformed->tell(malformed->context, object->uri, why);
    rc_storage_list_close(job, listing);
    return code;
}

/* ---- shards ---- */

static int compare_shards(const void *a, const void *b)
{
    const int32_t *left = a, *right = b;

    return (*left > *right) - (*left < *right);
}

/* One entry of the markers' folder. */
static enum rc_code take_entry(struct rc_job *job, const struct rc_object *object,
                               const struct dsr_malformed *malformed, struct rc_buf *shards,
                               struct rc_error *err)
{
    size_t len = strlen(object->name);
    int32_t shard = object->is_prefix ? shard_of(object->name, len - 1) : -1;

    if (shard >= 0) {
        rc_buf_add(shards, &shard, sizeof(shard));
        return rc_buf_check(shards, err);
    }
    if (is_hidden(object->name))
        return RC_OK;
    if (object->is_prefix)
        return tell_all(job, object->uri, malformed,
                        "it lies in no folder shard=N, N a number without zeros in front", err);
    if (!is_folder_mark(object))
        malformed->tell(malformed->context, object->uri, "it lies in no folder shard=N");
    return RC_OK;
}

enum rc_code dsr_markers_shards(struct rc_job *job, const struct dsr_places *places,
                                const struct dsr_malformed *malformed, int32_t **shards,
                                size_t *count, struct rc_error *err)
{
    const struct rc_list_options shallow = { .shallow = true };
    RC_BUF_AUTO(found, MARKERS_LIMIT);
    struct rc_listing *listing;
    const struct rc_object *object = NULL;
    enum rc_code code = rc_storage_list(job, places->markers, &shallow, &listing, err);

    if (code)
        return rc_context(err, "list the markers in '%s'", places->markers);
    while ((code = rc_storage_list_next(job, listing, &object, err)) == RC_OK && object) {
        code = take_entry(job, object, malformed, &found, err);
        if (code)
            break;
    }
    rc_storage_list_close(job, listing);
    if (code) {
        dsr_marker_hide_in(err);
        return rc_context(err, "list the markers in '%s'", places->markers);
    }
    *count = found.len / sizeof(**shards);
    *shards = (int32_t *)(void *)rc_buf_take(&found);
    qsort(*shards, *count, sizeof(**shards), compare_shards);
    return RC_OK;
}

/* ---- the markers of a shard ---- */

struct loading {
    struct dsr_shard_markers *out;
    struct rc_buf markers;
    bool is_local; /* where no name of a file has a slash in it */
    int64_t not_empty;
};

/* RC_INVALID: no marker. */
static enum rc_code read_name(const struct loading *loading, const char *name,
                              struct pq_slice *user, struct dsr_marker *marker,
                              struct rc_error *err)
{
    if (dsr_marker_parse(name, user, &marker->day, &marker->requested, err))
        return err->code;
    if (loading->is_local && memchr(user->data, '/', user->len))
        return rc_fail(err, RC_INVALID, "it lies deeper than in shard=N/day=YYYY-MM-DD");
    return RC_OK;
}

static enum rc_code add_marker(struct loading *loading, const struct rc_object *object,
                               const struct dsr_malformed *malformed, struct rc_error *err)
{
    struct dsr_shard_markers *out = loading->out;
    struct dsr_marker marker = { .uri = NULL };
    struct rc_error why = RC_ERROR_INIT;
    struct pq_slice user;

    if (is_folder_mark(object))
        return RC_OK;
    if (read_name(loading, object->name, &user, &marker, &why)) {
        if (!is_hidden(object->name))
            malformed->tell(malformed->context, object->uri, why.cause);
        return RC_OK;
    }
    if (dsr_users_add(out->users, user.data, user.len, err))
        return err->code;
    if (out->count == 0 || marker.day < out->first_day)
        out->first_day = marker.day;
    if (out->count == 0 || marker.day > out->last_day)
        out->last_day = marker.day;
    loading->not_empty += object->stat.size_bytes > 0;
    out->count++;
    rc_buf_add(&out->texts, object->uri, strlen(object->uri) + 1);
    rc_buf_add(&loading->markers, &marker, sizeof(marker));
    return rc_buf_check(&out->texts, err) ? err->code : rc_buf_check(&loading->markers, err);
}

/* Now that the texts stay where they are and the users have their numbers. */
static enum rc_code settle(struct loading *loading, size_t folder_len, struct rc_error *err)
{
    struct dsr_shard_markers *out = loading->out;
    const char *uri = out->texts.data;

    if (dsr_users_freeze(out->users, err))
        return err->code;
    out->markers = (struct dsr_marker *)(void *)rc_buf_take(&loading->markers);
    for (size_t i = 0; i < out->count; i++) {
        struct dsr_marker *marker = &out->markers[i];
        struct pq_slice user;

        marker->uri = uri;
        if (read_name(loading, uri + folder_len, &user, marker, err))
            return err->code;
        marker->user = (size_t)dsr_users_find(out->users, user);
        uri += strlen(uri) + 1;
    }
    return RC_OK;
}

static enum rc_code load(struct rc_job *job, const char *folder, struct loading *loading,
                         const struct dsr_malformed *malformed, struct rc_error *err)
{
    struct rc_listing *listing;
    const struct rc_object *object = NULL;
    enum rc_code code = rc_storage_list(job, folder, NULL, &listing, err);

    if (code)
        return code;
    while ((code = rc_storage_list_next(job, listing, &object, err)) == RC_OK && object) {
        code = add_marker(loading, object, malformed, err);
        if (code)
            break;
    }
    rc_storage_list_close(job, listing);
    return code ? code : settle(loading, strlen(folder), err);
}

enum rc_code dsr_markers_load(struct rc_job *job, const struct dsr_places *places, int32_t shard,
                              const struct dsr_malformed *malformed, struct dsr_shard_markers *out,
                              struct rc_error *err)
{
    RC_STR_AUTO folder = dsr_place_shard(places->markers, shard);
    struct loading loading = {
        .out = out,
        .markers = RC_BUF_INIT(MARKERS_LIMIT),
        .is_local = rc_str_starts(folder, "file://"),
    };
    enum rc_code code;

    *out = (struct dsr_shard_markers){
        .shard = shard,
        .users = dsr_users_new(),
        .texts = RC_BUF_INIT(TEXTS_LIMIT),
    };
    code = load(job, folder, &loading, malformed, err);
    rc_buf_clear(&loading.markers);
    if (code) {
        dsr_markers_clear(out);
        dsr_marker_hide_in(err);
        return rc_context(err, "read the markers in '%s'", folder);
    }
    if (loading.not_empty > 0)
        rc_warn(job,
                "%" PRId64 " of the markers in '%s' are not empty; what is in them is not looked "
                "at",
                loading.not_empty, folder);
    return RC_OK;
}

void dsr_markers_clear(struct dsr_shard_markers *markers)
{
    dsr_users_free(markers->users);
    free(markers->markers);
    rc_buf_clear(&markers->texts);
    *markers = (struct dsr_shard_markers){ .texts = RC_BUF_INIT(TEXTS_LIMIT) };
}
