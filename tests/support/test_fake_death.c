/*
 * The fake host's deaths, lost answers and versions: what the exhaustive tests of plugins lean on.
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

static void assert_object(struct rc_fake_host *host, const char *uri, const char *wanted)
{
    const char *content = rc_fake_host_object(host, uri, NULL);

    if (!wanted)
        assert_null(content);
    else
        assert_string_equal(content, wanted);
}

/* ---- a plugin whose every step lasts -------------------------------------------------------- */

static const struct rc_migration migrations[] = {
    { .number = 1, .sql = "CREATE TABLE step (name TEXT PRIMARY KEY)" },
};

static enum rc_code note(struct rc_job *job, struct rc_db *db, const char *step,
                         struct rc_error *err)
{
    const struct rc_value params[] = { rc_value_text(step) };

    return rc_db_exec(job, db, "INSERT INTO step VALUES ($1) ON CONFLICT DO NOTHING", params, 1,
                      NULL, err);
}

static enum rc_code write_stream(struct rc_job *job, const char *uri, const char *text,
                                 struct rc_error *err)
{
    struct rc_writer *writer = NULL;

    if (rc_storage_create(job, uri, NULL, &writer, err))
        return err->code;
    if (!rc_storage_write(job, writer, text, strlen(text), err))
        (void)!rc_storage_commit(job, writer, err);
    rc_storage_write_close(job, writer);
    return err->code;
}

static enum rc_code work(struct rc_job *job, struct rc_db *db, struct rc_error *err)
{
    if (rc_db_begin(job, db, err))
        return err->code;
    if (note(job, db, "one", err) || note(job, db, "two", err) || rc_db_commit(job, db, err)) {
        rc_db_rollback(job, db);
        return err->code;
    }
    if (rc_storage_put(job, "s3://b/put", "put", 3, NULL, err) ||
        write_stream(job, "s3://b/streamed", "streamed", err))
        return err->code;
    return rc_storage_move(job, "s3://b/put", "s3://b/moved", err);
}

static enum rc_code run(struct rc_job *job, const void *config, struct rc_error *err)
{
    struct rc_lock *lock = NULL;
    struct rc_db *db = NULL;

    (void)config;
    *err = (struct rc_error)RC_ERROR_INIT;
    if (rc_lock_acquire(job, "only", 0, &lock, err))
        return err->code;
    if (!rc_db_open(job, migrations, 1, &db, err))
        (void)!work(job, db, err);
    rc_db_close(job, db);
    rc_lock_release(job, lock);
    return err->code;
}

static const struct rc_action actions[] = { { .name = "run", .summary = "Runs.", .run = run },
                                            { 0 } };
static const struct rc_plugin plugin = { RC_PLUGIN_HEAD, .name = "steps", .version = "1.0",
                                         .summary = "Steps.", .actions = actions };

/* How far a run got, by what is there: in the order of its steps. */
static int steps_done(struct rc_fake_host *host)
{
    struct rc_job *job = rc_fake_host_job(host);
    struct rc_error err = RC_ERROR_INIT;
    struct rc_db *db;
    struct rc_rows *rows;
    const struct rc_value *row;
    int64_t noted;

    assert_int_equal(rc_db_open(job, migrations, 1, &db, &err), RC_OK);
    assert_int_equal(rc_db_query(job, db, "SELECT count(*) FROM step", NULL, 0, &rows, &err),
                     RC_OK);
    assert_int_equal(rc_rows_next(rows, &row, &err), RC_OK);
    noted = row[0].integer;
    rc_rows_close(&rows);
    rc_db_close(job, db);
    assert_true(noted == 0 || noted == 2); /* a transaction is whole */
    if (rc_fake_host_object(host, "s3://b/moved", NULL))
        return 4;
    if (rc_fake_host_object(host, "s3://b/streamed", NULL))
        return 3;
    return rc_fake_host_object(host, "s3://b/put", NULL) ? 2 : noted > 0;
}

