/*
 * What it means that an attempt has failed: whether the server has seen the request, whether it may
 * succeed later, and what its user can do. Only constant texts of libcurl are shown: its own
 * messages may hold parts of the URL.
 */
#include <http/client_internal.h>

#include <base/url.h>

#include <run-core/str.h>

#include <errno.h>
#include <string.h>

/* Of OpenSSL, which libcurl passes on. */
enum {
    CERTIFICATE_OK = 0,
    CERTIFICATE_NOT_ASKED = 1, /* libcurl looks at the name first */
    CERTIFICATE_TOO_EARLY = 9,
    CERTIFICATE_EXPIRED = 10,
    CERTIFICATE_SELF_SIGNED = 18,
    CERTIFICATE_SELF_SIGNED_ROOT = 19,
    CERTIFICATE_NO_ISSUER = 20,
    CERTIFICATE_NO_CHAIN = 21,
    CERTIFICATE_REVOKED = 23,
};

static long long_info(const struct transfer *transfer, CURLINFO info)
{
    long value = 0;

    (void)transfer->curl->easy_getinfo(transfer->lane->easy, info, &value);
    return value;
}

static bool is_connected(const struct transfer *transfer)
{
    curl_off_t after_us = 0;

    (void)transfer->curl->easy_getinfo(transfer->lane->easy, CURLINFO_PRETRANSFER_TIME_T,
                                       &after_us);
    return after_us > 0;
}

/* ---- texts ----------------------------------------------------------------------------------- */

static enum rc_code bad_certificate(const struct transfer *transfer, struct rc_error *err)
{
    const char *what;

    switch (long_info(transfer, CURLINFO_SSL_VERIFYRESULT)) {
    case CERTIFICATE_OK:
    case CERTIFICATE_NOT_ASKED:
        what = "the server's certificate is for another name; use the name that it is for";
        break;
    case CERTIFICATE_TOO_EARLY:
        what = "the server's certificate is not valid yet; look at the clocks of both machines";
        break;
    case CERTIFICATE_EXPIRED:
        what = "the server's certificate has expired; it has to be renewed there";
        break;
    case CERTIFICATE_SELF_SIGNED:
    case CERTIFICATE_SELF_SIGNED_ROOT:
    case CERTIFICATE_NO_ISSUER:
    case CERTIFICATE_NO_CHAIN:
        what = "the server's certificate is from an authority that is not trusted here; name that "
               "authority's certificate as ca_file, or install it on this machine";
        break;
    case CERTIFICATE_REVOKED:
        what = "the server's certificate was revoked";
        break;
    default:
        what = "the server's certificate does not prove that it is the server";
        break;
    }
    return rc_fail(err, RC_INVALID, "%s: %s", transfer->name, what);
}

static enum rc_code not_connected(const struct transfer *transfer, struct rc_error *err)
{
    long number = long_info(transfer, CURLINFO_OS_ERRNO);
    enum rc_code code = number == EACCES || number == EPERM ? RC_DENIED : RC_UNAVAILABLE;

    return rc_fail(err, code, "%s: cannot connect: %s", transfer->name,
                   number ? strerror((int)number)
                          : transfer->curl->easy_strerror(CURLE_COULDNT_CONNECT));
}

static enum rc_code timed_out(struct transfer *transfer, struct rc_error *err)
{
    char text[RC_AMOUNT_TEXT];

    transfer->failure.timeout = true;
    if (is_connected(transfer))
        return rc_fail(err, RC_TIMEOUT, "%s: not done within %s, the limit for the whole request",
                       transfer->name, rc_format_duration(transfer->total_ms, text));
    if (transfer->total_ms > 0 && transfer->total_ms < transfer->connect_ms)
        return rc_fail(err, RC_UNAVAILABLE,
                       "%s: no connection in time: within %s, the limit for the whole request",
                       transfer->name, rc_format_duration(transfer->total_ms, text));
    return rc_fail(err, RC_UNAVAILABLE,
                   "%s: no connection in time: within %s, the limit for connecting", transfer->name,
                   rc_format_duration(transfer->connect_ms, text));
}

enum rc_code core_http_transfer_silent(struct transfer *transfer, struct rc_error *err)
{
    char text[RC_AMOUNT_TEXT];

    transfer->failure = (struct failure){ .passing = true, .timeout = true };
    return rc_fail(err, RC_TIMEOUT, "%s: nothing was heard for %s, the limit of silence",
                   transfer->name, rc_format_duration(transfer->idle_ms, text));
}

