/*
 * The wish that a run should stop, seen by every layer. Set from a signal, a watchdog
 * or another thread, read anywhere. All functions are thread-safe; core_cancel_request() is
 * async-signal-safe too.
 */
#ifndef CORE_BASE_CANCEL_H
#define CORE_BASE_CANCEL_H

#include <run-core/error.h>

#include <stdatomic.h>

struct core_cancel {
    atomic_int code;                  /* enum rc_code; RC_OK while nobody asked */
    const struct core_cancel *parent; /* a wish there counts here too; or NULL */
};

/* clang-format off */
#define CORE_CANCEL_INIT { 0, NULL }
/* clang-format on */

/* 'code' is RC_CANCELLED or RC_TIMEOUT. The first wish stays. */
void core_cancel_request(struct core_cancel *cancel, enum rc_code code);

/* RC_OK, or the code of the wish. 'cancel' may be NULL: never. */
enum rc_code core_cancel_code(const struct core_cancel *cancel);

/* The same as an error: "the run was asked to stop" or "the run's time is up". */
RC_MUST_CHECK enum rc_code core_cancel_check(const struct core_cancel *cancel,
                                             struct rc_error *err);

#endif
