/*
 * Answers that are read piece by piece.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <client_fixture.h>

#include <os/clock.h>

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
    CHUNK = 64 * 1024,
    MUCH = 1024, /* chunks: 64 MiB, more than sockets hold */
    LITTLE_BYTES = 60 * 1024,
    SHORT_MS = 300,
    TRIES = 20, /* of what a busy machine may be too slow for, though hardly each time */
    LONG_MS = 20 * 1000,
};

/* A body of so many chunks; each byte tells where it stands. */
struct play {
    atomic_int chunks; /* announced */
    int breaks_after;  /* chunks; then the connection ends; -1: never */
    int pauses_after;  /* chunks; then nothing comes until the end of the test; -1: never */
    bool chunked;
    atomic_uint status;
    atomic_int sent; /* chunks */
    atomic_bool gone;
};

/* Of every body; filled before any server runs. */
static char chunk[CHUNK];

static int fill_chunk(void **state)
{
    (void)state;
    for (size_t i = 0; i < CHUNK; i++)
        chunk[i] = (char)('a' + i % 16);
    return 0;
}

static struct play a_play(int chunks)
{
    return (struct play){ .chunks = chunks, .breaks_after = -1, .pauses_after = -1, .status = 200 };
}

/* False if the other side has gone; looks out for the end of the test, too. */
static bool send_all(const struct scene *scene, const char *data, size_t len)
{
    while (len > 0) {
        struct pollfd fd = { .fd = scene->fd, .events = POLLOUT };
        ssize_t sent;

        if (atomic_load(&scene->stage->stop))
            return false;
        if (poll(&fd, 1, 10) == 0)
            continue;
        sent = send(scene->fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno != EAGAIN)
            return false;
        data += sent > 0 ? sent : 0;
        len -= sent > 0 ? (size_t)sent : 0;
    }
    return true;
}

static bool perform(const struct scene *scene, void *context)
{
    struct play *play = context;
    RC_STR_AUTO head =
        play->chunked
            ? rc_strf("HTTP/1.1 %u Said\r\nTransfer-Encoding: chunked\r\n\r\n",
                      atomic_load(&play->status))
            : rc_strf("HTTP/1.1 %u Said\r\nContent-Length: %lld\r\n\r\n",
                      atomic_load(&play->status), (long long)atomic_load(&play->chunks) * CHUNK);

    if (!send_all(scene, head, strlen(head)))
        return false;
    for (int i = 0; i < atomic_load(&play->chunks); i++) {
        if (i == play->breaks_after)
            return false;
        while (i == play->pauses_after && !atomic_load(&scene->stage->stop))
            core_clock_sleep_ms(1);
        if ((play->chunked && !send_all(scene, "10000\r\n", 7)) || !send_all(scene, chunk, CHUNK) ||
            (play->chunked && !send_all(scene, "\r\n", 2))) {
            atomic_store(&play->gone, true);
            return false;
        }
        (void)atomic_fetch_add(&play->sent, 1);
    }
    return !play->chunked || send_all(scene, "0\r\nX-Trailer: t\r\n\r\n", 19);
}

struct theatre {
    struct core_http_client *client;
    struct stage stage;
    struct play play;
    struct core_http_answer answer;
    struct core_http_stream *stream;
    struct rc_error err;
};

static void open_theatre(struct theatre *theatre, struct play play)
{
    theatre->play = play;
    theatre->client = quick_client(NULL);
    theatre->stream = NULL;
    theatre->err = (struct rc_error)RC_ERROR_INIT;
    core_http_answer_init(&theatre->answer, CHUNK);
    stage_start(&theatre->stage, perform, &theatre->play);
}

static enum rc_code enter(struct theatre *theatre, struct core_http_call call)
{
    call.client = theatre->client;
    call.url = theatre->stage.listener.url;
    call.name = "the play";
    return core_http_open(&call, &theatre->answer, &theatre->stream, &theatre->err);
}

static void close_theatre(struct theatre *theatre)
{
    core_http_close(theatre->stream);
    core_http_answer_clear(&theatre->answer);
    core_http_client_free(theatre->client);
    stage_stop(&theatre->stage);
}

/* Reads at most so many bytes, in pieces of 'capacity'; the code of what ended it. */
static enum rc_code watch(struct theatre *theatre, size_t capacity, int64_t most, int64_t *seen)
{
    RC_CLEANUP(rc_str_free) char *piece = rc_malloc(capacity);
    enum rc_code code = RC_OK;
    size_t len = 1;

