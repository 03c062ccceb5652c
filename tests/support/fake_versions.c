/*
 * Versions on the fake host: what the objects below some prefixes were before, and the marks of
 * their removals. What is current is in fake_storage.c.
 */
#include "fake_internal.h"

#include <stdlib.h>

bool fake_is_versioned(const struct rc_fake_host *fake, const char *uri)
{
    for (size_t i = 0; i < fake->versioned_count; i++)
        if (rc_str_starts(uri, fake->versioned[i]))
            return true;
    return false;
}

void fake_history_add(struct rc_fake_host *fake, struct fake_object object, bool is_removal)
{
    fake->history = fake_grow(fake->history, &fake->history_count, sizeof *fake->history);
    fake->history[fake->history_count - 1] =
        (struct fake_version){ .object = object, .is_removal = is_removal };
}

/* The one of that version; NULL takes the newest. The place behind the last: there is none. */
static size_t find(const struct rc_fake_host *fake, const char *uri, const char *version)
{
    size_t at = fake->history_count;

    for (size_t i = 0; i < fake->history_count; i++) {
        const struct fake_object *object = &fake->history[i].object;

        if (strcmp(object->uri, uri) == 0 &&
            (version
                 ? rc_str_eq(object->version, version)
                 : at == fake->history_count || object->number > fake->history[at].object.number))
            at = i;
    }
    return at;
}

const struct fake_version *fake_history_find(const struct rc_fake_host *fake, const char *uri,
                                             const char *version)
{
    size_t at = find(fake, uri, version);

    return at < fake->history_count ? &fake->history[at] : NULL;
}

bool fake_history_take(struct rc_fake_host *fake, const char *uri, const char *version,
                       struct fake_version *out)
{
    size_t at = find(fake, uri, version);

    if (at == fake->history_count)
        return false;
    *out = fake->history[at];
    fake->history_count--;
    memmove(fake->history + at, fake->history + at + 1,
            (fake->history_count - at) * sizeof *fake->history);
    return true;
}

void fake_object_clear(struct fake_object *object)
{
    free(object->uri);
    free(object->data);
    free(object->attributes);
    *object = (struct fake_object){ 0 };
}

/* ---- listing -------------------------------------------------------------------------------- */

static void add_entry(struct rc_listing *listing, const struct fake_object *object, bool is_current,
                      bool is_removal)
{
    listing->entries = fake_grow(listing->entries, &listing->count, sizeof *listing->entries);
    listing->entries[listing->count - 1] = (struct fake_entry){
        .uri = rc_strdup(object->uri),
        .version = object->version[0] != '\0' ? rc_strdup(object->version) : NULL,
        .number = object->number,
        .is_current = is_current,
        .is_removal = is_removal,
        .stat = object->stat,
    };
}

static int by_uri_and_age(const void *a, const void *b)
{
    const struct fake_entry *first = a, *second = b;
    int order = strcmp(first->uri, second->uri);

    return order ? order : (first->number < second->number) - (first->number > second->number);
}

void fake_list_versions(struct rc_fake_host *fake, const char *prefix, struct rc_listing *listing)
{
    for (size_t i = 0; i < fake->object_count; i++)
        if (rc_str_starts(fake->objects[i].uri, prefix))
            add_entry(listing, &fake->objects[i], /* is_current = */ true, /* removal = */ false);
    for (size_t i = 0; i < fake->history_count; i++)
        if (rc_str_starts(fake->history[i].object.uri, prefix))
            add_entry(listing, &fake->history[i].object, false, fake->history[i].is_removal);
    if (listing->count > 1)
        qsort(listing->entries, listing->count, sizeof *listing->entries, by_uri_and_age);
    /* A mark that nothing has followed is what there is. */
    for (size_t i = 0; i < listing->count; i++)
        if (listing->entries[i].is_removal &&
            (i == 0 || strcmp(listing->entries[i - 1].uri, listing->entries[i].uri) != 0))
            listing->entries[i].is_current = true;
}

void fake_entries_clear(struct rc_listing *listing)
{
    for (size_t i = 0; i < listing->count; i++) {
        free(listing->entries[i].uri);
        free(listing->entries[i].version);
    }
    free(listing->entries);
}

/* ---- for the test --------------------------------------------------------------------------- */

void rc_fake_host_version_bucket(struct rc_fake_host *host, const char *prefix)
{
    host->versioned = fake_grow(host->versioned, &host->versioned_count, sizeof *host->versioned);
    host->versioned[host->versioned_count - 1] = rc_strdup(prefix);
}

const char *rc_fake_host_versions(struct rc_fake_host *host, const char *prefix)
{
    struct rc_listing all = { 0 };

    rc_buf_reset(&host->listed);
    fake_list_versions(host, prefix, &all);
    for (size_t i = 0; i < all.count; i++)
        rc_buf_addf(&host->listed, "%s %s%s%s\n", all.entries[i].uri,
                    all.entries[i].version ? all.entries[i].version : "-",
                    all.entries[i].is_current ? " current" : "",
                    all.entries[i].is_removal ? " removal" : "");
    fake_entries_clear(&all);
    return host->listed.data;
}

const char *rc_fake_host_version(const struct rc_fake_host *host, const char *uri,
                                 const char *version, size_t *len)
{
    const struct fake_object *object = fake_storage_lookup(host, uri, version);

    if (object && len)
        *len = object->len;
    return object ? object->data : NULL;
}

void fake_versions_clear(struct rc_fake_host *fake)
{
    for (size_t i = 0; i < fake->history_count; i++)
        fake_object_clear(&fake->history[i].object);
    free(fake->history);
    for (size_t i = 0; i < fake->versioned_count; i++)
        free(fake->versioned[i]);
    free(fake->versioned);
}
