/*
 * Base64url without padding, as all of JOSE is written (RFC 7515, section 2).
 */
#ifndef SDRS_BASE64URL_H
#define SDRS_BASE64URL_H

#include <run-core/buf.h>

/*
 * Appends the bytes. False: a character that is not of the alphabet, padding, a length that no
 * bytes have, or bits left over, so that every sequence of bytes has one text alone.
 */
bool sdrs_base64url_decode(const char *text, size_t len, struct rc_buf *out);

#endif
