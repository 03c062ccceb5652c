/*
 * Resolves the options that say what is aggregated: the seed's single value is the list of one
 * that stands when 'values' is absent. SQL is written elsewhere.
 */
#include "model.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

const char agg_type_names[] =
    "bigint, integer, double, decimal(p,s), varchar, boolean, date or timestamp";

static bool parse_decimal(const char *text, struct agg_type *out)
{
    char *end;

    if (strncasecmp(text, "decimal(", 8) != 0)
        return false;
    long precision = strtol(text + 8, &end, 10);
    long scale = 0;
    if (end == text + 8)
        return false;
    if (*end == ',')
        scale = strtol(end + 1, &end, 10);
    if (strcmp(end, ")") != 0 || precision < 1 || precision > 38 || scale < 0 || scale > precision)
        return false;
    snprintf(out->name, sizeof(out->name), "decimal(%ld,%ld)", precision, scale);
    snprintf(out->sum, sizeof(out->sum), "decimal(38,%ld)", scale);
    return true;
}

bool agg_type_parse(const char *text, struct agg_type *out)
{
    static const struct {
        const char *spelling, *name, *sum;
        bool inexact, is_text;
    } types[] = {
        { "bigint", "bigint", "bigint", false, false },
        { "long", "bigint", "bigint", false, false },
        { "integer", "integer", "bigint", false, false },
        { "int", "integer", "bigint", false, false },
        { "double", "double", "double", true, false },
        { "float", "double", "double", true, false },
        { "real", "double", "double", true, false },
        { "varchar", "varchar", "", false, true },
        { "string", "varchar", "", false, true },
        { "boolean", "boolean", "", false, false },
        { "date", "date", "", false, false },
        { "timestamp", "timestamp", "", false, false },
    };
    struct agg_type type = { .inexact = false };

    for (size_t i = 0; i < RC_ARRAY_LEN(types); i++) {
        if (strcasecmp(text, types[i].spelling) != 0)
            continue;
        snprintf(type.name, sizeof(type.name), "%s", types[i].name);
        snprintf(type.sum, sizeof(type.sum), "%s", types[i].sum);
        type.inexact = types[i].inexact;
        type.is_text = types[i].is_text;
        *out = type;
        return true;
    }
    if (!parse_decimal(text, &type))
        return false;
    *out = type;
    return true;
}

static bool is_name(const char *text)
{
    if (!isalpha((unsigned char)text[0]) && text[0] != '_')
        return false;
    for (const char *at = text; *at; at++)
        if (!isalnum((unsigned char)*at) && *at != '_')
            return false;
    return strlen(text) <= 63;
}

static enum rc_code check_column(const struct agg_model *model, const char *column,
                                 struct rc_error *err)
{
    static const char *const taken[] = { "userid", "shard",     "event", "name",
                                         "day",    "partition", "cnt" };

    if (!is_name(column))
        return rc_fail(err, RC_INVALID,
                       "'%s' cannot name a column: letters, digits and '_', at most 63", column);
    for (size_t i = 0; i < RC_ARRAY_LEN(taken); i++)
        if (strcasecmp(column, taken[i]) == 0)
            return rc_fail(err, RC_INVALID, "'%s' cannot name a column: every output has one",
                           column);
    if (strncasecmp(column, "agg_", 4) == 0)
        return rc_fail(
            err, RC_INVALID,
            "'%s' cannot name a column: names that begin with 'agg_' are the plugin's own", column);
    for (size_t i = 0; i < model->key_count; i++)
        if (strcasecmp(column, model->keys[i].column) == 0)
            return rc_fail(err, RC_INVALID, "the column '%s' is given twice", column);
    for (size_t i = 0; i < model->measure_count; i++)
        if (strcasecmp(column, model->measures[i].column) == 0)
            return rc_fail(err, RC_INVALID, "the column '%s' is given twice", column);
    return RC_OK;
}

static enum rc_code check_path(const char *path, struct rc_error *err)
{
    if (path[0] != '$' || (path[1] && path[1] != '.' && path[1] != '['))
        return rc_fail(err, RC_INVALID,
                       "'%s' is not a JSON path: it begins with '$.', such as "
                       "'$.attributes.revenue'",
                       path);
    return RC_OK;
}

static enum rc_code parse_type(const char *text, struct agg_type *out, struct rc_error *err)
{
    if (!agg_type_parse(text, out))
        return rc_fail(err, RC_INVALID, "'%s' is not a type: %s", text, agg_type_names);
    return RC_OK;
}

static enum rc_code add_measure(struct agg_model *model, const struct agg_value_option *value,
                                struct rc_error *err)
{
    struct agg_measure measure = { .path = value->path,
                                   .column = value->column,
                                   .aggregate = (enum agg_aggregate)value->aggregate };

