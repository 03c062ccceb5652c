/*
 * Lines of the record. A line's rows come together from the journal: the files that held the user,
 * and the requests. Whatever order the database gives them in, the line is the same.
 */
#include "report_lines.h"

#include <stdlib.h>

enum { LINE_LIMIT = 16 << 20, QUERY_LIMIT = 16 << 10 };

/* In this order within a line. */
enum kind {
    ERASURE,         /* a file that held the user */
    REQUEST,         /* a request that this report has */
    EARLIER_REQUEST, /* one that an earlier report has, of a user of whom more was found since */
};

/* As the query below has them. */
enum column {
    C_REPORT,
    C_USER,
    C_SHARD,
    C_KIND,
    C_TABLE,
    C_ERASED,
    C_STATE,
    C_RUN,
    C_REQUESTED,
    C_FIRST_DAY,
    C_LAST_DAY,
    C_AT_UNIX_MS,
    C_ENVIRONMENT,
    C_PRODUCT,
    C_DEPLOYMENT,
    C_IS_NAMED,
};

static const char query_head[] =
    "SELECT entry.report, entry.user_hash, entry.shard, entry.kind, entry.table_name,"
    " entry.erased, entry.state, entry.run, entry.requested, entry.first_day, entry.last_day,"
    " entry.at_unix_ms, named.environment, named.product, named.deployment,"
    " CASE WHEN named.name IS NULL THEN 0 ELSE 1 END FROM (";

static const char erasure_rows[] =
    "SELECT COALESCE(e.report, '" DSR_UNREPORTED "') AS report, u.user_hash AS user_hash,"
    " e.shard AS shard, 0 AS kind, e.table_name AS table_name, u.erased AS erased,"
    " e.state AS state, e.run AS run, 0 AS requested, 0 AS first_day, 0 AS last_day,"
    " e.closed_unix_ms AS at_unix_ms"
    " FROM erasures e JOIN erased_users u ON u.erasure = e.id"
    " WHERE e.scope = $1 AND e.state >= 2 AND e.closed_unix_ms IS NOT NULL";

static const char request_rows[] =
    " UNION ALL SELECT COALESCE(r.report, '" DSR_UNREPORTED "'), r.user_hash, r.shard, 1, '', 0,"
    " 0, r.run, r.requested, r.first_day, r.last_day, r.fulfilled_unix_ms"
    " FROM requests r WHERE r.scope = $1";

static const char earlier_rows[] =
    " UNION ALL SELECT COALESCE(e.report, '" DSR_UNREPORTED "'), r.user_hash, r.shard, 2, '', 0,"
    " 0, r.run, r.requested, r.first_day, r.last_day, e.closed_unix_ms"
    " FROM erasures e JOIN erased_users u ON u.erasure = e.id"
    " JOIN requests r ON r.user_hash = u.user_hash AND r.scope = e.scope AND r.shard = e.shard"
    " WHERE e.scope = $1 AND e.state >= 2 AND e.closed_unix_ms IS NOT NULL"
    " AND r.report < COALESCE(e.report, '" DSR_UNREPORTED "')";

static const char query_tail[] =
    ") entry LEFT JOIN reports named ON named.name = entry.report AND named.scope = $1"
    " ORDER BY entry.report, entry.user_hash, entry.shard, entry.kind";

/* ---- one line -------------------------------------------------------------------------------- */

struct table {
    char *name;
    int64_t files, rows, unconfirmed;
};

struct line {
    char *report, *user;
    int32_t shard;
    struct table *tables; /* these three sorted, each once */
    size_t table_count;
    char **runs;
    size_t run_count;
    int32_t *requested;
    size_t requested_count;
    bool has_request;
    int32_t first_day, last_day;
    int64_t rows, fulfilled_unix_ms;
    char *labels[3];
};

static const char *const label_names[] = { "environment", "product", "deployment" };

static void clear_line(struct line *line)
{
    for (size_t i = 0; i < line->table_count; i++)
        free(line->tables[i].name);
    for (size_t i = 0; i < line->run_count; i++)
        free(line->runs[i]);
    for (size_t i = 0; i < RC_ARRAY_LEN(line->labels); i++)
        free(line->labels[i]);
    free(line->tables);
    free(line->runs);
    free(line->requested);
    free(line->report);
    free(line->user);
    *line = (struct line){ .shard = 0 };
}

static char *text_of(const struct rc_value *value)
{
    return value->type == RC_VALUE_NULL ? NULL : rc_strndup(value->text, value->len);
}

static bool is_of_line(const struct line *line, const struct rc_value *row)
{
    return line->user && rc_str_eq(line->report, row[C_REPORT].text) &&
           rc_str_eq(line->user, row[C_USER].text) && line->shard == row[C_SHARD].integer;
}

