/*
 * Sessions of the embedded engine in threads of their own. A thread serves whoever takes it, one
 * statement at a time, and opens its session when the first comes.
 */
#include "parquet.h"

#include <run-core/host.h>

#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { NAP_MS = 100, PATIENCE_MS = 10000 };

struct egress_engine {
    struct egress_engines *engines;
    bool is_there, is_taken, is_running;
    char *statement; /* to be run */
    int output;

    struct rc_job *job; /* of the thread */
    struct rc_sql *sql;

    int64_t rows; /* of the last statement */
    enum rc_code code;
    struct rc_error err;
};

struct egress_engines {
    int64_t memory_bytes; /* of each */
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool is_over;
    size_t count;
    struct egress_engine items[];
};

struct egress_engines *egress_engines_new(size_t count, int64_t memory_bytes)
{
    struct egress_engines *engines =
        rc_calloc(1, sizeof(*engines) + count * sizeof(engines->items[0]));
    pthread_condattr_t attributes;

    (void)pthread_mutex_init(&engines->mutex, NULL);
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&engines->changed, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    engines->memory_bytes = memory_bytes;
    engines->count = count;
    for (size_t i = 0; i < count; i++)
        engines->items[i].engines = engines;
    return engines;
}

void egress_engines_free(struct egress_engines *engines)
{
    (void)pthread_cond_destroy(&engines->changed);
    (void)pthread_mutex_destroy(&engines->mutex);
    free(engines);
}

/* With the mutex; not for long, since nobody tells of a run that has to stop. */
static void nap(struct egress_engines *engines)
{
    struct timespec until;

    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += NAP_MS * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    (void)pthread_cond_timedwait(&engines->changed, &engines->mutex, &until);
}

/* ---- the thread ----------------------------------------------------------------------------- */

/*
 * One thread each, as the statements run beside one another; rows keep their order by it, though
 * the engine is not asked to keep it: then it would gather more of them.
 */
static enum rc_code open_session(const struct egress_engine *engine, struct rc_sql **out,
                                 struct rc_error *err)
{
    RC_STR_AUTO limit =
        rc_strf("SET memory_limit = '%lldB'", (long long)engine->engines->memory_bytes);
    const char *settings[] = { "SET threads = 1", "SET preserve_insertion_order = false",
                               "SET enable_progress_bar = false", limit };

    if (rc_sql_open(engine->job, NULL, out, err))
        return err->code;
    for (size_t i = 0; i < RC_ARRAY_LEN(settings); i++) {
        if (rc_sql_exec(engine->job, *out, settings[i], NULL, 0, NULL, err)) {
            rc_sql_close(engine->job, *out);
            *out = NULL;
            return rc_context(err, "prepare the SQL engine");
        }
    }
    return RC_OK;
}

static enum rc_code run(struct egress_engine *engine, const char *statement, int64_t *rows,
                        struct rc_error *err)
{
    struct egress_engines *engines = engine->engines;
    struct rc_sql *sql = engine->sql;
    enum rc_code code = sql ? RC_OK : open_session(engine, &sql, err);
    char size[RC_AMOUNT_TEXT];

    (void)pthread_mutex_lock(&engines->mutex);
    engine->sql = sql; /* from now on it can be cancelled */
    (void)pthread_mutex_unlock(&engines->mutex);
    if (!code)
        code = rc_sql_exec(engine->job, engine->sql, statement, NULL, 0, rows, err);
    if (code == RC_TOO_LARGE)
        return rc_fail(err, code,
                       "the rows are too wide for the %s that the SQL engine has of 'memory': "
                       "raise it to 20000 times the size of a row, or dump it as csv",
                       rc_format_size(engines->memory_bytes, size));
    return code;
}

/* With the mutex. */
static void serve_one(struct egress_engine *engine)
{
    struct egress_engines *engines = engine->engines;
    RC_STR_AUTO statement = engine->statement;
    struct rc_error err = RC_ERROR_INIT;
    int64_t rows = 0;
    enum rc_code code;

    engine->statement = NULL;
    (void)pthread_mutex_unlock(&engines->mutex);
    code = run(engine, statement, &rows, &err);
    (void)close(engine->output); /* whoever reads the other end sees that it is over */
    (void)pthread_mutex_lock(&engines->mutex);
    engine->rows = rows;
    engine->code = code;
    engine->err = err;
    engine->is_running = false;
    (void)pthread_cond_broadcast(&engines->changed);
}

