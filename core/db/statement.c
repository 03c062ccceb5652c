/*
 * The words of SQL text. PostgreSQL has no way of asking what a statement would do without
 * running it, which dry runs and the walls around plugins need.
 */
#include <db/statement.h>

#include <run-core/str.h>

#include <ctype.h>
#include <string.h>
#include <strings.h>

/* ---- tokens ------------------------------------------------------------------------------- */

static bool begins_word(char c)
{
    return isalpha((unsigned char)c) || c == '_' || (unsigned char)c >= 0x80;
}

static bool in_word(char c)
{
    return begins_word(c) || isdigit((unsigned char)c) || c == '$';
}

/* Comments nest in PostgreSQL. An open one takes the rest. */
static const char *behind_comment(const char *at)
{
    int depth = 0;

    do {
        if (at[0] == '/' && at[1] == '*') {
            depth++;
            at += 2;
        } else if (at[0] == '*' && at[1] == '/') {
            depth--;
            at += 2;
        } else if (*at) {
            at++;
        }
    } while (depth > 0 && *at);
    return at;
}

static const char *behind_blanks(const char *at)
{
    for (;;) {
        if (isspace((unsigned char)*at))
            at++;
        else if (at[0] == '-' && at[1] == '-')
            at += strcspn(at, "\r\n");
        else if (at[0] == '/' && at[1] == '*')
            at = behind_comment(at);
        else
            return at;
    }
}

/* A doubled quote stands for itself; so does one behind a backslash where those escape. */
static const char *behind_quotes(const char *at, char quote, bool escapes)
{
    for (at++; *at; at++) {
        if (escapes && *at == '\\' && at[1])
            at++;
        else if (*at == quote && at[1] == quote)
            at++;
        else if (*at == quote)
            return at + 1;
    }
    return at;
}

/* The length of a delimiter $tag$ at 'at', or 0. */
static size_t delimiter_len(const char *at)
{
    size_t len = 1;

    if (isdigit((unsigned char)at[len]))
        return 0;
    while (in_word(at[len]) && at[len] != '$')
        len++;
    return at[len] == '$' ? len + 1 : 0;
}

static const char *behind_dollars(const char *at, size_t len)
{
    const char *delimiter = at;

    for (at += len; *at; at++)
        if (strncmp(at, delimiter, len) == 0)
            return at + len;
    return at;
}

static const char *behind_number(const char *at)
{
    while (isdigit((unsigned char)*at))
        at++;
    return at;
}

/* Letters before a quote that belong to the literal: E'', B'', X'', N'', U&''. */
static bool is_prefix(const char *at, size_t len)
{
    return at[len] == '\'' && len == 1 && strchr("eEbBxXnN", at[0]);
}

static const char *behind_word(const char *at, enum core_token_type *type)
{
    size_t len = 1;

    while (in_word(at[len]))
        len++;
    *type = CORE_TOKEN_WORD;
    if (len == 1 && (*at == 'u' || *at == 'U') && at[1] == '&' && (at[2] == '\'' || at[2] == '"')) {
        *type = at[2] == '"' ? CORE_TOKEN_NAME : CORE_TOKEN_TEXT;
        return behind_quotes(at + 2, at[2], /* escapes = */ false);
    }
    if (!is_prefix(at, len))
        return at + len;
    *type = CORE_TOKEN_TEXT;
    return behind_quotes(at + 1, '\'', /* escapes = */ *at == 'e' || *at == 'E');
}

struct core_token core_token_next(const char **at)
{
    const char *start = behind_blanks(*at);
    struct core_token token = { .text = start };
    size_t delimiter;

    if (*start == '\0') {
        *at = start;
        return token;
    }
    delimiter = *start == '$' ? delimiter_len(start) : 0;
    if (begins_word(*start)) {
        *at = behind_word(start, &token.type);
    } else if (*start == '\'') {
        token.type = CORE_TOKEN_TEXT;
        *at = behind_quotes(start, '\'', /* escapes = */ false);
    } else if (*start == '"') {
        token.type = CORE_TOKEN_NAME;
        *at = behind_quotes(start, '"', /* escapes = */ false);
    } else if (delimiter > 0) {
        token.type = CORE_TOKEN_TEXT;
        *at = behind_dollars(start, delimiter);
    } else if (*start == '$' && isdigit((unsigned char)start[1])) {
        token.type = CORE_TOKEN_PARAMETER;
        *at = behind_number(start + 1);
    } else {
        token.type = CORE_TOKEN_SYMBOL;
        *at = isdigit((unsigned char)*start) ? behind_number(start) : start + 1;
    }
    token.len = (size_t)(*at - start);
    return token;
}

bool core_token_is(const struct core_token *token, const char *word)
{
    return token->type == CORE_TOKEN_WORD && strlen(word) == token->len &&
           strncasecmp(token->text, word, token->len) == 0;
}

static bool is_one_of(const struct core_token *token, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (core_token_is(token, words[i]))
            return true;
    return false;
}

static bool is_symbol(const struct core_token *token, char symbol)
{
    return token->type == CORE_TOKEN_SYMBOL && token->text[0] == symbol;
}

