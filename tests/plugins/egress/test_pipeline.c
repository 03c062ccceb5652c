/*
 * Egress' pipeline on sources and sinks in memory: whatever the sizes, the delays and the number of
 * workers, each object is its pieces in their order; whatever call fails, the other objects are
 * complete, nothing is left open and nothing is committed that is not whole.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <run-core/fake_host.h>

#include <pipeline.h>

#include <openssl/evp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    MIB = 1 << 20,
    TEXT_BYTES = 3 * MIB + 17, /* of which every piece is made */
    MOST_READERS = 8,
    MOST_OBJECTS = 200,
    MOST_PIECES = 1000,
    READER_LIMIT = 16,
};

static char text[TEXT_BYTES];

/* What a test gives to the pipeline, and what came of it. */
struct world {
    struct rc_fake_host *host;
    struct egress_pipeline plan;
    size_t first_pieces[MOST_OBJECTS + 1], piece_lens[MOST_PIECES];
    struct egress_dumped dumped[MOST_OBJECTS];
    struct object {
        struct world *world;
        char *stored;
        size_t len, capacity;
        bool is_open, was_opened, is_committed, is_started, is_finished;
        atomic_bool is_used;
    } objects[MOST_OBJECTS];
    struct reader {
        size_t piece, offset;
        bool is_open;
        atomic_bool is_used;
    } readers[READER_LIMIT];
    atomic_uint random;
    bool has_delays;
    atomic_int calls; /* of sources and sinks, so far */
    int fail_at;      /* of these; 0: none */
    enum rc_code fail_code;
    _Atomic size_t failed_object;
    atomic_bool is_telling;
    int64_t rows, bytes, stored_bytes; /* told last */
    _Atomic int64_t in_flight, most_in_flight;
    atomic_int open_sinks, most_open_sinks;
    size_t slow_piece; /* whose reads take their time; SIZE_MAX: none */
    bool hangs;        /* reads wait until the run has to stop */
};

/* ---- what is read --------------------------------------------------------------------------- */

static unsigned next_random(struct world *world)
{
    unsigned was = atomic_load(&world->random), is;

    do
        is = was * 1664525u + 1013904223u;
    while (!atomic_compare_exchange_weak(&world->random, &was, is));
    return is >> 8;
}

static void fill_text(void)
{
    uint32_t seed = 5;

    for (size_t i = 0; i < TEXT_BYTES; i++) {
        seed = seed * 1664525u + 1013904223u;
        text[i] = "0123456789,\nabcd"[seed >> 28];
    }
}

/* The text of a piece is the common one from a place of its own on, round and round. */
static void copy_text(size_t piece, size_t offset, char *out, size_t len)
{
    size_t at = (piece * 7919 + offset) % TEXT_BYTES;

    while (len > 0) {
        size_t part = TEXT_BYTES - at < len ? TEXT_BYTES - at : len;

        memcpy(out, text + at, part);
        out += part;
        len -= part;
        at = 0;
    }
}

static int64_t rows_of(size_t piece)
{
    return (int64_t)(piece % 10 + 1);
}

/* ---- calls ---------------------------------------------------------------------------------- */

static size_t object_of(const struct world *world, size_t piece)
{
    size_t object = 0;

    while (world->first_pieces[object + 1] <= piece)
        object++;
    return object;
}

static void pause_ms(int ms)
{
    nanosleep(&(struct timespec){ .tv_nsec = ms * 1000000L }, NULL);
}

/*
 * Each call of a source or sink goes through here: it takes a while, looks at the run, may fail.
 * What must hold in the workers is RC_ASSERT: cmocka's own assertions jump, and only in their
 * thread.
 */
static enum rc_code call(struct world *world, size_t object, struct rc_error *err)
{
    int n = atomic_fetch_add(&world->calls, 1) + 1;

    if (world->has_delays && next_random(world) % 4 == 0)
        nanosleep(&(struct timespec){ .tv_nsec = next_random(world) % 2000000 }, NULL);
    if (n == world->fail_at) {
        atomic_store(&world->failed_object, object);
        return rc_fail(err, world->fail_code, "injected at call %d", n);
    }
    return rc_job_check(world->plan.job, err);
}

static void enter(atomic_bool *is_used)
{
    RC_ASSERT(!atomic_exchange(is_used, true));
}