void egress_engine_serve(struct rc_job *job, struct egress_engines *engines, size_t index)
{
    struct egress_engine *engine = &engines->items[index];
    struct rc_error ignored = RC_ERROR_INIT;

    (void)pthread_mutex_lock(&engines->mutex);
    engine->job = job;
    engine->is_there = true;
    (void)pthread_cond_broadcast(&engines->changed);
    while (!engines->is_over && (engine->is_taken || !rc_job_check(job, &ignored))) {
        if (engine->statement)
            serve_one(engine);
        else
            nap(engines);
    }
    engine->is_there = false;
    (void)pthread_mutex_unlock(&engines->mutex);
    rc_sql_close(job, engine->sql);
    engine->sql = NULL;
}

void egress_engines_end(struct egress_engines *engines)
{
    (void)pthread_mutex_lock(&engines->mutex);
    engines->is_over = true;
    (void)pthread_cond_broadcast(&engines->changed);
    (void)pthread_mutex_unlock(&engines->mutex);
}

/* ---- who takes it --------------------------------------------------------------------------- */

static struct egress_engine *find_free(struct egress_engines *engines)
{
    for (size_t i = 0; i < engines->count; i++)
        if (engines->items[i].is_there && !engines->items[i].is_taken)
            return &engines->items[i];
    return NULL;
}

enum rc_code egress_engine_take(struct rc_job *job, struct egress_engines *engines,
                                struct egress_engine **out, struct rc_error *err)
{
    struct egress_engine *engine = NULL;
    enum rc_code code = RC_OK;

    (void)pthread_mutex_lock(&engines->mutex);
    for (int waited_ms = 0; !code && waited_ms < PATIENCE_MS; waited_ms += NAP_MS) {
        engine = find_free(engines);
        if (engine)
            break;
        code = rc_job_check(job, err);
        nap(engines);
    }
    if (engine)
        engine->is_taken = true;
    (void)pthread_mutex_unlock(&engines->mutex);
    *out = engine;
    if (!engine && !code)
        code = rc_fail(err, RC_UNAVAILABLE, "the system gives no thread to the SQL engine");
    return code;
}

void egress_engine_begin(struct egress_engine *engine, char *statement, int output)
{
    struct egress_engines *engines = engine->engines;

    (void)pthread_mutex_lock(&engines->mutex);
    engine->statement = statement;
    engine->output = output;
    engine->is_running = true;
    (void)pthread_cond_broadcast(&engines->changed);
    (void)pthread_mutex_unlock(&engines->mutex);
}

enum rc_code egress_engine_wait(struct egress_engine *engine, int64_t *rows, struct rc_error *err)
{
    struct egress_engines *engines = engine->engines;
    enum rc_code code;

    (void)pthread_mutex_lock(&engines->mutex);
    while (engine->is_running)
        (void)pthread_cond_wait(&engines->changed, &engines->mutex);
    code = engine->code;
    if (code)
        *err = engine->err;
    *rows = engine->rows;
    (void)pthread_mutex_unlock(&engines->mutex);
    return code;
}

void egress_engine_cancel(struct egress_engine *engine)
{
    struct egress_engines *engines = engine->engines;

    (void)pthread_mutex_lock(&engines->mutex);
    if (engine->is_running && engine->sql)
        rc_sql_cancel(engine->job, engine->sql);
    (void)pthread_mutex_unlock(&engines->mutex);
}

void egress_engine_give_back(struct egress_engine *engine)
{
    struct egress_engines *engines = engine->engines;

    (void)pthread_mutex_lock(&engines->mutex);
    engine->is_taken = false;
    (void)pthread_cond_broadcast(&engines->changed);
    (void)pthread_mutex_unlock(&engines->mutex);
}
