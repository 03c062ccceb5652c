/*
 * Where everything lies. Leading, trailing and doubled slashes in the configuration never matter:
 * every folder made here ends with exactly one. Pure.
 *
 *     <markers>/shard=N/day=D/_user_ID_day_D     a request to erase
 *     <archive>/...                              the same, when it is done
 *     <archive>/dsr-report/NAME.jsonl            the record
 *     <table>/shard=N/day=D/...                  the data
 *     <temp>/backup/ID                           an original, while its shard is not verified
 */
#ifndef DSR_PLACES_H
#define DSR_PLACES_H

#include "config.h"

struct dsr_places {
    char *markers, *archive, *report; /* folders, as URIs */
    char **tables, **temps;           /* one for each table of the configuration */
    size_t table_count;
    size_t archived_from; /* bytes of a marker's URI in front of the part that the archive keeps */
    char scope[17];       /* hex: what tells this configuration's shards from another's */
};

/* RC_INVALID: archivedPartAfter is not in markersBaseFolder; folders that lie in one another. */
RC_MUST_CHECK enum rc_code dsr_places_make(const struct dsr_config *config, const char *working_dir,
                                           struct dsr_places *out, struct rc_error *err);
void dsr_places_clear(struct dsr_places *places);

/* All freed with free(). */
char *dsr_place_shard(const char *folder, int32_t shard); /* FOLDER + "shard=N/" */
char *dsr_place_archived(const struct dsr_places *places, const char *marker_uri);
char *dsr_place_backup(const struct dsr_places *places, size_t table, const char *id);
char *dsr_place_report(const struct dsr_places *places, const char *name);

#endif
