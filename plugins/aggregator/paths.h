/*
 * Where everything lies. Leading, trailing and doubled slashes in the configuration never matter:
 * every folder made here ends with exactly one. Pure.
 *
 *     <daily>/day=D/partition=P/      the daily files
 *     <daily>/_SUCCESS_D              the marker of the day, as in the seed
 *     <daily>/_CSV_D, _IMPORT_D       the markers of its CSV file and of its hand-off
 *     <daily>/_TABLES                 the marker of the tables in the engine's catalogue
 *     <daily>_values/day=D/...        the distinct values of the day, if any are counted
 *     <window>/day=D/partition=P/     a window's files
 *     <window>/_SUCCESS_D             the marker of the window
 *     <csv>/PREFIX_YYYYMMDD/PREFIX_YYYYMMDD.csv.gz
 */
#ifndef AGGREGATOR_PATHS_H
#define AGGREGATOR_PATHS_H

#include "config.h"

struct agg_paths {
    char *source; /* NULL: the events are a table of the engine's catalogue */
    char *daily, *values;
    char **windows; /* one for each of the configuration */
    size_t window_count;
    char *csv; /* NULL: none is configured */
};

void agg_paths_make(const struct agg_config *config, const char *working_dir,
                    struct agg_paths *out);
void agg_paths_clear(struct agg_paths *paths);

/* Adds the URI of a folder, ending with '/'; see rc_uri_place(). */
void agg_place_folder(struct rc_buf *out, const char *bucket, const char *path,
                      const char *working_dir);

/* What the configuration says of the source's location, or NULL. */
const char *agg_source_location(const struct agg_config *config);

/* FOLDER + "day=D/"; freed with free(). */
char *agg_day_folder(const char *folder, int32_t day);

#define AGG_DONE "_SUCCESS_"
#define AGG_CSV "_CSV_"
#define AGG_IMPORT "_IMPORT_"
#define AGG_TABLES "_TABLES"

/* FOLDER + KIND + D; freed with free(). */
char *agg_marker_uri(const char *folder, const char *kind, int32_t day);

/* The URI of a day's CSV file; freed with free(). */
char *agg_csv_uri(const struct agg_paths *paths, const struct agg_config *config, int32_t day);

#endif
