/*
 * Settling by looking: what became of an object that a run was about to replace or to remove when
 * it died, or whose store gave no clear answer. The table of cases is in README.md, "The journal".
 */
#include "run.h"

#include <stdlib.h>

enum {
    LOOKS = 5, /* at an object that somebody else keeps replacing */
    CHUNK_BYTES = 1 << 20,
    /* How long after its intent a run may have begun the upload; later ones are somebody else's. */
    UPLOAD_BEGINS_MS = 15 * 60 * 1000,
};

/* ---- one object ------------------------------------------------------------------------------ */

static enum rc_code feed(struct rc_job *job, struct rc_reader *reader, struct dsr_digest *digest,
                         struct rc_error *err)
{
    RC_STR_AUTO chunk = rc_malloc(CHUNK_BYTES);
    size_t len;

    for (;;) {
        if (rc_storage_read(job, reader, chunk, CHUNK_BYTES, &len, err))
            return err->code;
        if (len == 0)
            return RC_OK;
        if (dsr_digest_add(digest, chunk, len, err))
            return err->code;
    }
}

static enum rc_code read_digest(struct rc_job *job, struct rc_reader *reader,
                                char out[DSR_HASH_TEXT], struct rc_error *err)
{
    struct dsr_digest *digest;
    enum rc_code code;

    if (dsr_digest_new(&digest, err))
        return err->code;
    code = feed(job, reader, digest, err);
    if (!code)
        code = dsr_digest_end(digest, out, err);
    dsr_digest_free(digest);
    return code;
}

/* RC_CONFLICT, RC_NOT_FOUND: it is another one by now. */
static enum rc_code digest_object(struct rc_job *job, const char *uri, const char *etag,
                                  char out[DSR_HASH_TEXT], struct rc_error *err)
{
    const struct rc_get_options options = {
        .struct_bytes = sizeof(options),
        .len_bytes = -1,
        .if_match = etag,
    };
    struct rc_reader *reader;
    enum rc_code code;

    if (rc_storage_open_with(job, uri, &options, &reader, err))
        return err->code;
    code = read_digest(job, reader, out, err);
    rc_storage_read_close(job, reader);
    return code;
}

/* Looks once. RC_CONFLICT: it changed under the look. */
static enum rc_code look(struct rc_job *job, const struct dsr_intent *intent,
                         enum dsr_outcome *outcome, struct rc_error *err)
{
    char digest[DSR_HASH_TEXT] = "";
    struct rc_stat stat;
    bool is_gone;
    enum rc_code code = dsr_lake_look(job, intent->uri, &stat, &is_gone, err);

    if (code)
        return code;
    if (is_gone) {
        *outcome = intent->removes ? DSR_DONE : DSR_SUPERSEDED;
        return RC_OK;
    }
    if (rc_str_eq(stat.etag, intent->old.etag)) {
        *outcome = DSR_VOID;
        return RC_OK;
    }
    *outcome = DSR_SUPERSEDED;
    if (intent->removes || stat.size_bytes != intent->new_bytes)
        return RC_OK;
    code = digest_object(job, intent->uri, stat.etag, digest, err);
    if (code == RC_NOT_FOUND)
        err->code = code = RC_CONFLICT;
    if (!code && rc_str_eq(digest, intent->new_digest))
        *outcome = DSR_DONE;
    return code;
}

enum rc_code dsr_recover_intent(struct dsr_run *run, struct rc_job *job,
                                const struct dsr_intent *intent, enum dsr_outcome *outcome,
                                struct rc_error *err)
{
    enum rc_code code = look(job, intent, outcome, err);

    (void)run;
    for (int i = 1; code == RC_CONFLICT && i < LOOKS; i++)
        code = look(job, intent, outcome, err);
    return code ? rc_context(err, "see what became of '%s'", intent->uri) : RC_OK;
}

/* ---- a shard --------------------------------------------------------------------------------- */

struct recovering {
    struct dsr_run *run;
    struct rc_job *job;
    int64_t done, undone, superseded, uploads;
};

static void count(struct recovering *recovering, enum dsr_outcome outcome)
{
    recovering->done += outcome == DSR_DONE;
    recovering->undone += outcome == DSR_VOID;
    recovering->superseded += outcome == DSR_SUPERSEDED;
}

/*
 * Gives up what the dead run has begun to upload and nobody will finish. That the store does not
 * let us is no reason to stop: an unfinished upload is no object, and nobody can read it.
 */
static enum rc_code give_up_upload(struct recovering *recovering, const struct dsr_intent *intent,
                                   struct rc_error *err)
{
    int64_t swept = 0;
    enum rc_code code =
        rc_storage_sweep_object(recovering->job, intent->uri, intent->intended_unix_ms,
                                intent->intended_unix_ms + UPLOAD_BEGINS_MS, &swept, err);

