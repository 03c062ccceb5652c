/*
 * What the HTTP client costs: requests a second of small and large GETs and PUTs, beside a bare
 * loop of libcurl on one handle a thread, in turns against one server. Built and run by
 * http_loop.py.
 */
#include <http/client.h>

#include <run-core/str.h>

#include <curl/curl.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { ROUNDS = 9, LARGE_BYTES = 64 * 1024 * 1024, SMALL_BYTES = 4096, THREADS = 16 };

/* ---- the server: a process with a thread for each connection -------------------------------- */

static char large[LARGE_BYTES];

static bool send_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t sent = send(fd, data, len, MSG_NOSIGNAL);

        if (sent <= 0)
            return false;
        data += sent;
        len -= (size_t)sent;
    }
    return true;
}

/* Takes in a request with its body; how many bytes it asks for, or -1. */
static long hear(int fd)
{
    static __thread char text[1024 * 1024];
    size_t len = 0;
    const char *end, *length;
    long long left;

    do {
        ssize_t got = recv(fd, text + len, sizeof(text) - 1 - len, 0);

        if (got <= 0)
            return -1;
        len += (size_t)got;
        text[len] = '\0';
    } while (!(end = strstr(text, "\r\n\r\n")));
    length = strstr(text, "Content-Length: ");
    left = length && length < end ? strtoll(length + strlen("Content-Length: "), NULL, 10) : 0;
    left -= (long long)(len - (size_t)(end + 4 - text));
    len = (size_t)strtol(strchr(text, '/') + 1, NULL, 10);
    while (left > 0) {
        ssize_t got = recv(fd, text, sizeof(text), 0);

        if (got <= 0)
            return -1;
        left -= got;
    }
    return (long)len;
}

static void *serve(void *context)
{
    int fd = (int)(intptr_t)context;
    char head[SMALL_BYTES + 200];
    long bytes;

    while ((bytes = hear(fd)) >= 0) {
        int len = snprintf(head, 200, "HTTP/1.1 200 OK\r\nContent-Length: %ld\r\n\r\n", bytes);
        bool small = bytes <= SMALL_BYTES;

        if (small)
            memset(head + len, 'x', (size_t)bytes);
        if (!send_all(fd, head, (size_t)len + (small ? (size_t)bytes : 0)) ||
            (!small && !send_all(fd, large, (size_t)bytes)))
            break;
    }
    (void)close(fd);
    return NULL;
}

static unsigned start_server(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t size = sizeof(address);
    int listener = socket(AF_INET, SOCK_STREAM, 0), on = 1;

    if (bind(listener, (struct sockaddr *)&address, size) || listen(listener, 100) ||
        getsockname(listener, (struct sockaddr *)&address, &size))
        abort();
    if (fork() > 0)
        return ntohs(address.sin_port);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        pthread_t thread;

        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        (void)pthread_create(&thread, NULL, serve, (void *)(intptr_t)fd);
        (void)pthread_detach(thread);
    }
}

/* ---- the two loops --------------------------------------------------------------------------- */

struct work {
    struct core_http_client *client;
    char url[100];
    bool put; /* sends the large body, else asks for what the URL says */
    atomic_int left;
};

static size_t drop(char *data, size_t size, size_t count, void *context)
{
    (void)data;
    *(size_t *)context += size * count;
    return size * count;
}

static size_t give(char *data, size_t size, size_t count, void *context)
{
    size_t *at = context, len = size * count;

    len = len < LARGE_BYTES - *at ? len : LARGE_BYTES - *at;
    memcpy(data, large + *at, len);
    *at += len;
    return len;
}

static void *bare(void *context)
{
    struct work *work = context;
    CURL *easy = curl_easy_init();
    size_t got = 0, at;

    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "run-core");
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, drop);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, &got);
    if (work->put) {
        curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)LARGE_BYTES);
        curl_easy_setopt(easy, CURLOPT_READFUNCTION, give);
        curl_easy_setopt(easy, CURLOPT_READDATA, &at);
        curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, 256L * 1024);
        curl_easy_setopt(easy, CURLOPT_HTTPHEADER, curl_slist_append(NULL, "Expect:"));
    } else {
        curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, 256L * 1024);
    }
    while (atomic_fetch_sub(&work->left, 1) > 0) {
        at = 0;
        curl_easy_setopt(easy, CURLOPT_URL, work->url); /* in life no two are the same */
        if (curl_easy_perform(easy) != CURLE_OK)
            abort();
    }
    curl_easy_cleanup(easy);
    return NULL;
}

static enum rc_code give_content(void *context, int64_t offset_bytes, char *data, size_t capacity,
                                 size_t *len, struct rc_error *err)
{
    size_t at = (size_t)offset_bytes;

    (void)context;
    (void)err;
    *len = capacity < LARGE_BYTES - at ? capacity : LARGE_BYTES - at;
    memcpy(data, large + at, *len);
    return RC_OK;
}

