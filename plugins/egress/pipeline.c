/*
 * The pipeline's steps, each of which one worker does without the mutex: read a block, make a
 * member of it, write the member; and what is there before the first step and after the last. Which
 * step is next, pipeline_next.c says.
 */
#include "pipeline_internal.h"

#include <run-core/host.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>

static int64_t now_unix_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- failing -------------------------------------------------------------------------------- */

/* RC_OK, or why all stop: the first reason counts. */
static enum rc_code check_run(struct egress_machine *m)
{
    struct rc_error err;
    enum rc_code code = rc_job_check(m->plan->job, &err);

    if (!code)
        return RC_OK;
    (void)pthread_mutex_lock(&m->mutex);
    if (!m->code) {
        m->code = code;
        m->err = err;
        (void)pthread_cond_broadcast(&m->changed);
    }
    (void)pthread_mutex_unlock(&m->mutex);
    return code;
}

/*
 * Gives an object up; what was said first counts. False: not so, it is the run that has to stop,
 * which sources and sinks see, too.
 */
static bool fail(struct egress_machine *m, size_t object, enum rc_code code,
                 const struct rc_error *err)
{
    struct egress_dumped *dumped = &m->dumped[object];

    if (check_run(m))
        return false;
    (void)pthread_mutex_lock(&m->mutex);
    if (!dumped->code) {
        dumped->code = code;
        dumped->err = *err;
    }
    (void)pthread_mutex_unlock(&m->mutex);
    return true;
}

/* ---- telling -------------------------------------------------------------------------------- */

static void start_object(struct egress_machine *m, size_t object)
{
    const struct egress_pipeline *plan = m->plan;

    (void)pthread_mutex_lock(&m->telling);
    m->dumped[object].started_unix_ms = now_unix_ms();
    if (plan->started)
        plan->started(plan->context, object);
    (void)pthread_mutex_unlock(&m->telling);
}

static void end_object(struct egress_machine *m, size_t object)
{
    const struct egress_pipeline *plan = m->plan;

    (void)pthread_mutex_lock(&m->telling);
    m->dumped[object].finished_unix_ms = now_unix_ms();
    if (plan->finished)
        plan->finished(plan->context, object, &m->dumped[object]);
    (void)pthread_mutex_unlock(&m->telling);
}

static void tell_progress(struct egress_machine *m)
{
    const struct egress_pipeline *plan = m->plan;
    int64_t rows, bytes, stored_bytes;

    if (!plan->progress)
        return;
    (void)pthread_mutex_lock(&m->telling);
    (void)pthread_mutex_lock(&m->mutex);
    rows = m->rows;
    bytes = m->bytes;
    stored_bytes = m->stored_bytes;
    (void)pthread_mutex_unlock(&m->mutex);
    plan->progress(plan->context, rows, bytes, stored_bytes);
    (void)pthread_mutex_unlock(&m->telling);
}

/* ---- reading -------------------------------------------------------------------------------- */

static enum rc_code open_piece(struct egress_machine *m, size_t slot, struct rc_error *err)
{
    const struct egress_source *source = &m->plan->source;
    struct egress_pipe_reader *reader = &m->readers[slot];
    size_t object = m->parts[reader->piece].object;
    enum rc_code code;

    if (reader->piece == m->plan->first_pieces[object])
        start_object(m, object);
    code = source->open(source->context, slot, reader->piece, err);
    reader->is_open = code == RC_OK;
    return code;
}

/* Reads the next block, or nothing of an object that has failed. *is_over: the piece is closed. */
static enum rc_code read_text(struct egress_machine *m, const struct egress_task *task, size_t *len,
                              int64_t *rows, bool *is_over, struct rc_error *err)
{
    const struct egress_source *source = &m->plan->source;
    struct egress_pipe_reader *reader = &m->readers[task->slot];
    enum rc_code code = RC_OK;

    *len = 0;
    *rows = 0;
    if (!task->has_failed && !reader->is_open)
        code = open_piece(m, task->slot, err);
    if (!task->has_failed && !code)
        code = source->read(source->context, task->slot, task->text, EGRESS_BLOCK_BYTES, len, err);
    RC_ASSERT(code || *len <= EGRESS_BLOCK_BYTES);

    *is_over = code || *len < EGRESS_BLOCK_BYTES;
    if (*is_over && reader->is_open) {
        source->close(source->context, task->slot, code || task->has_failed ? NULL : rows);
        reader->is_open = false;
    }
    return code;
}

