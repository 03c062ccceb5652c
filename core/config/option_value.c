/*
 * Converts the text of a configuration to the type of its option. The type is the
 * option's: 010 is text for a string and ten for a number.
 */
#include <config/option_value.h>

#include <config/secrets.h>

#include <base/nearest.h>

#include <run-core/str.h>
#include <run-core/time.h>
#include <run-core/uri.h>

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

enum { MESSAGE_BYTES = 8192, LONGEST_GUESSED = 64 };

static bool complain(const struct core_option_site *site, const struct core_node *node,
                     const char *format, ...) RC_PRINTF(3, 4);

static bool is_secret(const struct core_option_site *site, const struct core_node *node)
{
    return site->secret || node->secret;
}

/*
 * Reports "'key' is 'value'<text>", or "the value of 'key' is not valid<text>" where it is
 * secret.
 */
static bool complain(const struct core_option_site *site, const struct core_node *node,
                     const char *format, ...)
{
    RC_BUF_AUTO(text, MESSAGE_BYTES);
    char shown[CORE_SHOWN_TEXT];
    va_list arguments;

    va_start(arguments, format);
    rc_buf_addv(&text, format, arguments);
    va_end(arguments);
    if (is_secret(site, node))
        core_problem_add(site->problems, &node->place, "the value of '%s' is not valid%s",
                         site->key, text.data);
    else
        core_problem_add(site->problems, &node->place, "'%s' is '%s'%s", site->key,
                         core_shown(node->text, shown), text.data);
    return false;
}

const char *core_node_kind_text(const struct core_node *node)
{
    switch (node->kind) {
    case CORE_NODE_NULL:
        return "nothing";
    case CORE_NODE_SCALAR:
        return "a single value";
    case CORE_NODE_LIST:
        return "a list";
    case CORE_NODE_MAP:
        return "a map";
    }
    return "something else";
}

/* What a value of the type is, behind "must be" and "which is not". */
static const char *wanted(enum rc_option_type type)
{
    switch (type) {
    case RC_OPT_STR:
    case RC_OPT_ENUM:
        return "text";
    case RC_OPT_BOOL:
        return "true or false";
    case RC_OPT_INT:
        return "a whole number";
    case RC_OPT_FLOAT:
        return "a number";
    case RC_OPT_MS:
        return "a duration such as 30s, 15m or 2h";
    case RC_OPT_BYTES:
        return "a size such as 512KiB or 64MiB";
    case RC_OPT_URL:
        return "a URL such as https://host/path";
    case RC_OPT_DAY:
        return "a day such as 2024-02-29";
    case RC_OPT_LIST:
        return "a list";
    case RC_OPT_MAP:
        return "a map";
    case RC_OPT_OBJECTS:
        return "a list of maps";
    }
    return "something else";
}

static bool wrong_kind(const struct core_option_site *site, const struct core_node *node)
{
    core_problem_add(site->problems, &node->place, "'%s' must be %s, not %s", site->key,
                     wanted(site->option->type), core_node_kind_text(node));
    return false;
}

static bool not_wanted(const struct core_option_site *site, const struct core_node *node)
{
    int64_t number;

    if (is_secret(site, node)) {
        core_problem_add(site->problems, &node->place, "the value of '%s' is not %s", site->key,
                         wanted(site->option->type));
        return false;
    }
    if (site->option->type == RC_OPT_MS && rc_parse_int(node->text, &number) && number > 0)
        return complain(site, node,
                        ", which has no unit; write it as %ss, %sm or %sh, for "
                        "seconds, minutes or hours",
                        node->text, node->text, node->text);
    return complain(site, node, ", which is not %s", wanted(site->option->type));
}

bool core_option_has_range(const struct rc_option *option)
{
    bool has_one = option->type == RC_OPT_INT || option->type == RC_OPT_FLOAT ||
                   option->type == RC_OPT_MS || option->type == RC_OPT_BYTES;

    return has_one && (option->min != 0 || option->max != 0);
}

static void add_amount(struct rc_buf *out, const struct rc_option *option, int64_t amount)
{
    char text[RC_AMOUNT_TEXT];

    if (option->type == RC_OPT_MS)
        rc_buf_adds(out, rc_format_duration(amount, text));
    else if (option->type == RC_OPT_BYTES)
        rc_buf_adds(out, rc_format_size(amount, text));
    else
        rc_buf_addf(out, "%" PRId64, amount);
}

