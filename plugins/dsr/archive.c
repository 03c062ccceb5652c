/*
 * Moves the markers of requests that are fulfilled to the archive. That they are, the caller knows.
 */
#include "markers.h"

#include <run-core/plugin.h>

#include <stdlib.h>

struct archiving {
    const struct dsr_places *places;
    const struct dsr_shard_markers *markers;
};

static enum rc_code archive_one(struct rc_job *job, void *context, size_t index,
                                struct rc_error *err)
{
    const struct archiving *archiving = context;
    const char *uri = archiving->markers->markers[index].uri;
    RC_STR_AUTO target = dsr_place_archived(archiving->places, uri);
    enum rc_code code = rc_storage_move(job, uri, target, err);

    /* A run that died, or one that met this one, was here before. */
    if (code == RC_NOT_FOUND)
        return RC_OK;
    return code ? rc_context(err, "archive the marker '%s' as '%s'", uri, target) : RC_OK;
}

enum rc_code dsr_markers_archive(struct rc_job *job, const struct dsr_places *places,
                                 const struct dsr_shard_markers *markers, size_t width,
                                 struct rc_error *err)
{
    struct archiving archiving = { .places = places, .markers = markers };

    return rc_parallel(job, width, markers->count, archive_one, &archiving, err);
}
