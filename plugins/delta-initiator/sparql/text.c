/*
 * Text of others, taken character by character.
 */
#include "text.h"

size_t sparql_text_step(const char *text, size_t len, bool *valid)
{
    const unsigned char *bytes = (const unsigned char *)text;
    unsigned char lead = bytes[0];
    size_t want = lead < 0x80 ? 1 : lead < 0xC2 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    /* No overlong forms, no surrogates, nothing above U+10FFFF. */
    unsigned char low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
    unsigned char high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
    size_t have = 1;

    if (want == 0 || lead > 0xF4) {
        *valid = false;
        return 1;
    }
    while (have < want && have < len && bytes[have] >= low && bytes[have] <= high) {
        low = 0x80;
        high = 0xBF;
        have++;
    }
    *valid = have == want;
    return have;
}

static bool is_blank(char c)
{
    return (unsigned char)c <= ' ' || c == 0x7F;
}

/* Behind a '<': where its tag ends. */
static size_t skip_tag(const char *text, size_t len, size_t at)
{
    while (at < len && text[at] != '>')
        at++;
    return at < len ? at + 1 : len;
}

/* Behind the first paragraph, which an empty line ends. */
static size_t paragraph(const char *text, size_t len, size_t at)
{
    size_t breaks = 0;

    for (; at < len && breaks < 2; at++) {
        if (text[at] == '\n')
            breaks++;
        else if (!is_blank(text[at]))
            breaks = 0;
    }
    return at;
}

void sparql_text_show(struct rc_buf *out, const char *text, size_t len, size_t most)
{
    size_t at = 0, begin = out->len, step;
    bool html, valid, blank = false;

    while (at < len && is_blank(text[at]))
        at++;
    html = at < len && text[at] == '<';
    if (!html)
        len = paragraph(text, len, at);
    for (; at < len; at += step) {
        step = sparql_text_step(text + at, len - at, &valid);
        if (is_blank(text[at]) || (html && text[at] == '<')) {
            step = text[at] == '<' ? skip_tag(text, len, at) - at : 1;
            blank = out->len > begin;
            continue;
        }
        if (out->len - begin + blank + (valid ? step : 3) > most) {
            rc_buf_adds(out, "...");
            return;
        }
        if (blank)
            rc_buf_addc(out, ' ');
        blank = false;
        if (valid)
            rc_buf_add(out, text + at, step);
        else
            rc_buf_adds(out, "\xEF\xBF\xBD");
    }
}
