/*
 * Any bytes as what Google Cloud Storage replies: the resource of an object, a page of a listing, a
 * batch of replies, headers. The first line is the batch's type, the rest its body.
 */
#include <storage/gcs.h>

#include <config/json.h>
#include <run-core/str.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_object(const struct core_node *resource)
{
    CORE_OBJECT_DETAIL_AUTO(detail);
    struct core_gcs_object object;
    RC_BUF_AUTO(again, 1 << 20);

    if (core_gcs_read_object(resource, &object))
        RC_ASSERT(object.stat.size_bytes >= 0 && object.stat.etag[0] &&
                  core_gcs_is_generation(object.stat.etag));
    core_gcs_read_detail(resource, &detail);
    /* What was read can be written, as JSON. */
    core_gcs_add_resource(&again, "n", &detail.attributes, NULL, detail.crc32c, &detail.others);
    if (!again.overflow) {
        struct core_arena arena = CORE_ARENA_INIT;

        RC_ASSERT(core_json_read_reply(&arena, again.data, again.len));
        core_arena_clear(&arena);
    }
}

static void read_json(const char *text, size_t len)
{
    struct core_arena arena = CORE_ARENA_INIT;
    const struct core_node *reply = core_json_read_reply(&arena, text, len);
    const struct core_node *items = core_node_get(reply, "items");

    read_object(reply);
    for (size_t i = 0; items && items->kind == CORE_NODE_LIST && i < items->len; i++)
        read_object(items->items[i]);
    core_arena_clear(&arena);
}

static void read_batch(const char *text, size_t len)
{
    const char *line_end = memchr(text, '\n', len);
    size_t type_len = line_end ? (size_t)(line_end - text) : 0;
    RC_STR_AUTO type = rc_strndup(text, type_len);
    RC_STR_AUTO body = rc_strndup(text + type_len, len - type_len);
    size_t body_len = strlen(body), at = 0, before = 0;
    struct core_gcs_part part;

    while (core_gcs_next_part(type, body, body_len, &at, &part)) {
        RC_ASSERT(at > before && at <= body_len);
        RC_ASSERT(part.status <= 999 && part.index <= 999999);
        RC_ASSERT(part.body >= body && part.body + part.body_len <= body + body_len);
        before = at;
    }
    RC_ASSERT(at <= body_len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    RC_STR_AUTO header = rc_strndup((const char *)data, size);
    uint32_t crc;

    read_json((const char *)data, size);
    read_batch((const char *)data, size);
    RC_ASSERT(core_gcs_received_bytes(header) >= -1);
    RC_ASSERT(core_gcs_whole_bytes(header) >= -1);
    if (!core_gcs_find_crc32c(header, &crc))
        crc = 0;
    return 0;
}
