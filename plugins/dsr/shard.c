/*
 * One shard from its lock to its last backup: steps S1 to S6 of README.md. A file that fails fails
 * the shard, and its markers stay; the other files are seen to all the same.
 */
#include "lookup.h"
#include "run.h"

#include <run-core/host.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { NAP_MS = 100, LONGEST_WAIT_MS = 3000, REFUSALS = 3 };

/* The files of one table in one shard. */
struct cleaning {
    struct dsr_run *run;
    struct rc_lock *lock;
    const struct dsr_shard_markers *markers;
    size_t table;
    const struct dsr_objects *objects;
    struct dsr_looked_up looked; /* what an SQL engine elsewhere says of them */
    struct dsr_shard_result *result;

    pthread_mutex_t mutex; /* guards the result and the following */
    size_t failed;         /* files */
    enum rc_code first;    /* why the first of them did */
    bool has_lost;         /* the table lost a row */

    pthread_mutex_t above_mutex; /* guards the following */
    bool has_looked_above;       /* for what describes the files, in the folders above */
};

/* ---- errors --------------------------------------------------------------------------------- */

/* Whether the error is not of this file or shard alone: the run is to stop, or its lock is lost. */
static bool stops(struct rc_job *job, struct rc_lock *lock)
{
    struct rc_error ignored = RC_ERROR_INIT;

    return rc_job_check(job, &ignored) || rc_lock_check(job, lock, &ignored);
}

static enum rc_code tell_failed(struct rc_job *job, struct cleaning *cleaning, const char *uri,
                                const struct rc_error *err)
{
    rc_error(job, "shard %d: '%s': %s%s%s", (int)cleaning->markers->shard, uri, err->context,
             err->context[0] ? ": " : "", err->cause);
    (void)pthread_mutex_lock(&cleaning->mutex);
    if (cleaning->failed++ == 0)
        cleaning->first = err->code;
    (void)pthread_mutex_unlock(&cleaning->mutex);
    return RC_OK;
}

/* Somebody else is at the object: a moment later they may have done. */
static enum rc_code wait_before(struct rc_job *job, int64_t attempt, struct rc_error *err)
{
    int64_t wait_ms = attempt < 5 ? (int64_t)NAP_MS << attempt : LONGEST_WAIT_MS;
    const struct timespec nap = { .tv_nsec = NAP_MS * 1000000L };

    for (int64_t waited_ms = 0; waited_ms < wait_ms; waited_ms += NAP_MS) {
        if (rc_job_check(job, err))
            return err->code;
        (void)nanosleep(&nap, NULL);
    }
    return RC_OK;
}

/* ---- what goes with a file ------------------------------------------------------------------ */

static int compare_uri(const void *uri, const void *object)
{
    return strcmp(uri, ((const struct dsr_object *)object)->uri);
}

static enum rc_code remove_summary(struct rc_job *job, const char *uri, const char *file,
                                   struct rc_error *err)
{
    rc_info(job, "removing '%s', which describes '%s' as it was", uri, file);
    if (rc_storage_remove(job, &uri, 1, err))
        return rc_context(err, "remove '%s', which describes the file as it was", uri);
    return RC_OK;
}

/* Removes an object of the table, if the listing has it. */
static enum rc_code remove_listed(struct rc_job *job, const struct cleaning *cleaning,
                                  const char *uri, const char *file, struct rc_error *err)
{
    const struct dsr_objects *objects = cleaning->objects;

    if (objects->count == 0 ||
        !bsearch(uri, objects->items, objects->count, sizeof(*objects->items), compare_uri))
        return RC_OK;
    return remove_summary(job, uri, file, err);
}

static const char *const summaries[] = { "_metadata", "._metadata.crc" };

