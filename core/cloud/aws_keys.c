/*
 * Signature Version 4: canonical request, text to sign, signing key, signature. The clock, and what
 * a service wants signed, are the caller's matter.
 */
#include <cloud/aws_keys.h>

#include <os/digest.h>

#include <run-core/str.h>
#include <run-core/time.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ALGORITHM "AWS4-HMAC-SHA256"

enum {
    TIME_TEXT = sizeof("20150830T123600Z"),
    DATE_LEN = 8,
    SCOPE_BYTES = 512,
    ANY_LENGTH = 0x7fffffff,
};

/* ---- keys ------------------------------------------------------------------------------------ */

static void wipe(char *secret)
{
    if (secret)
        explicit_bzero(secret, strlen(secret));
    free(secret);
}

void core_aws_keys_clear(struct core_aws_keys *keys)
{
    free(keys->access_key_id);
    wipe(keys->secret_access_key);
    wipe(keys->session_token);
    *keys = (struct core_aws_keys)CORE_AWS_KEYS_INIT;
}

void core_aws_keys_copy(struct core_aws_keys *out, const struct core_aws_keys *keys)
{
    *out = (struct core_aws_keys){
        .access_key_id = rc_strdup(keys->access_key_id),
        .secret_access_key = rc_strdup(keys->secret_access_key),
        .session_token = rc_strdup(keys->session_token),
        .expires_unix_ms = keys->expires_unix_ms,
    };
}

/* ---- names with values, sorted --------------------------------------------------------------- */

struct pair {
    const char *name, *value;
};

struct pairs {
    struct rc_buf text; /* "name\0value\0" one after the other */
    struct pair *items; /* into 'text' */
    size_t count;
};

static void pairs_clear(struct pairs *pairs)
{
    rc_buf_clear(&pairs->text);
    free(pairs->items);
}

#define PAIRS_AUTO(name)                                                                           \
    RC_CLEANUP(pairs_clear) struct pairs name = { .text = RC_BUF_INIT(ANY_LENGTH) }

static int by_name_then_value(const void *left, const void *right)
{
    const struct pair *a = left, *b = right;
    int order = strcmp(a->name, b->name);

    return order ? order : strcmp(a->value, b->value);
}

/* Equal names stay in the order in which they came. */
static int by_name(const void *left, const void *right)
{
    const struct pair *a = left, *b = right;
    int order = strcmp(a->name, b->name);

    return order ? order : (a->name > b->name) - (a->name < b->name);
}

static void sort(struct pairs *pairs, int (*compare)(const void *, const void *))
{
    const char *at = pairs->text.data;

    pairs->items = rc_calloc(pairs->count + 1, sizeof(*pairs->items));
    for (size_t i = 0; i < pairs->count; i++) {
        const char *value = at + strlen(at) + 1;

        pairs->items[i] = (struct pair){ .name = at, .value = value };
        at = value + strlen(value) + 1;
    }
    qsort(pairs->items, pairs->count, sizeof(*pairs->items), compare);
}

/* ---- the canonical request ------------------------------------------------------------------- */

/* Encodes what is not encoded, so that all ways to write one thing come out alike. */
static void add_encoded(struct rc_buf *out, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        int high = text[i] == '%' && i + 2 < len ? core_hex_value(text[i + 1]) : -1;
        int low = high >= 0 ? core_hex_value(text[i + 2]) : -1;
        char byte = text[i];

        if (low >= 0) {
            byte = (char)(high << 4 | low);
            i += 2;
        }
        rc_buf_add_url(out, &byte, 1);
    }
}

static void add_canonical_query(struct rc_buf *out, const char *query)
{
    PAIRS_AUTO(pairs);

    for (const char *at = query ? query : ""; *at;) {
        size_t len = strcspn(at, "&"), name_len = strcspn(at, "=&");

        if (len > 0) {
            add_encoded(&pairs.text, at, name_len);
            rc_buf_addc(&pairs.text, '\0');
            if (name_len < len)
                add_encoded(&pairs.text, at + name_len + 1, len - name_len - 1);
            rc_buf_addc(&pairs.text, '\0');
            pairs.count++;
        }
        at += len + (at[len] == '&');
    }
    sort(&pairs, by_name_then_value);
    for (size_t i = 0; i < pairs.count; i++) {
        rc_buf_adds(out, i > 0 ? "&" : "");
        rc_buf_adds(out, pairs.items[i].name);
        rc_buf_addc(out, '=');
        rc_buf_adds(out, pairs.items[i].value);
    }
}