static void leave(atomic_bool *is_used)
{
    RC_ASSERT(atomic_exchange(is_used, false));
}

static enum rc_code source_open(void *context, size_t slot, size_t piece, struct rc_error *err)
{
    struct world *world = context;
    struct reader *reader = &world->readers[slot];
    enum rc_code code;

    enter(&reader->is_used);
    RC_ASSERT(slot < world->plan.readers && !reader->is_open);
    code = call(world, object_of(world, piece), err);
    *reader = (struct reader){ .piece = piece, .is_open = code == RC_OK, .is_used = true };
    leave(&reader->is_used);
    return code;
}

static enum rc_code source_read(void *context, size_t slot, void *data, size_t capacity,
                                size_t *len, struct rc_error *err)
{
    struct world *world = context;
    struct reader *reader = &world->readers[slot];
    size_t left = world->piece_lens[reader->piece] - reader->offset;
    enum rc_code code;
    int64_t in_flight, most;

    enter(&reader->is_used);
    RC_ASSERT(reader->is_open);
    code = call(world, object_of(world, reader->piece), err);
    while (!code && world->hangs) {
        pause_ms(10);
        code = rc_job_check(world->plan.job, err);
    }
    if (reader->piece == world->slow_piece)
        pause_ms(30);
    *len = left < capacity ? left : capacity;
    copy_text(reader->piece, reader->offset, data, *len);
    reader->offset += *len;
    in_flight = atomic_fetch_add(&world->in_flight, (int64_t)*len) + (int64_t)*len;
    most = atomic_load(&world->most_in_flight);
    while (in_flight > most &&
           !atomic_compare_exchange_weak(&world->most_in_flight, &most, in_flight))
        ;
    leave(&reader->is_used);
    return code;
}

static void source_close(void *context, size_t slot, int64_t *rows)
{
    struct world *world = context;
    struct reader *reader = &world->readers[slot];

    enter(&reader->is_used);
    RC_ASSERT(reader->is_open);
    reader->is_open = false;
    if (rows) {
        RC_ASSERT(reader->offset == world->piece_lens[reader->piece]);
        *rows = rows_of(reader->piece);
    }
    leave(&reader->is_used);
}

static enum rc_code sink_open(void *context, size_t number, void **sink, struct rc_error *err)
{
    struct world *world = context;
    struct object *object = &world->objects[number];
    int open;

    enter(&object->is_used);
    RC_ASSERT(object->is_started && !object->was_opened);
    object->was_opened = true;
    if (call(world, number, err)) {
        leave(&object->is_used);
        return err->code;
    }
    open = atomic_fetch_add(&world->open_sinks, 1) + 1;
    if (open > atomic_load(&world->most_open_sinks))
        atomic_store(&world->most_open_sinks, open);
    object->is_open = true;
    *sink = object;
    leave(&object->is_used);
    return RC_OK;
}

static enum rc_code sink_write(void *sink, const void *data, size_t len, struct rc_error *err)
{
    struct object *object = sink;
    struct world *world = object->world;
    enum rc_code code;

    enter(&object->is_used);
    RC_ASSERT(object->is_open && !object->is_committed && len > 0);
    code = call(world, (size_t)(object - world->objects), err);
    if (object->len + len > object->capacity) {
        object->capacity = (object->len + len) * 2;
        object->stored = rc_realloc(object->stored, object->capacity);
    }
    memcpy(object->stored + object->len, data, len);
    object->len += len;
    atomic_fetch_sub(&world->in_flight, (int64_t)len);
    leave(&object->is_used);
    return code;
}

static enum rc_code sink_commit(void *sink, struct rc_error *err)
{
    struct object *object = sink;
    enum rc_code code;

    enter(&object->is_used);
    RC_ASSERT(object->is_open && !object->is_committed);
    code = call(object->world, (size_t)(object - object->world->objects), err);
    object->is_committed = code == RC_OK;
    leave(&object->is_used);
    return code;
}

static void sink_close(void *sink)
{
    struct object *object = sink;

    enter(&object->is_used);
    RC_ASSERT(object->is_open);
    object->is_open = false;
    atomic_fetch_sub(&object->world->open_sinks, 1);
    leave(&object->is_used);
}

