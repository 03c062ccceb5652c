/*
 * Tables that stay in the catalogue, for others to read. Only a table over files is replaced: what
 * holds its data itself would be lost.
 */
#include <sql/presto.h>
#include <sql/presto_folders.h>

#include <os/clock.h>

#include <run-core/str.h>
#include <run-core/time.h>

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { NAME_LIMIT = 64 * 1024 };

struct publication {
    struct core_presto *session;
    const struct rc_sql_table *table;
    const char *database; /* plain */
    char *ddl;            /* the table's name, complete, as DDL wants it */
    struct rc_buf older;  /* the statement that makes the table of that name which there is */
    struct rc_buf newer;  /* and the one that makes the new one */
    struct rc_buf there;  /* the location as the server has it */
    struct core_presto_folders folders;
    struct core_arena arena;
};

/* ---- what is there -------------------------------------------------------------------------- */

static enum rc_code find_database(struct publication *work, struct rc_error *err)
{
    const char *catalog = core_presto_catalog(work->session);
    RC_BUF_AUTO(text, NAME_LIMIT);
    int64_t count = 0;

    rc_buf_adds(&text, "SELECT count(*) FROM ");
    core_presto_add_schema(work->session, &text, work->database, "schemata", NULL);
    if (core_presto_number(work->session, &text, &count, err))
        return rc_context(err, "look for the database '%s'", work->database);
    return count > 0 ? RC_OK
                     : rc_fail(err, RC_NOT_FOUND,
                               "the catalogue%s%s%s has no database '%s', or this user may not see "
                               "it; make it first",
                               catalog ? " '" : "", catalog ? catalog : "", catalog ? "'" : "",
                               work->database);
}

/* The first text of a result, or of several rows all of them; empty: there is none. */
static enum rc_code read_texts(struct core_presto *session, const struct rc_buf *text,
                               struct rc_buf *out, struct rc_error *err)
{
    const struct rc_value *row = NULL;
    enum rc_code code;
    RC_ROWS_AUTO(rows);

    if (core_presto_ask(session, text, &rows, err))
        return err->code;
    while (!(code = rc_rows_next(rows, &row, err)) && row)
        if (row[0].type == RC_VALUE_TEXT)
            rc_buf_addf(out, "%s\n", row[0].text);
    return code ? code : rc_buf_check(out, err);
}

/* Trino says where files of others are, Athena what kind of table it is. */
static bool is_over_files(const char *definition)
{
    return strncasecmp(definition, "CREATE EXTERNAL TABLE", strlen("CREATE EXTERNAL TABLE")) == 0 ||
           strstr(definition, "\n   external_location = '") != NULL;
}

static enum rc_code conflict(const struct publication *work, const char *what, struct rc_error *err)
{
    return rc_fail(err, RC_CONFLICT,
                   "the catalogue has a %s of the name %s, which is no table over files: it is not "
                   "replaced; remove it, or take another name",
                   what, work->ddl);
}

/* "VIEW\n" or the like; empty: there is nothing of that name. */
static enum rc_code find_kind(struct publication *work, struct rc_buf *kind, struct rc_error *err)
{
    RC_BUF_AUTO(text, NAME_LIMIT);

    rc_buf_adds(&text, "SELECT table_type FROM ");
    core_presto_add_schema(work->session, &text, work->database, "tables", work->table->name);
    if (read_texts(work->session, &text, kind, err))
        return rc_context(err, "look for an older table of that name");
    return RC_OK;
}

/* Whether there is a table of that name, which may be replaced; empty: there is none. */
static enum rc_code find_older(struct publication *work, struct rc_error *err)
{
    RC_BUF_AUTO(text, NAME_LIMIT);
    RC_BUF_AUTO(kind, NAME_LIMIT);

    if (find_kind(work, &kind, err))
        return err->code;
    if (kind.len == 0)
        return RC_OK;
    if (strcasecmp(kind.data, "VIEW\n") == 0)
        return conflict(work, "view", err);
    rc_buf_addf(&text, "SHOW CREATE TABLE %s", work->ddl);
    if (read_texts(work->session, &text, &work->older, err))
        return rc_context(err, "look at the older table of that name");
    return is_over_files(work->older.data) ? RC_OK : conflict(work, "table", err);
}

