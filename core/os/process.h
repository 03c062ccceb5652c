/*
 * Processes: who one is, and whether it still lives.
 */
#ifndef CORE_OS_PROCESS_H
#define CORE_OS_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { CORE_PROCESS_TEXT = 160 };

/* Tells a process from all others, across restarts of the machine and reuse of numbers. */
struct core_process_id {
    char host[CORE_PROCESS_TEXT]; /* boot id and pid namespace: equal where pids mean the same */
    pid_t pid;
    uint64_t start_ticks; /* field 22 of /proc/PID/stat, see proc(5) */
};

/* The calling process. */
void core_process_self(struct core_process_id *out);

enum core_process_state {
    CORE_PROCESS_ALIVE,
    CORE_PROCESS_ENDING, /* killed, but the kernel has not finished with it, such as with its I/O */
    CORE_PROCESS_DEAD,   /* also a zombie */
    CORE_PROCESS_ELSEWHERE, /* not of this machine or pid namespace, so nobody here can tell */
};

enum core_process_state core_process_look(const struct core_process_id *id);

/*
 * Sends the signal to a process that lives, and to no other that has its number by now. The state
 * is what it was found in: only what is ALIVE got the signal.
 */
enum core_process_state core_process_signal(const struct core_process_id *id, int number);

/*
 * Lets this process have as many descriptors as it may (RLIMIT_NOFILE), and a forked child as many
 * as the process had before: programs that use select(2) cannot live with more.
 */
void core_process_raise_descriptors(void);
void core_process_restore_descriptors(void);

/*
 * Puts the large parts of this process's memory into huge pages, where the kernel has them: to fork
 * a process takes time with the number of its pages. For a process that forks often, after what it
 * keeps was loaded; takes some milliseconds, and has no other effect.
 */
void core_process_join_pages(void);

/* Processes whose parent this one is, at most 'count' of them; also those that have ended. */
size_t core_process_children(pid_t *out, size_t count);

#endif
