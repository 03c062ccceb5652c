/*
 * Answers: their headers, the times in them, and what Retry-After asks for.
 */
#include <http/client.h>

#include <http/client_internal.h>

#include <run-core/str.h>

#include <string.h>
#include <strings.h>

void core_http_answer_init(struct core_http_answer *answer, size_t limit_bytes)
{
    answer->status = 0;
    answer->attempts = 0;
    rc_buf_init(&answer->headers, HEAD_BYTES);
    rc_buf_init(&answer->body, limit_bytes);
}

void core_http_answer_clear(struct core_http_answer *answer)
{
    rc_buf_clear(&answer->headers);
    rc_buf_clear(&answer->body);
}

void core_http_answer_reset(struct core_http_answer *answer)
{
    answer->status = 0;
    rc_buf_reset(&answer->headers);
    rc_buf_reset(&answer->body);
}

const char *core_http_answer_header(const struct core_http_answer *answer, const char *name)
{
    const char *at = answer->headers.data;
    const char *end = at + answer->headers.len;

    while (at < end) {
        const char *value = at + strlen(at) + 1;

        if (strcasecmp(at, name) == 0)
            return value;
        at = value + strlen(value) + 1;
    }
    return NULL;
}

int64_t core_http_answer_time_unix_ms(const struct core_http_answer *answer, const char *name)
{
    const char *text = core_http_answer_header(answer, name);
    struct rc_error ignored = RC_ERROR_INIT;
    const struct core_curl *curl;
    int64_t seconds;

    if (!text || core_curl_load(&curl, &ignored))
        return 0;
    seconds = (int64_t)curl->getdate(text, NULL);
    return seconds > 0 ? seconds * 1000 : 0;
}

int64_t core_http_answer_retry_ms(const struct core_http_answer *answer, int64_t now_unix_ms)
{
    const char *text = core_http_answer_header(answer, "retry-after");
    int64_t number;

    if (!text)
        return -1;
    if (rc_parse_int(text, &number))
        return number >= 0 && number <= INT64_MAX / 1000 ? number * 1000 : -1;
    number = core_http_answer_time_unix_ms(answer, "retry-after");
    if (number == 0)
        return -1;
    return number > now_unix_ms ? number - now_unix_ms : 0;
}
