/*
 * The action 'cleanup': the shards that have markers or something unfinished, several at once, each
 * apart from the others; and in the end what was done.
 */
#include "run.h"

#include <run-core/host.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct cleanup {
    struct dsr_run run;
    int32_t *shards;
    size_t count;
    bool waits;            /* the second round: for those that were locked */
    pthread_mutex_t mutex; /* guards the following */
    struct dsr_shard_result *results;
    size_t done;
    struct rc_error first; /* of the shards that failed */
};

/* ---- the tables ----------------------------------------------------------------------------- */

/* Whether all that was in the table's folder is erased. */
static enum rc_code knows_folder(struct rc_job *job, const struct dsr_config *config,
                                 const struct dsr_places *places, struct dsr_journal *journal,
                                 size_t table, bool *knows, struct rc_error *err)
{
    struct dsr_journal *opened;
    enum rc_code code;

    if (journal)
        return dsr_journal_knows_folder(journal, places->tables[table], knows, err);
    code = dsr_journal_open(job, config, places, &opened, err);
    if (code)
        return code;
    code = dsr_journal_knows_folder(opened, places->tables[table], knows, err);
    dsr_journal_close(opened);
    return code;
}

static enum rc_code check_table(struct rc_job *job, const struct dsr_config *config,
                                const struct dsr_places *places, struct dsr_journal *journal,
                                size_t table, struct rc_error *err)
{
    const char *name = RC_OBJECT_AT(struct dsr_table, config->tables, table)->name;
    struct rc_error other = RC_ERROR_INIT;
    enum rc_code code = dsr_lake_check(job, places, table, name, err);
    bool knows;

    if (code != RC_NOT_FOUND)
        return code;
    if (knows_folder(job, config, places, journal, table, &knows, &other)) {
        /* A plan has no need of the state database: that the folder is mistaken is likelier. */
        if (!journal && other.code != RC_CANCELLED) {
            rc_warn(job,
                    "the table '%s': whether it was emptied by earlier runs, nobody knows: %s: %s",
                    name, other.context, other.cause);
            return code;
        }
        *err = other;
        return err->code;
    }
    if (knows)
        rc_info(job, "the table '%s' has no data any more", name);
    return knows ? RC_OK : code;
}

enum rc_code dsr_check_tables(struct rc_job *job, const struct dsr_config *config,
                              const struct dsr_places *places, struct dsr_journal *journal,
                              struct rc_error *err)
{
    for (size_t i = 0; i < places->table_count; i++)
        if (check_table(job, config, places, journal, i, err))
            return err->code;
    return RC_OK;
}

/* ---- which shards --------------------------------------------------------------------------- */

static int compare_shards(const void *a, const void *b)
{
    int32_t one = *(const int32_t *)a, other = *(const int32_t *)b;

    return (one > other) - (one < other);
}

/* Those with markers and those of the journal that are asked for, each once. */
static void choose(struct cleanup *cleanup, const int32_t *marked, size_t marked_count,
                   const int32_t *noted, size_t noted_count, const struct rc_strs *asked)
{
    size_t count = 0, kept = 0;
    int32_t *all = rc_calloc(marked_count + noted_count + 1, sizeof(*all));

    for (size_t i = 0; i < marked_count + noted_count; i++) {
        int32_t shard = i < marked_count ? marked[i] : noted[i - marked_count];

        if (dsr_shards_have(asked, shard))
            all[count++] = shard;
    }
    qsort(all, count, sizeof(*all), compare_shards);
    for (size_t i = 0; i < count; i++)
        if (i == 0 || all[i] != all[i - 1])
            all[kept++] = all[i];
    cleanup->shards = all;
    cleanup->count = kept;
}

