/*
 * The chronology, for every combination of up to three jobs, the job to come and the options, held
 * against a second wording of the rules: one that counts jobs and asks nothing of the plugin.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "rules.h"

#include <run-core/str.h>

#include <stdio.h>
#include <string.h>

#define NOW_UNIX_MS INT64_C(1768478400000)
#define HOUR_MS INT64_C(3600000)

enum { STATUSES = DELTA_STATUS_COUNT + 1, AGES = 4, KINDS = DELTA_KIND_COUNT, MOST_JOBS = 3 };
enum { ATOMS = KINDS * STATUSES * AGES };

/* Long ago, an hour ago to the millisecond, lately, and nobody knows when. */
static const int64_t modified[AGES] = { NOW_UNIX_MS - 5 * HOUR_MS, NOW_UNIX_MS - HOUR_MS,
                                        NOW_UNIX_MS - HOUR_MS / 2, DELTA_TIME_UNKNOWN };

struct options {
    bool dump_disabled, healing_disabled, heals_at_once, retries, force;
    int64_t retry_after_ms;
};

static struct delta_job job_of(int atom)
{
    return (struct delta_job){
        .uri = NULL,
        .kind = (enum delta_kind)(atom % KINDS),
        .status = (enum delta_status)(atom / KINDS % STATUSES),
        .modified_unix_ms = modified[atom / KINDS / STATUSES],
    };
}

static struct options options_of(unsigned bits)
{
    return (struct options){
        .dump_disabled = bits & 1,
        .healing_disabled = bits & 2,
        .heals_at_once = bits & 4,
        .retries = bits & 8,
        .force = bits & 16,
        .retry_after_ms = bits & 32 ? HOUR_MS : 0,
    };
}

/* ---- the second wording ---------------------------------------------------------------------- */

struct census {
    int active[KINDS], initial_syncs, failed, failed_lately, succeeded;
};

static struct census count(const struct delta_job *jobs, size_t job_count, int64_t retry_after_ms)
{
    struct census census = { 0 };

    for (size_t i = 0; i < job_count; i++) {
        const struct delta_job *job = &jobs[i];

        if (job->status == DELTA_SCHEDULED || job->status == DELTA_BUSY)
            census.active[job->kind]++;
        if (job->kind != DELTA_INITIAL_SYNC)
            continue;
        census.initial_syncs++;
        if (job->status == DELTA_SUCCESS)
            census.succeeded++;
        if (job->status != DELTA_FAILED)
            continue;
        census.failed++;
        if (job->modified_unix_ms != DELTA_TIME_UNKNOWN && retry_after_ms > 0 &&
            NOW_UNIX_MS - job->modified_unix_ms <= retry_after_ms)
            census.failed_lately++;
    }
    return census;
}

static enum delta_verdict expected_initial_sync(const struct census *there,
                                                const struct options *options)
{
    if (there->initial_syncs > there->failed)
        return DELTA_DONE;
    if (options->force)
        return DELTA_FREE;
    if (there->failed && !options->retries)
        return DELTA_FAILED_FOR_GOOD;
    if (there->failed_lately)
        return DELTA_FAILED_LATELY;
    if (there->active[DELTA_DUMP] && !options->dump_disabled)
        return DELTA_BLOCKED;
    if (there->active[DELTA_HEALING] && !options->healing_disabled)
        return DELTA_BLOCKED;
    return DELTA_FREE;
}

static enum delta_verdict expected(enum delta_kind kind, const struct census *there,
                                   const struct options *options)
{
    if (kind == DELTA_INITIAL_SYNC)
        return expected_initial_sync(there, options);
    if (options->force)
        return DELTA_FREE;
    if (kind == DELTA_HEALING && !options->heals_at_once && !there->succeeded)
        return DELTA_TOO_EARLY;
    return there->active[0] + there->active[1] + there->active[2] ? DELTA_BLOCKED : DELTA_FREE;
}

/* ---- every combination ----------------------------------------------------------------------- */

static struct delta_rules rules_of(const struct options *options, enum delta_kind kind)
{
    struct delta_config config = { .retry_failed_initial_sync = options->retries,
                                   .initial_sync_retry_after_ms = options->retry_after_ms };
    struct delta_entry entry = { .disabled = { [DELTA_DUMP] = options->dump_disabled,
                                               [DELTA_HEALING] = options->healing_disabled },
                                 .heal_without_initial_sync = options->heals_at_once };
    struct delta_rules rules;

    delta_rules_make(&config, &entry, kind, options->force, NOW_UNIX_MS, &rules);
    return rules;
}

static void complain(enum delta_kind kind, const struct delta_job *jobs, size_t job_count,
                     unsigned bits, int judged, int should)
{
    char text[400] = "";

    for (size_t i = 0; i < job_count; i++) {
        size_t len = strlen(text);

        (void)snprintf(text + len, sizeof(text) - len, " [kind %d %s at %lld]", (int)jobs[i].kind,
                       delta_status_name(jobs[i].status), (long long)jobs[i].modified_unix_ms);
    }
    fail_msg("kind %d, options %#x,%s: verdict %d, not %d", (int)kind, bits, text, judged, should);
}

/* Who is named does stand in the way, and where somebody does there is somebody to name. */
static void check_names(const struct delta_rules *rules, enum delta_kind kind,
                        enum delta_verdict verdict, const struct delta_job *jobs, size_t job_count)
{
    size_t named = 0;

