/*
 * Copies a table into folders on several connections at once, and still writes the same bytes each
 * time.
 *
 * Left to itself, DuckDB shares the rows of such a copy out among its threads and mixes them in
 * each folder. So each statement here copies a piece of the table that holds whole folders, on one
 * thread, and several statements run at a time. The pieces depend on the rows alone. This takes a
 * table whose rows stand folder by folder; for others the caller has another way.
 */
#include <sql/duckdb_session.h>

#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>

enum {
    /*
     * Large enough that a statement's own costs do not count, small enough to keep all threads
     * busy.
     */
    PIECE_ROWS = 64 * 1024,
    PIECE_FOLDERS = 100, /* DuckDB's limit of folders that it fills at a time */
};

struct piece {
    int64_t first, last; /* row numbers */
};

struct copying {
    struct core_duckdb_session *session;
    const struct core_duckdb_copy *copy;
    struct piece *pieces;
    size_t piece_count;

    pthread_mutex_t mutex; /* guards the following */
    size_t next;
    enum rc_code code; /* with the first error */
    struct rc_error *err;
};

struct helper {
    struct copying *copying;
    struct duckdb_connection *connection;
    pthread_t thread;
    bool started;
};

/* ---- the pieces ----------------------------------------------------------------------------- */

static void add_piece(struct copying *work, int64_t first, int64_t last)
{
    /* Grown by doubling, where the count is a power of two. */
    if ((work->piece_count & (work->piece_count - 1)) == 0)
        work->pieces = rc_realloc(work->pieces, (work->piece_count ? 2 * work->piece_count : 1) *
                                                    sizeof(*work->pieces));
    work->pieces[work->piece_count++] = (struct piece){ first, last };
}

/* Cuts the table behind folders; *together is false where the rows of one are not. */
static enum rc_code cut(struct copying *work, bool *together, struct rc_error *err)
{
    RC_BUF_AUTO(sql, 64 * 1024);
    RC_ROWS_AUTO(rows);
    const struct rc_value *row = NULL;
    struct piece piece = { 0, -1 };
    int64_t folders = 0;

    *together = true;
    rc_buf_addf(&sql,
                "SELECT min(rowid), max(rowid), count(*) FROM %s GROUP BY %s ORDER BY min(rowid)",
                work->copy->table, work->copy->partitions);
    if (rc_buf_check(&sql, err) ||
        core_duckdb_query(&work->session->base, sql.data, NULL, 0, &rows, err))
        return err->code;
    for (;;) {
        if (rc_rows_next(rows, &row, err))
            return err->code;
        if (!row)
            break;
        if (row[1].integer - row[0].integer + 1 != row[2].integer) {
            *together = false;
            return RC_OK;
        }
        piece.last = row[1].integer;
        if (++folders == PIECE_FOLDERS || piece.last - piece.first + 1 >= PIECE_ROWS) {
            add_piece(work, piece.first, piece.last);
            piece.first = piece.last + 1;
            folders = 0;
        }
    }
    if (folders > 0)
        add_piece(work, piece.first, piece.last);
    return RC_OK;
}

/* ---- the statements ------------------------------------------------------------------------- */

/*
 * Counting rows as they come is what DuckDB does on one thread only, whatever number it has; and
 * the condition on the count keeps it from leaving the count out.
 */
static void add_statement(struct rc_buf *out, const struct core_duckdb_copy *copy,
                          const struct piece *piece)
{
    rc_buf_addf(out,
                "COPY (SELECT * EXCLUDE (\"run-core row\") FROM "
                "(SELECT *, row_number() OVER () AS \"run-core row\" FROM %s "
                "WHERE rowid BETWEEN %" PRId64 " AND %" PRId64 ") WHERE \"run-core row\" > 0) TO ",
                copy->table, piece->first, piece->last);
    rc_buf_add_literal(out, copy->path);
    rc_buf_addf(out, "%s, OVERWRITE_OR_IGNORE)", copy->options);
}

