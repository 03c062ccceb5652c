/*
 * What an action works with: the streams, the store and how long it is waited for.
 */
#include "jobs.h"
#include "sparql/clock.h"

#include <run-core/str.h>

#include <stdlib.h>
#include <strings.h>

static const char sudo_header[] = "mu-auth-sudo";

/* A variable of the environment that is empty says nothing. */
static const char *said(const char *text)
{
    return text && *text ? text : NULL;
}

/* The stack of mu.semte.ch lets this past its rules of access; other stores do not know it. */
static void make_headers(struct delta_session *session, const struct rc_map *more)
{
    size_t count = 0;

    session->headers = rc_calloc(more->len + 1, sizeof(*session->headers));
    session->headers[count++] = (struct rc_http_header){ .name = sudo_header, .value = "true" };
    for (size_t i = 0; i < more->len; i++)
        if (strcasecmp(more->items[i].key, sudo_header) != 0)
            session->headers[count++] = (struct rc_http_header){ .name = more->items[i].key,
                                                                 .value = more->items[i].value };
    session->store.headers = session->headers;
    session->store.header_count = count;
}

static void make_store(struct delta_session *session, const struct delta_config *config)
{
    const char *update_url = said(config->update_endpoint);

    session->store = (struct sparql_store){
        .query_url = config->sparql_endpoint,
        .update_url = update_url ? update_url : config->sparql_endpoint,
        .user = said(config->username),
        .password = said(config->password),
        .auth = config->authentication,
        .request_ms = config->request_timeout_ms,
        .attempts = (unsigned)config->attempts,
    };
    make_headers(session, &config->headers);
}

/*
 * A run of the daemon waits as long as it may; who started one by hand looks on. A route is asked
 * by somebody who can ask again, so that it does not wait at all.
 */
static int64_t longest_wait_ms(const struct rc_job *job, const struct delta_config *config)
{
    if (rc_str_eq(job->action, "serve"))
        return 0;
    return job->by_daemon ? -1 : config->store_timeout_ms;
}

enum rc_code delta_session_open(struct rc_job *job, const struct delta_config *config,
                                struct delta_session *out, struct rc_error *err)
{
    *out =
        (struct delta_session){ .job = job, .config = config, .opened_mono_ms = sparql_mono_ms() };
    if (delta_entries_make(config, &out->entries, err))
        return err->code;
    make_store(out, config);
    if (sparql_wait(job, &out->store, config->ping_interval_s * 1000, longest_wait_ms(job, config),
                    err)) {
        delta_session_close(out);
        return err->code;
    }
    return RC_OK;
}

void delta_session_close(struct delta_session *session)
{
    delta_entries_clear(&session->entries);
    free(session->headers);
    session->headers = NULL;
}

int64_t delta_session_now_unix_ms(const struct delta_session *session)
{
    return session->job->now_unix_ms + sparql_mono_ms() - session->opened_mono_ms;
}
