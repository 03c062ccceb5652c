/*
 * Reads the values out of partition bounds and compares them. Which partitions there are is the
 * catalogue's business.
 */
#include "bounds.h"

#include <run-core/str.h>

#include <stdlib.h>
#include <string.h>

/* In the order in which they go; a list that is the beginning of another goes before it. */
enum kind { END, LOWEST, VALUE, HIGHEST };

struct datum {
    enum kind kind;
    char *text; /* of a VALUE, without its quotes */
    bool is_number;
    double number;
};

static void datum_clear(struct datum *datum)
{
    free(datum->text);
}

/* In quotes, which are doubled inside. Returns what is behind. */
static const char *read_quoted(const char *at, struct datum *out)
{
    size_t len = 0;

    out->text = rc_malloc(strlen(at) + 1);
    for (at++; *at && (*at != '\'' || at[1] == '\''); at++) {
        at += *at == '\'';
        out->text[len++] = *at;
    }
    out->text[len] = '\0';
    return *at ? at + 1 : at;
}

/* The next value; *at is behind it then. A list that is at its end has nothing more. */
static void read_datum(const char **at, struct datum *out)
{
    size_t len;

    *out = (struct datum){ .kind = END };
    *at += strspn(*at, " ,(");
    if (**at == '\0' || **at == ')')
        return;
    out->kind = VALUE;
    if (**at == '\'') {
        *at = read_quoted(*at, out);
    } else {
        len = strcspn(*at, ",)");
        out->text = rc_strndup(*at, len);
        *at += len;
        if (strcmp(out->text, "MINVALUE") == 0)
            out->kind = LOWEST;
        else if (strcmp(out->text, "MAXVALUE") == 0 || strcmp(out->text, "NULL") == 0)
            out->kind = HIGHEST;
    }
    *at += strcspn(*at, ",)"); /* a cast */
    out->is_number = rc_parse_float(out->text, &out->number);
}

static int compare_datums(const struct datum *a, const struct datum *b)
{
    if (a->kind != b->kind || a->kind != VALUE)
        return (a->kind > b->kind) - (a->kind < b->kind);
    if (a->is_number && b->is_number && (a->number < b->number || a->number > b->number))
        return a->number < b->number ? -1 : 1;
    return strcmp(a->text, b->text);
}

/* Where the values begin. Of a hash partition the remainder is the first that differs. */
static const char *values_of(const char *bound)
{
    const char *at =
        rc_str_starts(bound, "FOR VALUES WITH") ? strstr(bound, "remainder ") : strchr(bound, '(');

    return at ? at + strcspn(at, " (") : "";
}

/* Compares the next values of both. True: there are more. */
static bool compare_next(const char **a, const char **b, int *order)
{
    RC_CLEANUP(datum_clear) struct datum first = { .kind = END };
    RC_CLEANUP(datum_clear) struct datum second = { .kind = END };

    read_datum(a, &first);
    read_datum(b, &second);
    *order = compare_datums(&first, &second);
    return first.kind != END || second.kind != END;
}

int egress_bounds_compare(const char *a, const char *b)
{
    const char *at_a = values_of(a ? a : ""), *at_b = values_of(b ? b : "");
    int order;

    if ((*at_a == '\0') != (*at_b == '\0'))
        return *at_a ? -1 : 1;
    while (compare_next(&at_a, &at_b, &order) && order == 0)
        ;
    return order;
}
