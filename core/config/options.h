/*
 * Option tables in use: filling a struct from configuration layers, and describing
 * a table to people and programs.
 */
#ifndef CORE_CONFIG_OPTIONS_H
#define CORE_CONFIG_OPTIONS_H

#include <config/problems.h>
#include <config/yaml.h>

#include <run-core/buf.h>
#include <run-core/option.h>

/* A table with the stride that its author compiled it with; ends with an entry without a name. */
struct core_option_table {
    const struct rc_option *first; /* may be NULL: no options */
    size_t stride;                 /* sizeof(struct rc_option) there */
};

#define CORE_OPTION_TABLE(options)                                                                 \
    {                                                                                              \
        (options), sizeof(struct rc_option)                                                        \
    }

/* Entry 'index', brought to the present struct (missing members zero); false behind the last. */
bool core_option_at(const struct core_option_table *table, size_t index, struct rc_option *out);

/*
 * Whether the name of one is the beginning of the other's, up to a dot: a map by that name could
 * then be meant for either.
 */
bool core_options_entangled(const struct rc_option *a, const struct rc_option *b);

/* The name of the option with RC_OPT_WHOLE in the first of the tables that has one; or NULL. */
const char *core_options_whole(const struct core_option_table *tables, size_t table_count);

/*
 * 'map' with the options of the tables at its top: "sts: {timeout: 5s}" becomes "sts.timeout: 5s"
 * where that is the name of an option. One that is given both ways, and a value where such a map
 * should stand, is reported. Borrows from 'map', which is the result if it has no such depth. What
 * is below does this by itself.
 */
const struct core_node *core_options_spread(const struct core_node *map,
                                            const struct core_option_table *tables,
                                            size_t table_count, struct core_arena *arena,
                                            struct core_problems *problems);

/*
 * Fills 'out' (zeroed) from the maps in 'layers', the first that has a key wins; then from
 * environment aliases, then from defaults. Strings, lists and objects live in 'arena'. Mistakes
 * go to 'problems': values of the wrong type or outside their range, required ones that are
 * missing (at 'place'). Layers may be NULL. Keys that the table does not have are left to
 * core_options_check_keys(). Secret values are registered with secrets.h.
 */
void core_options_bind(const struct core_option_table *table, const struct core_node *const *layers,
                       size_t layer_count, const struct core_place *place, void *out,
                       struct core_arena *arena, struct core_problems *problems);

/*
 * Reports the keys of 'map' that none of the tables has, with the nearest valid name. 'what' says
 * of what they should be an option: "plugin 'egress'".
 */
void core_options_check_keys(const struct core_node *map, const struct core_option_table *tables,
                             size_t table_count, const char *what, struct core_problems *problems);

/*
 * Reports what a table itself has wrong: a default out of range, a duplicate or malformed name,
 * no help.
 */
void core_options_check_table(const struct core_option_table *table, const char *what,
                              struct core_problems *problems);

/* "duration", "list of objects", ...: for people and for the schema. */
const char *core_option_type_name(enum rc_option_type type);

/*
 * Appends the JSON array of the table, as in 'describe --json'. Defaults of secret options are
 * masked.
 */
void core_options_to_json(const struct core_option_table *table, struct rc_buf *out);

/* Appends the Markdown table for a README. */
void core_options_to_markdown(const struct core_option_table *table, struct rc_buf *out);

/* Appends aligned lines for --help and describe. */
void core_options_to_text(const struct core_option_table *table, struct rc_buf *out);

#endif
