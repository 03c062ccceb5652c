/*
 * Durations and sizes: amounts with a unit, as people write and read them.
 */
#include <run-core/str.h>

#include <stdio.h>
#include <string.h>

struct unit {
    const char *name;
    int64_t factor;
};

/* The largest first, which is also the order in which a sum names them. */
static const struct unit duration_units[] = {
    { "w", INT64_C(604800000) }, { "d", INT64_C(86400000) }, { "h", INT64_C(3600000) },
    { "m", INT64_C(60000) },     { "s", INT64_C(1000) },     { "ms", INT64_C(1) },
};

static const struct unit size_units[] = {
    { "", INT64_C(1) },          { "KiB", INT64_C(1) << 10 },   { "MiB", INT64_C(1) << 20 },
    { "GiB", INT64_C(1) << 30 }, { "TiB", INT64_C(1) << 40 },   { "kB", INT64_C(1000) },
    { "MB", INT64_C(1000000) },  { "GB", INT64_C(1000000000) }, { "TB", INT64_C(1000000000000) },
};

/* Reads digits at *text and moves behind them. False: there are none, or too many. */
static bool read_digits(const char **text, int64_t *out)
{
    const char *at = *text;
    int64_t value = 0;

    for (; *at >= '0' && *at <= '9'; at++)
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, *at - '0', &value))
            return false;
    if (at == *text)
        return false;
    *text = at;
    *out = value;
    return true;
}

bool rc_parse_duration(const char *text, int64_t *out_ms)
{
    int64_t sum = 0;
    size_t next_unit = 0; /* "30m1h" and "1h1h" are slips, so units only get smaller */

    if (strcmp(text, "0") == 0) {
        *out_ms = 0;
        return true;
    }
    do {
        int64_t amount = 0;
        size_t unit = next_unit;

        if (!read_digits(&text, &amount))
            return false;
        size_t name_len = strspn(text, "abcdefghijklmnopqrstuvwxyz");
        while (unit < RC_ARRAY_LEN(duration_units) &&
               (strlen(duration_units[unit].name) != name_len ||
                memcmp(duration_units[unit].name, text, name_len) != 0))
            unit++;
        if (unit == RC_ARRAY_LEN(duration_units))
            return false;
        if (__builtin_mul_overflow(amount, duration_units[unit].factor, &amount) ||
            __builtin_add_overflow(sum, amount, &sum))
            return false;
        text += name_len;
        next_unit = unit + 1;
    } while (text[0] != '\0');
    *out_ms = sum;
    return true;
}

bool rc_parse_size(const char *text, int64_t *out_bytes)
{
    int64_t amount = 0;

    if (!read_digits(&text, &amount))
        return false;
    for (size_t i = 0; i < RC_ARRAY_LEN(size_units); i++) {
        if (strcmp(text, size_units[i].name) == 0) {
            if (__builtin_mul_overflow(amount, size_units[i].factor, &amount))
                return false;
            *out_bytes = amount;
            return true;
        }
    }
    return false;
}

/* The amount without its sign; the smallest int64_t has no positive twin of its own type. */
static uint64_t magnitude(int64_t value)
{
    return value < 0 ? -(uint64_t)value : (uint64_t)value;
}

char *rc_format_duration(int64_t ms, char out[RC_AMOUNT_TEXT])
{
    uint64_t rest = magnitude(ms);
    size_t len = 0;

    if (ms == 0)
        snprintf(out, RC_AMOUNT_TEXT, "0s");
    else if (ms < 0)
        out[len++] = '-';

    /* Weeks are read but not written: "9d" says more to most people than "1w2d". */
    for (size_t i = 1; i < RC_ARRAY_LEN(duration_units); i++) {
        uint64_t factor = (uint64_t)duration_units[i].factor;

        if (rest >= factor)
            len += (size_t)snprintf(out + len, RC_AMOUNT_TEXT - len, "%llu%s",
                                    (unsigned long long)(rest / factor), duration_units[i].name);
        rest %= factor;
    }
    return out;
}

char *rc_format_size(int64_t bytes, char out[RC_AMOUNT_TEXT])
{
    static const char *const names[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
    uint64_t amount = magnitude(bytes);
    const char *sign = bytes < 0 ? "-" : "";
    size_t power = 0;
    uint64_t unit = 1;

    while (power + 1 < RC_ARRAY_LEN(names) && amount / unit >= 1024) {
        unit *= 1024;
        power++;
    }

    /* One decimal, rounded; 1023.96 KiB round to 1 MiB, not to 1024 KiB. */
    uint64_t whole = amount / unit;
    uint64_t tenths = (amount % unit * 10 + unit / 2) / unit;
    if (tenths == 10) {
        whole++;
        tenths = 0;
    }
    if (whole == 1024 && power + 1 < RC_ARRAY_LEN(names)) {
        whole = 1;
        power++;
    }
    if (tenths > 0)
        snprintf(out, RC_AMOUNT_TEXT, "%s%llu.%d %s", sign, (unsigned long long)whole, (int)tenths,
                 names[power]);
    else
        snprintf(out, RC_AMOUNT_TEXT, "%s%llu %s", sign, (unsigned long long)whole, names[power]);
    return out;
}
