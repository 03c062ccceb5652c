/*
 * A sorted list of the zones that were asked for. There are at most some hundred.
 */
#include <schedule/time_zones.h>

#include <run-core/str.h>

#include <stdlib.h>
#include <string.h>

struct entry {
    char *name;
    struct core_time_zone *zone; /* NULL: could not be loaded, 'cause' says why */
    char *cause;
};

struct core_time_zones {
    struct entry *entries; /* by name */
    size_t count, capacity;
};

struct core_time_zones *core_time_zones_new(void)
{
    return rc_calloc(1, sizeof(struct core_time_zones));
}

void core_time_zones_free(struct core_time_zones *zones)
{
    if (!zones)
        return;
    for (size_t i = 0; i < zones->count; i++) {
        core_time_zone_free(zones->entries[i].zone);
        free(zones->entries[i].name);
        free(zones->entries[i].cause);
    }
    free(zones->entries);
    free(zones);
}

/* Where 'name' stands, or would stand. */
static size_t find(const struct core_time_zones *zones, const char *name)
{
    size_t low = 0;
    size_t high = zones->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (strcmp(zones->entries[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void add(struct core_time_zones *zones, size_t at, const char *name)
{
    struct entry entry = { .name = rc_strdup(name) };
    struct rc_error err = RC_ERROR_INIT;

    if (core_time_zone_load(name, &entry.zone, &err)) {
        entry.zone = NULL;
        entry.cause = rc_strf("%s%s%s", err.context, err.context[0] != '\0' ? ": " : "", err.cause);
    }
    if (zones->count == zones->capacity) {
        zones->capacity = zones->capacity ? 2 * zones->capacity : 8;
        zones->entries = rc_realloc(zones->entries, zones->capacity * sizeof(*zones->entries));
    }
    memmove(zones->entries + at + 1, zones->entries + at,
            (zones->count - at) * sizeof(*zones->entries));
    zones->entries[at] = entry;
    zones->count++;
}

enum rc_code core_time_zones_get(struct core_time_zones *zones, const char *name,
                                 const struct core_time_zone **out, struct rc_error *err)
{
    if (!name)
        name = "UTC";
    size_t at = find(zones, name);

    if (at == zones->count || strcmp(zones->entries[at].name, name) != 0)
        add(zones, at, name);
    *out = zones->entries[at].zone;
    return *out ? RC_OK : rc_fail(err, RC_INVALID, "%s", zones->entries[at].cause);
}
