/*
 * Terms of SPARQL: IRIs are judged and written as they are, since IRIREF knows no escapes; strings
 * are escaped.
 */
#include "term.h"

#include "text.h"

#include <run-core/time.h>

#include <string.h>

/* ---- IRIs ------------------------------------------------------------------------------------ */

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* The length of the scheme in front of the first colon; 0: there is none (RFC 3986, 3.1). */
static size_t scheme_len(const char *text)
{
    size_t len = 0;

    if (!is_letter(text[0]))
        return 0;
    while (is_letter(text[len]) || (text[len] >= '0' && text[len] <= '9') || text[len] == '+' ||
           text[len] == '-' || text[len] == '.')
        len++;
    return text[len] == ':' ? len : 0;
}

/* At the first character that IRIREF excludes, or the end; *valid false: it is no character. */
static size_t iri_len(const char *text, bool *valid)
{
    size_t len = strlen(text), at = 0, step;

    *valid = true;
    for (; at < len; at += step) {
        if ((unsigned char)text[at] <= ' ' || strchr("<>\"{}|^`\\", text[at]))
            break;
        step = sparql_text_step(text + at, len - at, valid);
        if (!*valid)
            break;
    }
    return at;
}

enum rc_code sparql_iri_check(const char *text, struct rc_error *err)
{
    bool valid;
    size_t at = iri_len(text, &valid), scheme = scheme_len(text);
    unsigned char c = (unsigned char)text[at];

    if (!valid)
        return rc_fail(err, RC_INVALID, "an IRI is UTF-8, and what stands behind %zu bytes is not",
                       at);
    if (c != '\0' && (c < ' ' || c == ' '))
        return rc_fail(err, RC_INVALID, "'%.*s' is followed by %s, which no IRI may hold", (int)at,
                       text, c == ' ' ? "a blank" : "a control character");
    if (c != '\0')
        return rc_fail(err, RC_INVALID, "'%s' holds '%c', which no IRI may hold", text, c);
    if (scheme == 0)
        return rc_fail(
            err, RC_INVALID,
            "'%s' is no absolute IRI: it does not begin with a scheme, such as http:", text);
    if (text[scheme + 1] == '\0')
        return rc_fail(err, RC_INVALID, "'%s' is no absolute IRI: nothing follows its scheme",
                       text);
    return RC_OK;
}

bool sparql_iri_is_valid(const char *text)
{
    struct rc_error ignored = RC_ERROR_INIT;

    return sparql_iri_check(text, &ignored) == RC_OK;
}

void sparql_add_iri(struct rc_buf *out, const char *iri)
{
    RC_ASSERT(sparql_iri_is_valid(iri));
    rc_buf_addc(out, '<');
    rc_buf_adds(out, iri);
    rc_buf_addc(out, '>');
}

/* ---- literals -------------------------------------------------------------------------------- */

/*
 * The escapes of a JSON string are all ones of SPARQL, too, with the same meaning, but for what
 * parsers make of code points. Some resolve them before they look for strings, and so take the 'u'
 * behind "\\" for the begin of one; where it is written as a code point itself, every way of
 * reading gives the same text. And some take more than four digits behind \u, so there are eight.
 */
void sparql_add_string(struct rc_buf *out, const char *text, size_t len)
{
    RC_BUF_AUTO(json, out->limit);
    size_t start = out->len, plain = 0, at = 0;

    rc_buf_add_json(&json, text, len);
    while (at < json.len) {
        const char *escape = json.data + at;

        if (escape[0] != '\\') {
            at++;
        } else if (escape[1] == 'u') {
            rc_buf_add(out, json.data + plain, at - plain);
            rc_buf_adds(out, "\\U0000");
            plain = at + 2;
            at += 6;
        } else if (escape[1] == '\\' && (escape[2] == 'u' || escape[2] == 'U')) {
            rc_buf_add(out, json.data + plain, at + 2 - plain);
            rc_buf_addf(out, "\\U%08X", (unsigned)escape[2]);
            plain = at += 3;
        } else {
            at += 2;
        }
    }
    rc_buf_add(out, json.data + plain, json.len - plain);
    if (json.overflow)
        out->overflow = true;
    if (out->overflow)
        rc_buf_truncate(out, start);
}

void sparql_add_time(struct rc_buf *out, int64_t unix_ms)
{
    char text[RC_TIME_TEXT];
    size_t len = strlen(rc_format_time(unix_ms, text)) - 1; /* without the Z */
    bool whole = unix_ms % 1000 == 0;

    rc_buf_addf(out, "\"%.*s%sZ\"^^<http://www.w3.org/2001/XMLSchema#dateTime>", (int)len, text,
                whole ? ".000" : "");
}
