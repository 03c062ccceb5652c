/*
 * Erasing what was found in one object: steps R2 to R6 of README.md. A copy of the object is
 * rewritten in files without a name, and the new file is held against the old one by two readers;
 * then the intent is noted, the object replaced by one conditional write, and that is noted.
 *
 * What is not known after the write is settled by recover.c.
 */
#include "run.h"

#include <run-core/host.h>

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    PIECE_BYTES = 1 << 20,
    FOOTER_LIMIT = 256 << 20,
    DIGEST_LIMIT = 16 << 20,
    MARGIN_BYTES = 1 << 20,
};

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
    char digest[DSR_HASH_TEXT]; /* SHA-256 of the new file */
    bool conflict;
};

static const struct dsr_table *table_of(const struct replacing *r)
{
    return RC_OBJECT_AT(struct dsr_table, r->run->config->tables, r->table);
}

static struct pq_rows erased_rows(const struct replacing *r)
{
    return (struct pq_rows){ .rows = r->found->rows, .len = r->found->count };
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
    EVP_MD_CTX *digest;
};

static enum rc_code write_hashed(void *context, const void *data, size_t len, struct rc_error *err)
{
    struct hashing *hashing = context;

    if (EVP_DigestUpdate(hashing->digest, data, len) != 1)
        return rc_fail(err, RC_FAILED, "SHA-256 failed");
    return hashing->next.write(hashing->next.context, data, len, err);
}

static void set_digest(struct replacing *r, const unsigned char *digest, size_t len)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < len && 2 * i + 2 < sizeof(r->digest); i++) {
        r->digest[2 * i] = digits[digest[i] >> 4];
        r->digest[2 * i + 1] = digits[digest[i] & 15];
        r->digest[2 * i + 2] = '\0';
    }
}

static enum rc_code rewrite(struct replacing *r, const struct pq_file *before, struct rc_error *err)
{
    struct hashing hashing = {
        .next = dsr_scratch_sink(&r->after),
        .digest = EVP_MD_CTX_new(),
    };
    const struct pq_sink sink = { .write = write_hashed, .context = &hashing };
    const struct pq_rows without = erased_rows(r);
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    struct pq_rewritten rewritten;
    enum rc_code code = RC_OK;

    if (!hashing.digest || EVP_DigestInit_ex(hashing.digest, EVP_sha256(), NULL) != 1)
        code = rc_fail(err, RC_FAILED, "SHA-256 is not to be had");
    if (!code)
        code = pq_rewrite(before, &without, &sink, &rewritten, err);
    if (!code && EVP_DigestFinal_ex(hashing.digest, digest, &len) != 1)
        code = rc_fail(err, RC_FAILED, "SHA-256 failed");
    if (!code)
        set_digest(r, digest, len);
    EVP_MD_CTX_free(hashing.digest);
    return code ? rc_context(err, "rewrite it") : RC_OK;
}

/* ---- R2: verifying -------------------------------------------------------------------------- */

/* The footer's fields that know nothing of rows, as they are written. */
static void add_lasting(struct rc_buf *out, const struct pq_node *root)
{
    enum { ROWS = 3, GROUPS = 4 }; /* num_rows and row_groups of FileMetaData */
    struct pq_node *fields = rc_calloc(root->list.len + 1, sizeof(*fields));
    struct pq_node lasting = *root;

    lasting.list.items = fields;
    lasting.list.len = 0;
    for (size_t i = 0; i < root->list.len; i++)
        if (root->list.items[i].id != ROWS && root->list.items[i].id != GROUPS)
            fields[lasting.list.len++] = root->list.items[i];
    pq_thrift_write(out, &lasting);
    free(fields);
}

/* Schema, key-value metadata, who wrote it, and all else that is not of rows. */
static enum rc_code check_footer(const struct pq_file *before, const struct pq_file *after,
                                 struct rc_error *err)
{
    RC_BUF_AUTO(old, FOOTER_LIMIT);
    RC_BUF_AUTO(new, FOOTER_LIMIT);

