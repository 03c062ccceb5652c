/*
 * One value for one option: its conversion, and the messages where it does not fit.
 * Private to core/config.
 */
#ifndef CORE_CONFIG_OPTION_VALUE_H
#define CORE_CONFIG_OPTION_VALUE_H

#include <config/options.h>

struct core_option_site {
    const struct rc_option *option;
    const char *key;            /* as messages name it, such as "notify[0].url" */
    bool secret;                /* the value is never shown, and registered */
    bool from_default;          /* so not registered */
    struct core_arena *arena;   /* of what the value points to */
    struct core_arena *scratch; /* of keys in messages and the like */
    struct core_problems *problems;
};

/*
 * Puts the value of 'node', which is not a NULL node, into 'field'. False: it does not fit, which
 * was reported, and 'field' is as before. Not for RC_OPT_OBJECTS.
 */
bool core_option_set(const struct core_option_site *site, const struct core_node *node,
                     void *field);

/*
 * 'node' or, where it is loose text that holds YAML, what that YAML says; NULL: it is not valid,
 * which was reported.
 */
const struct core_node *core_option_structure(const struct core_option_site *site,
                                              const struct core_node *node);

/* "text", "a list", ...: what a node is, in a message. */
const char *core_node_kind_text(const struct core_node *node);

/* "; did you mean 'x'?" or, where none is near, "; <lead>: a, b, c". */
void core_option_add_hint(struct rc_buf *out, const char *word, const char *const *names,
                          size_t count, const char *lead);

/*
 * As core_options_check_keys(), where the names in 'more' are valid too. Of the tables only the
 * first 'named_count' are named as what is valid: what is in the others somebody else judges.
 */
void core_options_check_keys_and(const struct core_node *map,
                                 const struct core_option_table *tables, size_t table_count,
                                 size_t named_count, const char *const *more, size_t more_count,
                                 const char *what, struct core_problems *problems);

/* Entry of that name, first or second. */
bool core_option_find(const struct core_option_table *table, const char *name,
                      struct rc_option *out);

/* The range as people write it: "from 100ms to 1h", "at least 1"; empty where there is none. */
void core_option_add_range(struct rc_buf *out, const struct rc_option *option);

bool core_option_has_range(const struct rc_option *option);

#endif
