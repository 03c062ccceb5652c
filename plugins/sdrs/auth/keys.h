/*
 * The keys that tokens are believed by: read from where the configuration says, and again when they
 * are old or one is missed. Shared by all threads.
 */
#ifndef SDRS_KEYS_H
#define SDRS_KEYS_H

#include "../config.h"
#include "jwks.h"

#include <pthread.h>

/* Where the keys of a process are kept. To be made by SDRS_KEYS_INIT. */
struct sdrs_keys {
    pthread_mutex_t mutex;   /* of the members below */
    pthread_mutex_t reading; /* held by the one thread that reads them anew */
    char *source;            /* what 'current' is of; NULL: nothing was read */
    struct sdrs_jwks *current;
    bool was_tried;
    int64_t tried_mono_ms, read_mono_ms;
};

/* clang-format off */
#define SDRS_KEYS_INIT                                                                             \
    { PTHREAD_MUTEX_INITIALIZER, PTHREAD_MUTEX_INITIALIZER, NULL, NULL, false, 0, 0 }
/* clang-format on */

enum { SDRS_KEYS_PAUSE_MS = 10 * 1000 }; /* between two attempts to read them */

/*
 * The keys for a token that names 'kid', which may not be among them all the same; the caller frees
 * them. Where reading them anew fails, the old ones are given, with a warning.
 *
 * RC_UNAVAILABLE: there are none yet; why is in the log.
 */
RC_MUST_CHECK enum rc_code sdrs_keys_get(struct sdrs_keys *keys, struct rc_job *job,
                                         const struct sdrs_config *config, const char *kid,
                                         int64_t now_mono_ms, struct sdrs_jwks **out,
                                         struct rc_error *err);
void sdrs_keys_clear(struct sdrs_keys *keys);

#endif
