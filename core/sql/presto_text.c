/*
 * Expressions and types in the SQL that Trino and Athena share, with the meaning that <run-core/
 * host.h> gives them, which is DuckDB's: what a text is as a number or a date, and what stands at a
 * place in a JSON text. Where their functions do not say the same, the text is first brought into
 * a form that both take alike. Where that cannot be, presto.h tells the difference.
 */
#include <sql/presto.h>

#include <run-core/str.h>

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Regular expressions. Blanks are those of ASCII. */
#define BLANKS "[\\x09-\\x0d ]*"
#define NUMBER(exponent)                                                                           \
    "'^" BLANKS "[+-]?([0-9]+([.][0-9]*)?|[.][0-9]+)([eE][+-]?" exponent ")?" BLANKS "$'"
#define DATE BLANKS "([0-9]+)([-/])([0-9]{1,2})\\2([0-9]{1,2})"
#define TIME "([0-9]{1,2}:[0-9]{1,2}(:[0-9]{1,2}([.][0-9]{1,6})?)?)"
#define ZONE "( *(Z|UTC)|[+-][0-9]{2}(:?[0-9]{2})?)?"

enum { LONGEST_DECIMAL = 1000 }; /* that is read as one, in characters */

/* ---- types ---------------------------------------------------------------------------------- */

/* "decimal(P)" or "decimal(P,S)", of one or two digits each. */
static bool add_decimal(struct rc_buf *out, const char *type)
{
    char digits[2][3] = { "", "0" };
    const char *c = type + strlen("decimal(");

    for (size_t i = 0; i < RC_ARRAY_LEN(digits); i++) {
        size_t len = strspn(c, "0123456789");

        if (len == 0 || len > 2)
            return false;
        memcpy(digits[i], c, len);
        digits[i][len] = '\0';
        c += len;
        if (*c != ',' || i > 0)
            break;
        c++;
        c += strspn(c, " ");
    }
    if (strcmp(c, ")") != 0)
        return false;
    rc_buf_addf(out, "decimal(%s,%s)", digits[0], digits[1]);
    return true;
}

bool core_presto_add_type(const struct core_presto_dialect *dialect, struct rc_buf *out,
                          const char *type)
{
    static const char *const same[] = {
        "varchar", "bigint", "integer", "double", "boolean", "date"
    };

    for (size_t i = 0; i < RC_ARRAY_LEN(same); i++) {
        if (strcasecmp(type, same[i]) != 0)
            continue;
        rc_buf_adds(out, same[i]);
        return true;
    }
    if (strcasecmp(type, "timestamp") == 0) {
        rc_buf_adds(out, dialect->timestamp);
        return true;
    }
    return strncasecmp(type, "decimal(", strlen("decimal(")) == 0 && add_decimal(out, type);
}

enum rc_value_type core_presto_value_type(const char *type)
{
    static const struct {
        const char *name;
        enum rc_value_type type;
    } known[] = {
        { "boolean", RC_VALUE_BOOL },    { "tinyint", RC_VALUE_INT },  { "smallint", RC_VALUE_INT },
        { "integer", RC_VALUE_INT },     { "int", RC_VALUE_INT },      { "bigint", RC_VALUE_INT },
        { "real", RC_VALUE_FLOAT },      { "float", RC_VALUE_FLOAT },  { "double", RC_VALUE_FLOAT },
        { "varbinary", RC_VALUE_BYTES }, { "binary", RC_VALUE_BYTES },
    };

    for (size_t i = 0; i < RC_ARRAY_LEN(known); i++)
        if (strcasecmp(type, known[i].name) == 0)
            return known[i].type;
    return RC_VALUE_TEXT;
}

bool core_presto_is_timestamp(const char *type)
{
    return strcasecmp(type, "timestamp") == 0 ||
           (strncasecmp(type, "timestamp(", strlen("timestamp(")) == 0 && rc_str_ends(type, ")"));
}

size_t core_presto_timestamp_len(const char *text, size_t len)
{
    if (!memchr(text, '.', len))
        return len;
    while (text[len - 1] == '0')
        len--;
    return text[len - 1] == '.' ? len - 1 : len;
}

/* ---- casts ---------------------------------------------------------------------------------- */

