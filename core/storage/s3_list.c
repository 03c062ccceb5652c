/*
 * Listings of S3: pages of a thousand, of which the next one is fetched while the second half of
 * the present one is handed out. Memory holds two pages, however many keys there are. A server that
 * lists in circles, out of order or less than it says is found out: a short listing would be taken
 * for the truth.
 */
#include <storage/s3.h>

#include <base/utf8.h>
#include <cloud/xml.h>

#include <run-core/str.h>
#include <run-core/time.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { EMPTY_PAGES = 100000 }; /* of a bucket with many keys that are gone there are some */

/* How a server is asked for the page behind another. */
enum dialect {
    BY_TOKEN,   /* ListObjectsV2 */
    BY_MARKER,  /* ListObjects, for servers that know no other */
    BY_VERSION, /* ListObjectVersions */
};

/* Where a page begins. */
struct place_in_list {
    char *token;       /* or NULL */
    char *start_after; /* whole key, or NULL */
    char *version;     /* BY_VERSION: of start_after, or NULL */
};

/* Names are relative to the prefix; they and the other texts lie in the arena. */
struct page {
    struct core_arena arena;
    struct core_listed *items;
    size_t count;
    bool is_truncated;
    struct place_in_list next;
    enum dialect dialect; /* that the server has spoken */
};

struct s3_listing {
    struct rc_listing base;
    struct core_s3_place prefix;
    bool is_shallow;
    char *start_after; /* relative, or NULL */

    struct page page;
    size_t given;       /* of the page */
    size_t empty_pages; /* in a row */
    char *last;         /* the name that was given last, or NULL */
    bool last_is_prefix;

    /* The page behind, which a thread fetches ahead. */
    struct page ahead;
    bool is_fetching;
    pthread_t fetcher;
    struct core_cancel stop;
    struct rc_error ahead_err;
};

static void clear_place(struct place_in_list *place)
{
    free(place->token);
    free(place->start_after);
    free(place->version);
    *place = (struct place_in_list){ .token = NULL };
}

static void clear_page(struct page *page)
{
    core_arena_clear(&page->arena);
    free(page->items);
    clear_place(&page->next);
    *page = (struct page){ .arena = CORE_ARENA_INIT };
}

/* ---- reading a page -------------------------------------------------------------------------- */

/* Rows of one kind, in the order of the document; 'name' is the whole key, as it came. */
struct rows {
    struct core_listed *items;
    size_t count, capacity;
};

struct page_reader {
    struct page *page;
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
        reader->row =
            (struct core_listed){ .is_latest = rc_str_eq(name + 1, "Contents"),
                                  .is_delete_marker = rc_str_eq(name + 1, "DeleteMarker") };
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

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

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
        high = hex_value(text[1]);
        low = high >= 0 ? hex_value(text[2]) : -1;
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
static void merge(const struct page_reader *reader, struct page *page)
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
static enum rc_code settle_next(struct page_reader *reader, enum dialect asked, const char *last,
                                struct rc_error *err)
{
    struct page *page = reader->page;

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
    if (asked == BY_TOKEN && reader->token) {
        page->next.token = rc_strdup(reader->token);
        return RC_OK;
    }
    if (asked == BY_TOKEN && reader->has_marker && reader->key_count < 0)
        page->dialect = BY_MARKER; /* a server that has not heard of version 2 */
    if (page->dialect == BY_MARKER && (reader->next_marker || last))
        page->next.start_after = rc_strdup(reader->next_marker ? reader->next_marker : last);
    else if (page->dialect == BY_VERSION && reader->next_marker)
        page->next.start_after = rc_strdup(reader->next_marker);
    else
        return rc_fail(err, RC_CORRUPT,
                       "the listing says that it goes on, but not where: it is incomplete");
    page->next.version = rc_strdup(reader->next_version);
    return RC_OK;
}

static enum rc_code read_page(const char *prefix, enum dialect asked, const struct rc_buf *body,
                              struct page *page, struct rc_error *err)
{
    struct page_reader reader = { .page = page, .key_count = -1 };
    const struct core_xml_events events = { .begin = on_begin, .end = on_end, .context = &reader };
    RC_STR_AUTO last = NULL;
    enum rc_code code = core_xml_read(body->data, body->len, &events, err);

