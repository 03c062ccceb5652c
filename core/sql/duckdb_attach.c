/*
 * External tables: views over the files below some locations.
 *
 * The files are listed here and not by patterns of DuckDB, so that every character of a name
 * stands for itself and a write under way is never read. Files of one format whose key=value
 * folders stand at the same depth form a group, read by one table function; the view is the union
 * of the groups.
 */
#include <sql/duckdb_session.h>
#include <sql/format.h>

#include <base/utf8.h>

#include <run-core/str.h>

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { MAX_PARTITIONS = 8, MAX_GROUPS = 64 };

struct group {
    enum core_format format;
    int depth[MAX_PARTITIONS]; /* component of the path that is the key's folder, counted from 1 */
    struct rc_buf files;       /* 'a', 'b', ... */
    char *header;              /* first line of CSV with declared columns; NULL: it is data */
    bool nulls, escapes;       /* in the names of the folders: Hive's NULL, percent-encoding */
    bool repeats;              /* a key's "/key=" stands more than once in a path */
};

struct attachment {
    struct core_duckdb_session *session;
    const struct rc_sql_table *table;
    struct group *groups;
    size_t group_count;
};

/*
 * The column under which a table function gives the path. DuckDB leaves out files by a condition
 * on it only under its own name for it; the other is for tables that may have a column of that
 * name.
 */
#define PATH_COLUMN "filename"
#define OTHER_PATH_COLUMN "run-core path"

/* The last component "key=..." among the folders of an absolute path, counted from 1; 0: none. */
static int find_key(const char *path, const char *key, const char **value)
{
    size_t key_len = strlen(key);
    int found = 0;
    int at = 0;

    for (const char *part = path; (part = strchr(part, '/')); part++) {
        at++;
        if (strncmp(part + 1, key, key_len) == 0 && part[1 + key_len] == '=' &&
            strchr(part + 1, '/')) {
            found = at;
            *value = part + 1 + key_len + 1;
        }
    }
    return found;
}

/*
 * Whether "/key=" is in the path twice, so that its first place need not be that of the key's
 * folder.
 */
static bool has_key_twice(const char *path, const char *key)
{
    RC_STR_AUTO text = rc_strf("/%s=", key);
    const char *first = strstr(path, text);

    return first && strstr(first + 1, text);
}

/* The group of the files that are 'like', from which a new one takes the header. */
static struct group *find_group(struct attachment *work, struct group *like)
{
    struct group *group;

    for (size_t i = 0; i < work->group_count; i++) {
        group = &work->groups[i];
        if (group->format == like->format &&
            memcmp(group->depth, like->depth, sizeof(like->depth)) == 0 &&
            rc_str_eq(group->header, like->header))
            return group;
    }
    if (work->group_count == MAX_GROUPS)
        return NULL;
    group = &work->groups[work->group_count++];
    *group = *like;
    like->header = NULL;
    rc_buf_init(&group->files, CORE_DUCKDB_STATEMENT_LIMIT);
    return group;
}

/* The format of a file and the places of its keys, as its name and the folders above it tell. */
static enum rc_code judge_file(const struct rc_sql_table *table, const char *path,
                               struct group *out, struct rc_error *err)
{
    if (core_format_find(table->format, path, &out->format, err))
        return err->code;
    for (size_t i = 0; i < table->partition_count; i++) {
        const char *value = "";

        out->depth[i] = find_key(path, table->partitions[i].name, &value);
        if (!out->depth[i])
            return rc_fail(err, RC_INVALID, "no folder '%s=...' is on the way to '%s'",
                           table->partitions[i].name, path);
        out->nulls |= rc_str_starts(value, CORE_FORMAT_HIVE_NULL "/");
        out->escapes |= memchr(value, '%', strcspn(value, "/")) != NULL;
        out->repeats |= has_key_twice(path, table->partitions[i].name);
    }
    return RC_OK;
}

static enum rc_code add_file(struct attachment *work, const char *path, struct rc_error *err)
{
    const struct rc_sql_table *table = work->table;
    struct group like = { .format = CORE_FORMAT_PARQUET };
    struct group *group;

