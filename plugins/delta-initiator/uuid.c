/*
 * UUIDs from random bytes of the system, and from a text.
 */
#include "uuid.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/random.h>

__extension__ typedef unsigned __int128 wide;

enum { UUID_BYTES = 16 };

/* RFC 9562, section 4: version and variant have their bits, the rest is as given. */
static void write_uuid(uint8_t bytes[UUID_BYTES], unsigned version, char out[DELTA_UUID_TEXT])
{
    size_t len = 0;

    bytes[6] = (uint8_t)((bytes[6] & 0x0fu) | version << 4);
    bytes[8] = (uint8_t)((bytes[8] & 0x3fu) | 0x80u);
    for (size_t i = 0; i < UUID_BYTES; i++) {
        const char *dash = i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "";

        len += (size_t)snprintf(out + len, DELTA_UUID_TEXT - len, "%s%02x", dash, bytes[i]);
    }
}

enum rc_code delta_uuid(char out[DELTA_UUID_TEXT], struct rc_error *err)
{
    uint8_t bytes[UUID_BYTES];
    ssize_t got;

    do
        got = getrandom(bytes, sizeof(bytes), 0);
    while (got < 0 && errno == EINTR);
    /* So few bytes come all at once or not at all. */
    if (got != (ssize_t)sizeof(bytes))
        return rc_fail(err, RC_FAILED, "the system gives no random bytes for a UUID");
    write_uuid(bytes, 4, out);
    return RC_OK;
}

void delta_uuid_of(const void *text, size_t len, char out[DELTA_UUID_TEXT])
{
    const uint8_t *at = text;
    wide prime = (wide)1 << 88 | 0x13b;
    wide hash = (wide)0x6c62272e07bb0142 << 64 | 0x62b821756295c58d;
    uint8_t bytes[UUID_BYTES];

    for (size_t i = 0; i < len; i++)
        hash = (hash ^ at[i]) * prime;
    for (size_t i = UUID_BYTES; i-- > 0; hash >>= 8)
        bytes[i] = (uint8_t)hash;
    write_uuid(bytes, 8, out);
}