    if (!code)
        code = settle_rows(&reader, prefix, asked == BY_VERSION, &reader.objects, err);
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

/* ---- asking for a page ----------------------------------------------------------------------- */

static void add_optional(struct rc_buf *query, const char *name, const char *value)
{
    if (value)
        core_s3_add_query(query, name, value);
}

static enum rc_code fetch(const struct s3_listing *listing, enum dialect dialect,
                          const struct place_in_list *at, struct page *page, struct rc_error *err)
{
    struct core_place_in_store place = listing->prefix.at;
    CORE_S3_REQUEST_AUTO(request, &place, "list", "GET");
    CORE_S3_ANSWER_AUTO(answer);

    place.cancel = &listing->stop;
    request.of_bucket = true;
    request.answers_xml = true;
    if (dialect == BY_TOKEN)
        core_s3_add_query(&request.query, "list-type", "2");
    if (dialect == BY_VERSION)
        core_s3_add_query(&request.query, "versions", NULL);
    core_s3_add_query(&request.query, "prefix", place.key);
    if (listing->is_shallow)
        core_s3_add_query(&request.query, "delimiter", "/");
    core_s3_add_query(&request.query, "encoding-type", "url");
    core_s3_add_query(&request.query, "max-keys", "1000");
    add_optional(&request.query, "continuation-token", at->token);
    add_optional(&request.query,
                 dialect == BY_TOKEN    ? "start-after"
                 : dialect == BY_MARKER ? "marker"
                                        : "key-marker",
                 at->start_after);
    add_optional(&request.query, "version-id-marker", at->version);
    if (core_s3_send(&request, &answer, err))
        return err->code;
    if (read_page(place.key, dialect, &answer.body, page, err))
        return rc_context(err, "list '%s'", place.uri);
    if (page->is_truncated && rc_str_eq(page->next.token, at->token) &&
        rc_str_eq(page->next.start_after, at->start_after) &&
        rc_str_eq(page->next.version, at->version))
        return rc_fail(err, RC_CORRUPT, "list '%s': the listing goes in a circle", place.uri);
    return RC_OK;
}

static void *fetch_ahead(void *context)
{
    struct s3_listing *listing = context;

    (void)!fetch(listing, listing->page.dialect, &listing->page.next, &listing->ahead,
                 &listing->ahead_err);
    return NULL;
}

/* Half a page before it is wanted: who looks at the first few keys only pays for one page. */
static void begin_ahead(struct s3_listing *listing)
{
    if (listing->is_fetching || !listing->page.is_truncated ||
        listing->given * 2 < listing->page.count)
        return;
    listing->ahead_err = (struct rc_error)RC_ERROR_INIT;
    listing->is_fetching = pthread_create(&listing->fetcher, NULL, fetch_ahead, listing) == 0;
}

static enum rc_code turn(struct s3_listing *listing, struct rc_error *err)
{
    if (listing->is_fetching) {
        (void)pthread_join(listing->fetcher, NULL);
        listing->is_fetching = false;
        *err = listing->ahead_err;
    } else {
        (void)fetch_ahead(listing);
        *err = listing->ahead_err;
    }
    if (err->code) {
        clear_page(&listing->ahead);
        return err->code;
    }
    clear_page(&listing->page);
    listing->page = listing->ahead;
    listing->ahead = (struct page){ .arena = CORE_ARENA_INIT };
    listing->given = 0;
    if (listing->page.count > 0)
        listing->empty_pages = 0;
    else if (++listing->empty_pages > EMPTY_PAGES)
        return rc_fail(err, RC_CORRUPT, "list '%s': more than %d pages in a row are empty",
                       listing->prefix.uri, EMPTY_PAGES);
    return RC_OK;
}

/* ---- the listing ----------------------------------------------------------------------------- */

/* Whether a row is to be given, and is behind what was given before. */
static enum rc_code admit(struct s3_listing *listing, const struct core_listed *row, bool *wanted,
                          struct rc_error *err)
{
    const char *name = row->object.name;
    int order = listing->last ? strcmp(listing->last, name) : -1;