/* Those of the folders that are above the days, which nobody has listed. */
static enum rc_code remove_above(struct rc_job *job, const struct cleaning *cleaning,
                                 const char *file, struct rc_error *err)
{
    const char *table = cleaning->run->places.tables[cleaning->table];
    RC_STR_AUTO shard = dsr_place_shard(table, cleaning->markers->shard);
    const char *const folders[] = { shard, table };
    struct rc_stat stat;

    for (size_t i = 0; i < RC_ARRAY_LEN(folders) * RC_ARRAY_LEN(summaries); i++) {
        RC_STR_AUTO made = rc_strf("%s%s", folders[i / 2], summaries[i % 2]);
        const char *uri = made;
        enum rc_code code = rc_storage_stat(job, uri, &stat, err);

        if (code == RC_NOT_FOUND)
            continue;
        if (code || remove_summary(job, uri, file, err))
            return rc_context(err, "look for summaries above the file");
    }
    return RC_OK;
}

/* Once for all files, before the first of them is replaced. */
static enum rc_code remove_above_once(struct rc_job *job, struct cleaning *cleaning,
                                      const char *file, struct rc_error *err)
{
    enum rc_code code = RC_OK;

    (void)pthread_mutex_lock(&cleaning->above_mutex);
    if (!cleaning->has_looked_above)
        code = remove_above(job, cleaning, file, err);
    cleaning->has_looked_above = !code;
    (void)pthread_mutex_unlock(&cleaning->above_mutex);
    return code;
}

/*
 * What is derived of a file's old content and would be wrong of the new one: the summaries of the
 * footers of the folders that it lies in, which have the least and the greatest ids too, and the
 * checksums that Hadoop keeps beside a file. Readers do without either. They go before the file is
 * replaced: at no time does anything false lie beside it.
 */
static enum rc_code remove_derived(struct rc_job *job, struct cleaning *cleaning, const char *file,
                                   struct rc_error *err)
{
    RC_STR_AUTO shard =
        dsr_place_shard(cleaning->run->places.tables[cleaning->table], cleaning->markers->shard);
    const char *name = strrchr(file, '/') + 1;
    RC_STR_AUTO sum = rc_strf("%.*s.%s.crc", (int)(name - file), file, name);

    if (remove_above_once(job, cleaning, file, err) || remove_listed(job, cleaning, sum, file, err))
        return err->code;
    for (const char *at = name; at > file + strlen(shard);) {
        for (size_t i = 0; i < RC_ARRAY_LEN(summaries); i++) {
            RC_STR_AUTO uri = rc_strf("%.*s%s", (int)(at - file), file, summaries[i]);

            if (remove_listed(job, cleaning, uri, file, err))
                return err->code;
        }
        for (at--; at[-1] != '/';)
            at--;
    }
    return RC_OK;
}

/* ---- one file ------------------------------------------------------------------------------- */

/* Looks for the users in one object; '*is_data': it is Parquet, and 'found' is to be cleared. */
static enum rc_code search(struct rc_job *job, const struct cleaning *cleaning,
                           const struct dsr_object *object, bool *is_data, struct dsr_found *found,
                           struct rc_error *err)
{
    const struct dsr_config *config = cleaning->run->config;
    const struct dsr_table *table = RC_OBJECT_AT(struct dsr_table, config->tables, cleaning->table);
    struct dsr_reader *reader;
    struct pq_file file;
    enum rc_code code;

    *is_data = false;
    if (dsr_reader_open(job, object->uri, &object->stat, NULL, &reader, err))
        return err->code;
    code = dsr_reader_is_data(reader, is_data, err);
    if (!code && *is_data) {
        code = pq_file_open(&file, dsr_reader_source(reader), DSR_FOOTER_LIMIT, err);
        if (!code) {
            code = dsr_find(&file, table, cleaning->markers->users, config->trust_statistics, found,
                            err);
            pq_file_close(&file);
        }
    }
    dsr_reader_close(reader);
    return code ? rc_context(err, "search it") : RC_OK;
}

static void count_scanned(struct rc_job *job, struct cleaning *cleaning)
{
    (void)pthread_mutex_lock(&cleaning->mutex);
    cleaning->result->files_scanned++;
    (void)pthread_mutex_unlock(&cleaning->mutex);
    rc_job_count(job, "files_scanned", 1);
}

