/*
 * Shows a plan.
 */
#include "plan.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { COLUMNS = 12, HOUR_TEXT = 32 };

static char *number(int64_t value)
{
    return rc_strf("%" PRId64, value);
}

static char *counted(int64_t count, const char *what)
{
    return rc_strf("%" PRId64 " %s%s", count, what, count == 1 ? "" : "s");
}

/* "30 days": what the rule keeps. */
static char *kept_text(const struct sdrs_rule *rule)
{
    static const char *const units[SDRS_UNITS] = {
        [SDRS_DAY] = "day",
        [SDRS_MONTH] = "month",
        [SDRS_VERSION] = "version",
    };

    return counted(rule->period, units[rule->unit]);
}

/* As far as the path says it: "2019-02-08T04" for an hour, given when that ends. */
static char *hour_text(enum sdrs_level level, int64_t end_unix_ms)
{
    static const size_t lengths[SDRS_LEVELS] = {
        [SDRS_YEAR] = 4,
        [SDRS_MON] = 7,
        [SDRS_MDAY] = 10,
        [SDRS_HOUR] = 13,
    };
    struct sdrs_hour hour = sdrs_hour_of(end_unix_ms - 1);
    RC_STR_AUTO text = rc_strf("%04d-%02d-%02dT%02d", hour.year, hour.month, hour.day, hour.hour);

    return rc_strndup(text, lengths[level]);
}

static char *time_text(const struct sdrs_plan_row *row, int64_t unix_ms)
{
    char text[RC_TIME_TEXT];

    if (row->weight.objects == 0)
        return NULL;
    if (row->has_level)
        return hour_text(row->level, unix_ms);
    return rc_strdup(rc_format_time(unix_ms, text));
}

static char *share_text(const struct sdrs_weight *weight)
{
    if (weight->all_objects == 0)
        return NULL;
    return rc_strf("%.4g", (double)weight->objects / (double)weight->all_objects);
}

static void add_row(const struct sdrs_plan_row *row, char **cells)
{
    const struct sdrs_rule *rule = row->rule;
    const struct sdrs_weight *weight = &row->weight;

    *cells++ = rc_strdup(rule->type == SDRS_GLOBAL ? row->bucket->bucket : rule->storage);
    *cells++ = rule->id > 0 ? number(rule->id) : NULL;
    *cells++ = rc_strdup(sdrs_rule_type_name(rule->type));
    *cells++ = kept_text(rule);
    *cells++ = number((int64_t)row->prefixes);
    *cells++ = number(weight->objects);
    *cells++ = number(weight->bytes);
    *cells++ = row->is_weighed ? number(weight->all_objects) : NULL;
    *cells++ = row->is_weighed ? share_text(weight) : NULL;
    *cells++ = time_text(row, weight->oldest_unix_ms);
    *cells++ = time_text(row, weight->newest_unix_ms);
    *cells = rc_strdup(row->message);
}

static void show_rows(struct rc_job *job, const struct sdrs_plan *plan)
{
    static const char *const columns[COLUMNS] = {
        "storage", ">rule",       "type",   "keeps",  ">prefixes", ">objects",
        ">bytes",  ">of objects", ">share", "oldest", "newest",    "message",
    };
    char **cells = rc_calloc(plan->count * COLUMNS + 1, sizeof(*cells));
    const struct rc_table table = {
        .title = "What would move",
        .columns = columns,
        .column_count = COLUMNS,
        .cells = (const char *const *)cells,
        .row_count = plan->count,
    };

    for (size_t i = 0; i < plan->count; i++)
        add_row(&plan->rows[i], cells + i * COLUMNS);
    rc_job_show(job, &table);
    for (size_t i = 0; i < plan->count * COLUMNS; i++)
        free(cells[i]);
    free(cells);
}

void sdrs_plan_show(struct rc_job *job, const struct sdrs_plan *plan)
{
    int64_t objects = 0, bytes = 0, prefixes = 0;
    char size[RC_AMOUNT_TEXT];

    if (plan->count == 0) {
        rc_job_say(job, "no rule names a bucket: nothing to move");
        return;
    }
    for (size_t i = 0; i < plan->count; i++) {
        objects += plan->rows[i].weight.objects;
        bytes += plan->rows[i].weight.bytes;
        prefixes += (int64_t)plan->rows[i].prefixes;
    }
    show_rows(job, plan);
    RC_STR_AUTO object_text = counted(objects, "object");
    RC_STR_AUTO prefix_text = rc_strf("%" PRId64 " prefix%s", prefixes, prefixes == 1 ? "" : "es");
    RC_STR_AUTO rule_text = counted((int64_t)plan->count, "rule");
    RC_STR_AUTO bucket_text = counted((int64_t)plan->buckets, "bucket");
    RC_STR_AUTO text = rc_strf("Would move %s (%s) below %s: %s in %s", object_text,
                               rc_format_size(bytes, size), prefix_text, rule_text, bucket_text);
    rc_job_say(job, text);
    rc_job_count(job, "objects_to_move", objects);
    rc_job_count(job, "bytes_to_move", bytes);
    rc_job_count(job, "prefixes", prefixes);
}
