/*
 * Builds the SQL of every step. Runs nothing.
 */
#include "statements.h"

#include <stdio.h>

/* Longest text of a rejected event in the report. */
enum { SAMPLE_CHARS = 200, EXPRESSION_LIMIT = 64 << 10 };

static void add_keys(const struct agg_model *model, struct rc_buf *out)
{
    for (size_t i = 0; i < model->key_count; i++) {
        rc_buf_adds(out, ", ");
        rc_buf_add_ident(out, model->keys[i].column);
    }
}

static void add_from(const struct agg_sql *sql, struct rc_buf *out, const char *table)
{
    rc_buf_adds(out, " FROM ");
    rc_sql_add_table(sql->job, sql->session, out, table);
}

/* What a row is grouped by. */
static void add_group(const struct agg_model *model, struct rc_buf *out)
{
    rc_buf_adds(out, " GROUP BY userid, shard, \"partition\"");
    add_keys(model, out);
}

static void add_order(const struct agg_sql *sql, struct rc_buf *out, const char *more)
{
    if (!sql->ordered)
        return;
    rc_buf_adds(out, " ORDER BY \"partition\", userid, shard");
    add_keys(sql->model, out);
    rc_buf_adds(out, more);
}

/* ---- the events of a day ---- */

/* The text at a path, as the helper of the engine writes it. */
static void add_text(const struct agg_sql *sql, struct rc_buf *out, const char *path)
{
    rc_sql_add_json_text(sql->job, sql->session, out, "event", path);
}

/*
 * The value of the text in column 'text'. An object is not a value, also where it could pass for
 * a varchar; neither is what is no number among numbers, which would swallow a whole sum.
 */
static void add_value(const struct agg_sql *sql, struct rc_buf *out, const char *text,
                      const struct agg_type *type)
{
    RC_BUF_AUTO(cast, EXPRESSION_LIMIT);

    if (type->is_text) {
        rc_buf_addf(out, "CASE WHEN substr(%s, 1, 1) IN ('{', '[') AND ", text);
        rc_sql_add_json_valid(sql->job, sql->session, out, text);
        rc_buf_addf(out, " THEN NULL ELSE %s END", text);
        return;
    }
    rc_sql_add_try_cast(sql->job, sql->session, &cast, text, type->name);
    if (type->inexact)
        rc_buf_addf(out, "CASE WHEN %s - %s = 0 THEN %s END", cast.data, cast.data, cast.data);
    else
        rc_buf_adds(out, cast.data);
}

/* The model has checked that the text is a value of the type. */
static void add_operand(const struct agg_sql *sql, struct rc_buf *out, const struct agg_type *type,
                        const char *text)
{
    RC_BUF_AUTO(literal, EXPRESSION_LIMIT);

    rc_buf_add_literal(&literal, text);
    if (type->is_text)
        rc_buf_adds(out, literal.data);
    else
        rc_sql_add_try_cast(sql->job, sql->session, out, literal.data, type->name);
}

static void add_filter(const struct agg_sql *sql, struct rc_buf *out,
                       const struct agg_filter_option *filter)
{
    static const char *const operators[] = {
        [AGG_EQUALS] = " = ",           [AGG_NOT_EQUALS] = " <> ",  [AGG_AT_LEAST] = " >= ",
        [AGG_AT_MOST] = " <= ",         [AGG_IN] = " IN (",         [AGG_NOT_IN] = " NOT IN (",
        [AGG_PRESENT] = " IS NOT NULL", [AGG_MISSING] = " IS NULL",
    };
    RC_BUF_AUTO(text, EXPRESSION_LIMIT);
    struct agg_type type;

    bool known = agg_type_parse(filter->type, &type);
    RC_ASSERT(known); /* the model has checked it */
    add_text(sql, &text, filter->path);
    if (type.is_text)
        rc_buf_adds(out, text.data);
    else
        rc_sql_add_try_cast(sql->job, sql->session, out, text.data, type.name);
    rc_buf_adds(out, operators[filter->operator]);
    for (size_t i = 0; i < filter->values.len; i++) {
        if (i > 0)
            rc_buf_adds(out, ", ");
        add_operand(sql, out, &type, filter->values.items[i]);
    }
    if (filter->operator== AGG_IN || filter->operator== AGG_NOT_IN)
        rc_buf_adds(out, ")");
}

