/*
 * The table that a query's rows become before its files are put in place. A server writes into so
 * many partitions in one statement and not into more: then the rows are kept in a table without
 * partitions first, and go on from there in chunks of as many as it takes.
 */
#include <sql/presto.h>

#include <run-core/str.h>

#include <stdlib.h>

enum { CONDITION_LIMIT = 64 * 1024 };

/* The partitions that the rows fall into, each as the condition for its rows. */
struct partitions {
    char **conditions;
    size_t count;
};

void core_presto_add_columns(struct rc_buf *out, char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        rc_buf_adds(out, i ? ", " : "");
        rc_buf_add_ident(out, names[i]);
    }
}

static enum rc_code make(struct core_presto *session, const struct core_presto_output *output,
                         const struct core_presto_name *name, const char *query, bool final,
                         struct rc_buf *text, int64_t *rows, struct rc_error *err)
{
    const struct core_presto_made made = {
        .query = query,
        .format = "parquet",
        .compression = output->compression,
        .partition_by = final ? output->partition_by : NULL,
        .partition_count = final ? output->partition_count : 0,
        .in_place = final,
    };

    return core_presto_run_make(session, name, &made, text, rows, err);
}

/* The query with its columns in the order of the files. */
static void add_query(struct rc_buf *out, const struct core_presto_output *output)
{
    if (!output->columns) {
        rc_buf_adds(out, output->query);
        return;
    }
    rc_buf_adds(out, "SELECT ");
    core_presto_add_columns(out, output->columns, output->column_count);
    rc_buf_addf(out, " FROM (\n%s\n) AS q", output->query);
}

enum rc_code core_presto_make_output(struct core_presto *session,
                                     const struct core_presto_output *output,
                                     const struct core_presto_name *name, int64_t *rows,
                                     bool *too_many, struct rc_error *err)
{
    RC_BUF_AUTO(query, CORE_PRESTO_STATEMENT_LIMIT);
    RC_BUF_AUTO(text, CORE_PRESTO_STATEMENT_LIMIT);
    enum rc_code code;

    *too_many = false;
    add_query(&query, output);
    if (rc_buf_check(&query, err))
        return err->code;
    code = make(session, output, name, query.data, /* final = */ true, &text, rows, err);
    /* A statement that is too long itself has the same code. */
    *too_many = code == RC_TOO_LARGE && output->partition_count > 0 && !text.overflow &&
                text.len <= session->dialect->statement_limit_bytes;
    return code;
}

/* ---- chunks --------------------------------------------------------------------------------- */

static void add_condition(struct partitions *partitions, char *condition)
{
    /* Grown by doubling, where the count is a power of two. */
    if ((partitions->count & (partitions->count - 1)) == 0)
        partitions->conditions =
            rc_realloc(partitions->conditions, (partitions->count ? 2 * partitions->count : 1) *
                                                   sizeof(*partitions->conditions));
    partitions->conditions[partitions->count++] = condition;
}

static void partitions_clear(struct partitions *partitions)
{
    for (size_t i = 0; i < partitions->count; i++)
        free(partitions->conditions[i]);
    free(partitions->conditions);
}

static void add_as_text(struct rc_buf *out, const char *column)
{
    rc_buf_adds(out, "CAST(");
    rc_buf_add_ident(out, column);
    rc_buf_adds(out, " AS varchar)");
}

/* Values are compared as the texts that they are asked for as, whatever their types are. */
static enum rc_code read_partition(const struct core_presto_output *output,
                                   const struct rc_value *row, struct partitions *out,
                                   struct rc_error *err)
{
    RC_BUF_AUTO(condition, CONDITION_LIMIT);

    rc_buf_addc(&condition, '(');
    for (size_t i = 0; i < output->partition_count; i++) {
        rc_buf_adds(&condition, i ? " AND " : "");
        add_as_text(&condition, output->partition_by[i]);
        if (row[i].type == RC_VALUE_NULL) {
            rc_buf_adds(&condition, " IS NULL");
        } else {
            rc_buf_adds(&condition, " = ");
            rc_buf_add_literal(&condition, row[i].text ? row[i].text : "");
        }
    }
    rc_buf_addc(&condition, ')');
    if (rc_buf_check(&condition, err))
        return rc_context(err, "read the values of a partition");
    add_condition(out, rc_buf_take(&condition));
    return RC_OK;
}

static enum rc_code find_partitions(struct core_presto *session,
                                    const struct core_presto_output *output, const char *from,
                                    struct partitions *out, struct rc_error *err)
{
    RC_BUF_AUTO(text, CORE_PRESTO_STATEMENT_LIMIT);
    const struct rc_value *row = NULL;
    RC_ROWS_AUTO(rows);

