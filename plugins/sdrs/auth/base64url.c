/*
 * Decodes base64url, strictly.
 */
#include "base64url.h"

#include <stdint.h>

enum { NO_DIGIT = 64 };

static unsigned digit_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return (unsigned)(c - 'A');
    if (c >= 'a' && c <= 'z')
        return (unsigned)(c - 'a') + 26;
    if (c >= '0' && c <= '9')
        return (unsigned)(c - '0') + 52;
    return c == '-' ? 62 : c == '_' ? 63 : NO_DIGIT;
}

bool sdrs_base64url_decode(const char *text, size_t len, struct rc_buf *out)
{
    uint32_t bits = 0;
    unsigned count = 0; /* of bits that wait for the rest of their byte */

    if (len % 4 == 1)
        return false;
    for (size_t i = 0; i < len; i++) {
        unsigned digit = digit_of(text[i]);

        if (digit == NO_DIGIT)
            return false;
        bits = bits << 6 | digit;
        count += 6;
        if (count >= 8) {
            count -= 8;
            rc_buf_addc(out, (char)(unsigned char)(bits >> count));
            bits &= (1u << count) - 1;
        }
    }
    return bits == 0 && !out->overflow;
}