    if (judge_file(table, path, &like, err))
        return err->code;
    if (!core_utf8_is_valid(path))
        return rc_fail(err, RC_UNSUPPORTED,
                       "DuckDB cannot read '%s': its name is not UTF-8; rename it", path);
    if (strchr(path, '\\') && strpbrk(path, "*?["))
        return rc_fail(err, RC_UNSUPPORTED,
                       "DuckDB cannot read '%s': a backslash together with * ? or [ in its path",
                       path);
    if (like.format == CORE_FORMAT_CSV && table->column_count > 0 &&
        core_duckdb_csv_header(work->session, table, path, &like.header, err))
        return err->code;
    group = find_group(work, &like);
    free(like.header);
    if (!group)
        return rc_fail(err, RC_UNSUPPORTED,
                       "the files of the table have more than %d different headers or depths of "
                       "their folders",
                       MAX_GROUPS);
    group->nulls |= like.nulls;
    group->escapes |= like.escapes;
    group->repeats |= like.repeats;
    if (group->files.len)
        rc_buf_adds(&group->files, ", ");
    core_duckdb_add_file(&group->files, path);
    return rc_buf_check(&group->files, err);
}

static enum rc_code add_folder(struct attachment *work, const char *location, struct rc_buf *path,
                               struct rc_error *err)
{
    struct core_storage *storage = work->session->context.storage;
    struct rc_listing *listing = NULL;
    const struct rc_object *object = NULL;
    size_t root = path->len;
    enum rc_code code;

    if (core_storage_list(storage, location, NULL, &listing, err))
        return err->code;
    while (!(code = core_listing_next(listing, &object, err)) && object) {
        if (core_format_is_hidden(object->name))
            continue;
        rc_buf_truncate(path, root);
        rc_buf_adds(path, object->name);
        code = rc_buf_check(path, err);
        if (!code)
            code = add_file(work, path->data, err);
        if (code)
            break;
    }
    core_listing_close(listing);
    return code;
}

/* Of a URI that makes no sense it is told where it is read. */
static bool is_local(const struct attachment *work, const char *location)
{
    RC_BUF_AUTO(path, 64 * 1024);
    struct rc_error ignored = RC_ERROR_INIT;

    return core_storage_local_path(work->session->context.storage, location, &path, &ignored) !=
           RC_UNSUPPORTED;
}

static bool is_data(const char *name)
{
    return !core_format_is_hidden(name);
}

static enum rc_code add_copies(struct attachment *work, const struct core_staged *copies,
                               struct rc_error *err)
{
    const char *path;

    for (size_t i = 0; (path = core_staged_path(copies, i)) != NULL; i++)
        if (add_file(work, path, err))
            return err->code;
    return RC_OK;
}

static enum rc_code add_location(struct attachment *work, const char *location,
                                 struct rc_error *err)
{
    struct core_storage *storage = work->session->context.storage;
    RC_BUF_AUTO(path, 64 * 1024);
    struct rc_stat stat;

    if (core_storage_local_path(storage, location, &path, err))
        return err->code;
    if (rc_str_ends(location, "/"))
        return add_folder(work, location, &path, err);
    if (core_storage_stat(storage, location, &stat, err))
        return err->code == RC_NOT_FOUND ? RC_OK : err->code;
    return add_file(work, path.data, err);
}

/* ---- the view ------------------------------------------------------------------------------- */

static bool is_partition(const struct rc_sql_table *table, const char *name)
{
    for (size_t i = 0; i < table->partition_count; i++)
        if (strcasecmp(table->partitions[i].name, name) == 0)
            return true;
    return false;
}

static const char *path_column(const struct rc_sql_table *table)
{
    for (size_t i = 0; i < table->column_count; i++)
        if (strcasecmp(table->columns[i].name, PATH_COLUMN) == 0)
            return OTHER_PATH_COLUMN;
    return table->column_count ? PATH_COLUMN : OTHER_PATH_COLUMN;
}

