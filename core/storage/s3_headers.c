/*
 * What S3 says of an object in headers: attributes, metadata, tags, encryption; and what its
 * answers say in turn. Metadata beyond printable ASCII travels as encoded words (RFC 2047), as S3
 * itself writes it.
 */
#include <storage/s3.h>

#include <base/utf8.h>

#include <run-core/str.h>

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define META "x-amz-meta-"
#define WORD_BEGIN "=?UTF-8?B?"
#define WORD_END "?="

#define ENCRYPTION "x-amz-server-side-encryption"
#define ENCRYPTION_KEY ENCRYPTION "-aws-kms-key-id"
#define BUCKET_KEY ENCRYPTION "-bucket-key-enabled"

enum { TEXT_LIMIT = 1 << 16, CUSTOMER_KEY_BYTES = 32 };

/* ---- encoded words --------------------------------------------------------------------------- */

static bool is_plain_text(const char *value)
{
    size_t len = strlen(value);

    for (size_t i = 0; i < len; i++)
        if (value[i] < ' ' || value[i] > '~')
            return false;
    /* Blanks at either end would be lost, and what looks like an encoded word would be read so. */
    return len == 0 || (value[0] != ' ' && value[len - 1] != ' ' && !strstr(value, "=?"));
}

static void add_word(struct rc_buf *out, const char *value)
{
    if (is_plain_text(value)) {
        rc_buf_adds(out, value);
        return;
    }
    rc_buf_adds(out, WORD_BEGIN);
    core_add_base64(out, value, strlen(value));
    rc_buf_adds(out, WORD_END);
}

static void add_quoted_printable(struct rc_buf *out, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        char hex[3] = { 0 };

        if (text[i] == '=' && i + 2 < len && isxdigit((unsigned char)text[i + 1]) &&
            isxdigit((unsigned char)text[i + 2])) {
            memcpy(hex, text + i + 1, 2);
            rc_buf_addc(out, (char)strtol(hex, NULL, 16));
            i += 2;
        } else {
            rc_buf_addc(out, text[i] == '_' ? ' ' : text[i]);
        }
    }
}

/* The word at 'text', "=?UTF-8?B?...?=" or with Q; 0, nothing added: it is none. */
static size_t decode_word(struct rc_buf *out, const char *text)
{
    size_t start = strlen(WORD_BEGIN);
    const char *end;
    size_t len;

    if (strncasecmp(text, WORD_BEGIN, start - 2) != 0 || text[start - 2] == '\0' ||
        text[start - 1] != '?')
        return 0;
    end = strstr(text + start, WORD_END);
    if (!end)
        return 0;
    len = (size_t)(end - text) - start;
    if (toupper((unsigned char)text[start - 2]) == 'Q')
        add_quoted_printable(out, text + start, len);
    else if (toupper((unsigned char)text[start - 2]) != 'B' ||
             !core_add_decoded_base64(out, text + start, len))
        return 0;
    return start + len + strlen(WORD_END);
}

static void add_decoded(struct rc_buf *out, const char *value)
{
    while (*value) {
        size_t len = decode_word(out, value);

        if (len == 0) {
            rc_buf_addc(out, *value++);
            continue;
        }
        value += len;
        /* Blanks between two words are none of the text. */
        if (rc_str_starts(value + strspn(value, " "), "=?"))
            value += strspn(value, " ");
    }
}

/* ---- of an object to be made ----------------------------------------------------------------- */

static enum rc_code add_text(struct core_s3_request *request, const char *name, const char *value,
                             struct rc_error *err)
{
    if (!value || *value == '\0')
        return RC_OK;
    for (const char *at = value; *at; at++)
        if ((unsigned char)*at < ' ' || *at == 0x7F)
            return rc_fail(err, RC_INVALID, "the %s has a control character (0x%02X)", name,
                           (unsigned)(unsigned char)*at);
    core_s3_add_header(request, name, value);
    return RC_OK;
}

static bool is_token(const char *name)
{
    size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                              "!#$%&'*+-.^_`|~");

    return len > 0 && name[len] == '\0';
}

