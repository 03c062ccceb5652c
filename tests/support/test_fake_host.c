/*
 * The fake host keeps the promises of the public headers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <run-core/fake_host.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define HOST_AUTO RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *

static void put_text(struct rc_fake_host *host, const char *uri, const char *text)
{
    rc_fake_host_put(host, uri, text, strlen(text));
}

/* ---- storage -------------------------------------------------------------------------------- */

static void list_all(struct rc_job *job, const char *prefix, const struct rc_list_options *options,
                     struct rc_buf *out)
{
    struct rc_error err;
    struct rc_listing *listing;
    const struct rc_object *object;
    assert_int_equal(rc_storage_list(job, prefix, options, &listing, &err), RC_OK);
    while (rc_storage_list_next(job, listing, &object, &err) == RC_OK && object)
        rc_buf_addf(out, "%s%s ", object->name, object->is_prefix ? "*" : "");
    rc_storage_list_close(job, listing);
}

static void test_listing(void **state)
{
    (void)state;
    HOST_AUTO host = rc_fake_host_new(NULL);
    struct rc_job *job = rc_fake_host_job(host);
    const char *const uris[] = { "s3://b/z", "s3://b/a/2", "s3://b/a/1", "s3://b/a.b", "s3://c/x" };
    for (size_t i = 0; i < RC_ARRAY_LEN(uris); i++)
        put_text(host, uris[i], uris[i]);

    RC_BUF_AUTO(out, 4096);
    list_all(job, "s3://b/", NULL, &out);
    assert_string_equal(out.data, "a.b a/1 a/2 z ");
    rc_buf_reset(&out);
    list_all(job, "s3://b/a", NULL, &out);
    assert_string_equal(out.data, ".b /1 /2 ");
    rc_buf_reset(&out);
    list_all(job, "s3://b/", &(struct rc_list_options){ .shallow = true }, &out);
    assert_string_equal(out.data, "a.b a/* z ");
    rc_buf_reset(&out);
    list_all(job, "s3://b/", &(struct rc_list_options){ .shallow = true, .start_after = "a/" },
             &out);
    assert_string_equal(out.data, "z ");
    rc_buf_reset(&out);
    list_all(job, "s3://nothing/", NULL, &out);
    assert_string_equal(out.data, "");
    assert_string_equal(rc_fake_host_objects(host, "s3://c/"), "s3://c/x\n");
}

static void test_conditional_put(void **state)
{
    (void)state;
    HOST_AUTO host = rc_fake_host_new(NULL);
    struct rc_job *job = rc_fake_host_job(host);
    struct rc_error err;
    struct rc_stat first, second;

    assert_int_equal(rc_storage_put(job, "s3://b/k", "1", 1, "tag", &err), RC_CONFLICT);
    assert_int_equal(rc_storage_put(job, "s3://b/k", "1", 1, RC_IF_ABSENT, &err), RC_OK);
    assert_int_equal(rc_storage_put(job, "s3://b/k", "2", 1, RC_IF_ABSENT, &err), RC_CONFLICT);
    assert_int_equal(rc_storage_stat(job, "s3://b/k", &first, &err), RC_OK);
    assert_int_equal(rc_storage_put(job, "s3://b/k", "22", 2, first.etag, &err), RC_OK);
    assert_int_equal(rc_storage_stat(job, "s3://b/k", &second, &err), RC_OK);
    assert_string_not_equal(first.etag, second.etag);
    assert_int_equal(second.size_bytes, 2);
    assert_int_equal(rc_storage_put(job, "s3://b/k", "3", 1, first.etag, &err), RC_CONFLICT);
    assert_int_equal(rc_storage_put(job, "no uri", "3", 1, NULL, &err), RC_INVALID);
    assert_int_equal(rc_storage_stat(job, "s3://b/none", &first, &err), RC_NOT_FOUND);
}

