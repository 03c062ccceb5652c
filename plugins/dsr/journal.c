/*
 * The journal in the state database. What the states mean and in which order they follow is in
 * README.md; here is only how they are kept. What an intent's object is by now recover.c finds
 * out, and what was erased report.c writes down.
 */
#include "journal_internal.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
    ATTEMPTS = 6, /* of a transaction that others are in the way of */
    FIRST_PAUSE_MS = 20,
    SALT_BYTES = 32,
    ID_BYTES = (DSR_ID_TEXT - 1) / 2,
    FIXED_LIMIT = 8,   /* of a statement with many rows: values that all of them share, */
    COLUMNS_LIMIT = 4, /* and those that differ from row to row */
    STATEMENT_LIMIT = 1 << 16,
};

static const struct rc_migration migrations[] = {
    /* Texts of objects are bytes: a file may have any name. */
    { 1, "CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);"
         "CREATE TABLE erasures ("
         "  id TEXT PRIMARY KEY,"
         "  scope TEXT NOT NULL,"
         "  shard INTEGER NOT NULL,"
         "  table_name TEXT NOT NULL,"
         "  uri BYTEA NOT NULL,"
         "  old_etag TEXT NOT NULL,"
         "  old_bytes BIGINT NOT NULL,"
         "  old_modified_unix_ms BIGINT NOT NULL,"
         "  removes INTEGER NOT NULL,"
         "  new_bytes BIGINT NOT NULL,"
         "  new_digest TEXT NOT NULL,"
         "  rows_before BIGINT NOT NULL,"
         "  rows_erased BIGINT NOT NULL,"
         "  run TEXT NOT NULL,"
         "  intended_unix_ms BIGINT NOT NULL,"
         "  state INTEGER NOT NULL," /* 0 intended, 1 void, 2 superseded, 3 done */
         "  settled_unix_ms BIGINT,"
         "  closed_unix_ms BIGINT," /* when its shard was found clean */
         "  report TEXT"
         ");"
         "CREATE INDEX erasures_open ON erasures (scope, shard, state)"
         "  WHERE closed_unix_ms IS NULL;"
         "CREATE INDEX erasures_object ON erasures (uri, old_etag);"
         "CREATE INDEX erasures_report ON erasures (report, scope);"
         "CREATE TABLE erased_users ("
         "  erasure TEXT NOT NULL,"
         "  user_hash TEXT NOT NULL,"
         "  erased BIGINT NOT NULL,"
         "  PRIMARY KEY (erasure, user_hash)"
         ");"
         "CREATE INDEX erased_users_user ON erased_users (user_hash);"
         "CREATE TABLE requests ("
         "  scope TEXT NOT NULL,"
         "  user_hash TEXT NOT NULL,"
         "  shard INTEGER NOT NULL,"
         "  day INTEGER NOT NULL,"
         "  requested INTEGER NOT NULL,"
         "  first_day INTEGER NOT NULL,"
         "  last_day INTEGER NOT NULL,"
         "  run TEXT NOT NULL,"
         "  fulfilled_unix_ms BIGINT NOT NULL,"
         "  report TEXT,"
         "  PRIMARY KEY (scope, user_hash, shard, day, requested)"
         ");"
         "CREATE INDEX requests_report ON requests (report, scope);"
         "CREATE TABLE backups ("
         "  uri BYTEA PRIMARY KEY,"
         "  scope TEXT NOT NULL,"
         "  shard INTEGER NOT NULL,"
         "  original BYTEA NOT NULL,"
         "  run TEXT NOT NULL,"
         "  noted_unix_ms BIGINT NOT NULL,"
         "  removed_unix_ms BIGINT"
         ");"
         "CREATE INDEX backups_shard ON backups (scope, shard);"
         "CREATE TABLE reports ("
         "  name TEXT PRIMARY KEY,"
         "  scope TEXT NOT NULL,"
         "  uri BYTEA NOT NULL,"
         "  environment TEXT,"
         "  product TEXT,"
         "  deployment TEXT,"
         "  run TEXT NOT NULL,"
         "  named_unix_ms BIGINT NOT NULL,"
         "  written_unix_ms BIGINT"
         ")" },
};

