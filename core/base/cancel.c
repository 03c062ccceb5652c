/*
 * The wish that a run should stop. Lock-free, so that a signal handler may express it.
 */
#include <base/cancel.h>

#if ATOMIC_INT_LOCK_FREE != 2
#error "core_cancel_request() is called in signal handlers and needs a lock-free atomic_int"
#endif

void core_cancel_request(struct core_cancel *cancel, enum rc_code code)
{
    int nobody = RC_OK;

    atomic_compare_exchange_strong(&cancel->code, &nobody, (int)code);
}

enum rc_code core_cancel_code(const struct core_cancel *cancel)
{
    for (; cancel; cancel = cancel->parent) {
        int code = atomic_load(&cancel->code);

        if (code != RC_OK)
            return (enum rc_code)code;
    }
    return RC_OK;
}

enum rc_code core_cancel_check(const struct core_cancel *cancel, struct rc_error *err)
{
    enum rc_code code = core_cancel_code(cancel);

    if (code == RC_OK)
        return RC_OK;
    return rc_fail(err, code, "%s",
                   code == RC_TIMEOUT ? "the run's time is up" : "the run was asked to stop");
}
