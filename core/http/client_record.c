/*
 * The log of requests: what is told of each attempt, and how it reads. Queries, users and passwords
 * are never part of it.
 */
#include <http/client_internal.h>

#include <base/url.h>
#include <os/clock.h>

#include <run-core/str.h>

#include <stdlib.h>
#include <string.h>

static char *shown_url(const struct request *request)
{
    char *url = core_url_public(request->asked_url), *shorter;

    url[strcspn(url, "?")] = '\0';
    if (!request->call->secret_url)
        return url;
    shorter = rc_strf("%.*s/...", (int)core_http_origin_len(url), url);
    free(url);
    return shorter;
}

void core_http_log(const struct request *request, const struct transfer *transfer,
                   const char *failure, int64_t retry_in_ms)
{
    const struct core_http_client *client = request->client;
    RC_STR_AUTO url = NULL;
    curl_off_t sent = 0;

    if (!client || !client->settings.record)
        return;
    if (transfer->lane)
        (void)transfer->curl->easy_getinfo(transfer->lane->easy, CURLINFO_SIZE_UPLOAD_T, &sent);
    url = shown_url(request);
    client->settings.record(client->settings.record_context,
                            &(struct core_http_record){
                                .name = request->name,
                                .method = request->method,
                                .url = url,
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
