/*
 * Rows by chance, and whether a file has them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "parquet_drawn.h"

#include <run-core/str.h>

#include <stdlib.h>
#include <string.h>

enum { BYTES_LIMIT = 64 << 20, LIST_LIMIT = 4 };

/* ---- rows ---- */

size_t drawn_value(const struct drawn_column *column, uint32_t value,
                   uint8_t out[DRAWN_VALUE_BYTES])
{
    struct chance chance = { value * 2654435761u + (uint32_t)column->type };
    static const size_t widths[] = { 1, 4, 8, 12, 4, 8, 0, 0 };
    size_t width = column->type == PQ_FIXED ? (size_t)column->width : widths[column->type];

    if (column->type == PQ_BOOLEAN) {
        out[0] = value & 1;
        return 1;
    }
    if (column->type == PQ_BYTE_ARRAY) {
        char *text = rc_strf("%s-%u-%.*s", column->path, value, (int)(value % 7), "abcdefg");

        width = strlen(text);
        memcpy(out, text, width);
        free(text);
        return width;
    }
    for (size_t i = 0; i < width; i++)
        out[i] = (uint8_t)chance_any(&chance);
    return width;
}

static uint32_t count_of(const struct drawn_column *column, char level)
{
    uint32_t count = 0;

    for (const char *at = column->levels; *at; at++)
        count += *at == level;
    return count;
}

uint32_t drawn_repetition(const struct drawn_column *column)
{
    return count_of(column, '*');
}

uint32_t drawn_definition(const struct drawn_column *column)
{
    return count_of(column, '*') + count_of(column, 'o');
}

static void add_cell(struct drawn *drawn, size_t c, struct drawn_cell cell)
{
    if (drawn->cells[c].len == drawn->cells[c].capacity) {
        drawn->cells[c].capacity = drawn->cells[c].capacity ? 2 * drawn->cells[c].capacity : 64;
        drawn->cells[c].cells =
            rc_realloc(drawn->cells[c].cells, drawn->cells[c].capacity * sizeof(cell));
    }
    drawn->cells[c].cells[drawn->cells[c].len++] = cell;
}

/* The cells of a row below a name in the path; 'lists' are those that the way there is in. */
static void draw(struct drawn *drawn, size_t c, struct chance *chance, const char *level,
                 struct drawn_cell cell, uint32_t lists)
{
    const struct drawn_column *column = &drawn->columns[c];

    if (!*level) {
        cell.value = (uint32_t)chance_below(chance, column->distinct);
        cell.is_there = true;
        add_cell(drawn, c, cell);
    } else if (*level == 'r') {
        draw(drawn, c, chance, level + 1, cell, lists);
    } else if (*level == 'o' && chance_below(chance, 4) == 0) {
        add_cell(drawn, c, cell);
    } else if (*level == 'o') {
        cell.definition++;
        draw(drawn, c, chance, level + 1, cell, lists);
    } else {
        uint64_t items = chance_below(chance, LIST_LIMIT);

        if (items == 0)
            add_cell(drawn, c, cell);
        cell.definition++;
        for (uint64_t i = 0; i < items; i++) {
            if (i > 0)
                cell.repetition = lists + 1;
            draw(drawn, c, chance, level + 1, cell, lists + 1);
        }
    }
}

static void draw_all(struct drawn *drawn, struct chance *chance)
{
    for (size_t c = 0; c < drawn->column_count; c++)
        for (size_t group = 0; group < drawn->group_count; group++)
            for (int64_t row = 0; row < drawn->group_rows[group]; row++)
                draw(drawn, c, chance, drawn->columns[c].levels, (struct drawn_cell){ 0 }, 0);
}

void drawn_file(struct drawn *drawn, struct chance *chance)
{
    rc_buf_init(&drawn->bytes, BYTES_LIMIT);
    draw_all(drawn, chance);
    drawn_write(drawn);
}

void drawn_clear(struct drawn *drawn)
{
    for (size_t c = 0; c < DRAWN_COLUMNS; c++)
        free(drawn->cells[c].cells);
    rc_buf_clear(&drawn->bytes);
}

/* ---- in memory ---- */

static enum rc_code fail_or_go(struct memory *memory, struct rc_error *err)
{
    return ++memory->calls == memory->fails_at ? rc_fail(err, RC_UNAVAILABLE, "it was to fail")
                                               : RC_OK;
}