void core_option_add_range(struct rc_buf *out, const struct rc_option *option)
{
    bool amount = option->type == RC_OPT_MS || option->type == RC_OPT_BYTES;

    if (!core_option_has_range(option))
        return;
    if (option->min == INT64_MIN) {
        rc_buf_adds(out, "at most ");
        add_amount(out, option, option->max);
    } else if (option->max == INT64_MAX) {
        rc_buf_adds(out, "at least ");
        add_amount(out, option, option->min);
    } else {
        rc_buf_adds(out, "from ");
        add_amount(out, option, option->min);
        rc_buf_adds(out, " to ");
        add_amount(out, option, option->max);
    }
    if (option->unit && !amount)
        rc_buf_addf(out, " %s", option->unit);
}

static bool out_of_range(const struct core_option_site *site, const struct core_node *node)
{
    RC_BUF_AUTO(range, 256);
    char shown[CORE_SHOWN_TEXT];

    core_option_add_range(&range, site->option);
    if (is_secret(site, node))
        core_problem_add(site->problems, &node->place, "the value of '%s' must be %s", site->key,
                         range.data);
    else
        core_problem_add(site->problems, &node->place, "'%s' is %s; it must be %s", site->key,
                         core_shown(node->text, shown), range.data);
    return false;
}

static bool set_number(const struct core_option_site *site, const struct core_node *node,
                       int64_t *field)
{
    const struct rc_option *option = site->option;
    int64_t number;
    bool good = option->type == RC_OPT_MS      ? rc_parse_duration(node->text, &number)
                : option->type == RC_OPT_BYTES ? rc_parse_size(node->text, &number)
                                               : rc_parse_int(node->text, &number);

    if (!good)
        return not_wanted(site, node);
    if (core_option_has_range(option) && (number < option->min || number > option->max))
        return out_of_range(site, node);
    *field = number;
    return true;
}

static bool set_float(const struct core_option_site *site, const struct core_node *node,
                      double *field)
{
    const struct rc_option *option = site->option;
    double number;

    if (!rc_parse_float(node->text, &number))
        return not_wanted(site, node);
    if (core_option_has_range(option) &&
        (number < (double)option->min || number > (double)option->max))
        return out_of_range(site, node);
    *field = number;
    return true;
}

static bool set_bool(const struct core_option_site *site, const struct core_node *node, bool *field)
{
    if (!rc_parse_bool(node->text, field))
        return not_wanted(site, node);
    return true;
}

static bool set_day(const struct core_option_site *site, const struct core_node *node,
                    int32_t *field)
{
    if (!rc_parse_day(node->text, field))
        return not_wanted(site, node);
    return true;
}

void core_option_add_hint(struct rc_buf *out, const char *word, const char *const *names,
                          size_t count, const char *lead)
{
    const char *near = strlen(word) <= LONGEST_GUESSED ? core_nearest(word, names, count) : NULL;

    if (near) {
        rc_buf_addf(out, "; did you mean '%s'?", near);
        return;
    }
    for (size_t i = 0; i < count; i++)
        if (names[i])
            rc_buf_addf(out, "%s%s", i == 0 ? lead : ", ", names[i]);
}

/* The position of 'text' among the choices; -1: it is none, which was reported. */
static int choose(const struct core_option_site *site, const struct core_node *node)
{
    const char *const *choices = site->option->choices;
    RC_BUF_AUTO(hint, MESSAGE_BYTES / 2);
    size_t count = 0;

    for (; choices[count]; count++)
        if (strcmp(choices[count], node->text) == 0)
            return (int)count;
    core_option_add_hint(&hint, node->text, choices, count, "; it must be one of: ");
    complain(site, node, "%s", hint.data);
    return -1;
}

/* Text, with the rules that all text has, copied; NULL: it does not fit. */
static const char *take_text(const struct core_option_site *site, const struct core_node *node)
{
    if (!site->from_default) {
        if (site->secret)
            core_secret_add(node->text);
        else
            core_secret_add_url(node->text);
    }
    if (site->option->choices && choose(site, node) < 0)
        return NULL;
    return core_arena_share(site->arena, node->text);
}