/* A table that others have made holds all days, and may have its numbers in other types. */
static void add_event_columns(const struct agg_sql *sql, struct rc_buf *out)
{
    rc_buf_adds(out, sql->day ? "userid, CAST(shard AS integer) AS shard, "
                                "CAST(\"partition\" AS integer) AS \"partition\", event"
                              : "userid, shard, \"partition\", event");
}

static void add_of_day(const struct agg_sql *sql, struct rc_buf *out, const char *before)
{
    if (!sql->day)
        return;
    rc_buf_addf(out, "%s\"day\" = ", before);
    rc_buf_add_literal(out, sql->day);
}

void agg_sql_partitions(const struct agg_sql *sql, struct rc_buf *out)
{
    rc_buf_adds(out, "SELECT count(DISTINCT \"partition\")");
    add_from(sql, out, AGG_EVENTS);
    add_of_day(sql, out, " WHERE ");
}

/*
 * The events that count, with the text of each key (agg_k0, ...) and of each measure's value
 * (agg_t0, ...).
 */
static void add_events(const struct agg_sql *sql, struct rc_buf *out)
{
    const struct agg_model *model = sql->model;
    const struct rc_objects *filter = &model->config->filter;

    rc_buf_adds(out, "SELECT ");
    add_event_columns(sql, out);
    for (size_t i = 0; i < model->key_count; i++) {
        rc_buf_adds(out, ", ");
        add_text(sql, out, model->keys[i].path);
        rc_buf_addf(out, " AS agg_k%zu", i);
    }
    for (size_t i = 0; i < model->measure_count; i++) {
        rc_buf_adds(out, ", ");
        add_text(sql, out, model->measures[i].path);
        rc_buf_addf(out, " AS agg_t%zu", i);
    }
    add_from(sql, out, AGG_EVENTS);
    rc_buf_adds(out, " WHERE name = ");
    rc_buf_add_literal(out, model->event_name);
    add_of_day(sql, out, " AND ");
    for (size_t i = 0; i < filter->len; i++) {
        rc_buf_adds(out, " AND ");
        add_filter(sql, out, RC_OBJECT_AT(struct agg_filter_option, *filter, i));
    }
}

/* The same with keys and values (agg_v0, ...) in their types, and whether an event is rejected. */
static void add_typed_events(const struct agg_sql *sql, struct rc_buf *out)
{
    const struct agg_model *model = sql->model;
    char text[48];

    rc_buf_adds(out, "SELECT userid, shard, \"partition\", event");
    for (size_t i = 0; i < model->key_count; i++) {
        snprintf(text, sizeof(text), "agg_k%zu", i);
        rc_buf_adds(out, ", ");
        if (model->keys[i].type.is_text)
            rc_buf_adds(out, text);
        else
            rc_sql_add_try_cast(sql->job, sql->session, out, text, model->keys[i].type.name);
        rc_buf_adds(out, " AS ");
        rc_buf_add_ident(out, model->keys[i].column);
    }
    for (size_t i = 0; i < model->measure_count; i++) {
        snprintf(text, sizeof(text), "agg_t%zu", i);
        rc_buf_adds(out, ", ");
        add_value(sql, out, text, &model->measures[i].type);
        rc_buf_addf(out, " AS agg_v%zu, agg_t%zu", i, i);
    }
    rc_buf_adds(out, " FROM (");
    add_events(sql, out);
    rc_buf_adds(out, ") texts");
}

/*
 * Whether JSON is well-formed costs a second look at it, so only events without a value are
 * asked.
 */
static void add_rejected(const struct agg_sql *sql, struct rc_buf *out)
{
    rc_buf_adds(out, "(CASE WHEN agg_t0 IS NULL THEN ");
    rc_sql_add_json_valid(sql->job, sql->session, out, "event");
    rc_buf_adds(out, " ELSE agg_v0 IS NOT NULL END = FALSE");
    for (size_t i = 1; i < sql->model->measure_count; i++)
        rc_buf_addf(out, " OR (agg_t%zu IS NOT NULL AND agg_v%zu IS NULL)", i, i);
    rc_buf_adds(out, ")");
}

