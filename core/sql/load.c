/*
 * See load.h.
 */
#include <sql/load.h>

#include <base/utf8.h>

#include <strings.h>

/* RC_VALUE_NULL: the type is none that is loaded. */
static enum rc_value_type type_of(const char *type)
{
    static const struct {
        const char *name;
        enum rc_value_type type;
    } types[] = {
        { "varchar", RC_VALUE_TEXT },
        { "bigint", RC_VALUE_INT },
        { "double", RC_VALUE_FLOAT },
        { "boolean", RC_VALUE_BOOL },
    };

    for (size_t i = 0; i < RC_ARRAY_LEN(types); i++)
        if (strcasecmp(types[i].name, type) == 0)
            return types[i].type;
    return RC_VALUE_NULL;
}

enum rc_code core_load_check_columns(const struct rc_sql_column *columns, size_t count,
                                     struct rc_error *err)
{
    if (count == 0)
        return rc_fail(err, RC_INVALID, "a table needs columns");
    for (size_t i = 0; i < count; i++)
        if (type_of(columns[i].type) == RC_VALUE_NULL)
            return rc_fail(err, RC_INVALID,
                           "the column '%s' has the type '%s'; rows that are loaded have varchar, "
                           "bigint, double and boolean",
                           columns[i].name, columns[i].type);
    return RC_OK;
}

enum rc_code core_load_check_value(const struct rc_sql_column *column, const struct rc_value *value,
                                   struct rc_error *err)
{
    if (value->type != RC_VALUE_NULL && value->type != type_of(column->type))
        return rc_fail(err, RC_INVALID, "a value of the column '%s' is not of its type, %s",
                       column->name, column->type);
    if (value->type == RC_VALUE_TEXT && !core_utf8_are_valid(value->text, value->len))
        return rc_fail(err, RC_INVALID, "a value of the column '%s' is not UTF-8", column->name);
    return RC_OK;
}
