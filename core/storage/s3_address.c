/*
 * From an endpoint, a bucket and a key to the URL of a request: in the path or in the host name,
 * percent-encoded once. Pure text.
 */
#include <storage/s3.h>

#include <run-core/str.h>

#include <ctype.h>
#include <string.h>

enum { URL_LIMIT = 1 << 17 };

void core_s3_target_init(struct core_s3_target *target)
{
    rc_buf_init(&target->url, URL_LIMIT);
    rc_buf_init(&target->host, URL_LIMIT);
    rc_buf_init(&target->path, URL_LIMIT);
}

void core_s3_target_clear(struct core_s3_target *target)
{
    rc_buf_clear(&target->url);
    rc_buf_clear(&target->host);
    rc_buf_clear(&target->path);
}

void core_s3_add_path(struct rc_buf *out, const char *key)
{
    for (;;) {
        size_t len = strcspn(key, "/");

        rc_buf_add_url(out, key, len);
        key += len;
        if (*key == '\0')
            return;
        rc_buf_addc(out, '/');
        key++;
    }
}

void core_s3_add_query(struct rc_buf *out, const char *name, const char *value)
{
    rc_buf_addc(out, '&');
    rc_buf_adds(out, name);
    if (!value)
        return;
    rc_buf_addc(out, '=');
    rc_buf_add_url(out, value, strlen(value));
}

/* ---- AWS ------------------------------------------------------------------------------------- */

/* The length of a region's name at 'text': letters, digits and dashes, such as "eu-west-1". */
static size_t region_len(const char *text)
{
    size_t len = 0;

    while (islower((unsigned char)text[len]) || isdigit((unsigned char)text[len]) ||
           text[len] == '-')
        len++;
    return len;
}

/*
 * Of the host "s3.REGION.amazonaws.com", or one with "s3-REGION" or dualstack, the region; of
 * "s3.amazonaws.com" an empty one. False: it is another host, such as that of a private endpoint.
 */
static bool split_aws_host(const char *host, const char **region, size_t *len)
{
    static const char ends[] = "amazonaws.com";
    const char *at = host;

    if (!rc_str_starts(at, "s3"))
        return false;
    at += 2;
    if (*at != '.' && *at != '-')
        return false;
    at++;
    if (rc_str_starts(at, "dualstack."))
        at += strlen("dualstack.");
    *region = at;
    *len = 0;
    if (!rc_str_starts(at, ends)) {
        *len = region_len(at);
        if (*len == 0 || at[*len] != '.' || !rc_str_starts(at + *len + 1, ends))
            return false;
        at += *len + 1;
    }
    at += strlen(ends);
    if (rc_str_starts(at, ".cn"))
        at += 3;
    return *at == '\0' || *at == ':' || *at == '/';
}

static const char *host_of(const char *url)
{
    const char *separator = strstr(url, "://");

    return separator ? separator + 3 : url;
}

bool core_s3_is_aws(const char *endpoint)
{
    const char *region;
    size_t len;

    return split_aws_host(host_of(endpoint), &region, &len);
}

bool core_s3_is_region(const char *text)
{
    size_t len = region_len(text);

    return len > 0 && text[len] == '\0';
}

char *core_s3_region_of(const char *url)
{
    const char *at = host_of(url);
    const char *end = at + strcspn(at, "/");
    const char *region;
    size_t len;

    /* A bucket's name may stand in front, with dots of its own. */
    for (; at < end; at += strcspn(at, "./") + 1)
        if (split_aws_host(at, &region, &len) && len > 0)
            return rc_strndup(region, len);
    return NULL;
}

void core_s3_aws_endpoint(struct rc_buf *out, const char *region)
{
    rc_buf_addf(out, "https://s3.%s.amazonaws.com%s", region,
                rc_str_starts(region, "cn-") ? ".cn" : "");
}

/* ---- the URL --------------------------------------------------------------------------------- */

/*
 * Whether a bucket's name can be part of a host name, for which the certificates of AWS hold: no
 * dots, upper case or underscores.
 */
static bool fits_host(const char *bucket)
{
    size_t len = region_len(bucket);

    return bucket[len] == '\0' && len >= 3 && len <= 63 && bucket[0] != '-' &&
           bucket[len - 1] != '-';
}

static bool is_virtual(const char *endpoint, int addressing, const char *bucket)
{
    if (addressing == CORE_ADDRESS_AUTO)
        return core_s3_is_aws(endpoint) && fits_host(bucket);
    return addressing == CORE_ADDRESS_VIRTUAL;
}

/* The host with its port, but for the scheme's own one, which clients leave out. */
static void add_host(struct rc_buf *out, const char *scheme, const char *host, size_t len)
{
    const char *port = rc_str_eq(scheme, "https") ? ":443" : ":80";
    size_t port_len = strlen(port);

    if (len > port_len && memcmp(host + len - port_len, port, port_len) == 0)
        len -= port_len;
    rc_buf_add(out, host, len);
}

enum rc_code core_s3_aim(struct core_s3_target *target, const char *endpoint, int addressing,
                         const char *bucket, const char *key, const char *query,
                         struct rc_error *err)
{
    const char *host = host_of(endpoint);
    size_t host_len = strcspn(host, "/?#");
    bool in_host = is_virtual(endpoint, addressing, bucket);
    const char *scheme = rc_str_starts(endpoint, "https://")  ? "https"
                         : rc_str_starts(endpoint, "http://") ? "http"
                                                              : NULL;

    if (!scheme || host_len == 0 || memchr(host, '@', host_len) || strpbrk(host, "?#"))
        return rc_fail(err, RC_INVALID,
                       "the S3 endpoint '%s' is no address such as https://storage.example.org",
                       endpoint);
    rc_buf_reset(&target->url);
    rc_buf_reset(&target->host);
    rc_buf_reset(&target->path);
    if (in_host)
        rc_buf_addf(&target->host, "%s.", bucket);
    add_host(&target->host, scheme, host, host_len);

    rc_buf_adds(&target->path, host + host_len);
    while (target->path.len > 0 && target->path.data[target->path.len - 1] == '/')
        rc_buf_truncate(&target->path, target->path.len - 1);
    if (!in_host) {
        rc_buf_addc(&target->path, '/');
        core_s3_add_path(&target->path, bucket);
    }
    if (key || in_host)
        rc_buf_addc(&target->path, '/');
    if (key)
        core_s3_add_path(&target->path, key);

    rc_buf_addf(&target->url, "%s://", scheme);
    rc_buf_add(&target->url, target->host.data, target->host.len);
    rc_buf_add(&target->url, target->path.data, target->path.len);
    if (*query)
        rc_buf_addf(&target->url, "?%s", query);
    return rc_buf_check(&target->url, err);
}
