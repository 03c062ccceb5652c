/*
 * Listings of S3: pages of a thousand, of which the next one is fetched while the second half of
 * the present one is handed out. Memory holds two pages, however many keys there are. A server that
 * lists in circles, out of order or less than it says is found out: a short listing would be taken
 * for the truth.
 */
#include <storage/s3.h>

#include <base/utf8.h>
#include <storage/s3_page.h>

#include <run-core/str.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { EMPTY_PAGES = 100000 }; /* of a bucket with many keys that are gone there are some */

struct s3_listing {
    struct rc_listing base;
    struct core_s3_place prefix;
    bool is_shallow;
    size_t at_most;    /* 0: all */
    char *start_after; /* relative, or NULL */

    struct core_s3_page page;
    size_t given;       /* of the page */
    size_t empty_pages; /* in a row */
    char *last;         /* the name that was given last, or NULL */
    bool last_is_prefix;

    /* The page behind, which a thread fetches ahead. */
    struct core_s3_page ahead;
    bool is_fetching;
    pthread_t fetcher;
    struct core_cancel stop;
    struct rc_error ahead_err;
};

/* ---- asking for a page ----------------------------------------------------------------------- */

static void add_optional(struct rc_buf *query, const char *name, const char *value)
{
    if (value)
        core_s3_add_query(query, name, value);
}

static enum rc_code fetch(const struct s3_listing *listing, enum core_s3_dialect dialect,
                          const struct core_s3_page_place *at, struct core_s3_page *page,
                          struct rc_error *err)
{
    struct core_place_in_store place = listing->prefix.at;
    CORE_S3_REQUEST_AUTO(request, &place, "list", "GET");
    CORE_S3_ANSWER_AUTO(answer);
    RC_STR_AUTO most =
        rc_strf("%zu", listing->at_most > 0 && listing->at_most < CORE_S3_PAGE ? listing->at_most
                                                                               : CORE_S3_PAGE);

    place.cancel = &listing->stop;
    request.of_bucket = true;
    request.answers_xml = true;
    if (dialect == CORE_S3_BY_TOKEN)
        core_s3_add_query(&request.query, "list-type", "2");
    if (dialect == CORE_S3_BY_VERSION)
        core_s3_add_query(&request.query, "versions", NULL);
    core_s3_add_query(&request.query, "prefix", place.key);
    if (listing->is_shallow)
        core_s3_add_query(&request.query, "delimiter", "/");
    core_s3_add_query(&request.query, "encoding-type", "url");
    core_s3_add_query(&request.query, "max-keys", most);
    add_optional(&request.query, "continuation-token", at->token);
    add_optional(&request.query,
                 dialect == CORE_S3_BY_TOKEN    ? "start-after"
                 : dialect == CORE_S3_BY_MARKER ? "marker"
                                                : "key-marker",
                 at->start_after);
    add_optional(&request.query, "version-id-marker", at->version);
    if (core_s3_send(&request, &answer, err))
        return err->code;
    if (core_s3_page_read(place.key, dialect, &answer.body, page, err))
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
    if (listing->is_fetching || !listing->page.is_truncated || listing->at_most > 0 ||
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
        core_s3_page_clear(&listing->ahead);
        return err->code;
    }
    core_s3_page_clear(&listing->page);
    listing->page = listing->ahead;
    listing->ahead = (struct core_s3_page){ .arena = CORE_ARENA_INIT };
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
    else if (order > 0 || (order == 0 && listing->page.dialect != CORE_S3_BY_VERSION))
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
    core_s3_page_clear(&listing->page);
    core_s3_page_clear(&listing->ahead);
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
    struct core_s3_page_place begin = { .token = NULL };
    struct s3_listing *listing = rc_malloc(sizeof(*listing));

    *out = NULL;
    *listing = (struct s3_listing){
        .base = { .ops = &listing_ops },
        .is_shallow = options->plain.shallow,
        .at_most = options->at_most,
        .start_after = rc_strdup(start_after && *start_after ? start_after : NULL),
        .stop = { .parent = prefix->cancel },
    };
    core_s3_place_copy(&listing->prefix, prefix);
    if (listing->start_after)
        begin.start_after = sendable(prefix->key, listing->start_after);
    if (fetch(listing, options->versions ? CORE_S3_BY_VERSION : CORE_S3_BY_TOKEN, &begin,
              &listing->page, err))
        listing_close(&listing->base);
    else
        *out = &listing->base;
    core_s3_page_place_clear(&begin);
    return *out ? RC_OK : err->code;
}