static void test_writer(void **state)
{
    (void)state;
    HOST_AUTO host = rc_fake_host_new(NULL);
    struct rc_job *job = rc_fake_host_job(host);
    struct rc_error err;
    struct rc_writer *writer;

    assert_int_equal(rc_storage_create(job, "s3://b/k", NULL, &writer, &err), RC_OK);
    assert_int_equal(rc_storage_write(job, writer, "ab", 2, &err), RC_OK);
    assert_int_equal(rc_storage_write(job, writer, "cd", 2, &err), RC_OK);
    assert_null(rc_fake_host_object(host, "s3://b/k", NULL));
    assert_int_equal(rc_storage_commit(job, writer, &err), RC_OK);
    assert_string_equal(rc_fake_host_object(host, "s3://b/k", NULL), "abcd");
    assert_int_equal(rc_fake_host_open_handles(host), 1);
    rc_storage_write_close(job, writer);

    assert_int_equal(rc_storage_create(job, "s3://b/other", NULL, &writer, &err), RC_OK);
    assert_int_equal(rc_storage_write(job, writer, "ab", 2, &err), RC_OK);
    rc_storage_write_close(job, writer);
    assert_null(rc_fake_host_object(host, "s3://b/other", NULL));
    assert_int_equal(rc_fake_host_open_handles(host), 0);
}

static void test_reader(void **state)
{
    (void)state;
    HOST_AUTO host = rc_fake_host_new(NULL);
    struct rc_job *job = rc_fake_host_job(host);
    struct rc_error err;
    struct rc_reader *reader;
    char data[4];
    size_t len;

    put_text(host, "s3://b/k", "0123456789");
    assert_int_equal(rc_storage_open(job, "s3://b/k", 3, 5, &reader, &err), RC_OK);
    assert_int_equal(rc_storage_read(job, reader, data, sizeof data, &len, &err), RC_OK);
    assert_int_equal(len, 4);
    assert_memory_equal(data, "3456", 4);
    assert_int_equal(rc_storage_read(job, reader, data, sizeof data, &len, &err), RC_OK);
    assert_int_equal(len, 1);
    assert_int_equal(rc_storage_read(job, reader, data, sizeof data, &len, &err), RC_OK);
    assert_int_equal(len, 0);
    put_text(host, "s3://b/k", "other");
    assert_int_equal(rc_storage_read(job, reader, data, sizeof data, &len, &err), RC_CONFLICT);
    rc_storage_read_close(job, reader);

    RC_BUF_AUTO(small, 3);
    assert_int_equal(rc_storage_get(job, "s3://b/k", &small, &err), RC_TOO_LARGE);
    assert_int_equal(rc_storage_open(job, "s3://b/none", 0, -1, &reader, &err), RC_NOT_FOUND);
}

static void test_copy_move_remove(void **state)
{
    (void)state;
    HOST_AUTO host = rc_fake_host_new(NULL);
    struct rc_job *job = rc_fake_host_job(host);
    struct rc_error err;
    put_text(host, "s3://b/a", "text");
    assert_int_equal(rc_storage_copy(job, "s3://b/a", "gs://c/b", &err), RC_OK);
    assert_int_equal(rc_storage_move(job, "s3://b/a", "s3://b/c", &err), RC_OK);
    assert_int_equal(rc_storage_move(job, "s3://b/c", "s3://b/c", &err), RC_OK);
    assert_int_equal(rc_storage_copy(job, "s3://b/a", "s3://b/d", &err), RC_NOT_FOUND);
    assert_string_equal(rc_fake_host_objects(host, ""), "gs://c/b\ns3://b/c\n");
    const char *const gone[] = { "s3://b/none", "s3://b/c" };
    assert_int_equal(rc_storage_remove(job, gone, 2, &err), RC_OK);
    assert_string_equal(rc_fake_host_objects(host, ""), "gs://c/b\n");
}

static void test_dry_run(void **state)
{
    (void)state;
    HOST_AUTO host = rc_fake_host_new(NULL);
    struct rc_job *job = rc_fake_host_job(host);
    struct rc_error err;
    struct rc_writer *writer;
    put_text(host, "s3://b/a", "text");
    job->dry_run = true;
    const char *const gone[] = { "s3://b/a" };
    assert_int_equal(rc_storage_put(job, "s3://b/b", "1", 1, NULL, &err), RC_OK);
    assert_int_equal(rc_storage_copy(job, "s3://b/a", "s3://b/b", &err), RC_OK);
    assert_int_equal(rc_storage_move(job, "s3://b/a", "s3://b/b", &err), RC_OK);
    assert_int_equal(rc_storage_remove(job, gone, 1, &err), RC_OK);
    assert_int_equal(rc_storage_create(job, "s3://b/b", NULL, &writer, &err), RC_OK);
    assert_int_equal(rc_storage_commit(job, writer, &err), RC_OK);
    rc_storage_write_close(job, writer);
    assert_string_equal(rc_fake_host_objects(host, ""), "s3://b/a\n");
    assert_int_equal(rc_fake_host_held_back(host), 5);
    assert_non_null(strstr(rc_fake_host_log(host), "not made: move to 's3://b/b'"));
}

