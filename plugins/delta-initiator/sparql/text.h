/*
 * Text of others: which of its bytes are characters, and how it is shown in a message.
 */
#ifndef SPARQL_TEXT_H
#define SPARQL_TEXT_H

#include <run-core/buf.h>

/*
 * The bytes at 'text', of which there is at least one, that are one character of UTF-8
 * (RFC 3629); *valid false: they begin none, or none that ends.
 */
size_t sparql_text_step(const char *text, size_t len, bool *valid);

/*
 * Adds its first paragraph as one line of at most 'most' bytes, or with "..." behind them: blanks
 * and controls become one blank, what is no UTF-8 becomes U+FFFD, and of HTML there is only what
 * stands between the tags.
 */
void sparql_text_show(struct rc_buf *out, const char *text, size_t len, size_t most);

#endif
