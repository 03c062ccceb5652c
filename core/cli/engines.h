/*
 * What the SQL engines can do, as a table for people and documents.
 */
#ifndef CORE_CLI_ENGINES_H
#define CORE_CLI_ENGINES_H

#include <run-core/buf.h>

#include <stdint.h>

/* Appends a line for each of these features (of enum rc_sql_feature), with a column an engine. */
void core_engines_add_text(uint32_t features, struct rc_buf *out);
void core_engines_add_markdown(uint32_t features, struct rc_buf *out);

/* 'run-core help engines'. */
void core_help_add_engines(bool markdown, struct rc_buf *out);

#endif
