/*
 * Replies of Athena: whatever they say, they are read as one of each kind or refused with words,
 * and every row of a page can be looked at.
 */
#include <sql/athena.h>

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look_at(const struct core_athena_page *page)
{
    RC_BUF_AUTO(bytes, 1 << 20);
    struct rc_error err = RC_ERROR_INIT;
    struct rc_value value;

    for (size_t i = 0; i < page->row_count; i++) {
        RC_ASSERT(core_athena_row_len(page, i) <= page->column_count);
        for (size_t j = 0; j < page->column_count; j++)
            if (core_athena_read_value(page->columns[j].type, core_athena_cell(page, i, j), &bytes,
                                       &value, &err))
                RC_ASSERT(err.cause[0] != '\0');
    }
    (void)core_athena_has_header(page);
}

static void fail(const char *text, size_t size, const struct core_athena_execution *execution)
{
    struct core_http_answer answer;
    struct core_aws_failure failure;
    struct rc_error err = RC_ERROR_INIT;

    core_http_answer_init(&answer, 1 << 20);
    answer.status = 400;
    rc_buf_add(&answer.body, text, size);
    core_aws_read_failure(&answer, &failure);
    RC_ASSERT(core_athena_fail_refused(400, &failure, &answer.body, &err) != RC_OK);
    RC_ASSERT(core_athena_judge(400, &failure) != CORE_HTTP_PREPARE);
    if (execution) {
        RC_ASSERT(core_athena_fail_query(execution, "id", "db", &err) != RC_OK);
        RC_ASSERT(core_athena_charged_bytes(execution) >= 0);
    }
    core_http_answer_clear(&answer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    RC_CLEANUP(core_arena_clear) struct core_arena arena = CORE_ARENA_INIT;
    const char *text = (const char *)data;
    struct core_athena_execution execution;
    struct core_athena_page page;
    struct rc_error err = RC_ERROR_INIT;
    char id[CORE_ATHENA_ID_TEXT];
    const char *output;

    if (size > 1 << 20)
        return 0;
    if (core_athena_read_id(text, size, id, &err) == RC_OK)
        RC_ASSERT(id[0] != '\0' && strlen(id) < sizeof(id));
    if (core_athena_read_page(&arena, text, size, &page, &err) == RC_OK)
        look_at(&page);
    if (core_athena_read_work_group(&arena, text, size, &output, &err) == RC_OK)
        RC_ASSERT(!output || *output);
    if (core_athena_read_execution(&arena, text, size, &execution, &err) == RC_OK)
        fail(text, size, &execution);
    else
        fail(text, size, NULL);
    return 0;
}
