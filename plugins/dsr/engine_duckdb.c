/*
 * An engine that reads files of this process by their descriptors, and ids from a file without a
 * name. Only the embedded one does, DuckDB, and these statements are its own.
 *
 * A session has one thread, since files are worked on beside one another; and rows then come in the
 * order of the file.
 */
#include "engine_internal.h"

#include <run-core/host.h>

#include <stdlib.h>
#include <string.h>

enum { STATEMENT_LIMIT = 4 << 20, SUMMARY_TEXT = 80 };

#define ALL_VALUES "*COLUMNS(*)"

static enum rc_code prepare(struct dsr_engine *engine, int64_t memory_bytes, struct rc_error *err)
{
    RC_STR_AUTO limit = rc_strf("SET memory_limit = '%lldB'", (long long)memory_bytes);
    /* A descriptor's path is that of one file now and of another one a moment later. */
    const char *const settings[] = { "SET threads = 1", "SET enable_progress_bar = false",
                                     "SET enable_external_file_cache = false", limit };

    for (size_t i = 0; i < RC_ARRAY_LEN(settings); i++)
        if (rc_sql_exec(engine->job, engine->sql, settings[i], NULL, 0, NULL, err))
            return err->code;
    return RC_OK;
}

/* ---- statements ----------------------------------------------------------------------------- */

static enum rc_code exec(struct dsr_engine *engine, const struct rc_buf *statement,
                         struct rc_error *err)
{
    if (rc_buf_check(statement, err))
        return err->code;
    return rc_sql_exec(engine->job, engine->sql, statement->data, NULL, 0, NULL, err);
}

/* The first row of a query, which has to have one. */
static enum rc_code query_row(struct dsr_engine *engine, const struct rc_buf *statement,
                              struct rc_rows **rows, const struct rc_value **row,
                              struct rc_error *err)
{
    if (rc_buf_check(statement, err) ||
        rc_sql_query(engine->job, engine->sql, statement->data, NULL, 0, rows, err) ||
        rc_rows_next(*rows, row, err))
        return err->code;
    return *row ? RC_OK : rc_fail(err, RC_FAILED, "the SQL engine gave no answer");
}

/* Makes a table of the lines that 'write' puts into a file without a name. */
static enum rc_code
load(struct dsr_engine *engine, const char *table, const char *values, const char *columns,
     enum rc_code (*write)(const void *what, const struct pq_sink *sink, struct rc_error *err),
     const void *what, struct rc_error *err)
{
    RC_BUF_AUTO(statement, STATEMENT_LIMIT);
    struct dsr_scratch_file file;
    struct pq_sink sink;
    enum rc_code code;

    if (dsr_scratch_open(engine->job, engine->scratch, &file, err))
        return err->code;
    sink = dsr_scratch_sink(&file);
    code = write(what, &sink, err);
    if (!code) {
        rc_buf_addf(&statement, "CREATE OR REPLACE TEMP TABLE %s AS SELECT %s FROM read_csv(",
                    table, values);
        rc_buf_add_literal(&statement, file.path);
        rc_buf_addf(&statement,
                    ", auto_detect = false, header = false, delim = ',', quote = '', escape = '', "
                    "new_line = '\\n', columns = {%s})",
                    columns);
        code = exec(engine, &statement, err);
    }
    dsr_scratch_close(&file);
    return code;
}

/* ---- users ---------------------------------------------------------------------------------- */

static enum rc_code write_users(const void *what, const struct pq_sink *sink, struct rc_error *err)
{
    return dsr_engine_write_users(what, sink, err);
}

static enum rc_code load_users(struct dsr_engine *engine, const struct dsr_users *users,
                               struct rc_error *err)
{
    return load(engine, "users",
                "unhex(id) AS id, number, unhex(uuid) AS uuid, unhex(lowered) AS lowered",
                "'id': 'VARCHAR', 'number': 'HUGEINT', 'uuid': 'VARCHAR', 'lowered': 'VARCHAR'",
                write_users, users, err);
}

/*
 * The column at the top of a leaf, as 'c' and its place in the file: names may differ by case
 * alone, which the engine does not tell apart.
 */
