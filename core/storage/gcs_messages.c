/*
 * What goes to and comes from Google Cloud Storage's JSON API, as text: resources of objects, the
 * headers of sessions, and the replies of a batch. Pure, so that it is tested on any bytes.
 */
#include <storage/gcs.h>

#include <config/json.h>
#include <os/digest.h>

#include <run-core/str.h>
#include <run-core/time.h>

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- resources ------------------------------------------------------------------------------- */

bool core_gcs_is_generation(const char *text)
{
    size_t digits = strspn(text, "0123456789");

    /* 0 would not be one, but the condition that there is no object. */
    return digits > 0 && digits <= 19 && text[digits] == '\0' && text[0] != '0';
}

bool core_gcs_read_object(const struct core_node *resource, struct core_gcs_object *out)
{
    const char *updated = core_node_text(resource, "updated");

    *out = (struct core_gcs_object){
        .name = core_node_text(resource, "name"),
        .generation = core_node_text(resource, "generation"),
        .storage_class = core_node_text(resource, "storageClass"),
        .crc32c = core_node_text(resource, "crc32c"),
        .md5 = core_node_text(resource, "md5Hash"),
        .is_live = !core_node_text(resource, "timeDeleted"),
    };
    if (!out->generation || !core_gcs_is_generation(out->generation) ||
        !core_google_int(resource, "size", &out->stat.size_bytes) || out->stat.size_bytes < 0 ||
        !updated || !rc_parse_time(updated, &out->stat.modified_unix_ms))
        return false;
    memcpy(out->stat.etag, out->generation, strlen(out->generation) + 1);
    return true;
}

static char *lower(struct core_arena *arena, const char *text)
{
    char *copy = core_arena_strdup(arena, text);

    for (char *at = copy; *at; at++)
        *at = (char)tolower((unsigned char)*at);
    return copy;
}

static void read_metadata(const struct core_node *map, struct core_object_detail *out)
{
    struct rc_pair *pairs;
    size_t count = 0;

    if (!map || map->kind != CORE_NODE_MAP)
        return;
    pairs = core_arena_alloc(&out->arena, map->len * sizeof(*pairs));
    for (size_t i = 0; i < map->len; i++) {
        const struct core_node *value = map->entries[i].value;

        if (value->kind == CORE_NODE_SCALAR)
            pairs[count++] = (struct rc_pair){
                .key = lower(&out->arena, map->entries[i].key),
                .value = core_arena_strdup(&out->arena, value->text),
            };
    }
    out->attributes.metadata = (struct rc_map){ .len = count, .items = pairs };
}

static const char *hex_of(struct core_arena *arena, const char *base64)
{
    RC_BUF_AUTO(bytes, CORE_DIGEST_BYTES);
    RC_BUF_AUTO(hex, CORE_DIGEST_HEX);

    if (!base64 || !core_add_decoded_base64(&bytes, base64, strlen(base64)) ||
        bytes.len != core_digest_len(CORE_MD5))
        return NULL;
    core_add_hex(&hex, bytes.data, bytes.len);
    return core_arena_strdup(arena, hex.data);
}

/* What else an object can be given, and its key: told with the key's version, given without. */
static void read_others(const struct core_node *resource, struct core_object_detail *out)
{
    const char *time = core_node_text(resource, "customTime");
    const char *key = core_node_text(resource, "kmsKeyName");
    const char *version = key ? strstr(key, "/cryptoKeyVersions/") : NULL;

    if (key)
        out->encryption_key =
            core_arena_strndup(&out->arena, key, version ? (size_t)(version - key) : strlen(key));
    if (time) {
        struct rc_pair *pair = core_arena_alloc(&out->arena, sizeof(*pair));

        *pair =
            (struct rc_pair){ .key = "customTime", .value = core_arena_strdup(&out->arena, time) };
        out->others = (struct rc_map){ .len = 1, .items = pair };
    }
}