static enum rc_code add_metadata(struct core_s3_request *request, const struct rc_map *metadata,
                                 struct rc_error *err)
{
    for (size_t i = 0; i < metadata->len; i++) {
        const struct rc_pair *pair = &metadata->items[i];
        RC_STR_AUTO name = rc_strf(META "%s", pair->key);
        RC_BUF_AUTO(value, TEXT_LIMIT);

        if (!is_token(pair->key))
            return rc_fail(err, RC_INVALID,
                           "the metadata's name '%s' has a character that no header's may have",
                           pair->key);
        if (!core_utf8_is_valid(pair->value))
            return rc_fail(err, RC_INVALID, "the metadata '%s' is not UTF-8", pair->key);
        add_word(&value, pair->value);
        if (rc_buf_check(&value, err))
            return rc_context(err, "metadata '%s'", pair->key);
        core_s3_add_header(request, name, value.data);
    }
    return RC_OK;
}

/* As a query has them. */
static void add_tags(struct rc_buf *out, const struct rc_map *tags)
{
    for (size_t i = 0; i < tags->len; i++) {
        if (i > 0)
            rc_buf_addc(out, '&');
        rc_buf_add_url(out, tags->items[i].key, strlen(tags->items[i].key));
        rc_buf_addc(out, '=');
        rc_buf_add_url(out, tags->items[i].value, strlen(tags->items[i].value));
    }
}

static void add_encryption(struct core_s3_request *request,
                           const struct core_store_settings *settings)
{
    if (settings->sse == CORE_SSE_AES256)
        core_s3_add_header(request, ENCRYPTION, "AES256");
    if (settings->sse == CORE_SSE_KMS) {
        core_s3_add_header(request, ENCRYPTION, "aws:kms");
        if (settings->sse_kms_key)
            core_s3_add_header(request, ENCRYPTION_KEY, settings->sse_kms_key);
    }
}

enum rc_code core_s3_add_attributes(struct core_s3_request *request,
                                    const struct rc_attributes *attributes, struct rc_error *err)
{
    static const struct rc_attributes none;
    static const struct core_store_settings no_settings;
    const struct core_store_settings *settings = request->place->settings;
    const struct rc_attributes *given = attributes ? attributes : &none;

    settings = settings ? settings : &no_settings;
    if (add_text(request, "content-type", given->content_type, err) ||
        add_text(request, "content-encoding", given->content_encoding, err) ||
        add_text(request, "content-disposition", given->content_disposition, err) ||
        add_text(request, "content-language", given->content_language, err) ||
        add_text(request, "cache-control", given->cache_control, err) ||
        add_text(request, "x-amz-storage-class",
                 given->storage_class ? given->storage_class : settings->storage_class, err) ||
        add_metadata(request, &given->metadata, err))
        return rc_context(err, "%s '%s'", request->verb, request->place->uri);
    if (given->tags.len > 0) {
        RC_BUF_AUTO(tags, TEXT_LIMIT);

        add_tags(&tags, &given->tags);
        core_s3_add_header(request, "x-amz-tagging", tags.data);
    }
    add_encryption(request, settings);
    return core_s3_add_customer_key(request, settings, "x-amz-", err);
}

void core_s3_add_kept(struct core_s3_request *request, const struct core_object_detail *kept)
{
    const struct core_store_settings *settings = request->place->settings;

    for (size_t i = 0; i < kept->others.len; i++)
        core_s3_add_header(request, kept->others.items[i].key, kept->others.items[i].value);
    /* What the settings want is wanted of every object, and was added. */
    if (!kept->encryption || (settings && settings->sse != CORE_SSE_NONE))
        return;
    core_s3_add_header(request, ENCRYPTION, kept->encryption);
    if (kept->encryption_key)
        core_s3_add_header(request, ENCRYPTION_KEY, kept->encryption_key);
    if (kept->bucket_key)
        core_s3_add_header(request, BUCKET_KEY, kept->bucket_key);
}

