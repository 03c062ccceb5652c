/*
 * Which steps are to be done, from what the markers say. Pure: nothing here looks at storage
 * or at a clock.
 *
 * A window at day D is defined as the aggregate over the daily files of D-W+1 .. D, not before the
 * history's start. Its marker holds a digest of exactly these inputs, so a window is current
 * if and only if its marker holds the digest that its dailies have now. Whatever happened
 * in between (a crash, a rebuild, a gap that was filled), the next run needs to know nothing of it.
 */
#ifndef AGGREGATOR_PLAN_H
#define AGGREGATOR_PLAN_H

#include <run-core/plugin.h>

enum agg_step_kind {
    AGG_STEP_DAILY,
    AGG_STEP_WINDOW,
    AGG_STEP_TABLES,
    AGG_STEP_CSV,
    AGG_STEP_IMPORT,
};

struct agg_step {
    enum agg_step_kind kind;
    int32_t day;
    size_t window; /* of AGG_STEP_WINDOW: its position in the configuration */
};

/* What is known of one step's output. */
struct agg_mark {
    bool done;
    bool proven;     /* written, and read back, by this very run */
    bool adopted;    /* of a daily step: marked by the seed, so there is no manifest */
    uint64_t output; /* digest of the files */
    uint64_t inputs;
    uint64_t definition;
    int64_t rows, events, rejected;
};

struct agg_window_span {
    int64_t days;
    uint64_t definition;
};

/* All days from the history's start, with the marks of each. */
struct agg_history {
    int32_t first;
    size_t day_count;
    struct agg_window_span *spans;
    size_t span_count;
    struct agg_mark *daily;   /* [day - first] */
    struct agg_mark *windows; /* [window * day_count + day - first] */
};

/* Makes a history without marks. 'spans' is copied. */
void agg_history_make(struct agg_history *out, int32_t first, int32_t last,
                      const struct agg_window_span *spans, size_t span_count);
void agg_history_clear(struct agg_history *history);

/* The mark of a day that the history has. */
struct agg_mark *agg_history_daily(const struct agg_history *history, int32_t day);
struct agg_mark *agg_history_window(const struct agg_history *history, size_t window, int32_t day);

/* The first day of a window that ends at 'day'. */
int32_t agg_window_first(const struct agg_history *history, size_t window, int32_t day);
/* The digest of all that a window at 'day' is made of. */
uint64_t agg_window_inputs(const struct agg_history *history, size_t window, int32_t day);
/* Whether the window at 'day' is done and made of its dailies as they are now. */
bool agg_window_current(const struct agg_history *history, size_t window, int32_t day);
/* Whether that window is the one of the day before plus this day: nothing leaves it. */
bool agg_window_only_grows(const struct agg_history *history, size_t window, int32_t day);

struct agg_plan_request {
    int32_t last;                     /* no day after this one */
    int32_t windows_from;             /* no window before this one */
    int32_t rebuild_from, rebuild_to; /* RC_DAY_NONE: only what is missing */
};

struct agg_plan {
    struct agg_step *steps; /* in the order in which they are to be done */
    size_t count;
};

/*
 * The daily and window steps. Without a rebuild: every day that has no mark and every window that
 * is not current. A rebuild takes its days, done or not, with every window that they touch; a
 * window over a day that is neither done nor rebuilt is left to the next plain run.
 */
void agg_plan_make(const struct agg_history *history, const struct agg_plan_request *request,
                   struct agg_plan *out);
void agg_plan_clear(struct agg_plan *plan);

/* The newest day up to 'last' that is done with all its windows, or RC_DAY_NONE. */
int32_t agg_history_newest(const struct agg_history *history, int32_t last);

#endif
