/*
 * Takes credentials files apart: what Google's console and gcloud write. Their fields are as
 * google.aip.dev/auth describes them.
 */
#include <cloud/google_key.h>

#include <config/json.h>

#include <run-core/str.h>

#include <string.h>

#define TOKEN_URL "https://oauth2.googleapis.com/token"

enum { MAX_DEPTH = 4 }; /* of keys that stand for another */

static enum rc_code parse(struct core_arena *arena, const struct core_node *map, int depth,
                          struct core_google_key *out, struct rc_error *err);

void core_google_key_clear(struct core_google_key *key)
{
    core_arena_clear(&key->arena);
    *key = (struct core_google_key){ .arena = CORE_ARENA_INIT };
}

/* A text that is not empty, or NULL. */
static const char *text_of(const struct core_node *map, const char *name)
{
    const struct core_node *node = core_node_get(map, name);

    return node && node->kind == CORE_NODE_SCALAR && node->quoted && node->text[0] ? node->text
                                                                                   : NULL;
}

static enum rc_code need(const struct core_node *map, const char *name, const char **out,
                         struct rc_error *err)
{
    *out = text_of(map, name);
    return *out ? RC_OK : rc_fail(err, RC_INVALID, "it has no text '%s'", name);
}

static bool is_url(const char *text)
{
    return rc_str_starts(text, "https://") || rc_str_starts(text, "http://");
}

static enum rc_code need_url(const struct core_node *map, const char *name, const char *def,
                             const char **out, struct rc_error *err)
{
    *out = text_of(map, name);
    if (!*out)
        *out = def;
    if (*out && is_url(*out))
        return RC_OK;
    return rc_fail(err, RC_INVALID, "its '%s' is no URL of http or https", name);
}

static enum rc_code parse_service_account(const struct core_node *map, struct core_google_key *out,
                                          struct rc_error *err)
{
    out->kind = CORE_GOOGLE_SERVICE_ACCOUNT;
    out->private_key_id = text_of(map, "private_key_id");
    if (need(map, "client_email", &out->client_email, err) ||
        need(map, "private_key", &out->private_key, err))
        return err->code;
    return need_url(map, "token_uri", TOKEN_URL, &out->token_url, err);
}

static enum rc_code parse_user(const struct core_node *map, struct core_google_key *out,
                               struct rc_error *err)
{
    out->kind = CORE_GOOGLE_AUTHORIZED_USER;
    if (need(map, "client_id", &out->client_id, err) ||
        need(map, "client_secret", &out->client_secret, err) ||
        need(map, "refresh_token", &out->refresh_token, err))
        return err->code;
    return need_url(map, "token_uri", TOKEN_URL, &out->token_url, err);
}

/* ---- workload identity federation ----------------------------------------------------------- */

static enum rc_code parse_headers(struct core_arena *arena, const struct core_node *map,
                                  struct core_google_key *out, struct rc_error *err)
{
    if (!map || map->kind == CORE_NODE_NULL)
        return RC_OK;
    if (map->kind != CORE_NODE_MAP)
        return rc_fail(err, RC_INVALID, "'headers' of its 'credential_source' are no object");
    out->subject.headers = core_arena_alloc(arena, map->len * sizeof(*out->subject.headers));
    out->subject.header_count = map->len;
    for (size_t i = 0; i < map->len; i++) {
        const struct core_entry *entry = &map->entries[i];

        if (entry->value->kind != CORE_NODE_SCALAR || entry->key[0] == '\0')
            return rc_fail(err, RC_INVALID, "a header of its 'credential_source' is no text");
        out->subject.headers[i] =
            (struct core_http_header){ .name = entry->key, .value = entry->value->text };
    }
    return RC_OK;
}

static enum rc_code parse_format(const struct core_node *map, struct core_google_key *out,
                                 struct rc_error *err)
{
    const char *type = text_of(map, "type");

    if (!type || rc_str_eq(type, "text"))
        return RC_OK;
    if (!rc_str_eq(type, "json"))
        return rc_fail(err, RC_INVALID,
                       "'format' of its 'credential_source' is neither text nor json");
    return need(map, "subject_token_field_name", &out->subject.field, err);
}

static enum rc_code parse_external(struct core_arena *arena, const struct core_node *map,
                                   struct core_google_key *out, struct rc_error *err)
{
    const struct core_node *source = core_node_get(map, "credential_source");

