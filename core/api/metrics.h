/*
 * Metrics in the text format of Prometheus, version 0.0.4.
 */
#ifndef CORE_API_METRICS_H
#define CORE_API_METRICS_H

#include <api/exposition.h>
#include <api/server.h>

#include <run-core/buf.h>

#define CORE_API_METRICS "/metrics"

/* Appends the metrics of one run. */
void core_api_add_metrics(const struct core_run_view *view, struct rc_buf *out);

#endif
