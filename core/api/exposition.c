/*
 * Writes metrics as text. Which there are is said by those who have them.
 */
#include <api/exposition.h>

#include <base/utf8.h>

#include <inttypes.h>
#include <string.h>

void core_metric_family(struct rc_buf *out, const char *name, const char *type, const char *help)
{
    rc_buf_addf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

void core_metric_label(struct rc_buf *out, char separator, const char *key, const char *value)
{
    size_t left = value ? strlen(value) : 0, len;
    bool valid;

    rc_buf_addf(out, "%c%s=\"", separator, key);
    for (; left > 0; value += len, left -= len) {
        len = core_utf8_next(value, left, &valid);
        /* Backslash, quote and line feed are escaped, nothing else. */
        if (!valid)
            rc_buf_adds(out, "\xEF\xBF\xBD");
        else if (*value == '\n')
            rc_buf_adds(out, "\\n");
        else if (*value == '\\' || *value == '"')
            rc_buf_addf(out, "\\%c", *value);
        else
            rc_buf_add(out, value, len);
    }
    rc_buf_addc(out, '"');
}

void core_metric_int(struct rc_buf *out, int64_t value)
{
    rc_buf_addf(out, " %" PRId64 "\n", value);
}

void core_metric_float(struct rc_buf *out, double value)
{
    rc_buf_addf(out, " %.9g\n", value);
}

void core_metric_time(struct rc_buf *out, int64_t unix_ms)
{
    rc_buf_addf(out, " %s%" PRId64 ".%03" PRId64 "\n", unix_ms < 0 ? "-" : "",
                unix_ms < 0 ? -(unix_ms / 1000) : unix_ms / 1000,
                unix_ms < 0 ? -(unix_ms % 1000) : unix_ms % 1000);
}

void core_metric_histogram(struct rc_buf *out, const char *name, const char *labels,
                           const double *bounds, const int64_t *counts, size_t len, double sum)
{
    const char *comma = *labels ? "," : "";
    int64_t total = 0;

    for (size_t i = 0; i < len; i++) {
        total += counts[i];
        rc_buf_addf(out, "%s_bucket{%s%sle=\"%.6g\"} %" PRId64 "\n", name, labels, comma, bounds[i],
                    total);
    }
    total += counts[len];
    rc_buf_addf(out, "%s_bucket{%s%sle=\"+Inf\"} %" PRId64 "\n", name, labels, comma, total);
    rc_buf_addf(out, *labels ? "%s_sum{%s}" : "%s_sum%s", name, labels);
    core_metric_float(out, sum);
    rc_buf_addf(out, *labels ? "%s_count{%s}" : "%s_count%s", name, labels);
    core_metric_int(out, total);
}
