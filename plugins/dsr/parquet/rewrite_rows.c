/*
 * Rows to levels to values. A page of a column that is not repeated has a level for each row, and
 * where nothing can be null a value for each level: then only the erased rows cost anything.
 */
#include "rewrite_rows.h"

#include <stdlib.h>

/* How many of the rows come before 'row'. */
static size_t rows_before(const struct pq_rows *rows, int64_t row)
{
    size_t low = 0, high = rows->len;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (rows->rows[middle] < row)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct pq_rows pq_rows_within(const struct pq_rows *rows, int64_t first, int64_t count)
{
    size_t from = rows_before(rows, first), to = rows_before(rows, first + count);

    return (struct pq_rows){ .rows = from < to ? rows->rows + from : NULL, .len = to - from };
}

void pq_spans_init(struct pq_spans *spans, struct pq_rows erased, int64_t first_row)
{
    *spans = (struct pq_spans){ .erased = erased, .next_row = first_row };
}

void pq_spans_clear(struct pq_spans *spans)
{
    free(spans->items);
    *spans = (struct pq_spans){ .items = NULL };
}

static void add(struct pq_spans *spans, size_t level, size_t end)
{
    if (level == end)
        return;
    if (spans->len == spans->capacity) {
        spans->capacity = spans->capacity ? 2 * spans->capacity : 16;
        spans->items = rc_realloc(spans->items, spans->capacity * sizeof(spans->items[0]));
    }
    spans->items[spans->len++] = (struct pq_span){ .level = level, .level_count = end - level };
    spans->level_count += end - level;
}

/* A level is a row. */
static void span_flat(struct pq_spans *spans, const struct pq_page *page)
{
    int64_t first_row = spans->next_row;
    size_t from = 0;

    spans->next_row += (int64_t)page->level_count;
    while (spans->erased_before < spans->erased.len &&
           spans->erased.rows[spans->erased_before] < spans->next_row) {
        size_t level = (size_t)(spans->erased.rows[spans->erased_before++] - first_row);

        add(spans, from, level);
        from = level + 1;
    }
    add(spans, from, page->level_count);
    spans->row_count = spans->level_count;
}

/* Levels of a row stand together; the first ones may be of the row that the page before began. */
static void span_repeated(struct pq_spans *spans, const struct pq_page *page)
{
    const struct pq_rows *erased = &spans->erased;
    bool is_erased =
        spans->erased_before > 0 && erased->rows[spans->erased_before - 1] == spans->next_row - 1;
    size_t from = 0;

    for (size_t i = 0; i < page->level_count; i++) {
        bool goes;

        if (page->repetition[i] != 0)
            continue;
        goes = spans->erased_before < erased->len &&
               erased->rows[spans->erased_before] == spans->next_row;
        spans->next_row++;
        spans->row_count += !goes;
        spans->erased_before += goes;
        if (goes == is_erased)
            continue;
        if (goes)
            add(spans, from, i);
        from = i;
        is_erased = goes;
    }
    if (!is_erased)
        add(spans, from, page->level_count);
}

static size_t count_values(const struct pq_page *page, size_t from, size_t to, uint32_t maximum)
{
    size_t count = 0;

    for (size_t i = from; i < to; i++)
        count += page->definition[i] == maximum;
    return count;
}

/* A value is there where the definition level is the greatest. */
static void find_values(struct pq_spans *spans, const struct pq_page *page, uint32_t maximum)
{
    size_t level = 0, value = 0;

    for (size_t i = 0; i < spans->len; i++) {
        struct pq_span *span = &spans->items[i];

        if (page->definition) {
            value += count_values(page, level, span->level, maximum);
            level = span->level + span->level_count;
            span->value = value;
            span->value_count = count_values(page, span->level, level, maximum);
            value += span->value_count;
        } else {
            span->value = span->level;
            span->value_count = span->level_count;
        }
        spans->value_count += span->value_count;
    }
}

void pq_spans_of(struct pq_spans *spans, const struct pq_column *column, const struct pq_page *page)
{
    spans->len = 0;
    spans->level_count = spans->value_count = spans->row_count = 0;
    if (column->max_repetition > 0)
        span_repeated(spans, page);
    else
        span_flat(spans, page);
    find_values(spans, page, (uint32_t)column->max_definition);
}
