/*
 * The text format of Prometheus, version 0.0.4, in its pieces.
 */
#ifndef CORE_API_EXPOSITION_H
#define CORE_API_EXPOSITION_H

#include <run-core/buf.h>

#include <stdint.h>

#define CORE_API_METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* The HELP and TYPE lines, which stand once before a family's samples. */
void core_metric_family(struct rc_buf *out, const char *name, const char *type, const char *help);

/* {key="value" or ,key="value": any text is allowed in a value, and NULL is "". */
void core_metric_label(struct rc_buf *out, char separator, const char *key, const char *value);

/* The values of samples, with the line's end. Times are shown in seconds. */
void core_metric_int(struct rc_buf *out, int64_t value);
void core_metric_float(struct rc_buf *out, double value);
void core_metric_time(struct rc_buf *out, int64_t unix_ms);

/*
 * The samples of a histogram: 'counts' has one for each of the 'len' upper bounds and one for what
 * is above them, not cumulated. 'labels' stands in each, such as job="x"; or is empty.
 */
void core_metric_histogram(struct rc_buf *out, const char *name, const char *labels,
                           const double *bounds, const int64_t *counts, size_t len, double sum);

#endif
