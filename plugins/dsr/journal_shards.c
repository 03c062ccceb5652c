/*
 * What the journal knows of a shard as a whole: the requests that were fulfilled in it, the
 * originals that are kept of it, and whether anything is left to be done.
 */
#include "journal_internal.h"

#include <stdlib.h>
#include <string.h>

/* ---- requests -------------------------------------------------------------------------------- */

struct hashed_request {
    char user[DSR_HASH_TEXT];
    int32_t day, requested;
};

struct fulfilling {
    int32_t shard, first_day, last_day;
    struct hashed_request *requests; /* in the order of the table's key */
    size_t count;
    bool is_unsettled;
};

static int compare_users(const void *a, const void *b)
{
    const struct hashed_request *left = a, *right = b;

    return strcmp(left->user, right->user);
}

/* A million rows in any other order would be a million places of the database's file. */
static struct hashed_request *hash_requests(const struct dsr_journal *journal,
                                            const struct dsr_request *requests, size_t count)
{
    struct hashed_request *hashed = rc_calloc(count + 1, sizeof(*hashed));

    for (size_t i = 0; i < count; i++) {
        dsr_journal_hash(journal, requests[i].user, hashed[i].user);
        hashed[i].day = requests[i].day;
        hashed[i].requested = requests[i].requested;
    }
    qsort(hashed, count, sizeof(*hashed), compare_users);
    return hashed;
}

static void request_row(void *context, size_t row, size_t in_batch, struct rc_value *out)
{
    const struct fulfilling *fulfilling = context;
    const struct hashed_request *request = &fulfilling->requests[row];

    (void)in_batch;
    out[0] = rc_value_text(request->user);
    out[1] = rc_value_int(request->day);
    out[2] = rc_value_int(request->requested);
}

static enum rc_code insert_requests(struct dsr_journal *journal, struct fulfilling *fulfilling,
                                    int64_t now_unix_ms, struct rc_error *err)
{
    const struct rc_value fixed[] = {
        rc_value_text(journal->scope),       rc_value_int(fulfilling->shard),
        rc_value_int(fulfilling->first_day), rc_value_int(fulfilling->last_day),
        rc_value_text(journal->job->run_id), rc_value_int(now_unix_ms),
    };
    const struct dsr_journal_rows rows = {
        .into = "requests (scope, shard, first_day, last_day, run, fulfilled_unix_ms, user_hash,"
                " day, requested)",
        .on_conflict = " ON CONFLICT (scope, user_hash, shard, day, requested) DO NOTHING",
        .fixed = fixed,
        .fixed_count = RC_ARRAY_LEN(fixed),
        .columns = 3,
        .row = request_row,
        .context = fulfilling,
    };

    return dsr_journal_insert(journal, &rows, fulfilling->count, err);
}

static enum rc_code look_for_unsettled(struct dsr_journal *journal, struct fulfilling *fulfilling,
                                       struct rc_error *err)
{
    const struct rc_value values[] = {
        rc_value_text(journal->scope),
        rc_value_int(fulfilling->shard),
        rc_value_int(DSR_INTENDED),
    };
    const struct rc_value *row;
    RC_ROWS_AUTO(rows);

    if (rc_db_query(journal->job, journal->db,
                    "SELECT id FROM erasures WHERE scope = $1 AND shard = $2 AND state = $3"
                    " AND closed_unix_ms IS NULL LIMIT 1",
                    values, RC_ARRAY_LEN(values), &rows, err) ||
        rc_rows_next(rows, &row, err))
        return err->code;
    fulfilling->is_unsettled = row != NULL;
    return RC_OK;
}

/*
 * Once the shard was searched and nothing was found, a write that is still under way finds its
 * object no more. Without a request nothing was searched; then what is void stays open for a while.
 */
static enum rc_code fulfil(struct dsr_journal *journal, void *context, struct rc_error *err)
{
    struct fulfilling *fulfilling = context;
    int64_t now_unix_ms = dsr_journal_now_unix_ms();
    const struct rc_value values[] = {
        rc_value_text(journal->scope),
        rc_value_int(fulfilling->shard),
        rc_value_int(now_unix_ms),
        rc_value_int(DSR_INTENDED),
        rc_value_int(fulfilling->count > 0 ? INT64_MAX : now_unix_ms - DSR_LATE_MS),
        rc_value_int(DSR_VOID),
    };

    if (look_for_unsettled(journal, fulfilling, err))
        return err->code;
    if (fulfilling->is_unsettled)
        return RC_OK;
    if (insert_requests(journal, fulfilling, now_unix_ms, err))
        return err->code;
    return rc_db_exec(journal->job, journal->db,
                      "UPDATE erasures SET closed_unix_ms = $3 WHERE scope = $1 AND shard = $2"
                      " AND closed_unix_ms IS NULL AND state > $4"
                      " AND (state > $6 OR intended_unix_ms < $5)",
                      values, RC_ARRAY_LEN(values), NULL, err);
}

