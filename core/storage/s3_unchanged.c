/*
 * A look at objects just before they are removed, for servers that remove them whatever their
 * entity tag is: what was replaced meanwhile stays. Neighbours are seen on one page of a listing,
 * the others are looked at one by one. What is replaced between that look and the removal, some
 * milliseconds later, is lost; only a server that compares by itself can close that gap.
 */
#include <storage/s3.h>

#include <run-core/str.h>

#include <stdlib.h>
#include <string.h>

enum {
    FEW = 4,     /* are looked at one by one */
    SPARSE = 32, /* on a page: to list on would cost more than to look at each */
};

struct look {
    const struct core_place_in_store *places;
    const struct core_remove_report *report;
    const struct core_place_in_store **sorted; /* by key: those with a condition */
    size_t count;
    bool *is_left; /* one for each of 'places': it is gone, or has to stay */
};

/* ---- by listing ------------------------------------------------------------------------------ */

static int by_key(const void *a, const void *b)
{
    const struct core_place_in_store *const *first = a, *const *second = b;

    return strcmp((*first)->key, (*second)->key);
}

static void close_listing(struct rc_listing **listing)
{
    if (*listing)
        (*listing)->ops->close(*listing);
}

/* What all keys from 'first' on begin with. */
static char *common_prefix(const struct look *look, size_t first)
{
    const char *a = look->sorted[first]->key, *b = look->sorted[look->count - 1]->key;
    size_t len = 0;

    while (a[len] != '\0' && a[len] == b[len])
        len++;
    return rc_strndup(a, len);
}

/*
 * Strikes out, as NULL, those behind 'first' that one page shows unchanged, and counts them. *next
 * is the first that is behind the page.
 */
static enum rc_code strike_listed(struct look *look, size_t first, size_t *next, size_t *struck,
                                  struct rc_error *err)
{
    RC_CLEANUP(close_listing) struct rc_listing *listing = NULL;
    RC_STR_AUTO prefix = common_prefix(look, first);
    struct core_place_in_store place = *look->sorted[first];
    size_t prefix_len = strlen(prefix), left = look->count - first;
    const struct core_list_options options = {
        .plain.start_after = place.key + prefix_len,
        .at_most = left < CORE_S3_PAGE / 2 ? 2 * left : CORE_S3_PAGE,
    };
    const struct core_listed *listed;

    place.key = prefix;
    *next = first + 1;
    *struck = 0;
    if (core_s3_list(&place, &options, &listing, err))
        return err->code;
    for (size_t seen = 0; seen < options.at_most && *next < look->count; seen++) {
        if (listing->ops->next(listing, &listed, err))
            return err->code;
        if (!listed) {
            *next = look->count;
            return RC_OK;
        }
        for (int order = 1; order >= 0 && *next < look->count; *next += order >= 0) {
            const struct core_place_in_store **at = &look->sorted[*next];

            order = strcmp(listed->object.name, (*at)->key + prefix_len);
            if (order == 0 && rc_str_eq(listed->object.stat.etag, (*at)->remove_if_match)) {
                *at = NULL;
                ++*struck;
            }
        }
    }
    return RC_OK;
}

/* A listing that fails, as where it is denied, only means that each has to be looked at. */
static void strike_neighbours(struct look *look)
{
    struct rc_error ignored = RC_ERROR_INIT;
    size_t next = 0, struck = SPARSE, kept = 0;

    while (struck >= SPARSE && look->count - next > FEW)
        if (strike_listed(look, next, &next, &struck, &ignored))
            break;
    for (size_t i = 0; i < look->count; i++)
        if (look->sorted[i])
            look->sorted[kept++] = look->sorted[i];
    look->count = kept;
}

/* ---- one by one ------------------------------------------------------------------------------ */

static enum rc_code look_at(void *context, size_t number, struct rc_error *err)
{
    const struct look *look = context;
    const struct core_place_in_store *place = look->sorted[number];
    size_t index = (size_t)(place - look->places);
    struct rc_stat stat;

    if (!core_s3_stat(place, &stat, NULL, err)) {
        if (rc_str_eq(stat.etag, place->remove_if_match))
            return RC_OK;
        rc_fail(err, RC_CONFLICT, "remove '%s': it was replaced: its entity tag is '%s', not '%s'",
                place->uri, stat.etag, place->remove_if_match);
    }
    look->is_left[index] = true;
    if (err->code != RC_NOT_FOUND)
        look->report->failed(look->report->context, index, err);
    return core_cancel_check(place->cancel, err);
}

/* ---- all ------------------------------------------------------------------------------------- */

enum rc_code core_s3_leave_replaced(const struct core_place_in_store *places, size_t *indexes,
                                    size_t *count, const struct core_remove_report *report,
                                    struct rc_error *err)
{
    struct look look = { .places = places, .report = report };
    size_t kept = 0;
    enum rc_code code;
    bool honours;

    if (core_s3_honours(places, &honours, err))
        return err->code;
    if (honours || *count == 0)
        return RC_OK;
    look.sorted = rc_calloc(*count, sizeof(struct core_place_in_store *));
    look.is_left = rc_calloc(indexes[*count - 1] + 1, sizeof(*look.is_left));
    for (size_t i = 0; i < *count; i++) {
        const struct core_place_in_store *place = &places[indexes[i]];

        if (place->remove_if_match && !place->version)
            look.sorted[look.count++] = place;
    }
    if (look.count > 1)
        qsort(look.sorted, look.count, sizeof(*look.sorted), by_key);
    strike_neighbours(&look);
    code = core_s3_each(look.count, CORE_S3_AT_ONCE, look_at, &look, err);
    for (size_t i = 0; i < *count; i++)
        if (!look.is_left[indexes[i]])
            indexes[kept++] = indexes[i];
    *count = kept;
    free(look.sorted);
    free(look.is_left);
    return code;
}
