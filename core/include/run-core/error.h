/*
 * Errors: a code says what the caller can do about it, a struct says what happened.
 *
 * Every function that can fail returns enum rc_code and takes a struct rc_error *,
 * never NULL, as its last argument. The struct belongs to the caller and has a fixed
 * size; it and all outputs mean something only as the return value says. An error
 * is either returned or logged, never both: who returns one adds context, and the
 * job runner logs it once.
 */
#ifndef RUN_CORE_ERROR_H
#define RUN_CORE_ERROR_H

#include <run-core/attr.h>

#include <stdbool.h>

/* Chosen by what a caller does differently. New codes are only ever added at the end. */
enum rc_code {
    RC_OK = 0,
    RC_FAILED,      /* the work failed, and would fail again */
    RC_INVALID,     /* input or configuration is wrong: somebody must correct it */
    RC_NOT_FOUND,   /* the thing named is not there */
    RC_CONFLICT,    /* somebody else was first: read again and decide */
    RC_DENIED,      /* credentials or permissions do not allow it */
    RC_TOO_LARGE,   /* more than the limit that the caller set */
    RC_UNSUPPORTED, /* this backend or build cannot do it */
    RC_CORRUPT,     /* data that was read is damaged */
    RC_UNAVAILABLE, /* a passing fault: the same call may succeed later */
    RC_TIMEOUT,     /* a limit of time was reached; the effect of a write is unknown */
    RC_CANCELLED,   /* the run was asked to stop */
    RC_SKIPPED,     /* a precondition says: not now */
};

enum { RC_ERROR_TEXT = 768 };

struct rc_error {
    enum rc_code code;
    char cause[RC_ERROR_TEXT];   /* the root: what came back */
    char context[RC_ERROR_TEXT]; /* what was attempted, outermost first, "a: b: c" */
};

/* clang-format off */
#define RC_ERROR_INIT { RC_OK, "", "" }
/* clang-format on */

RC_BEGIN_DECLS

/*
 * Sets code and cause, empties the context, and returns 'code', which is not RC_OK.
 * A text that does not fit is cut at a character's boundary and ends with "...".
 * The arguments may point into 'err' itself.
 */
enum rc_code rc_fail(struct rc_error *err, enum rc_code code, const char *format, ...)
    RC_PRINTF(3, 4);

/* The same for a failed system call: the cause ends with ": " and the text of 'error_number';
 * the code follows from the number (ENOENT is RC_NOT_FOUND, EACCES RC_DENIED, ...). */
enum rc_code rc_fail_errno(struct rc_error *err, int error_number, const char *format, ...)
    RC_PRINTF(3, 4);

/*
 * Puts what was being attempted in front of the context, and returns the code that
 * 'err' has. What stands there already, since who was asked for it said the same, is
 * not said twice. When the chain is full its inner end is cut; the cause is never touched.
 */
enum rc_code rc_context(struct rc_error *err, const char *format, ...) RC_PRINTF(2, 3);

/* Whether the same call may succeed if it is made again later. */
bool rc_retryable(enum rc_code code);

/* "not_found" for RC_NOT_FOUND; a constant. */
const char *rc_code_name(enum rc_code code);

RC_END_DECLS
#endif
