/*
 * What a run puts out: log messages and the progress line on stderr, results on stdout.
 *
 * On a terminal messages are lines for people and a progress line stands below them;
 * elsewhere each message is one JSON object a line. Secrets are masked in all of it.
 * All functions are thread-safe.
 */
#ifndef CORE_RUNTIME_OUTPUT_H
#define CORE_RUNTIME_OUTPUT_H

#include <run-core/buf.h>
#include <run-core/job.h>
#include <run-core/log.h>

#include <stdarg.h>
#include <stdbool.h>

/* Facts that every message carries; NULL ones are left out. */
struct core_output_labels {
    const char *run, *plugin, *action, *job, *attempt;
};

/* Once at start: looks at stderr and NO_COLOR. 'labels' is borrowed. */
void core_output_init(const struct core_output_labels *labels);

void core_output_log(enum rc_log_level level, const struct rc_log_field *fields, size_t count,
                     const char *format, ...) RC_PRINTF(4, 5);
void core_output_logv(enum rc_log_level level, const struct rc_log_field *fields, size_t count,
                      const char *format, va_list arguments) RC_PRINTF(4, 0);

/*
 * Writes a result to 'fd', never into the middle of a message that goes to the same place. Returns
 * 0 or the error's number.
 */
int core_output_result(int fd, const char *data, size_t len);

/* Draws the progress line anew, on a terminal only and at most ten times a second. */
void core_output_progress(int64_t done, int64_t total, const char *unit, double fraction);
/* Takes the progress line away. */
void core_output_progress_end(void);
/* The same for a line that another process may have left, which has crashed. */
void core_output_progress_left(void);

/* Appends text of any number of lines; what else would control a terminal is written as \xNN. */
void core_output_add_text(struct rc_buf *out, const char *text);
/* Appends the text of a table, or the JSON object {"title", "columns", "rows"} of it. */
void core_output_table_text(struct rc_buf *out, const struct rc_table *table);
void core_output_table_json(struct rc_buf *out, const struct rc_table *table);

#endif
