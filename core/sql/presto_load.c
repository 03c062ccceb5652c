/*
 * Tables from rows of the caller's: they are written as JSON lines, one object of any size, and an
 * external table is made over it.
 */
#include <sql/load.h>
#include <sql/presto.h>

#include <run-core/str.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

enum { LINES_BYTES = 256 * 1024, LINE_LIMIT = 64 << 20 };

/* Rows on their way into an object of JSON lines. */
struct upload {
    const struct rc_sql_column *columns;
    size_t column_count;
    struct rc_writer *writer;
    struct rc_buf lines;
    int64_t rows;
};

/*
 * Every value is a text, which a condition of the table's makes what it is: so that numbers keep
 * each digit and need no reading of the server's, and NaN has a way.
 */
static enum rc_code add_value(struct rc_buf *out, const struct rc_sql_column *column,
                              const struct rc_value *value, struct rc_error *err)
{
    if (core_load_check_value(column, value, err))
        return err->code;
    switch (value->type) {
    case RC_VALUE_BYTES: /* is no column's */
    case RC_VALUE_NULL:
        rc_buf_adds(out, "null");
        break;
    case RC_VALUE_BOOL:
        rc_buf_adds(out, value->boolean ? "\"true\"" : "\"false\"");
        break;
    case RC_VALUE_INT:
        rc_buf_addf(out, "\"%" PRId64 "\"", value->integer);
        break;
    case RC_VALUE_FLOAT:
        if (value->number != value->number)
            rc_buf_adds(out, "\"NaN\"");
        else if (value->number - value->number != 0)
            rc_buf_adds(out, value->number > 0 ? "\"Infinity\"" : "\"-Infinity\"");
        else
            rc_buf_addf(out, "\"%.17g\"", value->number);
        break;
    case RC_VALUE_TEXT:
        rc_buf_add_json(out, value->text, value->len);
        break;
    }
    return RC_OK;
}

static enum rc_code flush(struct upload *upload, struct rc_error *err)
{
    if (rc_buf_check(&upload->lines, err) ||
        core_writer_write(upload->writer, upload->lines.data, upload->lines.len, err))
        return err->code;
    rc_buf_reset(&upload->lines);
    return RC_OK;
}

static enum rc_code add_row(struct upload *upload, const struct rc_value *row, struct rc_error *err)
{
    for (size_t i = 0; i < upload->column_count; i++) {
        rc_buf_addf(&upload->lines, "%s\"c%zu\":", i ? "," : "{", i);
        if (add_value(&upload->lines, &upload->columns[i], &row[i], err))
            return rc_context(err, "row %" PRId64, upload->rows + 1);
    }
    rc_buf_adds(&upload->lines, "}\n");
    upload->rows++;
    return upload->lines.len >= LINES_BYTES ? flush(upload, err) : RC_OK;
}

static enum rc_code send_rows(struct core_presto *session, const struct rc_sql_rows *rows,
                              struct upload *upload, struct rc_error *err)
{
    const struct rc_value *row = NULL;
    enum rc_code code;

    while (!(code = rows->next(rows->context, &row, err)) && row) {
        code = add_row(upload, row, err);
        if (!code && upload->lines.len == 0)
            code = core_presto_check(session, err);
        if (code)
            break;
    }
    if (!code && upload->lines.len > 0)
        code = flush(upload, err);
    return code ? code : core_writer_commit(upload->writer, err);
}

static enum rc_code upload_rows(struct core_presto *session, const struct core_presto_name *name,
                                const struct rc_sql_rows *rows, struct upload *upload,
                                struct rc_error *err)
{
    RC_STR_AUTO uri = rc_strf("%srows.json", name->folder);
    enum rc_code code;

    if (core_storage_create(&session->storage, uri, /* if_match = */ NULL, &upload->writer, err))
        return err->code;
    rc_buf_init(&upload->lines, LINE_LIMIT);
    code = send_rows(session, rows, upload, err);
    rc_buf_clear(&upload->lines);
    core_writer_close(upload->writer);
    return code ? rc_context(err, "write the rows to '%s'", uri) : RC_OK;
}

/* The columns of the table, which are texts, as what they are. */
static void add_loaded(const struct core_presto *session, struct rc_buf *out,
                       const struct upload *upload, const char *from)
{
    rc_buf_adds(out, "(SELECT ");
    for (size_t i = 0; i < upload->column_count; i++) {
        const struct rc_sql_column *column = &upload->columns[i];
        bool is_text = strcasecmp(column->type, "varchar") == 0;

        rc_buf_addf(out, "%s%s\"c%zu\"", i ? ", " : "", is_text ? "" : "CAST(", i);
        if (!is_text) {
            rc_buf_adds(out, " AS ");
            (void)core_presto_add_type(session->dialect, out, column->type);
            rc_buf_addc(out, ')');
        }
        rc_buf_adds(out, " AS ");
        rc_buf_add_ident(out, column->name);
    }
    rc_buf_addf(out, " FROM %s)", from);
}

static enum rc_code create_loaded(struct core_presto *session, struct core_presto_table *table,
                                  const struct upload *upload, struct rc_error *err)
{
    struct rc_sql_column *columns = rc_calloc(upload->column_count, sizeof(*columns));
    char(*names)[32] = rc_calloc(upload->column_count, sizeof(*names));
    const struct core_presto_external external = {
        .table = table->names[0].ddl,
        .columns = columns,
        .column_count = upload->column_count,
        .location = table->names[0].there,
        .format = "json",
    };
    RC_BUF_AUTO(text, CORE_PRESTO_STATEMENT_LIMIT);
    RC_BUF_AUTO(from, CORE_PRESTO_STATEMENT_LIMIT);
    enum rc_code code;

    for (size_t i = 0; i < upload->column_count; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "c%zu", i);
        columns[i] = (struct rc_sql_column){ names[i], "varchar" };
    }
    session->dialect->add_create(&external, &text);
    add_loaded(session, &from, upload, table->names[0].from);
    code = rc_buf_check(&from, err);
    if (!code)
        code = core_presto_run(session, CORE_PRESTO_DDL, &text, NULL, err);
    free(table->from);
    table->from = rc_buf_take(&from);
    free(columns);
    free(names);
    return code;
}

enum rc_code core_presto_load(struct rc_sql *sql, const char *table,
                              const struct rc_sql_column *columns, size_t column_count,
                              const struct rc_sql_rows *rows, struct rc_error *err)
{
    struct core_presto *session = (struct core_presto *)sql;
    struct upload upload = { .columns = columns, .column_count = column_count };
    struct core_presto_table *made = NULL;
    enum rc_code code = core_presto_begin(session, err);

    if (code)
        return code;
    code = core_load_check_columns(columns, column_count, err);
    if (!code)
        code = core_presto_begin_work(session, err);
    if (!code) {
        made = core_presto_new_table(session, table);
        code = upload_rows(session, &made->names[0], rows, &upload, err);
    }
    if (!code)
        code = create_loaded(session, made, &upload, err);
    if (!code)
        core_presto_keep(session, made);
    else if (made)
        core_presto_discard(session, made);
    core_presto_done(session);
    return code ? rc_context(err, "load table '%s'", table) : RC_OK;
}
