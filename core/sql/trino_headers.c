/*
 * What a Trino server is told with each statement, and what it wants to hear again with the next.
 */
#include <sql/trino_headers.h>

#include <config/secrets.h>
#include <os/digest.h>
#include <sql/trino_text.h>

#include <run-core/str.h>

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define SOURCE "run-core"

static const size_t limit_bytes = 64 * 1024; /* more than servers take */

/* ---- pairs ----------------------------------------------------------------------------------- */

static void remove_pair(struct core_trino_pairs *pairs, const char *name)
{
    for (size_t i = 0; i < pairs->len; i++) {
        if (strcmp(pairs->items[i].name, name) != 0)
            continue;
        free(pairs->items[i].name);
        free(pairs->items[i].value);
        memmove(&pairs->items[i], &pairs->items[i + 1],
                (--pairs->len - i) * sizeof(pairs->items[0]));
        return;
    }
}

static void set_pair(struct core_trino_pairs *pairs, const char *name, const char *value)
{
    RC_STR_AUTO kept_name = rc_strdup(name); /* it may be that of the pair itself */

    remove_pair(pairs, kept_name);
    pairs->items = rc_realloc(pairs->items, (pairs->len + 1) * sizeof(pairs->items[0]));
    pairs->items[pairs->len++] =
        (struct core_trino_pair){ .name = rc_strdup(kept_name), .value = rc_strdup(value) };
}

/* A plain value. */
static void set_encoded(struct core_trino_pairs *pairs, const char *name, const char *value)
{
    RC_BUF_AUTO(encoded, 3 * strlen(value));

    rc_buf_add_url(&encoded, value, strlen(value));
    set_pair(pairs, name, encoded.data);
}

/* "name=value", as servers send it. */
static void note_pair(struct core_trino_pairs *pairs, const char *text)
{
    const char *equals = strchr(text, '=');

    if (!equals || equals == text)
        return;
    RC_STR_AUTO name = rc_strndup(text, (size_t)(equals - text));
    set_pair(pairs, name, equals + 1);
}

static void clear_pairs(struct core_trino_pairs *pairs)
{
    while (pairs->len > 0)
        remove_pair(pairs, pairs->items[pairs->len - 1].name);
    free(pairs->items);
    pairs->items = NULL;
}

/* ---- adding ---------------------------------------------------------------------------------- */

static void add(struct rc_buf *out, const char *name, const char *value)
{
    if (!value)
        return;
    rc_buf_add(out, name, strlen(name) + 1);
    rc_buf_add(out, value, strlen(value) + 1);
}

/* What did not fit is not sent in part. */
static void add_part(struct rc_buf *out, const struct rc_buf *part)
{
    rc_buf_add(out, part->data, part->len);
    out->overflow |= part->overflow;
}

static void add_built(struct rc_buf *out, const char *name, const struct rc_buf *value)
{
    add(out, name, value->data);
    out->overflow |= value->overflow;
}

static void add_pairs(struct rc_buf *out, const char *name, const struct core_trino_pairs *pairs)
{
    RC_BUF_AUTO(text, limit_bytes);

    for (size_t i = 0; i < pairs->len; i++)
        rc_buf_addf(&text, "%s%s=%s", i ? "," : "", pairs->items[i].name, pairs->items[i].value);
    if (pairs->len > 0)
        add_built(out, name, &text);
}

void core_trino_headers_add_short(const struct core_trino_headers *headers, struct rc_buf *out)
{
    add_part(out, &headers->proof);
    add(out, "X-Trino-User", headers->user);
    add(out, "X-Trino-Original-User", headers->original_user);
}

void core_trino_headers_add(const struct core_trino_headers *headers, struct rc_buf *out)
{
    core_trino_headers_add_short(headers, out);
    add_part(out, &headers->fixed);
    add(out, "X-Trino-Catalog", headers->catalog);
    add(out, "X-Trino-Schema", headers->schema);
    add(out, "X-Trino-Path", headers->path);
    add_pairs(out, "X-Trino-Session", &headers->session);
    add_pairs(out, "X-Trino-Role", &headers->roles);
    add_pairs(out, "X-Trino-Prepared-Statement", &headers->prepared);
    add(out, "X-Trino-Transaction-Id", headers->transaction ? headers->transaction : "NONE");
}

/* ---- from the settings ----------------------------------------------------------------------- */

