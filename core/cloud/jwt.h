/*
 * JSON web tokens that are signed with an RSA key (RS256: RFC 7515, RFC 7518 section 3.3), as
 * service accounts prove themselves by. On libcrypto, which is loaded at the first use.
 * Thread-safe.
 */
#ifndef CORE_CLOUD_JWT_H
#define CORE_CLOUD_JWT_H

#include <run-core/buf.h>

/*
 * Appends the token of 'header' and 'claims', both JSON. 'private_key' is PEM (PKCS#8 or PKCS#1)
 * without a passphrase; RC_INVALID: it is not. RC_NOT_FOUND, RC_UNSUPPORTED: there is no libcrypto.
 */
RC_MUST_CHECK enum rc_code core_jwt_sign(const char *header, const char *claims,
                                         const char *private_key, struct rc_buf *out,
                                         struct rc_error *err);

#endif
