/*
 * Asks a server on 127.0.0.1 for paths, each connection for the next one as soon as it has been
 * answered, and tells how many answers came, how long the half and 99 of 100 took at most, and what
 * of the processor the asking took. Built and run by sdrs_rules.py.
 *
 *     http_load PORT CONNECTIONS SECONDS STATUS [HEADER] < PATHS
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { LINE_BYTES = 4096, REPLY_BYTES = 64 * 1024, CONNECTIONS = 256, PORT_LIMIT = 65536 };

struct request {
    char *text;
    size_t len;
};

static struct request *requests;
static size_t request_count;
static unsigned port, connections;
static char status_line[32]; /* what each answer begins with */
static double end_s;

struct asking {
    pthread_t thread;
    size_t first; /* so that not all ask for the same at once */
    float *took_us;
    size_t count, size;
};

static double now_s(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void *need(void *memory)
{
    if (!memory)
        abort();
    return memory;
}

static void read_requests(const char *header)
{
    char line[LINE_BYTES], text[2 * LINE_BYTES];

    while (fgets(line, sizeof(line), stdin)) {
        int len;

        line[strcspn(line, "\n")] = '\0';
        len = snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n%s%s\r\n",
                       line, port, header, *header ? "\r\n" : "");
        if (len < 0 || (size_t)len >= sizeof(text))
            abort();
        requests = need(realloc(requests, (request_count + 1) * sizeof(*requests)));
        requests[request_count++] = (struct request){ need(strdup(text)), (size_t)len };
    }
}

static int open_connection(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr = { htonl(INADDR_LOOPBACK) },
                                   .sin_port = htons((in_port_t)port) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on))) {
        perror("http_load: connect");
        exit(1);
    }
    return fd;
}

static void refuse(const char *reply)
{
    (void)fprintf(stderr, "http_load: not %s, but:\n%s\n", status_line, reply);
    exit(1);
}

/* Whether all of a reply is there; it has to be the one that is asked for. */
static int is_whole(const char *reply, size_t len)
{
    static const char name[] = "\r\nContent-Length: ";
    const char *end = strstr(reply, "\r\n\r\n"), *length = strstr(reply, name);

    if (!end)
        return 0;
    if (strncmp(reply, status_line, strlen(status_line)) != 0 || !length || length > end)
        refuse(reply);
    return len >= (size_t)(end + 4 - reply) + strtoul(length + strlen(name), NULL, 10);
}

static void ask(int fd, const struct request *request, char *reply)
{
    size_t len = 0;

    if (send(fd, request->text, request->len, MSG_NOSIGNAL) != (ssize_t)request->len)
        refuse("the connection is closed");
    do {
        ssize_t got = recv(fd, reply + len, REPLY_BYTES - 1 - len, 0);

        if (got <= 0)
            refuse("the connection is closed, or the reply too long");
        len += (size_t)got;
        reply[len] = '\0';
    } while (!is_whole(reply, len));
}

static void *ask_all(void *context)
{
    struct asking *asking = context;
    char *reply = need(malloc(REPLY_BYTES));
    int fd = open_connection();
    double began = now_s();

    for (size_t at = asking->first; began < end_s; at = (at + 1) % request_count) {
        double ended;

        ask(fd, &requests[at], reply);
        ended = now_s();
        if (asking->count == asking->size) {
            asking->size = 2 * asking->size + 1024;
            asking->took_us = need(realloc(asking->took_us, asking->size * sizeof(float)));
        }
        asking->took_us[asking->count++] = (float)((ended - began) * 1e6);
        began = ended;
    }
    (void)close(fd);
    free(reply);
    return NULL;
}

static int by_size(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;

    return (x > y) - (x < y);
}

static double seconds_of(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

static void tell(struct asking *askings, double took_s)
{
    struct rusage usage;
    size_t count = 0, at = 0;
    float *all;

    for (unsigned i = 0; i < connections; i++)
        count += askings[i].count;
    all = need(malloc((count + 1) * sizeof(*all)));
    for (unsigned i = 0; i < connections; i++) {
        memcpy(all + at, askings[i].took_us, askings[i].count * sizeof(*all));
        at += askings[i].count;
        free(askings[i].took_us);
    }
    qsort(all, count, sizeof(*all), by_size);
    (void)getrusage(RUSAGE_SELF, &usage);
    printf("%zu %.6f %.0f %.0f %.6f\n", count, took_s, (double)all[count / 2],
           (double)all[count * 99 / 100], seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime));
    free(all);
}

int main(int argc, char **argv)
{
    static struct asking askings[CONNECTIONS];
    double began;

    if (argc < 5)
        return 2;
    port = (unsigned)strtoul(argv[1], NULL, 10);
    connections = (unsigned)strtoul(argv[2], NULL, 10);
    (void)snprintf(status_line, sizeof(status_line), "HTTP/1.1 %.3s ", argv[4]);
    read_requests(argc > 5 ? argv[5] : "");
    if (port >= PORT_LIMIT || connections == 0 || connections > CONNECTIONS || request_count == 0)
        return 2;
    began = now_s();
    end_s = began + strtod(argv[3], NULL);
    for (unsigned i = 0; i < connections; i++) {
        askings[i].first = i * request_count / connections;
        if (pthread_create(&askings[i].thread, NULL, ask_all, &askings[i]))
            abort();
    }
    for (unsigned i = 0; i < connections; i++)
        (void)pthread_join(askings[i].thread, NULL);
    tell(askings, now_s() - began);
    return 0;
}
