/*
 * The sections of a configuration and their keys. Private to core/config.
 */
#ifndef CORE_CONFIG_SETTINGS_H
#define CORE_CONFIG_SETTINGS_H

#include <config/config.h>

/*
 * A map within an entry that fills the entry's own struct, such as 'retry' of a job; or keys of
 * the entry itself that only some kinds of entries have, such as those of an SQL engine.
 */
struct core_subsection {
    const char *key; /* that of the map; of keys of the entry only what documents call them */
    struct core_option_table table;
    const char *const *kinds; /* whose keys they are; ends with NULL. NULL: it is a map */
};

struct core_section {
    const char *key;  /* at the top level */
    const char *what; /* "job": what one entry is, in messages */
    struct core_option_table table;
    const struct core_subsection *parts; /* ends with { 0 }; or NULL */
    const char *const *free; /* keys that are no options, such as 'config'; ends with NULL */
    /* What kind the entry is, whose own keys are bound already; NULL: that is not known. */
    const char *(*kind)(const struct core_node *map, const void *entry);
};

enum core_section_id {
    CORE_SECTION_CORE,
    CORE_SECTION_STORAGE,
    CORE_SECTION_SQL,
    CORE_SECTION_PLUGINS,
    CORE_SECTION_JOBS,
    CORE_SECTION_COUNT
};

extern const struct core_section core_sections[CORE_SECTION_COUNT];

/*
 * Fills 'out' from 'map' (a MAP, or NULL for none): the keys of the section and of its parts, with
 * all their mistakes. 'what' names the entry in messages; 'place' is that of what is missing.
 */
void core_section_bind(const struct core_section *section, const struct core_node *map,
                       const char *what, const struct core_place *place, void *out,
                       struct core_arena *arena, struct core_problems *problems);

/* Reports it if an entry of the section cannot have that name; whether it can. */
bool core_section_check_name(enum core_section_id id, const char *name,
                             const struct core_place *place, struct core_problems *problems);

/* What makes a job the pattern of several; of the table "jobs.for_each". */
struct core_job_list {
    struct rc_objects items;
    const char *file;
};

#endif