    add_lasting(&old, &before->root);
    add_lasting(&new, &after->root);
    if (rc_buf_check(&old, err) || rc_buf_check(&new, err))
        return err->code;
    if (old.len != new.len || memcmp(old.data, new.data, old.len) != 0)
        return rc_fail(err, RC_FAILED, "its schema or metadata would be another one");
    return RC_OK;
}

/* Each row group has the rows that it had but for the erased ones, and the same codecs. */
static enum rc_code check_groups(const struct replacing *r, const struct pq_file *before,
                                 const struct pq_file *after, struct rc_error *err)
{
    const struct pq_rows erased = erased_rows(r);
    int64_t end = 0;
    size_t at = 0, group = 0;

    for (size_t i = 0; i < before->group_count; i++) {
        const struct pq_group *old = &before->groups[i];
        int64_t rows = old->row_count;

        for (end += old->row_count; at < erased.len && erased.rows[at] < end; at++)
            rows--;
        if (rows == 0 && (old->row_count > 0 || group == after->group_count ||
                          after->groups[group].row_count > 0))
            continue;
        if (group == after->group_count || after->groups[group].row_count != rows)
            return rc_fail(err, RC_FAILED, "row group %zu would not have the %lld rows that remain",
                           i, (long long)rows);
        for (size_t k = 0; k < before->column_count; k++)
            if (old->chunks[k].codec != after->groups[group].chunks[k].codec)
                return rc_fail(err, RC_FAILED, "row group %zu would have another codec in '%s'", i,
                               before->columns[k].path);
        group++;
    }
    if (group != after->group_count || at != erased.len)
        return rc_fail(err, RC_FAILED, "it would have %zu row groups, not %zu", after->group_count,
                       group);
    return RC_OK;
}

/* Every value of every row that remains, by the plugin's own reader. */
static enum rc_code check_digests(const struct replacing *r, const struct pq_file *before,
                                  const struct pq_file *after, struct rc_error *err)
{
    RC_BUF_AUTO(old, DIGEST_LIMIT);
    RC_BUF_AUTO(new, DIGEST_LIMIT);
    const struct pq_rows erased = erased_rows(r), none = { 0 };

    if (pq_digest(before, &erased, &old, err) || pq_digest(after, &none, &new, err))
        return err->code;
    if (old.len != before->column_count * PQ_DIGEST || old.len != new.len)
        return rc_fail(err, RC_FAILED, "it would have other columns");
    for (size_t i = 0; i < before->column_count; i++)
        if (memcmp(old.data + i * PQ_DIGEST, new.data + i *PQ_DIGEST, PQ_DIGEST) != 0)
            return rc_fail(err, RC_FAILED, "column '%s' would have other values",
                           before->columns[i].path);
    return RC_OK;
}

/* No statistics are believed here: what they have hidden is found. */
static enum rc_code check_users(const struct replacing *r, const struct pq_file *after,
                                struct rc_error *err)
{
    struct dsr_found left;
    size_t count;

    if (dsr_find(after, table_of(r), r->users, /* trust_statistics = */ false, &left, err))
        return err->code;
    count = left.count;
    dsr_found_clear(&left);
    if (count == 0)
        return RC_OK;
    return rc_fail(err, RC_FAILED, "%zu rows of the users would remain%s", count,
                   r->run->config->trust_statistics
                       ? ": the file's statistics do not tell of them; set trust_statistics: false"
                       : "");
}

static enum rc_code check_by_engine(const struct replacing *r, struct rc_error *err)
{
    RC_CLEANUP(dsr_engines_drop) struct dsr_engine *engine = NULL;
    const struct pq_rows erased = erased_rows(r);

    if (dsr_engines_borrow(r->job, r->run->engines, &engine, err))
        return err->code;
    if (!dsr_engine_compare(engine, r->before.path, &erased, r->after.path, err))
        return RC_OK;
    if (err->code != RC_UNSUPPORTED)
        return err->code;
    rc_warn(r->job, "'%s': the SQL engine is no judge of it, the plugin's own reader has to do: %s",
            r->object->uri, err->cause);
    rc_job_count(r->job, "files_not_seen_by_engine", 1);
    return RC_OK;
}

