/*
 * The chronology: what stands in the way of a job, given the jobs that there are. Pure; the same
 * rules are asked of the store within the update that creates a job (statements.h), and of a list
 * that was read, to say why there is none.
 *
 *   dump           not while a dump, an initial sync or a healing is active
 *   healing        the same, and only after an initial sync that succeeded, unless told not to wait
 *   initial sync   once: not if one is there, unless all that are there failed, the last of them
 *                  long enough ago; and not while a dump or a healing that is enabled is active
 *
 * Active is scheduled or busy. 'force' lifts all of it but the first half of the last rule: a
 * forced initial sync begins where all others failed, however short ago.
 */
#ifndef DELTA_RULES_H
#define DELTA_RULES_H

#include "entries.h"

enum delta_status {
    DELTA_SCHEDULED,
    DELTA_BUSY,
    DELTA_SUCCESS,
    DELTA_FAILED,
    DELTA_CANCELED,
    DELTA_STATUS_COUNT,
    DELTA_OTHER_STATUS = DELTA_STATUS_COUNT, /* none, or one that is not of these; not active */
};

#define DELTA_TIME_UNKNOWN INT64_MIN

/* A job as it stands in the store. */
struct delta_job {
    char *uri; /* owned by the list that it is in */
    enum delta_kind kind;
    enum delta_status status;
    int64_t created_unix_ms, modified_unix_ms; /* DELTA_TIME_UNKNOWN: none that can be read */
};

struct delta_rules {
    bool blocked_by[DELTA_KIND_COUNT]; /* by an active job of that kind */
    bool needs_initial_sync;           /* one with the status success */
    bool once;                         /* a job of the same kind that did not fail is enough */
    int64_t failed_before_unix_ms; /* with 'once': failed ones were modified before this; one of an
                                      unknown time was. INT64_MIN: they are never tried again,
                                      INT64_MAX: at once */
};

enum delta_verdict {
    DELTA_FREE,            /* nothing stands in its way */
    DELTA_DONE,            /* with 'once': there is one, nothing to do */
    DELTA_BLOCKED,         /* by active jobs */
    DELTA_TOO_EARLY,       /* no initial sync has succeeded */
    DELTA_FAILED_LATELY,   /* with 'once': failed, and is not to be tried again yet */
    DELTA_FAILED_FOR_GOOD, /* with 'once': failed, and is to be tried again by hand alone */
};

void delta_rules_make(const struct delta_config *config, const struct delta_entry *entry,
                      enum delta_kind kind, bool force, int64_t now_unix_ms,
                      struct delta_rules *out);

/*
 * Whether 'job' is a reason of 'verdict', to be named in its message. Of TOO_EARLY that is an
 * initial sync which is on its way.
 */
bool delta_rules_names(const struct delta_rules *rules, enum delta_verdict verdict,
                       enum delta_kind kind, const struct delta_job *job);

/*
 * 'kind' is that of the job to come, here and above. Of several verdicts the first in this order:
 * DONE, FAILED_FOR_GOOD, FAILED_LATELY, TOO_EARLY, BLOCKED.
 */
enum delta_verdict delta_rules_judge(const struct delta_rules *rules, enum delta_kind kind,
                                     const struct delta_job *jobs, size_t count);

bool delta_is_active(enum delta_status status);

/* Active jobs that were modified then or before have timed out, where the configuration says so. */
int64_t delta_deadline_unix_ms(const struct delta_config *config, int64_t now_unix_ms);
/* Never one that does not say when it was modified. */
bool delta_is_overdue(const struct delta_job *job, const struct delta_config *config,
                      int64_t now_unix_ms);

/* "busy"; "other". */
const char *delta_status_name(enum delta_status status);

#endif