static void count_replaced(struct rc_job *job, struct cleaning *cleaning, const char *uri,
                           const struct dsr_found *found, const struct dsr_replaced *replaced)
{
    struct dsr_shard_result *result = cleaning->result;

    (void)pthread_mutex_lock(&cleaning->mutex);
    result->rows_deleted += replaced->rows;
    result->bytes_rewritten += replaced->bytes;
    *(replaced->removed ? &result->files_removed : &result->files_rewritten) += 1;
    cleaning->has_lost = true;
    (void)pthread_mutex_unlock(&cleaning->mutex);
    rc_job_count(job, "rows_deleted", replaced->rows);
    rc_job_count(job, "bytes_rewritten", replaced->bytes);
    rc_job_count(job, replaced->removed ? "files_removed" : "files_rewritten", 1);
    rc_info(job, "'%s': %lld of %lld rows erased%s", uri, (long long)replaced->rows,
            (long long)found->row_count, replaced->removed ? ", the file removed" : "");
}

/* '*again': somebody else replaced the object meanwhile. 'told': rows, of dsr_looked_rows(). */
static enum rc_code clean_once(struct rc_job *job, struct cleaning *cleaning,
                               const struct dsr_object *object, int64_t told, bool *again,
                               struct rc_error *err)
{
    struct dsr_found found = { 0 };
    struct dsr_replaced replaced = { 0 };
    bool is_data;
    enum rc_code code = search(job, cleaning, object, &is_data, &found, err);

    *again = false;
    if (code)
        return code;
    if (!is_data) {
        dsr_lake_leave(job, object);
        return RC_OK;
    }
    if (found.is_summary)
        rc_warn(job, "'%s' describes other files and has no rows of its own; it is left alone",
                object->uri);
    count_scanned(job, cleaning);
    code = dsr_looked_agree(told, found.count, err);
    if (!code && found.count > 0) {
        code = remove_derived(job, cleaning, object->uri, err);
        if (!code)
            code = dsr_replace(cleaning->run, job, cleaning->lock, cleaning->markers->shard,
                               cleaning->table, object, cleaning->markers->users, &found, &replaced,
                               err);
        if (!code && !replaced.conflict)
            count_replaced(job, cleaning, object->uri, &found, &replaced);
        *again = !code && replaced.conflict;
    }
    dsr_found_clear(&found);
    return code;
}

/*
 * The object as it is now. Whether what was said of the old one still counts: an error that tells
 * of a change is one only if there was none.
 */
static enum rc_code look_again(struct rc_job *job, struct dsr_object *object, bool *is_gone,
                               bool *is_another, struct rc_error *err)
{
    struct rc_stat stat;
    enum rc_code code = dsr_lake_look(job, object->uri, &stat, is_gone, err);

    *is_another = !code && !*is_gone && strcmp(stat.etag, object->stat.etag) != 0;
    if (!code && !*is_gone)
        object->stat = stat;
    return code;
}

static enum rc_code clean_object(struct rc_job *job, struct cleaning *cleaning, size_t index,
                                 struct rc_error *err)
{
    struct dsr_object object = cleaning->objects->items[index];
    int64_t told = dsr_looked_rows(&cleaning->looked, index);
    int64_t attempts = cleaning->run->config->attempts, refusals = 0;

    for (int64_t attempt = 0; attempt < attempts; attempt++) {
        bool again, is_gone, is_another;
        enum rc_code code = clean_once(job, cleaning, &object, told, &again, err);
        struct rc_error cause = *err;

        if (!code && !again)
            return RC_OK;
        if ((code && code != RC_CONFLICT && code != RC_NOT_FOUND) || stops(job, cleaning->lock))
            return code ? code : rc_lock_check(job, cleaning->lock, err);
        if (look_again(job, &object, &is_gone, &is_another, err))
            return err->code;
        if (is_gone)
            return RC_OK;
        if (code == RC_NOT_FOUND && !is_another) {
            *err = cause;
            return code;
        }
        refusals = is_another ? 0 : refusals + 1;
        told = is_another ? DSR_NOT_TOLD : told;
        if (refusals == REFUSALS)
            return rc_fail(
                err, RC_UNSUPPORTED,
                "the store refuses a write on the condition that the object is "
                "unchanged, and it is unchanged: this store cannot do it, as some cannot "
                "where versions are suspended");
        rc_info(job, "'%s' was replaced meanwhile; searching it again", object.uri);
        if (wait_before(job, attempt, err))
            return err->code;
    }
    return rc_fail(err, RC_CONFLICT,
                   "somebody else replaced it %lld times while it was worked on; run again when it "
                   "is left alone, or raise attempts",
                   (long long)attempts);
}

