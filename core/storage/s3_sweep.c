/*
 * Uploads in parts that were begun and never finished: found, looked into, and given up. Servers
 * keep their parts, and charge for them, until somebody does.
 */
#include <storage/s3.h>

#include <cloud/xml.h>

#include <run-core/str.h>
#include <run-core/time.h>

#include <stdlib.h>
#include <string.h>

/* A page of pending uploads. */
struct page {
    struct core_arena arena;
    struct core_s3_pending *items;
    size_t count, capacity;
    struct core_s3_pending row; /* that is being read */
    bool is_truncated;
    const char *next_key, *next_id;
    int64_t clock_ahead_ms;
};

static enum rc_code on_element(void *context, const char *path, const char *text, size_t len,
                               struct rc_error *err)
{
    struct page *page = context;
    const char *name = strchr(path, '/');

    (void)len;
    (void)err;
    if (!name)
        return RC_OK;
    name++;
    if (rc_str_eq(name, "Upload/Key")) {
        page->row.key = core_arena_strdup(&page->arena, text);
    } else if (rc_str_eq(name, "Upload/UploadId")) {
        page->row.upload_id = core_arena_strdup(&page->arena, text);
    } else if (rc_str_eq(name, "Upload/Initiated")) {
        if (!rc_parse_time(text, &page->row.begun_unix_ms))
            page->row.begun_unix_ms = INT64_MAX; /* who knows: it may be a new one */
    } else if (rc_str_eq(name, "Upload") && page->row.key && page->row.upload_id) {
        if (page->count == page->capacity) {
            page->capacity = page->capacity ? page->capacity * 2 : 16;
            page->items = rc_realloc(page->items, page->capacity * sizeof(*page->items));
        }
        page->row.clock_ahead_ms = page->clock_ahead_ms;
        page->items[page->count++] = page->row;
        page->row = (struct core_s3_pending){ .begun_unix_ms = INT64_MAX };
    } else if (rc_str_eq(name, "IsTruncated")) {
        page->is_truncated = rc_str_eq(text, "true");
    } else if (rc_str_eq(name, "NextKeyMarker")) {
        page->next_key = core_arena_strdup(&page->arena, text);
    } else if (rc_str_eq(name, "NextUploadIdMarker")) {
        page->next_id = core_arena_strdup(&page->arena, text);
    }
    return RC_OK;
}

/* Keys as they are, since what XML cannot hold no other request of ours can either. */
static enum rc_code fetch_page(const struct core_place_in_store *prefix, bool ignore_cancel,
                               const char *key, const char *upload_id, struct page *out,
                               struct rc_error *err)
{
    CORE_S3_REQUEST_AUTO(request, prefix, "list uploads to", "GET");
    CORE_S3_ANSWER_AUTO(answer);
    const struct core_xml_events events = { .end = on_element, .context = out };

    core_s3_add_query(&request.query, "uploads", NULL);
    core_s3_add_query(&request.query, "prefix", prefix->key);
    if (key)
        core_s3_add_query(&request.query, "key-marker", key);
    if (upload_id)
        core_s3_add_query(&request.query, "upload-id-marker", upload_id);
    request.of_bucket = true;
    request.answers_xml = true;
    request.ignore_cancel = ignore_cancel;
    out->row.begun_unix_ms = INT64_MAX;
    if (core_s3_send(&request, &answer, err))
        return err->code;
    out->clock_ahead_ms = request.clock_ahead_ms;
    if (core_xml_read(answer.body.data, answer.body.len, &events, err))
        return rc_context(err, "list uploads to '%s'", prefix->uri);
    if (out->is_truncated &&
        (!out->next_key || (rc_str_eq(out->next_key, key) && rc_str_eq(out->next_id, upload_id))))
        return rc_fail(err, RC_CORRUPT, "list uploads to '%s': the listing goes in a circle",
                       prefix->uri);
    return RC_OK;
}

