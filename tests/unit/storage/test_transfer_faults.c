/*
 * The transfer between two stores that fail.
 */
#include "memory_store.h"

#include <storage/remote.h>
#include <storage/transfer.h>

#include <time.h>

#define expect_ok(call)                                                                            \
    do {                                                                                           \
        if (call)                                                                                  \
            fail_msg("%s: %s: %s", #call, err.context, err.cause);                                 \
    } while (0)

static struct core_remote *remote;
static struct core_storage *storage;
static const struct core_store_settings no_stores[1];

/* Faults are many, and nobody's machine rests meanwhile. */
static const struct core_settings hasty = { .http = { .backoff_ms = 1, .max_backoff_ms = 4 } };

static int set_up(void **state)
{
    struct rc_error err = RC_ERROR_INIT;

    (void)state;
    if (core_digest_load(&err))
        return -1;
    remote = core_remote_new(&hasty, NULL, NULL);
    storage = core_storage_new(no_stores, 0, remote, NULL);
    memory.cut_reads = memory.garbled_reads = memory.refused_puts = memory.refused_commits =
        memory.replaced_reads = 0;
    memory.refused_removals = memory.refused_keys = memory.conflicting_removals =
        memory.replaced_removals = 0;
    memory.cut_at = 10;
    memory.says_crc = memory.says_md5 = memory.has_tags = false;
    memory.tagged = 0;
    memory.part_bytes = memory.takes_one_of = memory.offered = 0;
    memory.busy = memory.most_busy = memory.put_pause_ms = memory.puts = 0;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    core_storage_free(storage);
    core_remote_free(remote);
    while (memory.count > 0)
        free_object(&memory.objects[--memory.count]);
    return memory.open_uploads == 0 ? 0 : -1;
}

static void keep_large(const char *name)
{
    char *data = rc_malloc(LARGE);

    for (size_t i = 0; i < LARGE; i++)
        data[i] = (char)(i * 31 + i / 4096);
    store(name, data, LARGE, NULL);
}

static enum rc_code go(unsigned flags, struct rc_transferred *done, struct rc_error *err)
{
    const struct rc_transfer transfer = {
        .struct_bytes = sizeof(transfer),
        .flags = flags,
        .source = "s3://one/",
        .target = "s3://two/",
    };

    return core_transfer_run(storage, &transfer, done, err);
}

static void expect_equal(const char *a, const char *b)
{
    struct object first, second;

    assert_true(take_copy(a, &first));
    assert_true(take_copy(b, &second));
    assert_int_equal(first.len, second.len);
    assert_memory_equal(first.data, second.data, first.len);
    free_object(&first);
    free_object(&second);
}

static bool is_there(const char *name)
{
    struct object object;

    if (!take_copy(name, &object))
        return false;
    free_object(&object);
    return true;
}

static void copies_through_memory(void **state)
{
    struct rc_error err = RC_ERROR_INIT;
    struct rc_transferred done;

    (void)state;
    keep("one/a", "1");
    keep("one/empty", "");
    keep_large("one/large");
    expect_ok(go(0, &done, &err));
    assert_int_equal(done.objects, 3);
    assert_int_equal(done.bytes, LARGE + 1);
    expect_equal("one/a", "two/a");
    expect_equal("one/empty", "two/empty");
    expect_equal("one/large", "two/large");
    expect_ok(go(RC_TRANSFER_MOVE, &done, &err));
    assert_int_equal(done.objects, 3);
    assert_false(is_there("one/a") || is_there("one/large"));
    assert_true(is_there("two/large"));
}

static void copies_tags(void **state)
{
    struct rc_error err = RC_ERROR_INIT;
    struct rc_transferred done;

    (void)state;
    keep("one/a", "1");
    keep_large("one/large");
    expect_ok(go(0, &done, &err));
    assert_int_equal(memory.tagged, 0);
    memory.has_tags = true;
    expect_ok(go(0, &done, &err));
    assert_int_equal(memory.tagged, 2);
}

static void begins_anew_what_was_cut(void **state)
{
    struct rc_error err = RC_ERROR_INIT;
    struct rc_transferred done;

    (void)state;
    keep("one/a", "a little more than ten bytes");
    keep_large("one/large");
    /* Together fewer than one object is tried, which may have them all. */
    memory.cut_reads = memory.refused_puts = memory.refused_commits = 1;
    memory.says_crc = true;
    expect_ok(go(0, &done, &err));
    expect_equal("one/a", "two/a");
    expect_equal("one/large", "two/large");
    assert_int_equal(done.bytes, LARGE + 28);
}

static void gives_up_what_stays_broken(void **state)
{
    struct rc_error err = RC_ERROR_INIT;
    struct rc_transferred done;

    (void)state;
    keep("one/a", "a little more than ten bytes");
    keep_large("one/large");
    memory.cut_reads = 1000;
    assert_int_equal(go(RC_TRANSFER_KEEP_GOING | RC_TRANSFER_MOVE, &done, &err), RC_UNAVAILABLE);
    assert_int_equal(done.failed, 2);
    assert_false(is_there("two/a") || is_there("two/large"));
    assert_true(is_there("one/a") && is_there("one/large"));
}

static void never_commits_garbled_content(bool crc)
{
    struct rc_error err = RC_ERROR_INIT;
    struct rc_transferred done;

    keep_large("one/large");
    memory.says_crc = crc;
    memory.says_md5 = !crc;
    memory.garbled_reads = 1;
    expect_ok(go(0, &done, &err));
    expect_equal("one/large", "two/large");
    memory.garbled_reads = 1000;
    drop("two/large");
    assert_int_equal(go(RC_TRANSFER_MOVE, &done, &err), RC_CORRUPT);
    assert_non_null(strstr(err.cause, crc ? "the CRC-32C" : "the MD5"));
    assert_false(is_there("two/large"));
    assert_true(is_there("one/large"));
}

static void compares_by_crc(void **state)
{
    (void)state;
    never_commits_garbled_content(true);
}

static void compares_by_md5(void **state)
{
    (void)state;
    never_commits_garbled_content(false);
}

static void compares_by_the_tag_of_parts(void **state)
{
    struct rc_error err = RC_ERROR_INIT;
    struct rc_transferred done;

    (void)state;
    memory.part_bytes = PART; /* as both buckets take them */
    keep_large("one/large");
    memory.garbled_reads = 1;
    expect_ok(go(0, &done, &err));
    expect_equal("one/large", "two/large");
    /* Parts of an odd size: what is read twice alike is believed. */
    memory.part_bytes = PART - 1000;
    keep_large("one/large");
    expect_ok(go(0, &done, &err));
    expect_equal("one/large", "two/large");
}

static void guesses_the_size_of_parts(void **state)
{
    static const char tag[] = "0123456789abcdef0123456789abcdef";
    static const struct {
        const char *suffix;
        int64_t size_mib, part_mib;
    } cases[] = {
        { "-32", 256, 8 },  { "-52", 256, 5 },  { "-3", 20, 8 },     { "-2", 100, 64 },
        { "-1", 5, 0 },     { "", 5, 0 },       { "-10000", 20, 0 }, { "-7x", 20, 0 },
        { "-16", 256, 16 }, { "-18", 256, 15 },
    };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        RC_STR_AUTO etag = rc_strf("%s%s", tag, cases[i].suffix);

        assert_int_equal(core_transfer_etag_part_bytes(etag, cases[i].size_mib << 20),
                         cases[i].part_mib << 20);
    }
    assert_int_equal(core_transfer_etag_part_bytes("17-a", 1 << 24), 0);
}

