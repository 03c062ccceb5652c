/*
 * Moves the markers of requests that are fulfilled to the archive. That they are, the caller knows.
 */
#include "journal.h"
#include "lake.h"
#include "markers.h"

#include <run-core/plugin.h>

#include <stdlib.h>
#include <string.h>

enum { SHOWN_HASH = 12 }; /* digits; enough to tell a shard's users apart */

struct archiving {
    const struct dsr_places *places;
    const struct dsr_journal *journal;
    const struct dsr_shard_markers *markers;
};

/* Says which marker it was, but not whose. */
static enum rc_code cannot(const struct archiving *archiving, const struct dsr_marker *marker,
                           struct rc_error *err)
{
    const char *name = strstr(marker->uri + strlen(archiving->places->markers), "/_user_");
    char hash[DSR_HASH_TEXT] = "";

    RC_ASSERT(name);
    if (archiving->journal)
        dsr_journal_hash(archiving->journal, dsr_users_at(archiving->markers->users, marker->user),
                         hash);
    dsr_marker_hide_in(err);
    return rc_context(err, "archive the marker of the user %.*s in '%.*s'", SHOWN_HASH,
                      *hash ? hash : "...", (int)(name - marker->uri), marker->uri);
}

/*
 * What was not found: the marker, since a run that died, or one that met this one, was here before;
 * or the place where it is to go.
 */
static enum rc_code look_for(struct rc_job *job, const struct dsr_marker *marker,
                             struct rc_error *err)
{
    struct rc_error cause = *err;
    struct rc_stat stat;
    bool is_gone;

    if (dsr_lake_look(job, marker->uri, &stat, &is_gone, err))
        return err->code;
    if (is_gone)
        return RC_OK;
    *err = cause;
    return err->code;
}

static enum rc_code archive_one(struct rc_job *job, void *context, size_t index,
                                struct rc_error *err)
{
    const struct archiving *archiving = context;
    const struct dsr_marker *marker = &archiving->markers->markers[index];
    RC_STR_AUTO target = dsr_place_archived(archiving->places, marker->uri);
    enum rc_code code = rc_storage_move(job, marker->uri, target, err);

    if (code == RC_NOT_FOUND)
        code = look_for(job, marker, err);
    return code ? cannot(archiving, marker, err) : RC_OK;
}

enum rc_code dsr_markers_archive(struct rc_job *job, const struct dsr_places *places,
                                 const struct dsr_journal *journal,
                                 const struct dsr_shard_markers *markers, size_t width,
                                 struct rc_error *err)
{
    struct archiving archiving = { .places = places, .journal = journal, .markers = markers };

    return rc_parallel(job, width, markers->count, archive_one, &archiving, err);
}