static enum rc_code memory_read(void *context, int64_t offset, void *data, size_t len,
                                struct rc_error *err)
{
    struct memory *memory = context;

    if (fail_or_go(memory, err))
        return err->code;
    assert_true(offset >= 0 && (uint64_t)offset + len <= memory->bytes->len);
    memcpy(data, memory->bytes->data + offset, len);
    return RC_OK;
}

static enum rc_code memory_write(void *context, const void *data, size_t len, struct rc_error *err)
{
    struct memory *memory = context;

    if (fail_or_go(memory, err))
        return err->code;
    rc_buf_add(memory->bytes, data, len);
    return rc_buf_check(memory->bytes, err);
}

struct pq_source memory_source(struct memory *memory)
{
    return (struct pq_source){ .read = memory_read,
                               .context = memory,
                               .size_bytes = (int64_t)memory->bytes->len,
                               .name = "memory" };
}

struct pq_sink memory_sink(struct memory *memory)
{
    return (struct pq_sink){ .write = memory_write, .context = memory };
}

void memory_open(struct memory *memory, struct pq_file *out)
{
    struct pq_source source = memory_source(memory);
    struct rc_error err = RC_ERROR_INIT;

    if (pq_file_open(out, &source, BYTES_LIMIT, &err))
        fail_msg("%s: %s", err.context, err.cause);
}

/* ---- what is in a file ---- */

static bool is_among(const struct pq_rows *rows, int64_t row)
{
    for (size_t i = 0; i < rows->len; i++)
        if (rows->rows[i] == row)
            return true;
    return false;
}

/* The cells that are expected, one after the other. */
struct expected {
    const struct drawn *drawn;
    size_t column, at;
    int64_t row; /* of the cell before */
    const struct pq_rows *without;
};

static const struct drawn_cell *next_cell(struct expected *expected)
{
    while (expected->at < expected->drawn->cells[expected->column].len) {
        const struct drawn_cell *cell =
            &expected->drawn->cells[expected->column].cells[expected->at++];

        expected->row += cell->repetition == 0;
        if (!is_among(expected->without, expected->row))
            return cell;
    }
    return NULL;
}

static void check_page(struct expected *expected, const struct pq_page *page,
                       const struct pq_values *dictionary)
{
    const struct drawn_column *column = &expected->drawn->columns[expected->column];
    size_t value = 0;

    for (size_t i = 0; i < page->level_count; i++) {
        const struct drawn_cell *cell = next_cell(expected);
        uint8_t bytes[DRAWN_VALUE_BYTES];
        struct pq_slice found;

        assert_non_null(cell);
        assert_int_equal(page->definition ? page->definition[i] : 0, cell->definition);
        assert_int_equal(page->repetition ? page->repetition[i] : 0, cell->repetition);
        if (!cell->is_there)
            continue;
        assert_true(value < page->value_count);
        found = page->has_indices ? pq_value_at(dictionary, page->indices[value])
                                  : pq_value_at(&page->values, value);
        value++;
        assert_int_equal(found.len, drawn_value(column, cell->value, bytes));
        assert_memory_equal(found.data, bytes, found.len);
    }
    assert_int_equal(value, page->value_count);
}

void drawn_check(const struct drawn *drawn, const struct pq_rows *without,
                 const struct pq_file *file)
{
    struct rc_error err = RC_ERROR_INIT;

    assert_int_equal(file->column_count, drawn->column_count);
    for (size_t column = 0; column < file->column_count; column++) {
        struct expected expected = {
            .drawn = drawn, .column = column, .row = -1, .without = without
        };

        for (size_t group = 0; group < file->group_count; group++) {
            RC_CLEANUP(pq_pages_drop) struct pq_pages *pages = NULL;
            const struct pq_page *page;

            assert_int_equal(pq_pages_open(file, group, column, &pages, &err), RC_OK);
            for (;;) {
                if (pq_pages_next(pages, &page, &err))
                    fail_msg("%s: %s", err.context, err.cause);
                if (!page)
                    break;
                check_page(&expected, page, pq_pages_dictionary(pages));
            }
        }
        assert_null(next_cell(&expected));
    }
}
