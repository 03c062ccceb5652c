/*
 * Which bytes are characters of UTF-8 (RFC 3629).
 */
#include <base/utf8.h>

#include <string.h>

/* What a lead byte says about its character: the length, and the range of the second byte. */
struct utf8_lead {
    size_t len; /* 0: no character begins so */
    unsigned char low, high;
};

/*
 * The narrowed ranges of the second byte keep out overlong forms, surrogates and what
 * lies above U+10FFFF (Unicode, table 3-7).
 */
static struct utf8_lead utf8_lead(unsigned char c)
{
    if (c < 0x80)
        return (struct utf8_lead){ .len = 1 };
    if (c >= 0xC2 && c <= 0xDF)
        return (struct utf8_lead){ .len = 2, .low = 0x80, .high = 0xBF };
    if (c >= 0xE0 && c <= 0xEF)
        return (struct utf8_lead){ .len = 3,
                                   .low = c == 0xE0 ? 0xA0 : 0x80,
                                   .high = c == 0xED ? 0x9F : 0xBF };
    if (c >= 0xF0 && c <= 0xF4)
        return (struct utf8_lead){ .len = 4,
                                   .low = c == 0xF0 ? 0x90 : 0x80,
                                   .high = c == 0xF4 ? 0x8F : 0xBF };
    return (struct utf8_lead){ .len = 0 };
}

size_t core_utf8_next(const char *text, size_t len, bool *valid)
{
    const unsigned char *bytes = (const unsigned char *)text;
    struct utf8_lead lead = utf8_lead(bytes[0]);
    size_t have = 1;

    while (have < lead.len && have < len) {
        unsigned char low = have == 1 ? lead.low : 0x80;
        unsigned char high = have == 1 ? lead.high : 0xBF;

        if (bytes[have] < low || bytes[have] > high)
            break;
        have++;
    }
    *valid = have == lead.len;
    return have;
}

bool core_utf8_are_valid(const char *bytes, size_t len)
{
    bool valid = true;

    for (size_t at = 0; valid && at < len;)
        at += core_utf8_next(bytes + at, len - at, &valid);
    return valid;
}

bool core_utf8_is_valid(const char *text)
{
    return core_utf8_are_valid(text, strlen(text));
}
