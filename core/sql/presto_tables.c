/*
 * The names of a session: what it makes in the catalogue and below its folder, what it refers to
 * there, and how all of that goes again. Tables over files are the others' work.
 */
#include <sql/presto.h>

#include <run-core/str.h>

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
    NAME_LIMIT = 64 * 1024,
    MARK_LIMIT = 64 * 1024,
    HINT_LENGTH = 32,   /* catalogues take names of some 128 characters, a session has up to 48 */
    REMOVE_BATCH = 500, /* objects that are removed by one call */
};

/* ---- names in the catalogue ----------------------------------------------------------------- */

const char *core_presto_catalog(const struct core_presto *session)
{
    const struct core_engine_settings *settings = session->context.settings;

    return settings->work_catalog ? settings->work_catalog : settings->catalog;
}

void core_presto_add_from(const struct core_presto *session, struct rc_buf *out,
                          const char *database, const char *table)
{
    const char *dot = strchr(database, '.');
    RC_STR_AUTO catalog = dot ? rc_strndup(database, (size_t)(dot - database))
                              : rc_strdup(core_presto_catalog(session));

    if (catalog) {
        rc_buf_add_ident(out, catalog);
        rc_buf_addc(out, '.');
    }
    rc_buf_add_ident(out, dot ? dot + 1 : database);
    rc_buf_addc(out, '.');
    rc_buf_add_ident(out, table);
}