int64_t dsr_journal_now_unix_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Of 2 * len + 1 bytes. */
static enum rc_code add_random(char *out, size_t len, struct rc_error *err)
{
    unsigned char bytes[SALT_BYTES];

    if (RAND_bytes(bytes, (int)len) != 1)
        return rc_fail(err, RC_FAILED, "the system gives no random numbers");
    dsr_hex(out, bytes, len);
    return RC_OK;
}

/* ---- transactions ---------------------------------------------------------------------------- */

static enum rc_code attempt(struct dsr_journal *journal, dsr_journal_fn *body, void *context,
                            struct rc_error *err)
{
    enum rc_code code;

    if (rc_db_begin(journal->job, journal->db, err))
        return err->code;
    code = body(journal, context, err);
    if (!code)
        code = rc_db_commit(journal->job, journal->db, err);
    if (code)
        rc_db_rollback(journal->job, journal->db);
    return code;
}

enum rc_code dsr_journal_transact(struct dsr_journal *journal, dsr_journal_fn *body, void *context,
                                  struct rc_error *err)
{
    enum rc_code code;

    (void)pthread_mutex_lock(&journal->mutex);
    code = attempt(journal, body, context, err);
    for (int i = 1; code == RC_CONFLICT && i < ATTEMPTS; i++) {
        (void)poll(NULL, 0, FIRST_PAUSE_MS << (i - 1));
        code = attempt(journal, body, context, err);
    }
    (void)pthread_mutex_unlock(&journal->mutex);
    return code;
}

enum rc_code dsr_journal_read(struct dsr_journal *journal, dsr_journal_fn *body, void *context,
                              struct rc_error *err)
{
    enum rc_code code;

    (void)pthread_mutex_lock(&journal->mutex);
    code = body(journal, context, err);
    (void)pthread_mutex_unlock(&journal->mutex);
    return code;
}

/* ---- the salt -------------------------------------------------------------------------------- */

static enum rc_code find_salt(struct dsr_journal *journal, struct rc_error *err)
{
    const struct rc_value *row;
    RC_ROWS_AUTO(rows);

    if (rc_db_query(journal->job, journal->db, "SELECT value FROM settings WHERE name = 'salt'",
                    NULL, 0, &rows, err) ||
        rc_rows_next(rows, &row, err))
        return err->code;
    if (row)
        journal->salt = rc_strndup(row[0].text, row[0].len);
    return RC_OK;
}

/* Two runs that begin at once agree: the first to insert one has made it. */
static enum rc_code make_salt(struct dsr_journal *journal, struct rc_error *err)
{
    char made[2 * SALT_BYTES + 1];
    struct rc_value value;

    if (add_random(made, SALT_BYTES, err))
        return err->code;
    value = rc_value_text(made);
    if (rc_db_exec(journal->job, journal->db,
                   "INSERT INTO settings (name, value) VALUES ('salt', $1)"
                   " ON CONFLICT (name) DO NOTHING",
                   &value, 1, NULL, err) ||
        find_salt(journal, err))
        return err->code;
    if (!journal->salt) /* a dry run, of which nothing is kept */
        journal->salt = rc_strdup(made);
    return RC_OK;
}

static enum rc_code take_salt(struct dsr_journal *journal, void *context, struct rc_error *err)
{
    const struct dsr_config *config = context;

    if (config->report_salt && *config->report_salt) {
        journal->salt = rc_strdup(config->report_salt);
        return RC_OK;
    }
    if (find_salt(journal, err))
        return err->code;
    return journal->salt ? RC_OK : make_salt(journal, err);
}

/* HMAC-SHA-256, which cannot fail for a key and a text in memory. */
void dsr_journal_hash_bytes(const struct dsr_journal *journal, const void *data, size_t len,
                            char out[DSR_HASH_TEXT])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned digest_len = 0;
    const unsigned char *made = HMAC(EVP_sha256(), journal->salt, (int)strlen(journal->salt), data,
                                     len, digest, &digest_len);

    RC_ASSERT(made && 2 * digest_len + 1 == DSR_HASH_TEXT);
    dsr_hex(out, digest, digest_len);
}

void dsr_journal_hash(const struct dsr_journal *journal, struct pq_slice user,
                      char out[DSR_HASH_TEXT])
{
    dsr_journal_hash_bytes(journal, user.data, user.len, out);
}

