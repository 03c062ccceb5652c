/*
 * The header of a CSV file, which says in which order its columns lie: whether there is one, and
 * what it names. The rows are DuckDB's to read.
 */
#include <sql/duckdb_session.h>

#include <run-core/str.h>

#include <strings.h>

bool core_duckdb_csv_field(const char **at, struct rc_buf *out)
{
    const char *c = *at;

    rc_buf_reset(out);
    if (!c)
        return false;
    if (*c == '"') {
        for (c++; *c && !(*c == '"' && c[1] != '"'); c++) {
            c += *c == '"';
            rc_buf_addc(out, *c);
        }
        c += *c == '"';
    } else {
        size_t len = strcspn(c, ",");
        rc_buf_add(out, c, len);
        c += len;
    }
    *at = *c == ',' ? c + 1 : NULL;
    return true;
}

/*
 * The first line of a CSV file, whatever its compression; NULL where there is none. The buffer is
 * small, as this is done for every file. A first line that does not fit is no header, and what is
 * wrong with the file its reader will say: so what cannot be read is passed over, and the line ends
 * of the rows, of which there may be others inside of quotes, need not be those of the first.
 */
static enum rc_code first_line(struct core_duckdb_session *session, const char *path, char **out,
                               struct rc_error *err)
{
    RC_BUF_AUTO(sql, CORE_DUCKDB_STATEMENT_LIMIT);
    RC_ROWS_AUTO(rows);
    const struct rc_value *row = NULL;

    rc_buf_adds(&sql, "SELECT line FROM read_csv(");
    core_duckdb_add_file(&sql, path);
    rc_buf_adds(&sql, ", auto_detect = false, delim = '', quote = '', escape = '', "
                      "header = false, columns = {'line': 'VARCHAR'}, parallel = false, "
                      "max_line_size = 65536, buffer_size = 65536, strict_mode = false, "
                      "ignore_errors = true) LIMIT 1");
    if (rc_buf_check(&sql, err) ||
        core_duckdb_query(&session->base, sql.data, NULL, 0, &rows, err) ||
        rc_rows_next(rows, &row, err))
        return rc_context(err, "look for a header in '%s'", path);
    *out = row && row[0].text ? rc_strdup(row[0].text) : NULL;
    return RC_OK;
}

/* A first line that names at least half of the declared columns is a header. */
static bool is_header(const struct rc_sql_table *table, const char *line)
{
    RC_BUF_AUTO(field, 64 * 1024);
    size_t named = 0;

    while (core_duckdb_csv_field(&line, &field))
        for (size_t i = 0; i < table->column_count; i++)
            named += strcasecmp(field.data, table->columns[i].name) == 0;
    return named > 0 && named * 2 >= table->column_count;
}

enum rc_code core_duckdb_csv_header(struct core_duckdb_session *session,
                                    const struct rc_sql_table *table, const char *path, char **out,
                                    struct rc_error *err)
{
    RC_STR_AUTO line = NULL;

    *out = NULL;
    if (first_line(session, path, &line, err))
        return err->code;
    if (line && is_header(table, line)) {
        *out = line;
        line = NULL;
    }
    return RC_OK;
}