/*
 * "name", as a text literal or identifier, then something, for each declared column of the files.
 */
static void add_columns(struct rc_buf *out, const struct rc_sql_table *table,
                        void (*add)(struct rc_buf *out, const struct rc_sql_column *column))
{
    const char *separator = "";

    for (size_t i = 0; i < table->column_count; i++) {
        if (is_partition(table, table->columns[i].name))
            continue;
        rc_buf_adds(out, separator);
        add(out, &table->columns[i]);
        separator = ", ";
    }
}

static void add_null(struct rc_buf *out, const struct rc_sql_column *column)
{
    rc_buf_addf(out, "CAST(NULL AS %s) AS ", column->type);
    rc_buf_add_ident(out, column->name);
}

static void add_cast(struct rc_buf *out, const struct rc_sql_column *column)
{
    rc_buf_adds(out, "CAST(");
    rc_buf_add_ident(out, column->name);
    rc_buf_addf(out, " AS %s) AS ", column->type);
    rc_buf_add_ident(out, column->name);
}

/*
 * Of read_parquet: a column that a file lacks is NULL, found without opening any file beforehand.
 */
static void add_parquet_column(struct rc_buf *out, const struct rc_sql_column *column)
{
    rc_buf_add_literal(out, column->name);
    rc_buf_adds(out, ": {name: ");
    rc_buf_add_literal(out, column->name);
    rc_buf_adds(out, ", type: ");
    rc_buf_add_literal(out, column->type);
    rc_buf_adds(out, ", default_value: NULL}");
}

static void add_typed_column(struct rc_buf *out, const struct rc_sql_column *column)
{
    rc_buf_add_literal(out, column->name);
    rc_buf_adds(out, ": ");
    rc_buf_add_literal(out, column->type);
}

/* Of read_csv: everything is read as text and cast afterwards. */
static void add_text_column(struct rc_buf *out, const struct rc_sql_column *column)
{
    rc_buf_add_literal(out, column->name);
    rc_buf_adds(out, ": 'varchar'");
}

/*
 * The text of a key's value, from the path's component. The path is the same for all rows of a
 * file, and functions such as instr() are then computed once for many rows; split_part() is
 * computed for each, which took a tenth of the time of an aggregation.
 */
static void add_partition_text(struct rc_buf *out, const struct rc_sql_table *table,
                               const struct group *group, size_t index)
{
    const char *key = table->partitions[index].name;
    RC_BUF_AUTO(rest, 64 * 1024);
    RC_STR_AUTO folder = rc_strf("/%s=", key);

    if (group->repeats) {
        rc_buf_addf(out, "substr(split_part(\"%s\", '/', %d), %zu)", path_column(table),
                    group->depth[index] + 1, strlen(key) + 2);
        return;
    }
    rc_buf_addf(&rest, "substr(\"%s\", instr(\"%s\", ", path_column(table), path_column(table));
    rc_buf_add_literal(&rest, folder);
    rc_buf_adds(&rest, ") + length(");
    rc_buf_add_literal(&rest, folder);
    rc_buf_adds(&rest, "))");
    rc_buf_addf(out, "substr(%s, 1, instr(%s, '/') - 1)", rest.data, rest.data);
}

/* The value of a key, as an expression over the path so that DuckDB opens only those files that a
 * condition on it leaves. */
static void add_partition(struct rc_buf *out, const struct rc_sql_table *table,
                          const struct group *group, size_t index)
{
    const struct rc_sql_column *column = &table->partitions[index];

    rc_buf_addf(out, "CAST(%s%s", group->nulls ? "nullif(" : "",
                group->escapes ? "url_decode(" : "");
    add_partition_text(out, table, group, index);
    rc_buf_addf(out, "%s%s AS %s) AS ", group->escapes ? ")" : "",
                group->nulls ? ", '" CORE_FORMAT_HIVE_NULL "')" : "", column->type);
    rc_buf_add_ident(out, column->name);
}

