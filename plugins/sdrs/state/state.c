/*
 * Opening, transactions, and statements. What is in which table is said in schema.c, and what it
 * means in the files that are named after the tables.
 */
#include "rules.h"

#include "internal.h"

#include <run-core/str.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

enum {
    ATTEMPTS = 5, /* of a transaction that others are in the way of */
    FIRST_PAUSE_MS = 5,
    UUID_BYTES = 16,
    GROWTH = 8,
};

/* ---- life ------------------------------------------------------------------------------------ */

enum rc_code sdrs_state_open(struct rc_job *job, struct sdrs_state *out, struct rc_error *err)
{
    *out = (struct sdrs_state){ .job = job };
    (void)sdrs_now_unix_ms(job); /* from now on the run's age is counted */
    if (rc_db_open(job, sdrs_migrations, sdrs_migration_count, &out->db, err))
        return rc_context(err, "open the rules and jobs in the state database");
    return RC_OK;
}

void sdrs_state_close(struct sdrs_state *state)
{
    if (state->db)
        rc_db_close(state->job, state->db);
    if (state->rehearsed)
        sdrs_rules_clear(state->rehearsed);
    free(state->rehearsed);
    *state = (struct sdrs_state){ 0 };
}

/* ---- transactions ---------------------------------------------------------------------------- */

static enum rc_code attempt(struct sdrs_state *state, sdrs_state_fn *body, void *context,
                            struct rc_error *err)
{
    enum rc_code code;

    state->refused = false;
    if (rc_db_begin(state->job, state->db, err))
        return err->code;
    state->in_transaction = true;
    code = body(state, context, err);
    if (!code) {
        state->refused = false;
        code = rc_db_commit(state->job, state->db, err);
    }
    if (code)
        rc_db_rollback(state->job, state->db);
    state->in_transaction = false;
    return code;
}

enum rc_code sdrs_state_transact(struct sdrs_state *state, sdrs_state_fn *body, void *context,
                                 struct rc_error *err)
{
    enum rc_code code;

    if (state->in_transaction)
        return body(state, context, err);
    code = attempt(state, body, context, err);
    for (int i = 1; code == RC_CONFLICT && !state->refused && i < ATTEMPTS; i++) {
        (void)poll(NULL, 0, FIRST_PAUSE_MS << (i - 1));
        code = attempt(state, body, context, err);
    }
    return code;
}

enum rc_code sdrs_state_refuse(struct sdrs_state *state, struct rc_error *err, enum rc_code code,
                               const char *format, ...)
{
    char text[RC_ERROR_TEXT];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    state->refused = true;
    return rc_fail(err, code, "%s", text);
}

enum rc_code sdrs_state_failed(const struct sdrs_state *state, struct rc_error *err,
                               const char *format, ...)
{
    char text[RC_ERROR_TEXT];
    va_list arguments;

    if (state->refused)
        return err->code;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    return rc_context(err, "%s", text);
}

/* ---- statements ------------------------------------------------------------------------------ */

struct statement {
    const char *text;
    const struct rc_value *params;
    size_t count;
    int64_t *changed;
};

static enum rc_code exec(struct sdrs_state *state, void *context, struct rc_error *err)
{
    const struct statement *statement = context;

    return rc_db_exec(state->job, state->db, statement->text, statement->params, statement->count,
                      statement->changed, err);
}

/*
 * Always in a transaction: of one that cannot begin, as after the server was started again, it is
 * known that nothing was done, and so it is begun anew.
 *
 * Here and below: what fails in a body that goes on behind a refusal is not refused.
 */
enum rc_code sdrs_state_exec(struct sdrs_state *state, const char *statement,
                             const struct rc_value *params, size_t count, int64_t *changed,
                             struct rc_error *err)
{
    struct statement one = { statement, params, count, changed };

    state->refused = false;
    return sdrs_state_transact(state, exec, &one, err);
}

enum rc_code sdrs_state_rows(struct sdrs_state *state, const char *statement,
                             const struct rc_value *params, size_t count, sdrs_row_fn *take,
                             void *context, struct rc_error *err)
{
    const struct rc_value *row;
    RC_ROWS_AUTO(rows);

    state->refused = false;
    if (rc_db_query(state->job, state->db, statement, params, count, &rows, err))
        return err->code;
    for (;;) {
        if (rc_rows_next(rows, &row, err))
            return err->code;
        if (!row)
            return RC_OK;
        take(context, row);
    }
}