static enum rc_code list_shards(struct cleanup *cleanup, const struct rc_strs *asked,
                                int64_t *malformed_count, struct rc_error *err)
{
    struct dsr_run *run = &cleanup->run;
    struct dsr_malformed_log log = { .job = run->job, .folder = run->places.markers };
    const struct dsr_malformed malformed = { .tell = dsr_malformed_warn, .context = &log };
    int32_t *marked = NULL, *noted = NULL;
    size_t marked_count = 0, noted_count = 0;
    enum rc_code code =
        dsr_markers_shards(run->job, &run->places, &malformed, &marked, &marked_count, err);

    dsr_malformed_end(&log);
    *malformed_count = log.count;
    if (!code)
        code = dsr_journal_shards(run->journal, &noted, &noted_count, err);
    if (!code)
        choose(cleanup, marked, marked_count, noted, noted_count, asked);
    free(marked);
    free(noted);
    return code;
}

/* ---- the work ------------------------------------------------------------------------------- */

static const char *plural(int64_t count)
{
    return count == 1 ? "" : "s";
}

/* What is erased stays erased, though the users of the shard are not done with. */
static void tell_failed(struct rc_job *job, const struct dsr_shard_result *result)
{
    RC_STR_AUTO line = NULL;

    if (result->files_rewritten + result->files_removed == 0)
        return;
    line = rc_strf("shard %d: failed, with %lld row%s of its users erased; %lld file%s rewritten, "
                   "%lld removed",
                   (int)result->shard, (long long)result->rows_deleted,
                   plural(result->rows_deleted), (long long)result->files_rewritten,
                   plural(result->files_rewritten), (long long)result->files_removed);
    rc_job_say(job, line);
}

static void tell_shard(struct rc_job *job, const struct dsr_shard_result *result)
{
    RC_STR_AUTO line = NULL;

    if (result->markers == 0)
        return;
    line = rc_strf("shard %d: %lld user%s erased from %lld table%s: %lld row%s of %lld file%s, "
                   "%lld rewritten, %lld removed; %lld marker%s archived",
                   (int)result->shard, (long long)result->users, plural(result->users),
                   (long long)result->tables, plural(result->tables),
                   (long long)result->rows_deleted, plural(result->rows_deleted),
                   (long long)result->files_scanned, plural(result->files_scanned),
                   (long long)result->files_rewritten, (long long)result->files_removed,
                   (long long)result->markers, plural(result->markers));
    rc_job_say(job, line);
    if (result->old_versions > 0) {
        RC_STR_AUTO versions = rc_strf(
            "shard %d: %lld older version%s of %lld object%s still hold a user; set "
            "delete_old_versions: true",
            (int)result->shard, (long long)result->old_versions, plural(result->old_versions),
            (long long)result->old_objects, plural(result->old_objects));

        rc_job_say(job, versions);
    }
    if (result->hides_versions) {
        RC_STR_AUTO hidden = rc_strf("shard %d: older versions could not be listed, see the "
                                     "warnings: nobody knows whether some hold a user",
                                     (int)result->shard);

        rc_job_say(job, hidden);
    }
}

static void note_result(struct cleanup *cleanup, struct rc_job *job, size_t index,
                        const struct dsr_shard_result *result, const struct rc_error *err)
{
    bool is_first, is_over = result->state != DSR_SHARD_LOCKED;
    size_t done;

    (void)pthread_mutex_lock(&cleanup->mutex);
    cleanup->results[index] = *result;
    is_first = result->state == DSR_SHARD_FAILED && !cleanup->first.code;
    if (is_first)
        cleanup->first = *err;
    cleanup->done += is_over;
    done = cleanup->done;
    if (result->state == DSR_SHARD_CLEAN)
        tell_shard(job, result);
    else if (result->state == DSR_SHARD_FAILED)
        tell_failed(job, result);
    (void)pthread_mutex_unlock(&cleanup->mutex);
    rc_job_progress(job, (int64_t)done, (int64_t)cleanup->count, "shards");
}

static enum rc_code clean_one(struct rc_job *job, void *context, size_t index, struct rc_error *err)
{
    struct cleanup *cleanup = context;
    struct rc_error ignored = RC_ERROR_INIT;
    struct dsr_shard_result result;
    enum rc_code code;