static void add_proof(struct rc_buf *out, const struct core_engine_settings *settings)
{
    RC_BUF_AUTO(value, limit_bytes);
    RC_BUF_AUTO(login, limit_bytes);

    if (settings->token) {
        rc_buf_addf(&value, "Bearer %s", settings->token);
    } else if (settings->password) {
        rc_buf_addf(&login, "%s:%s", settings->user ? settings->user : "", settings->password);
        rc_buf_adds(&value, "Basic ");
        core_add_base64(&value, login.data, login.len);
        /* As a server may repeat it in what it says of a request. */
        core_secret_add(value.data + strlen("Basic "));
    }
    if (settings->token || settings->password)
        add_built(out, "Authorization", &value);
    out->overflow |= login.overflow;
    explicit_bzero(value.data, value.len);
    explicit_bzero(login.data, login.len);
}

static void add_tags(struct rc_buf *out, const struct rc_strs *tags)
{
    RC_BUF_AUTO(text, limit_bytes);

    for (size_t i = 0; i < tags->len; i++)
        rc_buf_addf(&text, "%s%s", i ? "," : "", tags->items[i]);
    if (tags->len > 0)
        add_built(out, "X-Trino-Client-Tags", &text);
}

static void add_credentials(struct rc_buf *out, const struct rc_map *credentials)
{
    struct core_trino_pairs pairs = { .items = NULL };

    for (size_t i = 0; i < credentials->len; i++)
        set_encoded(&pairs, credentials->items[i].key, credentials->items[i].value);
    add_pairs(out, "X-Trino-Extra-Credential", &pairs);
    for (size_t i = 0; i < pairs.len; i++)
        explicit_bzero(pairs.items[i].value, strlen(pairs.items[i].value));
    clear_pairs(&pairs);
}

/* "admin" as the server writes it: a role of that name, unless it is none or all of them. */
static void set_role(struct core_trino_pairs *roles, const char *catalog, const char *role)
{
    if (strcasecmp(role, "all") == 0 || strcasecmp(role, "none") == 0) {
        set_encoded(roles, catalog, role[0] == 'a' || role[0] == 'A' ? "ALL" : "NONE");
        return;
    }
    RC_STR_AUTO text = rc_strf("ROLE{%s}", role);
    set_encoded(roles, catalog, text);
}

void core_trino_headers_init(struct core_trino_headers *headers,
                             const struct core_engine_settings *settings, const char *trace)
{
    /* Whom a token proves, the server knows. */
    const char *user = settings->user || settings->token ? settings->user : CORE_TRINO_USER;

    *headers = (struct core_trino_headers){
        .user = rc_strdup(user),
        .catalog = rc_strdup(core_trino_catalog(settings)),
        .schema = rc_strdup(settings->database ? settings->database : CORE_TRINO_SCHEMA),
    };
    rc_buf_init(&headers->fixed, limit_bytes);
    rc_buf_init(&headers->proof, limit_bytes);
    add_proof(&headers->proof, settings);
    add(&headers->fixed, "X-Trino-Source", settings->source ? settings->source : SOURCE);
    add(&headers->fixed, "X-Trino-Time-Zone", "UTC");
    add(&headers->fixed, "X-Trino-Client-Info", SOURCE);
    add(&headers->fixed, "X-Trino-Trace-Token", trace);
    add(&headers->fixed, "X-Trino-Client-Capabilities",
        "PARAMETRIC_DATETIME,PATH,SESSION_AUTHORIZATION");
    add_tags(&headers->fixed, &settings->client_tags);
    add_credentials(&headers->fixed, &settings->extra_credentials);
    for (size_t i = 0; i < settings->session.len; i++)
        set_encoded(&headers->session, settings->session.items[i].key,
                    settings->session.items[i].value);
    for (size_t i = 0; i < settings->roles.len; i++)
        set_role(&headers->roles, settings->roles.items[i].key, settings->roles.items[i].value);
}

void core_trino_headers_clear(struct core_trino_headers *headers)
{
    explicit_bzero(headers->fixed.data, headers->fixed.len);
    explicit_bzero(headers->proof.data, headers->proof.len);
    rc_buf_clear(&headers->fixed);
    rc_buf_clear(&headers->proof);
    free(headers->user);
    free(headers->original_user);
    free(headers->catalog);
    free(headers->schema);
    free(headers->path);
    free(headers->transaction);
    clear_pairs(&headers->session);
    clear_pairs(&headers->roles);
    clear_pairs(&headers->prepared);
}

void core_trino_headers_set(struct core_trino_headers *headers, const char *property,
                            const char *value)
{
    set_encoded(&headers->session, property, value);
}

