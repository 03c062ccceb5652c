/*
 * The target of a request, from bytes that anybody may have chosen to a path and parameters that
 * mean one thing only. What could be read in two ways is refused.
 */
#include <http/uri.h>

#include <base/utf8.h>
#include <os/digest.h>

#include <run-core/str.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- decoding -------------------------------------------------------------------------------- */

/*
 * Decodes the 'len' bytes at 'from' to '*to', ends them with a NUL and moves '*to' behind it. False
 * for an escape that is none, or of a NUL.
 */
static bool decode(const char *from, size_t len, bool plus_is_blank, char **to)
{
    const char *end = from + len;

    for (; from < end; from++) {
        char c = *from;

        if (c == '%') {
            int high = end - from > 2 ? core_hex_value(from[1]) : -1;
            int low = end - from > 2 ? core_hex_value(from[2]) : -1;

            if (high < 0 || low < 0 || high + low == 0)
                return false;
            c = (char)(high * 16 + low);
            from += 2;
        } else if (c == '+' && plus_is_blank) {
            c = ' ';
        }
        *(*to)++ = c;
    }
    *(*to)++ = '\0';
    return true;
}

static bool has_control(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            return true;
    return false;
}

static bool has_dot_segment(const char *path)
{
    for (const char *slash = path; slash; slash = strchr(slash + 1, '/')) {
        size_t dots = strspn(slash + 1, ".");

        if ((dots == 1 || dots == 2) && (slash[1 + dots] == '/' || slash[1 + dots] == '\0'))
            return true;
    }
    return false;
}

static bool has_encoded_slash(const char *path, size_t len)
{
    for (const char *end = path + len; path + 2 < end; path++)
        if (path[0] == '%' && path[1] == '2' && (path[2] == 'f' || path[2] == 'F'))
            return true;
    return false;
}

static const char *parse_path(const char *text, size_t len, char **memory, const char **out)
{
    *out = *memory;
    if (len == 0 || *text != '/')
        return "the request's target does not begin with '/'";
    if (has_encoded_slash(text, len))
        return "the path has an encoded slash; send such a name as a parameter";
    if (!decode(text, len, /* plus_is_blank = */ false, memory))
        return "the path has an escape that is none; write % as %25";
    if (has_control(*out) || !core_utf8_is_valid(*out))
        return "the path has control characters, or is not UTF-8";
    if (has_dot_segment(*out))
        return "the path has a segment '.' or '..'";
    return NULL;
}

static const char *parse_query(const char *text, char **memory, struct core_http_uri *uri)
{
    while (*text) {
        size_t len = strcspn(text, "&");
        const char *equals = memchr(text, '=', len);
        size_t name_len = equals ? (size_t)(equals - text) : len;
        struct core_http_parameter *parameter = &uri->parameters[uri->parameter_count];

        if (len > 0) {
            parameter->name = *memory;
            if (!decode(text, name_len, /* plus_is_blank = */ true, memory))
                return "a parameter's name has an escape that is none; write % as %25";
            parameter->value = *memory;
            if (!decode(equals ? equals + 1 : "", equals ? len - name_len - 1 : 0,
                        /* plus_is_blank = */ true, memory))
                return "a parameter has an escape that is none; write % as %25";
            uri->parameter_count++;
        }
        text += len + (text[len] == '&');
    }
    return NULL;
}

/* ---- targets --------------------------------------------------------------------------------- */

static size_t count_parameters(const char *query)
{
    size_t count = 1;

    for (; *query; query++)
        count += *query == '&';
    return count;
}

/* "http://host/path", which a client may send to any server, becomes "/path". */
static const char *skip_authority(const char *target, char **memory, const char **host)
{
    size_t scheme_len = strncasecmp(target, "http://", 7) == 0    ? 7
                        : strncasecmp(target, "https://", 8) == 0 ? 8
                                                                  : 0;
    size_t len = strcspn(target + scheme_len, "/?#");

    if (scheme_len == 0)
        return target;
    *host = *memory;
    memcpy(*memory, target + scheme_len, len);
    *memory += len;
    *(*memory)++ = '\0';
    return target + scheme_len + len;
}

