/*
 * The HTTP client alone, for tests whose servers are easier to write in another language.
 *
 *   http_ask [ca=FILE] [proxy=URL] [redirects=N] [times=N] [total_ms=N] URL...
 *
 * Asks for each URL as often as it is told, with one client, and prints a line for each answer:
 * "CODE STATUS ATTEMPTS" and then the body, or what went wrong. The log goes to standard error.
 */
#include <http/client.h>

#include <run-core/str.h>

#include <stdio.h>
#include <string.h>

enum { ANSWER_BYTES = 1024 * 1024 };

struct wishes {
    struct core_http_client_settings settings;
    int64_t redirects, times, total_ms;
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
    else
        return false;
    return true;
}

static void ask(const struct wishes *wishes, struct core_http_client *client, const char *url)
{
    struct core_http_answer answer;
    struct rc_error err = RC_ERROR_INIT;
    enum rc_code code;

    core_http_answer_init(&answer, ANSWER_BYTES);
    code = core_http_call(&(struct core_http_call){ .name = "the test",
                                                    .url = url,
                                                    .client = client,
                                                    .redirects = (unsigned)wishes->redirects,
                                                    .total_ms = wishes->total_ms },
                          &answer, &err);
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