static enum rc_code copy_piece(struct copying *work, struct duckdb_connection *connection,
                               const struct piece *piece, struct rc_error *err)
{
    RC_BUF_AUTO(sql, 64 * 1024);

    add_statement(&sql, work->copy, piece);
    if (rc_buf_check(&sql, err))
        return err->code;
    return core_duckdb_run_on(work->session, connection, sql.data, err);
}

static bool take_piece(struct copying *work, const struct piece **out)
{
    bool taken;

    pthread_mutex_lock(&work->mutex);
    taken = !work->code && work->next < work->piece_count;
    if (taken)
        *out = &work->pieces[work->next++];
    pthread_mutex_unlock(&work->mutex);
    return taken;
}

static void note_failure(struct copying *work, const struct rc_error *err)
{
    pthread_mutex_lock(&work->mutex);
    if (!work->code) {
        work->code = err->code;
        *work->err = *err;
    }
    pthread_mutex_unlock(&work->mutex);
}

static void copy_pieces(struct copying *work, struct duckdb_connection *connection)
{
    const struct piece *piece = NULL;
    struct rc_error err = RC_ERROR_INIT;

    while (take_piece(work, &piece))
        if (copy_piece(work, connection, piece, &err))
            note_failure(work, &err);
}

/* ---- the threads ---------------------------------------------------------------------------- */

static void *help(void *argument)
{
    struct helper *helper = argument;

    copy_pieces(helper->copying, helper->connection);
    return NULL;
}

/* In a transaction that the plugin has begun, no other connection sees the table. */
static bool sees_table(struct helper *helper)
{
    struct core_duckdb_session *session = helper->copying->session;
    RC_BUF_AUTO(sql, 1024);
    struct rc_error ignored = RC_ERROR_INIT;

    rc_buf_addf(&sql, "SELECT 1 FROM %s LIMIT 0", helper->copying->copy->table);
    return core_duckdb_run_on(session, helper->connection, sql.data, &ignored) == RC_OK;
}

/* A helper that cannot be had only makes the copy slower. */
static void start_helper(struct helper *helper, struct copying *work)
{
    struct core_duckdb_session *session = work->session;
    sigset_t all, before;

    helper->copying = work;
    if (session->api->connect(session->database, &helper->connection) || !sees_table(helper))
        return;
    core_duckdb_add_helper(session, helper->connection);
    /* Signals are for the run's own threads. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    helper->started = pthread_create(&helper->thread, NULL, help, helper) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void copy_all(struct copying *work)
{
    struct core_duckdb_session *session = work->session;
    size_t count = work->piece_count - 1;
    struct helper helpers[CORE_DUCKDB_HELPERS] = { { .copying = NULL } };

    if (count > (size_t)session->threads - 1)
        count = (size_t)session->threads - 1;
    if (count > CORE_DUCKDB_HELPERS)
        count = CORE_DUCKDB_HELPERS;
    for (size_t i = 0; i < count; i++)
        start_helper(&helpers[i], work);
    copy_pieces(work, session->connection);
    for (size_t i = 0; i < count; i++)
        if (helpers[i].started)
            pthread_join(helpers[i].thread, NULL);
    core_duckdb_forget_helpers(session);
    for (size_t i = 0; i < count; i++)
        session->api->disconnect(&helpers[i].connection);
}

enum rc_code core_duckdb_copy_folders(struct core_duckdb_session *session,
                                      const struct core_duckdb_copy *copy, bool *done,
                                      struct rc_error *err)
{
    struct copying work = { .session = session, .copy = copy, .err = err };
    enum rc_code code = cut(&work, done, err);

    if (!code && *done && work.piece_count > 0) {
        code = core_duckdb_begin(session, err);
        if (!code) {
            pthread_mutex_init(&work.mutex, NULL);
            copy_all(&work);
            pthread_mutex_destroy(&work.mutex);
            core_duckdb_end(session);
            code = work.code;
        }
    }
    free(work.pieces);
    return code;
}
