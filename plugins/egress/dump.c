/*
 * The action 'dump': the order of things. One snapshot is read in rounds: the first takes all
 * objects, those that follow what a broken connection has left over. If the snapshot itself is
 * lost, all begins again with another, since tables of two snapshots do not fit together.
 */
#include "dump.h"
#include "clock.h"
#include "egress.h"
#include "parquet.h"

#include <inttypes.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    FIRST_PAUSE_MS = 1000,
    LAST_PAUSE_MS = 30000,
    /* What is held beside the pipeline's memory: by a writer of the storage, which gathers parts
     * and has some on their way, by libpq for a connection, and by all else. */
    WRITER_BYTES = 32 << 20,
    CONNECTION_BYTES = 512 << 10,
    PROCESS_BYTES = 24 << 20,
};

/* ---- the beginning ---- */

static enum rc_code check_options(struct rc_job *job, const struct egress_config *config,
                                  struct rc_error *err)
{
    struct egress_names names;
    size_t count;

    if (!config->output || !*config->output)
        return rc_fail(err, RC_INVALID,
                       "nothing says where the dump goes: set S3_OUTPUT or 'output', such as "
                       "s3://BUCKET/FOLDER");
    if (egress_names_read(&config->tables, &names, err))
        return rc_context(err, "option 'tables'");
    count = names.count + config->queries.len;
    egress_names_clear(&names);
    if (count == 0)
        return rc_fail(err, RC_INVALID,
                       "nothing says what to dump: set TABLES or 'tables', or 'queries'");
    return config->format == EGRESS_PARQUET ? egress_parquet_check(job, err) : RC_OK;
}

static enum rc_code take_lock(struct egress_dump *dump, struct rc_error *err)
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    RC_BUF_AUTO(name, 128);
    enum rc_code code;

    /* A digest, since a lock's name is bounded and a folder's is not. */
    (void)SHA256((const unsigned char *)dump->folder, strlen(dump->folder), digest);
    rc_buf_adds(&name, "egress:dump:");
    for (size_t i = 0; i < sizeof(digest); i++)
        rc_buf_addf(&name, "%02x", digest[i]);
    code = rc_lock_acquire(dump->job, name.data, 0, &dump->lock, err);
    if (code == RC_CONFLICT)
        return rc_fail(err, RC_SKIPPED, "another run dumps to '%s': %s", dump->folder, err->cause);
    return code ? rc_context(err, "take the lock of '%s'", dump->folder) : RC_OK;
}

static void tell_finding(void *context, bool is_broken, const char *line)
{
    struct rc_job *job = context;

    if (is_broken)
        rc_warn(job, "the bucket for dumps breaks a rule: %s; see 'run-core egress setup'", line);
    else
        rc_debug(job, "the bucket for dumps: %s", line);
}

/* Without 'require_compliant_bucket' nothing that is found, or cannot be, holds up the dump. */
static enum rc_code inspect_bucket(struct egress_dump *dump, struct rc_error *err)
{
    const struct egress_config *config = dump->config;
    struct egress_findings findings = { 0, 0 };

    if (egress_inspect_bucket(dump->job, config, tell_finding, dump->job, &findings, err)) {
        if (config->require_compliant_bucket || err->code == RC_CANCELLED)
            return rc_context(err, "inspect the bucket");
        rc_warn(dump->job, "the bucket was not inspected: %s", err->cause);
        return RC_OK;
    }
    if (findings.broken > 0 && config->require_compliant_bucket)
        return rc_fail(err, RC_FAILED,
                       "the bucket of '%s' breaks %u of the rules for dumps, as the warnings say; "
                       "'run-core egress setup' mends it, and without 'require_compliant_bucket' "
                       "it is taken as it is",
                       config->output, findings.broken);
    return RC_OK;
}

static enum rc_code begin(struct egress_dump *dump, struct rc_error *err)
{
    const struct egress_config *config = dump->config;

    dump->started_unix_ms = egress_unix_ms();
    if (check_options(dump->job, config, err) ||
        egress_compression_read(config->compression, &dump->compression, err) ||
        egress_layout_read(config->path, &dump->layout, err) ||
        egress_folder_uri(dump->job, config, dump->job->slot_unix_ms, &dump->folder, err) ||
        take_lock(dump, err))
        return err->code;
    return inspect_bucket(dump, err);
}

/* ---- views of the database ---- */

/* Before the folder is touched: every table would fail of it, and what is there would go. */
static enum rc_code check_encoding(struct egress_dump *dump, struct rc_error *err)
{
    struct egress_database *database = dump->snapshot.keeper;
    const char *const params[] = { dump->config->encoding };
    PGresult *result;
    bool is_known;

