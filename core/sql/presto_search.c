/*
 * The search: which files of a table hold rows, and how many that a condition is true of. Servers
 * tell the file of each row, and pass over those that a statement leaves out by name, so that what
 * is not of the format is never opened.
 *
 * They keep such a list only as long as it is short: from a hundred ranges on they take the one
 * range that has all of them, and open every file. So a long list of exceptions is cut, in the
 * order of names, and each statement looks at the files between two cuts.
 */
#include <sql/presto.h>

#include <run-core/str.h>

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { EXCEPTIONS_AT_ONCE = 80, URI_LIMIT = 64 * 1024 };

struct search_rows {
    struct rc_rows base;
    struct core_presto *session;
    const struct core_presto_table *table; /* that lives as long as the rows: the session is busy */
    char *condition;
    char **paths; /* of the exceptions, in the order of bytes */
    size_t path_count;
    size_t next_path; /* of the statement that follows */
    bool ended;
    struct rc_rows *inner; /* of the statement under way */
    struct rc_buf uri;
    struct rc_value row[3];
};

/* ---- places --------------------------------------------------------------------------------- */

/*
 * What follows the scheme; *scheme tells different ones apart. Of a local file, which may have one
 * slash or three, or a name of this machine that is not written, it is the absolute path.
 */
static const char *behind_scheme(const char *place, char *scheme)
{
    static const char *const s3[] = { "s3://", "s3a://", "s3n://" };

    for (size_t i = 0; i < RC_ARRAY_LEN(s3); i++) {
        if (!rc_str_starts(place, s3[i]))
            continue;
        *scheme = 's';
        return place + strlen(s3[i]);
    }
    if (rc_str_starts(place, "file:/")) {
        *scheme = 'f';
        place += strlen("file:");
        return place + strspn(place, "/") - 1;
    }
    *scheme = '-';
    return place;
}

const char *core_presto_behind(const char *there, const char *path)
{
    char schemes[2];
    const char *folder = behind_scheme(there, &schemes[0]);
    const char *rest = behind_scheme(path, &schemes[1]);

    return schemes[0] == schemes[1] && rc_str_starts(rest, folder) ? rest + strlen(folder) : NULL;
}