enum rc_code core_s3_each_pending(const struct core_place_in_store *prefix, bool ignore_cancel,
                                  enum rc_code (*tell)(void *context,
                                                       const struct core_s3_pending *pending,
                                                       struct rc_error *err),
                                  void *context, struct rc_error *err)
{
    char *key = NULL, *upload_id = NULL;
    enum rc_code code = RC_OK;
    bool goes_on = true;

    while (goes_on && !code) {
        struct page page = { .arena = CORE_ARENA_INIT };

        code = fetch_page(prefix, ignore_cancel, key, upload_id, &page, err);
        for (size_t i = 0; i < page.count && !code; i++)
            code = tell(context, &page.items[i], err);
        free(key);
        free(upload_id);
        key = rc_strdup(page.next_key);
        upload_id = rc_strdup(page.next_id);
        goes_on = page.is_truncated;
        free(page.items);
        core_arena_clear(&page.arena);
    }
    free(key);
    free(upload_id);
    return code;
}

enum { CLOCK_SLACK_MS = 60000 }; /* of the server's clock, beyond what is known of it */

/* A time of ours by the server's clock, a little early. */
static int64_t by_server(const struct core_s3_pending *pending, int64_t unix_ms)
{
    return unix_ms + pending->clock_ahead_ms - CLOCK_SLACK_MS;
}

struct sweeping {
    const struct core_place_in_store *prefix;
    const struct core_sweep *sweep;
    int64_t *swept;
};

static enum rc_code sweep_one(void *context, const struct core_s3_pending *pending,
                              struct rc_error *err)
{
    const struct sweeping *sweeping = context;
    const struct core_sweep *sweep = sweeping->sweep;
    struct core_place_in_store place = *sweeping->prefix;
    size_t prefix_len = strlen(place.key);

    if (pending->begun_unix_ms >= sweep->before_unix_ms ||
        (sweep->from_unix_ms > 0 &&
         pending->begun_unix_ms < by_server(pending, sweep->from_unix_ms)) ||
        (sweep->is_exact && !rc_str_eq(pending->key, place.key)))
        return RC_OK;
    RC_STR_AUTO uri = rc_strf("s3://%s/%s", place.bucket, pending->key);
    place.uri = rc_str_starts(place.uri, "s3://") ? uri : place.uri;
    if (strncmp(pending->key, place.key, prefix_len) != 0)
        return rc_fail(err, RC_CORRUPT, "list uploads to '%s': it has '%.100s', which is not below",
                       sweeping->prefix->uri, pending->key);
    place.key = pending->key;
    if (!sweep->only_looks &&
        core_s3_abort(&place, pending->upload_id, /* ignore_cancel = */ false, err))
        return err->code;
    (*sweeping->swept)++;
    if (sweep->tell)
        sweep->tell(sweep->context, pending->key + prefix_len, pending->begun_unix_ms);
    return RC_OK;
}

enum rc_code core_s3_sweep(const struct core_place_in_store *prefix, const struct core_sweep *sweep,
                           int64_t *swept, struct rc_error *err)
{
    struct sweeping sweeping = { prefix, sweep, swept };

    *swept = 0;
    return core_s3_each_pending(prefix, /* ignore_cancel = */ false, sweep_one, &sweeping, err);
}

/* ---- those to one object --------------------------------------------------------------------- */

struct giving_up {
    const struct core_place_in_store *place;
    int64_t since_unix_ms;
};

static enum rc_code give_up_one(void *context, const struct core_s3_pending *pending,
                                struct rc_error *err)
{
    const struct giving_up *giving_up = context;

    if (!rc_str_eq(pending->key, giving_up->place->key) ||
        pending->begun_unix_ms < by_server(pending, giving_up->since_unix_ms))
        return RC_OK;
    return core_s3_abort(giving_up->place, pending->upload_id, /* ignore_cancel = */ false, err);
}