static void add_sum(const struct agg_sql *sql, struct rc_buf *out, const char *value,
                    const char *order, const struct agg_type *type)
{
    rc_buf_adds(out, "CAST(coalesce(");
    if (type->inexact)
        rc_sql_add_sum(sql->job, sql->session, out, value, order);
    else
        rc_buf_addf(out, "sum(%s)", value);
    rc_buf_addf(out, ", 0) AS %s)", type->sum);
}

static void add_average(struct rc_buf *out, const char *sum, const char *count)
{
    rc_buf_addf(out, "CAST(%s AS double) / nullif(%s, 0)", sum, count);
}

static void add_as(struct rc_buf *out, const char *column, const char *suffix)
{
    RC_STR_AUTO name = rc_strf("%s%s", column, suffix);

    rc_buf_adds(out, " AS ");
    rc_buf_add_ident(out, name);
}

static void add_day_measure(const struct agg_sql *sql, struct rc_buf *out,
                            const struct agg_measure *measure, size_t index)
{
    char value[48];
    RC_BUF_AUTO(sum, EXPRESSION_LIMIT);

    snprintf(value, sizeof(value), "agg_v%zu", index);
    rc_buf_adds(out, ", ");
    switch (measure->aggregate) {
    case AGG_SUM:
        add_sum(sql, out, value, value, &measure->type);
        break;
    case AGG_COUNT:
        rc_buf_addf(out, "count(%s)", value);
        break;
    case AGG_MIN:
        rc_buf_addf(out, "min(%s)", value);
        break;
    case AGG_MAX:
        rc_buf_addf(out, "max(%s)", value);
        break;
    case AGG_DISTINCT:
        rc_buf_addf(out, "count(DISTINCT %s)", value);
        break;
    case AGG_AVG:
        add_sum(sql, &sum, value, value, &measure->type);
        rc_buf_adds(out, sum.data);
        add_as(out, measure->column, "_sum");
        rc_buf_addf(out, ", count(%s)", value);
        add_as(out, measure->column, "_cnt");
        rc_buf_adds(out, ", ");
        snprintf(value, sizeof(value), "count(agg_v%zu)", index);
        add_average(out, sum.data, value);
        break;
    }
    add_as(out, measure->column, "");
}

void agg_sql_day(const struct agg_sql *sql, struct rc_buf *out)
{
    const struct agg_model *model = sql->model;

    rc_buf_adds(out, "SELECT userid, shard, \"partition\"");
    add_keys(model, out);
    for (size_t i = 0; i < model->measure_count; i++)
        add_day_measure(sql, out, &model->measures[i], i);
    rc_buf_addf(
        out,
        ", count(*) AS cnt, count(CASE WHEN agg_rejected THEN 1 END) AS agg_rejected, "
        "min(CASE WHEN agg_rejected THEN substr(event, 1, %d) END) AS agg_sample FROM (SELECT *, ",
        SAMPLE_CHARS);
    add_rejected(sql, out);
    rc_buf_adds(out, " AS agg_rejected FROM (");
    add_typed_events(sql, out);
    rc_buf_adds(out, ") typed) judged");
    add_group(model, out);
}

void agg_sql_day_counts(const struct agg_sql *sql, struct rc_buf *out)
{
    rc_buf_adds(out, "SELECT count(DISTINCT userid), count(*), CAST(coalesce(sum(cnt), 0) AS "
                     "bigint), CAST(coalesce(sum(agg_rejected), 0) AS bigint)");
    add_from(sql, out, AGG_DAY);
}

void agg_sql_day_samples(const struct agg_sql *sql, struct rc_buf *out, int limit)
{
    rc_buf_adds(out, "SELECT userid, agg_rejected, agg_sample");
    add_from(sql, out, AGG_DAY);
    rc_buf_addf(out,
                " WHERE agg_rejected > 0 ORDER BY agg_rejected DESC, userid, agg_sample LIMIT %d",
                limit);
}

