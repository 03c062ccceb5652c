/*
 * Requests to a store, repeated where what went wrong may pass; and whether it answers at all. What
 * an answer means is refusal.c's to say, what is in it results.c's.
 *
 * The repeating is done here and not left to the host, since to it every status 500 may pass. A
 * store says so for permissions that it lacks, too, and then nothing is gained by asking again.
 */
#include "client.h"

#include "clock.h"
#include "refusal.h"

#include <run-core/str.h>

#include <stdlib.h>
#include <sys/random.h>

enum {
    FORM_BYTES = 4 << 20,
    REFUSAL_BYTES = 16 * 1024, /* kept of the body of a refusal */
    FIRST_PAUSE_MS = 500,
    LONGEST_PAUSE_MS = 15 * 1000,
    FIRST_LOOK_MS = 3 * 1000, /* then whoever waits is told for what */
};

/* Doubles with each attempt that failed; by chance a quarter less or more, as others wait, too. */
static int64_t pause_ms_behind(unsigned attempt)
{
    int64_t pause_ms = FIRST_PAUSE_MS;
    uint16_t chance;

    while (--attempt > 0 && pause_ms < LONGEST_PAUSE_MS)
        pause_ms *= 2;
    if (pause_ms > LONGEST_PAUSE_MS)
        pause_ms = LONGEST_PAUSE_MS;
    if (getrandom(&chance, sizeof(chance), GRND_NONBLOCK) != (ssize_t)sizeof(chance))
        chance = UINT16_MAX / 2; /* no entropy yet: the pause as it is */
    return pause_ms * 3 / 4 + pause_ms / 2 * chance / UINT16_MAX;
}

/* ---- one request ----------------------------------------------------------------------------- */

/* A request as it is sent with each attempt, and the answer to the last one. */
struct exchange {
    struct rc_job *job;
    const struct sparql_store *store;
    const char *what;
    bool update;
    int64_t total_ms;
    struct rc_buf form, place; /* 'place': the endpoint as messages name it */
    struct rc_http_header *headers;
    struct rc_http_answer answer;
    struct rc_http_stream *stream; /* NULL: the dry run has sent nothing */
    bool passing;                  /* what failed may succeed if it is sent again */
};

static const char *url_of(const struct exchange *x)
{
    return x->update ? x->store->update_url : x->store->query_url;
}

/* Says what was attempted. */
static enum rc_code explain(const struct exchange *x, struct rc_error *err)
{
    if (x->update)
        return rc_context(err, "send %s to '%s'", x->what, x->place.data);
    return rc_context(err, "ask '%s' for %s", x->place.data, x->what);
}

static enum rc_code exchange_init(struct exchange *x, struct rc_job *job,
                                  const struct sparql_store *store, const char *what, bool update,
                                  const char *text, struct rc_error *err)
{
    size_t count = 0;

    *x = (struct exchange){
        .job = job,
        .store = store,
        .what = what,
        .update = update,
        .total_ms = store->request_ms,
        .form = RC_BUF_INIT(FORM_BYTES),
        .place = RC_BUF_INIT(SIZE_MAX),
        .answer = RC_HTTP_ANSWER_INIT(REFUSAL_BYTES),
    };
    sparql_place_add(&x->place, url_of(x));
    rc_buf_adds(&x->form, update ? "update=" : "query=");
    rc_buf_add_url(&x->form, text, strlen(text));
    x->headers = rc_calloc(store->header_count + 2, sizeof(*x->headers));
    x->headers[count++] =
        (struct rc_http_header){ "Content-Type", "application/x-www-form-urlencoded" };
    x->headers[count++] = (struct rc_http_header){
        "Accept", update ? "application/sparql-results+json, */*;q=0.1"
                         : "application/sparql-results+json, application/json;q=0.9"
    };
    for (size_t i = 0; i < store->header_count; i++)
        x->headers[count++] = store->headers[i];
    return rc_buf_check(&x->form, err) ? explain(x, err) : RC_OK;
}

static void exchange_clear(struct exchange *x)
{
    rc_http_close(x->job, x->stream);
    x->stream = NULL;
    rc_http_answer_clear(&x->answer);
    rc_buf_clear(&x->form);
    rc_buf_clear(&x->place);
    free(x->headers);
}

