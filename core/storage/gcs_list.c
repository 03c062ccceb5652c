/*
 * Listings of Google Cloud Storage. A page gives objects and rolled up prefixes apart, each in
 * order; here they become one order. One page is in memory at a time, and of a listing of versions
 * those of one object too, since the server gives the oldest first.
 */
#include <storage/gcs.h>

#include <base/utf8.h>
#include <config/json.h>

#include <run-core/str.h>

#include <stdlib.h>
#include <string.h>

struct gcs_listing {
    struct rc_listing base;
    struct core_place_in_store place; /* its texts are copies */
    char *uri, *bucket, *prefix;
    char *start; /* whole key, after which to begin; or NULL */
    char *token; /* of the next page; NULL: there is none, or it is the first */
    char *last;  /* key that was given last, or NULL */
    size_t prefix_len;
    bool shallow, versions, is_first, failed;
    struct core_http_answer answer;
    struct core_arena page;
    const struct core_node *items, *prefixes;
    size_t item, prefix_at; /* the next of each */

    struct core_arena group_texts;
    struct core_listed *group; /* the versions of one key, the oldest first */
    size_t group_len, group_capacity, group_left;

    struct core_listed listed;
};

/* ---- pages ----------------------------------------------------------------------------------- */

/* The API takes UTF-8 only. What is before the first byte that is none names an earlier place. */
static char *valid_beginning(const char *text)
{
    size_t len = strlen(text), at = 0;
    bool valid = true;

    while (at < len) {
        size_t step = core_utf8_next(text + at, len - at, &valid);

        if (!valid)
            break;
        at += step;
    }
    return rc_strndup(text, at);
}

static enum rc_code ask(struct gcs_listing *listing, struct rc_error *err)
{
    CORE_GCS_REQUEST_AUTO(request);
    RC_STR_AUTO offset = listing->start ? valid_beginning(listing->start) : NULL;

    if (core_gcs_begin(&request, &listing->place, "list", err))
        return err->code;
    core_gcs_set_path(&request, "/storage/v1");
    core_gcs_add_query(&request, "maxResults", "1000");
    core_gcs_add_query(&request, "projection", "noAcl");
    core_gcs_add_query(&request, "fields",
                       "nextPageToken,prefixes,"
                       "items(name,size,updated,generation,storageClass,timeDeleted)");
    if (listing->prefix_len > 0)
        core_gcs_add_query(&request, "prefix", listing->prefix);
    if (listing->shallow)
        core_gcs_add_query(&request, "delimiter", "/");
    if (listing->versions)
        core_gcs_add_query(&request, "versions", "true");
    if (offset && *offset)
        core_gcs_add_query(&request, "startOffset", offset);
    core_gcs_add_query(&request, "pageToken", listing->token);
    if (core_gcs_complete(&request, err))
        return err->code;
    rc_buf_reset(&listing->answer.body);
    return core_gcs_call(&request, 0, &listing->answer, err);
}

static const struct core_node *list_of(const struct core_node *reply, const char *name)
{
    const struct core_node *list = core_node_get(reply, name);

    return list && list->kind == CORE_NODE_LIST ? list : NULL;
}

static size_t len_of(const struct core_node *list)
{
    return list ? list->len : 0;
}

static enum rc_code corrupt(const struct gcs_listing *listing, const char *what,
                            struct rc_error *err)
{
    return rc_fail(err, RC_CORRUPT, "list '%s': %s", listing->uri, what);
}

/* Reads the next page; a page may be empty and not the last. */
static enum rc_code next_page(struct gcs_listing *listing, struct rc_error *err)
{
    const struct core_node *reply;
    const char *token;

    if (ask(listing, err))
        return err->code;
    core_arena_clear(&listing->page);
    reply =
        core_json_read_reply(&listing->page, listing->answer.body.data, listing->answer.body.len);
    if (!reply || reply->kind != CORE_NODE_MAP)
        return corrupt(listing, "the reply is not a page of a listing", err);
    token = core_node_text(reply, "nextPageToken");
    if (token && listing->token && rc_str_eq(token, listing->token))
        return corrupt(listing, "the server gives the same page for ever", err);
    free(listing->token);
    listing->token = rc_strdup(token);
    listing->items = list_of(reply, "items");
    listing->prefixes = list_of(reply, "prefixes");
    listing->item = listing->prefix_at = 0;
    listing->is_first = false;
    return RC_OK;
}