/* ---- job ------------------------------------------------------------------------------------ */

static void test_job_reports(void **state)
{
    (void)state;
    HOST_AUTO host = rc_fake_host_new(NULL);
    struct rc_job *job = rc_fake_host_job(host);
    const struct rc_log_field field = { "colour", "blue" };
    rc_log_with(job, RC_LOG_WARN, &field, 1, "a %d", 1);
    job->log_level = RC_LOG_INFO;
    rc_debug(job, "not seen");
    assert_string_equal(rc_fake_host_log(host), "warn: a 1 colour=blue\n");

    rc_job_count(job, "things", 2);
    rc_job_count(job, "things", 3);
    assert_int_equal(rc_fake_host_counter(host, "things"), 5);
    assert_int_equal(rc_fake_host_counter(host, "none"), 0);

    int64_t done, total;
    rc_job_progress(job, 3, 7, "days");
    rc_fake_host_progress(host, &done, &total);
    assert_int_equal(done, 3);
    assert_int_equal(total, 7);

    static const char *const columns[] = { "a", ">b" };
    static const char *const cells[] = { "x", NULL };
    rc_job_show(job, &(struct rc_table){ "t", columns, 2, cells, 1 });
    assert_string_equal(rc_fake_host_shown(host), "t\na\t>b\nx\t\n");
    rc_job_say(job, "hello");
    assert_string_equal(rc_fake_host_said(host), "hello\n");
}

static void test_days(void **state)
{
    (void)state;
    HOST_AUTO host = rc_fake_host_new(NULL);
    struct rc_job *job = rc_fake_host_job(host);
    struct rc_error err;
    int32_t day;
    int64_t start;
    assert_int_equal(rc_job_day_of(job, job->now_unix_ms, &day, &err), RC_OK);
    assert_int_equal(day, rc_day_from_date(2026, 1, 15));
    assert_int_equal(rc_job_day_of(job, -1, &day, &err), RC_OK);
    assert_int_equal(day, -1);
    rc_fake_host_set_zone(host, "Test/East", 780);
    assert_int_equal(rc_job_day_of(job, job->now_unix_ms, &day, &err), RC_OK);
    assert_int_equal(day, rc_day_from_date(2026, 1, 16));
    assert_int_equal(rc_job_day_start(job, day, &start, &err), RC_OK);
    assert_int_equal(start, job->now_unix_ms - 3600000);
}

static void test_temp_dir(void **state)
{
    (void)state;
    struct rc_fake_host *host = rc_fake_host_new(NULL);
    struct rc_error err;
    const char *path;
    assert_int_equal(rc_job_temp_dir(rc_fake_host_job(host), &path, &err), RC_OK);
    RC_STR_AUTO file = rc_strf("%s/file", path);
    RC_STR_AUTO kept = rc_strdup(path);
    FILE *stream = fopen(file, "w");
    assert_non_null(stream);
    fclose(stream);
    rc_fake_host_free(host);
    assert_int_not_equal(access(kept, F_OK), 0);
}

static void test_stopping(void **state)
{
    (void)state;
    HOST_AUTO host = rc_fake_host_new(NULL);
    struct rc_job *job = rc_fake_host_job(host);
    struct rc_error err;
    assert_int_equal(rc_job_check(job, &err), RC_OK);
    rc_fake_host_cancel_at(host, 2);
    assert_int_equal(rc_job_check(job, &err), RC_OK);
    assert_int_equal(rc_job_check(job, &err), RC_CANCELLED);
    assert_int_equal(rc_job_check(job, &err), RC_CANCELLED);
    rc_fake_host_cancel_at(host, 0);
    assert_int_equal(rc_job_check(job, &err), RC_OK);
    rc_fake_host_set_remaining_ms(host, 0);
    assert_int_equal(rc_job_check(job, &err), RC_TIMEOUT);
    assert_int_equal(rc_job_remaining_ms(job), 0);
}