    if (cleanup->waits && cleanup->results[index].state != DSR_SHARD_LOCKED)
        return RC_OK;
    code = dsr_shard_clean(&cleanup->run, job, cleanup->shards[index],
                           cleanup->waits ? cleanup->run.config->lock_wait_ms : 0, &result, err);
    (void)atomic_fetch_sub(&cleanup->run.shards_left, 1);
    if (code && rc_job_check(job, &ignored))
        return code;
    if (code)
        rc_error(job, "%s%s%s", err->context, err->context[0] ? ": " : "", err->cause);
    note_result(cleanup, job, index, &result, err);
    return RC_OK;
}

static size_t count_locked(const struct cleanup *cleanup)
{
    size_t locked = 0;

    for (size_t i = 0; i < cleanup->count; i++)
        locked += cleanup->results[i].state == DSR_SHARD_LOCKED;
    return locked;
}

/* The last shards have the threads of those that are done. */
size_t dsr_share(struct dsr_run *run)
{
    size_t width = dsr_width(run->config), left = atomic_load(&run->shards_left);

    return left == 0 ? width : left < width ? width / left : 1;
}

/* 'left': of so many of the shards. */
static enum rc_code clean_round(struct cleanup *cleanup, size_t left, struct rc_error *err)
{
    struct dsr_run *run = &cleanup->run;

    atomic_store(&run->shards_left, left);
    return rc_parallel(run->job, dsr_width(run->config), cleanup->count, clean_one, cleanup, err);
}

/* The report is written of what was done, whether all of it was or not. */
static enum rc_code clean_all(struct cleanup *cleanup, struct rc_error *err)
{
    struct dsr_run *run = &cleanup->run;
    enum rc_code code;

    cleanup->results = rc_calloc(cleanup->count + 1, sizeof(*cleanup->results));
    code = clean_round(cleanup, cleanup->count, err);
    if (!code && count_locked(cleanup) > 0) {
        cleanup->waits = true;
        code = clean_round(cleanup, count_locked(cleanup), err);
    }
    if (!code && dsr_report_write(run->job, run->journal, run->config, &run->places, err))
        code = rc_context(err, "write the report");
    return code;
}

/* ---- the end -------------------------------------------------------------------------------- */

struct sum {
    size_t clean, locked, failed;
    int64_t users, rows, rewritten, removed, bytes, malformed;
};

static struct sum sum_up(const struct cleanup *cleanup)
{
    struct sum sum = { 0 };

    for (size_t i = 0; i < cleanup->count; i++) {
        const struct dsr_shard_result *result = &cleanup->results[i];

        sum.clean += result->state == DSR_SHARD_CLEAN;
        sum.locked += result->state == DSR_SHARD_LOCKED;
        sum.failed += result->state == DSR_SHARD_FAILED;
        sum.users += result->state == DSR_SHARD_CLEAN ? result->users : 0;
        sum.rows += result->rows_deleted;
        sum.rewritten += result->files_rewritten;
        sum.removed += result->files_removed;
        sum.bytes += result->bytes_rewritten;
        sum.malformed += result->malformed;
    }
    return sum;
}

/* What is done with: users, or, where there was no marker, what earlier runs had left. */
static char *done_text(const struct sum *sum)
{
    size_t left = sum->failed + sum->locked, all = sum->clean + left;

    if (left > 0)
        return rc_strf("%zu of %zu shard%s done, with %lld user%s; erased in all:", sum->clean, all,
                       plural((int64_t)all), (long long)sum->users, plural(sum->users));
    if (sum->users == 0)
        return rc_strf("no markers; what earlier runs had left of %zu shard%s is done:", all,
                       plural((int64_t)all));
    return rc_strf("%lld user%s erased from %zu shard%s:", (long long)sum->users,
                   plural(sum->users), all, plural((int64_t)all));
}

