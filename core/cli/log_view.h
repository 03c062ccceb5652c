/*
 * A run's log on its way to somebody: as it is to a file or a pipe, made readable on a terminal.
 */
#ifndef CORE_CLI_LOG_VIEW_H
#define CORE_CLI_LOG_VIEW_H

#include <run-core/buf.h>

#include <stdbool.h>

struct core_log_view {
    int fd;
    bool terminal, colour;
    int failed;         /* errno of the latest write; EPIPE: the reader has gone */
    struct rc_buf line; /* the beginning of one, on a terminal */
};

/* Appends a text that may hold anything: control characters but line ends and tabs as "\\x1b". */
void core_log_add_printable(struct rc_buf *out, const char *text, size_t len);

/* Looks at what 'fd' is, and at NO_COLOR. */
void core_log_view_init(struct core_log_view *view, int fd);
/* The next piece of the log; takes a view as void * to be called back with. */
RC_MUST_CHECK enum rc_code core_log_view_add(void *view, const char *data, size_t len,
                                             struct rc_error *err);
/* Shows a last line that has no end. For RC_CLEANUP too. */
void core_log_view_end(struct core_log_view *view);

#endif
