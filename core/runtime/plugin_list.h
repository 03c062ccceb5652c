/*
 * The plugins within reach: those that the configuration names and those on the path.
 */
#ifndef CORE_RUNTIME_PLUGIN_LIST_H
#define CORE_RUNTIME_PLUGIN_LIST_H

#include <runtime/plugin.h>

struct core_listed_plugin {
    char *name, *file; /* NULL: the configuration names it, but it is not found */
};

struct core_plugin_list {
    struct core_listed_plugin *items; /* by name; the file that a run would take */
    size_t count;
};

/* A local list that clears itself. */
#define CORE_PLUGIN_LIST_AUTO(name)                                                                \
    RC_CLEANUP(core_plugin_list_clear) struct core_plugin_list name = { NULL, 0 }

/* 'config' may be NULL. A file is listed whether or not it is a good plugin. */
void core_plugin_list_make(const struct core_config *config, struct core_plugin_list *out);
void core_plugin_list_clear(struct core_plugin_list *list);

#endif