/* ---- life ------------------------------------------------------------------------------------ */

enum rc_code dsr_journal_open(struct rc_job *job, const struct dsr_config *config,
                              const struct dsr_places *places, struct dsr_journal **out,
                              struct rc_error *err)
{
    struct dsr_journal *journal = rc_calloc(1, sizeof(*journal));

    journal->job = job;
    (void)pthread_mutex_init(&journal->mutex, NULL);
    memcpy(journal->scope, places->scope, sizeof(journal->scope));
    if (rc_db_open(job, migrations, RC_ARRAY_LEN(migrations), &journal->db, err) ||
        dsr_journal_read(journal, take_salt, (void *)config, err)) {
        dsr_journal_close(journal);
        return rc_context(err, "open the journal in the state database");
    }
    *out = journal;
    return RC_OK;
}

void dsr_journal_close(struct dsr_journal *journal)
{
    if (!journal)
        return;
    if (journal->db)
        rc_db_close(journal->job, journal->db);
    (void)pthread_mutex_destroy(&journal->mutex);
    free(journal->salt);
    free(journal);
}

/* ---- many rows ------------------------------------------------------------------------------- */

static void add_tuples(struct rc_buf *sql, const struct dsr_journal_rows *rows, size_t count)
{
    size_t parameter = rows->fixed_count;

    rc_buf_addf(sql, "INSERT INTO %s VALUES ", rows->into);
    for (size_t i = 0; i < count; i++) {
        rc_buf_adds(sql, i == 0 ? "(" : ", (");
        for (size_t k = 1; k <= rows->fixed_count; k++)
            rc_buf_addf(sql, "$%zu, ", k);
        for (size_t k = 0; k < rows->columns; k++)
            rc_buf_addf(sql, "%s$%zu", k == 0 ? "" : ", ", ++parameter);
        rc_buf_addc(sql, ')');
    }
    rc_buf_adds(sql, rows->on_conflict);
}

static enum rc_code insert_batch(struct dsr_journal *journal, const struct dsr_journal_rows *rows,
                                 size_t first, size_t count, const char *sql, struct rc_error *err)
{
    struct rc_value values[FIXED_LIMIT + DSR_JOURNAL_BATCH * COLUMNS_LIMIT];
    struct rc_value *at = values;

    for (size_t k = 0; k < rows->fixed_count; k++)
        *at++ = rows->fixed[k];
    for (size_t i = 0; i < count; i++, at += rows->columns)
        rows->row(rows->context, first + i, i, at);
    return rc_db_exec(journal->job, journal->db, sql, values, (size_t)(at - values), NULL, err);
}

enum rc_code dsr_journal_insert(struct dsr_journal *journal, const struct dsr_journal_rows *rows,
                                size_t count, struct rc_error *err)
{
    RC_BUF_AUTO(sql, STATEMENT_LIMIT);
    size_t in_sql = 0;

    RC_ASSERT(rows->fixed_count <= FIXED_LIMIT && rows->columns <= COLUMNS_LIMIT);
    for (size_t first = 0; first < count;) {
        size_t batch = count - first < DSR_JOURNAL_BATCH ? count - first : DSR_JOURNAL_BATCH;

        if (batch != in_sql) {
            rc_buf_reset(&sql);
            add_tuples(&sql, rows, batch);
            in_sql = batch;
        }
        if (rc_buf_check(&sql, err) || insert_batch(journal, rows, first, batch, sql.data, err))
            return err->code;
        first += batch;
    }
    return RC_OK;
}

/* ---- intents --------------------------------------------------------------------------------- */

struct intending {
    struct dsr_intent *intent;
    const struct dsr_erased *users;
    size_t user_count;
};

static struct rc_value bytes_of(const char *text)
{
    return rc_value_bytes(text, strlen(text));
}

static void erased_row(void *context, size_t row, size_t in_batch, struct rc_value *out)
{
    const struct intending *intending = context;

    (void)in_batch;
    out[0] = rc_value_text(intending->users[row].user);
    out[1] = rc_value_int(intending->users[row].rows);
}

