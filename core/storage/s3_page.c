/*
 * Reading a page of an S3 listing: its rows in order, decoded and made relative, and where the next
 * page begins. A page that contradicts itself is refused: a short listing would be taken for the
 * truth.
 */
#include <storage/s3_page.h>

#include <cloud/xml.h>
#include <os/digest.h>
#include <storage/s3.h>

#include <run-core/str.h>
#include <run-core/time.h>

#include <stdlib.h>
#include <string.h>

void core_s3_page_place_clear(struct core_s3_page_place *place)
{
    free(place->token);
    free(place->start_after);
    free(place->version);
    *place = (struct core_s3_page_place){ .token = NULL };
}

void core_s3_page_clear(struct core_s3_page *page)
{
    core_arena_clear(&page->arena);
    free(page->items);
    core_s3_page_place_clear(&page->next);
    *page = (struct core_s3_page){ .arena = CORE_ARENA_INIT };
}

/* ---- reading a page -------------------------------------------------------------------------- */

/* Rows of one kind, in the order of the document; 'name' is the whole key, as it came. */
struct rows {
    struct core_listed *items;
    size_t count, capacity;
};

struct page_reader {
    struct core_s3_page *page;
    struct rows objects, prefixes;
    struct core_listed row; /* that is being read */
    bool is_encoded, has_marker, tells_end, is_truncated;
    int64_t key_count; /* -1: not said */
    const char *token, *next_marker, *next_version;
};

static void add_row(struct rows *rows, const struct core_listed *row)
{
    if (rows->count == rows->capacity) {
        rows->capacity = rows->capacity ? rows->capacity * 2 : 64;
        rows->items = rc_realloc(rows->items, rows->capacity * sizeof(*rows->items));
    }
    rows->items[rows->count++] = *row;
}

static enum rc_code on_row(struct page_reader *reader, const char *name, const char *text,
                           struct rc_error *err)
{
    struct core_arena *arena = &reader->page->arena;
    struct core_listed *row = &reader->row;

    if (rc_str_eq(name, "Key"))
        row->object.name = core_arena_strdup(arena, text);
    else if (rc_str_eq(name, "LastModified"))
        (void)rc_parse_time(text, &row->object.stat.modified_unix_ms);
    else if (rc_str_eq(name, "ETag"))
        core_s3_set_etag(&row->object.stat, text);
    else if (rc_str_eq(name, "StorageClass"))
        row->storage_class = core_arena_share(arena, text);
    else if (rc_str_eq(name, "VersionId"))
        row->version = core_arena_strdup(arena, text);
    else if (rc_str_eq(name, "IsLatest"))
        row->is_latest = rc_str_eq(text, "true");
    else if (rc_str_eq(name, "Size") &&
             (!rc_parse_int(text, &row->object.stat.size_bytes) || row->object.stat.size_bytes < 0))
        return rc_fail(err, RC_CORRUPT, "the listing has an object of '%.40s' bytes", text);
    return RC_OK;
}

static void on_head(struct page_reader *reader, const char *name, const char *text)
{
    struct core_arena *arena = &reader->page->arena;

    if (rc_str_eq(name, "IsTruncated")) {
        reader->tells_end = true;
        reader->is_truncated = rc_str_eq(text, "true");
    } else if (rc_str_eq(name, "EncodingType")) {
        reader->is_encoded = rc_str_eq(text, "url");
    } else if (rc_str_eq(name, "KeyCount")) {
        (void)rc_parse_int(text, &reader->key_count);
    } else if (rc_str_eq(name, "Marker")) {
        reader->has_marker = true;
    } else if (rc_str_eq(name, "NextContinuationToken")) {
        reader->token = core_arena_strdup(arena, text);
    } else if (rc_str_eq(name, "NextMarker") || rc_str_eq(name, "NextKeyMarker")) {
        reader->next_marker = core_arena_strdup(arena, text);
    } else if (rc_str_eq(name, "NextVersionIdMarker")) {
        reader->next_version = core_arena_strdup(arena, text);
    }
}