    while (code == RC_OK && len > 0 && *seen < most) {
        code = core_http_read(theatre->stream, piece, capacity, &len, &theatre->err);
        for (size_t i = 0; code == RC_OK && i < len; i += 7)
            assert_int_equal(piece[i], 'a' + (*seen + (int64_t)i) % 16);
        *seen += code ? 0 : (int64_t)len;
    }
    return code;
}

/* ---------------------------------------------------------------------------------------------- */

static void hands_over_every_byte(void **state)
{
    static const size_t capacities[] = { 1000, 16384, 100000, 1000000 };

    (void)state;
    for (size_t i = 0; i < 2 * RC_ARRAY_LEN(capacities); i++) {
        struct theatre theatre;
        struct play play = a_play(100);
        int64_t seen = 0;

        play.chunked = i % 2;
        open_theatre(&theatre, play);
        for (int round = 0; round < 2; round++) {
            seen = 0;
            assert_int_equal(enter(&theatre, (struct core_http_call){ .method = "GET" }), RC_OK);
            assert_int_equal(theatre.answer.status, 200);
            assert_int_equal(watch(&theatre, capacities[i / 2], INT64_MAX, &seen), RC_OK);
            assert_int_equal(seen, 100 * CHUNK);
            assert_int_equal(watch(&theatre, capacities[i / 2], INT64_MAX, &seen), RC_OK);
            core_http_close(theatre.stream);
            theatre.stream = NULL;
        }
        assert_int_equal(atomic_load(&theatre.stage.connections), 1);
        close_theatre(&theatre);
    }
}

/* Reads a little, pauses, and reads all the rest. */
static enum rc_code watch_with_a_pause(struct theatre *theatre)
{
    enum rc_code code = enter(theatre, (struct core_http_call){ .idle_ms = SHORT_MS });
    int64_t seen = 0;

    if (!code)
        code = watch(theatre, 1000, 1, &seen);
    /* Longer than the limit of silence, which is for the server. */
    core_clock_sleep_ms(2 * SHORT_MS);
    assert_in_range(atomic_load(&theatre->play.sent), 0, MUCH / 2);
    if (!code)
        code = watch(theatre, 200000, INT64_MAX, &seen);
    if (!code)
        assert_int_equal(seen, (int64_t)MUCH * CHUNK);
    return code;
}

static void asks_for_no_more_than_is_read(void **state)
{
    enum rc_code code = RC_TIMEOUT;

    (void)state;
    for (int i = 0; i < TRIES && code == RC_TIMEOUT; i++) {
        struct theatre theatre;

        open_theatre(&theatre, a_play(MUCH));
        code = watch_with_a_pause(&theatre);
        close_theatre(&theatre);
    }
    assert_int_equal(code, RC_OK);
}

/*
 * However late the reader looks: at the earliest it sees the beginning of the body, at the latest
 * all of it and the break in one. A break without a byte before may be seen as early as the head.
 */
static void hands_over_what_came_before_a_break(void **state)
{
    static const int breaks_after[] = { 0, 1, 2, 30 };

    (void)state;
    for (size_t i = 0; i < 4 * RC_ARRAY_LEN(breaks_after); i++) {
        struct theatre theatre;
        struct play play = a_play(40);
        int64_t seen = 0, whole;

        play.chunked = i % 2;
        play.breaks_after = breaks_after[i / 4];
        whole = (int64_t)play.breaks_after * CHUNK;
        open_theatre(&theatre, play);
        if (enter(&theatre, (struct core_http_call){ .attempts = 2 }) == RC_OK) {
            if (i / 2 % 2)
                core_clock_sleep_ms(20);
            assert_int_equal(watch(&theatre, 1000000, INT64_MAX, &seen), RC_UNAVAILABLE);
            assert_int_equal(seen, whole);
            /* And it stays broken. */
            assert_int_equal(watch(&theatre, 10000, INT64_MAX, &seen), RC_UNAVAILABLE);
        } else {
            assert_int_equal(whole, 0);
        }
        assert_int_equal(theatre.err.code, RC_UNAVAILABLE);
        assert_non_null(strstr(theatre.err.cause, "the play: the connection broke"));
        close_theatre(&theatre);
    }
}