/* ---- entries --------------------------------------------------------------------------------- */

/* Fills *out with the next of the page, both kinds in one order; its name is the whole key. */
static enum rc_code next_of_page(struct gcs_listing *listing, struct core_listed *out,
                                 struct rc_error *err)
{
    const struct core_node *prefix = NULL;
    struct core_gcs_object object;
    bool has_object = listing->item < len_of(listing->items);

    if (listing->prefix_at < len_of(listing->prefixes))
        prefix = listing->prefixes->items[listing->prefix_at];
    if (prefix && prefix->kind != CORE_NODE_SCALAR)
        return corrupt(listing, "a prefix is no text", err);
    if (has_object &&
        (!core_gcs_read_object(listing->items->items[listing->item], &object) || !object.name))
        return corrupt(listing, "an item is no object", err);

    if (prefix && (!has_object || strcmp(prefix->text, object.name) < 0)) {
        listing->prefix_at++;
        *out = (struct core_listed){ .object = { .name = prefix->text, .is_prefix = true } };
        return RC_OK;
    }
    listing->item++;
    *out = (struct core_listed){
        .object = { .name = object.name, .stat = object.stat },
        .storage_class = object.storage_class,
        .version = listing->versions ? object.generation : NULL,
        .is_latest = object.is_live,
    };
    return RC_OK;
}

/*
 * Whether the entry is to be given. A prefix that rolls up several pages may come with each; and
 * the offset of the server includes its own key.
 */
static enum rc_code check_order(struct gcs_listing *listing, const struct core_listed *entry,
                                bool *wanted, struct rc_error *err)
{
    const char *key = entry->object.name;
    int order = listing->last ? strcmp(key, listing->last) : 1;

    if (strncmp(key, listing->prefix, listing->prefix_len) != 0)
        return corrupt(listing, "the server gives a name without the prefix", err);
    if (order < 0 || (order == 0 && !listing->versions && !entry->object.is_prefix))
        return corrupt(listing, "the server gives names out of order", err);
    *wanted = !(order == 0 && entry->object.is_prefix) &&
              !(listing->start && strcmp(key, listing->start) <= 0);
    if (order != 0) {
        free(listing->last);
        listing->last = rc_strdup(key);
    }
    return RC_OK;
}

/* *found false at the end of the listing. */
static enum rc_code next_entry(struct gcs_listing *listing, struct core_listed *out, bool *found,
                               struct rc_error *err)
{
    *found = false;
    while (!*found) {
        while (listing->item == len_of(listing->items) &&
               listing->prefix_at == len_of(listing->prefixes)) {
            if (!listing->is_first && !listing->token)
                return RC_OK;
            if (core_cancel_check(listing->place.cancel, err) || next_page(listing, err))
                return err->code;
        }
        if (next_of_page(listing, out, err) || check_order(listing, out, found, err))
            return err->code;
    }
    return RC_OK;
}

/* ---- versions -------------------------------------------------------------------------------- */

static void keep_version(struct gcs_listing *listing, const struct core_listed *entry)
{
    struct core_listed *kept;

    if (listing->group_len == listing->group_capacity) {
        listing->group_capacity = listing->group_capacity ? 2 * listing->group_capacity : 16;
        listing->group =
            rc_realloc(listing->group, listing->group_capacity * sizeof(*listing->group));
    }
    kept = &listing->group[listing->group_len++];
    *kept = *entry;
    kept->object.name = core_arena_strdup(&listing->group_texts, entry->object.name);
    kept->storage_class = core_arena_strdup(&listing->group_texts, entry->storage_class);
    kept->version = core_arena_strdup(&listing->group_texts, entry->version);
}

