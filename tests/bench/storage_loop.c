/*
 * What an S3 server can do, as a bare loop of libcurl sees it: a handle and a kept connection for
 * each of N threads, requests that were signed beforehand, bodies from memory, answers dropped.
 *
 *     storage_loop THREADS < PLAN
 *
 * A line of the plan is a request: method, URL, bytes to send, "@FILE" with the body or "-", and
 * headers, with tabs between. Prints the seconds from the first request to the last answer, and of
 * processor time. Every answer has to be a 2xx.
 */
#include <curl/curl.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

enum { THREADS_MAX = 256, BUFFER_BYTES = 256 * 1024, AT_ONCE_BYTES = 60 * 1024 };

struct request {
    char *method, *url, *body; /* NULL: any bytes, or nothing */
    curl_off_t body_bytes;     /* -1: none */
    struct curl_slist *headers;
};

static struct request *requests;
static size_t request_count;
static atomic_size_t next;

static void fail(const char *what, const char *on)
{
    (void)fprintf(stderr, "storage_loop: %s '%s'\n", what, on);
    _Exit(1);
}

/* ---- the plan -------------------------------------------------------------------------------- */

static char *read_file(const char *path, curl_off_t *len)
{
    FILE *file = fopen(path, "rb");
    char *data;
    long end;

    if (!file || fseek(file, 0, SEEK_END) || (end = ftell(file)) < 0 || fseek(file, 0, SEEK_SET))
        fail("cannot read", path);
    data = malloc((size_t)end + 1);
    if (!data || fread(data, 1, (size_t)end, file) != (size_t)end)
        fail("cannot read", path);
    (void)fclose(file);
    *len = end;
    return data;
}

static struct request parse(char *line)
{
    struct request out = { .body_bytes = -1 };
    char *rest = line, *body;

    out.method = strdup(strsep(&rest, "\t"));
    out.url = strdup(rest ? strsep(&rest, "\t") : "");
    body = rest ? strsep(&rest, "\t") : NULL;
    if (!out.method || !out.url || !body)
        fail("no request in the line of", out.method);
    if (*body == '@')
        out.body = read_file(body + 1, &out.body_bytes);
    else if (*body != '-')
        out.body_bytes = strtoll(body, NULL, 10);
    while (rest)
        out.headers = curl_slist_append(out.headers, strsep(&rest, "\t"));
    /* Without these libcurl would add some, which cost the server a thought. */
    out.headers = curl_slist_append(out.headers, "Expect:");
    out.headers = curl_slist_append(out.headers, "Content-Type:");
    return out;
}

static void read_plan(void)
{
    char *line = NULL;
    size_t room = 0, capacity = 0;
    ssize_t len;

    while ((len = getline(&line, &room, stdin)) > 0) {
        line[strcspn(line, "\n")] = '\0';
        if (request_count == capacity) {
            capacity = capacity ? capacity * 2 : 1024;
            requests = realloc(requests, capacity * sizeof(*requests));
            if (!requests)
                fail("no memory for", "the plan");
        }
        requests[request_count++] = parse(line);
    }
    free(line);
}

/* ---- the loop -------------------------------------------------------------------------------- */

static size_t drop(char *data, size_t size, size_t count, void *context)
{
    (void)data;
    (void)context;
    return size * count;
}

static size_t give(char *data, size_t size, size_t count, void *context)
{
    curl_off_t *left = context;
    size_t len = size * count;

    if ((curl_off_t)len > *left)
        len = (size_t)*left;
    memset(data, 'x', len);
    *left -= (curl_off_t)len;
    return len;
}

static void set_body(CURL *easy, const struct request *request, curl_off_t *left)
{
    static const char any[AT_ONCE_BYTES];

    if (request->body_bytes < 0)
        return;
    if (request->body || request->body_bytes <= AT_ONCE_BYTES) {
        curl_easy_setopt(easy, CURLOPT_POST, 1L);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, request->body_bytes);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request->body ? request->body : any);
        return;
    }
    *left = request->body_bytes;
    curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, request->body_bytes);
    curl_easy_setopt(easy, CURLOPT_READDATA, left);
}

static void *work(void *context)
{
    CURL *easy = curl_easy_init();
    curl_off_t left = 0;
    size_t at;

    (void)context;
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, drop);
    curl_easy_setopt(easy, CURLOPT_READFUNCTION, give);
    curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)BUFFER_BYTES);
    curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, (long)BUFFER_BYTES);
    while ((at = atomic_fetch_add(&next, 1)) < request_count) {
        const struct request *request = &requests[at];
        long status = 0;
        CURLcode code;

        curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
        set_body(easy, request, &left);
        curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method);
        curl_easy_setopt(easy, CURLOPT_URL, request->url);
        curl_easy_setopt(easy, CURLOPT_HTTPHEADER, request->headers);
        code = curl_easy_perform(easy);
        if (code)
            fail(curl_easy_strerror(code), request->url);
        curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
        if (status < 200 || status > 299)
            fail("the server does not accept", request->url);
    }
    curl_easy_cleanup(easy);
    return NULL;
}

/* ---- measuring ------------------------------------------------------------------------------- */

static double now_s(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static double cpu_s(void)
{
    struct rusage usage;

    (void)getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

int main(int argc, char **argv)
{
    pthread_t threads[THREADS_MAX];
    long count = argc == 2 ? strtol(argv[1], NULL, 10) : 0;
    double began_s, began_cpu_s;

    if (count < 1 || count > THREADS_MAX)
        fail("the number of threads is not", argc == 2 ? argv[1] : "");
    curl_global_init(CURL_GLOBAL_DEFAULT);
    read_plan();
    began_s = now_s();
    began_cpu_s = cpu_s();
    for (long i = 0; i < count; i++)
        if (pthread_create(&threads[i], NULL, work, NULL))
            fail("cannot start", "a thread");
    for (long i = 0; i < count; i++)
        (void)pthread_join(threads[i], NULL);
    printf("%.6f %.6f\n", now_s() - began_s, cpu_s() - began_cpu_s);
    return 0;
}
