/*
 * Who asks, and what they may do. Over the Unix socket the kernel says who it is; over TCP a token
 * does, or, where there are none, being a process of this machine, and no proxy for another one.
 */
#include <api/call.h>

#include <os/clock.h>
#include <runtime/output.h>

#include <run-core/log.h>
#include <run-core/str.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum { REFUSED_EVERY_MS = 10000 };

/* ---- tokens ---------------------------------------------------------------------------------- */

void core_api_refresh_tokens(struct core_api *api)
{
    const char *path = core_supervisor_config(api->supervisor)->settings.tokens_file;
    struct core_supervisor_health health;
    CORE_PROBLEMS_AUTO(problems);
    struct core_tokens *fresh;

    core_supervisor_health(api->supervisor, &health);
    if (health.reloads == api->tokens_reload)
        return;
    api->tokens_reload = health.reloads;
    if (!path && core_http_server_is_loopback(api->http)) {
        core_tokens_free(api->tokens);
        api->tokens = NULL;
        return;
    }
    fresh = path ? core_tokens_read(path, &problems) : NULL;
    if (fresh) {
        core_tokens_free(api->tokens);
        api->tokens = fresh;
        return;
    }
    for (const struct core_problem *problem = problems.first; problem; problem = problem->next)
        core_output_log(RC_LOG_ERROR, NULL, 0, "%s; the tokens stay as they were",
                        core_problem_text(&problems, problem));
    if (!path)
        core_output_log(RC_LOG_ERROR, NULL, 0,
                        "auth.tokens_file is gone from the configuration, but the API listens "
                        "beyond this machine; the tokens stay as they were");
}

/* The token of "Authorization: Bearer TOKEN", or NULL. */
static const char *bearer(const struct core_http_exchange *exchange)
{
    static const char scheme[] = "Bearer ";
    const char *header = core_http_header(exchange, "Authorization");

    if (!header || strncasecmp(header, scheme, strlen(scheme)) != 0)
        return NULL;
    header += strlen(scheme);
    return header + strspn(header, " ");
}

enum core_scope core_api_scope(struct core_api *api, struct core_http_exchange *exchange,
                               char by[CORE_API_WHO])
{
    const struct core_http_peer *peer = core_http_peer(exchange);
    const char *token, *name = NULL;
    enum core_scope scope;

    if (peer->is_unix) {
        (void)snprintf(by, CORE_API_WHO, "user %ld", (long)peer->uid);
        return peer->uid == 0 || peer->uid == geteuid() ? CORE_SCOPE_ADMIN : CORE_SCOPE_NONE;
    }
    (void)snprintf(by, CORE_API_WHO, "%s", peer->address);
    if (!api->tokens)
        return core_http_is_local(exchange) ? CORE_SCOPE_RUN : CORE_SCOPE_NONE;
    token = bearer(exchange);
    scope = token ? core_tokens_find(api->tokens, token, &name) : CORE_SCOPE_NONE;
    if (name)
        (void)snprintf(by, CORE_API_WHO, "token %s", name);
    return scope;
}

/* ---- refusals -------------------------------------------------------------------------------- */

/* In the log at most every ten seconds: whoever is refused could fill it. */
static void note(struct core_api *api, struct core_http_exchange *exchange, const char *by,
                 const char *what)
{
    int64_t now = core_clock_mono_ms(), unsaid = api->refused.unsaid;
    char more[64] = "";

    if (api->refused.logged_mono_ms && now - api->refused.logged_mono_ms < REFUSED_EVERY_MS) {
        api->refused.unsaid++;
        return;
    }
    api->refused.logged_mono_ms = now;
    api->refused.unsaid = 0;
    if (unsaid)
        (void)snprintf(more, sizeof(more), " (and %" PRId64 " more since the last such message)",
                       unsaid);
    core_output_log(RC_LOG_WARN, NULL, 0, "refused '%.16s %.200s' from %s (%s): %s%s",
                    core_http_method(exchange), core_http_path(exchange),
                    core_http_peer(exchange)->address, by, what, more);
}

/* Somebody of whom nothing is known. */
static void refuse_unknown(struct core_api *api, struct core_http_exchange *exchange,
                           const char *by)
{
    const char *what = bearer(exchange) ? "the token is not known" : "there is no token";

    if (!api->tokens)
        what = "a proxy asks for another machine, and there are no tokens";
    note(api, exchange, by, what);
    core_http_add_header(exchange, "WWW-Authenticate", "Bearer realm=\"run-core\"");
    core_http_reply_error(exchange, 401, "%s; %s", what,
                          api->tokens ? "send one as 'Authorization: Bearer TOKEN' "
                                        "(auth.tokens_file says which there are)"
                                      : "set auth.tokens_file");
}

bool core_api_allows(struct core_api *api, struct core_http_exchange *exchange,
                     enum core_scope needed, char by[CORE_API_WHO])
{
    const struct core_http_peer *peer = core_http_peer(exchange);
    enum core_scope scope;

    core_api_refresh_tokens(api);
    scope = core_api_scope(api, exchange, by);
    if (scope >= needed)
        return true;
    if (scope == CORE_SCOPE_NONE && !peer->is_unix) {
        refuse_unknown(api, exchange, by);
        return false;
    }
    note(api, exchange, by, "the scope is not enough");
    if (peer->is_unix)
        core_http_reply_error(exchange, 403,
                              "over this socket only root and the user of the daemon are served");
    else if (api->tokens) {
        core_http_add_header(exchange, "WWW-Authenticate",
                             "Bearer realm=\"run-core\", error=\"insufficient_scope\"");
        core_http_reply_error(exchange, 403, "this needs the scope '%s'; the token has '%s'",
                              core_scope_name(needed), core_scope_name(scope));
    } else {
        core_http_reply_error(exchange, 403,
                              "without tokens this is not open to every process of the machine; "
                              "use the command line, or a token of the scope '%s' "
                              "(auth.tokens_file)",
                              core_scope_name(needed));
    }
    return false;
}