    rc_buf_adds(&text, "SELECT DISTINCT ");
    for (size_t i = 0; i < output->partition_count; i++) {
        rc_buf_adds(&text, i ? ", " : "");
        add_as_text(&text, output->partition_by[i]);
        rc_buf_addf(&text, " AS p%zu", i);
    }
    rc_buf_addf(&text, " FROM %s ORDER BY ", from);
    for (size_t i = 0; i < output->partition_count; i++)
        rc_buf_addf(&text, "%sp%zu", i ? ", " : "", i);
    if (core_presto_ask(session, &text, &rows, err))
        return err->code;
    for (;;) {
        if (rc_rows_next(rows, &row, err))
            return err->code;
        if (!row)
            return RC_OK;
        if (read_partition(output, row, out, err))
            return err->code;
    }
}

/*
 * The rows of the partitions from *at on, as many as a statement takes; *at moves behind them. Half
 * of the statement is left to what else is in it.
 */
static void add_chunk(struct core_presto *session, const struct core_presto_output *output,
                      const char *from, const struct partitions *partitions, size_t *at,
                      struct rc_buf *out)
{
    size_t end = *at + session->dialect->partitions_at_once;

    rc_buf_adds(out, "SELECT ");
    core_presto_add_columns(out, output->columns, output->column_count);
    rc_buf_addf(out, " FROM %s WHERE ", from);
    for (size_t first = *at; *at < partitions->count && *at < end; ++*at) {
        if (*at > first && out->len > session->dialect->statement_limit_bytes / 2)
            break;
        rc_buf_adds(out, *at > first ? " OR " : "");
        rc_buf_adds(out, partitions->conditions[*at]);
    }
}

static enum rc_code write_chunk(struct core_presto *session,
                                const struct core_presto_output *output,
                                const struct core_presto_name *name, const struct rc_buf *query,
                                bool first, int64_t *rows, struct rc_error *err)
{
    RC_BUF_AUTO(text, CORE_PRESTO_STATEMENT_LIMIT);

    if (rc_buf_check(query, err))
        return err->code;
    if (first)
        return make(session, output, name, query->data, /* final = */ true, &text, rows, err);
    *rows = -1;
    rc_buf_addf(&text, "INSERT INTO %s %s", name->from, query->data);
    return core_presto_run(session, CORE_PRESTO_DML, &text, rows, err);
}

static enum rc_code write_chunks(struct core_presto *session,
                                 const struct core_presto_output *output, const char *from,
                                 const struct partitions *partitions,
                                 const struct core_presto_name *name, int64_t *rows,
                                 struct rc_error *err)
{
    *rows = 0;
    for (size_t at = 0; at < partitions->count;) {
        RC_BUF_AUTO(query, CORE_PRESTO_STATEMENT_LIMIT);
        bool first = at == 0;
        int64_t updated;

        add_chunk(session, output, from, partitions, &at, &query);
        if (write_chunk(session, output, name, &query, first, &updated, err))
            return rc_context(err, "write the partitions up to %zu of %zu", at, partitions->count);
        *rows = *rows < 0 || updated < 0 ? -1 : *rows + updated;
    }
    return RC_OK;
}

static enum rc_code make_chunks(struct core_presto *session,
                                const struct core_presto_output *output,
                                const struct core_presto_name *whole,
                                const struct core_presto_name *name, int64_t *rows,
                                struct rc_error *err)
{
    RC_CLEANUP(partitions_clear) struct partitions partitions = { .count = 0 };
    RC_BUF_AUTO(query, CORE_PRESTO_STATEMENT_LIMIT);
    RC_BUF_AUTO(text, CORE_PRESTO_STATEMENT_LIMIT);
    int64_t kept = -1;

    add_query(&query, output);
    if (rc_buf_check(&query, err) || make(session, output, whole, query.data,
                                          /* final = */ false, &text, &kept, err))
        return rc_context(err, "keep the rows for chunks of partitions");
    if (find_partitions(session, output, whole->from, &partitions, err) ||
        write_chunks(session, output, whole->from, &partitions, name, rows, err))
        return err->code;
    if (kept >= 0 && *rows >= 0 && *rows != kept)
        return rc_fail(err, RC_CORRUPT,
                       "the server wrote %lld rows in chunks of the %lld that it had kept",
                       (long long)*rows, (long long)kept);
    if (*rows < 0)
        *rows = kept;
    return RC_OK;
}

enum rc_code core_presto_make_chunks(struct core_presto *session,
                                     const struct core_presto_output *output,
                                     const struct core_presto_name *name, int64_t *rows,
                                     struct rc_error *err)
{
    struct core_presto_table *whole = core_presto_new_table(session, "rows");
    enum rc_code code = make_chunks(session, output, &whole->names[0], name, rows, err);

    core_presto_discard(session, whole);
    return code;
}