/* Dies at call n and returns how far it got. */
static int die(struct rc_fake_host *host, int n, bool after)
{
    struct rc_error err = RC_ERROR_INIT;
    int done;

    rc_fake_host_die_at(host, n, after);
    assert_int_equal(rc_fake_host_run(host, &plugin, NULL, NULL, &err), RC_UNAVAILABLE);
    assert_string_equal(err.cause, "the process is dead");
    assert_true(rc_fake_host_is_dead(host));
    assert_int_equal(rc_fake_host_open_handles(host), 0);
    rc_fake_host_revive(host);
    assert_false(rc_fake_host_is_dead(host));
    done = steps_done(host);
    rc_fake_host_revive(host);
    return done;
}

static int calls_of_a_run(void)
{
    HOST_AUTO host = rc_fake_host_new(NULL);
    struct rc_error err = RC_ERROR_INIT;

    assert_int_equal(rc_fake_host_run(host, &plugin, NULL, NULL, &err), RC_OK);
    assert_int_equal(steps_done(host), 4);
    return rc_fake_host_calls(host) - 3; /* without those of steps_done() */
}

/* Wherever it dies, a prefix of its steps is there, and the next run does the rest. */
static void test_death_at_every_call(void **state)
{
    int calls = calls_of_a_run(), last = 0;

    (void)state;
    for (int n = 1; n <= calls; n++) {
        HOST_AUTO before = rc_fake_host_new(NULL);
        HOST_AUTO after = rc_fake_host_new(NULL);
        struct rc_error err = RC_ERROR_INIT;
        int done = die(before, n, /* after = */ false);
        int done_after = die(after, n, /* after = */ true);

        assert_true(done >= last && done_after >= done && done_after <= done + 1);
        last = done_after;
        assert_int_equal(rc_fake_host_run(before, &plugin, NULL, NULL, &err), RC_OK);
        assert_int_equal(steps_done(before), 4);
    }
    assert_int_equal(last, 4);
}

static void test_the_dead_leave_unfinished_uploads(void **state)
{
    HOST_AUTO host = rc_fake_host_new(NULL);
    struct rc_job *job = rc_fake_host_job(host);
    struct rc_error err = RC_ERROR_INIT;
    struct rc_writer *in_bucket, *local;

    (void)state;
    assert_int_equal(rc_storage_create(job, "s3://b/x", NULL, &in_bucket, &err), RC_OK);
    assert_int_equal(rc_storage_create(job, "file:///x", NULL, &local, &err), RC_OK);
    rc_fake_host_die_at(host, 1, /* after = */ false);
    assert_int_equal(rc_storage_commit(job, in_bucket, &err), RC_UNAVAILABLE);
    rc_storage_write_close(job, in_bucket);
    rc_storage_write_close(job, local);
    assert_string_equal(rc_fake_host_objects(host, ""), "");
    rc_fake_host_revive(host);
    assert_string_equal(rc_fake_host_pending(host), "s3://b/x\n");
}

static void test_a_new_process(void **state)
{
    HOST_AUTO host = rc_fake_host_new(NULL);
    struct rc_job *job = rc_fake_host_job(host);
    const struct rc_store store = { .struct_bytes = sizeof store, .name = "s", .url = "s3://b/" };
    struct rc_error err = RC_ERROR_INIT;
    struct rc_lock *lock;
    const char *path;

    (void)state;
    rc_fake_host_hold_lock(host, "other's", true);
    assert_int_equal(rc_lock_acquire(job, "mine", 0, &lock, &err), RC_OK);
    assert_int_equal(rc_storage_define(job, &store, &err), RC_OK);
    assert_int_equal(rc_job_temp_dir(job, &path, &err), RC_OK);
    RC_STR_AUTO directory = rc_strdup(path);
    RC_STR_AUTO run_id = rc_strdup(job->run_id);
    assert_string_equal(rc_fake_host_temp_dir(host), directory);
    rc_job_count(job, "files", 1);
    rc_info(job, "text");
    rc_fake_host_fail_on(host, NULL, NULL, -1, RC_DENIED);
    rc_lock_release(job, lock);

    rc_fake_host_revive(host);
    assert_int_equal(rc_fake_host_calls(host), 0);
    assert_string_equal(rc_fake_host_log(host), "");
    assert_int_equal(rc_fake_host_counter(host, "files"), 0);
    assert_null(rc_fake_host_store(host, "s"));
    assert_null(rc_fake_host_temp_dir(host));
    assert_int_not_equal(access(directory, F_OK), 0);
    assert_string_not_equal(job->run_id, run_id);
    assert_int_equal(rc_lock_acquire(job, "mine", 0, &lock, &err), RC_OK);
    rc_lock_release(job, lock);
    assert_int_equal(rc_lock_acquire(job, "other's", 0, &lock, &err), RC_CONFLICT);
}