    if (egress_database_query(database, "look up the encoding",
                              "SELECT pg_catalog.pg_char_to_encoding($1) >= 0", params,
                              RC_ARRAY_LEN(params), &result, err))
        return err->code;
    is_known = rc_str_eq(PQgetvalue(result, 0, 0), "t");
    PQclear(result);
    if (!is_known)
        return rc_fail(err, RC_INVALID,
                       "'encoding' is '%s', which %s does not know; it takes names such as UTF8, "
                       "LATIN1 or WIN1252",
                       params[0], database->place);
    return RC_OK;
}

static enum rc_code begin_reading(struct egress_dump *dump, struct rc_error *err)
{
    egress_dump_begin_report(dump);
    return egress_dump_connect(dump, err);
}

static enum rc_code try_view(struct egress_dump *dump, struct rc_error *err)
{
    if (egress_snapshot_take(dump->job, dump->config, &dump->snapshot, err))
        return err->code;
    if (check_encoding(dump, err))
        return err->code;
    if (egress_catalog_read(dump->snapshot.keeper, dump->config, &dump->catalog, err))
        return rc_context(err, "look up what is to be dumped");
    if (egress_plan_make(&dump->catalog, dump->config, &dump->layout, &dump->plan, err))
        return rc_context(err, "plan the dump");
    return dump->job->dry_run ? RC_OK : begin_reading(dump, err);
}

static void end_view(struct egress_dump *dump)
{
    egress_dump_disconnect(dump);
    egress_dump_free_report(dump);
    egress_plan_clear(&dump->plan);
    egress_catalog_clear(&dump->catalog);
    egress_snapshot_clear(&dump->snapshot);
}

static enum rc_code pause_before(struct egress_dump *dump, int64_t attempt, struct rc_error *err)
{
    int64_t pause_ms = FIRST_PAUSE_MS;

    for (int64_t i = 2; i < attempt && pause_ms < LAST_PAUSE_MS; i++)
        pause_ms *= 2;
    if (egress_pause(dump->job, pause_ms, err))
        return rc_context(err, "before another attempt");
    return RC_OK;
}

/*
 * A connection that is lost before there is anything to read by it is made again, too, within the
 * time that the database may take to be reached. Where it was not, that time has been waited.
 */
static enum rc_code begin_view(struct egress_dump *dump, struct rc_error *err)
{
    int64_t until_ms = egress_mono_ms() + dump->config->connect_for_ms;

    for (int64_t attempt = 1;; attempt++) {
        enum rc_code code = try_view(dump, err);

        if (code != RC_UNAVAILABLE || !dump->snapshot.keeper || attempt == dump->config->attempts ||
            egress_mono_ms() + FIRST_PAUSE_MS > until_ms)
            return code;
        rc_warn(dump->job, "looking at the database once more, as the connection was lost: %s",
                err->cause);
        end_view(dump);
        if (pause_before(dump, attempt + 1, err))
            return err->code;
    }
}

static void end(struct egress_dump *dump)
{
    end_view(dump);
    rc_lock_release(dump->job, dump->lock);
    free(dump->folder);
}

/* ---- rounds ---- */

/* All objects that are not done. */
static void make_round(struct egress_dump *dump, bool is_first, struct egress_round *out)
{
    const struct egress_plan *plan = &dump->plan;

    *out = (struct egress_round){ .dump = dump };
    out->objects = rc_calloc(plan->object_count + 1, sizeof(*out->objects));
    out->first_pieces = rc_calloc(plan->object_count + 1, sizeof(*out->first_pieces));
    out->pieces = rc_calloc(plan->piece_count + 1, sizeof(*out->pieces));
    dump->rows_before = 0;
    for (size_t i = 0; i < plan->object_count; i++) {
        if (!is_first && dump->dumped[i].code != RC_UNAVAILABLE) {
            dump->rows_before += dump->dumped[i].code ? 0 : dump->dumped[i].rows;
            continue;
        }
        out->objects[out->object_count++] = i;
        for (size_t j = 0; j < plan->objects[i].count; j++)
            out->pieces[out->piece_count++] = plan->objects[i].first + j;
        out->first_pieces[out->object_count] = out->piece_count;
    }
}

