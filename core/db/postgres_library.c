/*
 * libpq, loaded once for the process.
 */
#include <db/postgres.h>

#include <os/library.h>

#include <pthread.h>

#define SYMBOL(name)                                                                               \
    {                                                                                              \
        "PQ" #name, offsetof(struct core_libpq, name)                                              \
    }

static const struct core_library_symbol symbols[] = {
    SYMBOL(conninfoParse),
    SYMBOL(conninfoFree),
    SYMBOL(connectStartParams),
    SYMBOL(connectPoll),
    SYMBOL(finish),
    SYMBOL(status),
    SYMBOL(socket),
    SYMBOL(transactionStatus),
    SYMBOL(errorMessage),
    SYMBOL(setErrorVerbosity),
    SYMBOL(setNoticeProcessor),
    SYMBOL(setnonblocking),
    SYMBOL(setSingleRowMode),
    SYMBOL(sendQuery),
    SYMBOL(sendQueryParams),
    SYMBOL(sendPrepare),
    SYMBOL(sendQueryPrepared),
    SYMBOL(flush),
    SYMBOL(consumeInput),
    SYMBOL(isBusy),
    SYMBOL(getResult),
    SYMBOL(getCancel),
    SYMBOL(cancel),
    SYMBOL(freeCancel),
    SYMBOL(resultStatus),
    SYMBOL(resultErrorField),
    SYMBOL(resultMemorySize),
    SYMBOL(ntuples),
    SYMBOL(nfields),
    SYMBOL(fname),
    SYMBOL(ftype),
    SYMBOL(getisnull),
    SYMBOL(getvalue),
    SYMBOL(getlength),
    SYMBOL(cmdTuples),
    SYMBOL(clear),
    SYMBOL(freemem),
};

enum rc_code core_libpq_load(const struct core_libpq **out, struct rc_error *err)
{
    static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    static struct core_libpq library;
    static bool loaded;
    enum rc_code code = RC_OK;

    (void)pthread_mutex_lock(&mutex);
    if (!loaded)
        code = core_library_load("libpq.so.5", symbols, RC_ARRAY_LEN(symbols), &library, err);
    loaded = code == RC_OK;
    (void)pthread_mutex_unlock(&mutex);
    if (code == RC_NOT_FOUND)
        return rc_fail(err, RC_UNSUPPORTED,
                       "a state on PostgreSQL needs the library libpq.so.5, which is not installed "
                       "(Debian: libpq5)");
    *out = &library;
    return code;
}