/* A lock of a dead run is free, though it was never released. */
static void test_locks_of_the_dead(void **state)
{
    HOST_AUTO host = rc_fake_host_new(NULL);
    struct rc_job *job = rc_fake_host_job(host);
    struct rc_error err = RC_ERROR_INIT;
    struct rc_lock *dead, *lock;

    (void)state;
    assert_int_equal(rc_lock_acquire(job, "x", 0, &dead, &err), RC_OK);
    rc_fake_host_revive(host);
    assert_int_equal(rc_lock_acquire(job, "x", 0, &lock, &err), RC_OK);
    rc_lock_release(job, dead); /* of the dead: takes nothing from the living */
    assert_int_equal(rc_lock_check(job, lock, &err), RC_OK);
    assert_int_equal(rc_lock_acquire(job, "x", 0, &dead, &err), RC_CONFLICT);
    rc_lock_release(job, lock);
}

/* ---- lost answers --------------------------------------------------------------------------- */

static void test_lost_answers(void **state)
{
    HOST_AUTO host = rc_fake_host_new(NULL);
    struct rc_job *job = rc_fake_host_job(host);
    struct rc_error err = RC_ERROR_INIT;
    struct rc_stat stat;

    (void)state;
    rc_fake_host_lose_at(host, 1, RC_TIMEOUT);
    assert_int_equal(rc_storage_put(job, "s3://b/x", "1", 1, NULL, &err), RC_TIMEOUT);
    assert_object(host, "s3://b/x", "1");
    rc_fake_host_lose_at(host, 1, RC_UNAVAILABLE);
    assert_int_equal(rc_storage_stat(job, "s3://b/x", &stat, &err), RC_UNAVAILABLE);
    rc_fake_host_lose_at(host, 1, RC_UNAVAILABLE);
    /* What fails by itself says why. */
    assert_int_equal(rc_storage_put(job, "s3://b/x", "2", 1, RC_IF_ABSENT, &err), RC_CONFLICT);
    assert_int_equal(rc_storage_stat(job, "s3://b/x", &stat, &err), RC_OK);
    const struct rc_remove_options options = { .struct_bytes = sizeof options,
                                               .if_match = stat.etag };
    rc_fake_host_lose_at(host, 1, RC_UNAVAILABLE);
    assert_int_equal(rc_storage_remove_with(job, "s3://b/x", &options, &err), RC_UNAVAILABLE);
    assert_object(host, "s3://b/x", NULL);
}

/* ---- others in between ---------------------------------------------------------------------- */

struct seen {
    struct rc_buf calls;
};

static void meddle(void *context, struct rc_fake_host *host, int n, const char *service,
                   const char *subject)
{
    struct seen *seen = context;

    rc_buf_addf(&seen->calls, "%d %s %s\n", n, service, subject);
    if (n == 2)
        rc_fake_host_put(host, "s3://b/x", "theirs", 6);
}

static void test_another_writer_in_between(void **state)
{
    HOST_AUTO host = rc_fake_host_new(NULL);
    struct rc_job *job = rc_fake_host_job(host);
    struct seen seen = { .calls = RC_BUF_INIT(4096) };
    struct rc_error err = RC_ERROR_INIT;
    struct rc_stat stat;

    (void)state;
    put_text(host, "s3://b/x", "ours");
    rc_fake_host_on_call(host, meddle, &seen);
    assert_int_equal(rc_storage_stat(job, "s3://b/x", &stat, &err), RC_OK);
    assert_int_equal(rc_storage_put(job, "s3://b/x", "new", 3, stat.etag, &err), RC_CONFLICT);
    assert_object(host, "s3://b/x", "theirs");
    assert_string_equal(seen.calls.data, "1 storage.stat s3://b/x\n2 storage.put s3://b/x\n");
    rc_fake_host_die_at(host, 1, /* after = */ false);
    assert_int_equal(rc_job_check(job, &err), RC_UNAVAILABLE);
    assert_int_equal(rc_job_check(job, &err), RC_UNAVAILABLE);
    assert_string_equal(strrchr(seen.calls.data, '3'), "3 job.check \n"); /* the dead call nobody */
    rc_buf_clear(&seen.calls);
}

