/*
 * URLs in messages. Pure.
 */
#ifndef CORE_BASE_URL_H
#define CORE_BASE_URL_H

#include <stdbool.h>

/*
 * The URL as messages may show it: without user and password, and "?..." in place of a query or
 * fragment. Freed with free().
 */
char *core_url_public(const char *url);

/*
 * Whether nobody on the way reads what is sent there: by https; or by http to this machine itself,
 * as "localhost" or a loopback address, which '*loopback' says. A URL with a user in it, or that
 * can be read in two ways, is none.
 */
bool core_url_is_private(const char *url, bool *loopback);

#endif
