/*
 * Refusals of S3 servers: the first line of the input is the status, the rest the body. Whatever
 * they say, there is an error with words for it, and the same is made of it twice.
 */
#include <storage/s3.h>

#include <run-core/str.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct core_http_answer answer;
    struct core_s3_refusal first, second;
    struct rc_error err = RC_ERROR_INIT;
    const uint8_t *line = size > 0 ? memchr(data, '\n', size) : NULL;
    size_t head = line ? (size_t)(line - data) + 1 : 0;
    char status[8] = "";

    if (size > 1 << 20)
        return 0;
    memcpy(status, data, head < sizeof(status) - 1 ? head : sizeof(status) - 1);
    core_http_answer_init(&answer, 1 << 20);
    answer.status = (unsigned)strtoul(status, NULL, 10) % 1000;
    rc_buf_add(&answer.body, data + head, size - head);
    if (core_s3_refusal_read(&first, &answer, true)) {
        RC_ASSERT(core_s3_refusal_fail(&first, size % 2 == 0, 1000, &err) != RC_OK);
        RC_ASSERT(strstr(err.cause, "HTTP ") == err.cause);
        RC_ASSERT(core_s3_refusal_judge(&first) != CORE_HTTP_PREPARE);
        RC_ASSERT(core_s3_refusal_read(&second, &answer, true));
        RC_ASSERT(strcmp(first.code, second.code) == 0);
        RC_ASSERT(strcmp(first.message, second.message) == 0);
    } else {
        RC_ASSERT(answer.status / 100 == 2);
    }
    core_http_answer_clear(&answer);
    return 0;
}
