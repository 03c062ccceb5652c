/*
 * Puts libyaml's complaints into words of people who write configurations, at the
 * place where they have to look.
 */
#include <config/reader.h>

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

/* Where the mark points in a message: at the problem, or at the begin of what was being read. */
enum at { AT_PROBLEM, AT_CONTEXT };

struct explanation {
    const char *problem, *context; /* as libyaml says; NULL: any */
    enum at at;
    const char *message;
};

static const struct explanation explanations[] = {
    { "mapping values are not allowed in this context", NULL, AT_PROBLEM,
      "a ':' cannot stand here; check the indentation, see whether the line before lacks its ':', "
      "or put a value that holds ': ' in quotes" },
    { "block sequence entries are not allowed in this context", NULL, AT_PROBLEM,
      "a list item '- ' cannot stand here; begin it on a line of its own, below its key" },
    { "mapping keys are not allowed in this context", NULL, AT_PROBLEM,
      "a key cannot stand here; begin it on a line of its own" },
    { "did not find expected key", NULL, AT_PROBLEM,
      "a key is expected here; check the indentation, or put the value before it in quotes" },
    { "did not find expected '-' indicator", NULL, AT_PROBLEM,
      "a list item '- ' is expected here; the items of a list have the same indentation" },
    { "could not find expected ':'", NULL, AT_CONTEXT, "the key that begins here has no ':'" },
    { "found unexpected end of stream", "while scanning a quoted scalar", AT_CONTEXT,
      "the quote that opens here is never closed" },
    { "found unexpected document indicator", "while scanning a quoted scalar", AT_CONTEXT,
      "the quote that opens here is not closed before the end of the document" },
    { "found unknown escape character", NULL, AT_PROBLEM,
      "unknown escape in a text in double quotes; write '\\\\' for a backslash, or use single "
      "quotes" },
    { "did not find expected hexdecimal number", NULL, AT_PROBLEM,
      "hexadecimal digits are expected in this escape" },
    { "found invalid Unicode character escape code", NULL, AT_PROBLEM,
      "this escape is not a character; write the character itself, or both halves of a pair in "
      "a file that is strict JSON" },
    { "did not find expected alphabetic or numeric character", "while scanning an alias",
      AT_CONTEXT, "a value cannot begin with '*', which is for aliases; put it in quotes" },
    { "did not find expected alphabetic or numeric character", "while scanning an anchor",
      AT_CONTEXT, "a value cannot begin with '&', which is for anchors; put it in quotes" },
    { "did not find expected node content", NULL, AT_PROBLEM, "a value is expected here" },
    { "did not find expected <document start>", NULL, AT_PROBLEM,
      "nothing may follow the end of the document; check the indentation and the brackets" },
    { "found undefined tag handle", NULL, AT_PROBLEM,
      "this tag is not known; the type of a value follows from its option, so remove the tag" },
    { "found incompatible YAML document", NULL, AT_PROBLEM,
      "this version of YAML is not known; remove the '%YAML' line" },
    { "found a tab character that violates indentation", NULL, AT_PROBLEM,
      "a tab cannot indent YAML; use spaces" },
    { "found a tab character where an indentation space is expected", NULL, AT_PROBLEM,
      "a tab cannot indent YAML; use spaces" },
    { "control characters are not allowed", NULL, AT_PROBLEM,
      "a control character cannot stand in YAML" },
};

/* The byte at a mark, or NUL behind the end. */
static char byte_at(const yaml_mark_t *mark, const char *text, size_t len)
{
    size_t line = 0, at = 0, column = 0;

    while (at < len && line < mark->line) {
        if (text[at] == '\n' || (text[at] == '\r' && !(at + 1 < len && text[at + 1] == '\n')))
            line++;
        at++;
    }
    while (at < len && column < mark->column) {
        at++;
        while (at < len && ((unsigned char)text[at] & 0xC0) == 0x80)
            at++;
        column++;
    }
    return at < len ? text[at] : '\0';
}

/* "found character that cannot start any token" */
static void explain_character(const struct core_reader *reader, const struct core_place *place,
                              char c)
{
    if (c == '\t')
        core_reader_problem(reader, place, "a tab cannot indent YAML; use spaces");
    else
        core_reader_problem(reader, place, "a value cannot begin with '%c'; put it in quotes", c);
}

/* "did not find expected ',' or '}'" */
static void explain_bracket(const struct core_reader *reader, const struct core_place *place,
                            const yaml_parser_t *parser)
{
    bool is_map = strchr(parser->problem, '}') != NULL;

    core_reader_problem(reader, place,
                        "',' or '%c' is expected here; the '%c' stands in line %zu, column %zu",
                        is_map ? '}' : ']', is_map ? '{' : '[', parser->context_mark.line + 1,
                        parser->context_mark.column + 1);
}

void core_yaml_explain(const struct core_reader *reader, const struct yaml_parser_s *parser,
                       const char *text, size_t len)
{
    const char *problem = parser->problem ? parser->problem : "the YAML is not valid";
    const struct core_place at_problem =
        core_reader_place(reader, parser->problem_mark.line + 1, parser->problem_mark.column + 1);
    const struct core_place at_context =
        core_reader_place(reader, parser->context_mark.line + 1, parser->context_mark.column + 1);

    if (parser->error == YAML_MEMORY_ERROR)
        rc_out_of_memory(len);
    if (strcmp(problem, "found character that cannot start any token") == 0) {
        explain_character(reader, &at_problem, byte_at(&parser->problem_mark, text, len));
        return;
    }
    if (strstr(problem, "expected ',' or")) {
        explain_bracket(reader, &at_problem, parser);
        return;
    }
    for (size_t i = 0; i < RC_ARRAY_LEN(explanations); i++) {
        const struct explanation *e = &explanations[i];

        if (strcmp(problem, e->problem) != 0 ||
            (e->context && (!parser->context || strcmp(parser->context, e->context) != 0)))
            continue;
        core_reader_problem(reader, e->at == AT_CONTEXT ? &at_context : &at_problem, "%s",
                            e->message);
        return;
    }
    if (parser->context)
        core_reader_problem(reader, &at_problem, "this is not valid YAML: %s, %s", problem,
                            parser->context);
    else
        core_reader_problem(reader, &at_problem, "this is not valid YAML: %s", problem);
}