static bool names_column(const char *line, const char *name)
{
    RC_BUF_AUTO(field, 64 * 1024);

    while (core_duckdb_csv_field(&line, &field))
        if (strcasecmp(field.data, name) == 0)
            return true;
    return false;
}

/*
 * The arguments that say how the columns of CSV lie: as the header names them, or as they are
 * declared.
 */
static void add_csv_arguments(struct rc_buf *out, const struct rc_sql_table *table,
                              const char *header)
{
    RC_BUF_AUTO(field, 64 * 1024);
    const char *separator = "";

    rc_buf_addf(out,
                ", auto_detect = false" CORE_DUCKDB_CSV
                ", allow_quoted_nulls = false, header = %s, columns = {",
                header ? "true" : "false");
    if (!header)
        add_columns(out, table, add_text_column);
    for (; core_duckdb_csv_field(&header, &field); separator = ", ") {
        struct rc_sql_column column = { field.data, "varchar" };
        rc_buf_adds(out, separator);
        add_text_column(out, &column);
    }
    rc_buf_addc(out, '}');
}

/*
 * Appends the declared columns that the group's files have, and the arguments of its table
 * function.
 */
static void add_declared(const struct rc_sql_table *table, const struct group *group,
                         struct rc_buf *select, struct rc_buf *arguments)
{
    const char *separator = "";

    if (group->format == CORE_FORMAT_PARQUET) {
        rc_buf_adds(arguments, ", schema = MAP {");
        add_columns(arguments, table, add_parquet_column);
        rc_buf_addc(arguments, '}');
    } else if (group->format == CORE_FORMAT_JSON) {
        rc_buf_adds(arguments, ", format = 'newline_delimited', columns = {");
        add_columns(arguments, table, add_typed_column);
        rc_buf_addc(arguments, '}');
    } else {
        add_csv_arguments(arguments, table, group->header);
    }
    for (size_t i = 0; i < table->column_count; i++) {
        const char *name = table->columns[i].name;
        if (is_partition(table, name) || (group->header && !names_column(group->header, name)))
            continue;
        rc_buf_adds(select, separator);
        add_cast(select, &table->columns[i]);
        separator = ", ";
    }
}

/* The same where the files say which columns there are. */
static void add_discovered(const struct rc_sql_table *table, const struct group *group,
                           struct rc_buf *select, struct rc_buf *arguments)
{
    static const char *const by_format[] = {
        [CORE_FORMAT_PARQUET] = "",
        [CORE_FORMAT_JSON] = ", format = 'newline_delimited'",
        [CORE_FORMAT_CSV] = CORE_DUCKDB_CSV ", allow_quoted_nulls = false",
    };

    rc_buf_adds(select, "COLUMNS(lambda c: lower(c) NOT IN ('" OTHER_PATH_COLUMN "'");
    for (size_t i = 0; i < table->partition_count; i++) {
        rc_buf_adds(select, ", lower(");
        rc_buf_add_literal(select, table->partitions[i].name);
        rc_buf_addc(select, ')');
    }
    rc_buf_adds(select, "))");
    rc_buf_adds(arguments, ", union_by_name = true");
    rc_buf_adds(arguments, by_format[group->format]);
}

static enum rc_code add_group(const struct rc_sql_table *table, const struct group *group,
                              struct rc_buf *out, struct rc_error *err)
{
    static const char *const functions[] = { [CORE_FORMAT_PARQUET] = "read_parquet",
                                             [CORE_FORMAT_JSON] = "read_json",
                                             [CORE_FORMAT_CSV] = "read_csv" };
    RC_BUF_AUTO(select, CORE_DUCKDB_STATEMENT_LIMIT);
    RC_BUF_AUTO(arguments, CORE_DUCKDB_STATEMENT_LIMIT);