/*
 * Whole numbers are read as decimals, which round as DuckDB does, and know exponents. Of a decimal
 * the server writes out all digits first, which takes it longer than a run lasts where an exponent
 * asks for millions.
 */
static void add_cast_to_number(struct rc_buf *out, const char *text, const char *type)
{
    bool whole = strcmp(type, "bigint") == 0 || strcmp(type, "integer") == 0;
    bool is_double = strcmp(type, "double") == 0;

    rc_buf_adds(out, "CASE WHEN ");
    if (!is_double)
        rc_buf_addf(out, "length(%s) <= %d AND ", text, LONGEST_DECIMAL);
    rc_buf_addf(out, "regexp_like(%s, %s) THEN TRY_CAST(", text,
                is_double ? NUMBER("[0-9]+") : NUMBER("0*[0-9]{1,4}"));
    if (whole)
        rc_buf_addf(out, "TRY_CAST(trim(%s) AS decimal(38,18))", text);
    else
        rc_buf_addf(out, "trim(%s)", text);
    rc_buf_addf(out, " AS %s)", type);
    if (is_double) {
        static const char *const words[][2] = { { "[+-]?nan", "nan()" },
                                                { "[+]?inf(inity)?", "infinity()" },
                                                { "-inf(inity)?", "-infinity()" } };

        for (size_t i = 0; i < RC_ARRAY_LEN(words); i++)
            rc_buf_addf(out, " WHEN regexp_like(%s, '(?i)^" BLANKS "%s" BLANKS "$') THEN %s", text,
                        words[i][0], words[i][1]);
    }
    rc_buf_adds(out, " END");
}

static void add_cast_to_boolean(struct rc_buf *out, const char *text)
{
    rc_buf_addf(out,
                "CASE WHEN lower(%s) IN ('true', 't', 'yes', 'y', '1') THEN TRUE "
                "WHEN lower(%s) IN ('false', 'f', 'no', 'n', '0') THEN FALSE END",
                text, text);
}

/* Of a date the time of day may follow, and is dropped. */
static void add_cast_to_date(struct rc_buf *out, const char *text)
{
    rc_buf_addf(
        out, "TRY_CAST(regexp_replace(%s, '(?s)^" DATE "($|[^0-9].*)', '$1-$3-$4') AS date)", text);
}

static void add_cast_to_timestamp(struct rc_buf *out, const char *text, const char *type)
{
    static const char pattern[] = "'^" DATE "((T| +)" TIME "[0-9]*" ZONE BLANKS ")?$'";

    rc_buf_addf(out,
                "CASE WHEN regexp_like(%s, %s) THEN "
                "TRY_CAST(regexp_replace(%s, %s, '$1-$3-$4 $7') AS %s) END",
                text, pattern, text, pattern, type);
}

void core_presto_add_try_cast(struct rc_sql *sql, struct rc_buf *out, const char *expression,
                              const char *type)
{
    const struct core_presto *session = (const struct core_presto *)sql;
    RC_STR_AUTO text = rc_strf("CAST(%s AS varchar)", expression);
    RC_BUF_AUTO(name, 64);

    /* A type that is none would be a way into the statement. */
    if (!core_presto_add_type(session->dialect, &name, type)) {
        rc_buf_adds(out, "fail(concat('not a column type: ', ");
        rc_buf_add_literal(out, type);
        rc_buf_adds(out, "))");
        return;
    }
    if (strcasecmp(type, "timestamp") == 0)
        add_cast_to_timestamp(out, text, name.data);
    else if (strcmp(name.data, "varchar") == 0)
        rc_buf_adds(out, text);
    else if (strcmp(name.data, "boolean") == 0)
        add_cast_to_boolean(out, text);
    else if (strcmp(name.data, "date") == 0)
        add_cast_to_date(out, text);
    else
        add_cast_to_number(out, text, name.data);
}

void core_presto_add_hex(struct rc_sql *sql, struct rc_buf *out, const char *expression)
{
    (void)sql;
    rc_buf_addf(out, "lower(to_hex(to_utf8(%s)))", expression);
}