static void test_faults(void **state)
{
    (void)state;
    HOST_AUTO host = rc_fake_host_new(NULL);
    struct rc_job *job = rc_fake_host_job(host);
    struct rc_error err;
    rc_fake_host_fail_at(host, 2, RC_DENIED);
    assert_int_equal(rc_job_check(job, &err), RC_OK);
    assert_int_equal(rc_job_check(job, &err), RC_DENIED);
    assert_string_equal(err.cause, "injected fault at host call 2, job.check");
    assert_int_equal(rc_job_check(job, &err), RC_OK);
    rc_fake_host_fail_on(host, "storage.put", "/b", 1, RC_TIMEOUT);
    assert_int_equal(rc_storage_put(job, "s3://x/a", "", 0, NULL, &err), RC_OK);
    assert_int_equal(rc_storage_put(job, "s3://x/b", "", 0, NULL, &err), RC_TIMEOUT);
    assert_int_equal(rc_storage_put(job, "s3://x/b", "", 0, NULL, &err), RC_OK);
    assert_int_equal(rc_fake_host_calls(host), 6);
}

/* ---- db ------------------------------------------------------------------------------------- */

static const struct rc_migration steps[] = {
    { 1, "CREATE TABLE t (k TEXT PRIMARY KEY, v BIGINT)" },
    { 2, "ALTER TABLE t ADD COLUMN note TEXT; CREATE INDEX i ON t (v)" },
};

static void test_db(void **state)
{
    (void)state;
    HOST_AUTO host = rc_fake_host_new(NULL);
    struct rc_job *job = rc_fake_host_job(host);
    struct rc_error err;
    struct rc_db *db;
    int64_t changed = -1;
    assert_int_equal(rc_db_open(job, steps, 1, &db, &err), RC_OK);
    rc_db_close(job, db);
    assert_int_equal(rc_db_open(job, steps, 2, &db, &err), RC_OK);

    const struct rc_value row[] = { rc_value_text("a"), rc_value_int(7) };
    const char *insert = "INSERT INTO t (v, k) VALUES ($2, $1)";
    assert_int_equal(rc_db_exec(job, db, insert, row, 2, &changed, &err), RC_OK);
    assert_int_equal(changed, 1);
    assert_int_equal(rc_db_exec(job, db, insert, row, 2, NULL, &err), RC_CONFLICT);
    assert_int_equal(rc_db_exec(job, db, insert, row, 1, NULL, &err), RC_INVALID);
    assert_int_equal(rc_db_exec(job, db, "SELEKT", NULL, 0, NULL, &err), RC_INVALID);
    assert_int_equal(rc_db_exec(job, db, "SELECT 1; SELECT 2", NULL, 0, NULL, &err), RC_INVALID);

    assert_int_equal(rc_db_begin(job, db, &err), RC_OK);
    assert_int_equal(rc_db_begin(job, db, &err), RC_INVALID);
    assert_int_equal(rc_db_exec(job, db, "DELETE FROM t", NULL, 0, &changed, &err), RC_OK);
    rc_db_rollback(job, db);

    RC_ROWS_AUTO(rows);
    const struct rc_value *values;
    const char *const *names;
    assert_int_equal(
        rc_db_query(job, db, "SELECT k, v, note, 0.5 AS half FROM t", NULL, 0, &rows, &err), RC_OK);
    assert_int_equal(rc_rows_columns(rows, &names), 4);
    assert_string_equal(names[3], "half");
    assert_int_equal(rc_rows_next(rows, &values, &err), RC_OK);
    assert_string_equal(values[0].text, "a");
    assert_int_equal(values[1].integer, 7);
    assert_int_equal(values[2].type, RC_VALUE_NULL);
    assert_true(values[3].number > 0.4);
    assert_int_equal(rc_rows_next(rows, &values, &err), RC_OK);
    assert_null(values);
    rc_rows_close(&rows);

    job->dry_run = true;
    assert_int_equal(rc_db_exec(job, db, "DELETE FROM t", NULL, 0, &changed, &err), RC_OK);
    assert_int_equal(changed, 0);
    assert_int_equal(rc_fake_host_held_back(host), 1);
    rc_db_close(job, db);
    assert_int_equal(rc_db_open(job, steps, 1, &db, &err), RC_INVALID);
    assert_int_equal(rc_fake_host_open_handles(host), 0);
}

/* ---- sql ------------------------------------------------------------------------------------ */

