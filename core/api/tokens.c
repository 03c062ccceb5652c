/*
 * Reads tokens and compares what clients present with them. The hash and the comparison are
 * digest.h's, whose library is loaded only where there is a tokens_file.
 */
#include <api/tokens.h>

#include <os/digest.h>
#include <os/file.h>

#include <run-core/buf.h>
#include <run-core/str.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { FILE_BYTES = 1024 * 1024, MOST_TOKENS = 1000, RANDOM_BYTES = 24, NAME_BYTES = 64 };

struct token {
    char name[NAME_BYTES];
    enum core_scope scope;
    unsigned char hash[CORE_DIGEST_BYTES];
};

struct core_tokens {
    struct token *items;
    size_t count;
};

/* ---- reading --------------------------------------------------------------------------------- */

static bool parse_hash(const char *hex, size_t len, unsigned char hash[CORE_DIGEST_BYTES])
{
    if (len != CORE_TOKEN_HASH_HEX)
        return false;
    for (size_t i = 0; i < CORE_DIGEST_BYTES; i++) {
        int high = core_hex_value(hex[2 * i]), low = core_hex_value(hex[2 * i + 1]);

        if (high < 0 || low < 0)
            return false;
        hash[i] = (unsigned char)(high << 4 | low);
    }
    return true;
}

bool core_token_name_ok(const char *name, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)name[i] <= ' ' || (unsigned char)name[i] >= 0x7f)
            return false;
    return len > 0 && len < NAME_BYTES && name[0] != '#';
}

/* The next word of a line, which ends at 'end'; the length 0 if there is none. */
static const char *next_word(const char **at, const char *end, size_t *len)
{
    const char *word;

    while (*at < end && (**at == ' ' || **at == '\t' || **at == '\r'))
        (*at)++;
    word = *at;
    while (*at < end && **at != ' ' && **at != '\t' && **at != '\r')
        (*at)++;
    *len = (size_t)(*at - word);
    return word;
}

/* What the words of a line have wrong, or NULL: then 'out' is filled. A word may be a token that
 * somebody put there by mistake, so none is shown but the name and the scope. */
static const char *parse_line(const char *line, const char *end, struct token *out)
{
    size_t name_len, scope_len, hash_len, rest;
    const char *name = next_word(&line, end, &name_len);
    const char *scope = next_word(&line, end, &scope_len);
    const char *hash = next_word(&line, end, &hash_len);

    (void)next_word(&line, end, &rest);
    if (hash_len == 0 || rest != 0)
        return "a line is NAME SCOPE SHA256HEX, with blanks between; 'run-core token NAME SCOPE' "
               "makes one";
    if (!core_token_name_ok(name, name_len))
        return "the name has to be of at most 63 visible ASCII characters";
    if (!core_scope_parse(scope, scope_len, &out->scope))
        return "the scope has to be read, run or admin";
    if (!parse_hash(hash, hash_len, out->hash))
        return "the third word has to be the token's SHA-256 in 64 hexadecimal digits";
    memcpy(out->name, name, name_len);
    out->name[name_len] = '\0';
    return NULL;
}

static const char *add(struct core_tokens *tokens, const struct token *token)
{
    for (size_t i = 0; i < tokens->count; i++) {
        if (strcmp(tokens->items[i].name, token->name) == 0)
            return "another token has that name";
        if (memcmp(tokens->items[i].hash, token->hash, sizeof(token->hash)) == 0)
            return "another line has the same token";
    }
    if (tokens->count == MOST_TOKENS)
        return "there are more than 1000 tokens";
    tokens->items = rc_realloc(tokens->items, (tokens->count + 1) * sizeof(*tokens->items));
    tokens->items[tokens->count++] = *token;
    return NULL;
}

static void parse(struct core_tokens *tokens, const char *path, const struct rc_buf *text,
                  struct core_problems *problems)
{
    struct core_place place = { .file = path, .line = 1, .column = 1 };
    const char *end = text->data + text->len;

    for (const char *line = text->data; line < end; place.line++) {
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        const char *line_end = stop ? stop : end, *at = line;
        struct token token = { .scope = CORE_SCOPE_NONE };
        const char *wrong = NULL;
        size_t len;
        const char *first = next_word(&at, line_end, &len);

        if (len > 0 && first[0] != '#') {
            wrong = parse_line(line, line_end, &token);
            if (!wrong)
                wrong = add(tokens, &token);
        }
        if (wrong)
            core_problem_add(problems, &place, "%s", wrong);
        line = line_end + 1;
    }
}

struct core_tokens *core_tokens_read(const char *path, struct core_problems *problems)
{
    RC_BUF_AUTO(text, FILE_BYTES);
    struct core_tokens *tokens = rc_calloc(1, sizeof(*tokens));
    struct rc_error err = RC_ERROR_INIT;
    size_t before = problems->count;

    if (core_file_check_trusted(path, &err) || core_file_read(path, &text, &err) ||
        core_digest_load(&err))
        core_problem_add(problems, &(struct core_place){ .file = path },
                         "the tokens cannot be read: %s%s%s", err.context,
                         err.context[0] ? ": " : "", err.cause);
    else
        parse(tokens, path, &text, problems);
    if (problems->count == before)
        return tokens;
    core_tokens_free(tokens);
    return NULL;
}

void core_tokens_free(struct core_tokens *tokens)
{
    if (tokens)
        free(tokens->items);
    free(tokens);
}

size_t core_tokens_count(const struct core_tokens *tokens)
{
    return tokens->count;
}

/* ---- using ----------------------------------------------------------------------------------- */

enum core_scope core_tokens_find(const struct core_tokens *tokens, const char *token,
                                 const char **name)
{
    unsigned char hash[CORE_DIGEST_BYTES];
    enum core_scope scope = CORE_SCOPE_NONE;

    *name = NULL;
    core_digest(CORE_SHA256, token, strlen(token), hash);
    /* All of them, so that the time says nothing of which is near. */
    for (size_t i = 0; i < tokens->count; i++)
        if (core_digest_equal(hash, tokens->items[i].hash, sizeof(hash))) {
            scope = tokens->items[i].scope;
            *name = tokens->items[i].name;
        }
    return scope;
}

static void write_hex(char *out, const unsigned char *bytes, size_t len)
{
    RC_BUF_AUTO(hex, 2 * len);

    core_add_hex(&hex, bytes, len);
    memcpy(out, hex.data, hex.len + 1);
}

enum rc_code core_token_make(char token[CORE_TOKEN_TEXT], char hash_hex[CORE_TOKEN_HASH_HEX + 1],
                             struct rc_error *err)
{
    unsigned char random[RANDOM_BYTES], hash[CORE_DIGEST_BYTES];

    if (core_digest_load(err))
        return err->code;
    if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
        return rc_fail_errno(err, errno, "get random bytes");
    write_hex(token, random, sizeof(random));
    core_digest(CORE_SHA256, token, strlen(token), hash);
    write_hex(hash_hex, hash, sizeof(hash));
    return RC_OK;
}
