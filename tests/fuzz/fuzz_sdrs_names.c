/*
 * Names of data, delete markers, templates of paths and lists of prefixes: whatever somebody
 * writes, it is refused with a reason, or means what is written of it again, and no target of a
 * marker is a bucket, and nothing climbs out of one.
 */
#include <path_template.h>
#include <prefixes.h>
#include <storage_name.h>

#include <run-core/str.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_LIMIT = 1 << 20 };

static const char *const root_items[] = { "/srv/lake", "/r" };
static const struct rc_strs roots = { RC_ARRAY_LEN(root_items), root_items };
static const char marker_pattern[] = "\\.delete_this_folder|_[A-Z]+";

/* Whether a path has a segment that is empty, "." or "..". */
static bool climbs(const char *path)
{
    for (;; path++) {
        size_t len = strcspn(path, "/");

        if (len == 0 || (len <= 2 && strspn(path, ".") >= len))
            return true;
        path += len;
        if (*path == '\0')
            return false;
    }
}

static void check_place(const struct sdrs_place *place)
{
    RC_CLEANUP(sdrs_place_clear) struct sdrs_place again;
    RC_STR_AUTO name = sdrs_place_name(place);
    RC_STR_AUTO same = NULL;
    struct rc_error err = RC_ERROR_INIT;

    RC_ASSERT(place->bucket[0] != '\0' && !strchr(place->bucket, '/') && !climbs(place->bucket));
    RC_ASSERT(place->dataset[0] == '\0' || !climbs(place->dataset));
    RC_ASSERT(sdrs_place_parse("x", name, &roots, &again, &err) == RC_OK);
    same = sdrs_place_name(&again);
    RC_ASSERT(strcmp(name, same) == 0 && strcmp(place->bucket, again.bucket) == 0);
}

static void check_name(const char *text)
{
    RC_CLEANUP(sdrs_place_clear) struct sdrs_place place, folder;
    struct rc_error err = RC_ERROR_INIT;

    if (sdrs_place_parse("x", text, &roots, &place, &err))
        RC_ASSERT(err.code == RC_INVALID && err.cause[0] != '\0' && !place.root);
    else
        check_place(&place);
    if (sdrs_marker_split(text, marker_pattern, &roots, &folder, &err)) {
        RC_ASSERT(err.code == RC_INVALID && err.cause[0] != '\0' && !folder.root);
        return;
    }
    check_place(&folder);
    RC_ASSERT(place.root && folder.dataset[0] != '\0');
    RC_ASSERT(sdrs_datasets_nest(folder.dataset, place.dataset));
    RC_ASSERT(strlen(folder.dataset) < strlen(place.dataset));
}

static void check_pattern(const char *text)
{
    struct rc_error err = RC_ERROR_INIT;
    size_t repeats = 0;

    /* Repetitions of repetitions take the C library's memory by their product. */
    for (const char *at = text; *at; at++)
        repeats += strchr("{+*", *at) != NULL;
    if (repeats < 2 && strlen(text) < 64 && sdrs_marker_pattern_check(text, &err))
        RC_ASSERT(err.code == RC_INVALID && err.cause[0] != '\0');
}

/* The rest of the text is a path. */
static void check_template(const char *text, const char *path)
{
    const struct sdrs_hour hour = { 2019, 2, 8, 4 };
    struct rc_error err = RC_ERROR_INIT;
    struct sdrs_template template;
    RC_BUF_AUTO(prefix, TEXT_LIMIT);
    int64_t end_unix_ms;
    int year;

    if (sdrs_template_parse(text, &template, &err)) {
        RC_ASSERT(err.code == RC_INVALID && err.cause[0] != '\0');
        return;
    }
    (void)sdrs_template_end_of(&template, path, &end_unix_ms);
    (void)sdrs_template_year_of(&template, path, &year);
    for (int level = 0; level <= (int)template.finest; level++) {
        size_t before = prefix.len;
        RC_STR_AUTO coarser = rc_strdup(prefix.data);

        rc_buf_reset(&prefix);
        sdrs_template_add(&template, (enum sdrs_level)level, &hour, &prefix);
        RC_ASSERT(prefix.len > before && rc_str_starts(prefix.data, coarser));
    }
    RC_ASSERT(rc_str_ends(prefix.data, "/"));
    RC_ASSERT(sdrs_template_end_of(&template, prefix.data, &end_unix_ms));
    RC_ASSERT(end_unix_ms > sdrs_hour_unix_ms(&hour));
    RC_ASSERT(sdrs_template_year_of(&template, prefix.data, &year) && year == 2019);
}

static void check_prefixes(const char *text, const char *key)
{
    RC_CLEANUP(sdrs_prefixes_clear) struct sdrs_prefixes drawn = { .items = NULL };
    RC_CLEANUP(sdrs_prefixes_clear) struct sdrs_prefixes made = { .items = NULL };
    bool is_covered = false;

    sdrs_prefixes_read(text, &drawn);
    sdrs_version_prefixes("d/", &drawn, 1, &made);
    RC_ASSERT(made.count + 1 == drawn.count || (drawn.count == 0 && made.count == 0));
    for (size_t i = 0; i < drawn.count; i++)
        is_covered |= rc_str_starts(key, drawn.items[i]);
    sdrs_prefixes_merge(&drawn);
    RC_ASSERT(sdrs_prefixes_cover(&drawn, key) == is_covered);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    RC_STR_AUTO text = rc_malloc(size + 1);
    const char *rest;

    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    rest = text + strlen(text) + (strlen(text) < size);
    check_name(text);
    check_pattern(text);
    check_template(text, rest);
    check_prefixes(text, rest);
    return 0;
}