    if (table->column_count == 0)
        add_discovered(table, group, &select, &arguments);
    else
        add_declared(table, group, &select, &arguments);
    for (size_t i = 0; i < table->partition_count; i++) {
        rc_buf_adds(&select, select.len ? ", " : "");
        add_partition(&select, table, group, i);
    }
    rc_buf_addf(out, "SELECT %s FROM %s([", select.data, functions[group->format]);
    rc_buf_add(out, group->files.data, group->files.len);
    rc_buf_addf(out, "], hive_partitioning = false%s", arguments.data);
    if (table->partition_count > 0)
        /* 'true' names the column as DuckDB does, and only so are files left out. */
        rc_buf_addf(out, ", filename = %s",
                    rc_str_eq(path_column(table), PATH_COLUMN) ? "true"
                                                               : "'" OTHER_PATH_COLUMN "'");
    rc_buf_addc(out, ')');
    if (rc_buf_check(&select, err) || rc_buf_check(&arguments, err))
        return err->code;
    return RC_OK;
}

/*
 * The declared columns with no rows: gives the view its columns and types where a group lacks
 * some, or where there is no file. DuckDB removes it from every plan.
 */
static void add_empty(struct rc_buf *out, const struct rc_sql_table *table)
{
    rc_buf_adds(out, "SELECT ");
    add_columns(out, table, add_null);
    for (size_t i = 0; i < table->partition_count; i++) {
        rc_buf_adds(out, i || table->column_count ? ", " : "");
        add_null(out, &table->partitions[i]);
    }
    rc_buf_adds(out, " WHERE false");
}

static enum rc_code create_view(struct attachment *work, struct rc_error *err)
{
    const struct rc_sql_table *table = work->table;
    RC_BUF_AUTO(sql, CORE_DUCKDB_STATEMENT_LIMIT);

    rc_buf_adds(&sql, "CREATE OR REPLACE TEMP VIEW ");
    rc_buf_add_ident(&sql, table->name);
    rc_buf_adds(&sql, " AS ");
    if (table->column_count > 0)
        add_empty(&sql, table);
    for (size_t i = 0; i < work->group_count; i++) {
        rc_buf_adds(&sql, i || table->column_count ? " UNION ALL BY NAME " : "");
        if (add_group(table, &work->groups[i], &sql, err))
            return err->code;
    }
    if (rc_buf_check(&sql, err) || core_duckdb_drop(&work->session->base, table->name, err))
        return err->code;
    return core_duckdb_run(work->session, sql.data, NULL, 0, NULL, err);
}

static enum rc_code check_table(const struct rc_sql_table *table, struct rc_error *err)
{
    if (!table->name || !*table->name)
        return rc_fail(err, RC_INVALID, "an external table needs a name");
    if (table->partition_count > MAX_PARTITIONS)
        return rc_fail(err, RC_UNSUPPORTED, "at most %d partition columns are supported, not %zu",
                       MAX_PARTITIONS, table->partition_count);
    for (size_t i = 0; i < table->column_count + table->partition_count; i++) {
        const struct rc_sql_column *column = i < table->column_count
                                                 ? &table->columns[i]
                                                 : &table->partitions[i - table->column_count];
        if (!core_duckdb_is_type(column->type))
            return rc_fail(err, RC_INVALID,
                           "column '%s' has the type '%s'; known are varchar, bigint, integer, "
                           "double, boolean, date, timestamp and decimal(p,s)",
                           column->name, column->type);
    }
    return RC_OK;
}

/* What lies elsewhere is fetched all at once; the files stand in the order of the locations. */
static enum rc_code add_locations(struct attachment *work, struct rc_error *err)
{
    const struct rc_sql_table *table = work->table;
    const char **remote = rc_calloc(table->location_count + 1, sizeof(*remote));
    struct core_staged **copies = rc_calloc(table->location_count + 1, sizeof(*copies));
    size_t count = 0, next = 0;
    enum rc_code code = RC_OK;

    for (size_t i = 0; i < table->location_count; i++)
        if (!is_local(work, table->locations[i]))
            remote[count++] = table->locations[i];
    if (count > 0)
        code = core_duckdb_fetch(work->session, remote, count, is_data, copies, err);
    for (size_t i = 0; !code && i < table->location_count; i++) {
        if (next < count && remote[next] == table->locations[i])
            code = add_copies(work, copies[next++], err);
        else
            code = add_location(work, table->locations[i], err);
    }
    free(remote);
    free(copies);
    return code;
}