static enum rc_code send_once(struct exchange *x, struct rc_error *err)
{
    const struct sparql_store *store = x->store;
    const struct rc_http_request request = {
        .struct_bytes = sizeof(request),
        /* A dry run says the name and sends nothing; else it is in messages that explain() ends. */
        .name = x->update && x->job->dry_run ? x->what : "the store",
        .method = "POST",
        .url = url_of(x),
        .headers = x->headers,
        .header_count = store->header_count + 2,
        .body = x->form.data,
        .body_len = x->form.len,
        .flags = RC_HTTP_SAFE_TO_REPEAT | (x->update ? 0u : (unsigned)RC_HTTP_READS_ONLY),
        .attempts = 1,
        .idle_ms = x->total_ms,
        .total_ms = x->total_ms,
        .user = store->user,
        .password = store->password,
        .auth = store->auth,
    };

    rc_http_close(x->job, x->stream);
    x->stream = NULL;
    x->passing = false;
    if (rc_http_open(x->job, &request, &x->answer, &x->stream, err)) {
        x->passing = rc_retryable(err->code);
        return err->code;
    }
    if (x->answer.status == 0) /* under --dry-run */
        return RC_OK;
    return sparql_refusal(store, &x->answer, x->update, &x->passing, err);
}

/*
 * What makes something of an answer that is no refusal, and is called again with the next one if
 * what it fails with may pass.
 */
typedef enum rc_code take_fn(struct exchange *x, void *context, struct rc_error *err);

static enum rc_code attempt(struct exchange *x, take_fn *take, void *context, struct rc_error *err)
{
    if (send_once(x, err))
        return err->code;
    if (!x->stream || take(x, context, err) == RC_OK)
        return RC_OK;
    x->passing = rc_retryable(err->code);
    return err->code;
}

/* The run is to stop, for the reason 'why', and 'err' is what failed last. */
static enum rc_code stop(const struct exchange *x, const struct rc_error *why, struct rc_error *err)
{
    struct rc_error last = *err;

    *err = *why;
    (void)rc_context(err, "what failed last was '%s'", last.cause);
    return explain(x, err);
}

static enum rc_code send_all(struct exchange *x, take_fn *take, void *context, struct rc_error *err)
{
    unsigned attempts = x->store->attempts;
    char text[RC_AMOUNT_TEXT];

    for (unsigned n = 1; attempt(x, take, context, err); n++) {
        int64_t pause_ms = pause_ms_behind(n);
        struct rc_error why = RC_ERROR_INIT;

        if (!x->passing || n >= attempts) {
            if (n > 1)
                (void)rc_context(err, "attempt %u of %u", n, attempts);
            return explain(x, err);
        }
        if (rc_job_check(x->job, &why))
            return stop(x, &why, err);
        (void)explain(x, err);
        rc_warn(x->job, "%s: %s; trying again in %s", err->context, err->cause,
                rc_format_duration(pause_ms, text));
        if (sparql_pause(x->job, pause_ms, &why))
            return stop(x, &why, err);
    }
    return RC_OK;
}

/* ---- queries --------------------------------------------------------------------------------- */

struct sparql_rows {
    struct exchange exchange;
    struct sparql_results *results;
};

static enum rc_code read_answer(void *context, void *data, size_t capacity, size_t *len,
                                struct rc_error *err)
{
    struct exchange *x = context;

    return rc_http_read(x->job, x->stream, data, capacity, len, err);
}

/* Up to the first row, so that what fails before it is asked for again. */
static enum rc_code take_rows(struct exchange *x, void *context, struct rc_error *err)
{
    struct sparql_rows *rows = context;

    return sparql_results_open(read_answer, x, &rows->results, err);
}

enum rc_code sparql_query(struct rc_job *job, const struct sparql_store *store, const char *what,
                          const char *text, struct sparql_rows **out, struct rc_error *err)
{
    struct sparql_rows *rows = rc_calloc(1, sizeof(*rows));

    *out = NULL;
    if (exchange_init(&rows->exchange, job, store, what, /* update = */ false, text, err) ||
        send_all(&rows->exchange, take_rows, rows, err)) {
        sparql_rows_close(rows);
        return err->code;
    }
    *out = rows;
    return RC_OK;
}

enum rc_code sparql_rows_next(struct sparql_rows *rows, const char *const *columns,
                              size_t column_count, const struct sparql_term **row,
                              struct rc_error *err)
{
    if (sparql_results_next(rows->results, columns, column_count, row, err))
        return explain(&rows->exchange, err);
    return RC_OK;
}

void sparql_rows_close(struct sparql_rows *rows)
{
    if (!rows)
        return;
    sparql_results_close(rows->results);
    exchange_clear(&rows->exchange);
    free(rows);
}

