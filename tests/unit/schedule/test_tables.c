/*
 * The tables of tests/data/cron: what other engines agree on, what their own tests assert, and
 * which odd expressions are taken. Every row holds, and every row is accounted for.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <run-core/str.h>
#include <schedule/schedule.h>
#include <schedule/time_zones.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LONGEST_LINE = 4096, MOST_COLUMNS = 8, SPEC_ROWS = 736 };

static struct core_time_zones *shared_zones;
static int failures;

/* ---- reading --------------------------------------------------------------------------------- */

/* Calls 'row' for each row behind the first; returns how many there were. */
static int read_table(const char *name, size_t columns, void (*row)(const char *const *columns))
{
    const char *source = getenv("RUN_CORE_SOURCE");
    RC_STR_AUTO path = rc_strf("%s/tests/data/cron/%s", source ? source : ".", name);
    FILE *file = fopen(path, "r");
    char line[LONGEST_LINE];
    int count = -1; /* the first line names the columns */

    if (!file)
        fail_msg("cannot open '%s'; is RUN_CORE_SOURCE the folder of the sources?", path);
    while (fgets(line, sizeof(line), file)) {
        const char *cells[MOST_COLUMNS] = { NULL };
        size_t width = 0;
        char *rest = line;

        line[strcspn(line, "\n")] = '\0';
        for (char *cell = strsep(&rest, "\t"); cell && width < MOST_COLUMNS;
             cell = strsep(&rest, "\t"))
            cells[width++] = cell;
        assert_int_equal(width, columns);
        if (count++ >= 0)
            row(cells);
    }
    assert_int_equal(fclose(file), 0);
    return count;
}

static struct core_schedule *parse(const char *text, const char *zone, struct rc_error *err)
{
    struct core_schedule_options options = { .name = NULL };
    struct core_schedule *schedule = NULL;

    if (core_time_zones_get(shared_zones, zone[0] != '\0' ? zone : "UTC", &options.zone, err))
        fail_msg("%s", err->cause);
    return core_schedule_parse(text, &options, &schedule, err) ? NULL : schedule;
}

static int64_t number(const char *text)
{
    int64_t value = 0;

    if (!rc_parse_int(text, &value))
        fail_msg("'%s' is no number", text);
    return value;
}

/* The first slot behind 'after_s' in seconds; INT64_MAX: none. */
static int64_t next(const struct core_schedule *schedule, int64_t after_s)
{
    int64_t slot_ms = 0;

    return core_schedule_next(schedule, after_s * 1000, &slot_ms) ? slot_ms / 1000 : INT64_MAX;
}

static void expect(bool holds, const char *const *row)
{
    if (holds)
        return;
    failures++;
    print_error("%s does not hold: '%s' in '%s'\n", row[0], row[2], row[3]);
}

/* ---- next.tsv: id, class, expression, zone, from, next --------------------------------------- */

static bool has_slots(const struct core_schedule *schedule, int64_t from_s, const char *expected)
{
    RC_STR_AUTO copy = rc_strdup(expected);
    char *rest = copy;

    for (char *slot = strsep(&rest, ","); slot; slot = strsep(&rest, ",")) {
        from_s = next(schedule, from_s);
        if (from_s != number(slot))
            return false;
    }
    return true;
}

static void check_next(const char *const *row)
{
    struct rc_error err = RC_ERROR_INIT;
    struct core_schedule *schedule = parse(row[2], row[3], &err);

    expect(schedule && has_slots(schedule, number(row[4]), row[5]), row);
    core_schedule_free(schedule);
}

static void engines_agree(void **state)
{
    (void)state;
    failures = 0;
    assert_int_equal(read_table("next.tsv", 6, check_next), 1539);
    assert_int_equal(failures, 0);
}

/* ---- spec.tsv: id, kind, expression, zone, from, expected, source ---------------------------- */

static bool seen[SPEC_ROWS + 1];

static void account_for(const char *id)
{
    int64_t row = number(id + 1);

    assert_true(id[0] == 's' && row >= 1 && row <= SPEC_ROWS);
    assert_false(seen[row]);
    seen[row] = true;
}

