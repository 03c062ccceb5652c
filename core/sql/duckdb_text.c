/*
 * Pieces of SQL in DuckDB's dialect: expressions, types, file names, and where a statement ends.
 */
#include <sql/duckdb_session.h>

#include <run-core/str.h>

#include <ctype.h>
#include <string.h>
#include <strings.h>

void core_duckdb_add_file(struct rc_buf *out, const char *path)
{
    /* Inside brackets a pattern character stands for itself. */
    rc_buf_addc(out, '\'');
    for (; *path; path++) {
        if (*path == '\'')
            rc_buf_adds(out, "''");
        else if (*path == '*' || *path == '?' || *path == '[')
            rc_buf_addf(out, "[%c]", *path);
        else
            rc_buf_addc(out, *path);
    }
    rc_buf_addc(out, '\'');
}

static bool is_decimal(const char *type)
{
    const char *c = type + strlen("decimal(");
    size_t digits = strspn(c, "0123456789");

    if (digits == 0 || digits > 2)
        return false;
    c += digits;
    if (*c == ',') {
        c++;
        c += strspn(c, " ");
        digits = strspn(c, "0123456789");
        if (digits == 0 || digits > 2)
            return false;
        c += digits;
    }
    return strcmp(c, ")") == 0;
}

bool core_duckdb_is_type(const char *type)
{
    static const char *const names[] = { "varchar", "bigint", "integer",  "double",
                                         "boolean", "date",   "timestamp" };

    for (size_t i = 0; i < RC_ARRAY_LEN(names); i++)
        if (strcasecmp(type, names[i]) == 0)
            return true;
    return strncasecmp(type, "decimal(", strlen("decimal(")) == 0 && is_decimal(type);
}

/*
 * TRY turns the error that broken JSON raises into NULL. It costs nothing as long as all
 * documents of a vector are sound; json_valid() before each would parse every one twice.
 */
void core_duckdb_add_json_text(struct rc_sql *sql, struct rc_buf *out, const char *json,
                               const char *path)
{
    (void)sql;
    rc_buf_addf(out, "try(json_extract_string(%s, ", json);
    rc_buf_add_literal(out, path);
    rc_buf_adds(out, "))");
}

void core_duckdb_add_json_valid(struct rc_sql *sql, struct rc_buf *out, const char *json)
{
    (void)sql;
    rc_buf_addf(out, "json_valid(%s)", json);
}

void core_duckdb_add_try_cast(struct rc_sql *sql, struct rc_buf *out, const char *expression,
                              const char *type)
{
    (void)sql;
    /*
     * A type that is none would be a way into the statement; NULL of text makes it an error
     * there.
     */
    if (!core_duckdb_is_type(type)) {
        rc_buf_adds(out, "error('not a column type: ' || ");
        rc_buf_add_literal(out, type);
        rc_buf_addc(out, ')');
        return;
    }
    rc_buf_addf(out, "try_cast(%s as %s)", expression, type);
}

void core_duckdb_add_table(struct rc_sql *sql, struct rc_buf *out, const char *table)
{
    (void)sql;
    rc_buf_add_ident(out, table);
}

void core_duckdb_add_hex(struct rc_sql *sql, struct rc_buf *out, const char *expression)
{
    (void)sql;
    rc_buf_addf(out, "lower(hex(%s))", expression);
}

void core_duckdb_add_sum(struct rc_sql *sql, struct rc_buf *out, const char *expression,
                         const char *order)
{
    (void)sql;
    rc_buf_addf(out, "sum(%s ORDER BY %s)", expression, order);
}

static const char *skip_quoted(const char *c, bool escapes)
{
    char quote = *c++;

    for (; *c; c++) {
        if (escapes && *c == '\\' && c[1])
            c++;
        else if (*c == quote && c[1] == quote)
            c++;
        else if (*c == quote)
            return c + 1;
    }
    return c;
}

static const char *skip_block_comment(const char *c)
{
    int depth = 0;

    do {
        if (c[0] == '/' && c[1] == '*') {
            depth++;
            c += 2;
        } else if (c[0] == '*' && c[1] == '/') {
            depth--;
            c += 2;
        } else {
            c++;
        }
    } while (depth > 0 && *c);
    return c;
}

static bool is_name(char c)
{
    return isalnum((unsigned char)c) || c == '_' || (unsigned char)c >= 0x80;
}

/*
 * $tag$ ... $tag$; what only looks like it, such as a parameter, is passed over as one character.
 */
static const char *skip_dollar_quoted(const char *c)
{
    const char *end = c + 1;

    if (isdigit((unsigned char)*end))
        return c + 1;
    while (is_name(*end))
        end++;
    if (*end != '$')
        return c + 1;

    size_t tag = (size_t)(end + 1 - c);
    for (const char *close = end + 1; *close; close++)
        if (*close == '$' && strncmp(close, c, tag) == 0)
            return close + tag;
    return c + 1;
}

size_t core_duckdb_statement_length(const char *text)
{
    const char *c = text;

    while (*c && *c != ';') {
        if (*c == '\'')
            c = skip_quoted(c, c > text && (c[-1] == 'e' || c[-1] == 'E') &&
                                   (c - 1 == text || !is_name(c[-2])));
        else if (*c == '"')
            c = skip_quoted(c, false);
        else if (c[0] == '-' && c[1] == '-')
            c += strcspn(c, "\n");
        else if (c[0] == '/' && c[1] == '*')
            c = skip_block_comment(c);
        else if (*c == '$' && (c == text || !is_name(c[-1])))
            c = skip_dollar_quoted(c);
        else
            c++;
    }
    return (size_t)(c - text);
}
