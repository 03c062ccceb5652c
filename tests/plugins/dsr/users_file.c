/*
 * Every column has one page of plain values a row group, and is optional.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "users_file.h"

#include <run-core/str.h>

#include <stdlib.h>
#include <string.h>

enum { PLAIN = 0, UUID_FIELD = 14, LOGICAL_TYPE = 10, TYPE_LENGTH = 2, UUID_BYTES = 16 };
enum { LIMIT = 1 << 20 };

static void add_little(struct rc_buf *out, uint64_t number, size_t width)
{
    for (size_t i = 0; i < width; i++)
        rc_buf_addc(out, (char)(number >> (8 * i)));
}

static void add_value(struct rc_buf *out, enum pq_type type, const char *text)
{
    int64_t number;

    if (type == PQ_BYTE_ARRAY) {
        add_little(out, strlen(text), 4);
        rc_buf_adds(out, text);
    } else if (type == PQ_FIXED) {
        assert_int_equal(strlen(text), 2 * UUID_BYTES);
        for (size_t i = 0; i < UUID_BYTES; i++) {
            const char digits[3] = { text[2 * i], text[2 * i + 1], '\0' };

            rc_buf_addc(out, (char)strtoul(digits, NULL, 16));
        }
    } else if (type == PQ_DOUBLE) {
        add_little(out, 0, 8);
    } else {
        assert_true(rc_parse_int(text, &number));
        add_little(out, (uint64_t)number, type == PQ_INT32 ? 4 : 8);
    }
}

/* Levels of up to 'greatest', as runs of one each. */
static void add_levels(struct rc_buf *out, const char *const *texts, size_t count, char greatest)
{
    add_little(out, 2 * count, 4);
    for (size_t i = 0; i < count; i++) {
        rc_buf_addc(out, 1 << 1);
        rc_buf_addc(out, texts[i] ? greatest : 0);
    }
}

static void add_element(struct maker *maker, const struct users_column *column)
{
    const char *dot = strchr(column->path, '.');
    const char *name = dot ? dot + 1 : column->path;
    struct pq_node *element;

    if (dot) {
        RC_STR_AUTO group = rc_strndup(column->path, (size_t)(dot - column->path));
        maker_element(maker, group, MAKER_GROUP, MAKER_OPTIONAL, 1);
    }
    element = maker_element(maker, name, (int)column->type,
                            column->is_repeated ? MAKER_REPEATED : MAKER_OPTIONAL, 0);
    if (column->type == PQ_FIXED) {
        maker_int(maker, element, TYPE_LENGTH, PQ_KIND_I32, UUID_BYTES);
        maker_struct(maker, maker_struct(maker, element, LOGICAL_TYPE), UUID_FIELD);
    }
}

static void add_chunk(struct maker *maker, const struct users_column *column, size_t first,
                      size_t count)
{
    const char *const *texts = column->texts + first;
    RC_BUF_AUTO(body, LIMIT);
    RC_BUF_AUTO(pages, LIMIT);

    if (column->is_repeated) { /* each row is a list of one */
        add_little(&body, 2, 4);
        rc_buf_addc(&body, (char)(count << 1));
        rc_buf_addc(&body, 0);
    }
    add_levels(&body, texts, count, strchr(column->path, '.') ? 2 : 1);
    for (size_t i = 0; i < count; i++)
        if (texts[i])
            add_value(&body, column->type, texts[i]);
    maker_page(&pages, PLAIN, (int64_t)count, body.data, body.len);
    maker_chunk(maker, column->type, (int64_t)count, &pages, 0);
}

struct pq_source users_file(struct maker *maker, const struct users_column *columns,
                            size_t column_count, size_t row_count, size_t group_rows)
{
    maker_init(maker);
    maker_element(maker, "schema", MAKER_GROUP, MAKER_REQUIRED, (int)column_count);
    for (size_t i = 0; i < column_count; i++)
        add_element(maker, &columns[i]);
    for (size_t first = 0; first < row_count; first += group_rows) {
        size_t count = row_count - first < group_rows ? row_count - first : group_rows;

        maker_group(maker, (int64_t)count);
        for (size_t i = 0; i < column_count; i++)
            add_chunk(maker, &columns[i], first, count);
    }
    return maker_finish(maker);
}