    if (check_path(value->path, err) || parse_type(value->type, &measure.type, err) ||
        check_column(model, value->column, err))
        return err->code;
    if (!measure.type.sum[0] && (measure.aggregate == AGG_SUM || measure.aggregate == AGG_AVG))
        return rc_fail(err, RC_INVALID,
                       "values of the type %s cannot be summed: count, min, max "
                       "and distinct can be taken of them",
                       measure.type.name);
    if (measure.aggregate == AGG_DISTINCT)
        model->has_distinct = true;
    if (measure.aggregate == AGG_DISTINCT ||
        (measure.type.inexact && (measure.aggregate == AGG_SUM || measure.aggregate == AGG_AVG)))
        model->mergeable = false;
    model->measures[model->measure_count++] = measure;
    return RC_OK;
}

static enum rc_code add_measures(struct agg_model *model, struct rc_error *err)
{
    const struct agg_config *config = model->config;
    const struct agg_value_option single = { .path = config->value_path,
                                             .type = config->value_type,
                                             .column = config->target_column,
                                             .aggregate = AGG_SUM };

    model->measures = rc_calloc(config->values.len + 1, sizeof(*model->measures));
    if (config->values.len == 0 && add_measure(model, &single, err))
        return rc_context(err, "targetColumn '%s'", single.column);

    for (size_t i = 0; i < config->values.len; i++) {
        struct agg_value_option value = *RC_OBJECT_AT(struct agg_value_option, config->values, i);

        if (!value.path)
            value.path = config->value_path;
        if (add_measure(model, &value, err))
            return rc_context(err, "values[%zu] '%s'", i, value.column);
    }
    return RC_OK;
}

static enum rc_code add_keys(struct agg_model *model, struct rc_error *err)
{
    const struct rc_objects *group_by = &model->config->group_by;

    model->keys = rc_calloc(group_by->len + 1, sizeof(*model->keys));
    for (size_t i = 0; i < group_by->len; i++) {
        const struct agg_key_option *option = RC_OBJECT_AT(struct agg_key_option, *group_by, i);
        struct agg_key key = { .path = option->path, .column = option->column };

        if (check_path(option->path, err) || parse_type(option->type, &key.type, err) ||
            check_column(model, option->column, err))
            return rc_context(err, "group_by[%zu] '%s'", i, option->column);
        model->keys[model->key_count++] = key;
    }
    return RC_OK;
}

/* Whether a decimal holds the number, once it is rounded to its scale. */
static bool is_decimal(const char *name, double number)
{
    double limit = 1, half = 0.5;
    int precision, scale;

    if (sscanf(name, "decimal(%d,%d)", &precision, &scale) != 2)
        return false;
    for (int i = scale; i < precision; i++)
        limit *= 10;
    for (int i = 0; i < scale; i++)
        half /= 10;
    return fabs(number) + half < limit;
}

/* Beyond its range a number is none to an engine, and no event would ever pass the filter. */
static bool is_number(const struct agg_type *type, const char *text)
{
    double number;
    int64_t whole;

    if (!rc_parse_float(text, &number))
        return false;
    if (rc_str_eq(type->name, "integer"))
        return number >= INT32_MIN && number <= INT32_MAX;
    if (rc_str_eq(type->name, "bigint"))
        return rc_parse_int(text, &whole) || fabs(number) < 0x1p63;
    return rc_str_eq(type->name, "double") || is_decimal(type->name, number);
}

/* A day, or one with the time of day; with a zone, or as it is. */
static bool is_timestamp(const char *text)
{
    RC_STR_AUTO utc = rc_strf("%sZ", text);
    int32_t day;
    int64_t unix_ms;

    return rc_parse_day(text, &day) || rc_parse_time(text, &unix_ms) ||
           rc_parse_time(utc, &unix_ms);
}

/* Engines take such a text as a value of the type; which others they take is their own. */
static bool is_value(const struct agg_type *type, const char *text)
{
    int32_t day;

    if (type->is_text)
        return true;
    if (rc_str_eq(type->name, "boolean"))
        return rc_str_eq(text, "true") || rc_str_eq(text, "false");
    if (rc_str_eq(type->name, "date"))
        return rc_parse_day(text, &day);
    if (rc_str_eq(type->name, "timestamp"))
        return is_timestamp(text);
    return is_number(type, text);
}

static enum rc_code check_values(const struct agg_filter_option *filter,
                                 const struct agg_type *type, struct rc_error *err)
{
    for (size_t i = 0; i < filter->values.len; i++)
        if (!is_value(type, filter->values.items[i]))
            return rc_fail(err, RC_INVALID, "'%s' is not a value of the type %s",
                           filter->values.items[i], type->name);
    return RC_OK;
}

