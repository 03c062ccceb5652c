/*
 * SQL text of any kind: the walk through it ends, and every statement lies within it.
 */
#include <db/statement.h>

#include <run-core/str.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = rc_strndup((const char *)data, size);
    size_t text_len = strlen(text);
    const char *at = text, *start, *before = text;
    struct rc_error err;
    size_t len;

    while (core_statement_next(&at, &start, &len)) {
        if (start < before || at > text + text_len || start + len > at)
            abort();
        RC_STR_AUTO statement = rc_strndup(start, len);
        bool reads = core_statement_is_read(statement);

        /* What a plugin may not use at all is not something that only reads, but for names. */
        if (core_statement_check(statement, &err) == RC_INVALID && reads)
            abort();
        (void)core_statement_parameters(statement);
        before = at;
    }
    if (at != text + text_len)
        abort();
    free(text);
    return 0;
}
