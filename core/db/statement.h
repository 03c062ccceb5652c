/*
 * SQL text looked at without a server, in PostgreSQL's grammar of words: where statements end,
 * which parameters they have, whether they change anything and whether a plugin may use them.
 */
#ifndef CORE_DB_STATEMENT_H
#define CORE_DB_STATEMENT_H

#include <run-core/error.h>

#include <stdbool.h>
#include <stddef.h>

enum core_token_type {
    CORE_TOKEN_END,
    CORE_TOKEN_WORD,      /* a key word or a name without quotes */
    CORE_TOKEN_NAME,      /* a name in double quotes, with them */
    CORE_TOKEN_PARAMETER, /* $1 */
    CORE_TOKEN_TEXT,      /* any form of a text literal */
    CORE_TOKEN_SYMBOL,    /* one character */
};

struct core_token {
    enum core_token_type type;
    const char *text;
    size_t len;
};

/* The next token at *at, behind blanks and comments; *at moves behind it. */
struct core_token core_token_next(const char **at);

/* Whether the token is that word, given in lower case. */
bool core_token_is(const struct core_token *token, const char *word);

/*
 * The next statement of a script at *at, without its semicolon; *at moves behind that. False: only
 * blanks and comments are left.
 */
bool core_statement_next(const char **at, const char **start, size_t *len);

/* The highest N of $N. */
size_t core_statement_parameters(const char *sql);

/*
 * Whether a statement certainly changes nothing: what is not sure, such as SELECT ... FOR UPDATE,
 * counts as changing. That functions may change something is not seen.
 */
bool core_statement_is_read(const char *sql);

/*
 * Whether a plugin may use the statement: one that reads or changes rows, or tables, and names
 * nothing of the core's or of another plugin's (run_core...). RC_DENIED: it may not. RC_INVALID: it
 * begins with no word that is known. This is a wall against mistakes; the one against more is the
 * database's own rights.
 */
RC_MUST_CHECK enum rc_code core_statement_check(const char *sql, struct rc_error *err);

#endif
