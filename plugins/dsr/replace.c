/*
 * Erasing what was found in one object: steps R2 to R6 of README.md. A copy of the object is
 * rewritten in files without a name, and the new file is verified (verify.c); then the intent is
 * noted, the object replaced by one conditional write, and that is noted.
 *
 * What is not known after the write is settled by recover.c.
 */
#include "verify.h"

#include <run-core/host.h>

#include <stdlib.h>
#include <string.h>

enum { PIECE_BYTES = 1 << 20, MARGIN_BYTES = 1 << 20 };

/* One object on its way. */
struct replacing {
    struct dsr_run *run;
    struct rc_job *job;
    struct rc_lock *lock;
    int32_t shard;
    size_t table;
    const struct dsr_object *object;
    const struct dsr_users *users;
    const struct dsr_found *found;
    struct dsr_scratch_file before, after;
    struct rc_buf seen;         /* as of pq_rewrite() */
    char digest[DSR_HASH_TEXT]; /* SHA-256 of the new file */
    bool conflict;
};

static const struct dsr_table *table_of(const struct replacing *r)
{
    return RC_OBJECT_AT(struct dsr_table, r->run->config->tables, r->table);
}

static bool removes(const struct replacing *r)
{
    return (int64_t)r->found->count == r->found->row_count;
}

/* ---- R2: rewriting -------------------------------------------------------------------------- */

/* The object that was searched is gone or another one: nothing failed, it is begun anew. */
static enum rc_code give_way(struct replacing *r, enum rc_code code)
{
    if (code != RC_CONFLICT && code != RC_NOT_FOUND)
        return code;
    r->conflict = true;
    return RC_OK;
}

/* Copies the object into the first file. */
static enum rc_code fetch(struct replacing *r, struct rc_error *err)
{
    const struct rc_get_options options = {
        .struct_bytes = sizeof(options),
        .len_bytes = -1,
        .if_match = r->object->stat.etag,
    };
    struct pq_sink sink = dsr_scratch_sink(&r->before);
    struct rc_reader *reader = NULL;
    char *piece = rc_malloc(PIECE_BYTES);
    size_t len = 1;
    enum rc_code code = rc_storage_open_with(r->job, r->object->uri, &options, &reader, err);

    while (!code && len > 0) {
        code = rc_storage_read(r->job, reader, piece, PIECE_BYTES, &len, err);
        if (!code && len > 0)
            code = sink.write(sink.context, piece, len, err);
    }
    rc_storage_read_close(r->job, reader);
    free(piece);
    if (!code && r->before.bytes != r->object->stat.size_bytes)
        r->conflict = true;
    return give_way(r, code);
}

/* A sink that hashes what it hands on. */
struct hashing {
    struct pq_sink next;
    struct dsr_digest *digest;
};

static enum rc_code write_hashed(void *context, const void *data, size_t len, struct rc_error *err)
{
    struct hashing *hashing = context;

    if (dsr_digest_add(hashing->digest, data, len, err))
        return err->code;
    return hashing->next.write(hashing->next.context, data, len, err);
}

static enum rc_code rewrite(struct replacing *r, const struct pq_file *before, struct rc_error *err)
{
    struct hashing hashing = { .next = dsr_scratch_sink(&r->after) };
    const struct pq_sink sink = { .write = write_hashed, .context = &hashing };
    const struct pq_rows without = { .rows = r->found->rows, .len = r->found->count };
    struct pq_rewritten rewritten;
    enum rc_code code;

    if (dsr_digest_new(&hashing.digest, err))
        return err->code;
    code = pq_rewrite(before, &without, &sink, &r->seen, &rewritten, err);
    if (!code)
        code = dsr_digest_end(hashing.digest, r->digest, err);
    dsr_digest_free(hashing.digest);
    return code ? rc_context(err, "rewrite it") : RC_OK;
}

/* Both files, made and verified; of an object that is to go there is no new one. */
static enum rc_code make(struct replacing *r, struct rc_error *err)
{
    const struct dsr_change change = {
        .uri = r->object->uri,
        .table = table_of(r),
        .users = r->users,
        .found = r->found,
        .seen = &r->seen,
        .before = &r->before,
        .after = &r->after,
    };
    struct pq_source source;
    struct pq_file before;
    enum rc_code code = fetch(r, err);

