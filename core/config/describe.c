/*
 * Describes option tables: JSON for programs, Markdown for READMEs, aligned lines for
 * the terminal.
 */
#include <config/options.h>

#include <config/option_value.h>
#include <config/secrets.h>

#include <run-core/str.h>

#include <inttypes.h>
#include <string.h>

enum { CELL_BYTES = 65536, HELP_COLUMN = 30, LINE_WIDTH = 100, DEEPEST_TABLE = 8 };

const char *core_option_type_name(enum rc_option_type type)
{
    switch (type) {
    case RC_OPT_STR:
        return "string";
    case RC_OPT_BOOL:
        return "boolean";
    case RC_OPT_INT:
        return "integer";
    case RC_OPT_FLOAT:
        return "number";
    case RC_OPT_MS:
        return "duration";
    case RC_OPT_BYTES:
        return "size";
    case RC_OPT_ENUM:
        return "choice";
    case RC_OPT_URL:
        return "URL";
    case RC_OPT_DAY:
        return "day";
    case RC_OPT_LIST:
        return "list";
    case RC_OPT_MAP:
        return "map";
    case RC_OPT_OBJECTS:
        return "list of objects";
    }
    return "unknown";
}

static const char *shown_default(const struct rc_option *option)
{
    return option->def && (option->flags & RC_OPT_SECRET) ? CORE_SECRET_MASK : option->def;
}

/* ---- JSON --------------------------------------------------------------------------------- */

static void add_text(struct rc_buf *out, const char *key, const char *text)
{
    rc_buf_addf(out, ",\"%s\":", key);
    if (text)
        rc_buf_add_json(out, text, strlen(text));
    else
        rc_buf_adds(out, "null");
}

static void add_bound(struct rc_buf *out, const char *key, bool is_there, int64_t bound)
{
    rc_buf_addf(out, ",\"%s\":", key);
    if (is_there)
        rc_buf_addf(out, "%" PRId64, bound);
    else
        rc_buf_adds(out, "null");
}

static void add_choices(struct rc_buf *out, const char *const *choices)
{
    rc_buf_adds(out, ",\"choices\":");
    if (!choices) {
        rc_buf_adds(out, "null");
        return;
    }
    rc_buf_addc(out, '[');
    for (size_t i = 0; choices[i]; i++) {
        if (i > 0)
            rc_buf_addc(out, ',');
        rc_buf_add_json(out, choices[i], strlen(choices[i]));
    }
    rc_buf_addc(out, ']');
}

/* Of the numbers 'min' and 'max', so milliseconds and bytes where people see amounts. */
static const char *unit_of(const struct rc_option *option)
{
    if (option->type == RC_OPT_MS)
        return "ms";
    return option->type == RC_OPT_BYTES ? "bytes" : option->unit;
}

static void add_table_json(const struct core_option_table *table, struct rc_buf *out, int depth);

static void add_option_json(const struct core_option_table *table, const struct rc_option *option,
                            struct rc_buf *out, int depth)
{
    bool has_range = core_option_has_range(option);

    rc_buf_adds(out, "{\"key\":");
    rc_buf_add_json(out, option->name, strlen(option->name));
    add_text(out, "type", core_option_type_name(option->type));
    add_text(out, "default", shown_default(option));
    rc_buf_addf(out, ",\"required\":%s", option->flags & RC_OPT_REQUIRED ? "true" : "false");
    rc_buf_addf(out, ",\"secret\":%s", option->flags & RC_OPT_SECRET ? "true" : "false");
    add_text(out, "env", option->env);
    add_choices(out, option->choices);
    add_bound(out, "min", has_range && option->min != INT64_MIN, option->min);
    add_bound(out, "max", has_range && option->max != INT64_MAX, option->max);
    add_text(out, "unit", unit_of(option));
    add_text(out, "help", option->help);
    if (option->flags & RC_OPT_WHOLE)
        rc_buf_adds(out, ",\"whole\":true");
    if (option->also)
        add_text(out, "also", option->also);
    if (option->type == RC_OPT_OBJECTS && depth < DEEPEST_TABLE) {
        const struct core_option_table items = { option->items, table->stride };

        rc_buf_adds(out, ",\"items\":");
        add_table_json(&items, out, depth + 1);
    }
    rc_buf_addc(out, '}');
}

static void add_table_json(const struct core_option_table *table, struct rc_buf *out, int depth)
{
    struct rc_option option;

    rc_buf_addc(out, '[');
    for (size_t i = 0; core_option_at(table, i, &option); i++) {
        if (i > 0)
            rc_buf_addc(out, ',');
        add_option_json(table, &option, out, depth);
    }
    rc_buf_addc(out, ']');
}

void core_options_to_json(const struct core_option_table *table, struct rc_buf *out)
{
    add_table_json(table, out, 0);
}

/* ---- for people --------------------------------------------------------------------------- */

static void add_sentence_break(struct rc_buf *out)
{
    if (out->len > 0)
        rc_buf_addc(out, ' ');
}

/* The help, followed by what the table says besides: choices, range, default, the other ways
 * to give it. 'quote' stands around names. */
