/*
 * The record of what was erased, for an auditor: JSON lines, one for each user and shard, made of
 * the journal. A report is named in the journal before it is written, and holds what was named
 * then, so that written again it is the same.
 */
#ifndef DSR_REPORT_H
#define DSR_REPORT_H

#include "journal.h"

/* Writes what no report has yet, and finishes reports that a run which died had begun. */
RC_MUST_CHECK enum rc_code dsr_report_write(struct rc_job *job, struct dsr_journal *journal,
                                            const struct dsr_config *config,
                                            const struct dsr_places *places, struct rc_error *err);

/* The action: prints the record, of all or of one user. */
enum rc_code dsr_report_run(struct rc_job *job, const void *config, struct rc_error *err);

#endif