static void test_sql(void **state)
{
    (void)state;
    HOST_AUTO host = rc_fake_host_new(NULL);
    struct rc_job *job = rc_fake_host_job(host);
    struct rc_error err;
    struct rc_sql *sql;
    static const char *const columns[] = { "user", "sum" };
    const struct rc_value cells[] = { rc_value_text("u1"), rc_value_int(1), rc_value_text("u2"),
                                      rc_value_int(2) };
    rc_fake_host_answer_rows(host, "FROM totals", columns, 2, cells, 2);
    rc_fake_host_answer_error(host, "broken", RC_CORRUPT, "a damaged file");
    rc_fake_host_answer_count(host, "DELETE", 5);

    assert_int_equal(rc_sql_open(job, NULL, &sql, &err), RC_OK);
    struct rc_rows *rows;
    const struct rc_value *row;
    assert_int_equal(rc_sql_query(job, sql, "SELECT * FROM totals", NULL, 0, &rows, &err), RC_OK);
    assert_int_equal(rc_rows_columns(rows, NULL), 2);
    assert_int_equal(rc_rows_next(rows, &row, &err), RC_OK);
    assert_int_equal(rc_rows_next(rows, &row, &err), RC_OK);
    assert_string_equal(row[0].text, "u2");
    assert_int_equal(rc_rows_next(rows, &row, &err), RC_OK);
    assert_null(row);
    rc_rows_close(&rows);

    int64_t changed;
    assert_int_equal(rc_sql_exec(job, sql, "DELETE x", NULL, 0, &changed, &err), RC_OK);
    assert_int_equal(changed, 5);
    assert_int_equal(rc_sql_query(job, sql, "a broken one", NULL, 0, &rows, &err), RC_CORRUPT);
    assert_string_equal(err.cause, "a damaged file");

    put_text(host, "s3://b/out/old", "old");
    struct rc_sql_written written;
    const struct rc_sql_output output = { .query = "SELECT 1",
                                          .location = "s3://b/out/",
                                          .format = "parquet" };
    assert_int_equal(rc_sql_write(job, sql, &output, &written, &err), RC_OK);
    assert_string_equal(rc_fake_host_objects(host, ""), "s3://b/out/part-0.parquet\n");
    RC_BUF_AUTO(text, 1024);
    rc_sql_add_json_text(job, sql, &text, "event", "$.a");
    assert_string_equal(text.data, "json_text(event, '$.a')");
    rc_sql_close(job, sql);

    assert_int_equal(rc_fake_host_statements(host), 4);
    struct rc_fake_statement last = rc_fake_host_statement(host, 3);
    assert_string_equal(last.verb, "write");
    assert_string_equal(last.location, "s3://b/out/");
    assert_int_equal(rc_fake_host_open_handles(host), 0);
}

static enum rc_code two_rows(void *context, const struct rc_value **row, struct rc_error *err)
{
    static const struct rc_value cells[][2] = {
        { { .type = RC_VALUE_TEXT, .text = "u1", .len = 2 },
          { .type = RC_VALUE_INT, .integer = 1 } },
        { { .type = RC_VALUE_NULL }, { .type = RC_VALUE_BOOL, .boolean = true } },
    };
    size_t *at = context;
    (void)err;
    *row = *at < RC_ARRAY_LEN(cells) ? cells[(*at)++] : NULL;
    return RC_OK;
}

/* Verbs and texts of all statements, "verb text location" a line. */
static void list_statements(const struct rc_fake_host *host, struct rc_buf *out)
{
    for (size_t i = 0; i < rc_fake_host_statements(host); i++) {
        struct rc_fake_statement is = rc_fake_host_statement(host, i);
        rc_buf_addf(out, "%s %s %s\n", is.verb, is.text, is.location ? is.location : "");
    }
}

