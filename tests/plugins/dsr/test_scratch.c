/*
 * Scratch files: they have no name, share a budget, and who waits for it can be stopped.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <run-core/fake_host.h>

#include <scratch.h>

#include <dirent.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

static void test_a_file_has_no_name(void **state)
{
    (void)state;
    RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *host = rc_fake_host_new(NULL);
    struct rc_job *job = rc_fake_host_job(host);
    struct dsr_scratch *scratch;
    struct dsr_scratch_file file;
    struct rc_error err = RC_ERROR_INIT;
    const char *folder;
    char back[8] = "";
    size_t entries = 0;

    assert_int_equal(dsr_scratch_new(job, 1000, &scratch, &err), RC_OK);
    assert_int_equal(dsr_scratch_open(job, scratch, &file, &err), RC_OK);
    struct pq_sink sink = dsr_scratch_sink(&file);
    assert_int_equal(sink.write(sink.context, "abc", 3, &err), RC_OK);
    assert_int_equal(sink.write(sink.context, "def", 3, &err), RC_OK);
    assert_int_equal(file.bytes, 6);

    struct pq_source source = dsr_scratch_source(&file, "copy of x");
    assert_int_equal(source.size_bytes, 6);
    assert_string_equal(source.name, "copy of x");
    assert_int_equal(source.read(source.context, 2, back, 3, &err), RC_OK);
    assert_string_equal(back, "cde");
    assert_int_equal(source.read(source.context, 4, back, 3, &err), RC_CORRUPT);

    /* Others open it by its path. */
    int fd = open(file.path, O_RDONLY);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, back, 6, 0), 6);
    assert_memory_equal(back, "abcdef", 6);
    close(fd);

    assert_int_equal(rc_job_temp_dir(job, &folder, &err), RC_OK);
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    while (readdir(dir))
        entries++;
    closedir(dir);
    assert_int_equal(entries, 2); /* itself and the one above */
    dsr_scratch_close(&file);
    dsr_scratch_close(&file);
    dsr_scratch_free(scratch);
    dsr_scratch_free(NULL);
}

static void test_the_budget(void **state)
{
    (void)state;
    RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *host = rc_fake_host_new(NULL);
    struct rc_job *job = rc_fake_host_job(host);
    struct dsr_scratch *scratch;
    struct rc_error err = RC_ERROR_INIT;

    assert_int_equal(dsr_scratch_new(job, 1000, &scratch, &err), RC_OK);
    assert_int_equal(dsr_scratch_take(job, scratch, 1001, &err), RC_TOO_LARGE);
    assert_non_null(strstr(err.cause, "scratch_limit"));
    assert_int_equal(dsr_scratch_take(job, scratch, 600, &err), RC_OK);
    assert_int_equal(dsr_scratch_take(job, scratch, 400, &err), RC_OK);
    /* Nothing is left: who waits is stopped with the run. */
    rc_fake_host_cancel_at(host, 2);
    assert_int_equal(dsr_scratch_take(job, scratch, 1, &err), RC_CANCELLED);
    rc_fake_host_cancel_at(host, 0);
    dsr_scratch_give(scratch, 400);
    assert_int_equal(dsr_scratch_take(job, scratch, 300, &err), RC_OK);
    dsr_scratch_give(scratch, 900);
    dsr_scratch_free(scratch);
}

/* ---- threads that wait for one another ---- */

enum { TAKERS = 200 };

struct taking {
    struct dsr_scratch *scratch;
    _Atomic int64_t used, most;
};

static enum rc_code take_and_give(struct rc_job *job, void *context, size_t index,
                                  struct rc_error *err)
{
    struct taking *taking = context;
    int64_t bytes = 100 + (int64_t)index % 900, used;

    if (dsr_scratch_take(job, taking->scratch, bytes, err))
        return err->code;
    used = atomic_fetch_add(&taking->used, bytes) + bytes;
    if (used > taking->most)
        taking->most = used;
    usleep(200);
    taking->used -= bytes;
    dsr_scratch_give(taking->scratch, bytes);
    return RC_OK;
}

static void test_threads_share_it(void **state)
{
    (void)state;
    RC_CLEANUP(rc_fake_host_clear) struct rc_fake_host *host = rc_fake_host_new(NULL);
    struct rc_job *job = rc_fake_host_job(host);
    struct taking taking = { .used = 0 };
    struct rc_error err = RC_ERROR_INIT;

    rc_fake_host_set_threads(host, true);
    assert_int_equal(dsr_scratch_new(job, 1000, &taking.scratch, &err), RC_OK);
    assert_int_equal(rc_parallel(job, 8, TAKERS, take_and_give, &taking, &err), RC_OK);
    assert_int_equal(taking.used, 0);
    assert_true(taking.most <= 1000);
    dsr_scratch_free(taking.scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_file_has_no_name),
        cmocka_unit_test(test_the_budget),
        cmocka_unit_test(test_threads_share_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
