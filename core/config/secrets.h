/*
 * The secret values this process has read, so that they can be masked in whatever goes out: logs,
 * errors, results. Thread-safe; lives as long as the process.
 *
 * A text that was cut in the middle of a value has "..." there: what is left of the value beside it
 * is masked too, if that is 4 bytes or more.
 *
 * Mask text before it is quoted for JSON or the like: a value is found as it is, not in an
 * escaped form.
 */
#ifndef CORE_CONFIG_SECRETS_H
#define CORE_CONFIG_SECRETS_H

#include <run-core/buf.h>

#define CORE_SECRET_MASK "********"

/*
 * Remembers a value; NULL is none. Values under 4 bytes are not masked inside other text: they
 * would garble it. Of a value that is a URL with a password in it, the password counts by itself
 * too.
 */
void core_secret_add(const char *value);

/*
 * Remembers only the passwords in a URL "scheme://user:password@host/?password=...", or in
 * "host=... password=...", if 'url' is one of these. Of parameters those count whose names end with
 * password, passwd, token or secret.
 */
void core_secret_add_url(const char *url);

/* Replaces every remembered value in 'text' (changed in place, never longer) by the mask. */
void core_secret_mask(char *text);

/* The same, appending the masked text to 'out'. */
void core_secret_add_masked(struct rc_buf *out, const char *text, size_t len);

#endif
