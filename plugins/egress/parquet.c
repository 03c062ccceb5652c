/*
 * The round of a dump whose objects are Parquet: the pipeline in one thread, the engine's sessions
 * in others, and between them sinks that lead from the one to the other.
 */
#include "parquet.h"

#include <run-core/host.h>

#include <stdlib.h>
#include <string.h>

#define MIB (INT64_C(1) << 20)

enum {
    PIPELINE_SHARE = 16, /* of the memory: a part in so many */
    ROW_SHARE = 16,      /* of a session's memory, for the text of one row */
    MOST_SESSIONS = 32,  /* each has to get a thread of rc_parallel() */
};

/* What a session takes beside what its limit counts: the library, pages that it has given back to
 * its allocator, and what a writer gathers. */
#define SESSION_EXTRA_BYTES (124 * MIB)
/* Less, and even narrow rows do not go through. */
#define SESSION_LEAST_BYTES (112 * MIB)

struct parquet {
    struct egress_round *round;
    const struct egress_pipeline *plan;
    struct egress_engines *engines;
    int64_t session_bytes;
    size_t *pieces; /* that the readers are at */
    int64_t *rows;  /* of each piece */
    struct egress_stored *stored;
    struct egress_pipeline inner; /* the plan, with ours in between */
    struct egress_dumped *dumped;
    enum rc_code code;
    struct rc_error err;
};

enum rc_code egress_parquet_check(struct rc_job *job, struct rc_error *err)
{
    struct rc_sql *sql;

    if (rc_sql_open(job, NULL, &sql, err))
        return rc_context(err, "'format' parquet needs the embedded SQL engine");
    rc_sql_close(job, sql);
    return RC_OK;
}

/* ---- the source: who counts the rows -------------------------------------------------------- */

static enum rc_code open_piece(void *context, size_t reader, size_t piece, struct rc_error *err)
{
    struct parquet *parquet = context;
    const struct egress_source *source = &parquet->plan->source;

    parquet->pieces[reader] = piece;
    return source->open(source->context, reader, piece, err);
}

static enum rc_code read_piece(void *context, size_t reader, void *data, size_t capacity,
                               size_t *len, struct rc_error *err)
{
    struct parquet *parquet = context;
    const struct egress_source *source = &parquet->plan->source;

    return source->read(source->context, reader, data, capacity, len, err);
}

static void close_piece(void *context, size_t reader, int64_t *rows)
{
    struct parquet *parquet = context;
    const struct egress_source *source = &parquet->plan->source;

    source->close(source->context, reader, rows);
    if (rows)
        parquet->rows[parquet->pieces[reader]] = *rows;
}

/* ---- the sink ------------------------------------------------------------------------------- */

struct sink {
    struct parquet *parquet;
    size_t object;
    struct egress_parquet_sink *parquet_sink;
};

static enum rc_code open_object(void *context, size_t object, void **out, struct rc_error *err)
{
    struct parquet *parquet = context;
    struct egress_dump *dump = parquet->round->dump;
    size_t table = dump->plan.objects[parquet->round->objects[object]].table;
    const struct egress_parquet_opening opening = {
        .job = dump->job,
        .engines = parquet->engines,
        .table = &dump->catalog.tables[table],
        .inner = &parquet->plan->sink,
        .object = object,
        .row_bytes = parquet->session_bytes / ROW_SHARE,
    };
    struct egress_parquet_sink *parquet_sink;
    struct sink *sink;

    if (egress_parquet_open(&opening, &parquet_sink, err))
        return err->code;
    sink = rc_malloc(sizeof(*sink));
    *sink = (struct sink){ .parquet = parquet, .object = object, .parquet_sink = parquet_sink };
    *out = sink;
    return RC_OK;
}

static enum rc_code write_object(void *context, const void *data, size_t len, struct rc_error *err)
{
    struct sink *sink = context;

    return egress_parquet_write(sink->parquet_sink, data, len, err);
}

/* All pieces of the object are closed by now. */
static enum rc_code commit_object(void *context, struct rc_error *err)
{
    struct sink *sink = context;
    struct parquet *parquet = sink->parquet;
    const size_t *first = &parquet->plan->first_pieces[sink->object];
    int64_t rows = 0;

    for (size_t i = first[0]; i < first[1]; i++)
        rows += parquet->rows[i];
    return egress_parquet_commit(sink->parquet_sink, rows, &parquet->stored[sink->object], err);
}

static void close_object(void *context)
{
    struct sink *sink = context;

    egress_parquet_close(sink->parquet_sink);
    free(sink);
}

/* ---- what is told --------------------------------------------------------------------------- */