    for (size_t i = 0; i < job_count; i++)
        if (delta_rules_names(rules, verdict, kind, &jobs[i])) {
            enum delta_verdict alone = delta_rules_judge(rules, kind, &jobs[i], 1);

            named++;
            assert_true(verdict == alone || (verdict == DELTA_BLOCKED && alone == DELTA_TOO_EARLY));
        }
    if (verdict == DELTA_FREE)
        assert_int_equal(named, 0);
    else if (verdict != DELTA_TOO_EARLY)
        assert_true(named > 0);
}

static long judge_all(const struct delta_job *jobs, size_t job_count,
                      struct delta_rules rules[64][KINDS])
{
    long judged = 0;

    for (unsigned bits = 0; bits < 64; bits++) {
        struct options options = options_of(bits);
        struct census there = count(jobs, job_count, options.retry_after_ms);

        for (int kind = 0; kind < KINDS; kind++, judged++) {
            enum delta_kind to_come = (enum delta_kind)kind;
            enum delta_verdict should = expected(to_come, &there, &options);
            enum delta_verdict verdict =
                delta_rules_judge(&rules[bits][kind], to_come, jobs, job_count);

            if (verdict != should)
                complain(to_come, jobs, job_count, bits, (int)verdict, (int)should);
            check_names(&rules[bits][kind], to_come, verdict, jobs, job_count);
        }
    }
    return judged;
}

/* Sets of jobs in which order does not matter: each job is none before the one before it. */
static long judge_sets(struct delta_job *jobs, size_t job_count, int from,
                       struct delta_rules rules[64][KINDS])
{
    long judged = judge_all(jobs, job_count, rules);

    for (int atom = from; atom < ATOMS && job_count < MOST_JOBS; atom++) {
        jobs[job_count] = job_of(atom);
        judged += judge_sets(jobs, job_count + 1, atom, rules);
    }
    return judged;
}

static void test_every_combination(void **state)
{
    static struct delta_rules rules[64][KINDS];
    struct delta_job jobs[MOST_JOBS];
    long sets =
        1 + ATOMS + (long)ATOMS * (ATOMS + 1) / 2 + (long)ATOMS * (ATOMS + 1) * (ATOMS + 2) / 6;

    (void)state;
    for (unsigned bits = 0; bits < 64; bits++)
        for (int kind = 0; kind < KINDS; kind++) {
            struct options options = options_of(bits);

            rules[bits][kind] = rules_of(&options, (enum delta_kind)kind);
        }
    assert_int_equal(judge_sets(jobs, 0, 0, rules), sets * 64 * KINDS);
}

/* ---- some of them, to be read ---------------------------------------------------------------- */

static void test_a_few_in_words(void **state)
{
    static const struct {
        enum delta_kind to_come, there;
        enum delta_status status;
        bool force;
        enum delta_verdict verdict;
    } cases[] = {
        { DELTA_DUMP, DELTA_DUMP, DELTA_BUSY, false, DELTA_BLOCKED },
        { DELTA_DUMP, DELTA_HEALING, DELTA_SCHEDULED, false, DELTA_BLOCKED },
        { DELTA_DUMP, DELTA_HEALING, DELTA_SCHEDULED, true, DELTA_FREE },
        { DELTA_DUMP, DELTA_INITIAL_SYNC, DELTA_SUCCESS, false, DELTA_FREE },
        { DELTA_HEALING, DELTA_INITIAL_SYNC, DELTA_SUCCESS, false, DELTA_FREE },
        { DELTA_HEALING, DELTA_INITIAL_SYNC, DELTA_BUSY, false, DELTA_TOO_EARLY },
        { DELTA_HEALING, DELTA_INITIAL_SYNC, DELTA_FAILED, false, DELTA_TOO_EARLY },
        { DELTA_HEALING, DELTA_INITIAL_SYNC, DELTA_FAILED, true, DELTA_FREE },
        { DELTA_INITIAL_SYNC, DELTA_INITIAL_SYNC, DELTA_SUCCESS, false, DELTA_DONE },
        { DELTA_INITIAL_SYNC, DELTA_INITIAL_SYNC, DELTA_SUCCESS, true, DELTA_DONE },
        { DELTA_INITIAL_SYNC, DELTA_INITIAL_SYNC, DELTA_BUSY, true, DELTA_DONE },
        { DELTA_INITIAL_SYNC, DELTA_INITIAL_SYNC, DELTA_FAILED, true, DELTA_FREE },
        { DELTA_INITIAL_SYNC, DELTA_INITIAL_SYNC, DELTA_FAILED, false, DELTA_FAILED_LATELY },
        { DELTA_INITIAL_SYNC, DELTA_DUMP, DELTA_BUSY, false, DELTA_BLOCKED },
        { DELTA_INITIAL_SYNC, DELTA_DUMP, DELTA_FAILED, false, DELTA_FREE },
    };

    (void)state;
    for (size_t i = 0; i < RC_ARRAY_LEN(cases); i++) {
        struct options options = { .retries = true,
                                   .retry_after_ms = HOUR_MS,
                                   .force = cases[i].force };
        struct delta_rules rules = rules_of(&options, cases[i].to_come);
        struct delta_job job = { .kind = cases[i].there,
                                 .status = cases[i].status,
                                 .modified_unix_ms = NOW_UNIX_MS - 1 };

        if (delta_rules_judge(&rules, cases[i].to_come, &job, 1) != cases[i].verdict)
            fail_msg("case %zu", i);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_combination),
        cmocka_unit_test(test_a_few_in_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