/* What is behind the name of the document and of a group in it; NULL: the path is another. */
static const char *inside(const char *path, const char *group)
{
    const char *at = strchr(path, '/');
    size_t len = strlen(group);

    if (!at || strncmp(at + 1, group, len) != 0 || at[1 + len] != '/')
        return NULL;
    return at + 1 + len + 1;
}

static bool is_row(const char *name)
{
    return rc_str_eq(name, "Contents") || rc_str_eq(name, "Version") ||
           rc_str_eq(name, "DeleteMarker");
}

static enum rc_code on_begin(void *context, const char *path, struct rc_error *err)
{
    struct page_reader *reader = context;
    const char *name = strchr(path, '/');

    (void)err;
    if (name && is_row(name + 1))
        reader->row = (struct core_listed){
            .object.stat.size_bytes = rc_str_eq(name + 1, "DeleteMarker") ? 0 : -1,
            .is_latest = rc_str_eq(name + 1, "Contents"),
            .is_delete_marker = rc_str_eq(name + 1, "DeleteMarker"),
        };
    return RC_OK;
}

static enum rc_code on_end(void *context, const char *path, const char *text, size_t len,
                           struct rc_error *err)
{
    struct page_reader *reader = context;
    const char *root = strchr(path, '/');
    const char *name;

    (void)len;
    if (!root)
        return RC_OK;
    if (is_row(root + 1)) {
        if (!reader->row.object.name)
            return rc_fail(err, RC_CORRUPT, "the listing has an object without a key");
        if (reader->row.object.stat.size_bytes < 0)
            return rc_fail(err, RC_CORRUPT, "the listing does not tell the size of '%.100s'",
                           reader->row.object.name);
        add_row(&reader->objects, &reader->row);
        return RC_OK;
    }
    if ((name = inside(path, "Contents")) || (name = inside(path, "Version")) ||
        (name = inside(path, "DeleteMarker")))
        return on_row(reader, name, text, err);
    if ((name = inside(path, "CommonPrefixes"))) {
        const struct core_listed row = {
            .object = { .name = core_arena_strdup(&reader->page->arena, text), .is_prefix = true },
        };

        if (rc_str_eq(name, "Prefix"))
            add_row(&reader->prefixes, &row);
        return RC_OK;
    }
    on_head(reader, root + 1, text);
    return RC_OK;
}

/* ---- making a page of it --------------------------------------------------------------------- */

/* In place. "%2B" is a plus, "+" a blank. False: a '%' that begins nothing, or a NUL. */
static bool decode(char *text)
{
    char *out = text;

    for (; *text; text++) {
        int high, low;

        if (*text != '%') {
            *out++ = (char)(*text == '+' ? ' ' : *text);
            continue;
        }
        high = core_hex_value(text[1]);
        low = high >= 0 ? core_hex_value(text[2]) : -1;
        if (low < 0 || high + low == 0)
            return false;
        *out++ = (char)(high * 16 + low);
        text += 2;
    }
    *out = '\0';
    return true;
}

static enum rc_code decode_text(const struct page_reader *reader, const char *text,
                                struct rc_error *err)
{
    /* The texts lie in the page's arena, of which this is the only user. */
    if (text && reader->is_encoded && !decode((char *)(uintptr_t)text))
        return rc_fail(err, RC_CORRUPT, "the listing has the key '%.100s', which is badly encoded",
                       text);
    return RC_OK;
}

