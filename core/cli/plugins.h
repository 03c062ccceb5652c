/*
 * The plugins within reach: those that the configuration names and those on the path.
 */
#ifndef CORE_CLI_PLUGINS_H
#define CORE_CLI_PLUGINS_H

#include <cli/cli.h>
#include <runtime/image.h>

struct core_cli_plugin {
    char *name, *file;
};

struct core_cli_plugins {
    struct core_cli_plugin *items; /* by name; the file that a run would take */
    size_t count;
};

/* A local list that clears itself. */
#define CORE_CLI_PLUGINS_AUTO(name)                                                                \
    RC_CLEANUP(core_cli_plugins_clear) struct core_cli_plugins name = { NULL, 0 }

/* 'config' may be NULL. A file is listed whether or not it is a good plugin. */
void core_cli_plugins_find(const struct core_config *config, struct core_cli_plugins *out);
void core_cli_plugins_clear(struct core_cli_plugins *plugins);

/*
 * Reads the descriptor of a plugin without running anything of it. 'word' is its name, or the path
 * of its file if it has a slash. On RC_OK to be closed with core_image_close().
 */
RC_MUST_CHECK enum rc_code core_cli_plugin_read(const struct core_config *config, const char *word,
                                                struct core_image *out, struct rc_error *err);

/* Fails with RC_INVALID: 'word' is no command and no plugin. Names the nearest of both. */
enum rc_code core_cli_unknown(const struct core_command *const *commands,
                              const struct core_config *config, const char *word,
                              struct rc_error *err);

#endif