static enum rc_code check_new(struct replacing *r, const struct pq_file *before,
                              struct rc_error *err)
{
    struct pq_source source = dsr_scratch_source(&r->after, r->object->uri);
    struct pq_file after;
    enum rc_code code = pq_file_open(&after, &source, FOOTER_LIMIT, err);

    if (!code) {
        if (after.row_count != before->row_count - (int64_t)r->found->count)
            code = rc_fail(err, RC_FAILED, "it would have %lld rows, not %lld",
                           (long long)after.row_count,
                           (long long)(before->row_count - (int64_t)r->found->count));
        if (!code)
            code = check_footer(before, &after, err);
        if (!code)
            code = check_groups(r, before, &after, err);
        if (!code)
            code = check_users(r, &after, err);
        if (!code)
            code = check_digests(r, before, &after, err);
        pq_file_close(&after);
    }
    if (!code && r->run->config->verify == DSR_VERIFY_ENGINE)
        code = check_by_engine(r, err);
    return code ? rc_context(err, "verify the new file before it takes the old one's place")
                : RC_OK;
}

/* Both files, made and verified. Of an object that is to go only the rows are counted again. */
static enum rc_code make(struct replacing *r, struct rc_error *err)
{
    struct pq_source source;
    struct pq_file before;
    enum rc_code code = fetch(r, err);

    if (code || r->conflict)
        return code;
    source = dsr_scratch_source(&r->before, r->object->uri);
    if (pq_file_open(&before, &source, FOOTER_LIMIT, err))
        return err->code;
    if (before.row_count != r->found->row_count)
        code = rc_fail(err, RC_FAILED, "it has %lld rows, and had %lld a moment ago",
                       (long long)before.row_count, (long long)r->found->row_count);
    else if (!removes(r))
        code = rewrite(r, &before, err);
    if (!code && !removes(r))
        code = check_new(r, &before, err);
    pq_file_close(&before);
    return code;
}

/* ---- R3: the backup ------------------------------------------------------------------------- */

/* The same object at the same tag has the same name, so that it is kept once, however often begun. */
static char *backup_uri(const struct replacing *r)
{
    RC_STR_AUTO state = rc_strf("%s\n%s", r->object->uri, r->object->stat.etag);
    unsigned char digest[EVP_MAX_MD_SIZE];
    char id[DSR_ID_TEXT];
    unsigned len = 0;

    if (EVP_Digest(state, strlen(state), digest, &len, EVP_sha256(), NULL) != 1)
        return NULL;
    for (size_t i = 0; 2 * i + 2 < sizeof(id) && i < len; i++) {
        id[2 * i] = "0123456789abcdef"[digest[i] >> 4];
        id[2 * i + 1] = "0123456789abcdef"[digest[i] & 15];
        id[2 * i + 2] = '\0';
    }
    return dsr_place_backup(&r->run->places, r->table, id);
}

static enum rc_code back_up(struct replacing *r, struct rc_error *err)
{
    RC_STR_AUTO uri = backup_uri(r);
    enum rc_code code;

    if (!uri)
        return rc_fail(err, RC_FAILED, "SHA-256 is not to be had");
    code = dsr_journal_note_backup(r->run->journal, r->shard, uri, r->object->uri, err);
    if (!code)
        code = give_way(
            r, rc_storage_copy_with(r->job, r->object->uri, r->object->stat.etag, uri, err));
    return code ? rc_context(err, "keep the original as '%s'", uri) : RC_OK;
}

/* ---- R4 to R6 ------------------------------------------------------------------------------- */

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

/* '*begun': the store was asked to change the object, so that an error no longer says it did not. */
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
    };
    /* The new file may be a little longer than the old one, as its codec has another level. */
    int64_t size_bytes = object->stat.size_bytes,
            taken_bytes = size_bytes + size_bytes + size_bytes / 8 + MARGIN_BYTES;
    enum rc_code code;

    *out = (struct dsr_replaced){ 0 };
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
    dsr_scratch_give(run->scratch, taken_bytes);
    return code;
}