enum rc_code dsr_journal_fulfil(struct dsr_journal *journal, int32_t shard, int32_t first_day,
                                int32_t last_day, const struct dsr_request *requests, size_t count,
                                struct rc_error *err)
{
    struct fulfilling fulfilling = {
        .shard = shard,
        .first_day = first_day,
        .last_day = last_day,
        .requests = hash_requests(journal, requests, count),
        .count = count,
    };
    enum rc_code code = dsr_journal_transact(journal, fulfil, &fulfilling, err);

    if (!code && fulfilling.is_unsettled)
        code = rc_fail(err, RC_CONFLICT,
                       "it is not known yet what became of an object; run the job again");
    free(fulfilling.requests);
    return code ? rc_context(err, "note in the journal that shard %d is clean", (int)shard) : RC_OK;
}

/* ---- backups --------------------------------------------------------------------------------- */

struct noting {
    int32_t shard;
    const char *uri, *of;
};

static struct rc_value bytes_of(const char *text)
{
    return rc_value_bytes(text, strlen(text));
}

/* One that another run has noted, too, and may still be making, is nobody's own. */
static enum rc_code insert_backup(struct dsr_journal *journal, void *context, struct rc_error *err)
{
    const struct noting *noting = context;
    const struct rc_value values[] = {
        bytes_of(noting->uri),
        rc_value_text(journal->scope),
        rc_value_int(noting->shard),
        bytes_of(noting->of),
        rc_value_text(journal->job->run_id),
        rc_value_int(dsr_journal_now_unix_ms()),
    };

    return rc_db_exec(journal->job, journal->db,
                      "INSERT INTO backups (uri, scope, shard, original, run, noted_unix_ms)"
                      " VALUES ($1, $2, $3, $4, $5, $6)"
                      " ON CONFLICT (uri) DO UPDATE SET"
                      " run = CASE WHEN backups.run = excluded.run THEN backups.run ELSE '' END,"
                      " noted_unix_ms = excluded.noted_unix_ms, removed_unix_ms = NULL",
                      values, RC_ARRAY_LEN(values), NULL, err);
}

enum rc_code dsr_journal_note_backup(struct dsr_journal *journal, int32_t shard, const char *uri,
                                     const char *of, struct rc_error *err)
{
    struct noting noting = { shard, uri, of };

    if (dsr_journal_transact(journal, insert_backup, &noting, err))
        return rc_context(err, "note in the journal that '%s' is kept", of);
    return RC_OK;
}

static enum rc_code delete_backup(struct dsr_journal *journal, void *context, struct rc_error *err)
{
    const struct noting *noting = context;
    int64_t now_unix_ms = dsr_journal_now_unix_ms();
    const struct rc_value old[] = {
        bytes_of(noting->uri),
        rc_value_text(journal->job->run_id),
        rc_value_int(now_unix_ms - DSR_LATE_MS),
    };
    const struct rc_value removed[] = { bytes_of(noting->uri), rc_value_int(now_unix_ms) };

    if (rc_db_exec(journal->job, journal->db,
                   "DELETE FROM backups WHERE uri = $1 AND (run = $2 OR noted_unix_ms < $3)", old,
                   RC_ARRAY_LEN(old), NULL, err))
        return err->code;
    return rc_db_exec(journal->job, journal->db,
                      "UPDATE backups SET removed_unix_ms = $2 WHERE uri = $1", removed,
                      RC_ARRAY_LEN(removed), NULL, err);
}

enum rc_code dsr_journal_forget_backup(struct dsr_journal *journal, const char *uri,
                                       struct rc_error *err)
{
    struct noting noting = { .uri = uri };

    if (dsr_journal_transact(journal, delete_backup, &noting, err))
        return rc_context(err, "note in the journal that '%s' is removed", uri);
    return RC_OK;
}

/* Texts in pairs, a backup and what it is of; each ends with a NUL. */
struct backups {
    int32_t shard;
    struct rc_buf texts;
};

enum { TEXTS_LIMIT = 256 << 20 };

static enum rc_code load_backups(struct dsr_journal *journal, void *context, struct rc_error *err)
{
    struct backups *backups = context;
    const struct rc_value values[] = {
        rc_value_text(journal->scope),
        rc_value_int(backups->shard),
        rc_value_int(dsr_journal_now_unix_ms() - DSR_LATE_MS),
    };
    const struct rc_value *row;
    RC_ROWS_AUTO(rows);

    if (rc_db_query(journal->job, journal->db,
                    "SELECT uri, original FROM backups WHERE scope = $1 AND shard = $2"
                    " AND (removed_unix_ms IS NULL OR noted_unix_ms < $3)"
                    " ORDER BY noted_unix_ms, uri",
                    values, RC_ARRAY_LEN(values), &rows, err))
        return err->code;
    for (;;) {
        if (rc_rows_next(rows, &row, err))
            return err->code;
        if (!row)
            return rc_buf_check(&backups->texts, err);
        for (size_t i = 0; i < 2; i++) {
            rc_buf_add(&backups->texts, row[i].text, row[i].len);
            rc_buf_addc(&backups->texts, '\0');
        }
    }
}