    if (code == RC_DENIED || code == RC_UNSUPPORTED) {
        rc_warn(recovering->job, "ignoring that unfinished uploads of '%s' stay: %s", intent->uri,
                err->cause);
        return RC_OK;
    }
    recovering->uploads += swept;
    return code ? rc_context(err, "give up unfinished uploads of '%s'", intent->uri) : RC_OK;
}

/*
 * An intent that was void already is looked at again, since what a run that was killed has asked
 * the store to do may still happen after somebody has looked. That another object is there by now
 * says nothing of it: it may be one of ours.
 */
static enum rc_code settle(void *context, const struct dsr_intent *intent, struct rc_error *err)
{
    struct recovering *recovering = context;
    enum dsr_outcome outcome;

    if (dsr_recover_intent(recovering->run, recovering->job, intent, &outcome, err))
        return err->code;
    if (intent->is_void && outcome != DSR_DONE)
        return RC_OK;
    if (!intent->is_void && !intent->removes && give_up_upload(recovering, intent, err))
        return err->code;
    if (dsr_journal_settle(recovering->run->journal, intent->id, outcome, err))
        return err->code;
    count(recovering, outcome);
    return RC_OK;
}

enum rc_code dsr_recover_shard(struct dsr_run *run, struct rc_job *job, int32_t shard,
                               struct rc_error *err)
{
    struct recovering recovering = { .run = run, .job = job };
    int64_t settled;

    if (dsr_journal_unsettled(run->journal, shard, settle, &recovering, err))
        return rc_context(err, "settle what an earlier run has left in shard %d", (int)shard);
    settled = recovering.done + recovering.undone + recovering.superseded;
    if (settled > 0)
        rc_info(job,
                "shard %d: settled what an earlier run had left: files changed: %lld, not yet: "
                "%lld, replaced by somebody else: %lld; unfinished uploads given up: %lld",
                (int)shard, (long long)recovering.done, (long long)recovering.undone,
                (long long)recovering.superseded, (long long)recovering.uploads);
    return RC_OK;
}

/* ---- backups --------------------------------------------------------------------------------- */

struct dropping {
    struct dsr_run *run;
    struct rc_job *job;
    int64_t dropped;
};

/* Removes every version of exactly this object: none of them may hold the users any longer. */
static enum rc_code remove_versions(struct rc_job *job, const char *uri, bool *plain,
                                    struct rc_error *err)
{
    const struct rc_version *version;
    struct rc_listing *listing;
    enum rc_code code;

    if (rc_storage_versions(job, uri, &listing, err))
        return err->code;
    while (!(code = rc_storage_version_next(job, listing, &version, err)) && version) {
        struct rc_remove_options options = {
            .struct_bytes = sizeof(options),
            .version = version->version,
        };

        if (!rc_str_eq(version->uri, uri))
            continue;
        *plain = *plain || !version->version;
        code = version->version ? rc_storage_remove_with(job, uri, &options, err) : RC_OK;
        if (code)
            break;
    }
    rc_storage_list_close(job, listing);
    return code;
}

static enum rc_code remove_backup(struct rc_job *job, const char *uri, struct rc_error *err)
{
    bool plain = false;
    enum rc_code code = remove_versions(job, uri, &plain, err);

    if (code == RC_DENIED || code == RC_UNSUPPORTED) {
        rc_warn(job, "ignoring versions that a bucket may keep of '%s': %s", uri, err->cause);
        plain = true;
    } else if (code) {
        return code;
    }
    return plain ? rc_storage_remove(job, &uri, 1, err) : RC_OK;
}

static enum rc_code drop(void *context, const char *uri, const char *of, struct rc_error *err)
{
    struct dropping *dropping = context;
    struct rc_job *job = dropping->job;
    enum rc_code code = rc_storage_sweep_object(job, uri, 0, INT64_MAX, NULL, err);

    if (code && code != RC_DENIED && code != RC_UNSUPPORTED)
        return rc_context(err, "give up unfinished uploads of '%s'", uri);
    if (remove_backup(job, uri, err))
        return rc_context(err, "remove '%s', which was kept of '%s'", uri, of);
    dropping->dropped++;
    return dsr_journal_forget_backup(dropping->run->journal, uri, err);
}

enum rc_code dsr_recover_drop_backups(struct dsr_run *run, struct rc_job *job, int32_t shard,
                                      struct rc_error *err)
{
    struct dropping dropping = { .run = run, .job = job };

    if (dsr_journal_backups(run->journal, shard, drop, &dropping, err))
        return rc_context(err, "remove the originals that backupOriginal has kept of shard %d",
                          (int)shard);
    if (dropping.dropped > 0)
        rc_info(job, "shard %d: removed the originals that were kept until it was verified: %lld",
                (int)shard, (long long)dropping.dropped);
    return RC_OK;
}
