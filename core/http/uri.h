/*
 * What a request asks for, taken apart; and whom a browser asks for it. Pure: no I/O.
 */
#ifndef CORE_HTTP_URI_H
#define CORE_HTTP_URI_H

#include <stdbool.h>
#include <stddef.h>

struct core_http_parameter {
    const char *name, *value; /* decoded */
};

struct core_http_uri {
    const char *path;  /* decoded */
    const char *query; /* as it came, without the '?' */
    const char *host;  /* of a target in absolute form, else NULL */
    struct core_http_parameter *parameters;
    size_t parameter_count;
    char *memory;
};

/*
 * Takes the target of a request apart. NULL, or what is wrong with it; then there is nothing to
 * clear, but that does no harm.
 */
const char *core_http_uri_parse(const char *target, struct core_http_uri *out);
void core_http_uri_clear(struct core_http_uri *uri);

/*
 * NULL, or why a request is not one that a page of this server would make: see
 * core_http_foreign(). 'host' and 'origin' are headers or NULL; 'hosts' ends with NULL or is NULL.
 */
const char *core_http_uri_foreign(const char *host, const char *origin, bool on_loopback,
                                  const char *const *hosts);

/*
 * Whether all for whom proxies have asked are processes of this machine, as a header of that name
 * says; true of every header that is not about that.
 */
bool core_http_uri_asks_locally(const char *header, const char *value);

#endif
