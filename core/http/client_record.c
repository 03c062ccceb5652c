/*
 * The log of requests: what is told of each attempt, and how it reads. Queries, users and passwords
 * are never part of it.
 */
#include <http/client_internal.h>

#include <os/clock.h>

#include <run-core/str.h>

#include <string.h>

static void add_url(struct rc_buf *out, const char *url, bool secret)
{
    size_t origin_len = core_http_origin_len(url);
    const char *authority = strstr(url, "://");
    size_t scheme_len = authority ? (size_t)(authority - url) + strlen("://") : 0;
    const char *user = memrchr(url + scheme_len, '@', origin_len - scheme_len);
    const char *path = url + origin_len;

    rc_buf_add(out, url, scheme_len);
    url = user ? user + 1 : url + scheme_len;
    rc_buf_add(out, url, (size_t)(path - url));
    rc_buf_add(out, secret ? "/..." : path, secret ? strlen("/...") : strcspn(path, "?#"));
}

void core_http_log(const struct request *request, const struct transfer *transfer,
                   const char *failure, int64_t retry_in_ms)
{
    const struct core_http_client *client = request->client;
    RC_BUF_AUTO(url, HEAD_BYTES);
    curl_off_t sent = 0;

    if (!client || !client->settings.record)
        return;
    if (transfer->lane)
        (void)transfer->curl->easy_getinfo(transfer->lane->easy, CURLINFO_SIZE_UPLOAD_T, &sent);
    add_url(&url, request->asked_url, request->call->secret_url);
    client->settings.record(client->settings.record_context,
                            &(struct core_http_record){
                                .name = request->name,
                                .method = request->method,
                                .url = url.data,
                                .status = transfer->status,
                                .attempt = request->draft.attempt,
                                .duration_ms = core_clock_mono_ms() - request->began_mono_ms,
                                .sent_bytes = (int64_t)sent,
                                .received_bytes = (int64_t)transfer->received,
                                .failure = failure,
                                .retry_in_ms = retry_in_ms,
                            });
}

void core_http_record_text(const struct core_http_record *record, struct rc_buf *out)
{
    char text[RC_AMOUNT_TEXT];

    rc_buf_addf(out, "%s %s: ", record->method, record->url);
    if (record->status)
        rc_buf_addf(out, "%u", record->status);
    else
        rc_buf_adds(out, "no answer");
    rc_buf_addf(out, " after %s", rc_format_duration(record->duration_ms, text));
    if (record->sent_bytes > 0)
        rc_buf_addf(out, ", %lld bytes sent", (long long)record->sent_bytes);
    rc_buf_addf(out, ", %lld bytes received", (long long)record->received_bytes);
    if (record->attempt > 1)
        rc_buf_addf(out, ", attempt %u", record->attempt);
    if (record->failure)
        rc_buf_addf(out, "; %s", record->failure);
    if (record->retry_in_ms > 0)
        rc_buf_addf(out, "; again in %s", rc_format_duration(record->retry_in_ms, text));
    else if (record->retry_in_ms == 0)
        rc_buf_adds(out, "; again at once");
}
