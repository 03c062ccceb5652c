/*
 * Judges the bytes of a configuration before anything else reads them, so that the
 * message has a place and names the remedy.
 */
#include <config/reader.h>

#include <string.h>

/* The length of the UTF-8 character at 'text' (RFC 3629, section 4), or 0. */
static size_t character(const unsigned char *text, size_t len)
{
    unsigned char first = text[0], low = 0x80, high = 0xBF;
    size_t bytes = first < 0x80                    ? 1
                   : first >= 0xC2 && first < 0xE0 ? 2
                   : first >= 0xE0 && first < 0xF0 ? 3
                   : first >= 0xF0 && first < 0xF5 ? 4
                                                   : 0;

    if (bytes == 0 || bytes > len)
        return 0;
    if (first == 0xE0)
        low = 0xA0;
    else if (first == 0xED)
        high = 0x9F; /* surrogates */
    else if (first == 0xF0)
        low = 0x90;
    else if (first == 0xF4)
        high = 0x8F;
    if (bytes > 1 && (text[1] < low || text[1] > high))
        return 0;
    for (size_t i = 2; i < bytes; i++)
        if ((text[i] & 0xC0) != 0x80)
            return 0;
    return bytes;
}

static bool is_control(unsigned char c)
{
    return c < 0x20 && c != '\t' && c != '\n' && c != '\r';
}

static void report(const struct core_reader *reader, const struct core_place *place,
                   const unsigned char *text, size_t at, size_t len)
{
    if (at == 0 && len >= 2 &&
        ((text[0] == 0xFF && text[1] == 0xFE) || (text[0] == 0xFE && text[1] == 0xFF)))
        core_reader_problem(reader, place, "the file is UTF-16; save it as UTF-8");
    else if (is_control(text[at]))
        core_reader_problem(reader, place,
                            "the control character 0x%02X cannot stand in a configuration",
                            text[at]);
    else
        core_reader_problem(reader, place, "the byte 0x%02X is not UTF-8; save the file as UTF-8",
                            text[at]);
}

bool core_reader_check_text(const struct core_reader *reader, const char *text, size_t len)
{
    const unsigned char *bytes = (const unsigned char *)text;
    size_t line = 1, column = 1, at = 0;

    while (at < len) {
        size_t step = character(bytes + at, len - at);

        if (step == 0 || is_control(bytes[at])) {
            const struct core_place place = core_reader_place(reader, line, column);

            report(reader, &place, bytes, at, len);
            return false;
        }
        column++;
        if (bytes[at] == '\n' || (bytes[at] == '\r' && !(at + 1 < len && bytes[at + 1] == '\n'))) {
            line++;
            column = 1;
        }
        at += step;
    }
    return true;
}