/* Takes the last segment of what was written since 'start' back. */
static void drop_segment(struct rc_buf *out, size_t start)
{
    while (out->len > start && out->data[out->len - 1] != '/')
        rc_buf_truncate(out, out->len - 1);
    if (out->len > start)
        rc_buf_truncate(out, out->len - 1);
}

/* Without "//", "/./" and "/x/../", and encoded once more, as all services but S3 want it. */
static void add_normal_path(struct rc_buf *out, const char *path)
{
    size_t start = out->len;
    bool open = false; /* the path ends with a slash as far as it was read */

    while (*path) {
        size_t len;

        open = *path == '/';
        path += strspn(path, "/");
        len = strcspn(path, "/");
        if (len == 2 && path[0] == '.' && path[1] == '.') {
            drop_segment(out, start);
            open = true;
        } else if (len == 1 && path[0] == '.') {
            open = true;
        } else if (len > 0) {
            rc_buf_addc(out, '/');
            rc_buf_add_url(out, path, len);
            open = path[len] == '/';
        }
        path += len;
    }
    if (open || out->len == start)
        rc_buf_addc(out, '/');
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void add_header(struct pairs *pairs, const char *name, const char *value)
{
    bool gap = false;

    for (; *name; name++)
        rc_buf_addc(&pairs->text, *name >= 'A' && *name <= 'Z' ? (char)(*name | 0x20) : *name);
    rc_buf_addc(&pairs->text, '\0');
    while (is_blank(*value))
        value++;
    for (; *value; value++) {
        bool blank = is_blank(*value);

        if (!blank && gap)
            rc_buf_addc(&pairs->text, ' ');
        if (!blank)
            rc_buf_addc(&pairs->text, *value);
        gap = blank;
    }
    rc_buf_addc(&pairs->text, '\0');
    pairs->count++;
}

static char *put_digits(char *out, unsigned value, unsigned count)
{
    for (unsigned i = count; i-- > 0; value /= 10)
        out[i] = (char)('0' + value % 10);
    return out + count;
}

/* This is made several times for each request, and printf() would be most of that. */
static void put_time(const struct core_sigv4 *request, char out[TIME_TEXT])
{
    int64_t s = request->now_unix_ms / 1000, in_day = s % 86400;
    int year, month, day;

    if (in_day < 0)
        in_day += 86400;
    rc_day_to_date((int32_t)((s - in_day) / 86400), &year, &month, &day);
    out = put_digits(out, (unsigned)year, 4);
    out = put_digits(out, (unsigned)month, 2);
    out = put_digits(out, (unsigned)day, 2);
    *out++ = 'T';
    out = put_digits(out, (unsigned)(in_day / 3600), 2);
    out = put_digits(out, (unsigned)(in_day / 60 % 60), 2);
    out = put_digits(out, (unsigned)(in_day % 60), 2);
    *out++ = 'Z';
    *out = '\0';
}

/* All headers that are signed; those that keys add only where 'keys' is given. */
static void collect_headers(const struct core_sigv4 *request, const struct core_aws_keys *keys,
                            struct pairs *out)
{
    add_header(out, "host", request->host);
    if (keys && keys->access_key_id) {
        char time[TIME_TEXT];

        put_time(request, time);
        add_header(out, "x-amz-date", time);
        if (keys->session_token)
            add_header(out, "x-amz-security-token", keys->session_token);
        if (request->add_payload)
            add_header(out, "x-amz-content-sha256", request->payload);
    }
    for (size_t i = 0; i < request->header_count; i++)
        add_header(out, request->headers[i].name, request->headers[i].value);
    sort(out, by_name);
}

static bool repeats(const struct pairs *headers, size_t i)
{
    return i > 0 && strcmp(headers->items[i].name, headers->items[i - 1].name) == 0;
}

static void add_signed_names(struct rc_buf *out, const struct pairs *headers)
{
    for (size_t i = 0; i < headers->count; i++)
        if (!repeats(headers, i)) {
            rc_buf_adds(out, i > 0 ? ";" : "");
            rc_buf_adds(out, headers->items[i].name);
        }
}

static void add_canonical_request(struct rc_buf *out, const struct core_sigv4 *request,
                                  const char *query, const struct pairs *headers)
{
    rc_buf_adds(out, request->method);
    rc_buf_addc(out, '\n');
    if (request->plain_path)
        rc_buf_adds(out, request->path);
    else
        add_normal_path(out, request->path);
    rc_buf_addc(out, '\n');
    add_canonical_query(out, query);
    for (size_t i = 0; i < headers->count; i++) {
        if (repeats(headers, i)) {
            rc_buf_addc(out, ',');
        } else {
            rc_buf_addc(out, '\n');
            rc_buf_adds(out, headers->items[i].name);
            rc_buf_addc(out, ':');
        }
        rc_buf_adds(out, headers->items[i].value);
    }
    rc_buf_adds(out, "\n\n");
    add_signed_names(out, headers);
    rc_buf_addc(out, '\n');
    rc_buf_adds(out, request->payload);
}

void core_sigv4_canonical_request(const struct core_sigv4 *request,
                                  const struct core_aws_keys *keys, struct rc_buf *out)
{
    PAIRS_AUTO(headers);

    collect_headers(request, keys, &headers);
    add_canonical_request(out, request, request->query, &headers);
}

/* ---- the signature --------------------------------------------------------------------------- */

static void add_scope(struct rc_buf *out, const struct core_sigv4 *request, const char *time)
{
    rc_buf_add(out, time, DATE_LEN);
    rc_buf_addc(out, '/');
    rc_buf_adds(out, request->region);
    rc_buf_addc(out, '/');
    rc_buf_adds(out, request->service);
    rc_buf_adds(out, "/aws4_request");
}

void core_sigv4_string_to_sign(const struct core_sigv4 *request, const char *canonical_request,
                               struct rc_buf *out)
{
    unsigned char digest[CORE_DIGEST_BYTES];
    char time[TIME_TEXT];

    put_time(request, time);
    rc_buf_adds(out, ALGORITHM "\n");
    rc_buf_adds(out, time);
    rc_buf_addc(out, '\n');
    add_scope(out, request, time);
    rc_buf_addc(out, '\n');
    core_digest(CORE_SHA256, canonical_request, strlen(canonical_request), digest);
    core_add_hex(out, digest, sizeof(digest));
}

static void make_signing_key(const char *secret, const struct core_sigv4 *request, const char *date,
                             unsigned char key[CORE_DIGEST_BYTES])
{
    RC_BUF_AUTO(first, ANY_LENGTH);

    rc_buf_adds(&first, "AWS4");
    rc_buf_adds(&first, secret);
    core_hmac_sha256(first.data, first.len, date, DATE_LEN, key);
    core_hmac_sha256(key, CORE_DIGEST_BYTES, request->region, strlen(request->region), key);
    core_hmac_sha256(key, CORE_DIGEST_BYTES, request->service, strlen(request->service), key);
    core_hmac_sha256(key, CORE_DIGEST_BYTES, "aws4_request", strlen("aws4_request"), key);
    explicit_bzero(first.data, first.len);
}

/*
 * The signing key changes once a day, and takes longer to make than all the rest of a signature. A
 * thread keeps those it used last: it may copy between two stores.
 */
struct kept_key {
    char name[SCOPE_BYTES]; /* date, region, service and secret, a line each; "" while unused */
    unsigned char key[CORE_DIGEST_BYTES];
};

static void find_signing_key(const char *secret, const struct core_sigv4 *request, const char *date,
                             unsigned char key[CORE_DIGEST_BYTES])
{
    static _Thread_local struct kept_key kept[2];
    struct kept_key wanted;
    int len = snprintf(wanted.name, sizeof(wanted.name), "%.8s\n%s\n%s\n%s", date, request->region,
                       request->service, secret);

    if (len < 0 || (size_t)len >= sizeof(wanted.name)) { /* then it is made every time */
        make_signing_key(secret, request, date, key);
    } else if (strcmp(kept[0].name, wanted.name) == 0) {
        memcpy(key, kept[0].key, CORE_DIGEST_BYTES);
    } else {
        if (strcmp(kept[1].name, wanted.name) == 0)
            wanted = kept[1];
        else
            make_signing_key(secret, request, date, wanted.key);
        kept[1] = kept[0];
        kept[0] = wanted;
        memcpy(key, wanted.key, CORE_DIGEST_BYTES);
    }
    explicit_bzero(&wanted, sizeof(wanted));
}

/* Of a canonical request, in hex. */
static void add_signature(struct rc_buf *out, const struct core_sigv4 *request,
                          const struct core_aws_keys *keys, const char *time,
                          const char *canonical_request)
{
    unsigned char key[CORE_DIGEST_BYTES], signature[CORE_DIGEST_BYTES];
    RC_BUF_AUTO(text, ANY_LENGTH);

    core_sigv4_string_to_sign(request, canonical_request, &text);
    find_signing_key(keys->secret_access_key, request, time, key);
    core_hmac_sha256(key, sizeof(key), text.data, text.len, signature);
    core_add_hex(out, signature, sizeof(signature));
    explicit_bzero(key, sizeof(key));
}

static void add_line(struct rc_buf *headers, const char *name, const char *value)
{
    rc_buf_add(headers, name, strlen(name) + 1);
    rc_buf_add(headers, value, strlen(value) + 1);
}

void core_sigv4_sign(const struct core_sigv4 *request, const struct core_aws_keys *keys,
                     struct rc_buf *headers)
{
    RC_BUF_AUTO(canonical, ANY_LENGTH);
    PAIRS_AUTO(to_sign);
    char time[TIME_TEXT];

    if (!keys->access_key_id)
        return;
    collect_headers(request, keys, &to_sign);
    add_canonical_request(&canonical, request, request->query, &to_sign);

    put_time(request, time);
    add_line(headers, "x-amz-date", time);
    if (keys->session_token)
        add_line(headers, "x-amz-security-token", keys->session_token);
    if (request->add_payload)
        add_line(headers, "x-amz-content-sha256", request->payload);
    rc_buf_add(headers, "authorization", sizeof("authorization"));
    rc_buf_adds(headers, ALGORITHM " Credential=");
    rc_buf_adds(headers, keys->access_key_id);
    rc_buf_addc(headers, '/');
    add_scope(headers, request, time);
    rc_buf_adds(headers, ", SignedHeaders=");
    add_signed_names(headers, &to_sign);
    rc_buf_adds(headers, ", Signature=");
    add_signature(headers, request, keys, time, canonical.data);
    rc_buf_addc(headers, '\0');
}

void core_sigv4_presign(const struct core_sigv4 *request, const struct core_aws_keys *keys,
                        int64_t lifetime_s, struct rc_buf *query)
{
    RC_BUF_AUTO(canonical, ANY_LENGTH);
    RC_BUF_AUTO(credential, ANY_LENGTH);
    RC_BUF_AUTO(names, ANY_LENGTH);
    PAIRS_AUTO(to_sign);
    char time[TIME_TEXT];
    size_t start = query->len;

    if (request->query && *request->query)
        rc_buf_adds(query, request->query);
    if (!keys->access_key_id)
        return;
    collect_headers(request, /* keys = */ NULL, &to_sign);
    put_time(request, time);
    rc_buf_addf(&credential, "%s/", keys->access_key_id);
    add_scope(&credential, request, time);
    add_signed_names(&names, &to_sign);

    rc_buf_addf(query,
                "%sX-Amz-Algorithm=" ALGORITHM "&X-Amz-Credential=", query->len > start ? "&" : "");
    rc_buf_add_url(query, credential.data, credential.len);
    rc_buf_addf(query, "&X-Amz-Date=%s&X-Amz-Expires=%lld&X-Amz-SignedHeaders=", time,
                (long long)lifetime_s);
    rc_buf_add_url(query, names.data, names.len);
    if (keys->session_token) {
        rc_buf_adds(query, "&X-Amz-Security-Token=");
        rc_buf_add_url(query, keys->session_token, strlen(keys->session_token));
    }
    add_canonical_request(&canonical, request, query->data + start, &to_sign);
    rc_buf_adds(query, "&X-Amz-Signature=");
    add_signature(query, request, keys, time, canonical.data);
}
