/*
 * Whose turn it is: which step can be done next, and what memory it may take. Calls neither sources
 * nor sinks.
 *
 * Why it never stands still. Of the pieces that are not read to their end, let the head be the
 * first. What lies before it is compressed and written whatever else happens: compressing never
 * takes more memory than was counted for the text, writing takes none, and the object that comes
 * first always has one of the outputs, since objects get theirs in order. So that memory comes
 * back. Pieces behind the head read only while a block and the memory for it remain, so all that
 * they ever hold leaves room for one block, and the head gets it. It is open or the next to be
 * opened, since pieces are opened in order. Whatever the head reads is written in its turn, so in
 * the end it is over, and the next one is the head. An object that fails goes the same way, only
 * that its steps do nothing.
 *
 * Who takes a step wakes one more worker if there is another step to take, and who has done one
 * looks for the next: so no step waits while a worker does.
 */
#include "pipeline_internal.h"

#include <stdlib.h>

/* ---- memory --------------------------------------------------------------------------------- */

/*
 * A text counts for the largest member that it may become; it is itself of a number that is fixed.
 */
static char *take_text(struct egress_machine *m)
{
    m->text_count++;
    m->used_bytes += m->member_bytes;
    return m->spare_count > 0 ? m->spare_texts[--m->spare_count] : rc_malloc(EGRESS_BLOCK_BYTES);
}

void egress_text_give_back(struct egress_machine *m, char *text)
{
    m->text_count--;
    m->used_bytes -= m->member_bytes;
    m->spare_texts[m->spare_count++] = text;
}

struct egress_chunk *egress_chunks_take(struct egress_machine *m, size_t len)
{
    struct egress_chunk *first = NULL;

    while (len > 0) {
        struct egress_chunk *chunk = m->spare_chunks;

        if (chunk)
            m->spare_chunks = chunk->next;
        else
            chunk = rc_malloc(sizeof(*chunk));
        chunk->len = len < sizeof(chunk->data) ? len : sizeof(chunk->data);
        chunk->next = first;
        first = chunk;
        len -= chunk->len;
        m->used_bytes += sizeof(*chunk);
    }
    return first;
}

void egress_chunks_give_back(struct egress_machine *m, struct egress_chunk *chunks)
{
    while (chunks) {
        struct egress_chunk *next = chunks->next;

        chunks->next = m->spare_chunks;
        m->spare_chunks = chunks;
        chunks = next;
        m->used_bytes -= sizeof(*chunks);
    }
}

void egress_chunks_free(struct egress_chunk *chunks)
{
    while (chunks) {
        struct egress_chunk *next = chunks->next;

        free(chunks);
        chunks = next;
    }
}

static bool has_room(const struct egress_machine *m, bool is_head)
{
    size_t blocks = is_head ? 1 : 2;

    return m->text_count + blocks <= m->text_limit &&
           m->used_bytes + blocks * m->member_bytes <= m->limit_bytes;
}

/* ---- blocks --------------------------------------------------------------------------------- */

void egress_block_free(struct egress_block *block)
{
    if (!block)
        return;
    free(block->text);
    egress_chunks_free(block->member);
    free(block);
}

void egress_block_queue(struct egress_machine *m, size_t piece, struct egress_block *block)
{
    struct egress_part *part = &m->parts[piece];

    *(part->last ? &part->last->next : &part->first) = block;
    part->last = block;
    *(m->last_raw ? &m->last_raw->next_raw : &m->first_raw) = block;
    m->last_raw = block;
}

static struct egress_block *take_raw(struct egress_machine *m)
{
    struct egress_block *block = m->first_raw;

    m->first_raw = block->next_raw;
    if (!m->first_raw)
        m->last_raw = NULL;
    return block;
}

static struct egress_block *take_ready(struct egress_part *part)
{
    struct egress_block *block = part->first;

    part->first = block->next;
    if (!part->first)
        part->last = NULL;
    return block;
}

/* ---- what can be done ----------------------------------------------------------------------- */

/* Outputs go to objects in their order, once something of them is read; one may have no piece. */
static void hand_out_outputs(struct egress_machine *m)
{
    const size_t *first_pieces = m->plan->first_pieces;

    for (size_t i = 0; i < m->output_count; i++) {
        size_t object = m->next_object;

        if (m->outputs[i].has_object || object == m->plan->object_count)
            continue;
        if (m->next_piece <= first_pieces[object] &&
            first_pieces[object] < first_pieces[object + 1])
            return;
        m->outputs[i].has_object = true;
        m->outputs[i].object = object;
        m->outputs[i].turn = first_pieces[object];
        m->next_object++;
    }
}