/* ---- statements --------------------------------------------------------------------------- */

bool core_statement_next(const char **at, const char **start, size_t *len)
{
    struct core_token token;

    do
        token = core_token_next(at);
    while (is_symbol(&token, ';'));
    *start = token.text;
    *len = 0;
    while (token.type != CORE_TOKEN_END && !is_symbol(&token, ';')) {
        *len = (size_t)(*at - *start);
        token = core_token_next(at);
    }
    return *len > 0;
}

size_t core_statement_parameters(const char *sql)
{
    struct core_token token;
    size_t highest = 0;

    while ((token = core_token_next(&sql)).type != CORE_TOKEN_END) {
        size_t number = 0;

        if (token.type != CORE_TOKEN_PARAMETER)
            continue;
        for (size_t i = 1; i < token.len && number < SIZE_MAX / 100; i++)
            number = number * 10 + (size_t)(token.text[i] - '0');
        if (number > highest)
            highest = number;
    }
    return highest;
}

/* The first word, behind opening brackets. */
static struct core_token first_word(const char **at)
{
    struct core_token token;

    do
        token = core_token_next(at);
    while (is_symbol(&token, '('));
    return token;
}

bool core_statement_is_read(const char *sql)
{
    static const char *const readers[] = { "select", "values", "table", "with", "explain" };
    /* INTO makes a table, FOR locks rows; the others change something below WITH or EXPLAIN. */
    static const char *const writers[] = { "insert", "update",  "delete", "merge",
                                           "into",   "analyze", "create", "refresh" };
    struct core_token token = first_word(&sql);
    bool behind_for = false;

    if (!is_one_of(&token, readers, RC_ARRAY_LEN(readers)))
        return false;
    while ((token = core_token_next(&sql)).type != CORE_TOKEN_END) {
        if (is_one_of(&token, writers, RC_ARRAY_LEN(writers)))
            return false;
        if (behind_for && (core_token_is(&token, "share") || core_token_is(&token, "no") ||
                           core_token_is(&token, "key")))
            return false;
        behind_for = core_token_is(&token, "for");
    }
    return true;
}

/* ---- walls -------------------------------------------------------------------------------- */

/* "run_core..." in any case and quoting. */
static bool is_ours(const struct core_token *token)
{
    static const char ours[] = "run_core";
    size_t quote = token->type == CORE_TOKEN_NAME ? 1 : 0;

    if (token->type != CORE_TOKEN_WORD && token->type != CORE_TOKEN_NAME)
        return false;
    if (token->type == CORE_TOKEN_NAME && token->text[0] != '"')
        return true; /* U&"..." may be any name */
    return token->len >= quote + strlen(ours) &&
           strncasecmp(token->text + quote, ours, strlen(ours)) == 0;
}

enum rc_code core_statement_check(const char *sql, struct rc_error *err)
{
    static const char *const allowed[] = { "select",  "values", "table",   "with",  "explain",
                                           "insert",  "update", "delete",  "merge", "create",
                                           "alter",   "drop",   "comment", "lock",  "truncate",
                                           "analyze", "reindex" };
    /* What PostgreSQL has beside those; other words are mistakes in every database. */
    static const char *const known[] = {
        "abort",   "attach",  "begin",  "call",     "checkpoint", "close",
        "cluster", "commit",  "copy",   "declare",  "discard",    "do",
        "end",     "execute", "fetch",  "grant",    "import",     "listen",
        "load",    "move",    "notify", "prepare",  "reassign",   "refresh",
        "release", "reset",   "revoke", "rollback", "savepoint",  "security",
        "set",     "show",    "start",  "unlisten", "vacuum",     "deallocate"
    };
    static const char *const beyond[] = { "schema",   "database",   "role",   "user",
                                          "group",    "system",     "server", "extension",
                                          "language", "tablespace", "owned" };
    const char *at = sql;
    struct core_token first = first_word(&at), token = first;
    bool changes_schema = core_token_is(&first, "create") || core_token_is(&first, "alter") ||
                          core_token_is(&first, "drop");

    if (first.type != CORE_TOKEN_END && !is_one_of(&first, allowed, RC_ARRAY_LEN(allowed)))
        return rc_fail(err, is_one_of(&first, known, RC_ARRAY_LEN(known)) ? RC_DENIED : RC_INVALID,
                       "a plugin's statements may not begin with '%.*s'; they read and change its "
                       "own tables (for transactions use rc_db_begin)",
                       (int)(first.len < 40 ? first.len : 40), first.text);
    for (int i = 0; token.type != CORE_TOKEN_END; i++, token = core_token_next(&at))
        if (is_ours(&token) ||
            (i == 1 && changes_schema && is_one_of(&token, beyond, RC_ARRAY_LEN(beyond))))
            return rc_fail(err, RC_DENIED,
                           "a plugin's statements may only use the tables of its own schema, not "
                           "'%.*s'",
                           (int)(token.len < 80 ? token.len : 80), token.text);
    return RC_OK;
}