static enum rc_code attach_files(struct attachment *work, struct rc_error *err)
{
    const struct rc_sql_table *table = work->table;

    if (check_table(table, err) || add_locations(work, err))
        return err->code;
    if (work->group_count == 0 && table->column_count == 0)
        return rc_fail(err, RC_INVALID,
                       "there are no files, and no columns are declared that would do without");
    return create_view(work, err);
}

enum rc_code core_duckdb_attach(struct rc_sql *sql, const struct rc_sql_table *table,
                                struct rc_error *err)
{
    struct core_duckdb_session *session = (struct core_duckdb_session *)sql;
    struct attachment work = { .session = session, .table = table };
    enum rc_code code;

    work.groups = rc_calloc(MAX_GROUPS, sizeof(*work.groups));
    code = attach_files(&work, err);
    for (size_t i = 0; i < work.group_count; i++) {
        rc_buf_clear(&work.groups[i].files);
        free(work.groups[i].header);
    }
    free(work.groups);
    if (code == RC_OK) {
        core_duckdb_keep(session, table->name);
        return RC_OK;
    }
    core_duckdb_release(session, NULL);
    core_duckdb_name_objects(session, err);
    return rc_context(err, "attach table '%s'", table->name ? table->name : "");
}

/* ---- a table for others --------------------------------------------------------------------- */

/* Whether the files at a location could be a table's, as a listing tells. Nothing is fetched. */
static enum rc_code check_location(struct core_storage *storage, const struct rc_sql_table *table,
                                   const char *location, struct rc_error *err)
{
    struct rc_listing *listing = NULL;
    const struct rc_object *object = NULL;
    bool is_folder = rc_str_ends(location, "/");
    enum rc_code code;

    if (core_storage_list(storage, location, NULL, &listing, err))
        return err->code;
    while (!(code = core_listing_next(listing, &object, err)) && object) {
        RC_STR_AUTO path = rc_strf("%s%s", location, object->name);
        struct group found = { .format = CORE_FORMAT_PARQUET };

        if (core_format_is_hidden(object->name) || (!is_folder && *object->name))
            continue;
        code = judge_file(table, path, &found, err);
        if (code)
            break;
    }
    core_listing_close(listing);
    return code;
}

enum rc_code core_duckdb_publish_table(struct rc_sql *sql, const char *database,
                                       const struct rc_sql_table *table, struct rc_error *err)
{
    struct core_duckdb_session *session = (struct core_duckdb_session *)sql;
    enum rc_code code = check_table(table, err);

    for (size_t i = 0; !code && i < table->location_count; i++)
        code = check_location(session->context.storage, table, table->locations[i], err);
    if (code)
        return rc_context(err, "publish table '%s%s%s'", database ? database : "",
                          database ? "." : "", table->name ? table->name : "");
    return RC_OK;
}

enum rc_code core_duckdb_drop(struct rc_sql *sql, const char *table, struct rc_error *err)
{
    struct core_duckdb_session *session = (struct core_duckdb_session *)sql;
    static const char *const kinds[] = { "VIEW", "TABLE" };
    enum rc_code code = RC_OK;

    /* DROP VIEW fails where the name is that of a table, and the other way round. */
    for (size_t i = 0; i < RC_ARRAY_LEN(kinds); i++) {
        RC_BUF_AUTO(text, 64 * 1024);

        rc_buf_addf(&text, "DROP %s IF EXISTS ", kinds[i]);
        rc_buf_add_ident(&text, table);
        code = rc_buf_check(&text, err);
        if (!code)
            code = core_duckdb_run(session, text.data, NULL, 0, NULL, err);
        if (!code)
            core_duckdb_release(session, table);
        if (!code || code == RC_CANCELLED || code == RC_TIMEOUT)
            return code;
    }
    return code;
}