static void copies_one_version_or_none(void **state)
{
    struct rc_error err = RC_ERROR_INIT;
    struct rc_transferred done;

    (void)state;
    keep_large("one/large");
    memory.replaced_reads = 1; /* between the look at it and the first range */
    expect_ok(go(0, &done, &err));
    expect_equal("one/large", "two/large");
    keep("one/large", "x");
    memory.replaced_reads = 1000;  /* each time */
    expect_ok(go(0, &done, &err)); /* by the same content, so it comes to rest */
    expect_equal("one/large", "two/large");
}

static void leaves_sources_that_were_replaced(void **state)
{
    struct rc_error err = RC_ERROR_INIT;
    struct rc_transferred done;

    (void)state;
    keep("one/a", "x");
    keep("one/b", "y");
    memory.replaced_removals = 1; /* between the copy and the removal */
    assert_int_equal(go(RC_TRANSFER_MOVE | RC_TRANSFER_KEEP_GOING, &done, &err), RC_CONFLICT);
    assert_non_null(strstr(err.context, "but the source stays"));
    assert_int_equal(done.objects, 1);
    assert_int_equal(done.failed, 1);
    assert_true(is_there("one/a") != is_there("one/b"));
    assert_true(is_there("two/a") && is_there("two/b"));
}

static void repeats_removals(void **state)
{
    struct rc_error err = RC_ERROR_INIT;
    struct rc_transferred done;

    (void)state;
    keep("one/a", "x");
    keep("one/b", "y");
    memory.refused_removals = 1;
    memory.refused_keys = 2;
    expect_ok(go(RC_TRANSFER_MOVE, &done, &err));
    assert_false(is_there("one/a") || is_there("one/b"));
    assert_int_equal(done.objects, 2);
    keep("one/a", "x");
    keep("one/b", "y");
    memory.conflicting_removals = 1;
    assert_int_equal(go(RC_TRANSFER_MOVE | RC_TRANSFER_KEEP_GOING, &done, &err), RC_CONFLICT);
    assert_int_equal(done.failed, 2);
    assert_true(is_there("one/a") && is_there("one/b"));
}