static size_t place_of(const struct dsr_engine_columns *columns, size_t which)
{
    const struct pq_column *leaf = columns->columns[which];
    size_t place = 0;

    for (size_t i = 0; i < columns->count; i++) {
        const struct pq_column *other = columns->columns[i];
        bool is_first = other < leaf && strcmp(other->names[0], leaf->names[0]) != 0;

        for (size_t k = 0; is_first && k < columns->count; k++)
            is_first = columns->columns[k] >= other ||
                       strcmp(columns->columns[k]->names[0], other->names[0]) != 0;
        place += is_first;
    }
    return place;
}

static void add_leaf(struct rc_buf *out, const struct dsr_engine_columns *columns, size_t which)
{
    const struct pq_column *leaf = columns->columns[which];

    rc_buf_addf(out, "c%zu", place_of(columns, which));
    for (size_t i = 1; i < leaf->depth; i++) {
        rc_buf_addc(out, '[');
        rc_buf_add_literal(out, leaf->names[i]);
        rc_buf_addc(out, ']');
    }
}

/* The whole number that a column without its annotation holds. */
static void add_number(struct rc_buf *out, const struct dsr_engine_columns *columns, size_t which)
{
    const struct pq_column *leaf = columns->columns[which];

    if (leaf->is_signed) {
        rc_buf_adds(out, "CAST(");
        add_leaf(out, columns, which);
        rc_buf_adds(out, " AS BIGINT)");
    } else if (leaf->type == PQ_INT32) {
        rc_buf_adds(out, "(CAST(");
        add_leaf(out, columns, which);
        rc_buf_adds(out, " AS BIGINT) & 4294967295)");
    } else {
        rc_buf_adds(out, "(CAST(");
        add_leaf(out, columns, which);
        rc_buf_adds(out, " AS HUGEINT) + CASE WHEN ");
        add_leaf(out, columns, which);
        rc_buf_adds(out, " < 0 THEN 18446744073709551616::HUGEINT ELSE 0::HUGEINT END)");
    }
}

/* The text of a part of an id, as bytes. */
static void add_text(struct rc_buf *out, const struct dsr_engine_columns *columns, size_t which)
{
    static const char *const pieces[] = { "1, 8", "9, 4", "13, 4", "17, 4", "21, 12" };

    switch (columns->columns[which]->meaning) {
    case PQ_MEANS_INTEGER:
        rc_buf_adds(out, "encode(CAST(");
        add_number(out, columns, which);
        rc_buf_adds(out, " AS VARCHAR))");
        return;
    case PQ_MEANS_UUID:
        rc_buf_adds(out, "encode(concat_ws('-'");
        for (size_t i = 0; i < RC_ARRAY_LEN(pieces); i++) {
            rc_buf_adds(out, ", substr(lower(hex(");
            add_leaf(out, columns, which);
            rc_buf_addf(out, ")), %s)", pieces[i]);
        }
        rc_buf_adds(out, "))");
        return;
    case PQ_MEANS_BYTES:
    case PQ_MEANS_OTHER:
        add_leaf(out, columns, which);
        return;
    }
}

/* Whether one column alone holds an id. */
static void add_is_user(struct rc_buf *out, const struct dsr_engine_columns *columns, size_t which)
{
    const struct pq_column *leaf = columns->columns[which];

    switch (leaf->meaning) {
    case PQ_MEANS_INTEGER:
        add_number(out, columns, which);
        if (leaf->is_signed || leaf->type == PQ_INT32)
            rc_buf_adds(out, " IN (SELECT CAST(number AS BIGINT) FROM users WHERE number BETWEEN "
                             "-9223372036854775808 AND 9223372036854775807)");
        else
            rc_buf_adds(out, " IN (SELECT number FROM users WHERE number IS NOT NULL)");
        return;
    case PQ_MEANS_UUID:
        add_leaf(out, columns, which);
        rc_buf_adds(out, " IN (SELECT uuid FROM users WHERE uuid IS NOT NULL)");
        return;
    case PQ_MEANS_BYTES:
    case PQ_MEANS_OTHER:
        add_leaf(out, columns, which);
        rc_buf_adds(out, " IN (SELECT id FROM users)");
        return;
    }
}

static void add_hex_literal(struct rc_buf *out, const char *text)
{
    rc_buf_adds(out, "unhex('");
    for (; *text; text++)
        rc_buf_addf(out, "%02x", (unsigned)(unsigned char)*text);
    rc_buf_adds(out, "')");
}