enum rc_code core_s3_give_up_parts(const struct core_place_in_store *place,
                                   const struct core_left_parts *left, struct rc_error *err)
{
    struct giving_up giving_up = { place, left->begun_unix_ms };

    if (left->id)
        return core_s3_abort(place, left->id, /* ignore_cancel = */ false, err);
    return core_s3_each_pending(place, /* ignore_cancel = */ false, give_up_one, &giving_up, err);
}

/* ---- parts ----------------------------------------------------------------------------------- */

/* A page of the parts of an upload, told as they are read. */
struct part_page {
    struct core_s3_part row;
    bool is_truncated;
    int64_t next;
    enum rc_code (*tell)(void *context, const struct core_s3_part *part, struct rc_error *err);
    void *context;
};

static enum rc_code on_part(void *context, const char *path, const char *text, size_t len,
                            struct rc_error *err)
{
    struct part_page *page = context;
    const char *name = strchr(path, '/');
    struct rc_stat stat = { .size_bytes = 0 };
    int64_t number = 0;

    (void)len;
    name = name ? name + 1 : "";
    if (rc_str_eq(name, "Part/PartNumber")) {
        if (rc_parse_int(text, &number) && number > 0 && number <= CORE_S3_PARTS)
            page->row.number = (int)number;
    } else if (rc_str_eq(name, "Part/ETag")) {
        core_s3_set_etag(&stat, text);
        memcpy(page->row.etag, stat.etag, sizeof(stat.etag));
    } else if (rc_str_eq(name, "Part/Size")) {
        if (!rc_parse_int(text, &page->row.size_bytes))
            page->row.size_bytes = -1;
    } else if (rc_str_eq(name, "Part")) {
        const struct core_s3_part part = page->row;

        page->row = (struct core_s3_part){ .size_bytes = -1 };
        return part.number > 0 ? page->tell(page->context, &part, err) : RC_OK;
    } else if (rc_str_eq(name, "IsTruncated")) {
        page->is_truncated = rc_str_eq(text, "true");
    } else if (rc_str_eq(name, "NextPartNumberMarker")) {
        if (!rc_parse_int(text, &page->next))
            page->next = 0;
    }
    return RC_OK;
}

static enum rc_code fetch_parts(const struct core_place_in_store *place, const char *upload_id,
                                struct part_page *page, struct rc_error *err)
{
    CORE_S3_REQUEST_AUTO(request, place, "list the parts of", "GET");
    CORE_S3_ANSWER_AUTO(answer);
    const struct core_xml_events events = { .end = on_part, .context = page };
    RC_STR_AUTO after = rc_strf("%lld", (long long)page->next);
    int64_t before = page->next;

    if (page->next > 0)
        core_s3_add_query(&request.query, "part-number-marker", after);
    core_s3_add_query(&request.query, "uploadId", upload_id);
    request.answers_xml = true;
    request.root = "ListPartsResult";
    page->is_truncated = false;
    page->row = (struct core_s3_part){ .size_bytes = -1 };
    if (core_s3_send(&request, &answer, err)) {
        /* Some servers say of an upload that is gone that its id is none. */
        if (rc_str_eq(request.refusal.code, "NoSuchUpload"))
            err->code = RC_NOT_FOUND;
        return err->code;
    }
    if (core_xml_read(answer.body.data, answer.body.len, &events, err))
        return rc_context(err, "list the parts of '%s'", place->uri);
    if (page->is_truncated && (page->next <= before || page->next > CORE_S3_PARTS))
        return rc_fail(err, RC_CORRUPT, "list the parts of '%s': the listing goes in a circle",
                       place->uri);
    return RC_OK;
}

enum rc_code core_s3_each_part(const struct core_place_in_store *place, const char *upload_id,
                               enum rc_code (*tell)(void *context, const struct core_s3_part *part,
                                                    struct rc_error *err),
                               void *context, struct rc_error *err)
{
    struct part_page page = { .tell = tell, .context = context };

    do {
        if (fetch_parts(place, upload_id, &page, err))
            return err->code;
    } while (page.is_truncated);
    return RC_OK;
}