/* ---- the new one ---------------------------------------------------------------------------- */

/* All files have to lie in folders of one shape right below the location. */
static enum rc_code check_folders(const struct publication *work, struct rc_error *err)
{
    const struct rc_sql_table *table = work->table;
    const struct core_presto_folder *first = work->folders.items;

    for (size_t i = 0; i < table->partition_count; i++)
        for (const char *c = table->partitions[i].name; *c; c++)
            if (*c >= 'A' && *c <= 'Z')
                return rc_fail(err, RC_UNSUPPORTED,
                               "the catalogue turns the name of the key '%s' into small letters, "
                               "and then finds no folders '%s=...'",
                               table->partitions[i].name, table->partitions[i].name);
    for (size_t i = 0; i < work->folders.count; i++) {
        const struct core_presto_folder *folder = &work->folders.items[i];

        if (folder->base_len != strlen(table->locations[0]) ||
            folder->key_count != table->partition_count)
            return rc_fail(err, RC_UNSUPPORTED,
                           "the files in '%s' lie deeper than in the folders of the table's %zu "
                           "partition keys below '%s', where the server does not look",
                           folder->uri, table->partition_count, table->locations[0]);
        if (memcmp(folder->keys, first->keys, first->key_count) != 0)
            return rc_fail(err, RC_UNSUPPORTED,
                           "the keys in '%s' and '%s' have different orders; a table has one",
                           first->uri, folder->uri);
        if (folder->format != first->format)
            return rc_fail(err, RC_UNSUPPORTED,
                           "the files in '%s' and '%s' have different formats; a table has one",
                           first->uri, folder->uri);
        for (size_t key = 0; key < folder->key_count; key++)
            if (!core_presto_key_is_plain(work->session->dialect, &table->partitions[key],
                                          &folder->values[key]))
                return rc_fail(err, RC_UNSUPPORTED,
                               "the catalogue cannot have the folder '%s' for a partition '%s'",
                               folder->uri, table->partitions[key].name);
    }
    return RC_OK;
}

/*
 * What is not there yet has no values: days begin today, numbers at zero. Days go on, and a
 * catalogue that makes up the folders from values is told so; not where some are of days to come,
 * as its range would end before them. Its present day is the real one.
 */
static void describe_keys(struct publication *work, struct core_presto_partition *keys)
{
    const struct rc_sql_table *table = work->table;
    const struct core_presto_folder *first = work->folders.count ? work->folders.items : NULL;
    int64_t today = core_clock_now_unix_ms() / RC_DAY_MS;

    for (size_t i = 0; i < table->partition_count; i++) {
        size_t partition = first ? first->keys[i] : i;
        const struct rc_sql_column *column = &table->partitions[partition];

        core_presto_key_describe(
            column,
            core_presto_key_list(&work->arena, work->folders.items, work->folders.count, partition),
            &keys[i]);
        if (!first && strcasecmp(column->type, "date") == 0) {
            keys[i].range = CORE_PARTITION_DAYS;
            keys[i].least = keys[i].greatest = today;
        } else if (!first && strcasecmp(column->type, "varchar") != 0) {
            keys[i].range = CORE_PARTITION_NUMBERS;
        }
        keys[i].grows = keys[i].range == CORE_PARTITION_DAYS &&
                        keys[i].greatest <= core_clock_real_unix_ms() / RC_DAY_MS;
    }
}

static enum rc_code describe(struct publication *work, struct rc_error *err)
{
    const struct rc_sql_table *table = work->table;
    struct rc_sql_column *columns =
        core_arena_alloc(&work->arena, table->column_count * sizeof(*columns));
    struct core_presto_partition keys[CORE_PRESTO_KEYS] = { { .name = NULL } };
    enum core_format format = CORE_FORMAT_PARQUET;
    size_t count = 0;

