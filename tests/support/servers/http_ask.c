/*
 * The HTTP client alone, for tests whose servers are easier to write in another language.
 *
 *   http_ask [ca=FILE] [proxy=URL] [redirects=N] [times=N] [total_ms=N] [piece=N]
 *            URL...
 *
 * Asks for each URL as often as it is told, with one client, and prints a line for each answer:
 * "CODE STATUS ATTEMPTS" and then the body, or what went wrong. With 'piece' the body is a stream,
 * read slowly by so many bytes, and "BYTES SUM" of its bytes are printed. The log goes to standard
 * error.
 */
#include <http/client.h>
#include <os/clock.h>

#include <run-core/str.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ANSWER_BYTES = 1024 * 1024 };

struct wishes {
    struct core_http_client_settings settings;
    int64_t redirects, times, total_ms, piece_bytes;
};

static void print_record(void *context, const struct core_http_record *record)
{
    RC_BUF_AUTO(text, ANSWER_BYTES);

    (void)context;
    core_http_record_text(record, &text);
    (void)fprintf(stderr, "%s\n", text.data);
}

static bool take_option(struct wishes *wishes, const char *argument)
{
    if (rc_str_starts(argument, "ca="))
        wishes->settings.ca_file = argument + strlen("ca=");
    else if (rc_str_starts(argument, "proxy="))
        wishes->settings.proxy = argument + strlen("proxy=");
    else if (rc_str_starts(argument, "redirects="))
        return rc_parse_int(argument + strlen("redirects="), &wishes->redirects);
    else if (rc_str_starts(argument, "times="))
        return rc_parse_int(argument + strlen("times="), &wishes->times);
    else if (rc_str_starts(argument, "total_ms="))
        return rc_parse_int(argument + strlen("total_ms="), &wishes->total_ms);
    else if (rc_str_starts(argument, "piece="))
        return rc_parse_int(argument + strlen("piece="), &wishes->piece_bytes);
    else
        return false;
    return true;
}

static enum rc_code read_slowly(const struct core_http_call *call, size_t piece_bytes,
                                struct core_http_answer *answer, struct rc_error *err)
{
    RC_STR_AUTO piece = rc_malloc(piece_bytes);
    struct core_http_stream *stream;
    enum rc_code code = core_http_open(call, answer, &stream, err);
    unsigned long long bytes = 0, sum = 0;
    size_t len = 1;

    if (code || !stream)
        return code;
    for (int pieces = 0; len > 0 && code == RC_OK; pieces++) {
        if (pieces < 100)
            core_clock_sleep_ms(5);
        code = core_http_read(stream, piece, piece_bytes, &len, err);
        for (size_t i = 0; i < len; i++)
            sum += (unsigned char)piece[i];
        bytes += len;
    }
    core_http_close(stream);
    rc_buf_addf(&answer->body, "%llu %llu", bytes, sum);
    return code;
}

static void ask(const struct wishes *wishes, struct core_http_client *client, const char *url)
{
    const struct core_http_call call = {
        .name = "the test",
        .url = url,
        .client = client,
        .redirects = (unsigned)wishes->redirects,
        .total_ms = wishes->total_ms,
    };
    struct core_http_answer answer;
    struct rc_error err = RC_ERROR_INIT;
    enum rc_code code;

    core_http_answer_init(&answer, ANSWER_BYTES);
    if (wishes->piece_bytes > 0)
        code = read_slowly(&call, (size_t)wishes->piece_bytes, &answer, &err);
    else
        code = core_http_call(&call, &answer, &err);
    printf("%s %u %u %s\n", code ? rc_code_name(code) : "ok", answer.status, answer.attempts,
           code ? err.cause : answer.body.data);
    core_http_answer_clear(&answer);
}

int main(int argc, char **argv)
{
    struct wishes wishes = { .settings = { .attempts = 2, .backoff_ms = 1, .record = print_record },
                             .times = 1 };
    struct core_http_client *client;
    int first = 1;

    while (first < argc && take_option(&wishes, argv[first]))
        first++;
    client = core_http_client_new(&wishes.settings);
    for (int i = first; i < argc; i++)
        for (int64_t n = 0; n < wishes.times; n++)
            ask(&wishes, client, argv[i]);
    core_http_client_free(client);
    return 0;
}