static void do_read(struct egress_machine *m, const struct egress_task *task)
{
    struct egress_pipe_reader *reader = &m->readers[task->slot];
    size_t piece = reader->piece, object = m->parts[piece].object, len;
    struct egress_block *block = NULL;
    struct rc_error err = RC_ERROR_INIT;
    bool is_over;
    int64_t rows;
    enum rc_code code = read_text(m, task, &len, &rows, &is_over, &err);

    if (code) {
        (void)fail(m, object, code, &err);
    } else if (len > 0) {
        block = rc_calloc(1, sizeof(*block));
        block->object = object;
        block->text = task->text;
        block->text_len = len;
    }

    (void)pthread_mutex_lock(&m->mutex);
    if (block)
        egress_block_queue(m, piece, block);
    else if (task->text)
        egress_text_give_back(m, task->text);
    if (is_over) {
        m->parts[piece].is_over = true;
        reader->has_piece = false;
    }
    if (!code) {
        m->dumped[object].rows += rows;
        m->dumped[object].bytes += (int64_t)len;
        m->rows += rows;
        m->bytes += (int64_t)len;
    }
    reader->is_busy = false;
    m->steps--;
    (void)pthread_mutex_unlock(&m->mutex);
    tell_progress(m);
}

/* ---- compressing ---------------------------------------------------------------------------- */

static void fill_chunks(struct egress_chunk *chunk, const char *data)
{
    for (; chunk; chunk = chunk->next) {
        memcpy(chunk->data, data, chunk->len);
        data += chunk->len;
    }
}

/* Makes the member in the packer's room and keeps it in what it really takes. */
static enum rc_code pack(struct egress_machine *m, const struct egress_packer *packer,
                         struct egress_block *block, struct rc_error *err)
{
    size_t len;

    if (egress_compress(packer->compressor, block->text, block->text_len, packer->room,
                        m->room_bytes, &len, err))
        return err->code;
    (void)pthread_mutex_lock(&m->mutex);
    block->member = egress_chunks_take(m, len);
    (void)pthread_mutex_unlock(&m->mutex);
    fill_chunks(block->member, packer->room);
    return RC_OK;
}

static void do_pack(struct egress_machine *m, const struct egress_task *task)
{
    struct egress_packer *packer = &m->packers[task->slot];
    struct egress_block *block = task->block;
    struct rc_error err = RC_ERROR_INIT;
    enum rc_code code = task->has_failed ? RC_OK : pack(m, packer, block, &err);

    if (code)
        (void)fail(m, block->object, code, &err);

    (void)pthread_mutex_lock(&m->mutex);
    egress_text_give_back(m, block->text);
    block->text = NULL;
    block->is_ready = true;
    packer->is_busy = false;
    m->steps--;
    (void)pthread_mutex_unlock(&m->mutex);
}

/* ---- writing -------------------------------------------------------------------------------- */

static enum rc_code open_output(const struct egress_machine *m, struct egress_output *output,
                                struct rc_error *err)
{
    const struct egress_sink *sink = &m->plan->sink;
    enum rc_code code;

    if (!EVP_DigestInit_ex(output->sha256, EVP_sha256(), NULL))
        return rc_fail(err, RC_FAILED, "OpenSSL has no SHA-256 to offer");
    code = sink->open(sink->context, output->object, &output->sink, err);
    output->is_open = code == RC_OK;
    return code;
}

static void close_output(const struct egress_machine *m, struct egress_output *output)
{
    if (output->is_open)
        m->plan->sink.close(output->sink);
    output->is_open = false;
}

static enum rc_code write_output(struct egress_machine *m, struct egress_output *output,
                                 const char *data, size_t len, struct rc_error *err)
{
    enum rc_code code = output->is_open ? RC_OK : open_output(m, output, err);

    if (!code && !EVP_DigestUpdate(output->sha256, data, len))
        return rc_fail(err, RC_FAILED, "OpenSSL cannot go on with its SHA-256");
    if (!code && len > 0)
        code = m->plan->sink.write(output->sink, data, len, err);
    if (code)
        return code;
    (void)pthread_mutex_lock(&m->mutex);
    m->dumped[output->object].stored_bytes += (int64_t)len;
    m->stored_bytes += (int64_t)len;
    (void)pthread_mutex_unlock(&m->mutex);
    return RC_OK;
}

static void format_digest(const unsigned char *digest, size_t len, char *out)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < len; i++) {
        *out++ = digits[digest[i] >> 4];
        *out++ = digits[digest[i] & 15];
    }
    *out = '\0';
}

