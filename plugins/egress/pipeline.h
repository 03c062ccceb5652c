/*
 * The dump's machine: readers fill blocks from the pieces of the objects, compressors turn blocks
 * into members, writers put the members of an object behind one another, in order, into its sink.
 *
 *     source --reader--> block --compressor--> member --writer--> sink
 *
 * Data goes one way. Pieces are given out in order; what comes out of order waits in memory, which
 * is bounded: the piece whose turn it is always gets on, others only while there is room. An object
 * that fails is given up, its sink closed without a commit; the others go on. Knows neither
 * databases nor stores.
 *
 * Sources and sinks are called in the workers of rc_parallel(); what belongs to one reader, or to
 * one sink, by one worker at a time, though not always the same. When the run has to stop they see
 * it for themselves (host calls do) and return: nothing of theirs is interrupted.
 */
#ifndef EGRESS_PIPELINE_H
#define EGRESS_PIPELINE_H

#include "compress.h"

/* Where pieces come from. A reader (0 and more) has one piece open at a time. */
struct egress_source {
    enum rc_code (*open)(void *context, size_t reader, size_t piece, struct rc_error *err);
    /* *len below 'capacity': this was the end. */
    enum rc_code (*read)(void *context, size_t reader, void *data, size_t capacity, size_t *len,
                         struct rc_error *err);
    /* Of a piece that was opened; 'rows' is NULL unless the end was read. */
    void (*close)(void *context, size_t reader, int64_t *rows);
    void *context;
};

/*
 * Where an object goes. Opened when there is something to write or the object is empty, in the
 * order of the objects, at most 'writers' of them. Close without commit: nothing of it is seen.
 */
struct egress_sink {
    enum rc_code (*open)(void *context, size_t object, void **sink, struct rc_error *err);
    enum rc_code (*write)(void *sink, const void *data, size_t len, struct rc_error *err);
    enum rc_code (*commit)(void *sink, struct rc_error *err);
    void (*close)(void *sink);
    void *context;
};

enum { EGRESS_SHA256_TEXT = 65 };

struct egress_dumped {
    enum rc_code code; /* of the object; RC_OK: it was committed */
    struct rc_error err;
    int64_t rows, bytes, stored_bytes;         /* bytes: of the text */
    int64_t started_unix_ms, finished_unix_ms; /* 0: the run had to stop before */
    char sha256[EGRESS_SHA256_TEXT];           /* of what is stored, in hex */
};

struct egress_pipeline {
    struct rc_job *job;
    struct egress_compression compression;
    struct egress_source source;
    struct egress_sink sink;
    size_t piece_count, object_count;
    const size_t *first_pieces; /* of each object, in order; object_count + 1 of them */
    size_t readers, compressors, writers;
    /*
     * For blocks and members; the least that works is taken if it is too low. What each compressor
     * takes for itself comes on top, and so does what a sink holds.
     */
    int64_t memory_bytes;

    /*
     * Told in one worker at a time; any may be NULL. An object starts when its first piece is about
     * to be opened, and finishes when it is committed or given up.
     */
    void (*started)(void *context, size_t object);
    void (*finished)(void *context, size_t object, const struct egress_dumped *dumped);
    /* Sums over all objects so far; the rows of a piece come with its end. */
    void (*progress)(void *context, int64_t rows, int64_t bytes, int64_t stored_bytes);
    void *context;
};

/*
 * 'dumped' has an entry for each object. RC_OK although objects failed; an error only where all had
 * to stop: cancelled, out of time.
 */
RC_MUST_CHECK enum rc_code egress_pipeline_run(const struct egress_pipeline *pipeline,
                                               struct egress_dumped *dumped, struct rc_error *err);

#endif
