/*
 * Statements looked at in the words of Presto's grammar: where the only one ends, whether it reads,
 * and its parameters, which become literals, as neither server takes values apart from the text in
 * a way that holds for all statements. The server has the last word on what a statement means.
 */
#include <sql/presto.h>

#include <base/utf8.h>

#include <run-core/str.h>

#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <strings.h>

/* What a table of the servers may declare; a literal has a type of its length. */
enum { VARCHAR_LIMIT = 65535 };

enum token_type { END, WORD, QUOTED, PARAMETER, SYMBOL, UNFINISHED };

struct token {
    enum token_type type;
    const char *text;
    size_t len;
};

/* ---- words ---------------------------------------------------------------------------------- */

static bool in_word(char c)
{
    return isalnum((unsigned char)c) || c == '_' || (unsigned char)c >= 0x80;
}

/* Comments do not nest. NULL: one has no end. */
static const char *behind_blanks(const char *at)
{
    for (;;) {
        if (isspace((unsigned char)*at)) {
            at++;
        } else if (at[0] == '-' && at[1] == '-') {
            at += strcspn(at, "\r\n");
        } else if (at[0] == '/' && at[1] == '*') {
            at = strstr(at + 2, "*/");
            if (!at)
                return NULL;
            at += 2;
        } else {
            return at;
        }
    }
}

/* A doubled quote stands for itself, a backslash for nothing else. NULL: they have no end. */
static const char *behind_quotes(const char *at)
{
    char quote = *at++;

    for (; (at = strchr(at, quote)) != NULL; at += 2)
        if (at[1] != quote)
            return at + 1;
    return NULL;
}

static const char *behind_word(const char *at)
{
    while (in_word(*at) || *at == '$')
        at++;
    return at;
}

/* The next token at *at, which moves behind it. */
static struct token next_token(const char **at)
{
    const char *start = behind_blanks(*at), *end;
    struct token token = { .type = UNFINISHED, .text = *at };

    if (!start)
        return token;
    token.text = start;
    if (*start == '\0') {
        token.type = END;
        *at = start;
        return token;
    }
    if (*start == '\'' || *start == '"' || *start == '`') {
        token.type = QUOTED;
        end = behind_quotes(start);
        if (!end) {
            token.type = UNFINISHED;
            return token;
        }
    } else if (in_word(*start)) {
        token.type = WORD;
        end = behind_word(start);
    } else if (*start == '$' && isdigit((unsigned char)start[1])) {
        token.type = PARAMETER;
        for (end = start + 1; isdigit((unsigned char)*end);)
            end++;
    } else {
        token.type = SYMBOL;
        end = start + 1;
    }
    token.len = (size_t)(end - start);
    *at = end;
    return token;
}

static bool is_word(const struct token *token, const char *word)
{
    return token->type == WORD && strlen(word) == token->len &&
           strncasecmp(token->text, word, token->len) == 0;
}

static bool is_symbol(const struct token *token, char symbol)
{
    return token->type == SYMBOL && token->text[0] == symbol;
}

/* ---- statements ----------------------------------------------------------------------------- */

/* The place of the only statement in the text, without semicolons and comments around it. */
static enum rc_code find_statement(const char *text, const char **start, size_t *len,
                                   struct rc_error *err)
{
    struct token token;
    bool ended = false;

    *start = NULL;
    *len = 0;
    while ((token = next_token(&text)).type != END) {
        if (token.type == UNFINISHED)
            return rc_fail(err, RC_INVALID,
                           "a comment, a text or a name has no end in the statement: %.40s",
                           token.text);
        if (is_symbol(&token, ';')) {
            ended = *start != NULL;
            continue;
        }
        if (ended)
            return rc_fail(err, RC_INVALID,
                           "there is more than one statement; the second begins at: %.40s",
                           token.text);
        if (!*start)
            *start = token.text;
        *len = (size_t)(text - *start);
    }
    return *start ? RC_OK : rc_fail(err, RC_INVALID, "there is no statement in the text");
}

static bool is_any_word(const struct token *token, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (is_word(token, words[i]))
            return true;
    return false;
}

enum core_presto_kind core_presto_kind_of(const char *statement)
{
    static const char *const changes[] = { "alter", "create", "drop", "msck", "show", "describe" };
    static const char *const queries[] = { "select", "with", "values", "table" };
    struct token before = next_token(&statement), token;

