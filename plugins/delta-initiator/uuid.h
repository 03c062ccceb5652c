/*
 * UUIDs (RFC 9562), as the names of what is stored end with.
 */
#ifndef DELTA_UUID_H
#define DELTA_UUID_H

#include <run-core/error.h>

#include <stddef.h>

enum { DELTA_UUID_TEXT = 37 };

/* A random one (version 4). RC_FAILED: the system gives no random bytes. */
RC_MUST_CHECK enum rc_code delta_uuid(char out[DELTA_UUID_TEXT], struct rc_error *err);

/*
 * That of a text (version 8, by FNV-1a of 128 bits): the same one wherever and whenever it is asked
 * for, and another one for another text, short of ill will.
 */
void delta_uuid_of(const void *text, size_t len, char out[DELTA_UUID_TEXT]);

#endif
