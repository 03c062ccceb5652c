/*
 * A client: its settings, and what its connections share.
 */
#include <http/client_internal.h>

#include <run-core/str.h>

#include <stdlib.h>

struct core_http_client *core_http_client_new(const struct core_http_client_settings *settings)
{
    struct core_http_client *client = rc_calloc(1, sizeof(*client));
    struct core_http_client_settings *own = &client->settings;

    *own = *settings;
    own->ca_file = rc_strdup(settings->ca_file);
    own->proxy = rc_strdup(settings->proxy);
    own->connections = own->connections ? own->connections : CONNECTIONS;
    own->attempts = own->attempts ? own->attempts : ATTEMPTS;
    own->backoff_ms = own->backoff_ms > 0 ? own->backoff_ms : BACKOFF_MS;
    own->max_backoff_ms = own->max_backoff_ms > 0 ? own->max_backoff_ms : MAX_BACKOFF_MS;
    own->connect_ms = own->connect_ms > 0 ? own->connect_ms : CONNECT_MS;
    own->idle_ms = own->idle_ms ? own->idle_ms : IDLE_MS;
    client->has_proxy =
        own->proxy || getenv("http_proxy") || getenv("all_proxy") || getenv("ALL_PROXY");
    RC_ASSERT(pthread_mutex_init(&client->mutex, NULL) == 0);
    for (size_t i = 0; i < RC_ARRAY_LEN(client->share_mutexes); i++)
        RC_ASSERT(pthread_mutex_init(&client->share_mutexes[i], NULL) == 0);
    return client;
}

void core_http_client_free(struct core_http_client *client)
{
    struct rc_error err = RC_ERROR_INIT;
    const struct core_curl *curl;

    if (!client)
        return;
    core_http_hosts_free(client);
    if (client->share && core_curl_load(&curl, &err) == RC_OK)
        (void)curl->share_cleanup(client->share);
    for (size_t i = 0; i < RC_ARRAY_LEN(client->share_mutexes); i++)
        (void)pthread_mutex_destroy(&client->share_mutexes[i]);
    (void)pthread_mutex_destroy(&client->mutex);
    free((char *)client->settings.ca_file);
    free((char *)client->settings.proxy);
    free(client);
}