enum rc_code dsr_journal_backups(struct dsr_journal *journal, int32_t shard,
                                 enum rc_code (*each)(void *context, const char *uri,
                                                      const char *of, struct rc_error *err),
                                 void *context, struct rc_error *err)
{
    struct backups backups = { .shard = shard, .texts = RC_BUF_INIT(TEXTS_LIMIT) };
    enum rc_code code = dsr_journal_read(journal, load_backups, &backups, err);

    if (code)
        code = rc_context(err, "read in the journal which originals are kept");
    for (size_t at = 0; !code && at < backups.texts.len;) {
        const char *uri = backups.texts.data + at, *of = uri + strlen(uri) + 1;

        at += strlen(uri) + strlen(of) + 2;
        code = each(context, uri, of, err);
    }
    rc_buf_clear(&backups.texts);
    return code;
}

/* ---- shards ---------------------------------------------------------------------------------- */

struct numbers {
    int32_t *items;
    size_t count;
};

static enum rc_code load_shards(struct dsr_journal *journal, void *context, struct rc_error *err)
{
    struct numbers *numbers = context;
    const struct rc_value values[] = {
        rc_value_text(journal->scope),
        rc_value_int(dsr_journal_now_unix_ms() - DSR_LATE_MS),
    };
    const struct rc_value *row;
    RC_ROWS_AUTO(rows);

    if (rc_db_query(journal->job, journal->db,
                    "SELECT shard FROM erasures WHERE scope = $1 AND closed_unix_ms IS NULL"
                    " UNION SELECT shard FROM backups WHERE scope = $1"
                    " AND (removed_unix_ms IS NULL OR noted_unix_ms < $2) ORDER BY 1",
                    values, RC_ARRAY_LEN(values), &rows, err))
        return err->code;
    for (;;) {
        if (rc_rows_next(rows, &row, err))
            return err->code;
        if (!row)
            return RC_OK;
        numbers->items = rc_realloc(numbers->items, (numbers->count + 1) * sizeof(*numbers->items));
        numbers->items[numbers->count++] = (int32_t)row[0].integer;
    }
}

enum rc_code dsr_journal_shards(struct dsr_journal *journal, int32_t **shards, size_t *count,
                                struct rc_error *err)
{
    struct numbers numbers = { NULL, 0 };

    if (dsr_journal_read(journal, load_shards, &numbers, err)) {
        free(numbers.items);
        return rc_context(err, "read in the journal which shards are not done with");
    }
    *shards = numbers.items;
    *count = numbers.count;
    return RC_OK;
}

/* ---- folders --------------------------------------------------------------------------------- */

struct asking {
    const char *uri;
    bool knows;
};

/* Of each object there, what became of it last. */
static enum rc_code look_for_folder(struct dsr_journal *journal, void *context,
                                    struct rc_error *err)
{
    struct asking *asking = context;
    size_t len = strlen(asking->uri);
    RC_STR_AUTO behind = rc_strdup(asking->uri);
    const struct rc_value values[] = {
        rc_value_text(journal->scope), bytes_of(asking->uri),        bytes_of(behind),
        rc_value_int(DSR_DONE),        rc_value_int(DSR_SUPERSEDED),
    };
    const struct rc_value *row;
    RC_ROWS_AUTO(rows);

    behind[len - 1]++; /* from its last slash on to what comes behind all slashes */
    if (rc_db_query(journal->job, journal->db,
                    "SELECT min(CASE WHEN state = $4 AND removes = 1 THEN 1 ELSE 0 END)"
                    " FROM erasures WHERE scope = $1 AND uri >= $2 AND uri < $3 AND state >= $5"
                    " AND NOT EXISTS (SELECT 1 FROM erasures later"
                    "  WHERE later.uri = erasures.uri AND later.scope = erasures.scope"
                    "  AND later.state >= $5"
                    "  AND later.intended_unix_ms > erasures.intended_unix_ms)",
                    values, RC_ARRAY_LEN(values), &rows, err) ||
        rc_rows_next(rows, &row, err))
        return err->code;
    asking->knows = row && row[0].type == RC_VALUE_INT && row[0].integer == 1;
    return RC_OK;
}

enum rc_code dsr_journal_knows_folder(struct dsr_journal *journal, const char *uri, bool *knows,
                                      struct rc_error *err)
{
    struct asking asking = { .uri = uri };

    if (dsr_journal_read(journal, look_for_folder, &asking, err))
        return rc_context(err, "read in the journal what was erased in '%s'", uri);
    *knows = asking.knows;
    return RC_OK;
}
