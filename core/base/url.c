/*
 * Takes out of a URL what may be secret. It is not judged: any text comes out as some text.
 */
#include <base/url.h>

#include <run-core/str.h>

#include <string.h>

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