/* Of an object that has failed, pieces that were not begun will never be. */
static bool is_part_over(const struct egress_machine *m, const struct egress_part *part)
{
    return part->is_over || (!part->is_begun && egress_has_failed(m, part->object));
}

static bool can_write(struct egress_machine *m, struct egress_output *output)
{
    size_t end = m->plan->first_pieces[output->object + 1];

    while (output->turn < end) {
        const struct egress_part *part = &m->parts[output->turn];

        if (part->first)
            return part->first->is_ready;
        if (!is_part_over(m, part))
            return false;
        output->turn++;
    }
    return true;
}

static bool find_write(struct egress_machine *m, struct egress_task *out)
{
    hand_out_outputs(m);
    for (size_t i = 0; i < m->output_count; i++) {
        struct egress_output *output = &m->outputs[i];

        if (!output->has_object || output->is_busy || !can_write(m, output))
            continue;
        *out = (struct egress_task){ .step = EGRESS_WRITE, .slot = i };
        return true;
    }
    return false;
}

static bool find_pack(const struct egress_machine *m, struct egress_task *out)
{
    for (size_t i = 0; m->first_raw && i < m->packer_count; i++) {
        if (m->packers[i].is_busy)
            continue;
        *out = (struct egress_task){ .step = EGRESS_PACK, .slot = i };
        return true;
    }
    return false;
}

static void pass_over_failed(struct egress_machine *m)
{
    while (m->next_piece < m->plan->piece_count) {
        size_t object = m->parts[m->next_piece].object;

        if (!egress_has_failed(m, object))
            return;
        m->next_piece = m->plan->first_pieces[object + 1];
    }
}

/* The piece nearest to its turn, be it open or not; what is only to be closed goes before all. */
static bool find_read(struct egress_machine *m, struct egress_task *out)
{
    const struct egress_pipe_reader *best = NULL;
    size_t head, piece;

    pass_over_failed(m);
    head = piece = m->next_piece;
    for (size_t i = 0; i < m->reader_count; i++) {
        const struct egress_pipe_reader *reader = &m->readers[i];
        size_t own = reader->has_piece ? reader->piece : m->next_piece;

        head = own < head ? own : head;
        if (reader->is_busy)
            continue;
        if (reader->has_piece && egress_has_failed(m, m->parts[own].object)) {
            *out = (struct egress_task){ .step = EGRESS_READ, .slot = i, .has_failed = true };
            return true;
        }
        if (!best || own < piece) {
            best = reader;
            piece = own;
        }
    }
    if (!best || piece == m->plan->piece_count || !has_room(m, piece == head))
        return false;
    *out = (struct egress_task){ .step = EGRESS_READ, .slot = (size_t)(best - m->readers) };
    return true;
}

/* What frees memory goes before what takes it. */
static bool find(struct egress_machine *m, struct egress_task *out)
{
    return find_write(m, out) || find_pack(m, out) || find_read(m, out);
}

/* ---- taking it ------------------------------------------------------------------------------ */

static void begin_read(struct egress_machine *m, struct egress_task *task)
{
    struct egress_pipe_reader *reader = &m->readers[task->slot];

    reader->is_busy = true;
    if (task->has_failed)
        return;
    task->text = take_text(m);
    if (!reader->has_piece) {
        reader->has_piece = true;
        reader->piece = m->next_piece++;
        m->parts[reader->piece].is_begun = true;
    }
}

static void begin(struct egress_machine *m, struct egress_task *task)
{
    struct egress_output *output;

    m->steps++;
    switch (task->step) {
    case EGRESS_READ:
        begin_read(m, task);
        break;
    case EGRESS_PACK:
        m->packers[task->slot].is_busy = true;
        task->block = take_raw(m);
        task->has_failed = egress_has_failed(m, task->block->object);
        break;
    case EGRESS_WRITE:
        output = &m->outputs[task->slot];
        output->is_busy = true;
        if (output->turn < m->plan->first_pieces[output->object + 1])
            task->block = take_ready(&m->parts[output->turn]);
        task->has_failed = egress_has_failed(m, output->object);
        break;
    }
}

bool egress_next(struct egress_machine *m, struct egress_task *out)
{
    struct egress_task other;
    bool found = false;

    (void)pthread_mutex_lock(&m->mutex);
    while (!m->code && m->finished < m->plan->object_count && !(found = find(m, out))) {
        RC_ASSERT(m->steps > 0); /* somebody is about to change something: see above */
        (void)pthread_cond_wait(&m->changed, &m->mutex);
    }
    if (!found) {
        (void)pthread_cond_broadcast(&m->changed);
    } else {
        begin(m, out);
        if (find(m, &other))
            (void)pthread_cond_signal(&m->changed);
    }
    (void)pthread_mutex_unlock(&m->mutex);
    return found;
}