    out->kind = CORE_GOOGLE_EXTERNAL_ACCOUNT;
    out->impersonation_url = text_of(map, "service_account_impersonation_url");
    if (need(map, "audience", &out->subject.audience, err) ||
        need(map, "subject_token_type", &out->subject.token_type, err) ||
        need_url(map, "token_url", "https://sts.googleapis.com/v1/token", &out->token_url, err))
        return err->code;
    if (out->impersonation_url && !is_url(out->impersonation_url))
        return rc_fail(err, RC_INVALID, "its 'service_account_impersonation_url' is no URL");

    out->subject.file = text_of(source, "file");
    out->subject.url = out->subject.file ? NULL : text_of(source, "url");
    if (text_of(source, "environment_id") || (!out->subject.file && !out->subject.url))
        return rc_fail(err, RC_UNSUPPORTED,
                       "run-core takes the token of an external account from a file or a URL only; "
                       "this one's 'credential_source' is of another kind");
    if (out->subject.url && !is_url(out->subject.url))
        return rc_fail(err, RC_INVALID, "'url' of its 'credential_source' is no URL");
    if (parse_headers(arena, core_node_get(source, "headers"), out, err))
        return err->code;
    return parse_format(core_node_get(source, "format"), out, err);
}

/* ---- impersonation -------------------------------------------------------------------------- */

static enum rc_code parse_impersonated(struct core_arena *arena, const struct core_node *map,
                                       int depth, struct core_google_key *out, struct rc_error *err)
{
    const struct core_node *delegates = core_node_get(map, "delegates");
    const struct core_node *source = core_node_get(map, "source_credentials");

    out->kind = CORE_GOOGLE_IMPERSONATED;
    if (need_url(map, "service_account_impersonation_url", NULL, &out->impersonation_url, err))
        return err->code;
    if (!source || source->kind != CORE_NODE_MAP)
        return rc_fail(err, RC_INVALID, "it has no 'source_credentials'");
    if (delegates && delegates->kind == CORE_NODE_LIST) {
        out->delegates = core_arena_alloc(arena, delegates->len * sizeof(*out->delegates));
        for (size_t i = 0; i < delegates->len; i++) {
            if (delegates->items[i]->kind != CORE_NODE_SCALAR)
                return rc_fail(err, RC_INVALID, "one of its 'delegates' is no text");
            out->delegates[out->delegate_count++] = delegates->items[i]->text;
        }
    }
    out->source = core_arena_alloc(arena, sizeof(*out->source));
    if (parse(arena, source, depth + 1, out->source, err))
        return rc_context(err, "its 'source_credentials'");
    return RC_OK;
}

static enum rc_code parse(struct core_arena *arena, const struct core_node *map, int depth,
                          struct core_google_key *out, struct rc_error *err)
{
    const char *type = text_of(map, "type");

    if (depth > MAX_DEPTH)
        return rc_fail(err, RC_INVALID, "it goes through more than %d others", MAX_DEPTH);
    if (!type)
        return rc_fail(err, RC_INVALID, "it is no JSON object with a text 'type'");
    if (rc_str_eq(type, "service_account"))
        return parse_service_account(map, out, err);
    if (rc_str_eq(type, "authorized_user"))
        return parse_user(map, out, err);
    if (rc_str_eq(type, "external_account"))
        return parse_external(arena, map, out, err);
    if (rc_str_eq(type, "impersonated_service_account"))
        return parse_impersonated(arena, map, depth, out, err);
    char shown[CORE_SHOWN_TEXT];
    return rc_fail(err, RC_UNSUPPORTED,
                   "its type is '%s'; run-core knows service_account, authorized_user, "
                   "external_account and impersonated_service_account",
                   core_shown(type, shown));
}

enum rc_code core_google_key_parse(const char *text, size_t len, struct core_google_key *out,
                                   struct rc_error *err)
{
    CORE_PROBLEMS_AUTO(problems);
    const struct core_node *map;

    core_google_key_clear(out);
    map = core_json_read(&out->arena, "key file", text, len, &problems);
    if (map && problems.count == 0) {
        out->project = text_of(map, "project_id");
        if (!out->project)
            out->project = text_of(map, "quota_project_id");
        return parse(&out->arena, map, 0, out, err);
    }
    /* The message of a mistake might show a piece of the key, so only its place is given. */
    return rc_fail(err, RC_INVALID, "it is no JSON: see line %d, column %d",
                   problems.first ? problems.first->place.line : 1,
                   problems.first ? problems.first->place.column : 1);
}
