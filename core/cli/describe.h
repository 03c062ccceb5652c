/*
 * What a plugin declares, for people and documents; for programs it is written by api/describe.h.
 */
#ifndef CORE_CLI_DESCRIBE_H
#define CORE_CLI_DESCRIBE_H

#include <runtime/plugin.h>

void core_describe_add_markdown(const struct core_plugin *plugin, struct rc_buf *out);
void core_describe_add_text(const struct core_plugin *plugin, struct rc_buf *out);

#endif
