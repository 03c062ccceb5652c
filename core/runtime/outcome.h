/*
 * How a run ended: what the guard saw of the worker's process, and what the worker left in its
 * status, made into one verdict.
 */
#ifndef CORE_RUNTIME_OUTCOME_H
#define CORE_RUNTIME_OUTCOME_H

#include <runtime/run.h>

#include <sys/resource.h>

struct core_outcome {
    const char *status;            /* succeeded, failed, skipped, cancelled, timed_out or lost */
    char reason[CORE_STATUS_NAME]; /* a word for programs; empty if it succeeded */
    char message[2 * RC_ERROR_TEXT + 8]; /* for people; empty if it succeeded */
    int exit_status;
    double seconds;
};

/* What the guard saw. */
struct core_ending {
    int wait_status;         /* of the worker, see wait(2) */
    struct rusage usage;     /* of it and what it waited for */
    int stop_signal;         /* the first one that asked the run to stop; or 0 */
    const char *stop_reason; /* the word for who asked; NULL: "signal" */
    bool timed_out, killed;  /* its time was up; the guard sent SIGKILL */
    bool is_deserted;        /* it was stopped as its daemon was not heard of */
    bool out_of_memory;      /* the kernel ended a process of it, for its limits.memory */
};

/* Sets the outcome's reason if it has none yet. */
void core_outcome_set(struct core_outcome *out, const char *status, int exit_status,
                      const char *reason);
void core_outcome_judge(const struct core_run *run, const struct core_ending *ending,
                        struct core_outcome *out);

/* The one message about the end, with the counters as fields. */
void core_outcome_log(const struct core_run *run, const struct core_outcome *outcome);

#endif
