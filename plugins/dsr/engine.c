/*
 * The sessions of the SQL engine: opened when they are first needed, lent to threads, closed at the
 * end. What is asked of them is of the engine's own file.
 */
#include "engine_internal.h"

#include <run-core/host.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { NAP_MS = 100, SESSIONS_ELSEWHERE = 2 };

/* A session with less is slow or fails; fewer sessions then have to do. */
#define SESSION_MIN_BYTES ((int64_t)128 << 20)

struct dsr_engines {
    struct rc_job *job;
    const struct dsr_config *config;
    const struct dsr_scratch *scratch;
    int64_t memory_bytes; /* of each */
    bool read_files;
    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t changed;
    bool *told; /* of each table */
    size_t count;
    struct dsr_engine items[];
};

/* ---- sessions ------------------------------------------------------------------------------- */

/* Where the settings of Athena leave something out, the seed's names count. */
static enum rc_code open_sql(struct dsr_engine *engine, struct rc_error *err)
{
    const struct dsr_config *config = engine->engines->config;
    const struct rc_sql_options options = {
        .size = sizeof(options),
        .engine = config->engine,
        .region = config->athena_region,
        .catalog = config->athena_catalog,
        .results = config->athena_results_bucket,
    };

    return rc_sql_open_with(engine->job, &options, &engine->sql, err);
}

/* How it is asked is what it can do. */
static enum rc_code choose_ops(struct dsr_engine *engine, struct rc_error *err)
{
    uint32_t features = rc_sql_features(engine->job, engine->sql);

    if (!(features & (RC_SQL_FILES | RC_SQL_SEARCH)))
        return rc_fail(err, RC_INVALID,
                       "the SQL engine neither reads files of this machine nor says which files "
                       "of a lake it found something in; name another one in 'engine'");
    engine->ops = features & RC_SQL_FILES ? &dsr_engine_duckdb : &dsr_engine_elsewhere;
    return RC_OK;
}

static enum rc_code open_session(struct dsr_engine *engine, struct rc_error *err)
{
    const struct dsr_engines *engines = engine->engines;

    if (open_sql(engine, err))
        return err->code;
    if (choose_ops(engine, err) || engine->ops->prepare(engine, engines->memory_bytes, err)) {
        rc_sql_close(engine->job, engine->sql);
        engine->sql = NULL;
        return rc_context(err, "prepare the SQL engine");
    }
    return RC_OK;
}

void dsr_engines_free(struct dsr_engines *engines)
{
    if (!engines)
        return;
    for (size_t i = 0; i < engines->count; i++)
        rc_sql_close(engines->job, engines->items[i].sql);
    (void)pthread_cond_destroy(&engines->changed);
    (void)pthread_mutex_destroy(&engines->mutex);
    free(engines->told);
    free(engines);
}

/* Half of the memory is the engine's; the rest is that of the plugin's own reader and writer. */
static size_t count_sessions(const struct dsr_config *config, size_t threads)
{
    int64_t most = config->memory_bytes / 2 / SESSION_MIN_BYTES;

    if (most < 1)
        most = 1;
    return threads < (size_t)most ? threads : (size_t)most;
}

enum rc_code dsr_engines_new(struct rc_job *job, const struct dsr_config *config,
                             const struct dsr_scratch *scratch, size_t threads,
                             struct dsr_engines **out, struct rc_error *err)
{
    size_t count = count_sessions(config, threads ? threads : 1);
    struct dsr_engines *engines =
        rc_calloc(1, sizeof(*engines) + count * sizeof(engines->items[0]));
    pthread_condattr_t attributes;

    engines->job = job;
    engines->config = config;
    engines->scratch = scratch;
    engines->memory_bytes = config->memory_bytes / 2 / (int64_t)count;
    engines->count = count;
    engines->told = rc_calloc(config->tables.len + 1, sizeof(*engines->told));
    (void)pthread_mutex_init(&engines->mutex, NULL);
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&engines->changed, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    for (size_t i = 0; i < count; i++)
        engines->items[i] = (struct dsr_engine){
            .engines = engines,
            .job = job,
            .scratch = scratch,
        };
    if (open_session(&engines->items[0], err)) {
        dsr_engines_free(engines);
        return err->code;
    }
    engines->read_files = engines->items[0].ops == &dsr_engine_duckdb;
    if (!engines->read_files && engines->count > SESSIONS_ELSEWHERE)
        engines->count = SESSIONS_ELSEWHERE;
    *out = engines;
    return RC_OK;
}

bool dsr_engines_read_files(const struct dsr_engines *engines)
{
    return engines->read_files;
}

bool dsr_engines_first_of(struct dsr_engines *engines, size_t table)
{
    bool is_first;

    (void)pthread_mutex_lock(&engines->mutex);
    is_first = !engines->told[table];
    engines->told[table] = true;
    (void)pthread_mutex_unlock(&engines->mutex);
    return is_first;
}

/* ---- lending -------------------------------------------------------------------------------- */

/* With the mutex; not for long, since nobody tells of a run that has to stop. */
static void nap(struct dsr_engines *engines)
{
    struct timespec until;

    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += NAP_MS * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    (void)pthread_cond_timedwait(&engines->changed, &engines->mutex, &until);
}

/* How much is saved by taking this one. */
static int worth(const struct dsr_engine *engine, const struct dsr_users *users)
{
    return !engine->sql ? 1 : engine->users == dsr_users_number(users) ? 3 : 2;
}

static struct dsr_engine *find_free(struct dsr_engines *engines, const struct dsr_users *users)
{
    struct dsr_engine *found = NULL;

