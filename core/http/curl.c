/*
 * Loads libcurl, and the handling of headers that the client and the proxy share.
 */
#include <http/curl.h>

#include <os/library.h>

#include <run-core/buf.h>

#include <pthread.h>
#include <stdint.h>
#include <string.h>

#define SYMBOL(name)                                                                               \
    {                                                                                              \
        "curl_" #name, offsetof(struct core_curl, name)                                            \
    }

static const struct core_library_symbol symbols[] = {
    SYMBOL(global_init),
    SYMBOL(easy_init),
    SYMBOL(easy_cleanup),
    SYMBOL(easy_setopt),
    SYMBOL(easy_getinfo),
    SYMBOL(easy_pause),
    SYMBOL(easy_strerror),
    SYMBOL(multi_init),
    SYMBOL(multi_cleanup),
    SYMBOL(multi_setopt),
    SYMBOL(multi_add_handle),
    SYMBOL(multi_remove_handle),
    SYMBOL(multi_perform),
    SYMBOL(multi_poll),
    SYMBOL(multi_socket_action),
    SYMBOL(multi_info_read),
    SYMBOL(share_init),
    SYMBOL(share_setopt),
    SYMBOL(share_cleanup),
    SYMBOL(slist_append),
    SYMBOL(slist_free_all),
    SYMBOL(url),
    SYMBOL(url_cleanup),
    SYMBOL(url_set),
    SYMBOL(url_get),
    SYMBOL(free),
    SYMBOL(getdate),
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct core_curl loaded;

enum rc_code core_curl_load(const struct core_curl **out, struct rc_error *err)
{
    enum rc_code code = RC_OK;

    (void)pthread_mutex_lock(&mutex);
    if (!loaded.global_init) {
        struct core_curl curl = { .global_init = NULL };

        code = core_library_load("libcurl.so.4", symbols, RC_ARRAY_LEN(symbols), &curl, err);
        if (code)
            (void)rc_context(err, "use HTTP (install the package libcurl4)");
        else if (curl.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
            code = rc_fail(err, RC_FAILED, "libcurl cannot be started");
        else
            loaded = curl;
    }
    (void)pthread_mutex_unlock(&mutex);
    *out = code ? NULL : &loaded;
    return code;
}

bool core_curl_add_header(const struct core_curl *curl, struct curl_slist **list, const char *name,
                          const char *value)
{
    RC_BUF_AUTO(line, SIZE_MAX / 2);
    struct curl_slist *longer;

    if (!*name || strpbrk(name, "\r\n: ") || strpbrk(value, "\r\n"))
        return false;
    /* A value of nothing but blanks is written like this; "name:" would take the header out. */
    value += strspn(value, " \t");
    rc_buf_adds(&line, name);
    rc_buf_adds(&line, *value ? ": " : ";");
    rc_buf_adds(&line, value);
    longer = curl->slist_append(*list, line.data);
    if (!longer)
        rc_out_of_memory(line.len);
    *list = longer;
    return true;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

bool core_curl_split_header(const char *line, size_t len, const char **value, size_t *name_len,
                            size_t *value_len)
{
    const char *colon = memchr(line, ':', len);
    const char *end = line + len;

    if (!colon || colon == line || is_blank(*line))
        return false;
    *name_len = (size_t)(colon - line);
    *value = colon + 1;
    while (*value < end && is_blank(**value))
        (*value)++;
    while (end > *value && is_blank(end[-1]))
        end--;
    *value_len = (size_t)(end - *value);
    return true;
}