    if (code || r->conflict)
        return code;
    source = dsr_scratch_source(&r->before, r->object->uri);
    if (pq_file_open(&before, &source, DSR_FOOTER_LIMIT, err))
        return err->code;
    if (before.row_count != r->found->row_count)
        code = rc_fail(err, RC_FAILED, "it has %lld rows, and had %lld a moment ago",
                       (long long)before.row_count, (long long)r->found->row_count);
    else if (!removes(r))
        code = rewrite(r, &before, err);
    if (!code)
        code = dsr_verify(r->run, r->job, &change, &before, err);
    pq_file_close(&before);
    return code;
}

/* ---- R3: the backup ------------------------------------------------------------------------- */

/* The same object at the same tag has the same name: it is kept once, however often begun. */
static char *backup_uri(const struct replacing *r)
{
    RC_STR_AUTO state = rc_strf("%s\n%s", r->object->uri, r->object->stat.etag);
    char id[DSR_HASH_TEXT];

    dsr_digest_text(state, id);
    id[DSR_ID_TEXT - 1] = '\0';
    return dsr_place_backup(&r->run->places, r->table, id);
}

static enum rc_code back_up(struct replacing *r, struct rc_error *err)
{
    RC_STR_AUTO uri = backup_uri(r);
    enum rc_code code =
        dsr_journal_note_backup(r->run->journal, r->shard, uri, r->object->uri, err);

    /* What was not found may be the place to copy to: who looks at the object again can tell. */
    if (!code)
        code = rc_storage_copy_with(r->job, r->object->uri, r->object->stat.etag, uri, err);
    return code ? rc_context(err, "keep the original as '%s'", uri) : RC_OK;
}

/* ---- R4 to R6 ------------------------------------------------------------------------------- */

static int compare_hashes(const void *a, const void *b)
{
    return strcmp(((const struct dsr_erased *)a)->user, ((const struct dsr_erased *)b)->user);
}

static enum rc_code intend(struct replacing *r, struct dsr_intent *intent, struct rc_error *err)
{
    const struct dsr_found *found = r->found;
    struct dsr_erased *erased = rc_calloc(found->user_count + 1, sizeof(*erased));
    enum rc_code code;

    for (size_t i = 0; i < found->user_count; i++) {
        dsr_journal_hash(r->run->journal, dsr_users_at(r->users, found->users[i].user),
                         erased[i].user);
        erased[i].rows = found->users[i].rows;
    }
    /* In the order of the journal's table, whose pages are then written once. */
    if (found->user_count > 0)
        qsort(erased, found->user_count, sizeof(*erased), compare_hashes);
    *intent = (struct dsr_intent){
        .shard = r->shard,
        .table = table_of(r)->name,
        .uri = r->object->uri,
        .old = r->object->stat,
        .removes = removes(r),
        .new_bytes = removes(r) ? 0 : r->after.bytes,
        .rows_before = found->row_count,
        .rows_erased = (int64_t)found->count,
    };
    memcpy(intent->new_digest, r->digest, sizeof(intent->new_digest));
    code = dsr_journal_intend(r->run->journal, intent, erased, found->user_count, err);
    free(erased);
    return code;
}

/* Puts the new file into the writer. */
static enum rc_code send(struct replacing *r, struct rc_writer *writer, struct rc_error *err)
{
    struct pq_source source = dsr_scratch_source(&r->after, r->object->uri);
    char *piece = rc_malloc(PIECE_BYTES);
    enum rc_code code = RC_OK;

    for (int64_t at = 0; !code && at < source.size_bytes; at += PIECE_BYTES) {
        int64_t left = source.size_bytes - at;
        size_t len = left < PIECE_BYTES ? (size_t)left : PIECE_BYTES;

        code = source.read(source.context, at, piece, len, err);
        if (!code)
            code = rc_storage_write(r->job, writer, piece, len, err);
    }
    free(piece);
    return code;
}

/* '*begun': the store was asked to change the object; an error no longer says that it did not. */
static enum rc_code write_new(struct replacing *r, bool *begun, struct rc_error *err)
{
    const struct rc_put_options options = {
        .struct_bytes = sizeof(options),
        .if_match = r->object->stat.etag,
        .size_bytes = r->after.bytes,
        .keep_attributes = true,
    };
    struct rc_writer *writer = NULL;
    enum rc_code code = rc_storage_create_with(r->job, r->object->uri, &options, &writer, err);

