/*
 * Strings, and the typed scalars that configuration and parameters are made of.
 *
 * The parsers take the whole text or nothing: no blanks around it, no rest behind
 * it. On false the output is untouched.
 */
#ifndef RUN_CORE_STR_H
#define RUN_CORE_STR_H

#include <run-core/attr.h>

#include <stdbool.h>
#include <stdint.h>

RC_BEGIN_DECLS

bool rc_str_eq(const char *a, const char *b); /* NULL equals only NULL */
bool rc_str_starts(const char *text, const char *prefix);
bool rc_str_ends(const char *text, const char *suffix);

/* Copies; freed with free(). rc_strdup(NULL) is NULL. */
char *rc_strdup(const char *text);
char *rc_strndup(const char *text, size_t len);
char *rc_strf(const char *format, ...) RC_PRINTF(1, 2);

/* Frees *string; for RC_CLEANUP. */
void rc_str_free(char **string);
#define RC_STR_AUTO RC_CLEANUP(rc_str_free) char *

/* Decimal, with an optional sign. */
bool rc_parse_int(const char *text, int64_t *out);
/* Decimal or exponent notation; infinities and NaN are refused. Knows no locale. */
bool rc_parse_float(const char *text, double *out);
/* true, false, yes, no, on, off, 1, 0, in any case. */
bool rc_parse_bool(const char *text, bool *out);
/* "250ms", "30s", "15m", "2h", "1d", "2w", sums such as "1h30m", and "0". Milliseconds. */
bool rc_parse_duration(const char *text, int64_t *out_ms);
/* "0", "512", "64KiB", "64MiB", "1GiB", "1TiB", also kB, MB, GB, TB as powers of 1000. Bytes. */
bool rc_parse_size(const char *text, int64_t *out_bytes);

enum { RC_AMOUNT_TEXT = 40 };
/* "1h30m" and "1.5 GiB": for people. Both return 'out'. */
char *rc_format_duration(int64_t ms, char out[RC_AMOUNT_TEXT]);
char *rc_format_size(int64_t bytes, char out[RC_AMOUNT_TEXT]);

RC_END_DECLS
#endif