static void test_sql_tables(void **state)
{
    (void)state;
    HOST_AUTO host = rc_fake_host_new(NULL);
    struct rc_job *job = rc_fake_host_job(host);
    struct rc_error err;
    struct rc_sql *sql;
    const struct rc_sql_options options = { .size = sizeof options, .engine = "lake" };
    const struct rc_sql_column columns[] = { { "id", "varchar" }, { "n", "bigint" } };
    const char *const locations[] = { "s3://b/x/" };
    const struct rc_sql_table table = { .name = "x", .locations = locations, .location_count = 1 };
    const struct rc_sql_lookup wanted = { .size = sizeof wanted,
                                          .table = "x",
                                          .condition = "id = 1" };
    static const char *const names[] = { "file", "rows", "found" };
    const struct rc_value cells[] = { rc_value_text("s3://b/x/1"), rc_value_int(9),
                                      rc_value_int(2) };
    size_t at = 0;
    const struct rc_sql_rows rows = { two_rows, &at };
    struct rc_rows *found;
    const struct rc_value *row;
    int64_t made;

    rc_fake_host_answer_count(host, "SELECT 7", 7);
    rc_fake_host_answer_rows(host, "id = 1", names, 3, cells, 1);
    assert_int_equal(rc_sql_open_with(job, &options, &sql, &err), RC_OK);
    assert_int_equal(rc_sql_features(job, sql), RC_SQL_FILES | RC_SQL_ORDERED | RC_SQL_CSV);
    assert_int_equal(rc_sql_refer(job, sql, "t", NULL, "events", &err), RC_UNSUPPORTED);
    assert_int_equal(rc_sql_search(job, sql, &wanted, &found, &err), RC_UNSUPPORTED);
    rc_fake_host_set_engine_features(host, RC_SQL_SEARCH | RC_SQL_CATALOGUE);
    assert_int_equal(rc_sql_features(job, sql), RC_SQL_SEARCH | RC_SQL_CATALOGUE);

    assert_int_equal(rc_sql_make(job, sql, "seven", "SELECT 7", NULL, 0, &made, &err), RC_OK);
    assert_int_equal(made, 7);
    assert_int_equal(rc_sql_load(job, sql, "ids", columns, 2, &rows, &err), RC_OK);
    assert_int_equal(rc_sql_refer(job, sql, "t", "db", "events", &err), RC_OK);
    assert_int_equal(rc_sql_publish(job, sql, "db", &table, &err), RC_OK);
    assert_int_equal(rc_sql_search(job, sql, &wanted, &found, &err), RC_OK);
    assert_int_equal(rc_rows_next(found, &row, &err), RC_OK);
    assert_int_equal(row[1].integer, 9);
    rc_rows_close(&found);

    RC_BUF_AUTO(text, 1024);
    rc_sql_add_table(job, sql, &text, "a \"b\"");
    rc_sql_add_hex(job, sql, &text, "id");
    assert_string_equal(text.data, "\"a \"\"b\"\"\"hex(id)");
    rc_sql_close(job, sql);
    rc_buf_reset(&text);
    list_statements(host, &text);
    assert_string_equal(text.data, "refer t events\nsearch id = 1 x\nmake SELECT 7 seven\n"
                                   "load ids u1|1\n-|true\n\nrefer t db.events\n"
                                   "publish db.x s3://b/x/\nsearch id = 1 x\n");
    assert_int_equal(rc_fake_host_open_handles(host), 0);
}

/* ---- locks and pool ------------------------------------------------------------------------- */

static void test_locks(void **state)
{
    (void)state;
    HOST_AUTO host = rc_fake_host_new(NULL);
    struct rc_job *job = rc_fake_host_job(host);
    struct rc_error err;
    struct rc_lock *lock, *other;
    assert_int_equal(rc_lock_acquire(job, "a", 0, &lock, &err), RC_OK);
    assert_int_equal(rc_lock_token(job, lock), 1);
    assert_int_equal(rc_lock_acquire(job, "a", 0, &other, &err), RC_CONFLICT);
    assert_int_equal(rc_lock_acquire(job, "b", 0, &other, &err), RC_OK);
    rc_lock_release(job, other);
    rc_lock_release(job, lock);
    assert_int_equal(rc_lock_acquire(job, "a", 0, &lock, &err), RC_OK);
    assert_int_equal(rc_lock_token(job, lock), 2);
    assert_int_equal(rc_lock_check(job, lock, &err), RC_OK);
    rc_fake_host_lose_locks(host);
    assert_int_equal(rc_lock_check(job, lock, &err), RC_CONFLICT);
    rc_lock_release(job, lock);
    rc_fake_host_hold_lock(host, "c", true);
    assert_int_equal(rc_lock_acquire(job, "c", 0, &lock, &err), RC_CONFLICT);
}

struct sums {
    _Atomic size_t sum;
    size_t fail_at;
};

