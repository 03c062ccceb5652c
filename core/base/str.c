/*
 * Copies and comparison of strings, and numbers read from text. Amounts with a unit
 * are in amount.c.
 */
#include <run-core/str.h>

#include <locale.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

bool rc_str_eq(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

bool rc_str_starts(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

bool rc_str_ends(const char *text, const char *suffix)
{
    size_t len = strlen(text);
    size_t suffix_len = strlen(suffix);

    return suffix_len <= len && memcmp(text + len - suffix_len, suffix, suffix_len) == 0;
}

char *rc_strdup(const char *text)
{
    return text ? rc_strndup(text, strlen(text)) : NULL;
}

char *rc_strndup(const char *text, size_t len)
{
    char *copy = rc_malloc(len + 1);

    if (len > 0)
        memcpy(copy, text, len);
    copy[len] = '\0';
    return copy;
}

char *rc_strf(const char *format, ...)
{
    va_list arguments;
    char *text = NULL;

    va_start(arguments, format);
    int len = vasprintf(&text, format, arguments);
    va_end(arguments);
    if (len < 0)
        rc_out_of_memory(0);
    return text;
}

void rc_str_free(char **string)
{
    free(*string);
    *string = NULL;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

bool rc_parse_int(const char *text, int64_t *out)
{
    bool negative = text[0] == '-';
    int64_t value = 0;

    if (text[0] == '-' || text[0] == '+')
        text++;
    if (!is_digit(text[0]))
        return false;

    /* Collected on the side of its sign, because the smallest number has no positive twin. */
    for (; is_digit(text[0]); text++) {
        int64_t digit = text[0] - '0';

        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, negative ? -digit : digit, &value))
            return false;
    }
    if (text[0] != '\0')
        return false;
    *out = value;
    return true;
}

static const char *skip_digits(const char *text, size_t *count)
{
    while (is_digit(text[0])) {
        text++;
        (*count)++;
    }
    return text;
}

/* Whether 'text' is a decimal number; strtod() alone would let "0x1p3", "nan" and blanks pass. */
static bool is_decimal(const char *text)
{
    size_t digits = 0;

    if (text[0] == '-' || text[0] == '+')
        text++;
    text = skip_digits(text, &digits);
    if (text[0] == '.')
        text = skip_digits(text + 1, &digits);
    if (digits == 0)
        return false;

    if (text[0] == 'e' || text[0] == 'E') {
        size_t exponent_digits = 0;

        text++;
        if (text[0] == '-' || text[0] == '+')
            text++;
        text = skip_digits(text, &exponent_digits);
        if (exponent_digits == 0)
            return false;
    }
    return text[0] == '\0';
}

bool rc_parse_float(const char *text, double *out)
{
    if (!is_decimal(text))
        return false;

    /* The "C" locale is a constant of the C library: nothing is loaded, nothing can be missing. */
    locale_t c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (c_locale == (locale_t)0)
        rc_out_of_memory(0);
    double value = strtod_l(text, NULL, c_locale);
    freelocale(c_locale);

    if (!isfinite(value))
        return false;
    *out = value;
    return true;
}

bool rc_parse_bool(const char *text, bool *out)
{
    static const struct {
        const char *word;
        bool value;
    } words[] = {
        { "true", true },   { "yes", true }, { "on", true },   { "1", true },
        { "false", false }, { "no", false }, { "off", false }, { "0", false },
    };

    /* All words differ in more than what strcasecmp() leaves to a locale. */
    for (size_t i = 0; i < RC_ARRAY_LEN(words); i++) {
        if (strcasecmp(text, words[i].word) == 0) {
            *out = words[i].value;
            return true;
        }
    }
    return false;
}
