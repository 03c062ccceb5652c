/*
 * Writes expressions as the engines of the Presto family take them. Each line of the input says
 * which, in fields between tabs, and is answered by one line:
 *
 *     cast EXPRESSION TYPE    json_text EXPRESSION PATH    json_valid EXPRESSION    hex EXPRESSION
 */
#include <sql/presto.h>

#include <run-core/str.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_LIMIT = 1 << 20 };

static bool add(struct rc_sql *sql, struct rc_buf *out, const char *kind, const char *expression,
                const char *argument)
{
    if (rc_str_eq(kind, "cast"))
        core_presto_add_try_cast(sql, out, expression, argument);
    else if (rc_str_eq(kind, "json_text"))
        core_presto_add_json_text(sql, out, expression, argument);
    else if (rc_str_eq(kind, "json_valid"))
        core_presto_add_json_valid(sql, out, expression);
    else if (rc_str_eq(kind, "hex"))
        core_presto_add_hex(sql, out, expression);
    else
        return false;
    return true;
}

int main(void)
{
    static const struct core_presto_dialect dialect = { .timestamp = "timestamp(6)" };
    static struct core_presto session = { .dialect = &dialect };
    char *line = NULL;
    size_t room = 0;
    bool known = true;

    while (known && getline(&line, &room, stdin) > 0) {
        RC_BUF_AUTO(out, TEXT_LIMIT);
        const char *fields[3] = { line, "", "" };
        size_t count = 1;

        line[strcspn(line, "\n")] = '\0';
        for (char *tab = line; count < 3 && (tab = strchr(tab, '\t')) != NULL;) {
            *tab++ = '\0';
            fields[count++] = tab;
        }
        known = add(&session.base, &out, fields[0], fields[1], fields[2]);
        puts(out.data);
    }
    free(line);
    return known ? 0 : 2;
}