/* Whether the next entry of the page in memory is another version of the same object. */
static bool goes_on(const struct gcs_listing *listing)
{
    const char *name;

    if (listing->item == len_of(listing->items))
        return listing->token != NULL; /* the next page tells */
    name = core_node_text(listing->items->items[listing->item], "name");
    return name && rc_str_eq(name, listing->group[0].object.name);
}

/* Gathers all versions of the next object; none at the end of the listing. */
static enum rc_code next_group(struct gcs_listing *listing, struct rc_error *err)
{
    struct core_listed entry;
    bool found;

    core_arena_clear(&listing->group_texts);
    listing->group_len = 0;
    do {
        if (listing->item == len_of(listing->items) &&
            listing->prefix_at == len_of(listing->prefixes) && listing->token &&
            listing->group_len > 0) {
            if (core_cancel_check(listing->place.cancel, err) || next_page(listing, err))
                return err->code;
            continue; /* looks at its first, without taking it */
        }
        if (next_entry(listing, &entry, &found, err))
            return err->code;
        if (!found)
            break;
        keep_version(listing, &entry);
    } while (!listing->group[0].object.is_prefix && goes_on(listing));
    listing->group_left = listing->group_len;
    return RC_OK;
}

static enum rc_code next_version(struct gcs_listing *listing, bool *found, struct rc_error *err)
{
    if (listing->group_left == 0 && next_group(listing, err))
        return err->code;
    *found = listing->group_left > 0;
    if (*found)
        listing->listed = listing->group[--listing->group_left];
    return RC_OK;
}

/* ---- the handle ------------------------------------------------------------------------------ */

static enum rc_code listing_next(struct rc_listing *base, const struct core_listed **out,
                                 struct rc_error *err)
{
    struct gcs_listing *listing = (struct gcs_listing *)base;
    bool found = false;
    enum rc_code code;

    *out = NULL;
    if (listing->failed)
        return rc_fail(err, RC_FAILED, "the listing of '%s' has failed already", listing->uri);
    code = listing->versions ? next_version(listing, &found, err)
                             : next_entry(listing, &listing->listed, &found, err);
    listing->failed = code != RC_OK;
    if (code || !found)
        return code;
    listing->listed.object.name += listing->prefix_len;
    *out = &listing->listed;
    return RC_OK;
}

static void listing_close(struct rc_listing *base)
{
    struct gcs_listing *listing = (struct gcs_listing *)base;

    core_http_answer_clear(&listing->answer);
    core_arena_clear(&listing->page);
    core_arena_clear(&listing->group_texts);
    free(listing->group);
    free(listing->uri);
    free(listing->bucket);
    free(listing->prefix);
    free(listing->start);
    free(listing->token);
    free(listing->last);
    free(listing);
}

static const struct core_listing_ops listing_ops = {
    .next = listing_next,
    .close = listing_close,
};

enum rc_code core_gcs_list(const struct core_place_in_store *prefix,
                           const struct core_list_options *options, struct rc_listing **out,
                           struct rc_error *err)
{
    const char *start = options->plain.start_after;
    struct gcs_listing *listing = rc_malloc(sizeof(*listing));

    *listing = (struct gcs_listing){
        .base = { .ops = &listing_ops },
        .place = *prefix,
        .uri = rc_strdup(prefix->uri),
        .bucket = rc_strdup(prefix->bucket),
        .prefix = rc_strdup(prefix->key),
        .prefix_len = strlen(prefix->key),
        .start = start ? rc_strf("%s%s", prefix->key, start) : NULL,
        .shallow = options->plain.shallow,
        .versions = options->versions,
        .is_first = true,
        .page = CORE_ARENA_INIT,
        .group_texts = CORE_ARENA_INIT,
    };
    listing->place.uri = listing->uri;
    listing->place.bucket = listing->bucket;
    listing->place.key = listing->prefix;
    core_http_answer_init(&listing->answer, CORE_GCS_REPLY_BYTES);

    /* The first page at once, so that a bucket that is not there is an error of this call. */
    if (next_page(listing, err)) {
        listing_close(&listing->base);
        return err->code;
    }
    *out = &listing->base;
    return RC_OK;
}