static void started(void *context, size_t object)
{
    struct world *world = context;

    enter(&world->is_telling);
    RC_ASSERT(!world->objects[object].is_started);
    world->objects[object].is_started = true;
    leave(&world->is_telling);
}

static void finished(void *context, size_t object, const struct egress_dumped *dumped)
{
    struct world *world = context;

    enter(&world->is_telling);
    RC_ASSERT(dumped == &world->dumped[object]);
    RC_ASSERT(world->objects[object].is_started && !world->objects[object].is_finished);
    RC_ASSERT(dumped->started_unix_ms > 0 && dumped->finished_unix_ms >= dumped->started_unix_ms);
    world->objects[object].is_finished = true;
    leave(&world->is_telling);
}

static void progress(void *context, int64_t rows, int64_t bytes, int64_t stored_bytes)
{
    struct world *world = context;

    enter(&world->is_telling);
    RC_ASSERT(rows >= world->rows && bytes >= world->bytes && stored_bytes >= world->stored_bytes);
    world->rows = rows;
    world->bytes = bytes;
    world->stored_bytes = stored_bytes;
    leave(&world->is_telling);
}

/* ---- worlds --------------------------------------------------------------------------------- */

static struct world *world_new(unsigned seed)
{
    struct world *world = rc_calloc(1, sizeof(*world));

    world->host = rc_fake_host_new(NULL);
    rc_fake_host_set_threads(world->host, true);
    atomic_init(&world->random, seed * 2654435761u + 1);
    world->slow_piece = SIZE_MAX;
    world->fail_code = RC_UNAVAILABLE;
    world->failed_object = SIZE_MAX;
    for (size_t i = 0; i < MOST_OBJECTS; i++)
        world->objects[i].world = world;
    world->plan = (struct egress_pipeline){
        .job = rc_fake_host_job(world->host),
        .compression = { EGRESS_CODEC_NONE, 0 },
        .source = { source_open, source_read, source_close, world },
        .sink = { sink_open, sink_write, sink_commit, sink_close, world },
        .first_pieces = world->first_pieces,
        .readers = 1,
        .compressors = 1,
        .writers = 1,
        .memory_bytes = 64 * MIB,
        .started = started,
        .finished = finished,
        .progress = progress,
        .context = world,
    };
    return world;
}

static void world_free(struct world *world)
{
    for (size_t i = 0; i < MOST_OBJECTS; i++)
        free(world->objects[i].stored);
    rc_fake_host_free(world->host);
    free(world);
}

/* An object of so many pieces; 'lens' are taken round and round. */
static void add_object(struct world *world, size_t piece_count, const size_t *lens,
                       size_t lens_count)
{
    struct egress_pipeline *plan = &world->plan;

    for (size_t i = 0; i < piece_count; i++)
        world->piece_lens[plan->piece_count++] = lens[i % lens_count];
    world->first_pieces[++plan->object_count] = plan->piece_count;
}

static enum rc_code run(struct world *world, struct rc_error *err)
{
    enum rc_code code = egress_pipeline_run(&world->plan, world->dumped, err);

    assert_int_equal(atomic_load(&world->open_sinks), 0);
    assert_true((size_t)atomic_load(&world->most_open_sinks) <= world->plan.writers);
    for (size_t i = 0; i < READER_LIMIT; i++)
        assert_false(world->readers[i].is_open);
    for (size_t i = 0; i < world->plan.object_count; i++) {
        assert_false(world->objects[i].is_open);
        assert_int_equal(world->objects[i].is_committed, world->dumped[i].code == RC_OK);
        assert_int_equal(world->objects[i].is_finished, world->dumped[i].finished_unix_ms > 0);
    }
    return code;
}

static void expand(enum egress_codec codec, const struct object *object, struct rc_buf *out)
{
    struct egress_expander *expander = egress_expander_new(codec);
    const char *data = object->stored;
    struct rc_error err = RC_ERROR_INIT;
    size_t left = object->len, len;

    do {
        char *room = rc_buf_reserve(out, MIB);

        assert_non_null(room);
        if (egress_expand(expander, &data, &left, room, MIB, &len, &err))
            fail_msg("%s", err.cause);
        rc_buf_added(out, len);
    } while (len > 0 || left > 0);
    assert_int_equal(egress_expander_end(expander, &err), RC_OK);
    egress_expander_free(expander);
}