enum rc_code core_s3_add_customer_key(struct core_s3_request *request,
                                      const struct core_store_settings *settings,
                                      const char *prefix, struct rc_error *err)
{
    static const char name[] = "server-side-encryption-customer-";
    RC_BUF_AUTO(key, 256);
    RC_BUF_AUTO(md5_text, 64);
    unsigned char md5[CORE_DIGEST_BYTES];

    if (!settings || settings->sse != CORE_SSE_CUSTOMER)
        return RC_OK;
    if (!settings->sse_customer_key ||
        !core_add_decoded_base64(&key, settings->sse_customer_key,
                                 strlen(settings->sse_customer_key)) ||
        key.len != CUSTOMER_KEY_BYTES)
        return rc_fail(err, RC_INVALID,
                       "'encryption: customer' needs 'encryption_key', the base64 of %d bytes",
                       CUSTOMER_KEY_BYTES);
    if (core_digest_load(err))
        return err->code;
    core_digest(CORE_MD5, key.data, key.len, md5);
    explicit_bzero(key.data, key.len);
    core_add_base64(&md5_text, md5, core_digest_len(CORE_MD5));

    RC_STR_AUTO algorithm = rc_strf("%s%salgorithm", prefix, name);
    RC_STR_AUTO key_name = rc_strf("%s%skey", prefix, name);
    RC_STR_AUTO md5_name = rc_strf("%s%skey-md5", prefix, name);
    core_s3_add_header(request, algorithm, "AES256");
    core_s3_add_header(request, key_name, settings->sse_customer_key);
    core_s3_add_header(request, md5_name, md5_text.data);
    return RC_OK;
}

void core_s3_add_element(struct rc_buf *xml, const char *name, const char *text)
{
    if (!text)
        return;
    rc_buf_addf(xml, "<%s>", name);
    for (; *text; text++) {
        switch (*text) {
        case '&':
            rc_buf_adds(xml, "&amp;");
            break;
        case '<':
            rc_buf_adds(xml, "&lt;");
            break;
        case '>':
            rc_buf_adds(xml, "&gt;");
            break;
        default:
            rc_buf_addc(xml, *text);
        }
    }
    rc_buf_addf(xml, "</%s>", name);
}

/* ---- of an answer ---------------------------------------------------------------------------- */

void core_s3_set_etag(struct rc_stat *stat, const char *etag)
{
    size_t len = etag ? strlen(etag) : 0;

    stat->etag[0] = '\0';
    if (len >= 2 && etag[0] == '"' && etag[len - 1] == '"') {
        etag++;
        len -= 2;
    }
    /* A part of one would never match. */
    if (len == 0 || len >= sizeof(stat->etag))
        return;
    memcpy(stat->etag, etag, len);
    stat->etag[len] = '\0';
}

/* The size of the whole, of an answer with all of it or with a range. */
static bool read_size(const struct core_http_answer *answer, int64_t *out)
{
    const char *range = core_http_answer_header(answer, "content-range");
    const char *text = core_http_answer_header(answer, "content-length");

    if (answer->status == 206 || answer->status == 416) {
        text = range ? strchr(range, '/') : NULL;
        text = text ? text + 1 : NULL;
    }
    return text && rc_parse_int(text, out) && *out >= 0;
}

bool core_s3_read_stat(const struct core_http_answer *answer, struct rc_stat *out)
{
    *out = (struct rc_stat){ .size_bytes = -1 };
    core_s3_set_etag(out, core_http_answer_header(answer, "etag"));
    out->modified_unix_ms = core_http_answer_time_unix_ms(answer, "last-modified");
    return read_size(answer, &out->size_bytes);
}

bool core_s3_etag_is_md5(const struct core_http_answer *answer, const char *etag)
{
    const char *encryption = core_http_answer_header(answer, ENCRYPTION);

    return strlen(etag) == 32 && strspn(etag, "0123456789abcdef") == 32 &&
           !(encryption && rc_str_starts(encryption, "aws:kms")) &&
           !core_http_answer_header(answer, "x-amz-server-side-encryption-customer-algorithm");
}

static const char *copy_header(struct core_arena *arena, const struct core_http_answer *answer,
                               const char *name)
{
    return core_arena_strdup(arena, core_http_answer_header(answer, name));
}