static bool set_text(const struct core_option_site *site, const struct core_node *node,
                     const char **field)
{
    const char *text = take_text(site, node);

    if (!text)
        return false;
    if (site->option->type == RC_OPT_URL && *text && !rc_uri_has_scheme(text))
        return not_wanted(site, node);
    *field = text;
    return true;
}

static bool set_enum(const struct core_option_site *site, const struct core_node *node, int *field)
{
    int position = choose(site, node);

    if (position < 0)
        return false;
    *field = position;
    return true;
}

const struct core_node *core_option_structure(const struct core_option_site *site,
                                              const struct core_node *node)
{
    if (node->kind != CORE_NODE_SCALAR || !node->loose ||
        (node->text[0] != '[' && node->text[0] != '{'))
        return node;
    return core_yaml_parse_loose(site->scratch, &node->place, node->text, site->problems);
}

/* An item of a list or a value of a map. */
static const char *take_item(const struct core_option_site *site, const struct core_node *item,
                             const char *key)
{
    struct core_option_site inner = *site;

    inner.key = key;
    if (item->broken)
        return NULL;
    if (item->kind == CORE_NODE_SCALAR)
        return take_text(&inner, item);
    if (item->kind == CORE_NODE_NULL)
        core_problem_add(site->problems, &item->place, "'%s' has no value", key);
    else
        core_problem_add(site->problems, &item->place, "'%s' must be a single value, not %s", key,
                         core_node_kind_text(item));
    return NULL;
}

static bool set_list(const struct core_option_site *site, const struct core_node *node,
                     struct rc_strs *field)
{
    const char **items = core_arena_alloc(site->arena, (node->len + 1) * sizeof(*items));
    bool good = true;

    if (node->kind == CORE_NODE_MAP)
        return wrong_kind(site, node);
    if (node->kind == CORE_NODE_SCALAR) {
        items[0] = take_text(site, node);
        if (!items[0])
            return false;
        *field = (struct rc_strs){ .len = 1, .items = items };
        return true;
    }
    for (size_t i = 0; i < node->len; i++) {
        const char *key = core_arena_strf(site->scratch, "%s[%zu]", site->key, i);

        items[i] = take_item(site, node->items[i], key);
        good = items[i] && good;
    }
    if (good)
        *field = (struct rc_strs){ .len = node->len, .items = items };
    return good;
}

static bool set_map(const struct core_option_site *site, const struct core_node *node,
                    struct rc_map *field)
{
    struct rc_pair *pairs = core_arena_alloc(site->arena, (node->len + 1) * sizeof(*pairs));
    char shown[CORE_SHOWN_TEXT];
    bool good = true;

    if (node->kind != CORE_NODE_MAP)
        return wrong_kind(site, node);
    for (size_t i = 0; i < node->len; i++) {
        const struct core_entry *entry = &node->entries[i];
        const char *key =
            core_arena_strf(site->scratch, "%s.%s", site->key, core_shown(entry->key, shown));

        pairs[i].key = core_arena_strdup(site->arena, entry->key);
        pairs[i].value = take_item(site, entry->value, key);
        good = pairs[i].value && good;
    }
    if (good)
        *field = (struct rc_map){ .len = node->len, .items = pairs };
    return good;
}

bool core_option_set(const struct core_option_site *site, const struct core_node *node, void *field)
{
    enum rc_option_type type = site->option->type;

    if (type == RC_OPT_LIST || type == RC_OPT_MAP) {
        node = core_option_structure(site, node);
        if (!node)
            return false;
        return type == RC_OPT_LIST ? set_list(site, node, field) : set_map(site, node, field);
    }
    if (node->kind != CORE_NODE_SCALAR)
        return wrong_kind(site, node);
    switch (type) {
    case RC_OPT_STR:
    case RC_OPT_URL:
        return set_text(site, node, field);
    case RC_OPT_BOOL:
        return set_bool(site, node, field);
    case RC_OPT_INT:
    case RC_OPT_MS:
    case RC_OPT_BYTES:
        return set_number(site, node, field);
    case RC_OPT_FLOAT:
        return set_float(site, node, field);
    case RC_OPT_ENUM:
        return set_enum(site, node, field);
    case RC_OPT_DAY:
        return set_day(site, node, field);
    case RC_OPT_LIST:
    case RC_OPT_MAP:
    case RC_OPT_OBJECTS:
        break;
    }
    return false;
}