    if (!code)
        code = send(r, writer, err);
    if (!code) {
        *begun = true;
        code = rc_storage_commit(r->job, writer, err);
    }
    rc_storage_write_close(r->job, writer);
    return code;
}

static enum rc_code remove_old(struct replacing *r, bool *begun, struct rc_error *err)
{
    const struct rc_remove_options options = {
        .struct_bytes = sizeof(options),
        .if_match = r->object->stat.etag,
    };

    *begun = true;
    return rc_storage_remove_with(r->job, r->object->uri, &options, err);
}

/*
 * What became of an object whose write failed. Only before the store was asked is that known; from
 * then on even a condition that does not hold may be the answer to a second try of the host, after
 * a first one that had been done.
 */
static enum rc_code settle(struct replacing *r, const struct dsr_intent *intent, bool begun,
                           enum dsr_outcome *outcome, struct rc_error *err)
{
    struct rc_error cause = *err;

    *outcome = DSR_VOID;
    if (begun && dsr_recover_intent(r->run, r->job, intent, outcome, err))
        return rc_context(err, "settle what became of it (%s)", cause.cause);
    if (dsr_journal_settle(r->run->journal, intent->id, *outcome, err))
        return rc_context(err, "settle what became of it (%s)", cause.cause);
    *err = cause;
    return RC_OK;
}

static enum rc_code carry_out(struct replacing *r, struct dsr_replaced *out, struct rc_error *err)
{
    struct dsr_intent intent;
    enum dsr_outcome outcome = DSR_DONE;
    bool begun = false;
    enum rc_code code;

    if (rc_lock_check(r->job, r->lock, err) || intend(r, &intent, err))
        return err->code;
    code = removes(r) ? remove_old(r, &begun, err) : write_new(r, &begun, err);
    if (!code) {
        if (dsr_journal_settle(r->run->journal, intent.id, DSR_DONE, err))
            return err->code;
    } else if (settle(r, &intent, begun, &outcome, err)) {
        return err->code;
    }
    if (outcome == DSR_VOID && code != RC_CONFLICT && code != RC_NOT_FOUND)
        return rc_context(err, "%s it", removes(r) ? "remove" : "replace");
    out->conflict = outcome != DSR_DONE;
    if (out->conflict)
        return RC_OK;
    out->removed = removes(r);
    out->rows = intent.rows_erased;
    out->bytes = intent.new_bytes;
    return RC_OK;
}

/* ---- the whole ------------------------------------------------------------------------------ */

static enum rc_code with_files(struct replacing *r, struct dsr_replaced *out, struct rc_error *err)
{
    enum rc_code code = make(r, err);

    if (!code && !r->conflict && r->run->config->backup_original)
        code = back_up(r, err);
    if (code || r->conflict) {
        out->conflict = r->conflict;
        return code;
    }
    return carry_out(r, out, err);
}

enum rc_code dsr_replace(struct dsr_run *run, struct rc_job *job, struct rc_lock *lock,
                         int32_t shard, size_t table, const struct dsr_object *object,
                         const struct dsr_users *users, const struct dsr_found *found,
                         struct dsr_replaced *out, struct rc_error *err)
{
    struct replacing r = {
        .run = run,
        .job = job,
        .lock = lock,
        .shard = shard,
        .table = table,
        .object = object,
        .users = users,
        .found = found,
        .seen = RC_BUF_INIT(DSR_FOOTER_LIMIT),
    };
    /*
     * The new file may be a little longer than the old one, as its codec has another level. The ids
     * of either are copied once more, for the engine.
     */
    int64_t size_bytes = object->stat.size_bytes,
            taken_bytes = size_bytes + found->id_bytes + MARGIN_BYTES;
    enum rc_code code;

    *out = (struct dsr_replaced){ 0 };
    if (!removes(&r))
        taken_bytes += size_bytes + size_bytes / 8;
    if (dsr_scratch_take(job, run->scratch, taken_bytes, err))
        return err->code;
    code = dsr_scratch_open(job, run->scratch, &r.before, err);
    if (!code) {
        code = dsr_scratch_open(job, run->scratch, &r.after, err);
        if (!code) {
            code = with_files(&r, out, err);
            dsr_scratch_close(&r.after);
        }
        dsr_scratch_close(&r.before);
    }
    rc_buf_clear(&r.seen);
    dsr_scratch_give(run->scratch, taken_bytes);
    return code;
}
