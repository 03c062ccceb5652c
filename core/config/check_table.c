/*
 * Judges option tables themselves: the mistakes that the author of a plugin makes, which
 * no configuration could mend.
 */
#include <config/options.h>

#include <config/option_value.h>

#include <run-core/str.h>

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { LONGEST_NAME = 63, DEEPEST_TABLE = 8, MOST_OPTIONS = 1000, LARGEST_FIELD = 64 };

struct check {
    const struct core_option_table *table;
    const struct core_place *place;
    const char *prefix;
    size_t struct_size; /* of an item; 0: not known */
    int depth;
    struct core_arena *arena;
    struct core_problems *problems;
};

static void check_table(const struct check *check);

static void complain(const struct check *check, const struct rc_option *option, const char *text)
{
    char shown[CORE_SHOWN_TEXT];

    core_problem_add(check->problems, check->place, "option '%s%s' %s", check->prefix,
                     core_shown(option->name, shown), text);
}

static bool is_good_name(const char *name)
{
    size_t len = strlen(name);

    if (len == 0 || len > LONGEST_NAME || !isalpha((unsigned char)name[0]) ||
        name[len - 1] == '.' || strstr(name, ".."))
        return false;
    for (size_t i = 0; i < len; i++)
        if (!((unsigned char)name[i] < 0x80 &&
              (isalnum((unsigned char)name[i]) || strchr("-_.", name[i]))))
            return false;
    return true;
}

static bool is_variable_name(const char *name)
{
    if (!*name || isdigit((unsigned char)*name))
        return false;
    for (; *name; name++)
        if (!((unsigned char)*name < 0x80 && (isalnum((unsigned char)*name) || *name == '_')))
            return false;
    return true;
}

static size_t field_size(enum rc_option_type type)
{
    static const size_t sizes[] = {
        [RC_OPT_STR] = sizeof(const char *),  [RC_OPT_BOOL] = sizeof(bool),
        [RC_OPT_INT] = sizeof(int64_t),       [RC_OPT_FLOAT] = sizeof(double),
        [RC_OPT_MS] = sizeof(int64_t),        [RC_OPT_BYTES] = sizeof(int64_t),
        [RC_OPT_ENUM] = sizeof(int),          [RC_OPT_URL] = sizeof(const char *),
        [RC_OPT_DAY] = sizeof(int32_t),       [RC_OPT_LIST] = sizeof(struct rc_strs),
        [RC_OPT_MAP] = sizeof(struct rc_map), [RC_OPT_OBJECTS] = sizeof(struct rc_objects),
    };

    return sizes[type];
}

static void check_names(const struct check *check, const struct rc_option *option, size_t index)
{
    struct rc_option other;

    if (!is_good_name(option->name) || (option->also && !is_good_name(option->also)))
        complain(check, option,
                 "has a name that is not letters, digits, '-', '_' and '.', a "
                 "letter first and at most 63 of them");
    if (check->depth == 0 &&
        (strcmp(option->name, "config_file") == 0 || strcmp(option->name, "config_url") == 0))
        complain(check, option, "has a name that run-core keeps for itself");
    if (rc_str_eq(option->name, option->also))
        complain(check, option, "has its own name as the second one");
    for (size_t i = 0; i < index && core_option_at(check->table, i, &other); i++)
        if (strcmp(option->name, other.name) == 0 || rc_str_eq(option->also, other.name) ||
            rc_str_eq(other.also, option->name) ||
            (option->also && rc_str_eq(option->also, other.also))) {
            complain(check, option, "has a name that an earlier one has too");
            return;
        } else if (core_options_entangled(option, &other)) {
            complain(check, option,
                     "and an earlier one cannot be told apart in maps: the name of one is what the "
                     "other's has before a dot");
            return;
        }
}

/* Binds the default alone, to see whether it is a value that a user could give. */
static void check_default(const struct check *check, const struct rc_option *option)
{
    struct rc_option alone[2] = { *option, { 0 } };
    const struct core_option_table table = CORE_OPTION_TABLE(alone);
    union {
        char bytes[LARGEST_FIELD];
        max_align_t aligned;
    } field = { { 0 } };
    struct core_problems found;

    if (!option->def)
        return;
    alone[0].offset = 0;
    alone[0].env = NULL;
    alone[0].flags = 0;
    core_problems_init(&found);
    core_options_bind(&table, NULL, 0, check->place, &field, check->arena, &found);
    for (const struct core_problem *p = found.first; p; p = p->next)
        core_problem_add(check->problems, check->place, "option '%s%s' has a wrong default: %s",
                         check->prefix, option->name, p->message);
    core_problems_clear(&found);
}

