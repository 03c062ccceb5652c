/*
 * What a plugin declares, as JSON: for the API and for 'run-core describe --json'.
 */
#ifndef CORE_API_DESCRIBE_H
#define CORE_API_DESCRIBE_H

#include <runtime/plugin.h>

/* Appends the JSON object, without a line end. */
void core_describe_add_json(const struct core_plugin *plugin, struct rc_buf *out);

#endif