static void begin_line(struct line *line, const struct rc_value *row,
                       const struct dsr_config *config)
{
    const char *const ours[] = { config->environment, config->product, config->deployment };

    *line = (struct line){
        .report = text_of(&row[C_REPORT]),
        .user = text_of(&row[C_USER]),
        .shard = (int32_t)row[C_SHARD].integer,
    };
    for (size_t i = 0; i < RC_ARRAY_LEN(ours); i++)
        line->labels[i] =
            row[C_IS_NAMED].integer ? text_of(&row[C_ENVIRONMENT + i]) : rc_strdup(ours[i]);
}

static struct table *table_of(struct line *line, const char *name)
{
    size_t at = 0;

    while (at < line->table_count && strcmp(line->tables[at].name, name) < 0)
        at++;
    if (at < line->table_count && rc_str_eq(line->tables[at].name, name))
        return &line->tables[at];
    line->tables = rc_realloc(line->tables, (line->table_count + 1) * sizeof(*line->tables));
    memmove(line->tables + at + 1, line->tables + at,
            (line->table_count - at) * sizeof(*line->tables));
    line->table_count++;
    line->tables[at] = (struct table){ .name = rc_strdup(name) };
    return &line->tables[at];
}

static void add_run(struct line *line, const char *run)
{
    size_t at = 0;

    while (at < line->run_count && strcmp(line->runs[at], run) < 0)
        at++;
    if (at < line->run_count && rc_str_eq(line->runs[at], run))
        return;
    line->runs = rc_realloc(line->runs, (line->run_count + 1) * sizeof(*line->runs));
    memmove(line->runs + at + 1, line->runs + at, (line->run_count - at) * sizeof(*line->runs));
    line->run_count++;
    line->runs[at] = rc_strdup(run);
}

static void add_requested(struct line *line, int32_t day)
{
    size_t at = 0;

    while (at < line->requested_count && line->requested[at] < day)
        at++;
    if (at < line->requested_count && line->requested[at] == day)
        return;
    line->requested =
        rc_realloc(line->requested, (line->requested_count + 1) * sizeof(*line->requested));
    memmove(line->requested + at + 1, line->requested + at,
            (line->requested_count - at) * sizeof(*line->requested));
    line->requested_count++;
    line->requested[at] = day;
}

static void add_erasure(struct line *line, const struct rc_value *row)
{
    struct table *table = table_of(line, row[C_TABLE].text);
    bool is_done = row[C_STATE].integer == DSR_DONE;

    table->files += is_done;
    table->rows += is_done ? row[C_ERASED].integer : 0;
    table->unconfirmed += !is_done;
    line->rows += is_done ? row[C_ERASED].integer : 0;
    add_run(line, row[C_RUN].text);
}

static void add_request(struct line *line, const struct rc_value *row)
{
    int32_t first = (int32_t)row[C_FIRST_DAY].integer, last = (int32_t)row[C_LAST_DAY].integer;

    add_requested(line, (int32_t)row[C_REQUESTED].integer);
    line->first_day = line->has_request && line->first_day < first ? line->first_day : first;
    line->last_day = line->has_request && line->last_day > last ? line->last_day : last;
    line->has_request = true;
    add_run(line, row[C_RUN].text);
}

static void add_row(struct line *line, const struct rc_value *row, bool *has_own)
{
    int64_t at_unix_ms = row[C_AT_UNIX_MS].integer;

    if (row[C_KIND].integer == ERASURE) {
        add_erasure(line, row);
    } else if (row[C_KIND].integer == REQUEST) {
        add_request(line, row);
        *has_own = true;
    } else if (!*has_own) {
        add_request(line, row);
    }
    if (at_unix_ms > line->fulfilled_unix_ms)
        line->fulfilled_unix_ms = at_unix_ms;
}

/* ---- its text -------------------------------------------------------------------------------- */

static void add_text(struct rc_buf *out, const char *text)
{
    if (text)
        rc_buf_add_json(out, text, strlen(text));
    else
        rc_buf_adds(out, "null");
}

static void add_day(struct rc_buf *out, const char *name, bool is_known, int32_t day)
{
    char text[RC_DAY_TEXT];

    rc_buf_addf(out, ",\"%s\":", name);
    add_text(out, is_known ? rc_format_day(day, text) : NULL);
}

static void add_tables(struct rc_buf *out, const struct line *line)
{
    rc_buf_addf(out, ",\"rows\":%lld,\"tables\":[", (long long)line->rows);
    for (size_t i = 0; i < line->table_count; i++) {
        const struct table *table = &line->tables[i];

        rc_buf_adds(out, i == 0 ? "{\"table\":" : ",{\"table\":");
        add_text(out, table->name);
        rc_buf_addf(out, ",\"files\":%lld,\"rows\":%lld,\"unconfirmed_files\":%lld}",
                    (long long)table->files, (long long)table->rows, (long long)table->unconfirmed);
    }
    rc_buf_addc(out, ']');
}