static void add_facts(struct rc_buf *out, const struct rc_option *option, const char *quote)
{
    RC_BUF_AUTO(range, 256);
    const char *def = shown_default(option);

    rc_buf_adds(out, option->help ? option->help : "");
    if (option->choices) {
        add_sentence_break(out);
        for (size_t i = 0; option->choices[i]; i++)
            rc_buf_addf(out, "%s%s", i == 0 ? "One of: " : ", ", option->choices[i]);
        rc_buf_addc(out, '.');
    }
    core_option_add_range(&range, option);
    if (range.len > 0) {
        add_sentence_break(out);
        range.data[0] = range.data[0] == 'f' ? 'F' : 'A'; /* "from", "at least", "at most" */
        rc_buf_addf(out, "%s.", range.data);
    } else if (option->unit) {
        add_sentence_break(out);
        rc_buf_addf(out, "In %s.", option->unit);
    }
    if (option->flags & RC_OPT_REQUIRED)
        rc_buf_adds(out, " Required.");
    if (def)
        rc_buf_addf(out, " Default: %s.", *def ? def : "empty");
    if (option->flags & RC_OPT_SECRET)
        rc_buf_adds(out, " Secret.");
    if (option->flags & RC_OPT_WHOLE)
        rc_buf_addf(out, " May be all that a %sconfig_file%s or %sconfig_url%s holds.", quote,
                    quote, quote, quote);
    if (option->also)
        rc_buf_addf(out, " Also called %s%s%s.", quote, option->also, quote);
    if (option->env)
        rc_buf_addf(out, " Environment: %s%s%s.", quote, option->env, quote);
}

static void add_cell(struct rc_buf *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '|' || *text == '<')
            rc_buf_addc(out, '\\');
        rc_buf_addc(out, *text == '\n' ? ' ' : *text);
    }
}

static void add_rows(const struct core_option_table *table, const char *prefix, struct rc_buf *out,
                     int depth)
{
    struct rc_option option;

    for (size_t i = 0; core_option_at(table, i, &option); i++) {
        RC_BUF_AUTO(cell, CELL_BYTES);
        const char *def = shown_default(&option);

        rc_buf_addf(out, "| `%s%s` | %s | ", prefix, option.name,
                    core_option_type_name(option.type));
        if (option.flags & RC_OPT_REQUIRED)
            rc_buf_adds(out, "required");
        else if (def)
            rc_buf_addf(out, "`%s`", def);
        option.def = NULL; /* has a column of its own, as has what is required */
        option.flags &= ~(uint32_t)RC_OPT_REQUIRED;
        add_facts(&cell, &option, "`");
        rc_buf_adds(out, " | ");
        add_cell(out, cell.data);
        rc_buf_adds(out, " |\n");
        if (option.type == RC_OPT_OBJECTS && depth < DEEPEST_TABLE) {
            const struct core_option_table items = { option.items, table->stride };
            RC_STR_AUTO inner = rc_strf("%s%s[].", prefix, option.name);

            add_rows(&items, inner, out, depth + 1);
        }
    }
}

void core_options_to_markdown(const struct core_option_table *table, struct rc_buf *out)
{
    rc_buf_adds(out, "| Option | Type | Default | Meaning |\n|---|---|---|---|\n");
    add_rows(table, "", out, 0);
}

/* Adds words from 'column' on, broken into lines that begin at HELP_COLUMN. */
static void add_wrapped(struct rc_buf *out, const char *text, size_t column)
{
    bool begun = false;

    while (column < HELP_COLUMN) {
        rc_buf_addc(out, ' ');
        column++;
    }
    for (text += strspn(text, " \n"); *text; text += strspn(text, " \n")) {
        size_t len = strcspn(text, " \n");

        if (begun && column + 1 + len > LINE_WIDTH) {
            rc_buf_addf(out, "\n%*s", HELP_COLUMN, "");
            column = HELP_COLUMN;
        } else if (begun) {
            rc_buf_addc(out, ' ');
            column++;
        }
        rc_buf_add(out, text, len);
        column += len;
        text += len;
        begun = true;
    }
    rc_buf_addc(out, '\n');
}

static void add_lines(const struct core_option_table *table, size_t indent, struct rc_buf *out,
                      int depth)
{
    struct rc_option option;

    for (size_t i = 0; core_option_at(table, i, &option); i++) {
        RC_BUF_AUTO(facts, CELL_BYTES);
        size_t begin = out->len, column;

        rc_buf_addf(out, "%*s%s (%s)", (int)indent, "", option.name,
                    core_option_type_name(option.type));
        column = out->len - begin;
        if (column + 2 > HELP_COLUMN) {
            rc_buf_addc(out, '\n');
            column = 0;
        }
        add_facts(&facts, &option, "");
        add_wrapped(out, facts.data, column);
        if (option.type == RC_OPT_OBJECTS && depth < DEEPEST_TABLE) {
            const struct core_option_table items = { option.items, table->stride };

            add_lines(&items, indent + 2, out, depth + 1);
        }
    }
}

void core_options_to_text(const struct core_option_table *table, struct rc_buf *out)
{
    add_lines(table, 2, out, 0);
}