    for (size_t i = 0; i < table->column_count; i++) {
        bool is_key = false;

        for (size_t key = 0; key < table->partition_count; key++)
            is_key = is_key || strcasecmp(table->partitions[key].name, table->columns[i].name) == 0;
        if (!is_key)
            columns[count++] = table->columns[i];
    }
    describe_keys(work, keys);
    if (work->folders.count > 0)
        format = work->folders.items[0].format;
    else if (table->format && core_format_find(table->format, "", &format, err))
        return err->code;
    if (core_presto_there(work->session, table->locations[0], &work->there, err))
        return err->code;
    work->session->dialect->add_create(
        &(struct core_presto_external){
            .table = work->ddl,
            .columns = columns,
            .column_count = count,
            .partitions = keys,
            .partition_count = table->partition_count,
            .location = work->there.data,
            .format = core_format_name(format),
        },
        &work->newer);
    return RC_OK;
}

static enum rc_code create(struct publication *work, struct rc_error *err)
{
    if (core_presto_run(work->session, CORE_PRESTO_DDL, &work->newer, NULL, err))
        return rc_context(err, "make a table over '%s'", work->there.data);
    return RC_OK;
}

/* Takes long where there are many; a wish to stop ends it. Servers fail where nothing lies. */
static enum rc_code find_partitions(struct publication *work, struct rc_error *err)
{
    if (work->table->partition_count > 0 && work->folders.count > 0 &&
        core_presto_find_partitions(work->session, work->database, work->table->name, err))
        return rc_context(err, "look for the partitions in '%s'", work->there.data);
    return RC_OK;
}

static enum rc_code drop(struct publication *work, struct rc_error *err)
{
    RC_BUF_AUTO(text, NAME_LIMIT);

    rc_buf_addf(&text, "DROP TABLE IF EXISTS %s", work->ddl);
    return core_presto_run(work->session, CORE_PRESTO_DDL, &text, NULL, err);
}

/* A table that nobody had before: none is left when it is not complete. */
static enum rc_code make_first(struct publication *work, struct rc_error *err)
{
    struct core_presto_tidying before;
    struct rc_error failed = RC_ERROR_INIT;
    enum rc_code code;

    /* It is known of a statement that has ended whether the table is there, and whose it is. */
    core_presto_tidy(work->session, &before);
    code = create(work, err);
    core_presto_tidied(work->session, &before);
    if (code)
        return code;
    code = find_partitions(work, err);
    if (!code)
        return RC_OK;
    core_presto_tidy(work->session, &before);
    if (drop(work, &failed))
        code = rc_context(err, "the new table stays without all its partitions");
    core_presto_tidied(work->session, &before);
    return code;
}

/* ---- in place of the older one -------------------------------------------------------------- */

/* Whoever reads this can run it. */
static const char *lost(const struct publication *work, const char *how, const struct rc_error *why)
{
    core_presto_say(work->session, RC_LOG_ERROR,
                    "the older table %s %s (%s); this statement makes it: %.3000s", work->ddl, how,
                    why->cause, work->older.data);
    return how;
}

/* What is left of the new table goes, and the older one comes back; says what became of it. */
static const char *restore(struct publication *work, bool is_dropped)
{
    struct rc_error failed = RC_ERROR_INIT;
    RC_BUF_AUTO(kind, NAME_LIMIT);

    /* The server may have dropped it without our knowing. */
    if (!is_dropped && find_kind(work, &kind, &failed))
        return lost(work, "may have gone", &failed);
    if (kind.len > 0)
        return NULL;
    if ((is_dropped && drop(work, &failed)) ||
        core_presto_run(work->session, CORE_PRESTO_DDL, &work->older, NULL, &failed))
        return lost(work, "has gone", &failed);
    if (strstr(work->older.data, "partitioned_by") &&
        core_presto_find_partitions(work->session, work->database, work->table->name, &failed))
        return "was put back without all its partitions";
    return "was put back";
}

/* There is no table for a moment, which is kept short though the run is to stop. */
static enum rc_code swap(struct publication *work, bool *is_dropped, struct rc_error *err)
{
    struct core_presto_tidying before;
    enum rc_code code;

