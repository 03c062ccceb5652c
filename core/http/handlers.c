/*
 * Threads that call the handler, so that one that waits keeps no other client waiting. They never
 * touch libmicrohttpd: an exchange is parked before it comes here, and the serving thread goes on
 * with it when its handler has returned.
 */
#include <http/server_internal.h>

#include <signal.h>
#include <stdlib.h>
#include <string.h>

static void *work(void *context)
{
    struct core_http_server *server = context;

    (void)pthread_mutex_lock(&server->mutex);
    while (!server->stopping) {
        struct core_http_exchange *exchange = server->jobs;

        if (!exchange) {
            (void)pthread_cond_wait(&server->work, &server->mutex);
            continue;
        }
        server->jobs = exchange->next_job;
        if (!server->jobs)
            server->jobs_end = &server->jobs;
        (void)pthread_mutex_unlock(&server->mutex);
        core_http_handle(exchange);
        (void)pthread_mutex_lock(&server->mutex);
    }
    (void)pthread_mutex_unlock(&server->mutex);
    return NULL;
}

enum rc_code core_http_handlers_start(struct core_http_server *server, struct rc_error *err)
{
    sigset_t all, before;
    int failed = 0;

    server->jobs_end = &server->jobs;
    if (server->limits.handler_threads == 0)
        return RC_OK;
    server->threads = rc_calloc(server->limits.handler_threads, sizeof(*server->threads));
    /* Signals are for the threads that know what to do about them. */
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    while (server->thread_count < server->limits.handler_threads && !failed) {
        failed = pthread_create(&server->threads[server->thread_count], NULL, work, server);
        server->thread_count += !failed;
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed)
        return rc_fail_errno(err, failed, "cannot start %u threads for requests",
                             server->limits.handler_threads);
    return RC_OK;
}

void core_http_handlers_add(struct core_http_server *server, struct core_http_exchange *exchange)
{
    (void)pthread_mutex_lock(&server->mutex);
    exchange->next_job = NULL;
    *server->jobs_end = exchange;
    server->jobs_end = &exchange->next_job;
    (void)pthread_cond_signal(&server->work);
    (void)pthread_mutex_unlock(&server->mutex);
}

void core_http_handlers_stop(struct core_http_server *server)
{
    (void)pthread_mutex_lock(&server->mutex);
    server->stopping = true;
    (void)pthread_cond_broadcast(&server->work);
    (void)pthread_mutex_unlock(&server->mutex);
    for (unsigned i = 0; i < server->thread_count; i++)
        (void)pthread_join(server->threads[i], NULL);
    server->thread_count = 0;
    free(server->threads);
    server->threads = NULL;
}
