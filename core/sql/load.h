/*
 * What rows of a caller's may be that a table is loaded from: the same on every engine. Pure.
 */
#ifndef CORE_SQL_LOAD_H
#define CORE_SQL_LOAD_H

#include <run-core/sql.h>

/* RC_INVALID: there are no columns, or one has a type that is not loaded. */
RC_MUST_CHECK enum rc_code core_load_check_columns(const struct rc_sql_column *columns,
                                                   size_t count, struct rc_error *err);
/* RC_INVALID: the value is neither NULL nor of the column's type, or a text is not UTF-8. */
RC_MUST_CHECK enum rc_code core_load_check_value(const struct rc_sql_column *column,
                                                 const struct rc_value *value,
                                                 struct rc_error *err);

#endif