static void format_line(struct rc_buf *out, const struct line *line)
{
    char text[RC_TIME_TEXT];

    rc_buf_reset(out);
    rc_buf_adds(out, "{\"user\":\"hmac-sha256:");
    rc_buf_addf(out, "%s\",\"shard\":%d", line->user, (int)line->shard);
    add_day(out, "first_day", line->has_request, line->first_day);
    add_day(out, "last_day", line->has_request, line->last_day);
    rc_buf_adds(out, ",\"requested\":[");
    for (size_t i = 0; i < line->requested_count; i++) {
        rc_buf_adds(out, i == 0 ? "" : ",");
        add_text(out, rc_format_day(line->requested[i], text));
    }
    rc_buf_addc(out, ']');
    add_tables(out, line);
    rc_buf_adds(out, ",\"fulfilled\":");
    add_text(out, rc_format_time(line->fulfilled_unix_ms, text));
    rc_buf_adds(out, ",\"runs\":[");
    for (size_t i = 0; i < line->run_count; i++) {
        rc_buf_adds(out, i == 0 ? "" : ",");
        add_text(out, line->runs[i]);
    }
    rc_buf_addc(out, ']');
    for (size_t i = 0; i < RC_ARRAY_LEN(label_names); i++) {
        rc_buf_addf(out, ",\"%s\":", label_names[i]);
        add_text(out, line->labels[i]);
    }
    rc_buf_addc(out, '}');
}

/* ---- all lines ------------------------------------------------------------------------------- */

struct lines {
    const struct dsr_report_choice *choice;
    const struct dsr_config *config;
    enum rc_code (*each)(void *context, const struct rc_buf *line, struct rc_error *err);
    void *context;
    struct line line;
    bool has_own_request;
};

static enum rc_code end_line(struct lines *lines, struct rc_error *err)
{
    RC_BUF_AUTO(text, LINE_LIMIT);

    if (!lines->line.user)
        return RC_OK;
    format_line(&text, &lines->line);
    clear_line(&lines->line);
    if (rc_buf_check(&text, err))
        return rc_context(err, "the record of one user");
    return lines->each(lines->context, &text, err);
}

static enum rc_code add_rows(struct lines *lines, struct rc_rows *rows, struct rc_error *err)
{
    const struct rc_value *row;

    for (;;) {
        if (rc_rows_next(rows, &row, err))
            return err->code;
        if (!row)
            return end_line(lines, err);
        if (!is_of_line(&lines->line, row)) {
            if (end_line(lines, err))
                return err->code;
            begin_line(&lines->line, row, lines->config);
            lines->has_own_request = false;
        }
        add_row(&lines->line, row, &lines->has_own_request);
    }
}

/* What the rows of a branch have to be like; their alias is that of the table with the report. */
static void add_conditions(struct rc_buf *sql, const struct dsr_report_choice *choice,
                           const char *alias, const char *user, const char *at)
{
    int parameter = 2;

    if (choice->report)
        rc_buf_addf(sql, " AND %s.report = $%d", alias, parameter++);
    if (choice->user_hash)
        rc_buf_addf(sql, " AND %s.user_hash = $%d", user, parameter++);
    if (choice->since_unix_ms != INT64_MIN)
        rc_buf_addf(sql, " AND %s >= $%d", at, parameter);
}

static enum rc_code query_lines(struct dsr_journal *journal, void *context, struct rc_error *err)
{
    struct lines *lines = context;
    const struct dsr_report_choice *choice = lines->choice;
    struct rc_value values[4] = { rc_value_text(journal->scope) };
    size_t count = 1;
    RC_BUF_AUTO(sql, QUERY_LIMIT);
    RC_ROWS_AUTO(rows);

    if (choice->report)
        values[count++] = rc_value_text(choice->report);
    if (choice->user_hash)
        values[count++] = rc_value_text(choice->user_hash);
    if (choice->since_unix_ms != INT64_MIN)
        values[count++] = rc_value_int(choice->since_unix_ms);
    rc_buf_addf(&sql, "%s%s", query_head, erasure_rows);
    add_conditions(&sql, choice, "e", "u", "e.closed_unix_ms");
    rc_buf_adds(&sql, request_rows);
    add_conditions(&sql, choice, "r", "r", "r.fulfilled_unix_ms");
    rc_buf_adds(&sql, earlier_rows);
    add_conditions(&sql, choice, "e", "u", "e.closed_unix_ms");
    rc_buf_adds(&sql, query_tail);
    if (rc_buf_check(&sql, err) ||
        rc_db_query(journal->job, journal->db, sql.data, values, count, &rows, err))
        return err->code;
    return add_rows(lines, rows, err);
}

enum rc_code dsr_report_lines(struct dsr_journal *journal, const struct dsr_report_choice *choice,
                              const struct dsr_config *config,
                              enum rc_code (*each)(void *context, const struct rc_buf *line,
                                                   struct rc_error *err),
                              void *context, struct rc_error *err)
{
    struct lines lines = { .choice = choice, .config = config, .each = each, .context = context };
    enum rc_code code = dsr_journal_read(journal, query_lines, &lines, err);

    clear_line(&lines.line);
    return code;
}
