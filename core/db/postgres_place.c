/*
 * The state as schemas of PostgreSQL: run_core for the core, run_core_NAME for each plugin, and
 * what a dry run gets instead of a plugin's schema.
 */
#include <db/internal.h>
#include <db/postgres.h>

#include <run-core/buf.h>
#include <run-core/str.h>

#include <stdlib.h>
#include <string.h>

enum {
    LIMIT_MS = 5000, /* for a statement of the core's: it may not stand still for longer */
    NAME_LIMIT = 63, /* of a schema's name; PostgreSQL cuts longer ones without a word */
    STATEMENT_LIMIT = 4096,
};

static const char core_schema[] = "run_core";

/* Released migrations never change. */
static const struct rc_migration first = {
    1, "CREATE TABLE locks ("
       "name TEXT PRIMARY KEY, "
       "token BIGINT NOT NULL, " /* of the latest holder; stays when the lock is free */
       "holder TEXT, "           /* NULL: free */
       "host TEXT, pid BIGINT, start_ticks BIGINT, "
       "acquired_unix_ms BIGINT, expires_unix_ms BIGINT)"
};

static bool postgres_knows(const char *url)
{
    return rc_str_starts(url, "postgresql://") || rc_str_starts(url, "postgres://");
}

static enum rc_code postgres_open(const char *url, bool durable, struct core_session **out,
                                  struct rc_error *err)
{
    struct core_postgres *db;

    (void)durable; /* as the server's synchronous_commit says, which is on by default */
    if (core_postgres_open(url, core_schema, LIMIT_MS, /* rehearsal = */ false, /* cancel = */ NULL,
                           &db, err))
        return err->code;
    *out = &db->session;
    return RC_OK;
}

static enum rc_code postgres_open_plugin(const char *url, const char *plugin, bool rehearsal,
                                         const struct core_cancel *cancel,
                                         struct core_session **out, struct rc_error *err)
{
    RC_STR_AUTO schema = rc_strf("%s_%s", core_schema, plugin);
    struct core_postgres *db;

    if (strlen(schema) > NAME_LIMIT)
        return rc_fail(err, RC_INVALID,
                       "the plugin's name '%s' is too long for a schema of PostgreSQL: at most %zu "
                       "bytes",
                       plugin, NAME_LIMIT - strlen(core_schema) - 1);
    if (core_postgres_open(url, schema, /* limit_ms = */ 0, rehearsal, cancel, &db, err))
        return err->code;
    db->session.walled = true;
    db->session.own = false;
    *out = &db->session;
    return RC_OK;
}

static enum rc_code postgres_copy_plugin(const char *url, const char *plugin, const char *directory,
                                         char **out, struct rc_error *err)
{
    (void)plugin;
    (void)directory;
    (void)err;
    *out = rc_strdup(url); /* copied are only the tables that are changed, and that by the server */
    return RC_OK;
}

/* ---- schemas ------------------------------------------------------------------------------ */

static enum rc_code exec(struct core_session *session, const char *statement, struct rc_error *err)
{
    return core_session_exec(session, statement, NULL, 0, NULL, err);
}

static enum rc_code exists(struct core_session *session, const char *schema, bool *out,
                           struct rc_error *err)
{
    const struct rc_value params[] = { rc_value_text(schema) };
    RC_ROWS_AUTO(rows);
    const struct rc_value *row;

    if (core_session_query(session, "SELECT 1 FROM pg_namespace WHERE nspname = $1", params, 1,
                           &rows, err) ||
        rc_rows_next(rows, &row, err))
        return err->code;
    *out = row != NULL;
    return RC_OK;
}

/*
 * One after the other, and only where it is missing: CREATE SCHEMA IF NOT EXISTS fails when two run
 * at once, and where the user may not make schemas, as when an administrator has made it.
 */
static enum rc_code create(struct core_session *session, const char *schema, struct rc_error *err)
{
    RC_BUF_AUTO(statement, STATEMENT_LIMIT);
    bool there = false;

    rc_buf_adds(&statement, "CREATE SCHEMA ");
    rc_buf_add_ident(&statement, schema);
    if (exists(session, schema, &there, err) || there)
        return there ? RC_OK : err->code;
    if (core_session_begin(session, err))
        return err->code;
    if (exists(session, schema, &there, err) || (!there && exec(session, statement.data, err))) {
        core_session_rollback(session);
        return err->code;
    }
    return core_session_commit(session, err);
}

/* ---- rehearsals --------------------------------------------------------------------------- */

/* The statements that copy the tables, one behind the other. */
static enum rc_code add_copies(struct core_session *session, const char *schema,
                               struct rc_buf *script, struct rc_error *err)
{
    static const char tables[] = "SELECT c.relname FROM pg_class c JOIN pg_namespace n "
                                 "ON n.oid = c.relnamespace "
                                 "WHERE n.nspname = $1 AND c.relkind IN ('r', 'p') "
                                 "ORDER BY c.relname";
    const struct rc_value params[] = { rc_value_text(schema) };
    RC_ROWS_AUTO(rows);
    const struct rc_value *row;

    if (core_session_query(session, tables, params, 1, &rows, err))
        return err->code;
    for (;;) {
        if (rc_rows_next(rows, &row, err))
            return err->code;
        if (!row)
            return rc_buf_check(script, err);
        rc_buf_adds(script, "CREATE TEMPORARY TABLE ");
        rc_buf_add_ident(script, row[0].text);
        rc_buf_adds(script, " (LIKE ");
        rc_buf_add_ident(script, schema);
        rc_buf_addc(script, '.');
        rc_buf_add_ident(script, row[0].text);
        rc_buf_adds(script, " INCLUDING ALL EXCLUDING GENERATED); INSERT INTO pg_temp.");
        rc_buf_add_ident(script, row[0].text);
        rc_buf_adds(script, " OVERRIDING SYSTEM VALUE SELECT * FROM ");
        rc_buf_add_ident(script, schema);
        rc_buf_addc(script, '.');
        rc_buf_add_ident(script, row[0].text);
        rc_buf_addc(script, ';');
    }
}

/*
 * Temporary tables take the place of the real ones, which would be locked by migrations until the
 * rehearsal is over. Views and foreign keys are not copied.
 */
static enum rc_code copy_tables(struct core_postgres *db, struct rc_error *err)
{
    struct core_session *session = &db->session;
    RC_BUF_AUTO(script, 1024 * 1024);

    if (core_session_begin(session, err))
        return err->code;
    if (add_copies(session, db->schema, &script, err) ||
        session->ops->run_script(session, script.data, err)) {
        core_session_rollback(session);
        return rc_context(err, "copy the tables of the schema '%s' for the dry run", db->schema);
    }
    if (core_session_commit(session, err) || exec(session, "SET search_path = pg_temp", err))
        return err->code;
    db->has_copies = true;
    return RC_OK;
}

enum rc_code core_postgres_make_schema(struct core_session *session, struct rc_error *err)
{
    struct core_postgres *db = (struct core_postgres *)session;

    return db->rehearsal ? copy_tables(db, err) : create(session, db->schema, err);
}

const struct core_db_server core_db_on_postgres = {
    .first = &first,
    .knows = postgres_knows,
    .check = core_postgres_check,
    .open = postgres_open,
    .open_plugin = postgres_open_plugin,
    .copy_plugin = postgres_copy_plugin,
};
