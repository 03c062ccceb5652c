/*
 * Any bytes as a page of Trino's: it is one or an error, and its rows are whole or an error.
 */
#include <sql/trino_client.h>

#include <run-core/str.h>

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { COLUMNS = 64 };

static void read_rows(const struct core_trino_page *page)
{
    struct core_trino_cell cells[COLUMNS];
    struct rc_value values[COLUMNS];
    struct rc_error err = RC_ERROR_INIT;
    struct core_trino_json json;
    RC_BUF_AUTO(texts, 1 << 20);
    bool row = true;

    if (page->data.len == 0 || page->column_count > COLUMNS)
        return;
    for (size_t i = 0; i < page->column_count; i++)
        cells[i] = (struct core_trino_cell){ core_presto_value_type(page->columns[i].type),
                                             strcmp(page->columns[i].type, "real") == 0,
                                             core_presto_is_timestamp(page->columns[i].type) };
    core_trino_json_init(&json, page->data.text, page->data.len);
    RC_ASSERT(core_trino_json_enter(&json, CORE_TRINO_LIST));
    while (row) {
        if (core_trino_row_read(&json, cells, page->column_count, &texts, values, &row, &err)) {
            RC_ASSERT(err.cause[0]);
            return;
        }
        for (size_t i = 0; row && i < page->column_count; i++) {
            bool is_text = values[i].type == RC_VALUE_TEXT || values[i].type == RC_VALUE_BYTES;

            RC_ASSERT(values[i].type == RC_VALUE_NULL || values[i].type == cells[i].type);
            RC_ASSERT(!is_text || values[i].text[values[i].len] == '\0');
        }
    }
    RC_ASSERT(core_trino_json_is_over(&json));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct core_arena arena = CORE_ARENA_INIT;
    const struct core_engine_settings settings = { .catalog = "hive" };
    struct rc_error err = RC_ERROR_INIT;
    struct core_trino_page page;

    if (core_trino_page_read(&arena, (const char *)data, size, &page, &err)) {
        RC_ASSERT(err.code == RC_CORRUPT && !strpbrk(err.cause, "\r\n"));
    } else {
        RC_ASSERT(page.id);
        RC_ASSERT(!page.failed || page.failure.message);
        for (size_t i = 0; i < page.column_count; i++)
            RC_ASSERT(page.columns[i].name && page.columns[i].type);
        if (page.failed)
            (void)core_trino_fail(&page.failure, &settings, &err);
        read_rows(&page);
    }
    core_arena_clear(&arena);
    return 0;
}