static void read_metadata(const struct core_http_answer *answer, struct core_object_detail *out)
{
    const char *end = answer->headers.data + answer->headers.len;
    struct rc_pair *pairs;
    size_t count = 0;

    for (int round = 0; round < 2; round++) {
        pairs = round == 0 ? NULL : core_arena_alloc(&out->arena, count * sizeof(*pairs));
        count = 0;
        for (const char *name = answer->headers.data, *value; name < end;
             name = value + strlen(value) + 1) {
            value = name + strlen(name) + 1;
            if (!rc_str_starts(name, META) || rc_str_eq(name, CORE_S3_MARK))
                continue;
            if (pairs) {
                RC_BUF_AUTO(decoded, TEXT_LIMIT);

                add_decoded(&decoded, value);
                pairs[count].key = core_arena_strdup(&out->arena, name + strlen(META));
                pairs[count].value = core_arena_strdup(&out->arena, decoded.data);
            }
            count++;
        }
    }
    out->attributes.metadata = (struct rc_map){ .len = count, .items = pairs };
}

/* What else a write can say, in the same words. */
static void read_others(const struct core_http_answer *answer, struct core_object_detail *out)
{
    static const char *const names[] = { "expires", "x-amz-website-redirect-location" };
    struct rc_pair *pairs = core_arena_alloc(&out->arena, RC_ARRAY_LEN(names) * sizeof(*pairs));
    size_t count = 0;

    for (size_t i = 0; i < RC_ARRAY_LEN(names); i++) {
        const char *value = copy_header(&out->arena, answer, names[i]);

        if (value)
            pairs[count++] = (struct rc_pair){ .key = names[i], .value = value };
    }
    out->others = (struct rc_map){ .len = count, .items = pairs };
    out->encryption = copy_header(&out->arena, answer, ENCRYPTION);
    out->encryption_key = copy_header(&out->arena, answer, ENCRYPTION_KEY);
    out->bucket_key = copy_header(&out->arena, answer, BUCKET_KEY);
}

/* A checksum of the whole object; one of a multipart upload's parts says nothing of the content. */
static void read_checksums(const struct core_http_answer *answer, struct core_object_detail *out)
{
    static const struct {
        const char *header, *name;
    } kinds[] = {
        { "x-amz-checksum-sha256", "SHA256" },       { "x-amz-checksum-sha1", "SHA1" },
        { "x-amz-checksum-crc64nvme", "CRC64NVME" }, { "x-amz-checksum-crc32c", "CRC32C" },
        { "x-amz-checksum-crc32", "CRC32" },
    };
    const char *type = core_http_answer_header(answer, "x-amz-checksum-type");
    const char *crc32c = core_http_answer_header(answer, "x-amz-checksum-crc32c");

    for (size_t i = 0; i < RC_ARRAY_LEN(kinds) && !out->checksum; i++) {
        const char *value = core_http_answer_header(answer, kinds[i].header);

        if (value)
            out->checksum = core_arena_strf(&out->arena, "%s=%s", kinds[i].name, value);
    }
    if (crc32c && !strchr(crc32c, '-') && !(type && rc_str_eq(type, "COMPOSITE")))
        out->crc32c = core_arena_strdup(&out->arena, crc32c);
}

void core_s3_read_detail(const struct core_http_answer *answer, struct core_object_detail *out)
{
    struct core_arena *arena = &out->arena;
    struct rc_attributes *attributes = &out->attributes;
    const char *tags = core_http_answer_header(answer, "x-amz-tagging-count");
    struct rc_stat stat = { .size_bytes = 0 };

    attributes->content_type = copy_header(arena, answer, "content-type");
    attributes->content_encoding = copy_header(arena, answer, "content-encoding");
    attributes->content_disposition = copy_header(arena, answer, "content-disposition");
    attributes->content_language = copy_header(arena, answer, "content-language");
    attributes->cache_control = copy_header(arena, answer, "cache-control");
    attributes->storage_class = copy_header(arena, answer, "x-amz-storage-class");
    read_metadata(answer, out);
    read_others(answer, out);
    read_checksums(answer, out);
    out->version = copy_header(arena, answer, "x-amz-version-id");
    out->has_tags = tags && !rc_str_eq(tags, "0");
    core_s3_set_etag(&stat, core_http_answer_header(answer, "etag"));
    if (core_s3_etag_is_md5(answer, stat.etag))
        out->md5_hex = core_arena_strdup(arena, stat.etag);
}