static enum rc_code drop_piece(void *context, const char *data, size_t len, struct rc_error *err)
{
    (void)data;
    (void)err;
    *(size_t *)context += len;
    return RC_OK;
}

static void *ours(void *context)
{
    static const struct core_http_content content = { LARGE_BYTES, give_content, NULL };
    struct work *work = context;
    struct rc_error err = RC_ERROR_INIT;
    struct core_http_answer answer;
    size_t got = 0;
    struct core_http_call call = {
        .client = work->client,
        .url = work->url,
        .on_body = drop_piece,
        .context = &got,
    };

    if (work->put) {
        call.method = "PUT";
        call.content = &content;
    }
    core_http_answer_init(&answer, SMALL_BYTES);
    while (atomic_fetch_sub(&work->left, 1) > 0)
        if (core_http_call(&call, &answer, &err) || answer.status != 200)
            abort();
    core_http_answer_clear(&answer);
    return NULL;
}

static void *pulled(void *context)
{
    struct work *work = context;
    struct rc_error err = RC_ERROR_INIT;
    struct core_http_call call = { .client = work->client, .url = work->url };
    struct core_http_answer answer;
    struct core_http_stream *stream;
    char *piece = malloc(256 * 1024);
    size_t len;

    core_http_answer_init(&answer, SMALL_BYTES);
    while (atomic_fetch_sub(&work->left, 1) > 0) {
        if (core_http_open(&call, &answer, &stream, &err))
            abort();
        do {
            if (core_http_read(stream, piece, 256 * 1024, &len, &err))
                abort();
        } while (len > 0);
        core_http_close(stream);
    }
    core_http_answer_clear(&answer);
    free(piece);
    return NULL;
}

/* ---- measuring ------------------------------------------------------------------------------- */

static double now_s(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static double cpu_us(void)
{
    struct rusage usage;

    (void)getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6 +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

struct rate {
    double requests_per_s, cpu_us; /* of a request, in this process */
};

static struct rate run(struct work *work, void *(*loop)(void *), int threads, int requests)
{
    pthread_t ids[THREADS];
    double began_s = now_s(), began_us = cpu_us();

    atomic_store(&work->left, requests);
    for (int i = 0; i < threads; i++)
        (void)pthread_create(&ids[i], NULL, loop, work);
    for (int i = 0; i < threads; i++)
        (void)pthread_join(ids[i], NULL);
    return (struct rate){ requests / (now_s() - began_s), (cpu_us() - began_us) / requests };
}

static int compare(const void *a, const void *b)
{
    return *(const double *)a < *(const double *)b ? -1 : *(const double *)a > *(const double *)b;
}

static double median(const struct rate *rates, bool of_cpu)
{
    double values[ROUNDS];

    for (int i = 0; i < ROUNDS; i++)
        values[i] = of_cpu ? rates[i].cpu_us : rates[i].requests_per_s;
    qsort(values, ROUNDS, sizeof(*values), compare);
    return values[ROUNDS / 2];
}

static void measure(struct work *work, const char *what, int threads, int requests)
{
    static void *(*const loops[])(void *) = { bare, ours, pulled };
    static const char *const names[] = { "libcurl", "client", "stream" };
    struct rate rates[3][ROUNDS];
    int count = work->put ? 2 : 3;

    for (int i = 0; i < ROUNDS; i++)
        for (int loop = 0; loop < count; loop++)
            rates[loop][i] = run(work, loops[loop], threads, requests);
    for (int loop = 0; loop < count; loop++)
        printf("| %s | %d | %s | %.0f | %.1f%% | %.1f | %.1f%% |\n", what, threads, names[loop],
               median(rates[loop], false),
               median(rates[loop], false) / median(rates[0], false) * 100,
               median(rates[loop], true), median(rates[loop], true) / median(rates[0], true) * 100);
    (void)fflush(stdout);
}

int main(void)
{
    unsigned port = start_server();
    const struct core_http_client_settings settings = { .attempts = 1 };
    struct work work = { .put = false };

    curl_global_init(CURL_GLOBAL_DEFAULT);
    work.client = core_http_client_new(&settings);
    puts("| what | threads | loop | requests/s | of libcurl's | CPU, us each | of libcurl's |");
    puts("|---|---:|---|---:|---:|---:|---:|");
    (void)snprintf(work.url, sizeof(work.url), "http://127.0.0.1:%u/%d", port, SMALL_BYTES);
    measure(&work, "GET 4 KiB", 1, 10000);
    measure(&work, "GET 4 KiB", 16, 20000);
    (void)snprintf(work.url, sizeof(work.url), "http://127.0.0.1:%u/%d", port, LARGE_BYTES);
    measure(&work, "GET 64 MiB", 1, 10);
    (void)snprintf(work.url, sizeof(work.url), "http://127.0.0.1:%u/0", port);
    work.put = true;
    measure(&work, "PUT 64 MiB", 1, 10);
    core_http_client_free(work.client);
    return 0;
}