static enum rc_code broken(const struct transfer *transfer, CURLcode result, struct rc_error *err)
{
    long number = long_info(transfer, CURLINFO_OS_ERRNO);
    long proxy_status = long_info(transfer, CURLINFO_HTTP_CONNECTCODE);

    if (proxy_status == 407)
        return rc_fail(err, RC_DENIED,
                       "%s: the proxy wants a user and a password; give them in its URL",
                       transfer->name);
    if (proxy_status >= 300)
        return rc_fail(err, RC_UNAVAILABLE, "%s: the proxy does not connect: status %ld",
                       transfer->name, proxy_status);
    if (result == CURLE_SEND_FAIL_REWIND || transfer->is_stale)
        return rc_fail(err, RC_UNAVAILABLE,
                       "%s: the server closed a kept connection, and may have seen the request",
                       transfer->name);
    if (result == CURLE_GOT_NOTHING)
        return rc_fail(err, RC_UNAVAILABLE, "%s: the server closed the connection unanswered",
                       transfer->name);
    if (result == CURLE_PARTIAL_FILE || transfer->head_done)
        return rc_fail(err, RC_UNAVAILABLE,
                       "%s: the connection broke in the middle of the answer, after %lld bytes",
                       transfer->name, (long long)transfer->received);
    if (number)
        return rc_fail(err, RC_UNAVAILABLE, "%s: the connection broke: %s", transfer->name,
                       strerror((int)number));
    return rc_fail(err, RC_UNAVAILABLE, "%s: the connection broke: %s", transfer->name,
                   transfer->curl->easy_strerror(result));
}

static enum rc_code no_address(const struct transfer *transfer, struct rc_error *err)
{
    char *url = NULL;

    (void)transfer->curl->easy_getinfo(transfer->lane->easy, CURLINFO_EFFECTIVE_URL, &url);
    RC_STR_AUTO shown = core_url_public(url ? url : "");
    const char *scheme_end = strstr(shown, "://");
    const char *host = scheme_end ? scheme_end + strlen("://") : shown;

    return rc_fail(err, RC_UNAVAILABLE,
                   "%s: the server's name '%.*s' has no address; look at its spelling and at the "
                   "name service of this machine",
                   transfer->name, (int)strcspn(host, ":/?#"), host);
}

static enum rc_code describe(struct transfer *transfer, CURLcode result, struct rc_error *err)
{
    const char *name = transfer->name;

    switch (result) {
    case CURLE_OPERATION_TIMEDOUT:
        return timed_out(transfer, err);
    case CURLE_COULDNT_CONNECT:
        return not_connected(transfer, err);
    case CURLE_PEER_FAILED_VERIFICATION:
        return bad_certificate(transfer, err);
    case CURLE_COULDNT_RESOLVE_HOST:
        return no_address(transfer, err);
    case CURLE_COULDNT_RESOLVE_PROXY:
        return rc_fail(err, RC_UNAVAILABLE, "%s: the proxy's name has no address", name);
    case CURLE_SSL_CACERT_BADFILE:
        return rc_fail(err, RC_INVALID,
                       "%s: the file of trusted certificates cannot be read; it has to exist and "
                       "hold certificates in PEM",
                       name);
    case CURLE_SSL_CONNECT_ERROR:
        return rc_fail(err, RC_UNAVAILABLE,
                       "%s: TLS could not be agreed on; the server may not speak it at this port",
                       name);
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_WEIRD_SERVER_REPLY:
        return rc_fail(err, RC_INVALID,
                       "%s: what answers there does not speak HTTP; look at the address and its "
                       "port",
                       name);
    case CURLE_URL_MALFORMAT:
    case CURLE_SSL_CERTPROBLEM:
        return rc_fail(err, RC_INVALID, "%s: %s", name, transfer->curl->easy_strerror(result));
    default:
        return broken(transfer, result, err);
    }
}

enum rc_code core_http_transfer_failed(struct transfer *transfer, CURLcode result,
                                       struct rc_error *err)
{
    bool kept = transfer->is_stale ||
                (is_connected(transfer) && long_info(transfer, CURLINFO_NUM_CONNECTS) == 0);
    bool silent = long_info(transfer, CURLINFO_HEADER_SIZE) == 0;
    enum rc_code code = describe(transfer, result, err);

    transfer->failure.passing = code == RC_UNAVAILABLE || code == RC_TIMEOUT;
    transfer->failure.unsent = long_info(transfer, CURLINFO_REQUEST_SIZE) == 0;
    transfer->failure.stale =
        kept && silent && transfer->failure.passing && !transfer->failure.timeout;
    return code;
}