/* sum() takes an order, too, and does not keep to it. */
void core_presto_add_sum(struct rc_sql *sql, struct rc_buf *out, const char *expression,
                         const char *order)
{
    (void)sql;
    rc_buf_addf(out,
                "reduce(array_agg(%s ORDER BY %s) FILTER (WHERE %s IS NOT NULL), DOUBLE '0', "
                "(s, x) -> s + x, s -> s)",
                expression, order, expression);
}

/* ---- JSON ----------------------------------------------------------------------------------- */

/* A key as the servers' paths have it: ["key"], which takes any. */
static void add_key(struct rc_buf *out, const char *key, size_t len)
{
    rc_buf_adds(out, "[\"");
    for (size_t i = 0; i < len; i++) {
        if (key[i] == '"' || key[i] == '\\')
            rc_buf_addc(out, '\\');
        rc_buf_addc(out, key[i]);
    }
    rc_buf_adds(out, "\"]");
}

/* A step: .key, ."key" or [0]. NULL: it is none that is known. */
static const char *add_step(struct rc_buf *out, const char *at)
{
    bool index = *at++ == '[', quoted = !index && *at == '"';
    size_t len;

    at += quoted;
    len = index ? strspn(at, "0123456789") : strcspn(at, quoted ? "\"" : ".[\"*");
    if ((len == 0 && !quoted) || (index && at[len] != ']') || (quoted && at[len] != '"'))
        return NULL;
    if (index)
        rc_buf_addf(out, "[%.*s]", (int)len, at);
    else
        add_key(out, at, len);
    return at + len + (index || quoted);
}

/* As a literal. What is not understood goes to the server as it is, which says what is wrong. */
static void add_path(struct rc_buf *out, const char *path)
{
    RC_BUF_AUTO(steps, 64 * 1024);
    const char *at = path;

    if (*at == '$')
        rc_buf_addc(&steps, *at++);
    while (at && (*at == '.' || *at == '['))
        at = add_step(&steps, at);
    rc_buf_add_literal(out, at && *at == '\0' && at > path ? steps.data : path);
}

/*
 * Whether a text is one JSON value; NULL where it is broken. As an array's element it is the only
 * one, and with one more it is one of two: a text that ends the array itself counts the same both
 * times. json_parse() falls over deep texts in a way that TRY() does not catch.
 */
static void add_is_value(struct rc_buf *out, const char *json)
{
    rc_buf_addf(out,
                "(json_array_length(concat('[', %s, ']')) = 1 AND "
                "json_array_length(concat('[', %s, ',0]')) = 2)",
                json, json);
}

void core_presto_add_json_valid(struct rc_sql *sql, struct rc_buf *out, const char *json)
{
    (void)sql;
    rc_buf_addf(out, "CASE WHEN %s IS NOT NULL THEN coalesce(", json);
    add_is_value(out, json);
    rc_buf_adds(out, ", FALSE) END");
}

/*
 * json_extract_scalar() gives a number as it is written, json_format() in the shortest way that
 * means the same, as DuckDB has it ("1.5" for 1.50); but that has an exponent from ten millions on,
 * where it is better to cut the zeros from what is written. What is no scalar has only a format. A
 * long text is none of a number that anybody means, and the server would take as long to read it.
 */
void core_presto_add_json_text(struct rc_sql *sql, struct rc_buf *out, const char *json,
                               const char *path)
{
    RC_BUF_AUTO(place, 128 * 1024);

    (void)sql;
    add_path(&place, path);
    RC_STR_AUTO scalar = rc_strf("json_extract_scalar(%s, %s)", json, place.data);
    RC_STR_AUTO format = rc_strf("json_format(json_extract(%s, %s))", json, place.data);

    rc_buf_adds(out, "CASE WHEN ");
    add_is_value(out, json);
    rc_buf_addf(out,
                " THEN CASE WHEN %s IS NULL THEN nullif(%s, 'null') "
                "WHEN length(%s) > %d OR substr(%s, 1, 1) = '\"' THEN %s "
                "WHEN strpos(%s, 'E') > 0 AND strpos(lower(%s), 'e') = 0 "
                "THEN regexp_replace(%s, '([.][0-9]+?)0+$', '$1') ELSE %s END END",
                scalar, format, scalar, LONGEST_DECIMAL, format, scalar, format, scalar, scalar,
                format);
}
