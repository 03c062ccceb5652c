/*
 * Reads one object back: its SHA-256, and with another library than the one that wrote it the text
 * in it and the rows of that text. Which objects there are to read is verify.c's business.
 */
#include "verify.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <stdarg.h>
#include <stdlib.h>

enum { CHUNK_BYTES = 256 << 10, DIGEST_BYTES = 32 };

/* What reading an object has shown so far. */
struct reading {
    EVP_MD_CTX *digest;
    struct egress_expander *expander; /* NULL: the text is not looked at */
    char *stored, *text;              /* a chunk of each */
    int64_t stored_bytes, text_bytes;
    int64_t lines;
    bool is_quoted;        /* the text is within quotes just now */
    bool ends_in_line;     /* its last byte so far ends no line */
    struct rc_error fault; /* of the expander, which is then no longer fed */
};

static void RC_PRINTF(2, 3) add_problem(struct egress_checked *checked, const char *format, ...)
{
    va_list arguments;

    rc_buf_addf(&checked->problems, "'%s' ", checked->object->key);
    va_start(arguments, format);
    rc_buf_addv(&checked->problems, format, arguments);
    va_end(arguments);
    rc_buf_addc(&checked->problems, '\n');
}

/* ---- the text ---- */

/*
 * Lines of CSV as COPY writes it: one ends at each line feed that is not within quotes. A quote
 * inside of quotes is doubled and so changes nothing in the end. No encoding that PostgreSQL has
 * uses the bytes of a quote or of a line feed in a longer character.
 */
static void count_lines(struct reading *reading, const char *text, size_t len)
{
    bool is_quoted = reading->is_quoted;
    int64_t lines = 0;

    for (size_t i = 0; i < len; i++) {
        is_quoted ^= text[i] == '"';
        lines += !is_quoted & (text[i] == '\n');
    }
    reading->is_quoted = is_quoted;
    reading->lines += lines;
    reading->text_bytes += (int64_t)len;
    if (len > 0)
        reading->ends_in_line = is_quoted || text[len - 1] != '\n';
}

static void expand(struct reading *reading, const char *data, size_t len)
{
    size_t text_len;

    do {
        if (egress_expand(reading->expander, &data, &len, reading->text, CHUNK_BYTES, &text_len,
                          &reading->fault))
            return;
        count_lines(reading, reading->text, text_len);
    } while (len > 0 || text_len > 0);
}

/* ---- reading ---- */

static void reading_clear(struct reading *reading)
{
    EVP_MD_CTX_free(reading->digest);
    egress_expander_free(reading->expander);
    free(reading->stored);
    free(reading->text);
}

static enum rc_code reading_begin(const struct egress_verification *verification,
                                  struct reading *out, struct rc_error *err)
{
    out->digest = EVP_MD_CTX_new();
    if (!out->digest || EVP_DigestInit_ex(out->digest, EVP_sha256(), NULL) != 1)
        return rc_fail(err, RC_UNSUPPORTED, "the library of OpenSSL gives no SHA-256");
    out->stored = rc_malloc(CHUNK_BYTES);
    if (verification->counts_rows && rc_str_eq(verification->manifest->format, "csv")) {
        out->expander = egress_expander_new(verification->compression.codec);
        out->text = rc_malloc(CHUNK_BYTES);
    }
    return RC_OK;
}

static enum rc_code read_all(struct rc_job *job, struct egress_verification *verification,
                             const char *uri, struct reading *reading, struct rc_error *err)
{
    struct rc_reader *reader;
    size_t len = 0;
    enum rc_code code = rc_storage_open(job, uri, 0, -1, &reader, err);

    if (code)
        return code;
    while ((code = rc_storage_read(job, reader, reading->stored, CHUNK_BYTES, &len, err)) ==
               RC_OK &&
           len > 0) {
        RC_ASSERT(EVP_DigestUpdate(reading->digest, reading->stored, len) == 1);
        reading->stored_bytes += (int64_t)len;
        if (reading->expander && !reading->fault.code)
            expand(reading, reading->stored, len);
        int64_t done = atomic_fetch_add(&verification->done_bytes, (int64_t)len) + (int64_t)len;
        rc_job_progress(job, done, verification->total_bytes, "bytes");
    }
    rc_storage_read_close(job, reader);
    return code;
}

/* ---- comparing ---- */

