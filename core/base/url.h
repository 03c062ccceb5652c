/*
 * URLs in messages. Pure.
 */
#ifndef CORE_BASE_URL_H
#define CORE_BASE_URL_H

/*
 * The URL as messages may show it: without user and password, and "?..." in place of a query or
 * fragment. Freed with free().
 */
char *core_url_public(const char *url);

#endif
