/*
 * An HTTP server that says what a test has written, answer by answer, and keeps what it was asked.
 * One connection at a time.
 */
#ifndef TESTS_SCRIPTED_SERVER_H
#define TESTS_SCRIPTED_SERVER_H

#include <http/address.h>

#include <pthread.h>
#include <stdatomic.h>

enum { SCRIPT_HEARD = 256 };

/* One answer. In headers and body "{url}" is the server's URL. */
struct script_line {
    unsigned status;     /* 0: hangs up without an answer */
    const char *headers; /* more of them, "A: b\r\n"; or NULL */
    const char *body;    /* or NULL */
    size_t cut;          /* hangs up after so many bytes; 0: says all */
    int delay_ms;        /* before it answers, unless the other side hangs up sooner */
};

struct scripted_server {
    struct core_listener listener;
    pthread_t thread;
    atomic_bool stop;
    const struct script_line *lines; /* beyond the last: 410 */
    size_t line_count;
    atomic_size_t heard_count;
    char *heard[SCRIPT_HEARD]; /* requests with their bodies; of the test once it was counted */
};

void scripted_start(struct scripted_server *server, const struct script_line *lines, size_t count);
void scripted_stop(struct scripted_server *server);

/* The value of a header of a request, in one of four buffers that take turns; or NULL. */
const char *scripted_header(const struct scripted_server *server, size_t request, const char *name);
/* Whether a request begins so ("GET /a"). */
bool scripted_asks(const struct scripted_server *server, size_t request, const char *line);

#endif
