/*
 * What a plugin declares, for people, programs and documents.
 */
#ifndef CORE_CLI_DESCRIBE_H
#define CORE_CLI_DESCRIBE_H

#include <runtime/plugin.h>

/* The JSON object of 'describe --json', without a line end. */
void core_describe_add_json(const struct core_plugin *plugin, struct rc_buf *out);
void core_describe_add_markdown(const struct core_plugin *plugin, struct rc_buf *out);
void core_describe_add_text(const struct core_plugin *plugin, struct rc_buf *out);

#endif
