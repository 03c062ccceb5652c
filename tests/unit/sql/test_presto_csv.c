/*
 * A single object of CSV, of rows that a server gives.
 */
#include "presto_fixture.h"

#include <os/library.h>

#include <run-core/str.h>

#include <stdlib.h>
#include <string.h>

#include <zlib.h>

static const char *const columns[] = { "a", "b,c", "d" };

/* What the server gives: rows of these columns, or an error in place of one. */
static struct {
    const struct rc_value *values;
    size_t count;
    size_t fail_at; /* counted from 1; 0: at none */
} script;

struct script_rows {
    struct rc_rows base;
    size_t at;
};

static enum rc_code rows_next(struct rc_rows *base, const struct rc_value **row,
                              struct rc_error *err)
{
    struct script_rows *rows = (struct script_rows *)base;

    *row = NULL;
    if (++rows->at == script.fail_at)
        return rc_fail(err, RC_UNAVAILABLE, "the server has gone");
    if (rows->at <= script.count)
        *row = script.values + (rows->at - 1) * RC_ARRAY_LEN(columns);
    return RC_OK;
}

static size_t rows_columns(const struct rc_rows *base, const char *const **names)
{
    (void)base;
    if (names)
        *names = columns;
    return RC_ARRAY_LEN(columns);
}

static void rows_close(struct rc_rows *base)
{
    free(base);
}

static const struct rc_rows_api rows_api = { rows_next, rows_columns, rows_close };

static enum rc_code query(struct core_presto *session, const char *text, struct rc_rows **out,
                          struct rc_error *err)
{
    struct presto_fixture *f = (struct presto_fixture *)session;
    struct script_rows *rows;

    rc_buf_addf(&f->log, "%s\n", text);
    if (++f->statements == f->cancel_at)
        core_cancel_request(&f->cancel, RC_CANCELLED);
    if (core_presto_check(session, err))
        return err->code;
    rows = rc_calloc(1, sizeof(*rows));
    rows->base.api = &rows_api;
    *out = &rows->base;
    return RC_OK;
}

static void set_script(struct presto_fixture *f, const struct rc_value *values, size_t count)
{
    f->dialect.query = query;
    script.values = values;
    script.count = count;
    script.fail_at = 0;
}

static enum rc_code write_to(struct presto_fixture *f, const char *name, const char *compression,
                             struct rc_sql_written *written)
{
    const struct rc_value param = rc_value_int(1);
    const struct rc_sql_output output = {
        .query = "SELECT $1;",
        .params = &param,
        .param_count = 1,
        .location = presto_uri(f, name),
        .format = "csv",
        .compression = compression,
        .header = compression == NULL,
    };

    return core_presto_write(&f->session.base, &output, written, &f->err);
}

static void read_back(struct presto_fixture *f, const char *name, struct rc_buf *out)
{
    rc_buf_reset(out);
    if (core_storage_get(f->store, presto_uri(f, name), out, &f->err))
        fail_msg("%s", f->err.cause);
}

/* By the library itself, which nothing is linked with. */
static void unpack(const struct rc_buf *packed, struct rc_buf *out)
{
    static const struct core_library_symbol symbols[] = { { "inflateInit2_", 0 },
                                                          { "inflate", sizeof(void *) },
                                                          { "inflateEnd", 2 * sizeof(void *) } };
    struct {
        __typeof__(&inflateInit2_) init;
        __typeof__(&inflate) inflate;
        __typeof__(&inflateEnd) end;
    } zlib;
    z_stream stream = { .next_in = (unsigned char *)packed->data,
                        .avail_in = (unsigned)packed->len };
    struct rc_error err = RC_ERROR_INIT;
    unsigned char chunk[1000];
    int state;

    assert_int_equal(core_library_load("libz.so.1", symbols, RC_ARRAY_LEN(symbols), &zlib, &err),
                     RC_OK);
    assert_int_equal(zlib.init(&stream, 15 + 16, ZLIB_VERSION, (int)sizeof(stream)), Z_OK);
    do {
        stream.next_out = chunk;
        stream.avail_out = sizeof(chunk);
        state = zlib.inflate(&stream, Z_NO_FLUSH);
        rc_buf_add(out, chunk, sizeof(chunk) - stream.avail_out);
    } while (state == Z_OK);
    assert_int_equal(state, Z_STREAM_END);
    assert_int_equal(stream.avail_in, 0);
    (void)zlib.end(&stream);
}