static void check_flags(const struct check *check, const struct rc_option *option)
{
    if (option->flags & ~(uint32_t)(RC_OPT_REQUIRED | RC_OPT_SECRET | RC_OPT_WHOLE | RC_OPT_ENGINE))
        complain(check, option, "has a flag that this run-core does not know");
    if ((option->flags & RC_OPT_REQUIRED) && option->def)
        complain(check, option, "is required and has a default: one of the two is in vain");
    if ((option->flags & RC_OPT_SECRET) && option->def && *option->def)
        complain(check, option, "is secret and has a default, which everybody can read");
    if (option->env && check->depth > 0)
        complain(check, option,
                 "has an environment variable, which cannot say what item it is for");
    if (option->env && !is_variable_name(option->env))
        complain(check, option, "has an environment variable whose name is not one");
    if (!option->help || !*option->help)
        complain(check, option, "has no help");
}

/* 'has_whole' says whether an earlier option is the whole of a file already. */
static void check_whole(const struct check *check, const struct rc_option *option, bool has_whole)
{
    if (!(option->flags & RC_OPT_WHOLE))
        return;
    if (option->type != RC_OPT_OBJECTS && option->type != RC_OPT_LIST)
        complain(check, option, "is the whole of a file, but no list");
    if (check->depth > 0)
        complain(check, option, "is the whole of a file, but within an item");
    else if (has_whole)
        complain(check, option, "is the whole of a file, as an earlier one is");
}

/* 'has_engine' says whether an earlier option names the engine already. */
static void check_engine(const struct check *check, const struct rc_option *option, bool has_engine)
{
    if (!(option->flags & RC_OPT_ENGINE))
        return;
    if (option->type != RC_OPT_STR)
        complain(check, option, "names an SQL engine, but is no text");
    if (check->depth > 0)
        complain(check, option, "names an SQL engine, but within an item");
    else if (has_engine)
        complain(check, option, "names an SQL engine, as an earlier one does");
}

static void check_type(const struct check *check, const struct rc_option *option)
{
    bool has_one = option->type == RC_OPT_INT || option->type == RC_OPT_FLOAT ||
                   option->type == RC_OPT_MS || option->type == RC_OPT_BYTES;
    bool may_choose = option->type == RC_OPT_ENUM || option->type == RC_OPT_STR ||
                      option->type == RC_OPT_LIST || option->type == RC_OPT_MAP;

    if (option->min > option->max)
        complain(check, option, "has a range whose 'min' is above its 'max'");
    if (!has_one && (option->min != 0 || option->max != 0))
        complain(check, option, "has a range, which its type does not take");
    if (option->type == RC_OPT_ENUM && !option->choices)
        complain(check, option, "has no choices");
    if (option->choices && !option->choices[0])
        complain(check, option, "has an empty list of choices");
    if (option->choices && !may_choose)
        complain(check, option, "has choices, which its type does not take");
    if (option->type == RC_OPT_OBJECTS && (!option->items || option->item_size == 0))
        complain(check, option, "has no table for its items");
    if (option->type != RC_OPT_OBJECTS && option->items)
        complain(check, option, "has a table for items, which its type does not take");
    if (check->struct_size > 0 && option->offset + field_size(option->type) > check->struct_size)
        complain(check, option, "has a field that lies behind the end of its struct");
}

static void check_items(const struct check *outer, const struct rc_option *option)
{
    const struct core_option_table table = { option->items, outer->table->stride };
    struct check check = *outer;

    if (outer->depth + 1 >= DEEPEST_TABLE) {
        complain(outer, option, "is nested too deeply, or within itself");
        return;
    }
    check.table = &table;
    check.prefix = core_arena_strf(outer->arena, "%s%s[].", outer->prefix, option->name);
    check.struct_size = option->item_size;
    check.depth++;
    check_table(&check);
}

static bool usable(const struct rc_option *option)
{
    return !(option->type == RC_OPT_ENUM && !option->choices) &&
           !(option->type == RC_OPT_OBJECTS && (!option->items || option->item_size == 0));
}

static void check_table(const struct check *check)
{
    struct rc_option option;
    bool has_whole = false, has_engine = false;

    for (size_t i = 0; core_option_at(check->table, i, &option); i++) {
        if (i == MOST_OPTIONS) {
            core_problem_add(check->problems, check->place,
                             "there are more than %d options; is the table ended by { 0 }?",
                             MOST_OPTIONS);
            return;
        }
        check_names(check, &option, i);
        check_flags(check, &option);
        check_whole(check, &option, has_whole);
        has_whole |= (option.flags & RC_OPT_WHOLE) != 0;
        check_engine(check, &option, has_engine);
        has_engine |= (option.flags & RC_OPT_ENGINE) != 0;
        if (option.type < RC_OPT_STR || option.type > RC_OPT_OBJECTS) {
            complain(check, &option, "has a type that this run-core does not know");
            continue;
        }
        check_type(check, &option);
        if (!usable(&option))
            continue;
        if (option.type == RC_OPT_OBJECTS)
            check_items(check, &option);
        check_default(check, &option);
    }
}

void core_options_check_table(const struct core_option_table *table, const char *what,
                              struct core_problems *problems)
{
    struct core_arena arena = CORE_ARENA_INIT;
    const struct core_place place = { .file = what };
    const struct check check = {
        .table = table,
        .place = &place,
        .prefix = "",
        .arena = &arena,
        .problems = problems,
    };

    check_table(&check);
    core_arena_clear(&arena);
}