/* It is all there by the time at which the client looks for the first time. */
static bool blurt_out(const struct scene *scene, void *context)
{
    static const char text[] = "HTTP/1.1 200 Said\r\nContent-Length: 9\r\n\r\nabcde";

    (void)context;
    assert_true(send_all(scene, text, sizeof(text) - 1));
    return false;
}

static void hands_over_what_came_with_the_head(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        struct theatre theatre;
        char piece[9];
        size_t len;

        open_theatre(&theatre, a_play(0));
        theatre.stage.act = blurt_out;
        assert_int_equal(enter(&theatre, (struct core_http_call){ .attempts = 5 }), RC_OK);
        assert_int_equal(theatre.answer.status, 200);
        assert_int_equal(core_http_read(theatre.stream, piece, 3, &len, &theatre.err), RC_OK);
        assert_int_equal(len, 3);
        assert_int_equal(core_http_read(theatre.stream, piece, 9, &len, &theatre.err), RC_OK);
        assert_int_equal(len, 2);
        assert_memory_equal(piece, "de", 2);
        assert_int_equal(core_http_read(theatre.stream, piece, 9, &len, &theatre.err),
                         RC_UNAVAILABLE);
        assert_non_null(strstr(theatre.err.cause, "after 5 bytes"));
        /* Nobody repeats what was handed over. */
        assert_int_equal(atomic_load(&theatre.stage.requests), 1);
        close_theatre(&theatre);
    }
}

/* The head has to come within the limit that the call gives. */
static void enter_in_time(struct theatre *theatre, struct core_http_call call)
{
    enum rc_code code = RC_TIMEOUT;

    for (int i = 0; i < TRIES && code == RC_TIMEOUT; i++)
        code = enter(theatre, call);
    assert_int_equal(code, RC_OK);
}

static void notices_silence_and_the_wish_to_stop(void **state)
{
    struct theatre theatre;
    struct play play = a_play(4);
    struct core_cancel cancel = CORE_CANCEL_INIT;
    int64_t seen = 0;

    (void)state;
    play.pauses_after = 2;
    open_theatre(&theatre, play);
    enter_in_time(&theatre, (struct core_http_call){ .idle_ms = SHORT_MS });
    assert_int_equal(watch(&theatre, 10000, INT64_MAX, &seen), RC_TIMEOUT);
    assert_non_null(strstr(theatre.err.cause, "the play: nothing was heard for 300ms"));
    core_http_close(theatre.stream);
    assert_int_equal(enter(&theatre, (struct core_http_call){ .cancel = &cancel }), RC_OK);
    core_cancel_request(&cancel, RC_CANCELLED);
    assert_int_equal(watch(&theatre, 10000, INT64_MAX, &seen), RC_CANCELLED);
    core_http_close(theatre.stream);
    enter_in_time(&theatre, (struct core_http_call){ .total_ms = SHORT_MS });
    seen = 0;
    assert_int_equal(watch(&theatre, 10000, INT64_MAX, &seen), RC_TIMEOUT);
    assert_non_null(strstr(theatre.err.cause, "not done within 300ms"));
    close_theatre(&theatre);
}

static void keeps_a_connection_of_which_little_is_left(void **state)
{
    static const struct {
        int chunks;
        int64_t reads;
        int connections; /* after another request */
    } cases[] = {
        { 1, 1, 1 },           /* all that is left has come */
        { 20, 20 * CHUNK, 1 }, /* all was read, but not its end */
        { 20, 20 * CHUNK - 30000, 1 },
        { MUCH, 1, 2 },
    };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        struct theatre theatre;
        int64_t seen = 0;

        open_theatre(&theatre, a_play(cases[i].chunks));
        for (int round = 0; round < 2; round++) {
            seen = 0;
            assert_int_equal(enter(&theatre, (struct core_http_call){ .method = "GET" }), RC_OK);
            assert_int_equal(watch(&theatre, 1000, cases[i].reads, &seen), RC_OK);
            core_http_close(theatre.stream);
            theatre.stream = NULL;
        }
        assert_int_equal(atomic_load(&theatre.stage.connections), cases[i].connections);
        close_theatre(&theatre);
    }
}

/* A little every now and then, which never adds up. */
static bool trickle(const struct scene *scene, void *context)
{
    static const char head[] = "HTTP/1.1 200 Said\r\nContent-Length: 10000\r\n\r\n";

    (void)context;
    if (!send_all(scene, head, sizeof(head) - 1))
        return false;
    for (int i = 0; i < 10000 && send_all(scene, "x", 1); i++)
        core_clock_sleep_ms(SHORT_MS / 10);
    return false;
}

