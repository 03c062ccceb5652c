/*
 * The files of an attempt, which its guard and any daemon of this machine share: their names, the
 * page in N.guard, and the result. Private to attempt*.c.
 */
#ifndef CORE_RUNTIME_ATTEMPT_FILES_H
#define CORE_RUNTIME_ATTEMPT_FILES_H

#include <os/process.h>
#include <runtime/attempt.h>
#include <runtime/guard.h>

/* Members are only ever added at the end: a daemon may adopt what an older one has started. */
struct core_attempt_page {
    struct core_process_id guard;
    atomic_int has_guard; /* the above is filled: from then on a worker may have been forked */
    struct core_guard_orders orders;

    /* The end in short: this memory is there also where the disk had no room for the result. */
    atomic_int has_ended;
    char status[CORE_STATUS_NAME], reason[CORE_STATUS_NAME];
    int exit_status;
    int64_t started_unix_ms, finished_unix_ms;
};

/* "FOLDER/N.suffix". Freed with free(). */
char *core_attempt_path(const char *folder, int64_t number, const char *suffix);

/*
 * Maps the page in the file at 'path', shared. With 'make' the file, which is there, is emptied and
 * given its size, so that the disk has room for it. NULL, with errno.
 *
 * The file is opened anew for that: a mapping keeps the locks of the descriptor that it was made
 * from, and the lock must end with the guard.
 */
struct core_attempt_page *core_attempt_page_map(const char *path, bool make);
void core_attempt_page_unmap(struct core_attempt_page *page);

/* What a guard writes down at the end. */
struct core_attempt_end {
    const struct core_outcome *outcome;
    const struct core_status *status;
    int64_t started_unix_ms, finished_unix_ms;
    int64_t log_dropped_bytes;
};

/*
 * A file beside the result that takes as much of the disk as the result may need: a disk that is
 * full by then does not hide how the run ended. -1: it cannot be made.
 */
int core_attempt_result_reserve(const char *folder, int64_t number);
/* Writes it to 'reserved', durably, and puts it in its place. False: it is not there. */
bool core_attempt_result_write(const char *folder, int64_t number, int reserved,
                               const struct core_attempt_end *end);
/*
 * Whoever may write to the spool, as plugins may, may have put anything there: it is believed only
 * as far as the ledger can hold it.
 */
#define CORE_ATTEMPT_LATEST_UNIX_MS INT64_C(253402300799999) /* the end of the year 9999 */
/* Whether it is a status that an attempt ends with. */
bool core_attempt_is_end(const char *status);
/* 'number', or 0 if it is none from 0 to 'most'. */
int64_t core_attempt_number(int64_t number, int64_t most);

/* False: there is none that makes sense. */
bool core_attempt_result_read(const char *folder, int64_t number, struct core_attempt_result *out);

#endif