static enum rc_code insert_intent(struct dsr_journal *journal, void *context, struct rc_error *err)
{
    const struct intending *intending = context;
    const struct dsr_intent *intent = intending->intent;
    const struct rc_value id = rc_value_text(intent->id);
    const struct rc_value values[] = {
        id,
        rc_value_text(journal->scope),
        rc_value_int(intent->shard),
        rc_value_text(intent->table),
        bytes_of(intent->uri),
        rc_value_text(intent->old.etag),
        rc_value_int(intent->old.size_bytes),
        rc_value_int(intent->old.modified_unix_ms),
        rc_value_int(intent->removes),
        rc_value_int(intent->removes ? 0 : intent->new_bytes),
        rc_value_text(intent->removes ? "" : intent->new_digest),
        rc_value_int(intent->rows_before),
        rc_value_int(intent->rows_erased),
        rc_value_text(journal->job->run_id),
        rc_value_int(intent->intended_unix_ms),
        rc_value_int(DSR_INTENDED),
    };
    const struct dsr_journal_rows rows = {
        .into = "erased_users (erasure, user_hash, erased)",
        .on_conflict = "",
        .fixed = &id,
        .fixed_count = 1,
        .columns = 2,
        .row = erased_row,
        .context = context,
    };

    if (rc_db_exec(journal->job, journal->db,
                   "INSERT INTO erasures (id, scope, shard, table_name, uri, old_etag, old_bytes,"
                   " old_modified_unix_ms, removes, new_bytes, new_digest, rows_before,"
                   " rows_erased, run, intended_unix_ms, state) VALUES ($1, $2, $3, $4, $5, $6,"
                   " $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
                   values, RC_ARRAY_LEN(values), NULL, err))
        return err->code;
    return dsr_journal_insert(journal, &rows, intending->user_count, err);
}

enum rc_code dsr_journal_intend(struct dsr_journal *journal, struct dsr_intent *intent,
                                const struct dsr_erased *users, size_t user_count,
                                struct rc_error *err)
{
    struct intending intending = { intent, users, user_count };

    intent->intended_unix_ms = dsr_journal_now_unix_ms();
    if (add_random(intent->id, ID_BYTES, err) ||
        dsr_journal_transact(journal, insert_intent, &intending, err))
        return rc_context(err, "note in the journal what is to become of '%s'", intent->uri);
    return RC_OK;
}

struct settling {
    const char *id;
    enum dsr_outcome outcome;
};

/*
 * Of intents that make the same of the same object, such as those of a run that was killed and of
 * the next one, the first to be done is the one: the new object that lies there tells them not
 * apart. One that was done before this was intended is none of them: then somebody has put the old
 * object back.
 */
static const char settle_done[] =
    "UPDATE erasures SET state = $2, settled_unix_ms = $3 WHERE id = $1 AND state < $2"
    " AND report IS NULL AND NOT EXISTS (SELECT 1 FROM erasures twin"
    " WHERE twin.uri = erasures.uri AND twin.old_etag = erasures.old_etag"
    " AND twin.new_digest = erasures.new_digest AND twin.scope = erasures.scope"
    " AND twin.id <> erasures.id AND twin.state = $2"
    " AND twin.settled_unix_ms >= erasures.intended_unix_ms)";

/* Makes two runs that settle twins at once take turns. */
static const char settle_lock[] =
    "UPDATE erasures SET removes = removes WHERE EXISTS (SELECT 1 FROM erasures self"
    " WHERE self.id = $1 AND self.uri = erasures.uri AND self.old_etag = erasures.old_etag)";

static const char settle_other[] = "UPDATE erasures SET state = $2, settled_unix_ms = $3"
                                   " WHERE id = $1 AND state < $2 AND report IS NULL";

static enum rc_code update_state(struct dsr_journal *journal, void *context, struct rc_error *err)
{
    const struct settling *settling = context;
    struct rc_value values[] = {
        rc_value_text(settling->id),
        rc_value_int((int64_t)settling->outcome),
        rc_value_int(dsr_journal_now_unix_ms()),
    };
    int64_t changed;

