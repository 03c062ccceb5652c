/*
 * The values of keys: as the names of folders have them, as SQL does, and as a catalogue is told of
 * them. Pure.
 */
#include <sql/presto_folders.h>

#include <os/digest.h>

#include <run-core/str.h>
#include <run-core/time.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
    MOST_STEPS = 4,       /* of a range, for each value that is there */
    FEW_NUMBERS = 100,    /* that a server may try in vain */
    CENTURY_DAYS = 36525, /* likewise of days */
    LIST_BYTES = 64 * 1024,
};

/* The next byte of a value, whose folder has it as it is or as %XX; *at moves behind it. */
static char next_byte(const char **at)
{
    const char *c = *at;
    int high = *c == '%' ? core_hex_value(c[1]) : -1;
    int low = high >= 0 ? core_hex_value(c[2]) : -1;

    *at = c + (low >= 0 ? 3 : 1);
    return low >= 0 ? (char)(high * 16 + low) : *c;
}

const char *core_presto_key_decode(struct core_arena *arena,
                                   const struct core_presto_key_value *value)
{
    char *text = core_arena_strndup(arena, value->text, value->len);
    char *out = text;

    if (rc_str_eq(text, CORE_FORMAT_HIVE_NULL))
        return NULL;
    for (const char *c = text; *c;)
        *out++ = next_byte(&c);
    *out = '\0';
    return text;
}

static bool is_type(const struct rc_sql_column *column, const char *type)
{
    return strcasecmp(column->type, type) == 0;
}

static bool is_whole(const struct rc_sql_column *column)
{
    return is_type(column, "integer") || is_type(column, "bigint");
}

/* Whether the text is that number or day as it would be written again. */
static bool read_number(const char *text, int64_t *out)
{
    char again[32];

    if (!rc_parse_int(text, out))
        return false;
    (void)snprintf(again, sizeof(again), "%" PRId64, *out);
    return strcmp(again, text) == 0;
}

static bool read_day(const char *text, int64_t *out)
{
    char again[RC_DAY_TEXT];
    int32_t day;

    if (!rc_parse_day(text, &day))
        return false;
    *out = day;
    return strcmp(rc_format_day(day, again), text) == 0;
}

void core_presto_key_add(const struct core_presto_dialect *dialect, struct rc_buf *out,
                         const struct rc_sql_column *column, const char *text)
{
    int64_t number;

    if (text && is_type(column, "varchar")) {
        rc_buf_add_literal(out, text);
        return;
    }
    if (text && is_whole(column) && read_number(text, &number)) {
        rc_buf_adds(out, text);
        return;
    }
    if (text && is_type(column, "date") && read_day(text, &number)) {
        rc_buf_addf(out, "DATE '%s'", text);
        return;
    }
    rc_buf_adds(out, "CAST(");
    rc_buf_add_literal(out, text);
    rc_buf_adds(out, " AS ");
    (void)core_presto_add_type(dialect, out, column->type);
    rc_buf_addc(out, ')');
}

/* A list of values is cut at commas, and its values at blanks. */
static bool can_be_listed(const char *text)
{
    return !strpbrk(text, "%,\"'\\${}") && *text != ' ' && !rc_str_ends(text, " ") &&
           !rc_str_eq(text, CORE_FORMAT_HIVE_NULL);
}

