/*
 * The tokens of the API: a file with a line 'NAME SCOPE SHA256HEX' for each, so that a token itself
 * stands nowhere on the server.
 */
#ifndef CORE_API_TOKENS_H
#define CORE_API_TOKENS_H

#include <api/route.h>
#include <config/problems.h>

#include <run-core/error.h>

struct core_tokens;

enum { CORE_TOKEN_HASH_HEX = 64, CORE_TOKEN_TEXT = 64 };

/*
 * Reads a file: blank lines and those that begin with '#' count for nothing. It must not be
 * writable by others than its owner, who is root or the daemon's user. NULL: something is wrong,
 * which is in 'problems' with the line.
 */
struct core_tokens *core_tokens_read(const char *path, struct core_problems *problems);
void core_tokens_free(struct core_tokens *tokens); /* may be NULL */

size_t core_tokens_count(const struct core_tokens *tokens);

/*
 * The scope of a token and the name in its line, borrowed; CORE_SCOPE_NONE: it is none of them.
 * Takes the same time for every token of a length.
 */
enum core_scope core_tokens_find(const struct core_tokens *tokens, const char *token,
                                 const char **name);

/* Whether a line may begin with it. */
bool core_token_name_ok(const char *name, size_t len);

/* Makes a token of 192 random bits and its hash. */
RC_MUST_CHECK enum rc_code core_token_make(char token[CORE_TOKEN_TEXT],
                                           char hash_hex[CORE_TOKEN_HASH_HEX + 1],
                                           struct rc_error *err);

#endif