void core_gcs_read_detail(const struct core_node *resource, struct core_object_detail *out)
{
    struct core_arena *arena = &out->arena;
    const char *crc32c = core_node_text(resource, "crc32c");

    out->attributes = (struct rc_attributes){
        .content_type = core_arena_strdup(arena, core_node_text(resource, "contentType")),
        .content_encoding = core_arena_strdup(arena, core_node_text(resource, "contentEncoding")),
        .content_disposition =
            core_arena_strdup(arena, core_node_text(resource, "contentDisposition")),
        .content_language = core_arena_strdup(arena, core_node_text(resource, "contentLanguage")),
        .cache_control = core_arena_strdup(arena, core_node_text(resource, "cacheControl")),
        .storage_class = core_arena_strdup(arena, core_node_text(resource, "storageClass")),
    };
    read_metadata(core_node_get(resource, "metadata"), out);
    read_others(resource, out);
    out->version = core_arena_strdup(arena, core_node_text(resource, "generation"));
    out->md5_hex = hex_of(arena, core_node_text(resource, "md5Hash"));
    out->crc32c = core_arena_strdup(arena, crc32c);
    out->checksum = crc32c ? core_arena_strf(arena, "CRC32C=%s", crc32c) : NULL;
}

/* Adds "name": "text" behind what is there; an empty text is not said. */
static void add_member(struct rc_buf *out, size_t begin, const char *name, const char *text)
{
    if (!text || !*text)
        return;
    if (out->len > begin)
        rc_buf_addc(out, ',');
    rc_buf_add_json(out, name, strlen(name));
    rc_buf_addc(out, ':');
    rc_buf_add_json(out, text, strlen(text));
}

static void add_attributes(struct rc_buf *out, size_t begin, const struct rc_attributes *attributes)
{
    size_t members;

    add_member(out, begin, "contentType", attributes->content_type);
    add_member(out, begin, "contentEncoding", attributes->content_encoding);
    add_member(out, begin, "contentDisposition", attributes->content_disposition);
    add_member(out, begin, "contentLanguage", attributes->content_language);
    add_member(out, begin, "cacheControl", attributes->cache_control);
    if (attributes->metadata.len == 0)
        return;
    rc_buf_adds(out, out->len > begin ? ",\"metadata\":{" : "\"metadata\":{");
    members = out->len;
    for (size_t i = 0; i < attributes->metadata.len; i++) {
        const struct rc_pair *pair = &attributes->metadata.items[i];

        if (out->len > members)
            rc_buf_addc(out, ',');
        rc_buf_add_json(out, pair->key, strlen(pair->key));
        rc_buf_addc(out, ':');
        rc_buf_add_json(out, pair->value, strlen(pair->value));
    }
    rc_buf_addc(out, '}');
}

void core_gcs_add_resource(struct rc_buf *out, const char *name,
                           const struct rc_attributes *attributes, const char *storage_class,
                           const char *crc32c, const struct rc_map *others)
{
    size_t begin;

    rc_buf_addc(out, '{');
    begin = out->len;
    add_member(out, begin, "name", name);
    add_member(out, begin, "crc32c", crc32c);
    if (attributes)
        add_attributes(out, begin, attributes);
    if (attributes && attributes->storage_class)
        storage_class = attributes->storage_class;
    add_member(out, begin, "storageClass", storage_class);
    for (size_t i = 0; others && i < others->len; i++)
        add_member(out, begin, others->items[i].key, others->items[i].value);
    rc_buf_addc(out, '}');
}

/* ---- checksums ------------------------------------------------------------------------------- */

void core_gcs_add_crc32c(struct rc_buf *out, uint32_t crc)
{
    const unsigned char bytes[] = { (unsigned char)(crc >> 24), (unsigned char)(crc >> 16),
                                    (unsigned char)(crc >> 8), (unsigned char)crc };

    core_add_base64(out, bytes, sizeof(bytes));
}

bool core_gcs_find_crc32c(const char *hashes, uint32_t *out)
{
    RC_BUF_AUTO(bytes, 64);
    const char *at = hashes;

    while (at && strncmp(at, "crc32c=", 7) != 0) {
        at = strchr(at, ',');
        if (at)
            at += 1 + strspn(at + 1, " \t");
    }
    if (!at || !core_add_decoded_base64(&bytes, at + 7, strcspn(at + 7, ", \t")) || bytes.len != 4)
        return false;
    *out = 0;
    for (size_t i = 0; i < 4; i++)
        *out = *out << 8 | (unsigned char)bytes.data[i];
    return true;
}

/* ---- headers --------------------------------------------------------------------------------- */