/* ---- versions and conditions ---------------------------------------------------------------- */

static void add_versions(struct rc_job *job, const char *prefix, struct rc_buf *out)
{
    struct rc_error err = RC_ERROR_INIT;
    struct rc_listing *listing;
    const struct rc_version *version;

    rc_buf_reset(out);
    assert_int_equal(rc_storage_versions(job, prefix, &listing, &err), RC_OK);
    while (!rc_storage_version_next(job, listing, &version, &err) && version)
        rc_buf_addf(out, "%s:%s%s%s ", version->name, version->version ? version->version : "-",
                    version->is_current ? ":current" : "", version->is_removal ? ":removal" : "");
    assert_int_equal(err.code, RC_OK);
    rc_storage_list_close(job, listing);
}

static enum rc_code read_with(struct rc_job *job, const char *uri, const char *if_match,
                              const char *version, char *first, struct rc_error *err)
{
    const struct rc_get_options options = {
        .struct_bytes = sizeof options,
        .len_bytes = -1,
        .if_match = if_match,
        .version = version,
    };
    struct rc_reader *reader;
    size_t len;

    *first = '\0';
    if (rc_storage_open_with(job, uri, &options, &reader, err))
        return err->code;
    (void)!rc_storage_read(job, reader, first, 1, &len, err);
    rc_storage_read_close(job, reader);
    return err->code;
}

static enum rc_code remove_version(struct rc_job *job, const char *uri, const char *version)
{
    const struct rc_remove_options options = { .struct_bytes = sizeof options, .version = version };
    struct rc_error err = RC_ERROR_INIT;

    return rc_storage_remove_with(job, uri, &options, &err);
}

static void test_versions(void **state)
{
    HOST_AUTO host = rc_fake_host_new(NULL);
    struct rc_job *job = rc_fake_host_job(host);
    const char *const uri = "s3://b/v/x";
    struct rc_error err = RC_ERROR_INIT;
    RC_BUF_AUTO(seen, 4096);
    char first;

    (void)state;
    put_text(host, "s3://b/plain", "p");
    put_text(host, "s3://b/v/old", "o"); /* before versions were kept */
    rc_fake_host_version_bucket(host, "s3://b/v/");
    put_text(host, uri, "1");
    put_text(host, uri, "2");
    put_text(host, "s3://b/v/old", "n");
    add_versions(job, "s3://b/", &seen);
    assert_string_equal(seen.data, "plain:-:current v/old:version-5:current v/old:null "
                                   "v/x:version-4:current v/x:version-3 ");
    assert_int_equal(read_with(job, uri, NULL, "version-3", &first, &err), RC_OK);
    assert_int_equal(first, '1');

    assert_int_equal(rc_storage_remove(job, &uri, 1, &err), RC_OK);
    assert_string_equal(rc_fake_host_versions(host, uri),
                        "s3://b/v/x version-6 current removal\ns3://b/v/x version-4\n"
                        "s3://b/v/x version-3\n");
    assert_int_equal(read_with(job, uri, NULL, "version-6", &first, &err), RC_NOT_FOUND);
    err = (struct rc_error)RC_ERROR_INIT;
    assert_int_equal(remove_version(job, uri, "version-6"), RC_OK);
    assert_object(host, uri, "2");
    assert_int_equal(remove_version(job, uri, "version-4"), RC_OK);
    assert_object(host, uri, "1");
    assert_string_equal(rc_fake_host_version(host, uri, "version-3", NULL), "1");
    assert_int_equal(remove_version(job, uri, "version-3"), RC_OK);
    assert_int_equal(remove_version(job, uri, "version-3"), RC_OK);
    assert_string_equal(rc_fake_host_versions(host, uri), "");
}

