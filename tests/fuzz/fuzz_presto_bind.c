/*
 * Statements with parameters: the first line of the data is the statement, the rest a value. A
 * bound statement is one statement again, which reads if it did before, and a value never becomes
 * more than a literal.
 */
#include <sql/presto.h>

#include <run-core/str.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Between its quotes stands the value with quotes doubled, and nothing else. */
static void check_text(const struct rc_value *value)
{
    RC_BUF_AUTO(bound, (size_t)8 << 20);
    struct rc_error err;
    bool reads = false;
    size_t quotes = 0, wanted = 2;

    if (core_presto_bind("SELECT $1", value, 1, &bound, &err))
        return;
    if (core_presto_reads(bound.data, &reads, &err) || !reads)
        abort();
    for (size_t i = 0; i < value->len; i++)
        wanted += value->text[i] == '\'' ? 2 : 0;
    for (size_t i = 0; i < bound.len; i++)
        quotes += bound.data[i] == '\'';
    if (quotes != wanted)
        abort();
}

static void check_statement(const char *statement, const struct rc_value *value)
{
    RC_BUF_AUTO(bound, (size_t)8 << 20);
    RC_BUF_AUTO(again, (size_t)8 << 20);
    const struct rc_value params[] = { *value, rc_value_int(-1), rc_value_float(0.5) };
    struct rc_error err;
    bool before = false, after = false;

    for (size_t count = 0; count <= RC_ARRAY_LEN(params); count++) {
        rc_buf_reset(&bound);
        if (core_presto_bind(statement, params, count, &bound, &err))
            continue;
        if (core_presto_reads(statement, &before, &err) ||
            core_presto_reads(bound.data, &after, &err) || before != after)
            abort();
        /* No parameter is left, and there is nothing around the statement. */
        if (core_presto_bind(bound.data, NULL, 0, &again, &err) ||
            !rc_str_eq(bound.data, again.data))
            abort();
        return;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *newline = size ? memchr(data, '\n', size) : NULL;
    size_t len = newline ? (size_t)(newline - data) : size;
    RC_STR_AUTO statement = rc_strndup((const char *)data, len);
    size_t rest = newline ? size - len - 1 : 0;
    RC_STR_AUTO text = rc_malloc(rest + 1);
    struct rc_value value = { .type = RC_VALUE_TEXT, .text = text, .len = rest };

    if (rest)
        memcpy(text, newline + 1, rest);
    text[rest] = '\0';
    check_statement(statement, &value);
    check_text(&value);
    value.type = RC_VALUE_BYTES;
    check_statement(statement, &value);
    return 0;
}
