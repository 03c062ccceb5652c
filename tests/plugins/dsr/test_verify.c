/*
 * What the SQL engine says of the rows that are to go: whatever the plugin's own reader found, an
 * object is only changed if they are the users' to the engine, too.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <run-core/fake_host.h>

#include "engine_internal.h"
#include "run.h"

#include "duckdb_sql.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OBJECT "s3://b/events/shard=7/day=2026-01-01/a.parquet"

enum { EXIT_SKIPPED = 77, ROWS = 6, FILE_LIMIT = 64 << 10, SCRATCH_BYTES = 64 << 20 };

static const char content[] =
    "SELECT unnest(['ada', 'kim', 'bob', NULL, 'ada', 'max']) AS id, unnest(range(6)) AS number";

struct fixture {
    struct rc_fake_host *host;
    struct rc_job *job;
    struct dsr_config config;
    struct dsr_run run;
    struct rc_lock *lock;
    struct dsr_users *users;
    struct dsr_object object;
    struct rc_error err;
};

/* The object is one that the engine has written. */
static void put(struct fixture *f)
{
    char bytes[FILE_LIMIT];
    struct dsr_engine *engine;
    struct dsr_scratch_file file;
    RC_STR_AUTO copy = NULL;
    ssize_t len;

    assert_int_equal(dsr_engines_borrow(f->job, f->run.engines, f->users, &engine, &f->err), RC_OK);
    assert_int_equal(dsr_scratch_open(f->job, f->run.scratch, &file, &f->err), RC_OK);
    copy = rc_strf("COPY (%s) TO '%s' (FORMAT parquet, use_tmp_file false)", content, file.path);
    if (rc_sql_exec(f->job, engine->sql, copy, NULL, 0, NULL, &f->err))
        fail_msg("%s", f->err.cause);
    len = pread(file.fd, bytes, sizeof(bytes), 0);
    assert_true(len > 0 && (size_t)len < sizeof(bytes));
    rc_fake_host_put(f->host, OBJECT, bytes, (size_t)len);
    dsr_scratch_close(&file);
    dsr_engines_drop(&engine);
}

static void begin(struct fixture *f, const char *verify, const char *const *users)
{
    static struct rc_host base_host;
    static struct rc_job base = {
        .host = &base_host,
        .log_level = RC_LOG_DEBUG,
        .run_id = "verify-1",
        .time_zone = "UTC",
    };
    const char *const settings[] = {
        "markersBaseFolder=s3://b/markers",
        "markersArchiveFolder=s3://b/archive",
        "cleanupTables[0].piTable=events",
        "cleanupTables[0].userIdColumn=id",
        "cleanupTables[0].sourceS3Folder=s3://b/events",
        verify,
        NULL,
    };

    *f = (struct fixture){ .err = RC_ERROR_INIT };
    base_host.sql = duckdb_sql_api();
    f->host = rc_fake_host_new(&base);
    f->job = f->run.job = rc_fake_host_job(f->host);
    f->run.config = &f->config;
    assert_int_equal(rc_fake_host_bind(f->host, dsr_options, &f->config, settings, &f->err), RC_OK);
    assert_int_equal(dsr_places_make(&f->config, "/verify", &f->run.places, &f->err), RC_OK);
    assert_int_equal(dsr_journal_open(f->job, &f->config, &f->run.places, &f->run.journal, &f->err),
                     RC_OK);
    assert_int_equal(dsr_scratch_new(f->job, SCRATCH_BYTES, &f->run.scratch, &f->err), RC_OK);
    if (dsr_engines_new(f->job, &f->config, f->run.scratch, 1, &f->run.engines, &f->err))
        fail_msg("%s: %s", f->err.context, f->err.cause);
    assert_int_equal(rc_lock_acquire(f->job, "shard 7", 0, &f->lock, &f->err), RC_OK);
    f->users = dsr_users_new();
    for (size_t i = 0; users[i]; i++)
        assert_int_equal(dsr_users_add(f->users, users[i], strlen(users[i]), &f->err), RC_OK);
    assert_int_equal(dsr_users_freeze(f->users, &f->err), RC_OK);
    put(f);
    f->object.uri = (char *)(uintptr_t)OBJECT;
    assert_int_equal(rc_storage_stat(f->job, OBJECT, &f->object.stat, &f->err), RC_OK);
}