static void test_conditions(void **state)
{
    HOST_AUTO host = rc_fake_host_new(NULL);
    struct rc_job *job = rc_fake_host_job(host);
    struct rc_remove_options options = { .struct_bytes = sizeof options };
    struct rc_error err = RC_ERROR_INIT;
    struct rc_stat stat;
    char first;

    (void)state;
    put_text(host, "s3://b/x", "1");
    assert_int_equal(rc_storage_stat(job, "s3://b/x", &stat, &err), RC_OK);
    assert_int_equal(read_with(job, "s3://b/x", stat.etag, NULL, &first, &err), RC_OK);
    assert_int_equal(rc_storage_copy_with(job, "s3://b/x", stat.etag, "s3://b/y", &err), RC_OK);
    put_text(host, "s3://b/x", "2");
    assert_int_equal(read_with(job, "s3://b/x", stat.etag, NULL, &first, &err), RC_CONFLICT);
    assert_int_equal(rc_storage_copy_with(job, "s3://b/x", stat.etag, "s3://b/z", &err),
                     RC_CONFLICT);
    assert_object(host, "s3://b/y", "1");
    assert_object(host, "s3://b/z", NULL);

    options.if_match = stat.etag;
    assert_int_equal(rc_storage_remove_with(job, "s3://b/x", &options, &err), RC_CONFLICT);
    assert_int_equal(rc_storage_stat(job, "s3://b/x", &stat, &err), RC_OK);
    job->dry_run = true;
    assert_int_equal(rc_storage_remove_with(job, "s3://b/x", &options, &err), RC_OK);
    assert_int_equal(rc_fake_host_held_back(host), 1);
    job->dry_run = false;
    assert_int_equal(rc_storage_remove_with(job, "s3://b/x", &options, &err), RC_OK);
    assert_int_equal(rc_storage_remove_with(job, "s3://b/x", &options, &err), RC_CONFLICT);
    options.version = "any";
    assert_int_equal(rc_storage_remove_with(job, "s3://b/x", &options, &err), RC_INVALID);
    options.if_match = options.version = NULL;
    assert_int_equal(rc_storage_remove_with(job, "s3://b/x", &options, &err), RC_OK);
    rc_fake_host_fail_on(host, "storage.remove_with", "/x", 1, RC_DENIED);
    assert_int_equal(rc_storage_remove_with(job, "s3://b/x", &options, &err), RC_DENIED);
}

static void test_attributes_are_kept(void **state)
{
    HOST_AUTO host = rc_fake_host_new(NULL);
    struct rc_job *job = rc_fake_host_job(host);
    const struct rc_attributes attributes = { .content_type = "text/plain" };
    struct rc_put_options options = {
        .struct_bytes = sizeof options,
        .size_bytes = -1,
        .keep_attributes = true,
    };
    struct rc_error err = RC_ERROR_INIT;
    struct rc_writer *writer;
    struct rc_stat stat;

    (void)state;
    rc_fake_host_put_with(host, "s3://b/x", "1", 1, &attributes);
    assert_int_equal(rc_storage_stat(job, "s3://b/x", &stat, &err), RC_OK);
    assert_int_equal(rc_storage_create_with(job, "s3://b/x", &options, &writer, &err), RC_INVALID);
    options.if_match = stat.etag;
    assert_int_equal(rc_storage_create_with(job, "s3://b/x", &options, &writer, &err), RC_OK);
    assert_int_equal(rc_storage_write(job, writer, "2", 1, &err), RC_OK);
    assert_int_equal(rc_storage_commit(job, writer, &err), RC_OK);
    rc_storage_write_close(job, writer);
    assert_object(host, "s3://b/x", "2");
    assert_string_equal(rc_fake_host_attributes(host, "s3://b/x"), "content-type: text/plain\n");
    rc_fake_host_remove(host, "s3://b/x");
    assert_object(host, "s3://b/x", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_death_at_every_call),
        cmocka_unit_test(test_the_dead_leave_unfinished_uploads),
        cmocka_unit_test(test_a_new_process),
        cmocka_unit_test(test_locks_of_the_dead),
        cmocka_unit_test(test_lost_answers),
        cmocka_unit_test(test_another_writer_in_between),
        cmocka_unit_test(test_versions),
        cmocka_unit_test(test_conditions),
        cmocka_unit_test(test_attributes_are_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
