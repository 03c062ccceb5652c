/*
 * Filling and extending struct rc_error, and what the codes mean. Texts are put together
 * in local memory first, so that an argument may point into the error that is being filled.
 */
#include <run-core/error.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char ellipsis[] = "...";

/*
 * Ends 'text', of which 'size' bytes are too few, with "...": behind the last character
 * that is whole. Text that is not UTF-8 is cut anywhere.
 */
static void cut(char *text, size_t size)
{
    size_t end = size - sizeof(ellipsis);

    for (int back = 0; back < 3 && end > 0 && (text[end] & 0xC0) == 0x80; back++)
        end--;
    memcpy(text + end, ellipsis, sizeof(ellipsis));
}

/* Formats into 'text', cut to 'size' bytes. */
RC_PRINTF(3, 0)
static void format_cut(char *text, size_t size, const char *format, va_list arguments)
{
    int needed = vsnprintf(text, size, format, arguments);

    if (needed < 0)
        snprintf(text, size, "(an error whose text cannot be formatted)");
    else if ((size_t)needed >= size)
        cut(text, size);
}

static enum rc_code set(struct rc_error *err, enum rc_code code, const char *cause)
{
    RC_ASSERT(code != RC_OK);
    err->code = code;
    memcpy(err->cause, cause, strlen(cause) + 1);
    err->context[0] = '\0';
    return code;
}

enum rc_code rc_fail(struct rc_error *err, enum rc_code code, const char *format, ...)
{
    char cause[RC_ERROR_TEXT];
    va_list arguments;

    va_start(arguments, format);
    format_cut(cause, sizeof(cause), format, arguments);
    va_end(arguments);
    return set(err, code, cause);
}

static enum rc_code code_of_errno(int error_number)
{
    switch (error_number) {
    case ENOENT:
    case ENOTDIR:
    case ESRCH:
    case ENXIO:
    case ENODEV:
        return RC_NOT_FOUND;
    case EACCES:
    case EPERM:
    case EROFS:
        return RC_DENIED;
    case EEXIST:
    case ENOTEMPTY:
        return RC_CONFLICT;
    case EINVAL:
    case EISDIR:
    case ELOOP:
    case ENAMETOOLONG:
        return RC_INVALID;
    case EFBIG:
    case EOVERFLOW:
    case E2BIG:
    case EMSGSIZE:
        return RC_TOO_LARGE;
    case ENOSYS:
    case EOPNOTSUPP:
    case EXDEV:
    case EAFNOSUPPORT:
    case EPROTONOSUPPORT:
        return RC_UNSUPPORTED;
    case EBADMSG:
    case EILSEQ:
        return RC_CORRUPT;
    case ETIMEDOUT:
        return RC_TIMEOUT;
    case ECANCELED:
        return RC_CANCELLED;
    case ENOSPC:
    case EDQUOT:
    case EAGAIN:
    case EINTR:
    case EBUSY:
    case ETXTBSY:
    case ENOMEM:
    case ENOBUFS:
    case EMFILE:
    case ENFILE:
    case ENOLCK:
    case ESTALE:
    case EPIPE:
    case EADDRINUSE:
    case ECONNREFUSED:
    case ECONNRESET:
    case ECONNABORTED:
    case ENOTCONN:
    case ENETDOWN:
    case ENETUNREACH:
    case ENETRESET:
    case EHOSTDOWN:
    case EHOSTUNREACH:
        return RC_UNAVAILABLE;
    default:
        return RC_FAILED;
    }
}

enum rc_code rc_fail_errno(struct rc_error *err, int error_number, const char *format, ...)
{
    char cause[RC_ERROR_TEXT];
    char scratch[128];
    const char *reason = strerror_r(error_number, scratch, sizeof(scratch));
    size_t reason_len = strlen(reason);
    va_list arguments;

    /* The reason matters more than the end of a long name, so its room is kept free. */
    RC_ASSERT(reason_len + 2 < sizeof(cause) / 2);
    va_start(arguments, format);
    format_cut(cause, sizeof(cause) - reason_len - 2, format, arguments);
    va_end(arguments);

    size_t len = strlen(cause);
    memcpy(cause + len, ": ", 2);
    memcpy(cause + len + 2, reason, reason_len + 1);
    return set(err, code_of_errno(error_number), cause);
}

/* Whether what was put in front of an error last, or its cause itself, says it already. */
static bool is_said(const struct rc_error *err, const char *step)
{
    const char *text = err->context[0] != '\0' ? err->context : err->cause;
    size_t len = strlen(step);

    return strcmp(err->context, step) == 0 ||
           (strncmp(text, step, len) == 0 && strncmp(text + len, ": ", 2) == 0);
}

enum rc_code rc_context(struct rc_error *err, const char *format, ...)
{
    char outer[RC_ERROR_TEXT];
    char chain[RC_ERROR_TEXT];
    va_list arguments;

    va_start(arguments, format);
    format_cut(outer, sizeof(outer), format, arguments);
    va_end(arguments);

    if (is_said(err, outer))
        return err->code;

    const char *separator = err->context[0] != '\0' ? ": " : "";
    int needed = snprintf(chain, sizeof(chain), "%s%s%s", outer, separator, err->context);
    if ((size_t)needed >= sizeof(chain))
        cut(chain, sizeof(chain));
    memcpy(err->context, chain, strlen(chain) + 1);
    return err->code;
}

bool rc_retryable(enum rc_code code)
{
    return code == RC_UNAVAILABLE || code == RC_TIMEOUT;
}

const char *rc_code_name(enum rc_code code)
{
    static const char *const names[] = {
        [RC_OK] = "ok",
        [RC_FAILED] = "failed",
        [RC_INVALID] = "invalid",
        [RC_NOT_FOUND] = "not_found",
        [RC_CONFLICT] = "conflict",
        [RC_DENIED] = "denied",
        [RC_TOO_LARGE] = "too_large",
        [RC_UNSUPPORTED] = "unsupported",
        [RC_CORRUPT] = "corrupt",
        [RC_UNAVAILABLE] = "unavailable",
        [RC_TIMEOUT] = "timeout",
        [RC_CANCELLED] = "cancelled",
        [RC_SKIPPED] = "skipped",
    };

    return (size_t)code < RC_ARRAY_LEN(names) ? names[code] : "unknown";
}
