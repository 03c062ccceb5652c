/*
 * The metrics of a single run. Everything that a plugin or a user named goes into label values,
 * where any text is allowed.
 */
#include <api/metrics.h>

static void add_run_labels(const struct core_run_view *view, struct rc_buf *out)
{
    core_metric_label(out, '{', "plugin", view->plugin);
    core_metric_label(out, ',', "action", view->action);
    core_metric_label(out, ',', "job", view->job);
}

static void add_gauge(const struct core_run_view *view, const char *name, const char *help,
                      int64_t value, struct rc_buf *out)
{
    core_metric_family(out, name, "gauge", help);
    rc_buf_adds(out, name);
    add_run_labels(view, out);
    rc_buf_addc(out, '}');
    core_metric_int(out, value);
}

static void add_state(const struct core_run_view *view, struct rc_buf *out)
{
    static const char name[] = "run_core_run_state";

    core_metric_family(out, name, "gauge", "The state of the run, as a label; the value is 1.");
    rc_buf_adds(out, name);
    add_run_labels(view, out);
    core_metric_label(out, ',', "state", view->state);
    rc_buf_adds(out, "} 1\n");
}

static void add_progress(const struct core_run_view *view, struct rc_buf *out)
{
    add_gauge(view, "run_core_run_progress_done", "How much of its work the run has done.",
              view->progress_done, out);
    if (view->progress_total > 0)
        add_gauge(view, "run_core_run_progress_total", "How much work the run has.",
                  view->progress_total, out);
}

static void add_counters(const struct core_run_view *view, struct rc_buf *out)
{
    static const char name[] = "run_core_run_counter";

    /* A gauge: plugins may count down too. */
    core_metric_family(out, name, "gauge", "The counters that the plugin keeps of the run.");
    for (size_t i = 0; i < view->counter_count; i++) {
        rc_buf_adds(out, name);
        add_run_labels(view, out);
        core_metric_label(out, ',', "counter", view->counters[i].name);
        rc_buf_addc(out, '}');
        core_metric_int(out, view->counters[i].value);
    }
}

void core_api_add_metrics(const struct core_run_view *view, struct rc_buf *out)
{
    static const char info[] = "run_core_run_info", start[] = "run_core_run_start_time_seconds";

    core_metric_family(out, info, "gauge", "What is running; the value is 1.");
    rc_buf_adds(out, info);
    add_run_labels(view, out);
    core_metric_label(out, ',', "run", view->run_id);
    core_metric_label(out, ',', "version", view->version);
    core_metric_label(out, ',', "dry_run", view->dry_run ? "true" : "false");
    rc_buf_adds(out, "} 1\n");

    core_metric_family(out, start, "gauge", "When the run began, in seconds since 1970.");
    rc_buf_adds(out, start);
    add_run_labels(view, out);
    rc_buf_addc(out, '}');
    core_metric_time(out, view->started_unix_ms);

    add_state(view, out);
    add_progress(view, out);
    if (view->counter_count)
        add_counters(view, out);
}
