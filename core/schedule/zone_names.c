/*
 * The names of the time zones that are installed, for messages about wrong ones: the files
 * below the directory of tzdata.
 */
#include <schedule/time_zone.h>

#include <base/nearest.h>
#include <run-core/str.h>
#include <schedule/zone_names.h>

#include <ctype.h>
#include <dirent.h>
#include <stdlib.h>
#include <string.h>

/* "America/Argentina/Salta" lies deepest. */
enum { DEEPEST = 3, MOST_NAMES = 2000 };

struct names {
    const char **items;
    size_t count;
};

const char *core_time_zone_directory(void)
{
    const char *directory = getenv("TZDIR");

    return directory && directory[0] != '\0' ? directory : "/usr/share/zoneinfo";
}

/* Zones and their folders are written large; "posix" and "right" hold the same zones again. */
static bool is_of_zones(const char *name)
{
    return isupper((unsigned char)name[0]) && !strchr(name, '.');
}

static void add_folder(const char *folder, const char *prefix, int depth, struct names *names)
{
    DIR *directory = opendir(folder);
    const struct dirent *entry;

    if (!directory)
        return;
    while ((entry = readdir(directory)) && names->count < MOST_NAMES) {
        if (!is_of_zones(entry->d_name))
            continue;
        RC_STR_AUTO path = rc_strf("%s/%s", folder, entry->d_name);
        RC_STR_AUTO name = rc_strf("%s%s%s", prefix, prefix[0] ? "/" : "", entry->d_name);

        if (entry->d_type != DT_DIR)
            names->items[names->count++] = rc_strdup(name);
        else if (depth < DEEPEST)
            add_folder(path, name, depth + 1, names);
    }
    closedir(directory);
}

/* "Prague" is the end of "Europe/Prague": whoever wrote only the city meant that. */
static const char *find_city(const char *name, const struct names *names)
{
    for (size_t i = 0; i < names->count; i++) {
        const char *city = strrchr(names->items[i], '/');

        if (city && strcasecmp(city + 1, name) == 0)
            return names->items[i];
    }
    return NULL;
}

char *core_time_zone_nearest(const char *name)
{
    struct names names = { .items = rc_calloc(MOST_NAMES, sizeof(*names.items)) };
    const char *nearest;
    char *copy;

    add_folder(core_time_zone_directory(), "", 1, &names);
    nearest = find_city(name, &names);
    if (!nearest)
        nearest = core_nearest(name, names.items, names.count);
    copy = rc_strdup(nearest);
    for (size_t i = 0; i < names.count; i++)
        free((void *)names.items[i]);
    free((void *)names.items);
    return copy;
}