    *wanted = !listing->start_after || strcmp(name, listing->start_after) > 0;
    /* Some servers tell on the next page again what they have rolled up. */
    if (order == 0 && row->object.is_prefix && listing->last_is_prefix)
        *wanted = false;
    else if (order > 0 || (order == 0 && listing->page.dialect != BY_VERSION))
        return rc_fail(err, RC_UNSUPPORTED,
                       "list '%s': the server does not list in the order of the keys: '%.100s' "
                       "comes behind '%.100s'",
                       listing->prefix.uri, name, listing->last);
    if (order != 0) {
        free(listing->last);
        listing->last = rc_strdup(name);
        listing->last_is_prefix = row->object.is_prefix;
    }
    return RC_OK;
}

static enum rc_code listing_next(struct rc_listing *base, const struct core_listed **out,
                                 struct rc_error *err)
{
    struct s3_listing *listing = (struct s3_listing *)base;
    bool wanted = false;

    *out = NULL;
    while (!wanted) {
        while (listing->given == listing->page.count) {
            if (!listing->page.is_truncated)
                return RC_OK;
            if (turn(listing, err))
                return err->code;
        }
        const struct core_listed *row = &listing->page.items[listing->given++];

        if (admit(listing, row, &wanted, err))
            return err->code;
        *out = wanted ? row : NULL;
        begin_ahead(listing);
    }
    return RC_OK;
}

static void listing_close(struct rc_listing *base)
{
    struct s3_listing *listing = (struct s3_listing *)base;

    if (listing->is_fetching) {
        core_cancel_request(&listing->stop, RC_CANCELLED);
        (void)pthread_join(listing->fetcher, NULL);
    }
    clear_page(&listing->page);
    clear_page(&listing->ahead);
    free(listing->start_after);
    free(listing->last);
    core_s3_place_clear(&listing->prefix);
    free(listing);
}

static const struct core_listing_ops listing_ops = {
    .next = listing_next,
    .close = listing_close,
};

/*
 * Where to begin, as far as an answer can repeat it: XML holds neither control characters nor what
 * is no UTF-8. What comes too early for that is not given to the caller.
 */
static char *sendable(const char *prefix, const char *start_after)
{
    char *key = rc_strf("%s%s", prefix, start_after);
    size_t len = strlen(key), at = 0;
    bool valid = true;

    while (at < len && valid) {
        size_t step = core_utf8_next(key + at, len - at, &valid);

        if ((unsigned char)key[at] < ' ')
            valid = false;
        at += valid ? step : 0;
    }
    key[at] = '\0';
    return key;
}

enum rc_code core_s3_list(const struct core_place_in_store *prefix,
                          const struct core_list_options *options, struct rc_listing **out,
                          struct rc_error *err)
{
    const char *start_after = options->plain.start_after;
    struct place_in_list begin = { .token = NULL };
    struct s3_listing *listing = rc_malloc(sizeof(*listing));

    *out = NULL;
    *listing = (struct s3_listing){
        .base = { .ops = &listing_ops },
        .is_shallow = options->plain.shallow,
        .start_after = rc_strdup(start_after && *start_after ? start_after : NULL),
        .stop = { .parent = prefix->cancel },
    };
    core_s3_place_copy(&listing->prefix, prefix);
    if (listing->start_after)
        begin.start_after = sendable(prefix->key, listing->start_after);
    if (fetch(listing, options->versions ? BY_VERSION : BY_TOKEN, &begin, &listing->page, err))
        listing_close(&listing->base);
    else
        *out = &listing->base;
    clear_place(&begin);
    return *out ? RC_OK : err->code;
}