static void compare_stored(const struct reading *reading, struct egress_checked *checked)
{
    const struct egress_manifest_object *object = checked->object;
    unsigned char digest[DIGEST_BYTES];
    RC_BUF_AUTO(text, 2 * DIGEST_BYTES);

    RC_ASSERT(EVP_DigestFinal_ex(reading->digest, digest, NULL) == 1);
    for (size_t i = 0; i < DIGEST_BYTES; i++)
        rc_buf_addf(&text, "%02x", digest[i]);
    if (reading->stored_bytes != object->stored_bytes)
        add_problem(checked, "gives %" PRId64 " bytes, the manifest says %" PRId64,
                    reading->stored_bytes, object->stored_bytes);
    if (strcmp(text.data, object->sha256) != 0)
        add_problem(checked, "has the SHA-256 %s, the manifest says %s", text.data, object->sha256);
}

static void compare_rows(int64_t rows, struct egress_checked *checked)
{
    if (rows != checked->object->rows)
        add_problem(checked, "has %" PRId64 " rows, the manifest says %" PRId64, rows,
                    checked->object->rows);
}

static void compare_text(const struct egress_verification *verification, struct reading *reading,
                         struct egress_checked *checked)
{
    bool header = verification->manifest->header;

    if (!reading->fault.code)
        (void)!egress_expander_end(reading->expander, &reading->fault);
    if (reading->fault.code) {
        add_problem(checked, "cannot be expanded: %s", reading->fault.cause);
        return;
    }
    if (reading->text_bytes != checked->object->bytes)
        add_problem(checked, "expands to %" PRId64 " bytes, the manifest says %" PRId64,
                    reading->text_bytes, checked->object->bytes);
    if (reading->ends_in_line)
        add_problem(checked, "ends within a line");
    if (header && reading->lines == 0)
        add_problem(checked, "has no line with the names of the columns");
    else
        compare_rows(reading->lines - header, checked);
}

static enum rc_code query_rows(struct rc_job *job, struct rc_sql *sql, int64_t *out,
                               struct rc_error *err)
{
    RC_ROWS_AUTO(rows);
    const struct rc_value *row;

    if (rc_sql_query(job, sql, "SELECT count(*) FROM \"object\"", NULL, 0, &rows, err) ||
        rc_rows_next(rows, &row, err))
        return err->code;
    if (!row || row[0].type != RC_VALUE_INT)
        return rc_fail(err, RC_FAILED, "the SQL engine gives no number of rows");
    *out = row[0].integer;
    return RC_OK;
}

/* Parquet files know their rows: the SQL engine reads that, not the values. */
static enum rc_code count_parquet(struct rc_job *job, const char *uri,
                                  struct egress_checked *checked, struct rc_error *err)
{
    const struct rc_sql_table table = {
        .name = "object", .locations = &uri, .location_count = 1, .format = "parquet"
    };
    struct rc_sql *sql;
    int64_t rows = 0;
    enum rc_code code = rc_sql_open(job, NULL, &sql, err);

    if (code)
        return code;
    code = rc_sql_attach(job, sql, &table, err);
    if (!code)
        code = query_rows(job, sql, &rows, err);
    rc_sql_close(job, sql);
    if (code == RC_FAILED || code == RC_INVALID || code == RC_CORRUPT)
        add_problem(checked, "cannot be read as Parquet: %s", err->cause);
    else if (code)
        return code;
    else
        compare_rows(rows, checked);
    return RC_OK;
}

static enum rc_code check_content(struct rc_job *job, struct egress_verification *verification,
                                  const char *uri, struct egress_checked *checked,
                                  struct rc_error *err)
{
    RC_CLEANUP(reading_clear) struct reading reading = { .fault = RC_ERROR_INIT };

    if (reading_begin(verification, &reading, err) ||
        read_all(job, verification, uri, &reading, err))
        return err->code;
    compare_stored(&reading, checked);
    if (reading.expander)
        compare_text(verification, &reading, checked);
    else if (verification->counts_rows && checked->problems.len == 0)
        return count_parquet(job, uri, checked, err);
    return RC_OK;
}

enum rc_code egress_verify_object(struct rc_job *job, void *context, size_t index,
                                  struct rc_error *err)
{
    struct egress_verification *verification = context;
    struct egress_checked *checked = verification->order[index];
    int64_t expected_bytes = checked->object->stored_bytes;
    RC_STR_AUTO uri = rc_strf("%s%s", verification->folder, checked->object->key);
    enum rc_code code = RC_OK;

    if (checked->listed_bytes >= 0 && checked->listed_bytes != expected_bytes)
        add_problem(checked, "is stored with %" PRId64 " bytes, the manifest says %" PRId64,
                    checked->listed_bytes, expected_bytes);
    else if (checked->listed_bytes >= 0)
        code = check_content(job, verification, uri, checked, err);
    /* Also of one that was removed since it was listed. */
    if (checked->listed_bytes < 0 || code == RC_NOT_FOUND)
        add_problem(checked, "is not there");
    else if (code)
        return rc_context(err, "verify '%s%s'", verification->shown, checked->object->key);
    return RC_OK;
}