static void csv_is_as_rfc_4180_has_it(void **state)
{
    const struct rc_value rows[] = {
        rc_value_int(INT64_MIN),
        rc_value_text(""),
        rc_value_null(),
        rc_value_text("a \"b\", c"),
        rc_value_text("x\r\ny"),
        rc_value_bool(true),
        rc_value_text(" plain 'é' "),
        rc_value_text("#"),
        rc_value_bool(false),
        rc_value_float(1e15),
        rc_value_float(1e16),
        rc_value_float(0.1),
        rc_value_float(-0.0001),
        rc_value_float(1.5e-07),
        rc_value_float(-0.0),
        rc_value_float(5e-324),
        rc_value_float(1.0 / 3),
        rc_value_float(-1.0 / 0.0),
        rc_value_float(123456.789),
        rc_value_float(1.7976931348623157e308),
        rc_value_float(0.0 / 0.0),
    };
    static const char expected[] = "a,\"b,c\",d\n"
                                   "-9223372036854775808,\"\",\n"
                                   "\"a \"\"b\"\", c\",\"x\r\ny\",true\n"
                                   " plain 'é' ,\"#\",false\n"
                                   "1000000000000000.0,1e+16,0.1\n"
                                   "-0.0001,1.5e-07,-0.0\n"
                                   "5e-324,0.3333333333333333,-inf\n"
                                   "123456.789,1.7976931348623157e+308,nan\n";
    struct presto_fixture *f = *state;
    RC_BUF_AUTO(packed, 1 << 16);
    RC_BUF_AUTO(text, 1 << 16);
    struct rc_sql_written written;

    set_script(f, rows, RC_ARRAY_LEN(rows) / RC_ARRAY_LEN(columns));
    if (write_to(f, "t.csv.gz", NULL, &written))
        fail_msg("%s: %s", f->err.context, f->err.cause);
    read_back(f, "t.csv.gz", &packed);
    unpack(&packed, &text);
    assert_string_equal(text.data, expected);
    assert_int_equal(written.rows, 7);
    assert_int_equal(written.files, 1);
    assert_int_equal(written.bytes, packed.len);
    assert_string_equal(f->log.data, "SELECT BIGINT '1'\n");
}

static void csv_goes_without_header_and_compression(void **state)
{
    const struct rc_value rows[] = { rc_value_int(1), rc_value_int(2), rc_value_int(3) };
    struct presto_fixture *f = *state;
    RC_BUF_AUTO(text, 1 << 16);
    struct rc_sql_written written;

    set_script(f, rows, 1);
    assert_int_equal(write_to(f, "folder/t.csv", "none", &written), RC_OK);
    read_back(f, "folder/t.csv", &text);
    assert_string_equal(text.data, "1,2,3\n");
    set_script(f, rows, 0);
    assert_int_equal(write_to(f, "folder/t.csv", "none", &written), RC_OK);
    read_back(f, "folder/t.csv", &text);
    assert_string_equal(text.data, "");
    assert_int_equal(written.rows, 0);
}

static void many_rows_go_in_chunks(void **state)
{
    enum { ROWS = 100000 };
    struct rc_value *rows = rc_calloc(ROWS, sizeof(*rows) * RC_ARRAY_LEN(columns));
    struct presto_fixture *f = *state;
    RC_BUF_AUTO(packed, 1 << 24);
    RC_BUF_AUTO(text, 1 << 24);
    struct rc_sql_written written;

    for (size_t i = 0; i < ROWS * RC_ARRAY_LEN(columns); i++)
        rows[i] = rc_value_int((int64_t)i * 7919);
    set_script(f, rows, ROWS);
    assert_int_equal(write_to(f, "t.csv", "none", &written), RC_OK);
    assert_int_equal(written.rows, ROWS);
    read_back(f, "t.csv", &text);
    assert_int_equal(written.bytes, text.len);
    assert_int_equal(write_to(f, "t.csv.gz", "gzip", &written), RC_OK);
    read_back(f, "t.csv.gz", &packed);
    RC_BUF_AUTO(unpacked, 1 << 24);
    unpack(&packed, &unpacked);
    assert_int_equal(unpacked.len, text.len);
    assert_memory_equal(unpacked.data, text.data, text.len);
    free(rows);
}

static void csv_that_fails_leaves_the_old_object(void **state)
{
    const struct rc_value rows[] = { rc_value_int(1), rc_value_int(2), rc_value_int(3),
                                     rc_value_int(1), rc_value_int(2), rc_value_bytes("x", 1) };
    struct presto_fixture *f = *state;
    RC_BUF_AUTO(text, 1 << 16);
    struct rc_sql_written written;

    presto_file(f, "t.csv", "old");
    set_script(f, rows, 2);
    assert_int_equal(write_to(f, "t.csv", "none", &written), RC_INVALID);
    assert_presto_error(f, RC_INVALID, "the column 'd' is bytes");
    set_script(f, rows, 1);
    script.fail_at = 2;
    assert_int_equal(write_to(f, "t.csv", NULL, &written), RC_UNAVAILABLE);
    assert_presto_error(f, RC_UNAVAILABLE, "the server has gone");
    set_script(f, rows, 1);
    f->cancel_at = f->statements + 1;
    assert_int_equal(write_to(f, "t.csv", "none", &written), RC_CANCELLED);
    f->err = (struct rc_error)RC_ERROR_INIT;
    atomic_store(&f->cancel.code, RC_OK);
    read_back(f, "t.csv", &text);
    assert_string_equal(text.data, "old");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, presto_setup, presto_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(csv_is_as_rfc_4180_has_it),
        TEST(csv_goes_without_header_and_compression),
        TEST(many_rows_go_in_chunks),
        TEST(csv_that_fails_leaves_the_old_object),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