/* All members are written; an object that has none becomes what the codec makes of nothing. */
static enum rc_code commit_output(struct egress_machine *m, struct egress_output *output,
                                  struct rc_error *err)
{
    struct egress_dumped *dumped = &m->dumped[output->object];
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len;
    enum rc_code code = RC_OK;

    if (!output->is_open)
        code = write_output(m, output, m->empty, m->empty_len, err);
    if (code)
        return code;
    if (!EVP_DigestFinal_ex(output->sha256, digest, &len))
        return rc_fail(err, RC_FAILED, "OpenSSL cannot end its SHA-256");
    RC_ASSERT((size_t)len * 2 < sizeof(dumped->sha256));
    format_digest(digest, len, dumped->sha256);
    return m->plan->sink.commit(output->sink, err);
}

/* Commits the object or gives it up; neither if the run has to stop. */
static void finish_object(struct egress_machine *m, struct egress_output *output, bool has_failed)
{
    size_t object = output->object;
    struct rc_error err = RC_ERROR_INIT;
    bool is_finished = true;

    if (!has_failed) {
        enum rc_code code;

        if (m->plan->first_pieces[object] == m->plan->first_pieces[object + 1])
            start_object(m, object);
        code = commit_output(m, output, &err);
        if (code)
            is_finished = fail(m, object, code, &err);
    }
    close_output(m, output);
    if (is_finished)
        end_object(m, object);
}

static void write_member(struct egress_machine *m, struct egress_output *output,
                         const struct egress_chunk *chunk)
{
    struct rc_error err = RC_ERROR_INIT;
    enum rc_code code = RC_OK;

    for (; chunk && !code; chunk = chunk->next)
        code = write_output(m, output, chunk->data, chunk->len, &err);
    if (code)
        (void)fail(m, output->object, code, &err);
}

static void do_write(struct egress_machine *m, const struct egress_task *task)
{
    struct egress_output *output = &m->outputs[task->slot];
    struct egress_block *block = task->block;

    if (!block)
        finish_object(m, output, task->has_failed);
    else if (!task->has_failed)
        write_member(m, output, block->member);

    (void)pthread_mutex_lock(&m->mutex);
    if (block) {
        egress_chunks_give_back(m, block->member);
        block->member = NULL;
    } else {
        output->has_object = false;
        m->finished++;
    }
    output->is_busy = false;
    m->steps--;
    (void)pthread_mutex_unlock(&m->mutex);
    egress_block_free(block);
    tell_progress(m);
}

/* ---- the whole ------------------------------------------------------------------------------ */

static enum rc_code work(struct rc_job *job, void *context, size_t index, struct rc_error *err)
{
    struct egress_machine *m = context;
    struct egress_task task;

    (void)job; /* what one worker opens another may close, so all is done with the plan's */
    (void)index;
    (void)err;
    while (!check_run(m) && egress_next(m, &task)) {
        if (task.step == EGRESS_READ)
            do_read(m, &task);
        else if (task.step == EGRESS_PACK)
            do_pack(m, &task);
        else
            do_write(m, &task);
    }
    return RC_OK;
}

static size_t at_least_one(size_t wanted, size_t most)
{
    wanted = wanted < most ? wanted : most;
    return wanted > 0 ? wanted : 1;
}

static enum rc_code make_packers(struct egress_machine *m, struct rc_error *err)
{
    m->packers = rc_calloc(m->packer_count, sizeof(*m->packers));
    for (size_t i = 0; i < m->packer_count; i++) {
        struct egress_packer *packer = &m->packers[i];

        packer->compressor = egress_compressor_new(&m->plan->compression);
        m->room_bytes = egress_compressor_bound(packer->compressor, EGRESS_BLOCK_BYTES);
        packer->room = rc_malloc(m->room_bytes);
    }
    if (egress_compress(m->packers[0].compressor, NULL, 0, m->packers[0].room, m->room_bytes,
                        &m->empty_len, err))
        return err->code;
    m->empty = rc_malloc(m->empty_len + 1);
    memcpy(m->empty, m->packers[0].room, m->empty_len);
    return RC_OK;
}

/*
 * A text for each reader and packer, and one that waits for each packer, though not in more than
 * half of what there is; the other half and more is for members, of which two have to go in.
 */
