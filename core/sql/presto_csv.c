/*
 * Rows into an object of CSV (RFC 4180), compressed on the way if that is asked for. NULL is an
 * empty field, an empty text one in quotes; numbers are written as DuckDB writes them. The object
 * is there when all rows are, and not before.
 */
#include <sql/presto.h>

#include <os/library.h>

#include <run-core/str.h>

#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zlib.h>

enum {
    CHUNK_BYTES = 256 * 1024,
    ROW_LIMIT = 1 << 30, /* one row may have this much text */
    GZIP_WINDOW = 15 + 16,
    MEMORY_LEVEL = 8,
};

/* The functions of zlib in use, loaded at the first use. */
struct zlib {
    __typeof__(&deflateInit2_) init;
    __typeof__(&deflate) deflate;
    __typeof__(&deflateEnd) end;
};

struct csv {
    struct rc_writer *writer;
    struct rc_buf text; /* that has not been written yet */
    const struct zlib *zlib;
    z_stream stream; /* while 'zlib' is set */
    unsigned char *packed;
    int64_t rows, bytes;
};

static enum rc_code load_zlib(const struct zlib **out, struct rc_error *err)
{
    static const struct core_library_symbol symbols[] = {
        { "deflateInit2_", offsetof(struct zlib, init) },
        { "deflate", offsetof(struct zlib, deflate) },
        { "deflateEnd", offsetof(struct zlib, end) },
    };
    static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    static struct zlib loaded;
    enum rc_code code = RC_OK;

    (void)pthread_mutex_lock(&mutex);
    if (!loaded.init)
        code = core_library_load("libz.so.1", symbols, RC_ARRAY_LEN(symbols), &loaded, err);
    (void)pthread_mutex_unlock(&mutex);
    *out = &loaded;
    return code ? rc_context(err, "load zlib, which writes gzip") : RC_OK;
}

/* ---- bytes ---------------------------------------------------------------------------------- */

static enum rc_code write_bytes(struct csv *csv, const void *data, size_t len, struct rc_error *err)
{
    csv->bytes += (int64_t)len;
    return core_writer_write(csv->writer, data, len, err);
}

static enum rc_code pack(struct csv *csv, int flush, struct rc_error *err)
{
    csv->stream.next_in = (unsigned char *)csv->text.data;
    csv->stream.avail_in = (unsigned)csv->text.len;
    do {
        csv->stream.next_out = csv->packed;
        csv->stream.avail_out = CHUNK_BYTES;
        if (csv->zlib->deflate(&csv->stream, flush) == Z_STREAM_ERROR)
            return rc_fail(err, RC_FAILED, "zlib cannot compress");
        if (write_bytes(csv, csv->packed, CHUNK_BYTES - csv->stream.avail_out, err))
            return err->code;
    } while (csv->stream.avail_out == 0);
    return RC_OK;
}

static enum rc_code flush(struct csv *csv, bool last, struct rc_error *err)
{
    if (rc_buf_check(&csv->text, err))
        return rc_context(err, "write a row");
    if (csv->zlib ? pack(csv, last ? Z_FINISH : Z_NO_FLUSH, err)
                  : write_bytes(csv, csv->text.data, csv->text.len, err))
        return err->code;
    rc_buf_reset(&csv->text);
    return RC_OK;
}

/* ---- fields --------------------------------------------------------------------------------- */

static void add_text(struct rc_buf *out, const char *text, size_t len)
{
    bool quoted = len == 0 || *text == '#';

    for (size_t i = 0; !quoted && i < len; i++)
        quoted = text[i] == ',' || text[i] == '"' || text[i] == '\n' || text[i] == '\r';
    if (!quoted) {
        rc_buf_add(out, text, len);
        return;
    }
    rc_buf_addc(out, '"');
    for (const char *quote; (quote = memchr(text, '"', len)) != NULL;) {
        size_t part = (size_t)(quote - text) + 1;

        rc_buf_add(out, text, part);
        rc_buf_addc(out, '"');
        text += part;
        len -= part;
    }
    rc_buf_add(out, text, len);
    rc_buf_addc(out, '"');
}

/* The fewest digits that read back as the number: "D.DDDe-XX". */
static void shortest(double number, char *out, size_t size)
{
    /* Fifteen are enough for most, and what they have too many are zeros; but for the smallest. */
    int digits = fabs(number) < 1e-300 ? 1 : 15;

    for (; digits <= 17; digits++) {
        (void)snprintf(out, size, "%.*e", digits - 1, number);
        if (digits == 17 || strtod(out, NULL) == number)
            return;
    }
}