/* The pipeline knows what it has given to its sink, which is not what is stored. */
static void correct(struct egress_dumped *dumped, const struct egress_stored *stored)
{
    dumped->stored_bytes = stored->bytes;
    memcpy(dumped->sha256, stored->sha256, sizeof(dumped->sha256));
}

static void tell_started(void *context, size_t object)
{
    struct parquet *parquet = context;

    parquet->plan->started(parquet->plan->context, object);
}

static void tell_finished(void *context, size_t object, const struct egress_dumped *dumped)
{
    struct parquet *parquet = context;
    struct egress_dumped corrected = *dumped;

    correct(&corrected, &parquet->stored[object]);
    parquet->plan->finished(parquet->plan->context, object, &corrected);
}

static void tell_progress(void *context, int64_t rows, int64_t bytes, int64_t stored_bytes)
{
    struct parquet *parquet = context;

    parquet->plan->progress(parquet->plan->context, rows, bytes, stored_bytes);
}

/* ---- the whole ------------------------------------------------------------------------------ */

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* As many sessions as there is memory for; what they leave is the pipeline's. */
static void share_memory(struct parquet *parquet)
{
    const struct egress_pipeline *plan = parquet->plan;
    int64_t memory_bytes = parquet->round->dump->config->memory_bytes;
    int64_t bytes = memory_bytes - memory_bytes / PIPELINE_SHARE;
    size_t sessions = (size_t)(bytes / (SESSION_LEAST_BYTES + SESSION_EXTRA_BYTES));

    sessions = least(least(sessions, plan->readers), plan->object_count);
    sessions = least(sessions > 0 ? sessions : 1, MOST_SESSIONS);
    parquet->session_bytes = bytes / (int64_t)sessions - SESSION_EXTRA_BYTES;
    if (parquet->session_bytes < SESSION_LEAST_BYTES)
        parquet->session_bytes = SESSION_LEAST_BYTES;
    parquet->inner.writers = sessions;
    parquet->inner.memory_bytes = memory_bytes / PIPELINE_SHARE;
}

static void prepare(struct parquet *parquet)
{
    const struct egress_pipeline *plan = parquet->plan;

    parquet->pieces = rc_calloc(plan->readers + 1, sizeof(*parquet->pieces));
    parquet->rows = rc_calloc(plan->piece_count + 1, sizeof(*parquet->rows));
    parquet->stored = rc_calloc(plan->object_count + 1, sizeof(*parquet->stored));
    parquet->inner = *plan;
    parquet->inner.compression = (struct egress_compression){ .codec = EGRESS_CODEC_NONE };
    parquet->inner.compressors = 1;
    parquet->inner.source = (struct egress_source){
        .open = open_piece, .read = read_piece, .close = close_piece, .context = parquet
    };
    parquet->inner.sink = (struct egress_sink){ .open = open_object,
                                                .write = write_object,
                                                .commit = commit_object,
                                                .close = close_object,
                                                .context = parquet };
    parquet->inner.started = tell_started;
    parquet->inner.finished = tell_finished;
    parquet->inner.progress = tell_progress;
    parquet->inner.context = parquet;
    share_memory(parquet);
    parquet->engines = egress_engines_new(parquet->inner.writers, parquet->session_bytes);
}

static void clear(struct parquet *parquet)
{
    egress_engines_free(parquet->engines);
    free(parquet->pieces);
    free(parquet->rows);
    free(parquet->stored);
}

/* The pipeline is the first item, the sessions are the others; none ends for another's failure. */
static enum rc_code work(struct rc_job *job, void *context, size_t index, struct rc_error *err)
{
    struct parquet *parquet = context;

    (void)err;
    if (index > 0) {
        egress_engine_serve(job, parquet->engines, index - 1);
        return RC_OK;
    }
    parquet->code = egress_pipeline_run(&parquet->inner, parquet->dumped, &parquet->err);
    egress_engines_end(parquet->engines);
    return RC_OK;
}

enum rc_code egress_parquet_run(struct egress_round *round, const struct egress_pipeline *plan,
                                struct egress_dumped *dumped, struct rc_error *err)
{
    struct parquet parquet = { .round = round, .plan = plan, .dumped = dumped };
    enum rc_code code;

    prepare(&parquet);
    code = rc_parallel(plan->job, parquet.inner.writers + 1, parquet.inner.writers + 1, work,
                       &parquet, err);
    for (size_t i = 0; i < plan->object_count; i++)
        correct(&dumped[i], &parquet.stored[i]);
    clear(&parquet);
    if (parquet.code) {
        *err = parquet.err;
        return err->code;
    }
    return code;
}