static enum rc_code clean_one(struct rc_job *job, void *context, size_t index, struct rc_error *err)
{
    struct cleaning *cleaning = context;
    enum rc_code code;

    if (dsr_looked_rows(&cleaning->looked, index) == 0) {
        count_scanned(job, cleaning);
        return RC_OK;
    }
    code = clean_object(job, cleaning, index, err);
    if (!code || stops(job, cleaning->lock))
        return code;
    return tell_failed(job, cleaning, cleaning->objects->items[index].uri, err);
}

/* ---- S2: the tables ------------------------------------------------------------------------- */

/* Has an SQL engine that is elsewhere say which of the objects are worth to be fetched. */
static enum rc_code look_up(struct rc_job *job, struct cleaning *cleaning, struct rc_error *err)
{
    struct dsr_run *run = cleaning->run;
    const struct dsr_lookup lookup = {
        .engines = run->engines,
        .config = run->config,
        .places = &run->places,
        .table = cleaning->table,
        .shard = cleaning->markers->shard,
        .users = cleaning->markers->users,
        .objects = cleaning->objects,
        .width = dsr_share(run),
    };

    if (dsr_lookup(job, &lookup, &cleaning->looked, err))
        return err->code;
    if (cleaning->looked.unseen > 0)
        rc_job_count(job, "files_not_seen_by_engine", (int64_t)cleaning->looked.unseen);
    return RC_OK;
}

static enum rc_code clean_table(struct dsr_run *run, struct rc_job *job, struct rc_lock *lock,
                                const struct dsr_shard_markers *markers, size_t table,
                                struct dsr_shard_result *result, struct rc_error *err)
{
    struct dsr_objects objects;
    struct cleaning cleaning = {
        .run = run,
        .lock = lock,
        .markers = markers,
        .table = table,
        .objects = &objects,
        .result = result,
        .mutex = PTHREAD_MUTEX_INITIALIZER,
        .above_mutex = PTHREAD_MUTEX_INITIALIZER,
    };
    enum rc_code code;

    if (dsr_lake_list(job, &run->places, table, markers->shard, markers->first_day,
                      markers->last_day, &objects, err))
        return err->code;
    code = look_up(job, &cleaning, err);
    if (!code)
        code = rc_parallel(job, dsr_share(run), objects.count, clean_one, &cleaning, err);
    if (!code && cleaning.failed > 0)
        code = rc_fail(err, cleaning.first == RC_UNAVAILABLE ? RC_UNAVAILABLE : RC_FAILED,
                       "%zu file%s could not be cleaned, as told above; the markers stay",
                       cleaning.failed, cleaning.failed == 1 ? "" : "s");
    result->tables += cleaning.has_lost;
    dsr_looked_clear(&cleaning.looked);
    (void)pthread_mutex_destroy(&cleaning.above_mutex);
    (void)pthread_mutex_destroy(&cleaning.mutex);
    dsr_objects_clear(&objects);
    return code;
}

/* A table that fails does not keep the next one from being cleaned; the first error counts. */
static enum rc_code clean_tables(struct dsr_run *run, struct rc_job *job, struct rc_lock *lock,
                                 const struct dsr_shard_markers *markers,
                                 struct dsr_shard_result *result, struct rc_error *err)
{
    enum rc_code code = RC_OK;

    for (size_t i = 0; i < run->places.table_count && (!code || !stops(job, lock)); i++) {
        struct rc_error later = RC_ERROR_INIT;

        if (!clean_table(run, job, lock, markers, i, result, &later))
            continue;
        if (!code) {
            *err = later;
            code = rc_context(err, "erase from the table '%s'",
                              RC_OBJECT_AT(struct dsr_table, run->config->tables, i)->name);
        }
    }
    return code;
}

/* ---- S5: the markers ------------------------------------------------------------------------ */

static enum rc_code fulfil(struct dsr_run *run, const struct dsr_shard_markers *markers,
                           struct rc_error *err)
{
    struct dsr_request *requests = rc_calloc(markers->count + 1, sizeof(*requests));
    enum rc_code code;

