/*
 * The functions of libcurl in use, loaded once, at the first use. Thread-safe.
 */
#ifndef CORE_HTTP_CURL_H
#define CORE_HTTP_CURL_H

#include <run-core/error.h>

#include <curl/curl.h>

/* As their own header declares them. */
struct core_curl {
    __typeof__(&curl_global_init) global_init;
    __typeof__(&curl_easy_init) easy_init;
    __typeof__(&curl_easy_cleanup) easy_cleanup;
    __typeof__(&curl_easy_setopt) easy_setopt;
    __typeof__(&curl_easy_getinfo) easy_getinfo;
    __typeof__(&curl_easy_pause) easy_pause;
    __typeof__(&curl_easy_strerror) easy_strerror;
    __typeof__(&curl_multi_init) multi_init;
    __typeof__(&curl_multi_cleanup) multi_cleanup;
    __typeof__(&curl_multi_setopt) multi_setopt;
    __typeof__(&curl_multi_add_handle) multi_add_handle;
    __typeof__(&curl_multi_remove_handle) multi_remove_handle;
    __typeof__(&curl_multi_perform) multi_perform;
    __typeof__(&curl_multi_poll) multi_poll;
    __typeof__(&curl_multi_socket_action) multi_socket_action;
    __typeof__(&curl_multi_info_read) multi_info_read;
    __typeof__(&curl_share_init) share_init;
    __typeof__(&curl_share_setopt) share_setopt;
    __typeof__(&curl_share_cleanup) share_cleanup;
    __typeof__(&curl_slist_append) slist_append;
    __typeof__(&curl_slist_free_all) slist_free_all;
    __typeof__(&curl_url) url;
    __typeof__(&curl_url_cleanup) url_cleanup;
    __typeof__(&curl_url_set) url_set;
    __typeof__(&curl_url_get) url_get;
    __typeof__(&curl_free) free;
    __typeof__(&curl_getdate) getdate;
};

/* '*out' is a constant. RC_NOT_FOUND, RC_UNSUPPORTED: it is not installed. */
RC_MUST_CHECK enum rc_code core_curl_load(const struct core_curl **out, struct rc_error *err);

/*
 * Appends "name: value" to a list of headers. False for a line break in either, or no name: those
 * could say more than one header.
 */
bool core_curl_add_header(const struct core_curl *curl, struct curl_slist **list, const char *name,
                          const char *value);

/*
 * Splits what libcurl hands over as a line of a head into name and value, without blanks around.
 * False for other lines. Not terminated by NULs.
 */
bool core_curl_split_header(const char *line, size_t len, const char **value, size_t *name_len,
                            size_t *value_len);

#endif
