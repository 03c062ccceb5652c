/*
 * What a server says of a failed statement, as it may stand in errors, logs and notifications: on
 * one line, without what it quotes of the data, and with room for what a user can do about it.
 */
#include <sql/presto.h>

#include <run-core/str.h>

#include <ctype.h>
#include <string.h>

static const char ellipsis[] = "...";

/* ---- values ---------------------------------------------------------------------------------- */

/* Failures of values, which their messages quote. */
static const char *const of_values[] = {
    "INVALID_CAST_ARGUMENT",
    "INVALID_FUNCTION_ARGUMENT",
    "NUMERIC_VALUE_OUT_OF_RANGE",
};

/* The same in the words of messages that come under other names. */
static const char *const words_of_values[] = {
    "Cannot cast '",
    "Cannot convert value to JSON: ",
    "Error parsing field value '",
    "For input string: ",
    "Invalid value: ",
    "Unrecognized token '",
    "Value cannot be cast to ",
    "[Source: ",
};

/* Values that stand between words, without quotation marks. */
static const struct {
    const char *before, *behind;
} frames[] = {
    { "Unable to cast ", " to " },
    { "Value ", " cannot be represented" },
    { "for value ", " is out of range" },
    { "keys (", ") are not allowed" },
};

/* What messages go on with behind a value in quotation marks. */
static const char *const goes_on[] = { " cannot ", " for ", " is ", " to " };

bool core_presto_has_name(const char *reason, const char *name)
{
    size_t len = strlen(name);

    return rc_str_starts(reason, name) && !isalnum((unsigned char)reason[len]) &&
           reason[len] != '_';
}

/* "line 1:8: " says where in the statement. */
static const char *skip_place(const char *text)
{
    static const char line[] = "line ";
    const char *at = text;

    if (!rc_str_starts(at, line))
        return text;
    at += sizeof(line) - 1;
    at += strspn(at, "0123456789:");
    return rc_str_starts(at - 1, ": ") ? at + 1 : text;
}

/* From where on a reason may quote values; its end if it quotes none. */
static const char *find_values(const char *reason)
{
    const char *first = reason + strlen(reason);

    for (size_t i = 0; i < RC_ARRAY_LEN(of_values); i++)
        if (core_presto_has_name(reason, of_values[i]))
            return skip_place(reason + strlen(of_values[i]) +
                              strspn(reason + strlen(of_values[i]), ": "));
    for (size_t i = 0; i < RC_ARRAY_LEN(words_of_values); i++) {
        const char *found = strstr(reason, words_of_values[i]);

        if (found && found < first)
            first = found;
    }
    return first;
}

static const char *find_last(const char *text, const char *words)
{
    const char *found = NULL;

    while ((text = strstr(text, words)) != NULL)
        found = text++;
    return found;
}

/*
 * Where the value ends that begins behind a quotation mark. It may have such marks itself: when the
 * last one is not followed by what messages go on with, all the rest may be the value.
 */
static const char *behind_quoted(const char *quote)
{
    const char *last = strrchr(quote, *quote);

    for (size_t i = 0; last > quote && i < RC_ARRAY_LEN(goes_on); i++)
        if (rc_str_starts(last + 1, goes_on[i]))
            return last;
    return quote + strlen(quote);
}

/* The first value in the text: from '*from' to what is returned; NULL: there is none. */
static const char *find_value(const char *text, const char **from)
{
    size_t mark = strcspn(text, "'\"\r\n");
    const char *colon = strstr(text, ": "), *to = NULL;

    *from = text + strlen(text);
    if (text[mark]) {
        bool is_quote = text[mark] == '\'' || text[mark] == '"';

        *from = text + mark + is_quote;
        to = is_quote ? behind_quoted(text + mark) : text + strlen(text);
    }
    if (colon && colon < *from) {
        *from = colon + strlen(": ");
        to = text + strlen(text);
    }
    for (size_t i = 0; i < RC_ARRAY_LEN(frames); i++) {
        const char *before = strstr(text, frames[i].before);
        const char *behind = before ? find_last(before, frames[i].behind) : NULL;

        if (behind && before + strlen(frames[i].before) <= *from) {
            *from = before + strlen(frames[i].before);
            to = behind;
        }
    }
    return to;
}

void core_presto_hide_values(struct rc_buf *out, const char *reason)
{
    const char *at = find_values(reason), *from, *to;

    rc_buf_add(out, reason, (size_t)(at - reason));
    for (; (to = find_value(at, &from)) != NULL; at = to) {
        rc_buf_add(out, at, (size_t)(from - at));
        rc_buf_adds(out, ellipsis);
        if (*to == '\'' || *to == '"')
            rc_buf_addc(out, *to++);
    }
    rc_buf_adds(out, at);
}

/* ---- room ------------------------------------------------------------------------------------ */

void core_presto_add_line(struct rc_buf *out, const char *text, size_t len, size_t most)
{
    size_t shown = len < most ? len : most;

    while (shown < len && shown > 0 && ((unsigned char)text[shown] & 0xC0) == 0x80)
        shown--;
    for (size_t i = 0; i < shown; i++)
        rc_buf_addc(out, (unsigned char)text[i] < ' ' || text[i] == 0x7f ? ' ' : text[i]);
    if (shown < len)
        rc_buf_adds(out, ellipsis);
}

enum rc_code core_presto_fail(struct rc_error *err, enum rc_code code, const char *before,
                              const char *reason, const char *behind)
{
    size_t taken = strlen(before) + strlen(behind) + sizeof(ellipsis);
    RC_BUF_AUTO(shown, 2 * RC_ERROR_TEXT);

    core_presto_add_line(&shown, reason, strlen(reason),
                         taken < RC_ERROR_TEXT ? RC_ERROR_TEXT - taken : 0);
    return rc_fail(err, code, "%s%s%s", before, shown.data, behind);
}