    for (size_t i = 0; i < markers->count; i++) {
        const struct dsr_marker *marker = &markers->markers[i];

        requests[i] = (struct dsr_request){
            .user = dsr_users_at(markers->users, marker->user),
            .day = marker->day,
            .requested = marker->requested,
        };
    }
    code = dsr_journal_fulfil(run->journal, markers->shard, markers->first_day, markers->last_day,
                              requests, markers->count, err);
    free(requests);
    return code ? rc_context(err, "note the requests as fulfilled") : RC_OK;
}

/* ---- the shard ------------------------------------------------------------------------------ */

static enum rc_code erase(struct dsr_run *run, struct rc_job *job, struct rc_lock *lock,
                          const struct dsr_shard_markers *markers, struct dsr_shard_result *out,
                          struct rc_error *err)
{
    out->markers = (int64_t)markers->count;
    out->users = (int64_t)dsr_users_count(markers->users);
    if (clean_tables(run, job, lock, markers, out, err))
        return err->code;
    if (dsr_postcheck(run, job, markers, err))
        return rc_context(err, "search the whole range again");
    if (dsr_versions_clean(run, job, markers, out, err))
        return rc_context(err, "look at older versions");
    return RC_OK;
}

/* Under the shard's lock. */
static enum rc_code clean_locked(struct dsr_run *run, struct rc_job *job, struct rc_lock *lock,
                                 const struct dsr_shard_markers *markers,
                                 struct dsr_shard_result *out, struct rc_error *err)
{
    if (markers->count > 0 && erase(run, job, lock, markers, out, err))
        return err->code;
    /* A write of a run that died may have reached the store only after it was looked at first. */
    if (dsr_recover_shard(run, job, markers->shard, err) || rc_lock_check(job, lock, err) ||
        fulfil(run, markers, err) ||
        dsr_markers_archive(job, &run->places, run->journal, markers, dsr_share(run), err) ||
        dsr_recover_drop_backups(run, job, markers->shard, err))
        return err->code;
    rc_job_count(job, "markers", out->markers);
    rc_job_count(job, "users", out->users);
    return RC_OK;
}

static enum rc_code load_and_clean(struct dsr_run *run, struct rc_job *job, struct rc_lock *lock,
                                   int32_t shard, struct dsr_shard_result *out,
                                   struct rc_error *err)
{
    struct dsr_malformed_log log = { .job = job, .folder = run->places.markers };
    const struct dsr_malformed malformed = { .tell = dsr_malformed_warn, .context = &log };
    struct dsr_shard_markers markers;
    enum rc_code code;

    if (dsr_recover_shard(run, job, shard, err))
        return err->code;
    code = dsr_markers_load(job, &run->places, shard, &malformed, &markers, err);
    dsr_malformed_end(&log);
    out->malformed = log.count;
    if (code)
        return rc_context(err, "read the markers");
    code = clean_locked(run, job, lock, &markers, out, err);
    dsr_markers_clear(&markers);
    return code;
}

enum rc_code dsr_shard_clean(struct dsr_run *run, struct rc_job *job, int32_t shard,
                             int64_t lock_wait_ms, struct dsr_shard_result *out,
                             struct rc_error *err)
{
    RC_STR_AUTO name = rc_strf("dsr %s shard %d", run->places.scope, (int)shard);
    struct rc_lock *lock;
    enum rc_code code;

    *out = (struct dsr_shard_result){ .shard = shard, .state = DSR_SHARD_FAILED };
    code = rc_lock_acquire(job, name, lock_wait_ms, &lock, err);
    if (code == RC_CONFLICT) {
        rc_info(job, "shard %d is left to another run for now: %s", (int)shard, err->cause);
        out->state = DSR_SHARD_LOCKED;
        return RC_OK;
    }
    if (!code) {
        code = load_and_clean(run, job, lock, shard, out, err);
        rc_lock_release(job, lock);
    }
    if (code)
        return rc_context(err, "shard %d", (int)shard);
    out->state = DSR_SHARD_CLEAN;
    return RC_OK;
}