static void add_columns(const struct agg_sql *sql, struct rc_buf *out)
{
    for (size_t i = 0; i < sql->columns->count; i++) {
        if (i > 0)
            rc_buf_adds(out, ", ");
        rc_buf_add_ident(out, sql->columns->items[i].name);
    }
}

void agg_sql_day_output(const struct agg_sql *sql, struct rc_buf *out)
{
    rc_buf_adds(out, "SELECT ");
    add_columns(sql, out);
    rc_buf_adds(out, ", \"partition\"");
    add_from(sql, out, AGG_DAY);
    add_order(sql, out, "");
}

void agg_sql_day_values(const struct agg_sql *sql, struct rc_buf *out)
{
    const struct agg_model *model = sql->model;
    bool first = true;

    rc_buf_adds(out, "SELECT userid, shard");
    add_keys(model, out);
    rc_buf_adds(out, ", agg_measure, agg_value, \"partition\" FROM (");
    for (size_t i = 0; i < model->measure_count; i++) {
        if (model->measures[i].aggregate != AGG_DISTINCT)
            continue;
        rc_buf_adds(out, first ? "" : " UNION ALL ");
        rc_buf_adds(out, "SELECT DISTINCT userid, shard, \"partition\"");
        add_keys(model, out);
        rc_buf_adds(out, ", CAST(");
        rc_buf_add_literal(out, model->measures[i].column);
        rc_buf_addf(
            out, " AS varchar) AS agg_measure, CAST(agg_v%zu AS varchar) AS agg_value FROM (", i);
        add_typed_events(sql, out);
        rc_buf_addf(out, ") typed WHERE agg_v%zu IS NOT NULL", i);
        first = false;
    }
    rc_buf_adds(out, ") distinct_values");
    add_order(sql, out, ", agg_measure, agg_value");
}

/* ---- a window ---- */

/*
 * A value that a day has kept as text, which is another one with each engine (10.0, 1.0E1): a
 * window may reach over days of several.
 */
static void add_kept_value(const struct agg_sql *sql, struct rc_buf *out,
                           const struct agg_type *type)
{
    if (type->is_text)
        rc_buf_adds(out, "agg_value");
    else
        rc_sql_add_try_cast(sql->job, sql->session, out, "agg_value", type->name);
}

static void add_window_measure(const struct agg_sql *sql, struct rc_buf *out,
                               const struct agg_measure *measure)
{
    RC_BUF_AUTO(column, 1024);
    RC_BUF_AUTO(sum, EXPRESSION_LIMIT);
    RC_STR_AUTO sum_name = rc_strf("%s_sum", measure->column);
    RC_STR_AUTO count_name = rc_strf("%s_cnt", measure->column);
    RC_STR_AUTO count = rc_strf("CAST(sum(\"%s\") AS bigint)", count_name);

    rc_buf_add_ident(&column, measure->column);
    rc_buf_adds(out, ", ");
    switch (measure->aggregate) {
    case AGG_SUM:
        add_sum(sql, out, column.data, "\"day\"", &measure->type);
        break;
    case AGG_COUNT:
        rc_buf_addf(out, "CAST(sum(%s) AS bigint)", column.data);
        break;
    case AGG_MIN:
        rc_buf_addf(out, "min(%s)", column.data);
        break;
    case AGG_MAX:
        rc_buf_addf(out, "max(%s)", column.data);
        break;
    case AGG_DISTINCT:
        rc_buf_adds(out, "count(DISTINCT CASE WHEN agg_measure = ");
        rc_buf_add_literal(out, measure->column);
        rc_buf_adds(out, " THEN ");
        add_kept_value(sql, out, &measure->type);
        rc_buf_adds(out, " END)");
        break;
    case AGG_AVG:
        rc_buf_reset(&column);
        rc_buf_add_ident(&column, sum_name);
        add_sum(sql, &sum, column.data, "\"day\"", &measure->type);
        rc_buf_addf(out, "%s AS %s, %s", sum.data, column.data, count);
        add_as(out, count_name, "");
        rc_buf_adds(out, ", ");
        add_average(out, sum.data, count);
        break;
    }
    add_as(out, measure->column, "");
}