    if (!is_any_word(&before, changes, RC_ARRAY_LEN(changes)))
        return CORE_PRESTO_DML;
    if (!is_word(&before, "create"))
        return CORE_PRESTO_DDL;
    for (;; before = token) {
        token = next_token(&statement);
        if (token.type == END || token.type == UNFINISHED || is_word(&token, "view"))
            return CORE_PRESTO_DDL;
        if (is_word(&before, "as") &&
            (is_symbol(&token, '(') || is_any_word(&token, queries, RC_ARRAY_LEN(queries))))
            return CORE_PRESTO_DML;
    }
}

/* A name or a text without its quotes, a text also without a slash at its end. */
static struct token bare(struct token token)
{
    if (token.type != QUOTED)
        return token;
    token.text++;
    token.len -= 2;
    if (token.text[-1] == '\'' && token.len > 0 && token.text[token.len - 1] == '/')
        token.len--;
    return token;
}

static bool is_same_token(const struct token *a, const struct token *b)
{
    bool is_text = a->text[0] == '\'', is_name = !is_text && a->type != SYMBOL;
    struct token one = bare(*a), another = bare(*b);

    /* Quotes within quotes are not looked into. */
    if (is_text != (b->text[0] == '\'') || (a->type == SYMBOL) != (b->type == SYMBOL) ||
        one.len != another.len || memchr(one.text, '"', one.len) || memchr(one.text, '`', one.len))
        return false;
    return is_name ? strncasecmp(one.text, another.text, one.len) == 0
                   : memcmp(one.text, another.text, one.len) == 0;
}

bool core_presto_is_same(const char *a, const char *b)
{
    struct token one, another;

    do {
        one = next_token(&a);
        another = next_token(&b);
        if (one.type == UNFINISHED || another.type == UNFINISHED ||
            (one.type == END) != (another.type == END) || !is_same_token(&one, &another))
            return false;
    } while (one.type != END);
    return true;
}

enum rc_code core_presto_reads(const char *statement, bool *reads, struct rc_error *err)
{
    static const char *const readers[] = { "select", "with", "values",   "table",
                                           "show",   "desc", "describe", "explain" };
    const char *at;
    struct token token;
    size_t len;

    if (find_statement(statement, &at, &len, err))
        return err->code;
    do
        token = next_token(&at);
    while (is_symbol(&token, '('));
    *reads = is_any_word(&token, readers, RC_ARRAY_LEN(readers));
    /* That alone runs the statement which it explains. */
    if (*reads && is_word(&token, "explain")) {
        token = next_token(&at);
        *reads = !is_word(&token, "analyze");
    }
    return RC_OK;
}

/* ---- literals ------------------------------------------------------------------------------- */

/* A statement is a text that ends with a NUL, so that one inside of it has to be written. */
static void add_escaped_text(struct rc_buf *out, const struct rc_value *value)
{
    rc_buf_adds(out, "U&'");
    for (size_t i = 0; i < value->len; i++) {
        char c = value->text[i];

        if (c == '\0')
            rc_buf_adds(out, "\\0000");
        else if (c == '\'' || c == '\\')
            rc_buf_addf(out, "%c%c", c, c);
        else
            rc_buf_addc(out, c);
    }
    rc_buf_addc(out, '\'');
}

/*
 * A literal's type is varchar(N) of its length, which a table takes as a column only within limits.
 */
static void add_text(struct rc_buf *out, const struct rc_value *value)
{
    bool cast = value->len == 0 || value->len > VARCHAR_LIMIT;

    if (cast)
        rc_buf_adds(out, "CAST(");
    if (memchr(value->text, '\0', value->len))
        add_escaped_text(out, value);
    else
        rc_buf_add_literal(out, value->text);
    if (cast)
        rc_buf_adds(out, " AS varchar)");
}

static void add_bytes(struct rc_buf *out, const struct rc_value *value)
{
    static const char digits[] = "0123456789ABCDEF";

    rc_buf_adds(out, "X'");
    for (size_t i = 0; i < value->len; i++) {
        unsigned char byte = (unsigned char)value->text[i];

        rc_buf_addc(out, digits[byte >> 4]);
        rc_buf_addc(out, digits[byte & 15]);
    }
    rc_buf_addc(out, '\'');
}