static bool is_equal(const struct core_schedule *schedule, const char *other, int64_t from_s)
{
    struct rc_error err = RC_ERROR_INIT;
    struct core_schedule *same = parse(other, "UTC", &err);
    bool equal = same != NULL;

    for (int i = 0; equal && i < 100; i++) {
        equal = next(schedule, from_s) == next(same, from_s);
        from_s = next(schedule, from_s);
    }
    core_schedule_free(same);
    return equal;
}

static void check_spec(const char *const *row)
{
    struct rc_error err = RC_ERROR_INIT;
    const char *kind = row[1];
    const char *expected = row[5];
    struct core_schedule *schedule = parse(row[2], row[3], &err);

    account_for(row[0]);
    if (strcmp(kind, "error") == 0 || strcmp(kind, "valid") == 0) {
        expect((schedule != NULL) == (kind[0] == 'v'), row);
        core_schedule_free(schedule);
        return;
    }
    int64_t from_s = number(row[4]);
    if (!schedule)
        expect(false, row);
    else if (strcmp(kind, "next") == 0)
        expect(has_slots(schedule, from_s, expected), row);
    else if (strcmp(kind, "prev") == 0)
        expect(next(schedule, number(expected) - 1) == number(expected) &&
                   next(schedule, number(expected)) >= from_s,
               row);
    else if (strcmp(kind, "match") == 0)
        expect((next(schedule, from_s - 1) == from_s) == (strcmp(expected, "true") == 0), row);
    else if (strcmp(kind, "equal") == 0)
        expect(is_equal(schedule, expected, from_s), row);
    else
        fail_msg("'%s' is no kind of row", kind);
    core_schedule_free(schedule);
}

static void check_other(const char *const *row)
{
    account_for(row[0]);
    assert_true(row[1][0] != '\0');
}

static void other_suites_hold(void **state)
{
    (void)state;
    failures = 0;
    int ours = read_table("spec.tsv", 7, check_spec);
    int others = read_table("other.tsv", 6, check_other);
    assert_int_equal(ours + others, SPEC_ROWS);
    for (int row = 1; row <= SPEC_ROWS; row++)
        assert_true(seen[row]);
    assert_int_equal(failures, 0);
}

/* ---- validity.tsv: id, expression as a JSON string, verdict ---------------------------------- */

/* The text of a JSON string that has no other escapes than "\t" and "\n". */
static char *plain(const char *json)
{
    RC_STR_AUTO copy = rc_strndup(json + 1, strlen(json) - 2);
    char *to = copy;

    for (const char *at = copy; *at != '\0'; at++) {
        char c = *at;

        if (c == '\\') {
            at++;
            assert_true(*at == 't' || *at == 'n');
            c = *at == 't' ? '\t' : '\n';
        }
        *to++ = c;
    }
    *to = '\0';
    return rc_strdup(copy);
}

static void check_validity(const char *const *row)
{
    struct rc_error err = RC_ERROR_INIT;
    RC_STR_AUTO text = plain(row[1]);
    struct core_schedule *schedule = parse(text, "UTC", &err);
    bool taken = schedule != NULL;

    if (taken != (strcmp(row[2], "ok") == 0)) {
        failures++;
        print_error("%s: %s is %s\n", row[0], row[1], taken ? "taken" : err.cause);
    }
    if (!taken)
        assert_true(err.code == RC_INVALID && err.cause[0] != '\0' &&
                    rc_str_starts(err.context, "schedule '"));
    core_schedule_free(schedule);
}

static void odd_expressions_are_judged(void **state)
{
    (void)state;
    failures = 0;
    assert_int_equal(read_table("validity.tsv", 3, check_validity), 160);
    assert_int_equal(failures, 0);
}

static int open_zones(void **state)
{
    (void)state;
    shared_zones = core_time_zones_new();
    return 0;
}

static int close_zones(void **state)
{
    (void)state;
    core_time_zones_free(shared_zones);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(engines_agree),
        cmocka_unit_test(other_suites_hold),
        cmocka_unit_test(odd_expressions_are_judged),
    };

    return cmocka_run_group_tests(tests, open_zones, close_zones);
}