static enum rc_code add(struct rc_job *job, void *context, size_t index, struct rc_error *err)
{
    struct sums *sums = context;
    if (rc_job_check(job, err))
        return rc_context(err, "item %zu", index);
    if (index == sums->fail_at)
        return rc_fail(err, RC_CORRUPT, "item %zu", index);
    sums->sum += index;
    return RC_OK;
}

static void test_pool(void **state)
{
    (void)state;
    for (int threads = 0; threads <= 1; threads++) {
        HOST_AUTO host = rc_fake_host_new(NULL);
        struct rc_job *job = rc_fake_host_job(host);
        struct rc_error err;
        rc_fake_host_set_threads(host, threads);
        struct sums sums = { .fail_at = SIZE_MAX };
        assert_int_equal(rc_parallel(job, 4, 100, add, &sums, &err), RC_OK);
        assert_int_equal(sums.sum, 4950);
        sums.fail_at = 0;
        assert_int_equal(rc_parallel(job, 4, 100000, add, &sums, &err), RC_CORRUPT);
        assert_string_equal(err.cause, "item 0");
        if (!threads) /* with threads the others may have got far before item 0 failed */
            assert_int_equal(rc_fake_host_calls(host), 103);
        assert_int_equal(rc_parallel(job, 4, 0, add, &sums, &err), RC_OK);
    }
}

/* ---- forwarding ----------------------------------------------------------------------------- */

static void test_base(void **state)
{
    (void)state;
    HOST_AUTO inner = rc_fake_host_new(NULL);
    HOST_AUTO outer = rc_fake_host_new(rc_fake_host_job(inner));
    struct rc_job *job = rc_fake_host_job(outer);
    struct rc_error err;
    struct rc_writer *writer;
    struct rc_lock *lock;
    struct rc_db *db;
    struct rc_sql *sql;
    RC_BUF_AUTO(names, 1024);
    assert_int_equal(rc_storage_create(job, "s3://b/k", NULL, &writer, &err), RC_OK);
    assert_int_equal(rc_storage_write(job, writer, "x", 1, &err), RC_OK);
    assert_int_equal(rc_storage_commit(job, writer, &err), RC_OK);
    rc_storage_write_close(job, writer);
    assert_string_equal(rc_fake_host_object(inner, "s3://b/k", NULL), "x");
    assert_null(rc_fake_host_object(outer, "s3://b/k", NULL));
    list_all(job, "s3://b/", NULL, &names);
    assert_string_equal(names.data, "k ");

    assert_int_equal(rc_lock_acquire(job, "a", 0, &lock, &err), RC_OK);
    assert_int_equal(rc_lock_token(job, lock), 1);
    rc_lock_release(job, lock);
    assert_int_equal(rc_db_open(job, steps, 2, &db, &err), RC_OK);
    assert_int_equal(rc_db_begin(job, db, &err), RC_OK);
    rc_db_close(job, db);
    assert_int_equal(rc_sql_open(job, NULL, &sql, &err), RC_OK);
    assert_int_equal(rc_sql_exec(job, sql, "DO", NULL, 0, NULL, &err), RC_OK);
    rc_sql_close(job, sql);
    assert_int_equal(rc_fake_host_statements(inner), 1);

    struct sums sums = { .fail_at = SIZE_MAX };
    assert_int_equal(rc_parallel(job, 4, 10, add, &sums, &err), RC_OK);
    assert_int_equal(sums.sum, 45);

    rc_fake_host_fail_at(outer, 1, RC_UNAVAILABLE);
    int before = rc_fake_host_calls(inner);
    assert_int_equal(rc_storage_put(job, "s3://b/k", "", 0, NULL, &err), RC_UNAVAILABLE);
    assert_int_equal(rc_fake_host_calls(inner), before);
    assert_int_equal(rc_fake_host_open_handles(inner), 0);
    assert_int_equal(rc_fake_host_open_handles(outer), 0);
}

static enum rc_code submit_run(struct rc_job *job, const void *config, struct rc_error *err)
{
    const struct rc_pair params[] = { { "name", "a" }, { "lock.id", "b" } };
    const struct rc_pair unknown = { "nam", "a" };
    char run_id[RC_RUN_ID_TEXT];

