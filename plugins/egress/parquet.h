/*
 * 'format: parquet' of a dump: what the pipeline takes for objects of CSV goes through the embedded
 * SQL engine on its way into them, as it comes. Nothing lies on disk between, and an object is
 * committed when the engine has said how many rows are in it, and these are as many as COPY sent.
 */
#ifndef EGRESS_PARQUET_H
#define EGRESS_PARQUET_H

#include "dump.h"

#define EGRESS_PARQUET_TYPE "application/vnd.apache.parquet"
#define EGRESS_PARQUET_COMPRESSION "zstd" /* of the pages inside */

#define EGRESS_PARQUET_QUOTE '\001' /* of the text, see egress_plan_sql() */

/* Whether there is an engine at all. */
RC_MUST_CHECK enum rc_code egress_parquet_check(struct rc_job *job, struct rc_error *err);

/*
 * As egress_pipeline_run(), with the round as the plan's context and sinks that hold Parquet in the
 * end. Of 'dumped' the stored bytes and the digest are those of what is stored.
 */
RC_MUST_CHECK enum rc_code egress_parquet_run(struct egress_round *round,
                                              const struct egress_pipeline *plan,
                                              struct egress_dumped *dumped, struct rc_error *err);

/* ---- parquet_sql.c ---- */

/* In the engine's words: the CSV of the table from one file descriptor, Parquet to another. */
struct egress_parquet_copy {
    const struct egress_table *table;
    int input, output;
    int64_t row_bytes; /* the longest row of the text */
};
/* RC_UNSUPPORTED: a table without columns. */
RC_MUST_CHECK enum rc_code egress_parquet_sql(const struct egress_parquet_copy *copy,
                                              struct rc_buf *out, struct rc_error *err);

/* ---- parquet_engine.c ---- */

/*
 * Sessions of the engine, each in a thread that runs one statement after the other, while who has
 * taken it feeds it. Threads are those of rc_parallel(), as calls of the host ask for them.
 */
struct egress_engines;
struct egress_engine;

struct egress_engines *egress_engines_new(size_t count, int64_t memory_bytes);
void egress_engines_free(struct egress_engines *engines);
/* One thread of it; returns after egress_engines_end(), or when the run has to stop. */
void egress_engine_serve(struct rc_job *job, struct egress_engines *engines, size_t index);
void egress_engines_end(struct egress_engines *engines);

/* Waits for one that is free. RC_UNAVAILABLE: there is none, as threads are short. */
RC_MUST_CHECK enum rc_code egress_engine_take(struct rc_job *job, struct egress_engines *engines,
                                              struct egress_engine **out, struct rc_error *err);
/* Begins a statement, whose text and 'output' are the engine's from now on: it closes 'output' when
 * the statement has ended, however it did. */
void egress_engine_begin(struct egress_engine *engine, char *statement, int output);
/* Waits for the end of the statement. */
RC_MUST_CHECK enum rc_code egress_engine_wait(struct egress_engine *engine, int64_t *rows,
                                              struct rc_error *err);
/* Stops a statement that is under way; it may have to be said again. */
void egress_engine_cancel(struct egress_engine *engine);
void egress_engine_give_back(struct egress_engine *engine);

/* ---- parquet_sink.c ---- */

/* A sink in front of another: CSV in, Parquet out. */
struct egress_parquet_sink;

struct egress_stored {
    int64_t rows, bytes;
    char sha256[EGRESS_SHA256_TEXT];
};

struct egress_parquet_opening {
    struct rc_job *job;
    struct egress_engines *engines;
    const struct egress_table *table;
    const struct egress_sink *inner;
    size_t object;     /* as the inner sink knows it */
    int64_t row_bytes; /* the longest row that is taken */
};
RC_MUST_CHECK enum rc_code egress_parquet_open(const struct egress_parquet_opening *opening,
                                               struct egress_parquet_sink **out,
                                               struct rc_error *err);
RC_MUST_CHECK enum rc_code egress_parquet_write(struct egress_parquet_sink *sink, const char *data,
                                                size_t len, struct rc_error *err);
/* RC_CORRUPT: the engine has not made of the text 'rows' rows. */
RC_MUST_CHECK enum rc_code egress_parquet_commit(struct egress_parquet_sink *sink, int64_t rows,
                                                 struct egress_stored *out, struct rc_error *err);
void egress_parquet_close(struct egress_parquet_sink *sink);

#endif