/*
 * Numbers are literals with the name of their type: they keep it, whatever their size is, and a
 * minus before the parameter does not make a comment of it.
 */
static void add_number(struct rc_buf *out, double number)
{
    if (isnan(number))
        rc_buf_adds(out, "DOUBLE 'NaN'");
    else if (isinf(number))
        rc_buf_addf(out, "DOUBLE '%sInfinity'", number < 0 ? "-" : "");
    else
        rc_buf_addf(out, "DOUBLE '%.17g'", number);
}

/* LIMIT, OFFSET and FETCH FIRST take digits, and nothing with a type. */
static void add_integer(struct rc_buf *out, int64_t integer, bool bare)
{
    rc_buf_addf(out, bare && integer >= 0 ? "%" PRId64 : "BIGINT '%" PRId64 "'", integer);
}

static void add_value(struct rc_buf *out, const struct rc_value *value, bool bare)
{
    switch (value->type) {
    case RC_VALUE_NULL:
        rc_buf_adds(out, "NULL");
        break;
    case RC_VALUE_BOOL:
        rc_buf_adds(out, value->boolean ? "TRUE" : "FALSE");
        break;
    case RC_VALUE_INT:
        add_integer(out, value->integer, bare);
        break;
    case RC_VALUE_FLOAT:
        add_number(out, value->number);
        break;
    case RC_VALUE_TEXT:
        add_text(out, value);
        break;
    case RC_VALUE_BYTES:
        add_bytes(out, value);
        break;
    }
}

/* ---- parameters ----------------------------------------------------------------------------- */

/* Its number, or one that no statement has. */
static size_t parameter_number(const struct token *token)
{
    size_t number = 0;

    for (size_t i = 1; i < token->len && number < SIZE_MAX / 100; i++)
        number = number * 10 + (size_t)(token->text[i] - '0');
    return number;
}

static bool counts_rows(const struct token *token)
{
    return is_word(token, "limit") || is_word(token, "offset") || is_word(token, "first") ||
           is_word(token, "next");
}

/* What a literal may stand beside without becoming a part of it, or of a word. */
static bool parts(char c)
{
    return c == '\0' || (isascii(c) && !isalnum((unsigned char)c) && !strchr("_'\"`&$@:.", c));
}

static enum rc_code check_params(const char *start, size_t len, const struct rc_value *params,
                                 size_t count, struct rc_error *err)
{
    const char *at = start;
    size_t highest = 0;

    while (at < start + len) {
        struct token token = next_token(&at);
        size_t number = token.type == PARAMETER ? parameter_number(&token) : 1;

        if (number == 0)
            return rc_fail(err, RC_INVALID, "the statement has a parameter $0; the first is $1");
        if (token.type == PARAMETER && number > highest)
            highest = number;
    }
    if (highest != count)
        return rc_fail(err, RC_INVALID, "the statement has %zu parameters, %zu were given", highest,
                       count);
    for (size_t i = 0; i < count; i++)
        if (params[i].type == RC_VALUE_TEXT && !core_utf8_are_valid(params[i].text, params[i].len))
            return rc_fail(err, RC_INVALID,
                           "parameter $%zu cannot be bound; a text has to be UTF-8", i + 1);
    return RC_OK;
}

enum rc_code core_presto_bind(const char *statement, const struct rc_value *params,
                              size_t param_count, struct rc_buf *out, struct rc_error *err)
{
    const char *start, *at, *copied;
    struct token before = { .type = END };
    size_t len;

    if (find_statement(statement, &start, &len, err) ||
        check_params(start, len, params, param_count, err))
        return err->code;
    for (at = copied = start; at < start + len;) {
        struct token token = next_token(&at);

        if (token.type == PARAMETER) {
            rc_buf_add(out, copied, (size_t)(token.text - copied));
            if (token.text > start && !parts(token.text[-1]))
                rc_buf_addc(out, ' ');
            add_value(out, &params[parameter_number(&token) - 1], counts_rows(&before));
            copied = at;
            if (at < start + len && !parts(*at))
                rc_buf_addc(out, ' ');
        }
        before = token;
    }
    rc_buf_add(out, copied, (size_t)(start + len - copied));
    return rc_buf_check(out, err);
}
