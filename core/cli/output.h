/*
 * What every command does with its results and its complaints.
 */
#ifndef CORE_CLI_OUTPUT_H
#define CORE_CLI_OUTPUT_H

#include <config/problems.h>

#include <run-core/buf.h>

enum { CORE_CLI_OUTPUT_BYTES = 16 * 1024 * 1024 };

/* Writes 'text' to stdout and returns 'status'; CORE_EXIT_FAILED, with a message, if that fails. */
int core_cli_print(const struct rc_buf *text, int status);

/* A name for people: what would steer the terminal is written as \x1b. */
void core_cli_add_printable(struct rc_buf *out, const char *text);

/* "run-core: context: cause" to stderr, secrets masked. Returns CORE_EXIT_USAGE. */
int core_cli_complain(const struct rc_error *err);

/*
 * Every mistake in a line on stderr, sorted. Returns CORE_EXIT_USAGE, or CORE_EXIT_OK without any.
 */
int core_cli_report(struct core_problems *problems);

/* Appends a JSON string, or null. */
void core_cli_add_json(struct rc_buf *out, const char *text);

#endif
