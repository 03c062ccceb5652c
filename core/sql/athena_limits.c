/*
 * How often Athena is asked and how much it does at once. Its quotas hold for an account, so all
 * sessions of this process keep to them together; what other processes take of them comes back as
 * refusals, which the client bears.
 */
#include <sql/athena.h>

#include <os/clock.h>

#include <run-core/str.h>

#include <pthread.h>
#include <stdlib.h>

enum { LOOK_MS = 50 /* for a wish to stop, and for a free place */ };

static const double longest_gap_us = 1e12; /* eleven days */

struct core_athena_limits {
    struct core_athena_limits *next;
    char *account;
    unsigned users;
    struct core_athena_pace paces[CORE_ATHENA_FREE];
    int64_t most[2], running[2]; /* by enum core_presto_kind; 0: any number */
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; /* over all that follows */
static struct core_athena_limits *all;

/* ---- the pace -------------------------------------------------------------------------------- */

int64_t core_athena_pace_take(struct core_athena_pace *pace, int64_t now_mono_us)
{
    if (pace->next_mono_us > now_mono_us)
        return pace->next_mono_us - now_mono_us;
    pace->next_mono_us = now_mono_us + pace->gap_us;
    return 0;
}

static int64_t gap_us(double per_s)
{
    double gap = per_s > 0 ? 1e6 / per_s + 1 : 0;

    return (int64_t)(gap < longest_gap_us ? gap : longest_gap_us);
}

/* ---- the accounts ---------------------------------------------------------------------------- */

static int64_t stricter(int64_t a, int64_t b)
{
    if (a == 0 || b == 0)
        return a + b;
    return a < b ? a : b;
}

static void tighten(struct core_athena_limits *limits, const struct core_engine_settings *settings)
{
    const int64_t gaps_us[CORE_ATHENA_FREE] = {
        [CORE_ATHENA_STARTS] = gap_us(settings->starts_per_s),
        [CORE_ATHENA_READS] = gap_us(settings->reads_per_s),
    };
    const int64_t most[] = {
        [CORE_PRESTO_DML] = settings->queries_at_once,
        [CORE_PRESTO_DDL] = settings->ddl_at_once,
    };

    for (size_t i = 0; i < RC_ARRAY_LEN(gaps_us); i++)
        if (gaps_us[i] > limits->paces[i].gap_us)
            limits->paces[i].gap_us = gaps_us[i];
    for (size_t i = 0; i < RC_ARRAY_LEN(most); i++)
        limits->most[i] = stricter(limits->most[i], most[i]);
}

struct core_athena_limits *core_athena_limits_get(const char *account,
                                                  const struct core_engine_settings *settings)
{
    struct core_athena_limits *limits;

    (void)pthread_mutex_lock(&mutex);
    limits = all;
    while (limits && !rc_str_eq(limits->account, account))
        limits = limits->next;
    if (!limits) {
        limits = rc_calloc(1, sizeof(*limits));
        limits->account = rc_strdup(account);
        limits->next = all;
        all = limits;
    }
    limits->users++;
    tighten(limits, settings);
    (void)pthread_mutex_unlock(&mutex);
    return limits;
}

void core_athena_limits_put(struct core_athena_limits *limits)
{
    struct core_athena_limits **at = &all;

    if (!limits)
        return;
    (void)pthread_mutex_lock(&mutex);
    if (--limits->users == 0) {
        while (*at != limits)
            at = &(*at)->next;
        *at = limits->next;
        free(limits->account);
        free(limits);
    }
    (void)pthread_mutex_unlock(&mutex);
}

/* ---- waiting --------------------------------------------------------------------------------- */

enum rc_code core_athena_pause(const struct core_cancel *cancel, int64_t ms, struct rc_error *err)
{
    int64_t end_mono_ms = core_clock_mono_ms() + ms;

    for (;;) {
        int64_t left_ms = end_mono_ms - core_clock_mono_ms();

        if (core_cancel_check(cancel, err))
            return err->code;
        if (left_ms <= 0)
            return RC_OK;
        core_clock_sleep_ms(left_ms < LOOK_MS ? left_ms : LOOK_MS);
    }
}

/* Sleeps for 'ms', or as long as there is time. */
static enum rc_code doze(const struct core_cancel *cancel, int64_t ms, int64_t until_mono_ms,
                         struct rc_error *err)
{
    int64_t left_ms = until_mono_ms - core_clock_mono_ms();

    if (until_mono_ms == 0)
        return core_athena_pause(cancel, ms, err);
    if (left_ms <= 0)
        return rc_fail(err, RC_TIMEOUT,
                       "its time was over before there was a turn for it at Athena, by "
                       "'starts_per_second' and the other limits of the engine");
    return core_athena_pause(cancel, ms < left_ms ? ms : left_ms, err);
}

static int64_t try_turn(struct core_athena_limits *limits, enum core_athena_flow flow)
{
    int64_t wait_us;

    (void)pthread_mutex_lock(&mutex);
    wait_us = core_athena_pace_take(&limits->paces[flow], core_clock_mono_ms() * 1000);
    (void)pthread_mutex_unlock(&mutex);
    return (wait_us + 999) / 1000;
}

enum rc_code core_athena_limits_wait(struct core_athena_limits *limits, enum core_athena_flow flow,
                                     const struct core_cancel *cancel, int64_t until_mono_ms,
                                     struct rc_error *err)
{
    int64_t wait_ms;

    if (core_cancel_check(cancel, err))
        return err->code;
    while (flow != CORE_ATHENA_FREE && (wait_ms = try_turn(limits, flow)) > 0)
        if (doze(cancel, wait_ms, until_mono_ms, err))
            return err->code;
    return RC_OK;
}

static bool try_enter(struct core_athena_limits *limits, enum core_presto_kind kind)
{
    bool entered;

    (void)pthread_mutex_lock(&mutex);
    entered = limits->most[kind] == 0 || limits->running[kind] < limits->most[kind];
    if (entered)
        limits->running[kind]++;
    (void)pthread_mutex_unlock(&mutex);
    return entered;
}

enum rc_code core_athena_limits_enter(struct core_athena_limits *limits, enum core_presto_kind kind,
                                      const struct core_cancel *cancel, int64_t until_mono_ms,
                                      struct rc_error *err)
{
    while (!try_enter(limits, kind))
        if (doze(cancel, LOOK_MS, until_mono_ms, err))
            return err->code;
    return RC_OK;
}

void core_athena_limits_leave(struct core_athena_limits *limits, enum core_presto_kind kind)
{
    (void)pthread_mutex_lock(&mutex);
    limits->running[kind]--;
    (void)pthread_mutex_unlock(&mutex);
}
