/*
 * The mover: many copies, moves and removals at once between any two stores. The semantics are
 * those of <run-core/transfer.h>.
 */
#ifndef CORE_STORAGE_TRANSFER_H
#define CORE_STORAGE_TRANSFER_H

#include <storage/storage.h>

#include <run-core/transfer.h>

/*
 * RC_INVALID: the request makes no sense. RC_CONFLICT: a source was replaced meanwhile. Else the
 * first failure, or RC_CANCELLED; *out counts what was done either way.
 */
RC_MUST_CHECK enum rc_code core_transfer_run(struct core_storage *storage,
                                             const struct rc_transfer *transfer,
                                             struct rc_transferred *out, struct rc_error *err);

/* RC_INVALID: the request has a token that it cannot go on from. */
RC_MUST_CHECK enum rc_code core_transfer_check_token(const struct rc_transfer *transfer,
                                                     struct rc_error *err);

#endif
