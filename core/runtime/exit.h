/*
 * Exit statuses of every command, the same for people, scripts and the daemon. Others are
 * 128 + N: ended by signal N.
 */
#ifndef CORE_RUNTIME_EXIT_H
#define CORE_RUNTIME_EXIT_H

enum core_exit {
    CORE_EXIT_OK = 0,      /* done, also when there was nothing to do */
    CORE_EXIT_FAILED = 1,  /* the job failed */
    CORE_EXIT_USAGE = 2,   /* usage or configuration */
    CORE_EXIT_SKIPPED = 3, /* another run holds the lock, or a precondition says not now */
    CORE_EXIT_TIMEOUT = 124,
    CORE_EXIT_SIGNAL = 128, /* plus the signal's number */
};

#endif