static void add_condition(struct rc_buf *out, const struct dsr_engine_columns *columns)
{
    bool has_uuid = false;

    if (!columns->separator || columns->count == 1) {
        for (size_t i = 0; i < columns->count; i++) {
            rc_buf_adds(out, i ? " OR " : "");
            add_is_user(out, columns, i);
        }
        return;
    }
    for (size_t i = 0; i < columns->count; i++) {
        if (i) {
            rc_buf_adds(out, " || ");
            add_hex_literal(out, columns->separator);
            rc_buf_adds(out, " || ");
        }
        add_text(out, columns, i);
        has_uuid |= columns->columns[i]->meaning == PQ_MEANS_UUID;
    }
    rc_buf_adds(out, " IN (SELECT id FROM users");
    if (has_uuid)
        rc_buf_adds(out, " UNION ALL SELECT lowered FROM users WHERE lowered IS NOT NULL");
    rc_buf_addc(out, ')');
}

static size_t count_places(const struct dsr_engine_columns *columns)
{
    size_t count = 0;

    for (size_t i = 0; i < columns->count; i++) {
        size_t place = place_of(columns, i);
        count = place >= count ? place + 1 : count;
    }
    return count;
}

/* A number of the first row. */
static enum rc_code number(const struct rc_value *value, int64_t *out, struct rc_error *err)
{
    if (value->type != RC_VALUE_INT)
        return rc_fail(err, RC_FAILED, "the SQL engine gave no number of rows");
    *out = value->integer;
    return RC_OK;
}

/* Files of the id columns alone, under names of their own. */
static void add_ids(struct rc_buf *out, const char *const *paths, size_t path_count,
                    const struct dsr_engine_columns *columns)
{
    size_t places = count_places(columns);

    rc_buf_adds(out, "read_parquet([");
    for (size_t i = 0; i < path_count; i++) {
        rc_buf_adds(out, i ? ", " : "");
        rc_buf_add_literal(out, paths[i]);
    }
    rc_buf_adds(out, "]) AS ids(");
    for (size_t i = 0; i < places; i++)
        rc_buf_addf(out, "%sc%zu", i ? ", " : "", i);
    rc_buf_addc(out, ')');
}

static enum rc_code count_rows(struct dsr_engine *engine, const char *const *paths,
                               size_t path_count, const struct dsr_engine_columns *columns,
                               int64_t *rows, struct rc_error *err)
{
    RC_BUF_AUTO(statement, STATEMENT_LIMIT);
    const struct rc_value *row;
    RC_ROWS_AUTO(answer);

    rc_buf_adds(&statement, "SELECT count(*) AS users_rows FROM ");
    add_ids(&statement, paths, path_count, columns);
    rc_buf_adds(&statement, " WHERE ");
    add_condition(&statement, columns);
    if (query_row(engine, &statement, &answer, &row, err))
        return err->code;
    return number(&row[0], rows, err);
}

/* ---- rows ----------------------------------------------------------------------------------- */

static enum rc_code write_gone(const void *what, const struct pq_sink *sink, struct rc_error *err)
{
    return dsr_engine_write_rows(what, sink, err);
}

/* Rows are numbered from 0 in the file, from 1 by the engine. */
static enum rc_code load_rows(struct dsr_engine *engine, const struct pq_rows *rows,
                              struct rc_error *err)
{
    return load(engine, "gone", "n + 1 AS n", "'n': 'BIGINT'", write_gone, rows, err);
}

static enum rc_code match_rows(struct dsr_engine *engine, const char *path,
                               const struct dsr_engine_columns *columns, int64_t *rows,
                               int64_t *matching, struct rc_error *err)
{
    RC_BUF_AUTO(statement, STATEMENT_LIMIT);
    const struct rc_value *row;
    RC_ROWS_AUTO(answer);

    rc_buf_adds(&statement, "SELECT count(*) AS users_rows, count(gone.n) AS gone_rows FROM "
                            "(SELECT row_number() OVER () AS p, (");
    add_condition(&statement, columns);
    rc_buf_adds(&statement, ") AS is_user FROM ");
    add_ids(&statement, &path, 1, columns);
    rc_buf_adds(&statement, ") AS f LEFT JOIN gone ON f.p = gone.n WHERE f.is_user");
    if (query_row(engine, &statement, &answer, &row, err) || number(&row[0], rows, err))
        return err->code;
    return number(&row[1], matching, err);
}