/* Decodes the keys, makes them relative, and sees that they are in order. */
static enum rc_code settle_rows(const struct page_reader *reader, const char *prefix,
                                bool may_repeat, struct rows *rows, struct rc_error *err)
{
    size_t prefix_len = strlen(prefix);

    for (size_t i = 0; i < rows->count; i++) {
        const char **name = &rows->items[i].object.name;
        int order;

        if (decode_text(reader, *name, err))
            return err->code;
        if (strncmp(*name, prefix, prefix_len) != 0)
            return rc_fail(err, RC_CORRUPT, "the listing has '%.100s', which is not below it",
                           *name);
        *name += prefix_len;
        order = i > 0 ? strcmp(rows->items[i - 1].object.name, *name) : -1;
        if (order > 0 || (order == 0 && !may_repeat))
            return rc_fail(err, RC_UNSUPPORTED,
                           "the server does not list in the order of the keys: '%.100s' comes "
                           "behind '%.100s'",
                           *name, rows->items[i - 1].object.name);
    }
    return RC_OK;
}

/* Objects and what is rolled up come apart, each in order. */
static void merge(const struct page_reader *reader, struct core_s3_page *page)
{
    const struct rows *a = &reader->objects, *b = &reader->prefixes;
    size_t i = 0, k = 0;

    page->items = rc_calloc(a->count + b->count + 1, sizeof(*page->items));
    while (i < a->count || k < b->count) {
        bool takes_a = k == b->count || (i < a->count && strcmp(a->items[i].object.name,
                                                                b->items[k].object.name) <= 0);

        page->items[page->count++] = takes_a ? a->items[i++] : b->items[k++];
    }
}

/* Where the next page begins. 'last' is the last key of this one, whole, or NULL. */
static enum rc_code settle_next(struct page_reader *reader, enum core_s3_dialect asked,
                                const char *last, struct rc_error *err)
{
    struct core_s3_page *page = reader->page;

    page->dialect = asked;
    page->is_truncated = reader->is_truncated;
    if (!reader->tells_end)
        return rc_fail(err, RC_CORRUPT, "the listing does not tell whether it is complete");
    if (reader->key_count > (int64_t)page->count)
        return rc_fail(err, RC_CORRUPT, "the listing has %zu keys, but says that they are %lld",
                       page->count, (long long)reader->key_count);
    if (!page->is_truncated)
        return RC_OK;
    if (decode_text(reader, reader->next_marker, err))
        return err->code;
    if (asked == CORE_S3_BY_TOKEN && reader->token) {
        page->next.token = rc_strdup(reader->token);
        return RC_OK;
    }
    if (asked == CORE_S3_BY_TOKEN && reader->has_marker && reader->key_count < 0)
        page->dialect = CORE_S3_BY_MARKER; /* a server that has not heard of version 2 */
    if (page->dialect == CORE_S3_BY_MARKER && (reader->next_marker || last))
        page->next.start_after = rc_strdup(reader->next_marker ? reader->next_marker : last);
    else if (page->dialect == CORE_S3_BY_VERSION && reader->next_marker)
        page->next.start_after = rc_strdup(reader->next_marker);
    else
        return rc_fail(err, RC_CORRUPT,
                       "the listing says that it goes on, but not where: it is incomplete");
    page->next.version = rc_strdup(reader->next_version);
    return RC_OK;
}

enum rc_code core_s3_page_read(const char *prefix, enum core_s3_dialect asked,
                               const struct rc_buf *body, struct core_s3_page *page,
                               struct rc_error *err)
{
    struct page_reader reader = { .page = page, .key_count = -1 };
    const struct core_xml_events events = { .begin = on_begin, .end = on_end, .context = &reader };
    RC_STR_AUTO last = NULL;
    enum rc_code code = core_xml_read(body->data, body->len, &events, err);

    if (!code)
        code = settle_rows(&reader, prefix, asked == CORE_S3_BY_VERSION, &reader.objects, err);
    if (!code)
        code = settle_rows(&reader, prefix, /* may_repeat = */ false, &reader.prefixes, err);
    if (!code) {
        merge(&reader, page);
        if (page->count > 0)
            last = rc_strf("%s%s", prefix, page->items[page->count - 1].object.name);
        code = settle_next(&reader, asked, last, err);
    }
    free(reader.objects.items);
    free(reader.prefixes.items);
    return code;
}
