/*
 * Pages of S3 listings, in all three ways in which they are asked for. What is taken for a page is
 * in order, and says where it goes on.
 */
#include <storage/s3_page.h>

#include <run-core/str.h>

#include <stdint.h>
#include <string.h>

static void check_page(enum core_s3_dialect asked, const char *prefix, const struct rc_buf *body)
{
    struct core_s3_page page = { .arena = CORE_ARENA_INIT };
    struct rc_error err = RC_ERROR_INIT;

    if (core_s3_page_read(prefix, asked, body, &page, &err)) {
        RC_ASSERT(err.code != RC_OK && err.cause[0] != '\0');
    } else {
        for (size_t i = 0; i < page.count; i++) {
            const struct rc_object *object = &page.items[i].object;

            RC_ASSERT(object->name && object->stat.size_bytes >= 0);
            RC_ASSERT(i == 0 || strcmp(page.items[i - 1].object.name, object->name) <= 0);
        }
        RC_ASSERT(!page.is_truncated || page.next.token || page.next.start_after);
    }
    core_s3_page_clear(&page);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    RC_BUF_AUTO(body, 1 << 20);

    if (size > 1 << 20)
        return 0;
    rc_buf_add(&body, data, size);
    check_page(CORE_S3_BY_TOKEN, "", &body);
    check_page(CORE_S3_BY_MARKER, "a/", &body);
    check_page(CORE_S3_BY_VERSION, "", &body);
    return 0;
}