/* What every catalogue takes for a name of the plugin's. */
static void add_hint(struct rc_buf *out, const char *hint)
{
    for (size_t i = 0; hint[i] && i < HINT_LENGTH; i++) {
        char c = hint[i];

        if (c >= 'A' && c <= 'Z')
            c = (char)(c - 'A' + 'a');
        rc_buf_addc(out, (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ? c : '_');
    }
}

void core_presto_new_name(struct core_presto *session, const char *hint,
                          struct core_presto_name *out)
{
    RC_BUF_AUTO(table, NAME_LIMIT);
    RC_BUF_AUTO(ddl, NAME_LIMIT);
    RC_BUF_AUTO(from, NAME_LIMIT);

    rc_buf_adds(&table, session->prefix);
    add_hint(&table, hint);
    rc_buf_addf(&table, "_%u", ++session->made);
    session->dialect->add_ddl_name(session, &ddl, session->database, table.data);
    core_presto_add_from(session, &from, session->database, table.data);
    *out = (struct core_presto_name){
        .folder = rc_strf("%s%s/", session->work, table.data),
        .there = rc_strf("%s%s/", session->work_there, table.data),
    };
    out->table = rc_buf_take(&table);
    out->ddl = rc_buf_take(&ddl);
    out->from = rc_buf_take(&from);
}

void core_presto_name_clear(struct core_presto_name *name)
{
    free(name->table);
    free(name->ddl);
    free(name->from);
    free(name->folder);
    free(name->there);
    *name = (struct core_presto_name){ .table = NULL };
}

enum rc_code core_presto_find_partitions(struct core_presto *session, const char *database,
                                         const char *table, struct rc_error *err)
{
    const struct core_presto_dialect *dialect = session->dialect;
    RC_BUF_AUTO(text, CORE_PRESTO_STATEMENT_LIMIT);

    if (dialect->add_find_partitions)
        dialect->add_find_partitions(session, database, table, &text);
    return text.len > 0 ? core_presto_run(session, CORE_PRESTO_DDL, &text, NULL, err) : RC_OK;
}

enum rc_code core_presto_create(struct core_presto *session, const char *database,
                                const char *table, const struct core_presto_external *external,
                                struct rc_error *err)
{
    RC_BUF_AUTO(text, CORE_PRESTO_STATEMENT_LIMIT);

    session->dialect->add_create(external, &text);
    if (core_presto_run(session, CORE_PRESTO_DDL, &text, NULL, err))
        return rc_context(err, "make a table over '%s'", external->location);
    if (external->partition_count > 0 && core_presto_find_partitions(session, database, table, err))
        return rc_context(err, "look for the partitions in '%s'", external->location);
    return RC_OK;
}

/* ---- what lies in the session's folder ------------------------------------------------------ */

enum rc_code core_presto_begin_work(struct core_presto *session, struct rc_error *err)
{
    RC_STR_AUTO uri = rc_strf("%s" CORE_PRESTO_MARK, session->work);
    RC_BUF_AUTO(mark, MARK_LIMIT);

    if (session->is_ready)
        return RC_OK;
    core_presto_sweep(session);
    core_presto_add_mark(session, &mark);
    if (rc_buf_check(&mark, err))
        return err->code;
    session->has_work = true; /* also where it is not known whether the mark was written */
    if (core_storage_put(&session->storage, uri, mark.data, mark.len, /* if_match = */ NULL, err))
        return rc_context(err, "begin the session's folder '%s'", session->work);
    if (session->dialect->begin_work && session->dialect->begin_work(session, err))
        return rc_context(err, "make a place for the session's tables");
    session->is_ready = true;
    return RC_OK;
}

static void free_uris(char **uris, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(uris[i]);
}

/* Takes up to REMOVE_BATCH names of a listing; the mark of a session is not one of them. */
static enum rc_code take_batch(struct rc_listing *listing, const char *folder, char **uris,
                               size_t *count, struct rc_error *err)
{
    const struct rc_object *object = NULL;
    enum rc_code code = RC_OK;

    *count = 0;
    while (*count < REMOVE_BATCH && !(code = core_listing_next(listing, &object, err)) && object)
        if (!rc_str_eq(object->name, CORE_PRESTO_MARK))
            uris[(*count)++] = rc_strf("%s%s", folder, object->name);
    return code;
}

enum rc_code core_presto_empty(struct core_presto *session, const char *folder,
                               struct rc_error *err)
{
    char **uris = rc_calloc(REMOVE_BATCH, sizeof(*uris));
    struct rc_listing *listing = NULL;
    enum rc_code code = core_storage_list(&session->storage, folder, NULL, &listing, err);
    size_t count = 1;

    while (!code && count > 0) {
        code = take_batch(listing, folder, uris, &count, err);
        if (!code && count > 0)
            code = core_presto_check(session, err);
        if (!code && count > 0)
            code = core_storage_remove(&session->storage, (const char *const *)uris, count, err);
        free_uris(uris, count);
    }
    core_listing_close(listing);
    free(uris);
    if (code == RC_NOT_FOUND) /* not even a bucket */
        return RC_OK;
    return code ? rc_context(err, "empty the folder '%s'", folder) : RC_OK;
}

void core_presto_remove_folder(struct core_presto *session, const char *folder)
{
    struct rc_error ignored = RC_ERROR_INIT;

    if (rc_str_starts(folder, "file://"))
        (void)!core_storage_bucket_remove(&session->storage, folder, &ignored);
}

enum rc_code core_presto_forget(struct core_presto *session, const struct core_presto_name *name,
                                struct rc_error *err)
{
    RC_BUF_AUTO(text, CORE_PRESTO_STATEMENT_LIMIT);

    rc_buf_addf(&text, "DROP TABLE IF EXISTS %s", name->ddl);
    if (core_presto_run(session, CORE_PRESTO_DDL, &text, NULL, err))
        return rc_context(err, "drop the table %s", name->ddl);
    if (!name->folder)
        return RC_OK;
    if (core_presto_empty(session, name->folder, err))
        return err->code;
    core_presto_remove_folder(session, name->folder);
    return RC_OK;
}

/* ---- names of the session ------------------------------------------------------------------- */

static struct core_presto_table **find(struct core_presto *session, const char *name)
{
    struct core_presto_table **at = &session->tables;

    while (*at && strcasecmp((*at)->name, name) != 0)
        at = &(*at)->next;
    return at;
}

const struct core_presto_table *core_presto_find(const struct core_presto *session,
                                                 const char *name)
{
    const struct core_presto_table *table = session->tables;

    while (table && strcasecmp(table->name, name) != 0)
        table = table->next;
    return table;
}

static void free_table(struct core_presto_table *table)
{
    for (size_t i = 0; i < table->name_count; i++)
        core_presto_name_clear(&table->names[i]);
    for (size_t i = 0; i < table->location_count; i++) {
        free(table->locations[i].given);
        free(table->locations[i].there);
    }
    free(table->names);
    free(table->locations);
    free(table->name);
    free(table->from);
    free(table->from_paths);
    free(table);
}

void core_presto_discard(struct core_presto *session, struct core_presto_table *table)
{
    struct core_presto_tidying before;

    core_presto_tidy(session, &before);
    for (size_t i = table->name_count; i-- > 0;) {
        struct rc_error err = RC_ERROR_INIT;

        if (core_presto_forget(session, &table->names[i], &err))
            core_presto_say(session, RC_LOG_WARN, "%s: %s; it is tried again at the session's end",
                            err.context, err.cause);
    }
    core_presto_tidied(session, &before);
    free_table(table);
}

void core_presto_keep(struct core_presto *session, struct core_presto_table *table)
{
    struct core_presto_table **at = find(session, table->name);
    struct core_presto_table *older = *at;

    if (older)
        *at = older->next;
    table->next = session->tables;
    session->tables = table;
    if (older)
        core_presto_discard(session, older);
}

void core_presto_add_table(struct rc_sql *sql, struct rc_buf *out, const char *table)
{
    const struct core_presto_table *found =
        core_presto_find((const struct core_presto *)sql, table);

    if (found)
        rc_buf_adds(out, found->from);
    else
        rc_buf_add_ident(out, table);
}

static enum rc_code drop(struct core_presto *session, const char *name, struct rc_error *err)
{
    struct core_presto_table **at = find(session, name);
    struct core_presto_table *table = *at;

    if (!table)
        return RC_OK;
    for (size_t i = table->name_count; i-- > 0;)
        if (core_presto_forget(session, &table->names[i], err))
            return err->code;
    *at = table->next;
    free_table(table);
    return RC_OK;
}

enum rc_code core_presto_drop(struct rc_sql *sql, const char *table, struct rc_error *err)
{
    struct core_presto *session = (struct core_presto *)sql;
    enum rc_code code = core_presto_begin(session, err);

    if (code)
        return code;
    code = drop(session, table, err);
    core_presto_done(session);
    return code;
}

struct core_presto_table *core_presto_new_table(struct core_presto *session, const char *name)
{
    struct core_presto_table *table = rc_calloc(1, sizeof(*table));

    table->name = rc_strdup(name);
    table->names = rc_calloc(1, sizeof(*table->names));
    table->name_count = 1;
    core_presto_new_name(session, name, &table->names[0]);
    table->from = rc_strdup(table->names[0].from);
    return table;
}

/* ---- make ----------------------------------------------------------------------------------- */

enum rc_code core_presto_number(struct core_presto *session, const struct rc_buf *text,
                                int64_t *number, struct rc_error *err)
{
    const struct rc_value *row = NULL;
    RC_ROWS_AUTO(result);

    if (core_presto_ask(session, text, &result, err) || rc_rows_next(result, &row, err))
        return err->code;
    if (!row || row[0].type != RC_VALUE_INT)
        return rc_fail(err, RC_CORRUPT, "the server answers a count with no number");
    *number = row[0].integer;
    return RC_OK;
}

static enum rc_code count_rows(struct core_presto *session, const char *from, int64_t *rows,
                               struct rc_error *err)
{
    RC_BUF_AUTO(text, CORE_PRESTO_STATEMENT_LIMIT);

    rc_buf_addf(&text, "SELECT count(*) FROM %s", from);
    if (core_presto_number(session, &text, rows, err))
        return rc_context(err, "count the rows of the table");
    return RC_OK;
}

enum rc_code core_presto_run_make(struct core_presto *session, const struct core_presto_name *name,
                                  const struct core_presto_made *made, struct rc_buf *text,
                                  int64_t *updated, struct rc_error *err)
{
    struct core_presto_made named = *made;

    named.table = name->ddl;
    named.location = name->there;
    *updated = -1;
    if (session->dialect->set_compression)
        session->dialect->set_compression(session, made->compression);
    session->dialect->add_make(&named, text);
    return core_presto_run(session, CORE_PRESTO_DML, text, updated, err);
}

static enum rc_code make(struct core_presto *session, const struct core_presto_name *name,
                         const struct rc_buf *query, int64_t *rows, struct rc_error *err)
{
    /* Of what is read once or twice: what is quickest to make. */
    const struct core_presto_made made = { .query = query->data,
                                           .format = "parquet",
                                           .compression = "snappy" };
    RC_BUF_AUTO(text, CORE_PRESTO_STATEMENT_LIMIT);
    int64_t updated;

    if (core_presto_run_make(session, name, &made, &text, &updated, err))
        return err->code;
    if (rows && updated < 0)
        return count_rows(session, name->from, rows, err);
    if (rows)
        *rows = updated;
    return RC_OK;
}

enum rc_code core_presto_make(struct rc_sql *sql, const char *table, const char *query,
                              const struct rc_value *params, size_t param_count, int64_t *rows,
                              struct rc_error *err)
{
    struct core_presto *session = (struct core_presto *)sql;
    struct core_presto_table *made = NULL;
    RC_BUF_AUTO(text, CORE_PRESTO_STATEMENT_LIMIT);
    enum rc_code code = core_presto_begin(session, err);

    if (code)
        return code;
    code = core_presto_bind(query, params, param_count, &text, err);
    if (!code)
        code = core_presto_begin_work(session, err);
    if (!code) {
        made = core_presto_new_table(session, table);
        code = make(session, &made->names[0], &text, rows, err);
    }
    if (!code)
        core_presto_keep(session, made);
    else if (made)
        core_presto_discard(session, made);
    core_presto_done(session);
    return code ? rc_context(err, "make table '%s'", table) : RC_OK;
}

/* ---- refer ---------------------------------------------------------------------------------- */

/* Catalogues keep names in lower case. */
static void add_lower(struct rc_buf *out, const char *name)
{
    RC_STR_AUTO lower = rc_strdup(name);

    for (char *c = lower; *c; c++)
        if (*c >= 'A' && *c <= 'Z')
            *c = (char)(*c - 'A' + 'a');
    rc_buf_add_literal(out, lower);
}

void core_presto_add_schema(const struct core_presto *session, struct rc_buf *out,
                            const char *database, const char *view, const char *table)
{
    const char *dot = strchr(database, '.');
    RC_STR_AUTO catalog = dot ? rc_strndup(database, (size_t)(dot - database))
                              : rc_strdup(core_presto_catalog(session));

    if (catalog) {
        rc_buf_add_ident(out, catalog);
        rc_buf_addc(out, '.');
    }
    rc_buf_addf(out, "information_schema.%s WHERE %s = ", view,
                table ? "table_schema" : "schema_name");
    add_lower(out, dot ? dot + 1 : database);
    if (table) {
        rc_buf_adds(out, " AND table_name = ");
        add_lower(out, table);
    }
}

static enum rc_code refer(struct core_presto *session, const char *table, const char *database,
                          const char *name, struct rc_error *err)
{
    RC_BUF_AUTO(text, NAME_LIMIT);
    RC_BUF_AUTO(from, NAME_LIMIT);
    struct core_presto_table *referred;
    int64_t columns = 0;

    rc_buf_adds(&text, "SELECT count(*) FROM ");
    core_presto_add_schema(session, &text, database, "columns", name);
    core_presto_add_from(session, &from, database, name);
    if (rc_buf_check(&from, err) || core_presto_number(session, &text, &columns, err))
        return err->code;
    if (columns == 0)
        return rc_fail(err, RC_NOT_FOUND,
                       "the catalogue has no table %s, or this user may not see it", from.data);
    referred = rc_calloc(1, sizeof(*referred));
    referred->name = rc_strdup(table);
    referred->from = rc_buf_take(&from);
    core_presto_keep(session, referred);
    return RC_OK;
}

enum rc_code core_presto_refer(struct rc_sql *sql, const char *table, const char *database,
                               const char *name, struct rc_error *err)
{
    struct core_presto *session = (struct core_presto *)sql;
    const struct core_engine_settings *settings = session->context.settings;
    const char *named = database ? database : settings->database ? settings->database : "default";
    RC_STR_AUTO elsewhere = settings->work_catalog && !strchr(named, '.')
                                ? rc_strf("%s.%s", settings->catalog, named)
                                : NULL;
    enum rc_code code = core_presto_begin(session, err);

    if (code)
        return code;
    code = refer(session, table, elsewhere ? elsewhere : named, name, err);
    core_presto_done(session);
    return code ? rc_context(err, "look for the table '%s'", name) : RC_OK;
}
