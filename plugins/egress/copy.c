/*
 * One COPY, from the statement to the server's word that it is complete. What the bytes mean is no
 * business of this file.
 */
#include "copy.h"

#include <stdlib.h>
#include <string.h>

static const char what[] = "copy";

struct egress_copy {
    struct egress_database *database;
    char *row; /* of libpq; NULL: the next is to be taken */
    size_t row_len, row_at;
    int64_t rows;
    bool is_over;     /* the connection has nothing more of it */
    bool is_complete; /* and the server has confirmed it */
};

/* The error of the statement, behind which the connection may be used again. */
static enum rc_code fail(struct egress_copy *copy, PGresult *result, struct rc_error *err)
{
    struct rc_error ignored;

    (void)egress_database_fail(copy->database, result, what, err);
    do {
        PQclear(result);
    } while (egress_database_result(copy->database, &result, &ignored) == RC_OK && result);
    copy->is_over = true;
    return err->code;
}

/* The end of the statement in the protocol, behind its result. */
static enum rc_code expect_end(struct egress_copy *copy, struct rc_error *err)
{
    PGresult *result;

    if (egress_database_result(copy->database, &result, err))
        return rc_context(err, "%s in %s", what, copy->database->place);
    if (result)
        return fail(copy, result, err);
    copy->is_over = copy->is_complete = true;
    return RC_OK;
}

/*
 * Only the result that stands behind the rows says whether they were all: an error and the end of
 * the rows look alike before.
 */
static enum rc_code finish(struct egress_copy *copy, struct rc_error *err)
{
    PGresult *result;

    if (egress_database_result(copy->database, &result, err))
        return rc_context(err, "%s in %s", what, copy->database->place);
    if (!result || PQresultStatus(result) != PGRES_COMMAND_OK)
        return fail(copy, result, err);
    bool is_counted = rc_parse_int(PQcmdTuples(result), &copy->rows);

    PQclear(result);
    if (!is_counted)
        return rc_fail(err, RC_FAILED, "%s: the server did not say how many rows it has copied",
                       copy->database->place);
    return expect_end(copy, err);
}

/* copy->row NULL afterwards: this was the end. What has come is looked at before a wait. */
static enum rc_code next_row(struct egress_copy *copy, struct rc_error *err)
{
    PGconn *connection = copy->database->connection;
    bool has_looked = false;
    int len;

    copy->row_at = 0;
    while ((len = PQgetCopyData(connection, &copy->row, /* async = */ 1)) == 0) {
        if ((has_looked && egress_database_wait(copy->database, err)) ||
            egress_database_take(copy->database, err))
            return rc_context(err, "%s in %s", what, copy->database->place);
        if (PQstatus(connection) != CONNECTION_OK)
            return egress_database_fail(copy->database, NULL, what, err);
        has_looked = !has_looked;
    }
    if (len > 0) {
        copy->row_len = (size_t)len;
        return RC_OK;
    }
    copy->row = NULL;
    return len == -2 ? egress_database_fail(copy->database, NULL, what, err) : finish(copy, err);
}

enum rc_code egress_copy_read(struct egress_copy *copy, void *data, size_t capacity, size_t *len,
                              struct rc_error *err)
{
    char *out = data;

    *len = 0;
    RC_ASSERT(!copy->is_over || copy->is_complete);
    while (*len < capacity && !copy->is_complete) {
        if (!copy->row && next_row(copy, err))
            return err->code;
        if (!copy->row)
            break;
        size_t here = copy->row_len - copy->row_at;

        if (here > capacity - *len)
            here = capacity - *len;
        memcpy(out + *len, copy->row + copy->row_at, here);
        *len += here;
        copy->row_at += here;
        if (copy->row_at == copy->row_len) {
            PQfreemem(copy->row);
            copy->row = NULL;
        }
    }
    return RC_OK;
}

int64_t egress_copy_rows(const struct egress_copy *copy)
{
    return copy->rows;
}

/* The statement waits for locks before it says that rows will come. */
static enum rc_code begin(struct egress_copy *copy, const char *sql, struct rc_error *err)
{
    struct egress_database *database = copy->database;
    PGresult *result;

    database->is_cancelled = false;
    if (rc_job_check(database->job, err))
        return rc_context(err, "%s in %s", what, database->place);
    if (!PQsendQuery(database->connection, sql))
        return egress_database_fail(database, NULL, what, err);
    if (egress_database_result(database, &result, err))
        return rc_context(err, "%s in %s", what, database->place);
    if (PQresultStatus(result) == PGRES_COPY_OUT) {
        PQclear(result);
        return RC_OK;
    }
    if (!result || PQresultStatus(result) == PGRES_FATAL_ERROR)
        return fail(copy, result, err);
    PQclear(result);
    return rc_fail(err, RC_FAILED, "this is no COPY ... TO STDOUT: %s", sql);
}

enum rc_code egress_copy_open(struct egress_database *database, const char *sql,
                              struct egress_copy **out, struct rc_error *err)
{
    struct egress_copy *copy = rc_calloc(1, sizeof(*copy));

    *out = NULL;
    copy->database = database;
    if (begin(copy, sql, err)) {
        egress_copy_close(copy);
        return err->code;
    }
    *out = copy;
    return RC_OK;
}

void egress_copy_close(struct egress_copy *copy)
{
    if (!copy)
        return;
    PQfreemem(copy->row);
    if (!copy->is_over)
        egress_database_abandon(copy->database);
    free(copy);
}