    if (settling->outcome == DSR_DONE) {
        if (rc_db_exec(journal->job, journal->db, settle_lock, values, 1, NULL, err) ||
            rc_db_exec(journal->job, journal->db, settle_done, values, RC_ARRAY_LEN(values),
                       &changed, err))
            return err->code;
        if (changed > 0)
            return RC_OK;
        values[1] = rc_value_int(DSR_VOID);
    }
    return rc_db_exec(journal->job, journal->db, settle_other, values, RC_ARRAY_LEN(values), NULL,
                      err);
}

enum rc_code dsr_journal_settle(struct dsr_journal *journal, const char *id,
                                enum dsr_outcome outcome, struct rc_error *err)
{
    struct settling settling = { id, outcome };

    if (dsr_journal_transact(journal, update_state, &settling, err))
        return rc_context(err, "note in the journal what became of an object");
    return RC_OK;
}

/* ---- what is not settled --------------------------------------------------------------------- */

/* Read whole, so that each may be settled while it is told of: there are few. */
struct unsettled {
    int32_t shard;
    struct dsr_intent *intents; /* with texts of their own */
    size_t count;
};

static void clear_unsettled(struct unsettled *unsettled)
{
    for (size_t i = 0; i < unsettled->count; i++) {
        free((void *)unsettled->intents[i].table);
        free((void *)unsettled->intents[i].uri);
    }
    free(unsettled->intents);
}

/* Cuts what is too long, which nothing that was written here is. */
static void take_text(char *out, size_t size, const struct rc_value *value)
{
    (void)snprintf(out, size, "%.*s", (int)value->len, value->text ? value->text : "");
}

static void take_intent(struct unsettled *unsettled, const struct rc_value *row)
{
    struct dsr_intent *intent;

    unsettled->intents =
        rc_realloc(unsettled->intents, (unsettled->count + 1) * sizeof(*unsettled->intents));
    intent = &unsettled->intents[unsettled->count++];
    *intent = (struct dsr_intent){
        .shard = unsettled->shard,
        .table = rc_strndup(row[1].text, row[1].len),
        .uri = rc_strndup(row[2].text, row[2].len),
        .old = { .size_bytes = row[4].integer, .modified_unix_ms = row[5].integer },
        .removes = row[6].integer != 0,
        .new_bytes = row[7].integer,
        .rows_before = row[9].integer,
        .rows_erased = row[10].integer,
        .intended_unix_ms = row[11].integer,
        .is_void = row[12].integer == DSR_VOID,
    };
    take_text(intent->id, sizeof(intent->id), &row[0]);
    take_text(intent->old.etag, sizeof(intent->old.etag), &row[3]);
    take_text(intent->new_digest, sizeof(intent->new_digest), &row[8]);
}

static enum rc_code load_unsettled(struct dsr_journal *journal, void *context, struct rc_error *err)
{
    struct unsettled *unsettled = context;
    const struct rc_value values[] = {
        rc_value_text(journal->scope),
        rc_value_int(unsettled->shard),
        rc_value_int(DSR_VOID),
    };
    const struct rc_value *row;
    RC_ROWS_AUTO(rows);

    if (rc_db_query(
            journal->job, journal->db,
            "SELECT id, table_name, uri, old_etag, old_bytes, old_modified_unix_ms,"
            " removes, new_bytes, new_digest, rows_before, rows_erased,"
            " intended_unix_ms, state FROM erasures WHERE scope = $1 AND shard = $2 AND state <= $3"
            " AND closed_unix_ms IS NULL ORDER BY intended_unix_ms, id",
            values, RC_ARRAY_LEN(values), &rows, err))
        return err->code;
    for (;;) {
        if (rc_rows_next(rows, &row, err))
            return err->code;
        if (!row)
            return RC_OK;
        take_intent(unsettled, row);
    }
}

enum rc_code dsr_journal_unsettled(struct dsr_journal *journal, int32_t shard,
                                   enum rc_code (*each)(void *context,
                                                        const struct dsr_intent *intent,
                                                        struct rc_error *err),
                                   void *context, struct rc_error *err)
{
    RC_CLEANUP(clear_unsettled) struct unsettled unsettled = { .shard = shard };

    if (dsr_journal_read(journal, load_unsettled, &unsettled, err))
        return rc_context(err, "read in the journal what an earlier run has left");
    for (size_t i = 0; i < unsettled.count; i++)
        if (each(context, &unsettled.intents[i], err))
            return err->code;
    return RC_OK;
}