/* The location that the file lies at; of several the one that says most. */
static const struct core_presto_location *find_location(const struct core_presto_table *table,
                                                        const char *place, bool is_path,
                                                        const char **rest)
{
    const struct core_presto_location *found = NULL;

    for (size_t i = 0; i < table->location_count; i++) {
        const struct core_presto_location *location = &table->locations[i];
        const char *behind = is_path ? core_presto_behind(location->there, place)
                             : rc_str_starts(place, location->given)
                                 ? place + strlen(location->given)
                                 : NULL;

        if (!behind || (found && behind >= *rest))
            continue;
        found = location;
        *rest = behind;
    }
    return found;
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* All ways in which the server may write the place of an exception. */
static void add_exception(struct search_rows *rows, const char *uri)
{
    const char *rest = NULL, *path;
    const struct core_presto_location *location = find_location(rows->table, uri, false, &rest);
    char scheme;

    if (!location)
        return;
    path = behind_scheme(location->there, &scheme);
    if (scheme == 'f') {
        rows->paths[rows->path_count++] = rc_strf("file:%s%s", path, rest);
        rows->paths[rows->path_count++] = rc_strf("file://%s%s", path, rest);
    } else {
        rows->paths[rows->path_count++] = rc_strf("%s%s", location->there, rest);
    }
}

/* ---- statements ----------------------------------------------------------------------------- */

/* The files behind the last cut and up to the next, but for the exceptions among them. */
static void add_files(struct search_rows *rows, struct rc_buf *out)
{
    size_t first = rows->next_path, room = rows->session->dialect->statement_limit_bytes / 2;
    size_t at = first;

    if (first > 0) {
        rc_buf_adds(out, " AND \"$path\" > ");
        rc_buf_add_literal(out, rows->paths[first - 1]);
    }
    for (; at < rows->path_count && at - first < EXCEPTIONS_AT_ONCE; at++) {
        if (at > first && out->len > room)
            break;
        rc_buf_adds(out, at > first ? ", " : " AND \"$path\" NOT IN (");
        rc_buf_add_literal(out, rows->paths[at]);
    }
    rc_buf_adds(out, at > first ? ")" : "");
    if (at < rows->path_count) {
        rc_buf_adds(out, " AND \"$path\" < ");
        rc_buf_add_literal(out, rows->paths[at - 1]);
    }
    rows->next_path = at;
}

/*
 * What the server's own code fell over, each time it was asked, is a file that it cannot read, as
 * far as a search can tell: there is a slower way for those.
 */
static enum rc_code judge_failure(struct rc_error *err)
{
    if (err->code == RC_UNAVAILABLE && strstr(err->cause, "GENERIC_INTERNAL_ERROR"))
        err->code = RC_UNSUPPORTED;
    return err->code;
}

static enum rc_code ask(struct search_rows *rows, struct rc_error *err)
{
    RC_BUF_AUTO(text, CORE_PRESTO_STATEMENT_LIMIT);
    RC_BUF_AUTO(files, CORE_PRESTO_STATEMENT_LIMIT);

    add_files(rows, &files);
    rc_buf_addf(&text, "SELECT \"$path\", count(*), count_if(%s) FROM %s AS t", rows->condition,
                rows->table->from_paths);
    if (files.len > 0)
        rc_buf_addf(&text, " WHERE%s", files.data + strlen(" AND"));
    rc_buf_adds(&text, " GROUP BY \"$path\"");
    if (rc_buf_check(&files, err))
        return err->code;
    if (core_presto_ask(rows->session, &text, &rows->inner, err))
        return judge_failure(err);
    return RC_OK;
}

/* ---- rows ----------------------------------------------------------------------------------- */

static enum rc_code take_row(struct search_rows *rows, const struct rc_value *row,
                             struct rc_error *err)
{
    const char *path = row[0].type == RC_VALUE_TEXT ? row[0].text : "", *rest = NULL;
    const struct core_presto_location *location = find_location(rows->table, path, true, &rest);

    if (!location || row[1].type != RC_VALUE_INT || row[2].type != RC_VALUE_INT)
        return rc_fail(err, RC_UNSUPPORTED,
                       "the server reports rows of '%s', which lies at no location of the table",
                       path);
    rc_buf_reset(&rows->uri);
    rc_buf_addf(&rows->uri, "%s%s", location->given, rest);
    if (rc_buf_check(&rows->uri, err))
        return err->code;
    rows->row[0] = rc_value_text(rows->uri.data);
    rows->row[1] = row[1];
    rows->row[2] = row[2];
    return RC_OK;
}

static enum rc_code rows_next(struct rc_rows *base, const struct rc_value **out,
                              struct rc_error *err)
{
    struct search_rows *rows = (struct search_rows *)base;
    const struct rc_value *row = NULL;

    *out = NULL;
    while (!rows->ended) {
        if (!rows->inner && ask(rows, err))
            return err->code;
        if (rc_rows_next(rows->inner, &row, err))
            return err->code;
        if (row) {
            *out = rows->row;
            return take_row(rows, row, err);
        }
        rc_rows_close(&rows->inner);
        rows->ended = rows->next_path >= rows->path_count;
    }
    return RC_OK;
}

static size_t rows_columns(const struct rc_rows *base, const char *const **names)
{
    static const char *const columns[] = { "file", "rows", "found" };

    (void)base;
    if (names)
        *names = columns;
    return RC_ARRAY_LEN(columns);
}

static void rows_close(struct rc_rows *base)
{
    struct search_rows *rows = (struct search_rows *)base;

    rc_rows_close(&rows->inner);
    for (size_t i = 0; i < rows->path_count; i++)
        free(rows->paths[i]);
    free(rows->paths);
    free(rows->condition);
    rc_buf_clear(&rows->uri);
    free(rows);
}

static const struct rc_rows_api rows_api = {
    .next = rows_next,
    .columns = rows_columns,
    .close = rows_close,
};

static struct search_rows *rows_new(struct core_presto *session,
                                    const struct core_presto_table *table,
                                    const struct rc_sql_lookup *search)
{
    struct search_rows *rows = rc_calloc(1, sizeof(*rows));

    rows->base.api = &rows_api;
    rows->session = session;
    rows->table = table;
    rows->condition = rc_strdup(search->condition);
    rows->paths = rc_calloc(2 * search->except_count + 1, sizeof(*rows->paths));
    rc_buf_init(&rows->uri, URI_LIMIT);
    for (size_t i = 0; i < search->except_count; i++)
        add_exception(rows, search->except[i]);
    qsort(rows->paths, rows->path_count, sizeof(*rows->paths), compare_texts);
    return rows;
}

static enum rc_code start(struct core_presto *session, const struct rc_sql_lookup *search,
                          struct rc_rows **out, struct rc_error *err)
{
    const struct core_presto_table *table = core_presto_find(session, search->table);
    struct search_rows *rows;

    if (!table)
        return rc_fail(err, RC_NOT_FOUND, "the session has no such table");
    if (!table->from_paths)
        return rc_fail(err, RC_INVALID,
                       "the table was not attached, so that its files are not "
                       "known");
    rows = rows_new(session, table, search);
    /* What the server does not understand, or cannot read, is told at once as a rule. */
    if (ask(rows, err)) {
        rows_close(&rows->base);
        return err->code;
    }
    *out = core_presto_hand_out(session, &rows->base);
    return RC_OK;
}

enum rc_code core_presto_search(struct rc_sql *sql, const struct rc_sql_lookup *search,
                                struct rc_rows **out, struct rc_error *err)
{
    struct core_presto *session = (struct core_presto *)sql;
    enum rc_code code = core_presto_begin(session, err);

    *out = NULL;
    if (code)
        return code;
    code = start(session, search, out, err);
    if (code)
        core_presto_done(session);
    return code ? rc_context(err, "search table '%s'", search->table) : RC_OK;
}
