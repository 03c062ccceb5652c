/*
 * Signs tokens and writes keys down, by libcrypto, for tests of who believes them.
 */
#ifndef SDRS_TEST_JWT_SIGNER_H
#define SDRS_TEST_JWT_SIGNER_H

#include <auth/token.h>

#include <run-core/str.h>

#include <openssl/evp.h>

/* Keys take a while to make, so all tests have the same: two that are good, and two that are not.
 */
extern EVP_PKEY *first_key, *second_key, *small_key, *curve_key;
int make_keys(void **state);
int free_keys(void **state);

/* Base64url. All texts here are freed by free(). */
char *encode(const void *data, size_t len);
/* "HEADER.CLAIMS", and with a signature by SHA-256 or another hash. */
char *join(const char *header, const char *claims);
char *sign(EVP_PKEY *key, const char *header, const char *claims);
char *sign_with(EVP_PKEY *key, const EVP_MD *hash, const char *header, const char *claims);

/* A number of a key as a JWK has it; a JWK ('more': members before the numbers); one or two. */
char *number_text(EVP_PKEY *key, const char *name);
char *jwk_of(EVP_PKEY *key, const char *more);
char *jwks_of(EVP_PKEY *a, const char *a_kid, EVP_PKEY *b, const char *b_kid);

/* In PEM. 'old' is the form of PKCS #1, as 'openssl rsa -RSAPublicKey_out' gives it. */
char *public_pem(EVP_PKEY *key);
char *private_pem(EVP_PKEY *key);
char *old_pem(EVP_PKEY *key);
char *certificate_of(EVP_PKEY *key);

void free_jwks(struct sdrs_jwks **keys);
#define JWKS_AUTO RC_CLEANUP(free_jwks) struct sdrs_jwks *
struct sdrs_jwks *parse(const char *json);

/* What tokens below are made for. */
extern const struct sdrs_expectation usual;
#define HEADER "{\"alg\":\"RS256\",\"kid\":\"a\",\"typ\":\"JWT\"}"
#define CLAIMS_WITHOUT_EXP                                                                         \
    "\"iss\":\"https://login.example\",\"aud\":\"sdrs\",\"email\":\"ada@example.org\""
#define CLAIMS "{" CLAIMS_WITHOUT_EXP ",\"exp\":1800000600}"

/* RC_OK, or RC_DENIED with a message that has nothing of the token. */
enum rc_code judge(const char *token, const struct sdrs_jwks *keys,
                   const struct sdrs_expectation *expected, struct sdrs_claims *claims,
                   struct rc_error *err);
/* By 'usual': believed, or refused for that reason. */
void expect(const char *token, const struct sdrs_jwks *keys, const char *reason);

#endif
