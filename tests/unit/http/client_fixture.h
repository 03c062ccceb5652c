/*
 * A server that behaves as a test tells it, byte by byte, and counts what it sees.
 */
#ifndef CLIENT_FIXTURE_H
#define CLIENT_FIXTURE_H

#include <http/address.h>
#include <http/client.h>

#include <run-core/str.h>

#include <pthread.h>
#include <stdatomic.h>

enum { STAGE_THREADS = 4096, REQUEST_BYTES = 4 * 1024 * 1024 };

struct stage;

/* One request as it came. */
struct scene {
    struct stage *stage;
    int fd;
    int nth;           /* request of all, from 1 */
    int on_connection; /* request of this connection, from 1 */
    const char *text;  /* head and body */
    const char *body;
    size_t body_len;
};

struct stage {
    struct core_listener listener;
    pthread_t thread, threads[STAGE_THREADS];
    atomic_bool stop;
    atomic_int connections, requests, at_once, most_at_once;
    /* Answers; false closes the connection. */
    bool (*act)(const struct scene *scene, void *context);
    void *context;
    atomic_size_t body_bytes; /* of a request, read before 'act'; SIZE_MAX for all */
};

void stage_start(struct stage *stage, bool (*act)(const struct scene *scene, void *context),
                 void *context);
void stage_stop(struct stage *stage);

void say_bytes(int fd, const char *data, size_t len);
/* An answer with that status, more headers ("A: b\r\n") and body. */
void reply(const struct scene *scene, unsigned status, const char *headers, const char *body);
/* Closes so that the other side gets a reset. */
void slam(int fd);

/* A client with short pauses, changed by 'settings' where it is not NULL. */
struct core_http_client *quick_client(const struct core_http_client_settings *settings);

/* A call and what came of it. */
struct outcome {
    struct core_http_answer answer;
    struct rc_error err;
    enum rc_code code;
};

/* Calls and tells; cleared by the test with core_http_answer_clear(). */
void ask(struct core_http_call call, struct outcome *out);

int count_descriptors(void);

#endif