static enum rc_code check_filters(const struct agg_config *config, struct rc_error *err)
{
    for (size_t i = 0; i < config->filter.len; i++) {
        const struct agg_filter_option *filter =
            RC_OBJECT_AT(struct agg_filter_option, config->filter, i);
        bool many = filter->operator== AGG_IN || filter->operator== AGG_NOT_IN;
        bool none = filter->operator== AGG_PRESENT || filter->operator== AGG_MISSING;
        struct agg_type type;

        if (check_path(filter->path, err) || parse_type(filter->type, &type, err) ||
            check_values(filter, &type, err))
            return rc_context(err, "filter[%zu]", i);
        if (none   ? filter->values.len != 0
            : many ? filter->values.len == 0
                   : filter->values.len != 1)
            return rc_fail(err, RC_INVALID, "filter[%zu] on '%s': %s", i, filter->path,
                           none   ? "'present' and 'missing' take no values"
                           : many ? "'in' and 'not_in' need values"
                                  : "this operator needs exactly one of 'values'");
    }
    return RC_OK;
}

/* An average brings columns of its own, which another one may be named like. */
static enum rc_code check_columns(const struct agg_model *model, struct rc_error *err)
{
    struct agg_columns columns;
    enum rc_code code = RC_OK;

    agg_model_columns(model, &columns);
    for (size_t i = 0; i < columns.count && !code; i++)
        for (size_t j = 0; j < i && !code; j++)
            if (strcasecmp(columns.items[i].name, columns.items[j].name) == 0)
                code = rc_fail(err, RC_INVALID,
                               "the column '%s' is given twice: an average also "
                               "writes its sum and its count",
                               columns.items[i].name);
    agg_columns_clear(&columns);
    return code;
}

enum rc_code agg_model_make(const struct agg_config *config, struct agg_model *out,
                            struct rc_error *err)
{
    struct agg_model model = { .event_name = config->event_name,
                               .config = config,
                               .mergeable = true };

    if (add_keys(&model, err) || add_measures(&model, err) || check_filters(config, err) ||
        check_columns(&model, err)) {
        agg_model_clear(&model);
        return err->code;
    }
    *out = model;
    return RC_OK;
}

void agg_model_clear(struct agg_model *model)
{
    free(model->measures);
    free(model->keys);
    *model = (struct agg_model){ .measures = NULL };
}

const char *agg_measure_type(const struct agg_measure *measure)
{
    switch (measure->aggregate) {
    case AGG_SUM:
        return measure->type.sum;
    case AGG_MIN:
    case AGG_MAX:
        return measure->type.name;
    case AGG_AVG:
        return "double";
    case AGG_COUNT:
    case AGG_DISTINCT:
        break;
    }
    return "bigint";
}

static void add_column(struct agg_columns *out, const char *name, const char *suffix,
                       const char *type)
{
    struct agg_column *column = &out->items[out->count++];

    snprintf(column->name, sizeof(column->name), "%s%s", name, suffix);
    snprintf(column->type, sizeof(column->type), "%s", type);
}

void agg_model_columns(const struct agg_model *model, struct agg_columns *out)
{
    out->items = rc_calloc(3 + model->key_count + 3 * model->measure_count, sizeof(*out->items));
    out->count = 0;
    add_column(out, "userid", "", "varchar");
    add_column(out, "shard", "", "integer");
    for (size_t i = 0; i < model->key_count; i++)
        add_column(out, model->keys[i].column, "", model->keys[i].type.name);
    for (size_t i = 0; i < model->measure_count; i++) {
        const struct agg_measure *measure = &model->measures[i];

        /* An average over days needs its parts: averages cannot be averaged. */
        if (measure->aggregate == AGG_AVG) {
            add_column(out, measure->column, "_sum", measure->type.sum);
            add_column(out, measure->column, "_cnt", "bigint");
        }
        add_column(out, measure->column, "", agg_measure_type(measure));
    }
    add_column(out, "cnt", "", "bigint");
}

void agg_columns_clear(struct agg_columns *columns)
{
    free(columns->items);
    *columns = (struct agg_columns){ .items = NULL };
}

struct rc_sql_column *agg_columns_of_table(const struct agg_columns *columns)
{
    struct rc_sql_column *out = rc_calloc(columns->count, sizeof(*out));

    for (size_t i = 0; i < columns->count; i++)
        out[i] = (struct rc_sql_column){ columns->items[i].name, columns->items[i].type };
    return out;
}