static void take_number(void *context, const struct rc_value *row)
{
    *(int64_t *)context = row[0].integer;
}

enum rc_code sdrs_state_count(struct sdrs_state *state, const char *statement,
                              const struct rc_value *params, size_t count, int64_t *out,
                              struct rc_error *err)
{
    *out = 0;
    return sdrs_state_rows(state, statement, params, count, take_number, out, err);
}

/* Looks and then writes, as a dry run, in which nothing is written, needs numbers too. */
enum rc_code sdrs_state_number(struct sdrs_state *state, const char *series, int64_t *out,
                               struct rc_error *err)
{
    struct rc_value values[] = { rc_value_text(series), rc_value_null() };

    RC_ASSERT(state->in_transaction);
    if (sdrs_state_count(state, "SELECT value FROM series WHERE name = $1", values, 1, out, err))
        return err->code;
    values[1] = rc_value_int(++*out);
    return sdrs_state_exec(state,
                           "INSERT INTO series (name, value) VALUES ($1, $2)"
                           " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                           values, RC_ARRAY_LEN(values), NULL, err);
}

/* ---- values ---------------------------------------------------------------------------------- */

struct rc_value sdrs_bytes(const char *text)
{
    return text ? rc_value_bytes(text, strlen(text)) : rc_value_null();
}

char *sdrs_owned(const struct rc_value *cell)
{
    if (cell->type == RC_VALUE_NULL)
        return NULL;
    return rc_strndup(cell->len > 0 ? cell->text : "", cell->len);
}

void sdrs_set(char **text, const char *to)
{
    char *copy = rc_strdup(to);

    free(*text);
    *text = copy;
}

void *sdrs_grown(void *items, size_t count, size_t size)
{
    if (count == 0)
        items = rc_realloc(items, GROWTH * size);
    else if (count >= GROWTH && (count & (count - 1)) == 0)
        items = rc_realloc(items, 2 * count * size);
    memset((char *)items + count * size, 0, size);
    return items;
}

size_t sdrs_place_of(const char *const *names, size_t count, const char *name)
{
    size_t i = 0;

    while (i + 1 < count && !rc_str_eq(names[i], name))
        i++;
    return i;
}

/* RFC 9562, section 5.4. */
enum rc_code sdrs_uuid_make(char out[SDRS_UUID_TEXT], struct rc_error *err)
{
    uint8_t bytes[UUID_BYTES];
    size_t len = 0;
    ssize_t got;

    do
        got = getrandom(bytes, sizeof(bytes), 0);
    while (got < 0 && errno == EINTR);
    /* So few bytes come all at once or not at all. */
    if (got != (ssize_t)sizeof(bytes))
        return rc_fail(err, RC_FAILED, "the system gives no random bytes for a UUID");
    bytes[6] = (uint8_t)((bytes[6] & 0x0fu) | 0x40u);
    bytes[8] = (uint8_t)((bytes[8] & 0x3fu) | 0x80u);
    for (size_t i = 0; i < UUID_BYTES; i++) {
        const char *dash = i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "";

        len += (size_t)snprintf(out + len, SDRS_UUID_TEXT - len, "%s%02x", dash, bytes[i]);
    }
    return RC_OK;
}

/* ---- the time -------------------------------------------------------------------------------- */

static int64_t mono_ms(void)
{
    struct timespec now = { 0 };

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/*
 * A run has one time, which does not move; a server gives each request one of its own. So of each
 * time that is new in this process the moment is kept at which it was.
 */
int64_t sdrs_now_unix_ms(struct rc_job *job)
{
    static struct {
        pthread_mutex_t mutex;
        int64_t now_unix_ms, then_mono_ms;
    } seen = { .mutex = PTHREAD_MUTEX_INITIALIZER, .now_unix_ms = INT64_MIN };
    int64_t age_ms;

    (void)pthread_mutex_lock(&seen.mutex);
    if (seen.now_unix_ms != job->now_unix_ms) {
        seen.now_unix_ms = job->now_unix_ms;
        seen.then_mono_ms = mono_ms();
    }
    age_ms = mono_ms() - seen.then_mono_ms;
    (void)pthread_mutex_unlock(&seen.mutex);
    return job->now_unix_ms + age_ms;
}
