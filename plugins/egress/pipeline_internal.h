/*
 * What the pipeline's two halves share: pipeline_next.c knows whose turn it is, pipeline.c does it.
 *
 * There are no threads for reading, compressing or writing: every worker does whatever step can be
 * done next, so that any number of workers, even one, brings the whole to its end.
 */
#ifndef EGRESS_PIPELINE_INTERNAL_H
#define EGRESS_PIPELINE_INTERNAL_H

#include "pipeline.h"

#include <openssl/evp.h>
#include <pthread.h>

enum { EGRESS_BLOCK_BYTES = 1 << 20, EGRESS_CHUNK_BYTES = 64 << 10 };

/*
 * Members are kept in chunks, which go round: memory that each worker would allocate and another
 * one free ends up in arenas of the allocator that hold a multiple of it.
 */
struct egress_chunk {
    struct egress_chunk *next;
    size_t len;
    char data[EGRESS_CHUNK_BYTES - sizeof(void *) - sizeof(size_t)];
};

/* A block of text, then the member that was made of it. */
struct egress_block {
    struct egress_block *next;     /* of its piece */
    struct egress_block *next_raw; /* of those that no compressor has taken yet */
    size_t object;
    char *text; /* or a member, or neither in an object that has failed */
    size_t text_len;
    struct egress_chunk *member;
    bool is_ready;
};

struct egress_part {
    size_t object;
    struct egress_block *first, *last; /* what was read of it and not written yet */
    bool is_begun, is_over;            /* over: nothing more will be read of it */
};

struct egress_pipe_reader {
    size_t piece;
    bool has_piece, is_open, is_busy;
};

struct egress_packer {
    struct egress_compressor *compressor;
    char *room; /* for the largest member */
    bool is_busy;
};

/* An object that is being written. */
struct egress_output {
    size_t object, turn; /* of its pieces */
    void *sink;
    EVP_MD_CTX *sha256;
    bool has_object, is_open, is_busy;
};

struct egress_machine {
    const struct egress_pipeline *plan;
    struct egress_dumped *dumped;
    char *empty; /* what an object without a byte of text is stored as */
    size_t empty_len;
    size_t room_bytes;                               /* for the largest member */
    size_t member_bytes;                             /* of the chunks that hold it */
    size_t reader_count, packer_count, output_count; /* of those below */
    size_t text_limit;                               /* texts at once */
    size_t limit_bytes;                              /* of members, there or to come */

    pthread_mutex_t mutex; /* guards all below; what is busy belongs to the worker that it keeps */
    pthread_cond_t changed;
    struct egress_part *parts; /* of the pieces, in their order */
    struct egress_pipe_reader *readers;
    struct egress_packer *packers;
    struct egress_output *outputs;
    size_t next_piece, next_object; /* to be opened */
    size_t finished;                /* objects */
    size_t steps;                   /* under way */
    struct egress_block *first_raw, *last_raw;
    char **spare_texts; /* that nobody uses, as the next */
    struct egress_chunk *spare_chunks;
    size_t spare_count, text_count, used_bytes; /* of the last two, what is in use */
    int64_t rows, bytes, stored_bytes;
    enum rc_code code; /* why all has to stop */
    struct rc_error err;

    pthread_mutex_t telling; /* taken before the other */
};

enum egress_step { EGRESS_READ, EGRESS_PACK, EGRESS_WRITE };

/* One step of a worker. */
struct egress_task {
    enum egress_step step;
    size_t slot;                /* of the readers, packers or outputs */
    char *text;                 /* to read into; NULL: the piece is only closed */
    struct egress_block *block; /* to compress or to write; NULL: the object is at its end */
    bool has_failed;            /* the object: the step gets on without doing anything */
};

static inline bool egress_has_failed(const struct egress_machine *m, size_t object)
{
    return m->dumped[object].code != RC_OK;
}

/* Waits for the next step that can be done. False: there will be none. */
bool egress_next(struct egress_machine *m, struct egress_task *out);

/*
 * Under the mutex. A block goes to the end of its piece. Chunks for a member of 'len' bytes are for
 * one whose text is given back next; chunks are given back when it is written.
 */
void egress_block_queue(struct egress_machine *m, size_t piece, struct egress_block *block);
struct egress_chunk *egress_chunks_take(struct egress_machine *m, size_t len);
void egress_text_give_back(struct egress_machine *m, char *text);
void egress_chunks_give_back(struct egress_machine *m, struct egress_chunk *chunks);

void egress_chunks_free(struct egress_chunk *chunks);
void egress_block_free(struct egress_block *block);

#endif