    core_presto_tidy(work->session, &before);
    code = drop(work, err);
    *is_dropped = code == RC_OK;
    code = code ? rc_context(err, "drop the older table") : create(work, err);
    core_presto_tidied(work->session, &before);
    return code;
}

/* Whether the older table may have partitions, which are not there any more and cannot be found. */
static bool has_lost_all(const struct publication *work)
{
    return work->session->dialect->add_find_partitions && work->table->partition_count > 0 &&
           work->folders.count == 0;
}

static enum rc_code replace(struct publication *work, struct rc_error *err)
{
    struct core_presto_tidying before;
    bool is_dropped;
    const char *outcome;

    if (core_presto_is_same(work->older.data, work->newer.data) && !has_lost_all(work))
        return find_partitions(work, err);
    if (!swap(work, &is_dropped, err) && !find_partitions(work, err))
        return RC_OK;
    /* In a time of its own: that of the swap may be what is over. */
    core_presto_tidy(work->session, &before);
    outcome = restore(work, is_dropped);
    core_presto_tidied(work->session, &before);
    return outcome ? rc_context(err, "the older table %s", outcome) : err->code;
}

static enum rc_code publish(struct publication *work, struct rc_error *err)
{
    struct core_presto *session = work->session;
    RC_BUF_AUTO(ddl, NAME_LIMIT);

    if (core_presto_check_table(session, work->table, err))
        return err->code;
    if (work->table->location_count != 1)
        return rc_fail(err, RC_UNSUPPORTED,
                       "a table of the catalogue lies at one location, not at %zu",
                       work->table->location_count);
    session->dialect->add_ddl_name(session, &ddl, work->database, work->table->name);
    work->ddl = rc_buf_take(&ddl);
    if (core_presto_list_folders(&session->storage, work->table, session->dialect->reads_nested,
                                 &work->folders, err) ||
        check_folders(work, err) || describe(work, err) || find_database(work, err) ||
        find_older(work, err))
        return err->code;
    return work->older.len > 0 ? replace(work, err) : make_first(work, err);
}

/* The database without its catalogue, which has to be that of the session. */
static enum rc_code plain_database(const struct core_presto *session, const char *database,
                                   const char **out, struct rc_error *err)
{
    const char *catalog = core_presto_catalog(session);
    const char *dot = strchr(database, '.');
    size_t len = dot ? (size_t)(dot - database) : 0;

    *out = dot ? dot + 1 : database;
    if (!dot || (catalog && strlen(catalog) == len && strncasecmp(catalog, database, len) == 0))
        return RC_OK;
    return rc_fail(
        err, RC_UNSUPPORTED,
        "tables are left in the engine's catalogue of tables over files%s%s%s only, not in "
        "'%.*s'",
        catalog ? " '" : "", catalog ? catalog : "", catalog ? "'" : "", (int)len, database);
}

enum rc_code core_presto_publish(struct rc_sql *sql, const char *database,
                                 const struct rc_sql_table *table, struct rc_error *err)
{
    struct core_presto *session = (struct core_presto *)sql;
    struct publication work = {
        .session = session,
        .table = table,
        .older = RC_BUF_INIT(CORE_PRESTO_STATEMENT_LIMIT),
        .newer = RC_BUF_INIT(CORE_PRESTO_STATEMENT_LIMIT),
        .there = RC_BUF_INIT(NAME_LIMIT),
        .arena = CORE_ARENA_INIT,
    };
    const char *own = session->context.settings->database;
    enum rc_code code = core_presto_begin(session, err);

    if (code)
        return code;
    code = plain_database(session,
                          database ? database
                          : own    ? own
                                   : "default",
                          &work.database, err);
    if (!code)
        code = publish(&work, err);
    free(work.ddl);
    rc_buf_clear(&work.older);
    rc_buf_clear(&work.newer);
    rc_buf_clear(&work.there);
    core_presto_folders_clear(&work.folders);
    core_arena_clear(&work.arena);
    core_presto_done(session);
    return code ? rc_context(err, "publish table '%s'", table->name ? table->name : "") : RC_OK;
}