const char *core_http_uri_parse(const char *target, struct core_http_uri *out)
{
    size_t len = strlen(target);
    size_t parameters = count_parameters(target);
    /* Decoding never lengthens; each part ends with a NUL. */
    char *memory = rc_malloc(2 * len + 2 * parameters + 8);
    const char *wrong, *path;
    size_t path_len;

    *out = (struct core_http_uri){
        .memory = memory,
        .parameters = rc_calloc(parameters, sizeof(*out->parameters)),
    };
    path = skip_authority(target, &memory, &out->host);
    path_len = strcspn(path, "?");
    if (has_control(target) || strpbrk(target, " #"))
        wrong = "the request's target has blanks, control characters or a '#'";
    else if (out->host && path_len == 0)
        wrong = parse_path("/", 1, &memory, &out->path);
    else
        wrong = parse_path(path, path_len, &memory, &out->path);
    if (out->host && !*out->host)
        wrong = "the request's target names no host";
    if (!wrong) {
        const char *query = path[path_len] ? path + path_len + 1 : "";
        size_t query_len = strlen(query);

        out->query = memory;
        memcpy(memory, query, query_len + 1);
        memory += query_len + 1;
        wrong = parse_query(query, &memory, out);
    }
    if (wrong)
        core_http_uri_clear(out);
    return wrong;
}

void core_http_uri_clear(struct core_http_uri *uri)
{
    free(uri->memory);
    free(uri->parameters);
    *uri = (struct core_http_uri){ .path = NULL };
}

/* ---- whom a browser asks --------------------------------------------------------------------- */

/* The length of "name" or "[::1]" in "name:port". */
static size_t host_length(const char *authority)
{
    const char *bracket = authority[0] == '[' ? strchr(authority, ']') : NULL;

    return bracket ? (size_t)(bracket + 1 - authority) : strcspn(authority, ":");
}

static bool is_name(const char *text, size_t len, const char *name)
{
    return strlen(name) == len && strncasecmp(text, name, len) == 0;
}

static bool is_this_machine(const char *host, size_t len)
{
    static const char suffix[] = ".localhost";
    char address[INET_ADDRSTRLEN] = "";
    struct in_addr v4;

    if (is_name(host, len, "localhost") || is_name(host, len, "[::1]"))
        return true;
    if (len >= sizeof(suffix) &&
        is_name(host + len - (sizeof(suffix) - 1), sizeof(suffix) - 1, suffix))
        return true;
    if (len >= sizeof(address))
        return false;
    memcpy(address, host, len);
    return inet_pton(AF_INET, address, &v4) == 1 && ntohl(v4.s_addr) >> 24 == IN_LOOPBACKNET;
}

static bool is_listed(const char *host, size_t len, const char *const *hosts)
{
    for (; hosts && *hosts; hosts++)
        if (is_name(host, len, *hosts))
            return true;
    return false;
}

/* Without the port that the scheme means anyway. */
static size_t authority_length(const char *authority, const char *default_port)
{
    size_t len = host_length(authority);

    return strcmp(authority + len, default_port) == 0 ? len : strlen(authority);
}

static bool is_same_origin(const char *origin, const char *host)
{
    bool plain = strncasecmp(origin, "http://", 7) == 0;
    const char *authority = plain ? origin + 7 : origin + 8;
    const char *default_port = plain ? ":80" : ":443";
    size_t len;

    if (!plain && strncasecmp(origin, "https://", 8) != 0)
        return false;
    len = authority_length(authority, default_port);
    return len == authority_length(host, default_port) && strncasecmp(authority, host, len) == 0;
}

const char *core_http_uri_foreign(const char *host, const char *origin, bool on_loopback,
                                  const char *const *hosts)
{
    size_t len = host ? host_length(host) : 0;

    if (on_loopback && host && !is_this_machine(host, len) && !is_listed(host, len, hosts))
        return "the request names another host; ask for localhost or 127.0.0.1";
    if (origin && (!host || !is_same_origin(origin, host)))
        return "the request comes from a page of another site";
    return NULL;
}

/* ---- for whom a proxy asks ------------------------------------------------------------------- */

/* One of "192.0.2.7, ::1, unix", without the blanks around it. */
static bool is_local_client(const char *client, size_t len)
{
    return is_name(client, len, "unix") || is_name(client, len, "::1") ||
           is_this_machine(client, len);
}

bool core_http_uri_asks_locally(const char *header, const char *value)
{
    static const char blanks[] = " \t";

    /* In a grammar that hides more than it tells, and only that there was a proxy. */
    if (strcasecmp(header, "Forwarded") == 0 || strcasecmp(header, "Via") == 0)
        return false;
    if (strcasecmp(header, "X-Forwarded-For") != 0 && strcasecmp(header, "X-Real-IP") != 0)
        return true;
    for (;;) {
        const char *end = value + strcspn(value, ","), *stop = end;

        while (value < stop && strchr(blanks, *value))
            value++;
        while (stop > value && strchr(blanks, stop[-1]))
            stop--;
        if (!is_local_client(value, (size_t)(stop - value)))
            return false;
        if (*end == '\0')
            return true;
        value = end + 1;
    }
}