    for (size_t i = 0; i < engines->count; i++) {
        struct dsr_engine *engine = &engines->items[i];

        if (!engine->is_lent && (!found || worth(engine, users) > worth(found, users)))
            found = engine;
    }
    return found;
}

/* What is known of users is told only once it is known: a call that fails may have changed it. */
static enum rc_code tell_users(struct dsr_engine *engine, const struct dsr_users *users,
                               struct rc_error *err)
{
    if (engine->users == dsr_users_number(users))
        return RC_OK;
    engine->users = 0;
    if (engine->ops->users(engine, users, err))
        return rc_context(err, "hand the users to the SQL engine");
    engine->users = dsr_users_number(users);
    return RC_OK;
}

enum rc_code dsr_engines_borrow(struct rc_job *job, struct dsr_engines *engines,
                                const struct dsr_users *users, struct dsr_engine **out,
                                struct rc_error *err)
{
    struct dsr_engine *engine;

    (void)pthread_mutex_lock(&engines->mutex);
    while (!(engine = find_free(engines, users)) && !rc_job_check(job, err))
        nap(engines);
    if (engine)
        engine->is_lent = true;
    (void)pthread_mutex_unlock(&engines->mutex);
    if (!engine)
        return err->code;

    if ((!engine->sql && open_session(engine, err)) || tell_users(engine, users, err)) {
        dsr_engines_give_back(engine);
        return err->code;
    }
    *out = engine;
    return RC_OK;
}

void dsr_engines_give_back(struct dsr_engine *engine)
{
    struct dsr_engines *engines = engine->engines;

    (void)pthread_mutex_lock(&engines->mutex);
    engine->is_lent = false;
    (void)pthread_cond_signal(&engines->changed);
    (void)pthread_mutex_unlock(&engines->mutex);
}

void dsr_engines_drop(struct dsr_engine **engine)
{
    if (*engine)
        dsr_engines_give_back(*engine);
    *engine = NULL;
}

/* ---- what it cannot read --------------------------------------------------------------------- */

/*
 * The engine quotes in its messages what it could not read, which may be a user's: what is between
 * the first and the last quotation mark is left out. The path, which it quotes too, says nothing.
 */
static void hide_values(char *text)
{
    char *first = strchr(text, '"'), *last = strrchr(text, '"');

    if (first && last > first + 1)
        memmove(first + 1, last, strlen(last) + 1);
}

enum rc_code dsr_engine_cannot(struct rc_job *job, enum rc_code code, const char *what,
                               struct rc_error *err)
{
    struct rc_error cause = *err, ignored = RC_ERROR_INIT;

    if (err->code == RC_TOO_LARGE || err->code == RC_CANCELLED || rc_retryable(err->code) ||
        rc_job_check(job, &ignored))
        return err->code;
    hide_values(cause.cause);
    (void)rc_fail(err, code, "%s: %s", what, cause.cause);
    return *cause.context ? rc_context(err, "%s", cause.context) : code;
}

void dsr_engine_is_no_judge(struct rc_job *job, const char *uri, const struct rc_error *why)
{
    rc_warn(job,
            "'%s': the SQL engine is no judge of it, the plugin's own reader has to do: %s%s%s",
            uri, why->context, *why->context ? ": " : "", why->cause);
    rc_job_count(job, "files_not_seen_by_engine", 1);
}

/* ---- asking --------------------------------------------------------------------------------- */

static enum rc_code cannot_look(struct dsr_engine *engine, struct rc_error *err)
{
    (void)dsr_engine_cannot(engine->job, RC_UNSUPPORTED, "it cannot read the ids", err);
    return rc_context(err, "have the SQL engine look for the users");
}

enum rc_code dsr_engine_count(struct dsr_engine *engine, const char *const *paths,
                              size_t path_count, const struct dsr_engine_columns *columns,
                              int64_t *rows, struct rc_error *err)
{
    RC_ASSERT(engine->users != 0);
    if (!engine->ops->count(engine, paths, path_count, columns, rows, err))
        return RC_OK;
    return cannot_look(engine, err);
}

enum rc_code dsr_engine_rows(struct dsr_engine *engine, const struct pq_rows *rows,
                             struct rc_error *err)
{
    if (engine->ops->rows(engine, rows, err))
        return rc_context(err, "hand the rows that go to the SQL engine");
    return RC_OK;
}

enum rc_code dsr_engine_match(struct dsr_engine *engine, const char *path,
                              const struct dsr_engine_columns *columns, int64_t *rows,
                              int64_t *matching, struct rc_error *err)
{
    RC_ASSERT(engine->users != 0);
    if (!engine->ops->match(engine, path, columns, rows, matching, err))
        return RC_OK;
    return cannot_look(engine, err);
}

enum rc_code dsr_engine_compare(struct dsr_engine *engine, const char *old_path,
                                const char *new_path, struct rc_error *err)
{
    if (engine->ops->compare(engine, old_path, new_path, err))
        return rc_context(err, "have the SQL engine compare the files");
    return RC_OK;
}

enum rc_code dsr_engine_search(struct dsr_engine *engine, const struct dsr_engine_lake *lake,
                               dsr_engine_tell *tell, void *context, struct rc_error *err)
{
    RC_ASSERT(engine->users != 0);
    if (!engine->ops->search(engine, lake, tell, context, err))
        return RC_OK;
    if (err->code == RC_UNSUPPORTED)
        hide_values(err->cause);
    return rc_context(err, "have the SQL engine search for the users");
}