static void clear_round(struct egress_round *round)
{
    free(round->objects);
    free(round->pieces);
    free(round->first_pieces);
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Of what is configured, for the pipeline and the storage. */
static size_t memory_left(const struct egress_dump *dump, size_t compressors)
{
    size_t taken_bytes = PROCESS_BYTES + (dump->reader_count + 1) * CONNECTION_BYTES +
                         compressors * egress_compressor_bytes(&dump->compression);
    size_t bytes = (size_t)dump->config->memory_bytes;

    return bytes > taken_bytes ? bytes - taken_bytes : 0;
}

static enum rc_code run_round(struct egress_dump *dump, bool is_first, struct rc_error *err)
{
    RC_CLEANUP(clear_round) struct egress_round round;
    const struct egress_config *config = dump->config;
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    struct egress_dumped *dumped;
    enum rc_code code;

    make_round(dump, is_first, &round);
    if (round.object_count == 0)
        return RC_OK;
    size_t compressors = config->compressors > 0 ? (size_t)config->compressors
                         : processors > 0        ? (size_t)processors
                                                 : 1;
    size_t memory_bytes = memory_left(dump, compressors);
    /* Half of it at most is the storage's. */
    size_t writers = least(dump->reader_count, memory_bytes / 2 / WRITER_BYTES);
    writers = writers > 0 ? least(writers, round.object_count) : 1;
    const struct egress_pipeline pipeline = {
        .job = dump->job,
        .compression = dump->compression,
        .source = egress_dump_source(&round),
        .sink = egress_dump_sink(&round),
        .piece_count = round.piece_count,
        .object_count = round.object_count,
        .first_pieces = round.first_pieces,
        .readers = least(dump->reader_count, round.piece_count),
        .compressors = compressors,
        .writers = writers,
        .memory_bytes = (int64_t)memory_bytes - (int64_t)writers * WRITER_BYTES,
        .started = egress_dump_started,
        .finished = egress_dump_finished,
        .progress = egress_dump_progress,
        .context = &round,
    };
    /* What becomes of an object is kept by egress_dump_finished(). */
    dumped = rc_calloc(round.object_count, sizeof(*dumped));
    code = config->format == EGRESS_PARQUET ? egress_parquet_run(&round, &pipeline, dumped, err)
                                            : egress_pipeline_run(&pipeline, dumped, err);
    free(dumped);
    return code ? rc_context(err, "dump to '%s'", dump->folder) : RC_OK;
}

/* ---- what is done about failures ---- */

enum next { DONE, AGAIN, ANEW };

/*
 * What the database or the store may do at another time is tried again: with the same snapshot
 * while it is there, else all anew. What would fail again stays as it is.
 */
static enum next find_next(struct egress_dump *dump)
{
    struct rc_error ignored = RC_ERROR_INIT;
    bool is_broken = false;

    for (size_t i = 0; i < dump->plan.object_count; i++) {
        if (dump->dumped[i].code == RC_CONFLICT)
            return ANEW;
        is_broken |= dump->dumped[i].code == RC_UNAVAILABLE;
    }
    if (!is_broken)
        return DONE;
    return egress_database_exec(dump->snapshot.keeper, "see whether the snapshot is still there",
                                "SELECT 1", &ignored)
               ? ANEW
               : AGAIN;
}

/* Ends with the view of the last attempt, of which 'dumped' says what became of it. */
static enum rc_code dump_all(struct egress_dump *dump, struct rc_error *err)
{
    bool is_first = true;

    for (;; dump->attempt++) {
        if (egress_dump_check_lease(dump, err) || run_round(dump, is_first, err) ||
            egress_dump_check_lease(dump, err))
            return err->code;
        enum next next = find_next(dump);

        if (next == DONE || dump->attempt == dump->config->attempts)
            return RC_OK;
        rc_warn(dump->job, "%s",
                next == AGAIN ? "dumping what is left once more"
                              : "beginning again with a new snapshot");
        if (pause_before(dump, dump->attempt + 1, err))
            return err->code;
        is_first = next == ANEW;
        if (!is_first)
            continue;
        end_view(dump);
        if (begin_view(dump, err))
            return rc_context(err, "begin again");
    }
}

/* ---- the action ---- */

static enum rc_code dump_folder(struct egress_dump *dump, struct rc_error *err)
{
    if (egress_dump_check_lease(dump, err) || egress_dump_sweep(dump, err) ||
        egress_dump_drop_manifest(dump, err) || dump_all(dump, err))
        return err->code;
    egress_dump_tell_failures(dump);
    if (egress_dump_drop_stale(dump, err) || egress_dump_check_lease(dump, err) ||
        egress_dump_write_manifest(dump, err))
        return err->code;
    egress_dump_count(dump);
    return RC_OK;
}

static enum rc_code dump_tables(struct egress_dump *dump, struct rc_error *err)
{
    /* Nothing in the folder is touched before the database has been reached. */
    if (begin(dump, err) || begin_view(dump, err))
        return err->code;
    if (dump->job->dry_run) {
        egress_dump_show_plan(dump);
        egress_dump_tell_failures(dump);
    } else if (dump_folder(dump, err)) {
        return err->code;
    }
    return egress_dump_judge(dump, err);
}

enum rc_code egress_dump(struct rc_job *job, const void *config, struct rc_error *err)
{
    struct egress_dump dump = { .job = job, .config = config, .attempt = 1 };
    enum rc_code code = dump_tables(&dump, err);

    end(&dump);
    return code;
}