static void share_memory(struct egress_machine *m)
{
    const size_t data_bytes = sizeof(((struct egress_chunk *)0)->data);
    size_t texts = m->reader_count + 2 * m->packer_count;
    size_t rooms_bytes = m->packer_count * m->room_bytes;
    size_t bytes = m->plan->memory_bytes > 0 ? (size_t)m->plan->memory_bytes : 0;

    bytes = bytes > rooms_bytes ? bytes - rooms_bytes : 0;
    if (texts > bytes / 2 / EGRESS_BLOCK_BYTES)
        texts = bytes / 2 / EGRESS_BLOCK_BYTES;
    m->text_limit = texts > 2 ? texts : 2;
    m->spare_texts = rc_calloc(m->text_limit, sizeof(*m->spare_texts));
    bytes = bytes > texts * EGRESS_BLOCK_BYTES ? bytes - texts * EGRESS_BLOCK_BYTES : 0;

    m->member_bytes = (m->room_bytes + data_bytes - 1) / data_bytes * sizeof(struct egress_chunk);
    m->limit_bytes = bytes > 2 * m->member_bytes ? bytes : 2 * m->member_bytes;
}

static void make_parts(struct egress_machine *m)
{
    const struct egress_pipeline *plan = m->plan;

    m->parts = rc_calloc(plan->piece_count + 1, sizeof(*m->parts));
    for (size_t object = 0; object < plan->object_count; object++)
        for (size_t i = plan->first_pieces[object]; i < plan->first_pieces[object + 1]; i++)
            m->parts[i].object = object;
}

static enum rc_code make(struct egress_machine *m, struct rc_error *err)
{
    const struct egress_pipeline *plan = m->plan;

    m->reader_count = at_least_one(plan->readers, plan->piece_count);
    m->packer_count = at_least_one(plan->compressors, SIZE_MAX);
    m->output_count = at_least_one(plan->writers, plan->object_count);
    m->readers = rc_calloc(m->reader_count, sizeof(*m->readers));
    m->outputs = rc_calloc(m->output_count, sizeof(*m->outputs));
    for (size_t i = 0; i < m->output_count; i++) {
        m->outputs[i].sha256 = EVP_MD_CTX_new();
        if (!m->outputs[i].sha256)
            rc_out_of_memory(sizeof(void *));
    }
    make_parts(m);
    if (make_packers(m, err))
        return err->code;
    share_memory(m);
    return RC_OK;
}

/* No worker is left; after a run that had to stop there is something open. */
static void clear(struct egress_machine *m)
{
    const struct egress_source *source = &m->plan->source;

    for (size_t i = 0; i < m->reader_count; i++)
        if (m->readers[i].is_open)
            source->close(source->context, i, NULL);
    for (size_t i = 0; i < m->output_count; i++) {
        close_output(m, &m->outputs[i]);
        EVP_MD_CTX_free(m->outputs[i].sha256);
    }
    for (size_t i = 0; i < m->plan->piece_count; i++)
        for (struct egress_block *block = m->parts[i].first, *next; block; block = next) {
            next = block->next;
            egress_block_free(block);
        }
    for (size_t i = 0; i < m->packer_count; i++) {
        egress_compressor_free(m->packers[i].compressor);
        free(m->packers[i].room);
    }
    for (size_t i = 0; i < m->spare_count; i++)
        free(m->spare_texts[i]);
    egress_chunks_free(m->spare_chunks);
    free(m->spare_texts);
    free(m->empty);
    free(m->parts);
    free(m->readers);
    free(m->packers);
    free(m->outputs);
    (void)pthread_cond_destroy(&m->changed);
    (void)pthread_mutex_destroy(&m->telling);
    (void)pthread_mutex_destroy(&m->mutex);
}

enum rc_code egress_pipeline_run(const struct egress_pipeline *pipeline,
                                 struct egress_dumped *dumped, struct rc_error *err)
{
    struct egress_machine machine = {
        .plan = pipeline,
        .dumped = dumped,
        .mutex = PTHREAD_MUTEX_INITIALIZER,
        .changed = PTHREAD_COND_INITIALIZER,
        .telling = PTHREAD_MUTEX_INITIALIZER,
    };
    enum rc_code code;

    RC_ASSERT(pipeline->first_pieces[pipeline->object_count] == pipeline->piece_count);
    memset(dumped, 0, pipeline->object_count * sizeof(*dumped));
    code = make(&machine, err);
    if (!code) {
        size_t workers = machine.reader_count + machine.packer_count + machine.output_count;

        code = rc_parallel(pipeline->job, workers, workers, work, &machine, err);
    }
    if (!code && machine.code) {
        code = machine.code;
        *err = machine.err;
    }
    clear(&machine);
    for (size_t i = 0; code && i < pipeline->object_count; i++) {
        if (dumped[i].finished_unix_ms != 0 || dumped[i].code)
            continue;
        dumped[i].code = code;
        dumped[i].err = *err;
    }
    return code;
}