static enum rc_code take_boolean(struct exchange *x, void *context, struct rc_error *err)
{
    struct sparql_results *results;
    enum rc_code code = sparql_results_open(read_answer, x, &results, err);

    if (code)
        return code;
    code = sparql_results_boolean(results, context, err);
    sparql_results_close(results);
    return code;
}

enum rc_code sparql_ask(struct rc_job *job, const struct sparql_store *store, const char *what,
                        const char *text, bool *out, struct rc_error *err)
{
    RC_CLEANUP(exchange_clear) struct exchange x;

    *out = false;
    if (exchange_init(&x, job, store, what, /* update = */ false, text, err))
        return err->code;
    return send_all(&x, take_boolean, out, err);
}

/* ---- updates --------------------------------------------------------------------------------- */

/*
 * Read to its end, since only then the store has said all that it had to say. What that is, the
 * protocol leaves to the store: nothing, a sentence, HTML or a table.
 */
static enum rc_code take_anything(struct exchange *x, void *context, struct rc_error *err)
{
    char piece[4096];
    size_t len = 1;

    (void)context;
    while (len > 0)
        if (rc_http_read(x->job, x->stream, piece, sizeof(piece), &len, err))
            return err->code;
    return RC_OK;
}

enum rc_code sparql_update(struct rc_job *job, const struct sparql_store *store, const char *what,
                           const char *text, struct rc_error *err)
{
    RC_CLEANUP(exchange_clear) struct exchange x;

    if (exchange_init(&x, job, store, what, /* update = */ true, text, err))
        return err->code;
    return send_all(&x, take_anything, NULL, err);
}

/* ---- waiting --------------------------------------------------------------------------------- */

/* Asks once, and for no longer than is left of the waiting. */
static enum rc_code ping(struct exchange *x, int64_t left_ms, bool first, struct rc_error *err)
{
    static const char *const columns[] = { "s" };
    struct sparql_rows rows = { .results = NULL };
    const struct sparql_term *row;
    enum rc_code code;

    x->total_ms = x->store->request_ms;
    if (first && left_ms != 0 && x->total_ms > FIRST_LOOK_MS)
        x->total_ms = FIRST_LOOK_MS;
    if (left_ms > 0 && left_ms < x->total_ms)
        x->total_ms = left_ms;
    code = attempt(x, take_rows, &rows, err);
    if (code == RC_OK)
        code = sparql_results_next(rows.results, columns, RC_ARRAY_LEN(columns), &row, err);
    sparql_results_close(rows.results);
    return code;
}

/* Whether waiting does not help. A 404 that may pass has as many chances as another request. */
static bool is_final(const struct exchange *x, enum rc_code code, unsigned *chances)
{
    if (code == RC_CANCELLED)
        return true;
    if (code != RC_DENIED && code != RC_INVALID)
        return false;
    return !x->passing || *chances == 0 || --*chances == 0;
}

enum rc_code sparql_wait(struct rc_job *job, const struct sparql_store *store, int64_t interval_ms,
                         int64_t limit_ms, struct rc_error *err)
{
    RC_CLEANUP(exchange_clear) struct exchange x;
    int64_t end_mono_ms = sparql_mono_ms() + limit_ms, left_ms = limit_ms;
    unsigned chances = store->attempts;
    char text[RC_AMOUNT_TEXT];
    bool said = false;

    /* Any row of any graph: the cheapest question that is no special case to a store. */
    if (exchange_init(&x, job, store, "any triple", /* update = */ false,
                      "SELECT ?s WHERE { GRAPH ?g { ?s ?p ?o } } LIMIT 1", err))
        return err->code;
    while (ping(&x, left_ms, /* first = */ !said, err)) {
        struct rc_error why = RC_ERROR_INIT;

        if (is_final(&x, err->code, &chances))
            return explain(&x, err);
        left_ms = limit_ms < 0 ? INT64_MAX : end_mono_ms - sparql_mono_ms();
        if (limit_ms == 0)
            return rc_context(err, "reach the store '%s'", x.place.data);
        if (left_ms <= 0)
            return rc_context(err, "wait %s for the store '%s'", rc_format_duration(limit_ms, text),
                              x.place.data);
        if (rc_job_check(job, &why))
            return stop(&x, &why, err);
        if (!said)
            rc_warn(job, "waiting for the store '%s': %s", x.place.data, err->cause);
        said = true;
        if (sparql_pause(job, left_ms < interval_ms ? left_ms : interval_ms, &why))
            return stop(&x, &why, err);
    }
    if (said)
        rc_info(job, "the store '%s' answers now", x.place.data);
    return RC_OK;
}