/* Two objects to be removed, both with the tag of the first. */
static enum rc_code next_removal(void *context, struct rc_transfer_item *item, bool *more,
                                 struct rc_error *err)
{
    static const char *const names[] = { "s3://one/a", "s3://one/b" };
    static char etag[RC_ETAG_TEXT];
    int *given = context;
    struct rc_stat stat;

    *more = *given < 2;
    if (!*more)
        return RC_OK;
    if (*given == 0) {
        if (core_storage_stat(storage, names[0], &stat, err))
            return err->code;
        memcpy(etag, stat.etag, sizeof(etag));
    }
    *item = (struct rc_transfer_item){
        .source = names[(*given)++],
        .size_bytes = -1,
        .etag = etag,
    };
    return RC_OK;
}

static void removes_from_a_list_what_it_means(void **state)
{
    struct rc_error err = RC_ERROR_INIT;
    struct rc_transferred done;
    int given = 0;
    const struct rc_transfer transfer = {
        .struct_bytes = sizeof(transfer),
        .flags = RC_TRANSFER_KEEP_GOING,
        .next = next_removal,
        .context = &given,
    };

    (void)state;
    keep("one/a", "x");
    keep("one/b", "y");
    assert_int_equal(core_transfer_run(storage, &transfer, &done, &err), RC_CONFLICT);
    assert_int_equal(done.removed, 1);
    assert_false(is_there("one/a"));
    assert_true(is_there("one/b"));
}

/* As of a store whose disk is full; what was not tried has not failed. */
static void stops_where_all_is_in_vain(void **state)
{
    enum { OBJECTS = 1500, WIDTH = 8 };
    struct rc_error err = RC_ERROR_INIT;
    struct rc_transferred done;
    struct rc_transfer transfer = {
        .struct_bytes = sizeof(transfer),
        .flags = RC_TRANSFER_KEEP_GOING | RC_TRANSFER_GIVE_UP | RC_TRANSFER_MOVE,
        .source = "s3://one/",
        .target = "s3://two/",
        .width = WIDTH,
    };

    (void)state;
    for (int i = 0; i < OBJECTS; i++) {
        RC_STR_AUTO name = rc_strf("one/%04d", i);

        keep(name, "x");
    }
    memory.takes_one_of = 1000000;
    assert_int_equal(core_transfer_run(storage, &transfer, &done, &err), RC_FAILED);
    assert_non_null(strstr(err.context, "gave up after 200 failures in a row"));
    assert_in_range(done.failed, TRANSFER_IN_VAIN, TRANSFER_IN_VAIN + WIDTH);
    assert_int_equal(done.objects, 0);
    /* With some it is no row: of 200, more than there are workers who may be slow to say so. */
    memory.takes_one_of = 10;
    assert_int_equal(core_transfer_run(storage, &transfer, &done, &err), RC_FAILED);
    assert_null(strstr(err.context, "gave up"));
    assert_int_equal(done.failed + done.objects, OBJECTS);
    assert_in_range(done.objects, 1, OBJECTS / 5);
    /* Who does not ask for that wants all to be tried. */
    memory.takes_one_of = 1000000;
    transfer.flags &= ~(unsigned)RC_TRANSFER_GIVE_UP;
    assert_int_equal(core_transfer_run(storage, &transfer, &done, &err), RC_FAILED);
    assert_int_equal(done.failed, done.found);
}

static void bounds_memory_and_width(void **state)
{
    struct rc_error err = RC_ERROR_INIT;
    struct rc_transferred done;
    const struct rc_transfer transfer = {
        .struct_bytes = sizeof(transfer),
        .source = "s3://one/",
        .target = "s3://two/",
        .width = 3,
        .memory_bytes = 4 * 1024 * 1024,
    };

    (void)state;
    keep_large("one/large");
    memory.says_md5 = true;
    memory.put_pause_ms = 1;
    for (int i = 0; i < 1500; i++) {
        RC_STR_AUTO name = rc_strf("one/%04d", i);

        keep(name, "x");
    }
    expect_ok(core_transfer_run(storage, &transfer, &done, &err));
    assert_int_equal(done.objects, 1501);
    assert_true(memory.most_busy <= 3);
    expect_equal("one/large", "two/large");
}

/* Starts a worker that has nothing to do and returns when it waits. */
static void start_idle(struct core_transfer *t, struct transfer_worker *worker, pthread_t *thread)
{
    bool waits = false;

    t->pace.was_busy = true;
    assert_int_equal(pthread_create(thread, NULL, core_transfer_worker, worker), 0);
    while (!waits) {
        pthread_mutex_lock(&t->lock);
        waits = !t->pace.was_busy; /* it says so with the lock that it gives up as it waits */
        pthread_mutex_unlock(&t->lock);
    }
}

