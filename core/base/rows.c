/*
 * A result without columns and rows.
 */
#include <base/rows.h>

#include <stdlib.h>

static enum rc_code empty_next(struct rc_rows *rows, const struct rc_value **row,
                               struct rc_error *err)
{
    (void)rows;
    (void)err;
    *row = NULL;
    return RC_OK;
}

static size_t empty_columns(const struct rc_rows *rows, const char *const **names)
{
    static const char *const none[] = { NULL };

    (void)rows;
    if (names)
        *names = none;
    return 0;
}

static void empty_close(struct rc_rows *rows)
{
    free(rows);
}

struct rc_rows *core_rows_empty(void)
{
    static const struct rc_rows_api api = {
        .next = empty_next,
        .columns = empty_columns,
        .close = empty_close,
    };
    struct rc_rows *rows = rc_malloc(sizeof(*rows));

    rows->api = &api;
    return rows;
}
