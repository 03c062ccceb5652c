/*
 * Terms as they are written in a SPARQL 1.1 request: the only way in which text of a
 * configuration or of a store reaches a query or an update.
 *
 * https://www.w3.org/TR/sparql11-query/, section 19: productions IRIREF, STRING_LITERAL2, ECHAR.
 */
#ifndef SPARQL_TERM_H
#define SPARQL_TERM_H

#include <run-core/buf.h>

#include <stdint.h>

/*
 * Whether 'text' is an absolute IRI that may stand between '<' and '>': a scheme with its colon and
 * something behind it, UTF-8, and nothing that IRIREF excludes (controls, blanks, <>"{}|^`\).
 */
bool sparql_iri_is_valid(const char *text);

/* Says what is wrong with it and where, in the cause. RC_INVALID. */
RC_MUST_CHECK enum rc_code sparql_iri_check(const char *text, struct rc_error *err);

/* <iri>. One that is not valid is a mistake of the caller and ends the process. */
void sparql_add_iri(struct rc_buf *out, const char *iri);

/*
 * A plain literal, "text" with ECHAR escapes. What is not UTF-8 becomes U+FFFD; control
 * characters that have no escape are written as \UXXXXXXXX. The text is the same to a store that
 * resolves code points before it looks for strings, as section 19.2 has it, and to one that does so
 * within them. All of it is added or, where the buffer overflows, nothing.
 */
void sparql_add_string(struct rc_buf *out, const char *text, size_t len);

/* "2026-01-31T23:59:59.250Z"^^xsd:dateTime with the whole IRI, always with milliseconds. */
void sparql_add_time(struct rc_buf *out, int64_t unix_ms);

#endif