static void tell_sum(struct rc_job *job, const struct sum *sum)
{
    char size[RC_AMOUNT_TEXT];
    RC_STR_AUTO done = done_text(sum);
    RC_STR_AUTO line =
        rc_strf("%s %lld row%s; %lld file%s rewritten (%s), %lld removed", done,
                (long long)sum->rows, plural(sum->rows), (long long)sum->rewritten,
                plural(sum->rewritten), rc_format_size(sum->bytes, size), (long long)sum->removed);

    rc_job_say(job, line);
    rc_job_count(job, "shards_failed", (int64_t)sum->failed);
    rc_job_count(job, "shards_locked", (int64_t)sum->locked);
}

static enum rc_code conclude(const struct cleanup *cleanup, int64_t malformed, struct rc_error *err)
{
    struct sum sum = sum_up(cleanup);

    malformed += sum.malformed;
    if (cleanup->count > 0)
        tell_sum(cleanup->run.job, &sum);
    if (sum.failed > 0) {
        struct rc_error cause = cleanup->first;

        (void)rc_fail(err, cause.code == RC_UNAVAILABLE ? cause.code : RC_FAILED,
                      "%zu of %zu shards failed; the next run goes on with them; the first: %s%s%s",
                      sum.failed, cleanup->count, cause.context, cause.context[0] ? ": " : "",
                      cause.cause);
        return err->code;
    }
    if (malformed > 0)
        return rc_fail(err, RC_FAILED,
                       "%lld object%s among the markers %s no marker%s and left in place: correct "
                       "or remove %s; all else is done%s",
                       (long long)malformed, plural(malformed), malformed == 1 ? "is" : "are",
                       plural(malformed), malformed == 1 ? "it" : "them",
                       sum.locked ? ", but for shards that another run is at" : "");
    if (sum.locked > 0)
        return rc_fail(err, RC_SKIPPED,
                       "%zu of %zu shards are being cleaned by another run; all others are done",
                       sum.locked, cleanup->count);
    return RC_OK;
}

/* ---- the run -------------------------------------------------------------------------------- */

static enum rc_code work(struct cleanup *cleanup, struct rc_error *err)
{
    struct dsr_run *run = &cleanup->run;
    const struct dsr_params *params = run->job->params;
    const struct rc_strs none = { 0 };
    const struct rc_strs *asked = params ? &params->shards : &none;
    int64_t malformed;
    enum rc_code code;

    /* Scratch space, be it needed or not: what a run that died left there goes with that. */
    if (dsr_shards_check(asked, err) ||
        dsr_scratch_new(run->job, run->config->scratch_bytes, &run->scratch, err) ||
        dsr_journal_open(run->job, run->config, &run->places, &run->journal, err) ||
        dsr_check_tables(run->job, run->config, &run->places, run->journal, err) ||
        list_shards(cleanup, asked, &malformed, err))
        return err->code;
    if (cleanup->count == 0) {
        rc_job_say(run->job, "no markers: nothing to erase");
        code = dsr_report_write(run->job, run->journal, run->config, &run->places, err);
        return code ? code : malformed ? conclude(cleanup, malformed, err) : RC_OK;
    }
    if (dsr_engines_new(run->job, run->config, run->scratch, dsr_width(run->config), &run->engines,
                        err))
        return err->code;
    code = clean_all(cleanup, err);
    return code ? code : conclude(cleanup, malformed, err);
}

enum rc_code dsr_cleanup_run(struct rc_job *job, const void *config, struct rc_error *err)
{
    struct cleanup cleanup = {
        .run = { .job = job, .config = config },
        .mutex = PTHREAD_MUTEX_INITIALIZER,
    };
    enum rc_code code;

    if (job->dry_run)
        return dsr_plan_run(job, config, err);
    if (dsr_places_make(config, job->working_dir, &cleanup.run.places, err))
        return err->code;
    code = work(&cleanup, err);
    dsr_engines_free(cleanup.run.engines);
    dsr_scratch_free(cleanup.run.scratch);
    dsr_journal_close(cleanup.run.journal);
    dsr_places_clear(&cleanup.run.places);
    (void)pthread_mutex_destroy(&cleanup.mutex);
    free(cleanup.results);
    free(cleanup.shards);
    return code;
}
