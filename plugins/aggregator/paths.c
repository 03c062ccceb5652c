/*
 * Builds the URIs of all that the plugin reads and writes. What lies there is of no concern here.
 */
#include "paths.h"

#include <stdlib.h>
#include <string.h>

enum { URI_LIMIT = 8192 };

void agg_place_folder(struct rc_buf *out, const char *bucket, const char *path,
                      const char *working_dir)
{
    size_t start = out->len;

    rc_uri_place(out, bucket, path, working_dir);
    while (out->len > start && out->data[out->len - 1] == '/')
        rc_buf_truncate(out, out->len - 1);
    rc_buf_addc(out, '/');
}

static char *folder(const char *bucket, const char *path, const char *working_dir)
{
    RC_BUF_AUTO(uri, URI_LIMIT);

    agg_place_folder(&uri, bucket, path, working_dir);
    return rc_buf_take(&uri);
}

const char *agg_source_location(const struct agg_config *config)
{
    for (size_t i = 0; i < config->tables.len; i++)
        if (rc_str_eq(config->tables.items[i].key, config->source_table))
            return config->tables.items[i].value;
    return strchr(config->source_table, '/') ? config->source_table : NULL;
}

void agg_paths_make(const struct agg_config *config, const char *working_dir, struct agg_paths *out)
{
    const char *source = agg_source_location(config);

    *out = (struct agg_paths){ .window_count = config->windows.len };
    if (source)
        out->source = folder(NULL, source, working_dir);
    out->daily = folder(config->target_bucket, config->daily_path, working_dir);
    /* Beside the daily folder, not in it: a table over the daily files must not see them. */
    out->values = rc_strf("%.*s_values/", (int)strlen(out->daily) - 1, out->daily);
    out->windows = rc_calloc(config->windows.len + 1, sizeof(*out->windows));
    for (size_t i = 0; i < config->windows.len; i++) {
        const struct agg_window_option *window =
            RC_OBJECT_AT(struct agg_window_option, config->windows, i);

        out->windows[i] = folder(config->target_bucket, window->folder, working_dir);
    }
    if (config->csv_folder && config->csv_prefix)
        out->csv = folder(config->csv_bucket, config->csv_folder, working_dir);
}

void agg_paths_clear(struct agg_paths *paths)
{
    for (size_t i = 0; i < paths->window_count; i++)
        free(paths->windows[i]);
    free(paths->windows);
    free(paths->source);
    free(paths->daily);
    free(paths->values);
    free(paths->csv);
    *paths = (struct agg_paths){ .source = NULL };
}

char *agg_day_folder(const char *base, int32_t day)
{
    char text[RC_DAY_TEXT];

    return rc_strf("%sday=%s/", base, rc_format_day(day, text));
}

char *agg_marker_uri(const char *base, const char *kind, int32_t day)
{
    char text[RC_DAY_TEXT];

    return rc_strf("%s%s%s", base, kind, rc_format_day(day, text));
}

char *agg_csv_uri(const struct agg_paths *paths, const struct agg_config *config, int32_t day)
{
    int year, month, day_of_month;
    RC_STR_AUTO name = NULL;

    rc_day_to_date(day, &year, &month, &day_of_month);
    name = rc_strf("%s_%04d%02d%02d", config->csv_prefix, year, month, day_of_month);
    return rc_strf("%s%s/%s.csv.gz", paths->csv, name, name);
}