/*
 * Two workers wait, the one of the higher number first, so that it is woken first; by then only one
 * is allowed. It has to pass on what it was woken for.
 */
static void a_worker_too_many_wakes_another(void **state)
{
    struct core_transfer t = {
        .storage = *storage,
        .err = RC_ERROR_INIT,
        .pace = { .allowed = 2, .width = 2 },
        .lock = PTHREAD_MUTEX_INITIALIZER,
        .telling = PTHREAD_MUTEX_INITIALIZER,
        .work = PTHREAD_COND_INITIALIZER,
        .rest = PTHREAD_COND_INITIALIZER,
        .room = PTHREAD_COND_INITIALIZER,
        .calm = PTHREAD_COND_INITIALIZER,
    };
    struct transfer_worker workers[] = { { &t, 0 }, { &t, 1 } };
    struct transfer_item *item = rc_calloc(1, sizeof(*item));
    pthread_t threads[2];
    struct timespec until;

    (void)state;
    start_idle(&t, &workers[1], &threads[1]);
    start_idle(&t, &workers[0], &threads[0]);
    item->source = rc_strdup("nowhere://one/a"); /* its failure ends the transfer */
    item->target = rc_strdup("s3://two/a");
    pthread_mutex_lock(&t.lock);
    item->mark = core_transfer_mark_add(&t.marks, "a");
    t.outstanding = 1;
    t.pace.allowed = 1;
    pthread_mutex_unlock(&t.lock);
    core_transfer_queue(&t, &t.ready, item);
    assert_int_equal(clock_gettime(CLOCK_REALTIME, &until), 0);
    until.tv_sec += 20;
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_timedjoin_np(threads[i], NULL, &until), 0);
    assert_int_equal(t.counts.failed, 1);
    core_transfer_marks_clear(&t.marks);
}

static void climbs_while_that_brings_more(void **state)
{
    struct rc_error err = RC_ERROR_INIT;
    struct rc_transferred done;

    (void)state;
    memory.put_pause_ms = 30;
    for (int i = 0; i < 1000; i++) {
        RC_STR_AUTO name = rc_strf("one/%04d", i);

        keep(name, "x");
    }
    expect_ok(go(0, &done, &err));
    assert_int_equal(done.objects, 1000);
    assert_true(memory.most_busy > 16);
}

static void holds_the_limit_of_bytes(void **state)
{
    struct rc_error err = RC_ERROR_INIT;
    struct rc_transferred done;
    int64_t begin = core_clock_mono_ms();
    const struct rc_transfer transfer = {
        .struct_bytes = sizeof(transfer),
        .source = "s3://one/",
        .target = "s3://two/",
        .bytes_per_s = LARGE,
    };

    (void)state;
    keep_large("one/large");
    expect_ok(core_transfer_run(storage, &transfer, &done, &err));
    assert_true(core_clock_mono_ms() - begin > 800);
}

static void finishes_a_move_that_was_ended(void **state)
{
    struct rc_error err = RC_ERROR_INIT;
    struct rc_transferred done;
    const struct rc_transfer transfer = {
        .struct_bytes = sizeof(transfer),
        .flags = RC_TRANSFER_MOVE,
        .source = "s3://one/",
        .target = "s3://two/",
        .when = RC_TRANSFER_IF_DIFFERENT,
    };

    (void)state;
    for (int copies = 0; copies < 2; copies++) {
        keep("one/a", "same");
        keep("two/a", copies ? "other" : "same");
        memory.puts = 0;
        expect_ok(core_transfer_run(storage, &transfer, &done, &err));
        assert_false(is_there("one/a"));
        assert_int_equal(memory.puts, copies);
        assert_int_equal(done.objects, 1);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(copies_through_memory),
        TEST(copies_tags),
        TEST(begins_anew_what_was_cut),
        TEST(gives_up_what_stays_broken),
        TEST(compares_by_crc),
        TEST(compares_by_md5),
        TEST(compares_by_the_tag_of_parts),
        TEST(guesses_the_size_of_parts),
        TEST(copies_one_version_or_none),
        TEST(leaves_sources_that_were_replaced),
        TEST(repeats_removals),
        TEST(removes_from_a_list_what_it_means),
        TEST(stops_where_all_is_in_vain),
        TEST(bounds_memory_and_width),
        TEST(a_worker_too_many_wakes_another),
        TEST(climbs_while_that_brings_more),
        TEST(holds_the_limit_of_bytes),
        TEST(finishes_a_move_that_was_ended),
    };

    return cmocka_run_group_tests_name("transfer faults", tests, NULL, NULL);
}
