/*
 * Decides which steps are due. See plan.h for the rule; how a step is done is in daily.c
 * and window.c.
 */
#include "plan.h"
#include "digest.h"

#include <stdlib.h>
#include <string.h>

void agg_history_make(struct agg_history *out, int32_t first, int32_t last,
                      const struct agg_window_span *spans, size_t span_count)
{
    size_t days = last < first ? 0 : (size_t)(last - first) + 1;

    *out = (struct agg_history){ .first = first, .day_count = days, .span_count = span_count };
    out->spans = rc_calloc(span_count + 1, sizeof(*out->spans));
    if (span_count)
        memcpy(out->spans, spans, span_count * sizeof(*spans));
    out->daily = rc_calloc(days + 1, sizeof(*out->daily));
    out->windows = rc_calloc(days * span_count + 1, sizeof(*out->windows));
}

void agg_history_clear(struct agg_history *history)
{
    free(history->spans);
    free(history->daily);
    free(history->windows);
    *history = (struct agg_history){ .spans = NULL };
}

struct agg_mark *agg_history_daily(const struct agg_history *history, int32_t day)
{
    size_t index = (size_t)(day - history->first);

    RC_ASSERT(day >= history->first && index < history->day_count);
    return &history->daily[index];
}

struct agg_mark *agg_history_window(const struct agg_history *history, size_t window, int32_t day)
{
    size_t index = (size_t)(day - history->first);

    RC_ASSERT(day >= history->first && index < history->day_count);
    return &history->windows[window * history->day_count + index];
}

int32_t agg_window_first(const struct agg_history *history, size_t window, int32_t day)
{
    int64_t first = (int64_t)day - history->spans[window].days + 1;

    return first < history->first ? history->first : (int32_t)first;
}

uint64_t agg_window_inputs(const struct agg_history *history, size_t window, int32_t day)
{
    int32_t first = agg_window_first(history, window, day);
    uint64_t digest = agg_digest_number(AGG_DIGEST_INIT, history->spans[window].definition);

    digest = agg_digest_number(digest, (uint64_t)first);
    for (int32_t d = first; d <= day; d++)
        digest = agg_digest_number(digest, agg_history_daily(history, d)->output);
    return digest;
}

bool agg_window_current(const struct agg_history *history, size_t window, int32_t day)
{
    const struct agg_mark *mark = agg_history_window(history, window, day);

    return mark->done && mark->inputs == agg_window_inputs(history, window, day);
}

bool agg_window_only_grows(const struct agg_history *history, size_t window, int32_t day)
{
    return day > history->first &&
           agg_window_first(history, window, day) == agg_window_first(history, window, day - 1);
}

static void add_step(struct agg_plan *plan, enum agg_step_kind kind, int32_t day, size_t window)
{
    /* Grown by doubling, where the count is a power of two. */
    if ((plan->count & (plan->count - 1)) == 0)
        plan->steps =
            rc_realloc(plan->steps, (plan->count ? 2 * plan->count : 1) * sizeof(*plan->steps));
    plan->steps[plan->count++] = (struct agg_step){ .kind = kind, .day = day, .window = window };
}

/*
 * For a day: the newest day up to it that is neither done nor planned, and the newest that is
 * planned. Windows look back, so these two are all they need.
 */
struct seen {
    int32_t gap, planned;
};

static bool window_due(const struct agg_history *history, const struct agg_plan_request *request,
                       size_t window, int32_t day, const struct seen *seen)
{
    int32_t first = agg_window_first(history, window, day);

    if (day < request->windows_from || (seen->gap != RC_DAY_NONE && seen->gap >= first))
        return false;
    if (seen->planned != RC_DAY_NONE && seen->planned >= first)
        return true;
    return request->rebuild_from == RC_DAY_NONE && !agg_window_current(history, window, day);
}

void agg_plan_make(const struct agg_history *history, const struct agg_plan_request *request,
                   struct agg_plan *out)
{
    bool rebuild = request->rebuild_from != RC_DAY_NONE;
    struct seen seen = { RC_DAY_NONE, RC_DAY_NONE };

    *out = (struct agg_plan){ .steps = NULL };
    for (size_t i = 0; i < history->day_count; i++) {
        int32_t day = history->first + (int32_t)i;
        bool done = history->daily[i].done;

        if (day > request->last)
            break;
        if (rebuild ? day >= request->rebuild_from && day <= request->rebuild_to : !done) {
            add_step(out, AGG_STEP_DAILY, day, 0);
            seen.planned = day;
        } else if (!done) {
            seen.gap = day;
        }
        for (size_t window = 0; window < history->span_count; window++)
            if (window_due(history, request, window, day, &seen))
                add_step(out, AGG_STEP_WINDOW, day, window);
    }
}

void agg_plan_clear(struct agg_plan *plan)
{
    free(plan->steps);
    *plan = (struct agg_plan){ .steps = NULL };
}

int32_t agg_history_newest(const struct agg_history *history, int32_t last)
{
    for (int32_t day = last; day >= history->first; day--) {
        bool whole = agg_history_daily(history, day)->done;

        for (size_t window = 0; whole && window < history->span_count; window++)
            whole = agg_window_current(history, window, day);
        if (whole)
            return day;
    }
    return RC_DAY_NONE;
}
