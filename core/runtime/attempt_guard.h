/*
 * An attempt's guard in its own process, from the fork in the daemon to its end. Private to
 * attempt*.c.
 */
#ifndef CORE_RUNTIME_ATTEMPT_GUARD_H
#define CORE_RUNTIME_ATTEMPT_GUARD_H

#include <runtime/attempt_files.h>

/*
 * Becomes the guard of 'request'. Of what the daemon had open it keeps the lock, 'guard_fd', and
 * the two pages.
 */
void core_attempt_guard(const struct core_attempt_request *request, int guard_fd,
                        struct core_attempt_page *page, struct core_status *status)
    __attribute__((noreturn));

#endif
