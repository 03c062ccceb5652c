/*
 * Holding a new file against the old one, before it takes its place: the last part of step R2 of
 * README.md.
 */
#ifndef DSR_VERIFY_H
#define DSR_VERIFY_H

#include "run.h"

/* Both files, in scratch files. All of it is borrowed. */
struct dsr_change {
    const char *uri; /* of the object */
    const struct dsr_table *table;
    const struct dsr_users *users;
    const struct dsr_found *found; /* the rows that go */
    const struct rc_buf *seen;     /* while the new file was written */
    struct dsr_scratch_file *before, *after;
};

/*
 * Whether the new file is the old one, which is open as 'before', but for the rows that were found;
 * and, unless with verify: values, whether these are the users' rows to the SQL engine too, if it
 * reads files of this process. Of an object
 * all of whose rows go there is no new file, and only that is asked. RC_FAILED: not so. For a while
 * it takes as much scratch space as found->id_bytes.
 */
RC_MUST_CHECK enum rc_code dsr_verify(struct dsr_run *run, struct rc_job *job,
                                      const struct dsr_change *change, const struct pq_file *before,
                                      struct rc_error *err);

#endif
