/*
 * Rows that are held in memory, behind the iterator of value.h: for small results
 * and for those of statements that a dry run did not make.
 */
#ifndef CORE_BASE_ROWS_H
#define CORE_BASE_ROWS_H

#include <run-core/value.h>

/* No columns, no rows. Freed by rc_rows_close(). */
struct rc_rows *core_rows_empty(void);

#endif