static void end(struct fixture *f)
{
    dsr_users_free(f->users);
    rc_lock_release(f->job, f->lock);
    dsr_engines_free(f->run.engines);
    dsr_scratch_free(f->run.scratch);
    dsr_journal_close(f->run.journal);
    dsr_places_clear(&f->run.places);
    assert_int_equal(rc_fake_host_open_handles(f->host), 0);
    rc_fake_host_free(f->host);
}

/* Replaces the object as if these rows had been found. */
static enum rc_code replace(struct fixture *f, int64_t *rows, size_t count,
                            struct dsr_replaced *out)
{
    struct dsr_user_rows all = { .user = 0, .rows = (int64_t)count };
    const struct dsr_found found = {
        .rows = rows,
        .count = count,
        .users = &all,
        .user_count = 1,
        .row_count = ROWS,
        .id_bytes = f->object.stat.size_bytes,
    };

    f->err = (struct rc_error)RC_ERROR_INIT;
    return dsr_replace(&f->run, f->job, f->lock, 7, 0, &f->object, f->users, &found, out, &f->err);
}

/* Nothing was done, and nothing even intended. */
static void assert_untouched(struct fixture *f)
{
    int32_t *shards;
    size_t count;
    struct rc_stat stat;

    assert_int_equal(rc_storage_stat(f->job, OBJECT, &stat, &f->err), RC_OK);
    assert_string_equal(stat.etag, f->object.stat.etag);
    assert_int_equal(dsr_journal_shards(f->run.journal, &shards, &count, &f->err), RC_OK);
    assert_int_equal(count, 0);
    free(shards);
}

static void assert_refused(const char *const *users, const char *verify, int64_t *rows,
                           size_t count, const char *what)
{
    struct dsr_replaced replaced;
    struct fixture f;

    begin(&f, verify, users);
    assert_int_equal(replace(&f, rows, count, &replaced), RC_FAILED);
    if (!strstr(f.err.cause, what))
        fail_msg("'%s' does not say '%s'", f.err.cause, what);
    assert_untouched(&f);
    end(&f);
}

static void test_the_right_rows_go(void **state)
{
    int64_t rows[] = { 0, 4 };
    struct dsr_replaced replaced;
    struct fixture f;

    (void)state;
    begin(&f, "verify=engine", (const char *const[]){ "ada", NULL });
    if (replace(&f, rows, 2, &replaced))
        fail_msg("%s: %s", f.err.context, f.err.cause);
    assert_false(replaced.conflict || replaced.removed);
    assert_int_equal(replaced.rows, 2);
    if (rc_fake_host_counter(f.host, "files_not_seen_by_engine") > 0)
        fail_msg("%s", rc_fake_host_log(f.host));
    end(&f);
}

/* Each of these would be erased if the engine were not asked whose they are. */
static void test_a_wrong_row_does_not_go(void **state)
{
    static const char *const users[] = { "ada", NULL };

    (void)state;
    assert_refused(users, "verify=engine", (int64_t[]){ 0, 1, 4 }, 3, "2 are to the SQL engine");
    assert_refused(users, "verify=engine", (int64_t[]){ 0, 3, 4 }, 3, "2 are to the SQL engine");
    /* As many as there are, but another one: the plugin's own reader finds the one that stays. */
    assert_refused(users, "verify=engine", (int64_t[]){ 0, 1 }, 2, "would remain");
    assert_refused(users, "verify=values", (int64_t[]){ 0, 1 }, 2, "would remain");
}

static void test_an_object_goes_only_if_all_its_rows_are_the_users(void **state)
{
    static const char *const some[] = { "ada", "bob", "kim", "max", NULL };
    int64_t rows[] = { 0, 1, 2, 3, 4, 5 };

    (void)state;
    /* A row without an id is nobody's. */
    assert_refused(some, "verify=engine", rows, ROWS, "5 are to the SQL engine");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_right_rows_go),
        cmocka_unit_test(test_a_wrong_row_does_not_go),
        cmocka_unit_test(test_an_object_goes_only_if_all_its_rows_are_the_users),
    };

    if (!duckdb_sql_api())
        return EXIT_SKIPPED;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