/* ---- comparing ------------------------------------------------------------------------------ */

/* What a query comes to: how many rows, and a sum of hashes of each with its position. */
struct summary {
    int64_t rows;
    char sum[SUMMARY_TEXT];
};

/*
 * A row is reduced to its hash before anything else is done with it. Its number and its hash are
 * the only names here: those of the file's columns may be any.
 */
static void add_summary(struct rc_buf *out, const char *path, const char *values, bool leaves_out)
{
    rc_buf_adds(out, "SELECT count(*) AS file_rows, CAST(sum(hash(p, h)) AS VARCHAR) FROM (");
    if (leaves_out)
        rc_buf_adds(out, "SELECT row_number() OVER () AS p, h FROM (");
    rc_buf_addf(out, "SELECT row_number() OVER () AS p, hash(%s) AS h FROM read_parquet(", values);
    rc_buf_add_literal(out, path);
    rc_buf_adds(out, leaves_out ? ")) AS f ANTI JOIN gone ON f.p = gone.n)" : "))");
}

static enum rc_code read_summary(const struct rc_value *row, struct summary *out,
                                 struct rc_error *err)
{
    out->sum[0] = '\0';
    if (row[1].type == RC_VALUE_TEXT && row[1].len < sizeof(out->sum))
        memcpy(out->sum, row[1].text, row[1].len + 1);
    return number(&row[0], &out->rows, err);
}

/* Of the old file alone. */
static enum rc_code summarise_old(struct dsr_engine *engine, const char *path, const char *values,
                                  struct summary *out, struct rc_error *err)
{
    RC_BUF_AUTO(statement, STATEMENT_LIMIT);
    const struct rc_value *row;
    RC_ROWS_AUTO(answer);

    add_summary(&statement, path, values, /* leaves_out = */ true);
    if (query_row(engine, &statement, &answer, &row, err))
        return err->code;
    return read_summary(row, out, err);
}

/* Of both files, in one statement: of small ones, most of the time is that of statements. */
static enum rc_code summarise(struct dsr_engine *engine, const char *old_path, const char *new_path,
                              const char *values, struct summary *before, struct summary *after,
                              struct rc_error *err)
{
    RC_BUF_AUTO(statement, STATEMENT_LIMIT);
    const struct rc_value *row;
    RC_ROWS_AUTO(answer);

    add_summary(&statement, old_path, values, /* leaves_out = */ true);
    rc_buf_adds(&statement, " UNION ALL ");
    add_summary(&statement, new_path, values, /* leaves_out = */ false);
    if (query_row(engine, &statement, &answer, &row, err) || read_summary(row, before, err) ||
        rc_rows_next(answer, &row, err))
        return err->code;
    return row ? read_summary(row, after, err)
               : rc_fail(err, RC_FAILED, "the SQL engine gave but one answer of two");
}

static bool is_same(const struct summary *one, const struct summary *other)
{
    return one->rows == other->rows && strcmp(one->sum, other->sum) == 0;
}

static void add_description(struct rc_buf *out, int which, const char *path)
{
    rc_buf_addf(out,
                "SELECT %d::BIGINT AS file, column_name, column_type FROM (DESCRIBE SELECT * FROM "
                "read_parquet(",
                which);
    rc_buf_add_literal(out, path);
    rc_buf_adds(out, "))");
}

/* Names and types of the columns of two files, a line of each in turn. */
static enum rc_code describe(struct dsr_engine *engine, const char *const paths[2],
                             struct rc_buf *const out[2], struct rc_error *err)
{
    RC_BUF_AUTO(statement, STATEMENT_LIMIT);
    const struct rc_value *row;
    RC_ROWS_AUTO(rows);

    add_description(&statement, 0, paths[0]);
    rc_buf_adds(&statement, " UNION ALL ");
    add_description(&statement, 1, paths[1]);
    if (rc_buf_check(&statement, err) ||
        rc_sql_query(engine->job, engine->sql, statement.data, NULL, 0, &rows, err))
        return err->code;
    while (!rc_rows_next(rows, &row, err)) {
        struct rc_buf *to;

        if (!row)
            return rc_buf_check(out[0], err) ? err->code : rc_buf_check(out[1], err);
        to = out[row[0].type == RC_VALUE_INT && row[0].integer == 1];
        for (size_t i = 1; i < 3; i++) {
            if (row[i].type == RC_VALUE_TEXT)
                rc_buf_add(to, row[i].text, row[i].len);
            rc_buf_addc(to, '\0');
        }
    }
    return err->code;
}

