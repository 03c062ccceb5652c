/*
 * The table of tokens. One row for each transfer that was begun and has not come to its end.
 */
#include "tokens.h"

#include <openssl/sha.h>

#include <stdio.h>

static const struct rc_migration migrations[] = {
    { 1, "CREATE TABLE sync_tokens ("
         "  transfer TEXT PRIMARY KEY,"
         "  token TEXT NOT NULL"
         ")" },
};

void egress_digest_text(const char *text, char out[EGRESS_TOKEN_KEY])
{
    unsigned char digest[SHA256_DIGEST_LENGTH];

    (void)SHA256((const unsigned char *)text, strlen(text), digest);
    for (size_t i = 0; i < sizeof(digest); i++)
        (void)snprintf(out + 2 * i, 3, "%02x", digest[i]);
}

enum rc_code egress_tokens_open(struct rc_job *job, const char *what, struct egress_tokens *out,
                                struct rc_error *err)
{
    *out = (struct egress_tokens){ .job = job };
    egress_digest_text(what, out->key);
    if (rc_db_open(job, migrations, RC_ARRAY_LEN(migrations), &out->db, err))
        return rc_context(err, "open the plugin's tables, where it is kept how far a sync is");
    return RC_OK;
}

void egress_tokens_close(struct egress_tokens *tokens)
{
    if (tokens->db)
        rc_db_close(tokens->job, tokens->db);
    tokens->db = NULL;
}

enum rc_code egress_tokens_load(struct egress_tokens *tokens, struct rc_buf *out,
                                struct rc_error *err)
{
    const struct rc_value key = rc_value_text(tokens->key);
    const struct rc_value *row;
    RC_ROWS_AUTO(rows);

    if (rc_db_query(tokens->job, tokens->db, "SELECT token FROM sync_tokens WHERE transfer = $1",
                    &key, 1, &rows, err) ||
        rc_rows_next(rows, &row, err))
        return rc_context(err, "read how far an earlier run was");
    if (row)
        rc_buf_add(out, row[0].text, row[0].len);
    return rc_buf_check(out, err);
}

enum rc_code egress_tokens_save(struct egress_tokens *tokens, const char *token,
                                struct rc_error *err)
{
    const struct rc_value values[] = { rc_value_text(tokens->key), rc_value_text(token) };

    if (rc_db_exec(tokens->job, tokens->db,
                   "INSERT INTO sync_tokens (transfer, token) VALUES ($1, $2)"
                   " ON CONFLICT (transfer) DO UPDATE SET token = excluded.token",
                   values, RC_ARRAY_LEN(values), NULL, err))
        return rc_context(err, "keep how far the sync is");
    return RC_OK;
}

enum rc_code egress_tokens_drop(struct egress_tokens *tokens, struct rc_error *err)
{
    const struct rc_value key = rc_value_text(tokens->key);

    if (rc_db_exec(tokens->job, tokens->db, "DELETE FROM sync_tokens WHERE transfer = $1", &key, 1,
                   NULL, err))
        return rc_context(err, "forget how far the sync was");
    return RC_OK;
}
