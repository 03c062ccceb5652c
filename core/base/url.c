/*
 * Takes out of a URL what may be secret: any text comes out as some text. And tells which URLs a
 * secret may be sent to.
 */
#include <base/url.h>

#include <run-core/str.h>

#include <ctype.h>
#include <string.h>
#include <strings.h>

char *core_url_public(const char *url)
{
    const char *scheme_end = strstr(url, "://");
    const char *authority = scheme_end ? scheme_end + strlen("://") : url;
    size_t authority_len = strcspn(authority, "/?#");
    const char *shown = authority;
    size_t shown_len;

    /* The last one: a password may hold one that was not encoded. */
    for (size_t i = 0; i < authority_len; i++)
        if (authority[i] == '@')
            shown = authority + i + 1;
    shown_len = strcspn(shown, "?#");
    return rc_strf("%.*s%.*s%s", (int)(authority - url), url, (int)shown_len, shown,
                   shown[shown_len] ? "?..." : "");
}

/* "127.0.0.1" and its like, in four decimal numbers. */
static bool is_loopback_v4(const char *host, size_t len)
{
    static const char first[] = "127.";
    unsigned dots = 0, number = 0, digits = 0;

    if (len < sizeof(first) || strncmp(host, first, sizeof(first) - 1) != 0)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (host[i] == '.') {
            dots++;
            number = digits = 0;
        } else if (isdigit((unsigned char)host[i]) && ++digits <= 3) {
            number = number * 10 + (unsigned)(host[i] - '0');
        } else {
            return false;
        }
        if (number > 255 || (host[i] == '.' && (i + 1 == len || host[i + 1] == '.')))
            return false;
    }
    return dots == 3;
}

static bool is_loopback(const char *host, size_t len)
{
    return (len == strlen("localhost") && strncasecmp(host, "localhost", len) == 0) ||
           (len == strlen("[::1]") && strncmp(host, "[::1]", len) == 0) ||
           is_loopback_v4(host, len);
}

bool core_url_is_private(const char *url, bool *loopback)
{
    static const char secure[] = "https://", plain[] = "http://";
    bool is_secure = strncasecmp(url, secure, sizeof(secure) - 1) == 0;
    const char *host = url + (is_secure ? sizeof(secure) : sizeof(plain)) - 1;
    size_t len, host_len;

    *loopback = false;
    if (!is_secure && strncasecmp(url, plain, sizeof(plain) - 1) != 0)
        return false;
    len = strcspn(host, "/?#");
    host_len = host[0] == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":/?#");
    if (len == 0 || host_len > len || (host[host_len] != ':' && host_len != len))
        return false;
    for (size_t i = 0; i < len; i++)
        if (host[i] == '@' || host[i] == '\\' || host[i] == '%' || (unsigned char)host[i] <= ' ')
            return false;
    *loopback = is_loopback(host, host_len);
    return is_secure || *loopback;
}