/* The rows of the days with, where values are counted, a row for each distinct value of a day. */
static void add_window_rows(const struct agg_sql *sql, struct rc_buf *out)
{
    const struct agg_columns *columns = sql->columns;
    size_t keys_end = 2 + sql->model->key_count;

    if (!sql->model->has_distinct) {
        add_from(sql, out, AGG_DAILIES);
        return;
    }
    rc_buf_adds(out, " FROM (SELECT ");
    add_columns(sql, out);
    rc_buf_adds(out, ", CAST(NULL AS varchar) AS agg_measure, CAST(NULL AS varchar) AS agg_value, "
                     "\"day\", \"partition\"");
    add_from(sql, out, AGG_DAILIES);
    rc_buf_adds(out, " UNION ALL SELECT ");
    for (size_t i = 0; i < columns->count; i++) {
        rc_buf_adds(out, i > 0 ? ", " : "");
        if (i < keys_end)
            rc_buf_add_ident(out, columns->items[i].name);
        else
            rc_buf_addf(out, "CAST(NULL AS %s)", columns->items[i].type);
    }
    rc_buf_adds(out, ", agg_measure, agg_value, \"day\", \"partition\"");
    add_from(sql, out, AGG_VALUES);
    rc_buf_adds(out, ") days");
}

void agg_sql_window(const struct agg_sql *sql, struct rc_buf *out)
{
    const struct agg_model *model = sql->model;

    rc_buf_adds(out, "SELECT userid, shard");
    add_keys(model, out);
    for (size_t i = 0; i < model->measure_count; i++)
        add_window_measure(sql, out, &model->measures[i]);
    rc_buf_adds(out, ", CAST(sum(cnt) AS bigint) AS cnt, \"partition\"");
    add_window_rows(sql, out);
    add_group(model, out);
    add_order(sql, out, "");
}

/* ---- the CSV file ---- */

/*
 * Numbers of events are 0 where a user is absent; a least, greatest or average value is nothing
 * there.
 */
static bool is_zero_if_absent(const struct agg_measure *measure)
{
    return measure->aggregate == AGG_SUM || measure->aggregate == AGG_COUNT ||
           measure->aggregate == AGG_DISTINCT;
}

static void add_csv_column(struct rc_buf *out, const char *column, size_t part, bool zero)
{
    rc_buf_addf(out,
                zero ? ", coalesce(max(CASE WHEN agg_part = %zu THEN "
                     : ", max(CASE WHEN agg_part = %zu THEN ",
                part);
    rc_buf_add_ident(out, column);
    rc_buf_adds(out, zero ? " END), 0)" : " END)");
}

void agg_sql_csv(const struct agg_sql *sql, const char *const *suffixes, size_t part_count,
                 struct rc_buf *out)
{
    const struct agg_model *model = sql->model;

    rc_buf_adds(out, "SELECT userid, shard");
    add_keys(model, out);
    for (size_t part = 0; part < part_count; part++) {
        for (size_t i = 0; i < model->measure_count; i++) {
            const struct agg_measure *measure = &model->measures[i];

            add_csv_column(out, measure->column, part, is_zero_if_absent(measure));
            add_as(out, measure->column, suffixes[part]);
        }
        add_csv_column(out, "cnt", part, true);
        add_as(out, "cnt", suffixes[part]);
    }
    rc_buf_adds(out, " FROM (");
    for (size_t part = 0; part < part_count; part++) {
        RC_STR_AUTO table = rc_strf(AGG_PART "%zu", part);

        rc_buf_addf(out, "%sSELECT %zu AS agg_part, \"partition\", ", part ? " UNION ALL " : "",
                    part);
        add_columns(sql, out);
        add_from(sql, out, table);
    }
    rc_buf_adds(out, ") parts");
    add_group(model, out);
    rc_buf_adds(out, " ORDER BY userid, shard");
    add_keys(model, out);
    rc_buf_adds(out, ", \"partition\"");
}
