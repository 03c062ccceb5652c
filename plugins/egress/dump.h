/*
 * A run of 'dump', as its parts share it: dump.c has the order of things, dump_source.c reads from
 * the database, dump_unchanged.c sees whether that was what the snapshot saw, dump_sink.c writes
 * objects, dump_folder.c keeps the run's folder in order, dump_report.c tells of it.
 */
#ifndef EGRESS_DUMP_H
#define EGRESS_DUMP_H

#include "copy.h"
#include "pipeline.h"
#include "plan.h"

#include <stdatomic.h>

/* A connection that reads; of one thread at a time. */
struct egress_reader {
    struct egress_database *database; /* NULL: none, or not any more */
    const struct egress_piece *piece;
    struct egress_copy *copy; /* while the piece is being read */
    int64_t rows;             /* of the piece, once its end was read */
    bool is_cut_off;          /* it has waited for a connection in vain */
};

/* How far a table is. */
struct egress_table_state {
    size_t first, count; /* objects of the plan */
    size_t objects_left;
    bool is_started;   /* and that was said */
    bool is_told;      /* that it failed */
    int64_t warned_of; /* the last attempt of which it was told that it failed; 0: none */
};

struct egress_dump {
    struct rc_job *job;
    const struct egress_config *config;
    struct egress_layout layout;
    struct egress_compression compression;
    char *folder; /* URI of the run's folder, which ends with '/' */
    int64_t started_unix_ms;
    struct rc_lock *lock;

    struct egress_reader *readers;
    size_t reader_count;
    struct egress_config hasty; /* the configuration, for connections that need not be */

    int64_t attempt; /* counted from 1 */

    /* One view of the database, and what there is to be dumped of it. */
    struct egress_snapshot snapshot;
    struct egress_catalog catalog;
    struct egress_plan plan;
    struct egress_dumped *dumped;      /* of each object of the plan */
    struct egress_table_state *states; /* of each table of the catalogue */
    double estimated_rows;             /* of all objects; below 0: unknown */
    int64_t rows_before;               /* in rounds before the present one */
};

/* A pass over objects that are still to be dumped: indices into the plan. */
struct egress_round {
    struct egress_dump *dump;
    size_t *objects, object_count;
    size_t *pieces, piece_count;
    size_t *first_pieces;        /* into 'pieces', of each object; one more behind the last */
    atomic_size_t cut_off_count; /* readers that wait for no connection any more */
};

/* ---- dump_source.c ---- */

/*
 * Opens the connections that read, as many as are configured and of use. The first has to succeed;
 * where the server has no room for more, fewer do.
 */
RC_MUST_CHECK enum rc_code egress_dump_connect(struct egress_dump *dump, struct rc_error *err);
void egress_dump_disconnect(struct egress_dump *dump);
/* Fails with RC_CONFLICT where the snapshot no longer shows what a table held. */
struct egress_source egress_dump_source(struct egress_round *round);

/* ---- dump_unchanged.c ---- */

/* At the end of a piece, in its transaction. RC_CONFLICT: the snapshot no longer shows it all. */
RC_MUST_CHECK enum rc_code egress_dump_check_unchanged(struct egress_reader *reader,
                                                       struct rc_error *err);

/* ---- dump_sink.c ---- */

struct egress_sink egress_dump_sink(struct egress_round *round);

/* ---- dump_folder.c ---- */

/*
 * RC_CONFLICT: the lease was lost, and the folder may be another run's by now. Asked before
 * anything in it is changed. Any thread.
 */
RC_MUST_CHECK enum rc_code egress_dump_check_lease(struct egress_dump *dump, struct rc_error *err);
/* Gives up what killed runs have left half uploaded. */
RC_MUST_CHECK enum rc_code egress_dump_sweep(struct egress_dump *dump, struct rc_error *err);
/* From here on the folder is not complete. */
RC_MUST_CHECK enum rc_code egress_dump_drop_manifest(struct egress_dump *dump,
                                                     struct rc_error *err);
/* Removes objects of the tables of this run that are not of this run. */
RC_MUST_CHECK enum rc_code egress_dump_drop_stale(struct egress_dump *dump, struct rc_error *err);

/* ---- dump_report.c ---- */

/* Before the first round over a view. */
void egress_dump_begin_report(struct egress_dump *dump);
void egress_dump_free_report(struct egress_dump *dump);
/* As the pipeline calls them, with a round. */
void egress_dump_started(void *context, size_t object);
void egress_dump_finished(void *context, size_t object, const struct egress_dumped *dumped);
void egress_dump_progress(void *context, int64_t rows, int64_t bytes, int64_t stored_bytes);

/* Of a dry run. */
void egress_dump_show_plan(struct egress_dump *dump);
/* Why a table was not dumped, or NULL. */
const struct rc_error *egress_dump_failure(const struct egress_dump *dump, size_t table);
RC_MUST_CHECK enum rc_code egress_dump_write_manifest(struct egress_dump *dump,
                                                      struct rc_error *err);
/* Each table that cannot be, or was not dumped, with its cause, unless that was told before. */
void egress_dump_tell_failures(struct egress_dump *dump);
void egress_dump_count(const struct egress_dump *dump);
/* RC_FAILED: something was not dumped. */
RC_MUST_CHECK enum rc_code egress_dump_judge(const struct egress_dump *dump, struct rc_error *err);

#endif
