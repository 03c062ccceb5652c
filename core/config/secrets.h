/*
 * The secret values this process has read, so that they can be masked in whatever
 * goes out: logs, errors, results. Thread-safe; lives as long as the process.
 */
#ifndef CORE_CONFIG_SECRETS_H
#define CORE_CONFIG_SECRETS_H

#include <run-core/buf.h>

#define CORE_SECRET_MASK "********"

/* Remembers a value. Values under 4 bytes are not masked inside other text: they would garble it. */
void core_secret_add(const char *value);

/* Replaces every remembered value in 'text' (changed in place, never longer) by the mask. */
void core_secret_mask(char *text);

/* The same, appending the masked text to 'out'. */
void core_secret_add_masked(struct rc_buf *out, const char *text, size_t len);

#endif