static void assert_digest(const struct object *object, const char *expected)
{
    unsigned char digest[32];
    char hex[EGRESS_SHA256_TEXT];

    assert_true(EVP_Digest(object->stored ? object->stored : "", object->len, digest, NULL,
                           EVP_sha256(), NULL));
    for (size_t i = 0; i < sizeof(digest); i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    assert_string_equal(hex, expected);
}

/* The object is what its pieces are, and is described so. */
static void assert_whole(const struct world *world, size_t number)
{
    const struct object *object = &world->objects[number];
    const struct egress_dumped *dumped = &world->dumped[number];
    RC_BUF_AUTO(read, (size_t)1 << 30);
    size_t at = 0;
    int64_t rows = 0;

    assert_true(object->is_committed);
    expand(world->plan.compression.codec, object, &read);
    for (size_t i = world->first_pieces[number]; i < world->first_pieces[number + 1]; i++) {
        char *piece = rc_malloc(world->piece_lens[i] + 1);

        copy_text(i, 0, piece, world->piece_lens[i]);
        assert_true(read.len - at >= world->piece_lens[i]);
        assert_memory_equal(read.data + at, piece, world->piece_lens[i]);
        at += world->piece_lens[i];
        rows += rows_of(i);
        free(piece);
    }
    assert_int_equal(read.len, at);
    assert_int_equal(dumped->bytes, at);
    assert_int_equal(dumped->rows, rows);
    assert_int_equal(dumped->stored_bytes, object->len);
    assert_digest(object, dumped->sha256);
}

static void assert_all_whole(struct world *world)
{
    struct rc_error err = RC_ERROR_INIT;
    int64_t rows = 0, bytes = 0, stored_bytes = 0;

    if (run(world, &err))
        fail_msg("%s", err.cause);
    for (size_t i = 0; i < world->plan.object_count; i++) {
        assert_whole(world, i);
        rows += world->dumped[i].rows;
        bytes += world->dumped[i].bytes;
        stored_bytes += world->dumped[i].stored_bytes;
    }
    assert_int_equal(world->rows, rows);
    assert_int_equal(world->bytes, bytes);
    assert_int_equal(world->stored_bytes, stored_bytes);
}

/* ---- the tests ------------------------------------------------------------------------------ */

static void set_up_random(struct world *world)
{
    static const struct egress_compression compressions[] = { { EGRESS_CODEC_NONE, 0 },
                                                              { EGRESS_CODEC_GZIP, 1 },
                                                              { EGRESS_CODEC_ZSTD, 1 } };
    struct egress_pipeline *plan = &world->plan;
    size_t objects = next_random(world) % 9;

    world->has_delays = next_random(world) % 2;
    plan->compression = compressions[next_random(world) % 3];
    plan->readers = next_random(world) % MOST_READERS + 1;
    plan->compressors = next_random(world) % 8 + 1;
    plan->writers = next_random(world) % 8 + 1;
    plan->memory_bytes = (int64_t)(next_random(world) % 32) * MIB;
    for (size_t i = 0; i < objects; i++) {
        size_t lens[12], count = next_random(world) % 12;

        for (size_t k = 0; k < count; k++) {
            unsigned kind = next_random(world) % 8;

            lens[k] = kind == 0   ? 0
                      : kind == 1 ? MIB
                      : kind == 2 ? 2 * MIB
                      : kind == 3 ? next_random(world) % (3 * MIB)
                                  : next_random(world) % 5000;
        }
        add_object(world, count, lens, 12);
    }
}

static void test_objects_are_their_pieces_in_order(void **state)
{
    (void)state;

    for (unsigned seed = 1; seed <= 24; seed++) {
        struct world *world = world_new(seed);

        set_up_random(world);
        assert_all_whole(world);
        world_free(world);
    }
}

static void test_any_number_of_workers(void **state)
{
    (void)state;
    static const size_t lens[] = { 2 * MIB + 5, 100, 0, MIB, 7 };

    for (size_t n = 1; n <= 8; n *= 2) {
        for (int threads = 0; threads <= 1; threads++) {
            struct world *world = world_new((unsigned)n);

            rc_fake_host_set_threads(world->host, threads);
            world->plan.readers = n;
            world->plan.compressors = n;
            world->plan.writers = n;
            for (size_t i = 0; i < 5; i++)
                add_object(world, i + 1, lens, 5);
            assert_all_whole(world);
            world_free(world);
        }
    }
}

/* Many small tables; none at all; a table without a row. */
static void test_few_and_many_pieces(void **state)
{
    (void)state;
    static const size_t lens[] = { 10, 0, 3000, 1 };
    static const enum egress_codec codecs[] = { EGRESS_CODEC_NONE, EGRESS_CODEC_GZIP,
                                                EGRESS_CODEC_ZSTD };

    for (size_t i = 0; i < RC_ARRAY_LEN(codecs); i++) {
        struct world *none = world_new(1), *many = world_new(2);
        struct world *worlds[] = { none, many };

        for (size_t k = 0; k < RC_ARRAY_LEN(worlds); k++) {
            worlds[k]->plan.compression = (struct egress_compression){ codecs[i], 1 };
            worlds[k]->plan.readers = worlds[k]->plan.writers = 4;
        }
        assert_all_whole(none);
        add_object(many, 200, lens, 4);
        add_object(many, 1, lens + 1, 1); /* no row */
        add_object(many, 0, lens, 4);     /* no piece */
        for (size_t k = 0; k < 100; k++)
            add_object(many, 1, lens + k % 4, 1);
        assert_all_whole(many);
        assert_int_equal(many->dumped[1].bytes, 0);
        assert_int_equal(many->dumped[1].stored_bytes > 0, codecs[i] != EGRESS_CODEC_NONE);
        world_free(none);
        world_free(many);
    }
}

/* A table that is read slowly does not make those behind it fill the memory, yet they go on. */
static void test_memory_is_bounded(void **state)
{
    (void)state;
    static const size_t lens[] = { 6 * MIB };

    for (int64_t memory_bytes = 1; memory_bytes <= 20 * MIB; memory_bytes += 19 * MIB) {
        struct world *world = world_new(3);
        int64_t most;

        world->plan.readers = 8;
        world->plan.writers = 4;
        world->plan.memory_bytes = memory_bytes;
        world->slow_piece = 0;
        add_object(world, 10, lens, 1);
        add_object(world, 1, lens, 1);
        assert_all_whole(world);
        most = atomic_load(&world->most_in_flight);
        assert_true(most <= (memory_bytes > MIB ? memory_bytes : 2 * MIB));
        assert_true(memory_bytes == 1 || most > 6 * MIB);
        world_free(world);
    }
}

static void set_up_for_faults(struct world *world, size_t width)
{
    static const size_t lens[] = { MIB + 300, 20, 0 };

    world->plan.readers = world->plan.compressors = world->plan.writers = width;
    world->plan.memory_bytes = 12 * MIB;
    world->plan.compression = (struct egress_compression){ EGRESS_CODEC_ZSTD, 1 };
    add_object(world, 3, lens, 3);
    add_object(world, 2, lens, 3);
    add_object(world, 1, lens + 2, 1);
    add_object(world, 0, lens, 1);
    add_object(world, 3, lens + 1, 2);
}

static void assert_only_one_failed(struct world *world)
{
    size_t failed = atomic_load(&world->failed_object);

    for (size_t i = 0; i < world->plan.object_count; i++) {
        if (i != failed) {
            assert_whole(world, i);
            continue;
        }
        assert_int_equal(world->dumped[i].code, world->fail_code);
        assert_int_equal(world->dumped[i].err.code, world->fail_code);
        assert_non_null(strstr(world->dumped[i].err.cause, "injected at call"));
        assert_true(world->objects[i].is_finished && !world->objects[i].is_committed);
    }
}

/* Every call of a source and of a sink in turn. */
static void test_an_object_that_fails_leaves_the_others_alone(void **state)
{
    (void)state;

    for (size_t width = 1; width <= 4; width += 3) {
        bool has_failed = true;

        for (int n = 1; has_failed; n++) {
            struct world *world = world_new((unsigned)n);
            struct rc_error err = RC_ERROR_INIT;

            set_up_for_faults(world, width);
            world->has_delays = width > 1 && n % 2;
            world->fail_at = n;
            /* A cancellation that is none of the run is a failure like any other. */
            world->fail_code = n % 3 ? RC_UNAVAILABLE : RC_CANCELLED;
            assert_int_equal(run(world, &err), RC_OK);
            has_failed = atomic_load(&world->failed_object) != SIZE_MAX;
            assert_true(has_failed || n > 30);
            assert_only_one_failed(world);
            world_free(world);
        }
    }
}

/* After a failure, what is left of the object is not read. */
static void test_pieces_of_a_failed_object_are_skipped(void **state)
{
    (void)state;
    static const size_t lens[] = { 100 };
    struct world *world = world_new(1);
    struct rc_error err = RC_ERROR_INIT;

    add_object(world, 200, lens, 1);
    add_object(world, 1, lens, 1);
    world->fail_at = 1;
    assert_int_equal(run(world, &err), RC_OK);
    assert_only_one_failed(world);
    assert_int_equal(atomic_load(&world->failed_object), 0);
    /* The open that failed; of the other object open, read, open, write, commit. */
    assert_int_equal(atomic_load(&world->calls), 6);
    world_free(world);
}

/* At any time: the run's own answer, and what is committed by then is whole. */
static void test_the_run_is_asked_to_stop(void **state)
{
    (void)state;
    bool has_stopped = true;

    for (int n = 1; has_stopped; n += n < 40 ? 1 : 7) {
        struct world *world = world_new((unsigned)n);
        struct rc_error err = RC_ERROR_INIT;
        enum rc_code code;

        set_up_for_faults(world, n % 2 ? 1 : 4);
        rc_fake_host_cancel_at(world->host, n);
        code = run(world, &err);
        has_stopped = code != RC_OK;
        assert_true(has_stopped || n > 40);
        if (has_stopped)
            assert_int_equal(code, RC_CANCELLED);
        for (size_t i = 0; i < world->plan.object_count; i++)
            if (world->dumped[i].code)
                assert_int_equal(world->dumped[i].code, RC_CANCELLED);
            else
                assert_whole(world, i);
        world_free(world);
    }
}

static void test_time_is_up(void **state)
{
    (void)state;
    struct world *world = world_new(1);
    struct rc_error err = RC_ERROR_INIT;

    set_up_for_faults(world, 4);
    rc_fake_host_set_remaining_ms(world->host, 0);
    assert_int_equal(run(world, &err), RC_TIMEOUT);
    assert_int_equal(world->dumped[0].code, RC_TIMEOUT);
    world_free(world);
}

/* While every reader waits for its server. */
static void test_a_run_that_hangs_is_stopped(void **state)
{
    (void)state;
    struct world *world = world_new(1);
    struct rc_error err = RC_ERROR_INIT;
    struct timespec before, after;

    set_up_for_faults(world, 4);
    world->hangs = true;
    rc_fake_host_cancel_at(world->host, 50);
    clock_gettime(CLOCK_MONOTONIC, &before);
    assert_int_equal(run(world, &err), RC_CANCELLED);
    clock_gettime(CLOCK_MONOTONIC, &after);
    assert_true(after.tv_sec - before.tv_sec < 10);
    assert_int_equal(world->stored_bytes, 0);
    world_free(world);
}

static void test_no_pool_no_object(void **state)
{
    (void)state;
    struct world *world = world_new(1);
    struct rc_error err = RC_ERROR_INIT;

    set_up_for_faults(world, 4);
    rc_fake_host_fail_on(world->host, "parallel.run", NULL, 1, RC_UNAVAILABLE);
    assert_int_equal(run(world, &err), RC_UNAVAILABLE);
    for (size_t i = 0; i < world->plan.object_count; i++)
        assert_int_equal(world->dumped[i].code, RC_UNAVAILABLE);
    world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_objects_are_their_pieces_in_order),
        cmocka_unit_test(test_any_number_of_workers),
        cmocka_unit_test(test_few_and_many_pieces),
        cmocka_unit_test(test_memory_is_bounded),
        cmocka_unit_test(test_an_object_that_fails_leaves_the_others_alone),
        cmocka_unit_test(test_pieces_of_a_failed_object_are_skipped),
        cmocka_unit_test(test_the_run_is_asked_to_stop),
        cmocka_unit_test(test_time_is_up),
        cmocka_unit_test(test_a_run_that_hangs_is_stopped),
        cmocka_unit_test(test_no_pool_no_object),
    };

    fill_text();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