static void does_not_wait_long_for_the_little_that_is_left(void **state)
{
    struct core_http_client *client = quick_client(NULL);
    struct rc_error err = RC_ERROR_INIT;
    struct core_http_answer answer;
    struct core_http_stream *stream;
    int64_t begin_mono_ms = core_clock_mono_ms();
    struct stage stage;

    (void)state;
    stage_start(&stage, trickle, NULL);
    core_http_answer_init(&answer, CHUNK);
    const struct core_http_call call = { .client = client, .url = stage.listener.url };
    assert_int_equal(core_http_open(&call, &answer, &stream, &err), RC_OK);
    core_http_close(stream);
    assert_in_range(core_clock_mono_ms() - begin_mono_ms, 0, LONG_MS);
    core_http_answer_clear(&answer);
    core_http_client_free(client);
    stage_stop(&stage);
}

static void hands_over_no_stream_of_a_failure(void **state)
{
    struct theatre theatre;
    struct play play = a_play(2);

    (void)state;
    play.status = 404;
    open_theatre(&theatre, play);
    assert_int_equal(enter(&theatre, (struct core_http_call){ .method = "GET" }), RC_OK);
    assert_null(theatre.stream);
    assert_int_equal(theatre.answer.status, 404);
    assert_int_equal(theatre.answer.body.len, CHUNK); /* its limit */
    core_http_close(NULL);
    atomic_store(&theatre.play.status, 503);
    assert_int_equal(enter(&theatre, (struct core_http_call){ .method = "GET" }), RC_OK);
    assert_null(theatre.stream);
    assert_int_equal(theatre.answer.attempts, 5);
    assert_int_equal(atomic_load(&theatre.stage.connections), 1);
    atomic_store(&theatre.play.status, 204);
    atomic_store(&theatre.play.chunks, 0);
    assert_int_equal(enter(&theatre, (struct core_http_call){ .method = "HEAD" }), RC_OK);
    assert_non_null(theatre.stream);
    close_theatre(&theatre);
}

static void reads_no_failure_to_its_end_that_has_none(void **state)
{
    struct theatre theatre;
    struct play play = a_play(100 * MUCH);

    (void)state;
    play.status = 404;
    play.chunked = true;
    open_theatre(&theatre, play);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(enter(&theatre, (struct core_http_call){ .method = "GET" }), RC_OK);
        assert_null(theatre.stream);
        assert_int_equal(theatre.answer.status, 404);
        assert_int_equal(theatre.answer.body.len, CHUNK);
    }
    assert_in_range(atomic_load(&theatre.play.sent), 0, MUCH);
    assert_int_equal(atomic_load(&theatre.stage.connections), 2);
    close_theatre(&theatre);
}

static enum core_http_verdict once_more(void *context, const struct core_http_answer *answer)
{
    unsigned *left = context;

    (void)answer;
    return (*left)-- > 0 ? CORE_HTTP_AGAIN : CORE_HTTP_ACCEPT;
}

static void judges_the_head_of_a_stream(void **state)
{
    struct theatre theatre;
    unsigned left = 2;
    int64_t seen = 0;

    (void)state;
    open_theatre(&theatre, a_play(2));
    assert_int_equal(
        enter(&theatre, (struct core_http_call){ .judge = once_more, .context = &left }), RC_OK);
    assert_int_equal(theatre.answer.attempts, 3);
    assert_int_equal(watch(&theatre, 1000, INT64_MAX, &seen), RC_OK);
    assert_int_equal(seen, 2 * CHUNK);
    close_theatre(&theatre);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hands_over_every_byte),
        cmocka_unit_test(asks_for_no_more_than_is_read),
        cmocka_unit_test(hands_over_what_came_before_a_break),
        cmocka_unit_test(hands_over_what_came_with_the_head),
        cmocka_unit_test(notices_silence_and_the_wish_to_stop),
        cmocka_unit_test(keeps_a_connection_of_which_little_is_left),
        cmocka_unit_test(does_not_wait_long_for_the_little_that_is_left),
        cmocka_unit_test(hands_over_no_stream_of_a_failure),
        cmocka_unit_test(reads_no_failure_to_its_end_that_has_none),
        cmocka_unit_test(judges_the_head_of_a_stream),
    };

    return cmocka_run_group_tests(tests, fill_chunk, NULL);
}