    (void)config;
    if (job->params && ((const char *const *)job->params)[0])
        return RC_OK; /* the run that was begun */
    assert_int_equal(rc_job_submit(job, "other", NULL, 0, run_id, err), RC_INVALID);
    assert_int_equal(rc_job_submit(job, "submit", &unknown, 1, run_id, err), RC_INVALID);
    assert_string_equal(run_id, "");
    return rc_job_submit(job, "submit", params, 2, run_id, err);
}

struct submit_params {
    const char *name, *lock;
};

static const struct rc_option submit_params[] = {
    { RC_STR("name", struct submit_params, name), .help = "A name." },
    { RC_STR("lock.id", struct submit_params, lock), .help = "A lock." },
    { 0 },
};

static const struct rc_action submit_actions[] = {
    { .name = "submit",
      .summary = "Begins itself.",
      .params = submit_params,
      .params_size = sizeof(struct submit_params),
      .run = submit_run },
    { 0 },
};

static const struct rc_plugin submitter = {
    RC_PLUGIN_HEAD,
    .name = "submitter",
    .version = "1.0",
    .summary = "Begins runs.",
    .actions = submit_actions,
};

static void test_submit(void **state)
{
    RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *host = rc_fake_host_new(NULL);
    const char *const settings[] = { "name=a", "lock.id=b", NULL };
    struct rc_fake_submitted submitted;
    char run_id[RC_RUN_ID_TEXT];
    struct rc_error err;

    (void)state;
    assert_int_equal(rc_fake_host_run(host, &submitter, NULL, NULL, &err), RC_OK);
    assert_int_equal(rc_fake_host_submits(host), 1);
    submitted = rc_fake_host_submitted(host, 0);
    assert_string_equal(submitted.run_id, "20260115t120000-00000001");
    assert_string_equal(submitted.action, "submit");
    assert_int_equal(submitted.param_count, 2);
    assert_string_equal(submitted.params[1].key, "lock.id");
    assert_string_equal(submitted.params[1].value, "b");
    assert_int_equal(rc_fake_host_run(host, &submitter, "submit", settings, &err), RC_OK);
    assert_int_equal(rc_fake_host_submits(host), 1);

    rc_fake_host_fail_on(host, "job.submit", "submit", 1, RC_UNAVAILABLE);
    assert_int_equal(rc_job_submit(rc_fake_host_job(host), "submit", NULL, 0, run_id, &err),
                     RC_UNAVAILABLE);
    rc_fake_host_revive(host);
    rc_fake_host_job(host)->dry_run = true;
    assert_int_equal(rc_fake_host_run(host, &submitter, NULL, NULL, &err), RC_OK);
    assert_int_equal(rc_fake_host_held_back(host), 1);
    assert_int_equal(rc_fake_host_submits(host), 1);
}

static enum rc_code who_handle(struct rc_job *job, const void *config, struct rc_exchange *exchange,
                               struct rc_error *err)
{
    (void)config;
    return rc_exchange_is_local(job, exchange) ? RC_OK : rc_fail(err, RC_DENIED, "not from here");
}

static void test_local_clients(void **state)
{
    static const struct rc_route routes[] = {
        { .method = "GET", .path = "/who", .summary = "Who asks.", .handle = who_handle },
        { 0 },
    };
    struct rc_plugin plugin = submitter;
    RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *host = rc_fake_host_new(NULL);
    struct rc_fake_request request = { .method = "GET", .path = "/who" };
    struct rc_error err;

    (void)state;
    plugin.routes = routes;
    assert_int_equal(rc_fake_host_request(host, &plugin, &request, &err), RC_OK);
    request.from_elsewhere = true;
    assert_int_equal(rc_fake_host_request(host, &plugin, &request, &err), RC_DENIED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_listing),
        cmocka_unit_test(test_conditional_put),
        cmocka_unit_test(test_writer),
        cmocka_unit_test(test_reader),
        cmocka_unit_test(test_copy_move_remove),
        cmocka_unit_test(test_dry_run),
        cmocka_unit_test(test_job_reports),
        cmocka_unit_test(test_days),
        cmocka_unit_test(test_temp_dir),
        cmocka_unit_test(test_stopping),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_db),
        cmocka_unit_test(test_sql),
        cmocka_unit_test(test_sql_tables),
        cmocka_unit_test(test_locks),
        cmocka_unit_test(test_pool),
        cmocka_unit_test(test_base),
        cmocka_unit_test(test_submit),
        cmocka_unit_test(test_local_clients),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