/* What they are with the first of them before the point: 0.1, 100.0, 1e+16, 1.5e-07. */
static void add_digits(struct rc_buf *out, const char *digits, int count, int exponent)
{
    if (exponent < -4 || exponent > 15) {
        rc_buf_addf(out, "%c%s%.*se%+03d", digits[0], count > 1 ? "." : "", count - 1, digits + 1,
                    exponent);
        return;
    }
    if (exponent < 0)
        rc_buf_addc(out, '0');
    for (int i = 0; i <= exponent; i++)
        rc_buf_addc(out, i < count ? digits[i] : '0');
    rc_buf_addc(out, '.');
    for (int i = exponent + 1; i < 0; i++)
        rc_buf_addc(out, '0');
    for (int i = exponent < 0 ? 0 : exponent + 1; i < count; i++)
        rc_buf_addc(out, digits[i]);
    if (exponent >= count - 1)
        rc_buf_addc(out, '0');
}

static void add_number(struct rc_buf *out, double number)
{
    char text[64], digits[32];
    int count = 0;
    const char *at;

    if (!isfinite(number)) {
        rc_buf_adds(out, isnan(number) ? "nan" : number > 0 ? "inf" : "-inf");
        return;
    }
    shortest(number, text, sizeof(text));
    if (text[0] == '-')
        rc_buf_addc(out, '-');
    for (at = text; *at != 'e'; at++)
        if (*at >= '0' && *at <= '9')
            digits[count++] = *at;
    while (count > 1 && digits[count - 1] == '0')
        count--;
    add_digits(out, digits, count, (int)strtol(at + 1, NULL, 10));
}

static enum rc_code add_field(struct rc_buf *out, const struct rc_value *value, const char *column,
                              struct rc_error *err)
{
    switch (value->type) {
    case RC_VALUE_NULL:
        return RC_OK;
    case RC_VALUE_BOOL:
        rc_buf_adds(out, value->boolean ? "true" : "false");
        return RC_OK;
    case RC_VALUE_INT:
        rc_buf_addf(out, "%" PRId64, value->integer);
        return RC_OK;
    case RC_VALUE_FLOAT:
        add_number(out, value->number);
        return RC_OK;
    case RC_VALUE_TEXT:
        add_text(out, value->text, value->len);
        return RC_OK;
    case RC_VALUE_BYTES:
        break;
    }
    return rc_fail(err, RC_INVALID,
                   "the column '%s' is bytes, which CSV has no form for; let the query give hex",
                   column);
}

/* ---- rows ----------------------------------------------------------------------------------- */

static enum rc_code write_rows(struct csv *csv, struct core_presto *session, struct rc_rows *rows,
                               bool header, struct rc_error *err)
{
    const char *const *names = NULL;
    size_t count = rc_rows_columns(rows, &names);
    const struct rc_value *row = NULL;

    for (size_t i = 0; header && i < count; i++) {
        rc_buf_adds(&csv->text, i ? "," : "");
        add_text(&csv->text, names[i], strlen(names[i]));
    }
    rc_buf_adds(&csv->text, header ? "\n" : "");
    for (;;) {
        if (core_presto_check(session, err) || rc_rows_next(rows, &row, err))
            return err->code;
        if (!row)
            return flush(csv, /* last = */ true, err);
        for (size_t i = 0; i < count; i++) {
            rc_buf_adds(&csv->text, i ? "," : "");
            if (add_field(&csv->text, &row[i], names[i], err))
                return err->code;
        }
        rc_buf_addc(&csv->text, '\n');
        csv->rows++;
        if (csv->text.len >= CHUNK_BYTES && flush(csv, /* last = */ false, err))
            return err->code;
    }
}

static enum rc_code begin_gzip(struct csv *csv, struct rc_error *err)
{
    const struct zlib *zlib;

    if (load_zlib(&zlib, err))
        return err->code;
    if (zlib->init(&csv->stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, GZIP_WINDOW, MEMORY_LEVEL,
                   Z_DEFAULT_STRATEGY, ZLIB_VERSION, (int)sizeof(csv->stream)) != Z_OK)
        return rc_fail(err, RC_FAILED, "zlib cannot compress");
    csv->zlib = zlib;
    csv->packed = rc_malloc(CHUNK_BYTES);
    return RC_OK;
}

enum rc_code core_presto_write_csv(struct core_presto *session, struct rc_rows *rows,
                                   const struct rc_sql_output *output,
                                   struct rc_sql_written *written, struct rc_error *err)
{
    struct csv csv = { .writer = NULL };
    bool gzip = !output->compression || strcmp(output->compression, "gzip") == 0;
    enum rc_code code = gzip ? begin_gzip(&csv, err) : RC_OK;

    rc_buf_init(&csv.text, ROW_LIMIT);
    if (!code)
        code = core_storage_create(&session->storage, output->location, /* if_match = */ NULL,
                                   &csv.writer, err);
    if (!code)
        code = write_rows(&csv, session, rows, output->header, err);
    if (!code)
        code = core_writer_commit(csv.writer, err);
    if (csv.writer)
        core_writer_close(csv.writer);
    if (csv.zlib)
        (void)csv.zlib->end(&csv.stream);
    free(csv.packed);
    rc_buf_clear(&csv.text);
    if (!code)
        *written = (struct rc_sql_written){ .rows = csv.rows, .files = 1, .bytes = csv.bytes };
    return code;
}