static bool is_nested(const char *type)
{
    return strchr(type, '[') || rc_str_starts(type, "STRUCT") || rc_str_starts(type, "MAP") ||
           rc_str_starts(type, "UNION") || rc_str_starts(type, "VARIANT");
}

/*
 * What is hashed of a row: every column; and the text of the nested ones, since the engine's hash
 * of them is that of the values in them one after the other, wherever lists begin and end.
 */
static void add_values(struct rc_buf *out, const struct rc_buf *described)
{
    const char *at = described->data, *end = at + described->len;

    rc_buf_adds(out, ALL_VALUES);
    while (at < end) {
        const char *type = at + strlen(at) + 1;

        if (is_nested(type)) {
            rc_buf_adds(out, ", CAST(");
            rc_buf_add_ident(out, at);
            rc_buf_adds(out, " AS VARCHAR)");
        }
        at = type + strlen(type) + 1;
    }
}

/* The first column that differs, for people; NULL: none does by itself. */
static char *find_difference(struct dsr_engine *engine, const char *old_path, const char *new_path,
                             const struct rc_buf *described)
{
    const char *at = described->data, *end = at + described->len;

    while (at < end) {
        RC_BUF_AUTO(value, STATEMENT_LIMIT);
        struct rc_error ignored = RC_ERROR_INIT;
        struct summary before, after;

        rc_buf_add_ident(&value, at);
        rc_buf_adds(&value, ", CAST(");
        rc_buf_add_ident(&value, at);
        rc_buf_adds(&value, " AS VARCHAR)");
        if (rc_buf_check(&value, &ignored) ||
            summarise(engine, old_path, new_path, value.data, &before, &after, &ignored))
            return NULL;
        if (!is_same(&before, &after))
            return rc_strdup(at);
        at += strlen(at) + 1;
        at += strlen(at) + 1;
    }
    return NULL;
}

/* What keeps the engine from reading both files: the old one, or the new one alone. */
static enum rc_code cannot_read(struct dsr_engine *engine, const char *old_path, const char *values,
                                struct rc_error *err)
{
    struct rc_error old = RC_ERROR_INIT;
    struct summary ignored;

    if (!summarise_old(engine, old_path, values, &ignored, &old))
        return dsr_engine_cannot(engine->job, RC_FAILED, "it cannot read the new file", err);
    *err = old;
    return dsr_engine_cannot(engine->job, RC_UNSUPPORTED, "it cannot read the file as it was", err);
}

static enum rc_code compare(struct dsr_engine *engine, const char *old_path, const char *new_path,
                            struct rc_error *err)
{
    RC_BUF_AUTO(described, STATEMENT_LIMIT);
    RC_BUF_AUTO(described_new, STATEMENT_LIMIT);
    RC_BUF_AUTO(values, STATEMENT_LIMIT);
    RC_STR_AUTO column = NULL;
    struct summary before, after;

    if (describe(engine, (const char *const[]){ old_path, new_path },
                 (struct rc_buf *const[]){ &described, &described_new }, err))
        return cannot_read(engine, old_path, ALL_VALUES, err);
    if (described.len != described_new.len ||
        memcmp(described.data, described_new.data, described.len) != 0)
        return rc_fail(err, RC_FAILED, "the new file has other columns");
    add_values(&values, &described);
    if (rc_buf_check(&values, err))
        return err->code;
    if (summarise(engine, old_path, new_path, values.data, &before, &after, err))
        return cannot_read(engine, old_path, values.data, err);
    if (before.rows != after.rows)
        return rc_fail(err, RC_FAILED, "the new file has %lld rows, %lld were to stay",
                       (long long)after.rows, (long long)before.rows);
    if (is_same(&before, &after))
        return RC_OK;
    column = find_difference(engine, old_path, new_path, &described);
    return column ? rc_fail(err, RC_FAILED, "the new file has other values in column '%s'", column)
                  : rc_fail(err, RC_FAILED, "the new file has other values");
}

const struct dsr_engine_ops dsr_engine_duckdb = {
    .prepare = prepare,
    .users = load_users,
    .count = count_rows,
    .rows = load_rows,
    .match = match_rows,
    .compare = compare,
};