int64_t core_gcs_received_bytes(const char *range)
{
    const char *dash;
    int64_t last;

    if (!range)
        return 0;
    dash = strchr(range, '-');
    if (!dash || (strncmp(range, "bytes=0-", 8) != 0 && strncmp(range, "0-", 2) != 0) ||
        !isdigit((unsigned char)dash[1]) || !rc_parse_int(dash + 1, &last) || last == INT64_MAX)
        return -1;
    return last + 1;
}

int64_t core_gcs_whole_bytes(const char *content_range)
{
    const char *slash = content_range ? strchr(content_range, '/') : NULL;
    int64_t size;

    if (!slash || !isdigit((unsigned char)slash[1]) || !rc_parse_int(slash + 1, &size))
        return -1;
    return size;
}

/* ---- batches --------------------------------------------------------------------------------- */

/* The value of 'boundary' of a multipart type, with "--" in front. */
static bool find_boundary(const char *content_type, struct rc_buf *out)
{
    const char *at = content_type ? strcasestr(content_type, "boundary=") : NULL;

    if (!at)
        return false;
    at += strlen("boundary=");
    rc_buf_adds(out, "--");
    if (*at == '"')
        rc_buf_add(out, at + 1, strcspn(at + 1, "\""));
    else
        rc_buf_add(out, at, strcspn(at, "; \t"));
    return out->len > 2 && !out->overflow;
}

/* Behind the empty line that ends a head; NULL: there is none. */
static const char *behind_head(const char *at, const char *end)
{
    const char *found = memmem(at, (size_t)(end - at), "\r\n\r\n", 4);

    if (found)
        return found + 4;
    found = memmem(at, (size_t)(end - at), "\n\n", 2);
    return found ? found + 2 : NULL;
}

/* The number in a line "Content-ID: <response-12>"; of any other head SIZE_MAX. */
static size_t find_index(const char *at, const char *end)
{
    static const char name[] = "content-id:";

    while (at < end) {
        const char *line_end = memchr(at, '\n', (size_t)(end - at));
        size_t len = (size_t)((line_end ? line_end : end) - at);

        if (len > sizeof(name) && strncasecmp(at, name, sizeof(name) - 1) == 0) {
            size_t index = 0, digits = 0;

            while (len > 0 && !isdigit((unsigned char)at[len - 1]))
                len--;
            while (len > digits && digits < 6 && isdigit((unsigned char)at[len - 1 - digits]))
                digits++;
            for (size_t i = len - digits; i < len; i++)
                index = index * 10 + (size_t)(at[i] - '0');
            return digits > 0 ? index : SIZE_MAX;
        }
        at += len + 1;
    }
    return SIZE_MAX;
}

/* A part: its own head, then a reply of HTTP with head and body. */
static bool read_part(const char *at, const char *end, struct core_gcs_part *out)
{
    const char *reply = behind_head(at, end);
    const char *body;

    if (!reply || end - reply < 12 || strncmp(reply, "HTTP/1.", 7) != 0 || reply[8] != ' ')
        return false;
    for (int i = 9; i < 12; i++)
        if (!isdigit((unsigned char)reply[i]))
            return false;
    out->index = find_index(at, reply);
    out->status = (unsigned)((reply[9] - '0') * 100 + (reply[10] - '0') * 10 + (reply[11] - '0'));
    body = behind_head(reply, end);
    out->body = body ? body : end;
    out->body_len = (size_t)(end - out->body);
    return out->index != SIZE_MAX;
}

bool core_gcs_next_part(const char *content_type, const char *body, size_t len, size_t *at,
                        struct core_gcs_part *out)
{
    RC_BUF_AUTO(boundary, 512);
    const char *begin, *end;

    if (!find_boundary(content_type, &boundary))
        return false;
    begin = memmem(body + *at, len - *at, boundary.data, boundary.len);
    if (!begin)
        return false;
    begin += boundary.len;
    if ((size_t)(body + len - begin) >= 2 && begin[0] == '-' && begin[1] == '-') {
        *at = len;
        return false;
    }
    end = memmem(begin, (size_t)(body + len - begin), boundary.data, boundary.len);
    if (!end || !read_part(begin, end, out))
        return false;
    *at = (size_t)(end - body);
    return true;
}
