/*
 * What the names of files tell: their format, whether they are data at all, and the values of keys.
 * Pure.
 */
#ifndef CORE_SQL_FORMAT_H
#define CORE_SQL_FORMAT_H

#include <run-core/error.h>

enum core_format { CORE_FORMAT_PARQUET, CORE_FORMAT_JSON, CORE_FORMAT_CSV };

/* The value of a key that is NULL. */
#define CORE_FORMAT_HIVE_NULL "__HIVE_DEFAULT_PARTITION__"

/* "parquet", "json", "csv". */
const char *core_format_name(enum core_format format);
/* 'declared', or as the name of the file says if that is NULL. RC_INVALID: neither tells. */
RC_MUST_CHECK enum rc_code core_format_find(const char *declared, const char *path,
                                            enum core_format *out, struct rc_error *err);
/*
 * Whether a name below a location is no data: hidden ones, markers such as _SUCCESS, writes under
 * way. Any part of it counts, but for folders of keys that begin with '_'.
 */
bool core_format_is_hidden(const char *name);
/* Whether it is an object with data: nothing hidden, and not one that stands for a folder. */
bool core_format_is_data(const char *name);

#endif
