/*
 * The log of one attempt, as its guard keeps it: what the worker prints, in a file that is rotated
 * once it has half of the size allowed, so that the newest part is always there.
 *
 * A part begins and ends with a whole line, but where a line is longer than any reader would want.
 * What cannot be written, as the disk is full, is dropped; the log says so once it can. A worker
 * that prints faster than anybody reads is slowed down rather than given the disk.
 */
#ifndef CORE_RUNTIME_RUN_LOG_H
#define CORE_RUNTIME_RUN_LOG_H

#include <stddef.h>
#include <stdint.h>

struct core_run_log;

/*
 * Writes to 'path' and, for the older part, PATH.1, at most 'limit_bytes' in both, beside some
 * lines of its own. The file stands as descriptor 'fd', such as STDERR_FILENO, also for others'
 * lines; where it cannot be made, that is /dev/null and all is dropped.
 */
struct core_run_log *core_run_log_open(const char *path, int64_t limit_bytes, int fd);

void core_run_log_add(struct core_run_log *log, const char *data, size_t len);

/* How long the worker should not be listened to; 0: it may print. */
int64_t core_run_log_pause_ms(struct core_run_log *log);

/* Ends an unfinished line, and says what was dropped. More may be added. */
void core_run_log_flush(struct core_run_log *log);
int64_t core_run_log_dropped_bytes(const struct core_run_log *log);

/*
 * How much stands, or stood, before the part that is open as 'fd' and can be read: each part but
 * the first says it in its first line.
 */
int64_t core_run_log_preceding_bytes(int fd);

/* The descriptor stays open. */
void core_run_log_free(struct core_run_log *log);

#endif