void core_trino_headers_unset(struct core_trino_headers *headers, const char *property)
{
    remove_pair(&headers->session, property);
}

/* ---- from answers ---------------------------------------------------------------------------- */

static void set_text(char **text, const char *value)
{
    char *copy = rc_strdup(value);

    free(*text);
    *text = copy;
}

static void note_user(struct core_trino_headers *headers, const char *user)
{
    if (!headers->original_user)
        headers->original_user = rc_strdup(headers->user);
    set_text(&headers->user, user);
}

static void reset_user(struct core_trino_headers *headers)
{
    if (headers->original_user)
        set_text(&headers->user, headers->original_user);
    set_text(&headers->original_user, NULL);
}

void core_trino_headers_note(struct core_trino_headers *headers, const char *name,
                             const char *value)
{
    static const char prefix[] = "x-trino-";

    if (!rc_str_starts(name, prefix))
        return;
    name += sizeof(prefix) - 1;
    if (strcmp(name, "set-session") == 0)
        note_pair(&headers->session, value);
    else if (strcmp(name, "clear-session") == 0)
        remove_pair(&headers->session, value);
    else if (strcmp(name, "set-catalog") == 0)
        set_text(&headers->catalog, value);
    else if (strcmp(name, "set-schema") == 0)
        set_text(&headers->schema, value);
    else if (strcmp(name, "set-path") == 0)
        set_text(&headers->path, value);
    else if (strcmp(name, "set-role") == 0)
        note_pair(&headers->roles, value);
    else if (strcmp(name, "added-prepare") == 0)
        note_pair(&headers->prepared, value);
    else if (strcmp(name, "deallocated-prepare") == 0)
        remove_pair(&headers->prepared, value);
    else if (strcmp(name, "started-transaction-id") == 0)
        set_text(&headers->transaction, value);
    else if (strcmp(name, "clear-transaction-id") == 0)
        set_text(&headers->transaction, NULL);
    else if (strcmp(name, "set-authorization-user") == 0)
        note_user(headers, value);
    else if (strcmp(name, "reset-authorization-user") == 0)
        reset_user(headers);
}

/* ---- checking -------------------------------------------------------------------------------- */

/* A text that a header takes as it is. */
static bool is_plain(const char *text)
{
    for (; text && *text; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            return false;
    return true;
}

static bool are_names(const struct rc_map *map)
{
    for (size_t i = 0; i < map->len; i++) {
        const char *name = map->items[i].key;

        if (*name == '\0' || !is_plain(name) || strpbrk(name, " ,=") ||
            *map->items[i].value == '\0')
            return false;
    }
    return true;
}

static bool are_tags(const struct rc_strs *tags)
{
    for (size_t i = 0; i < tags->len; i++)
        if (!is_plain(tags->items[i]) || strchr(tags->items[i], ','))
            return false;
    return true;
}

static bool is_empty(const char *text)
{
    return text && !*text;
}

const char *core_trino_headers_fault(const struct core_engine_settings *settings)
{
    if (!is_plain(settings->user) || !is_plain(settings->source) || !is_plain(settings->catalog) ||
        !is_plain(settings->work_catalog) || !is_plain(settings->database))
        return "'user', 'source', 'catalog', 'work_catalog' and 'database' are without control "
               "characters";
    if (is_empty(settings->user) || is_empty(settings->catalog) ||
        is_empty(settings->work_catalog) || is_empty(settings->database))
        return "'user', 'catalog', 'work_catalog' and 'database' are not empty; leave out what has "
               "its default";
    if (settings->work_catalog && !settings->catalog)
        return "'work_catalog' is given without 'catalog'";
    if (!is_plain(settings->token) || (settings->token && strchr(settings->token, ' ')))
        return "'token' is a text without blanks, such as a JSON web token";
    if (settings->password && !settings->user)
        return "'password' is given without 'user'";
    if (settings->password && strchr(settings->user, ':'))
        return "'user' has a ':', which a user with a password cannot have";
    if (!are_names(&settings->session))
        return "'session' has a property with no value, or with a blank, ',' or '=' in its name";
    if (!are_names(&settings->roles))
        return "'roles' has a catalog with no role, or with a blank, ',' or '=' in its name";
    if (!are_names(&settings->extra_credentials))
        return "'extra_credentials' has a name with no value, or with a blank, ',' or '=' in it";
    if (!are_tags(&settings->client_tags))
        return "'client_tags' has a tag with a ',' or a control character";
    return NULL;
}