bool core_presto_key_is_plain(const struct core_presto_dialect *dialect,
                              const struct rc_sql_column *column,
                              const struct core_presto_key_value *value)
{
    RC_STR_AUTO text = rc_strndup(value->text, value->len);
    int64_t number;

    if (value->len == 0)
        return false;
    /* Servers take each byte that is written as %XX for a character. */
    for (const char *c = text; *c;) {
        char byte = next_byte(&c);

        if (byte < ' ' || byte > '~')
            return false;
    }
    for (const char *c = column->name; *c; c++)
        if (*c >= 'A' && *c <= 'Z')
            return false;
    if (dialect->add_find_partitions)
        return true;
    if (!can_be_listed(text))
        return false;
    return is_type(column, "varchar") || (is_whole(column) && read_number(text, &number)) ||
           (is_type(column, "date") && read_day(text, &number));
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

struct rc_strs core_presto_key_list(struct core_arena *arena,
                                    const struct core_presto_folder *folders, size_t folder_count,
                                    size_t partition)
{
    const char **items = core_arena_alloc(arena, folder_count * sizeof(*items));
    size_t count = 0, len = 0;

    for (size_t i = 0; i < folder_count; i++) {
        const char *text = core_presto_key_decode(arena, &folders[i].values[partition]);

        if (text)
            items[count++] = text;
    }
    if (count > 0)
        qsort(items, count, sizeof(*items), compare_texts);
    for (size_t i = 0; i < count; i++)
        if (len == 0 || strcmp(items[len - 1], items[i]) != 0)
            items[len++] = items[i];
    return (struct rc_strs){ .items = items, .len = len };
}

/* ---- what a catalogue is told --------------------------------------------------------------- */

static uint64_t distance(int64_t a, int64_t b)
{
    return a > b ? (uint64_t)a - (uint64_t)b : (uint64_t)b - (uint64_t)a;
}

static uint64_t common_divisor(uint64_t a, uint64_t b)
{
    while (b > 0) {
        uint64_t rest = a % b;

        a = b;
        b = rest;
    }
    return a;
}

/* Whether so many steps, for so many values, are no burden for who makes up all of them. */
static bool is_dense(uint64_t steps, size_t values, uint64_t harmless)
{
    return steps < harmless || steps / MOST_STEPS < values;
}

static bool is_short(struct rc_strs values)
{
    size_t bytes = 0;

    for (size_t i = 0; i < values.len; i++)
        bytes += strlen(values.items[i]) + 1;
    return bytes <= LIST_BYTES;
}

/*
 * What least and greatest say is kept only if a server that tries all between them does not try
 * many in vain: numbers far apart have a common step (the hours of a clock in seconds), or are
 * listed. A list is of texts above all, so that of a date is the last resort.
 */
static void choose_range(struct rc_strs values, bool is_day, uint64_t step,
                         struct core_presto_partition *out)
{
    uint64_t span = distance(out->greatest, out->least);
    bool is_date = is_day && strcasecmp(out->type, "varchar") != 0;

    out->range = is_day ? CORE_PARTITION_DAYS : CORE_PARTITION_NUMBERS;
    if (is_date || is_dense(span, values.len, is_day ? CENTURY_DAYS : FEW_NUMBERS))
        return;
    if (!is_day && step <= INT64_MAX) {
        out->step = (int64_t)step;
        if (is_dense(span / step, values.len, FEW_NUMBERS))
            return;
    }
    if (is_short(values)) {
        out->range = CORE_PARTITION_VALUES;
        out->least = out->greatest = out->step = 0;
    }
}

void core_presto_key_describe(const struct rc_sql_column *column, struct rc_strs values,
                              struct core_presto_partition *out)
{
    bool is_day = is_type(column, "date") || is_type(column, "varchar");
    bool is_range = values.len > 0 && (is_day || is_whole(column));
    int64_t first = 0;
    uint64_t step = 0;

    *out = (struct core_presto_partition){ .name = column->name,
                                           .type = column->type,
                                           .values = values };
    for (size_t i = 0; is_range && i < values.len; i++) {
        int64_t value = 0;

        is_range =
            is_day ? read_day(values.items[i], &value) : read_number(values.items[i], &value);
        if (is_range && (i == 0 || value < out->least))
            out->least = value;
        if (is_range && (i == 0 || value > out->greatest))
            out->greatest = value;
        first = i == 0 ? value : first;
        step = common_divisor(step, distance(value, first));
    }
    if (is_range)
        choose_range(values, is_day, step, out);
    else
        out->least = out->greatest = 0;
}
